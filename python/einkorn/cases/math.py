"""Cases of the mathematical functions and the questions of math.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Input, Op, given, integers, normal, positive, sprinkled, uniform

Array = np.ndarray

INF, NAN = math.inf, math.nan


def _each(function: Any) -> Any:
    """A function that NumPy lacks, from Python's library."""

    def apply(x: Array) -> Array:
        return np.array([function(float(v)) for v in x.ravel()], dtype=x.dtype).reshape(x.shape)

    return apply


def _op(name: str, reference: Any, torch: Any = None, unit: float = 0.0) -> Op:
    return Op(
        name, reference, torch or name, flops=lambda shapes, out, options: 12 * math.prod(out), unit=unit
    )


def _copysign(a: Array, b: Array) -> Array:
    return np.copysign(a, b)


exp2, expm1 = _op("exp2", np.exp2), _op("expm1", np.expm1)
log2, log10, log1p = _op("log2", np.log2, unit=1), _op("log10", np.log10, unit=1), _op("log1p", np.log1p)
rsqrt = _op("rsqrt", lambda x: 1 / np.sqrt(x))
sign = _op("sign", np.sign)
floor, ceil, trunc = _op("floor", np.floor), _op("ceil", np.ceil), _op("trunc", np.trunc)
round_ = _op(
    "round",
    lambda x, decimals=0: np.round(x, decimals),
    lambda torch, x, decimals=0: torch.round(x, decimals=decimals),
)
frac = _op("frac", lambda x: x - np.trunc(x))
tan, asin, acos, atan = (
    _op("tan", np.tan),
    _op("asin", np.arcsin),
    _op("acos", np.arccos),
    _op("atan", np.arctan),
)
sinh, cosh = _op("sinh", np.sinh), _op("cosh", np.cosh)
asinh, acosh, atanh = _op("asinh", np.arcsinh), _op("acosh", np.arccosh), _op("atanh", np.arctanh)
erfc = _op("erfc", _each(math.erfc))
atan2, hypot = _op("atan2", np.arctan2), _op("hypot", np.hypot)
logaddexp = _op("logaddexp", np.logaddexp, unit=1)
fmod, remainder = _op("fmod", np.fmod), _op("remainder", np.remainder, unit=1)
copysign = _op("copysign", _copysign)
floor_divide = _op("floor_divide", np.floor_divide)
lerp = _op("lerp", lambda a, b, w: a + w * (b - a), unit=1)
addcmul = _op("addcmul", lambda a, b, c, value=1: a + value * b * c, unit=1)
addcdiv = _op("addcdiv", lambda a, b, c, value=1: a + value * b / c, unit=1)
clamp = _op("clamp", lambda x, min=None, max=None: np.clip(x, min, max))
nan_to_num = _op("nan_to_num", np.nan_to_num)

eq, not_equal = _op("eq", np.equal), _op("not_equal", np.not_equal, "ne")
less, less_equal = _op("less", np.less), _op("less_equal", np.less_equal)
greater, greater_equal = _op("greater", np.greater), _op("greater_equal", np.greater_equal)
logical_and, logical_or = _op("logical_and", np.logical_and), _op("logical_or", np.logical_or)
logical_xor, logical_not = _op("logical_xor", np.logical_xor), _op("logical_not", np.logical_not)
isnan, isinf, isfinite = _op("isnan", np.isnan), _op("isinf", np.isinf), _op("isfinite", np.isfinite)
isposinf, isneginf = _op("isposinf", np.isposinf), _op("isneginf", np.isneginf)
signbit = _op("signbit", np.signbit)
isclose, allclose = _op("isclose", np.isclose), Op("allclose", np.allclose)
array_equal = Op("array_equal", np.array_equal)

#: With numbers where both they and their slopes are finite.
SMOOTH: tuple[tuple[Op, Input], ...] = (
    (exp2, normal(3, 37)),
    (expm1, normal(3, 37)),
    (log2, positive(3, 37)),
    (log10, positive(3, 37)),
    (log1p, positive(3, 37)),
    (rsqrt, positive(3, 37)),
    (tan, uniform(3, 37, low=-1.2, high=1.2)),
    (asin, uniform(3, 37, low=-0.9, high=0.9)),
    (acos, uniform(3, 37, low=-0.9, high=0.9)),
    (atan, normal(3, 37)),
    (sinh, normal(3, 37)),
    (cosh, normal(3, 37)),
    (asinh, normal(3, 37)),
    (acosh, uniform(3, 37, low=1.2, high=4)),
    (atanh, uniform(3, 37, low=-0.9, high=0.9)),
    (erfc, normal(3, 37)),
    (frac, normal(3, 37)),
    (sign, normal(3, 37)),
    (floor, normal(3, 37)),
    (ceil, normal(3, 37)),
    (trunc, normal(3, 37)),
    (round_, normal(3, 37)),
)

