"""Trees grown over codes against a brute-force grower in plain NumPy, on every engine and instruction set."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import einkorn
from einkorn import errors
from einkorn.boosting.binning import Binner
from einkorn.ops.tree_grow import CodeTable, GrownTree, apply_codes, grow_tree, update_scores

DEFAULTS: dict[str, Any] = {
    "growth": "leaf",
    "max_leaves": 31,
    "max_depth": None,
    "min_samples_leaf": 20,
    "min_child_weight": 1e-3,
    "reg_alpha": 0.0,
    "reg_lambda": 0.0,
    "min_split_gain": 0.0,
    "max_delta_step": 0.0,
    "learning_rate": 0.1,
    "rows": None,
    "features": None,
    "monotone": None,
    "interactions": None,
    "cat_smooth": 10.0,
    "cat_l2": 10.0,
    "max_cat_threshold": 32,
    "max_cat_to_onehot": 4,
}
# Splits whose gains differ by less are equally good: float64 sums round, and sides can be swapped.
TIE = 1e-7


class Reference:
    """Checks a tree node by node: every split must be as good as the best of all there are."""

    def __init__(
        self, table: CodeTable, g: np.ndarray, h: np.ndarray | None, options: dict[str, Any]
    ) -> None:
        self.o = DEFAULTS | options
        self.table = table
        self.g = g.astype(np.float64)
        self.h = np.ones(len(g)) if h is None else h.astype(np.float64)

    def weight(self, g: float, h: float, bounds: tuple[float, float], l2: float | None = None) -> float:
        l2 = self.o["reg_lambda"] if l2 is None else l2
        if h + l2 <= 0:
            return 0.0
        w = -np.sign(g) * max(abs(g) - self.o["reg_alpha"], 0) / (h + l2)
        step = self.o["max_delta_step"] or np.inf
        return float(np.clip(np.clip(w, -step, step), *bounds))

    def score(
        self, rows: np.ndarray, bounds: tuple[float, float], l2: float | None = None
    ) -> tuple[float, float]:
        """What the loss falls by (twice) when these rows get the best value allowed; and that value."""
        l2 = self.o["reg_lambda"] if l2 is None else l2
        g, h = self.g[rows].sum(), self.h[rows].sum()
        w = self.weight(g, h, bounds, l2)
        return -(2 * g * w + (h + l2) * w * w + 2 * self.o["reg_alpha"] * abs(w)), w

    def splits(self, rows: np.ndarray, f: int) -> Any:
        """All ways to part the rows by a feature: mask of the left side, extra l2."""
        c, bins = self.table.codes[f, rows], int(self.table.n_bins[f])
        missing = c == self.table.missing_code
        if not self.table.is_categorical[f]:
            for k in range(bins):
                yield (c <= k) & ~missing, 0.0
                if missing.any():
                    yield (c <= k) | missing, 0.0
            return
        seen = [b for b in range(bins - 1) if (c == b).any()]
        if len(seen) <= self.o["max_cat_to_onehot"]:
            for b in seen:
                yield c == b, 0.0
            return
        key = {}
        for b in seen:
            at = rows[c == b]
            key[b] = self.g[at].sum() / (self.h[at].sum() + self.o["cat_smooth"])
        order = sorted(seen, key=lambda b: (key[b], b))
        most = min(self.o["max_cat_threshold"], (len(seen) + 1) // 2)
        for k, ordered in itertools.product(range(1, most + 1), (order, order[::-1])):
            yield np.isin(c, ordered[:k]), self.o["cat_l2"]

    def gain(
        self, rows: np.ndarray, left: np.ndarray, f: int, bounds: tuple[float, float], l2: float
    ) -> float:
        """Gain of a split, -inf where it does not count."""
        a, b = rows[left], rows[~left]
        least = self.o["min_samples_leaf"]
        if min(len(a), len(b)) < least or min(self.h[a].sum(), self.h[b].sum()) < self.o["min_child_weight"]:
            return -np.inf
        l2 += self.o["reg_lambda"]
        (sa, wa), (sb, wb) = self.score(a, bounds, l2), self.score(b, bounds, l2)
        sign = 0 if self.o["monotone"] is None else self.o["monotone"][f]
        if sign * (wb - wa) < 0:
            return -np.inf
        return sa + sb - self.score(rows, bounds)[0]

    def allowed(self, path: frozenset[int]) -> list[int]:
        features = range(self.table.n_features) if self.o["features"] is None else self.o["features"]
        groups = self.o["interactions"]
        if groups is None:
            return list(features)
        return [f for f in features if any(f in group and path <= set(group) for group in groups)]

    def best(self, rows: np.ndarray, path: frozenset[int], bounds: tuple[float, float]) -> float:
        gains = [
            self.gain(rows, left, f, bounds, l2)
            for f in self.allowed(path)
            for left, l2 in self.splits(rows, f)
        ]
        return max(gains, default=-np.inf)

    def check(self, tree: GrownTree) -> None:
        rows = np.arange(self.table.n_rows) if self.o["rows"] is None else self.o["rows"]
        inf = np.inf
        nodes: dict[int, Any] = {0: (rows, frozenset(), (-inf, inf), 0)}
        depth_limit = self.o["max_depth"]
        for i in range(len(tree.feature)):
            rows, path, bounds, depth = nodes[i]
            assert tree.count[i] == len(rows)
            np.testing.assert_allclose(tree.cover[i], self.h[rows].sum(), rtol=1e-7, atol=1e-12)
            value = self.o["learning_rate"] * self.score(rows, bounds)[1]
            np.testing.assert_allclose(tree.value[i], value, rtol=1e-6, atol=1e-8)
            f = int(tree.feature[i])
            if f < 0:
                assert tree.left[i] == tree.right[i] == tree.code[i] == -1
                assert tree.gain[i] == 0
                assert not tree.categories[i].any()
                continue
            c = self.table.codes[f, rows].astype(int)
            missing = c == self.table.missing_code
            if self.table.is_categorical[f]:
                assert tree.code[i] == -1
                words = tree.categories[i][np.minimum(c // 32, tree.categories.shape[1] - 1)]
                known = ~missing & (c < self.table.n_bins[f] - 1)
                left = known & ((words >> (c % 32).astype(np.uint32)) & 1 == 1)
                left |= missing & (tree.missing_left[i] == 1)
                others = ~missing & ~known
                assert others.any() or 2 * left.sum() <= len(rows)
                if not missing.any():
                    assert tree.missing_left[i] == (2 * left.sum() > len(rows))
                extra = 0.0 if len(set(c[known])) <= self.o["max_cat_to_onehot"] else self.o["cat_l2"]
            else:
                left = np.where(missing, tree.missing_left[i] == 1, c <= tree.code[i])
                extra = 0.0
                if not missing.any():
                    assert tree.missing_left[i] == (2 * left.sum() > len(rows))
            gain = self.gain(rows, left, f, bounds, extra)
            scale = 1 + abs(self.score(rows, bounds)[0])
            np.testing.assert_allclose(tree.gain[i], gain, rtol=1e-6, atol=TIE * scale)
            assert f in self.allowed(path)
            assert gain >= self.best(rows, path, bounds) - TIE * scale
            assert gain > self.o["min_split_gain"]
            assert depth_limit is None or depth < depth_limit
            low = high = bounds
            sign = 0 if self.o["monotone"] is None else self.o["monotone"][f]
            if sign:
                middle = (self.score(rows[left], bounds)[1] + self.score(rows[~left], bounds)[1]) / 2
                low, high = (bounds[0], middle), (middle, bounds[1])
            a, b = (low, high) if sign >= 0 else (high, low)
            assert i < tree.left[i] < tree.right[i]
            nodes[int(tree.left[i])] = (rows[left], path | {f}, a, depth + 1)
            nodes[int(tree.right[i])] = (rows[~left], path | {f}, b, depth + 1)
        self._check_order(tree, nodes)

    def _check_order(self, tree: GrownTree, nodes: dict[int, Any]) -> None:
        """Splits came in the order asked for, and growth stopped only where it had to."""
        inner = np.flatnonzero(tree.feature >= 0)
        order = inner[np.argsort(tree.left[inner])]  # children are numbered as splits are made
        if self.o["growth"] == "depth":
            np.testing.assert_array_equal(order, np.sort(order))
        else:
            for a, b in itertools.pairwise(order):
                if b < tree.left[a]:  # b was waiting when a was taken
                    assert tree.gain[b] <= tree.gain[a] * (1 + 1e-6)
        leaves = np.flatnonzero(tree.feature < 0)
        full = self.o["max_leaves"] is not None and len(leaves) == self.o["max_leaves"]
        for i in leaves:
            rows, path, bounds, depth = nodes[int(i)]
            if full or depth == self.o["max_depth"]:
                continue
            scale = 1 + abs(self.score(rows, bounds)[0])
            assert self.best(rows, path, bounds) <= self.o["min_split_gain"] + TIE * scale


def _table(
    rows: int, features: int, seed: int, *, max_bins: int = 12, missing: float = 0.0, categories: int = 0
) -> CodeTable:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features))
    marks = np.zeros(features, bool)
    if categories:
        marks[0] = True
        X[:, 0] = rng.integers(0, categories, rows)
    X[rng.random(X.shape) < missing] = np.nan
    binner = Binner(max_bins=max_bins, categorical=marks).fit(X)
    return CodeTable(binner.transform(X), binner.n_bins_, categorical=marks)


def _gradients(table: CodeTable, seed: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed + 100)
    g = rng.normal(size=table.n_rows) + 0.5 * (table.codes[0].astype(float) % 3) - 0.3 * (table.codes[-1] > 4)
    return g.astype(dtype), (rng.random(table.n_rows) + 0.1).astype(dtype)


def _same(a: GrownTree, b: GrownTree) -> None:
    for field in dataclasses.fields(GrownTree):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


OPTIONS = [
    {},
    {"growth": "depth", "max_depth": 3, "max_leaves": None, "min_samples_leaf": 4},
    {"growth": "depth", "max_leaves": 6, "min_samples_leaf": 2},
    {"min_samples_leaf": 1, "max_leaves": 9},
    {"min_samples_leaf": 1, "max_leaves": None, "min_child_weight": 4.0},
    {"reg_lambda": 2.0, "reg_alpha": 1.5, "min_samples_leaf": 5},
    {"min_split_gain": 3.0, "min_samples_leaf": 3},
    {"max_delta_step": 0.2, "min_samples_leaf": 5, "learning_rate": 1.0},
    {"monotone": (0, 1, -1, 0), "min_samples_leaf": 3},
    {"monotone": (0, -1, 1, 1), "min_samples_leaf": 3, "reg_alpha": 0.5, "max_delta_step": 0.7},
    {"interactions": [[0, 1], [1, 2], [3]], "min_samples_leaf": 3},
    {"features": [1, 3], "min_samples_leaf": 3},
    {"rows": np.arange(3, 130, 2), "min_samples_leaf": 3},
    {"max_leaves": 1},
    {"max_depth": 0},
]


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_against_brute_force(backend: str, options: dict[str, Any], missing: float) -> None:
    table = _table(130, 4, 1, missing=missing)
    g, h = _gradients(table, 1)
    for hessians in (h, None):
        tree = grow_tree(table, g, hessians, **options)
        Reference(table, g, hessians, options).check(tree)
        rows = options.get("rows", np.arange(130))
        np.testing.assert_array_equal(
            np.bincount(tree.leaf[rows], minlength=len(tree.count))[tree.feature < 0],
            tree.count[tree.feature < 0],
        )
        np.testing.assert_array_equal(apply_codes(tree, table), tree.leaf)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize(
    "options",
    [
        {"cat_smooth": 1.0, "cat_l2": 0.5},
        {"cat_smooth": 0.0, "cat_l2": 0.0, "reg_lambda": 1.0, "max_cat_threshold": 2},
        {"max_cat_to_onehot": 50},
        {"monotone": (0, 1, 1), "cat_l2": 1.0},
        {"interactions": [[0, 1], [2]], "cat_l2": 1.0, "reg_alpha": 0.4},
    ],
    ids=str,
)
@pytest.mark.parametrize(("categories", "max_bins"), [(3, 12), (40, 20)])
def test_categories_against_brute_force(
    backend: str, options: dict[str, Any], missing: float, categories: int, max_bins: int
) -> None:
    table = _table(160, 3, 2, categories=categories, max_bins=max_bins, missing=missing)
    g, h = _gradients(table, 2)
    options = {"min_samples_leaf": 4, **options}
    tree = grow_tree(table, g, h, **options)
    Reference(table, g, h, options).check(tree)
    np.testing.assert_array_equal(apply_codes(tree, table), tree.leaf)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_options(data: st.DataObject) -> None:
    draw = data.draw
    n = draw(st.integers(1, 5))
    table = _table(
        draw(st.integers(1, 120)),
        n,
        draw(st.integers(0, 9)),
        max_bins=draw(st.sampled_from([2, 5, 300])),
        missing=draw(st.sampled_from([0.0, 0.3])),
        categories=draw(st.sampled_from([0, 3, 20])),
    )
    signs = [0, *draw(st.lists(st.integers(-1, 1), min_size=n - 1, max_size=n - 1))]
    options = {
        "growth": draw(st.sampled_from(["leaf", "depth"])),
        "max_leaves": draw(st.sampled_from([None, 2, 5])),
        "max_depth": draw(st.sampled_from([None, 1, 3])),
        "min_samples_leaf": draw(st.integers(1, 9)),
        "reg_lambda": draw(st.sampled_from([0.0, 1.0])),
        "reg_alpha": draw(st.sampled_from([0.0, 0.5])),
        "max_delta_step": draw(st.sampled_from([0.0, 0.3])),
        "monotone": draw(st.sampled_from([None, signs])),
        "interactions": draw(st.sampled_from([None, [[0], list(range(n))], [list(range(0, n, 2))]])),
    }
    g, h = _gradients(table, 3)
    hessians = draw(st.sampled_from([None, h]))
    Reference(table, g, hessians, options).check(grow_tree(table, g, hessians, **options))


@pytest.mark.parametrize("code", ["uint8", "uint16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [1, 7, 9, 20])
def test_both_engines_and_all_widths(backend: str, code: str, dtype: str, features: int) -> None:
    """The same tree on every backend, from codes of either type, whatever the number of features."""
    small = _table(500, features, 4, missing=0.1)
    codes = small.codes.astype(code)
    codes[small.codes == 255] = np.iinfo(code).max
    table = CodeTable(codes, small.n_bins)
    g, h = _gradients(small, 4, dtype)
    tree = grow_tree(table, g, h)
    einkorn.set_engine("numba" if "numba" in einkorn.engines.available() else "native")
    other = grow_tree(small, g, h)
    for name in ("feature", "code", "left", "right", "missing_left", "count", "leaf", "cover", "value"):
        np.testing.assert_array_equal(getattr(tree, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("hessian", [True, False])
@pytest.mark.parametrize("features", [3, 20])
def test_any_thread_count_gives_the_same_bits(features: int, hessian: bool) -> None:
    """Enough rows for blocks of rows: histograms of many threads, partitions in blocks."""
    rng = np.random.default_rng(5)
    rows = 120_000
    codes = rng.integers(0, 200, (features, rows)).astype(np.uint8)
    codes[1, rng.random(rows) < 0.2] = 255
    table = CodeTable(codes, np.full(features, 255))
    g = (rng.normal(size=rows) + 0.01 * codes[0]).astype(np.float32)
    h = rng.random(rows).astype(np.float32) if hessian else None
    some = np.flatnonzero(rng.random(rows) < 0.7)
    for rows_used in (None, some):
        trees = []
        for threads in (1, 2, 5):
            einkorn.set_num_threads(threads)
            trees.append(grow_tree(table, g, h, rows=rows_used, max_leaves=12))
            scores = np.zeros(rows, np.float32)
            update_scores(scores, trees[-1])
            np.testing.assert_array_equal(scores, trees[-1].value[trees[-1].leaf].astype(np.float32))
        for other in trees[1:]:
            _same(trees[0], other)
        # An inner node's rows are those of its children: none was lost.
        tree = trees[0]
        inner, leaves = tree.feature >= 0, tree.feature < 0
        below = tree.count[tree.left[inner]] + tree.count[tree.right[inner]]
        np.testing.assert_array_equal(tree.count[inner], below)
        used = np.arange(rows) if rows_used is None else rows_used
        counts = np.bincount(tree.leaf[used], minlength=len(tree.count))
        np.testing.assert_array_equal(counts[leaves], tree.count[leaves])


def test_histograms_beyond_the_budget(backend: str) -> None:
    """Many open leaves over wide histograms: those without one sum their rows again, with the same result."""
    if backend == "numba":
        pytest.skip("the numba engine keeps no histograms")
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 60_000, (6, 400)).astype(np.uint16)
    table = CodeTable(codes, np.full(6, 65535))
    wide = CodeTable(np.vstack([codes] + [np.zeros((1, 400), np.uint16)] * 60), np.full(66, 65535))
    g = rng.normal(size=400) + (codes[0] > 30_000)
    narrow_tree = grow_tree(table, g, None, min_samples_leaf=3, max_leaves=40)
    wide_tree = grow_tree(wide, g, None, min_samples_leaf=3, max_leaves=40)
    assert len(narrow_tree.feature) == 79
    _same(narrow_tree, wide_tree)


def test_sampled_features(backend: str) -> None:
    table = _table(400, 10, 7)
    g, h = _gradients(table, 7)
    drawn = {"colsample_bynode": 0.2, "seed": 3, "min_samples_leaf": 5}
    trees = [grow_tree(table, g, h, tree=t, **drawn) for t in range(8)]
    assert len({int(t.feature[0]) for t in trees}) > 2
    _same(trees[3], grow_tree(table, g, h, tree=3, **drawn))
    level = grow_tree(table, g, h, colsample_bylevel=0.1, growth="depth", min_samples_leaf=5)
    depth = np.zeros(len(level.feature), int)
    for i in np.flatnonzero(level.feature >= 0):
        depth[[level.left[i], level.right[i]]] = depth[i] + 1
    for d in range(depth.max()):
        assert len(set(level.feature[(depth == d) & (level.feature >= 0)])) == 1  # one feature for each level
    inside = grow_tree(table, g, h, colsample_bynode=0.5, features=[2, 5, 7], min_samples_leaf=5)
    assert set(inside.feature) <= {-1, 2, 5, 7}


def test_small_and_flat_data(backend: str) -> None:
    one = CodeTable(np.zeros((3, 1), np.uint8), [1, 2, 3])
    tree = grow_tree(one, np.array([2.0]), np.array([4.0]), learning_rate=1.0, min_samples_leaf=1)
    assert tree.feature.tolist() == [-1]
    assert tree.value[0] == -0.5
    flat = CodeTable(np.zeros((2, 50), np.uint8), [1, 9])
    assert len(grow_tree(flat, np.arange(50.0), None, min_samples_leaf=1).feature) == 1
    table = _table(60, 2, 8)
    assert len(grow_tree(table, np.ones(60), np.ones(60), min_samples_leaf=1).feature) == 1  # nothing to gain
    assert grow_tree(table, np.zeros(60), np.zeros(60)).value.tolist() == [0.0]
    none = CodeTable(np.zeros((0, 5), np.uint8), np.zeros(0, int))
    assert grow_tree(none, np.ones(5), min_samples_leaf=1, learning_rate=1.0).value.tolist() == [-1.0]
    assert CodeTable(np.zeros((2, 0), np.uint8), [3, 3]).by_row.shape == (0, 8)
    for scale in (1e-100, 1e-40, 1e30, 1e100):  # gradients of any size
        big = grow_tree(table, scale * np.where(table.codes[0] < 5, -1.0, 1.0), None, min_samples_leaf=5)
        assert big.feature[0] == 0
        assert big.code[0] == 4


def test_scores(backend: str) -> None:
    table = _table(100, 3, 9)
    g, h = _gradients(table, 9)
    tree = grow_tree(table, g, h)
    for dtype in ("float32", "float64"):
        both = np.ones((100, 2), dtype)
        update_scores(both[:, 1], tree)
        np.testing.assert_allclose(both[:, 1], 1 + tree.value[tree.leaf], rtol=1e-6)
        assert (both[:, 0] == 1).all()


def _call(**changes: Any) -> None:
    table = CodeTable(np.zeros((2, 4), np.uint8), [3, 3], categorical=[False, True])
    arguments: dict[str, Any] = {"table": table, "gradients": np.ones(4), "hessians": np.ones(4)}
    grow_tree(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"table": 3}, errors.DTypeError, "table"),
        ({"gradients": np.ones(3)}, errors.ShapeError, "gradients"),
        ({"gradients": np.ones(4, int)}, errors.DTypeError, "gradients"),
        ({"gradients": np.array([1, np.nan, 1, 1])}, errors.DataError, "gradients"),
        ({"gradients": np.array([1, 1, 1, -np.inf])}, errors.DataError, "gradients"),
        ({"hessians": np.ones(4, np.float32)}, errors.DTypeError, "hessians"),
        ({"hessians": np.array([1, -1.0, 1, 1])}, errors.DataError, "hessians"),
        ({"hessians": np.array([np.nan, 1.0, 1, 1])}, errors.DataError, "hessians"),
        ({"hessians": np.array([1, 1, np.inf, 1])}, errors.DataError, "hessians"),
        ({"growth": "wide"}, errors.ArgumentError, "growth"),
        ({"max_leaves": 0}, errors.ArgumentError, "max_leaves"),
        ({"max_depth": -1}, errors.ArgumentError, "max_depth"),
        ({"min_samples_leaf": 0}, errors.ArgumentError, "min_samples_leaf"),
        ({"reg_lambda": -1}, errors.ArgumentError, "reg_lambda"),
        ({"reg_alpha": np.nan}, errors.ArgumentError, "reg_alpha"),
        ({"learning_rate": "x"}, errors.ArgumentError, "learning_rate"),
        ({"colsample_bynode": 0}, errors.ArgumentError, "colsample_bynode"),
        ({"colsample_bylevel": 1.5}, errors.ArgumentError, "colsample_bylevel"),
        ({"rows": np.array([1, 1])}, errors.IndexRangeError, "rows"),
        ({"rows": np.array([0, 4])}, errors.IndexRangeError, "rows"),
        ({"rows": np.array([-1, 2])}, errors.IndexRangeError, "rows"),
        ({"rows": np.array([], int)}, errors.DataError, "rows"),
        ({"features": [2]}, errors.IndexRangeError, "features"),
        ({"features": [True]}, errors.ShapeError, "features"),
        ({"monotone": [1]}, errors.ShapeError, "monotone"),
        ({"monotone": [2, 0]}, errors.ArgumentError, "monotone"),
        ({"monotone": [0, 1]}, errors.ArgumentError, "categorical"),
        ({"interactions": [[5]]}, errors.IndexRangeError, "interactions"),
        ({"tree": 1 << 23}, errors.ArgumentError, "tree"),
    ],
    ids=str,
)
def test_bad_input_is_refused_by_name(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        _call(**changes)


def test_bad_tables_are_refused_by_name(backend: str) -> None:
    codes = np.zeros((2, 900), np.uint8)
    codes[1, 700] = 3
    with pytest.raises(errors.IndexRangeError, match="3 for feature 1 in row 700"):
        CodeTable(codes, [3, 3])
    codes[1, 700] = 255
    CodeTable(codes, [3, 3])
    for arguments, error in (
        ((codes, [3]), errors.ShapeError),
        ((codes, [3, 0]), errors.ArgumentError),
        ((codes, [3, 256]), errors.ArgumentError),
        ((codes[0], [3]), errors.ShapeError),
        ((codes.astype(int), [3, 3]), errors.DTypeError),
    ):
        with pytest.raises(error):
            CodeTable(*arguments)
    table = CodeTable(codes, [3, 3])
    tree = grow_tree(table, np.arange(900.0))
    with pytest.raises(errors.IndexRangeError, match="leaf"):
        update_scores(np.zeros(1), tree, np.array([99], np.int32))
    with pytest.raises(errors.ShapeError, match="scores"):
        update_scores(np.zeros(3), tree)
