"""Figures of scores of two classes, whatever the threshold: areas under curves, and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.data.arrays import as_array
from einkorn.errors import ArgumentError, ShapeError
from einkorn.metrics.base import Metric, pair, rows_of, spread

__all__ = ["AUC", "ExpectedCalibrationError", "precision_recall_curve", "roc_curve"]


def _steps(y_true: Any, y_score: Any, weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and false alarms down to each score, from the highest, and the scores."""
    order = np.argsort(-y_score, kind="stable")
    scores, positive, weight = y_score[order], y_true[order] > 0.5, weight[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    return np.cumsum(weight * positive)[ends], np.cumsum(weight * ~positive)[ends], scores[ends]


def _flat(
    op: str, y_true: Any, y_score: Any, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    target, score = pair(op, y_true, y_score)
    target, score = target.reshape(-1), score.reshape(-1)
    if target.shape != score.shape or not score.size:
        raise ShapeError(
            f"{op}: y_true has {target.size} and y_score {score.size} elements, expected equally "
            "many, and some"
        )
    if np.isnan(score).any():
        raise ArgumentError(f"{op}: y_score holds NaN, which has no place among scores")
    weight = rows_of(op, sample_weight, len(score))
    return target, score.astype(np.float64), np.ones(len(score)) if weight is None else weight


def _binary(op: str, y_true: Any, pos_label: Any) -> Any:
    """Labels as 0 and 1."""
    labels = as_array(y_true, f"{op}: y_true") if pos_label is None else np.asarray(y_true)
    if pos_label is not None:
        return (labels == pos_label).astype(np.float64)
    known = set(np.unique(labels).tolist())
    if not (known <= {0, 1} or known <= {-1, 1}):
        raise ArgumentError(
            f"{op}: y_true holds {sorted(known)[:5]}, expected 0 and 1, or -1 and 1: of other labels "
            "pos_label says which counts as 1"
        )
    return labels


def roc_curve(
    y_true: Any,
    y_score: Any,
    *,
    pos_label: Any = None,
    sample_weight: Any = None,
    drop_intermediate: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The receiver operating characteristic.

    Parameters
    ----------
    y_true : array [rows]
        0 and 1, or -1 and 1.
    y_score : array [rows]
    pos_label : int or str, keyword-only, optional
        The label that counts as 1, of any labels.
    sample_weight : array [rows], keyword-only, optional
    drop_intermediate : bool, keyword-only, default True
        Whether thresholds whose points lie on a line between others are left out.

    Returns
    -------
    fpr, tpr, thresholds : arrays
        Shares of false and of true alarms for thresholds from infinity down.
    """
    labels = _binary("roc_curve", y_true, pos_label)
    hits, alarms, thresholds = _steps(*_flat("roc_curve", labels, y_score, sample_weight))
    if drop_intermediate and len(hits) > 2:
        bends = (np.diff(hits, 2) != 0) | (np.diff(alarms, 2) != 0)
        kept = np.concatenate([[True], bends, [True]])
        hits, alarms, thresholds = hits[kept], alarms[kept], thresholds[kept]
    hits, alarms = np.append(0.0, hits), np.append(0.0, alarms)
    with np.errstate(invalid="ignore"):
        return alarms / alarms[-1], hits / hits[-1], np.append(np.inf, thresholds)


def precision_recall_curve(
    y_true: Any,
    y_score: Any,
    *,
    pos_label: Any = None,
    sample_weight: Any = None,
    drop_intermediate: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall for every threshold, from the lowest; arguments as ``roc_curve``.

    With ``drop_intermediate`` thresholds are left out between which recall stays the same.

    Returns
    -------
    precision, recall, thresholds : arrays
        The first two end with 1 and 0, which no threshold gives.
    """
    labels = _binary("precision_recall_curve", y_true, pos_label)
    hits, alarms, thresholds = _steps(*_flat("precision_recall_curve", labels, y_score, sample_weight))
    if drop_intermediate and len(hits) > 2:
        kept = np.concatenate([[True], (np.diff(hits[:-1]) != 0) | (np.diff(hits[1:]) != 0), [True]])
        hits, alarms, thresholds = hits[kept], alarms[kept], thresholds[kept]
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits + alarms > 0)
    recall = hits / hits[-1] if hits[-1] else np.ones_like(hits)
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


class AUC(Metric):
    """The area under the receiver operating characteristic, or under precision over recall.

    All scores are kept, so the area is exact: scikit-learn's ``roc_auc_score``, and for "PR"
    ``average_precision_score``. Scores [rows, 2] are taken for those of the second class.

    Parameters
    ----------
    curve : "ROC" or "PR", default "ROC"
    name : str, default "auc"
    """

    costly = True
    kept: list[list[np.ndarray]]

    def __init__(self, curve: str = "ROC", name: str = "auc") -> None:
        if curve not in ("ROC", "PR"):
            raise ArgumentError(f"AUC: curve is {curve!r}, expected 'ROC' or 'PR'")
        self.curve = curve
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"kept": []}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, score = pair(self.name, y_true, y_pred)
        if score.ndim == 2 and score.shape[1] == 2:
            score = score[:, 1].astype(np.float64) - (0 if self._are_shares(score) else score[:, 0])
            target = target.argmax(1) if target.ndim == 2 and target.shape[1] == 2 else target
        if target.size != score.size:
            raise ShapeError(
                f"{self.name}: y_pred has shape {score.shape} and y_true {target.shape}, expected a score of "
                "the second class for each element"
            )
        weight = spread(rows_of(self.name, sample_weight, len(score)), score.shape)
        self.kept.append([target.reshape(-1).copy(), score.reshape(-1).copy(), weight.reshape(-1).copy()])

    @staticmethod
    def _are_shares(score: np.ndarray) -> bool:
        return bool((score >= 0).all() and (abs(score.sum(1) - 1) < 1e-4).all())

    def result(self) -> float:
        """The area; NaN where only one class has been seen, or a score that is NaN."""
        if not self.kept:
            return float("nan")
        parts = [np.concatenate([batch[i] for batch in self.kept]) for i in range(3)]
        if not len(parts[0]) or np.isnan(parts[1]).any():
            return float("nan")
        hits, alarms, _ = _steps(parts[0], parts[1].astype(np.float64), parts[2])
        if not hits[-1] or (self.curve == "ROC" and not alarms[-1]):
            return float("nan")
        if self.curve == "PR":
            precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits + alarms > 0)
            return float((np.diff(np.append(0.0, hits / hits[-1])) * precision).sum())
        x, y = np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])
        return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)


