"""What metrics are made of: accounts, means of what a function gives, and functions of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn._objects import Configured
from einkorn._tensor import as_numpy
from einkorn.errors import ShapeError
from einkorn.keras._base import initial
from einkorn.keras._names import snake_case
from einkorn.keras._variables import Weight
from einkorn.metrics import Metric as _Metric

__all__ = [
    "Mean", "MeanMetricWrapper", "Metric", "Sum", "accuracy", "as_array", "binary_accuracy",
    "categorical_accuracy", "right", "sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]  # fmt: skip


def as_array(value: Any) -> np.ndarray:
    return as_numpy(value)


class Metric(Configured, _Metric):
    """Base class of metrics of your own: ``update_state``, ``result`` and, with variables, ``add_weight``.

    Parameters
    ----------
    name : str, optional
    """

    _variables: list[tuple[Weight, np.ndarray]]

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.__dict__["_variables"] = []
        super().__init__(name or snake_case(type(self).__name__))

    def add_variable(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, aggregation: str = "sum",
        name: str | None = None,
    ) -> Weight:  # fmt: skip
        """A number, or an array, that ``reset_state`` makes zero again."""
        variable = Weight(initial(initializer, tuple(shape)), False, name or "variable")
        self._variables.append((variable, variable._data.copy()))
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Weight:
        """``add_variable``."""
        return self.add_variable(() if shape is None else shape, initializer or "zeros", dtype, name=name)

    @property
    def variables(self) -> list[Weight]:
        """What ``add_weight`` made."""
        return [variable for variable, _ in self._variables]

    def _begin(self) -> dict[str, Any]:
        return {}

    def get_config(self) -> dict[str, Any]:
        """Name and arguments."""
        own = {name: value for name, value in self._own_config().items() if name != "dtype"}
        return {**own, "name": self.name}

    def reset_state(self) -> None:
        """Forget all rows."""
        super().reset_state()
        for variable, first in self._variables:
            variable.assign(first)

    def state_dict(self) -> dict[str, Any]:
        """The account."""
        return {**super().state_dict(), "variables": [variable._data.copy() for variable in self.variables]}

    def load_state_dict(self, state: Any) -> None:
        """Take over what ``state_dict`` gave."""
        super().load_state_dict(state)
        for variable, value in zip(self.variables, state.get("variables", ()), strict=True):
            variable.assign(value)


class Mean(Metric):
    """The mean of numbers that are entered.

    Parameters
    ----------
    name : str, default "mean"
    """

    total: float
    count: float

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)

    def _begin(self) -> dict[str, Any]:
        return {"total": 0.0, "count": 0.0}

    def _enter(self, values: Any, sample_weight: Any) -> None:
        array = as_array(values).astype(np.float64)
        if sample_weight is None:
            weight: Any = np.ones(array.shape)
        else:
            weight = as_array(sample_weight).astype(np.float64)
            while weight.ndim > array.ndim and weight.shape[-1] == 1:
                weight = weight[..., 0]
            weight = np.broadcast_to(
                weight.reshape(*weight.shape, *[1] * (array.ndim - weight.ndim)), array.shape
            )
        self.total += float((array * weight).sum())
        self.count += float(weight.sum())

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self._enter(values, sample_weight)

    def __call__(self, values: Any, sample_weight: Any = None) -> float:  # type: ignore[override]
        self._enter(values, sample_weight)
        return self.result()

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0


class Sum(Mean):
    """The sum of numbers that are entered.

    Parameters
    ----------
    name : str, default "sum"
    """

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name)

    def result(self) -> float:
        return self.total


class MeanMetricWrapper(Mean):
    """The mean over all rows of what a function gives for (y_true, y_pred).

    Parameters
    ----------
    fn : callable
    name : str, optional
        By default the function's.
    **kwargs
        More arguments of the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        self.fn, self.kwargs = fn, kwargs
        super().__init__(name or str(getattr(fn, "__name__", snake_case(type(fn).__name__))))

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        output = as_array(y_pred)
        values = as_array(self.fn(as_array(y_true), output, **self.kwargs))
        if values.ndim == 0:  # the mean of a batch counts as its rows do
            weight = len(output) if sample_weight is None else float(as_array(sample_weight).sum())
            self.total += float(values) * weight
            self.count += weight
        else:
            self._enter(values, sample_weight)

    def __call__(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


# --- accuracies -----------------------------------------------------------------------------------


def _numbers(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Class numbers for scores [..., classes]."""
    rows = y_pred.shape[:-1]
    if y_true.shape == (*rows, 1):
        y_true = y_true.reshape(rows)
    if y_true.shape != rows:
        raise ShapeError(
            f"accuracy: y_true has shape {y_true.shape} and y_pred {y_pred.shape}, expected {rows}"
        )
    return y_true


def accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where both are equal."""
    return (y_true == y_pred).astype(np.float64)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """The share of elements on the right side of the threshold, along the last axis."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = y_true[..., None]
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"accuracy: y_true has shape {y_true.shape} and y_pred {y_pred.shape}, expected the same"
        )
    hits = (y_true == (y_pred > threshold)).astype(np.float64)
    return hits.mean(-1) if hits.ndim else hits


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where the largest scores are those of one-hot targets."""
    return (y_true.argmax(-1) == y_pred.argmax(-1)).astype(np.float64)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where the largest scores are those of class numbers."""
    return (_numbers(y_true, y_pred) == y_pred.argmax(-1)).astype(np.float64)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> np.ndarray:
    """Where fewer than k scores are above that of the right class, or it is among the first k numbers."""
    if from_sorted_ids:
        first = y_pred[..., :k].astype(np.int64)
        return (first == _numbers(y_true, y_pred).astype(np.int64)[..., None]).any(-1).astype(np.float64)
    numbers = _numbers(y_true, y_pred).astype(np.int64)[..., None]
    right = np.take_along_axis(y_pred, numbers, -1)
    return ((y_pred > right).sum(-1) < k).astype(np.float64)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """The same of one-hot targets."""
    return sparse_top_k_categorical_accuracy(y_true.argmax(-1), y_pred, k)


def right(y_true: Any, y_pred: Any) -> np.ndarray:
    """What "accuracy" is depends on the shapes: of two classes, of one-hot rows, or of class numbers."""
    if y_pred.shape[-1:] == (1,) or y_pred.ndim < 2:
        return binary_accuracy(y_true, y_pred)
    if y_true.shape == y_pred.shape:
        return categorical_accuracy(y_true, y_pred)
    return sparse_categorical_accuracy(y_true, y_pred)
