"""Trees packed for prediction: what the kernel ``tree_predict`` reads.

Siblings are put side by side, so that a row's next node is ``child + (x > threshold)``.
Trees of up to 64 leaves are also written as one list of splits: a split that sends a row to the right rules
out the leaves on its left, and after all splits the first leaf left is the row's (Lucchese et al.,
"QuickScorer", 2015). Thresholds are rounded down to the element type of the rows: for a float32 x and a
float64 t, ``x <= t`` says the same as ``x <= (t rounded down)``. The layouts are those of
csrc/kernels/tree/tree_predict.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn.ops._sealed import own

if TYPE_CHECKING:
    from einkorn.boosting.trees import Trees

__all__ = ["Layout", "PathTables", "pack", "path_tables"]

_MASK_LEAVES = 64
_MOST_POINTS = 64  # of integration: exact for paths over 128 features, and close beyond
_PADDING = 64  # leaves past the end that a whole table of a tree may read
_MISSING_RIGHT, _CATEGORICAL = 1 << 30, 1 << 29


@dataclass(frozen=True)
class Layout:
    """The arrays of csrc/kernels/tree/tree_predict.h, in the order in which kernels take them."""

    used: np.ndarray
    trees: np.ndarray
    nodes: np.ndarray
    node_leaf: np.ndarray
    leaf_node: np.ndarray
    leaf_value: np.ndarray
    split_place: np.ndarray
    split_threshold: np.ndarray
    split_mask: np.ndarray
    sets: np.ndarray

    def __post_init__(self) -> None:
        own(*self.arrays())

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays, as positional arguments."""
        return tuple(vars(self).values())


