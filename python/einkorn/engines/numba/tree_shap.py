"""Exact path-dependent TreeSHAP, a row and a leaf at a time; the idea is in csrc/kernels/tree/tree_shap.cpp.

The leaf's part in the Shapley value of one of the D features on its path is an integral over t from 0 to 1
of the product of ``t o + (1 - t) z`` over the others, by Gauss-Legendre points.
"""

from __future__ import annotations

import numpy as np

from ._checks import floats, read, require, write
from ._compile import (
    Array,
    ByteIn1,
    Float64In1,
    Float64In2,
    Float64In3,
    Float64Out3,
    In2,
    Index1,
    Int,
    Int32In1,
    Loop,
    WordIn1,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 300.0  # ns per row and node


@inline
def _goes_right(
    x: float, threshold: float, missing_left: int, categories: Array, offset: int, words: int
) -> bool:
    if np.isnan(x):
        return missing_left == 0
    if offset < 0:
        return x > threshold
    if not (-1 < x < 2147483648.0):
        return True
    category = int(x)
    word = category >> 5
    return word >= words or (np.int64(categories[offset + word]) >> (category & 31)) & 1 == 0


@Loop
def _shap(
    start: Int,
    stop: Int,
    out: Float64Out3,
    x: In2,
    expected: Float64In1,
    offsets: Index1,
    outputs_of: Int32In1,
    feature: Int32In1,
    threshold: Float64In1,
    left: Int32In1,
    right: Int32In1,
    missing_left: ByteIn1,
    category_offset: Int32In1,
    category_words: Int32In1,
    categories: WordIn1,
    value: Float64In2,
    share: Float64In1,
    points: Float64In3,
    deepest: Int,
) -> None:
    features, outputs = x.shape[1], out.shape[2]
    path = np.empty(deepest, np.int64)  # 2 * split, + 1 to the right
    unique = np.empty(deepest, np.int64)
    o, z, factor = np.empty(deepest), np.empty(deepest), np.empty(deepest)
    before, integral = np.empty(deepest), np.empty(deepest)
    for row in range(start, stop):
        out[row, :features] = 0
        out[row, features] = expected
        for tree in range(outputs_of.size):
            first = offsets[tree]
            node, depth = 0, 0
            while True:
                while feature[first + node] >= 0:
                    path[depth] = 2 * node
                    depth += 1
                    node = left[first + node]
                n = 0
                for i in range(depth):  # the features of the path, each once
                    split = first + (path[i] >> 1)
                    to_right = path[i] & 1 != 0
                    f = feature[split]
                    goes = _goes_right(
                        x[row, f],
                        threshold[split],
                        missing_left[split],
                        categories,
                        category_offset[split],
                        category_words[split],
                    )
                    on = 1.0 if goes == to_right else 0.0
                    part = share[first + (right[split] if to_right else left[split])]
                    e = 0
                    while e < n and unique[e] != f:
                        e += 1
                    if e == n:
                        unique[e], o[e], z[e] = f, on, part
                        n += 1
                    else:
                        o[e] *= on
                        z[e] *= part
                integral[:n] = 0
                n_points = min((n + 1) // 2, points.shape[0])
                for p in range(n_points):
                    t, product = points[n_points - 1, p, 0], points[n_points - 1, p, 1]
                    for e in range(n):
                        factor[e] = o[e] * t + z[e] * (1 - t)
                        before[e] = product
                        product *= factor[e]
                    product = 1.0
                    for e in range(n - 1, -1, -1):
                        integral[e] += before[e] * product
                        product *= factor[e]
                for e in range(n):
                    part = integral[e] * (o[e] - z[e])
                    if outputs_of[tree] >= 0:
                        out[row, unique[e], outputs_of[tree]] += part * value[first + node, 0]
                    else:
                        for j in range(outputs):
                            out[row, unique[e], j] += part * value[first + node, j]
                while depth > 0 and path[depth - 1] & 1 != 0:
                    depth -= 1
                if depth == 0:
                    break
                path[depth - 1] |= 1
                node = right[first + (path[depth - 1] >> 1)]


def _check_nodes(
    offsets: Array,
    ways: tuple[Array, Array, Array, int, int],
    sets: tuple[Array, Array, int],
    features: int,
) -> None:
    """What the loop follows without looking: forwards, within the tree, no deeper than its scratch."""
    feature, left, right, largest, deepest = ways
    nodes = feature.size
    sizes = np.diff(offsets)
    rises = offsets[0] == 0 and offsets[-1] == nodes and bool((sizes >= 1).all())
    require(rises, "offsets must rise from 0 to the number of nodes")
    require(bool((sizes <= largest).all()), "a tree has more nodes than largest")
    inner = feature >= 0
    require(bool((feature < features).all()), "feature must be columns of x")
    at, words, size = sets
    lies = (at < 0) | ((words >= 0) & (at.astype(np.int64) + words <= size))
    require(bool(lies[inner].all()), "sets must lie within categories")
    start = np.repeat(offsets[:-1], sizes)
    end = np.repeat(offsets[1:], sizes)
    children = np.concatenate([(start + left)[inner], (start + right)[inner]])
    parents = np.tile(np.flatnonzero(inner), 2)
    fits = bool(((children > parents) & (children < end[parents])).all())
    once = fits and bool((np.bincount(children, minlength=nodes) == (np.arange(nodes) > start)).all())
    require(once, "each node must be reached once, from one before it")
    level, depth = offsets[:-1], 0
    while (level := level[inner[level]]).size:
        depth += 1
        require(depth <= deepest, "a tree has more splits on a way than deepest")
        first = start[level]
        level = np.concatenate([first + left[level], first + right[level]])


@kernel
def tree_shap(
    out: Array,
    x: Array,
    expected: Array,
    offsets: Array,
    outputs_of: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    right: Array,
    missing_left: Array,
    category_offset: Array,
    category_words: Array,
    categories: Array,
    value: Array,
    share: Array,
    points: Array,
    largest: int,
    deepest: int,
) -> None:
    """out[:, :features] = Shapley values, out[:, features] = expected."""
    require(
        x.ndim == 2 and value.ndim == 2 and points.ndim == 3,
        "x must be [rows, features], value [nodes, width], points [most, most, 2]",
    )
    nodes, trees, (rows, features) = feature.size, outputs_of.size, x.shape
    require(
        len(value) == nodes and offsets.size == trees + 1, "value must be [nodes, width], offsets [trees + 1]"
    )
    require(value.shape[1] in (1, expected.size), "value must have a column, or one an output")
    require(
        0 <= largest <= nodes and 0 <= deepest <= nodes,
        "largest and deepest must be at most the number of nodes",
    )
    require(points.shape == (len(points), len(points), 2), "points must be [most, most, 2]")
    dtype = floats(x)
    out = write("out", out, np.float64, rows, features + 1, expected.size)
    x = read("x", x, dtype, rows, features)
    expected = read("expected", expected, np.float64, expected.size)
    offsets = read("offsets", offsets, np.int64, trees + 1)
    outputs_of = read("outputs_of", outputs_of, np.int32, trees)
    feature = read("feature", feature, np.int32, nodes)
    threshold = read("threshold", threshold, np.float64, nodes)
    left, right = read("left", left, np.int32, nodes), read("right", right, np.int32, nodes)
    missing_left = read("missing_left", missing_left, np.uint8, nodes)
    category_offset = read("category_offset", category_offset, np.int32, nodes)
    category_words = read("category_words", category_words, np.int32, nodes)
    categories = read("categories", categories, np.uint32, categories.size)
    value = read("value", value, np.float64, *value.shape)
    share = read("share", share, np.float64, nodes)
    points = read("points", points, np.float64, *points.shape)

    require(deepest == 0 or len(points) > 0, "points must not be empty")
    ways = (feature, left, right, largest, deepest)
    _check_nodes(offsets, ways, (category_offset, category_words, categories.size), features)
    all_of = (outputs_of >= 0) | (value.shape[1] == expected.size)
    require(bool(((outputs_of < expected.size) & all_of).all()), "outputs_of must be outputs, or -1 for all")

    def body(start: int, stop: int) -> None:
        _shap(
            start,
            stop,
            out,
            x,
            expected,
            offsets,
            outputs_of,
            feature,
            threshold,
            left,
            right,
            missing_left,
            category_offset,
            category_words,
            categories,
            value,
            share,
            points,
            deepest,
        )

    parallel_for(x.shape[0], _COST * max(feature.size, 1), body)
