"""Boxes of detectors: areas, conversions, ratios of what they share, and suppression, with torchvision's
names.

A box is left, top, right, bottom unless said otherwise: x grows to the right, y downwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import engines, ops
from einkorn._device import device_of, move
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import number
from einkorn.ops._places import index_array
from einkorn.ops._road import contiguous, needs, result, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once

__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "nms",
    "soft_nms",
]

_PLAIN, _GENERALIZED, _DISTANCE = range(3)
_FORMS = ("xyxy", "xywh", "cxcywh")


def _check(op: str, name: str, a: Any) -> None:
    if a.ndim < 1 or a.shape[-1] != 4:
        raise ShapeError(f"{op}: {name} has shape {tuple(a.shape)}, expected [..., 4]")


def _sides(boxes: Any) -> list[Any]:
    values = boxes if isinstance(boxes, Tensor) else unwrap(boxes, "boxes", "boxes")
    return [values[..., i] for i in range(4)]


@rounded_once
def box_area(boxes: Any) -> Any:
    """Areas of boxes.

    Parameters
    ----------
    boxes : array or Tensor [..., 4]

    Returns
    -------
    array or Tensor [...]
    """
    _check("box_area", "boxes", unwrap(boxes, "box_area", "boxes"))
    left, top, right, bottom = _sides(boxes)
    return ops.multiply(ops.subtract(right, left), ops.subtract(bottom, top))


@rounded_once
def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """The same boxes in another form.

    Parameters
    ----------
    boxes : array or Tensor [..., 4]
    in_fmt, out_fmt : "xyxy", "xywh" or "cxcywh"
        Corners; the left upper corner, width and height; the middle, width and height.

    Returns
    -------
    array or Tensor [..., 4]
    """
    op = "box_convert"
    _check(op, "boxes", unwrap(boxes, op, "boxes"))
    for name, form in (("in_fmt", in_fmt), ("out_fmt", out_fmt)):
        if form not in _FORMS:
            raise ArgumentError(f"{op}: {name} is {form!r}, expected one of {', '.join(map(repr, _FORMS))}")
    if in_fmt == out_fmt:
        return ops.multiply(boxes, 1.0)
    first, second, third, fourth = _sides(boxes)
    if in_fmt == "xyxy":
        wide, high = ops.subtract(third, first), ops.subtract(fourth, second)
        left, top = first, second
    else:
        wide, high, left, top = third, fourth, first, second
        if in_fmt == "cxcywh":
            left = ops.subtract(first, ops.multiply(wide, 0.5))
            top = ops.subtract(second, ops.multiply(high, 0.5))
    if out_fmt == "xyxy":
        parts = [left, top, ops.add(left, wide), ops.add(top, high)]
    elif out_fmt == "xywh":
        parts = [left, top, wide, high]
    else:
        parts = [ops.add(left, ops.multiply(wide, 0.5)), ops.add(top, ops.multiply(high, 0.5)), wide, high]
    return ops.stack(parts, -1)


def _pairs(op: str, boxes1: Any, boxes2: Any, ratio: int) -> Any:
    a, b = unwrap(boxes1, op, "boxes1"), unwrap(boxes2, op, "boxes2")
    same_dtype(op, boxes1=a, boxes2=b)
    for name, each in (("boxes1", a), ("boxes2", b)):
        if each.ndim != 2 or each.shape[1] != 4:
            raise ShapeError(f"{op}: {name} has shape {tuple(each.shape)}, expected [n, 4]")
    if needs(boxes1) or needs(boxes2):
        return _formula(boxes1, boxes2, ratio)
    k = engines.of(a)
    out = k.empty((a.shape[0], b.shape[0]), a.dtype)
    k.box_iou(out, contiguous(a), contiguous(b), ratio)
    return result(out, (boxes1, boxes2), lambda g: (None, None), ())


def _formula(boxes1: Any, boxes2: Any, ratio: int) -> Any:
    """The kernel's formula, of operations that record."""
    a, b = ops.reshape(boxes1, (-1, 1, 4)), ops.reshape(boxes2, (1, -1, 4))
    (left, top, right, bottom), (left2, top2, right2, bottom2) = _sides(a), _sides(b)

    def span(low: Any, high: Any) -> Any:
        return ops.subtract(high, low)

    wide = ops.relu(span(ops.maximum(left, left2), ops.minimum(right, right2)))
    high = ops.relu(span(ops.maximum(top, top2), ops.minimum(bottom, bottom2)))
    shared = ops.multiply(wide, high)
    either = ops.subtract(ops.add(box_area(a), box_area(b)), shared)
    plain = ops.divide(shared, either)
    if ratio == _PLAIN:
        return plain
    wide = span(ops.minimum(left, left2), ops.maximum(right, right2))
    high = span(ops.minimum(top, top2), ops.maximum(bottom, bottom2))
    if ratio == _GENERALIZED:
        around = ops.multiply(wide, high)
        return ops.subtract(plain, ops.divide(ops.subtract(around, either), around))
    dx = ops.multiply(ops.subtract(ops.add(left2, right2), ops.add(left, right)), 0.5)
    dy = ops.multiply(ops.subtract(ops.add(top2, bottom2), ops.add(top, bottom)), 0.5)
    apart = ops.add(ops.square(dx), ops.square(dy))
    return ops.subtract(plain, ops.divide(apart, ops.add(ops.add(ops.square(wide), ops.square(high)), 1e-7)))


