"""Optimizers with Keras' names and arguments, made without parameters: ``compile`` or ``apply`` adds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn._near import finding
from einkorn._objects import made
from einkorn.errors import ArgumentError
from einkorn.keras._serialize import deserialize, serialize
from einkorn.keras.optimizers import schedules
from einkorn.keras.optimizers._kinds import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    Muon,
    Nadam,
    RMSprop,
)
from einkorn.keras.optimizers._optimizer import Optimizer
from einkorn.keras.optimizers._scaling import LossScaleOptimizer

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_KINDS = (SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, Nadam, Lion, Lamb, Adafactor, Ftrl, Muon)
_NAMES = {kind.__name__.lower(): kind for kind in _KINDS}


def get(identifier: Any) -> Any:
    """An optimizer from its name, or itself.

    Raises
    ------
    ArgumentError
        There is none of this name.
    """
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        if identifier.lower() not in _NAMES:
            raise ArgumentError(
                f"compile: optimizer is {identifier!r}, expected an Optimizer or one of {', '.join(_NAMES)}"
            )
        return _NAMES[identifier.lower()]()
    return identifier


_TAKEN = "compile(optimizer=...) takes functions of the parameters: lambda p: einkorn.optim.{}"
_INSTEAD = {
    "MultiOptimizer": _TAKEN.format("Adam([{'params': ..., 'lr': ...}, ...]) has groups of parameters"),
    "OptimizerMap": _TAKEN.format("Adam([{'params': ..., 'lr': ...}, ...]) has groups of parameters"),
    "ScheduleFreeAdamW": "AdamW with einkorn.optim.swa_utils' average of the weights is the nearest",
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
