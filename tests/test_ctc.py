"""Connectionist temporal classification beside its cases: what frames spell, and numbers that are none."""

from __future__ import annotations

import numpy as np
import pytest

from einkorn import Tensor, ops
from einkorn.errors import ArgumentError, ShapeError

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
