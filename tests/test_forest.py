"""Trees and forests: scikit-learn's estimator checks, its trees where splits do not tie, and its accuracy."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn.errors import ArgumentError, DTypeError, ShapeError

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn import datasets, ensemble, tree  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from einkorn import boosting  # noqa: E402

SMALL = {"n_estimators": 5}
ESTIMATORS = [
    boosting.DecisionTreeClassifier(),
    boosting.DecisionTreeRegressor(),
    boosting.RandomForestClassifier(**SMALL),
    boosting.RandomForestRegressor(**SMALL),
    boosting.ExtraTreesClassifier(**SMALL),
    boosting.ExtraTreesRegressor(**SMALL),
]
FORESTS = ["RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor"]


def _expected_failures(estimator: Any) -> dict[str, str]:
    """Forests draw their samples from rows: weights and repeats give other draws, as in scikit-learn."""
    if not type(estimator).__name__.startswith("RandomForest"):
        return {}
    why = "bootstrap samples are drawn from rows: a weight of 2 is not the row twice"
    return {
        "check_sample_weight_equivalence_on_dense_data": why,
        "check_sample_weight_equivalence_on_sparse_data": why,
    }


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=_expected_failures)
def test_sklearn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def _classification(n: int = 300, classes: int = 3, seed: int = 0) -> Any:
    """Distinct values, exact in float32, so that splits hardly tie."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)).astype(np.float32).astype(np.float64)
    score = X[:, 0] + np.sin(2 * X[:, 1]) * X[:, 2] + 0.5 * rng.normal(size=n)
    return X, np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)


def _regression(n: int = 300, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)).astype(np.float32).astype(np.float64)
    return X, np.abs(X[:, 0] * 3 + X[:, 1] ** 2 + 0.3 * rng.normal(size=n)) + 0.01


def _same_tree(ours: Any, theirs: Any, upto: int | None = None) -> None:
    """The same nodes in the same order."""
    t, s = ours.trees_, theirs.tree_
    assert t.n_nodes == s.node_count
    np.testing.assert_array_equal(t.left, s.children_left)
    np.testing.assert_array_equal(t.right, s.children_right)
    inner = s.children_left >= 0
    np.testing.assert_array_equal(t.feature[inner], s.feature[inner])
    np.testing.assert_allclose(t.threshold[inner], s.threshold[inner], rtol=1e-14)
    np.testing.assert_array_equal(t.count, s.n_node_samples)
    np.testing.assert_allclose(t.cover, s.weighted_n_node_samples, rtol=1e-12)
    np.testing.assert_allclose(t.value, s.value[:, 0, :], rtol=1e-11, atol=1e-12)


TREE_OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_depth": 3},
    {"min_samples_split": 0.2},
    {"min_weight_fraction_leaf": 0.05},
    {"min_impurity_decrease": 0.01},
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", TREE_OPTIONS)
@pytest.mark.parametrize("criterion", ["gini", "entropy", "squared_error", "poisson"])
def test_the_tree_is_scikit_learns(criterion: str, options: Any, weighted: bool) -> None:
    """Leaves of at least 25 rows, and targets with noise: small pure sides would tie in several features."""
    options = {"min_samples_leaf": 25, **options}
    if criterion in ("gini", "entropy"):
        X, y = _classification(1500)
        ours: Any = boosting.DecisionTreeClassifier(criterion=criterion, **options)
        theirs: Any = tree.DecisionTreeClassifier(criterion=criterion, random_state=0, **options)
    else:
        X, y = _regression(800)
        ours = boosting.DecisionTreeRegressor(criterion=criterion, **options)
        theirs = tree.DecisionTreeRegressor(criterion=criterion, random_state=0, **options)
    weight = np.random.default_rng(1).random(len(X)) + 0.1 if weighted else None
    ours.fit(X, y, weight)
    theirs.fit(X, y, weight)
    _same_tree(ours, theirs)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))
    assert ours.get_depth() == theirs.get_depth()
    assert ours.get_n_leaves() == theirs.get_n_leaves()
    if hasattr(ours, "classes_"):
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-11, atol=1e-12)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_best_first_leaves_are_scikit_learns() -> None:
    X, y = _classification(500)
    for leaves in (2, 5, 17):
        ours = boosting.DecisionTreeClassifier(max_leaf_nodes=leaves).fit(X, y)
        theirs = tree.DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(X, y)
        assert ours.get_n_leaves() == leaves
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)


