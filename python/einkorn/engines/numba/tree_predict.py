"""Prediction with decision trees: each row walks down each tree.

A node's next one is its left child, or the one after it to go right; a leaf leads to itself. The contract,
with the packed arrays, is csrc/kernels/tree/tree_predict.h.
"""

from __future__ import annotations

import numpy as np

from ._checks import floats, optional_write, read, require
from ._compile import (
    Array,
    Float64In1,
    Float64In2,
    Float64Out2,
    In2,
    Int,
    Int32In1,
    Int32In2,
    Int32Out2,
    Loop,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 40.0  # ns per row and tree

_NODE, _LEAF, _OUTPUT = 0, 6, 8  # columns of trees
_MISSING_RIGHT, _CATEGORICAL = 1 << 30, 1 << 29
_FEATURE = _CATEGORICAL - 1


@inline
def _in_set(x: float, sets: Array, place: int) -> bool:
    """Whether int(x) is in the set that begins at ``place`` with its number of words."""
    if not (-1 < x < 2147483648.0):
        return False
    category = int(x)
    word = category >> 5
    return word < sets[place] and (sets[place + 1 + word] >> (category & 31)) & 1 != 0


@inline
def _goes_right(x: float, threshold: float, feature: int, sets: Array, place: int) -> bool:
    if np.isnan(x):
        return feature & _MISSING_RIGHT != 0
    if feature & _CATEGORICAL != 0:
        return not _in_set(x, sets, place)
    return x > threshold


@Loop
def _predict(
    start: Int,
    stop: Int,
    out: Float64Out2,
    leaves: Int32Out2,
    x: In2,
    base: Float64In1,
    used: Int32In1,
    trees: Int32In2,
    nodes: Int32In2,
    thresholds: In2,
    node_leaf: Int32In1,
    leaf_node: Int32In1,
    leaf_value: Float64In2,
    sets: Int32In1,
    first: Int,
    last: Int,
    accumulate: Int,
) -> None:
    for row in range(start, stop):
        if out.size > 0 and accumulate == 0:
            out[row] = base
        for t in range(first, last):
            node = trees[t, _NODE]
            child = nodes[node, 3]
            while child != node:
                feature = nodes[node, 2]
                value = x[row, used[feature & _FEATURE]]
                if _goes_right(value, thresholds[node, 0], feature, sets, nodes[node, 0]):
                    child += 1
                node = child
                child = nodes[node, 3]
            leaf = node_leaf[node]
            if leaves.size > 0:
                leaves[row, t - first] = leaf_node[leaf]
            if out.size > 0:
                output = trees[t, _OUTPUT]
                if output >= 0:
                    out[row, output] += leaf_value[leaf, 0]
                else:
                    for o in range(leaf_value.shape[1]):
                        out[row, o] += leaf_value[leaf, o]


@kernel
def tree_predict(
    out: Array | None,
    leaves: Array | None,
    x: Array,
    base: Array,
    used: Array,
    trees: Array,
    nodes: Array,
    node_leaf: Array,
    leaf_node: Array,
    leaf_value: Array,
    split_place: Array,
    split_threshold: Array,
    split_mask: Array,
    sets: Array,
    first: int,
    last: int,
    accumulate: bool,
) -> None:
    """out = base + the leaf values of trees first to last; leaves = the leaves' node numbers."""
    dtype = floats(x)
    require(x.ndim == 2, "x must be [rows, features]")
    require(trees.ndim == 2 and trees.shape[1] == 12, "trees must be [trees, 12]")
    require(nodes.ndim == 2 and nodes.shape[1] == 4, "nodes must be [nodes, 4]")
    require(
        leaf_value.ndim == 2 and len(leaf_value) == leaf_node.size + 64, "leaf_value must be [leaves + 64, n]"
    )
    require(leaf_value.shape[1] in (1, base.size), "leaf_value must have a column, or one an output")
    splits = split_mask.size
    require(
        split_place.size == 2 * splits and split_threshold.size == splits,
        "split_place, split_threshold and split_mask must have one length",
    )
    require(0 <= first <= last <= len(trees), "first and last must be a range of trees")
    x = read("x", x, dtype, *x.shape)
    base, used = read("base", base, np.float64, base.size), read("used", used, np.int32, used.size)
    require(bool(((used >= 0) & (used < x.shape[1])).all()), "used must be columns of x")
    trees, nodes = read("trees", trees, np.int32, *trees.shape), read("nodes", nodes, np.int32, *nodes.shape)
    node_leaf = read("node_leaf", node_leaf, np.int32, len(nodes))
    leaf_node = read("leaf_node", leaf_node, np.int32, leaf_node.size)
    leaf_value = read("leaf_value", leaf_value, np.float64, *leaf_value.shape)
    read("split_place", split_place, np.int32, 2 * splits)
    read("split_threshold", split_threshold, dtype, splits)
    read("split_mask", split_mask, np.int64, splits)
    sets = read("sets", sets, np.int32, sets.size)
    sums = optional_write("out", out, np.float64, len(x), base.size)
    places = optional_write("leaves", leaves, np.int32, len(x), last - first)
    thresholds = nodes.view(x.dtype)

    def body(start: int, stop: int) -> None:
        _predict(
            start,
            stop,
            sums,
            places,
            x,
            base,
            used,
            trees,
            nodes,
            thresholds,
            node_leaf,
            leaf_node,
            leaf_value,
            sets,
            first,
            last,
            int(accumulate),
        )

    parallel_for(x.shape[0], _COST * max(last - first, 1), body)
