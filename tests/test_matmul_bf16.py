"""matmul_bf16, the kernel: on every instruction set, those made for narrow numbers too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import engines

ml_dtypes = pytest.importorskip("ml_dtypes")
BF16 = ml_dtypes.bfloat16

# M, K, N: edges of tiles and lanes, odd depths, vectors either way, several tasks, sums cut in two
SIZES = [
    (1, 1, 1), (1, 17, 1), (1, 40, 33), (33, 40, 1), (17, 1, 19), (2, 3, 4), (5, 16, 15), (13, 9, 31),
    (14, 32, 32), (15, 15, 17), (16, 33, 16), (29, 5, 63), (43, 7, 97), (4, 0, 3), (0, 4, 3), (4, 3, 0),
    (130, 300, 300), (300, 70, 500), (3, 900, 1100), (7, 5001, 9), (64, 2600, 70), (1, 3000, 70),
    (9, 70000, 1), (1, 70000, 3),
]  # fmt: skip
LAYOUTS = [(a, b) for a in "CF" for b in "CF"]


def drawn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-3, 4, shape).astype(BF16)


def product(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    dtype: Any = np.float32,
    out: np.ndarray | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    activation: int = 0,
) -> np.ndarray:
    """What the kernel makes of arrays of bfloat16, which it takes as their bits."""

    def bits(x: np.ndarray) -> np.ndarray:
        return x.view(np.uint16) if x.dtype == BF16 else x

    if out is None:
        out = np.full((*a.shape[:-1], b.shape[-1]), np.nan, dtype)
    kernels = engines.cpu()
    kernels.matmul_bf16(
        bits(out), bits(a), bits(b), None if bias is None else bits(bias), alpha, beta, activation
    )
    return out


def test_operations_and_their_gradients_use_it() -> None:
    """matmul, linear and addmm of bfloat16, and the products of their gradients."""
    if engines.get_engine() != "native":
        pytest.skip("only the native engine traces launches")
    rng = np.random.default_rng(7)
    a, b = (einkorn.Tensor(drawn(rng, 5, 5), requires_grad=True) for _ in range(2))
    with einkorn.runtime.trace_launches() as launched:
        out = einkorn.ops.addmm(einkorn.ops.linear(a, b, activation="relu"), a, einkorn.ops.matmul(a, b))
        out.backward(einkorn.Tensor(drawn(rng, 5, 5)))
    assert launched.count("matmul_bf16") == 3 + 6
    assert "matmul" not in launched


def test_small_integers_are_exact(any_backend: str) -> None:
    rng = np.random.default_rng(0)
    for m, k, n in SIZES:
        a, b = drawn(rng, m, k), drawn(rng, k, n)
        truth = a.astype(np.float64) @ b.astype(np.float64)
        for order_a, order_b in LAYOUTS:
            left, right = np.asarray(a, order=order_a), np.asarray(b, order=order_b)
            np.testing.assert_array_equal(product(left, right), truth, f"{m, k, n} {order_a}{order_b}")
            np.testing.assert_array_equal(
                product(left, right, dtype=BF16), truth.astype(np.float32).astype(BF16)
            )


def test_vectors_of_any_stride(any_backend: str) -> None:
    rng = np.random.default_rng(1)
    table, matrix = drawn(rng, 70, 6), drawn(rng, 70, 37)
    for row in (table[:, 1], table[::-1, 2], matrix[::-2, 3]):
        for other in (
            matrix[: len(row)],
            np.asfortranarray(matrix[: len(row)]),
            matrix[: len(row)][:, ::-1][:, :1],
        ):
            truth = row.astype(np.float64)[None] @ other.astype(np.float64)
            np.testing.assert_array_equal(product(row[None], other), truth)
            np.testing.assert_array_equal(product(other.T, row[:, None]), truth.T)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_errors_are_those_of_a_float_sum(dtype: str, any_backend: str) -> None:
    """And of one rounding to bfloat16, where the result is kept so."""
    rng = np.random.default_rng(2)
    for m, k, n in [(37, 700, 45), (200, 1000, 260), (1, 5000, 30), (1, 5000, 1)]:
        a, b = rng.normal(size=(m, k)).astype(BF16), rng.normal(size=(k, n)).astype(BF16)
        truth = a.astype(np.float64) @ b.astype(np.float64)
        scale = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))
        for order in "CF":
            got = product(a, np.asarray(b, order=order), dtype=np.float32 if dtype == "float32" else BF16)
            allowed = 2e-7 * scale + (np.abs(truth) * 2.0**-8 if dtype == "bfloat16" else 0)
            assert (np.abs(got.astype(np.float64) - truth) <= allowed).all()


def test_long_sums_keep_their_accuracy(any_backend: str) -> None:
    a = np.random.default_rng(3).random(1 << 20, dtype=np.float32).astype(BF16)
    wide = a.astype(np.float64)
    table, wide_table = a.reshape(-1, 4), wide.reshape(-1, 4)
    np.testing.assert_allclose(product(a[None], a[:, None])[0], [wide @ wide], rtol=1e-5)
    np.testing.assert_allclose(product(table[:, :1].T, table), wide_table[:, :1].T @ wide_table, rtol=1e-5)
    np.testing.assert_allclose(product(table.T, table), wide_table.T @ wide_table, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("m", "n"), [(19, 37), (1, 37), (19, 1), (150, 40)])
def test_what_comes_after_the_sum(m: int, n: int, dtype: str, any_backend: str) -> None:
    """alpha, beta, bias of both types, activations; the swapped forms too, whose bias runs down."""
    rng = np.random.default_rng(4)
    kind = np.float32 if dtype == "float32" else BF16
    a, b, bias, c = drawn(rng, m, 24), drawn(rng, 24, n), drawn(rng, n), drawn(rng, m, n).astype(kind)
    sums = a.astype(np.float64) @ b.astype(np.float64)
    for order in "CF":
        right = np.asarray(b, order=order)
        got = product(a, right, bias, out=c.copy(), alpha=2.0, beta=-3.0, activation=1)
        truth = np.maximum(2 * sums - 3 * c.astype(np.float64) + bias.astype(np.float64), 0)
        np.testing.assert_array_equal(got, truth.astype(np.float32).astype(kind))
        got = product(a, right, bias.astype(np.float32), dtype=kind, activation=4)
        truth = np.tanh(sums + bias.astype(np.float64))
        np.testing.assert_allclose(
            got.astype(np.float64), truth, atol=1e-6 if kind is np.float32 else 2.0**-8
        )
    blank = np.full((m, n), np.nan, kind)
    np.testing.assert_array_equal(product(a, b, out=blank), sums.astype(np.float32).astype(kind))
    empty = product(a[:, :0], b[:0], bias, out=c.copy(), beta=2.0)
    np.testing.assert_array_equal(
        empty.astype(np.float64), 2 * c.astype(np.float64) + bias.astype(np.float64)
    )


def test_stacks_broadcast(any_backend: str) -> None:
    rng = np.random.default_rng(5)
    a, b = drawn(rng, 2, 1, 17, 9), drawn(rng, 3, 9, 33)
    left, right = np.broadcast_to(a, (2, 3, 17, 9)), np.broadcast_to(b, (2, 3, 9, 33))
    truth = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_array_equal(product(left, right), truth)
    np.testing.assert_array_equal(
        product(right.swapaxes(-1, -2), left.swapaxes(-1, -2)), truth.swapaxes(-1, -2)
    )
    many = drawn(rng, 2, 200, 80)
    wide = many.astype(np.float64)
    np.testing.assert_array_equal(product(many, many.swapaxes(-1, -2)), wide @ wide.swapaxes(-1, -2))


def test_special_values(any_backend: str) -> None:
    """NaN and infinity go where arithmetic takes them, rounding does not lose them, ties go to even."""
    a = np.ones((3, 8), BF16)
    a[0, 3], a[1, 7] = np.nan, np.inf
    b = np.ones((8, 20), BF16)
    b[7, 5] = -1
    for dtype in (np.float32, BF16):
        got = product(a, b, dtype=dtype).astype(np.float32)
        assert np.isnan(got[0]).all()
        np.testing.assert_array_equal(got[1], np.where(np.arange(20) == 5, -np.inf, np.inf))
        assert np.isfinite(got[2]).all()
    one = np.eye(2, dtype=BF16)
    bias = np.array([2.0**-8, 3 * 2.0**-8], np.float32)  # 1 + half a last place, 1 + one and a half
    got = product(np.ones((2, 2), BF16), one, bias, dtype=BF16).astype(np.float32)
    np.testing.assert_array_equal(got, np.broadcast_to(np.float32([1, 1 + 2.0**-6]), (2, 2)))
    largest = ml_dtypes.finfo(BF16).max.reshape(1, 1)  # half a last place more is nearer to infinity
    got = product(largest, one[:1, :1], np.float32([1e36]), dtype=BF16).astype(np.float32)
    assert np.isposinf(got).all()


@pytest.mark.parametrize("shape", [(300, 257, 310), (1, 3000, 900), (64, 5000, 3), (3, 900, 1100)])
def test_bits_are_those_of_one_thread(shape: tuple[int, int, int], any_backend: str) -> None:
    m, k, n = shape
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(m, k)).astype(BF16), rng.normal(size=(k, n)).astype(BF16)
    for order in "CF":
        results = []
        for threads in (1, 2, 4):
            with einkorn.num_threads(threads):
                results.append(product(a, np.asarray(b, order=order)).tobytes())
        assert results[0] == results[1] == results[2]