def test_fully_grown_trees_fit_what_can_be_told_apart() -> None:
    X, y = _classification(2000)
    assert boosting.DecisionTreeClassifier().fit(X, y).score(X, y) == 1.0
    X, z = _regression(2000)
    assert boosting.DecisionTreeRegressor().fit(X, z).score(X, z) == 1.0
    assert (
        boosting.DecisionTreeClassifier(splitter="random", random_state=3).fit(X, z > 2).score(X, z > 2)
        == 1.0
    )


def test_class_weights() -> None:
    X, y = _classification(1500)
    for given in ("balanced", {0: 5.0, 1: 1.0, 2: 0.5}):
        options = {"class_weight": given, "min_samples_leaf": 25}
        ours = boosting.DecisionTreeClassifier(**options).fit(X, y)
        _same_tree(ours, tree.DecisionTreeClassifier(random_state=0, **options).fit(X, y))
    rare = (y == 0) & (X[:, 3] > 0.8)
    plain = boosting.RandomForestClassifier(30, max_depth=3, random_state=0).fit(X, rare)
    for given in ("balanced", "balanced_subsample"):
        heavy = clone(plain).set_params(class_weight=given).fit(X, rare)
        assert heavy.predict(X)[rare].mean() > plain.predict(X)[rare].mean()


def test_missing_values_have_a_direction() -> None:
    X, y = _classification(400, 2)
    X[np.random.default_rng(2).random(X.shape) < 0.1] = np.nan
    X[y == 1, 5] = np.nan  # missing says it all
    for name in ("DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier"):
        model = getattr(boosting, name)(random_state=0).fit(X, y)
        assert model.score(X, y) > 0.99
    single = boosting.DecisionTreeClassifier(max_depth=1).fit(X, y)
    theirs = tree.DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, y)
    np.testing.assert_array_equal(single.predict(X), theirs.predict(X))


def test_weights_of_zero_and_repeated_rows() -> None:
    X, y = _regression(200)
    weight = np.random.default_rng(0).integers(0, 3, 200)
    kept = X[weight > 0]
    least = int(np.ceil(0.05 * len(kept)))
    a = boosting.DecisionTreeRegressor(min_samples_leaf=0.05).fit(X, y, weight)
    b = boosting.DecisionTreeRegressor(min_samples_leaf=least).fit(kept, y[weight > 0], weight[weight > 0])
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


@pytest.mark.parametrize("name", FORESTS)
def test_forests_are_as_good_as_scikit_learns(name: str) -> None:
    if name.endswith("Classifier"):
        X, y = datasets.load_breast_cancer(return_X_y=True)
    else:
        X, y = datasets.load_diabetes(return_X_y=True)
    ours, theirs = (
        np.mean([cross_val_score(getattr(m, name)(60, random_state=s), X, y, cv=4).mean() for s in range(2)])
        for m in (boosting, ensemble)
    )
    assert ours > theirs - (0.012 if name.endswith("Classifier") else 0.03)


@pytest.mark.parametrize("name", FORESTS)
def test_seeds_threads_and_warm_starts(name: str) -> None:
    X, y = _classification(500, 2)
    make = getattr(boosting, name)
    whole = make(30, random_state=5, n_jobs=1).fit(X, y).trees_
    for model in (
        make(30, random_state=5, n_jobs=2).fit(X, y),
        make(10, random_state=5, warm_start=True).fit(X, y).set_params(n_estimators=30).fit(X, y),
    ):
        for field in ("offsets", "feature", "threshold", "value"):
            np.testing.assert_array_equal(getattr(model.trees_, field), getattr(whole, field))
    other = make(30, random_state=6).fit(X, y)
    assert other.trees_.n_nodes != whole.n_nodes or (other.trees_.feature != whole.feature).any()
    grown = make(5, warm_start=True).fit(X, y)
    with pytest.raises(ArgumentError, match="n_estimators is 3"):
        grown.set_params(n_estimators=3).fit(X, y)
    with pytest.warns(UserWarning, match="without increasing"):
        grown.set_params(n_estimators=5).fit(X, y)


