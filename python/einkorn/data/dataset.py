"""Datasets: rows by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.data.arrays import as_rows
from einkorn.data.rows import by_number, contiguous
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["ArrayDataset"]


class ArrayDataset:
    """Arrays of equal length, row for row: inputs and, by custom last, targets.

    Parameters
    ----------
    *arrays : array
        Kept without a copy where they are C-contiguous; those of a GPU stay there, and so do batches of them.

    Raises
    ------
    ArgumentError
        There is no array, or one is masked.
    ShapeError
        The lengths differ.
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise ArgumentError("ArrayDataset: got no arrays, expected at least one")
        rows = [as_rows(array, f"ArrayDataset: array {number}") for number, array in enumerate(arrays)]
        if any(array.ndim == 0 for array in rows):
            raise ShapeError("ArrayDataset: an array has no axis of rows")
        self.arrays = tuple(contiguous(array) for array in rows)
        lengths = [len(array) for array in self.arrays]
        if min(lengths) != max(lengths):
            raise ShapeError(f"ArrayDataset: arrays have {lengths} rows, expected equally many")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(
            array[index] if isinstance(array, np.ndarray) else by_number(array, index)
            for array in self.arrays
        )

    _gathers = __getitem__  # a subclass with rows of its own is asked for each; others are gathered
