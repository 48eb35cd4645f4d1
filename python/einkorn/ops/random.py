"""Random numbers and dropout, from the default generator (:func:`einkorn.manual_seed`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import _bfloat16, engines
from einkorn import random as generator
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._options import flag, integer, number, refuse_positional
from einkorn.ops._road import check_size, contiguous, result, unwrap

__all__ = ["dropout", "normal", "permutation", "uniform"]


def _new(op: str, shape: Any, dtype: Any) -> Any:
    sizes = shape if isinstance(shape, (tuple, list)) or np.ndim(shape) == 1 else (shape,)
    try:
        sizes = tuple([integer(op, "shape", n) for n in sizes])
    except ValueError:
        raise ArgumentError(f"{op}: shape is {shape!r}, expected an int or a tuple of ints") from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"{op}: shape is {shape!r}, expected sizes of at least 0")
    check_size(op, sizes, "shape")
    kind = _bfloat16.dtype_of(dtype)
    if _bfloat16.is_bfloat16(kind):
        return engines.cpu().empty(sizes, np.float32)  # drawn so, and rounded by _finished
    if kind not in (np.float32, np.float64) or dtype is None:
        raise DTypeError(f"{op}: dtype is {dtype!r}, expected float32, float64 or bfloat16")
    return engines.cpu().empty(sizes, kind)


def _finished(out: Any, dtype: Any) -> Any:
    return _bfloat16.astype(out, _bfloat16.dtype_of(dtype))


def _counters(out: Any) -> int:
    """Philox counters that filling ``out`` uses up: four float32 or two float64 come from one."""
    per_counter = 4 if out.dtype == np.float32 else 2
    return -(-out.size // per_counter)


_ORDER = "the shape comes first here and last in NumPy: write {} and {} by name"


def uniform(shape: Any, *given: Any, low: float = 0.0, high: float = 1.0, dtype: Any = np.float32) -> Any:
    """Draw numbers evenly from [low, high).

    Parameters
    ----------
    shape : int or tuple of int
    low, high : float, keyword-only, default 0.0 and 1.0
        Finite, low <= high.
    dtype : float32, float64 or bfloat16

    Returns
    -------
    array
    """
    refuse_positional("uniform", given, _ORDER.format("low", "high"))
    low, high = number("uniform", "low", low), number("uniform", "high", high)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ArgumentError(f"uniform: low is {low} and high is {high}, expected finite low <= high")
    out = _new("uniform", shape, dtype)
    seed, offset = generator.take(_counters(out))
    engines.of(out).uniform(out, seed, offset, float(low), float(high))
    return _finished(out, dtype)


def normal(shape: Any, *given: Any, mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32) -> Any:
    """Draw from the normal distribution (Box and Muller 1958).

    Parameters
    ----------
    shape : int or tuple of int
    mean : float, keyword-only, default 0.0
    std : float, keyword-only, default 1.0
        At least 0.
    dtype : float32, float64 or bfloat16

    Returns
    -------
    array
    """
    refuse_positional("normal", given, _ORDER.format("mean", "std"))
    mean, std = number("normal", "mean", mean), number("normal", "std", std)
    if not (math.isfinite(mean) and math.isfinite(std) and std >= 0):
        raise ArgumentError(f"normal: mean is {mean} and std is {std}, expected finite, std at least 0")
    out = _new("normal", shape, dtype)
    seed, offset = generator.take(_counters(out))
    engines.of(out).normal(out, seed, offset, float(mean), float(std))
    return _finished(out, dtype)


def permutation(n: int) -> Any:
    """The numbers 0 to n - 1 in random order (Fisher and Yates), as int64.

    Parameters
    ----------
    n : int
        From 0 to 2**32 - 1.
    """
    count = integer("permutation", "n", n)
    if not 0 <= count < 2**32:
        raise ArgumentError(f"permutation: n is {n}, expected 0 to 2**32 - 1")
    k = engines.cpu()
    out = k.empty((count,), np.dtype(np.int64))
    seed, offset = generator.take(-(-count // 4))
    k.permutation(out, seed, offset)
    return out


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Zero each element with probability p and scale the rest by 1 / (1 - p) (Srivastava et al. 2014).

    Parameters
    ----------
    x : array or Tensor
    p : float, default 0.5
        From 0 to 1.
    training : bool, default True
        If not, x is returned as it is.

    Notes
    -----
    The mask is not kept: the backward pass computes it again from the counter.
    """
    p = number("dropout", "p", p)
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: p is {p}, expected a probability from 0 to 1")
    if not flag("dropout", "training", training) or p == 0:
        unwrap(x, "dropout", "x")
        return x
    a = unwrap(x, "dropout", "x")
    k = engines.of(a)
    seed, offset = generator.take(-(-a.size // 4))

    def dropped(source: Any) -> Any:
        array = contiguous(unwrap(source, "dropout", "x"))
        out = k.empty(array.shape, array.dtype)
        k.dropout(out, array, seed, offset, float(p))
        return result(out, (source,), lambda g: (dropped(g),), ())

    return dropped(x)
