"""Checks that indices are in range: at once, or on a GPU within a step, with what else is waited for.

A check needs an answer of the GPU, and who asks for one waits for all that was queued. Within :func:`later`
a kernel writes what it found into a place of a small array there, and brings bad indices into the range, so
that nothing is read or written beyond an array meanwhile. All places come to the CPU in one copy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from einkorn import cuda, engines

__all__ = ["checked", "later"]

_PLACES = 32  # checks of a step on one stream that one array has room for


class _Asked(NamedTuple):
    """A check that has no answer yet."""

    index: Any
    error: Callable[[int, int], Exception]


class Pending:
    """The checks of a step, by stream: those of one are answered in its order."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], Any] = {}
        self._asked: dict[tuple[int, int], tuple[Any, list[_Asked]]] = {}

    def clamped(self, k: Any, index: Any, low: int, high: int, ignore: int, error: Any) -> Any:
        """The indices in range; what was outside will be told of by :meth:`read`."""
        number = index.device.id
        with sys.modules["cupy"].cuda.Device(number):
            stream = sys.modules["cupy"].cuda.get_current_stream()
            key = number, int(stream.ptr)
            _, asked = self._asked.setdefault(key, (stream, []))
            if len(asked) == _PLACES:
                self.read()
                _, asked = self._asked.setdefault(key, (stream, []))
            if key not in self._places:
                self._places[key] = k.empty((_PLACES,), np.int64)
                self._places[key][...] = -1
            out = k.empty(index.shape, np.int64)
            place = self._places[key][len(asked) : len(asked) + 1]
            k.clamp_indices(out.reshape(-1), place, index.reshape(-1), low, high, ignore)
        asked.append(_Asked(index, error))
        return out

    def read(self) -> None:
        """Wait for the answers, and raise the error of the first check that failed."""
        waiting, self._asked = self._asked, {}
        for key, (stream, asked) in waiting.items():
            found = self._places[key].get(stream=stream).tolist()
            for position, (index, error) in zip(found, asked, strict=False):
                if position >= 0:
                    del self._places[key]
                    raise error(position, int(index.reshape(-1)[position]))

    def forget(self) -> None:
        """Drop the checks of a step that was broken off; what they found with them."""
        for key in self._asked:
            self._places.pop(key, None)
        self._asked.clear()


class _State(threading.local):
    pending: Pending | None = None
    kept: Pending | None = None  # its arrays serve step after step


_state = _State()


@contextmanager
def later(device: str) -> Iterator[Callable[[], None]]:
    """Put checks on a GPU off until what is given here is called, within the block; none of the CPU's."""
    if device == "cpu":
        yield _nothing
        return
    outer = _state.pending
    pending = _state.kept = _state.kept or Pending()
    _state.pending = pending
    try:
        yield pending.read
    finally:
        _state.pending = outer
        pending.forget()


def _nothing() -> None:
    """Every check was made when it was asked for."""


def checked(index: Any, low: int, high: int, ignore: int, error: Callable[[int, int], Exception]) -> Any:
    """Indices that are all in ``[low, high)`` or ``ignore``: these, or a copy that is in the meantime.

    Raises
    ------
    Exception
        What ``error`` makes of the first that is not: its position among all, and its value.
    """
    k = engines.of(index)
    pending = None if isinstance(index, np.ndarray) else _state.pending
    if pending is None or low >= high or not index.size:
        bad = k.first_out_of_range(index.reshape(-1), low, high, ignore)
        if bad >= 0:
            raise error(bad, int(index.reshape(-1)[bad]))
        return index
    return pending.clamped(k, index, low, high, ignore, error) if cuda.is_checked() else index
