"""Layers that mix pictures with each other, or with themselves after random changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.layers.augmentation import (
    Random,
    RandomBrightness,
    RandomContrast,
    RandomRotation,
    RandomTranslation,
    span,
)
from einkorn.keras.layers.colours import (
    AutoContrast,
    Equalization,
    RandomColorDegeneration,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from einkorn.keras.layers.distortions import RandomShear
from einkorn.ops.augment import augment_erase

__all__ = ["AugMix", "CutMix", "MaxNumBoundingBoxes", "MixUp", "RandAugment"]


_OF_BOXES = ("bounding_box_format", "data_format")  # what boxes that are not moved do not depend on


def _array(x: Any) -> np.ndarray:
    return as_numpy(x)


class _Mixed(Random):
    """Whose call takes pictures, or a dict of "images", "labels" and what else goes with them."""

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        given = x if isinstance(x, dict) else {"images": x}
        if "images" not in given:
            raise ArgumentError(
                f"{type(self).__name__}: x has {', '.join(given)}, expected images among them"
            )
        images = _array(given["images"])
        if images.ndim != 4:
            raise ShapeError(
                f"{type(self).__name__}: images have shape {images.shape}, expected "
                "[rows, height, width, channels]"
            )
        images = np.ascontiguousarray(images, dtype=images.dtype if images.dtype.kind == "f" else np.float32)
        first = int(self._generator.take(1)[0]) % 2**32
        out = self._mixed(images, given, np.random.default_rng(first))
        return {**given, **out} if isinstance(x, dict) else out["images"]

    def _mixed(self, images: np.ndarray, given: dict[str, Any], drawn: np.random.Generator) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} defines no _mixed()")

    def _labels(self, given: dict[str, Any], share: np.ndarray, other: np.ndarray) -> dict[str, Any]:
        if "labels" not in given:
            return {}
        labels = _array(given["labels"])
        if labels.ndim != 2 or len(labels) != len(other):
            raise ShapeError(
                f"{type(self).__name__}: labels have shape {labels.shape}, expected [{len(other)}, classes]"
            )
        kind = labels.dtype if labels.dtype.kind == "f" else np.float32
        weight = share.astype(kind)[:, None]
        return {"labels": Tensor(weight * labels + (1 - weight) * labels[other])}


class MixUp(_Mixed):
    """Blends each picture with another one of the batch, and their labels alike (Zhang et al. 2017).

    Parameters
    ----------
    alpha : float, default 0.2
        Shares are of the beta distribution with this number twice.
    data_format : "channels_last" or "channels_first", optional
    seed : int, optional

    Notes
    -----
    Called with a dict, ``"labels"`` [rows, classes] and ``"segmentation_masks"`` are blended too, and boxes
    of ``"bounding_boxes"`` are those of both pictures.
    """

    _integers = True

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **options: Any
    ) -> None:
        options.pop("bounding_box_format", None)
        super().__init__(seed, data_format, **options)
        if not alpha > 0:
            raise ArgumentError(f"MixUp: alpha is {alpha!r}, expected a number above 0")
        self.alpha = float(alpha)

    def _mixed(self, images: np.ndarray, given: dict[str, Any], drawn: np.random.Generator) -> dict[str, Any]:
        other = drawn.permutation(len(images))
        share = drawn.beta(self.alpha, self.alpha, len(images))

        def blended(x: np.ndarray) -> np.ndarray:
            weight = share.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
            return weight * x + (1 - weight) * x[other]

        out = {"images": Tensor(blended(images)), **self._labels(given, share, other)}
        if "segmentation_masks" in given:
            masks = _array(given["segmentation_masks"])
            out["segmentation_masks"] = Tensor(blended(masks.astype(np.float32)))
        if "bounding_boxes" in given:
            boxes, labels = (_array(given["bounding_boxes"][name]) for name in ("boxes", "labels"))
            both = {
                "boxes": np.concatenate([boxes, boxes[other]], 1),
                "labels": np.concatenate([labels, labels[other]], 1),
            }
            out["bounding_boxes"] = {**given["bounding_boxes"], **both}
        return out


class CutMix(_Mixed):
    """Puts a rectangle of another picture of the batch in, and mixes labels by area (Yun et al. 2019).

    Parameters
    ----------
    factor : float or (float, float), default 1
        A number of this span, drawn for the batch, is that of the beta distribution whose share of a picture
        stays; of one number, from 0 on.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional

    Notes
    -----
    Called with a dict, ``"labels"`` [rows, classes] are mixed and ``"segmentation_masks"`` get the same
    rectangles.
    """

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(seed, data_format, **options)
        self.factor = span("CutMix", "factor", factor, 0, 1)

    def _mixed(self, images: np.ndarray, given: dict[str, Any], drawn: np.random.Generator) -> dict[str, Any]:
        if "bounding_boxes" in given:
            raise ArgumentError("CutMix: x has bounding_boxes, which rectangles would cut")
        rows = len(images)
        high, wide = images.shape[2:] if self.first else images.shape[1:3]
        alpha = drawn.uniform(*self.factor) + 1e-6
        part = np.sqrt(1 - drawn.beta(alpha, alpha, rows))
        edges, area = [], np.ones(rows)
        for side in (wide, high):
            size = part * side
            begin = drawn.random(rows) * (side - size)
            edges.append((np.ceil(begin), np.ceil(begin + size)))  # pixels from one edge to before the other
            area *= size / max(side, 1)
        (left, right), (top, bottom) = edges
        boxes = np.stack([left, top, right, bottom], 1).astype(np.int32)
        other = drawn.permutation(rows)
        out = {"images": self._cut(images, boxes, other), **self._labels(given, 1 - area, other)}
        if "segmentation_masks" in given:
            masks = _array(given["segmentation_masks"]).astype(np.float32)
            out["segmentation_masks"] = self._cut(masks, boxes, other)
        return out

    def _cut(self, x: np.ndarray, boxes: np.ndarray, other: np.ndarray) -> Tensor:
        if not x.size:
            return Tensor(x)
        kind, x = x.dtype, x.astype(np.float32, copy=False)
        filler = x[other]
        if not self.first:  # columns of all channels are beside each other
            boxes = boxes * np.array([x.shape[3], 1, x.shape[3], 1], np.int32)
        flat = x.shape if self.first else (len(x), 1, x.shape[1], x.shape[2] * x.shape[3])
        out = augment_erase(x.reshape(flat), boxes, filler=filler.reshape(flat))
        return Tensor(out.reshape(x.shape).astype(kind, copy=False))


class _Policy(Random):
    """Which has layers that it takes some of."""

    def __init__(
        self, names: tuple[str, ...], value_range: Any, factor: Any, interpolation: str, seed: int | None,
        data_format: str | None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(seed, data_format, **options)
        self.value_range = tuple(value_range)
        self.factor = span(type(self).__name__, "factor", factor, 0, 1)
        self.interpolation = interpolation
        each: dict[str, Any] = {"seed": seed, "data_format": data_format}
        seen, ranged = {**each, "interpolation": interpolation}, {**each, "value_range": self.value_range}
        low, high = self.factor
        makers: dict[str, Any] = {
            "random_shear": lambda: RandomShear(self.factor, self.factor, **seen),
            "random_translation": lambda: RandomTranslation(self.factor, self.factor, **seen),
            "random_rotation": lambda: RandomRotation(self.factor, **seen),
            "random_brightness": lambda: RandomBrightness(self.factor, **ranged),
            "random_color_degeneration": lambda: RandomColorDegeneration(self.factor, **ranged),
            "random_contrast": lambda: RandomContrast((low, high), **ranged),
            "random_sharpness": lambda: RandomSharpness(self.factor, **ranged),
            "random_posterization": lambda: RandomPosterization(max(1, int(8 * high)), **ranged),
            "solarization": lambda: Solarization(self.factor, self.factor, self.value_range, seed),
            "auto_contrast": lambda: AutoContrast(self.value_range),
            "equalization": lambda: Equalization(self.value_range, data_format=data_format),
        }
        self.parts = [makers[name]() for name in names]
        for part in self.parts:
            part.first = self.first

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        array = _array(x)
        if array.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__}: x has shape {array.shape}, expected [rows, height, width, channels]"
            )
        first = int(self._generator.take(1)[0]) % 2**32
        kind = array.dtype if array.dtype.kind == "f" else np.dtype(np.float32)
        out = self._chained(array.astype(np.float32), np.random.default_rng(first))
        return Tensor(out.astype(kind, copy=False))

    def _chained(self, x: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no _chained()")

    def _one(self, x: np.ndarray, number: int) -> np.ndarray:
        return _array(self.parts[number](x, training=True))


_MOVES = ("random_shear", "random_translation", "random_rotation")
_VALUES = ("random_posterization", "solarization", "auto_contrast", "equalization")
_MORE = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


class RandAugment(_Policy):
    """Some of eleven layers one after the other, which ones is drawn for the batch (Cubuk et al. 2019).

    Parameters
    ----------
    value_range : (float, float), default (0, 255)
        Black and white.
    num_ops : int, default 2
        How many.
    factor : float or (float, float), default 0.5
        How strong they are, from 0 to 1; of one number, from 0 on.
    interpolation : "bilinear" or "nearest", default "bilinear"
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self, value_range: Any = (0, 255), num_ops: int = 2, factor: Any = 0.5,
        interpolation: str = "bilinear", seed: int | None = None, data_format: str | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        names = (*_MOVES, *_MORE, *_VALUES)
        super().__init__(names, value_range, factor, interpolation, seed, data_format, **options)
        if isinstance(num_ops, bool) or int(num_ops) != num_ops or num_ops < 0:
            raise ArgumentError(f"RandAugment: num_ops is {num_ops!r}, expected an integer >= 0")
        self.num_ops = int(num_ops)

    def _chained(self, x: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
        for number in drawn.integers(len(self.parts), size=self.num_ops):
            x = self._one(x, int(number))
        return x


class AugMix(_Policy):
    """A mean of pictures and of several chains of changes of them (Hendrycks et al. 2019).

    Parameters
    ----------
    value_range : (float, float), default (0, 255)
        Black and white, between which results lie.
    num_chains : int, default 3
    chain_depth : int, default 3
        Changes of a chain, each of which may be none.
    factor : float or (float, float), default 0.3
        How strong they are, from 0 to 1; of one number, from 0 on.
    alpha : float, default 1
        Of the Dirichlet distribution of the chains' shares, and of the beta distribution of the pictures'.
    all_ops : bool, default True
        Whether brightness, colour, contrast and sharpness are among the changes.
    interpolation : "bilinear" or "nearest", default "bilinear"
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self, value_range: Any = (0, 255), num_chains: int = 3, chain_depth: int = 3, factor: Any = 0.3,
        alpha: float = 1.0, all_ops: bool = True, interpolation: str = "bilinear", seed: int | None = None,
        data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        names = (*_MOVES, *_VALUES, *(_MORE if all_ops else ()))
        super().__init__(names, value_range, factor, interpolation, seed, data_format, **options)
        for what, value in (("num_chains", num_chains), ("chain_depth", chain_depth)):
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ArgumentError(f"AugMix: {what} is {value!r}, expected an integer >= 1")
        if not alpha > 0:
            raise ArgumentError(f"AugMix: alpha is {alpha!r}, expected a number above 0")
        self.num_chains, self.chain_depth, self.alpha = int(num_chains), int(chain_depth), float(alpha)
        self.all_ops = bool(all_ops)

    def _chained(self, x: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
        shares = drawn.dirichlet([self.alpha] * self.num_chains).astype(np.float32)
        stays = np.float32(drawn.beta(self.alpha, self.alpha))
        changed = np.zeros_like(x)
        for share in shares:
            chain = x
            for number in drawn.integers(len(self.parts) + 1, size=self.chain_depth):
                if number < len(self.parts):
                    chain = self._one(chain, int(number))
            changed += share * chain
        return np.clip(stays * x + (1 - stays) * changed, *self.value_range)


class MaxNumBoundingBoxes(Layer):
    """As many boxes for each picture: more are left out, fewer are filled up.

    Parameters
    ----------
    max_number : int
    fill_value : int, default -1
        What boxes and labels are filled up with.
    **options
        As those of a layer; ``bounding_box_format`` and ``data_format`` make no difference.

    Notes
    -----
    It is called with a dict, whose ``"bounding_boxes"`` has ``"boxes"`` [rows, boxes, 4] and ``"labels"``
    [rows, boxes].
    """

    def __init__(self, max_number: int, fill_value: int = -1, **options: Any) -> None:
        for name in _OF_BOXES:
            options.pop(name, None)
        super().__init__(**options)
        if int(max_number) < 0:
            raise ArgumentError(f"MaxNumBoundingBoxes: max_number is {max_number!r}, expected at least 0")
        self.max_number, self.fill_value = int(max_number), int(fill_value)

    def call(self, x: Any) -> Any:
        if not isinstance(x, dict) or "bounding_boxes" not in x:
            return x
        given = x["bounding_boxes"]
        out = {}
        for name, axes in (("boxes", 3), ("labels", 2)):
            array = _array(given[name])
            if array.ndim != axes:
                raise ShapeError(
                    f"MaxNumBoundingBoxes: {name} have shape {array.shape}, expected {axes} axes"
                )
            array = array[:, : self.max_number]
            room = [(0, 0)] * axes
            room[1] = (0, self.max_number - array.shape[1])
            out[name] = np.pad(array, room, constant_values=self.fill_value)
        return {**x, "bounding_boxes": {**given, **out}}
