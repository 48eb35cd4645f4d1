"""Losses: cross-entropy over classes, and means over elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import engines
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import flag, integer, number, refuse_positional
from einkorn.ops._road import as_index, contiguous, needs, result, same_dtype, unwrap
from einkorn.ops.copy import reshape
from einkorn.ops.elementwise import (
    add,
    clip,
    divide,
    exp,
    log,
    multiply,
    negative,
    sigmoid,
    softplus,
    subtract,
)
from einkorn.ops.reduce import mean
from einkorn.ops.reduce import sum as sum_over
from einkorn.ops.softmax import log_softmax, softmax
from einkorn.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
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
    w = _class_weights(op, a, weight, classes)
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
    _check_classes(op, t, classes, ignore_index, rows_shape)
    logits = _classes_last(a).reshape(t.size, classes)
    dtype = a.dtype
    losses, row_weight, lse = k.empty(t.shape, dtype), k.empty(t.shape, dtype), k.empty(t.shape, dtype)
    total_weight = k.empty((), dtype)
    loss = k.empty((), dtype) if code else None
    k.cross_entropy_forward(
        loss, losses, row_weight, total_weight, lse, logits, t, w, ignore_index, label_smoothing, code
    )

    def rule(
        g: Any, x: Any, out: Any, t: Any, lse: Any, row_weight: Any, total_weight: Any, w: Any
    ) -> tuple[Any]:
        if isinstance(g, Tensor):
            return (_cross_entropy_slope(g, x, t, row_weight, total_weight, w, label_smoothing, code),)
        g = contiguous(g)
        glogits = k.empty((t.size, classes), dtype)
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
            label_smoothing,
            code,
        )
        if len(shape) == 2:
            return (glogits,)
        last = len(shape) - 1
        return (glogits.reshape(*rows_shape, classes).transpose(0, last, *range(1, last)),)

    kept = logits  # with the classes last, in input's order of axes
    if len(shape) > 2:
        kept = logits.reshape(*rows_shape, classes).transpose(0, a.ndim - 1, *range(1, a.ndim - 1))
    return result(
        losses.reshape(rows_shape) if loss is None else loss,
        (input,),
        rule,
        (kept, None, t, lse, row_weight, total_weight, w),
    )


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


_Slopes = Callable[[Any, Any], tuple[Any, Any]]


def _elementwise(
    op: str,
    kernel: str,
    input: Any,
    target: Any,
    reduction: str,
    slopes: _Slopes,
    *options: float,
    factor: float = 1.0,
) -> Any:
    """Run a loss kernel.

    ``slopes(x, t)`` gives two functions that compute d loss / d x and d loss / d t of each element with
    operations, before scaling: for the target's gradient, and for both that are themselves differentiated.
    """
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
    scale = factor if code != 1 else factor / size if size else float("nan")
    k = engines.of(a)
    loss = k.empty(() if code else a.shape, a.dtype)
    getattr(k, kernel + "_forward")(loss, a, t, scale, *options)

    need_input, need_target = needs(input), needs(target)

    def rule(g: Any, x: Any, t: Any, out: Any) -> tuple[Any, Any]:
        gx = gt = None
        twice = isinstance(g, Tensor)
        of_input, of_target = slopes(x, t)
        if need_input and twice:
            gx = multiply(of_input(), multiply(g, scale))
        elif need_input:
            gx = k.empty(x.shape, x.dtype)
            getattr(k, kernel + "_backward")(gx, contiguous(g), x, t, scale, *options)
        if need_target:
            gt = multiply(of_target(), multiply(g, scale))
        return gx, gt

    return result(loss, (input, target), rule, (a, t, None))


def _data(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def _sign(x: Any, t: Any) -> Any:
    """The sign of x - t, which has no gradient."""
    x, t = _data(x), _data(t)
    k = engines.of(x)
    out = k.empty(x.shape, x.dtype)
    k.subtract(out, x, t)
    k.sign(out, out)
    return out


def _mse_slopes(x: Any, t: Any) -> Any:
    return lambda: multiply(subtract(x, t), 2.0), lambda: multiply(subtract(t, x), 2.0)


def _l1_slopes(x: Any, t: Any) -> Any:
    return lambda: _sign(x, t), lambda: _sign(t, x)


def _bce_slopes(x: Any, t: Any) -> Any:
    def of_input() -> Any:
        variance = clip(multiply(x, subtract(1.0, x)), 1e-12, None)
        return divide(subtract(x, t), variance)

    def of_target() -> Any:
        return subtract(clip(log(subtract(1.0, x)), -100.0, None), clip(log(x), -100.0, None))

    return of_input, of_target


def _logits_slopes(x: Any, t: Any) -> Any:
    return lambda: subtract(sigmoid(x), t), lambda: negative(x)


def _kl_slopes(x: Any, t: Any) -> Any:
    return lambda: negative(t), lambda: add(subtract(log(t), x), 1.0)


def _kl_log_slopes(x: Any, t: Any) -> Any:
    return lambda: negative(exp(t)), lambda: multiply(exp(t), add(subtract(t, x), 1.0))


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
    op: str,
    kernel: str,
    input: Any,
    target: Any,
    reduction: str,
    weight: Any,
    slopes: _Slopes,
) -> Any:
    """A mean of squares or distances, in which each element counts as much as its weight."""
    if weight is None:
        return _elementwise(op, kernel, input, target, reduction, slopes)
    code = _reduction_code(op, reduction)
    losses = _elementwise(op, kernel, input, target, "none", slopes)
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
    return _weighted("mse_loss", "mse", input, target, reduction, weight, _mse_slopes)


def l1_loss(input: Any, target: Any, *given: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Absolute differences, ``|input - target|``; arguments and errors as :func:`mse_loss`.

    The gradient where both are equal is 0.
    """
    refuse_positional("l1_loss", given, _ORDER)
    return _weighted("l1_loss", "l1", input, target, reduction, weight, _l1_slopes)


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
    op = "binary_cross_entropy"
    refuse_positional(op, given, _ORDER)
    if weight is None:
        return _elementwise(op, "bce", input, target, reduction, _bce_slopes)
    _reduction_code(op, reduction)
    losses = _elementwise(op, "bce", input, target, "none", _bce_slopes)
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
    op, kernel = "binary_cross_entropy_with_logits", "bce_with_logits"
    refuse_positional(op, given, _ORDER)
    if weight is None and pos_weight is None:
        return _elementwise(op, kernel, input, target, reduction, _logits_slopes)
    _reduction_code(op, reduction)
    losses = _elementwise(op, kernel, input, target, "none", _logits_slopes)  # checks both
    if pos_weight is not None:
        pos_weight = _factor(op, "pos_weight", pos_weight, losses)
        target = _integers.as_float(target, losses.dtype)
        positive = multiply(multiply(pos_weight, target), softplus(negative(input)))
        losses = add(positive, multiply(subtract(1.0, target), softplus(input)))
    if weight is not None:
        losses = multiply(losses, _factor(op, "weight", weight, losses))
    return _reduced(losses, reduction)


