"""Checks of constructor arguments that several layers share."""

from __future__ import annotations

import operator
from typing import Any

from einkorn.errors import ArgumentError

__all__ = ["integer", "pair", "sizes"]


def integer(value: Any, op: str, name: str, low: int = 1) -> int:
    """``value`` as an int of at least ``low``, refusing booleans and fractions."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < low:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer of at least {low}")
    return number


def pair(value: Any, op: str, name: str, low: int = 1) -> tuple[int, int]:
    """``value``, an int or two, as a pair for height and width."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer or a pair")
        return integer(value[0], op, name, low), integer(value[1], op, name, low)
    number = integer(value, op, name, low)
    return number, number


def sizes(value: Any, op: str, name: str, count: int, low: int = 1) -> tuple[int, ...]:
    """``value``, an int or one or ``count`` of them, as ``count`` sizes, depth first."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(given) not in (1, count):
        several = {1: "", 2: " or a pair", 3: " or three"}[count]
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer{several}")
    numbers = tuple(integer(v, op, name, low) for v in given)
    return numbers * count if len(numbers) != count else numbers
