"""Timing two things fairly in one process.

What is compared takes turns, so that a change of the machine's mood meets both. Thread pools keep spinning
for a while after their last task, on the cores that the other side is about to use: before each turn the
process waits until its threads are asleep, and then runs the call untimed for two milliseconds, which wakes
its own pool and brings its data back into the caches. Calls of a few microseconds are timed many at a time;
calls of a tenth of a second and more gain nothing from being warmed and are not.

Other programs disturb, and not all sides alike: a thread that waits for its core stretches a parallel call by
a time slice of milliseconds, and an OpenMP barrier waits for the last of them. Linux counts those waits, so
disturbed turns are known and left out. Where too few remain, the whole is measured again by
:func:`einkorn.bench.measure_row` when the machine is calm, or not shown.
"""

from __future__ import annotations

import contextlib
import gc
import glob
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COUNTS_WAITS", "Call", "Timing", "calls_per_turn", "interleave", "settle", "steady", "warm"]

Call = Callable[[], object]

#: Whether this system tells how long threads waited for a core.
COUNTS_WAITS = Path("/proc/self/schedstat").exists()

_LEAST_TURN = 200e-6  # seconds that one timed turn should take
_WARM = 2e-3  # seconds of untimed calls before it
_LONG = 0.1  # seconds from which a call is not warmed before each turn
_LEAST_TURNS = 5
_FEW_TURNS = 3  # suffice where one turn of every call takes longer than _SLOW seconds
_SLOW = 2.0
_MOST_SECONDS = 10.0  # for the turns of one row, where it has any at all
_ONCE = 5.0  # seconds from which a call is not made again: its first time is its figure
_MOST_TURNS = 300
_WAIT = 200e-6  # seconds that threads may wait for a core in an undisturbed turn: their wake-up,
_WAIT_SHARE = 0.02  # and this much of its duration


@dataclass(frozen=True)
class Timing:
    """Durations of one call in seconds: its turns, their median and their quartiles.

    Attributes
    ----------
    turns : tuple of float
        The undisturbed ones, or all where those are too few.
    disturbed : bool
        Whether other programs took the cores in these turns, so that they say little.
    """

    turns: tuple[float, ...]
    disturbed: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.turns)

    @property
    def spread(self) -> float:
        """Distance of the quartiles, as a fraction of the median; 0 of a single turn."""
        if len(self.turns) < 2:
            return 0.0
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
    return max(1, round(_LEAST_TURN / _duration(call)))


def _duration(call: Call) -> float:
    """Seconds of a call after its first time, which may compile things: the least of three if short.

    A call that takes very long the first time is not made again.
    """
    cold = _seconds(call)
    if cold >= _ONCE:
        return cold
    first = _seconds(call)
    return first if first >= _LONG else min(first, _seconds(call), _seconds(call))


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def warm(call: Call) -> None:
    """Wake the call's threads and refill the caches, at least one call long."""
    end = time.perf_counter() + _WARM
    call()
    while time.perf_counter() < end:
        call()


def _waiting() -> float:
    """Seconds that this process's threads have waited for a core so far; 0 where nobody counts."""
    total = 0
    for file in glob.glob("/proc/self/task/*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # among others: the thread has ended
            total += int(Path(file).read_text().split()[1])
    return total * 1e-9


def _turn(call: Call, count: int, is_long: bool) -> tuple[float, bool]:
    """Duration of one call, and whether it was undisturbed."""
    settle()
    waiting = _waiting()
    if not is_long:
        warm(call)
    start = time.perf_counter()
    for _ in range(count):
        call()
    duration = time.perf_counter() - start
    settle()  # a thread that came too late to help is counted when it has had its core
    return duration / count, _waiting() - waiting < _WAIT + _WAIT_SHARE * duration


def interleave(calls: Sequence[Call], seconds: float, beside_others: bool = False) -> list[Timing]:
    """Time calls by turns for about ``seconds`` seconds.

    Parameters
    ----------
    calls : sequence of callable
    seconds : float
        For all of them together. At least five turns are taken of each, three where a turn of them all takes
        seconds, fewer where those would take longer than ten; on a busy machine it may take twice as long to
        have as many that were undisturbed. Of a call that takes longer than five seconds, its first is all.
    beside_others : bool
        Take every turn: other programs are part of what is measured.

    Returns
    -------
    list of Timing
        One per call.
    """
    durations = [_duration(call) for call in calls]
    counts = [max(1, round(_LEAST_TURN / duration)) for duration in durations]
    turns: list[list[tuple[float, bool]]] = [[(d, True)] if d >= _ONCE else [] for d in durations]
    order = [i for i, known in enumerate(turns) if not known]
    once = sum(durations[i] for i in order)  # a turn of all that are timed
    least = _LEAST_TURNS if once <= _SLOW else max(1, min(_FEW_TURNS, int(_MOST_SECONDS / once)))
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for taken in range(_MOST_TURNS if order else 0):
            elapsed = time.perf_counter() - start
            enough = beside_others or min(sum(calm for _, calm in turns[i]) for i in order) >= least
            if taken >= least and elapsed >= (seconds if enough else 2 * seconds):
                break
            for i in order:
                turns[i].append(_turn(calls[i], counts[i], durations[i] >= _LONG))
            order.reverse()
    finally:
        if collecting:
            gc.enable()
    if beside_others:
        return [Timing(tuple(duration for duration, _ in each)) for each in turns]
    return [_summary(each, least if i in order else 1) for i, each in enumerate(turns)]


def steady(call: Call, seconds: float) -> Timing:
    """Time a call that has the process to itself: one turn after the other, nothing between them."""
    count = calls_per_turn(call)
    warm(call)
    turns: list[tuple[float, bool]] = []
    end = time.perf_counter() + seconds
    while len(turns) < _FEW_TURNS or (time.perf_counter() < end and len(turns) < _MOST_TURNS):
        waiting, start = _waiting(), time.perf_counter()
        for _ in range(count):
            call()
        duration = time.perf_counter() - start
        turns.append((duration / count, _waiting() - waiting < _WAIT + _WAIT_SHARE * duration))
    return _summary(turns, _FEW_TURNS)


def _summary(turns: list[tuple[float, bool]], least: int) -> Timing:
    calm = tuple(duration for duration, undisturbed in turns if undisturbed)
    if len(calm) >= least:
        return Timing(calm)
    return Timing(tuple(duration for duration, _ in turns), disturbed=True)
