"""What an optimizer changes from update to update, as Keras shows it: with ``numpy()`` and ``assign``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn._tensor import as_numpy
from einkorn.errors import ShapeError

__all__ = ["Count", "Rate", "Slot", "slot_of", "slots_of", "slots_of_param"]


class _Number:
    """The verbs of Keras' variables for a number."""

    _set: Callable[[Any], None]

    @property
    def value(self) -> Any:
        """The number."""
        return self

    def numpy(self) -> Any:
        """The number, as NumPy has it."""
        return np.asarray(self)[()]

    def assign(self, value: Any) -> None:
        """Set what the number was read from."""
        self._set(value)


class Rate(float, _Number):
    """A learning rate that can be set where it was read."""

    def __new__(cls, value: float, change: Callable[[Any], None]) -> Rate:
        made = super().__new__(cls, value)
        made._set = change
        return made

    def __reduce__(self) -> Any:
        return float, (float(self),)


class Count(int, _Number):
    """A number of updates that can be set where it was read."""

    def __new__(cls, value: int, change: Callable[[Any], None]) -> Count:
        made = super().__new__(cls, value)
        made._set = change
        return made

    def __reduce__(self) -> Any:
        return int, (int(self),)


class Slot:
    """One of an optimizer's variables.

    Attributes
    ----------
    name, path : str
    shape, dtype
    value : array
        A copy, as ``numpy()`` gives it.
    """

    trainable = False

    def __init__(
        self, name: str, owner: str, read: Callable[[], Any], write: Callable[[np.ndarray], None]
    ) -> None:
        self.name, self.path = name, f"{owner}/{name}"
        self._read, self._write = read, write

    def numpy(self) -> np.ndarray:
        """A copy."""
        return np.array(as_numpy(self._read()))

    @property
    def value(self) -> np.ndarray:
        """A copy."""
        return self.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numpy().shape

    @property
    def dtype(self) -> str:
        return str(self.numpy().dtype)

    def assign(self, value: Any) -> Slot:
        """Write values."""
        given = np.asarray(as_numpy(value))
        if given.shape != self.shape:
            raise ShapeError(f"{self.path}: assign got shape {given.shape}, expected {self.shape}")
        self._write(given)
        return self

    def assign_add(self, value: Any) -> Slot:
        """Add to the values."""
        return self.assign(self.numpy() + as_numpy(value))

    def assign_sub(self, value: Any) -> Slot:
        """Take away from the values."""
        return self.assign(self.numpy() - as_numpy(value))

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


def slots_of(keras: Any) -> list[Slot]:
    """The variables of an optimizer of ``einkorn.keras.optimizers``, in Keras' order."""
    every = keras.gradient_accumulation_steps or 1

    def set_batches(value: Any) -> None:
        updates, keras._applied = divmod(int(value), every)
        keras._set_iterations(updates)

    found = [
        Slot(
            "iteration", keras.name, lambda: np.int32(keras._iterations * every + keras._applied), set_batches
        )
    ]
    if not callable(keras._rate):
        found.append(
            Slot("learning_rate", keras.name, lambda: np.float32(keras.learning_rate), keras._set_rate)
        )
    if keras._bound is None:
        return found
    if keras.use_ema:
        if keras._averages is None:
            keras._averages = keras.first_averages()
        found += [
            slot_of(keras, param, "average", average)
            for param, average in zip(keras._params, keras._averages, strict=True)
            if average is not None
        ]
    if keras.gradient_accumulation_steps:
        keras._sums = [
            np.zeros_like(param._data) if total is None else total
            for param, total in zip(keras._params, keras._sums or [None] * len(keras._params), strict=True)
        ]
        found += [
            slot_of(keras, param, "gradient_accumulator", total)
            for param, total in zip(keras._params, keras._sums, strict=True)
            if param.requires_grad
        ]
    return found + _state(keras)


def _state(keras: Any) -> list[Slot]:
    """The arrays of state, made now where there was no update yet."""
    bound = keras._bound
    arrays: dict[int, dict[str, Any]] = {}
    for group, runs in zip(bound.param_groups, bound._runs, strict=True):
        bound._take_new(group, runs)
        for run in runs:
            if not run.state:
                run.state = bound._new_state(run, [param._data for param in run.params], group)
            for i, param in enumerate(run.params):
                arrays[id(param)] = {name: each[i] for name, each in run.state.items()}
    found = []
    for names in keras._slots:
        for param in (param for param in keras._params if param.requires_grad):
            found += keras._slots_of(param, arrays.get(id(param), {}), names)
    for name in bound._scalars:
        found.append(Slot("variable", "variable", *_shared(bound, name)))
    return found


def _shared(bound: Any, name: str) -> tuple[Callable[[], Any], Callable[[np.ndarray], None]]:
    """How a number that all weights share is read and written."""

    def read() -> Any:
        return np.float32(next(run.scalars[name] for runs in bound._runs for run in runs))

    def write(given: np.ndarray) -> None:
        for run in (run for runs in bound._runs for run in runs):
            run.scalars[name] = float(given)

    return read, write


def slots_of_param(
    keras: Any, param: Any, arrays: dict[str, Any], names: tuple[tuple[str, str], ...]
) -> list[Slot]:
    """The arrays of one weight's state that there are."""
    return [
        slot_of(keras, param, theirs, arrays[name], keras._by_rate.get(name))
        for name, theirs in names
        if name in arrays
    ]


def slot_of(keras: Any, param: Any, name: str, array: Any, sign: float | None = None) -> Slot:
    """An array of state in the layout of its weight, with ``sign`` as a multiple of the rate."""
    variable = keras._known.get(id(param))
    place: Any = getattr(variable, "_place", None)
    turned = place is not None and place.turn is not None and array.shape == param._data.shape
    path = str(getattr(variable, "path", "") or getattr(param, "name", "") or "variable")

    def factor() -> float:
        return 1.0 if sign is None else sign * float(keras.learning_rate)

    def read() -> Any:
        value = place.turn(array) if turned else array
        return value if sign is None else value * np.asarray(factor(), value.dtype)

    def write(given: np.ndarray) -> None:
        value = place.back(given) if turned else given.reshape(array.shape)
        array[...] = value if sign is None else value / factor()

    return Slot(f"{path.replace('/', '_')}_{name}", keras.name, read, write)
