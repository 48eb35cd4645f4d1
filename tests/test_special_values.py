"""Zeros of both signs, infinities, NaN, the largest and smallest numbers: values and slopes as torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import Tensor, ops
from einkorn.nn import functional

VALUES = (
    [
        0.0,
        np.inf,
        np.nan,
        3e38,
        1e30,
        2e19,
        1.8e19,
        1e10,
        1000,
        100,
        88,
        20,
        3,
        1,
        0.5,
        1e-3,
        1e-20,
        1e-38,
        1e-45,
    ],
    [1e300, 1e160, 1e-160, 1e-320],
)

Pair = tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]
UNARY: dict[str, Pair] = {
    "absolute": (ops.absolute, lambda torch, x: torch.abs(x)),
    "negative": (ops.negative, lambda torch, x: -x),
    "exp": (ops.exp, lambda torch, x: torch.exp(x)),
    "log": (ops.log, lambda torch, x: torch.log(x)),
    "sqrt": (ops.sqrt, lambda torch, x: torch.sqrt(x)),
    "square": (ops.square, lambda torch, x: torch.square(x)),
    "reciprocal": (ops.reciprocal, lambda torch, x: torch.reciprocal(x)),
    "sin": (ops.sin, lambda torch, x: torch.sin(x)),
    "cos": (ops.cos, lambda torch, x: torch.cos(x)),
    "erf": (ops.erf, lambda torch, x: torch.erf(x)),
    "relu": (ops.relu, lambda torch, x: torch.relu(x)),
    "sigmoid": (ops.sigmoid, lambda torch, x: torch.sigmoid(x)),
    "tanh": (ops.tanh, lambda torch, x: torch.tanh(x)),
    "softplus": (ops.softplus, lambda torch, x: torch.nn.functional.softplus(x)),
    "leaky_relu": (ops.leaky_relu, lambda torch, x: torch.nn.functional.leaky_relu(x)),
    "leaky_relu by 0": (
        lambda x: ops.leaky_relu(x, 0),
        lambda torch, x: torch.nn.functional.leaky_relu(x, 0.0),
    ),
    "leaky_relu by -2": (
        lambda x: ops.leaky_relu(x, -2),
        lambda torch, x: torch.nn.functional.leaky_relu(x, -2),
    ),
    "elu": (ops.elu, lambda torch, x: torch.nn.functional.elu(x)),
    "elu by -2": (lambda x: ops.elu(x, -2), lambda torch, x: torch.nn.functional.elu(x, -2)),
    "prelu": (
        lambda x: ops.prelu(x, np.array([0.25], x.dtype)),
        lambda torch, x: torch.nn.functional.prelu(x, torch.tensor([0.25], dtype=x.dtype)),
    ),
    "clip": (lambda x: ops.clip(x, -1, 1), lambda torch, x: torch.clamp(x, -1, 1)),
    "x**0": (lambda x: ops.power(x, 0), lambda torch, x: x**0),
    "x**1": (lambda x: ops.power(x, 1), lambda torch, x: x**1),
    "x**2": (lambda x: ops.power(x, 2), lambda torch, x: x**2),
    "x**3": (lambda x: ops.power(x, 3), lambda torch, x: x**3),
    "x**-1": (lambda x: ops.power(x, -1), lambda torch, x: x**-1),
    "2**x": (lambda x: ops.power(2.0, x), lambda torch, x: 2.0**x),
    "0**x": (lambda x: ops.power(0.0, x), lambda torch, x: torch.pow(torch.zeros((), dtype=x.dtype), x)),
    "maximum(x, 0)": (lambda x: ops.maximum(x, 0.0), lambda torch, x: torch.maximum(x, torch.zeros_like(x))),
}
BINARY = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div"} | {
    "maximum": "maximum",
    "minimum": "minimum",
    "power": "pow",
}


def _values(dtype: str) -> np.ndarray:
    chosen = VALUES[0] + (VALUES[1] if dtype == "float64" else [])
    return np.array([sign * v for v in chosen for sign in (1, -1)], dtype)


def _assert_close(got: np.ndarray, wanted: np.ndarray, x: Any, dtype: str) -> None:
    finfo = np.finfo(dtype)
    with np.errstate(all="ignore"):
        near = np.abs(got - wanted) <= 64 * finfo.eps * np.abs(wanted) + 4 * finfo.tiny
    wrong = ~(near | (got == wanted) | (np.isnan(got) & np.isnan(wanted)))
    assert not wrong.any(), (x[wrong], got[wrong], wanted[wrong])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, dtype: str, backend: str, torch: Any) -> None:
    ours, theirs = UNARY[name]
    x = _values(dtype)
    a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got, wanted = ours(a), theirs(torch, b)
    ops.sum(got).backward()
    wanted.sum().backward()
    _assert_close(got.numpy(), wanted.detach().numpy(), x, dtype)
    zeros = (got.numpy() == 0) & (x == 0)
    np.testing.assert_array_equal(np.signbit(got.numpy()[zeros]), np.signbit(wanted.detach().numpy()[zeros]))
    _assert_close(a.grad.numpy(), b.grad.numpy(), x, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, dtype: str, backend: str, torch: Any) -> None:
    x, y = (m.ravel() for m in np.meshgrid(_values(dtype), _values(dtype)))
    ours = [Tensor(x.copy(), requires_grad=True), Tensor(y.copy(), requires_grad=True)]
    theirs = [torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)]
    got, wanted = getattr(ops, name)(*ours), getattr(torch, BINARY[name])(*theirs)
    ops.sum(got).backward()
    wanted.sum().backward()
    pairs = np.stack([x, y], 1)
    _assert_close(got.numpy(), wanted.detach().numpy(), pairs, dtype)
    for a, b in zip(ours, theirs, strict=True):
        _assert_close(a.grad.numpy(), b.grad.numpy(), pairs, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu_far_out(dtype: str, backend: str) -> None:
    """Where torch's slope by tanh is 0 times infinity, ours is the limit."""
    largest = float(np.finfo(dtype).max)
    x = Tensor(np.array([10, 1e10, 1.8e19, 2e19, 3e38, largest], dtype), requires_grad=True)
    y = ops.gelu(x, "tanh")
    ops.sum(y).backward()
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(6))
    x = Tensor(-x.numpy(), requires_grad=True)
    y = ops.gelu(x, "tanh")
    ops.sum(y).backward()
    np.testing.assert_array_equal(y.numpy(), np.zeros(6))
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros(6))


