"""The best split of a node's rows, over the features that are drawn, in a forest's tree."""

from __future__ import annotations

import math

import numpy as np

from ._compile import Array, inline
from ._tree_statistics import CENTRE, WHOLE, above, middle, score_of
from .random import philox_words

_32, _1, _4 = (np.uint64(v) for v in (32, 1, 4))
_NODES = np.uint64(1 << 40)  # the counter where the words of the nodes begin
# Columns of a tree's plan: what is known of a node or of a split.
START, ROWS, DEPTH, PARENT, IS_LEFT, FEATURE, CODE, MISSING_LEFT, HAS_MISSING = range(9)
SCORE, THRESHOLD, GAIN = range(3)


@inline
def _word(taken: Array, seed: int, begin: int) -> int:
    """The next word of a stream; `taken` counts them."""
    i = taken[0]
    taken[0] = i + _1
    counter = begin + i // _4
    return philox_words(seed, counter)[i % _4]


@inline
def drawn_below(taken: Array, seed: int, begin: int, n: int) -> int:
    return np.int64((_word(taken, seed, begin) * np.uint64(n)) >> _32)


@inline
def _add(bins: Array, b: int, classes: int, weight: float, target: float, centre: float) -> None:
    if classes == 0:
        bins[b, 0] += weight
        bins[b, 1] += weight * (target - centre)
        bins[b, 2] += 1
    else:
        bins[b, int(target)] += weight
        bins[b, classes] += 1


@inline
def _try(
    bins: Array,
    used: Array,
    m: int,
    missing: int,
    n: int,
    total: Array,
    weight: float,
    classes: int,
    criterion: int,
    leaf: int,
    leaf_weight: float,
    best: float,
    about: Array,
) -> tuple[float, int, int]:
    """The best split after one of the bins `used`: its score, place and whether missing rows go left."""
    found, found_left = -1, 0
    bar = above(best, about[WHOLE])
    stride = bins.shape[1]
    left = np.zeros(stride)
    for side in range(2 if missing >= 0 else 1):
        left[:] = 0.0
        if side == 1:
            left[:] = bins[missing]
        for i in range(m if missing >= 0 and side == 0 else m - 1):
            for c in range(stride):
                left[c] += bins[used[i], c]
            w = 0.0
            if classes == 0:
                w = left[0]
            else:
                for c in range(classes):
                    w += left[c]
            rows = left[stride - 1]
            if not (w > 0 and weight - w > 0) or w < leaf_weight or weight - w < leaf_weight:
                continue
            if rows < leaf or n - rows < leaf:
                continue
            value = score_of(left, total, classes, criterion, w, weight, about)
            if value > bar:
                best, found, found_left = value, i, side
                bar = above(best, about[WHOLE])
    return best, found, found_left


@inline
def best_split(
    codes: Array,
    offsets: Array,
    low: Array,
    high: Array,
    rows: Array,
    weights: Array,
    targets: Array,
    features: Array,
    taken: Array,
    seed: int,
    bins: Array,
    used: Array,
    total: Array,
    weight: float,
    plan: Array,
    real: Array,
    classes: int,
    criterion: int,
    random_thresholds: bool,
    max_features: int,
    leaf: int,
    leaf_weight: float,
    about: Array,
) -> None:
    """Write the best split of a node's rows into plan and real."""
    n = rows.shape[0]
    last_code = bins.shape[0] - 1
    seen, constant = 0, 0
    for i in range(features.shape[0]):
        if not (seen < max_features or constant == seen):
            break
        seen += 1
        if max_features < features.shape[0]:
            j = i + drawn_below(taken, seed, _NODES, features.shape[0] - i)
            features[i], features[j] = features[j], features[i]
        f = features[i]
        begin = offsets[f]
        least, most, n_missing = last_code, -1, 0
        for r in range(n):
            code = np.int64(codes[f, rows[r]])
            if code == last_code:
                n_missing += 1
            else:
                least, most = min(least, code), max(most, code)
        if most < 0 or (least == most and n_missing == 0):
            constant += 1
            continue
        cut, threshold = most, math.inf
        if random_thresholds and least < most:
            u = np.float64(_word(taken, seed, _NODES)) * 2.0**-32
            threshold = (1 - u) * low[begin + least] + u * high[begin + most]
            cut, above = least, most
            while above - cut > 1:
                half = (cut + above) // 2
                if high[begin + half] <= threshold:
                    cut = half
                else:
                    above = half
            if not high[begin + cut] <= threshold < low[begin + cut + 1]:
                threshold = high[begin + cut]
        for r in range(n):
            b = np.int64(codes[f, rows[r]])
            if random_thresholds and b != last_code:
                b = 0 if b <= cut else 1
            _add(bins, b, classes, weights[r], targets[r], about[CENTRE])
        m = 0
        for b in range(2 if random_thresholds else most + 1):
            if bins[b, bins.shape[1] - 1] > 0:
                used[m] = b
                m += 1
        score, found, missing_left = _try(
            bins,
            used,
            m,
            last_code if n_missing else -1,
            n,
            total,
            weight,
            classes,
            criterion,
            leaf,
            leaf_weight,
            real[SCORE],
            about,
        )
        if found >= 0:
            real[SCORE] = score
            plan[FEATURE], plan[MISSING_LEFT] = f, missing_left
            plan[HAS_MISSING] = 1 if n_missing else 0
            if found == m - 1:
                plan[CODE], real[THRESHOLD] = most, math.inf
            elif random_thresholds:
                plan[CODE], real[THRESHOLD] = cut, threshold
            else:
                plan[CODE] = used[found]
                real[THRESHOLD] = middle(high[begin + used[found]], low[begin + used[found + 1]])
        for b in used[:m]:
            bins[b, :] = 0.0
        bins[last_code, :] = 0.0
