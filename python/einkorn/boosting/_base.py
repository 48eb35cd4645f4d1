"""What every estimator here checks before it computes: data, targets, weights, options.

The checks are scikit-learn's where it has them, so that its estimator checks and its users find what they
know; what is refused is one of einkorn's errors, with the operation's and the argument's names.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np

from einkorn import runtime
from einkorn._device import device_of, is_on_gpu, near
from einkorn._masked import refuse_masked
from einkorn.boosting._frames import is_frame, refuse_text
from einkorn.boosting._sklearn import (
    assert_all_finite,
    check_array,
    check_classification_targets,
    check_random_state,
    column_or_1d,
    get_tags,
    validate_data,
)
from einkorn.errors import ArgumentError, DeviceError, DTypeError, EinkornError, ShapeError

__all__ = [
    "category_columns",
    "check_X",
    "check_rows",
    "check_targets",
    "check_weights",
    "column_of",
    "encode_classes",
    "feature_count",
    "generator",
    "known_classes",
    "one_of",
    "place_of",
    "real",
    "seed",
    "takes_nan",
    "threads",
    "used_rows",
    "whole",
]

_CATEGORICAL_TYPE = "give it a categorical type: X[name].astype('category')"
_ENCODE = "make numbers of it, as sklearn.preprocessing.OrdinalEncoder and OneHotEncoder do"
_FLOATS = (np.float64, np.float32)  # the first is what other element types become


# --- data ------------------------------------------------------------------------------------


def _refuse_gpu(x: Any, what: str) -> None:
    if is_on_gpu(x):
        raise DeviceError(f"{what} is on {device_of(x)}; estimators compute on the CPU: give them its get()")


def check_X(  # noqa: N802
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    allow_nan: bool = True,
    infinite: bool = True,
    op: str = "fit",
    categories: bool = False,
) -> np.ndarray:
    """``X`` as a dense float32 or float64 matrix; sets or compares ``n_features_in_`` and names.

    Parameters
    ----------
    estimator : BaseEstimator
    X : array, sparse matrix or data frame [rows, features]
        float32 and float64 arrays of any strides are taken as they are, without a copy; other types become
        float64. Sparse matrices are made dense, in their own float type: 8 (or 4) bytes a cell.
    reset : bool
        True in ``fit``: remember the columns. False later: compare with them.
    allow_nan : bool, default True
        NaN means missing, and infinities are values. False: both are refused.
    infinite : bool, default True
        False: infinities are refused in any case, as by scikit-learn's estimators of the name.
    op : str
        The method, for messages.
    categories : bool, default False
        Replace a data frame's categorical columns by codes: the place of the value among the categories
        seen in ``fit`` (kept in ``_category_values``), their number for any other, NaN for missing.

    Returns
    -------
    float32 or float64 array [rows, features]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As scikit-learn's ``validate_data`` raises ValueError and TypeError, with its messages. No rows and no
        columns are refused.
    MemoryError
        When a sparse matrix would not fit into memory as a dense one.
    """
    where = f"{type(estimator).__name__}.{op}"
    refuse_masked(X, f"{where}: X")
    _refuse_gpu(X, f"{where}: X")
    if categories:
        X = _codes_of_categories(estimator, X, reset)
    refuse_text(X, where, _CATEGORICAL_TYPE if categories else _ENCODE)
    if type(X) is np.ndarray and X.dtype.kind == "f" and X.dtype.itemsize == 2:
        X = X.astype(np.float32)
    with _as_einkorn(where):
        X = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=_FLOATS,
            accept_sparse=("csr", "csc"),
            ensure_all_finite="allow-nan" if allow_nan and not infinite else not allow_nan,
        )
    if not isinstance(X, np.ndarray):
        return _dense(X, where)
    return X if X.flags.aligned else X.copy()


def place_of(X: Any) -> str:
    """The device that ``fit`` computes on: where X is."""
    return device_of(X) if is_on_gpu(X) else "cpu"


def check_rows(estimator: Any, X: Any, **options: Any) -> Any:
    """:func:`check_X` of a fitted estimator; a matrix on a GPU stays there, its first row tells the rest."""
    if not (is_on_gpu(X) and X.ndim == 2 and X.dtype.kind in "fiub" and 0 not in X.shape):
        return check_X(estimator, near(X), reset=False, **options)
    one = check_X(estimator, X[:1].get(), reset=False, **options)
    if options.get("infinite", True) and options.get("allow_nan", True):
        return X.astype(one.dtype, copy=False)
    is_bad = np.isinf if options.get("allow_nan", True) else lambda a: ~np.isfinite(a)
    if bool(is_bad(X).any()):  # said as on the CPU
        return check_X(estimator, X.get(), reset=False, **options)
    return X.astype(one.dtype, copy=False)


def category_columns(X: Any) -> list[int]:
    """Numbers of a data frame's columns of categorical type; none for anything else."""
    if not is_frame(X):
        return []
    return [i for i, dtype in enumerate(X.dtypes) if hasattr(dtype, "categories")]


