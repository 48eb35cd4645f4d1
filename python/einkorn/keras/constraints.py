"""Keras' limits of weights: those of ``einkorn.nn.constraints``, along axes of Keras' layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn._near import finding
from einkorn._objects import made
from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn import constraints as _own
from einkorn.nn.constraints import Constraint, NonNeg

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]


class MaxNorm(_own.MaxNorm):
    """Weights are no longer than ``max_value`` along some axes.

    Parameters
    ----------
    max_value : float, default 2
    axis : int or tuple of int, default 0
        Of the weight as Keras has it: 0 gives the weights into each unit of a ``Dense`` layer, (0, 1, 2)
        those of a ``Conv2D``.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        super().__init__(max_value, axis)


class MinMaxNorm(_own.MinMaxNorm):
    """Weights have a length between two limits along some axes.

    Parameters
    ----------
    min_value, max_value : float, default 0 and 1
    rate : float, default 1
        1 brings them there, less goes only so far of the way.
    axis : int or tuple of int, default 0
        As for :class:`MaxNorm`.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        super().__init__(min_value, max_value, rate, axis)


class UnitNorm(_own.UnitNorm):
    """Weights have length 1 along some axes.

    Parameters
    ----------
    axis : int or tuple of int, default 0
        As for :class:`MaxNorm`.
    """

    def __init__(self, axis: Any = 0) -> None:
        super().__init__(axis)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
_NAMES: dict[str, Any] = {
    "max_norm": MaxNorm, "min_max_norm": MinMaxNorm, "unit_norm": UnitNorm, "MaxNorm": MaxNorm,
    "MinMaxNorm": MinMaxNorm, "UnitNorm": UnitNorm,
}  # fmt: skip


def get(identifier: Any) -> Any:
    """A constraint from its name or description, or a function of an array itself; None is none."""
    if isinstance(identifier, Mapping):
        identifier = made(identifier)
    if isinstance(identifier, str) and identifier in _NAMES:
        return _NAMES[identifier]()
    return _own.get(identifier)


__getattr__ = finding(__name__, lambda: __all__, {})
