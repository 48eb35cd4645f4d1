"""Which elements there are, how often, and which is the most frequent."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._device import beside
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._lines import Extremes, taken, wrapped
from einkorn.ops._options import ABSENT, axis_of, flag
from einkorn.ops._road import unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import reshape
from einkorn.ops.sort import sort

__all__ = ["mode", "unique", "unique_consecutive"]


def _plain(op: str, x: Any) -> Any:
    whole = _integers.integral(x)
    return unwrap(x, op, "x") if whole is None else whole


def _chosen_axis(op: str, dim: Any, axis: Any, ndim: int) -> int | None:
    """The axis that either name gives, None for the flat array."""
    if dim is not ABSENT and axis is not ABSENT:
        raise ArgumentError(f"{op}: dim is {dim!r} and axis is {axis!r}, expected one of them")
    given = axis if dim is ABSENT else dim
    return None if given is ABSENT or given is None else axis_of(op, given, ndim)


def _slices(a: Any, d: int | None) -> Any:
    """What is compared as a whole, as rows."""
    if d is None or not a.ndim:
        return a.reshape(-1, 1)
    moved = np.moveaxis(a, d, 0)
    return moved.reshape(moved.shape[0], -1) if a.size else beside(a, np.zeros((moved.shape[0], 0), a.dtype))


def _fresh(rows: Any) -> Any:
    """Which rows differ from the one before; NaN differs from NaN."""
    fresh = beside(rows, np.ones(rows.shape[0], np.bool_))
    fresh[1:] = (rows[1:] != rows[:-1]).any(1)
    return fresh


def _found(
    a: Any, x: Any, d: int | None, fresh: Any, places: Any, asked: tuple[bool, bool, bool], all_of: Any
) -> Any:
    """The elements at ``places[fresh]``, then first places, the inverse and counts as they were asked for."""
    first = places[fresh]
    values = a.reshape(-1)[first] if d is None or not a.ndim else np.take(a, first, d)
    found = [wrapped(values, x)]
    index, inverse, counts = asked
    if index:
        found.append(wrapped(first.astype(np.int64), x))
    if inverse:
        where = np.empty_like(places, np.int64)
        where[places] = np.cumsum(fresh) - 1
        found.append(wrapped(where.reshape(all_of), x))
    if counts:
        found.append(wrapped(np.diff(np.append(np.flatnonzero(fresh), places.size)), x))
    return found[0] if len(found) == 1 else tuple(found)


@rounded_once
def unique(
    x: Any,
    *,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = ABSENT,
    axis: int | None = ABSENT,
) -> Any:
    """The different elements in rising order; each NaN is one of its own, as in torch.

    Parameters
    ----------
    x : array or Tensor
        Integers and booleans too.
    return_index : bool, keyword-only, default False
        Also where each one is first, as in NumPy.
    return_inverse : bool, keyword-only, default False
        Also where each element of x is among them, in the shape of x; with an axis, for each of its slices.
    return_counts : bool, keyword-only, default False
        Also how often each one is there.
    dim : int, keyword-only, optional
        The different slices along this axis, ordered by their first elements, then by the next; default: the
        elements of the flat array.
    axis : keyword-only
        NumPy's name for the same.

    Returns
    -------
    array or Tensor (no gradient), or a tuple with what was asked for, in the order of the parameters.
    """
    asked = (
        flag("unique", "return_index", return_index),
        flag("unique", "return_inverse", return_inverse),
        flag("unique", "return_counts", return_counts),
    )
    a = _plain("unique", x)
    d = _chosen_axis("unique", dim, axis, a.ndim)
    rows = _slices(a, d)
    if rows.shape[1] != 1:
        places = np.lexsort(rows.T[::-1]) if rows.shape[1] else beside(a, np.arange(rows.shape[0]))
    elif a.dtype.kind == "f":
        places = sort(rows.reshape(-1), 0).indices
    else:
        places = np.argsort(rows.reshape(-1), kind="stable")
    shape = a.shape if d is None else (rows.shape[0],) if a.ndim else ()
    return _found(a, x, d, _fresh(rows[places]), places, asked, shape)


@either_spelling
@rounded_once
def unique_consecutive(
    x: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """One for each run of equal elements, in their order; arguments as :func:`unique`.

    Parameters
    ----------
    dim : int, optional
        Runs of equal slices along this axis; default: of the flat array.
    """
    op = "unique_consecutive"
    asked = (False, flag(op, "return_inverse", return_inverse), flag(op, "return_counts", return_counts))
    a = _plain(op, x)
    d = _chosen_axis(op, dim, ABSENT, a.ndim)
    rows = _slices(a, d)
    shape = a.shape if d is None else (rows.shape[0],) if a.ndim else ()
    return _found(a, x, d, _fresh(rows), beside(a, np.arange(rows.shape[0])), asked, shape)


@either_spelling
@rounded_once
def mode(x: Any, dim: int = -1, keepdim: bool = False) -> Extremes:
    """The most frequent element along ``dim``, the smallest of several, and where it is last.

    Parameters
    ----------
    x : array or Tensor
        Integers too.
    dim : int, default -1
    keepdim : bool, default False
        Keep the axis, with size 1.

    Returns
    -------
    values, indices : array or Tensor (with its gradient), int64 array or Tensor

    Raises
    ------
    ShapeError
        If there is nothing along ``dim``.
    """
    keep = flag("mode", "keepdim", keepdim)
    a = _plain("mode", x)
    d = axis_of("mode", dim, a.ndim)
    if not a.ndim:
        return Extremes(x if isinstance(x, Tensor) else a, wrapped(beside(a, np.zeros((), np.int64)), x))
    n = a.shape[d]
    if n == 0:
        raise ShapeError(f"mode: x has shape {a.shape}; there is nothing along axis {dim}")
    places = np.argsort(a, d, kind="stable")
    ordered = np.moveaxis(np.take_along_axis(a, places, d), d, -1)
    fresh = beside(a, np.ones(ordered.shape, np.bool_))
    fresh[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    fresh = fresh.reshape(-1)
    begun = np.flatnonzero(fresh)[np.cumsum(fresh) - 1]  # where the run of each element begins
    longest = (beside(a, np.arange(begun.size)) - begun).reshape(ordered.shape)
    end = np.argmax(longest, -1)  # the first, so the smallest, of the longest runs
    last = np.take_along_axis(np.moveaxis(places, d, -1), end[..., None], -1)
    index = np.moveaxis(last, -1, d)
    values = taken(x if isinstance(x, Tensor) else a, index, d)
    values = values if isinstance(values, Tensor) or not isinstance(x, Tensor) else wrapped(values, x)
    if not keep:
        shape = (*a.shape[:d], *a.shape[d + 1 :])
        values = reshape(values, shape)
        index = index.reshape(shape)
    return Extremes(values, wrapped(index, x))
