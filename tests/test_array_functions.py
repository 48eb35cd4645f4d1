"""Methods of Tensor over dimensions, scans and sorts: torch's results, gradients and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, ops
from einkorn.autograd import grad
from einkorn.errors import ArgumentError, EinkornError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 5, 4))
WITH_ZEROS = np.where(RNG.random(X.shape) < 0.1, 0.0, X)
WITH_NAN = np.where(RNG.random(X.shape) < 0.1, np.nan, X)

#: Method calls that are written the same way in torch.
CALLS: dict[str, tuple[np.ndarray, Callable[[Any], Any]]] = {
    "cumsum": (X, lambda t: t.cumsum(1)),
    "cumsum, dtype": (X.astype(np.float32), lambda t: t.cumsum(-1)),
    "cumprod": (X, lambda t: t.cumprod(dim=-1)),
    "logcumsumexp": (3 * X, lambda t: t.logcumsumexp(0)),
    "cummax": (np.round(X), lambda t: t.cummax(1)[0]),
    "cummin": (WITH_NAN, lambda t: t.cummin(2).values),
    "sort": (X, lambda t: t.sort(1, descending=True).values),
    "topk": (X, lambda t: t.topk(2, 1)[0]),
    "topk smallest": (X, lambda t: t.topk(3, largest=False).values),
    "kthvalue": (X, lambda t: t.kthvalue(2, 0, keepdim=True).values),
    "median": (X, lambda t: t.median()),
    "median over": (WITH_NAN, lambda t: t.median(1).values),
    "nanmedian": (WITH_NAN, lambda t: t.nanmedian(-1, keepdim=True)[0]),
    "quantile": (X, lambda t: t.quantile(0.3, 1)),
    "nanquantile": (WITH_NAN, lambda t: t.nanquantile(0.6, dim=2, keepdim=True)),
    "prod": (X, lambda t: t.prod(1)),
    "prod of zeros": (WITH_ZEROS, lambda t: t.prod(2, keepdim=True)),
    "prod of all": (X, lambda t: t.prod()),
    "norm": (X, lambda t: t.norm()),
    "norm 1": (X, lambda t: t.norm(1, 1)),
    "norm 3": (X, lambda t: t.norm(3, (0, 2), keepdim=True)),
    "norm inf": (X, lambda t: t.norm(float("inf"), -1)),
    "logsumexp": (X, lambda t: t.logsumexp((0, 2))),
    "nansum": (WITH_NAN, lambda t: t.nansum(1)),
    "nanmean": (WITH_NAN, lambda t: t.nanmean(dim=(0, 1))),
    "std": (X, lambda t: t.std(1, keepdim=True)),
    "round": (X, lambda t: t.round(decimals=1)),
    "lerp": (X, lambda t: t.lerp(t * t, 0.3)),
    "addcmul": (X, lambda t: t.addcmul(t, t, value=2)),
    "atan2": (X, lambda t: t.atan2(t + 3)),
    "expm1 of log1p": (np.abs(X), lambda t: t.log1p().expm1()),
    "nan_to_num": (WITH_NAN, lambda t: t.nan_to_num(2.0)),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_torch(name: str, torch: Any) -> None:
    x, call = CALLS[name]
    ours, theirs = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    got, wanted = call(ours), call(theirs)
    close = {"rtol": 1e-5 if x.dtype == np.float32 else 1e-9, "atol": 1e-5 if x.dtype == np.float32 else 1e-9}
    np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), **close)
    weights = np.asarray(RNG.normal(size=got.shape), x.dtype)
    (first,) = grad(got, ours, weights, create_graph=True)
    (truth,) = torch.autograd.grad(wanted, theirs, torch.tensor(weights), create_graph=True)
    np.testing.assert_allclose(first.numpy(), truth.detach().numpy(), **close)
    if truth.requires_grad and first.requires_grad:
        direction = np.asarray(RNG.normal(size=x.shape), x.dtype)
        (second,) = grad((first * direction).sum(), ours, allow_unused=True, materialize_grads=True)
        (truth,) = torch.autograd.grad((truth * torch.tensor(direction)).sum(), theirs, allow_unused=True)
        truth = np.zeros(x.shape) if truth is None else truth.numpy()
        np.testing.assert_allclose(second.numpy(), truth, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 24, 25, 500, 4096, 4097, 9000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orders_of_every_length(n: int, dtype: str) -> None:
    """Each way of sorting: stable, NaN as the largest, values with their own bits; topk agrees."""
    rng = np.random.default_rng(n)
    x = np.round(rng.normal(size=(2, n)) * 30).astype(dtype)
    x[rng.random(x.shape) < 0.05] = np.nan
    x[x == 3] = -0.0
    x[x == -7] = np.inf
    for falling in (False, True):
        order = np.argsort(x, kind="stable")
        if falling:
            order = n - 1 - np.argsort(x[:, ::-1], kind="stable")[:, ::-1]
        values, index = ops.sort(x, 1, falling)
        np.testing.assert_array_equal(index, order)
        assert values.tobytes() == np.take_along_axis(x, order, 1).tobytes()
        for k in (0, 1, n // 10, n // 3, n):
            values, index = ops.topk(x, k, 1, falling)
            np.testing.assert_array_equal(index, order[:, :k])


def test_scalars_are_lines_of_one() -> None:
    x = Tensor(np.float64(3.0), requires_grad=True)
    for values, index in (x.sort(), x.topk(1), x.kthvalue(1), x.cummax(0), x.median(0)):
        assert values.shape == ()
        assert values.item() == 3.0
        assert index.numpy() == 0
    assert x.cumsum(0).shape == ()
    (x.cumsum(0) * x.logsumexp(0)).backward()
    assert x.grad.item() == 6.0


def test_medians_of_both_libraries() -> None:
    x = np.array([[3.0, 1.0, 2.0, 4.0]])
    assert ops.median(x, axis=None) == 2.5
    assert ops.median(x, dim=None) == 2.0
    values, index = ops.median(x, dim=1)
    assert (values, index) == (2.0, 2)
    np.testing.assert_array_equal(ops.nanmedian(np.array([np.nan, 1.0, 4.0]), axis=0), 2.5)
    with pytest.raises(ArgumentError, match="median: axis is not given and dim is not given"):
        ops.median(x)


def test_integers_keep_their_kind() -> None:
    whole = np.array([[3, 0, 2], [2, 5, 3]])
    assert ops.cumsum(whole, 1).dtype == np.int64
    np.testing.assert_array_equal(ops.cumsum(whole), np.cumsum(whole))
    assert ops.prod(whole, 1).tolist() == [0, 30]
    assert ops.any(whole, 1).tolist() == [True, True]
    assert ops.all(whole, axis=1).tolist() == [False, True]
    assert ops.argmin(whole, 1).tolist() == [1, 0]
    assert ops.argsort(whole, 1, True).tolist() == [[0, 2, 1], [1, 2, 0]]
    np.testing.assert_array_equal(ops.unique(whole), [0, 2, 3, 5])
    assert ops.less(whole, 3).dtype == np.bool_
    assert ops.remainder(whole, 2).dtype == np.int64
    assert ops.isnan(whole).sum() == 0
    values, index = ops.sort(Tensor(whole), 1, True)
    assert isinstance(values, Tensor)
    assert values.tolist() == [[3, 2, 0], [5, 3, 2]]
    assert index.tolist() == [[0, 2, 1], [1, 2, 0]]
    assert ops.topk(whole, 1)[0].tolist() == [[3], [5]]
    assert ops.kthvalue(whole, 2, 0).values.tolist() == [3, 5, 3]
    assert ops.bincount(whole[0], minlength=6).tolist() == [1, 0, 1, 1, 0, 0]
    assert ops.bincount(Tensor(whole[0]), np.array([0.5, 1.0, 2.0])).tolist() == [1.0, 0.0, 2.0, 0.5]


def test_answers_come_as_their_operands() -> None:
    x = np.array([1.0, np.nan, -np.inf], np.float32)
    assert isinstance(ops.isnan(x), np.ndarray)
    answer = ops.isnan(Tensor(x))
    assert isinstance(answer, Tensor)
    assert answer.dtype == np.bool_
    assert (Tensor(x) > 0).tolist() == Tensor(x).gt(0).tolist() == [True, False, False]
    assert not Tensor(x).equal(x)
    assert Tensor(x[:1]).equal(x[:1])
    assert Tensor(x).nan_to_num().tolist() == [1.0, 0.0, float(np.finfo(np.float32).min)]


def test_the_layout_of_transposed_arrays_is_kept() -> None:
    """Results of arrays that lie transposed lie so too: nothing is turned around on the way."""
    a, b = RNG.normal(size=(40, 30)).T, RNG.normal(size=(40, 30)).T
    for out in (ops.mish(a), ops.expm1(a), ops.add(a, b), ops.maximum(a, b)):
        assert out.T.flags.c_contiguous
    np.testing.assert_array_equal(ops.add(a, b), a + b)
    assert ops.clip(a, -0.5, 0.5).T.flags.c_contiguous
    np.testing.assert_array_equal(ops.clip(a, -0.5, 0.5), np.clip(a, -0.5, 0.5))
    for layout in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        x = np.ascontiguousarray(X.transpose(layout)).transpose(np.argsort(layout))
        for weights in (WITH_ZEROS, np.asfortranarray(WITH_ZEROS)):
            leaf = Tensor(x, requires_grad=True)
            ops.tanh(leaf).backward(weights)
            np.testing.assert_allclose(leaf.grad.numpy(), weights * (1 - np.tanh(X) ** 2), rtol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "abs",
        "neg",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "sigmoid",
        "tanh",
        "relu",
        "floor",
        "ceil",
        "round",
        "trunc",
    ],
)
def test_functions_in_place(name: str, torch: Any) -> None:
    values = np.abs(X[0]) + 0.25
    ours, theirs = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    x, y = ours * 1.5, theirs * 1.5
    assert getattr(x, name + "_")() is x
    getattr(y, name + "_")()
    np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=1e-12)
    (x * x).sum().backward()
    (y * y).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10)


def test_clamp_in_place_and_the_corrections_of_numpy() -> None:
    x = Tensor(X.copy())
    assert x.clamp_(-0.5, 0.5) is x
    assert x.numpy().max() == 0.5
    np.testing.assert_allclose(ops.var(X, 1, ddof=0), np.var(X, 1))
    np.testing.assert_allclose(ops.std(X, 1, ddof=2), np.std(X, 1, ddof=2))
    with pytest.raises(ArgumentError, match="var: ddof is 0"):
        ops.std(X, ddof=0, unbiased=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.topk(x, 6), "topk: k is 6, expected at most 4"),
        (lambda x: ops.kthvalue(x, 0), "kthvalue: k is 0, expected at least 1"),
        (lambda x: ops.sort(x, 2), "sort: dim is 2"),
        (lambda x: ops.sort(x, descending=1), "sort: descending is 1"),
        (lambda x: ops.quantile(x, 1.5), "quantile: q is 1.5"),
        (lambda x: ops.quantile(x, 0.5, interpolation="cubic"), "quantile: interpolation is 'cubic'"),
        (lambda x: ops.searchsorted(x, np.ones((2, 2))), "searchsorted: sorted_sequence has shape"),
        (lambda x: ops.norm(x, "spectral"), "norm: p is 'spectral'"),
        (lambda x: ops.norm(x, 2, 1, axis=0), "norm: dim is 1 and axis is 0"),
        (lambda x: ops.cumsum(x, 1, dim=0), "cumsum: axis is 1 and dim is 0"),
        (lambda x: ops.amax(x[:0], 0), "max: x has shape"),
        (lambda x: ops.clamp(x), "clamp: min and max"),
        (lambda x: ops.bincount(np.array([-1, 2])), "bincount: x has the number -1"),
        (lambda x: ops.histc(x * np.nan), "histc: min is nan"),
        (lambda x: ops.isclose(x, x, rtol=-1), "isclose: rtol is -1"),
        (lambda x: Tensor(x).cumsum(), "cumsum: dim is None"),
    ],
)
def test_refusals(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(EinkornError, match=message):
        call(np.ones((3, 4)))


def test_threads_change_nothing() -> None:
    x = RNG.normal(size=(60, 2000)).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        with einkorn.num_threads(threads):
            found = [ops.sort(x)[0], ops.topk(x, 5)[0], ops.cumsum(x, 0), ops.prod(x, 0), ops.logsumexp(x, 1)]
            results.append([np.asarray(r).tobytes() for r in found])
    assert results[0] == results[1] == results[2]


def test_results_larger_than_the_caches() -> None:
    """Their stores are others: whole arrays, rows that begin between two vectors, gradients."""
    x = RNG.normal(size=(8500, 1003)).astype(np.float32)
    np.testing.assert_array_equal(ops.add(x, x), x + x)
    part, bias = x[:, :1001], x[0, 2:]
    np.testing.assert_array_equal(ops.add(part, bias), part + bias)
    np.testing.assert_array_equal(ops.relu(part), np.maximum(part, 0))
    np.testing.assert_array_equal(ops.multiply(x, 3.0), x * np.float32(3))
    leaf = Tensor(x, requires_grad=True)
    ops.relu(leaf).backward(x)
    np.testing.assert_array_equal(leaf.grad.numpy(), np.where(x > 0, x, 0))


def test_histc_where_a_bin_is_smaller_than_the_distance_of_numbers():
    assert ops.histc(np.full(5, 1e9, np.float32), 4).sum() == 5
    assert ops.histc(np.float32([1e9]), 4, 1e9, 1e9 + 1).sum() == 1
    with pytest.raises(ArgumentError, match="too far apart for float32"):
        ops.histc(np.zeros(3, np.float32), 4, -3e38, 3e38)
