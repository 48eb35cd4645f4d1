"""The state behind einkorn's random numbers: a seed and a position in its stream.

The kernels use Philox4x32-10 (Salmon et al. 2011), a function from (seed, counter) to four random words.
So a generator is two numbers, any part of the stream can be computed by any thread, and the numbers are
the same on every engine and for every number of threads.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

from einkorn._device import device as _Place  # noqa: N812 - a class of torch's name
from einkorn._device import device_name
from einkorn.errors import ArgumentError

__all__ = [
    "Generator",
    "State",
    "default_generator",
    "drawing_from",
    "get_rng_state",
    "get_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "set_state",
    "take",
]

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
        operating system. torch's ``Generator("cpu")`` is understood.

    Attributes
    ----------
    device : einkorn.device
        As given, by default ``"cpu"``: the same numbers are drawn on every device.
    """

    def __init__(self, seed: int | str | None = None, *, device: Any = None) -> None:
        if isinstance(seed, str) or type(seed).__module__ == "torch":  # its one positional argument
            seed, device = None, seed
        self.device = _Place("cpu" if device is None else device_name("Generator", device))
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

    def seed(self) -> int:
        """Start a stream that the operating system chooses; returns its seed."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()

    def initial_seed(self) -> int:
        """The seed that the stream began with."""
        return self._state.seed

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


get_rng_state, set_rng_state = get_state, set_state


def seed() -> int:
    """Start a stream that the operating system chooses; returns its seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that all random numbers began with."""
    return default_generator.initial_seed()


_chosen = threading.local()


class drawing_from:  # noqa: N801 - a context manager, written like a function
    """Within this context, this thread's draws come from a generator; from the default one where it is None.

    Parameters
    ----------
    op : str
        Who asks, for the message.
    generator : Generator or None
    """

    def __init__(self, op: str, generator: Any) -> None:
        if not (generator is None or isinstance(generator, Generator)):
            raise ArgumentError(
                f"{op}: generator is a {type(generator).__name__}, expected einkorn.Generator or None"
            )
        self._generator = generator

    def __enter__(self) -> None:
        self._before = getattr(_chosen, "generator", None)
        if self._generator is not None:
            _chosen.generator = self._generator

    def __exit__(self, *error: Any) -> None:
        _chosen.generator = self._before


def take(counters: int) -> tuple[int, int]:
    """Reserve counters of the generator that draws now; returns (seed, first counter)."""
    return (getattr(_chosen, "generator", None) or default_generator).take(counters)
