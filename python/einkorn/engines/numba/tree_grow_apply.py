"""Rows through a grown tree: their codes, the leaf of each, and leaves' values added to scores."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from ._checks import floats, read, require, strided_out, write
from ._compile import (
    Array,
    ByteIn1,
    CodesIn2,
    CodesOut2,
    Float64In1,
    IndexOut1,
    Int,
    Int32In1,
    Int32Out1,
    Loop,
    Operand,
    WordIn2,
)
from ._kernels import kernel
from ._threads import parallel_for

__all__ = ["read_codes"]

AnyOut1 = Annotated[Array, Operand(1, writable=True, strided=True)]


@Loop
def _code_rows(
    start: Int, stop: Int, by_row: CodesOut2, bad: IndexOut1, codes: CodesIn2, n_bins: Int32In1
) -> None:
    missing = 255 if codes.itemsize == 1 else 65535
    for f in range(start, stop):
        bad[f] = -1
        for r in range(codes.shape[1]):
            c = codes[f, r]
            if c >= n_bins[f] and c != missing and bad[f] < 0:
                bad[f] = f * codes.shape[1] + r
            by_row[r, f] = min(np.int64(c), np.int64(n_bins[f]))


@Loop
def _apply(
    start: Int,
    stop: Int,
    leaf: Int32Out1,
    codes: CodesIn2,
    feature: Int32In1,
    code: Int32In1,
    left: Int32In1,
    right: Int32In1,
    missing_left: ByteIn1,
    categories: WordIn2,
    categorical: ByteIn1,
) -> None:
    missing = 255 if codes.itemsize == 1 else 65535
    for r in range(start, stop):
        node = 0
        while feature[node] >= 0:
            f = feature[node]
            c = np.int64(codes[f, r])
            if c == missing:
                goes_left = missing_left[node] != 0
            elif categorical[f]:
                goes_left = c // 32 < categories.shape[1]
                if goes_left:
                    goes_left = (categories[node, c // 32] >> np.uint32(c % 32)) & 1 != 0
            else:
                goes_left = c <= code[node]
            node = left[node] if goes_left else right[node]
        leaf[r] = node


@Loop
def _update(start: Int, stop: Int, scores: AnyOut1, leaf: Int32In1, value: Float64In1) -> None:
    for r in range(start, stop):
        scores[r] += value[leaf[r]]


def read_codes(name: str, codes: Array) -> Array:
    """An input of codes, which are of either type."""
    if codes.dtype not in (np.uint8, np.uint16):
        raise TypeError("codes must be uint8 or uint16")
    return read(name, codes, codes.dtype, *codes.shape)


@kernel
def code_rows(by_row: Array, codes: Array, n_bins: Array) -> int:
    """by_row[r, f] = codes[f, r], n_bins[f] where missing; the first place of a bad code, or -1."""
    require(codes.ndim == 2 and by_row.ndim == 2, "codes must be [n, rows] and by_row [rows, width]")
    n, rows = codes.shape
    width = by_row.shape[1]
    require(
        len(by_row) == rows and width >= n and width % 8 == 0 and by_row.dtype == codes.dtype,
        "by_row must be [rows, n rounded up to 8], of the type of codes",
    )
    codes = read_codes("codes", codes)
    by_row = write("by_row", by_row, codes.dtype, rows, width)
    n_bins = read("n_bins", n_bins, np.int32, n)
    by_row[:, n:] = 0
    bad = np.empty(n, np.int64)
    parallel_for(n, 3.0 * rows + 1, lambda start, stop: _code_rows(start, stop, by_row, bad, codes, n_bins))
    bad = bad[bad >= 0]
    return int(bad.min()) if bad.size else -1


@kernel
def tree_apply_codes(
    leaf: Array,
    codes: Array,
    feature: Array,
    code: Array,
    left: Array,
    right: Array,
    missing_left: Array,
    categories: Array,
    categorical: Array,
) -> None:
    """leaf[r] = the node in which row r ends."""
    require(codes.ndim == 2 and leaf.size == codes.shape[1], "codes must be [n, rows] and leaf [rows]")
    n, rows = codes.shape
    nodes = feature.size
    require(
        nodes > 0 and categories.ndim == 2 and len(categories) == nodes, "categories must be [nodes, words]"
    )
    feature, code = read("feature", feature, np.int32, nodes), read("code", code, np.int32, nodes)
    left, right = read("left", left, np.int32, nodes), read("right", right, np.int32, nodes)
    places = np.arange(nodes)
    later = (left > places) & (left < nodes) & (right > places) & (right < nodes)
    require(
        bool(((feature < n) & ((feature < 0) | later)).all()),
        "nodes must name features of codes and later nodes as children",
    )
    leaf = write("leaf", leaf, np.int32, rows)
    codes = read_codes("codes", codes)
    missing_left = read("missing_left", missing_left, np.uint8, nodes)
    categories = read("categories", categories, np.uint32, *categories.shape)
    categorical = read("categorical", categorical, np.uint8, n)
    parallel_for(
        leaf.size,
        30.0,
        lambda start, stop: _apply(
            start,
            stop,
            leaf,
            codes,
            feature,
            code,
            left,
            right,
            missing_left,
            categories,
            categorical,
        ),
    )


@kernel
def tree_update(scores: Array, leaf: Array, value: Array) -> None:
    """scores[r] += value[leaf[r]]."""
    require(scores.ndim == 1 and leaf.size == scores.size, "scores and leaf must be [rows]")
    strided_out("scores", scores, floats(scores))
    leaf = read("leaf", leaf, np.int32, scores.size)
    value = read("value", value, np.float64, value.size)
    require(bool(((leaf >= 0) & (leaf < value.size)).all()), "leaf must be places in value")
    parallel_for(scores.size, 2.0, lambda start, stop: _update(start, stop, scores, leaf, value))
