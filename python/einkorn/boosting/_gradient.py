"""What the two estimators of gradient boosting share: parameters, fitting, prediction, files."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from einkorn import engines, memory
from einkorn._device import near
from einkorn.boosting._base import (
    check_rows,
    check_X,
    feature_count,
    one_of,
    place_of,
    real,
    seed,
    used_rows,
    whole,
)
from einkorn.boosting._columns import categorical_marks, interaction_groups, monotonic_signs
from einkorn.boosting._rounds import Rounds, boost, trees_from
from einkorn.boosting._sklearn import BaseEstimator, check_is_fitted
from einkorn.boosting._whole import RoundsKept, all_or_nothing
from einkorn.boosting.binning import Binner
from einkorn.boosting.losses import Objective, Part, check_range, objective_for, unit_of
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError, DeviceError
from einkorn.ops._sealed import own
from einkorn.ops.tree_grow import CodeTable
from einkorn.ops.tree_predict import apply_trees, predict_trees, staged_predict_trees

__all__ = ["PARAMETERS", "RENAMED", "GradientBoosting"]

_EXACT_ROWS = 512  # up to here "auto" takes every distinct value as a bin
_MANY_ROWS = 200_000  # whose codes are large beside what the binning took
_EXACT_BINS = 65535
_LIGHT, _HEAVY = -8, 80  # exponents of the largest weight that are taken as they are
_MOST = float(np.finfo(np.float64).max)

RENAMED = "renamed"  # the value of a parameter that is another library's name for one here


class GradientBoosting(BaseEstimator):
    """What classifier and regressor share: everything but targets and what scores mean."""

    #: Other libraries' names of parameters: taken with a warning.
    _aliases: ClassVar[dict[str, str]] = {
        "max_leaves": "max_leaf_nodes",
        "reg_lambda": "l2_regularization",
        "colsample_bynode": "max_features",
    }

    trees_: Trees
    n_features_in_: int
    n_iter_: int
    best_iteration_: int
    train_score_: np.ndarray
    validation_score_: np.ndarray

    def _encode(self, y: Any, n: int, where: str, name: str, reset: bool) -> np.ndarray:
        """Targets as the losses take them; ``reset`` for those of ``fit``."""
        raise NotImplementedError

    def _n_classes(self) -> int:
        return 0

    def _weigh(self, target: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Weights of rows, from those given and from the targets."""
        return weight

    # --- fit ---------------------------------------------------------------------------------

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        callbacks: Sequence[Callable[[int, dict[str, float]], Any]] = (),
    ) -> Any:
        """Grow the trees.

        Ctrl-C ends the training after the last whole round: the model is fitted with the trees so far, then
        KeyboardInterrupt is raised again. Before the first round is whole, the model is what it was: not
        fitted, or fitted as before.

        Parameters
        ----------
        X : array, sparse matrix or data frame [rows, features]
            float32 and float64 without a copy. NaN is missing. Sparse matrices are made dense. Of an array of
            a GPU the rounds run there: gradients, histograms, trees and scores. Data are checked and bins
            found on the CPU. The model is on the CPU; rows on a GPU are scored there and the results given
            on the CPU.
        y : array [rows]
            With X on a GPU this and the others may be there too.
        sample_weight : array [rows], optional
            Not negative. Rows of weight 0 do not count at all. Where the largest is below 2**-8 or above
            2**81, weights are divided by a power of two near it, in whose units penalties and
            ``min_child_weight`` then count.
        X_val, y_val, sample_weight_val : optional
            Rows whose loss is kept in ``validation_score_`` and that early stopping goes by, instead of rows
            held out of X.
        callbacks : sequence of callable, default ()
            Each is called after each round as ``callback(round, logs)``: round from 1, logs with ``"loss"``
            and, with held-out rows, ``"val_loss"``. The answer True ends the training; errors are raised.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError, DataError
            For parameters and data that do not fit; all are ValueError or TypeError.
        DeviceError
            For y or weights on a GPU and X on the CPU, or X there and a function as the loss.
        """
        where = f"{type(self).__name__}.fit"
        device = place_of(X)
        if device != "cpu":  # data are looked at, and bins found, on the CPU; the rounds run where X is
            given = (X, y, sample_weight, X_val, y_val, sample_weight_val)
            X, y, sample_weight, X_val, y_val, sample_weight_val = map(near, given)
        again = bool(self.warm_start) and hasattr(self, "trees_")
        codes = self.categorical_features is not None
        X = check_X(self, X, reset=not again, categories=codes)
        X, y, weight, _ = used_rows(X, y, sample_weight, where)
        weight = _near_one(weight)
        target = self._encode(y, X.shape[0], where, "y", not again)
        weight = self._weigh(target, weight)
        options = self._options(where)
        objective = objective_for(
            self.loss,
            self._n_classes(),
            options["alpha"],
            where,
        )
        if device != "cpu" and not objective.has_loss:
            raise DeviceError(f"{where}: X is on {device}, where loss has no function: give it X.get()")
        check_range(objective.kind, target, where)
        first = self.n_iter_ if again else 0
        rounds = whole(self.n_estimators, where, "n_estimators", 1)
        if rounds < first:
            raise ArgumentError(
                f"{where}: n_estimators is {rounds}, but the warm-started model has {first} rounds already"
            )
        if not again:
            self._seed = seed(self.random_state, where)
        if weight is not None and weight.min() == 0:
            kept = weight > 0
            X, target, weight = X[kept], target[kept], weight[kept]

        stopping = one_flag(self.early_stopping, where, "early_stopping")
        if stopping and not objective.has_loss:
            raise ArgumentError(f"{where}: early_stopping needs a built-in loss, not a function")
        held: tuple[Any, Any, Any] | None = None
        if X_val is not None:
            X_val = check_X(self, X_val, reset=False, categories=codes)
            X_val, y_val, weight_val, _ = used_rows(X_val, y_val, sample_weight_val, where, "y_val")
            held = (X_val, self._encode(y_val, X_val.shape[0], where, "y_val", False), weight_val)
        elif y_val is not None:
            raise ArgumentError(f"{where}: y_val is given without X_val")
        elif stopping and options["validation_fraction"] is not None:
            (X, target, weight), held = self._hold_out(
                X, target, weight, options["validation_fraction"], where
            )

        unit = unit_of(objective, target)
        loss_unit = objective.loss_unit(unit)
        if unit != 1:
            target = target / unit
            held = None if held is None else (held[0], held[1] / unit, held[2])
            self._scale_options(options, objective, unit)
            callbacks = [_in_units(tell, loss_unit) for tell in callbacks]

        exact = options["method"] == "exact" or (options["method"] == "auto" and X.shape[0] <= _EXACT_ROWS)
        marks = categorical_marks(self, self.categorical_features, where)
        binner = Binner(
            max_bins=_EXACT_BINS if exact else options["max_bins"],
            categorical=marks,
            subsample=None if exact else 200_000,
            random_state=self._seed,
        ).fit(X, sample_weight=weight)
        if X.shape[0] >= _MANY_ROWS and engines.get_engine() == "native":
            memory.empty_cache()  # nothing after this needs blocks of the size that sorting columns took
        table = CodeTable(_codes(binner, X), binner.n_bins_, categorical=marks)
        part = self._part(objective, X, target, weight, again, unit)
        if not again:
            base = objective.base(part) if options["base_score"] is None else options["base_score"]
            self._base = np.broadcast_to(np.asarray(base, np.float64), (objective.outputs,)).copy()
            part.raw[:] = self._base[:, None]
        held_table = held_part = None
        if held is not None:
            held_table = CodeTable(_codes(binner, held[0]), binner.n_bins_, categorical=marks)
            held_part = self._part(objective, *held, again, unit)
            if not again:
                held_part.raw[:] = self._base[:, None]
        signs = monotonic_signs(self, self.monotonic_cst, where)
        run = Rounds(
            first,
            rounds,
            {
                **options["grow"],
                "seed": self._seed,
                "monotone": signs,
                "interactions": interaction_groups(self, self.interaction_cst, where),
            },
            learning_rate=options["grow"]["learning_rate"],
            subsample=options["subsample"],
            colsample=options["colsample_bytree"],
            seed=self._seed,
            patience=options["n_iter_no_change"] if stopping else None,
            tol=options["tol"],
            refit=signs is None or not signs.any(),
            train_score=_over(self.train_score_[:first], loss_unit) if again else [],
            validation_score=(
                _over(self.validation_score_[:first], loss_unit) if again and held is not None else []
            ),
            best=self.best_iteration_ if again else 0,
        )
        del X, X_val, held, target  # the codes are all that rounds look at
        boost(
            run,
            objective,
            table.to(device),
            part.to(device),
            None if held_table is None else held_table.to(device),
            None if held_part is None else held_part.to(device),
            verbose=options["verbose"],
            report=callbacks,
        )
        self._objective = objective
        self._finish(run, binner, stopping, unit)
        if run.interrupt is not None:
            raise RoundsKept(self) from run.interrupt
        return self

    def _scale_options(self, options: dict[str, Any], objective: Objective, unit: float) -> None:
        """Options that speak of targets, losses and gradients, for targets over ``unit``."""
        grow = options["grow"]
        if objective.kind in ("squared", "huber"):
            grow["reg_alpha"] = min(grow["reg_alpha"] / unit, _MOST)
            grow["min_split_gain"] = min(grow["min_split_gain"] / unit / unit, _MOST)
        grow["max_delta_step"] = min(grow["max_delta_step"] / unit, _MOST)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            options["tol"] = float(np.float64(options["tol"]) / objective.loss_unit(unit))
        if options["base_score"] is not None:
            options["base_score"] /= unit

    def _part(
        self, objective: Objective, X: np.ndarray, target: Any, weight: Any, again: bool, unit: float
    ) -> Part:
        raw = np.empty((objective.outputs, X.shape[0]))
        if again:
            raw[:] = predict_trees(self.trees_, X).T / unit
        if objective.kind != "multinomial":
            target = np.ascontiguousarray(target, np.float64)
        weight = _near_one(weight)
        return Part(raw, target, None if weight is None else weight.astype(np.float32))

    def _hold_out(self, X: Any, target: Any, weight: Any, fraction: float, where: str) -> Any:
        """Rows to train on, and rows to stop by: drawn at random, of each class alike."""
        rng = np.random.default_rng((self._seed, 1 << 31))
        n = X.shape[0]
        groups = [np.arange(n)]
        if self._n_classes():
            order = np.argsort(target, kind="stable")
            groups = np.split(order, np.flatnonzero(np.diff(target[order])) + 1)
        picked = [g[rng.permutation(g.size)[: round(fraction * g.size)]] for g in groups]
        is_held = np.zeros(n, bool)
        is_held[np.concatenate(picked)] = True
        if not is_held.any() or is_held.all():
            raise ArgumentError(
                f"{where}: validation_fraction is {fraction}, which leaves no rows of {n} to train on or to"
                " hold out"
            )

        def part(at: np.ndarray) -> tuple[Any, Any, Any]:
            return X[at], target[at], None if weight is None else weight[at]

        return part(~is_held), part(is_held)

    def _finish(self, run: Rounds, binner: Binner, stopped_early: bool, unit: float) -> None:
        """Turn what a run left behind into the fitted attributes."""
        outputs = self._base.size
        trees = trees_from(run.grown, binner, self._base)
        if unit != 1:
            self._base = self._base if run.first else self._base * unit
            trees.value, trees.base = trees.value * unit, self._base
            scale = self._objective.loss_unit(unit)
            run.train_score = [score * scale for score in run.train_score]
            run.validation_score = [score * scale for score in run.validation_score]
        if run.first:
            trees = Trees.concatenate([self.trees_, trees])
        rounds = trees.n_trees // outputs
        if stopped_early and 0 < run.best < rounds:
            trees, rounds = trees[: run.best * outputs], run.best
        self.trees_ = trees
        self.n_iter_ = rounds
        self.best_iteration_ = min(run.best, rounds)
        self.train_score_ = np.array(run.train_score)
        self.validation_score_ = np.array(run.validation_score)

    def _named_params(self, where: str) -> dict[str, Any]:
        """The parameters by the names they have here."""
        p: dict[str, Any] = self.get_params(deep=False)
        signature = inspect.signature(type(self)).parameters
        for alias, name in self._aliases.items():
            value = p.pop(alias)
            if isinstance(value, str) and value == RENAMED:
                continue
            if p[name] != signature[name].default:
                raise ArgumentError(f"{where}: {alias} is another name of {name}, and both are given")
            warnings.warn(
                f"{where}: {alias} is another library's name, use {name}", FutureWarning, stacklevel=5
            )
            p[name] = value
        return p

    def _options(self, where: str) -> dict[str, Any]:
        """The parameters, checked. Those of single trees are under ``"grow"``."""
        p = self._named_params(where)
        n, share = self.n_features_in_, p["max_features"]
        count = feature_count(share, n, where)
        grow: dict[str, Any] = {
            "growth": one_of(p["growth"], where, "growth", ("leaf", "depth")),
            "max_leaves": None
            if p["max_leaf_nodes"] is None
            else whole(p["max_leaf_nodes"], where, "max_leaf_nodes", 2),
            "max_depth": None if p["max_depth"] is None else whole(p["max_depth"], where, "max_depth", 1),
            "min_samples_leaf": whole(p["min_samples_leaf"], where, "min_samples_leaf", 1),
            "learning_rate": real(p["learning_rate"], where, "learning_rate", 0, above=True),
            "colsample_bynode": share if isinstance(share, (float, np.floating)) else count / n,
            "reg_lambda": real(p["l2_regularization"], where, "l2_regularization", 0),
        }
        for name in ("min_child_weight", "reg_alpha", "min_split_gain", "max_delta_step"):
            grow[name] = real(p[name], where, name, 0)
        fraction = p["validation_fraction"]
        if fraction is not None:
            fraction = real(fraction, where, "validation_fraction", 0, 1, above=True, below=True)
        base, verbose = p["base_score"], p["verbose"]
        return {
            "grow": grow,
            "method": one_of(p["method"], where, "method", ("auto", "histogram", "exact")),
            "max_bins": whole(p["max_bins"], where, "max_bins", 2, _EXACT_BINS),
            "subsample": real(p["subsample"], where, "subsample", 0, 1, above=True),
            "colsample_bytree": real(p["colsample_bytree"], where, "colsample_bytree", 0, 1, above=True),
            "n_iter_no_change": whole(p["n_iter_no_change"], where, "n_iter_no_change", 1),
            "validation_fraction": fraction,
            "tol": real(p["tol"], where, "tol", 0),
            "alpha": real(p.get("alpha", 0.9), where, "alpha", 0, 1, above=True, below=True),
            "base_score": None if base is None else real(base, where, "base_score", -np.inf),
            "verbose": int(verbose) if isinstance(verbose, bool) else whole(verbose, where, "verbose", 0),
        }

    # --- what the model says -----------------------------------------------------------------

    def _check(self, X: Any, op: str) -> Any:
        check_is_fitted(self, "trees_")
        codes = self.categorical_features is not None
        return check_rows(self, X, op=op, categories=codes)

    def _raw(self, X: Any, op: str) -> np.ndarray:
        X = self._check(X, op)
        return near(predict_trees(self.trees_, X))

    def _stages(self, X: Any, op: str) -> Iterator[np.ndarray]:
        X = self._check(X, op)
        return map(near, staged_predict_trees(self.trees_, X, self.trees_.n_outputs))

    def apply(self, X: Any) -> np.ndarray:
        """The leaf of each row in each tree, int32 [rows, trees]: node numbers within the tree.

        With more than two classes a round has a tree for each, one after another.
        """
        X = self._check(X, "apply")
        return near(apply_trees(self.trees_, X))

    @property
    def feature_importances_(self) -> np.ndarray:
        """Gain of each feature's splits, as a share of all gain."""
        check_is_fitted(self, "trees_")
        return self.trees_.feature_importances("gain", normalize=True)

    def importance(self, kind: str = "gain") -> np.ndarray:
        """How much each feature was used: the sum of its splits' gains, or (``"split"``) their number."""
        check_is_fitted(self, "trees_")
        return self.trees_.feature_importances(kind)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    # --- files -------------------------------------------------------------------------------

    def _to_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        known = getattr(self, "_category_values", {})
        metadata = {
            "n_iter": self.n_iter_,
            "best_iteration": self.best_iteration_,
            "seed": self._seed,
            "coded_columns": list(known),
        }
        values = {
            "trees": self.trees_,
            "train_score": self.train_score_,
            "validation_score": self.validation_score_,
            "coded_values": [np.asarray(v) for v in known.values()],
        }
        return metadata, values

    def _from_state(self, metadata: dict[str, Any], values: dict[str, Any]) -> None:
        trees = values["trees"]
        if not isinstance(trees, Trees):
            raise TypeError("trees are no Trees")
        classes = self._n_classes()
        outputs = classes if classes > 2 else 1
        self._objective = objective_for(self.loss, classes, 0.9, "load")
        if trees.n_outputs != outputs or trees.n_trees != int(metadata["n_iter"]) * outputs:
            raise ValueError("the trees are not as many as rounds and classes ask for")
        self.trees_ = trees
        self.n_iter_ = int(metadata["n_iter"])
        self.best_iteration_ = int(metadata["best_iteration"])
        self._seed = int(metadata["seed"])
        self._base = trees.base.copy()
        self.train_score_ = np.asarray(values["train_score"], np.float64)
        self.validation_score_ = np.asarray(values["validation_score"], np.float64)
        columns = [int(c) for c in metadata["coded_columns"]]
        self._category_values = dict(zip(columns, values["coded_values"], strict=True))


