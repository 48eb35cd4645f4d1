"""Trees as arrays, and prediction with them against plain Python."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tree_examples import random_rows, random_tree, reference

import einkorn
from einkorn import ops, runtime
from einkorn.boosting.trees import Trees
from einkorn.errors import ArgumentError, DTypeError, ShapeError

FEATURES = 7

#: Leaves of the trees of an ensemble, and what is particular about it.
ENSEMBLES: dict[str, dict[str, Any]] = {
    "numeric": {"leaves": [31] * 9},
    "tiny": {"leaves": [1, 2, 3, 1, 2]},
    "all-sizes": {"leaves": [1, 31, 32, 33, 63, 64, 65, 66, 200]},
    "categorical": {"leaves": [2, 20, 40, 64, 100], "categorical": (1, 4)},
    "many-categories": {"leaves": [20, 100], "categorical": (0, 3), "n_categories": 300},
    "chain": {"leaves": [30, 64, 150], "chain": True},
    "forest": {"leaves": [5, 40, 90], "n_outputs": 4, "output": -1},
    "multiclass": {"leaves": [9, 70, 33, 10, 80, 12], "n_outputs": 3},
}


def make(name: str, seed: int = 0) -> tuple[Trees, dict[str, Any]]:
    options = dict(ENSEMBLES[name])
    rng = np.random.default_rng(seed)
    leaves = options.pop("leaves")
    rows = {key: options[key] for key in ("categorical", "n_categories") if key in options}
    if options.get("n_outputs", 1) > 1 and "output" not in options:
        parts = [
            random_tree(rng, n, FEATURES, **options, output=i % options["n_outputs"])
            for i, n in enumerate(leaves)
        ]
    else:
        parts = [random_tree(rng, n, FEATURES, **options) for n in leaves]
    return Trees.concatenate(parts), rows


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_scores_and_leaves(backend: str, name: str, dtype: Any, missing: float) -> None:
    trees, options = make(name)
    for rows in (1, 5, 64, 203):
        X = random_rows(np.random.default_rng(rows), rows, FEATURES, dtype, missing=missing, **options)
        scores, leaves = reference(trees, X)
        np.testing.assert_array_equal(ops.apply_trees(trees, X), leaves)
        assert ops.predict_trees(trees, X).tobytes() == scores.tobytes()


def test_bits_do_not_depend_on_threads_or_stages(backend: str) -> None:
    trees, options = make("multiclass")
    X = random_rows(np.random.default_rng(1), 3000, FEATURES, np.float32, **options)
    runtime.set_num_threads(1)
    one = ops.predict_trees(trees, X)
    runtime.set_num_threads(2)
    assert ops.predict_trees(trees, X).tobytes() == one.tobytes()
    stages = list(ops.staged_predict_trees(trees, X, step=3))
    assert len(stages) == 2
    assert stages[0].tobytes() == ops.predict_trees(trees[:3], X).tobytes()
    assert stages[1].tobytes() == one.tobytes()
    assert [len(list(ops.staged_predict_trees(trees, X[:4], step=s))) for s in (1, 4, 6, 9)] == [6, 2, 1, 1]


def test_every_tree_engine_agrees() -> None:
    """The same bits from all engines, for what the reference is too slow for."""
    found = {}
    trees, options = make("categorical")
    X = random_rows(np.random.default_rng(2), 5000, FEATURES, np.float64, **options)
    for engine in einkorn.engines.available():
        einkorn.set_engine(engine)
        found[engine] = ops.predict_trees(trees, X).tobytes()
    assert len(set(found.values())) == 1


def test_wide_rows_and_layouts(backend: str) -> None:
    """Features that no split looks at, columns in any order of memory, misaligned rows."""
    rng = np.random.default_rng(3)
    trees = Trees.concatenate([random_tree(rng, n, 301) for n in (3, 31, 80)])
    X = random_rows(rng, 70, 301, np.float32)
    scores, _ = reference(trees, X)
    for same in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[::-1].copy()[::-1]):
        np.testing.assert_array_equal(ops.predict_trees(trees, same), scores)


def test_no_rows_no_trees(backend: str) -> None:
    trees, _ = make("multiclass")
    assert ops.predict_trees(trees, np.empty((0, FEATURES))).shape == (0, 3)
    assert ops.apply_trees(trees, np.empty((0, FEATURES))).shape == (0, 6)
    none = Trees.empty(FEATURES, 2, base=[1.5, -2.0])
    np.testing.assert_array_equal(ops.predict_trees(none, np.ones((3, FEATURES))), [[1.5, -2.0]] * 3)
    assert ops.apply_trees(none, np.ones((3, FEATURES))).shape == (3, 0)
    assert list(ops.staged_predict_trees(none, np.ones((3, FEATURES)))) == []
    np.testing.assert_array_equal(
        ops.predict_trees(trees, np.ones((2, FEATURES)), first=2, last=2), [trees.base] * 2
    )


def test_thresholds_keep_their_side_in_float32(backend: str) -> None:
    """x <= t for a float32 x and a float64 t between two float32 numbers."""
    near = np.float32(0.1)
    above, below = float(near) + 1e-12, float(near) - 1e-12
    for threshold in (above, below, 1e300, -1e300, np.inf, -np.inf, 1e-60, -1e-60):
        bounds = [threshold, np.nan, np.nan]
        tree = Trees.from_nodes([0, -1, -1], bounds, [1, -1, -1], [2, -1, -1], [0, 1, 2], 1)
        edge = np.finfo(np.float32).max
        x = np.array([near, np.nextafter(near, np.float32(1)), 0, edge, -edge, np.inf, -np.inf], np.float32)
        expected = np.where(x.astype(float) <= threshold, 1.0, 2.0)
        np.testing.assert_array_equal(ops.predict_trees(tree, x[:, None])[:, 0], expected)


def test_out_and_accumulate(backend: str) -> None:
    trees, _ = make("numeric")
    X = random_rows(np.random.default_rng(4), 33, FEATURES, np.float64)
    out = np.full((33, 1), 5.0)
    assert ops.predict_trees(trees, X, out, first=2, last=4, accumulate=True) is out
    expected = np.full((33, 1), 5.0)
    leaves = reference(trees, X)[1]
    for t in (2, 3):
        expected[:, 0] += trees.value[trees.offsets[t] + leaves[:, t], 0]
    assert out.tobytes() == expected.tobytes()


def test_large_trees_go_in_groups(backend: str) -> None:
    """Groups of trees that the caches hold: the same bits as each row for itself."""
    rng = np.random.default_rng(0)
    trees = Trees.concatenate([random_tree(rng, 15_000, FEATURES) for _ in range(3)])
    X = rng.normal(size=(300, FEATURES)).astype(np.float32)
    alone = np.concatenate([ops.predict_trees(trees, X[i : i + 1]) for i in range(0, 300, 7)])
    np.testing.assert_array_equal(ops.predict_trees(trees, X)[::7], alone)


def test_refused_calls() -> None:
    trees, _ = make("numeric")
    X = np.zeros((4, FEATURES))
    with pytest.raises(ShapeError, match="X has 6 columns, expected 7"):
        ops.predict_trees(trees, X[:, :6])
    with pytest.raises(ShapeError, match="X has shape"):
        ops.predict_trees(trees, X[0])
    with pytest.raises(DTypeError, match="X has dtype int64"):
        ops.predict_trees(trees, X.astype(int))
    with pytest.raises(DTypeError, match="out is float32"):
        ops.predict_trees(trees, X, np.zeros((4, 1), np.float32))
    with pytest.raises(ShapeError, match="out has shape"):
        ops.predict_trees(trees, X, np.zeros((4, 2)))
    with pytest.raises(ArgumentError, match="C-contiguous"):
        ops.predict_trees(trees, X, np.zeros((8, 1))[::2])
    with pytest.raises(ArgumentError, match="accumulate needs out"):
        ops.predict_trees(trees, X, accumulate=True)
    for first, last in ((-1, 3), (0, 10), (4, 3), (1.5, 3)):
        with pytest.raises(ArgumentError, match=r"first|last"):
            ops.predict_trees(trees, X, first=first, last=last)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="trees is a list"):
        ops.predict_trees([trees], X)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="step is 0"):
        ops.staged_predict_trees(trees, X, step=0)


def _changed(name: str, index: int, value: float) -> Any:
    def change(trees: Trees) -> Trees:
        array = getattr(trees, name).copy()
        array[index] = value
        return replace(trees, **{name: array})

    return change


MALFORMED: dict[str, Any] = {
    "itself as child": _changed("left", 0, 0),
    "a cycle": _changed("right", 1, 0),
    "a child of another tree": _changed("left", 0, 63),
    "a far child": _changed("right", 0, 2**31 - 1),
    "a negative child": _changed("left", 0, -5),
    "two parents": _changed("left", 0, 2),
    "a leaf with a child": _changed("left", 60, 3),
    "a feature too many": _changed("feature", 0, FEATURES),
    "a negative feature": _changed("feature", 0, -2),
    "a NaN threshold": _changed("threshold", 0, np.nan),
    "a NaN value": _changed("value", 0, np.nan),
    "an infinite value": _changed("value", 3, np.inf),
    "an infinite gain": _changed("gain", 3, np.inf),
    "a negative cover": _changed("cover", 3, -1),
    "a NaN cover": _changed("cover", 3, np.nan),
    "a negative count": _changed("count", 3, -1),
    "missing_left 2": _changed("missing_left", 0, 2),
    "a set past the end": _changed("category_offset", 0, 0),
    "a negative set": _changed("category_offset", 0, -2),
    "words without a set": _changed("category_words", 0, 1),
    "falling offsets": _changed("offsets", 1, 200),
    "offsets that begin late": _changed("offsets", 0, 1),
    "a tree without nodes": _changed("offsets", 1, 0),
    "an output too many": _changed("outputs", 0, 1),
    "some outputs -1": _changed("outputs", 0, -1),
    "a NaN base": _changed("base", 0, np.nan),
    "another dtype": lambda t: replace(t, feature=t.feature.astype(np.int64)),
    "a list": lambda t: replace(t, feature=list(t.feature)),
    "another length": lambda t: replace(t, cover=t.cover[:-1]),
    "two dimensions": lambda t: replace(t, cover=t.cover[:, None]),
    "no offsets": lambda t: replace(t, offsets=t.offsets[:0]),
    "wide values": lambda t: replace(t, value=np.repeat(t.value, 2, axis=1)),
    "no features": lambda t: replace(t, n_features=0),
    "a float for outputs": lambda t: replace(t, n_outputs=1.0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_trees_are_refused(name: str) -> None:
    trees = make("numeric")[0]
    trees.check()
    bad = MALFORMED[name](trees)
    with pytest.raises((ArgumentError, ShapeError, DTypeError), match="Trees"):
        bad.check()
    with pytest.raises((ArgumentError, ShapeError, DTypeError)):
        ops.predict_trees(bad, np.zeros((3, FEATURES)))


def test_trees_in_use_are_read_only() -> None:
    trees, _ = make("numeric")
    X = np.zeros((1, FEATURES))
    before = ops.predict_trees(trees, X)
    with pytest.raises(ValueError, match="read-only"):
        trees.value[0] = 1
    trees.value = trees.value * 2  # a new array is seen
    np.testing.assert_allclose(ops.predict_trees(trees, X) - trees.base, 2 * (before - trees.base))


def test_parts_and_wholes() -> None:
    for name in ENSEMBLES:
        trees, options = make(name)
        X = random_rows(np.random.default_rng(5), 20, FEATURES, np.float64, **options)
        again = Trees.concatenate([trees[i] for i in range(len(trees))])
        for field in vars(replace(trees)):
            if not field.startswith("_"):
                np.testing.assert_array_equal(getattr(again, field), getattr(trees, field), err_msg=field)
        for k in range(len(trees) + 1):
            expected = ops.predict_trees(trees, X, last=k)
            assert ops.predict_trees(trees[:k], X).tobytes() == expected.tobytes()
        np.testing.assert_array_equal(ops.apply_trees(trees[1:], X), ops.apply_trees(trees, X)[:, 1:])
    assert len(trees[4:2]) == 0
    assert len(trees[-1]) == 1
    with pytest.raises(IndexError):
        trees[99]
    with pytest.raises(ArgumentError, match="step"):
        trees[::2]
    with pytest.raises(ArgumentError, match="empty"):
        Trees.concatenate([])
    with pytest.raises(ShapeError, match="part 1 has n_features 3"):
        Trees.concatenate([trees, Trees.empty(3)])
    for copied in (pickle.loads(pickle.dumps(trees)), copy.deepcopy(trees)):
        assert ops.predict_trees(copied, X).tobytes() == ops.predict_trees(trees, X).tobytes()


def test_depth_and_importances() -> None:
    trees = Trees.concatenate(
        [
            Trees.from_nodes([-1], [np.nan], [-1], [-1], [1.0], 3),
            Trees.from_nodes(
                [2, 0, -1, -1, -1],
                [0.5, 1.5, np.nan, np.nan, np.nan],
                [1, 3, -1, -1, -1],
                [2, 4, -1, -1, -1],
                [0, 1, 2, 3, 4],
                3,
                gain=[4.0, 1.0, 0, 0, 0],
            ),
        ]
    )
    np.testing.assert_array_equal(trees.depth(), [0, 2])
    np.testing.assert_array_equal(trees.feature_importances(), [1, 0, 4])
    np.testing.assert_array_equal(trees.feature_importances("split"), [1, 0, 1])
    np.testing.assert_array_equal(trees.feature_importances(normalize=True), [0.2, 0, 0.8])
    np.testing.assert_array_equal(trees[0].feature_importances(normalize=True), [0, 0, 0])
    with pytest.raises(ArgumentError, match="kind"):
        trees.feature_importances("cover")
    assert trees.depth().dtype == np.int32
