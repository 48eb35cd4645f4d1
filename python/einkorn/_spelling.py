"""Axes by either name: NumPy's ``axis`` and ``keepdims``, torch's ``dim`` and ``keepdim``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from einkorn.errors import ArgumentError

__all__ = ["either_spelling", "respell"]

Function = TypeVar("Function", bound=Callable[..., Any])

#: What else an argument of that name may be called.
_OTHER = {
    "dim": ("axis",),
    "axis": ("dim",),
    "dims": ("axes", "axis"),
    "axes": ("dims",),
    "keepdim": ("keepdims",),
    "keepdims": ("keepdim",),
    **{f"dim{i}": (f"axis{i}",) for i in range(3)},
    **{f"axis{i}": (f"dim{i}",) for i in range(3)},
}


def _others(function: Callable[..., Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The other names that a function's arguments go by, and the names of all its arguments."""
    inner: Any = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    code = getattr(inner, "__code__", None)
    if code is None:  # written in C
        return {}, ()
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = {other: name for name in names for other in _OTHER.get(name, ()) if other not in names}
    if code.co_varnames[len(names) : len(names) + 2] == ("dims", "options"):  # flip(*dims, **options)
        found |= dict.fromkeys(_OTHER["dims"], "dims")
    return found, names[: code.co_argcount]


def either_spelling(function: Function) -> Function:
    """Let the arguments that name axes be given by NumPy's or torch's name, whichever the function has.

    Raises
    ------
    ArgumentError
        By the function, when it is given one argument by both names.
    """
    others, positional = _others(function)
    known = frozenset(others)

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        if options and not known.isdisjoint(options):
            for other in known.intersection(options):
                name = others[other]
                if name in options or name in positional[: len(args)]:
                    first = options[name] if name in options else args[positional.index(name)]
                    raise ArgumentError(
                        f"{function.__name__}: {name} is {first!r} and {other} is {options[other]!r},"
                        " expected one of them"
                    )
                options[name] = options.pop(other)
        return function(*args, **options)

    return run  # type: ignore[return-value]


def respell(cls: type) -> None:
    """:func:`either_spelling` for all public methods of a class that name an axis by one name only."""
    for base in cls.__mro__[:-1]:
        for name, method in list(vars(base).items()):
            if not name.startswith("_") and hasattr(method, "__code__") and _others(method)[0]:
                setattr(base, name, either_spelling(method))
