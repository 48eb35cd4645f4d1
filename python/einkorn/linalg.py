"""Linear algebra as ``torch.linalg`` has it: inverses, systems, determinants, decompositions and norms.

NumPy (LAPACK) computes; the gradients are here, in operations, so that they have gradients in turn. A matrix
is the last two dimensions, those before are a batch. Float32 and float64; arrays give arrays, Tensors give
Tensors.

References
----------
M. Giles: *An extended collection of matrix derivative results for forward and reverse mode automatic
differentiation*, 2008. I. Murray: *Differentiation of the Cholesky decomposition*, 2016.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, GradientError, ShapeError
from einkorn.ops._options import flag, integer
from einkorn.ops._road import needs, result, sum_to, unwrap

__all__ = [
    "QR",
    "SVD",
    "Eigh",
    "LinAlgError",
    "Lstsq",
    "SLogDet",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vander",
    "vecdot",
    "vector_norm",
]

#: What a singular matrix raises.
LinAlgError = ArgumentError


class SLogDet(NamedTuple):
    """What :func:`slogdet` returns."""

    sign: Any
    logabsdet: Any


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


class Lstsq(NamedTuple):
    """What :func:`lstsq` returns."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def _matrices(op: str, A: Any, square: bool = True, name: str = "A") -> Any:
    a = unwrap(A, op, name)
    if a.ndim < 2 or (square and a.shape[-1] != a.shape[-2]):
        what = "square matrices" if square else "matrices"
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {what}")
    return a


def _computed(op: str, function: Any, *args: Any, **options: Any) -> Any:
    try:
        return function(*args, **options)
    except np.linalg.LinAlgError as error:
        raise ArgumentError(f"{op}: {str(error).lower()}") from None


def _no_gradient(op: str, *given: Any) -> None:
    if any(needs(x) for x in given):
        raise GradientError(f"{op}: its gradient is not computed here; detach() what requires one")


def _plain(out: Any, *given: Any) -> Any:
    """An array, or a Tensor where one came, without a gradient."""
    out = np.asarray(out) if np.isscalar(out) else out
    return Tensor._wrap(out, False, None) if any(isinstance(x, Tensor) for x in given) else out


def _t(x: Any) -> Any:
    return ops.transpose(x, -2, -1)


# --- systems ------------------------------------------------------------------------------------


def inv(A: Any) -> Any:
    """The inverse of square matrices.

    Raises
    ------
    ArgumentError
        For a singular matrix.
    """
    a = _matrices("inv", A)
    out = _computed("inv", np.linalg.inv, a)

    def rule(g: Any, _: Any, x: Any) -> tuple[Any]:
        return (ops.negative(ops.matmul(ops.matmul(_t(x), g), _t(x))),)

    return result(out, (A,), rule, (None, out))


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """``X`` with ``A @ X == B`` (or ``X @ A == B`` where not ``left``), for square matrices.

    Parameters
    ----------
    A : array or Tensor [..., n, n]
    B : array or Tensor [..., n, k], [n], or [..., n] in the batch of A
    left : bool, keyword-only, default True

    Raises
    ------
    ArgumentError
        For a singular matrix.
    """
    if not flag("solve", "left", left):
        return _t(solve(_t(A), _t(B)))
    a, b = _matrices("solve", A), unwrap(B, "solve", "B")
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector:
        return ops.reshape(solve(A, ops.unsqueeze(B, -1)), np.broadcast_shapes(a.shape[:-1], b.shape))
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"solve: B has shape {b.shape}, expected {a.shape[-1]} rows for A {a.shape}")
    out = _computed("solve", np.linalg.solve, a, b)
    shapes = a.shape, b.shape

    def rule(g: Any, left_side: Any, _: Any, x: Any) -> tuple[Any, Any]:
        of_b = solve(_t(left_side), g)
        of_a = ops.negative(ops.matmul(of_b, _t(x)))
        return sum_to(of_a, shapes[0]), sum_to(of_b, shapes[1])

    return result(out, (A, B), rule, (a, None, out))


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """:func:`solve` where only one triangle of A counts; with ``unitriangular`` its diagonal is ones."""
    a = _matrices("solve_triangular", A)
    half = ops.triu if flag("solve_triangular", "upper", upper) else ops.tril
    kept = half(A, (1 if upper else -1) if unitriangular else 0)
    if unitriangular:
        kept = ops.add(kept, np.eye(a.shape[-1], dtype=a.dtype))
    return solve(kept, B, left=left)


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Lstsq:
    """The least squares solution of ``A @ X = B``, of smallest norm, by the pseudo-inverse.

    Parameters
    ----------
    A : array or Tensor [..., m, n]
    B : array or Tensor [..., m, k]
    rcond : number, optional
        Singular values up to this part of the largest count as 0.
    driver : {"gelsy", "gels", "gelsd", "gelss"}, optional
        What else is returned, as in torch: the rank by all but "gels", singular values by the last two,
        residuals by all but "gelsy"; what is not returned is empty. The way is the same.
    """
    a, b = _matrices("lstsq", A, False), unwrap(B, "lstsq", "B")
    way = "gelsy" if driver is None else driver
    if way not in ("gelsy", "gels", "gelsd", "gelss"):
        raise ArgumentError(f"lstsq: driver is {driver!r}, expected 'gelsy', 'gels', 'gelsd' or 'gelss'")
    if b.ndim < 2 or b.shape[-2] != a.shape[-2]:
        raise ShapeError(
            f"lstsq: A has shape {a.shape} and B {b.shape}, expected [..., m, n] and [..., m, k]"
        )
    solution = ops.matmul(pinv(A, rtol=rcond), B)
    rows, columns = a.shape[-2:]
    s = np.linalg.svd(a, compute_uv=False)
    rank = np.asarray((s > _least("lstsq", a, s, None, rcond)).sum(-1), np.int64)
    none = np.empty((0,), a.dtype)
    residuals: Any = ops.getitem(ops.reshape(solution, (-1,)), slice(0, 0))
    if way != "gelsy" and rows > columns and (way == "gels" or (rank == columns).all()):
        residuals = ops.sum(ops.square(ops.subtract(ops.matmul(A, solution), B)), -2)
    known = _plain(np.empty((0,), np.int64) if way == "gels" else rank, A, B)
    values = s if way in ("gelsd", "gelss") else none
    return Lstsq(solution, residuals, known, _plain(values, A, B))


def pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The pseudo-inverse (Moore and Penrose).

    Parameters
    ----------
    rcond : number, optional
        torch's older name of ``rtol``.
    hermitian : bool
        Whether A is symmetric: its lower triangle counts.
    atol, rtol : number or Tensor, optional
        Singular values up to these count as 0; see :func:`matrix_rank`.

    Notes
    -----
    The gradient (Golub and Pereyra 1973) holds where the rank stays the same.
    """
    a = _matrices("pinv", A, hermitian)
    whole = unwrap(_symmetric(A), "pinv", "A") if hermitian else a
    u, s, vh = _computed("pinv", np.linalg.svd, whole, False)
    kept = s > _least("pinv", a, s, atol, rcond if rtol is None else rtol)
    inverse = np.divide(1, s, out=np.zeros_like(s), where=kept)
    out = np.asarray(np.swapaxes(vh, -2, -1) @ (inverse[..., None] * np.swapaxes(u, -2, -1)), a.dtype)

    def rule(g: Any, x: Any, p: Any) -> tuple[Any]:
        h, q = _t(g), _t(p)
        rows, columns = np.eye(a.shape[-2], dtype=a.dtype), np.eye(a.shape[-1], dtype=a.dtype)
        of = ops.negative(ops.matmul(ops.matmul(q, g), q))
        free = ops.subtract(rows, ops.matmul(x, p))
        of = ops.add(of, ops.matmul(ops.matmul(ops.matmul(free, h), p), q))
        free = ops.subtract(columns, ops.matmul(p, x))
        return (ops.add(of, ops.matmul(ops.matmul(ops.matmul(q, p), h), free)),)

    return result(out, (A,), rule, (a, out))


# --- determinants and powers ----------------------------------------------------------------------


def det(A: Any) -> Any:
    """Determinants of square matrices."""
    a = _matrices("det", A)
    out = np.asarray(np.linalg.det(a), a.dtype)

    def rule(g: Any, x: Any, d: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            slope = ops.multiply(_t(inv(x)), ops.reshape(d, (*d.shape, 1, 1)))
        else:
            slope = _cofactors(x)
        return (ops.multiply(slope, ops.reshape(g, (*g.shape, 1, 1))),)

    return result(out, (A,), rule, (a, out))


def _cofactors(a: Any) -> Any:
    """The slope of the determinant, also where it is 0: products of all singular values but one."""
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return np.asarray((u * (others * sign[..., None])[..., None, :]) @ vh, a.dtype)


def slogdet(A: Any) -> SLogDet:
    """Sign and logarithm of the absolute value of determinants."""
    a = _matrices("slogdet", A)
    sign, log = np.linalg.slogdet(a)

    def rule(g: Any, x: Any) -> tuple[Any]:
        return (ops.multiply(_t(inv(x)), ops.reshape(g, (*g.shape, 1, 1))),)

    def flat(g: Any) -> tuple[Any]:
        return (ops.multiply(ops.reshape(g, (*g.shape, 1, 1)), np.zeros(a.shape, a.dtype)),)

    size = result(np.asarray(log, a.dtype), (A,), rule, (a,))
    return SLogDet(result(np.asarray(sign, a.dtype), (A,), flat, ()), size)


def matrix_power(A: Any, n: int) -> Any:
    """The n-th power of square matrices, by squaring; negative ones of the inverse."""
    a = _matrices("matrix_power", A)
    left = integer("matrix_power", "n", n)
    base = inv(A) if left < 0 else A
    left, out = abs(left), None
    while left:
        if left & 1:
            out = base if out is None else ops.matmul(out, base)
        left >>= 1
        if left:
            base = ops.matmul(base, base)
    return ops.add(ops.multiply(A, 0.0), np.eye(a.shape[-1], dtype=a.dtype)) if out is None else out


def matrix_exp(A: Any) -> Any:
    """The exponential of square matrices: a Taylor polynomial of a small part of them, squared again."""
    a = _matrices("matrix_exp", A)
    largest = float(np.abs(a).sum(-2).max(initial=0.0))
    if not math.isfinite(largest):
        return _plain(np.full_like(a, np.nan), A)
    squarings = max(0, math.ceil(math.log2(largest)) + 2) if largest > 0 else 0
    small = ops.multiply(A, 0.5**squarings)
    eye = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    out: Any = ops.add(ops.divide(small, 18.0), eye)
    for k in range(17, 0, -1):
        out = ops.add(ops.matmul(ops.divide(small, float(k)), out), eye)
    for _ in range(squarings):
        out = ops.matmul(out, out)
    return out


# --- decompositions -------------------------------------------------------------------------------


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """``L`` with ``A == L @ L.T``, of symmetric positive definite matrices; with ``upper``, its transpose.

    Raises
    ------
    ArgumentError
        For a matrix that is not positive definite.
    """
    a = _matrices("cholesky", A)
    out = _computed("cholesky", np.linalg.cholesky, a)

    def rule(g: Any, _: Any, root: Any) -> tuple[Any]:
        inner = ops.tril(ops.matmul(_t(root), ops.tril(g)))
        halves = np.tril(np.ones(a.shape[-2:], a.dtype), -1) + 0.5 * np.eye(a.shape[-1], dtype=a.dtype)
        inner = ops.multiply(inner, halves)
        of = _t(solve(_t(root), _t(solve(_t(root), inner))))
        return (ops.multiply(ops.add(of, _t(of)), 0.5),)

    lower = result(out, (A,), rule, (None, out))
    return _t(lower) if flag("cholesky", "upper", upper) else lower


def eigh(A: Any, UPLO: str = "L") -> Eigh:
    """Eigenvalues, in rising order, and eigenvectors (columns) of symmetric matrices.

    The gradient needs the eigenvalues to differ where it goes through the eigenvectors.
    """
    a = _matrices("eigh", A)
    if UPLO not in ("L", "U"):
        raise ArgumentError(f"eigh: UPLO is {UPLO!r}, expected 'L' or 'U'")
    w, v = _computed("eigh", np.linalg.eigh, a, UPLO)

    def of_values(g: Any) -> tuple[Any]:
        return (np.asarray((v * g[..., None, :]) @ np.swapaxes(v, -2, -1), a.dtype),)

    def of_vectors(g: Any) -> tuple[Any]:
        back = np.swapaxes(v, -2, -1)
        apart = w[..., None, :] - w[..., :, None]
        with np.errstate(divide="ignore"):
            factor = np.where(np.eye(apart.shape[-1], dtype=bool), 0, 1 / apart)
        of = v @ ((back @ g) * factor) @ back
        return (np.asarray((of + np.swapaxes(of, -2, -1)) * 0.5, a.dtype),)

    return Eigh(result(w, (A,), of_values), result(v, (A,), of_vectors))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices, in rising order."""
    return eigh(A, UPLO).eigenvalues


