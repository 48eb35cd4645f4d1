"""Losses over large vocabularies: memory, torch's adaptive softmax, and trees whose leaves add up to one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError


def problem(n: int = 300, width: int = 20, classes: int = 55) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    return rng.normal(size=(n, width)), rng.normal(size=(classes, width)), rng.integers(0, classes, n)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_graph_that_is_kept_gives_its_gradient_each_time(reduction: str) -> None:
    x, w, t = problem()
    found = []
    for fused in (True, False):
        leaves = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
        if fused:
            loss = ops.linear_cross_entropy(*leaves, t, reduction=reduction)
        else:
            loss = ops.cross_entropy(ops.linear(*leaves), t, reduction=reduction)
        g = np.random.default_rng(0).normal(size=loss.shape)
        loss.backward(g, retain_graph=True)
        loss.backward(np.asarray(2 * g))
        found.append([p.grad.numpy() for p in leaves])
    for ours, plain in zip(*found, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-10, atol=1e-12)


STEP = """
import numpy as np
from einkorn import Tensor, memory, ops

rng = np.random.default_rng(0)
x = Tensor(rng.normal(size=({n}, {width})).astype(np.float32), requires_grad=True)
w = Tensor(rng.normal(size=({classes}, {width})).astype(np.float32), requires_grad=True)
ops.linear_cross_entropy(x, w, rng.integers(0, {classes}, {n})).backward()
print(memory.stats()["peak"] - x.grad.numpy().nbytes - w.grad.numpy().nbytes)
"""


def test_scores_take_a_tenth_of_the_memory() -> None:
    """Of that of all scores, their logarithms and their gradient; beside the gradients that are kept."""
    if "native" not in einkorn.engines.available():
        pytest.skip("the allocator that counts is the native engine's")
    n, classes = 672, 20_011
    code = STEP.format(n=n, width=8, classes=classes)
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert 0 < int(shown) < 3 * n * classes * 4 / 10


@pytest.mark.parametrize("head_bias", [False, True])
def test_adaptive_softmax_as_torch(head_bias: bool, torch: Any) -> None:
    x, _, t = problem(40, 16, 30)
    x = x.astype(np.float32)
    arguments = (16, 30, [4, 10, 20], 2.0, head_bias)
    ours, theirs = nn.AdaptiveLogSoftmaxWithLoss(*arguments), torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    leaf, other = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    output, loss = ours(leaf, t)
    wanted = theirs(other, torch.tensor(t))
    np.testing.assert_allclose(output.numpy(), wanted.output.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss.numpy(), wanted.loss.detach().numpy(), rtol=1e-5)
    loss.backward()
    wanted.loss.backward()
    np.testing.assert_allclose(leaf.grad.numpy(), other.grad.numpy(), rtol=1e-3, atol=1e-6)
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-3, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(
        ours.log_prob(x).numpy(), theirs.log_prob(other).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(other).numpy())
    with pytest.raises(IndexRangeError, match="AdaptiveLogSoftmaxWithLoss"):
        ours(x, np.full(40, 30))
    with pytest.raises(ArgumentError, match="cutoffs"):
        nn.AdaptiveLogSoftmaxWithLoss(16, 30, [10, 4])


def test_leaves_of_a_huffman_tree_add_up_to_one() -> None:
    counts = [50, 1, 1, 20, 9, 3]
    layer = nn.HierarchicalSoftmax(4, counts, bias=True)
    rng = np.random.default_rng(0)
    layer.weight.data[...] = rng.normal(size=(5, 4))
    layer.bias.data[...] = rng.normal(size=5)
    x = rng.normal(size=(3, 4)).astype(np.float32)
    log_p = layer.log_prob(x).numpy()
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-5)
    depth = (layer.turns != 0).sum(axis=1)
    assert depth[0] == 1
    assert depth[1] == depth.max()
    wanted = -log_p[[0, 1, 2], [3, 0, 5]].mean()
    np.testing.assert_allclose(layer(x, np.array([3, 0, 5])).numpy(), wanted, rtol=1e-5)


def test_sampling_every_word_is_the_whole_softmax() -> None:
    x, w, t = problem(8, 5, 7)
    np.testing.assert_allclose(
        ops.sampled_softmax_loss(x, w, t, np.arange(7)), ops.cross_entropy(x @ w.T, t), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ShapeError, "linear_weight", lambda x, w, t: ops.linear_cross_entropy(x, w[:, 1:], t)),
        (ShapeError, "target", lambda x, w, t: ops.linear_cross_entropy(x, w, t[1:])),
        (IndexRangeError, "class 55", lambda x, w, t: ops.linear_cross_entropy(x, w, t * 0 + 55)),
        (ShapeError, "sampled", lambda x, w, t: ops.negative_sampling_loss(x, w, t, np.zeros((2, 3), int))),
        (ShapeError, "log_noise", lambda x, w, t: ops.nce_loss(x, w, t, t[:4], np.zeros(3))),
        (
            ArgumentError,
            "turns",
            lambda x, w, t: ops.hierarchical_softmax_loss(x, w, t[:, None], 2 + 0 * t[:, None]),
        ),
    ],
)
def test_refusals(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call(*problem())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_hold_no_numbers_below_the_normal_ones(reduction: str, backend: str) -> None:
    """Products that take them next would wait for each on some processors; 1e-38 of a share is lost."""
    if not backend.startswith("native"):
        return  # the loops of Numba and the bodies for cards keep them
    scores = np.linspace(-110, 0, 400, dtype=np.float32)
    x = Tensor(np.stack([scores, scores[::-1]]), requires_grad=True)
    ops.cross_entropy(x, np.array([399, 5]), reduction=reduction).backward()
    g = np.abs(np.asarray(x.grad))
    least = np.finfo(np.float32).smallest_normal
    assert ((g == 0) | (g >= least)).all()
    wide = np.exp(x.numpy().astype(np.float64))
    wanted = wide / wide.sum(1, keepdims=True) - np.eye(400)[[399, 5]]
    np.testing.assert_allclose(
        np.asarray(x.grad), wanted / (2 if reduction == "mean" else 1), rtol=1e-5, atol=2 * least
    )
