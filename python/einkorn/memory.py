"""The native engine's cache of output memory.

Results of operations and scratch space come from blocks that are kept when they are freed and
handed out again: fresh pages from the operating system cost more than most kernels that would write
them.

- ``allocated`` bytes are in use by arrays,
- ``cached`` bytes are free and kept for later,
- ``limit`` bounds the sum of both, by default by all memory that this process may use (the
  machine's, or its container's), and ``cache_limit``, half of it, bounds ``cached``.

Sizes count whole blocks, which are up to a quarter larger than what was asked for. Arrays that
NumPy made are not counted.
"""

from __future__ import annotations

import importlib
import operator
from typing import Any

from einkorn.errors import ArgumentError, EngineError

__all__ = ["empty_cache", "set_limit", "stats"]


def _native(function: str) -> Any:
    try:
        return importlib.import_module("einkorn._native")
    except ModuleNotFoundError:
        raise EngineError(
            f"memory.{function}: einkorn was installed without its native engine, which has the"
            " cache; reinstall it with a C++ compiler present"
        ) from None


def stats() -> dict[str, int]:
    """Return what is in use and what is cached.

    Returns
    -------
    dict
        ``allocated``, ``cached``, ``peak`` (the largest ``allocated`` so far), ``limit`` and
        ``cache_limit`` in bytes; ``hits`` and ``misses``, the requests that the cache and the
        system have served.

    Raises
    ------
    EngineError
        When the native engine was not built.
    """
    return dict(_native("stats").memory_stats())


def empty_cache() -> None:
    """Give all cached memory back to the system. Arrays in use are not touched.

    Raises
    ------
    EngineError
        When the native engine was not built.
    """
    _native("empty_cache").empty_cache()


def set_limit(limit: int | None) -> None:
    """Bound the memory that arrays and the cache may take together.

    Cached blocks beyond the limit go back to the system at once. Arrays in use stay, even when they
    exceed it; further requests then fail with a ``MemoryError`` that names the sizes.

    Parameters
    ----------
    limit : int or None
        Bytes, at least 1; None restores the default, all memory that this process may use.

    Raises
    ------
    ArgumentError
        When ``limit`` is no whole number of bytes or below 1.
    EngineError
        When the native engine was not built.
    """
    if limit is not None:
        try:
            if isinstance(limit, bool):
                raise TypeError
            limit = operator.index(limit)
        except TypeError:
            raise ArgumentError(
                f"memory.set_limit: limit is {limit!r}, expected a number of bytes or None"
            ) from None
        if not 1 <= limit < 2**63:
            raise ArgumentError(
                f"memory.set_limit: limit is {limit}, expected at least 1 byte and below 2**63"
            )
    _native("set_limit").memory_set_limit(limit)
