"""How alike rows are: cosines, and the nearest rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.text._arguments import whole_number

__all__ = ["cosine_similarity", "nearest_rows"]

_BLOCK = 1 << 24  # similarities that are kept at a time
_STRETCH = 64


def _sparse(x: Any) -> bool:
    return hasattr(x, "tocsr")


def products(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Each query times each row (queries, rows)."""
    from einkorn.ops import linear

    return np.asarray(linear(np.ascontiguousarray(queries), np.ascontiguousarray(rows)))


def _matrix(op: str, name: str, x: Any) -> Any:
    if _sparse(x):
        return _finite(op, name, x.tocsr())
    try:
        rows = np.asarray(x)
        if rows.dtype.kind in "cUS":
            raise TypeError(f"its type is {rows.dtype}")
        if rows.ndim != 2:
            raise ShapeError(f"{op}: {name} must have 2 dimensions, got shape {tuple(rows.shape)}")
        dtype = rows.dtype if rows.dtype in (np.float32, np.float64) else np.float64
        return _finite(op, name, np.ascontiguousarray(rows, dtype))
    except (ShapeError, ArgumentError):
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{op}: {name} must be an array of real numbers: {error}") from None


def _finite(op: str, name: str, rows: Any) -> Any:
    """The rows, if none has NaN or infinity: neither has a direction."""
    numbers = rows.data if _sparse(rows) else rows
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        at = int(np.flatnonzero(~np.isfinite(numbers.reshape(-1)))[0])
        row = np.searchsorted(rows.indptr, at, "right") - 1 if _sparse(rows) else at // rows.shape[1]
        what = "NaN" if np.isnan(numbers.reshape(-1)[at]) else "an infinite number"
        raise ArgumentError(f"{op}: {name} has {what} in row {row}")
    return rows


def _unit(rows: Any) -> Any:
    """Rows of length 1; rows of zeros stay."""
    if _sparse(rows):
        rows = rows.astype(np.float64 if rows.dtype.kind != "f" else rows.dtype)
        sizes = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).reshape(-1))
        out = rows.copy()
        out.data = rows.data / np.repeat(np.where(sizes == 0, 1, sizes), np.diff(rows.indptr))
        return out
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(sizes == 0, 1, sizes).astype(rows.dtype)


def _product(a: Any, b: Any) -> Any:
    """a [n, d] times b [m, d] transposed."""
    if _sparse(a) or _sparse(b):
        return a @ b.T
    from einkorn.ops import linear

    dtype = np.result_type(a, b)
    return linear(np.ascontiguousarray(a, dtype), np.ascontiguousarray(b, dtype))


def cosine_similarity(X: Any, Y: Any = None, dense_output: bool = True) -> Any:
    """Cosines between the rows of X and those of Y.

    The signature is that of scikit-learn's function.

    Parameters
    ----------
    X
        Array or sparse matrix (n, d).
    Y
        The same (m, d); None: X.
    dense_output
        Whether the cosines of two sparse matrices are an array.

    Returns
    -------
    array (n, m), or a sparse matrix. Rows of zeros have similarity 0 to all.

    Raises
    ------
    ShapeError
        The rows have different lengths.
    ArgumentError
        A number is NaN or infinite.
    """
    a = _matrix("cosine_similarity", "X", X)
    b = a if Y is None else _matrix("cosine_similarity", "Y", Y)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"cosine_similarity: X has rows of {a.shape[1]}, Y of {b.shape[1]}")
    unit = _unit(a)
    out = _product(unit, unit if Y is None else _unit(b))
    return out.toarray() if _sparse(out) and dense_output else out


def nearest_rows(X: Any, rows: Any, n_neighbors: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """For each row of X the rows whose cosine with it is largest.

    Parameters
    ----------
    X
        Array or sparse matrix (n, d).
    rows
        The same (m, d): where they are sought.
    n_neighbors
        How many, at most m.

    Returns
    -------
    similarities, indices
        Arrays (n, n_neighbors), the most similar first; of equal ones that with the lower index.

    Raises
    ------
    ArgumentError
        ``n_neighbors`` is less than 1 or more than m, or a number is NaN or infinite.
    ShapeError
        The rows have different lengths.
    """
    a, b = _matrix("nearest_rows", "X", X), _matrix("nearest_rows", "rows", rows)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"nearest_rows: X has rows of {a.shape[1]}, rows of {b.shape[1]}")
    n_neighbors = whole_number("nearest_rows", "n_neighbors", n_neighbors, 1, b.shape[0])
    a, b = _unit(a), _unit(b)
    step = max(1, _BLOCK // b.shape[0])
    found = [top(cosine, n_neighbors) for cosine in _blocks(a, b, step)]
    if not found:
        empty = np.zeros((0, n_neighbors))
        return empty, empty.astype(np.int64)
    return np.concatenate([s for s, _ in found]), np.concatenate([i for _, i in found])


def _blocks(a: Any, b: Any, step: int) -> Any:
    for start in range(0, a.shape[0], step):
        cosine = _product(a[start : start + step], b)
        yield cosine.toarray() if _sparse(cosine) else np.asarray(cosine)


def top(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each row of scores and their places, in order; equal ones by their places."""
    if count < scores.shape[1]:
        picked = np.empty((len(scores), count), np.int64)
        for row, values in enumerate(scores):
            # All that are as large as the count-th: ties at the border go to the lowest places.
            places = _candidates(values, count)
            some = values[places]
            border = -np.partition(-some, count - 1)[count - 1]
            if np.isnan(border):  # fewer numbers than are asked for: those that are none come last
                picked[row] = np.argsort(-some, kind="stable")[:count]
                continue
            above = places[some > border]
            picked[row] = np.concatenate([above, places[some == border][: count - len(above)]])
    else:
        picked = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    values = np.take_along_axis(scores, picked, axis=1)
    order = np.lexsort((picked, -values), axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(picked, order, axis=1)


def _candidates(values: np.ndarray, count: int) -> np.ndarray:
    """Places of values, the ``count`` largest and all that are equal to the last of them among them."""
    blocks = len(values) // _STRETCH
    if blocks <= count:
        return np.arange(len(values))
    # As many stretches as are asked for have a value of at least this, so the count-th is not below it.
    largest = values[: blocks * _STRETCH].reshape(blocks, _STRETCH).max(axis=1)
    if np.isnan(largest).any():
        return np.arange(len(values))
    return np.flatnonzero(values >= np.partition(largest, blocks - count)[blocks - count])
