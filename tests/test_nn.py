"""Modules: torch's semantics, names, layouts and initial values."""

import copy
import math
from collections import OrderedDict

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import nn
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.register_buffer("mean", np.zeros(3, np.float32))
        self.register_buffer("scratch", np.zeros(2, np.float32), persistent=False)
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))

    def forward(self, x):
        return self.body(x * self.scale)


NAMES = ["scale", "body.0.weight", "body.0.bias", "body.2.weight"]


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# --- the tree ----------------------------------------------------------------------------------


def test_parameters_are_found_by_attribute_in_order():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [p.shape for p in net.parameters()] == [(3,), (4, 3), (4,), (2, 4)]
    assert [name for name, _ in net.named_children()] == ["body"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2"]
    assert [name for name, _ in net.named_buffers()] == ["mean", "scratch"]


def test_a_shared_parameter_is_given_once_but_saved_under_both_names():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert set(net.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    shared = nn.Linear(2, 2)
    twice = nn.Sequential(shared, shared)
    assert len(list(twice.parameters())) == 2
    assert len(list(twice.modules())) == 2


def test_a_parameter_is_not_replaced_by_a_plain_value():
    layer = nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match=r"Linear\.weight is a parameter, got ndarray"):
        layer.weight = np.zeros((2, 2))
    with pytest.raises(ArgumentError, match="parameter"):
        layer.weight = einkorn.Tensor(np.zeros((2, 2)))
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"]
    assert layer(rows(5, 2)).shape == (5, 2)


def test_a_parameter_owns_writeable_contiguous_memory():
    base = np.arange(6.0).reshape(2, 3)
    assert nn.Parameter(base).detach().numpy() is base
    for awkward in (base.T, np.broadcast_to(base, (2, 2, 3))):
        data = nn.Parameter(awkward).detach().numpy()
        assert data.flags.c_contiguous
        assert data.flags.writeable
        assert_array_equal(data, awkward)


def test_apply_visits_children_first_and_returns_self():
    net, seen = Net(), []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_train_and_eval_reach_every_module():
    net = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    x = rows(4, 8)
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert_array_equal(net(x), x)
    assert net.train() is net
    assert all(module.training for module in net.modules())
    assert (np.asarray(net(x)) == 0).any()


def test_requires_grad_freezes():
    net = Net()
    assert net.requires_grad_(False) is net
    assert not any(parameter.requires_grad for parameter in net.parameters())
    net.body[2].requires_grad_()
    net(rows(5, 3)).sum().backward()
    assert net.scale.grad is None
    assert net.body[2].weight.grad.shape == (2, 4)


def test_zero_grad():
    net = Net()
    net(rows(5, 3)).sum().backward()
    gradient = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is gradient
    assert not gradient.numpy().any()
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_forward_hooks_see_and_replace_the_output():
    layer, seen = nn.Linear(3, 2), []
    x = rows(4, 3)
    plain = layer(x).numpy()
    first = layer.register_forward_hook(lambda m, args, out: seen.append((m, args[0], out)))
    second = layer.register_forward_hook(lambda m, args, out: out * 2.0)
    assert_allclose(layer(x).numpy(), plain * 2, rtol=1e-6)
    assert seen[0][0] is layer
    assert seen[0][1] is x
    second.remove()
    first.remove()
    assert_array_equal(layer(x).numpy(), plain)
    assert len(seen) == 1


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Module defines no forward"):
        nn.Module()(1)


def test_deepcopy_shares_nothing():
    net = Net()
    twin = copy.deepcopy(net)
    twin.body[0].weight.data[...] = 0
    assert net.body[0].weight.data.any()
    assert [name for name, _ in twin.named_parameters()] == NAMES


def test_to_casts_parameters_and_buffers_in_place():
    net = Net()
    weight = net.body[0].weight
    assert net.to("float64") is net
    assert net.body[0].weight is weight
    assert {array.dtype for array in net.state_dict().values()} == {np.dtype("float64")}
    assert net(rows(2, 3).astype(float)).dtype == np.float64
    assert net.float().scale.dtype == np.float32
    assert net.double().scale.dtype == np.float64
    for bad in ("float16", np.int64, "gpu", 3.5):
        with pytest.raises(DTypeError, match="expected float32, float64 or bfloat16"):
            net.to(bad)
    with pytest.raises(DTypeError, match="to: got None, expected a device or a type of elements"):
        net.to(None)
    assert net.to("cpu") is net
    assert net.body[0].weight is weight


# --- state -------------------------------------------------------------------------------------


def test_state_dict_has_torch_names_and_shares_memory():
    net = Net()
    state = net.state_dict()
    assert list(state) == ["scale", "mean", "body.0.weight", "body.0.bias", "body.2.weight"]
    state["scale"][0] = 7
    assert net.scale.numpy()[0] == 7


def test_load_state_dict_copies():
    net, other = Net(), Net()
    state = {key: array + 1 for key, array in other.state_dict().items()}
    state["body.0.bias"] = state["body.0.bias"].astype(np.float64)
    result = net.load_state_dict(state)
    assert result.missing_keys == []
    assert result.unexpected_keys == []
    for key, array in net.state_dict().items():
        assert array.dtype == np.float32
        assert_allclose(array, state[key], rtol=1e-6)
        assert not np.shares_memory(array, state[key])


def test_load_state_dict_refuses_by_name_and_writes_nothing():
    net = Net()
    before = {key: array.copy() for key, array in net.state_dict().items()}
    state = {key: array + 1 for key, array in before.items()}
    renamed = {key.replace("mean", "average"): array for key, array in state.items()}
    with pytest.raises(ArgumentError, match=r"Net has missing keys mean; unexpected keys average"):
        net.load_state_dict(renamed)
    state["body.0.weight"] = np.zeros((3, 4))
    with pytest.raises(ShapeError, match=r"body\.0\.weight has shape \(3, 4\), expected \(4, 3\)"):
        net.load_state_dict(state)
    state["body.0.weight"] = np.array([["x"] * 3] * 4)
    with pytest.raises(DTypeError, match=r"body\.0\.weight"):
        net.load_state_dict(state)
    for key, array in net.state_dict().items():
        assert_array_equal(array, before[key])


def test_load_state_dict_not_strict():
    net = Net()
    result = net.load_state_dict({"scale": np.full(3, 5.0), "stranger": np.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["stranger"]
    assert result.missing_keys == ["mean", *NAMES[1:]]
    assert_array_equal(net.scale.numpy(), [5, 5, 5])


def test_state_moves_to_torch_and_back():
    torch = pytest.importorskip("torch")
    ours = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.PReLU(4), nn.Flatten(), nn.Linear(64, 3))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1, groups=2),
        torch.nn.PReLU(4),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 3),
    )
    x = rows(5, 2, 4, 4)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).numpy(), atol=1e-5)
        for parameter in ours.parameters():
            parameter.data += 0.25
        theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
        assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).numpy(), atol=1e-5)


