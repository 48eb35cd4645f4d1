"""Timing two things fairly in one process.

What is compared takes turns, so that a change of the machine's mood meets both. Thread pools keep spinning
for a while after their last task, on the cores that the other side is about to use: before each turn the
process waits until its threads are asleep, and then runs the call untimed for two milliseconds, which wakes
its own pool and brings its data back into the caches. Calls of a few microseconds are timed many at a time.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Call", "Timing", "calls_per_turn", "interleave", "settle", "warm"]

Call = Callable[[], object]

_LEAST_TURN = 200e-6  # seconds that one timed turn should take
_WARM = 2e-3  # seconds of untimed calls before it
_LEAST_TURNS = 5
_MOST_TURNS = 300


@dataclass(frozen=True)
class Timing:
    """Durations of one call in seconds: all turns, their median and their quartiles."""

    turns: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.turns)

    @property
    def spread(self) -> float:
        """Distance of the quartiles, as a fraction of the median."""
        low, _, high = statistics.quantiles(self.turns, n=4)
        return (high - low) / self.median


def settle(limit: float = 0.05) -> None:
    """Wait until the process's other threads are asleep, at most ``limit`` seconds."""
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(0.0005)
        if time.process_time() - cpu < 0.3 * (time.perf_counter() - wall):
            return


def calls_per_turn(call: Call) -> int:
    """Warm a call up and tell how many make a turn that the clock resolves well."""
    call()
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return max(1, round(_LEAST_TURN / best))


def warm(call: Call) -> None:
    """Wake the call's threads and refill the caches, at least one call long."""
    end = time.perf_counter() + _WARM
    call()
    while time.perf_counter() < end:
        call()


def _turn(call: Call, count: int) -> float:
    settle()
    warm(call)
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def interleave(calls: Sequence[Call], seconds: float) -> list[Timing]:
    """Time calls by turns for about ``seconds`` seconds.

    Parameters
    ----------
    calls : sequence of callable
    seconds : float
        For all of them together. At least five turns are taken of each.

    Returns
    -------
    list of Timing
        One per call.
    """
    counts = [calls_per_turn(call) for call in calls]
    turns: list[list[float]] = [[] for _ in calls]
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        order = list(range(len(calls)))
        while len(turns[0]) < _MOST_TURNS:
            if len(turns[0]) >= _LEAST_TURNS and time.perf_counter() >= end:
                break
            for i in order:
                turns[i].append(_turn(calls[i], counts[i]))
            order.reverse()
    finally:
        if collecting:
            gc.enable()
    return [Timing(tuple(t)) for t in turns]
