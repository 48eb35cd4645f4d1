"""Figures of classes: accuracies, and what a confusion matrix tells."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.metrics.base import Metric, pair, rows_of, spread

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "F1Score",
    "MeanIoU",
    "Precision",
    "Recall",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]


class _Mean(Metric):
    """The weighted mean of a number for each row."""

    total: float
    count: float
    _texts = False  # whether targets and predictions may be texts

    def _begin(self) -> dict[str, Any]:
        return {"total": 0.0, "count": 0.0}

    def _values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """The numbers, shaped like the rows or like the elements."""
        raise TypeError(f"{type(self).__name__} defines no _values()")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = pair(self.name, y_true, y_pred, texts=self._texts)
        values = np.asarray(self._values(target, output))
        if values.ndim == 0 and sample_weight is not None:
            raise ShapeError(
                f"{self.name}: y_pred has shape {output.shape}, one row, which has no sample_weight"
            )
        weight = spread(rows_of(self.name, sample_weight, len(output)), values.shape)
        self.total += float((values * weight).sum(dtype=np.float64))
        self.count += float(weight.sum(dtype=np.float64))

    def result(self) -> float:
        return self.total / self.count if self.count else float("nan")


def _alike(name: str, target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The target in the shape of the output, which differs at most by an axis of length 1."""
    if target.shape == output.shape:
        return target
    if target.size == output.size and target.shape[:1] == output.shape[:1]:
        squeezed = [n for n in target.shape if n != 1], [n for n in output.shape if n != 1]
        if squeezed[0] == squeezed[1]:
            return target.reshape(output.shape)
    raise ShapeError(
        f"{name}: y_pred has shape {output.shape}, so y_true, {target.shape}, should have it too"
    )


def _classes(name: str, target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Class numbers, from numbers or one-hot rows, for scores [rows, classes, ...]."""
    if output.ndim < 2 or output.shape[1] < 1:
        raise ShapeError(f"{name}: y_pred has shape {output.shape}, expected [rows, classes, ...]")
    rows = (output.shape[0], *output.shape[2:])
    if target.shape == output.shape and (target.shape != rows):
        return target.argmax(1)
    if target.shape == (rows[0], 1, *rows[1:]):
        target = target.reshape(rows)
    if target.shape != rows:
        raise ShapeError(
            f"{name}: y_pred has shape {output.shape}, so y_true should be class numbers {rows} or one-hot "
            f"rows, got {target.shape}"
        )
    return target.astype(np.int64)


class Accuracy(_Mean):
    """The share of elements that are equal, or of rows of scores whose largest is that of the class.

    Parameters
    ----------
    name : str, default "accuracy"
    """

    _texts = True

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(name)

    def _values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[1] > 1:
            return y_pred.argmax(1) == y_true
        return _alike(self.name, y_true, y_pred) == y_pred


class BinaryAccuracy(_Mean):
    """The share of elements on the right side of the threshold.

    Parameters
    ----------
    name : str, default "binary_accuracy"
    threshold : float, default 0.5
        A larger score means the second class.
    """

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        self.threshold = _threshold(type(self).__name__, "threshold", threshold)
        super().__init__(name)

    def _values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return (_alike(self.name, y_true, y_pred) > 0.5) == (y_pred > self.threshold)


class CategoricalAccuracy(_Mean):
    """The share of rows whose largest score is that of the class of a one-hot row.

    Parameters
    ----------
    name : str, default "categorical_accuracy"
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def _values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return y_pred.argmax(1) == _classes(self.name, y_true, y_pred)


class SparseCategoricalAccuracy(CategoricalAccuracy):
    """The share of rows whose largest score is that of the class.

    Parameters
    ----------
    name : str, default "sparse_categorical_accuracy"
    """

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)


