"""Decision trees, random forests and extremely randomized trees, with scikit-learn's names and attributes.

Columns are replaced by the numbers of their bins (:class:`einkorn.boosting.Binner`) and trees are grown from
these: all of a forest's trees in a few calls of one kernel. With as many bins as distinct values (single
trees: up to 65,535) splits are those of an exhaustive search; forests use 255 bins unless told otherwise.

Different from scikit-learn: no ``ccp_alpha``, ``monotonic_cst`` or "absolute_error"; one target column; of
equal splits a tree that looks at all features takes the one of the first feature. Missing values (NaN) are
tried on either side of every split, also in extremely randomized trees.

Sources: Breiman, Friedman, Olshen, Stone, "Classification and regression trees", 1984; Breiman, "Random
forests", 2001; Geurts, Ernst, Wehenkel, "Extremely randomized trees", 2006.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._device import move, near
from einkorn.boosting import _base
from einkorn.boosting._forest import Classifies, Forest, Regresses, TreeEnsemble
from einkorn.boosting._sklearn import check_is_fitted
from einkorn.boosting._whole import all_or_nothing
from einkorn.ops.tree_forest import grow_forest

__all__ = [
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
]


class _DecisionTree(TreeEnsemble):
    """A single tree."""

    @all_or_nothing
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Grow the tree.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            float32 or float64; NaN is a missing value. Of an array of a GPU the tree is grown there; data are
            checked and bins found on the CPU, where the model is too.
        y : array [rows]
            Classes, or finite numbers. With X on a GPU this and the weights may be there too.
        sample_weight : array [rows], optional
            At least 0; rows of weight 0 are left out.

        Returns
        -------
        self

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            For data and options that do not fit, by name.
        """
        where = self._where()
        device = _base.place_of(X)
        if device != "cpu":
            X, y, sample_weight = near(X), near(y), near(sample_weight)
        X = _base.check_X(self, X, reset=True, infinite=False)
        X, target, weight, total, _ = self._data(X, y, sample_weight)
        options = self._options(X.shape[0], X.shape[1], total)
        splitter = _base.one_of(self.splitter, where, "splitter", ("best", "random"))
        if self._is_classifier:
            options["n_classes"] = self.n_classes_
        seeds = [_base.seed(self.random_state, where)]
        codes, low, high = self._bins(X)
        options |= {"sample_weight": weight, "random_thresholds": splitter == "random"}
        self.trees_ = grow_forest(move(codes, device), target, seeds, low, high, **options)
        return self

    def apply(self, X: Any) -> np.ndarray:
        """The leaf that each row reaches: its number among the tree's nodes, int32 [rows]."""
        return self._leaves(X)[:, 0]

    def get_depth(self) -> int:
        """Splits from the root to the deepest leaf."""
        check_is_fitted(self)
        return int(self.trees_.depth()[0])

    def get_n_leaves(self) -> int:
        """Number of leaves."""
        check_is_fitted(self)
        return int((self.trees_.feature < 0).sum())


class DecisionTreeClassifier(Classifies, _DecisionTree):
    """A decision tree for classes.

    Parameters
    ----------
    criterion : {"gini", "entropy", "log_loss"}, default "gini"
        Impurity that splits decrease; the last two are the same.
    splitter : {"best", "random"}, default "best"
        Try all thresholds, or one at random for each feature.
    max_depth : int, optional
    min_samples_split, min_samples_leaf : int or float, default 2 and 1
        Rows a node needs to be split, and rows of each side; as float, of all rows.
    min_weight_fraction_leaf : float, default 0.0
        Share of the weight of all rows that each side needs; at most 0.5.
    max_features : int, float, "sqrt", "log2" or None, default None
        Features tried at each node, drawn anew; as float, of all; None: all.
    random_state : int, RandomState, Generator or None
        For the draws of features and thresholds.
    max_leaf_nodes : int, optional
        At least 2. Nodes are split in the order of their gain.
    min_impurity_decrease : float, default 0.0
        Weighted decrease of impurity that a split needs.
    class_weight : dict, "balanced" or None
        Weights of the classes; balanced: the inverse of their frequency.
    max_bins : int, default 65535
        Bins of a column; with fewer distinct values than that splits are exact.

    Attributes
    ----------
    classes_, n_classes_, n_features_in_, feature_names_in_, n_outputs_, feature_importances_
        As scikit-learn has them.
    trees_ : Trees
        The tree; values are distributions over the classes.
    """

    def __init__(
        self,
        *,
        criterion: str = "gini",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        class_weight: Any = None,
        max_bins: int = 65535,
    ) -> None:
        self.criterion = criterion
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.class_weight = class_weight
        self.max_bins = max_bins


