"""Running sums, products and extremes along an axis, and counts."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import as_array
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._elementwise import _binary_kernel, _plain
from einkorn.ops._lines import Extremes, blocks, placed, wrapped
from einkorn.ops._options import ABSENT, axes_of, axis_of, integer, number, reduced
from einkorn.ops._road import as_index, check_size, contiguous, result, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import cast, reshape
from einkorn.ops.elementwise import clip, log, negative, subtract

__all__ = [
    "all",
    "any",
    "bincount",
    "count_nonzero",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "histc",
    "logcumsumexp",
]


def _line(op: str, x: Any, axis: Any, dim: Any, dtype: Any) -> tuple[Any, Any]:
    """The operand and its axis; without one it is flat, as in NumPy."""
    if dim is not ABSENT:
        if axis is not None:
            raise ArgumentError(f"{op}: axis is {axis!r} and dim is {dim!r}, expected one of them")
        axis = dim
    if dtype is not None:
        x = cast(x, dtype)
    whole = _integers.integral(x)
    ndim = (whole if whole is not None else unwrap(x, op, "x")).ndim
    if axis is None:
        return (whole.reshape(-1) if whole is not None else reshape(x, (-1,))), 0
    return x, axis_of(op, axis, ndim)


def _scanned(kernel: str, x: Any, d: int, reverse: bool, rule: Any, save: bool) -> Any:
    a = unwrap(x, kernel, "x")
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    lines = blocks(a, d)
    getattr(k, kernel)(out.reshape(lines.shape), lines, reverse)
    return result(out, (x,), rule, (a, out) if save else ())


def _running_sum(x: Any, d: int, reverse: bool = False) -> Any:
    return _scanned("cumsum", x, d, reverse, lambda g: (_running_sum(g, d, not reverse),), False)


def cumsum(x: Any, axis: int | None = None, *, dim: Any = ABSENT, dtype: Any = None) -> Any:
    """Running sums along an axis.

    Parameters
    ----------
    x : array or Tensor
        Integers and booleans too: their sums are of int64.
    axis : int or None
        None: of the flattened array, as in NumPy.
    dim : int, keyword-only
        torch's name for the same.
    dtype : float32 or float64, keyword-only, optional
        x is converted first.
    """
    given = x
    x, d = _line("cumsum", x, axis, dim, dtype)
    whole = _integers.integral(x)
    if whole is not None:
        return wrapped(np.cumsum(whole, d if whole.ndim else None, np.int64).reshape(whole.shape), given)
    return _running_sum(x, d)


def cumprod(x: Any, axis: int | None = None, *, dim: Any = ABSENT, dtype: Any = None) -> Any:
    """Running products along an axis; arguments as :func:`cumsum`."""
    given = x
    x, d = _line("cumprod", x, axis, dim, dtype)
    whole = _integers.integral(x)
    if whole is not None:
        return wrapped(np.cumprod(whole, d if whole.ndim else None, np.int64).reshape(whole.shape), given)

    def rule(g: Any, a: Any, out: Any) -> tuple[Any]:
        if isinstance(g, Tensor):  # as long as no element is 0
            return (_running_sum(g * out, d, True) / a,)
        k = engines.of(g)
        lines = blocks(a, d)
        gx = k.empty(a.shape, a.dtype)
        k.cumprod_grad(gx.reshape(lines.shape), contiguous(g).reshape(lines.shape), lines)
        return (gx,)

    return _scanned("cumprod", x, d, False, rule, True)


def logcumsumexp(x: Any, axis: int | None = None, *, dim: Any = ABSENT) -> Any:
    """Logarithms of the running sums of ``exp(x)``, without overflow; arguments as :func:`cumsum`."""
    x, d = _line("logcumsumexp", x, axis, dim, None)

    def rule(g: Any, a: Any, out: Any) -> tuple[Any]:
        # exp(x) times the sum of g exp(-out) from here on, with positive and negative g apart, as logarithms.
        if isinstance(g, Tensor):
            return (_plain("exp", a) * _running_sum(g * _plain("exp", -out), d, True),)
        parts = []
        for part in (clip(g, min=0.0), clip(negative(g), min=0.0)):
            sums = _scanned("log_cumsum_exp", subtract(log(part), out), d, True, None, False)
            parts.append(_plain("exp", _binary_kernel("add", sums, a)))
        return (_binary_kernel("subtract", *parts),)

    return _scanned("log_cumsum_exp", x, d, False, rule, True)


def _cumulative(op: str, x: Any, dim: Any, smallest: bool) -> Extremes:
    whole = _integers.integral(x)
    a = unwrap(x, op, "x") if whole is None else whole
    d = axis_of(op, dim, a.ndim, "dim")
    if whole is not None:
        return _cumulative_whole(x, whole, d, smallest)
    k = engines.of(a)
    out, index = k.empty(a.shape, a.dtype), k.empty(a.shape, "int64")
    lines = blocks(a, d)
    k.cumulative_extreme(out.reshape(lines.shape), index.reshape(lines.shape), lines, smallest)
    n = a.shape[d] if a.ndim else 1
    values = result(out, (x,), lambda g: (placed(g, index, d, n),), ())
    return Extremes(values, wrapped(index, x))


def _cumulative_whole(x: Any, whole: Any, d: int, smallest: bool) -> Extremes:
    """The same for integers and booleans."""
    lines = whole.reshape(whole.shape or (1,))
    values = (np.minimum if smallest else np.maximum).accumulate(lines, d)
    places = np.arange(lines.shape[d]).reshape(np.where(np.arange(lines.ndim) == d, -1, 1))
    index = np.maximum.accumulate(np.where(lines == values, places, 0), d)
    return Extremes(wrapped(values.reshape(whole.shape), x), wrapped(index.reshape(whole.shape), x))


@either_spelling
def cummax(x: Any, dim: int) -> Extremes:
    """The largest element so far along ``dim``, and where it was last; NaN wins.

    Returns
    -------
    values, indices : array or Tensor, int64 array or Tensor
    """
    return _cumulative("cummax", x, dim, False)


@either_spelling
def cummin(x: Any, dim: int) -> Extremes:
    """The smallest element so far along ``dim``, and where it was last; NaN wins. See :func:`cummax`."""
    return _cumulative("cummin", x, dim, True)


# --- counts -----------------------------------------------------------------------------------------


def _counts(op: str, x: Any, axis: Any, keepdims: bool) -> tuple[Any, int]:
    """How many elements are not 0, over the axes, and of how many each."""
    whole = _integers.integral(x)
    a = unwrap(x, op, "x") if whole is None else whole
    axes = axes_of(op, axis, a.ndim)
    n = 1
    for d in axes:
        n *= a.shape[d]
    left = tuple([m for d, m in enumerate(a.shape) if d not in axes])
    shape = tuple([1 if d in axes else m for d, m in enumerate(a.shape)]) if keepdims else left
    if whole is not None:
        return as_array(np.count_nonzero(whole, axes, keepdims=True)).reshape(shape), n
    k = engines.of(a)
    out = k.empty(shape, "int64")
    moved = a.transpose([*(d for d in range(a.ndim) if d not in axes), *axes])
    k.count_nonzero(out, contiguous(moved).reshape(out.size, n, 1))
    return out, n


def count_nonzero(
    x: Any, axis: Any = None, *, keepdims: bool = False, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """How many elements are not 0, over axes; NaN is not.

    Parameters
    ----------
    x : array or Tensor
        Integers and booleans too.
    axis : int, tuple of int or None
        None: all.
    keepdims : bool, keyword-only, default False
    dim, keepdim : keyword-only
        torch's names for the same.

    Returns
    -------
    array of int64, or a Tensor of them
    """
    axis, keepdims = reduced("count_nonzero", axis, keepdims, dim, keepdim)
    return wrapped(_counts("count_nonzero", x, axis, keepdims)[0], x)


def any(
    x: Any, axis: Any = None, *, keepdims: bool = False, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Whether some element is not 0, over axes; of nothing it is False. Arguments as :func:`count_nonzero`.

    Returns
    -------
    array of booleans, or a Tensor of them
    """
    axis, keepdims = reduced("any", axis, keepdims, dim, keepdim)
    return wrapped(_counts("any", x, axis, keepdims)[0] > 0, x)


