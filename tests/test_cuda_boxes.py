"""Hopper's copies and products on the host device: attention made of them, and faults that must be found."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import einkorn

if importlib.util.find_spec("einkorn._cuda_host") is None:
    pytest.skip("host device: not built (EINKORN_CUDA_HOST=ON)", allow_module_level=True)

import cuda_host

from einkorn import _cuda_host

SIZE = 64


def _gram(fault: str) -> tuple[np.ndarray, np.ndarray]:
    """What a kernel with this fault makes of x, and x x'."""
    x = cuda_host.empty((SIZE, SIZE), np.float32)
    x[:] = np.random.default_rng(0).integers(-8, 9, x.shape)
    out = cuda_host.empty(x.shape, np.float32)
    _cuda_host.planted(fault, out, x)
    assert cuda_host.first_unwritten(out) == -1
    return out, x @ x.T


def test_product_of_boxes_without_a_fault() -> None:
    out, expected = _gram("boxes")
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("fault", ["box without pattern", "matrix of another pattern", "wrong stride"])
def test_wrong_layout_gives_wrong_numbers(fault: str) -> None:
    """The copy's swizzle, the descriptor's and its stride: the hardware would not complain either."""
    out, expected = _gram(fault)
    assert not np.array_equal(out, expected)


REPORTED = {
    "box not waited for": r"thread \(64,0,0\) multiplies shared memory that a copy under way is filling",
    "waited for by one lane": r"thread \(65,0,0\) multiplies .* without having waited for the copy",
    "place not waited for": r"thread \(128,0,0\) arrives at a barrier once more than its phase has arrivals",
    "released early": r"multiplies shared memory that a copy under way is filling",
    "too many bytes": r"\(0,0,0\) waits for phases of parity 0 of the barrier at .*, which nothing ends",
    "unaligned box": r"copies to shared memory at address \d+, which is not aligned to 128 bytes",
    "barrier not published": r"a barrier that thread number 0 makes, with no barrier of the block between",
    "not begun": r"without having begun a group of products",
    "one warp elsewhere": r"thread \(96,0,0\) multiplies other matrices than the threads of its four warps",
    "left under way": r"end while a copy to its shared memory is under way",
}


@pytest.mark.parametrize("fault", REPORTED)
def test_planted_fault_is_reported(fault: str) -> None:
    with pytest.raises(einkorn.DeviceError, match=r"kernel gram_of_boxes, block \(0,0,0\)") as caught:
        _gram(fault)
    assert re.search(REPORTED[fault], str(caught.value)), str(caught.value)
    test_product_of_boxes_without_a_fault()  # the next launch runs


# --- attention ---

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
#: width, heads of queries and of keys, queries, keys, options
ATTENTION: dict[str, tuple[int, int, int, int, int, dict[str, Any]]] = {
    "one step": (64, 1, 1, 65, 64, {}),
    "several steps": (64, 2, 1, 70, 390, {}),
    "wide heads": (128, 1, 1, 70, 260, {}),
    "causal": (64, 1, 1, 200, 200, {"is_causal": True}),
    "causal, wide heads": (128, 2, 1, 135, 135, {"is_causal": True}),
    "causal, fewer keys": (64, 1, 1, 140, 70, {"is_causal": True, "alignment": "lower right"}),
    "window": (64, 1, 1, 300, 300, {"window": (40, 9)}),
    "window beyond the keys": (64, 1, 1, 300, 60, {"window": (20, 0)}),
    "slopes": (64, 2, 2, 70, 150, {"alibi_slopes": np.array([0.5, 0.03], np.float32)}),
    "negative scale": (64, 1, 1, 70, 140, {"scale": -0.2}),
    "exact edges": (64, 1, 1, 128, 256, {"is_causal": True, "alignment": "lower right"}),
}


def _leaves(width: int, heads: int, kv_heads: int, queries: int, keys: int) -> list[np.ndarray]:
    """As a layer makes them: heads beside each other in rows that hold all three."""
    rng = np.random.default_rng(queries + keys)
    made = []
    for count, length in ((heads, queries), (kv_heads, keys), (kv_heads, keys)):
        batch = 2 if queries + keys < 140 else 1
        rows = rng.standard_normal((batch, length, 3, count, width)).astype(BFLOAT16)
        made.append(rows[:, :, 1].transpose(0, 2, 1, 3))
    return made


