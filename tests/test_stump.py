"""Stumps and AdaBoost's weights: every engine and instruction set against plain NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops.stump import (
    STUMP_CRITERIA,
    BinnedRows,
    Presorted,
    adaboost_update,
    presort,
    stump_search,
)

SIZES = [(0, 3), (1, 2), (2, 1), (7, 3), (513, 4), (1030, 2)]


def data(rows: int, features: int, kind: str, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    if kind == "ties":
        x = np.round(2 * x) / 2
    if kind == "missing":
        x = np.round(4 * x) / 4
        x[rng.random(x.shape) < 0.2] = np.nan
    if kind == "extreme":
        x = np.where(rng.random(x.shape) < 0.1, rng.choice([np.inf, -np.inf, 0.0, -0.0], x.shape), 1e30 * x)
    return x.astype(dtype)


KINDS = ["plain", "ties", "missing", "extreme"]


def score(sums: np.ndarray, criterion: str) -> float:
    """How good a split with these class sums [2, classes] is, the larger the better."""
    out = 0.0
    for side in sums:
        weight = side.sum()
        if not weight > 0:
            return -np.inf
        p = side[side > 0] / weight
        if criterion == "gini":
            out -= weight * (1 - (p**2).sum())
        elif criterion == "entropy":
            out += weight * (p * np.log(p)).sum()
        else:
            out += side.max()
    return out


def all_splits(x: np.ndarray, y: np.ndarray, w: np.ndarray, classes: int) -> Any:
    """(feature, value below which a row goes left, missing_left, class sums) of every split."""
    for f in range(x.shape[1]):
        column = x[:, f].astype(np.float64)
        is_missing = np.isnan(column)
        values = np.unique(column[~is_missing])
        for missing_left in (False, True) if is_missing.any() else (False,):
            for value in values if is_missing.any() else values[:-1]:
                left = (column <= value) | (is_missing & missing_left)
                sums = np.array(
                    [np.bincount(y[side], w[side].astype(np.float64), classes) for side in (left, ~left)]
                )
                yield f, value, missing_left, sums


def problem(x: np.ndarray, classes: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes that depend on x, weights, and the weights as the search takes them."""
    rng = np.random.default_rng(seed)
    n = x.shape[0]
    signal = np.nan_to_num(x[:, 0], nan=0.7) if x.shape[1] else np.zeros(n)
    y = (np.clip(np.nan_to_num(signal), -1, 1) * 1.4 + rng.normal(size=n) > 0).astype(np.int32)
    if classes > 2:
        y = (y + rng.integers(0, classes - 1, n)).astype(np.int32)
    w = rng.integers(1, 200, n).astype(np.float32) / 256
    v = np.where(y == 0, -w, w).astype(np.float32) if classes == 2 else w
    return y, w, v


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_presort(backend: str, shape: tuple[int, int], kind: str, dtype: Any) -> None:
    x = data(*shape, kind, dtype)
    for layout in (x, np.asfortranarray(x), np.concatenate([x, x], axis=1)[:, ::-2][:, ::-1]):
        expected = layout.astype(np.float64)
        found = presort(layout)
        rows = found.order & 0x7FFFFFFF
        np.testing.assert_array_equal(found.columns, layout.T)
        np.testing.assert_array_equal(found.missing, np.isnan(expected).sum(axis=0))
        for f in range(x.shape[1]):
            column = expected[:, f] + 0.0  # -0 is 0
            np.testing.assert_array_equal(rows[f], np.argsort(column, kind="stable"))
            ordered = column[rows[f]]
            rises = ordered[1:] > ordered[:-1]
            rises |= np.isnan(ordered[1:]) & ~np.isnan(ordered[:-1])
            np.testing.assert_array_equal(found.order[f] < 0, np.append(rises, False)[: x.shape[0]])


@pytest.mark.parametrize("criterion", STUMP_CRITERIA)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (7, 3), (70, 4), (531, 2)], ids=str)
def test_search_finds_the_best_split(
    backend: str, shape: tuple[int, int], kind: str, classes: int, criterion: str
) -> None:
    """The score is the best there is, and the sums are those of the split that is named."""
    x = data(*shape, kind)
    y, w, v = problem(x, classes)
    found = stump_search(presort(x), v, y, classes=classes, criterion=criterion)
    check_split(found, x, y, w, classes, criterion)


def check_split(
    found: Any, x: np.ndarray, y: np.ndarray, w: np.ndarray, classes: int, criterion: str
) -> None:
    best = max((score(s, criterion) for *_, s in all_splits(x, y, w, classes)), default=-np.inf)
    if best == -np.inf:
        assert found.feature == -1
        np.testing.assert_allclose(found.sums[1], np.bincount(y, w, classes))
        return
    column = x[:, found.feature].astype(np.float64)
    left = (column <= found.threshold) | (np.isnan(column) & found.missing_left)
    for side, rows in enumerate((left, ~left)):
        np.testing.assert_allclose(found.sums[side], np.bincount(y[rows], w[rows], classes), atol=1e-12)
    assert score(found.sums, criterion) == pytest.approx(best, abs=1e-9)
    values = np.unique(column[~np.isnan(column)])
    if np.isfinite(found.threshold):
        below, above = values[values <= found.threshold], values[values > found.threshold]
        if below.size and above.size and np.isfinite([below[-1], above[0]]).all():
            assert found.threshold == below[-1] / 2 + above[0] / 2


