"""Losses, metrics and optimizers by name, as ``compile`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.optim import SGD, Adam, AdamW, Optimizer

__all__ = ["Loss", "accuracy", "find_loss", "find_metrics", "find_optimizer"]

Metric = Callable[[np.ndarray, np.ndarray], float]


class Loss(NamedTuple):
    """A loss and what it expects of targets."""

    function: Callable[[Any, Any], Any]
    real_target: bool = False  # targets are numbers, not classes: integers are cast
    threshold: float = 0.5  # between the two classes of a single output column


_CROSS_ENTROPY = Loss(ops.cross_entropy)
_MSE = Loss(ops.mse_loss, real_target=True)
_MAE = Loss(ops.l1_loss, real_target=True)
_BCE = Loss(ops.binary_cross_entropy, real_target=True)
_BCE_LOGITS = Loss(ops.binary_cross_entropy_with_logits, real_target=True, threshold=0.0)

LOSSES: dict[str, Loss] = {
    "cross_entropy": _CROSS_ENTROPY,
    "sparse_categorical_crossentropy": _CROSS_ENTROPY,
    "categorical_crossentropy": _CROSS_ENTROPY,
    "mse": _MSE,
    "mean_squared_error": _MSE,
    "mae": _MAE,
    "mean_absolute_error": _MAE,
    "binary_crossentropy": _BCE,
    "bce_with_logits": _BCE_LOGITS,
}


def find_loss(loss: Any) -> Loss:
    """The loss of that name, or the callable ``loss(output, target)`` itself."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ArgumentError(
                f"compile: loss is {loss!r}, expected a function or one of {', '.join(LOSSES)}"
            )
        return LOSSES[loss]
    if not callable(loss):
        raise ArgumentError(
            f"compile: loss is {type(loss).__name__}, expected a function or one of {', '.join(LOSSES)}"
        )
    for known in LOSSES.values():
        if loss is known.function:
            return known
    kind = type(loss).__name__  # the modules of einkorn.nn, which this package does not import
    by_class = {
        "MSELoss": _MSE,
        "L1Loss": _MAE,
        "BCELoss": _BCE,
        "BCEWithLogitsLoss": _BCE_LOGITS,
    }
    if kind in by_class and type(loss).__module__.startswith("einkorn."):
        return by_class[kind]._replace(function=loss)
    return Loss(loss)


def accuracy(output: np.ndarray, target: np.ndarray, threshold: float = 0.5) -> float:
    """Share of correct predictions.

    Parameters
    ----------
    output : array
        [n, classes, ...] scores of classes, or [n] or [n, 1] with a score of the second class.
    target : array
        Class numbers [n, ...], or one-hot rows shaped like the scores, or [n] or [n, 1] of 0 and 1.
    threshold : float, default 0.5
        From where on a single score means the second class: 0.5 for probabilities, 0 for logits.

    Raises
    ------
    ShapeError
        The shapes fit none of these.
    """
    shape = output.shape
    if len(shape) > 1 and shape[1] > 1:
        predicted = ops.argmax(output, 1)
        if target.ndim == len(shape) and target.shape == shape:
            target = ops.argmax(target, 1)
        if target.shape == predicted.shape:
            return float(np.count_nonzero(predicted == target)) / max(1, predicted.size)
    elif shape and shape[0] == output.size == target.size and target.shape[0] == shape[0]:
        hits = (output.reshape(-1) >= threshold) == (target.reshape(-1) >= 0.5)
        return float(np.count_nonzero(hits)) / max(1, output.size)
    raise ShapeError(
        f"accuracy: output has shape {shape}, so target must hold class numbers, one-hot rows "
        f"or a single column, got shape {target.shape}"
    )


def _mean_squared_error(output: np.ndarray, target: np.ndarray) -> float:
    return float(ops.mse_loss(output, target))


def _mean_absolute_error(output: np.ndarray, target: np.ndarray) -> float:
    return float(ops.l1_loss(output, target))


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "acc": accuracy,
    "mse": _mean_squared_error,
    "mean_squared_error": _mean_squared_error,
    "mae": _mean_absolute_error,
    "mean_absolute_error": _mean_absolute_error,
}


def find_metrics(metrics: Any, loss: Loss) -> list[tuple[str, Metric]]:
    """Names and functions ``metric(output, target)`` of what ``compile`` was given."""
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise ArgumentError(f"compile: metrics is {metrics!r}, expected a list")
    found: list[tuple[str, Metric]] = []
    for metric in metrics:
        if isinstance(metric, str):
            if metric not in METRICS:
                raise ArgumentError(
                    f"compile: metric is {metric!r}, expected a function or one of {', '.join(METRICS)}"
                )
            name, function = metric, METRICS[metric]
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        else:
            raise ArgumentError(
                f"compile: metric is {type(metric).__name__}, expected a function or one of "
                f"{', '.join(METRICS)}"
            )
        if function is accuracy and loss.threshold != 0.5:
            function = _with_threshold(loss.threshold)
        if name == "loss" or name in dict(found):
            raise ArgumentError(f"compile: metric {name!r} is given twice or named as the loss")
        found.append((name, function))
    return found


def _with_threshold(threshold: float) -> Metric:
    return lambda output, target: accuracy(output, target, threshold)


# Rates as Keras has them: the same as ours but for sgd.
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda params: SGD(params, lr=0.01),
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
