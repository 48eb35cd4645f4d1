"""Decompositions of matrices, and what singular values tell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._device import as_array
from einkorn.errors import ArgumentError
from einkorn.linalg._common import computed, least, matrices, no_gradient, plain, symmetric, turned
from einkorn.linalg.systems import solve
from einkorn.ops._options import flag
from einkorn.ops._road import result


class Eigh(NamedTuple):
    """What :func:`eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """What :func:`svd` returns."""

    U: Any
    S: Any
    Vh: Any


class QR(NamedTuple):
    """What :func:`qr` returns."""

    Q: Any
    R: Any


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """``L`` with ``A == L @ L.T``, of symmetric positive definite matrices; with ``upper``, its transpose.

    Raises
    ------
    ArgumentError
        For a matrix that is not positive definite.
    """
    a = matrices("cholesky", A)
    out = computed("cholesky", np.linalg.cholesky, a)

    def rule(g: Any, _: Any, root: Any) -> tuple[Any]:
        inner = ops.tril(ops.matmul(turned(root), ops.tril(g)))
        halves = np.tril(np.ones(a.shape[-2:], a.dtype), -1) + 0.5 * np.eye(a.shape[-1], dtype=a.dtype)
        inner = ops.multiply(inner, halves)
        of = turned(solve(turned(root), turned(solve(turned(root), inner))))
        return (ops.multiply(ops.add(of, turned(of)), 0.5),)

    lower = result(out, (A,), rule, (None, out))
    return turned(lower) if flag("cholesky", "upper", upper) else lower


def eigh(A: Any, UPLO: str = "L") -> Eigh:
    """Eigenvalues, in rising order, and eigenvectors (columns) of symmetric matrices.

    The gradient needs the eigenvalues to differ where it goes through the eigenvectors.
    """
    a = matrices("eigh", A)
    if UPLO not in ("L", "U"):
        raise ArgumentError(f"eigh: UPLO is {UPLO!r}, expected 'L' or 'U'")
    w, v = computed("eigh", np.linalg.eigh, a, UPLO)

    def of_values(g: Any) -> tuple[Any]:
        return (as_array((v * g[..., None, :]) @ np.swapaxes(v, -2, -1), a.dtype),)

    def of_vectors(g: Any) -> tuple[Any]:
        back = np.swapaxes(v, -2, -1)
        apart = w[..., None, :] - w[..., :, None]
        with np.errstate(divide="ignore"):
            factor = np.where(np.eye(apart.shape[-1], dtype=bool), 0, 1 / apart)
        of = v @ ((back @ g) * factor) @ back
        return (as_array((of + np.swapaxes(of, -2, -1)) * 0.5, a.dtype),)

    return Eigh(result(w, (A,), of_values), result(v, (A,), of_vectors))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices, in rising order."""
    return eigh(A, UPLO).eigenvalues


def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """Singular value decomposition ``A == U @ diag(S) @ Vh``.

    The gradient needs the singular values to differ, and a loss that the signs of vectors do not change.
    """
    a = matrices("svd", A, False)
    u, s, vh = computed("svd", np.linalg.svd, a, flag("svd", "full_matrices", full_matrices))
    n = s.shape[-1]
    left, right = u[..., :n], vh[..., :n, :]  # those that belong to a singular value

    def inner(skewed: Any) -> Any:
        squares = s * s
        apart = squares[..., None, :] - squares[..., :, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.eye(n, dtype=bool), 0, (skewed - np.swapaxes(skewed, -2, -1)) / apart)

    def back(core: Any, rest: Any = 0.0) -> tuple[Any]:
        return (as_array(left @ core @ right + rest, a.dtype),)

    def of_u(g: Any) -> tuple[Any]:
        g = g[..., :n]
        turned = np.swapaxes(left, -2, -1) @ g
        free = (g - left @ turned) / s[..., None, :] @ right if a.shape[-2] > n else 0.0
        return back(inner(turned) * s[..., None, :], free)

    def of_s(g: Any) -> tuple[Any]:
        return back(np.eye(n, dtype=a.dtype) * g[..., None, :])

    def of_vh(g: Any) -> tuple[Any]:
        g = g[..., :n, :]
        turned = right @ np.swapaxes(g, -2, -1)
        free = left / s[..., None, :] @ (g - np.swapaxes(turned, -2, -1) @ right) if a.shape[-1] > n else 0.0
        return back(s[..., :, None] * inner(turned), free)

    return SVD(result(u, (A,), of_u), result(s, (A,), of_s), result(vh, (A,), of_vh))


def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """Singular values, in falling order."""
    a = matrices("svdvals", A, False)
    u, s, vh = computed("svdvals", np.linalg.svd, a, False)

    def rule(g: Any) -> tuple[Any]:
        return (ops.matmul(ops.multiply(u, ops.unsqueeze(g, -2)), vh),)

    return result(s, (A,), rule)


def qr(A: Any, mode: str = "reduced") -> QR:
    """``A == Q @ R`` with orthonormal columns of Q and a triangle R.

    Parameters
    ----------
    mode : {"reduced", "complete", "r"}
        Q with as many columns as A has at most; with all that there are; R alone.

    Notes
    -----
    There is a gradient where A has no more columns than rows and Q no more than A.
    """
    a = matrices("qr", A, False)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode is {mode!r}, expected 'reduced', 'complete' or 'r'")
    parts: Any = np.linalg.qr(a, "complete" if mode == "complete" else "reduced")
    q, r = parts
    if mode == "r" or a.shape[-2] < a.shape[-1] or q.shape[-1] > a.shape[-1]:
        no_gradient("qr", A)
        return QR(plain(np.empty((0,), a.dtype) if mode == "r" else q, A), plain(r, A))

    def finish(of_q: Any, m: Any) -> tuple[Any]:
        both = np.tril(m) + np.swapaxes(np.tril(m, -1), -2, -1)
        found = np.linalg.solve(r, np.swapaxes(of_q + q @ both, -2, -1))
        return (as_array(np.swapaxes(found, -2, -1), a.dtype),)

    def of_q(g: Any) -> tuple[Any]:
        return finish(g, -np.swapaxes(g, -2, -1) @ q)

    def of_r(g: Any) -> tuple[Any]:
        return finish(0.0, r @ np.swapaxes(g, -2, -1))

    return QR(result(q, (A,), of_q), result(r, (A,), of_r))


def matrix_rank(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    """How many singular values are above ``atol`` and above ``rtol`` times the largest.

    Parameters
    ----------
    atol, rtol : number or Tensor, optional
        0 and the larger size times the type's resolution; of the two, the larger limit counts.
    hermitian : bool
        Whether A is symmetric: its lower triangle counts.
    """
    A = symmetric(A) if hermitian else A
    a = matrices("matrix_rank", A, hermitian)
    s = np.linalg.svd(a, compute_uv=False)
    return plain(as_array((s > least("matrix_rank", a, s, atol, rtol)).sum(-1), np.int64), A)
