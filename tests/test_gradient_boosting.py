"""Gradient boosting: losses, what the options do, weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from boosting_problems import REGRESSION, Model, classes, numbers, same
from sklearn.utils.estimator_checks import parametrize_with_checks

from einkorn.boosting import GradientBoostingClassifier, GradientBoostingRegressor
from einkorn.errors import ArgumentError, ShapeError


@parametrize_with_checks(
    [GradientBoostingClassifier(n_estimators=10), GradientBoostingRegressor(n_estimators=10)]
)
def test_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


# --- losses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", REGRESSION)
def test_every_loss_falls(loss: str) -> None:
    X, y = numbers()
    y = np.exp(y) if loss == "poisson" else y
    model = GradientBoostingRegressor(loss, n_estimators=30, random_state=0).fit(X, y)
    assert model.train_score_.shape == (30,)
    assert model.train_score_[-1] < 0.6 * model.train_score_[0]
    assert model.n_iter_ == model.best_iteration_ == 30
    predicted = model.predict(X)
    d = predicted - y
    expected = {
        "squared_error": lambda: (d**2).mean() / 2,
        "absolute_error": lambda: abs(d).mean(),
        "quantile": lambda: np.where(d < 0, -0.9 * d, 0.1 * d).mean(),
        "poisson": lambda: (predicted - y * np.log(predicted)).mean(),
    }
    if loss in expected:
        assert model.train_score_[-1] == pytest.approx(expected[loss](), rel=1e-5)


def test_where_scores_start() -> None:
    X, y = numbers(101)
    bases = {
        "squared_error": y.mean(),
        "absolute_error": np.median(y),
        "huber": np.median(y),
        "quantile": np.quantile(y, 0.2, method="averaged_inverted_cdf"),
    }
    for loss, expected in bases.items():
        model = GradientBoostingRegressor(loss, alpha=0.2, n_estimators=1).fit(X, y)
        assert model.trees_.base[0] == pytest.approx(expected)
    positive = np.exp(y)
    model = GradientBoostingRegressor("poisson", n_estimators=1).fit(X, positive)
    assert model.trees_.base[0] == pytest.approx(np.log(positive.mean()))
    X, label = classes(3, 100)
    model = GradientBoostingClassifier(n_estimators=1).fit(X, label)
    np.testing.assert_allclose(model.trees_.base, np.log(np.bincount(label) / label.size))
    assert GradientBoostingRegressor(base_score=0.5, n_estimators=1).fit(X, label).trees_.base[0] == 0.5


def test_leaves_are_medians_and_quantiles() -> None:
    """One tree with rate 1: in each leaf, the prediction is the median (quantile) of the targets."""
    X, y = numbers()
    for loss, alpha in (("absolute_error", 0.5), ("quantile", 0.75)):
        model = GradientBoostingRegressor(
            loss, alpha=alpha, n_estimators=1, learning_rate=1.0, max_leaf_nodes=6
        ).fit(X, y)
        leaf, predicted = model.apply(X)[:, 0], model.predict(X)
        assert len(np.unique(leaf)) == 6
        for number in np.unique(leaf):
            rows = leaf == number
            expected = np.quantile(y[rows], alpha, method="averaged_inverted_cdf")
            np.testing.assert_allclose(predicted[rows], expected, rtol=1e-12)


def test_quantile_covers() -> None:
    X, y = numbers(3000)
    model = GradientBoostingRegressor("quantile", alpha=0.8, n_estimators=60).fit(X, y)
    assert (y <= model.predict(X)).mean() == pytest.approx(0.8, abs=0.03)


def test_own_loss_equals_built_in() -> None:
    X, y = numbers()
    common: dict[str, Any] = {"n_estimators": 15, "base_score": 0.0}
    builtin = GradientBoostingRegressor("squared_error", **common).fit(X, y)
    own = GradientBoostingRegressor(lambda y, raw: (raw - y, np.ones_like(raw)), **common).fit(X, y)
    np.testing.assert_array_equal(own.predict(X), builtin.predict(X))
    X, label = classes(3)
    w = np.random.default_rng(0).random(label.size)

    def softmax_loss(y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        return p - (y[:, None] == np.arange(3)), 1.5 * p * (1 - p)

    classifier = GradientBoostingClassifier(**common).fit(X, label, w)
    own_classifier = GradientBoostingClassifier(softmax_loss, **common).fit(X, label, w)
    np.testing.assert_allclose(own_classifier.predict_proba(X), classifier.predict_proba(X), atol=1e-5)
    with pytest.raises(ShapeError, match="gradients have shape"):
        GradientBoostingRegressor(lambda y, raw: (raw[:3], raw)).fit(X, y)
    with pytest.raises(ArgumentError, match="must return two arrays"):
        GradientBoostingRegressor(lambda y, raw: raw).fit(X, y)
    with pytest.raises(ZeroDivisionError):
        GradientBoostingRegressor(lambda y, raw: 1 / 0).fit(X, y)


# --- options ---------------------------------------------------------------------------------


def test_shape_of_trees() -> None:
    X, y = numbers()
    for options, leaves, depth in (
        ({"max_leaf_nodes": 5}, 5, 4),
        ({"max_depth": 2}, 4, 2),
        ({"max_leaf_nodes": 6, "growth": "depth"}, 6, 3),
        ({"min_samples_leaf": 200}, 3, 2),
        ({"min_child_weight": 250.0}, 2, 1),
        ({"min_split_gain": 1e9}, 1, 0),
    ):
        model = GradientBoostingRegressor(n_estimators=3, **options).fit(X, y)  # type: ignore[arg-type]
        assert (np.diff(model.trees_.offsets) // 2 + 1).max() <= leaves
        assert model.trees_.depth().max() <= depth
    counts = GradientBoostingRegressor(min_samples_leaf=50).fit(X, y).trees_
    assert counts.count[counts.feature < 0].min() >= 50


def test_regularisation_shrinks_leaves() -> None:
    X, y = numbers()
    plain = GradientBoostingRegressor(n_estimators=1, max_leaf_nodes=2).fit(X, y).trees_.value
    for options in ({"l2_regularization": 600.0}, {"reg_alpha": 100.0}, {"max_delta_step": 0.1}):
        model = GradientBoostingRegressor(n_estimators=1, max_leaf_nodes=2, **options).fit(X, y)  # type: ignore[arg-type]
        assert abs(model.trees_.value[1:]).max() < abs(plain[1:]).max()


def test_sampling() -> None:
    """Shares of rows and columns: the same for the same seed, others for another, and trees differ."""
    X, y = numbers(features=12)
    for options in ({"subsample": 0.5}, {"colsample_bytree": 0.3}, {"max_features": 0.3}):
        models = [
            GradientBoostingRegressor(n_estimators=10, random_state=seed, **options).fit(X, y)  # type: ignore[arg-type]
            for seed in (1, 1, 2)
        ]
        assert same(models[0], models[1])
        assert not same(models[0], models[2])
    half = GradientBoostingRegressor(n_estimators=5, subsample=0.5, random_state=0).fit(X, y).trees_
    assert (abs(half.count[half.offsets[:-1]] - 300) < 60).all()
    few = GradientBoostingRegressor(n_estimators=20, colsample_bytree=0.25, random_state=0).fit(X, y).trees_
    used = [set(few[i].feature) - {-1} for i in range(20)]
    assert max(map(len, used)) <= 3
    assert len(set().union(*used)) > 3


def test_exact_has_every_value() -> None:
    X, y = numbers(2000)
    X = X[:, :1]
    exact = GradientBoostingRegressor(method="exact", n_estimators=40).fit(X, y)
    binned = GradientBoostingRegressor(method="histogram", max_bins=8, n_estimators=40).fit(X, y)
    assert len(np.unique(binned.trees_.threshold[binned.trees_.feature >= 0])) <= 7
    assert len(np.unique(exact.trees_.threshold[exact.trees_.feature >= 0])) > 50


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_monotone(loss: str) -> None:
    X, y = numbers()
    model = GradientBoostingRegressor(loss, monotonic_cst=[1, -1, 0, 0, 0]).fit(X, y)
    rows = np.repeat(X[:20], 50, axis=0)
    for feature, sign in ((0, 1), (1, -1)):
        moved = rows.copy()
        moved[:, feature] = np.tile(np.linspace(-3, 3, 50), 20)
        steps = np.diff(model.predict(moved).reshape(20, 50), axis=1) * sign
        assert (steps >= 0).all()
        assert steps.max() > 0
    free = GradientBoostingRegressor(loss).fit(X, y)
    assert free.score(X, y) > model.score(X, y)


def test_interactions() -> None:
    X, y = numbers()

    def paths(model: Model) -> set[frozenset[int]]:
        trees, found = model.trees_, set()
        for t in range(trees.n_trees):
            tree = trees[t]
            stack: list[tuple[int, frozenset[int]]] = [(0, frozenset())]
            while stack:
                node, on_path = stack.pop()
                if tree.feature[node] < 0:
                    found.add(on_path)
                    continue
                below = on_path | {int(tree.feature[node])}
                stack += [(int(tree.left[node]), below), (int(tree.right[node]), below)]
        return found

    groups = [{0}, {1, 2}, {3, 4}]  # 3 and 4 are in no group given: one more
    model = GradientBoostingRegressor(interaction_cst=[[0], [1, 2]], n_estimators=30).fit(X, y)
    assert all(any(path <= group for group in groups) for path in paths(model))
    alone = GradientBoostingRegressor(interaction_cst="no_interactions", n_estimators=30).fit(X, y)
    assert max(map(len, paths(alone))) == 1
    pairs = GradientBoostingRegressor(interaction_cst="pairwise", n_estimators=30).fit(X, y)
    assert max(map(len, paths(pairs))) == 2


def test_categories() -> None:
    """A set of categories is one split, where thresholds would need many."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 40, (2000, 1)).astype(np.float64)
    good = np.isin(X[:, 0], [1, 5, 8, 13, 21, 34, 39])
    options: dict[str, Any] = {"n_estimators": 1, "learning_rate": 1.0, "max_leaf_nodes": 2}
    model = GradientBoostingRegressor(categorical_features=[0], **options).fit(X, good)
    np.testing.assert_allclose(model.predict(X), good, atol=0.02)
    numeric = GradientBoostingRegressor(**options).fit(X, good)
    assert abs(numeric.predict(X) - good).max() > 0.5
    by_mask = GradientBoostingRegressor(categorical_features=[True], **options).fit(X, good)
    assert same(by_mask, model)
    odd = np.array([[100.0], [np.nan], [-1.0]])  # never seen, missing: they go with the others
    assert np.isfinite(model.predict(odd)).all()


