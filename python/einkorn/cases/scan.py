"""Cases of scans and counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, given, indices, integers, normal, sprinkled, uniform

Array = np.ndarray

INF, NAN = math.inf, math.nan


def _scale(x: Array, axis: int | None = None) -> Array:
    return np.cumsum(np.abs(x), axis)


def _logcumsumexp(x: Array, axis: int | None = None) -> Array:
    return np.logaddexp.accumulate(x.ravel() if axis is None else x, 0 if axis is None else axis)


def _extreme(ufunc: Any, better: Any) -> Any:
    def reference(x: Array, dim: int) -> tuple[Array, Array]:
        values = ufunc.accumulate(x, dim)
        same = (x == values) | (np.isnan(x) & np.isnan(values))
        places = np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
        return values, np.maximum.accumulate(np.where(same, places, 0), dim)

    return reference


def _torch(name: str) -> Any:
    def call(torch: Any, x: Any, axis: int | None = None) -> Any:
        return getattr(torch, name)(x.reshape(-1) if axis is None else x, 0 if axis is None else axis)

    return call


def _over(name: str) -> Any:
    return lambda torch, x, axis=None: getattr(torch, name)(x, dim=axis)


cumsum = Op("cumsum", np.cumsum, _torch("cumsum"), scale=_scale)
cumprod = Op("cumprod", np.cumprod, _torch("cumprod"))
logcumsumexp = Op("logcumsumexp", _logcumsumexp, _torch("logcumsumexp"), unit=1)
cummax = Op("cummax", _extreme(np.maximum, np.greater_equal), "cummax")
cummin = Op("cummin", _extreme(np.minimum, np.less_equal), "cummin")
count_nonzero = Op(
    "count_nonzero", lambda x, axis=None: np.asarray(np.count_nonzero(x, axis)), _over("count_nonzero")
)
any_ = Op("any", lambda x, axis=None: np.any(x, axis))
all_ = Op("all", lambda x, axis=None: np.all(x, axis))


def _histc(x: Array, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    ends = (min, max) if min or max else (np.min(x), np.max(x))
    return np.histogram(x, bins, ends)[0].astype(x.dtype)


bincount = Op("bincount", np.bincount, "bincount")
histc = Op("histc", _histc, "histc")


def _cases() -> list[Case]:
    cases = []
    for op in (cumsum, cumprod, logcumsumexp):
        cases += [
            op(uniform(3, 5, 4, low=0.5, high=1.5), axis=1).grad(),
            op(normal(3, 33), axis=-1).grad(),
            op(uniform(4, 5, low=0.5, high=1.5)).grad(),
            op(normal(3, 0, 2), axis=1),
        ]
    cases += [
        cumsum(normal(2, 300, 71), axis=1).grad().called("two threads"),
        cumsum(normal(6, 33).laid_out("F"), axis=0),
        cumsum(given(1.0, INF, 2.0, -INF, 3.0, NAN, 1.0)),
        cumsum(integers(5, 17), axis=1).exact(),
        logcumsumexp(given(-INF, -INF, 700.0, 1.0, 800.0, INF, NAN)),
    ]
    for op in (cummax, cummin):
        cases += [
            op(integers(5, 17), dim=1).exact(),
            op(normal(3, 9, 4), dim=-2).grad(),
            op(sprinkled(5, 17), dim=0),
        ]
    for op in (count_nonzero, any_, all_):
        cases += [
            op(integers(4, 5)),
            op(integers(3, 5, 4), axis=1),
            op(integers(3, 5, 4), axis=(0, 2)),
            op(sprinkled(0, 3), axis=0),
        ]
    cases += [
        any_(given(0.0, -0.0)),
        bincount(indices(50, below=7)),
        bincount(indices(5, below=3), minlength=9),
        bincount(indices(50, below=7), normal(50)),
        bincount(indices(0, below=3)),
        histc(normal(200), bins=10),
        histc(normal(20, 9), bins=7, min=-0.9, max=1.3),
        all_(given(NAN, 1.0)),
        cumsum(normal(2048, 1024), axis=1).bench(),
        cumsum(normal(2048, 1024), axis=0).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
