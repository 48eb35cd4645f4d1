"""Mathematical functions, element by element. Names are torch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError
from einkorn.ops import _integers
from einkorn.ops._elementwise import (
    Gradients,
    _binary,
    _binary_kernel,
    _chosen,
    _negated,
    _plain,
    _scalar_like,
    _scaled,
    _unary,
)
from einkorn.ops._options import integer, number
from einkorn.ops._road import unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.elementwise import add, clip, divide, multiply, subtract, where
from einkorn.ops.math_questions import _array, _classified, _integers_pair

__all__ = [
    "acos",
    "acosh",
    "addcdiv",
    "addcmul",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp",
    "copysign",
    "cosh",
    "erfc",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "hypot",
    "lerp",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "nan_to_num",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "sinh",
    "tan",
    "trunc",
]


def _plus(a: Any, number: float) -> Any:
    return _binary_kernel("add", a, _scalar_like(number, a))


def _times(a: Any, b: Any) -> Any:
    return _binary_kernel("multiply", a, b)


def _over(a: Any, b: Any) -> Any:
    return _binary_kernel("divide", a, b)


def _one_minus_square(a: Any) -> Any:
    return _times(_plus(_negated(a), 1.0), _plus(a, 1.0))


# --- of one number --------------------------------------------------------------------------------


def exp2(x: Any) -> Any:
    """``2 ** x``."""
    return _unary("exp2", x, lambda g, out: _scaled(_times(g, out), math.log(2)), saves="out")


def expm1(x: Any) -> Any:
    """``exp(x) - 1``, exact for small x too."""
    return _unary("expm1", x, lambda g, out: _times(g, _plus(out, 1.0)), saves="out")


def log2(x: Any) -> Any:
    """The logarithm to base 2; -inf at 0, NaN below."""
    return _unary("log2", x, lambda g, a: _scaled(_over(g, a), 1 / math.log(2)), saves="x")


def log10(x: Any) -> Any:
    """The logarithm to base 10; -inf at 0, NaN below."""
    return _unary("log10", x, lambda g, a: _scaled(_over(g, a), 1 / math.log(10)), saves="x")


def log1p(x: Any) -> Any:
    """``log(1 + x)``, exact for small x too; -inf at -1, NaN below."""
    return _unary("log1p", x, lambda g, a: _over(g, _plus(a, 1.0)), saves="x")


def rsqrt(x: Any) -> Any:
    """``1 / sqrt(x)``; infinite at 0, NaN below."""

    def backward(g: Any, out: Any) -> Any:
        return _scaled(_times(g, _times(out, _times(out, out))), -0.5)

    return _unary("rsqrt", x, backward, saves="out")


def _flat(kernel: str, x: Any) -> Any:
    """A function of steps: its gradient is 0. Integers are what they are already."""
    whole = _integers.integral(x)
    if whole is not None and (whole.dtype.kind != "b" or kernel == "sign"):
        signs = kernel == "sign" and whole.dtype.kind != "b"
        return _integers.wrapped(np.sign(whole) if signs else whole.copy(), x)
    return _unary(kernel, x, lambda g, _: _scaled(g, 0.0))


def sign(x: Any) -> Any:
    """-1, 0 or 1, as x is negative, 0 or positive; NaN for NaN. Its gradient is 0."""
    return _flat("sign", x)


def floor(x: Any) -> Any:
    """The largest whole number not above x. Its gradient is 0."""
    return _flat("floor", x)


def ceil(x: Any) -> Any:
    """The smallest whole number not below x. Its gradient is 0."""
    return _flat("ceil", x)


def trunc(x: Any) -> Any:
    """x without its fraction. Its gradient is 0."""
    return _flat("trunc", x)


@rounded_once
def round(x: Any, decimals: int = 0) -> Any:
    """The nearest whole number, halves to the even one. Its gradient is 0.

    Parameters
    ----------
    x : array or Tensor
    decimals : int, default 0
        Digits behind the point that stay; negative ones round before it.
    """
    digits = integer("round", "decimals", decimals)
    if digits == 0:
        return _flat("round", x)
    unwrap(x, "round", "x")
    scale = 10.0 ** abs(digits)
    if digits > 0:
        return divide(_flat("round", multiply(x, scale)), scale)
    return multiply(_flat("round", divide(x, scale)), scale)


def frac(x: Any) -> Any:
    """``x - trunc(x)``, with the sign of x."""
    return _unary("frac", x, lambda g, _: g)


def tan(x: Any) -> Any:
    """The tangent of x in radians."""
    return _unary("tan", x, lambda g, out: _times(g, _plus(_times(out, out), 1.0)), saves="out")


def asin(x: Any) -> Any:
    """The inverse sine, in radians; NaN outside [-1, 1]."""
    return _unary("asin", x, lambda g, a: _times(g, _plain("rsqrt", _one_minus_square(a))), saves="x")


def acos(x: Any) -> Any:
    """The inverse cosine, in radians; NaN outside [-1, 1]."""

    def backward(g: Any, a: Any) -> Any:
        return _negated(_times(g, _plain("rsqrt", _one_minus_square(a))))

    return _unary("acos", x, backward, saves="x")


def atan(x: Any) -> Any:
    """The inverse tangent, in radians."""
    return _unary("atan", x, lambda g, a: _over(g, _plus(_times(a, a), 1.0)), saves="x")


def sinh(x: Any) -> Any:
    """The hyperbolic sine."""
    return _unary("sinh", x, lambda g, a: _times(g, _plain("cosh", a)), saves="x")


def cosh(x: Any) -> Any:
    """The hyperbolic cosine."""
    return _unary("cosh", x, lambda g, a: _times(g, _plain("sinh", a)), saves="x")


def asinh(x: Any) -> Any:
    """The inverse hyperbolic sine."""
    return _unary("asinh", x, lambda g, a: _times(g, _plain("rsqrt", _plus(_times(a, a), 1.0))), saves="x")


def acosh(x: Any) -> Any:
    """The inverse hyperbolic cosine; NaN below 1."""

    def backward(g: Any, a: Any) -> Any:
        return _times(g, _plain("rsqrt", _times(_plus(a, -1.0), _plus(a, 1.0))))

    return _unary("acosh", x, backward, saves="x")


def atanh(x: Any) -> Any:
    """The inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond."""
    return _unary("atanh", x, lambda g, a: _over(g, _one_minus_square(a)), saves="x")


def erfc(x: Any) -> Any:
    """``1 - erf(x)``, exact where that is small too."""

    def backward(g: Any, a: Any) -> Any:
        return _scaled(_times(g, _plain("exp", _negated(_times(a, a)))), -2 / math.sqrt(math.pi))

    return _unary("erfc", x, backward, saves="x")


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in the place of NaN and infinities.

    Parameters
    ----------
    x : array or Tensor
    nan : float, default 0.0
    posinf, neginf : float, optional
        None: the largest and the smallest finite number of the type.
    """
    whole = _integers.integral(x)
    if whole is not None:
        return _integers.wrapped(whole.copy(), x)
    a = unwrap(x, "nan_to_num", "x")
    limits = np.finfo(a.dtype)
    values = {
        "nan": 0.0 if nan is None else nan,
        "posinf": float(limits.max) if posinf is None else posinf,
        "neginf": float(limits.min) if neginf is None else neginf,
    }
    for kind, question in (("nan", 0), ("posinf", 4), ("neginf", 5)):
        x = where(_classified(question, a), number("nan_to_num", kind, values[kind]), x)
    return x


