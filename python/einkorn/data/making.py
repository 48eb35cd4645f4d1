"""Batches made of rows: in the loop, or in a worker."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import device_of
from einkorn.data.arrays import as_array
from einkorn.data.collate import collate_rows
from einkorn.data.dataset import ArrayDataset
from einkorn.data.datasets import ConcatDataset, Subset
from einkorn.data.rows import behind, check_range, taken
from einkorn.errors import ArgumentError

__all__ = ["Maker", "allocator", "is_gathered", "transformed"]

Empty = Callable[[tuple[int, ...], Any], np.ndarray]


def is_gathered(dataset: Any) -> bool:
    """Whether rows of a dataset are those of its arrays: no subclass has changed what a row is."""
    kind = type(dataset)
    if isinstance(dataset, Subset):
        return kind.__getitem__ is Subset.__getitem__ and is_gathered(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        parts = dataset.datasets
        same = kind.__getitem__ is ConcatDataset.__getitem__ and all(map(is_gathered, parts))
        return same and len({_rows_of(part) for part in parts}) == 1
    return isinstance(dataset, ArrayDataset) and getattr(kind, "_gathers", None) is kind.__getitem__


def _arrays_of(dataset: Any) -> tuple[Any, ...]:
    """The arrays under a gathered dataset, the first of those of several."""
    while not isinstance(dataset, ArrayDataset):
        dataset = dataset.datasets[0] if isinstance(dataset, ConcatDataset) else dataset.dataset
    return dataset.arrays


def _rows_of(dataset: Any) -> tuple[Any, ...]:
    """What the rows of a gathered dataset are: where they lie, their types and shapes."""
    return tuple((device_of(a), a.dtype, a.shape[1:]) for a in _arrays_of(dataset))


def _source(dataset: Any) -> Any:
    """What the rows of a gathered dataset are taken from."""
    own: np.ndarray | None = None
    while isinstance(dataset, Subset):
        indices = as_array(dataset.indices, "Subset: indices").astype(np.int64, copy=False).reshape(-1)
        own = indices if own is None else indices[own]
        dataset = dataset.dataset
    if isinstance(dataset, ConcatDataset):
        return _Joined([_source(part) for part in dataset.datasets], dataset.cumulative_sizes, own)
    return _Source(dataset.arrays, own)


class _Source:
    """Arrays under a dataset, and which of their rows are its own; None: all."""

    def __init__(self, arrays: tuple[Any, ...], own: np.ndarray | None) -> None:
        self._arrays, self._own = arrays, own

    def rows(self, numbers: np.ndarray, empty: Empty) -> tuple[np.ndarray, ...]:
        """The rows of these numbers of each array, into memory that is given."""
        if self._own is not None:
            numbers = self._own[numbers]
        count = len(self._arrays[0])
        # "clip" writes straight into ``out``; the default would go through a temporary
        inside = not numbers.size or (numbers.min() >= 0 and numbers.max() < count)
        batch = []
        for array in self._arrays:
            if not isinstance(array, np.ndarray):
                check_range(numbers, count)
                batch.append(taken(array, numbers))
                continue
            out = empty((len(numbers), *array.shape[1:]), array.dtype)
            array.take(numbers, 0, out, "clip" if inside else "raise")
            batch.append(out)
        return tuple(batch)


class _Joined:
    """Sources behind each other, which end at these rows."""

    def __init__(self, sources: list[Any], ends: list[int], own: np.ndarray | None) -> None:
        self._sources, self._ends, self._own = sources, np.array(ends), own

    def rows(self, numbers: np.ndarray, empty: Empty) -> tuple[np.ndarray, ...]:
        """As :meth:`_Source.rows`: of each source a part, then all in their order."""
        if self._own is not None:
            numbers = self._own[numbers]
        count = int(self._ends[-1])
        check_range(numbers, count)
        numbers = np.where(numbers < 0, numbers + count, numbers)
        place = np.searchsorted(self._ends, numbers, "right")
        numbers = numbers - np.concatenate([[0], self._ends])[place]
        some = np.unique(place)
        if len(some) < 2:
            return self._sources[some[0] if len(some) else 0].rows(numbers, empty)
        parts = [self._sources[i].rows(numbers[place == i], np.empty) for i in some]
        order = np.argsort(place, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        joined = _Source(tuple(map(behind, zip(*parts, strict=True))), None)
        return joined.rows(back, empty)


def allocator(array: np.ndarray) -> Any:
    """The cached memory where the type is one that kernels compute in; small types need none."""
    return engines.of(array).empty if array.dtype.kind == "f" else np.empty


def transformed(transform: Any, batch: Any, rows: Any, epoch: int) -> Any:
    """A batch whose first array went through a transform, which is told the numbers of its rows."""
    parts = batch if isinstance(batch, (tuple, list)) else (batch,)
    if hasattr(transform, "_transformed"):
        count = len(parts[0]) if rows is None else len(rows)
        numbers = np.arange(count) if rows is None else np.asarray(rows)
        done = transform(parts[0], rows=numbers, epoch=epoch)
    else:
        done = transform(parts[0])
    return type(batch)((done, *parts[1:])) if parts is batch else done


class Maker:
    """Makes batches of a dataset's rows.

    Parameters
    ----------
    dataset : object
    collate_fn : callable, optional
    is_bare : bool
        Whether a row is its first part alone.
    is_single : bool
        Whether a batch is a single row as it is.
    transform : callable, optional
        Of the first array of each batch.
    """

    def __init__(
        self, dataset: Any, collate_fn: Any, *, is_bare: bool, is_single: bool, transform: Any = None
    ) -> None:
        self.dataset, self.collate_fn, self.transform = dataset, collate_fn, transform
        self.is_bare, self.is_single = is_bare, is_single
        self.epoch = 0
        self.key: int | None = None  # of transforms without a seed, where the process's numbers will not do
        self._gathers = collate_fn is None and not is_single and is_gathered(dataset)
        self._source: Any = None
        self._fetches = getattr(dataset, "__getitems__", None) is not None and not is_single

    def __call__(self, rows: Any, empty: Empty | None = None) -> Any:
        """The batch of the rows of these numbers, its arrays in memory of ``empty`` where that is possible.

        A user's own functions are given memory that they may keep.
        """
        if not self.is_single and not (hasattr(rows, "__len__") and len(rows)):
            raise ArgumentError(
                f"DataLoader: batch_sampler gave {rows!r}, expected the numbers of a batch's rows"
            )
        if self.transform is not None or self.collate_fn is not None:
            empty = None
        numbers = as_array(rows, "DataLoader: rows") if self._gathers else None
        if numbers is not None and numbers.dtype.kind in "iu":
            if self._source is None:
                self._source = _source(self.dataset)
            arrays = self._source.rows(numbers, np.empty if empty is None else empty)
            batch: Any = arrays[0] if self.is_bare else arrays
        elif self._fetches:
            batch = self.of(self.dataset.__getitems__(list(rows)), rows, empty)
        else:
            dataset = self.dataset
            batch = self.of([dataset[row] for row in rows], rows, empty)
        if self.transform is None:
            return batch
        return transformed(self._own_transform(rows), batch, rows, self.epoch)

    def _own_transform(self, rows: Any) -> Any:
        """The transform, or one that draws by the pass's key and the first of the rows."""
        transform = self.transform
        if self.key is None or getattr(transform, "seed", 0) is not None:
            return transform
        transform = copy.copy(transform)
        transform.seed = (self.key + 0x9E3779B97F4A7C15 * (int(rows[0]) + 1)) % 2**62
        return transform

    def of(self, rows: list[Any], numbers: Any, empty: Empty | None = None) -> Any:
        """The batch of rows that are there already."""
        if self.is_bare:
            rows = [row[0] for row in rows]
        if self.is_single:
            return rows[0] if self.collate_fn is None else self.collate_fn(rows[0])
        return collate_rows(rows, numbers, empty) if self.collate_fn is None else self.collate_fn(rows)