@pytest.mark.parametrize("max_bins", [255, 8])
def test_values_go_where_codes_went(max_bins: int) -> None:
    """Predicting from values gives the loss that training had from codes: missing, rare, many categories."""
    rng = np.random.default_rng(2)
    n = 3000
    X = np.stack(
        [
            rng.integers(0, 100, n) * 7.0,  # categories up to 693: sets of many words
            rng.geometric(0.3, n),  # rare ones, left out with few bins
            rng.normal(size=n),
            rng.integers(0, 3, n),  # one against the rest
        ],
        axis=1,
    )
    X[rng.random(X.shape) < 0.05] = np.nan
    y = np.nan_to_num(np.sin(X[:, 0]) + np.cos(X[:, 1]) + X[:, 2] + (X[:, 3] == 1)) + rng.normal(size=n)
    y += 2 * np.isnan(X[:, 0])
    model = GradientBoostingRegressor(max_bins=max_bins, categorical_features=[0, 1, 3], n_estimators=30)
    model.fit(X, y, X_val=X[::2], y_val=y[::2])
    assert (model.trees_.category_words > 10).any()
    loss = ((model.predict(X) - y) ** 2).mean() / 2
    assert model.train_score_[-1] == pytest.approx(loss, rel=1e-6)
    loss = ((model.predict(X[::2].astype(np.float32)) - y[::2]) ** 2).mean() / 2
    assert model.validation_score_[-1] == pytest.approx(loss, rel=1e-5)


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=500),
            "colour": pd.Categorical(rng.choice(["red", "green", "blue", "grey", "white", "black"], 500)),
            "count": rng.integers(0, 9, 500),
        }
    )
    frame.loc[::50, "colour"] = None
    y = frame["size"] + frame["colour"].isin(["red", "grey"]) * 3.0
    model = GradientBoostingRegressor(n_estimators=50, monotonic_cst={"size": 1}).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["size", "colour", "count"]
    assert model.score(frame, y) > 0.95
    assert (model.trees_.category_offset >= 0).any()
    other_order = frame.copy()
    other_order["colour"] = other_order["colour"].cat.set_categories(
        ["blue", "red", "black", "grey", "white", "green"]
    )
    np.testing.assert_array_equal(model.predict(other_order), model.predict(frame))
    other_order["colour"] = other_order["colour"].astype(object)  # plain strings, and one never seen
    np.testing.assert_array_equal(model.predict(other_order), model.predict(frame))
    other_order.loc[0, "colour"] = "violet"
    assert np.isfinite(model.predict(other_order)).all()
    with pytest.raises(ArgumentError, match="feature names"):
        model.predict(frame[["colour", "size", "count"]])
    with pytest.raises(ArgumentError, match="'weight', which X does not have"):
        GradientBoostingRegressor(monotonic_cst={"weight": 1}).fit(frame, y)