# --- containers --------------------------------------------------------------------------------


def test_sequential_from_ordered_dict():
    net = nn.Sequential(OrderedDict(hidden=nn.Linear(3, 4), output=nn.Linear(4, 2)))
    assert next(iter(net.state_dict())) == "hidden.weight"
    assert net.hidden is net[0]
    assert net(rows(5, 3)).shape == (5, 2)


def test_sequential_is_a_list():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert len(net) == 3
    assert net[-1] is net[2]
    assert [type(layer).__name__ for layer in net] == ["Linear", "ReLU", "Linear"]
    assert isinstance(net[:2], nn.Sequential)
    assert net[:2](rows(5, 3)).shape == (5, 4)
    net[2] = nn.Linear(4, 7)
    assert net(rows(5, 3)).shape == (5, 7)
    net.append(nn.Linear(7, 1))
    assert net(rows(5, 3)).shape == (5, 1)
    with pytest.raises(IndexRangeError, match="index 4 is out of range for 4 layers"):
        net[4]
    with pytest.raises(ArgumentError, match="layer 0 is function, expected a Module"):
        nn.Sequential(lambda x: x)
    assert nn.Sequential()(5) == 5


def test_module_list_and_dict_register():
    layers = nn.ModuleList([nn.Linear(2, 2)])
    layers.append(nn.Linear(2, 3))
    layers.extend([nn.Identity()])
    assert len(layers) == 3
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert len(layers[1:]) == 2
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads["b"] = nn.Identity()
    assert heads.keys() == ["a", "b"]
    assert "b" in heads
    assert len(heads) == 2
    assert list(heads) == ["a", "b"]
    assert heads["a"].weight.shape == (1, 2)
    with pytest.raises(ArgumentError, match="is a method of Module"):
        heads["train"] = nn.Identity()


