"""Containers whose contents kernels trust: checked wherever they come from, and not to be changed."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from small_cascade import small_cascade

from einkorn import ops
from einkorn.boosting import Binner, Trees
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
X[RNG.random(X.shape) < 0.1] = np.nan
X[:, 2] = np.round(X[:, 2])
WEIGHTS = RNG.choice(np.float32([-1, 1]), 60)


@pytest.fixture
def presorted():
    return ops.presort(X)


@pytest.fixture
def table():
    binner = Binner().fit(X)
    return ops.CodeTable(binner.transform(X), binner.n_bins_)


@pytest.fixture
def tree(table):
    return ops.grow_tree(table, RNG.normal(size=60).astype(np.float32), min_samples_leaf=2)


@pytest.fixture
def cascade():
    return small_cascade(4)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("order", lambda a: np.full_like(a, 10**8), IndexRangeError),
        ("order", lambda a: np.full_like(a, -1), IndexRangeError),
        ("order", lambda a: np.zeros_like(a), ArgumentError),
        ("order", lambda a: a[:, ::-1], ArgumentError),
        ("order", lambda a: a & 0x7FFFFFFF, ArgumentError),
        ("order", lambda a: a[:, :-1], ShapeError),
        ("order", lambda a: a.astype(np.float64), DTypeError),
        ("order", list, DTypeError),
        ("missing", lambda a: a + 10**9, IndexRangeError),
        ("missing", lambda a: a - 10**9, IndexRangeError),
        ("missing", lambda a: a + 1, ArgumentError),
        ("missing", lambda a: a[:1], ShapeError),
        ("missing", lambda a: a.astype(np.int32), DTypeError),
        ("columns", lambda a: a[:1], ShapeError),
        ("columns", lambda a: np.zeros(a.shape, np.int32), DTypeError),
    ],
)
def test_presorted_checks_what_it_is_made_of(presorted, name, change, error):
    parts = {n: getattr(presorted, n) for n in ("order", "columns", "missing")}
    parts[name] = change(parts[name])
    with pytest.raises(error, match=r"^Presorted: "):
        ops.Presorted(**parts)


def test_presorted_made_by_hand_serves_as_the_one_that_presort_makes(presorted):
    again = ops.Presorted(*(np.array(a) for a in (presorted.order, presorted.columns, presorted.missing)))
    expected, found = (ops.stump_search(p, WEIGHTS) for p in (presorted, again))
    assert found[:3] == expected[:3]


def test_binned_rows_refuse_more_bins_than_codes():
    with pytest.raises(ArgumentError, match="300 bins"):
        ops.BinnedRows(np.zeros((1, 5), np.uint8), [np.arange(299.0)], 255)
    with pytest.raises(DTypeError, match="missing_code"):
        ops.BinnedRows(np.zeros((1, 5), np.uint8), [np.arange(3.0)], 255.0)


def _containers(presorted, table, cascade):
    binner = Binner().fit(X)
    yield presorted, ("order", "columns", "missing")
    yield ops.BinnedRows(binner.transform(X), binner.edges_, 255), ("codes", "bins", "missing")
    yield table, ("codes", "n_bins", "is_categorical", "by_row")
    yield cascade, ("rects", "feature", "left", "right", "tree_nodes", "stage_trees")


def test_containers_stay_as_they_were_checked(presorted, table, cascade):
    for made in _containers(presorted, table, cascade):
        container, names = made
        for same in (container, pickle.loads(pickle.dumps(container)), copy.deepcopy(container)):
            for name in names:
                assert not getattr(same, name).flags.writeable, (type(same), name)
                with pytest.raises(AttributeError):
                    setattr(same, name, getattr(container, name))


def test_unpickling_checks():
    made = ops.presort(X)
    make, (order, columns, missing) = made.__reduce__()
    with pytest.raises(IndexRangeError):
        make(order + 60, columns, missing)


def test_containers_do_not_share_memory_that_others_write_to(presorted):
    codes = np.zeros((1, 5), np.uint8)
    view = codes.view()
    view.flags.writeable = False
    for made in (ops.CodeTable(view, [3]), ops.BinnedRows(view, [np.arange(2.0)], 255)):
        assert not np.shares_memory(made.codes, codes)
    order = np.array(presorted.order)
    assert not np.shares_memory(ops.Presorted(order, presorted.columns, presorted.missing).order, order)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("value", lambda a: a[:1].copy(), ShapeError),
        ("value", lambda a: a.astype(np.float32), DTypeError),
        ("leaf", lambda a: np.full(a.shape, 10**8, np.int32), IndexRangeError),
        ("leaf", lambda a: np.full(a.shape, -1, np.int32), IndexRangeError),
        ("leaf", lambda a: a.astype(np.int64), DTypeError),
        ("left", lambda a: np.zeros_like(a), IndexRangeError),
        ("right", lambda a: a + 10**6, IndexRangeError),
        ("feature", lambda a: a[:0], ShapeError),
        ("missing_left", lambda a: a[:2], ShapeError),
        ("categories", lambda a: a[:1], ShapeError),
        ("code", lambda a: a.tolist(), DTypeError),
    ],
)
def test_a_changed_tree_is_checked(table, tree, name, change, error):
    changed = dataclasses.replace(tree, **{name: change(getattr(tree, name))})
    assigned = copy.copy(tree)
    setattr(assigned, name, change(getattr(tree, name)))
    for bad in (changed, assigned):
        with pytest.raises(error, match=r"^GrownTree: "):
            ops.update_scores(np.zeros(60), bad)
        with pytest.raises(error, match=r"^GrownTree: "):
            ops.apply_codes(bad, table)


def test_a_changed_tree_that_fits_is_used(table, tree):
    doubled = dataclasses.replace(tree, value=tree.value * 2)
    scores = np.zeros(60)
    ops.update_scores(scores, doubled)
    np.testing.assert_array_equal(scores, doubled.value[tree.leaf])
    np.testing.assert_array_equal(ops.apply_codes(pickle.loads(pickle.dumps(tree)), table), tree.leaf)
    with pytest.raises(DTypeError, match="GrownTree"):
        ops.update_scores(scores, tree.value)


def test_the_tables_feature_must_be_the_trees(table, tree):
    other = dataclasses.replace(tree, feature=np.where(tree.feature >= 0, 99, -1).astype(np.int32))
    with pytest.raises(ShapeError, match="feature 99"):
        ops.apply_codes(other, table)


def test_checked_trees_do_not_share_memory_that_others_write_to():
    left = np.array([1, -1, -1], np.int32)
    made = Trees.from_nodes([0, -1, -1], [0.5, np.nan, np.nan], left, [2, -1, -1], [0.0, 1.0, 2.0], 1)
    parts = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    base = np.array(left)
    parts["left"] = base[:]
    parts["left"].flags.writeable = False
    trees = Trees(**parts)
    ops.predict_trees(trees, np.zeros((1, 1)))
    base[:] = 10**8
    assert ops.tree_shap(trees, np.zeros((1, 1))).sum() == 1.0


def test_what_a_prediction_was_packed_into_is_read_only():
    trees = Trees.from_nodes([-1], [np.nan], [-1], [-1], [1.0], 1)
    assert not any(a.flags.writeable for a in trees.layout(np.float64).arrays())
