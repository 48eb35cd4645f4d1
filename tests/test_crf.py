"""Conditional random fields beside their cases: the layer, what is forbidden, and numbers far apart."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, errors, nn, ops, optim

RNG = np.random.default_rng(8)


def every_score(e: np.ndarray, crf: Any) -> dict[tuple[int, ...], float]:
    start, end, table = (
        np.asarray(p, np.float64) for p in (crf.start_transitions, crf.end_transitions, crf.transitions)
    )
    return {
        y: start[y[0]]
        + end[y[-1]]
        + sum(e[t, i] for t, i in enumerate(y))
        + sum(table[i, j] for i, j in itertools.pairwise(y))
        for y in itertools.product(range(len(start)), repeat=len(e))
    }


def layer(batch_first: bool) -> nn.CRF:
    crf = nn.CRF(3, batch_first=batch_first)
    for p in crf.parameters():
        nn.init.normal_(p)
    return crf


@pytest.mark.parametrize("batch_first", [False, True])
def test_layer_is_what_enumeration_says(batch_first: bool) -> None:
    crf, lengths = layer(batch_first), [4, 2, 1]
    e = RNG.standard_normal((3, 4, 3)).astype(np.float32)
    y = RNG.integers(0, 3, (3, 4))
    mask = np.arange(4) < np.array(lengths)[:, None]
    scores = [every_score(e[n, :m], crf) for n, m in enumerate(lengths)]
    wanted = np.array(
        [s[tuple(y[n, :m])] - np.log(sum(np.exp(list(s.values()))))
         for n, (s, m) in enumerate(zip(scores, lengths, strict=True))]
    )  # fmt: skip
    given = (e, y, mask) if batch_first else (e.swapaxes(0, 1), y.T, mask.T)
    np.testing.assert_allclose(np.asarray(crf(*given, "none")), wanted, rtol=1e-5)
    for reduction, value in (
        ("sum", wanted.sum()),
        ("mean", wanted.mean()),
        ("token_mean", wanted.sum() / 7),
    ):
        got = crf(Tensor(given[0]), *given[1:], reduction=reduction)
        assert got.shape == ()
        assert got.item() == pytest.approx(value, rel=1e-5)
    assert crf(*given).item() == pytest.approx(wanted.sum(), rel=1e-5)
    assert crf.decode(given[0], given[2]) == [list(max(s, key=s.__getitem__)) for s in scores]
    assert [len(tags) for tags in crf.decode(given[0])] == [4, 4, 4]


def test_learns_a_rule_that_no_step_shows_alone() -> None:
    """Tag 1 follows 0 and 2 follows 1; emissions tell the first tag and no other."""
    crf, y = nn.CRF(3), np.arange(6)[:, None] % 3 + np.zeros(2, int)
    e = np.zeros((6, 2, 3), np.float32)
    e[0, :, 0] = 5
    optimizer = optim.Adam(crf.parameters(), lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = -crf(e, y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
    assert crf.decode(e) == [[0, 1, 2, 0, 1, 2]] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forbidden_and_far_apart(dtype: type, backend: str) -> None:
    """Steps of score -inf, sums that leave a float's range, equal scores, NaN."""
    e = np.zeros((2, 3, 2), dtype)
    table = np.array([[-np.inf, 0], [0, -np.inf]], dtype)  # tags alternate
    x = Tensor(table, requires_grad=True)
    loss = ops.crf_loss(e, np.array([[0, 1, 0], [1, 1, 0]]), x, reduction="none")
    np.testing.assert_allclose(np.asarray(loss), [np.log(2), np.inf], rtol=1e-6)
    ops.crf_log_partition(e, x).sum().backward()
    np.testing.assert_allclose(x.grad, [[0, 2], [2, 0]], rtol=1e-6)
    tags, score = ops.crf_decode(e, table, start=np.array([0, 1], dtype))
    assert tags.tolist() == [[1, 0, 1]] * 2
    assert score.tolist() == [1, 1]
    assert ops.crf_decode(e, np.zeros((2, 2), dtype))[0].tolist() == [[0, 0, 0]] * 2
    never = np.full((2, 2), -np.inf, dtype)
    assert np.isneginf(ops.crf_log_partition(e, never)).all()
    assert ops.crf_decode(e, never)[0].min() >= 0
    far = np.array([[0, -300], [-300, -600]], dtype)
    one = np.array([[[0, 1], [-600, 0]]], dtype)  # the best first tag and the best step are not together
    rows = [far[i, j] + one[0, 0, i] + one[0, 1, j] for i in range(2) for j in range(2)]
    y = Tensor(far, requires_grad=True)
    total = ops.crf_log_partition(one, y)
    np.testing.assert_allclose(np.asarray(total), np.logaddexp.reduce(rows), rtol=1e-6)
    total.backward(np.ones(1, dtype))
    np.testing.assert_allclose(
        np.asarray(y.grad).ravel(), np.exp(np.array(rows) - np.logaddexp.reduce(rows)), atol=1e-6
    )
    e[1, 1, 0] = np.nan
    assert np.isnan(ops.crf_log_partition(e, table)).tolist() == [False, True]
    assert set(ops.crf_decode(e, table)[0].ravel().tolist()) <= {0, 1}


