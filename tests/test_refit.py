"""A fit that fails or is interrupted leaves the estimator as it was: fitted before, or not at all."""

import warnings

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError

from einkorn import boosting
from einkorn.boosting import Binner, _rounds

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y01 = (X[:, 0] > 0).astype(int)
ABC = np.array(["a", "b", "c"])[np.digitize(X[:, 1], [-0.5, 0.5])]
NUMBERS = X @ np.array([1.0, -2.0, 0.0, 0.5])

BAD_TREE = boosting.DecisionTreeClassifier(max_depth=-1)
BAD_LEARNER = boosting.DecisionTreeRegressor(max_depth=-1)
CASES = [
    (boosting.RandomForestClassifier(5, random_state=0), {"max_features": "bogus"}),
    (boosting.RandomForestClassifier(5, random_state=0), {"max_samples": 10**6}),
    (boosting.RandomForestClassifier(5, random_state=0, oob_score=True), {"oob_score": lambda *_: 1 / 0}),
    (boosting.ExtraTreesClassifier(5, random_state=0), {"max_depth": -3}),
    (boosting.RandomForestRegressor(5, random_state=0), {"n_estimators": 0}),
    (boosting.DecisionTreeClassifier(), {"criterion": "x"}),
    (boosting.DecisionTreeRegressor(), {"max_bins": 1}),
    (boosting.GradientBoostingClassifier(n_estimators=3), {"learning_rate": np.nan}),
    (boosting.GradientBoostingClassifier(n_estimators=3), {"monotonic_cst": [7, 0, 0, 0]}),
    (boosting.GradientBoostingRegressor(n_estimators=3), {"loss": "bogus"}),
    (boosting.AdaBoostClassifier(n_estimators=3), {"estimator": BAD_TREE}),
    (boosting.AdaBoostRegressor(n_estimators=3), {"estimator": BAD_LEARNER}),
    (boosting.TrAdaBoostClassifier(n_estimators=3), {"criterion": "x"}),
    (boosting.TrAdaBoostRegressor(n_estimators=3), {"estimator": BAD_LEARNER}),
    (boosting.DecisionStumpClassifier(), {"max_bins": 1}),
]  # fmt: skip


def _targets(model):
    return (Y01, ABC) if is_classifier(model) else (NUMBERS, -NUMBERS)


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB")
@pytest.mark.parametrize(("model", "wrong"), CASES, ids=lambda v: v if isinstance(v, str) else None)
def test_a_refused_fit_changes_nothing(model, wrong):
    first, second = _targets(model)
    right = {name: model.get_params()[name] for name in wrong}
    with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
        model.set_params(**wrong).fit(X, first)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.set_params(**right).fit(X, first)
    expected, attributes = model.predict(X), set(vars(model))
    for data in (X, X[:, :3]):  # another width is not remembered either
        with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
            model.set_params(**wrong).fit(data, second)
        model.set_params(**right)
        assert set(vars(model)) == attributes
        np.testing.assert_array_equal(model.predict(X), expected)


def test_a_refused_warm_start_changes_nothing():
    model = boosting.RandomForestClassifier(4, random_state=0, warm_start=True).fit(X, Y01)
    expected = model.predict(X)
    for data, y in ((X, ABC), (X[:, :2], Y01)):
        with pytest.raises(ValueError, match="as before"):
            model.set_params(n_estimators=6).fit(data, y)
        np.testing.assert_array_equal(model.predict(X), expected)
    assert model.fit(X, Y01).trees_.n_trees == 6


def test_a_refused_binner_keeps_its_bins():
    binner = Binner(categorical=[1]).fit(np.abs(np.round(X)))
    expected = binner.transform(np.abs(np.round(X)))
    with pytest.raises(ValueError, match="categorical"):
        binner.fit(X)
    np.testing.assert_array_equal(binner.transform(np.abs(np.round(X))), expected)