_EDGES = given(-INF, -88.0, -1.0, -1e-6, -0.0, 0.0, 1e-40, 1e-6, 0.5, 1.0, 2.0, 8.0, 1000.0, INF, NAN)
_HALVES = given(-2.5, -1.5, -0.5, -0.4, 0.5, 1.5, 2.5, 1e10, NAN, -INF)


def _cases() -> list[Case]:
    cases = []
    for op, x in SMOOTH:
        cases.append(op(x).grad())
    cases += [op(_EDGES) for op in (exp2, expm1, log2, log10, log1p, rsqrt, erfc)]
    cases += [op(_HALVES) for op in (floor, ceil, trunc, round_)]
    cases += [
        sign(_EDGES).unlike_torch("gives 0 for NaN"),
        expm1(uniform(999, low=-1e-2, high=1e-2)),
        expm1(uniform(999, low=-100, high=88)),
        log1p(uniform(999, low=-0.9, high=0.9)),
        exp2(normal(40_003)).called("two threads"),
        floor(normal(6, 33).laid_out("F")),
        round_(normal(5, 7), decimals=2),
        round_(uniform(5, 7, low=-999, high=999), decimals=-1),
    ]
    for op in (atan2, hypot, logaddexp):
        cases.append(op(normal(4, 5), normal(4, 5)).grad())
        cases.append(op(given(INF, -INF, NAN, 1.0, 0.0, 1e30), given(INF, -INF, 1.0, NAN, -1.0, 1e30)))
    cases += [
        hypot(normal(3, 1, 5), normal(4, 1)).grad(),
        fmod(normal(4, 5), positive(5)).grad(),
        fmod(given(7.0, -7.0, INF, 1.0, NAN), given(3.0, 3.0, 1.0, 0.0, 1.0)),
        remainder(normal(4, 5), positive(5)).grad(),
        remainder(given(7.0, -7.0, 7.0, -6.0, INF, 1.0), given(3.0, 3.0, -3.0, 3.0, 1.0, 0.0)),
        copysign(normal(4, 5), normal(5)).grad(0),
        copysign(given(1.0, 2.0, NAN), given(-0.0, 0.0, -1.0)),
        floor_divide(given(7.0, -7.0, 1.0), given(2.0, 2.0, 0.0)),
        lerp(normal(4, 5), normal(4, 5), normal(5)).grad(),
        addcmul(normal(4, 5), normal(5), normal(4, 1), value=-0.5).grad(),
        addcdiv(normal(4, 5), normal(5), positive(4, 1), value=2).grad(),
        clamp(normal(4, 5), min=-0.5, max=1.0).grad(),
        nan_to_num(sprinkled(5, 17), nan=1.0, posinf=2.0, neginf=-2.0),
        nan_to_num(normal(5, 7)).grad(),
    ]
    comparisons = (eq, not_equal, less, less_equal, greater, greater_equal)
    for op in (*comparisons, logical_and, logical_or, logical_xor):
        cases.append(op(integers(5, 17), integers(17)))
        cases.append(op(given(NAN, NAN, INF, -0.0), given(NAN, 1.0, INF, 0.0)))
    for op in (isnan, isinf, isfinite, isposinf, isneginf, signbit, logical_not):
        cases.append(op(sprinkled(5, 33)))
        cases.append(op(given(0.0, -0.0, NAN, INF, -INF, 1.0)))
    cases += [
        less(normal(6, 33).laid_out("F"), normal(6, 33).laid_out("F")),
        greater(normal(61, 701), normal(701)).called("two threads"),
        isnan(sprinkled(6, 33).laid_out("reversed")),
        isclose(given(1.0, 1.0, NAN, INF, INF), given(1.000001, 1.1, NAN, INF, -INF)),
        isclose(given(NAN, 1.0), given(NAN, NAN), equal_nan=True),
        isclose(normal(3, 5), normal(5), rtol=1.0, atol=0.1),
        allclose(normal(3, 5), normal(3, 5)),
        array_equal(normal(3, 5), normal(3, 5)),
        expm1(normal(2048, 1024)).bench(),
        log1p(positive(2048, 1024)).bench(),
        floor(normal(2048, 1024)).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