def test_repr_is_torch_style():
    torch = pytest.importorskip("torch")
    ours = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(9, 2), nn.Dropout(0.5)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(9, 2),
        torch.nn.Dropout(0.5),
    )
    assert repr(ours) == repr(theirs)
    assert "activation='relu'" in repr(nn.Linear(2, 2, activation="relu"))
    assert repr(nn.Parameter(np.zeros(2, np.float32))).startswith("Parameter containing:")


# --- layers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "sigmoid", "tanh"])
def test_fused_activation_is_the_layer_and_then_the_activation(activation):
    linear = nn.Linear(5, 4, activation=activation)
    conv = nn.Conv2d(2, 3, 3, activation=activation)
    after = nn.activation.by_name(activation, "test") if activation else nn.Identity()
    for layer, x in ((linear, rows(6, 5)), (conv, rows(2, 2, 6, 6))):
        fused = layer(x)
        fused.sum().backward()
        gradient = layer.weight.grad.numpy()
        layer.zero_grad()
        layer.activation = None
        plain = after(layer(x))
        plain.sum().backward()
        assert_allclose(fused.numpy(), plain.numpy(), atol=1e-6)
        assert_allclose(gradient, layer.weight.grad.numpy(), atol=1e-4)


ACTIVATIONS = [
    "ReLU()",
    "LeakyReLU(0.2)",
    "PReLU()",
    "ELU(0.7)",
    "Sigmoid()",
    "Tanh()",
    "GELU()",
    "GELU('tanh')",
    "SiLU()",
    "Softplus()",
    "Softmax(-1)",
    "Softmax(dim=1)",
    "LogSoftmax(-1)",
    "MaxPool2d(2)",
    "MaxPool2d(3, 2, 1, ceil_mode=True)",
    "AvgPool2d(2)",
    "AvgPool2d((3, 2), (2, 1), 1, count_include_pad=False)",
    "AdaptiveAvgPool2d((3, None))",
    "AdaptiveAvgPool2d(2)",
    "LPPool2d(2, 3, 2)",
    "Flatten()",
    "Flatten(0, 1)",
    "Unflatten(1, (2, -1))",
    "Identity(3, a=4)",
    "Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False)",
    "Conv2d(4, 3, 3, padding='same')",
    "Linear(7, 3)",
]


@pytest.mark.parametrize("layer", ACTIVATIONS)
def test_layer_agrees_with_torch(layer):
    torch = pytest.importorskip("torch")
    ours = eval(f"nn.{layer}", {"nn": nn})
    theirs = eval(f"nn.{layer}", {"nn": torch.nn})
    ours.load_state_dict(theirs.state_dict())
    data = rows(2, 4, 6, 7)
    x = einkorn.Tensor(data, requires_grad=True)
    t = torch.from_numpy(data.copy()).requires_grad_()
    y, u = ours(x), theirs(t)
    weight = rows(*u.shape, seed=1)
    assert_allclose(y.numpy(), u.detach().numpy(), atol=2e-5, rtol=1e-5)
    (y * weight).sum().backward()
    (u * torch.from_numpy(weight)).sum().backward()
    assert_allclose(x.grad.numpy(), t.grad.numpy(), atol=1e-4, rtol=1e-4)
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_allclose(ours_p.grad.numpy(), theirs_p.grad.numpy(), atol=1e-3, rtol=1e-4)


