"""What is said of many numbers by a few: covariances, distances, areas."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn._device import beside
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import axis_of, number
from einkorn.ops._road import unwrap
from einkorn.ops._rounding import rounded_once

__all__ = [
    "aminmax",
    "corrcoef",
    "cov",
    "dist",
    "msort",
    "pdist",
    "renorm",
    "std_mean",
    "trapezoid",
    "var_mean",
]


class Bounds(NamedTuple):
    """What :func:`aminmax` returns."""

    min: Any
    max: Any


@either_spelling
@rounded_once
def aminmax(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Bounds:
    """The smallest and the largest element along ``dim``, of all by default."""
    return Bounds(ops.amin(x, dim, keepdim), ops.amax(x, dim, keepdim))


@either_spelling
@rounded_once
def var_mean(x: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> tuple[Any, Any]:
    """Variance, divided by the count less ``correction``, and mean over axes; all by default."""
    return (
        ops.var(x, dim, keepdims=keepdim, correction=correction),
        ops.mean(x, dim, keepdim),
    )


@either_spelling
@rounded_once
def std_mean(x: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> tuple[Any, Any]:
    """Standard deviation and mean over axes; all by default. As :func:`var_mean`."""
    return ops.std(x, dim, keepdims=keepdim, correction=correction), ops.mean(x, dim, keepdim)


@rounded_once
def cov(x: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Covariances of variables (rows) over observations (columns).

    Parameters
    ----------
    x : array or Tensor [variables, observations] or [observations]
    correction : int, keyword-only, default 1
        Sums are divided by the count of observations less this.
    fweights : array of int [observations], keyword-only, optional
        How often each observation counts.
    aweights : array [observations], keyword-only, optional
        How much it counts.

    Returns
    -------
    array or Tensor [variables, variables] or []
    """
    if isinstance(x, Tensor):
        x = _integers.as_float(x, np.float32)
    a = unwrap(x, "cov", "x")
    if a.ndim > 2:
        raise ShapeError(f"cov: x has shape {a.shape}, expected at most 2 dimensions")
    rows = ops.reshape(x, (1, -1)) if a.ndim < 2 else x
    n = rows.shape[1]
    weight, share = None, 1.0
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        w = np.asarray(w, np.float64)
        if w.shape != (n,) or not (w >= 0).all():
            raise ArgumentError(f"cov: {name} has shape {w.shape}, expected {n} numbers from 0")
        weight = w if weight is None else weight * w
        if name == "aweights":
            share = float((weight * w).sum()) / (float(weight.sum()) or 1.0)
    total = float(n) if weight is None else float(weight.sum())
    scale = beside(a, np.asarray(max(total - correction * share, 0.0), a.dtype))
    if weight is None:
        mean = ops.mean(rows, 1, True)
        apart = ops.subtract(rows, mean)
        left = apart
    else:
        row_weight = beside(a, weight.astype(a.dtype))
        count = beside(a, np.asarray(total, a.dtype))
        mean = ops.divide(ops.sum(ops.multiply(rows, row_weight), 1, True), count)
        apart = ops.subtract(rows, mean)
        left = ops.multiply(apart, row_weight)
    out = ops.divide(ops.matmul(left, ops.transpose(apart, 0, 1)), scale)
    return ops.reshape(out, ()) if rows.shape[0] == 1 else out


@rounded_once
def corrcoef(x: Any) -> Any:
    """Correlations of variables (rows) over observations (columns), from -1 to 1."""
    if isinstance(x, Tensor):
        x = _integers.as_float(x, np.float32)
    a = unwrap(x, "corrcoef", "x")
    out = cov(x)
    if a.ndim < 2 or a.shape[0] == 1:
        return ops.divide(out, out)
    width = ops.sqrt(ops.diagonal(out))
    out = ops.divide(ops.divide(out, ops.reshape(width, (-1, 1))), width)
    return ops.clip(out, -1.0, 1.0)


@rounded_once
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference, with broadcasting."""
    return ops.norm(ops.subtract(input, other), p)


@rounded_once
def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distance of every pair of rows, those of the first row first.

    Parameters
    ----------
    input : array or Tensor [N, width]
    p : number from 0, default 2

    Returns
    -------
    array or Tensor [N (N - 1) / 2]
    """
    a = unwrap(input, "pdist", "input")
    if a.ndim != 2:
        raise ShapeError(f"pdist: input has shape {a.shape}, expected (N, width)")
    first, second = np.triu_indices(a.shape[0], 1)
    distances = ops.cdist(input, input, number("pdist", "p", p), "donot_use_mm_for_euclid_dist")
    return ops.getitem(distances, (first, second))


@either_spelling
@rounded_once
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Scale down the slices along ``dim`` whose p-norm is above ``maxnorm``, to that norm."""
    a = unwrap(input, "renorm", "input")
    if a.ndim < 2:
        raise ShapeError(f"renorm: input has shape {a.shape}, expected at least 2 dimensions")
    if not number("renorm", "p", p) > 0 or number("renorm", "maxnorm", maxnorm) < 0:
        raise ArgumentError(f"renorm: p is {p!r} and maxnorm {maxnorm!r}, expected p above 0, maxnorm from 0")
    d = axis_of("renorm", dim, a.ndim, "dim")
    sizes = ops.norm(input, p, tuple(i for i in range(a.ndim) if i != d), True)
    most = float(maxnorm)
    over = (sizes._data if isinstance(sizes, Tensor) else sizes) > most
    known = ops.add(ops.where(over, sizes, 1.0), 1e-7)
    factor = ops.divide(most, known)
    return ops.multiply(input, ops.where(over, factor, 1.0))


@rounded_once
def msort(input: Any) -> Any:
    """Sorted along the first axis."""
    return ops.sort(input, 0).values


@either_spelling
@rounded_once
def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The area under ``y`` along ``dim`` by the trapezoidal rule.

    Parameters
    ----------
    y : array or Tensor
    x : array or Tensor, optional
        Where y was taken, in y's shape or a vector; default: ``dx`` apart.
    dx : number, keyword-only, default 1
    dim : int, keyword-only, default -1
    """
    if isinstance(y, Tensor) and not y.is_floating_point():
        y = y.float()
    if isinstance(x, Tensor) and not x.is_floating_point():
        x = x.float()
    a = unwrap(y, "trapezoid", "y")
    d = axis_of("trapezoid", dim, a.ndim, "dim")
    if not a.ndim:
        raise ShapeError("trapezoid: y is a scalar, expected at least one dimension")
    before = (slice(None),) * d
    pairs = ops.add(ops.getitem(y, (*before, slice(1, None))), ops.getitem(y, (*before, slice(None, -1))))
    if x is None:
        return ops.multiply(ops.sum(pairs, d), 0.5 * number("trapezoid", "dx", dx))
    places = np.shape(x)
    if len(places) == 1:
        x = ops.reshape(x, (-1, *(1,) * (a.ndim - 1 - d)))
    elif len(places) < a.ndim:
        x = ops.reshape(x, (*(1,) * (a.ndim - len(places)), *places))
    steps = ops.diff(x, 1, 0 if len(places) == 1 else d)
    if steps.shape[0 if len(places) == 1 else d] != np.shape(pairs)[d]:
        raise ShapeError(f"trapezoid: x has shape {np.shape(x)}, expected {a.shape[d]} places along {dim}")
    return ops.multiply(ops.sum(ops.multiply(pairs, steps), d), 0.5)
