"""Decision stumps: trees of one split, and the rounds of boosting that grow many on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from einkorn._device import move, near
from einkorn.boosting._base import (
    check_rows,
    check_X,
    encode_classes,
    one_of,
    place_of,
    used_rows,
    whole,
)
from einkorn.boosting._sklearn import BaseEstimator, ClassifierMixin, check_is_fitted
from einkorn.boosting._whole import all_or_nothing
from einkorn.boosting.binning import Binner
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError
from einkorn.ops._sealed import own
from einkorn.ops.stump import (
    STUMP_CRITERIA,
    BinnedRows,
    Presorted,
    StumpSplit,
    adaboost_update,
    presort,
    stump_search,
)
from einkorn.ops.tree_predict import predict_trees

__all__ = ["DecisionStumpClassifier", "StumpRounds", "Stumps", "check_stump_options", "weighted_rows"]


def check_stump_options(where: str, criterion: Any, max_bins: Any) -> None:
    """Refuse an unknown criterion and numbers of bins that no Binner makes."""
    one_of(criterion, where, "criterion", tuple(STUMP_CRITERIA))
    if max_bins is not None:
        whole(max_bins, where, "max_bins", 2, 65535)


@dataclass
class Stumps:
    """Stumps as arrays, one entry each.

    Attributes
    ----------
    feature : int32 [stumps]
        -1 for a stump without a split.
    threshold : float64 [stumps]
    missing_left : uint8 [stumps]
    sums : float64 [stumps, 2, classes]
        Weight of each class on the left and on the right.
    count : int64 [stumps, 2]
        Training rows on the left and on the right.
    """

    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    sums: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, splits: list[StumpSplit], counts: list[tuple[int, int]], classes: int) -> Stumps:
        return cls(
            feature=np.array([s.feature for s in splits], np.int32),
            threshold=np.array([s.threshold for s in splits], np.float64),
            missing_left=np.array([s.missing_left for s in splits], np.uint8),
            sums=np.array([s.sums for s in splits], np.float64).reshape(len(splits), 2, classes),
            count=np.array(counts, np.int64).reshape(len(splits), 2),
        )

    @classmethod
    def from_values(cls, values: dict[str, Any], classes: int) -> Stumps:
        """From what :meth:`values` gave; refused where it does not fit together."""
        stumps = cls(**{name: np.asarray(values[name]) for name in cls.__dataclass_fields__})
        n = len(stumps)
        shapes = {"threshold": (n,), "missing_left": (n,), "sums": (n, 2, classes), "count": (n, 2)}
        for name, shape in shapes.items():
            if getattr(stumps, name).shape != shape:
                raise ArgumentError(
                    f"Stumps: {name} has shape {getattr(stumps, name).shape}, expected {shape}"
                )
        return stumps

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __len__(self) -> int:
        return len(self.feature)

    def split(self, i: int) -> StumpSplit:
        return StumpSplit(
            int(self.feature[i]), float(self.threshold[i]), bool(self.missing_left[i]), self.sums[i]
        )

    def part(self, first: int, last: int) -> Stumps:
        """Stumps number first to last - 1."""
        return Stumps(**{name: array[first:last] for name, array in self.values().items()})

    def sides(self) -> np.ndarray:
        """The class that each side says, int64 [stumps, 2]: its heaviest, the lowest of equals."""
        return self.sums.argmax(axis=2)

    def trees(self, value: np.ndarray, n_features: int, n_outputs: int) -> Trees:
        """Trees whose leaves hold ``value`` [stumps, 2, width]; width 1 for one output, else n_outputs."""
        n = len(self)
        has_split = self.feature >= 0
        sizes = np.where(has_split, 3, 1)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        root, nodes = offsets[:-1], int(offsets[-1])
        left, right = root[has_split] + 1, root[has_split] + 2
        weight = self.sums.sum(axis=2)

        def per_node(dtype: Any, fill: float, at_root: Any, at_left: Any, at_right: Any) -> np.ndarray:
            first = np.asarray(at_root)
            out = np.full((nodes, *first.shape[1:]), fill, dtype)
            out[root] = first
            out[left], out[right] = at_left, at_right
            return out

        def impurity(sums: np.ndarray) -> np.ndarray:
            total = sums.sum(axis=-1)
            return total - np.square(sums).sum(axis=-1) / np.where(total > 0, total, 1.0)

        gain = impurity(self.sums.sum(axis=1)) - impurity(self.sums).sum(axis=1)
        total = weight.sum(axis=1)
        share = (weight / np.where(total > 0, total, 1.0)[:, None])[:, :, None]
        middle = np.where(has_split[:, None], (value * share).sum(axis=1), value[:, 1])
        none = -np.ones(n, np.int32)
        return Trees(
            offsets=offsets,
            outputs=np.full(n, 0 if value.shape[2] == 1 else -1, np.int32),
            feature=per_node(np.int32, -1, self.feature, -1, -1),
            threshold=per_node(np.float64, np.nan, self.threshold, np.nan, np.nan),
            left=per_node(np.int32, -1, np.where(has_split, 1, none), -1, -1),
            right=per_node(np.int32, -1, np.where(has_split, 2, none), -1, -1),
            missing_left=per_node(np.uint8, 0, self.missing_left, 0, 0),
            category_offset=np.full(nodes, -1, np.int32),
            category_words=np.zeros(nodes, np.int32),
            categories=np.empty(0, np.uint32),
            value=per_node(np.float64, 0, middle, value[has_split, 0], value[has_split, 1]),
            gain=per_node(np.float64, 0, np.where(has_split, np.maximum(gain, 0), 0), 0, 0),
            cover=per_node(np.float64, 0, total, weight[has_split, 0], weight[has_split, 1]),
            count=per_node(
                np.int64, 0, self.count.sum(axis=1), self.count[has_split, 0], self.count[has_split, 1]
            ),
            n_features=n_features,
            n_outputs=n_outputs,
            base=np.zeros(n_outputs),
        )


class StumpRounds:
    """Rows, classes and weights on which one stump after another is grown.

    Parameters
    ----------
    X : array [rows, features]
    codes : int32 array [rows]
        Classes.
    classes : int
    weights : float64 array [rows]
        All positive, with sum 1; changed by the rounds.
    criterion : str
    max_bins : int or None
        None: thresholds between all distinct values.
    device : str, default "cpu"
        Where to search and to weigh.
    """

    def __init__(
        self,
        X: Any,
        codes: np.ndarray,
        classes: int,
        weights: np.ndarray,
        criterion: str,
        max_bins: int | None,
        device: str = "cpu",
    ) -> None:
        self.X = move(X, device)
        codes = np.ascontiguousarray(codes, np.int32)
        self.classes = classes
        self.criterion = criterion
        self.data: Presorted | BinnedRows
        if max_bins is None:
            self.data = presort(self.X)
        else:
            binner = Binner(max_bins).fit(X, sample_weight=weights)
            binned = binner.transform(X)
            own(binned)
            self.data = BinnedRows(binned, binner.edges_, binner.missing_code_).to(device)
        signed = weights.astype(np.float32)
        if classes == 2:
            np.negative(signed, out=signed, where=codes == 0)
        self.codes, self.weights, self.signed_weights = (move(a, device) for a in (codes, weights, signed))

    def search(self) -> StumpSplit:
        """The best stump for the weights as they are."""
        return stump_search(
            self.data, self.signed_weights, self.codes, classes=self.classes, criterion=self.criterion
        )

    def update(self, split: StumpSplit, **options: Any) -> np.ndarray:
        """The round's statistics, and new weights (see :func:`einkorn.ops.adaboost_update`)."""
        f = max(split.feature, 0)
        left, right = split.sums.argmax(axis=1)
        return adaboost_update(
            self.weights,
            self.signed_weights,
            self.codes,
            x=self.data.columns[f] if isinstance(self.data, Presorted) else self.X[:, f],
            threshold=split.threshold,
            missing_left=split.missing_left,
            left=int(left),
            right=int(right),
            classes=self.classes,
            **options,
        )


