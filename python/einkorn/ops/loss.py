"""Losses that are means over elements."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers, _promotion
from einkorn.ops._options import flag, number, refuse_positional
from einkorn.ops._road import contiguous, needs, result, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import broadcast_to
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

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

_ORDER = (
    "torch has its old size_average and reduce among these: write reduction= and the others by name, or take"
    " the function of einkorn.nn.functional"
)
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


_Slopes = Callable[[Any, Any], tuple[Any, Any]]


def _reduction_code(op: str, reduction: Any) -> int:
    try:
        return _REDUCTIONS[reduction]
    except (KeyError, TypeError):
        raise ArgumentError(f"{op}: reduction is {reduction!r}, expected 'none', 'mean' or 'sum'") from None


def fitting(
    op: str, input: tuple[int, ...], target: tuple[int, ...], name: str = "target"
) -> tuple[int, ...]:
    """The shape of losses of inputs and targets of two shapes, one of which broadcasts to the other.

    Where both would grow, as (N, 1) and (N,) to (N, N), every row would be compared with every other one.
    """
    try:
        shape = np.broadcast_shapes(input, target)
    except ValueError:
        shape = None
    if shape is None or shape not in (input, target):
        raise ShapeError(
            f"{op}: {name} has shape {target}, expected {input} as input has, or that one of the two"
            " broadcasts to the other"
        )
    return shape


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
    if kernel != "bce":  # which torch refuses, too
        input, target = _promotion.alike(input, target)
    a = unwrap(input, op, "input")
    target = _integers.as_float(target, a.dtype)
    t = unwrap(target, op, "target")
    if a.dtype is not t.dtype or type(a) is not type(t):
        same_dtype(op, input=a, target=t)
    if a.shape != t.shape:
        if kernel.startswith("bce"):
            raise ShapeError(f"{op}: target has shape {t.shape}, expected {a.shape} as input has")
        shape = fitting(op, a.shape, t.shape)
        if not kernel.startswith("kl"):  # where torch warns
            warnings.warn(
                f"{op}: target has shape {t.shape} and input {a.shape}; the smaller one is broadcast",
                UserWarning,
                stacklevel=4,
            )
        input, target = broadcast_to(input, shape), broadcast_to(target, shape)
        a, t = unwrap(input, op, "input"), unwrap(target, op, "target")
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


@rounded_once
def mse_loss(input: Any, target: Any, *given: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Squared differences, ``(input - target) ** 2``, and their mean or sum.

    Parameters
    ----------
    input, target : array or Tensor
        Of one shape, or one of them broadcasts to the other's, with a warning as in torch. (N, 1) against
        (N,) is refused, for it would give N * N differences. A target of integers or booleans takes input's
        type.
    reduction : {"mean", "sum", "none"}, keyword-only
        The mean of no elements is NaN.
    weight : array or Tensor of the same shape, keyword-only, optional
        Factors of the losses; the mean is then divided by their sum.

    Returns
    -------
    array or Tensor
        A scalar, or with "none" of the larger shape.

    Raises
    ------
    ShapeError
        If neither shape broadcasts to the other.
    DTypeError
        If arrays of NumPy have different types, or a type is none of float32, float64 and bfloat16.
    ArgumentError
        For another reduction.
    """
    refuse_positional("mse_loss", given, _ORDER)
    return _weighted("mse_loss", "mse", input, target, reduction, weight, _mse_slopes)


@rounded_once
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
    if not (isinstance(losses, Tensor) or isinstance(factor, Tensor)):
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


@rounded_once
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


@rounded_once
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


@rounded_once
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


@rounded_once
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
    if math.isinf(delta):  # squares everywhere
        losses = multiply(mse_loss(input, target, reduction="none"), 0.5)
        if weight is not None:
            losses = multiply(losses, weight)
        _reduction_code(op, reduction)
        return _reduced(losses, reduction)
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


@rounded_once
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
        "mean" divides by the number of elements, "batchmean" by the size of the first axis, if there
        is one: the divergence itself.
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
    factor = 1.0 if not shape else 1.0 / shape[0] if shape[0] else float("nan")
    return _elementwise(op, kernel, input, target, "sum", slopes, factor=factor)
