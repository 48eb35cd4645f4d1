"""Normalisation by the statistics of a batch's channels, and of one image's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from einkorn import _bfloat16, _versions, engines, ops
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
    unwrap,
)
from einkorn.ops._row_norm import RowNorm, channels, norm_of_nothing, number, operands

__all__ = ["adaptive_instance_norm", "batch_norm", "instance_norm"]


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