def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """Singular value decomposition ``A == U @ diag(S) @ Vh``.

    The gradient needs the singular values to differ, and a loss that the signs of vectors do not change.
    """
    a = _matrices("svd", A, False)
    u, s, vh = _computed("svd", np.linalg.svd, a, flag("svd", "full_matrices", full_matrices))
    n = s.shape[-1]
    left, right = u[..., :n], vh[..., :n, :]  # those that belong to a singular value

    def inner(skewed: Any) -> Any:
        squares = s * s
        apart = squares[..., None, :] - squares[..., :, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.eye(n, dtype=bool), 0, (skewed - np.swapaxes(skewed, -2, -1)) / apart)

    def back(core: Any, rest: Any = 0.0) -> tuple[Any]:
        return (np.asarray(left @ core @ right + rest, a.dtype),)

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
    a = _matrices("svdvals", A, False)
    u, s, vh = _computed("svdvals", np.linalg.svd, a, False)

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
    a = _matrices("qr", A, False)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode is {mode!r}, expected 'reduced', 'complete' or 'r'")
    parts: Any = np.linalg.qr(a, "complete" if mode == "complete" else "reduced")
    q, r = parts
    if mode == "r" or a.shape[-2] < a.shape[-1] or q.shape[-1] > a.shape[-1]:
        _no_gradient("qr", A)
        return QR(_plain(np.empty((0,), a.dtype) if mode == "r" else q, A), _plain(r, A))

    def finish(of_q: Any, m: Any) -> tuple[Any]:
        both = np.tril(m) + np.swapaxes(np.tril(m, -1), -2, -1)
        found = np.linalg.solve(r, np.swapaxes(of_q + q @ both, -2, -1))
        return (np.asarray(np.swapaxes(found, -2, -1), a.dtype),)

    def of_q(g: Any) -> tuple[Any]:
        return finish(g, -np.swapaxes(g, -2, -1) @ q)

    def of_r(g: Any) -> tuple[Any]:
        return finish(0.0, r @ np.swapaxes(g, -2, -1))

    return QR(result(q, (A,), of_q), result(r, (A,), of_r))


