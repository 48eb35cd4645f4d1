"""Cases of the losses that are composed of other operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, given, indices, normal, positive, probabilities

Array = np.ndarray
_F = "nn.functional."


def _reduce(losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / losses.dtype.type(losses.size)


def _log_sigmoid(x: Array) -> Array:
    return -np.logaddexp(np.zeros_like(x), -x)


def _hinge(input: Array, target: Array, margin: float = 1.0, reduction: str = "mean") -> Array:
    return _reduce(np.maximum(margin - target * input, 0), reduction)


def _hinge_embedding(input: Array, target: Array, margin: float = 1.0, reduction: str = "mean") -> Array:
    return _reduce(np.where(target == 1, input, np.maximum(margin - input, 0)), reduction)


def _soft_margin(input: Array, target: Array, reduction: str = "mean") -> Array:
    return _reduce(-_log_sigmoid(target * input), reduction)


def _multi_margin(
    input: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    rows = np.arange(len(input))
    terms = np.maximum(margin - input[rows, target][:, None] + input, 0) ** p
    terms[rows, target] = 0
    return _reduce(terms.sum(axis=1) / input.dtype.type(input.shape[1]), reduction)


def _multilabel_margin(input: Array, target: Array, reduction: str = "mean") -> Array:
    losses = []
    for x, row in zip(input, target, strict=True):
        labels = list(row[: np.argmax(row < 0)] if (row < 0).any() else row)
        others = [c for c in range(len(x)) if c not in labels]
        terms = [max(0, 1 - (x[j] - x[i])) for j in labels for i in others]
        losses.append(np.sum(terms, dtype=input.dtype) / input.dtype.type(len(x)))
    return _reduce(np.array(losses, input.dtype), reduction)


def _multilabel_soft_margin(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    losses = -(target * _log_sigmoid(input) + (1 - target) * _log_sigmoid(-input))
    return _reduce((losses if weight is None else losses * weight).mean(axis=-1), reduction)


def _poisson(
    input: Array, target: Array, log_input: bool = True, full: bool = False, reduction: str = "mean"
) -> Array:
    losses = np.exp(input) - target * input if log_input else input - target * np.log(input + 1e-8)
    if full:
        t = np.maximum(target, 1)
        stirling = t * np.log(t) - t + np.log(2 * np.pi * t) / 2
        losses = losses + np.where(target > 1, stirling, 0).astype(input.dtype)
    return _reduce(losses, reduction)


def _gaussian(input: Array, target: Array, var: Array, full: bool = False, reduction: str = "mean") -> Array:
    losses = (np.log(var) + (input - target) ** 2 / var) / 2
    return _reduce(losses + (math.log(2 * math.pi) / 2 if full else 0), reduction).astype(input.dtype)


def _sigmoid_focal(
    inputs: Array, targets: Array, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Array:
    log_p, log_q = _log_sigmoid(inputs), _log_sigmoid(-inputs)
    p = np.exp(log_p)
    missed = p * (1 - targets) + (1 - p) * targets
    losses = -(targets * log_p + (1 - targets) * log_q) * missed**gamma
    return _reduce(losses * (alpha * targets + (1 - alpha) * (1 - targets)), reduction)


def _focal(
    input: Array, target: Array, weight: Array | None = None, gamma: float = 2.0, reduction: str = "mean"
) -> Array:
    log_p = input - np.log(np.exp(input).sum(axis=1, keepdims=True))
    log_p = log_p[np.arange(len(input)), target]
    w = 1 if weight is None else weight[target]
    return _reduce(-w * (1 - np.exp(log_p)) ** gamma * log_p, reduction)


def _dice(input: Array, target: Array, smooth: float = 1.0, reduction: str = "mean") -> Array:
    p, t = input.reshape(len(input), -1), target.reshape(len(input), -1)
    return _reduce(1 - (2 * (p * t).sum(1) + smooth) / (p.sum(1) + t.sum(1) + smooth), reduction)


_SIGNS = given(1, -1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, shape=(3, 4))

hinge_loss = Op("hinge_loss", _hinge, unit=1)
hinge_embedding_loss = Op("hinge_embedding_loss", _hinge_embedding, _F + "hinge_embedding_loss", unit=1)
soft_margin_loss = Op("soft_margin_loss", _soft_margin, _F + "soft_margin_loss")
multi_margin_loss = Op("multi_margin_loss", _multi_margin, _F + "multi_margin_loss", unit=1)
multilabel_margin_loss = Op(
    "multilabel_margin_loss", _multilabel_margin, _F + "multilabel_margin_loss", unit=1
)
multilabel_soft_margin_loss = Op(
    "multilabel_soft_margin_loss", _multilabel_soft_margin, _F + "multilabel_soft_margin_loss", unit=1
)
poisson_nll_loss = Op("poisson_nll_loss", _poisson, _F + "poisson_nll_loss", unit=1)
gaussian_nll_loss = Op("gaussian_nll_loss", _gaussian, _F + "gaussian_nll_loss", unit=1)
sigmoid_focal_loss = Op("sigmoid_focal_loss", _sigmoid_focal, unit=1)
focal_loss = Op("focal_loss", _focal, unit=1)
dice_loss = Op("dice_loss", _dice, unit=1)


def _cases() -> list[Case]:
    x, t, labels = normal(3, 4), probabilities(3, 4), indices(3, below=4)
    cases: list[Any] = []
    for reduction in ("mean", "none"):
        cases += [
            hinge_loss(x, _SIGNS, reduction=reduction).grad(0),
            hinge_embedding_loss(x, _SIGNS, margin=0.5, reduction=reduction).grad(0),
            soft_margin_loss(x, _SIGNS, reduction=reduction).grad(0),
            multi_margin_loss(x, labels, p=2, reduction=reduction).grad(0),
            multilabel_margin_loss(x, indices(3, 4, below=4, low=-1), reduction=reduction).grad(0),
            multilabel_soft_margin_loss(x, t, positive(4), reduction=reduction).grad(0, 1),
            poisson_nll_loss(x, positive(3, 4), reduction=reduction).grad(0),
            gaussian_nll_loss(x, t, positive(3, 4), full=True, reduction=reduction).grad(),
            sigmoid_focal_loss(x, t, reduction=reduction).grad(0, 1),
            focal_loss(x, labels, positive(4), reduction=reduction).grad(0),
            dice_loss(t, probabilities(3, 4), reduction=reduction).grad(0, 1),
        ]
    return [
        *cases,
        poisson_nll_loss(positive(3, 4), positive(3, 4), log_input=False, full=True).grad(0),
        sigmoid_focal_loss(normal(256, 1024), probabilities(256, 1024)).grad(0).bench(),
    ]


CASES: list[Case] = _cases()
