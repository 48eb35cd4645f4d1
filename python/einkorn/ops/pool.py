"""Pooling over windows of images: maximum, average, sum, L-p norm."""

from __future__ import annotations

from typing import Any

from einkorn import engines
from einkorn.autograd import mode
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import LARGEST, flag, integer, number, pair
from einkorn.ops._road import broadcast_to, contiguous, needs, result, unwrap
from einkorn.ops.copy import pad
from einkorn.ops.elementwise import divide

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "global_avg_pool2d",
    "global_max_pool2d",
    "lp_pool2d",
    "max_pool2d",
    "sum_pool2d",
]

_Pair = int | tuple[int, int]


def _images(op: str, x: Any) -> tuple[Any, bool]:
    """The array behind x as contiguous [N, C, H, W], and whether x has an N; it is 1 otherwise."""
    a = contiguous(unwrap(x, op, "x"))
    shape = a.shape
    if len(shape) == 3:
        a = a.reshape((1, *shape))
    elif len(shape) != 4:
        raise ShapeError(f"{op}: x has shape {shape}, expected [N, C, H, W] or [C, H, W]")
    if shape[-1] == 0 or shape[-2] == 0:
        raise ShapeError(f"{op}: x has shape {shape}, expected a height and width of at least 1")
    return a, len(shape) == 4


def _option(op: str, name: str, value: Any, least: int) -> tuple[int, int]:
    return pair(value, op, name, least, LARGEST)


