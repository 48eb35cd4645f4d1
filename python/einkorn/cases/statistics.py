"""Cases of products, norms, deviations, and sums that pass over NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, given, integers, normal, sprinkled, uniform

Array = np.ndarray
Axis = Any

INF, NAN = math.inf, math.nan


def _torch(name: str) -> Any:
    def call(torch: Any, x: Any, axis: Axis = None, keepdims: bool = False, **rest: Any) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return getattr(torch, name)(x, dim=axes, keepdim=keepdims, **rest)

    return call


def _std(x: Array, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Array:
    return np.std(x, axis=axis, keepdims=keepdims, ddof=correction)


def _logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if x.size == 0:
        return np.full(np.sum(x, axis, keepdims=keepdims).shape, -INF, x.dtype)
    ufunc: Any = np.logaddexp
    return ufunc.reduce(x, axis=axis, keepdims=keepdims)


def _norm(x: Array, p: Any = 2, dim: Axis = None, keepdim: bool = False) -> Array:
    size = np.abs(x)
    if p == "fro":
        p = 2
    if p == 0:
        return np.count_nonzero(x, dim, keepdims=keepdim).astype(x.dtype)
    if abs(p) == INF:
        return (np.max if p > 0 else np.min)(size, axis=dim, keepdims=keepdim)
    return np.sum(size ** x.dtype.type(p), dim, keepdims=keepdim) ** x.dtype.type(1 / p)


def _prod(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.prod(x, axis=axis, keepdims=keepdims)


def _prod_scale(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """As many roundings as factors meet."""
    product = np.abs(_prod(x, axis, keepdims))
    return product * math.sqrt(max(x.size / max(product.size, 1), 1))


def _nanmean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    counts = np.sum(~np.isnan(x), axis, keepdims=keepdims, dtype=x.dtype)
    return np.divide(np.nansum(x, axis, keepdims=keepdims), counts)


prod = Op("prod", _prod, scale=_prod_scale)
amax, amin = Op("amax", np.max, _torch("amax")), Op("amin", np.min, _torch("amin"))
argmin = Op(
    "argmin",
    lambda x, axis=None: np.asarray(np.argmin(x, axis), np.int64),
    lambda torch, x, axis=None: torch.argmin(x, axis),
)
std = Op("std", _std, _torch("std"), unit=1e-3)
logsumexp = Op("logsumexp", _logsumexp, _torch("logsumexp"), unit=1)
nansum = Op("nansum", np.nansum, _torch("nansum"), unit=1)
nanmean = Op("nanmean", _nanmean, _torch("nanmean"), unit=1)
norm = Op("norm", _norm, "norm")


def _cases() -> list[Case]:
    cases = []
    for op in (prod, amax, amin, std, logsumexp, nansum, nanmean):
        cases += [
            op(normal(3, 17)).grad(),
            op(normal(3, 5, 4), axis=1).grad(),
            op(normal(3, 5, 4), axis=(0, 2), keepdims=True).grad(),
        ]
    cases += [
        prod(normal()).grad(),
        prod(normal(0)),
        prod(normal(3, 0), axis=0),
        prod(given(2.0, 0.0, 3.0, 0.5, 0.0, 2.0, 1.0, 3.0, shape=(2, 4)), axis=1).grad(),
        prod(given(0.0, 2.0, 0.0, 3.0)).grad(),
        prod(integers(257)).exact(),
        prod(uniform(70_001, low=0.98, high=1.02)).called("two threads"),
        argmin(integers(5, 40)),
        argmin(sprinkled(5, 40), axis=1),
        std(uniform(4, 99, low=10, high=11), axis=1),
        std(normal(5, 7), axis=0, correction=0).grad(),
        logsumexp(given(-INF, -INF)),
        logsumexp(given(1000.0, 1001.0, -1000.0)).grad(),
        logsumexp(given(-INF, 1.0, INF)),
        logsumexp(normal(0)),
        nansum(sprinkled(5, 17), axis=1),
        nanmean(given(NAN, 1.0, 2.0, NAN, NAN, NAN, shape=(2, 3)), axis=1),
        norm(normal(3, 5)).grad(),
        norm(given(0.0, 0.0, 3.0, 4.0, shape=(2, 2)), p=2, dim=1),
    ]
    for p in (0, 1, 2, 3, 0.5, INF, -INF):
        cases.append(norm(normal(3, 7), p=p, dim=1))
    cases += [norm(normal(3, 7), p=p, dim=0, keepdim=True).grad(0) for p in (1, 2, 3, INF)]
    cases += [prod(normal(2048, 1024), axis=1).bench(), norm(normal(2048, 1024), p=2, dim=1).bench()]
    return cases


CASES: list[Case] = _cases()