def _attention(
    body: str, leaves: list[np.ndarray], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> list[np.ndarray]:
    """The result, and the gradients, which read the sums of its rows; on the CPU without a body's name."""
    with monkeypatch.context() as patch:
        if body:
            patch.setenv("EINKORN_CUDA_ATTENTION", body)
            cuda_host.install(patch)
        tensors = [einkorn.Tensor(a, requires_grad=True) for a in leaves]
        y = einkorn.ops.scaled_dot_product_attention(*tensors, enable_gqa=True, **options)
        y.backward(np.cos(np.arange(y.numpy().size)).reshape(y.shape).astype(BFLOAT16))
        return [np.asarray(a.numpy(), np.float64) for a in (y, *(t.grad for t in tensors))]


def _assert_close(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2**-7, atol=2**-7 * np.abs(b).max(initial=0))


@pytest.mark.parametrize(
    ("width", "heads", "kv_heads", "queries", "keys", "options"), ATTENTION.values(), ids=ATTENTION
)
def test_attention_by_either_body(
    width: int,
    heads: int,
    kv_heads: int,
    queries: int,
    keys: int,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leaves = _leaves(width, heads, kv_heads, queries, keys)
    expected = _attention("", leaves, options, monkeypatch)
    for body in ("wgmma", "mma"):
        _assert_close(_attention(body, leaves, options, monkeypatch), expected)


@pytest.mark.parametrize("kind", ["shown or hidden", "added"])
@pytest.mark.parametrize("width", [64, 128])
def test_attention_with_a_mask(kind: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of 128 go forward by the other body, and back by this one."""
    leaves = _leaves(width, 2, 1, 70, 140)
    rng = np.random.default_rng(7)
    shown = rng.random((70, 140)) > 0.3
    shown[5] = False  # a query that sees nothing
    mask = shown if kind == "shown or hidden" else rng.standard_normal((1, 2, 1, 140)).astype(np.float32)
    if kind == "added":
        mask = mask.astype(BFLOAT16)
    expected = _attention("", leaves, {"attn_mask": mask}, monkeypatch)
    _assert_close(_attention("wgmma", leaves, {"attn_mask": mask}, monkeypatch), expected)


def test_bodies_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 128 keys and of 64 are not rounded alike; 64 queries at most go by the smaller ones."""
    leaves = _leaves(64, 1, 1, 64, 300)
    by_name = {body: _attention(body, leaves, {}, monkeypatch)[0] for body in ("wgmma", "mma")}
    assert (by_name["wgmma"] != by_name["mma"]).any()
    with monkeypatch.context() as patch:
        patch.delenv("EINKORN_CUDA_ATTENTION", raising=False)
        cuda_host.install(patch)
        chosen = einkorn.ops.scaled_dot_product_attention(*(einkorn.Tensor(a) for a in leaves)).numpy()
    np.testing.assert_array_equal(chosen.astype(np.float64), by_name["mma"])
    with pytest.raises(RuntimeError, match=r'EINKORN_CUDA_ATTENTION is "mma" or "wgmma", not "tiles"'):
        _attention("tiles", leaves, {}, monkeypatch)


def test_steps_that_the_copy_engine_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key head for all, by a step of 0, and rows from the last to the first: by the other body."""
    q, k, v = _leaves(64, 2, 2, 100, 70)
    k = np.broadcast_to(k[:, :1], k.shape)
    v = v[:, :, ::-1]
    results = [_attention(body, [q, k, v], {}, monkeypatch) for body in ("", "wgmma")]
    _assert_close(results[1], results[0])


def test_no_number_and_infinity(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = _leaves(64, 1, 1, 70, 140)
    q[0, 0, 3, 5], q[0, 0, 8, 0] = np.nan, np.inf
    with np.errstate(all="ignore"):
        expected, got = (
            np.asarray(_attention(body, [q, k, v], {}, monkeypatch)[0]) for body in ("", "wgmma")
        )
    assert np.isnan(got[0, 0, 3]).all()
    assert np.isnan(got[0, 0, 8]).all()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
