"""Datasets with torch's names: of rows by number, of rows one after the other, and made of others."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from einkorn import random
from einkorn.data.arrays import as_array
from einkorn.data.dataset import ArrayDataset
from einkorn.data.samplers import permutation
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
    "stratified_split",
]


class Dataset:
    """Rows by number: subclasses define ``__getitem__`` and ``__len__``. ``+`` puts two behind each other."""

    def __getitem__(self, index: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no __getitem__()")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Rows one after the other: subclasses define ``__iter__``.

    With several workers each has a copy, and ``get_worker_info()`` tells it which share is its own.
    """

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} defines no __iter__()")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class TensorDataset(ArrayDataset, Dataset):
    """Arrays or Tensors of equal length, row for row; torch's name for ``ArrayDataset``.

    Parameters
    ----------
    *tensors : array or Tensor
    """

    @property
    def tensors(self) -> tuple[np.ndarray, ...]:
        """The arrays."""
        return self.arrays


class Subset(Dataset):
    """Some rows of a dataset.

    Parameters
    ----------
    dataset : object with len() and []
    indices : sequence of int
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (list, tuple, np.ndarray)):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]


class ConcatDataset(Dataset):
    """Datasets behind each other.

    Parameters
    ----------
    datasets : iterable of objects with len() and []

    Attributes
    ----------
    cumulative_sizes : list of int
        How many rows there are up to the end of each.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: datasets is empty, expected at least one")
        for one in self.datasets:
            if isinstance(one, IterableDataset) or not hasattr(one, "__len__"):
                raise ArgumentError(
                    f"ConcatDataset: a dataset is {type(one).__name__}, expected one with len() and []; "
                    "ChainDataset takes iterable ones"
                )
        self.cumulative_sizes = list(itertools.accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexRangeError(f"ConcatDataset: index {index} is out of range for {len(self)} rows")
        place = bisect.bisect_right(self.cumulative_sizes, row)
        return self.datasets[place][row - (self.cumulative_sizes[place - 1] if place else 0)]


class ChainDataset(IterableDataset):
    """Iterable datasets, one after the other.

    Parameters
    ----------
    datasets : iterable of IterableDataset
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(map(len, self.datasets))


class StackDataset(Dataset):
    """Rows of several datasets side by side: a tuple of them, or a dict by keyword.

    Parameters
    ----------
    *args, **kwargs : objects with len() and []
        One of both kinds.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: expected datasets by place or by keyword, one of both")
        self.datasets: Any = kwargs or args
        lengths = [len(one) for one in (kwargs.values() if kwargs else args)]
        if min(lengths) != max(lengths):
            raise ShapeError(f"StackDataset: datasets have {lengths} rows, expected equally many")
        self._length = lengths[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: one[index] for name, one in self.datasets.items()}
        return tuple(one[index] for one in self.datasets)


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: random.Generator | None = None
) -> list[Subset]:
    """A dataset's rows at random in parts that have no row in common.

    Parameters
    ----------
    dataset : object with len() and []
    lengths : sequence of int or of float
        Rows of each part, together as many as there are; or shares, whose sum is 1: what rounding down leaves
        goes to the first parts, one row each.
    generator : einkorn.random.Generator, optional
    """
    rows = len(dataset)
    sizes = list(lengths)
    if sizes and abs(sum(sizes) - 1) < 1e-9 and all(0 <= share <= 1 for share in sizes):
        sizes = [int(rows * share) for share in sizes]
        for i in range(rows - int(sum(sizes))):
            sizes[i % len(sizes)] += 1
    if any(isinstance(n, float) or n < 0 for n in sizes) or sum(sizes) != rows:
        raise ArgumentError(
            f"random_split: lengths is {list(lengths)}, expected shares with the sum 1, or numbers with the "
            f"sum {rows}"
        )
    order = permutation(rows, generator).tolist()
    ends = list(itertools.accumulate(int(n) for n in sizes))
    return [Subset(dataset, order[end - int(n) : end]) for n, end in zip(sizes, ends, strict=True)]


def stratified_split(
    dataset: Any, y: Any, lengths: Sequence[float], generator: random.Generator | None = None
) -> list[Subset]:
    """As :func:`random_split`, with the classes in the same shares in every part.

    Parameters
    ----------
    dataset : object with len() and []
    y : array [rows]
        The class of each row.
    lengths : sequence of float
        Shares, whose sum is 1. Of each class a part gets its share, up to rounding; what rounding leaves goes
        where most is missing.
    generator : einkorn.random.Generator, optional
    """
    classes = as_array(y, "stratified_split: y")
    shares = [float(share) for share in lengths]
    if classes.shape != (len(dataset),):
        raise ShapeError(f"stratified_split: y has shape {classes.shape}, expected ({len(dataset)},)")
    if not shares or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise ArgumentError(f"stratified_split: lengths is {list(lengths)}, expected shares with the sum 1")
    parts: list[list[int]] = [[] for _ in shares]
    missing = np.zeros(len(shares))
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        rows = rows[permutation(len(rows), generator)]
        missing += np.array(shares) * len(rows)
        sizes = np.floor(np.array(shares) * len(rows)).astype(int)
        for _ in range(len(rows) - sizes.sum()):
            sizes[int((missing - sizes).argmax())] += 1
        missing -= sizes
        for part, chosen in zip(parts, np.split(rows, np.cumsum(sizes)[:-1]), strict=True):
            part.extend(chosen.tolist())
    mixed = [np.array(part, int)[permutation(len(part), generator)].tolist() for part in parts]
    return [Subset(dataset, part) for part in mixed]
