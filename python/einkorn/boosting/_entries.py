"""Entries of model files: each is checked by its name before anything is made of it.

A number that JSON or a line of text gives may be of any kind and size. What does not fit is refused with the
entry's name, what it is and what was expected.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from einkorn.errors import DataError

__all__ = ["decimals", "entry", "items", "real", "real_list", "text", "whole", "whole_list", "words_of"]

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_REAL = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)", re.IGNORECASE
)
_ABSENT: Any = object()


def _shown(value: Any) -> str:
    """A value as a message shows it: whole where it is short."""
    if not isinstance(value, (str, int, float, type(None))):
        return f"a {type(value).__name__}"
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."


def entry(owner: Any, name: str, where: str, default: Any = _ABSENT) -> Any:
    """What an object holds under a name; ``where`` is the object's own name, "" for the whole file."""
    if not isinstance(owner, dict):
        raise DataError(f"{where or 'the file'} is {_shown(owner)}, expected an object")
    if name not in owner:
        if default is _ABSENT:
            raise DataError(f"{where or 'the file'} has no {name}")
        return default
    return owner[name]


def text(value: Any, name: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise DataError(f"{name} is {_shown(value)}, expected a text")
    return value


def items(value: Any, name: str, size: int | None = None) -> list[Any]:
    """A list, of a length where that is known."""
    if not isinstance(value, list):
        raise DataError(f"{name} is {_shown(value)}, expected a list")
    if size is not None and len(value) != size:
        raise DataError(f"{name} has {len(value)} entries, expected {size}")
    return value


def whole(value: Any, name: str, least: int, most: int) -> int:
    """A whole number within bounds, or its digits as a text."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise DataError(f"{name} is {_shown(value)}, expected an int from {least} to {most}")
    return value


def whole_list(value: Any, name: str, least: int, most: int, size: int | None = None) -> np.ndarray:
    """Whole numbers within bounds, int64."""
    found = items(value, name, size)
    kinds = set(map(type, found))
    if not kinds <= {int} or (found and not least <= min(found) <= max(found) <= most):
        for i, number in enumerate(found):
            if type(number) is not int or not least <= number <= most:
                raise DataError(f"{name}[{i}] is {_shown(number)}, expected an int from {least} to {most}")
    return np.array(found, np.int64)


def real(value: Any, name: str, least: float, most: float) -> float:
    """A number within bounds, which NaN is not."""
    if isinstance(value, str) and _REAL.fullmatch(value):
        value = float(value)
    if type(value) not in (int, float) or not least <= value <= most:
        raise DataError(f"{name} is {_shown(value)}, expected a number from {least:g} to {most:g}")
    return float(value)


def real_list(value: Any, name: str, least: float, most: float, size: int | None = None) -> np.ndarray:
    """Numbers within bounds, float64; NaN lies in none."""
    found = items(value, name, size)
    if not set(map(type, found)) <= {int, float} or not all(least <= number <= most for number in found):
        for i, number in enumerate(found):
            real(number if not isinstance(number, str) else None, f"{name}[{i}]", least, most)
    return np.array(found, np.float64)


def words_of(fields: dict[str, str], name: str, where: str) -> list[str]:
    """The words of a line ``name=word word ...``."""
    return text(entry(fields, name, where), f"{where}.{name}").split()


def decimals(words: list[str], name: str, dtype: type, size: int | None = None) -> list[Any]:
    """The numbers that words are, as Python's int or float: no other spelling of a number counts."""
    if size is not None and len(words) != size:
        raise DataError(f"{name} has {len(words)} entries, expected {size}")
    pattern = _WHOLE if dtype is int else _REAL
    for i, word in enumerate(words):
        if not pattern.fullmatch(word):
            kind = "an int" if dtype is int else "a number"
            raise DataError(f"{name}[{i}] is {_shown(word)}, expected {kind}")
    return [dtype(word) for word in words]
