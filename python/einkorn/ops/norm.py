"""Normalisation: by the statistics of rows, groups and batches, and by neighbouring channels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

from einkorn import _bfloat16, _versions, engines, ops
from einkorn._grad_mode import mode
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.engines import activation_code
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._moves import movable
from einkorn.ops._road import (
    as_kept,
    bits,
    by_formula,
    contiguous,
    is_kept,
    kept_as,
    kept_result,
    needs,
    number_type,
    record,
    result,
    unwrap,
)
from einkorn.ops._rounding import rounded_once
from einkorn.ops._row_norm import RowNorm, channels, norm_of_nothing, number, operands
from einkorn.ops.elementwise import divide, multiply, sqrt, square
from einkorn.ops.reduce import sum as sum_over

__all__ = [
    "adaptive_instance_norm",
    "add_layer_norm",
    "add_rms_norm",
    "batch_norm",
    "group_norm",
    "instance_norm",
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


def _running(op: str, a: Any, count: int, **given: Any) -> list[Any]:
    return [None if x is None else operands(op, a, (count,), **{name: x})[0] for name, x in given.items()]


def _write_back(op: str, updated: list[Any], **given: Any) -> None:
    """Note that running statistics were written, and copy those that had to be copied to be contiguous."""
    for array, (name, x) in zip(updated, given.items(), strict=True):
        if array is None:
            continue
        own = unwrap(x, op, name)
        if own is not array:
            own = movable(x, op, name)
            own[...] = _bfloat16.astype(array, own.dtype)
        _versions.wrote(own)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    residual: Any = None,
    activation: str | None = None,
) -> Any:
    """Each channel normalised over the batch (Ioffe and Szegedy 2015).

    Parameters
    ----------
    input : array or Tensor [N, C, ...]
    running_mean, running_var : array or Tensor [C], or None
        Normalise the input unless ``training``. In training they are updated in place:
        ``(1 - momentum) * running + momentum * batch``, where the batch's variance is the unbiased one.
    weight, bias : array or Tensor [C], optional
    training : bool, default False
        Whether the batch's own mean and (biased) variance normalise it.
    momentum : float, default 0.1
    eps : float, default 1e-5
    residual : array or Tensor of input's shape, keyword-only, optional
        Added before the activation, as the blocks of residual networks do.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None

    Returns
    -------
    array or Tensor of input's shape

    Raises
    ------
    ShapeError
        If operands do not fit, or in training if a channel has a single value.
    ArgumentError
        If running statistics are missing outside training.
    """
    op = "batch_norm"
    wide = residual is not None and not is_kept(residual)  # then the sum with it is not of bfloat16 alone
    a = contiguous(unwrap(input, op, "input") if wide else as_kept(input, op, "input", "batch_norm_forward"))
    n, c, length = channels(op, a)
    if not training and (running_mean is None or running_var is None):
        raise ArgumentError(f"{op}: running_mean and running_var are needed unless training")
    if training and n * length == 1:
        raise ShapeError(
            f"{op}: input has shape {a.shape}, expected more than one value in each channel when training"
        )
    code = activation_code(activation, op)
    w, b = operands(op, a, (c,), weight=weight, bias=bias)
    if residual is not None and a.dtype.kind == "V":
        r = contiguous(as_kept(residual, op, "residual", "batch_norm_forward"))
        if r.shape != a.shape:
            raise ShapeError(f"{op}: residual has shape {r.shape}, expected {a.shape}")
    else:
        (r,) = operands(op, a, a.shape, residual=residual)
    running = _running(op, a, c, running_mean=running_mean, running_var=running_var)
    k = engines.of(a)
    blocks, shape = (n, c, length), a.shape
    x = a.reshape(blocks)
    out = k.empty(blocks, a.dtype)
    mean, rstd = k.empty((c,), "float64"), k.empty((c,), "float64")
    norm_eps = number(op, "eps", eps)
    if training and norm_eps <= 0:
        raise ArgumentError(f"{op}: eps is {eps!r}, expected a number above 0")
    k.batch_norm_forward(
        bits(out), mean, rstd, *running, bits(x), None if r is None else bits(r.reshape(blocks)), w, b,
        number(op, "momentum", momentum), norm_eps, bool(training), code,
    )  # fmt: skip
    if training:
        _write_back(op, running, running_mean=running_mean, running_var=running_var)
    out = kept_as(input, out.reshape(shape))

    def formula(x: Any, w: Any, b: Any, r: Any) -> Any:
        wide = (c,) + (1,) * (len(shape) - 2)
        if training:
            axes = (0, *range(2, len(shape)))
            x = x - ops.mean(x, axes, True)
            x = x / ops.sqrt(ops.mean(ops.square(x), axes, True) + norm_eps)
        else:
            kind = number_type(a)
            x = (x - mean.astype(kind).reshape(wide)) * rstd.astype(kind).reshape(wide)
        if w is not None:
            x = x * ops.reshape(w, wide)
        if b is not None:
            x = x + ops.reshape(b, wide)
        if r is not None:
            x = x + r
        return x if activation is None else getattr(ops, activation)(x)

    need = (needs(input), needs(weight), needs(bias), needs(residual))
    gradient = _batch_gradient(need, formula, mean, rstd, bool(training), code, blocks)
    saved = (a, w, b, r if activation is not None else None, out if activation is not None else None)
    return kept_result(out, (input, weight, bias, residual), gradient, saved)


def _batch_gradient(
    need: tuple[bool, bool, bool, bool],
    formula: Callable[..., Any],
    mean: Any,
    rstd: Any,
    training: bool,
    code: int,
    blocks: tuple[int, int, int],
) -> Any:
    need_x, need_w, need_b, need_r = need

    def backward(g: Any, a: Any, w: Any, b: Any, r: Any, y: Any) -> Sequence[Any]:
        if isinstance(g, Tensor):
            gradients = by_formula(formula, g, a, w, b, r)
            if need_r and r is None:  # nothing came after it was added
                gradients[3] = g
            return gradients
        k = engines.of(a)
        gx = k.empty(blocks, a.dtype) if need_x else None
        gw = k.empty(blocks[1:2], number_type(a)) if need_w else None
        gb = k.empty(blocks[1:2], number_type(a)) if need_b else None
        gr = k.empty(blocks, a.dtype) if need_r and y is not None else None
        flat = contiguous(g).reshape(blocks)
        y = None if y is None else y.reshape(blocks)
        arrays = bits(flat), bits(y), bits(a.reshape(blocks))
        k.batch_norm_backward(bits(gx), bits(gr), gw, gb, *arrays, mean, rstd, w, training, code)
        if gr is not None:
            gr = gr.reshape(a.shape)
        return None if gx is None else gx.reshape(a.shape), gw, gb, g if need_r and gr is None else gr

    return backward


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Any:
    """Each channel of each sample normalised by itself (Ulyanov et al. 2016).

    Parameters
    ----------
    input : array or Tensor [N, C, ...]
    running_mean, running_var : array or Tensor [C], optional
        Updated in place with the samples' means of mean and unbiased variance; without ``use_input_stats``
        they normalise the input instead.
    weight, bias : array or Tensor [C], optional
    use_input_stats : bool, default True
    momentum, eps, activation
        As :func:`batch_norm`.

    Returns
    -------
    array or Tensor of input's shape

    Raises
    ------
    ShapeError
        If operands do not fit, or if a channel of a sample has a single value.
    """
    op = "instance_norm"
    a = contiguous(as_kept(input, op, "input", "row_norm_forward"))
    n, c, length = channels(op, a)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError(f"{op}: running_mean and running_var are needed without use_input_stats")
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps, activation=activation)
    if length == 1:
        raise ShapeError(
            f"{op}: input has shape {a.shape}, expected more than one value in each channel of a sample"
        )
    norm = RowNorm(op, max(c, 1), length, (c,), eps, activation)
    if a.size == 0:
        return norm_of_nothing(norm, input, a, weight, bias)
    w, b = operands(op, a, (c,), weight=weight, bias=bias)
    running = _running(op, a, c, running_mean=running_mean, running_var=running_var)
    rows, shape = a.reshape(n * c, length), a.shape
    out, mean, rstd = norm.forward(rows, w, b)
    part = number(op, "momentum", momentum)
    var = rstd**-2.0 - norm.eps
    for kept, batch in zip(running, (mean, var * (length / (length - 1))), strict=True):
        if kept is not None:
            kept[...] = (1 - part) * kept + part * batch.reshape(n, c).mean(axis=0)
    _write_back(op, running, running_mean=running_mean, running_var=running_var)
    out = kept_as(input, out.reshape(shape))
    gradient = norm.gradient((needs(input), needs(weight), needs(bias)), rows.shape, shape)
    return kept_result(out, (input, weight, bias), gradient, norm.saved(a, w, b, out, mean, rstd))


def adaptive_instance_norm(
    input: Any, scale: Any, shift: Any, eps: float = 1e-5, *, activation: str | None = None
) -> Any:
    """``scale * (x - mean) / sqrt(var + eps) + shift``, each channel of each sample by its own style.

    Huang and Belongie 2017; scale and shift are a style's standard deviations and means, or come from a
    learned map as in StyleGAN (Karras et al. 2019).

    Parameters
    ----------
    input : array or Tensor [N, C, ...]
    scale, shift : array or Tensor [N, C]
    eps, activation
        As :func:`layer_norm`.

    Returns
    -------
    array or Tensor of input's shape

    Raises
    ------
    ShapeError
        If operands do not fit, or if a channel of a sample has a single value.
    """
    op = "adaptive_instance_norm"
    a = contiguous(as_kept(input, op, "input", "row_norm_forward"))
    n, c, length = channels(op, a)
    if length == 1:
        raise ShapeError(
            f"{op}: input has shape {a.shape}, expected more than one value in each channel of a sample"
        )
    norm = RowNorm(op, max(n * c, 1), length, (n, c), eps, activation)
    for name, x in (("scale", scale), ("shift", shift)):
        operands(op, a, (n, c), **{name: x})
    if a.size == 0:
        return norm_of_nothing(norm, input, a, scale, shift)
    return norm(input, a, n * c, scale, shift)


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
