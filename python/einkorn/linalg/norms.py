"""Norms of vectors and matrices, and products."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import beside
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.linalg._common import matrices
from einkorn.linalg.decompositions import svdvals
from einkorn.linalg.systems import inv
from einkorn.ops._options import integer
from einkorn.ops._road import unwrap


def cond(A: Any, p: Any = None) -> Any:
    """Condition number: the norm of matrices times that of their inverse; p is the norm's, 2 by default."""
    if p in (None, 2, -2):
        s = svdvals(A)
        return ops.divide(s[..., 0], s[..., -1]) if p != -2 else ops.divide(s[..., -1], s[..., 0])
    return ops.multiply(matrix_norm(A, p), matrix_norm(inv(A), p))


@either_spelling
def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``sum(|x| ** ord) ** (1 / ord)`` over dimensions, all by default; also of infinity, -infinity and 0."""
    if isinstance(ord, (str, bool)):
        raise ArgumentError(f"vector_norm: ord is {ord!r}, expected a number")
    return ops.norm(x, float(ord), dim, keepdim, dtype)


@either_spelling
def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of matrices.

    Parameters
    ----------
    ord : {"fro", "nuc", inf, -inf, 1, -1, 2, -2}
        The root of the sum of squares; the sum of singular values; the largest or smallest sum of a row; of a
        column; the largest or smallest singular value.
    dim : pair of int, default (-2, -1)
        Rows and columns.
    """
    x: Any = A if dtype is None else ops.cast(A, dtype)
    a = matrices("matrix_norm", x, False)
    row, column = (d % a.ndim for d in dim)
    if row == column:
        raise ArgumentError(f"matrix_norm: dim is {dim!r}, expected two different dimensions")
    if ord == "fro":
        return ops.norm(x, 2.0, (row, column), keepdim)
    if ord in (2, -2, "nuc"):
        s = svdvals(ops.movedim(x, (row, column), (-2, -1)))
        out = ops.sum(s, -1) if ord == "nuc" else ops.max(s, axis=-1) if ord == 2 else ops.min(s, axis=-1)
        if keepdim:
            for d in sorted((row, column)):
                out = ops.unsqueeze(out, d)
        return out
    if ord not in (1, -1, math.inf, -math.inf):
        raise ArgumentError(f"matrix_norm: ord is {ord!r}, expected 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2")
    along, over = (row, column) if abs(ord) == 1 else (column, row)
    sums = ops.sum(ops.absolute(x), along, True)
    out = (ops.max if ord > 0 else ops.min)(sums, axis=over, keepdims=True)
    return out if keepdim else ops.squeeze(out, (row, column))


@either_spelling
def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """:func:`matrix_norm` where ``ord`` and two dimensions (or a matrix) are given, else a vector's."""
    if dim is not None:
        pair = isinstance(dim, (tuple, list)) and len(dim) == 2
        if ord is not None and pair:
            return matrix_norm(A, ord, dim, keepdim, dtype=dtype)
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    a = unwrap(A, "norm", "A")
    if ord is None or a.ndim == 1:
        return vector_norm(A, 2 if ord is None else ord, None, keepdim, dtype=dtype)
    if a.ndim != 2:
        raise ShapeError(f"norm: A has shape {a.shape}, expected a vector or a matrix where ord is given")
    return matrix_norm(A, ord, keepdim=keepdim, dtype=dtype)


def multi_dot(tensors: Any) -> Any:
    """The product of several matrices, in the order that costs least; the ends may be vectors."""
    given = list(tensors)
    if len(given) < 2:
        raise ArgumentError(f"multi_dot: got {len(given)} tensors, expected at least 2")
    first, last = np.ndim(given[0]) == 1, np.ndim(given[-1]) == 1
    if first:
        given[0] = ops.unsqueeze(given[0], 0)
    if last:
        given[-1] = ops.unsqueeze(given[-1], -1)
    shapes = [tuple(x.shape) for x in given]
    if any(len(s) != 2 for s in shapes) or any(a[1] != b[0] for a, b in itertools.pairwise(shapes)):
        raise ShapeError(f"multi_dot: got shapes {shapes}, expected matrices that can be multiplied")
    sizes = [shapes[0][0], *[s[1] for s in shapes]]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """Multiplications for the matrices i to j, and where the last product parts them."""
        if i == j:
            return 0, i
        return min(
            (best(i, k)[0] + best(k + 1, j)[0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
            for k in range(i, j)
        )

    def product(i: int, j: int) -> Any:
        if i == j:
            return given[i]
        k = best(i, j)[1]
        left, right = product(i, k), product(k + 1, j)
        return left @ right if isinstance(left, Tensor) else ops.matmul(left, right)

    out = product(0, len(given) - 1)
    shape = out.shape[first : 2 - last]
    return out if len(shape) == 2 else ops.reshape(out, shape)


@either_spelling
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sums of products along one dimension."""
    return ops.sum(ops.multiply(x, y), dim)


@either_spelling
def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector product along a dimension of size 3."""
    return ops.cross(input, other, dim)


@either_spelling
def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonal of two dimensions, as a new last dimension."""
    return ops.diagonal(A, offset, dim1, dim2)


def matmul(input: Any, other: Any) -> Any:
    """The matrix product."""
    return ops.matmul(input, other)


def vander(x: Any, *, N: int | None = None) -> Any:
    """The powers 0 to N - 1 of each element, as a new last dimension."""
    if isinstance(x, Tensor) and not x.is_floating_point():
        n = x.shape[-1:] if N is None else (N,)
        return Tensor._wrap(
            (x._data.reshape(-1) if not x.ndim else x._data)[..., None] ** beside(x, np.arange(*n)),
            False,
            None,
        )
    a = unwrap(x, "vander", "x")
    if not a.ndim:
        return vander(ops.reshape(x, (1,)), N=N)
    count = integer("vander", "N", a.shape[-1] if N is None else N, 1)
    powers = beside(a, np.arange(count, dtype=a.dtype))
    return ops.power(ops.unsqueeze(x, -1), powers)
