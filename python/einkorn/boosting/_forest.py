"""What trees and forests share: options, binning, growing in batches, prediction, views of single trees."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import runtime
from einkorn._device import move, near
from einkorn.boosting import _base
from einkorn.boosting._sklearn import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    accuracy_score,
    check_is_fitted,
    compute_class_weight,
    r2_score,
)
from einkorn.boosting._whole import RoundsKept, all_or_nothing
from einkorn.boosting.binning import Binner
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops.tree_forest import bootstrap_counts, grow_forest
from einkorn.ops.tree_predict import apply_trees, predict_trees

__all__ = ["Classifies", "Forest", "Regresses", "TreeEnsemble"]

_BATCH_SECONDS = 0.5  # trees are grown in batches of about so long: that is how long Ctrl-C waits
_OOB_TREES = 8  # trees whose leaves are looked up at a time
_EXACT = 65535


def bounds(binner: Binner, codes: np.ndarray, X: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The least and the largest value of each bin: the value itself where a bin has only one."""
    low, high = [], []
    least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    values = np.empty(binner.missing_code_ + 1, X.dtype)
    for f, edges in enumerate(binner.edges_):
        column, code, n_bins = X[:, f], codes[f], int(binner.n_bins_[f])
        values[:] = np.nan
        exact = True
        for rows in (slice(0, 2048), slice(None)):  # most columns with several values in a bin show it early
            values[code[rows]] = column[rows]
            back = values[code[rows]]
            exact = exact and bool(((back == column[rows]) | np.isnan(column[rows])).all())
        if exact and not np.isnan(values[:n_bins]).any():
            low.append(values[:n_bins].astype(np.float64))
            high.append(low[-1])
        else:
            low.append(np.concatenate([[least[f]], edges]))
            high.append(np.concatenate([edges, [most[f]]]))
    return low, high


