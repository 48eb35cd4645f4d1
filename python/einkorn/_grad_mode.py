"""Whether operations are recorded: a setting of each thread."""

from __future__ import annotations

import threading
from typing import Any

from einkorn._context import Context
from einkorn.errors import ArgumentError

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "mode", "no_grad", "set_grad_enabled"]


class _Mode(threading.local):
    enabled = True


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations on tensors are being recorded in this thread."""
    return mode.enabled


class _Switch(Context[None]):
    """Recording on or off, for this thread."""

    _enabled: bool

    def _enter(self) -> tuple[None, bool]:
        before = mode.enabled
        mode.enabled = self._enabled
        return None, before

    def _leave(self, before: bool) -> None:
        mode.enabled = before


class set_grad_enabled(_Switch):  # noqa: N801 - torch's name
    """Record operations, or not: from here on, in a ``with`` block, or in a decorated function.

    Parameters
    ----------
    mode : bool

    Examples
    --------
    >>> einkorn.set_grad_enabled(False)              # until it is switched on again
    >>> with einkorn.set_grad_enabled(training):     # within the block
    ...     loss = model(x).sum()
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise ArgumentError(f"set_grad_enabled: mode is {mode!r}, expected True or False")
        self._enabled = mode
        self._before: bool | None = None
        self._before = self._enter()[1]

    def _enter(self) -> tuple[None, bool]:
        # The call itself switched: the first block gives back what held before the call.
        _, before = super()._enter()
        called, self._before = self._before, None
        return None, before if called is None else called

    def __call__(self, function: Any) -> Any:
        if self._before is not None:  # used as a decorator: the call was not meant for what follows
            self._leave(self._before)
            self._before = None
        return super().__call__(function)

    def __repr__(self) -> str:
        return f"set_grad_enabled({self._enabled})"


class _Fixed(_Switch):
    """A switch without arguments, which decorates with and without parentheses."""

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)


class no_grad(_Fixed):  # noqa: N801 - torch's name
    """Do not record operations inside a ``with`` block or a decorated function."""

    _enabled = False


class inference_mode(_Switch):  # noqa: N801 - torch's name
    """:class:`no_grad` under torch's name for code that never trains.

    Parameters
    ----------
    mode : bool, default True
        False: :class:`enable_grad`.
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if callable(mode):  # a decorator without parentheses
            self.__init__()  # type: ignore[misc]
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        if not isinstance(mode, bool):
            raise ArgumentError(f"inference_mode: mode is {mode!r}, expected True or False")
        self._enabled = not mode


class enable_grad(_Fixed):  # noqa: N801 - torch's name
    """Record operations inside a ``with`` block or a decorated function, also within :class:`no_grad`."""

    _enabled = True
