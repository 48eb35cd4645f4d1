"""AdaBoost and stumps as estimators: agreement with scikit-learn, its own checks, bad input, saving."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import ensemble
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

import einkorn
from einkorn.boosting import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    DecisionStumpClassifier,
    TrAdaBoostClassifier,
    TrAdaBoostRegressor,
)
from einkorn.errors import CheckpointError

DATA = Path(os.environ.get("EINKORN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def problem(rows: int = 600, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """No two splits are equally good here."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 5)).astype(np.float32)
    score = X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=rows)
    return X, np.digitize(score, [0] if classes == 2 else [-0.7, 0.7])


# --- against scikit-learn ------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_same_stumps_and_weights(engine: str, classes: int, criterion: str, rate: float) -> None:
    X, y = problem(classes=classes)
    theirs = ensemble.AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=1, criterion=criterion),
        n_estimators=12,
        learning_rate=rate,
        random_state=0,
    ).fit(X, y)
    ours = AdaBoostClassifier(n_estimators=12, learning_rate=rate, criterion=criterion).fit(X, y)
    for mine, other in zip(ours.estimators_, theirs.estimators_, strict=True):
        assert (mine.feature_, mine.threshold_) == (other.tree_.feature[0], other.tree_.threshold[0])
    np.testing.assert_allclose(ours.estimator_weights_, theirs.estimator_weights_, rtol=1e-10)
    np.testing.assert_allclose(ours.estimator_errors_, theirs.estimator_errors_, rtol=1e-10)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, rtol=1e-10)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-12)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-10)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    for name in ("staged_decision_function", "staged_predict_proba", "staged_predict"):
        for a, b in zip(getattr(ours, name)(X), getattr(theirs, name)(X), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
    assert list(ours.staged_score(X, y)) == pytest.approx(list(theirs.staged_score(X, y)))


@pytest.mark.parametrize("classes", [2, 3])
def test_same_with_other_learners(classes: int) -> None:
    X, y = problem(300, classes)
    weight = np.random.default_rng(1).integers(1, 4, 300).astype(float)
    for learner in (DecisionTreeClassifier(max_depth=2, max_features=2), LogisticRegression()):
        ours = AdaBoostClassifier(learner, n_estimators=6, random_state=3).fit(X, y, weight)
        theirs = ensemble.AdaBoostClassifier(learner, n_estimators=6, random_state=3).fit(X, y, weight)
        np.testing.assert_allclose(
            ours.estimator_weights_, theirs.estimator_weights_[: len(ours.estimators_)], rtol=1e-6
        )
        np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-6)


@pytest.mark.parametrize("loss", ["linear", "square", "exponential"])
def test_same_regression(loss: str) -> None:
    X, y = make_regression(200, 5, noise=3.0, random_state=0)
    weight = np.random.default_rng(1).integers(1, 4, 200).astype(float)
    for learner in (DecisionTreeRegressor(max_depth=3), Ridge()):
        options: dict[str, Any] = {"n_estimators": 8, "loss": loss, "random_state": 2, "learning_rate": 0.8}
        ours = AdaBoostRegressor(learner, **options).fit(X, y, weight)
        theirs = ensemble.AdaBoostRegressor(learner, **options).fit(X, y, weight)
        n = len(ours.estimators_)
        assert n == len(theirs.estimators_)
        np.testing.assert_allclose(ours.estimator_errors_, theirs.estimator_errors_[:n], rtol=1e-8)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-8)
        for a, b in zip(ours.staged_predict(X), theirs.staged_predict(X), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)


