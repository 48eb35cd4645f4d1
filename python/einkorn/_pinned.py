"""Pinned memory of the CPU, from which a GPU copies beside its arithmetic, and batches sent a step ahead."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["ahead", "is_pinned", "pinned", "send"]

#: Events of copies that go on, and what these read.
_going: list[tuple[Any, np.ndarray]] = []


def _cupy() -> Any:
    """CuPy where there is a GPU, else None."""
    if importlib.util.find_spec("cupy") is None:
        return None
    from einkorn import cuda

    return importlib.import_module("cupy") if cuda.is_available() else None


def _empty(cupy: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    size = math.prod(shape)
    memory = cupy.cuda.alloc_pinned_memory(max(size * dtype.itemsize, 1))
    return np.frombuffer(memory, dtype, size).reshape(shape)


def is_pinned(array: Any) -> bool:
    """Whether an array lies in memory that :func:`pinned` gave."""
    while isinstance(array, np.ndarray):
        array = array.base
    owner = array.obj if isinstance(array, memoryview) else array
    return type(owner).__name__ == "PinnedMemoryPointer"


def pinned(array: Any) -> Any:
    """The numbers of an array in pinned memory; itself where it is, on a GPU, and where there is none."""
    if not isinstance(array, np.ndarray) or is_pinned(array) or array.dtype.hasobject:
        return array
    cupy = _cupy()
    if cupy is None:
        return array
    out = _empty(cupy, array.shape, array.dtype)
    out[...] = array
    return out


def send(array: np.ndarray, waits: bool) -> Any:
    """A copy on the current GPU of an array of pinned memory, made in the order of the current stream.

    Unless it ``waits``, the caller goes on at once and must not write to the array before the copy is done;
    that the array is let go of does no harm.
    """
    cupy = sys.modules["cupy"]
    stream = cupy.cuda.get_current_stream()
    out = cupy.empty(array.shape, array.dtype)
    out.set(array, stream=stream)
    event = cupy.cuda.Event(disable_timing=True)
    event.record(stream)
    _going[:] = [(e, a) for e, a in _going if not e.done]
    if waits:
        event.synchronize()
    else:
        _going.append((event, array))
    return out


class _Sender:
    """Copies arrays to a GPU on a stream of its own, from pinned memory that is used again and again."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.free: list[tuple[Any, np.ndarray]] = []  # memory, after the event of its last copy

    def _memory(self, array: np.ndarray) -> np.ndarray:
        """Pinned memory that no copy reads any more."""
        for i, (event, memory) in enumerate(self.free):
            if memory.nbytes >= array.nbytes and event.done:
                return self.free.pop(i)[1]
        return _empty(self.cupy, (max(array.nbytes, 1),), np.dtype(np.uint8))

    def __call__(self, array: np.ndarray) -> tuple[Any, Any]:
        """The array's copy, and the event after which it may be read."""
        cuda = self.cupy.cuda
        # The new array may lie where one was that kernels still read: the copy comes after those.
        out = self.cupy.empty(array.shape, array.dtype)
        before = cuda.Event(disable_timing=True)
        before.record(cuda.get_current_stream())
        self.stream.wait_event(before)
        memory = self._memory(array)
        part = memory[: array.nbytes].view(array.dtype).reshape(array.shape)
        part[...] = array
        out.set(part, stream=self.stream)
        event = cuda.Event(disable_timing=True)
        event.record(self.stream)
        self.free.append((event, memory))
        return out, event


def ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches (inputs, target, weight), their inputs on a GPU, each sent there during the step before.

    The copy of a batch is asked for before the step of the one before it begins, so that it goes on beside
    that step; the kernels that read it wait for it. Targets and weights stay: the figures are the CPU's.
    """
    cupy = sys.modules["cupy"]
    sender = _Sender(cupy)

    def sent(batch: Any) -> tuple[Any, list[Any]]:
        inputs, target, weight = batch
        if not all(isinstance(a, np.ndarray) and not a.dtype.hasobject for a in inputs):
            return batch, []
        pairs = [sender(a) for a in inputs]
        moved = _like(inputs, [out for out, _ in pairs])
        return (moved, target, weight), [event for _, event in pairs]

    waiting = None
    for batch in batches:
        following = sent(batch)
        if waiting is not None:
            yield _received(cupy, *waiting)
        waiting = following
    if waiting is not None:
        yield _received(cupy, *waiting)


def _received(cupy: Any, batch: Any, events: list[Any]) -> Any:
    for event in events:
        cupy.cuda.get_current_stream().wait_event(event)
    return batch


def _like(inputs: Any, arrays: list[Any]) -> Any:
    """A tuple of inputs of the same class, with its names where it has some."""
    made = type(inputs)(arrays)
    if hasattr(inputs, "names"):
        made.names = inputs.names
    return made
