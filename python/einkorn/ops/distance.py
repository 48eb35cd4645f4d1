"""Distances and angles between vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._elementwise import _binary_kernel, _scalar_like
from einkorn.ops._options import axis_of, check_rank, flag, number
from einkorn.ops._road import broadcast_shape, check_size, needs, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once

__all__ = ["cdist", "cosine_similarity", "pairwise_distance"]


def _values(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else unwrap(x, "distance", "x")


def _is_zero(x: Any) -> Any:
    """1 where an element is 0, else 0; a constant to gradients."""
    a = _values(x)
    return _binary_kernel("equal", a, _scalar_like(0.0, a))


def _length(x: Any, p: float, axis: int, keepdims: bool = False) -> Any:
    """The p-norm along an axis; where it is 0 its gradient is 0."""
    if p == 0:
        differing = ops.subtract(ops.multiply(x, 0.0), _is_zero(x))
        return ops.sum(ops.add(differing, 1.0), axis, keepdims)
    sizes = ops.absolute(x)
    if p == 1:
        return ops.sum(sizes, axis, keepdims)
    if math.isinf(p):
        return (ops.max if p > 0 else ops.min)(sizes, axis=axis, keepdims=keepdims)
    if p < 0:
        return ops.power(ops.sum(ops.power(sizes, p), axis, keepdims), 1.0 / p)
    total = ops.sum(ops.square(x) if p == 2 else _power(sizes, p), axis, keepdims)
    return ops.where(_is_zero(total), 0.0, _root(ops.where(_is_zero(total), 1.0, total), p))


def _root(x: Any, p: float) -> Any:
    return ops.sqrt(x) if p == 2 else ops.power(x, 1.0 / p)


def _power(sizes: Any, p: float) -> Any:
    nothing = _is_zero(sizes)
    return ops.where(nothing, 0.0, ops.power(ops.where(nothing, 1.0, sizes), p))


def _norm_of(op: str, p: Any) -> float:
    p = number(op, "p", p)
    if not p >= 0:
        raise ArgumentError(f"{op}: p is {p!r}, expected 0 or more")
    return p


_AT_ONCE = 1 << 24  # differences that cdist holds in memory
_COMPUTE_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


@rounded_once
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """Distances between all pairs of vectors, as ``torch.cdist``.

    Euclidean distances of many vectors come from ``|a|^2 + |b|^2 - 2 a.b``, one product of matrices. Nearly
    equal squares cancel there: a distance far below the vectors' length has an error of about that length
    times the square root of the type's precision. Others are taken from the differences themselves,
    [..., n, m, d] of them, and lose no digits.

    Parameters
    ----------
    x1 : array or Tensor [..., n, d]
    x2 : array or Tensor [..., m, d]
        The axes in front broadcast.
    p : float, default 2
        Of the norm: 0 (how many entries differ), 1, 2, infinity or another number above 0.
    compute_mode : str
        "use_mm_for_euclid_dist_if_necessary" takes the product where p is 2 and either side has more than 25
        vectors, "use_mm_for_euclid_dist" always where p is 2, "donot_use_mm_for_euclid_dist" never.

    Returns
    -------
    array or Tensor [..., n, m]
        Where a distance is 0 its gradient is 0.
    """
    if compute_mode not in _COMPUTE_MODES:
        raise ArgumentError(f"cdist: compute_mode is {compute_mode!r}, expected one of {_COMPUTE_MODES}")
    a, b = unwrap(x1, "cdist", "x1"), unwrap(x2, "cdist", "x2")
    same_dtype("cdist", x1=a, x2=b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            f"cdist: x1 has shape {a.shape} and x2 {b.shape}, expected [..., n, d] and [..., m, d]"
        )
    check_rank("cdist", "the pairs", max(a.ndim, b.ndim) + 1)
    p = _norm_of("cdist", p)
    left = ops.reshape(x1, (*a.shape[:-1], 1, a.shape[-1]))
    right = ops.reshape(x2, (*b.shape[:-2], 1, *b.shape[-2:]))
    check_size("cdist", (*a.shape[:-1], *b.shape[-2:]))
    lead = broadcast_shape("cdist", x1=a[..., 0, 0], x2=b[..., 0, 0]) if a.size and b.size else (0,)
    if p == 2 and a.shape[-1] and _by_product(compute_mode, a.shape[-2], b.shape[-2]):
        return _product_distances(x1, x2)
    rows, pairs = a.shape[-2], math.prod(lead) * math.prod(b.shape[-2:])
    if rows > 1 and rows * pairs > _AT_ONCE:
        return _in_blocks(x1, x2, p, rows, max(1, _AT_ONCE // pairs))
    if not a.shape[-1]:
        return ops.sum(ops.subtract(left, right), -1)
    return _length(ops.subtract(left, right), p, -1)


def _by_product(compute_mode: str, n: int, m: int) -> bool:
    if compute_mode == "use_mm_for_euclid_dist_if_necessary":
        return n > 25 or m > 25
    return compute_mode == "use_mm_for_euclid_dist"


def _product_distances(x1: Any, x2: Any) -> Any:
    """Euclidean distances by a product of matrices; a square that rounding made negative is 0."""
    products = ops.matmul(x1, ops.swapaxes(x2, -1, -2))
    left = ops.sum(ops.square(x1), -1, True)
    right = ops.swapaxes(ops.sum(ops.square(x2), -1, True), -1, -2)
    squares = ops.maximum(ops.subtract(ops.add(left, right), ops.multiply(products, 2.0)), 0.0)
    return ops.where(_is_zero(squares), 0.0, ops.sqrt(ops.where(_is_zero(squares), 1.0, squares)))


def _in_blocks(x1: Any, x2: Any, p: float, rows: int, each: int) -> Any:
    """The same, a few vectors of x1 at a time, whose differences are taken again for the gradient."""
    from einkorn.function import checkpoint  # built on operations

    def block(left: Any, right: Any) -> Any:
        return cdist(left, right, p, "donot_use_mm_for_euclid_dist")

    apart = [ops.getitem(x1, (..., slice(i, i + each), slice(None))) for i in range(0, rows, each)]
    if not (needs(x1) or needs(x2)):
        return ops.concatenate([block(left, x2) for left in apart], -2)
    return ops.concatenate([checkpoint(block, left, x2) for left in apart], -2)


@either_spelling
@rounded_once
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last axis, as ``torch.nn.functional.pairwise_distance``.

    Parameters
    ----------
    x1, x2 : array or Tensor [..., d]
        Broadcast.
    p : float, default 2
    eps : float, default 1e-6
        Added to each difference, so that no gradient divides by 0.
    keepdim : bool, default False
        Keep the last axis with size 1.
    """
    p, eps = number("pairwise_distance", "p", p), number("pairwise_distance", "eps", eps)
    difference = ops.add(ops.subtract(x1, x2), eps)
    if not difference.shape:
        raise ShapeError("pairwise_distance: x1 and x2 are scalars, expected vectors")
    return _length(difference, p, -1, flag("pairwise_distance", "keepdim", keepdim))


