"""Sizes of windows, padding, and the way between channels last, as in Keras, and first, as in the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import nn, ops
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras import config

__all__ = [
    "as_before",
    "as_floats",
    "channels_first",
    "channels_last",
    "is_first",
    "padding_of",
    "same",
    "sides",
]

_AXES = {1: "steps", 2: "height, width", 3: "depth, height, width"}


def sides(value: Any, rank: int, owner: str, name: str, least: int = 1) -> tuple[int, ...]:
    """An integer for each side, from one of them or from all."""
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    good = all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in found)
    if len(found) != rank or not good:
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected an integer >= {least} or {rank} of them")
    return found


def padding_of(padding: Any, owner: str, *more: str) -> str:
    """ "valid" or "same", in small letters."""
    known = ("valid", "same", *more)
    if not isinstance(padding, str) or padding.lower() not in known:
        raise ArgumentError(f"{owner}: padding is {padding!r}, expected {' or '.join(map(repr, known))}")
    return padding.lower()


def is_first(data_format: Any, owner: str) -> bool:
    """Whether channels come first."""
    if data_format not in (None, "channels_last", "channels_first"):
        raise ArgumentError(
            f"{owner}: data_format is {data_format!r}, expected 'channels_last' or 'channels_first'"
        )
    return (data_format or config.image_data_format()) == "channels_first"


def channels_first(x: Any, rank: int, owner: str, first: bool = False) -> Any:
    """[rows, sides, channels] as [rows, channels, sides]."""
    if len(x.shape) != rank + 2:
        axes = f"channels, {_AXES[rank]}" if first else f"{_AXES[rank]}, channels"
        raise ShapeError(f"{owner}: x has shape {tuple(x.shape)}, expected [rows, {axes}]")
    return x if first else ops.permute(x, (0, rank + 1, *range(1, rank + 1)))


def channels_last(x: Any, rank: int, first: bool = False) -> Any:
    """The way back."""
    return x if first else ops.permute(x, (0, *range(2, rank + 2), 1))


def same(x: Any, sizes: Any, strides: Any, dilation: Any, value: float) -> Any:
    """Padding "same" of channels first: the output has ceil(input / stride), the odd pixel is behind."""
    pads: list[int] = []
    lengths = tuple(x.shape[2:])
    for side, size, stride, reach in zip(
        lengths[::-1], sizes[::-1], strides[::-1], dilation[::-1], strict=True
    ):
        total = max(0, (-(-side // stride) - 1) * stride + (size - 1) * reach + 1 - side)
        pads += [total // 2, total - total // 2]
    return nn.functional.pad(x, pads, value=value) if any(pads) else x


def as_floats(x: Any) -> Any:
    """Integers as float32, what else it is as it comes."""
    return Tensor(as_numpy(x).astype(np.float32)) if np.dtype(x.dtype).kind in "iub" else x


def as_before(out: Any, x: Any) -> Any:
    """What was computed from ``as_floats(x)``, rounded to integers where x holds such."""
    kind = np.dtype(x.dtype)
    if kind.kind not in "iu":
        return out
    limits = np.iinfo(kind)
    return Tensor(np.clip(np.rint(as_numpy(out)), limits.min, limits.max).astype(kind))