@rounded_once
def box_iou(boxes1: Any, boxes2: Any) -> Any:
    """What boxes share over what they cover together, for all pairs.

    Parameters
    ----------
    boxes1 : array or Tensor [n, 4]
    boxes2 : array or Tensor [m, 4]

    Returns
    -------
    array or Tensor [n, m]
        NaN for two boxes without area.
    """
    return _pairs("box_iou", boxes1, boxes2, _PLAIN)


@rounded_once
def generalized_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """:func:`box_iou` less the share of the rectangle around both that neither covers (Rezatofighi et al.
    2019).

    Arguments and result as :func:`box_iou`; from -1 to 1.
    """
    return _pairs("generalized_box_iou", boxes1, boxes2, _GENERALIZED)


@rounded_once
def distance_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """:func:`box_iou` less the squared distance of the middles over the squared diagonal of the rectangle
    around both, plus 1e-7 (Zheng et al. 2020).

    Arguments and result as :func:`box_iou`; from -1 to 1.
    """
    return _pairs("distance_box_iou", boxes1, boxes2, _DISTANCE)


@rounded_once
def complete_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """:func:`distance_box_iou` less a term for proportions that differ (Zheng et al. 2020).

    ``a v`` with ``v = 4 / pi^2 (atan(w / h) - atan(w' / h'))^2`` and ``a = v / (1 - iou + v + 1e-7)``, a
    constant to gradients. Arguments and result as :func:`box_iou`.
    """
    op = "complete_box_iou"
    near = _pairs(op, boxes1, boxes2, _DISTANCE)
    angles = []
    for boxes, shape in ((boxes1, (-1, 1)), (boxes2, (1, -1))):
        left, top, right, bottom = _sides(boxes)
        angle = ops.atan(ops.divide(ops.subtract(right, left), ops.subtract(bottom, top)))
        angles.append(ops.reshape(angle, shape))
    v = ops.multiply(ops.square(ops.subtract(*angles)), 4 / math.pi**2)
    iou, plain_v = (unwrap(x, op, "x") for x in (box_iou(_plain(boxes1), _plain(boxes2)), v))
    weight = plain_v / (1 - iou + plain_v + 1e-7)
    return ops.subtract(near, ops.multiply(v, weight.astype(plain_v.dtype)))


def _plain(x: Any) -> Any:
    return x.detach() if hasattr(x, "detach") else x


def _ranked(op: str, boxes: Any, scores: Any) -> tuple[Any, Any]:
    a, s = unwrap(boxes, op, "boxes"), unwrap(scores, op, "scores")
    if a.ndim != 2 or a.shape[1] != 4:
        raise ShapeError(f"{op}: boxes has shape {tuple(a.shape)}, expected [n, 4]")
    if s.shape != a.shape[:1]:
        raise ShapeError(f"{op}: scores has shape {tuple(s.shape)}, expected {tuple(a.shape[:1])}")
    return a, s


