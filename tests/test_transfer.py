"""TrAdaBoost: the paper's ordering on mushrooms, numbers moved by a shift, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from einkorn.boosting import (
    AdaBoostClassifier,
    DecisionStumpClassifier,
    TrAdaBoostClassifier,
    TrAdaBoostRegressor,
)

DATA = Path(os.environ.get("EINKORN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def mushrooms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One-hot columns, edible or not, and which have the enlarging stalk: the source."""
    path = DATA / "mushroom" / "agaricus-lepiota.data"
    if not path.exists():
        pytest.skip("mushroom data are absent: set EINKORN_DATA")
    rows = np.array([line.split(",") for line in path.read_text().split()])
    y, stalk = rows[:, 0], rows[:, 10]
    others = np.delete(rows[:, 1:], 9, axis=1)
    columns = [column == value for column in others.T for value in np.unique(column)]
    return np.stack(columns, axis=1).astype(np.float32), y, stalk == "e"


@pytest.mark.parametrize("share", [100, 20], ids=["1%", "5%"])
def test_the_papers_ordering(share: int) -> None:
    """Few labelled target rows: better than the base learner on these alone, and than on source and target.

    Averages of 10 draws, as in the paper's table for edible and poisonous mushrooms.
    """
    X, y, is_source = mushrooms()
    target = np.flatnonzero(~is_source)
    errors = np.empty((10, 3))
    for draw in range(10):
        shuffled = np.random.default_rng(draw).permutation(target)
        few, held = shuffled[: target.size // share], shuffled[target.size // share :]
        X_all, y_all = np.concatenate([X[is_source], X[few]]), np.concatenate([y[is_source], y[few]])
        models = (
            DecisionStumpClassifier().fit(X[few], y[few]),
            DecisionStumpClassifier().fit(X_all, y_all),
            TrAdaBoostClassifier(n_estimators=20).fit(
                X[few], y[few], X_source=X[is_source], y_source=y[is_source]
            ),
        )
        errors[draw] = [np.mean(model.predict(X[held]) != y[held]) for model in models]
    alone, pooled, transferred = errors.mean(axis=0)
    assert transferred < alone
    assert transferred < pooled


def two_domains(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Few target rows, many source rows of which half follow another rule, many target rows to judge by."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(3040, 8))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    source = slice(40, 1040)
    y_source = np.where(X[source, 2] > 0, y[source], 1 - y[source])
    return X[:40], y[:40], X[source], y_source, X[1040:], y[1040:]


@pytest.mark.parametrize("learner", [None, DecisionTreeClassifier(max_depth=1)], ids=["native", "sklearn"])
def test_source_rows_of_another_rule_lose_their_say(learner: Any) -> None:
    """Better than AdaBoost with all rows as one."""
    errors = np.empty((4, 2))
    for seed in range(4):
        X, y, X_source, y_source, X_test, y_test = two_domains(seed)
        transfer = TrAdaBoostClassifier(learner, n_estimators=30, random_state=0)
        transfer.fit(X, y, X_source=X_source, y_source=y_source)
        pooled = AdaBoostClassifier(learner, n_estimators=30, random_state=0)
        pooled.fit(np.concatenate([X_source, X]), np.concatenate([y_source, y]))
        errors[seed] = 1 - transfer.score(X_test, y_test), 1 - pooled.score(X_test, y_test)
    assert errors[:, 0].mean() < 0.7 * errors[:, 1].mean()


def test_marks_and_arrays_are_the_same() -> None:
    X, y, X_source, y_source, X_test, _ = two_domains(0)
    apart = TrAdaBoostClassifier(n_estimators=10).fit(X, y, X_source=X_source, y_source=y_source)
    order = np.random.default_rng(1).permutation(1040)
    mixed, y_mixed = np.concatenate([X_source, X])[order], np.concatenate([y_source, y])[order]
    marked = TrAdaBoostClassifier(n_estimators=10).fit(mixed, y_mixed, source=order < 1000)
    np.testing.assert_allclose(
        apart.decision_function(X_test), marked.decision_function(X_test), rtol=1e-9, atol=1e-12
    )


def test_rounds_follow_the_papers_formula() -> None:
    """Against the algorithm in NumPy: source rows shrink, target rows grow, the second half votes."""
    X, y, X_source, y_source, X_test, _ = two_domains(3)
    rounds, n, m = 9, len(y_source), len(y)
    X_all, y_all = np.concatenate([X_source, X]), np.concatenate([y_source, y])
    weights = np.concatenate([np.full(n, 0.5 / n), np.full(m, 0.5 / m)])
    votes = np.zeros(len(X_test))
    for t in range(1, rounds + 1):
        learner = DecisionTreeClassifier(max_depth=1, random_state=0).fit(X_all, y_all, weights)
        wrong = learner.predict(X_all) != y_all
        error = weights[n:][wrong[n:]].sum() / weights[n:].sum()
        assert 1 / (2 * m) < error < 0.5 - 1 / (2 * m)
        beta_t = error / (1 - error)
        weights[n:] *= beta_t ** -wrong[n:].astype(float)
        weights[:n] *= (1 / (1 + np.sqrt(2 * np.log(n) / rounds))) ** wrong[:n]
        weights /= weights.sum()
        if t >= np.ceil(rounds / 2):
            votes += np.log(1 / beta_t) * (learner.predict(X_test) - 0.5)
    model = TrAdaBoostClassifier(n_estimators=rounds).fit(X, y, X_source=X_source, y_source=y_source)
    np.testing.assert_array_equal(model.predict(X_test), (votes > 0).astype(int))


def test_without_source_it_is_adaboost() -> None:
    X, y, *_, X_test, _ = two_domains(0)
    transfer, plain = TrAdaBoostClassifier().fit(X, y), AdaBoostClassifier().fit(X, y)
    np.testing.assert_array_equal(transfer.decision_function(X_test), plain.decision_function(X_test))


def test_regression() -> None:
    """A shifted source helps, and does not mislead: better than the target alone and than all rows as one."""
    tree = DecisionTreeRegressor(max_depth=4)
    errors = np.empty((3, 3))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.uniform(-2, 2, size=(920, 3))
        y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.normal(size=920)
        few, source, held = slice(0, 20), slice(20, 320), slice(320, None)
        y_source = y[source] + np.where(X[source, 2] > 0.5, 3.0, 0.0)
        model = TrAdaBoostRegressor(tree, n_estimators=10, n_steps=5, random_state=seed)
        model.fit(X[few], y[few], X_source=X[source], y_source=y_source)
        alone = clone(tree).fit(X[few], y[few])
        pooled = clone(tree).fit(np.concatenate([X[few], X[source]]), np.concatenate([y[few], y_source]))
        errors[seed] = [np.square(m.predict(X[held]) - y[held]).mean() for m in (model, alone, pooled)]
        assert model.step_errors_.shape == (5,)
        assert model.step_errors_[model.best_step_] == model.step_errors_.min()
    transferred, alone_error, pooled_error = errors.mean(axis=0)
    assert transferred < alone_error
    assert transferred < pooled_error


def test_bad_input_is_refused() -> None:
    X, y, X_source, y_source, *_ = two_domains(0)
    for model in (TrAdaBoostClassifier(), TrAdaBoostRegressor(DecisionTreeRegressor())):
        with pytest.raises(ValueError, match="source is int64"):
            model.fit(X, y, source=np.zeros(40, int))
        with pytest.raises(ValueError, match="source is bool"):
            model.fit(X, y, source=np.zeros(39, bool))
        with pytest.raises(ValueError, match="no target row"):
            model.fit(X, y, source=np.ones(40, bool))
        with pytest.raises(ValueError, match="come together"):
            model.fit(X, y, X_source=X_source)
        with pytest.raises(ValueError, match="y_source"):
            model.fit(X, y, X_source=X_source, y_source=y_source[1:])
        with pytest.raises(ValueError, match="features"):
            model.fit(X, y, X_source=X_source[:, 1:], y_source=y_source)
