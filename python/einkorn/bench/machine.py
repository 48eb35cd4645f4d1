"""The machine's limits, measured now: multiply-adds per second, and bytes per second by size."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from einkorn import engines, runtime
from einkorn.bench.timing import Call, interleave, warm

__all__ = ["Machine", "measure_machine", "share_of_processors"]

_FLOPS_PER_ITERATION = 2 * 768  # of fma_peak, see csrc/kernels/machine.h
_SIZES = tuple(1 << p for p in (18, 20, 22, 23, 24, 25, 26, 28))  # bytes read plus written


@dataclass(frozen=True)
class Machine:
    """What the kernels are measured against.

    Attributes
    ----------
    flops : float
        Multiply-adds, counted twice, per second of all threads together, in float32.
    bandwidth : dict of int to float
        Bytes per second, read plus written, for working sets of so many bytes.
    threads : int
    mode : str
        The engine, and the native engine's instruction set.
    how : str
        What was measured.
    share : float
        How much of the threads' time the machine gave them: below 1 other programs are running.
    """

    flops: float
    bandwidth: dict[int, float]
    threads: int
    mode: str
    how: str
    share: float

    def bandwidth_at(self, working_set: float) -> float:
        """Bytes per second for a working set, from the nearest size that was measured."""
        distance = {size: abs(math.log(size / max(working_set, 1))) for size in self.bandwidth}
        return self.bandwidth[min(distance, key=distance.__getitem__)]

    def least_seconds(self, flops: float, traffic: float) -> float:
        """The roofline: the time that arithmetic or memory needs, whichever is longer."""
        return max(flops / self.flops, traffic / self.bandwidth_at(traffic))


def measure_machine(quick: bool = False) -> Machine:
    """Measure the limits with the threads, engine and instruction set in use.

    The native engine measures with kernels of its own. Numba has none for this: there a large matrix
    product and NumPy's copy stand in, on as many threads as they please.
    """
    seconds = 0.1 if quick else 0.3
    threads = runtime.get_num_threads()
    peak, work = _peak()
    if engines.get_engine() == "native":
        mode = f"native {runtime.get_isa()}"
        how = "chains of multiply-adds in registers; a copy, an update in place"
    else:
        mode = engines.get_engine()
        how = "NumPy: a matrix product of 1024 x 1024; a copy, an update in place"
    (timing,) = interleave([peak], seconds)
    bandwidth = {size: _bandwidth(size, seconds) for size in _SIZES}
    return Machine(work / min(timing.turns), bandwidth, threads, mode, how, share_of_processors())


def _peak() -> tuple[Call, float]:
    """A call that does nothing but multiply-adds, as far as the engine has one, and how many FLOPs."""
    return _fma_peak() if engines.get_engine() == "native" else _product_peak()


def _fma_peak() -> tuple[Call, float]:
    engine = engines.cpu()
    tasks, iterations = 64, 20_000
    out = engine.empty((tasks,), np.dtype(np.float32))
    return lambda: engine.fma_peak(out, iterations), tasks * iterations * _FLOPS_PER_ITERATION


def _product_peak() -> tuple[Call, float]:
    n = 1024
    a = np.full((n, n), 0.5, np.float32)
    out = np.empty_like(a)
    return lambda: np.dot(a, a, out=out), 2 * n**3


def share_of_processors(seconds: float = 0.1) -> float:
    """Processor time that busy threads got, over the time that passed: 1 on a calm machine."""
    call, _ = _peak()
    warm(call)
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() < wall + seconds:
        call()
    return (time.process_time() - cpu) / (time.perf_counter() - wall) / runtime.get_num_threads()


def _bandwidth(size: int, seconds: float) -> float:
    """The faster of a copy, half of ``size`` to the other half, and an update of all of it in place."""
    engine = engines.cpu()
    data = engine.empty((size // 4,), np.dtype(np.float32))
    data.fill(1.0)
    half = data.size // 2
    x, out = data[:half], data[half:]
    if engines.get_engine() == "native":
        calls = [lambda: engine.memory_stream(out, x), lambda: engine.memory_stream(data, data)]
    else:
        calls = [lambda: np.copyto(out, x), lambda: np.negative(data, out=data)]
    copied, updated = interleave(calls, seconds / 2)
    return max(size / min(copied.turns), 2 * size / min(updated.turns))
