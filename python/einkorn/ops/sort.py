"""Sorting, the largest and smallest of a line, medians and quantiles, and places in sorted lines."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside, device_of, is_on_gpu, move
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._lines import Extremes, placed, rows, taken, wrapped
from einkorn.ops._options import ABSENT, axes_of, axis_of, flag, integer, reduced
from einkorn.ops._road import contiguous, result, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import permute, reshape
from einkorn.ops.elementwise import add, multiply, subtract, where

__all__ = [
    "argsort",
    "kthvalue",
    "median",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
]


def _ordered(op: str, x: Any, d: int, k: int, falling: bool) -> Extremes:
    """The first k of the order along axis d, with gradient, and their places (an array)."""
    whole = _integers.integral(x)
    if whole is not None:
        return _ordered_whole(x, whole, d, k, falling)
    a = unwrap(x, op, "x")
    engine = engines.of(a)
    lines, back = rows(a, d)
    values = engine.empty((lines.shape[0], k), a.dtype)
    index = engine.empty(values.shape, "int64")
    if k == lines.shape[1]:
        engine.sort(values, index, lines, falling)
    else:
        engine.topk(values, index, lines, k, falling)
    index = back(index)

    n = lines.shape[1]
    return Extremes(result(back(values), (x,), lambda g: (placed(g, index, d, n, True),), ()), index)


def _ordered_whole(x: Any, whole: Any, d: int, k: int, falling: bool) -> Extremes:
    """The same for integers and booleans."""
    lines = whole.reshape(whole.shape or (1,))
    if falling:  # the rising order of the line turned around, from its end
        order = lines.shape[d] - 1 - np.flip(np.argsort(np.flip(lines, d), d, kind="stable"), d)
    else:
        order = np.argsort(lines, d, kind="stable")
    order = np.take(order, np.arange(k), d)
    values = np.take_along_axis(lines, order, d)
    if not whole.ndim and k == 1:
        values, order = values.reshape(()), order.reshape(())
    return Extremes(wrapped(values, x), order)


def _shape(op: str, x: Any) -> tuple[int, ...]:
    whole = _integers.integral(x)
    return (unwrap(x, op, "x") if whole is None else whole).shape


def _size(op: str, x: Any, dim: Any) -> tuple[int, int]:
    """The axis, and its size; a scalar is a line of one."""
    shape = _shape(op, x)
    d = axis_of(op, dim, len(shape), "dim")
    return d, shape[d] if shape else 1


@either_spelling
def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremes:
    """Sort along ``dim``; equal elements keep their order, and NaN is larger than all numbers.

    Parameters
    ----------
    x : array or Tensor
    dim : int, default -1
    descending : bool, default False
    stable : bool
        The order is always stable.

    Returns
    -------
    values, indices : array or Tensor, int64 array or Tensor
        As in torch; NumPy's ``sort`` returns the first alone.
    """
    falling = flag("sort", "descending", descending)
    flag("sort", "stable", stable)
    d, n = _size("sort", x, dim)
    found = _ordered("sort", x, d, n, falling)
    return Extremes(found.values, wrapped(found.indices, x))


@either_spelling
def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The places that :func:`sort` takes its values from, as int64; arguments as there."""
    return sort(x, dim, descending, stable).indices


@either_spelling
def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extremes:
    """The k largest (or smallest) elements along ``dim``, in order, without sorting all of them.

    Parameters
    ----------
    x : array or Tensor
    k : int
        At most the size of ``dim``.
    dim : int, default -1
    largest : bool, default True
    sorted : bool
        The results are always sorted; of equals the first ones are taken.

    Returns
    -------
    values, indices : array or Tensor, int64 array or Tensor
    """
    d, n = _size("topk", x, dim)
    falling = flag("topk", "largest", largest)
    flag("topk", "sorted", sorted)
    count = integer("topk", "k", k, 0, n)
    found = _ordered("topk", x, d, count, falling)
    return Extremes(found.values, wrapped(found.indices, x))


