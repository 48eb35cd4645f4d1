"""Losses of pairs and triples, and what compares images: composed of other operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn._device import beside
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import flag, number
from einkorn.ops._road import unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import getitem, reshape, transpose
from einkorn.ops.criterion import alike, fitted, mask, shape_of, values_of
from einkorn.ops.elementwise import (
    absolute,
    add,
    divide,
    minimum,
    multiply,
    power,
    relu,
    sqrt,
    square,
    subtract,
    where,
)
from einkorn.ops.loss import _reduced, _reduction_code
from einkorn.ops.loss_classes import cross_entropy
from einkorn.ops.matmul import matmul
from einkorn.ops.reduce import max as max_over
from einkorn.ops.reduce import sum as sum_over

__all__ = [
    "contrastive_loss",
    "cosine_embedding_loss",
    "gram_matrix",
    "info_nce",
    "margin_ranking_loss",
    "total_variation",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


@rounded_once
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, *, reduction: str = "mean"
) -> Any:
    """``max(0, -target * (input1 - input2) + margin)``: target 1 asks for the first to be larger, -1 smaller.

    Parameters
    ----------
    input1, input2 : array or Tensor, of one shape
    target : array of that shape
    margin : number, default 0
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "margin_ranking_loss"
    _reduction_code(op, reduction)
    input2 = fitted(op, input1, input2, "input2")
    target = fitted(op, input1 if input1.ndim >= input2.ndim else input2, target)
    gap = multiply(target, subtract(input2, input1))
    return _reduced(relu(add(gap, number(op, "margin", margin))), reduction)


@rounded_once
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, *, reduction: str = "mean"
) -> Any:
    """``1 - cos`` where target is 1, ``max(0, cos - margin)`` where it is -1.

    Parameters
    ----------
    input1, input2 : array or Tensor [N, width] or [width]
    target : array [N] or []
    margin : number, default 0
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "cosine_embedding_loss"
    _reduction_code(op, reduction)
    input2 = alike(op, input1, input2, "input2")
    shape = shape_of(op, input1, "input1")
    labels = values_of(target)
    if not hasattr(target, "dtype"):  # a number, or a list of them
        labels = beside(unwrap(input1, op, "input1"), labels)
    if len(shape) not in (1, 2) or labels.shape != shape[:-1]:
        raise ShapeError(
            f"{op}: target has shape {labels.shape} and the inputs {shape}, expected (N,) and (N, width), or"
            " () and (width,)"
        )
    lengths = [add(sum_over(square(x), axis=-1), 1e-12) for x in (input1, input2)]
    cosine = divide(sum_over(multiply(input1, input2), axis=-1), sqrt(multiply(*lengths)))
    near = where(labels == 1, subtract(1.0, cosine), 0.0)
    far = relu(subtract(cosine, number(op, "margin", margin)))
    return _reduced(add(near, where(labels == -1, far, 0.0)), reduction)


def _distance(op: str, p: float, eps: float) -> Callable[[Any, Any], Any]:
    p, eps = number(op, "p", p), number(op, "eps", eps)
    if not p > 0:
        raise ArgumentError(f"{op}: p is {p!r}, expected a number above 0")

    def distance(a: Any, b: Any) -> Any:
        d = add(subtract(a, b), eps)
        if p == 2:
            return sqrt(sum_over(square(d), axis=-1))
        size = absolute(d)
        if p == 1:
            return sum_over(size, axis=-1)
        if math.isinf(p):
            return max_over(size, axis=-1)
        return power(sum_over(power(size, p), axis=-1), 1.0 / p)

    return distance


@rounded_once
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` (Schroff et al. 2015).

    Parameters
    ----------
    anchor, positive, negative : array or Tensor [..., width], of one shape
    margin : number, default 1.0
    p : number > 0, default 2
        Of the norm of the differences.
    eps : number, default 1e-6
        Added to each difference, so that the norm has a slope at 0.
    swap : bool, default False
        Use d(positive, negative) where it is the smaller (Balntas et al. 2016).
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "triplet_margin_loss"
    return _triplet(op, anchor, positive, negative, _distance(op, p, eps), margin, swap, reduction)


@rounded_once
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """:func:`triplet_margin_loss` with a distance of one's own, a function of two arrays or Tensors."""
    op = "triplet_margin_with_distance_loss"
    if not margin > 0:
        raise ArgumentError(f"{op}: margin is {margin!r}, expected a number above 0")
    distance = _distance(op, 2, 1e-6) if distance_function is None else distance_function
    return _triplet(op, anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    op: str,
    anchor: Any,
    positive: Any,
    negative: Any,
    distance: Callable[[Any, Any], Any],
    margin: float,
    swap: bool,
    reduction: str,
) -> Any:
    _reduction_code(op, reduction)
    for name, x in (("positive", positive), ("negative", negative)):
        fitted(op, anchor, x, name)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if flag(op, "swap", swap):
        far = minimum(far, distance(positive, negative))
    return _reduced(relu(add(subtract(near, far), number(op, "margin", margin))), reduction)


