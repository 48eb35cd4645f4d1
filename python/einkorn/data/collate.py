"""Rows put together into batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from einkorn.data.arrays import as_rows
from einkorn.data.rows import stacked
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["collate_rows", "default_collate"]

Empty = Callable[[tuple[int, ...], Any], np.ndarray]


def default_collate(batch: Any) -> Any:
    """Rows, one above the other: arrays and numbers as arrays, in tuples and dicts as the rows are.

    Parameters
    ----------
    batch : list
        Of rows of one kind. Texts stay a list; rows of a GPU become a batch there.

    Raises
    ------
    ShapeError
        Rows have different shapes or numbers of parts.
    DeviceError
        Rows lie on several devices.
    """
    if not batch:
        raise ArgumentError("default_collate: batch is empty, expected at least one row")
    return _collate(list(batch), range(len(batch)), np.empty, "row")


def _collate(items: list[Any], numbers: Any, empty: Empty, what: str) -> Any:
    first = items[0]
    if isinstance(first, Mapping):
        if any(item.keys() != first.keys() for item in items):
            raise ShapeError(f"DataLoader: rows have different keys, such as {', '.join(map(str, first))}")
        return {
            key: _collate([item[key] for item in items], numbers, empty, f"{what}[{key!r}]") for key in first
        }
    if isinstance(first, (tuple, list)):
        if any(len(item) != len(first) for item in items):
            raise ShapeError(
                f"DataLoader: rows have {sorted({len(item) for item in items})} parts, expected equally many"
            )
        columns = zip(*items, strict=True)
        return tuple(_collate(list(column), numbers, empty, what) for column in columns)
    if isinstance(first, (str, bytes)):
        return items
    return _stack(items, numbers, empty)


def _stack(values: Any, numbers: Any, empty: Empty) -> np.ndarray:
    """Values of rows, one above the other."""
    kinds = set(map(type, values))
    if kinds == {int} or kinds == {float}:
        found = np.asarray(values)
        if found.dtype.kind in "if":
            return found
    arrays = [
        as_rows(value, f"DataLoader: row {number}") for value, number in zip(values, numbers, strict=True)
    ]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ShapeError(f"DataLoader: rows have shapes {sorted(shapes)}, expected one shape")
    first = arrays[0]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return stacked(arrays, numbers)
    is_plain = first.dtype.isnative and not first.dtype.hasobject
    if not is_plain or not first.ndim or len({array.dtype for array in arrays}) > 1:
        return np.stack(arrays)
    return np.stack(arrays, out=empty((len(arrays), *first.shape), first.dtype))


def collate_rows(items: list[Any], numbers: Any, empty: Empty | None = None) -> Any:
    """A batch of the loader: what its rows are, an array, a tuple or a dict; in memory of ``empty``."""
    return _collate(items, numbers, np.empty if empty is None else empty, "row")
