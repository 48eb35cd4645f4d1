"""Mixed precision: which operations take bfloat16, what is kept, and steps too small for bfloat16."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import nn, ops, optim
from einkorn.errors import ArgumentError, DTypeError
from einkorn.nn import functional as F  # noqa: N812 - the usual name

BFLOAT16 = einkorn.bfloat16


def both(torch: Any, function: Any, dtype: Any) -> tuple[str, str]:
    """The types that a function of (library, functional module, x) gives, here and in torch."""
    numbers = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    with einkorn.autocast():
        ours = function(einkorn, F, einkorn.Tensor(numbers).to(dtype), einkorn.Tensor)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = function(
            torch, torch.nn.functional, torch.tensor(numbers).to(getattr(torch, dtype)), torch.tensor
        )
    return str(ours.dtype), str(theirs.dtype).removeprefix("torch.")


def labels(make: Any) -> Any:
    return make(np.array([0, 1, 2, 3]))


TABLE = {
    "matmul": lambda lib, f, x, make: x @ x.T,
    "bmm": lambda lib, f, x, make: x.reshape(1, 4, 6).bmm(x.reshape(1, 6, 4)),
    "addmm": lambda lib, f, x, make: x[:, :4].addmm(x, x.T),
    "baddbmm": lambda lib, f, x, make: x[None, :, :4].baddbmm(x[None], x.T[None]),
    "einsum": lambda lib, f, x, make: lib.einsum("ij,kj->ik", x, x),
    "linear": lambda lib, f, x, make: f.linear(x, x),
    "conv1d": lambda lib, f, x, make: f.conv1d(x.reshape(1, 4, 6), x.reshape(4, 6)[:, :4].reshape(1, 4, 4)),
    "conv2d": lambda lib, f, x, make: f.conv2d(x.reshape(1, 1, 4, 6), x.reshape(6, 1, 2, 2)),
    "conv_transpose2d": lambda lib, f, x, make: f.conv_transpose2d(
        x.reshape(1, 1, 4, 6), x.reshape(1, 6, 2, 2)
    ),
    "attention": lambda lib, f, x, make: f.scaled_dot_product_attention(*[x.reshape(1, 4, 6)] * 3),
    "prelu": lambda lib, f, x, make: f.prelu(x, x[0, :1]),
    "cross_entropy": lambda lib, f, x, make: f.cross_entropy(x, labels(make)),
    "nll_loss": lambda lib, f, x, make: f.nll_loss(x, labels(make)),
    "mse_loss": lambda lib, f, x, make: f.mse_loss(x, x),
    "l1_loss": lambda lib, f, x, make: f.l1_loss(x, x),
    "smooth_l1_loss": lambda lib, f, x, make: f.smooth_l1_loss(x, x),
    "huber_loss": lambda lib, f, x, make: f.huber_loss(x, x),
    "kl_div": lambda lib, f, x, make: f.kl_div(x, x, reduction="sum"),
    "bce": lambda lib, f, x, make: f.binary_cross_entropy_with_logits(x, x.sigmoid()),
    "hinge": lambda lib, f, x, make: f.hinge_embedding_loss(x, x),
    "soft_margin": lambda lib, f, x, make: f.soft_margin_loss(x, x),
    "triplet": lambda lib, f, x, make: f.triplet_margin_loss(x, x, x),
    "poisson": lambda lib, f, x, make: f.poisson_nll_loss(x, x),
    "prod": lambda lib, f, x, make: x.prod(),
    "trace": lambda lib, f, x, make: x.trace(),
    "quantile": lambda lib, f, x, make: x.quantile(0.5),
    "softmax": lambda lib, f, x, make: x.softmax(1),
    "log_softmax": lambda lib, f, x, make: f.log_softmax(x, 1),
    "exp": lambda lib, f, x, make: x.exp(),
    "sum": lambda lib, f, x, make: x.sum(),
    "mean": lambda lib, f, x, make: x.mean(),
    "cumsum": lambda lib, f, x, make: x.cumsum(0),
    "gelu": lambda lib, f, x, make: f.gelu(x),
    "layer_norm": lambda lib, f, x, make: f.layer_norm(x, (6,), make(np.ones(6, np.float32))),
    "group_norm": lambda lib, f, x, make: f.group_norm(x, 2, make(np.ones(6, np.float32))),
    "add": lambda lib, f, x, make: x + make(np.ones((4, 6), np.float32)),
    "cat": lambda lib, f, x, make: lib.cat([x, make(np.ones((4, 6), np.float32))]),
    "stack": lambda lib, f, x, make: lib.stack([x, make(np.ones((4, 6), np.float32))]),
    "avg_pool2d": lambda lib, f, x, make: f.avg_pool2d(x.reshape(1, 4, 6), 2),
    "avg_pool3d": lambda lib, f, x, make: f.avg_pool3d(x.reshape(1, 1, 4, 6), 1),
    "reflect": lambda lib, f, x, make: f.pad(x.reshape(1, 4, 6), (1, 1), "reflect"),
    "dropout": lambda lib, f, x, make: f.dropout(x),
}


@pytest.mark.parametrize("name", TABLE)
def test_types_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    for dtype in ("bfloat16", "float32"):
        ours, theirs = both(torch, TABLE[name], dtype)
        assert ours == theirs, f"of {dtype}"


def test_blocks_nest_and_decorate() -> None:
    x = einkorn.ones(2, 2)
    assert not einkorn.is_autocast_enabled()
    with einkorn.autocast("cpu", dtype="bfloat16"):
        assert einkorn.is_autocast_enabled()
        with einkorn.autocast(enabled=False):
            assert ops.matmul(x, x).dtype == np.float32
        assert ops.matmul(x, x).dtype == BFLOAT16
        assert ops.matmul(x.double(), x.double()).dtype == np.float64
        assert ops.matmul(x.numpy(), x.numpy()).dtype == BFLOAT16
    assert ops.matmul(x, x).dtype == np.float32

    @einkorn.autocast()
    def product(a: Any) -> Any:
        return a @ a

    assert product(x).dtype == BFLOAT16
    with pytest.raises(ArgumentError, match="device_type is 'tpu'"):
        einkorn.autocast("tpu")
    with pytest.raises(DTypeError, match="float16"):
        einkorn.autocast(dtype="float16")
    with pytest.raises(ArgumentError, match="enabled is 1"):
        einkorn.autocast(enabled=1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="on purpose"), einkorn.autocast():
        raise RuntimeError("on purpose")
    assert not einkorn.is_autocast_enabled()


def test_blocks_are_of_their_thread() -> None:
    seen = []
    x = einkorn.ones(2, 2)
    with einkorn.autocast():
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert seen == [np.float32]


def test_rounded_parameters_are_kept_until_they_are_written() -> None:
    layer = nn.Linear(3, 2)
    x = einkorn.ones(4, 3)
    with einkorn.autocast():
        first, second = layer(x), layer(x)
        assert first._node.inputs[1] is second._node.inputs[1]
        with einkorn.no_grad():
            assert not layer(x).requires_grad
            layer.weight.zero_()
            layer.bias.zero_()
        third = layer(x)
        assert third.tolist() == [[0.0, 0.0]] * 4
        (first.sum() + second.sum()).backward()
        assert layer.weight.grad.tolist() == [[8.0] * 3] * 2
        layer(x).sum().backward()  # what the first pass used up is rounded anew
    assert layer.weight.grad.dtype == np.float32
    assert layer.weight.grad.tolist() == [[12.0] * 3] * 2
    with einkorn.autocast(cache_enabled=False):
        assert layer(x)._node.inputs[1] is not layer(x)._node.inputs[1]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(kind: str) -> None:
    layer = getattr(nn, kind)(3, 4)
    with einkorn.autocast():
        out, _ = layer(einkorn.randn(5, 2, 3))
    assert out.dtype == BFLOAT16
    out.sum().backward()
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}


def test_training_learns_in_mixed_precision() -> None:
    einkorn.manual_seed(0)
    x = einkorn.randn(64, 8)
    y = (x.sum(1) > 0).long()
    model = nn.Sequential(nn.Linear(8, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        with einkorn.autocast():
            loss = ops.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert loss.dtype == np.float32
    assert losses[-1] < 0.3 * losses[0]
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_fit_in_mixed_precision() -> None:
    einkorn.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    seen = []

    class Net(nn.Sequential):
        def forward(self, x: Any) -> Any:
            out = super().forward(x)
            seen.append(out.dtype)
            return out

    model = Net(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    model.compile("adam", "cross_entropy", metrics=["accuracy"], autocast=True)
    history = model.fit(x, y, epochs=20, batch_size=16, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(x, verbose=0).dtype == np.float32
    assert set(seen) == {BFLOAT16}
    assert not einkorn.is_autocast_enabled()
    with pytest.raises(ArgumentError, match="autocast is 1"):
        model.compile(autocast=1)


def test_mixed_types_are_refused_outside() -> None:
    low, wide = einkorn.ones(2, 2, dtype="bfloat16"), einkorn.ones(2, 2)
    for function in (
        lambda: ops.matmul(low, wide),
        lambda: ops.linear(wide, low),
        lambda: ops.conv1d(low, wide.reshape(2, 2, 1)),
        lambda: ops.scaled_dot_product_attention(low, wide, wide),
        lambda: ops.addmm(wide, low, low),
    ):
        with pytest.raises(DTypeError, match=r"expected (bfloat16|float32) as"):
            function()


def test_scaled_losses_give_the_same_steps_and_overflows_none() -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    options = {"init_scale": 1024.0, "growth_interval": 2}
    ours, theirs = einkorn.GradScaler(**options), torch.amp.GradScaler("cpu", **options)
    p, q = nn.Parameter(np.array([1.0, 2.0], np.float32)), torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    steps = optim.SGD([p], lr=0.1), torch.optim.SGD([q], lr=0.1)
    for factor in (1.0, 3.0, float("inf"), 2.0):
        for scaler, x, step in ((ours, p, steps[0]), (theirs, q, steps[1])):
            step.zero_grad()
            scaler.scale((x * x * factor).sum()).backward()
            scaler.step(step)
            scaler.update()
        assert p.tolist() == q.tolist()
        assert ours.get_scale() == theirs.get_scale()
    assert set(ours.state_dict()) == set(theirs.state_dict())
    again = einkorn.GradScaler()
    again.load_state_dict(ours.state_dict())
    assert again.state_dict() == ours.state_dict()
    low = nn.Parameter(einkorn.ones(2, dtype="bfloat16"))
    step = optim.SGD([low], lr=0.5)
    again.scale(low.sum()).backward()
    again.unscale_(step)
    assert low.grad.tolist() == [1.0, 1.0]
    with pytest.raises(einkorn.EinkornError, match="unscale_"):
        again.unscale_(step)
    again.step(step)
    assert low.tolist() == [0.5, 0.5]
    off = einkorn.GradScaler(enabled=False)
    assert off.scale(low) is low
    assert (off.get_scale(), off.state_dict(), off.is_enabled()) == (1.0, {}, False)
    with pytest.raises(ArgumentError, match="growth_factor is 1"):
        einkorn.GradScaler(growth_factor=1)


# --- parameters in bfloat16 ---------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": {"lr": 1e-3},
    "SGD momentum": {"lr": 1e-4, "momentum": 0.9},
    "Adam": {"lr": 1e-4},
    "AdamW": {"lr": 1e-4},
    "Lion": {"lr": 1e-4},
    "Adagrad": {"lr": 1e-2},
    "RMSprop": {"lr": 1e-4},
    "Adamax": {"lr": 1e-4},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_small_steps_arrive(name: str) -> None:
    """A thousand steps, each too small to change a bfloat16 number, end where float32 ones do."""
    ends = []
    for dtype in ("float32", "bfloat16"):
        p = nn.Parameter(einkorn.full((3,), 2.0, dtype=dtype))
        step = getattr(optim, name.split()[0])([p], **OPTIMIZERS[name])
        for _ in range(1000):
            p.grad = einkorn.full((3,), 0.5, dtype=dtype)
            step.step()
        assert str(p.dtype) == dtype
        ends.append(p.float().numpy())
    assert ends[0][0] < 1.95
    np.testing.assert_array_equal(ends[1], ends[0].astype(BFLOAT16).astype(np.float32))


def test_masters_are_state() -> None:
    def made(value: Any) -> tuple[Any, Any]:
        p = nn.Parameter(value)
        return p, optim.SGD([p], lr=1e-3, momentum=0.5)

    def steps(p: Any, step: Any, n: int) -> None:
        for _ in range(n):
            p.grad = einkorn.full((2,), 0.25, dtype="bfloat16")
            step.step()

    p, step = made(einkorn.ones(2, dtype="bfloat16"))
    steps(p, step, 5)
    state = step.state_dict()
    assert state["state"][0]["master"].dtype == np.float32
    assert state["state"][0]["momentum_buffer"].dtype == np.float32
    q, again = made(p.detach().clone())
    again.load_state_dict(state)
    steps(p, step, 50)
    steps(q, again, 50)
    assert p.tolist() == q.tolist()
    assert (
        step.state_dict()["state"][0]["master"].tolist() == again.state_dict()["state"][0]["master"].tolist()
    )
    with einkorn.no_grad():
        p[0] = 4.0  # written by somebody else: the copy follows
    steps(p, step, 1)
    assert p[0].item() == 4.0
    assert step.state_dict()["state"][0]["master"][0] < 4.0


def test_clipping_and_modules_in_bfloat16(tmp_path: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).bfloat16()
    assert {v.dtype for k, v in model.state_dict().items() if "num_batches" not in k} == {BFLOAT16}
    out = model(einkorn.randn(16, 4, dtype="bfloat16"))
    assert out.dtype == BFLOAT16
    assert np.abs(model[1].running_mean.float().numpy()).max() > 0
    out.float().square().mean().backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    assert float(norm) > 1e-3
    assert float(nn.utils.clip_grad_norm_(model.parameters(), 1.0)) == pytest.approx(1e-3, rel=0.02)
    nn.utils.clip_grad_value_(model.parameters(), 1e-6)
    assert max(np.abs(p.grad.float().numpy()).max() for p in model.parameters()) <= 1.01e-6

    path = tmp_path / "m.safetensors"
    einkorn.save_weights(model, path)
    other = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).bfloat16()
    einkorn.load_weights(other, path)
    for key, value in model.state_dict().items():
        assert value.tobytes() == other.state_dict()[key].tobytes()
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from safetensors.torch import load_file

    theirs = load_file(path)
    assert theirs["0.weight"].dtype == torch.bfloat16
    assert theirs["0.weight"].float().tolist() == model[0].weight.tolist()


def test_a_model_comes_back_in_its_type(tmp_path: Any) -> None:
    model = einkorn.models.SoftmaxRegression(3, 2).bfloat16()
    einkorn.save(model, tmp_path / "m.safetensors")
    again = einkorn.load(tmp_path / "m.safetensors")
    assert {p.dtype for p in again.parameters()} == {BFLOAT16}
    for key, value in model.state_dict().items():
        assert value.tobytes() == again.state_dict()[key].tobytes()
