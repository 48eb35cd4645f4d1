"""Darknet's networks, from their ``.cfg`` and ``.weights`` files: YOLO versions 2 to 4 and the like."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, CheckpointError, DataError
from einkorn.nn import BatchNorm2d, Conv2d, LeakyReLU, MaxPool2d, Mish, Module, ReLU, Sequential, Upsample
from einkorn.nn._folding import convolve

__all__ = ["Darknet", "YoloHead", "read_cfg"]

_ACTIVATIONS: dict[str, Any] = {"leaky": lambda: LeakyReLU(0.1), "relu": ReLU, "mish": Mish}


def read_cfg(path: str | PathLike[str]) -> list[dict[str, str]]:
    """The sections of a darknet ``.cfg`` file, each a dict with its name as "type".

    Raises
    ------
    DataError
        The file cannot be read, or a line is neither a section, an assignment nor a comment.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"read_cfg: path is {path!r}, expected a text or a path")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from error
    sections: list[dict[str, str]] = []
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].split(";")[0].strip()
        name, equals, value = text.partition("=")
        if text.startswith("[") and text.endswith("]"):
            sections.append({"type": text[1:-1].strip()})
        elif text and equals and sections:
            sections[-1][name.strip()] = value.strip()
        elif text:
            raise DataError(f"{path}: line {number} is {line!r}, expected [section] or name=value")
    if not sections or sections[0]["type"] not in ("net", "network"):
        raise DataError(f"{path}: begins with no [net] section")
    return sections


def _whole(section: dict[str, str], name: str, default: int | None = None) -> int:
    try:
        return default if default is not None and name not in section else int(section[name])
    except (KeyError, ValueError):
        found = section.get(name)
        raise DataError(f"[{section['type']}]: {name} is {found!r}, expected a whole number") from None


def _numbers(section: dict[str, str], name: str) -> list[float]:
    try:
        return [float(part) for part in section.get(name, "").split(",") if part.strip()]
    except ValueError:
        found = section.get(name)
        raise DataError(f"[{section['type']}]: {name} is {found!r}, expected numbers") from None


class DarknetConv(Module):
    """Convolution, batch norm if there is one, activation."""

    def __init__(self, in_channels: int, section: dict[str, str]) -> None:
        super().__init__()
        out, size = _whole(section, "filters"), _whole(section, "size")
        padding = size // 2 if _whole(section, "pad", 0) else _whole(section, "padding", 0)
        norm = bool(_whole(section, "batch_normalize", 0))
        groups, stride = _whole(section, "groups", 1), _whole(section, "stride", 1)
        self.conv = Conv2d(in_channels, out, size, stride, padding, 1, groups, bias=not norm)
        self.norm = BatchNorm2d(out, 1e-6) if norm else None
        kind = section.get("activation", "linear")
        if kind != "linear" and kind not in _ACTIVATIONS:
            raise DataError(f"[convolutional]: activation is {kind!r}, expected linear, leaky, relu or mish")
        self.act = None if kind == "linear" else _ACTIVATIONS[kind]()

    def forward(self, x: Any) -> Any:
        return convolve(x, self.conv, self.norm, self.act)


