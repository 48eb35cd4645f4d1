"""In which order rows are taken, with torch's names."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from einkorn import engines, random
from einkorn.data.arrays import as_array, as_numbers
from einkorn.errors import ArgumentError, ShapeError

__all__ = [
    "BatchSampler",
    "BucketSampler",
    "DistributedSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
    "permutation",
]


def permutation(rows: int, generator: random.Generator | None = None) -> np.ndarray:
    """A random order of the rows, the same on every engine."""
    source = random.default_generator if generator is None else generator
    if not isinstance(source, random.Generator):
        raise ArgumentError(f"generator is {type(source).__name__}, expected einkorn.random.Generator")
    order = np.empty(rows, np.int64)
    engines.of(order).permutation(order, *source.take(-(-rows // 4)))
    return order


def _uniform(count: int, generator: random.Generator | None) -> np.ndarray:
    """Numbers from 0 to 1, the same on every engine."""
    source = random.default_generator if generator is None else generator
    numbers = np.empty(count, np.float64)
    if count:
        engines.of(numbers).uniform(numbers, *source.take(-(-count // 2)), 0.0, 1.0)
    return numbers


def _count(value: Any, owner: str, name: str, low: int = 1) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or number < low:
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected an integer >= {low}")
    return number


def _flag(value: Any, owner: str, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected True or False")
    return bool(value)


def _sized(value: Any, owner: str, name: str) -> Any:
    if not hasattr(value, "__len__"):
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected an object with len()")
    return value


class Sampler:
    """Base class: iterating gives the numbers of rows, or lists of them for batches."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} defines no __iter__()")


class SequentialSampler(Sampler):
    """Rows in their order.

    Parameters
    ----------
    data_source : object with len()
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = _sized(data_source, "SequentialSampler", "data_source")

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Rows at random.

    Parameters
    ----------
    data_source : object with len()
    replacement : bool, default False
        Whether rows may come more than once.
    num_samples : int, optional
        How many; by default as many as there are rows. More of them, without replacement, come in one order
        after the other.
    generator : einkorn.random.Generator, optional
        By default einkorn's generator.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: random.Generator | None = None,
    ) -> None:
        self.data_source = _sized(data_source, "RandomSampler", "data_source")
        self.replacement = _flag(replacement, "RandomSampler", "replacement")
        self._num_samples = (
            None if num_samples is None else _count(num_samples, "RandomSampler", "num_samples")
        )
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many rows come."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        rows, left = len(self.data_source), self.num_samples
        if self.replacement and left and not rows:
            raise ArgumentError(f"RandomSampler: data_source has no rows to take {left} of")
        if self.replacement:
            yield from (_uniform(left, self.generator) * rows).astype(np.int64).tolist()
            return
        while left > 0 and rows:
            yield from permutation(rows, self.generator)[:left].tolist()
            left -= rows

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Given rows at random.

    Parameters
    ----------
    indices : sequence of int
    generator : einkorn.random.Generator, optional
    """

    def __init__(self, indices: Sequence[int], generator: random.Generator | None = None) -> None:
        if isinstance(indices, Iterable) and not hasattr(indices, "__getitem__"):
            indices = list(indices)
        kind = as_array(indices, "SubsetRandomSampler: indices").dtype.kind
        if kind not in "iu" and len(indices):
            hint = ": of a mask, numpy.flatnonzero gives them" if kind == "b" else ""
            raise ArgumentError(f"SubsetRandomSampler: indices are not all integers{hint}")
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in permutation(len(self.indices), self.generator).tolist():
            yield int(self.indices[i])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Rows at random, each as often as its weight says.

    Parameters
    ----------
    weights : sequence of float
        Of any sum.
    num_samples : int
    replacement : bool, default True
        Whether rows may come more than once.
    generator : einkorn.random.Generator, optional
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: random.Generator | None = None,
    ) -> None:
        name = "WeightedRandomSampler"
        self.weights = as_numbers(weights, f"{name}: weights").astype(np.float64)
        if self.weights.ndim != 1:
            raise ShapeError(
                f"{name}: weights has shape {self.weights.shape}, expected one weight for each row"
            )
        good = np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()
        if not good:
            raise ArgumentError(f"{name}: weights are not all finite and >= 0, with one above 0")
        self.num_samples = _count(num_samples, name, "num_samples")
        self.replacement = _flag(replacement, name, "replacement")
        some = int(np.count_nonzero(self.weights))
        if not self.replacement and self.num_samples > some:
            raise ArgumentError(
                f"{name}: num_samples is {num_samples}, and {some} rows have a weight above 0"
            )
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        if self.replacement:
            sums = np.cumsum(self.weights / self.weights.max())  # the sum of huge ones is finite, too
            drawn = np.searchsorted(sums, _uniform(self.num_samples, self.generator) * sums[-1], "right")
            yield from np.minimum(drawn, np.flatnonzero(self.weights)[-1]).tolist()
            return
        # exponential waiting times: the first to come are a weighted draw without replacement
        with np.errstate(divide="ignore"):
            times = -np.log(1 - _uniform(len(self.weights), self.generator)) / self.weights
        yield from np.argsort(np.where(self.weights > 0, times, np.inf), kind="stable")[
            : self.num_samples
        ].tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of so many rows of another sampler.

    Parameters
    ----------
    sampler : iterable of int
    batch_size : int
    drop_last : bool
        Whether a last, smaller batch is left out.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(sampler, Iterable):
            raise ArgumentError(f"BatchSampler: sampler is {sampler!r}, expected an iterable of row numbers")
        self.sampler = sampler
        self.batch_size = _count(batch_size, "BatchSampler", "batch_size")
        self.drop_last = _flag(drop_last, "BatchSampler", "drop_last")

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for row in self.sampler:
            batch.append(row)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        rows = len(self.sampler)  # type: ignore[arg-type]
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)


