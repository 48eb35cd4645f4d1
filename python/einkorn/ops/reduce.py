"""Sums, means, extremes and variances over axes."""

from __future__ import annotations

import operator
from typing import Any

from einkorn import engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._road import broadcast_to, contiguous, result, unwrap
from einkorn.ops.elementwise import _binary_kernel, _scaled

__all__ = ["argmax", "max", "mean", "min", "sum", "var"]

Axis = int | tuple[int, ...] | None
_Shape = tuple[int, ...]

_INFINITY = float("inf")


def _axes(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """The reduced axes as sorted non-negative numbers."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = []
    for a in given:
        try:
            index = operator.index(a)
        except TypeError:
            raise ArgumentError(f"{op}: axis is {axis!r}, expected an int, a tuple of ints or None") from None
        if not -ndim <= index < ndim:
            raise ArgumentError(f"{op}: axis is {axis!r}, out of range for {ndim} dimensions")
        axes.append(index % ndim)
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{op}: axis is {axis!r}, which names a dimension twice")
    return tuple(sorted(axes))


def _shapes(op: str, a: Any, axis: Any, keepdims: bool) -> tuple[_Shape, _Shape, int]:
    """Shape of the result with reduced axes kept as 1, and as asked for; elements of one reduction."""
    shape = a.shape
    if axis is None:
        kept = (1,) * a.ndim
        return kept, kept if keepdims else (), a.size
    if type(axis) is int and -a.ndim <= axis < a.ndim:  # the usual cases without a loop
        before, after = shape[:axis], shape[axis + 1 :] if axis != -1 else ()
        kept = (*before, 1, *after)
        return kept, kept if keepdims else before + after, shape[axis]
    axes = _axes(op, axis, a.ndim)
    kept = tuple([1 if d in axes else n for d, n in enumerate(shape)])
    count = 1
    for d in axes:
        count *= shape[d]
    return kept, kept if keepdims else tuple([n for d, n in enumerate(shape) if d not in axes]), count


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes.

    Parameters
    ----------
    x : array or Tensor
    axis : int, tuple of int or None
        None: all.
    keepdims : bool, default False
        Keep reduced axes with size 1.

    Returns
    -------
    array or Tensor. The sum of nothing is 0.

    Raises
    ------
    ArgumentError
        If an axis is out of range or named twice.
    """
    a = unwrap(x, "sum", "x")
    kept, shape, _ = _shapes("sum", a, axis, keepdims)
    return _scaled_sum(x, a, kept, shape, 1.0)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean over axes; arguments as :func:`sum`. The mean of nothing is NaN."""
    a = unwrap(x, "mean", "x")
    kept, shape, count = _shapes("mean", a, axis, keepdims)
    return _scaled_sum(x, a, kept, shape, 1.0 / count if count else _INFINITY)  # 0 * infinity is NaN


def _scaled_sum(x: Any, a: Any, kept: _Shape, shape: _Shape, scale: float) -> Any:
    k = engines.of(a)
    out = k.empty(kept, a.dtype)
    k.reduce_sum(out, a, scale)

    full = a.shape

    def backward(g: Any) -> tuple[Any]:
        g = g.reshape(kept)
        return (broadcast_to(g if scale == 1.0 else _scaled(g, scale), full),)

    return result(out if shape is kept else out.reshape(shape), (x,), backward)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element over axes; NaN wins. Ties share the gradient evenly. Arguments as :func:`sum`.

    Raises
    ------
    ShapeError
        If there is nothing to take the maximum of.
    """
    return _extreme("max", "reduce_max", x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element over axes; NaN wins. Ties share the gradient evenly. Arguments as :func:`sum`.

    Raises
    ------
    ShapeError
        If there is nothing to take the minimum of.
    """
    return _extreme("min", "reduce_min", x, axis, keepdims)


def _extreme(op: str, kernel: str, x: Any, axis: Any, keepdims: bool) -> Any:
    a = unwrap(x, op, "x")
    kept, shape, count = _shapes(op, a, axis, keepdims)
    if count == 0:
        raise ShapeError(f"{op}: x has shape {a.shape}; there is nothing to reduce over axis {axis}")
    k = engines.of(a)
    out = k.empty(kept, a.dtype)
    getattr(k, kernel)(out, a)

    def backward(g: Any) -> tuple[Any]:
        winners = _binary_kernel("equal", a, out)
        ties = k.empty(kept, a.dtype)
        k.reduce_sum(ties, winners, 1.0)
        share = _binary_kernel("divide", g.reshape(kept), ties)
        k.multiply(winners, winners, broadcast_to(share, a.shape))
        return (winners,)

    return result(out if shape is kept else out.reshape(shape), (x,), backward)


def var(x: Any, axis: Axis = None, keepdims: bool = False, *, correction: int = 1) -> Any:
    """Variance over axes: mean squared distance from the mean.

    Parameters
    ----------
    x, axis, keepdims
        As :func:`sum`.
    correction : int, default 1
        The divisor is the count less this (1: unbiased, as torch; 0: as NumPy). A divisor of 0 or less
        gives NaN or infinity.
    """
    a = unwrap(x, "var", "x")
    kept, shape, count = _shapes("var", a, axis, keepdims)
    factor = 1.0 / (count - correction) if count > correction else _INFINITY
    k = engines.of(a)
    out = k.empty(kept, a.dtype)
    k.reduce_sum(out, a, 1.0 / count if count else _INFINITY)
    centered = k.empty(a.shape, a.dtype)
    k.subtract(centered, a, broadcast_to(out, a.shape))
    squares = k.empty(a.shape, a.dtype)
    k.square(squares, centered)
    k.reduce_sum(out, squares, factor)

    def backward(g: Any) -> tuple[Any]:
        # The mean's own gradient drops out: the distances from it add up to 0.
        slope = broadcast_to(_scaled(g.reshape(kept), 2.0 * factor), centered.shape)
        gx = k.empty(centered.shape, centered.dtype)
        k.multiply(gx, centered, slope)
        return (gx,)

    return result(out if shape is kept else out.reshape(shape), (x,), backward)


def argmax(x: Any, axis: int = -1) -> Any:
    """Index of the largest element along an axis; the first of several, and NaN wins.

    Parameters
    ----------
    x : array or Tensor
    axis : int, default -1

    Returns
    -------
    int64 array (no gradient)

    Raises
    ------
    ShapeError
        If the axis is empty.
    """
    a = unwrap(x, "argmax", "x")
    if a.ndim == 0:
        raise ShapeError("argmax: x is a scalar, expected at least 1 dimension")
    if axis is None or isinstance(axis, (tuple, list)):
        raise ArgumentError(f"argmax: axis is {axis!r}, expected an int")
    (d,) = _axes("argmax", axis, a.ndim)
    if a.shape[d] == 0:
        raise ShapeError(f"argmax: x has shape {a.shape}; there is nothing to reduce over axis {axis}")
    outer = inner = 1
    for n in a.shape[:d]:
        outer *= n
    for n in a.shape[d + 1 :]:
        inner *= n
    k = engines.of(a)
    out = k.empty((outer, inner), "int64")
    k.argmax(out, contiguous(a).reshape(outer, a.shape[d], inner))
    return out.reshape(a.shape[:d] + a.shape[d + 1 :])
