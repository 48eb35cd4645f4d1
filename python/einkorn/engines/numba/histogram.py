"""Binning of columns and plain histograms: each column is a task, in plain loops.

Edges come from the sorted values of a column; codes from a binary search.
"""

from __future__ import annotations

import numpy as np

from ._checks import floats, optional_read, read, require, strided, write
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


def _check_codes(codes: Array) -> None:
    if codes.dtype not in (np.uint8, np.uint16):
        raise TypeError("codes must be uint8 or uint16")


@kernel
def bin_edges(edges: Array, counts: Array, x: Array, rows: Array | None, weight: Array | None) -> None:
    """edges [n, max_bins - 1], counts [n]: the thresholds between each column's bins, and how many bins."""
    require(x.ndim == 2, "x must be [rows, n]")
    n = x.shape[1]
    require(edges.ndim == 2 and len(edges) == n, "edges must be [n, max_bins - 1]")
    size = x.shape[0] if rows is None else rows.size
    edges = write("edges", edges, np.float64, *edges.shape)
    counts = write("counts", counts, np.int32, n)
    strided("x", x, floats(x))
    at = optional_read("rows", rows, np.int64, size)
    require(bool(((at >= 0) & (at < len(x))).all()), "rows must be rows of x")
    w = optional_read("weight", weight, np.float64, size)
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
    require(x.ndim == 2 and codes.ndim == 2, "x must be [rows, n] and codes [n, rows]")
    rows, n = x.shape
    require(codes.shape == (n, rows), "codes must be [n, rows]")
    offsets = read("offsets", offsets, np.int64, n + 1)
    categorical = read("categorical", categorical, np.uint8, n)
    require(
        bool((offsets >= 0).all() and (np.diff(offsets) >= 0).all() and offsets[-1] <= edges.size),
        "offsets must ascend within edges",
    )
    _check_codes(codes)
    codes = write("codes", codes, codes.dtype, n, rows)
    strided("x", x, floats(x))
    edges = read("edges", edges, np.float64, edges.size)
    parallel_for(
        x.shape[1],
        20.0 * x.shape[0] + 1,
        lambda start, stop: _bin_columns(start, stop, codes, x, edges, offsets, categorical, missing_code),
    )


@kernel
def histogram(out: Array, codes: Array, gradients: Array, hessians: Array | None, rows: Array | None) -> None:
    """out[f, b] = (sum of g, sum of h, number) of the rows with codes[f, r] = b."""
    require(codes.ndim == 2 and out.ndim == 3, "codes must be [n, rows] and out [n, bins, 3]")
    n, all_rows = codes.shape
    require(len(out) == n and out.shape[2] == 3, "out must be [n, bins, 3]")
    size = all_rows if rows is None else rows.size
    at = optional_read("rows", rows, np.int64, size)
    require(bool(((at >= 0) & (at < all_rows)).all()), "rows must be rows of codes")
    _check_codes(codes)
    codes = read("codes", codes, codes.dtype, n, all_rows)
    out = write("out", out, np.float64, *out.shape)
    gradients = read("gradients", gradients, np.float64, all_rows)
    h = optional_read("hessians", hessians, np.float64, all_rows)
    parallel_for(
        codes.shape[0],
        3.0 * size + out.shape[1] + 1,
        lambda start, stop: _histogram(start, stop, out, codes, gradients, h, at, rows is None),
    )


@kernel
def histogram_subtract(out: Array, a: Array, b: Array) -> None:
    """out = a - b."""
    size = out.size
    out = write("out", out, np.float64, size)
    a, b = read("a", a, np.float64, size), read("b", b, np.float64, size)
    parallel_for(size, 1.0, lambda start, stop: _subtract(start, stop, out, a, b))
