"""What ``compile`` chose, and what the other verbs read from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError, EinkornError
from einkorn.optim import Optimizer
from einkorn.training.batches import Types, float_type
from einkorn.training.losses import Loss, find_loss
from einkorn.training.metrics import Metric, find_metrics
from einkorn.training.optimizers import find_optimizer
from einkorn.training.state import State, state_of

__all__ = ["Compiled", "compile_model", "compiled_of", "types_of", "verbosity"]


class Compiled(NamedTuple):
    """What ``compile`` chose, beside the optimizer."""

    loss: Loss
    metrics: list[Metric]
    loss_weight: float
    made_here: bool  # the optimizer was made from the model's parameters


def compile_model(
    model: Any,
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    from_logits: bool | None,
) -> None:
    """``Trainable.compile``."""
    found = find_loss(loss, from_logits)
    both = [*find_metrics(metrics, found), *find_metrics(weighted_metrics, found, weighted=True)]
    names = [metric.name for metric in both]
    if len(set(names)) < len(names):
        raise ArgumentError(f"compile: metrics and weighted_metrics share a name, of {', '.join(names)}")
    made = find_optimizer(optimizer, list(model.parameters()))
    state = state_of(model)
    state.compiled = Compiled(found, both, _loss_weight(loss_weights), made is not optimizer)
    state.optimizer = made


def _loss_weight(value: Any) -> float:
    if value is None:
        return 1.0
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if len(numbers) == 1 and isinstance(numbers[0], (int, float)) and not isinstance(numbers[0], bool):
        return float(numbers[0])
    raise ArgumentError(
        f"compile: loss_weights is {value!r}, expected a number; metrics, which come fourth as in Keras, are "
        "best given by name"
    )


def compiled_of(model: Any, op: str) -> tuple[State, Compiled, Optimizer]:
    state = state_of(model)
    if state.compiled is None or state.optimizer is None:
        raise EinkornError(f"{op}: the model has no loss and optimizer yet: call compile() first")
    return state, state.compiled, state.optimizer


def types_of(model: Any, compiled: Compiled) -> Types:
    return Types(float_type(model), compiled.loss.real_target)


def verbosity(value: Any, op: str) -> int:
    if isinstance(value, str) and value == "auto":
        return 1 if op == "fit" else 0
    if isinstance(value, (int, np.integer)) and value in (0, 1, 2):
        return int(value)
    raise ArgumentError(f"{op}: verbose is {value!r}, expected 0, 1, 2 or 'auto'")
