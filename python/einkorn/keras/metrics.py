"""Metrics with Keras' names, arguments and values; classes are along the last axis.

An epoch's figure is that of all its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from einkorn._near import finding
from einkorn._objects import made
from einkorn.errors import ArgumentError
from einkorn.keras import losses
from einkorn.keras._accounts import (
    Mean,
    MeanMetricWrapper,
    Metric,
    Sum,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    right,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from einkorn.keras._areas import AUC
from einkorn.keras._counts import (
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from einkorn.keras._names import snake_case
from einkorn.keras._overlaps import (
    BinaryIoU,
    ConcordanceCorrelation,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
    PearsonCorrelation,
    R2Score,
    concordance_correlation,
    pearson_correlation,
)
from einkorn.keras._row_losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from einkorn.keras._serialize import deserialize, serialize
from einkorn.keras._special_losses import categorical_focal_crossentropy
from einkorn.metrics import Metric as _Metric

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
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
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
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
    from_sorted_ids : bool, default False
        Whether outputs are class numbers, the likeliest first, and not scores.
    """

    _of = staticmethod(sparse_top_k_categorical_accuracy)

    def __init__(
        self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy", dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name, k=k, from_sorted_ids=from_sorted_ids)


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
    ignore_class : int, optional
        Rows of this class add nothing, and count in the mean.
    """

    _of = staticmethod(losses.sparse_categorical_crossentropy)

    def __init__(
        self, name: str = "sparse_categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
        ignore_class: int | None = None, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(name, from_logits=from_logits, ignore_class=ignore_class, axis=axis)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy,
        sparse_top_k_categorical_accuracy, concordance_correlation, pearson_correlation,
    )
}  # fmt: skip
_WITH_ARGUMENTS = (
    "IoU", "MeanIoU", "MeanMetricWrapper", "Metric", "OneHotIoU", "OneHotMeanIoU", "PrecisionAtRecall",
    "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity",
)  # fmt: skip
_OBJECTS = {
    snake_case(name): globals()[name] for name in __all__ if name[0].isupper() and name not in _WITH_ARGUMENTS
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


__getattr__ = finding(__name__, lambda: __all__, {})
