"""Losses over classes: cross-entropy and the negative log-likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _autocast, engines
from einkorn._device import beside
from einkorn._grad_mode import mode
from einkorn._range_checks import checked
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import integer, number, refuse_positional
from einkorn.ops._road import as_index, contiguous, record, result, same_dtype, same_place, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import reshape
from einkorn.ops.elementwise import (
    add,
    divide,
    multiply,
    negative,
    subtract,
)
from einkorn.ops.loss import _ORDER, _reduction_code
from einkorn.ops.reduce import sum as sum_over
from einkorn.ops.softmax import log_softmax, softmax

__all__ = [
    "cross_entropy",
    "nll_loss",
]


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *given: Any,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Minus the logarithm of the softmax probability of the target class.

    Parameters
    ----------
    input : array or Tensor [N, C] or [N, C, d1, ...], or [C] for a single row
        Raw scores of C classes.
    target : array
        Class numbers, of any integer type, [N] or [N, d1, ...], or a single one; or probabilities of the
        classes, floats, integers or booleans of input's shape.
    weight : array [C], optional
        A weight per class.
    ignore_index : int, keyword-only, default -100
        Rows with this class number have loss and gradient 0 and do not count in the mean.
    reduction : {"mean", "sum", "none"}, keyword-only
        "mean" divides by the sum of the rows' weights, or for probabilities by the number of rows. The mean
        of no rows is NaN.
    label_smoothing : float, keyword-only, default 0.0
        The share of the target that is spread evenly over all classes (Szegedy et al. 2016).

    Returns
    -------
    array or Tensor
        A scalar, or with "none" one loss per row, [N], [N, d1, ...] or [].

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
    by_default = weight is None and not given and type(ignore_index) is int and ignore_index < 0
    if by_default and type(label_smoothing) is float and label_smoothing == 0.0 and reduction == "mean":
        mean = None if _autocast.active else _mean_of_few(input, target)
        if mean is not None:
            return mean
    return _cross_entropy(
        input,
        target,
        weight,
        *given,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _mean_of_few(input: Any, target: Any) -> Any:
    """The mean loss of a few rows by the short cut; None: the long way."""
    logits = input._data if isinstance(input, Tensor) else input
    labels = target._data if isinstance(target, Tensor) else target
    recorded = logits is not input and input._requires_grad and mode.enabled
    found = engines.cpu().quick("cross_entropy", logits, labels, recorded)
    if found is None or logits is input:
        return found
    if not recorded:
        return Tensor._wrap(found, False, None)
    loss, lse, row_weight, total_weight = found
    return record(loss, (input,), _of_mean, (logits, None, labels, lse, row_weight, total_weight, None))


@rounded_once
def _cross_entropy(
    input: Any,
    target: Any,
    weight: Any,
    *given: Any,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    op = "cross_entropy"
    refuse_positional(op, given, _ORDER)
    a = unwrap(input, op, "input")
    code = _reduction_code(op, reduction)
    shape = a.shape
    if a.ndim == 0:
        raise ShapeError(f"{op}: input has shape {shape}, expected (C,), (N, C) or (N, C, d1, ...)")
    if not 0 <= number(op, "label_smoothing", label_smoothing) <= 1:
        raise ArgumentError(f"{op}: label_smoothing is {label_smoothing!r}, expected 0 to 1")
    ignore_index = integer(op, "ignore_index", ignore_index, -(1 << 63), (1 << 63) - 1)
    if isinstance(target, (int, np.integer)) and type(target) is not bool:
        target = beside(a, np.asarray(target))
    target_shape = np.shape(target) if not hasattr(target, "shape") else tuple(target.shape)
    soft = _holds_floats(target)
    if not soft and target_shape == shape:  # one-hot
        target = _integers.as_float(target, a.dtype)
        soft = _holds_floats(target)
    if a.ndim == 1:
        return _cross_entropy_of_one(
            input,
            target,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
    classes = shape[1]
    w = _class_weights(op, a, weight, classes)
    if soft:
        return _soft_cross_entropy(input, target, a, w, code, label_smoothing)
    t = as_index(target, op, "target")
    rows_shape = (shape[0], *shape[2:])
    if t.shape != rows_shape:
        raise ShapeError(
            f"{op}: target has shape {t.shape}, expected {rows_shape} because input has shape {shape}"
        )
    same_place(op, "target", t, "input", a)
    t = t if t.ndim == 1 else t.reshape(-1)

    k = engines.of(a)
    t = _check_classes(op, t, classes, ignore_index, rows_shape)
    logits = _classes_last(a)
    logits = logits if a.ndim == 2 else logits.reshape(t.size, classes)
    dtype = a.dtype
    losses, row_weight, lse = k.empty(t.shape, dtype), k.empty(t.shape, dtype), k.empty(t.shape, dtype)
    total_weight = k.empty((), dtype)
    loss = k.empty((), dtype) if code else None
    k.cross_entropy_forward(
        loss, losses, row_weight, total_weight, lse, logits, t, w, ignore_index, label_smoothing, code
    )

    kept = logits  # with the classes last, in input's order of axes
    if len(shape) > 2:
        kept = logits.reshape(*rows_shape, classes).transpose(0, a.ndim - 1, *range(1, a.ndim - 1))
    return result(
        losses.reshape(rows_shape) if loss is None else loss,
        (input,),
        _of_classes(code, ignore_index, label_smoothing),
        (kept, None, t, lse, row_weight, total_weight, w),
    )


def _of_classes(code: int, ignore_index: int, smoothing: float) -> Any:
    """The gradient of cross-entropy against class numbers."""

    def rule(
        g: Any, x: Any, out: Any, t: Any, lse: Any, row_weight: Any, total_weight: Any, w: Any
    ) -> tuple[Any]:
        if isinstance(g, Tensor):
            return (_cross_entropy_slope(g, x, t, row_weight, total_weight, w, smoothing, code),)
        g = contiguous(g)
        shape, k = x.shape, engines.of(x)
        classes = shape[1]
        glogits = k.empty((t.size, classes), x.dtype)
        k.cross_entropy_backward(
            glogits,
            g if code else g.reshape(-1),
            _classes_last(x).reshape(t.size, classes),
            t,
            lse,
            row_weight,
            total_weight,
            w,
            ignore_index,
            smoothing,
            code,
        )
        if len(shape) == 2:
            return (glogits,)
        last = len(shape) - 1
        return (glogits.reshape(shape[0], *shape[2:], classes).transpose(0, last, *range(1, last)),)

    return rule


_of_mean = _of_classes(1, -100, 0.0)


def _classes_last(a: Any) -> Any:
    """[N, C, d1, ...] as [N, d1, ..., C] without gaps."""
    return contiguous(a if a.ndim == 2 else a.transpose(0, *range(2, a.ndim), 1))


def _cross_entropy_slope(
    g: Any, x: Any, t: Any, row_weight: Any, total_weight: Any, w: Any, smoothing: float, code: int
) -> Any:
    """The gradient of cross-entropy in terms of operations: what a gradient of it is taken of."""
    shape, dtype = x.shape, x.dtype
    classes, like = shape[1], (shape[0], 1, *shape[2:])
    weights = np.ones(classes, dtype) if w is None else w
    counted = (row_weight != 0).reshape(like)
    at_target = np.zeros((t.size, classes), dtype)
    rows = np.flatnonzero((t >= 0) & (t < classes))
    at_target[rows, t[rows]] = (1 - smoothing) * row_weight[rows]
    at_target = np.moveaxis(at_target.reshape(shape[0], *shape[2:], classes), -1, 1)
    share = (smoothing / classes * weights).reshape(1, classes, *(1,) * (len(shape) - 2)) * counted
    pulls = np.ascontiguousarray(at_target + share, dtype)
    sums = pulls.sum(axis=1, keepdims=True, dtype=dtype)
    slope = subtract(multiply(softmax(x, 1), sums), pulls)
    if code == 1:
        g = multiply(g, np.asarray(1 / total_weight, dtype))
    return multiply(slope, g if code else reshape(g, like))


def _cross_entropy_of_one(input: Any, target: Any, weight: Any, **options: Any) -> Any:
    """A row without a batch axis, as a batch of one."""
    classes = input.shape[0]
    if _holds_floats(target):
        expected: tuple[int, ...] = (classes,)
        one = reshape(target, (1, classes)) if tuple(target.shape) == expected else None
    else:
        expected = ()
        one = as_index(target, "cross_entropy", "target")
        one = one.reshape(1) if one.shape == expected else None
    if one is None:
        raise ShapeError(
            f"cross_entropy: target has shape {tuple(target.shape)}, expected {expected} because input has"
            f" shape ({classes},)"
        )
    loss = cross_entropy(reshape(input, (1, classes)), one, weight, **options)
    return reshape(loss, ())


def _holds_floats(target: Any) -> bool:
    dtype = getattr(target, "dtype", None)
    return dtype is not None and getattr(dtype, "kind", "") not in "iub" and "int" not in str(dtype)


def _soft_cross_entropy(input: Any, target: Any, a: Any, w: Any, code: int, label_smoothing: float) -> Any:
    """Cross-entropy against probabilities: minus the sum over classes of weight * target * log_softmax."""
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


@rounded_once
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *given: Any,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """Minus the input at the target class: :func:`cross_entropy` of what is log-probabilities already.

    Parameters
    ----------
    input : array or Tensor [N, C] or [N, C, d1, ...], or [C] for a single row
        Logarithms of probabilities.
    target : array of integers [N], [N, d1, ...] or []
    weight, ignore_index, reduction
        As :func:`cross_entropy`.

    Returns
    -------
    array or Tensor
        A scalar, or with "none" of target's shape.

    Raises
    ------
    IndexRangeError, ShapeError, ArgumentError, DTypeError
        As :func:`cross_entropy`.
    """
    op = "nll_loss"
    refuse_positional(op, given, _ORDER)
    a = unwrap(input, op, "input")
    code = _reduction_code(op, reduction)
    ignore_index = integer(op, "ignore_index", ignore_index, -(1 << 63), (1 << 63) - 1)
    if a.ndim == 0:
        raise ShapeError(f"{op}: input has shape (), expected (C,), (N, C) or (N, C, d1, ...)")
    shape = a.shape
    batch = shape if len(shape) > 1 else (1, *shape)
    classes = batch[1]
    t = as_index(target, op, "target")
    expected = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    if t.shape != expected:
        raise ShapeError(
            f"{op}: target has shape {t.shape}, expected {expected} because input has shape {shape}"
        )
    same_place(op, "target", t, "input", a)
    w = _class_weights(op, a, weight, classes)
    t = t.reshape(-1)
    t = _check_classes(op, t, classes, ignore_index, expected)
    k, dtype = engines.of(a), a.dtype
    inner = t.size // batch[0] if batch[0] else 1
    x = contiguous(a).reshape(batch[0], classes, inner)
    losses, row_weight = k.empty(t.shape, dtype), k.empty(t.shape, dtype)
    total_weight, loss = k.empty((), dtype), k.empty((), dtype) if code else None
    k.nll_forward(loss, losses, row_weight, total_weight, x, t, w, ignore_index, code)

    def rule(g: Any, x: Any, out: Any, t: Any, row_weight: Any, total_weight: Any) -> tuple[Any]:
        twice = isinstance(g, Tensor)
        gx = k.empty((batch[0], classes, inner), dtype)
        if not twice:
            k.nll_backward(gx, contiguous(g).reshape(-1), t, row_weight, total_weight, code)
            return (gx.reshape(shape),)
        ones = np.ones(t.size if code == 0 else 1, dtype)
        k.nll_backward(gx, ones, t, row_weight, total_weight, code)
        return (
            multiply(
                gx.reshape(shape),
                g if code else reshape(g, (*shape[:1], 1, *shape[2:]) if expected else (1,)),
            ),
        )

    return result(
        losses.reshape(expected) if loss is None else loss,
        (input,),
        rule,
        (None, None, t, row_weight, total_weight),
    )


def _class_weights(op: str, a: Any, weight: Any, classes: int) -> Any:
    if weight is None:
        return None
    w = contiguous(unwrap(weight, op, "weight"))
    same_dtype(op, input=a, weight=w)
    if w.shape != (classes,):
        raise ShapeError(
            f"{op}: weight has shape {w.shape}, expected {(classes,)} because input has {classes} classes"
        )
    return w


def _check_classes(op: str, t: Any, classes: int, ignore_index: int, rows_shape: tuple[int, ...]) -> Any:
    """The flat target, all classes of which there are, but for those that are ignored."""

    def error(bad: int, label: int) -> Exception:
        row = bad if len(rows_shape) <= 1 else tuple(map(int, np.unravel_index(bad, rows_shape)))
        return IndexRangeError(
            f"{op}: target has class {label} in row {row}, expected 0 to {classes - 1} because input"
            f" has {classes} classes, or ignore_index, {ignore_index}"
        )

    return checked(t, 0, classes, ignore_index, error)
