"""Gradient boosting: rounds, stopping and warm starts, threads, files, bad input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from boosting_problems import classes, numbers, same
from conftest import ENGINES
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import einkorn
from einkorn import engines
from einkorn.boosting import GradientBoostingClassifier, GradientBoostingRegressor, load, save
from einkorn.errors import ArgumentError, DTypeError, EinkornError, ShapeError

# --- rounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"subsample": 0.6, "colsample_bytree": 0.5, "max_features": 0.7}])
def test_warm_start_is_one_long_fit(options: dict[str, Any]) -> None:
    for make, (X, y) in (
        (GradientBoostingRegressor, numbers()),
        (GradientBoostingClassifier, classes(3)),
    ):
        long = make(n_estimators=12, random_state=3, **options).fit(X, y)
        short = make(n_estimators=5, random_state=3, warm_start=True, **options).fit(X, y)
        short.set_params(n_estimators=12).fit(X, y)
        assert same(long, short)
        np.testing.assert_array_equal(long.train_score_, short.train_score_)
        assert short.n_iter_ == short.best_iteration_ == 12
        with pytest.raises(ArgumentError, match="12 rounds already"):
            short.set_params(n_estimators=3).fit(X, y)


def test_early_stopping_by_given_rows() -> None:
    X, y = classes(2, 3000)
    y = y ^ (np.random.default_rng(0).random(y.size) < 0.2)  # noise, to overfit
    fit, held = slice(0, 2000), slice(2000, None)
    model = GradientBoostingClassifier(n_estimators=300, early_stopping=True, n_iter_no_change=8)
    model.fit(X[fit], y[fit], X_val=X[held], y_val=y[held])
    assert model.n_iter_ == model.best_iteration_ < 200
    scores = model.validation_score_
    assert len(scores) == model.n_iter_ + 8
    assert scores.argmin() + 1 == model.best_iteration_
    p = model.predict_proba(X[held])
    loss = -np.log(p[np.arange(len(p)), y[held]]).mean()
    assert loss == pytest.approx(scores.min(), rel=1e-5)
    longer = GradientBoostingClassifier(n_estimators=model.n_iter_).fit(X[fit], y[fit])
    assert same(longer, model)
    watched = GradientBoostingClassifier(n_estimators=30).fit(X[fit], y[fit], None, X[held], y[held])
    np.testing.assert_array_equal(watched.validation_score_, scores[:30])
    assert watched.n_iter_ == 30


def test_early_stopping_by_rows_held_out() -> None:
    X, y = numbers()
    y = y + np.random.default_rng(0).normal(size=y.size)
    model = GradientBoostingRegressor(n_estimators=500, early_stopping=True, random_state=0).fit(X, y)
    assert model.n_iter_ < 400
    assert model.trees_.count[0] == 540
    again = GradientBoostingRegressor(n_estimators=500, early_stopping=True, random_state=0).fit(X, y)
    assert same(model, again)
    X, label = classes(3, 100)
    stratified = GradientBoostingClassifier(early_stopping=True, validation_fraction=0.2).fit(X, label)
    assert stratified.trees_.count[0] == 100 - sum(round(0.2 * c) for c in np.bincount(label))
    on_training = GradientBoostingRegressor(
        n_estimators=500, early_stopping=True, validation_fraction=None, tol=1e-2, n_iter_no_change=3
    ).fit(*numbers())
    assert on_training.n_iter_ < 100
    assert on_training.validation_score_.size == 0


def test_stages_are_prefixes() -> None:
    X, y = classes(3)
    model = GradientBoostingClassifier(n_estimators=6).fit(X, y)
    probabilities = list(model.staged_predict_proba(X))
    assert len(probabilities) == 6
    for rounds in (1, 4, 6):
        short = GradientBoostingClassifier(n_estimators=rounds).fit(X, y)
        np.testing.assert_array_equal(probabilities[rounds - 1], short.predict_proba(X))
    labels = list(model.staged_predict(X))
    np.testing.assert_array_equal(labels[-1], model.predict(X))
    np.testing.assert_array_equal(list(model.staged_decision_function(X))[-1], model.decision_function(X))
    X, y = numbers()
    regressor = GradientBoostingRegressor(n_estimators=6).fit(X, y)
    stages = list(regressor.staged_predict(X))
    np.testing.assert_array_equal(stages[2], GradientBoostingRegressor(n_estimators=3).fit(X, y).predict(X))


def test_threads_give_the_same_model() -> None:
    X, label = classes(3, 40_000)
    models = []
    for threads in (1, 2):
        einkorn.set_num_threads(threads)
        models.append(GradientBoostingClassifier(n_estimators=3).fit(X, label))
    assert same(*models)


def test_engines_agree() -> None:
    """The same trees on every engine, up to the roundings of exp."""
    if set(engines.available()) < set(ENGINES):
        pytest.skip("only one engine is here")
    found = []
    for engine in ENGINES:
        einkorn.set_engine(engine)
        X, label = classes(3, 300)
        results = [GradientBoostingClassifier(n_estimators=3).fit(X, label).predict_proba(X)]
        X, y = numbers(300)
        for loss in ("squared_error", "huber"):
            model = GradientBoostingRegressor(loss, n_estimators=3, subsample=0.7, random_state=0)
            results.append(model.fit(X, y).predict(X))
        found.append(results)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_callbacks_and_interrupt() -> None:
    X, y = numbers()
    seen: list[tuple[int, float]] = []

    def stop_at_five(number: int, logs: dict[str, float]) -> bool:
        seen.append((number, logs["loss"]))
        return number == 5

    model = GradientBoostingRegressor().fit(X, y, callbacks=[stop_at_five])
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5]
    assert model.n_iter_ == 5
    np.testing.assert_array_equal([loss for _, loss in seen], model.train_score_)

    def interrupt(number: int, logs: dict[str, float]) -> None:
        if number == 4:
            raise KeyboardInterrupt

    for make, (X, y) in ((GradientBoostingRegressor, numbers()), (GradientBoostingClassifier, classes(3))):
        model = make(warm_start=True, random_state=0)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y, callbacks=[interrupt])
        assert model.n_iter_ == 4  # fitted with what was done
        assert model.predict(X).shape == y.shape
        assert same(model, make(n_estimators=4, random_state=0).fit(X, y))
        assert same(
            model.set_params(n_estimators=7).fit(X, y), make(n_estimators=7, random_state=0).fit(X, y)
        )

    def fail(number: int, logs: dict[str, float]) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        GradientBoostingRegressor().fit(*numbers(), callbacks=[fail])


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    GradientBoostingRegressor(n_estimators=3, verbose=1).fit(*numbers())
    assert "3/3" in capsys.readouterr().err


# --- the estimator's surroundings ------------------------------------------------------------


def test_attributes_and_importance() -> None:
    X, y = numbers()
    model = GradientBoostingRegressor(n_estimators=20).fit(X, y)
    assert model.n_features_in_ == 5
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert set(np.argsort(model.feature_importances_)[-3:]) == {0, 1, 2}
    assert model.importance("split").sum() == (model.trees_.feature >= 0).sum()
    np.testing.assert_allclose(
        model.importance("gain") / model.importance("gain").sum(), model.feature_importances_
    )
    leaves = model.apply(X)
    assert leaves.shape == (600, 20)
    values = [model.trees_[t].value[leaves[:, t], 0] for t in range(20)]
    np.testing.assert_allclose(model.trees_.base + np.sum(values, axis=0), model.predict(X))
    with pytest.raises(ArgumentError, match="kind"):
        model.importance("cover")


def test_classes_of_any_type() -> None:
    X, y = classes(3)
    for names in (np.array(["no", "perhaps", "yes"]), np.array([-7, 0, 2**40]), np.array([0.0, 1.0, 5.0])):
        model = GradientBoostingClassifier(n_estimators=20).fit(X, names[y])
        np.testing.assert_array_equal(model.classes_, names)
        assert (model.predict(X) == names[y]).mean() > 0.9
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    X, y = classes(2)
    model = GradientBoostingClassifier(n_estimators=20).fit(X, y.astype(bool))
    np.testing.assert_array_equal(model.decision_function(X) > 0, model.predict(X))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-model.decision_function(X))))


def test_with_scikit_learn() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    assert cross_val_score(GradientBoostingClassifier(), X, y, cv=3).mean() > 0.95
    search = GridSearchCV(GradientBoostingClassifier(n_estimators=10), {"max_leaf_nodes": [2, 7]}, cv=3).fit(
        X, y
    )
    assert search.best_params_["max_leaf_nodes"] == 7
    X, y = make_regression(200, 4, random_state=0)
    pipeline = make_pipeline(StandardScaler(), GradientBoostingRegressor(min_samples_leaf=5)).fit(X, y)
    assert pipeline.score(X, y) > 0.9


def test_pickle_clone_and_files(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True)
    model = GradientBoostingClassifier(n_estimators=5, min_samples_leaf=5, warm_start=True).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    save(model, tmp_path / "model")
    for other in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model.joblib"),
        load(tmp_path / "model"),
    ):
        assert same(other, model)
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(other.train_score_, model.train_score_)
        longer = other.set_params(n_estimators=9).fit(X, y)
        assert longer.n_iter_ == 9
    assert not hasattr(clone(model), "trees_")
    frame = pd.DataFrame({"a": pd.Categorical(list("xyz") * 40), "b": np.arange(120.0)})
    coded = GradientBoostingRegressor(n_estimators=5).fit(frame, np.arange(120) % 3)
    save(coded, tmp_path / "coded")
    np.testing.assert_array_equal(load(tmp_path / "coded").predict(frame), coded.predict(frame))


BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("loss", "hinge"),
    ("learning_rate", 0),
    ("learning_rate", "fast"),
    ("learning_rate", np.nan),
    ("n_estimators", 0),
    ("n_estimators", 1.5),
    ("method", "guess"),
    ("growth", "up"),
    ("max_leaf_nodes", 1),
    ("max_depth", 0),
    ("min_samples_leaf", 0),
    ("min_child_weight", -1),
    ("l2_regularization", -0.1),
    ("max_bins", 1),
    ("max_bins", 70_000),
    ("subsample", 0),
    ("subsample", 1.1),
    ("colsample_bytree", 0),
    ("max_features", 2.0),
    ("categorical_features", "all"),
    ("categorical_features", [9]),
    ("categorical_features", [True, False]),
    ("monotonic_cst", [1, 0]),
    ("monotonic_cst", [2, 0, 0, 0, 0]),
    ("interaction_cst", "some"),
    ("interaction_cst", [[0, 9]]),
    ("interaction_cst", 3),
    ("early_stopping", "yes"),
    ("validation_fraction", 1.0),
    ("n_iter_no_change", 0),
    ("tol", -1),
    ("base_score", np.inf),
    ("verbose", -1),
]


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_by_name(name: str, value: Any) -> None:
    for make, (X, y) in (
        (GradientBoostingRegressor, numbers(50)),
        (GradientBoostingClassifier, classes(2, 50)),
    ):
        with pytest.raises((ArgumentError, ShapeError), match=name):
            make(**{name: value}).fit(X, y)


def test_bad_data_is_refused_by_name() -> None:
    X, y = numbers(50)
    model = GradientBoostingRegressor(n_estimators=1)
    bad: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
        (ArgumentError, "y contains NaN", (X, np.where(y > 0, y, np.nan))),
        (ShapeError, "y has 49 rows", (X, y[:-1])),
        (ArgumentError, "y to be passed", (X, None)),
        (ShapeError, "minimum of 1", (X[:0], y[:0])),
        (ShapeError, "0 feature", (X[:, :0], y)),
        (ShapeError, "Expected 2D", (X[:, 0], y)),
        (ArgumentError, "could not convert", (np.array([["a"]] * 50), y)),
        (ArgumentError, "negative", (X, y, np.where(y > 0, 1.0, -1.0))),
        (ArgumentError, "all weights are zero", (X, y, np.zeros(50))),
        (ArgumentError, "sample_weight contains NaN", (X, y, np.full(50, np.nan))),
        (ShapeError, "sample_weight.shape", (X, y, np.ones(3))),
        (ShapeError, "3 features", (X, y, None, X[:, :3], y)),
        (ShapeError, "y_val has 50 rows", (X, y, None, X[:10], y)),
        (ArgumentError, "y_val is given without", (X, y, None, None, y)),
        (ArgumentError, "sample_weight_val", (X, y, None, X, y, -np.ones(50))),
    ]
    for error, text, arguments in bad:
        with pytest.raises(error, match=text):
            model.fit(*arguments)
    with pytest.raises(ArgumentError, match="'poisson' needs"):
        GradientBoostingRegressor("poisson").fit(X, y)
    with pytest.raises(ArgumentError, match="positive mean"):
        GradientBoostingRegressor("poisson").fit(X, 0 * y)
    with pytest.raises(ArgumentError, match="only one class"):
        GradientBoostingClassifier().fit(X, np.ones(50))
    with pytest.raises(ArgumentError, match="continuous"):
        GradientBoostingClassifier().fit(X, y)
    with pytest.raises(ArgumentError, match="not in"):
        GradientBoostingClassifier().fit(X, y > 0, X_val=X, y_val=np.full(50, 2))
    with pytest.raises(ArgumentError, match="needs a built-in loss"):
        GradientBoostingRegressor(lambda y, raw: (raw, raw), early_stopping=True).fit(X, y)
    fitted = model.fit(X, y)
    with pytest.raises(ShapeError, match="4 features"):
        fitted.predict(X[:, :4])
    with pytest.raises(DTypeError, match="number"):
        fitted.fit([[{}]] * 50, y)
    assert issubclass(ShapeError, EinkornError)
