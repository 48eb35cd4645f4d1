"""Batches made by processes or threads beside the training.

Batch number i is made by worker i modulo their number, and batches come in their order: what a worker draws
at random depends on its seed and not on how fast it is. An error in a worker is raised in the caller, and a
worker that dies is told of; both leave the loader usable. Ctrl-C reaches the caller alone.
"""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, NamedTuple

from einkorn.data.making import Maker
from einkorn.errors import DataError

__all__ = ["Pool", "Threads", "WorkerInfo", "get_worker_info", "hangs"]


class WorkerInfo(NamedTuple):
    """Which worker this is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class Place(threading.local):
    """What a worker works with: of this process, or of this thread."""

    info: WorkerInfo | None = None
    maker: Maker | None = None
    rows: Iterator[Any] | None = None

    def begin(self, seed: int, epoch: int, key: int | None) -> None:
        """A pass begins."""
        assert self.info is not None
        assert self.maker is not None
        self.info, self.rows = self.info._replace(seed=seed), None
        self.maker.epoch, self.maker.key = epoch, key

    def make(self, rows: Any, empty: Any = None) -> Any:
        """A batch of the rows of these numbers."""
        assert self.maker is not None
        return self.maker(rows, empty)

    def next(self, count: int, drop_last: bool, empty: Any = None) -> Any:
        """A batch of the next rows of this worker's share, or None at its end."""
        assert self.info is not None
        assert self.maker is not None
        if self.rows is None:
            self.rows = iter(self.info.dataset)
        rows = list(itertools.islice(self.rows, count))
        if not rows or (drop_last and len(rows) < count):
            return None
        return self.maker.of(rows, range(len(rows)), empty)


place = Place()


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a ``DataLoader`` its number, their number, its seed and its dataset; elsewhere None."""
    return place.info


def hangs(timeout: float) -> DataError:
    """What is said of a worker that gives nothing."""
    return DataError(
        f"DataLoader: a worker gave no batch in {timeout:g} seconds: its dataset hangs, or timeout is too "
        "short"
    )


class Pool(ABC):
    """Workers, for one pass or for several.

    Parameters
    ----------
    workers : int
    prefetch : int
        Batches that each worker makes in advance.
    timeout : float
        Seconds to wait for a batch; 0 without end.
    """

    def __init__(self, workers: int, prefetch: int, timeout: float) -> None:
        self.workers, self.prefetch, self.timeout = workers, prefetch, timeout or None
        self.is_busy = False  # in a pass
        self.is_whole = True  # fit for another one

    @abstractmethod
    def begin(self, seed: int, epoch: int) -> None:
        """Begin a pass: the first worker draws by this seed, the others by the next numbers."""

    @abstractmethod
    def submit(self, worker: int, task: str, *arguments: Any) -> None:
        """Ask a worker for a batch: "make" rows of these numbers, or what comes "next"."""

    @abstractmethod
    def result(self, worker: int) -> Any:
        """The first batch of those that a worker was asked for; None at the end of its share."""

    def is_alive(self) -> bool:
        """Whether no worker has died."""
        return True

    def is_fit(self) -> bool:
        """Whether another pass can begin."""
        return self.is_whole and not self.is_busy and self.is_alive()

    @abstractmethod
    def close(self) -> None:
        """Let the workers go; what they have begun is not waited for."""

    def batches(self, numbers: Iterator[list[int]], seed: int, epoch: int) -> Iterator[Any]:
        """Batches of the rows of these numbers."""
        with _Pass(self, seed, epoch):
            asked, given = itertools.count(), itertools.count()
            waiting = 0
            for rows in numbers:
                self.submit(next(asked) % self.workers, "make", rows)
                waiting += 1
                if waiting >= self.prefetch * self.workers:
                    waiting -= 1
                    yield self.result(next(given) % self.workers)
            for _ in range(waiting):
                yield self.result(next(given) % self.workers)

    def shares(self, count: int, drop_last: bool, seed: int) -> Iterator[Any]:
        """Batches of an iterable dataset, of the workers' shares by turns, until all are at their ends."""
        with _Pass(self, seed, 0):
            going = list(range(self.workers))
            for worker in going * self.prefetch:
                self.submit(worker, "next", count, drop_last)
            while going:
                for worker in list(going):
                    batch = self.result(worker)
                    if batch is None:
                        going.remove(worker)
                        continue
                    self.submit(worker, "next", count, drop_last)
                    yield batch


class _Pass:
    """A pool is busy meanwhile, and of no use when neither a break nor a worker's own error ended it."""

    def __init__(self, pool: Pool, seed: int, epoch: int) -> None:
        self._pool, self._seed, self._epoch = pool, seed, epoch

    def __enter__(self) -> None:
        self._pool.is_busy = True
        try:
            self._pool.begin(self._seed, self._epoch)
        except BaseException:
            self._ended(False)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._ended(kind is None or issubclass(kind, GeneratorExit) or hasattr(error, "_of_a_worker"))

    def _ended(self, well: bool) -> None:
        self._pool.is_busy = False
        if not well:
            self._pool.is_whole = False
            self._pool.close()


class Threads(Pool):
    """Workers that are threads of this process.

    Parameters
    ----------
    maker : callable() of Maker
        Gives each its own.
    init : callable(int), optional
        Called first in each worker, with its number.
    workers, prefetch, timeout : as :class:`Pool`
    """

    def __init__(
        self, maker: Callable[[], Maker], init: Any, workers: int, prefetch: int, timeout: float
    ) -> None:
        super().__init__(workers, prefetch, timeout)
        self._waiting: list[deque[Future[Any]]] = [deque() for _ in range(workers)]
        self._executors = [ThreadPoolExecutor(1, f"einkorn-loader-{number}") for number in range(workers)]
        self._first = [
            executor.submit(_begin_thread, number, workers, maker(), init)
            for number, executor in enumerate(self._executors)
        ]

    def begin(self, seed: int, epoch: int) -> None:
        for number, executor in enumerate(self._executors):
            for future in self._waiting[number]:
                future.cancel()
            self._waiting[number].clear()
            executor.submit(place.begin, seed + number, epoch, seed)

    def submit(self, worker: int, task: str, *arguments: Any) -> None:
        run = place.make if task == "make" else place.next
        self._waiting[worker].append(self._executors[worker].submit(run, *arguments))

    def result(self, worker: int) -> Any:
        first = self._first[worker]
        future = self._waiting[worker].popleft()
        try:
            first.result(self.timeout)
            return future.result(self.timeout)
        except FutureTimeoutError as error:
            if future.done():  # the worker's own error
                raise
            raise hangs(self.timeout or 0) from error
        except Exception as error:
            if first.done() and first.exception() is None:
                error._of_a_worker = True  # type: ignore[attr-defined]
            raise

    def close(self) -> None:
        for executor in self._executors:
            executor.shutdown(wait=False, cancel_futures=True)


def _begin_thread(number: int, workers: int, maker: Maker, init: Any) -> None:
    place.info, place.maker = WorkerInfo(number, workers, 0, maker.dataset), maker
    if init is not None:
        init(number)