def test_out_of_bag_scores_are_close_to_scikit_learns() -> None:
    X, y = datasets.load_breast_cancer(return_X_y=True)
    options: dict[str, Any] = {"n_estimators": 150, "oob_score": True, "random_state": 0}
    ours = boosting.RandomForestClassifier(**options).fit(X, y)
    theirs = ensemble.RandomForestClassifier(**options).fit(X, y)
    assert abs(ours.oob_score_ - theirs.oob_score_) < 0.012
    assert abs(ours.oob_decision_function_ - theirs.oob_decision_function_).mean() < 0.03
    np.testing.assert_allclose(ours.oob_decision_function_.sum(axis=1), 1, rtol=1e-12)
    X, y = datasets.load_diabetes(return_X_y=True)
    ours = boosting.RandomForestRegressor(**options).fit(X, y)
    theirs = ensemble.RandomForestRegressor(**options).fit(X, y)
    assert abs(ours.oob_score_ - theirs.oob_score_) < 0.03
    assert np.corrcoef(ours.oob_prediction_, theirs.oob_prediction_)[0, 1] > 0.97
    with pytest.warns(UserWarning, match="OOB"):
        few = boosting.RandomForestRegressor(2, oob_score=lambda y, p: float(len(p)), random_state=0).fit(
            X, y
        )
    assert few.oob_score_ == len(y)


def test_max_samples_and_bins() -> None:
    X, y = _classification(400)
    small = boosting.RandomForestClassifier(5, max_samples=20, random_state=0).fit(X, y)
    assert small.trees_.cover[small.trees_.offsets[:-1]].tolist() == [20.0] * 5
    part = boosting.RandomForestClassifier(5, max_samples=0.5, random_state=0).fit(X, y)
    assert part.trees_.cover[0] == 200
    coarse = boosting.ExtraTreesClassifier(5, max_bins=4, random_state=0).fit(X, y)
    assert all(np.unique(coarse.trees_.threshold[coarse.trees_.feature == f]).size <= 3 for f in range(6))
    fine = boosting.RandomForestClassifier(20, max_bins=65535, random_state=0).fit(X, y)
    assert fine.score(X, y) > 0.98


def test_views_of_single_trees() -> None:
    X, y = _classification()
    labels = np.array(["a", "b", "c"])[y]
    forest = boosting.RandomForestClassifier(7, random_state=0, class_weight="balanced_subsample").fit(
        X, labels
    )
    views = forest.estimators_
    assert len(forest) == len(views) == 7
    np.testing.assert_allclose(
        np.mean([v.predict_proba(X) for v in views], axis=0), forest.predict_proba(X), rtol=1e-13
    )
    assert set(forest[2].predict(X)) == {"a", "b", "c"}
    np.testing.assert_array_equal(forest.apply(X)[:, 3], views[3].apply(X))
    assert np.shares_memory(views[0].trees_.value, forest.trees_.value)
    np.testing.assert_allclose(
        forest.feature_importances_, np.mean([v.feature_importances_ for v in views], axis=0)
    )
    assert clone(views[1]).fit(X, labels).get_depth() > 1


def test_pandas_and_sparse_and_floats() -> None:
    pandas = pytest.importorskip("pandas")
    sparse = pytest.importorskip("scipy.sparse")
    X, y = _classification()
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    model = boosting.RandomForestClassifier(5, random_state=0).fit(frame, y)
    assert model.feature_names_in_.tolist() == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("fedcba")])
    plain = boosting.RandomForestClassifier(5, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(frame), plain.predict_proba(X))
    np.testing.assert_array_equal(plain.predict_proba(X.astype(np.float32)), plain.predict_proba(X))
    np.testing.assert_array_equal(plain.predict_proba(sparse.csr_matrix(X)), plain.predict_proba(X))
    same = boosting.RandomForestClassifier(5, random_state=0).fit(sparse.csc_matrix(X), y)
    np.testing.assert_array_equal(same.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("name", ["DecisionTreeRegressor", *FORESTS])
def test_copies(name: str, tmp_path: Any) -> None:
    joblib = pytest.importorskip("joblib")
    X, y = _classification(150, 2)
    options = {} if name.startswith("Decision") else SMALL
    model = getattr(boosting, name)(random_state=0, **options).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    boosting.save(model, tmp_path / "model")
    for copy in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model.joblib"),
        boosting.load(tmp_path / "model"),
        clone(model).fit(X, y),
    ):
        np.testing.assert_array_equal(copy.predict(X), model.predict(X))
        np.testing.assert_array_equal(copy.feature_importances_, model.feature_importances_)
    search = GridSearchCV(model, {"min_samples_leaf": [8, 100]}, cv=3).fit(X, X[:, 0] > 0)
    assert search.best_params_ == {"min_samples_leaf": 8}


