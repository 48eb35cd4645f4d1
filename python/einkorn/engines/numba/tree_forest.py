"""Trees of forests: a tree is a task; nodes by histograms of the features drawn, in plain loops.

Every bin has the weight of each class and the number of rows, or for regression the weight, the weighted
sum of targets and the number of rows. The draws of a tree are the words of its Philox stream, as in
the native engine.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import read, require, write
from ._compile import (
    Array,
    ByteOut2,
    CodesIn2,
    CountsIn2,
    CountsOut2,
    Float64In1,
    Float64In2,
    Float64Out2,
    Float64Out3,
    Index1,
    IndexOut1,
    IndexOut2,
    Int,
    Int32Out2,
    Loop,
    Scalar,
)
from ._kernels import kernel
from ._threads import parallel_for
from ._tree_split import (
    CODE,
    DEPTH,
    FEATURE,
    GAIN,
    HAS_MISSING,
    IS_LEFT,
    MISSING_LEFT,
    PARENT,
    ROWS,
    SCORE,
    START,
    THRESHOLD,
    best_split,
    drawn_below,
)
from ._tree_statistics import (
    ENTROPY,
    GINI,
    MEAN,
    SQUARED,
    UNIT,
    WHOLE,
    centre,
    entropy_term,
    rounded,
)

_0 = np.uint64(0)
_OUT_OF_RANGE, _TOO_HEAVY, _NO_ROOM = -1, -2, -3
_EPSILON = 2.220446049250313e-16
_MOST = 1.7976931348623157e308


@Loop
def _grow(
    start: Int,
    stop: Int,
    node_count: IndexOut1,
    feature: Int32Out2,
    threshold: Float64Out2,
    left: Int32Out2,
    right: Int32Out2,
    missing_left: ByteOut2,
    value: Float64Out3,
    gain: Float64Out2,
    cover: Float64Out2,
    count: IndexOut2,
    codes: CodesIn2,
    target: Float64In1,
    weight: Float64In1,
    counts: CountsIn2,
    class_weight: Float64In2,
    offsets: Index1,
    low: Float64In1,
    high: Float64In1,
    seeds: Index1,
    last_code: Int,
    classes: Int,
    criterion: Int,
    random_thresholds: Int,
    max_features: Int,
    max_depth: Int,
    max_leaf_nodes: Int,
    min_samples_split: Int,
    min_samples_leaf: Int,
    min_weight_leaf: Scalar,
    min_impurity_decrease: Scalar,
) -> None:
    n_rows, n_features = codes.shape[1], codes.shape[0]
    capacity = feature.shape[1]
    stride = classes + 1 if classes > 0 else 3
    rows, spare = np.empty(n_rows, np.int64), np.empty(n_rows, np.int64)
    weights, targets = np.empty(n_rows), np.empty(n_rows)
    spare_weights, spare_targets = np.empty(n_rows), np.empty(n_rows)
    bins, used = np.zeros((last_code + 1, stride)), np.empty(last_code + 2, np.int64)
    features, total, taken = np.empty(n_features, np.int64), np.empty(stride), np.empty(1, np.uint64)
    # Nodes that wait: a stack, or with max_leaf_nodes a set from which the largest gain is taken.
    size = min(n_rows, max_leaf_nodes) if max_leaf_nodes > 0 else n_rows
    plans, reals, waiting = np.zeros((size + 2, 9), np.int64), np.zeros((size + 2, 3)), 0
    plan, real, about = np.zeros(9, np.int64), np.zeros(3), np.zeros(4)
    for t in range(start, stop):
        n, heavy = 0, 0
        for r in range(n_rows):
            times = np.int64(counts[t, r]) if counts.shape[0] > 0 else 1
            w = weight[r] if weight.shape[0] > 0 else 1.0
            w *= times
            if class_weight.shape[0] > 0:
                w *= class_weight[t, int(target[r])]
            heavy += times
            if w > 0:
                rows[n], weights[n], targets[n] = r, w, target[r]
                n += 1
        if n == 0 or heavy >= 1 << 31:
            node_count[t] = _TOO_HEAVY if n > 0 else 0
            continue
        for f in range(n_features):
            features[f] = f
        taken[0] = 0
        seed = np.uint64(seeds[t])
        nodes, reserved, leaves, whole_weight, full = 0, 1, 1, 0.0, False
        plans[0, :] = 0
        plans[0, ROWS], plans[0, PARENT] = n, -1
        waiting, opened = 1, 0  # best first: those below `opened` are nodes already, with their splits
        while waiting > 0:
            if max_leaf_nodes > 0 and opened == waiting:
                if leaves >= max_leaf_nodes:
                    break
                leaves += 1
                top = 0
                for i in range(1, waiting):
                    here, there = rounded(reals[i, GAIN]), rounded(reals[top, GAIN])
                    if here > there or (here == there and plans[i, PARENT] < plans[top, PARENT]):
                        top = i
                plan[:], real[:] = plans[top], reals[top]
                waiting -= 1
                plans[top], reals[top] = plans[waiting], reals[waiting]
                opened = waiting
                node = plan[PARENT]
                gain[t, node] = real[GAIN]
            else:
                # A new node.
                at = opened if max_leaf_nodes > 0 else waiting - 1
                plan[:] = plans[at]
                if max_leaf_nodes > 0:
                    waiting -= 1
                    if at < waiting:
                        plans[at] = plans[waiting]
                else:
                    waiting -= 1
                node = nodes
                nodes += 1
                if plan[PARENT] >= 0:
                    if plan[IS_LEFT]:
                        left[t, plan[PARENT]] = node
                    else:
                        right[t, plan[PARENT]] = node
                begin, n = plan[START], plan[ROWS]
                end = begin + n
                total[:] = 0.0
                node_weight, pure = 0.0, True
                for i in range(begin, end):
                    node_weight += weights[i]
                    if classes > 0:
                        total[int(targets[i])] += weights[i]
                    else:
                        total[1] += weights[i] * (targets[i] - targets[begin])
                    pure = pure and targets[i] == targets[begin]
                if classes > 0:
                    whole, squares = 0.0, 0.0
                    for c in range(classes):
                        value[t, node, c] = total[c] / node_weight
                        squares += total[c] * total[c]
                        whole += entropy_term(total[c], node_weight)
                    if pure:
                        value[t, node, :] = 0.0
                        value[t, node, int(targets[begin])] = 1.0
                    if criterion == GINI:
                        whole = squares / node_weight
                else:
                    whole = 0.0
                    value[t, node, 0] = targets[begin]
                    if not pure:
                        part, wide = targets[begin:end], weights[begin:end]
                        centre(part, wide, total, node_weight, criterion, about)
                        value[t, node, 0] = about[MEAN]
                        if criterion == SQUARED:
                            whole = (total[1] * about[UNIT]) ** 2 / node_weight
                about[WHOLE] = whole
                feature[t, node], left[t, node], right[t, node] = -1, -1, -1
                threshold[t, node], missing_left[t, node], gain[t, node] = math.nan, 0, 0.0
                cover[t, node], count[t, node] = node_weight, n
                if node == 0:
                    whole_weight = node_weight
                is_leaf = pure or n < min_samples_split or n < 2 * min_samples_leaf
                if is_leaf or node_weight < 2 * min_weight_leaf or (0 <= max_depth <= plan[DEPTH]):
                    continue
                real[SCORE], plan[FEATURE] = -math.inf, -1
                best_split(
                    codes,
                    offsets,
                    low,
                    high,
                    rows[begin:end],
                    weights[begin:end],
                    targets[begin:end],
                    features,
                    taken,
                    seed,
                    bins,
                    used,
                    total,
                    node_weight,
                    plan,
                    real,
                    classes,
                    criterion,
                    random_thresholds != 0,
                    max_features,
                    min_samples_leaf,
                    min_weight_leaf,
                    about,
                )
                if plan[FEATURE] < 0:
                    continue
                improvement = real[SCORE] - whole
                if criterion == ENTROPY:
                    improvement *= 1.4426950408889634
                elif criterion == SQUARED:
                    improvement = min(improvement / about[UNIT] / about[UNIT], _MOST)
                improvement = max(improvement, 0.0)
                if improvement / whole_weight + _EPSILON < min_impurity_decrease:
                    continue
                real[GAIN] = improvement
                if max_leaf_nodes > 0:
                    if opened < waiting:
                        plans[waiting] = plans[opened]
                    plan[PARENT] = node
                    plans[opened], reals[opened] = plan, real
                    opened += 1
                    waiting += 1
                    continue
                gain[t, node] = improvement
            reserved += 2
            full = reserved > capacity
            if full:
                break
            # Move the rows apart.
            begin, end = plan[START], plan[START] + plan[ROWS]
            f, n_left, n_right = plan[FEATURE], 0, 0
            for i in range(begin, end):
                code = np.int64(codes[f, rows[i]])
                if code <= plan[CODE] or (code == last_code and plan[MISSING_LEFT] == 1):
                    at = begin + n_left
                    rows[at], weights[at], targets[at] = rows[i], weights[i], targets[i]
                    n_left += 1
                else:
                    spare[n_right], spare_weights[n_right] = rows[i], weights[i]
                    spare_targets[n_right] = targets[i]
                    n_right += 1
            middle = begin + n_left
            rows[middle:end] = spare[:n_right]
            weights[middle:end] = spare_weights[:n_right]
            targets[middle:end] = spare_targets[:n_right]
            feature[t, node], threshold[t, node] = f, real[THRESHOLD]
            missing_left[t, node] = plan[MISSING_LEFT] if plan[HAS_MISSING] else n_left > n_right
            depth = plan[DEPTH] + 1
            # Depth first takes the last one first, best first opens the first one first: the left child.
            for i in range(2):
                is_left = (i == 0) == (max_leaf_nodes > 0)
                plans[waiting, :] = 0
                plans[waiting, START] = begin if is_left else middle
                plans[waiting, ROWS] = n_left if is_left else n_right
                plans[waiting, DEPTH], plans[waiting, PARENT] = depth, node
                plans[waiting, IS_LEFT] = is_left
                waiting += 1
        node_count[t] = _NO_ROOM if full else nodes


@Loop
def _bootstrap(start: Int, stop: Int, counts: CountsOut2, seeds: Index1, draws: Int) -> None:
    taken = np.empty(1, np.uint64)
    for t in range(start, stop):
        counts[t, :] = 0
        taken[0] = 0
        for _ in range(draws):
            r = drawn_below(taken, np.uint64(seeds[t]), _0, counts.shape[1])
            if counts[t, r] < 65535:
                counts[t, r] += 1


@kernel
def bootstrap_counts(counts: Array, seeds: Array, draws: int) -> None:
    """counts[t, r] = how often row r is among `draws` rows drawn with replacement."""
    require(
        counts.ndim == 2 and seeds.shape == (len(counts),), "counts must be [trees, rows] and seeds [trees]"
    )
    rows = counts.shape[1]
    require(draws >= 0 and rows < 1 << 31, "draws must not be negative, rows below 2^31")
    require(rows > 0 or draws == 0, "there are no rows to draw")
    counts = write("counts", counts, np.uint16, *counts.shape)
    seeds = read("seeds", seeds, np.int64, len(counts))
    cost = 15.0 * draws + counts.shape[1]
    parallel_for(counts.shape[0], cost, lambda start, stop: _bootstrap(start, stop, counts, seeds, draws))


@kernel
def grow_forest(
    node_count: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    right: Array,
    missing_left: Array,
    value: Array,
    gain: Array,
    cover: Array,
    count: Array,
    codes: Array,
    target: Array,
    weight: Array | None,
    counts: Array | None,
    class_weight: Array | None,
    offsets: Array,
    low: Array,
    high: Array,
    seeds: Array,
    classes: int,
    criterion: int,
    random_thresholds: bool,
    max_features: int,
    max_depth: int,
    max_leaf_nodes: int,
    min_samples_split: int,
    min_samples_leaf: int,
    min_weight_leaf: float,
    min_impurity_decrease: float,
) -> None:
    """Grow trees; csrc/kernels/tree/tree_forest.h says what each argument means."""
    require(
        codes.ndim == 2 and codes.dtype in (np.uint8, np.uint16),
        "codes must be uint8 or uint16 [features, rows]",
    )
    require(
        feature.ndim == 2 and value.ndim == 3, "outputs must be [trees, capacity], value [trees, capacity, n]"
    )
    features, rows = codes.shape
    trees, capacity = feature.shape
    require(rows < 1 << 31 and capacity < 1 << 31, "rows and capacity must be below 2^31")
    require(0 <= classes < 65536, "classes must be 0 (regression) to 65535")
    last_code = 255 if codes.dtype == np.uint8 else 65535
    require(offsets.shape == (features + 1,), "offsets must be [features + 1]")
    offsets = read("offsets", offsets, np.int64, features + 1)
    require(offsets[0] == 0, "offsets must begin at 0")
    require(
        all(0 <= size <= last_code for size in np.diff(offsets)),
        "offsets must ascend, by at most as many bins as there are codes",
    )
    require(
        (criterion in (0, 1)) == (classes > 0) and 0 <= criterion <= 3, "no such criterion for these classes"
    )
    require(
        max_features >= 1 and min_samples_leaf >= 1, "max_features and min_samples_leaf must be at least 1"
    )
    require(capacity >= 1, "capacity must be at least 1")
    node_count = write("node_count", node_count, np.int64, trees)
    feature = write("feature", feature, np.int32, trees, capacity)
    threshold = write("threshold", threshold, np.float64, trees, capacity)
    left = write("left", left, np.int32, trees, capacity)
    right = write("right", right, np.int32, trees, capacity)
    missing_left = write("missing_left", missing_left, np.uint8, trees, capacity)
    value = write("value", value, np.float64, trees, capacity, max(classes, 1))
    gain = write("gain", gain, np.float64, trees, capacity)
    cover = write("cover", cover, np.float64, trees, capacity)
    count = write("count", count, np.int64, trees, capacity)
    codes = read("codes", codes, codes.dtype, features, rows)
    target = read("target", target, np.float64, rows)
    weight = None if weight is None else read("weight", weight, np.float64, rows)
    counts = None if counts is None else read("counts", counts, np.uint16, trees, rows)
    class_weight = (
        None if class_weight is None else read("class_weight", class_weight, np.float64, trees, classes)
    )
    low, high = read("low", low, np.float64, offsets[-1]), read("high", high, np.float64, offsets[-1])
    seeds = read("seeds", seeds, np.int64, trees)
    sizes = np.diff(offsets)
    if any(((row >= size) & (row != last_code)).any() for row, size in zip(codes, sizes, strict=True)):
        node_count[...] = _OUT_OF_RANGE
        return
    weight = np.empty(0) if weight is None else weight
    counts = np.empty((0, 0), np.uint16) if counts is None else counts
    class_weight = np.empty((0, 0)) if class_weight is None else class_weight
    parallel_for(
        node_count.size,
        100.0 * codes.shape[1] * max_features,
        lambda start, stop: _grow(
            start,
            stop,
            node_count,
            feature,
            threshold,
            left,
            right,
            missing_left,
            value,
            gain,
            cover,
            count,
            codes,
            target,
            weight,
            counts,
            class_weight,
            offsets,
            low,
            high,
            seeds,
            last_code,
            classes,
            criterion,
            int(random_thresholds),
            max_features,
            max_depth,
            max_leaf_nodes,
            min_samples_split,
            min_samples_leaf,
            min_weight_leaf,
            min_impurity_decrease,
        ),
    )
