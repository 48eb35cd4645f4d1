"""Systems of equations, inverses, determinants and powers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._device import as_array, beside
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.linalg._common import computed, least, matrices, plain, symmetric, turned
from einkorn.ops._options import flag, integer
from einkorn.ops._road import result, sum_to, unwrap


class Lstsq(NamedTuple):
    """What :func:`lstsq` returns."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


class SLogDet(NamedTuple):
    """What :func:`slogdet` returns."""

    sign: Any
    logabsdet: Any


def inv(A: Any) -> Any:
    """The inverse of square matrices.

    Raises
    ------
    ArgumentError
        For a singular matrix.
    """
    a = matrices("inv", A)
    out = computed("inv", np.linalg.inv, a)

    def rule(g: Any, _: Any, x: Any) -> tuple[Any]:
        return (ops.negative(ops.matmul(ops.matmul(turned(x), g), turned(x))),)

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
        return turned(solve(turned(A), turned(B)))
    a, b = matrices("solve", A), unwrap(B, "solve", "B")
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector:
        return ops.reshape(solve(A, ops.unsqueeze(B, -1)), np.broadcast_shapes(a.shape[:-1], b.shape))
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"solve: B has shape {b.shape}, expected {a.shape[-1]} rows for A {a.shape}")
    out = computed("solve", np.linalg.solve, a, b)
    shapes = a.shape, b.shape

    def rule(g: Any, left_side: Any, _: Any, x: Any) -> tuple[Any, Any]:
        of_b = solve(turned(left_side), g)
        of_a = ops.negative(ops.matmul(of_b, turned(x)))
        return sum_to(of_a, shapes[0]), sum_to(of_b, shapes[1])

    return result(out, (A, B), rule, (a, None, out))


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """:func:`solve` where only one triangle of A counts; with ``unitriangular`` its diagonal is ones."""
    a = matrices("solve_triangular", A)
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
    a, b = matrices("lstsq", A, False), unwrap(B, "lstsq", "B")
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
    rank = as_array((s > least("lstsq", a, s, None, rcond)).sum(-1), np.int64)
    none = beside(a, np.empty((0,), a.dtype))
    residuals: Any = ops.getitem(ops.reshape(solution, (-1,)), slice(0, 0))
    if way != "gelsy" and rows > columns and (way == "gels" or (rank == columns).all()):
        residuals = ops.sum(ops.square(ops.subtract(ops.matmul(A, solution), B)), -2)
    known = plain(beside(a, np.empty((0,), np.int64)) if way == "gels" else rank, A, B)
    values = s if way in ("gelsd", "gelss") else none
    return Lstsq(solution, residuals, known, plain(values, A, B))


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
    a = matrices("pinv", A, hermitian)
    whole = unwrap(symmetric(A), "pinv", "A") if hermitian else a
    u, s, vh = computed("pinv", np.linalg.svd, whole, False)
    kept = s > least("pinv", a, s, atol, rcond if rtol is None else rtol)
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0)
    out = as_array(np.swapaxes(vh, -2, -1) @ (inverse[..., None] * np.swapaxes(u, -2, -1)), a.dtype)

    def rule(g: Any, x: Any, p: Any) -> tuple[Any]:
        h, q = turned(g), turned(p)
        rows, columns = np.eye(a.shape[-2], dtype=a.dtype), np.eye(a.shape[-1], dtype=a.dtype)
        of = ops.negative(ops.matmul(ops.matmul(q, g), q))
        free = ops.subtract(rows, ops.matmul(x, p))
        of = ops.add(of, ops.matmul(ops.matmul(ops.matmul(free, h), p), q))
        free = ops.subtract(columns, ops.matmul(p, x))
        return (ops.add(of, ops.matmul(ops.matmul(ops.matmul(q, p), h), free)),)

    return result(out, (A,), rule, (a, out))


def det(A: Any) -> Any:
    """Determinants of square matrices."""
    a = matrices("det", A)
    out = as_array(np.linalg.det(a), a.dtype)

    def rule(g: Any, x: Any, d: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            slope = ops.multiply(turned(inv(x)), ops.reshape(d, (*d.shape, 1, 1)))
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
    return as_array((u * (others * sign[..., None])[..., None, :]) @ vh, a.dtype)


def slogdet(A: Any) -> SLogDet:
    """Sign and logarithm of the absolute value of determinants."""
    a = matrices("slogdet", A)
    sign, log = np.linalg.slogdet(a)

    def rule(g: Any, x: Any) -> tuple[Any]:
        return (ops.multiply(turned(inv(x)), ops.reshape(g, (*g.shape, 1, 1))),)

    def flat(g: Any) -> tuple[Any]:
        return (ops.multiply(ops.reshape(g, (*g.shape, 1, 1)), np.zeros(a.shape, a.dtype)),)

    size = result(as_array(log, a.dtype), (A,), rule, (a,))
    return SLogDet(result(as_array(sign, a.dtype), (A,), flat, ()), size)


def matrix_power(A: Any, n: int) -> Any:
    """The n-th power of square matrices, by squaring; negative ones of the inverse."""
    a = matrices("matrix_power", A)
    left = integer("matrix_power", "n", n)
    base = inv(A) if left < 0 else A
    left, out = abs(left), None
    while left:
        if left & 1:
            out = base if out is None else ops.matmul(out, base)
        left >>= 1
        if left:
            base = ops.matmul(base, base)
    return (
        ops.add(ops.multiply(A, 0.0), beside(a, np.eye(a.shape[-1], dtype=a.dtype))) if out is None else out
    )


def matrix_exp(A: Any) -> Any:
    """The exponential of square matrices: a Taylor polynomial of a small part of them, squared again."""
    a = matrices("matrix_exp", A)
    # Each matrix is squared as often as itself needs: more would cost it its digits.
    sums = np.abs(a).sum(-2)
    norms = (sums.max(-1) if a.shape[-1] else sums.sum(-1))[..., None, None].astype(np.float64)
    known = np.isfinite(norms) & (norms > 0)
    squarings = np.where(known, np.ceil(np.log2(np.where(known, norms, 1.0))) + 2, 0).clip(0)
    small = ops.multiply(A, (0.5**squarings).astype(a.dtype))
    eye = beside(a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))
    out: Any = ops.add(ops.divide(small, 18.0), eye)
    for k in range(17, 0, -1):
        out = ops.add(ops.matmul(ops.divide(small, float(k)), out), eye)
    for step in range(int(squarings.max()) if squarings.size else 0):
        squared, goes_on = ops.matmul(out, out), step < squarings
        out = squared if goes_on.all() else ops.where(goes_on, squared, out)
    return out
