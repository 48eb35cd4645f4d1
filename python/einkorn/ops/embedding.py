"""Embeddings: rows of a table, and sums, means and maxima of bags of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions, engines
from einkorn._device import beside, is_whole, move
from einkorn._grad_mode import mode
from einkorn._range_checks import checked
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops._options import flag, integer, number
from einkorn.ops._road import (
    as_index,
    bfloat16_array,
    broadcast_to,
    contiguous,
    is_kept,
    needs,
    record,
    result,
    same_dtype,
    same_place,
    unwrap,
)
from einkorn.ops.copy import reshape
from einkorn.ops.elementwise import multiply
from einkorn.sparse import gathered

__all__ = ["embedding", "embedding_bag"]

_MODES = {"sum": 0, "mean": 1, "max": 2}


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table: ``weight[input]``.

    Parameters
    ----------
    input : array of integers, any shape
        Row numbers.
    weight : array or Tensor [rows, width]
    padding_idx : int, optional
        A row that gets no gradient; negative ones count from the end.
    max_norm : float, optional
        Rows that are looked up and longer than this are scaled down to it, **in place in weight**.
    norm_type : float, default 2.0
        The p of the norm that ``max_norm`` limits.
    scale_grad_by_freq : bool, default False
        Divide a row's gradient by the number of times it was looked up.
    sparse : bool, default False
        Leave weight a gradient of the rows that were looked up alone, a
        :class:`einkorn.sparse.SparseRows`, which SGD, SparseAdam and Adagrad apply to these rows alone.
        Only where weight is a leaf.

    Returns
    -------
    array or Tensor [*input.shape, width]

    Raises
    ------
    IndexRangeError
        If a row number is not in 0 to rows - 1.
    ShapeError
        If weight is no matrix.
    DTypeError
        If input does not hold integers.
    ArgumentError
        For options out of range; for ``max_norm`` where weight cannot be written in place.
    """
    op = "embedding"
    if padding_idx is None and max_norm is None and scale_grad_by_freq is False and sparse is False:
        small = _small_rows(input, weight)
        if small is not None:
            return small
    index = as_index(input, op, "input")
    low = is_kept(weight) and max_norm is None
    take = bfloat16_array if low else unwrap
    w, padding = _table(op, take(weight, op, "weight"), padding_idx, scale_grad_by_freq, sparse)
    rows, width = w.shape
    flat = index if index.ndim == 1 else index.reshape(-1)
    same_place(op, "input", index, "weight", w)
    flat = _check_rows(op, index, flat, rows)
    if max_norm is not None:
        _renorm(op, weight, w, flat, max_norm, norm_type)
    if w.dtype.kind == "V":  # rows of bfloat16 are moved as they are
        out = w.take(flat.reshape(index.shape), axis=0)
    else:
        w = contiguous(w)
        k = engines.of(w)
        out = k.empty((*index.shape, width), w.dtype)
        k.embedding_forward(out, w, flat)
    leaves_rows = sparse and isinstance(weight, Tensor) and weight.is_leaf
    rule = _of_rows(flat, (rows, width), padding, scale_grad_by_freq, leaves_rows)
    return result(out, (weight,), rule, (None, None))


def _small_rows(input: Any, weight: Any) -> Any:
    """A few rows by the short cut; None: the long way."""
    index = input._data if isinstance(input, Tensor) else input
    table = weight._data if isinstance(weight, Tensor) else weight
    out = engines.cpu().quick("embedding", table, index)
    if out is None or table is weight:
        return out
    if not (weight._requires_grad and mode.enabled):
        return Tensor._wrap(out, False, None)
    return record(out, (weight,), _of_rows(index.reshape(-1), table.shape, -1, False, False), (None, None))


def _of_rows(flat: Any, shape: tuple[int, int], padding: int, by_frequency: Any, leaves_rows: bool) -> Any:
    """The gradient of the table that rows were taken from."""

    def rule(g: Any, table: Any, out: Any) -> tuple[Any]:
        if isinstance(g, Tensor):
            g = reshape(g, (flat.size, shape[1]))
        else:
            g = contiguous(g).reshape(flat.size, shape[1])
            if leaves_rows:
                return (gathered(flat, g, shape, padding, by_frequency),)
        return (_sum_rows(g, flat, shape[0], padding, by_frequency),)

    return rule


