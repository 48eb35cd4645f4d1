"""Regularization by noise beyond dropout of elements: of whole paths, of states, and Gaussian noise."""

from __future__ import annotations

import math
from typing import Any

from einkorn import engines, ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import _activations as functional
from einkorn.nn import init
from einkorn.nn.module import Module

__all__ = ["DropPath", "GaussianDropout", "GaussianNoise", "StochasticDepth", "Zoneout"]


def _chance(value: Any, owner: str, below_one: bool = False) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not 0 <= value <= 1 or (below_one and value == 1):
        raise ArgumentError(f"{owner}: p is {value!r}, expected a probability from 0 to 1")
    return float(value)


def _like(x: Any, shape: tuple[int, ...]) -> Any:
    """An array of that shape, of x's type and on its device."""
    data = x._data if isinstance(x, Tensor) else x
    return engines.of(data).empty(shape, data.dtype)


def _kept(x: Any, shape: tuple[int, ...], p: float) -> Any:
    """0 with probability p, else 1 / (1 - p), in every element of that shape."""
    return functional.dropout(init.ones_(_like(x, shape)), p, True)


class StochasticDepth(Module):
    """Drops whole branches of residual blocks while training (Huang et al. 2016).

    What is kept is scaled by 1/(1-p). In evaluation mode it returns its input.

    Parameters
    ----------
    p : float
        The probability of dropping.
    mode : "batch" or "row"
        Whether the whole batch is dropped, or each row by itself.
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        if mode not in ("batch", "row"):
            raise ArgumentError(f"{type(self).__name__}: mode is {mode!r}, expected 'batch' or 'row'")
        self.p = _chance(p, type(self).__name__)
        self.mode = mode

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        if len(x.shape) == 0:
            raise ShapeError(f"{type(self).__name__}: x has no axes, expected [rows, ...]")
        rows = x.shape[0] if self.mode == "row" else 1
        return ops.multiply(x, _kept(x, (rows, *[1] * (len(x.shape) - 1)), self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode!r}"


class DropPath(StochasticDepth):
    """:class:`StochasticDepth` of each row by itself, as vision transformers name it.

    Parameters
    ----------
    p : float, default 0
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__(p, "row")

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Zoneout(Module):
    """Keeps elements of a recurrent state as they were (Krueger et al. 2016).

    While training each element of the new state is the old one with probability ``p``; in evaluation mode it
    is the mean, p * old + (1 - p) * new.

    Parameters
    ----------
    p : float, default 0.1
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = _chance(p, "Zoneout")

    def forward(self, new: Any, old: Any) -> Any:
        if tuple(new.shape) != tuple(old.shape):
            raise ShapeError(f"Zoneout: old has shape {tuple(old.shape)}, expected {tuple(new.shape)}")
        if not self.training:
            return ops.add(ops.multiply(old, self.p), ops.multiply(new, 1.0 - self.p))
        if self.p == 1:
            return old
        keep = ops.multiply(_kept(new, tuple(new.shape), self.p), 1.0 - self.p)  # 0 or 1
        return ops.add(old, ops.multiply(ops.subtract(new, old), keep))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class GaussianNoise(Module):
    """Adds normal noise while training.

    Parameters
    ----------
    stddev : float
        Its standard deviation.
    """

    def __init__(self, stddev: float) -> None:
        super().__init__()
        if isinstance(stddev, bool) or not isinstance(stddev, (int, float)) or not stddev >= 0:
            raise ArgumentError(f"GaussianNoise: stddev is {stddev!r}, expected a number >= 0")
        self.stddev = float(stddev)

    def forward(self, x: Any) -> Any:
        if not self.training or self.stddev == 0:
            return x
        return ops.add(x, init.normal_(_like(x, tuple(x.shape)), 0.0, self.stddev))

    def extra_repr(self) -> str:
        return f"stddev={self.stddev}"


class GaussianDropout(Module):
    """Multiplies with normal noise of mean 1 and variance p/(1-p) while training (Srivastava et al. 2014).

    Parameters
    ----------
    p : float
        The probability of a dropout with the same variance; below 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = _chance(p, "GaussianDropout", below_one=True)

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        std = math.sqrt(self.p / (1.0 - self.p))
        return ops.multiply(x, init.normal_(_like(x, tuple(x.shape)), 1.0, std))

    def extra_repr(self) -> str:
        return f"p={self.p}"
