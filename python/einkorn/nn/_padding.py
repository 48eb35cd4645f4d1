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
        if not most:
            continue
        room = {"reflect": size - 1, "circular": size, "replicate": most if size else 0}[mode]
        if most > room:
            raise ShapeError(
                f"{op}: x has shape {tuple(x.shape)}, too small for {most} pixels of padding by {mode!r}"
            )

        if mode == "reflect":
            ends = _cut(x, axis, before, 0, -1), _cut(x, axis, -2, -2 - after, -1)
        elif mode == "circular":
            ends = _cut(x, axis, size - before, size), _cut(x, axis, 0, after)
        else:
            first_pixel, last_pixel = _cut(x, axis, 0, 1), _cut(x, axis, size - 1, size)
            ends = _repeated(first_pixel, axis, before), _repeated(last_pixel, axis, after)
        x = ops.concatenate([ends[0], x, ends[1]], axis=axis)
    return x


def _cut(x: Any, axis: int, *where: int) -> Any:
    return ops.getitem(x, (*(slice(None),) * axis, slice(*where)))


def _repeated(edge: Any, axis: int, count: int) -> Any:
    shape = list(edge.shape)
    shape[axis] = count
    return ops.broadcast_to(edge, tuple(shape))
