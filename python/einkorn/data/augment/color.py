"""Transforms of values: colours, contrast, blur, sharpness, noise, erased parts, types and scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn.data.augment.geometry import gaussian
from einkorn.data.augment.plan import Plan
from einkorn.data.augment.transform import Transform, probability, sized, span
from einkorn.errors import ArgumentError, DTypeError, ShapeError

__all__ = [
    "ColorJitter",
    "GaussianBlur",
    "GaussianNoise",
    "Normalize",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
    "Rescale",
    "SaltAndPepperNoise",
    "ToDtype",
]

BRIGHTNESS, CONTRAST, SATURATION, HUE, POSTERIZE, SOLARIZE, INVERT = 1, 2, 3, 4, 5, 6, 7
AUTOCONTRAST, EQUALIZE, GRAYSCALE = 8, 9, 10


class ColorJitter(Transform):
    """Random brightness, contrast, saturation and hue, in random order.

    Parameters
    ----------
    brightness, contrast, saturation : float or (float, float), default 0
        Factors; one number v is the span from max(0, 1 - v) to 1 + v.
    hue : float or (float, float), default 0
        Shares of the circle, from -0.5 to 0.5; one number is the span from its negative.
    seed, channels_last : as :class:`Transform`
    """

    _draws = 8

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.brightness, self.contrast, self.saturation = (
            _factors(name, value)
            for name, value in (
                ("brightness", brightness),
                ("contrast", contrast),
                ("saturation", saturation),
            )
        )
        self.hue = span("ColorJitter", "hue", (-hue, hue) if np.ndim(hue) == 0 else hue, -0.5, 0.5)

    def _lower(self, plan: Plan) -> None:
        u = plan.uniform(8)
        spans = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        neutral = np.array([[1, 1], [1, 1], [1, 1], [0, 0]])
        kinds = np.array([BRIGHTNESS, CONTRAST, SATURATION, HUE]) * (spans != neutral).any(1)
        values = spans[:, 0] + u[:, :4] * (spans[:, 1] - spans[:, 0])
        order = u[:, 4:].argsort(1)
        plan.color(kinds[order], np.take_along_axis(values, order, 1))


def _factors(name: str, value: Any) -> tuple[float, float]:
    if np.ndim(value) == 0:
        if isinstance(value, bool) or not value >= 0:
            raise ArgumentError(f"ColorJitter: {name} is {value!r}, expected at least 0, or two numbers")
        return max(0.0, 1.0 - float(value)), 1.0 + float(value)
    return span("ColorJitter", name, value, 0)


class _Step(Transform):
    """One step of colour, with probability p."""

    _draws = 1
    _kind = 0

    def __init__(self, p: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.p = probability(type(self).__name__, p)

    def _value(self, plan: Plan) -> float:
        return 0.0

    def _lower(self, plan: Plan) -> None:
        chosen = plan.uniform(1) < self.p
        plan.color(chosen * self._kind, self._value(plan))


class RandomGrayscale(_Step):
    """All channels become grey, with probability p.

    Parameters
    ----------
    p : float, default 0.1
    seed, channels_last : as :class:`Transform`
    """

    _kind = GRAYSCALE

    def __init__(self, p: float = 0.1, **options: Any) -> None:
        super().__init__(p, **options)


class RandomInvert(_Step):
    """White minus the value, with probability p.

    Parameters
    ----------
    p : float, default 0.5
    seed, channels_last : as :class:`Transform`
    """

    _kind = INVERT


class RandomAutocontrast(_Step):
    """Each channel fills the whole range, with probability p; arguments as :class:`RandomInvert`."""

    _kind = AUTOCONTRAST


class RandomEqualize(_Step):
    """Each channel's histogram becomes even, with probability p; arguments as :class:`RandomInvert`."""

    _kind = EQUALIZE


class RandomPosterize(_Step):
    """Values keep their highest bits, with probability p.

    Parameters
    ----------
    bits : int
        From 0 to 8.
    p : float, default 0.5
    seed, channels_last : as :class:`Transform`
    """

    _kind = POSTERIZE

    def __init__(self, bits: int, p: float = 0.5, **options: Any) -> None:
        super().__init__(p, **options)
        if isinstance(bits, bool) or bits != int(bits) or not 0 <= bits <= 8:
            raise ArgumentError(f"RandomPosterize: bits is {bits!r}, expected an integer from 0 to 8")
        self.bits = int(bits)

    def _value(self, plan: Plan) -> float:
        return self.bits


