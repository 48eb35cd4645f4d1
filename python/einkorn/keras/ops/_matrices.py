"""``keras.ops.linalg``: decompositions and systems of equations, with Keras' names and order of arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import func, linalg, ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras.ops._numpy import _data, _like

__all__ = [
    "cdist", "cholesky", "cholesky_inverse", "det", "eigh", "inv", "jvp", "logdet", "lstsq", "lu_factor",
    "matrix_rank", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
]  # fmt: skip


def cholesky(x: Any, upper: bool = False) -> Any:
    """The triangular matrix whose product with its transpose is x."""
    return linalg.cholesky(x, upper=upper)


def cholesky_inverse(x: Any, upper: bool = False) -> Any:
    """The inverse of the matrix of which x is what ``cholesky`` gives."""
    size = x.shape[-1]
    turned = ops.swapaxes(x, -2, -1)
    low = turned if upper else x
    values = _data(x)
    ones = np.broadcast_to(np.eye(size, dtype=values.dtype), values.shape)
    inverse = linalg.solve_triangular(low, np.array(ones), upper=False)
    return ops.matmul(ops.swapaxes(inverse, -2, -1), inverse)


def det(x: Any) -> Any:
    """The determinant."""
    return linalg.det(x)


def slogdet(x: Any) -> tuple[Any, Any]:
    """The sign of the determinant, and the logarithm of its absolute value."""
    return tuple(linalg.slogdet(x))


def logdet(x: Any) -> Any:
    """The logarithm of the determinant of positive definite matrices."""
    return linalg.slogdet(x)[1]


def eigh(x: Any) -> tuple[Any, Any]:
    """Eigenvalues, the least first, and eigenvectors of symmetric matrices."""
    return tuple(linalg.eigh(x))


def inv(x: Any) -> Any:
    """The inverse."""
    return linalg.inv(x)


def lu_factor(x: Any) -> tuple[Any, Any]:
    """Both triangles in one matrix, and for each row that with which it changes its place, from 0.

    No gradient passes.
    """
    lower = np.array(_data(x))
    if lower.dtype.kind != "f":
        lower = lower.astype(np.float32)
    if lower.ndim < 2:
        raise ArgumentError(f"lu_factor: x has shape {lower.shape}, expected [..., rows, columns]")
    rows, columns = lower.shape[-2:]
    steps = min(rows, columns)
    places = np.zeros((*lower.shape[:-2], steps), np.int32)
    for matrix, swaps in zip(lower.reshape(-1, rows, columns), places.reshape(-1, steps), strict=True):
        for k in range(steps):
            swaps[k] = best = k + int(np.abs(matrix[k:, k]).argmax())
            matrix[[k, best]] = matrix[[best, k]]
            if matrix[k, k]:
                matrix[k + 1 :, k] /= matrix[k, k]
                matrix[k + 1 :, k + 1 :] -= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    return _like(x, lower), _like(x, places)


def qr(x: Any, mode: str = "reduced") -> tuple[Any, Any]:
    """A matrix of orthogonal columns and a triangular one, whose product is x."""
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr: mode is {mode!r}, expected reduced or complete")
    return tuple(linalg.qr(x, mode))


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Left vectors, singular values and right vectors; the values alone without ``compute_uv``."""
    return tuple(linalg.svd(x, full_matrices)) if compute_uv else linalg.svdvals(x)


def solve(a: Any, b: Any) -> Any:
    """What a has to be multiplied with to give b."""
    return linalg.solve(a, b)


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """``solve`` of a triangular matrix, upper or lower."""
    row = len(b.shape) == len(a.shape) - 1
    out = linalg.solve_triangular(a, ops.expand_dims(b, -1) if row else b, upper=not lower)
    return out[..., 0] if row else out


def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """What a has to be multiplied with to come nearest to b, the shortest of such."""
    row = len(b.shape) == 1
    found = ops.matmul(linalg.pinv(a, rcond), ops.expand_dims(b, -1) if row else b)
    return found[..., 0] if row else found


def pinv(x: Any, rcond: float | None = None) -> Any:
    """The pseudo-inverse; singular values below ``rcond`` times the largest count as 0."""
    return linalg.pinv(x, rcond)


def matrix_rank(x: Any, tol: float | None = None) -> Any:
    """How many singular values are above ``tol``, by default about the rounding of the largest."""
    return linalg.matrix_rank(x) if tol is None else linalg.matrix_rank(x, atol=tol, rtol=0.0)


def cdist(x: Any, y: Any) -> Any:
    """The distance of each vector of x from each of y."""
    return ops.cdist(x, y)


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """What a function gives, and how fast it changes along the tangents.

    Parameters
    ----------
    fun : callable
    primals, tangents : tuple of arrays or Tensors
        What fun is called with, and the directions.
    has_aux : bool, default False
        Whether fun gives a second part, which comes back as a third.
    """

    def whole(values: Any) -> Any:
        return tuple(x if isinstance(x, Tensor) else Tensor(np.asarray(x)) for x in values)

    return func.jvp(fun, whole(primals), whole(tangents), has_aux=has_aux)
