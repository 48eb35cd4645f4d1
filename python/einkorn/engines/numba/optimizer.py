"""Optimizer steps over lists of parameters, after torch.optim.

    SGD     d = g + wd p
            b = momentum b + (1 - dampening) d, at the first step d
            p -= lr (d + momentum b if nesterov, else b)
    Adam    m += (1 - beta1) (g - m)
            v = beta2 v + (1 - beta2) g^2
            p -= lr/c1 m / (sqrt(v / c2) + eps),    c1 = 1 - beta1^step, c2 = 1 - beta2^step
            wd p is added to g, or if decoupled lr wd p is taken from p first;
            amsgrad puts the largest v so far in place of v

The loops, and the formulas of the others, stand in _optimizer_loops.py.

One pass over each tensor, all numbers of an element in registers and in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ._checks import floats, read, require, write
from ._compile import Array, Loop, nothing
from ._kernels import kernel
from ._optimizer_loops import (
    _adadelta_step,
    _adagrad_step,
    _adam_step,
    _adamax_step,
    _clamp,
    _ftrl_step,
    _lamb_step,
    _lerp,
    _lion_step,
    _moments_step,
    _norm,
    _rmsprop_step,
    _rprop_step,
    _scale,
    _sgd_step,
    _subtract,
)
from ._threads import parallel_for

_COST = 3.0  # ns per element
_GRAIN = 1024


def _step(
    loop: Loop,
    params: Sequence[Array],
    inputs: Mapping[str, Sequence[Array]],
    buffers: Mapping[str, Sequence[Array] | None],
    *settings: float,
    each: Sequence[float] | None = None,
) -> None:
    """Call the loop for slices of each parameter, of the arrays beside it that are read, and of its buffers.

    `each` has one more setting for each parameter.
    """
    lists = {**inputs, **buffers}
    for name, arrays in lists.items():
        if params and arrays is not None:
            require(len(arrays) == len(params), f"'{name}' and 'params' must have one length")
    for i, param in enumerate(params):
        dtype, size = floats(params[0]), param.size
        flat = [write("params", param, dtype, size)]
        for name, arrays in lists.items():
            if arrays is None:
                flat.append(nothing(param))  # an absent buffer, without elements
                continue
            require(arrays[i].size == size, f"an array of '{name}' has another size than its parameter")
            take = read if name in inputs else write
            flat.append(take(name, arrays[i], dtype, size))

        own = settings if each is None else (*settings, each[i])

        def body(start: int, stop: int, flat: list[Array] = flat, own: tuple[float, ...] = own) -> None:
            loop(*[tensor[start:stop] for tensor in flat], *own)

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
    maximize: bool,
    first_step: bool,
) -> None:
    """One step of stochastic gradient descent; momenta None means without momentum."""
    settings = (lr, momentum, dampening, weight_decay, int(nesterov), int(maximize), int(first_step))
    _step(_sgd_step, params, {"grads": grads}, {"momenta": momenta}, *settings)


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
    maximize: bool,
    step: int,
) -> None:
    """Step number `step`, from 1, of Adam.

    Of AdamW if decoupled, of AMSGrad if max_exp_avg_sqs are given.
    """
    corrections = (1 - beta1**step, 1 - beta2**step)
    settings = (lr, beta1, beta2, eps, weight_decay, int(decoupled), int(maximize), *corrections)
    buffers = {"exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs, "max_exp_avg_sqs": max_exp_avg_sqs}
    _step(_adam_step, params, {"grads": grads}, buffers, *settings)


@kernel
def adagrad_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    sums: Sequence[Array],
    rate: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    within: bool,
) -> None:
    """One step of AdaGrad."""
    settings = (rate, eps, weight_decay, int(maximize), int(within))
    _step(_adagrad_step, params, {"grads": grads}, {"sums": sums}, *settings)


@kernel
def adadelta_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    acc_deltas: Sequence[Array],
    rate: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Adadelta."""
    buffers = {"square_avgs": square_avgs, "acc_deltas": acc_deltas}
    settings = (rate, rho, eps, weight_decay, int(maximize))
    _step(_adadelta_step, params, {"grads": grads}, buffers, *settings)


@kernel
def rmsprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    grad_avgs: Sequence[Array] | None,
    momenta: Sequence[Array] | None,
    rate: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    maximize: bool,
    within: bool,
) -> None:
    """One step of RMSprop; grad_avgs None means not centred, momenta None without momentum."""
    buffers = {"square_avgs": square_avgs, "grad_avgs": grad_avgs, "momenta": momenta}
    settings = (rate, alpha, eps, momentum, weight_decay, int(maximize), int(within))
    _step(_rmsprop_step, params, {"grads": grads}, buffers, *settings)


