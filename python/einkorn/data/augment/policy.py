"""Policies: random steps of random strength, of a fixed list."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.data.augment.color import (
    AUTOCONTRAST,
    BRIGHTNESS,
    CONTRAST,
    EQUALIZE,
    POSTERIZE,
    SATURATION,
    SOLARIZE,
    sharpen,
)
from einkorn.data.augment.plan import Plan
from einkorn.data.augment.transform import Transform, fill_of, mode_of
from einkorn.errors import ArgumentError

__all__ = ["RandAugment", "TrivialAugmentWide"]

_NAMES = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
_SHEAR_X, _SHEAR_Y, _TRANSLATE_X, _TRANSLATE_Y, _ROTATE = 1, 2, 3, 4, 5
_SHARPNESS = 9
_SIGNED = np.arange(len(_NAMES)) <= _SHARPNESS  # steps that go in either direction
_AROUND_ONE = np.isin(np.arange(len(_NAMES)), (6, 7, 8, _SHARPNESS))  # whose strength is added to 1
_KINDS = np.array(
    [0, 0, 0, 0, 0, 0, BRIGHTNESS, SATURATION, CONTRAST, 0, POSTERIZE, SOLARIZE, AUTOCONTRAST, EQUALIZE]
)


class _Policy(Transform):
    def __init__(self, num_magnitude_bins: int, interpolation: Any, fill: Any, **options: Any) -> None:
        super().__init__(**options)
        name = type(self).__name__
        if (
            isinstance(num_magnitude_bins, bool)
            or int(num_magnitude_bins) != num_magnitude_bins
            or num_magnitude_bins < 2
        ):
            raise ArgumentError(
                f"{name}: num_magnitude_bins is {num_magnitude_bins!r}, expected an integer >= 2"
            )
        self.num_magnitude_bins = int(num_magnitude_bins)
        self.interpolation, self.fill = mode_of(name, interpolation), fill_of(name, fill)

    def _strengths(self, plan: Plan, share: np.ndarray) -> np.ndarray:
        """How strong each step is at shares of the largest magnitude, [shares, steps]."""
        raise TypeError(f"{type(self).__name__} defines no _strengths()")

    def _all(self, plan: Plan, step: np.ndarray, strength: np.ndarray, below: np.ndarray) -> None:
        """Steps [steps, images] one after the other: of each, those that move pixels first, then colours.

        They go in the other direction where numbers ``below`` are a half or more.
        """
        strength = np.where((below >= 0.5) & _SIGNED[step], -strength, strength) + _AROUND_ONE[step]
        moved, kinds, sharp = (step >= _SHEAR_X) & (step <= _ROTATE), _KINDS[step], step == _SHARPNESS
        matrices = _matrices(step.reshape(-1), strength.reshape(-1), plan.size) if moved.any() else None
        factor = np.where(sharp, strength, 1.0)
        for i in range(len(step)):
            if matrices is not None and moved[i].any():
                own = matrices[i * plan.images : (i + 1) * plan.images]
                plan.warp(own, mode=self.interpolation, fill=self.fill)
            if kinds[i].any():
                plan.color(kinds[i][:, None], strength[i][:, None])
            if sharp[i].any():
                sharpen(plan, factor[i])


def _matrices(step: np.ndarray, strength: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """From output to source: shears about the upper left corner, whole shifts, turns about the middle."""
    turns = step == _ROTATE
    turn = np.radians(turns * -strength)
    cos, sin = np.cos(turn), np.sin(turn)
    across, down = sin + (step == _SHEAR_X) * strength, (step == _SHEAR_Y) * strength - sin
    x, y = turns * (size[1] / 2) - 0.5, turns * (size[0] / 2) - 0.5
    shift = np.trunc(strength)
    matrix = np.zeros((len(step), 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = cos, across
    matrix[:, 1, 0], matrix[:, 1, 1] = down, cos
    matrix[:, 0, 2] = x - (cos * x + across * y) - (step == _TRANSLATE_X) * shift
    matrix[:, 1, 2] = y - (down * x + cos * y) - (step == _TRANSLATE_Y) * shift
    matrix[:, 2, 2] = 1
    return matrix


class RandAugment(_Policy):
    """Some steps of one strength, drawn for each image from fourteen (Cubuk et al. 2019).

    Parameters
    ----------
    num_ops : int, default 2
        Steps of each image.
    magnitude : int, default 9
        From 0 to num_magnitude_bins - 1.
    num_magnitude_bins : int, default 31
    interpolation : "nearest" or "bilinear", default "nearest"
    fill : float or sequence, optional
        What lies around, in the unit of the pixels. Default: 0.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(num_magnitude_bins, interpolation, fill, **options)
        if isinstance(num_ops, bool) or num_ops != int(num_ops) or num_ops < 0:
            raise ArgumentError(f"RandAugment: num_ops is {num_ops!r}, expected an integer >= 0")
        if magnitude != int(magnitude) or not 0 <= magnitude < self.num_magnitude_bins:
            most = self.num_magnitude_bins - 1
            raise ArgumentError(f"RandAugment: magnitude is {magnitude!r}, expected an integer up to {most}")
        self.num_ops, self.magnitude = int(num_ops), int(magnitude)
        self._draws = 2 * self.num_ops

    def _strengths(self, plan: Plan, share: np.ndarray) -> np.ndarray:
        height, width = plan.size
        bits = 8 - np.rint(share * 4)
        most = [0, 0.3, 0.3, 150 / 331 * width, 150 / 331 * height, 30, 0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0]
        out = share[:, None] * np.array(most)
        out[:, 10], out[:, 11] = bits, (1 - share) * plan.white
        return out

    def _lower(self, plan: Plan) -> None:
        strengths = self._strengths(plan, np.array([self.magnitude / (self.num_magnitude_bins - 1)]))[0]
        u = plan.uniform(2 * self.num_ops).T.copy()
        step = (u[::2] * len(_NAMES)).astype(np.int64)
        self._all(plan, step, strengths[step], u[1::2])


class TrivialAugmentWide(_Policy):
    """One step of random strength, drawn for each image from fourteen (Müller and Hutter 2021).

    Parameters
    ----------
    num_magnitude_bins : int, default 31
    interpolation, fill : as :class:`RandAugment`
    seed, channels_last : as :class:`Transform`
    """

    _draws = 3

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = "nearest", fill: Any = None, **options: Any
    ) -> None:
        super().__init__(num_magnitude_bins, interpolation, fill, **options)

    def _strengths(self, plan: Plan, share: np.ndarray) -> np.ndarray:
        most = [0, 0.99, 0.99, 32, 32, 135, 0.99, 0.99, 0.99, 0.99, 0, 0, 0, 0]
        out = share[:, None] * np.array(most)
        out[:, 10], out[:, 11] = 8 - np.rint(share * 6), (1 - share) * plan.white
        return out

    def _lower(self, plan: Plan) -> None:
        u = plan.uniform(3)
        bins = np.arange(self.num_magnitude_bins) / (self.num_magnitude_bins - 1)
        step = (u[:, 0] * len(_NAMES)).astype(np.int64)
        place = (u[:, 1] * self.num_magnitude_bins).astype(np.int64)
        self._all(plan, step[None], self._strengths(plan, bins)[place, step][None], u[None, :, 2])
