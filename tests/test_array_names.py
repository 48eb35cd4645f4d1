"""What array programs call by name, as torch means it: values, types and gradients; and what is refused."""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, ops
from einkorn.autograd import grad
from einkorn.errors import ArgumentError, DTypeError, EinkornError, GradientError, IndexRangeError, ShapeError

RNG = np.random.default_rng(8)
X = RNG.normal(size=(3, 4))
Y = RNG.normal(size=(3, 4))
P = RNG.uniform(0.05, 0.95, (3, 4))
V = RNG.normal(size=(2, 3))
NANS = np.where(RNG.random((3, 4)) < 0.3, np.nan, X)
WHOLE = np.array([[3, 1, 3, 2], [1, 1, 2, 2], [3, 1, 3, 2]])
ROWS = WHOLE.astype(np.float64)

#: Written the same way for torch's functions and for the operations and methods here.
CALLS: dict[str, tuple[tuple[np.ndarray, ...], Callable[..., Any]]] = {
    "erfinv": (
        (np.array([-1, -0.999999, -0.3, 0, 1e-12, 0.5, 0.61, 0.9, 1 - 1e-12]),),
        lambda t, x: t.erfinv(x),
    ),
    "erfinv beyond": ((np.array([1.5, -2, np.nan, 1.0]),), lambda t, x: t.erfinv(x)),
    "logit": ((P,), lambda t, x: t.logit(x)),
    "logit eps": ((X,), lambda t, x: t.logit(x, 0.1)),
    "sinc": ((np.array([0.0, 1e-2, 0.3, -2.5]),), lambda t, x: t.sinc(x)),
    "xlogy": ((X, P), lambda t, x, y: t.xlogy(x, y)),
    "heaviside": (
        (np.array([-1.0, 0, 2, np.nan]),),
        lambda t, x: x.detach().heaviside(x.detach() + 0.5),
    ),
    "fmax": ((NANS, Y), lambda t, x, y: t.fmax(x, y)),
    "fmin": ((NANS, Y), lambda t, x, y: t.fmin(x, y)),
    "deg2rad": ((X,), lambda t, x: t.rad2deg(t.deg2rad(x) * 2)),
    "logaddexp far from 0": ((1e8 + X, 1e8 + Y), lambda t, x, y: t.logaddexp(x, y)),
    "unique dim": ((ROWS,), lambda t, x: t.unique(x.detach(), dim=0)),
    "unique columns": ((WHOLE,), lambda t, x: t.unique(x, dim=1, return_inverse=True, return_counts=True)),
    "unique counts": ((WHOLE,), lambda t, x: t.unique(x, return_inverse=True, return_counts=True)),
    "unique of none": ((np.zeros((0, 3)),), lambda t, x: t.unique(x.detach(), dim=0, return_inverse=True)),
    "consecutive": (
        (WHOLE,),
        lambda t, x: t.unique_consecutive(x, return_inverse=True, return_counts=True),
    ),
    "consecutive dim": ((np.repeat(ROWS, 2, 0),), lambda t, x: t.unique_consecutive(x.detach(), dim=0)),
    "mode": ((WHOLE,), lambda t, x: t.mode(x, 1)),
    "mode of floats": ((ROWS,), lambda t, x: t.mode(x, 0, keepdim=True)[0]),
    "diff": ((X,), lambda t, x: t.diff(x)),
    "diff twice": ((X, Y), lambda t, x, y: t.diff(x, 2, 0, append=y)),
    "diff of truths": ((WHOLE > 1,), lambda t, x: t.diff(x)),
    "cov": ((X,), lambda t, x: t.cov(x)),
    "cov weighted": (
        (X,),
        lambda t, x: t.cov(
            x, correction=0, fweights=t.ones_like(x[0]).long() * 2, aweights=t.arange(1.0, 5.0, dtype=x.dtype)
        ),
    ),
    "corrcoef": ((X,), lambda t, x: t.corrcoef(x)),
    "cross": ((V, V + Y[:2, :3]), lambda t, x, y: t.cross(x, y, dim=-1)),
    "dist": ((X, Y), lambda t, x, y: t.dist(x, y, 3)),
    "pdist": ((X,), lambda t, x: t.pdist(x)),
    "renorm": ((X,), lambda t, x: t.renorm(x, 2, 0, 1.5)),
    "aminmax": ((X,), lambda t, x: t.aminmax(x, dim=1, keepdim=True)),
    "msort": ((X,), lambda t, x: t.msort(x)),
    "std_mean": ((X,), lambda t, x: t.std_mean(x, 1)),
    "var_mean": ((X,), lambda t, x: t.var_mean(x, 0, correction=0, keepdim=True)),
    "trapezoid": ((X,), lambda t, x: t.trapezoid(x, dx=0.5)),
    "trapezoid at": ((X, Y[0]), lambda t, x, y: t.trapezoid(x, y)),
    "trapezoid at each": ((X, Y), lambda t, x, y: t.trapezoid(x, y, dim=0)),
    "isin": ((WHOLE, np.array([1, 2])), lambda t, x, y: t.isin(x, y)),
    "isin inverted": ((WHOLE, np.array([1, 2])), lambda t, x, y: t.isin(x, y, invert=True)),
    "cartesian_prod": ((X[0], Y[1]), lambda t, x, y: t.cartesian_prod(x, y)),
    "combinations": ((X[0],), lambda t, x: t.combinations(x, 3)),
    "combinations again": ((WHOLE[0],), lambda t, x: t.combinations(x, 2, True)),
    "block_diag": ((X, V, Y[0]), lambda t, x, v, y: t.block_diag(x, v, y)),
    "broadcast_tensors": ((X, Y[:1]), lambda t, x, y: t.broadcast_tensors(x, y)),
    "column_stack": ((X, Y[:, 0]), lambda t, x, y: t.column_stack((x, y))),
    "atleast_1d": ((X[0, 0],), lambda t, x: t.atleast_1d(x)),
    "atleast_2d": ((X[0], V), lambda t, x, y: t.atleast_2d(x, y)),
    "atleast_3d": ((X[0], V), lambda t, x, y: t.atleast_3d([x, y])),
    "flips": ((X,), lambda t, x: t.fliplr(x) + t.flipud(x)),
    "triangles": ((), lambda t: (t.tril_indices(3, 4, -1), t.triu_indices(3, 4, 1), t.tril_indices(2, 2))),
    "vander": ((X[0],), lambda t, x: t.vander(x.detach(), 3, increasing=True)),
    "vander square": ((WHOLE[0],), lambda t, x: t.vander(x)),
    "where": ((X,), lambda t, x: t.where(x > 0)),
    "scalar flip": ((np.array(2.5),), lambda t, x: t.flip(x, (0,))),
    "scalar prod": ((np.array(0.0),), lambda t, x: x.prod()),
    "scalar prod over": ((np.array(3.0),), lambda t, x: x.prod(0, keepdim=True)),
    "sign": ((np.array([np.nan, -2, 0, 3]),), lambda t, x: x.sign()),
    "%": ((X,), lambda t, x: (x % 0.3, 2 % x.detach(), x % x.detach())),
    "//": ((X,), lambda t, x: (x.detach() // 0.3, 2 // x.detach(), -7 // x.detach())),
    "whole //": ((WHOLE - 2, np.array([3, -1, 2, -5])), lambda t, x, y: (x // y, x // 2, -7 // y, x // 2.5)),
    "whole %": ((WHOLE - 2, np.array([3, -1, 2, -5])), lambda t, x, y: (x % y, x % 2, -7 % y)),
    "truths //": ((WHOLE > 1,), lambda t, x: x // 1),
    "shifts": ((WHOLE,), lambda t, x: (x << 2, x >> 1)),
    "divided": ((WHOLE - 2,), lambda t, x: x // 2),
    "bits": ((WHOLE,), lambda t, x: (x.bitwise_and(3), x.bitwise_or(4), x.bitwise_xor(1), x.bitwise_not())),
    "splits": ((X,), lambda t, x: (*x.hsplit(2), *x.vsplit(3))),
    "limits": ((X,), lambda t, x: x.clamp_min(0) + x.clamp_max(0.5)),
}


def _both(torch: Any) -> tuple[Any, Any]:
    ours = types.SimpleNamespace(
        **{name: getattr(ops, name) for name in ops.__dict__ if name[0] != "_"},
    )
    ours.ones_like, ours.arange, ours.pdist = einkorn.ones_like, einkorn.arange, ops.pdist
    return ours, torch


def _flat(results: Any) -> list[Any]:
    return [r for part in results for r in _flat(part)] if isinstance(results, (tuple, list)) else [results]


@pytest.mark.parametrize("name", CALLS)
def test_as_torch(name: str, torch: Any) -> None:
    """Values, element types and, where torch has them, gradients."""
    arrays, call = CALLS[name]
    ours, theirs = _both(torch)
    if name == "pdist":
        theirs = torch.nn.functional
    mine = [Tensor(a.copy(), requires_grad=a.dtype == np.float64) for a in arrays]
    given = [torch.tensor(a, requires_grad=a.dtype == np.float64) for a in arrays]
    got, wanted = _flat(call(ours, *mine)), _flat(call(theirs, *given))
    assert len(got) == len(wanted)
    total = theirs_total = None
    for i, (a, b) in enumerate(zip(got, wanted, strict=True)):
        values = b.detach().numpy()
        assert a.shape == values.shape
        assert np.asarray(a).dtype == values.dtype
        np.testing.assert_allclose(np.asarray(a), values, rtol=1e-11, atol=1e-14)
        if b.requires_grad:
            weight = np.asarray(np.random.default_rng(i).normal(size=values.shape))
            total = (a * weight).sum() + (0 if total is None else total)
            theirs_total = (b * torch.from_numpy(weight)).sum() + (
                0 if theirs_total is None else theirs_total
            )
    if theirs_total is None:
        return
    theirs_total.backward()
    total.backward()
    for a, b in zip(mine, given, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(np.asarray(a.grad), b.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_both_orders_of_the_functions_that_have_kernels_of_their_own() -> None:
    for function, at in ((ops.erfinv, 0.3), (ops.sinc, 0.0), (ops.sinc, 0.4), (ops.logit, 0.2)):
        x = Tensor(np.array(at), requires_grad=True)
        (slope,) = grad(function(x), [x], create_graph=True)
        (bend,) = grad(slope, [x])
        h = 1e-4
        values = [float(function(np.array(at + k * h))) for k in (-1, 0, 1)]
        assert float(bend) == pytest.approx((values[0] - 2 * values[1] + values[2]) / h**2, abs=1e-5)
    x, y = (Tensor(np.array(v), requires_grad=True) for v in (1.0, 1.0))
    (slope,) = grad(ops.logaddexp(x, y), [x], create_graph=True)
    assert float(grad(slope, [x])[0]) == 0.25


@pytest.mark.parametrize("value", [1e8, 3e38, math.inf, -math.inf])
def test_equal_numbers_share_the_gradient_of_logaddexp(value: float) -> None:
    x, y = (Tensor(np.array([value], np.float32), requires_grad=True) for _ in range(2))
    ops.logaddexp(x, y).sum().backward()
    assert x.grad.item() == y.grad.item() == 0.5


def test_erfinv_of_float32_is_the_inverse() -> None:
    y = np.concatenate([np.linspace(-1, 1, 2001), 1 - np.geomspace(6e-8, 1e-2, 50)]).astype(np.float32)
    wanted = ops.erfinv(y.astype(np.float64))
    np.testing.assert_allclose(ops.erfinv(y), wanted.astype(np.float32), rtol=1e-6)
    inside = np.abs(y) < 1
    back = np.array([math.erf(v) for v in ops.erfinv(y.astype(np.float64)[inside])])
    np.testing.assert_allclose(back, y[inside].astype(np.float64), rtol=1e-14)


def test_numpy_means_the_same() -> None:
    """Where NumPy has the function, arrays give its results."""
    found = ops.unique(WHOLE, return_index=True, return_inverse=True, return_counts=True, axis=0)
    for got, wanted in zip(found, np.unique(WHOLE, True, True, True, axis=0), strict=True):
        np.testing.assert_array_equal(got, wanted.reshape(got.shape))
    np.testing.assert_array_equal(ops.unique(X, return_index=True)[1], np.unique(X, return_index=True)[1])
    np.testing.assert_allclose(ops.cov(X, correction=0), np.cov(X, ddof=0))
    np.testing.assert_allclose(ops.cross(V, V[::-1]), np.cross(V, V[::-1]))
    np.testing.assert_allclose(ops.vander(X[0]), np.vander(X[0]))
    np.testing.assert_array_equal(ops.diff(WHOLE, 2, 0), np.diff(WHOLE, 2, 0))
    for got, wanted in zip(ops.where(WHOLE > 1), np.where(WHOLE > 1), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert isinstance(ops.isin(WHOLE, 1), np.ndarray)
    assert ops.sign(np.array([np.nan]))[0] != ops.sign(np.array([np.nan]))[0]
    assert ops.exp(np.float64(0)) == ops.exp(np.float32(0)) == 1


def test_the_gradient_of_a_cast_has_the_type_of_the_input() -> None:
    x = Tensor(np.float32([1, 2]), requires_grad=True)
    y = ops.cast(x, np.float64)
    (slope,) = grad((y**3).sum(), [x], create_graph=True)
    assert slope.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(slope), [3, 12])
    np.testing.assert_array_equal(np.asarray(grad(slope.sum(), [x])[0]), [6, 12])


def test_bfloat16_is_computed_in_float32_and_rounded_once() -> None:
    low = Tensor(np.abs(X.astype(np.float32)) / 4).to("bfloat16")
    for function in (
        ops.erfinv,
        ops.sinc,
        ops.cov,
        ops.msort,
        lambda x: ops.mode(x).values,
        ops.unique,
        ops.diff,
    ):
        got, wanted = function(low), function(low.float())
        assert got.dtype == low.dtype
        np.testing.assert_array_equal(np.asarray(got.float()), np.asarray(wanted.to("bfloat16").float()))
    assert ops.multinomial(low, 2).dtype == np.int64
    assert ops.isin(low, low).numpy().all()
    assert ops.gumbel_softmax(low, hard=True).dtype == low.dtype


def test_each_nan_is_an_element_of_its_own() -> None:
    x = np.array([np.nan, 1, np.nan, 1])
    values, counts = ops.unique(x, return_counts=True)
    np.testing.assert_array_equal(values, [1, np.nan, np.nan])
    np.testing.assert_array_equal(counts, [2, 1, 1])
    assert ops.unique(np.array([[np.nan, 1], [np.nan, 1]]), dim=0).shape == (2, 2)


REFUSED: dict[str, tuple[type[EinkornError], str, Callable[[], Any]]] = {
    "whole quotient": (ArgumentError, "divide: b has zeros", lambda: Tensor(WHOLE) // 0),
    "whole rest": (ArgumentError, "remainder: b has zeros", lambda: Tensor(WHOLE) % Tensor(WHOLE - 1)),
    "shift of floats": (DTypeError, "left_shift: got float64", lambda: Tensor(X) << 1),
    "one side of where": (ArgumentError, "where: b is not given", lambda: ops.where(X > 0, X)),
    "both names": (ArgumentError, "unique: dim is 0 and axis is 1", lambda: ops.unique(X, dim=0, axis=1)),
    "axis of unique": (ArgumentError, "unique: axis is 5, out of range", lambda: ops.unique(X, dim=5)),
    "mode of none": (ShapeError, r"mode: x has shape \(3, 0\)", lambda: ops.mode(np.zeros((3, 0)), 1)),
    "cross": (ShapeError, "cross: .*expected size 3 along -1", lambda: ops.cross(X, X)),
    "cov": (ShapeError, "cov: x has shape", lambda: ops.cov(np.zeros((1, 2, 3)))),
    "weights of cov": (ArgumentError, "cov: fweights has shape", lambda: ops.cov(X, fweights=[1, 2])),
    "pdist": (ShapeError, "pdist: input has shape", lambda: ops.pdist(X[0])),
    "renorm": (ArgumentError, "renorm: p is 0", lambda: ops.renorm(X, 0, 0, 1)),
    "trapezoid": (ShapeError, "trapezoid: x has shape", lambda: ops.trapezoid(X, Y[0, :2])),
    "combinations": (ArgumentError, "combinations: r is -1", lambda: ops.combinations(X[0], -1)),
    "block_diag": (ShapeError, r"block_diag: tensors\[1\]", lambda: ops.block_diag(X, np.zeros((1, 2, 3)))),
    "no tensors": (ArgumentError, "block_diag: tensors is empty", ops.block_diag),
    "fliplr": (ShapeError, "fliplr: x has shape", lambda: ops.fliplr(X[0])),
    "diff": (ShapeError, "diff: x is a scalar", lambda: ops.diff(np.array(1.0))),
    "bernoulli": (ArgumentError, "bernoulli: input has 1.5", lambda: ops.bernoulli(np.array([0.5, 1.5]))),
    "bernoulli of NaN": (ArgumentError, "bernoulli: input has nan", lambda: ops.bernoulli(NANS * 0 + 0.5)),
    "multinomial": (
        ArgumentError,
        "multinomial: input has -1.0",
        lambda: ops.multinomial(np.array([-1.0]), 1),
    ),
    "multinomial of zeros": (
        ArgumentError,
        "multinomial: input has 0 positive weights in row 1",
        lambda: ops.multinomial(np.array([[1.0], [0.0]]), 1, True),
    ),
    "too many draws": (ArgumentError, "expected at least 2", lambda: ops.multinomial(np.array([1.0, 0]), 2)),
    "tau": (ArgumentError, "gumbel_softmax: tau is 0", lambda: ops.gumbel_softmax(X, 0)),
    "axis of gumbel": (ArgumentError, "gumbel_softmax: dim is 2", lambda: ops.gumbel_softmax(X, dim=2)),
    "view": (ArgumentError, "view: shape is ", lambda: Tensor(X).view(np.int64)),
    "vsplit": (ShapeError, "vsplit: the tensor has shape", lambda: Tensor(X[0]).vsplit(2)),
    "stride": (ArgumentError, "stride: dim is 2", lambda: Tensor(X).stride(2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_argument(name: str) -> None:
    kind, message, call = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()


# --- in place -------------------------------------------------------------------------------------

#: Methods that write, and their arguments; each has a method of its own that does not write.
WRITES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("acos", "asin", "atan", "atanh", "asinh", "sinh", "cosh", "tan", "sin", "cos"), ()),
    **dict.fromkeys(("square", "erf", "erfc", "exp2", "expm1", "log1p", "log2", "log10", "frac"), ()),
    **dict.fromkeys(("sign", "nan_to_num", "erfinv", "logit", "sinc", "deg2rad", "rad2deg"), ()),
    **dict.fromkeys(("atan2", "hypot", "copysign", "fmod", "remainder", "floor_divide", "xlogy"), (Y,)),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), (0.5,)),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), (WHOLE > 1,)),
    "lerp": (Y, 0.25),
    "addcmul": (Y, Y),
    "addcdiv": (Y, P),
    "cumsum": (0,),
    "cumprod": (1,),
    "logical_not": (),
    "renorm": (2, 0, 1.0),
    "tril": (),
    "triu": (1,),
    "subtract": (Y,),
    "multiply": (2.0,),
    "divide": (Y,),
    "clip": (0.2, 0.6),
    "addmm": (X @ X.T, Y),
    "unsqueeze": (1,),
    "transpose": (0, 1),
    "t": (),
    "squeeze": (),
}
#: Those whose result has no gradient.
PLAIN = {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "logical_not"}


def _as_tensors(arguments: tuple[Any, ...], wrap: Callable[[Any], Any]) -> list[Any]:
    return [wrap(a) if isinstance(a, np.ndarray) else a for a in arguments]


@pytest.mark.parametrize("name", WRITES)
def test_in_place_is_the_method_without_its_line(name: str, torch: Any) -> None:
    """The tensor itself changes, also where it is recorded, as in torch."""
    x, y = Tensor(P.copy()), torch.tensor(P)
    got = getattr(x, name + "_")(*_as_tensors(WRITES[name], Tensor))
    getattr(y, name + "_")(*_as_tensors(WRITES[name], torch.tensor))
    assert got is x
    assert x.dtype == np.float64
    np.testing.assert_allclose(np.asarray(x), y.numpy(), rtol=1e-12, atol=1e-15)
    if name in PLAIN:
        return
    leaf, theirs = Tensor(P.copy(), requires_grad=True), torch.tensor(P, requires_grad=True)
    with pytest.raises(GradientError, match=f"{name}_?: a leaf|sub|mul|div|clamp"):
        getattr(leaf, name + "_")(*_as_tensors(WRITES[name], Tensor))
    inner, other = leaf * 1.0, theirs * 1.0
    getattr(inner, name + "_")(*_as_tensors(WRITES[name], Tensor))
    if name in ("floor_divide", "atanh", "asinh"):  # in place without a gradient in torch
        return
    getattr(other, name + "_")(*_as_tensors(WRITES[name], torch.tensor))
    weight = RNG.normal(size=inner.shape)
    (inner * weight).sum().backward()
    (other * torch.from_numpy(weight)).sum().backward()
    np.testing.assert_allclose(np.asarray(leaf.grad), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_operators_in_place() -> None:
    x = Tensor(np.array([5.0, -7.0]))
    same = x
    x %= 4
    np.testing.assert_array_equal(np.asarray(x), [1, 1])
    x //= 2
    np.testing.assert_array_equal(np.asarray(x), [0, 0])
    assert x is same
    i = Tensor(np.array([5, -7]))
    i //= 2
    i %= 3
    np.testing.assert_array_equal(np.asarray(i), [2, 2])
    with pytest.raises(DTypeError, match="does not hold"):
        i //= 2.5
    assert [int(v) for v in divmod(Tensor(np.array(-7)), 2)] == [-4, 1]


def test_what_is_drawn_in_place() -> None:
    einkorn.manual_seed(0)
    x = Tensor(np.zeros((200, 50), np.float32))
    assert abs(float(x.normal_(3, 2).mean()) - 3) < 0.1
    assert abs(float(x.std()) - 2) < 0.1
    x.uniform_(-1, 3)
    assert -1 <= float(x.min()) < -0.9
    assert 2.9 < float(x.max()) <= 3
    assert set(np.unique(np.asarray(x.random_(2, 5)))) == {2, 3, 4}
    assert set(np.unique(np.asarray(x.bernoulli_(0.3)))) == {0, 1}
    assert abs(float(x.mean()) - 0.3) < 0.02
    with pytest.raises(ArgumentError, match="normal_: the tensor holds int64"):
        Tensor(WHOLE.copy()).normal_()
    with pytest.raises(ArgumentError, match="uniform_: generator"):
        x.uniform_(generator=1)
    with pytest.raises(GradientError, match="normal_: a leaf"):
        Tensor(X.copy(), requires_grad=True).normal_()


def test_diagonals_and_leaves_in_place(torch: Any) -> None:
    for shape, wrap in (((3, 3), False), ((7, 3), True), ((7, 3), False), ((2, 2, 2), False)):
        x = Tensor(np.zeros(shape)).fill_diagonal_(2, wrap)
        np.testing.assert_array_equal(np.asarray(x), torch.zeros(shape).fill_diagonal_(2, wrap).numpy())
    with pytest.raises(ArgumentError, match="fill_diagonal_: the tensor has shape"):
        Tensor(np.zeros((2, 3, 2))).fill_diagonal_(1)
    leaf = Tensor(X.copy(), requires_grad=True)
    inner = leaf * 2
    assert inner.grad_fn is not None
    assert inner.detach_() is inner
    assert not inner.requires_grad
    assert inner.grad_fn is None
    assert copy.deepcopy(leaf).grad_fn is None
    assert leaf.new_tensor([1, 2]).dtype == np.float64
    assert Tensor(X.T).stride() == (1, 4)
    assert Tensor(X).stride(-1) == 1


# --- draws ----------------------------------------------------------------------------------------


def test_multinomial_draws_in_proportion() -> None:
    einkorn.manual_seed(1)
    weights = np.array([[1.0, 0, 3], [0, 2, 2]], np.float32)
    drawn = np.asarray(ops.multinomial(weights, 4000, True))
    assert drawn.shape == (2, 4000)
    assert drawn.dtype == np.int64
    shares = np.array([np.bincount(row, minlength=3) for row in drawn]) / 4000
    np.testing.assert_allclose(shares, [[0.25, 0, 0.75], [0, 0.5, 0.5]], atol=0.03)
    firsts = [int(ops.multinomial(weights[0], 2)[0]) for _ in range(2000)]
    assert abs(np.mean(np.array(firsts) == 2) - 0.75) < 0.04
    for _ in range(20):
        assert sorted(np.asarray(Tensor(weights[0]).multinomial(2))) == [0, 2]


def test_gumbel_softmax_draws_classes_and_passes_gradients() -> None:
    einkorn.manual_seed(2)
    logits = np.log(np.array([0.2, 0.5, 0.3]))
    hard = np.asarray(ops.gumbel_softmax(np.tile(logits, (6000, 1)), hard=True))
    assert set(np.unique(hard)) == {0, 1}
    np.testing.assert_array_equal(hard.sum(1), 1)
    np.testing.assert_allclose(hard.mean(0), np.exp(logits), atol=0.03)
    x = Tensor(np.tile(logits, (5, 1)), requires_grad=True)
    weight = RNG.normal(size=(5, 3))
    gradients = []
    for option in (False, True):
        einkorn.manual_seed(3)
        x.grad = None
        out = ops.gumbel_softmax(x, tau=0.7, hard=option)
        (out * weight).sum().backward()
        gradients.append(np.asarray(x.grad))
        np.testing.assert_allclose(np.asarray(out).sum(1), 1)
    np.testing.assert_allclose(gradients[0], gradients[1])
    assert np.abs(gradients[0]).max() > 0
    soft = np.asarray(ops.gumbel_softmax(np.zeros((4, 3)), dim=0))
    np.testing.assert_allclose(soft.sum(0), 1)


def test_bernoulli_draws_by_chance() -> None:
    einkorn.manual_seed(4)
    x = np.asarray(ops.bernoulli(np.full(10000, 0.25)))
    assert set(np.unique(x)) == {0, 1}
    assert abs(x.mean() - 0.25) < 0.02
    assert np.asarray(ops.bernoulli(np.array([0.0, 1.0]))).tolist() == [0, 1]
    assert np.asarray(ops.bernoulli(X, 1.0)).sum() == X.size
    with pytest.raises(IndexRangeError):
        ops.index_select(X, 0, ops.multinomial(np.array([0.0, 0, 0, 1]), 1))


# --- NumPy's pairs --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pairs_of_numpy_pad_as_numpy(mode: str) -> None:
    for pairs in (((1, 2), (0, 1)), [[2, 0], [1, 1]], ((1, 1),), np.array([[0, 1], [2, 0]])):
        np.testing.assert_array_equal(ops.pad(X, pairs, mode), np.pad(X, pairs, mode))
    x = Tensor(X, requires_grad=True)
    weight = RNG.normal(size=(6, 5))
    (ops.pad(x, ((1, 2), (0, 1)), mode) * weight).sum().backward()
    names = {"edge": "replicate", "wrap": "circular"}
    y = Tensor(X, requires_grad=True)
    (ops.pad(y, (0, 1, 1, 2), names.get(mode, mode)) * weight).sum().backward()
    np.testing.assert_array_equal(np.asarray(x.grad), np.asarray(y.grad))


def test_pairs_of_numpy_are_checked() -> None:
    np.testing.assert_array_equal(ops.pad(WHOLE, ((1, 0), (0, 0)), value=7)[0], [7, 7, 7, 7])
    with pytest.raises(ShapeError, match=r"pad: pad is .*expected a pair for each of 2 axes"):
        ops.pad(X, ((1, 2), (0, 1), (0, 0)))
    with pytest.raises(ShapeError, match=r"pad: pad is .*expected a pair for each of 2 axes"):
        ops.pad(X, ((1, 2, 3), (0, 1, 0)))
    with pytest.raises(ArgumentError, match="pad: pad is -1, expected at least 0"):
        ops.pad(X, ((1, -1), (0, 1)))
    with pytest.raises(ArgumentError, match="pad: mode is 'edge'"):
        ops.pad(X, (1, 1), "edge")


def test_no_differences_leave_what_there_is() -> None:
    x = einkorn.arange(4.0)
    assert x.diff(n=0, prepend=x).tolist() == x.tolist()


def test_equal_elements_have_a_deviation_without_slope() -> None:
    for function in (lambda x: x.std(), lambda x: x.std(0).sum(), lambda x: ops.std(x)):
        x = einkorn.zeros(3, 4, requires_grad=True)
        function(x).backward()
        assert x.grad is not None
        assert x.grad.tolist() == np.zeros((3, 4)).tolist()
    x = einkorn.tensor([[1.0, 1.0], [1.0, 3.0]], requires_grad=True)
    x.std(1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0], [-np.sqrt(0.5), np.sqrt(0.5)]], rtol=1e-6)


def test_types_have_names() -> None:
    assert einkorn.zeros(2, dtype=einkorn.int64).dtype == einkorn.long
    assert einkorn.tensor([1], dtype=einkorn.double).dtype == einkorn.float64
    assert (~einkorn.tensor([1, 255], dtype=einkorn.uint8)).tolist() == [254, 0]
