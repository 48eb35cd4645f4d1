"""Activations with up to two numbers: the functions of ``csrc/kernels/elementwise/activation.h``.

The loops are templates, as those of elementwise.py; every function takes alpha and beta.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._activation import logistic
from ._checks import floats, read, require, write
from ._compile import AnyIn4, AnyOut4, Array, Loop, Scalar, inline
from ._kernels import kernel
from ._views import apply, elementwise

_COST = 3.0  # ns per element

f: Any = None  # what the templates call


def _forward(out: AnyOut4, x: AnyIn4, alpha: Scalar, beta: Scalar) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(x[i, j, k, n], alpha, beta)


def _backward(gx: AnyOut4, g: AnyIn4, x: AnyIn4, alpha: Scalar, beta: Scalar) -> None:
    for i in range(gx.shape[0]):
        for j in range(gx.shape[1]):
            for k in range(gx.shape[2]):
                for n in range(gx.shape[3]):
                    slope = f(x[i, j, k, n], alpha, beta)
                    # A flat piece passes nothing on, not even an infinite gradient.
                    gx[i, j, k, n] = 0.0 if slope == 0 else g[i, j, k, n] * slope


Function = Callable[[float, float, float], float]


def forward(function: Function) -> Callable[[Array, Array, float, float], None]:
    loop = Loop(_forward, function.__name__, f=inline(function))

    def body(out: Array, x: Array, alpha: float, beta: float) -> None:
        elementwise(loop, _COST, out, (x,), alpha, beta)

    body.__name__ = body.__qualname__ = function.__name__
    return kernel(body)


def slope(function: Function) -> Callable[[Array, Array, Array, float, float], None]:
    loop = Loop(_backward, function.__name__, f=inline(function))

    def body(gx: Array, g: Array, x: Array, alpha: float, beta: float) -> None:
        require(g.size == gx.size == x.size, "gx, g and x must have one size")
        gx = write("gx", gx, floats(gx), gx.size)
        operands = read("g", g, gx.dtype, gx.size), read("x", x, gx.dtype, gx.size)
        apply(loop, _COST, gx, operands, alpha, beta)

    body.__name__ = body.__qualname__ = function.__name__
    return kernel(body)


@forward
def selu(x: float, alpha: float, beta: float) -> float:
    return alpha * math.expm1(x) if x < 0 else beta * x


@slope
def selu_grad(x: float, alpha: float, beta: float) -> float:
    return alpha * math.exp(x) if x <= 0 else beta


@forward
def celu(x: float, alpha: float, beta: float) -> float:
    return x if x > 0 else alpha * math.expm1(x / alpha)


@slope
def celu_grad(x: float, alpha: float, beta: float) -> float:
    return math.exp(x / alpha) if x <= 0 else 1.0


@forward
def mish(x: float, alpha: float, beta: float) -> float:
    """x tanh(log(1 + e)) = x n / (n + 2) for n = e (e + 2)."""
    if x > 20 or x == -math.inf:
        return x if x > 0 else 0.0
    e = math.exp(x)
    n = e * (e + 2)
    return x * (n / (n + 2))


@slope
def mish_grad(x: float, alpha: float, beta: float) -> float:
    if x > 20:
        return 1.0
    e = math.exp(x)
    n = e * (e + 2)
    return n / (n + 2) + x * (e / (e + 1)) * (4 * (n + 1) / ((n + 2) * (n + 2)))


@forward
def hardswish(x: float, alpha: float, beta: float) -> float:
    return 0.0 if x <= -3 else x * (x + 3) / 6 if x < 3 else x


@slope
def hardswish_grad(x: float, alpha: float, beta: float) -> float:
    return 0.0 if x <= -3 else x / 3 + 0.5 if x < 3 else 1.0


@forward
def hardsigmoid(x: float, alpha: float, beta: float) -> float:
    return 0.0 if x <= -3 else 1.0 if x >= 3 else (x + 3) / 6


@slope
def hardsigmoid_grad(x: float, alpha: float, beta: float) -> float:
    return 1 / 6 if -3 < x < 3 else 0.0


@forward
def hardtanh(x: float, alpha: float, beta: float) -> float:
    return alpha if x < alpha else beta if x > beta else x


@slope
def hardtanh_grad(x: float, alpha: float, beta: float) -> float:
    return 0.0 if x <= alpha or x >= beta else 1.0


@forward
def hardshrink(x: float, alpha: float, beta: float) -> float:
    return 0.0 if -alpha <= x <= alpha else x


@slope
def hardshrink_grad(x: float, alpha: float, beta: float) -> float:
    return 0.0 if -alpha <= x <= alpha else 1.0


@forward
def softshrink(x: float, alpha: float, beta: float) -> float:
    if x > alpha:
        return x - alpha
    if x < -alpha:
        return x + alpha
    return 0.0 if x == x else x


@forward
def tanhshrink(x: float, alpha: float, beta: float) -> float:
    """x - tanh(x), near 0 by the terms of its series."""
    v = np.float64(x)
    if not abs(v) < 0.25:
        return v - math.tanh(v)
    z = v * v
    p = -443861162.0 / 1856156927625.0
    p = p * z + 6404582.0 / 10854718875.0
    p = p * z - 929569.0 / 638512875.0
    p = p * z + 21844.0 / 6081075.0
    p = p * z - 1382.0 / 155925.0
    p = p * z + 62.0 / 2835.0
    p = p * z - 17.0 / 315.0
    p = p * z + 2.0 / 15.0
    p = p * z - 1.0 / 3.0
    return -p * z * v


@slope
def tanhshrink_grad(x: float, alpha: float, beta: float) -> float:
    return math.tanh(x) ** 2


@forward
def log_sigmoid(x: float, alpha: float, beta: float) -> float:
    return (0.0 if x >= 0 else x) - math.log1p(math.exp(-abs(x)))


@slope
def log_sigmoid_grad(x: float, alpha: float, beta: float) -> float:
    return logistic(-x)


@forward
def softsign(x: float, alpha: float, beta: float) -> float:
    return x / (1 + abs(x))


@slope
def softsign_grad(x: float, alpha: float, beta: float) -> float:
    return 1 / ((1 + abs(x)) * (1 + abs(x)))


@forward
def softplus_scaled(x: float, alpha: float, beta: float) -> float:
    z = x * alpha
    if z > beta:
        return x
    return ((0.0 if z < 0 else z) + math.log1p(math.exp(-abs(z)))) / alpha


@slope
def softplus_scaled_grad(x: float, alpha: float, beta: float) -> float:
    return 1.0 if x * alpha > beta else logistic(x * alpha)


@forward
def threshold(x: float, alpha: float, beta: float) -> float:
    return beta if x <= alpha else x


@slope
def threshold_grad(x: float, alpha: float, beta: float) -> float:
    return 0.0 if x <= alpha else 1.0
