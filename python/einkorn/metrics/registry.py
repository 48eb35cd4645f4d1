"""Metrics by name, as ``compile`` takes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from einkorn.metrics import classification, ranking, regression, text

__all__ = ["find", "names"]

_KINDS: tuple[Any, ...] = (
    classification.BinaryAccuracy,
    classification.CategoricalAccuracy,
    classification.SparseCategoricalAccuracy,
    classification.TopKCategoricalAccuracy,
    classification.SparseTopKCategoricalAccuracy,
    classification.Precision,
    classification.Recall,
    classification.F1Score,
    ranking.AUC,
    ranking.ExpectedCalibrationError,
    regression.CosineSimilarity,
    regression.MeanAbsolutePercentageError,
    regression.MeanSquaredLogarithmicError,
    regression.RootMeanSquaredError,
    regression.R2Score,
    text.Perplexity,
)
_ALIASES = {
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "rmse": "root_mean_squared_error",
    "r2": "r2_score",
    "f1": "f1_score",
    "ece": "expected_calibration_error",
    "top_k": "sparse_top_k_categorical_accuracy",
}


def _snake(name: str) -> str:
    """CamelCase as words with underscores between them."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


_BY_NAME: dict[str, Callable[..., Any]] = {_snake(kind.__name__): kind for kind in _KINDS}


def names() -> list[str]:
    """The names that ``compile`` knows beside the few it sums up itself."""
    return [*_BY_NAME, *_ALIASES]


def find(name: str, *, threshold: float = 0.5) -> Any:
    """A new metric of that name, under that name; None if there is none.

    Parameters
    ----------
    name : str
        Keras' name, "mean_absolute_percentage_error", that of the class, "MeanAbsolutePercentageError", or a
        short one, "mape".
    threshold : float, keyword-only, default 0.5
        From which score on the second of two classes is meant.
    """
    key = _ALIASES.get(name.lower(), _snake(name))
    kind = _BY_NAME.get(key)
    if kind is None:
        return None
    options: dict[str, Any] = {"name": name if name in (key, *_ALIASES) else key}
    if kind is classification.BinaryAccuracy or kind is classification.F1Score:
        options["threshold"] = threshold
    elif issubclass(kind, classification.Precision):  # type: ignore[arg-type]
        options["thresholds"] = threshold
    if kind is classification.F1Score:
        options["average"] = "binary"
    if kind is text.Perplexity:
        options["from_logits"] = True
    return kind(**options)
