"""grow_forest and bootstrap_counts against trees grown by plain Python, on all backends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import ops
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

NODES = ("feature", "threshold", "left", "right", "missing_left", "value", "gain", "cover", "count")


def _term(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0


def _part(criterion: str, y: Any, w: Any, classes: int) -> float:
    """G of a set of rows, as csrc/kernels/tree/tree_forest.h defines it."""
    weight = float(w.sum())
    if classes:
        sums = [float(w[y == c].sum()) for c in range(classes)]
        if criterion == "gini":
            return sum(s * s for s in sums) / weight
        return sum(_term(s) for s in sums) - _term(weight)
    s = float((w * y).sum())
    if criterion == "squared_error":
        return s * s / weight
    return s * math.log(s / weight) if s > 0 else -math.inf


def _reference(
    codes: Any,
    y: Any,
    w: Any,
    low: Any,
    high: Any,
    classes: int = 0,
    criterion: str = "gini",
    max_depth: int | None = None,
    max_leaf_nodes: int | None = None,
    min_samples_split: int = 2,
    min_samples_leaf: int = 1,
    min_weight_leaf: float = 0.0,
    min_impurity_decrease: float = 0.0,
) -> dict[str, Any]:
    """One tree that looks at all features: nodes depth first, or best first."""
    missing = 255 if codes.dtype == np.uint8 else 65535
    nodes: list[dict[str, Any]] = []
    total = float(w.sum())

    def best(rows: Any) -> Any:
        found, top = None, -math.inf
        for f in range(codes.shape[0]):
            c = codes[f, rows]
            present = sorted(set(c[c != missing].tolist()))
            has = bool((c == missing).any())
            for side in range(2 if has else 1):
                for i, k in enumerate(present):
                    if i + 1 == len(present) and not (has and side == 0):
                        continue
                    goes = (c <= k) | ((c == missing) & (side == 1))
                    left, right = rows[goes], rows[~goes]
                    if min(left.size, right.size) < min_samples_leaf:
                        continue
                    if min(w[left].sum(), w[right].sum()) < min_weight_leaf:
                        continue
                    score = _part(criterion, y[left], w[left], classes)
                    score += _part(criterion, y[right], w[right], classes)
                    if score > top:
                        top = score
                        at = high[f][k] / 2 + low[f][present[i + 1]] / 2 if i + 1 < len(present) else math.inf
                        found = (f, at, side if has else left.size > right.size, left, right, score)
        return found

    def new(rows: Any, depth: int, parent: int, side: str) -> Any:
        node: dict[str, Any] = {"feature": -1, "threshold": math.nan, "left": -1, "right": -1}
        weight = float(w[rows].sum())
        value = [w[rows][y[rows] == c].sum() / weight for c in range(classes)]
        node |= {"missing_left": 0, "gain": 0.0, "cover": weight, "count": rows.size}
        node["value"] = value or [(w[rows] * y[rows]).sum() / weight]
        nodes.append(node)
        number = len(nodes) - 1
        if parent >= 0:
            nodes[parent][side] = number
        pure = (y[rows] == y[rows[0]]).all()
        if pure or rows.size < min_samples_split or (max_depth is not None and depth >= max_depth):
            return None
        found = best(rows)
        if found is None:
            return None
        gain = max(found[-1] - _part(criterion, y[rows], w[rows], classes), 0.0)
        gain /= math.log(2) if criterion == "entropy" else 1
        if gain / total + 2.3e-16 < min_impurity_decrease:
            return None
        return gain, number, depth, found

    def split(chosen: Any) -> list[Any]:
        gain, number, depth, (f, at, missing_left, left, right, _) = chosen
        nodes[number] |= {"feature": f, "threshold": at, "missing_left": int(missing_left), "gain": gain}
        return [(left, depth + 1, number, "left"), (right, depth + 1, number, "right")]

    everything = np.flatnonzero(w > 0)
    if max_leaf_nodes is None:
        waiting: list[Any] = [(everything, 0, -1, "")]
        while waiting:
            chosen = new(*waiting.pop())
            if chosen is not None:
                waiting += reversed(split(chosen))
    else:
        open_nodes = [new(everything, 0, -1, "")]
        for _ in range(max_leaf_nodes - 1):
            open_nodes = [node for node in open_nodes if node is not None]
            if not open_nodes:
                break
            chosen = max(open_nodes, key=lambda node: (node[0], -node[1]))
            open_nodes.remove(chosen)
            open_nodes += [new(*child) for child in split(chosen)]
    return {name: np.array([node[name] for node in nodes]) for name in NODES}


def _problem(
    rows: int, bins: int, dtype: Any, classes: int, seed: int = 0, missing: float = 0.0, features: int = 4
) -> Any:
    """Codes, targets with few binary digits (so that sums are exact), and the bounds of the bins."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, bins, (features, rows)).astype(dtype)
    signal = codes[0] / bins + (codes[1] > bins // 2) + 0.5 * rng.random(rows)
    if classes:
        y = np.minimum((signal / 2.5 * classes).astype(np.int64), classes - 1)
    else:
        y = np.round(signal * 64) / 64 + 1 / 64
    codes[rng.random(codes.shape) < missing] = np.iinfo(dtype).max
    low = [np.cumsum(rng.integers(1, 5, bins)).astype(np.float64) for _ in range(features)]
    return codes, y, low, [a + 0.5 for a in low]


def _compare(trees: Any, expected: dict[str, Any], exact: bool = True) -> None:
    np.testing.assert_array_equal(trees.feature, expected["feature"])
    for name in NODES:
        found = getattr(trees, name)
        if exact and name in ("threshold", "left", "right", "missing_left", "count"):
            np.testing.assert_array_equal(found, expected[name], name)
        else:
            np.testing.assert_allclose(found, expected[name], rtol=1e-12, atol=1e-10, err_msg=name)
    trees.check()


CASES: list[tuple[str, dict[str, Any]]] = [
    ("gini", {"classes": 2}),
    ("gini", {"classes": 3}),
    ("entropy", {"classes": 2}),
    ("entropy", {"classes": 5}),
    ("squared_error", {"classes": 0}),
    ("poisson", {"classes": 0}),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_depth": 3},
    {"max_leaf_nodes": 7},
    {"min_samples_split": 12},
    {"min_samples_leaf": 5},
    {"min_weight_leaf": 6.0},
    {"min_impurity_decrease": 0.02},
    {"max_leaf_nodes": 1},
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("criterion", "kind"), CASES)
def test_trees_are_those_of_the_reference(backend: str, criterion: str, kind: Any, dtype: Any) -> None:
    classes = kind["classes"]
    for i, options in enumerate(OPTIONS):
        bins = 5 if i % 2 else (200 if dtype == np.uint8 else 300)
        codes, y, low, high = _problem(61 + i, bins, dtype, classes, i, missing=0.2 if i % 3 == 0 else 0.0)
        weight = np.ones(y.size)
        trees = ops.grow_forest(codes, y, [1], low, high, n_classes=classes, criterion=criterion, **options)
        _compare(trees, _reference(codes, y, weight, low, high, classes, criterion, **options))


@pytest.mark.parametrize(("criterion", "kind"), CASES)
def test_weights_counts_and_class_weights(backend: str, criterion: str, kind: Any) -> None:
    classes = kind["classes"]
    rng = np.random.default_rng(3)
    codes, y, low, high = _problem(70, 30, np.uint8, classes, 9, missing=0.1)
    counts = rng.integers(0, 4, (2, 70)).astype(np.uint16)
    options: dict[str, Any] = {"n_classes": classes, "criterion": criterion, "counts": counts}
    trees = ops.grow_forest(codes, y, [1, 2], low, high, **options)
    for t in range(2):
        _compare(trees[t], _reference(codes, y, counts[t].astype(float), low, high, classes, criterion))
    weight = rng.integers(0, 5, 70) / 4
    trees = ops.grow_forest(codes, y, [1, 2], low, high, sample_weight=weight, **options)
    for t in range(2):
        w = counts[t] * weight
        _compare(trees[t], _reference(codes, y, w, low, high, classes, criterion))
    if classes:
        of_class = 1 / 2 ** rng.integers(0, 3, (2, classes)).astype(float)
        trees = ops.grow_forest(codes, y, [1, 2], low, high, class_weight=of_class, **options)
        for t in range(2):
            w = counts[t] * of_class[t][y]
            _compare(trees[t], _reference(codes, y, w, low, high, classes, criterion))


def _grown(problem: Any, classes: int, **options: Any) -> Any:
    codes, y, low, high = problem
    seeds = np.arange(5) * 977
    counts = ops.bootstrap_counts(y.size, seeds)
    return ops.grow_forest(codes, y, seeds, low, high, n_classes=classes, counts=counts, **options)


def _same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(a.offsets, b.offsets)
    for name in NODES:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


FORESTS: list[dict[str, Any]] = [
    {"max_features": 2},
    {"max_features": 1, "random_thresholds": True},
    {"max_features": 4, "random_thresholds": True, "max_leaf_nodes": 20},
    {"max_features": 2, "min_samples_leaf": 4},
]


@pytest.mark.parametrize("options", FORESTS)
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_same_bits_for_any_threads_batches_and_room(backend: str, classes: int, options: Any) -> None:
    problem = _problem(900, 250, np.uint8, classes, 4, missing=0.05)
    einkorn.set_num_threads(1)
    one = _grown(problem, classes, **options)
    einkorn.set_num_threads(2)
    _same(_grown(problem, classes, **options), one)
    _same(_grown(problem, classes, expected_nodes=30, **options), one)
    codes, y, low, high = problem
    seeds = np.arange(5) * 977
    counts = ops.bootstrap_counts(y.size, seeds[3:4])
    alone = ops.grow_forest(codes, y, seeds[3:4], low, high, n_classes=classes, counts=counts, **options)
    _same(alone, one[3])


@pytest.mark.parametrize("options", FORESTS)
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_engines_draw_the_same_trees(classes: int, options: Any) -> None:
    """Features, thresholds and bootstrap samples come from one stream of random words."""
    if len(einkorn.engines.available()) < 2:
        pytest.skip("one engine only")
    for dtype, bins in ((np.uint8, 40), (np.uint16, 700)):
        problem = _problem(500, bins, dtype, classes, 5, missing=0.05)
        grown = []
        for engine in ("native", "numba"):
            einkorn.set_engine(engine)
            grown.append(_grown(problem, classes, **options))
        _same(*grown)


@pytest.mark.parametrize("random_thresholds", [False, True])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_node_holds_the_rows_that_reach_it(backend: str, classes: int, random_thresholds: bool) -> None:
    """Thresholds in the units of the data send rows where the codes did; sums follow from that."""
    codes, y, low, high = _problem(400, 60, np.uint8, classes, 6, missing=0.1)
    options = {"max_features": 2, "random_thresholds": random_thresholds}
    trees = ops.grow_forest(codes, y, [4, 5], low, high, n_classes=classes, **options)
    x = np.stack(
        [np.append((lo + hi) / 2, [math.nan] * 196)[c] for lo, hi, c in zip(low, high, codes, strict=True)]
    )
    for t in range(2):
        tree = trees[t]
        for node, rows in _walk(tree, {0: np.arange(400)}, x):
            assert tree.count[node] == rows.size
            assert tree.cover[node] == rows.size
            if classes:
                expected = np.bincount(y[rows], minlength=classes) / rows.size
            else:
                expected = np.array([y[rows].mean()])
            np.testing.assert_allclose(tree.value[node], expected, rtol=1e-13)
            is_leaf = tree.feature[node] < 0
            same = (x[:, rows] == x[:, rows[:1]]) | (np.isnan(x[:, rows]) & np.isnan(x[:, rows[:1]]))
            assert is_leaf == bool((y[rows] == y[rows[0]]).all() or same.all())


def _walk(tree: Any, reached: dict[int, Any], x: Any) -> Any:
    for node in range(tree.n_nodes):
        rows = reached[node]
        f = tree.feature[node]
        if f >= 0:
            value = x[f, rows]
            left = (value <= tree.threshold[node]) | (np.isnan(value) & bool(tree.missing_left[node]))
            reached[int(tree.left[node])], reached[int(tree.right[node])] = rows[left], rows[~left]
        yield node, rows


def test_features_and_thresholds_are_drawn_evenly(engine: str) -> None:
    """Roots of many stumps: each feature as often, thresholds uniform in the units of the data."""
    rng = np.random.default_rng(0)
    codes = np.tile(np.arange(200, dtype=np.uint8), (5, 1))
    y = rng.random(200)
    low = [np.arange(200.0) ** 2] * 5  # most bins lie low
    options: dict[str, Any] = {"max_depth": 1, "max_features": 1, "random_thresholds": True}
    trees = ops.grow_forest(codes, y, np.arange(4000), low, low, **options)
    roots = trees.offsets[:-1]
    seen = np.bincount(trees.feature[roots], minlength=5)
    assert abs(seen - 800).max() < 5 * 25.3
    u = np.sort(trees.threshold[roots] / 199.0**2)
    assert (
        abs(u - (np.arange(4000) + 0.5) / 4000).max() < 0.03
    )  # Kolmogorov-Smirnov: 0.03 is 1.9 / sqrt(4000)


def test_drawing_goes_on_past_constant_features(engine: str) -> None:
    codes = np.zeros((30, 40), np.uint8)
    codes[17] = np.arange(40)
    low = [np.arange(40.0)] * 30
    trees = ops.grow_forest(codes, np.arange(40.0), np.arange(20), low, low, max_features=1)
    assert trees.count[trees.feature < 0].max() == 1
    assert set(trees.feature.tolist()) == {-1, 17}


def test_bootstrap(backend: str) -> None:
    counts = ops.bootstrap_counts(1000, [3, 4, 3], 2500)
    assert counts.dtype == np.uint16
    np.testing.assert_array_equal(counts.sum(axis=1), 2500)
    np.testing.assert_array_equal(counts[0], counts[2])
    assert (counts[0] != counts[1]).any()
    assert abs(counts[:2].var() / 2.5 - 1) < 0.15  # Poisson-like
    einkorn.set_num_threads(1)
    np.testing.assert_array_equal(ops.bootstrap_counts(1000, [3, 4, 3], 2500), counts)
    np.testing.assert_array_equal(ops.bootstrap_counts(7, [1], 0), np.zeros((1, 7)))
    assert ops.bootstrap_counts(1, [1], 70_000)[0, 0] == 65535
    assert ops.bootstrap_counts(5, np.empty(0, np.int64)).shape == (0, 5)


def test_edges(backend: str) -> None:
    low = [np.arange(3.0)]
    one = ops.grow_forest(np.array([[1]], np.uint8), [2.5], [0], low, low)
    assert one.n_nodes == 1
    assert one.value[0, 0] == 2.5
    none = ops.grow_forest(np.array([[1]], np.uint8), [2.5], np.empty(0, np.int64), low, low)
    assert none.n_trees == 0
    missing = ops.grow_forest(np.full((2, 3), 255, np.uint8), [0, 1, 1], [0], low * 2, low * 2, n_classes=2)
    assert missing.n_nodes == 1
    apart = ops.grow_forest(np.array([[1, 1, 255]], np.uint8), [0, 0, 1], [0], low, low, n_classes=2)
    assert apart.threshold[0] == math.inf
    assert apart.missing_left[0] == 0
    np.testing.assert_array_equal(apart.value[1:], [[1, 0], [0, 1]])


def test_refused(engine: str) -> None:
    codes, y, low, high = _problem(20, 6, np.uint8, 2)
    good: dict[str, Any] = {"n_classes": 2}

    def grow(
        *, c: Any = codes, t: Any = y, s: Any = (1,), lo: Any = low, hi: Any = high, **options: Any
    ) -> None:
        ops.grow_forest(c, t, s, lo, hi, **(good | options))

    wrong = codes.copy()
    wrong[2, 3] = 6
    with pytest.raises(IndexRangeError, match="codes has a code"):
        grow(c=wrong)
    with pytest.raises(IndexRangeError, match="classes from 0 to 2"):
        grow(t=np.append(y[:-1], 2))
    with pytest.raises(DTypeError, match="codes has dtype int64"):
        grow(c=codes.astype(np.int64))
    with pytest.raises(DTypeError, match="target has dtype float64"):
        grow(t=y + 0.5)
    with pytest.raises(DTypeError, match="seeds"):
        grow(s=[0.5])
    for bad in (codes[0], codes[:, :0], codes[:0]):
        with pytest.raises(ShapeError, match="codes has shape"):
            grow(c=bad)
    with pytest.raises(ShapeError, match="target has shape"):
        grow(t=y[:-1])
    with pytest.raises(ShapeError, match="low has 3 arrays"):
        grow(lo=low[:-1])
    with pytest.raises(ShapeError, match="low and high of feature 0"):
        grow(lo=[low[0][:-1], *low[1:]])
    with pytest.raises(ShapeError, match="counts has shape"):
        grow(counts=np.ones((2, 20), np.uint16))
    with pytest.raises(DTypeError, match="counts has dtype"):
        grow(counts=np.ones((1, 20)))
    with pytest.raises(ArgumentError, match="no rows"):
        grow(counts=np.zeros((1, 20), np.uint16))
    for weight in (np.full(20, -1.0), np.zeros(20), np.full(20, np.nan)):
        with pytest.raises(ArgumentError, match="sample_weight"):
            grow(sample_weight=weight)
    with pytest.raises(ShapeError, match="class_weight"):
        grow(class_weight=np.ones((1, 3)))
    for name, value in [
        ("criterion", "mse"),
        ("max_features", 0),
        ("max_features", 5),
        ("max_depth", -1),
        ("max_leaf_nodes", 0),
        ("min_samples_leaf", 0.5),
        ("min_weight_leaf", -1),
        ("min_impurity_decrease", math.nan),
    ]:
        with pytest.raises(ArgumentError, match=f"grow_forest: {name}"):
            grow(**{name: value})
    for target in ([math.nan] * 20, [math.inf] * 20, [-1.0] * 20):
        with pytest.raises(ArgumentError, match="target has"):
            grow(t=target, n_classes=0, criterion="poisson")
    with pytest.raises(ArgumentError, match="n_rows"):
        ops.bootstrap_counts(0, [1])
