"""Which functions are kernels: those marked ``@kernel``, each under its own name.

Calls are taken as the native engine's bindings take them: what is annotated ``Array`` is an array that
kernels take, ``Array | None`` may be None, and whole numbers and numbers are what Python's
``operator.index`` and ``float`` take for such.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from ._checks import is_array

__all__ = ["KERNELS", "kernel"]

#: Name -> body, in order of definition.
KERNELS: dict[str, Callable[..., Any]] = {}

_Body = TypeVar("_Body", bound=Callable[..., Any])


def _array(name: str, x: Any) -> Any:
    if not is_array(x):
        raise TypeError(f"argument '{name}' must be an aligned array of a type that kernels take")
    return x


def _array_or_none(name: str, x: Any) -> Any:
    return None if x is None else _array(name, x)


def _arrays(name: str, x: Any) -> Any:
    return [_array(name, each) for each in x]


def _arrays_or_none(name: str, x: Any) -> Any:
    return None if x is None else _arrays(name, x)


def _whole(name: str, x: Any) -> int:
    try:
        value = operator.index(x)
    except TypeError:
        raise TypeError(f"argument '{name}' must be a whole number") from None
    if not -(2**63) <= value < 2**64:
        raise TypeError(f"argument '{name}' does not fit 64 bits")
    return value


def _number(name: str, x: Any) -> float:
    try:
        return float(x)
    except (TypeError, ValueError):
        raise TypeError(f"argument '{name}' must be a number") from None


def _truth(name: str, x: Any) -> bool:
    return bool(x)


_TAKERS: dict[str, Callable[[str, Any], Any]] = {
    "Array": _array,
    "Array | None": _array_or_none,
    "Sequence[Array]": _arrays,
    "Sequence[Array] | None": _arrays_or_none,
    "int": _whole,
    "float": _number,
    "bool": _truth,
}


def kernel(body: _Body) -> _Body:
    """Make a function the engine's kernel of its name."""
    signature = inspect.signature(body)
    takers: Sequence[tuple[str, Callable[[str, Any], Any]]] = [
        (name, _TAKERS[parameter.annotation]) for name, parameter in signature.parameters.items()
    ]

    @functools.wraps(body)
    def checked(*args: Any, **kwargs: Any) -> Any:
        values = args if not kwargs else signature.bind(*args, **kwargs).args
        if len(values) != len(takers):
            raise TypeError(f"{body.__name__} takes {len(takers)} arguments, not {len(values)}")
        return body(*[take(name, value) for (name, take), value in zip(takers, values, strict=True)])

    KERNELS[body.__name__] = checked
    return cast("_Body", checked)
