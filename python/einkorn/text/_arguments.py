"""Arguments that several parts take, checked: whole numbers, numbers, lists, paths, texts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any

from einkorn.errors import ArgumentError

__all__ = [
    "items_of",
    "known_options",
    "no_text_in",
    "path_of",
    "real_number",
    "surrogate_in",
    "whole_number",
]

_EXACT = 2**53  # whole numbers up to it are float64 too


def whole_number(name: str, what: str, number: Any, least: int, most: int = _EXACT) -> int:
    """An argument that must be a whole number."""
    try:
        found = index(number)
    except TypeError:
        found = least - 1
    if isinstance(number, bool) or not least <= found <= most:
        bounds = f"from {least} on" if most == _EXACT else f"from {least} to {most}"
        raise ArgumentError(f"{name}: {what} must be a whole number {bounds}, got {number!r}")
    return found


def real_number(name: str, what: str, number: Any, least: float = -math.inf, *, above: bool = False) -> float:
    """An argument that must be a finite number, at least or above a bound."""
    fits = isinstance(number, Real) and not isinstance(number, bool) and math.isfinite(number)
    if not fits or (number <= least if above else number < least):
        bound = "" if least == -math.inf else f" above {least:g}" if above else f" from {least:g} on"
        raise ArgumentError(f"{name}: {what} must be a finite number{bound}, got {number!r}")
    return float(number)


def items_of(name: str, what: str, items: Any) -> list[Any]:
    """An argument that must be a list or the like; a str is none, though it could be gone through."""
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise ArgumentError(f"{name}: {what} must be a list, got {items!r:.60}")
    return list(items)


def path_of(name: str, path: Any) -> Path:
    """A path that can be opened."""
    if not isinstance(path, str | PathLike) or "\0" in str(path):
        raise ArgumentError(f"{name}: a path must be str or Path without NUL, got {path!r:.60}")
    return Path(path)


def known_options(text: str, names: Iterable[str]) -> dict[str, Any]:
    """The options that a file of a model keeps: those it may have and no others, such as a corpus."""
    options = json.loads(text)
    if not isinstance(options, dict) or not set(options) <= set(names):
        raise ValueError(f"options are {text:.60}")
    return options


def surrogate_in(texts: Sequence[str], op: str = "encode") -> ArgumentError:
    """The refusal of texts of which one has no UTF-8."""
    for number, text in enumerate(texts):
        for place, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return ArgumentError(
                    f"{op}: text {number} has an unpaired surrogate, U+{ord(character):04X}, "
                    f"at character {place}"
                )
    return ArgumentError(f"{op}: a text has an unpaired surrogate")


def no_text_in(texts: Sequence[Any]) -> ArgumentError:
    """The refusal of what is no text."""
    kinds = sorted({type(text).__name__ for text in texts if not isinstance(text, str)})
    return ArgumentError(f"encode: texts must be str, got {', '.join(kinds) or 'something else'}")
