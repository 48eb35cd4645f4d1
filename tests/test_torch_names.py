"""torch's functions under einkorn itself: names, signatures, ``out``, arrays, generators, devices, types."""

import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, _torch_names
from einkorn.errors import ArgumentError, DTypeError, GradientError, ShapeError

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5))


def documented(name):
    """The positional arguments of torch's function, as its documentation writes them."""
    text = getattr(torch, name).__doc__ or ""
    found = re.search(rf"^\s*{name}\((.*)\) ->", text, re.M)
    if found is None:
        return None
    parts = found[1].partition("*")[0].split(",")
    return [p.partition(":")[0].partition("=")[0].strip() for p in parts if p.strip()]


@pytest.mark.parametrize("name", _torch_names.NAMES)
def test_a_function_is_what_torch_names(name):
    function = getattr(einkorn, name)
    assert function is getattr(einkorn, name)
    assert function.__name__ == name
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__doc__
    parameters = list(inspect.signature(function).parameters)
    wanted = documented(name)
    special = (
        "concat",
        "concatenate",
        "rot90",
        "scatter",
        "squeeze",
        "std",
        "true_divide",
        "tensor_split",
        "unique_consecutive",
        "var",
    )
    if wanted and name not in special:
        assert parameters[: len(wanted)] == wanted


def test_the_types_of_all_functions_are_written_down():
    stub = Path(_torch_names.__file__).with_suffix(".pyi").read_text()
    assert set(re.findall(r"^def (\w+)\(", stub, re.M)) == {*_torch_names.NAMES, "make", "written"}


def test_what_einkorn_ops_means_otherwise_is_torchs_here():
    t = Tensor(X)
    values, indices = einkorn.max(t, 1)
    assert indices.tolist() == X.argmax(1).tolist()
    assert values.tolist() == X.max(1).tolist()
    assert einkorn.sign(Tensor([np.nan])).item() == 0
    assert isinstance(einkorn.std(t), Tensor)
    np.testing.assert_allclose(einkorn.std(t).item(), X.std(ddof=1))
    assert einkorn.split(t, 2)[1].tolist() == X[2:].tolist()
    assert einkorn.sum(input=t, dim=0).shape == (5,)


def test_arrays_give_arrays_and_a_number_takes_the_type_of_the_tensor():
    assert isinstance(einkorn.exp(X), np.ndarray)
    assert isinstance(einkorn.max(X, 1).values, np.ndarray)
    out = einkorn.pow(2, Tensor(np.array([1.0, 2.0], np.float32)))
    assert (out.dtype, out.tolist()) == (np.float32, [2.0, 4.0])
    assert einkorn.pow(2.5, Tensor(np.array([1, 2]))).dtype == np.float32
    with pytest.raises(DTypeError, match="exp: input is a list"):
        einkorn.exp([1.0])
    with pytest.raises(TypeError, match="input"):
        einkorn.exp()


@pytest.mark.parametrize("name", ["exp", "sum", "argmax", "floor", "cumsum", "topk", "matmul"])
def test_out_is_written_and_returned(name):
    args = {"cumsum": (1,), "topk": (2,), "matmul": (Tensor(X.T.copy()),)}.get(name, ())
    plain = getattr(einkorn, name)(Tensor(X), *args)
    if isinstance(plain, tuple):
        out = tuple(einkorn.zeros_like(part) for part in plain)
        given = getattr(einkorn, name)(Tensor(X), *args, out=out)
        assert all(a is b for a, b in zip(given, out, strict=True))
        assert all(a.tolist() == b.tolist() for a, b in zip(out, plain, strict=True))
        return
    out = einkorn.zeros_like(plain)
    assert getattr(einkorn, name)(Tensor(X), *args, out=out) is out
    assert out.tolist() == plain.tolist()


def test_out_that_does_not_fit_is_refused():
    x = Tensor(X)
    empty = einkorn.empty(0, dtype=np.float64)
    assert einkorn.exp(x, out=empty).shape == (4, 5)
    with pytest.raises(ShapeError, match="exp: out has shape"):
        einkorn.exp(x, out=einkorn.zeros(3, dtype=np.float64))
    with pytest.raises(DTypeError, match="exp: out has dtype int64"):
        einkorn.exp(x, out=einkorn.zeros(4, 5, dtype=np.int64))
    with pytest.raises(GradientError, match="exp: out"):
        einkorn.exp(Tensor(X, requires_grad=True), out=einkorn.zeros(4, 5, dtype=np.float64))
    with pytest.raises(ArgumentError, match="max: out"):
        einkorn.max(x, 1, out=einkorn.zeros(4))
    with pytest.raises(TypeError, match="out"):
        einkorn.flatten(x, out=x)


