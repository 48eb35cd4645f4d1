"""Layers that change images at random, while training and called by hand, each image by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops, random
from einkorn._tensor import Tensor, as_numpy
from einkorn.data.augment.geometry import affine
from einkorn.data.augment.plan import Plan, Targets, mixed
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.layers._sides import as_before, as_floats, channels_first, channels_last, is_first, sides
from einkorn.ops.augment import augment_color, augment_mirror, augment_warp

__all__ = [
    "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom",
]  # fmt: skip

_BORDERS = {"reflect": "symmetric", "wrap": "wrap", "constant": "constant", "nearest": "nearest"}
_CHANNEL_CONTRAST, _ADD = 12, 13


def _factors(owner: str, name: str, factor: Any, low: float) -> tuple[float, float]:
    """Two numbers in order; one is the span from its negative."""
    pair = (-factor, factor) if np.ndim(factor) == 0 and factor is not None else factor
    try:
        first, last = (float(v) for v in pair)
    except (TypeError, ValueError):
        raise ArgumentError(f"{owner}: {name} is {factor!r}, expected a number or two") from None
    if not low <= first <= last:
        raise ArgumentError(f"{owner}: {name} is {factor!r}, expected two numbers in order from {low:g} on")
    return first, last


def _last(x: np.ndarray) -> np.ndarray:
    """Pictures with their channels last, written channel by channel: rows of few numbers are slow to copy."""
    out = np.empty((len(x), *x.shape[2:], x.shape[1]), x.dtype)
    for channel in range(x.shape[1]):
        out[..., channel] = x[:, channel]
    return out


def flat(x: np.ndarray) -> np.ndarray:
    """Of one channel, for what is the same for all values."""
    return x.reshape(len(x), 1, 1, math.prod(x.shape[1:]))


def span(owner: str, name: str, factor: Any, low: float, high: float) -> tuple[float, float]:
    """Two numbers between limits; one is the end of the span from the least, or from its negative."""
    pair = (max(-abs(factor), low), abs(factor)) if isinstance(factor, (int, float)) else factor
    try:
        first, last = sorted(float(v) for v in pair)
    except (TypeError, ValueError):
        raise ArgumentError(f"{owner}: {name} is {factor!r}, expected a number or two") from None
    if (isinstance(factor, (int, float)) and factor < low) or not low <= first <= last <= high:
        raise ArgumentError(f"{owner}: {name} is {factor!r}, expected numbers from {low:g} to {high:g}")
    return first, last


class Random(Layer):
    """What is drawn comes from einkorn's generator, or from one of the layer's own where it has a seed."""

    training: bool = True  # by hand too, as in Keras
    _integers = False
    _any_order = False  # whether pictures come with their channels where they are
    _keeps_integers = False  # whether those of integers are changed to integers

    def __init__(self, seed: int | None, data_format: str | None, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.first = is_first(data_format, type(self).__name__)
        self._generator = random.default_generator if seed is None else random.Generator(seed)

    def _drawn(self, images: int, *spans: tuple[float, float]) -> np.ndarray:
        """A number of each span for each image."""
        flat = np.zeros((images, 1, 1, 1), np.float32)
        plan = Plan(flat, Targets(), np.arange(images), mixed(*self._generator.take(1)), len(spans))
        low, high = np.array(spans).T
        return low + plan.uniform(len(spans)) * (high - low)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        name = type(self).__name__
        if isinstance(x, Tensor) and x.requires_grad:
            raise ArgumentError(f"{name}: x requires a gradient, which does not pass this layer")
        array = as_numpy(x)
        if array.ndim not in (3, 4):
            raise ShapeError(f"{name}: x has shape {array.shape}, expected [rows, height, width, channels]")
        pictures = np.asarray(array[None] if array.ndim == 3 else array, np.float32)
        as_it_is = self.first or self._any_order
        out = self._changed(np.ascontiguousarray(pictures if as_it_is else pictures.transpose(0, 3, 1, 2)))
        out = out if as_it_is else _last(out)
        if array.dtype.kind == "f" or self._keeps_integers:
            out = out.astype(array.dtype, copy=False)
        else:
            out = out.astype(np.float32, copy=False)
        return Tensor(out[0] if array.ndim == 3 else out)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no _changed()")


class RandomFlip(Random):
    """Mirrors images at random while training, each by itself.

    Parameters
    ----------
    mode : "horizontal", "vertical" or "horizontal_and_vertical", default the last
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, data_format, **options)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ArgumentError(
                f"RandomFlip: mode is {mode!r}, expected horizontal, vertical or horizontal_and_vertical"
            )
        self.mode = mode

    _any_order = True

    def _changed(self, x: np.ndarray) -> np.ndarray:
        drawn = self._drawn(len(x), (0.0, 1.0), (0.0, 1.0)) < 0.5
        down, across = (
            drawn[:, i] if name in self.mode else False for i, name in enumerate(("vertical", "horizontal"))
        )
        return augment_mirror(x, across, down, channels_last=not self.first)


