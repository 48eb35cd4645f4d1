"""Trees depend neither on where targets lie nor on scales; of equal splits the first one wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from einkorn import boosting

TREES = ["DecisionTreeRegressor", "RandomForestRegressor", "ExtraTreesRegressor", "AdaBoostRegressor"]
OPTIONS: dict[str, dict[str, Any]] = {
    "DecisionTreeRegressor": {},
    "RandomForestRegressor": {"n_estimators": 4, "random_state": 1},
    "ExtraTreesRegressor": {"n_estimators": 4, "random_state": 1},
    "AdaBoostRegressor": {"n_estimators": 4, "random_state": 1},
    "TrAdaBoostRegressor": {"n_estimators": 3, "random_state": 1},
    "GradientBoostingRegressor": {"n_estimators": 20, "min_samples_leaf": 2},
}


def levels(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Targets 0, 1 and 4 that follow from two of three features."""
    X = np.random.default_rng(2).normal(size=(n, 3)).round(2)
    return X, np.where(X[:, 0] > 0.3, 4.0, np.where(X[:, 1] > 0, 1.0, 0.0))


def structure(model: Any) -> tuple[np.ndarray, ...]:
    trees = [e.trees_ for e in model.estimators_] if hasattr(model, "estimators_") else [model.trees_]
    return tuple(
        np.concatenate([getattr(t, name) for t in trees]) for name in ("feature", "threshold", "count")
    )


