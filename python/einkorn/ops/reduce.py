"""Sums, means, extremes and variances over axes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import as_array
from einkorn._grad_mode import mode
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._elementwise import _binary_kernel, _scaled
from einkorn.ops._options import ABSENT, axes_of, axis_of, flag, number, reduced, refuse_positional
from einkorn.ops._road import broadcast_to, contiguous, result, unwrap
from einkorn.ops.copy import cast

__all__ = ["argmax", "max", "mean", "min", "sum", "var"]

Axis = int | tuple[int, ...] | None
_Shape = tuple[int, ...]

_INFINITY = float("inf")


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
    axes = axes_of(op, axis, a.ndim)
    kept = tuple([1 if d in axes else n for d, n in enumerate(shape)])
    count = 1
    for d in axes:
        count *= shape[d]
    return kept, kept if keepdims else tuple([n for d, n in enumerate(shape) if d not in axes]), count


def sum(
    x: Any,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
    dtype: Any = None,
) -> Any:
    """Sum over axes.

    Parameters
    ----------
    x : array or Tensor
        Integers and booleans too: their sum is of int64.
    axis : int, tuple of int or None
        None: all. An empty tuple: none, as in NumPy.
    keepdims : bool, default False
        Keep reduced axes with size 1.
    dim, keepdim : keyword-only
        torch's names for the same; ``dim=()`` is all, as in torch.
    dtype : float32 or float64, keyword-only, optional
        x is converted first.

    Returns
    -------
    array or Tensor. The sum of nothing is 0.

    Raises
    ------
    ArgumentError
        If an axis is out of range or named twice, or both libraries' names are given.
    """
    axis, keepdims = reduced("sum", axis, keepdims, dim, keepdim)
    if dtype is not None:
        x = cast(x, dtype)
    elif not keepdims:
        small = _small_sum(x, axis, 1.0)
        if small is not None:
            return small
    try:
        a = unwrap(x, "sum", "x")
    except DTypeError:
        whole = _whole("sum", x, axis, keepdims)
        if whole is None:
            raise
        return whole
    kept, shape, _ = _shapes("sum", a, axis, keepdims)
    return _scaled_sum(x, a, kept, shape, 1.0)


def mean(
    x: Any,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
    dtype: Any = None,
) -> Any:
    """Mean over axes; arguments as :func:`sum`, but for integers, which need a ``dtype``.

    The mean of nothing is NaN.
    """
    axis, keepdims = reduced("mean", axis, keepdims, dim, keepdim)
    if dtype is not None:
        x = cast(x, dtype)
    elif not keepdims:
        small = _small_sum(x, axis, None)
        if small is not None:
            return small
    a = unwrap(x, "mean", "x")
    kept, shape, count = _shapes("mean", a, axis, keepdims)
    return _scaled_sum(x, a, kept, shape, 1.0 / count if count else _INFINITY)  # 0 * infinity is NaN


def _whole(op: str, x: Any, axis: Any, keepdims: bool) -> Any:
    """The reduction of an array of integers; None where x is none."""
    whole = _integers.integral(x)
    if whole is None:
        return None
    axes = axes_of(op, axis, whole.ndim)
    if op != "sum" and 0 in [whole.shape[d] for d in axes]:
        raise ShapeError(f"{op}: x has shape {whole.shape}; there is nothing to reduce over axis {axis}")
    return _integers.reduce(op, x, axes, keepdims)


def _small_sum(x: Any, axis: Any, scale: float | None) -> Any:
    """The sum, or for None the mean, of a small array by the short cut; None: the long way."""
    a = x._data if isinstance(x, Tensor) else x
    if type(a) is not np.ndarray or a.size == 0:
        return None
    shape = a.shape
    if axis is None:
        scale = 1.0 / a.size if scale is None else scale
        out = engines.cpu().quick("reduce_sum", a, scale)
    elif type(axis) is int and -len(shape) <= axis < len(shape):
        scale = 1.0 / shape[axis] if scale is None else scale
        out = engines.cpu().quick("reduce_sum", a, scale, axis)
    else:
        return None
    if out is None or a is x:
        return out
    if not (x._requires_grad and mode.enabled):
        return Tensor._wrap(out, False, None)
    kept = (1,) * a.ndim if axis is None else _shapes("sum", a, axis, False)[0]
    return _spread(out, x, kept, shape, scale)


def _scaled_sum(x: Any, a: Any, kept: _Shape, shape: _Shape, scale: float) -> Any:
    k = engines.of(a)
    out = k.empty(kept, a.dtype)
    k.reduce_sum(out, a, scale)
    return _spread(out if shape is kept else out.reshape(shape), x, kept, a.shape, scale)


def _spread(out: Any, x: Any, kept: _Shape, full: _Shape, scale: float) -> Any:
    """A sum with its gradient, that of the result in every place."""

    def backward(g: Any) -> tuple[Any]:
        g = g.reshape(kept)
        return (broadcast_to(g if scale == 1.0 else _scaled(g, scale), full),)

    return result(out, (x,), backward, ())


_NOT_BY_POSITION = (
    "by position NumPy means an axis there and torch the pair of values and indices: write axis=, or take"
    " the method of Tensor, which is torch's"
)


def max(x: Any, *given: Any, axis: Axis = None, keepdims: bool = False, **torch: Any) -> Any:
    """Largest element over axes, as ``numpy.max``; NaN wins. Ties share the gradient evenly.

    ``max(x, 1)`` and ``max(x, dim=1)`` are refused: in torch they are pairs of values and indices, which
    ``Tensor.max`` gives.

    Parameters
    ----------
    x : array or Tensor
        Integers and booleans too.
    axis, keepdims : keyword-only
        As :func:`sum`.

    Raises
    ------
    ShapeError
        If there is nothing to take the maximum of.
    """
    return _extreme("max", "reduce_max", x, given, axis, keepdims, torch)


def min(x: Any, *given: Any, axis: Axis = None, keepdims: bool = False, **torch: Any) -> Any:
    """Smallest element over axes, as ``numpy.min``; NaN wins. Ties share the gradient evenly.

    Arguments, errors and what is refused as :func:`max`.
    """
    return _extreme("min", "reduce_min", x, given, axis, keepdims, torch)


def _extreme(
    op: str,
    kernel: str,
    x: Any,
    given: tuple[Any, ...],
    axis: Any,
    keepdims: Any,
    torch: dict[str, Any],
) -> Any:
    refuse_positional(op, given, _NOT_BY_POSITION)
    for name, value in torch.items():
        raise ArgumentError(f"{op}: {name} is {value!r}, expected axis or keepdims; {_NOT_BY_POSITION}")
    flag(op, "keepdims", keepdims)
    try:
        a = unwrap(x, op, "x")
    except DTypeError:
        whole = _whole(op, x, axis, keepdims)
        if whole is None:
            raise
        return whole
    kept, shape, count = _shapes(op, a, axis, keepdims)
    if count == 0:
        raise ShapeError(f"{op}: x has shape {a.shape}; there is nothing to reduce over axis {axis}")
    k = engines.of(a)
    out = k.empty(kept, a.dtype)
    getattr(k, kernel)(out, a)

    def backward(g: Any, a: Any, out: Any) -> tuple[Any]:
        winners = _binary_kernel("equal", a, out.reshape(kept))
        ties = k.empty(kept, winners.dtype)
        k.reduce_sum(ties, winners, 1.0)
        share = _binary_kernel("divide", g.reshape(kept), ties)
        return (_binary_kernel("multiply", share, winners),)

    if shape is not kept:
        out = out.reshape(shape)
    return result(out, (x,), backward, (a, out))


def var(
    x: Any,
    axis: Axis = None,
    *given: Any,
    keepdims: bool = False,
    correction: float | None = None,
    unbiased: bool = ABSENT,
    ddof: float | None = None,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
) -> Any:
    """Variance over axes, as ``torch.var``: unbiased unless told otherwise, while ``numpy.var`` is not.

    A third argument by position is refused (torch: unbiased, NumPy: dtype), and so is a bool as axis.

    Parameters
    ----------
    x, axis
        As :func:`sum`.
    keepdims, dim, keepdim : keyword-only
        As :func:`sum`.
    correction : number, keyword-only, default 1
        The divisor is the count less this (1: unbiased; 0: as NumPy). A divisor of 0 or less gives NaN or
        infinity.
    unbiased : bool, keyword-only
        torch's older way to say a correction of 1 or 0.
    ddof : number, keyword-only
        NumPy's name for the correction.
    """
    refuse_positional(
        "var", given, "torch means unbiased there and NumPy dtype: write correction= or keepdims="
    )
    axis, keepdims = reduced("var", axis, keepdims, dim, keepdim)
    if ddof is not None:
        if correction is not None or unbiased is not ABSENT:
            raise ArgumentError(f"var: ddof is {ddof!r} beside another correction, expected one of them")
        correction = ddof
    if unbiased is not ABSENT:
        if correction is not None:
            raise ArgumentError(f"var: unbiased is {unbiased!r} and correction {correction!r}, expected one")
        correction = int(flag("var", "unbiased", unbiased))
    correction = 1 if correction is None else number("var", "correction", correction)
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
    axes = tuple([d for d, n in enumerate(a.shape) if kept[d] != n])

    def backward(g: Any, a: Any, _: Any, centered: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            centered = a - mean(a, axes, True) if axes else a * 0.0
        # The mean's own gradient drops out: the distances from it add up to 0.
        return (_binary_kernel("multiply", centered, _scaled(g.reshape(kept), 2.0 * factor)),)

    return result(out if shape is kept else out.reshape(shape), (x,), backward, (a, None, centered))


def argmax(
    x: Any, axis: int | None = None, *, keepdims: bool = False, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Index of the largest element along an axis; the first of several, and NaN wins.

    Parameters
    ----------
    x : array or Tensor
        Integers and booleans too.
    axis : int or None
        None: the index into the flattened array, as in NumPy and torch.
    keepdims : bool, keyword-only, default False
        Keep the axis (without one, all) with size 1.
    dim, keepdim : keyword-only
        torch's names for the same.

    Returns
    -------
    int64 array (no gradient)

    Raises
    ------
    ShapeError
        If there is nothing to choose from.
    """
    axis, keepdims = reduced("argmax", axis, keepdims, dim, keepdim)
    if isinstance(axis, (tuple, list)):
        raise ArgumentError(f"argmax: axis is {axis!r}, expected an int or None")
    whole = None
    try:
        a = unwrap(x, "argmax", "x")
    except DTypeError:
        whole = a = _integers.integral(x)
        if whole is None:
            raise
    d = None if axis is None else axis_of("argmax", axis, a.ndim)
    shape = a.shape
    if a.size == 0 if d is None or not shape else shape[d] == 0:
        raise ShapeError(f"argmax: x has shape {shape}; there is nothing to reduce over axis {axis}")
    if d is None or not shape:
        outer, n, inner = 1, a.size, 1
        left: tuple[int, ...] = (1,) * len(shape) if keepdims else ()
    else:
        outer, n, inner = prod(shape[:d]), shape[d], prod(shape[d + 1 :])
        left = (*shape[:d], *(1,) * keepdims, *shape[d + 1 :])
    if whole is not None:
        return as_array(whole.reshape(outer, n, inner).argmax(1), np.int64).reshape(left)
    k = engines.of(a)
    out = k.empty((outer, inner), "int64")
    k.argmax(out, contiguous(a).reshape(outer, n, inner))
    return out.reshape(left)
