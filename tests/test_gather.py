"""Elements by index: refusals, masks, Tensor methods, the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, ops
from einkorn.errors import ArgumentError, DTypeError, GradientError, IndexRangeError, ShapeError

X = np.random.default_rng(0).normal(size=(4, 5, 6))
PLACES = np.random.default_rng(1).integers(0, 4, (3, 4, 2))
UNIQUE = np.random.default_rng(6).normal(size=(4, 4, 2)).argsort(0)[:3]  # no place twice along the first axis
SRC = np.random.default_rng(2).normal(size=(3, 4, 2))
MASK = X > 0.3


def _indices(*shape: int, below: int) -> np.ndarray:
    return np.random.default_rng(below).integers(-below, below, shape)


# NumPy is the yardstick: a mask, lists, arrays apart and together, in every mixture with slices and None.
KEYS: list[Any] = [
    _indices(2, 3, below=4),
    (_indices(2, 3, below=4), _indices(3, below=5)),
    (slice(None), _indices(3, below=5)),
    (slice(3, 0, -1), _indices(3, below=5)),
    (_indices(2, 3, below=4), slice(None), _indices(2, 1, below=6)),
    (slice(None), 0, _indices(2, below=6)),
    (_indices(2, 3, below=4), None, _indices(3, below=5)),
    (None, _indices(2, below=4), _indices(2, below=5)),
    (..., [0, 1]),
    MASK,
    MASK[:, 0, 0],
    MASK[:, :, 0],
    (MASK[:, :, 0], 0),
    (MASK[:, 0, 0], slice(None), 2),
    (slice(None), MASK[0]),
    (MASK[:, :, 0], ..., [1]),
    [0, 2],
    [],
    True,
    np.array(False),
    (True, 0),
    np.zeros((2, 0), int),
    np.int64(2),
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_indexing_is_that_of_numpy(key: Any, engine: str) -> None:
    wanted = X[key]
    weights = np.random.default_rng(3).normal(size=wanted.shape)
    gradient = np.zeros_like(X)
    np.add.at(gradient, key, weights)
    for laid in (X, np.asfortranarray(X)):
        got = ops.getitem(laid, key)
        assert type(got) is np.ndarray
        assert got.shape == wanted.shape
        np.testing.assert_array_equal(got, wanted)
        t = Tensor(laid, requires_grad=True)
        t[key].backward(weights)
        np.testing.assert_allclose(t.grad.numpy(), gradient, atol=1e-15)
    whole = np.arange(120).reshape(4, 5, 6)
    np.testing.assert_array_equal(Tensor(whole)[key], whole[key])


def test_a_number_apart_from_an_index_array(engine: str) -> None:
    places = _indices(2, below=6)
    key = (0, slice(None), places)
    np.testing.assert_array_equal(ops.getitem(X, key), X[key])  # NumPy: the array's axis comes first
    np.testing.assert_array_equal(Tensor(X)[key].numpy(), X[0][:, places])  # torch: the number is taken first


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (np.array([0, 4]), r"index\[1\] is 4, out of range for axis 0 of size 4"),
        ((0, [-6]), r"index\[0\] is -6, out of range for axis 1 of size 5"),
        (np.array([0.5]), "float64"),
        (MASK[:3, :, 0], r"\(3, 5\).*\(4, 5\)"),
        ((np.zeros((2, 3), int), np.zeros(2, int)), r"\(2, 3\), \(2,\)"),
        ((..., ..., [1]), "more than one Ellipsis"),
        (([0],) * 4, "4 indices"),
    ],
)
def test_bad_keys_are_refused(key: Any, words: str, engine: str) -> None:
    with pytest.raises(IndexRangeError, match=f"^getitem: .*{words}"):
        Tensor(X)[key]


METHODS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "gather": lambda t, i, s, u: t.gather(0, i),
    "scatter": lambda t, i, s, u: t.scatter(0, u, s),
    "scatter number": lambda t, i, s, u: t.scatter(0, i, 2.5),
    "scatter value": lambda t, i, s, u: t.scatter(0, i, value=2.5),
    "scatter_": lambda t, i, s, u: (t * 1.0).scatter_(0, u, s),
    "scatter_add": lambda t, i, s, u: t.scatter_add(0, i, s),
    "scatter_add_": lambda t, i, s, u: (t * 1.0).scatter_add_(0, i, s),
    "scatter_reduce": lambda t, i, s, u: t.scatter_reduce(0, i, s, "mean", include_self=False),
    "scatter_reduce_": lambda t, i, s, u: (t * 1.0).scatter_reduce_(0, i, s, "amax"),
    "index_select": lambda t, i, s, u: t.index_select(1, i[0, :, 0]),
    "index_add": lambda t, i, s, u: t.index_add(0, i[0, :, 0], t * 2.0, alpha=0.5),
    "index_add_": lambda t, i, s, u: (t * 1.0).index_add_(0, i[0, :, 0], t * 2.0),
    "index_copy": lambda t, i, s, u: t.index_copy(0, u[:, 0, 0], t[:3] * 2.0),
    "index_copy_": lambda t, i, s, u: (t * 1.0).index_copy_(0, u[:, 0, 0], t[:3] * 2.0),
    "index_fill": lambda t, i, s, u: t.index_fill(2, i[0, :, 0], 3.0),
    "index_fill_": lambda t, i, s, u: (t * 1.0).index_fill_(2, i[0, :, 0], s[0, 0, 0].detach()),
    "take": lambda t, i, s, u: t.take(i),
    "take_along_dim": lambda t, i, s, u: t.take_along_dim(i[:1, :1, :1], 2),
    "take_along_dim flat": lambda t, i, s, u: t.take_along_dim(i),
    "masked_select": lambda t, i, s, u: t.masked_select(t > 0),
    "masked_fill": lambda t, i, s, u: t.masked_fill(t > 0, -1),
    "masked_fill_": lambda t, i, s, u: (t * 1.0).masked_fill_(t[0] > 0, -1.5),
    "masked_scatter": lambda t, i, s, u: t.masked_scatter(t > 0, t * 3.0),
    "masked_scatter_": lambda t, i, s, u: (t * 1.0).masked_scatter_(t > 0, t * 3.0),
    "scalar": lambda t, i, s, u: (
        t[0, 0, 0].gather(0, i[0, 0, 0] * 0) + t[0, 0, 0].index_select(0, i[0, 0, 0] * 0)
    ),
    "nonzero": lambda t, i, s, u: (t > 0).nonzero(),
    "nonzero of each": lambda t, i, s, u: (t > 0).nonzero(as_tuple=True)[1],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_mean_what_torch_means(name: str, torch: Any) -> None:
    ours = [Tensor(X.copy(), requires_grad=True), Tensor(SRC.copy(), requires_grad=True)]
    theirs = [torch.tensor(X, requires_grad=True), torch.tensor(SRC, requires_grad=True)]
    a = METHODS[name](ours[0], Tensor(PLACES), ours[1], Tensor(UNIQUE))
    b = METHODS[name](theirs[0], torch.tensor(PLACES), theirs[1], torch.tensor(UNIQUE))
    assert a.shape == tuple(b.shape)
    np.testing.assert_allclose(a.numpy(), b.detach().numpy())
    if not b.requires_grad:
        return
    weights = np.random.default_rng(4).normal(size=a.shape)
    a.backward(weights)
    b.backward(torch.from_numpy(np.asarray(weights)))
    for x, y in zip(ours, theirs, strict=True):
        assert (x.grad is None) == (y.grad is None)
        if y.grad is not None:
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-12)


def test_of_several_elements_for_one_place_the_last_stays(engine: str) -> None:
    x, src = (Tensor(np.arange(n, dtype=float), requires_grad=True) for n in (3, 4))
    y = ops.scatter(x, 0, np.array([1, 2, 1, 1]), src)
    assert y.tolist() == [0, 3, 1]
    y.backward(np.array([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [1, 0, 0]
    assert src.grad.tolist() == [0, 100, 0, 10]


def test_extremes_share_the_gradient_and_nan_wins(engine: str) -> None:
    x = Tensor(np.array([5.0, 1.0, 2.0]), requires_grad=True)
    src = Tensor(np.array([5.0, 3.0, 3.0, np.nan]), requires_grad=True)
    y = ops.scatter_reduce(x, 0, np.array([0, 1, 1, 2]), src, "amax")
    np.testing.assert_array_equal(y, [5, 3, np.nan])
    y.backward(np.array([1.0, 4.0, 7.0]))
    assert x.grad.tolist() == [0.5, 0, 0]
    assert src.grad.tolist() == [0.5, 2, 2, 7]
    for reduce, wanted in (("amin", [np.nan, 1]), ("amax", [np.nan, 2])):
        got = ops.scatter_reduce(
            np.array([np.nan, 1.5]), 0, np.array([0, 1, 1]), np.array([0.0, 1, 2]), reduce
        )
        np.testing.assert_array_equal(got, wanted)


def test_products_through_zeros(torch: Any) -> None:
    """The gradient of a factor is the product of the others, be it 0 or not."""
    values, factors = np.array([0.0, 2.0, 3.0, 0.0]), np.array([4.0, 0.0, 5.0, 0.0, 0.0, 2.0, 6.0])
    at = np.array([0, 1, 1, 2, 2, 3, 3])
    x, src = Tensor(values, requires_grad=True), Tensor(factors, requires_grad=True)
    ops.scatter_reduce(x, 0, at, src, "prod").sum().backward()
    assert x.grad.tolist() == [4, 0, 0, 12]
    assert src.grad.tolist() == [0, 10, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("shape", [(50000,), (3000, 40), (7, 5000, 3)])
def test_sums_have_the_same_bits_for_any_number_of_threads(shape: tuple[int, ...], threads: int) -> None:
    rng = np.random.default_rng(0)
    src = rng.normal(size=shape).astype(np.float32)
    dim = 1 if len(shape) == 3 else 0
    index = rng.integers(0, 5, shape[dim])
    wide = [n if d != dim else 5 for d, n in enumerate(shape)]
    wanted = np.zeros(wide, np.float32)
    np.add.at(wanted, (*(slice(None),) * dim, index), src)  # in the order of the index, too
    with einkorn.num_threads(threads):
        got = ops.index_add(np.zeros(wide, np.float32), dim, index, src)
    assert got.tobytes() == wanted.tobytes()


def test_integers_and_booleans() -> None:
    whole = np.arange(12).reshape(3, 4)
    index = np.array([[1, 1, 0], [3, 2, 3], [0, 0, 0]])
    np.testing.assert_array_equal(ops.gather(whole, 1, index), np.take_along_axis(whole, index, 1))
    t = Tensor(whole)
    assert t.index_select(0, Tensor(np.array([2, 0]))).tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert t.scatter_add(0, index[:1], t).tolist()[0] == [0, 1, 4, 3]
    assert t.scatter_reduce(1, index, t, "amax", include_self=False).dtype == np.int64
    np.testing.assert_array_equal(t.scatter_reduce(1, index, t, "mean")[1], [4, 5, 5, 5])
    assert t.masked_fill(t > 2, 0).sum().item() == 3
    assert (t > 5).masked_select(t > 4).tolist() == [False, *[True] * 6]
    assert t.clone().index_add_(1, np.array([0, 0, 0, 1]), t).dtype == np.int64
    with pytest.raises(DTypeError, match=r"^scatter_add: src has dtype float64, expected int64"):
        t.scatter_add(0, index[:1], X[0])


def test_put_along_axis_writes_in_place() -> None:
    for axis, index, values in (
        (1, [[0], [2], [-1]], 5.0),
        (0, [[0, 1, 0, 2]], [[1.0, 2, 3, 4]]),
        (None, [0, -1], 7),
    ):
        wanted, got = np.zeros((3, 4)), np.zeros((3, 4))
        np.put_along_axis(wanted, np.array(index), values, axis)
        assert ops.put_along_axis(got, np.array(index), values, axis) is None
        np.testing.assert_array_equal(got, wanted)
    leaf = Tensor(X, requires_grad=True)
    with pytest.raises(GradientError, match="leaf"):
        ops.put_along_axis(leaf, np.zeros((1, 5, 6), int), 0, 0)
    with pytest.raises(GradientError, match=r"^masked_fill_: a leaf"):
        leaf.masked_fill_(MASK, 0)


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "index": (
        lambda: ops.gather(X, 0, [[[4]]]),
        IndexRangeError,
        r"^gather: index\[0, 0, 0\] is 4, .*axis 0 of size 4",
    ),
    "negative": (
        lambda: ops.index_select(X, 1, [0, -6]),
        IndexRangeError,
        r"^index_select: index\[1\] is -6",
    ),
    "empty axis": (lambda: ops.take(X[:0], [0]), IndexRangeError, r"^take: index\[0\] is 0, .*size 0"),
    "empty axis from its end": (lambda: ops.take(X[:0], [-1]), IndexRangeError, r"^take: index\[0\] is -1"),
    "rank": (
        lambda: ops.gather(X, 0, [0]),
        ShapeError,
        r"^gather: index has shape \(1,\), expected 3 dimensions",
    ),
    "width": (
        lambda: ops.scatter(X, 0, np.zeros((1, 6, 6), int), X),
        ShapeError,
        r"^scatter: index .*\(1, 6, 6\)",
    ),
    "src": (
        lambda: ops.scatter_add(X, 0, PLACES, SRC[:2]),
        ShapeError,
        r"^scatter_add: src has shape \(2, 4, 2\)",
    ),
    "src type": (
        lambda: ops.scatter(X, 0, PLACES, SRC.astype(np.float32)),
        DTypeError,
        "^scatter: src has dtype float32, expected float64",
    ),
    "index type": (lambda: ops.take(X, np.array([0.0])), DTypeError, "^take: index has dtype float64"),
    "mask type": (
        lambda: ops.masked_select(X, X),
        DTypeError,
        "^masked_select: mask has dtype float64, expected bool",
    ),
    "mask shape": (
        lambda: ops.masked_fill(X, MASK[:3], 0),
        ShapeError,
        r"^masked_fill: mask has shape \(3, 5, 6\)",
    ),
    "few": (
        lambda: ops.masked_scatter(X, MASK, X[0, 0]),
        ShapeError,
        "^masked_scatter: source has 6 elements",
    ),
    "reduce": (
        lambda: ops.scatter_reduce(X, 0, PLACES, SRC, "max"),
        ArgumentError,
        "^scatter_reduce: reduce is 'max'",
    ),
    "neither": (lambda: ops.scatter(X, 0, PLACES), ArgumentError, "^scatter: expected src or value"),
    "dim": (lambda: ops.index_add(X, 3, [0], X), ArgumentError, "^index_add: dim is 3"),
    "source": (lambda: ops.index_add(X, 0, [0], X), ShapeError, r"^index_add: source .*expected \(1, 5, 6\)"),
    "two dimensions": (lambda: ops.index_select(X, 0, [[0]]), ShapeError, r"^index_select: index .*\(1, 1\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    call, error, words = BAD[name]
    with pytest.raises(error, match=words):
        call()


def test_negative_places_are_refused_where_torch_has_none() -> None:
    """A target of -1 is a place left out, more often than the last one."""
    x = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    one, row = np.array([[-1]]), np.array([-1])
    for call in (
        lambda: ops.gather(x, 0, one),
        lambda: ops.scatter(x, 0, one, value=9.0),
        lambda: ops.scatter_add(x, 0, one, x),
        lambda: ops.index_select(x, 0, row),
        lambda: ops.index_add(x, 0, row, x[:1]),
        lambda: ops.index_copy(x, 0, row, x[:1]),
    ):
        with pytest.raises(IndexRangeError, match=r"is -1, out of range for axis 0 of size 3"):
            call()
    assert np.asarray(ops.take(x, row)).tolist() == [11]
    assert np.asarray(ops.index_fill(x, 0, row, 0.0))[2].tolist() == [0, 0, 0, 0]
    assert np.asarray(ops.take_along_axis(x, one, 0)).tolist() == [[8, 9, 10, 11]]