def _sum_rows(g: Any, index: Any, rows: int, padding: int, by_frequency: bool) -> Any:
    """The gradient of a table, from those of the rows that were looked up."""
    a = g._data if isinstance(g, Tensor) else g
    k, dtype = engines.of(a), a.dtype
    out = k.empty((rows, a.shape[1]), dtype)
    k.embedding_backward(out, None, None, contiguous(a), index, None, None, None, rows, padding, by_frequency)

    def rule(h: Any, g: Any, out: Any) -> tuple[Any]:
        factor = (index != padding).astype(dtype)
        if by_frequency:
            factor /= np.bincount(index, minlength=rows)[index]
        return (multiply(embedding(index, h), factor.reshape(-1, 1)),)

    return result(out, (g,), rule, (None, None))


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sum, mean or maximum over each bag of rows of a table, without the rows themselves.

    Parameters
    ----------
    input : array of integers [bags, length], or [entries] with ``offsets``
        Row numbers.
    weight : array or Tensor [rows, width]
    offsets : array of integers [bags], optional
        Where each bag begins among the entries; the first is 0, none is below the one before.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As :func:`embedding`. The last two are not for mode "max".
    mode : {"mean", "sum", "max"}
        An empty bag gives 0.
    per_sample_weights : array or Tensor of input's shape, optional
        Factors of the rows; mode "sum" only.
    include_last_offset : bool, default False
        ``offsets`` has one more element, where the last bag ends: the number of entries.
    padding_idx : int, optional
        Entries with this row number are in no bag.

    Returns
    -------
    array or Tensor [bags, width]

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        As :func:`embedding`, and for offsets that do not fit the entries.
    """
    op = "embedding_bag"
    index = as_index(input, op, "input")
    if not isinstance(mode, str) or mode not in _MODES:
        raise ArgumentError(f"{op}: mode is {mode!r}, expected 'sum', 'mean' or 'max'")
    code = _MODES[mode]
    w, padding = _table(op, unwrap(weight, op, "weight"), padding_idx, scale_grad_by_freq, sparse)
    if mode == "max" and (scale_grad_by_freq or sparse):
        name = "scale_grad_by_freq" if scale_grad_by_freq else "sparse"
        raise ArgumentError(f"{op}: {name} is True with mode 'max', expected mode 'sum' or 'mean'")
    rows, width = w.shape
    ends = move(_ends(op, index, offsets, flag(op, "include_last_offset", include_last_offset)), "cpu")
    factor = None
    if per_sample_weights is not None:
        if mode != "sum":
            raise ArgumentError(f"{op}: per_sample_weights is given with mode {mode!r}, expected mode 'sum'")
        factor = unwrap(per_sample_weights, op, "per_sample_weights")
        if factor.shape != index.shape:
            raise ShapeError(
                f"{op}: per_sample_weights has shape {factor.shape}, expected {index.shape} as input has"
            )
        same_dtype(op, weight=w, per_sample_weights=factor)
        factor = contiguous(factor).reshape(-1)
    same_place(op, "input", index, "weight", w)
    shape, index = index.shape, _check_rows(op, index, index.reshape(-1), rows)
    if max_norm is not None:
        _renorm(op, weight, w, index, max_norm, norm_type)
    w = contiguous(w)
    k, dtype, bags = engines.of(w), w.dtype, len(ends) - 1
    out, bag_size = k.empty((bags, width), dtype), k.empty((bags,), dtype)
    place = k.empty((bags, width), np.int64) if mode == "max" else None
    k.embedding_bag_forward(out, bag_size, place, w, index, beside(w, ends), factor, padding, code)

    leaves_rows = sparse and isinstance(weight, Tensor) and weight.is_leaf
    need_weight, need_factor = needs(weight), needs(per_sample_weights)
    table = w if need_factor else None

    def backward(g: Any) -> tuple[Any, Any]:
        g = contiguous(g)
        bag = np.full(index.shape, -1, np.int64)  # entries past the last bag are in none
        bag[: ends[-1]] = np.repeat(np.arange(bags), np.diff(ends))
        bag = beside(g, bag)
        gweight = gfactor = None
        if need_factor:
            gfactor = k.empty(index.shape, dtype)
            k.embedding_bag_factor_grad(gfactor, g, table, index, bag, padding)
            gfactor = gfactor.reshape(shape)
        if mode == "mean":
            shared = k.empty(g.shape, dtype)
            k.divide(shared, g, broadcast_to(np.maximum(bag_size, 1)[:, None], g.shape))
            g = shared
        if need_weight and leaves_rows:
            gweight = gathered(index, g, (rows, width), padding, scale_grad_by_freq, bag, factor)
        elif need_weight:
            gweight = k.empty((rows, width), dtype)
            k.embedding_backward(
                gweight, None, None, g, index, bag, factor, place, rows, padding, scale_grad_by_freq
            )
        return gweight, gfactor

    return result(out, (weight, per_sample_weights), backward)


def _table(op: str, w: Any, padding_idx: Any, by_frequency: Any, sparse: Any) -> tuple[Any, int]:
    """The table, and the padding row counted from the front, -1 for none."""
    if w.ndim != 2:
        raise ShapeError(f"{op}: weight has shape {w.shape}, expected (rows, width)")
    flag(op, "scale_grad_by_freq", by_frequency)
    flag(op, "sparse", sparse)
    if padding_idx is None:
        return w, -1
    rows = w.shape[0]
    padding = integer(op, "padding_idx", padding_idx)
    if not -rows <= padding < rows:
        raise ArgumentError(
            f"{op}: padding_idx is {padding_idx}, expected {-rows} to {rows - 1} because weight has {rows}"
            " rows"
        )
    return w, padding % rows


def _check_rows(op: str, index: Any, flat: Any, rows: int) -> Any:
    """The flat index, all rows of which there are."""

    def error(bad: int, row: int) -> Exception:
        at = bad if index.ndim <= 1 else tuple(map(int, np.unravel_index(bad, index.shape)))
        return IndexRangeError(
            f"{op}: input has row {row} at {at}, expected 0 to {rows - 1} because weight has {rows} rows"
        )

    return checked(flat, 0, rows, 0 if rows else -1, error) if flat.size else flat


def _ends(op: str, index: Any, offsets: Any, include_last: bool) -> Any:
    """Where each bag begins, and the last one ends."""
    if index.ndim == 2:
        if offsets is not None:
            raise ArgumentError(f"{op}: offsets are given for input of shape {index.shape}, expected None")
        bags, length = index.shape
        return np.arange(bags + 1, dtype=np.int64) * length
    if index.ndim != 1:
        raise ShapeError(f"{op}: input has shape {index.shape}, expected (bags, length) or (entries,)")
    if offsets is None:
        raise ArgumentError(f"{op}: offsets is None for input of shape {index.shape}, expected an array")
    starts = move(as_index(offsets, op, "offsets"), "cpu")
    if starts.ndim != 1:
        raise ShapeError(f"{op}: offsets has shape {starts.shape}, expected (bags,)")
    if include_last and starts.size == 0:
        raise ShapeError(f"{op}: offsets has shape (0,), expected (bags + 1,) because of include_last_offset")
    ends = starts if include_last else np.append(starts, np.int64(index.size))
    if starts.size == 0:  # no bags: the entries are in none
        return np.zeros(1, np.int64)
    if ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != index.size:
        last = f" and end at {index.size}" if include_last else ""
        raise ArgumentError(
            f"{op}: offsets are {np.array2string(starts, threshold=8, edgeitems=3)}, expected to begin at 0,"
            f" never fall{last} because input has {index.size} entries"
        )
    return ends


def _renorm(op: str, weight: Any, w: Any, index: Any, max_norm: Any, norm_type: Any) -> None:
    """Scale long rows down in place, as torch does; the tape is told of the write."""
    limit, p = number(op, "max_norm", max_norm), number(op, "norm_type", norm_type)
    if not p > 0:
        raise ArgumentError(f"{op}: norm_type is {norm_type!r}, expected a number above 0")
    if isinstance(weight, Tensor) and not weight.is_leaf:
        raise ArgumentError(f"{op}: max_norm changes weight in place, expected a leaf, got a computed Tensor")
    kept = bfloat16_array(weight, op, "weight") if is_kept(weight) else None
    own = w if kept is None else kept
    if not is_whole(own) or (not isinstance(weight, Tensor) and own is not weight and own.base is None):
        raise ArgumentError(f"{op}: max_norm changes weight in place, expected it C-contiguous and writeable")
    if index.size:
        engines.of(w).embedding_renorm(w, index, limit, p)
        if kept is not None:
            _bfloat16.copy(kept, w)
        _versions.wrote(own)
