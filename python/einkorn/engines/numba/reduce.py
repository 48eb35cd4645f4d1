"""Reductions: sum, maximum, minimum over any axes, argmax, and the check of index ranges.

After merging axes a reduction has at most two kept and two reduced axes, and one of two shapes::

    rows       x [i, j, k, l]  ->  out [i, j]    memory runs along l, which is reduced
    columns    x [i, k, l, c]  ->  out [i, c]    memory runs along c, which is kept

Adding n numbers one after the other loses up to n roundings. Here, blocks of 512 (rows: as 32 side
by side) or 16 (columns) are added that way, and block sums meet pairwise, like the carries of a
binary counter::

    blocks      1   2   3   4   5   6   7           on the stack after 7 blocks:
    sums        1 + 2   3 + 4   5 + 6   7           the sums of 4, of 2 and of 1
                  (1 + 2 + 3 + 4)

so the error grows with log n. Maximum and minimum use the same loops. A single long reduction is
split into parts of a fixed length, whose results are reduced in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from ._checks import floats, read, require, strided, write
from ._compile import (
    AnyIn4,
    Array,
    In3,
    Index1,
    IndexOut1,
    IndexOut2,
    Int,
    Loop,
    Out2,
    Scalar,
    inline,
    instance,
)
from ._kernels import kernel
from ._threads import parallel_for
from ._views import merge, merged_view
from .copy import fill

_COST = 0.5  # ns per element
_BLOCK = 512
_LANES = 32
_ROWS = 16
_TILE = 256
_DEPTH = 64  # block sums on the stack: enough for 2^64 blocks
_PART = 65536  # elements of a part of a single long row
_PART_ROWS = 4096  # rows of a part of a single long block of columns

combine: Any = None  # what the templates call
fold_block: Any = None
settle: Any = None


def _fold_block(block: Any, lanes: Any) -> Any:
    """Combine the numbers of one block."""
    n = block.shape[0]
    if n < 2 * _LANES:
        total = block[0]
        for i in range(1, n):
            total = combine(total, block[i])
        return total
    for lane in range(_LANES):
        lanes[lane] = block[lane]
    whole = n // _LANES * _LANES
    for i in range(_LANES, whole, _LANES):
        row = block[i : i + _LANES]
        for lane in range(_LANES):
            lanes[lane] = combine(lanes[lane], row[lane])
    for i in range(whole, n):
        lanes[i - whole] = combine(lanes[i - whole], block[i])
    width = _LANES // 2
    while width > 0:
        for lane in range(width):
            lanes[lane] = combine(lanes[lane], lanes[lane + width])
        width //= 2
    return lanes[0]


def _settle(stack: Any, depth: int, blocks: int, width: int) -> int:
    """Do the carries after block number `blocks` was put on the stack; return the depth left."""
    while blocks % 2 == 0 and depth > 1:
        depth -= 1
        below, top = stack[depth - 1], stack[depth]
        for c in range(width):
            below[c] = combine(below[c], top[c])
        blocks //= 2
    return depth


def _rows(start: Int, stop: Int, out: Out2, x: AnyIn4, scale: Scalar) -> None:
    """out[i, j] = scale * combination of x[i, j]; start and stop count the pairs (i, j)."""
    lanes = np.empty(_LANES, x.dtype)
    stack = np.empty((_DEPTH, 1), x.dtype)
    for index in range(start, stop):
        i, j = index // out.shape[1], index % out.shape[1]
        depth = blocks = 0
        for k in range(x.shape[2]):
            row = x[i, j, k]
            for first in range(0, row.shape[0], _BLOCK):
                stack[depth, 0] = fold_block(row[first : first + _BLOCK], lanes)
                blocks += 1
                depth = settle(stack, depth + 1, blocks, 1)
        for d in range(depth - 1, 0, -1):
            stack[d - 1, 0] = combine(stack[d - 1, 0], stack[d, 0])
        out[i, j] = scale * stack[0, 0]


def _columns(start: Int, stop: Int, out: Out2, x: AnyIn4, scale: Scalar) -> None:
    """out[i, c] = scale * combination of x[i, :, :, c]; start and stop count pairs (i, tile)."""
    tiles = (out.shape[1] + _TILE - 1) // _TILE
    stack = np.empty((_DEPTH, _TILE), x.dtype)
    for index in range(start, stop):
        i, c0 = index // tiles, index % tiles * _TILE
        width = min(_TILE, out.shape[1] - c0)
        depth = blocks = 0
        for k in range(x.shape[1]):
            for first in range(0, x.shape[2], _ROWS):
                top = stack[depth, :width]
                row = x[i, k, first, c0 : c0 + width]
                for c in range(width):
                    top[c] = row[c]
                for n in range(first + 1, min(first + _ROWS, x.shape[2])):
                    row = x[i, k, n, c0 : c0 + width]
                    for c in range(width):
                        top[c] = combine(top[c], row[c])
                blocks += 1
                depth = settle(stack, depth + 1, blocks, width)
        for d in range(depth - 1, 0, -1):
            for c in range(width):
                stack[d - 1, c] = combine(stack[d - 1, c], stack[d, c])
        for c in range(width):
            out[i, c0 + c] = scale * stack[0, c]


class _Reduction:
    """The loops above for one way of combining two numbers."""

    def __init__(self, function: Callable[[float, float], float], identity: float) -> None:
        name = function.__name__
        names: dict[str, Any] = {"combine": inline(function)}
        names["fold_block"] = inline(instance(_fold_block, name, **names))
        names["settle"] = inline(instance(_settle, name, **names))
        self.rows = Loop(_rows, name, **names)
        self.columns = Loop(_columns, name, **names)
        self.identity = identity

    def __call__(self, out: Array, x: Array, scale: float = 1.0) -> None:
        require(out.ndim == x.ndim, "out and x must have one number of dimensions")
        require(
            all(m in (n, 1) for m, n in zip(out.shape, x.shape, strict=True)),
            "out must have x's shape, with 1 on reduced axes",
        )
        out = write("out", out, floats(out), *out.shape)
        strided("x", x, out.dtype)
        if out.size == 0:
            return
        if x.size == 0:
            fill(out, self.identity * scale)
            return
        kept = merge([d for d in range(x.ndim) if out.shape[d] == x.shape[d]], (x,))
        reduced_axes = [d for d in range(x.ndim) if out.shape[d] != x.shape[d]]
        reduced = merge(sorted(reduced_axes, key=lambda d: -abs(x.strides[d])), (x,))
        if len(kept) > 2 or len(reduced) > 2:
            kept, reduced = [list(chain(*kept))], [list(chain(*reduced))]  # a copy
        kept = [[]] * (2 - len(kept)) + kept
        reduced = [[]] * (2 - len(reduced)) + reduced
        x = merged_view(x, kept + reduced)
        out = out.reshape(x.shape[:2])
        if x.shape[1] > 1 and abs(x.strides[1]) < abs(x.strides[3]):
            self._reduce_columns(out, x.transpose(0, 2, 3, 1), scale)
        else:
            self._reduce_rows(out, x, scale)

    def _reduce_rows(self, out: Array, x: Array, scale: float) -> None:
        parts = x.shape[3] // _PART
        if out.size == 1 and x.size >= 2 * _PART:
            if parts < 2:  # many short rows
                partial = np.empty((x.shape[2], 1), x.dtype)
                self._reduce_rows(partial, x.reshape(x.shape[2], 1, 1, x.shape[3]), 1.0)
            else:
                whole, rest = np.split(x[0, 0], [parts * _PART], axis=1)
                partial = np.empty(len(whole) * (parts + 1), x.dtype)
                of_whole, of_rest = np.split(partial, [len(whole) * parts])
                if rest.size == 0:
                    partial = of_whole
                else:
                    self._reduce_rows(of_rest[:, None], rest[:, None, None, :], 1.0)
                whole = whole.reshape(-1, parts, 1, _PART)
                self._reduce_rows(of_whole.reshape(-1, parts), whole, 1.0)
            x = partial.reshape(1, 1, 1, -1)
        parallel_for(
            out.size,
            _COST * (x.size // out.size),
            lambda start, stop: self.rows(start, stop, out, x, scale),
        )

    def _reduce_columns(self, out: Array, x: Array, scale: float) -> None:
        tiles = -(-out.shape[1] // _TILE)
        parts = x.shape[2] // _PART_ROWS
        if len(out) == 1 and x.shape[1] == 1 and tiles < 8 and parts >= 2:
            whole, rest = np.split(x[0, 0], [parts * _PART_ROWS])
            partial = np.empty((parts + (len(rest) > 0), out.shape[1]), x.dtype)
            if len(rest) > 0:
                self._reduce_columns(partial[parts:], rest[None, None], 1.0)
            whole = whole.reshape(parts, 1, _PART_ROWS, -1)
            self._reduce_columns(partial[:parts], whole, 1.0)
            x = partial[None, None]
        parallel_for(
            len(out) * tiles,
            _COST * (x.size // (len(out) * tiles)),
            lambda start, stop: self.columns(start, stop, out, x, scale),
        )


def _add(a: float, b: float) -> float:
    return a + b


def _larger(a: float, b: float) -> float:
    return a if a > b or math.isnan(a) else b


def _smaller(a: float, b: float) -> float:
    return a if a < b or math.isnan(a) else b


def _multiply(a: float, b: float) -> float:
    return a * b


_sum = _Reduction(_add, 0.0)
_prod = _Reduction(_multiply, 1.0)
_max = _Reduction(_larger, -math.inf)
_min = _Reduction(_smaller, math.inf)


@kernel
def reduce_sum(out: Array, x: Array, scale: float) -> None:
    """out = scale * sum of x over the axes where out has size 1; the sum of nothing is 0."""
    _sum(out, x, scale)


@kernel
def reduce_max(out: Array, x: Array) -> None:
    """out = maximum of x over the axes where out has size 1; NaN wins, of nothing it is -inf."""
    _max(out, x)


@kernel
def reduce_min(out: Array, x: Array) -> None:
    """out = minimum of x over the axes where out has size 1; NaN wins, of nothing it is inf."""
    _min(out, x)


@kernel
def reduce_prod(out: Array, x: Array) -> None:
    """out = product of x over the axes where out has size 1; of nothing it is 1."""
    _prod(out, x)


@Loop
def _argmax(start: Int, stop: Int, out: IndexOut2, x: In3) -> None:
    for index in range(start, stop):
        o, i = index // x.shape[2], index % x.shape[2]
        best = 0
        for j in range(1, x.shape[1]):
            if math.isnan(x[o, best, i]):
                break
            if x[o, j, i] > x[o, best, i] or math.isnan(x[o, j, i]):
                best = j
        out[o, i] = best


@kernel
def argmax(out: Array, x: Array) -> None:
    """out[o, i] = position of the maximum of x[o, :, i], the first of equals; NaN wins."""
    require(x.ndim == 3 and out.size == x.shape[0] * x.shape[2], "argmax: x must be 3-d, out [outer, inner]")
    outer, n, inner = x.shape
    x = read("x", x, floats(x), *x.shape)
    places = write("out", out, np.int64, outer, inner)
    if out.size == 0 or n == 0:
        return
    parallel_for(outer * inner, 2 * _COST * n, lambda start, stop: _argmax(start, stop, places, x))


@Loop
def _first_out_of_range(position: IndexOut1, index: Index1, low: Int, high: Int, ignore: Int) -> None:
    position[0] = -1
    for i in range(index.shape[0]):
        if (index[i] < low or index[i] >= high) and index[i] != ignore:
            position[0] = i
            break


@kernel
def first_out_of_range(index: Array, low: int, high: int, ignore: int) -> int:
    """Position of the first index neither in [low, high) nor equal to `ignore`; -1 for none."""
    position = np.empty(1, np.int64)
    _first_out_of_range(position, read("index", index, np.int64, index.size), low, high, ignore)
    return int(position[0])


@Loop
def _clamp_indices(
    out: IndexOut1, position: IndexOut1, index: Index1, low: Int, high: Int, ignore: Int
) -> None:
    for i in range(index.shape[0]):
        out[i] = index[i]
        if (index[i] < low or index[i] >= high) and index[i] != ignore:
            out[i] = min(max(index[i], low), high - 1)
            if position[0] < 0:
                position[0] = i


@kernel
def clamp_indices(out: Array, position: Array, index: Array, low: int, high: int, ignore: int) -> None:
    """Indices brought into [low, high) but for `ignore`; position, -1 before, is the first that was not."""
    require(
        out.size == index.size and position.size == 1 and low < high,
        "clamp_indices: out must be as long as index, position of size 1, and low below high",
    )
    size = index.size
    _clamp_indices(
        write("out", out, np.int64, size),
        write("position", position, np.int64, 1),
        read("index", index, np.int64, size),
        low,
        high,
        ignore,
    )
