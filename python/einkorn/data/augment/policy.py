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
from einkorn.data.augment.geometry import affine
from einkorn.data.augment.plan import Plan
from einkorn.data.augment.transform import Transform, fill_of, mode_of
from einkorn.errors import ArgumentError

__all__ = ["RandAugment", "TrivialAugmentWide"]

_NAMES = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
_KINDS = {
    6: BRIGHTNESS,
    7: SATURATION,
    8: CONTRAST,
    10: POSTERIZE,
    11: SOLARIZE,
    12: AUTOCONTRAST,
    13: EQUALIZE,
}
_SIGNED = 9  # steps up to this one go in either direction
_SHARPNESS = 9


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
        """How strong each step is at a share of the largest magnitude, [images, steps]."""
        raise TypeError(f"{type(self).__name__} defines no _strengths()")

    def _one(self, plan: Plan, step: np.ndarray, share: np.ndarray, sign: np.ndarray) -> None:
        """One step for each image: all that move pixels in one launch, all of colour in the next."""
        images = np.arange(plan.images)
        strength = self._strengths(plan, share)[images, step]
        strength = np.where(step <= _SIGNED, strength * sign, strength)
        moved = (step >= 1) & (step <= 5)
        if moved.any():
            shift = np.stack([np.where(step == 3, strength, 0), np.where(step == 4, strength, 0)], 1)
            slant = np.degrees(np.arctan(np.stack([strength * (step == 1), strength * (step == 2)], 1)))
            turns = step == 5  # about the middle; shears leave the upper left corner where it is
            center = turns[:, None] * np.array([plan.size[1] / 2, plan.size[0] / 2])
            matrix = affine(
                plan.size, -strength * turns, np.trunc(shift), np.ones(plan.images), slant, center
            )
            matrix[~moved] = np.eye(3)
            plan.warp(matrix, mode=self.interpolation, fill=self.fill)
        kinds = np.zeros(len(_NAMES), np.int64)
        kinds[list(_KINDS)] = list(_KINDS.values())
        if kinds[step].any():
            plan.color(
                kinds[step][:, None], np.where((step >= 6) & (step <= 8), 1 + strength, strength)[:, None]
            )
        if (step == _SHARPNESS).any():
            sharpen(plan, np.where(step == _SHARPNESS, 1 + strength, 1.0))


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
        share = np.full(plan.images, self.magnitude / (self.num_magnitude_bins - 1))
        for _ in range(self.num_ops):
            u = plan.uniform(2)
            step = np.floor(u[:, 0] * len(_NAMES)).astype(np.int64)
            self._one(plan, step, share, np.where(u[:, 1] < 0.5, 1.0, -1.0))


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
        share = np.floor(u[:, 1] * self.num_magnitude_bins) / (self.num_magnitude_bins - 1)
        step = np.floor(u[:, 0] * len(_NAMES)).astype(np.int64)
        self._one(plan, step, share, np.where(u[:, 2] < 0.5, 1.0, -1.0))
