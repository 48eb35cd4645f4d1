"""The loops of the optimizers' steps: one pass over a slice of a tensor, in float64.

The formulas are those of csrc/kernels/optimizer/optimizer.h, in its words.
"""

from __future__ import annotations

import math

from ._compile import Float64Out1, In1, Int, Loop, Out1, Scalar, inline


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


@inline
def _root(square: float, eps: float, within: int) -> float:
    return math.sqrt(square + eps) if within else math.sqrt(square) + eps


@Loop
def _adagrad_step(
    param: Out1,
    grad: In1,
    total: Out1,
    rate: Scalar,
    eps: Scalar,
    weight_decay: Scalar,
    maximize: Int,
    within: Int,
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        s = total[i] + g * g
        total[i] = s
        param[i] = p - rate * g / _root(s, eps, within)


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
    within: Int,
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
        d = g / _root(v, eps, within)
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
    within: Int,
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), p, weight_decay, maximize)
        m = exp_avg[i] + (1 - beta1) * (g - exp_avg[i])
        u, size = beta2 * exp_inf[i], abs(g) + (0.0 if within else eps)
        if not (u > size or math.isnan(u)):
            u = size
        exp_avg[i] = m
        exp_inf[i] = u
        param[i] = p - rate * m / (u + (eps if within else 0.0))


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


@inline
def _raised(n: float, power: float) -> float:
    return math.sqrt(n) if power == 0.5 else math.pow(n, power)


@Loop
def _ftrl_step(
    param: Out1,
    grad: In1,
    accumulator: Out1,
    linear: Out1,
    rate: Scalar,
    power: Scalar,
    l1: Scalar,
    l2: Scalar,
    weight_decay: Scalar,
    maximize: Int,
) -> None:
    for i in range(param.shape[0]):
        p = float(param[i])
        g = _gradient(float(grad[i]), 0.0, 0.0, maximize)
        before = float(accumulator[i])
        now = before + g * g
        after = _raised(now, power)
        z = linear[i] + g + weight_decay * p - (after - _raised(before, power)) / rate * p
        accumulator[i] = now
        linear[i] = z
        if abs(z) <= l1:
            param[i] = 0.0
        else:
            param[i] = (min(max(z, -l1), l1) - z) / (after / rate + l2)


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