class ExpectedCalibrationError(Metric):
    """How far confidence is from accuracy, in bins of confidence, weighted by the rows in each.

    Naeini et al. 2015. Predictions are probabilities: [rows, classes], whose largest is the confidence, or
    of the second of two classes.

    Parameters
    ----------
    num_bins : int, default 15
        Of equal width from 0 to 1.
    name : str, default "expected_calibration_error"
    """

    rows: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    def __init__(self, num_bins: int = 15, name: str = "expected_calibration_error") -> None:
        if isinstance(num_bins, bool) or not isinstance(num_bins, int) or num_bins < 1:
            raise ArgumentError(
                f"ExpectedCalibrationError: num_bins is {num_bins!r}, expected an integer >= 1"
            )
        self.num_bins = num_bins
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        empty = np.zeros(self.num_bins)
        return {"rows": empty, "confidence": empty, "right": empty}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, chances = pair(self.name, y_true, y_pred)
        if chances.size and not ((chances >= 0) & (chances <= 1 + 1e-5)).all():
            raise ArgumentError(f"{self.name}: y_pred holds {chances.min():g} to {chances.max():g}, expected "
                                "probabilities from 0 to 1")  # fmt: skip
        by_class = chances.ndim == 2 and chances.shape[1] > 1
        if target.size != (len(chances) if by_class else chances.size) and target.shape != chances.shape:
            raise ShapeError(
                f"{self.name}: y_pred has shape {chances.shape} and y_true {target.shape}, expected a "
                "class for each row"
            )
        if by_class:
            target = target.argmax(1) if target.shape == chances.shape else target.reshape(-1)
            right = chances.argmax(1) == target
            confidence = chances.max(1).astype(np.float64)
        else:
            second = chances.reshape(-1).astype(np.float64)
            confidence = np.maximum(second, 1 - second)
            right = (second > 0.5) == (target.reshape(-1) > 0.5)
        weight = rows_of(self.name, sample_weight, len(right))
        weight = np.ones(len(right)) if weight is None else weight
        # bins are (low, high], as the paper has them
        place = np.clip(np.ceil(confidence * self.num_bins).astype(np.int64) - 1, 0, self.num_bins - 1)
        self.rows = self.rows + np.bincount(place, weight, self.num_bins)
        self.confidence = self.confidence + np.bincount(place, weight * confidence, self.num_bins)
        self.right = self.right + np.bincount(place, weight * right, self.num_bins)

    def result(self) -> float:
        total = self.rows.sum()
        return float(abs(self.confidence - self.right).sum() / total) if total else float("nan")
