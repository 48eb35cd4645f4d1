"""Functions of (y_true, y_pred) that give a loss for each row. Classes are along the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._device import as_array
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.nn import functional

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pair",
    "poisson",
    "smoothed",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

_EPSILON = 1e-7
_SPARSE = "sparse_categorical_crossentropy"


def pair(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Both of one shape and one type: an axis of length 1 may be missing at the end."""
    y_pred = y_pred if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float32)
    target = y_true._data if isinstance(y_true, Tensor) and not y_true.requires_grad else y_true
    target = target if hasattr(target, "dtype") else np.asarray(target)
    kind = y_pred._data.dtype if isinstance(y_pred, Tensor) else y_pred.dtype
    if isinstance(target, np.ndarray) and target.dtype != kind:
        target = target.astype(kind)
    shape, wanted = tuple(target.shape), tuple(y_pred.shape)
    if len(shape) == len(wanted) - 1 and wanted[-1] == 1:
        target = target.reshape(*shape, 1)
    elif len(shape) == len(wanted) + 1 and shape[-1] == 1:
        target = target.reshape(*shape[:-1])
    if tuple(target.shape) != wanted:
        raise ShapeError(f"loss: y_true has shape {shape} and y_pred {wanted}, expected the same")
    return target, y_pred


def _mean(values: Any) -> Any:
    return ops.mean(values, axis=-1) if len(values.shape) else values


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of squared differences along the last axis."""
    target, output = pair(y_true, y_pred)
    return _mean(ops.square(ops.subtract(output, target)))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of absolute differences along the last axis."""
    target, output = pair(y_true, y_pred)
    return _mean(ops.absolute(ops.subtract(output, target)))


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """A hundred times the mean of absolute differences over absolute targets."""
    target, output = pair(y_true, y_pred)
    size = ops.clip(ops.absolute(target), _EPSILON)
    return ops.multiply(_mean(ops.absolute(ops.divide(ops.subtract(output, target), size))), 100.0)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of squared differences of log(1 + y)."""
    target, output = pair(y_true, y_pred)
    left, right = (ops.log1p(ops.clip(y, _EPSILON)) for y in (output, target))
    return _mean(ops.square(ops.subtract(left, right)))


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Half the square of small differences, and linear for those beyond delta."""
    target, output = pair(y_true, y_pred)
    return _mean(functional.huber_loss(output, target, "none", delta))


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """The mean of log(cosh(difference))."""
    target, output = pair(y_true, y_pred)
    apart = ops.subtract(output, target)
    return _mean(
        ops.subtract(ops.add(apart, functional.softplus(ops.multiply(apart, -2.0))), float(np.log(2.0)))
    )


def _signed(target: Any) -> Any:
    """Targets of 0 and 1 as -1 and 1."""
    values = target._data if isinstance(target, Tensor) else target
    binary = bool(((values == 0) | (values == 1)).all())
    return ops.subtract(ops.multiply(target, 2.0), 1.0) if binary else target


def hinge(y_true: Any, y_pred: Any) -> Any:
    """The mean of max(1 - y_true y_pred, 0), of targets -1 and 1 (or 0 and 1)."""
    target, output = pair(y_true, y_pred)
    return _mean(ops.relu(ops.subtract(1.0, ops.multiply(_signed(target), output))))


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """The mean of the squares of what ``hinge`` has the mean of."""
    target, output = pair(y_true, y_pred)
    return _mean(ops.square(ops.relu(ops.subtract(1.0, ops.multiply(_signed(target), output)))))


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(1 + the largest score of another class - that of the right one, 0)."""
    target, output = pair(y_true, y_pred)
    right = ops.sum(ops.multiply(target, output), axis=-1)
    wrong = ops.max(ops.multiply(ops.subtract(1.0, target), output), axis=-1)
    return ops.relu(ops.add(ops.subtract(wrong, right), 1.0))


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """The sum of y_true log(y_true / y_pred)."""
    target, output = pair(y_true, y_pred)
    target, output = ops.clip(target, _EPSILON, 1.0), ops.clip(output, _EPSILON, 1.0)
    return ops.sum(ops.multiply(target, ops.log(ops.divide(target, output))), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """The mean of y_pred - y_true log(y_pred)."""
    target, output = pair(y_true, y_pred)
    return _mean(ops.subtract(output, ops.multiply(target, ops.log(ops.add(output, _EPSILON)))))


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Less the cosine between target and output: -1 is alike."""
    target, output = pair(y_true, y_pred)
    unit = [
        ops.multiply(y, ops.rsqrt(ops.clip(ops.sum(ops.square(y), axis=axis, keepdims=True), 1e-12)))
        for y in (target, output)
    ]
    return ops.negative(ops.sum(ops.multiply(*unit), axis=axis))


