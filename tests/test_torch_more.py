"""torch's smaller packages: derivatives of functions, pruning, checkpoints, special functions, old names."""

import copy
import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import nn
from einkorn.errors import ArgumentError, DTypeError, EinkornError, ShapeError

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(3,)), RNG.normal(size=(3,))


def flat(value):
    """All numbers of a nest of tensors, and the shapes."""
    if isinstance(value, (tuple, list)):
        return [part for item in value for part in flat(item)]
    if isinstance(value, dict):
        return flat(list(value.values()))
    return [np.asarray(value.detach())]


def same(run, **tolerance):
    """``run(library)`` gives the same nest of numbers for both."""
    mine, theirs = flat(run(einkorn)), flat(run(torch))
    assert [a.shape for a in mine] == [a.shape for a in theirs]
    for a, b in zip(mine, theirs, strict=True):
        assert_allclose(a, b, **{"rtol": 1e-6, "atol": 1e-8, **tolerance})


# --- derivatives of functions -------------------------------------------------------------------


def product(x, y):
    return x * y.exp(), (x * x).sum() + y[0]


def energy(x, y):
    return (x**3 * y).sum() + (y * y).sum()


@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
@pytest.mark.parametrize("several", [False, True])
def test_whole_derivatives_are_torchs(name, several):
    def run(library):
        derivative = getattr(library.autograd.functional, name)
        x, y = library.tensor(X), library.tensor(Y)
        v, w = library.tensor(Y + 1), library.tensor(X - 1)
        if name in ("jacobian", "hessian"):
            function = product if name == "jacobian" else energy
            return derivative(function, (x, y)) if several else derivative(lambda x: function(x, y), x)
        if name in ("vhp", "hvp"):
            return derivative(energy, (x, y), (v, w)) if several else derivative(lambda x: energy(x, y), x, v)
        if several:
            return derivative(product, (x, y), (v, w[0]) if name == "vjp" else (v, w))
        return derivative(lambda x: x * y.exp(), x, v)

    same(run)


def test_jacobians_are_differentiated_again():
    def run(library):
        x = library.tensor(X, requires_grad=True)
        rows = library.autograd.functional.jacobian(lambda x: x**3, x, create_graph=True)
        rows.sum().backward()
        return x.grad

    same(run)


def test_derivatives_of_what_does_not_depend_on_the_input():
    x = einkorn.ones(2)
    constant = einkorn.tensor([3.0, 4.0])
    assert einkorn.autograd.functional.jacobian(lambda x: constant * 2, x).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(ArgumentError, match="strict"):
        einkorn.autograd.functional.jacobian(lambda x: constant * 2, x, strict=True)
    with pytest.raises(ShapeError, match=r"vjp: v has shapes \[\(3,\)\], expected \[\(2,\)\]"):
        einkorn.autograd.functional.vjp(lambda x: x * 2, x, einkorn.ones(3))


