"""Taking from and putting to places that an index names along one axis: what gather.py is made of.

``take`` and ``put`` are each other's gradients, to any order. An index is an int64 array of the rank of what
it takes from, as wide in the other axes as the result, possibly by broadcasting; it has been checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16, engines, ops
from einkorn._device import beside, device_of, move
from einkorn._range_checks import checked
from einkorn._tensor import Tensor
from einkorn.errors import DTypeError, IndexRangeError, ShapeError
from einkorn.ops._moves import movable
from einkorn.ops._road import as_index, broadcast_to, needs, result, unwrap

__all__ = ["ADD", "LARGER", "MULTIPLY", "SET", "SMALLER", "check_range", "index_array", "put", "rows", "take"]

SET, ADD, MULTIPLY, LARGER, SMALLER = range(5)
_WHOLE = (None, np.add, np.multiply, np.maximum, np.minimum)


def check_range(op: str, name: str, index: Any, size: int, axis: int, *, wraps: bool = True) -> Any:
    """The indices, none outside of ``[-size, size)``, or ``[0, size)`` unless they wrap; the first is named.

    Within a step on a GPU they may be a copy that is in range, see ``einkorn._range_checks``.
    """

    def error(position: int, value: int) -> Exception:
        at = tuple(map(int, np.unravel_index(position, index.shape)))
        return IndexRangeError(
            f"{op}: {name}{list(at) if at else ''} is {value}, out of range for axis {axis} of size {size}"
        )

    if index.size == 0:
        return index
    if size == 0:
        raise error(0, int(index.reshape(-1)[0]))
    return checked(index, -size if wraps else 0, size, 0, error)


def index_array(op: str, name: str, index: Any) -> Any:
    """A contiguous int64 array of indices, also from numbers and lists of them."""
    if isinstance(index, (int, list, tuple)):
        index = np.asarray(index)
        if index.size == 0:
            index = index.astype(np.int64)
    return as_index(index, op, name)


def rows(index: Any, shape: tuple[int, ...], axis: int) -> Any:
    """A flat index as one that is the same for all lanes beside the axis of an array of that shape."""
    n = index.size
    thin = index.reshape((1,) * axis + (n,) + (1,) * (len(shape) - axis - 1))
    return broadcast_to(thin, (*shape[:axis], n, *shape[axis + 1 :]))


def take(op: str, x: Any, axis: int, index: Any) -> Any:
    """``x`` at the places of the index; wider than the index beside the axis, x is cut to its width."""
    a = movable(x, op)
    shape = a.shape
    box = _box(shape, index.shape, axis)
    there = index if isinstance(a, np.ndarray) else beside(a, index)
    if a.dtype.kind != "f":
        out = np.take_along_axis(a[box], there, axis)
    else:
        k = engines.of(a)
        out = k.empty(index.shape, a.dtype)
        k.gather(out, a[box], there, axis)
    return result(out, (x,), lambda g: (_put_back(op, g, axis, index, shape),), ())


def _box(shape: tuple[int, ...], narrow: tuple[int, ...], axis: int) -> tuple[slice, ...]:
    """The part of an array that an index reaches: all of the axis, and its own width beside."""
    return tuple([slice(None) if d == axis else slice(n) for d, n in enumerate(narrow)])


def _put_back(op: str, g: Any, axis: int, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of a shape to which ``g`` was added at the places of the index."""
    a = unwrap(g, op, "gradient")
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    k.fill(out, 0.0)
    k.scatter(out[_box(shape, index.shape, axis)], a, index, axis, ADD)
    return result(out, (g,), lambda h: (take(op, h, axis, index),), ())


def put(op: str, x: Any, axis: int, index: Any, src: Any, mode: int) -> Any:
    """A copy of ``x`` into which ``src``, of the index's shape, was set or added at its places."""
    a, b = operands(op, x, src)
    if index.shape != b.shape:
        raise ShapeError(f"{op}: src has shape {b.shape}, expected {index.shape}")
    out = written(op, a, b, axis, index, mode)

    keeps, gives, shape = needs(x), needs(src), out.shape

    def added(g: Any) -> tuple[Any, Any]:
        return g if keeps else None, take(op, g, axis, index) if gives else None

    def set_(g: Any) -> tuple[Any, Any]:
        nothing = broadcast_to(beside(g, np.zeros((), g.dtype)), index.shape)
        return (
            put(op, g, axis, index, nothing, SET) if keeps else None,
            _of_last(take(op, g, axis, index), axis, index, shape) if gives else None,
        )

    return result(out, (x, src), added if mode == ADD else set_, ())


def operands(op: str, x: Any, src: Any) -> tuple[Any, Any]:
    """Both arrays, of one kind; integers beside floats take their type."""
    a, b = movable(x, op), movable(src, op, "src")
    if a.dtype != b.dtype:
        whole = not _bfloat16.is_floating(a.dtype)
        if _bfloat16.is_floating(b.dtype) or (whole and not np.can_cast(b.dtype, a.dtype, "same_kind")):
            raise DTypeError(f"{op}: src has dtype {b.dtype}, expected {a.dtype} as x has")
        b = _bfloat16.astype(b, a.dtype)
    return a, b


def written(op: str, a: Any, b: Any, axis: int, index: Any, mode: int) -> Any:
    """A copy of array ``a`` with ``b`` at the places of the index."""
    if _bfloat16.is_bfloat16(a.dtype):
        return _bfloat16.narrow(written(op, _bfloat16.widen(a), _bfloat16.widen(b), axis, index, mode))
    box = _box(a.shape, index.shape, axis)
    if a.dtype.kind != "f":
        out = a.copy()
        _write_whole(out[box], np.broadcast_to(b, index.shape), index, axis, mode)
        return out
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    k.copy(out, a)
    k.scatter(out[box], broadcast_to(b, index.shape), move(index, device_of(a)), axis, mode)
    return out


def _write_whole(out: Any, src: Any, index: Any, axis: int, mode: int) -> None:
    places = [beside(out, a) for a in np.ogrid[tuple([slice(n) for n in index.shape])]]
    places[axis] = beside(out, index)
    combine = _WHOLE[mode]
    if combine is None:
        out[tuple(places)] = src
    else:
        combine.at(out, tuple(places), src)


def _of_last(g: Any, axis: int, index: Any, shape: tuple[int, ...]) -> Any:
    """``g`` where src stayed, and 0 where a later element was written over it."""
    a = g._data if isinstance(g, Tensor) else g
    k = engines.of(a)
    steps = np.arange(index.shape[axis], dtype=a.dtype).reshape((-1,) + (1,) * (index.ndim - axis - 1))
    turns = broadcast_to(beside(a, steps), index.shape)
    last = k.empty(shape, a.dtype)
    k.scatter(last[_box(shape, index.shape, axis)], turns, index, axis, SET)
    stayed = k.empty(index.shape, a.dtype)
    k.gather(stayed, last[_box(shape, index.shape, axis)], index, axis)
    k.equal(stayed, stayed, turns)
    return ops.multiply(g, stayed)
