"""2-D pooling over [N, C, H, W]: maximum, average, adaptive average.

Output (p, q) looks at rows from p * stride_h - pad_h on, and columns alike. Output sizes are taken
from the arrays, so that with ceil_mode the last window may reach past the padding; it is cut there.
Each of the N * C planes is one index of the parallel loop: a gradient adds to places of its own
plane only, in a fixed order.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, optional_write, read, require, write
from ._compile import Array, In2, In4, Int, Int32In2, Loop, Out2, Out4, Places4, PlacesOut4, inline
from ._kernels import kernel
from ._threads import parallel_for

_COST = 1.5  # ns per element of a window


@Loop
def _max_pool2d_forward(
    start: Int,
    stop: Int,
    out: Out4,
    indices: PlacesOut4,
    x: In4,
    kernel_h: Int,
    kernel_w: Int,
    stride_h: Int,
    stride_w: Int,
    pad_h: Int,
    pad_w: Int,
    dilation_h: Int,
    dilation_w: Int,
) -> None:
    channels, height, width = x.shape[1:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        for p in range(out.shape[2]):
            for q in range(out.shape[3]):
                largest = -math.inf
                place = -1
                for r in range(kernel_h):
                    h = p * stride_h - pad_h + r * dilation_h
                    if h < 0 or h >= height:
                        continue
                    for s in range(kernel_w):
                        w = q * stride_w - pad_w + s * dilation_w
                        if w < 0 or w >= width:
                            continue
                        value = x[n, c, h, w]
                        if place < 0 or value > largest or math.isnan(value):
                            largest = value
                            place = h * width + w
                out[n, c, p, q] = largest
                if indices.size > 0:
                    indices[n, c, p, q] = place


@Loop
def _max_pool2d_backward(start: Int, stop: Int, gx: Out4, gy: In4, indices: Places4) -> None:
    channels, height, width = gx.shape[1:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        gx[n, c] = 0
        for p in range(gy.shape[2]):
            for q in range(gy.shape[3]):
                place = indices[n, c, p, q]
                if 0 <= place < height * width:
                    gx[n, c, place // width, place % width] += gy[n, c, p, q]


@inline
def _window(index: int, kernel: int, stride: int, pad: int, size: int) -> tuple[int, int, int]:
    """First and past-the-last row of a window within x, and its number of rows with padding."""
    first = index * stride - pad
    last = min(first + kernel, size + pad)
    return max(first, 0), min(last, size), last - first


@Loop
def _avg_pool2d_forward(
    start: Int,
    stop: Int,
    out: Out4,
    x: In4,
    kernel_h: Int,
    kernel_w: Int,
    stride_h: Int,
    stride_w: Int,
    pad_h: Int,
    pad_w: Int,
    count_include_pad: Int,
) -> None:
    channels, height, width = x.shape[1:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        for p in range(out.shape[2]):
            h0, h1, padded_h = _window(p, kernel_h, stride_h, pad_h, height)
            for q in range(out.shape[3]):
                w0, w1, padded_w = _window(q, kernel_w, stride_w, pad_w, width)
                if h0 >= h1 or w0 >= w1:
                    out[n, c, p, q] = 0
                    continue
                total = 0.0
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        total += x[n, c, h, w]
                area = padded_h * padded_w if count_include_pad else (h1 - h0) * (w1 - w0)
                out[n, c, p, q] = total / area


@Loop
def _avg_pool2d_backward(
    start: Int,
    stop: Int,
    gx: Out4,
    gy: In4,
    kernel_h: Int,
    kernel_w: Int,
    stride_h: Int,
    stride_w: Int,
    pad_h: Int,
    pad_w: Int,
    count_include_pad: Int,
) -> None:
    channels, height, width = gx.shape[1:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        gx[n, c] = 0
        for p in range(gy.shape[2]):
            h0, h1, padded_h = _window(p, kernel_h, stride_h, pad_h, height)
            for q in range(gy.shape[3]):
                w0, w1, padded_w = _window(q, kernel_w, stride_w, pad_w, width)
                area = padded_h * padded_w if count_include_pad else (h1 - h0) * (w1 - w0)
                share = gy[n, c, p, q] / area
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        gx[n, c, h, w] += share


@inline
def _adaptive_window(index: int, windows: int, size: int) -> tuple[int, int]:
    """Windows that cover [0, size) as evenly as whole numbers allow; they may overlap by one."""
    return index * size // windows, -(-((index + 1) * size) // windows)


@Loop
def _adaptive_avg_pool2d_forward(start: Int, stop: Int, out: Out4, x: In4) -> None:
    channels, height, width = x.shape[1:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        for p in range(out.shape[2]):
            h0, h1 = _adaptive_window(p, out.shape[2], height)
            for q in range(out.shape[3]):
                w0, w1 = _adaptive_window(q, out.shape[3], width)
                total = 0.0
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        total += x[n, c, h, w]
                out[n, c, p, q] = total / ((h1 - h0) * (w1 - w0))


@Loop
def _adaptive_avg_pool2d_backward(start: Int, stop: Int, gx: Out4, gy: In4) -> None:
    channels, height, width = gx.shape[1:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        gx[n, c] = 0
        for p in range(gy.shape[2]):
            h0, h1 = _adaptive_window(p, gy.shape[2], height)
            for q in range(gy.shape[3]):
                w0, w1 = _adaptive_window(q, gy.shape[3], width)
                share = gy[n, c, p, q] / ((h1 - h0) * (w1 - w0))
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        gx[n, c, h, w] += share


def _check_shapes(large: Array, small: Array) -> None:
    """Refuse arrays that are not those of a pooling: x or gx, and out or gy."""
    require(large.ndim == 4 and small.ndim == 4, "pooling takes arrays [N, C, H, W]")
    require(large.shape[:2] == small.shape[:2], "N and C must match")


def _check_window(
    large: Array, small: Array, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> None:  # fmt: skip
    require(min(*kernel, *stride, *dilation) > 0, "kernel, stride and dilation must be positive")
    require(min(pad) >= 0, "padding must not be negative")
    require(
        all(
            (windows - 1) * s < size + p
            for windows, size, s, p in zip(small.shape[2:], large.shape[2:], stride, pad, strict=True)
        ),
        "the output has windows beyond the input",
    )


def _each_plane(loop: Loop, window: int, x: Array, y: Array, *arguments: object) -> None:
    """Call the loop for the planes of x, pooled to those of y by windows of `window` elements."""
    planes = x.shape[0] * x.shape[1]
    if planes == 0:
        return
    cost = _COST * (x.size + y.size * window) / planes + 1
    parallel_for(planes, cost, lambda start, stop: loop(start, stop, *arguments))


@kernel
def max_pool2d_forward(
    out: Array,
    indices: Array | None,
    x: Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
) -> None:
    """out = maximum of each window; indices = its place h * W + w in the plane.

    The first of equals wins; NaN counts as the largest, and of several the last wins. A window that holds
    nothing but padding gives minus infinity and -1.
    """
    _check_shapes(x, out)
    _check_window(
        x, out, (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    )
    require(indices is None or indices.size == out.size, "indices must have the shape of the pooled array")
    indices = optional_write("indices", indices, np.int32, *out.shape)
    out = write("out", out, floats(out), *out.shape)
    x = read("x", x, out.dtype, *x.shape)
    sizes = (kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    _each_plane(_max_pool2d_forward, kernel_h * kernel_w, x, out, out, indices, x, *sizes)


@kernel
def max_pool2d_backward(
    gx: Array,
    gy: Array,
    indices: Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
) -> None:
    """gx = sum of gy over the windows whose maximum a pixel is; indices say which."""
    _check_shapes(gx, gy)
    _check_window(
        gx, gy, (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    )
    require(indices.size == gy.size, "indices must have the shape of the pooled array")
    indices = read("indices", indices, np.int32, *gy.shape)
    gx = write("gx", gx, floats(gx), *gx.shape)
    gy = read("gy", gy, gx.dtype, *gy.shape)
    _each_plane(_max_pool2d_backward, 1, gx, gy, gx, gy, indices)


@kernel
def avg_pool2d_forward(
    out: Array,
    x: Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    count_include_pad: bool,
) -> None:
    """Mean of each window: of its pixels, or of pixels and padding if count_include_pad."""
    _check_shapes(x, out)
    _check_window(x, out, (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w))
    out = write("out", out, floats(out), *out.shape)
    x = read("x", x, out.dtype, *x.shape)
    sizes = (kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, int(count_include_pad))
    _each_plane(_avg_pool2d_forward, kernel_h * kernel_w, x, out, out, x, *sizes)


@kernel
def avg_pool2d_backward(
    gx: Array,
    gy: Array,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    count_include_pad: bool,
) -> None:
    """gx = gy divided by what the mean was divided by, summed over the windows of a pixel."""
    _check_shapes(gx, gy)
    _check_window(gx, gy, (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w))
    gx = write("gx", gx, floats(gx), *gx.shape)
    gy = read("gy", gy, gx.dtype, *gy.shape)
    sizes = (kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, int(count_include_pad))
    _each_plane(_avg_pool2d_backward, kernel_h * kernel_w, gx, gy, gx, gy, *sizes)


@kernel
def adaptive_avg_pool2d_forward(out: Array, x: Array) -> None:
    """Means of out.shape[2] x out.shape[3] windows that cover each plane."""
    _check_shapes(x, out)
    out = write("out", out, floats(out), *out.shape)
    x = read("x", x, out.dtype, *x.shape)
    _each_plane(_adaptive_avg_pool2d_forward, 1, x, out, out, x)


@kernel
def adaptive_avg_pool2d_backward(gx: Array, gy: Array) -> None:
    """gx = each window's gy divided by its size, summed over the windows of a pixel."""
    _check_shapes(gx, gy)
    gx = write("gx", gx, floats(gx), *gx.shape)
    gy = read("gy", gy, gx.dtype, *gy.shape)
    _each_plane(_adaptive_avg_pool2d_backward, 1, gx, gy, gx, gy)


