"""Connectionist temporal classification beside its cases: what frames spell, and numbers that are none."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, ops
from einkorn.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(4)


def _scores(path: list[int], classes: int) -> np.ndarray:
    return np.eye(classes)[path] + 0.1 * RNG.random((len(path), classes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_nan_stays_nan(dtype: type, zero_infinity: bool, backend: str) -> None:
    """Where every other way is impossible too, and where the loss of an impossible target would be 0."""
    log_probs = np.log(RNG.dirichlet(np.ones(4), (7, 3))).astype(dtype)
    log_probs[0, 1, :] = np.nan
    log_probs[3, 2, 2] = np.nan
    x = Tensor(log_probs, requires_grad=True)
    targets = np.array([[1, 2], [1, 3], [2, 2]])
    loss = ops.ctc_loss(x, targets, [7, 7, 7], [2, 2, 2], reduction="none", zero_infinity=zero_infinity)
    np.testing.assert_array_equal(np.isnan(np.asarray(loss)), [False, True, True])
    loss.sum().backward()
    slopes = np.asarray(x.grad)
    assert np.isfinite(slopes[:, 0]).all()
    assert np.isnan(slopes[:, 1:]).any(axis=(0, 2)).all()


def test_greedy_decoding_merges_repeats_and_drops_blanks() -> None:
    paths = [[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 0, 0, 3, 1, 0, 2]]
    scores = np.stack([_scores(p, 4) for p in paths], 1).astype(np.float32)
    first, second = ops.ctc_greedy_decode(scores)
    assert first.tolist() == [1, 1, 2]
    assert second.tolist() == [3, 3, 1, 2]
    assert first.dtype == np.int64
    assert [d.tolist() for d in ops.ctc_greedy_decode(scores, [3, 6])] == [[1], [3, 3, 1]]
    assert [d.tolist() for d in ops.ctc_greedy_decode(Tensor(scores), [0, 8], merge_repeated=False)] == [
        [],
        [3, 3, 3, 1, 2],
    ]
    assert ops.ctc_greedy_decode(scores[:, 0], blank=-4).tolist() == [1, 1, 2]
    assert ops.ctc_greedy_decode(scores[:, 1], blank=3).tolist() == [0, 1, 0, 2]
    assert ops.ctc_greedy_decode(np.zeros((0, 4))).tolist() == []
    assert [d.tolist() for d in ops.ctc_greedy_decode(np.zeros((0, 2, 4)))] == [[], []]
    assert ops.ctc_greedy_decode(np.zeros((5, 0, 4))) == []


def test_greedy_decoding_refuses_by_name() -> None:
    scores = np.zeros((5, 2, 4))
    with pytest.raises(ShapeError, match="ctc_greedy_decode: log_probs has shape"):
        ops.ctc_greedy_decode(scores[0, 0])
    with pytest.raises(ArgumentError, match="ctc_greedy_decode: blank is 4, expected at most 3"):
        ops.ctc_greedy_decode(scores, blank=4)
    with pytest.raises(ArgumentError, match="ctc_greedy_decode: input_lengths has 6, expected 0 to 5"):
        ops.ctc_greedy_decode(scores, [6, 1])
    with pytest.raises(ShapeError, match="ctc_greedy_decode: input_lengths has 1 entries, expected 2"):
        ops.ctc_greedy_decode(scores, [6])
    with pytest.raises(ArgumentError, match="ctc_greedy_decode: merge_repeated is 1"):
        ops.ctc_greedy_decode(scores, merge_repeated=1)


def _every_target(
    log_probs: np.ndarray, blank: int, language: np.ndarray | None
) -> dict[tuple[int, ...], float]:
    """The log-probability of every target, over all paths."""
    frames, classes = log_probs.shape
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=frames):
        target = tuple(c for c, _ in itertools.groupby(path) if c != blank)
        score = sum(log_probs[t, c] for t, c in enumerate(path))
        sums[target] = np.logaddexp(sums.get(target, -np.inf), score)
    for target in sums if language is not None else ():
        sums[target] += sum(language[a, b] for a, b in itertools.pairwise((blank, *target)))
    return sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("with_language", [False, True])
def test_search_over_prefixes_is_enumeration(with_language: bool, dtype: type, backend: str) -> None:
    """With as many beams as there are prefixes nothing is lost, and orders and probabilities are exact."""
    rng = np.random.default_rng(5 + with_language)
    log_probs = np.log(rng.dirichlet(np.ones(3), (5, 3))).astype(dtype)
    language = rng.standard_normal((3, 3)).astype(dtype) if with_language else None
    lengths = [5, 3, 1]
    labels, scores = ops.ctc_beam_search_decode(
        Tensor(log_probs), lengths, beam_width=70, top_paths=4, blank=-2, language=language
    )
    for n, frames in enumerate(lengths):
        every = _every_target(log_probs[:frames, n].astype(float), 1, language)
        order = sorted(every, key=every.__getitem__, reverse=True)[:4]
        assert [tuple(found.tolist()) for found in labels[n][: len(order)]] == order
        np.testing.assert_allclose(scores[n, : len(order)], [every[y] for y in order], rtol=1e-5)
        assert np.isneginf(scores[n, len(order) :]).all()
    best, score = ops.ctc_beam_search_decode(log_probs[:, 0], beam_width=3, blank=1, language=language)
    assert (len(best), score.shape) == (1, (1,))
    assert score[0] <= scores[0, 0] + 1e-5


def test_search_beats_the_likeliest_path(backend: str) -> None:
    """Two frames of blank 0.6, a 0.4: the path of blanks has 0.36, those of a 0.64 (Graves 2012)."""
    log_probs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))
    assert ops.ctc_greedy_decode(log_probs).tolist() == []
    (best, second), scores = ops.ctc_beam_search_decode(log_probs, top_paths=2)
    assert (best.tolist(), second.tolist()) == ([1], [])
    np.testing.assert_allclose(np.exp(scores), [0.64, 0.36], rtol=1e-6)


def test_search_of_many_frames_and_classes(backend: str) -> None:
    """Pruned prefixes that come back are the same prefixes; what is scored is the loss of what is found."""
    rng = np.random.default_rng(3)
    log_probs = np.log(rng.dirichlet(np.full(37, 0.05), (40, 2)) + 1e-9).astype(np.float32)
    labels, scores = ops.ctc_beam_search_decode(log_probs, beam_width=12, top_paths=12)
    for n in range(2):
        assert len({tuple(y.tolist()) for y in labels[n]}) == 12
        assert (np.diff(scores[n]) <= 0).all()
        loss = ops.ctc_loss(log_probs[:, n], labels[n][0], [40], [len(labels[n][0])], reduction="sum")
        assert -float(loss) == pytest.approx(scores[n, 0], abs=0.2)  # paths by pruned prefixes are missing
        assert -float(loss) >= scores[n, 0] - 1e-3
    for shape in ((0, 2, 3), (4, 0, 3)):
        found, none = ops.ctc_beam_search_decode(np.zeros(shape, np.float32))
        assert [[y.tolist() for y in each] for each in found] == [[[]]] * shape[1]
        assert none.tolist() == [[0.0]] * shape[1]
    assert np.isneginf(ops.ctc_beam_search_decode(np.full((3, 2), np.nan, np.float32))[1]).all()


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"beam_width": 0}, ArgumentError, "beam_width is 0"),
        ({"beam_width": 3, "top_paths": 4}, ArgumentError, "top_paths is 4"),
        ({"blank": 3}, ArgumentError, "blank is 3"),
        ({"input_lengths": [6]}, ArgumentError, "input_lengths has 6"),
        ({"language": np.zeros((3, 2), np.float32)}, ShapeError, "language has shape"),
        ({"language": np.zeros((3, 3))}, DTypeError, "ctc_beam_search_decode"),
        ({"log_probs": np.zeros(3, np.float32)}, ShapeError, "log_probs has shape"),
    ],
)
def test_search_refuses(options: dict[str, Any], kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        ops.ctc_beam_search_decode(**{"log_probs": np.zeros((5, 3), np.float32), **options})
