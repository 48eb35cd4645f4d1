"""UltraFace: faces found by a megabyte of weights (Linzaer's Ultra-Light-Fast-Generic-Face-Detector, RFB)."""

from __future__ import annotations

from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._extras import need
from einkorn.errors import ArgumentError
from einkorn.models._blocks import Chain, Network
from einkorn.models.preprocessing import Preprocessing, picture_of
from einkorn.models.weights import load_pretrained
from einkorn.nn import BatchNorm2d, Conv2d, Module, ModuleList, ReLU
from einkorn.nn._folding import convolve
from einkorn.vision.yolo import check_threshold

__all__ = ["UltraFace"]

#: Of each of the four maps, whose cells are 8 to 64 pixels wide: the sides of the squares in each cell.
_SIDES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
_LEAST = 64  # pixels of an image with at least one cell in each map
_OF_MIDDLE, _OF_SIZE = 0.1, 0.2  # what the network's numbers are multiplied by


def _separable(before: int, after: int, stride: int = 1) -> Chain:
    """A convolution of each channel and one of each pixel, both with norm and ReLU."""
    return Chain(
        Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
        BatchNorm2d(before),
        ReLU(),
        Conv2d(before, after, 1, bias=False),
        BatchNorm2d(after),
        ReLU(),
    )


def _light(before: int, after: int, stride: int = 1) -> Chain:
    """The same with biases in the place of norms, and nothing behind it."""
    return Chain(Conv2d(before, before, 3, stride, 1, groups=before), ReLU(), Conv2d(before, after, 1))


