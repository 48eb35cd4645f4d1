"""Metrics with Keras' names, arguments and values; classes are along the last axis.

An epoch's figure is that of all its rows. What is not defined here, ``R2Score`` say, is ``einkorn.metrics``'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from einkorn import metrics as _own
from einkorn._objects import Configured, made
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras import losses
from einkorn.keras._accounts import (
    Mean,
    MeanMetricWrapper,
    Metric,
    Sum,
    accuracy,
    as_array,
    binary_accuracy,
    categorical_accuracy,
    right,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from einkorn.keras._names import fresh_name, snake_case
from einkorn.keras._serialize import deserialize, serialize
from einkorn.metrics import Metric as _Metric
from einkorn.metrics import R2Score

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "deserialize",
    "get",
    "serialize",
]  # fmt: skip


class _Wrapped(MeanMetricWrapper):
    _of: ClassVar[Callable[..., Any]]

    def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        super().__init__(type(self)._of, name or snake_case(type(self).__name__), **options)


class Accuracy(_Wrapped):
    """How often both are equal."""

    _of = staticmethod(accuracy)


class BinaryAccuracy(_Wrapped):
    """How often scores lie on the right side of a threshold.

    Parameters
    ----------
    name : str, default "binary_accuracy"
    threshold : float, default 0.5
    """

    _of = staticmethod(binary_accuracy)

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name, threshold=threshold)


class CategoricalAccuracy(_Wrapped):
    """How often the largest score is the right one, of one-hot targets."""

    _of = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(_Wrapped):
    """How often the largest score is the right one, of class numbers."""

    _of = staticmethod(sparse_categorical_accuracy)


class TopKCategoricalAccuracy(_Wrapped):
    """How often the right class is among the k largest, of one-hot targets.

    Parameters
    ----------
    k : int, default 5
    """

    _of = staticmethod(top_k_categorical_accuracy)

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, k=k)


class SparseTopKCategoricalAccuracy(_Wrapped):
    """The same of class numbers.

    Parameters
    ----------
    k : int, default 5
    """

    _of = staticmethod(sparse_top_k_categorical_accuracy)

    def __init__(
        self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, k=k)


# --- errors ---------------------------------------------------------------------------------------


class MeanSquaredError(_Wrapped):
    """The mean of squared differences."""

    _of = staticmethod(losses.mean_squared_error)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of squared differences."""

    def result(self) -> float:
        return float(np.sqrt(super().result()))


class MeanAbsoluteError(_Wrapped):
    """The mean of absolute differences."""

    _of = staticmethod(losses.mean_absolute_error)


class MeanAbsolutePercentageError(_Wrapped):
    """The mean of absolute differences in hundredths of the target."""

    _of = staticmethod(losses.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Wrapped):
    """The mean of squared differences of log(1 + y)."""

    _of = staticmethod(losses.mean_squared_logarithmic_error)


class LogCoshError(_Wrapped):
    """The mean of log(cosh(difference))."""

    _of = staticmethod(losses.log_cosh)

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(name)


class Hinge(_Wrapped):
    """The mean of max(1 - y_true y_pred, 0)."""

    _of = staticmethod(losses.hinge)


class SquaredHinge(_Wrapped):
    """The mean of the squares of it."""

    _of = staticmethod(losses.squared_hinge)


class CategoricalHinge(_Wrapped):
    """The same of several classes."""

    _of = staticmethod(losses.categorical_hinge)


class KLDivergence(_Wrapped):
    """The mean of the sums of y_true log(y_true / y_pred)."""

    _of = staticmethod(losses.kl_divergence)


class Poisson(_Wrapped):
    """The mean of y_pred - y_true log(y_pred)."""

    _of = staticmethod(losses.poisson)


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(_Wrapped):
    """The mean cosine between target and output.

    Parameters
    ----------
    name : str, default "cosine_similarity"
    axis : int, default -1
    """

    _of = staticmethod(_cosine)

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, axis=axis)