def test_ctrl_c_leaves_a_usable_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    from einkorn.boosting import _forest

    calls = []

    def grow(*args: Any, **options: Any) -> Any:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return einkorn.ops.grow_forest(*args, **options)

    monkeypatch.setattr(_forest, "grow_forest", grow)
    monkeypatch.setattr(_forest, "_BATCH_SECONDS", 0.0)
    X, y = _classification()
    model = boosting.RandomForestClassifier(100, random_state=0, verbose=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    grown = len(model.estimators_)
    assert 0 < grown < 100
    assert model.score(X, y) > 0.9
    monkeypatch.undo()
    resumed = model.set_params(warm_start=True, verbose=0).fit(X, y)
    whole = boosting.RandomForestClassifier(100, random_state=0).fit(X, y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def test_verbose_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = _regression(50)
    boosting.ExtraTreesRegressor(3, verbose=1).fit(X, y)
    assert "ExtraTreesRegressor: 3 of 3 trees" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_estimators", 0),
        ("criterion", "squared_error"),
        ("criterion", "absolute_error"),
        ("max_depth", 0),
        ("min_samples_split", 1),
        ("min_samples_split", 1.5),
        ("min_samples_leaf", 0),
        ("min_weight_fraction_leaf", 0.6),
        ("max_features", "auto"),
        ("max_features", 0),
        ("max_features", 1.1),
        ("max_leaf_nodes", 1),
        ("min_impurity_decrease", -1.0),
        ("max_samples", 1000),
        ("max_samples", 0.0),
        ("class_weight", "even"),
        ("max_bins", 1),
        ("n_jobs", 0),
    ],
)
def test_options_are_refused_by_name(name: str, value: Any) -> None:
    X, y = _classification(60)
    with pytest.raises(ArgumentError, match=rf"RandomForestClassifier\.fit.*{name}"):
        boosting.RandomForestClassifier(**{"n_estimators": 2, name: value}).fit(X, y)


def test_data_are_refused_by_name() -> None:
    X, y = _classification(60)
    make = boosting.RandomForestClassifier
    with pytest.raises(ArgumentError, match="NaN"):
        boosting.RandomForestRegressor(2).fit(X, np.full(60, np.nan))
    for weight in (-np.ones(60), np.zeros(60)):
        with pytest.raises(ArgumentError, match="sample_weight"):
            make(2).fit(X, y, weight)
    with pytest.raises(ShapeError):
        make(2).fit(X, y[:-1])
    with pytest.raises(ValueError, match="poisson"):
        boosting.RandomForestRegressor(2, criterion="poisson").fit(X, -y)
    with pytest.raises(ArgumentError, match="out-of-bag"):
        make(2, bootstrap=False, oob_score=True).fit(X, y)
    with pytest.raises(DTypeError):
        make(2).fit([[object()]] * 60, y)
    model = make(2).fit(X, y)
    with pytest.raises(ShapeError, match="features"):
        model.predict(X[:, :3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = model.predict_log_proba(X)
    np.testing.assert_allclose(np.exp(log), model.predict_proba(X), atol=1e-15)


def test_a_course_of_training() -> None:
    """Train, test, and the same on numba: a split that both engines agree on."""
    X, y = datasets.load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    scores = {}
    for engine in einkorn.engines.available():
        einkorn.set_engine(engine)
        model = boosting.RandomForestClassifier(20, random_state=1).fit(X_train, y_train)
        scores[engine] = model.predict_proba(X_test)
        assert model.score(X_test, y_test) > 0.95
    first = next(iter(scores.values()))
    assert all((s == first).all() for s in scores.values())
