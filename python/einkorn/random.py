"""The state behind einkorn's random numbers: a seed and a position in its stream.

The kernels use Philox4x32-10 (Salmon et al. 2011), a function from (seed, counter) to four random words.
So a generator is two numbers, any part of the stream can be computed by any thread, and the numbers are
the same on every engine and for every number of threads.
"""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from einkorn.errors import ArgumentError

__all__ = ["Generator", "State", "default_generator", "get_state", "manual_seed", "set_state", "take"]

_WORD = 2**64


class State(NamedTuple):
    """Where a generator stands."""

    seed: int
    counter: int


class Generator:
    """A seed and a counter that moves on with every draw. Safe to share between threads.

    Parameters
    ----------
    seed : int, optional
        From 0 to 2**64 - 1; negative numbers are taken modulo 2**64. Default: drawn from the
        operating system.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._state = State(0, 0)
        self.manual_seed(int.from_bytes(os.urandom(8), "little") if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of ``seed`` from its beginning; returns the generator."""
        try:
            number = seed.__index__()
        except AttributeError:
            raise ArgumentError(f"manual_seed: seed is {seed!r}, expected an int") from None
        if not -(_WORD // 2) <= number < _WORD:
            raise ArgumentError(f"manual_seed: seed is {seed}, expected a number of 64 bits")
        with self._lock:
            self._state = State(number % _WORD, 0)
        return self

    def get_state(self) -> State:
        """The seed and the number of counters taken so far."""
        return self._state

    def set_state(self, state: tuple[int, int]) -> None:
        """Continue from a state that :meth:`get_state` gave."""
        seed, counter = state
        if not (0 <= seed < _WORD and 0 <= counter < _WORD):
            raise ArgumentError(f"set_state: state is {state!r}, expected (seed, counter) of 64 bits each")
        with self._lock:
            self._state = State(seed, counter)

    def take(self, counters: int) -> tuple[int, int]:
        """Reserve the next ``counters`` counters; returns (seed, first counter)."""
        with self._lock:
            seed, offset = self._state
            self._state = State(seed, (offset + counters) % _WORD)
        return seed, offset

    def _forked(self) -> None:
        """In a child process: the lock may have been held by a thread that stayed with the parent."""
        self._lock = threading.Lock()


#: The generator of all functions that take none. Seeded by the operating system, as torch's is; a child
#: process continues from its parent's state.
default_generator = Generator()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=default_generator._forked)


def manual_seed(seed: int) -> Generator:
    """Seed all of einkorn's random numbers; returns the default generator."""
    return default_generator.manual_seed(seed)


def get_state() -> State:
    """State of the default generator."""
    return default_generator.get_state()


def set_state(state: tuple[int, int]) -> None:
    """Set the state of the default generator."""
    default_generator.set_state(state)


def take(counters: int) -> tuple[int, int]:
    """Reserve counters of the default generator; returns (seed, first counter)."""
    return default_generator.take(counters)