def test_missing_values() -> None:
    X, y = numbers()
    X = X.copy()
    X[::3, 0] = np.nan
    y[::3] += 5  # being missing says something
    model = GradientBoostingRegressor().fit(X, y)
    assert model.score(X, y) > 0.95
    X[0, 1], X[1, 1] = np.inf, -np.inf
    assert np.isfinite(GradientBoostingRegressor().fit(X, y).predict(X)).all()


def test_sparse_is_dense() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    X, y = numbers()
    X = np.where(abs(X) < 0.7, 0, X)
    dense = GradientBoostingRegressor().fit(X, y)
    for kind in (sparse.csr_matrix, sparse.csc_array):
        model = GradientBoostingRegressor().fit(kind(X), y)
        assert same(model, dense)
        np.testing.assert_array_equal(model.predict(kind(X)), dense.predict(X))


def test_layouts_and_types() -> None:
    """float32 and float64 of the same numbers, any strides: the same model."""
    X, y = numbers()
    plain = GradientBoostingRegressor().fit(X, y)
    wide = np.zeros((600, 10), np.float32)
    wide[:, ::2] = X
    for view in (np.asfortranarray(X), wide[:, ::2], X.astype(np.float64)[::-1][::-1], X.tolist()):
        np.testing.assert_array_equal(
            GradientBoostingRegressor().fit(view, y).predict(view), plain.predict(X)
        )