@pytest.mark.parametrize("rounds", [0, 2])
def test_an_interrupted_forest_is_the_old_one_or_the_new(monkeypatch, rounds):
    from einkorn.boosting import _forest

    model = boosting.RandomForestClassifier(4, random_state=0, oob_score=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = model.fit(X, Y01).predict(X)
    grow, calls = _forest.grow_forest, []

    def interrupted(*args, **kwargs):
        if len(calls) == rounds:
            raise KeyboardInterrupt
        calls.append(1)
        return grow(*args, **kwargs)

    monkeypatch.setattr(_forest, "grow_forest", interrupted)
    monkeypatch.setattr(_forest, "_BATCH_SECONDS", 0.0)
    model.set_params(n_estimators=200)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, ABC)
    if rounds:
        assert set(model.predict(X)) == {"a", "b", "c"}
        assert model.predict_proba(X).shape == (60, 3)
        assert not hasattr(model, "oob_score_")
    else:
        np.testing.assert_array_equal(model.predict(X), old)
        assert model.oob_decision_function_.shape == (60, 2)


class _Stopping(boosting.DecisionTreeClassifier):
    """A tree whose third fit is interrupted."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        type(self).fits += 1
        if type(self).fits > self.max_depth:
            raise KeyboardInterrupt
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("rounds", [1, 3])
def test_an_interrupted_adaboost_is_the_old_one_or_the_new(monkeypatch, rounds):
    model = boosting.AdaBoostClassifier(n_estimators=3).fit(X, Y01)
    old = model.predict(X)
    noisy = np.where(RNG.random(60) < 0.2, "a", ABC)
    monkeypatch.setattr(_Stopping, "fits", 1 if rounds == 1 else 0)
    model.set_params(estimator=_Stopping(max_depth=rounds), n_estimators=20)
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.round(X), noisy)
    if rounds == 1:
        np.testing.assert_array_equal(model.set_params(estimator=None).predict(X), old)
    else:
        assert len(model.estimators_) == 3
        assert set(model.predict(np.round(X))) <= {"a", "b", "c"}


def test_an_interrupted_gradient_boosting_has_whole_rounds_of_the_new_classes():
    model = boosting.GradientBoostingClassifier(n_estimators=3, min_samples_leaf=2).fit(X, Y01)

    def stop(number, logs):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.set_params(n_estimators=9).fit(X, ABC, callbacks=[stop])
    assert model.n_iter_ == 2
    assert model.predict_proba(X).shape == (60, 3)


def test_an_error_in_a_callback_changes_nothing():
    model = boosting.GradientBoostingRegressor(n_estimators=3).fit(X, NUMBERS)
    expected = model.predict(X)
    with pytest.raises(ZeroDivisionError):
        model.fit(X[:, :2], -NUMBERS, callbacks=[lambda *_: 1 / 0])
    np.testing.assert_array_equal(model.predict(X), expected)


def test_gradient_boosting_interrupted_in_its_first_round_is_what_it_was(monkeypatch):
    """Not fitted, as after a fit that never began; no model of 0 trees."""
    grow = _rounds.grow_tree

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    for make, target in (
        (boosting.GradientBoostingClassifier, ABC),
        (boosting.GradientBoostingRegressor, RNG.normal(size=60)),
    ):
        monkeypatch.setattr(_rounds, "grow_tree", interrupted)
        model = make(n_estimators=3, random_state=0)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, target)
        with pytest.raises(NotFittedError):
            model.predict(X)
        monkeypatch.setattr(_rounds, "grow_tree", grow)
        old = model.fit(X, target).predict(X)
        monkeypatch.setattr(_rounds, "grow_tree", interrupted)
        for options in ({}, {"warm_start": True, "n_estimators": 9}):
            with pytest.raises(KeyboardInterrupt):
                model.set_params(**options).fit(X, target)
            np.testing.assert_array_equal(model.predict(X), old)
            assert model.n_iter_ == 3
