"""Decision stumps and AdaBoost's weights: a feature is a task, its rows one loop.

Class sums of the left side grow row by row (or code by code); where the value changes, a score says how good
the split there is. Weights come with their class as the sign when there are two classes.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from ._checks import floats, optional_read, read, require, strided, write
from ._compile import (
    AnyIn2,
    Array,
    CodesIn2,
    Float64In1,
    Float64Out1,
    Float64Out2,
    Index1,
    IndexOut1,
    Int,
    Int32In1,
    Int32In2,
    Int32Out1,
    Loop,
    Operand,
    Scalar,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_TIE = 1e-12  # of all weight: scores this close count as equal
_LEAST = 2.0**-52
_MOST_STEP = 700.0  # of an exponent
_ROW = 0x7FFFFFFF
_GINI, _ENTROPY = 0, 1

Order = Annotated[Array, Operand(2, writable=True, element="int32")]
Columns = Annotated[Array, Operand(2, writable=True)]
Floats1 = Annotated[Array, Operand(1, element="float32")]
FloatsOut1 = Annotated[Array, Operand(1, writable=True, element="float32")]
AnyIn1 = Annotated[Array, Operand(1, strided=True)]


@Loop
def _presort(start: Int, stop: Int, order: Order, columns: Columns, missing: IndexOut1, x: AnyIn2) -> None:
    rows = x.shape[0]
    present = np.empty(rows, np.int32)
    for f in range(start, stop):
        n = 0
        for i in range(rows):
            columns[f, i] = x[i, f]
            if x[i, f] == x[i, f]:
                present[n] = i
                n += 1
        missing[f] = rows - n
        values = np.empty(n, x.dtype)
        for i in range(n):
            values[i] = columns[f, present[i]]
        sorted_places = np.argsort(values, kind="mergesort")
        for i in range(n):
            order[f, i] = present[sorted_places[i]]
        at = n
        for i in range(rows):
            if columns[f, i] != columns[f, i]:
                order[f, at] = i
                at += 1
        for i in range(n):
            is_end = i + 1 < n and values[sorted_places[i]] != values[sorted_places[i + 1]]
            if is_end or (i + 1 == n and n < rows):
                order[f, i] |= np.int32(-2147483648)


@kernel
def presort(order: Array, columns: Array, missing: Array, x: Array) -> None:
    """Rows by rising value of each feature, NaN last; a set sign bit: a larger value follows."""
    require(x.ndim == 2, "x must be [rows, features]")
    rows, features = x.shape
    order = write("order", order, np.int32, features, rows)
    columns = write("columns", columns, floats(x), features, rows)
    missing = write("missing", missing, np.int64, features)
    cost = 100.0 * (x.shape[0] + 1)
    parallel_for(x.shape[1], cost, lambda start, stop: _presort(start, stop, order, columns, missing, x))


@inline
def _x_log_x(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0


@inline
def _score(left: Array, missing: Array, total: Array, with_missing: bool, criterion: int) -> float:
    """How good the split is; -inf where a side is empty."""
    wl = wr = gl = gr = 0.0
    for c in range(total.shape[0]):
        at_left = left[c] + missing[c] if with_missing else left[c]
        at_right = total[c] - at_left
        wl += at_left
        wr += at_right
        if criterion == _GINI:
            gl += at_left * at_left
            gr += at_right * at_right
        elif criterion == _ENTROPY:
            gl += _x_log_x(at_left)
            gr += _x_log_x(at_right)
        else:
            gl = max(gl, at_left)
            gr = max(gr, at_right)
    if not (wl > 0 and wr > 0):
        return -math.inf
    if criterion == _GINI:
        return gl / wl + gr / wr
    if criterion == _ENTROPY:
        return gl - _x_log_x(wl) + (gr - _x_log_x(wr))
    return gl + gr


@inline
def _take(
    found: Array, bests: Array, left: Array, missing: Array, total: Array, at: int, criterion: int
) -> None:
    """Compare the split at `at`, with missing rows on the right and, if there are any, on the left."""
    weight = total.sum()
    sides = 2 if missing.sum() > 0 else 1
    for side in range(sides):
        score = _score(left, missing, total, side == 1, criterion)
        if score > found[2 * side] + _TIE * weight:
            found[2 * side] = score
            found[2 * side + 1] = at
            for c in range(total.shape[0]):
                bests[side, c] = left[c] + missing[c] if side == 1 else left[c]


@inline
def _finish(out: Array, found: Array, bests: Array, total: Array) -> None:
    """(score, position, missing_left, L) of the feature."""
    weight = total.sum()
    side = 1 if found[3] >= 0 and (found[1] < 0 or found[2] > found[0] + _TIE * weight) else 0
    out[0] = found[2 * side]
    out[1] = found[2 * side + 1]
    out[2] = side
    out[3:] = bests[side]


@inline
def _class_of(weight: float, row: int, target: Array) -> int:
    if target.shape[0] == 0:
        return 1 if weight > 0 else 0
    return target[row]


@inline
def _clear(found: Array, bests: Array, left: Array, missing: Array) -> None:
    found[0] = found[2] = -math.inf
    found[1] = found[3] = -1
    bests[:] = 0.0
    left[:] = 0.0
    missing[:] = 0.0


@Loop
def _class_sums(total: Float64Out1, weights: Floats1, target: Int32In1) -> None:
    for i in range(weights.shape[0]):
        total[_class_of(weights[i], i, target)] += abs(weights[i])


@Loop
def _search(
    start: Int,
    stop: Int,
    out: Float64Out2,
    order: Int32In2,
    missing_rows: Index1,
    weights: Floats1,
    target: Int32In1,
    total: Float64In1,
    criterion: Int,
) -> None:
    classes = total.shape[0]
    found, bests = np.empty(4), np.empty((2, classes))
    left, missing = np.empty(classes), np.empty(classes)
    rows = order.shape[1]
    for f in range(start, stop):
        _clear(found, bests, left, missing)
        n = rows - missing_rows[f]
        for i in range(n, rows):
            row = order[f, i] & _ROW
            missing[_class_of(weights[row], row, target)] += abs(weights[row])
        for i in range(n):
            row = order[f, i] & _ROW
            left[_class_of(weights[row], row, target)] += abs(weights[row])
            if order[f, i] < 0:
                _take(found, bests, left, missing, total, i, criterion)
        _finish(out[f], found, bests, total)


@Loop
def _search_binned(
    start: Int,
    stop: Int,
    out: Float64Out2,
    codes: CodesIn2,
    bins: Int32In1,
    missing_code: Int,
    weights: Floats1,
    target: Int32In1,
    total: Float64In1,
    criterion: Int,
) -> None:
    classes = total.shape[0]
    found, bests = np.empty(4), np.empty((2, classes))
    left, missing = np.empty(classes), np.empty(classes)
    for f in range(start, stop):
        _clear(found, bests, left, missing)
        sums = np.zeros((max(bins[f], missing_code + 1), classes))
        for i in range(codes.shape[1]):
            sums[codes[f, i], _class_of(weights[i], i, target)] += abs(weights[i])
        missing[:] = sums[missing_code]
        for b in range(bins[f]):
            left += sums[b]
            _take(found, bests, left, missing, total, b, criterion)
        _finish(out[f], found, bests, total)


def _choose(place: Array, sums: Array, out: Array, total: Array) -> None:
    """Take the best feature, the lowest of those that tie."""
    best = -1
    for f in range(out.shape[0]):
        if out[f, 1] >= 0 and (best < 0 or out[f, 0] > out[best, 0] + _TIE * total.sum()):
            best = f
    place[:] = (-1, -1, 0) if best < 0 else (best, out[best, 1], out[best, 2])
    halves = sums.reshape(2, total.shape[0])
    halves[0] = 0.0 if best < 0 else out[best, 3:]
    halves[1] = total - halves[0]


def _check_search(
    place: Array, sums: Array, weights: Array, target: Array | None, rows: int, classes: int, criterion: int
) -> tuple[Array, Array, Array, Array]:
    """What both searches are given, in the shapes of the loops."""
    require(2 <= classes < 1 << 24, "classes must be at least 2")
    require(classes == 2 or target is not None, "target must be int32 [rows]")
    require(0 <= criterion <= 2, "criterion is 0 (gini), 1 (entropy) or 2 (error)")
    place = write("place", place, np.int64, 3)
    sums = write("sums", sums, np.float64, 2, classes)
    weights = read("weights", weights, np.float32, rows)
    y = optional_read("target", None if classes == 2 else target, np.int32, rows)
    require(classes == 2 or bool(((y >= 0) & (y < classes)).all()), "target must hold classes")
    return place, sums, weights, y


@kernel
def stump_search(
    place: Array,
    sums: Array,
    order: Array,
    missing: Array,
    weights: Array,
    target: Array | None,
    classes: int,
    criterion: int,
) -> None:
    """Best split over presorted rows: (feature, position, missing_left), and class sums of both sides."""
    require(order.ndim == 2, "order must be int32 [features, rows]")
    features, rows = order.shape
    place, sums, weights, y = _check_search(place, sums, weights, target, rows, classes, criterion)
    order = read("order", order, np.int32, features, rows)
    require(bool(((order & _ROW) < rows).all()), "order must hold rows")
    missing = read("missing", missing, np.int64, features)
    require(bool(((missing >= 0) & (missing <= rows)).all()), "missing must be at most rows")
    total = np.zeros(classes)
    _class_sums(total, weights, y)
    out = np.empty((features, 3 + classes))
    parallel_for(
        features,
        (4.0 + 2.0 * classes) * (rows + 1),
        lambda start, stop: _search(start, stop, out, order, missing, weights, y, total, criterion),
    )
    _choose(place, sums, out, total)


@kernel
def stump_search_binned(
    place: Array,
    sums: Array,
    codes: Array,
    bins: Array,
    missing_code: int,
    weights: Array,
    target: Array | None,
    classes: int,
    criterion: int,
) -> None:
    """Best split over codes: (feature, last code on the left, missing_left), and class sums."""
    require(codes.ndim == 2, "codes must be [features, rows]")
    features, rows = codes.shape
    place, sums, weights, y = _check_search(place, sums, weights, target, rows, classes, criterion)
    require(codes.dtype in (np.uint8, np.uint16), "codes must be uint8 or uint16")
    limit = 256 if codes.dtype == np.uint8 else 65536
    require(0 <= missing_code < limit, "missing_code must be a code")
    bins = read("bins", bins, np.int32, features)
    require(bool(((bins >= 0) & (bins <= limit)).all()), "bins must lie within the codes")
    codes = read("codes", codes, codes.dtype, features, rows)
    total = np.zeros(classes)
    _class_sums(total, weights, y)
    out = np.empty((features, 3 + classes))
    parallel_for(
        features,
        4.0 * (rows + 500),
        lambda start, stop: _search_binned(
            start, stop, out, codes, bins, missing_code, weights, y, total, criterion
        ),
    )
    _choose(place, sums, out, total)


@Loop
def _stump_says(
    predicted: Int32Out1,
    lefts: IndexOut1,
    x: AnyIn1,
    threshold: Scalar,
    missing_left: Int,
    left: Int,
    right: Int,
) -> None:
    for i in range(x.shape[0]):
        if x[i] <= threshold or (x[i] != x[i] and missing_left):
            predicted[i] = left
            lefts[0] += 1
        else:
            predicted[i] = right


@Loop
def _errors(
    sums: Float64Out1, weights: Float64In1, target: Int32In1, predicted: Int32In1, source: Int
) -> None:
    """Sums of weights: source rows right and wrong, then other rows right and wrong."""
    for i in range(weights.shape[0]):
        sums[(0 if i < source else 2) + (predicted[i] != target[i])] += weights[i]


@Loop
def _new_weights(
    weights: Float64Out1,
    signed_weights: FloatsOut1,
    target: Int32In1,
    predicted: Int32In1,
    source: Int,
    source_wrong: Scalar,
    wrong: Scalar,
    right: Scalar,
    is_signed: Int,
) -> None:
    for i in range(weights.shape[0]):
        factor = right
        if predicted[i] != target[i]:
            factor = source_wrong if i < source else wrong
        weights[i] = max(weights[i] * factor, _LEAST)
        signed_weights[i] = -weights[i] if is_signed and target[i] == 0 else weights[i]


@kernel
def adaboost_update(
    stats: Array,
    weights: Array,
    signed_weights: Array,
    target: Array,
    x: Array | None,
    predicted: Array | None,
    threshold: float,
    missing_left: bool,
    left: int,
    right: int,
    classes: int,
    learning_rate: float,
    source: int,
    source_factor: float,
    error_floor: float,
) -> None:
    """Error, estimator weight, sum of the new weights, rows on the left; and the new weights."""
    rows = weights.size
    stats = write("stats", stats, np.float64, 4)
    signed_weights = write("signed_weights", signed_weights, np.float32, rows)
    target = read("target", target, np.int32, rows)
    says = x if x is not None else predicted
    require(
        says is not None and says.size == rows and (x is None or x.ndim == 1),
        "x or predicted must have an element for each row",
    )
    require(classes >= 2, "classes must be at least 2")
    weights = write("weights", weights, np.float64, rows)
    if x is not None:
        strided("x", x, floats(x))
    if predicted is not None:
        predicted = read("predicted", predicted, np.int32, predicted.size)
    lefts = np.zeros(1, np.int64)
    if x is not None:
        predicted = np.empty(target.shape, np.int32)
        _stump_says(predicted, lefts, x, threshold, missing_left, left, right)
    sums = np.zeros(4)
    _errors(sums, weights, target, predicted, source)
    all_rows = sums[2] + sums[3]
    error = sums[3] / all_rows if all_rows > 0 else math.nan
    stats[:] = (error, 0.0, math.nan, lefts[0])
    chance = 1 - 1 / classes
    bounded = min(max(error, error_floor), chance - error_floor) if error_floor > 0 else error
    if not bounded > 0:
        stats[1] = 1.0 if error <= 0 else error
        return
    if bounded >= chance:
        return
    step = learning_rate * (math.log((1 - bounded) / bounded) + math.log(classes - 1))
    # Beyond exp(700) all weights are divided by it first: then it is the others that vanish.
    huge = step > _MOST_STEP and sums[3] > 0
    factor = 1.0 if huge else math.exp(min(step, _MOST_STEP))
    rest = math.exp(-step) if huge else 1.0
    normalizer = (sums[0] + sums[1] * source_factor + sums[2]) * rest + sums[3] * factor
    stats[1:3] = step, normalizer * (math.inf if huge else 1.0)
    _new_weights(
        weights,
        signed_weights,
        target,
        predicted,
        source,
        source_factor * rest / normalizer,
        factor / normalizer,
        rest / normalizer,
        classes == 2,
    )
