"""Loops on several threads: a few Python threads of our own call compiled loops without the GIL.

Why not Numba's `prange`? Its threading layer is chosen once for the whole process, and each choice
can bring the process down: "workqueue" aborts when two Python threads launch at the same time (a
lock here would not know of launches by other libraries), "omp" on GNU's OpenMP aborts in children
of a fork, and "tbb" is an extra package. A loop with `prange` also takes three times as long to
compile. The price is a slower start, some 50 us instead of 5, hence tasks of at least 100 us.

The bounds of the tasks follow from the problem's size, never from the number of threads; which
thread runs a task is decided as they become free. The calling thread takes tasks as well, and gets
done without any worker: in a process that may start no threads, while the interpreter shuts down,
with several calls at once.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from ...errors import ArgumentError

__all__ = ["get_num_threads", "parallel_for", "set_num_threads"]

_TASK_NS = 100_000
_MAX_TASKS = 64
_MAX_THREADS = 1024


class _Job:
    """One parallel_for: tasks `body(start, stop)` that threads take until none is left."""

    def __init__(self, body: Callable[[int, int], None], count: int, step: int) -> None:
        self.body = body
        self.count = count
        self.step = step
        self.next = 0
        self.running = 0
        self.error: BaseException | None = None
        self.changed = threading.Condition(threading.Lock())

    def work(self) -> None:
        while True:
            with self.changed:
                start = self.next
                if start >= self.count:
                    return
                self.next = min(start + self.step, self.count)
                self.running += 1
            error = None
            try:
                self.body(start, min(start + self.step, self.count))
            except BaseException as raised:  # finish() hands it on
                error = raised
            with self.changed:
                self.running -= 1
                if error is not None:
                    self.error = error
                    self.next = self.count
                if self.running == 0:
                    self.changed.notify_all()

    def finish(self) -> None:
        """Wait for the tasks that other threads took, and raise what any of them raised."""
        with self.changed:
            while self.running:
                self.changed.wait()
        if self.error is not None:
            raise self.error


class _Workers:
    """Threads that wait for jobs, as daemons: they never keep the interpreter from exiting."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.count = 0
        self.lock = threading.Lock()

    def help(self, job: _Job, wanted: int) -> None:
        """Tell up to `wanted` threads of the job, starting them if need be."""
        with self.lock:
            while self.count < wanted:
                try:
                    threading.Thread(target=self._serve, name="einkorn", daemon=True).start()
                except RuntimeError:  # no more threads are to be had
                    break
                self.count += 1
        for _ in range(min(wanted, self.count)):
            self.jobs.put(job)

    def _serve(self) -> None:
        while True:
            self.jobs.get().work()


def _granted_cores() -> int:
    """CPU time per time that the process's control group (version 2) grants; 0 if it is unlimited."""
    try:
        with open("/proc/self/cgroup") as groups:
            group = next(line for line in groups if line.startswith("0::"))[3:].strip()
        with open(f"/sys/fs/cgroup{group}/cpu.max") as limit:
            quota, period = limit.read().split()
        return 0 if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, StopIteration, ValueError):
        return 0


def _default_num_threads() -> int:
    asked = os.environ.get("EINKORN_NUM_THREADS", "")
    if asked:
        if not (asked.isdecimal() and 1 <= int(asked) <= _MAX_THREADS):
            raise ArgumentError(
                f"EINKORN_NUM_THREADS is {asked!r}, expected a whole number from 1 to {_MAX_THREADS}"
            )
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _granted_cores() or cores))


_num_threads = _default_num_threads()
_workers = _Workers()


def _forget_workers() -> None:
    global _workers
    _workers = _Workers()


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_forget_workers)


def get_num_threads() -> int:
    """How many threads a kernel of this engine may use."""
    return _num_threads


def set_num_threads(n: int) -> None:
    """Let kernels of this engine use at most `n` threads, the caller included.

    Results do not depend on it. Matrix products are NumPy's, whose threads are its BLAS library's.
    """
    global _num_threads
    if not 1 <= n <= _MAX_THREADS:
        raise ArgumentError(f"number of threads is {n}, expected a whole number from 1 to {_MAX_THREADS}")
    _num_threads = int(n)


def parallel_for(count: int, cost: float, body: Callable[[int, int], None], grain: int = 1) -> None:
    """Call `body(start, stop)` for slices that cover [0, count), on several threads if that pays.

    Parameters
    ----------
    count : int
    cost : float
        Nanoseconds that one index takes on one core, roughly.
    body : function
        Must not raise for good input, and must not call parallel_for.
    grain : int, default 1
        Slices begin at multiples of it, so that loops along the split axis always see whole vectors
        but for the very end.
    """
    step = max(-(-count // _MAX_TASKS), int(_TASK_NS / cost), 1)
    step = -(-step // grain) * grain
    tasks = -(-count // step)
    if min(tasks, _num_threads) <= 1:
        for start in range(0, count, step):
            body(start, min(start + step, count))
        return
    job = _Job(body, count, step)
    _workers.help(job, min(tasks, _num_threads) - 1)
    job.work()
    job.finish()
