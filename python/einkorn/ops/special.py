"""Functions of elements that are made of others, and the inverse of the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn._device import as_array, beside, is_on_gpu
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.ops import _integers, _promotion
from einkorn.ops._elementwise import _binary_kernel, _plain, _scaled
from einkorn.ops._options import number
from einkorn.ops._road import result, same_dtype, sum_to, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.elementwise import (
    absolute,
    clip,
    divide,
    log,
    maximum,
    minimum,
    multiply,
    sin,
    subtract,
    where,
)
from einkorn.ops.math import log1p
from einkorn.ops.math_questions import _array, isnan

__all__ = ["deg2rad", "erfinv", "fmax", "fmin", "heaviside", "logit", "rad2deg", "sinc", "xlogy"]

#: erfinv(y) = y (c0 + c1 y**2 + ...), the Taylor series, near enough for Newton's method to 0.6.
_SERIES = (0.886226925452758, 0.2320136665346544, 0.1275561753055979, 0.08655212924154753, 0.0649596177453854)


def _float(x: Any) -> Any:
    """Integers in a Tensor become float32, as in torch."""
    whole = _integers.integral(x)
    return x if whole is None or not isinstance(x, Tensor) else Tensor(whole.astype(np.float32))


@rounded_once
def erfinv(x: Any) -> Any:
    """The number whose error function is x: infinite at -1 and 1, NaN beyond.

    To 0.6 Newton's method on ``erf``, above on ``erfc``, which keeps what is left to 1 (Abramowitz and
    Stegun 1964, 26.2.23 for the first guess).

    Parameters
    ----------
    x : array or Tensor
    """
    x = _float(x)
    a = unwrap(x, "erfinv", "x")
    out = as_array(_erfinv(a), a.dtype)

    def rule(g: Any, _: Any, out: Any) -> tuple[Any]:
        slope = _plain("exp", _binary_kernel("multiply", out, out))
        return (_binary_kernel("multiply", g, _scaled(slope, math.sqrt(math.pi) / 2)),)

    return result(out, (x,), rule, (None, out))


def _erfinv(a: Any) -> Any:
    size = np.abs(a)
    with np.errstate(all="ignore"):
        square = a * a
        near = np.zeros_like(a)
        for c in reversed(_SERIES):
            near = near * square + a.dtype.type(c)
        near = as_array(near * a)
        rest = 1 - size  # exact above a half
        t = np.sqrt(-2 * np.log(rest / 2))
        far = t - (2.30753 + t * 0.27061) / (1 + t * (0.99229 + t * 0.04481))
        far = as_array(far * math.sqrt(0.5), a.dtype)
        for _ in range(3):
            near = near - (_plain("erf", near) - a) / (2 / math.sqrt(math.pi) * np.exp(-near * near))
            error = (_plain("erfc", far) - rest) / (2 / math.sqrt(math.pi) * np.exp(-far * far))
            far = as_array(far + error / (1 - far * error), a.dtype)
            near = as_array(near, a.dtype)
        far = np.where(size == 1, np.inf, np.copysign(far, a))
        out = np.where(size < 0.6, near, np.copysign(far, a))
    return np.where(size <= 1, out, np.nan)


@rounded_once
def logit(input: Any, eps: float | None = None) -> Any:
    """``log(x / (1 - x))``, the inverse of the sigmoid; with ``eps`` of x limited to ``[eps, 1 - eps]``."""
    x = _float(input)
    if eps is not None:
        limit = number("logit", "eps", eps)
        x = clip(x, limit, 1 - limit)
    return subtract(log(x), log1p(multiply(x, -1.0)))


@rounded_once
def sinc(x: Any) -> Any:
    """``sin(pi x) / (pi x)``, and 1 at 0."""
    angle = multiply(_float(x), math.pi)
    small = _there(absolute(angle)) < 1e-3  # where a series is exact, and differentiable at 0
    near = where(small, angle, 0.0)  # far away the square would be infinite
    square = multiply(near, near)
    series = subtract(1.0, multiply(square, subtract(1 / 6, multiply(square, 1 / 120))))
    away = where(small, 1.0, angle)
    return where(small, series, divide(sin(away), away))


@rounded_once
def xlogy(x: Any, y: Any) -> Any:
    """``x * log(y)``, 0 where x is 0 (NaN where y is), with broadcasting.

    The slope along x is ``log(y)``, but 0 where x is 0 and y not above it; that along y is ``x / y``, which
    for 0 / 0 is NaN.
    """
    x, y = (v if isinstance(v, (int, float)) else _float(v) for v in _promotion.alike(x, y))
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        raise ArgumentError("xlogy: x and y are both numbers, expected at least one array")
    known = unwrap(y if isinstance(x, (int, float)) else x, "xlogy", "x")
    left, right = (
        beside(known, np.asarray(v, known.dtype)) if isinstance(v, (int, float)) else unwrap(v, "xlogy", name)
        for name, v in (("x", x), ("y", y))
    )
    same_dtype("xlogy", x=left, y=right)
    out = where((left == 0) & ~np.isnan(right), 0.0, multiply(left, log(right)))

    def rule(g: Any, left: Any, right: Any) -> tuple[Any, Any]:
        nothing = (_there(left) == 0) & (_there(right) <= 0)
        gx = where(nothing, 0.0, multiply(g, log(right)))
        return sum_to(gx, left.shape), sum_to(multiply(g, divide(left, right)), right.shape)

    inputs = tuple([None if isinstance(v, (int, float)) else v for v in (x, y)])
    return result(out, inputs, rule, (left, right))


def _there(x: Any) -> Any:
    """The array of numbers, an array or a Tensor, where it is."""
    return as_array(_array(x))


@rounded_once
def heaviside(x: Any, values: Any) -> Any:
    """0 below 0, 1 above, ``values`` at 0, NaN for NaN, with broadcasting. No gradient reaches x."""
    plain = x.detach() if isinstance(x, Tensor) else x
    if isinstance(x, (bool, int, float)) and is_on_gpu(getattr(values, "_data", values)):
        kind = values.dtype if isinstance(x, float) and values.dtype.kind == "f" else None
        plain = beside(values, np.asarray(x, kind))
    there = _there(plain)
    if there.dtype.kind == "b":
        return where(there, there, values)
    step = where(isnan(plain), plain, multiply(plain, 0.0)) if there.dtype.kind == "f" else plain
    zero, one = (0.0, 1.0) if there.dtype.kind == "f" else (0, 1)
    step = where(there > 0, one, where(there < 0, zero, step))
    return where(there == 0, values, step)


@rounded_once
def fmax(a: Any, b: Any) -> Any:
    """The larger of both, element by element; a number wins over NaN."""
    return _known(a, b, maximum)


@rounded_once
def fmin(a: Any, b: Any) -> Any:
    """The smaller of both, element by element; a number wins over NaN."""
    return _known(a, b, minimum)


def _known(a: Any, b: Any, choose: Any) -> Any:
    try:
        left, right = np.isnan(_there(a)), np.isnan(_there(b))
    except TypeError:
        return choose(a, b)  # which names what is no number
    if not (left.any() or right.any()):
        return choose(a, b)
    return where(left, b, where(right, a, choose(a, b)))


@rounded_once
def deg2rad(x: Any) -> Any:
    """Degrees in radians."""
    return multiply(_float(x), math.pi / 180)


@rounded_once
def rad2deg(x: Any) -> Any:
    """Radians in degrees."""
    return multiply(_float(x), 180 / math.pi)
