"""Losses: cross-entropy over classes, and means over elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import engines
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import integer, number, refuse_positional
from einkorn.ops._road import (
    as_index,
    broadcast_to,
    by_formula,
    contiguous,
    needs,
    result,
    same_dtype,
    unwrap,
)
from einkorn.ops.copy import permute, reshape
from einkorn.ops.elementwise import (
    absolute,
    add,
    clip,
    divide,
    log,
    multiply,
    negative,
    softplus,
    square,
    subtract,
)
from einkorn.ops.reduce import mean
from einkorn.ops.reduce import sum as sum_over
from einkorn.ops.softmax import log_softmax
from einkorn.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
]

_ORDER = (
    "torch has its old size_average and reduce among these: write reduction= and the others by name, or take"
    " the function of einkorn.nn.functional"
)
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
        target = np.asarray(target)
    target_shape = np.shape(target) if not hasattr(target, "shape") else tuple(target.shape)
    if not _holds_floats(target) and target_shape == shape:  # one-hot
        target = _integers.as_float(target, a.dtype)
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
    logits = _classes_last(a).reshape(t.size, classes)
    dtype = a.dtype
    losses, row_weight, lse = k.empty(t.shape, dtype), k.empty(t.shape, dtype), k.empty(t.shape, dtype)
    total_weight = k.empty((), dtype)
    loss = k.empty((), dtype) if code else None
    k.cross_entropy_forward(
        loss, losses, row_weight, total_weight, lse, logits, t, w, ignore_index, label_smoothing, code
    )

    def formula(x: Any) -> Any:
        wanted = _class_weights(t, row_weight, w, classes, label_smoothing, dtype)
        kept = permute(x, (0, *range(2, len(shape)), 1)) if len(shape) != 2 else x
        rows = negative(sum_over(multiply(log_softmax(reshape(kept, (t.size, classes)), 1), wanted), 1))
        if code == 0:
            return reshape(rows, rows_shape)
        return sum_over(rows) if code == 2 else divide(sum_over(rows), total_weight.item())

    def backward(g: Any, x: Any, *_: Any) -> Sequence[Any]:
        if isinstance(g, Tensor):
            return by_formula(formula, g, x)
        g = contiguous(g)
        logits = _classes_last(x).reshape(t.size, classes)
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

    if a.ndim > 2:  # the copy with the classes last, in input's order of axes
        a = logits.reshape(*rows_shape, classes).transpose(0, a.ndim - 1, *range(1, a.ndim - 1))
    elif a.shape == logits.shape:
        a = logits
    out = losses.reshape(rows_shape) if loss is None else loss
    return result(out, (input,), backward, (a, None, t, lse, row_weight, total_weight, w))


def _classes_last(a: Any) -> Any:
    """[N, C, d1, ...] as [N, d1, ..., C] without gaps."""
    return contiguous(a if a.ndim == 2 else a.transpose(0, *range(2, a.ndim), 1))


def _class_weights(t: Any, row_weight: Any, w: Any, classes: int, smoothing: float, dtype: Any) -> Any:
    """What each row's log-probabilities count: [rows, classes], zeros in rows that are ignored."""
    rows = np.arange(t.size)
    counted = (t >= 0) & (t < classes)
    class_weight = np.ones(classes, dtype) if w is None else w
    out = np.zeros((t.size, classes), dtype)
    out[counted] = smoothing / classes * class_weight
    out[rows[counted], t[counted]] += (1 - smoothing) * class_weight[t[counted]]
    # A row whose class number is ignore_index counts nothing, though the number may be a class.
    out[np.asarray(row_weight) == 0] = 0
    return out


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
    if isinstance(target, Tensor):
        return True
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