def _codes(binner: Binner, X: np.ndarray) -> np.ndarray:
    """Codes that are nobody else's, so that a table takes them without a copy."""
    codes = binner.transform(X)
    own(codes)
    return codes


def _near_one(weight: np.ndarray | None) -> np.ndarray | None:
    """Weights over a power of two where they are so small or so large that float32 would be too narrow.

    The largest is then from 1 to 2, so that no result depends on the scale: penalties and
    ``min_child_weight`` count in this unit.
    """
    if weight is None:
        return None
    exponent = int(np.frexp(weight.max())[1]) - 1
    return weight if _LIGHT <= exponent <= _HEAVY else np.ldexp(weight, -exponent)


def _over(scores: np.ndarray, unit: float) -> list[float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return [float(score) for score in scores / unit]


def _in_units(tell: Callable[[int, dict[str, float]], Any], unit: float) -> Callable[..., Any]:
    """A callback that is told losses in their own units."""
    return lambda number, logs: tell(number, {name: loss * unit for name, loss in logs.items()})


def one_flag(value: Any, where: str, name: str) -> bool:
    """A parameter that is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{where}: {name} is {value!r}, expected True or False")
    return bool(value)


PARAMETERS = """learning_rate : float, default 0.1
        What each tree's step is multiplied by.
    n_estimators : int, default 100
        Rounds. A round grows one tree, or one for each of more than two classes.
    method : {"auto", "histogram", "exact"}, default "auto"
        "histogram": values are replaced by at most ``max_bins`` bins. "exact": every distinct value has its
        own bin (up to 65535). "auto": exact up to 512 rows.
    growth : {"leaf", "depth"}, default "leaf"
        Split the leaf with the largest gain first, or level by level.
    max_leaf_nodes : int or None, default 31
    max_depth : int or None, default None
        Splits from the root to a leaf, at most.
    min_samples_leaf : int, default 20
    min_child_weight : float, default 1e-3
        Least sum of hessians in a leaf.
    l2_regularization, reg_alpha : float, default 0
        L2 and L1 penalties of leaf values.
    min_split_gain : float, default 0
        What a split must gain more than.
    max_delta_step : float, default 0
        Bound of a leaf's value before the learning rate; 0: none.
    max_bins : int, default 255
    subsample : float, default 1
        Share of the rows that each round grows its trees from, drawn at random.
    colsample_bytree : float, default 1
        Share of the features that a tree may use, drawn at random.
    max_features : int, float, "sqrt", "log2" or None, default 1.0
        Features that a split may use, drawn at random from the tree's; as float, their share; None: all.
    categorical_features : "from_dtype", None, mask, list of int or of names, default "from_dtype"
        Features whose values are categories: whole numbers from 0, or columns of categorical type of a data
        frame, which "from_dtype" finds by itself. A category that a split's rows did not have goes the way of
        most of them; with more categories than ``max_bins``, the way of the rare ones among them. None: none.
    monotonic_cst : array [features], dict of names, or None
        1: the score must not fall as the feature grows, -1: not rise, 0: free. With constraints and a loss
        that fits leaves anew, the leaves keep their gradient steps.
    interaction_cst : list of lists of int, "pairwise", "no_interactions" or None
        Features may meet on a path within a group only. Features in none are one more group together.
    base_score : float or None, default None
        The score all rows start from; None: the constant with the lowest loss (0 for a function).
    early_stopping : bool, default False
        Stop when the loss of the validation rows has not fallen by more than ``tol`` for ``n_iter_no_change``
        rounds, and keep the trees up to the round with the least. The rows are ``X_val`` of ``fit``, else a
        share ``validation_fraction`` of the rows; with None the training loss counts.
    n_iter_no_change : int, default 10
    validation_fraction : float or None, default 0.1
    tol : float, default 1e-7
    warm_start : bool, default False
        ``fit`` adds rounds to the model that is there. The result is that of one long fit, bit for bit.
    random_state : int, RandomState, Generator or None
    verbose : int, default 0
        1: a progress bar.
    max_leaves, reg_lambda, colsample_bynode :
        Other libraries' names of max_leaf_nodes, l2_regularization and max_features, taken with a warning.

    Attributes
    ----------
    trees_ : Trees
    n_iter_ : int
        Rounds in the model.
    train_score_, validation_score_ : float64 array
        Mean loss after each round; the latter is empty without validation rows.
    best_iteration_ : int
        The round, from 1, with the least validation loss (training loss without).
    feature_importances_ : float64 array [features]
    n_features_in_ : int
    feature_names_in_ : array of str, for data frames
    classes_ : array, for classifiers

    References
    ----------
    .. [1] Friedman, "Greedy function approximation: a gradient boosting machine", 2001.
    .. [2] Friedman, "Stochastic gradient boosting", 2002.
    .. [3] Chen, Guestrin, "XGBoost: a scalable tree boosting system", 2016.
    .. [4] Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", 2017.
    """
