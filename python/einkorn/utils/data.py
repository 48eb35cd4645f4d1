"""The classes of ``einkorn.data`` that torch has under ``torch.utils.data``, with Tensors as torch has them.

Rows of a :class:`TensorDataset` and batches of a :class:`DataLoader` are Tensors here and arrays in
``einkorn.data``, which ``fit`` takes as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from einkorn import data
from einkorn._near import finding
from einkorn._tensor import Tensor
from einkorn.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]


def default_convert(data: Any) -> Any:
    """Arrays and numbers of NumPy as Tensors, in tuples, lists and dicts as they are; the rest as it is."""
    if isinstance(data, (np.ndarray, np.generic)):
        return Tensor(data) if data.dtype.kind in "fiubV" and data.dtype != np.float16 else data
    if isinstance(data, tuple):
        parts = [default_convert(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    if isinstance(data, list):
        return [default_convert(part) for part in data]
    if isinstance(data, Mapping):
        return {key: default_convert(part) for key, part in data.items()}
    return data


def default_collate(batch: Any) -> Any:
    """:func:`einkorn.data.default_collate`, with Tensors."""
    return default_convert(data.default_collate(batch))


class TensorDataset(data.TensorDataset):
    """Tensors of equal length, row for row; a row is a tuple of Tensors.

    Parameters
    ----------
    *tensors : Tensor or array
    """

    @property
    def tensors(self) -> tuple[Any, ...]:
        """The Tensors, over the memory of what was given."""
        return tuple([Tensor(array) for array in self.arrays])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        key = np.asarray(index) if isinstance(index, (Tensor, list)) else index
        return tuple([default_convert(array[key]) for array in self.arrays])

    _gathers = __getitem__


class DataLoader(data.DataLoader):
    """:class:`einkorn.data.DataLoader`, with its arguments.

    Batches are Tensors, unless a ``collate_fn`` makes something else of rows.
    """

    def __iter__(self) -> Iterator[Any]:
        batches = super().__iter__()
        return batches if self.collate_fn is not None else map(default_convert, batches)


__getattr__ = finding(
    __name__,
    lambda: __all__,
    dict.fromkeys(
        ("DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "functional_datapipe"),
        "Dataset and IterableDataset take their place",
    ),
)
