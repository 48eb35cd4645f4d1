"""Optimizers by name, as ``compile`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim import (
    ASGD,
    LAMB,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lion,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)

__all__ = ["OPTIMIZERS", "find_optimizer"]


def _muon(parameters: Any, lr: float = 1e-3, weight_decay: float = 0.004) -> Optimizer:
    """Keras's Muon, which leaves what is no matrix to Adam."""
    from einkorn.keras.optimizers import Muon

    return Muon(lr, weight_decay=weight_decay, adam_weight_decay=weight_decay)(parameters)


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
    "muon": _muon,
    "ftrl": partial(Ftrl, lr=1e-3),
    "asgd": ASGD,
    "rprop": Rprop,
    "sparseadam": SparseAdam,
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
