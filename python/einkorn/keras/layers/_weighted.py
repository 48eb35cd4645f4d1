"""What layers around one of ``einkorn.nn`` with a kernel and a bias have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import _versions
from einkorn.errors import ArgumentError
from einkorn.keras import activations, constraints, regularizers
from einkorn.keras._base import Layer, initial
from einkorn.keras._rules import give_rule, turned
from einkorn.keras._variables import Place
from einkorn.nn import initializers

__all__ = ["Weighted", "kernel_back", "kernel_turn", "rules_of", "transposed"]

_FUSED = ("relu", "sigmoid", "tanh")
Turn = Callable[[np.ndarray], np.ndarray]


def transposed(array: np.ndarray) -> np.ndarray:
    """The kernel of a product the other way round."""
    return array.T


def kernel_turn(array: np.ndarray) -> np.ndarray:
    """[out, in, sides] as Keras' [sides, in, out]."""
    return np.moveaxis(array, (1, 0), (-2, -1))


def kernel_back(array: np.ndarray) -> np.ndarray:
    """Keras' [sides, in, out] as [out, in, sides]."""
    return np.moveaxis(array, (-1, -2), (0, 1))


def rules_of(owner: str, **options: Any) -> dict[str, Any]:
    """Keras' options of weights, checked: initializers, regularizers and constraints by argument."""
    kinds = {"initializer": initializers.get, "regularizer": regularizers.get, "constraint": constraints.get}
    found = {}
    for name, value in options.items():
        try:
            found[name] = kinds[name.rpartition("_")[2]](value)
        except ArgumentError as error:
            raise ArgumentError(f"{owner}: {name}: {error}") from error
    return found


class Weighted(Layer):
    """A layer whose ``inner`` has ``weight`` and ``bias``, and which ends in an activation.

    Parameters
    ----------
    activation : str or callable, optional
    use_bias : bool
    rules : dict
        Keras' options of kernel and bias.
    """

    _integers = False
    _turn: Turn = staticmethod(kernel_turn)
    _back: Turn = staticmethod(kernel_back)

    def __init__(self, activation: Any, use_bias: bool, rules: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        owner = type(self).__name__
        if not isinstance(use_bias, bool):
            raise ArgumentError(f"{owner}: use_bias is {use_bias!r}, expected True or False")
        self.activation = activations.get(activation, owner=owner)
        self.use_bias = use_bias
        self.rules = rules_of(owner, **rules)
        fused = activation in _FUSED if isinstance(activation, str) else False
        self.fused = activation if fused else None

    def _fill(self, inner: Any, kernel: str = "kernel", bias: str | None = "bias") -> Any:
        """Give a layer of ``einkorn.nn`` its initial values and the rules of its weights."""
        for part, name, turn, back in (
            (kernel, "weight", self._turn, self._back),
            (bias, "bias", None, None),
        ):
            parameter = None if part is None else getattr(inner, name)
            if parameter is None:
                continue
            shape = parameter._data.shape if turn is None else turn(parameter._data).shape
            values = initial(self.rules[f"{part}_initializer"], shape)
            parameter._data[...] = values if back is None else back(values)
            _versions.wrote(parameter._data)
            for kind in ("regularizer", "constraint"):
                give_rule(inner, kind, name, turned(self.rules[f"{part}_{kind}"], turn, back))
        return inner

    def _keras_places(self) -> list[Place] | None:
        if not self.built:
            return []
        return [
            Place("kernel", self.inner, "weight", self._turn, self._back),
            Place("bias", self.inner, "bias"),
        ]

    @property
    def kernel(self) -> Any:
        """The kernel as a variable."""
        return self._variable("kernel")

    @property
    def bias(self) -> Any:
        """The bias as a variable, or None."""
        return self._variable("bias")

    def _variable(self, name: str) -> Any:
        return next((variable for variable in self.weights if variable.name == name), None)

    def _end(self, out: Any) -> Any:
        return out if self.fused else self.activation(out)
