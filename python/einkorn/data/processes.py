"""Workers that are processes: they make batches in memory that both see (``slots.py``)."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import random as _random
import signal
import sys
import threading
import traceback
import weakref
from collections import deque
from typing import Any

import numpy as np

from einkorn import random
from einkorn.data.making import Maker
from einkorn.data.rows import refuse_sharing
from einkorn.data.slots import Ring, Writer
from einkorn.data.workers import Pool, WorkerInfo, hangs, place
from einkorn.errors import DataError

__all__ = ["Processes"]

_SPARE = 2  # slots beyond those of batches in advance: what the caller has, and what it had before


# --- in the worker -----------------------------------------------------------------------------------------


def _work(connection: Any, info: WorkerInfo, maker: Maker, init: Any) -> None:
    """What a worker does until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's business
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_leave_with_the_caller, name="einkorn-loader-watch", daemon=True).start()
    place.info, place.maker = info, maker
    writer = Writer()
    begun = False
    with contextlib.suppress(EOFError, OSError):  # the caller is gone
        while (task := connection.recv()) is not None:
            if task[0] == "begin":
                _seed(task[1])
                place.begin(*task[1:])
                if begun:
                    continue
                begun = True
                try:
                    if init is not None:
                        init(info.id)
                except Exception as error:
                    connection.send(("init", *_written(error)))
                    return
                continue
            writer.send(connection, _answer(writer, *task))


def _seed(seed: int) -> None:
    np.random.seed(seed % 2**32)
    _random.seed(seed)
    random.manual_seed(seed)


def _answer(writer: Writer, task: str, slot: int, *arguments: Any) -> tuple[Any, ...]:
    """What came of a task: a batch, the end of the worker's share, or an error."""
    writer.begin(slot)
    try:
        run: Any = place.make if task == "make" else place.next
        batch = run(*arguments, writer.empty)
        if "cupy" in sys.modules:
            refuse_sharing(batch)
        return "end" if batch is None and task == "next" else "batch", slot, writer.pack(batch)
    except Exception as error:
        return "error", slot, *_written(error)


def _written(error: Exception) -> tuple[bytes | None, str]:
    """An error for the way to the caller, where it can be sent, and its traceback."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        sent = pickle.dumps(error)
        pickle.loads(sent)
    except Exception:
        return None, text
    return sent, text


def _leave_with_the_caller() -> None:
    """End this worker when the process that reads from it is gone, killed perhaps: nobody else would."""
    caller = multiprocessing.parent_process()
    if caller is not None:
        multiprocessing.connection.wait([caller.sentinel])
        os._exit(1)


# --- in the caller -----------------------------------------------------------------------------------------


class _InWorker(Exception):  # noqa: N818 - the cause of an error, not one itself
    """Where an error was raised in a worker."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class _Worker:
    """A process, the pair of sockets to it, and the slots it writes to."""

    def __init__(self, context: Any, info: WorkerInfo, maker: Maker, init: Any, slots: int) -> None:
        self.ring = Ring(slots)
        self.waiting: deque[int] = deque()  # the slots of what it was asked for
        self.connection, other = multiprocessing.Pipe()
        self.process = context.Process(
            target=_work, args=(other, info, maker, init), name=f"einkorn-loader-{info.id}", daemon=True
        )
        # A process that starts here must not hear Ctrl-C before it has said that it does not want to.
        masks = hasattr(signal, "pthread_sigmask")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else None
        try:
            self.process.start()
        finally:
            if before is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            other.close()


