"""Layers that move the elements of images at random, each image by itself, or cut parts out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError
from einkorn.keras.layers.augmentation import Moved, Random, span
from einkorn.keras.ops import image

__all__ = ["RandomElasticTransform", "RandomErasing", "RandomPerspective", "RandomShear"]

_FILLS = ("reflect", "wrap", "constant", "nearest")


class RandomShear(Moved):
    """Shears images: rows are shifted by their number, or columns.

    Parameters
    ----------
    x_factor, y_factor : float or (float, float), default 0
        By how much of an element for each row, and each column, in either direction.
    interpolation : "bilinear" or "nearest", default "bilinear"
    fill_mode : "reflect", "wrap", "constant" or "nearest", default "reflect"
    fill_value : float, default 0
    data_format : "channels_last" or "channels_first", optional
    seed : int, optional
    """

    def __init__(
        self, x_factor: Any = 0.0, y_factor: Any = 0.0, interpolation: str = "bilinear",
        fill_mode: str = "reflect", fill_value: float = 0.0, data_format: str | None = None,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.x_factor = span("RandomShear", "x_factor", x_factor, 0, 1)
        self.y_factor = span("RandomShear", "y_factor", y_factor, 0, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        across, down, side = self._drawn(len(x), self.x_factor, self.y_factor, (0.0, 1.0)).T
        sign = np.where(side > 0.5, -1.0, 1.0)
        matrix = np.tile(np.eye(3), (len(x), 1, 1))
        matrix[:, 0, 1], matrix[:, 1, 0] = across * sign, down * sign
        return self._seen(x, matrix)


class RandomErasing(Random):
    """Fills a rectangle of images.

    Parameters
    ----------
    factor : float or (float, float), default 1
        The probability is drawn from this span; of one number, from 0 on.
    scale : float or (float, float), default (0.02, 0.33)
        The share of the area.
    fill_value : float or three of them, optional
        By default random numbers.
    value_range : (float, float), default (0, 255)
        Black and white, between which what is filled in lies.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self, factor: Any = 1.0, scale: Any = (0.02, 0.33), fill_value: Any = None,
        value_range: Any = (0, 255), seed: int | None = None, data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(seed, data_format, **options)
        self.factor = span("RandomErasing", "factor", factor, 0, 1)
        self.scale = span("RandomErasing", "scale", scale, 0, 1)
        if fill_value is not None and np.shape(fill_value) not in ((), (3,)):
            raise ArgumentError(f"RandomErasing: fill_value is {fill_value!r}, expected a number or three")
        self.fill_value, self.value_range = fill_value, tuple(value_range)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        rows, _, tall, wide = x.shape
        drawn = self._drawn(rows, self.factor, (0.0, 1.0), self.scale, self.scale, (0.0, 1.0), (0.0, 1.0))
        chance, one, across, down, left, top = drawn.T[:, :, None, None, None]
        high, broad = np.sqrt(down) * tall, np.sqrt(across) * wide
        top, left = top * (tall - high), left * (wide - broad)
        y, z = np.arange(tall)[:, None], np.arange(wide)
        inside = (y >= top) & (y < top + high) & (z >= left) & (z < left + broad) & (one < chance)
        low, white = self.value_range
        if self.fill_value is None:
            first = int(self._generator.take(1)[0]) % 2**32
            filler = np.random.default_rng(first).normal(size=x.shape) * white
        else:
            filler = np.broadcast_to(np.asarray(self.fill_value, np.float64).reshape(-1, 1, 1), x.shape)
        return np.where(inside, np.clip(filler, low, white).astype(np.float32), x)


class RandomPerspective(Random):
    """Shows images at an angle.

    Parameters
    ----------
    factor : float or (float, float), default 1
        The probability is drawn from this span; of one number, from 0 on.
    scale : float, default 1
        How far corners are moved: at most by half of this share of where they are.
    interpolation : "bilinear" or "nearest", default "bilinear"
    fill_value : float, default 0
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self, factor: Any = 1.0, scale: float = 1.0, interpolation: str = "bilinear",
        fill_value: float = 0.0, seed: int | None = None, data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(seed, data_format, **options)
        self.factor = span("RandomPerspective", "factor", factor, 0, 1)
        if not 0 <= scale <= 1:
            raise ArgumentError(f"RandomPerspective: scale is {scale!r}, expected a number from 0 to 1")
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(
                f"RandomPerspective: interpolation is {interpolation!r}, expected bilinear or nearest"
            )
        self.scale, self.interpolation, self.fill_value = float(scale), interpolation, fill_value

    def _changed(self, x: np.ndarray) -> np.ndarray:
        tall, wide = x.shape[2:]
        half = self.scale / 2
        drawn = self._drawn(len(x), self.factor, (0.0, 1.0), *[(-half, half)] * 8)
        start = np.array([[0, 0], [wide - 1, 0], [0, tall - 1], [wide - 1, tall - 1]], np.float64)
        start = np.tile(start, (len(x), 1, 1))
        end = start * (1 + drawn[:, 2:].reshape(-1, 4, 2))
        seen = image.perspective_transform(
            x, start, end, self.interpolation, self.fill_value, "channels_first"
        )
        chosen = (drawn[:, 1] < drawn[:, 0])[:, None, None, None]
        return np.where(chosen, np.asarray(seen), x)


class RandomElasticTransform(Random):
    """Moves the elements of images, neighbours alike.

    Parameters
    ----------
    factor : float or (float, float), default 1
        The probability is drawn from this span; of one number, from 0 on.
    scale : float or (float, float), default 1
        How far elements are moved, 1 for a tenth of the longer side, and over how many others alike, 1 for a
        twentieth of the shorter one.
    interpolation : "bilinear" or "nearest", default "bilinear"
    fill_mode : "reflect", "wrap", "constant" or "nearest", default "reflect"
    fill_value : float, default 0
    value_range : (float, float), default (0, 255)
        Black and white, between which results lie.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self, factor: Any = 1.0, scale: Any = 1.0, interpolation: str = "bilinear",
        fill_mode: str = "reflect", fill_value: float = 0.0, value_range: Any = (0, 255),
        seed: int | None = None, data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(seed, data_format, **options)
        self.factor = span("RandomElasticTransform", "factor", factor, 0, 1)
        self.scale = span("RandomElasticTransform", "scale", scale, 0, np.inf)
        if fill_mode not in _FILLS:
            raise ArgumentError(
                f"RandomElasticTransform: fill_mode is {fill_mode!r}, expected one of {', '.join(_FILLS)}"
            )
        self.interpolation, self.fill_mode, self.fill_value = interpolation, fill_mode, fill_value
        self.value_range = tuple(value_range)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        drawn = self._drawn(len(x), self.factor, (0.0, 1.0))
        far = float(self._drawn(1, self.scale)[0, 0])
        if far == 0:
            return x
        first = int(self._generator.take(1)[0]) % 2**31
        moved = image.elastic_transform(
            x, 0.1 * far * max(x.shape[2:]), 0.05 * far * min(x.shape[2:]), self.interpolation,
            self.fill_mode, self.fill_value, first, "channels_first",
        )  # fmt: skip
        chosen = (drawn[:, 1] < drawn[:, 0])[:, None, None, None]
        return np.clip(np.where(chosen, np.asarray(moved), x), *self.value_range)
