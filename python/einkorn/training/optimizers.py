"""Optimizers by name, as ``compile`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim import (
    LAMB,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
)

__all__ = ["OPTIMIZERS", "find_optimizer"]

# Rates and decays as Keras has them.
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": partial(SGD, lr=0.01),
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": partial(RMSprop, lr=1e-3, alpha=0.9),
    "adagrad": partial(Adagrad, lr=1e-3, initial_accumulator_value=0.1),
    "adadelta": partial(Adadelta, lr=1e-3, rho=0.95),
    "adamax": partial(Adamax, lr=1e-3),
    "nadam": partial(NAdam, lr=1e-3),
    "adafactor": partial(Adafactor, lr=1e-3),
    "radam": RAdam,
    "lion": partial(Lion, lr=1e-3),
    "lamb": LAMB,
}


def find_optimizer(optimizer: Any, parameters: list[Any]) -> Optimizer:
    """An optimizer from its name, its class (or any function of the parameters), or itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        name = optimizer.lower()  # Keras takes "Adam" too
        if name not in OPTIMIZERS:
            raise ArgumentError(
                f"compile: optimizer is {optimizer!r}, expected an Optimizer or one of "
                f"{', '.join(OPTIMIZERS)}"
            )
        return OPTIMIZERS[name](parameters)
    made = optimizer(parameters) if callable(optimizer) else None
    if not isinstance(made, Optimizer):
        raise ArgumentError(
            f"compile: optimizer is {optimizer!r}, expected an Optimizer, its class, or one of "
            f"{', '.join(OPTIMIZERS)}"
        )
    return made
