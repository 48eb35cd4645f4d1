"""Losses of boxes against boxes, pair by pair, with torchvision's names, and of masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError

__all__ = [
    "complete_box_iou_loss",
    "dice_loss",
    "distance_box_iou_loss",
    "generalized_box_iou_loss",
    "sigmoid_focal_loss",
]


def _reduced(op: str, losses: Any, reduction: str) -> Any:
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{op}: reduction is {reduction!r}, expected 'none', 'mean' or 'sum'")
    if reduction == "none":
        return losses
    if reduction == "mean" and losses.shape and 0 in losses.shape:
        return ops.multiply(ops.sum(losses), 0.0)  # torchvision: nothing is no loss
    return ops.mean(losses) if reduction == "mean" else ops.sum(losses)


class _Pairs:
    """Two boxes of each row: what they share, cover, and the rectangle around both."""

    def __init__(self, op: str, one: Any, other: Any, eps: float) -> None:
        shapes = tuple(tuple(a.shape) for a in (one, other))
        if shapes[0] != shapes[1] or shapes[0][-1:] != (4,):
            raise ShapeError(f"{op}: boxes have shapes {shapes[0]} and {shapes[1]}, expected [..., 4] twice")
        self.one, self.other = ([a[..., i] for i in range(4)] for a in (one, other))
        (l1, t1, r1, b1), (l2, t2, r2, b2) = self.one, self.other
        wide = ops.relu(ops.subtract(ops.minimum(r1, r2), ops.maximum(l1, l2)))
        high = ops.relu(ops.subtract(ops.minimum(b1, b2), ops.maximum(t1, t2)))
        shared = ops.multiply(wide, high)
        self.sides = [(ops.subtract(r, a), ops.subtract(b, t)) for a, t, r, b in (self.one, self.other)]
        areas = [ops.multiply(w, h) for w, h in self.sides]
        self.either = ops.subtract(ops.add(*areas), shared)
        self.iou = ops.divide(shared, ops.add(self.either, eps))
        self.wide = ops.subtract(ops.maximum(r1, r2), ops.minimum(l1, l2))
        self.high = ops.subtract(ops.maximum(b1, b2), ops.minimum(t1, t2))
        self.eps = eps

    def distance(self) -> Any:
        """1 - iou + r^2 / d^2."""
        (l1, t1, r1, b1), (l2, t2, r2, b2) = self.one, self.other
        dx = ops.multiply(ops.subtract(ops.add(l1, r1), ops.add(l2, r2)), 0.5)
        dy = ops.multiply(ops.subtract(ops.add(t1, b1), ops.add(t2, b2)), 0.5)
        apart = ops.add(ops.square(dx), ops.square(dy))
        across = ops.add(ops.add(ops.square(self.wide), ops.square(self.high)), self.eps)
        return ops.add(ops.subtract(1.0, self.iou), ops.divide(apart, across))


def generalized_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """One less the generalized ratio of each pair (Rezatofighi et al. 2019).

    Parameters
    ----------
    boxes1, boxes2 : array or Tensor [..., 4]
        Left, top, right, bottom.
    reduction : "none", "mean" or "sum", default "none"
    eps : float, default 1e-7
        Added to what is divided by.

    Returns
    -------
    array or Tensor [...], or a number

    Raises
    ------
    ShapeError, ArgumentError
    """
    op = "generalized_box_iou_loss"
    pairs = _Pairs(op, boxes1, boxes2, eps)
    around = ops.multiply(pairs.wide, pairs.high)
    empty = ops.divide(ops.subtract(around, pairs.either), ops.add(around, eps))
    return _reduced(op, ops.add(ops.subtract(1.0, pairs.iou), empty), reduction)


def distance_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """One less the ratio, plus the squared distance of the middles over the squared diagonal around both
    (Zheng et al. 2020).

    Arguments, result and errors as :func:`generalized_box_iou_loss`.
    """
    op = "distance_box_iou_loss"
    return _reduced(op, _Pairs(op, boxes1, boxes2, eps).distance(), reduction)


def complete_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """:func:`distance_box_iou_loss` plus a term for proportions that differ (Zheng et al. 2020).

    Arguments, result and errors as :func:`generalized_box_iou_loss`.
    """
    op = "complete_box_iou_loss"
    pairs = _Pairs(op, boxes1, boxes2, eps)
    (w1, h1), (w2, h2) = pairs.sides
    angle = ops.subtract(ops.atan(ops.divide(w2, h2)), ops.atan(ops.divide(w1, h1)))
    v = ops.multiply(ops.square(angle), 4 / math.pi**2)
    plain_v, iou = (np.asarray(x.numpy() if hasattr(x, "numpy") else x) for x in (v, pairs.iou))
    share = (plain_v / (1 - iou + plain_v + eps)).astype(plain_v.dtype)  # a constant to gradients
    return _reduced(op, ops.add(pairs.distance(), ops.multiply(v, share)), reduction)


def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Any:
    """Binary cross-entropy that counts the sure and right ones little (Lin et al. 2017).

    ``alpha_t (1 - p_t)^gamma bce`` with ``p_t`` the probability given to what is true.

    Parameters
    ----------
    inputs : array or Tensor [...]
        Scores before the sigmoid.
    targets : array [...]
        0 or 1.
    alpha : float, default 0.25
        Weight of ones, ``1 - alpha`` of zeros; negative: none.
    gamma : float, default 2
    reduction : "none", "mean" or "sum", default "none"
    """
    op = "sigmoid_focal_loss"
    t = np.asarray(targets.numpy() if hasattr(targets, "numpy") else targets)
    p = ops.sigmoid(inputs)
    right = ops.add(ops.multiply(p, t), ops.multiply(ops.subtract(1.0, p), 1 - t))
    loss = ops.binary_cross_entropy_with_logits(inputs, t, reduction="none")
    loss = ops.multiply(loss, ops.power(ops.subtract(1.0, right), gamma))
    if alpha >= 0:
        loss = ops.multiply(loss, alpha * t + (1 - alpha) * (1 - t))
    return _reduced(op, loss, reduction)


def dice_loss(
    input: Any, target: Any, *, smooth: float = 1.0, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """One less the Dice coefficient of each class, ``2 sum(p t) / (sum(p) + sum(t))``, over the batch
    (Milletari et al. 2016, without squares).

    Parameters
    ----------
    input : array or Tensor [n, classes, ...]
        Raw scores; their softmax over classes is p.
    target : int array [n, ...]
        The class of each place.
    smooth : float, keyword-only, default 1
        Added above and below, so that a class that is not there and not seen costs nothing.
    ignore_index : int, keyword-only, default -100
        Places of this class do not count.
    reduction : "none", "mean" or "sum", keyword-only, default "mean"
        Over classes.

    Returns
    -------
    array or Tensor, a number or [classes]

    Raises
    ------
    ShapeError, ArgumentError
        Shapes do not fit, or a class is out of range.
    """
    op = "dice_loss"
    t = np.asarray(target.numpy() if hasattr(target, "numpy") else target)
    shape = tuple(input.shape)
    if len(shape) < 2 or t.shape != (shape[0], *shape[2:]):
        raise ShapeError(f"{op}: target has shape {t.shape} for input {shape}, expected [n, ...]")
    counted = t != ignore_index
    if t.dtype.kind not in "iu" or (
        counted.any() and not 0 <= t[counted].min() <= t[counted].max() < shape[1]
    ):
        raise ArgumentError(f"{op}: target is {t.dtype}, expected whole numbers from 0 to {shape[1] - 1}")
    p = ops.softmax(input, 1)
    kind = (p.numpy() if hasattr(p, "numpy") else np.asarray(p)).dtype
    classes = np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2))
    truth = ((t[:, None] == classes) & counted[:, None]).astype(kind)
    p = ops.multiply(p, counted[:, None].astype(kind))
    axes = (0, *range(2, len(shape)))
    both = ops.sum(ops.multiply(p, truth), axes)
    each = ops.add(ops.sum(p, axes), truth.sum(axes))
    coefficient = ops.divide(ops.add(ops.multiply(both, 2.0), smooth), ops.add(each, smooth))
    return _reduced(op, ops.subtract(1.0, coefficient), reduction)
