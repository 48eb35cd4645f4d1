"""Activations and dropout as layers: torch's arguments, texts and results; in place; what is random."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn
from einkorn.errors import ArgumentError, GradientError, ShapeError
from einkorn.nn import functional

LAYERS: list[tuple[str, tuple[Any, ...]]] = [
    *[
        (name, ())
        for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Tanhshrink")
    ],
    *[(name, ()) for name in ("Sigmoid", "LogSigmoid", "Tanh", "Softsign", "GELU", "Softmax", "LogSoftmax")],
    ("LeakyReLU", (0.2,)),
    ("RReLU", ()),
    ("ELU", (0.5,)),
    ("CELU", (0.5,)),
    ("GELU", ("tanh",)),
    ("Hardtanh", (-0.5, 2.0)),
    ("Hardshrink", (0.3,)),
    ("Softshrink", (0.3,)),
    ("Softplus", (2.0, 1.0)),
    ("Threshold", (0.1, 4.0)),
    ("GLU", (1,)),
    ("Softmin", ()),
    ("Softmin", (2,)),
    ("Softmax2d", ()),
    ("PReLU", (4,)),
    *[(name, (0.3,)) for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d")],
    *[(name, (0.3,)) for name in ("AlphaDropout", "FeatureAlphaDropout")],
]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice:UserWarning")
@pytest.mark.parametrize(("name", "arguments"), LAYERS)
def test_layers_are_torchs(name: str, arguments: tuple[Any, ...], torch: Any) -> None:
    ours, theirs = getattr(nn, name)(*arguments).eval(), getattr(torch.nn, name)(*arguments).eval()
    assert repr(ours) == repr(theirs)
    given = inspect.signature(type(theirs).__init__).parameters
    if "args" not in given:
        wanted = [p for p in given if p != "self"]
        assert [p for p in inspect.signature(type(ours).__init__).parameters if p != "self"] == wanted
    x = (
        np.random.default_rng(0)
        .normal(size=(2, 4, 3, 2)[: 4 if name == "Dropout3d" else 3])
        .astype(np.float32)
    )
    np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), rtol=2e-6, atol=1e-6)


IN_PLACE = ["relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardswish", "hardsigmoid"]


@pytest.mark.parametrize("name", [*IN_PLACE, "hardtanh", "rrelu"])
def test_in_place(name: str) -> None:
    """The result lies in the input's memory, and has the gradient of the ordinary call."""
    function = getattr(functional, name)
    values = np.random.default_rng(1).normal(size=(3, 7))
    wanted = function(values)
    array = values.copy()
    assert function(array, inplace=True) is array
    np.testing.assert_array_equal(array, wanted)
    gradients = []
    for inplace in (False, True):
        leaf = Tensor(values, requires_grad=True)
        x = leaf * 2.0
        y = function(x, inplace=inplace)
        assert (y is x) == inplace
        (y * y).sum().backward()
        gradients.append(leaf.grad.numpy())
    np.testing.assert_array_equal(*gradients)
    with pytest.raises(GradientError, match="leaf"):
        function(Tensor(values, requires_grad=True), inplace=True)
    with pytest.raises(ArgumentError, match=f"^{name}: inplace"):
        function(values, inplace="yes")


def test_layers_in_place() -> None:
    x = np.linspace(-2, 2, 5)
    y = nn.ReLU(inplace=True)(x)
    assert y is x
    assert repr(nn.ELU(inplace=True)) == "ELU(alpha=1.0, inplace=True)"
    layer = nn.Dropout(0.5, inplace=True)
    einkorn.manual_seed(0)
    z = np.ones(100)
    assert layer(z) is z
    assert set(z) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("name", "shape"), [("1d", (50, 8, 5)), ("2d", (50, 8, 3, 4)), ("3d", (50, 8, 2, 3, 2))]
)
def test_channels_are_dropped_whole(name: str, shape: tuple[int, ...]) -> None:
    einkorn.manual_seed(0)
    dropped = getattr(functional, f"dropout{name}")(np.ones(shape, np.float32), 0.25)
    flat = dropped.reshape(400, -1)
    assert (flat == flat[:, :1]).all()
    assert set(np.unique(flat)) == {0.0, np.float32(1 / 0.75)}
    assert 60 < (flat[:, 0] == 0).sum() < 140
    with pytest.raises(ShapeError, match=f"^dropout{name}: input has shape"):
        getattr(functional, f"dropout{name}")(np.ones(3, np.float32))


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name: str) -> None:
    einkorn.manual_seed(1)
    x = einkorn.ops.normal((400, 300, 2), dtype=np.float64)
    y = getattr(functional, name)(x, 0.3, training=True)
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03
    values, counts = np.unique(y, return_counts=True)
    dropped = y == values[counts.argmax()]
    assert abs(dropped.mean() - 0.3) < 0.01
    if name == "feature_alpha_dropout":
        assert (dropped[..., 0] == dropped[..., 1]).all()
    assert getattr(functional, name)(x, 0.3) is x


def test_random_slopes() -> None:
    einkorn.manual_seed(2)
    x = np.full(1000, -1.0)
    slopes = -functional.rrelu(x, 0.2, 0.4, training=True)
    assert slopes.min() >= 0.2
    assert slopes.max() <= 0.4
    assert abs(slopes.mean() - 0.3) < 0.01
    leaf = Tensor(x, requires_grad=True)
    functional.rrelu(leaf, 0.2, 0.4, training=True).sum().backward()
    assert leaf.grad.numpy().std() > 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, x: f.celu(x, 0), "celu: alpha is 0"),
        (lambda f, x: f.hardtanh(x, 1.0, 0.0), "hardtanh: min_val is 1.0"),
        (lambda f, x: f.softshrink(x, -1.0), "softshrink: lambd is -1"),
        (lambda f, x: f.softplus(x, 0), "softplus: beta is 0"),
        (lambda f, x: f.rrelu(x, 1.0, 0.0), "rrelu: lower is 1"),
        (lambda f, x: f.glu(x, 0), r"glu: x has shape \(3, 4\)"),
        (lambda f, x: f.glu(x, 2), "glu: dim is 2"),
        (lambda f, x: f.alpha_dropout(x, 2.0), "alpha_dropout: p is 2"),
        (lambda f, x: f.logsigmoid(x.astype(int)), "logsigmoid: x has dtype int64"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises((ArgumentError, ShapeError, TypeError), match=f"^{message}"):
        call(functional, np.ones((3, 4)))
