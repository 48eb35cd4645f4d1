"""Cases of boxes: ratios of all pairs, conversions, suppression."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._case import Case, Op, given

Array = np.ndarray


def _area(boxes: Array) -> Array:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _spans(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Plain ratios, what is covered, and sides of the rectangles around [n, m, 2]."""
    a, b = a[:, None], b[None]
    inner = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(inner, 0).prod(-1)
    either = _area(a) + _area(b) - shared
    around = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    return shared / either, either, around


def _generalized(a: Array, b: Array) -> Array:
    plain, either, around = _spans(a, b)
    return plain - (around.prod(-1) - either) / around.prod(-1)


def _distance(a: Array, b: Array) -> Array:
    plain, _, around = _spans(a, b)
    apart = ((a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2) ** 2
    return plain - apart.sum(-1) / ((around**2).sum(-1) + np.array(1e-7, a.dtype))


def _complete(a: Array, b: Array) -> Array:
    angles = [np.arctan((x[:, 2] - x[:, 0]) / (x[:, 3] - x[:, 1])) for x in (a, b)]
    v = (np.array(4 / np.pi**2, a.dtype) * (angles[0][:, None] - angles[1][None]) ** 2).astype(a.dtype)
    return _distance(a, b) - v * v / (1 - _spans(a, b)[0] + v + np.array(1e-7, a.dtype))


def _convert(boxes: Array, in_fmt: str, out_fmt: str) -> Array:
    low, size = boxes[..., :2], boxes[..., 2:]
    if in_fmt == "xyxy":
        size = size - low
    elif in_fmt == "cxcywh":
        low = low - size / 2
    second = {"xyxy": low + size, "xywh": size, "cxcywh": size}[out_fmt]
    return np.concatenate([low + size / 2 if out_fmt == "cxcywh" else low, second], -1)


def _nms(boxes: Array, scores: Array, iou_threshold: float, idxs: Array | None = None) -> Array:
    order = np.argsort(-scores, kind="stable")
    ratios = _spans(boxes, boxes)[0]
    kept: list[int] = []
    for i in order:
        rivals = [j for j in kept if idxs is None or idxs[i] == idxs[j]]
        if not (ratios[i, rivals] > iou_threshold).any():
            kept.append(int(i))
    return np.array(kept, np.int64)


def _soft(boxes: Array, scores: Array, method: str = "gaussian") -> tuple[Array, Array]:
    left, order, values = scores.copy(), [], []
    while (left > 0.001).any():
        best = int(left.argmax())
        order.append(best)
        values.append(left[best])
        iou = _spans(boxes[best : best + 1], boxes)[0][0]
        gaussian = np.exp(-(iou**2) * np.array(2, left.dtype))
        left *= gaussian if method == "gaussian" else np.where(iou > 0.3, 1 - iou, 1).astype(left.dtype)
        left[best] = 0
    return np.array(order, np.int64), np.array(values, left.dtype)


box_area = Op("box_area", _area)
box_convert = Op("box_convert", _convert, unit=1.0)
box_iou = Op(
    "box_iou", lambda a, b: _spans(a, b)[0], flops=lambda shapes, out, options: 16.0 * out[0] * out[1]
)
generalized_box_iou = Op("generalized_box_iou", _generalized, unit=1.0)
distance_box_iou = Op("distance_box_iou", _distance, unit=1.0)
complete_box_iou = Op("complete_box_iou", _complete, unit=1.0)
nms = Op("nms", _nms)
soft_nms = Op("soft_nms", _soft)


def _with_classes(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    boxes, scores = arrays
    return einkorn.ops.batched_nms(boxes, scores, np.arange(len(scores)) % 2, **options)


batched_nms = Op(
    "batched_nms",
    lambda boxes, scores, iou_threshold: _nms(boxes, scores, iou_threshold, np.arange(len(scores)) % 2),
    call=_with_classes,
)

_FEW = given(0, 0, 4, 3, 1, 1, 6, 4, 2.5, 0.75, 3, 5, shape=(3, 4))
_OTHERS = given(1.25, 0.5, 5, 2.5, 8, 8, 9, 10, shape=(2, 4))


def _crowd(count: int) -> tuple[Any, Any]:
    """Boxes in heaps, and scores that all differ."""
    rng = np.random.default_rng(5)
    low = rng.integers(0, 12, (count, 2)) + rng.integers(0, 3, (count, 2)) / 8
    boxes = np.concatenate([low, low + rng.integers(4, 9, (count, 2))], 1)
    scores = rng.permutation(count) / count + 1 / 64
    return given(*boxes.ravel().tolist(), shape=(count, 4)), given(*scores.tolist())


def _cases() -> list[Case]:
    ratios = (box_iou, generalized_box_iou, distance_box_iou)
    crowd = _crowd(70)
    none = given(shape=(0, 4))
    return [
        *(op(_FEW, _OTHERS).grad() for op in ratios),
        complete_box_iou(_FEW, _OTHERS),
        box_iou(crowd[0], _FEW).called("many"),
        generalized_box_iou(_FEW, crowd[0]).called("many"),
        distance_box_iou(_FEW, crowd[0]).called("many"),
        box_iou(none, _FEW),
        box_area(_FEW).grad(),
        box_convert(_FEW, in_fmt="xyxy", out_fmt="cxcywh").grad(),
        box_convert(_FEW, in_fmt="cxcywh", out_fmt="xyxy").grad(),
        box_convert(_FEW, in_fmt="xywh", out_fmt="xyxy"),
        nms(*crowd, iou_threshold=0.4),
        nms(*crowd, iou_threshold=0.0),
        nms(none, given(shape=(0,)), iou_threshold=0.5),
        batched_nms(*crowd, iou_threshold=0.4),
        soft_nms(*_crowd(9)),
        soft_nms(*_crowd(35), method="linear"),
        soft_nms(none, given(shape=(0,))),
    ]


CASES: list[Case] = _cases()
