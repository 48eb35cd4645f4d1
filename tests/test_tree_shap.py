"""TreeSHAP against the definition of Shapley values: all subsets of features."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from tree_examples import goes_left, random_rows, random_tree

from einkorn import ops, runtime
from einkorn.boosting.explain import shap_values
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError, DTypeError, ShapeError

FEATURES = 5


def value_of(trees: Trees, tree: int, row: np.ndarray, known: set[int]) -> np.ndarray:
    """The tree's value when only some features are known: splits on others count both sides."""
    first = int(trees.offsets[tree])

    def below(node: int) -> np.ndarray:
        at = first + node
        feature = int(trees.feature[at])
        if feature < 0:
            return trees.value[at]
        left, right = int(trees.left[at]), int(trees.right[at])
        if feature in known:
            return below(left if goes_left(trees, at, row[feature]) else right)
        cover = trees.cover[at]
        parts = [trees.cover[first + c] / cover if cover > 0 else 0.5 for c in (left, right)]
        return parts[0] * below(left) + parts[1] * below(right)

    return below(0)


def brute_force(trees: Trees, X: np.ndarray) -> np.ndarray:
    out = np.zeros((len(X), FEATURES + 1, trees.n_outputs))
    out[:, FEATURES] = trees.base
    everyone = set(range(FEATURES))
    for r, row in enumerate(X):
        for t in range(trees.n_trees):
            columns = slice(None) if trees.outputs[t] < 0 else [trees.outputs[t]]
            worth = {
                known: value_of(trees, t, row, set(known))
                for n in range(FEATURES + 1)
                for known in combinations(range(FEATURES), n)
            }
            out[r, FEATURES, columns] += worth[()]
            for feature in range(FEATURES):
                others = sorted(everyone - {feature})
                for n in range(FEATURES):
                    weight = math.factorial(n) * math.factorial(FEATURES - 1 - n) / math.factorial(FEATURES)
                    for known in combinations(others, n):
                        gained = worth[tuple(sorted((*known, feature)))] - worth[known]
                        out[r, feature, columns] += weight * gained
    return out


ENSEMBLES: dict[str, dict[str, Any]] = {
    "numeric": {"leaves": [1, 2, 8, 13]},
    "categorical": {"leaves": [7, 12], "categorical": (0, 2), "n_categories": 70},
    "deep": {"leaves": [30], "chain": True},
    "forest": {"leaves": [9, 4], "n_outputs": 3, "output": -1},
    "classes": {"leaves": [6], "n_outputs": 3, "output": 2},
}


def make(name: str) -> tuple[Trees, dict[str, Any]]:
    options = dict(ENSEMBLES[name])
    rng = np.random.default_rng(3)
    leaves = options.pop("leaves")
    rows = {key: options[key] for key in ("categorical", "n_categories") if key in options}
    return Trees.concatenate([random_tree(rng, n, FEATURES, **options) for n in leaves]), rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_definition(backend: str, name: str, dtype: Any) -> None:
    trees, options = make(name)
    X = random_rows(np.random.default_rng(0), 6, FEATURES, dtype, **options)
    np.testing.assert_allclose(ops.tree_shap(trees, X), brute_force(trees, X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 300])
def test_rows_sum_to_their_scores(backend: str, rows: int) -> None:
    for name in ENSEMBLES:
        trees, options = make(name)
        X = random_rows(np.random.default_rng(rows), rows, FEATURES, np.float32, **options)
        runtime.set_num_threads(1)
        values = ops.tree_shap(trees, X)
        assert values.shape == (rows, FEATURES + 1, trees.n_outputs)
        np.testing.assert_allclose(values.sum(axis=1), ops.predict_trees(trees, X), rtol=0, atol=1e-11)
        runtime.set_num_threads(2)
        assert ops.tree_shap(trees, X).tobytes() == values.tobytes()


def test_long_paths(backend: str) -> None:
    """More features on a path than the points of integration are exact for."""
    rng = np.random.default_rng(1)
    trees = random_tree(rng, 260, 1000, chain=True)
    X = random_rows(rng, 3, 1000, np.float64)
    values = ops.tree_shap(trees, X)
    np.testing.assert_allclose(values.sum(axis=1), ops.predict_trees(trees, X), rtol=0, atol=1e-9)


def test_covers_of_zero(backend: str) -> None:
    """A side that no row took counts for nothing; a node that no row reached is split in halves."""
    feature, left, right = [0, -1, 1, -1, -1], [1, -1, 3, -1, -1], [2, -1, 4, -1, -1]
    bounds = [0.0, np.nan, 0.0, np.nan, np.nan]
    for cover in ([5, 5, 0, 0, 0], [0, 0, 0, 0, 0]):
        trees = Trees.from_nodes(feature, bounds, left, right, [0, 1, 2, 3, 5], FEATURES, cover=cover)
        X = np.array([[-1.0, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, -1, 0, 0, 0]])
        np.testing.assert_allclose(ops.tree_shap(trees, X), brute_force(trees, X), atol=1e-14)


def test_shap_values_of_models() -> None:
    trees, _ = make("numeric")
    X = np.zeros((2, FEATURES))
    np.testing.assert_array_equal(shap_values(trees, X), ops.tree_shap(trees, X))
    with pytest.raises(ArgumentError, match="model is a int without trees_"):
        shap_values(3, X)
    with pytest.raises(ShapeError, match="tree_shap: X has 4 columns"):
        shap_values(trees, X[:, :4])
    with pytest.raises(DTypeError, match="tree_shap: X has dtype"):
        shap_values(trees, X.astype(int))
    none = shap_values(Trees.empty(3, 2, base=[1.0, 2.0]), np.zeros((2, 3)))
    np.testing.assert_array_equal(none, [[[0, 0]] * 3 + [[1, 2]]] * 2)
