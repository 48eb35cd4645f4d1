"""Figures of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.metrics.base import Metric, pair, rows_of, spread
from einkorn.metrics.classification import _alike, _Mean

__all__ = [
    "CosineSimilarity",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "R2Score",
    "RootMeanSquaredError",
]


class _Differences(_Mean):
    def _values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        target = _alike(self.name, y_true, y_pred).astype(np.float64)
        return self._errors(target, y_pred.astype(np.float64))

    def _errors(self, target: np.ndarray, output: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no _errors()")


class MeanSquaredError(_Differences):
    """The mean of squared differences.

    Parameters
    ----------
    name : str, default "mean_squared_error"
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(name)

    def _errors(self, target: np.ndarray, output: np.ndarray) -> np.ndarray:
        return (output - target) ** 2


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of squared differences.

    Parameters
    ----------
    name : str, default "root_mean_squared_error"
    """

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name)

    def result(self) -> float:
        return float(np.sqrt(super().result()))


class MeanAbsoluteError(_Differences):
    """The mean of absolute differences.

    Parameters
    ----------
    name : str, default "mean_absolute_error"
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(name)

    def _errors(self, target: np.ndarray, output: np.ndarray) -> np.ndarray:
        return abs(output - target)


class MeanAbsolutePercentageError(_Differences):
    """100 times the mean of absolute differences over absolute targets, which count as 1e-7 at least.

    As in Keras; scikit-learn's figure has no factor of 100.

    Parameters
    ----------
    name : str, default "mean_absolute_percentage_error"
    """

    def __init__(self, name: str = "mean_absolute_percentage_error") -> None:
        super().__init__(name)

    def _errors(self, target: np.ndarray, output: np.ndarray) -> np.ndarray:
        return 100.0 * abs(output - target) / np.maximum(abs(target), 1e-7)


class MeanSquaredLogarithmicError(_Differences):
    """The mean of squared differences of log(1 + x), of numbers that count as 1e-7 at least.

    Parameters
    ----------
    name : str, default "mean_squared_logarithmic_error"
    """

    def __init__(self, name: str = "mean_squared_logarithmic_error") -> None:
        super().__init__(name)

    def _errors(self, target: np.ndarray, output: np.ndarray) -> np.ndarray:
        return (np.log1p(np.maximum(output, 1e-7)) - np.log1p(np.maximum(target, 1e-7))) ** 2


class CosineSimilarity(_Differences):
    """The mean cosine of the angle between rows.

    Parameters
    ----------
    name : str, default "cosine_similarity"
    """

    def __init__(self, name: str = "cosine_similarity") -> None:
        super().__init__(name)

    def _errors(self, target: np.ndarray, output: np.ndarray) -> np.ndarray:
        lengths = np.sqrt((target**2).sum(-1) * (output**2).sum(-1))
        return (target * output).sum(-1) / np.maximum(lengths, 1e-12)


class R2Score(Metric):
    """1 minus the squared error over that of the mean target: the share of variance that is explained.

    The mean of the columns, as scikit-learn has it. The sums are taken about the first row, so that large
    targets lose no digits.

    Parameters
    ----------
    name : str, default "r2_score"
    """

    sums: list[Any]

    def __init__(self, name: str = "r2_score") -> None:
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"sums": []}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = pair(self.name, y_true, y_pred)
        target = _alike(self.name, target, output)
        if not len(output):
            return
        target = target.astype(np.float64).reshape(len(output), -1)
        output = output.astype(np.float64).reshape(len(output), -1)
        weight = spread(rows_of(self.name, sample_weight, len(output)), output.shape)
        if not self.sums:
            self.sums = [target[0].copy(), *(np.zeros(output.shape[1]) for _ in range(4))]
        shifted = target - self.sums[0]
        for i, values in enumerate((np.ones_like(shifted), shifted, shifted**2, (output - target) ** 2)):
            self.sums[i + 1] = self.sums[i + 1] + (values * weight).sum(0)

    def result(self) -> float:
        if not self.sums:
            return float("nan")
        _, count, first, second, error = self.sums
        spread_ = second - first**2 / count
        each = np.where(error == 0, 1.0, 0.0)  # of a constant target: right or wrong
        varies = spread_ > 0
        each[varies] = 1.0 - error[varies] / spread_[varies]
        return float(each.mean())