def _unit_rows(x: Any) -> Any:
    return divide(x, sqrt(add(sum_over(square(x), axis=1, keepdims=True), 1e-24)))


@rounded_once
def info_nce(
    query: Any,
    key: Any,
    *,
    temperature: float | Any = 0.07,
    symmetric: bool = False,
    normalize: bool = True,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy of finding each query's key among all keys (van den Oord et al. 2018).

    Parameters
    ----------
    query, key : array or Tensor [N, width]
        Rows of the same number belong together.
    temperature : number, or array or Tensor [], keyword-only, default 0.07
        Similarities are divided by it. A Tensor learns it.
    symmetric : bool, keyword-only, default False
        The mean of both directions: CLIP's loss (Radford et al. 2021).
    normalize : bool, keyword-only, default True
        Similarities are cosines; False: products.
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "info_nce"
    _reduction_code(op, reduction)
    key = alike(op, query, key, "key")
    shape = shape_of(op, query, "query")
    if len(shape) != 2:
        raise ShapeError(f"{op}: query has shape {shape}, expected (N, width)")
    if flag(op, "normalize", normalize):
        query, key = _unit_rows(query), _unit_rows(key)
    scores = divide(matmul(query, transpose(key, 0, 1)), temperature)
    own = beside(unwrap(query, op, "query"), np.arange(shape[0]))
    losses = cross_entropy(scores, own, reduction="none")
    if flag(op, "symmetric", symmetric):
        losses = multiply(add(losses, cross_entropy(transpose(scores, 0, 1), own, reduction="none")), 0.5)
    return _reduced(losses, reduction)


@rounded_once
def contrastive_loss(
    input1: Any, input2: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean"
) -> Any:
    """Pairs drawn together or pushed apart (Hadsell et al. 2006):
    ``d**2 / 2`` where target is 1, ``max(0, margin - d)**2 / 2`` where it is 0.

    Parameters
    ----------
    input1, input2 : array or Tensor [N, width]
    target : array [N]
    margin : number, default 1.0
    reduction : {"mean", "sum", "none"}, keyword-only
    """
    op = "contrastive_loss"
    _reduction_code(op, reduction)
    input2 = alike(op, input1, input2, "input2")
    same = mask(op, input1, values_of(target))
    shape = shape_of(op, input1, "input1")
    if len(shape) != 2 or same.shape != shape[:1]:
        raise ShapeError(
            f"{op}: target has shape {same.shape} and the inputs {shape}, expected (N,) and (N, width)"
        )
    squares = sum_over(square(subtract(input1, input2)), axis=1)
    gap = relu(subtract(number(op, "margin", margin), sqrt(add(squares, 1e-12))))
    losses = add(multiply(squares, same), multiply(square(gap), 1 - same))
    return _reduced(multiply(losses, 0.5), reduction)


@rounded_once
def total_variation(input: Any, *, p: int = 1, reduction: str = "sum") -> Any:
    """Sum of ``|difference|**p`` of neighbouring pixels, down and across (Rudin et al. 1992).

    Parameters
    ----------
    input : array or Tensor [..., H, W]
    p : 1 or 2, keyword-only, default 1
    reduction : {"sum", "mean", "none"}, keyword-only, default "sum"
        Over the images, which the axes before the last two number; "none": one number each.
    """
    op = "total_variation"
    _reduction_code(op, reduction)
    shape = shape_of(op, input)
    if len(shape) < 2:
        raise ShapeError(f"{op}: input has shape {shape}, expected (..., H, W)")
    if p not in (1, 2) or isinstance(p, bool):
        raise ArgumentError(f"{op}: p is {p!r}, expected 1 or 2")
    size = absolute if p == 1 else square
    lower, upper, every = slice(1, None), slice(None, -1), slice(None)
    down = subtract(getitem(input, (..., lower, every)), getitem(input, (..., upper, every)))
    across = subtract(getitem(input, (..., every, lower)), getitem(input, (..., every, upper)))
    total = add(sum_over(size(down), axis=(-2, -1)), sum_over(size(across), axis=(-2, -1)))
    return _reduced(total, reduction)


@rounded_once
def gram_matrix(input: Any, *, normalize: bool = True) -> Any:
    """Products of all pairs of channels, summed over positions: the style of an image (Gatys et al. 2016).

    Parameters
    ----------
    input : array or Tensor [N, C, ...] or [C, H, W]
    normalize : bool, keyword-only, default True
        Divide by the number of elements of an image, channels times positions.

    Returns
    -------
    array or Tensor [N, C, C] or [C, C]
    """
    op = "gram_matrix"
    shape = shape_of(op, input)
    if len(shape) < 3:
        raise ShapeError(f"{op}: input has shape {shape}, expected (N, C, ...) or (C, H, W)")
    lead = shape[:-3] if len(shape) == 3 else shape[:1]
    channels = shape[len(lead)]
    rows = reshape(input, (*lead, channels, math.prod(shape[len(lead) + 1 :])))
    out = matmul(rows, transpose(rows, -2, -1))
    return divide(out, float(math.prod(shape[len(lead) :]) or 1)) if flag(op, "normalize", normalize) else out
