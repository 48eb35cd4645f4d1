"""What language models check of tokens and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError

__all__ = [
    "check_cache",
    "check_sizes",
    "check_token",
    "kept_of",
    "plain",
    "positions_of",
    "rows_of",
    "tokens_of",
]


def plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def rows_of(op: str, name: str, x: Any) -> Any:
    """An array; lists of unequal lengths, of which there is none, are refused by name."""
    try:
        return plain(x)
    except ValueError:
        raise ShapeError(
            f"{op}: {name} are rows of unequal lengths, expected one array: fill shorter ones up"
        ) from None


def check_sizes(op: str, least: int = 1, **sizes: Any) -> None:
    """Integers of at least ``least``."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < least:
            raise ArgumentError(f"{op}: {name} is {size!r}, expected an int from {least}")


def check_token(op: str, name: str, token: Any, vocabulary: int) -> None:
    """None, or an integer of the vocabulary."""
    whole = isinstance(token, (int, np.integer)) and not isinstance(token, bool)
    if token is not None and not (whole and 0 <= token < vocabulary):
        raise ArgumentError(f"{op}: {name} is {token!r}, expected None or 0 to {vocabulary - 1}")


def check_cache(op: str, cache: Any) -> None:
    from einkorn.seq.cache import Cache

    if cache is not None and not isinstance(cache, Cache):
        raise ArgumentError(f"{op}: cache is {type(cache).__name__}, expected an einkorn.seq.Cache or None")


def tokens_of(op: str, name: str, x: Any) -> Any:
    """Integers [batch, length], at least one."""
    tokens = rows_of(op, name, x)
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