@kernel
def adamax_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_infs: Sequence[Array],
    rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
    within: bool,
) -> None:
    """One step of Adamax; rate is lr / (1 - beta1^step)."""
    buffers = {"exp_avgs": exp_avgs, "exp_infs": exp_infs}
    settings = (rate, beta1, beta2, eps, weight_decay, int(maximize), int(within))
    _step(_adamax_step, params, {"grads": grads}, buffers, *settings)


@kernel
def moments_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    of_grad: float,
    of_mean: float,
    root: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    shrink: float,
    adaptive: bool,
    maximize: bool,
) -> None:
    """One step by two running means: that of NAdam and of RAdam, with the coefficients of each."""
    buffers = {"exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs}
    settings = (of_grad, of_mean, root, beta1, beta2, eps, weight_decay, shrink, int(adaptive), int(maximize))
    _step(_moments_step, params, {"grads": grads}, buffers, *settings)


@kernel
def lion_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    rate: float,
    beta1: float,
    beta2: float,
    shrink: float,
    maximize: bool,
) -> None:
    """One step of Lion; shrink is 1 - lr weight_decay."""
    settings = (rate, beta1, beta2, shrink, int(maximize))
    _step(_lion_step, params, {"grads": grads}, {"exp_avgs": exp_avgs}, *settings)


@kernel
def rprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    step_sizes: Sequence[Array],
    eta_minus: float,
    eta_plus: float,
    least: float,
    most: float,
    maximize: bool,
) -> None:
    """One step of Rprop."""
    buffers = {"prevs": prevs, "step_sizes": step_sizes}
    settings = (eta_minus, eta_plus, least, most, int(maximize))
    _step(_rprop_step, params, {"grads": grads}, buffers, *settings)


@kernel
def lamb_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    updates: Sequence[Array],
    of_mean: float,
    root: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """The first half of a step of LAMB: moments and updates, which trust_step applies."""
    buffers = {"exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs, "updates": updates}
    settings = (of_mean, root, beta1, beta2, eps, weight_decay, int(maximize))
    _step(_lamb_step, params, {"grads": grads}, buffers, *settings)


@kernel
def trust_step(
    params: Sequence[Array],
    updates: Sequence[Array],
    param_norms: Array,
    update_norms: Array,
    rate: float,
) -> None:
    """Take each update, at the length of its parameter, times the rate from it."""
    norms = [
        read(name, array, np.float64, len(params))
        for name, array in (("param_norms", param_norms), ("update_norms", update_norms))
    ]
    ratios = [n / length if n > 0 and length > 0 else 1.0 for n, length in zip(*norms, strict=True)]
    _step(_subtract, params, {"updates": updates}, {}, each=[rate * ratio for ratio in ratios])


@kernel
def ftrl_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    accumulators: Sequence[Array],
    linears: Sequence[Array],
    rate: float,
    power: float,
    l1: float,
    l2: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of FTRL-Proximal."""
    buffers = {"accumulators": accumulators, "linears": linears}
    settings = (rate, power, l1, l2, weight_decay, int(maximize))
    _step(_ftrl_step, params, {"grads": grads}, buffers, *settings)


@kernel
def lerp_step(params: Sequence[Array], others: Sequence[Array], weight: float) -> None:
    """Move each parameter that fraction of the way to the other array."""
    _step(_lerp, params, {"others": others}, {}, weight)


@kernel
def clip_norm_step(params: Sequence[Array], total: Array, max_norm: float) -> None:
    """Scale all by max_norm / total, where that is less than 1."""
    factor = max_norm / (float(read("total", total, np.float64, 1)[0]) + 1e-6)
    _step(_scale, params, {}, {}, 1.0 if factor > 1 else factor)


@kernel
def clip_value_step(params: Sequence[Array], limit: float) -> None:
    """Bring every element into [-limit, limit]."""
    _step(_clamp, params, {}, {}, limit)


@kernel
def tensor_norms(norms: Array, tensors: Sequence[Array], power: float) -> None:
    """The norm of each tensor."""
    out = write("norms", norms, np.float64, len(tensors))
    for i, tensor in enumerate(tensors):
        _norm(read("tensors", tensor, floats(tensors[0]), tensor.size), out[i : i + 1], power)
