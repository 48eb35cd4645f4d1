"""Padding that copies pixels of the image: mirrored, repeated or from the other side."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ShapeError

__all__ = ["pad_with_pixels"]


def pad_with_pixels(op: str, x: Any, margins: list[tuple[int, int]], mode: str) -> Any:
    """x with (before, after) pixels more along each of its last dimensions, in their order.

    Parameters
    ----------
    op : str
        Named in errors.
    x : array or Tensor
    margins : list of pair of int
        Not negative.
    mode : "reflect", "replicate" or "circular"
        The pixels mirrored at the edge, which is not repeated; the edge's pixel; or those of the other side.

    Raises
    ------
    ShapeError
        If an image is too small for what is to be copied from it.
    """
    first = len(x.shape) - len(margins)
    for axis, (before, after) in enumerate(margins, first):
        size, most = x.shape[axis], max(before, after)
        room = {"reflect": size - 1, "circular": size, "replicate": most if size else 0}[mode]
        if most > max(room, 0):
            raise ShapeError(
                f"{op}: x has shape {tuple(x.shape)}, too small for {most} pixels of padding by {mode!r}"
            )
    return ops.pad(x, [n for pair in reversed(margins) for n in pair], mode)