def _elementwise(op: str, kernel: str, input: Any, target: Any, reduction: str, target_gradient: Any) -> Any:
    """Run a loss kernel; ``target_gradient(k, a)`` is d loss / d target before scaling, or None: minus gx."""
    a = unwrap(input, op, "input")
    target = _integers.as_float(target, a.dtype)
    t = unwrap(target, op, "target")
    if a.dtype is not t.dtype or type(a) is not type(t):
        same_dtype(op, input=a, target=t)
    if a.shape != t.shape:
        raise ShapeError(
            f"{op}: target has shape {t.shape}, expected {a.shape} as input has; losses do not broadcast"
        )
    code = _reduction_code(op, reduction)
    a, t = contiguous(a), contiguous(t)
    size = a.size
    if kernel.startswith("bce"):
        _check_probabilities(op, t)
    scale = 1.0 if code != 1 else 1.0 / size if size else float("nan")
    k = engines.of(a)
    loss = k.empty(() if code else a.shape, a.dtype)
    getattr(k, kernel + "_forward")(loss, a, t, scale)

    need_input, need_target = needs(input), needs(target)

    def formula(a: Any, t: Any) -> Any:
        losses = multiply(_FORMULAS[kernel](a, t), scale)
        return sum_over(losses) if code else losses

    def backward(g: Any, a: Any, t: Any) -> Sequence[Any]:
        if isinstance(g, Tensor):
            return by_formula(formula, g, a, t)
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

    return result(loss, (input, target), backward, (a, t))


#: What the kernels compute for an element, with operations.
_FORMULAS: dict[str, Any] = {
    "mse": lambda x, t: square(subtract(x, t)),
    "l1": lambda x, t: absolute(subtract(x, t)),
    "bce": lambda x, t: negative(t * _log_of(x) + (1.0 - t) * _log_of(1.0 - x)),
    "bce_with_logits": lambda x, t: (1.0 - t) * x + softplus(negative(x)),
}


def _log_of(x: Any) -> Any:
    return clip(log(x), -100.0)


def _check_probabilities(op: str, t: Any) -> None:
    """Refuse targets outside [0, 1]: their loss has no minimum."""
    if t.size == 0:
        return
    k = engines.of(t)
    least, largest = k.empty((1,) * t.ndim, t.dtype), k.empty((1,) * t.ndim, t.dtype)
    k.reduce_min(least, t)
    k.reduce_max(largest, t)
    low, high = least.item(), largest.item()
    if low < 0 or high > 1:
        raise ArgumentError(
            f"{op}: target has the number {low if low < 0 else high:g}, expected probabilities from 0 to 1"
        )


def _reduced(losses: Any, reduction: str) -> Any:
    return losses if reduction == "none" else sum_over(losses) if reduction == "sum" else mean(losses)


def _weighted(
    op: str, kernel: str, input: Any, target: Any, reduction: str, weight: Any, target_gradient: Any = None
) -> Any:
    """A mean of squares or distances, in which each element counts as much as its weight."""
    if weight is None:
        return _elementwise(op, kernel, input, target, reduction, target_gradient)
    code = _reduction_code(op, reduction)
    losses = _elementwise(op, kernel, input, target, "none", target_gradient)
    weight = _integers.as_float(weight, losses.dtype)
    w = unwrap(weight, op, "weight")
    if w.shape != losses.shape:
        raise ShapeError(f"{op}: weight has shape {w.shape}, expected {tuple(losses.shape)} as input has")
    total = multiply(losses, weight)
    return total if code == 0 else sum_over(total) if code == 2 else divide(sum_over(total), sum_over(weight))