def _rounded_down(threshold: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype == np.float64:
        return threshold
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _starts(sizes: np.ndarray) -> np.ndarray:
    """Where each of several stretches begins, one after another."""
    return np.cumsum(sizes) - sizes


def pack(trees: Trees, dtype: np.dtype[Any]) -> Layout:
    """Pack checked trees for rows of ``dtype``."""
    nodes = trees.n_nodes
    first = trees.offsets[:-1]
    sizes = np.diff(trees.offsets)
    tree = np.repeat(np.arange(trees.n_trees), sizes)
    start = first[tree]
    inner = trees.feature >= 0
    splits = np.flatnonzero(inner)
    left, right = start[splits] + trees.left[splits], start[splits] + trees.right[splits]
    global_left = np.zeros(nodes, np.int64)
    global_right = np.zeros(nodes, np.int64)
    global_left[splits], global_right[splits] = left, right

    # Leaves below each node and the first of them, counted from the left: up and down the levels.
    levels, level = [], first
    while level.size:
        level = level[inner[level]]
        levels.append(level)
        level = np.concatenate([global_left[level], global_right[level]])
    below = np.ones(nodes, np.int64)
    for level in reversed(levels):
        below[level] = below[global_left[level]] + below[global_right[level]]
    begin = np.zeros(nodes, np.int64)
    depth = np.zeros(trees.n_trees, np.int64)
    for number, level in enumerate(levels):
        begin[global_left[level]] = begin[level]
        begin[global_right[level]] = begin[level] + below[global_left[level]]
        depth[tree[level]] = number + 1

    used = np.unique(trees.feature[splits])
    numbers = np.searchsorted(used, trees.feature[splits])
    categorical = trees.category_offset[splits] >= 0
    missing_right = trees.missing_left[splits] == 0
    threshold = _rounded_down(np.where(categorical, 0, trees.threshold[splits]), dtype)

    # Sets: the number of words, then the words.
    words = trees.category_words[splits][categorical].astype(np.int64)
    where = _starts(words + 1)
    sets = np.zeros(int((words + 1).sum()), np.int32)
    sets[where] = words
    step = np.arange(int(words.sum())) - np.repeat(_starts(words), words)
    source = np.repeat(trees.category_offset[splits][categorical], words) + step
    sets[np.repeat(where + 1, words) + step] = trees.categories.view(np.int32)[source]
    set_place = np.zeros(splits.size, np.int64)
    set_place[categorical] = where

    # Nodes with siblings side by side: the k-th split of a tree has its children at 1 + 2k and 2 + 2k.
    rank = np.arange(splits.size) - _starts(sizes // 2)[tree[splits]]
    place = np.empty(nodes, np.int64)
    place[first] = first
    place[left] = start[splits] + 1 + 2 * rank
    place[right] = place[left] + 1
    packed = np.zeros((nodes, 4), np.int32)
    bounds = packed.view(dtype)[:, 0]
    bounds[:] = np.inf
    packed[:, 3] = np.arange(nodes)  # a leaf leads to itself
    at = place[splits]
    bounds[at] = threshold
    packed[at[categorical], 0] = where
    flags = np.where(missing_right, _MISSING_RIGHT, 0)
    packed[at, 2] = numbers | flags | np.where(categorical, _CATEGORICAL, 0)
    packed[at, 3] = place[left]

    leaves = np.flatnonzero(~inner)
    leaf_count = below[first]
    first_leaf = _starts(leaf_count)
    ordinal = first_leaf[tree[leaves]] + begin[leaves]
    node_leaf = np.zeros(nodes, np.int32)
    node_leaf[place[leaves]] = ordinal
    leaf_node = np.empty(leaves.size, np.int32)
    leaf_node[ordinal] = leaves - start[leaves]
    leaf_value = np.zeros((leaves.size + _PADDING, trees.width))
    leaf_value[ordinal] = trees.value[leaves]

    # The list of splits of small trees: missing left, missing right, categorical.
    kind = np.where(categorical, 2, missing_right)
    small = leaf_count[tree[splits]] <= _MASK_LEAVES
    order = np.lexsort((numbers, kind, tree[splits]))
    order = order[small[order]]
    ruled_out = ((np.uint64(1) << below[left[order]].astype(np.uint64)) - np.uint64(1)) << begin[
        left[order]
    ].astype(np.uint64)
    kinds = np.zeros((trees.n_trees, 3), np.int64)
    np.add.at(kinds, (tree[splits][order], kind[order]), 1)

    table = np.zeros((trees.n_trees, 12), np.int32)
    table[:, 0] = first
    table[:, 1] = depth
    table[:, 2] = _starts(kinds.sum(axis=1))
    table[:, 3:6] = kinds
    table[:, 6] = first_leaf
    table[:, 7] = leaf_count
    table[:, 8] = trees.outputs
    table[tree[splits[categorical]], 9] = 1
    return Layout(
        used=used.astype(np.int32),
        trees=table,
        nodes=packed,
        node_leaf=node_leaf,
        leaf_node=leaf_node,
        leaf_value=leaf_value,
        split_place=np.stack([numbers, set_place | flags], axis=1)[order].astype(np.int32),
        split_threshold=np.ascontiguousarray(threshold[order]),
        split_mask=(~ruled_out).view(np.int64),
        sets=sets,
    )


@dataclass(frozen=True)
class PathTables:
    """What the kernel ``tree_shap`` takes besides the trees; see csrc/kernels/tree/tree_shap.h."""

    expected: np.ndarray
    share: np.ndarray
    points: np.ndarray
    largest: int
    deepest: int

    def __post_init__(self) -> None:
        own(self.expected, self.share, self.points)


def path_tables(trees: Trees) -> PathTables:
    """Shares of the training rows, mean scores and points of integration of checked trees."""
    splits = np.flatnonzero(trees.feature >= 0)
    sizes = np.diff(trees.offsets)
    start = np.repeat(trees.offsets[:-1], sizes)[splits]
    share = np.ones(trees.n_nodes)
    covers = trees.cover[splits]
    with np.errstate(divide="ignore", invalid="ignore"):
        for child in (start + trees.left[splits], start + trees.right[splits]):
            share[child] = np.where(covers > 0, np.minimum(trees.cover[child] / covers, 1), 0.5)

    # The share of all rows that reaches a node, a level at a time.
    reach, mean = np.zeros(trees.n_nodes), np.zeros((trees.n_trees, trees.width))
    level, tree = trees.offsets[:-1], np.arange(trees.n_trees)
    reach[level] = 1
    while level.size:
        leaf = trees.feature[level] < 0
        np.add.at(mean, tree[leaf], reach[level[leaf], None] * trees.value[level[leaf]])
        level, tree = level[~leaf], tree[~leaf]
        children = [trees.offsets[tree] + side[level] for side in (trees.left, trees.right)]
        for child in children:
            reach[child] = reach[level] * share[child]
        level, tree = np.concatenate(children), np.concatenate([tree, tree])
    expected = trees.base.copy()
    if trees.n_trees and trees.outputs[0] < 0:
        expected += mean.sum(axis=0)
    else:
        np.add.at(expected, trees.outputs, mean[:, 0])

    deepest = int(trees.depth().max(initial=0))
    most = min(max((deepest + 1) // 2, 1), _MOST_POINTS)
    points = np.zeros((most, most, 2))
    for n in range(1, most + 1):
        places, weights = np.polynomial.legendre.leggauss(n)
        points[n - 1, :n, 0] = (places + 1) / 2
        points[n - 1, :n, 1] = weights / 2
    largest = int(sizes.max(initial=0))
    return PathTables(expected, share, points, largest, deepest)
