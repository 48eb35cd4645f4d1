"""Rows of weight 0 are as absent: every estimator learns what it learns from the other rows alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
from einkorn import boosting

ROWS, FAR = 60, 400
CLASSIFIERS = {
    "AdaBoostClassifier": {"n_estimators": 5},
    "DecisionStumpClassifier": {},
    "TrAdaBoostClassifier": {"n_estimators": 5},
    "GradientBoostingClassifier": {"n_estimators": 5, "min_samples_leaf": 3},
    "DecisionTreeClassifier": {"min_samples_leaf": 0.05},
    "RandomForestClassifier": {"n_estimators": 5, "random_state": 3, "max_samples": 0.8},
    "ExtraTreesClassifier": {"n_estimators": 5, "random_state": 3},
}
REGRESSORS = {
    "AdaBoostRegressor": {"n_estimators": 5, "random_state": 1},
    "TrAdaBoostRegressor": {"n_estimators": 3, "n_steps": 2, "random_state": 1},
    "GradientBoostingRegressor": {"n_estimators": 5, "min_samples_leaf": 3},
    "DecisionTreeRegressor": {"min_samples_split": 0.1},
    "RandomForestRegressor": {"n_estimators": 5, "random_state": 3},
    "ExtraTreesRegressor": {"n_estimators": 5, "random_state": 3},
}
CASES = {**CLASSIFIERS, **REGRESSORS}


def few_and_far(name: str, dtype: type = np.float64):
    """Rows that count, rows of weight 0 far from them among them, and which are which."""
    rng = np.random.default_rng(5)
    X = np.concatenate([rng.normal(size=(ROWS, 3)), 1e6 + 1e4 * rng.normal(size=(FAR, 3))]).astype(dtype)
    y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64) if name in CLASSIFIERS else np.round(X[:, 0], 1)
    y[ROWS:] = 2 + np.arange(FAR) % 5  # classes, and numbers, that no row with weight has
    mixed = rng.permutation(ROWS + FAR)
    w = np.concatenate([rng.integers(1, 4, ROWS), np.zeros(FAR)]).astype(np.float64)
    return X[mixed], y[mixed], w[mixed]


def said(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_weight_zero_are_as_absent(name, dtype):
    X, y, w = few_and_far(name, dtype)
    used = w > 0
    kind = getattr(boosting, name)
    model = kind(**CASES[name]).fit(X, y, sample_weight=w)
    other = kind(**CASES[name]).fit(X[used], y[used], sample_weight=w[used])
    np.testing.assert_array_equal(said(model, X), said(other, X))
    if name in CLASSIFIERS:
        np.testing.assert_array_equal(model.classes_, other.classes_)


@pytest.mark.parametrize("name", ["AdaBoostClassifier", "DecisionStumpClassifier", "TrAdaBoostClassifier"])
def test_bins_of_stumps_do_not_count_rows_of_weight_zero(name):
    X, y, w = few_and_far(name)
    used = w > 0
    kind = getattr(boosting, name)
    options = {**CASES[name], "max_bins": 8}
    model = kind(**options).fit(X, y, sample_weight=w)
    other = kind(**options).fit(X[used], y[used], sample_weight=w[used])
    np.testing.assert_array_equal(said(model, X), said(other, X))


@pytest.mark.parametrize("name", ["GradientBoostingClassifier", "GradientBoostingRegressor"])
def test_early_stopping_does_not_hold_out_rows_of_weight_zero(name):
    X, y, w = few_and_far(name)
    used = w > 0
    options = {**CASES[name], "early_stopping": True, "n_iter_no_change": 2, "random_state": 4}
    kind = getattr(boosting, name)
    model = kind(**options).fit(X, y, sample_weight=w)
    other = kind(**options).fit(X[used], y[used], sample_weight=w[used])
    np.testing.assert_array_equal(model.validation_score_, other.validation_score_)
    given = kind(**options).fit(X[used], y[used], X_val=X, y_val=y, sample_weight_val=w)
    alone = kind(**options).fit(X[used], y[used], X_val=X[used], y_val=y[used], sample_weight_val=w[used])
    np.testing.assert_array_equal(given.validation_score_, alone.validation_score_)


@pytest.mark.parametrize("name", ["DecisionTreeClassifier", "RandomForestClassifier"])
@pytest.mark.parametrize("class_weight", ["balanced", "balanced_subsample"])
def test_balanced_class_weights_do_not_count_rows_of_weight_zero(name, class_weight):
    if name == "DecisionTreeClassifier" and class_weight != "balanced":
        class_weight = {0: 1.0, 1: 0.25}
    X, y, w = few_and_far(name)
    y[w == 0] = 0
    used = w > 0
    kind = getattr(boosting, name)
    options = {**CASES[name], "class_weight": class_weight, "max_depth": 3}
    model = kind(**options).fit(X, y, sample_weight=w)
    other = kind(**options).fit(X[used], y[used], sample_weight=w[used])
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


def test_a_class_of_weight_zero_leaves_no_trace_in_the_bins():
    X, y, w = few_and_far("RandomForestClassifier")
    y[w == 0] = 7
    weight = dict.fromkeys(np.unique(y).tolist(), 1.0) | {7: 0.0}
    options = {"n_estimators": 4, "random_state": 1, "max_bins": 8}
    model = boosting.RandomForestClassifier(class_weight=weight, **options).fit(X, y)
    other = boosting.RandomForestClassifier(**options).fit(X[w > 0], y[w > 0])
    probability = model.predict_proba(X)
    np.testing.assert_array_equal(probability[:, -1], 0)
    np.testing.assert_array_equal(probability[:, :-1], other.predict_proba(X))


@pytest.mark.parametrize("name", ["RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier"])
def test_out_of_bag_scores_do_not_count_rows_of_weight_zero(name):
    X, y, w = few_and_far(name)
    used = w > 0
    options = {**CASES[name], "n_estimators": 20, "oob_score": True, "bootstrap": True}
    kind = getattr(boosting, name)
    model = kind(**options).fit(X, y, sample_weight=w)
    other = kind(**options).fit(X[used], y[used], sample_weight=w[used])
    assert model.oob_score_ == other.oob_score_
    which = "oob_prediction_" if name.endswith("Regressor") else "oob_decision_function_"
    found = getattr(model, which)
    assert found.shape[0] == ROWS + FAR
    np.testing.assert_array_equal(found[used], getattr(other, which))
    np.testing.assert_array_equal(found[~used], said(model, X[~used]))


def test_two_rows_of_weight_among_many_are_enough_for_a_forest():
    X = np.arange(12.0)[:, None]
    y = np.arange(12) % 2
    w = np.zeros(12)
    w[[0, -1]] = 1
    model = boosting.RandomForestClassifier(n_estimators=20, random_state=0).fit(X, y, sample_weight=w)
    other = boosting.RandomForestClassifier(n_estimators=20, random_state=0).fit(X[[0, -1]], y[[0, -1]])
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


def test_targets_of_rows_without_weight_are_not_looked_at():
    X, y, w = few_and_far("DecisionTreeRegressor")
    y[w == 0] = np.nan
    for name in REGRESSORS:
        model = getattr(boosting, name)(**CASES[name]).fit(X, y, sample_weight=w)
        assert np.isfinite(model.predict(X)).all()


def test_source_rows_take_the_mean_weight_of_the_rows_that_have_any():
    X, y, w = few_and_far("TrAdaBoostClassifier")
    used, more = w > 0, np.random.default_rng(1).normal(size=(30, 3))
    y_more = (more[:, 0] > 0.2).astype(np.int64)
    kind = boosting.TrAdaBoostClassifier
    model = kind(n_estimators=6).fit(X, y, w, X_source=more, y_source=y_more)
    other = kind(n_estimators=6).fit(X[used], y[used], w[used], X_source=more, y_source=y_more)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


def test_staged_weights_of_rows_without_weight_are_zero():
    X, y, w = few_and_far("AdaBoostClassifier")
    model = boosting.AdaBoostClassifier(n_estimators=3).fit(X, y, w)
    stages = list(model.staged_sample_weight(X, y, w))
    alone = list(model.staged_sample_weight(X[w > 0], y[w > 0], w[w > 0]))
    for stage, other in zip(stages, alone, strict=True):
        np.testing.assert_array_equal(stage[w == 0], 0)
        np.testing.assert_allclose(stage[w > 0], other, rtol=1e-14)


def test_binner_draws_among_rows_of_weight():
    X, _, w = few_and_far("Binner")
    found = boosting.Binner(8, subsample=40).fit(X, sample_weight=w)
    alone = boosting.Binner(8, subsample=40).fit(X[w > 0], sample_weight=w[w > 0])
    for a, b in zip(found.edges_, alone.edges_, strict=True):
        np.testing.assert_array_equal(a, b)
