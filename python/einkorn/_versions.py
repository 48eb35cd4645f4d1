"""Which memory was written when: how a backward pass notices that its saved values are gone.

Nodes of the tape and writes take numbers from one clock. A recorded operation pays nothing for it: what it
saved is compared, when its turn in the backward pass comes, with the numbers of the writes since. Whoever
changes an array in place that a graph may have saved (optimizers, initialisers, ``load_state_dict``, in-place
operators) says so with :func:`wrote`.

Writes are kept per *owner*, the array at the root of a chain of views, under its ``id``. An entry may outlive
its array: an array that gets the same ``id`` later is younger than the entry, and so is all that is recorded
with it.
"""

from __future__ import annotations

import itertools
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = [
    "Arriving",
    "any_unlinked",
    "clock",
    "is_same",
    "is_unlinked",
    "last_write",
    "latest",
    "link",
    "overwritten",
    "owner",
    "passed_by",
    "uncounted",
    "unlink",
    "wrote",
]

#: Numbers of nodes and writes.
clock = itertools.count()

#: Number of the last write: nothing that was recorded after it can have lost its values.
latest = -1

_writes: dict[int, int] = {}


def owner(array: Any) -> Any:
    """The array whose memory ``array`` shows: itself, or the root of its views."""
    kind = np.ndarray if isinstance(array, np.ndarray) else type(array)
    base = array.base
    while isinstance(base, kind):
        array, base = base, base.base
    return array


def wrote(*arrays: Any) -> int:
    """Note that the arrays have just been written in place; the number of this write."""
    global latest
    latest = next(clock)
    for array in arrays:
        _writes[id(owner(array))] = latest
    return latest


def last_write(array: Any) -> int:
    """Number of the last write into the memory of ``array``, or -1."""
    return _writes.get(id(owner(array)), -1)


def overwritten(backward: Any, number: int) -> Any:
    """An array that ``backward`` needs and that was written after ``number``, or None."""
    for array in _saved(backward, set()):
        if _writes.get(id(owner(array)), -1) > number:
            return array
    return None


class Arriving(dict[int, Any]):
    """Gradients of several results that a function waits for: what is in it came later than its node."""


def _saved(value: Any, seen: set[int]) -> Iterator[Any]:
    """The arrays that a gradient function keeps: those it closes over, as deep as functions go."""
    if isinstance(value, types.FunctionType):
        if id(value) in seen:
            return
        seen.add(id(value))
        for cell in value.__closure__ or ():
            yield from _saved(cell.cell_contents, seen)
        yield from _saved(value.__defaults__, seen)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _saved(item, seen)
    elif isinstance(value, dict) and type(value) is not Arriving:
        yield from _saved(list(value.values()), seen)
    elif hasattr(value, "__array_interface__") or hasattr(value, "__cuda_array_interface__"):
        yield value


# --- memory whose writes are not counted --------------------------------------------------------


class _Past:
    """What stands between an array and one of the same memory that is an owner of its own."""

    __slots__ = ("__array_interface__", "_array")

    def __init__(self, array: np.ndarray) -> None:
        self.__array_interface__ = array.__array_interface__
        self._array = array


def uncounted(array: Any) -> Any:
    """An array of the same memory that counts as another owner's: writes through it are not noticed."""
    if not isinstance(array, np.ndarray):
        return type(array)(array.shape, array.dtype, array.data, array.strides)
    buffer: Any = array
    if array.flags.c_contiguous and array.dtype.kind != "V" and array.size:
        return np.frombuffer(memoryview(buffer), array.dtype).reshape(array.shape)  # in half the time
    past = np.asarray(_Past(array))
    return past if past.dtype == array.dtype else past.view(array.dtype)


def is_same(a: Any, b: Any) -> bool:
    """Whether two arrays show one memory in the same way."""
    if a is b:
        return True
    if type(a) is not type(b) or a.shape != b.shape or a.dtype != b.dtype:
        return False
    if isinstance(a, np.ndarray):
        return not a.size or bool(a.strides == b.strides and a.ctypes.data == b.ctypes.data)
    return bool(a.strides == b.strides and a.data.ptr == b.data.ptr)


# --- writes that are themselves recorded ------------------------------------------------------

#: Number of the last recorded write. A Tensor with an older node may be a view that it passed by.
latest_recorded = -1

_recorded: dict[int, int] = {}
_unlinked: dict[int, weakref.ref[Any]] = {}


def wrote_recorded(array: Any) -> int:
    """Note a write that the graph knows of, so that views of the same memory are not used unawares."""
    global latest_recorded
    latest_recorded = wrote(array)
    _recorded[id(owner(array))] = latest_recorded
    return latest_recorded


def passed_by(array: Any, number: int) -> bool:
    """Whether a recorded write changed the memory of ``array``, which a node of this number computed."""
    return last_recorded(array) > number


def last_recorded(array: Any) -> int:
    """Number of the last recorded write into the memory of ``array``, or -1."""
    return _recorded.get(id(owner(array)), -1)


def unlink(array: Any) -> None:
    """Note that values that need a gradient went into a view of an array that records nothing."""
    root = owner(array)
    key = id(root)
    _unlinked[key] = weakref.ref(root, lambda _: _unlinked.pop(key, None))


def link(array: Any) -> None:
    """Note that the Tensor of the whole array has been told of what went into its views."""
    _unlinked.pop(id(array), None)


def any_unlinked() -> bool:
    """Whether :func:`is_unlinked` need be asked."""
    return bool(_unlinked)


def is_unlinked(array: Any) -> bool:
    """Whether the memory of a Tensor that records nothing holds values that need a gradient."""
    return id(owner(array)) in _unlinked
