"""Small detectors that learn in minutes: YOLO in both its forms, and the place of a single object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._blocks import Chain, ConvNorm, Network, he_fan_out, initialize
from einkorn.models.darknet import YoloHead
from einkorn.models.preprocessing import Preprocessing, picture_of
from einkorn.nn import Conv2d, Linear, MaxPool2d
from einkorn.nn._check import integer
from einkorn.vision.losses import generalized_box_iou_loss
from einkorn.vision.yolo import YoloGrid, YoloLoss, chosen_boxes

__all__ = ["Localizer", "TinyYolo"]

_STEP = 16  # pixels of a cell: four times halved


def _body(width: int) -> Chain:
    """Four times a convolution with norm and a pooling, then two more convolutions."""
    layers: list[Any] = []
    before = 3
    for level in range(4):
        layers += [ConvNorm(before, width << level), MaxPool2d(2)]
        before = width << level
    return Chain(*layers, ConvNorm(before, 2 * before), ConvNorm(2 * before, before, 1))


def _side(op: str, size: Any) -> int:
    number = integer(size, op, "image_size", _STEP)
    if number % _STEP:
        raise ArgumentError(f"{op}: image_size is {size!r}, expected a multiple of {_STEP}")
    return number


class _Small(Network):
    def _sized(self, size: int, config: dict[str, Any]) -> None:
        self.config = {"image_size": size, **config}
        self.input_shape = (3, size, size)
        self.preprocessing = Preprocessing(size, None, mean=(0.0,) * 3, std=(1.0,) * 3)

    def prepare(self, images: Any) -> np.ndarray:
        """uint8 pictures [n, H, W, 3] as the network takes them, float32 [n, 3, size, size] from 0 to 1."""
        return self.preprocessing(list(images))


class TinyYolo(_Small):
    """A small YOLO: six convolutions, cells of 16 pixels.

    Parameters
    ----------
    num_classes : int
    image_size : int, default 96
        Height and width; a multiple of 16.
    version : 1, 2, 3 or 4, keyword-only, default 3
        1: a grid whose cells have ``boxes`` boxes and one class (:class:`~einkorn.vision.YoloGrid`). From 2
        on: anchors, with the loss of that version (:class:`~einkorn.vision.YoloLoss`).
    anchors : sequence of (width, height), keyword-only, optional
        In pixels; :func:`~einkorn.vision.anchor_clusters` finds them. Default: squares of 1/6, 1/4 and
        2/5 of the image.
    boxes : int, keyword-only, default 2
        Of each cell in version 1.
    width : int, keyword-only, default 16
        Channels of the first convolution.

    Notes
    -----
    ``fit`` takes images [n, 3, H, W] and targets of :func:`~einkorn.vision.pack_targets`; ``compile`` the
    loss ``model.loss``. :meth:`detect` gives boxes.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int = 96,
        *,
        version: int = 3,
        anchors: Sequence[Sequence[float]] | None = None,
        boxes: int = 2,
        width: int = 16,
    ) -> None:
        super().__init__()
        image_size, num_classes = (
            _side("TinyYolo", image_size),
            integer(num_classes, "TinyYolo", "num_classes"),
        )
        boxes, width = integer(boxes, "TinyYolo", "boxes"), integer(width, "TinyYolo", "width")
        shares = [[image_size * share] * 2 for share in (1 / 6, 1 / 4, 2 / 5)]
        sides = np.asarray(shares if anchors is None else anchors)
        if sides.ndim != 2 or sides.shape[1] != 2 or not len(sides) or sides.dtype.kind not in "iuf":
            raise ArgumentError(f"TinyYolo: anchors is {anchors!r}, expected pairs of width and height")
        pairs = [(float(w), float(h)) for w, h in sides.tolist()]
        self._sized(
            image_size,
            {
                "num_classes": num_classes,
                "version": version,
                "anchors": [list(pair) for pair in pairs],
                "boxes": boxes,
                "width": width,
            },
        )
        self.name, self.version = "tiny_yolo", version
        self.features = _body(width)
        self.decoder: Any
        if version == 1:
            self.decoder = YoloGrid(image_size // _STEP, num_classes, boxes)
            channels, self._loss = self.decoder.channels, self.decoder.loss
        else:
            self.decoder = YoloHead(pairs, num_classes)
            channels = len(pairs) * (5 + num_classes)
            self._loss = YoloLoss(self.decoder, (image_size, image_size), version=version)
        self.output = Conv2d(8 * width, channels, 1)
        initialize(self, he_fan_out)
        self._begin()

    head = "output"

    def _begin(self) -> None:
        """Small first outputs: everywhere nothing, boxes as large as the anchors."""
        self.output.weight.numpy()[...] *= 0.1
        if self.version != 1:
            bias = self.output.bias
            assert bias is not None
            bias.numpy().reshape(len(self.decoder.anchors), -1)[:, 4] = -3

    def forward(self, x: Any) -> Any:
        return self.output(self.features(x))

    def loss(self, output: Any, target: Any) -> Any:
        """The loss of a batch, as ``compile`` takes it."""
        return self._loss(output, target)

    def detect(
        self, images: Any, threshold: float = 0.25, iou_threshold: float = 0.45
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Boxes in pictures of any size; arguments and result as :meth:`einkorn.models.Darknet.detect`."""
        several = [picture_of(i) for i in (images if isinstance(images, (list, tuple)) else [images])]
        if not several:
            return []
        rows = self.decoder.decode(self.predict(self.prepare(several)), self.input_shape[1:])
        return [
            chosen_boxes(each, pixels.shape[:2], threshold, iou_threshold)
            for each, pixels in zip(rows, several, strict=True)
        ]


class Localizer(_Small):
    """What the one object of an image is, and where: scores of classes and four numbers from one body.

    Parameters
    ----------
    num_classes : int
    image_size : int, default 96
        Height and width; a multiple of 16.
    width : int, keyword-only, default 16

    Notes
    -----
    It gives [n, num_classes + 4]: raw scores, then middle, width and height as shares of the image, before
    the sigmoid. Targets are those of :func:`~einkorn.vision.pack_targets` with one box for each image.
    """

    head = "fc"

    def __init__(self, num_classes: int, image_size: int = 96, *, width: int = 16) -> None:
        super().__init__()
        image_size, width = _side("Localizer", image_size), integer(width, "Localizer", "width")
        num_classes = integer(num_classes, "Localizer", "num_classes")
        self._sized(image_size, {"num_classes": num_classes, "width": width})
        self.name, self.num_classes = "localizer", num_classes
        self.features = _body(width)
        cells = (image_size // _STEP) ** 2
        self.fc = Linear(8 * width * cells, num_classes + 4)
        initialize(self, he_fan_out, 0.01)

    def forward(self, x: Any) -> Any:
        return self.fc(ops.flatten(self.features(x), 1))

    def loss(self, output: Any, target: Any) -> Any:
        """Cross-entropy of the class plus the generalized box loss of the place, the mean of a batch."""
        y = np.asarray(target.numpy() if hasattr(target, "numpy") else target)
        if y.ndim != 3 or y.shape[1:] != (1, 5) or (y.size and y[..., 4].min() < 0):
            raise ShapeError(f"Localizer.loss: targets have shape {y.shape}, expected a box each, [n, 1, 5]")
        of_class = ops.cross_entropy(output[:, : self.num_classes], y[:, 0, 4].astype(np.int64))
        place = ops.sigmoid(output[:, self.num_classes :])
        half = ops.multiply(place[:, 2:], 0.5)
        corners = ops.cat([ops.subtract(place[:, :2], half), ops.add(place[:, :2], half)], 1)
        truth = np.concatenate([y[:, 0, :2] - y[:, 0, 2:4] / 2, y[:, 0, :2] + y[:, 0, 2:4] / 2], 1)
        kind = output.numpy().dtype if hasattr(output, "numpy") else output.dtype
        return ops.add(of_class, generalized_box_iou_loss(corners, truth.astype(kind), "mean"))

    def locate(self, images: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The object of each picture.

        Parameters
        ----------
        images : path, uint8 array [H, W, 3], Pillow image, or a list of them

        Returns
        -------
        boxes : float32 [n, 4]
            Left, top, right, bottom in the picture's pixels.
        scores : float32 [n]
            Probability of the class.
        labels : int64 [n]
        """
        several = [picture_of(i) for i in (images if isinstance(images, (list, tuple)) else [images])]
        out = self.predict(self.prepare(several))
        chances = np.asarray(ops.softmax(out[:, : self.num_classes].copy(), 1))
        place = np.asarray(ops.sigmoid(out[:, self.num_classes :].copy()))
        corners = np.concatenate([place[:, :2] - place[:, 2:] / 2, place[:, :2] + place[:, 2:] / 2], 1)
        sizes = np.array([[p.shape[1], p.shape[0]] * 2 for p in several], np.float32).reshape(-1, 4)
        labels = chances.argmax(1)
        return corners * sizes, chances[np.arange(len(labels)), labels], labels