# Windows told one by one, and places of maxima.


@Loop
def _window_max(
    start: Int, stop: Int, out: Out4, indices: PlacesOut4, x: In4, begin: Int32In2, end: Int32In2
) -> None:
    depth, height, width = x.shape[1:]
    out_d, out_h, out_w = out.shape[1:]
    for plane in range(start, stop):
        row = plane if begin.shape[0] > 1 else 0
        for o in range(out_d):
            d0, d1 = max(begin[row, o], 0), min(end[row, o], depth)
            for p in range(out_h):
                h0, h1 = max(begin[row, out_d + p], 0), min(end[row, out_d + p], height)
                for q in range(out_w):
                    i = out_d + out_h + q
                    w0, w1 = max(begin[row, i], 0), min(end[row, i], width)
                    largest = -math.inf
                    place = -1
                    for d in range(d0, d1):
                        for h in range(h0, h1):
                            for w in range(w0, w1):
                                value = x[plane, d, h, w]
                                if place < 0 or value > largest or math.isnan(value):
                                    largest = value
                                    place = (d * height + h) * width + w
                    out[plane, o, p, q] = largest
                    if indices.size > 0:
                        indices[plane, o, p, q] = place


@kernel
def window_max(out: Array, indices: Array | None, x: Array, begin: Array, end: Array) -> None:
    """Maxima over boxes whose ranges begin and end give, [planes or 1, OD + OH + OW] each."""
    require(
        out.ndim == x.ndim == 4 and len(out) == len(x), "pooling takes arrays [planes, depth, height, width]"
    )
    require(
        begin.ndim == end.ndim == 2
        and begin.shape == end.shape
        and begin.shape[1] == sum(out.shape[1:])
        and len(begin) in (1, len(out)),
        "begin and end must have a range for each slice, row and column of the output",
    )
    require(indices is None or indices.size == out.size, "indices must have the shape of the pooled array")
    out = write("out", out, floats(out), *out.shape)
    x = read("x", x, out.dtype, *x.shape)
    begin, end = (read(n, a, np.int32, *begin.shape) for n, a in (("begin", begin), ("end", end)))
    places = optional_write("indices", indices, np.int32, *out.shape)
    parallel_for(
        len(out),
        _COST * math.prod(x.shape[1:]) + 1,
        lambda start, stop: _window_max(start, stop, out, places, x, begin, end),
    )


