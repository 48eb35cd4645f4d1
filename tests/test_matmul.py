"""Matrix products: sums that stay exact however long they are."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn
from einkorn import ops

LONG = 1 << 23


@pytest.mark.parametrize("form", ["vectors", "columns", "row times matrix", "few columns along k"])
def test_long_sums_keep_their_accuracy(form: str, backend: str) -> None:
    """Terms of one sign: what a plain float32 loop loses grows with their number, to parts in a thousand."""
    a = np.random.default_rng(0).random(LONG, dtype=np.float32)
    wide = a.astype(np.float64)
    if form == "vectors":
        got, wanted = ops.matmul(a, a), wide @ wide
    elif form == "columns":
        table = a.reshape(-1, 2)
        got, wanted = ops.matmul(table[:, 0], table[:, 1]), wide[::2] @ wide[1::2]
    elif form == "row times matrix":
        table = a.reshape(-1, 4)
        got, wanted = ops.matmul(table[:, 0], table), wide[::4] @ wide.reshape(-1, 4)
    else:
        rows = a.reshape(2, -1)
        got, wanted = ops.linear(rows, rows), wide.reshape(2, -1) @ wide.reshape(2, -1).T
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_through_a_large_layer(dtype: type, backend: str) -> None:
    """More weights than a core's caches hold, ragged along both sides; the same bits for all threads."""
    rng = np.random.default_rng(2)
    x, w, b = (rng.normal(size=size).astype(dtype) for size in ((1, 803), (701, 803), 701))
    results = []
    for threads in (1, 2, 4):
        with einkorn.num_threads(threads):
            results.append(ops.linear(x, w, b))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    wanted = x.astype(np.float64) @ w.astype(np.float64).T + b
    scale = np.abs(x).astype(np.float64) @ np.abs(w).astype(np.float64).T
    assert (np.abs(results[0] - wanted) <= 4 * np.finfo(dtype).eps * scale).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [64, 803, 4099, 16385])
def test_a_few_rows_through_a_large_layer(width: int, dtype: type, backend: str) -> None:
    """Rows of a search with beams or a small batch; weights cut out of a matrix, also reversed."""
    rng = np.random.default_rng(3)
    outputs = (1 << 20) // (width * np.dtype(dtype).itemsize) + 5
    table = rng.normal(size=(outputs, width + 3)).astype(dtype)
    for rows in (2, 4, 5, 6, 7, 8, 9, 16):
        x, b = rng.normal(size=(rows, width)).astype(dtype), rng.normal(size=outputs).astype(dtype)
        w = table[::-1, 1 : width + 1] if rows % 2 else table[:, 3:]
        results = []
        for threads in (1, 2, 4):
            with einkorn.num_threads(threads):
                results.append(ops.linear(x, w, b))
        assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
        wanted = x.astype(np.float64) @ w.astype(np.float64).T + b
        scale = np.abs(x).astype(np.float64) @ np.abs(w).astype(np.float64).T + np.abs(b)
        assert (np.abs(results[0] - wanted) <= 16 * np.finfo(dtype).eps * scale).all()


def test_a_column_of_a_matrix(backend: str) -> None:
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    table = np.array([[1.0, 5.0], [2.0, 6.0]], np.float32)
    np.testing.assert_array_equal(ops.matmul(matrix, table[:, 0]), [5, 11])
    np.testing.assert_array_equal(ops.matmul(matrix, table[:, :1]), [[5], [11]])
    np.testing.assert_array_equal(ops.linear(table[:1, ::-1], matrix), [[7, 19]])


def test_the_gradient_of_a_product_may_be_a_column(backend: str) -> None:
    """Where two products are stacked, the gradient of each is every second element."""
    rng = np.random.default_rng(1)
    v, w, c = rng.normal(size=3), rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    row, matrix = einkorn.Tensor(v, requires_grad=True), einkorn.Tensor(w, requires_grad=True)
    product = ops.stack([ops.matmul(row, matrix), ops.matmul(row, matrix)], -1)
    ops.sum(product * c).backward()
    np.testing.assert_allclose(row.grad.numpy(), w @ c.sum(1), rtol=1e-12)
    np.testing.assert_allclose(matrix.grad.numpy(), np.outer(v, c.sum(1)), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [(13, 1300, 40), (14, 600, 64), (29, 2600, 33), (131, 300, 260)]
)
def test_rows_that_tiles_pack(rows: int, depth: int, columns: int, dtype: type, backend: str) -> None:
    """Packed by the tiles that read them first, or before all products: the same sums."""
    rng = np.random.default_rng(4)
    a = rng.normal(size=(rows, depth)).astype(dtype)
    table = np.full((depth, columns + 5), np.nan, dtype)
    b = table[:, 2:-3]
    b[...] = rng.normal(size=b.shape)
    results = []
    for threads in (1, 2, 4):
        with einkorn.num_threads(threads):
            results.append(ops.matmul(a, b))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    if backend != "numba" and rows > 16:  # few rows and columns along k are dotted, in another order
        assert ops.matmul(a, np.asfortranarray(b)).tobytes() == results[0].tobytes()
    wanted = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    assert (np.abs(results[0] - wanted) <= 16 * np.finfo(dtype).eps * scale).all()
