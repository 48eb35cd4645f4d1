"""Cases of connectionist temporal classification."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ._case import Case, Op, indices, normal

Array = np.ndarray


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _spells(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(c for c, _ in itertools.groupby(path) if c != blank)


def _enumerated(log_p: Array, target: tuple[int, ...], blank: int) -> Any:
    """Minus the log of the sum over every path there is that spells the target."""
    frames, classes = log_p.shape
    total = log_p.dtype.type(0)
    for path in itertools.product(range(classes), repeat=frames):
        if _spells(path, blank) == target:
            total += np.exp(sum(log_p[t, c] for t, c in enumerate(path)))
    return -np.log(total)


def _ctc(
    scores: Array,
    targets: Array,
    lengths: tuple[int, ...],
    labels: tuple[int, ...],
    blank: int = 0,
    reduction: str = "none",
) -> Array:
    log_p = _log_softmax(scores)
    losses = np.array(
        [
            _enumerated(log_p[:n, i], tuple(_others(targets, blank)[i, :m]), blank)
            for i, (n, m) in enumerate(zip(lengths, labels, strict=True))
        ],
        scores.dtype,
    )
    if reduction == "none":
        return losses
    return np.mean(losses / np.maximum(labels, 1), dtype=scores.dtype)


def _others(targets: Any, blank: int) -> Any:
    """Numbers from 0 on as classes other than the blank."""
    return targets + (targets >= blank)


def _call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    rest = dict(options)
    lengths, labels = rest.pop("lengths"), rest.pop("labels")
    targets = _others(arrays[1], rest.get("blank", 0))
    rest.setdefault("reduction", "none")
    return einkorn.ops.ctc_loss(einkorn.ops.log_softmax(arrays[0], 2), targets, lengths, labels, **rest)


def _torch(torch: Any, scores: Any, targets: Any, lengths: Any, labels: Any, **options: Any) -> Any:
    targets = _others(targets, options.get("blank", 0))
    options.setdefault("reduction", "none")
    return torch.nn.functional.ctc_loss(scores.log_softmax(2), targets, lengths, labels, **options)


ctc_loss = Op(
    "ctc_loss",
    _ctc,
    _torch,
    call=_call,
    flops=lambda shapes, out, options: 60.0 * shapes[0][0] * shapes[1][0] * (2 * shapes[1][1] + 1),
    unit=1,
)


CASES: list[Case] = [
    ctc_loss(normal(5, 3, 4), indices(3, 3, below=3), lengths=(5, 4, 5), labels=(2, 1, 3)).grad(0),
    ctc_loss(
        normal(5, 2, 3), indices(2, 2, below=2), lengths=(5, 4), labels=(2, 0), blank=1, reduction="mean"
    ).grad(0),
    ctc_loss(normal(6, 2, 3), indices(2, 3, below=1), lengths=(6, 6), labels=(3, 2), blank=2).grad(0),
    ctc_loss(normal(1, 1, 3), indices(1, 1, below=2), lengths=(1,), labels=(1,)).grad(0),
    ctc_loss(
        normal(100, 16, 40),
        indices(16, 20, below=39),
        lengths=(100,) * 16,
        labels=(20,) * 16,
        reduction="mean",
    )
    .grad(0)
    .bench(),
]
