"""``DataLoader``: batches of a dataset.

A batch is gathered from the arrays into memory of einkorn's caching allocator. Once the caller has let
go of a batch, the next one of its size gets the same memory: the loop runs on two or three buffers,
without a page fault, and a batch that somebody keeps is never written over. Every batch belongs to who
takes it: nothing that is done to it reaches the dataset.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, tee
from typing import Any

import numpy as np

from einkorn import random
from einkorn._device import beside, device_name
from einkorn._pinned import pinned
from einkorn._tensor import Tensor
from einkorn.data.arrays import is_map_dataset
from einkorn.data.dataset import ArrayDataset
from einkorn.data.making import Maker, allocator, is_gathered, transformed
from einkorn.data.processes import Processes
from einkorn.data.rows import copied, gpu_of, lent, taken
from einkorn.data.samplers import BatchSampler, permutation
from einkorn.data.workers import Pool, Threads
from einkorn.errors import ArgumentError, DeviceError

__all__ = ["DataLoader"]

Batch = tuple[np.ndarray, ...]


class DataLoader:
    """Iterate over batches: tuples of arrays, or what else a row is.

    Parameters
    ----------
    dataset : ArrayDataset, tuple of arrays, object with len() and [], or IterableDataset
        A dataset of another kind gives a tuple, a dict or one value per row, which are stacked. Rows are
        asked for from 0 to len() - 1 and no further. Arrays and Tensors on a GPU give batches there: their
        rows are gathered by one launch for each array, and nothing comes to the CPU.
    batch_size : int, default 1
        As torch's. None gives the rows themselves, one by one.
    shuffle : bool, default False
        Whether each pass has a new order.
    sampler : iterable of int, optional
        The numbers of the rows in their order, for example a ``WeightedRandomSampler``.
    batch_sampler : iterable of list of int, optional
        The numbers of the rows of each batch, instead of the options before and ``drop_last``.
    num_workers : int, default 0
        Processes that make batches beside the training; 0 none. Not of arrays on a GPU.
    collate_fn : callable, optional
        Makes a batch of a list of rows.
    pin_memory : bool, default False
        Whether batches lie in pinned memory, from which ``to("cuda", non_blocking=True)`` copies beside other
        work. ``fit`` on a GPU then sends each batch during the step before. Without a GPU nothing is done.
    drop_last : bool, default False
        Whether a last, smaller batch is left out.
    timeout : float, default 0
        Seconds to wait for a batch of a worker; 0 without end.
    worker_init_fn : callable(int), optional
        Called first in each worker, with its number.
    multiprocessing_context : str or context, optional
        How processes begin; by default they are forked where the system can.
    generator : einkorn.random.Generator, optional
        Of the orders, and of the workers' seeds. Without it they come from einkorn's generator, which
        ``einkorn.manual_seed`` sets.
    prefetch_factor : int, keyword-only, default 2
        Batches that each worker makes in advance.
    persistent_workers : bool, keyword-only, default False
        Whether workers stay for the next pass, with the dataset as it was when they began. A pass draws the
        same numbers either way.
    seed : int, keyword-only, optional
        The same as ``generator=einkorn.random.Generator(seed)``.
    threads : bool, keyword-only, default False
        Whether workers are threads: for datasets that wait for files, or whose work releases the interpreter.
        Their random numbers are those of the whole process.
    transform : callable, keyword-only, optional
        Of the first array of each batch, or of the batch where it is one array: a transform of
        ``einkorn.data.augment``, which is told the numbers of the rows and which pass it is, so that a row's
        picture follows from its seed; or any function of a batch.

    Attributes
    ----------
    epoch : int
        The passes that were begun; what transforms with a seed are told.

    Raises
    ------
    ArgumentError
        The dataset is of another kind, its rows are masked arrays, or an option is bad.
    DeviceError
        The dataset's arrays are on a GPU, and worker processes are asked for.
    DataError
        While iterating: a worker died, or gave nothing within ``timeout``. An error that was raised in a
        worker is raised here.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: random.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
        threads: bool = False,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        self.iterable = _is_iterable(dataset)
        self._bare = False  # one array: its batches are arrays, not tuples of one
        if isinstance(dataset, tuple):
            dataset = ArrayDataset(*dataset)
        elif isinstance(dataset, Tensor) or hasattr(dataset, "__array__"):
            dataset = ArrayDataset(dataset)
            self._bare = True
        elif not (
            self.iterable or isinstance(dataset, (list, range, ArrayDataset)) or is_map_dataset(dataset)
        ):
            raise ArgumentError(
                f"DataLoader: dataset is {type(dataset).__name__}, expected arrays, an object "
                "with len() and [], or an IterableDataset"
            )
        self.dataset = dataset
        self.batch_size = None if batch_size is None else _integer(batch_size, "batch_size", 1)
        self.shuffle = shuffle is not None and _flag(shuffle, "shuffle")
        self.drop_last = _flag(drop_last, "drop_last")
        self.pin_memory = _flag(pin_memory, "pin_memory")
        if pin_memory_device != "":
            device_name("DataLoader", pin_memory_device, "pin_memory_device")
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self._check_order()
        self.num_workers = _integer(num_workers, "num_workers", 0)
        _check_processes(self.dataset, self.num_workers, threads)
        self.prefetch_factor = (
            2 if prefetch_factor is None else _integer(prefetch_factor, "prefetch_factor", 1)
        )
        functions = (
            ("collate_fn", collate_fn),
            ("worker_init_fn", worker_init_fn),
            ("transform", transform),
        )
        for name, function in functions:
            if function is not None and not callable(function):
                raise ArgumentError(f"DataLoader: {name} is {function!r}, expected a function")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
            raise ArgumentError(f"DataLoader: timeout is {timeout!r}, expected seconds >= 0")
        self.collate_fn, self.worker_init_fn = collate_fn, worker_init_fn
        self.transform, self.epoch = transform, 0
        self.timeout, self.threads = timeout, _flag(threads, "threads")
        self.persistent_workers = _flag(persistent_workers, "persistent_workers")
        if self.persistent_workers and not self.num_workers:
            raise ArgumentError("DataLoader: persistent_workers is True, expected num_workers > 0 with it")
        self.multiprocessing_context = multiprocessing_context
        self.seed = None if seed is None else _integer(seed, "seed", 0)
        if generator is not None and not isinstance(generator, random.Generator):
            raise ArgumentError(
                f"DataLoader: generator is {type(generator).__name__}, expected einkorn.random.Generator"
            )
        if generator is not None and seed is not None:
            raise ArgumentError("DataLoader: generator and seed are both given, expected one of them")
        self._own = random.Generator(self.seed) if self.seed is not None else generator
        self._seeds: random.Generator | None = None
        self._kept: Pool | None = None  # workers that stay

    def _check_order(self) -> None:
        """Refuse options that contradict each other, or that have no meaning for rows without numbers."""
        for name in ("sampler", "batch_sampler"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Iterable):
                raise ArgumentError(f"DataLoader: {name} is {value!r}, expected an iterable of row numbers")
        if self.iterable and (self.shuffle or self.sampler is not None or self.batch_sampler is not None):
            raise ArgumentError(
                f"DataLoader: {type(self.dataset).__name__} is iterable and has an order of its own, "
                "expected "
                "no shuffle and no sampler"
            )
        if self.sampler is not None and self.shuffle:
            raise ArgumentError("DataLoader: sampler and shuffle are both given, expected one of them")
        if self.batch_sampler is not None and (
            self.batch_size != 1 or self.shuffle or self.sampler is not None or self.drop_last
        ):
            raise ArgumentError(
                "DataLoader: batch_sampler makes the batches, expected no batch_size, shuffle, sampler and "
                "drop_last beside it"
            )

    @property
    def generator(self) -> random.Generator | None:
        """The generator of the loader's own orders, or its sampler's, if there is one."""
        source = self.batch_sampler if self.sampler is None else self.sampler
        return self._own if self._own is not None else getattr(source, "generator", None)

    def generators(self) -> list[random.Generator]:
        """All generators of the loader's own: what to keep to go on with a pass."""
        own = [] if self.generator is None else [self.generator]
        return [*own, self._seeds_of_workers()] if self.num_workers else own

    def _seeds_of_workers(self) -> random.Generator:
        """A generator apart from that of the orders, which are the same with and without workers."""
        if self._seeds is None:
            source = random.default_generator if self._own is None else self._own
            mixed = np.random.SeedSequence([*source.get_state(), 1]).generate_state(1, np.uint64)[0]
            self._seeds = random.Generator(int(mixed))
        return self._seeds

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        rows = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return rows
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def _plain(self) -> bool:
        """Whether batches are stretches of arrays, or of one order of their rows."""
        return (
            isinstance(self.dataset, ArrayDataset)
            and is_gathered(self.dataset)
            and self.sampler is None
            and self.batch_sampler is None
            and self.batch_size is not None
            and self.collate_fn is None
            and self.num_workers == 0
        )

    def __iter__(self) -> Iterator[Any]:
        return map(_pinned, self._batches()) if self.pin_memory else self._batches()

    def _batches(self) -> Iterator[Any]:
        if self._plain():
            order = permutation(len(self.dataset), self._own) if self.shuffle else None
            batches = self._told(self._copies() if order is None else self._gather(order))
            if self.transform is None:
                return batches
            rows = range(len(self.dataset)) if order is None else order
            size = self.batch_size or 1
            return self._transformed(batches, (rows[start : start + size] for start in self._starts()))
        if self.iterable:
            batches = self._stream()
            return batches if self.transform is None else self._transformed(batches, None)
        if self.num_workers:
            return self._by_workers()
        if self.transform is None:
            return self._collate(self._numbers())
        numbers, told = tee(self._numbers())
        return self._transformed(self._collate(numbers), told)

    def _transformed(self, batches: Iterator[Any], numbers: Iterator[Any] | None) -> Iterator[Any]:
        """The batches after ``transform``; ``numbers`` are those of their rows, by default counted."""
        transform, epoch, first = self.transform, self.epoch, 0
        self.epoch += 1
        for batch in batches:
            if numbers is not None:
                rows: Any = next(numbers)
            else:
                parts = batch if isinstance(batch, (tuple, list)) else (batch,)
                rows = range(first, first + (1 if self._is_single else len(parts[0])))
                first += len(rows)
            yield transformed(transform, batch, rows, epoch)

    def _numbers(self) -> Iterator[list[int]]:
        """The numbers of the rows of each batch."""
        if self.batch_sampler is not None:
            return iter(self.batch_sampler)
        if self.sampler is not None:
            rows: Any = self.sampler
        elif self.shuffle:
            rows = permutation(len(self.dataset), self._own).tolist()
        else:
            rows = range(len(self.dataset))
        return iter(BatchSampler(rows, self.batch_size or 1, self.drop_last))

    @property
    def _is_single(self) -> bool:
        return self.batch_size is None and self.batch_sampler is None

    def _maker(self) -> Maker:
        """What makes batches; workers also transform those of numbered rows."""
        transform = self.transform if self.num_workers and not self.iterable else None
        return Maker(
            self.dataset, self.collate_fn, is_bare=self._bare, is_single=self._is_single, transform=transform
        )

    def _workers(self) -> Pool:
        """Workers for a pass: those that stay, where they are there and free."""
        if self._kept is not None and self._kept.is_fit():
            return self._kept
        if self.threads:
            pool: Pool = Threads(
                self._maker, self.worker_init_fn, self.num_workers, self.prefetch_factor, self.timeout
            )
        else:
            pool = Processes(
                self._maker(), self.worker_init_fn, self.multiprocessing_context,
                self.num_workers, self.prefetch_factor, self.timeout,
            )  # fmt: skip
        if self.persistent_workers and (self._kept is None or not self._kept.is_busy):
            self._kept = pool
        return pool

    def _by_workers(self) -> Iterator[Any]:
        """The batches of a pass, or of the workers' shares of an iterable dataset."""
        mixed = np.random.SeedSequence(self._seeds_of_workers().take(1)).generate_state(1, np.uint64)[0]
        seed, epoch = int(mixed) % 2**62, self.epoch
        if self.transform is not None and not self.iterable:
            self.epoch += 1
        pool = self._workers()
        try:
            if self.iterable:
                yield from pool.shares(self.batch_size or 1, self.drop_last, seed)
            else:
                yield from pool.batches(self._numbers(), seed, epoch)
        finally:
            if pool is not self._kept:
                pool.close()

    def _stream(self) -> Iterator[Any]:
        """The batches of an iterable dataset."""
        count, make = self.batch_size or 1, self._maker()
        if self.num_workers:
            yield from self._by_workers()
            return
        rows = iter(self.dataset)
        while batch := list(islice(rows, count)):
            if self.drop_last and len(batch) < count:
                return
            yield make.of(batch, range(len(batch)))

    def _collate(self, numbers: Iterator[list[int]]) -> Iterator[Any]:
        make = self._maker()
        return (make(rows) for rows in numbers)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": None}  # workers belong to one loader

    def lend(self) -> Iterator[Any]:
        """The batches for a reader: those in order are read-only views, and nothing is copied."""
        if self.shuffle or self.transform is not None or not self._plain():
            return iter(self)
        return self._told(self._views())

    def _told(self, batches: Iterator[Batch]) -> Iterator[Any]:
        return (batch[0] for batch in batches) if self._bare else batches

    def _starts(self) -> range:
        size = self.batch_size or 1
        return range(0, len(self) * size, size)

    def _views(self) -> Iterator[Batch]:
        arrays = [lent(array) for array in self.dataset.arrays]
        for start in self._starts():
            stop = start + (self.batch_size or 1)
            yield tuple([array[start:stop] for array in arrays])

    def _copies(self) -> Iterator[Batch]:
        for views in self._views():
            batch = []
            for view in views:
                if not isinstance(view, np.ndarray):
                    batch.append(copied(view))
                    continue
                out = allocator(view)(view.shape, view.dtype)
                out[...] = view
                batch.append(out)
            yield tuple(batch)

    def _gather(self, order: np.ndarray) -> Iterator[Batch]:
        # take with mode="clip" writes straight into ``out``; the default mode would go through a
        # temporary. The order holds every row once, so nothing is ever clipped.
        sources = [
            (array, order if isinstance(array, np.ndarray) else beside(array, order), array.shape[1:])
            for array in self.dataset.arrays
        ]
        for start in self._starts():
            batch = []
            for array, numbers, shape in sources:
                rows = numbers[start : start + (self.batch_size or 1)]
                if not isinstance(array, np.ndarray):
                    batch.append(taken(array, rows))
                    continue
                out = allocator(array)((len(rows), *shape), array.dtype)
                array.take(rows, 0, out, "clip")
                batch.append(out)
            yield tuple(batch)


def _check_processes(dataset: Any, workers: int, threads: Any) -> None:
    where = gpu_of(dataset) if workers and not threads else None
    if where is not None:
        raise DeviceError(
            f"DataLoader: num_workers is {workers} and the dataset's arrays are on {where}, which processes"
            " do not share: with num_workers=0 their rows are gathered there, or take threads=True"
        )


def _pinned(batch: Any) -> Any:
    """A batch whose arrays, however deep, are in pinned memory."""
    if isinstance(batch, Mapping):
        return {key: _pinned(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        parts = [_pinned(value) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch.pin_memory() if isinstance(batch, Tensor) else pinned(batch)


def _is_iterable(dataset: Any) -> bool:
    """Whether a dataset gives its rows one after the other: einkorn's class, or torch's."""
    return any(kind.__name__ == "IterableDataset" for kind in type(dataset).__mro__)


def _integer(value: Any, name: str, low: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < low:
        raise ArgumentError(f"DataLoader: {name} is {value!r}, expected an integer >= {low}")
    return number


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"DataLoader: {name} is {value!r}, expected True or False")
    return bool(value)