def test_gradients_are_checked_against_differences():
    from einkorn.autograd import GradcheckError, gradcheck, gradgradcheck

    x = einkorn.tensor(X, requires_grad=True)
    y = einkorn.tensor(Y, requires_grad=True)
    assert gradcheck(product, (x, y))
    assert gradgradcheck(energy, (x, y))
    assert gradcheck(lambda x: x @ einkorn.tensor(Y), x)

    class Wrong(einkorn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    with pytest.raises(GradcheckError, match=r"inputs\[0\]"):
        gradcheck(Wrong.apply, (x,))
    assert not gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(ArgumentError, match="float64"):
        gradcheck(Wrong.apply, (einkorn.ones(2, requires_grad=True),))
    with pytest.raises(ArgumentError, match="no input"):
        gradcheck(Wrong.apply, (einkorn.tensor(X),))


FUNC = {
    "grad": lambda f, x, y: f.grad(energy)(x, y),
    "grad of the second": lambda f, x, y: f.grad(energy, argnums=1)(x, y),
    "grad of both": lambda f, x, y: f.grad(energy, argnums=(0, 1))(x, y),
    "grad of grad": lambda f, x, y: f.grad(lambda x: f.grad(energy)(x, y).sum())(x),
    "value": lambda f, x, y: f.grad_and_value(energy)(x, y),
    "aux": lambda f, x, y: f.grad(lambda x: (energy(x, y), x * 2), has_aux=True)(x),
    "vjp": lambda f, x, y: (lambda y_, pull: (y_, pull(y)))(*f.vjp(lambda x: x.sin(), x)),
    "jvp": lambda f, x, y: f.jvp(lambda x: x.sin() * 2, (x,), (y,)),
    "jacrev": lambda f, x, y: f.jacrev(lambda x: x * y.exp() * x.sum())(x),
    "jacfwd": lambda f, x, y: f.jacfwd(lambda x: x * y.exp() * x.sum())(x),
    "hessian": lambda f, x, y: f.hessian(lambda x: energy(x, y))(x),
    "vmap": lambda f, x, y: f.vmap(lambda a, b: a * b + a)(x, y),
    "vmap in_dims": lambda f, x, y: f.vmap(lambda a, b: a * b, in_dims=(0, None))(x, y),
    "vmap out_dims": lambda f, x, y: f.vmap(lambda a: a * y, out_dims=1)(x),
    "vmap grad": lambda f, x, y: f.vmap(f.grad(lambda a: (a * y).pow(2).sum()))(x),
}


@pytest.mark.parametrize("name", FUNC)
def test_functions_of_functions_are_torchs(name):
    same(lambda library: FUNC[name](library.func, library.tensor(X), library.tensor(Y)))


def test_a_module_as_a_function_of_its_parameters():
    def run(library):
        layer = library.nn.Linear(3, 2).double()
        weight = library.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
        values = {"weight": weight, "bias": library.tensor([1.0, 2.0], dtype=library.float64)}
        before = layer.weight
        out = library.func.functional_call(layer, values, (library.tensor(X),))
        assert layer.weight is before
        out.sum().backward()
        assert before.grad is None
        return out, weight.grad

    same(run)
    with pytest.raises(ArgumentError, match="Linear has no wieght"):
        einkorn.func.functional_call(nn.Linear(3, 2), {"wieght": einkorn.ones(2, 3)}, einkorn.ones(3))
    with pytest.raises(ShapeError, match="weight"):
        einkorn.func.functional_call(nn.Linear(3, 2), {"weight": einkorn.ones(3, 2)}, einkorn.ones(3))


# --- checkpoints and pruning ----------------------------------------------------------------------


def test_checkpoints_give_the_same_gradients():
    from einkorn.utils.checkpoint import checkpoint, checkpoint_sequential

    einkorn.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 1))
    x = einkorn.randn(4, 3, requires_grad=True)
    net(x).sum().backward()
    wanted = [p.grad.numpy().copy() for p in net.parameters()]
    for run in (
        lambda: checkpoint(net, x, use_reentrant=False),
        lambda: checkpoint_sequential(net, 2, x, use_reentrant=False),
        lambda: checkpoint_sequential(list(net), 5, x),
    ):
        net.zero_grad()
        run().sum().backward()
        for p, g in zip(net.parameters(), wanted, strict=True):
            assert_array_equal(p.grad, g)
    with pytest.raises(ArgumentError, match="segments is 6"):
        checkpoint_sequential(net, 6, x)


def pruned(library, how):
    prune = library.nn.utils.prune
    layer = library.nn.Linear(6, 4)
    with library.no_grad():
        layer.weight[...] = library.tensor(np.sin(np.arange(24.0) + 1).reshape(4, 6).astype(np.float32))
    how(prune, layer)
    out = layer(library.ones(2, 6))
    out.sum().backward()
    trained = layer.weight_orig if hasattr(layer, "weight_orig") else layer.weight
    return layer.weight, out - layer.bias, trained.grad, sorted(name for name, _ in layer.named_parameters())


def again(prune, layer):
    prune.l1_unstructured(layer, "weight", 5)
    prune.ln_structured(layer, "weight", 0.25, n=2, dim=0)


def removed(prune, layer):
    again(prune, layer)
    assert prune.is_pruned(layer)
    prune.remove(layer, "weight")
    assert not prune.is_pruned(layer)


@pytest.mark.parametrize(
    "how",
    [
        lambda prune, layer: prune.l1_unstructured(layer, "weight", 0.3),
        lambda prune, layer: prune.l1_unstructured(layer, name="weight", amount=7),
        lambda prune, layer: prune.ln_structured(layer, "weight", 0.5, n=1, dim=1),
        lambda prune, layer: prune.identity(layer, "weight"),
        lambda prune, layer: prune.global_unstructured([(layer, "weight")], prune.L1Unstructured, amount=0.5),
        again,
        removed,
    ],
)
def test_pruned_weights_are_torchs(how):
    mine, theirs = pruned(einkorn, how), pruned(torch, how)
    assert mine[3] == theirs[3]
    for a, b in zip(mine[:3], theirs[:3], strict=True):
        assert_allclose(np.asarray(a.detach()), np.asarray(b.detach()), 1e-5, 1e-6)


