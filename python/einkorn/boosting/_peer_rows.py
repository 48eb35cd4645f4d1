"""Rows for models of other libraries: arrays, sparse matrices and data frames, as the libraries take them."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from einkorn._masked import refuse_masked
from einkorn.boosting._frames import is_frame, refuse_text
from einkorn.errors import ArgumentError, DataError, ShapeError

__all__ = ["Categories", "category_array", "cut_text", "rows_for"]

_ZERO = float(np.float32(1e-35))  # what LightGBM takes for 0

#: Categories of the data frame that a model was trained on: XGBoost has an array or None for each feature,
#: LightGBM an array for each categorical column. None: the file does not say.
Categories = list[np.ndarray | None] | None


def rows_for(model: Any, X: Any) -> np.ndarray:
    """Rows as the model's trees take them, float32 or float64 [rows, features].

    float32 for XGBoost; for LightGBM zeros become NaN where it takes them so. Entries that a sparse matrix
    does not hold are missing for XGBoost and 0 for LightGBM.

    Raises
    ------
    ShapeError
        X has another number of columns.
    ArgumentError, DTypeError
        X does not hold numbers, or a data frame's columns or categories are not the model's.
    """
    if is_frame(X):
        X = _frame_rows(model, X)
    elif hasattr(X, "tocoo") and hasattr(X, "nnz"):
        X = _sparse_rows(model, X)
    refuse_masked(X, "PeerModel: X")
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != model.n_features_in_:
        raise ShapeError(f"PeerModel: X has shape {X.shape}, expected (rows, {model.n_features_in_})")
    if X.dtype.kind not in "biuf":
        raise ArgumentError(f"PeerModel: X has dtype {X.dtype}, expected numbers (categories as codes)")
    if model.source == "xgboost":
        with np.errstate(over="ignore"):
            return X.astype(np.float32, copy=False)
    X = X if X.dtype == np.float32 else X.astype(np.float64, copy=False)
    if model._zero_is_missing.size:
        X = X.copy()
        columns = X[:, model._zero_is_missing]
        X[:, model._zero_is_missing] = np.where(np.abs(columns) <= _ZERO, np.nan, columns)
    return X


def category_array(values: list[Any]) -> np.ndarray:
    """Categories as an array of one type: text, or the numbers of JSON."""
    kinds = {str if isinstance(value, str) else type(value) for value in values}
    if not kinds <= {str} and not kinds <= {int, float, bool}:
        raise DataError("a list of categories holds neither text nor numbers alone")
    return np.array(values)


def cut_text(text: bytes, ends: list[int]) -> list[str]:
    """Categories of text as XGBoost keeps them: all in a row, and where each begins and the last ends.

    It counts characters for these places but cuts bytes, so that text beyond ASCII comes in odd pieces: they
    are kept byte for byte, and a data frame's categories are cut alike when they are compared.
    """
    return [text[a:b].decode("latin-1") for a, b in pairwise(ends)]


def _sparse_rows(model: Any, X: Any) -> np.ndarray:
    entries = X.tocoo()
    if entries is X:
        entries = X.copy()
    entries.sum_duplicates()
    dtype = np.float32 if entries.dtype == np.float32 else np.float64
    rows = np.full(X.shape, np.nan if model.source == "xgboost" else 0.0, dtype)
    rows[entries.row, entries.col] = entries.data
    return rows


def _frame_rows(model: Any, X: Any) -> np.ndarray:
    _check_names(model, [str(name) for name in X.columns])
    refuse_text(X, "PeerModel", "give it the categorical type that it had in training")
    marks = [hasattr(dtype, "categories") for dtype in X.dtypes]
    known = _known_categories(model, marks)
    rows = np.empty(X.shape, np.float64)
    for i in range(X.shape[1]):
        column = X.iloc[:, i]
        if marks[i]:
            rows[:, i] = _codes(model, column, known[i])
        else:
            rows[:, i] = column.to_numpy(np.float64, na_value=np.nan)
    return rows


def _known_categories(model: Any, marks: list[bool]) -> list[np.ndarray | None]:
    """The training table's categories of each column, None where the file says nothing of them."""
    categories: Categories = model._categories
    known: list[np.ndarray | None] = [None] * len(marks)
    if categories is None or len(marks) != model.n_features_in_:
        return known
    if model.source == "xgboost":
        for i, values in enumerate(categories):
            if (values is not None) != marks[i]:
                kind = "categorical" if marks[i] else "not categorical"
                raise ArgumentError(f"PeerModel: column {i} of X is {kind}, in training it was otherwise")
        return list(categories)
    if sum(marks) != len(categories):  # LightGBM counts them off
        raise ArgumentError(
            f"PeerModel: X has {sum(marks)} categorical columns, expected {len(categories)} as in training"
        )
    for place, values in zip(np.flatnonzero(marks), categories, strict=True):
        known[place] = values
    return known


def _codes(model: Any, column: Any, known: np.ndarray | None) -> np.ndarray:
    """The codes of a categorical column: places among the categories of training, NaN for others."""
    places = column.cat.codes.to_numpy()  # -1 for missing
    if known is None:
        return np.where(places < 0, np.nan, places)
    place = {value: float(code) for code, value in enumerate(known.tolist())}
    values = names = column.cat.categories.tolist()
    if model.source == "xgboost" and known.dtype.kind == "U":
        names = [str(value) for value in values]
        names = cut_text("".join(names).encode(), list(accumulate(map(len, names), initial=0)))
    codes = np.array([*(place.get(name, np.nan) for name in names), np.nan])[places]
    new = np.isnan(codes) & (places >= 0)
    if model.source == "xgboost" and new.any():
        raise ArgumentError(
            f"PeerModel: column {column.name!r} has the category {values[int(places[new][0])]!r}, which"
            " training did not see: XGBoost refuses it, too"
        )
    return codes


def _check_names(model: Any, names: list[str]) -> None:
    """Refuse a data frame with the model's columns in another order or, for XGBoost, under other names."""
    expected = getattr(model, "feature_names_in_", None)
    if expected is None or len(names) != model.n_features_in_:
        return
    own = [str(name) for name in expected]
    if model.source == "lightgbm":
        names = ["_".join(name.split(" ")) for name in names]  # as it writes them
        if not set(names) & set(own):
            return  # LightGBM goes by place
    if names != own:
        i = next(i for i, (a, b) in enumerate(zip(names, own, strict=True)) if a != b)
        raise ArgumentError(
            f"PeerModel: feature_names mismatch: column {i} of X is {names[i]!r}, expected {own[i]!r} as in"
            " training"
        )
