"""scikit-learn's ensembles of estimators, searches, calibration and inspection, over the estimators here."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from einkorn import boosting

CLASSIFIERS = {
    "gradient": lambda **o: boosting.GradientBoostingClassifier(n_estimators=10, **o),
    "adaboost": lambda **o: boosting.AdaBoostClassifier(n_estimators=10, **o),
    "forest": lambda **o: boosting.RandomForestClassifier(n_estimators=10, **o),
    "extra trees": lambda **o: boosting.ExtraTreesClassifier(n_estimators=10, **o),
}
REGRESSORS = {
    "gradient": lambda **o: boosting.GradientBoostingRegressor(n_estimators=30, **o),
    "adaboost": lambda **o: boosting.AdaBoostRegressor(n_estimators=10, **o),
    "forest": lambda **o: boosting.RandomForestRegressor(n_estimators=10, **o),
    "extra trees": lambda **o: boosting.ExtraTreesRegressor(n_estimators=10, **o),
}
classifiers = pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
regressors = pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)


@pytest.fixture(scope="module")
def tumours() -> Any:
    """Training and test rows of the breast cancer data: two classes, 30 columns."""
    return train_test_split(*load_breast_cancer(return_X_y=True), test_size=0.4, random_state=0)


@pytest.fixture(scope="module")
def diabetes() -> Any:
    return train_test_split(*load_diabetes(return_X_y=True), test_size=0.4, random_state=0)


@classifiers
def test_bagging(make: Any, tumours: Any) -> None:
    X, X_test, y, y_test = tumours
    model = BaggingClassifier(make(random_state=0), n_estimators=4, max_features=0.7, random_state=0).fit(
        X, y
    )
    assert model.score(X_test, y_test) > 0.9
    np.testing.assert_allclose(model.predict_proba(X_test).sum(axis=1), 1)


@regressors
def test_bagging_of_regressors(make: Any, diabetes: Any) -> None:
    X, X_test, y, y_test = diabetes
    model = BaggingRegressor(make(random_state=0), n_estimators=4, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.25


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_voting(voting: str, tumours: Any) -> None:
    """Hard: the majority of classes; soft: the mean of probabilities."""
    X, X_test, y, y_test = tumours
    members = [(name, make(random_state=0)) for name, make in CLASSIFIERS.items()]
    model = VotingClassifier(members, voting=voting, weights=[2, 1, 1, 1]).fit(X, y)
    assert model.score(X_test, y_test) > 0.93
    fitted = model.named_estimators_
    if voting == "soft":
        every = [fitted[name].predict_proba(X_test) for name in CLASSIFIERS]
        np.testing.assert_allclose(
            model.predict_proba(X_test), np.average(every, axis=0, weights=[2, 1, 1, 1])
        )
    else:
        votes = np.average(
            [fitted[name].predict(X_test) for name in CLASSIFIERS], axis=0, weights=[2, 1, 1, 1]
        )
        clear = votes != 0.5
        np.testing.assert_array_equal(model.predict(X_test)[clear], votes[clear] > 0.5)


def test_voting_of_regressors(diabetes: Any) -> None:
    X, X_test, y, y_test = diabetes
    model = VotingRegressor([(name, make(random_state=0)) for name, make in REGRESSORS.items()]).fit(X, y)
    every = [model.named_estimators_[name].predict(X_test) for name in REGRESSORS]
    np.testing.assert_allclose(model.predict(X_test), np.mean(every, axis=0))
    assert model.score(X_test, y_test) > 0.3


def test_stacking(tumours: Any) -> None:
    X, X_test, y, y_test = tumours
    members = [(name, make(random_state=0)) for name, make in CLASSIFIERS.items()]
    model = StackingClassifier(members, LogisticRegression(), cv=3).fit(X, y)
    assert model.score(X_test, y_test) > 0.93
    assert model.transform(X_test).shape == (len(X_test), len(members))


def test_ours_as_the_last_of_a_stack(tumours: Any) -> None:
    X, X_test, y, y_test = tumours
    first = [("line", make_pipeline(StandardScaler(), LogisticRegression()))]
    model = StackingClassifier(first, CLASSIFIERS["gradient"](), cv=3, passthrough=True).fit(X, y)
    assert model.score(X_test, y_test) > 0.9


def test_stacking_of_regressors(diabetes: Any) -> None:
    X, X_test, y, y_test = diabetes
    members = [(name, make(random_state=0)) for name, make in REGRESSORS.items()]
    model = StackingRegressor(members, RidgeCV(), cv=3).fit(X, y)
    assert model.score(X_test, y_test) > 0.3


@classifiers
def test_pipelines_and_cross_validation(make: Any, tumours: Any) -> None:
    """Trees do not mind the scale of a column, to which a pipeline makes no difference."""
    X, _, y, _ = tumours
    alone = make(random_state=0)
    after = make_pipeline(FunctionTransformer(lambda x: x * 8), make(random_state=0))
    scores = [cross_val_score(model, X, y, cv=3) for model in (alone, after)]
    np.testing.assert_array_equal(*scores)
    assert scores[0].mean() > 0.9


@classifiers
def test_grid_search(make: Any, tumours: Any) -> None:
    X, X_test, y, y_test = tumours
    search = GridSearchCV(make(random_state=0), {"n_estimators": [1, 8]}, cv=3).fit(X, y)
    assert search.best_params_ == {"n_estimators": 8}
    assert search.score(X_test, y_test) > 0.9
    with pytest.raises(ValueError, match="Invalid parameter"):
        make().set_params(trees=3)


def test_grid_search_in_processes(tumours: Any) -> None:
    """Estimators reach other processes and come back."""
    X, X_test, y, _ = tumours
    for make in CLASSIFIERS.values():
        model = make(random_state=0).fit(X, y)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict_proba(X_test), model.predict_proba(X_test))
        assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method: str, tumours: Any) -> None:
    """AdaBoost's probabilities stay near the middle; calibrated ones are closer to the truth."""
    X, X_test, y, y_test = tumours
    raw = boosting.AdaBoostClassifier(n_estimators=30, random_state=0).fit(X, y)
    model = CalibratedClassifierCV(clone(raw), method=method, cv=3).fit(X, y)
    before, after = (brier_score_loss(y_test, m.predict_proba(X_test)[:, 1]) for m in (raw, model))
    assert after < before


