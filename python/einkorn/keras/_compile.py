"""Keras' losses and metrics as the training loop takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras import losses as _losses
from einkorn.keras import metrics as _metrics
from einkorn.keras._masks import mask_of
from einkorn.keras.losses import over
from einkorn.metrics import Metric as Stream
from einkorn.nn.module import Module
from einkorn.training.losses import Loss
from einkorn.training.metrics import Metric
from einkorn.training.several import Several

__all__ = ["RowLoss", "RowLosses", "loss_of", "metrics_of"]


class RowLoss(Loss):
    """A function of (y_true, y_pred) that gives a loss for each row, or one number.

    ``source`` has the model, for what its layers add to the loss, and the reduction.
    """

    __slots__ = ()

    @property
    def of_classes(self) -> bool:
        return False

    @property
    def real_target(self) -> bool:
        return False

    @property
    def summed(self) -> bool:
        """No: as in Keras the figure of an epoch is the mean of the batches', be these sums."""
        return False

    @property
    def is_mean(self) -> bool:
        return False

    def outputs(self, output: Any, op: str) -> Any:
        if self.source["none"]:
            return np.zeros(1)
        return super().outputs(output, op)

    def prepare(self, output: np.ndarray, target: Any) -> Any:
        if target is None or self.source["none"]:
            return target
        if target.ndim == output.ndim - 1 and output.shape[-1] == 1:
            return target[..., None]
        return target

    def total(self, output: np.ndarray, target: Any) -> float:
        """The rows, whose losses are averaged: with several losses each, all of them."""
        if not output.size:
            return 0.0
        return self._rows(target, output.shape[:-1] if output.ndim > 1 else output.shape)

    def _rows(self, target: Any, shape: tuple[int, ...]) -> float:
        keras = self.source.get("keras")
        return float(max(1, math.prod(shape))) if keras is None else keras.rows(target, shape)

    def settle(self, output: np.ndarray, last: Callable[[], str] = str) -> RowLoss:
        return self

    def batch(self, output: Any, target: Any, weight: np.ndarray | None) -> tuple[Any, None]:
        return _with_added(self.weighted(output, target, weight), self.source["model"]), None

    def mean(self, output: Any, target: Any) -> Any:
        return self.weighted(output, target, None)

    def weighted(self, output: Any, target: Any, weight: np.ndarray | None) -> Any:
        if self.source["none"]:
            return 0.0
        each = self.function(target, output)
        shape = tuple(each.shape) if hasattr(each, "shape") else ()
        mask = mask_of(output)
        if not shape:
            if weight is None:
                return each
            shape = (len(weight),)  # as in Keras one number for all rows is that of each
        if weight is not None and shape[0] != len(weight):
            raise ArgumentError(
                "sample_weight and class_weight need one loss per row, but the loss function gives shape "
                f"{shape}: let it give the losses of the {len(weight)} rows"
            )
        spread = None
        if weight is not None:
            spread = np.asarray(weight, np.float32).reshape(-1, *[1] * (len(shape) - 1))
        masked = mask is not None and mask.shape == shape
        if masked:
            keras = self.source.get("keras")
            valid = keras.valid(target, shape) if keras is not None else None
            here = (mask if valid is None else mask & valid).astype(np.float32)
            spread = here if spread is None else spread * here
        if spread is not None:
            each = ops.multiply(each, np.broadcast_to(spread, shape).copy())
        total, reduction = ops.sum(each), self.source["reduction"]
        if reduction == "sum":
            return total
        if reduction == "mean_with_sample_weight":
            return over(total, self.source["keras"].divisor(target, shape, spread))
        return ops.divide(total, float(max(1.0, here.sum())) if masked else self._rows(target, shape))


class RowLosses(Several):
    """The losses of several outputs, and what the model's layers add."""

    __slots__ = ()

    def batch(self, output: Any, target: Any, weight: np.ndarray | None) -> tuple[Any, list[float]]:
        value, numbers = super().batch(output, target, weight)
        added = _with_added(value, self.losses[0].source["model"])
        if added is not value:
            numbers.append(
                float(np.asarray(getattr(added, "data", added)) - np.asarray(getattr(value, "data", value)))
            )
        return added, numbers


def _with_added(value: Any, model: Any) -> Any:
    for one in model._added_losses():
        value = ops.add(value, one) if isinstance(value, Tensor) or isinstance(one, Tensor) else value + one
    return value


def loss_of(loss: Any, model: Any) -> RowLoss:
    """A loss by Keras' name, a function, an object of it, or a module of ``einkorn.nn``."""
    if loss is None:
        return RowLoss(_nothing, source={"model": model, "none": True})
    found = _losses.get(loss)
    reduction, function = "mean", found
    source: dict[str, Any] = {"model": model, "none": False}
    if isinstance(found, _losses.Loss):
        function = found.call
        source["keras"] = found
        if found.reduction in ("none", None):
            raise ArgumentError("compile: the loss has no reduction, expected 'sum_over_batch_size' or 'sum'")
        reduction = found.reduction
    elif isinstance(found, Module):

        def function(y_true: Any, y_pred: Any) -> Any:  # torch's losses take the output first
            return found(y_pred, y_true)

    return RowLoss(function, source={**source, "reduction": reduction})


def _nothing(_: Any, __: Any) -> float:
    return 0.0


def metrics_of(metrics: Any, weighted: Any) -> list[Metric]:
    """The metrics of one output: of one name NAME, weighted_NAME and NAME_1, as Keras tells them apart."""
    found: list[Metric] = []
    taken: dict[str, int] = {}
    for given, counts in ((metrics, False), (weighted, True)):
        for one in [] if given is None else given if isinstance(given, (list, tuple)) else [given]:
            stream = _metrics.get(one)
            name = stream.name
            if counts and name in taken:
                name = f"weighted_{name}"
            if name in taken:
                taken[name] += 1
                name = f"{name}_{taken[name] - 1}"
            else:
                taken[name] = 1
            if not isinstance(one, Stream):  # made here, so called here what its figure is
                stream.name = name
            found.append(Metric(name, None, weighted=counts, stream=stream, keeps=True))
    return found


def by_output(value: Any, names: list[str], what: str) -> list[Any]:
    """What was given for each output, of a list, a dict by name, or one for all."""
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in names]
        if unknown:
            raise ArgumentError(
                f"compile: {what} has {', '.join(unknown)}, expected some of {', '.join(names)}"
            )
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise ArgumentError(f"compile: {what} has {len(value)} entries, expected {len(names)}")
        return list(value)
    return [value] * len(names)
