"""Boosting for transfer: many labelled rows from elsewhere (source) help with few of our own (target)."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.boosting._base import (
    check_targets,
    check_weights,
    check_X,
    column_of,
    encode_classes,
    one_of,
    real,
    takes_nan,
    whole,
)
from einkorn.boosting._learners import (
    LOSSES,
    check_learner,
    losses_of,
    mean_importances,
    new_learner,
    tree_of_depth,
    weighted_median,
)
from einkorn.boosting._sklearn import (
    BaseEstimator,
    RegressorMixin,
    check_is_fitted,
    check_random_state,
)
from einkorn.boosting._votes import VotingClassifier
from einkorn.boosting._whole import RoundsKept, all_or_nothing
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["TrAdaBoostClassifier", "TrAdaBoostRegressor"]


class TrAdaBoostClassifier(VotingClassifier):
    """TrAdaBoost: AdaBoost that trusts source rows less with every round in which they are missed.

    The error e of a round is that on the target rows. Target rows that are missed become heavier as in
    AdaBoost; source rows that are missed are multiplied by ``1 / (1 + sqrt(2 ln n / N))``, for n source rows
    and N rounds. The learners of the second half of the rounds vote. Without source rows it is AdaBoost.

    Parameters
    ----------
    estimator, n_estimators, learning_rate, criterion, max_bins, random_state :
        As for :class:`AdaBoostClassifier`; ``learning_rate`` applies to target rows.

    Attributes
    ----------
    estimators_, estimator_weights_, estimator_errors_ :
        Of the learners that vote; errors on the target rows.
    classes_, n_classes_, n_features_in_, feature_names_in_, feature_importances_

    Notes
    -----
    Rounds do not end at an error of 0, or of chance and above, as they may at once with few target rows:
    the error that gives the weight is kept ``1 / 2m`` (m target rows) away from both, the smoothing of
    Schapire and Singer (1999, section 4.2). More than two classes use SAMME's weight.

    References
    ----------
    Dai, Yang, Xue and Yu, Boosting for transfer learning, ICML 2007, figure 1.
    """

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        source: Any = None,
        X_source: Any = None,
        y_source: Any = None,
    ) -> TrAdaBoostClassifier:
        """Boost.

        Parameters
        ----------
        X, y : [rows, features], [rows]
            The target rows, and those marked as source.
        sample_weight : array [rows], optional
            The first round's weights of these rows, up to their sum. By default source and target have half
            of all weight each.
        source : bool array [rows], optional
            Which rows of X are the source's.
        X_source, y_source : [more rows, features], [more rows], optional
            Source rows in arrays of their own, each of the mean weight of the others. So cross-validation
            splits the target alone.

        Returns
        -------
        TrAdaBoostClassifier
            Itself.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            For input that does not fit, or without any target row.
        """
        where = f"{type(self).__name__}.fit"
        self._check_options(where)
        allow_nan = takes_nan(self.estimator)
        X = check_X(self, X, reset=True, infinite=False, allow_nan=allow_nan)
        more = (
            None
            if X_source is None
            else check_X(self, X_source, reset=False, infinite=False, allow_nan=allow_nan)
        )
        X, y, weights, is_source = _joined(where, X, y, sample_weight, source, more, y_source)
        X, y, weights, n = _source_first(where, X, y, weights, is_source, balanced=True)
        self.classes_, codes = encode_classes(y, X.shape[0], where)
        self.n_classes_ = self.classes_.size
        options: dict[str, Any] = {"learning_rate": float(self.learning_rate)}
        if n:
            options["source"] = n
            options["source_factor"] = 1 / (1 + np.sqrt(2 * np.log(n) / self.n_estimators))
            options["error_floor"] = min(0.5 / (X.shape[0] - n), (1 - 1 / self.n_classes_) / 4)
        try:
            self._boost(where, X, codes, weights / weights.sum(), options)
        except RoundsKept:
            self._keep_voters(n)
            raise
        self._keep_voters(n)
        return self

    def _keep_voters(self, n: int) -> None:
        """With source rows, let the learners of the second half of the rounds vote, and no others."""
        if not n:
            return
        first = (len(self.estimator_weights_) + 1) // 2 - 1
        self.estimator_weights_ = self.estimator_weights_[first:]
        self.estimator_errors_ = self.estimator_errors_[first:]
        if self._stumps is None:
            self._learners = self.estimators_[first:]
        else:
            self._set_stumps(self._stumps.part(first, len(self._stumps)))


class TrAdaBoostRegressor(RegressorMixin, BaseEstimator):
    """Two-stage TrAdaBoost.R2: source rows lose weight step by step, and AdaBoost.R2 runs at each step.

    At step t a learner is fitted on all rows by weight, and the losses L of the source rows (as in
    AdaBoost.R2) multiply their weights by ``beta ** L``. Beta is such that the target's share of all weight
    rises evenly, from ``m / (n + m)`` at the first step to 1 at the last. At each step AdaBoost.R2 with
    source weights held fixed is judged by cross-validation on the target rows; the best step's model is
    kept. Without source rows it is AdaBoost.R2 on weighted rows.

    Parameters
    ----------
    estimator : regressor, optional
        Takes ``sample_weight``. None: ``DecisionTreeRegressor(max_depth=3)`` of this package.
    n_estimators : int, default 50
        Most rounds of AdaBoost.R2.
    n_steps : int, default 10
    n_folds : int, default 5
        Of the cross-validation, no more than target rows.
    learning_rate : float, default 1.0
    loss : {"linear", "square", "exponential"}, default "linear"
    random_state : int, RandomState, optional
        For folds, and for learners that have a ``random_state``.

    Attributes
    ----------
    estimators_, estimator_weights_, estimator_errors_ :
        Of the best step.
    step_errors_ : float64 array [n_steps]
        Mean squared error of each step in cross-validation; infinite where nothing is left to learn from.
    best_step_ : int
    feature_importances_, n_features_in_, feature_names_in_

    References
    ----------
    Pardoe and Stone, Boosting for regression transfer, ICML 2010, algorithm 3.
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_estimators: int = 50,
        n_steps: int = 10,
        n_folds: int = 5,
        learning_rate: float = 1.0,
        loss: str = "linear",
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.n_steps = n_steps
        self.n_folds = n_folds
        self.learning_rate = learning_rate
        self.loss = loss
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = takes_nan(self.estimator)
        tags.input_tags.sparse = True
        return tags

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        source: Any = None,
        X_source: Any = None,
        y_source: Any = None,
    ) -> TrAdaBoostRegressor:
        """Boost; as :meth:`TrAdaBoostClassifier.fit`, but without weights all rows begin alike."""
        where = f"{type(self).__name__}.fit"
        whole(self.n_estimators, where, "n_estimators", 1)
        whole(self.n_steps, where, "n_steps", 1)
        whole(self.n_folds, where, "n_folds", 2)
        real(self.learning_rate, where, "learning_rate", 0, above=True)
        one_of(self.loss, where, "loss", LOSSES)
        if self.estimator is not None:
            check_learner(where, self.estimator, "regressor")
        allow_nan = takes_nan(self.estimator)
        X = check_X(self, X, reset=True, infinite=False, allow_nan=allow_nan)
        more = (
            None
            if X_source is None
            else check_X(self, X_source, reset=False, infinite=False, allow_nan=allow_nan)
        )
        X, y, weights, is_source = _joined(where, X, y, sample_weight, source, more, y_source)
        X, y, weights, n = _source_first(where, X, y, weights, is_source, balanced=False)
        y = check_targets(y, X.shape[0], where)
        random = check_random_state(self.random_state)
        learner = tree_of_depth(3) if self.estimator is None else self.estimator
        m = X.shape[0] - n
        steps = self.n_steps if n else 1
        shares = np.linspace(weights[n:].sum() / weights.sum(), 1, steps)
        folds = _folds(m, self.n_folds, random) if steps > 1 else []
        unit = 2.0 ** int(np.frexp(np.abs(y[n:]).max())[1])  # squares of targets of any size are compared
        errors, best = [], weights
        for t in range(steps):
            errors.append(self._judge(learner, X, y, weights, n, folds, random, unit) if steps > 1 else 0.0)
            if errors[t] == min(errors):
                best, self.best_step_ = weights, t
            if t + 1 < steps:
                made = new_learner(learner, random)
                made.fit(X, y, sample_weight=weights.copy())
                weights = _shrunk(weights, losses_of(y, made.predict(X), self.loss), n, shares[t + 1])
        with np.errstate(over="ignore", under="ignore"):
            self.step_errors_ = np.array(errors) * unit * unit
        self.estimators_, self.estimator_weights_, self.estimator_errors_ = self._rounds(
            learner, X, y, best, n, random
        )
        return self

    def _judge(
        self,
        learner: Any,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        n: int,
        folds: list[np.ndarray],
        random: np.random.RandomState,
        unit: float,
    ) -> float:
        """Mean squared error, in ``unit``, on the target rows of each fold, by a model of the other rows."""
        total = 0.0
        for held in folds:
            kept = np.setdiff1d(np.arange(X.shape[0]), n + held)
            if not weights[kept].any():  # one target row, and a step in which the source weighs nothing
                return np.inf
            learners, votes, _ = self._rounds(learner, X[kept], y[kept], weights[kept], n, random)
            said = np.stack([one.predict(X[n + held]) for one in learners], axis=1)
            total += float(np.square((weighted_median(said, votes) - y[n + held]) / unit).sum())
        return total / (X.shape[0] - n)

    def _rounds(
        self,
        learner: Any,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        n: int,
        random: np.random.RandomState,
    ) -> tuple[list[Any], np.ndarray, np.ndarray]:
        """AdaBoost.R2 in which source weights stay: learners, their weights, their mean losses."""
        weights = weights.copy()
        target = float(weights[n:].sum())
        found: list[Any] = []
        errors, votes = [], []
        for _ in range(self.n_estimators):
            made = new_learner(learner, random)
            made.fit(X, y, sample_weight=weights.copy())
            if n == X.shape[0]:  # no target row is left to learn from: the source alone
                return [made], np.ones(1), np.zeros(1)
            losses = losses_of(y[n:], made.predict(X[n:]), self.loss)
            error = float(weights[n:] @ losses) / target
            if error >= 0.5 and found:
                break
            found.append(made)
            errors.append(error)
            if not 0 < error < 0.5:
                votes.append(1.0)
                break
            beta = error / (1 - error)
            votes.append(self.learning_rate * float(np.log(1 / beta)))
            powers = (1 - losses) * self.learning_rate
            weights[n:] *= beta ** (powers - powers.min())  # so that one at least stays
            weights[n:] *= target / weights[n:].sum()
        return found, np.array(votes), np.array(errors)

    def predict(self, X: Any) -> np.ndarray:
        """The learners' weighted median for each row."""
        check_is_fitted(self, "estimators_")
        X = check_X(self, X, reset=False, infinite=False, op="predict", allow_nan=takes_nan(self.estimator))
        said = np.stack([learner.predict(X) for learner in self.estimators_], axis=1)
        return weighted_median(said, self.estimator_weights_)

    @property
    def feature_importances_(self) -> np.ndarray:
        check_is_fitted(self, "estimators_")
        return mean_importances(self.estimators_, self.estimator_weights_)

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"best_step": int(self.best_step_)}, {
            "weights": self.estimator_weights_,
            "errors": self.estimator_errors_,
            "steps": self.step_errors_,
            "estimators": self.estimators_,
        }

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        self.best_step_ = int(metadata["best_step"])
        self.estimators_, self.step_errors_ = values["estimators"], values["steps"]
        self.estimator_weights_, self.estimator_errors_ = values["weights"], values["errors"]
        sizes = [len(self.estimators_), len(self.estimator_weights_), len(self.estimator_errors_)]
        if not sizes[0] or len(set(sizes)) != 1:
            raise ArgumentError(f"learners, weights and errors are {sizes} in number")