class BinaryCrossentropy(_Wrapped):
    """The mean cross-entropy of two classes.

    Parameters
    ----------
    name : str, default "binary_crossentropy"
    from_logits : bool, default False
    label_smoothing : float, default 0
    """

    _of = staticmethod(losses.binary_crossentropy)

    def __init__(
        self, name: str = "binary_crossentropy", dtype: Any = None, from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(_Wrapped):
    """The mean cross-entropy of one-hot rows; arguments as :class:`BinaryCrossentropy`."""

    _of = staticmethod(losses.categorical_crossentropy)

    def __init__(
        self, name: str = "categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
        label_smoothing: float = 0.0, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(name, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(_Wrapped):
    """The mean cross-entropy of class numbers.

    Parameters
    ----------
    name : str, default "sparse_categorical_crossentropy"
    from_logits : bool, default False
    """

    _of = staticmethod(losses.sparse_categorical_crossentropy)

    def __init__(
        self, name: str = "sparse_categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
        axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(name, from_logits=from_logits, axis=axis)


# --- counts ---------------------------------------------------------------------------------------


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


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
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
        return self._given(_ratio(self.tp, self.tp + self.fp))


class Recall(_Counted):
    """The share of what is positive that is said to be so; arguments as :class:`Precision`."""

    def result(self) -> Any:
        return self._given(_ratio(self.tp, self.tp + self.fn))


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


class F1Score(Metric):
    """2 precision recall / (precision + recall), of each class of one-hot targets.

    Parameters
    ----------
    average : "micro", "macro", "weighted" or None, default None
    threshold : float, optional
        From which score on a class is said; without one it is the largest.
    name : str, default "f1_score"
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        if average not in ("micro", "macro", "weighted", None):
            raise ArgumentError(f"F1Score: average is {average!r}, expected micro, macro, weighted or None")
        self.average, self.threshold = average, threshold
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
        said = score == score.max(-1, keepdims=True) if self.threshold is None else score > self.threshold
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
        each = _ratio(2 * tp, 2 * tp + fp + fn)
        if self.average is None:
            return each
        if self.average == "weighted":
            share = _ratio(tp + fn, np.full_like(tp, (tp + fn).sum()))
            return float((each * share).sum())
        return float(each.mean()) if each.size else 0.0


class AUC(Configured, _own.AUC):
    """The area under a curve, exact over all rows: there are as many thresholds as scores.

    Parameters
    ----------
    num_thresholds : ignored
    curve : "ROC" or "PR", default "ROC"
    summation_method : ignored
    name : str, default "auc"
    from_logits : bool, default False
        It makes no difference: the area depends on the order of scores alone.
    """

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
        name: str = "auc", dtype: Any = None, thresholds: Any = None, multi_label: bool = False,
        num_labels: Any = None, label_weights: Any = None, from_logits: bool = False,
    ) -> None:  # fmt: skip
        if multi_label or label_weights is not None:
            raise ArgumentError("AUC: multi_label is given, expected one score for each element")
        super().__init__(curve, name)


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
        self, num_classes: int, name: str = "mean_io_u", dtype: Any = None, ignore_class: int | None = None,
        sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1,
    ) -> None:  # fmt: skip
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        super().__init__(num_classes, name, ignore_class)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        target, output = as_array(y_true), as_array(y_pred)
        target = target if self.sparse_y_true else target.argmax(self.axis)
        output = output if self.sparse_y_pred else output.argmax(self.axis)
        super().update_state(target.astype(np.int64), output.astype(np.int64), sample_weight)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy,
        sparse_top_k_categorical_accuracy,
    )
}  # fmt: skip
_OBJECTS = {
    snake_case(name): globals()[name]
    for name in __all__
    if name[0].isupper() and name not in ("Metric", "MeanMetricWrapper", "MeanIoU")
}


def get(identifier: Any) -> Any:
    """A metric from its name, its function (y_true, y_pred), or itself.

    Raises
    ------
    ArgumentError
        There is none of this name.
    """
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, _Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier in ("accuracy", "acc"):
            return MeanMetricWrapper(right, identifier)
        if identifier in _FUNCTIONS:
            return MeanMetricWrapper(_FUNCTIONS[identifier], identifier)
        short = {"mse", "mae", "mape", "msle"}
        if identifier in short:
            return MeanMetricWrapper(losses.get(identifier), identifier)
        found = _OBJECTS.get(snake_case(identifier))
        if found is not None:
            return found()
        try:
            return MeanMetricWrapper(losses.get(identifier), identifier)
        except ArgumentError:
            known = sorted({"accuracy", *_FUNCTIONS, *short, *_OBJECTS})
            raise ArgumentError(
                f"compile: metric is {identifier!r}, expected a function or one of {', '.join(known)}"
            ) from None
    if isinstance(identifier, type) and issubclass(identifier, _Metric):
        return identifier()  # type: ignore[call-arg]
    if not callable(identifier):
        raise ArgumentError(f"compile: metric is {type(identifier).__name__}, expected a function or a name")
    return MeanMetricWrapper(identifier)
