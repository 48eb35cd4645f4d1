"""Binning of columns and plain histograms: each column is a task, in plain loops.

Edges come from the sorted values of a column; codes from a binary search.
"""

from __future__ import annotations

import numpy as np

from ._compile import (
    AnyIn2,
    Array,
    ByteIn1,
    CodesIn2,
    CodesOut2,
    Float64In1,
    Float64Out1,
    Float64Out2,
    Float64Out3,
    Index1,
    Int,
    Int32Out1,
    Loop,
    inline,
    nothing,
)
from ._kernels import kernel
from ._threads import parallel_for


@inline
def _between(a: float, b: float, like: Array) -> float:
    """Return a threshold that a does not exceed and b does, in the type of `like`."""
    like[0] = a * 0.5 + b * 0.5
    if like[0] >= a and like[0] < b:
        return like[0]
    return a


@inline
def _choose(edges: Array, values: Array, weights: Array, distinct: int, max_bins: int, like: Array) -> int:
    if distinct <= max_bins:
        for i in range(distinct - 1):
            edges[i] = _between(values[i], values[i + 1], like)
        return max(distinct, 1)
    total = 0.0
    for i in range(distinct):
        total += weights[i]
    heavy = total / max_bins
    rest, rest_bins = total, max_bins
    for i in range(distinct):
        if weights[i] >= heavy:
            rest -= weights[i]
            rest_bins -= 1
    share = rest / rest_bins if rest_bins > 0 else 0.0
    filled, bins = 0.0, 1
    for i in range(distinct - 1):
        if bins == max_bins:
            break
        is_heavy = weights[i] >= heavy
        if not is_heavy:
            rest -= weights[i]
        filled += weights[i]
        if not is_heavy and filled < share and weights[i + 1] < heavy:
            continue
        edges[bins - 1] = _between(values[i], values[i + 1], like)
        bins += 1
        filled = 0.0
        if not is_heavy:
            rest_bins -= 1
            if rest_bins > 0:
                share = rest / rest_bins
    return bins


@Loop
def _bin_edges(
    start: Int,
    stop: Int,
    edges: Float64Out2,
    counts: Int32Out1,
    x: AnyIn2,
    rows: Index1,
    all_rows: Int,
    weight: Float64In1,
) -> None:
    size = x.shape[0] if all_rows else rows.shape[0]
    weighted = weight.shape[0] > 0
    like = np.empty(1, x.dtype)
    for f in range(start, stop):
        values = np.empty(size, x.dtype)
        weights = np.empty(size)
        n = 0
        for i in range(size):
            value = x[i if all_rows else rows[i], f]
            if value == value and (not weighted or weight[i] > 0):
                values[n] = value
                weights[n] = weight[i] if weighted else 1.0
                n += 1
        order = np.argsort(values[:n], kind="mergesort")
        distinct = 0
        ascending = np.empty(n, x.dtype)
        sums = np.empty(n)
        for i in range(n):
            value = values[order[i]]
            if distinct > 0 and value == ascending[distinct - 1]:
                sums[distinct - 1] += weights[order[i]]
            else:
                ascending[distinct] = value
                sums[distinct] = weights[order[i]]
                distinct += 1
        counts[f] = _choose(edges[f], ascending, sums, distinct, edges.shape[1] + 1, like)


@Loop
def _bin_columns(
    start: Int,
    stop: Int,
    codes: CodesOut2,
    x: AnyIn2,
    edges: Float64In1,
    offsets: Index1,
    categorical: ByteIn1,
    missing_code: Int,
) -> None:
    for f in range(start, stop):
        first, known = offsets[f], offsets[f + 1] - offsets[f]
        for r in range(x.shape[0]):
            value = np.float64(x[r, f])
            if value != value:
                codes[f, r] = missing_code
                continue
            if categorical[f]:
                value = np.trunc(value)
            low, high = 0, known
            while low < high:
                middle = (low + high) // 2
                if edges[first + middle] < value:
                    low = middle + 1
                else:
                    high = middle
            if categorical[f] and low < known and edges[first + low] != value:
                low = known
            codes[f, r] = low


@Loop
def _histogram(
    start: Int,
    stop: Int,
    out: Float64Out3,
    codes: CodesIn2,
    gradients: Float64In1,
    hessians: Float64In1,
    rows: Index1,
    all_rows: Int,
) -> None:
    constant = hessians.shape[0] == 0
    for f in range(start, stop):
        out[f] = 0.0
        for i in range(codes.shape[1] if all_rows else rows.shape[0]):
            r = i if all_rows else rows[i]
            b = codes[f, r]
            if b < out.shape[1]:
                out[f, b, 0] += gradients[r]
                out[f, b, 1] += 1.0 if constant else hessians[r]
                out[f, b, 2] += 1.0


@Loop
def _subtract(start: Int, stop: Int, out: Float64Out1, a: Float64In1, b: Float64In1) -> None:
    for i in range(start, stop):
        out[i] = a[i] - b[i]


def _or_nothing(a: Array | None, dtype: type) -> Array:
    return np.empty(0, dtype) if a is None else a


@kernel
def bin_edges(edges: Array, counts: Array, x: Array, rows: Array | None, weight: Array | None) -> None:
    """edges [n, max_bins - 1], counts [n]: the thresholds between each column's bins, and how many bins."""
    size = x.shape[0] if rows is None else rows.size
    at, w = _or_nothing(rows, np.int64), _or_nothing(weight, np.float64)
    if weight is not None and size == 0:
        at, rows = nothing(edges, dtype=np.int64), at
    parallel_for(
        x.shape[1],
        100.0 * size + 1,
        lambda start, stop: _bin_edges(start, stop, edges, counts, x, at, rows is None, w),
    )


@kernel
def bin_columns(
    codes: Array, x: Array, edges: Array, offsets: Array, categorical: Array, missing_code: int
) -> None:
    """codes[f, r] = number of edges of column f below x[r, f]; the place among categories; or missing."""
    parallel_for(
        x.shape[1],
        20.0 * x.shape[0] + 1,
        lambda start, stop: _bin_columns(start, stop, codes, x, edges, offsets, categorical, missing_code),
    )


@kernel
def histogram(out: Array, codes: Array, gradients: Array, hessians: Array | None, rows: Array | None) -> None:
    """out[f, b] = (sum of g, sum of h, number) of the rows with codes[f, r] = b."""
    at, h = _or_nothing(rows, np.int64), _or_nothing(hessians, np.float64)
    size = codes.shape[1] if rows is None else rows.size
    parallel_for(
        codes.shape[0],
        3.0 * size + out.shape[1] + 1,
        lambda start, stop: _histogram(start, stop, out, codes, gradients, h, at, rows is None),
    )


@kernel
def histogram_subtract(out: Array, a: Array, b: Array) -> None:
    """out = a - b."""
    parallel_for(
        out.size,
        1.0,
        lambda start, stop: _subtract(start, stop, out.reshape(-1), a.reshape(-1), b.reshape(-1)),
    )
