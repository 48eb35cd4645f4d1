"""Limits that weights are brought back into after each update of ``fit``, with Keras' names.

In a loop of your own call ``apply_constraints(model)`` after ``optimizer.step()``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from einkorn import _versions, ops
from einkorn._objects import Plain, made
from einkorn.autograd import no_grad
from einkorn.errors import ArgumentError
from einkorn.nn.parameter import is_frozen

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "apply_constraints",
    "constrain",
    "constrained",
    "get",
]

_SMALL = 1e-7


class Constraint(Plain):
    """Base class: called with the array of a parameter, it gives the array to take its place."""

    def __call__(self, w: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no __call__()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def _limit(owner: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected a number >= 0")
    return float(value)


def _norms(w: Any, axis: Any) -> Any:
    """Euclidean lengths along ``axis``; by default of the weights into each unit: all axes but the first."""
    over = tuple(range(1, w.ndim)) or (0,)
    if axis is not None:
        over = (axis,) if isinstance(axis, int) else tuple(axis)
    return ops.sqrt(ops.sum(ops.multiply(w, w), axis=over, keepdims=True))


class MaxNorm(Constraint):
    """The weights into each unit are no longer than ``max_value`` (Srivastava et al. 2014).

    Parameters
    ----------
    max_value : float, default 2
    axis : int or tuple of int, default all axes but the first
        What lengths are taken along. Weights are [units, inputs, ...] here, so the default is what axis=0, or
        (0, 1, 2) for convolutions, means in Keras, where units come last.
    """

    def __init__(self, max_value: float = 2, axis: Any = None) -> None:
        self.max_value = _limit("MaxNorm", "max_value", max_value)
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        return ops.multiply(w, ops.divide(ops.clip(norms, 0.0, self.max_value), ops.add(norms, _SMALL)))


class MinMaxNorm(Constraint):
    """The weights into each unit have a length between two limits.

    Parameters
    ----------
    min_value, max_value : float, default 0 and 1
    rate : float, default 1
        1 brings them there, less goes only so far of the way.
    axis : int or tuple of int, default all axes but the first
        As for ``MaxNorm``.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = None
    ) -> None:
        self.min_value = _limit("MinMaxNorm", "min_value", min_value)
        self.max_value = _limit("MinMaxNorm", "max_value", max_value)
        self.rate = _limit("MinMaxNorm", "rate", rate)
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        wanted = ops.add(
            ops.multiply(ops.clip(norms, self.min_value, self.max_value), self.rate),
            ops.multiply(norms, 1.0 - self.rate),
        )
        return ops.multiply(w, ops.divide(wanted, ops.add(norms, _SMALL)))


class NonNeg(Constraint):
    """No weight is negative."""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """The weights into each unit have length 1.

    Parameters
    ----------
    axis : int or tuple of int, default all axes but the first
        As for ``MaxNorm``.
    """

    def __init__(self, axis: Any = None) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, ops.add(_norms(w, self.axis), _SMALL))


_NAMES: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
    **{kind.__name__: kind for kind in (MaxNorm, MinMaxNorm, NonNeg, UnitNorm)},
}


def get(identifier: Any) -> Any:
    """A constraint from its name, or a function of an array itself; None is none."""
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ArgumentError(
                f"constraint is {identifier!r}, expected max_norm, min_max_norm, non_neg, unit_norm or a "
                "function"
            )
        return _NAMES[identifier]()
    if isinstance(identifier, type) or not callable(identifier):
        raise ArgumentError(f"constraint is {identifier!r}, expected an instance, a function or a name")
    return identifier


class Constrained(NamedTuple):
    """A parameter with a constraint."""

    layer: Any
    name: str
    function: Any


def constrained(model: Any) -> list[Constrained]:
    """The parameters of a model that have a constraint."""
    found = []
    for module in model.modules():
        for name, function in module.__dict__.get("_constraints", {}).items():
            found.append(Constrained(module, name, function))
    return found


def constrain(entries: list[Constrained]) -> None:
    """Bring parameters into their limits, in place, but those that are frozen now: no update moved them."""
    for layer, name, function in entries:
        parameter = getattr(layer, name)
        if parameter is None or is_frozen(parameter):
            continue
        with no_grad():
            values = function(parameter._data)
        data = parameter._data
        data[...] = values._data if hasattr(values, "backward") else np.asarray(values, data.dtype)
        _versions.wrote(data)


def apply_constraints(model: Any) -> None:
    """Bring the parameters of a model into the limits of its layers' constraints, in place.

    As in Keras those that are frozen (``requires_grad`` is False) stay as they are.
    """
    constrain(constrained(model))
