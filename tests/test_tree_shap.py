"""TreeSHAP against the definition of Shapley values: all subsets of features."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from tree_examples import goes_left, random_rows, random_tree

from einkorn import engines, ops, runtime
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


#: One tree of two splits over a column each, and what makes it one that may not be followed.
NODES: dict[str, list[int]] = {
    "offsets": [0, 5],
    "outputs_of": [0],
    "feature": [0, -1, 1, -1, -1],
    "left": [1, -1, 3, -1, -1],
    "right": [2, -1, 4, -1, -1],
    "category_offset": [-1, -1, 0, -1, -1],
    "category_words": [0, 0, 1, 0, 0],
}
HOSTILE: dict[str, tuple[str, list[int], str]] = {
    "back": ("left", [1, -1, 0, -1, -1], "reached once"),
    "itself": ("left", [0, -1, 3, -1, -1], "reached once"),
    "twice": ("right", [1, -1, 4, -1, -1], "reached once"),
    "beyond": ("right", [2, -1, 7, -1, -1], "reached once"),
    "negative": ("left", [1, -1, -3, -1, -1], "reached once"),
    "column": ("feature", [0, -1, 2, -1, -1], "columns of x"),
    "output": ("outputs_of", [1], "outputs_of must be outputs"),
    "set": ("category_offset", [-1, -1, 9, -1, -1], "within categories"),
    "words": ("category_words", [0, 0, 2, 0, 0], "within categories"),
    "no words": ("category_words", [0, 0, -2, 0, 0], "within categories"),
    "nodes": ("offsets", [0, 4], "number of nodes"),
    "first": ("offsets", [1, 5], "number of nodes"),
    "many": ("offsets", [0, 6], "number of nodes"),
}


def shap_of(nodes: dict[str, list[int]], largest: int = 5, deepest: int = 2) -> np.ndarray:
    """The kernel itself on these nodes."""
    n = {name: np.array(v, np.int64 if name == "offsets" else np.int32) for name, v in nodes.items()}
    out, x, half = np.zeros((3, 3, 1)), np.arange(6.0).reshape(3, 2), np.full(5, 0.5)
    engines.cpu().tree_shap(
        out, x, np.zeros(1), n["offsets"], n["outputs_of"], n["feature"], half, n["left"], n["right"],
        np.zeros(5, np.uint8), n["category_offset"], n["category_words"], np.ones(1, np.uint32),
        np.ones((5, 1)), half, np.full((2, 2, 2), 0.5), largest, deepest,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("name", HOSTILE)
def test_the_kernel_follows_no_nodes_that_lead_elsewhere(backend: str, name: str) -> None:
    assert np.isfinite(shap_of(NODES)).all()
    argument, values, message = HOSTILE[name]
    with pytest.raises(ValueError, match=message):
        shap_of({**NODES, argument: values})


def test_the_kernel_goes_no_deeper_than_its_scratch(backend: str) -> None:
    with pytest.raises(ValueError, match="more splits on a way than deepest"):
        shap_of(NODES, deepest=1)
    with pytest.raises(ValueError, match="more nodes than largest"):
        shap_of(NODES, largest=4)
