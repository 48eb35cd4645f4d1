"""Running sums, products and extremes along an axis, and counts: csrc/kernels/scan.h.

x is [outer, n, inner]; a line is x[o, :, i]. Sums and products are kept in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._checks import floats, read, require, write
from ._compile import (
    Array,
    In1,
    In3,
    Index1,
    IndexOut1,
    IndexOut2,
    IndexOut3,
    Int,
    Loop,
    Out1,
    Out3,
    Scalar,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 2.0  # ns per element

f: Any = None  # what the template calls


def _scan(start: Int, stop: Int, out: Out3, x: In3, reverse: Int) -> None:
    n = x.shape[1]
    for line in range(start, stop):
        o, i = line // x.shape[2], line % x.shape[2]
        running = f(0.0, 0.0, True)
        for j in range(n):
            at = n - 1 - j if reverse else j
            running = f(running, np.float64(x[o, at, i]), False)
            out[o, at, i] = running


@inline
def _sum(running: float, x: float, first: bool) -> float:
    return 0.0 if first else running + x


@inline
def _product(running: float, x: float, first: bool) -> float:
    return 1.0 if first else running * x


@inline
def _log_sum(running: float, x: float, first: bool) -> float:
    if first:
        return -math.inf
    if math.isnan(running) or math.isnan(x):
        return running + x
    large, small = max(running, x), min(running, x)
    if large == small:
        return large + (math.log(2.0) if large > -math.inf else 0.0)
    return large + math.log1p(math.exp(small - large))


_sums = Loop(_scan, "cumsum", f=_sum)
_products = Loop(_scan, "cumprod", f=_product)
_log_sums = Loop(_scan, "log_cumsum_exp", f=_log_sum)


def _shape(x: Array, *others: Array) -> tuple[int, int, int]:
    require(x.ndim == 3 and all(a.size == x.size for a in others), "x must be 3-d and all arrays of its size")
    return x.shape


def _run(loop: Loop, out: Array, x: Array, reverse: bool) -> None:
    shape = _shape(x, out)
    out = write("out", out, floats(out), *shape)
    x = read("x", x, out.dtype, *shape)
    if x.size:
        parallel_for(shape[0] * shape[2], _COST * shape[1], lambda a, b: loop(a, b, out, x, int(reverse)))


@kernel
def cumsum(out: Array, x: Array, reverse: bool) -> None:
    """Running sums along the middle axis, from the end where reverse."""
    _run(_sums, out, x, reverse)


@kernel
def cumprod(out: Array, x: Array, reverse: bool) -> None:
    """Running products along the middle axis, from the end where reverse."""
    _run(_products, out, x, reverse)


@kernel
def log_cumsum_exp(out: Array, x: Array, reverse: bool) -> None:
    """Logarithms of running sums of exponentials, from the end where reverse."""
    _run(_log_sums, out, x, reverse)


@Loop
def _cumprod_grad(start: Int, stop: Int, gx: Out3, g: In3, x: In3) -> None:
    n = x.shape[1]
    for line in range(start, stop):
        o, i = line // x.shape[2], line % x.shape[2]
        zero = 0
        product = 1.0
        while zero < n and x[o, zero, i] != 0:
            product *= x[o, zero, i]
            gx[o, zero, i] = product
            zero += 1
        total = 0.0
        rest = product
        for j in range(zero, n):
            if j > zero:
                rest *= x[o, j, i]
            total += g[o, j, i] * rest
            gx[o, j, i] = 0.0
        if zero < n:
            gx[o, zero, i] = total
        total = 0.0
        for j in range(zero - 1, -1, -1):
            total += np.float64(g[o, j, i]) * np.float64(gx[o, j, i])
            gx[o, j, i] = total / x[o, j, i]


@kernel
def cumprod_grad(gx: Array, g: Array, x: Array) -> None:
    """Before the first 0 of a line quotients of sums, at it a sum of products, behind it 0."""
    shape = _shape(x, gx, g)
    gx = write("gx", gx, floats(gx), *shape)
    g, x = read("g", g, gx.dtype, *shape), read("x", x, gx.dtype, *shape)
    if x.size:
        parallel_for(shape[0] * shape[2], 3 * _COST * shape[1], lambda a, b: _cumprod_grad(a, b, gx, g, x))


@Loop
def _extreme(start: Int, stop: Int, out: Out3, index: IndexOut3, x: In3, smallest: Int) -> None:
    for line in range(start, stop):
        o, i = line // x.shape[2], line % x.shape[2]
        best = x[o, 0, i]
        at = 0
        for j in range(x.shape[1]):
            v = x[o, j, i]
            better = v <= best if smallest else v >= best
            if math.isnan(v) or better:  # nothing is better than NaN
                best = v
                at = j
            out[o, j, i] = best
            index[o, j, i] = at


@kernel
def cumulative_extreme(out: Array, index: Array, x: Array, smallest: bool) -> None:
    """The largest (or smallest) number so far, and where it was last."""
    shape = _shape(x, out)
    _shape(x, index)
    out, places = write("out", out, floats(out), *shape), write("index", index, np.int64, *shape)
    x = read("x", x, out.dtype, *shape)
    if x.size:
        parallel_for(
            shape[0] * shape[2],
            _COST * shape[1],
            lambda a, b: _extreme(a, b, out, places, x, int(smallest)),
        )


@Loop
def _count(start: Int, stop: Int, out: IndexOut2, x: In3) -> None:
    for line in range(start, stop):
        o, i = line // x.shape[2], line % x.shape[2]
        count = 0
        for j in range(x.shape[1]):
            if x[o, j, i] != 0:
                count += 1
        out[o, i] = count


@kernel
def count_nonzero(out: Array, x: Array) -> None:
    """How many numbers of each line are not 0."""
    require(
        x.ndim == 3 and out.size == x.shape[0] * x.shape[2],
        "count_nonzero: x must be 3-d, out [outer, inner]",
    )
    x = read("x", x, floats(x), *x.shape)
    counts = write("out", out, np.int64, x.shape[0], x.shape[2])
    if counts.size:
        parallel_for(counts.size, _COST * max(x.shape[1], 1), lambda a, b: _count(a, b, counts, x))


@Loop
def _count_bins(out: IndexOut1, x: In1, low: Scalar, high: Scalar) -> None:
    bins = out.shape[0]
    width = high - low
    for i in range(x.shape[0]):
        v = x[i]
        if low <= v <= high:
            out[min(int((v - low) / width * bins), bins - 1)] += 1


@kernel
def count_bins(out: Array, x: Array, low: float, high: float) -> None:
    """How many numbers are in each of the bins between low and high."""
    require(out.size >= 1, "count_bins: out must have a bin at least")
    with np.errstate(all="ignore"):
        first, last = floats(x).type(low), x.dtype.type(high)
        width = last - first
    require(bool(0 < width < math.inf), "count_bins: high must be above low, by a finite number")
    counts = write("out", out, np.int64, out.size)
    x = read("x", x, x.dtype, x.size)
    counts[:] = 0
    _count_bins(counts, x, float(first), float(last))


@Loop
def _weigh_values(out: Out1, index: Index1, weights: In1) -> None:
    for i in range(index.shape[0]):
        if 0 <= index[i] < out.shape[0]:
            out[index[i]] += weights[i]


@kernel
def weigh_values(out: Array, index: Array, weights: Array) -> None:
    """The sums of the weights of each index."""
    require(index.size == weights.size, "index and weights must have one size")
    sums = write("out", out, floats(out), out.size)
    sums[:] = 0
    _weigh_values(
        sums, read("index", index, np.int64, index.size), read("weights", weights, sums.dtype, index.size)
    )


@Loop
def _count_values(out: IndexOut1, index: Index1) -> None:
    for i in range(index.shape[0]):
        if 0 <= index[i] < out.shape[0]:
            out[index[i]] += 1


@kernel
def count_values(out: Array, index: Array) -> None:
    """How often each index is there."""
    counts = write("out", out, np.int64, out.size)
    counts[:] = 0
    _count_values(counts, read("index", index, np.int64, index.size))
