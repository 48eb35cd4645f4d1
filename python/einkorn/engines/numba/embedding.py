"""Rows of a table, looked up and summed.

Sums of rows go entry by entry, in the order in which NumPy sorts the entries by their row, keeping their
order: each row of the result belongs to one slice, so the bits do not depend on the threads. The rows of
a lookup, and of a sum, are written from their own entries alone.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, optional_read, optional_write, read, require, write
from ._compile import Array, In1, In2, Index1, Index2, IndexOut1, IndexOut2, Int, Loop, Out1, Out2, Scalar
from ._kernels import kernel
from ._threads import parallel_for

_COST = 0.5  # ns per element
_SUM, _MEAN, _MAX = 0, 1, 2


@Loop
def _look_up(start: Int, stop: Int, out: Out2, weight: In2, index: Index1) -> None:
    for i in range(start, stop):
        r = index[i]
        if 0 <= r < weight.shape[0]:
            for j in range(weight.shape[1]):
                out[i, j] = weight[r, j]
        else:
            out[i] = math.nan


@Loop
def _sum_rows(
    start: Int,
    stop: Int,
    gweight: Out2,
    gather_rows: IndexOut1,
    g: In2,
    row: Index1,
    entry: Index1,
    begin: Index1,
    bag: Index1,
    factor: In1,
    place: Index2,
    by_frequency: Int,
) -> None:
    width = g.shape[1]
    for s in range(start, stop):
        first, last = begin[s], begin[s + 1]
        to = row[first]
        if gather_rows.shape[0] > 0:
            gather_rows[s] = to
            to = s
        scale = 1.0 / (last - first) if by_frequency else 1.0
        for j in range(width):
            gweight[to, j] = 0
        for e in range(first, last):
            i = entry[e]
            b = bag[i] if bag.shape[0] > 0 else i
            f = factor[i] if factor.shape[0] > 0 else 1.0
            for j in range(width):
                if place.shape[0] == 0 or place[b, j] == i:
                    gweight[to, j] += f * g[b, j]
        for j in range(width):
            gweight[to, j] *= scale


@Loop
def _sum_bags(
    start: Int,
    stop: Int,
    out: Out2,
    bag_size: Out1,
    place: IndexOut2,
    weight: In2,
    index: Index1,
    offsets: Index1,
    factor: In1,
    padding: Int,
    mode: Int,
) -> None:
    width = weight.shape[1]
    for b in range(start, stop):
        size = 0
        for j in range(width):
            out[b, j] = 0
            if mode == 2:
                place[b, j] = -1
        for i in range(max(offsets[b], 0), min(offsets[b + 1], index.shape[0])):
            r = index[i]
            if r == padding or r < 0 or r >= weight.shape[0]:
                continue
            f = factor[i] if factor.shape[0] > 0 else 1.0
            for j in range(width):
                if mode != 2:
                    out[b, j] += f * weight[r, j]
                elif size == 0 or weight[r, j] > out[b, j]:
                    out[b, j] = weight[r, j]
                    place[b, j] = i
            size += 1
        bag_size[b] = size
        if mode == 1 and size > 0:
            for j in range(width):
                out[b, j] /= size


@Loop
def _factor_grad(
    start: Int, stop: Int, gfactor: Out1, g: In2, weight: In2, index: Index1, bag: Index1, padding: Int
) -> None:
    for i in range(start, stop):
        r, b, total = index[i], bag[i], 0.0
        if r != padding and 0 <= r < weight.shape[0] and 0 <= b < g.shape[0]:
            for j in range(weight.shape[1]):
                total += g[b, j] * weight[r, j]
        gfactor[i] = total


@Loop
def _renorm(weight: Out2, index: Index1, max_norm: Scalar, p: Scalar) -> None:
    for i in range(index.shape[0]):
        r = index[i]
        if r < 0 or r >= weight.shape[0]:
            continue
        total = 0.0
        for j in range(weight.shape[1]):
            size = float(abs(weight[r, j]))
            if p == math.inf:
                total = size if size > total or math.isnan(size) else total
            else:
                total += size**p
        norm = total if p == math.inf else total ** (1 / p)
        if norm > max_norm:
            for j in range(weight.shape[1]):
                weight[r, j] *= max_norm / (norm + 1e-7)


@Loop
def _put(start: Int, stop: Int, table: Out2, values: In2, index: Index1) -> None:
    for i in range(start, stop):
        if 0 <= index[i] < table.shape[0]:
            for j in range(table.shape[1]):
                table[index[i], j] = values[i, j]


def _matrix(name: str, x: Array) -> tuple[int, int]:
    require(x.ndim == 2, f"{name} must be [rows, width]")
    return x.shape[0], x.shape[1]


def _as_wide(name: str, x: Array, width: int) -> None:
    require(x.shape[1] == width, f"{name} must be as wide as the table")


@kernel
def embedding_forward(out: Array, weight: Array, index: Array) -> None:
    """out[i] = weight[index[i]]; NaN for an index that is no row."""
    rows, width = _matrix("weight", weight)
    require(
        out.size == index.size * width,
        f"argument 'out' has {out.size} elements, expected {index.size * width}",
    )
    dtype = floats(weight)
    out = write("out", out, dtype, index.size, width)
    weight = read("weight", weight, dtype, rows, width)
    index = read("index", index, np.int64, index.size)
    parallel_for(
        index.size,
        _COST * width + 1,
        lambda start, stop: _look_up(start, stop, out, weight, index),
    )


@kernel
def embedding_backward(
    gweight: Array,
    gather_rows: Array | None,
    gather_count: Array | None,
    g: Array,
    index: Array,
    bag: Array | None,
    factor: Array | None,
    place: Array | None,
    rows: int,
    padding: int,
    by_frequency: bool,
) -> None:
    """Sums of the rows of g that belong to each row of the table, of all rows or of those that occur."""
    written, width = _matrix("gweight", gweight)
    g_rows, _ = _matrix("g", g)
    _as_wide("g", g, width)
    require(rows >= 0, "rows must not be negative")
    count = index.size
    most = min(count, rows)
    if (gather_rows is None) != (gather_count is None):
        raise TypeError("gather_rows and gather_count come together")
    require(
        written == (rows if gather_rows is None else most),
        "gweight has another number of rows than the table, or than may occur",
    )
    dtype = floats(gweight)
    for name, x, size in (
        ("gather_rows", gather_rows, most),
        ("gather_count", gather_count, 1),
        ("bag", bag, count),
        ("factor", factor, count),
        ("place", place, g.size),
    ):
        if x is not None:
            require(x.size == size, f"argument '{name}' has {x.size} elements, expected {size}")
    require(bag is not None or g_rows == count, "g must have a row for each index")
    gweight = write("gweight", gweight, dtype, written, width)
    gathers = optional_write("gather_rows", gather_rows, np.int64, most)
    number = optional_write("gather_count", gather_count, np.int64, 1)
    g = read("g", g, dtype, g_rows, width)
    index = read("index", index, np.int64, count)
    bags = optional_read("bag", bag, np.int64, count)
    factors = optional_read("factor", factor, dtype, count)
    places = optional_read("place", place, np.int64, g_rows, width)
    counted = (index != padding) & (index >= 0) & (index < rows)
    if bag is not None:
        counted &= (bags >= 0) & (bags < g_rows)
    entry = np.flatnonzero(counted)
    entry = entry[np.argsort(index[entry], kind="stable")].astype(np.int64)
    row = index[entry]
    begin = np.append(np.flatnonzero(np.diff(row, prepend=-1)), len(row)).astype(np.int64)
    if gather_rows is None:
        gweight[...] = 0
    else:
        number[0] = len(begin) - 1
    parallel_for(
        len(begin) - 1,
        2 * _COST * width * (len(row) / max(len(begin) - 1, 1)) + 1,
        lambda start, stop: _sum_rows(
            start, stop, gweight, gathers, g, row, entry, begin, bags, factors, places, int(by_frequency)
        ),
    )


@kernel
def embedding_bag_forward(
    out: Array,
    bag_size: Array,
    place: Array | None,
    weight: Array,
    index: Array,
    offsets: Array,
    factor: Array | None,
    padding: int,
    mode: int,
) -> None:
    """Sum, mean or largest of the rows of each bag, their number, and which entry the largest came from."""
    rows, width = _matrix("weight", weight)
    bags, _ = _matrix("out", out)
    _as_wide("out", out, width)
    require(0 <= mode <= 2, "mode is 0 (sum), 1 (mean) or 2 (max)")
    if mode == _MAX and place is None:
        raise TypeError("argument 'place' must be an array")
    dtype = floats(weight)
    out = write("out", out, dtype, bags, width)
    bag_size = write("bag_size", bag_size, dtype, bags)
    places = optional_write("place", place, np.int64, bags, width)
    weight = read("weight", weight, dtype, rows, width)
    index = read("index", index, np.int64, index.size)
    offsets = read("offsets", offsets, np.int64, bags + 1)
    factors = optional_read("factor", factor, dtype, index.size)
    parallel_for(
        bags,
        2 * _COST * width * (index.size / max(bags, 1) + 1),
        lambda start, stop: _sum_bags(
            start, stop, out, bag_size, places, weight, index, offsets, factors, padding, mode
        ),
    )


@kernel
def embedding_bag_factor_grad(
    gfactor: Array, g: Array, weight: Array, index: Array, bag: Array, padding: int
) -> None:
    """gfactor[i] = g[bag[i]] . weight[index[i]]; 0 for padding."""
    rows, width = _matrix("weight", weight)
    g_rows, _ = _matrix("g", g)
    _as_wide("g", g, width)
    dtype = floats(weight)
    gfactor = write("gfactor", gfactor, dtype, index.size)
    g = read("g", g, dtype, g_rows, width)
    weight = read("weight", weight, dtype, rows, width)
    bag = read("bag", bag, np.int64, index.size)
    index = read("index", index, np.int64, index.size)
    parallel_for(
        index.size,
        2 * _COST * width + 1,
        lambda start, stop: _factor_grad(start, stop, gfactor, g, weight, index, bag, padding),
    )


@kernel
def embedding_renorm(weight: Array, index: Array, max_norm: float, p: float) -> None:
    """Scale the rows in index whose p-norm is above max_norm down to it, in place."""
    rows, width = _matrix("weight", weight)
    weight = write("weight", weight, floats(weight), rows, width)
    _renorm(weight, read("index", index, np.int64, index.size), max_norm, p)


@kernel
def embedding_put(table: Array, values: Array, index: Array) -> None:
    """table[index[i]] = values[i], for distinct rows."""
    rows, width = _matrix("table", table)
    require(
        values.size == index.size * width,
        f"argument 'values' has {values.size} elements, expected {index.size * width}",
    )
    dtype = floats(table)
    table = write("table", table, dtype, rows, width)
    values = read("values", values, dtype, index.size, width)
    index = read("index", index, np.int64, index.size)
    parallel_for(index.size, _COST * width + 1, lambda start, stop: _put(start, stop, table, values, index))