class DistributedSampler(Sampler):
    """The rows of one process of several, which all have equally many.

    Call ``set_epoch`` before each epoch, or every epoch has the same order.

    Parameters
    ----------
    dataset : object with len()
    num_replicas, rank : int
        How many processes there are, and which this is.
    shuffle : bool, default True
    seed : int, default 0
        The same in all processes.
    drop_last : bool, default False
        Whether rows are left out to make the shares equal, or rows from the beginning come again.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        name = "DistributedSampler"
        if num_replicas is None or rank is None:
            raise ArgumentError(f"{name}: expected num_replicas and rank, which nothing else here tells")
        self.num_replicas = _count(num_replicas, name, "num_replicas")
        self.rank = _count(rank, name, "rank", 0)
        if self.rank >= self.num_replicas:
            raise ArgumentError(f"{name}: rank is {rank}, expected 0 to {self.num_replicas - 1}")
        self.dataset = _sized(dataset, name, "dataset")
        self.shuffle, self.drop_last = _flag(shuffle, name, "shuffle"), _flag(drop_last, name, "drop_last")
        self.seed, self.epoch = _count(seed, name, "seed", 0), 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = _count(epoch, "DistributedSampler", "epoch", 0)

    @property
    def num_samples(self) -> int:
        """The rows of each process."""
        rows, parts = len(self.dataset), self.num_replicas
        return rows // parts if self.drop_last else math.ceil(rows / parts)

    def __iter__(self) -> Iterator[int]:
        rows = len(self.dataset)
        order = (
            permutation(rows, random.Generator(self.seed + self.epoch)) if self.shuffle else np.arange(rows)
        )
        total = self.num_samples * self.num_replicas
        if rows:
            order = np.resize(order, total)  # cut, or begun again
        yield from order[self.rank : total : self.num_replicas].tolist()

    def __len__(self) -> int:
        return self.num_samples


class BucketSampler(Sampler):
    """Batches of rows of like length, so that little is padded; a ``batch_sampler``.

    Rows are shuffled, sorted by length within stretches of ``batches_of_bucket`` batches, cut into batches,
    and the batches are shuffled.

    Parameters
    ----------
    lengths : sequence of int
        Of the rows.
    batch_size : int
    shuffle : bool, default True
    drop_last : bool, default False
        Whether a last, smaller batch is left out.
    batches_of_bucket : int, default 50
        The larger, the less is padded, and the less random batches are.
    generator : einkorn.random.Generator, optional
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        batches_of_bucket: int = 50,
        generator: random.Generator | None = None,
    ) -> None:
        self.lengths = as_numbers(lengths, "BucketSampler: lengths")
        if self.lengths.ndim != 1:
            raise ShapeError(
                f"BucketSampler: lengths has shape {self.lengths.shape}, expected one number a row"
            )
        if not (np.isfinite(self.lengths) & (self.lengths >= 0)).all():
            raise ArgumentError("BucketSampler: lengths are not all finite and >= 0")
        self.batch_size = _count(batch_size, "BucketSampler", "batch_size")
        self.batches_of_bucket = _count(batches_of_bucket, "BucketSampler", "batches_of_bucket")
        self.shuffle = _flag(shuffle, "BucketSampler", "shuffle")
        self.drop_last, self.generator = _flag(drop_last, "BucketSampler", "drop_last"), generator

    def __iter__(self) -> Iterator[list[int]]:
        rows = len(self.lengths)
        order = permutation(rows, self.generator) if self.shuffle else np.arange(rows)
        stretch = self.batch_size * self.batches_of_bucket if self.shuffle else max(1, rows)
        parts = []
        for start in range(0, rows, stretch):
            part = order[start : start + stretch]
            parts.append(part[np.argsort(self.lengths[part], kind="stable")])
        order = np.concatenate(parts) if parts else order
        batches = [order[i : i + self.batch_size] for i in range(0, rows, self.batch_size)]
        if self.drop_last and batches and len(batches[-1]) < self.batch_size:
            batches.pop()
        numbers = permutation(len(batches), self.generator) if self.shuffle else range(len(batches))
        for i in numbers:
            yield batches[int(i)].tolist()

    def __len__(self) -> int:
        rows = len(self.lengths)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)