class DecisionStumpClassifier(ClassifierMixin, BaseEstimator):
    """A decision tree of one split.

    Parameters
    ----------
    criterion : {"gini", "entropy", "error"}, default "gini"
        What the split makes least: weighted Gini impurity, entropy, or the weighted error of predicting the
        heaviest class of each side.
    max_bins : int, optional
        Look for thresholds between so many bins of each feature only (:class:`Binner`). None: between all
        values.

    Attributes
    ----------
    feature_ : int
        Feature of the split, -1 if no feature has two values.
    threshold_ : float
        Rows with ``x <= threshold_`` go left. A midpoint between two values.
    missing_left_ : bool
        Whether rows where the feature is NaN go left: what is better, or where the heavier side is.
    value_ : float64 array [2, n_classes]
        Shares of the classes on the left and on the right.
    classes_, n_classes_, n_features_in_, feature_names_in_, feature_importances_

    Notes
    -----
    Among equally good splits the one of the lowest feature and threshold is taken, so that there is no
    randomness. Otherwise it is the split of scikit-learn's DecisionTreeClassifier(max_depth=1).
    """

    def __init__(self, *, criterion: str = "gini", max_bins: int | None = None) -> None:
        self.criterion = criterion
        self.max_bins = max_bins

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.classifier_tags.poor_score = True  # one split names two classes at most
        return tags

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DecisionStumpClassifier:
        """Find the best split.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            NaN is a missing value. Of an array of a GPU the split is searched there.
        y : array [rows]
            At least two classes. With X on a GPU this and the weights may be there too.
        sample_weight : array [rows], optional
            Rows of weight 0 do not count.

        Returns
        -------
        DecisionStumpClassifier
            Itself.
        """
        where = f"{type(self).__name__}.fit"
        check_stump_options(where, self.criterion, self.max_bins)
        device = place_of(X)
        if device != "cpu":
            X, y, sample_weight = near(X), near(y), near(sample_weight)
        X = check_X(self, X, reset=True)
        X, y, weights = weighted_rows(X, y, sample_weight, where)
        self.classes_, codes = encode_classes(y, X.shape[0], where)
        rounds = StumpRounds(X, codes, self.classes_.size, weights, self.criterion, self.max_bins, device)
        split = rounds.search()
        lefts = int(rounds.update(split)[3]) if split.feature >= 0 else 0
        self._set(Stumps.of([split], [(lefts, X.shape[0] - lefts)], self.classes_.size))
        return self

    def _set(self, stumps: Stumps) -> None:
        """Take over one stump; ``classes_`` and ``n_features_in_`` are there already."""
        split = stumps.split(0)
        self._stumps = stumps
        self.n_classes_ = self.classes_.size
        self.feature_ = split.feature
        self.threshold_ = split.threshold
        self.missing_left_ = split.missing_left
        total = split.sums.sum(axis=1, keepdims=True)
        self.value_ = np.where(total > 0, split.sums / np.where(total > 0, total, 1), split.sums[1:] + 0)
        self.feature_importances_ = np.zeros(self.n_features_in_)
        if split.feature >= 0:
            self.feature_importances_[split.feature] = 1.0
        self.trees_ = stumps.trees(self.value_[None], self.n_features_in_, self.n_classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The classes' shares on each row's side, [rows, n_classes]."""
        check_is_fitted(self, "trees_")
        return near(predict_trees(self.trees_, check_rows(self, X, op="predict_proba")))

    def predict(self, X: Any) -> np.ndarray:
        """Each row's class: the heaviest of its side, the first of equals."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, self._stumps.values()

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        stumps = Stumps.from_values(values, self.classes_.size)
        if len(stumps) != 1:
            raise ArgumentError(f"DecisionStumpClassifier: {len(stumps)} stumps, expected 1")
        self._set(stumps)


def weighted_rows(
    X: np.ndarray, y: Any, sample_weight: Any, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that have weight, their column y as given, and their weights with sum 1 (a copy)."""
    X, y, weights, _ = used_rows(X, y, sample_weight, where)
    if weights is None:
        return X, y, np.full(X.shape[0], 1.0 / X.shape[0])
    return X, y, weights / weights.sum()
