"""Losses that are composed of other operations, so that their gradients, of every order, are too.

Those that a training step spends time in have kernels of their own (:mod:`einkorn.ops.loss`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn._device import beside, is_on_gpu, move
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import flag, integer, number
from einkorn.ops._road import as_index, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import broadcast_to, reshape
from einkorn.ops.elementwise import (
    add,
    clip,
    divide,
    exp,
    log,
    maximum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    softplus,
    square,
    subtract,
    where,
)
from einkorn.ops.loss import _reduced, _reduction_code, binary_cross_entropy_with_logits, fitting
from einkorn.ops.loss_classes import _class_weights, cross_entropy
from einkorn.ops.reduce import mean
from einkorn.ops.reduce import sum as sum_over

__all__ = [
    "dice_loss",
    "focal_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "hinge_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "sigmoid_focal_loss",
    "soft_margin_loss",
]


def shape_of(op: str, x: Any, name: str = "input") -> tuple[int, ...]:
    return tuple(unwrap(x, op, name).shape)


def alike(op: str, input: Any, target: Any, name: str = "target") -> Any:
    """``target`` as floats of input's type and shape; another shape is refused."""
    target = fitted(op, input, target, name)
    if tuple(target.shape) != tuple(input.shape):
        raise ShapeError(
            f"{op}: {name} has shape {tuple(target.shape)}, expected {tuple(input.shape)} as input has"
        )
    return target


def fitted(op: str, input: Any, target: Any, name: str = "target") -> Any:
    """``target`` as floats: one of both may broadcast to the other's shape, Tensors may be of two types."""
    a = unwrap(input, op, "input")
    target = _integers.as_float(target, a.dtype)
    t = unwrap(target, op, name)
    if not (isinstance(input, Tensor) or isinstance(target, Tensor)):
        same_dtype(op, input=a, **{name: t})
    if t.shape != a.shape:
        fitting(op, a.shape, t.shape, name)
    return target


def mask(op: str, x: Any, condition: Any) -> Any:
    """A constant of ones and zeros of x's type."""
    a = unwrap(x, op, "input")
    return condition.astype(a.dtype) if is_on_gpu(condition) else beside(a, np.asarray(condition, a.dtype))


def values_of(x: Any) -> Any:
    """The numbers of a target that is not differentiated."""
    plain = getattr(x, "_data", x)
    if is_on_gpu(plain):
        return plain
    return x.numpy() if hasattr(x, "numpy") else np.asarray(x)


# --- margins ------------------------------------------------------------------------------------


def hinge_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """``max(0, margin - target * input)``, the loss of support vector machines (Cortes and Vapnik 1995).

    Parameters
    ----------
    input : array or Tensor
        Scores.
    target : array
        1 or -1; of input's shape, or one of both broadcasts to the other's.
    margin : number, default 1.0
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "hinge_loss"
    _reduction_code(op, reduction)
    target = fitted(op, input, target)
    return _reduced(relu(subtract(number(op, "margin", margin), multiply(target, input))), reduction)


@rounded_once
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """Distances: ``input`` where target is 1, ``max(0, margin - input)`` where it is -1.

    Parameters
    ----------
    input : array or Tensor
        Distances of pairs.
    target : array
        1 (alike) or -1, shaped as in :func:`hinge_loss`. Another number gives the sum of both terms, as in
        torch.
    margin : number, default 1.0
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "hinge_embedding_loss"
    _reduction_code(op, reduction)
    labels = values_of(fitted(op, input, target))
    near = where(labels != -1, input, 0.0)
    far = where(labels != 1, relu(subtract(number(op, "margin", margin), input)), 0.0)
    return _reduced(add(near, far), reduction)


@rounded_once
def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """``log(1 + exp(-target * input))`` for targets 1 and -1; arguments as :func:`hinge_loss`."""
    op = "soft_margin_loss"
    _reduction_code(op, reduction)
    target = fitted(op, input, target)
    return _reduced(softplus(negative(multiply(target, input))), reduction)


