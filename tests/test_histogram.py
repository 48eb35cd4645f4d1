"""Bins and histograms against plain NumPy, on every engine and instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import einkorn
from einkorn import errors
from einkorn.boosting.binning import Binner
from einkorn.ops.histogram import bin_columns, bin_edges, histogram, histogram_subtract


def _codes(X: np.ndarray, edges: list[np.ndarray], missing: int) -> np.ndarray:
    """The definition of codes: how many thresholds are below the value."""
    out = np.empty((X.shape[1], X.shape[0]), np.int64)
    for f, e in enumerate(edges):
        x = X[:, f].astype(np.float64)
        out[f] = np.where(np.isnan(x), missing, (e[None, :] < x[:, None]).sum(1))
    return out


def _data(rows: int, dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            rng.normal(size=rows),
            rng.integers(0, 5, rows) / 3,
            np.where(rng.random(rows) < 0.6, 0.0, rng.lognormal(size=rows)),
            np.full(rows, 2.5),
            rng.choice([-np.inf, -1.0, -0.0, 0.0, 1e-40, 3e38, np.inf, np.nan], rows),
            np.full(rows, np.nan),
        ]
    )
    X[rng.random(X.shape) < 0.05] = np.nan
    return X.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [0, 1, 2, 63, 1000])
@pytest.mark.parametrize("max_bins", [2, 17, 255, 1000])
def test_binner_codes_follow_the_thresholds(backend: str, dtype: str, rows: int, max_bins: int) -> None:
    X = _data(rows, dtype)
    binner = Binner(max_bins=max_bins).fit(X)
    codes = binner.transform(X)
    assert codes.shape == (6, rows)
    assert codes.flags.c_contiguous
    assert codes.dtype == (np.uint8 if binner.n_bins_.max() <= 255 else np.uint16)
    np.testing.assert_array_equal(codes, _codes(X, binner.edges_, binner.missing_code_))
    for f, edges in enumerate(binner.edges_):
        assert len(edges) == binner.n_bins_[f] - 1 < max_bins
        assert (edges[1:] > edges[:-1]).all()
        np.testing.assert_array_equal(edges, edges.astype(dtype))
        x = X[:, f]
        distinct = np.unique(x[~np.isnan(x)] + 0)
        if distinct.size <= max_bins:
            assert binner.n_bins_[f] == max(1, distinct.size)
        used = codes[f][codes[f] != binner.missing_code_]
        assert np.unique(used).size == min(binner.n_bins_[f], distinct.size)  # no bin is empty


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_thresholds_part_neighbours(backend: str, dtype: str) -> None:
    """Neighbouring floats, denormals, the ends of the range and infinities all get bins of their own."""
    tiny, top = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    one = np.array(1, dtype)
    up = np.nextafter(one, np.array(2, dtype))
    values = [-np.inf, -top, -tiny, 0, tiny, 2 * tiny, one, up, np.nextafter(up, 2 * one), top, np.inf]
    X = np.array(values, dtype)[:, None]
    binner = Binner().fit(X)
    np.testing.assert_array_equal(binner.transform(X)[0], np.arange(len(values)))
    assert binner.edges_[0][6] == 1  # nothing lies between 1 and the next number


def test_midpoints_and_heavy_values(backend: str) -> None:
    assert Binner().fit(np.array([[1.0], [4.0], [1.0], [2.0]])).edges_[0].tolist() == [1.5, 3.0]
    rng = np.random.default_rng(1)
    X = np.where(rng.random(5000) < 0.5, 0.0, rng.normal(size=5000))[:, None]
    binner = Binner(max_bins=16).fit(X)
    codes = binner.transform(X)[0]
    zero = codes[X[:, 0] == 0][0]
    assert (X[codes == zero] == 0).all()
    counts = np.bincount(codes)
    light = np.delete(counts, zero)
    assert len(counts) == 16
    assert light.max() < 2.2 * light.mean()


def test_weights_stand_for_copies(backend: str) -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(400, 2)).astype(np.float32)
    times = rng.integers(0, 4, 400)
    weighted = Binner(max_bins=20).fit(X, sample_weight=times)
    copied = Binner(max_bins=20).fit(np.repeat(X, times, axis=0))
    for a, b in zip(weighted.edges_, copied.edges_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_subsample_and_rows(backend: str) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(5000, 3))
    first, again = (Binner(subsample=700, random_state=5).fit(X) for _ in range(2))
    other = Binner(subsample=700, random_state=6).fit(X)
    for a, b, c in zip(first.edges_, again.edges_, other.edges_, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    rows = np.sort(rng.choice(5000, 100, replace=False))
    for a, b in zip(bin_edges(X, 50, rows=rows), bin_edges(X[rows], 50), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts(backend: str, dtype: str) -> None:
    X = _data(300, dtype)
    binner = Binner(max_bins=30).fit(X)
    codes = binner.transform(X)
    spread = np.full((600, 12), 7, dtype)[::2, ::2]
    spread[:] = X
    for same in (np.asfortranarray(X), X[::-1][::-1], spread):
        again = Binner(max_bins=30).fit(same)
        for a, b in zip(binner.edges_, again.edges_, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(binner.transform(same), codes)
    np.testing.assert_array_equal(binner.transform(X[::-1]), codes[:, ::-1])


def test_another_element_type_than_in_fit(backend: str) -> None:
    """float32 rows against thresholds that float32 does not have: x <= edge still decides."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(2000, 1))
    binner = Binner().fit(X)
    for dtype in (np.float32, np.float64):
        near = np.concatenate([binner.edges_[0], np.nextafter(binner.edges_[0], 9)])[:, None].astype(dtype)
        np.testing.assert_array_equal(binner.transform(near), _codes(near, binner.edges_, 255))


