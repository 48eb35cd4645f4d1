"""Batches made by processes or threads beside the training.

Batch number i is made by worker i modulo their number, and batches come in their order: what a worker draws
at random depends on its seed and not on how fast it is. An error in a worker is raised in the caller, and a
worker that dies is told of; both leave the loader usable. Ctrl-C reaches the caller alone.
"""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.connection
import os
import random as _random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np

from einkorn import random
from einkorn.errors import DataError

__all__ = ["Pool", "WorkerInfo", "get_worker_info"]


class WorkerInfo(NamedTuple):
    """Which worker this is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Place(threading.local):
    """What a worker works with: of this process, or of this thread."""

    info: WorkerInfo | None = None
    collate: Callable[..., Any] | None = None
    rows: Iterator[Any] | None = None


_place = _Place()


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a ``DataLoader`` its number, their number, its seed and its dataset; elsewhere None."""
    return _place.info


def _begin(info: WorkerInfo, collate: Any, init: Any, process: bool) -> None:
    """The first thing that a worker does."""
    _place.info, _place.collate, _place.rows = info, collate, None
    if process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's business
        threading.Thread(target=_leave_with_the_caller, name="einkorn-loader-watch", daemon=True).start()
        np.random.seed(info.seed % 2**32)
        _random.seed(info.seed)
        random.manual_seed(info.seed)
    if init is not None:
        init(info.id)


def _leave_with_the_caller() -> None:
    """End this worker when the process that reads from it is gone, killed perhaps: nobody else would."""
    caller = multiprocessing.parent_process()
    if caller is not None:
        multiprocessing.connection.wait([caller.sentinel])
        os._exit(1)


def _make(rows: Any) -> Any:
    """A batch of the rows of these numbers."""
    info, collate = _place.info, _place.collate
    assert info is not None
    assert collate is not None
    return collate([info.dataset[row] for row in rows], rows)


def _next(count: int, drop_last: bool) -> Any:
    """A batch of the next rows of this worker's share, or None at its end."""
    info, collate = _place.info, _place.collate
    assert info is not None
    assert collate is not None
    if _place.rows is None:
        _place.rows = iter(info.dataset)
    rows = list(itertools.islice(_place.rows, count))
    if not rows or (drop_last and len(rows) < count):
        return None
    return collate(rows, range(len(rows)))


class Pool:
    """Workers for one pass.

    Parameters
    ----------
    dataset : object
    workers : int
    seed : int
        Of the first worker; the others have the next numbers.
    collate : callable(rows, numbers)
    init : callable(int), optional
        Called first in each worker, with its number.
    threads : bool
        Threads of this process instead of processes.
    prefetch : int
        Batches that each worker makes in advance.
    timeout : float
        Seconds to wait for a batch; 0 without end.
    context : str or multiprocessing context, optional
    """

    def __init__(
        self, dataset: Any, workers: int, seed: int, collate: Any, init: Any,
        threads: bool, prefetch: int, timeout: float, context: Any,
    ) -> None:  # fmt: skip
        self._timeout = timeout or None
        self._ahead = prefetch
        self._threads = threads
        self._executors: list[Executor] = []
        if isinstance(context, str) or context is None:
            context = multiprocessing.get_context(context or ("fork" if hasattr(os, "fork") else None))
        for number in range(workers):
            first = (WorkerInfo(number, workers, seed + number, dataset), collate, init, not threads)
            if threads:
                self._executors.append(ThreadPoolExecutor(1, f"einkorn-loader-{number}", _begin, first))
            else:
                self._executors.append(ProcessPoolExecutor(1, context, _begin, first))

    def batches(self, numbers: Iterator[list[int]]) -> Iterator[Any]:
        """Batches of the rows of these numbers."""
        waiting: deque[Future[Any]] = deque()
        turns = itertools.cycle(range(len(self._executors)))
        try:
            for rows in numbers:
                waiting.append(self._submit(next(turns), _make, rows))
                if len(waiting) >= self._ahead * len(self._executors):
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            self.close()

    def shares(self, count: int, drop_last: bool) -> Iterator[Any]:
        """Batches of an iterable dataset, of the workers' shares by turns, until all are at their ends."""
        waiting: dict[int, deque[Future[Any]]] = {}
        try:
            for number in range(len(self._executors)):
                waiting[number] = deque(
                    self._submit(number, _next, count, drop_last) for _ in range(self._ahead)
                )
            while waiting:
                for number in list(waiting):
                    batch = self._result(waiting[number].popleft())
                    if batch is None:
                        del waiting[number]
                        continue
                    waiting[number].append(self._submit(number, _next, count, drop_last))
                    yield batch
        finally:
            self.close()

    def _submit(self, number: int, function: Any, *arguments: Any) -> Future[Any]:
        # A process that starts here must not hear Ctrl-C before it has said that it does not want to.
        masks = not self._threads and hasattr(signal, "pthread_sigmask")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else None
        try:
            return self._executors[number].submit(function, *arguments)
        except BrokenProcessPool as error:
            raise self._died(error) from error
        finally:
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result(self._timeout)
        except BrokenProcessPool as error:
            raise self._died(error) from error
        except FutureTimeoutError as error:
            if future.done():  # the worker's own error
                raise
            self._kill()
            raise DataError(
                f"DataLoader: a worker gave no batch in {self._timeout:g} seconds: its dataset hangs, "
                "or timeout "
                "is too short"
            ) from error

    def _died(self, error: Exception) -> DataError:
        return DataError(
            "DataLoader: a worker process died, by a signal (out of memory?), by os._exit, or because "
            f"worker_init_fn raised an error ({error}); num_workers=0 shows what happens there"
        )

    def _kill(self) -> None:
        for executor in self._executors:
            for process in list((getattr(executor, "_processes", None) or {}).values()):
                process.kill()

    def close(self) -> None:
        """Let the workers go; what they have begun is not waited for."""
        for executor in self._executors:
            executor.shutdown(wait=False, cancel_futures=True)
        self._executors = []