def _both(kept: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Marks of rows of which ``kept`` are looked at, and of those ``used``."""
    marks = kept.copy()
    marks[kept] = used
    return marks


class TreeEnsemble(BaseEstimator):
    """One tree or many: what :class:`Forest` and the decision trees have in common."""

    _is_classifier = False
    _random_thresholds = False

    n_features_in_: int
    n_outputs_: int
    trees_: Trees

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    # --- options ---------------------------------------------------------------------------

    def _where(self, method: str = "fit") -> str:
        return f"{type(self).__name__}.{method}"

    def _criteria(self) -> tuple[str, ...]:
        if self._is_classifier:
            return ("gini", "entropy", "log_loss")
        return ("squared_error", "friedman_mse", "poisson")

    def _rows_of(self, name: str, n: int, least: int) -> int:
        """min_samples_split and min_samples_leaf: a number of rows, or a fraction of them."""
        value, where = getattr(self, name), self._where()
        if isinstance(value, (float, np.floating)):
            return max(least, math.ceil(_base.real(value, where, name, 0.0, 1.0, above=True) * n))
        return _base.whole(value, where, name, least)

    def _options(self, rows: int, features: int, total: float) -> dict[str, Any]:
        where = self._where()
        depth, leaves = self.max_depth, self.max_leaf_nodes
        fraction = _base.real(self.min_weight_fraction_leaf, where, "min_weight_fraction_leaf", 0.0, 0.5)
        least = _base.real(self.min_impurity_decrease, where, "min_impurity_decrease", 0.0)
        return {
            "criterion": _base.one_of(self.criterion, where, "criterion", self._criteria()),
            "max_features": _base.feature_count(self.max_features, features, where),
            "max_depth": None if depth is None else _base.whole(depth, where, "max_depth", 1),
            "max_leaf_nodes": None if leaves is None else _base.whole(leaves, where, "max_leaf_nodes", 2),
            "min_samples_split": self._rows_of("min_samples_split", rows, 2),
            "min_samples_leaf": self._rows_of("min_samples_leaf", rows, 1),
            "min_weight_leaf": fraction * total,
            "min_impurity_decrease": least,
        }

    # --- fitting ---------------------------------------------------------------------------

    def _targets(self, y: Any, n: int) -> np.ndarray:
        """Targets as the kernels take them; a classifier remembers its classes."""
        raise NotImplementedError

    def _data(
        self, X: np.ndarray, y: Any, sample_weight: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float, np.ndarray | None]:
        """The rows that have weight, and what is to be known of them.

        X (checked), targets, weights with those of the classes, the sum of the weights without these, and
        which of the rows given they are (None: all).
        """
        X, y, weight, kept = _base.used_rows(X, y, sample_weight, self._where())
        target = self._targets(y, X.shape[0])
        self.n_outputs_ = 1
        total = float(X.shape[0]) if weight is None else float(weight.sum())
        weight = self._class_weights(target, weight)
        if weight is not None and weight.min() == 0:  # a class of weight 0
            used = weight > 0
            kept = used if kept is None else _both(kept, used)
            X, target, weight = X[used], target[used], weight[used]
        return X, target, weight, total, kept

    def _class_weights(self, target: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Weights of rows with those of their classes; "balanced_subsample" is seen to tree by tree."""
        given = getattr(self, "class_weight", None)
        if given is None or given == "balanced_subsample":
            return weight
        where = self._where()
        if isinstance(given, str) and given != "balanced":
            known = "'balanced', 'balanced_subsample', a dict or None"
            raise ArgumentError(f"{where}: class_weight is {given!r}, expected {known}")
        with _base._as_einkorn(where):
            of_class = compute_class_weight(given, classes=self.classes_, y=self.classes_[target])
        rows = of_class[target]
        return _base.check_weights(rows if weight is None else weight * rows, target.size, where)

    def _bins(self, X: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        max_bins = _base.whole(self.max_bins, self._where(), "max_bins", 2, _EXACT)
        binner = Binner(max_bins, subsample=None if max_bins == _EXACT else 200_000)
        codes = binner.fit_transform(X)
        return codes, *bounds(binner, codes, X)

    # --- using the trees -------------------------------------------------------------------

    def _mean(self, X: Any, method: str) -> np.ndarray:
        """The mean of the trees' leaves, float64 [rows, width]."""
        check_is_fitted(self)
        X = _base.check_rows(self, X, infinite=False, op=method)
        with _base.threads(getattr(self, "n_jobs", None), self._where(method)):
            out = near(predict_trees(self.trees_, X))
        out /= self.trees_.n_trees
        return out

    def _leaves(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = _base.check_rows(self, X, infinite=False, op="apply")
        with _base.threads(getattr(self, "n_jobs", None), self._where("apply")):
            return near(apply_trees(self.trees_, X))

    @property
    def feature_importances_(self) -> np.ndarray:
        """Each feature's share of the decrease of impurity: the mean of the trees' shares, float64
        [features].

        Trees of a single leaf do not count.
        """
        check_is_fitted(self)
        trees = self.trees_
        n, number = trees.n_features, trees.n_trees
        inner = trees.feature >= 0
        tree = np.repeat(np.arange(number), np.diff(trees.offsets))[inner]
        sums = np.bincount(tree * n + trees.feature[inner], trees.gain[inner], minlength=number * n)
        sums = sums.reshape(number, n)
        totals = sums.sum(axis=1, keepdims=True)
        shares = (sums / np.where(totals > 0, totals, 1)).sum(axis=0)
        return shares / shares.sum() if shares.sum() > 0 else shares

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        oob = {
            name: getattr(self, name)
            for name in vars(self)
            if name.startswith("oob_") and name != "oob_score"
        }
        score = oob.pop("oob_score_", None)
        seeds = getattr(self, "_seeds", None)
        return {"oob_score": score, "seed": getattr(self, "_seed", None)}, {
            "trees": self.trees_,
            "seeds": seeds,
            **oob,
        }

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        trees = values["trees"]
        width = self.classes_.size if self._is_classifier else 1
        if not isinstance(trees, Trees) or trees.n_trees < 1 or (trees.outputs != -1).any():
            raise ArgumentError("the trees are not those of a forest")
        if trees.n_outputs != width or trees.n_features != self.n_features_in_:
            raise ShapeError("the trees do not fit the numbers of classes and features")
        self.trees_, self.n_outputs_ = trees, 1
        if self._is_classifier:
            self.n_classes_ = width
        if values["seeds"] is not None:
            self._seeds, self._seed = values["seeds"], metadata["seed"]
        if metadata["oob_score"] is not None:
            self.oob_score_ = metadata["oob_score"]
        for name in ("oob_decision_function_", "oob_prediction_"):
            if name in values:
                setattr(self, name, values[name])


class Classifies(ClassifierMixin):
    """Prediction of classes."""

    _is_classifier = True

    classes_: np.ndarray
    n_classes_: int
    _mean: Callable[[Any, str], np.ndarray]
    _where: Callable[..., str]

    def _targets(self, y: Any, n: int) -> np.ndarray:
        self.classes_, target = _base.encode_classes(y, n, self._where(), least=1)
        self.n_classes_ = self.classes_.size
        return target

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean of the leaves' distributions over the classes.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            NaN is a missing value.

        Returns
        -------
        float64 array [rows, n_classes]
        """
        return self._mean(X, "predict_proba")

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of :meth:`predict_proba`, -inf for 0."""
        with np.errstate(divide="ignore"):
            return np.log(self._mean(X, "predict_log_proba"))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, the first of equal ones."""
        best = np.argmax(self._mean(X, "predict"), axis=1)
        return self.classes_[best]


class Regresses(RegressorMixin):
    """Prediction of numbers."""

    criterion: str
    _mean: Callable[[Any, str], np.ndarray]
    _where: Callable[..., str]

    def _targets(self, y: Any, n: int) -> np.ndarray:
        target = _base.check_targets(y, n, self._where())
        if self.criterion == "poisson" and not (target.min() >= 0 and target.max() > 0):
            raise ArgumentError(
                f"{self._where()}: y has negative values or only zeros; 'poisson' needs others"
            )
        return target

    def predict(self, X: Any) -> np.ndarray:
        """The mean of the leaves that a row reaches, float64 [rows].

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            NaN is a missing value.
        """
        return self._mean(X, "predict")[:, 0]


class Forest(TreeEnsemble):
    """Many trees, each grown from its own draws."""

    _single: type[TreeEnsemble]  # the class of one of its trees, for estimators_

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Grow the trees.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            float32 or float64; NaN is a missing value. Of an array of a GPU trees are grown there; data are
            checked and bins found on the CPU, where the model is too.
        y : array [rows]
            Classes, or finite numbers. With X on a GPU this and the weights may be there too.
        sample_weight : array [rows], optional
            At least 0; rows of weight 0 are left out.

        Returns
        -------
        self
            After Ctrl-C, the estimator has the trees that were grown until then.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            For data and options that do not fit, by name.
        """
        where = self._where()
        grown = self.trees_ if self.warm_start and hasattr(self, "trees_") else None
        old_classes = getattr(self, "classes_", None)
        device = _base.place_of(X)
        if device != "cpu":
            X, y, sample_weight = near(X), near(y), near(sample_weight)
        given = _base.check_X(self, X, reset=True, infinite=False)
        X, target, weight, total, kept = self._data(given, y, sample_weight)
        number = _base.whole(self.n_estimators, where, "n_estimators", 1)
        draws = self._draws(X.shape[0])
        options = self._options(X.shape[0], X.shape[1], total)
        if grown is not None:
            self._check_warm(grown, number, X.shape[1], old_classes)
        else:
            self._seeds = np.empty(0, np.int64)
            self._seed = _base.seed(self.random_state, where)
        for name in ("oob_score_", "oob_decision_function_", "oob_prediction_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        seeds = np.random.default_rng(self._seed).integers(0, 1 << 62, number)
        with _base.threads(self.n_jobs, where):
            codes, low, high = self._bins(X)
            if self._is_classifier:
                options["n_classes"] = self.n_classes_
            options |= {"sample_weight": weight, "random_thresholds": self._random_thresholds}
            self._grow(grown, seeds, draws, move(codes, device), target, low, high, options)
            if self.oob_score:
                self._score_oob(given, X, target, draws, kept)
        return self

    def _draws(self, rows: int) -> int | None:
        """Size of a bootstrap sample; None without."""
        where, given = self._where(), self.max_samples
        if not self.bootstrap:
            if given is not None:
                raise ArgumentError(f"{where}: max_samples is {given!r} and bootstrap False, expected None")
            if self.oob_score:
                raise ArgumentError(
                    f"{where}: oob_score needs bootstrap=True: out-of-bag estimates are of rows not drawn"
                )
            return None
        if given is None:
            return rows
        if isinstance(given, (float, np.floating)):
            return max(1, round(_base.real(given, where, "max_samples", 0.0, 1.0, above=True) * rows))
        return _base.whole(given, where, "max_samples", 1, rows)

    def _check_warm(self, grown: Trees, number: int, features: int, old_classes: Any) -> None:
        where = self._where()
        if number < grown.n_trees:
            raise ArgumentError(
                f"{where}: n_estimators is {number}, expected at least {grown.n_trees}, the trees grown"
                " already, with warm_start=True"
            )
        if features != grown.n_features:
            raise ShapeError(f"{where}: X has {features} features, expected {grown.n_features} as before")
        if self._is_classifier and not np.array_equal(old_classes, self.classes_):
            raise ArgumentError(
                f"{where}: y has the classes {self.classes_!r}, expected {old_classes!r} as before"
            )
        if number == grown.n_trees:
            warnings.warn(
                "Warm-start fitting without increasing n_estimators does not fit new trees.", stacklevel=4
            )

    def _grow(
        self,
        grown: Trees | None,
        seeds: np.ndarray,
        draws: int | None,
        codes: np.ndarray,
        target: np.ndarray,
        low: list[np.ndarray],
        high: list[np.ndarray],
        options: dict[str, Any],
    ) -> None:
        """Grow trees batch by batch; what is grown is kept when Ctrl-C interrupts."""
        parts = [] if grown is None else [grown]
        first = done = 0 if grown is None else grown.n_trees
        interrupted = False
        rows = target.size
        batch, room, begun = 2 * runtime.get_num_threads(), None, time.perf_counter()
        try:
            while done < seeds.size:
                started = time.perf_counter()
                part = seeds[done : done + batch]
                counts = None if draws is None else bootstrap_counts(rows, part, draws, _base.place_of(codes))
                of_class = self._subsample_weights(target, near(counts), part.size)
                parts.append(
                    grow_forest(
                        codes,
                        target,
                        part,
                        low,
                        high,
                        counts=counts,
                        class_weight=of_class,
                        expected_nodes=room,
                        **options,
                    )
                )
                done += part.size
                took = (time.perf_counter() - started) / part.size
                batch = int(min(max(_BATCH_SECONDS / took, 2 * runtime.get_num_threads()), 256))
                room = int(np.diff(parts[-1].offsets).max() * 1.3) + 64
                if self.verbose:
                    spent = time.perf_counter() - begun
                    print(f"{type(self).__name__}: {done} of {seeds.size} trees, {spent:.1f} s", flush=True)
        except KeyboardInterrupt:
            if done == first:
                raise
            interrupted = True
        self.trees_ = parts[0] if len(parts) == 1 else Trees.concatenate(parts)
        self._seeds = seeds[:done]
        if interrupted:
            raise RoundsKept(self)

    def _subsample_weights(
        self, target: np.ndarray, counts: np.ndarray | None, trees: int
    ) -> np.ndarray | None:
        """Weights of the classes that make them balanced in each tree's sample."""
        if getattr(self, "class_weight", None) != "balanced_subsample":
            return None
        if counts is None:
            counts = np.ones((1, target.size), np.uint16)
        sums = np.stack([np.bincount(target, c, minlength=self.n_classes_) for c in counts])
        weights = sums.sum(axis=1, keepdims=True) / (self.n_classes_ * np.maximum(sums, 1))
        return np.broadcast_to(weights, (trees, self.n_classes_))

    def _score_oob(
        self, given: np.ndarray, X: np.ndarray, target: np.ndarray, draws: int | None, kept: np.ndarray | None
    ) -> None:
        """Predict each row by the trees whose samples lack it.

        ``kept`` says which of the rows given X holds: the others, of weight 0, are in no sample and do not
        count for the score.
        """
        trees, rows = self.trees_, X.shape[0]
        sums, votes = np.zeros((rows, trees.width)), np.zeros(rows)
        for first in range(0, trees.n_trees, _OOB_TREES):
            seeds = self._seeds[first : first + _OOB_TREES]
            counts = bootstrap_counts(rows, seeds, draws)
            leaves = apply_trees(trees, X, first=first, last=first + seeds.size)
            for t in range(seeds.size):
                out = np.flatnonzero(counts[t] == 0)
                sums[out] += trees.value[trees.offsets[first + t] + leaves[out, t]]
                votes[out] += 1
        if (votes == 0).any():
            warnings.warn(
                "Some inputs do not have OOB scores. This probably means too few trees were used to compute"
                " any reliable OOB estimates.",
                stacklevel=4,
            )
        sums /= np.maximum(votes, 1)[:, None]
        out_of_bag = sums
        if kept is not None:
            out_of_bag = predict_trees(trees, given) / trees.n_trees
            out_of_bag[kept] = sums
        if self._is_classifier:
            self.oob_decision_function_ = out_of_bag
            predicted = self.classes_[np.argmax(sums, axis=1)]
            truth, metric = self.classes_[target], accuracy_score
        else:
            self.oob_prediction_ = out_of_bag[:, 0]
            predicted, truth, metric = sums[:, 0], target, r2_score
        if callable(self.oob_score):
            metric = self.oob_score
        self.oob_score_ = float(metric(truth, predicted))

    def apply(self, X: Any) -> np.ndarray:
        """The leaf that each row reaches in each tree: its node number in the tree, int32 [rows, trees]."""
        return self._leaves(X)

    @property
    def estimators_(self) -> list[Any]:
        """The trees one by one, as decision trees that share this forest's arrays."""
        check_is_fitted(self)
        views = []
        for i in range(self.trees_.n_trees):
            view = self._single(
                **{k: v for k, v in self.get_params(deep=False).items() if k in self._single().get_params()}
            )
            if getattr(view, "class_weight", None) == "balanced_subsample":
                view.class_weight = "balanced"
            view.trees_, view.n_outputs_, view.n_features_in_ = self.trees_[i], 1, self.n_features_in_
            view.random_state = int(self._seeds[i] % (1 << 32)) if i < self._seeds.size else None
            if self._is_classifier:
                view.classes_, view.n_classes_ = self.classes_, self.n_classes_
            views.append(view)
        return views

    def __len__(self) -> int:
        """Number of trees."""
        return self.trees_.n_trees

    def __getitem__(self, index: int) -> Any:
        """One tree."""
        return self.estimators_[index]

    def __iter__(self) -> Any:
        return iter(self.estimators_)