class RandomCrop(Random):
    """Cuts a part of one size out of images: while training anywhere, the same place for a whole batch.

    Otherwise, and where images are smaller, the largest part in the middle of the wanted ratio of sides is
    brought to the size.

    Parameters
    ----------
    height, width : int
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    _integers = True

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, data_format, name=name, **options)
        self.height, self.width = sides((height, width), 2, "RandomCrop", "height and width")

    def call(self, x: Any, training: bool = False) -> Any:
        shape = tuple(x.shape)
        if len(shape) not in (3, 4):
            raise ShapeError(f"RandomCrop: x has shape {shape}, expected [rows, height, width, channels]")
        at = len(shape) - (2 if self.first else 3)
        tall, wide = shape[at : at + 2]
        before: tuple[slice, ...] = (slice(None),) * at
        if training and tall >= self.height and wide >= self.width:
            x = as_floats(x)
            down, across = np.floor(
                self._drawn(1, (0.0, tall - self.height + 1.0), (0.0, wide - self.width + 1.0))[0]
            ).astype(int)
            window = (*before, slice(down, down + self.height), slice(across, across + self.width))
            return x[window]
        high = min(tall, int(wide * self.height / self.width))
        broad = min(wide, int(tall * self.width / self.height))
        down, across = (tall - high) // 2, (wide - broad) // 2
        middle = (*before, slice(down, down + high), slice(across, across + broad))
        part = x[middle]
        whole = part if len(shape) == 4 else part[None]
        whole = channels_first(as_floats(whole), 2, "RandomCrop", self.first)
        out = channels_last(ops.interpolate(whole, (self.height, self.width), mode="bilinear"), 2, self.first)
        return as_before(out if len(shape) == 4 else out[0], x)


class Moved(Random):
    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **options: Any,
    ) -> None:
        super().__init__(seed, data_format, **options)
        name = type(self).__name__
        if fill_mode not in _BORDERS:
            raise ArgumentError(f"{name}: fill_mode is {fill_mode!r}, expected one of {', '.join(_BORDERS)}")
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(f"{name}: interpolation is {interpolation!r}, expected bilinear or nearest")
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def _seen(self, x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        border = _BORDERS[self.fill_mode]
        return augment_warp(x, matrix, mode=self.interpolation, border=border, fill=self.fill_value)


class RandomRotation(Moved):
    """Turns images about their middle while training.

    Parameters
    ----------
    factor : float or (float, float)
        Shares of a whole turn, counterclockwise; one number is the span from its negative.
    fill_mode : "reflect", "wrap", "constant" or "nearest", default "reflect"
    interpolation : "bilinear" or "nearest", default "bilinear"
    seed : int, optional
    fill_value : float, default 0
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.factor = _factors("RandomRotation", "factor", factor, -np.inf)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        turn = -360 * self._drawn(len(x), self.factor)[:, 0]
        zero = np.zeros((len(x), 2))
        return self._seen(x, affine(x.shape[2:], turn, zero, np.ones(len(x)), zero))


