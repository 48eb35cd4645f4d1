"""Optimizer steps over lists of parameters, after torch.optim.

    SGD     d = g + wd p
            b = momentum b + (1 - dampening) d, at the first step d
            p -= lr (d + momentum b if nesterov, else b)
    Adam    m += (1 - beta1) (g - m)
            v = beta2 v + (1 - beta2) g^2
            p -= lr/c1 m / (sqrt(v / c2) + eps),    c1 = 1 - beta1^step, c2 = 1 - beta2^step
            wd p is added to g, or if decoupled lr wd p is taken from p first;
            amsgrad puts the largest v so far in place of v

One pass over each tensor, all numbers of an element in registers and in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._checks import floats, read, require, write
from ._compile import Array, In1, Int, Loop, Out1, Scalar, nothing
from ._kernels import kernel
from ._threads import parallel_for

_COST = 3.0  # ns per element
_GRAIN = 1024


@Loop
def _sgd_step(
    param: Out1,
    grad: In1,
    momentum_buffer: Out1,
    lr: Scalar,
    momentum: Scalar,
    dampening: Scalar,
    weight_decay: Scalar,
    nesterov: Int,
    first_step: Int,
) -> None:
    has_momentum = momentum_buffer.shape[0] > 0
    for i in range(param.shape[0]):
        p = param[i]
        d = grad[i] + weight_decay * p
        if has_momentum:
            b = d if first_step else momentum * momentum_buffer[i] + (1 - dampening) * d
            momentum_buffer[i] = b
            d = d + momentum * b if nesterov else b
        param[i] = p - lr * d


@Loop
def _adam_step(
    param: Out1,
    grad: In1,
    exp_avg: Out1,
    exp_avg_sq: Out1,
    max_exp_avg_sq: Out1,
    lr: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    eps: Scalar,
    weight_decay: Scalar,
    decoupled: Int,
    correction1: Scalar,
    correction2: Scalar,
) -> None:
    amsgrad = max_exp_avg_sq.shape[0] > 0
    for i in range(param.shape[0]):
        p = float(param[i])
        g = float(grad[i])
        if decoupled:
            p -= lr * weight_decay * p
        else:
            g += weight_decay * p
        m = exp_avg[i] + (1 - beta1) * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + (1 - beta2) * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        if amsgrad:
            largest = max_exp_avg_sq[i]
            if largest > v or math.isnan(largest):
                v = largest
            max_exp_avg_sq[i] = v
        param[i] = p - lr / correction1 * m / (math.sqrt(v / correction2) + eps)


def _step(
    loop: Loop,
    params: Sequence[Array],
    grads: Sequence[Array],
    buffers: dict[str, Sequence[Array] | None],
    *settings: float,
) -> None:
    """Call the loop for slices of each parameter and of its gradient and buffers."""
    for name, arrays in {"grads": grads, **buffers}.items():
        if params and arrays is not None:
            require(len(arrays) == len(params), f"'{name}' and 'params' must have one length")
    for i, param in enumerate(params):
        dtype, size = floats(params[0]), param.size
        flat = [write("params", param, dtype, size)]
        for name, arrays in {"grads": grads, **buffers}.items():
            if arrays is None:
                flat.append(nothing(param))  # an absent buffer, without elements
                continue
            require(arrays[i].size == size, f"an array of '{name}' has another size than its parameter")
            take = read if name == "grads" else write
            flat.append(take(name, arrays[i], dtype, size))

        def body(start: int, stop: int, flat: list[Array] = flat) -> None:
            loop(*[tensor[start:stop] for tensor in flat], *settings)

        parallel_for(size, _COST, body, _GRAIN)


@kernel
def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momenta: Sequence[Array] | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first_step: bool,
) -> None:
    """One step of stochastic gradient descent; momenta None means without momentum."""
    settings = (lr, momentum, dampening, weight_decay, int(nesterov), int(first_step))
    _step(_sgd_step, params, grads, {"momenta": momenta}, *settings)


@kernel
def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array] | None,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
) -> None:
    """Step number `step`, from 1, of Adam.

    Of AdamW if decoupled, of AMSGrad if max_exp_avg_sqs are given.
    """
    corrections = (1 - beta1**step, 1 - beta2**step)
    settings = (lr, beta1, beta2, eps, weight_decay, int(decoupled), *corrections)
    buffers = {"exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs, "max_exp_avg_sqs": max_exp_avg_sqs}
    _step(_adam_step, params, grads, buffers, *settings)
