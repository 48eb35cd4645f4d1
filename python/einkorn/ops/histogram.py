"""Binning of columns, and histograms of gradients over the bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside, device_of, is_on_gpu, is_whole, near
from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DeviceError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops._road import as_index, contiguous, unwrap

__all__ = ["bin_columns", "bin_edges", "histogram", "histogram_subtract"]

_MAX_BINS = 65535
# Columns whose edges are found in one launch; what they give is then cut to size.
_COLUMNS = 256


def bin_edges(
    X: Any, max_bins: int = 255, *, rows: Any = None, sample_weight: Any = None
) -> list[np.ndarray]:
    """Thresholds that cut each column into at most ``max_bins`` bins.

    A column with at most ``max_bins`` distinct values gets a bin for each. Otherwise bins weigh about the
    same, and a value that weighs as much as a whole bin has one of its own.

    Parameters
    ----------
    X : array [rows, features]
        NaN does not count. Of an array of a GPU bins are found there, and given on the CPU.
    max_bins : int, default 255
        1 to 65535.
    rows : array of int, optional
        The rows to look at; all by default.
    sample_weight : array, optional
        A weight for each row looked at. Rows of weight 0 do not count.

    Returns
    -------
    list of float64 arrays
        For each column its thresholds, ascending: ``x <= edges[k]`` for the bins 0 to k. They lie in the
        middle between neighbouring values, rounded so that they part them in X's element type.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        For arguments that do not fit.
    """
    op = "bin_edges"
    x = _matrix(op, X)
    if (
        isinstance(max_bins, bool)
        or not isinstance(max_bins, (int, np.integer))
        or not 1 <= max_bins <= _MAX_BINS
    ):
        raise ArgumentError(f"{op}: max_bins is {max_bins!r}, expected a whole number from 1 to {_MAX_BINS}")
    at = None if rows is None else _rows(op, rows, x.shape[0])
    count = x.shape[0] if at is None else at.size
    weight = None
    if sample_weight is not None:
        refuse_masked(sample_weight, f"{op}: sample_weight")
        weight = np.ascontiguousarray(sample_weight, dtype=np.float64)
        if weight.shape != (count,):
            raise ShapeError(f"{op}: sample_weight has shape {weight.shape}, expected {(count,)}")
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ArgumentError(f"{op}: sample_weight has a negative or non-finite weight")
    k = engines.of(x)
    at, weight = (None if a is None else beside(x, a) for a in (at, weight))
    found: list[np.ndarray] = []
    for first in range(0, x.shape[1], _COLUMNS):
        part = x[:, first : first + _COLUMNS]
        edges = k.empty((part.shape[1], int(max_bins) - 1), np.float64)
        counts = k.empty((part.shape[1],), np.int32)
        k.bin_edges(edges, counts, part, at, weight)
        edges, counts = near(edges), near(counts)
        found += [edges[f, : counts[f] - 1].copy() for f in range(part.shape[1])]
    return found


def bin_columns(
    X: Any,
    edges: Sequence[Any],
    *,
    categorical: Any = None,
    missing_code: int | None = None,
) -> np.ndarray:
    """Replace each number by its bin: ``codes[f, r]`` is how many of ``edges[f]`` are below ``X[r, f]``.

    Parameters
    ----------
    X : array [rows, features]
        Codes are made where it is, on a GPU too.
    edges : sequence of float64 arrays
        Ascending thresholds of each column, as :func:`bin_edges` gives; of a categorical column its
        categories, ascending: the code of ``x`` is the place of ``int(x)`` among them, or their number if it
        is not there.
    categorical : array of bool [features], optional
    missing_code : int, optional
        The code of NaN: 255 when no column has more than 255 bins (then codes are uint8), else 65535
        (uint16). Give 65535 to have uint16 in any case.

    Returns
    -------
    uint8 or uint16 array [features, rows]

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        For arguments that do not fit.
    """
    op = "bin_columns"
    x = _matrix(op, X)
    n = x.shape[1]
    if len(edges) != n:
        raise ShapeError(f"{op}: edges has {len(edges)} columns, expected {n} as X has")
    columns = [np.asarray(e, dtype=np.float64) for e in edges]
    marks = np.zeros(n, np.uint8) if categorical is None else np.ascontiguousarray(categorical, np.uint8)
    if marks.shape != (n,):
        raise ShapeError(f"{op}: categorical has shape {marks.shape}, expected {(n,)}")
    for f, e in enumerate(columns):
        if e.ndim != 1:
            raise ShapeError(f"{op}: edges of column {f} have shape {e.shape}, expected one dimension")
        if not (e[1:] >= e[:-1]).all() or (e.size and e[0] != e[0]):
            raise ArgumentError(f"{op}: edges of column {f} do not ascend")
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum([e.size for e in columns], out=offsets[1:])
    bins = max((e.size + 1 for e in columns), default=1)
    code = missing_code if missing_code is not None else (255 if bins <= 255 else _MAX_BINS)
    if code not in (255, _MAX_BINS) or bins > code:
        raise ArgumentError(
            f"{op}: missing_code is {missing_code!r} and a column has {bins} bins; expected 255 for at most"
            f" 255 bins, or {_MAX_BINS} for at most {_MAX_BINS}"
        )
    k = engines.of(x)
    codes = k.empty((n, x.shape[0]), np.uint8 if code == 255 else np.uint16)
    flat = np.concatenate(columns) if columns else np.empty(0)
    k.bin_columns(codes, x, beside(x, flat), beside(x, offsets), beside(x, marks), code)
    return codes


def histogram(
    codes: Any, gradients: Any, hessians: Any = None, *, bins: int | None = None, rows: Any = None
) -> np.ndarray:
    """Sums of gradients and hessians, and numbers of rows, for each bin of each feature.

    Parameters
    ----------
    codes : uint8 or uint16 array [features, rows]
        Sums are made where they are, on a GPU too.
    gradients : array [rows]
    hessians : array [rows], optional
        Ones by default.
    bins : int, optional
        Bins of the result; 256 or 65536 by default. A row whose code is not below it does not count.
    rows : array of int, optional
        The rows to add up; all by default. A row may come more than once.

    Returns
    -------
    float64 array [features, bins, 3]
        Sum of gradients, sum of hessians, number of rows. The same bits for any number of threads.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        For arguments that do not fit.
    """
    op = "histogram"
    c = codes if is_on_gpu(codes) else check_codes(op, codes)
    _check_matrix(op, c)
    if bins is None:
        bins = 256 if c.dtype == np.uint8 else 65536
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or not 1 <= bins <= 65536:
        raise ArgumentError(f"{op}: bins is {bins!r}, expected a whole number from 1 to 65536")
    g = _per_row(op, "gradients", gradients, c.shape[1])
    h = None if hessians is None else _per_row(op, "hessians", hessians, c.shape[1])
    at = None if rows is None else _rows(op, rows, c.shape[1])
    k = engines.of(c)
    out = k.empty((c.shape[0], int(bins), 3), np.float64)
    k.histogram(out, c, *(None if a is None else beside(c, a) for a in (g, h, at)))
    return out


def histogram_subtract(a: Any, b: Any, out: Any = None) -> np.ndarray:
    """Histogram of the rows of ``a`` that are not among those of ``b``: ``a - b``.

    Parameters
    ----------
    a, b : float64 arrays [features, bins, 3]
    out : float64 array, optional
        Where to write; may be ``a`` or ``b``.

    Raises
    ------
    ShapeError, DTypeError
        For arguments that do not fit.
    """
    op = "histogram_subtract"
    left, right = (contiguous(unwrap(v, op, n)) for v, n in ((a, "a"), (b, "b")))
    if left.shape != right.shape:
        raise ShapeError(f"{op}: b has shape {right.shape}, expected {left.shape} as a has")
    k = engines.of(left)
    given = out
    if out is None:
        out = k.empty(left.shape, np.float64)
    for name, v in (("a", left), ("b", right), ("out", out)):
        if getattr(v, "dtype", None) != np.float64:
            raise DTypeError(f"{op}: {name} has dtype {getattr(v, 'dtype', None)}, expected float64")
    if given is not None and (out.shape != left.shape or not is_whole(out)):
        raise ShapeError(f"{op}: out must be writable, contiguous and of shape {left.shape}")
    k.histogram_subtract(out, left, right)
    return out


def check_codes(op: str, codes: Any) -> np.ndarray:
    """Codes as a contiguous uint8 or uint16 matrix; anything else is refused."""
    refuse_masked(codes, f"{op}: codes")
    if is_on_gpu(codes):
        raise DeviceError(f"{op}: codes is on {device_of(codes)}, expected codes of the CPU; `to` sends them")
    c = np.asarray(codes)
    _check_matrix(op, c)
    return np.ascontiguousarray(c)


def _check_matrix(op: str, c: Any) -> None:
    if c.dtype not in (np.uint8, np.uint16):
        raise DTypeError(f"{op}: codes has dtype {c.dtype}, expected uint8 or uint16")
    if c.ndim != 2:
        raise ShapeError(f"{op}: codes has shape {c.shape}, expected (features, rows)")


def _matrix(op: str, X: Any) -> np.ndarray:
    x: np.ndarray = unwrap(X, op, "X")
    if x.ndim != 2:
        raise ShapeError(f"{op}: X has shape {x.shape}, expected (rows, features)")
    if any(s % x.itemsize for s in x.strides):
        x = x.copy()
    return x


def _rows(op: str, rows: Any, limit: int) -> np.ndarray:
    at: np.ndarray = as_index(rows, op, "rows")
    if at.ndim != 1:
        raise ShapeError(f"{op}: rows has shape {at.shape}, expected one dimension")
    bad = engines.of(at).first_out_of_range(at, 0, limit, 0 if limit else -1)
    if bad >= 0:
        raise IndexRangeError(f"{op}: rows has {int(at[bad])} at {bad}, expected 0 to {limit - 1}")
    return at


def _per_row(op: str, name: str, values: Any, rows: int) -> np.ndarray:
    v = unwrap(values, op, name)
    if v.shape != (rows,):
        raise ShapeError(
            f"{op}: {name} has shape {v.shape}, expected {(rows,)} because codes has {rows} rows"
        )
    return v.astype(np.float64, order="C", copy=False)
