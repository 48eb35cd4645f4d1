"""The perceptron (Rosenblatt 1958) and its learning rule."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from einkorn import _versions
from einkorn._tensor import as_numpy
from einkorn.autograd import no_grad
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import Linear, Module, init

__all__ = ["Perceptron"]


class Perceptron(Module):
    """y = sgn(w x + b) with labels -1 and +1.

    ``forward`` gives the score w x + b. ``fit`` is not gradient descent but the perceptron's own rule:
    go through the rows, and for one that is misclassified add eta (y - y_hat) x to w and
    eta (y - y_hat) to b, until a whole pass finds none. If the classes are linearly separable it
    ends; after (R / margin)^2 updates at most, for rows of norm R and eta = 1/2 (Novikoff 1962).

    Parameters
    ----------
    in_features : int
    learning_rate : float, default 1.0
        eta. The weights start at 0, so it scales the solution and changes no decision.

    Attributes
    ----------
    converged : bool
        Whether the last ``fit`` ended with every row classified correctly.
    updates : int
        How many updates it made.
    """

    converged: bool = False
    updates: int = 0

    def __init__(self, in_features: int, learning_rate: float = 1.0) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ArgumentError(f"Perceptron: learning_rate is {learning_rate!r}, expected a number above 0")
        self.learning_rate = learning_rate
        self.linear = Linear(in_features, 1)
        init.zeros_(self.linear.weight)
        init.zeros_(self.linear.bias)  # type: ignore[type-var]
        self.input_shape = (self.linear.in_features,)
        self.config = {
            "in_features": self.linear.in_features,
            "learning_rate": float(learning_rate),
        }

    def forward(self, x: Any) -> Any:
        return self.linear(x)

    def fit(self, x: Any, y: Any, max_iter: int = 1000) -> Perceptron:  # type: ignore[override]
        """Learn from rows x [n, in_features] and labels y [n] of -1 and +1.

        Parameters
        ----------
        x, y : array
        max_iter : int, default 1000
            Updates after which it gives up, as it must when the classes are not separable.

        Returns
        -------
        Perceptron
            Itself; ``converged`` and ``updates`` tell how it went.
        """
        rows = self._rows(x, "fit")
        labels = as_numpy(y).astype(rows.dtype)
        if labels.shape != rows.shape[:1]:
            raise ShapeError(
                f"Perceptron.fit: y has shape {labels.shape}, expected {rows.shape[:1]} as x has "
                f"{len(rows)} rows"
            )
        if not np.isin(labels, (-1, 1)).all():
            raise ArgumentError("Perceptron.fit: y holds other labels, expected only -1 and 1")
        try:
            limit = operator.index(max_iter)
        except TypeError:
            raise ArgumentError(f"Perceptron.fit: max_iter is {max_iter!r}, expected an int") from None
        weight, bias = self.linear.weight._data, self.linear.bias._data  # type: ignore[union-attr]
        self.converged = False
        self.updates = 0
        position = 0  # the search goes on behind the row that was updated last
        while True:
            predicted = self._signs(rows)
            wrong = np.flatnonzero(predicted != labels)
            if wrong.size == 0:
                self.converged = True
                return self
            if self.updates >= limit:
                return self
            row = wrong[np.searchsorted(wrong, position) % wrong.size]
            step = self.learning_rate * (labels[row] - predicted[row])
            weight[0] += step * rows[row]
            bias += step
            _versions.wrote(weight, bias)
            self.updates += 1
            position = row + 1

    def predict(self, x: Any) -> np.ndarray:  # type: ignore[override]
        """The labels, -1 or +1 (0 for a row exactly on the border), [n]."""
        return self._signs(self._rows(x, "predict")).astype(np.int64)

    def score(self, x: Any, y: Any) -> float:
        """Share of rows whose label is predicted."""
        return float(np.mean(self.predict(x) == np.asarray(y)))

    def _rows(self, x: Any, op: str) -> np.ndarray:
        rows = as_numpy(x)
        if rows.ndim != 2 or rows.shape[1] != self.linear.in_features:
            raise ShapeError(
                f"Perceptron.{op}: x has shape {rows.shape}, expected [n, {self.linear.in_features}]"
            )
        return np.ascontiguousarray(rows, dtype=self.linear.weight._data.dtype)

    def _signs(self, rows: np.ndarray) -> np.ndarray:
        with no_grad():
            return np.sign(self.linear(rows)._data[:, 0])
