"""YOLO: what the maps of a network say of boxes, and how far that is from the truth.

Targets are arrays [n, boxes, 5] as :func:`~einkorn.vision.pack_targets` makes them, so that ``fit`` takes
them as it takes classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models.darknet import YoloHead
from einkorn.nn import Module
from einkorn.ops._options import number
from einkorn.vision.losses import complete_box_iou_loss
from einkorn.vision.targets import check_packed, shape_iou

__all__ = ["YoloGrid", "YoloLoss", "check_threshold", "chosen_boxes"]


def _plain(x: Any) -> np.ndarray:
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def _corners(boxes: np.ndarray) -> np.ndarray:
    half = boxes[..., 2:4] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def _ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes given by their middles, with broadcasting."""
    a, b = _corners(one), _corners(other)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides.prod(-1)
    either = one[..., 2:4].prod(-1) + other[..., 2:4].prod(-1) - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def check_threshold(op: str, name: str, value: Any) -> None:
    """Refuse what is no number, NaN among it."""
    if np.isnan(number(op, name, value)):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number")


def chosen_boxes(
    rows: Any, size: tuple[int, int], threshold: float = 0.25, iou_threshold: float = 0.45
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The boxes of one picture that are certain enough and that no more certain one of their class covers.

    Parameters
    ----------
    rows : array [m, 5 + classes]
        Middle, width and height as shares of the picture, objectness, and a score of each class, as
        ``decode`` of a head gives them.
    size : (height, width)
        Of the picture, in pixels.
    threshold : float, default 0.25
        Least score, objectness times class.
    iou_threshold : float, default 0.45

    Returns
    -------
    boxes : float32 [n, 4]
        Left, top, right, bottom in pixels.
    scores : float32 [n]
    labels : int64 [n]
    """
    check_threshold("detect", "threshold", threshold)
    a = np.asarray(rows, np.float32)
    scores = a[:, 4:5] * a[:, 5:]
    labels = scores.argmax(1)
    best = scores[np.arange(len(a)), labels]
    sure = best >= threshold
    corners = _corners(a[sure, :4]) * np.array([size[1], size[0]] * 2, np.float32)
    kept = ops.batched_nms(corners, best[sure], labels[sure], iou_threshold)
    return corners[kept], best[sure][kept], labels[sure][kept]


class YoloGrid(Module):
    """The head of the first YOLO (Redmon et al. 2015): a grid of cells, each with boxes and one class.

    Of each cell the map has ``boxes`` times x, y, w, h and confidence, then a score for each class: x and y
    within the cell, w and h the square roots of shares of the picture, confidence the ratio the box is
    expected to have with the truth.

    Parameters
    ----------
    grid : int or (rows, columns)
    num_classes : int
    boxes : int, default 2
    coord, noobj : float, keyword-only, default 5 and 0.5
        Weights of places and of confidence where nothing is.
    """

    def __init__(
        self, grid: Any, num_classes: int, boxes: int = 2, *, coord: float = 5.0, noobj: float = 0.5
    ) -> None:
        super().__init__()
        self.grid = (grid, grid) if isinstance(grid, int) else tuple(grid)
        if min(*self.grid, num_classes, boxes) < 1:
            raise ArgumentError(
                f"YoloGrid: grid is {grid!r}, num_classes {num_classes!r}, boxes {boxes!r}: not 1 or more"
            )
        self.num_classes, self.boxes = num_classes, boxes
        self.coord, self.noobj = coord, noobj
        self.channels = 5 * boxes + num_classes

    def forward(self, x: Any) -> Any:
        return x

    def _split(self, x: Any, op: str) -> tuple[Any, Any]:
        """Boxes [n, boxes, 5, rows, columns] and scores [n, classes, rows, columns]."""
        n, shape = x.shape[0], (self.channels, *self.grid)
        if tuple(x.shape[1:]) != shape:
            raise ShapeError(f"{op}: the map has shape {tuple(x.shape)}, expected [n, {shape}]")
        return x[:, : 5 * self.boxes].reshape(n, self.boxes, 5, *self.grid), x[:, 5 * self.boxes :]

    def _places(self, parts: np.ndarray) -> np.ndarray:
        """Middle, width and height as shares of the picture, [n, boxes, 4, rows, columns]."""
        rows, columns = self.grid
        out = parts[:, :, :4].copy()
        out[:, :, 0] = (parts[:, :, 0] + np.arange(columns)) / columns
        out[:, :, 1] = (parts[:, :, 1] + np.arange(rows)[:, None]) / rows
        out[:, :, 2:4] = parts[:, :, 2:4] ** 2
        return out

    def decode(self, x: Any, size: Any = None) -> np.ndarray:
        """Rows [n, rows * columns * boxes, 5 + classes] as :func:`chosen_boxes` takes them."""
        parts, scores = self._split(_plain(x), "YoloGrid.decode")
        n, each = len(parts), self._places(parts)
        confidence = np.clip(parts[:, :, 4:5], 0, 1)
        shape = (n, self.boxes, self.num_classes, *self.grid)
        classes = np.broadcast_to(np.clip(scores, 0, 1)[:, None], shape)
        rows = np.concatenate([each, confidence, classes], 2).transpose(0, 3, 4, 1, 2)
        return rows.reshape(n, -1, 5 + self.num_classes)

    def loss(self, x: Any, y: Any) -> Any:
        """The paper's sum of squares (equation 3), over the number of pictures.

        Of a cell's boxes the one with the highest ratio to the truth answers for it. Of several objects in a
        cell the last one counts.

        Parameters
        ----------
        x : Tensor [n, channels, rows, columns]
        y : array [n, m, 5]
            As :func:`~einkorn.vision.pack_targets` makes it.
        """
        op = "YoloGrid.loss"
        parts, scores = self._split(x, op)
        truth = check_packed(op, y, x.shape[0], self.num_classes)
        plain = _plain(parts)
        places = self._places(plain)
        wanted, weight = np.zeros_like(plain), np.zeros_like(plain)
        classes, there = np.zeros_like(_plain(scores)), np.zeros_like(_plain(scores))
        weight[:, :, 4] = self.noobj
        rows, columns = self.grid
        for i, j in np.argwhere(truth[..., 4] >= 0):
            cx, cy, w, h, label = truth[i, j]
            column, row = min(int(cx * columns), columns - 1), min(int(cy * rows), rows - 1)
            ratios = _ratio(places[i, :, :, row, column], truth[i, j, None, :4])
            weight[i, :, :4, row, column], weight[i, :, 4, row, column] = 0, self.noobj
            best = int(ratios.argmax())
            at = (i, best, slice(None), row, column)
            wanted[at] = [cx * columns - column, cy * rows - row, np.sqrt(w), np.sqrt(h), ratios[best]]
            weight[at] = [self.coord] * 4 + [1]
            classes[i, :, row, column] = np.arange(self.num_classes) == int(label)
            there[i, :, row, column] = 1
        boxes = ops.sum(ops.multiply(ops.square(ops.subtract(parts, wanted)), weight))
        of_class = ops.sum(ops.multiply(ops.square(ops.subtract(scores, classes)), there))
        return ops.multiply(ops.add(boxes, of_class), 1 / max(x.shape[0], 1))


class YoloLoss:
    """The loss of heads with anchors, YOLO 2 to 4, for the maps of one batch.

    Each true box belongs to the anchor, of all heads, whose shape is most like its own, in the cell that
    holds its middle. There its place, objectness and class are learnt; elsewhere that there is nothing,
    except where a box is foretold that covers a true one by more than ``ignore``.

    Parameters
    ----------
    heads : YoloHead or sequence of YoloHead
    size : (height, width)
        Of the pictures, in pixels, which the anchors are measured in.
    version : 2, 3 or 4, keyword-only, default 3
        2: squared errors of the sigmoids, the ratio as objectness, softmax over classes (Redmon and Farhadi
        2016). 3: cross-entropies, squared errors of the logarithms of width and height (2018). 4: 3 with
        :func:`~einkorn.vision.complete_box_iou_loss` for the place (Bochkovskiy et al. 2020).
    ignore : float, keyword-only, default 0.5
    box, objectness, nothing, classes : float, keyword-only, default 1
        Weights of the parts.

    Notes
    -----
    Called with the map, or the list of maps, and targets [n, m, 5] it gives the sum over the number of
    pictures: a loss as ``compile`` takes it.
    """

    def __init__(
        self,
        heads: YoloHead | Sequence[YoloHead],
        size: tuple[int, int],
        *,
        version: int = 3,
        ignore: float = 0.5,
        box: float = 1.0,
        objectness: float = 1.0,
        nothing: float = 1.0,
        classes: float = 1.0,
    ) -> None:
        self.heads = [heads] if isinstance(heads, YoloHead) else list(heads)
        if version not in (2, 3, 4) or not self.heads or not 0 <= ignore <= 1:
            raise ArgumentError(
                f"YoloLoss: version is {version!r}, {len(self.heads)} heads, ignore {ignore!r}: "
                "expected 2, 3 or 4, at least one, and 0 to 1"
            )
        self.size, self.version, self.ignore = size, version, ignore
        self.box, self.objectness, self.nothing, self.classes = box, objectness, nothing, classes
        high, wide = size
        self._anchors = [np.array(head.anchors) / (wide, high) for head in self.heads]
        self._first = np.cumsum([0, *(len(each) for each in self._anchors)])

    def __call__(self, maps: Any, y: Any) -> Any:
        several = list(maps) if isinstance(maps, (list, tuple)) else [maps]
        if len(several) != len(self.heads):
            raise ShapeError(
                f"YoloLoss: {len(several)} maps, expected one for each of {len(self.heads)} heads"
            )
        truth = check_packed("YoloLoss", y, several[0].shape[0], self.heads[0].num_classes)
        images, places = np.nonzero(truth[..., 4] >= 0)
        boxes = truth[images, places]
        fits = shape_iou(boxes[:, 2:4], np.concatenate(self._anchors))
        best = fits.argmax(1) if len(boxes) else np.empty(0, np.int64)
        total: Any = None
        for at, x in enumerate(several):
            mine = (best >= self._first[at]) & (best < self._first[at + 1])
            part = self._of_map(at, x, truth, images[mine], boxes[mine], best[mine] - self._first[at])
            total = part if total is None else ops.add(total, part)
        return ops.multiply(total, 1 / max(len(truth), 1))

    def _of_map(
        self, at: int, x: Any, truth: np.ndarray, images: np.ndarray, boxes: np.ndarray, anchor: np.ndarray
    ) -> Any:
        head, anchors = self.heads[at], self._anchors[at]
        n, channels, rows, columns = x.shape
        if channels != len(anchors) * (5 + head.num_classes):
            raise ShapeError(
                f"YoloLoss: map {at} has {channels} channels, expected {len(anchors)} anchors of "
                f"{5 + head.num_classes}"
            )
        parts = x.reshape(n, len(anchors), 5 + head.num_classes, rows, columns)
        column = np.minimum((boxes[:, 0] * columns).astype(np.int64), columns - 1)
        row = np.minimum((boxes[:, 1] * rows).astype(np.int64), rows - 1)
        # where two boxes ask for one anchor of one cell, the last one has it
        places = np.stack([images, anchor, row, column], 1)
        last = {tuple(place): i for i, place in enumerate(places.tolist())}
        chosen = np.array(sorted(last.values()), np.int64)
        images, anchor, row, column = places[chosen].T
        boxes = boxes[chosen]
        rest = self._nothing(head, x, truth)
        rest[images, anchor, row, column] = False
        found = parts.permute(0, 1, 3, 4, 2)[images, anchor, row, column]  # [objects, 5 + classes]
        total = self._objectness(parts[:, :, 4], rest, found, boxes, head, anchors[anchor], row, column, rows)
        if not len(boxes):
            return total
        total = ops.add(total, self._places(found, boxes, head, anchors[anchor], row, column, rows, columns))
        labels = boxes[:, 4].astype(np.int64)
        if self.version == 2:
            of_class = ops.cross_entropy(found[:, 5:], labels, reduction="sum")
        else:
            wanted = (labels[:, None] == np.arange(head.num_classes)).astype(_plain(x).dtype)
            of_class = ops.binary_cross_entropy_with_logits(found[:, 5:], wanted, reduction="sum")
        return ops.add(total, ops.multiply(of_class, self.classes))

    def _nothing(self, head: YoloHead, x: Any, truth: np.ndarray) -> np.ndarray:
        """Where nothing is and nothing near it is foretold: bool [n, anchors, rows, columns]."""
        n, _, rows, columns = x.shape
        foretold = head.decode(x, self.size)[..., :4].astype(np.float64)
        covered = np.zeros(foretold.shape[:2], bool)
        for i in range(n):
            mine = truth[i][truth[i, :, 4] >= 0]
            if len(mine):
                covered[i] = (
                    _ratio(foretold[i][:, None], mine[None, :, :4].astype(np.float64)).max(1) > self.ignore
                )
        return ~covered.reshape(n, rows, columns, -1).transpose(0, 3, 1, 2)

    def _objectness(
        self,
        scores: Any,
        rest: np.ndarray,
        found: Any,
        boxes: np.ndarray,
        head: YoloHead,
        anchors: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        rows: int,
    ) -> Any:
        kind = _plain(scores).dtype
        mask = rest.astype(kind)
        if self.version == 2:
            square = ops.square(ops.sigmoid(scores))
            empty = ops.sum(ops.multiply(square, mask))
            columns = scores.shape[-1]
            places = _plain(self._boxes(found, head, anchors, row, column, rows, columns))
            middle = np.concatenate([(places[:, :2] + places[:, 2:]) / 2, places[:, 2:] - places[:, :2]], 1)
            wanted = _ratio(middle, boxes[:, :4]).astype(kind)
            there = ops.sum(ops.square(ops.subtract(ops.sigmoid(found[:, 4]), wanted)))
        else:
            each = ops.binary_cross_entropy_with_logits(scores, np.zeros_like(mask), reduction="none")
            empty = ops.sum(ops.multiply(each, mask))
            there = ops.binary_cross_entropy_with_logits(
                found[:, 4], np.ones(len(boxes), kind), reduction="sum"
            )
        return ops.add(ops.multiply(empty, self.nothing), ops.multiply(there, self.objectness))

    def _boxes(
        self, found: Any, head: YoloHead, anchors: Any, row: Any, column: Any, rows: int, columns: int
    ) -> Any:
        """Corners of what is foretold at the objects, as shares, [objects, 4]."""
        kind = _plain(found).dtype
        shift = 0.5 - 0.5 * head.scale
        cells = np.stack([column, row], 1).astype(kind)
        grid = np.array([columns, rows], kind)
        middle = ops.add(ops.multiply(ops.sigmoid(found[:, :2]), head.scale), cells + kind.type(shift))
        middle = ops.divide(middle, grid)
        half = ops.multiply(ops.exp(found[:, 2:4]), (anchors / 2).astype(kind))
        return ops.cat([ops.subtract(middle, half), ops.add(middle, half)], 1)

    def _places(
        self,
        found: Any,
        boxes: np.ndarray,
        head: YoloHead,
        anchors: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        rows: int,
        columns: int,
    ) -> Any:
        kind = _plain(found).dtype
        small = (2 - boxes[:, 2:3] * boxes[:, 3:4]).astype(kind)  # errors of small boxes count more
        if self.version == 4:
            truth = _corners(boxes[:, :4]).astype(kind)
            foretold = self._boxes(found, head, anchors, row, column, rows, columns)
            each = ops.multiply(complete_box_iou_loss(foretold, truth), small[:, 0])
            return ops.multiply(ops.sum(each), self.box)
        inside = np.stack([boxes[:, 0] * columns - column, boxes[:, 1] * rows - row], 1)
        inside = np.clip((inside - 0.5) / head.scale + 0.5, 0, 1).astype(kind)
        sizes = np.log(boxes[:, 2:4] / anchors).astype(kind)
        if self.version == 2:
            first = ops.square(ops.subtract(ops.sigmoid(found[:, :2]), inside))
        else:
            first = ops.binary_cross_entropy_with_logits(found[:, :2], inside, reduction="none")
        second = ops.multiply(ops.square(ops.subtract(found[:, 2:4], sizes)), 0.5)
        return ops.multiply(ops.sum(ops.multiply(ops.add(first, second), small)), self.box)
