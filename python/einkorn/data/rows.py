"""Rows of arrays of a GPU, which are gathered there: one launch for each array of a batch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from einkorn._device import device_of, is_on_gpu
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_array
from einkorn.errors import ArgumentError, DeviceError, IndexRangeError

__all__ = [
    "behind", "by_number", "check_range", "contiguous", "copied", "gpu_of", "lent", "on_card",
    "refuse_sharing", "stacked", "taken",
]  # fmt: skip


def on_card(array: Any) -> Any:
    """A block in which the GPU of an array is the current one."""
    return sys.modules["cupy"].cuda.Device(array.device.id)


def contiguous(array: Any) -> Any:
    """An array of either side, C-contiguous."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array)
    return array if array.flags.c_contiguous else copied(array)


def lent(array: Any) -> Any:
    """A view that nothing can be written into; one of a GPU can."""
    view = array.view()
    if isinstance(view, np.ndarray):
        view.flags.writeable = False
    return view


def copied(array: Any) -> Any:
    """A copy of an array of a GPU in row-major order, on the same one."""
    with on_card(array):
        return array.copy()


def taken(array: Any, numbers: Any) -> Any:
    """Rows of an array of a GPU by their numbers, which are of the CPU or lie beside it and are in range."""
    with on_card(array):
        if isinstance(numbers, np.ndarray):
            numbers = sys.modules["cupy"].asarray(numbers)
        return array.take(numbers, 0)


def by_number(array: Any, index: Any) -> Any:
    """``array[index]`` of an array of a GPU; numbers in a list or an array are looked at first.

    CuPy counts those beyond the end from the beginning again.

    Raises
    ------
    IndexRangeError
        For a number beyond the rows.
    """
    if not isinstance(index, (list, np.ndarray, Tensor)) and not is_on_gpu(index):
        return array[index]
    numbers = as_array(index, "dataset: index")
    if numbers.dtype.kind == "b":
        numbers = np.flatnonzero(numbers)
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise ArgumentError(f"dataset: index has the type {numbers.dtype}, expected numbers of rows")
    check_range(numbers, len(array))
    return taken(array, numbers.astype(np.int64, copy=False))


def check_range(numbers: np.ndarray, count: int) -> None:
    """Refuse numbers beyond so many rows, counted from either end.

    Raises
    ------
    IndexRangeError
    """
    if numbers.size and not (-count <= numbers.min() and numbers.max() < count):
        bad = numbers[(numbers < -count) | (numbers >= count)].flat[0]
        raise IndexRangeError(f"dataset: index {bad} is out of range for {count} rows")


def stacked(arrays: list[Any], numbers: Any) -> Any:
    """Rows of a GPU, one above the other there.

    Raises
    ------
    DeviceError
        For rows of several devices.
    """
    for number, array in zip(numbers, arrays, strict=True):
        if device_of(array) != device_of(arrays[0]):
            raise DeviceError(
                f"DataLoader: row {number} is on {device_of(array)} and the first of its batch on"
                f" {device_of(arrays[0])}, expected all on one device"
            )
    with on_card(arrays[0]):
        return np.stack(arrays)


def refuse_sharing(batch: Any) -> None:
    """Say that a batch of a worker process lies on a GPU, which processes do not share.

    Raises
    ------
    DeviceError
    """
    if isinstance(batch, dict):
        batch = tuple(batch.values())
    if isinstance(batch, (tuple, list)):
        for part in batch:
            refuse_sharing(part)
        return
    array = getattr(batch, "_data", batch)
    if is_on_gpu(array):
        raise DeviceError(
            f"DataLoader: a worker process made rows on {device_of(array)}, which processes do not share: let"
            " the dataset give rows of the CPU, or take num_workers=0 or threads=True"
        )


def behind(arrays: Any) -> Any:
    """Arrays of one device behind each other, along their rows."""
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    with on_card(arrays[0]):
        return np.concatenate(arrays)


def gpu_of(dataset: Any) -> str | None:
    """The GPU that arrays of a dataset lie on, of one made of others too; None where that is not known."""
    for array in getattr(dataset, "arrays", ()):
        if is_on_gpu(array):
            return device_of(array)
    inner = getattr(dataset, "datasets", ())
    parts = [getattr(dataset, "dataset", None), *(inner.values() if isinstance(inner, dict) else inner)]
    found = (gpu_of(part) for part in parts if part is not None)
    return next((where for where in found if where is not None), None)
