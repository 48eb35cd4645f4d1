"""AdaBoost: classes as Freund and Schapire (1997) and Zhu et al. (2009), numbers as Drucker (1997)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from einkorn._device import move, near
from einkorn._masked import refuse_masked
from einkorn.boosting._base import (
    check_rows,
    check_targets,
    check_X,
    encode_classes,
    known_classes,
    one_of,
    place_of,
    real,
    takes_nan,
    used_rows,
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
    r2_score,
)
from einkorn.boosting._votes import VotingClassifier
from einkorn.boosting._whole import RoundsKept, all_or_nothing
from einkorn.boosting.stump import weighted_rows
from einkorn.errors import ArgumentError
from einkorn.ops.stump import adaboost_update

__all__ = ["AdaBoostClassifier", "AdaBoostRegressor"]


class AdaBoostClassifier(VotingClassifier):
    """AdaBoost on decision stumps, or on any classifier that takes weights.

    Each round grows a classifier h on weighted rows, takes its weighted error e, and gives it the weight
    ``w = learning_rate (log((1 - e) / e) + log(K - 1))``; weights of rows where h is wrong are multiplied by
    ``exp(w)``, then all divided by their sum. For two classes (K = 2) this is the discrete AdaBoost of Freund
    and Schapire, whose ``alpha = w / 2``; for more it is SAMME.

    Parameters
    ----------
    estimator : classifier, optional
        Cloned for each round; its ``fit`` takes ``sample_weight``. None: stumps on compiled kernels.
    n_estimators : int, default 50
        Most rounds. They end early when h makes no error, or one no better than chance, ``1 - 1 / K``.
    learning_rate : float, default 1.0
        Above 0.
    criterion : {"gini", "entropy", "error"}, default "gini"
        What a stump's split makes least. "error" is the weak learner of the lowest weighted error of the
        textbooks. Not used with ``estimator``.
    max_bins : int, optional
        Stumps look for thresholds between so many bins of each feature. None: between all values. Not used
        with ``estimator``.
    random_state : int, RandomState, optional
        Given to base learners that have a ``random_state``. Stumps have none: of equally good splits the
        lowest feature and threshold win.

    Attributes
    ----------
    estimators_ : list of classifiers
        :class:`DecisionStumpClassifier` by default.
    estimator_weights_, estimator_errors_ : float64 array [rounds]
    classes_ : array [n_classes]
    n_classes_, n_features_in_ : int
    feature_names_in_ : array of str
    feature_importances_ : float64 array [features]
        Mean of the learners', by their weights; a stump's is 1 at its feature.
    trees_ : Trees
        The stumps as trees that add up weighted votes; only without ``estimator``.
    alphas_ : float64 array [rounds]
        Two classes: ``estimator_weights_ / 2``, with ``learning_rate=1`` Freund and Schapire's alpha.
    normalizers_ : float64 array [rounds]
        Two classes: ``Z = sum D exp(-alpha y h)`` over the rows, by which a round's weights are divided.

    Notes
    -----
    Missing values (NaN) go to the better side of a stump; with an ``estimator`` they are taken where it says
    that it takes them. Sparse input is made dense. Rows of weight 0 are left out before anything is learned,
    classes included.

    References
    ----------
    Freund and Schapire, A decision-theoretic generalization of on-line learning and an application to
    boosting, 1997. Zhu, Zou, Rosset and Hastie, Multi-class AdaBoost, 2009.
    """

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdaBoostClassifier:
        """Boost. Ctrl-C ends it: the model is fitted with the rounds so far, KeyboardInterrupt is raised.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            Stumps are searched where X is, on a GPU too; other learners are given arrays of the CPU alone.
        y : array [rows]
            At least two classes. With X on a GPU this and the weights may be there too.
        sample_weight : array [rows], optional
            The first round's weights, up to their sum.

        Returns
        -------
        AdaBoostClassifier
            Itself.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            For input that does not fit, and when the first learner is no better than chance.
        """
        where = f"{type(self).__name__}.fit"
        self._check_options(where)
        device = place_of(X) if self.estimator is None else "cpu"
        if device != "cpu":
            X, y, sample_weight = near(X), near(y), near(sample_weight)
        X = check_X(self, X, reset=True, infinite=False, allow_nan=takes_nan(self.estimator))
        X, y, weights = weighted_rows(X, y, sample_weight, where)
        self.classes_, codes = encode_classes(y, X.shape[0], where)
        self.n_classes_ = self.classes_.size
        self._boost(where, X, codes, weights, {"learning_rate": float(self.learning_rate)}, device)
        return self

    @property
    def alphas_(self) -> np.ndarray:
        check_is_fitted(self, "estimator_weights_")
        if self.n_classes_ != 2:
            raise AttributeError(f"alphas_ is for two classes, and there are {self.n_classes_}")
        return self.estimator_weights_ / 2

    @property
    def normalizers_(self) -> np.ndarray:
        a, e = self.alphas_, self.estimator_errors_
        return (1 - e) * np.exp(-a) + e * np.exp(a)

    def staged_sample_weight(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[np.ndarray]:
        """The rows' weights before each round and after the last: D_1, D_2, ... of the rounds seen again.

        Parameters
        ----------
        X, y, sample_weight :
            What the model was fitted on.

        Yields
        ------
        float64 array [rows]
            With sum 1. ``weights * normalizers_[t]`` are those of round t before they were divided.
        """
        check_is_fitted(self, "estimator_weights_")
        where = f"{type(self).__name__}.staged_sample_weight"
        X = check_X(
            self,
            X,
            reset=False,
            infinite=False,
            op="staged_sample_weight",
            allow_nan=takes_nan(self.estimator),
        )
        _, y, given, kept = used_rows(X, y, sample_weight, where)
        zero = np.zeros(X.shape[0], bool) if kept is None else ~kept
        codes = np.zeros(X.shape[0], np.int32)
        codes[~zero] = known_classes(y, self.classes_, y.size, where)
        weights = np.zeros(X.shape[0])
        weights[~zero] = 1 / X.shape[0] if given is None else given / given.sum()
        signed = np.empty(weights.shape, np.float32)
        yield weights.copy()
        for learner in self.estimators_:
            said = known_classes(learner.predict(X), self.classes_, X.shape[0], where)
            adaboost_update(
                weights,
                signed,
                codes,
                predicted=said,
                classes=self.n_classes_,
                learning_rate=float(self.learning_rate),
            )
            weights[zero] = 0
            yield weights.copy()


class AdaBoostRegressor(RegressorMixin, BaseEstimator):
    """AdaBoost.R2: regression trees on rows drawn by weight, and their weighted median.

    Each round draws as many rows as there are, with replacement and by weight, and fits a learner on them.
    Its losses L of all rows, within [0, 1], have the weighted mean e; with ``beta = e / (1 - e)`` a row's
    weight is multiplied by ``beta ** (learning_rate (1 - L))``, and the learner's own weight in the median is
    ``learning_rate log(1 / beta)``.

    Parameters
    ----------
    estimator : regressor, optional
        Cloned for each round. None: ``DecisionTreeRegressor(max_depth=3)`` of this package.
    n_estimators : int, default 50
        Most rounds. They end early at a mean loss of 0, or of 0.5 or more.
    learning_rate : float, default 1.0
    loss : {"linear", "square", "exponential"}, default "linear"
        With E the absolute errors over the largest: L is E, its square, or ``1 - exp(-E)``.
    random_state : int, RandomState, optional
        For the draws, and for learners that have a ``random_state``.

    Attributes
    ----------
    estimators_ : list of regressors
    estimator_weights_, estimator_errors_ : float64 array [rounds]
    feature_importances_ : float64 array [features]
    n_features_in_, feature_names_in_

    Notes
    -----
    Sparse input is made dense. Rows of weight 0 are left out. Missing values (NaN) are taken where the
    ``estimator`` says that it takes them.

    References
    ----------
    Drucker, Improving regressors using boosting techniques, 1997.
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_estimators: int = 50,
        learning_rate: float = 1.0,
        loss: str = "linear",
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.loss = loss
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = takes_nan(self.estimator)
        tags.input_tags.sparse = True
        return tags

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdaBoostRegressor:
        """Boost. Ctrl-C ends it: the model is fitted with the rounds so far, KeyboardInterrupt is raised.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            Without an ``estimator`` trees are grown where X is, on a GPU too.
        y : array [rows]
            Finite numbers. With X on a GPU this and the weights may be there too.
        sample_weight : array [rows], optional
            The first round's weights, up to their sum.

        Returns
        -------
        AdaBoostRegressor
            Itself.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            For input that does not fit.
        """
        where = f"{type(self).__name__}.fit"
        whole(self.n_estimators, where, "n_estimators", 1)
        rate = real(self.learning_rate, where, "learning_rate", 0, above=True)
        one_of(self.loss, where, "loss", LOSSES)
        if self.estimator is not None:
            check_learner(where, self.estimator, "regressor", weighted=False)
        device = place_of(X) if self.estimator is None else "cpu"
        if device != "cpu":
            X, y, sample_weight = near(X), near(y), near(sample_weight)
        X = check_X(self, X, reset=True, infinite=False, allow_nan=takes_nan(self.estimator))
        X, y, weights = weighted_rows(X, y, sample_weight, where)
        y = check_targets(y, X.shape[0], where)
        random = check_random_state(self.random_state)
        learner = tree_of_depth(3) if self.estimator is None else self.estimator
        there = move(X, device)
        found: list[Any] = []
        errors, votes = [], []
        interrupted = False
        try:
            for _ in range(self.n_estimators):
                made = new_learner(learner, random)
                drawn = random.choice(np.arange(X.shape[0]), size=X.shape[0], replace=True, p=weights)
                made.fit(move(X[drawn], device), y[drawn])
                losses = losses_of(y, made.predict(there), self.loss)
                error = float(weights @ losses)
                if error >= 0.5 and found:
                    break
                found.append(made)
                errors.append(error)
                if not 0 < error < 0.5:
                    votes.append(1.0)
                    break
                beta = error / (1 - error)
                votes.append(rate * float(np.log(1 / beta)))
                powers = (1 - losses) * rate
                weights = np.maximum(weights * beta ** (powers - powers.min()), np.finfo(np.float64).eps)
                weights /= weights.sum()
        except KeyboardInterrupt:
            if not votes:
                raise
            interrupted = True
        whole_rounds = len(votes)
        self.estimators_ = found[:whole_rounds]
        self.estimator_errors_ = np.array(errors[:whole_rounds])
        self.estimator_weights_ = np.array(votes)
        if interrupted:
            raise RoundsKept(self)
        return self

    def _predictions(self, X: Any, op: str) -> np.ndarray:
        check_is_fitted(self, "estimators_")
        check = check_rows if self.estimator is None else partial(check_X, reset=False)
        X = check(self, X, infinite=False, op=op, allow_nan=takes_nan(self.estimator))
        return np.stack([learner.predict(X) for learner in self.estimators_], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The learners' weighted median for each row."""
        return weighted_median(self._predictions(X, "predict"), self.estimator_weights_)

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`predict` of the first round, the first two, and so on."""
        predictions = self._predictions(X, "staged_predict")
        for i in range(1, predictions.shape[1] + 1):
            yield weighted_median(predictions[:, :i], self.estimator_weights_[:i])

    def staged_score(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[float]:
        """R^2 of the first round, the first two, and so on."""
        refuse_masked(y, f"{type(self).__name__}.staged_score: y")
        for predicted in self.staged_predict(X):
            yield r2_score(y, predicted, sample_weight=sample_weight)

    @property
    def feature_importances_(self) -> np.ndarray:
        check_is_fitted(self, "estimators_")
        return mean_importances(self.estimators_, self.estimator_weights_)

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {
            "weights": self.estimator_weights_,
            "errors": self.estimator_errors_,
            "estimators": self.estimators_,
        }

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        self.estimators_ = values["estimators"]
        self.estimator_weights_, self.estimator_errors_ = values["weights"], values["errors"]
        sizes = [len(self.estimators_), len(self.estimator_weights_), len(self.estimator_errors_)]
        if not sizes[0] or len(set(sizes)) != 1:
            raise ArgumentError(f"learners, weights and errors are {sizes} in number")
