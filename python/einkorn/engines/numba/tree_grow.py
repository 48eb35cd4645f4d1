"""Growing boosted trees over codes, one node after another, in plain loops.

Sums are exact (gradients are whole numbers, see csrc/kernels/tree/tree_grow.h), so no histogram has to be
kept or subtracted for the result to be that of the native engine: each node sums its own rows, a feature at a
time.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from ._checks import floats, read, require, write
from ._compile import (
    Array,
    ByteIn1,
    CodesIn2,
    Float64In1,
    Float64Out1,
    Index1,
    IndexOut1,
    Int,
    Int32In1,
    Loop,
    Operand,
    Scalar,
    Word,
    WordIn2,
    WordOut2,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for
from ._tree_statistics import rounded
from .tree_grow_apply import read_codes

_QUANTUM_BITS = 30
_UNIT = 2.0**_QUANTUM_BITS  # low parts of sums are in this part of their unit
_ROUNDING, _TIE = 1e-13, 1e-6
_LEAST_SHARE = 2.0**-20
_BAD_GRADIENT, _BAD_HESSIAN, _NEEDS_WIDE = -1, -2, -3

IndexOut2 = Annotated[Array, Operand(2, writable=True, element="int64")]

# Places in the arrays of options: csrc/kernels/tree/tree_grow.h says what they mean.
_MIN_WEIGHT, _ALPHA, _L2, _MIN_GAIN, _STEP, _RATE, _SMOOTH, _CAT_L2, _G_UNIT, _H_UNIT = range(10)
_MIN_SAMPLES, _MAX_CATEGORIES, _ONEHOT, _MISSING, _BY_VALUE = range(5)


@Loop
def _quantise(
    out: IndexOut1,
    low: IndexOut1,
    values: Annotated[Array, Operand(1)],
    rows: Index1,
    scale: Scalar,
    wide: Int,
) -> None:
    for i in range(rows.shape[0]):
        x = np.float64(values[rows[i]]) * scale
        out[rows[i]] = np.int64(np.rint(x))
        low[rows[i]] = np.int64(np.rint((x - np.rint(x)) * _UNIT)) if wide else 0


@inline
def _g(sums: Array, reals: Array) -> float:
    return (np.float64(sums[0]) * _UNIT + np.float64(sums[3])) * (reals[_G_UNIT] / _UNIT)


@inline
def _h(sums: Array, reals: Array) -> float:
    return (np.float64(sums[1]) * _UNIT + np.float64(sums[4])) * (reals[_H_UNIT] / _UNIT)


@inline
def _tie(score: float, parent: float) -> float:
    """By how much a score must exceed this one to count as better."""
    if score == -np.inf:
        return 0.0
    return _TIE * abs(score - parent) + _ROUNDING * (abs(score) + abs(parent))


@inline
def _shrink(g: float, alpha: float) -> float:
    return math.copysign(max(abs(g) - alpha, 0.0), g)


@inline
def _weight(g: float, h: float, l2: float, reals: Array, lower: float, upper: float) -> float:
    w = -_shrink(g, reals[_ALPHA]) / (h + l2) if h + l2 > 0 else 0.0
    if reals[_STEP] > 0:
        w = min(max(w, -reals[_STEP]), reals[_STEP])
    return min(max(w, lower), upper)


@inline
def _value_score(g: float, h: float, l2: float, w: float, alpha: float) -> float:
    return -(2 * g * w + (h + l2) * w * w + 2 * alpha * abs(w))


@inline
def _node_score(g: float, h: float, reals: Array, by_value: int, lower: float, upper: float) -> float:
    l2 = reals[_L2]
    if by_value:
        return _value_score(g, h, l2, _weight(g, h, l2, reals, lower, upper), reals[_ALPHA])
    top = _shrink(g, reals[_ALPHA])
    return top * top / (h + l2) if h + l2 > 0 else 0.0


@inline
def _children_score(
    left: Array, node: Array, l2: float, sign: int, reals: Array, ints: Array, lower: float, upper: float
) -> float:
    """Score of both children, minus infinity where the split does not count.

    Sums are of g, h and rows, and of the low parts of g and h.
    """
    if left[2] < ints[_MIN_SAMPLES] or node[2] - left[2] < ints[_MIN_SAMPLES]:
        return -np.inf
    right = node - left
    gl, gr, hl, hr = _g(left, reals), _g(right, reals), _h(left, reals), _h(right, reals)
    if hl < reals[_MIN_WEIGHT] or hr < reals[_MIN_WEIGHT] or not hl + l2 > 0 or not hr + l2 > 0:
        return -np.inf
    alpha = reals[_ALPHA]
    if ints[_BY_VALUE]:
        wl = _weight(gl, hl, l2, reals, lower, upper)
        wr = _weight(gr, hr, l2, reals, lower, upper)
        if (sign > 0 and wl > wr) or (sign < 0 and wl < wr):
            return -np.inf
        return _value_score(gl, hl, l2, wl, alpha) + _value_score(gr, hr, l2, wr, alpha)
    a, b, tl, tr = hl + l2, hr + l2, _shrink(gl, alpha), _shrink(gr, alpha)
    return (tl * tl * b + tr * tr * a) / (a * b)


@inline
def _is_kept(score: float, parent: float, best: float, reals: Array) -> bool:
    gain = score - parent
    return gain > reals[_MIN_GAIN] and gain > _ROUNDING * (abs(score) + abs(parent)) and gain > best


@Loop
def _search(
    start: Int,
    stop: Int,
    gains: Float64Out1,
    lefts: IndexOut2,
    splits: IndexOut2,
    sets: WordOut2,
    codes: CodesIn2,
    features: Int32In1,
    allowed: ByteIn1,
    n_bins: Int32In1,
    categorical: ByteIn1,
    monotone: Int32In1,
    rows: Index1,
    g: Index1,
    h: Index1,
    g_low: Index1,
    h_low: Index1,
    node: Index1,
    ints: Index1,
    reals: Float64In1,
    lower: Scalar,
    upper: Scalar,
) -> None:
    """For each feature its best split: gain, sums on the left, (code, missing_left), set of codes."""
    parent = _node_score(_g(node, reals), _h(node, reals), reals, ints[_BY_VALUE], lower, upper)
    left = np.zeros(5, np.int64)
    for j in range(start, stop):
        gains[j] = 0.0
        f = features[j]
        if not allowed[f]:
            continue
        bins = n_bins[f]
        sums = np.zeros((bins + 1, 5), np.int64)  # the last for missing values
        for i in range(rows.shape[0]):
            r = rows[i]
            b = min(np.int64(codes[f, r]), np.int64(bins))
            sums[b, 0] += g[r]
            sums[b, 1] += h[r]
            sums[b, 2] += 1
            sums[b, 3] += g_low[r]
            sums[b, 4] += h_low[r]
        if not categorical[f]:
            best, found, missing_left = -np.inf, -1, 0
            for side in range(2 if sums[bins, 2] > 0 else 1):
                left[:] = side * sums[bins]
                for b in range(bins if sums[bins, 2] > 0 else bins - 1):
                    left += sums[b]
                    score = _children_score(left, node, reals[_L2], monotone[f], reals, ints, lower, upper)
                    if score > best + _tie(best, parent):
                        best, found, missing_left = score, b, side
            if found < 0 or not _is_kept(best, parent, 0.0, reals):
                continue
            gains[j] = best - parent
            lefts[j] = sums[: found + 1].sum(axis=0)
            if missing_left:
                lefts[j] += sums[bins]
            if sums[bins, 2] == 0:
                missing_left = 1 if lefts[j, 2] > node[2] - lefts[j, 2] else 0
            splits[j, 0], splits[j, 1] = found, missing_left
            continue
        used = np.flatnonzero(sums[: bins - 1, 2])
        best, first, last = -np.inf, 0, 0
        if used.size <= ints[_ONEHOT]:
            for i in range(used.size):
                left[:] = sums[used[i]]
                score = _children_score(left, node, reals[_L2], 0, reals, ints, lower, upper)
                if score > best + _tie(best, parent):
                    best, first, last = score, i, i + 1
        else:
            keys = np.empty(used.size)
            for i in range(used.size):
                below = _h(sums[used[i]], reals) + reals[_SMOOTH]
                keys[i] = _g(sums[used[i]], reals) / below if below > 0 else 0.0
            used = used[np.argsort(keys, kind="mergesort")]
            most = min((used.size + 1) // 2, ints[_MAX_CATEGORIES])
            for end in range(2):
                left[:] = 0
                for i in range(most):
                    left += sums[used[used.size - 1 - i if end else i]]
                    l2 = reals[_L2] + reals[_CAT_L2]
                    score = _children_score(left, node, l2, 0, reals, ints, lower, upper)
                    if score > best + _tie(best, parent):
                        best = score
                        first, last = (used.size - 1 - i, used.size) if end else (0, i + 1)
        if last == 0 or not _is_kept(best, parent, 0.0, reals):
            continue
        gains[j] = best - parent
        left[:] = 0
        for i in range(first, last):
            left += sums[used[i]]
        # The side with more rows is the right one, where codes go that no row has; or that of others.
        heavy = left[2] > node[2] - left[2]
        turned = heavy and sums[bins - 1, 2] == 0
        lefts[j] = node - left if turned else left
        sets[j] = 0
        for i in range(used.size):
            if (first <= i < last) != turned:
                sets[j, used[i] // 32] |= np.uint32(1 << (used[i] % 32))
        missing_left = turned if sums[bins, 2] > 0 else heavy and not turned
        splits[j, 0], splits[j, 1] = -1, 1 if missing_left else 0


@Loop
def _part(
    out: IndexOut1, codes: CodesIn2, f: Int, split: Index1, words: WordIn2, rows: Index1, missing: Int
) -> None:
    """The rows that go left, then those that go right."""
    n = 0
    for side in range(2):
        for i in range(rows.shape[0]):
            c = np.int64(codes[f, rows[i]])
            if c == missing:
                left = split[1] != 0
            elif split[0] < 0:
                left = c // 32 < words.shape[1] and (words[0, c // 32] >> np.uint32(c % 32)) & 1
            else:
                left = c <= split[0]
            if bool(left) == (side == 0):
                out[n] = rows[i]
                n += 1


@Loop
def _words(out: IndexOut1, seed: Word, counter: Word) -> None:
    """The first words of the stream (philox.h), as int64."""
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for i in range(0, out.shape[0], 4):
        c = counter + np.uint64(i // 4)
        c0, c1, c2, c3 = c & low, c >> shift, np.uint64(0), np.uint64(0)
        k0, k1 = seed & low, seed >> shift
        for _ in range(10):
            p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
            c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & low, (p0 >> shift) ^ c3 ^ k1, p0 & low
            k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
        lanes = (c0, c1, c2, c3)
        for lane in range(min(4, out.shape[0] - i)):
            out[i + lane] = np.int64(lanes[lane])


def _scale(largest: float) -> float:
    """The power of two that brings numbers up to `largest` below 2**30."""
    if largest == 0:
        return 1.0
    exponent = math.frexp(largest)[1] if largest >= 2.0**-1022 else -1022
    return math.ldexp(1.0, min(_QUANTUM_BITS - exponent, 1000))


def _draw(marks: Array, share: float, seed: int, counter: int) -> None:
    """Keep of the marked features those with the smallest words."""
    marked = np.flatnonzero(marks)
    words = np.empty(marks.size, np.int64)
    _words(words, seed, counter)
    wanted = max(1, math.floor(share * marked.size + 0.5))
    marks[marked[np.argsort(words[marked], kind="stable")[wanted:]]] = 0


class _Leaf:
    """A leaf that may be split: its rows, sums, bounds of its value, and the features above it."""

    def __init__(
        self, node: int, depth: int, rows: Array, sums: Array, lower: float, upper: float, path: Array
    ):
        self.node = node
        self.depth = depth
        self.rows = rows
        self.sums = sums
        self.lower = lower
        self.upper = upper
        self.path = path
        self.gain = 0.0
        self.feature = -1
        self.left = sums
        self.split = sums
        self.words = np.zeros((1, 0), np.uint32)


@kernel
def tree_grow(
    feature: Array,
    code: Array,
    left: Array,
    right: Array,
    missing_left: Array,
    categories: Array,
    value: Array,
    gain: Array,
    cover: Array,
    count: Array,
    leaf: Array,
    codes: Array,
    by_row: Array,
    n_bins: Array,
    categorical: Array,
    gradients: Array,
    hessians: Array | None,
    rows: Array | None,
    features: Array | None,
    monotone: Array | None,
    groups: Array | None,
    by_depth: bool,
    max_depth: int,
    min_samples: int,
    min_weight: float,
    alpha: float,
    l2: float,
    min_gain: float,
    step: float,
    rate: float,
    by_level: float,
    by_node: float,
    seed: int,
    tree: int,
    cat_smooth: float,
    cat_l2: float,
    max_categories: int,
    onehot: int,
    wide: bool,
) -> int:
    """Grow a tree into the node arrays; its number of nodes, or why there is none (below 0)."""
    require(codes.ndim == 2 and by_row.ndim == 2, "codes must be [n, rows] and by_row [rows, width]")
    n, n_rows = codes.shape
    require(
        len(by_row) == n_rows and by_row.shape[1] >= n and by_row.dtype == codes.dtype,
        "by_row must fit codes",
    )
    room = feature.size
    require(room % 2 == 1, "node arrays have room for 2 max_leaves - 1 nodes")
    require(categories.ndim == 2 and len(categories) == room, "categories must be [nodes, words]")
    n_bins, categorical = read("n_bins", n_bins, np.int32, n), read("categorical", categorical, np.uint8, n)
    require(
        hessians is None or (hessians.size == n_rows and hessians.dtype == gradients.dtype),
        "hessians must be as gradients are",
    )
    dtype = floats(gradients)
    row_count = n_rows if rows is None else rows.size
    require(row_count > 0 and n_rows < 1 << 31, "a tree grows from 1 to 2^31 - 1 rows")
    require(
        groups is None or (groups.ndim == 2 and groups.shape[1] == (n + 31) // 32),
        "groups must be [groups, words]",
    )
    require(min_samples >= 1, "min_samples must be positive")
    rows = None if rows is None else read("rows", rows, np.int32, row_count)
    features = None if features is None else read("features", features, np.int32, features.size)
    for index, limit, name in ((rows, n_rows, "rows"), (features, n, "features")):
        if index is not None:
            require(bool(((index >= 0) & (index < limit)).all()), f"{name} must be rows of codes")
            require(index.size <= limit, f"{name} must be used once")
    codes, by_row = read_codes("codes", codes), read_codes("by_row", by_row)
    most = 255 if codes.itemsize == 1 else 65535
    require(bool(((n_bins >= 1) & (n_bins <= most)).all()), "n_bins must fit codes")
    require(
        bool(((categorical == 0) | (n_bins <= 32 * categories.shape[1])).all()),
        "categories must have a bit for each bin",
    )
    feature, code = write("feature", feature, np.int32, room), write("code", code, np.int32, room)
    left, right = write("left", left, np.int32, room), write("right", right, np.int32, room)
    missing_left = write("missing_left", missing_left, np.uint8, room)
    categories = write("categories", categories, np.uint32, *categories.shape)
    value, gain = write("value", value, np.float64, room), write("gain", gain, np.float64, room)
    cover, count = write("cover", cover, np.float64, room), write("count", count, np.int64, room)
    leaf = write("leaf", leaf, np.int32, n_rows)
    gradients = read("gradients", gradients, dtype, n_rows)
    hessians = None if hessians is None else read("hessians", hessians, dtype, n_rows)
    monotone = None if monotone is None else read("monotone", monotone, np.int32, n)
    groups = None if groups is None else read("groups", groups, np.uint32, *groups.shape)
    missing = 255 if codes.itemsize == 1 else 65535
    at = np.arange(n_rows) if rows is None else rows.astype(np.int64)
    used = np.arange(n, dtype=np.int32) if features is None else features
    signs = np.zeros(n, np.int32) if monotone is None else monotone
    if not np.isfinite(gradients[at]).all():
        return _BAD_GRADIENT
    if hessians is not None and not (np.isfinite(hessians[at]).all() and (hessians[at] >= 0).all()):
        return _BAD_HESSIAN
    if hessians is not None and not wide:
        positive = hessians[at][hessians[at] > 0]
        if positive.size and positive.min() < np.float64(positive.max()) * _LEAST_SHARE:
            return _NEEDS_WIDE
    g_scale = _scale(float(np.abs(gradients[at]).max()))
    h_scale = 1.0 if hessians is None else _scale(float(hessians[at].max()))
    g, h = np.zeros(n_rows, np.int64), np.ones(n_rows, np.int64)
    g_low, h_low = np.zeros((2, n_rows), np.int64)
    _quantise(g, g_low, gradients, at, g_scale, int(wide and hessians is not None))
    if hessians is not None:
        _quantise(h, h_low, hessians, at, h_scale, int(wide))
    reals = np.array(
        [min_weight, alpha, l2, min_gain, step, rate, cat_smooth, cat_l2, 1 / g_scale, 1 / h_scale]
    )
    by_value = int(monotone is not None or step > 0)
    ints = np.array([min_samples, max_categories, onehot, missing, by_value], np.int64)
    max_leaves = (feature.size + 1) // 2
    nodes = 0

    def weight_of(sums: Array, lower: float, upper: float) -> float:
        w: float = _weight(_g(sums, reals), _h(sums, reals), l2, reals, lower, upper)
        return w

    def add(depth: int, part: Array, sums: Array, lower: float, upper: float, path: Array) -> _Leaf:
        nonlocal nodes
        i, nodes = nodes, nodes + 1
        feature[i] = code[i] = left[i] = right[i] = -1
        missing_left[i] = categories[i] = gain[i] = 0
        value[i] = rate * weight_of(sums, lower, upper)
        cover[i], count[i] = _h(sums, reals), sums[2]
        return _Leaf(i, depth, part, sums, lower, upper, path)

    def allowed_in(node: _Leaf) -> Array:
        marks = np.zeros(n, np.uint8)
        marks[used] = 1
        stream, stride = tree << 40, n // 4 + 1
        if by_level < 1:
            _draw(marks, by_level, seed, stream + node.depth * stride)
        if by_node < 1:
            _draw(marks, by_node, seed, stream + (1 << 39) + node.node * stride)
        if groups is not None:
            fits = groups[[not (node.path & ~group).any() for group in groups]]
            union = np.bitwise_or.reduce(fits, axis=0) if fits.size else np.zeros_like(node.path)
            marks[(union[np.arange(n) // 32] >> (np.arange(n) % 32).astype(np.uint32)) & 1 == 0] = 0
        return marks

    def search(node: _Leaf) -> bool:
        sums = node.sums
        if node.depth >= max_depth or sums[2] < 2 * min_samples or used.size == 0:
            return False
        if _h(sums, reals) < 2 * min_weight:
            return False
        gains = np.zeros(used.size)
        lefts, splits = np.zeros((used.size, 5), np.int64), np.zeros((used.size, 2), np.int64)
        sets = np.zeros((used.size, categories.shape[1]), np.uint32)
        marks = allowed_in(node)
        parallel_for(
            used.size,
            3.0 * node.rows.size + 1000,
            lambda start, stop: _search(
                start,
                stop,
                gains,
                lefts,
                splits,
                sets,
                codes,
                used,
                marks,
                n_bins,
                categorical,
                signs,
                node.rows,
                g,
                h,
                g_low,
                h_low,
                sums,
                ints,
                reals,
                node.lower,
                node.upper,
            ),
        )
        parent = _node_score(_g(sums, reals), _h(sums, reals), reals, by_value, node.lower, node.upper)
        best, bar = 0, 0.0
        for j in range(used.size):
            if gains[j] > bar:
                best, bar = j, gains[j] + _tie(gains[j] + parent, parent)
        node.gain, node.feature, node.left, node.split = (
            gains[best],
            int(used[best]),
            lefts[best],
            splits[best],
        )
        node.words = sets[best : best + 1]
        return bool(gains[best] > 0)

    root = add(
        0,
        at,
        np.array([g[at].sum(), h[at].sum(), at.size, g_low[at].sum(), h_low[at].sum()]),
        -math.inf,
        math.inf,
        np.zeros(-(-n // 32), np.uint32),
    )
    leaves = [root]
    waiting = [root] if max_leaves > 1 and search(root) else []
    while len(leaves) < max_leaves and waiting:
        node = min(waiting, key=lambda x: (0.0 if by_depth else -rounded(x.gain), x.node))
        waiting.remove(node)
        leaves.remove(node)
        i, f = node.node, node.feature
        parted = np.empty_like(node.rows)
        _part(parted, codes, f, node.split, node.words, node.rows, missing)
        feature[i], code[i], missing_left[i], gain[i] = f, node.split[0], node.split[1], node.gain
        if node.split[0] < 0:
            categories[i] = node.words[0]
        path = node.path.copy()
        path[f // 32] |= np.uint32(1 << f % 32)
        sums = (node.left, node.sums - node.left)
        bounds = [[node.lower, node.upper], [node.lower, node.upper]]
        if signs[f]:
            middle = sum(weight_of(s, node.lower, node.upper) for s in sums) / 2
            bounds[0][int(signs[f] > 0)] = bounds[1][int(signs[f] < 0)] = middle
        cut = int(node.left[2])
        children = [
            add(node.depth + 1, part, s, b[0], b[1], path)
            for part, s, b in zip((parted[:cut], parted[cut:]), sums, bounds, strict=True)
        ]
        left[i], right[i] = children[0].node, children[1].node
        leaves += children
        if len(leaves) < max_leaves:
            waiting += [child for child in children if search(child)]
    for node in leaves:
        leaf[node.rows] = node.node
    return nodes
