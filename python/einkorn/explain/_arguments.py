"""Checks of arguments that the methods share."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import integer, number

__all__ = ["filled", "integer", "limits", "number", "positive"]


def positive(op: str, name: str, value: Any, *, zero: bool = False) -> float:
    """A finite number above 0, or with ``zero`` at least 0."""
    found = number(op, name, value)
    if not (0 <= found < np.inf) or (found == 0 and not zero):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number {'from' if zero else 'above'} 0")
    return found


def filled(op: str, name: str, value: Any, like: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A number or an array as an array of a shape and of ``like``'s type."""
    try:
        return np.broadcast_to(np.asarray(value, like.dtype), shape)
    except (ValueError, TypeError):
        found = np.shape(value) if hasattr(value, "shape") or isinstance(value, (list, tuple)) else value
        raise ShapeError(f"{op}: {name} is {found!r}, expected a number or an array of {shape}") from None


def limits(op: str, clip: Any, images: np.ndarray) -> Any:
    """The lowest and the highest values of pixels, which broadcast to the images, or None."""
    if clip is None:
        return None
    try:
        low, high = clip
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: clip is {clip!r}, expected (low, high)") from None
    low, high = (filled(op, "clip", each, images, images.shape) for each in (low, high))
    if not (low <= high).all():
        raise ArgumentError(f"{op}: clip is {clip!r}, expected (low, high) with low at most high")
    return low, high
