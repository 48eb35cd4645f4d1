"""Attention beyond its cases: dropout, hidden rows, caches, refusals, and torch's module."""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import nn, ops
from einkorn.errors import ArgumentError, DTypeError, ShapeError

attend = ops.scaled_dot_product_attention


def operands(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def weights_kept(length, keys, p, seed, dtype="float64"):
    """Which weights dropout keeps: scores are equal and values are unit vectors, so out shows each weight."""
    einkorn.manual_seed(seed)
    q, k = np.zeros((1, 2, length, 4), dtype), np.zeros((1, 2, keys, 4), dtype)
    v = np.broadcast_to(np.eye(keys, dtype=dtype), (1, 2, keys, keys))
    return attend(q, k, v, dropout_p=p)


@pytest.mark.parametrize(("length", "keys"), [(1, 40), (3, 300), (5, 7), (33, 50), (70, 130)])
def test_dropout_is_one_mask_for_every_engine_and_type(length, keys, backend):
    out = weights_kept(length, keys, 0.3, seed=5)
    assert_array_equal(np.unique(np.round(out * keys * 0.7, 9)), [0, 1])
    assert abs((out == 0).mean() - 0.3) < 4 * math.sqrt(0.21 / out.size)
    assert_array_equal(weights_kept(length, keys, 0.3, seed=5, dtype="float32") == 0, out == 0)
    einkorn.set_engine("numba")
    assert_array_equal(weights_kept(length, keys, 0.3, seed=5) == 0, out == 0)


@pytest.mark.parametrize(("length", "keys"), [(2, 9), (20, 23)])
def test_dropout_backward_uses_the_mask_of_the_forward_pass(length, keys, backend):
    q, k, v, g = operands((1, 2, length, 4), (1, 2, keys, 4), (1, 2, keys, 3), (1, 2, length, 3))

    def value(q, k, v):
        einkorn.manual_seed(11)
        return attend(q, k, v, dropout_p=0.4)

    tensors = [einkorn.Tensor(x, requires_grad=True) for x in (q, k, v)]
    value(*tensors).backward(g)
    for i, x in enumerate((q, k, v)):
        step, numeric = 1e-6, np.empty_like(x)
        for at in np.ndindex(x.shape):
            moved = [a.copy() for a in (q, k, v)]
            moved[i][at] += step
            above = (value(*moved) * g).sum()
            moved[i][at] -= 2 * step
            numeric[at] = (above - (value(*moved) * g).sum()) / (2 * step)
        assert_allclose(tensors[i].grad.numpy(), numeric, atol=1e-7)


@pytest.mark.parametrize("length", [2, 40])
@pytest.mark.parametrize("kind", ["booleans", "numbers"])
def test_a_query_that_sees_no_key_gives_zeros_and_no_gradient(length, kind, backend):
    q, k, v = operands((1, 1, length, 4), (1, 1, 9, 4), (1, 1, 9, 4))
    seen = np.ones((length, 9), bool)
    seen[1] = False
    mask = seen if kind == "booleans" else np.where(seen, 0.0, -np.inf)
    tensors = [einkorn.Tensor(x, requires_grad=True) for x in (q, k, v)]
    out = attend(*tensors, mask)
    assert_array_equal(out.numpy()[0, 0, 1], 0)
    out.backward(np.ones(out.shape))
    assert_array_equal(tensors[0].grad.numpy()[0, 0, 1], 0)
    assert all(np.isfinite(t.grad.numpy()).all() for t in tensors)


@pytest.mark.parametrize("length", [1, 20])
def test_nan_stays_in_its_row_and_hidden_keys_do_not_matter(length, backend):
    q, k, v = operands((1, 1, length, 4), (1, 1, 300, 4), (1, 1, 300, 4))
    expected = attend(q, k, v, is_causal=True)
    k[0, 0, 200:] = np.nan
    v[0, 0, 200:] = np.inf
    assert_array_equal(attend(q, k, v, is_causal=True), expected)
    q[0, 0, 0] = np.nan
    out = attend(q, k[:, :, :200], v[:, :, :200])
    assert np.isnan(out[0, 0, 0]).all()
    assert np.isfinite(out[0, 0, 1:]).all()


@contextmanager
def at_most(room):
    """Refuses allocations beyond these bytes more than are in use."""
    pytest.importorskip("einkorn._native", reason="native engine: not built")
    einkorn.set_engine("native")
    einkorn.memory.empty_cache()
    einkorn.memory.set_limit(einkorn.memory.stats()["allocated"] + room)
    try:
        yield
    finally:
        einkorn.memory.set_limit(None)


def test_a_cache_is_read_where_it_lies():
    """Generation passes views of a cache that is longer than what is in use; nothing of its size is made."""
    heads, room, used = 4, 4096, 1000
    cache = np.random.default_rng(0).standard_normal((2, 1, room, heads, 16)).astype("float32")
    k, v = (part[:, :used].swapaxes(1, 2) for part in cache)
    (q,) = operands((1, heads, 1, 16), dtype="float32")
    with at_most(k.nbytes // 2):
        out = attend(q, k, v)
    assert_array_equal(out, attend(q, np.ascontiguousarray(k), np.ascontiguousarray(v)))


@pytest.mark.parametrize("causal", [False, True])
def test_bits_do_not_depend_on_the_number_of_threads(causal, backend):
    q, k, v, g = operands(*[(2, 3, 150, 24)] * 4, dtype="float32")
    results = []
    for threads in (1, 2, 4):
        einkorn.manual_seed(3)
        with einkorn.num_threads(threads):
            tensors = [einkorn.Tensor(x, requires_grad=True) for x in (q, k, v)]
            out = attend(*tensors, dropout_p=0.1, is_causal=causal)
            out.backward(g)
            results.append([out.numpy().tobytes(), *(t.grad.numpy().tobytes() for t in tensors)])
    assert results[0] == results[1] == results[2]


def test_scores_are_never_stored():
    length = 3000
    q, k, v = (
        einkorn.Tensor(x, requires_grad=True) for x in operands(*[(1, 1, length, 8)] * 3, dtype="float32")
    )
    with at_most(length * length):  # bytes: a quarter of the scores
        attend(q, k, v).backward(np.ones((1, 1, length, 8), "float32"))
    assert q.grad.shape == q.shape


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"key": (2, 2, 7, 5)}, ShapeError, "key has shape .* expected width 4"),
        ({"value": (2, 2, 6, 4)}, ShapeError, "value has shape .* expected length 7"),
        ({"key": (2, 3, 7, 4), "value": (2, 3, 7, 4)}, ShapeError, "do not broadcast"),
        ({"query": (4,)}, ShapeError, "at least 2 dimensions"),
        ({"attn_mask": np.zeros((5, 6))}, ShapeError, "attn_mask has shape"),
        ({"attn_mask": np.zeros((5, 7), "float32")}, DTypeError, "attn_mask"),
        ({"attn_mask": np.zeros((5, 7), "int64")}, DTypeError, "attn_mask"),
        ({"attn_mask": [[True]]}, DTypeError, "attn_mask is a list"),
        ({"dropout_p": 1.5}, ArgumentError, "dropout_p"),
        ({"dropout_p": math.nan}, ArgumentError, "dropout_p"),
        ({"alignment": "left"}, ArgumentError, "alignment"),
        ({"window": (1, 2, 3)}, ArgumentError, "window"),
        ({"window": 1.5}, ArgumentError, "window"),
        ({"is_causal": "no"}, ArgumentError, "is_causal"),
        ({"alibi_slopes": np.ones(3)}, ShapeError, "alibi_slopes"),
        ({"enable_gqa": True, "query": (2, 3, 5, 4)}, ShapeError, "multiple of the 2 heads"),
    ],
)
def test_refusals(change, error, match):
    arguments = {"query": (2, 2, 5, 4), "key": (2, 2, 7, 4), "value": (2, 2, 7, 4), **change}
    for name in ("query", "key", "value"):
        arguments[name] = np.zeros(arguments[name])
    with pytest.raises(error, match=match):
        attend(**arguments)


