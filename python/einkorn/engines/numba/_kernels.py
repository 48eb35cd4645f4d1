"""Which functions are kernels: those marked ``@kernel``, each under its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["KERNELS", "kernel"]

#: Name -> body, in order of definition.
KERNELS: dict[str, Callable[..., Any]] = {}

_Body = TypeVar("_Body", bound=Callable[..., Any])


def kernel(body: _Body) -> _Body:
    """Make a function the engine's kernel of its name."""
    KERNELS[body.__name__] = body
    return body
