"""Truncation and padding: the sections of a description that say how long encodings are, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn.errors import DataError

__all__ = ["check_limits"]

_MOST = 1 << 31


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda x: type(x) is int and least <= x < _MOST


def _one_of(*names: str) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, str) and x in names


def _strategy(x: Any) -> bool:
    if isinstance(x, dict):
        return list(x) == ["Fixed"] and _whole(0)(x["Fixed"])
    return bool(x == "BatchLongest")


# Of each section: key, what it must be, in words, and what stands for one that is absent.
_SECTIONS: dict[str, list[tuple[str, Callable[[Any], bool], str, Any]]] = {
    "truncation": [
        ("max_length", _whole(0), "a whole number from 0 on", None),
        (
            "strategy",
            _one_of("LongestFirst", "OnlyFirst", "OnlySecond"),
            "LongestFirst, OnlyFirst or OnlySecond",
            "LongestFirst",
        ),
        ("direction", _one_of("Left", "Right"), "Left or Right", "Right"),
        ("stride", _whole(0), "a whole number from 0 on", 0),
    ],
    "padding": [
        ("strategy", _strategy, "BatchLongest or {'Fixed': a whole number}", "BatchLongest"),
        ("direction", _one_of("Left", "Right"), "Left or Right", "Right"),
        (
            "pad_to_multiple_of",
            lambda x: x is None or _whole(0)(x),
            "a whole number or null",
            0,
        ),
        ("pad_id", _whole(0), "a whole number from 0 on", None),
        ("pad_type_id", _whole(0), "a whole number from 0 on", None),
        ("pad_token", lambda x: isinstance(x, str), "a string", "[PAD]"),
    ],
}


def check_limits(description: dict[str, Any]) -> None:
    """Refuse sections that do not say what they must, by name."""
    for section, keys in _SECTIONS.items():
        found = description.get(section)
        if found is None:
            continue
        if not isinstance(found, dict):
            raise DataError(f"tokenizer: {section} must be null or an object, got {found!r:.60}")
        for key, fits, what, absent in keys:
            value = found.get(key, absent)
            if not fits(value):
                raise DataError(f"tokenizer: {section}.{key} must be {what}, got {value!r:.60}")