def test_pruning_by_chance_and_its_state():
    prune = nn.utils.prune
    layer = nn.Linear(10, 10)
    prune.random_unstructured(layer, "weight", 0.25)
    assert int((layer.weight == 0).sum()) == 25
    assert set(layer.state_dict()) == {"bias", "weight_orig", "weight_mask"}
    optimizer = einkorn.optim.SGD(layer.parameters(), lr=0.1)
    layer(einkorn.ones(3, 10)).sum().backward()
    optimizer.step()
    layer(einkorn.ones(3, 10))
    assert int((layer.weight == 0).sum()) == 25
    twin = copy.deepcopy(nn.Sequential(prune.random_structured(nn.Linear(4, 4), "weight", 1, dim=0)))
    twin(einkorn.ones(1, 4))
    assert int((twin[0].weight == 0).all(1).sum()) == 1
    for bad in (-1, 1.5, 101, True):
        with pytest.raises(ArgumentError, match="amount"):
            prune.l1_unstructured(nn.Linear(10, 10), "weight", bad)
    with pytest.raises(ArgumentError, match="wieght"):
        prune.l1_unstructured(nn.Linear(2, 2), "wieght", 1)
    with pytest.raises(ArgumentError, match="not pruned"):
        prune.remove(nn.Linear(2, 2), "weight")


# --- modules --------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.register_buffer("scale", einkorn.ones(1), persistent=False)


def test_parts_of_a_module_by_dotted_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_mean") is net.body[1].running_mean
    assert net.get_buffer("scale") is net.scale
    net.set_submodule("body.0", nn.Linear(3, 4, bias=False))
    assert net.body[0].bias is None
    for ask in (
        lambda: net.get_submodule("body.7"),
        lambda: net.get_parameter("body.0.running_mean"),
        lambda: net.get_buffer("body.0.weight"),
        lambda: net.set_submodule("head", nn.Identity(), strict=True),
    ):
        with pytest.raises(AttributeError, match="Net has no"):
            ask()
    assert net.cpu() is net
    with pytest.raises(DTypeError, match="bfloat16"):
        net.half()


def test_state_under_a_prefix_and_as_it_is_kept():
    net = Net()
    assert next(iter(net.state_dict(prefix="net."))) == "net.body.0.weight"
    into = {"epoch": 3}
    assert net.state_dict(destination=into) is into
    assert "body.0.bias" in into
    assert net.state_dict(keep_vars=True)["body.0.weight"] is net.body[0].weight
    assert "scale" not in net.state_dict()
    double = {name: np.asarray(value, np.float64) for name, value in net.state_dict().items()}
    net.load_state_dict(double)
    assert net.body[0].weight.dtype == np.float32
    net.load_state_dict(double, assign=True)
    assert net.body[0].weight.dtype == np.float64


def test_containers_change_as_lists_and_dicts_do():
    def run(library):
        layers = library.nn.ModuleList([library.nn.Linear(i + 1, 1) for i in range(3)])
        layers.insert(1, library.nn.Linear(9, 1))
        layers.pop(0)
        del layers[-1]
        layers += [library.nn.Linear(7, 1)]
        assert layers[0] in layers
        chain = library.nn.Sequential(library.nn.Linear(1, 2), library.nn.Linear(2, 3))
        chain.insert(1, library.nn.ReLU())
        chain = chain + library.nn.Sequential(library.nn.Tanh())
        chain.pop(0)
        table = library.nn.ModuleDict({"a": library.nn.Linear(1, 1), "b": library.nn.ReLU()})
        table.update({"c": library.nn.Linear(2, 2)})
        table.pop("a")
        values = library.nn.ParameterDict({"u": library.nn.Parameter(library.ones(1))})
        values.update({"v": library.nn.Parameter(library.ones(2))})
        values.setdefault("w", library.nn.Parameter(library.ones(3)))
        values.pop("u")
        assert values.get("u") is None
        return (
            [layer.in_features for layer in layers],
            list(layers.state_dict()),
            [type(layer).__name__ for layer in chain],
            list(chain.state_dict()),
            list(table.keys()),
            list(values.keys()),
        )

    assert run(einkorn) == run(torch)