class TopKCategoricalAccuracy(_Mean):
    """The share of rows whose class has one of the k largest scores.

    A class that shares its score with others is among them if fewer than k scores are larger.

    Parameters
    ----------
    k : int, default 5
    name : str, default "top_k_categorical_accuracy"
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ArgumentError(f"{type(self).__name__}: k is {k!r}, expected an integer >= 1")
        self.k = k
        super().__init__(name)

    def _values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        classes = _classes(self.name, y_true, y_pred)
        there = (classes >= 0) & (classes < y_pred.shape[1])  # others are among no largest
        own = np.take_along_axis(y_pred, np.expand_dims(np.where(there, classes, 0), 1), 1)
        return ((y_pred > own).sum(1) < self.k) & np.isfinite(own.squeeze(1)) & there


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """As ``TopKCategoricalAccuracy``, of class numbers.

    Parameters
    ----------
    k : int, default 5
    name : str, default "sparse_top_k_categorical_accuracy"
    """

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(k, name)


def _threshold(metric: str, argument: str, value: Any) -> float:
    """A threshold of scores, 0.5 if there is none."""
    if value is None:
        return 0.5
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        hint = ": average= takes the way to average" if isinstance(value, str) else ""
        raise ArgumentError(f"{metric}: {argument} is {value!r}, expected a number{hint}")
    return float(value)


# --- precision, recall, F1 ----------------------------------------------------------------------


class _Counts(Metric):
    """Hits, false alarms and misses of each class.

    Scores [rows, classes] are taken for the class of the largest; single scores are compared with the
    threshold.
    """

    hits: np.ndarray
    alarms: np.ndarray
    misses: np.ndarray
    _threshold_name = "thresholds"

    def __init__(
        self, thresholds: float | None, class_id: int | None, average: str | None, name: str
    ) -> None:
        averages = (None, "binary", "micro", "macro", "weighted")
        if average not in averages:
            raise ArgumentError(f"{type(self).__name__}: average is {average!r}, expected one of {averages}")
        self.thresholds = _threshold(type(self).__name__, self._threshold_name, thresholds)
        if class_id is not None and (
            isinstance(class_id, bool) or not isinstance(class_id, (int, np.integer)) or class_id < 0
        ):
            raise ArgumentError(f"{type(self).__name__}: class_id is {class_id!r}, expected an integer >= 0")
        self.class_id = class_id
        self.average = average
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        empty = np.zeros(0)
        return {"hits": empty, "alarms": empty, "misses": empty}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = pair(self.name, y_true, y_pred)
        if output.ndim > 1 and output.shape[1] > 1:
            classes = output.shape[1]
            wanted = _classes(self.name, target, output).reshape(-1)
            predicted = output.argmax(1)
            weight = spread(rows_of(self.name, sample_weight, len(output)), predicted.shape).reshape(-1)
            predicted = predicted.reshape(-1)
        else:
            classes = 2
            target = _alike(self.name, target, output)
            wanted = (target > 0.5).astype(np.int64).reshape(-1)
            predicted = (output > self.thresholds).astype(np.int64).reshape(-1)
            weight = spread(rows_of(self.name, sample_weight, len(output)), output.shape).reshape(-1)
        table = _table(self.name, wanted, predicted, classes, weight)
        if self.hits.size == 0:
            self.hits = self.alarms = self.misses = np.zeros(classes)
        if len(self.hits) != classes:
            raise ShapeError(f"{self.name}: y_pred has {classes} classes, and had {len(self.hits)} before")
        right = np.diagonal(table)
        self.hits = self.hits + right
        self.alarms = self.alarms + table.sum(0) - right
        self.misses = self.misses + table.sum(1) - right

    def _ratio(self, hits: Any, alarms: Any, misses: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _ratio()")

    def result(self) -> Any:
        """The figure; 0 where it is 0 / 0, as scikit-learn has it. An array without an average."""
        hits, alarms, misses = self.hits, self.alarms, self.misses
        if not hits.size:
            return float("nan")
        each = np.asarray(self._ratio(hits, alarms, misses))
        if self.class_id is not None:
            if self.class_id >= len(each):
                raise ArgumentError(
                    f"{self.name}: class_id is {self.class_id}, expected 0 to {len(each) - 1}, as y_pred has "
                    f"{len(each)} classes"
                )
            return float(each[self.class_id])
        average = self.average
        if average == "binary":
            average = "macro" if len(hits) > 2 else None
            if average is None:
                return float(each[1])
        if average == "micro":
            return float(self._ratio(hits.sum(), alarms.sum(), misses.sum()))
        if average == "macro":
            seen = hits + alarms + misses > 0
            return float(each[seen].mean()) if seen.any() else 0.0
        if average == "weighted":
            support = hits + misses
            return float((each * support).sum() / support.sum()) if support.sum() else 0.0
        return each


def _over(part: Any, whole: Any) -> Any:
    return np.divide(
        part, whole, out=np.zeros_like(np.asarray(whole, np.float64)), where=np.asarray(whole) > 0
    )


class Precision(_Counts):
    """Of those predicted as a class, the share that is of it.

    Parameters
    ----------
    thresholds : float, optional
        For single scores; 0.5 when not given.
    top_k : None
        As Keras has it; other values are refused.
    class_id : int, optional
        Only of this class.
    name : str, default "precision"
    average : "binary", "micro", "macro", "weighted" or None, keyword-only, default "binary"
        As in scikit-learn; "binary" is the second of two classes, and of more classes the macro average. With
        None the result is an array with an entry for each class.
    """

    def __init__(
        self,
        thresholds: float | None = None,
        top_k: None = None,
        class_id: int | None = None,
        name: str = "precision",
        *,
        average: str | None = "binary",
    ) -> None:
        if top_k is not None:
            raise ArgumentError(f"{type(self).__name__}: top_k is {top_k!r}, expected None")
        super().__init__(thresholds, class_id, average, name)

    def _ratio(self, hits: Any, alarms: Any, misses: Any) -> Any:
        return _over(hits, hits + alarms)


class Recall(Precision):
    """Of those of a class, the share that is predicted as it; arguments as ``Precision``."""

    def __init__(
        self,
        thresholds: float | None = None,
        top_k: None = None,
        class_id: int | None = None,
        name: str = "recall",
        *,
        average: str | None = "binary",
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name, average=average)

    def _ratio(self, hits: Any, alarms: Any, misses: Any) -> Any:
        return _over(hits, hits + misses)


class F1Score(_Counts):
    """The harmonic mean of precision and recall.

    Parameters
    ----------
    average : "binary", "micro", "macro", "weighted" or None, default None
        As for ``Precision``; without one the result is an array with an entry for each class.
    threshold : float, optional
        For single scores; 0.5 when not given.
    name : str, default "f1_score"
    """

    _threshold_name = "threshold"

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = "f1_score"
    ) -> None:
        super().__init__(threshold, None, average, name)

    def _ratio(self, hits: Any, alarms: Any, misses: Any) -> Any:
        return _over(2 * hits, 2 * hits + alarms + misses)


# --- the table itself ------------------------------------------------------------------------------


def _table(
    name: str, wanted: np.ndarray, predicted: np.ndarray, classes: int, weight: np.ndarray
) -> np.ndarray:
    """Weights by true class, down, and predicted class, across."""
    for what, values in (("y_true", wanted), ("y_pred", predicted)):
        if values.size and not (values.min() >= 0 and values.max() < classes):
            bad = int(values.min() if values.min() < 0 else values.max())
            raise IndexRangeError(f"{name}: {what} holds class {bad}, expected 0 to {classes - 1}")
    flat = np.bincount(wanted * classes + predicted, weight, classes * classes)
    return flat.reshape(classes, classes)


class ConfusionMatrix(Metric):
    """How often which class, down, was taken for which, across.

    Predictions are class numbers like the targets, or scores with an axis of classes more, of which the
    largest counts.

    Parameters
    ----------
    num_classes : int
    name : str, default "confusion_matrix"
    """

    matrix: np.ndarray

    def __init__(self, num_classes: int, name: str = "confusion_matrix") -> None:
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ArgumentError(
                f"{type(self).__name__}: num_classes is {num_classes!r}, expected an integer >= 1"
            )
        self.num_classes = num_classes
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"matrix": np.zeros((self.num_classes, self.num_classes))}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = pair(self.name, y_true, y_pred)
        scores = output.ndim == target.ndim + 1 or (output.shape == target.shape and output.dtype.kind == "f")
        if scores and output.ndim > 1 and output.shape[1] == self.num_classes:
            target, output = _classes(self.name, target, output), output.argmax(1)
        target = _alike(self.name, target, output)
        weight = spread(rows_of(self.name, sample_weight, len(output)), output.shape)
        wanted, predicted = (each.astype(np.int64).reshape(-1) for each in (target, output))
        self.matrix = self.matrix + _table(self.name, wanted, predicted, self.num_classes, weight.reshape(-1))

    def result(self) -> Any:
        return self.matrix.copy()


class MeanIoU(ConfusionMatrix):
    """The mean over classes of what prediction and truth share over what either has: of segmentations.

    Classes that neither has are left out.

    Parameters
    ----------
    num_classes : int
    name : str, default "mean_io_u"
    ignore_class : int, optional
        Elements of this class, for example 255 for borders, are left out.
    """

    def __init__(self, num_classes: int, name: str = "mean_io_u", ignore_class: int | None = None) -> None:
        self.ignore_class = ignore_class
        super().__init__(num_classes, name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.ignore_class is None:
            super().update_state(y_true, y_pred, sample_weight)
            return
        target, output = pair(self.name, y_true, y_pred)
        if output.ndim == target.ndim + 1:
            output = output.argmax(1)
        target = _alike(self.name, target, output)
        weight = spread(rows_of(self.name, sample_weight, len(output)), output.shape)
        counted = target != self.ignore_class
        super().update_state(target[counted], output[counted].astype(np.int64), weight[counted])

    def result(self) -> float:
        shared = np.diagonal(self.matrix)
        either = self.matrix.sum(0) + self.matrix.sum(1) - shared
        there = either > 0
        return float((shared[there] / either[there]).mean()) if there.any() else float("nan")
