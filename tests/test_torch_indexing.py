"""Index expressions of Tensors mean what they mean in torch, where NumPy differs, too; and index_put."""

import numpy as np
import pytest

import einkorn
from einkorn import Tensor
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4, 5))
K, J = np.array([0, 1, 1]), np.array([[1], [0]])
ALL = slice(None)
KEYS = [
    (0, ALL, K),
    (ALL, 1, ALL, K),
    (ALL, -1, ALL, J),
    (..., 0, ALL, K),
    (0, None, ALL, K),
    (None, 0, ALL, K),
    (K, ALL, 2, K),
    (K, ALL, 2, ALL),
    (0, slice(1, 3), [True, False, True, True]),
    (np.array([True, False]), ALL, 2),
    (np.array([[True, False, True], [False, True, False]]), ALL, 1),
    (1, ALL, K, ALL),
    (ALL, 0, K),
    (K, 0),
    (np.int64(1), ALL, [0, 2]),
    (np.array(1), ALL, K),
]


def torchs(key):
    return tuple([torch.from_numpy(k) if isinstance(k, np.ndarray) else k for k in key])


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_what_is_taken(key, dtype):
    values = (X * 10).astype(dtype)
    wanted = torch.from_numpy(values)[torchs(key)]
    got = Tensor(values)[key]
    assert got.shape == tuple(wanted.shape)
    assert got.tolist() == wanted.tolist()
    assert (
        Tensor(values)[tuple(Tensor(k) if isinstance(k, np.ndarray) else k for k in key)].tolist()
        == got.tolist()
    )


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_gradients_of_what_is_taken_and_written(key):
    theirs, mine = torch.tensor(X, requires_grad=True), Tensor(X.copy(), requires_grad=True)
    shape = theirs[torchs(key)].shape
    weight = RNG.normal(size=shape)
    value = RNG.normal(size=shape[-1:])

    (theirs[torchs(key)] * torch.from_numpy(weight)).sum().backward()
    (mine[key] * weight).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy())

    v, w = torch.tensor(value, requires_grad=True), Tensor(value.copy(), requires_grad=True)
    a, b = theirs * 2, mine * 2
    a[torchs(key)], b[key] = v, w
    np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy())
    theirs.grad, mine.grad = None, None
    (a**2).sum().backward()
    (b**2).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy())
    if not any(np.ndim(k) and len(set(np.ravel(k))) < np.size(k) for k in key if isinstance(k, np.ndarray)):
        np.testing.assert_allclose(w.grad.numpy(), v.grad.numpy())  # each value in one place


@pytest.mark.parametrize("key", KEYS[:4], ids=str)
def test_gradients_of_gradients(key):
    t = Tensor(X, requires_grad=True)
    (g,) = einkorn.grad((t[key] ** 3).sum(), [t], create_graph=True)
    (h,) = einkorn.grad(g.sum(), [t])
    x = torch.tensor(X, requires_grad=True)
    (g,) = torch.autograd.grad((x[torchs(key)] ** 3).sum(), [x], create_graph=True)
    np.testing.assert_allclose(h.numpy(), torch.autograd.grad(g.sum(), [x])[0].numpy())


def test_an_array_keeps_numpys_meaning():
    assert einkorn.ops.getitem(X, (0, ALL, K)).shape == X[0, :, K].shape == (3, 3, 5)
    assert Tensor(X)[0, :, K].shape == (3, 3, 5)
    assert Tensor(X)[:, 1, :, K].shape == (2, 4, 3)
    assert einkorn.ops.getitem(X, (ALL, 1, ALL, K)).shape == (3, 2, 4)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(
    ("indices", "shape"),
    [
        ((K,), (3, 4, 5)),
        ((K, K), ()),
        ((J, K), (2, 3, 4, 5)),
        ((np.array([True, False]),), (5,)),
    ],
    ids=str,
)
def test_index_put(indices, shape, accumulate):
    # Which of several values stays is nobody's promise: without accumulate they are equal.
    value = RNG.normal(size=shape) if accumulate else np.full(shape, 1.5)
    theirs, mine = tuple(map(torch.from_numpy, indices)), tuple(map(Tensor, indices))
    x, v = torch.tensor(X, requires_grad=True), torch.tensor(value, requires_grad=True)
    a, b = Tensor(X.copy(), requires_grad=True), Tensor(value.copy(), requires_grad=True)
    wanted, got = x.index_put(theirs, v, accumulate), a.index_put(mine, b, accumulate)
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy())
    (wanted**2).sum().backward()
    (got**2).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), x.grad.numpy())
    np.testing.assert_allclose(b.grad.numpy(), v.grad.numpy())
    written = Tensor(X.copy())
    assert written.index_put_(mine, b.detach(), accumulate) is written
    assert written.tolist() == got.tolist()
    assert einkorn.index_put(Tensor(X), mine, b.detach(), accumulate).tolist() == got.tolist()


def test_index_put_takes_none_for_a_whole_axis():
    t = Tensor(X.copy()).index_put_((None, einkorn.tensor([0, 2])), einkorn.zeros(5, dtype=np.float64))
    wanted = X.copy()
    wanted[:, [0, 2]] = 0
    assert t.tolist() == wanted.tolist()


def test_index_put_refuses_what_does_not_fit():
    t = einkorn.zeros(3, 4)
    with pytest.raises(IndexRangeError, match="index_put"):
        t.index_put_((einkorn.tensor([5]),), einkorn.ones(4))
    with pytest.raises(ShapeError, match="index_put"):
        t.index_put_((einkorn.tensor([1]),), einkorn.ones(3))
    with pytest.raises(DTypeError, match="index_put: values has dtype float64, expected float32"):
        t.index_put_((einkorn.tensor([1]),), einkorn.ones(4, dtype=np.float64))
    with pytest.raises(DTypeError, match="index_put: indices hold float32"):
        t.index_put_((einkorn.ones(1),), einkorn.ones(4))
    with pytest.raises(ArgumentError, match="index_put: indices is a Tensor"):
        t.index_put_(einkorn.tensor([1]), einkorn.ones(4))
    low = einkorn.zeros(3, dtype="bfloat16")
    low.index_put_((einkorn.tensor([1, 1]),), einkorn.ones(2, dtype="bfloat16"), accumulate=True)
    assert low.tolist() == [0, 2, 0]


def test_bytes_are_a_mask() -> None:
    mask = np.array([1, 0, 1, 0], np.uint8)
    x = Tensor(np.arange(8.0).reshape(4, 2), requires_grad=True)
    x[Tensor(mask)].sum().backward()
    np.testing.assert_array_equal(x[Tensor(mask)].detach().numpy(), [[0, 1], [4, 5]])
    np.testing.assert_array_equal(x.grad.numpy(), np.repeat(mask[:, None], 2, 1))
    written = Tensor(np.zeros((2, 4)))
    written[1, Tensor(mask)] = 3.0
    np.testing.assert_array_equal(written.numpy(), [[0, 0, 0, 0], [3, 0, 3, 0]])
