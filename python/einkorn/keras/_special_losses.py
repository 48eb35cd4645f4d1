"""Losses of (y_true, y_pred) for rows that are rare, noisy, sequences, or to be told apart by distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._row_losses import pair, smoothed
from einkorn.nn import functional

__all__ = [
    "categorical_focal_crossentropy", "categorical_generalized_cross_entropy", "circle", "ctc", "dice",
    "tversky",
]  # fmt: skip

_EPSILON = 1e-7


def categorical_focal_crossentropy(
    y_true: Any, y_pred: Any, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
    label_smoothing: float = 0.0, axis: int = -1,
) -> Any:  # fmt: skip
    """The sum of -alpha (1 - p)^gamma y log(p) over the classes, of one-hot rows (Lin et al. 2017)."""
    target, output = pair(y_true, y_pred)
    target = smoothed(target, label_smoothing, output.shape[-1])
    shares = functional.softmax(output, axis) if from_logits else output
    shares = ops.divide(shares, ops.sum(shares, axis=axis, keepdims=True))
    shares = ops.clip(shares, _EPSILON, 1.0 - _EPSILON)
    each = ops.multiply(target, ops.log(shares))
    weighted = ops.multiply(ops.power(ops.subtract(1.0, shares), gamma), each)
    return ops.multiply(ops.sum(weighted, axis=axis), -alpha)


def _class_numbers(y_true: Any, rows: tuple[int, ...], owner: str) -> np.ndarray:
    numbers = as_numpy(y_true)
    if numbers.shape == (*rows, 1):
        numbers = numbers.reshape(rows)
    if numbers.shape != rows:
        raise ShapeError(f"{owner}: y_true has shape {numbers.shape}, expected {rows}: class numbers")
    return numbers.astype(np.int64)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """(1 - p^q) / q of the right class, of class numbers and shares (Zhang and Sabuncu 2018)."""
    output = y_pred if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float32)
    numbers = _class_numbers(y_true, tuple(output.shape[:-1]), "categorical_generalized_cross_entropy")
    hot = (numbers[..., None] == np.arange(output.shape[-1])).astype(np.float32)
    right = ops.sum(ops.multiply(output, hot), axis=-1)
    return ops.multiply(ops.subtract(1.0, ops.power(right, q)), 1.0 / q)


def circle(
    y_true: Any, y_pred: Any, ref_labels: Any = None, ref_embeddings: Any = None,
    remove_diagonal: bool = True, gamma: float = 80, margin: float = 0.4,
) -> Any:  # fmt: skip
    """Embeddings of one class are to be near and those of others far (Sun et al. 2020), of unit rows.

    Parameters
    ----------
    y_true : array [rows]
        Class numbers.
    y_pred : array or Tensor [rows, features]
        Rows of length 1.
    ref_labels, ref_embeddings : arrays, optional
        What the rows are compared with; by default each other.
    remove_diagonal : bool, default True
        Whether a row is not compared with its own place.
    gamma : float, default 80
    margin : float, default 0.4
    """
    output = y_pred if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float32)
    if len(output.shape) != 2:
        raise ShapeError(f"circle: y_pred has shape {tuple(output.shape)}, expected [rows, features]")
    others = output if ref_embeddings is None else ref_embeddings
    labels = _class_numbers(y_true, (output.shape[0],), "circle")
    other_labels = labels if ref_labels is None else _class_numbers(ref_labels, (others.shape[0],), "circle")
    alike = labels[:, None] == other_labels[None, :]
    positive, negative = alike, ~alike
    if remove_diagonal:
        positive = positive & (np.eye(*alike.shape) == 0)
    apart = ops.relu(ops.subtract(1.0, ops.matmul(output, ops.permute(others, (1, 0)))))
    near = ops.multiply(ops.relu(ops.add(apart, margin)), ops.subtract(apart, margin))
    far = ops.multiply(ops.relu(ops.subtract(1.0 + margin, apart)), ops.subtract(1.0 - margin, apart))
    sums = [
        ops.logsumexp(ops.where(mask, ops.multiply(part, float(gamma)), float("-inf")), axis=1)
        for mask, part in ((positive, near), (negative, far))
    ]
    return functional.softplus(ops.add(*sums))


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """1 less twice what both share over their sums, over all axes or some (Sudre et al. 2017)."""
    target, output = pair(y_true, y_pred)
    shared = ops.sum(ops.multiply(target, output), axis=axis)
    either = ops.add(ops.sum(target, axis=axis), ops.sum(output, axis=axis))
    return ops.subtract(1.0, ops.divide(ops.multiply(shared, 2.0), ops.add(either, _EPSILON)))


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """1 less what both share over that, alpha of what one and beta of what the other has alone.

    As in Keras alpha weighs what is missed and beta what is said in vain (Salehi et al. 2017).
    """
    target, output = pair(y_true, y_pred)
    shared = ops.sum(ops.multiply(target, output), axis=axis)
    missed = ops.sum(ops.multiply(target, ops.subtract(1.0, output)), axis=axis)
    in_vain = ops.sum(ops.multiply(output, ops.subtract(1.0, target)), axis=axis)
    whole = ops.add(shared, ops.add(ops.multiply(missed, alpha), ops.multiply(in_vain, beta)))
    return ops.subtract(1.0, ops.divide(shared, ops.add(whole, _EPSILON)))


def ctc(y_true: Any, y_pred: Any) -> Any:
    """Connectionist temporal classification (Graves et al. 2006), of logits; class 0 is the blank.

    Parameters
    ----------
    y_true : array [rows, labels]
        Class numbers; 0 fills the rest of a row.
    y_pred : array or Tensor [rows, steps, classes]
    """
    labels = as_numpy(y_true)
    output = y_pred if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float32)
    if labels.ndim != 2:
        raise ShapeError(f"ctc: y_true has shape {labels.shape}, expected [rows, labels]")
    if len(output.shape) != 3:
        raise ShapeError(f"ctc: y_pred has shape {tuple(output.shape)}, expected [rows, steps, classes]")
    numbers = labels.astype(np.int64)
    if (numbers != labels).any():
        raise ArgumentError("ctc: y_true holds fractions, expected class numbers")
    steps = np.full(output.shape[0], output.shape[1], np.int64)
    logs = functional.log_softmax(ops.permute(output, (1, 0, 2)), -1)
    return functional.ctc_loss(logs, numbers, steps, (numbers != 0).sum(1), blank=0, reduction="none")
