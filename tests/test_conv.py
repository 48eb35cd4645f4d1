"""Convolution layers beside torch's: options, state, sizes asked for, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, ShapeError

LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Conv1d", (4, 6, 3, 2, 1), {"groups": 2}, (2, 4, 9)),
    ("Conv2d", (3, 4, (3, 2), 1, "same", 2, 1, False), {}, (2, 3, 7, 6)),
    ("Conv3d", (2, 3, 2, 1, (1, 0, 1)), {}, (2, 2, 4, 5, 3)),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1, 2), {}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 3, 4, 2, 1), {"bias": False}, (2, 4, 5, 3)),
    ("ConvTranspose3d", (2, 3, (1, 2, 2), (1, 2, 2), 0, (0, 1, 0), 1, True, 1), {}, (1, 2, 2, 3, 2)),
]


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS, ids=[row[0] for row in LAYERS])
def test_layers_are_torchs(
    name: str, arguments: Any, options: Any, shape: tuple[int, ...], torch: Any
) -> None:
    """Positional arguments, state and results; torch prints them alike."""
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    assert ours.extra_repr() == theirs.extra_repr()
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in state.items()
    }
    ours.load_state_dict(state)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    wanted = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(x).numpy(), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours(x[0]).numpy(), wanted[0], rtol=1e-4, atol=1e-5)


def test_a_transposed_layer_gives_the_size_that_is_asked_for(torch: Any) -> None:
    ours, theirs = nn.ConvTranspose2d(2, 3, 3, 2, 1), torch.nn.ConvTranspose2d(2, 3, 3, 2, 1)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    x = np.ones((1, 2, 4, 5), np.float32)
    for size in ((7, 9), (8, 10), (1, 3, 8, 9)):
        wanted = theirs(torch.from_numpy(x), output_size=size).detach().numpy()
        np.testing.assert_allclose(ours(x, output_size=size).numpy(), wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match=r"^ConvTranspose2d: output_size is \(9, 9\), expected sizes"):
        ours(x, output_size=(9, 9))


def test_a_transposed_convolution_is_the_input_gradient() -> None:
    rng = np.random.default_rng(1)
    x = Tensor(rng.normal(size=(2, 3, 8, 7)), requires_grad=True)
    w, g = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=(2, 4, 4, 3))
    einkorn.ops.conv2d(x, w, stride=2, padding=(1, 0)).backward(g)
    back = einkorn.ops.conv_transpose2d(g, w, stride=2, padding=(1, 0), output_padding=(1, 0))
    np.testing.assert_allclose(back, x.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(("channels", "outputs"), [(3, 2), (2, 3)])
@pytest.mark.parametrize(
    ("padding", "dilation", "depth"), [(0, 1, 3), (1, 1, 4), (2, 2, 5), (1, 2, 6), (3, 1, 2), (0, 1, 6)]
)
def test_volumes_give_torchs_gradients(
    channels: int, outputs: int, padding: int, dilation: int, depth: int, torch: Any
) -> None:
    """Either way along depth, also where padding is wider than the kernel."""
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(2, channels, depth, 4, 5)), rng.normal(size=(outputs, channels, 3, 2, 3))
    x, w = (Tensor(a, requires_grad=True) for a in arrays)
    tx, tw = (torch.from_numpy(a).requires_grad_() for a in arrays)
    options = {"padding": (padding, 1, 1), "dilation": (dilation, 1, 1)}
    theirs = torch.nn.functional.conv3d(tx, tw, **options)
    g = rng.normal(size=theirs.shape)
    einkorn.ops.conv3d(x, w, **options).backward(g)
    theirs.backward(torch.from_numpy(g))
    np.testing.assert_allclose(x.grad.numpy(), tx.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy(), rtol=1e-9, atol=1e-12)
    back = {**options, "dilation": 2, "output_padding": (1, 0, 1)}
    ours = einkorn.ops.conv_transpose3d(g, arrays[1], **back)
    wanted = torch.nn.functional.conv_transpose3d(torch.from_numpy(g), tw, **back).detach().numpy()
    np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-12)


def test_separable_layer_is_depthwise_then_pointwise() -> None:
    layer = nn.SeparableConv2d(3, 5, 3, padding=1, depth_multiplier=2, activation="relu")
    assert {k: v.shape for k, v in layer.state_dict().items()} == {
        "depthwise.weight": (6, 1, 3, 3),
        "pointwise.weight": (5, 6, 1, 1),
        "pointwise.bias": (5,),
    }
    x = np.random.default_rng(2).normal(size=(2, 3, 6, 5)).astype(np.float32)
    between = einkorn.ops.conv2d(x, layer.depthwise.weight.numpy(), padding=1, groups=3)
    wanted = einkorn.ops.conv2d(
        between, layer.pointwise.weight.numpy(), layer.pointwise.bias.numpy(), activation="relu"
    )
    np.testing.assert_array_equal(layer(x).numpy(), wanted)


def test_unfold_and_fold_layers_are_each_others_adjoint() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(2, 18, 12))
    options = {"kernel_size": (2, 3), "stride": (2, 1), "dilation": (2, 1)}
    columns = nn.Unfold(**options)(x)
    assert columns.shape == (2, 18, 10)
    y = y[:, :, :10]
    np.testing.assert_allclose((columns * y).sum(), (x * nn.Fold((6, 7), **options)(y)).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda o, x, w: o.conv_transpose2d(x, w, output_padding=1), ArgumentError, "output_padding is 1"),
        (lambda o, x, w: o.conv_transpose2d(x, w, padding=9), ShapeError, "gives an output of"),
        (lambda o, x, w: o.conv_transpose2d(x, w[:3]), ShapeError, r"weight has shape \(3, "),
        (lambda o, x, w: o.conv_transpose2d(x, w, groups=3), ShapeError, "groups is 3"),
        (lambda o, x, w: o.conv_transpose2d(x, w, np.zeros(3)), ShapeError, r"bias has shape \(3,\)"),
        (lambda o, x, w: o.conv_transpose2d(x, w, stride=1 << 30), ArgumentError, r"reach 2\*\*30"),
        (lambda o, x, w: o.conv_transpose2d(x, w, dilation=(1, 2, 3)), ArgumentError, "a pair of ints"),
        (lambda o, x, w: o.conv3d(x, w), ShapeError, "expected 5 dimensions"),
        (lambda o, x, w: o.unfold(x, 5), ShapeError, r"the window spans \(5, 5\)"),
        (lambda o, x, w: o.fold(x[0], (4, 4), 2), ShapeError, "9 columns"),
        (lambda o, x, w: o.fold(x[0], 4, 2, stride=0), ArgumentError, "stride is 0, expected at least 1"),
    ],
)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    x, w = np.zeros((1, 4, 4, 4)), np.zeros((4, 2, 3, 3))
    with pytest.raises(error, match=message):
        call(einkorn.ops, x, w)


def test_padding_mode_is_refused_where_torch_has_none() -> None:
    with pytest.raises(ArgumentError, match=r"padding_mode is 'reflect', expected one of 'zeros'$"):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")
    with pytest.raises(ArgumentError, match="padding_mode is 'mirror'"):
        nn.Conv2d(1, 1, 3, padding_mode="mirror")


LAZY: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("LazyLinear", (4,), {"bias": False}, (2, 5)),
    ("LazyConv1d", (4, 3), {"padding": 1}, (2, 3, 7)),
    ("LazyConv2d", (6, 3), {"groups": 3}, (2, 3, 7, 6)),
    ("LazyConv3d", (4, 2), {}, (3, 4, 4, 5)),
    ("LazyConvTranspose2d", (4, 3, 2), {"groups": 2}, (2, 6, 4, 3)),
    ("LazyBatchNorm2d", (), {"momentum": 0.2}, (2, 3, 4, 4)),
]


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAZY, ids=[row[0] for row in LAZY])
def test_lazy_layers_become_the_plain_ones(
    name: str, arguments: Any, options: Any, shape: tuple[int, ...], torch: Any
) -> None:
    x = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    parameters = list(ours.parameters())
    wanted = theirs(torch.from_numpy(x))
    assert ours(x).shape == tuple(wanted.shape)
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    assert [a is b for a, b in zip(ours.parameters(), parameters, strict=True)] == [True] * len(parameters)
    state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    ours.eval(), theirs.eval()
    wanted = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(x).numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_lazy_layers_train_with_an_optimizer_made_before_their_first_call() -> None:
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    model = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))
    optimizer = einkorn.optim.SGD(model.parameters(), lr=0.1)
    einkorn.ops.mse_loss(model(x), y).backward()
    before = [p.numpy().copy() for p in model.parameters()]
    optimizer.step()
    assert [p.shape for p in model.parameters()] == [(5, 3), (5,), (2, 5), (2,)]
    assert any((p.numpy() != b).any() for p, b in zip(model.parameters(), before, strict=True))


def test_lazy_layers_refuse_bad_options_at_once() -> None:
    with pytest.raises(ArgumentError, match="padding is 'full'"):
        nn.LazyConv2d(4, 3, padding="full")


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d", "Linear"])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_folds_into_the_layer_before(name: str, bias: bool) -> None:
    rng = np.random.default_rng(5)
    if name == "Linear":
        layer, bn, x = nn.Linear(4, 6, bias=bias), nn.BatchNorm1d(6), rng.normal(size=(3, 4))
    else:
        layer = getattr(nn, name)(4, 6, 3, bias=bias, groups=2)
        bn, x = nn.BatchNorm2d(6), rng.normal(size=(3, 4, 5, 5))
    x = x.astype(np.float32)
    for _ in range(3):
        bn(layer(x))
    bn.load_state_dict({**bn.state_dict(), "weight": rng.normal(size=6).astype(np.float32)})
    fold = nn.utils.fuse_linear_bn_eval if name == "Linear" else nn.utils.fuse_conv_bn_eval
    more = (True,) if name == "ConvTranspose2d" else ()
    with pytest.raises(ArgumentError, match="training mode"):
        fold(layer, bn, *more)
    layer.eval(), bn.eval()
    fused = fold(layer, bn, *more)
    np.testing.assert_allclose(fused(x).numpy(), bn(layer(x)).numpy(), rtol=1e-4, atol=1e-5)
    assert (layer.bias is None) is not bias


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "Conv3d"])
def test_padding_modes_are_torchs(name: str, mode: str, torch: Any) -> None:
    """An even kernel too, whose two sides differ, and gradients."""
    spatial = int(name[4])
    shape = (2, 2, 5, 4, 6)[: spatial + 2]
    for arguments in ((2, 3, 3, 1, (2, 1, 1)[:spatial]), (2, 3, (4, 3, 2)[:spatial], 1, "same")):
        theirs = getattr(torch.nn, name)(*arguments, padding_mode=mode).double()
        ours = getattr(nn, name)(*arguments, padding_mode=mode)
        ours.to(np.float64)
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        assert ours.extra_repr() == theirs.extra_repr()
        values = np.random.default_rng(6).normal(size=shape)
        x, y = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        got, wanted = ours(x), theirs(y)
        np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-12)
        (got * got).sum().backward(), (wanted * wanted).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-10)


def test_an_image_too_small_for_its_padding_is_refused() -> None:
    layer = nn.Conv2d(1, 1, 3, padding=3, padding_mode="reflect")
    with pytest.raises(ShapeError, match=r"^Conv2d: x has shape \(1, 1, 3, 5\), too small for 3 pixels"):
        layer(np.zeros((1, 1, 3, 5), np.float32))


# --- relu before a maximum over windows: one gradient for both ------------------------------------


def _pooled_gradients(kernel, stride, padding, separate, watched, shape=(2, 3, 9, 10)):
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in (shape, (4, shape[1], 3, 3), (4,))]
    x, w, b = (einkorn.Tensor(a, requires_grad=True) for a in arrays)
    y = ops.relu(ops.conv2d(x, w, b)) if separate else ops.conv2d(x, w, b, activation="relu")
    if watched:  # then the gradient between the two is made
        y.register_hook(lambda g: None)
    pooled = ops.max_pool2d(y, kernel, stride, padding)
    (pooled * pooled).sum().backward()
    return [t.grad.numpy() for t in (x, w, b)]


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 1, 0), (1, 3, 0)])
def test_relu_and_maximum_have_the_gradient_that_each_has_alone(kernel, stride, padding, separate):
    joint = _pooled_gradients(kernel, stride, padding, separate, False)
    for one, other in zip(joint, _pooled_gradients(kernel, stride, padding, separate, True), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_gradient_between_relu_and_maximum_is_not_cut_when_asked_for():
    x = einkorn.Tensor(-np.ones((1, 1, 4, 4), np.float32), requires_grad=True)
    y = ops.relu(x)
    (between,) = einkorn.grad(ops.max_pool2d(y, 2).sum(), y)
    assert between.numpy().sum() == 4  # of the first of equal maxima, though relu lets nothing through
    y = ops.relu(x)
    y.retain_grad()
    ops.max_pool2d(y, 2).sum().backward()
    assert y.grad.numpy().sum() == 4
    assert not x.grad.numpy().any()


def test_relu_and_maximum_beside_another_use_overwritten_maxima_and_a_second_pass():
    values = np.random.default_rng(0).standard_normal((1, 2, 6, 6)).astype(np.float32)
    wanted = _through_relu(values, lambda y: ops.max_pool2d(y, 2).sum() + (y * 3).sum(), watched=True)
    got = _through_relu(values, lambda y: ops.max_pool2d(y, 2).sum() + (y * 3).sum())
    np.testing.assert_array_equal(got, wanted)

    def overwritten(y):
        pooled = ops.max_pool2d(y, 2)
        pooled -= 10
        return pooled.sum()

    plain = _through_relu(values, lambda y: ops.max_pool2d(y, 2).sum())
    np.testing.assert_array_equal(_through_relu(values, overwritten), plain)
    np.testing.assert_array_equal(_through_relu(values, lambda y: ops.max_pool2d(y, 2).sum(), 2), 2 * plain)


def _through_relu(values, after, passes=1, watched=False):
    x = einkorn.Tensor(values, requires_grad=True)
    y = ops.relu(x)
    if watched:
        y.register_hook(lambda g: None)
    end = after(y)
    for left in reversed(range(passes)):
        end.backward(retain_graph=left > 0)
    return x.grad.numpy()
