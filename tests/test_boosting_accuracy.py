"""How well the estimators predict, next to the libraries whose work they do, on real data.

Every library gets the same rows and folds, and the same number of trees and leaves, learning rate and
regularisation. What is compared is the mean over folds. On a few hundred rows that mean is noise to a few
per cent: there the folds are drawn several times, and two standard errors of the difference are allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import real_tables
from real_tables import Data

pytest.importorskip("sklearn")
from sklearn import datasets, ensemble
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold

from einkorn import boosting

TREES, LEAVES, RATE, LEAST, LAMBDA = 60, 31, 0.1, 20, 1.0


class Problem(NamedTuple):
    """A data set, how many of its rows are used, and how often folds are drawn."""

    load: Callable[[], Data]
    has_classes: bool = True
    rows: int | None = None
    repeats: int = 1


def scikit_learn(name: str) -> Callable[[], Data]:
    return lambda: Data(*getattr(datasets, f"load_{name}")(return_X_y=True), [])


def example(name: str) -> Callable[[], Data]:
    return lambda: real_tables.lightgbm_example(name)


PROBLEMS = {
    "adult": Problem(real_tables.adult, rows=10_000),
    "spambase": Problem(real_tables.spambase, repeats=2),
    "covertype": Problem(real_tables.covertype, rows=4_000),
    "LightGBM's binary": Problem(example("binary")),
    "LightGBM's multiclass": Problem(example("multiclass"), rows=3_000),
    "LightGBM's regression": Problem(example("regression"), has_classes=False),
    "california": Problem(real_tables.california, has_classes=False, rows=10_000),
    "breast cancer": Problem(scikit_learn("breast_cancer"), repeats=8),
    "diabetes": Problem(scikit_learn("diabetes"), has_classes=False, repeats=8),
}


def rows_of(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    data = problem.load()
    chosen = np.random.default_rng(0).permutation(len(data.y))[: problem.rows]
    y = np.unique(data.y[chosen], return_inverse=True)[1] if problem.has_classes else data.y[chosen]
    return data.X[chosen].astype(np.float32), y


def loss(model: Any, X: np.ndarray, y: np.ndarray, has_classes: bool) -> float:
    """Log-loss or root mean squared error."""
    if has_classes:
        return float(log_loss(y, model.predict_proba(X), labels=model.classes_))
    return float(np.sqrt(np.mean((model.predict(X) - y) ** 2)))


def losses(make: Callable[[bool], Any], problem: Problem) -> np.ndarray:
    """The loss on each of three folds, drawn as often as the problem says."""
    X, y = rows_of(problem)
    folds = StratifiedKFold if problem.has_classes else KFold
    found = []
    for seed in range(problem.repeats):
        for a, b in folds(3, shuffle=True, random_state=seed).split(X, y):
            found.append(loss(make(problem.has_classes).fit(X[a], y[a]), X[b], y[b], problem.has_classes))
    return np.array(found)


def kind(has_classes: bool) -> str:
    return "Classifier" if has_classes else "Regressor"


def ours(has_classes: bool) -> Any:
    return getattr(boosting, f"GradientBoosting{kind(has_classes)}")(
        n_estimators=TREES,
        learning_rate=RATE,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAST,
        l2_regularization=LAMBDA,
    )


def lightgbm_model(has_classes: bool) -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    return getattr(lightgbm, f"LGBM{kind(has_classes)}")(
        n_estimators=TREES,
        learning_rate=RATE,
        num_leaves=LEAVES,
        min_child_samples=LEAST,
        reg_lambda=LAMBDA,
        n_jobs=1,
        verbose=-1,
    )


def xgboost_model(has_classes: bool) -> Any:
    xgboost = pytest.importorskip("xgboost")
    return getattr(xgboost, f"XGB{kind(has_classes)}")(
        n_estimators=TREES,
        learning_rate=RATE,
        tree_method="hist",
        grow_policy="lossguide",
        max_leaves=LEAVES,
        max_depth=0,
        reg_lambda=LAMBDA,
        n_jobs=1,
    )


@pytest.mark.parametrize("name", PROBLEMS)
def test_histogram_boosting(name: str) -> None:
    """At most 1% behind the better of LightGBM and XGBoost."""
    problem = PROBLEMS[name]
    mine, *others = (losses(make, problem) for make in (ours, lightgbm_model, xgboost_model))
    best = min(others, key=np.mean)
    allowed = 0.01 * best.mean()
    if problem.repeats > 1:
        allowed += 2 * np.std(mine - best, ddof=1) / np.sqrt(len(best))
    assert mine.mean() <= best.mean() + allowed, [each.mean() for each in (mine, *others)]


def test_mushrooms_are_told_apart() -> None:
    """Every mushroom, with letters as categories."""
    data = real_tables.mushroom()
    half = np.arange(len(data.y)) % 2 == 0
    model = boosting.GradientBoostingClassifier(n_estimators=TREES, categorical_features=data.categorical)
    model.fit(data.X[half], data.y[half])
    assert model.score(data.X[~half], data.y[~half]) > 0.999


def test_categories_against_lightgbm() -> None:
    """Adult with its words as categories."""
    lightgbm = pytest.importorskip("lightgbm")
    data = real_tables.adult()
    X, y = data.X[:12_000], data.y[:12_000]
    test_X, test_y = data.X[12_000:], data.y[12_000:]
    theirs = lightgbm.train(
        {
            "objective": "binary",
            "num_leaves": LEAVES,
            "learning_rate": RATE,
            "lambda_l2": LAMBDA,
            "num_threads": 1,
            "verbose": -1,
        },
        lightgbm.Dataset(X, y, categorical_feature=data.categorical, params={"verbose": -1}),
        TREES,
    )
    model = ours(True).set_params(categorical_features=data.categorical).fit(X, y)
    reference = log_loss(test_y, theirs.predict(test_X))
    assert loss(model, test_X, test_y, True) <= 1.01 * reference


@pytest.mark.parametrize("name", ["spambase", "breast cancer", "LightGBM's binary", "covertype"])
def test_adaboost(name: str) -> None:
    """As accurate as scikit-learn's AdaBoost of as many stumps, within two standard errors."""
    X, y = rows_of(PROBLEMS[name]._replace(rows=4_000))
    split = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    found = {}
    for library in (boosting, ensemble):
        models = [
            library.AdaBoostClassifier(n_estimators=50, random_state=0).fit(X[a], y[a]) for a, _ in split
        ]
        found[library.__name__] = np.mean(
            [m.score(X[b], y[b]) for m, (_, b) in zip(models, split, strict=True)]
        )
    mine, theirs = found["einkorn.boosting"], found["sklearn.ensemble"]
    assert mine >= theirs - 2 * np.sqrt(theirs * (1 - theirs) / len(y)), found


@pytest.mark.parametrize("name", ["spambase", "LightGBM's binary", "covertype", "diabetes", "california"])
def test_random_forest(name: str) -> None:
    """As accurate as scikit-learn's random forest, within three standard deviations over its seeds."""
    problem = PROBLEMS[name]._replace(rows=3_000)
    X, y = rows_of(problem)
    train = np.arange(len(y)) % 3 > 0
    found: dict[str, list[float]] = {}
    for library in (boosting, ensemble):
        make = getattr(library, f"RandomForest{kind(problem.has_classes)}")
        found[library.__name__] = [
            make(n_estimators=40, random_state=seed, n_jobs=1)
            .fit(X[train], y[train])
            .score(X[~train], y[~train])
            for seed in range(4)
        ]
    mine, theirs = found["einkorn.boosting"], found["sklearn.ensemble"]
    assert np.mean(mine) >= np.mean(theirs) - 3 * max(np.std(mine + theirs), 1e-3), found
