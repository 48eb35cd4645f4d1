"""Calls in which random arguments beside torch found a difference: torch's answer, or an error by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, DTypeError, EinkornError, IndexRangeError, ShapeError
from einkorn.nn import functional

_RNG = np.random.default_rng(0)


def _array(*shape: int, kind: Any = np.float64) -> Any:
    return _RNG.normal(size=shape).astype(kind)


def _both(function: Callable[[Any, Any], Any], *arrays: Any, rtol: float = 1e-9) -> None:
    """Value and gradients of ``function(library, functional, *tensors)`` in both libraries."""
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    ours = [Tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in arrays]
    wanted = function(torch, torch.nn.functional, *theirs)
    got = function(einkorn, functional, *ours)
    assert got.dtype == wanted.detach().numpy().dtype
    assert got.shape == tuple(wanted.shape)
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), rtol=rtol)
    if not wanted.requires_grad:
        return
    weights = np.asarray(_RNG.normal(size=tuple(wanted.shape)), got.dtype)
    leaves = [x for x in theirs if x.requires_grad]
    true = torch.autograd.grad(wanted, leaves, torch.from_numpy(weights))
    found = einkorn.grad(got, [x for x in ours if x.requires_grad], Tensor(weights))
    for mine, one in zip(found, true, strict=True):
        np.testing.assert_allclose(mine.numpy(), one.numpy(), rtol=rtol, atol=1e-12)


# --- softmax ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 16, 33, 2048])
@pytest.mark.parametrize("sign", [1, -1])
def test_softmax_of_large_numbers(n: int, sign: int) -> None:
    """Rows around numbers of every size, of neighbours of theirs: a weight may not overflow nor be lost."""
    rng = np.random.default_rng(n)
    for power in np.arange(0, 38.5, 0.7):
        x = np.full(n, sign * 10**power, np.float32)
        for _ in range(5):
            down = rng.random(n) < 0.5
            x[down] = np.nextafter(x[down], np.float32(-np.inf))
        wide = x.astype(np.float64)
        weights = np.exp(wide - wide.max())
        total = weights.sum()
        np.testing.assert_allclose(ops.softmax(x[None], -1)[0], weights / total, rtol=2e-5, atol=1e-30)
        logs = ops.log_softmax(x[None], -1)[0]
        np.testing.assert_allclose(logs, wide - wide.max() - np.log(total), rtol=1e-5, atol=1e-5)


# --- losses -------------------------------------------------------------------------------------

_LOSSES: dict[str, Callable[..., Any]] = {
    name: (lambda f, x, t, name=name, **options: getattr(f, name)(x, t, **options))
    for name in (
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "kl_div",
        "poisson_nll_loss",
        "hinge_embedding_loss",
        "soft_margin_loss",
    )
}


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "shapes", [((4, 3), (3,)), ((4, 3), (4, 1)), ((3,), (2, 3)), ((4, 3), ()), ((5,), (1,))]
)
@pytest.mark.parametrize("name", _LOSSES)
def test_losses_broadcast_as_torch_does(name: str, shapes: Any, reduction: str) -> None:
    x, t = (np.abs(_array(*shape)) + 0.1 for shape in shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "soft_margin_loss" and x.size < t.size:
            return  # torch has no result there
        if name in ("hinge_embedding_loss", "soft_margin_loss"):  # of the target torch has no gradient there
            _both(
                lambda _, f, x, t: _LOSSES[name](f, x, t.detach(), reduction=reduction).sum() + 0 * t.sum(),
                x,
                t,
            )
            return
        _both(lambda _, f, x, t: _LOSSES[name](f, x, t, reduction=reduction), x, t)


@pytest.mark.parametrize("name", _LOSSES)
def test_losses_refuse_that_both_sides_grow(name: str) -> None:
    with pytest.raises(ShapeError, match=name + r".*\(4,\).*\(4, 1\)"):
        _LOSSES[name](functional, Tensor(_array(4, 1)), Tensor(_array(4)))
    with pytest.raises(ShapeError, match=name):
        _LOSSES[name](functional, Tensor(_array(4)), Tensor(_array(3)))


def test_a_loss_that_broadcasts_warns() -> None:
    with pytest.warns(UserWarning, match=r"mse_loss: target has shape \(3,\)"):
        ops.mse_loss(_array(2, 3), _array(3))


@pytest.mark.parametrize("kinds", [(np.float32, np.float64), (np.float64, np.float32)])
@pytest.mark.parametrize("name", ["mse_loss", "poisson_nll_loss", "margin_ranking_loss"])
def test_losses_of_two_types(name: str, kinds: Any) -> None:
    def loss(_: Any, f: Any, x: Any, t: Any) -> Any:
        return (
            f.margin_ranking_loss(x, t, t, 0.3) if name == "margin_ranking_loss" else _LOSSES[name](f, x, t)
        )

    _both(loss, *(_array(4, 3, kind=kind) for kind in kinds), rtol=1e-5)
    arrays = [_array(4, 3, kind=kind) for kind in kinds]
    with pytest.raises(DTypeError, match=name):
        loss(einkorn, functional, *arrays)


def test_huber_loss_without_a_bend() -> None:
    _both(lambda _, f, x, t: f.huber_loss(x, t, delta=float("inf")), _array(4, 3), _array(4, 3))


# --- index expressions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [range(0, 4, 2), (range(3), 1), ((0, 2), slice(None)), (0, slice(None), (0, 1))]
)
def test_sequences_in_a_key_are_lists(key: Any) -> None:
    """A range or a tuple inside: its gradient went lost, and a number beside it moved the axes."""
    plain = (
        tuple(list(k) if isinstance(k, (range, tuple)) else k for k in key)
        if isinstance(key, tuple)
        else list(key)
    )
    x = Tensor(_array(4, 3, 2), requires_grad=True)
    y, z = x[key], x[plain]
    assert y.tolist() == z.tolist()
    g = _array(*y.shape)
    assert einkorn.grad(y, x, Tensor(g))[0].tolist() == einkorn.grad(z, x, Tensor(g))[0].tolist()
    a, b = einkorn.zeros(4, 3, 2), einkorn.zeros(4, 3, 2)
    a[key], b[plain] = 1.0, 1.0
    assert a.tolist() == b.tolist()


def test_a_value_may_have_more_axes_of_one() -> None:
    def written(library: Any, _: Any, x: Any, v: Any) -> Any:
        y = x * 1.0
        y[x.detach() > 0] = v[:, :1]
        y[()] = y[None]
        y[1] = v
        return y

    _both(written, _array(4, 3), _array(1, 3))


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (slice(None, None, 0), ArgumentError),
        ("x", IndexRangeError),
        (slice("a", None), DTypeError),
        ((0.5, slice(None), [0]), EinkornError),
    ],
)
def test_keys_that_are_none(key: Any, error: Any) -> None:
    x = Tensor(_array(4, 3, 2))
    with pytest.raises(error, match="getitem"):
        x[key]
    with pytest.raises(EinkornError, match="setitem"):
        x[key] = 1.0


# --- shapes and types ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_pools_of_no_windows(kind: str, dims: int) -> None:
    torch = pytest.importorskip("torch")
    name, sizes, x = f"adaptive_{kind}_pool{dims}d", (0, 2, 3)[:dims], _array(*(2, 3, 5, 4, 3)[: dims + 2])
    wanted = getattr(torch.nn.functional, name)(torch.tensor(x), sizes)
    leaf = Tensor(x, requires_grad=True)
    got = getattr(functional, name)(leaf, sizes)
    assert got.shape == tuple(wanted.shape)
    assert einkorn.grad(got.sum(), leaf)[0].tolist() == np.zeros_like(x).tolist()
    layer = getattr(nn, f"Adaptive{kind.title()}Pool{dims}d")(sizes)
    assert layer(x).shape == got.shape


def test_matrices_of_a_batch_are_squared_each_as_often_as_it_needs() -> None:
    """Beside a large matrix a small one lost its digits; beside one that is not finite, all were NaN."""
    x = _array(4, 3, 3, kind=np.float32)
    x[1] *= 1e20
    x[2] = np.nan
    alone = [einkorn.linalg.matrix_exp(Tensor(m)).numpy() for m in x]
    with np.errstate(all="ignore"):
        together = einkorn.linalg.matrix_exp(Tensor(x)).numpy()
    np.testing.assert_array_equal(together[0], alone[0])
    np.testing.assert_array_equal(together[3], alone[3])
    assert np.isnan(together[2]).all()


@pytest.mark.parametrize("name", ["add", "sub"])
def test_alpha_is_taken_in_the_type_of_the_result(name: str) -> None:
    """-3 times bytes are no bytes."""
    bytes_ = np.array([1, 2, 200], np.uint8)
    _both(lambda _, f, x, b: getattr(x, name)(b, alpha=-3), _array(3), bytes_)
    _both(lambda _, f, x, b: getattr(x * 1.0, name + "_")(b, alpha=-3), _array(3), bytes_)


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"])
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_dropout_keeps_bfloat16(name: str, p: float) -> None:
    x = einkorn.ones(2, 3, *(4,) * {"dropout1d": 1, "dropout3d": 3}.get(name, 2)).bfloat16()
    assert str(getattr(functional, name)(x, p, True).dtype) == "bfloat16"
    assert str(getattr(functional, name)(x.requires_grad_(), p, True).dtype) == "bfloat16"


def test_broadcast_tensors_keep_their_types() -> None:
    parts = einkorn.broadcast_tensors(einkorn.ones(3).bfloat16(), einkorn.ones(2, 1).double())
    assert [str(x.dtype) for x in parts] == ["bfloat16", "float64"]
    assert [x.shape for x in parts] == [(2, 3)] * 2


def test_trapezoid_of_places_of_fewer_dimensions() -> None:
    _both(lambda library, _, y, x: library.trapezoid(y, x), _array(3, 1, 4), _array(3, 4))
    _both(lambda library, _, y, x: library.trapezoid(y, x, dim=1), _array(3, 4, 2), _array(4, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("extra", [{}, {"add_zero_attn": True, "add_bias_kv": True}], ids=["", "extended"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_takes_masks_of_any_type(dtype: str, extra: dict[str, bool], need_weights: bool) -> None:
    """Of bfloat16 it took none where the weights were wanted, as they are unless one says otherwise."""
    layer = nn.MultiheadAttention(4, 2, **extra).to(dtype)
    x = einkorn.ones(3, 1, 4).to(dtype).requires_grad_()
    mask = einkorn.zeros(3, 3)
    for kind in ("bool", "float32", "float64", "bfloat16"):
        masks = {"attn_mask": mask.to(kind), "key_padding_mask": einkorn.zeros(1, 3).to(kind)}
        out, weights = layer(x, x, x, need_weights=need_weights, **masks)
        assert str(out.dtype) == dtype
        assert not need_weights or str(weights.dtype) == dtype
        assert einkorn.grad(out.sum(), x)[0].shape == x.shape


@pytest.mark.parametrize("keepdim", [False, True])
def test_nuclear_norm(keepdim: bool) -> None:
    _both(lambda library, _, x: library.norm(x, "nuc", keepdim=keepdim), _array(4, 3), rtol=1e-8)
    _both(lambda library, _, x: library.norm(x, "nuc", (0, 2), keepdim), _array(4, 2, 3), rtol=1e-8)


@pytest.mark.parametrize("mode", [None, "floor", "trunc"])
def test_options_of_methods_in_place(mode: Any) -> None:
    _both(
        lambda _, f, x, y: (x * 1.0).div_(y.detach(), rounding_mode=mode) + 0 * y, _array(3, 4), _array(3, 4)
    )
    _both(lambda _, f, x: (x * 1.0).round_(decimals=1), _array(3, 4))


@pytest.mark.parametrize("name", ["cat", "stack", "tensordot", "isin", "searchsorted"])
def test_results_are_written_where_torch_writes_them(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.arange(6.0).reshape(2, 3)
    calls: dict[str, Callable[..., Any]] = {
        "cat": lambda f, a, **to: f([a, a], 1, **to),
        "stack": lambda f, a, **to: f([a, a], 1, **to),
        "tensordot": lambda f, a, **to: f(a, a, 2, **to),
        "isin": lambda f, a, **to: f(a, a[0], **to),
        "searchsorted": lambda f, a, **to: f(a[0], a, **to),
    }
    wanted = calls[name](getattr(torch, name), torch.tensor(x)).numpy()
    out = Tensor(np.zeros(wanted.shape, wanted.dtype))
    assert calls[name](getattr(einkorn, name), Tensor(x), out=out) is out
    assert out.tolist() == wanted.tolist()
    with pytest.raises(ShapeError, match=f"{name}: out"):
        calls[name](getattr(einkorn, name), Tensor(x), out=Tensor(np.zeros((7, 7), wanted.dtype)))


def test_any_and_all_of_bytes_are_bytes() -> None:
    _both(lambda _, f, x: x.any(1), np.array([[0, 2], [0, 0]], np.uint8))
    _both(lambda _, f, x: x.all(), np.array([[0, 2], [0, 0]], np.uint8))


def test_kl_div_of_a_scalar_is_its_own_mean() -> None:
    _both(lambda _, f, x, t: f.kl_div(x, t, reduction="batchmean"), np.array(-0.5), np.array(0.3))


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_extremes_along_a_dimension_twice(name: str, keepdim: bool, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.round(_array(3, 4), 1)
    x[0] = 1.0  # of equal ones the first gets the gradient, as in torch
    found = []
    for library, leaf in (
        (torch, torch.tensor(x).to(getattr(torch, dtype)).requires_grad_()),
        (einkorn, Tensor(x).to(dtype).requires_grad_()),
    ):
        grad: Any = library.autograd.grad if library is torch else einkorn.grad
        y = getattr(leaf, name)(1, keepdim=keepdim)[0] ** 3
        (slope,) = grad(y.sum(), leaf, create_graph=True)
        (bend,) = grad((slope**2).sum(), leaf)
        found.append([[float(v) for v in a.detach().reshape(-1).tolist()] for a in (slope, bend)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9 if dtype == "float64" else 0.02)


@pytest.mark.parametrize(
    "shapes",
    [((30, 5), (4, 5)), ((2, 3, 5), (1, 26, 5)), ((40, 3), (40, 3)), ((0, 5), (30, 5))],
)
def test_distances_of_many_vectors_are_those_of_their_differences(shapes: Any) -> None:
    """A product of matrices gives them, and gradients of both orders; a vector and itself have none."""
    x, y = _array(*shapes[0]), _array(*shapes[1])
    exactly = "donot_use_mm_for_euclid_dist"
    weights = _array(*ops.cdist(x, y, 2.0, exactly).shape)
    found = []
    for mode in ("use_mm_for_euclid_dist_if_necessary", exactly):
        leaves = [Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)]
        out = ops.cdist(*leaves, 2.0, mode)
        slopes = einkorn.grad((out * Tensor(weights)).sum(), leaves, create_graph=True)
        bends = einkorn.grad(sum((s**2).sum() for s in slopes), leaves)
        found.append([out, *slopes, *bends])
    for mine, one in zip(*found, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), one.detach().numpy(), rtol=1e-9, atol=1e-9)
    same = Tensor(np.ones((30, 3)), requires_grad=True)
    ops.cdist(same, same).sum().backward()
    assert not same.grad.numpy().any()


@pytest.mark.parametrize("p", [2.0, 1.0])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_distances_of_many_vectors_are_taken_in_blocks(
    monkeypatch: pytest.MonkeyPatch, p: float, lead: Any
) -> None:
    """All differences at once would not fit into memory: with the same bits, and the same gradients."""
    x, y = _array(*lead, 7, 3), _array(5, 3)
    whole = ops.cdist(x, y, p)
    leaves = [Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)]
    weights = Tensor(_array(*whole.shape))
    slopes = einkorn.grad(ops.cdist(*leaves, p), leaves, weights)
    monkeypatch.setattr("einkorn.ops.distance._AT_ONCE", 40)
    assert ops.cdist(x, y, p).tolist() == whole.tolist()
    for mine, one in zip(einkorn.grad(ops.cdist(*leaves, p), leaves, weights), slopes, strict=True):
        np.testing.assert_allclose(mine.numpy(), one.numpy(), rtol=1e-12)


def test_objects_are_refused_by_name() -> None:
    for function in (ops.fmin, ops.fmax):
        with pytest.raises(DTypeError):
            function(np.array([1, 2], object), 2.0)


_REFUSED: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "addmm": (lambda: _t(5, 4).addmm(_t(1, 3), _t(3, 4)), ShapeError, "addmm.*product"),
    "baddbmm": (lambda: _t(2, 5, 4).baddbmm(_t(2, 1, 3), _t(2, 3, 4)), ShapeError, "baddbmm.*product"),
    "addmv": (lambda: _t(5, 4).addmv(_t(4, 3), _t(3)), ShapeError, "addmv"),
    "addr": (lambda: _t(5, 4).addr(_t(1), _t(4)), ShapeError, "addr"),
    "bilinear": (lambda: functional.bilinear(_t(2, 3), _t(2, 3), _t(4, 3, 3), _t(1)), ShapeError, "bias"),
    "hsplit": (lambda: _t(2, 5).hsplit(2), ShapeError, "hsplit.*multiple of 2"),
    "vsplit": (lambda: _t(5, 2).vsplit(2), ShapeError, "vsplit.*multiple of 2"),
    "dsplit": (lambda: _t(2, 2, 5).dsplit(2), ShapeError, "dsplit.*multiple of 2"),
    "hsplit of a scalar": (lambda: _t().hsplit(1), ShapeError, "hsplit"),
    "squeeze": (lambda: _t(2, 1).squeeze((1, -1)), ArgumentError, "names a dimension twice"),
    "cdist": (lambda: einkorn.cdist(_t(2, 3), _t(2, 3), 2.0, "fast"), ArgumentError, "compute_mode"),
    "cumulative_trapezoid": (lambda: einkorn.cumulative_trapezoid(_t()), ShapeError, "dimension"),
    "gradient": (lambda: einkorn.gradient(_t(3, 3), dim=1.0), ArgumentError, "expected an int"),
    "unravel_index": (lambda: einkorn.unravel_index(Tensor([1]), ("x", 2)), EinkornError, "unravel_index"),
    "sum_to_size": (lambda: _t(3).sum_to_size(None), ArgumentError, "expected an int"),
    "select": (lambda: _t(3, 3).select(0, "x"), ArgumentError, "expected an int"),
    "slice_scatter": (lambda: _t(3, 3).slice_scatter(_t(3, 3), "x"), ArgumentError, "expected an int"),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2, dropout=None), EinkornError, "dropout"),
    "Dropout": (lambda: nn.Dropout("a"), EinkornError, "Dropout: p"),
    "Linear": (lambda: nn.Linear(10**30, 2), ShapeError, "larger than any memory"),
    "Conv2d": (lambda: nn.Conv2d(10**9, 10**9, 3), ShapeError, "larger than any memory"),
    "unfold": (lambda: functional.unfold(_t(1, 1, 4, 4), 2, padding=10**9), ShapeError, "unfold"),
    "diagonal": (lambda: _t(2, 2).diagonal(10**30), ArgumentError, "offset"),
    "LPPool2d": (lambda: nn.LPPool2d(None, 2), EinkornError, "norm_type"),
}


def _t(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32))


@pytest.mark.parametrize("what", _REFUSED)
def test_what_is_refused_by_name(what: str) -> None:
    """Shapes that torch refuses, and arguments of another type, for which Python's own errors came."""
    call, error, pattern = _REFUSED[what]
    with pytest.raises(error, match=pattern):
        call()