class YoloHead(Module):
    """What a map of raw numbers says of boxes, as YOLO 3 has it (Redmon and Farhadi 2018).

    In each cell of the map, for each anchor: ``x = (sigmoid(t_x) + column) / columns``, y likewise,
    ``width = anchor exp(t_w) / image``, an objectness and scores of classes, both through the sigmoid.

    Parameters
    ----------
    anchors : list of (width, height)
        In pixels of the image.
    num_classes : int
    scale : float, default 1
        Stretches ``sigmoid(t_x)`` about its middle, so that a box may lie on a cell's edge (YOLO 4).
    """

    def __init__(self, anchors: list[tuple[float, float]], num_classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.anchors = [(float(w), float(h)) for w, h in anchors]
        self.num_classes, self.scale = num_classes, scale

    def forward(self, x: Any) -> Any:
        return x

    def decode(self, x: Any, size: tuple[int, int]) -> np.ndarray:
        """Rows of middle, width and height, all as shares of the image, objectness, and scores of classes.

        Parameters
        ----------
        x : array [N, anchors * (5 + num_classes), rows, columns]
        size : (height, width)
            Of the image, in pixels.

        Returns
        -------
        array [N, rows * columns * anchors, 5 + num_classes]
        """
        a = np.asarray(x.numpy() if hasattr(x, "numpy") else x)
        n, _, rows, columns = a.shape
        a = a.reshape(n, len(self.anchors), 5 + self.num_classes, rows, columns).transpose(0, 3, 4, 1, 2)
        a = np.ascontiguousarray(a)
        out = np.asarray(ops.sigmoid(a)).copy()
        centre = (out[..., :2] - 0.5) * np.float32(self.scale) + 0.5
        out[..., 0] = (centre[..., 0] + np.arange(columns)[:, None]) / columns
        out[..., 1] = (centre[..., 1] + np.arange(rows)[:, None, None]) / rows
        anchors = np.array(self.anchors, a.dtype) / np.array([size[1], size[0]], a.dtype)
        out[..., 2:4] = np.exp(a[..., 2:4]) * anchors
        return out.reshape(n, -1, 5 + self.num_classes)


class Darknet(Module):
    """A network that a ``.cfg`` file describes, for images [N, channels, H, W] with values from 0 to 1.

    Parameters
    ----------
    cfg : path or list of dict
        The file, or what :func:`read_cfg` gave. Sections convolutional, maxpool, upsample, route, shortcut,
        dropout and yolo are known.
    weights : path, optional
        A ``.weights`` file; None: random initial values.

    Attributes
    ----------
    input_shape : (channels, height, width)
    heads : list of YoloHead

    Notes
    -----
    Called, it gives the raw map of each head; :meth:`detect` gives boxes.

    Raises
    ------
    DataError
        The description is not understood; the section is named.
    CheckpointError
        The weights do not fit.
    """

    known: ClassVar = ("convolutional", "maxpool", "upsample", "route", "shortcut", "dropout", "yolo")

    def __init__(self, cfg: Any, weights: str | PathLike[str] | None = None) -> None:
        super().__init__()
        net, *sections = cfg if isinstance(cfg, list) else read_cfg(cfg)
        self.input_shape = (_whole(net, "channels", 3), _whole(net, "height"), _whole(net, "width"))
        self.layers = Sequential()
        self.heads: list[YoloHead] = []
        self._sources: list[tuple[str, list[int]]] = []
        widths: list[int] = []
        before = self.input_shape[0]
        for at, section in enumerate(sections):
            layer, width, sources = self._layer(section, at, before, widths)
            self.layers.append(layer)
            self._sources.append((section["type"], sources))
            widths.append(width)
            before = width
        self._needed = {source for _, sources in self._sources for source in sources}
        if weights is not None:
            self.load(weights)

    def _layer(
        self, section: dict[str, str], at: int, before: int, widths: list[int]
    ) -> tuple[Module, int, list[int]]:
        kind = section["type"]
        if kind == "convolutional":
            layer: Module = DarknetConv(before, section)
            return layer, _whole(section, "filters"), []
        if kind == "maxpool":
            size, stride = _whole(section, "size", 2), _whole(section, "stride", 1)
            padding = _whole(section, "padding", size - 1)
            if stride == 1 and padding == size - 1 and size % 2:
                return MaxPool2d(size, 1, size // 2), before, []
            if stride == size and padding == size - 1:
                return MaxPool2d(size, stride, ceil_mode=True), before, []
            raise DataError(f"[maxpool]: size {size}, stride {stride} and padding {padding} are not known")
        if kind == "upsample":
            return Upsample(scale_factor=_whole(section, "stride", 2)), before, []
        if kind in ("route", "shortcut"):
            name = "layers" if kind == "route" else "from"
            steps = [int(step) for step in _numbers(section, name)]
            sources = [step + at if step < 0 else step for step in steps]
            if not sources or not all(0 <= source < at for source in sources):
                raise DataError(f"[{kind}]: {name} is {section.get(name)!r}, expected layers before this one")
            if kind == "route":
                if "groups" in section:
                    raise DataError("[route]: groups are not known")
                return Sequential(), sum(widths[source] for source in sources), sources
            if section.get("activation", "linear") != "linear":
                raise DataError(f"[shortcut]: activation is {section['activation']!r}, expected linear")
            return Sequential(), before, sources
        if kind == "dropout":  # which darknet leaves out unless it trains
            return Sequential(), before, []
        if kind == "yolo":
            flat = _numbers(section, "anchors")
            pairs = list(zip(flat[::2], flat[1::2], strict=False))
            mask = [int(each) for each in _numbers(section, "mask")] or list(range(len(pairs)))
            if any(not 0 <= each < len(pairs) for each in mask):
                raise DataError(f"[yolo]: mask is {section.get('mask')!r}, expected numbers of anchors")
            scale = (_numbers(section, "scale_x_y") or [1.0])[0]
            head = YoloHead([pairs[each] for each in mask], _whole(section, "classes"), scale)
            if before != len(mask) * (5 + head.num_classes):
                raise DataError(
                    f"[yolo]: {before} channels, expected {len(mask)} anchors of {5 + head.num_classes}"
                )
            self.heads.append(head)
            return head, before, []
        raise DataError(f"[{kind}]: expected one of {', '.join(self.known)}")

    def forward(self, x: Any) -> list[Any]:
        kept: dict[int, Any] = {}
        maps = []
        for at, (layer, (kind, sources)) in enumerate(zip(self.layers, self._sources, strict=True)):
            if kind == "route":
                parts = [kept[source] for source in sources]
                x = parts[0] if len(parts) == 1 else ops.cat(parts, 1)
            elif kind == "shortcut":
                for source in sources:
                    x = x + kept[source]
            else:
                x = layer(x)
            if kind == "yolo":
                maps.append(x)
            if at in self._needed:
                kept[at] = x
        return maps

    def load(self, path: str | PathLike[str]) -> None:
        """Read a ``.weights`` file: a head of 16 or 20 bytes, then float32 numbers, layer by layer.

        Raises
        ------
        CheckpointError
            The file is missing, or holds more or fewer numbers than the network has.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
        version = np.frombuffer(data[:8].ljust(8, b"\0"), "<i4")
        head = 20 if version[0] * 10 + version[1] >= 2 else 16
        body = data[head:]
        convolutions = [layer for layer in self.layers if isinstance(layer, DarknetConv)]
        state = {name: array for name, array in self.state_dict().items() if not name.endswith("tracked")}
        wanted = 4 * sum(array.size for array in state.values())
        if len(body) != wanted:
            raise CheckpointError(f"{path}: holds {len(body)} bytes of weights, the network has {wanted}")
        numbers, at = np.frombuffer(body, "<f4"), 0
        found: dict[str, np.ndarray] = {}
        names = {id(layer): name for name, layer in self.named_modules()}
        for layer in convolutions:
            order = ["norm.bias", "norm.weight", "norm.running_mean", "norm.running_var"]
            for part in [*(["conv.bias"] if layer.norm is None else order), "conv.weight"]:
                name = f"{names[id(layer)]}.{part}"
                size = state[name].size
                found[name] = numbers[at : at + size].reshape(state[name].shape)
                at += size
        self.load_state_dict(found, strict=False)

    def detect(
        self, images: Any, threshold: float = 0.25, iou_threshold: float = 0.45
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Boxes in pictures.

        Parameters
        ----------
        images : path, uint8 array [H, W, 3], Pillow image, or a list of them
            Each is stretched to the network's size.
        threshold : float, default 0.25
            Least score, objectness times class.
        iou_threshold : float, default 0.45
            Above which the less certain of two boxes of a class is dropped.

        Returns
        -------
        list of (boxes, scores, labels)
            For each picture, the most certain first: float32 [n, 4], left, top, right, bottom in its pixels;
            float32 [n]; int64 [n].
        """
        from einkorn.models.preprocessing import Preprocessing, picture_of
        from einkorn.vision.yolo import chosen_boxes

        several = images if isinstance(images, (list, tuple)) else [images]
        _, height, width = self.input_shape
        if height != width:
            raise ArgumentError(f"Darknet: the network takes {height}x{width} pixels, expected a square")
        prepare = Preprocessing(height, None, mean=(0.0,) * 3, std=(1.0,) * 3)
        found = []
        for image in several:
            pixels = picture_of(image)
            maps = self.predict(prepare(pixels))
            rows = np.concatenate(
                [head.decode(each, (height, width))[0] for head, each in zip(self.heads, maps, strict=True)]
            )
            found.append(chosen_boxes(rows, pixels.shape[:2], threshold, iou_threshold))
        return found
