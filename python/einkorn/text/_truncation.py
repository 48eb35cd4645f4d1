"""What truncation keeps of one or two texts, and the further pieces that it cuts off."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError

__all__ = ["truncate", "windows"]


def truncate(limits: dict[str, Any], first: int, second: int, around: int) -> tuple[int, int]:
    """How many tokens are kept of both texts."""
    excess = first + second + around - int(limits["max_length"])
    if excess <= 0:
        return first, second
    if int(limits["max_length"]) == around:  # no room for either, whichever is to be cut
        return 0, 0
    strategy = limits.get("strategy", "LongestFirst")
    for name, size in (("OnlyFirst", first), ("OnlySecond", second)):
        if strategy == name and size <= excess:
            which = name[4:].lower()
            raise ArgumentError(
                f"truncation: {excess} tokens are too many, the {which} text, the one to be cut, has {size}"
            )
    if strategy == "OnlyFirst" or (strategy == "LongestFirst" and not second):
        keep = max(first - excess, 0), second
    elif strategy == "OnlySecond":
        keep = first, max(second - excess, 0)
    else:
        room = max(int(limits["max_length"]) - around, 0)
        short = min(first, second)
        if short * 2 > room:
            # Both are cut: the longer has the larger half, of equal ones the second.
            keep = (room // 2, room - room // 2) if first <= second else (room - room // 2, room // 2)
        else:
            keep = (first, room - first) if first <= second else (room - second, second)
    return keep


def windows(limits: dict[str, Any], first: int, second: int, around: int) -> list[list[tuple[int, int]]]:
    """Of both texts what is kept, then what follows it, each with ``stride`` tokens of the one before."""
    stride = int(limits.get("stride", 0))
    found = []
    for size, keep in zip((first, second), truncate(limits, first, second, around), strict=True):
        if keep >= size:
            found.append([(0, size)])
        elif not keep:
            found.append([(0, 0), (0, size)])
        elif stride >= keep:
            raise ArgumentError(f"truncation: stride must be less than the {keep} tokens kept, got {stride}")
        elif limits.get("direction", "Right") == "Right":
            starts = range(0, max(size - stride, 1), keep - stride)
            found.append([(start, min(start + keep, size)) for start in starts])
        else:
            stops = range(size, min(stride, size - 1), stride - keep)
            found.append([(max(stop - keep, 0), stop) for stop in stops])
    return found