def test_worked_example_of_two_scores():
    """Scores 112 and 96 at width 64 become 14 and 12, weights 0.88 and 0.12."""
    q, k = np.zeros((1, 64)), np.zeros((2, 64))
    q[0, 0], k[:, 0] = 1, (112, 96)
    assert_allclose(attend(q, k, np.eye(2)), [[0.88, 0.12]], atol=0.005)


# --- the module --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"kdim": 10, "vdim": 6},
        {"add_bias_kv": True, "add_zero_attn": True, "kdim": 10},
    ],
    ids=str,
)
def test_multihead_attention_is_that_of_torch(options, batch_first, torch):
    rng = np.random.default_rng(0)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=batch_first, dtype=torch.float64, **options)
    ours = nn.MultiheadAttention(12, 3, batch_first=batch_first, **options).to("float64")
    ours.load_state_dict({name: p.detach().numpy() for name, p in theirs.state_dict().items()})
    n, length, keys = 2, 5, 7
    widths = 12, options.get("kdim", 12), options.get("vdim", 12)
    sizes = [
        (n, s, w) if batch_first else (s, n, w) for s, w in zip((length, keys, keys), widths, strict=True)
    ]
    q, k, v = (rng.standard_normal(s) for s in sizes)
    hidden = rng.random((length, keys)) < 0.3
    hidden[:, 0] = False
    ignored = np.arange(keys) >= np.array([[keys], [keys - 2]])
    masks = [(None, None), (hidden, None), (None, ignored), (hidden, ignored)]
    masks += [(rng.standard_normal((length, keys)), None), (rng.standard_normal((n * 3, length, keys)), None)]
    for attn_mask, padding in masks:
        for need in (True, False):
            mine = [einkorn.Tensor(x, requires_grad=True) for x in (q, k, v)]
            other = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
            out, weights = ours(*mine, padding, need, attn_mask, average_attn_weights=False)
            expected, expected_weights = theirs(
                *other,
                None if padding is None else torch.tensor(padding),
                need,
                None if attn_mask is None else torch.tensor(attn_mask),
                average_attn_weights=False,
            )
            assert_allclose(out.numpy(), expected.detach().numpy(), atol=1e-12)
            if need:
                assert_allclose(weights.numpy(), expected_weights.detach().numpy(), atol=1e-12)
            else:
                assert weights is None
            ours.zero_grad()
            theirs.zero_grad()
            (out * out).sum().backward()
            (expected * expected).sum().backward()
            for a, b in zip(mine, other, strict=True):
                assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-10)
            for (name, a), (other_name, b) in zip(
                ours.named_parameters(), theirs.named_parameters(), strict=True
            ):
                assert name == other_name
                assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-10, err_msg=name)


