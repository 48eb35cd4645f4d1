"""Ratios of boxes and suppression of those that others cover: csrc/kernels/boxes.h."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._checks import floats, read, require, write
from ._compile import Array, In2, Index1, IndexOut1, Int, Loop, Out1, Out2, Scalar, inline
from ._kernels import kernel
from ._threads import parallel_for

_COST = 8.0  # ns per pair
_PLAIN, _GENERALIZED, _DISTANCE = range(3)


@inline
def _shared(a: Any, b: Any) -> Any:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0) * max(high, 0)


@inline
def _area(box: Any) -> Any:
    return (box[2] - box[0]) * (box[3] - box[1])


@Loop
def _ratios(start: Int, stop: Int, out: Out2, a: In2, b: In2, ratio: Int) -> None:
    for i in range(start, stop):
        for j in range(out.shape[1]):
            one, other = a[i], b[j]
            shared = _shared(one, other)
            either = _area(one) + _area(other) - shared
            value = shared / either
            wide = max(one[2], other[2]) - min(one[0], other[0])
            high = max(one[3], other[3]) - min(one[1], other[1])
            if ratio == _GENERALIZED:
                value -= (wide * high - either) / (wide * high)
            elif ratio == _DISTANCE:
                dx = (other[0] + other[2] - (one[0] + one[2])) / 2
                dy = (other[1] + other[3] - (one[1] + one[3])) / 2
                value -= (dx * dx + dy * dy) / (wide * wide + high * high + 1e-7)
            out[i, j] = value


@Loop
def _suppress(start: Int, stop: Int, keep: IndexOut1, boxes: In2, starts: Index1, threshold: Scalar) -> None:
    for group in range(start, stop):
        for i in range(starts[group], starts[group + 1]):
            keep[i] = 1
            for j in range(starts[group], i):
                if keep[j]:
                    shared = _shared(boxes[i], boxes[j])
                    if shared / (_area(boxes[i]) + _area(boxes[j]) - shared) > threshold:
                        keep[i] = 0
                        break


@Loop
def _lower(
    start: Int,
    stop: Int,
    order: IndexOut1,
    scores_out: Out1,
    left: Out1,
    boxes: In2,
    starts: Index1,
    threshold: Scalar,
    sigma: Scalar,
    least: Scalar,
    gaussian: Int,
) -> None:
    for group in range(start, stop):
        begin, end = starts[group], starts[group + 1]
        for taken in range(begin, end):
            best, most = -1, -math.inf
            for i in range(begin, end):
                if left[i] >= least and left[i] > most:
                    best, most = i, left[i]
            if best < 0:
                break
            order[taken], scores_out[taken], left[best] = best, left[best], -math.inf
            for i in range(begin, end):
                if left[i] > -math.inf:
                    shared = _shared(boxes[best], boxes[i])
                    iou = shared / (_area(boxes[best]) + _area(boxes[i]) - shared)
                    factor = (
                        math.exp(-iou * iou / sigma) if gaussian else (1 - iou if iou > threshold else 1.0)
                    )
                    if not math.isnan(factor):
                        left[i] *= factor
                    if not left[i] >= least:
                        left[i] = -math.inf


def _require_corners(op: str, name: str, boxes: Array) -> None:
    require(boxes.ndim == 2 and boxes.shape[1] == 4, f"{op}: {name} must be [n, 4]")


def _rising(op: str, starts: Array, groups: int, n: int) -> Array:
    places = read("starts", starts, np.int64, groups + 1)
    rising = places[0] == 0 and places[-1] == n and bool((np.diff(places) >= 0).all())
    require(rising, f"{op}: starts must rise from 0 to n")
    return places


@kernel
def box_iou(out: Array, a: Array, b: Array, ratio: int) -> None:
    """What boxes share over what they cover together, less what sets them apart."""
    _require_corners("box_iou", "a", a)
    _require_corners("box_iou", "b", b)
    n, m = len(a), len(b)
    require(out.size == n * m, "box_iou: out must be [n, m]")
    require(_PLAIN <= ratio <= _DISTANCE, "box_iou: ratio must be 0 to 2")
    dtype = floats(out)
    found = write("out", out, dtype, n, m)
    one, other = read("a", a, dtype, n, 4), read("b", b, dtype, m, 4)
    if found.size:
        parallel_for(n, _COST * m, lambda i, j: _ratios(i, j, found, one, other, ratio))


@kernel
def box_nms(keep: Array, boxes: Array, starts: Array, threshold: float) -> None:
    """1 for each box that no kept box before it, of its group, covers by more than the threshold."""
    _require_corners("box_nms", "boxes", boxes)
    n, groups = len(boxes), starts.size - 1
    require(
        keep.size == n and groups >= 1,
        "box_nms: keep must be [n], starts [groups + 1] with at least one group",
    )
    places = _rising("box_nms", starts, groups, n)
    dtype = floats(boxes)
    kept = write("keep", keep, np.int64, n)
    corners = read("boxes", boxes, dtype, n, 4)
    if n:
        cost = _COST * (n / groups) ** 2 / 10
        parallel_for(groups, max(cost, 1.0), lambda i, j: _suppress(i, j, kept, corners, places, threshold))


@kernel
def box_soft_nms(
    order: Array,
    scores_out: Array,
    boxes: Array,
    scores: Array,
    starts: Array,
    threshold: float,
    sigma: float,
    least: float,
    gaussian: bool,
) -> None:
    """The boxes of each group as they are taken, each lowering the scores of those that it covers."""
    op = "box_soft_nms"
    _require_corners(op, "boxes", boxes)
    n, groups = len(boxes), starts.size - 1
    require(
        order.size == n and scores_out.size == n and scores.size == n and groups >= 1,
        f"{op}: order, scores_out and scores must be [n], starts [groups + 1] with at least one group",
    )
    require(sigma > 0, f"{op}: sigma must be positive")
    places = _rising(op, starts, groups, n)
    dtype = floats(boxes)
    taken, values = write("order", order, np.int64, n), write("scores_out", scores_out, dtype, n)
    corners, left = read("boxes", boxes, dtype, n, 4), read("scores", scores, dtype, n).copy()
    taken.fill(-1)
    values.fill(0)
    if n:
        cost = max(_COST * (n / groups) ** 2, 1.0)
        numbers = threshold, sigma, least, int(gaussian)
        parallel_for(groups, cost, lambda i, j: _lower(i, j, taken, values, left, corners, places, *numbers))
