"""GloVe, an entry after the other in float32.

Stretches follow one another, so the bits are the same each time.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import read, require, write
from ._compile import Array, Float32In1, Float32Out3, Float64Out1, Index1, Int32In1, Loop, Scalar
from ._kernels import kernel


@Loop
def _glove(
    table: Float32Out3,
    squares: Float32Out3,
    stats: Float64Out1,
    row: Int32In1,
    column: Int32In1,
    count: Float32In1,
    order: Index1,
    count_max: Scalar,
    alpha: Scalar,
    rate: Scalar,
) -> None:
    width = table.shape[2] - 1
    words = table.shape[1]
    entries = row.shape[0]
    for stretch in range(stats.shape[0]):
        loss = 0.0
        low = entries * stretch // stats.shape[0]
        high = entries * (stretch + 1) // stats.shape[0]
        for place in range(low, high):
            e = order[place]
            if not 0 <= e < entries:
                continue
            i, j = row[e], column[e]
            if not (0 <= i < words and 0 <= j < words):
                continue
            d = table[0, i, width] + table[1, j, width] - math.log(count[e])
            for at in range(width):
                d += table[0, i, at] * table[1, j, at]
            f = min(1.0, (count[e] / count_max) ** alpha)
            g = f * d
            for at in range(width + 1):
                a = 1.0 if at == width else table[0, i, at]
                b = 1.0 if at == width else table[1, j, at]
                table[0, i, at] -= np.float32(rate * g * b / math.sqrt(squares[0, i, at]))
                table[1, j, at] -= np.float32(rate * g * a / math.sqrt(squares[1, j, at]))
                squares[0, i, at] += np.float32((g * b) * (g * b))
                squares[1, j, at] += np.float32((g * a) * (g * a))
            loss += 0.5 * f * d * d
        stats[stretch] = loss


@kernel
def glove_train(
    table: Array,
    squares: Array,
    stats: Array,
    row: Array,
    column: Array,
    count: Array,
    order: Array,
    count_max: float,
    alpha: float,
    rate: float,
) -> None:
    """One pass of GloVe over counts [entries]; table and squares are trained in place."""
    require(
        table.ndim == 3 and table.shape[0] == 2 and table.shape[2] >= 1,
        "table must be float32 [2, words, width + 1]",
    )
    require(squares.size == table.size, "squares must be as large as table")
    require(stats.size >= 1, "stats must be float64 [stretches]")
    require(
        column.size == count.size == order.size == row.size,
        "row, column, count and order must have an element for each entry",
    )
    _glove(
        write("table", table, np.float32, *table.shape),
        write("squares", squares, np.float32, *table.shape),
        write("stats", stats, np.float64, stats.size),
        read("row", row, np.int32, row.size),
        read("column", column, np.int32, row.size),
        read("count", count, np.float32, row.size),
        read("order", order, np.int64, row.size),
        count_max,
        alpha,
        rate,
    )