@rounded_once
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    *,
    reduction: str = "mean",
) -> Any:
    """Hinge over classes (Crammer and Singer 2001): the sum over c != t of
    ``max(0, margin - x[t] + x[c])**p / C``.

    Parameters
    ----------
    input : array or Tensor [N, C] or [C]
    target : array of integers [N] or []
    p : 1 or 2, default 1
    margin : number, default 1.0
    weight : array [C], optional
        Factors of the losses by the target's class.
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "multi_margin_loss"
    _reduction_code(op, reduction)
    shape = shape_of(op, input)
    if len(shape) > 2:
        raise ShapeError(f"{op}: input has shape {shape}, expected (N, C) or (C,)")
    if p not in (1, 2) or isinstance(p, bool):
        raise ArgumentError(f"{op}: p is {p!r}, expected 1 or 2")
    rows, classes = shape if len(shape) == 2 else (1, *(shape or (1,)))
    t = as_index(target, op, "target")
    if t.size != rows or t.ndim > 1:
        raise ShapeError(f"{op}: target has shape {t.shape}, expected {shape[:-1]}")
    _check_labels(op, t, classes)
    w = _class_weights(op, unwrap(input, op, "input"), weight, classes)
    x = reshape(input, (rows, classes))
    t = beside(unwrap(input, op, "input"), t)
    chosen = beside(t, np.arange(classes)) == t.reshape(-1, 1)
    own = sum_over(where(chosen, x, 0.0), axis=1, keepdims=True)
    terms = relu(add(subtract(x, own), number(op, "margin", margin)))
    terms = where(chosen, 0.0, square(terms) if p == 2 else terms)
    if w is not None:
        terms = multiply(terms, w[t.reshape(-1)].reshape(-1, 1))
    losses = divide(sum_over(terms, axis=1), float(classes or 1))
    return _reduced(reshape(losses, shape[:-1]), reduction)


def _check_labels(op: str, t: Any, classes: int, least: int = 0) -> None:
    if t.size and (t.min() < least or t.max() >= classes):
        bad = t[(t < least) | (t >= classes)].flat[0]
        raise IndexRangeError(f"{op}: target has class {bad}, expected {least} to {classes - 1}")


@rounded_once
def multilabel_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Hinge over pairs of a class that is a target and one that is not:
    ``sum of max(0, 1 - (x[j] - x[i])) / C`` over targets j and other classes i.

    Parameters
    ----------
    input : array or Tensor [N, C] or [C]
    target : array of integers of input's shape
        Target classes, then -1, after which nothing is read.
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "multilabel_margin_loss"
    _reduction_code(op, reduction)
    shape = shape_of(op, input)
    t = as_index(target, op, "target")
    if len(shape) > 2 or t.shape != shape:
        raise ShapeError(f"{op}: target has shape {t.shape}, expected input's, (N, C) or (C,), got {shape}")
    rows, classes = shape if len(shape) == 2 else (1, *(shape or (1,)))
    _check_labels(op, t, classes, -1)
    t = move(t, "cpu").reshape(rows, classes)
    counts = np.zeros((rows, classes))
    live = np.logical_and.accumulate(t >= 0, axis=1)
    np.add.at(counts, (np.nonzero(live)[0], t[live]), 1)
    x = reshape(input, (rows, classes))
    gaps = relu(add(subtract(reshape(x, (rows, 1, classes)), reshape(x, (rows, classes, 1))), 1.0))
    times = mask(op, input, counts[:, :, None] * (counts == 0)[:, None, :])
    terms = multiply(where(times > 0, gaps, 0.0), times)
    losses = divide(sum_over(terms, axis=(1, 2)), float(classes or 1))
    return _reduced(reshape(losses, shape[:-1]), reduction)


@rounded_once
def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """Mean over the classes, the last axis, of the binary cross-entropies of raw scores.

    Parameters
    ----------
    input : array or Tensor [..., C]
    target : array or Tensor of input's shape
        Shares of the classes; other numbers than those from 0 to 1 are taken as they are.
    weight : array that broadcasts to input's shape, optional
        Factors of the classes' losses.
    reduction : {"mean", "sum", "none"}, keyword-only
        Over what is left: one loss for each row.
    """
    op = "multilabel_soft_margin_loss"
    _reduction_code(op, reduction)
    if not shape_of(op, input):
        raise ShapeError(f"{op}: input has shape (), expected (..., C)")
    target = fitted(op, input, target)
    losses = add(
        multiply(target, softplus(negative(input))), multiply(subtract(1.0, target), softplus(input))
    )
    if weight is not None:
        losses = multiply(losses, weight)
    return _reduced(mean(losses, axis=-1), reduction)


# --- likelihoods --------------------------------------------------------------------------------


@rounded_once
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of counts: ``exp(input) - target * input``.

    Parameters
    ----------
    input, target : array or Tensor
        Of one shape, or one of them broadcasts to the other's.
    log_input : bool, default True
        input is the logarithm of the rate; False: the rate, ``input - target * log(input + eps)``.
    full : bool, default False
        Add Stirling's approximation of ``log(target!)`` where target is above 1.
    eps : number, keyword-only, default 1e-8
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "poisson_nll_loss"
    _reduction_code(op, reduction)
    target = fitted(op, input, target)
    if flag(op, "log_input", log_input):
        losses = subtract(exp(input), multiply(target, input))
    else:
        losses = subtract(input, multiply(target, log(add(input, number(op, "eps", eps)))))
    if flag(op, "full", full):
        t = maximum(target, 1.0)
        stirling = add(subtract(multiply(t, log(t)), t), multiply(log(multiply(t, 2 * math.pi)), 0.5))
        losses = add(losses, where(values_of(target) > 1, stirling, 0.0))
    return _reduced(losses, reduction)


def _spread(op: str, name: str, x: Any, shape: tuple[int, ...]) -> Any:
    """An operand broadcast to a shape."""
    try:
        fits = np.broadcast_shapes(tuple(x.shape), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{op}: {name} has shape {tuple(x.shape)}, expected one that broadcasts to {shape}")
    return broadcast_to(x, shape)


@rounded_once
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    *,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of a normal distribution (Nix and Weigend 1994):
    ``(log(max(var, eps)) + (input - target)**2 / max(var, eps)) / 2``.

    Parameters
    ----------
    input : array or Tensor
        Means.
    target : array or Tensor that broadcasts to input's shape
        What was observed.
    var : array or Tensor that broadcasts to input's shape, or has it but for the last axis, or a number
        Variances, none negative. What lies below ``eps`` counts as it, and its gradient passes.
    full : bool, default False
        Add ``log(2 pi) / 2``.
    eps : number > 0, keyword-only, default 1e-6
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "gaussian_nll_loss"
    _reduction_code(op, reduction)
    if not number(op, "eps", eps) > 0:
        raise ArgumentError(f"{op}: eps is {eps!r}, expected a number above 0")
    shape = shape_of(op, input)
    if shape_of(op, target) != shape:
        target = _spread(op, "target", target, shape)
    target = alike(op, input, target)
    if not hasattr(var, "shape"):
        like = unwrap(input, op, "input")
        var = beside(like, np.full(shape, number(op, "var", var), like.dtype))
    if tuple(var.shape) != shape:
        if tuple(var.shape) == shape[:-1]:
            var = reshape(var, (*shape[:-1], 1))
        else:
            _spread(op, "var", var, shape)
    values = unwrap(var, op, "var")
    if (values < 0).any():
        raise ArgumentError(f"{op}: var has the number {values.min():g}, expected none below 0")
    var = add(var, np.maximum(eps - values, 0).astype(values.dtype))  # clamped, with the slope of var
    losses = multiply(add(log(var), divide(square(subtract(input, target)), var)), 0.5)
    if flag(op, "full", full):
        losses = add(losses, 0.5 * math.log(2 * math.pi))
    return _reduced(losses, reduction)


# --- imbalance ----------------------------------------------------------------------------------


@rounded_once
def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Any:
    """Binary cross-entropy that counts hard examples more (Lin et al. 2017), as in torchvision:
    ``alpha_t (1 - p_t)**gamma * cross_entropy``.

    Parameters
    ----------
    inputs, targets : array or Tensor, of one shape
        Raw scores, and 1 or 0.
    alpha : number in 0 to 1, default 0.25
        Weight of the examples whose target is 1, 1 - alpha that of the others; negative: none.
    gamma : number >= 0, default 2
    reduction : {"none", "mean", "sum"}, default "none"
    """
    op = "sigmoid_focal_loss"
    _reduction_code(op, reduction)
    targets = alike(op, inputs, targets, "targets")
    alpha, gamma = number(op, "alpha", alpha), number(op, "gamma", gamma)
    if alpha > 1:
        raise ArgumentError(f"{op}: alpha is {alpha!r}, expected at most 1")
    losses = binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p = sigmoid(inputs)
    missed = add(multiply(p, subtract(1.0, targets)), multiply(subtract(1.0, p), targets))
    losses = multiply(losses, power(missed, gamma))
    if alpha >= 0:
        losses = multiply(losses, add(multiply(targets, 2 * alpha - 1), 1 - alpha))
    return _reduced(losses, reduction)


@rounded_once
def focal_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy over classes that counts hard rows more: ``(1 - p_t)**gamma * cross_entropy``
    (Lin et al. 2017).

    Parameters
    ----------
    input, target, weight, ignore_index
        As :func:`cross_entropy`, with class numbers.
    gamma : number >= 0, keyword-only, default 2.0
    reduction : {"mean", "sum", "none"}, keyword-only
        "mean" is over the rows that are not ignored.
    """
    op = "focal_loss"
    _reduction_code(op, reduction)
    ignore_index = integer(op, "ignore_index", ignore_index)
    options: dict[str, Any] = {"ignore_index": ignore_index, "reduction": "none"}
    plain = cross_entropy(input, target, **options)
    losses = plain if weight is None else cross_entropy(input, target, weight, **options)
    missed = clip(subtract(1.0, exp(negative(plain))), 1e-12, None)  # a slope, where gamma < 1
    losses = multiply(losses, power(missed, number(op, "gamma", gamma)))
    if reduction != "mean":
        return _reduced(losses, reduction)
    return divide(sum_over(losses), float((as_index(target, op, "target") != ignore_index).sum() or math.nan))


