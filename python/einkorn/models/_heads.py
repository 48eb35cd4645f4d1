"""Heads of attention side by side in an array, and apart from each other."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.ops._road import unwrap

__all__ = ["apart", "together"]


def apart(x: Any, heads: int) -> Any:
    """[batch, length, heads * width] as [batch, heads, length, width]."""
    batch, length, width = x.shape
    bare = _bare(x)
    if bare is not None:
        return bare.reshape(batch, length, heads, width // heads).swapaxes(1, 2)
    return ops.permute(ops.reshape(x, (batch, length, heads, width // heads)), (0, 2, 1, 3))


def together(x: Any) -> Any:
    """The other way round."""
    batch, heads, length, width = x.shape
    bare = _bare(x)
    if bare is not None:
        return bare.swapaxes(1, 2).reshape(batch, length, heads * width)
    return ops.reshape(ops.permute(x, (0, 2, 1, 3)), (batch, length, heads * width))


def _bare(x: Any) -> Any:
    """The array, where nothing is recorded: writing token by token, views cost less than Tensors of them."""
    if x.dtype.kind != "f":
        return None
    if not isinstance(x, Tensor):
        return x
    return None if x.requires_grad else unwrap(x, "attention", "x")
