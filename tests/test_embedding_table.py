"""Embeddings beyond their cases: torch's options, gradients of few rows, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, ops
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.sparse import SparseRows


def table(rows: int = 9, width: int = 5, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(rows, width)).astype(dtype)


INDEX = np.array([[1, 4, 4, 0, 8, 1], [3, 3, 3, 8, 8, 0]])


@pytest.mark.parametrize("padding", [None, 3, -1])
@pytest.mark.parametrize("by_frequency", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_lookup_options_as_torch(
    padding: int | None, by_frequency: bool, sparse: bool, torch: Any, engine: str
) -> None:
    w = table()
    ours = Tensor(w.copy(), requires_grad=True)
    theirs = torch.tensor(w, requires_grad=True)
    g = np.random.default_rng(0).normal(size=(*INDEX.shape, 5))
    ops.embedding(INDEX, ours, padding, None, 2.0, by_frequency, sparse).backward(g)
    torch.nn.functional.embedding(
        torch.tensor(INDEX), theirs, padding, scale_grad_by_freq=by_frequency
    ).backward(torch.tensor(g))
    assert isinstance(ours.grad, SparseRows) == sparse
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-12, atol=1e-14)
    if sparse:
        kept = [r for r in np.unique(INDEX) if padding is None or r != padding % 9]
        np.testing.assert_array_equal(ours.grad.rows, kept)


@pytest.mark.parametrize(
    ("mode", "by_frequency", "sparse"),
    [*itertools.product(("sum", "mean"), (False, True), (False, True)), ("max", False, False)],
)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("padding", [None, 4])
def test_bags_as_torch(
    mode: str, by_frequency: bool, sparse: bool, last: bool, padding: int | None, torch: Any, engine: str
) -> None:
    w, index = table(), INDEX.reshape(-1)
    offsets = np.array([0, 4, 4, 9, 12] if last else [0, 4, 4, 9])
    ours = Tensor(w.copy(), requires_grad=True)
    theirs = torch.tensor(w, requires_grad=True)
    options: dict[str, Any] = {"mode": mode, "include_last_offset": last, "padding_idx": padding}
    out = ops.embedding_bag(index, ours, offsets, sparse=sparse, scale_grad_by_freq=by_frequency, **options)
    wanted = torch.nn.functional.embedding_bag(torch.tensor(index), theirs, torch.tensor(offsets), **options)
    np.testing.assert_allclose(out.numpy(), wanted.detach().numpy(), rtol=1e-12, atol=1e-14)
    g = np.random.default_rng(0).normal(size=out.shape)
    out.backward(g)
    wanted.backward(torch.tensor(g))
    gradient = theirs.grad.numpy()
    if by_frequency:  # torch divides by the counts of other rows where rows repeat
        gradient /= np.maximum(np.bincount(index, minlength=9), 1)[:, None]
    np.testing.assert_allclose(ours.grad.numpy(), gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, np.inf])
def test_long_rows_are_scaled_in_place(p: float, torch: Any, engine: str) -> None:
    w = table(dtype=np.float32)
    ours, theirs = w.copy(), torch.tensor(w)
    out = ops.embedding(INDEX, ours, max_norm=1.1, norm_type=p)
    wanted = torch.nn.functional.embedding(torch.tensor(INDEX), theirs, max_norm=1.1, norm_type=p)
    np.testing.assert_allclose(out, wanted.numpy(), rtol=2e-6)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=2e-6)
    np.testing.assert_array_equal(ours[2], w[2])  # not looked up


def test_a_limit_needs_memory_that_can_be_written() -> None:
    frozen = table()
    frozen.flags.writeable = False
    for weight in (frozen, table()[:, ::2], Tensor(table(), requires_grad=True) * 2):
        with pytest.raises(ArgumentError, match=r"^embedding: max_norm"):
            ops.embedding(INDEX, weight, max_norm=1.0)


def test_gradients_have_the_same_bits_for_any_number_of_threads(engine: str) -> None:
    rng = np.random.default_rng(3)
    index = rng.integers(0, 40, 3000)
    g = rng.normal(size=(3000, 37)).astype(np.float32)
    found = set()
    for threads in (1, 2, 4):
        weight = Tensor(np.zeros((5000, 37), np.float32), requires_grad=True)
        with einkorn.num_threads(threads):
            ops.embedding(index, weight).backward(g)
        found.add(weight.grad.numpy().tobytes())
    assert len(found) == 1


def test_gradients_of_few_rows_add_up(engine: str) -> None:
    """Of two look-ups, two passes, and beside a gradient of the whole table."""
    w = table()

    def gradient(sparse: bool, whole: bool) -> Any:
        weight = Tensor(w.copy(), requires_grad=True)
        for index in (INDEX, INDEX[:, :2]):
            a = ops.embedding(index, weight, sparse=sparse)
            b = ops.embedding(INDEX[0], weight, sparse=sparse)
            loss = (a * a).sum() + b.sum()
            if whole:
                loss = loss + (weight * weight).sum()
            loss.backward()
        return weight.grad

    for whole in (False, True):
        few, all_rows = gradient(True, whole), gradient(False, whole)
        assert isinstance(few, SparseRows) != whole
        np.testing.assert_allclose(few.numpy(), all_rows.numpy(), rtol=1e-12)


def test_a_computed_table_gets_a_whole_gradient(engine: str) -> None:
    weight = Tensor(table(), requires_grad=True)
    ops.embedding(INDEX, weight * 2, sparse=True).sum().backward()
    counts = np.bincount(INDEX.reshape(-1), minlength=9)
    np.testing.assert_array_equal(weight.grad.numpy(), np.broadcast_to(2.0 * counts[:, None], (9, 5)))


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (IndexRangeError, "row 9 at", lambda w: ops.embedding(np.array([0, 9]), w)),
        (IndexRangeError, "row -1 at", lambda w: ops.embedding(np.array([[-1]]), w)),
        (IndexRangeError, "row 0 at", lambda w: ops.embedding(np.array([0]), w[:0])),
        (DTypeError, "input", lambda w: ops.embedding(np.array([0.0]), w)),
        (ShapeError, "weight", lambda w: ops.embedding(INDEX, w[0])),
        (ArgumentError, "padding_idx", lambda w: ops.embedding(INDEX, w, 9)),
        (ArgumentError, "padding_idx", lambda w: ops.embedding(INDEX, w, -10)),
        (ArgumentError, "sparse", lambda w: ops.embedding(INDEX, w, sparse=1)),
        (ArgumentError, "norm_type", lambda w: ops.embedding(INDEX, w, max_norm=1, norm_type=0)),
        (ArgumentError, "mode", lambda w: ops.embedding_bag(INDEX, w, mode="avg")),
        (ArgumentError, "offsets", lambda w: ops.embedding_bag(INDEX, w, np.array([0, 1]))),
        (ArgumentError, "offsets", lambda w: ops.embedding_bag(INDEX[0], w)),
        (ArgumentError, "offsets", lambda w: ops.embedding_bag(INDEX[0], w, np.array([1, 2]))),
        (ArgumentError, "offsets", lambda w: ops.embedding_bag(INDEX[0], w, np.array([0, 3, 2]))),
        (ArgumentError, "offsets", lambda w: ops.embedding_bag(INDEX[0], w, np.array([0, 7]))),
        (
            ArgumentError,
            "per_sample_weights",
            lambda w: ops.embedding_bag(INDEX, w, per_sample_weights=np.ones((2, 6))),
        ),
        (
            ShapeError,
            "per_sample_weights",
            lambda w: ops.embedding_bag(INDEX, w, per_sample_weights=np.ones(12), mode="sum"),
        ),
        (
            ArgumentError,
            "scale_grad_by_freq",
            lambda w: ops.embedding_bag(INDEX, w, None, None, 2, True, "max"),
        ),
    ],
)
def test_refusals(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call(table())


def test_layers_have_torchs_state(torch: Any) -> None:
    for name, arguments in {"Embedding": (7, 4, 2), "EmbeddingBag": (7, 4)}.items():
        ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
        assert {k: v.shape for k, v in ours.state_dict().items()} == {
            k: tuple(v.shape) for k, v in theirs.state_dict().items()
        }
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        index = np.array([[0, 2, 6], [1, 2, 2]])
        np.testing.assert_allclose(
            ours(index).numpy(), theirs(torch.tensor(index)).detach().numpy(), rtol=1e-5, atol=1e-6
        )
        assert repr(ours) == repr(theirs)


def test_layers_start_and_freeze_as_torchs() -> None:
    layer = nn.Embedding(300, 50, padding_idx=-1)
    values = layer.weight.numpy()
    assert (values[299] == 0).all()
    assert abs(values[:299].std() - 1) < 0.02
    given = table(dtype=np.float32)
    kept = nn.Embedding.from_pretrained(given)
    assert not kept.weight.requires_grad
    np.testing.assert_array_equal(kept(np.array(3)).numpy(), given[3])
    bag = nn.EmbeddingBag.from_pretrained(given, freeze=False, mode="max")
    assert bag.weight.requires_grad
    np.testing.assert_array_equal(bag(np.array([[0, 1, 2]])).numpy()[0], given[:3].max(axis=0))
    with pytest.raises(ShapeError, match=r"^Embedding"):
        nn.Embedding(3, 4, _weight=given)
    with pytest.raises(ArgumentError, match=r"^EmbeddingBag: mode"):
        nn.EmbeddingBag(3, 4, mode="median")


@pytest.mark.parametrize("name", ["SGD", "SparseAdam", "Adagrad"])
def test_optimizers_update_the_rows_that_have_a_gradient(name: str, torch: Any, engine: str) -> None:
    w = table(dtype=np.float32)
    ours, theirs = nn.Embedding(9, 5, sparse=True, _weight=w.copy()), torch.nn.Embedding(9, 5, sparse=True)
    theirs.weight.data[:] = torch.tensor(w)
    options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3} if name == "SparseAdam" else {"lr": 0.1}
    mine = getattr(einkorn.optim, name)(ours.parameters(), **options)
    other = getattr(torch.optim, name)(list(theirs.parameters()), **options)
    for index in (INDEX[:, :3], INDEX[0, :2], INDEX[1]):
        for model, optimizer, where in ((ours, mine, index), (theirs, other, torch.tensor(index))):
            optimizer.zero_grad()
            (model(where) ** 2).sum().backward()
            optimizer.step()
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(ours.weight.numpy()[[2, 5, 6, 7]], w[[2, 5, 6, 7]])


def test_a_table_beside_other_parameters(engine: str) -> None:
    """One optimizer for rows of a table and whole weights."""
    model = nn.Sequential(nn.Embedding(9, 5, sparse=True), nn.Linear(5, 2))
    before = [p.numpy().copy() for p in model.parameters()]
    optimizer = einkorn.optim.SGD(model.parameters(), lr=0.5)
    model(INDEX).sum().backward()
    gradients = [p.grad.numpy().copy() for p in model.parameters()]
    optimizer.step()
    for p, value, gradient in zip(model.parameters(), before, gradients, strict=True):
        np.testing.assert_allclose(p.numpy(), value - 0.5 * gradient, rtol=1e-5, atol=1e-6)


def test_optimizers_that_touch_every_row_refuse_few() -> None:
    layer = nn.Embedding(9, 5, sparse=True)
    layer(INDEX).sum().backward()
    for optimizer in (
        einkorn.optim.Adam(layer.parameters()),
        einkorn.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9),
    ):
        with pytest.raises(ArgumentError, match="parameter 0 has a sparse gradient"):
            optimizer.step()
    layer.sparse = False
    layer.weight.grad = None
    layer(INDEX).sum().backward()
    with pytest.raises(ArgumentError, match="SparseAdam: parameter 0 has a gradient of the whole table"):
        einkorn.optim.SparseAdam(layer.parameters()).step()
