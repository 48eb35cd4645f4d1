"""Mathematical functions, comparisons and kinds of numbers: csrc/kernels/elementwise/math.h.

The loops are templates, as those of elementwise.py. Answers are bytes of 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._checks import floats, same_shape, strided, strided_out
from ._compile import AnyByteOut4, AnyIn4, AnyOut4, Array, Int, Loop, inline
from ._kernels import kernel
from ._views import apply, elementwise

_COST = 3.0  # ns per element

f: Any = None  # what the templates call


def _unary(out: AnyOut4, x: AnyIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(np.float64(x[i, j, k, n]))


def _binary(out: AnyOut4, a: AnyIn4, b: AnyIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = f(np.float64(a[i, j, k, n]), np.float64(b[i, j, k, n]))


@Loop
def _compare(out: AnyByteOut4, a: AnyIn4, b: AnyIn4, kind: Int) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    u, v = a[i, j, k, n], b[i, j, k, n]
                    if kind == 0:
                        holds = u == v
                    elif kind == 1:
                        holds = u != v
                    elif kind == 2:
                        holds = u < v
                    elif kind == 3:
                        holds = u <= v
                    elif kind == 4:
                        holds = u > v
                    elif kind == 5:
                        holds = u >= v
                    elif kind == 6:
                        holds = u != 0 and v != 0
                    elif kind == 7:
                        holds = u != 0 or v != 0
                    else:
                        holds = (u != 0) != (v != 0)
                    out[i, j, k, n] = 1 if holds else 0


@Loop
def _classify(out: AnyByteOut4, x: AnyIn4, kind: Int) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    v = x[i, j, k, n]
                    if kind == 0:
                        holds = math.isnan(v)
                    elif kind == 1:
                        holds = math.isinf(v)
                    elif kind == 2:
                        holds = math.isfinite(v)
                    elif kind == 3:
                        holds = v != 0
                    elif kind == 4:
                        holds = v == math.inf
                    elif kind == 5:
                        holds = v == -math.inf
                    else:
                        holds = math.copysign(1.0, v) < 0
                    out[i, j, k, n] = 1 if holds else 0


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


def binary(function: Numbers) -> Callable[[Array, Array, Array], None]:
    loop = Loop(_binary, function.__name__, f=inline(function))

    def body(out: Array, a: Array, b: Array) -> None:
        elementwise(loop, _COST, out, (a, b))

    return _named(body, function)


@unary
def exp2(x: float) -> float:
    return math.pow(2.0, x)


@unary
def expm1(x: float) -> float:
    return math.expm1(x)


@unary
def log2(x: float) -> float:
    return np.log2(x)


@unary
def log10(x: float) -> float:
    return math.log10(x)


@unary
def log1p(x: float) -> float:
    return math.log1p(x)


@unary
def rsqrt(x: float) -> float:
    return 1 / math.sqrt(x)


@unary
def floor(x: float) -> float:
    return np.floor(x)


@unary
def ceil(x: float) -> float:
    return np.ceil(x)


@unary
def round(x: float) -> float:
    """To the nearest whole number, halves to the even one."""
    return np.rint(x)


@unary
def trunc(x: float) -> float:
    return np.trunc(x)


@unary
def frac(x: float) -> float:
    return x - np.trunc(x)


@unary
def tan(x: float) -> float:
    return math.tan(x)


@unary
def asin(x: float) -> float:
    return math.asin(x)


@unary
def acos(x: float) -> float:
    return math.acos(x)


@unary
def atan(x: float) -> float:
    return math.atan(x)


@unary
def sinh(x: float) -> float:
    return math.sinh(x)


@unary
def cosh(x: float) -> float:
    return math.cosh(x)


@unary
def asinh(x: float) -> float:
    return math.asinh(x)


@unary
def acosh(x: float) -> float:
    return math.acosh(x)


@unary
def atanh(x: float) -> float:
    return math.atanh(x)


@unary
def erfc(x: float) -> float:
    return math.erfc(x)


@binary
def atan2(a: float, b: float) -> float:
    return math.atan2(a, b)


@binary
def logaddexp(a: float, b: float) -> float:
    """log(exp(a) + exp(b)); equal infinities have no difference."""
    if a == b:
        return a + math.log(2.0)
    large = a if a > b or math.isnan(a) else b
    return large + math.log1p(math.exp(-abs(a - b)))


@binary
def fmod(a: float, b: float) -> float:
    return np.fmod(a, b)


@binary
def remainder(a: float, b: float) -> float:
    """What is left of the division rounded down: it has the sign of b."""
    rest = np.fmod(a, b)
    if rest != 0:
        return rest + b if (b < 0) != (rest < 0) else rest
    return math.copysign(rest, b)


@binary
def hypot(a: float, b: float) -> float:
    return math.hypot(a, b)


@binary
def copysign(a: float, b: float) -> float:
    return math.copysign(a, b)


_ONE_SHAPE = "all arrays of an elementwise kernel must have one shape"


@kernel
def compare(out: Array, a: Array, b: Array, kind: int) -> None:
    """out = 1 where the comparison of a and b holds, else 0."""
    same_shape(_ONE_SHAPE, out, a, b)
    dtype = floats(a)
    strided_out("out", out, np.uint8)
    apply(_compare, _COST, out, (a, strided("b", b, dtype)), kind)


@kernel
def classify(out: Array, x: Array, kind: int) -> None:
    """out = 1 where x is of that kind, else 0."""
    same_shape(_ONE_SHAPE, out, x)
    floats(x)
    strided_out("out", out, np.uint8)
    apply(_classify, _COST, out, (x,), kind)
