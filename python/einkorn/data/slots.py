"""Batches that a process hands over in memory that both see: nothing of an array goes through a pipe.

A slot is memory without a name (``memfd_create``), so that nothing of it can stay behind in a folder, however
its processes end::

    worker   collate -> [ x ......... | y .. ]   slot 0      pickled without its buffers, with their places
                        [ ........... | ..... ]  slot 1  ->  caller: arrays over the slot

The worker makes slots as large as its batches turn out to be and hands them over once; then they are used
again in a ring. An array of the caller's owns a lease on its slot: the slot is free when the last of them,
and of their views, is gone. Who keeps more batches than the ring has slots to spare gets copies.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import tempfile
from collections import deque
from multiprocessing import reduction
from typing import Any, NamedTuple

import numpy as np

from einkorn import engines
from einkorn.errors import DataError

__all__ = ["Packed", "Ring", "Writer"]

_ALIGNED = 64
_IN_LINE = 4096  # bytes of a batch besides its arrays that go through the pipe, whose buffer must not fill


class Packed(NamedTuple):
    """What of a batch goes through the pipe."""

    slot: int
    size: int  # of the slot where it is new, else 0
    tree: bytes | tuple[int, int]  # the batch without its buffers, or where that lies
    places: list[tuple[int, int]]  # offset and size of each buffer


def _up(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _mapped(file: int, size: int) -> np.ndarray:
    return np.frombuffer(mmap.mmap(file, size), np.uint8)


def _nameless(size: int) -> int:
    """The descriptor of so much memory."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("einkorn-batches", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    os.ftruncate(file, size)
    return file


class Writer:
    """A worker's side: gives memory to collate into, and packs what came of it."""

    def __init__(self) -> None:
        self._slots: dict[int, np.ndarray] = {}
        self._slot, self._used = 0, 0
        self._file: int | None = None  # of a slot that the caller has not been given yet

    def begin(self, slot: int) -> None:
        """The next batch goes to this slot."""
        self._slot, self._used = slot, 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of the batch, in the slot where it has room."""
        dtype = np.dtype(dtype)
        size, memory = math.prod(shape) * dtype.itemsize, self._slots.get(self._slot)
        if memory is None or not size or self._used + size > memory.size or dtype.hasobject:
            return np.empty(shape, dtype)
        first, self._used = self._used, _up(self._used + size)
        return memory[first : first + size].view(dtype).reshape(shape)

    def pack(self, batch: Any) -> Packed:
        """Bring what does not lie in the slot there; :meth:`send` follows."""
        found: list[pickle.PickleBuffer] = []
        tree = pickle.dumps(batch, 5, buffer_callback=found.append)
        parts = [np.frombuffer(buffer.raw(), np.uint8) for buffer in found]
        is_long = len(tree) > _IN_LINE
        if is_long:
            parts.append(np.frombuffer(tree, np.uint8))
        memory = self._slots.get(self._slot)
        places = [self._place(part, memory) for part in parts]
        needed = self._used + sum(
            _up(part.size) for part, place in zip(parts, places, strict=True) if place is None
        )
        is_new = needed > (0 if memory is None else memory.size)
        if is_new:
            memory = self._slots[self._slot] = self._grown(needed)
            self._used, places = 0, [None] * len(parts)
        spans = [
            (self._put(part, memory) if place is None else place, part.size)
            for part, place in zip(parts, places, strict=True)
        ]
        inner: Any = spans.pop() if is_long else tree
        return Packed(self._slot, memory.size if is_new and memory is not None else 0, inner, spans)

    def _place(self, one: np.ndarray, memory: np.ndarray | None) -> int | None:
        """Where bytes lie in the slot, if they do."""
        if not one.size:
            return 0
        if memory is None:
            return None
        first = one.ctypes.data - memory.ctypes.data
        return first if 0 <= first < memory.size else None

    def _put(self, one: np.ndarray, memory: np.ndarray | None) -> int:
        assert memory is not None
        first, self._used = self._used, _up(self._used + one.size)
        memory[first : first + one.size] = one
        return first

    def _grown(self, needed: int) -> np.ndarray:
        """A larger slot in the place of this one; with room for batches a bit larger."""
        page = mmap.PAGESIZE
        size = -(-(needed + needed // 8) // page) * page
        self._file = _nameless(size)
        return _mapped(self._file, size)

    def send(self, connection: Any, message: Any) -> None:
        """Send a message, and behind it the descriptor of the slot if that is new."""
        connection.send(message)
        if self._file is not None:
            reduction.send_handle(connection, self._file, None)
            os.close(self._file)
            self._file = None


class _Lease:
    """Owns the memory of a slot for the arrays over it."""

    def __init__(self, ring: Ring, slot: int, memory: np.ndarray) -> None:
        self._ring, self._slot, self._memory = ring, slot, memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        self._ring.free.append(self._slot)


class Ring:
    """The caller's side of a worker's slots.

    Parameters
    ----------
    slots : int

    Attributes
    ----------
    free : deque of int
        Slots that nobody uses.
    """

    def __init__(self, slots: int) -> None:
        self.free = deque(range(slots))
        self._memory: dict[int, np.ndarray] = {}

    def take_over(self, connection: Any, packed: Packed) -> None:
        """Map the slot where it is new: its descriptor comes through the connection behind its batch."""
        if packed.size:
            try:
                file = reduction.recv_handle(connection)
            except RuntimeError as error:  # the kernel had to leave it out
                raise DataError(
                    "DataLoader: a worker's memory could not be taken over: too many files are open"
                ) from error
            try:
                self._memory[packed.slot] = _mapped(file, packed.size)
            finally:
                os.close(file)

    def unpack(self, packed: Packed, spare: bool) -> Any:
        """The batch: over the slot, or a copy where no slot is to spare."""
        memory = self._memory.get(packed.slot)
        tree: Any = packed.tree
        if memory is None:
            self.free.append(packed.slot)
            return pickle.loads(tree, buffers=[bytearray() for _ in packed.places])
        if not isinstance(tree, bytes):
            tree = memory[tree[0] : tree[0] + tree[1]].tobytes()
        if spare and packed.places:
            whole = np.asarray(_Lease(self, packed.slot, memory))
            return pickle.loads(tree, buffers=[whole[first : first + size] for first, size in packed.places])
        try:
            copies = [_copied(memory[first : first + size]) for first, size in packed.places]
        finally:
            self.free.append(packed.slot)
        return pickle.loads(tree, buffers=copies)


def _copied(bytes_: np.ndarray) -> np.ndarray:
    out = engines.cpu().empty(bytes_.shape, bytes_.dtype)
    out[...] = bytes_
    return out
