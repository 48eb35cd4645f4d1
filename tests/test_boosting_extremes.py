"""Boosting on numbers of any size: hessians, weights, targets; equal splits; unseen categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
import einkorn
from einkorn import boosting, ops
from einkorn.boosting import DecisionTreeClassifier
from einkorn.errors import ArgumentError
from einkorn.ops.tree_grow import CodeTable

# --- hessians that differ ------------------------------------------------------------------------


def heavy_and_light(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A heavy half that feature 0 marks and feature 1 explains, a light half that feature 2 explains."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)).round(2)
    X[:, 0] = np.arange(n) % 2
    y = np.where(X[:, 0] == 1, X[:, 1] > 0, X[:, 2] > 0).astype(np.float64)
    return X, y, np.where(X[:, 0] == 1, 1e10, 1.0)


@pytest.mark.parametrize("weight", [1e6, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("name", ["GradientBoostingRegressor", "GradientBoostingClassifier"])
def test_rows_of_weight_one_beside_heavy_ones_are_learned(engine: str, name: str, weight: float) -> None:
    X, y, w = heavy_and_light()
    w = np.where(w > 1, weight, 1.0)
    options = {"n_estimators": 40, "learning_rate": 0.5, "max_leaf_nodes": 8, "min_samples_leaf": 5}
    model = getattr(boosting, name)(**options).fit(X, y, sample_weight=w)
    light = X[:, 0] == 0
    predicted = model.predict(X)
    assert np.abs(predicted[light] - y[light]).mean() < 0.02
    assert np.abs(predicted[~light] - y[~light]).mean() < 0.02


def test_sums_in_two_parts_are_the_same_for_any_threads_and_engine() -> None:
    rng = np.random.default_rng(1)
    n = 40_000
    codes = rng.integers(0, 30, (5, n)).astype(np.uint8)
    table = CodeTable(codes, np.full(5, 30))
    h = 10.0 ** rng.uniform(-9, 3, n)
    g = h * (np.sin(codes[0]) + codes[1] % 3 + rng.normal(size=n))
    found = []
    for engine in ("native", "numba"):
        if engine not in einkorn.engines.available():
            continue
        einkorn.set_engine(engine)
        trees = []
        for threads in (1, 2, 4):
            with einkorn.num_threads(threads):
                trees.append(ops.grow_tree(table, g, h, max_leaves=40))
        for other in trees[1:]:
            for name in ("feature", "code", "left", "value", "gain", "cover", "count", "leaf"):
                np.testing.assert_array_equal(getattr(trees[0], name), getattr(other, name))
        found.append(trees[0])
    for name in ("feature", "code", "left", "count", "leaf"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[-1], name))
    np.testing.assert_allclose(found[0].value, found[-1].value, rtol=1e-14)
    tree = found[0]
    leaves = np.flatnonzero(tree.feature < 0)
    G, H = (np.bincount(tree.leaf, v, minlength=tree.feature.size)[leaves] for v in (g, h))
    np.testing.assert_allclose(tree.cover[leaves], H, rtol=1e-12)
    np.testing.assert_allclose(tree.value[leaves], -0.1 * G / H, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("monotone", [None, [1, 0, 0]])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_two_parts_grow_what_one_part_grows(engine: str, dtype: type, monotone: Any) -> None:
    """A single row of a tiny hessian makes sums wide, and changes nothing else."""
    rng = np.random.default_rng(2)
    n = 3000
    codes = rng.integers(0, 20, (3, n)).astype(dtype)
    table = CodeTable(codes, np.full(3, 20))
    h = rng.integers(1, 9, n) / 8.0
    g = rng.integers(-40, 40, n) / 64.0 + (codes[0] > 9)
    one = ops.grow_tree(table, g, h, monotone=monotone)
    g[0], h[0] = 0.0, 0.0
    narrow = ops.grow_tree(table, g, h, monotone=monotone)
    h[0] = 2.0**-40
    wide = ops.grow_tree(table, g, h, monotone=monotone)
    assert one.feature.size == narrow.feature.size
    for name in ("feature", "code", "count", "leaf"):
        np.testing.assert_array_equal(getattr(narrow, name), getattr(wide, name))
    np.testing.assert_allclose(narrow.value, wide.value, rtol=1e-9)


# --- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
@pytest.mark.parametrize("scale", [1e155, 1e-165, 1e30, 1e300])
def test_gradient_boosting_of_targets_of_any_size(engine: str, loss: str, scale: float) -> None:
    X, y, _ = heavy_and_light()
    y = y + X[:, 1].round(1)
    options: dict[str, Any] = {"n_estimators": 8, "min_samples_leaf": 5, "early_stopping": True, "tol": 0.0}
    plain = boosting.GradientBoostingRegressor(loss, **options, random_state=0).fit(X, y)
    scaled = boosting.GradientBoostingRegressor(loss, **options, random_state=0).fit(X, y * scale)
    np.testing.assert_allclose(scaled.predict(X) / scale, plain.predict(X), rtol=1e-5, atol=1e-6)
    assert scaled.feature_importances_.sum() == pytest.approx(1)
    two = boosting.GradientBoostingRegressor(loss, n_estimators=3, warm_start=True, random_state=0)
    two.fit(X, y * scale).set_params(n_estimators=6).fit(X, y * scale)
    one = boosting.GradientBoostingRegressor(loss, n_estimators=6, random_state=0).fit(X, y * scale)
    np.testing.assert_allclose(two.predict(X), one.predict(X), rtol=1e-9)


def test_gradient_boosting_of_targets_far_from_zero(engine: str) -> None:
    X, y, _ = heavy_and_light()
    options = {"n_estimators": 30, "min_samples_leaf": 5}
    plain = boosting.GradientBoostingRegressor(**options).fit(X, y)
    moved = boosting.GradientBoostingRegressor(**options).fit(X, y + 1.7e9)
    np.testing.assert_allclose(moved.predict(X) - 1.7e9, plain.predict(X), atol=2e-5)


# --- ties ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 0.1, 3.0, 0.7, 1 / 3, 1e-3])
def test_of_equal_splits_the_first_features_wins(engine: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    a = rng.permutation(300) % 3
    X = np.stack([a, 2 - a, a, 2 - a], axis=1).astype(np.float64)
    y = (a == 1) + 0.7
    options = {"n_estimators": 3, "max_leaf_nodes": 3, "min_samples_leaf": 1, "min_child_weight": 0}
    plain = boosting.GradientBoostingRegressor(**options).fit(X, y)
    assert set(plain.trees_.feature.tolist()) <= {0, -1}
    for target, weight in ((y * scale, None), (y, np.full(300, scale)), (y * scale, np.full(300, scale))):
        model = boosting.GradientBoostingRegressor(**options).fit(X, target, sample_weight=weight)
        np.testing.assert_array_equal(model.trees_.feature, plain.trees_.feature)
        np.testing.assert_array_equal(model.trees_.threshold, plain.trees_.threshold)
    classes = [
        boosting.GradientBoostingClassifier(**options).fit(X, a == 1, sample_weight=np.full(300, s))
        for s in (1.0, scale)
    ]
    np.testing.assert_array_equal(classes[0].trees_.feature, classes[1].trees_.feature)
    assert set(classes[0].trees_.feature.tolist()) <= {0, -1}


# --- categories ----------------------------------------------------------------------------------


@pytest.mark.parametrize("larger", [0, 1])
def test_an_unseen_category_goes_the_way_of_most(engine: str, larger: int) -> None:
    X = np.concatenate([np.full(300, larger), np.full(100, 1 - larger)])[:, None].astype(np.float64)
    y = np.concatenate([np.zeros(300), np.full(100, 10.0)])
    model = boosting.GradientBoostingRegressor(
        n_estimators=1, learning_rate=1.0, categorical_features=[0]
    ).fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-6)
    np.testing.assert_allclose(model.predict([[7.0], [2.0], [-3.0], [np.nan]]), 0, atol=1e-6)


@pytest.mark.parametrize("missing", [False, True])
def test_categories_and_missing_values_on_the_larger_side(engine: str, missing: bool) -> None:
    rng = np.random.default_rng(3)
    c = rng.integers(0, 12, 2000).astype(np.float64)
    low = np.isin(c, [0, 3, 4, 5, 8, 9, 11])
    y = np.where(low, 0.0, 10.0)
    if missing:
        c[:150] = np.nan
        y[:150] = 0.0
    options: dict[str, Any] = {"n_estimators": 1, "learning_rate": 1.0, "max_leaf_nodes": 2}
    model = boosting.GradientBoostingRegressor(**options, categorical_features=[0]).fit(c[:, None], y)
    np.testing.assert_allclose(model.predict(c[:, None]), y, atol=1e-6)
    np.testing.assert_allclose(model.predict([[40.0], [np.nan]]), 0, atol=1e-6)
    held = boosting.GradientBoostingRegressor(
        **options, subsample=0.5, random_state=0, categorical_features=[0]
    )
    held.fit(c[:, None], y)
    assert held.train_score_[0] == pytest.approx(np.square(held.predict(c[:, None]) - y).mean() / 2, abs=1e-6)


def test_unseen_categories_go_with_the_rare_ones(engine: str) -> None:
    c = np.concatenate([np.zeros(300), np.ones(200), np.arange(2, 42)])
    y = np.where(c == 0, 0.0, np.where(c == 1, 5.0, 10.0))
    model = boosting.GradientBoostingRegressor(
        n_estimators=1, learning_rate=1.0, method="histogram", max_bins=3, categorical_features=[0]
    ).fit(c[:, None], y)
    np.testing.assert_allclose(model.predict(c[:, None]), y, atol=1e-5)
    np.testing.assert_allclose(model.predict([[50.0]]), 10, atol=1e-5)


# --- AdaBoost's weights --------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [50.0, 1000.0, 1e6])
@pytest.mark.parametrize("estimator", [None, "tree"])
@pytest.mark.parametrize("name", ["AdaBoostClassifier", "TrAdaBoostClassifier"])
def test_learning_rates_whose_weights_would_overflow(
    engine: str, name: str, estimator: str | None, rate: float
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = (X[:, 0] * X[:, 1] + 0.5 * rng.normal(size=300) > 0).astype(np.int64)
    base = None if estimator is None else DecisionTreeClassifier(max_depth=2)
    model = getattr(boosting, name)(base, learning_rate=rate, n_estimators=10).fit(X, y)
    assert np.isfinite(model.estimator_weights_).all()
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.score(X, y) > 0.4


def test_weights_beyond_all_numbers_stop_with_a_word(engine: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(np.int64)
    with pytest.warns(UserWarning, match="weights have reached infinite values in round 2, the last"):
        model = boosting.AdaBoostClassifier(learning_rate=1.7e308).fit(X, y)
    assert len(model.estimators_) == 1
    with pytest.raises(ArgumentError, match="weights overflow"):
        boosting.AdaBoostClassifier(learning_rate=1.7e308).fit(X, X[:, 0] + 0.1 * X[:, 1] > 0)


def test_the_update_in_the_limit_of_large_steps(engine: str) -> None:
    w = np.array([0.1, 0.2, 0.3, 0.4])
    signed, target = np.zeros(4, np.float32), np.array([0, 1, 0, 1], np.int32)
    said = np.array([0, 1, 0, 0], np.int32)
    stats = ops.adaboost_update(w, signed, target, predicted=said, learning_rate=2000.0)
    assert stats[1] == pytest.approx(2000 * np.log(1.5))
    np.testing.assert_array_equal(w, [2.0**-52] * 3 + [1.0])


@pytest.mark.parametrize("loss", ["linear", "square", "exponential"])
@pytest.mark.parametrize("name", ["AdaBoostRegressor", "TrAdaBoostRegressor"])
def test_regressors_take_any_learning_rate(engine: str, name: str, loss: str) -> None:
    X, y, _ = heavy_and_light(120)
    source = {"source": X[:, 2] > 1} if name == "TrAdaBoostRegressor" else {}
    kind = getattr(boosting, name)
    model = kind(loss=loss, learning_rate=1e4, n_estimators=5, random_state=0).fit(X, y, **source)
    assert np.isfinite(model.predict(X)).all()
