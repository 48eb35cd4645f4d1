"""Bins: columns of numbers as small codes, which histograms are made over."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._masked import refuse_masked
from einkorn.boosting._whole import all_or_nothing
from einkorn.errors import ArgumentError, DataError, ShapeError
from einkorn.ops.histogram import bin_columns, bin_edges

__all__ = ["Binner"]

_MAX_CATEGORY = 1 << 20


class Binner:
    """Replaces each column's values by the numbers of their bins.

    Parameters
    ----------
    max_bins : int, default 255
        Bins of a column, missing values apart; 2 to 65535. Columns with no more distinct values have a bin
        for each; 65535 therefore is exact for most data.
    categorical : array of bool or of int, optional
        Which columns hold categories: a mark for each column, or their numbers. Categories are whole numbers
        from 0 to 1,048,575.
    subsample : int or None, default 200_000
        Bins are found from at most so many rows, drawn at random. None: from all.
    random_state : int, Generator or RandomState, default 0
        For that draw.

    Attributes
    ----------
    edges_ : list of float64 arrays
        Thresholds of each column: ``x <= edges_[f][k]`` exactly when its code is at most k. Empty for
        categorical columns.
    n_bins_ : int32 array [features]
        Bins of each column, without the code for missing values. For a categorical column the last bin is
        that of all categories not in ``categories_``.
    missing_code_ : int
        Code of NaN: 255 or 65535.
    is_categorical_ : bool array [features]
    categories_ : list of int64 arrays or None
        The category of each code, ascending; None for numeric columns. Of more than ``max_bins - 1``
        categories the rarest are left out: they share a code with those never seen.
    n_features_ : int
    """

    def __init__(
        self,
        max_bins: int = 255,
        categorical: Any = None,
        subsample: int | None = 200_000,
        random_state: Any = 0,
    ) -> None:
        self.max_bins = max_bins
        self.categorical = categorical
        self.subsample = subsample
        self.random_state = random_state

    edges_: list[np.ndarray]
    n_bins_: np.ndarray
    missing_code_: int
    is_categorical_: np.ndarray
    categories_: list[np.ndarray | None]
    n_features_: int

    @all_or_nothing
    def fit(self, X: Any, sample_weight: Any = None) -> Binner:
        """Find the bins.

        Parameters
        ----------
        X : array [rows, features]
            float32 or float64, any strides. NaN is missing; infinities have bins.
        sample_weight : array [rows], optional
            Bins of a column with many values hold about the same weight. Rows of weight 0 do not count.

        Returns
        -------
        Binner
            Itself.
        """
        op = "Binner.fit"
        bins = self.max_bins
        if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or not 2 <= bins <= 65535:
            raise ArgumentError(f"{op}: max_bins is {bins!r}, expected a whole number from 2 to 65535")
        X = _floats(X)
        if X.ndim != 2:
            raise ShapeError(f"{op}: X has shape {X.shape}, expected (rows, features)")
        n_rows, n = X.shape
        is_categorical = _marks(self.categorical, n)
        weight = None
        if sample_weight is not None:
            refuse_masked(sample_weight, f"{op}: sample_weight")
            weight = np.asarray(sample_weight, np.float64)
            if weight.shape != (n_rows,):
                raise ShapeError(f"{op}: sample_weight has shape {weight.shape}, expected {(n_rows,)}")
            if not weight.all():
                return self.fit(X[weight != 0], weight[weight != 0])
        rows = self._rows(op, n_rows)
        numeric = np.flatnonzero(~is_categorical)
        part = X if numeric.size == n else X[:, numeric]
        part_weight = weight if rows is None or weight is None else weight[rows]
        found = iter(bin_edges(part, int(bins), rows=rows, sample_weight=part_weight))
        self.edges_, self.categories_ = [], []
        for f in range(n):
            if is_categorical[f]:
                self.edges_.append(np.empty(0))
                self.categories_.append(_categories(X[:, f], f, weight, int(bins) - 1))
            else:
                self.edges_.append(next(found))
                self.categories_.append(None)
        self.n_bins_ = np.array(
            [
                (e.size if c is None else c.size) + 1
                for e, c in zip(self.edges_, self.categories_, strict=True)
            ],
            np.int32,
        )
        self.missing_code_ = 255 if self.n_bins_.max(initial=1) <= 255 else 65535
        self.is_categorical_ = is_categorical
        self.n_features_ = n
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes of the bins, [features, rows], uint8 when ``missing_code_`` is 255, else uint16."""
        X = _floats(X)
        if X.ndim != 2 or X.shape[1] != self.n_features_:
            raise ShapeError(
                f"Binner.transform: X has shape {X.shape}, expected {self.n_features_} columns as in fit"
            )
        edges = [e if c is None else c for e, c in zip(self.edges_, self.categories_, strict=True)]
        return bin_columns(X, edges, categorical=self.is_categorical_, missing_code=self.missing_code_)

    def fit_transform(self, X: Any, sample_weight: Any = None) -> np.ndarray:
        """:meth:`fit`, then :meth:`transform`."""
        return self.fit(X, sample_weight).transform(X)

    def _rows(self, op: str, n_rows: int) -> np.ndarray | None:
        """Rows that the bins are found from: ascending, None for all."""
        limit = self.subsample
        if limit is None:
            return None
        if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
            raise ArgumentError(f"{op}: subsample is {limit!r}, expected a positive whole number or None")
        if n_rows <= limit:
            return None
        rng = self.random_state
        if rng is None or isinstance(rng, (int, np.integer)):
            rng = np.random.default_rng(rng)
        # One row of each of `limit` equal stretches: in order, without repeats, and quicker than a shuffle.
        starts = np.linspace(0, n_rows, int(limit) + 1).astype(np.int64)
        return starts[:-1] + (rng.random(int(limit)) * np.diff(starts)).astype(np.int64)


def _floats(X: Any) -> np.ndarray:
    refuse_masked(X, "Binner: X")
    X = np.asarray(X)
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def _marks(categorical: Any, n: int) -> np.ndarray:
    marks = np.zeros(n, bool)
    if categorical is None:
        return marks
    given = np.asarray(categorical)
    if given.size == 0:
        return marks
    if given.ndim != 1:
        raise ShapeError(f"Binner: categorical has shape {given.shape}, expected one dimension")
    if given.dtype == bool:
        if given.size != n:
            raise ShapeError(f"Binner: categorical has {given.size} marks, expected {n} as X has columns")
        return given.copy()
    if given.dtype.kind not in "iu" or (given < 0).any() or (given >= n).any():
        raise ArgumentError(f"Binner: categorical is {categorical!r}, expected columns from 0 to {n - 1}")
    marks[given] = True
    return marks


def _categories(column: np.ndarray, f: int, weight: np.ndarray | None, most: int) -> np.ndarray:
    """The categories with a code of their own, ascending: at most `most`, the heaviest, the smaller first."""
    seen = column == column
    if weight is not None:
        seen &= weight > 0
    values = column[seen]
    if values.size == 0:
        return np.empty(0, np.int64)
    if values.min() < 0 or values.max() >= _MAX_CATEGORY or not (values == np.trunc(values)).all():
        raise DataError(
            f"Binner.fit: column {f} is categorical and has values from {values.min()} to {values.max()},"
            f" expected whole numbers from 0 to {_MAX_CATEGORY - 1}; encode categories as 0, 1, 2, ..."
        )
    sums = np.bincount(values.astype(np.int64), None if weight is None else weight[seen])
    found = np.flatnonzero(sums)
    if found.size > most:
        found = np.sort(found[np.argsort(-sums[found], kind="stable")[:most]])
    return found.astype(np.int64)