def test_ties_go_to_the_lowest_feature_and_threshold(backend: str) -> None:
    x = np.repeat(np.arange(6.0)[:, None], 3, axis=1)
    x[:, 0] = 1  # no split
    v = np.array([-1, 1, -1, 1, -1, 1], np.float32)
    for criterion in STUMP_CRITERIA:
        found = stump_search(presort(x), v, criterion=criterion)
        assert (found.feature, found.threshold) == (1, 0.5)
    x[:3] = np.nan  # missing values alone tell the classes apart: on the left or the right alike
    found = stump_search(presort(x), np.array([-1, -1, -1, 1, 1, 1], np.float32))
    assert (found.feature, found.threshold, found.missing_left) == (0, np.inf, False)


@pytest.mark.parametrize("criterion", STUMP_CRITERIA)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("code", [np.uint8, np.uint16])
def test_binned_search(backend: str, code: Any, classes: int, criterion: str) -> None:
    """Over codes the same split is found as over the codes taken as numbers."""
    rng = np.random.default_rng(3)
    most = np.iinfo(code).max
    for rows, bins in ((1, [3]), (300, [1, 17, 9]), (900, [200, 5] if code is np.uint8 else [700, 5])):
        codes = np.stack([rng.integers(0, b, rows) for b in bins]).astype(code)
        codes[rng.random(codes.shape) < 0.1] = most
        edges = [np.arange(b - 1) + 0.5 for b in bins]
        x = np.where(codes == most, np.nan, codes).T.astype(np.float64)
        y, w, v = problem(x, classes)
        found = stump_search(BinnedRows(codes, edges, most), v, y, classes=classes, criterion=criterion)
        expected = stump_search(presort(x), v, y, classes=classes, criterion=criterion)
        assert found.feature == expected.feature
        np.testing.assert_allclose(found.sums, expected.sums, atol=1e-12)
        check = found._replace(threshold=expected.threshold)
        check_split(check, x, y, w, classes, criterion)
        if found.feature >= 0 and np.isfinite(found.threshold):
            assert abs(found.threshold - np.floor(expected.threshold)) <= 1


@pytest.mark.parametrize("n", [0, 1, 9, 16385, 40000])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("form", ["stump", "strided", "predicted"])
@pytest.mark.parametrize("source", [0, 5])
def test_update(backend: str, n: int, classes: int, form: str, source: int) -> None:
    rng = np.random.default_rng(n)
    x = data(n, 3, "missing", np.float64)[:, 1]
    y = rng.integers(0, classes, n).astype(np.int32)
    says = np.where((x <= 0.3) | np.isnan(x), 1, 0).astype(np.int32)
    y = np.where(rng.random(n) < 0.6, says, y).astype(np.int32)
    w = rng.random(n) + 0.1
    w /= w.sum() if n else 1
    weights, signed = w.copy(), np.full(n, 7, np.float32)
    options: dict[str, Any] = {
        "classes": classes,
        "learning_rate": 0.7,
        "source": source,
        "source_factor": 0.4,
    }
    stump = {"threshold": 0.3, "missing_left": True, "left": 1, "right": 0}
    if form == "predicted":
        stats = adaboost_update(weights, signed, y, predicted=says, **options)
    else:
        column = x.astype(np.float32) if form == "stump" else np.repeat(x, 2)[::2]
        stats = adaboost_update(weights, signed, y, x=column, **stump, **options)
    is_wrong, ours = says != y, np.arange(n) >= source
    total = w[ours].sum()
    if not total > 0 or not (is_wrong & ours).any() or w[is_wrong & ours].sum() / total >= 1 - 1 / classes:
        np.testing.assert_array_equal(weights, w)
        return
    error = w[is_wrong & ours].sum() / total
    step = 0.7 * (np.log((1 - error) / error) + np.log(classes - 1))
    expected = w * np.where(is_wrong, np.where(ours, np.exp(step), 0.4), 1)
    np.testing.assert_allclose(stats[:3], [error, step, expected.sum()], rtol=1e-12)
    if form != "predicted":
        assert stats[3] == np.count_nonzero(says)
    expected /= expected.sum()
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    sign = np.where(y == 0, -1, 1) if classes == 2 else 1
    np.testing.assert_allclose(signed, sign * expected, rtol=1e-6)


def test_update_stops(backend: str) -> None:
    """No error, or no better than chance: the weights stay."""
    y = np.array([0, 1, 1, 0], np.int32)
    for predicted, error, weight in ((y, 0.0, 1.0), (1 - y, 1.0, 0.0), (np.int32([0, 1, 0, 1]), 0.5, 0.0)):
        w = np.full(4, 0.25)
        stats = adaboost_update(w, np.empty(4, np.float32), y, predicted=predicted.astype(np.int32))
        assert (stats[0], stats[1]) == (error, weight)
        np.testing.assert_array_equal(w, 0.25)


