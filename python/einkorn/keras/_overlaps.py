"""Metrics of what prediction and truth share, and of how they vary together."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from einkorn import metrics as _own
from einkorn._objects import Configured
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._accounts import MeanMetricWrapper, Metric, as_array
from einkorn.keras._names import fresh_name, snake_case

__all__ = [
    "BinaryIoU", "ConcordanceCorrelation", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU",
    "PearsonCorrelation", "R2Score", "concordance_correlation", "pearson_correlation",
]  # fmt: skip


class MeanIoU(Configured, _own.MeanIoU):
    """The mean over classes of what prediction and truth share over what either has.

    Parameters
    ----------
    num_classes : int
    name : str, default "mean_io_u"
    ignore_class : int, optional
    sparse_y_true, sparse_y_pred : bool, default True
        Whether they are class numbers, or have an axis of classes.
    axis : int, default -1
        That of the classes.
    """

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None,
        sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1,
    ) -> None:  # fmt: skip
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        super().__init__(num_classes, name or fresh_name(snake_case(type(self).__name__)), ignore_class)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = as_array(y_true), as_array(y_pred)
        target = target if self.sparse_y_true else target.argmax(self.axis)
        output = output if self.sparse_y_pred else output.argmax(self.axis)
        super().update_state(target.astype(np.int64), output.astype(np.int64), sample_weight)


class IoU(MeanIoU):
    """The mean over chosen classes of what prediction and truth share over what either has.

    Classes that neither has are left out; 0 where none is left.

    Parameters
    ----------
    num_classes : int
    target_class_ids : list of int
    name, ignore_class, sparse_y_true, sparse_y_pred, axis : as :class:`MeanIoU`
    """

    def __init__(
        self, num_classes: int, target_class_ids: Any, name: str | None = None, dtype: Any = None,
        ignore_class: int | None = None, sparse_y_true: bool = True, sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:  # fmt: skip
        chosen = [int(number) for number in target_class_ids]
        if not chosen or not 0 <= min(chosen) <= max(chosen) < num_classes:
            raise ArgumentError(
                f"{type(self).__name__}: target_class_ids is {target_class_ids!r}, expected class numbers "
                f"from 0 to {num_classes - 1}"
            )
        self.target_class_ids = chosen
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def result(self) -> float:
        shared = np.diagonal(self.matrix)
        either = self.matrix.sum(0) + self.matrix.sum(1) - shared
        shared, either = shared[self.target_class_ids], either[self.target_class_ids]
        there = either > 0
        return float((shared[there] / either[there]).mean()) if there.any() else 0.0


class BinaryIoU(IoU):
    """The same of two classes, of scores on either side of a threshold.

    Parameters
    ----------
    target_class_ids : list of int, default (0, 1)
    threshold : float or None, default 0.5
        From which score on an element is of class 1; None where outputs are class numbers.
    name : str, default "binary_io_u"
    """

    def __init__(
        self, target_class_ids: Any = (0, 1), threshold: float | None = 0.5, name: str | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self.threshold = threshold
        super().__init__(2, target_class_ids, name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        output = as_array(y_pred)
        super().update_state(
            y_true, output if self.threshold is None else output >= self.threshold, sample_weight
        )


class OneHotIoU(IoU):
    """:class:`IoU` of one-hot targets; ``sparse_y_pred`` says whether outputs are class numbers."""

    def __init__(
        self, num_classes: int, target_class_ids: Any, name: str | None = None, dtype: Any = None,
        ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )  # fmt: skip


class OneHotMeanIoU(MeanIoU):
    """:class:`MeanIoU` of one-hot targets; ``sparse_y_pred`` says whether outputs are class numbers."""

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None,
        sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)


class R2Score(Metric):
    """1 minus the squared error over that of the mean target, of outputs [rows, columns].

    Parameters
    ----------
    class_aggregation : "uniform_average", "variance_weighted_average" or None, default "uniform_average"
        What is made of the columns' scores; None leaves them.
    num_regressors : int, default 0
        How many inputs the adjusted score subtracts from the rows; 0 is the plain score.
    name : str, default "r2_score"
    """

    sums: list[Any]

    def __init__(
        self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0,
        name: str = "r2_score", dtype: Any = None,
    ) -> None:  # fmt: skip
        if class_aggregation not in ("uniform_average", "variance_weighted_average", None):
            raise ArgumentError(
                f"R2Score: class_aggregation is {class_aggregation!r}, expected uniform_average, "
                "variance_weighted_average or None"
            )
        if isinstance(num_regressors, bool) or not isinstance(num_regressors, int) or num_regressors < 0:
            raise ArgumentError(f"R2Score: num_regressors is {num_regressors!r}, expected an integer >= 0")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        super().__init__(dtype, name)

    def _begin(self) -> dict[str, Any]:
        return {"sums": []}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = as_array(y_true).astype(np.float64), as_array(y_pred).astype(np.float64)
        if target.ndim == 1 and output.shape == (len(target), 1):
            target = target[:, None]
        if target.shape != output.shape or output.ndim != 2:
            raise ShapeError(
                f"{self.name}: y_true has shape {target.shape} and y_pred {output.shape}, expected "
                "[rows, columns] of both"
            )
        if not len(output):
            return
        weight = np.ones(len(output)) if sample_weight is None else as_array(sample_weight).astype(np.float64)
        weight = weight.reshape(len(output), -1)
        if not self.sums:  # about the first row, so that large targets lose no digits
            self.sums = [target[0].copy(), *(np.zeros(output.shape[1]) for _ in range(4)), 0]
        shifted = target - self.sums[0]
        for i, values in enumerate((np.ones_like(shifted), shifted, shifted**2, (output - target) ** 2)):
            self.sums[i + 1] = self.sums[i + 1] + (values * weight).sum(0)
        self.sums[5] += output.size

    def result(self) -> Any:
        if not self.sums:
            return 0.0
        _, count, first, second, error, size = self.sums
        varied = second - first**2 / count
        with np.errstate(divide="ignore", invalid="ignore"):
            each = 1.0 - error / varied
        each = np.where(np.isinf(each), 0.0, each)
        if self.class_aggregation is None:
            score = each
        elif self.class_aggregation == "uniform_average":
            score = each.mean()
        else:
            score = (each * varied).sum() / varied.sum()
        if self.num_regressors:
            left = size - self.num_regressors - 1
            if left > 0:
                score = 1.0 - (1.0 - score) * (size - 1.0) / left
            else:
                warnings.warn(
                    f"R2Score: num_regressors is {self.num_regressors}, too many for {size} targets: "
                    "the score is the plain one",
                    stacklevel=2,
                )
        return score if self.class_aggregation is None else float(score)


def _two(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    target, output = as_array(y_true).astype(np.float64), as_array(y_pred).astype(np.float64)
    if target.ndim == output.ndim - 1 and output.shape[-1] == 1:
        target = target[..., None]
    if target.shape != output.shape:
        raise ShapeError(
            f"correlation: y_true has shape {target.shape} and y_pred {output.shape}, expected the same"
        )
    return target, output


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """The mean product of both, each less its mean and over its deviation, along an axis."""
    scaled = []
    for values in _two(y_true, y_pred):
        apart = values - values.mean(axis, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled.append(apart / apart.std(axis, keepdims=True))
    return np.asarray((scaled[0] * scaled[1]).mean(axis))


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """Twice the covariance over both variances and the squared distance of the means (Lin 1989)."""
    target, output = _two(y_true, y_pred)
    apart = target.mean(axis) - output.mean(axis)
    along = output - output.mean(axis, keepdims=True)
    shared = (target * along).mean(axis)
    return np.asarray(2 * shared / (target.var(axis) + output.var(axis) + apart**2 + 1e-7))


class PearsonCorrelation(MeanMetricWrapper):
    """The mean of Pearson's correlation of the rows.

    Parameters
    ----------
    name : str, default "pearson_correlation"
    axis : int, default -1
    """

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean of the concordance correlation of the rows.

    Parameters
    ----------
    name : str, default "concordance_correlation"
    axis : int, default -1
    """

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
