"""Tables of taps for interpolation: which pixels an output sees, and with what weights.

A table is [taps, outputs], int32 places (-1 for none) and weights. Interpolation is linear in the image, so
its gradient is the table turned round: which outputs a pixel was seen by.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Axis", "Table", "scaled_size", "table"]


class Axis(NamedTuple):
    """How one direction is resampled. ``scale`` is the factor that the caller gave, or None."""

    mode: str  # nearest, nearest-exact, linear, cubic
    size: int
    out: int
    scale: float | None
    align: bool
    antialias: bool
    single: bool = False  # coordinates of nearest pixels are computed in float32,
    fused: bool = False  # and with one rounding


class Table:
    """Places and weights of taps, [taps, outputs]; ``size`` pixels are seen."""

    def __init__(self, places: Any, weights: Any, size: int) -> None:
        self.places = np.ascontiguousarray(places, dtype=np.int32)
        self.weights = np.ascontiguousarray(weights, dtype=np.float64)
        self.size = size

    @functools.cached_property
    def turned(self) -> Table:
        """The table of the adjoint: for each pixel, the outputs that it is seen by."""
        tap, output = np.nonzero(self.places >= 0)
        pixel, weight = self.places[tap, output], self.weights[tap, output]
        order = np.lexsort((tap, output, pixel))
        pixel, output, weight = pixel[order], output[order], weight[order]
        counts = np.bincount(pixel, minlength=self.size)
        rank = np.arange(len(pixel)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.full((int(counts.max(initial=0)), self.size), -1)
        weights = np.zeros(places.shape)
        places[rank, pixel], weights[rank, pixel] = output, weight
        back = Table(places, weights, self.places.shape[1])
        back.__dict__["turned"] = self
        return back


def _step(axis: Axis) -> float:
    """Pixels from one output to the next."""
    if axis.align:
        return (axis.size - 1) / (axis.out - 1) if axis.out > 1 else 0.0
    return 1.0 / axis.scale if axis.scale else axis.size / axis.out


def _cubic(t: Any, a: float) -> Any:
    """The cubic convolution kernel (Keys 1981) at distances t."""
    t = np.abs(t)
    near, far = ((a + 2) * t - (a + 3)) * t * t + 1, (((t - 5) * t + 8) * t - 4) * a
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _nearest(axis: Axis) -> Table:
    # Which pixel is nearest depends on how coordinates are rounded; these are torch's ways, which differ by
    # the number of sides and by the type of the pixels.
    i, half = np.arange(axis.out, dtype=np.float64), 0.5 if axis.mode == "nearest-exact" else 0.0
    step = np.float64(np.float32(_step(axis)) if axis.single else _step(axis))
    at = ((i + half) * step).astype(np.float32)
    if axis.fused and half:
        at = ((i + half) * step - half).astype(np.float32) + np.float32(half)
    places = np.minimum(np.floor(at).astype(np.int64), axis.size - 1)
    return Table(places[None], np.ones((1, axis.out)), axis.size)


def _interpolated(axis: Axis) -> Table:
    i = np.arange(axis.out, dtype=np.float64)
    at = i * _step(axis) if axis.align else (i + 0.5) * _step(axis) - 0.5
    if axis.mode == "linear":
        at = np.maximum(at, 0.0)
        first = np.minimum(np.floor(at), axis.size - 1)
        rest = np.clip(at - first, 0.0, 1.0)
        places = np.stack([first, np.minimum(first + 1, axis.size - 1)])
        return Table(places.astype(np.int64), np.stack([1 - rest, rest]), axis.size)
    first = np.floor(at)
    places = np.clip(np.stack([first - 1, first, first + 1, first + 2]), 0, axis.size - 1)
    weights = np.stack([_cubic(at - first - k, -0.75) for k in (-1, 0, 1, 2)])
    return Table(places.astype(np.int64), weights, axis.size)


def _antialiased(axis: Axis) -> Table:
    """The kernel stretched over all pixels that an output stands for (as in Pillow)."""
    step = _step(axis)
    half = 1.0 if axis.mode == "linear" else 2.0
    support, shrink = half * max(step, 1.0), 1.0 / max(step, 1.0)
    columns: list[tuple[Any, Any]] = []
    for i in range(axis.out):
        center = step * (i + 0.5)
        first = max(int(center - support + 0.5), 0)
        last = min(int(center + support + 0.5), axis.size)
        places = np.arange(first, last)
        t = (places - center + 0.5) * shrink
        weights = np.maximum(1 - np.abs(t), 0.0) if axis.mode == "linear" else _cubic(t, -0.5)
        total = weights.sum()
        columns.append((places, weights / total if total else weights))
    return _from_columns(columns, axis.size)


def _from_columns(columns: list[tuple[Any, Any]], size: int) -> Table:
    taps = max((len(places) for places, _ in columns), default=0)
    places, weights = np.full((taps, len(columns)), -1), np.zeros((taps, len(columns)))
    for i, (at, weight) in enumerate(columns):
        places[: len(at), i], weights[: len(at), i] = at, weight
    return Table(places, weights, size)


@functools.lru_cache(maxsize=256)
def table(axis: Axis) -> Table:
    """The taps of one direction."""
    if axis.mode.startswith("nearest"):
        return _nearest(axis)
    return _antialiased(axis) if axis.antialias else _interpolated(axis)


def scaled_size(size: int, scale: float) -> int:
    """The size that a factor gives, as torch rounds it."""
    return math.floor(float(size) * scale)
