"""Normalisation by the statistics of rows and groups, with residual sums, and of weights."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

from einkorn import engines
from einkorn._grad_mode import mode
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._road import (
    as_kept,
    contiguous,
    needs,
    number_type,
    record,
    result,
    unwrap,
)
from einkorn.ops._rounding import rounded_once
from einkorn.ops._row_norm import RowNorm, channels, norm_of_nothing, operands
from einkorn.ops.elementwise import divide, multiply, sqrt, square
from einkorn.ops.reduce import sum as sum_over

__all__ = [
    "add_layer_norm",
    "add_rms_norm",
    "group_norm",
    "layer_norm",
    "rms_norm",
    "weight_norm",
]

_EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def _normalized(op: str, a: Any, normalized_shape: Any) -> tuple[tuple[int, ...], int]:
    """``normalized_shape`` as a tuple that the last axes have, and how many rows there are."""
    try:
        given = (normalized_shape,) if hasattr(normalized_shape, "__index__") else tuple(normalized_shape)
        sizes = tuple(operator.index(n) for n in given)
    except TypeError:
        raise ArgumentError(
            f"{op}: normalized_shape is {normalized_shape!r}, expected an int or a sequence of ints"
        ) from None
    if not sizes:
        raise ArgumentError(f"{op}: normalized_shape is empty, expected at least one size")
    if a.shape[-len(sizes) :] != sizes:
        raise ShapeError(f"{op}: input has shape {a.shape}, expected it to end in normalized_shape {sizes}")
    return sizes, prod(a.shape[: -len(sizes)])


def _quick(op: str, input: Any, weight: Any, bias: Any, sizes: Any, eps: Any, centred: bool) -> Any:
    """The norm over the last axis of a small array in one call; None where a closer look is needed."""
    n = sizes[0] if type(sizes) is tuple and len(sizes) == 1 else sizes
    x = input._data if isinstance(input, Tensor) else input
    w = weight._data if isinstance(weight, Tensor) else weight
    b = bias._data if isinstance(bias, Tensor) else bias
    need = (needs(input), needs(weight), needs(bias))
    recorded = mode.enabled and True in need
    found = engines.cpu().quick("row_norm", x, w, b, n, eps, centred, recorded)
    if recorded and found is not None:
        out, mean, rstd = found
        rule = _over_the_last(op, need, eps, centred)
        return record(out, (input, weight, bias), rule, (x, w, b, None, mean, rstd))
    if found is None or (x is input and w is weight and b is bias):
        return found
    return Tensor._wrap(found, False, None)


@lru_cache(64)
def _over_the_last(op: str, need: tuple[bool, bool, bool], eps: float | None, centred: bool) -> Any:
    """The gradients of a norm over the last axis alone."""

    def rule(g: Any, x: Any, *saved: Any) -> Any:
        shape = x.shape
        norm = RowNorm(op, 1, 1, shape[-1:], eps if centred else _rms_eps(eps, x), None, centred)
        return norm.gradient(need, (prod(shape[:-1]), shape[-1]), shape)(g, x, *saved)

    return rule


def layer_norm(
    input: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Any:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axes (Ba et al. 2016).

    Parameters
    ----------
    input : array or Tensor [..., normalized_shape]
    normalized_shape : int or sequence of int
        The sizes of the last axes, over which mean and (biased) variance are taken.
    weight, bias : array or Tensor of normalized_shape, optional
    eps : float, default 1e-5
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Applied before the result is written.

    Returns
    -------
    array or Tensor of input's shape

    Raises
    ------
    ShapeError
        If input does not end in normalized_shape, or weight or bias has another shape.
    ArgumentError
        If normalized_shape is empty or no sequence of ints.
    DTypeError
        For other types than float32 and float64, or several of them.
    """
    op = "layer_norm"
    if activation is None:
        out = _quick(op, input, weight, bias, normalized_shape, eps, True)
        if out is not None:
            return out
    a = contiguous(as_kept(input, op, "input", "row_norm_forward"))
    sizes, rows = _normalized(op, a, normalized_shape)
    return RowNorm(op, 1, 1, sizes, eps, activation)(input, a, rows, weight, bias)


def _rms_eps(eps: Any, a: Any) -> Any:
    return _EPS[str(number_type(a))] if eps is None else eps


def rms_norm(
    input: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    eps: float | None = None,
    *,
    activation: str | None = None,
) -> Any:
    """``x / sqrt(mean(x**2) + eps) * weight`` over the last axes (Zhang and Sennrich 2019).

    Parameters
    ----------
    input, normalized_shape, weight, activation
        As :func:`layer_norm`.
    eps : float, optional
        Default: the spacing of the type's numbers at 1.

    Returns
    -------
    array or Tensor of input's shape
    """
    op = "rms_norm"
    if activation is None:
        out = _quick(op, input, weight, None, normalized_shape, eps, False)
        if out is not None:
            return out
    a = contiguous(as_kept(input, op, "input", "row_norm_forward"))
    sizes, rows = _normalized(op, a, normalized_shape)
    return RowNorm(op, 1, 1, sizes, _rms_eps(eps, a), activation, False)(input, a, rows, weight, None)