class DecisionTreeRegressor(Regresses, _DecisionTree):
    """A decision tree for numbers.

    Parameters
    ----------
    criterion : {"squared_error", "friedman_mse", "poisson"}, default "squared_error"
        The first two choose the same splits; "poisson" is half the deviance, for targets of at least 0.
    splitter, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_features, \
random_state, max_leaf_nodes, min_impurity_decrease, max_bins
        As :class:`DecisionTreeClassifier` has them.

    Attributes
    ----------
    n_features_in_, feature_names_in_, n_outputs_, feature_importances_
        As scikit-learn has them.
    trees_ : Trees
        The tree; values are means of the targets.
    """

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        max_bins: int = 65535,
    ) -> None:
        self.criterion = criterion
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.max_bins = max_bins


class RandomForestClassifier(Classifies, Forest):
    """Decision trees on bootstrap samples and random features, their class distributions averaged.

    Parameters
    ----------
    n_estimators : int, default 100
        Number of trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_leaf_nodes, \
min_impurity_decrease
        As :class:`DecisionTreeClassifier` has them.
    max_features : int, float, "sqrt", "log2" or None, default "sqrt"
    bootstrap : bool, default True
        Grow each tree from rows drawn with replacement; else from all.
    oob_score : bool or callable, default False
        Score each row by the trees whose samples lack it: accuracy, or ``oob_score(y, predicted)``.
    n_jobs : int, optional
        Threads; None and -1: as many as the library may use, -2: one less, and so on. Results do not depend
        on it.
    random_state : int, RandomState, Generator or None
    verbose : int, default 0
        Whether to print how many trees are grown.
    warm_start : bool, default False
        Keep the trees of the last fit and add to them up to n_estimators.
    class_weight : dict, "balanced", "balanced_subsample" or None
        The third balances each tree's sample by itself.
    max_samples : int, float or None
        Rows drawn for each tree; as float, of all; None: as many as there are.
    max_bins : int, default 255
        Bins of a column, 2 to 65535. Above 255, codes have two bytes.

    Attributes
    ----------
    classes_, n_classes_, n_features_in_, feature_names_in_, n_outputs_, feature_importances_
        As scikit-learn has them.
    trees_ : Trees
        All trees; values are distributions over the classes.
    estimators_ : list of DecisionTreeClassifier
        Views of the trees, made when asked for. They predict the classes themselves, not their numbers.
    oob_score_, oob_decision_function_
        With ``oob_score``. Rows that are in every sample have zeros; rows of weight 0, which are in none, do
        not count for the score.
    """

    _single = DecisionTreeClassifier

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = "sqrt",
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        class_weight: Any = None,
        max_samples: int | float | None = None,
        max_bins: int = 255,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.max_samples = max_samples
        self.max_bins = max_bins


class RandomForestRegressor(Regresses, Forest):
    """Decision trees on bootstrap samples, their means averaged.

    Parameters
    ----------
    n_estimators : int, default 100
        Number of trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_leaf_nodes, \
min_impurity_decrease
        As :class:`DecisionTreeRegressor` has them.
    max_features : int, float, "sqrt", "log2" or None, default 1.0
    bootstrap, oob_score, n_jobs, random_state, verbose, warm_start, max_samples, max_bins
        As :class:`RandomForestClassifier` has them; the score is R2.

    Attributes
    ----------
    n_features_in_, feature_names_in_, n_outputs_, feature_importances_, trees_, estimators_
        As :class:`RandomForestClassifier` has them.
    oob_score_, oob_prediction_
        With ``oob_score``.
    """

    _single = DecisionTreeRegressor

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = 1.0,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        max_samples: int | float | None = None,
        max_bins: int = 255,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.max_samples = max_samples
        self.max_bins = max_bins


class ExtraTreesClassifier(Classifies, Forest):
    """Extremely randomized trees for classes: one random threshold for each feature tried.

    Parameters
    ----------
    bootstrap : bool, default False
        Each tree is grown from all rows.
    n_estimators, criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, \
max_features, max_leaf_nodes, min_impurity_decrease, oob_score, n_jobs, random_state, verbose, warm_start, \
class_weight, max_samples, max_bins
        As :class:`RandomForestClassifier` has them, and its attributes.
    """

    _single = DecisionTreeClassifier
    _random_thresholds = True

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = "sqrt",
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = False,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        class_weight: Any = None,
        max_samples: int | float | None = None,
        max_bins: int = 255,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.max_samples = max_samples
        self.max_bins = max_bins


class ExtraTreesRegressor(Regresses, Forest):
    """Extremely randomized trees for numbers: one random threshold for each feature tried.

    Parameters
    ----------
    bootstrap : bool, default False
        Each tree is grown from all rows.
    n_estimators, criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, \
max_features, max_leaf_nodes, min_impurity_decrease, oob_score, n_jobs, random_state, verbose, warm_start, \
max_samples, max_bins
        As :class:`RandomForestRegressor` has them, and its attributes.
    """

    _single = DecisionTreeRegressor
    _random_thresholds = True

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = 1.0,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = False,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        warm_start: bool = False,
        max_samples: int | float | None = None,
        max_bins: int = 255,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.max_samples = max_samples
        self.max_bins = max_bins