def test_categories(backend: str) -> None:
    rng = np.random.default_rng(5)
    c = rng.choice([3, 7, 8, 100, 1000], 500, p=[0.4, 0.3, 0.2, 0.08, 0.02]).astype(np.float64)
    X = np.column_stack([rng.normal(size=500), c])
    X[:20, 1] = np.nan
    binner = Binner(categorical=[1]).fit(X)
    assert binner.is_categorical_.tolist() == [False, True]
    assert binner.categories_[1].tolist() == [3, 7, 8, 100, 1000]
    assert binner.n_bins_[1] == 6
    seen = ~np.isnan(X[:, 1])
    codes = binner.transform(X)[1]
    np.testing.assert_array_equal(np.array([3, 7, 8, 100, 1000])[codes[seen]], X[seen, 1])
    assert (codes[~seen] == 255).all()
    new = np.array([[0, v] for v in (4.0, 7.9, -3.0, 1e9, np.inf, -np.inf, 0.0)])
    assert binner.transform(new)[1].tolist() == [5, 1, 5, 5, 5, 5, 5]
    few = Binner(max_bins=4, categorical=[False, True]).fit(X)
    assert few.categories_[1].tolist() == [3, 7, 8]  # the rarest share the last code
    assert few.n_bins_[1] == 4


