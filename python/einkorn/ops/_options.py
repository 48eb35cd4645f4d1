"""Options: what an operation is told beside its arrays, checked here and refused by name.

A truth value is no number here and a number no truth value: ``ceil_mode="no"`` and ``stride=True`` are
mistakes. Integers and numbers of NumPy count as Python's.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError

__all__ = [
    "ABSENT",
    "LARGEST",
    "axes_of",
    "axis_of",
    "check_rank",
    "flag",
    "integer",
    "is_plain",
    "number",
    "pair",
    "reduced",
    "refuse_positional",
    "single",
    "sizes",
]

#: Windows and steps stay below this, so that no product of a size and an option overflows in the kernels.
LARGEST = 1 << 30


class _Absent:
    """Stands for an argument that was not given, where None means something."""

    def __repr__(self) -> str:
        return "not given"


ABSENT: Any = _Absent()


def flag(op: str, name: str, value: Any) -> bool:
    """True or False, also NumPy's."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    raise ArgumentError(f"{op}: {name} is {value!r}, expected True or False")


def integer(op: str, name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number, within bounds where they are given."""
    if type(value) is not int:
        if isinstance(value, (bool, np.bool_)):
            raise ArgumentError(f"{op}: {name} is {value!r}, expected an int")
        try:
            value = operator.index(value)
        except TypeError:
            raise ArgumentError(f"{op}: {name} is {value!r}, expected an int") from None
    if least is not None and value < least:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at least {least}")
    if most is not None and value > most:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at most {most}")
    return value


def number(op: str, name: str, value: Any) -> float:
    """A real number, also NumPy's and arrays of rank 0."""
    kind = type(value)
    if kind is float or kind is int:
        return value
    refused = isinstance(value, (bool, np.bool_, str, bytes, complex)) or getattr(value, "ndim", 0) != 0
    if not refused and hasattr(value, "__float__"):
        return float(value)
    raise ArgumentError(f"{op}: {name} is {value!r}, expected a number")


def is_plain(option: Any) -> bool:
    """Whether an option is an int or a tuple of ints, and so equal to no other that is refused."""
    kind = type(option)
    return kind is int or (kind is tuple and all(type(n) is int for n in option))


def pair(value: Any, op: str, name: str, least: int = 0, most: int | None = None) -> tuple[int, int]:
    """An int, or one or two of them, as a pair; each within the bounds."""
    if type(value) is int:
        first = second = value
    else:
        values = tuple(value) if isinstance(value, (tuple, list)) or np.ndim(value) == 1 else (value,)
        if len(values) == 1:
            values *= 2
        try:
            first, second = (integer(op, name, v) for v in values)
        except ValueError:  # one that is no int, or another number of them
            raise ArgumentError(f"{op}: {name} is {value!r}, expected an int or a pair of ints") from None
    if first < least or second < least:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at least {least}")
    if most is not None and (first > most or second > most):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at most {most}")
    return first, second


def single(value: Any, op: str, name: str, least: int = 0) -> int:
    """An int, or a sequence of one, as torch's one-dimensional options."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        value = value[0]
    return integer(op, name, value, least)


def sizes(
    value: Any, op: str, name: str, count: int, least: int = 0, most: int | None = None
) -> tuple[int, ...]:
    """An int, or one or ``count`` of them, as a tuple of ``count``; each within the bounds."""
    if type(value) is int and value >= least and (most is None or value <= most):
        return (value,) * count
    if type(value) is int:
        found: tuple[int, ...] = (value,) * count
    else:
        values = tuple(value) if isinstance(value, (tuple, list)) or np.ndim(value) == 1 else (value,)
        if len(values) == 1:
            values *= count
        try:
            found = tuple(integer(op, name, v) for v in values)
        except ValueError:
            found = ()
        if len(found) != count:
            many = {1: "", 2: " or a pair of ints", 3: " or three ints"}[count]
            raise ArgumentError(f"{op}: {name} is {value!r}, expected an int{many}")
    if min(found) < least:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at least {least}")
    if most is not None and max(found) > most:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at most {most}")
    return found


def axis_of(op: str, axis: Any, ndim: int, name: str = "axis") -> int:
    """One axis, counted from the front. A scalar has the axes 0 and -1, as in torch."""
    index = integer(op, name, axis)
    size = ndim or 1
    if not -size <= index < size:
        raise ArgumentError(f"{op}: {name} is {axis}, out of range for {ndim} dimensions")
    return index % size


def axes_of(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes in ascending order, those of an int, a sequence or None (all); a scalar's are none."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    try:
        axes = {axis_of(op, a, ndim) for a in given}
    except ArgumentError as error:
        if "out of range" in str(error):
            raise ArgumentError(f"{op}: axis is {axis!r}, out of range for {ndim} dimensions") from None
        raise ArgumentError(f"{op}: axis is {axis!r}, expected an int, a tuple of ints or None") from None
    if len(axes) != len(given):
        raise ArgumentError(f"{op}: axis is {axis!r}, which names a dimension twice")
    return tuple(sorted(axes)) if ndim else ()


def reduced(op: str, axis: Any, keepdims: Any, dim: Any, keepdim: Any) -> tuple[Any, bool]:
    """The axis and keepdims of a reduction, from NumPy's names or torch's; not from both.

    ``dim=()`` is torch's way to say all, ``axis=()`` NumPy's to say none.
    """
    if dim is not ABSENT:
        if axis is not None:
            raise ArgumentError(f"{op}: axis is {axis!r} and dim is {dim!r}, expected one of them")
        axis = None if isinstance(dim, (tuple, list)) and not dim else dim
    if keepdim is not ABSENT:
        if keepdims is not False:
            raise ArgumentError(
                f"{op}: keepdims is {keepdims!r} and keepdim is {keepdim!r}, expected one of them"
            )
        return axis, flag(op, "keepdim", keepdim)
    return axis, flag(op, "keepdims", keepdims)


def refuse_positional(op: str, given: tuple[Any, ...], why: str) -> None:
    """Refuse arguments by position that libraries disagree about."""
    if given:
        raise ArgumentError(f"{op}: got {given[0]!r} by position; {why}")


def check_rank(op: str, name: str, ndim: int) -> None:
    """Refuse results of more dimensions than arrays have here."""
    if ndim > 8:
        raise ShapeError(f"{op}: {name} makes {ndim} dimensions, at most 8 are supported")
