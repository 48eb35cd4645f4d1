"""What every metric has: an account that batches are entered in, and a result for all rows so far."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn.data.arrays import as_array, as_numbers
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["Metric", "Parts", "pair", "rows_of", "spread"]

Parts = tuple[Any, Any]


class Metric:
    """A figure over all rows that ``update_state`` was given since the last ``reset_state``.

    Subclasses keep numbers and arrays as attributes and name them, with what they begin as, in ``_begin``.

    Attributes
    ----------
    name : str
        What the figure is called in logs and histories.
    """

    #: Whether the result takes so long that it is left out of the figures within an epoch.
    costly = False

    #: How many metrics there have been: without any, or any more, training need not look for them.
    _made = 0

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ArgumentError(f"{type(self).__name__}: name is {name!r}, expected a text")
        self.name = name
        Metric._made += 1
        Metric.reset_state(self)  # not one of a user's, which may look at what its class is yet to make

    def _begin(self) -> dict[str, Any]:
        """The account's entries as they are before the first row."""
        raise TypeError(f"{type(self).__name__} defines no _begin()")

    def __setstate__(self, state: dict[str, Any]) -> None:
        Metric._made += 1  # a copy, or one from another process
        self.__dict__.update(state)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Enter a batch.

        Parameters
        ----------
        y_true, y_pred : array
        sample_weight : array [rows], optional
            What each row counts; 1 without.
        """
        raise TypeError(f"{type(self).__name__} defines no update_state()")

    def result(self) -> Any:
        """The figure over all rows so far; NaN before the first where it has no meaning then."""
        raise TypeError(f"{type(self).__name__} defines no result()")

    def reset_state(self) -> None:
        """Forget all rows."""
        for key, value in self._begin().items():
            setattr(self, key, copy.deepcopy(value))

    def state_dict(self) -> dict[str, Any]:
        """The account."""
        return {key: copy.deepcopy(getattr(self, key)) for key in self._begin()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        for key in self._begin():
            setattr(self, key, copy.deepcopy(state[key]))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Enter a batch and give the result over all rows so far, as Keras does."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def pair(metric: str, y_true: Any, y_pred: Any, *, texts: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of rows; of numbers, or with ``texts`` both of texts."""
    found = []
    both = texts and all(as_array(each, metric).dtype.kind == "U" for each in (y_true, y_pred))
    for name, value in (("y_true", y_true), ("y_pred", y_pred)):
        array = (as_array if both else as_numbers)(value, f"{metric}: {name}")
        if array.ndim == 0:
            raise ShapeError(f"{metric}: {name} is a single number, expected an array of rows")
        found.append(array)
    return found[0], found[1]


def rows_of(metric: str, sample_weight: Any, rows: int) -> np.ndarray | None:
    """The weights of the rows in float64, or None."""
    if sample_weight is None:
        return None
    weight = as_numbers(sample_weight, f"{metric}: sample_weight").astype(np.float64)
    if not np.isfinite(weight).all():
        raise ArgumentError(f"{metric}: sample_weight holds NaN or infinity, expected finite numbers")
    if weight.ndim == 0:
        return np.full(rows, float(weight))
    if len(weight) != rows or weight.shape[1:].count(1) != weight.ndim - 1:
        raise ShapeError(
            f"{metric}: sample_weight has shape {weight.shape}, expected ({rows},), one for each row"
        )
    return weight.reshape(rows)


def spread(weight: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """A weight for each element."""
    if weight is None:
        return np.ones(shape)
    return np.broadcast_to(weight.reshape(-1, *[1] * (len(shape) - 1)), shape)
