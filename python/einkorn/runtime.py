"""Threads, instruction sets and output memory of the engine that runs NumPy arrays.

The number of threads belongs to the process and is common to the engines: it is kept when
:func:`einkorn.engines.set_engine` changes from one to the other. Results do not depend on it, bit for bit.
``EINKORN_NUM_THREADS`` sets what a program starts with; without it that is the number of cores in
the process's affinity mask, or fewer where its control group (a container) grants less.
"""

from __future__ import annotations

import operator
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from einkorn import engines
from einkorn._context import Context
from einkorn.errors import ArgumentError, EngineError, ShapeError

__all__ = [
    "cpu_info",
    "empty",
    "get_isa",
    "get_num_threads",
    "isas",
    "num_threads",
    "set_isa",
    "set_num_threads",
    "trace_launches",
]

_MAX_THREADS = 1024

# The blocks of num_threads that run, in the order in which they began, each with the number it restores.
_BLOCKS: list[list[int]] = []
_BLOCKS_LOCK = threading.Lock()


def get_num_threads() -> int:
    """Return how many threads a kernel may use, the calling one included."""
    return int(engines.cpu().get_num_threads())


def set_num_threads(n: int) -> None:
    """Let kernels use at most ``n`` threads, the calling one included.

    Small operations use fewer, since waking a thread takes longer than they do.

    Parameters
    ----------
    n : int
        From 1 to 1024. More threads than cores work, but slower.

    Raises
    ------
    ArgumentError
        When ``n`` is no whole number or outside that range.
    """
    engines.cpu().set_num_threads(_thread_count("set_num_threads", n))


def _thread_count(op: str, n: Any) -> int:
    try:
        threads = operator.index(n)
    except TypeError:
        threads = 0
    if not 1 <= threads <= _MAX_THREADS:
        raise ArgumentError(f"{op}: n is {n!r}, expected a whole number from 1 to {_MAX_THREADS}")
    return threads


class num_threads(Context[None]):  # noqa: N801 - reads as a function
    """Set the number of threads within a ``with`` block, or within a function as its decorator.

    The setting is the process's, so other Python threads see it for as long as the block runs.

    Parameters
    ----------
    n : int
        As for :func:`set_num_threads`.

    Examples
    --------
    >>> import einkorn
    >>> with einkorn.num_threads(1):
    ...     einkorn.get_num_threads()
    1
    """

    def __init__(self, n: int) -> None:
        self._threads = _thread_count("num_threads", n)

    def _enter(self) -> tuple[None, list[int]]:
        with _BLOCKS_LOCK:
            block = [get_num_threads()]
            set_num_threads(self._threads)
            _BLOCKS.append(block)
        return None, block

    def _leave(self, before: list[int]) -> None:
        with _BLOCKS_LOCK:
            place = next(i for i, other in enumerate(_BLOCKS) if other is before)
            del _BLOCKS[place]
            if place == len(_BLOCKS):
                set_num_threads(before[0])
            else:  # a block of another Python thread began after this one, and is now what restores
                _BLOCKS[place][0] = before[0]


def _native(function: str) -> Any:
    """The active engine's module, which has to be the native one."""
    if engines.get_engine() != "native":
        raise EngineError(
            f"{function}: the {engines.get_engine()} engine is active; only the native one has this"
        )
    return engines.cpu()


def isas() -> tuple[str, ...]:
    """Return the instruction sets that kernels were built for and this machine has, slowest first.

    Names are ``"baseline"``, ``"avx2"``, ``"avx512"``, ``"avx512_bf16"`` (the kernels of avx512, and its own
    for bfloat16 and int8), ``"amx"`` (those, and products of bfloat16 and int8 by tiles) and ``"neon"``.
    Where the library was built for tests, ``"amx_in_software"`` has the kernels of ``"amx"`` on processors
    without.

    Raises
    ------
    EngineError
        When the native engine is not the active one.
    """
    return tuple(_native("isas").isas())


def get_isa() -> str:
    """Return the instruction set whose kernels run.

    Raises
    ------
    EngineError
        When the native engine is not the active one.
    """
    return str(_native("get_isa").get_isa())


def set_isa(name: str) -> None:
    """Run the kernels that were built for another instruction set.

    Parameters
    ----------
    name : str
        One of :func:`isas`.

    Raises
    ------
    ArgumentError
        When this machine or this build lacks it.
    EngineError
        When the native engine is not the active one.
    """
    native = _native("set_isa")
    available = isas()
    if name not in available:
        raise ArgumentError(f"set_isa: name is {name!r}, expected one of {', '.join(available)}")
    native.set_isa(name)


def cpu_info() -> dict[str, Any]:
    """Describe the machine and this process's share of it.

    Returns
    -------
    dict
        ``brand`` (str); ``avx2``, ``avx512``, ``avx512_bf16``, ``amx``, ``neon`` (bool: the CPU has it and
        the operating system allows it); ``l1d``, ``l2``, ``l3``, ``memory``, ``usable_memory`` (bytes, 0 when
        unknown); ``usable_cpus``, ``usable_cores`` (hardware threads and physical cores within the
        affinity mask and the control group's limit).

    Raises
    ------
    EngineError
        When the native engine is not the active one.
    """
    return dict(_native("cpu_info").cpu_info())


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a C-contiguous array with undefined contents.

    The native engine takes the memory from its cache (see :mod:`einkorn.memory`), aligned to 64
    bytes. It goes back there when the array and all its views are gone.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : data-type, default float32
        A number type.

    Raises
    ------
    ShapeError
        For a negative size, or sizes whose product is beyond the address space.
    MemoryError
        When the memory limit does not allow it; the message names the sizes.
    """
    try:
        array: NDArray[Any] = engines.cpu().empty(shape, np.dtype(dtype))
    except ValueError as error:
        raise ShapeError(f"{error}") from None
    return array


class trace_launches(Context[list[str]]):  # noqa: N801 - reads as a function
    """Collect the names of the kernels that this thread launches inside a ``with`` block.

    ``as`` binds a list of str: empty inside the block; filled, in order of launch, when it ends.

    Raises
    ------
    EngineError
        When the native engine is not the active one.

    Examples
    --------
    >>> with trace_launches() as launches:
    ...     _ = einkorn.ops.linear(x, w, b, activation="relu")
    >>> launches
    ['matmul']
    """

    def _enter(self) -> tuple[list[str], Any]:
        native = _native("trace_launches")
        launches: list[str] = []
        _collect(native)
        _traces.running.append(launches)
        native.start_trace()
        return launches, (native, launches)

    def _leave(self, before: Any) -> None:
        native, launches = before
        _collect(native)
        running = _traces.running
        running[:] = [trace for trace in running if trace is not launches]
        if running:
            native.start_trace()


class _Traces(threading.local):
    """The lists of the blocks this thread is in; the engine itself traces for one."""

    def __init__(self) -> None:
        self.running: list[list[str]] = []


_traces = _Traces()


def _collect(native: Any) -> None:
    """End the engine's trace and give what it has to every block."""
    if _traces.running:
        launched = native.stop_trace()
        for trace in _traces.running:
            trace.extend(launched)
