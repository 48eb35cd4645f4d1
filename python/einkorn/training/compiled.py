"""What ``compile`` chose, and what the other verbs read from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError, EinkornError
from einkorn.optim import Optimizer
from einkorn.training.batches import Types, float_type, integer
from einkorn.training.losses import Loss, find_loss
from einkorn.training.metrics import Figures, Metric, all_metrics
from einkorn.training.optimizers import find_optimizer
from einkorn.training.several import Several, SeveralFigures, find_losses
from einkorn.training.state import State, state_of

__all__ = ["Clipping", "Compiled", "compile_model", "compiled_of", "types_of", "verbosity"]


class Clipping(NamedTuple):
    """Limits of the gradients, with Keras' names."""

    clipnorm: float | None = None  # of each gradient's norm
    clipvalue: float | None = None  # of each element
    global_clipnorm: float | None = None  # of the norm of all gradients together


class Compiled(NamedTuple):
    """What ``compile`` chose, beside the optimizer."""

    loss: Any  # Loss or Several
    metrics: Any  # list of Metric, or a tuple of lists, one for each output
    loss_weight: float
    made_here: bool  # the optimizer was made from the model's parameters
    accumulate: int = 1  # batches of an update
    clips: Clipping | None = None
    autocast: bool = False  # the model computes in mixed precision

    def figures(self) -> Figures | SeveralFigures:
        """An empty account of the loss and the metrics."""
        if isinstance(self.loss, Several):
            return SeveralFigures(self.loss, self.metrics)
        return Figures(self.loss, self.metrics)

    def all_metrics(self) -> list[Metric]:
        """The metrics of all outputs."""
        return [m for some in self.metrics for m in some] if isinstance(self.loss, Several) else self.metrics

    def names(self) -> list[str]:
        """What the figures of an epoch will be called."""
        if not isinstance(self.loss, Several):
            return ["loss", *(metric.name for metric in self.metrics)]
        found = ["loss"]
        for name, metrics in zip(self.loss.names, self.metrics, strict=True):
            found += [f"{name}_loss", *(f"{name}_{metric.name}" for metric in metrics)]
        return found


def compile_model(
    model: Any,
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    from_logits: bool | None,
    accumulate: Any = 1,
    clips: Clipping | None = None,
    autocast: bool = False,
) -> None:
    """``Trainable.compile``."""
    found: Loss | Several
    both: Any
    factor = 1.0
    if isinstance(loss, (Mapping, list, tuple)):
        found, both = find_losses(loss, loss_weights, metrics, weighted_metrics, from_logits)
    else:
        found = find_loss(loss, from_logits)
        both = all_metrics(metrics, weighted_metrics, found)
        factor = _loss_weight(loss_weights)
    if not isinstance(autocast, bool):
        raise ArgumentError(f"compile: autocast is {autocast!r}, expected True or False")
    every = 1 if accumulate is None else integer(accumulate, "compile", "gradient_accumulation_steps", 1)
    limits = _limits(clips or Clipping())
    parameters = list(model.parameters())
    # A quantized model has nothing to train, and is evaluated all the same.
    made = find_optimizer(optimizer, parameters) if parameters or not isinstance(optimizer, str) else None
    state = state_of(model)
    state.compiled = Compiled(found, both, factor, made is not optimizer, every, limits, autocast)
    state.optimizer = made
    state.trackers = None


def _limits(clips: Clipping) -> Clipping | None:
    given = [name for name, value in clips._asdict().items() if value is not None]
    for name in given:
        value = getattr(clips, name)
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not good or not 0 < value < math.inf:
            raise ArgumentError(f"compile: {name} is {value!r}, expected a number above 0")
    if len(given) > 1:
        raise ArgumentError(f"compile: {' and '.join(given)} are given, expected one of them")
    return clips if given else None


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
    if state.compiled is None:
        raise EinkornError(f"{op}: the model has no loss and optimizer yet: call compile() first")
    optimizer: Any = state.optimizer
    if optimizer is None and op not in ("evaluate", "test_on_batch"):
        raise EinkornError(f"{op}: the model has no parameters to train, only evaluate and predict")
    return state, state.compiled, optimizer


def types_of(model: Any, compiled: Compiled) -> Types:
    return Types(float_type(model), compiled.loss, state_of(model).device)


def verbosity(value: Any, op: str) -> int:
    if isinstance(value, str) and value == "auto":
        return 1 if op == "fit" else 0
    if isinstance(value, (int, np.integer)) and value in (0, 1, 2):
        return int(value)
    raise ArgumentError(f"{op}: verbose is {value!r}, expected 0, 1, 2 or 'auto'")
