"""Sums, means, extremes and variances over axes."""

from __future__ import annotations

import builtins
import operator
from typing import Any

from einkorn import engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._road import broadcast_to, contiguous, result, unwrap
from einkorn.ops.elementwise import _binary_kernel, _scaled

__all__ = ["argmax", "max", "mean", "min", "sum", "var"]

Axis = int | tuple[int, ...] | None


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


class _Reduction:
    """The shapes of one reduction: with reduced axes kept as 1, and as the caller wants them."""

    __slots__ = ("axes", "count", "kept", "shape")

    def __init__(self, op: str, a: Any, axis: Any, keepdims: bool) -> None:
        self.axes = _axes(op, axis, a.ndim)
        self.kept = tuple(1 if d in self.axes else n for d, n in enumerate(a.shape))
        self.shape = self.kept if keepdims else tuple(n for d, n in enumerate(a.shape) if d not in self.axes)
        self.count = 1
        for d in self.axes:
            self.count *= a.shape[d]


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
    return _scaled_sum("sum", x, axis, keepdims, mean=False)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean over axes; arguments as :func:`sum`. The mean of nothing is NaN."""
    return _scaled_sum("mean", x, axis, keepdims, mean=True)


def _scaled_sum(op: str, x: Any, axis: Any, keepdims: bool, mean: bool) -> Any:
    a = unwrap(x, op, "x")
    r = _Reduction(op, a, axis, keepdims)
    k = engines.of(a)
    out = k.empty(r.kept, a.dtype)
    if mean and r.count == 0:
        k.fill(out, float("nan"))
        scale = float("nan")
    else:
        scale = 1.0 / r.count if mean else 1.0
        k.reduce_sum(out, a, scale)

    def backward(g: Any) -> tuple[Any]:
        g = g.reshape(r.kept)
        if scale != 1.0:
            g = _scaled(g, scale)
        return (broadcast_to(g, a.shape),)

    return result(out.reshape(r.shape), (x,), backward)


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
    r = _Reduction(op, a, axis, keepdims)
    if r.count == 0:
        raise ShapeError(f"{op}: x has shape {a.shape}; there is nothing to reduce over axis {axis}")
    k = engines.of(a)
    out = k.empty(r.kept, a.dtype)
    getattr(k, kernel)(out, a)

    def backward(g: Any) -> tuple[Any]:
        winners = _binary_kernel("equal", a, out)
        ties = k.empty(r.kept, a.dtype)
        k.reduce_sum(ties, winners, 1.0)
        share = _binary_kernel("divide", g.reshape(r.kept), ties)
        return (_binary_kernel("multiply", winners, share),)

    return result(out.reshape(r.shape), (x,), backward)


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
    from einkorn.ops.elementwise import multiply, square, subtract

    a = unwrap(x, "var", "x")
    r = _Reduction("var", a, axis, keepdims)
    centred = subtract(x, mean(x, r.axes, keepdims=True))
    divisor = builtins.max(r.count - correction, 0)
    factor = 1.0 / divisor if divisor else float("inf")
    return multiply(sum(square(centred), r.axes, keepdims), factor)


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