# --- of two numbers -------------------------------------------------------------------------------


def floor_divide(a: Any, b: Any) -> Any:
    """``a / b`` rounded down; arguments and errors as :func:`add`. Its gradient is 0."""
    return divide(a, b, rounding_mode="floor")


def atan2(a: Any, b: Any) -> Any:
    """The angle of the point (b, a) in radians, from -pi to pi; arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def rule(g: Any, left: Any, right: Any) -> tuple[Any, Any]:
            # Divided by the distance twice, its square may be 0 or infinite; at the origin the gradient is 0.
            far = hypot(left, right)
            far = clip(far, np.finfo(far.dtype).tiny)
            scaled = _over(g, far)
            return (
                _times(scaled, _over(right, far)) if need_a else None,
                _negated(_times(scaled, _over(left, far))) if need_b else None,
            )

        return rule, (left, right)

    return _binary("atan2", a, b, gradients_of)


def hypot(a: Any, b: Any) -> Any:
    """``sqrt(a**2 + b**2)`` without overflow; arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def rule(g: Any, left: Any, right: Any, out: Any) -> tuple[Any, Any]:
            return (
                _times(g, _over(left, out)) if left is not None else None,
                _times(g, _over(right, out)) if right is not None else None,
            )

        return rule, (left if need_a else None, right if need_b else None, out)

    return _binary("hypot", a, b, gradients_of)