def smooth_l1_loss(input: Any, target: Any, *given: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Squares near 0 and distances further off: ``d**2 / (2 beta)`` for ``d = |input - target| < beta``, else
    ``d - beta / 2`` (Girshick 2015); errors as :func:`mse_loss`.

    Parameters
    ----------
    input, target, reduction
        As :func:`mse_loss`.
    beta : number >= 0, keyword-only, default 1.0
        Where the two forms meet; 0 is :func:`l1_loss`.
    """
    op = "smooth_l1_loss"
    refuse_positional(op, given, _ORDER)
    beta = number(op, "beta", beta)
    if not beta >= 0:
        raise ArgumentError(f"{op}: beta is {beta!r}, expected a number of at least 0")
    if beta == 0:
        return _elementwise(op, "l1", input, target, reduction, _l1_slopes)
    return _elementwise(op, "smooth_l1", input, target, reduction, _smooth_slopes(beta), beta)


def _smooth_slopes(beta: float) -> _Slopes:
    def slopes(x: Any, t: Any) -> Any:
        def slope(a: Any, b: Any) -> Any:
            return clip(divide(subtract(a, b), beta), -1.0, 1.0)

        return lambda: slope(x, t), lambda: slope(t, x)

    return slopes


def huber_loss(
    input: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """``d**2 / 2`` for ``d = |input - target| < delta``, else ``delta (d - delta / 2)`` (Huber 1964).

    Parameters
    ----------
    input, target, reduction
        As :func:`mse_loss`.
    weight : array or Tensor of input's shape, keyword-only, optional
        Factors of the losses. The mean is over their number all the same, as in torch.
    delta : number > 0, keyword-only, default 1.0
        Where the two forms meet.
    """
    op = "huber_loss"
    delta = number(op, "delta", delta)
    if not delta > 0:
        raise ArgumentError(f"{op}: delta is {delta!r}, expected a number above 0")
    slopes = _smooth_slopes(delta)
    if weight is None:
        return _elementwise(op, "smooth_l1", input, target, reduction, slopes, delta, factor=delta)
    _reduction_code(op, reduction)
    losses = _elementwise(op, "smooth_l1", input, target, "none", slopes, delta, factor=delta)
    weight = _integers.as_float(weight, losses.dtype)
    w = unwrap(weight, op, "weight")
    if w.shape != losses.shape:
        raise ShapeError(f"{op}: weight has shape {w.shape}, expected {tuple(losses.shape)} as input has")
    return _reduced(multiply(losses, weight), reduction)


def kl_div(input: Any, target: Any, *given: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Divergence of Kullback and Leibler (1951), ``target * (log(target) - input)``.

    Errors as :func:`mse_loss`.

    Parameters
    ----------
    input : array or Tensor
        Logarithms of probabilities.
    target : array or Tensor of input's shape
        Probabilities, or with ``log_target`` their logarithms.
    reduction : {"mean", "batchmean", "sum", "none"}, keyword-only
        "mean" divides by the number of elements, "batchmean" by the size of the first axis: the divergence
        itself.
    log_target : bool, keyword-only, default False
    """
    op = "kl_div"
    refuse_positional(op, given, _ORDER)
    kernel, slopes = (
        ("kl_div_log", _kl_log_slopes) if flag(op, "log_target", log_target) else ("kl_div", _kl_slopes)
    )
    if not isinstance(reduction, str) or reduction != "batchmean":
        return _elementwise(op, kernel, input, target, reduction, slopes)
    shape = unwrap(input, op, "input").shape
    if not shape:
        raise ShapeError(f"{op}: input has shape (), expected a first axis for reduction 'batchmean'")
    factor = 1.0 / shape[0] if shape[0] else float("nan")
    return _elementwise(op, kernel, input, target, "sum", slopes, factor=factor)


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
    w = _class_weights(op, a, weight, classes)
    t = t.reshape(-1)
    _check_classes(op, t, classes, ignore_index, expected)
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


def _check_classes(op: str, t: Any, classes: int, ignore_index: int, rows_shape: tuple[int, ...]) -> None:
    bad = engines.of(t).first_out_of_range(t, 0, classes, ignore_index)
    if bad >= 0:
        row = bad if len(rows_shape) <= 1 else tuple(map(int, np.unravel_index(bad, rows_shape)))
        raise IndexRangeError(
            f"{op}: target has class {int(t[bad])} in row {row}, expected 0 to {classes - 1} because input"
            f" has {classes} classes, or ignore_index, {ignore_index}"
        )
