"""The area under a curve by thresholds, as Keras sums it."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._accounts import Metric, as_array
from einkorn.keras._counts import ratio
from einkorn.keras._names import fresh_name

__all__ = ["AUC"]

_CURVES, _METHODS = ("ROC", "PR", "PRGAIN"), ("interpolation", "minoring", "majoring")


class AUC(Metric):
    """The area under a curve whose points are those of thresholds; of many scores, nearly the exact area.

    Parameters
    ----------
    num_thresholds : int, default 200
        Evenly from 0 to 1, beyond which the outermost ones lie.
    curve : "ROC", "PR" or "PRGAIN", default "ROC"
        True positives over false ones, precision over recall, or their gains.
    summation_method : "interpolation", "minoring" or "majoring", default "interpolation"
        Between points: straight lines ("PR": those of Davis and Goadrich 2006), or the lower or higher one.
    name : str, default "auc"
    thresholds : list of float, optional
        Those between the outermost ones, instead of even ones.
    multi_label : bool, default False
        Whether each column has an area of its own, of which the mean is taken.
    num_labels : int, optional
        How many columns there are.
    label_weights : list of float, optional
        Of the columns, or of their areas in the mean.
    from_logits : bool, default False
        Whether scores become probabilities by a sigmoid first.

    Notes
    -----
    ``einkorn.metrics.AUC`` keeps all scores, and is exact.
    """

    tp: np.ndarray
    fp: np.ndarray
    tn: np.ndarray
    fn: np.ndarray

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
        name: str | None = None, dtype: Any = None, thresholds: Any = None, multi_label: bool = False,
        num_labels: int | None = None, label_weights: Any = None, from_logits: bool = False,
    ) -> None:  # fmt: skip
        if curve not in _CURVES:
            raise ArgumentError(f"AUC: curve is {curve!r}, expected one of {', '.join(_CURVES)}")
        method = str(summation_method).lower()
        if method not in _METHODS:
            raise ArgumentError(
                f"AUC: summation_method is {summation_method!r}, expected one of {', '.join(_METHODS)}"
            )
        if num_labels is not None and not multi_label:
            raise ArgumentError("AUC: num_labels is given, expected multi_label=True with it")
        if thresholds is not None:
            inner = np.sort(np.asarray(thresholds, np.float64).reshape(-1))
            if inner.size and not 0 <= inner[0] <= inner[-1] <= 1:
                raise ArgumentError(f"AUC: thresholds is {thresholds!r}, expected numbers from 0 to 1")
            ends = np.concatenate([[0.0], inner, [1.0]])
            self.evenly = bool(np.allclose(ends, np.linspace(0, 1, len(ends)), atol=1e-7))
        else:
            if (
                isinstance(num_thresholds, bool)
                or int(num_thresholds) != num_thresholds
                or num_thresholds < 2
            ):
                raise ArgumentError(f"AUC: num_thresholds is {num_thresholds!r}, expected an integer >= 2")
            inner, self.evenly = np.linspace(0, 1, int(num_thresholds))[1:-1], True
        self.thresholds = [-1e-7, *inner.tolist(), 1 + 1e-7]
        self.num_thresholds, self.curve, self.summation_method = len(self.thresholds), curve, method
        self.multi_label, self.num_labels, self.from_logits = bool(multi_label), num_labels, bool(from_logits)
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float64)
        super().__init__(dtype, name or fresh_name("auc"))

    def _begin(self) -> dict[str, Any]:
        columns = 1 if not self.multi_label else self.num_labels or 0
        return {key: np.zeros((self.num_thresholds, columns)) for key in ("tp", "fp", "tn", "fn")}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, score = as_array(y_true), as_array(y_pred).astype(np.float32)
        if target.ndim == score.ndim - 1 and score.shape[-1] == 1:
            target = target[..., None]
        elif score.ndim == target.ndim - 1 and target.shape[-1] == 1:
            target = target[..., 0]
        if target.shape != score.shape or (self.multi_label and score.ndim != 2):
            raise ShapeError(
                f"{self.name}: y_true has shape {target.shape} and y_pred {score.shape}, expected "
                + ("[rows, labels] of both" if self.multi_label else "the same: 0 and 1 for each element")
            )
        if self.from_logits:
            with np.errstate(over="ignore"):
                score = np.float32(1) / (np.float32(1) + np.exp(-score))
        weight = np.ones(score.shape)
        if sample_weight is not None:
            given = as_array(sample_weight).astype(np.float64)
            if given.ndim < score.ndim:
                given = given.reshape(*given.shape, *[1] * (score.ndim - given.ndim))
            weight = np.broadcast_to(given, score.shape)
        if self.label_weights is not None and not self.multi_label:
            weight = weight * self.label_weights
        columns = score.shape[1] if self.multi_label else 1
        if self.tp.shape[1] != columns:
            if self.tp.any() or self.fp.any() or self.tn.any() or self.fn.any() or self.num_labels:
                raise ShapeError(f"{self.name}: y_pred has {columns} labels, expected {self.tp.shape[1]}")
            self.tp, self.fp, self.tn, self.fn = (np.zeros((self.num_thresholds, columns)) for _ in range(4))
        flat = [part.reshape(-1, columns) for part in (target.astype(bool), score, weight)]
        for column in range(columns):
            self._count(column, *(part[:, column] for part in flat))

    def _count(self, column: int, positive: np.ndarray, score: np.ndarray, weight: np.ndarray) -> None:
        """Add elements: how many lie above each threshold, from how many lie between them."""
        last = self.num_thresholds - 1
        if self.evenly:
            with np.errstate(invalid="ignore"):
                place = np.ceil(np.clip(score, 0, 1) * np.float32(last)) - 1
            place = np.maximum(np.nan_to_num(place), 0).astype(np.int64)
        else:
            place = np.searchsorted(np.asarray(self.thresholds, np.float32), score, "left") - 1
            place = np.clip(place, -1, last)
        for said, other, chosen in ((self.tp, self.fn, positive), (self.fp, self.tn, ~positive)):
            counts = np.bincount(place[chosen] + 1, weight[chosen], self.num_thresholds + 1)
            above = counts[::-1].cumsum()[::-1][1:]
            said[:, column] += above
            other[:, column] += counts.sum() - above

    def result(self) -> float:
        """The area; 0 where nothing was seen."""
        if not self.tp.size:
            return 0.0
        areas = (
            self._pr_area()
            if (self.curve, self.summation_method) == ("PR", "interpolation")
            else self._area()
        )
        if self.label_weights is not None and self.multi_label:
            return float((areas * self.label_weights).sum() / max(self.label_weights.sum(), 1e-30))
        return float(areas.mean())

    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        tp, fp, tn, fn = self.tp, self.fp, self.tn, self.fn
        if self.curve == "ROC":
            return ratio(fp, fp + tn), ratio(tp, tp + fn)
        if self.curve == "PR":
            return ratio(tp, tp + fn), ratio(tp, tp + fp)
        odds = ratio(tp + fn, tn + fp)
        recall, precision = 1 - odds * ratio(fn, tp), 1 - odds * ratio(fp, tp)
        return np.maximum(np.where(tp == 0, 0.0, recall), 0), np.where(tp == 0, 1.0, precision)

    def _area(self) -> np.ndarray:
        x, y = self._points()
        before, after = y[:-1], y[1:]
        height = {
            "interpolation": (before + after) / 2,
            "minoring": np.minimum(before, after),
            "majoring": np.maximum(before, after),
        }[self.summation_method]
        found: np.ndarray = ((x[:-1] - x[1:]) * height).sum(0)
        return found

    def _pr_area(self) -> np.ndarray:
        """True and all positives change evenly between two thresholds, precision then along a curve."""
        tp, said = self.tp, self.tp + self.fp
        more = tp[:-1] - tp[1:]
        slope = ratio(more, np.maximum(said[:-1] - said[1:], 0))
        constant = tp[1:] - slope * said[1:]
        both = (said[:-1] > 0) & (said[1:] > 0)
        growth = np.divide(said[:-1], said[1:], out=np.ones_like(more), where=both)
        found: np.ndarray = ratio(slope * (more + constant * np.log(growth)), (tp + self.fn)[1:]).sum(0)
        return found
