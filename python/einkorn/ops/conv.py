"""Convolution and transposed convolution in one, two and three dimensions, and their unfolded forms."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from einkorn import _autocast, _bfloat16, engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _conv
from einkorn.ops._options import LARGEST, integer, is_plain, sizes
from einkorn.ops._road import check_size, contiguous, result, same_dtype, same_kept, unwrap, widened

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "unfold",
]

_Sides = int | Sequence[int]  # one for all sides, or one each


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Sides = 1,
    padding: _Sides | str = 0,
    dilation: _Sides = 1,
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
    stride: _Sides = 1,
    padding: _Sides | str = 0,
    dilation: _Sides = 1,
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


def conv3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Sides = 1,
    padding: _Sides | str = 0,
    dilation: _Sides = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Three-dimensional cross-correlation plus bias, then the activation: :func:`conv2d` with a depth.

    Parameters
    ----------
    x : array or Tensor [N, C, D, H, W] or [C, D, H, W]
    weight : array or Tensor [K, C / groups, T, R, S]
    bias : array or Tensor [K], optional
    stride, dilation : int or three of int, default 1
        For depth, height and width.
    padding : int, three of int, "same" or "valid", default 0
    groups : int, default 1
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None

    Returns
    -------
    array or Tensor [N, K, OD, OH, OW] or [K, OD, OH, OW]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`conv2d`.
    """
    return _convolve("conv3d", 3, x, weight, bias, stride, padding, dilation, groups, activation)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Sides = 1,
    padding: _Sides = 0,
    output_padding: _Sides = 0,
    groups: int = 1,
    dilation: _Sides = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Transposed convolution: what the input gradient of :func:`conv2d` is, plus bias, then the activation.

    Every pixel of x adds its product with the kernel to the output, ``stride`` apart:
    ``out[n, k, y * stride + r * dilation - padding, ...] += x[n, c, y, x] * weight[c, k, r, s]``.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    weight : array or Tensor [C, K / groups, R, S]
    bias : array or Tensor [K], optional
    stride, dilation : int or pair of int, default 1
        For height and width.
    padding : int or pair of int, default 0
        Rows and columns cut off on either side of the output.
    output_padding : int or pair of int, default 0
        Rows and columns added after the last; less than the stride or the dilation. It tells apart the
        sizes that :func:`conv2d` maps to one.
    groups : int, default 1
        Both channel numbers are divided into this many independent groups.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None

    Returns
    -------
    array or Tensor [N, K, OH, OW] or [K, OH, OW]
        OH = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1, OW likewise.

    Raises
    ------
    ShapeError
        For wrong numbers of dimensions, channels that do not fit, or an output without pixels.
    ArgumentError
        For options out of range.
    DTypeError
        Unless all arrays are float32, or all float64.
    """
    options = stride, padding, output_padding, dilation
    return _convolve_back("conv_transpose2d", 2, x, weight, bias, *options, groups, activation)


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Sides = 1,
    padding: _Sides = 0,
    output_padding: _Sides = 0,
    groups: int = 1,
    dilation: _Sides = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Transposed convolution in one dimension: :func:`conv_transpose2d` with height 1.

    Parameters
    ----------
    x : array or Tensor [N, C, L] or [C, L]
    weight : array or Tensor [C, K / groups, S]
    bias : array or Tensor [K], optional
    stride, padding, output_padding, groups, dilation, activation
        As :func:`conv_transpose2d`.

    Returns
    -------
    array or Tensor [N, K, OL] or [K, OL]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`conv_transpose2d`.
    """
    options = stride, padding, output_padding, dilation
    return _convolve_back("conv_transpose1d", 1, x, weight, bias, *options, groups, activation)


def conv_transpose3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: _Sides = 1,
    padding: _Sides = 0,
    output_padding: _Sides = 0,
    groups: int = 1,
    dilation: _Sides = 1,
    *,
    activation: str | None = None,
) -> Any:
    """Transposed convolution in three dimensions: :func:`conv_transpose2d` with a depth.

    Parameters
    ----------
    x : array or Tensor [N, C, D, H, W] or [C, D, H, W]
    weight : array or Tensor [C, K / groups, T, R, S]
    bias : array or Tensor [K], optional
    stride, padding, output_padding, groups, dilation, activation
        As :func:`conv_transpose2d`.

    Returns
    -------
    array or Tensor [N, K, OD, OH, OW] or [K, OD, OH, OW]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`conv_transpose2d`.
    """
    options = stride, padding, output_padding, dilation
    return _convolve_back("conv_transpose3d", 3, x, weight, bias, *options, groups, activation)