def test_self_attention_in_one_projection_equals_the_general_way():
    model = nn.MultiheadAttention(16, 4, batch_first=True).to("float64")
    (x,) = operands((2, 9, 16))
    fast, none = model(x, x, x, need_weights=False, is_causal=True)
    slow, weights = model(x, x.copy(), x.copy(), is_causal=True)
    assert none is None
    assert weights.shape == (2, 9, 9)
    assert_allclose(fast.numpy(), slow.numpy(), atol=1e-14)
    single, _ = model(x[0], x[0], x[0], need_weights=False, is_causal=True)
    assert_allclose(single.numpy(), fast.numpy()[0], atol=1e-14)


def test_multihead_attention_refuses_what_does_not_fit():
    with pytest.raises(ArgumentError, match="multiple of num_heads"):
        nn.MultiheadAttention(10, 3)
    with pytest.raises(ArgumentError, match="dropout"):
        nn.MultiheadAttention(10, 2, dropout=2)
    model = nn.MultiheadAttention(8, 2)
    q, narrow, longer = operands((5, 2, 8), (5, 2, 7), (6, 2, 8), dtype="float32")
    with pytest.raises(ShapeError, match="key has shape"):
        model(q, narrow, q)
    with pytest.raises(ShapeError, match="do not fit in batch or length"):
        model(q, longer, q)
    with pytest.raises(ShapeError, match="attn_mask"):
        model(q, q, q, attn_mask=np.zeros((4, 5), bool))
    with pytest.raises(ShapeError, match="key_padding_mask"):
        model(q, q, q, key_padding_mask=np.zeros((5, 2), bool))
    with pytest.raises(DTypeError, match="attn_mask"):
        model(q, q, q, attn_mask=np.zeros((5, 5), np.int64))