def test_a_module_in_data_parallel_is_called():
    def run(library):
        inner = library.nn.Linear(2, 1)
        outer = library.nn.DataParallel(inner)
        assert outer.module is inner
        return list(outer.state_dict()), tuple(outer(library.ones(3, 2)).shape)

    assert run(einkorn) == run(torch)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Float", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool", "BFloat16"]
)
def test_constructors_by_type(name):
    def run(library):
        make = getattr(library, f"{name}Tensor")
        return [
            (str(t.dtype).removeprefix("torch."), tuple(t.shape))
            for t in (make([1, 0, 1]), make([[1, 0]]), make(2, 3), make(3), make())
        ]

    assert run(einkorn) == run(torch)
    assert getattr(einkorn, f"{name}Tensor")([[1, 0]]).tolist() == [[1, 0]]


SAME = {
    "hann": lambda library: library.hann_window(7),
    "hamming": lambda library: library.hamming_window(8, periodic=False),
    "blackman": lambda library: library.blackman_window(5),
    "bartlett": lambda library: library.bartlett_window(6),
    "nextafter": lambda library: library.nextafter(library.tensor([1.0, 0.0]), library.tensor([2.0, -1.0])),
    "histogram": lambda library: library.histogram(library.tensor([1.0, 2.0, 2.5, 9.0]), 4),
    "histogram edges": lambda library: library.histogram(
        library.tensor([1.0, 2.0, 2.5]), library.tensor([0.0, 2.0, 4.0]), density=True
    ),
    "as_strided": lambda library: library.as_strided(library.arange(12.0), (3, 4), (2, 1), 1),
    "narrow_copy": lambda library: library.arange(12.0).reshape(3, 4).narrow_copy(1, 1, 2),
    "real": lambda library: library.tensor([1.0]).real,
    "variable": lambda library: library.autograd.Variable(library.ones(2), requires_grad=True),
    "svd": lambda library: library.svd(library.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))[1],
    "batch_norm": lambda library: library.batch_norm(
        library.arange(6.0).reshape(3, 2), library.ones(2), None, None, None, True, 0.1, 1e-5, False
    ),
    "embedding_bag": lambda library: library.nn.functional.embedding_bag(
        library.tensor([0, 1, 1]), library.arange(6.0).reshape(3, 2), library.tensor([0, 2]), mode="sum"
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_functions_are_torchs(name):
    same(SAME[name], rtol=1e-5, atol=1e-6)


def test_settings_that_change_nothing():
    einkorn.set_default_tensor_type(einkorn.FloatTensor)
    einkorn.set_default_device("cpu")
    einkorn.set_float32_matmul_precision("high")
    assert einkorn.get_float32_matmul_precision() == "high"
    einkorn.set_float32_matmul_precision("highest")
    with einkorn.autograd.detect_anomaly(), einkorn.autograd.set_detect_anomaly(True):
        pass
    for bad in (
        lambda: einkorn.set_default_tensor_type("torch.DoubleTensor"),
        lambda: einkorn.set_default_device("cuda"),
        lambda: einkorn.set_float32_matmul_precision("low"),
        lambda: einkorn.as_strided(einkorn.ones(4), (3, 3), (1, 1)),
        lambda: einkorn.range(0, 3, -1),
    ):
        with pytest.raises(EinkornError):
            bad()


def test_a_constructor_by_type_is_a_type():
    x = einkorn.ones(2)
    assert isinstance(x, einkorn.FloatTensor)
    assert not isinstance(x, einkorn.LongTensor)
    assert x.type(einkorn.LongTensor).dtype == einkorn.int64
    assert x.to(einkorn.DoubleTensor.dtype).dtype == einkorn.float64


@pytest.mark.parametrize(
    ("owner", "name", "words"),
    [
        (lambda: einkorn, "Relu", "'relu'"),
        (lambda: nn, "Conv2D", "'Conv2d'"),
        (lambda: nn.functional, "crossentropy", "'cross_entropy'"),
        (lambda: einkorn.autograd, "gradchek", "'gradcheck'"),
        (lambda: einkorn, "fft", "no complex numbers"),
        (lambda: einkorn, "float16", "bfloat16"),
    ],
)
def test_a_name_that_is_not_there_names_the_nearest(owner, name, words):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'.*{words}"):
        getattr(owner(), name)
    assert not hasattr(owner(), name)


# --- special functions ----------------------------------------------------------------------------

EDGES = np.array([-2.5, -1.0, -0.0, 0.0, 1e-300, 0.5, 1.0, 2.0, 30.0, 1e300, np.inf, -np.inf, np.nan])
SMOOTH = np.array([0.15, 0.4, 0.75, 0.9])
SPECIAL = {
    **{
        name: name
        for name in (
            *("digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammaln", "i0"),
            *("i0e", "i1", "i1e", "log1p", "log_ndtr", "logit", "ndtr", "ndtri", "psi", "sinc", "round"),
        )
    },
    "polygamma": lambda special, x: special.polygamma(2, x),
    "multigammaln": lambda special, x: special.multigammaln(x + 2.0, 2),
    "xlog1py": lambda special, x: special.xlog1py(x, x * 2),
    "xlogy": lambda special, x: special.xlogy(x, x * 2),
    "logsumexp": lambda special, x: special.logsumexp(x, 0),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_are_torchs(name):
    pytest.importorskip("scipy")
    call = SPECIAL[name]

    def run(library, values):
        x = library.tensor(values, requires_grad=True)
        out = getattr(library.special, call)(x) if isinstance(call, str) else call(library.special, x)
        out.sum().backward()
        return out, x.grad

    same(functools.partial(run, values=SMOOTH))
    if name not in ("polygamma", "multigammaln", "logsumexp"):
        mine, theirs = (flat(run(library, EDGES)[0])[0] for library in (einkorn, torch))
        assert_allclose(mine, theirs, 1e-6, 1e-12)


# --- states ---------------------------------------------------------------------------------------


def test_a_state_is_of_arrays_that_have_a_tensors_methods():
    net = Net()
    state = net.state_dict()
    weight = state["body.0.weight"]
    assert isinstance(weight, np.ndarray)
    assert weight.size == 12
    assert weight.size() == (4, 3)
    assert weight.size(0) == 4
    assert weight.numel() == 12
    assert weight.clone().tolist() == weight.cpu().tolist() == weight.tolist()
    assert weight.copy().shape == (4, 3)
    assert np.shares_memory(weight, net.body[0].weight.numpy())
    weight.zero_()
    assert not net.body[0].weight.any()
    kept = {name: value.clone() for name, value in state.items()}
    mixed = {name: kept[name] * 0.5 + state[name] * 0.5 for name in state}
    net.load_state_dict(mixed)
    net.load_state_dict(copy.deepcopy(state))
    assert not hasattr(weight, "backward")
    for name in ("no_such_name", "requires_grad"):
        with pytest.raises(AttributeError, match=name):
            getattr(weight, name)


def test_a_write_through_a_state_is_noticed_by_the_graph():
    layer = nn.Linear(2, 2)
    loss = (layer.weight * layer.weight).sum()
    layer.load_state_dict({name: np.zeros_like(value) for name, value in layer.state_dict().items()})
    with pytest.raises(einkorn.errors.GradientError, match="overwritten"):
        loss.backward()


def test_a_number_in_a_saved_dict_stays_a_number(tmp_path):
    norm = nn.BatchNorm1d(2)
    einkorn.save({"model": norm.state_dict(), "step": einkorn.tensor(3)}, tmp_path / "state.pt")
    found = einkorn.load(tmp_path / "state.pt")
    assert found["model"]["num_batches_tracked"].shape == ()
    assert found["step"].shape == ()
    norm.load_state_dict(found["model"])


def test_sequences_of_class_numbers_are_padded():
    def run(library):
        from_lists = [library.tensor([2, 4, 5]), library.tensor([7])]
        return library.nn.utils.rnn.pad_sequence(from_lists, batch_first=True, padding_value=1)

    same(run)
    same(lambda library: library.nn.utils.rnn.pad_sequence([library.tensor([2, 4]), library.tensor([7])]))
    assert run(einkorn).dtype == einkorn.int64


def test_gradients_of_several_results_are_not_taken_for_overwritten():
    """An array made in the backward pass may have the place of one that was written before it."""
    encoder, decoder = nn.GRU(4, 4, batch_first=True), nn.GRU(4, 4, batch_first=True)
    for _ in range(20):
        outputs, hidden = encoder(einkorn.randn(5, 6, 4))
        total = einkorn.zeros(())
        for step in range(6):
            start = einkorn.empty(5, 1, dtype=einkorn.long).fill_(0)
            given = einkorn.ones(5, 1, 4) * start.float().unsqueeze(2)
            out, hidden = decoder(given, hidden)
            total = total + (out * outputs[:, step : step + 1]).sum()
        total.backward()
    assert encoder.weight_ih_l0.grad.isfinite().all()