@pytest.mark.parametrize("seed", range(3))
def test_any_thread_count_gives_the_same_bits(backend: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = (70_000, 3001, 150_000)[seed] if backend != "numba" else 3001
    X, g = rng.normal(size=(rows, 5)).astype(np.float32), rng.normal(size=rows)
    results = []
    for threads in (1, 2, 3):
        einkorn.set_num_threads(threads)
        binner = Binner(max_bins=40).fit(X)
        codes = binner.transform(X)
        results.append([*binner.edges_, codes, histogram(codes, g, g * g, bins=41)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("code", ["uint8", "uint16"])
@pytest.mark.parametrize("rows", [0, 1, 777])
def test_histogram(backend: str, code: str, rows: int) -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 12, (3, rows)).astype(code)
    g, h = rng.integers(-50, 50, rows).astype(np.float32), rng.integers(1, 9, rows).astype(np.float32)
    some = rng.integers(0, rows, 2 * rows // 3) if rows else np.empty(0, int)
    for at, hessians in ((None, h), (some, h), (some, None)):
        out = histogram(codes, g, hessians, bins=10, rows=at)
        picked = np.arange(rows) if at is None else at
        for f in range(3):
            c = codes[f, picked]
            keep = c < 10
            for i, v in enumerate((g, np.ones(rows) if hessians is None else h, np.ones(rows))):
                np.testing.assert_array_equal(out[f, :, i], np.bincount(c[keep], v[picked][keep], 10))
    both = histogram(codes, g, h, bins=12)
    part = histogram(codes, g, h, bins=12, rows=np.arange(rows // 2))
    rest = histogram(codes, g, h, bins=12, rows=np.arange(rows // 2, rows))
    np.testing.assert_array_equal(histogram_subtract(both, part), rest)
    assert histogram_subtract(both, part, out=both) is both


@given(
    values=st.lists(st.floats(width=32, allow_nan=True), max_size=60),
    max_bins=st.integers(2, 12),
)
@settings(max_examples=60, deadline=None)
def test_any_numbers(values: list[float], max_bins: int) -> None:
    X = np.array(values, np.float32)[:, None]
    binner = Binner(max_bins=max_bins).fit(X)
    codes = binner.transform(X)
    np.testing.assert_array_equal(codes, _codes(X, binner.edges_, 255))
    assert binner.n_bins_[0] <= max_bins
    seen = ~np.isnan(X[:, 0])
    order = np.argsort(X[seen, 0], kind="stable")
    assert (np.diff(codes[0][seen][order].astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Binner(max_bins=1).fit(np.ones((3, 1))), errors.ArgumentError, "max_bins"),
        (lambda: Binner(max_bins=70000).fit(np.ones((3, 1))), errors.ArgumentError, "max_bins"),
        (lambda: Binner(subsample=0).fit(np.ones((3, 1))), errors.ArgumentError, "subsample"),
        (lambda: Binner(categorical=[3]).fit(np.ones((3, 2))), errors.ArgumentError, "categorical"),
        (lambda: Binner(categorical=[True]).fit(np.ones((3, 2))), errors.ShapeError, "categorical"),
        (lambda: Binner(categorical=[0]).fit(-np.ones((3, 2))), errors.DataError, "column 0"),
        (lambda: Binner(categorical=[0]).fit(np.full((3, 2), 0.5)), errors.DataError, "column 0"),
        (lambda: Binner(categorical=[0]).fit(np.full((3, 2), np.inf)), errors.DataError, "column 0"),
        (lambda: Binner().fit(np.ones(3)), errors.ShapeError, "X"),
        (lambda: Binner().fit(np.ones((3, 1))).transform(np.ones((3, 2))), errors.ShapeError, "X"),
        (lambda: Binner().fit(np.ones((3, 1)), [1, 2]), errors.ShapeError, "sample_weight"),
        (lambda: Binner().fit(np.ones((2, 1)), [1, -2]), errors.ArgumentError, "sample_weight"),
        (lambda: bin_edges(np.ones((3, 1)), rows=[3]), errors.DTypeError, "rows"),
        (lambda: bin_edges(np.ones((3, 1)), rows=np.array([3])), errors.IndexRangeError, "rows"),
        (lambda: bin_columns(np.ones((3, 1)), []), errors.ShapeError, "edges"),
        (lambda: bin_columns(np.ones((3, 1)), [[2.0, 1.0]]), errors.ArgumentError, "column 0"),
        (lambda: bin_columns(np.ones((3, 1)), [[np.nan]]), errors.ArgumentError, "column 0"),
        (lambda: bin_columns(np.ones((3, 1)), [range(300)], missing_code=255), errors.ArgumentError, "255"),
        (lambda: histogram(np.ones((1, 3)), np.ones(3)), errors.DTypeError, "codes"),
        (lambda: histogram(np.ones((1, 3), np.uint8), np.ones(2)), errors.ShapeError, "gradients"),
        (lambda: histogram(np.ones((1, 3), np.uint8), np.ones(3), bins=0), errors.ArgumentError, "bins"),
        (
            lambda: histogram(np.ones((1, 3), np.uint8), np.ones(3), rows=np.array([-1])),
            errors.IndexRangeError,
            "rows",
        ),
        (lambda: histogram_subtract(np.ones((1, 2, 3)), np.ones((1, 3, 3))), errors.ShapeError, "b"),
        (lambda: histogram_subtract(np.ones(3, np.float32), np.ones(3)), errors.DTypeError, "a"),
    ],
)
def test_bad_input_is_refused_by_name(call: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()  # type: ignore[operator]