def mse_loss(input: Any, target: Any, *given: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Squared differences, ``(input - target) ** 2``, and their mean or sum.

    Parameters
    ----------
    input, target : array or Tensor, of one shape
        Shapes must be equal: (N, 1) against (N,) is refused, for broadcast it would give N * N differences.
        A target of integers or booleans takes input's type.
    reduction : {"mean", "sum", "none"}, keyword-only
        The mean of no elements is NaN.
    weight : array or Tensor of the same shape, keyword-only, optional
        Factors of the losses; the mean is then divided by their sum.

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
    refuse_positional("mse_loss", given, _ORDER)
    return _weighted("mse_loss", "mse", input, target, reduction, weight)


def l1_loss(input: Any, target: Any, *given: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Absolute differences, ``|input - target|``; arguments and errors as :func:`mse_loss`.

    The gradient where both are equal is 0.
    """
    refuse_positional("l1_loss", given, _ORDER)
    return _weighted("l1_loss", "l1", input, target, reduction, weight)


def _factor(op: str, name: str, factor: Any, losses: Any) -> Any:
    """Weights that broadcast to the losses' shape."""
    factor = _integers.as_float(factor, losses.dtype)
    w = unwrap(factor, op, name)
    same_dtype(op, input=unwrap(losses, op, "input"), **{name: w})
    try:
        fits = np.broadcast_shapes(w.shape, losses.shape) == tuple(losses.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{op}: {name} has shape {w.shape}, expected one that broadcasts to {tuple(losses.shape)}"
        )
    return factor


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, *given: Any, reduction: str = "mean"
) -> Any:
    """``-(target * log(input) + (1 - target) * log(1 - input))``; errors as :func:`mse_loss`.

    Logarithms are not let below -100, as torch does. ``input`` holds probabilities; outside [0, 1] the loss
    is NaN. Raw scores are better given to :func:`binary_cross_entropy_with_logits`.

    Parameters
    ----------
    input, target : array or Tensor, of one shape
        A target outside [0, 1] is refused; integers and booleans take input's type.
    weight : array or Tensor that broadcasts to input's shape, optional
        Factors of the losses. The mean is over their number all the same.
    reduction : {"mean", "sum", "none"}, keyword-only
    """

    def target_gradient(k: Any, a: Any) -> Any:  # the loss for target 1, -log(x), less that for target 0
        label, slope, other = (k.empty(a.shape, a.dtype) for _ in range(3))
        k.fill(label, 1.0)
        k.bce_forward(slope, a, label, 1.0)
        k.fill(label, 0.0)
        k.bce_forward(other, a, label, 1.0)
        k.subtract(slope, slope, other)
        return slope

    op = "binary_cross_entropy"
    refuse_positional(op, given, _ORDER)
    if weight is None:
        return _elementwise(op, "bce", input, target, reduction, target_gradient)
    _reduction_code(op, reduction)
    losses = _elementwise(op, "bce", input, target, "none", target_gradient)
    return _reduced(multiply(losses, _factor(op, "weight", weight, losses)), reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    *given: Any,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, in one stable formula.

    Parameters
    ----------
    input, target, weight, reduction
        As :func:`binary_cross_entropy`; input holds raw scores.
    pos_weight : array or Tensor that broadcasts to input's shape, keyword-only, optional
        What the part of the loss that belongs to the target is multiplied by.
    """

    def target_gradient(k: Any, a: Any) -> Any:  # log(1 - s) - log(s) = -x
        slope = k.empty(a.shape, a.dtype)
        k.negative(slope, a)
        return slope

    op, kernel = "binary_cross_entropy_with_logits", "bce_with_logits"
    refuse_positional(op, given, _ORDER)
    if weight is None and pos_weight is None:
        return _elementwise(op, kernel, input, target, reduction, target_gradient)
    _reduction_code(op, reduction)
    losses = _elementwise(op, kernel, input, target, "none", target_gradient)  # checks both
    if pos_weight is not None:
        pos_weight = _factor(op, "pos_weight", pos_weight, losses)
        target = _integers.as_float(target, losses.dtype)
        positive = multiply(multiply(pos_weight, target), softplus(negative(input)))
        losses = add(positive, multiply(subtract(1.0, target), softplus(input)))
    if weight is not None:
        losses = multiply(losses, _factor(op, "weight", weight, losses))
    return _reduced(losses, reduction)
