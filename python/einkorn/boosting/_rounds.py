"""The rounds of gradient boosting: gradients, a tree for each score, new scores, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._console import Bar
from einkorn._device import device_of, move
from einkorn.boosting.binning import Binner
from einkorn.boosting.losses import Objective, Part
from einkorn.boosting.trees import Trees
from einkorn.ops.tree_grow import CodeTable, GrownTree, apply_codes, grow_tree, update_scores

__all__ = ["Rounds", "boost", "trees_from"]

_NO_ROWS = np.empty(0, np.int32)


@dataclass
class Rounds:
    """What a run of rounds is told, and what it leaves behind.

    Attributes
    ----------
    first, last : int
        Rounds to do are first, first + 1, ..., last - 1.
    options : dict
        For ``grow_tree``.
    learning_rate : float
        Also for leaves that are fitted anew, which they are if ``refit`` and the loss asks for it.
    subsample, colsample : float
        Shares of the rows and of the features that each tree is grown from.
    seed : int
        Round r draws from a generator of (seed, r) alone, so that rounds can be continued later.
    patience, tol
        Stop after ``patience`` rounds (None: never) without a loss of more than ``tol`` below the least.
    grown : list of GrownTree
    train_score, validation_score : list of float
        Mean loss after each round.
    best : int
        The round with the least loss of those that stopping looks at, counted from 1.
    interrupt : KeyboardInterrupt or None
        What ended the rounds early.
    """

    first: int
    last: int
    options: dict[str, Any]
    learning_rate: float
    subsample: float = 1.0
    colsample: float = 1.0
    seed: int = 0
    patience: int | None = None
    tol: float = 0.0
    refit: bool = True
    grown: list[GrownTree] = field(default_factory=list)
    train_score: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    best: int = 0
    interrupt: KeyboardInterrupt | None = None


def boost(
    run: Rounds,
    objective: Objective,
    table: CodeTable,
    part: Part,
    held_table: CodeTable | None = None,
    held: Part | None = None,
    *,
    verbose: int = 0,
    report: Sequence[Callable[[int, dict[str, float]], Any]] = (),
) -> None:
    """Do the rounds. Ctrl-C ends them after the last whole round; ``run.interrupt`` then holds the exception.
    Before the first whole one it is raised.

    ``report`` is called after each round with its number, from 1, and the losses; a true answer stops.
    """
    outputs = objective.outputs
    empty = engines.of(part.raw).empty
    gradient = empty(part.raw.shape, np.float32)
    hessian = empty(part.raw.shape, np.float32) if objective.is_curved else None
    loss = objective.gradients(part, gradient, hessian) if run.last > run.first else 0.0
    watched = run.train_score if held is None else run.validation_score
    least = min(watched, default=np.inf)
    bar = Bar(verbose > 0, run.last, "round", run.first)
    whole = 0
    try:
        for number in range(run.first, run.last):
            rows, features = _draw(run, number, table)
            for k in range(outputs):
                weights = part.weight if hessian is None else hessian[k]
                tree = grow_tree(
                    table,
                    gradient[k],
                    weights,
                    rows=rows,
                    features=features,
                    tree=number * outputs + k,
                    **run.options,
                )
                if objective.refits and run.refit:
                    _refit(tree, objective, part, rows, run.learning_rate)
                update_scores(part.raw[k], tree)
                if held is not None and held_table is not None:
                    update_scores(held.raw[k], tree, apply_codes(tree, held_table))
                tree.leaf = _NO_ROWS  # as large as the data: not to be kept for every tree
                run.grown.append(tree)
            is_last = number + 1 == run.last
            loss = objective.loss(part) if is_last else objective.gradients(part, gradient, hessian)
            logs = {"loss": loss}
            run.train_score.append(loss)
            if held is not None:
                logs["val_loss"] = objective.loss(held)
                run.validation_score.append(logs["val_loss"])
            whole = len(run.grown)
            if not watched[-1] >= least - run.tol or run.best == 0:
                least, run.best = watched[-1], number + 1
            bar.show(number + 1, " ".join(f"{k}={v:.4g}" for k, v in logs.items()))
            stops = [tell(number + 1, logs) for tell in report]
            if any(stops) or (run.patience is not None and number + 1 - run.best >= run.patience):
                break
    except KeyboardInterrupt as error:
        if not whole:  # no model of no trees
            raise
        run.interrupt = error
        del run.grown[whole:]
        rounds = run.first + whole // outputs
        del run.train_score[rounds:], run.validation_score[rounds:]
    finally:
        bar.close()


def _draw(run: Rounds, number: int, table: CodeTable) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The rows and features of a round; None for all."""
    rows = features = None
    if run.subsample < 1 or run.colsample < 1:
        rng = np.random.default_rng((run.seed, number))
        if run.subsample < 1:
            draws = rng.random(table.n_rows, np.float32)
            rows = np.flatnonzero(draws < run.subsample)
            if rows.size == 0:
                rows = np.array([int(np.argmin(draws))])
        if run.colsample < 1:
            wanted = max(1, round(run.colsample * table.n_features))
            features = np.sort(rng.permutation(table.n_features)[:wanted])
    return rows, features


