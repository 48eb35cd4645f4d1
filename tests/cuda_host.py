"""The host device as an engine: the CUDA kernels on NumPy arrays, every access checked."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from einkorn import _cuda_host
from einkorn.errors import EngineError


def empty(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array in the device's memory, poisoned."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    memory = _cuda_host.empty(math.prod(sizes) * dtype.itemsize, dtype.itemsize)
    return memory.view(dtype).reshape(sizes)


def first_unwritten(a: np.ndarray) -> int:
    """Number of the first element that nothing has written, or -1."""
    byte = _cuda_host.first_unwritten(a.ctypes.data, a.nbytes) if a.flags.c_contiguous else -1
    return byte if byte < 0 else byte // a.itemsize


def _arrays(args: Any) -> Iterator[np.ndarray]:
    for a in args:
        if isinstance(a, np.ndarray):
            yield a
        elif isinstance(a, (list, tuple)):
            yield from _arrays(a)


def _tracked(call: Callable[..., Any]) -> Callable[..., Any]:
    """Let the kernel use the call's other arrays too, each up to its last element and no further."""

    @functools.wraps(call)
    def checked(*args: Any) -> Any:
        extents: dict[int, tuple[int, int]] = {}
        for a in _arrays(args):
            low, high = np.lib.array_utils.byte_bounds(a)
            if a.size and not _cuda_host.is_tracked(a.ctypes.data):
                bytes_, item = extents.get(low, (0, 8))
                extents[low] = max(bytes_, high - low), min(item, a.itemsize)
        whole: list[list[int]] = []  # views of one array that overlap are one stretch of memory
        for low, (bytes_, item) in sorted(extents.items()):
            if whole and low < whole[-1][0] + whole[-1][1]:
                first, until, least = whole[-1]
                whole[-1] = [first, max(until, low + bytes_ - first), min(least, item)]
            else:
                whole.append([low, bytes_, item])
        for stretch in whole:
            _cuda_host.track(*stretch)
        try:
            return call(*args)
        finally:
            for low, _, _ in whole:
                _cuda_host.untrack(low)

    return checked


@functools.cache
def _takes_bfloat16() -> frozenset[str]:
    return frozenset(name for name, types in _cuda_host.kernels().items() if "bfloat16" in types)


class Engine:
    """Looks like a module of ``einkorn.engines``; threads are those of the engine it stands in for."""

    def __init__(self, instead_of: Any) -> None:
        self.get_num_threads = instead_of.get_num_threads
        self.set_num_threads = instead_of.set_num_threads
        self.empty = empty
        self.quick = lambda kernel, *operands: None
        self.takes_bfloat16 = _takes_bfloat16

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(_cuda_host, name, None)
        if kernel is None:
            raise EngineError(f"{name}: not on the CUDA engine")
        setattr(self, name, _tracked(kernel))
        return self.__dict__[name]


def install(monkeypatch: Any) -> None:
    """Run NumPy arrays on the host device until the test ends."""
    engines = importlib.import_module("einkorn.engines")
    monkeypatch.setattr(engines, "_cpu", Engine(engines.cpu()))
