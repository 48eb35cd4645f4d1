"""Arrays put together from others: blocks, pairs, differences along an axis, and places of triangles."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from einkorn import ops, runtime
from einkorn._device import as_array
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._lines import wrapped
from einkorn.ops._options import axis_of, flag, integer
from einkorn.ops._road import check_size, unwrap
from einkorn.ops._rounding import rounded_once

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_tensors",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "cross",
    "diff",
    "fliplr",
    "flipud",
    "isin",
    "tril_indices",
    "triu_indices",
    "vander",
]


def _several(op: str, tensors: tuple[Any, ...]) -> list[Any]:
    """``f(a, b)`` and ``f([a, b])`` mean the same."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise ArgumentError(f"{op}: tensors is empty, expected at least one")
    return list(tensors)


def _raised(op: str, tensors: tuple[Any, ...], least: int) -> Any:
    out = []
    for x in _several(op, tensors):
        shape = np.shape(x)
        if len(shape) < least:
            shape = (1, *shape) if len(shape) == 1 else shape or (1,)
            shape = (*shape, *(1,) * (least - len(shape))) if least == 3 or len(shape) < least else shape
            x = ops.reshape(x if hasattr(x, "dtype") else np.asarray(x), shape)
        out.append(x)
    return out[0] if len(out) == 1 else tuple(out)


@rounded_once
def atleast_1d(*tensors: Any) -> Any:
    """Scalars as arrays of one element; others as they are. A tuple for several."""
    return _raised("atleast_1d", tensors, 1)


@rounded_once
def atleast_2d(*tensors: Any) -> Any:
    """Scalars and vectors as matrices of one row; others as they are. A tuple for several."""
    return _raised("atleast_2d", tensors, 2)


@rounded_once
def atleast_3d(*tensors: Any) -> Any:
    """A vector as [1, n, 1], a matrix as [m, n, 1]; others as they are. A tuple for several."""
    return _raised("atleast_3d", tensors, 3)


@rounded_once
def column_stack(tensors: Any) -> Any:
    """Side by side; vectors count as columns."""
    parts = _several("column_stack", (tensors,))
    columns = [ops.reshape(x, (-1, 1)) if np.ndim(x) < 2 else x for x in parts]
    return ops.concatenate(columns, 1)


@rounded_once
def block_diag(*tensors: Any) -> Any:
    """Matrices along a diagonal, zeros elsewhere; vectors count as rows, scalars as 1 x 1."""
    blocks = [atleast_2d(x) for x in _several("block_diag", tensors)]
    for i, x in enumerate(blocks):
        if np.ndim(x) != 2:
            raise ShapeError(
                f"block_diag: tensors[{i}] has shape {np.shape(x)}, expected at most 2 dimensions"
            )
    width = sum(np.shape(x)[1] for x in blocks)
    rows, left = [], 0
    for x in blocks:
        n = np.shape(x)[1]
        rows.append(ops.pad(x, (left, width - left - n)))
        left += n
    return ops.concatenate(rows, 0)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All in the shape that they broadcast to."""
    parts = _several("broadcast_tensors", tensors)
    try:
        shape = np.broadcast_shapes(*(np.shape(x) for x in parts))
    except ValueError:
        shapes = ", ".join(str(np.shape(x)) for x in parts)
        raise ShapeError(f"broadcast_tensors: shapes do not broadcast together: {shapes}") from None
    return tuple([ops.broadcast_to(x, shape) for x in parts])


@rounded_once
def cartesian_prod(*tensors: Any) -> Any:
    """All tuples of one element from each vector, as rows; the last one changes fastest."""
    parts = _several("cartesian_prod", tensors)
    for i, x in enumerate(parts):
        if np.ndim(x) != 1:
            raise ShapeError(f"cartesian_prod: tensors[{i}] has shape {np.shape(x)}, expected a vector")
    if len(parts) == 1:
        return parts[0]
    grids = ops.meshgrid(*parts, indexing="ij")
    return ops.stack([ops.reshape(g, (-1,)) for g in grids], 1)


@rounded_once
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """The subsets of r elements of a vector, as rows, in the order of ``itertools``."""
    if np.ndim(input) != 1:
        raise ShapeError(f"combinations: input has shape {np.shape(input)}, expected a vector")
    size = integer("combinations", "r", r, 0)
    repeated = flag("combinations", "with_replacement", with_replacement)
    choose = itertools.combinations_with_replacement if repeated else itertools.combinations
    n = np.shape(input)[0]
    count = math.comb(n + size - 1 if repeated and size else n, size)
    check_size("combinations", (count, size), "r")
    places = runtime.empty((count, size), np.int64)  # refuses what memory does not hold
    flat = itertools.chain.from_iterable(choose(range(n), size))
    places.reshape(-1)[:] = np.fromiter(flat, np.int64, count * size)
    return ops.getitem(input, places) if size else ops.getitem(input, np.zeros(0, np.int64))


@either_spelling
@rounded_once
def cross(input: Any, other: Any, dim: int = -1) -> Any:
    """The vector product of vectors of three along ``dim``, with broadcasting."""
    left, right = broadcast_tensors(input, other)
    d = axis_of("cross", dim, np.ndim(left), "dim")
    end = np.ndim(left) - d  # counted from the end, where shapes meet
    if any(np.ndim(x) < end or np.shape(x)[-end] != 3 for x in (input, other)):
        shapes = f"input has shape {np.shape(input)} and other {np.shape(other)}"
        raise ShapeError(f"cross: {shapes}, expected size 3 along {dim}")
    first, second = np.array([1, 2, 0]), np.array([2, 0, 1])
    return ops.subtract(
        ops.multiply(ops.index_select(left, d, first), ops.index_select(right, d, second)),
        ops.multiply(ops.index_select(left, d, second), ops.index_select(right, d, first)),
    )


@either_spelling
@rounded_once
def diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along ``dim``, n times.

    Parameters
    ----------
    x : array or Tensor
        Integers too.
    n : int, default 1
    dim : int, default -1
    prepend, append : array or Tensor, optional
        What is put before and behind x first.
    """
    ndim = np.ndim(x)
    if not ndim:
        raise ShapeError("diff: x is a scalar, expected at least one dimension")
    times, d = integer("diff", "n", n, 0), axis_of("diff", dim, ndim, "dim")
    parts = [part for part in (prepend, x, append) if part is not None] if times else [x]
    out = x if len(parts) == 1 else ops.concatenate(parts, d)
    before = (slice(None),) * d
    for _ in range(times):
        if np.shape(out)[d] == 0:
            break
        ahead, back = (
            ops.getitem(out, (*before, slice(1, None))),
            ops.getitem(out, (*before, slice(None, -1))),
        )
        unlike = as_array(getattr(out, "_data", out)).dtype.kind == "b"
        out = ops.logical_xor(ahead, back) if unlike else ops.subtract(ahead, back)
    return out