def _checked(op: str, spatial: int, x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """The arrays, of one type and of the right numbers of dimensions."""
    a, w = _conv.kept(op, spatial, x=x, weight=weight)
    b = None if bias is None else unwrap(bias, op, "bias")
    if _bfloat16.met:
        same_kept(op, x=x, weight=weight, bias=bias)
    if a.dtype.kind != "V" and (a.dtype is not w.dtype or b is not None or type(a) is not type(w)):
        same_dtype(op, x=a, weight=w, bias=b)
    if a.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            f"{op}: x has shape {a.shape}, expected {spatial + 2} dimensions, or {spatial + 1} unbatched"
        )
    if w.ndim != spatial + 2:
        raise ShapeError(f"{op}: weight has shape {w.shape}, expected {spatial + 2} dimensions")
    if 0 in w.shape[2:]:
        raise ShapeError(f"{op}: weight has shape {w.shape}, expected a kernel of at least one tap")
    return a, w, b


def _check_bias(op: str, b: Any, channels: int) -> None:
    if b is not None and b.shape != (channels,):
        raise ShapeError(
            f"{op}: bias has shape {b.shape}, expected ({channels},) because weight has {channels} output"
            " channels"
        )


def _check_sizes(op: str, *values: int) -> None:
    if max(values) >= LARGEST:
        raise ArgumentError(f"{op}: stride, padding, dilation or sizes reach 2**30")


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
    engines.activation_code(activation, op)
    if _autocast.active:
        x, weight, bias = _autocast.lower(x, weight, bias)
    a, w, b = _checked(op, spatial, x, weight, bias)
    plain = is_plain(stride) and is_plain(padding) and is_plain(dilation) and type(groups) is int
    plan = _known_plan if plain else _plan
    geometry, shape = plan(op, spatial, a.shape, w.shape, stride, padding, dilation, groups)
    _check_bias(op, b, w.shape[0])
    if w.shape[1] == 1:  # pairs of channels there are none
        a, w = widened(a), widened(w)
    return _conv.forward(x, weight, geometry, shape, bias, activation, (a, w, b))


