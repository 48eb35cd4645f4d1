"""Elements by index: taken (gather, index_select, take), put (scatter, index_add), chosen by a mask.

Indices are integers from ``-n`` to ``n - 1`` of an axis of size n, negative ones counted from its end; others
are refused. Sums of what goes to one place are made in the order of the index: the same bits for any number
of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import beside, is_on_gpu
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._elementwise import _binary_kernel
from einkorn.ops._moves import movable
from einkorn.ops._options import ABSENT, axis_of, flag, number
from einkorn.ops._places import (
    ADD,
    LARGER,
    MULTIPLY,
    SET,
    SMALLER,
    check_range,
    index_array,
    operands,
    put,
    rows,
    written,
)
from einkorn.ops._places import (
    take as _take,
)
from einkorn.ops._road import broadcast_to, result
from einkorn.ops._rounding import rounded_once

__all__ = [
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_select",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "put_along_axis",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_axis",
    "take_along_dim",
]

_REDUCTIONS = {"sum": ADD, "prod": MULTIPLY, "amax": LARGER, "amin": SMALLER}


def _line(x: Any) -> Any:
    """A scalar as an array of one element, as torch indexes it."""
    return ops.reshape(x, (1,)) if np.ndim(x) == 0 or getattr(x, "shape", None) == () else x


def _along(op: str, x: Any, dim: int, index: Any) -> tuple[Any, int, Any]:
    """x, the axis, and an index of x's rank that is no wider than x beside the axis."""
    shape = movable(x, op).shape
    d = axis_of(op, dim, len(shape), "dim")
    x, shape = (_line(x), shape or (1,))
    idx = index_array(op, "index", index)
    if idx.ndim == 0:
        idx = idx.reshape(1)
    if idx.ndim != len(shape) or any(
        n > m for e, (n, m) in enumerate(zip(idx.shape, shape, strict=True)) if e != d
    ):
        raise ShapeError(
            f"{op}: index has shape {idx.shape}, expected {len(shape)} dimensions and at most {shape} but for"
            f" dim {dim}"
        )
    idx = check_range(op, "index", idx, shape[d], d, wraps=False)
    return x, d, idx


def _source(op: str, src: Any, index: Any) -> Any:
    """The part of src that an index puts somewhere."""
    src = _line(src)
    shape = movable(src, op, "src").shape
    if len(shape) != index.ndim or any(n > m for n, m in zip(index.shape, shape, strict=True)):
        raise ShapeError(f"{op}: src has shape {shape}, expected at least that of index, {index.shape}")
    return src if shape == index.shape else src[tuple([slice(n) for n in index.shape])]


def _like(x: Any, out: Any) -> Any:
    return ops.reshape(out, ()) if getattr(x, "shape", None) == () else out


