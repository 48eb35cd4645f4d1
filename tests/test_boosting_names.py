"""What users pass: other libraries' names of parameters, base learners, columns of text, threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

import einkorn
from einkorn import boosting
from einkorn.errors import ArgumentError, DTypeError

GRADIENT = ["GradientBoostingClassifier", "GradientBoostingRegressor"]
ALIASES = {
    "max_leaves": ("max_leaf_nodes", 4),
    "reg_lambda": ("l2_regularization", 3.0),
    "colsample_bynode": ("max_features", 0.5),
}


def rows(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(n, 4))
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("alias", ALIASES)
def test_another_librarys_name_is_taken_with_a_warning(name: str, alias: str) -> None:
    X, y = rows()
    kind, (own, value) = getattr(boosting, name), ALIASES[alias]
    model = kind(n_estimators=5, random_state=0, **{alias: value})
    with pytest.warns(FutureWarning, match=f"{name}.fit: {alias} is another library's name, use {own}"):
        clone(model).fit(X, y)
    with pytest.warns(FutureWarning, match=own):
        model.fit(X, y)
    same = kind(n_estimators=5, random_state=0, **{own: value}).fit(X, y)
    plain = kind(n_estimators=5, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), same.predict(X))
    assert not np.array_equal(model.trees_.value, plain.trees_.value)
    with pytest.raises(ArgumentError, match=f"{alias} is another name of {own}"):
        kind(**{alias: value, own: value}).fit(X, y)


@pytest.mark.parametrize("name", GRADIENT)
def test_features_of_a_split_as_the_forests_count_them(name: str) -> None:
    X, y = rows()

    def fitted(share: Any) -> Any:
        return (
            getattr(boosting, name)(n_estimators=4, max_features=share, random_state=0).fit(X, y).trees_.value
        )

    np.testing.assert_array_equal(fitted("sqrt"), fitted(0.5))
    np.testing.assert_array_equal(fitted(2), fitted(0.5))
    np.testing.assert_array_equal(fitted(None), fitted(1.0))
    with pytest.raises(ArgumentError, match="max_features"):
        fitted("most")


@pytest.mark.parametrize("name", ["AdaBoostClassifier", "TrAdaBoostClassifier"])
def test_base_learners_of_the_wrong_kind_are_named(name: str) -> None:
    X, y = rows()
    kind = getattr(boosting, name)
    with pytest.raises(
        ArgumentError, match=rf"{name}.fit: estimator is the class LogisticRegression, .* an instance"
    ):
        kind(LogisticRegression).fit(X, y)
    with pytest.raises(
        ArgumentError, match=f"{name}.fit: estimator is a LinearRegression, a regressor; .* classifier"
    ):
        kind(LinearRegression()).fit(X, y)


@pytest.mark.parametrize("name", ["AdaBoostRegressor", "TrAdaBoostRegressor"])
def test_base_learners_of_regressors_are_regressors(name: str) -> None:
    X, y = rows()
    with pytest.raises(ArgumentError, match="a classifier; expected a regressor"):
        getattr(boosting, name)(boosting.DecisionTreeClassifier()).fit(X, y)
    with pytest.raises(ArgumentError, match="is the class DecisionTreeRegressor"):
        getattr(boosting, name)(boosting.DecisionTreeRegressor).fit(X, y)


@pytest.mark.parametrize(
    ("name", "learner"),
    [
        ("AdaBoostClassifier", "DecisionTreeClassifier"),
        ("TrAdaBoostClassifier", "DecisionTreeClassifier"),
        ("AdaBoostRegressor", "DecisionTreeRegressor"),
        ("TrAdaBoostRegressor", "DecisionTreeRegressor"),
    ],
)
def test_missing_values_reach_a_base_learner_that_takes_them(name: str, learner: str) -> None:
    X, y = rows()
    X[::3, 0] = np.nan
    kind = getattr(boosting, name)
    base = getattr(boosting, learner)(max_depth=2)
    for estimator in (base, make_pipeline("passthrough", base)) if name == "AdaBoostRegressor" else (base,):
        model = kind(estimator, n_estimators=4, random_state=0).fit(X, y)
        assert model.score(X, y) > 0.5
        assert model.__sklearn_tags__().input_tags.allow_nan
    refusing = LogisticRegression() if name.endswith("Classifier") else LinearRegression()
    with pytest.raises(ArgumentError, match=f"{name}.fit: Input X contains NaN"):
        kind(refusing, n_estimators=4).fit(X, y)
    assert not kind(refusing).__sklearn_tags__().input_tags.allow_nan


@pytest.mark.parametrize("name", [n for n in boosting.__all__ if n.endswith(("Classifier", "Regressor"))])
def test_columns_of_text_are_named(name: str) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = rows(30)
    frame = pandas.DataFrame({"a": X[:, 0], "town": ["Ulm", "Jena", "Kiel"] * 10})
    advice = r"astype\('category'\)" if name in GRADIENT else "OrdinalEncoder"
    with pytest.raises(
        DTypeError, match=rf"{name}.fit: .*column 'town' holds text such as 'Ulm'; .*{advice}"
    ):
        getattr(boosting, name)().fit(frame, y)


def test_numbers_written_as_text_are_still_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = rows(30)
    frame = pandas.DataFrame({"a": X[:, 0], "b": [str(v) for v in X[:, 1]]}, dtype=object)
    model = boosting.DecisionTreeClassifier().fit(frame, y)
    np.testing.assert_array_equal(model.predict(frame), y)


@pytest.mark.parametrize("n_jobs", [-2, -3, -1000, 2])
def test_negative_numbers_of_threads(n_jobs: int) -> None:
    X, y = rows()
    with einkorn.num_threads(3):
        model = boosting.RandomForestClassifier(4, random_state=0, n_jobs=n_jobs).fit(X, y)
        assert einkorn.get_num_threads() == 3
    alone = boosting.RandomForestClassifier(4, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(X))
    for bad in (0, 1.5, "all"):
        with pytest.raises(ArgumentError, match="n_jobs"):
            boosting.RandomForestClassifier(4, n_jobs=bad).fit(X, y)


def test_threads_that_overlap_leave_their_number_as_it_was() -> None:
    before = einkorn.get_num_threads()
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with einkorn.num_threads(1):
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second() -> None:
        first_in.wait(10)
        with einkorn.num_threads(2):
            second_in.set()
            first_out.wait(10)
            assert einkorn.get_num_threads() == 2

    running = [threading.Thread(target=f) for f in (first, second)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    assert einkorn.get_num_threads() == before


def test_forests_in_several_threads_leave_the_number_as_it_was() -> None:
    X, y = rows(400)
    before = einkorn.get_num_threads()

    def work() -> None:
        for _ in range(6):
            boosting.RandomForestClassifier(4, n_jobs=1).fit(X, y).predict(X)

    with einkorn.num_threads(2):
        running = [threading.Thread(target=work) for _ in range(4)]
        for each in running:
            each.start()
        for each in running:
            each.join()
        assert einkorn.get_num_threads() == 2
    assert einkorn.get_num_threads() == before