@pytest.mark.parametrize("classes", [2, 4])
def test_threads_give_the_same_bits(engine: str, classes: int) -> None:
    x = data(30_000, 9, "missing")
    y, w, v = problem(x, classes)
    results = []
    for n in (1, 2, 5):
        einkorn.set_num_threads(n)
        d = presort(x)
        split = stump_search(d, v, y, classes=classes)
        codes = np.clip(np.nan_to_num(10 * x.T + 40, nan=255), 0, 254).astype(np.uint8)
        codes[np.isnan(x.T)] = 255
        binned = stump_search(BinnedRows(codes, [np.arange(254.0)] * 9, 255), v, y, classes=classes)
        weights, signed = w.astype(np.float64), np.empty_like(v)
        stats = adaboost_update(
            weights, signed, y, x=d.columns[0], threshold=0.1, left=0, right=1, classes=classes
        )
        results.append([d.order, split.sums, split[:3], binned.sums, binned[:3], weights, signed, stats])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_features_and_no_rows(backend: str) -> None:
    for shape in ((0, 0), (5, 0), (0, 2)):
        found = stump_search(presort(np.zeros(shape)), np.ones(shape[0], np.float32))
        assert found.feature == -1
        np.testing.assert_array_equal(found.sums, [[0, 0], [0, shape[0]]])


def test_bad_input_is_refused() -> None:
    x = np.zeros((4, 2))
    d = presort(x)
    v = np.ones(4, np.float32)
    y = np.array([0, 1, 2, 0], np.int32)
    with pytest.raises(ShapeError, match="presort: X has shape"):
        presort(np.zeros(3))
    with pytest.raises(DTypeError, match="presort: X has dtype int64"):
        presort(np.zeros((3, 2), np.int64))
    with pytest.raises(DTypeError, match="data is a ndarray"):
        stump_search(x, v)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="criterion is 'mse'"):
        stump_search(d, v, criterion="mse")
    with pytest.raises(ArgumentError, match="classes is 1"):
        stump_search(d, v, classes=1)
    with pytest.raises(ShapeError, match="weights has shape"):
        stump_search(d, v[:3])
    with pytest.raises(DTypeError, match="weights is float64"):
        stump_search(d, v.astype(np.float64))
    with pytest.raises(DTypeError, match="target is a NoneType"):
        stump_search(d, v, classes=3)
    with pytest.raises(IndexRangeError, match="target is 3 in row 2, expected 0 to 2"):
        stump_search(d, v, np.array([0, 1, 3, 0], np.int32), classes=3)
    with pytest.raises(IndexRangeError, match="codes has 2 in feature 0"):
        BinnedRows(np.array([[0, 2]], np.uint8), [np.array([0.5])], 255)
    with pytest.raises(ArgumentError, match="either x or predicted"):
        adaboost_update(np.ones(4), v.copy(), y)
    with pytest.raises(ShapeError, match="predicted has shape"):
        adaboost_update(np.ones(4), v.copy(), y, predicted=y[:2])
    with pytest.raises(DTypeError, match="signed_weights must be"):
        adaboost_update(np.ones(4), np.ones(4), y, predicted=y)


def test_what_presort_gave_is_read_only() -> None:
    """The search trusts the order's row numbers, so nobody may change them by accident."""
    d = presort(np.zeros((3, 2)))
    assert isinstance(d, Presorted)
    for a in (d.order, d.columns, d.missing):
        with pytest.raises(ValueError, match="read-only"):
            a[:] = 1


def test_searches_look_at_what_they_are_told_by_index(backend: str) -> None:
    """Classes, counts and rows that are none are refused."""
    k = einkorn.engines.cpu()
    place, sums = np.empty(3, np.int64), np.empty((2, 3))
    order = np.tile(np.arange(6, dtype=np.int32) | np.int32(-(2**31)), (2, 1))
    weights, target = np.ones(6, np.float32), np.array([0, 1, 2, 0, 1, 2], np.int32)
    missing, codes = np.zeros(2, np.int64), np.zeros((2, 6), np.uint8)
    for bad in (-1, 3, 2**31 - 1, -(2**31)):
        wrong = target.copy()
        wrong[4] = bad
        with pytest.raises(ValueError, match="target must hold classes"):
            k.stump_search(place, sums, order, missing, weights, wrong, 3, 0)
        with pytest.raises(ValueError, match="target must hold classes"):
            k.stump_search_binned(place, sums, codes, np.ones(2, np.int32), 255, weights, wrong, 3, 0)
    for bad in (-1, 7, 2**62):
        with pytest.raises(ValueError, match="missing must be at most rows"):
            k.stump_search(place, sums, order, np.array([0, bad]), weights, target, 3, 0)
    for entry in (6, 2**31 - 1, -1):
        wild = order.copy()
        wild[:, 2:5] = entry
        for classes in (2, 3):
            with pytest.raises(ValueError, match="order must hold rows"):
                k.stump_search(place, np.empty((2, classes)), wild, missing, weights, target, classes, 0)
