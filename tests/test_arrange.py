"""What puts elements into another order: Tensor methods as torch's, integers, views, refusals, layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError

X = np.random.default_rng(0).normal(size=(3, 4, 5))

METHODS: dict[str, Callable[[Any], Any]] = {
    "movedim": lambda t: t.movedim((0, 1), (2, 0)),
    "moveaxis": lambda t: t.moveaxis(0, -1),
    "unflatten": lambda t: t.unflatten(1, (2, -1)),
    "narrow": lambda t: t.narrow(1, -3, 2),
    "select": lambda t: t.select(1, -1),
    "unfold": lambda t: t.unfold(2, 3, 2),
    "unfold first": lambda t: t.unfold(0, 2, 1),
    "split": lambda t: t.split(2, 1),
    "split sections": lambda t: t.split([1, 0, 3], dim=1),
    "chunk": lambda t: t.chunk(3, -1),
    "tensor_split": lambda t: t.tensor_split(3, 2),
    "tensor_split at": lambda t: t.tensor_split((1, 3), dim=1),
    "unbind": lambda t: t.unbind(1),
    "iteration": lambda t: tuple(t),
    "flip": lambda t: t.flip(0, -1),
    "flip tuple": lambda t: t.flip((1,)),
    "roll": lambda t: t.roll(2, 1),
    "roll flat": lambda t: t.roll(7),
    "roll twice": lambda t: t.roll((1, -2), (0, 2)),
    "rot90": lambda t: t.rot90(3, (0, 2)),
    "tile": lambda t: t.tile(2, 1, 3),
    "tile fewer": lambda t: t.tile((2,)),
    "repeat": lambda t: t.repeat(2, 1, 1, 2),
    "repeat_interleave": lambda t: t.repeat_interleave(2, 1),
    "repeat_interleave flat": lambda t: t.repeat_interleave(3),
    "tril": lambda t: t.tril(-1),
    "triu": lambda t: t.triu(1),
    "triu far": lambda t: t.triu(9),
    "diagonal": lambda t: t.diagonal(1, -1, 0),
    "diag": lambda t: t[0].diag(-1),
    "diag vector": lambda t: t[0, 0].diag(2),
    "diag_embed": lambda t: t.diag_embed(-2, 2, 1),
    "mm mv": lambda t: t[0].mm(t[1].T).mv(t[:, 0, 0].repeat(2)[:4]),
    "dot outer": lambda t: t[0, 0].dot(t[1, 0]) * t[0, 0].outer(t[0, :, 0]),
    "inner kron": lambda t: t[0].inner(t[1]).kron(t[0, :2]),
    "trace": lambda t: t[0].trace(),
    "baddbmm": lambda t: t.baddbmm(t, t.mT.bmm(t), beta=0.5, alpha=2),
    "addbmm": lambda t: t[0].addbmm(t, t.mT.bmm(t)),
    "addmv": lambda t: t[0, :, 0].addmv(t[1], t[0, 0], alpha=-1),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_mean_what_torch_means(name: str, torch: Any) -> None:
    ours, theirs = Tensor(X.copy(), requires_grad=True), torch.tensor(X, requires_grad=True)
    got, wanted = METHODS[name](ours), METHODS[name](theirs)
    pairs = list(zip(got, wanted, strict=True)) if isinstance(wanted, tuple) else [(got, wanted)]
    rng = np.random.default_rng(1)
    total: Any = 0.0
    their_total: Any = 0.0
    for a, b in pairs:
        assert a.shape == tuple(b.shape)
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-10)
        weights = np.asarray(rng.normal(size=a.shape))
        total = (a * Tensor(weights)).sum() + total
        their_total = (b * torch.from_numpy(weights)).sum() + their_total
    total.backward()
    their_total.backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_integers_and_booleans_are_moved_alike() -> None:
    whole = np.arange(12).reshape(3, 4)
    for values in (whole, whole.astype(np.int32), whole.astype(np.uint8), whole > 5):
        for got, wanted in (
            (ops.flip(values, 1), np.flip(values, 1)),
            (ops.roll(values, 1, 0), np.roll(values, 1, 0)),
            (ops.tile(values, (2, 1)), np.tile(values, (2, 1))),
            (ops.tril(values), np.tril(values)),
            (ops.triu(values, 1), np.triu(values, 1)),
            (ops.diag(values), np.diag(values)),
            (ops.stack([values, values]), np.stack([values, values])),
            (ops.pad(values, (1, 1), "reflect"), np.pad(values, ((0, 0), (1, 1)), "reflect")),
            (ops.pad(values, (1, 0)), np.pad(values, ((0, 0), (1, 0)))),
            (ops.repeat_interleave(values, [1, 0, 2], 0), np.repeat(values, [1, 0, 2], 0)),
        ):
            assert got.dtype == values.dtype
            np.testing.assert_array_equal(got, wanted)
    hot = nn.functional.one_hot(Tensor(whole[0]), 5)
    assert type(hot) is Tensor
    np.testing.assert_array_equal(hot, np.eye(5, dtype=int)[:4])


def test_views_share_their_memory() -> None:
    t = Tensor(np.zeros((2, 4)))
    for view in (
        t.unsqueeze(1),
        t.narrow(1, 1, 2),
        t.chunk(2, 1)[1],
        t.diagonal(),
        t.unbind()[0],
        t.movedim(0, 1),
    ):
        assert np.shares_memory(view.numpy(), t.numpy())
    t.diagonal().fill_(3)
    t.split(3, 1)[1].fill_(7)
    assert t.tolist() == [[3, 0, 0, 7], [0, 3, 0, 7]]
    for copy in (t.flip(0), t.roll(0, 0), t.tril(), t.rot90(0)):
        assert not np.shares_memory(copy.numpy(), t.numpy())


def _second_order(function: Callable[..., Tensor], *arrays: np.ndarray) -> None:
    """A product of the Hessian of a cubic with a direction, beside the difference of two gradients."""
    rng = np.random.default_rng(5)
    directions = [rng.normal(size=a.shape) for a in arrays]

    def slope(values: list[np.ndarray]) -> tuple[list[Tensor], Tensor]:
        leaves = [Tensor(v, requires_grad=True) for v in values]
        y = function(*leaves)
        gradients = einkorn.grad((y * y * y).sum(), leaves, create_graph=True)
        along = [(g * Tensor(d)).sum() for g, d in zip(gradients, directions, strict=True)]
        return leaves, sum(along[1:], along[0])

    leaves, along = slope(list(arrays))
    for i, (a, h) in enumerate(zip(arrays, einkorn.grad(along, leaves), strict=True)):
        step = 1e-5 * rng.normal(size=a.shape)
        ends = [slope([*arrays[:i], a + sign * step, *arrays[i + 1 :]])[1].item() for sign in (1.0, -1.0)]
        np.testing.assert_allclose((h.numpy() * 2 * step).sum(), ends[0] - ends[1], rtol=1e-4, atol=1e-9)


M, V = X[:, :, 0], np.arange(1.0, 5.0)
AT = np.array([[0, 2, 2], [1, 1, 3], [3, 0, 3]])
SECOND: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "gather": (lambda x: ops.gather(x, 1, AT), (M,)),
    "scatter": (lambda x, s: ops.scatter(x, 1, AT, s), (M, M[:, :3])),
    "scatter_add": (lambda x, s: ops.scatter_add(x, 1, AT, s), (M, M[:, :3])),
    **{
        f"scatter_reduce {reduce}": (
            lambda x, s, reduce=reduce: ops.scatter_reduce(x, 1, AT, s, reduce),
            (M, M[:, :3] + 0.7),
        )
        for reduce in ("prod", "mean", "amax", "amin")
    },
    "indexing": (lambda x: x[AT[0], AT[1]], (M,)),
    "mask": (lambda x: ops.masked_select(x, np.arange(12).reshape(3, 4) % 3 > 0), (M,)),
    "index_add": (lambda x, s: ops.index_add(x, 0, [1, 1, 2], s), (M, M + 1)),
    "einsum": (lambda a, b: ops.einsum("ij,kj->ki", a, b), (M, M[:2])),
    "cdist": (lambda a, b: ops.cdist(a, b), (M, M[:2] + 1)),
    "cosine": (lambda a, b: ops.cosine_similarity(a, b), (M, M + 1)),
    "roll flip": (lambda x: ops.flip(ops.roll(x, 1, 0), 1) * x, (M,)),
    "tile": (lambda x: ops.tile(x, (2, 2)), (M,)),
    "diagonal": (lambda x: ops.diagonal(x, 1), (M,)),
    "diag_embed": (lambda x: ops.diag_embed(x), (V,)),
    "tril": (lambda x: ops.tril(x), (M,)),
    "pad": (lambda x: ops.pad(x, (2, 1), "reflect"), (M,)),
}


@pytest.mark.parametrize("name", SECOND)
def test_gradients_of_gradients(name: str) -> None:
    function, arrays = SECOND[name]
    _second_order(function, *arrays)


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "operands": (lambda: ops.einsum("ij,jk", X[0]), ArgumentError, "einsum: equation 'ij,jk' has 2 operands"),
    "result": (
        lambda: ops.einsum("ij->k", X[0]),
        ArgumentError,
        "einsum: .*'k' in the result that no operand",
    ),
    "twice": (lambda: ops.einsum("ij->ii", X[0]), ArgumentError, "einsum: .*'i' in the result twice"),
    "sizes": (
        lambda: ops.einsum("ij,ji", X[0], X[0]),
        ShapeError,
        r"einsum: operands\[1\] has shape \(4, 5\)",
    ),
    "rank": (
        lambda: ops.einsum("i", X[0]),
        ArgumentError,
        r"einsum: .*operands\[0\], which has 2 dimensions",
    ),
    "signs": (lambda: ops.einsum("i+j", X[0]), ArgumentError, r"einsum: .*expected letters"),
    "classes": (lambda: ops.one_hot([0, 4], 4), IndexRangeError, r"one_hot: x\[1\] is 4, expected 0 to 3"),
    "grid": (lambda: ops.meshgrid(X[0, 0]), ArgumentError, "meshgrid: indexing is ''"),
    "split": (
        lambda: ops.split(X, [1, 1], 1),
        ShapeError,
        r"split: sections \(1, 1\) add up to 2, expected 4",
    ),
    "split 0": (lambda: ops.split(X, 0), ArgumentError, "split: split_size_or_sections is 0"),
    "narrow": (lambda: ops.narrow(X, 1, 2, 3), ArgumentError, "narrow: length is 3"),
    "tril": (lambda: ops.tril(X[0, 0]), ShapeError, r"tril: x has shape \(5,\)"),
    "diagonal": (lambda: ops.diagonal(X, 0, 1, 1), ArgumentError, "diagonal: dim1 is 1 and dim2 1"),
    "reflect": (
        lambda: ops.pad(X, (5, 0), "reflect"),
        ShapeError,
        "pad: .*reflect has at most 4 beyond axis 2",
    ),
    "circular": (lambda: ops.pad(X, (0, 6), "circular"), ShapeError, "pad: .*circular has at most 5"),
    "replicate": (lambda: ops.pad(X[:, :, :0], (1, 0), "replicate"), ShapeError, "pad: .*at most 0 beyond"),
    "mode": (lambda: ops.pad(X, (1, 1), "edge"), ArgumentError, "pad: mode is 'edge'"),
    "value": (lambda: ops.pad(X, (1, 1), "reflect", 2.0), ArgumentError, "pad: value is 2.0"),
    "unfold": (lambda: Tensor(X).unfold(0, 4, 1), ArgumentError, "unfold: size is 4"),
    "repeats": (
        lambda: ops.repeat_interleave(X, [1, 2], 0),
        ShapeError,
        r"repeat_interleave: repeats .*\(2,\)",
    ),
    "repeat": (lambda: Tensor(X).repeat(2), ShapeError, "repeat: got 1 sizes"),
    "movedim": (lambda: ops.movedim(X, (0, 0), (1, 2)), ArgumentError, "movedim: source"),
    "dot": (lambda: ops.dot(X[0], X[0]), ShapeError, r"dot: a has shape \(4, 5\), expected 1 dimension"),
    "tensordot": (lambda: ops.tensordot(X, X, 2), ShapeError, "tensordot: .*do not fit along 2"),
    "cdist": (lambda: ops.cdist(X, X[..., :2]), ShapeError, r"cdist: x1 has shape \(3, 4, 5\)"),
    "norm": (lambda: ops.cdist(X, X, -1), ArgumentError, "cdist: p is -1"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    call, error, words = BAD[name]
    with pytest.raises(error, match=f"^{words}"):
        call()


def test_distance_of_equal_vectors_has_no_slope() -> None:
    for p in (1.5, 2.0, 3.0):
        x = Tensor(X[0], requires_grad=True)
        ops.cdist(x, x, p).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()
    near = np.float32(1e4) + np.array([[0.0], [2.0**-7]], np.float32)
    assert ops.cdist(near, near)[0, 1] == np.float32(2.0**-7)  # no cancellation


LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    **{
        f"{kind}Pad{n}d {padding}": (
            lambda nn, kind=kind, n=n, padding=padding: getattr(nn, f"{kind}Pad{n}d")(
                padding, *((1.5,) if kind == "Constant" else ())
            ),
            (2, 3, 4, 5, 6)[: n + 2],
        )
        for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
        for n, padding in ((1, (2, 1)), (2, 2), (3, (1, 0, 2, 1, 0, 1)))
    },
    "ChannelShuffle": (lambda nn: nn.ChannelShuffle(2), (2, 6, 3, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_as_torch(name: str, torch: Any) -> None:
    make, shape = LAYERS[name]
    x = np.random.default_rng(2).normal(size=shape)
    ours, theirs = make(nn), make(torch.nn)
    np.testing.assert_allclose(ours(Tensor(x)).numpy(), theirs(torch.from_numpy(x)).numpy())
    assert repr(ours) == repr(theirs)


def test_layers_of_two_inputs(torch: Any) -> None:
    a, b = X[:, :, 0].astype(np.float32), X[:, :, 1].astype(np.float32)
    for make in (
        lambda nn: nn.CosineSimilarity(dim=0),
        lambda nn: nn.PairwiseDistance(p=1, keepdim=True),
        lambda nn: nn.Bilinear(4, 4, 3),
    ):
        ours, theirs = make(nn), make(torch.nn)
        if list(theirs.parameters()):
            theirs.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in ours.state_dict().items()})
            bound = max(float(np.abs(p.numpy()).max()) for p in ours.parameters())
            assert 0.3 < bound <= 0.5
        wanted = theirs(torch.from_numpy(a), torch.from_numpy(b))
        np.testing.assert_allclose(ours(a, b), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match=r"^ReflectionPad2d: padding"):
        nn.ReflectionPad2d((1, 2))
    with pytest.raises(ShapeError, match=r"^ReplicationPad1d: input has shape"):
        nn.ReplicationPad1d(1)(Tensor(X[0, 0]))
