"""Cases of distances and angles."""

from __future__ import annotations

import math

import numpy as np

from ._case import Case, Op, normal

Array = np.ndarray


def _length(x: Array, p: float) -> Array:
    if p == 0:
        return (x != 0).sum(-1).astype(x.dtype)
    if math.isinf(p):
        return np.abs(x).max(-1)
    return ((np.abs(x) ** p).sum(-1) ** (1 / p)).astype(x.dtype)


def _cosine(a: Array, b: Array, dim: int = 1, eps: float = 1e-8) -> Array:
    lengths = [np.maximum(np.sqrt((x * x).sum(dim)), eps) for x in (a, b)]
    return ((a * b).sum(dim) / (lengths[0] * lengths[1])).astype(a.dtype)


cdist = Op("cdist", lambda a, b, p=2.0: _length(a[..., :, None, :] - b[..., None, :, :], p), "cdist")
pairwise_distance = Op(
    "pairwise_distance",
    lambda a, b, p=2.0, eps=1e-6: _length(a - b + np.array(eps, a.dtype), p),
    "nn.functional.pairwise_distance",
    unit=1.0,
)
cosine_similarity = Op("cosine_similarity", _cosine, "cosine_similarity", unit=1.0)


def _cases() -> list[Case]:
    cases = [cdist(normal(2, 3, 5), normal(2, 4, 5), p=p).grad() for p in (1.0, 2.0, 3.5, math.inf)]
    return [
        *cases,
        cdist(normal(3, 5), normal(4, 5), p=0.0),
        cdist(normal(2, 3, 5), normal(4, 5)).grad(),
        cdist(normal(0, 5), normal(4, 5)).grad(),
        pairwise_distance(normal(3, 5), normal(3, 5)).grad(),
        pairwise_distance(normal(3, 5), normal(5), p=1.0).grad(),
        cosine_similarity(normal(3, 5), normal(3, 5)).grad(),
        cosine_similarity(normal(2, 3, 4), normal(3, 1), dim=-2).grad(),
    ]


CASES: list[Case] = _cases()