@either_spelling
def gather(x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Elements along an axis: ``out[.., j, ..] = x[.., index[.., j, ..], ..]``, as ``torch.gather``.

    Parameters
    ----------
    x : array or Tensor
    dim : int
    index : integer array or Tensor
        Of x's rank; in the other axes at most as large as x. Its shape is that of the result.
    sparse_grad : bool, keyword-only
        Only False: gradients are dense.

    Raises
    ------
    IndexRangeError
        For an index outside the axis; the first is named.
    ShapeError
        For an index of another rank, or larger than x beside the axis.
    """
    if flag("gather", "sparse_grad", sparse_grad):
        raise ArgumentError("gather: sparse_grad is True, expected False: gradients are dense here")
    line, d, idx = _along("gather", x, dim, index)
    out = _take("gather", line, d, idx)
    return _like(index_array("gather", "index", index), out)


@either_spelling
def scatter(
    x: Any, dim: int, index: Any, src: Any = ABSENT, *, value: Any = ABSENT, reduce: str | None = None
) -> Any:
    """A copy of ``x`` with ``out[.., index[.., j, ..], ..] = src[.., j, ..]``, as ``torch.scatter``.

    Of several elements for one place the last one stays, and gets the gradient.

    Parameters
    ----------
    x : array or Tensor
    dim : int
    index : integer array or Tensor
        Of x's rank, in the other axes at most as large as x.
    src : array, Tensor or number
        At least as large as the index; what lies outside is not read.
    value : number, keyword-only
        torch's name for a src that is a number.
    reduce : {None, "add", "multiply"} or one of those of :func:`scatter_reduce`
        What becomes of src and x.

    Raises
    ------
    IndexRangeError, ShapeError
        As :func:`gather`.
    """
    if (src is ABSENT) == (value is ABSENT):
        raise ArgumentError("scatter: expected src or value, and not both")
    src = value if src is ABSENT else src
    how = {"add": "sum", "multiply": "prod"}.get(reduce, reduce) if isinstance(reduce, str) else reduce
    if how is not None and how not in (*_REDUCTIONS, "mean"):
        raise ArgumentError(f"scatter: reduce is {reduce!r}, expected 'add' or 'multiply' or None")
    line, d, idx = _along("scatter", x, dim, index)
    if not hasattr(src, "shape"):
        a = movable(line, "scatter")
        src = broadcast_to(beside(a, np.array(number("scatter", "src", src), a.dtype)), idx.shape)
    src = _source("scatter", src, idx)
    if how is None:
        return _like(x, put("scatter", line, d, idx, src, SET))
    return _like(x, _reduced("scatter", line, d, idx, src, how, True))


@either_spelling
def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of ``x`` with ``out[.., index[.., j, ..], ..] += src[.., j, ..]``: as :func:`scatter`."""
    line, d, idx = _along("scatter_add", x, dim, index)
    return _like(x, put("scatter_add", line, d, idx, _source("scatter_add", src, idx), ADD))


@either_spelling
@rounded_once
def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """A copy of ``x`` in which each place that the index names holds a reduction of src, and of itself.

    Parameters
    ----------
    x, dim, index, src
        As :func:`scatter`.
    reduce : {"sum", "prod", "mean", "amax", "amin"}
        NaN wins in ``amax`` and ``amin``; equal extremes share the gradient.
    include_self : bool, keyword-only, default True
        Whether the element that was there counts.
    """
    if reduce not in (*_REDUCTIONS, "mean"):
        raise ArgumentError(
            f"scatter_reduce: reduce is {reduce!r}, expected 'sum', 'prod', 'mean', 'amax' or 'amin'"
        )
    own = flag("scatter_reduce", "include_self", include_self)
    line, d, idx = _along("scatter_reduce", x, dim, index)
    src = _source("scatter_reduce", src, idx)
    return _like(x, _reduced("scatter_reduce", line, d, idx, src, reduce, own))


def _reduced(op: str, x: Any, d: int, index: Any, src: Any, how: str, own: bool) -> Any:
    a, b = operands(op, x, src)
    if not own:
        x = put(op, x, d, index, broadcast_to(beside(a, _start(how, a.dtype)), index.shape), SET)
    if how == "mean":
        ones = beside(a, np.ones(a.shape, a.dtype))
        one, nothing = (broadcast_to(beside(a, np.array(v, a.dtype)), index.shape) for v in (1, 0))
        counts = ones if own else written(op, ones, nothing, d, index, SET)
        counts = np.maximum(written(op, counts, one, d, index, ADD), 1)
        total = put(op, x, d, index, src, ADD)
        if a.dtype.kind == "f":
            return ops.divide(total, counts)
        return result(movable(total, op) // counts, (x, src), _no_gradient)
    if how == "sum":
        return put(op, x, d, index, src, ADD)
    a = movable(x, op)
    out = written(op, a, b, d, index, _REDUCTIONS[how])
    if a.dtype.kind != "f":
        return result(out, (x, src), _no_gradient)
    if how == "prod":
        return result(
            out, (x, src), lambda g, x, src, out: _of_product(op, g, x, src, out, d, index), (a, b, out)
        )

    def shared(g: Any, x: Any, src: Any, out: Any) -> tuple[Any, Any]:
        x, src, out = (t._data if isinstance(t, Tensor) else t for t in (x, src, out))
        own = _equal(x, out)
        theirs = _equal(src, movable(_take(op, out, d, index), op))
        share = ops.divide(g, written(op, own, theirs, d, index, ADD))
        return ops.multiply(share, own), ops.multiply(_take(op, share, d, index), theirs)

    return result(out, (x, src), shared, (a, b, out))


def _start(how: str, dtype: Any) -> Any:
    """What a reduction begins with where the element that was there does not count."""
    if how in ("amax", "amin"):
        if dtype.kind == "f":
            return np.array(-math.inf if how == "amax" else math.inf, dtype)
        if dtype.kind == "b":
            return np.array(how == "amin")
        limits = np.iinfo(dtype)
        return np.array(limits.min if how == "amax" else limits.max, dtype)
    return np.array(1 if how == "prod" else 0, dtype)


def _no_gradient(g: Any) -> tuple[Any, ...]:
    return (None, None)


def _equal(a: Any, b: Any) -> Any:
    """1 where both are equal or NaN, else 0."""
    both_nan = _binary_kernel("maximum", _binary_kernel("equal", a, a), _binary_kernel("equal", b, b))
    return ops.subtract(ops.add(_binary_kernel("equal", a, b), 1.0), both_nan)


def _of_product(op: str, g: Any, x: Any, src: Any, out: Any, d: int, index: Any) -> tuple[Any, Any]:
    """Gradients of the products: the product of all others, found by division where no factor is 0."""
    x_values, src_values = (t._data if isinstance(t, Tensor) else t for t in (x, src))
    whole = ops.where(x_values == 0, 1.0, x)
    others = _reduced(op, whole, d, index, src, "prod", True)
    gx = ops.divide(ops.multiply(g, others), whole)

    zero = (src_values == 0).astype(src_values.dtype)
    none = beside(x, np.zeros(x_values.shape, zero.dtype))
    zeros = written(op, none, zero, d, index, ADD)
    lone = (zero != 0) & (movable(_take(op, zeros, d, index), op) == 1)
    without = _reduced(op, x, d, index, ops.where(lone, 1.0, src), "prod", True)
    divided = ops.divide(_take(op, ops.multiply(g, out), d, index), ops.where(zero, 1.0, src))
    return gx, ops.where(lone, _take(op, ops.multiply(g, without), d, index), divided)


# --- whole rows ---------------------------------------------------------------------------------


def _rows(op: str, x: Any, dim: Any, index: Any) -> tuple[Any, int, Any]:
    """x, the axis, and a flat index of it."""
    shape = movable(x, op).shape
    d = axis_of(op, dim, len(shape), "dim")
    flat = index_array(op, "index", index)
    wraps = op == "index_fill"  # torch's exception
    flat = check_range(op, "index", flat, (shape or (1,))[d], d, wraps=wraps)
    if flat.ndim > 1:
        raise ShapeError(f"{op}: index has shape {flat.shape}, expected one dimension")
    return _line(x), d, flat.reshape(-1)


@either_spelling
def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices of an axis that a flat index names, as ``torch.index_select``.

    Parameters
    ----------
    x : array or Tensor
    dim : int
    index : integer array or Tensor of one dimension

    Raises
    ------
    IndexRangeError
        For an index outside the axis; the first is named.
    """
    line, d, flat = _rows("index_select", x, dim, index)
    out = _take("index_select", line, d, rows(flat, movable(line, "index_select").shape, d))
    return _like(x, out) if flat.size == 1 else out


def _slices(op: str, x: Any, dim: int, index: Any, source: Any, mode: int) -> Any:
    line, d, flat = _rows(op, x, dim, index)
    shape = movable(line, op).shape
    wanted = (*shape[:d], flat.size, *shape[d + 1 :])
    source = _line(source)
    if movable(source, op, "source").shape != wanted:
        raise ShapeError(f"{op}: source has shape {tuple(source.shape)}, expected {wanted}")
    return _like(x, put(op, line, d, rows(flat, shape, d), source, mode))


@either_spelling
def index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of ``x`` with ``alpha * source`` added to the slices that a flat index names.

    Parameters
    ----------
    x : array or Tensor
    dim : int
    index : integer array or Tensor of one dimension
    source : array or Tensor
        As x, but for ``dim``, which is as long as the index.
    alpha : number, keyword-only
    """
    if alpha != 1:
        source = ops.multiply(source, alpha)
    return _slices("index_add", x, dim, index, source, ADD)


@either_spelling
def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of ``x`` with ``source`` in the slices that a flat index names, as :func:`index_add`."""
    return _slices("index_copy", x, dim, index, source, SET)


@either_spelling
def index_fill(x: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of ``x`` with a number, or the one of a Tensor, in the slices that a flat index names."""
    line, d, flat = _rows("index_fill", x, dim, index)
    places = rows(flat, movable(line, "index_fill").shape, d)
    return _like(x, put("index_fill", line, d, places, _single("index_fill", value, line, places.shape), SET))


def _single(op: str, value: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """A number, or a tensor of one, in a shape."""
    if not hasattr(value, "shape"):
        value = float(value) if isinstance(value, bool) else number(op, "value", value)
        value = beside(x, np.array(value, movable(x, op).dtype))
    if tuple(value.shape) != ():
        raise ShapeError(f"{op}: value has shape {tuple(value.shape)}, expected a number or a scalar")
    return ops.broadcast_to(value, shape)


# --- NumPy's ------------------------------------------------------------------------------------


@either_spelling
def take(x: Any, index: Any, axis: int | None = None) -> Any:
    """Elements of the flattened ``x`` (as ``torch.take``), or slices along an axis (as ``numpy.take``).

    Parameters
    ----------
    x : array or Tensor
    index : integer array or Tensor of any shape
    axis : int, optional

    Returns
    -------
    array or Tensor
        Of the index's shape, in the place of the axis.
    """
    a = movable(x, "take")
    if axis is None:
        x, d = ops.reshape(x, (-1,)), 0
    else:
        x, d = _line(x), axis_of("take", axis, a.ndim)
    shape = movable(x, "take").shape
    idx = index_array("take", "index", index)
    idx = check_range("take", "index", idx, shape[d], d)
    out = _take("take", x, d, rows(idx.reshape(-1), shape, d))
    return ops.reshape(out, (*shape[:d], *idx.shape, *shape[d + 1 :]))


@either_spelling
def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    """``x`` at an index for each result along an axis, as ``numpy.take_along_axis``.

    Parameters
    ----------
    x : array or Tensor
    indices : integer array or Tensor
        Of x's rank; the other axes broadcast against those of x.
    axis : int or None, default -1
        None: of the flattened x.
    """
    return _taken("take_along_axis", x, indices, axis, "axis")


@either_spelling
def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """``x`` at an index for each result along an axis, as ``torch.take_along_dim``: flattened without one."""
    return _taken("take_along_dim", x, indices, dim, "dim")


def _taken(op: str, x: Any, indices: Any, axis: Any, name: str) -> Any:
    idx = index_array(op, "indices", indices)
    if axis is None:
        x, d, idx = ops.reshape(x, (-1,)), 0, idx.reshape(-1)
    else:
        d = axis_of(op, axis, movable(x, op).ndim, name)
        x = _line(x)
    shape = movable(x, op).shape
    if idx.ndim != len(shape):
        raise ShapeError(f"{op}: indices has shape {idx.shape}, expected {len(shape)} dimensions as x has")
    idx = check_range(op, "indices", idx, shape[d], d)
    try:
        wide = np.broadcast_shapes((*shape[:d], 1, *shape[d + 1 :]), (*idx.shape[:d], 1, *idx.shape[d + 1 :]))
    except ValueError:
        raise ShapeError(
            f"{op}: indices has shape {idx.shape}, which does not broadcast to {shape}"
        ) from None
    whole = (*wide[:d], shape[d], *wide[d + 1 :])
    x = x if whole == shape else ops.broadcast_to(x, whole)
    return _take(op, x, d, broadcast_to(idx, (*wide[:d], idx.shape[d], *wide[d + 1 :])))


@either_spelling
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = None) -> None:
    """Write ``values`` into ``arr`` at indices along an axis, in place, as ``numpy.put_along_axis``.

    :func:`scatter` does it in a copy.

    Parameters
    ----------
    arr : array or Tensor
        A Tensor records the write.
    indices : integer array or Tensor
        Of arr's rank; the other axes broadcast against those of arr.
    values : array, Tensor or number
        Broadcasts to the indices' shape.
    axis : int or None
        None: of the flattened arr.
    """
    op = "put_along_axis"
    a = movable(arr, op, "arr")
    idx = index_array(op, "indices", indices)
    if axis is None:
        idx = check_range(op, "indices", idx, a.size, 0)
        places: tuple[Any, ...] = np.unravel_index(np.where(idx < 0, idx + a.size, idx), a.shape)
    else:
        d = axis_of(op, axis, a.ndim)
        if idx.ndim != a.ndim:
            raise ShapeError(f"{op}: indices has shape {idx.shape}, expected {a.ndim} dimensions as arr has")
        idx = check_range(op, "indices", idx, a.shape[d], d)
        others = np.ogrid[tuple([slice(n) for n in a.shape])]
        places = tuple([idx if e == d else other for e, other in enumerate(others)])
    target = arr if isinstance(arr, Tensor) else a
    target[places] = values


# --- masks --------------------------------------------------------------------------------------


def _mask(op: str, mask: Any) -> Any:
    if is_on_gpu(mask):
        m = mask
    else:
        m = movable(np.asarray(mask) if isinstance(mask, (bool, list)) else mask, op, "mask")
    if m.dtype.kind != "b":
        raise DTypeError(f"{op}: mask has dtype {m.dtype}, expected bool")
    return m


def _spread(op: str, mask: Any, x: Any) -> tuple[int, ...]:
    shape = movable(x, op).shape
    try:
        return np.broadcast_shapes(mask.shape, shape)
    except ValueError:
        raise ShapeError(
            f"{op}: mask has shape {mask.shape}, which does not broadcast with {shape}"
        ) from None


def masked_select(x: Any, mask: Any) -> Any:
    """The elements where a mask of booleans holds, in row-major order, in one dimension.

    Parameters
    ----------
    x : array or Tensor
    mask : array or Tensor of booleans
        Both broadcast against each other.
    """
    m = _mask("masked_select", mask)
    shape = _spread("masked_select", m, x)
    places = np.flatnonzero(np.broadcast_to(m, shape))
    flat = ops.reshape(ops.broadcast_to(x, shape), (-1,))
    return _take("masked_select", flat, 0, places)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """``value``, a number or the one of a Tensor, where a mask of booleans holds, else ``x``, as in torch."""
    m = _mask("masked_fill", mask)
    if not hasattr(mask, "dtype"):
        m = beside(movable(x, "masked_fill"), m)
    _spread("masked_fill", m, x)
    if getattr(value, "shape", ()) != ():
        raise ShapeError(f"masked_fill: value has shape {tuple(value.shape)}, expected a number or a scalar")
    kind = movable(x, "masked_fill").dtype
    if hasattr(value, "dtype"):
        value = ops.cast(value if hasattr(value, "ndim") else np.asarray(value), kind)
    elif not isinstance(value, (bool, int, float)):
        raise DTypeError(f"masked_fill: value is {value!r}, expected a number or a scalar")
    elif kind.kind == "b":
        value = bool(value)
    elif kind.kind in "iu" and isinstance(value, float):
        if not math.isfinite(value):
            raise ArgumentError(f"masked_fill: value is {value}, which no {kind} is")
        value = int(value)
    return ops.where(m, value, x)


def masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    """``x`` with the elements of ``source``, one after the other, where a mask of booleans holds.

    Parameters
    ----------
    x : array or Tensor
    mask : array or Tensor of booleans
        Broadcasts with x.
    source : array or Tensor
        At least as many elements as the mask holds; the others are not read.
    """
    op = "masked_scatter"
    m = _mask(op, mask)
    shape = _spread(op, m, x)
    places = np.flatnonzero(np.broadcast_to(m, shape))
    flat = ops.reshape(source, (-1,))
    if flat.shape[0] < places.size:
        raise ShapeError(f"{op}: source has {flat.shape[0]} elements, expected the {places.size} of the mask")
    if flat.shape[0] > places.size:
        flat = flat[: places.size]
    wide = ops.reshape(ops.broadcast_to(x, shape), (-1,))
    return ops.reshape(put(op, wide, 0, places, flat, SET), shape)