@classifiers
def test_calibration_takes_every_classifier(make: Any, tumours: Any) -> None:
    X, X_test, y, y_test = tumours
    model = CalibratedClassifierCV(make(random_state=0), cv=2, ensemble=False).fit(X, y)
    assert model.score(X_test, y_test) > 0.9


@regressors
def test_inspection(make: Any) -> None:
    """Only the first of three columns matters, and the answer rises with it."""
    rng = np.random.default_rng(0)
    X = rng.random((300, 3))
    y = np.exp(2 * X[:, 0])
    model = make(random_state=0).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert found.argmax() == 0
    assert found[0] > 10 * np.abs(found[1:]).max()
    curve = partial_dependence(model, X, [0], grid_resolution=10, method="brute")["average"][0]
    assert curve[-1] > curve[0] + 3
    assert (np.diff(curve) > -0.3).all()


@classifiers
def test_one_against_the_rest(make: Any) -> None:
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    model = OneVsRestClassifier(make(random_state=0)).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) > 0.85


def test_adaboost_of_other_learners(tumours: Any) -> None:
    """Ours boosts estimators of scikit-learn, and scikit-learn's boosts ours."""
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    X, X_test, y, y_test = tumours
    theirs = AdaBoostClassifier(boosting.DecisionStumpClassifier(), n_estimators=10).fit(X, y)
    ours = boosting.AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=10, random_state=0)
    for model in (theirs, ours.fit(X, y)):
        assert model.score(X_test, y_test) > 0.9