def test_zero_sizes(backend: str) -> None:
    table = np.ones((2, 2), np.float32)
    for shape in ((0, 3, 2), (2, 0, 2)):
        e = Tensor(np.zeros(shape, np.float32), requires_grad=True)
        loss = ops.crf_loss(e, np.zeros(shape[:2], int), table, reduction="sum")
        assert loss.item() == 0
        loss.backward()
        assert e.grad.shape == shape
        assert ops.crf_decode(e, table)[0].shape == shape[:2]


E, Y, T2 = np.zeros((2, 3, 2), np.float32), np.zeros((2, 3), int), np.zeros((2, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: ops.crf_loss(E[0], Y, T2), errors.ShapeError, "crf_loss: emissions has shape"),
        (lambda: ops.crf_loss(E, Y, T2[0]), errors.ShapeError, "crf_loss: transitions has shape"),
        (lambda: ops.crf_loss(E, Y, T2, T2), errors.ShapeError, "crf_loss: start has shape"),
        (lambda: ops.crf_loss(E, Y[:1], T2), errors.ShapeError, "crf_loss: tags has shape"),
        (lambda: ops.crf_loss(E, Y + 2, T2), errors.IndexRangeError, "tags has 2 in step 0 of sequence 0"),
        (lambda: ops.crf_loss(E, None, T2), errors.ArgumentError, "tags is None"),
        (lambda: ops.crf_loss(E, Y, T2, lengths=[3, 4]), errors.ArgumentError, "lengths has 4"),
        (lambda: ops.crf_loss(E, Y, T2, lengths=[3]), errors.ShapeError, "lengths has 1 entries"),
        (lambda: ops.crf_loss(E, Y, T2.astype(float)), errors.DTypeError, "crf_loss"),
        (lambda: ops.crf_loss(E, Y, T2, reduction="max"), errors.ArgumentError, "reduction is 'max'"),
        (lambda: ops.crf_decode(E, T2, end=T2), errors.ShapeError, "crf_decode: end has shape"),
        (lambda: nn.CRF(0), errors.ArgumentError, "num_tags is 0"),
        (lambda: nn.CRF(2, "yes"), errors.ArgumentError, "batch_first is 'yes'"),
        (lambda: nn.CRF(3)(E, Y), errors.ShapeError, "emissions has shape"),
        (lambda: nn.CRF(2)(E, Y.T), errors.ShapeError, "tags has shape"),
        (lambda: nn.CRF(2)(E, Y, Y[:1]), errors.ShapeError, "mask has shape"),
        (lambda: nn.CRF(2)(E, Y, Y), errors.ArgumentError, "mask is 0 in the first step of sequence 0"),
        (lambda: nn.CRF(2, True)(E, Y, [[1, 0, 1], [1, 1, 1]]), errors.ArgumentError, "sequence 0 goes on"),
        (lambda: nn.CRF(2)(E, Y, None, "max"), errors.ArgumentError, "reduction is 'max'"),
        (lambda: nn.CRF(2).decode(E[:0]), errors.ShapeError, "at least one step"),
    ],
)  # fmt: skip
def test_refusals(call: Any, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()