class RandomTranslation(Moved):
    """Shifts images while training.

    Parameters
    ----------
    height_factor, width_factor : float or (float, float)
        Shares of the sides, downwards and to the right; one number is the span from its negative.
    fill_mode, interpolation, seed, fill_value, data_format : as ``RandomRotation``
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor = _factors("RandomTranslation", "height_factor", height_factor, -1)
        self.width_factor = _factors("RandomTranslation", "width_factor", width_factor, -1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        matrix = np.tile(np.eye(3), (len(x), 1, 1))
        matrix[:, :2, 2] = -self._drawn(len(x), self.width_factor, self.height_factor) * x.shape[:1:-1]
        return self._seen(x, matrix)


class RandomZoom(Moved):
    """Zooms images about their middle while training.

    Parameters
    ----------
    height_factor : float or (float, float)
        What is added to 1: above 0 the picture becomes smaller, below larger; one number is the span from its
        negative.
    width_factor : float or (float, float), optional
        Default: the sides keep their ratio.
    fill_mode, interpolation, seed, fill_value, data_format : as ``RandomRotation``
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.height_factor = _factors("RandomZoom", "height_factor", height_factor, -1)
        self.width_factor = None
        if width_factor is not None:
            self.width_factor = _factors("RandomZoom", "width_factor", width_factor, -1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        drawn = 1 + self._drawn(len(x), self.width_factor or self.height_factor, self.height_factor)
        if self.width_factor is None:
            drawn[:, 0] = drawn[:, 1]
        middle = (np.array(x.shape[:1:-1]) - 1) / 2
        matrix = np.tile(np.eye(3), (len(x), 1, 1))
        matrix[:, [0, 1], [0, 1]] = drawn
        matrix[:, :2, 2] = middle - drawn * middle
        return self._seen(x, matrix)


def _white(owner: str, value_range: Any) -> float:
    low, high = (float(v) for v in value_range)
    if low != 0 or not 0 < high <= 65536:
        raise ArgumentError(f"{owner}: value_range is {value_range!r}, expected 0 and a number above it")
    return high


class RandomContrast(Random):
    """Moves values away from or towards each channel's mean while training.

    Parameters
    ----------
    factor : float or (float, float)
        The factor is drawn from 1 - factor to 1 + factor; of two numbers, one for each side.
    value_range : (float, float), default (0, 255)
        Black, which is 0, and white: results stay between them.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    _integers = True

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        seed: int | None = None,
        *,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, data_format, **options)
        low, high = (factor, factor) if np.ndim(factor) == 0 else factor
        if not (0 <= low <= 1 and high >= 0):
            raise ArgumentError(f"RandomContrast: factor is {factor!r}, expected shares, the first up to 1")
        self.factor, self.white = (1 - float(low), 1 + float(high)), _white("RandomContrast", value_range)

    _any_order = True

    def _changed(self, x: np.ndarray) -> np.ndarray:
        factors = self._drawn(len(x), self.factor)
        return augment_color(x, [_CHANNEL_CONTRAST], factors, limit=self.white, channels_last=not self.first)


class RandomBrightness(Random):
    """Adds a share of white to images while training.

    Parameters
    ----------
    factor : float or (float, float)
        From -1 to 1; one number is the span from its negative.
    value_range : (float, float), default (0, 255)
        Black, which is 0, and white: results stay between them.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        seed: int | None = None,
        *,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(seed, data_format, **options)
        self.factor = _factors("RandomBrightness", "factor", factor, -1)
        self.white = _white("RandomBrightness", value_range)

    _any_order = True
    _integers = _keeps_integers = True

    def _changed(self, x: np.ndarray) -> np.ndarray:
        added = self._drawn(len(x), self.factor) * self.white
        return augment_color(flat(x), [_ADD], added, limit=self.white).reshape(x.shape)
