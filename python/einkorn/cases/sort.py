"""Cases of sorting, medians and quantiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, given, integers, normal, sprinkled, uniform

Array = np.ndarray

INF, NAN = math.inf, math.nan


def _order(x: Array, dim: int, descending: bool) -> Array:
    """Stable, NaN above all: a falling order is the rising one of the line turned around, from its end."""
    if not descending:
        return np.argsort(x, dim, kind="stable")
    n = x.shape[dim] if x.ndim else 1
    return n - 1 - np.flip(np.argsort(np.flip(x, dim), dim, kind="stable"), dim)


def _sort(x: Array, dim: int = -1, descending: bool = False) -> tuple[Array, Array]:
    index = _order(x, dim, descending)
    return np.take_along_axis(x, index, dim), index


def _topk(x: Array, k: int, dim: int = -1, largest: bool = True) -> tuple[Array, Array]:
    values, index = _sort(x, dim, largest)
    first = np.arange(k)
    return np.take(values, first, dim), np.take(index, first, dim)


def _kthvalue(x: Array, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    values, index = _sort(x, dim)
    picked = np.take(values, k - 1, dim), np.take(index, k - 1, dim)
    return tuple(np.expand_dims(p, dim) if keepdim else p for p in picked)  # type: ignore[return-value]


def _median(x: Array, **options: Any) -> Any:
    if "axis" in options:
        return np.median(x, options["axis"], keepdims=options.get("keepdims", False))
    if options["dim"] is None:
        return np.sort(x, axis=None)[(x.size - 1) // 2]
    return _kthvalue(x, (x.shape[options["dim"]] + 1) // 2, options["dim"])


def _nanmedian(x: Array, axis: Any) -> Array:
    return np.nanmedian(x, axis)


def _of(function: Any) -> Any:
    def reference(
        x: Array, q: Any, axis: Any = None, keepdims: bool = False, interpolation: str = "linear"
    ) -> Array:
        q = np.asarray(q, x.dtype)
        return function(x, q, axis=axis, keepdims=keepdims, method=interpolation)

    return reference


def _unique(x: Array, **options: Any) -> Any:
    return np.unique(x, **options)


def _consecutive(x: Array, dim: int | None = None) -> Array:
    rows = x.reshape(-1, 1) if dim is None else np.moveaxis(x, dim, 0).reshape(x.shape[dim], -1)
    new = [i for i in range(len(rows)) if i == 0 or (rows[i] != rows[i - 1]).any()]
    return x.reshape(-1)[new] if dim is None else np.take(x, new, dim)


def _mode(x: Array, dim: int = -1) -> Any:
    def of(line: Array) -> tuple[Any, int]:
        values, counts = np.unique(line, return_counts=True)
        best = values[np.argmax(counts)]
        return best, int(np.flatnonzero(line == best)[-1])

    lines = np.moveaxis(x, dim, -1)
    found = [of(line) for line in lines.reshape(-1, lines.shape[-1])]
    shape = lines.shape[:-1]
    values = np.array([value for value, _ in found], x.dtype).reshape(shape)
    return values, np.array([index for _, index in found], np.int64).reshape(shape)


def _searchsorted(line: Array, values: Array, right: bool = False) -> Array:
    side: Any = "right" if right else "left"
    if line.ndim == 1:
        return np.searchsorted(line, values, side)
    pairs = zip(line.reshape(-1, line.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True)
    return np.array([np.searchsorted(a, v, side) for a, v in pairs]).reshape(values.shape)


def _stable(torch: Any, x: Any, dim: int = -1, descending: bool = False) -> Any:
    return torch.sort(x, dim=dim, descending=descending, stable=True)


def _no_ties(name: str) -> Any:
    return lambda torch, x, *args, **options: getattr(torch, name)(x, *args, **options)


sort = Op("sort", _sort, _stable)
argsort = Op("argsort", lambda x, dim=-1, descending=False: _order(x, dim, descending))
topk = Op("topk", _topk, _no_ties("topk"))
kthvalue = Op("kthvalue", _kthvalue, _no_ties("kthvalue"))
median = Op("median", _median)
nanmedian = Op("nanmedian", _nanmedian)
quantile = Op("quantile", _of(np.quantile), unit=1)
nanquantile = Op("nanquantile", _of(np.nanquantile), unit=1)
unique = Op("unique", _unique)
unique_consecutive = Op("unique_consecutive", _consecutive, "unique_consecutive")
mode = Op("mode", _mode, "mode")
searchsorted = Op("searchsorted", _searchsorted, "searchsorted")


def _cases() -> list[Case]:
    rising = given(-INF, -2.0, -2.0, 0.0, 0.5, 3.0, 3.0, 3.0, INF)
    cases = [
        sort(normal(3, 5, 4), dim=1).grad(),
        sort(normal(3, 37), descending=True).grad(),
        sort(normal(3, 0)),
        sort(normal(40, 500)).called("two threads"),
        sort(normal(300)).grad(),
        sort(normal(5000)).called("long"),
        sort(sprinkled(5, 40)).exact(),
        sort(sprinkled(5, 40), descending=True).exact(),
        sort(integers(7, 300), dim=0).exact(),
        sort(integers(3, 300), descending=True).exact(),
        sort(given(0.0, -0.0, -0.0, 0.0)).exact(),
        sort(normal(6, 33).laid_out("F")),
        argsort(integers(5, 40)),
        argsort(sprinkled(4, 40), dim=0, descending=True),
        topk(normal(3, 37), k=5).grad(),
        topk(normal(5, 9, 4), k=3, dim=1, largest=False).grad(),
        topk(normal(3, 9), k=0),
        topk(normal(2, 3000), k=7).grad().called("looked through"),
        topk(integers(2, 3000), k=700).exact().unlike_torch("takes any of the equal ones"),
        topk(sprinkled(2, 3000), k=300).exact().unlike_torch("takes any of the equal ones"),
        kthvalue(normal(3, 9), k=2).grad(),
        kthvalue(normal(3, 9, 2), k=9, dim=1, keepdim=True).grad(),
        median(normal(3, 8), axis=1).grad(),
        median(normal(3, 7), axis=None).grad(),
        median(normal(3, 8), dim=1).grad(),
        median(normal(3, 8), dim=None).grad(),
        median(normal(3, 4, 5), axis=(0, 2), keepdims=True),
        nanmedian(sprinkled(4, 15), axis=1),
        nanmedian(normal(3, 7), axis=1).grad(),
        quantile(normal(3, 9), q=0.3).grad(),
        quantile(normal(3, 9), q=(0.0, 0.35, 1.0), axis=1).grad(),
        quantile(normal(3, 4, 5), q=0.7, axis=(0, 2), keepdims=True).grad(),
        nanquantile(normal(3, 9), q=0.3, axis=0).grad(),
        unique(integers(5, 40)),
        unique(integers(5, 40), return_inverse=True, return_counts=True),
        unique(normal(0)),
        unique(integers(30, 2), axis=0),
        unique_consecutive(integers(5, 40)),
        unique_consecutive(integers(3, 30), dim=1),
        mode(integers(4, 9)),
        mode(given(2.0, 1.0, 2.0, 1.0, 5.0, -1.0, shape=(3, 2)), dim=0),
        mode(normal(4, 5), dim=0).grad(0),  # each element once: the smallest, with differences around it
        searchsorted(rising, uniform(3, 20, low=-3, high=4)),
        searchsorted(rising, given(-2.0, 3.0, NAN, INF), right=True),
        searchsorted(given(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, shape=(2, 3)), uniform(2, 4, low=0, high=7)),
        sort(normal(1_000_000)).bench(quick=True),
        sort(normal(4096, 512)).bench(),
        topk(normal(64, 50257), k=10).bench(),
    ]
    cases += [
        quantile(normal(3, 9), q=0.3, axis=1, interpolation=name)
        for name in ("lower", "higher", "midpoint", "nearest")
    ]
    return cases


CASES: list[Case] = _cases()