def test_step_and_global_average():
    assert_array_equal(nn.Step()(np.array([-1.0, 0.0, 2.0])), [0, 1, 1])
    x = rows(2, 3, 4, 5)
    y = nn.GlobalAvgPool2d()(x)
    assert y.shape == (2, 3, 1, 1)
    assert_allclose(y[..., 0, 0], x.mean((2, 3)), atol=1e-6)


LOSSES = [
    ("CrossEntropyLoss()", "classes"),
    ("CrossEntropyLoss(label_smoothing=0.1)", "classes"),
    ("CrossEntropyLoss(ignore_index=2, reduction='sum')", "classes"),
    ("CrossEntropyLoss()", "probabilities"),
    ("MSELoss()", "real"),
    ("MSELoss(reduction='sum')", "real"),
    ("L1Loss(reduction='none')", "real"),
    ("BCELoss()", "probabilities"),
    ("BCEWithLogitsLoss()", "probabilities"),
]


@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_loss_agrees_with_torch(loss, kind):
    torch = pytest.importorskip("torch")
    ours = eval(f"nn.{loss}", {"nn": nn})
    theirs = eval(f"nn.{loss}", {"nn": torch.nn})
    rng = np.random.default_rng(0)
    x = rows(6, 4)
    if "BCELoss" in loss:
        x = (1 / (1 + np.exp(-x))).astype(np.float32)
    target = {
        "classes": rng.integers(0, 4, 6),
        "probabilities": rng.dirichlet(np.ones(4), 6).astype(np.float32),
        "real": rows(6, 4, seed=2),
    }[kind]
    a = ours(einkorn.Tensor(x), target).numpy()
    assert_allclose(a, theirs(torch.from_numpy(x), torch.from_numpy(target)).numpy(), rtol=1e-5)


def test_cross_entropy_weight_is_a_buffer():
    torch = pytest.importorskip("torch")
    weight = np.array([1, 2, 0.5], np.float32)
    loss = nn.CrossEntropyLoss(weight)
    assert list(loss.state_dict()) == ["weight"]
    x, y = rows(5, 3), np.array([0, 1, 2, 1, 1])
    expected = torch.nn.CrossEntropyLoss(torch.from_numpy(weight))(torch.from_numpy(x), torch.from_numpy(y))
    assert_allclose(np.asarray(loss(x, y)), expected.numpy(), rtol=1e-6)


BAD_LAYERS = [
    ("Linear(-1, 2)", "in_features is -1"),
    ("Linear(2.5, 2)", "in_features is 2.5"),
    ("Linear(2, 2, activation='gelu')", "activation is 'gelu'"),
    ("Conv2d(3, 8, 0)", "kernel_size is 0"),
    ("Conv2d(3, 8, (3, 3, 3))", r"kernel_size is \(3, 3, 3\)"),
    ("Conv2d(3, 8, 3, stride=0)", "stride is 0"),
    ("Conv2d(3, 8, 3, padding=-1)", "padding is -1"),
    ("Conv2d(3, 8, 3, padding='full')", "padding is 'full'"),
    ("Conv2d(3, 8, 3, stride=2, padding='same')", "needs stride 1"),
    ("Conv2d(3, 8, 3, dilation=0)", "dilation is 0"),
    ("Conv2d(3, 8, 3, groups=2)", "in_channels is 3, expected a multiple of groups"),
    ("Conv2d(2, 3, 3, groups=2)", "out_channels is 3, expected a multiple of groups"),
    ("MaxPool2d(2, padding=2)", "at most half of kernel_size"),
    ("AvgPool2d(True)", "kernel_size is True"),
    ("AdaptiveAvgPool2d((1, 2, None))", "expected a pair"),
    ("LPPool2d(0, 2)", "norm_type is 0"),
    ("Dropout(1.5)", "p is 1.5"),
    ("Dropout(float('nan'))", "p is nan"),
    ("GELU('exact')", "approximate is 'exact'"),
    ("PReLU(0)", "num_parameters is 0"),
    ("MSELoss(reduction='average')", "reduction is 'average', expected one of none, mean, sum"),
    ("CrossEntropyLoss(label_smoothing=2)", "label_smoothing is 2"),
    ("Unflatten(1, ())", "unflattened_size"),
]


