"""Metrics of what is right and wrong on each side of a threshold."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._accounts import Metric, as_array
from einkorn.keras._names import fresh_name, snake_case

__all__ = [
    "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall", "Recall",
    "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity", "TrueNegatives",
    "TruePositives",
]  # fmt: skip


class _Counted(Metric):
    """How many elements are right and wrong on each side of a threshold."""

    tp: np.ndarray
    fp: np.ndarray
    tn: np.ndarray
    fn: np.ndarray

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if top_k is not None and thresholds is None:
            thresholds = -np.inf
        self.top_k, self.class_id = top_k, class_id
        self.several = isinstance(thresholds, (list, tuple, np.ndarray))
        self.thresholds = np.atleast_1d(np.asarray(0.5 if thresholds is None else thresholds, np.float32))
        super().__init__(dtype, name or fresh_name(snake_case(type(self).__name__)))

    def _begin(self) -> dict[str, Any]:
        return {key: np.zeros(len(self.thresholds)) for key in ("tp", "fp", "tn", "fn")}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, score = as_array(y_true), as_array(y_pred).astype(np.float32)
        if target.ndim == score.ndim - 1 and score.shape[-1] == 1:
            target = target[..., None]
        if target.shape != score.shape:
            raise ShapeError(
                f"{self.name}: y_true has shape {target.shape} and y_pred {score.shape}, expected the same: "
                "0 and 1 for each element"
            )
        if self.top_k is not None:
            least = np.sort(score, -1)[..., -self.top_k, None]
            score = np.where(score >= least, score, -np.inf)
        if self.class_id is not None:
            target, score = target[..., self.class_id], score[..., self.class_id]
        weight = np.ones(score.shape)
        if sample_weight is not None:
            given = as_array(sample_weight).astype(np.float64)
            weight = np.broadcast_to(given.reshape(len(score), *[1] * (score.ndim - 1)), score.shape)
        positive = target.astype(bool)
        for i, threshold in enumerate(self.thresholds):
            said = score > threshold
            self.tp[i] += weight[positive & said].sum()
            self.fp[i] += weight[~positive & said].sum()
            self.tn[i] += weight[~positive & ~said].sum()
            self.fn[i] += weight[positive & ~said].sum()

    def _given(self, values: np.ndarray) -> Any:
        return values if self.several else float(values[0])


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


class Precision(_Counted):
    """The share of what is said to be positive that is so.

    Parameters
    ----------
    thresholds : float or list of float, default 0.5
        From which score on an element is said to be positive.
    top_k : int, optional
        Only the k largest scores of a row are.
    class_id : int, optional
        Only this column.
    name : str, default "precision"
    """

    def result(self) -> Any:
        return self._given(ratio(self.tp, self.tp + self.fp))


class Recall(_Counted):
    """The share of what is positive that is said to be so; arguments as :class:`Precision`."""

    def result(self) -> Any:
        return self._given(ratio(self.tp, self.tp + self.fn))


class _OneCount(_Counted):
    _key: ClassVar[str]

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, None, None, name)

    def result(self) -> Any:
        return self._given(getattr(self, self._key))


class TruePositives(_OneCount):
    """How many positives are said to be so.

    Parameters
    ----------
    thresholds : float or list of float, default 0.5
    """

    _key = "tp"


class FalsePositives(_OneCount):
    """How many negatives are said to be positive; arguments as :class:`TruePositives`."""

    _key = "fp"


class TrueNegatives(_OneCount):
    """How many negatives are said to be so; arguments as :class:`TruePositives`."""

    _key = "tn"


class FalseNegatives(_OneCount):
    """How many positives are said to be negative; arguments as :class:`TruePositives`."""

    _key = "fn"


def _sensitivity(of: _Counted) -> np.ndarray:
    return ratio(of.tp, of.tp + of.fn)


def _specificity(of: _Counted) -> np.ndarray:
    return ratio(of.tn, of.tn + of.fp)


def _precision(of: _Counted) -> np.ndarray:
    return ratio(of.tp, of.tp + of.fp)


class _AtLeast(_Counted):
    """The best of one figure among the thresholds at which another one is high enough."""

    _bound: ClassVar[Any]  # functions of the counts
    _best: ClassVar[Any]
    _bound_name: ClassVar[str]

    def __init__(
        self, value: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        owner = type(self).__name__
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ArgumentError(f"{owner}: {self._bound_name} is {value!r}, expected a number from 0 to 1")
        if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, int) or num_thresholds < 1:
            raise ArgumentError(f"{owner}: num_thresholds is {num_thresholds!r}, expected an integer >= 1")
        self.value, self.num_thresholds = float(value), num_thresholds
        if num_thresholds == 1:
            thresholds = np.array([0.5], np.float32)
        else:
            thresholds = np.linspace(0.0, 1.0, num_thresholds, dtype=np.float32)
            thresholds[0] = -1e-7  # at 0 everything is positive, a score of 0 too
        super().__init__(thresholds, None, class_id, name)

    def result(self) -> float:
        allowed = type(self)._bound(self) >= self.value
        return float(np.where(allowed, type(self)._best(self), 0.0).max())


class SensitivityAtSpecificity(_AtLeast):
    """The largest sensitivity, tp / (tp + fn), of thresholds with at least this specificity, tn / (tn + fp).

    Parameters
    ----------
    specificity : float
        From 0 to 1.
    num_thresholds : int, default 200
        Evenly from 0 to 1.
    class_id : int, optional
        Only this column.
    name : str, default "sensitivity_at_specificity"
    """

    _bound, _best = staticmethod(_specificity), staticmethod(_sensitivity)
    _bound_name = "specificity"

    def __init__(
        self, specificity: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = self.value


class SpecificityAtSensitivity(_AtLeast):
    """The largest specificity of thresholds with at least this sensitivity.

    Parameters
    ----------
    sensitivity : float
    num_thresholds, class_id, name : as :class:`SensitivityAtSpecificity`
    """

    _bound, _best = staticmethod(_sensitivity), staticmethod(_specificity)
    _bound_name = "sensitivity"

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = self.value


class PrecisionAtRecall(_AtLeast):
    """The largest precision, tp / (tp + fp), of thresholds with at least this recall, tp / (tp + fn).

    Parameters
    ----------
    recall : float
    num_thresholds, class_id, name : as :class:`SensitivityAtSpecificity`
    """

    _bound, _best = staticmethod(_sensitivity), staticmethod(_precision)
    _bound_name = "recall"

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = self.value


class RecallAtPrecision(_AtLeast):
    """The largest recall of thresholds with at least this precision.

    Parameters
    ----------
    precision : float
    num_thresholds, class_id, name : as :class:`SensitivityAtSpecificity`
    """

    _bound, _best = staticmethod(_precision), staticmethod(_sensitivity)
    _bound_name = "precision"

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None,
        name: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = self.value


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), of each class of one-hot targets.

    Parameters
    ----------
    average : "micro", "macro", "weighted" or None, default None
    beta : float, default 1
        How many times as much recall counts.
    threshold : float, optional
        Above which score a class is said; without one it is the largest, if that is not 0.
    name : str, default "fbeta_score"
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    def __init__(
        self, average: str | None = None, beta: float = 1.0, threshold: float | None = None,
        name: str = "fbeta_score", dtype: Any = None,
    ) -> None:  # fmt: skip
        owner = type(self).__name__
        if average not in ("micro", "macro", "weighted", None):
            raise ArgumentError(f"{owner}: average is {average!r}, expected micro, macro, weighted or None")
        if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not beta > 0:
            raise ArgumentError(f"{owner}: beta is {beta!r}, expected a number above 0")
        if threshold is not None and not (isinstance(threshold, (int, float)) and 0 < threshold <= 1):
            raise ArgumentError(f"{owner}: threshold is {threshold!r}, expected None or a number up to 1")
        self.average, self.beta, self.threshold = average, float(beta), threshold
        super().__init__(dtype, name)

    def _begin(self) -> dict[str, Any]:
        return {"tp": np.zeros(0), "fp": np.zeros(0), "fn": np.zeros(0)}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, score = as_array(y_true), as_array(y_pred)
        if target.shape != score.shape or score.ndim != 2:
            raise ShapeError(
                f"{self.name}: y_true has shape {target.shape} and y_pred {score.shape}, expected "
                "[rows, classes] of both"
            )
        if self.threshold is None:
            said = (score == score.max(-1, keepdims=True)) & (np.abs(score) > 1e-9)
        else:
            said = score > self.threshold
        weight = np.ones(len(score)) if sample_weight is None else as_array(sample_weight).astype(np.float64)
        positive = target.astype(bool)
        if not self.tp.size:
            self.tp = self.fp = self.fn = np.zeros(score.shape[1])
        self.tp = self.tp + weight @ (positive & said)
        self.fp = self.fp + weight @ (~positive & said)
        self.fn = self.fn + weight @ (positive & ~said)

    def result(self) -> Any:
        tp, fp, fn = self.tp, self.fp, self.fn
        if self.average == "micro":
            tp, fp, fn = (np.atleast_1d(part.sum()) for part in (tp, fp, fn))
        square = self.beta**2
        each = ratio((1 + square) * tp, (1 + square) * tp + fp + square * fn)
        if self.average is None:
            return each
        if self.average == "weighted":
            share = ratio(tp + fn, np.full_like(tp, (tp + fn).sum()))
            return float((each * share).sum())
        return float(each.mean()) if each.size else 0.0


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), of each class of one-hot targets.

    Parameters
    ----------
    average, threshold : as :class:`FBetaScore`
    name : str, default "f1_score"
    """

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = "f1_score",
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(average, 1.0, threshold, name, dtype)