class _BasicConv(Module):
    def __init__(self, before: int, after: int, kernel: int = 1, dilation: int = 1, act: bool = True) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = Conv2d(before, after, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn = BatchNorm2d(after, momentum=0.01)
        self.relu = ReLU() if act else None

    def forward(self, x: Any) -> Any:
        return convolve(x, self.conv, self.bn, self.relu)


class _ReceptiveField(Module):
    """Three ways that look two, three and five pixels far, joined, and a shortcut of one pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = channels // 8

        def way(dilation: int, *widths: int) -> Chain:
            inner = [_BasicConv(a, b, 3) for a, b in zip((few, *widths), widths, strict=False)]
            return Chain(
                _BasicConv(channels, few, act=False),
                *inner,
                _BasicConv(widths[-1], 2 * few, 3, dilation, act=False),
            )

        self.branch0, self.branch1 = way(2, 2 * few), way(3, 2 * few)
        self.branch2 = way(5, 3 * few // 2, 2 * few)
        self.ConvLinear = _BasicConv(6 * few, channels, act=False)
        self.shortcut = _BasicConv(channels, channels, act=False)

    def forward(self, x: Any) -> Any:
        wide = ops.cat([self.branch0(x), self.branch1(x), self.branch2(x)], 1)
        return ops.relu(self.ConvLinear(wide) + self.shortcut(x))


class UltraFace(Network):
    """Thirteen small blocks and four maps of boxes, for faces from 10 to 256 pixels.

    Parameters
    ----------
    weights : path, optional
        The published ``version-RFB-320.onnx`` or ``version-RFB-640.onnx``, or a file with the same names
        that :func:`~einkorn.models.load_pretrained` reads.
    image_size : (height, width), default (240, 320)
        What pictures are brought to: (480, 640) for the larger file.

    Attributes
    ----------
    weights_report : WeightsReport or None

    Notes
    -----
    Of images [n, 3, height, width], of values (x - 127) / 128, come two arrays with a row for each of m
    boxes: probabilities of nothing and of a face [n, m, 2], and left, top, right, bottom as shares of the
    image [n, m, 4]. :meth:`detect` gives boxes of pictures.

    Raises
    ------
    ArgumentError
        ``image_size`` is not two sides of at least 64 pixels.
    CheckpointError
        The file cannot be read or does not fit.
    """

    head = "classification_headers"

    def __init__(
        self, weights: str | PathLike[str] | None = None, image_size: tuple[int, int] = (240, 320)
    ) -> None:
        super().__init__()
        sides = np.atleast_1d(np.asarray(image_size))
        if sides.shape != (2,) or sides.dtype.kind not in "iu" or sides.min() < _LEAST:
            raise ArgumentError(
                f"UltraFace: image_size is {image_size!r}, expected a height and a width of at least "
                f"{_LEAST} pixels"
            )
        high, wide = (int(side) for side in sides)
        self.name, self.config = "ultraface", {"image_size": [high, wide]}
        self.input_shape = (3, high, wide)
        self.preprocessing = Preprocessing(high, None, 1.0, (127.0,) * 3, (128.0,) * 3)
        widths = [16, 32, 32, 32, 64, 64, 64]
        first = Chain(Conv2d(3, 16, 3, 2, 1, bias=False), BatchNorm2d(16), ReLU())
        body: list[Module] = [first]
        for at, (before, after) in enumerate(pairwise(widths)):
            body.append(_separable(before, after, 2 if at in (1, 3) else 1))
        body += [
            _ReceptiveField(64),
            _separable(64, 128, 2),
            _separable(128, 128),
            _separable(128, 128),
            _separable(128, 256, 2),
            _separable(256, 256),
        ]
        self.base_net = ModuleList(body)
        self.extras = ModuleList([Chain(Conv2d(256, 64, 1), ReLU(), _light(64, 256, 2), ReLU())])
        self.classification_headers = self._heads(2)
        self.regression_headers = self._heads(4)
        if weights is not None:
            self.weights_report = load_pretrained(self, weights)

    @staticmethod
    def _heads(numbers: int) -> ModuleList:
        """A layer for each map, with so many numbers for each of its boxes."""
        counts = [numbers * len(sides) for sides in _SIDES]
        small = [_light(width, count) for width, count in zip((64, 128, 256), counts, strict=False)]
        return ModuleList([*small, Conv2d(256, counts[-1], 3, padding=1)])

    def forward(self, x: Any) -> tuple[Any, Any]:
        size = x.shape[-2:]
        scores, places = [], []
        for at, (cells, chance, place) in enumerate(
            zip(self._features(x), self.classification_headers, self.regression_headers, strict=True)
        ):
            grid = self._anchors(at, cells.shape[-2:], size)
            scores.append(_rows(chance(cells), 2))
            numbers = _rows(place(cells), 4)
            kind = str(cells.dtype).rpartition(".")[2]
            middle = numbers[:, :, :2] * (_OF_MIDDLE * grid[:, 2:]).astype(kind) + grid[:, :2].astype(kind)
            half = ops.exp(numbers[:, :, 2:] * _OF_SIZE) * (grid[:, 2:] / 2).astype(kind)
            places.append(ops.cat([middle - half, middle + half], 2))
        return ops.softmax(ops.cat(scores, 1), 2), ops.cat(places, 1)

    def _features(self, x: Any) -> list[Any]:
        """The four maps that boxes are told from."""
        found = []
        for at, block in enumerate(self.base_net):
            x = block(x)
            if at in (7, 10, 12):
                found.append(x)
        return [*found, self.extras[0](x)]

    @staticmethod
    def _anchors(at: int, cells: Any, size: Any) -> np.ndarray:
        """The squares of a map: middle, width and height as shares of the image, none beyond it."""
        rows, columns = np.mgrid[: cells[0], : cells[1]] + 0.5  # cells that the image ends in are as if whole
        middles = np.stack([columns / cells[1], rows / cells[0]], -1)
        squares = np.array(_SIDES[at], np.float64)[:, None] / np.array([size[1], size[0]])
        shape = (*middles.shape[:2], len(_SIDES[at]), 2)
        pairs = [np.broadcast_to(middles[:, :, None], shape), np.broadcast_to(squares, shape)]
        return np.minimum(np.concatenate(pairs, -1).reshape(-1, 4), 1.0)

    def prepare(self, images: Any) -> np.ndarray:
        """Pictures as the network takes them, the whole of each brought to its size.

        Parameters
        ----------
        images : path, uint8 array [H, W, 3] or [H, W], Pillow image, or a list of them

        Returns
        -------
        float32 [n, 3, height, width]
        """
        several = images if isinstance(images, (list, tuple)) else [images]
        high, wide = self.input_shape[1:]
        batch = np.empty((len(several), 3, high, wide), np.float32)
        for row, image in zip(batch, several, strict=True):
            pixels = picture_of(image)
            if pixels.shape[:2] != (high, wide):
                pil = need("PIL.Image", "resizing images")
                pixels = np.asarray(pil.fromarray(pixels).resize((wide, high), pil.Resampling.BILINEAR))
            row[...] = pixels.transpose(2, 0, 1)
        return self.preprocessing.normalize(batch)

    def detect(
        self, images: Any, threshold: float = 0.7, iou_threshold: float = 0.3
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Faces in pictures of any size.

        Parameters
        ----------
        images : path, uint8 array [H, W, 3] or [H, W], Pillow image, or a list of them
        threshold : float, default 0.7
            Least probability.
        iou_threshold : float, default 0.3
            Of two boxes that cover each other more than this, the surer one stays.

        Returns
        -------
        list of (boxes, scores), one for each picture
            float32 [n, 4], left, top, right, bottom in its pixels, and float32 [n]; the surest first.
        """
        check_threshold("detect", "threshold", threshold)
        several = [picture_of(i) for i in (images if isinstance(images, (list, tuple)) else [images])]
        if not several:
            return []
        scores, places = self.predict(self.prepare(several))
        found = []
        for chances, boxes, pixels in zip(scores[..., 1], places, several, strict=True):
            sure = chances >= threshold
            corners = boxes[sure] * np.array([pixels.shape[1], pixels.shape[0]] * 2, np.float32)
            kept = ops.nms(corners, chances[sure], iou_threshold)
            found.append((corners[kept], chances[sure][kept]))
        return found


def _rows(x: Any, numbers: int) -> Any:
    """A map [n, boxes * numbers, H, W] as a row for each box."""
    return ops.reshape(ops.permute(x, (0, 2, 3, 1)), (x.shape[0], -1, numbers))
