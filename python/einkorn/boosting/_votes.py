"""What AdaBoost's classifiers share: rounds of stumps or of other learners, and prediction by their votes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from einkorn._device import near
from einkorn._masked import refuse_masked
from einkorn.boosting._base import check_rows, check_X, known_classes, real, takes_nan, whole
from einkorn.boosting._learners import check_learner, mean_importances, new_learner
from einkorn.boosting._sklearn import (
    BaseEstimator,
    ClassifierMixin,
    accuracy_score,
    check_is_fitted,
    check_random_state,
)
from einkorn.boosting._whole import RoundsKept
from einkorn.boosting.stump import DecisionStumpClassifier, StumpRounds, Stumps, check_stump_options
from einkorn.errors import ArgumentError
from einkorn.ops.stump import StumpSplit, adaboost_update
from einkorn.ops.tree_predict import predict_trees, staged_predict_trees

__all__ = ["VotingClassifier"]


class VotingClassifier(ClassifierMixin, BaseEstimator):
    """Classifiers grown on weighted rows, round after round, and their weighted votes."""

    # Stumps are kept as arrays, and become estimators when these are asked for; other learners are a list.
    _stumps: Stumps | None
    _learners: list[Any] | None

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_estimators: int = 50,
        learning_rate: float = 1.0,
        criterion: str = "gini",
        max_bins: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.criterion = criterion
        self.max_bins = max_bins
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = takes_nan(self.estimator)
        tags.input_tags.sparse = True
        return tags

    # --- fitting -----------------------------------------------------------------------------------

    def _check_options(self, where: str) -> None:
        whole(self.n_estimators, where, "n_estimators", 1)
        real(self.learning_rate, where, "learning_rate", 0, above=True)
        check_stump_options(where, self.criterion, self.max_bins)
        if self.estimator is not None:
            check_learner(where, self.estimator, "classifier")

    def _boost(
        self,
        where: str,
        X: np.ndarray,
        codes: np.ndarray,
        weights: np.ndarray,
        options: dict[str, Any],
        device: str = "cpu",
    ) -> None:
        """All rounds, those of stumps on a device; ``options`` go to ``adaboost_update``."""
        chance = 1 - 1 / self.n_classes_
        endless = options.get("error_floor", 0) > 0
        rounds = (
            self._stump_rounds(X, codes, weights, options, device)
            if self.estimator is None
            else self._learner_rounds(X, codes, weights, options)
        )
        found: list[Any] = []
        errors: list[float] = []
        votes: list[float] = []
        interrupted = False
        try:
            for learner, stats in rounds:
                error = float(stats[0])
                if not error < chance and not endless:
                    if not found:
                        raise ArgumentError(
                            f"{where}: the first base learner has error {error:.4g}, worse than random: the"
                            " ensemble can not be fit"
                        )
                    break
                if not np.isfinite(stats[1]):
                    if not found:
                        raise ArgumentError(
                            f"{where}: learning_rate is {self.learning_rate}: weights overflow"
                        )
                    warnings.warn(
                        f"{where}: weights have reached infinite values in round {len(found) + 1}, the last."
                        " Try lowering the learning rate.",
                        stacklevel=4,
                    )
                    break
                found.append(learner)
                errors.append(error)
                votes.append(float(stats[1]))
                if error <= 0 and not endless:
                    break
        except KeyboardInterrupt:
            if not votes:
                raise
            interrupted = True
            del found[len(votes) :], errors[len(votes) :]
        self.estimator_errors_ = np.array(errors)
        self.estimator_weights_ = np.array(votes)
        if self.estimator is None:
            counts = [count for _, count in found]
            self._set_stumps(Stumps.of([split for split, _ in found], counts, self.n_classes_))
        else:
            self._stumps = None
            self._learners = found
            self.__dict__.pop("trees_", None)  # of an earlier fit with stumps
        if interrupted:
            raise RoundsKept(self)

    def _stump_rounds(
        self, X: np.ndarray, codes: np.ndarray, weights: np.ndarray, options: dict[str, Any], device: str
    ) -> Iterator[tuple[tuple[StumpSplit, tuple[int, int]], np.ndarray]]:
        rounds = StumpRounds(X, codes, self.n_classes_, weights, self.criterion, self.max_bins, device)
        for _ in range(self.n_estimators):
            split = rounds.search()
            stats = rounds.update(split, **options)
            lefts = int(stats[3]) if split.feature >= 0 else 0
            yield (split, (lefts, X.shape[0] - lefts)), stats

    def _learner_rounds(
        self, X: np.ndarray, codes: np.ndarray, weights: np.ndarray, options: dict[str, Any]
    ) -> Iterator[tuple[Any, np.ndarray]]:
        where = f"{type(self).__name__}.fit"
        random = check_random_state(self.random_state)
        y = self.classes_[codes]
        signed = np.empty(weights.shape, np.float32)
        for _ in range(self.n_estimators):
            learner = new_learner(self.estimator, random)
            learner.fit(X, y, sample_weight=weights.copy())
            said = known_classes(
                learner.predict(X), self.classes_, X.shape[0], where, "what estimator predicts"
            )
            yield (
                learner,
                adaboost_update(weights, signed, codes, predicted=said, classes=self.n_classes_, **options),
            )

    def _set_stumps(self, stumps: Stumps) -> None:
        """Take over the stumps, and make the trees that predict: in float64, summed in the rounds' order."""
        self._stumps = stumps
        self._learners = None
        self.trees_ = stumps.trees(
            self._leaf_values(stumps.sides(), self.estimator_weights_),
            self.n_features_in_,
            1 if self.n_classes_ == 2 else self.n_classes_,
        )

    def _leaf_values(self, said: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """What a vote adds to the scores, [..., outputs]: w for the class, -w / (K - 1) for the others."""
        weights = weights.reshape(-1, *(1,) * (said.ndim - 1))
        if self.n_classes_ == 2:
            return np.where(said == 1, weights, -weights)[..., None]
        votes = said[..., None] == np.arange(self.n_classes_)
        return np.where(votes, weights[..., None], -weights[..., None] / (self.n_classes_ - 1))

    # --- what was found ----------------------------------------------------------------------------

    @property
    def estimators_(self) -> list[Any]:
        check_is_fitted(self, "estimator_weights_")
        if self._learners is None:
            assert self._stumps is not None
            self._learners = []
            for i in range(len(self._stumps)):
                stump = DecisionStumpClassifier(criterion=self.criterion, max_bins=self.max_bins)
                stump.classes_, stump.n_features_in_ = self.classes_, self.n_features_in_
                stump._set(self._stumps.part(i, i + 1))
                self._learners.append(stump)
        return self._learners

    @property
    def feature_importances_(self) -> np.ndarray:
        check_is_fitted(self, "estimator_weights_")
        if self._stumps is None:
            return mean_importances(self.estimators_, self.estimator_weights_)
        used = self._stumps.feature >= 0
        weights = self.estimator_weights_
        sums = np.bincount(self._stumps.feature[used], weights[used], self.n_features_in_)
        return sums / weights.sum()

    # --- prediction ------------------------------------------------------------------------------

    def _votes(self, X: Any, op: str) -> Iterator[np.ndarray]:
        """Sums of votes after each round, [rows, outputs]; the array may be changed later."""
        check_is_fitted(self, "estimator_weights_")
        if self._stumps is not None:
            X = check_rows(self, X, infinite=False, op=op)
            yield from map(near, staged_predict_trees(self.trees_, X))
            return
        X = check_X(self, X, reset=False, infinite=False, op=op, allow_nan=takes_nan(self.estimator))
        out = np.zeros((X.shape[0], 1 if self.n_classes_ == 2 else self.n_classes_))
        for learner, weight in zip(self.estimators_, self.estimator_weights_, strict=True):
            said = np.searchsorted(self.classes_, learner.predict(X))
            out += self._leaf_values(said[None], np.array([weight]))[0]
            yield out

    def _all_votes(self, X: Any, op: str) -> np.ndarray:
        check_is_fitted(self, "estimator_weights_")
        if self._stumps is not None:
            return near(predict_trees(self.trees_, check_rows(self, X, infinite=False, op=op)))
        *_, votes = self._votes(X, op)
        return votes

    def _decision(self, votes: np.ndarray, rounds: int) -> np.ndarray:
        total = self.estimator_weights_[:rounds].sum()
        return 2 * votes[:, 0] / total if self.n_classes_ == 2 else votes / total

    def _probabilities(self, decision: np.ndarray) -> np.ndarray:
        """Softmax of the scores over K - 1 (Zhu et al., equation 15); of minus and plus a half for two."""
        if self.n_classes_ == 2:
            scores = np.stack([-decision, decision], axis=1) / 2
        else:
            scores = decision / (self.n_classes_ - 1)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _classes_of(self, decision: np.ndarray) -> np.ndarray:
        if self.n_classes_ == 2:
            return self.classes_[(decision > 0).astype(np.intp)]
        return self.classes_[decision.argmax(axis=1)]

    def decision_function(self, X: Any) -> np.ndarray:
        """Weighted mean of the votes.

        Returns
        -------
        float64 array [rows] for two classes, else [rows, n_classes]
            Two classes: from -2 to 2, above 0 for ``classes_[1]``. More: a vote is 1 for its class and
            ``-1 / (K - 1)`` for the others.
        """
        return self._decision(self._all_votes(X, "decision_function"), len(self.estimator_weights_))

    def predict(self, X: Any) -> np.ndarray:
        """The classes with the most votes."""
        return self._classes_of(self._decision(self._all_votes(X, "predict"), len(self.estimator_weights_)))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities from the votes, [rows, n_classes]; see the reference. They are not calibrated."""
        votes = self._all_votes(X, "predict_proba")
        return self._probabilities(self._decision(votes, len(self.estimator_weights_)))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of :meth:`predict_proba`."""
        return np.log(self.predict_proba(X))

    def staged_decision_function(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`decision_function` of the first round, the first two, and so on."""
        for i, votes in enumerate(self._votes(X, "staged_decision_function")):
            yield self._decision(votes, i + 1)

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`predict` of the first round, the first two, and so on."""
        for decision in self.staged_decision_function(X):
            yield self._classes_of(decision)

    def staged_predict_proba(self, X: Any) -> Iterator[np.ndarray]:
        """:meth:`predict_proba` of the first round, the first two, and so on."""
        for decision in self.staged_decision_function(X):
            yield self._probabilities(decision)

    def staged_score(self, X: Any, y: Any, sample_weight: Any = None) -> Iterator[float]:
        """Accuracy of the first round, the first two, and so on."""
        refuse_masked(y, f"{type(self).__name__}.staged_score: y")
        for predicted in self.staged_predict(X):
            yield accuracy_score(y, predicted, sample_weight=sample_weight)

    # --- saving ----------------------------------------------------------------------------------

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        values: dict[str, Any] = {"weights": self.estimator_weights_, "errors": self.estimator_errors_}
        values["estimators"] = None if self._stumps is not None else self.estimators_
        return {}, values | ({} if self._stumps is None else self._stumps.values())

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        self.n_classes_ = self.classes_.size
        self.estimator_weights_, self.estimator_errors_ = values["weights"], values["errors"]
        if values["estimators"] is None:
            self._set_stumps(
                Stumps.from_values(_without(values, "weights", "errors", "estimators"), self.n_classes_)
            )
        else:
            self._stumps, self._learners = None, values["estimators"]
        sizes = [len(self.estimators_), len(self.estimator_weights_), len(self.estimator_errors_)]
        if not sizes[0] or len(set(sizes)) != 1:
            raise ArgumentError(f"learners, weights and errors are {sizes} in number")


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
