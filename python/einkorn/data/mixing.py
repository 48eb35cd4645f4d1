"""Mixed batches: mixup and cutmix."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np

from einkorn import random
from einkorn._device import beside
from einkorn.data.arrays import as_array, as_rows
from einkorn.data.rows import on_card, taken
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError

__all__ = ["CutMix", "MixUp"]


class _Mix:
    """Pairs each row of a batch with another one."""

    def __init__(
        self, alpha: float = 1.0, *, num_classes: int | None = None, seed: int | None = None
    ) -> None:
        name = type(self).__name__
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < math.inf:
            raise ArgumentError(f"{name}: alpha is {alpha!r}, expected a number above 0")
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._generator = random.default_generator if seed is None else random.Generator(seed)

    def _drawn(self) -> np.random.Generator:
        """NumPy's distributions, fed from einkorn's generator."""
        return np.random.default_rng(self._generator.take(1))

    def _shares(self, y: Any) -> np.ndarray:
        """Targets with a share for each class."""
        target = as_array(y, f"{type(self).__name__}: y")
        if target.dtype.kind == "f":
            return target
        target = target.reshape(len(target))
        if self.num_classes is None:
            raise ArgumentError(
                f"{type(self).__name__}: y holds class numbers, so num_classes is needed to mix them"
            )
        if target.size and not 0 <= target.min() <= target.max() < self.num_classes:
            raise IndexRangeError(
                f"{type(self).__name__}: y holds {target.min()} to {target.max()}, expected 0 to "
                f"{self.num_classes - 1}"
            )
        return np.eye(self.num_classes, dtype=np.float32)[target]

    def __call__(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The mixed rows and targets of a batch.

        Parameters
        ----------
        x : array [rows, ...]
            Of a GPU it stays there, and the targets come to it.
        y : array
            Class numbers [rows], or shares or numbers [rows, ...].
        """
        rows, shares = as_rows(x, f"{type(self).__name__}: x"), self._shares(y)
        if rows.ndim == 0 or len(rows) != len(shares):
            raise ShapeError(f"{type(self).__name__}: x has shape {rows.shape} and y {len(shares)} rows")
        rng = self._drawn()
        share = rng.beta(self.alpha, self.alpha)
        partner = rng.permutation(len(rows))
        far = not isinstance(rows, np.ndarray)
        with on_card(rows) if far else nullcontext():
            second = taken(rows, partner) if far else rows[partner]
            mixed, share = self._mixed(rows, second, share, rng)
        blend = (share * shares + (1 - share) * shares[partner]).astype(shares.dtype)
        return mixed, beside(rows, blend) if far else blend

    def _mixed(
        self, first: np.ndarray, second: np.ndarray, share: float, rng: Any
    ) -> tuple[np.ndarray, float]:
        raise TypeError(f"{type(self).__name__} defines no _mixed()")


class MixUp(_Mix):
    """Each row is a mean of two, in shares of a beta distribution, and so is its target (Zhang et al. 2017).

    Parameters
    ----------
    alpha : float, default 1
        Both parameters of the beta distribution: the larger, the more even the shares.
    num_classes : int, keyword-only, optional
        Needed where targets are class numbers, which become shares of classes.
    seed : int, keyword-only, optional
        By default numbers come from einkorn's generator.
    """

    def _mixed(
        self, first: np.ndarray, second: np.ndarray, share: float, rng: Any
    ) -> tuple[np.ndarray, float]:
        if first.dtype.kind != "f":
            raise ArgumentError(f"MixUp: x has the type {first.dtype}, expected floating numbers")
        return (share * first + (1 - share) * second).astype(first.dtype), share


class CutMix(_Mix):
    """A rectangle of each image comes from another one, and that share of its target (Yun et al. 2019).

    Parameters
    ----------
    alpha, num_classes, seed : as ``MixUp``
    """

    def _mixed(
        self, first: np.ndarray, second: np.ndarray, share: float, rng: Any
    ) -> tuple[np.ndarray, float]:
        if first.ndim < 3:
            raise ShapeError(f"CutMix: x has shape {first.shape}, expected images [rows, ..., height, width]")
        height, width = first.shape[-2:]
        side = math.sqrt(1 - share) / 2
        y, x = rng.integers(height), rng.integers(width)
        top, bottom = (min(height, max(0, int(y + s * side * height))) for s in (-1, 1))
        left, right = (min(width, max(0, int(x + s * side * width))) for s in (-1, 1))
        mixed = first.copy()
        mixed[..., top:bottom, left:right] = second[..., top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)
