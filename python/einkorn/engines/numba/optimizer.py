"""Optimizer steps over lists of parameters, after torch.optim.

    SGD     d = g + wd p
            b = momentum b + (1 - dampening) d, at the first step d
            p -= lr (d + momentum b if nesterov, else b)
    Adam    m += (1 - beta1) (g - m)
            v = beta2 v + (1 - beta2) g^2
            p -= lr/c1 m / (sqrt(v / c2) + eps),    c1 = 1 - beta1^step, c2 = 1 - beta2^step
            wd p is added to g, or if decoupled lr wd p is taken from p first;
            amsgrad puts the largest v so far in place of v

The formulas of the others stand in the loops below, in the words of csrc/kernels/optimizer/optimizer.h.

One pass over each tensor, all numbers of an element in registers and in float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ._checks import floats, read, require, write
from ._compile import Array, Float64Out1, In1, Int, Loop, Out1, Scalar, inline, nothing
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
    maximize: Int,
    first_step: Int,
) -> None:
    has_momentum = momentum_buffer.shape[0] > 0
    for i in range(param.shape[0]):
        p = param[i]
        d = (-grad[i] if maximize else grad[i]) + weight_decay * p
        if has_momentum:
            b = d if first_step else momentum * momentum_buffer[i] + (1 - dampening) * d
            momentum_buffer[i] = b
            d = d + momentum * b if nesterov else b
        param[i] = p - lr * d


@inline
def _gradient(g: float, p: float, weight_decay: float, maximize: int) -> float:
    return (-g if maximize else g) + weight_decay * p


@inline
def _sign(x: float) -> float:
    return 1.0 if x > 0 else (-1.0 if x < 0 else x)


@Loop
def _adagrad_step(
    param: Out1, grad: In1, total: Out1, rate: Scalar, eps: Scalar, weight_decay: Scalar, maximize: Int
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        s = total[i] + g * g
        total[i] = s
        param[i] = p - rate * g / (math.sqrt(s) + eps)


@Loop
def _adadelta_step(
    param: Out1,
    grad: In1,
    square_avg: Out1,
    acc_delta: Out1,
    rate: Scalar,
    rho: Scalar,
    eps: Scalar,
    weight_decay: Scalar,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        v = rho * square_avg[i] + (1 - rho) * g * g
        d = math.sqrt(acc_delta[i] + eps) / math.sqrt(v + eps) * g
        square_avg[i] = v
        acc_delta[i] = rho * acc_delta[i] + (1 - rho) * d * d
        param[i] = p - rate * d


@Loop
def _rmsprop_step(
    param: Out1,
    grad: In1,
    square_avg: Out1,
    grad_avg: Out1,
    momentum_buffer: Out1,
    rate: Scalar,
    alpha: Scalar,
    eps: Scalar,
    momentum: Scalar,
    weight_decay: Scalar,
    maximize: Int,
) -> None:
    centered, has_momentum = grad_avg.shape[0] > 0, momentum_buffer.shape[0] > 0
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        v = alpha * square_avg[i] + (1 - alpha) * g * g
        square_avg[i] = v
        if centered:
            m = grad_avg[i] + (1 - alpha) * (g - grad_avg[i])
            grad_avg[i] = m
            v -= m * m
        d = g / (math.sqrt(v) + eps)
        if has_momentum:
            d += momentum * momentum_buffer[i]
            momentum_buffer[i] = d
        param[i] = p - rate * d


@Loop
def _adamax_step(
    param: Out1,
    grad: In1,
    exp_avg: Out1,
    exp_inf: Out1,
    rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    eps: Scalar,
    weight_decay: Scalar,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        m = exp_avg[i] + (1 - beta1) * (g - exp_avg[i])
        u, size = beta2 * exp_inf[i], abs(g) + eps
        if not (u > size or math.isnan(u)):
            u = size
        exp_avg[i] = m
        exp_inf[i] = u
        param[i] = p - rate * m / u


@Loop
def _moments_step(
    param: Out1,
    grad: In1,
    exp_avg: Out1,
    exp_avg_sq: Out1,
    of_grad: Scalar,
    of_mean: Scalar,
    root: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    eps: Scalar,
    weight_decay: Scalar,
    shrink: Scalar,
    adaptive: Int,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        m = exp_avg[i] + (1 - beta1) * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + (1 - beta2) * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        d = of_mean * m
        if of_grad != 0:
            d += of_grad * g
        if adaptive:
            d /= root * math.sqrt(v) + eps
        param[i] = shrink * p - d


@Loop
def _lion_step(
    param: Out1,
    grad: In1,
    exp_avg: Out1,
    rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    shrink: Scalar,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        g = _gradient(float(grad[i]), 0.0, 0.0, maximize)
        m = float(exp_avg[i])
        exp_avg[i] = beta2 * m + (1 - beta2) * g
        param[i] = shrink * param[i] - rate * _sign(beta1 * m + (1 - beta1) * g)


@Loop
def _rprop_step(
    param: Out1,
    grad: In1,
    prev: Out1,
    step_size: Out1,
    eta_minus: Scalar,
    eta_plus: Scalar,
    least: Scalar,
    most: Scalar,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        g = _gradient(float(grad[i]), 0.0, 0.0, maximize)
        agreement = g * prev[i]
        size = step_size[i] * (eta_plus if agreement > 0 else (eta_minus if agreement < 0 else 1.0))
        if size < least:
            size = least
        if size > most:
            size = most
        if agreement < 0:
            g = 0.0
        prev[i] = g
        step_size[i] = size
        param[i] -= _sign(g) * size


@Loop
def _lamb_step(
    param: Out1,
    grad: In1,
    exp_avg: Out1,
    exp_avg_sq: Out1,
    update: Out1,
    of_mean: Scalar,
    root: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    eps: Scalar,
    weight_decay: Scalar,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        g = _gradient(float(grad[i]), 0.0, 0.0, maximize)
        m = exp_avg[i] + (1 - beta1) * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + (1 - beta2) * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        update[i] = of_mean * m / (root * math.sqrt(v) + eps) + weight_decay * param[i]


@Loop
def _subtract(param: Out1, other: In1, rate: Scalar) -> None:
    for i in range(param.shape[0]):
        param[i] -= rate * other[i]


@Loop
def _lerp(param: Out1, other: In1, weight: Scalar) -> None:
    for i in range(param.shape[0]):
        param[i] += weight * (other[i] - param[i])


@Loop
def _scale(param: Out1, factor: Scalar) -> None:
    for i in range(param.shape[0]):
        param[i] *= factor


@Loop
def _clamp(param: Out1, limit: Scalar) -> None:
    for i in range(param.shape[0]):
        if param[i] < -limit:
            param[i] = -limit
        if param[i] > limit:
            param[i] = limit


@Loop
def _norm(x: In1, norm: Float64Out1, power: Scalar) -> None:
    total = math.inf if power == -math.inf else 0.0
    for i in range(x.shape[0]):
        size = abs(float(x[i]))
        if power == 0:
            total += 0.0 if size == 0 else 1.0
        elif math.isnan(size):
            total = size
        elif math.isinf(power):
            if size > total if power > 0 else size < total:
                total = size
        elif power == 2:
            total += size * size
        else:
            total += size**power
    if not math.isinf(power) and power != 0:
        total = total ** (1 / power)
    norm[0] = total if x.shape[0] > 0 else 0.0


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
    maximize: Int,
    correction1: Scalar,
    correction2: Scalar,
) -> None:
    amsgrad = max_exp_avg_sq.shape[0] > 0
    for i in range(param.shape[0]):
        p = float(param[i])
        g = float(-grad[i] if maximize else grad[i])
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
) -> None:
    """One step of AdaGrad."""
    _step(_adagrad_step, params, {"grads": grads}, {"sums": sums}, rate, eps, weight_decay, int(maximize))


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
) -> None:
    """One step of RMSprop; grad_avgs None means not centred, momenta None without momentum."""
    buffers = {"square_avgs": square_avgs, "grad_avgs": grad_avgs, "momenta": momenta}
    settings = (rate, alpha, eps, momentum, weight_decay, int(maximize))
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
) -> None:
    """One step of Adamax; rate is lr / (1 - beta1^step)."""
    buffers = {"exp_avgs": exp_avgs, "exp_infs": exp_infs}
    settings = (rate, beta1, beta2, eps, weight_decay, int(maximize))
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