class RandomSolarize(_Step):
    """Values from a threshold on are inverted, with probability p.

    Parameters
    ----------
    threshold : float
        In the unit of the pixels.
    p : float, default 0.5
    seed, channels_last : as :class:`Transform`
    """

    _kind = SOLARIZE

    def __init__(self, threshold: float, p: float = 0.5, **options: Any) -> None:
        super().__init__(p, **options)
        self.threshold = float(threshold)

    def _value(self, plan: Plan) -> float:
        return self.threshold


class RandomAdjustSharpness(Transform):
    """A picture and its smoothed self, mixed, with probability p: 0 is smooth, 1 as it was, 2 sharp.

    Parameters
    ----------
    sharpness_factor : float
        At least 0.
    p : float, default 0.5
    seed, channels_last : as :class:`Transform`
    """

    _draws = 1

    def __init__(self, sharpness_factor: float, p: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.sharpness_factor = span("RandomAdjustSharpness", "sharpness_factor", (sharpness_factor,) * 2, 0)[
            0
        ]
        self.p = probability("RandomAdjustSharpness", p)

    def _lower(self, plan: Plan) -> None:
        chosen = plan.uniform(1)[:, 0] < self.p
        sharpen(plan, np.where(chosen, self.sharpness_factor, 1.0))


def sharpen(plan: Plan, factor: np.ndarray) -> None:
    """Mix with a mean of the 3 x 3 pixels around, in which the middle counts five times; edges stay."""
    if min(plan.size) > 2:
        keep, gain = factor + (1 - factor) * 4 / 13, (1 - factor) / 13
        plan.filter(np.ones(3), np.ones(3), keep=keep, gain=gain, edges=True, limit=plan.white)


class GaussianBlur(Transform):
    """A blur by a bell curve of random width; the picture is mirrored at its edges.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Odd; across and down.
    sigma : float or (float, float), default (0.1, 2)
        In pixels.
    seed, channels_last : as :class:`Transform`
    """

    _draws = 1

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0), **options: Any) -> None:
        super().__init__(**options)
        self.kernel_size = sized("GaussianBlur", kernel_size, "kernel_size")
        if any(n % 2 == 0 or n > 8191 for n in self.kernel_size):
            raise ArgumentError(
                f"GaussianBlur: kernel_size is {kernel_size!r}, expected odd numbers up to 8191"
            )
        self.sigma = span("GaussianBlur", "sigma", (sigma, sigma) if np.ndim(sigma) == 0 else sigma, 1e-6)

    def _lower(self, plan: Plan) -> None:
        sigma = self.sigma[0] + plan.uniform(1)[:, 0] * (self.sigma[1] - self.sigma[0])
        across, down = (gaussian(n, sigma) for n in self.kernel_size)
        plan.filter(down, across)


class GaussianNoise(Transform):
    """Normal noise on every value.

    Parameters
    ----------
    mean : float, default 0
    sigma : float, default 0.1
        Where white is 1.
    clip : bool, default True
        Whether values stay between black and white.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.mean, self.clip = float(mean), bool(clip)
        self.sigma = span("GaussianNoise", "sigma", (sigma, sigma), 0)[0]

    def _lower(self, plan: Plan) -> None:
        white, is_bytes = plan.white, plan.is_bytes
        if self.mean:
            plan.scale(1.0, self.mean * white)
        plan.noise(self.sigma * white, limit=white if self.clip and not (is_bytes and self.mean) else None)


class SaltAndPepperNoise(Transform):
    """Some values become white or black.

    Parameters
    ----------
    amount : float, default 0.05
        The share of values that change.
    salt_vs_pepper : float, default 0.5
        Of these, the share that becomes white.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, amount: float = 0.05, salt_vs_pepper: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.amount = span("SaltAndPepperNoise", "amount", (amount, amount), 0, 1)[0]
        self.salt_vs_pepper = span("SaltAndPepperNoise", "salt_vs_pepper", (salt_vs_pepper,) * 2, 0, 1)[0]

    def _lower(self, plan: Plan) -> None:
        plan.noise(self.amount, salt=self.salt_vs_pepper, kind="salt_and_pepper")