def spambase() -> tuple[np.ndarray, np.ndarray]:
    table = np.loadtxt(DATA / "spambase" / "spambase.data", delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


def adult() -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(DATA / "adult" / "adult.data.gz", "rt") as file:
        rows = np.array([line.strip().split(", ") for line in file if line.count(",") == 14][::4])
    columns = [rows[:, i].astype(float) for i in (0, 2, 4, 10, 11, 12)]
    columns += [np.unique(rows[:, i], return_inverse=True)[1] for i in (1, 3, 5, 6, 7, 8, 9, 13)]
    return np.stack(columns, axis=1).astype(float), rows[:, 14]


def covertype() -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(DATA / "covertype" / "kaggle_train_15120.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)[::3]
    return table[:, 1:-1], table[:, -1].astype(int)


@pytest.mark.parametrize("name", ["breast_cancer", "spambase", "adult", "covertype"])
def test_accuracy_is_scikit_learns(name: str) -> None:
    """Ties are broken otherwise, so the ensembles differ: within two standard errors, plus a percent."""
    if name == "breast_cancer":
        X, y = load_breast_cancer(return_X_y=True)
    else:
        folder = DATA / name
        if not folder.is_dir():
            pytest.skip(f"{name} data are absent: set EINKORN_DATA")
        X, y = {"spambase": spambase, "adult": adult, "covertype": covertype}[name]()
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
    theirs = ensemble.AdaBoostClassifier(n_estimators=30, random_state=0).fit(X, y).score(X_test, y_test)
    noise = 2 * np.sqrt(theirs * (1 - theirs) / len(y_test)) + 0.01
    for max_bins in (None, 255):
        ours = AdaBoostClassifier(n_estimators=30, max_bins=max_bins).fit(X, y).score(X_test, y_test)
        assert ours > theirs - noise


# --- scikit-learn's checks -----------------------------------------------------------------------

ESTIMATORS = [
    DecisionStumpClassifier(),
    DecisionStumpClassifier(criterion="error", max_bins=16),
    AdaBoostClassifier(n_estimators=5),
    AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=3),
    AdaBoostRegressor(n_estimators=3),
    TrAdaBoostClassifier(n_estimators=5),
    TrAdaBoostRegressor(n_estimators=3, n_steps=2, n_folds=2),
]


def expected_failures(estimator: Any) -> dict[str, str]:
    if isinstance(estimator, AdaBoostRegressor):
        # Rows are drawn by weight: with a weight of 2 a row is not drawn as two rows are.
        reason = "weights are probabilities of a random draw, which differs from that of repeated rows"
        return dict.fromkeys(
            [
                "check_sample_weight_equivalence_on_dense_data",
                "check_sample_weight_equivalence_on_sparse_data",
            ],
            reason,
        )
    return {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_estimator_checks(estimator: Any, check: Any) -> None:
    check(estimator)


# --- behaviour -----------------------------------------------------------------------------------


def models() -> list[Any]:
    return [
        DecisionStumpClassifier(),
        AdaBoostClassifier(n_estimators=5),
        AdaBoostClassifier(n_estimators=5, max_bins=20),
        TrAdaBoostClassifier(n_estimators=5),
    ]


@pytest.mark.parametrize("classes", [2, 3])
def test_missing_values_choose_a_side(classes: int) -> None:
    """A feature whose absence tells the class is used, and NaN in new rows goes where it went in training."""
    X, y = problem(400, classes)
    rng = np.random.default_rng(2)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[y == 0, 3] = np.where(rng.random((y == 0).sum()) < 0.9, np.nan, X[y == 0, 3])
    for model in models():
        model.fit(X, y)
        assert model.score(X, y) > 0.6
    stump = DecisionStumpClassifier().fit(X, y)
    assert stump.feature_ == 3
    only_missing = np.full((1, 5), np.nan, np.float32)
    assert stump.predict(only_missing)[0] == 0


def test_zero_weights_leave_rows_out() -> None:
    X, y = problem()
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    for model in models():
        some = clone(model).fit(X, y, weight)
        repeated = clone(model).fit(np.repeat(X, weight.astype(int), 0), np.repeat(y, weight.astype(int)))
        np.testing.assert_allclose(some.predict_proba(X), repeated.predict_proba(X), atol=1e-6)


def test_rounds_end_early() -> None:
    X = np.arange(20.0)[:, None]
    model = AdaBoostClassifier().fit(X, X[:, 0] > 7)
    assert len(model.estimators_) == 1
    assert (model.estimator_errors_[0], model.estimator_weights_[0]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="worse than random"):
        AdaBoostClassifier().fit(np.zeros((4, 1)), [0, 1, 0, 1])


def test_alphas_are_of_two_classes() -> None:
    X, y = problem(classes=3)
    with pytest.raises(AttributeError, match="two classes"):
        _ = AdaBoostClassifier(n_estimators=2).fit(X, y).alphas_


def test_threads_give_the_same_bits(engine: str) -> None:
    X, y = problem(20_000)
    results = []
    for n in (1, 2):
        einkorn.set_num_threads(n)
        results.append(AdaBoostClassifier(n_estimators=5).fit(X, y).decision_function(X))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("model", [*models(), AdaBoostRegressor(DecisionTreeRegressor(max_depth=2))])
def test_bad_input_is_refused(model: Any) -> None:
    X, y = problem(30)
    if isinstance(model, AdaBoostRegressor):
        y = y.astype(float)
    is_classifier = hasattr(model, "predict_proba")
    fit = clone(model).fit
    for wrong, message in ((np.where(y == y[0], np.nan, y), "NaN"), (y[:-1], "rows|samples")):
        with pytest.raises(ValueError, match=message):
            fit(X, wrong)
    if is_classifier:
        with pytest.raises(ValueError, match="class"):
            fit(X, np.ones(30))
    for weight in (-np.ones(30), np.zeros(30), np.full(30, np.nan), np.ones(29)):
        with pytest.raises(ValueError, match="weight"):
            fit(X, y, weight)
    for empty in (X[:0], X[:, :0]):
        with pytest.raises(ValueError, match=r"0 sample|0 feature"):
            fit(empty, y[: len(empty)])
    model = clone(model).fit(X, y)
    with pytest.raises(ValueError, match="4 features"):
        model.predict(X[:, 1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_estimators": 0}, "n_estimators is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"criterion": "mse"}, "criterion is 'mse'"),
        ({"max_bins": 1}, "max_bins is 1"),
        ({"estimator": "tree"}, "estimator is a str"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    X, y = problem(30)
    for kind in (AdaBoostClassifier, TrAdaBoostClassifier):
        with pytest.raises(ValueError, match=message):
            kind(**options).fit(X, y)


def test_learners_without_weights_are_refused() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    with pytest.raises(ValueError, match="KNeighborsClassifier, whose fit doesn't support sample_weight"):
        AdaBoostClassifier(KNeighborsClassifier()).fit(*problem(30))


# --- with the rest of the house --------------------------------------------------------------------


@pytest.mark.parametrize("model", models())
def test_pickle_pandas_sparse_and_search(model: Any) -> None:
    pandas = pytest.importorskip("pandas")
    sparse = pytest.importorskip("scipy.sparse")
    X, y = problem(200)
    X[np.abs(X) < 0.3] = 0
    model = clone(model).fit(X, y)
    expected = model.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    frame = pandas.DataFrame(X, columns=list("abcde"))
    named = clone(model).fit(frame, y)
    assert named.feature_names_in_.tolist() == list("abcde")
    np.testing.assert_array_equal(named.predict_proba(frame), expected)
    np.testing.assert_array_equal(clone(model).fit(sparse.csr_matrix(X), y).predict_proba(X), expected)
    pipe = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
    assert pipe.score(X, y) > 0.5
    search = GridSearchCV(clone(model), {"criterion": ["gini", "error"]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.5


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("number", range(len(models())))
def test_saved_and_loaded(tmp_path: Path, number: int, classes: int) -> None:
    from einkorn.boosting import load, save

    X, y = problem(150, classes)
    model = models()[number].fit(X, np.array(["a", "b", "c"])[y])
    save(model, tmp_path / "model.json")
    again = load(tmp_path / "model.json")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.feature_importances_, model.feature_importances_)
    assert again.get_params() == model.get_params()
    if hasattr(model, "estimators_"):
        for a, b in zip(again.estimators_, model.estimators_, strict=True):
            assert (a.feature_, a.threshold_) == (b.feature_, b.threshold_)
    nested = AdaBoostClassifier(DecisionStumpClassifier(), n_estimators=3).fit(X, y)
    save(nested, tmp_path / "nested.json")
    np.testing.assert_array_equal(load(tmp_path / "nested.json").predict_proba(X), nested.predict_proba(X))


def test_regressors_saved_and_loaded(tmp_path: Path) -> None:
    from einkorn.boosting import load, save

    X, y = make_regression(100, 4, random_state=0)
    transfer = TrAdaBoostRegressor(n_estimators=3, n_steps=2, random_state=0)
    for model in (
        AdaBoostRegressor(n_estimators=3, random_state=0).fit(X, y),
        transfer.fit(X, y, source=np.arange(100) < 60),
    ):
        save(model, tmp_path / "model")
        np.testing.assert_array_equal(load(tmp_path / "model").predict(X), model.predict(X))


def test_foreign_learners_are_not_saved(tmp_path: Path) -> None:
    from einkorn.boosting import save

    X, y = problem(50)
    for model in (
        AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=2).fit(X, y),
        AdaBoostRegressor(DecisionTreeRegressor(max_depth=1), n_estimators=2).fit(X, y),
    ):
        with pytest.raises(CheckpointError, match="DecisionTree"):
            save(model, tmp_path / "model")
