"""Optimizers by name, as ``compile`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim import SGD, Adam, AdamW, Optimizer

__all__ = ["find_optimizer"]


def _sgd(parameters: Any) -> Optimizer:
    return SGD(parameters, lr=0.01)


# Rates as Keras has them: the same as ours but for sgd.
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": _sgd,
    "adam": Adam,
    "adamw": AdamW,
}


def find_optimizer(optimizer: Any, parameters: list[Any]) -> Optimizer:
    """An optimizer from its name, its class (or any function of the parameters), or itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ArgumentError(
                f"compile: optimizer is {optimizer!r}, expected an Optimizer or one of "
                f"{', '.join(OPTIMIZERS)}"
            )
        return OPTIMIZERS[optimizer](parameters)
    made = optimizer(parameters) if callable(optimizer) else None
    if not isinstance(made, Optimizer):
        raise ArgumentError(
            f"compile: optimizer is {optimizer!r}, expected an Optimizer, its class, or one of "
            f"{', '.join(OPTIMIZERS)}"
        )
    return made
