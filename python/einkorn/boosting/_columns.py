"""Parameters that speak of columns, by number or name: categories, monotone and interaction constraints."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from einkorn.boosting._base import whole
from einkorn.errors import ArgumentError, ShapeError

__all__ = ["categorical_marks", "interaction_groups", "monotonic_signs"]


def _number(estimator: Any, column: Any, where: str, name: str) -> int:
    """A column's number from its number or name."""
    if isinstance(column, str):
        names = getattr(estimator, "feature_names_in_", None)
        found = np.flatnonzero(names == column) if names is not None else np.empty(0)
        if found.size == 0:
            raise ArgumentError(f"{where}: {name} names the column {column!r}, which X does not have")
        return int(found[0])
    return whole(column, where, name, 0, estimator.n_features_in_ - 1)


def categorical_marks(estimator: Any, value: Any, where: str) -> np.ndarray | None:
    """bool [features] from ``categorical_features``, or None where no column is categorical."""
    marks = np.zeros(estimator.n_features_in_, bool)
    if value is None:
        return None
    if isinstance(value, str):
        if value != "from_dtype":
            raise ArgumentError(
                f"{where}: categorical_features is {value!r}, expected 'from_dtype', a mask or a list"
            )
        marks[list(getattr(estimator, "_category_values", ()))] = True
    else:
        given = np.asarray(value)
        if given.ndim != 1:
            raise ShapeError(f"{where}: categorical_features has shape {given.shape}, expected one dimension")
        if given.dtype == bool:
            if given.shape != marks.shape:
                raise ShapeError(
                    f"{where}: categorical_features has {given.size} marks, expected {marks.size}"
                )
            marks[:] = given
        else:
            for column in given.tolist():
                marks[_number(estimator, column, where, "categorical_features")] = True
    return marks if marks.any() else None


def monotonic_signs(estimator: Any, value: Any, where: str) -> np.ndarray | None:
    """int64 [features] from ``monotonic_cst``: -1, 0 or 1."""
    if value is None:
        return None
    signs = np.zeros(estimator.n_features_in_, np.int64)
    if isinstance(value, dict):
        for column, sign in value.items():
            signs[_number(estimator, column, where, "monotonic_cst")] = _sign(sign, where)
        return signs
    given = np.asarray(value)
    if given.shape != signs.shape:
        raise ShapeError(f"{where}: monotonic_cst has shape {given.shape}, expected {signs.shape}")
    signs[:] = [_sign(sign, where) for sign in given.tolist()]
    return signs


def _sign(value: Any, where: str) -> int:
    if value not in (-1, 0, 1):
        raise ArgumentError(f"{where}: monotonic_cst has {value!r}, expected -1, 0 or 1")
    return int(value)


def interaction_groups(estimator: Any, value: Any, where: str) -> list[list[int]] | None:
    """Lists of column numbers from ``interaction_cst``, every column in one at least."""
    if value is None:
        return None
    n = estimator.n_features_in_
    if isinstance(value, str):
        if value == "no_interactions":
            return [[i] for i in range(n)]
        if value == "pairwise":
            return [list(pair) for pair in combinations(range(n), 2)] or [[0]]
        raise ArgumentError(
            f"{where}: interaction_cst is {value!r}, expected 'pairwise', 'no_interactions' or lists"
            " of columns"
        )
    try:
        groups = [[_number(estimator, c, where, "interaction_cst") for c in group] for group in value]
    except TypeError:
        raise ArgumentError(f"{where}: interaction_cst is {value!r}, expected lists of columns") from None
    rest = sorted(set(range(n)).difference(*groups))
    return [*groups, rest] if rest else groups
