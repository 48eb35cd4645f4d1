"""Losses as modules that torch has not, or has alike; lists and dictionaries of parameters; lazy layers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, IndexRangeError

RNG = np.random.default_rng(6)
SCORES, CLASSES = RNG.normal(size=(6, 4)), np.array([0, 3, 1, 2, 3, 0])
CHANCES, WANTED = RNG.random((6, 4)), (RNG.random((6, 4)) < 0.5).astype(np.float64)
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0])


def test_losses_are_their_functions() -> None:
    focal = nn.FocalLoss(WEIGHTS, gamma=1.5, reduction="sum")
    wanted = ops.focal_loss(SCORES, CLASSES, WEIGHTS, gamma=1.5, reduction="sum")
    assert float(focal(SCORES, CLASSES)) == pytest.approx(float(wanted))
    assert focal.state_dict().keys() == {"weight"}
    dice = nn.DiceLoss(smooth=0.5, square_sums=True, reduction="none")
    wanted = ops.dice_loss(CHANCES, WANTED, smooth=0.5, square_sums=True, reduction="none")
    np.testing.assert_array_equal(dice(CHANCES, WANTED), wanted)
    pairs = nn.InfoNCELoss(temperature=0.2, symmetric=True, normalize=False)
    wanted = ops.info_nce(SCORES, CHANCES, temperature=0.2, symmetric=True, normalize=False)
    assert float(pairs(SCORES, CHANCES)) == pytest.approx(float(wanted))
    with pytest.raises(ArgumentError, match="reduction"):
        nn.FocalLoss(reduction="most")


def test_linear_and_cross_entropy_in_one(torch: Any) -> None:
    options: dict[str, Any] = {"bias": True, "label_smoothing": 0.1, "ignore_index": 2}
    ours, theirs = (
        nn.LinearCrossEntropyLoss(4, 5, **options),
        torch.nn.LinearCrossEntropyLoss(4, 5, **options),
    )
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = SCORES.astype(np.float32)
    loss, wanted = ours(Tensor(x), CLASSES), theirs(torch.from_numpy(x), torch.from_numpy(CLASSES))
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    loss.backward()
    wanted.backward()
    for got, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(np.asarray(got.grad), other.grad.numpy(), rtol=1e-4, atol=1e-7)


class _Net(nn.Module):
    def __init__(self, library: Any, make: Any) -> None:
        super().__init__()
        self.several = library.ParameterList([make(i) for i in range(3)])
        self.named = library.ParameterDict({"a": make(4), "b": make(5)})


def test_lists_and_dictionaries_of_parameters() -> None:
    net = _Net(nn, lambda i: np.full(2, i, np.float32))
    keys = {"several.0", "several.1", "several.2", "named.a", "named.b"}
    assert net.state_dict().keys() == keys == dict(net.named_parameters()).keys()
    assert len(net.several) == 3
    assert [float(p[0]) for p in net.several] == [0, 1, 2]
    assert float(net.several[-1][0]) == 2
    assert len(net.several[1:]) == 2
    net.several[0] = nn.Parameter(np.ones(3, np.float32))
    net.several.append(np.zeros(1, np.float32)).extend([nn.Parameter(np.zeros(1, np.float32))])
    assert [p.shape for p in net.several] == [(3,), (2,), (2,), (1,), (1,)]
    assert "a" in net.named
    assert net.named.keys() == ["a", "b"] == list(net.named)
    net.named["a"] = np.zeros(7, np.float32)
    net.named["c"] = nn.Parameter(np.zeros(1, np.float32))
    del net.named["b"]
    assert {k: p.shape for k, p in net.named.items()} == {"a": (7,), "c": (1,)}
    assert len(copy.deepcopy(net).named) == len(net.named.values()) == 2
    with pytest.raises(IndexRangeError, match="ParameterList: index is 5, expected -5 to 4"):
        net.several[5]
    with pytest.raises(ArgumentError, match="ParameterList: got a str"):
        net.several.append("x")
    with pytest.raises(KeyError):
        net.named["b"]


def test_instance_norms_take_their_features_from_the_first_batch() -> None:
    for layer, shape in (
        (nn.LazyInstanceNorm1d, (2, 3, 5)),
        (nn.LazyInstanceNorm2d, (2, 3, 4, 5)),
        (nn.LazyInstanceNorm3d, (3, 2, 4, 5)),  # without a batch axis
    ):
        x = RNG.normal(size=shape).astype(np.float32)
        lazy = layer(affine=True)
        real = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d}.get(len(shape), nn.InstanceNorm3d)
        if layer is nn.LazyInstanceNorm3d:
            real = nn.InstanceNorm3d
        np.testing.assert_array_equal(np.asarray(lazy(x)), np.asarray(real(3, affine=True)(x)))
        assert type(lazy) is real
        assert lazy.num_features == 3
