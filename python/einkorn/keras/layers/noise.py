"""Regularization by noise: nothing happens but while training."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer
from einkorn.nn import functional

__all__ = [
    "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D",
]  # fmt: skip


class _Noise(Layer):
    supports_masking = True
    _integers = False

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise ArgumentError(f"{type(self).__name__}: rate is {rate!r}, expected a number from 0 to 1")
        # The library's generator draws: the seed tells nothing to it.
        self.rate, self.seed = float(rate), seed


def _ones(x: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, x._data.dtype if hasattr(x, "backward") else x.dtype)


class Dropout(_Noise):
    """Zeroes elements with a probability, and scales the others by 1 / (1 - rate).

    Parameters
    ----------
    rate : float
    noise_shape : tuple of int or None, optional
        The shape of what is drawn; 1 where elements along an axis share their fate, None for x's own size.
    seed : int, optional
        Taken and not used: ``einkorn.manual_seed`` makes all of it repeatable.
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)
        self.noise_shape = noise_shape

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        if self.noise_shape is None:
            return functional.dropout(x, self.rate, True)
        shape = tuple(n if n is not None else m for n, m in zip(self.noise_shape, x.shape, strict=True))
        return ops.multiply(x, functional.dropout(_ones(x, shape), self.rate, True))


class _Spatial(_Noise):
    _rank: ClassVar[int]

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None,
        name: str | None = None, dtype: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(rate, seed, name=name, dtype=dtype, **options)
        self.first = data_format == "channels_first"

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        between = (1,) * self._rank
        shape = (*x.shape[:2], *between) if self.first else (x.shape[0], *between, x.shape[-1])
        return ops.multiply(x, functional.dropout(_ones(x, shape), self.rate, True))


class SpatialDropout1D(_Spatial):
    """Zeroes whole channels of [rows, steps, channels].

    Parameters
    ----------
    rate : float
    """

    _rank = 1

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **options: Any
    ) -> None:
        super().__init__(rate, None, seed, name, dtype, **options)


class SpatialDropout2D(_Spatial):
    """Zeroes whole channels of images.

    Parameters
    ----------
    rate : float
    data_format : "channels_last" or "channels_first", optional
    """

    _rank = 2


class SpatialDropout3D(_Spatial):
    """Zeroes whole channels of volumes; arguments as :class:`SpatialDropout2D`."""

    _rank = 3


class GaussianDropout(_Noise):
    """Multiplies by noise of mean 1 and deviation sqrt(rate / (1 - rate)).

    Parameters
    ----------
    rate : float
        Below 1.
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)
        if self.rate == 1:
            raise ArgumentError("GaussianDropout: rate is 1, where the deviation is infinite, expected less")

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return ops.multiply(x, ops.normal(tuple(x.shape), mean=1.0, std=deviation))


class GaussianNoise(Layer):
    """Adds noise of mean 0.

    Parameters
    ----------
    stddev : float
    """

    supports_masking = True
    _integers = False

    def __init__(self, stddev: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        good = isinstance(stddev, (int, float)) and not isinstance(stddev, bool)
        if not good or not 0 <= stddev < math.inf:
            raise ArgumentError(f"GaussianNoise: stddev is {stddev!r}, expected a number >= 0")
        self.stddev, self.seed = float(stddev), seed

    def call(self, x: Any, training: bool = False) -> Any:
        return ops.add(x, ops.normal(tuple(x.shape), std=self.stddev)) if training else x


class AlphaDropout(_Noise):
    """Dropout that keeps mean and variance, for selu.

    Parameters
    ----------
    rate : float
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, seed, **options)
        if noise_shape is not None:
            raise ArgumentError(f"AlphaDropout: noise_shape is {noise_shape!r}, expected None")

    def call(self, x: Any, training: bool = False) -> Any:
        return functional.alpha_dropout(x, self.rate, training)