def _windows(op: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[int, int, int, int, int, int]:
    """kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w."""
    kernel_h, kernel_w = _option(op, "kernel_size", kernel_size, 1)
    default = stride is None or (isinstance(stride, (tuple, list)) and not stride)  # torch's () too
    stride_h, stride_w = (kernel_h, kernel_w) if default else _option(op, "stride", stride, 1)
    if type(padding) is int and padding == 0:
        return kernel_h, kernel_w, stride_h, stride_w, 0, 0
    pad_h, pad_w = _option(op, "padding", padding, 0)
    if 2 * pad_h > kernel_h or 2 * pad_w > kernel_w:
        raise ArgumentError(
            f"{op}: padding is {padding!r}, expected at most half of kernel_size, {(kernel_h, kernel_w)}"
        )
    return kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w


def _out_size(
    op: str, side: str, size: int, kernel: int, stride: int, pad: int, dilation: int, ceil: bool
) -> int:
    extent = dilation * (kernel - 1) + 1
    room = size + 2 * pad - extent
    if room < 0 and not (ceil and -room < stride):  # rounded up, one window may hang over both edges
        raise ShapeError(
            f"{op}: the window has {side} {extent}, expected at most {size + 2 * pad}, the {side} of x with"
            " its padding"
        )
    if not ceil:
        return room // stride + 1
    windows = -(-room // stride) + 1
    # The last window must begin inside the image or its padding on the near side.
    return windows - 1 if (windows - 1) * stride >= size + pad else windows


def max_pool2d(
    x: Any,
    kernel_size: _Pair,
    stride: _Pair | None = None,
    padding: _Pair = 0,
    dilation: _Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    kernel_size : int or pair of int
        Height and width of the window.
    stride : int or pair of int, optional
        Distance of neighbouring windows; default kernel_size.
    padding : int or pair of int, default 0
        Minus infinity on either side, at most half the kernel.
    dilation : int or pair of int, default 1
        Distance of neighbouring pixels of a window.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge.
    return_indices : bool, default False
        Whether to return the positions of the maxima as well.

    Returns
    -------
    out : array or Tensor [N, C, OH, OW] or [C, OH, OW]
        OH = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down, or up with ceil_mode; OW
        likewise. NaN counts as the largest number.
    indices : int64 array of the same shape, with return_indices
        h * W + w of the first maximum in its plane; -1 for a dilated window that meets no pixel.

    Raises
    ------
    ShapeError
        For other numbers of dimensions, an empty plane, or a window larger than the padded plane.
    ArgumentError
        For options out of range.
    DTypeError
        Unless x is float32 or float64.
    """
    op = "max_pool2d"
    return _max_pool(
        op, x, *_images(op, x), kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def _max_pool(
    op: str,
    x: Any,
    a: Any,
    batched: bool,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    n, c, h, w = a.shape
    window = _windows(op, kernel_size, stride, padding)
    dilation_h, dilation_w = _option(op, "dilation", dilation, 1)
    ceil_mode, return_indices = flag(op, "ceil_mode", ceil_mode), flag(op, "return_indices", return_indices)
    kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w = window
    if h * w >= 1 << 31:
        raise ShapeError(f"{op}: x has planes of {h} x {w} pixels, expected less than 2**31")
    shape = (
        n,
        c,
        _out_size(op, "height", h, kernel_h, stride_h, pad_h, dilation_h, ceil_mode),
        _out_size(op, "width", w, kernel_w, stride_w, pad_w, dilation_w, ceil_mode),
    )
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    indices = None
    if return_indices or (mode.enabled and needs(x)):
        indices = k.empty(shape, "int32")
    k.max_pool2d_forward(out, indices, a, *window, dilation_h, dilation_w)

    planes = a.shape
    x_shape = planes if batched else planes[1:]

    def backward(g: Any) -> tuple[Any]:
        gx = k.empty(x_shape, g.dtype)
        gy = contiguous(g).reshape(shape)
        k.max_pool2d_backward(gx.reshape(planes), gy, indices, *window, dilation_h, dilation_w)
        return (gx,)

    pooled = result(out if batched else out.reshape(shape[1:]), (x,), backward)
    if not return_indices:
        return pooled
    assert indices is not None
    return pooled, indices.astype("int64").reshape(pooled.shape)


def avg_pool2d(
    x: Any,
    kernel_size: _Pair,
    stride: _Pair | None = None,
    padding: _Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    kernel_size, stride, padding, ceil_mode
        As :func:`max_pool2d`; padding is zeros.
    count_include_pad : bool, default True
        Whether the divisor counts the padding. What hangs over the padded edge never counts.
    divisor_override : int, optional
        Divide every window's sum by this instead; not 0.

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [C, OH, OW]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`max_pool2d`.
    """
    op = "avg_pool2d"
    a, batched = _images(op, x)
    n, c, h, w = a.shape
    window = kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w = _windows(op, kernel_size, stride, padding)
    ceil_mode = flag(op, "ceil_mode", ceil_mode)
    count_include_pad = flag(op, "count_include_pad", count_include_pad)
    shape = (
        n,
        c,
        _out_size(op, "height", h, kernel_h, stride_h, pad_h, 1, ceil_mode),
        _out_size(op, "width", w, kernel_w, stride_w, pad_w, 1, ceil_mode),
    )
    if divisor_override is not None:
        divisor = integer(op, "divisor_override", divisor_override)
        if divisor == 0:
            raise ArgumentError(f"{op}: divisor_override is 0, expected another number")
        # Zeros all around, so that every window lies inside; then its sum.
        after_h = max((shape[2] - 1) * stride_h + kernel_h - h - pad_h, 0)
        after_w = max((shape[3] - 1) * stride_w + kernel_w - w - pad_w, 0)
        around = pad(x, (pad_w, after_w, pad_h, after_h))
        return divide(sum_pool2d(around, (kernel_h, kernel_w), (stride_h, stride_w)), float(divisor))
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    k.avg_pool2d_forward(out, a, *window, count_include_pad)

    planes = a.shape
    x_shape = planes if batched else planes[1:]

    def backward(g: Any) -> tuple[Any]:
        gx = k.empty(x_shape, g.dtype)
        gy = contiguous(g).reshape(shape)
        k.avg_pool2d_backward(gx.reshape(planes), gy, *window, count_include_pad)
        return (gx,)

    return result(out if batched else out.reshape(shape[1:]), (x,), backward)


def adaptive_avg_pool2d(x: Any, output_size: int | tuple[int | None, int | None]) -> Any:
    """Means over a grid of windows that cover each plane as evenly as whole numbers allow.

    Row i of the output averages the rows floor(i H / OH) to ceil((i + 1) H / OH) of x; columns likewise.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    output_size : int or pair of int or None
        OH and OW; None keeps the input's.

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [C, OH, OW]

    Raises
    ------
    ShapeError
        For other numbers of dimensions, or an empty plane.
    ArgumentError
        If output_size is no pair of positive numbers.
    DTypeError
        Unless x is float32 or float64.
    """
    op = "adaptive_avg_pool2d"
    a, batched = _images(op, x)
    if isinstance(output_size, (tuple, list)) and None in output_size and len(output_size) == 2:
        height, width = output_size
        output_size = (a.shape[2] if height is None else height, a.shape[3] if width is None else width)
    return _adaptive(x, a, batched, *_option(op, "output_size", output_size, 1))


def _adaptive(x: Any, a: Any, batched: bool, out_height: int, out_width: int) -> Any:
    shape = (a.shape[0], a.shape[1], out_height, out_width)
    k = engines.of(a)
    out = k.empty(shape, a.dtype)
    k.adaptive_avg_pool2d_forward(out, a)

    planes = a.shape
    x_shape = planes if batched else planes[1:]

    def backward(g: Any) -> tuple[Any]:
        gx = k.empty(x_shape, g.dtype)
        k.adaptive_avg_pool2d_backward(gx.reshape(planes), contiguous(g).reshape(shape))
        return (gx,)

    return result(out if batched else out.reshape(shape[1:]), (x,), backward)


def global_avg_pool2d(x: Any) -> Any:
    """The mean of each plane: [N, C, H, W] to [N, C, 1, 1].

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]

    Raises
    ------
    ShapeError
        For other numbers of dimensions, or an empty plane.
    """
    return _adaptive(x, *_images("global_avg_pool2d", x), 1, 1)


def global_max_pool2d(x: Any) -> Any:
    """The maximum of each plane: [N, C, H, W] to [N, C, 1, 1].

    Arguments and errors as :func:`global_avg_pool2d`.
    """
    op = "global_max_pool2d"
    a, batched = _images(op, x)
    return _max_pool(op, x, a, batched, a.shape[2:], None, 0, 1, False, False)


def sum_pool2d(x: Any, kernel_size: _Pair, stride: _Pair | None = None) -> Any:
    """The sum of each window.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    kernel_size, stride
        As :func:`max_pool2d`.

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [C, OH, OW]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`max_pool2d`.
    """
    op = "sum_pool2d"
    a, batched = _images(op, x)
    window = _windows(op, kernel_size, stride, 0)
    out = _window_sums(op, a, window)

    shape, planes = out.shape, a.shape
    x_shape = planes if batched else planes[1:]

    def backward(g: Any) -> tuple[Any]:
        return (_spread_sums(contiguous(g).reshape(shape), x_shape, planes, window),)

    return result(out if batched else out.reshape(shape[1:]), (x,), backward)


def _window_sums(op: str, a: Any, window: tuple[int, int, int, int, int, int]) -> Any:
    """Means times the window's area, multiplied where that keeps sums of whole numbers exact."""
    n, c, h, w = a.shape
    kernel_h, kernel_w, stride_h, stride_w, _, _ = window
    area = kernel_h * kernel_w
    by_output = area & (area - 1) == 0  # a power of two: nothing is rounded
    k = engines.of(a)
    shape = (
        n,
        c,
        _out_size(op, "height", h, kernel_h, stride_h, 0, 1, False),
        _out_size(op, "width", w, kernel_w, stride_w, 0, 1, False),
    )
    out = k.empty(shape, a.dtype)
    k.avg_pool2d_forward(out, a if by_output else _times(a, area), *window, True)
    return _times(out, area) if by_output else out


def _spread_sums(
    g: Any, shape: tuple[int, ...], planes: tuple[int, ...], window: tuple[int, int, int, int, int, int]
) -> Any:
    """Each pixel gets the sum of g over the windows that contain it; the result has the given shape."""
    k = engines.of(g)
    gx = k.empty(shape, g.dtype)
    k.avg_pool2d_backward(gx.reshape(planes), _times(g, window[0] * window[1]), *window, True)
    return gx


def _times(a: Any, number: float) -> Any:
    k = engines.of(a)
    factor, out = k.empty((), a.dtype), k.empty(a.shape, a.dtype)
    k.fill(factor, float(number))
    k.multiply(out, a, broadcast_to(factor, a.shape))
    return out


def _to_power(a: Any, exponent: float) -> Any:
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    if exponent == 2.0:
        k.square(out, a)
    elif exponent == 0.5:
        k.sqrt(out, a)
    elif exponent == 1.0:
        k.copy(out, a)
    else:
        factor = k.empty((), a.dtype)
        k.fill(factor, exponent)
        k.power(out, a, broadcast_to(factor, a.shape))
    return out


def lp_pool2d(x: Any, norm_type: float, kernel_size: _Pair, stride: _Pair | None = None) -> Any:
    """The L-p norm of each window, ``(sum of x ** p) ** (1 / p)``, as torch has it: without absolute values.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    norm_type : float
        p, above 0. 1 gives :func:`sum_pool2d`; a negative sum has no root and gives NaN where p is not 1.
    kernel_size, stride
        As :func:`max_pool2d`.

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [C, OH, OW]
        The gradient of a window whose sum is 0 is 0.

    Raises
    ------
    ArgumentError
        Unless norm_type is a finite number above 0.
    ShapeError, DTypeError
        As :func:`max_pool2d`.
    """
    op = "lp_pool2d"
    if not 0 < number(op, "norm_type", norm_type) < float("inf"):
        raise ArgumentError(f"{op}: norm_type is {norm_type!r}, expected a finite number above 0")
    a, batched = _images(op, x)
    window = _windows(op, kernel_size, stride, 0)
    p = float(norm_type)
    sums = _window_sums(op, _to_power(a, p), window)
    out = _to_power(sums, 1.0 / p)

    x_shape = a.shape if batched else a.shape[1:]

    def backward(g: Any) -> tuple[Any]:
        # d out / d x = out / sum * x ** (p - 1), and 0 where the sum is 0
        k = engines.of(a)
        slope, zero = k.empty(out.shape, a.dtype), k.empty((), a.dtype)
        k.fill(zero, 0.0)
        k.divide(slope, out, sums)
        k.where(slope, sums, slope, broadcast_to(zero, out.shape))
        k.multiply(slope, slope, contiguous(g).reshape(out.shape))
        gx = _spread_sums(slope, x_shape, a.shape, window)
        if p != 1.0:
            k.multiply(gx, gx, _to_power(a, p - 1.0).reshape(x_shape))
        return (gx,)

    return result(out if batched else out.reshape(out.shape[1:]), (x,), backward)
