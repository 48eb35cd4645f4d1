"""Decision stumps: rows in order of every feature, the best split of weighted rows, a round of AdaBoost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import engines, runtime
from einkorn._device import device_of, is_on_gpu, is_whole, move, near
from einkorn.errors import ArgumentError, DeviceError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops._road import unwrap
from einkorn.ops._sealed import Sealed, own, sealed
from einkorn.ops.histogram import check_codes

__all__ = [
    "STUMP_CRITERIA",
    "BinnedRows",
    "Presorted",
    "StumpSplit",
    "adaboost_update",
    "presort",
    "stump_search",
]

#: What a stump's split may be the best in; the codes are those of ``csrc/kernels/stump/stump.h``.
STUMP_CRITERIA = {"gini": 0, "entropy": 1, "error": 2}

_ROW = np.int32(0x7FFFFFFF)
_SORTED = 1 << 24  # numbers that one launch may sort: half a second, or a second


class StumpSplit(NamedTuple):
    """The best split of weighted rows.

    A row goes left when ``x[feature] <= threshold``, and where that is NaN when ``missing_left``.
    ``feature`` is -1 where no feature has two values: then all rows are on the right. ``sums`` is the weight
    of each class on the left and on the right, float64 [2, classes].
    """

    feature: int
    threshold: float
    missing_left: bool
    sums: np.ndarray


class Presorted(Sealed):
    """The rows of a matrix in order of every feature, checked once; :func:`presort` makes it.

    Parameters
    ----------
    order : int32 array [features, rows]
        Rows by rising value, equal values by rising row, NaN last. The sign bit marks a row after which a
        larger value, or NaN, follows; ``order & 0x7fffffff`` are the rows.
    columns : float32 or float64 array [features, rows]
        The matrix, transposed.
    missing : int64 array [features]
        NaN of each feature.

    Attributes
    ----------
    order, columns, missing : arrays, read-only

    Raises
    ------
    ShapeError, DTypeError
    IndexRangeError
        For a row or a number of NaN that is out of range.
    ArgumentError
        For rows that are not each there once, and in order.
    """

    __slots__ = ("columns", "missing", "order")

    order: np.ndarray
    columns: np.ndarray
    missing: np.ndarray

    def __init__(self, order: Any, columns: Any, missing: Any) -> None:
        op = "Presorted"
        for name, a, kinds, ndim in (
            ("order", order, (np.int32,), 2),
            ("columns", columns, (np.float32, np.float64), 2),
            ("missing", missing, (np.int64,), 1),
        ):
            expected = " or ".join(str(np.dtype(kind)) for kind in kinds)
            if not isinstance(a, np.ndarray):
                raise DTypeError(f"{op}: {name} is a {type(a).__name__}, expected an array of {expected}")
            if a.dtype not in kinds:
                raise DTypeError(f"{op}: {name} has dtype {a.dtype}, expected {expected}")
            if a.ndim != ndim:
                raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {ndim} dimensions")
        if columns.shape != order.shape or missing.shape != order.shape[:1]:
            raise ShapeError(
                f"{op}: order has shape {order.shape}, columns {columns.shape} and missing {missing.shape},"
                " expected (features, rows) twice and (features,)"
            )
        self._seal(order=sealed(order), columns=sealed(columns), missing=sealed(missing))
        for f in range(self.n_features):
            self._check(op, f)

    def _check(self, op: str, f: int) -> None:
        """Refuse a feature whose rows are not in order."""
        rows, n = self.order[f] & _ROW, self.n_rows
        if rows.size and rows.max() >= n:
            place = int(rows.argmax())
            raise IndexRangeError(
                f"{op}: order has row {rows[place]} at [{f}, {place}], expected 0 to {n - 1}"
            )
        present = n - int(self.missing[f])
        if not 0 <= present <= n:
            raise IndexRangeError(f"{op}: missing is {self.missing[f]} for feature {f}, expected 0 to {n}")
        if np.bincount(rows, minlength=n).max(initial=1) > 1:
            raise ArgumentError(f"{op}: order has a row more than once for feature {f}")
        values = self.columns[f][rows]
        known = values[:present]
        if np.isnan(known).any() or not np.isnan(values[present:]).all():
            raise ArgumentError(f"{op}: missing is {n - present} for feature {f}, whose NaN are others")
        rises = np.append(known[1:] > known[:-1], present < n)[:present]
        if (known[1:] < known[:-1]).any() or ((self.order[f, :present] < 0) != rises).any():
            raise ArgumentError(f"{op}: order and its marks do not follow the values of feature {f}")

    @classmethod
    def _of(cls, order: np.ndarray, columns: np.ndarray, missing: np.ndarray) -> Presorted:
        """What the kernel made, which needs no check."""
        own(order, columns, missing)
        made = cls.__new__(cls)
        made._seal(order=order, columns=columns, missing=missing)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (near(self.order), near(self.columns), near(self.missing))

    @property
    def n_rows(self) -> int:
        return int(self.order.shape[1])

    @property
    def n_features(self) -> int:
        return int(self.order.shape[0])

    @property
    def device(self) -> str:
        """Where the arrays are, and splits are searched."""
        return device_of(self.order)

    def _search(self, place: Any, sums: Any, weights: Any, target: Any, classes: int, criterion: int) -> None:
        k = engines.of(self.order)
        k.stump_search(place, sums, self.order, self.missing, weights, target, classes, criterion)

    def _threshold(self, feature: int, position: int) -> float:
        row, column = self.order[feature], self.columns[feature]
        low = float(column[int(row[position]) & int(_ROW)])
        if position + 1 >= self.n_rows - int(self.missing[feature]):
            return float("inf")
        high = float(column[int(row[position + 1]) & int(_ROW)])
        middle = low / 2 + high / 2
        return middle if low <= middle < high else low


class BinnedRows(Sealed):
    """Codes of a matrix's bins, checked once; what :class:`einkorn.boosting.Binner` gives.

    Parameters
    ----------
    codes : uint8 or uint16 array [features, rows]
    edges : list of float64 arrays
        Thresholds of each feature: code c is a value in bin c of ``len(edges) + 1``.
    missing_code : int

    Raises
    ------
    ShapeError, DTypeError
    IndexRangeError
        For a code that is neither a bin's nor ``missing_code``.
    """

    __slots__ = ("bins", "codes", "edges", "missing", "missing_code")

    bins: np.ndarray
    codes: np.ndarray
    edges: tuple[np.ndarray, ...]
    missing: np.ndarray
    missing_code: int

    def __init__(self, codes: Any, edges: Sequence[Any], missing_code: int) -> None:
        op = "BinnedRows"
        codes = check_codes(op, codes)
        if codes.shape[0] != len(edges):
            raise ShapeError(f"{op}: codes has shape {codes.shape}, expected ({len(edges)}, rows)")
        codes = sealed(codes)
        thresholds = tuple(sealed(np.asarray(e, np.float64)) for e in edges)
        for f, e in enumerate(thresholds):
            if e.ndim != 1:
                raise ShapeError(f"{op}: edges of feature {f} have shape {e.shape}, expected one dimension")
        most = np.iinfo(codes.dtype).max
        if isinstance(missing_code, bool) or not isinstance(missing_code, (int, np.integer)):
            raise DTypeError(f"{op}: missing_code is {missing_code!r}, expected an int")
        if not 0 <= missing_code <= most:
            raise ArgumentError(f"{op}: missing_code is {missing_code}, expected a code from 0 to {most}")
        bins = np.array([len(e) + 1 for e in thresholds], np.int32)
        if bins.max(initial=0) > most + 1:
            raise ArgumentError(
                f"{op}: a feature has {bins.max()} bins, expected at most {most + 1} of {codes.dtype}"
            )
        is_missing = codes == missing_code
        if codes.size:
            values = np.where(is_missing, codes.dtype.type(0), codes).max(axis=1)
            wrong = np.flatnonzero(values >= bins)
            if wrong.size:
                f = int(wrong[0])
                raise IndexRangeError(
                    f"{op}: codes has {int(values[f])} in feature {f}, expected codes below {bins[f]}"
                )
        self._seal(
            codes=codes,
            edges=thresholds,
            bins=bins,
            missing=is_missing.sum(axis=1),
            missing_code=int(missing_code),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (near(self.codes), list(self.edges), self.missing_code)

    def to(self, device: str) -> BinnedRows:
        """The rows on a device (``"cpu"``, ``"cuda"`` or ``"cuda:1"``): itself where they are there."""
        codes = move(self.codes, device)
        if codes is self.codes:
            return self
        moved = object.__new__(BinnedRows)
        kept = {name: getattr(self, name) for name in ("edges", "missing", "missing_code")}
        moved._seal(codes=codes, bins=move(self.bins, device), **kept)
        return moved

    @property
    def device(self) -> str:
        """Where the codes are, and splits are searched."""
        return device_of(self.codes)

    @property
    def n_rows(self) -> int:
        return int(self.codes.shape[1])

    @property
    def n_features(self) -> int:
        return int(self.codes.shape[0])

    def _search(self, place: Any, sums: Any, weights: Any, target: Any, classes: int, criterion: int) -> None:
        engines.of(self.codes).stump_search_binned(
            place, sums, self.codes, self.bins, self.missing_code, weights, target, classes, criterion
        )

    def _threshold(self, feature: int, position: int) -> float:
        edges = self.edges[feature]
        return float(edges[position]) if position < len(edges) else float("inf")


def presort(X: Any) -> Presorted:
    """Sort the rows by every feature, once for all rounds of boosting.

    Parameters
    ----------
    X : float32 or float64 array [rows, features]
        Any strides. NaN are missing values; infinities are values. Rows on a GPU are sorted there.

    Returns
    -------
    Presorted

    Raises
    ------
    ShapeError, DTypeError
        For another number of dimensions, more than 2^31 - 1 rows, another element type.
    """
    op = "presort"
    x = unwrap(X, op, "X")
    if x.ndim != 2:
        raise ShapeError(f"{op}: X has shape {x.shape}, expected (rows, features)")
    if x.shape[0] > _ROW:
        raise ShapeError(f"{op}: X has {x.shape[0]} rows, at most {_ROW} are supported")
    if any(step % x.itemsize for step in x.strides):
        x = x.copy()
    k = engines.of(x)
    shape = x.shape[::-1]
    order, columns = k.empty(shape, np.int32), k.empty(shape, x.dtype)
    missing = k.empty(shape[:1], np.int64)
    # Some features a launch: Ctrl-C is heard between launches.
    step = max(runtime.get_num_threads(), _SORTED // max(x.shape[0], 1))
    for first in range(0, max(x.shape[1], 1), step):
        some = slice(first, first + step)
        k.presort(order[some], columns[some], missing[some], x[:, some])
    return Presorted._of(order, columns, missing)


def stump_search(
    data: Presorted | BinnedRows,
    weights: Any,
    target: Any = None,
    *,
    classes: int = 2,
    criterion: str = "gini",
) -> StumpSplit:
    """The best split ``x[feature] <= threshold`` of weighted rows, over all features.

    Thresholds are midpoints between neighbouring values (of bins: their edges). Missing values of the
    feature go to the side that is better; where it has none, to the heavier one. Of splits that are
    equally good, the lowest feature, missing values on the right, and the lowest threshold win.

    Parameters
    ----------
    data : Presorted or BinnedRows
    weights : float32 array [rows]
        On data's device. With two classes negative for rows of class 0 and positive for those of class 1;
        else at least 0.
    target : int32 array [rows], optional
        Classes, in [0, classes); needed for more than two.
    classes : int, default 2
    criterion : {"gini", "entropy", "error"}
        What is least after the split: weighted Gini impurity, entropy, or the error of predicting each
        side's heaviest class.

    Returns
    -------
    StumpSplit

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        For arguments that do not fit, a class out of range.
    """
    op = "stump_search"
    if not isinstance(data, (Presorted, BinnedRows)):
        raise DTypeError(f"{op}: data is a {type(data).__name__}, expected Presorted or BinnedRows")
    code = STUMP_CRITERIA.get(criterion) if isinstance(criterion, str) else None
    if code is None:
        known = ", ".join(map(repr, STUMP_CRITERIA))
        raise ArgumentError(f"{op}: criterion is {criterion!r}, expected one of {known}")
    _check_classes(op, classes)
    v = _row_numbers(op, "weights", weights, data.n_rows, np.float32)
    y = None
    if classes > 2:
        y = _row_numbers(op, "target", target, data.n_rows, np.int32)
        _check_range(op, y, classes)
    _same_place(op, data.device, weights=v, target=y)
    k = engines.of(v)
    found, weighed = k.empty((3,), np.int64), k.empty((2, classes), np.float64)
    data._search(found, weighed, v, y, classes, code)
    feature, position, missing_left = near(found).tolist()
    sums = near(weighed)
    if feature < 0:
        return StumpSplit(-1, float("nan"), False, sums)
    if not missing_left and not int(data.missing[feature]):
        left, right = sums.sum(axis=1)
        missing_left = left > right
    return StumpSplit(feature, data._threshold(feature, position), bool(missing_left), sums)


def adaboost_update(
    weights: Any,
    signed_weights: Any,
    target: Any,
    *,
    x: Any = None,
    threshold: float = 0.0,
    missing_left: bool = False,
    left: int = 0,
    right: int = 0,
    predicted: Any = None,
    classes: int = 2,
    learning_rate: float = 1.0,
    source: int = 0,
    source_factor: float = 1.0,
    error_floor: float = 0.0,
) -> np.ndarray:
    """One round's error, estimator weight and new row weights, in place (SAMME; Zhu et al. 2009).

    ``e = sum w[h != y] / sum w``, ``a = learning_rate (log((1 - e) / e) + log(classes - 1))``, then ``w *=
    exp(a)`` where ``h != y``, divided so that the sum is 1. For two classes that is Freund and Schapire's
    update, whose alpha is ``a / 2``.

    Parameters
    ----------
    weights : float64 array [rows]
        Changed in place. Of weights on a GPU the round is computed there, and all arrays are there.
    signed_weights : float32 array [rows]
        Written: the weights as :func:`stump_search` takes them.
    target : int32 array [rows]
        Classes, 0 to classes - 1.
    x, threshold, missing_left, left, right :
        What was predicted, as a stump: class ``left`` where ``x <= threshold`` (or x is NaN and
        ``missing_left``), else ``right``. x is a float32 or float64 column.
    predicted : int32 array [rows], optional
        What was predicted, row by row.
    classes : int, default 2
    learning_rate : float, default 1.0
    source : int, default 0
        The first ``source`` rows are TrAdaBoost's source rows: they do not count for the error, and are
        multiplied by ``source_factor`` where they are wrong.
    source_factor : float, default 1.0
    error_floor : float, default 0.0
        Above 0: the estimator's weight is that of an error between this and chance less this, and rounds
        never end.

    Returns
    -------
    float64 array [4]
        Error, estimator weight, sum of the new weights before the division (NaN where nothing changed:
        error 0 or no better than chance; infinite where ``exp(a)`` exceeds float64, while the new weights are
        still what they would be), number of rows left of the threshold.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
    """
    op = "adaboost_update"
    _check_classes(op, classes)
    rows = weights.shape[0] if _is_array(weights) and weights.ndim == 1 else -1
    if rows < 0:
        raise ShapeError(f"{op}: weights must be an array [rows]")
    for name, a, kind in (("weights", weights, np.float64), ("signed_weights", signed_weights, np.float32)):
        if not _is_array(a) or a.dtype != kind:
            raise DTypeError(f"{op}: {name} must be an array of {np.dtype(kind)}")
        if a.shape != (rows,) or not is_whole(a):
            raise ShapeError(f"{op}: {name} has shape {a.shape}, expected a writable contiguous ({rows},)")
    y = _row_numbers(op, "target", target, rows, np.int32)
    if (x is None) == (predicted is None):
        raise ArgumentError(f"{op}: pass either x or predicted")
    if predicted is not None:
        predicted = _row_numbers(op, "predicted", predicted, rows, np.int32)
    if x is not None:
        x = unwrap(x, op, "x")
        if x.shape != (rows,):
            raise ShapeError(f"{op}: x has shape {x.shape}, expected ({rows},)")
        if x.strides[0] % x.itemsize:
            x = x.copy()
    _same_place(op, device_of(weights), signed_weights=signed_weights, target=y, x=x, predicted=predicted)
    k = engines.of(weights)
    stats = k.empty((4,), np.float64)
    k.adaboost_update(
        stats,
        weights,
        signed_weights,
        y,
        x,
        predicted,
        float(threshold),
        bool(missing_left),
        int(left),
        int(right),
        classes,
        float(learning_rate),
        int(source),
        float(source_factor),
        float(error_floor),
    )
    return near(stats)


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or is_on_gpu(x)


def _same_place(op: str, device: str, **arrays: Any) -> None:
    """Refuse an array that is not where the others are. None is skipped."""
    for name, a in arrays.items():
        if a is not None and device_of(a) != device:
            raise DeviceError(f"{op}: {name} is on {device_of(a)}, expected {device} as the rows are")


def _check_classes(op: str, classes: Any) -> None:
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or not 2 <= classes < 1 << 24:
        raise ArgumentError(f"{op}: classes is {classes!r}, expected a whole number of at least 2")


def _row_numbers(op: str, name: str, values: Any, rows: int, kind: type) -> Any:
    if not _is_array(values) or values.dtype != kind:
        found = values.dtype if _is_array(values) else f"a {type(values).__name__}"
        raise DTypeError(f"{op}: {name} is {found}, expected an array of {np.dtype(kind)}")
    if values.shape != (rows,):
        raise ShapeError(f"{op}: {name} has shape {values.shape}, expected ({rows},)")
    return values if values.flags.c_contiguous else values.copy()


def _check_range(op: str, y: np.ndarray, classes: int) -> None:
    if y.size and (y.min() < 0 or y.max() >= classes):
        row = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise IndexRangeError(f"{op}: target is {y[row]} in row {row}, expected 0 to {classes - 1}")
