"""``DataLoader``: batches of a dataset.

A shuffled batch is gathered from the arrays into memory of einkorn's caching allocator. Once the
caller has let go of a batch, the next one of its size gets the same memory: the loop runs on two or
three buffers, without a page fault, and a batch that somebody keeps is never written over. Batches
in order are views and copy nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from einkorn import engines, random
from einkorn.data.dataset import ArrayDataset
from einkorn.errors import ArgumentError

__all__ = ["DataLoader"]

Batch = tuple[np.ndarray, ...]


class DataLoader:
    """Iterate over batches, each a tuple of arrays.

    Parameters
    ----------
    dataset : ArrayDataset, tuple of arrays, or object with len() and []
        A dataset of another kind gives a tuple (or one value) per row, which are stacked.
    batch_size : int, default 32
    shuffle : bool, default False
        Whether each pass has a new order.
    drop_last : bool, default False
        Whether a last, smaller batch is left out.
    seed : int, optional
        Seed of the loader's own orders. Without it they come from einkorn's generator, which
        ``einkorn.manual_seed`` sets.

    Notes
    -----
    Batches in order may be views of the dataset's arrays: do not write into them.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int | None = None,
    ) -> None:
        if isinstance(dataset, np.ndarray):
            dataset = ArrayDataset(dataset)
        elif isinstance(dataset, tuple):
            dataset = ArrayDataset(*dataset)
        elif not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise ArgumentError(
                f"DataLoader: dataset is {type(dataset).__name__}, expected arrays or an object "
                "with len() and []"
            )
        self.dataset = dataset
        self.batch_size = _integer(batch_size, "batch_size", 1)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.seed = None if seed is None else _integer(seed, "seed", 0)
        self._generator = random.default_generator if self.seed is None else random.Generator(self.seed)

    def __len__(self) -> int:
        rows = len(self.dataset)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order(len(self.dataset)) if self.shuffle else None
        if not isinstance(self.dataset, ArrayDataset):
            return self._collate(order)
        return self._views() if order is None else self._gather(order)

    def _order(self, rows: int) -> np.ndarray:
        """A random order of the rows, the same on every engine."""
        order = np.empty(rows, np.int64)
        engines.of(order).permutation(order, *self._generator.take(-(-rows // 4)))
        return order

    def _starts(self) -> range:
        return range(0, len(self) * self.batch_size, self.batch_size)

    def _views(self) -> Iterator[Batch]:
        arrays = self.dataset.arrays
        for start in self._starts():
            stop = start + self.batch_size
            yield tuple([array[start:stop] for array in arrays])

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
            items = [self.dataset[row] for row in rows[start : start + self.batch_size]]
            if isinstance(items[0], (tuple, list)):
                yield tuple(np.stack([np.asarray(v) for v in column]) for column in zip(*items, strict=True))
            else:
                yield (np.stack([np.asarray(item) for item in items]),)


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