def logaddexp(a: Any, b: Any) -> Any:
    """``log(exp(a) + exp(b))`` without overflow; arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def rule(g: Any, left: Any, right: Any) -> tuple[Any, Any]:
            # By the difference: beside large numbers exp(left - out) would forget the log of their sum.
            apart = _binary_kernel("subtract", left, right)
            gap = _array(apart)
            alike = _binary_kernel("equal", _array(left), _array(right))
            infinities = _binary_kernel("greater", alike, _binary_kernel("equal", gap, gap))
            share = _plain("sigmoid", _chosen(infinities, 0.0, apart))
            ours = _times(g, share)
            return ours if need_a else None, _binary_kernel("subtract", g, ours) if need_b else None

        return rule, (left, right)

    return _binary("logaddexp", a, b, gradients_of)


def _rest(op: str, kernel: str, a: Any, b: Any) -> Any:
    whole = _integers_pair(np.fmod if op == "fmod" else np.remainder, a, b)
    if whole is not None:
        return whole

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def rule(g: Any, left: Any = None, right: Any = None) -> tuple[Any, Any]:
            if left is None:
                return g, None
            quotient = _binary_kernel(kernel, _array(left), _array(right))
            return g, _negated(_times(g, quotient))

        return rule, (left, right) if need_b else ()

    return _binary(op, a, b, gradients_of)


def fmod(a: Any, b: Any) -> Any:
    """What is left of ``a / b`` rounded towards 0, with the sign of a; see :func:`add`."""
    return _rest("fmod", "divide_trunc", a, b)


def remainder(a: Any, b: Any) -> Any:
    """What is left of ``a / b`` rounded down, with the sign of b. Arguments and errors as :func:`add`."""
    return _rest("remainder", "divide_floor", a, b)


def copysign(a: Any, b: Any) -> Any:
    """The size of a with the sign of b (of -0 too); arguments and errors as :func:`add`."""

    def gradients_of(left: Any, right: Any, out: Any, need_a: bool, need_b: bool) -> Gradients:
        def rule(g: Any, left: Any, right: Any, out: Any) -> tuple[Any, Any]:
            a, y = _array(left), _array(out)
            zero = _binary_kernel("equal", a, _scalar_like(0.0, a))
            return _times(g, _chosen(zero, 0.0, _over(y, a))), _scaled(g, 0.0)

        return rule, (left, None, out)

    return _binary("copysign", a, b, gradients_of)


@rounded_once
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``, with broadcasting.

    Parameters
    ----------
    input, end : array or Tensor
    weight : number, array or Tensor
    """
    return add(input, multiply(subtract(end, input), weight))


@rounded_once
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value * tensor1 * tensor2``, with broadcasting."""
    return add(input, multiply(tensor1, tensor2), alpha=number("addcmul", "value", value))


@rounded_once
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value * tensor1 / tensor2``, with broadcasting."""
    return add(input, divide(tensor1, tensor2), alpha=number("addcdiv", "value", value))


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """:func:`clip`, under torch's name, which wants at least one limit."""
    if min is None and max is None:
        raise ArgumentError("clamp: min and max are both None, expected at least one limit")
    return clip(x, min, max)