def _joined(
    where: str, X: np.ndarray, y: Any, sample_weight: Any, source: Any, more: np.ndarray | None, y_more: Any
) -> tuple[np.ndarray, Any, np.ndarray | None, np.ndarray]:
    """All rows, their targets and weights, and which are the source's."""
    rows = X.shape[0]
    weights = check_weights(sample_weight, rows, where)
    is_source = np.zeros(rows, bool)
    if source is not None:
        is_source = np.asarray(source)
        if is_source.dtype != bool or is_source.shape != (rows,):
            raise ShapeError(
                f"{where}: source is {is_source.dtype} {is_source.shape}, expected bool ({rows},)"
            )
    if (more is None) != (y_more is None):
        raise ArgumentError(f"{where}: X_source and y_source come together or not at all")
    if more is not None:
        y, y_more = np.asarray(y), np.asarray(y_more)
        if y.shape[:1] != (rows,) or y_more.shape != (more.shape[0], *y.shape[1:]):
            raise ShapeError(
                f"{where}: y has shape {y.shape} and y_source {y_more.shape}, expected {rows} and"
                f" {more.shape[0]} rows"
            )
        if weights is not None:
            weights = np.concatenate([np.full(more.shape[0], weights[weights > 0].mean()), weights])
        X, y = np.concatenate([more, X]), np.concatenate([y_more, y])
        is_source = np.concatenate([np.ones(more.shape[0], bool), is_source])
    return X, y, weights, is_source