def _one(op: str, x: Any, d: int, k: int, keepdim: bool) -> Extremes:
    """The element of rank k (from 0) along axis d, with gradient, and its place."""
    n = _size(op, x, d)[1]
    order = _ordered(op, x.detach() if isinstance(x, Tensor) else x, d, n if 4 * k >= n else k + 1, False)
    scalar = not order.indices.ndim
    index = order.indices if scalar else np.take(order.indices, [k], d)
    values = taken(x, index, d)
    shape = index.shape if keepdim or scalar else index.shape[:d] + index.shape[d + 1 :]
    return Extremes(reshape(values, shape), index.reshape(shape))


@either_spelling
def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Extremes:
    """The k-th smallest element along ``dim``, counted from 1; NaN is larger than all numbers.

    Returns
    -------
    values, indices : array or Tensor, int64 array or Tensor
    """
    d, n = _size("kthvalue", x, dim)
    rank = integer("kthvalue", "k", k, 1, n) - 1
    found = _one("kthvalue", x, d, rank, flag("kthvalue", "keepdim", keepdim))
    return Extremes(found.values, wrapped(found.indices, x))


def _merged(op: str, x: Any, axis: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """x with the axes merged into one at the end, the shape without them, and with 1 in their places."""
    a = unwrap(x, op, "x")
    axes = axes_of(op, axis, a.ndim)
    kept = [d for d in range(a.ndim) if d not in axes]
    left = tuple([a.shape[d] for d in kept])
    size = prod(a.shape[d] for d in axes)
    if size == 0:
        raise ShapeError(f"{op}: x has shape {a.shape}; there is nothing to reduce over axis {axis}")
    moved = x if not a.ndim else permute(x, (*kept, *axes))
    ones = tuple([1 if d in axes else n for d, n in enumerate(a.shape)])
    return reshape(moved, (*left, size)), left, ones


@rounded_once
def median(
    x: Any,
    *,
    axis: Any = ABSENT,
    keepdims: bool = False,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
) -> Any:
    """The median: NumPy's with ``axis=``, torch's with ``dim=``; one of the names must be said.

    Parameters
    ----------
    x : array or Tensor
    axis : int, tuple of int or None
        NumPy's: of an even number of elements the mean of the two in the middle.
    dim : int or None
        torch's: of an even number of elements the lower one. With an int the pair ``values, indices``.
    keepdims, keepdim : bool, default False

    Returns
    -------
    array or Tensor; NaN where there is one.
    """
    return _median("median", x, axis, keepdims, dim, keepdim, False)


@rounded_once
def nanmedian(
    x: Any,
    *,
    axis: Any = ABSENT,
    keepdims: bool = False,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
) -> Any:
    """:func:`median` of the elements that are not NaN; NaN where there are none."""
    return _median("nanmedian", x, axis, keepdims, dim, keepdim, True)


def _median(op: str, x: Any, axis: Any, keepdims: Any, dim: Any, keepdim: Any, skip: bool) -> Any:
    if (axis is ABSENT) == (dim is ABSENT):
        raise ArgumentError(
            f"{op}: axis is {axis!r} and dim is {dim!r}, expected one of them: by axis= it is NumPy's, the"
            " mean of two in the middle, and by dim= torch's, the lower one"
        )
    if axis is not ABSENT:
        _, keep = reduced(op, axis, keepdims, ABSENT, keepdim)
        return (nanquantile if skip else quantile)(x, 0.5, axis, keep)
    _, keep = reduced(op, None, keepdims, ABSENT, keepdim)
    whole = _integers.integral(x)
    if whole is not None:
        return _median_whole(op, x, whole, dim, keep)
    merged, left, ones = _merged(op, x, None) if dim is None else (x, (), ())
    a = unwrap(merged, op, "x")
    d = axis_of(op, -1 if dim is None else dim, a.ndim, "dim")
    if a.ndim and a.shape[d] == 0:
        raise ShapeError(f"{op}: x has shape {a.shape}; there is nothing to take the median of")
    found = _lower(op, merged, a, d, skip, keep and dim is not None)
    if dim is None:
        plain = found.values._data if isinstance(found.values, Tensor) else found.values
        equal = np.isnan(a) if np.isnan(plain).all() else a == plain
        share = (equal / max(int(np.count_nonzero(equal)), 1)).astype(a.dtype)
        shape, whole_shape = plain.reshape(ones if keep else left).shape, np.shape(x)

        def shared(g: Any) -> tuple[Any]:  # by all elements that are equal to the median
            return (reshape(multiply(reshape(g, (1,)), share.reshape(-1)), whole_shape),)

        plain = plain if is_on_gpu(plain) else np.asarray(plain)
        return result(plain.reshape(shape), (x,), shared, ())
    return Extremes(found.values, wrapped(found.indices, x))


def _median_whole(op: str, x: Any, whole: Any, dim: Any, keep: bool) -> Any:
    """The lower median of integers."""
    lines = whole.reshape(-1) if dim is None else whole.reshape(whole.shape or (1,))
    d = 0 if dim is None else axis_of(op, dim, whole.ndim, "dim")
    if not lines.shape[d]:
        raise ShapeError(f"{op}: x has shape {whole.shape}; there is nothing to take the median of")
    order = np.take(np.argsort(lines, d, kind="stable"), [(lines.shape[d] - 1) // 2], d)
    values = np.take_along_axis(lines, order, d)
    if dim is None:
        return wrapped(values.reshape((1,) * whole.ndim if keep else ()), x)
    shape = whole.shape[:d] + (1,) * (keep and whole.ndim > 0) + whole.shape[d + 1 :]
    return Extremes(wrapped(values.reshape(shape), x), wrapped(order.reshape(shape), x))


def _count(marks: Any, d: int) -> Any:
    """How many hold along an axis, which stays: CuPy's count of them has no such option."""
    if isinstance(marks, np.ndarray):
        return np.count_nonzero(marks, d, keepdims=True)
    return marks.sum(d, keepdims=True)


def _lower(op: str, x: Any, a: Any, d: int, skip: bool, keep: bool) -> Extremes:
    n = a.shape[d] if a.ndim else 1
    plain = x.detach() if isinstance(x, Tensor) else x
    order = _ordered(op, plain, d, n, False)
    ordered = order.values._data if isinstance(order.values, Tensor) else order.values
    if not a.ndim:
        return Extremes(x, order.indices)
    bad = np.isnan(ordered)
    real = n - _count(bad, d)  # NaN stands last
    middle = (real if skip else np.full_like(real, n)) - 1
    at = np.maximum(middle // 2, 0)
    if not skip:
        at = np.where(real < n, real, at)
    index = np.take_along_axis(order.indices, at, d)
    values = taken(x, index, d)
    shape = index.shape if keep else index.shape[:d] + index.shape[d + 1 :]
    return Extremes(reshape(values, shape), index.reshape(shape))


_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@rounded_once
def quantile(
    x: Any,
    q: Any,
    axis: Any = None,
    keepdims: bool = False,
    *,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
    interpolation: str = "linear",
) -> Any:
    """Quantiles over axes, by position ``q * (n - 1)`` among the sorted elements.

    Parameters
    ----------
    x : array or Tensor
    q : float or sequence of float
        From 0 to 1. A sequence makes a first axis of the result.
    axis : int, tuple of int or None
        None: all.
    keepdims : bool, default False
    dim, keepdim : keyword-only
        torch's names for the same.
    interpolation : {"linear", "lower", "higher", "midpoint", "nearest"}, keyword-only
        Between two elements.

    Returns
    -------
    array or Tensor; NaN where there is one.
    """
    axis, keep = reduced("quantile", axis, keepdims, dim, keepdim)
    return _quantile("quantile", x, q, axis, keep, interpolation, False)


@rounded_once
def nanquantile(
    x: Any,
    q: Any,
    axis: Any = None,
    keepdims: bool = False,
    *,
    dim: Any = ABSENT,
    keepdim: bool = ABSENT,
    interpolation: str = "linear",
) -> Any:
    """:func:`quantile` of the elements that are not NaN; NaN where there are none."""
    axis, keep = reduced("nanquantile", axis, keepdims, dim, keepdim)
    return _quantile("nanquantile", x, q, axis, keep, interpolation, True)


def _quantile(op: str, x: Any, q: Any, axis: Any, keep: bool, interpolation: str, skip: bool) -> Any:
    if interpolation not in _METHODS:
        raise ArgumentError(
            f"{op}: interpolation is {interpolation!r}, expected one of {', '.join(_METHODS)}"
        )
    wanted = as_numpy(q, np.float64)
    if wanted.ndim > 1 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise ArgumentError(f"{op}: q is {q!r}, expected numbers from 0 to 1, one or a sequence")
    merged, left, ones = _merged(op, x, axis)
    a = unwrap(merged, op, "x")
    n = a.shape[-1]
    d = a.ndim - 1
    order = _ordered(op, merged.detach() if isinstance(merged, Tensor) else merged, d, n, False)
    ordered = order.values._data if isinstance(order.values, Tensor) else order.values
    real = n - _count(np.isnan(ordered), d)
    place = move(wanted.reshape(-1), device_of(a)) * np.maximum(
        (real if skip else np.full_like(real, n)) - 1, 0
    )
    low = np.floor(place)
    if interpolation == "lower":
        place = low
    elif interpolation == "higher":
        place = np.ceil(place)
    elif interpolation == "nearest":
        place = np.rint(place)
    elif interpolation == "midpoint":
        place = np.where(place == low, place, low + 0.5)
    low = np.floor(place)
    weight = (place - low).astype(a.dtype)
    at = low.astype(np.int64)
    below = taken(merged, np.take_along_axis(order.indices, at, d), d)
    above = taken(merged, np.take_along_axis(order.indices, np.minimum(at + 1, n - 1), d), d)
    step = where(weight > 0, multiply(subtract(above, below), weight), 0.0)
    out = add(below, step)
    if not skip:  # a NaN anywhere makes the result NaN
        out = where(real < n, move(np.asarray(np.nan, a.dtype), device_of(a)), out)
    shape = ones if keep else left
    if not wanted.ndim:
        return reshape(out, shape)
    count = wanted.size
    out = permute(out, (d, *range(d)))
    return reshape(out, (count, *shape))


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where ``input`` would have to be put to keep lines sorted.

    Parameters
    ----------
    sorted_sequence : array or Tensor, shape (..., n)
        Each line of the last axis in rising order; with one axis it serves all of ``input``.
    input : number, array or Tensor
        Of the same leading shape, or any where ``sorted_sequence`` has one axis.
    out_int32 : bool, keyword-only, default False
        Places as int32.
    right : bool, keyword-only, default False
        Behind equal elements, not before them.
    side : {"left", "right"}, keyword-only, optional
        The same in words.
    sorter : array or Tensor of int64, keyword-only, optional
        The places in ``sorted_sequence`` that its sorted lines would be taken from.

    Returns
    -------
    array of int64 (int32), or a Tensor of them
    """
    op = "searchsorted"
    behind = flag(op, "right", right)
    if side is not None:
        if side not in ("left", "right") or (behind and side == "left"):
            raise ArgumentError(f"{op}: side is {side!r} and right is {right!r}, expected 'left' or 'right'")
        behind = side == "right"
    flag(op, "out_int32", out_int32)
    if sorter is not None:
        from einkorn.ops.gather import take_along_dim

        sorted_sequence = take_along_dim(sorted_sequence, sorter, -1)
    line = unwrap(_integers.as_float(sorted_sequence, np.float64), op, "sorted_sequence")
    if isinstance(input, (int, float, np.integer, np.floating)):
        value = beside(line, np.asarray(input, line.dtype))
    else:
        value = unwrap(_integers.as_float(input, line.dtype), op, "input")
    same_dtype(op, sorted_sequence=line, input=value)
    if line.ndim == 0 or (line.ndim > 1 and line.shape[:-1] != value.shape[:-1]):
        raise ShapeError(
            f"{op}: sorted_sequence has shape {line.shape} and input {value.shape}, expected one axis or"
            " equal shapes but for the last"
        )
    single = line.ndim == 1
    n = line.shape[-1]
    k = engines.of(line)
    ordered = contiguous(line).reshape(1 if single else prod(line.shape[:-1]), n)
    m = value.size if single else value.shape[-1]
    count = 1 if single else ordered.shape[0]
    out = k.empty(value.shape, "int64")
    k.search_sorted(out, ordered, contiguous(value).reshape(count, m), behind)
    return wrapped(out.astype(np.int32) if out_int32 else out, sorted_sequence, input)
