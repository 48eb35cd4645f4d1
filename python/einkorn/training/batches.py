"""What ``fit``, ``evaluate`` and ``predict`` accept as data, brought into batches of arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from einkorn.data import ArrayDataset, DataLoader
from einkorn.errors import ArgumentError, ShapeError
from einkorn.tensor import Tensor

__all__ = ["Types", "array_of", "example_of", "float_type", "integer", "is_batches", "length"]

Arrays = tuple[np.ndarray, ...]


def integer(value: Any, op: str, name: str, low: int) -> int:
    """``value`` as an int of at least ``low``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < low:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer of at least {low}")
    return number


def array_of(value: Any) -> np.ndarray:
    """The array behind a Tensor, a torch CPU tensor or a list."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Tensor):
        return value.data
    return np.asarray(value)


def float_type(model: Any) -> Any:
    """The floating type of the model's parameters."""
    for parameter in model.parameters():
        return parameter.data.dtype
    return np.dtype(np.float32)


def is_batches(x: Any) -> bool:
    """Whether x is a loader or another iterable of batches, as opposed to arrays."""
    if isinstance(x, DataLoader):
        return True
    if isinstance(x, (np.ndarray, Tensor, tuple)) or hasattr(x, "__array__"):
        return False
    if isinstance(x, list):
        return bool(x) and isinstance(x[0], tuple) and hasattr(x[0][0], "shape")
    return isinstance(x, Iterable)


def length(batches: Any) -> int | None:
    """The number of batches where the loader knows it."""
    try:
        return len(batches)
    except TypeError:
        return None


class Types(NamedTuple):
    """The types a model trains in, and the ways to bring data into them."""

    dtype: Any  # of the model's parameters
    real_target: bool  # targets are numbers, not classes

    def input(self, value: Any) -> np.ndarray:
        """Floating input in the model's type. Integers stay: they may be tokens."""
        array = array_of(value)
        if array.dtype.kind == "f" and array.dtype != self.dtype:
            return array.astype(self.dtype)
        return array

    def target(self, value: Any) -> np.ndarray:
        """Targets in the model's type if they are numbers, int64 if they are classes."""
        array = array_of(value)
        kind = array.dtype.kind
        if kind == "f" or (self.real_target and kind in "iub"):
            return array if array.dtype == self.dtype else array.astype(self.dtype)
        return array.astype(np.int64) if kind in "iu" and array.dtype != np.int64 else array

    def inputs(self, x: Any, op: str) -> Arrays:
        """The model's inputs, one or a tuple, of equal length."""
        parts = tuple(self.input(part) for part in (x if isinstance(x, tuple) else (x,)))
        if not parts or any(part.ndim == 0 for part in parts):
            raise ShapeError(f"{op}: x has no axis of rows, expected an array of rows")
        if any(len(part) != len(parts[0]) for part in parts):
            raise ShapeError(f"{op}: inputs have {[len(p) for p in parts]} rows, expected equal")
        return parts

    def arrays(self, x: Any, y: Any, op: str) -> Arrays:
        """Inputs and target, checked against each other."""
        inputs = self.inputs(x, op)
        if y is None:
            raise ArgumentError(f"{op}: y is missing: give targets, or a DataLoader as x")
        target = self.target(y)
        if target.ndim == 0 or len(target) != len(inputs[0]):
            raise ShapeError(
                f"{op}: x has {len(inputs[0])} rows and y has shape {target.shape}, "
                "expected as many targets as rows"
            )
        if len(target) == 0:
            raise ArgumentError(f"{op}: x has no rows, expected at least one")
        return (*inputs, target)

    def batches(self, x: Any, y: Any, batch_size: int, op: str) -> Any:
        """Batches in order, from arrays or a loader."""
        if is_batches(x):
            if y is not None:
                raise ArgumentError(f"{op}: x is a loader, so y must not be given")
            return _Typed(x, self, op)
        return DataLoader(ArrayDataset(*self.arrays(x, y, op)), batch_size)

    def training_and_validation(
        self, x: Any, y: Any, batch_size: int, split: float, validation: Any, shuffle: bool
    ) -> tuple[Any, Any]:
        """The batches ``fit`` trains with, and those it validates with or None."""
        held_out = None
        if is_batches(x):
            if split:
                raise ArgumentError("fit: validation_split needs arrays; with a loader give validation_data")
            train = self.batches(x, y, batch_size, "fit")
        else:
            arrays = self.arrays(x, y, "fit")
            if split and validation is None:
                arrays, held_out = _split(arrays, split)
            train = DataLoader(ArrayDataset(*arrays), batch_size, shuffle=shuffle)
        size = max(batch_size, 256)
        if held_out is not None:
            return train, DataLoader(ArrayDataset(*held_out), size)
        if validation is None:
            return train, None
        op = "fit: validation_data"
        if is_batches(validation):
            return train, self.batches(validation, None, size, op)
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ArgumentError(f"{op} must be (x, y) or a DataLoader")
        return train, self.batches(validation[0], validation[1], size, op)


class _Typed:
    """A loader whose batches are brought into the model's types one by one."""

    def __init__(self, batches: Any, types: Types, op: str) -> None:
        self.source = batches
        self.types = types
        self.op = op

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[Arrays]:
        types = self.types
        for batch in self.source:
            if not isinstance(batch, (tuple, list)) or len(batch) < 2:
                raise ArgumentError(f"{self.op}: a loader must yield tuples of inputs and a target")
            yield (*map(types.input, batch[:-1]), types.target(batch[-1]))


def _split(arrays: Arrays, share: float) -> tuple[Arrays, Arrays]:
    """The first rows for training and the last for validation."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise ArgumentError(f"fit: validation_split is {share!r}, expected a number from 0 to 1")
    rows = len(arrays[0])
    border = int(rows * (1 - share))
    if border == 0 or border == rows:
        raise ArgumentError(
            f"fit: validation_split {share} of {rows} rows leaves {border} for training and "
            f"{rows - border} for validation, expected at least one each"
        )
    return tuple(a[:border] for a in arrays), tuple(a[border:] for a in arrays)


def example_of(model: Any, input_shape: tuple[int, ...] | None) -> np.ndarray | None:
    """One row of zeros to send through a model, or None if its shape is unknown."""
    shape = input_shape if input_shape is not None else getattr(model, "input_shape", None)
    if shape is None:
        return None
    sizes = tuple(integer(size, "summary", "input_shape", 0) for size in shape)
    return np.zeros((1, *sizes), float_type(model))
