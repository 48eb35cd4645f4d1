"""Cases of the losses of pairs and triples, and of what compares images."""

from __future__ import annotations

import numpy as np

from ._case import Case, Op, given, normal

Array = np.ndarray
_F = "nn.functional."


def _reduce(losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / losses.dtype.type(losses.size)


def _margin_ranking(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    return _reduce(np.maximum(-target * (input1 - input2) + margin, 0), reduction)


def _cosine_embedding(
    input1: Array, input2: Array, target: Array, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    lengths = np.sqrt(((input1**2).sum(-1) + 1e-12) * ((input2**2).sum(-1) + 1e-12))
    cosine = (input1 * input2).sum(-1) / lengths
    return _reduce(np.where(target == 1, 1 - cosine, np.maximum(cosine - margin, 0)), reduction)


def _triplet(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    def distance(a: Array, b: Array) -> Array:
        return np.asarray((np.abs(a - b + a.dtype.type(1e-6)) ** p).sum(-1) ** (1 / p))

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = np.minimum(far, distance(positive, negative))
    return _reduce(np.maximum(near - far + anchor.dtype.type(margin), 0), reduction)


def _info_nce(query: Array, key: Array, temperature: float = 0.07, symmetric: bool = False) -> Array:
    query = query / np.sqrt((query**2).sum(1, keepdims=True))
    key = key / np.sqrt((key**2).sum(1, keepdims=True))
    scores = query @ key.T / query.dtype.type(temperature)

    def loss(s: Array) -> Array:
        s = s - s.max(axis=1, keepdims=True)
        return np.asarray((np.log(np.exp(s).sum(axis=1)) - np.diag(s)).mean())

    return (loss(scores) + loss(scores.T)) / 2 if symmetric else loss(scores)


def _contrastive(
    input1: Array, input2: Array, target: Array, margin: float = 1.0, reduction: str = "mean"
) -> Array:
    squares = ((input1 - input2) ** 2).sum(1)
    far = np.maximum(margin - np.sqrt(squares + 1e-12), 0) ** 2
    return _reduce(np.where(target == 1, squares, far) / 2, reduction)


def _total_variation(input: Array, p: int = 1, reduction: str = "sum") -> Array:
    down, across = np.diff(input, axis=-2), np.diff(input, axis=-1)
    return _reduce((np.abs(down) ** p).sum((-2, -1)) + (np.abs(across) ** p).sum((-2, -1)), reduction)


def _gram(input: Array, normalize: bool = True) -> Array:
    lead = input.shape[:-3] if input.ndim == 3 else input.shape[:1]
    rows = input.reshape(*lead, input.shape[len(lead)], -1)
    out = rows @ np.swapaxes(rows, -1, -2)
    return out / out.dtype.type(rows.shape[-1] * rows.shape[-2]) if normalize else out


margin_ranking_loss = Op("margin_ranking_loss", _margin_ranking, _F + "margin_ranking_loss", unit=1)
cosine_embedding_loss = Op("cosine_embedding_loss", _cosine_embedding, _F + "cosine_embedding_loss", unit=1)
triplet_margin_loss = Op("triplet_margin_loss", _triplet, _F + "triplet_margin_loss", unit=1)
triplet_margin_with_distance_loss = Op(
    "triplet_margin_with_distance_loss", _triplet, _F + "triplet_margin_with_distance_loss", unit=1
)
info_nce = Op("info_nce", _info_nce, unit=20)
contrastive_loss = Op("contrastive_loss", _contrastive, unit=1)
total_variation = Op("total_variation", _total_variation, unit=1)
gram_matrix = Op("gram_matrix", _gram, unit=1)


def _cases() -> list[Case]:
    a, b, c, signs = normal(5, 4), normal(5, 4), normal(5, 4), given(1, -1, -1, 1, 1)
    cases = []
    for reduction in ("mean", "none"):
        cases += [
            margin_ranking_loss(normal(5), normal(5), signs, margin=0.3, reduction=reduction).grad(0, 1),
            cosine_embedding_loss(a, b, signs, margin=0.1, reduction=reduction).grad(0, 1),
            triplet_margin_loss(a, b, c, swap=True, reduction=reduction).grad(),
            triplet_margin_with_distance_loss(a, b, c, reduction=reduction).grad(),
            contrastive_loss(a, b, given(1, 0, 0, 1, 0), margin=4.0, reduction=reduction).grad(0, 1),
        ]
    return [
        *cases,
        triplet_margin_loss(a, b, c, p=3.0).grad(),
        info_nce(a, b).grad(),
        info_nce(a, b, symmetric=True, temperature=0.5).grad(),
        total_variation(normal(2, 3, 5, 4)).grad(),
        total_variation(normal(5, 4), p=2, reduction="mean").grad(),
        gram_matrix(normal(2, 3, 4, 5)).grad(),
        gram_matrix(normal(3, 4, 5), normalize=False).grad(),
        info_nce(normal(256, 512), normal(256, 512), symmetric=True).grad().bench(),
    ]


CASES: list[Case] = _cases()
