"""Reductions that are made of others: products, norms, deviations, and sums that pass over NaN."""

from __future__ import annotations

import math
from math import prod as product
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._elementwise import _binary_kernel, _chosen, _plain, _scalar_like, _scaled
from einkorn.ops._lines import wrapped
from einkorn.ops._options import ABSENT, axes_of, flag, number, reduced
from einkorn.ops._road import contiguous, needs, result, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import cast, concatenate, getitem, permute, reshape
from einkorn.ops.elementwise import absolute, divide, negative, power, sqrt, where
from einkorn.ops.math_questions import eq, isnan
from einkorn.ops.reduce import _shapes, argmax, var
from einkorn.ops.reduce import max as largest
from einkorn.ops.reduce import min as smallest
from einkorn.ops.reduce import sum as total
from einkorn.ops.scan import cumprod

__all__ = [
    "amax",
    "amin",
    "argmin",
    "logsumexp",
    "nanmean",
    "nansum",
    "norm",
    "prod",
    "std",
]


@rounded_once
def prod(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    *,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
    dtype: Any = None,
) -> Any:
    """Product over axes; arguments and errors as :func:`sum`. The product of nothing is 1.

    The gradient is right where elements are 0, too.
    """
    axis, keepdims = reduced("prod", axis, keepdims, dim, keepdim)
    if dtype is not None:
        x = cast(x, dtype)
    whole = _integers.integral(x)
    if whole is not None:
        axes = axes_of("prod", axis, whole.ndim)
        kind = np.int64 if dtype is None else whole.dtype
        return wrapped(whole.prod(axes, dtype=kind, keepdims=keepdims), x)
    a = unwrap(x, "prod", "x")
    kept, shape, _ = _shapes("prod", a, axis, keepdims)
    k = engines.of(a)
    out = k.empty(kept, a.dtype)
    k.reduce_prod(out, a)

    def rule(g: Any, a: Any, out: Any) -> tuple[Any]:
        g, out = g.reshape(kept), out.reshape(kept)
        if isinstance(g, Tensor):
            return (g * _others(a, kept),)
        counts = k.empty((1, 1), "int64")
        k.count_nonzero(counts, contiguous(a).reshape(1, a.size, 1))
        if int(counts[0, 0]) == a.size:
            return (_binary_kernel("divide", _binary_kernel("multiply", g, out), a),)
        return (_binary_kernel("multiply", g, _others(a, kept)),)

    return result(out if shape is kept else out.reshape(shape), (x,), rule, (a, out.reshape(shape)))


def _others(a: Any, kept: tuple[int, ...]) -> Any:
    """For each element the product of the others over the axes where ``kept`` has size 1.

    What stands before it times what stands behind it, as running products of a row with a 1 put in front.
    """
    axes = [d for d, n in enumerate(a.shape) if kept[d] != n]
    if not axes:
        return beside(a, np.ones(a.shape, a.dtype))
    others = [d for d in range(a.ndim) if d not in axes]
    order = others + axes
    moved = permute(a, tuple(order))
    rows = reshape(moved, (product(a.shape[d] for d in others), product(a.shape[d] for d in axes)))
    ones = beside(rows, np.ones((rows.shape[0], 1), rows.dtype))
    back = (slice(None), slice(None, None, -1))
    but_last = (slice(None), slice(None, -1))
    ahead = cumprod(concatenate([ones, getitem(rows, but_last)], 1), 1)
    turned = getitem(getitem(rows, back), but_last)
    behind = getitem(cumprod(concatenate([ones, turned], 1), 1), back)
    lying = reshape(_binary_kernel("multiply", ahead, behind), tuple([a.shape[d] for d in order]))
    return permute(lying, tuple(int(d) for d in np.argsort(order)))