@either_spelling
@rounded_once
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along an axis: ``x1 . x2 / (max(|x1|, eps) max(|x2|, eps))``.

    Parameters
    ----------
    x1, x2 : array or Tensor
        Broadcast.
    dim : int, default 1
    eps : float, default 1e-8
    """
    op = "cosine_similarity"
    a, b = unwrap(x1, op, "x1"), unwrap(x2, op, "x2")
    same_dtype(op, x1=a, x2=b)
    eps = number(op, "eps", eps)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ShapeError(f"{op}: shapes do not broadcast together: x1 {a.shape}, x2 {b.shape}") from None
    d = axis_of(op, dim, len(shape), "dim")
    x1, x2 = ops.broadcast_to(x1, shape), ops.broadcast_to(x2, shape)
    if not shape:
        x1, x2 = ops.reshape(x1, (1,)), ops.reshape(x2, (1,))
    lengths = [_at_least(_length(x, 2, d), eps) for x in (x1, x2)]
    return ops.divide(ops.sum(ops.multiply(x1, x2), d), ops.multiply(*lengths))


def _at_least(length: Any, eps: float) -> Any:
    """The length or the limit; the gradient is that of the length, as torch has it."""
    a = _values(length)
    lift = _binary_kernel("subtract", _binary_kernel("maximum", a, _scalar_like(eps, a)), a)
    return ops.add(length, lift)
