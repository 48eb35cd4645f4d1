"""Mean average precision of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from einkorn.data.arrays import as_numbers
from einkorn.errors import ArgumentError, ShapeError
from einkorn.metrics.base import Metric

__all__ = ["MeanAveragePrecision", "box_iou"]


def _corners(op: str, name: str, value: Any) -> np.ndarray:
    """Boxes in float64 [n, 4]."""
    boxes = as_numbers(value, f"{op}: {name}").astype(np.float64)
    if boxes.size == 0:
        return boxes.reshape(-1, 4)
    if boxes.shape[-1:] != (4,):
        raise ShapeError(f"{op}: {name} has shape {boxes.shape}, expected [n, 4]")
    return boxes.reshape(-1, 4)


def box_iou(first: Any, second: Any) -> np.ndarray:
    """What boxes share over what they cover together.

    Parameters
    ----------
    first : array [n, 4]
        Left, top, right, bottom.
    second : array [m, 4]

    Returns
    -------
    array [n, m]
    """
    a, b = (_corners("box_iou", name, value) for name, value in (("first", first), ("second", second)))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1) for boxes in (a, b)]
    either = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


class MeanAveragePrecision(Metric):
    """The mean over classes, and over thresholds, of the area under precision over recall of boxes.

    A prediction, from the most certain on, is a hit if it covers a box of its class and picture that no other
    has taken, by at least the threshold (intersection over union). Precision is made falling before the area
    is
    taken, as in the VOC challenge since 2010 (Everingham et al.); ten thresholds from 0.5 to 0.95 give nearly
    COCO's figure, which reads the curve at 101 places.

    ``update_state(truth, predictions)``: for each picture a dict of "boxes" [n, 4] (left, top, right,
    bottom) and "labels" [n], and for predictions "scores" [n].

    Parameters
    ----------
    iou_thresholds : sequence of float, default (0.5,)
    name : str, default "mean_average_precision"
    """

    costly = True
    kept: list[Any]

    def __init__(
        self, iou_thresholds: Sequence[float] = (0.5,), name: str = "mean_average_precision"
    ) -> None:
        self.iou_thresholds = [float(one) for one in iou_thresholds]
        if not self.iou_thresholds or not all(0 < one <= 1 for one in self.iou_thresholds):
            raise ArgumentError(
                f"MeanAveragePrecision: iou_thresholds is {iou_thresholds!r}, expected shares above "
                "0, up to 1"
            )
        super().__init__(name)

    def _begin(self) -> dict[str, Any]:
        return {"kept": []}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            raise ArgumentError("MeanAveragePrecision: sample_weight is given, expected None")
        if isinstance(y_true, Mapping):
            y_true, y_pred = [y_true], [y_pred]
        if len(y_true) != len(y_pred):
            raise ArgumentError(
                f"MeanAveragePrecision: there are {len(y_true)} pictures and predictions for {len(y_pred)}"
            )
        for truth, found in zip(y_true, y_pred, strict=True):
            self.kept.append([*_boxes(truth, ("labels",)), *_boxes(found, ("labels", "scores"))])

    def result(self) -> float:
        """The mean; NaN without any box."""
        labels = sorted({int(label) for picture in self.kept for label in picture[1]})
        if not labels:
            return float("nan")
        figures = [self._of_class(label, low) for low in self.iou_thresholds for label in labels]
        return float(np.mean(figures))

    def _of_class(self, label: int, low: float) -> float:
        scores: list[np.ndarray] = []
        hits: list[np.ndarray] = []
        wanted = 0
        for boxes, labels, found, found_labels, found_scores in self.kept:
            truth = boxes[labels == label]
            mine = found_labels == label
            order = np.argsort(-found_scores[mine], kind="stable")
            wanted += len(truth)
            scores.append(found_scores[mine][order])
            hits.append(_matched(box_iou(found[mine][order], truth), low))
        order = np.argsort(-np.concatenate(scores), kind="stable")
        right = np.cumsum(np.concatenate(hits)[order])
        precision = right / np.arange(1, len(right) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(np.append(0.0, right)) * precision).sum() / wanted)


def _matched(overlaps: np.ndarray, low: float) -> np.ndarray:
    """Which predictions, in their order, take a box of their own."""
    hits = np.zeros(len(overlaps), bool)
    if not overlaps.shape[1]:
        return hits
    taken = np.zeros(overlaps.shape[1], bool)
    for i, row in enumerate(overlaps):
        best = int(row.argmax())
        if row[best] >= low and not taken[best]:
            hits[i] = taken[best] = True
    return hits


def _boxes(picture: Any, names: tuple[str, ...]) -> list[np.ndarray]:
    try:
        boxes = np.asarray(picture["boxes"], np.float64).reshape(-1, 4)
        others = [np.asarray(picture[name]).reshape(-1) for name in names]
    except (KeyError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"MeanAveragePrecision: a picture lacks boxes [n, 4] or {' or '.join(names)}: {error!r}"
        ) from error
    if any(len(other) != len(boxes) for other in others):
        raise ShapeError(
            f"MeanAveragePrecision: a picture has {len(boxes)} boxes and {[len(o) for o in others]} of "
            f"{', '.join(names)}, expected as many"
        )
    return [boxes, *others]
