"""Attention of sequence-to-sequence models, against the equations of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, nn
from einkorn.errors import DTypeError, ShapeError

N, LENGTH, Q, K, H = 3, 5, 4, 6, 7


def inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return (
        rng.normal(size=(N, Q)).astype(np.float32),
        rng.normal(size=(N, LENGTH, K)).astype(np.float32),
        rng.normal(size=(N, LENGTH, 2)).astype(np.float32),
    )


def numbers(layer: Any) -> dict[str, np.ndarray]:
    return {name: p.numpy().astype(np.float64) for name, p in layer.named_parameters()}


def additive(p: dict[str, np.ndarray], q: np.ndarray, k: np.ndarray, f: Any = 0) -> np.ndarray:
    inner = (q @ p["query.weight"].T)[:, None] + k @ p["key.weight"].T + p.get("key.bias", 0) + f
    return np.tanh(inner) @ p["v"]


def check(layer: Any, scores: np.ndarray, keys: np.ndarray, values: np.ndarray, **state: Any) -> None:
    query = inputs()[0]
    for mask in (None, np.arange(LENGTH) < np.array([[5], [2], [1]])):
        shown = scores if mask is None else np.where(mask, scores, -np.inf)
        weights = np.exp(shown - shown.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        context, got = layer(Tensor(query), Tensor(keys), Tensor(values), mask, **state)
        np.testing.assert_allclose(got.numpy(), weights, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            context.numpy(), np.einsum("nl,nlw->nw", weights, values), rtol=1e-4, atol=1e-5
        )
    if list(layer.parameters()):
        context.sum().backward()
        assert all(p.grad is not None for p in layer.parameters())


def test_scores_are_the_papers() -> None:
    q, k, v = inputs()
    layer = nn.AdditiveAttention(Q, K, H)
    check(layer, additive(numbers(layer), q, k), k, v)
    layer = nn.ConcatAttention(Q, K, H)
    assert layer.key.bias is None
    check(layer, additive(numbers(layer), q, k), k, v)
    layer = nn.GeneralAttention(Q, K)
    check(layer, np.einsum("nq,qk,nlk->nl", q, numbers(layer)["weight.weight"], k), k, v)
    k = k[..., :Q].copy()
    check(nn.DotAttention(), np.einsum("nq,nlq->nl", q, k), k, v)
    check(nn.DotAttention(scaled=True), np.einsum("nq,nlq->nl", q, k) / 2, k, v)


def test_location_looks_at_the_last_weights() -> None:
    q, k, v = inputs()
    layer = nn.LocationAttention(Q, K, H, channels=3, kernel_size=3)
    p = numbers(layer)
    last = np.random.default_rng(1).dirichlet(np.ones(LENGTH), N).astype(np.float32)
    padded = np.pad(last, ((0, 0), (1, 1)))
    windows = np.stack([padded[:, i : i + LENGTH] for i in range(3)], -1)
    seen = windows @ p["filters"][:, 0].T @ p["location.weight"].T
    check(layer, additive(p, q, k, seen), k, v, previous=Tensor(last))
    first, _ = layer(q, k)
    even, _ = layer(q, k, previous=np.full((N, LENGTH), 1 / LENGTH, np.float32))
    np.testing.assert_array_equal(first.numpy(), even.numpy())


def test_several_queries_at_once() -> None:
    q, k, v = inputs()
    layer = nn.AdditiveAttention(Q, K, H)
    both = np.stack((q, -q), 1)
    context, weights = layer(both, k, v)
    assert weights.shape == (N, 2, LENGTH)
    for i, one in enumerate((q, -q)):
        np.testing.assert_allclose(context.numpy()[:, i], layer(one, k, v)[0].numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ShapeError, "query, keys", lambda layer, q, k, v: layer(q, k[0])),
        (ShapeError, "values", lambda layer, q, k, v: layer(q, k, v[:, 1:])),
        (ShapeError, "mask", lambda layer, q, k, v: layer(q, k, v, np.ones((N, 2), bool))),
        (DTypeError, "mask", lambda layer, q, k, v: layer(q, k, v, np.ones((N, LENGTH)))),
        (ShapeError, "DotAttention", lambda layer, q, k, v: nn.DotAttention()(q, k)),
    ],
)
def test_refusals(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call(nn.AdditiveAttention(Q, K, H), *inputs())
