"""Cases of conditional random fields."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ._case import Case, Op, indices, normal, uniform

Array = np.ndarray


def _scores(e: Array, transitions: Array, start: Array, end: Array) -> dict[tuple[int, ...], Any]:
    """The score of every sequence of tags there is."""
    steps, tags = e.shape
    found = {}
    for y in itertools.product(range(tags), repeat=steps):
        score = start[y[0]] + end[y[-1]]
        for t, tag in enumerate(y):
            score += e[t, tag] + (transitions[y[t - 1], tag] if t else 0)
        found[y] = score
    return found


def _log_sum(scores: list[Any]) -> Any:
    x = np.array(scores)
    most = x.max()
    return most + np.log(np.exp(x - most).sum())


def _partition(e: Array, transitions: Array, start: Array, end: Array, lengths: tuple[int, ...]) -> Array:
    return np.array(
        [
            _log_sum(list(_scores(e[n, :m], transitions, start, end).values())) if m else 0.0
            for n, m in enumerate(lengths)
        ],
        e.dtype,
    )


def _loss(
    e: Array,
    tags: Array,
    transitions: Array,
    start: Array,
    end: Array,
    lengths: tuple[int, ...],
    reduction: str = "none",
) -> Array:
    losses = _partition(e, transitions, start, end, lengths)
    for n, m in enumerate(lengths):
        if m:
            losses[n] -= _scores(e[n, :m], transitions, start, end)[tuple(tags[n, :m].tolist())]
    return losses if reduction == "none" else np.mean(losses, dtype=e.dtype)


def _decode(
    e: Array, transitions: Array, start: Array, end: Array, lengths: tuple[int, ...]
) -> tuple[Array, Array]:
    best, score = np.full(e.shape[:2], -1), np.zeros(e.shape[0], e.dtype)
    for n, m in enumerate(lengths):
        if m:
            scores = _scores(e[n, :m], transitions, start, end)
            best[n, :m] = max(scores, key=lambda y: (scores[y], [-tag for tag in y[::-1]]))
            score[n] = max(scores.values())
    return best, score


def _torch(torch: Any, e: Any, tags: Any, transitions: Any, start: Any, end: Any, **options: Any) -> Any:
    """What a layer of this kind does in torch: a loop over the steps."""
    alpha = start + e[:, 0]
    rows = torch.arange(len(e))
    score = start[tags[:, 0]] + e[rows, 0, tags[:, 0]]
    for t in range(1, e.shape[1]):
        alpha = torch.logsumexp(alpha[:, :, None] + transitions, 1) + e[:, t]
        score = score + transitions[tags[:, t - 1], tags[:, t]] + e[rows, t, tags[:, t]]
    losses = torch.logsumexp(alpha + end, 1) - score - end[tags[:, -1]]
    return losses if options["reduction"] == "none" else losses.mean()


def _flops(shapes: Any, out: Any, options: Any) -> float:
    batch, steps, tags = shapes[0]
    return float(batch * steps * tags * (2 * tags + 20))


def _call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    return einkorn.ops.crf_loss(*arrays, **{"reduction": "none", **options})


crf_loss = Op("crf_loss", _loss, peer=_torch, call=_call, flops=_flops, unit=1)
crf_log_partition = Op("crf_log_partition", _partition, flops=_flops, unit=1)
crf_decode = Op("crf_decode", _decode, flops=_flops)


def _sizes(batch: int, steps: int, tags: int) -> tuple[Any, ...]:
    return normal(batch, steps, tags), normal(tags, tags), normal(tags), normal(tags)


_E, _T, _S, _F = _sizes(3, 4, 3)
_WIDE = uniform(5, 5, low=-120, high=90)  # beyond what an exponential of a float holds
CASES: list[Case] = [
    crf_loss(_E, indices(3, 4, below=3), _T, _S, _F, lengths=(4, 2, 0)).grad(0, 2, 3, 4),
    crf_loss(
        normal(2, 3, 5), indices(2, 3, below=5), _WIDE, normal(5), normal(5), lengths=(3, 3), reduction="mean"
    ).grad(0, 2, 3, 4),
    crf_loss(normal(1, 1, 1), indices(1, 1, below=1), normal(1, 1), normal(1), normal(1), lengths=(1,)),
    crf_log_partition(*_sizes(2, 2, 17), lengths=(2, 1)).grad(0, 1, 2, 3),
    crf_decode(*_sizes(3, 5, 3), lengths=(5, 1, 0)),
    crf_decode(*_sizes(2, 2, 17), lengths=(2, 2)),
    crf_loss(
        normal(32, 40, 50),
        indices(32, 40, below=50),
        normal(50, 50),
        normal(50),
        normal(50),
        lengths=(40,) * 32,
        reduction="mean",
    )
    .grad(0, 2, 3, 4)
    .bench(),
]
