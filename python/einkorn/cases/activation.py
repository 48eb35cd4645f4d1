"""Cases of the activations of activation.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, given, normal, uniform

Array = np.ndarray

INF, NAN = math.inf, math.nan

# --- references ---------------------------------------------------------------------------------


def _selu(x: Array) -> Array:
    alpha, scale = x.dtype.type(1.6732632423543772), x.dtype.type(1.0507009873554805)
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(x / x.dtype.type(alpha)))


def _mish(x: Array) -> Array:
    return np.where(x == -INF, 0, x * np.tanh(np.logaddexp(x, np.zeros_like(x))))


def _hardsigmoid(x: Array) -> Array:
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


def _hardswish(x: Array) -> Array:
    return np.where(x >= 3, x, np.where(x <= -3, 0, x * _hardsigmoid(x)))


def _hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    return np.minimum(np.maximum(x, x.dtype.type(min_val)), x.dtype.type(max_val))


def _hardshrink(x: Array, lambd: float = 0.5) -> Array:
    return np.where(np.abs(x) <= lambd, 0, x)


def _softshrink(x: Array, lambd: float = 0.5) -> Array:
    return np.sign(x) * np.maximum(np.abs(x) - x.dtype.type(lambd), 0)


def _tanhshrink(x: Array) -> Array:
    # Near 0 both are equal to most digits: there the first terms of the series.
    z = x * x
    near = x * z * (1 / 3 - z * (2 / 15 - z * (17 / 315 - z * (62 / 2835 - z * 1382 / 155925))))
    return np.where(np.abs(x) < 0.02, near, x - np.tanh(x))


def _logsigmoid(x: Array) -> Array:
    return -np.logaddexp(np.zeros_like(x), -x)


def _softsign(x: Array) -> Array:
    return x / (1 + np.abs(x))


def _threshold(x: Array, threshold: float, value: float) -> Array:
    return np.where(x <= threshold, x.dtype.type(value), x)


def _glu(x: Array, dim: int = -1) -> Array:
    left, right = np.split(x, 2, dim)
    return left / (1 + np.exp(-right))


def _softmin(x: Array, dim: int = -1) -> Array:
    e = np.exp(-x - np.max(-x, axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def _rrelu(x: Array, lower: float = 1 / 8, upper: float = 1 / 3) -> Array:
    return np.where(x < 0, x * x.dtype.type((lower + upper) / 2), x)


# --- operations ---------------------------------------------------------------------------------


def _op(name: str, reference: Any, unit: float = 0.0) -> Op:
    return Op(
        name,
        reference,
        f"nn.functional.{name}",
        flops=lambda shapes, out, options: 12 * math.prod(out),
        unit=unit,
    )


selu = _op("selu", _selu)
celu = _op("celu", _celu)
mish = _op("mish", _mish)
hardswish = _op("hardswish", _hardswish, 1)
hardsigmoid = _op("hardsigmoid", _hardsigmoid, 1)
hardtanh = _op("hardtanh", _hardtanh)
relu6 = _op("relu6", lambda x: np.minimum(np.maximum(x, 0), 6))
hardshrink = _op("hardshrink", _hardshrink)
softshrink = _op("softshrink", _softshrink, 1)
tanhshrink = _op("tanhshrink", _tanhshrink)
logsigmoid = _op("logsigmoid", _logsigmoid)
softsign = _op("softsign", _softsign)
threshold = _op("threshold", _threshold)
glu = _op("glu", _glu)
softmin = _op("softmin", _softmin)
rrelu = _op("rrelu", _rrelu)

#: With the options that must be given.
ALL: tuple[tuple[Op, dict[str, Any]], ...] = (
    (selu, {}),
    (celu, {}),
    (mish, {}),
    (hardswish, {}),
    (hardsigmoid, {}),
    (hardtanh, {}),
    (relu6, {}),
    (hardshrink, {}),
    (softshrink, {}),
    (tanhshrink, {}),
    (logsigmoid, {}),
    (softsign, {}),
    (threshold, {"threshold": 0.1, "value": -2.0}),
)

# --- cases --------------------------------------------------------------------------------------


def _cases() -> list[Case]:
    steep = given(-88.0, -20.0, -3.0, -0.5, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.5, 3.0, 6.0, 20.0, 88.0, NAN)
    cases = []
    for op, options in ALL:
        case = op(normal(3, 37), **options).grad()
        if op is hardsigmoid:
            case = case.unlike_torch("has a slope of float32 in float64")
        cases.append(case)
        case = op(steep, **options)
        cases.append(case.unlike_torch("loses digits near 0") if op is tanhshrink else case)
    cases += [
        selu(normal(0)),
        mish(normal(6, 33).laid_out("F")).grad(),
        mish(normal(40_003)).called("two threads"),
        mish(given(-INF, INF)).unlike_torch("gives NaN where the limit is 0"),
        hardswish(given(-INF, INF)).unlike_torch("gives NaN where the limit is 0"),
        logsigmoid(given(-INF, INF)),
        celu(normal(5, 7), alpha=0.5).grad(),
        hardtanh(normal(5, 7), min_val=-0.3, max_val=2.0).grad(),
        hardshrink(normal(5, 7), lambd=1.0).grad(),
        softshrink(normal(5, 7), lambd=0.0),
        tanhshrink(uniform(999, low=-1, high=1)).unlike_torch("loses digits near 0"),
        glu(normal(3, 8)).grad(),
        glu(normal(4, 3, 2), dim=0).grad(),
        glu(normal(2, 0)),
        softmin(normal(3, 7), dim=-1).grad(),
        softmin(normal(3, 5, 2), dim=1).grad(),
        rrelu(normal(3, 7)).grad(),
        rrelu(normal(3, 7), lower=0.1, upper=0.5).grad(),
        mish(normal(2048, 1024)).bench(),
        hardswish(normal(2048, 1024)).bench(),
        selu(normal(2048, 1024)).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