def _add_norm(
    op: str,
    input: Any,
    residual: Any,
    normalized_shape: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    activation: str | None,
    centred: bool,
) -> tuple[Any, Any]:
    a, r = contiguous(unwrap(input, op, "input")), unwrap(residual, op, "residual")
    sizes, count = _normalized(op, a, normalized_shape)
    norm = RowNorm(op, 1, 1, sizes, eps if centred else _rms_eps(eps, a), activation, centred)
    (r,) = operands(op, a, a.shape, residual=residual)
    w, b = operands(op, a, sizes, weight=weight, bias=bias)
    k = engines.of(a)
    shape, flat = a.shape, (count, prod(sizes))
    rows = k.empty(flat, a.dtype)
    out, mean, rstd = norm.forward(a.reshape(flat), w, b, rows, r.reshape(flat))

    # Three nodes: the sum as it was computed, the norm of it, and the sum as it is handed out. A backward
    # pass meets them in the other order. What comes to the handed-out sum waits for the norm's kernel, which
    # adds it to its own gradient; where the norm gets no gradient, it goes on alone.
    waiting: dict[str, Any] = {}

    def into_operands(g: Any) -> tuple[Any, Any]:
        waiting.pop("sum", None)
        g = waiting.pop("both", g)
        return g[...], g[...]

    total = result(rows.reshape(shape), (input, residual), into_operands, ())
    gradient = norm.gradient((needs(total), needs(weight), needs(bias)), flat, shape)

    def into_sum(g: Any, *saved: Any) -> tuple[Any, Any, Any]:
        addend = waiting.pop("sum", None)
        gx, gw, gb = gradient(g, *saved, addend)
        if addend is not None:
            waiting["both"] = gx
            gx = None
        return gx, gw, gb

    rows, out = rows.reshape(shape), out.reshape(shape)
    normed = result(out, (total, weight, bias), into_sum, norm.saved(rows, w, b, out, mean, rstd))
    if not needs(total):
        return total, normed

    def wait(g: Any) -> tuple[Any]:
        waiting["sum"] = g
        return (g,)

    return result(rows[...], (total,), wait, ()), normed


@rounded_once
def add_layer_norm(
    input: Any,
    residual: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> tuple[Any, Any]:
    """``input + residual`` and the layer norm of it, in one pass over memory, and so the gradients.

    Parameters
    ----------
    input, residual : array or Tensor [..., normalized_shape]
        Of one shape; nothing is broadcast.
    normalized_shape, weight, bias, eps, activation
        As :func:`layer_norm`.

    Returns
    -------
    total, normed : array or Tensor of input's shape

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`layer_norm`, and if residual is not of input's shape and type.
    """
    return _add_norm("add_layer_norm", input, residual, normalized_shape, weight, bias, eps, activation, True)


@rounded_once
def add_rms_norm(
    input: Any,
    residual: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    eps: float | None = None,
    *,
    activation: str | None = None,
) -> tuple[Any, Any]:
    """``input + residual`` and the RMS norm of it: :func:`add_layer_norm` with :func:`rms_norm`."""
    return _add_norm("add_rms_norm", input, residual, normalized_shape, weight, None, eps, activation, False)


def group_norm(
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Any:
    """Each sample's channels normalised in groups (Wu and He 2018).

    Parameters
    ----------
    input : array or Tensor [N, C, ...]
    num_groups : int
        A divisor of C.
    weight, bias : array or Tensor [C], optional
    eps, activation
        As :func:`layer_norm`.

    Returns
    -------
    array or Tensor of input's shape

    Raises
    ------
    ShapeError
        If num_groups does not divide C, if weight or bias is not [C], or if the input has one number in all
        of each group and nothing to compare it with.
    """
    op = "group_norm"
    a = contiguous(as_kept(input, op, "input", "row_norm_forward"))
    n, c, length = channels(op, a)
    try:
        groups = operator.index(num_groups)
    except TypeError:
        groups = 0
    if groups < 1:
        raise ArgumentError(f"{op}: num_groups is {num_groups!r}, expected an int of at least 1")
    if c % groups:
        raise ShapeError(f"{op}: num_groups is {groups}, expected a divisor of input's {c} channels")
    if n * (c // groups) * length == 1:
        raise ShapeError(f"{op}: input has shape {a.shape}, expected more than one value in a group")
    norm = RowNorm(op, groups, length, (c,), eps, activation)
    if a.size == 0:
        return norm_of_nothing(norm, input, a, weight, bias)
    return norm(input, a, n * groups, weight, bias)


@either_spelling
@rounded_once
def weight_norm(v: Any, g: Any, dim: int | None = 0) -> Any:
    """``g * v / |v|``: a weight from its direction and its length (Salimans and Kingma 2016).

    Parameters
    ----------
    v : array or Tensor
        The direction.
    g : array or Tensor
        The lengths, of v's shape with every axis but ``dim`` of size 1; without ``dim`` a single element.
    dim : int or None, default 0
        The axis along which each slice has a length of its own. None: v has one length as a whole.

    Returns
    -------
    array or Tensor of v's shape

    Raises
    ------
    ArgumentError
        If v has no such axis.
    ShapeError
        If g has another shape.
    """
    op = "weight_norm"
    a, lengths = unwrap(v, op, "v"), unwrap(g, op, "g")
    axes: tuple[int, ...] | None = None
    if dim is not None:
        if not isinstance(dim, int) or not -a.ndim <= dim < a.ndim:
            raise ArgumentError(f"{op}: dim is {dim!r}, expected an axis of v, which has shape {a.shape}")
        axes = tuple(d for d in range(a.ndim) if d != dim % a.ndim)
        expected = tuple(a.shape[d] if d not in axes else 1 for d in range(a.ndim))
        if lengths.shape != expected:
            raise ShapeError(f"{op}: g has shape {lengths.shape}, expected {expected}")
    elif lengths.size != 1:
        raise ShapeError(f"{op}: g has shape {lengths.shape}, expected one element")
    norm = sqrt(sum_over(square(v), axes, True)) if axes != () else sqrt(square(v))
    return multiply(v, divide(g, norm))