def _threshold(op: str, value: Any) -> float:
    value = number(op, "iou_threshold", value)
    if not 0 <= value <= 1:
        raise ArgumentError(f"{op}: iou_threshold is {value!r}, expected a number from 0 to 1")
    return value


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Non-maximum suppression: the boxes that no more certain one covers.

    From the most certain box on, one is kept unless its :func:`box_iou` with a kept one is above the
    threshold.

    Parameters
    ----------
    boxes : array or Tensor [n, 4]
    scores : array or Tensor [n]
    iou_threshold : float
        From 0 to 1.

    Returns
    -------
    int64 array [kept]
        Their numbers, the most certain first, among equals the earlier.
    """
    a, s = _ranked("nms", boxes, scores)
    order: Any = ops.argsort(s, descending=True, stable=True)
    starts = np.array([0, len(order)], np.int64)
    return order[_kept(a[order], starts, _threshold("nms", iou_threshold)) != 0]


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """:func:`nms` within classes: boxes of different ones do not touch each other.

    Parameters
    ----------
    boxes : array or Tensor [n, 4]
    scores : array or Tensor [n]
    idxs : int array [n]
        The class of each box, or its picture.
    iou_threshold : float

    Returns
    -------
    int64 array [kept]
        Their numbers, the most certain first.
    """
    op = "batched_nms"
    a, s = _ranked(op, boxes, scores)
    classes = move(index_array(op, "idxs", idxs), "cpu")
    if classes.shape != s.shape:
        raise ShapeError(f"{op}: idxs has shape {classes.shape}, expected {tuple(s.shape)}")
    order = move(ops.argsort(s, descending=True, stable=True), "cpu")
    grouped, starts = _by_class(order, classes)
    place = device_of(a)
    kept = np.zeros(len(order), bool)
    stands = _kept(a[move(grouped, place)], starts, _threshold(op, iou_threshold))
    kept[grouped] = move(stands, "cpu") != 0
    return move(order[kept[order]], place)


def _kept(boxes: Any, starts: np.ndarray, threshold: float) -> Any:
    k = engines.of(boxes)
    keep = k.empty((boxes.shape[0],), "int64")
    k.box_nms(keep, contiguous(boxes), move(starts, device_of(boxes)), threshold)
    return keep


@rounded_once
def soft_nms(
    boxes: Any,
    scores: Any,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
    *,
    method: str = "gaussian",
    idxs: Any = None,
) -> tuple[Any, Any]:
    """Suppression that lowers scores instead of dropping boxes (Bodla et al. 2017).

    Parameters
    ----------
    boxes : array or Tensor [n, 4]
    scores : array or Tensor [n]
    iou_threshold : float, default 0.3
        For ``"linear"``: above it a score is multiplied by ``1 - iou``.
    sigma : float, default 0.5
        For ``"gaussian"``: a score is multiplied by ``exp(-iou^2 / sigma)``.
    score_threshold : float, default 0.001
        Boxes whose score falls below it are dropped.
    method : "gaussian" or "linear", keyword-only
    idxs : int array [n], keyword-only, optional
        The class of each box, or its picture: boxes of different ones do not touch each other.

    Returns
    -------
    kept : int64 array
        The numbers of the boxes, in the order they were taken in: from the highest score on.
    scores : array
        What became of their scores.
    """
    op = "soft_nms"
    a, s = _ranked(op, boxes, scores)
    low, sigma = number(op, "score_threshold", score_threshold), number(op, "sigma", sigma)
    limit = _threshold(op, iou_threshold)
    if method not in ("gaussian", "linear") or not sigma > 0:
        raise ArgumentError(
            f"{op}: method is {method!r} and sigma {sigma!r}, "
            "expected 'gaussian' or 'linear' and a positive number"
        )
    classes = np.zeros(s.shape, np.int64) if idxs is None else move(index_array(op, "idxs", idxs), "cpu")
    if classes.shape != s.shape:
        raise ShapeError(f"{op}: idxs has shape {classes.shape}, expected {tuple(s.shape)}")
    grouped, starts = _by_class(np.arange(len(classes)), classes)
    k, dtype, place = engines.of(a), np.result_type(a.dtype, s.dtype), device_of(a)
    order, lowered = k.empty(s.shape, "int64"), k.empty(s.shape, dtype)
    given = (a, s) if idxs is None else (a[move(grouped, place)], s[move(grouped, place)])
    ours = (contiguous(x.astype(dtype, copy=False)) for x in given)
    k.box_soft_nms(order, lowered, *ours, move(starts, place), limit, sigma, low, method == "gaussian")
    order, lowered = move(order, "cpu"), move(lowered, "cpu")
    taken = order >= 0
    kept, values = grouped[order[taken]], lowered[taken].astype(s.dtype, copy=False)
    if idxs is not None:
        best = np.argsort(-values, kind="stable")
        kept, values = kept[best], values[best]
    return move(kept, place), move(values, place)


def _by_class(order: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places in ``order`` class by class, each in that order; where each class begins, and the end."""
    grouped = order[np.argsort(classes[order], kind="stable")]
    changes = np.flatnonzero(np.diff(classes[grouped])) + 1
    return grouped, np.array([0, *changes, len(order)], np.int64)
