"""``to_categorical``."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, IndexRangeError

__all__ = ["to_categorical"]


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class numbers as one-hot rows of float32.

    Parameters
    ----------
    x : array of int
    num_classes : int, optional
        By default one more than the largest.
    """
    numbers = np.asarray(x)
    if numbers.dtype.kind not in "iu" and not (numbers == numbers.astype(np.int64)).all():
        raise ArgumentError("to_categorical: x holds fractions, expected class numbers")
    numbers = numbers.astype(np.int64)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    classes = int(numbers.max(initial=-1)) + 1 if num_classes is None else num_classes
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
        raise IndexRangeError(
            f"to_categorical: x holds {numbers.min()} to {numbers.max()}, expected 0 to {classes - 1}"
        )
    return np.eye(classes, dtype=np.float32)[numbers]