def test_limits_of_activations(backend: str) -> None:
    """At minus infinity silu is its limit, 0, and step of NaN is NaN."""
    assert ops.silu(np.array([-np.inf])) == 0
    assert np.isnan(ops.step(np.array([np.nan])))


def test_slope_of_prelu_at_0(backend: str) -> None:
    x, weight = (Tensor(np.array(v), requires_grad=True) for v in ([0.0, -0.0, 2.0, -2.0], [0.25]))
    ops.sum(ops.prelu(x, weight)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [0.25, 0.25, 1, 0.25])
    np.testing.assert_array_equal(weight.grad.numpy(), [-2])


XLOGY = [
    (0, 0),
    (0, -1),
    (0, np.nan),
    (0, 2),
    (0, np.inf),
    (1, 0),
    (np.nan, 0),
    (2, -1),
    (np.inf, 2),
    (3, 0.5),
]


@pytest.mark.parametrize(("x", "y"), XLOGY)
def test_xlogy_and_its_slopes_are_torchs(x, y):
    torch = pytest.importorskip("torch")
    found = []
    for library in (einkorn, torch):
        a, b = (library.tensor(float(v), dtype=library.float64, requires_grad=True) for v in (x, y))
        out = library.xlogy(a, b)
        out.backward()
        found.append([out.item(), a.grad.item(), b.grad.item()])
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("scale", [1e20, 1.0, 1e-30])
@pytest.mark.parametrize("dim", [None, 1])
def test_the_deviation_of_numbers_whose_squares_leave_float32(scale, dim):
    torch = pytest.importorskip("torch")
    values = (np.array([[1.0, 2, 3, 5], [-1, 2, -3, 4]]) * scale).astype(np.float32)
    found = []
    for library in (einkorn, torch):
        x = library.tensor(values, requires_grad=True)
        out = x.std() if dim is None else x.std(dim)
        out.sum().backward()
        found.append((out.detach().numpy(), x.grad.numpy()))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-5)
    assert einkorn.ones(3).std().item() == 0


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_a_point_that_is_no_number_samples_none(mode, padding_mode):
    image = einkorn.arange(1.0, 33.0).reshape(1, 2, 4, 4).requires_grad_()
    points = einkorn.tensor([[[[np.nan, 0.0], [0.1, 0.2], [0.0, np.nan]]]], dtype=einkorn.float32)
    plain = einkorn.tensor([[[[0.5, 0.0], [0.1, 0.2], [0.0, 0.5]]]], dtype=einkorn.float32)
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": False}
    points.requires_grad_()
    out = einkorn.nn.functional.grid_sample(image, points, **options)
    wanted = einkorn.nn.functional.grid_sample(image, plain, **options)
    assert out.isnan().tolist() == [[[[True, False, True]], [[True, False, True]]]]
    assert out[0, :, 0, 1].tolist() == wanted[0, :, 0, 1].tolist()
    out.sum().backward()
    assert points.grad.isnan().any(-1).tolist() == [[[True, False, True]]]
    assert image.grad.isfinite().all()


def test_sinc_far_from_0_has_a_slope():
    x = einkorn.tensor([1e20, -1e20, 0.0], requires_grad=True)
    einkorn.sinc(x).sum().backward()
    assert x.grad.isfinite().all()


def test_a_loss_takes_nothing_from_the_branch_not_taken() -> None:
    """Infinite inputs beside a weight of 0: PyTorch chooses where a product would give NaN."""
    x = np.array([np.inf, -np.inf, -np.inf, np.inf], np.float32)
    y = np.array([-1, 1, -1, 1], np.float32)
    got = np.asarray(ops.hinge_embedding_loss(x, y, reduction="none"))
    assert got.tolist() == [0, -np.inf, np.inf, np.inf]
    scores = np.array([[1.0, np.inf, 2.0]], np.float32)
    assert np.asarray(ops.multi_margin_loss(scores, np.array([1]))).tolist() == 0
    counts = np.asarray(
        ops.poisson_nll_loss(np.zeros(2, np.float32), np.array([0, 3], np.float32), full=True)
    )
    assert np.isfinite(counts).all()


@pytest.mark.parametrize("p", [2.5, 3.0, 4.0])
def test_norms_of_powers_that_are_nothing_have_no_slope(p: float) -> None:
    for values in ([1e-30, 2e-30], [0.0, 0.0]):
        x = einkorn.Tensor(np.array(values, np.float32), requires_grad=True)
        ops.norm(x, p).backward()
        assert x.grad.tolist() == [0, 0]
    x = einkorn.Tensor(np.full((2, 3), 1e-30, np.float32), requires_grad=True)
    functional.normalize(x, 4.0).sum().backward()
    assert_allclose(x.grad.numpy(), 1e12, rtol=1e-6)
