"""Convolution in two dimensions and in one, with the activation fused into the kernel."""

from __future__ import annotations

from typing import Any

from einkorn import engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._elementwise import activation_gradient
from einkorn.ops._options import LARGEST, integer, pair, single
from einkorn.ops._road import contiguous, needs, result, same_dtype, unwrap

__all__ = ["conv1d", "conv2d"]

_Pair = int | tuple[int, int]


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Pair = 1,
    padding: _Pair | str = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Two-dimensional cross-correlation plus bias, then the activation.

    ``out[n, k, y, x] = act(bias[k] + sum over c, r, s of weight[k, c, r, s] *
    x[n, c, y * stride + r * dilation - padding, ...])`` with zeros outside the input.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    weight : array or Tensor [K, C / groups, R, S]
    bias : array or Tensor [K], optional
    stride, dilation : int or pair of int, default 1
        For height and width.
    padding : int, pair of int, "same" or "valid", default 0
        Zeros on either side of height and width. "same" keeps the size and needs stride 1; where the total is
        odd the extra zero comes last. "valid" is 0.
    groups : int, default 1
        Both channel numbers are divided into this many independent groups.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Applied by the kernel before it stores. The slope of leaky_relu is 0.01.

    Returns
    -------
    array or Tensor [N, K, OH, OW] or [K, OH, OW]
        OH = (H + 2 padding - dilation (R - 1) - 1) // stride + 1, OW likewise.

    Raises
    ------
    ShapeError
        For wrong numbers of dimensions, channels that do not fit, or a kernel larger than the padded input.
    ArgumentError
        For options out of range.
    DTypeError
        Unless all arrays are float32, or all float64.

    Notes
    -----
    A 3x3 kernel of stride 1 over many channels is computed by Winograd's minimal filtering, F(2x2, 3x3)
    (Lavin and Gray, 2016, "Fast algorithms for convolutional neural networks"). There an infinity in the
    input gives NaN where the plain sum would give an infinity.
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups, activation)


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Any:
    """One-dimensional cross-correlation plus bias, then the activation: :func:`conv2d` with height 1.

    Parameters
    ----------
    x : array or Tensor [N, C, L] or [C, L]
    weight : array or Tensor [K, C / groups, S]
    bias : array or Tensor [K], optional
    stride, dilation : int, default 1
    padding : int, "same" or "valid", default 0
    groups : int, default 1
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None

    Returns
    -------
    array or Tensor [N, K, OL] or [K, OL]
        OL = (L + 2 padding - dilation (S - 1) - 1) // stride + 1.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`conv2d`.
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups, activation)


def _convolve(
    op: str,
    spatial: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    activation: str | None,
) -> Any:
    a, w = contiguous(unwrap(x, op, "x")), contiguous(unwrap(weight, op, "weight"))
    b = None if bias is None else contiguous(unwrap(bias, op, "bias"))
    if a.dtype is not w.dtype or b is not None or type(a) is not type(w):
        same_dtype(op, x=a, weight=w, bias=b)
    code = engines.activation_code(activation, op)
    batched = a.ndim == spatial + 2
    if not batched and a.ndim != spatial + 1:
        raise ShapeError(
            f"{op}: x has shape {a.shape}, expected {spatial + 2} dimensions, or {spatial + 1} unbatched"
        )
    if w.ndim != spatial + 2:
        raise ShapeError(f"{op}: weight has shape {w.shape}, expected {spatial + 2} dimensions")

    x_shape, w_shape = a.shape, w.shape
    if spatial == 2:
        strides = pair(stride, op, "stride", 1)
        dilations = pair(dilation, op, "dilation", 1)
        pads = padding if isinstance(padding, str) else pair(padding, op, "padding")
        if not batched:
            a = a.reshape((1, *x_shape))
    else:
        strides = (1, single(stride, op, "stride", 1))
        dilations = (1, single(dilation, op, "dilation", 1))
        pads = padding if isinstance(padding, str) else (0, single(padding, op, "padding", 0))
        a = a.reshape((x_shape[0] if batched else 1, x_shape[-2], 1, x_shape[-1]))
        w = w.reshape((w_shape[0], w_shape[1], 1, w_shape[2]))
    n, c, h, wide = a.shape
    k, group_channels, r, s = w.shape
    groups = integer(op, "groups", groups, 1)
    if c % groups or k % groups:
        raise ShapeError(f"{op}: groups is {groups}, expected a divisor of x's {c} and weight's {k} channels")
    if group_channels * groups != c:
        raise ShapeError(
            f"{op}: weight has shape {w_shape}, expected ({k}, {c // groups}{', *' * spatial}) because"
            f" x has {c} channels and groups is {groups}"
        )
    if r < 1 or s < 1:
        raise ShapeError(f"{op}: weight has shape {w_shape}, expected a kernel of at least one tap")
    if b is not None and b.shape != (k,):
        raise ShapeError(
            f"{op}: bias has shape {b.shape}, expected ({k},) because weight has {k} output channels"
        )

    crop = None
    if isinstance(pads, str):
        pads, crop = _named_padding(op, pads, strides, dilations, r, s, h, wide)
    span_h, span_w = dilations[0] * (r - 1) + 1, dilations[1] * (s - 1) + 1
    padded_h, padded_w = h + 2 * pads[0], wide + 2 * pads[1]
    if max(padded_h, padded_w, span_h, span_w, *strides, *dilations) >= LARGEST:
        raise ArgumentError(f"{op}: stride, padding, dilation or sizes reach 2**30")
    if crop is None:
        oh, ow = (padded_h - span_h) // strides[0] + 1, (padded_w - span_w) // strides[1] + 1
        fits = span_h <= padded_h and span_w <= padded_w
    else:
        oh, ow = crop
        fits = oh > 0 and ow > 0
    if not fits:
        raise ShapeError(
            f"{op}: weight has shape {w_shape}, a span of {(span_h, span_w)[2 - spatial :]} with dilation,"
            f" expected at most the padded input's {(padded_h, padded_w)[2 - spatial :]}"
        )

    engine = engines.of(a)
    out = engine.empty((n, k, oh, ow), a.dtype)
    options = (*strides, *pads, *dilations, groups)
    engine.conv2d_forward(out, a, w, b, *options, code)
    if spatial == 2:
        shown = out if batched else out.reshape((k, oh, ow))
    else:
        shown = out.reshape((n, k, ow) if batched else (k, ow))

    need_weight, need_bias = needs(weight), needs(bias)
    for_x, for_weight = w if needs(x) else None, a if need_weight or need_bias else None
    activated = None if activation is None else out
    a_shape, kernel_shape, out_shape = a.shape, w.shape, out.shape

    def gradients(g: Any) -> tuple[Any, Any, Any]:
        gy = contiguous(g).reshape(out_shape)
        if activated is not None:
            gy = activation_gradient(activation, gy, activated)
        gx = gw = gb = None
        if for_x is not None:
            gx = engine.empty(a_shape, gy.dtype)
            engine.conv2d_input_grad(gx, gy, for_x, *options)
            gx = gx.reshape(x_shape)
        if for_weight is not None:
            gw = engine.empty(kernel_shape, gy.dtype)
            gb = engine.empty((k,), gy.dtype) if need_bias else None
            engine.conv2d_weight_grad(gw, gb, for_weight, gy, *options)
            gw = gw.reshape(w_shape)
        return gx, gw, gb

    return result(shown, (x, weight, bias), gradients)


def _named_padding(
    op: str,
    padding: str,
    strides: tuple[int, int],
    dilations: tuple[int, int],
    r: int,
    s: int,
    h: int,
    w: int,
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Zeros before the first row and column, and the output size where that does not follow from them."""
    if padding == "valid":
        return (0, 0), None
    if padding != "same":
        raise ArgumentError(f"{op}: padding is {padding!r}, expected ints, 'same' or 'valid'")
    if strides != (1, 1):
        raise ArgumentError(f"{op}: padding 'same' needs stride 1, got stride {strides}")
    # An odd total puts the extra zero last. Kernels see zeros wherever the output grid reaches past the
    # input, so the smaller half before it is all they need to know.
    return (dilations[0] * (r - 1) // 2, dilations[1] * (s - 1) // 2), (h, w)