def _refit(
    tree: GrownTree, objective: Objective, part: Part, rows: np.ndarray | None, learning_rate: float
) -> None:
    leaf = tree.leaf
    if rows is not None:  # rows left out of the tree say nothing about its leaves
        grown = np.full(leaf.shape, -1, np.int32)
        grown[rows] = move(leaf, "cpu")[rows]
        leaf = move(grown, device_of(leaf))
    values = move(objective.leaf_values(part, leaf, tree.value.size), "cpu") * learning_rate
    tree.value = np.where(tree.feature < 0, values, tree.value)


def trees_from(grown: Sequence[GrownTree], binner: Binner, base: np.ndarray) -> Trees:
    """Trees over values from trees over codes; tree i adds to output i modulo their number."""
    n_outputs = base.size
    if not grown:
        return Trees.empty(binner.n_features_, n_outputs, base)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in grown])

    feature, code = joined("feature"), joined("code")
    split = feature >= 0
    f = np.where(split, feature, 0)
    categorical = split & binner.is_categorical_[f]
    # The edges of all features in a row, +inf after each one's: a split after the last bin parts off NaN.
    edges = np.concatenate([np.append(e, np.inf) for e in binner.edges_])
    sizes = np.array([e.size + 1 for e in binner.edges_])
    place = (np.cumsum(sizes) - sizes)[f] + np.clip(code, 0, sizes[f] - 1)
    threshold = np.where(split & ~categorical, edges[place], np.nan)
    offset, words, sets = _category_sets(grown, f, categorical, binner)
    sizes = np.array([tree.feature.size for tree in grown])
    return Trees(
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        outputs=np.resize(np.arange(n_outputs, dtype=np.int32), len(grown)),
        feature=feature,
        threshold=threshold,
        left=joined("left"),
        right=joined("right"),
        missing_left=joined("missing_left"),
        category_offset=offset,
        category_words=words,
        categories=sets,
        value=joined("value")[:, None],
        gain=joined("gain"),
        cover=joined("cover"),
        count=joined("count"),
        n_features=binner.n_features_,
        n_outputs=n_outputs,
        base=base,
    )


def _category_sets(
    grown: Sequence[GrownTree], feature: np.ndarray, categorical: np.ndarray, binner: Binner
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each node's set begins, its words, and the words of all: codes replaced by categories."""
    offset = np.full(feature.size, -1, np.int32)
    words = np.zeros(feature.size, np.int32)
    if not categorical.any():
        return offset, words, np.empty(0, np.uint32)
    codes = np.concatenate([tree.categories for tree in grown])
    nodes, members = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for column in np.unique(feature[categorical]):
        at = np.flatnonzero(categorical & (feature == column))
        known = binner.categories_[column]
        bits = np.unpackbits(np.ascontiguousarray(codes[at]).view(np.uint8), axis=1, bitorder="little")
        node, code = np.nonzero(bits[:, : known.size])
        nodes.append(at[node])
        members.append(known[code])
    node, member = np.concatenate(nodes), np.concatenate(members)
    words[categorical] = 1
    np.maximum.at(words, node, (member // 32 + 1).astype(np.int32))
    start = np.cumsum(words) - words
    offset[categorical] = start[categorical]
    sets = np.zeros(int(words.sum()), np.uint32)
    np.bitwise_or.at(sets, start[node] + member // 32, np.uint32(1) << (member % 32).astype(np.uint32))
    return offset, words, sets