# --- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", REGRESSION)
def test_weights_are_repeated_rows(loss: str) -> None:
    X, y = numbers(200)
    y = np.exp(y) if loss == "poisson" else y
    w = np.random.default_rng(0).integers(0, 4, y.size)
    options: dict[str, Any] = {
        "method": "exact",
        "min_samples_leaf": 1,
        "n_estimators": 10,
        "max_leaf_nodes": 8,
    }
    weighted = GradientBoostingRegressor(loss, **options).fit(X, y, sample_weight=w)
    repeated = GradientBoostingRegressor(loss, **options).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [2, 3])
def test_weights_of_classes(k: int) -> None:
    X, y = classes(k, 200)
    w = np.random.default_rng(0).integers(0, 4, y.size)
    # Few leaves: in a first round all gradients of a class are equal, and small nodes have splits that tie.
    options: dict[str, Any] = {
        "method": "exact",
        "min_samples_leaf": 1,
        "n_estimators": 10,
        "max_leaf_nodes": 4,
    }
    weighted = GradientBoostingClassifier(**options).fit(X, y, sample_weight=w)
    repeated = GradientBoostingClassifier(**options).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)


def test_class_weight() -> None:
    X, y = classes(3, 300)
    y = np.where(y == 2, 1, y)  # a third and two thirds
    by_hand = GradientBoostingClassifier(n_estimators=5).fit(X, y, np.where(y == 0, 1.5, 0.75))
    assert same(GradientBoostingClassifier(n_estimators=5, class_weight="balanced").fit(X, y), by_hand)
    by_name = GradientBoostingClassifier(n_estimators=5, class_weight={0: 1.5, 1: 0.75}).fit(X, y)
    assert same(by_name, by_hand)
    half = GradientBoostingClassifier(n_estimators=5, class_weight={0: 3, 1: 1.5})
    assert same(half.fit(X, y, np.full(300, 0.5)), by_hand)
    with pytest.raises(ArgumentError, match="class_weight"):
        GradientBoostingClassifier(class_weight="heavy").fit(X, y)
    with pytest.raises(ArgumentError, match="class_weight is -1"):
        GradientBoostingClassifier(class_weight={0: -1, 1: 1}).fit(X, y)