@pytest.mark.parametrize(
    ("a", "b"),
    [(np.float32, np.int64), (np.int8, np.uint8), (bool, np.uint8), (np.float32, np.float64), (bool, bool)],
)
def test_types_are_promoted_as_in_torch(a, b):
    names = [np.dtype(kind).name for kind in (a, b)]
    theirs = [getattr(torch, name) for name in names]
    assert str(torch.promote_types(*theirs)).removeprefix("torch.") == einkorn.promote_types(a, b).name
    assert torch.can_cast(*theirs) == einkorn.can_cast(a, b)
    for shape in ((), (2,)):
        mine = einkorn.zeros(shape, dtype=a), einkorn.zeros(2, dtype=b)
        other = torch.zeros(shape, dtype=theirs[0]), torch.zeros(2, dtype=theirs[1])
        assert str(torch.result_type(*other)).removeprefix("torch.") == einkorn.result_type(*mine).name
    for number in (True, 2, 2.5):
        mine = einkorn.result_type(einkorn.zeros(2, dtype=a), number)
        assert str(torch.result_type(torch.zeros(2, dtype=theirs[0]), number)).endswith("." + mine.name)


def test_draws_of_a_generator_leave_the_stream_of_all_alone():
    einkorn.manual_seed(3)
    before = einkorn.get_rng_state()
    first = einkorn.Generator().manual_seed(1)
    a = [f(generator=first).tolist() for f in DRAWS]
    again = einkorn.Generator("cpu").manual_seed(1)
    assert [f(generator=again).tolist() for f in DRAWS] == a
    assert einkorn.get_rng_state() == before
    assert einkorn.initial_seed() == 3
    with pytest.raises(ArgumentError, match="randn: generator is a int"):
        einkorn.randn(2, generator=3)


DRAWS = [
    lambda **g: einkorn.rand(3, **g),
    lambda **g: einkorn.randn(3, **g),
    lambda **g: einkorn.randint(0, 9, (3,), **g),
    lambda **g: einkorn.randperm(9, **g),
    lambda **g: einkorn.normal(0.0, 1.0, (3,), **g),
    lambda **g: einkorn.normal(einkorn.zeros(3), einkorn.ones(3), **g),
    lambda **g: einkorn.bernoulli(einkorn.full((9,), 0.5), **g),
    lambda **g: einkorn.multinomial(einkorn.ones(9), 4, **g),
    lambda **g: einkorn.empty(3).uniform_(**g),
    lambda **g: einkorn.empty(3).normal_(**g),
    lambda **g: einkorn.empty(3).exponential_(**g),
    lambda **g: einkorn.empty(3).geometric_(0.3, **g),
    lambda **g: einkorn.empty(3).cauchy_(**g),
    lambda **g: einkorn.empty(3).log_normal_(**g),
    lambda **g: einkorn.empty(3).random_(9, **g),
]


def test_distributions_have_their_means():
    einkorn.manual_seed(0)
    n = 20000
    assert abs(einkorn.empty(n).exponential_(2.0).mean().item() - 0.5) < 0.02
    assert abs(einkorn.empty(n).geometric_(0.25).mean().item() - 4) < 0.1
    assert abs(einkorn.empty(n).cauchy_(1.0).median().item() - 1) < 0.05
    assert abs(einkorn.empty(n).log_normal_(0.5, 0.5).log().mean().item() - 0.5) < 0.02
    assert einkorn.empty(n).geometric_(0.9).min().item() == 1
    drawn = einkorn.normal(einkorn.full((n,), 3.0), 2.0)
    assert abs(drawn.mean().item() - 3) < 0.06
    assert abs(drawn.std().item() - 2) < 0.06


def test_a_device_is_a_name():
    cpu = einkorn.device("cpu")
    t = einkorn.zeros(2, device=cpu)
    assert t.device == cpu == "cpu"
    assert (t.device.type, t.device.index) == ("cpu", None)
    gpu = einkorn.device("cuda", 1)
    assert (gpu, gpu.type, gpu.index, repr(gpu)) == ("cuda:1", "cuda", 1, "device('cuda:1')")
    assert einkorn.device(0) == "cuda:0"
    assert t.to(cpu, non_blocking=True) is t
    assert t.to(device=cpu, dtype=einkorn.float64, copy=True).dtype == np.float64
    layer = einkorn.nn.Linear(2, 3).to(cpu, einkorn.float64, non_blocking=True)
    assert layer.weight.dtype == np.float64
    assert not einkorn.cuda.is_available() or einkorn.cuda.device_count() > 0
    with pytest.raises(ArgumentError, match="device: type is 'gpu'"):
        einkorn.device("gpu")


