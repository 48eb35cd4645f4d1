"""Ways for an array to lie in memory.

An array that a caller hands over is seldom fresh from ``np.empty``: it is a column of a table, every second
row, an image upside down, a transpose, a broadcast constant. Each of these is a function from an array to
one of the same shape and numbers (``broadcast``: the same shape) whose strides are others. Axes of size 1
get strides of their own as well: nothing steps along them, so nothing may look at them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["LAYOUTS", "STRIDED"]

Array = np.ndarray


def _filler(a: Array) -> float:
    """What lies between the elements: a kernel that reads it shows."""
    return np.nan if a.dtype.kind == "f" else 0


def _strided(a: Array, step: int, start: int) -> Array:
    """Every ``step``-th element along each axis of a larger array."""
    if a.ndim == 0:
        return a
    wide = np.full([n * step for n in a.shape], _filler(a), a.dtype)
    view = wide[(slice(start, None, step),) * a.ndim]
    view[...] = a
    return view


def _every_second(a: Array) -> Array:
    return _strided(a, 2, 1)


def _columns(a: Array) -> Array:
    """One column of a table that has three for every element."""
    wide = np.full((*a.shape, 3), _filler(a), a.dtype)
    wide[..., 1] = a
    return wide[..., 1]


def _fortran(a: Array) -> Array:
    return np.array(a, order="F")


def _reversed(a: Array) -> Array:
    """Negative strides on every axis."""
    if a.ndim == 0:
        return a
    backwards = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[backwards])[backwards]


def _upside_down(a: Array) -> Array:
    """A negative stride on the first axis alone."""
    return np.ascontiguousarray(a[::-1])[::-1] if a.ndim else a


def _gaps(a: Array) -> Array:
    """Every third element along the last axis of a larger array."""
    if a.ndim == 0:
        return a
    wide = np.full((*a.shape[:-1], a.shape[-1] * 3), _filler(a), a.dtype)
    view = wide[..., ::3]
    view[...] = a
    return view


def _padded_rows(a: Array) -> Array:
    """Rows without gaps that lie apart: the left half of a wider array."""
    if a.ndim == 0:
        return a
    wide = np.full((*a.shape[:-1], a.shape[-1] * 2 + 1), _filler(a), a.dtype)
    view = wide[..., : a.shape[-1]]
    view[...] = a
    return view


def _bytes_off(a: Array, offset: int) -> Array:
    buffer = np.zeros(a.nbytes + 64 + offset, np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    out: Array = np.ndarray(a.shape, a.dtype, buffer, start)
    out[...] = a
    return out


def _offset(a: Array) -> Array:
    """One element past a cache line: aligned to elements, not to vectors."""
    return _bytes_off(a, a.itemsize)


def _misaligned(a: Array) -> Array:
    """One byte past a cache line."""
    return _bytes_off(a, 1)


def _read_only(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


def _broadcast(a: Array) -> Array:
    """Stride 0 along the first axis: all of it repeats the first row."""
    return np.broadcast_to(a[:1], a.shape) if a.ndim and a.shape[0] else a


def _broadcast_last(a: Array) -> Array:
    """Stride 0 along the last axis."""
    return np.broadcast_to(a[..., :1], a.shape) if a.ndim and a.shape[-1] else a


def _constant(a: Array) -> Array:
    """Stride 0 along all axes: one number."""
    return np.broadcast_to(a.ravel()[:1].reshape((1,) * a.ndim), a.shape) if a.size else a


#: Ways for an array to lie in memory, by name.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.asarray,
    "F": _fortran,
    "columns": _columns,
    "every second": _every_second,
    "reversed": _reversed,
    "upside down": _upside_down,
    "gaps": _gaps,
    "padded rows": _padded_rows,
    "offset": _offset,
    "misaligned": _misaligned,
    "read-only": _read_only,
    "broadcast": _broadcast,
    "broadcast last": _broadcast_last,
    "constant": _constant,
}

#: Those in which every case runs, its arrays one by one and together; True where elements share memory, so
#: that only inputs can lie so.
STRIDED: dict[str, bool] = {
    "F": False,
    "columns": False,
    "every second": False,
    "reversed": False,
    "upside down": False,
    "padded rows": False,
    "broadcast": True,
    "broadcast last": True,
    "constant": True,
}
