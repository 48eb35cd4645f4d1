"""``DataLoader``: batches of a dataset.

A batch is gathered from the arrays into memory of einkorn's caching allocator. Once the caller has let
go of a batch, the next one of its size gets the same memory: the loop runs on two or three buffers,
without a page fault, and a batch that somebody keeps is never written over. Every batch belongs to who
takes it: nothing that is done to it reaches the dataset.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from einkorn import engines, random
from einkorn.data.arrays import as_array, is_map_dataset
from einkorn.data.dataset import ArrayDataset
from einkorn.errors import ArgumentError, ShapeError
from einkorn.tensor import Tensor

__all__ = ["DataLoader"]

Batch = tuple[np.ndarray, ...]


class DataLoader:
    """Iterate over batches, each a tuple of arrays.

    Parameters
    ----------
    dataset : ArrayDataset, tuple of arrays, or object with len() and []
        A dataset of another kind gives a tuple (or one value) per row, which are stacked. Rows are asked for
        from 0 to len() - 1 and no further.
    batch_size : int, default 1
        As torch's.
    shuffle : bool, default False
        Whether each pass has a new order.
    drop_last : bool, keyword-only, default False
        Whether a last, smaller batch is left out.
    seed : int, keyword-only, optional
        Seed of the loader's own orders. Without it they come from einkorn's generator, which
        ``einkorn.manual_seed`` sets.

    Raises
    ------
    ArgumentError
        The dataset is of another kind, its rows are masked arrays or mappings, or an option is bad.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = False,
        *,
        drop_last: bool = False,
        seed: int | None = None,
    ) -> None:
        if isinstance(dataset, tuple):
            dataset = ArrayDataset(*dataset)
        elif isinstance(dataset, Tensor) or hasattr(dataset, "__array__"):
            dataset = ArrayDataset(dataset)
        elif not (isinstance(dataset, (list, range, ArrayDataset)) or is_map_dataset(dataset)):
            raise ArgumentError(
                f"DataLoader: dataset is {type(dataset).__name__}, expected arrays or an object "
                "with len() and []"
            )
        self.dataset = dataset
        self.batch_size = _integer(batch_size, "batch_size", 1)
        self.shuffle = shuffle is not None and _flag(shuffle, "shuffle")
        self.drop_last = _flag(drop_last, "drop_last")
        self.seed = None if seed is None else _integer(seed, "seed", 0)
        self._generator = random.default_generator if self.seed is None else random.Generator(self.seed)

    @property
    def generator(self) -> random.Generator | None:
        """The generator of the loader's own orders, if it has one."""
        return None if self.seed is None else self._generator

    def __len__(self) -> int:
        rows = len(self.dataset)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order(len(self.dataset)) if self.shuffle else None
        if not isinstance(self.dataset, ArrayDataset):
            return self._collate(order)
        return self._copies() if order is None else self._gather(order)

    def lend(self) -> Iterator[Batch]:
        """The batches for a reader: those in order are read-only views, and nothing is copied."""
        if self.shuffle or not isinstance(self.dataset, ArrayDataset):
            return iter(self)
        return self._views()

    def _order(self, rows: int) -> np.ndarray:
        """A random order of the rows, the same on every engine."""
        order = np.empty(rows, np.int64)
        engines.of(order).permutation(order, *self._generator.take(-(-rows // 4)))
        return order

    def _starts(self) -> range:
        return range(0, len(self) * self.batch_size, self.batch_size)

    def _views(self) -> Iterator[Batch]:
        arrays = [array.view() for array in self.dataset.arrays]
        for array in arrays:
            array.flags.writeable = False
        for start in self._starts():
            stop = start + self.batch_size
            yield tuple([array[start:stop] for array in arrays])

    def _copies(self) -> Iterator[Batch]:
        for views in self._views():
            batch = []
            for view in views:
                out = _allocator(view)(view.shape, view.dtype)
                out[...] = view
                batch.append(out)
            yield tuple(batch)

    def _gather(self, order: np.ndarray) -> Iterator[Batch]:
        # take with mode="clip" writes straight into ``out``; the default mode would go through a
        # temporary. The order holds every row once, so nothing is ever clipped.
        sources = [(array, _allocator(array), array.shape[1:]) for array in self.dataset.arrays]
        for start in self._starts():
            rows = order[start : start + self.batch_size]
            batch = []
            for array, empty, shape in sources:
                out = empty((len(rows), *shape), array.dtype)
                array.take(rows, 0, out, "clip")
                batch.append(out)
            yield tuple(batch)

    def _collate(self, order: np.ndarray | None) -> Iterator[Batch]:
        rows = range(len(self.dataset)) if order is None else order.tolist()
        for start in self._starts():
            numbers = rows[start : start + self.batch_size]
            items = [self.dataset[row] for row in numbers]
            if isinstance(items[0], dict):
                raise ArgumentError(
                    f"DataLoader: row {numbers[0]} of {type(self.dataset).__name__} is a dict, expected a "
                    "tuple"
                )
            if not isinstance(items[0], (tuple, list)):
                yield (_stack(items, numbers),)
                continue
            if any(len(item) != len(items[0]) for item in items):
                raise ShapeError(
                    f"DataLoader: rows of {type(self.dataset).__name__} have {sorted(set(map(len, items)))} "
                    "parts, expected equally many"
                )
            yield tuple(_stack(column, numbers) for column in zip(*items, strict=True))


def _stack(values: Any, numbers: Any) -> np.ndarray:
    """Values of rows, one above the other."""
    arrays = [
        as_array(value, f"DataLoader: row {number}") for value, number in zip(values, numbers, strict=True)
    ]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ShapeError(f"DataLoader: rows have shapes {sorted(shapes)}, expected one shape")
    return np.stack(arrays)


def _allocator(array: np.ndarray) -> Any:
    """The cached memory where the type is one that kernels compute in; small types need none."""
    return engines.of(array).empty if array.dtype.kind == "f" else np.empty


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
