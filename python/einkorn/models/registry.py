"""The closed registry: the names under which models are built and checkpoints rebuilt.

A checkpoint names a model and its configuration. What the name may be is decided here and nowhere
else: there is no import by path, so a file cannot choose code to run.
"""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.models.keras_cnn import KerasCNN
from einkorn.models.lenet import LeNet5
from einkorn.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from einkorn.models.mlp import MLP
from einkorn.models.perceptron import Perceptron
from einkorn.nn import Module

__all__ = ["build", "config_of", "name_of", "names"]

_MODELS: dict[str, type[Module]] = {
    "perceptron": Perceptron,
    "linear_regression": LinearRegression,
    "logistic_regression": LogisticRegression,
    "softmax_regression": SoftmaxRegression,
    "mlp": MLP,
    "lenet5": LeNet5,
    "keras_cnn": KerasCNN,
}


def names() -> tuple[str, ...]:
    """The registered names."""
    return tuple(_MODELS)


def build(name: str, **config: Any) -> Any:
    """A new model.

    Parameters
    ----------
    name : str
        One of ``names()``.
    **config
        The arguments of its class.

    Raises
    ------
    ArgumentError
        The name is unknown, or an argument is unknown or bad.
    """
    if name not in _MODELS:
        raise ArgumentError(f"build: name is {name!r}, expected one of {', '.join(_MODELS)}")
    try:
        return _MODELS[name](**config)
    except TypeError as error:
        raise ArgumentError(f"build: {name}: {error}") from error


def name_of(model: Any) -> str | None:
    """The name a model is registered under; None for other classes, subclasses included."""
    for name, kind in _MODELS.items():
        if type(model) is kind:
            return name
    return None


def config_of(model: Any) -> dict[str, Any]:
    """The arguments that build a registered model again."""
    return model.config