def takes_nan(learner: Any) -> bool:
    """Whether a base learner says that it takes missing values; None is the ensemble's own, which does."""
    if learner is None:
        return True
    for _, step in getattr(learner, "steps", ()):  # a pipeline takes what its first step takes
        if step is not None and step != "passthrough":
            return takes_nan(step)
    try:
        return bool(get_tags(learner).input_tags.allow_nan)
    except (AttributeError, TypeError, ValueError):  # no estimator of scikit-learn's making
        return False


def _codes_of_categories(estimator: Any, X: Any, reset: bool) -> Any:
    if reset:
        columns = category_columns(X)
        estimator._category_values = {i: np.asarray(X.iloc[:, i].cat.categories) for i in columns}
    known = getattr(estimator, "_category_values", {})
    if not known or not (hasattr(X, "iloc") and X.shape[1] > max(known)):
        return X
    from pandas import Index

    X = X.copy(deep=False)
    for i, values in known.items():
        column = X.iloc[:, i]
        codes = Index(values).get_indexer(Index(column)).astype(np.float64)
        codes[codes < 0] = len(values)
        codes[column.isna().to_numpy()] = np.nan
        X.isetitem(i, codes)
    return X


def _dense(X: Any, where: str) -> np.ndarray:
    """A sparse matrix as an array."""
    needed = X.shape[0] * X.shape[1] * X.dtype.itemsize
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = needed
    try:
        if needed > memory:
            raise MemoryError
        return X.toarray()
    except MemoryError:
        raise MemoryError(
            f"{where}: X is sparse and is computed with as a dense {X.dtype} array: {X.shape} takes"
            f" {needed / 2**30:.1f} GiB, which does not fit"
        ) from None


@contextlib.contextmanager
def _as_einkorn(where: str) -> Iterator[None]:
    """Turn scikit-learn's errors into einkorn's, their messages after the operation's name."""
    try:
        yield
    except EinkornError:
        raise
    except TypeError as error:
        raise DTypeError(f"{where}: {error}") from error
    except ValueError as error:
        text = str(error)
        is_shape = any(
            word in text for word in ("feature(s)", "features as input", "sample(s)", "array instead")
        )
        raise (ShapeError if is_shape else ArgumentError)(f"{where}: {text}") from error


# --- targets ---------------------------------------------------------------------------------


def column_of(y: Any, n: int, where: str, name: str = "y") -> np.ndarray:
    """``y`` as an array [n] of its own type."""
    if y is None:
        raise ArgumentError(
            f"{where}: this estimator requires {name} to be passed, but the target {name} is None"
        )
    refuse_masked(y, f"{where}: {name}")
    _refuse_gpu(y, f"{where}: {name}")
    with _as_einkorn(where):
        column = column_or_1d(y, warn=True)
        if column.shape[0] != n:
            raise ShapeError(
                f"{where}: {name} has {column.shape[0]} rows and X has {n}: inconsistent numbers of samples"
            )
    return column


