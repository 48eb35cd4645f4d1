"""What language models check of tokens and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor
from einkorn.errors import ShapeError

__all__ = ["kept_of", "plain", "positions_of", "tokens_of"]


def plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def tokens_of(op: str, name: str, x: Any) -> Any:
    """Integers [batch, length], at least one."""
    tokens = plain(x)
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or tokens.size == 0:
        raise ShapeError(
            f"{op}: {name} have shape {tokens.shape} and dtype {tokens.dtype},"
            " expected integers [batch, length], none of them 0"
        )
    return tokens


def kept_of(op: str, name: str, mask: Any, shape: tuple[int, int]) -> Any:
    """Booleans of this shape; None where nothing is filled up."""
    if mask is None:
        return None
    kept = plain(mask).astype(bool)
    if kept.shape != shape:
        raise ShapeError(f"{op}: {name} has shape {kept.shape}, expected {shape}")
    return None if kept.all() else kept


def positions_of(kept: Any, before: int, total: int) -> Any:
    """Counted from the first token that is kept; those of the tokens from ``before`` on."""
    if kept is None:
        return np.arange(before, total)
    return np.maximum(np.cumsum(kept, 1) - 1, 0)[:, before:]
