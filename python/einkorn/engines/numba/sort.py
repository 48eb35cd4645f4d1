"""Sorting rows, the first k of a row, and places in sorted rows: csrc/kernels/sort.h.

A merge sort of places, stable: runs of 16 by insertion, then runs twice as long until one is left.
NaN is larger than all numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._checks import floats, read, require, write
from ._compile import Array, In2, IndexOut2, Int, Loop, Out2, inline
from ._kernels import kernel
from ._threads import parallel_for

_COST = 60.0  # ns per element
_RUN = 16


@inline
def _before(a: float, b: float, descending: int) -> bool:
    """Whether a has to stand in front of b, which it stands behind."""
    if descending:
        return a > b or (math.isnan(a) and not math.isnan(b))
    return a < b or (math.isnan(b) and not math.isnan(a))


@inline
def _sort_places(row: Any, places: Any, other: Any, descending: int) -> None:
    n = row.shape[0]
    for i in range(n):
        places[i] = i
    for first in range(0, n, _RUN):
        for i in range(first + 1, min(first + _RUN, n)):
            place = places[i]
            j = i
            while j > first and _before(row[place], row[places[j - 1]], descending):
                places[j] = places[j - 1]
                j -= 1
            places[j] = place
    width = _RUN
    while width < n:
        for low in range(0, n, 2 * width):
            middle, high = min(low + width, n), min(low + 2 * width, n)
            a, b = low, middle
            for to in range(low, high):
                if b >= high or (a < middle and not _before(row[places[b]], row[places[a]], descending)):
                    other[to] = places[a]
                    a += 1
                else:
                    other[to] = places[b]
                    b += 1
        for i in range(n):
            places[i] = other[i]
        width *= 2


@Loop
def _sort(start: Int, stop: Int, values: Out2, index: IndexOut2, x: In2, descending: Int) -> None:
    places = np.empty(x.shape[1], np.int64)
    other = np.empty(x.shape[1], np.int64)
    for r in range(start, stop):
        _sort_places(x[r], places, other, descending)
        for i in range(values.shape[1]):
            index[r, i] = places[i]
            values[r, i] = x[r, places[i]]


def _run(values: Array, index: Array, x: Array, k: int, descending: bool) -> None:
    require(x.ndim == 2, "x must be 2-d, [rows, n]")
    rows, n = x.shape
    require(n < 2**31, "rows must have fewer than 2^31 numbers")
    require(0 <= k <= n, "k must be between 0 and the numbers of a row")
    require(
        values.size == rows * k and index.size == values.size,
        "values and index must have one number for each place of the result",
    )
    x = read("x", x, floats(x), rows, n)
    values, places = write("values", values, x.dtype, rows, k), write("index", index, np.int64, rows, k)
    if values.size:
        parallel_for(rows, _COST * n, lambda a, b: _sort(a, b, values, places, x, int(descending)))


@kernel
def sort(values: Array, index: Array, x: Array, descending: bool) -> None:
    """Sort the rows of x."""
    _run(values, index, x, x.shape[1] if x.ndim == 2 else 0, descending)


@kernel
def topk(values: Array, index: Array, x: Array, k: int, largest: bool) -> None:
    """The k largest, or smallest, numbers of each row."""
    _run(values, index, x, k, largest)


@Loop
def _search(start: Int, stop: Int, out: IndexOut2, ordered: In2, values: In2, right: Int) -> None:
    for r in range(start, stop):
        row = ordered[0 if ordered.shape[0] == 1 else r]
        for j in range(values.shape[1]):
            v = values[r, j]
            low, high = 0, row.shape[0]
            while low < high:
                middle = (low + high) // 2
                s = row[middle]
                before = s < v or (math.isnan(v) and not math.isnan(s))
                if right and (s == v or math.isnan(v)):
                    before = True
                if before:
                    low = middle + 1
                else:
                    high = middle
            out[r, j] = low


@kernel
def search_sorted(out: Array, sorted: Array, values: Array, right: bool) -> None:
    """How many numbers of each sorted row stand before each value."""
    require(
        sorted.ndim == 2
        and values.ndim == 2
        and out.size == values.size
        and sorted.shape[0] in (1, values.shape[0]),
        "search_sorted: sorted must be [1 or rows, n], values and out [rows, m]",
    )
    dtype = floats(values)
    places = write("out", out, np.int64, *values.shape)
    ordered, wanted = (
        read("sorted", sorted, dtype, *sorted.shape),
        read("values", values, dtype, *values.shape),
    )
    if places.size:
        parallel_for(
            len(places),
            20.0 * places.shape[1],
            lambda a, b: _search(a, b, places, ordered, wanted, int(right)),
        )
