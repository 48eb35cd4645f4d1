"""Contrast of parts of a picture, limited."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.layers._sides import is_first, sides

__all__ = ["ContrastLimitedAdaptiveHistogramEqualization"]


class ContrastLimitedAdaptiveHistogramEqualization(Layer):
    """Spreads the values of each tile of a picture, and blends between tiles (Zuiderveld 1994).

    Parameters
    ----------
    value_range : (float, float), default (0, 255)
        Black and white.
    clip_limit : float, default 4
        How often as many pixels as on average may have a value; those above it are shared among all values.
        0: no limit.
    tile_grid_size : (int, int), default (8, 8)
        How many tiles there are downwards and across.
    data_format : "channels_last" or "channels_first", optional
    """

    _integers = True

    def __init__(
        self, value_range: Any = (0, 255), clip_limit: float = 4.0, tile_grid_size: Any = (8, 8),
        data_format: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        owner = type(self).__name__
        low, high = (float(v) for v in value_range)
        if not low < high:
            raise ArgumentError(f"{owner}: value_range is {value_range!r}, expected two numbers in order")
        self.value_range, self.clip_limit = (low, high), float(clip_limit)
        self.tile_grid_size = sides(tile_grid_size, 2, owner, "tile_grid_size")
        self.first = is_first(data_format, owner)

    def call(self, x: Any) -> Any:
        array = as_numpy(x)
        if array.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__}: x has shape {array.shape}, expected [rows, height, width, channels]"
            )
        pictures = array[None] if array.ndim == 3 else array
        pictures = pictures if self.first else np.moveaxis(pictures, -1, 1)
        if 0 in pictures.shape:
            return Tensor(array.astype(np.float32)) if array.dtype.kind == "f" else array
        low, high = self.value_range
        to_bytes = np.float32(255.0 / (high - low))
        out = self._equalised((pictures.astype(np.float32) - np.float32(low)) * to_bytes)
        out = out * np.float32((high - low) / 255.0) + np.float32(low)
        out = (out if self.first else np.moveaxis(out, 1, -1)).astype(array.dtype)
        out = np.ascontiguousarray(out[0] if array.ndim == 3 else out)
        return Tensor(out) if out.dtype.kind == "f" else out

    def _equalised(self, x: np.ndarray) -> np.ndarray:
        """[rows, channels, height, width] of 0 to 255."""
        height, width = x.shape[2:]
        down, across = self.tile_grid_size
        high, wide = -(-height // down), -(-width // across)
        room = (0, high * down - height), (0, wide * across - width)
        whole = np.pad(x, ((0, 0), (0, 0), *room), "symmetric")
        values = np.clip(np.nan_to_num(whole), 0, 255).astype(np.int64)
        tables = self._tables(values, high, wide)
        # The four tiles around a pixel, outermost ones twice, and how near they are.
        below, low_share = _between(high * down, high)
        right, right_share = _between(wide * across, wide)
        row, column = np.ogrid[: len(x), : x.shape[1]]
        place = row[:, :, None, None], column[:, :, None, None]

        def seen(i: np.ndarray, j: np.ndarray) -> np.ndarray:
            i, j = np.clip(i, 0, down - 1), np.clip(j, 0, across - 1)
            where = (*place, i[:, None], j, values)
            found: np.ndarray = tables[where]
            return found

        above = seen(below - 1, right - 1) * (1 - right_share) + seen(below - 1, right) * right_share
        under = seen(below, right - 1) * (1 - right_share) + seen(below, right) * right_share
        out = above * (1 - low_share[:, None]) + under * low_share[:, None]
        found: np.ndarray = np.where(np.isnan(x), x, out[:, :, :height, :width])
        return found

    def _tables(self, values: np.ndarray, high: int, wide: int) -> np.ndarray:
        """What becomes of each value in each tile, [rows, channels, tiles downwards, tiles across, 256]."""
        rows, channels, height, width = values.shape
        tiles = values.reshape(rows, channels, height // high, high, width // wide, wide).swapaxes(3, 4)
        tiles = tiles.reshape(-1, high * wide)
        numbers = (tiles + 256 * np.arange(len(tiles))[:, None]).reshape(-1)
        counts = np.bincount(numbers, minlength=256 * len(tiles)).reshape(-1, 256).astype(np.float32)
        if self.clip_limit > 0:
            kept = np.minimum(counts, np.float32(self.clip_limit * (high * wide) / 256.0))
            counts = kept + (counts - kept).sum(1, keepdims=True) / np.float32(256)
        below = counts.cumsum(1, dtype=np.float32)
        least = below.min(1, keepdims=True)
        span = np.float32(high * wide) - least
        spread = (below - least) * np.float32(255) / np.where(span == 0, np.float32(1), span)
        found: np.ndarray = np.clip(spread, 0, 255).reshape(
            rows, channels, height // high, width // wide, 256
        )
        return found


def _between(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The tile after each element, whose middle is not before it, and the share that it has."""
    place = (np.arange(count, dtype=np.float32) - np.float32(size / 2.0)) / np.float32(size) + np.float32(1)
    before = np.floor(place)
    return before.astype(np.int64), place - before
