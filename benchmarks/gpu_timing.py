"""Rows of the card's table: what is measured, and how it is timed. See gpu_measure.py."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cupy
import torch

MB = 1 << 20
DRY = "--dry-run" in sys.argv  # without a card (gpu_dry.py): everything small, PyTorch on the CPU
DEVICE, MOST, RUNS, LEAST = ("cpu", 8, 1, 0.0) if DRY else ("cuda", 1 << 40, 5, 0.02)


def small(n: int) -> int:
    """A size, or what a dry run makes of it."""
    return min(n, MOST)


LARGE = small(256 * MB // 4)  # float32 elements of 256 MB


@dataclass
class Row:
    """What is measured: both calls, and what they cost."""

    name: str
    call: Callable[[], Any]
    peer: Callable[[], Any] | None
    bytes_moved: float = 0.0
    flops: float = 0.0
    group: str = ""  # of rows whose geometric mean is told
    once: bool = False  # seconds long: one call by the clock, after one that is not timed


def seconds(call: Callable[[], Any], least: float = LEAST) -> float:
    """Time of one call on the device, without the host's share where that is the smaller one."""
    call()
    torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    torch.cuda.synchronize()
    calls = max(1, min(200, int(least / max(time.perf_counter() - started, 1e-7))))
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3 / calls


def seconds_once(call: Callable[[], Any] | None) -> float:
    """Time of one whole call by the clock, after another."""
    if call is None:
        return float("nan")
    call()
    torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def median_seconds(calls: list[Callable[[], Any] | None], runs: int = RUNS) -> list[float]:
    """Medians of calls that take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for taken, call in zip(times, calls, strict=True):
            if call is not None:
                taken.append(seconds(call))
    return [statistics.median(taken) if taken else float("nan") for taken in times]


def normal(*shape: int, whole: bool = False) -> tuple[Any, Any]:
    """The same numbers for both: a CuPy array, and a torch tensor over its memory. whole: sizes stay."""
    tensor = torch.randn(*(n if whole else small(n) for n in shape), device=DEVICE)
    return cupy.from_dlpack(tensor), tensor


def bound(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """A call with these arguments."""
    return lambda: function(*args)
