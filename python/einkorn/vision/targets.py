"""What detectors learn from: the boxes of pictures as one array, and anchors that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn._check import integer, pair

__all__ = ["anchor_clusters", "check_packed", "pack_targets"]


def pack_targets(
    targets: Sequence[Mapping[str, Any]], size: tuple[int, int], max_boxes: int | None = None
) -> np.ndarray:
    """The boxes of many pictures in one array, which ``fit`` and the losses of YOLO take.

    Parameters
    ----------
    targets : sequence of dict
        For each picture "boxes" [m, 4] (left, top, right, bottom, in pixels) and "labels" [m].
    size : (height, width)
        Of the pictures, in pixels.
    max_boxes : int, optional
        Places for boxes of a picture; default: the most that one has.

    Returns
    -------
    float32 array [n, max_boxes, 5]
        Middle, width and height as shares of the picture, then the class; -1 where there is no box.

    Raises
    ------
    ShapeError, ArgumentError
        A picture has more boxes than places, boxes of no size, or not a label for each box; ``size`` is no
        two sides.
    """
    op = "pack_targets"
    high, wide = pair(size, op, "size")
    scale = np.array([wide, high] * 2, np.float64)
    several, classes = [], []
    for target in targets:
        try:
            several.append(np.asarray(target["boxes"], np.float64).reshape(-1, 4))
            classes.append(np.asarray(target["labels"]).reshape(-1))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ArgumentError(f"{op}: a target lacks boxes [m, 4] or labels [m]: {error!r}") from error
    places = max((len(boxes) for boxes in several), default=0) if max_boxes is None else max_boxes
    packed = np.zeros((len(several), places, 5), np.float32)
    packed[..., 4] = -1
    for row, boxes, labels in zip(packed, several, classes, strict=True):
        if len(labels) != len(boxes) or len(boxes) > places:
            raise ShapeError(
                f"{op}: a picture has {len(boxes)} boxes and {len(labels)} labels, expected as many, "
                f"at most {places}"
            )
        if len(boxes) and not (
            np.isfinite(boxes).all()
            and (boxes[:, 2:] > boxes[:, :2]).all()
            and labels.dtype.kind in "iuf"
            and labels.min() >= 0
            and (labels % 1 == 0).all()
        ):
            raise ArgumentError(f"{op}: a box has no size, or a label is no class: {labels.tolist()}")
        shares = boxes / scale
        row[: len(boxes), :2] = (shares[:, :2] + shares[:, 2:]) / 2
        row[: len(boxes), 2:4] = shares[:, 2:] - shares[:, :2]
        row[: len(boxes), 4] = labels
    return packed


def check_packed(op: str, y: Any, rows: int, classes: int) -> np.ndarray:
    """Targets as :func:`pack_targets` makes them.

    Raises
    ------
    ShapeError, ArgumentError
        Another shape, or a class that there is not.
    """
    a = np.asarray(y.numpy() if hasattr(y, "numpy") else y)
    if a.ndim != 3 or a.shape[2] != 5 or a.shape[0] != rows:
        raise ShapeError(f"{op}: targets have shape {a.shape}, expected ({rows}, boxes, 5)")
    if a.size and a[..., 4].max() >= classes:
        raise ArgumentError(
            f"{op}: a target has class {a[..., 4].max():g}, expected 0 to {classes - 1}, or -1 for none"
        )
    return a


def anchor_clusters(sizes: Any, count: int, *, steps: int = 100, seed: int = 0) -> np.ndarray:
    """Anchors for boxes of these sizes: k-means with the distance ``1 - iou`` (Redmon and Farhadi 2016).

    Parameters
    ----------
    sizes : array [n, 2]
        Widths and heights.
    count : int
        Anchors; at most as many as there are different sizes.
    steps : int, keyword-only, default 100
    seed : int, keyword-only, default 0

    Returns
    -------
    float64 array [count, 2]
        From the smallest area on.
    """
    given = np.asarray(sizes)
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iuf" or not (given > 0).all():
        raise ShapeError(
            f"anchor_clusters: sizes is {given.dtype} {given.shape}, expected [n, 2] of positive numbers: "
            "widths and heights of boxes"
        )
    a = given.astype(np.float64)
    count = integer(count, "anchor_clusters", "count")
    different = np.unique(a, axis=0)
    if not 1 <= count <= len(different):
        raise ArgumentError(f"anchor_clusters: count is {count!r}, expected 1 to {len(different)}")
    rng = np.random.default_rng(seed)
    centres = different[rng.choice(len(different), count, replace=False)]
    nearest = np.full(len(a), -1)
    for _ in range(steps):
        before, nearest = nearest, shape_iou(a, centres).argmax(1)
        if (before == nearest).all():
            break
        for at in range(count):
            mine = a[nearest == at]
            centres[at] = mine.mean(0) if len(mine) else a[rng.integers(len(a))]
    return centres[np.argsort(centres.prod(1), kind="stable")]


def shape_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[n, m]: what rectangles share over what they cover, laid on one corner."""
    shared = np.minimum(one[:, None], other[None]).prod(-1)
    return shared / (one.prod(-1)[:, None] + other.prod(-1)[None] - shared)