def assert_same_trees(a: Any, b: Any) -> None:
    for x, y in zip(structure(a), structure(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("offset", [1.7e9, -1.7e9, 3e12])
def test_an_offset_of_whole_numbers_changes_nothing(engine: str, name: str, offset: float) -> None:
    X, y = levels()
    make = getattr(boosting, name)
    plain, moved = make(**OPTIONS[name]).fit(X, y), make(**OPTIONS[name]).fit(X, y + offset)
    assert_same_trees(plain, moved)
    np.testing.assert_allclose(moved.predict(X) - offset, plain.predict(X), atol=4 * np.spacing(abs(offset)))
    if name == "DecisionTreeRegressor":
        np.testing.assert_array_equal(moved.predict(X), y + offset)


@pytest.mark.parametrize("name", TREES)
def test_an_offset_of_any_numbers_changes_no_split(engine: str, name: str) -> None:
    X, _ = levels()
    y = np.round(np.sin(X).sum(axis=1), 3)
    options = {**OPTIONS[name], **({} if name == "AdaBoostRegressor" else {"max_leaf_nodes": 12})}
    make = getattr(boosting, name)
    assert_same_trees(make(**options).fit(X, y), make(**options).fit(X, y + 1e6))


def test_offsets_within_a_node_are_seen_there(engine: str) -> None:
    X, y = levels()
    far = np.where(X[:, 2] > 0, 1.7e9, -2.5e9)
    model = boosting.DecisionTreeRegressor().fit(X, y + far)
    np.testing.assert_array_equal(model.predict(X), y + far)


@pytest.mark.parametrize("criterion", ["squared_error", "friedman_mse", "poisson"])
@pytest.mark.parametrize("scale", [2.0**40, 2.0**-30, 2.0**515, 2.0**-548, 1e155, 1e-165, 1e300, 3.0])
def test_a_scale_of_targets_changes_nothing(engine: str, criterion: str, scale: float) -> None:
    X, y = levels()
    make = boosting.DecisionTreeRegressor
    plain = make(criterion=criterion, max_depth=4).fit(X, y)
    scaled = make(criterion=criterion, max_depth=4).fit(X, y * scale)
    assert_same_trees(plain, scaled)
    np.testing.assert_allclose(scaled.predict(X), plain.predict(X) * scale, rtol=1e-14)
    np.testing.assert_allclose(scaled.feature_importances_, plain.feature_importances_, rtol=1e-9)


@pytest.mark.parametrize("offset", [1e3, 1.7e9])
def test_poisson_sees_small_differences_of_large_numbers(engine: str, offset: float) -> None:
    X, y = levels()
    model = boosting.DecisionTreeRegressor(criterion="poisson").fit(X, y + offset)
    np.testing.assert_array_equal(model.predict(X), y + offset)
    squared = boosting.DecisionTreeRegressor(max_depth=2).fit(X, y + offset)
    first = boosting.DecisionTreeRegressor(criterion="poisson", max_depth=2).fit(X, y + offset)
    np.testing.assert_array_equal(squared.trees_.feature, first.trees_.feature)


@pytest.mark.parametrize("name", [*TREES, "TrAdaBoostRegressor"])
@pytest.mark.parametrize("scale", [1e155, 1e-165])
def test_extreme_targets_in_every_regressor(engine: str, name: str, scale: float) -> None:
    X, y = levels()
    source = {"source": X[:, 2] > 0.5} if name == "TrAdaBoostRegressor" else {}
    plain = getattr(boosting, name)(**OPTIONS[name]).fit(X, y, **source)
    scaled = getattr(boosting, name)(**OPTIONS[name]).fit(X, y * scale, **source)
    np.testing.assert_allclose(scaled.predict(X), plain.predict(X) * scale, rtol=1e-12, atol=1e-12 * scale)


def mirrored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature 1 is feature 0 the other way round: equal gains, of thresholds and of features."""
    rng = np.random.default_rng(0)
    a = rng.permutation(90) % 3
    X = np.stack([a, 2 - a, a], axis=1).astype(np.float64)
    return X, (a == 1).astype(np.int64), np.ones(90)


@pytest.mark.parametrize("scale", [1.0, 0.1, 3.0, 0.3, 7.0, 2.0**-20, 1e-200, 1e200])
@pytest.mark.parametrize("criterion", ["gini", "entropy", "squared_error", "poisson"])
def test_of_equal_splits_the_first_features_wins(engine: str, criterion: str, scale: float) -> None:
    X, y, w = mirrored()
    kind = "Classifier" if criterion in ("gini", "entropy") else "Regressor"
    make = getattr(boosting, f"DecisionTree{kind}")
    target = y if kind == "Classifier" else (y + 0.7) * 3
    model = make(criterion=criterion, max_depth=2).fit(X, target, sample_weight=w * scale)
    assert model.trees_.feature[0] == 0
    plain = make(criterion=criterion, max_depth=2).fit(X, target)
    assert_same_trees(model, plain)
    if kind == "Regressor":
        assert_same_trees(make(criterion=criterion, max_depth=2).fit(X, target * scale), plain)


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
@pytest.mark.parametrize("scale", [0.1, 3.0, 1e-3])
def test_scales_and_ties_in_whole_trees(engine: str, kind: str, scale: float) -> None:
    rng = np.random.default_rng(4)
    X = rng.integers(0, 3, (200, 6)).astype(np.float64)
    X = np.concatenate([X, X[:, ::-1], 2 - X], axis=1)
    y = rng.integers(0, 2, 200) if kind == "Classifier" else rng.integers(0, 5, 200) / 7
    w = rng.integers(1, 4, 200).astype(np.float64)
    make = getattr(boosting, f"DecisionTree{kind}")
    for options in ({}, {"max_leaf_nodes": 20}):
        plain = make(**options).fit(X, y, sample_weight=w)
        assert_same_trees(plain, make(**options).fit(X, y, sample_weight=w * scale))
        if kind == "Regressor":
            assert_same_trees(plain, make(**options).fit(X, y * scale, sample_weight=w))
        else:
            entropy = [make(criterion="entropy", **options).fit(X, y, w * s) for s in (1.0, scale, 2.0**-9)]
            assert_same_trees(entropy[0], entropy[1])
            assert_same_trees(entropy[0], entropy[2])
