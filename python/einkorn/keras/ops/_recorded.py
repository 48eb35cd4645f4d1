"""Functions that are written down, as parts of a model, when they are given symbolic tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from einkorn.keras._symbols import has_symbols, record

__all__ = ["FUNCTIONS", "recorded"]

FUNCTIONS: dict[str, Callable[..., Any]] = {}  # by the names that files have for them


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which is written down when it is given symbolic tensors."""
    FUNCTIONS[function.__name__] = function

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if has_symbols(args, named):
            return record(function, args, named, function.__name__)
        return function(*args, **named)

    return call