@pytest.mark.parametrize(("layer", "message"), BAD_LAYERS)
def test_bad_arguments_are_refused_by_name(layer, message):
    with pytest.raises(ArgumentError, match=message):
        eval(f"nn.{layer}", {"nn": nn})


# --- initial values ----------------------------------------------------------------------------


def test_default_initial_values_have_torchs_distribution():
    einkorn.manual_seed(0)
    for layer, fan in ((nn.Linear(100, 400), 100), (nn.Conv2d(20, 80, 5, groups=2), 250)):
        bound = 1 / math.sqrt(fan)
        for values in (layer.weight.numpy(), layer.bias.numpy()):
            assert abs(values).max() <= bound
            assert abs(values).max() > 0.95 * bound
            assert abs(values.mean()) < 4 * bound / math.sqrt(3 * values.size)


def test_initial_values_follow_the_seed():
    einkorn.manual_seed(5)
    a = nn.Linear(7, 3).weight.numpy()
    b = nn.Linear(7, 3).weight.numpy()
    einkorn.manual_seed(5)
    assert_array_equal(nn.Linear(7, 3).weight.numpy(), a)
    assert (a != b).any()


@pytest.mark.parametrize(
    ("function", "options", "low", "high", "std"),
    [
        ("xavier_uniform_", {}, -math.sqrt(6 / 500), math.sqrt(6 / 500), math.sqrt(2 / 500)),
        ("xavier_normal_", {"gain": 2.0}, None, None, 2 * math.sqrt(2 / 500)),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, -0.05, 0.05, 0.05 / math.sqrt(3)),
        ("kaiming_normal_", {"nonlinearity": "relu"}, None, None, math.sqrt(2 / 400)),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "tanh"}, None, None, 5 / 3 / 10),
        ("uniform_", {"a": 2.0, "b": 3.0}, 2.0, 3.0, 1 / math.sqrt(12)),
        ("normal_", {"mean": 1.0, "std": 0.5}, None, None, 0.5),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_init_distributions(function, options, low, high, std, dtype):
    einkorn.manual_seed(1)
    values = np.zeros((100, 400), dtype)
    assert getattr(nn.init, function)(values, **options) is values
    assert_allclose(values.std(), std, rtol=0.02)
    if low is not None:
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() <= high


def test_init_constants_and_gains():
    parameter = nn.Parameter(np.zeros((2, 3), np.float32))
    assert nn.init.ones_(parameter) is parameter
    assert_array_equal(parameter.numpy(), np.ones((2, 3)))
    assert_array_equal(nn.init.constant_(parameter, 2.5).numpy(), np.full((2, 3), 2.5))
    assert_array_equal(nn.init.zeros_(parameter).numpy(), np.zeros((2, 3)))
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.3) == pytest.approx(
        torch.nn.init.calculate_gain("leaky_relu", 0.3)
    )


def test_init_refuses():
    with pytest.raises(ArgumentError, match="nonlinearity is 'swish'"):
        nn.init.calculate_gain("swish")
    with pytest.raises(ShapeError, match="two axes or more"):
        nn.init.xavier_uniform_(np.zeros(3))
    with pytest.raises(ArgumentError, match="mode is 'fan'"):
        nn.init.kaiming_normal_(np.zeros((3, 3)), mode="fan")
    with pytest.raises(ArgumentError, match="a is 1"):
        nn.init.uniform_(np.zeros(3), 1.0, 0.0)
    with pytest.raises(ArgumentError, match="std is -1"):
        nn.init.normal_(np.zeros(3), 0.0, -1.0)
    with pytest.raises(ArgumentError, match="float32, float64 or bfloat16"):
        nn.init.zeros_(np.zeros(3, int))
    with pytest.raises(ArgumentError, match="C-contiguous"):
        nn.init.zeros_(np.zeros((3, 4)).T)
