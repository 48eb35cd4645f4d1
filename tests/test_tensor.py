"""Tensors as users hold them: assignment, comparison, formatting, copies, torch's methods."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import Tensor, nn
from einkorn.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    EinkornError,
    EngineError,
    GradientError,
    IndexRangeError,
    ShapeError,
)


def leaf(*shape, seed=0, dtype=np.float64):
    values = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return Tensor(values, requires_grad=True)


# --- what is taken -----------------------------------------------------------------------------


def test_foreign_byte_order_and_misaligned_data_are_converted():
    swapped = Tensor(np.array([1.5, 2.5], ">f4"))
    assert swapped.dtype == np.float32
    assert swapped.dtype.isnative
    assert_array_equal(swapped + 1.0, [2.5, 3.5])
    buffer = np.zeros(9, np.uint8)
    misaligned = buffer[1:].view(np.float64)
    assert Tensor(misaligned).numpy().flags.aligned
    w = leaf(2, dtype=np.float32)
    w.data = np.array([3, 4], ">f4")
    assert (w * 2.0).tolist() == [6, 8]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (np.zeros((1,) * 9, np.float32), ShapeError, ("Tensor", "data", "9 dimensions", "at most 8")),
        (np.zeros(2, np.complex64), DTypeError, ("Tensor", "data", "complex64", "float32")),
        (np.zeros(2, np.float16), DTypeError, ("Tensor", "data", "float16")),
        ("abc", DTypeError, ("Tensor", "data", "str")),
        (None, DTypeError, ("Tensor", "data", "NoneType")),
        ([[1.0], [1.0, 2.0]], DTypeError, ("Tensor", "data", "list")),
        ({"a": 1}, DTypeError, ("Tensor", "data", "dict")),
    ],
)
def test_bad_data_is_refused_by_name(data, error, words):
    with pytest.raises(error) as caught:
        Tensor(data)
    assert all(word in str(caught.value) for word in words)
    weight = nn.Parameter(np.zeros(2, np.float32))
    with pytest.raises(error):
        weight.data = data
    assert weight.shape == (2,)


def test_masked_elements_are_not_taken_for_values():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for take in (
        Tensor,
        einkorn.ops.relu,
        lambda x: nn.PReLU(2).load_state_dict({"weight": x}),
        lambda x: Tensor([0.0, 0.0]).copy_(x),
        lambda x: Tensor(np.zeros(2)).add_(x),
    ):
        with pytest.raises(ArgumentError, match="masked elements"):
            take(masked)
    assert Tensor(np.ma.array([1.0, 2.0])).tolist() == [1, 2]


def test_requires_grad_is_a_flag_of_leaves():
    with pytest.raises(ArgumentError, match="requires_grad is 1"):
        Tensor([1.0], requires_grad=1)
    w = leaf(2)
    with pytest.raises(ArgumentError, match="requires_grad is 'no'"):
        w.requires_grad = "no"
    y = w * 2.0
    with pytest.raises(GradientError, match="only leaves"):
        y.requires_grad = False
    with pytest.raises(GradientError, match="only leaves"):
        y.requires_grad_(False)
    w.requires_grad = False
    y.sum().backward()
    assert w.grad is None  # switched off before the pass reached it


def test_torch_tensors_are_taken_where_they_are_arrays():
    torch = pytest.importorskip("torch")
    assert Tensor(torch.ones(2)).tolist() == [1, 1]
    w = leaf(2)
    (w * 2.0).backward(torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert w.grad.tolist() == [2, 6]
    w.grad = torch.ones(2, dtype=torch.float64)
    assert isinstance(w.grad, Tensor)
    with pytest.raises(EinkornError, match=r"grad: the gradient .*requires grad"):
        w.grad = torch.ones(2, dtype=torch.float64, requires_grad=True)


# --- gradients and data as they are assigned ----------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "error", "words"),
    [
        (np.zeros((4, 3)), ShapeError, ("(4, 3)", "(3, 4)")),
        (np.zeros(0), ShapeError, ("(0,)", "(3, 4)")),
        (np.zeros((3, 4), np.float32), DTypeError, ("float32", "float64")),
        (np.zeros((3, 4), np.int64), DTypeError, ("int64",)),
        (1.0, DTypeError, ("float", "array")),
        ("x", DTypeError, ("str", "array")),
        ([[1.0]], DTypeError, ("list", "array")),
    ],
)
def test_gradients_that_do_not_fit_are_refused(gradient, error, words):
    w = leaf(3, 4)
    for give in (lambda: setattr(w, "grad", gradient), lambda: (w * 1.0).backward(gradient)):
        with pytest.raises(error) as caught:
            give()
        assert all(word in str(caught.value) for word in ("gradient", *words))
    if not isinstance(gradient, (float, str, list)) and gradient.dtype.kind == "f":
        with pytest.raises(error):
            w.grad = Tensor(gradient)
    assert w.grad is None


def test_an_assigned_gradient_is_whole_and_own():
    w = leaf(3, 4)
    w.grad = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    assert w.grad.numpy().flags.c_contiguous
    w.grad = np.broadcast_to(np.float64(1), (3, 4))
    w.sum().backward()
    assert_array_equal(w.grad, np.full((3, 4), 2.0))
    given = Tensor(np.ones((3, 4)))
    w.grad = given
    assert w.grad is given
    with pytest.raises(GradientError, match="itself"):
        w.grad = w


def test_data_of_a_recorded_result_keeps_its_shape():
    y = leaf(3) * 2.0
    y.data = np.zeros(3)
    with pytest.raises(GradientError, match=r"shape \(4,\).*expected float64 of shape \(3,\)"):
        y.data = np.zeros(4)
    w = leaf(3)
    w.data = Tensor(np.ones((2, 2), np.float32))  # a leaf may become anything
    assert w.shape == (2, 2)


def test_data_of_a_parameter_stays_contiguous_and_writeable():
    w = nn.Parameter(np.zeros((3, 2), np.float32))
    for awkward in (np.ones((2, 3), np.float32).T, np.broadcast_to(np.float32(1), (3, 2))):
        w.data = awkward
        assert w.detach().numpy().flags.c_contiguous
        assert w.detach().numpy().flags.writeable


# --- comparison, truth, formats -----------------------------------------------------------------


@pytest.mark.parametrize("other", [2.0, 2, np.float32(2), np.array([3.0, 2.0, 1.0]), Tensor([3.0, 2.0, 1.0])])
def test_comparisons_are_elementwise(other):
    t = Tensor([1.0, 2.0, 3.0])
    values, right = t.numpy(), np.asarray(other)
    for ours, theirs in [
        (t == other, values == right),
        (t != other, values != right),
        (t < other, values < right),
        (t <= other, values <= right),
        (t > other, values > right),
        (t >= other, values >= right),
        (other == t, right == values),
        (other < t, right < values),
    ]:
        assert type(ours) is Tensor
        assert ours.dtype == bool
        assert_array_equal(ours, theirs)


def test_comparisons_broadcast_and_refuse():
    a, b = Tensor(np.zeros((2, 1))), Tensor(np.arange(3.0))
    assert_array_equal(a == b, [[True, False, False]] * 2)
    labels = np.array([0, 1, 2])
    assert (b == labels).all()
    with pytest.raises(ShapeError, match=r"<: shapes \(3,\) and \(4,\)"):
        b < np.zeros(4)  # noqa: B015
    assert (b == None) is False  # noqa: E711
    assert (b != None) is True  # noqa: E711
    assert (b == "x") is False
    with pytest.raises(TypeError):
        b < "x"  # noqa: B015
    nan = Tensor([np.nan])
    assert not (nan == nan).any()


def test_identity_is_what_hash_and_dictionaries_go_by():
    a, b = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert len({a, b}) == 2
    assert {a: 1}[a] == 1
    model = nn.Linear(2, 2)
    assert any(p is model.bias for p in model.parameters())
    assert 2.0 in a
    assert 7.0 not in a


def test_truth_and_numbers():
    one = Tensor(np.array([[2.5]]))
    assert bool(one)
    assert float(one) == 2.5
    assert int(one) == 2
    many = Tensor([1.0, 2.0])
    for convert in (bool, float, int):
        with pytest.raises(ShapeError, match=r"shape \(2,\)"):
            convert(many)


def test_formats():
    loss = Tensor(np.array(1.23456))
    assert f"{loss:.3f}" == "1.235"
    assert f"{loss:>8.2f}|{loss:e}" == "    1.23|1.234560e+00"
    assert f"{loss}" == "1.23456"
    assert f"{Tensor([[1.5]]):.1f}" == "1.5"
    many = Tensor([1.0, 2.0])
    assert f"{many}" == str(many) == "Tensor([1., 2.])"
    with pytest.raises(ShapeError, match=r"format: '.3f' .*\(2,\)"):
        f"{many:.3f}"


# --- copies ---------------------------------------------------------------------------------------


def test_leaves_are_copied_and_pickled_with_their_gradient():
    w = nn.Parameter(np.arange(4.0))
    (w * w).sum().backward()
    for twin in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert type(twin) is nn.Parameter
        assert twin.requires_grad
        assert_array_equal(twin, w)
        assert_array_equal(twin.grad, w.grad)
        assert not np.shares_memory(twin.numpy(), w.numpy())
        (twin * 3.0).sum().backward()
    assert copy.copy(w).data_ptr() == w.data_ptr()
    assert_array_equal(w.grad, 2 * np.arange(4.0))


def test_results_of_operations_are_not_copied():
    y = leaf(3) * 2.0
    for copier in (copy.deepcopy, pickle.dumps, copy.copy):
        with pytest.raises(GradientError, match="only leaf tensors"):
            copier(y)
    assert copy.deepcopy(y.detach()).shape == (3,)


def test_a_module_with_its_optimizer_is_pickled():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = einkorn.optim.Adam(model.parameters(), lr=0.1, amsgrad=True)

    def step(model, optimizer):
        optimizer.zero_grad()
        (model(np.ones((5, 3), np.float32)) ** 2).sum().backward()
        optimizer.step()

    step(model, optimizer)
    for again in (
        pickle.loads(pickle.dumps((model, optimizer))),
        copy.deepcopy((model, optimizer)),
    ):
        assert again[1].param_groups[0]["params"][0] is again[0][0].weight
        step(*again)
        twin = copy.deepcopy((model, optimizer))
        step(*twin)
        for a, b in zip(again[0].parameters(), twin[0].parameters(), strict=True):
            assert_array_equal(a, b)
        with pytest.raises(ArgumentError, match="given twice"):
            again[1].add_param_group({"params": [again[0][0].weight]})


# --- torch's methods ------------------------------------------------------------------------------

X = np.random.default_rng(3).normal(size=(3, 1, 4))
TIED = np.array([[1.0, 5.0, 5.0], [np.nan, 2.0, np.nan], [0.0, -0.0, -1.0]])

METHODS = {
    "size()": lambda t: tuple(t.size()),
    "size(-1)": lambda t: t.size(-1),
    "dim": lambda t: (t.dim(), t.ndimension(), t.numel(), t.nelement(), t.element_size()),
    "unsqueeze": lambda t: t.unsqueeze(-1),
    "unsqueeze front": lambda t: t.unsqueeze(0),
    "unsqueeze inside": lambda t: t.unsqueeze(-3),
    "squeeze": lambda t: t.squeeze(),
    "squeeze dim": lambda t: t.squeeze(1),
    "squeeze other dim": lambda t: t.squeeze(0),
    "squeeze dims": lambda t: t.squeeze((0, 1)),
    "view": lambda t: t.view(3, -1),
    "view tuple": lambda t: t.view((12,)),
    "reshape_as": lambda t: t.reshape_as(t.view(4, 3)),
    "flatten": lambda t: t.flatten(1),
    "permute": lambda t: t.permute(2, 0, 1),
    "transpose": lambda t: t.transpose(0, -1),
    "swapaxes": lambda t: t.swapaxes(0, 2),
    "T": lambda t: t.squeeze().T,
    "t": lambda t: t.squeeze(1).t(),
    "mT": lambda t: t.mT,
    "expand": lambda t: t.expand(2, -1, 5, 4),
    "expand_as": lambda t: t.expand_as(t.expand(3, 2, 4)),
    "contiguous": lambda t: t.transpose(0, 2).contiguous(),
    "clone": lambda t: t.clone(),
    "float": lambda t: t.float(),
    "double": lambda t: t.double(),
    "sum": lambda t: t.sum(),
    "sum dim": lambda t: t.sum(0),
    "sum dims": lambda t: t.sum((0, 2), True),
    "sum keyword": lambda t: t.sum(dim=-1, keepdim=True),
    "sum nothing": lambda t: t.sum(dim=()),
    "mean dim": lambda t: t.mean(2),
    "mean keepdim": lambda t: t.mean(1, keepdim=True),
    "mean nothing": lambda t: t.mean(dim=()),
    "var": lambda t: t.var(),
    "var dim": lambda t: t.var(0),
    "var biased": lambda t: t.var(False),
    "var unbiased": lambda t: t.var(True),
    "var dim biased": lambda t: t.var(0, False),
    "var dim biased keepdim": lambda t: t.var(0, False, True),
    "var correction": lambda t: t.var(-1, correction=2),
    "var correction 0": lambda t: t.var(dim=(0, 2), correction=0, keepdim=True),
    "std": lambda t: t.std(),
    "std dim": lambda t: t.std(0, False),
    "max": lambda t: t.max(),
    "max dim": lambda t: t.max(2).values,
    "max dim keepdim": lambda t: t.max(0, True).values,
    "max dim keyword": lambda t: t.max(dim=-1, keepdim=True)[0],
    "max other": lambda t: t.max(t * 2.0 - 1.0),
    "min": lambda t: t.min(),
    "min dim": lambda t: t.min(0)[0],
    "amax": lambda t: t.amax((0, 2)),
    "amax all": lambda t: t.amax(),
    "amin": lambda t: t.amin(-1, keepdim=True),
    "add alpha": lambda t: t.add(t, alpha=3),
    "sub alpha": lambda t: t.sub(2.0, alpha=0.5),
    "mul div": lambda t: t.mul(3.0).div(2.0),
    "neg abs": lambda t: t.neg().abs(),
    "pow": lambda t: t.abs().pow(1.5),
    "clamp": lambda t: t.clamp(-0.5, 0.5),
    "clamp min": lambda t: t.clamp(min=0),
    "clamp max": lambda t: t.clamp(max=0.25),
    "softmax": lambda t: t.softmax(0),
    "log_softmax": lambda t: t.log_softmax(dim=-1),
    "sigmoid": lambda t: t.sigmoid(),
    "exp sin": lambda t: t.exp().sin(),
    "square reciprocal": lambda t: (t.square() + 1.0).reciprocal(),
    "cos erf": lambda t: t.cos().erf(),
    "matmul": lambda t: t.squeeze(1).matmul(t.squeeze(1).t()),
    "bmm": lambda t: t.bmm(t.mT),
    "addmm": lambda t: t.view(3, 4).addmm(t.view(3, 4), t.view(4, 3).matmul(t.view(3, 4)), beta=0.5, alpha=2),
    "tolist": lambda t: t.tolist(),
    "item": lambda t: t.sum().item(),
    "in place": lambda t: (t * 1.0).add_(2.0).mul_(3.0).sub_(t, alpha=0.5).div_(2.0),
    "copy_": lambda t: (t * 1.0).copy_(t * t),
    "zero_": lambda t: (t * 1.0).zero_() + t,
    "fill_": lambda t: (t * 1.0).fill_(2.0) * t,
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_mean_what_torch_means(name):
    torch = pytest.importorskip("torch")
    method = METHODS[name]
    ours = Tensor(X.copy(), requires_grad=True)
    theirs = torch.tensor(X, requires_grad=True)
    a, b = method(ours), method(theirs)
    if not isinstance(a, Tensor):
        assert_allclose(a, b)
        return
    assert a.shape == tuple(b.shape)
    assert a.dtype == b.detach().numpy().dtype
    rtol = 1e-5 if a.dtype == np.float32 else 1e-10
    assert_allclose(a, b.detach(), rtol=rtol)
    g = np.random.default_rng(1).normal(size=a.shape).astype(a.dtype)
    a.backward(g)
    b.backward(torch.from_numpy(g))
    assert_allclose(ours.grad, theirs.grad, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("values", [X, TIED, X[:, 0].T, np.float64(2.0)])
def test_extremes_give_values_and_indices(values):
    torch = pytest.importorskip("torch")
    for op in ("max", "min"):
        for dim in range(-np.ndim(values) or -1, np.ndim(values) or 1):
            ours, theirs = (
                Tensor(np.array(values), requires_grad=True),
                torch.tensor(values, requires_grad=True),
            )
            a, b = getattr(ours, op)(dim), getattr(theirs, op)(dim)
            assert_array_equal(a.values, b.values.detach())
            assert a.indices.dtype == np.int64
            assert_array_equal(a.indices, b.indices)
            a.values.sum().backward()
            b.values.sum().backward()
            assert_array_equal(ours.grad, theirs.grad)
            _, indices = getattr(ours, op)(dim, keepdim=True)
            assert indices.shape == tuple(getattr(theirs, op)(dim, keepdim=True).indices.shape)


def test_argmax_is_flat_without_a_dimension():
    torch = pytest.importorskip("torch")
    ours, theirs = Tensor(X), torch.tensor(X)
    for args, options in [
        ((), {}),
        ((0,), {}),
        ((-1,), {}),
        ((2, True), {}),
        ((), {"dim": 0, "keepdim": True}),
        ((), {"keepdim": True}),
    ]:
        a, b = ours.argmax(*args, **options), theirs.argmax(*args, **options)
        assert a.shape == tuple(b.shape)
        assert_array_equal(a, b)
    assert Tensor(np.float64(3)).argmax() == 0
    assert ours.T.argmax() == X.T.argmax()


def test_numpy_spellings_are_keywords():
    t = Tensor(X)
    assert_allclose(t.sum(axis=0, keepdims=True), X.sum(axis=0, keepdims=True))
    assert_allclose(t.mean(axis=(0, 2)), X.mean(axis=(0, 2)))
    assert_allclose(t.max(axis=2), X.max(axis=2))
    assert_allclose(t.min(axis=-1, keepdims=True), X.min(axis=-1, keepdims=True))
    assert_allclose(t.max(axis=None), X.max())
    assert_array_equal(t.argmax(axis=1), X.argmax(axis=1))
    assert t.sum(dtype=np.float32).dtype == np.float32
    with pytest.raises(ArgumentError, match="dim is 0 and axis is 1"):
        t.sum(0, axis=1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: t.sum(5), ArgumentError, ("sum", "5", "3 dimensions")),
        (lambda t: t.sum(True), ArgumentError, ("sum", "dim", "True")),
        (lambda t: t.mean(0, 1), ArgumentError, ("mean", "keepdim", "1")),
        (lambda t: t.max(3), ArgumentError, ("max", "dim", "3")),
        (lambda t: t.max("x"), ArgumentError, ("max", "dim", "'x'")),
        (lambda t: t.var(0, 1), ArgumentError, ("var", "unbiased", "1")),
        (lambda t: t.size(3), ArgumentError, ("size", "dim", "3")),
        (lambda t: t.unsqueeze(5), ArgumentError, ("unsqueeze", "dim", "5")),
        (lambda t: t.squeeze(-4), ArgumentError, ("squeeze", "dim", "-4")),
        (lambda t: t.t(), ShapeError, ("t:", "(3, 1, 4)")),
        (lambda t: t[0, 0].mT, ShapeError, ("mT", "(4,)")),
        (lambda t: t.transpose(0, 2).view(12), ShapeError, ("view", "(4, 1, 3)", "reshape")),
        (lambda t: t.view(5), ShapeError, ("(3, 1, 4)", "(5,)")),
        (lambda t: t.clamp(), ArgumentError, ("clamp", "min", "max")),
        (lambda t: t.to("float16"), DTypeError, ("to", "'float16'")),
        (lambda t: t.to(None), DTypeError, ("to", "None")),
        (lambda t: t.item(), ShapeError, ("item", "(3, 1, 4)")),
    ],
)
def test_bad_arguments_of_methods_are_refused_by_name(call, error, words):
    with pytest.raises(error) as caught:
        call(Tensor(X))
    assert all(word in str(caught.value) for word in words)


def test_to():
    t = Tensor(X)
    assert t.to("cpu") is t
    assert t.to("cpu", "float64") is t
    assert t.device == "cpu"
    with pytest.raises((DeviceError, EngineError), match="device"):
        t.to("cuda:99")
    assert t.cpu() is t
    assert t.to(np.float64) is t
    assert t.double() is t
    assert t.to("float32").dtype == np.float32
    assert t.to(Tensor(np.zeros(1, np.float32))).dtype == np.float32
    model = nn.Linear(2, 2)
    assert model.to("cpu") is model


def test_clone_has_its_own_memory_and_detach_shares_it():
    w = leaf(3)
    twin = w.clone()
    assert not np.shares_memory(twin.numpy(), w.numpy())
    assert np.shares_memory(w.detach().numpy(), w.numpy())
    assert not w.detach().requires_grad
    (twin * twin).sum().backward()
    assert_allclose(w.grad, 2 * w.numpy())


def test_items_are_assigned():
    t = Tensor(np.zeros((3, 4)))
    t[1] = 5
    t[:, 0] = np.array([1, 2, 3])
    t[t > 4.5] = -1.0
    t[[0, 2], 3] = Tensor(np.array([8.0, 9.0], np.float32))
    assert_array_equal(t, [[1, 0, 0, 8], [2, -1, -1, -1], [3, 0, 0, 9]])
    t[1:, 1:] = t[:2, :3]  # overlapping memory
    assert_array_equal(t, [[1, 0, 0, 8], [2, 1, 0, 0], [3, 2, -1, -1]])
    with pytest.raises(IndexRangeError, match=r"setitem: .*\(3, 4\)"):
        t[3] = 1
    with pytest.raises(ShapeError, match="setitem"):
        t[0] = np.zeros(3)
    for bad in ("x", None, np.array(["a"]), 1j):
        with pytest.raises(DTypeError, match="setitem: value"):
            t[0] = bad
    with pytest.raises(GradientError, match="read-only"):
        Tensor(np.broadcast_to(np.float64(0), 3))[0] = 1


# --- one element -------------------------------------------------------------------------------

ONES = [1, np.int64(1), np.uint8(1), np.array(1), (np.int64(1),), -1, (..., 1), (np.array(1), ...)]


@pytest.mark.parametrize("key", ONES, ids=repr)
def test_one_element_is_a_tensor_like_any_other(key):
    t = Tensor([1.0, 2.0], requires_grad=True)
    assert t[key].shape == ()
    assert t[key].numpy() == 2
    (t[key] * 3.0).exp().backward()
    assert_allclose(t.grad.numpy(), [0, 3 * np.exp(6)], rtol=1e-5)
    assert t.detach()[t.detach().argmax()].item() == 2


@pytest.mark.parametrize("key", ONES, ids=repr)
def test_one_element_is_assigned_with_its_gradient(key):
    w = Tensor([0.5, 0.2, 0.3], requires_grad=True)
    z = w[:2] * 1.0
    z[key] = w[2] * 4.0
    z[key] += w[0]
    z.sum().backward()
    assert w.grad.numpy().tolist() == [2, 0, 4]
    m = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    h = m * 1.0
    h[0, np.int64(1)] = m[1, 0] * 3.0
    h.sum().backward()
    assert m.grad.numpy().tolist() == [[1, 0], [4, 1]]


def test_a_tensor_without_axes_is_not_walked_through():
    with pytest.raises(TypeError, match="0-d"):
        list(Tensor(3.0))
    with pytest.raises(TypeError, match="0-d"):
        len(Tensor(3.0))
    assert [v.item() for v in Tensor([1.0, 2.0])] == [1, 2]
