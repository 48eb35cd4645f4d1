"""``keras.ops.rearrange``: axes in another order, split and joined, by a pattern of names."""

from __future__ import annotations

import math
import re
from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["rearrange"]


def _axes(side: str, pattern: str) -> list[list[str]]:
    """The names of each axis: several where it is made of them."""
    if not re.fullmatch(r"(\s*(\(\s*(\w+\s+)*\w*\s*\)|\w+))*\s*", side):
        raise ArgumentError(f"rearrange: pattern is {pattern!r}, expected names, and names in parentheses")
    parts = re.findall(r"\([^)]*\)|\w+", side)
    return [[name for name in re.findall(r"\w+", part) if name != "1"] for part in parts]


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Axes in another order, split and joined.

    Parameters
    ----------
    tensor : array or Tensor
    pattern : str
        Such as "b (h w) c -> b c h w": the axes as they are, and as they are to be; those in parentheses are
        one axis.
    **axes_lengths : int
        How long axes are that one is split into; one of them may be left out.

    Raises
    ------
    ArgumentError, ShapeError
        The pattern is none, its sides have not the same names, or the lengths do not fit.
    """
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ArgumentError(f"rearrange: pattern is {pattern!r}, expected one '->' in it")
    before, after = (_axes(side, pattern) for side in sides)
    names = [name for axis in before for name in axis]
    wanted = [name for axis in after for name in axis]
    if sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        raise ArgumentError(
            f"rearrange: pattern is {pattern!r}, expected the same names, each once, on both sides"
        )
    if len(before) != len(tensor.shape):
        raise ShapeError(f"rearrange: tensor has shape {tuple(tensor.shape)}, expected {len(before)} axes")
    sizes = dict(axes_lengths)
    for axis, length in zip(before, tensor.shape, strict=True):
        unknown = [name for name in axis if name not in sizes]
        known = math.prod(sizes[name] for name in axis if name in sizes)
        if len(unknown) > 1:
            raise ArgumentError(f"rearrange: expected the lengths of all but one of {', '.join(unknown)}")
        if unknown:
            sizes[unknown[0]] = length // max(1, known)
        if math.prod(sizes[name] for name in axis) != length:
            raise ShapeError(
                f"rearrange: an axis of {length} is not {' times '.join(axis) or '1'} of these lengths"
            )
    single = tensor.reshape(*[sizes[name] for name in names])
    moved = ops.permute(single, tuple(names.index(name) for name in wanted)) if wanted != names else single
    return moved.reshape(*[math.prod(sizes[name] for name in axis) for axis in after])
