"""Gradient boosting of trees: second-order steps over histograms, for classification and regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from einkorn.boosting._base import check_targets, check_weights, encode_classes, known_classes
from einkorn.boosting._gradient import PARAMETERS, RENAMED, GradientBoosting
from einkorn.boosting._sklearn import ClassifierMixin, RegressorMixin, compute_class_weight
from einkorn.errors import ArgumentError

__all__ = ["GradientBoostingClassifier", "GradientBoostingRegressor"]


class GradientBoostingClassifier(ClassifierMixin, GradientBoosting):
    __doc__ = f"""Gradient boosting for classes: trees that add up to log-odds.

    Parameters
    ----------
    loss : "log_loss" or function, default "log_loss"
        A function ``(y, raw) -> (gradients, hessians)`` of class numbers and scores, [rows] with two classes,
        [rows, classes] with more; scores are read as log-odds.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, by label; "balanced": in inverse proportion to their rows. Rows get the
        product of this and ``sample_weight``.
    {PARAMETERS}"""

    classes_: np.ndarray

    def __init__(
        self,
        loss: Any = "log_loss",
        *,
        class_weight: Any = None,
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        method: str = "auto",
        growth: str = "leaf",
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_child_weight: float = 1e-3,
        l2_regularization: float = 0.0,
        reg_alpha: float = 0.0,
        min_split_gain: float = 0.0,
        max_delta_step: float = 0.0,
        max_bins: int = 255,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        max_features: int | float | str | None = 1.0,
        categorical_features: Any = "from_dtype",
        monotonic_cst: Any = None,
        interaction_cst: Any = None,
        base_score: float | None = None,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        validation_fraction: float | None = 0.1,
        tol: float = 1e-7,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        max_leaves: Any = RENAMED,
        reg_lambda: Any = RENAMED,
        colsample_bynode: Any = RENAMED,
    ) -> None:
        self.loss = loss
        self.class_weight = class_weight
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.method = method
        self.growth = growth
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.min_child_weight = min_child_weight
        self.l2_regularization = l2_regularization
        self.reg_alpha = reg_alpha
        self.min_split_gain = min_split_gain
        self.max_delta_step = max_delta_step
        self.max_bins = max_bins
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.max_features = max_features
        self.categorical_features = categorical_features
        self.monotonic_cst = monotonic_cst
        self.interaction_cst = interaction_cst
        self.base_score = base_score
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.max_leaves = max_leaves
        self.reg_lambda = reg_lambda
        self.colsample_bynode = colsample_bynode

    def _n_classes(self) -> int:
        return int(self.classes_.size)

    def _encode(self, y: Any, n: int, where: str, name: str, reset: bool) -> np.ndarray:
        if not reset:
            return known_classes(y, self.classes_, n, where, name)
        self.classes_, codes = encode_classes(y, n, where, name)
        return codes

    def _weigh(self, target: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        if isinstance(self.class_weight, dict):
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        elif isinstance(self.class_weight, str) and self.class_weight == "balanced":
            sums = np.bincount(target, weight, self.classes_.size)
            of_class = sums.sum() / (np.maximum(sums, 1e-300) * self.classes_.size)
        else:
            raise ArgumentError(
                f"{type(self).__name__}.fit: class_weight is {self.class_weight!r}, expected a dict,"
                " 'balanced' or None"
            )
        product = of_class[target] if weight is None else of_class[target] * weight
        return check_weights(product, target.size, f"{type(self).__name__}.fit", "class_weight")

    def _labels(self, raw: np.ndarray) -> np.ndarray:
        return self.classes_[raw.argmax(axis=1) if raw.shape[1] > 1 else (raw[:, 0] > 0).astype(np.intp)]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        return self._labels(self._raw(X, "predict"))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, float64 [rows, classes]."""
        raw = self._raw(X, "predict_proba")
        return self._objective.predictions(raw)

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores: log-odds of the second of two classes, float64 [rows]; else [rows, classes]."""
        raw = self._raw(X, "decision_function")
        return raw if raw.shape[1] > 1 else raw[:, 0]

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`predict` after each round."""
        for raw in self._stages(X, "staged_predict"):
            yield self._labels(raw)

    def staged_predict_proba(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`predict_proba` after each round."""
        for raw in self._stages(X, "staged_predict_proba"):
            yield self._objective.predictions(raw)

    def staged_decision_function(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`decision_function` after each round."""
        for raw in self._stages(X, "staged_decision_function"):
            yield raw if raw.shape[1] > 1 else raw[:, 0]


class GradientBoostingRegressor(RegressorMixin, GradientBoosting):
    __doc__ = f"""Gradient boosting for numbers.

    Parameters
    ----------
    loss : str or function, default "squared_error"
        "squared_error", "absolute_error", "huber", "quantile", "poisson" (scores are logarithms of the mean;
        y at least 0), or a function ``(y, raw) -> (gradients, hessians)``, all arrays [rows]. With
        "absolute_error", "huber" and "quantile" each leaf gets the median, Huber step or quantile of its
        rows' residuals [1]_.
    alpha : float, default 0.9
        The level of "quantile"; for "huber" the share of the rows whose residuals are not outliers.
    {PARAMETERS}"""

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        alpha: float = 0.9,
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        method: str = "auto",
        growth: str = "leaf",
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_child_weight: float = 1e-3,
        l2_regularization: float = 0.0,
        reg_alpha: float = 0.0,
        min_split_gain: float = 0.0,
        max_delta_step: float = 0.0,
        max_bins: int = 255,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        max_features: int | float | str | None = 1.0,
        categorical_features: Any = "from_dtype",
        monotonic_cst: Any = None,
        interaction_cst: Any = None,
        base_score: float | None = None,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        validation_fraction: float | None = 0.1,
        tol: float = 1e-7,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        max_leaves: Any = RENAMED,
        reg_lambda: Any = RENAMED,
        colsample_bynode: Any = RENAMED,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.method = method
        self.growth = growth
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.min_child_weight = min_child_weight
        self.l2_regularization = l2_regularization
        self.reg_alpha = reg_alpha
        self.min_split_gain = min_split_gain
        self.max_delta_step = max_delta_step
        self.max_bins = max_bins
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.max_features = max_features
        self.categorical_features = categorical_features
        self.monotonic_cst = monotonic_cst
        self.interaction_cst = interaction_cst
        self.base_score = base_score
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.max_leaves = max_leaves
        self.reg_lambda = reg_lambda
        self.colsample_bynode = colsample_bynode

    def _encode(self, y: Any, n: int, where: str, name: str, reset: bool) -> np.ndarray:
        return check_targets(y, n, where, name)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted numbers, float64 [rows]."""
        raw = self._raw(X, "predict")
        return self._objective.predictions(raw)

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`predict` after each round."""
        for raw in self._stages(X, "staged_predict"):
            yield self._objective.predictions(raw)
