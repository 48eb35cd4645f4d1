"""Losses: cross-entropy over classes, and means over elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops._road import as_index, broadcast_to, contiguous, needs, result, same_dtype, unwrap
from einkorn.ops.elementwise import add, divide, multiply, negative
from einkorn.ops.softmax import log_softmax
from einkorn.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
]

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def _reduction_code(op: str, reduction: Any) -> int:
    try:
        return _REDUCTIONS[reduction]
    except (KeyError, TypeError):
        raise ArgumentError(f"{op}: reduction is {reduction!r}, expected 'none', 'mean' or 'sum'") from None


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Minus the logarithm of the softmax probability of the target class.

    Parameters
    ----------
    input : array or Tensor [N, C] or [N, C, d1, ...]
        Raw scores of C classes.
    target : array
        Class numbers, of any integer type, [N] or [N, d1, ...]; or probabilities of the classes, floats of
        input's shape.
    weight : array [C], optional
        A weight per class.
    ignore_index : int, default -100
        Rows with this class number have loss and gradient 0 and do not count in the mean.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the sum of the rows' weights, or for probabilities by the number of rows. The mean
        of no rows is NaN.
    label_smoothing : float, default 0.0
        The share of the target that is spread evenly over all classes (Szegedy et al. 2016).

    Returns
    -------
    array or Tensor
        A scalar, or with "none" one loss per row, [N] or [N, d1, ...].

    Raises
    ------
    IndexRangeError
        If a class number is not in 0 to C - 1 and not ignore_index.
    ShapeError
        If target or weight does not fit input. Nothing is broadcast.
    ArgumentError
        For options out of range.
    DTypeError
        For other element types, or when weight has another than input.
    """
    op = "cross_entropy"
    a = unwrap(input, op, "input")
    code = _reduction_code(op, reduction)
    shape = a.shape
    if a.ndim < 2:
        raise ShapeError(f"{op}: input has shape {shape}, expected (N, C) or (N, C, d1, ...)")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{op}: label_smoothing is {label_smoothing!r}, expected 0 to 1")
    classes = shape[1]
    w = None
    if weight is not None:
        w = contiguous(unwrap(weight, op, "weight"))
        same_dtype(op, input=a, weight=w)
        if w.shape != (classes,):
            raise ShapeError(
                f"{op}: weight has shape {w.shape}, expected {(classes,)} because input has {classes} classes"
            )
    if _holds_floats(target):
        return _soft_cross_entropy(input, target, a, w, code, label_smoothing)
    if type(ignore_index) is not int:
        ignore_index = _as_int(op, "ignore_index", ignore_index)
    t = as_index(target, op, "target")
    rows_shape = (shape[0], *shape[2:])
    if t.shape != rows_shape:
        raise ShapeError(
            f"{op}: target has shape {t.shape}, expected {rows_shape} because input has shape {shape}"
        )
    t = t.reshape(-1)

    k = engines.of(a)
    bad = k.first_out_of_range(t, 0, classes, ignore_index)
    if bad >= 0:
        row = bad if len(rows_shape) == 1 else tuple(map(int, np.unravel_index(bad, rows_shape)))
        raise IndexRangeError(
            f"{op}: target has class {int(t[bad])} in row {row}, expected 0 to {classes - 1} because input"
            f" has {classes} classes, or ignore_index, {ignore_index}"
        )
    last = a if a.ndim == 2 else a.transpose(0, *range(2, a.ndim), 1)  # classes last
    logits = contiguous(last).reshape(t.size, classes)
    dtype = a.dtype
    losses, row_weight, lse = k.empty(t.shape, dtype), k.empty(t.shape, dtype), k.empty(t.shape, dtype)
    total_weight = k.empty((), dtype)
    loss = k.empty((), dtype) if code else None
    k.cross_entropy_forward(
        loss, losses, row_weight, total_weight, lse, logits, t, w, ignore_index, label_smoothing, code
    )

    def backward(g: Any) -> tuple[Any]:
        g = contiguous(g)
        glogits = k.empty(logits.shape, dtype)
        k.cross_entropy_backward(
            glogits,
            g if code else g.reshape(-1),
            logits,
            t,
            lse,
            row_weight,
            total_weight,
            w,
            ignore_index,
            label_smoothing,
            code,
        )
        if len(shape) == 2:
            return (glogits,)
        last = len(shape) - 1
        return (glogits.reshape(*rows_shape, classes).transpose(0, last, *range(1, last)),)

    return result(losses.reshape(rows_shape) if loss is None else loss, (input,), backward)


def _as_int(op: str, name: str, value: Any) -> int:
    try:
        return int(value.__index__())
    except AttributeError:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an int") from None


def _holds_floats(target: Any) -> bool:
    if isinstance(target, Tensor):
        return True
    dtype = getattr(target, "dtype", None)
    return dtype is not None and getattr(dtype, "kind", "") not in "iub" and "int" not in str(dtype)