@pytest.mark.parametrize("queries", [3, 5, 40])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5, 1e7, 1e20])
def test_weights_of_large_scores_still_sum_to_one_in_the_gradient(queries: int, scale: float) -> None:
    """Backward takes the weights that forward had: a column of values gets the queries' whole gradient."""
    rng = np.random.default_rng(queries)
    q, k, v = (
        einkorn.Tensor(rng.standard_normal((2, 2, n, 8)).astype(np.float32), requires_grad=True)
        for n in (queries, 70, 70)
    )
    ops.scaled_dot_product_attention(q, k, v, scale=scale).sum().backward()
    got = v.grad.numpy().astype(np.float64).sum(axis=2)
    # Two weights of one row beside scores near 1e4, where a logarithm has three digits after the point.
    assert_allclose(got, queries, rtol=1e-4)


@pytest.mark.parametrize("queries", [3, 5, 40])
def test_a_row_of_the_lowest_numbers_weighs_all_keys_alike(queries: int) -> None:
    """What programs add for a sequence that is all padding: no number of a mask may turn into an infinity."""
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal((2, 2, n, 8)).astype(np.float32) for n in (queries, 7, 7))
    for lowest in (np.finfo(np.float32).min, -3e38, 3e38):
        mask = np.zeros((queries, 7), np.float32)
        mask[1] = lowest
        out = np.asarray(ops.scaled_dot_product_attention(q, k, v, mask))
        assert_allclose(out[:, :, 1], v.mean(axis=2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lead", [(), (4,), (2, 4), (2, 1, 4), (2, 3, 1, 4), (1, 2, 3, 0), (0, 1, 4)])
@pytest.mark.parametrize(
    "which", ["all", "queries and keys", "keys", "queries", "not the first", "the first"]
)
@pytest.mark.parametrize("kind", ["bool", "float64"])
def test_masks_broadcast_over_any_leading_dimensions(lead, which, kind, torch):
    rng = np.random.default_rng(len(lead))
    shape = {
        "all": (*lead, 5, 6),
        "queries and keys": (5, 6),
        "keys": (1, 6),
        "queries": (5, 1),
        "not the first": (*(1 for _ in lead[:1]), *lead[1:], 5, 6),
        "the first": (*lead[:1], *(1 for _ in lead[1:]), 1, 6),
    }[which]
    arrays = operands((*lead, 5, 3), (*lead, 6, 3), (*(1 for _ in lead[:1]), *lead[1:], 6, 2))
    mask = rng.normal(size=shape)
    learns = kind != "bool"
    if not learns:
        mask = (mask > -0.5) | (np.arange(shape[-1]) == 0)  # each query sees a key
    ours = [einkorn.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    own = einkorn.tensor(mask, requires_grad=True) if learns else mask
    other = torch.tensor(mask, requires_grad=learns)
    out = attend(*ours, attn_mask=own)
    wanted = torch.nn.functional.scaled_dot_product_attention(*theirs, attn_mask=other)
    assert_allclose(out.numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert_array_equal(attend(*arrays, attn_mask=mask), out.numpy())
    (out * out).sum().backward()
    (wanted * wanted).sum().backward()
    for a, b in zip([*ours, own] if learns else ours, [*theirs, other], strict=False):
        expected = np.zeros(b.shape) if b.grad is None else b.grad.numpy()  # theirs, of no heads
        assert_allclose(a.grad.numpy(), expected, rtol=1e-8, atol=1e-10)
