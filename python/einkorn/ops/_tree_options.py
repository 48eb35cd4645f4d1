"""What growing a boosted tree may be told, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn._device import move
from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops._road import as_index, contiguous, unwrap

if TYPE_CHECKING:
    from einkorn.ops.tree_grow import CodeTable


def _per_row(op: str, name: str, values: Any, rows: int) -> Any:
    v = unwrap(values, op, name)
    if v.shape != (rows,):
        raise ShapeError(f"{op}: {name} has shape {v.shape}, expected {(rows,)} as the table has rows")
    return contiguous(v)


def _ascending(op: str, name: str, values: Any, limit: int) -> np.ndarray:
    at: np.ndarray = as_index(values, op, name)
    if at.ndim != 1:
        raise ShapeError(f"{op}: {name} has shape {at.shape}, expected one dimension")
    if at.size and (at[0] < 0 or at[-1] >= limit or not (at[1:] > at[:-1]).all()):
        raise IndexRangeError(f"{op}: {name} must ascend from at least 0 to at most {limit - 1}, each once")
    return at.astype(np.int32)


def _features(op: str, features: Any, n: int) -> np.ndarray | None:
    if features is None:
        return None
    refuse_masked(features, f"{op}: features")
    given = np.asarray(features)
    if given.dtype == bool:
        if given.shape != (n,):
            raise ShapeError(f"{op}: features has shape {given.shape}, expected {(n,)}")
        given = np.flatnonzero(given)
    return _ascending(op, "features", np.sort(as_index(given, op, "features"), axis=None), n)


def _whole(op: str, name: str, value: Any, least: int) -> int:
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a whole number") from None
    if number < least:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected at least {least}")
    return number


def _number(op: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number") from None
    if not 0 <= number < float("inf"):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a finite number of at least 0")
    return number


def _share(op: str, name: str, value: Any) -> float:
    share = _number(op, name, value)
    if not 0 < share <= 1:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected more than 0 and at most 1")
    return share


def _signs(op: str, monotone: Any, table: CodeTable) -> np.ndarray | None:
    if monotone is None:
        return None
    signs = np.asarray(monotone)
    if signs.shape != (table.n_features,):
        raise ShapeError(f"{op}: monotone has shape {signs.shape}, expected {(table.n_features,)}")
    if not np.isin(signs, (-1, 0, 1)).all():
        raise ArgumentError(f"{op}: monotone has values other than -1, 0 and 1")
    if (signs[move(table.is_categorical, "cpu") != 0] != 0).any():
        raise ArgumentError(f"{op}: monotone constrains a categorical feature")
    return signs.astype(np.int32) if signs.any() else None


def _groups(op: str, interactions: Any, n: int) -> np.ndarray | None:
    """Groups of features as rows of bits."""
    if interactions is None:
        return None
    bits = np.zeros((len(interactions), -(-n // 32)), np.uint32)
    for row, group in zip(bits, interactions, strict=True):
        for f in group:
            if not 0 <= (f := _whole(op, "interactions", f, 0)) < n:
                raise IndexRangeError(f"{op}: interactions has feature {f}, expected 0 to {n - 1}")
            row[f // 32] |= np.uint32(1 << f % 32)
    return bits