def _symmetric(A: Any) -> Any:
    return ops.add(ops.tril(A), _t(ops.tril(A, -1)))


def _least(op: str, a: Any, s: Any, atol: Any, rtol: Any) -> Any:
    """The singular value up to which others count as 0, for each matrix."""
    known = [unwrap(x, op, "tol") if isinstance(x, Tensor) else x for x in (atol, rtol)]
    relative = known[1]
    if relative is None:
        alone = known[0] is None
        relative = max(a.shape[-2:]) * np.finfo(a.dtype).eps
        if not alone:
            relative = np.where(np.asarray(known[0]) > 0, 0.0, relative)
    absolute = 0.0 if known[0] is None else known[0]
    return np.maximum(np.asarray(absolute), np.asarray(relative) * s.max(-1, initial=0))[..., None]


def matrix_rank(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    """How many singular values are above ``atol`` and above ``rtol`` times the largest.

    Parameters
    ----------
    atol, rtol : number or Tensor, optional
        0 and the larger size times the type's resolution; of the two, the larger limit counts.
    hermitian : bool
        Whether A is symmetric: its lower triangle counts.
    """
    A = _symmetric(A) if hermitian else A
    a = _matrices("matrix_rank", A, hermitian)
    s = np.linalg.svd(a, compute_uv=False)
    return _plain(np.asarray((s > _least("matrix_rank", a, s, atol, rtol)).sum(-1), np.int64), A)


def cond(A: Any, p: Any = None) -> Any:
    """Condition number: the norm of matrices times that of their inverse; p is the norm's, 2 by default."""
    if p in (None, 2, -2):
        s = svdvals(A)
        return ops.divide(s[..., 0], s[..., -1]) if p != -2 else ops.divide(s[..., -1], s[..., 0])
    return ops.multiply(matrix_norm(A, p), matrix_norm(inv(A), p))


# --- norms and products ---------------------------------------------------------------------------


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``sum(|x| ** ord) ** (1 / ord)`` over dimensions, all by default; also of infinity, -infinity and 0."""
    if isinstance(ord, (str, bool)):
        raise ArgumentError(f"vector_norm: ord is {ord!r}, expected a number")
    return ops.norm(x, float(ord), dim, keepdim, dtype)


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
    a = _matrices("matrix_norm", x, False)
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


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sums of products along one dimension."""
    return ops.sum(ops.multiply(x, y), dim)


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector product along a dimension of size 3."""
    return ops.cross(input, other, dim)


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
            np.asarray(x._data.reshape(-1) if not x.ndim else x._data)[..., None] ** np.arange(*n),
            False,
            None,
        )
    a = unwrap(x, "vander", "x")
    if not a.ndim:
        return vander(ops.reshape(x, (1,)), N=N)
    count = integer("vander", "N", a.shape[-1] if N is None else N, 1)
    powers = np.arange(count, dtype=a.dtype)
    return ops.power(ops.unsqueeze(x, -1), powers)