def test_types_have_torchs_names():
    t = einkorn.tensor([1.5, -2.5])
    assert t.type() == torch.tensor([1.5]).type()
    assert t.type("torch.LongTensor").tolist() == [1, -2]
    assert t.type(einkorn.float64).dtype == np.float64
    assert [k.dtype.name for k in (t.short(), t.char(), t.byte().bool())] == ["int16", "int8", "bool"]
    assert einkorn.iinfo(einkorn.uint8).max == 255
    assert einkorn.tensor([1], dtype=einkorn.int).dtype == np.int32
    assert einkorn.zeros(1, dtype=einkorn.bool).type() == "torch.BoolTensor"
    assert einkorn.typename(t) == "torch.FloatTensor"
    with pytest.raises(DTypeError, match="half: float16"):
        t.half()
    with pytest.raises(DTypeError, match="set_default_dtype"):
        einkorn.set_default_dtype(einkorn.float64)
    einkorn.set_default_dtype(einkorn.get_default_dtype())


def test_how_tensors_are_written_can_be_set():
    t = einkorn.arange(30.0) / 7
    before = repr(t)
    einkorn.set_printoptions(precision=2, threshold=100)
    try:
        assert "0.14," in repr(t)
        assert "..." not in repr(t)
        einkorn.set_printoptions(sci_mode=True)
        assert "e-01" in repr(t)
    finally:
        einkorn.set_printoptions(profile="default")
    assert repr(t) == before
    with pytest.raises(ArgumentError, match="profile"):
        einkorn.set_printoptions(profile="long")


def test_mixed_precision_has_torchs_home():
    from einkorn.amp import GradScaler, autocast

    assert autocast is einkorn.autocast
    assert GradScaler is einkorn.GradScaler
    assert einkorn.amp.is_autocast_available("cpu")
    assert not einkorn.amp.is_autocast_available("cuda")


def test_a_model_is_compiled_already():
    layer = einkorn.nn.Linear(2, 3)
    assert einkorn.compile(layer, mode="max-autotune") is layer

    @einkorn.compile
    def f(x):
        return x + 1

    assert f(1) == 2


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("logspace", (0.0, 2.0, 5)),
        ("logspace", (0.0, 3.0, 4, 2.0)),
        ("tril_indices", (3, 4, 1)),
        ("triu_indices", (3, 4, -1)),
        ("scalar_tensor", (2.5,)),
        ("asarray", ([1, 2],)),
        ("broadcast_shapes", ((2, 1), (3,))),
    ],
)
def test_what_makes_tensors(name, args):
    mine, theirs = getattr(einkorn, name)(*args), getattr(torch, name)(*args)
    if name == "broadcast_shapes":
        assert mine == tuple(theirs)
        return
    assert str(theirs.dtype).endswith("." + mine.dtype.name)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


def test_memory_is_shared_where_torch_shares_it():
    a = np.ones(3, np.float32)
    assert einkorn.from_dlpack(a).data_ptr() == einkorn.asarray(a).data_ptr() == a.ctypes.data
    assert einkorn.asarray(a, copy=True).data_ptr() != a.ctypes.data
    raw = bytearray(8)
    t = einkorn.frombuffer(raw, dtype=einkorn.uint8)
    t.fill_(7)
    assert raw == b"\x07" * 8
    with pytest.raises(ArgumentError, match="asarray: copy"):
        einkorn.asarray([1.0], copy=False)
    weight = einkorn.nn.Linear(3, 2).weight
    with pytest.raises(GradientError, match=r"requires a gradient, pass it detached: detach\(\)"):
        np.from_dlpack(weight)
    assert np.shares_memory(np.from_dlpack(weight.detach()), weight._data)


def test_torchs_homes_of_functions_and_switches():
    assert einkorn.autograd.Function is einkorn.Function
    with pytest.raises(AttributeError, match="Functions"):
        einkorn.autograd.Functions  # noqa: B018
    before = einkorn.backends.cudnn.deterministic
    einkorn.backends.cudnn.benchmark = True
    assert before
    assert not einkorn.backends.mps.is_available()
    assert not einkorn.backends.cudnn.is_available()
    einkorn.use_deterministic_algorithms(True)
    assert einkorn.are_deterministic_algorithms_enabled()
    assert einkorn.cuda.synchronize() is None or einkorn.cuda.is_available()
    einkorn.cuda.manual_seed_all(3)
    assert einkorn.initial_seed() == 3
