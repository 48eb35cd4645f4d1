"""Layers that change the colours of images at random, each image by itself, while training and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.layers._sides import as_floats
from einkorn.keras.layers.augmentation import Random, RandomBrightness, RandomContrast, flat, span
from einkorn.keras.ops import image
from einkorn.ops.augment import augment_color

__all__ = [
    "AutoContrast", "Equalization", "RandomColorDegeneration", "RandomColorJitter", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPosterization", "RandomSaturation",
    "RandomSharpness", "Solarization",
]  # fmt: skip


_BITS = 14


def _limits(owner: str, value_range: Any) -> tuple[float, float]:
    """Black and white."""
    if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
        raise ArgumentError(f"{owner}: value_range is {value_range!r}, expected black and white")
    low, high = sorted(float(v) for v in value_range)
    if low == high:
        raise ArgumentError(f"{owner}: value_range is {value_range!r}, expected two different numbers")
    return low, high


class _Coloured(Random):
    """With values from black to white."""

    def __init__(self, value_range: Any, seed: int | None, data_format: str | None, **options: Any) -> None:
        super().__init__(seed, data_format, **options)
        self.black, self.white = _limits(type(self).__name__, value_range)
        self._is_plain = (self.black, self.white) == (0, 255)

    def _to(self, x: np.ndarray, high: float) -> np.ndarray:
        """Values from 0 to ``high``."""
        return (x - np.float32(self.black)) * np.float32(high / (self.white - self.black))

    def _from(self, x: np.ndarray, high: float) -> np.ndarray:
        return x * np.float32((self.white - self.black) / high) + np.float32(self.black)

    def _each(self, x: np.ndarray, *spans: tuple[float, float]) -> list[np.ndarray]:
        """A number of each span for each image, to be computed with [rows, channels, height, width]."""
        drawn = self._drawn(len(x), *spans).astype(np.float32)
        return [drawn[:, i, None, None, None] for i in range(len(spans))]

    def _three(self, x: np.ndarray, *more: int) -> None:
        if x.shape[1] not in (3, *more):
            counts = " or ".join(str(count) for count in (*more, 3))
            raise ShapeError(f"{type(self).__name__}: x has {x.shape[1]} channels, expected {counts}")


def _gray(x: np.ndarray) -> np.ndarray:
    if x.shape[1] == 1:
        return x
    return np.asarray(image.rgb_to_grayscale(x, "channels_first"))


class RandomInvert(_Coloured):
    """Turns images into their negatives.

    Parameters
    ----------
    factor : float or (float, float), default 1
        The probability is drawn from this span; of one number, from 0 on.
    value_range : (float, float), default (0, 255)
        Black and white.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    _integers = True

    def __init__(
        self, factor: Any = 1.0, value_range: Any = (0, 255), seed: int | None = None,
        data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomInvert", "factor", factor, 0, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        chance, drawn = self._each(x, self.factor, (0.0, 1.0))
        return np.where(drawn < chance, np.float32(self.white) - x, x)


class RandomGrayscale(_Coloured):
    """Takes the colours from images.

    Parameters
    ----------
    factor : float, default 0.5
        The probability.
    data_format : "channels_last" or "channels_first", optional
    seed : int, optional
    """

    _integers = _keeps_integers = True

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__((0, 255), seed, data_format, **options)
        if not 0 <= factor <= 1:
            raise ArgumentError(f"RandomGrayscale: factor is {factor!r}, expected a number from 0 to 1")
        self.factor = float(factor)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        self._three(x, 1)
        (drawn,) = self._each(x, (0.0, 1.0))
        return np.where(drawn < self.factor, _gray(x), x)


class RandomColorDegeneration(_Coloured):
    """Moves images towards their brightness.

    Parameters
    ----------
    factor : float or (float, float)
        How far: 0 leaves them, 1 takes the colours away.
    value_range, data_format, seed : as ``RandomInvert``
    """

    _integers = True

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomColorDegeneration", "factor", factor, -1, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        self._three(x, 1)
        (share,) = self._each(x, self.factor)
        return np.clip(x + share * (_gray(x) - x), self.black, self.white)


class RandomSaturation(_Coloured):
    """Makes colours stronger or weaker.

    Parameters
    ----------
    factor : float or (float, float)
        From 0 to 1: 0 takes the colours away, 0.5 leaves them, 1 makes them as strong as can be.
    value_range, data_format, seed : as ``RandomInvert``
    """

    _integers = True

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomSaturation", "factor", factor, -1, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        self._three(x)
        share = self._drawn(len(x), self.factor)[:, 0]
        times = (share / (1 - share + 1e-7)).astype(np.float32)[:, None, None]
        parts = np.array(image.rgb_to_hsv(x, "channels_first"))
        parts[:, 1] = np.clip(parts[:, 1] * times, self.black, self.white)
        return np.asarray(image.hsv_to_rgb(parts, "channels_first"))


class RandomHue(_Coloured):
    """Turns colours around the circle of them.

    Parameters
    ----------
    factor : float or (float, float)
        From 0 to 1, by half of which of a whole turn, in either direction.
    value_range, data_format, seed : as ``RandomInvert``
    """

    _integers = True

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomHue", "factor", factor, 0, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        self._three(x)
        turn, side = self._drawn(len(x), self.factor, (0.0, 1.0)).T
        parts = np.array(image.rgb_to_hsv(self._to(x, 1.0), "channels_first"))
        hue = parts[:, 0] + np.where(side > 0.5, -turn / 2, turn / 2).astype(np.float32)[:, None, None]
        parts[:, 0] = np.where(hue > 1, hue - 1, np.where(hue < 0, hue + 1, hue))
        out = np.clip(np.asarray(image.hsv_to_rgb(parts, "channels_first")), 0, 1)
        return self._from(out, 1.0)


class RandomSharpness(_Coloured):
    """Makes images sharper or smoother.

    Parameters
    ----------
    factor : float or (float, float)
        From 0 to 1: 0 smooths, 0.5 leaves them, 1 sharpens.
    value_range, data_format, seed : as ``RandomInvert``
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomSharpness", "factor", factor, 0, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        (share,) = self._each(x, self.factor)
        kernel = np.full((3, 3), 1 / 13)
        kernel[1, 1] = 5 / 13
        smooth = image.filtered(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), kernel, (1, 1))
        smooth = np.asarray(smooth).transpose(0, 3, 1, 2)
        return np.clip(x + (1 - 2 * share) * (smooth - x), self.black, self.white)


class RandomPosterization(_Coloured):
    """Leaves so many bits of each value.

    Parameters
    ----------
    factor : int or (int, int)
        How many, from 1 to 8; of two, from the first to below the second.
    value_range, data_format, seed : as ``RandomInvert``
    """

    _integers = True

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomPosterization", "factor", factor, 1, 8)

    _any_order = True

    def _changed(self, x: np.ndarray) -> np.ndarray:
        low, high = self.factor
        bits = np.floor(self._drawn(len(x), (low, high)))
        out = augment_color(flat(x if self._is_plain else self._to(x, 255.0)), [_BITS], bits, limit=255.0)
        return (out if self._is_plain else self._from(out, 255.0)).reshape(x.shape)


class Solarization(_Coloured):
    """Turns values from a threshold on into their negatives.

    Parameters
    ----------
    addition_factor, threshold_factor : float or (float, float), default 0
        Shares of white: what is added before, and the threshold.
    value_range : (float, float), default (0, 255)
    seed : int, optional
    """

    def __init__(
        self, addition_factor: Any = 0.0, threshold_factor: Any = 0.0, value_range: Any = (0, 255),
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, None, **options)
        self.addition_factor = span("Solarization", "addition_factor", addition_factor, 0, 1)
        self.threshold_factor = span("Solarization", "threshold_factor", threshold_factor, 0, 1)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        spans = [(low, 255 * high) for low, high in (self.addition_factor, self.threshold_factor)]
        added, threshold = self._each(x, *spans)
        whole = np.clip(self._to(x, 255.0) + added, 0, 255)
        return self._from(np.where(whole < threshold, whole, 255 - whole), 255.0)


class AutoContrast(_Coloured):
    """Stretches each channel of an image from black to white, also while not training.

    Parameters
    ----------
    value_range : (float, float), default (0, 255)
    """

    def __init__(self, value_range: Any = (0, 255), **options: Any) -> None:
        super().__init__(value_range, None, None, **options)

    def call(self, x: Any, training: bool = False) -> Any:
        return super().call(x, True)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        whole = self._to(x, 255.0)
        low, high = whole.min((2, 3), keepdims=True), whole.max((2, 3), keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.float32(255) / (high - low)
            out = self._from(np.clip(whole * scale - low * scale, 0, 255), 255.0)
        return np.where(np.isnan(out), x, out)


class Equalization(_Coloured):
    """Spreads the values of each channel so that all are as frequent, in a batch counted together.

    Parameters
    ----------
    value_range : (float, float), default (0, 255)
    bins : int, default 256
        How finely values are counted.
    data_format : "channels_last" or "channels_first", optional
    """

    _integers = True

    def __init__(
        self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(value_range, None, data_format, **options)
        if not isinstance(bins, int) or bins < 2:
            raise ArgumentError(f"Equalization: bins is {bins!r}, expected an integer >= 2")
        self.bins = bins

    def _changed(self, x: np.ndarray) -> np.ndarray:
        out = self._to(x, 255.0)
        places = np.nan_to_num(np.clip(out * np.float32((self.bins - 1) / 255), 0, self.bins - 1)).astype(
            np.int64
        )
        for channel in range(x.shape[1]):
            counts = np.bincount(places[:, channel].reshape(-1), minlength=self.bins)
            if np.count_nonzero(counts) > 1:
                below = counts.cumsum()
                least = below[below > 0][0]
                table = np.clip(np.round((below - least) * 255 / max(1, below[-1] - least)), 0, 255)
                out[:, channel] = np.where(np.isnan(out[:, channel]), np.nan, table[places[:, channel]])
        return self._from(out, 255.0)


class RandomGaussianBlur(_Coloured):
    """Blurs images by a normal curve.

    Parameters
    ----------
    factor : float or (float, float), default 1
        The probability is drawn from this span; of one number, from 0 on.
    kernel_size : int or (int, int), default 3
    sigma : float or (float, float), default 1
        How wide the curve is, or the span; a number is the span from 0.
    value_range, data_format, seed : as ``RandomInvert``
    """

    def __init__(
        self, factor: Any = 1.0, kernel_size: Any = 3, sigma: Any = 1.0, value_range: Any = (0, 255),
        data_format: str | None = None, seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, data_format, **options)
        self.factor = span("RandomGaussianBlur", "factor", factor, 0, 1)
        self.sigma = span("RandomGaussianBlur", "sigma", sigma, 0, np.inf)
        sizes = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) != 2 or any(not isinstance(n, int) or n < 1 or n % 2 == 0 for n in sizes):
            raise ArgumentError(f"RandomGaussianBlur: kernel_size is {kernel_size!r}, expected odd integers")
        self.kernel_size = sizes

    def _changed(self, x: np.ndarray) -> np.ndarray:
        chance, drawn = self._each(x, self.factor, (0.0, 1.0))
        wide = self._drawn(2, self.sigma)[:, 0] + 1e-6
        blurred = np.asarray(image.gaussian_blur(x, self.kernel_size, wide, "channels_first"))
        return np.clip(np.where(drawn < chance, blurred, x), self.black, self.white)


class RandomColorJitter(Layer):
    """Changes brightness, contrast, saturation and hue, in this order.

    Parameters
    ----------
    value_range : (float, float), default (0, 255)
    brightness_factor, contrast_factor, saturation_factor, hue_factor : float or (float, float), optional
        As the ``factor`` of ``RandomBrightness``, ``RandomContrast``, ``RandomSaturation`` and ``RandomHue``.
    seed : int, optional
    data_format : "channels_last" or "channels_first", optional
    """

    training: bool = True
    _integers = True

    def __init__(
        self, value_range: Any = (0, 255), brightness_factor: Any = None, contrast_factor: Any = None,
        saturation_factor: Any = None, hue_factor: Any = None, seed: int | None = None,
        data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        more = {"value_range": value_range, "seed": seed, "data_format": data_format}
        kinds = (
            (RandomBrightness, brightness_factor), (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor), (RandomHue, hue_factor),
        )  # fmt: skip
        self.parts = [
            kind(factor, name=f"part_{i}", **more)
            for i, (kind, factor) in enumerate(kinds)
            if factor is not None
        ]

    def call(self, x: Any, training: bool = False) -> Any:
        x = as_floats(x) if training else x
        for part in self.parts:
            x = part(x, training=training)
        return x
