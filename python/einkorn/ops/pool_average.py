"""Pooling over windows of lines, images and volumes: average, sum, L-p norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.ops import _pool
from einkorn.ops._options import flag, integer, number
from einkorn.ops._pool import Shape
from einkorn.ops._pool_windows import (
    _flattened,
    _grid,
    _nothing,
    _output_size,
    _plane_options,
    _planes,
    _seen,
    _Sides,
    _windows,
)
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import pad, reshape
from einkorn.ops.elementwise import absolute, divide, multiply, power, square
from einkorn.ops.pool import _max_pool

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "global_avg_pool2d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "sum_pool1d",
    "sum_pool2d",
    "sum_pool3d",
]

# --- average and sum ------------------------------------------------------------------------------


@rounded_once
def avg_pool2d(
    x: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
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
    options = stride, padding, ceil_mode, count_include_pad, divisor_override
    return _avg_pool("avg_pool2d", 2, x, kernel_size, *options)


def avg_pool1d(
    x: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of lines [N, C, L] or [C, L]; options and errors as :func:`avg_pool2d`."""
    options = stride, padding, ceil_mode, count_include_pad, None
    return _avg_pool("avg_pool1d", 1, x, kernel_size, *options)


@rounded_once
def avg_pool3d(
    x: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of volumes; options and errors as :func:`avg_pool2d`, with a depth."""
    options = stride, padding, ceil_mode, count_include_pad, divisor_override
    return _avg_pool("avg_pool3d", 3, x, kernel_size, *options)


def _avg_pool(
    op: str,
    spatial: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
) -> Any:
    shape = _planes(op, x, spatial)
    kernel, strides, pads = _windows(op, spatial, kernel_size, stride, padding)
    ceil_mode = flag(op, "ceil_mode", ceil_mode)
    include = flag(op, "count_include_pad", count_include_pad)
    extent = shape[-spatial:]
    out = _grid(op, extent, kernel, strides, pads, (1,) * spatial, ceil_mode)
    if divisor_override is None:
        return _means(x, shape, kernel, strides, pads, out, include)
    divisor = integer(op, "divisor_override", divisor_override)
    if divisor == 0:
        raise ArgumentError(f"{op}: divisor_override is 0, expected another number")
    # Zeros all around, so that every window lies inside; then its sum.
    margins: list[int] = []
    for d in reversed(range(spatial)):
        after = (out[d] - 1) * strides[d] + kernel[d] - extent[d] - pads[d]
        margins += [pads[d], max(after, 0)]
    return divide(_sums(op, spatial, pad(x, margins), kernel, strides), float(divisor))


def _means(
    x: Any, shape: Shape, kernel: Shape, strides: Shape, pads: Shape, out: Shape, include: bool
) -> Any:
    if len(kernel) == 2 and len(shape) == 4:  # what most calls are
        return _pool.average(x, (*kernel, *strides, *pads), (shape[0], shape[1], *out), include)
    spatial = len(kernel)
    extent, (n, c) = shape[-spatial:], _flattened(shape, spatial)
    window = _plane_options(kernel, strides, pads)
    if spatial < 3:
        sides, out_sides = (extent, out) if spatial == 2 else ((1, *extent), (1, *out))
        y = _pool.average(_seen(x, (n, c, *sides)), window, (n, c, *out_sides), include)
    else:
        (d, h, w), (od, oh, ow) = extent, out
        y = _pool.average(_seen(x, (n, c * d, h, w)), window, (n, c * d, oh, ow), include)
        along = (kernel[0], 1, strides[0], 1, pads[0], 0)
        y = _pool.average(reshape(y, (n, c, d, oh * ow)), along, (n, c, od, oh * ow), include)
    return _seen(y, (*shape[:-spatial], *out))


@rounded_once
def sum_pool2d(x: Any, kernel_size: _Sides, stride: _Sides | None = None) -> Any:
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
    return _sum_pool("sum_pool2d", 2, x, kernel_size, stride)


@rounded_once
def sum_pool1d(x: Any, kernel_size: int, stride: int | None = None) -> Any:
    """The sum of each window of lines [N, C, L] or [C, L]; options and errors as :func:`sum_pool2d`."""
    return _sum_pool("sum_pool1d", 1, x, kernel_size, stride)


def sum_pool3d(x: Any, kernel_size: _Sides, stride: _Sides | None = None) -> Any:
    """The sum of each window of volumes; options and errors as :func:`sum_pool2d`, with a depth."""
    return _sum_pool("sum_pool3d", 3, x, kernel_size, stride)


def _sum_pool(op: str, spatial: int, x: Any, kernel_size: Any, stride: Any) -> Any:
    _planes(op, x, spatial)
    kernel, strides, _ = _windows(op, spatial, kernel_size, stride, 0)
    return _sums(op, spatial, x, kernel, strides)


def _sums(op: str, spatial: int, x: Any, kernel: Shape, strides: Shape) -> Any:
    """Means times the window's area, multiplied where that keeps sums of whole numbers exact."""
    shape, none = tuple(x.shape), (0,) * spatial
    out = _grid(op, shape[-spatial:], kernel, strides, none, (1,) * spatial, False)
    area = math.prod(kernel)
    by_output = area & (area - 1) == 0  # a power of two: nothing is rounded
    means = _means(x if by_output else multiply(x, float(area)), shape, kernel, strides, none, out, True)
    return multiply(means, float(area)) if by_output else means


def adaptive_avg_pool2d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
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
        If output_size is no pair of numbers from 0 up.
    DTypeError
        Unless x is float32 or float64.
    """
    return _adaptive_avg("adaptive_avg_pool2d", 2, x, output_size)


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """:func:`adaptive_avg_pool2d` of lines [N, C, L] or [C, L]."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, x, output_size)


@rounded_once
def adaptive_avg_pool3d(x: Any, output_size: Any) -> Any:
    """:func:`adaptive_avg_pool2d` of volumes [N, C, D, H, W] or [C, D, H, W]."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, x, output_size)


def _adaptive_avg(op: str, spatial: int, x: Any, output_size: Any) -> Any:
    shape = _planes(op, x, spatial)
    extent, (n, c) = shape[-spatial:], _flattened(shape, spatial)
    out = _output_size(op, output_size, extent)
    if 0 in out:
        return _nothing(x, (*shape[:-spatial], *out))
    if spatial < 3:
        sides, out_sides = (extent, out) if spatial == 2 else ((1, *extent), (1, *out))
        y = _pool.adaptive_average(_seen(x, (n, c, *sides)), *out_sides)
    else:
        (d, h, w), (od, oh, ow) = extent, out
        y = _pool.adaptive_average(_seen(x, (n, c * d, h, w)), oh, ow)
        y = _pool.adaptive_average(reshape(y, (n, c, d, oh * ow)), od, oh * ow)
    return _seen(y, (*shape[:-spatial], *out))


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
    return _adaptive_avg("global_avg_pool2d", 2, x, (1, 1))


# --- norms ----------------------------------------------------------------------------------------


@rounded_once
def lp_pool2d(
    x: Any, norm_type: float, kernel_size: _Sides, stride: _Sides | None = None, ceil_mode: bool = False
) -> Any:
    """The L-p norm of each window, ``(sum of x ** p) ** (1 / p)``, as torch has it: without absolute values.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    norm_type : float
        p, above 0. 1 gives :func:`sum_pool2d`, infinity the largest magnitude; a negative sum has no root
        and gives NaN where p is not 1.
    kernel_size, stride
        As :func:`max_pool2d`.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge. Its sum is scaled up to a whole window's, as in torch.

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [C, OH, OW]
        The gradient of a window whose sum is 0 is 0.

    Raises
    ------
    ArgumentError
        Unless norm_type is a number above 0.
    ShapeError, DTypeError
        As :func:`max_pool2d`.
    """
    return _lp_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode)


@rounded_once
def lp_pool1d(
    x: Any, norm_type: float, kernel_size: int, stride: int | None = None, ceil_mode: bool = False
) -> Any:
    """:func:`lp_pool2d` of lines [N, C, L] or [C, L]."""
    return _lp_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode)


@rounded_once
def lp_pool3d(
    x: Any, norm_type: float, kernel_size: _Sides, stride: _Sides | None = None, ceil_mode: bool = False
) -> Any:
    """:func:`lp_pool2d` of volumes [N, C, D, H, W] or [C, D, H, W]."""
    return _lp_pool("lp_pool3d", 3, x, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(
    op: str, spatial: int, x: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: Any
) -> Any:
    p = float(number(op, "norm_type", norm_type))
    if not p > 0:
        raise ArgumentError(f"{op}: norm_type is {norm_type!r}, expected a number above 0")
    ceil_mode = flag(op, "ceil_mode", ceil_mode)
    shape = _planes(op, x, spatial)
    if math.isinf(p):
        return _max_pool(op, spatial, absolute(x), kernel_size, stride, 0, 1, ceil_mode, False)
    kernel, strides, pads = _windows(op, spatial, kernel_size, stride, 0)
    powers = x if p == 1.0 else square(x) if p == 2.0 else power(x, p)
    if ceil_mode:
        out = _grid(op, shape[-spatial:], kernel, strides, pads, (1,) * spatial, True)
        sums = multiply(_means(powers, shape, kernel, strides, pads, out, True), float(math.prod(kernel)))
    else:
        sums = _sums(op, spatial, powers, kernel, strides)
    return sums if p == 1.0 else _pool.root(sums, p)