def smoothed(target: Any, smoothing: float, classes: int) -> Any:
    """Targets of which a share is spread over all classes."""
    if not smoothing:
        return target
    return ops.add(ops.multiply(target, 1.0 - smoothing), smoothing / classes)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """The mean of -y log(p) - (1 - y) log(1 - p)."""
    target, output = pair(y_true, y_pred)
    target = smoothed(target, label_smoothing, 2)
    if from_logits:
        each = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
    else:
        inside = ops.clip(output, _EPSILON, 1.0 - _EPSILON)
        each = functional.binary_cross_entropy(inside, target, reduction="none")
    return ops.mean(each, axis=axis)


def binary_focal_crossentropy(
    y_true: Any, y_pred: Any, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0,
    from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
) -> Any:  # fmt: skip
    """Cross-entropy of two classes that weighs what is right already less (Lin et al. 2017)."""
    target, output = pair(y_true, y_pred)
    target = smoothed(target, label_smoothing, 2)
    p = functional.sigmoid(output) if from_logits else output
    each = functional.binary_cross_entropy(ops.clip(p, _EPSILON, 1.0 - _EPSILON), target, reduction="none")
    right = ops.add(ops.multiply(target, p), ops.multiply(ops.subtract(1.0, target), ops.subtract(1.0, p)))
    each = ops.multiply(ops.power(ops.subtract(1.0, right), gamma), each)
    if apply_class_balancing:
        share = ops.add(ops.multiply(target, alpha), ops.multiply(ops.subtract(1.0, target), 1.0 - alpha))
        each = ops.multiply(share, each)
    return ops.mean(each, axis=axis)


def _logs(output: Any, from_logits: bool) -> Any:
    """The logarithm of each class' share."""
    if from_logits:
        return functional.log_softmax(output, -1)
    shares = ops.divide(output, ops.sum(output, axis=-1, keepdims=True))
    return ops.log(ops.clip(shares, _EPSILON, 1.0 - _EPSILON))


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """The sum of -y log(p) over the classes, of one-hot rows or shares."""
    if axis not in (-1, len(y_pred.shape) - 1):
        raise ArgumentError(f"categorical_crossentropy: axis is {axis!r}, expected -1")
    if tuple(np.shape(y_true)) != tuple(y_pred.shape):
        raise ShapeError(
            f"categorical_crossentropy: y_true has shape {tuple(np.shape(y_true))} and y_pred "
            f"{tuple(y_pred.shape)}, expected the same: one-hot rows. Class numbers are for the loss "
            "'sparse_categorical_crossentropy'"
        )
    target, output = pair(y_true, y_pred)
    target = smoothed(target, label_smoothing, output.shape[-1])
    return ops.negative(ops.sum(ops.multiply(target, _logs(output, from_logits)), axis=-1))


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """-log(p) of the right class, of class numbers; 0 where the class is ``ignore_class``."""
    if axis not in (-1, len(y_pred.shape) - 1):
        raise ArgumentError(f"sparse_categorical_crossentropy: axis is {axis!r}, expected -1")
    numbers = as_array(y_true._data if isinstance(y_true, Tensor) else y_true)
    output = y_pred if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float32)
    rows, classes = tuple(output.shape[:-1]), output.shape[-1]
    if numbers.shape == (*rows, 1):
        numbers = numbers.reshape(rows)
    if numbers.shape != rows:
        raise ShapeError(
            f"sparse_categorical_crossentropy: y_true has shape {numbers.shape} and y_pred "
            f"{tuple(output.shape)}, expected {rows}"
        )
    whole = numbers.astype(np.int64)
    if numbers.dtype.kind == "f" and (whole != numbers).any():
        raise ArgumentError(f"{_SPARSE}: y_true holds fractions, expected class numbers")
    ignored = None if ignore_class is None else whole == ignore_class
    checked = whole if ignored is None else np.where(ignored, 0, whole)
    if checked.size and not 0 <= checked.min() <= checked.max() < classes:
        raise IndexRangeError(
            f"{_SPARSE}: y_true holds {checked.min()} to {checked.max()}, expected 0 to {classes - 1}"
        )
    flat = output.reshape(-1, classes)
    if from_logits:
        each = functional.cross_entropy(flat, checked.reshape(-1), reduction="none")
    else:
        each = functional.nll_loss(_logs(flat, False), checked.reshape(-1), reduction="none")
    each = each.reshape(*rows) if len(rows) != 1 else each
    if ignored is None:
        return each
    return ops.multiply(each, (~ignored).astype(np.float32))
