"""Penalties of weights, with Keras' names: what a layer's ``kernel_regularizer`` adds to the loss in ``fit``.

In a loop of your own add ``penalty(model)`` to the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from einkorn import ops
from einkorn._objects import Plain, made
from einkorn.errors import ArgumentError
from einkorn.nn.parameter import is_frozen

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "get",
    "penalized",
    "penalty",
    "penalty_of",
]


def _weight(owner: str, name: str, value: Any) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not 0 <= value < math.inf:
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected a number >= 0")
    return float(value)


class Regularizer(Plain):
    """Base class: called with a parameter, it gives the penalty, a Tensor of no dimension."""

    def __call__(self, x: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no __call__()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class L1L2(Regularizer):
    """l1 times the sum of absolute values plus l2 times the sum of squares.

    Parameters
    ----------
    l1, l2 : float, default 0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = 0.0 if l1 is None else _weight(type(self).__name__, "l1", l1)
        self.l2 = 0.0 if l2 is None else _weight(type(self).__name__, "l2", l2)

    def __call__(self, x: Any) -> Any:
        terms = []
        if self.l1:
            terms.append(ops.multiply(ops.sum(ops.absolute(x)), self.l1))
        if self.l2 or not terms:
            terms.append(ops.multiply(ops.sum(ops.multiply(x, x)), self.l2))
        return terms[0] if len(terms) == 1 else ops.add(*terms)


class L1(L1L2):
    """l1 times the sum of absolute values (Tibshirani 1996).

    Parameters
    ----------
    l1 : float, default 0.01
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(0.01 if l1 is None else l1, 0.0)


class L2(L1L2):
    """l2 times the sum of squares; there is no factor of one half.

    Parameters
    ----------
    l2 : float, default 0.01
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(0.0, 0.01 if l2 is None else l2)


class OrthogonalRegularizer(Regularizer):
    """Pushes the rows, or columns, of a matrix to be orthogonal to each other.

    factor times half the sum of the absolute products of different rows of unit length, over the number of
    pairs.

    Parameters
    ----------
    factor : float, default 0.01
    mode : "rows" or "columns", default "rows"
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _weight("OrthogonalRegularizer", "factor", factor)
        if mode not in ("rows", "columns"):
            raise ArgumentError(f"OrthogonalRegularizer: mode is {mode!r}, expected 'rows' or 'columns'")
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ArgumentError(
                f"OrthogonalRegularizer: weight has shape {tuple(x.shape)}, expected a matrix"
            )
        if self.mode == "columns":
            x = x.transpose(0, 1)
        size = x.shape[0]
        length = ops.sqrt(ops.maximum(ops.sum(ops.multiply(x, x), axis=1, keepdims=True), 1e-12))
        unit = ops.divide(x, length)
        products = ops.absolute(ops.matmul(unit, unit.transpose(0, 1)))
        off = ops.subtract(ops.sum(products), ops.sum(ops.absolute(ops.multiply(unit, unit))))
        return ops.multiply(off, self.factor * 0.5 / max(1.0, size * (size - 1.0) / 2.0))


_NAMES: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "l1l2": L1L2,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
    "OrthogonalRegularizer": OrthogonalRegularizer,
}


def get(identifier: Any) -> Any:
    """A regularizer from its name ("l1", "l2", "l1_l2"), or a function of a parameter."""
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ArgumentError(f"regularizer is {identifier!r}, expected one of l1, l2, l1_l2 or a function")
        if _NAMES[identifier] is L1L2:
            return L1L2(0.01, 0.01)
        return _NAMES[identifier]()
    if isinstance(identifier, type) or not callable(identifier):
        raise ArgumentError(f"regularizer is {identifier!r}, expected an instance, a function or a name")
    return identifier


class Penalized(NamedTuple):
    """A parameter with a regularizer."""

    layer: Any
    name: str
    function: Any


def penalized(model: Any) -> list[Penalized]:
    """The parameters of a model that have a regularizer."""
    found = []
    for module in model.modules():
        for name, function in module.__dict__.get("_regularizers", {}).items():
            found.append(Penalized(module, name, function))
    return found


def _is_idle(layer: Any, parameter: Any, function: Any) -> bool:
    if getattr(function, "of_layer", False):  # one for all the weights of a layer counts while one learns
        return all(map(is_frozen, layer.parameters()))
    return is_frozen(parameter)


def penalty_of(entries: list[Penalized]) -> Any:
    """The sum of the penalties, or None without any; frozen parameters have none."""
    value: Any = None
    for layer, name, function in entries:
        parameter = getattr(layer, name)
        if parameter is not None and not _is_idle(layer, parameter, function):
            term = function(parameter)
            value = term if value is None else ops.add(value, term)
    return value


def penalty(model: Any) -> Any:
    """What the regularizers of a model's layers add to the loss: a Tensor, or 0.0 without any.

    As in Keras those of frozen parameters (``requires_grad`` is False) add nothing.
    """
    value = penalty_of(penalized(model))
    return 0.0 if value is None else value
