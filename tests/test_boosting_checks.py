"""The checks that the boosting estimators share: what comes in, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator

import einkorn
from einkorn.boosting import _base
from einkorn.errors import ArgumentError, DTypeError, EinkornError, ShapeError

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def check(data: Any, **options: Any) -> np.ndarray:
    return _base.check_X(BaseEstimator(), data, reset=True, **options)


def test_floats_are_not_copied() -> None:
    views = (X, X[::-2], np.asfortranarray(X), X.astype(np.float64), X.T, np.lib.stride_tricks.as_strided(X))
    for view in views:
        assert np.shares_memory(check(view), view)
        assert check(view).strides == view.strides


def test_other_types_become_floats() -> None:
    assert check(X.astype(np.float16)).dtype == np.float32
    for kind in (np.int8, np.uint64, bool, object, ">f4", ">f8", np.longdouble):
        found = check(X.astype(kind))
        assert found.dtype == np.float64
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, X.astype(kind).astype(float))
    odd = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 3)
    assert not odd.flags.aligned
    assert check(odd).flags.aligned
    np.testing.assert_array_equal(check(odd), X)


def test_sparse() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array):
        found = check(kind(X))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, X)
    with pytest.raises(MemoryError, match=r"1000000, 100000000\) takes .* GiB, which does not fit"):
        check(sparse.csr_matrix((10**6, 10**8), dtype=np.float32))


def test_missing_values() -> None:
    holes = X.copy()
    holes[0, 0], holes[1, 1] = np.nan, np.inf
    assert check(holes) is not None
    with pytest.raises(ArgumentError, match="contains"):
        check(holes, allow_nan=False)


def test_categories_of_frames() -> None:
    pd = pytest.importorskip("pandas")
    estimator = BaseEstimator()
    frame = pd.DataFrame({"n": [1.5, 2, 3], "c": pd.Categorical(["b", None, "a"]), "b": [True, False, True]})
    found = _base.check_X(estimator, frame, reset=True, categories=True)
    np.testing.assert_array_equal(found, [[1.5, 1, 1], [2, np.nan, 0], [3, 0, 1]])
    assert _base.category_columns(frame) == [1]
    assert _base.category_columns(X) == []
    later = pd.DataFrame({"n": [1, 2, 3], "c": ["a", "z", "b"], "b": [0, 0, 1]})
    found = _base.check_X(estimator, later, reset=False, categories=True)
    np.testing.assert_array_equal(found[:, 1], [0, 2, 1])  # "z" was not there: the number after the last
    with pytest.raises(ArgumentError, match=r"convert|cast"):
        check(frame)
    numbers = pd.DataFrame({"c": pd.Categorical([30, 10, 20])})
    np.testing.assert_array_equal(check(numbers, categories=True)[:, 0], [2, 0, 1])


def test_classes() -> None:
    cases: list[tuple[Any, list[Any], list[int]]] = [
        ([3, 1, 3, 7], [1, 3, 7], [1, 0, 1, 2]),
        (np.array([-128, 127, 0, 0], np.int8), [-128, 0, 127], [0, 2, 1, 1]),
        (np.array([2**64 - 1, 2**64 - 3], np.uint64), [2**64 - 3, 2**64 - 1], [1, 0]),
        ([2**40, 0, 1, 0], [0, 1, 2**40], [2, 0, 1, 0]),
        ([True, False], [False, True], [1, 0]),
        ([2.0, -1.0, 2.0], [-1.0, 2.0], [1, 0, 1]),
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        (np.array(["b", "a"], object), ["a", "b"], [1, 0]),
    ]
    for y, classes, codes in cases:
        found, places = _base.encode_classes(y, len(y), "fit")
        assert found.tolist() == classes
        assert found.dtype == np.asarray(y).dtype
        assert places.dtype == np.int32
        assert places.tolist() == codes
        assert _base.known_classes(y, found, len(y), "fit").tolist() == codes


def test_threads() -> None:
    before = einkorn.get_num_threads()
    with _base.threads(1):
        assert einkorn.get_num_threads() == 1
    with _base.threads(-1):
        assert einkorn.get_num_threads() == before
    assert einkorn.get_num_threads() == before


def test_seeds() -> None:
    for state in (3, np.random.RandomState(3), np.random.default_rng(3), None):
        assert 0 <= _base.seed(state) < 2**31
    assert _base.seed(3) == _base.seed(3) == _base.seed(np.random.RandomState(3))
    assert _base.generator(5).random() == _base.generator(5).random()


REFUSED: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (ShapeError, "Expected 2D array", lambda: check(X[0])),
    (ShapeError, "minimum of 1", lambda: check(X[:0])),
    (ArgumentError, "Complex data", lambda: check(X * 1j)),
    (ArgumentError, "one class, \\[5\\]", lambda: _base.encode_classes([5, 5], 2, "f")),
    (ArgumentError, "y contains NaN", lambda: _base.encode_classes([np.nan, 5], 2, "f")),
    (ArgumentError, "continuous", lambda: _base.encode_classes([0.5, 5], 2, "f")),
    (ArgumentError, "continuous", lambda: _base.encode_classes([1e300, 5], 2, "f")),
    (ShapeError, "y has 2 rows", lambda: _base.encode_classes([1, 5], 3, "f")),
    (ArgumentError, "has the class 9", lambda: _base.known_classes([1, 9], np.array([1, 5]), 2, "f")),
    (ArgumentError, "target y is None", lambda: _base.check_targets(None, 2, "f")),
    (ArgumentError, "t contains NaN", lambda: _base.check_targets([np.nan, 1], 2, "f", "t")),
    (ArgumentError, "could not convert", lambda: _base.check_targets(["a", "b"], 2, "f")),
    (ArgumentError, "-1.0 in row 1", lambda: _base.check_weights([1, -1], 2, "f")),
    (ArgumentError, "all weights are zero", lambda: _base.check_weights([0, 0], 2, "f")),
    (ArgumentError, "infinity", lambda: _base.check_weights([0, np.inf], 2, "f")),
    (ShapeError, "sample_weight.shape", lambda: _base.check_weights([1, 1, 1], 2, "f")),
    (ShapeError, "1D array", lambda: _base.check_weights([[1, 1]], 2, "f")),
    (ArgumentError, "n is 1.5", lambda: _base.whole(1.5, "f", "n", 1)),
    (ArgumentError, "n is True", lambda: _base.whole(True, "f", "n", 1)),
    (ArgumentError, "n is 9, .* at most 8", lambda: _base.whole(9, "f", "n", 1, 8)),
    (ArgumentError, "r is 'x'", lambda: _base.real("x", "f", "r", 0)),
    (ArgumentError, "r is 0, .* in \\(0, 1\\]", lambda: _base.real(0, "f", "r", 0, 1, above=True)),
    (ArgumentError, "r is nan", lambda: _base.real(np.nan, "f", "r", 0)),
    (ArgumentError, "one of 'a', 'b'", lambda: _base.one_of("c", "f", "o", ("a", "b"))),
    (ArgumentError, "n_jobs is 0", lambda: _base.threads(0).__enter__()),
    (ArgumentError, "cannot be used to seed", lambda: _base.seed("x")),
]


@pytest.mark.parametrize(("error", "text", "call"), REFUSED)
def test_refusals(error: type[Exception], text: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, EinkornError)
    assert not isinstance(caught.value, DTypeError) or isinstance(caught.value, TypeError)


FORESTS = ("DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier")


@pytest.mark.parametrize("name", FORESTS)
def test_one_class_alone_is_learned_as_by_scikit_learn(name: str) -> None:
    from sklearn import ensemble, tree

    from einkorn import boosting

    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.full(20, 7)
    peer = getattr(tree, name, None) or getattr(ensemble, name)
    models = [kind(random_state=0).fit(x, y) for kind in (getattr(boosting, name), peer)]
    for found in ("predict", "predict_proba"):
        np.testing.assert_array_equal(*[getattr(model, found)(x) for model in models])
    assert models[0].classes_.tolist() == [7]
    assert models[0].score(x, y) == 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize(
    "name", [*FORESTS, "AdaBoostClassifier", "RandomForestRegressor", "AdaBoostRegressor"]
)
def test_infinities_are_refused_where_scikit_learn_refuses_them(name: str, value: float) -> None:
    from einkorn import boosting

    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    model = getattr(boosting, name)().fit(x, y)
    x[3, 1] = value
    for call in (lambda: getattr(boosting, name)().fit(x, y), lambda: model.predict(x)):
        with pytest.raises(ArgumentError, match="infinity"):
            call()
    x[3, 1] = np.nan
    assert len(getattr(boosting, name)().fit(x, y).predict(x)) == 20