def all(
    x: Any, axis: Any = None, *, keepdims: bool = False, dim: Any = ABSENT, keepdim: bool = ABSENT
) -> Any:
    """Whether no element is 0, over axes; of nothing it is True. Arguments as :func:`count_nonzero`.

    Returns
    -------
    array of booleans, or a Tensor of them
    """
    axis, keepdims = reduced("all", axis, keepdims, dim, keepdim)
    counts, n = _counts("all", x, axis, keepdims)
    return wrapped(counts == n, x)


@rounded_once
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 on is there, or what the weights of each one add up to.

    Parameters
    ----------
    x : array or Tensor of integers, one axis
        None negative.
    weights : array or Tensor, optional
        Of x's shape.
    minlength : int, default 0
        The least size of the result, which otherwise ends with the largest number.

    Returns
    -------
    array or Tensor: of int64, or of the weights' type (no gradient)
    """
    index = as_index(x, "bincount", "x")
    least = integer("bincount", "minlength", minlength, 0)
    if index.ndim != 1:
        raise ShapeError(f"bincount: x has shape {index.shape}, expected one axis")
    if index.size and index.min() < 0:
        raise IndexRangeError(f"bincount: x has the number {index.min()}, expected none below 0")
    bins = max(int(index.max()) + 1 if index.size else 0, least)
    check_size("bincount", (bins,), "x")
    k = engines.of(index)
    if weights is None:
        out = k.empty((bins,), "int64")
        k.count_values(out, index)
        return wrapped(out, x)
    given = unwrap(_integers.as_float(weights, np.float64), "bincount", "weights")
    if given.shape != index.shape:
        raise ShapeError(f"bincount: weights has shape {given.shape}, expected {index.shape} as x has")
    out = k.empty((bins,), given.dtype)
    k.weigh_values(out, index, contiguous(given))
    return wrapped(out, x, weights)


@rounded_once
def histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements are in each of ``bins`` equal parts of ``[min, max]``, as ``torch.histc``.

    Parameters
    ----------
    x : array or Tensor
    bins : int, default 100
    min, max : float
        Both 0: the least and the largest element. Elements outside, and NaN, do not count.

    Returns
    -------
    array or Tensor of x's type (no gradient)
    """
    a = unwrap(x, "histc", "x")
    count = integer("histc", "bins", bins, 1)
    low, high = number("histc", "min", min), number("histc", "max", max)
    k = engines.of(a)
    if low == high == 0 and a.size:
        ends = k.empty((1,), a.dtype), k.empty((1,), a.dtype)
        flat = contiguous(a).reshape(-1)
        k.reduce_min(ends[0], flat)
        k.reduce_max(ends[1], flat)
        low, high = float(ends[0][0]), float(ends[1][0])
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ArgumentError(f"histc: min is {low} and max is {high}, expected finite min <= max")
    real = a.dtype.type
    if real(low) == real(high):  # a bin around it, as wide as numbers of that size need
        step = builtins.max(1.0, 2 * float(np.spacing(real(abs(low)))))
        low, high = low - step, high + step
    with np.errstate(over="ignore"):
        if not math.isfinite(real(high) - real(low)):
            raise ArgumentError(f"histc: min is {low} and max is {high}, too far apart for {a.dtype}")
    counts = k.empty((count,), "int64")
    k.count_bins(counts, contiguous(a), low, high)
    return wrapped(counts.astype(a.dtype), x)