def _soft_cross_entropy(input: Any, target: Any, a: Any, w: Any, code: int, label_smoothing: float) -> Any:
    """Cross-entropy against probabilities: minus the sum over classes of weight * target * log_softmax."""
    from einkorn.ops.reduce import sum as sum_over

    op = "cross_entropy"
    t = unwrap(target, op, "target")
    shape, classes = a.shape, a.shape[1]
    if t.shape != shape:
        if t.ndim == a.ndim - 1:
            raise DTypeError(
                f"{op}: target has dtype {t.dtype} and shape {t.shape}, expected class numbers of an"
                f" integer type, or probabilities of shape {shape}"
            )
        raise ShapeError(
            f"{op}: target has shape {t.shape}, expected {shape} as input has, because it holds floats"
        )
    same_dtype(op, input=a, target=t)
    if label_smoothing:
        target = add(multiply(target, 1.0 - label_smoothing), label_smoothing / classes if classes else 0.0)
    if w is not None:
        target = multiply(target, w.reshape((classes,) + (1,) * (a.ndim - 2)))
    losses = negative(sum_over(multiply(log_softmax(input, 1), target), 1))
    if code == 0:
        return losses
    total = sum_over(losses)
    return total if code == 2 else divide(total, float(a.size // classes if classes else shape[0]))


def _elementwise(op: str, kernel: str, input: Any, target: Any, reduction: str, target_gradient: Any) -> Any:
    """Run a loss kernel; ``target_gradient(k, a)`` is d loss / d target before scaling, or None: minus gx."""
    a, t = unwrap(input, op, "input"), unwrap(target, op, "target")
    if a.dtype is not t.dtype or type(a) is not type(t):
        same_dtype(op, input=a, target=t)
    if a.shape != t.shape:
        raise ShapeError(
            f"{op}: target has shape {t.shape}, expected {a.shape} as input has; losses do not broadcast"
        )
    code = _reduction_code(op, reduction)
    a, t = contiguous(a), contiguous(t)
    size = a.size
    scale = 1.0 if code != 1 else 1.0 / size if size else float("nan")
    k = engines.of(a)
    loss = k.empty(() if code else a.shape, a.dtype)
    getattr(k, kernel + "_forward")(loss, a, t, scale)

    need_input, need_target = needs(input), needs(target)

    def backward(g: Any) -> tuple[Any, Any]:
        g = contiguous(g)
        gx = gt = None
        if need_input or (need_target and target_gradient is None):
            gx = k.empty(a.shape, a.dtype)
            getattr(k, kernel + "_backward")(gx, g, a, t, scale)
        if need_target:
            gt = k.empty(a.shape, a.dtype)
            if target_gradient is None:
                k.negative(gt, gx)
            else:
                slope = target_gradient(k, a)
                factor = k.empty((), a.dtype)
                k.fill(factor, scale)
                k.multiply(gt, slope, broadcast_to(factor, a.shape))
                k.multiply(gt, gt, broadcast_to(g, a.shape))
        return gx if need_input else None, gt

    return result(loss, (input, target), backward)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared differences, ``(input - target) ** 2``, and their mean or sum.

    Parameters
    ----------
    input, target : array or Tensor, of one shape
        Shapes must be equal: (N, 1) against (N,) is refused, for broadcast it would give N * N differences.
    reduction : {"mean", "sum", "none"}
        The mean of no elements is NaN.

    Returns
    -------
    array or Tensor
        A scalar, or with "none" of the inputs' shape.

    Raises
    ------
    ShapeError
        If the shapes differ.
    DTypeError
        If the element types differ or are not float32 or float64.
    ArgumentError
        For another reduction.
    """
    return _elementwise("mse_loss", "mse", input, target, reduction, None)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Absolute differences, ``|input - target|``; arguments and errors as :func:`mse_loss`.

    The gradient where both are equal is 0.
    """
    return _elementwise("l1_loss", "l1", input, target, reduction, None)


def binary_cross_entropy(input: Any, target: Any, reduction: str = "mean") -> Any:
    """``-(target * log(input) + (1 - target) * log(1 - input))``; arguments and errors as :func:`mse_loss`.

    Logarithms are not let below -100, as torch does. ``input`` holds probabilities; outside [0, 1] the loss
    is NaN. Raw scores are better given to :func:`binary_cross_entropy_with_logits`.
    """

    def target_gradient(k: Any, a: Any) -> Any:  # the loss for target 1, -log(x), less that for target 0
        label, slope, other = (k.empty(a.shape, a.dtype) for _ in range(3))
        k.fill(label, 1.0)
        k.bce_forward(slope, a, label, 1.0)
        k.fill(label, 0.0)
        k.bce_forward(other, a, label, 1.0)
        k.subtract(slope, slope, other)
        return slope

    return _elementwise("binary_cross_entropy", "bce", input, target, reduction, target_gradient)


def binary_cross_entropy_with_logits(input: Any, target: Any, reduction: str = "mean") -> Any:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, in one stable formula.

    Arguments and errors as :func:`mse_loss`.
    """

    def target_gradient(k: Any, a: Any) -> Any:  # log(1 - s) - log(s) = -x
        slope = k.empty(a.shape, a.dtype)
        k.negative(slope, a)
        return slope

    return _elementwise(
        "binary_cross_entropy_with_logits", "bce_with_logits", input, target, reduction, target_gradient
    )
