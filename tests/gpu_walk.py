"""Calls of every public function by kinds of arguments that fit it, found by trying them on the CPU.

A kind is what a user may put into the place of an argument: a tensor of floats, integers or booleans, one
without axes, an array, a Python number, a list. For each function a few combinations that the CPU takes are
looked for, and from those on each place is tried with every kind, then each option by its name.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import einkorn

RNG = np.random.default_rng(11)
X = RNG.uniform(0.1, 0.9, (4, 4)).astype(np.float32)
IMAGES = RNG.uniform(0.1, 0.9, (2, 4, 6, 6)).astype(np.float32)
KERNELS = RNG.uniform(-0.5, 0.5, (4, 4, 3, 3)).astype(np.float32)
WHOLE = RNG.integers(0, 4, (4, 4))
TRUE = X > 0.5
VECTOR = X[0].copy()
PLACES = np.array([2, 0, 3, 1])

Put = Callable[[np.ndarray], Any]  # a tensor of a device


class Kind(NamedTuple):
    """What may be an argument."""

    name: str
    make: Callable[[Put], Any]


def _array(a: np.ndarray) -> Callable[[Put], Any]:
    return lambda put: put(a.copy())


#: In the order in which they are tried.
KINDS = [
    Kind("floats", _array(X)),
    Kind("vector", _array(VECTOR)),
    Kind("number", lambda put: 0.5),
    Kind("int", lambda put: 1),
    Kind("integers", _array(WHOLE)),
    Kind("places", _array(PLACES)),
    Kind("images", _array(IMAGES)),
    Kind("booleans", _array(TRUE)),
    Kind("0-d", _array(np.float32(0.5))),
    Kind("0-d integer", _array(np.int64(1))),
    Kind("ints", lambda put: (2, 2)),
    Kind("list", lambda put: [put(X.copy()), put(X[::-1].copy())]),
    Kind("symmetric", _array(X @ X.T + np.eye(4, dtype=np.float32))),
    Kind("kernels", _array(KERNELS)),
    Kind("rows", lambda put: put(X[None].repeat(2, 0))),
    Kind("numbers", lambda put: [0.25, 0.75]),
    Kind("shape", lambda put: (4, 4)),
    Kind("raw", lambda put: put(X.copy())._data),
    Kind("flag", lambda put: True),
    Kind("none", lambda put: None),
    Kind("text", lambda put: "mean"),
    Kind("sum", lambda put: "sum"),
    Kind("negative", lambda put: -1),
    Kind("0-d true", _array(np.bool_(True))),
]

#: What options alone may be.
OPTIONS = [*KINDS, Kind("type", lambda put: np.float64)]

_TRIES = 400  # combinations in search of one that fits
_FIRST = 2  # combinations that the rest varies


class Call(NamedTuple):
    """A function with the kinds of its arguments, which the CPU takes."""

    function: Callable[..., Any]
    args: tuple[Kind, ...]
    options: tuple[tuple[str, Kind], ...]

    def run(self, put: Put) -> tuple[Any, list[Any]]:
        """The result, and the arguments after the call."""
        args = [kind.make(put) for kind in self.args]
        options = {name: kind.make(put) for name, kind in self.options}
        einkorn.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                return self.function(*args, **options), [*args, *options.values()]

    def __str__(self) -> str:
        parts = [kind.name for kind in self.args]
        return ", ".join([*parts, *(f"{name}={kind.name}" for name, kind in self.options)])


def _here(a: np.ndarray) -> Any:
    return einkorn.tensor(a)


def _fits(call: Call) -> bool:
    try:
        call.run(_here)
    except Exception:
        return False
    return True


def calls(function: Callable[..., Any], first: tuple[Kind, ...] = tuple(KINDS)) -> Iterator[Call]:
    """Calls that the CPU takes, whose first argument is of the ``first`` kinds."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    count = sum(p.default is p.empty for p in placed)
    options = [p.name for p in placed[count:] if p.kind != p.POSITIONAL_ONLY]
    options += [p.name for p in parameters if p.kind == p.KEYWORD_ONLY]
    found = _bases(function, count, first)
    if not found and any(p.kind == p.VAR_POSITIONAL for p in parameters):
        count += 1
        found = _bases(function, count, first)
    if not found and count == 1:  # it wants one of its options
        every = (Call(function, (KINDS[0],), ((name, kind),)) for name in options for kind in KINDS[:8])
        found = [call for call in every if _fits(call)]
    yield from found
    seen = set(map(str, found))
    for base in found[:_FIRST]:
        for i, kind in itertools.product(range(count), KINDS):
            call = Call(function, (*base.args[:i], kind, *base.args[i + 1 :]), base.options)
            if (i or kind in first) and str(call) not in seen and _fits(call):
                seen.add(str(call))
                yield call
    for base in found[:1]:
        for name, kind in itertools.product(options, OPTIONS):
            call = Call(function, base.args, ((name, kind),))
            if str(call) not in seen and _fits(call):
                seen.add(str(call))
                yield call


def _bases(function: Callable[..., Any], count: int, first: tuple[Kind, ...]) -> list[Call]:
    """A few calls with so many arguments by their places."""
    found: list[Call] = []
    for kinds in _combinations(count):
        call = Call(function, kinds, ())
        if (not kinds or kinds[0] in first) and _fits(call):
            found.append(call)
            if len(found) == _FIRST:
                break
    return found


def _combinations(count: int) -> Iterator[tuple[Kind, ...]]:
    """Kinds for so many places, the first ones in all places alike before others."""
    few = {0: 1, 1: len(KINDS), 2: 16, 3: 8, 4: 5}.get(count, 1)
    numbers = sorted(itertools.product(range(few), repeat=count), key=sum)
    for chosen in numbers[:_TRIES]:
        yield tuple(KINDS[i] for i in chosen)


def leaves(value: Any) -> Iterator[Any]:
    """Tensors, arrays and numbers of a result, however deep."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from leaves(part)
    else:
        yield value
