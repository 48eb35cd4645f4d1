"""Random trees, and prediction with them in plain Python, for the tests of everything that reads trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.boosting.trees import Trees


def random_tree(
    rng: np.random.Generator,
    leaves: int,
    n_features: int,
    *,
    categorical: tuple[int, ...] = (),
    n_categories: int = 40,
    n_outputs: int = 1,
    output: int = 0,
    chain: bool = False,
) -> Trees:
    """A tree grown by splitting random leaves, or always the last one for a chain. Covers add up."""
    width = n_outputs if output < 0 else 1
    feature, left, right = [-1], [-1], [-1]
    cover = [1000.0]
    open_leaves = [0]
    while len(open_leaves) < leaves:
        node = open_leaves.pop(-1 if chain else int(rng.integers(len(open_leaves))))
        feature[node] = int(rng.integers(n_features))
        left[node], right[node] = len(feature), len(feature) + 1
        open_leaves += [left[node], right[node]]
        feature += [-1, -1]
        left += [-1, -1]
        right += [-1, -1]
        share = float(rng.uniform(0.1, 0.9))
        cover += [cover[node] * share, cover[node] * (1 - share)]
    nodes = len(feature)
    threshold = np.round(rng.normal(size=nodes), 1)
    offsets, words, sets = np.full(nodes, -1), np.zeros(nodes, int), []
    for node in range(nodes):
        if feature[node] in categorical:
            n = int(rng.integers(1, -(-n_categories // 32) + 1))
            offsets[node], words[node] = len(sets), n
            sets += [int(w) for w in rng.integers(0, 2**32, n)]
    threshold[(np.array(feature) < 0) | (offsets >= 0)] = np.nan
    return Trees.from_nodes(
        feature,
        threshold,
        left,
        right,
        rng.normal(size=(nodes, width)),
        n_features,
        n_outputs=n_outputs,
        output=output,
        missing_left=rng.integers(0, 2, nodes),
        category_offset=offsets,
        category_words=words,
        categories=sets,
        gain=np.where(np.array(feature) < 0, 0, rng.uniform(size=nodes)),
        cover=cover,
        count=np.round(cover),
        base=rng.normal(size=n_outputs),
    )


def random_rows(
    rng: np.random.Generator,
    rows: int,
    n_features: int,
    dtype: Any,
    categorical: tuple[int, ...] = (),
    n_categories: int = 40,
    missing: float = 0.1,
) -> np.ndarray:
    """Rows whose values often equal thresholds; some are missing, infinite, or categories never seen."""
    X = np.round(rng.normal(size=(rows, n_features)), 1)
    for f in categorical:
        X[:, f] = rng.integers(-2, n_categories + 70, rows)
    if missing:
        X[rng.uniform(size=X.shape) < missing] = np.nan
        X[rng.uniform(size=X.shape) < missing / 10] = np.inf
        X[rng.uniform(size=X.shape) < missing / 10] = -np.inf
    return X.astype(dtype)


def goes_left(trees: Trees, node: int, x: float) -> bool:
    """The rule of a split, as the class Trees says it."""
    if np.isnan(x):
        return bool(trees.missing_left[node])
    start = int(trees.category_offset[node])
    if start < 0:
        return bool(float(x) <= trees.threshold[node])
    if not -1 < x < 2**31:
        return False
    word, bit = divmod(int(x), 32)
    return word < trees.category_words[node] and bool(int(trees.categories[start + word]) >> bit & 1)


def leaf_of(trees: Trees, tree: int, row: np.ndarray) -> int:
    """Node number within the tree of the leaf that a row reaches."""
    first = int(trees.offsets[tree])
    node = 0
    while trees.feature[first + node] >= 0:
        side = trees.left if goes_left(trees, first + node, row[trees.feature[first + node]]) else trees.right
        node = int(side[first + node])
    return node


def reference(trees: Trees, X: np.ndarray, last: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scores and leaves, a row and a tree at a time."""
    last = trees.n_trees if last is None else last
    out = np.tile(trees.base, (len(X), 1))
    leaves = np.empty((len(X), last), np.int32)
    for r, row in enumerate(X):
        for t in range(last):
            leaves[r, t] = leaf_of(trees, t, row)
            value = trees.value[trees.offsets[t] + leaves[r, t]]
            if trees.outputs[t] < 0:
                out[r] += value
            else:
                out[r, trees.outputs[t]] += value[0]
    return out, leaves