class RandomErasing(Transform):
    """A rectangle of random place, area and ratio is filled, with probability p (Zhong et al. 2017).

    Parameters
    ----------
    p : float, default 0.5
    scale : (float, float), default (0.02, 0.33)
        Shares of the area.
    ratio : (float, float), default (0.3, 3.3)
        Height over width; its logarithm is drawn evenly.
    value : float, sequence or "random", default 0
        One for all channels, one for each, or normal noise.
    inplace : bool, default False
        Means nothing.
    seed, channels_last : as :class:`Transform`

    Notes
    -----
    Cutout (DeVries and Taylor 2017) is ``RandomErasing(1.0, (a, a), (1, 1))``.
    """

    _tries = 10
    _draws = 1 + 4 * _tries

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = "RandomErasing"
        self.p, self.scale = probability(name, p), span(name, "scale", scale, 0, 1)
        self.ratio = span(name, "ratio", ratio, 1e-6)
        if isinstance(value, str) and value != "random":
            raise ArgumentError(f"{name}: value is {value!r}, expected numbers or 'random'")
        self.value = None if isinstance(value, str) else value

    def _lower(self, plan: Plan) -> None:
        numbers = 1 if self.value is None else np.size(self.value)
        if numbers not in (1, plan.channels):
            raise ShapeError(
                f"RandomErasing: value has {numbers} numbers, expected 1, or {plan.channels} as the pictures "
                "have channels"
            )
        u = plan.uniform(self._draws)
        height, width = plan.size
        least, most = (share * height * width for share in self.scale)
        low, high = (math.log(ratio) / 2 for ratio in self.ratio)
        boxes = np.zeros((plan.images, 4), np.int32)
        rows = np.flatnonzero(u[:, 0] < self.p) if self.p < 1 else slice(None)  # of images without a box yet
        for first in range(1, self._draws, 4):
            area, ratio, down, across = u[rows, first : first + 4].T.copy()
            side, stretch = np.sqrt(least + area * (most - least)), np.exp(low + ratio * (high - low))
            h, w = np.rint(side * stretch), np.rint(side / stretch)
            fits = (h < height) & (w < width)
            y, x = np.floor(down * (height + 1 - h)), np.floor(across * (width + 1 - w))
            if fits.all():
                boxes[rows] = np.array((x, y, x + w, y + h)).T
                break
            rows = np.arange(plan.images) if isinstance(rows, slice) else rows
            boxes[rows[fits]] = np.array((x, y, x + w, y + h)).T[fits]
            rows = rows[~fits]
        plan.erase(boxes, self.value)


class ToDtype(Transform):
    """Pixels as floats, or as they are.

    Parameters
    ----------
    dtype : float32, default
    scale : bool, default False
        Whether bytes 0 .. 255 become 0 .. 1.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, dtype: Any = np.float32, scale: bool = False, **options: Any) -> None:
        super().__init__(**options)
        if str(dtype).rpartition(".")[2].rstrip("'>") != "float32":
            raise ArgumentError(f"ToDtype: dtype is {dtype!r}, expected float32")
        self.scale = bool(scale)

    def _lower(self, plan: Plan) -> None:
        if plan.is_bytes:
            plan.scale(1 / 255 if self.scale else 1.0, 0.0)


class Rescale(Transform):
    """Pixels times a number plus another, as floats: ``Rescale(1 / 255)``.

    Parameters
    ----------
    scale : float
    offset : float, default 0
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = float(scale), float(offset)

    def _lower(self, plan: Plan) -> None:
        plan.scale(self.scale, self.offset)


class Normalize(Transform):
    """(x - mean) / std, channel by channel, of floats.

    Parameters
    ----------
    mean, std : sequence of float, or a number for all channels
    inplace : bool, default False
        Means nothing.
    seed, channels_last : as :class:`Transform`

    Raises
    ------
    DTypeError
        When called with bytes: ``ToDtype(scale=True)`` goes before it.
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.mean, self.std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        if self.mean.ndim > 1 or self.std.ndim > 1 or not (self.std > 0).all():
            raise ArgumentError(f"Normalize: mean is {mean!r} and std {std!r}, expected numbers, std above 0")

    def _lower(self, plan: Plan) -> None:
        if plan.is_bytes:
            raise DTypeError(
                "Normalize: x has dtype uint8, expected float32: ToDtype(scale=True) goes before it"
            )
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value.ndim and len(value) not in (1, plan.channels):
                raise ArgumentError(f"Normalize: {name} has {len(value)} numbers, expected {plan.channels}")
        plan.scale(1 / self.std, -self.mean / self.std)
