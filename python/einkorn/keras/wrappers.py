"""Keras models as estimators of scikit-learn; :mod:`einkorn.training.sklearn` has others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from einkorn.errors import ArgumentError
from einkorn.keras.models import Model, clone_model

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


class _Wrapped(BaseEstimator):
    def __init__(
        self, model: Any, warm_start: bool = False, model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.warm_start = model, warm_start
        self.model_kwargs, self.fit_kwargs = model_kwargs, fit_kwargs

    def __sklearn_clone__(self) -> Any:
        return type(self)(self.model, self.warm_start, self.model_kwargs, self.fit_kwargs)

    def _made(self, X: Any, y: Any) -> Any:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            if self.warm_start:
                return self.model
            model = clone_model(self.model)
            settings = self.model.get_compile_config()
            if settings is not None:
                model.compile_from_config(settings)
            return model
        if not isinstance(self.model, Callable):  # type: ignore[arg-type]
            raise ArgumentError(
                f"{type(self).__name__}: model is {type(self.model).__name__}, expected a Model or a function"
            )
        return self.model(X=X, y=y, **(self.model_kwargs or {}))

    def _fit(self, X: Any, y: Any, options: dict[str, Any]) -> None:
        model = self._made(X, y)
        if not isinstance(model, Model) or model.get_compile_config() is None:
            raise ArgumentError(
                f"{type(self).__name__}: the model is not compiled, expected compile() before"
            )
        self.history_ = model.fit(X, y, **{**(self.fit_kwargs or {}), **options})
        self.model_ = model

    def _out(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "model_")
        rows = validate_data(self, X, reset=False)
        return np.asarray(self.model_.predict(rows, verbose=0))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags


class SKLearnClassifier(ClassifierMixin, _Wrapped):
    """A model of classes as an estimator; its targets are one-hot rows.

    Parameters
    ----------
    model : Model, or function of X, y and ``model_kwargs`` that gives one
        Compiled. A model is cloned for each fit.
    warm_start : bool, default False
        Whether a fit goes on with the weights of the one before.
    model_kwargs, fit_kwargs : dict, optional
        Further arguments of the function, and of ``fit``.
    """

    def fit(self, X: Any, y: Any, **kwargs: Any) -> SKLearnClassifier:
        """Train a model; further arguments go to its ``fit``."""
        X, y = validate_data(self, X, y)
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ArgumentError(f"SKLearnClassifier: y is of kind {kind}, expected binary or multiclass")
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ArgumentError("SKLearnClassifier: y has one class, expected two or more")
        self._fit(X, np.eye(len(self.classes_), dtype=np.float32)[numbers], kwargs)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """What the model gives."""
        return self._out(X)

    def predict(self, X: Any) -> np.ndarray:
        """The class with the largest output."""
        found: np.ndarray = self.classes_[self._out(X).argmax(-1)]
        return found


class SKLearnRegressor(RegressorMixin, _Wrapped):
    """A model of numbers as an estimator; arguments as :class:`SKLearnClassifier`."""

    def fit(self, X: Any, y: Any, **kwargs: Any) -> SKLearnRegressor:
        """Train a model; further arguments go to its ``fit``."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True)
        self.single_ = y.ndim == 1
        self._fit(X, y[:, None] if y.ndim == 1 else y, kwargs)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """What the model gives; one number a row where y was so."""
        out = self._out(X)
        return out.reshape(len(out)) if self.single_ and out.shape[1:] == (1,) else out


class SKLearnTransformer(TransformerMixin, _Wrapped):
    """A model whose outputs are new features; arguments as :class:`SKLearnClassifier`."""

    def fit(self, X: Any, y: Any = None, **kwargs: Any) -> SKLearnTransformer:
        """Train a model, of X alone where there is no y."""
        if y is None:
            X = validate_data(self, X)
        else:
            X, y = validate_data(self, X, y, multi_output=True)
        self._fit(X, y, kwargs)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """What the model gives."""
        return self._out(X)
