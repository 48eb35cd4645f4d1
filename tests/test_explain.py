"""Explaining estimators: Shapley values, and what scikit-learn computes from predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.tree import DecisionTreeClassifier

from einkorn.boosting import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    load,
    save,
    shap_values,
)
from einkorn.errors import ArgumentError


def data(classes: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four features: the first matters most, the second a little, the others not at all."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    score = 3 * X[:, 0] + np.abs(X[:, 1])
    X[rng.uniform(size=X.shape) < 0.05] = np.nan
    return X, np.digitize(score, np.linspace(-2, 3, classes - 1)) if classes else score


def fitted(classes: int, **options: Any) -> Any:
    kind = GradientBoostingClassifier if classes else GradientBoostingRegressor
    X, y = data(classes)
    return kind(n_estimators=15, max_leaf_nodes=8, random_state=0, **options).fit(X, y)


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_shapley_values_sum_to_scores(classes: int) -> None:
    model, X = fitted(classes), data()[0]
    values = shap_values(model, X)
    raw = model.decision_function(X) if classes else model.predict(X)
    np.testing.assert_allclose(values.sum(axis=1), raw.reshape(len(X), -1), atol=1e-10)
    importance = np.abs(values[:, :4]).mean(axis=(0, 2))
    assert importance.argmax() == 0
    assert importance[1] > importance[2:].max()


@pytest.mark.parametrize("kind", [RandomForestRegressor, RandomForestClassifier, ExtraTreesClassifier])
def test_forests(kind: Any, tmp_path: Path) -> None:
    X, y = data(3 if kind is not RandomForestRegressor else 0)
    model = kind(n_estimators=7, max_depth=6, random_state=0).fit(X, y)
    said = model.predict(X)[:, None] if kind is RandomForestRegressor else model.predict_proba(X)
    values = shap_values(model, X)
    np.testing.assert_allclose(values.sum(axis=1), said, atol=1e-12)
    assert np.abs(values[:, :4]).mean(axis=(0, 2)).argmax() == 0
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    assert shap_values(again, X).tobytes() == values.tobytes()


@pytest.mark.parametrize("classes", [2, 3])
def test_votes_of_adaboost(classes: int) -> None:
    X, y = data(classes)
    X = np.nan_to_num(X)
    model = AdaBoostClassifier(n_estimators=9).fit(X, y)
    values = shap_values(model, X)
    votes = values.sum(axis=1) / model.estimator_weights_.sum()
    said = model.decision_function(X)
    np.testing.assert_allclose(2 * votes[:, 0] if classes == 2 else votes, said, atol=1e-12)
    with pytest.raises(ArgumentError, match="trees_"):
        shap_values(AdaBoostClassifier(DecisionTreeClassifier(max_depth=1)).fit(X, y), X)


def test_shapley_values_of_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    X = pandas.DataFrame({"x": rng.normal(size=200), "c": pandas.Categorical(rng.choice(list("abc"), 200))})
    y = X["x"] + (X["c"] == "b")
    model = GradientBoostingRegressor(n_estimators=5, categorical_features="from_dtype").fit(X, y)
    np.testing.assert_allclose(shap_values(model, X).sum(axis=1)[:, 0], model.predict(X), atol=1e-10)
    with pytest.raises(ArgumentError, match="shap_values"):
        shap_values(model, X[["x"]].rename(columns={"x": "c"}))


def test_permutation_importance() -> None:
    model, (X, y) = fitted(0), data()
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert found.argmax() == 0
    assert found[1] > found[2:].max()


@pytest.mark.parametrize("classes", [0, 2])
def test_partial_dependence(classes: int) -> None:
    model, X = fitted(classes), data()[0]
    X = X[~np.isnan(X).any(axis=1)]
    found = partial_dependence(model, X, [0], grid_resolution=8)
    assert found["average"].shape == (1, 8)
    steps = np.diff(found["average"][0])  # the score rises with the first feature
    assert steps.sum() > 0.5
    assert steps.min() > -1e-3 * steps.sum()


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_saved_models_predict_the_same(classes: int, tmp_path: Path) -> None:
    model, X = fitted(classes), data()[0]
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is type(model)
    assert repr(again.get_params()) == repr(model.get_params())
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    assert shap_values(again, X).tobytes() == shap_values(model, X).tobytes()
    if classes:
        assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