@rounded_once
def fliplr(x: Any) -> Any:
    """Columns in reverse order."""
    if np.ndim(x) < 2:
        raise ShapeError(f"fliplr: x has shape {np.shape(x)}, expected at least 2 dimensions")
    return ops.flip(x, 1)


@rounded_once
def flipud(x: Any) -> Any:
    """Rows in reverse order."""
    if np.ndim(x) < 1:
        raise ShapeError("flipud: x is a scalar, expected at least one dimension")
    return ops.flip(x, 0)


@rounded_once
def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """For each element whether it is among ``test_elements``; ``invert``: whether it is not."""
    whole = [_integers.integral(x) for x in (elements, test_elements)]
    plain = [
        np.asarray(x) if isinstance(x, (int, float)) else unwrap(x, "isin", name) if w is None else w
        for x, name, w in zip((elements, test_elements), ("elements", "test_elements"), whole, strict=True)
    ]
    return wrapped(
        np.isin(plain[0], plain[1], invert=flag("isin", "invert", invert)), elements, test_elements
    )


def _triangle(op: str, row: Any, col: Any, offset: Any) -> tuple[int, int, int]:
    rows = integer(op, "row", row, 0)
    return rows, rows if col is None else integer(op, "col", col, 0), integer(op, "offset", offset)


def tril_indices(row: int, col: int | None = None, offset: int = 0) -> Tensor:
    """Rows and columns, as a Tensor [2, n], of the elements on and below a diagonal of a row x col matrix."""
    rows, cols, k = _triangle("tril_indices", row, col, offset)
    return Tensor(np.stack(np.tril_indices(rows, k, cols)))


def triu_indices(row: int, col: int | None = None, offset: int = 0) -> Tensor:
    """Rows and columns, as a Tensor [2, n], of the elements on and above a diagonal of a row x col matrix."""
    rows, cols, k = _triangle("triu_indices", row, col, offset)
    return Tensor(np.stack(np.triu_indices(rows, k, cols)))


@rounded_once
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of the elements of a vector as columns, falling from N - 1 to 0 or rising."""
    if np.ndim(x) != 1:
        raise ShapeError(f"vander: x has shape {np.shape(x)}, expected a vector")
    count = np.shape(x)[0] if N is None else integer("vander", "N", N, 0)
    check_size("vander", (np.shape(x)[0], count), "N")
    powers = range(count) if flag("vander", "increasing", increasing) else range(count - 1, -1, -1)
    kept = np.asarray(x)
    if not count:
        return wrapped(np.zeros((kept.shape[0], 0), kept.dtype), x)
    return ops.stack([ops.power(x, p) for p in powers], 1)