def check_targets(y: Any, n: int, where: str, name: str = "y") -> np.ndarray:
    """Targets of a regressor: finite float64 [n].

    ``where`` is the operation for messages, ``"GradientBoostingRegressor.fit"``. NaN, infinities, other
    lengths and more columns than one raise errors that are ValueErrors.
    """
    column = column_of(y, n, where, name)
    with _as_einkorn(where):
        if column.dtype.kind not in "fiub":
            column = check_array(column, dtype=np.float64, ensure_2d=False, input_name=name)
        column = np.ascontiguousarray(column, np.float64)
        assert_all_finite(column, input_name=name)
    return column


def encode_classes(
    y: Any, n: int, where: str, name: str = "y", least: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """The classes in ascending order, and each row's place among them (int32 [n]).

    NaN, fewer than ``least`` classes, and real numbers (a regression target) are refused.
    """
    column = column_of(y, n, where, name)
    with _as_einkorn(where):
        if column.dtype.kind in "iub":
            classes, codes = _encode_integers(column)
        elif column.dtype.kind == "f":
            assert_all_finite(column, input_name=name)
            numbers = column.astype(np.int64) if abs(column).max() < 2**53 else None
            if numbers is None or not (numbers == column).all():
                check_classification_targets(column)
                classes, codes = np.unique(column, return_inverse=True)
            else:
                classes, codes = _encode_integers(numbers)
                classes = classes.astype(column.dtype)
        else:
            check_classification_targets(column)
            classes, codes = np.unique(column, return_inverse=True)
    if classes.size < least:
        raise ArgumentError(
            f"{where}: {name} has only one class, {classes[:1].tolist()}; a classifier needs at least two"
        )
    return classes, codes.astype(np.int32, copy=False)


def known_classes(y: Any, classes: np.ndarray, n: int, where: str, name: str = "y") -> np.ndarray:
    """Each row's place among ``classes`` (int32 [n]); other values are refused."""
    column = column_of(y, n, where, name)
    try:
        codes = np.searchsorted(classes, column)
        wrong = classes[np.minimum(codes, classes.size - 1)] != column
    except TypeError:
        raise DTypeError(f"{where}: {name} has values of another type than the classes {classes!r}") from None
    if wrong.any():
        raise ArgumentError(
            f"{where}: {name} has the class {column[wrong].tolist()[0]!r}, which is not in {classes.tolist()}"
        )
    return codes.astype(np.int32)


def _encode_integers(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``np.unique`` with places by counting, which a sort takes twenty times as long for."""
    low, high = int(column.min()), int(column.max())
    if high - low >= 65536:
        classes, codes = np.unique(column, return_inverse=True)
        return classes, codes
    shifted = column - column.min() if column.dtype.kind == "u" else column.astype(np.int64) - low
    present = np.bincount(shifted, minlength=high - low + 1) > 0
    place = np.cumsum(present, dtype=np.int32) - np.int32(1)
    classes = np.flatnonzero(present).astype(column.dtype) + column.min()  # wraps round to the same numbers
    return classes, place[shifted]


def check_weights(sample_weight: Any, n: int, where: str, name: str = "sample_weight") -> np.ndarray | None:
    """Weights of rows as float64 [n], or None for none.

    Refused: another length, more than one dimension, negative numbers, NaN and infinities, nothing but zeros.
    A single number is the weight of each row.
    """
    if sample_weight is None:
        return None
    refuse_masked(sample_weight, f"{where}: {name}")
    _refuse_gpu(sample_weight, f"{where}: {name}")
    with _as_einkorn(where):
        weight = check_array(
            np.full(n, sample_weight) if isinstance(sample_weight, Real) else sample_weight,
            dtype=np.float64,
            ensure_2d=False,
            order="C",
            input_name=name,
        )
    if weight.ndim != 1:
        raise ShapeError(f"{where}: {name}: sample weights must be 1D array or scalar, not {weight.shape}")
    if weight.shape[0] != n:
        raise ShapeError(f"{where}: {name}.shape == {weight.shape}, expected {(n,)}")
    if weight.min() < 0:
        row = int(np.argmin(weight))
        raise ArgumentError(f"{where}: {name} is {weight[row]} in row {row}: negative weights are refused")
    total = float(weight.sum())
    if not (total > 0 and math.isfinite(total)):
        what = "all weights are zero" if total == 0 else f"its sum is {total}"
        raise ArgumentError(f"{where}: {name}: {what}, expected a positive finite sum")
    return weight


def used_rows(
    X: np.ndarray, y: Any, sample_weight: Any, where: str, name: str = "y"
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The rows that have weight: their X, y (a column of any type) and weights, and which they are.

    A row of weight 0 is as absent from here on: nothing is learned from it, not even that its class exists.
    The last is a bool array [rows], or None when all rows have weight.
    """
    n = X.shape[0]
    column = column_of(y, n, where, name)
    weight = check_weights(sample_weight, n, where, "sample_weight" + name.removeprefix("y"))
    if weight is None or weight.min() > 0:
        return X, column, weight, None
    kept = weight > 0
    return X[kept], column[kept], weight[kept], kept


# --- options ---------------------------------------------------------------------------------


def whole(value: Any, where: str, name: str, low: int, high: int | None = None) -> int:
    """A whole number within bounds, booleans refused."""
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        upper = "" if high is None else f" and at most {high}"
        raise ArgumentError(f"{where}: {name} is {value!r}, expected a whole number of at least {low}{upper}")
    return number


def real(
    value: Any,
    where: str,
    name: str,
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """A finite number within bounds; ``above`` and ``below`` leave out the bounds themselves."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    fits = math.isfinite(number) and low <= number <= high
    if not fits or (above and number == low) or (below and number == high):
        if low == -math.inf and high == math.inf:
            raise ArgumentError(f"{where}: {name} is {value!r}, expected a finite number")
        bounds = f"{'(' if above else '['}{low:g}, {high:g}{')' if below or high == math.inf else ']'}"
        raise ArgumentError(f"{where}: {name} is {value!r}, expected a number in {bounds}")
    return number


def feature_count(value: Any, n: int, where: str) -> int:
    """How many of n features ``max_features`` means: a number, a share, "sqrt", "log2", or None for all."""
    if value is None:
        return n
    if isinstance(value, str):
        if value not in ("sqrt", "log2"):
            raise ArgumentError(f"{where}: max_features is {value!r}, expected 'sqrt', 'log2' or a number")
        return max(1, int(math.sqrt(n) if value == "sqrt" else math.log2(n)))
    if isinstance(value, (float, np.floating)):
        return max(1, int(real(value, where, "max_features", 0.0, 1.0, above=True) * n))
    return min(whole(value, where, "max_features", 1), n)


def one_of(value: Any, where: str, name: str, options: tuple[Any, ...]) -> Any:
    """``value`` if it is among the options."""
    if not isinstance(value, (str, type(None))) or value not in options:
        raise ArgumentError(f"{where}: {name} is {value!r}, expected one of {', '.join(map(repr, options))}")
    return value


def seed(random_state: Any, where: str = "fit") -> int:
    """A number in [0, 2^31) that stands for ``random_state``: None, int, RandomState or Generator."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(1 << 31))
    with _as_einkorn(where):
        return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def generator(random_state: Any, where: str = "fit") -> np.random.Generator:
    """A generator of its own from ``random_state``."""
    return np.random.default_rng(seed(random_state, where))


@contextlib.contextmanager
def threads(n_jobs: Any, where: str = "fit") -> Iterator[None]:
    """Run a block with ``n_jobs`` threads: None or -1 leave their number as it is, -2 takes one less."""
    if n_jobs is None or n_jobs == -1:
        yield
        return
    number = whole(n_jobs, where, "n_jobs", -1024, 1024)
    if number == 0:
        raise ArgumentError(f"{where}: n_jobs is 0, expected a number of threads, or a negative one or None")
    with runtime.num_threads(number if number > 0 else max(1, runtime.get_num_threads() + 1 + number)):
        yield