def _source_first(
    where: str,
    X: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray | None,
    is_source: np.ndarray,
    balanced: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows that have weight, source rows first, their weights, and the number of source rows.

    Without weights given all rows weigh the same; or, balanced, the source's as much as the target's in all.
    """
    y = column_of(y, X.shape[0], where)
    if weights is None:
        weights = np.ones(X.shape[0])
        if balanced and is_source.any() and not is_source.all():
            weights /= np.where(is_source, is_source.sum(), (~is_source).sum())
    first, last = np.flatnonzero(is_source & (weights > 0)), np.flatnonzero(~is_source & (weights > 0))
    if not last.size:
        raise ArgumentError(f"{where}: there is no target row, all are the source's or have weight 0")
    order = np.concatenate([first, last])
    if order.size == X.shape[0] and not first.size:
        return X, y, weights, 0
    return X[order], y[order], weights[order], first.size


def _folds(m: int, n_folds: int, random: np.random.RandomState) -> list[np.ndarray]:
    """Target rows in folds; with one row, that row, judged by the source alone."""
    if m < 2:
        return [np.arange(m)]
    folds = need("sklearn.model_selection", "TrAdaBoostRegressor").KFold
    split = folds(min(n_folds, m), shuffle=True, random_state=random).split(np.empty((m, 1)))
    return [held for _, held in split]


def _shrunk(weights: np.ndarray, losses: np.ndarray, n: int, share: float) -> np.ndarray:
    """Source weights times ``beta ** loss``, with beta such that the target has ``share`` of the sum."""
    target = float(weights[n:].sum())
    wanted = target * (1 - share) / share
    low, high = 0.0, 1.0
    for _ in range(60):
        beta = (low + high) / 2
        if float((weights[:n] * beta ** losses[:n]).sum()) > wanted:
            high = beta
        else:
            low = beta
    out = weights.copy()
    out[:n] *= low ** losses[:n]
    source = float(out[:n].sum())
    if source > wanted:  # rows without loss weigh too much for any beta
        out[:n] *= wanted / source
    return out / out.sum()