def amax(
    x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Largest element over axes, all by default; NaN wins. Ties share the gradient evenly."""
    axis, keepdims = reduced("amax", axis, keepdims, dim, keepdim)
    return largest(x, axis=None if axis == () else axis, keepdims=keepdims)


def amin(
    x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Smallest element over axes, all by default; NaN wins. Ties share the gradient evenly."""
    axis, keepdims = reduced("amin", axis, keepdims, dim, keepdim)
    return smallest(x, axis=None if axis == () else axis, keepdims=keepdims)


def argmin(
    x: Any, axis: int | None = None, *, keepdims: bool = False, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Index of the smallest element along an axis; the first of several, and NaN wins. As :func:`argmax`."""
    whole = _integers.integral(x)
    if whole is not None:
        # -1 - x turns the order around and does not overflow.
        turned = ~whole if whole.dtype.kind != "u" else np.iinfo(whole.dtype).max - whole
        found = argmax(turned, axis, keepdims=keepdims, dim=dim, keepdim=keepdim)
    else:
        a = unwrap(x, "argmin", "x")
        found = argmax(negative(a), axis, keepdims=keepdims, dim=dim, keepdim=keepdim)
    return wrapped(found, x)


@rounded_once
def std(
    x: Any,
    axis: Any = None,
    *given: Any,
    keepdims: bool = False,
    correction: float | None = None,
    unbiased: bool = ABSENT,
    ddof: float | None = None,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
) -> Any:
    """Standard deviation, the root of :func:`var`, with its arguments; ``ddof`` is NumPy's ``correction``.

    Where all elements are equal its gradient is 0, as in torch.
    """
    spread = var(
        x,
        axis,
        *given,
        keepdims=keepdims,
        correction=correction,
        unbiased=unbiased,
        ddof=ddof,
        dim=dim,
        keepdim=keepdim,
    )
    if not needs(spread):
        return sqrt(spread)
    flat = spread._data == 0
    return where(flat, 0.0, sqrt(where(flat, 1.0, spread))) if flat.any() else sqrt(spread)


def logsumexp(
    x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """``log(sum(exp(x)))`` over axes, without overflow; of nothing it is -inf. Arguments as :func:`sum`."""
    axis, keepdims = reduced("logsumexp", axis, keepdims, dim, keepdim)
    if isinstance(x, Tensor):
        x = _integers.as_float(x, np.float32)
    a = unwrap(x, "logsumexp", "x")
    kept, shape, _ = _shapes("logsumexp", a, axis, keepdims)
    k = engines.of(a)
    top = k.empty(kept, a.dtype)
    k.reduce_max(top, a)
    finite = k.empty(kept, "uint8")
    k.classify(finite, top, 2)
    top = _chosen(finite.astype(a.dtype), top, 0.0)  # an infinity is no yardstick
    shifted = _plain("exp", _binary_kernel("subtract", a, top))
    sums = k.empty(kept, a.dtype)
    k.reduce_sum(sums, shifted, 1.0)
    out = _binary_kernel("add", _plain("log", sums), top)

    def rule(g: Any, a: Any, out: Any, top: Any, sums: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            return (_plain("exp", a - out.reshape(kept)) * g.reshape(kept),)
        weights = _plain("exp", _binary_kernel("subtract", a, top))
        return (_binary_kernel("multiply", weights, _binary_kernel("divide", g.reshape(kept), sums)),)

    out = out.reshape(shape)
    return result(out, (x,), rule, (a, out, top, sums))


def nansum(
    x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Sum of the elements that are not NaN; arguments as :func:`sum`."""
    if _integers.integral(x) is None:
        x = where(isnan(x), 0.0, x)
    return total(x, axis, keepdims, dim=dim, keepdim=keepdim)


@rounded_once
def nanmean(
    x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Mean of the elements that are not NaN; NaN where there are none. Arguments as :func:`sum`."""
    a = unwrap(x, "nanmean", "x")
    missing = isnan(a)
    options: dict[str, Any] = {"dim": dim, "keepdim": keepdim}
    nothing, one = (beside(a, np.array(v, a.dtype)) for v in (0, 1))
    counts = total(where(missing, nothing, one), axis, keepdims, **options)
    return divide(total(where(missing, 0.0, x), axis, keepdims, **options), counts)


@rounded_once
def norm(
    x: Any,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    *,
    axis: Any = ABSENT,
    keepdims: bool = ABSENT,
) -> Any:
    """The p-norm of vectors: ``sum(|x| ** p) ** (1 / p)`` over dimensions.

    Parameters
    ----------
    x : array or Tensor
    p : number, "fro" or "nuc", default "fro"
        "fro" is 2, "nuc" the sum of a matrix's singular values. 0 counts what is not 0; infinity takes the
        largest magnitude, minus infinity the smallest.
    dim : int, tuple of int or None
        None: all.
    keepdim : bool, default False
    dtype : float32 or float64, optional
        x is converted first.
    axis, keepdims : keyword-only
        NumPy's names.

    Raises
    ------
    ShapeError
        If p is infinite or negative and there is nothing to reduce.
    """
    op = "norm"
    if axis is not ABSENT:
        if dim is not None:
            raise ArgumentError(f"{op}: dim is {dim!r} and axis is {axis!r}, expected one of them")
        dim = axis
    elif isinstance(dim, (tuple, list)) and not dim:
        dim = None
    keep = flag(op, "keepdim", keepdim if keepdims is ABSENT else keepdims)
    if dtype is not None:
        x = cast(x, dtype)
    if isinstance(p, str) and p == "nuc":
        from einkorn.linalg import matrix_norm  # built on this module

        if dim is None and unwrap(x, op, "x").ndim != 2:
            raise ShapeError(
                f"{op}: x has shape {tuple(x.shape)}, expected a matrix, or two dimensions in dim"
            )
        return matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keep)
    order = 2.0 if p in ("fro", None) else number(op, "p", p)
    if order == 2:
        return _euclidean(x, dim, keep)
    if order == math.inf:
        return largest(absolute(x), axis=dim, keepdims=keep)
    if order == -math.inf:
        return smallest(absolute(x), axis=dim, keepdims=keep)
    if order == 0:
        a = unwrap(x, op, "x")
        zero = _binary_kernel("equal", a, _scalar_like(0.0, a))
        counted = total(_binary_kernel("subtract", _scalar_like(1.0, zero), zero), dim, keep)
        return result(counted, (x,), lambda g, a: (_scaled(a, 0.0),), (a,))
    if order == 1:
        return total(absolute(x), dim, keep)
    if order < 0 and _shapes(op, unwrap(x, op, "x"), dim, keep)[2] == 0:
        raise ShapeError(f"{op}: x has shape {tuple(x.shape)}; there is nothing to take a norm of")
    powers = total(power(absolute(x), order), dim, keep)
    if order < 0:
        return power(powers, 1 / order)
    # Zeros, or numbers whose powers are nothing: the root's slope is infinite, the norm's is 0.
    nothing = eq(powers, 0.0)
    return where(nothing, 0.0, power(where(nothing, 1.0, powers), 1 / order))


def _euclidean(x: Any, axis: Any, keep: bool) -> Any:
    a = unwrap(x, "norm", "x")
    kept, shape, _ = _shapes("norm", a, axis, keep)
    k = engines.of(a)
    squares = k.empty(kept, a.dtype)
    k.reduce_sum(squares, _plain("square", a), 1.0)
    out = _plain("sqrt", squares).reshape(shape)

    def rule(g: Any, a: Any, out: Any) -> tuple[Any]:
        length = out.reshape(kept)
        # Where all is 0 so is the gradient.
        zero = _binary_kernel("equal", length, _scalar_like(0.0, length))
        scaled = _binary_kernel("divide", g.reshape(kept), _chosen(zero, 1.0, length))
        return (_binary_kernel("multiply", a, scaled),)

    return result(out, (x,), rule, (a, out))
