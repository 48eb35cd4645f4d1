"""How good detectors are: precision over recall and its area, as the VOC and the COCO challenge have them.

Truth and predictions are lists with a dict for each picture: "boxes" [n, 4] (left, top, right, bottom) and
"labels" [n], predictions also "scores" [n].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.metrics.detection import box_iou

__all__ = ["PrecisionRecall", "average_precision", "coco_evaluation", "precision_recall", "voc_map"]

_AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_LOWS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


class PrecisionRecall(NamedTuple):
    """Of the predictions of one class, from the most certain on.

    Attributes
    ----------
    precision, recall : float64 array [predictions]
        Among the first ones the share that is right, and of the true boxes the share that was found.
    scores : float64 array [predictions]
    wanted : int
        True boxes.
    """

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray
    wanted: int


class _Picture(NamedTuple):
    boxes: np.ndarray
    labels: np.ndarray
    aside: np.ndarray  # "difficult" of VOC: neither wanted nor wrong
    found: np.ndarray
    found_labels: np.ndarray
    scores: np.ndarray


def _pictures(op: str, truth: Sequence[Any], predictions: Sequence[Any]) -> list[_Picture]:
    for name, given in (("truth", truth), ("predictions", predictions)):
        if not isinstance(given, (list, tuple)):
            raise ArgumentError(f"{op}: {name} is {type(given).__name__}, expected a list of dicts")
    if len(truth) != len(predictions):
        raise ShapeError(f"{op}: there are {len(truth)} pictures and predictions for {len(predictions)}")
    pictures = []
    for right, told in zip(truth, predictions, strict=True):
        try:
            boxes, found = (np.asarray(one["boxes"], np.float64).reshape(-1, 4) for one in (right, told))
            labels, found_labels = (np.asarray(one["labels"]).reshape(-1) for one in (right, told))
            scores = np.asarray(told["scores"], np.float64).reshape(-1)
            aside = np.asarray(right.get("difficult", np.zeros(len(boxes))), bool).reshape(-1)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArgumentError(
                f"{op}: a picture lacks boxes [n, 4], labels, or scores of predictions: {error!r}"
            ) from error
        if not len(boxes) == len(labels) == len(aside) or not len(found) == len(found_labels) == len(scores):
            raise ShapeError(f"{op}: a picture has not a label, and a prediction not a score, for each box")
        pictures.append(_Picture(boxes, labels, aside, found, found_labels, scores))
    return pictures


def _curve(pictures: list[_Picture], label: int, low: float) -> PrecisionRecall:
    scores, hits, aside = [np.empty(0)], [np.empty(0, bool)], [np.empty(0, bool)]
    wanted = 0
    for picture in pictures:
        mine = picture.labels == label
        boxes, difficult = picture.boxes[mine], picture.aside[mine]
        told = picture.found_labels == label
        order = np.argsort(-picture.scores[told], kind="stable")
        overlaps = box_iou(picture.found[told][order], boxes)
        wanted += int((~difficult).sum())
        hit, skip = np.zeros(len(order), bool), np.zeros(len(order), bool)
        taken = np.zeros(len(boxes), bool)
        for i, row in enumerate(overlaps if len(boxes) else ()):
            best = int(row.argmax())
            if row[best] >= low:
                skip[i] = difficult[best]
                hit[i] = not difficult[best] and not taken[best]
                taken[best] = True
        scores.append(picture.scores[told][order])
        hits.append(hit)
        aside.append(skip)
    score, hit, skip = (np.concatenate(parts) for parts in (scores, hits, aside))
    order = np.argsort(-score, kind="stable")
    order = order[~skip[order]]
    right = np.cumsum(hit[order])
    precision = right / np.arange(1, len(order) + 1)
    recall = right / wanted if wanted else np.full(len(order), np.nan)
    return PrecisionRecall(precision, recall, score[order], wanted)


def precision_recall(
    truth: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
    label: int,
    iou_threshold: float = 0.5,
) -> PrecisionRecall:
    """Precision over recall of one class, as the VOC challenge counts (Everingham et al. 2010).

    A prediction is right if the true box of its class that it shares most with, by at least the threshold, is
    taken by no more certain one.

    Parameters
    ----------
    truth : sequence of dict
        "boxes", "labels", and optionally "difficult" [n]: boxes that need not be found and are not wrong.
    predictions : sequence of dict
        "boxes", "labels", "scores".
    label : int
    iou_threshold : float, default 0.5

    Returns
    -------
    PrecisionRecall

    Raises
    ------
    ShapeError, ArgumentError
        The lists do not fit.
    """
    return _curve(_pictures("precision_recall", truth, predictions), label, iou_threshold)


def average_precision(recall: Any, precision: Any, *, method: str = "area") -> float:
    """What one number says of a curve.

    Parameters
    ----------
    recall, precision : array [n]
        From the most certain prediction on, as :func:`precision_recall` gives them.
    method : "area", "11" or "101", keyword-only, default "area"
        The area under precision made falling (VOC since 2010), or the mean of the highest precision at
        recalls of at least 0, 0.1, ..., 1 (VOC 2007), or at 101 places (COCO).

    Returns
    -------
    float
        NaN where there was nothing to find.
    """
    if method not in ("area", "11", "101"):
        raise ArgumentError(f"average_precision: method is {method!r}, expected 'area', '11' or '101'")
    r, p = np.asarray(recall, np.float64), np.asarray(precision, np.float64)
    if r.shape != p.shape or r.ndim != 1:
        raise ShapeError(f"average_precision: recall has shape {r.shape} and precision {p.shape}")
    if np.isnan(r).any():
        return float("nan")
    falling = np.maximum.accumulate(p[::-1])[::-1]
    if method == "area":
        return float((np.diff(r, prepend=0.0) * falling).sum())
    places = np.arange(11) / 10 if method == "11" else _RECALLS
    at = np.searchsorted(r, places, side="left")
    return float(np.where(at < len(r), np.append(falling, 0.0)[np.minimum(at, len(r))], 0.0).mean())


def voc_map(
    truth: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
    iou_threshold: float = 0.5,
    *,
    method: str = "area",
) -> float:
    """The mean over classes of :func:`average_precision`; arguments as :func:`precision_recall` has them.

    Classes without a true box are left out; without any, the figure is NaN.
    """
    pictures = _pictures("voc_map", truth, predictions)
    labels = sorted({int(label) for picture in pictures for label in picture.labels})
    figures = []
    for label in labels:
        curve = _curve(pictures, label, iou_threshold)
        if curve.wanted:
            figures.append(average_precision(curve.recall, curve.precision, method=method))
    return float(np.mean(figures)) if figures else float("nan")


def coco_evaluation(
    truth: Sequence[Mapping[str, Any]], predictions: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """The twelve figures of the COCO challenge for boxes (Lin et al. 2014).

    A prediction takes, of the true boxes of its class that none has taken, the one it shares most with.
    Precision is read at 101 recalls and averaged over ten thresholds from 0.5 to 0.95. Boxes outside a range
    of areas, in pixels, need not be found and are not wrong.

    Returns
    -------
    dict
        "AP", "AP50", "AP75", "APs", "APm", "APl" (areas below 32^2, up to 96^2, above), "AR1", "AR10",
        "AR100" (recall with so many predictions a picture), "ARs", "ARm", "ARl". NaN where there is nothing
        to find (COCO's own program says -1).
    """
    pictures = _pictures("coco_evaluation", truth, predictions)
    labels = sorted({int(label) for picture in pictures for label in picture.labels})
    found = {(area, most): [_coco_class(pictures, label, area, most) for label in labels]
             for area, most in [("all", 1), ("all", 10), *((area, 100) for area in _AREAS)]}  # fmt: skip

    def mean(parts: list[Any], which: int, threshold: int | None = None) -> float:
        rows = [part[which] if threshold is None else part[which][threshold] for part in parts if part]
        return float(np.mean(rows)) if rows else float("nan")

    every = found["all", 100]
    figures = {"AP": mean(every, 0), "AP50": mean(every, 0, 0), "AP75": mean(every, 0, 5)}
    for area in ("small", "medium", "large"):
        figures[f"AP{area[0]}"] = mean(found[area, 100], 0)
    for most in (1, 10, 100):
        figures[f"AR{most}"] = mean(found["all", most], 1)
    for area in ("small", "medium", "large"):
        figures[f"AR{area[0]}"] = mean(found[area, 100], 1)
    return figures


def _coco_class(pictures: list[_Picture], label: int, area: str, most: int) -> Any:
    """Precision at the recalls [thresholds, 101] and recall [thresholds] of one class, or None."""
    low, high = _AREAS[area]
    scores, hits, aside = [], [], []
    wanted = 0
    for picture in pictures:
        mine, told = picture.labels == label, picture.found_labels == label
        order = np.argsort(-picture.scores[told], kind="stable")[:most]
        boxes, found = picture.boxes[mine], picture.found[told][order]
        sizes, found_sizes = ((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, found))
        beyond = (sizes < low) | (sizes > high)
        wanted += int((~beyond).sum())
        first = np.argsort(beyond, kind="stable")  # those that count come first
        boxes, beyond = boxes[first], beyond[first]
        hit, skip = _coco_matches(box_iou(found, boxes), beyond)
        skip |= ~hit & ((found_sizes < low) | (found_sizes > high))
        scores.append(picture.scores[told][order])
        hits.append(hit)
        aside.append(skip)
    if not wanted:
        return None
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit, skip = (np.concatenate(parts, 1)[:, order] for parts in (hits, aside))
    right, wrong = (np.cumsum(a & ~skip, 1, dtype=np.float64) for a in (hit, ~hit))
    recall = right / wanted
    precision = right / np.maximum(right + wrong, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    read = np.zeros((len(_LOWS), len(_RECALLS)))
    for row, r, p in zip(read, recall, precision, strict=True):
        at = np.searchsorted(r, _RECALLS, side="left")
        row[at < len(r)] = p[at[at < len(r)]]
    return read, recall[:, -1] if recall.shape[1] else np.zeros(len(_LOWS))


def _coco_matches(overlaps: np.ndarray, beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which predictions take a box, and which of them one that does not count: [thresholds, predictions]."""
    hit, skip = (np.zeros((len(_LOWS), len(overlaps)), bool) for _ in range(2))
    for t, low in enumerate(_LOWS):
        taken = np.zeros(overlaps.shape[1], bool)
        for i, row in enumerate(overlaps):
            best, most = -1, min(low, 1 - 1e-10)
            for j, ratio in enumerate(row):
                if taken[j]:
                    continue
                if best >= 0 and not beyond[best] and beyond[j]:
                    break
                if ratio >= most:
                    best, most = j, ratio
            if best >= 0:
                taken[best] = hit[t, i] = True
                skip[t, i] = beyond[best]
    return hit, skip
