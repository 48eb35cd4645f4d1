"""Heads of attention side by side in an array, and apart from each other."""

from __future__ import annotations

from typing import Any

from einkorn import ops

__all__ = ["apart", "together"]


def apart(x: Any, heads: int) -> Any:
    """[batch, length, heads * width] as [batch, heads, length, width]."""
    batch, length, width = x.shape
    return ops.permute(ops.reshape(x, (batch, length, heads, width // heads)), (0, 2, 1, 3))


def together(x: Any) -> Any:
    """The other way round."""
    batch, heads, length, width = x.shape
    return ops.reshape(ops.permute(x, (0, 2, 1, 3)), (batch, length, heads * width))
