"""torch's orders of elements in memory: programs may name them, and arrays lie as they are."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError

__all__ = ["check_layout"]

_FORMATS = ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")


def check_layout(op: str, memory_format: Any) -> None:
    """Refuse what is no order: the known ones change nothing but where elements lie, in torch.

    Raises
    ------
    ArgumentError
        It is not one of torch's.
    """
    if memory_format is not None and memory_format not in _FORMATS:
        raise ArgumentError(
            f"{op}: memory_format is {memory_format!r}, expected einkorn.channels_last, contiguous_format or "
            "preserve_format, which change nothing here"
        )
