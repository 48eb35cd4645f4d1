"""Networks as estimators of scikit-learn: for its pipelines, its cross-validation and its searches.

``NetworkClassifier``, ``NetworkRegressor`` and ``NetworkTransformer`` train by ``Module.fit``. All settings
are parameters of the estimator, so that ``GridSearchCV``, ``RandomizedSearchCV`` and ``HalvingGridSearchCV``
(with ``resource="epochs"``) can search them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np

from einkorn import _extras, nn, ops, optim, random
from einkorn.errors import ArgumentError
from einkorn.training import EarlyStopping
from einkorn.training.optimizers import OPTIMIZERS

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise _extras.missing(error, "einkorn.training.sklearn") from error

__all__ = ["NetworkClassifier", "NetworkRegressor", "NetworkTransformer"]


class _Network(BaseEstimator):
    """What the three share: the parameters, and the training."""

    def __init__(
        self,
        module: Any = None,
        *,
        module_options: Mapping[str, Any] | None = None,
        hidden_layer_sizes: Sequence[int] = (100,),
        optimizer: Any = "adam",
        lr: float | None = None,
        weight_decay: float = 0.0,
        loss: Any = None,
        epochs: int = 50,
        batch_size: int = 32,
        early_stopping: int | None = None,
        validation_fraction: float = 0.1,
        callbacks: Sequence[Any] | None = None,
        fit_options: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.module = module
        self.module_options = module_options
        self.hidden_layer_sizes = hidden_layer_sizes
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.fit_options = fit_options
        self.random_state = random_state
        self.verbose = verbose

    # --- what comes in --------------------------------------------------------------------------

    def _rows(self, X: Any, y: Any = "no_validation", fitting: bool = False, **options: Any) -> Any:
        """X, and y, checked as scikit-learn checks; X in float32. Rows may have more axes, as images do."""
        given: dict[str, Any] = {"reset": fitting, "dtype": (np.float32, np.float64), **options}
        if len(getattr(X, "shape", ())) > 2:
            given |= {"allow_nd": True, "ensure_2d": False}
        if isinstance(y, str):
            return validate_data(self, X, **given).astype(np.float32, copy=False)
        X, y = validate_data(self, X, y, **given)
        return X.astype(np.float32, copy=False), y

    # --- the network ----------------------------------------------------------------------------

    def _built(self, row: tuple[int, ...], outputs: int) -> Any:
        """A new module: one of ``module``, or layers of ``hidden_layer_sizes``."""
        name, options = type(self).__name__, dict(self.module_options or {})
        if isinstance(self.module, nn.Module):
            if options:
                raise ArgumentError(f"{name}: module_options need a class or function as module")
            return copy.deepcopy(self.module)
        if self.module is not None:
            made = self.module(row[0] if len(row) == 1 else row, outputs, **options)
            if not isinstance(made, nn.Module):
                raise ArgumentError(f"{name}: module gave {type(made).__name__}, expected a Module")
            return made
        if options:
            raise ArgumentError(f"{name}: module_options are given without a module")
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes))
        if hidden.ndim != 1 or (hidden.size and (hidden.dtype.kind not in "iu" or hidden.min() < 1)):
            raise ArgumentError(
                f"{name}: hidden_layer_sizes is {self.hidden_layer_sizes!r}, expected integers >= 1"
            )
        sizes = [int(np.prod(row)), *hidden.tolist()]
        layers: list[Any] = [nn.Flatten()] if len(row) > 1 else []
        layers += [nn.Linear(a, b, activation="relu") for a, b in pairwise(sizes)]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def _optimizer(self, module: Any) -> Any:
        """The optimizer of the module, at the rate and with the decay asked for."""
        if not isinstance(self.optimizer, str):
            if self.lr is not None or self.weight_decay:
                raise ArgumentError(
                    f"{type(self).__name__}: lr and weight_decay need the name of an optimizer, "
                    f"{self.optimizer!r} has its own"
                )
            return self.optimizer
        if self.optimizer.lower() not in OPTIMIZERS:
            raise ArgumentError(
                f"{type(self).__name__}: optimizer is {self.optimizer!r}, expected one of "
                f"{', '.join(OPTIMIZERS)}"
            )
        options: dict[str, Any] = {} if self.lr is None else {"lr": self.lr}
        make = OPTIMIZERS[self.optimizer.lower()]
        if self.weight_decay:
            if "weight_decay" not in signature(make).parameters:
                raise ArgumentError(
                    f"{type(self).__name__}: weight_decay is {self.weight_decay!r}, expected 0: optimizer "
                    f"{self.optimizer!r} has none"
                )
            options["weight_decay"] = self.weight_decay
        made: optim.Optimizer = make(module.parameters(), **options)
        return made

    def _train(self, X: np.ndarray, y: np.ndarray, outputs: int, loss: Any, weight: Any = None) -> None:
        """Make the module and fit it, with random numbers of its own."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        before = random.get_state()
        random.manual_seed(seed)
        try:
            module = self._built(X.shape[1:], outputs)
            module.compile(self._optimizer(module), loss if self.loss is None else self.loss)
            if isinstance(self.epochs, (int, np.integer)) and self.epochs < 1:
                raise ArgumentError(f"{type(self).__name__}: epochs is {self.epochs!r}, expected at least 1")
            callbacks = [copy.deepcopy(each) for each in self.callbacks or ()]
            options: dict[str, Any] = {"verbose": self.verbose, "epochs": self.epochs}
            options["batch_size"] = self.batch_size
            if self.early_stopping is not None:
                held, kept = self._held_out(y, seed)
                options["validation_data"] = tuple(part[held] for part in (X, y, weight) if part is not None)
                X, y, weight = X[kept], y[kept], None if weight is None else weight[kept]
                callbacks.append(EarlyStopping(patience=self.early_stopping, restore_best_weights=True))
            module.fit(
                X, y, sample_weight=weight, callbacks=callbacks, **{**options, **(self.fit_options or {})}
            )
        finally:
            random.set_state(before)
        self.history_ = module.history
        self.n_iter_ = len(self.history_.epoch)
        module.eval()
        module.__dict__.pop("_training_state", None)  # the optimizer and the callbacks are done
        self.module_ = module

    def _held_out(self, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows to stop by, and the others: of each class alike."""
        share = self.validation_fraction
        if not 0 < share < 1:
            raise ArgumentError(
                f"{type(self).__name__}: validation_fraction is {share!r}, expected between 0 and 1"
            )
        order = np.random.default_rng(seed).permutation(len(y))
        groups = [order]
        if y.dtype.kind in "iu":
            groups = [order[y[order] == label] for label in np.unique(y)]
        held = np.concatenate([rows[: round(share * len(rows))] for rows in groups])
        kept = np.setdiff1d(order, held)
        if not len(held) or not len(kept):
            raise ArgumentError(
                f"{type(self).__name__}: validation_fraction {share} of {len(y)} rows leaves {len(kept)} "
                f"rows to train on and {len(held)} to stop by"
            )
        return held, kept

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if "module_" in vars(self):  # joblib may have mapped the weights from a file
            for parameter in self.module_.parameters():
                parameter._data = np.asarray(parameter._data)

    def _given(self, X: Any) -> np.ndarray:
        """What the module gives for X."""
        check_is_fitted(self, "module_")
        return np.asarray(self.module_.predict(self._rows(X), verbose=0))


_PARAMETERS = """
    Parameters
    ----------
    module : Module, or class or function of features, outputs and ``module_options``, optional
        The network, which gives {gives}. A Module is copied for each ``fit``. ``features`` is the number of
        columns, or the shape of a row of more axes. By default fully connected layers of
        ``hidden_layer_sizes``.
    module_options : dict, keyword-only, optional
    hidden_layer_sizes : sequence of int, keyword-only, default (100,)
    optimizer : str or function of the parameters, keyword-only, default "adam"
    lr : float, keyword-only, optional
        By default the optimizer's own.
    weight_decay : float, keyword-only, default 0
    loss : str or callable, keyword-only, default {loss}
    epochs : int, keyword-only, default 50
    batch_size : int, keyword-only, default 32
    early_stopping : int, keyword-only, optional
        Hold out ``validation_fraction`` of the rows, stop after so many epochs without improvement on them,
        and take the weights of the best epoch.
    validation_fraction : float, keyword-only, default 0.1
    callbacks : list of Callback, keyword-only, optional
        Copied for each ``fit``.
    fit_options : dict, keyword-only, optional
        Further arguments of ``Module.fit``.
    random_state : int, RandomState or None, keyword-only, default None
        Of the first weights, the order of the rows, and dropout. einkorn's own generator is left as it was.
    verbose : int, keyword-only, default 0

    Attributes
    ----------
    module_ : Module
        The trained network, in evaluation mode.
    history_ : History
    n_iter_ : int
        Epochs that were made.
"""


class NetworkClassifier(ClassifierMixin, _Network):
    __doc__ = (
        """A network that tells classes apart.
"""
        + _PARAMETERS.format(gives="a score for each class", loss='"cross_entropy"')
        .replace(
            """
    Attributes""",
            """    class_weight : dict of class to float, or "balanced", keyword-only, optional
        Factors of the losses of the classes' rows; "balanced" is in inverse proportion to their numbers.

    Attributes""",
        )
        .rstrip()
        + """
    classes_ : array [classes]
    """
    )

    def __init__(
        self,
        module: Any = None,
        *,
        module_options: Mapping[str, Any] | None = None,
        hidden_layer_sizes: Sequence[int] = (100,),
        optimizer: Any = "adam",
        lr: float | None = None,
        weight_decay: float = 0.0,
        loss: Any = None,
        epochs: int = 50,
        batch_size: int = 32,
        early_stopping: int | None = None,
        validation_fraction: float = 0.1,
        callbacks: Sequence[Any] | None = None,
        fit_options: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            module,
            module_options=module_options,
            hidden_layer_sizes=hidden_layer_sizes,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            loss=loss,
            epochs=epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            callbacks=callbacks,
            fit_options=fit_options,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkClassifier:
        """Train.

        Parameters
        ----------
        X : array [rows, features], or of more axes
        y : array [rows]
            Classes: numbers or texts.
        sample_weight : array [rows], optional
            Factors of the rows' losses.
        """
        X, y = self._rows(X, y, fitting=True)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ArgumentError(
                f"NetworkClassifier: y has one class, {self.classes_.tolist()[0]!r}, expected at least two"
            )
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        if self.class_weight is not None:
            of_classes = compute_sample_weight(self.class_weight, y)
            weight = of_classes if weight is None else weight * of_classes
        self._train(X, numbers.astype(np.int64), len(self.classes_), "cross_entropy", weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, float64 [rows, classes]."""
        return np.asarray(ops.softmax(self._given(X).astype(np.float64), -1))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row."""
        scores = self._given(X)
        return np.asarray(self.classes_[scores.argmax(1)])


class NetworkRegressor(RegressorMixin, _Network):
    __doc__ = "A network that predicts a number, or several.\n" + _PARAMETERS.format(
        gives="[rows, outputs]", loss='"mse"'
    )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkRegressor:
        """Train.

        Parameters
        ----------
        X : array [rows, features], or of more axes
        y : array [rows] or [rows, outputs]
        sample_weight : array [rows], optional
            Factors of the rows' losses.
        """
        X, y = self._rows(X, y, fitting=True, multi_output=True, y_numeric=True)
        target = np.asarray(y, np.float32)
        self._one = target.ndim == 1
        target = target.reshape(len(target), -1)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        self._train(X, target, target.shape[1], "mse", weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The numbers, float64 [rows] or [rows, outputs] as y was."""
        found = self._given(X).astype(np.float64)
        return found.reshape(len(found)) if self._one else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class NetworkTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Network):
    __doc__ = """An autoencoder: few numbers for each row, from which the row can be made again.

    It is trained to give its input back through a layer of ``n_components`` (Hinton and Salakhutdinov 2006).
    ``module``, if given, is the encoder; the decoder is fully connected, its hidden layers those of
    ``hidden_layer_sizes`` backwards.
""" + _PARAMETERS.format(gives="[rows, n_components]", loss='"mse"').replace(
        "    module_options : dict",
        "    n_components : int, keyword-only, default 2\n    module_options : dict",
        1,
    )

    def __init__(
        self,
        module: Any = None,
        *,
        n_components: int = 2,
        module_options: Mapping[str, Any] | None = None,
        hidden_layer_sizes: Sequence[int] = (100,),
        optimizer: Any = "adam",
        lr: float | None = None,
        weight_decay: float = 0.0,
        loss: Any = None,
        epochs: int = 50,
        batch_size: int = 32,
        early_stopping: int | None = None,
        validation_fraction: float = 0.1,
        callbacks: Sequence[Any] | None = None,
        fit_options: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            module,
            module_options=module_options,
            hidden_layer_sizes=hidden_layer_sizes,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            loss=loss,
            epochs=epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            callbacks=callbacks,
            fit_options=fit_options,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_components = n_components

    def _built(self, row: tuple[int, ...], outputs: int) -> Any:
        encoder = super()._built(row, self.n_components)
        sizes = [self.n_components, *np.atleast_1d(np.asarray(self.hidden_layer_sizes, int))[::-1].tolist()]
        layers = [nn.Linear(a, b, activation="relu") for a, b in pairwise(sizes)]
        return nn.Sequential(encoder, nn.Sequential(*layers, nn.Linear(sizes[-1], int(np.prod(row)))))

    def fit(self, X: Any, y: Any = None) -> NetworkTransformer:
        """Train; y is not looked at."""
        X = self._rows(X, fitting=True)
        self._row = X.shape[1:]
        flat = X.reshape(len(X), -1)
        self._train(X, flat, flat.shape[1], "mse")
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The numbers that stand for the rows, float32 [rows, n_components]."""
        check_is_fitted(self, "module_")
        return np.asarray(self.module_[0].predict(self._rows(X), verbose=0))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The rows that such numbers stand for, float32 [rows, features] or of more axes, as they were."""
        check_is_fitted(self, "module_")
        numbers = np.asarray(X, np.float32)
        return np.asarray(self.module_[1].predict(numbers, verbose=0)).reshape(len(numbers), *self._row)

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