def _plan(
    op: str,
    spatial: int,
    x_shape: _conv.Shape,
    w_shape: _conv.Shape,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> tuple[_conv.Geometry, _conv.Shape]:
    """The options of a convolution as the kernels take them, and the shape of its result."""
    strides = sizes(stride, op, "stride", spatial, 1)
    dilations = sizes(dilation, op, "dilation", spatial, 1)
    c, (k, group_channels), taps, extent = x_shape[-1 - spatial], w_shape[:2], w_shape[2:], x_shape[-spatial:]
    groups = integer(op, "groups", groups, 1)
    if c % groups or k % groups:
        raise ShapeError(f"{op}: groups is {groups}, expected a divisor of x's {c} and weight's {k} channels")
    if group_channels * groups != c:
        raise ShapeError(
            f"{op}: weight has shape {w_shape}, expected ({k}, {c // groups}{', *' * spatial}) because"
            f" x has {c} channels and groups is {groups}"
        )

    if spatial == 2:  # the same as below, in a third of the time
        spans: _conv.Shape = (dilations[0] * (taps[0] - 1) + 1, dilations[1] * (taps[1] - 1) + 1)
    else:
        spans = tuple(d * (t - 1) + 1 for d, t in zip(dilations, taps, strict=True))
    if isinstance(padding, str):
        pads, out = _named_padding(op, padding, strides, spans, extent)
    else:
        pads, out = sizes(padding, op, "padding", spatial), None
    if spatial == 2:
        padded: _conv.Shape = (extent[0] + 2 * pads[0], extent[1] + 2 * pads[1])
        if out is None:
            out = (padded[0] - spans[0]) // strides[0] + 1, (padded[1] - spans[1]) // strides[1] + 1
    else:
        padded = tuple(n + 2 * p for n, p in zip(extent, pads, strict=True))
        if out is None:
            out = tuple((n - s) // step + 1 for n, s, step in zip(padded, spans, strides, strict=True))
    _check_sizes(op, *padded, *spans, *strides, *dilations)
    if min(out) < 1:
        raise ShapeError(
            f"{op}: weight has shape {w_shape}, a span of {spans} with dilation,"
            f" expected at most the padded input's {padded}"
        )
    return _conv.Geometry(spatial, strides, pads, dilations, groups), (*x_shape[: -1 - spatial], k, *out)


#: The same, looked up: on small images it takes longer than the kernel. What is refused is not kept.
_known_plan = functools.lru_cache(maxsize=512)(_plan)


def _named_padding(
    op: str, padding: str, strides: _conv.Shape, spans: _conv.Shape, extent: _conv.Shape
) -> tuple[_conv.Shape, _conv.Shape | None]:
    """Zeros before the first row and column, and the output size where that does not follow from them."""
    if padding == "valid":
        return (0,) * len(spans), None
    if padding != "same":
        raise ArgumentError(f"{op}: padding is {padding!r}, expected ints, 'same' or 'valid'")
    if max(strides) != 1:
        raise ArgumentError(f"{op}: padding 'same' needs stride 1, got stride {strides}")
    # An odd total puts the extra zero last. Kernels see zeros wherever the output grid reaches past the
    # input, so the smaller half before it is all they need to know.
    return tuple((s - 1) // 2 for s in spans), extent


def _convolve_back(
    op: str,
    spatial: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    activation: str | None,
) -> Any:
    engines.activation_code(activation, op)
    if _autocast.active:
        x, weight, bias = _autocast.lower(x, weight, bias)
    a, w, b = _checked(op, spatial, x, weight, bias)
    strides = sizes(stride, op, "stride", spatial, 1)
    dilations = sizes(dilation, op, "dilation", spatial, 1)
    pads = sizes(padding, op, "padding", spatial)
    extra = sizes(output_padding, op, "output_padding", spatial)
    for more, step, apart in zip(extra, strides, dilations, strict=True):
        if more >= max(step, apart):
            raise ArgumentError(
                f"{op}: output_padding is {output_padding!r}, expected less than the stride or the dilation,"
                f" {strides} and {dilations}"
            )
    c, taps, extent = a.shape[-1 - spatial], w.shape[2:], a.shape[-spatial:]
    groups = integer(op, "groups", groups, 1)
    if c % groups:
        raise ShapeError(f"{op}: groups is {groups}, expected a divisor of x's {c} channels")
    if w.shape[0] != c:
        raise ShapeError(
            f"{op}: weight has shape {w.shape}, expected ({c}, *{', *' * spatial}) because x has {c} channels"
        )
    channels = w.shape[1] * groups
    _check_bias(op, b, channels)
    spans = tuple(d * (t - 1) + 1 for d, t in zip(dilations, taps, strict=True))
    out = tuple(
        (n - 1) * step - 2 * p + s + more
        for n, step, p, s, more in zip(extent, strides, pads, spans, extra, strict=True)
    )
    _check_sizes(op, *(n + 2 * p for n, p in zip(out, pads, strict=True)), *spans, *strides, *dilations)
    _check_sizes(op, *(n * step for n, step in zip(extent, strides, strict=True)), *pads)
    if min(out) < 1:
        raise ShapeError(
            f"{op}: x has shape {a.shape}, which with padding {pads} gives an output of {out}, expected sizes"
            " of at least 1"
        )
    geometry = _conv.Geometry(spatial, strides, pads, dilations, groups)
    shape = (*a.shape[: -1 - spatial], channels, *out)
    if w.shape[0] == groups:
        a, w = widened(a), widened(w)
    return _conv.transpose(x, weight, geometry, shape, bias, activation, (a, w, b))


# --- unfolded -------------------------------------------------------------------------------------


def _grid(op: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple[_conv.Shape, ...]:
    kernel = sizes(kernel_size, op, "kernel_size", 2, 1, LARGEST)
    dilations = sizes(dilation, op, "dilation", 2, 1, LARGEST)
    pads = sizes(padding, op, "padding", 2, 0, LARGEST)
    return kernel, dilations, pads, sizes(stride, op, "stride", 2, 1, LARGEST)


def _positions(
    op: str,
    extent: _conv.Shape,
    kernel: _conv.Shape,
    dilation: _conv.Shape,
    pad: _conv.Shape,
    stride: _conv.Shape,
) -> _conv.Shape:
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    padded = tuple(n + 2 * p for n, p in zip(extent, pad, strict=True))
    found = tuple((n - span) // step + 1 for n, span, step in zip(padded, spans, stride, strict=True))
    if min(found) < 1:
        raise ShapeError(f"{op}: the window spans {spans}, expected at most the padded image's {padded}")
    return found


def unfold(
    x: Any,
    kernel_size: _Sides,
    dilation: _Sides = 1,
    padding: _Sides = 0,
    stride: _Sides = 1,
) -> Any:
    """The windows of images as columns ("im2col"), as ``torch.nn.functional.unfold``.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    kernel_size : int or pair of int
        R and S, height and width of a window.
    dilation, stride : int or pair of int, default 1
    padding : int or pair of int, default 0
        Zeros on either side.

    Returns
    -------
    array or Tensor [N, C R S, L] or [C R S, L]
        Column l holds the pixels of window l, counted by rows: ``out[n, (c R + r) S + s, l]``.

    Raises
    ------
    ShapeError
        For other numbers of dimensions, or a window larger than the padded image.
    ArgumentError
        For options out of range.
    DTypeError
        Unless x is float32 or float64.
    """
    op = "unfold"
    kernel, dilations, pads, strides = _grid(op, kernel_size, dilation, padding, stride)
    a = contiguous(unwrap(x, op, "x"))
    if a.ndim not in (3, 4):
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [N, C, H, W] or [C, H, W]")
    out = _positions(op, a.shape[-2:], kernel, dilations, pads, strides)
    shape = (*a.shape[:-3], a.shape[-3] * math.prod(kernel), math.prod(out))
    check_size(op, shape)
    options = (1, *strides, 0, *pads, 1, *dilations)
    k = engines.of(a)
    columns = k.empty(shape, a.dtype)
    n = a.shape[0] if a.ndim == 4 else 1
    eight = (n, a.shape[-3], 1, *kernel, 1, *out)
    k.unfold(columns.reshape(eight), a.reshape((n, a.shape[-3], 1, *a.shape[-2:])), *options)
    extent = a.shape[-2:]

    def rule(g: Any, _x: Any, _out: Any) -> tuple[Any]:
        return (fold(g, extent, kernel, dilations, pads, strides),)

    return result(columns, (x,), rule, (None, None))


def fold(
    x: Any,
    output_size: _Sides,
    kernel_size: _Sides,
    dilation: _Sides = 1,
    padding: _Sides = 0,
    stride: _Sides = 1,
) -> Any:
    """Images from the windows that :func:`unfold` makes of them: every pixel the sum of its copies.

    Parameters
    ----------
    x : array or Tensor [N, C R S, L] or [C R S, L]
    output_size : int or pair of int
        Height and width of the images.
    kernel_size, dilation, padding, stride
        As :func:`unfold`.

    Returns
    -------
    array or Tensor [N, C, H, W] or [C, H, W]

    Raises
    ------
    ShapeError
        If x is not what :func:`unfold` gives with these options for such images.
    ArgumentError, DTypeError
        As :func:`unfold`.
    """
    op = "fold"
    kernel, dilations, pads, strides = _grid(op, kernel_size, dilation, padding, stride)
    extent = sizes(output_size, op, "output_size", 2, 1, LARGEST)
    a = contiguous(unwrap(x, op, "x"))
    if a.ndim not in (2, 3):
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [N, C R S, L] or [C R S, L]")
    out = _positions(op, extent, kernel, dilations, pads, strides)
    if a.shape[-2] % math.prod(kernel) or a.shape[-1] != math.prod(out):
        raise ShapeError(
            f"{op}: x has shape {a.shape}, expected rows in multiples of {math.prod(kernel)}, the pixels of a"
            f" window, and {math.prod(out)} columns, the windows of an image of {extent}"
        )
    n, c = a.shape[0] if a.ndim == 3 else 1, a.shape[-2] // math.prod(kernel)
    k = engines.of(a)
    images = k.empty((*a.shape[:-2], c, *extent), a.dtype)
    options = (1, *strides, 0, *pads, 1, *dilations)
    k.fold(images.reshape((n, c, 1, *extent)), a.reshape((n, c, 1, *kernel, 1, *out)), *options)

    def rule(g: Any, _x: Any, _out: Any) -> tuple[Any]:
        return (unfold(g, kernel, dilations, pads, strides),)

    return result(images, (x,), rule, (None, None))
