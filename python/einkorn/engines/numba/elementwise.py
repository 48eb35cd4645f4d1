"""Elementwise kernels: a loop for each number of operands, a function of numbers for each kernel.

    unary       out[i] = f(x[i])            leaky_relu and elu take alpha
    binary      out[i] = f(a[i], b[i])      broadcasting arrives as zero strides
    gradient    gx[i]  = f(g[i], s[i])      s is the output y where that suffices, else the input x
    where, clip

The loops are templates that call a global `f`; Loop(template, name, f=...) makes a loop of each
function, and the compiler inlines the call. Constants are float64, so that much of the arithmetic
on float32 is done in float64 and rounded once. NaN propagates; comparisons with it give 0.
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

_COST = 1.0  # ns per element: 0.3 for arithmetic, up to 10 for transcendental functions

f: Any = None  # what the templates call


def _unary(out: AnyOut4, x: AnyIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(x[i, j, k, n])


def _unary_alpha(out: AnyOut4, x: AnyIn4, alpha: Scalar) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(x[i, j, k, n], alpha)


def _binary(out: AnyOut4, a: AnyIn4, b: AnyIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(a[i, j, k, n], b[i, j, k, n])


def _binary_alpha(out: AnyOut4, a: AnyIn4, b: AnyIn4, alpha: Scalar) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(a[i, j, k, n], b[i, j, k, n], alpha)


@Loop
def _where(out: AnyOut4, condition: AnyIn4, a: AnyIn4, b: AnyIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    if condition[i, j, k, n] != 0:
                        out[i, j, k, n] = a[i, j, k, n]
                    else:
                        out[i, j, k, n] = b[i, j, k, n]


@Loop
def _clip(out: AnyOut4, x: AnyIn4, low: Scalar, high: Scalar) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    value = x[i, j, k, n]  # max and min would lose NaN
                    if value < low:
                        value = low
                    if value > high:
                        value = high
                    out[i, j, k, n] = value


# The decorators below turn a function of numbers into the kernel of its name.

Numbers = Callable[..., float]


def _named(body: Any, function: Numbers) -> Any:
    body.__name__ = body.__qualname__ = function.__name__
    body.__doc__ = function.__doc__
    return kernel(body)


def unary(function: Numbers) -> Callable[[Array, Array], None]:
    loop = Loop(_unary, function.__name__, f=inline(function))

    def body(out: Array, x: Array) -> None:
        elementwise(loop, _COST, out, (x,))

    return _named(body, function)


def unary_alpha(function: Numbers) -> Callable[[Array, Array, float], None]:
    loop = Loop(_unary_alpha, function.__name__, f=inline(function))

    def body(out: Array, x: Array, alpha: float) -> None:
        elementwise(loop, _COST, out, (x,), alpha)

    return _named(body, function)


def binary(function: Numbers) -> Callable[[Array, Array, Array], None]:
    loop = Loop(_binary, function.__name__, f=inline(function))

    def body(out: Array, a: Array, b: Array) -> None:
        elementwise(loop, _COST, out, (a, b))

    return _named(body, function)


def _gradient(loop: Loop, gx: Array, g: Array, s: Array, *scalars: float) -> None:
    require(g.size == gx.size == s.size, "gx, g and s must have one size")
    gx = write("gx", gx, floats(gx), gx.size)
    apply(loop, _COST, gx, (read("g", g, gx.dtype, gx.size), read("s", s, gx.dtype, gx.size)), *scalars)


def gradient(function: Numbers) -> Callable[[Array, Array, Array], None]:
    loop = Loop(_binary, function.__name__, f=inline(function))

    def body(gx: Array, g: Array, s: Array) -> None:
        _gradient(loop, gx, g, s)

    return _named(body, function)


def gradient_alpha(function: Numbers) -> Callable[[Array, Array, Array, float], None]:
    loop = Loop(_binary_alpha, function.__name__, f=inline(function))

    def body(gx: Array, g: Array, s: Array, alpha: float) -> None:
        _gradient(loop, gx, g, s, alpha)

    return _named(body, function)


# Shared by a function and its gradient.

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)


@inline
def _normal_cdf(x: float) -> float:
    """P(X <= x) of the normal distribution; erfc keeps the digits of small probabilities."""
    return 0.5 * math.erfc(-x * _SQRT_HALF)


@inline
def _gelu_tanh_inner(x: float) -> float:
    return math.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))


# Arithmetic.


@unary
def negative(x: float) -> float:
    return -x


@unary
def absolute(x: float) -> float:
    return abs(x)


@unary
def square(x: float) -> float:
    return x * x


@unary
def reciprocal(x: float) -> float:
    return 1 / x


@unary
def sign(x: float) -> float:
    """-1, 0 or 1; NaN for NaN."""
    return 1.0 if x > 0 else -1.0 if x < 0 else 0.0 if x == 0 else x


@binary
def add(a: float, b: float) -> float:
    return a + b


@binary
def subtract(a: float, b: float) -> float:
    return a - b


@binary
def multiply(a: float, b: float) -> float:
    return a * b


@binary
def divide(a: float, b: float) -> float:
    return a / b


@binary
def divide_floor(a: float, b: float) -> float:
    """The quotient rounded down, from the remainder: a / b itself may be rounded up."""
    if b == 0:
        return a / b
    rest = np.fmod(a, b)
    quotient = (a - rest) / b
    if rest != 0 and (b < 0) != (rest < 0):
        quotient -= 1
    if quotient == 0:
        return math.copysign(0.0, a / b)
    whole = np.floor(quotient)
    return whole + 1.0 if quotient - whole > 0.5 else whole


@binary
def divide_trunc(a: float, b: float) -> float:
    """The quotient rounded towards 0."""
    return np.trunc(a / b)


@binary
def maximum(a: float, b: float) -> float:
    """The larger; NaN if either is."""
    return a if a > b or math.isnan(a) else b


@binary
def minimum(a: float, b: float) -> float:
    """The smaller; NaN if either is."""
    return a if a < b or math.isnan(a) else b


@binary
def greater(a: float, b: float) -> float:
    return 1.0 if a > b else 0.0


@binary
def greater_equal(a: float, b: float) -> float:
    return 1.0 if a >= b else 0.0


@binary
def equal(a: float, b: float) -> float:
    return 1.0 if a == b else 0.0


@kernel
def where(out: Array, condition: Array, a: Array, b: Array) -> None:
    """out = a where condition is not 0, else b."""
    elementwise(_where, _COST, out, (condition, a, b))


@kernel
def clip(out: Array, x: Array, low: float, high: float) -> None:
    """out = min(max(x, low), high)."""
    elementwise(_clip, _COST, out, (x,), low, high)


# Transcendental functions.


@unary
def exp(x: float) -> float:
    return math.exp(x)


@unary
def log(x: float) -> float:
    return math.log(x)


@unary
def sqrt(x: float) -> float:
    return math.sqrt(x)


@unary
def sin(x: float) -> float:
    return math.sin(x)


@unary
def cos(x: float) -> float:
    return math.cos(x)


@unary
def tanh(x: float) -> float:
    return math.tanh(x)


@unary
def erf(x: float) -> float:
    return math.erf(x)


@binary
def power(a: float, b: float) -> float:
    return math.pow(a, b)


# Activations.


@unary
def relu(x: float) -> float:
    return 0.0 if x < 0 else x


@unary_alpha
def leaky_relu(x: float, alpha: float) -> float:
    return x if x > 0 else alpha * x


@unary_alpha
def elu(x: float, alpha: float) -> float:
    return alpha * math.expm1(x) if x < 0 else x


@unary
def step(x: float) -> float:
    """1 from 0 on, else 0; NaN for NaN."""
    return 1.0 if x >= 0 else 0.0 if x < 0 else x


@unary
def sigmoid(x: float) -> float:
    return logistic(x)


@unary
def softplus(x: float) -> float:
    """log(1 + exp(x)), without overflow."""
    return (0.0 if x < 0 else x) + math.log1p(math.exp(-abs(x)))


@unary
def silu(x: float) -> float:
    """x sigmoid(x), whose limit at minus infinity is 0."""
    return 0.0 if x == -math.inf else x * logistic(x)


@unary
def gelu(x: float) -> float:
    """x times the normal distribution function."""
    return x * _normal_cdf(x)


@unary
def gelu_tanh(x: float) -> float:
    """The tanh approximation of gelu."""
    return 0.5 * x * (1 + _gelu_tanh_inner(x))


# Gradients.


@gradient
def absolute_grad(g: float, s: float) -> float:
    return g if s > 0 else -g if s < 0 else 0.0


@gradient
def relu_grad(g: float, s: float) -> float:
    return 0.0 if s <= 0 else g


@gradient_alpha
def leaky_relu_grad(g: float, s: float, alpha: float) -> float:
    return g if s > 0 else alpha * g


@gradient_alpha
def elu_grad(g: float, s: float, alpha: float) -> float:
    """s is the input: the output plus alpha, the same below 0, loses all digits far out."""
    return g if s > 0 else g * (alpha * math.exp(s))


@gradient
def sigmoid_grad(g: float, s: float) -> float:
    return g * (s * (1 - s))


@gradient
def tanh_grad(g: float, s: float) -> float:
    return g * (1 - s * s)


@gradient
def softplus_grad(g: float, s: float) -> float:
    return g * logistic(s)


@gradient
def silu_grad(g: float, s: float) -> float:
    y = logistic(s)
    return g * y * (1 + s * (1 - y))


@gradient
def gelu_grad(g: float, s: float) -> float:
    return g * (_normal_cdf(s) + s * _DENSITY_AT_0 * math.exp(-0.5 * s * s))


@gradient
def gelu_tanh_grad(g: float, s: float) -> float:
    t = _gelu_tanh_inner(s)
    flatness = 1 - t * t  # 0 far out, where the slope of tanh's argument overflows
    slope = _SQRT_2_OVER_PI * (1 + 3 * 0.044715 * s * s)
    return g * 0.5 * (1 + t + (0.0 if flatness == 0 else s * flatness * slope))
