"""What estimators take from scikit-learn; where it is absent, the error that names the extra.

Every module of the package imports it from here, so that each can be imported directly.
"""

from __future__ import annotations

from typing import Any

from einkorn import _extras
from einkorn._device import near
from einkorn._masked import refuse_masked

try:
    from sklearn import base
    from sklearn.base import BaseEstimator, clone
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.utils import check_array, check_random_state, get_tags
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        assert_all_finite,
        check_is_fitted,
        column_or_1d,
        has_fit_parameter,
        validate_data,
    )
except ModuleNotFoundError as error:
    raise _extras.missing(error, "einkorn.boosting") from error


def _refuse_masked(estimator: Any, y: Any, sample_weight: Any) -> None:
    where = f"{type(estimator).__name__}.score"
    refuse_masked(y, f"{where}: y")
    refuse_masked(sample_weight, f"{where}: sample_weight")


class ClassifierMixin(base.ClassifierMixin):
    """scikit-learn's, with scores that do not read through a mask, and of arrays of a GPU."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of :meth:`predict`."""
        _refuse_masked(self, y, sample_weight)
        predicted = near(self.predict(X))
        return float(accuracy_score(near(y), predicted, sample_weight=near(sample_weight)))


class RegressorMixin(base.RegressorMixin):
    """scikit-learn's, with scores that do not read through a mask, and of arrays of a GPU."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2 of :meth:`predict`."""
        _refuse_masked(self, y, sample_weight)
        predicted = near(self.predict(X))
        return float(r2_score(near(y), predicted, sample_weight=near(sample_weight)))


__all__ = [
    "BaseEstimator",
    "ClassifierMixin",
    "RegressorMixin",
    "accuracy_score",
    "assert_all_finite",
    "check_array",
    "check_classification_targets",
    "check_is_fitted",
    "check_random_state",
    "clone",
    "column_or_1d",
    "compute_class_weight",
    "get_tags",
    "has_fit_parameter",
    "r2_score",
    "validate_data",
]
