"""Normalisation: accuracy far from zero, what is refused, fused gradients, modules and computed weights."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, DTypeError, ShapeError

utils = nn.utils


def numbers(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(numbers(*shape, seed=seed), requires_grad=True)


# --- accuracy -----------------------------------------------------------------------------------


def standard(x: np.ndarray, axes: Any) -> np.ndarray:
    off = x.astype(np.longdouble)
    off = off - off.mean(axis=axes, keepdims=True)
    return off / np.sqrt((off * off).mean(axis=axes, keepdims=True) + np.longdouble(1e-5))


FAR: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], Any]] = {
    "rows": (lambda x: ops.layer_norm(x, x.shape[-1]), (40, 1000), 1),
    "long rows": (lambda x: ops.layer_norm(x, x.shape[-1]), (3, 20_000), 1),
    "planes": (lambda x: ops.batch_norm(x, None, None, training=True), (8, 5, 300), (0, 2)),
    "pieces": (lambda x: ops.batch_norm(x, None, None, training=True), (3, 2, 70_000), (0, 2)),
    "columns": (lambda x: ops.batch_norm(x, None, None, training=True), (3000, 20), 0),
    "instances": (lambda x: ops.instance_norm(x), (3, 4, 500), 2),
}


@pytest.mark.parametrize("far", [1e4, -1e4])
@pytest.mark.parametrize("name", FAR)
def test_large_means_and_small_variances(name: str, far: float, backend: str) -> None:
    """The result is as exact as near zero, though each input has only some hundred values."""
    function, shape, axes = FAR[name]
    x = (far + 0.1 * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)
    assert np.abs(function(x) - standard(x, axes)).max() < 2e-6


HUGE = FAR | {
    "groups": (lambda x: ops.group_norm(x, 1), (3, 4, 40), (1, 2)),
    "sums": (lambda x: ops.add_layer_norm(x, np.zeros_like(x), x.shape[-1])[1], (3, 70), 1),
    "squares": (lambda x: ops.rms_norm(x, x.shape[-1]), (3, 70), None),
    "long squares": (lambda x: ops.rms_norm(x, x.shape[-1]), (2, 3000), None),
}


@pytest.mark.parametrize("name", HUGE)
def test_squares_beyond_the_range(name: str, backend: str) -> None:
    """Numbers whose squares float32 does not hold are normalised like others."""
    function, shape, axes = HUGE[name]
    x = (1e20 * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)
    wide = x.astype(np.longdouble)
    expected = (
        wide / np.sqrt((wide * wide).mean(axis=1, keepdims=True)) if axes is None else standard(x, axes)
    )
    assert np.abs(function(x) - expected).max() < 2e-6


@pytest.mark.parametrize("name", FAR)
def test_an_outlier_in_front(name: str, backend: str) -> None:
    """Nothing hangs on the first element being like the others."""
    function, shape, axes = FAR[name]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    x[(0,) * x.ndim] = 3e4
    expected = standard(x, axes)
    assert (np.abs(function(x) - expected) / (1 + np.abs(expected))).max() < 2e-6


def test_running_variance_of_large_means(backend: str) -> None:
    x = (1e4 + 0.1 * np.random.default_rng(1).standard_normal((64, 3, 50))).astype(np.float32)
    mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
    ops.batch_norm(x, mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=(0, 2)), rtol=1e-7)
    np.testing.assert_allclose(var, x.astype(np.float64).var(axis=(0, 2), ddof=1), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1000, 260), (70, 40, 6), (9, 16, 30, 31), (3, 2, 70_000)])
def test_same_bits_for_any_number_of_threads(shape: tuple[int, ...], backend: str) -> None:
    def results() -> list[bytes]:
        x, w, b = leaf(*shape), leaf(shape[1], seed=1), leaf(shape[1], seed=2)
        y = ops.batch_norm(x, None, None, w, b, training=True, activation="relu")
        z = ops.group_norm(y, 2, w, b)
        z.backward(numbers(*shape, seed=3), retain_graph=True)
        tail = leaf(shape[-1], seed=4)
        total, normed = ops.add_layer_norm(x, y, shape[-1], tail)
        (total + normed).backward(numbers(*shape, seed=5))
        return [a.numpy().tobytes() for a in (y, z, total, normed, x.grad, w.grad, b.grad, tail.grad)]

    with einkorn.num_threads(1):
        expected = results()
    for threads in (2, 4):
        with einkorn.num_threads(threads):
            assert results() == expected


# --- what is refused ----------------------------------------------------------------------------

X = numbers(2, 4, 3)
W3, W4 = numbers(3), numbers(4)
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "shape": (lambda: ops.layer_norm(X, 4), ShapeError, r"layer_norm: input .*normalized_shape \(4,\)"),
    "no shape": (lambda: ops.layer_norm(X, ()), ArgumentError, "normalized_shape is empty"),
    "bad shape": (lambda: ops.rms_norm(X, 2.5), ArgumentError, "rms_norm: normalized_shape is 2.5"),
    "weight": (lambda: ops.layer_norm(X, 3, W4), ShapeError, r"weight has shape \(4,\), expected \(3,\)"),
    "bias": (lambda: ops.layer_norm(X, 3, W3, W4), ShapeError, "bias has shape"),
    "dtype": (lambda: ops.layer_norm(X, 3, W3.astype(np.float64)), DTypeError, "weight has dtype float64"),
    "int": (lambda: ops.layer_norm(np.ones((2, 3), int), 3), DTypeError, "layer_norm: input has dtype"),
    "activation": (lambda: ops.layer_norm(X, 3, activation="gelu"), ArgumentError, "activation is 'gelu'"),
    "eps": (lambda: ops.layer_norm(X, 3, eps="x"), ArgumentError, "eps is 'x'"),
    "residual": (lambda: ops.add_layer_norm(X, X[:1], 3), ShapeError, "residual has shape"),
    "groups": (lambda: ops.group_norm(X, 3), ShapeError, "num_groups is 3, expected a divisor of input's 4"),
    "no groups": (lambda: ops.group_norm(X, 0), ArgumentError, "num_groups is 0"),
    "group of one": (lambda: ops.group_norm(X[:1, :, 0], 4), ShapeError, "more than one value"),
    "one value": (
        lambda: ops.batch_norm(X[:1, :, 0], None, None, training=True),
        ShapeError,
        "more than one value in each channel when training",
    ),
    "no statistics": (lambda: ops.batch_norm(X, None, None), ArgumentError, "running_mean and running_var"),
    "statistics": (lambda: ops.batch_norm(X, W3, W3), ShapeError, "running_mean has shape"),
    "scalar": (lambda: ops.batch_norm(W3, None, None, training=True), ShapeError, "at least 2 dim"),
    "one place": (lambda: ops.instance_norm(X[:, :, :1]), ShapeError, "more than one value"),
    "style": (lambda: ops.adaptive_instance_norm(X, W4, W4), ShapeError, "scale has shape"),
    "window": (lambda: ops.local_response_norm(X, 0), ArgumentError, "size is 0"),
    "flat": (lambda: ops.local_response_norm(X[0], 2), ShapeError, "at least 3 dimensions"),
    "axis": (lambda: ops.weight_norm(X, X, 3), ArgumentError, "dim is 3"),
    "lengths": (lambda: ops.weight_norm(X, X, 0), ShapeError, "g has shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_a_failed_call_leaves_running_statistics_alone() -> None:
    mean, var = np.zeros(4, np.float32), np.ones(4, np.float32)
    with pytest.raises(ShapeError):
        ops.batch_norm(X, mean, var, numbers(3), training=True)
    assert not mean.any()
    assert (var == 1).all()


# --- running statistics in place ----------------------------------------------------------------


def test_running_statistics_in_any_memory(backend: str) -> None:
    wide = np.ones((4, 2), np.float32)
    mean, var = Tensor(np.zeros(4, np.float32)), wide[:, 0]
    ops.batch_norm(X, mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(mean.numpy(), X.mean(axis=(0, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(wide[:, 0], X.var(axis=(0, 2), ddof=1), rtol=1e-5)
    assert (wide[:, 1] == 1).all()


def test_statistics_may_go_on_before_the_backward_pass() -> None:
    """Gradients in evaluation mode are those of the statistics that normalised."""
    x, mean, var = leaf(2, 4, 3), Tensor(np.zeros(4, np.float32)), Tensor(np.ones(4, np.float32))
    y = ops.batch_norm(x, mean, var)
    ops.batch_norm(X * 100, mean, var, training=True)
    y.backward(np.ones(y.shape, np.float32))
    np.testing.assert_allclose(x.grad.numpy(), 1 / np.sqrt(1 + 1e-5), rtol=1e-6)


# --- residual and norm --------------------------------------------------------------------------


@pytest.mark.parametrize("uses", ["both", "sum", "norm"])
@pytest.mark.parametrize("rms", [False, True])
def test_add_norm_is_add_and_norm(rms: bool, uses: str, backend: str) -> None:
    def run(fused: bool) -> list[np.ndarray]:
        x, r, w = leaf(6, 33), leaf(6, 33, seed=1), leaf(33, seed=2)
        start = x * 2.0
        if fused:
            op = ops.add_rms_norm if rms else ops.add_layer_norm
            total, normed = op(start, r, 33, w)
        else:
            total = start + r
            normed = ops.rms_norm(total, 33, w) if rms else ops.layer_norm(total, 33, w)
        loss = total * 0.0 if uses == "norm" else (total * numbers(6, 33, seed=3))
        if uses != "sum":
            loss = loss + normed * numbers(6, 33, seed=4)
        elif w.grad is None:
            loss = loss + 0.0
        ops.sum(loss).backward()
        return [total.numpy(), normed.numpy(), x.grad.numpy(), r.grad.numpy()]

    for fused, plain in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-5, atol=2e-6)


def test_add_norm_twice_through_one_graph() -> None:
    """A retained graph gives the same gradient again, though a pass before stopped at the sum."""
    x, r = leaf(3, 8), leaf(3, 8, seed=1)
    total, normed = ops.add_layer_norm(x, r, 8)
    grads = []
    for end in (total, normed, normed):
        x.grad = r.grad = None
        end.backward(numbers(3, 8, seed=2), retain_graph=True)
        grads.append(x.grad.numpy().copy())
        np.testing.assert_array_equal(x.grad.numpy(), r.grad.numpy())
        assert not np.shares_memory(x.grad.numpy(), r.grad.numpy())
    np.testing.assert_array_equal(grads[0], numbers(3, 8, seed=2))
    np.testing.assert_array_equal(grads[1], grads[2])


def test_add_norm_of_arrays() -> None:
    total, normed = ops.add_layer_norm(X, X, 3)
    assert isinstance(total, np.ndarray)
    assert isinstance(normed, np.ndarray)
    total, normed = ops.add_layer_norm(X, X, 3, leaf(3))
    assert isinstance(total, np.ndarray)
    assert normed.requires_grad


# --- modules ------------------------------------------------------------------------------------

PAIRS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "layer": (lambda n: n.LayerNorm((4, 5)), (3, 4, 5)),
    "layer plain": (lambda n: n.LayerNorm(5, elementwise_affine=False), (3, 4, 5)),
    "layer no bias": (lambda n: n.LayerNorm(5, bias=False), (3, 4, 5)),
    "rms": (lambda n: n.RMSNorm(5), (3, 4, 5)),
    "batch1": (lambda n: n.BatchNorm1d(6), (8, 6)),
    "batch1 length": (lambda n: n.BatchNorm1d(6), (8, 6, 5)),
    "batch2": (lambda n: n.BatchNorm2d(6, momentum=0.3), (3, 6, 5, 4)),
    "batch2 cumulative": (lambda n: n.BatchNorm2d(6, momentum=None), (3, 6, 5, 4)),
    "batch2 untracked": (lambda n: n.BatchNorm2d(6, track_running_stats=False), (3, 6, 5, 4)),
    "batch2 plain": (lambda n: n.BatchNorm2d(6, affine=False), (3, 6, 5, 4)),
    "batch2 no bias": (lambda n: n.BatchNorm2d(6, bias=False), (3, 6, 5, 4)),
    "batch3": (lambda n: n.BatchNorm3d(6), (2, 6, 3, 2, 2)),
    "group": (lambda n: n.GroupNorm(3, 6), (2, 6, 7)),
    "group plain": (lambda n: n.GroupNorm(2, 6, affine=False), (2, 6)),
    "instance1": (lambda n: n.InstanceNorm1d(6), (2, 6, 7)),
    "instance1 single": (lambda n: n.InstanceNorm1d(6, affine=True), (6, 7)),
    "instance2 tracked": (lambda n: n.InstanceNorm2d(6, affine=True, track_running_stats=True), (2, 6, 7, 3)),
    "instance3": (lambda n: n.InstanceNorm3d(6), (2, 6, 2, 2, 3)),
    "response": (lambda n: n.LocalResponseNorm(3, alpha=0.1), (2, 6, 7)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_modules_are_torchs(name: str, torch: Any) -> None:
    """Outputs and gradients over several batches, then in evaluation mode; names and state at the end."""
    make, shape = PAIRS[name]
    ours, theirs = make(nn), make(torch.nn)
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(torch.from_numpy(numbers(*p.shape, seed=i)))
    ours.load_state_dict(theirs.state_dict())
    for step in range(4):
        if step == 3:
            ours.eval()
            theirs.eval()
        x = leaf(*shape, seed=step)
        t = torch.tensor(x.numpy(), requires_grad=True)
        y, z = ours(x), theirs(t)
        np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
        g = numbers(*shape, seed=9)
        y.backward(g)
        z.backward(torch.from_numpy(g))
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-3, atol=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-3, atol=1e-4)
    state, other = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(other)
    for key in state:
        np.testing.assert_allclose(state[key], other[key].numpy(), rtol=1e-5, atol=1e-6)
        assert str(state[key].dtype) in str(other[key].dtype)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm1d(3), (2, 3, 4, 4), "BatchNorm1d: input has shape .*expected 2 or 3 dimensions"),
        (nn.BatchNorm2d(3), (2, 3, 4), "expected 4"),
        (nn.BatchNorm2d(3), (2, 4, 4, 4), r"expected 3 channels \(num_features\)"),
        (nn.BatchNorm1d(3), (1, 3), "more than one value"),
        (nn.InstanceNorm1d(3, affine=True), (2, 4, 4), "expected 3 channels"),
        (nn.InstanceNorm2d(3), (2, 3), "expected 3 or 4 dimensions"),
        (nn.LayerNorm(3), (2, 4), "normalized_shape"),
    ],
)
def test_modules_refuse(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer(numbers(*shape))


def test_fused_activation_and_residual_of_modules() -> None:
    x, r = numbers(4, 6, 5, 5), numbers(4, 6, 5, 5, seed=1)
    plain, fused = nn.BatchNorm2d(6), nn.BatchNorm2d(6, activation="relu")
    expected = np.maximum(plain(x) + r, 0)
    np.testing.assert_allclose(fused(x, residual=r), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        nn.LayerNorm(5, activation="tanh")(x), np.tanh(nn.LayerNorm(5)(x)), rtol=1e-5, atol=1e-6
    )


def test_running_statistics_follow_casts_copies_and_files(tmp_path: Path) -> None:
    layer = nn.BatchNorm1d(4)
    layer(numbers(8, 4))
    again = copy.deepcopy(layer).double()
    assert again.running_mean.dtype == np.float64
    assert again.num_batches_tracked == 1
    assert again.num_batches_tracked.dtype == np.int64
    again(numbers(8, 4, dtype=np.float64))
    assert layer.num_batches_tracked == 1
    layer.reset_running_stats()
    assert layer.num_batches_tracked == 0
    np.testing.assert_array_equal(layer.running_var.numpy(), 1)


# --- computed weights ---------------------------------------------------------------------------


def pair_of_layers(torch: Any) -> tuple[Any, Any]:
    theirs = torch.nn.Conv2d(3, 4, 2)
    ours = nn.Conv2d(3, 4, 2)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


WRAPS: dict[str, Callable[[Any, Any], Any]] = {
    "weight norm": lambda u, m: u.parametrizations.weight_norm(m),
    "weight norm of all": lambda u, m: u.parametrizations.weight_norm(m, dim=None),
    "weight norm, dim 1": lambda u, m: u.parametrizations.weight_norm(m, dim=1),
    "spectral norm": lambda u, m: u.parametrizations.spectral_norm(m, n_power_iterations=2),
    "spectral norm, dim 1": lambda u, m: u.parametrizations.spectral_norm(m, dim=1),
    "older weight norm": lambda u, m: u.weight_norm(m),
    "older spectral norm": lambda u, m: u.spectral_norm(m, n_power_iterations=2),
}


@pytest.mark.parametrize("name", WRAPS)
@pytest.mark.filterwarnings("ignore")
def test_computed_weights_are_torchs(name: str, torch: Any) -> None:
    ours, theirs = pair_of_layers(torch)
    WRAPS[name](utils, ours)
    WRAPS[name](torch.nn.utils, theirs)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    assert {n for n, _ in ours.named_parameters()} == {n for n, _ in theirs.named_parameters()}
    ours.load_state_dict(theirs.state_dict())
    for step in range(3):
        if step == 2:
            ours.eval()
            theirs.eval()
        x = numbers(2, 3, 4, 4, seed=step)
        y, z = ours(Tensor(x)), theirs(torch.from_numpy(x))
        np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
        g = numbers(*y.shape, seed=5)
        y.backward(g)
        z.backward(torch.from_numpy(g))
    grads = {n: p.grad.numpy() for n, p in theirs.named_parameters()}
    for key, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), grads[key], rtol=1e-3, atol=1e-4)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-4, atol=1e-5)


def test_parametrized_weights_come_and_go() -> None:
    layer = nn.Linear(4, 3)
    before = layer.weight.numpy().copy()
    utils.parametrizations.weight_norm(layer)
    assert utils.parametrize.is_parametrized(layer, "weight")
    assert isinstance(layer, nn.Linear)
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    layer.weight = Tensor(2 * before)
    np.testing.assert_allclose(layer.weight.numpy(), 2 * before, rtol=1e-6)
    utils.parametrizations.spectral_norm(layer, "bias")
    utils.parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    np.testing.assert_allclose(layer.weight.numpy(), 2 * before, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(layer.bias.numpy()), 1, rtol=1e-5)
    utils.parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False)
    assert type(layer) is nn.Linear
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_older_weights_come_and_go() -> None:
    layer = nn.Linear(4, 3)
    before = layer.weight.numpy().copy()
    utils.weight_norm(layer)
    with pytest.raises(ArgumentError, match="weight is computed"):
        layer.weight = Tensor(before)
    utils.remove_weight_norm(layer)
    np.testing.assert_allclose(layer.weight.numpy(), before, rtol=1e-6)
    utils.spectral_norm(layer)
    for _ in range(50):
        layer(numbers(2, 4))
    utils.remove_spectral_norm(layer)
    assert type(layer) is nn.Linear
    np.testing.assert_allclose(np.linalg.norm(layer.weight.numpy(), 2), 1, rtol=1e-4)
    for undo in (utils.remove_weight_norm, utils.remove_spectral_norm):
        with pytest.raises(ArgumentError, match="not computed"):
            undo(layer)
    with pytest.raises(ArgumentError, match="no parameter 'wait'"):
        utils.weight_norm(layer, "wait")
    with pytest.raises(ArgumentError, match="not parametrized"):
        utils.parametrize.remove_parametrizations(layer, "weight")


@pytest.mark.parametrize(
    "norm",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        lambda layer: nn.utils.weight_norm(nn.utils.spectral_norm(layer), "bias"),
    ],
)
def test_modules_with_computed_weights_are_pickled(norm):
    model = nn.Sequential(norm(nn.Linear(4, 3)), nn.Tanh()).eval()
    x = Tensor(np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4))
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert type(again[0]).__name__ == type(model[0]).__name__
        assert_array_equal(again(x).numpy(), model(x).numpy())
        assert list(again.state_dict()) == list(model.state_dict())
        assert again[0] is not model[0]