class Processes(Pool):
    """Workers that are processes.

    Parameters
    ----------
    maker : Maker
    init : callable(int), optional
        Called first in each worker, with its number.
    context : str or multiprocessing context, optional
    workers, prefetch, timeout : as :class:`Pool`
    """

    def __init__(
        self, maker: Maker, init: Any, context: Any, workers: int, prefetch: int, timeout: float
    ) -> None:
        super().__init__(workers, prefetch, timeout)
        if isinstance(context, str) or context is None:
            context = multiprocessing.get_context(context or ("fork" if hasattr(os, "fork") else None))
        self._workers: list[_Worker] = []
        self._leave = weakref.finalize(self, _let_go, self._workers, os.getpid())
        try:
            for number in range(workers):
                info = WorkerInfo(number, workers, 0, maker.dataset)
                self._workers.append(_Worker(context, info, maker, init, prefetch + _SPARE))
        except BaseException:
            self.close()
            raise

    def begin(self, seed: int, epoch: int) -> None:
        for number, worker in enumerate(self._workers):
            while worker.waiting:  # of a pass that was broken off
                kind, content = self._take(worker)
                if kind != "error":
                    worker.ring.free.append(content.slot)
            self._send(worker, ("begin", seed + number, epoch, None))

    def submit(self, worker: int, task: str, *arguments: Any) -> None:
        one = self._workers[worker]
        slot = one.ring.free.popleft()
        one.waiting.append(slot)
        self._send(one, (task, slot, *arguments))

    def result(self, worker: int) -> Any:
        one = self._workers[worker]
        kind, content = self._take(one)
        if kind == "error":
            error, text = content
            found = _loaded(error, text)
            if error is None:
                found = _failed("a worker raised an error that cannot be sent", text)
                found.__cause__ = _InWorker(text)
            found._of_a_worker = True  # type: ignore[attr-defined]
            raise found
        spare = len(one.ring.free) + len(one.waiting) >= self.prefetch
        batch = one.ring.unpack(content, spare)
        return None if kind == "end" else batch

    def _take(self, worker: _Worker) -> tuple[str, Any]:
        """The answer to the first of a worker's tasks, which waits no more."""
        kind, *content = self._received(worker)
        if kind == "init":
            error, text = content
            raise _failed("worker_init_fn raised an error", text) from _loaded(error, text)
        slot = worker.waiting.popleft()
        if kind == "error":
            worker.ring.free.append(slot)
            return kind, content[1:]
        try:
            worker.ring.take_over(worker.connection, content[1])
        except (EOFError, ConnectionError) as error:
            raise _died(worker) from error
        return kind, content[1]

    def _received(self, worker: _Worker) -> Any:
        connection = worker.connection
        ready = multiprocessing.connection.wait([connection, worker.process.sentinel], self.timeout)
        if not ready:
            raise hangs(self.timeout or 0)
        if connection not in ready:
            raise _died(worker)
        try:
            return connection.recv()
        except (EOFError, ConnectionError) as error:
            raise _died(worker) from error

    def _send(self, worker: _Worker, task: Any) -> None:
        try:
            worker.connection.send(task)
        except ConnectionError:  # what it said before it went is still to be read
            if not worker.waiting:
                raise _died(worker) from None

    def is_alive(self) -> bool:
        return all(worker.process.is_alive() for worker in self._workers)

    def close(self) -> None:
        if not self.is_whole:
            for worker in self._workers:
                worker.process.kill()
        self._leave()


def _let_go(workers: list[_Worker], owner: int) -> None:
    """Tell workers to end, in the process that began them; those that have nothing to do are waited for."""
    if os.getpid() != owner:
        return
    for worker in workers:
        with contextlib.suppress(OSError, ValueError):
            worker.connection.send(None)
        worker.connection.close()
    for worker in workers:
        if not worker.waiting:
            worker.process.join(1)


def _loaded(error: bytes | None, text: str) -> BaseException:
    """The error that was raised in a worker, or its traceback where it could not be sent."""
    if error is None:
        return _InWorker(text)
    found: BaseException = pickle.loads(error)
    found.__cause__ = _InWorker(text)
    return found


def _failed(what: str, text: str) -> DataError:
    last = text.strip().rpartition("\n")[2]
    return DataError(f"DataLoader: {what}: {last}")


def _died(worker: _Worker) -> DataError:
    worker.process.join(1)
    code = worker.process.exitcode
    how = "" if code is None else f" by signal {-code}" if code < 0 else f" with exit code {code}"
    return DataError(
        f"DataLoader: a worker process died{how} (out of memory? os._exit?); num_workers=0 shows what "
        "happens there"
    )