@Loop
def _gather(start: Int, stop: Int, out: Out2, x: In2, indices: Int32In2) -> None:
    for p in range(start, stop):
        for i in range(out.shape[1]):
            at = indices[p, i]
            out[p, i] = x[p, at] if 0 <= at < x.shape[1] else 0


@Loop
def _scatter(start: Int, stop: Int, out: Out2, x: In2, indices: Int32In2, add: Int) -> None:
    for p in range(start, stop):
        out[p] = 0
        for i in range(x.shape[1]):
            at = indices[p, i]
            if 0 <= at < out.shape[1]:
                out[p, at] = out[p, at] + x[p, i] if add else x[p, i]


def _check_places(small: Array, large: Array, indices: Array) -> None:
    require(small.ndim == large.ndim == 2 and len(small) == len(large), "planes must match")
    require(large.shape[1] < 1 << 31, "planes must have less than 2^31 elements")
    require(indices.size == small.size, "indices must have the shape of the pooled array")


@kernel
def pool_gather(out: Array, x: Array, indices: Array) -> None:
    """out[p, i] = x[p, indices[p, i]], 0 for an index outside."""
    _check_places(out, x, indices)
    out = write("out", out, floats(out), *out.shape)
    x, at = read("x", x, out.dtype, *x.shape), read("indices", indices, np.int32, *out.shape)
    parallel_for(len(out), out.shape[1] + 1.0, lambda start, stop: _gather(start, stop, out, x, at))


@kernel
def pool_scatter(out: Array, x: Array, indices: Array, add: bool) -> None:
    """Zeros, then x[p, i] put, or added, to out[p, indices[p, i]]."""
    _check_places(x, out, indices)
    out = write("out", out, floats(out), *out.shape)
    x, at = read("x", x, out.dtype, *x.shape), read("indices", indices, np.int32, *x.shape)
    cost = float(out.shape[1] + x.shape[1])
    parallel_for(len(out), cost + 1, lambda start, stop: _scatter(start, stop, out, x, at, int(add)))
