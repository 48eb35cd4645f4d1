"""Pooling over windows of lines, images and volumes by the maximum, and its undoing."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from einkorn._device import beside, is_on_gpu, move
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops import _integers, _pool
from einkorn.ops._options import LARGEST, flag, integer, is_plain, number, sizes
from einkorn.ops._pool import Shape
from einkorn.ops._pool_windows import (
    _SIDES,
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
from einkorn.ops._road import as_index, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import reshape
from einkorn.ops.random import uniform

__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "global_max_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

# --- maximum --------------------------------------------------------------------------------------


def max_pool2d(
    x: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    dilation: _Sides = 1,
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
    indices : int64 array or Tensor, as x, of the same shape, with return_indices
        h * W + w of the first maximum in its plane, of several NaN of the last, as in torch; -1 for a
        dilated window that meets no pixel.

    Raises
    ------
    ShapeError
        For other numbers of dimensions, an empty plane, or a window larger than the padded plane.
    ArgumentError
        For options out of range.
    DTypeError
        Unless x holds floats or integers; these have no gradient.
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d(
    x: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    dilation: _Sides = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of lines [N, C, L] or [C, L]; options and errors as :func:`max_pool2d`."""
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@rounded_once
def max_pool3d(
    x: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    dilation: _Sides = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of volumes [N, C, D, H, W] or [C, D, H, W].

    Options and errors as :func:`max_pool2d`, with a depth before height and width; indices are
    (d * H + h) * W + w.
    """
    return _max_pool("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    op: str,
    spatial: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
) -> Any:
    whole = _integers.integral(x)
    if whole is not None and whole.dtype.kind != "b":
        values = whole.astype(np.float64)
        found = _max_pool(op, spatial, values, kernel_size, stride, padding, dilation, ceil_mode, True)
        return _of_integers(op, x, whole, found, return_indices)
    shape = _planes(op, x, spatial)
    ceil_mode, return_indices = flag(op, "ceil_mode", ceil_mode), flag(op, "return_indices", return_indices)
    extent = shape[-spatial:]
    plain = is_plain(kernel_size) and (stride is None or is_plain(stride)) and is_plain(padding)
    plan = _known_plan if plain and is_plain(dilation) else _plan
    kernel, strides, pads, dilations, out = plan(
        op, extent, kernel_size, stride, padding, dilation, ceil_mode
    )
    if spatial == 2 and len(shape) == 4 and not return_indices:  # what most calls are
        window = (*kernel, *strides, *pads, *dilations)
        return _pool.maximum(x, window, (shape[0], shape[1], *out), False)[0]
    window = _plane_options(kernel, strides, pads, dilations)
    n, c = _flattened(shape, spatial)
    if spatial < 3:
        sides, out_sides = (extent, out) if spatial == 2 else ((1, *extent), (1, *out))
        y, places = _pool.maximum(_seen(x, (n, c, *sides)), window, (n, c, *out_sides), return_indices)
    else:
        # Planes first, then along depth: of equal maxima, the first of the first slice.
        (d, h, w), (od, oh, ow) = extent, out
        planes, inner = _pool.maximum(_seen(x, (n, c * d, h, w)), window, (n, c * d, oh, ow), return_indices)
        along = (kernel[0], 1, strides[0], 1, pads[0], 0, dilations[0], 1)
        y, outer = _pool.maximum(
            reshape(planes, (n, c, d, oh * ow)), along, (n, c, od, oh * ow), return_indices
        )
        places = _joined_places(inner, outer, h * w, oh * ow) if return_indices else None
    result_shape = (*shape[:-spatial], *out)
    pooled = _seen(y, result_shape)
    if not return_indices:
        return pooled
    assert places is not None
    return pooled, _integers.wrapped(places.astype("int64").reshape(result_shape), x)


def _plan(
    op: str, extent: Shape, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Shape, Shape, Shape, Shape, Shape]:
    """Kernel, stride, padding and dilation of every side, and how many windows there are along it."""
    spatial = len(extent)
    kernel, strides, pads = _windows(op, spatial, kernel_size, stride, padding)
    dilations = sizes(dilation, op, "dilation", spatial, 1, LARGEST)
    if math.prod(extent) >= 1 << 31:
        sizes_of = " x ".join(map(str, extent))
        raise ShapeError(f"{op}: x has planes of {sizes_of} pixels, expected less than 2**31")
    return kernel, strides, pads, dilations, _grid(op, extent, kernel, strides, pads, dilations, ceil_mode)


#: The same, looked up: on small images it takes longer than the kernel. What is refused is not kept.
_known_plan = functools.lru_cache(maxsize=512)(_plan)


def _of_integers(op: str, x: Any, whole: Any, found: Any, return_indices: Any) -> Any:
    """The maximum of integers, found by way of float64, which holds them exactly up to 2**53."""
    if whole.size and max(abs(int(whole.min())), abs(int(whole.max()))) > 1 << 53:
        raise ArgumentError(f"{op}: x has integers beyond 2**53, expected smaller ones")
    values, places = found
    out = np.where(places < 0, 0, values).astype(whole.dtype)
    out[places < 0] = np.iinfo(whole.dtype).min  # a window without an element
    pooled = _integers.wrapped(out, x)
    return (pooled, _integers.wrapped(places, x)) if flag(op, "return_indices", return_indices) else pooled


def _joined_places(inner: Any, outer: Any, plane: int, out_plane: int) -> Any:
    """Places in volumes, from those in their slices and those of slices along depth."""
    n, c = outer.shape[:2]
    if not outer.size:
        return outer
    inner, outer = inner.reshape((n * c, -1)), outer.reshape((n * c, -1))
    rows = beside(outer, np.arange(n * c)[:, None])
    found = inner[rows, outer.clip(0)]
    joined = outer.astype("int64") // out_plane * plane + found
    joined[(outer < 0) | (found < 0)] = -1
    return joined


def global_max_pool2d(x: Any) -> Any:
    """The maximum of each plane: [N, C, H, W] to [N, C, 1, 1].

    Arguments and errors as :func:`global_avg_pool2d`.
    """
    op = "global_max_pool2d"
    return _max_pool(op, 2, x, _planes(op, x, 2)[-2:], None, 0, 1, False, False)


def adaptive_max_pool2d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over a grid of windows that cover each plane as :func:`adaptive_avg_pool2d`'s do.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    output_size : int or pair of int or None
        OH and OW; None keeps the input's.
    return_indices : bool, default False
        Whether to return the positions h * W + w of the maxima as well.

    Returns
    -------
    out : array or Tensor [N, C, OH, OW] or [C, OH, OW]
    indices : int64 array or Tensor, as x, of the same shape, with return_indices

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        As :func:`adaptive_avg_pool2d`.
    """
    return _adaptive_max("adaptive_max_pool2d", 2, x, output_size, return_indices)


def adaptive_max_pool1d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """:func:`adaptive_max_pool2d` of lines [N, C, L] or [C, L]."""
    return _adaptive_max("adaptive_max_pool1d", 1, x, output_size, return_indices)


def adaptive_max_pool3d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """:func:`adaptive_max_pool2d` of volumes [N, C, D, H, W] or [C, D, H, W]."""
    return _adaptive_max("adaptive_max_pool3d", 3, x, output_size, return_indices)


def _adaptive_max(op: str, spatial: int, x: Any, output_size: Any, return_indices: Any) -> Any:
    shape = _planes(op, x, spatial)
    extent = shape[-spatial:]
    out = _output_size(op, output_size, extent)
    if 0 in out:
        y = _nothing(x, (*shape[:-spatial], *out))
        if not flag(op, "return_indices", return_indices):
            return y
        return y, _integers.wrapped(beside(getattr(y, "_data", y), np.empty(y.shape, np.int64)), x)
    begin, end = [], []
    for n, count in zip((*(1,) * (3 - spatial), *extent), (*(1,) * (3 - spatial), *out), strict=True):
        i = np.arange(count, dtype=np.int64)
        begin.append(i * n // count)
        end.append(-(-(i + 1) * n // count))
    ranges = [np.concatenate(side).astype(np.int32)[None] for side in (begin, end)]
    return _max_of_ranges(op, x, shape, spatial, out, ranges, return_indices)


def _max_of_ranges(
    op: str, x: Any, shape: Shape, spatial: int, out: Shape, ranges: Any, return_indices: Any
) -> Any:
    return_indices = flag(op, "return_indices", return_indices)
    missing = (1,) * (3 - spatial)
    lead = _flattened(shape, spatial)
    if math.prod(shape[-spatial:]) >= 1 << 31:
        raise ShapeError(f"{op}: x has shape {shape}, expected less than 2**31 pixels a plane")
    volume, (begin, end) = _seen(x, (*lead, *missing, *shape[-spatial:])), ranges
    y, places = _pool.maximum_of_ranges(volume, begin, end, (*lead, *missing, *out), return_indices)
    result_shape = (*shape[:-spatial], *out)
    pooled = _seen(y, result_shape)
    if not return_indices:
        return pooled
    return pooled, _integers.wrapped(places.astype("int64").reshape(result_shape), x)


def fractional_max_pool2d(
    x: Any,
    kernel_size: _Sides,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Maxima of windows at steps that are drawn, so that the output has any size (Graham 2014).

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
    kernel_size : int or pair of int
    output_size : int or pair of int, optional
        OH and OW.
    output_ratio : float or pair of float, optional
        OH and OW as fractions of H and W, each between 0 and 1. One of the two is needed.
    return_indices : bool, default False
        Whether to return the positions h * W + w of the maxima as well.
    _random_samples : array [N, C, 2], optional
        Numbers from [0, 1) instead of drawn ones; that of the width first, as torch takes them.

    Returns
    -------
    out : array or Tensor [N, C, OH, OW] or [C, OH, OW]
    indices : int64 array or Tensor, as x, of the same shape, with return_indices

    Raises
    ------
    ShapeError
        For other numbers of dimensions, or an output and window too large for the plane.
    ArgumentError, DTypeError
        For options out of range, and for elements other than float32 and float64.
    """
    options = output_size, output_ratio, return_indices, _random_samples
    return _fractional("fractional_max_pool2d", 2, x, kernel_size, *options)


def fractional_max_pool3d(
    x: Any,
    kernel_size: _Sides,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """:func:`fractional_max_pool2d` of volumes; samples [N, C, 3] are for depth, height and width."""
    options = output_size, output_ratio, return_indices, _random_samples
    return _fractional("fractional_max_pool3d", 3, x, kernel_size, *options)


def _fractional(
    op: str,
    spatial: int,
    x: Any,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: Any,
    samples: Any,
) -> Any:
    shape = _planes(op, x, spatial)
    extent = shape[-spatial:]
    kernel = sizes(kernel_size, op, "kernel_size", spatial, 1, LARGEST)
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(
            f"{op}: output_size is {output_size!r} and output_ratio is {output_ratio!r}, expected one of them"
        )
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * spatial
        if len(ratios) != spatial or not all(0 < number(op, "output_ratio", r) < 1 for r in ratios):
            raise ArgumentError(f"{op}: output_ratio is {output_ratio!r}, expected numbers between 0 and 1")
        output_size = tuple(int(n * r) for n, r in zip(extent, ratios, strict=True))
    out = sizes(output_size, op, "output_size", spatial, 1, LARGEST)
    for side, n, k, count in zip(_SIDES[spatial], extent, kernel, out, strict=True):
        if count + k - 1 > n:
            raise ShapeError(
                f"{op}: output and window have {side} {count} and {k}, expected at most {n + 1} together for"
                f" x of shape {shape}"
            )
    lead = _flattened(shape, spatial)
    dtype = unwrap(x, op, "x").dtype
    if samples is None:
        drawn = move(uniform((*lead, spatial), dtype=dtype), "cpu")
    else:
        drawn = _near(samples)
        if drawn.shape != (*lead, spatial):
            raise ShapeError(f"{op}: _random_samples has shape {drawn.shape}, expected {(*lead, spatial)}")
    drawn = drawn.reshape(-1, spatial).astype(dtype)
    if spatial == 2:
        drawn = drawn[:, ::-1]
    begin = [np.zeros((len(drawn), 1), np.int64)] * (3 - spatial)
    for d in range(spatial):
        begin.append(_drawn_steps(drawn[:, d : d + 1], extent[d], out[d], kernel[d]))
    last = (*(1,) * (3 - spatial), *kernel)
    end = [side + size for side, size in zip(begin, last, strict=True)]
    ranges = [np.ascontiguousarray(np.concatenate(side, 1).astype(np.int32)) for side in (begin, end)]
    return _max_of_ranges(op, x, shape, spatial, out, ranges, return_indices)


def _near(samples: Any) -> Any:
    """Numbers that were drawn, on the CPU: few, and what windows begin at."""
    samples = getattr(samples, "_data", samples)
    if is_on_gpu(samples):
        return move(samples, "cpu")
    return np.asarray(samples.numpy() if hasattr(samples, "numpy") else samples)


def _drawn_steps(u: Any, size: int, count: int, kernel: int) -> Any:
    """Where windows begin: trunc((i + u) alpha) - trunc(u alpha), the last one at the edge."""
    alpha = u.dtype.type((size - kernel) / max(count - 1, 1))
    i = np.arange(count, dtype=u.dtype)
    begin = ((i + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)
    begin[:, -1] = size - kernel
    return begin


# --- maximum undone -------------------------------------------------------------------------------


def max_unpool2d(
    x: Any,
    indices: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    output_size: Any = None,
) -> Any:
    """Maxima back at their places, zeros elsewhere: what :func:`max_pool2d` took away is lost.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [C, H, W]
        The maxima.
    indices : integer array of the same shape
        Their places h * W + w in the output, as ``return_indices`` gives them. Of several numbers for one
        place the last stays; -1, the maximum of a window that sees only padding, has none.
    kernel_size, stride, padding
        Those of the pooling.
    output_size : sequence of int, optional
        Height and width of the output, or its whole shape, where pooling mapped several sizes to one; default
        (H - 1) stride - 2 padding + kernel, from which it may differ by less than the stride.

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [C, OH, OW]

    Raises
    ------
    ShapeError
        If x and indices differ in shape.
    IndexRangeError
        For an index outside the output.
    ArgumentError, DTypeError
        For options out of range, and for elements of other types.
    """
    return _max_unpool("max_unpool2d", 2, x, indices, kernel_size, stride, padding, output_size)


def max_unpool1d(
    x: Any,
    indices: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    output_size: Any = None,
) -> Any:
    """:func:`max_unpool2d` of lines [N, C, L] or [C, L]."""
    return _max_unpool("max_unpool1d", 1, x, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    x: Any,
    indices: Any,
    kernel_size: _Sides,
    stride: _Sides | None = None,
    padding: _Sides = 0,
    output_size: Any = None,
) -> Any:
    """:func:`max_unpool2d` of volumes [N, C, D, H, W] or [C, D, H, W]."""
    return _max_unpool("max_unpool3d", 3, x, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    op: str,
    spatial: int,
    x: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Any:
    shape = _planes(op, x, spatial)
    kernel, strides, pads = _windows(op, spatial, kernel_size, stride, padding)
    places = as_index(indices, op, "indices")
    if places.shape != shape:
        raise ShapeError(f"{op}: indices has shape {places.shape}, expected {shape} as x has")
    out = tuple(
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(shape[-spatial:], strides, pads, kernel, strict=True)
    )
    if output_size is not None:
        given = tuple(integer(op, "output_size", n) for n in output_size)
        wanted = given[-spatial:]
        fits = len(given) in (spatial, spatial + 1, spatial + 2) and len(wanted) == spatial
        if not fits or not all(abs(n - m) < s for n, m, s in zip(wanted, out, strides, strict=True)):
            raise ArgumentError(
                f"{op}: output_size is {given}, expected {spatial} sizes that differ from {out} by less than"
                f" the stride, {strides}"
            )
        out = wanted
    pixels = math.prod(out)
    if min(out) < 1 and output_size is None:
        raise ShapeError(
            f"{op}: x has shape {shape}, from which no size of the output follows, expected output_size: "
            "that of what was pooled"
        )
    if min(out) < 1 or pixels >= 1 << 31:
        raise ShapeError(f"{op}: the output would have planes of {out} pixels, expected 1 to 2**31 - 1")
    if places.size:
        low, high = int(places.min()), int(places.max())
        if low < -1 or high >= pixels:
            raise IndexRangeError(
                f"{op}: indices has the number {low if low < -1 else high}, expected 0 to {pixels - 1},"
                f" the pixels of an output of {out}, or -1 for none"
            )
    lead = _flattened(shape, spatial)
    y = _pool.scatter(
        _seen(x, (*lead, math.prod(shape[-spatial:]))),
        places.astype("int32").reshape((lead[0] * lead[1], -1) if places.size else (0, 0)),
        (*lead, pixels),
        add=False,
    )
    return reshape(y, (*shape[:-spatial], *out))