@rounded_once
def dice_loss(
    input: Any, target: Any, *, smooth: float = 1.0, square_sums: bool = False, reduction: str = "mean"
) -> Any:
    """One minus the overlap of Dice: ``1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``.

    Parameters
    ----------
    input, target : array or Tensor [N, ...], of one shape
        Probabilities, and what they should be; sums are over all axes but the first.
    smooth : number, keyword-only, default 1.0
    square_sums : bool, keyword-only, default False
        Squares in the denominator (V-Net, Milletari et al. 2016).
    reduction : {"mean", "sum", "none"}, keyword-only
        Over the N.
    """
    op = "dice_loss"
    _reduction_code(op, reduction)
    target = alike(op, input, target)
    shape = shape_of(op, input)
    if len(shape) < 2:
        raise ShapeError(f"{op}: input has shape {shape}, expected (N, ...)")
    p, t = (reshape(x, (shape[0], math.prod(shape[1:]))) for x in (input, target))
    smooth = number(op, "smooth", smooth)
    overlap = add(multiply(sum_over(multiply(p, t), axis=1), 2.0), smooth)
    if flag(op, "square_sums", square_sums):
        p, t = square(p), square(t)
    sums = add(add(sum_over(p, axis=1), sum_over(t, axis=1)), smooth)
    return _reduced(subtract(1.0, divide(overlap, sums)), reduction)
