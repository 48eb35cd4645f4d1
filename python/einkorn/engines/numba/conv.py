"""2-D convolution as matrix products: images are unfolded into columns.

    x [N, C, H, W]  ->  columns [N, C, R, S, P, Q]: what weight (r, s) meets at output (p, q)

    forward          y [n, g]  = w [g] columns [n, g]           w [g]: K/G x (C/G R S)
    input gradient   columns   = w [g]^T gy [n, g]              columns [n, g]: (C/G R S) x (P Q)
                     then every pixel of gx sums the places that it was copied to ("fold")
    weight gradient  gw [g]    = gy [:, g] columns [:, g]^T     images side by side

A 1 x 1 convolution of stride 1 without padding needs no unfolding. Images are taken a few at a
time, so that the columns stay within _BUDGET; how many depends on the sizes alone. Unfolding and
folding run in parallel over the planes (n, c): no two write to one place.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, read, require, strided, strided_out, write
from ._compile import AnyIn8, AnyOut8, Array, In5, Int, Loop, Out5, inline
from ._kernels import kernel
from ._threads import parallel_for
from .copy import fill
from .elementwise import add
from .matmul import finish, multiply_matrices
from .reduce import reduce_sum

_COST = 0.3  # ns per element of the columns
_BUDGET = 1 << 21  # elements of the columns held at a time


@inline
def _inside(size: int, outputs: int, stride: int, offset: int) -> tuple[int, int]:
    """The range of outputs q in [0, outputs) for which 0 <= q * stride + offset < size."""
    first = max(0, (stride - 1 - offset) // stride)
    last = min(outputs, (size - 1 - offset) // stride + 1)
    return min(first, outputs), max(last, min(first, outputs))


@Loop
def _unfold(
    start: Int,
    stop: Int,
    columns: AnyOut8,
    x: In5,
    stride_d: Int,
    stride_h: Int,
    stride_w: Int,
    pad_d: Int,
    pad_h: Int,
    pad_w: Int,
    dilation_d: Int,
    dilation_h: Int,
    dilation_w: Int,
) -> None:
    channels, depth, height, width = x.shape[1:]
    kernel_d, kernel_h, kernel_w, out_d, out_h, out_w = columns.shape[2:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        for t in range(kernel_d):
            for r in range(kernel_h):
                for s in range(kernel_w):
                    offset = s * dilation_w - pad_w
                    first, last = _inside(width, out_w, stride_w, offset)
                    for o in range(out_d):
                        d = o * stride_d + t * dilation_d - pad_d
                        for p in range(out_h):
                            column = columns[n, c, t, r, s, o, p]
                            h = p * stride_h + r * dilation_h - pad_h
                            if d < 0 or d >= depth or h < 0 or h >= height:
                                column[:] = 0
                                continue
                            column[:first] = 0
                            column[last:] = 0
                            row = x[n, c, d, h, first * stride_w + offset :]
                            inside = column[first:last]
                            if stride_w == 1:
                                for q in range(inside.shape[0]):
                                    inside[q] = row[q]
                            else:
                                for q in range(inside.shape[0]):
                                    inside[q] = row[q * stride_w]


@Loop
def _fold(
    start: Int,
    stop: Int,
    gx: Out5,
    columns: AnyIn8,
    stride_d: Int,
    stride_h: Int,
    stride_w: Int,
    pad_d: Int,
    pad_h: Int,
    pad_w: Int,
    dilation_d: Int,
    dilation_h: Int,
    dilation_w: Int,
) -> None:
    channels, depth, height, width = gx.shape[1:]
    kernel_d, kernel_h, kernel_w, out_d, out_h, out_w = columns.shape[2:]
    for plane in range(start, stop):
        n, c = plane // channels, plane % channels
        gx[n, c] = 0
        for t in range(kernel_d):
            for r in range(kernel_h):
                for s in range(kernel_w):
                    offset = s * dilation_w - pad_w
                    first, last = _inside(width, out_w, stride_w, offset)
                    for o in range(out_d):
                        d = o * stride_d + t * dilation_d - pad_d
                        for p in range(out_h):
                            h = p * stride_h + r * dilation_h - pad_h
                            if d < 0 or d >= depth or h < 0 or h >= height:
                                continue
                            row = gx[n, c, d, h, first * stride_w + offset :]
                            inside = columns[n, c, t, r, s, o, p, first:last]
                            if stride_w == 1:
                                for q in range(inside.shape[0]):
                                    row[q] += inside[q]
                            else:
                                for q in range(inside.shape[0]):
                                    row[q * stride_w] += inside[q]


Windows = tuple[int, int, int, int, int, int]  # stride, padding, dilation: height, width of each


class _Plan:
    """Shapes of one call, and room for the columns of a few images, used again and again."""

    def __init__(self, x: Array, w: Array, y: Array, windows: Windows, groups: int) -> None:
        stride, pad, dilation = windows[:2], windows[2:4], windows[4:]
        self.windows = (1, *stride, 0, *pad, 1, *dilation)  # of a volume one deep
        self.groups = groups
        self.depth = math.prod(w.shape[1:])  # C/G R S
        self.outputs = y.shape[2] * y.shape[3]
        plain = w.shape[2:] == (1, 1) and windows[:4] == (1, 1, 0, 0)
        self.columns_are_x = plain and x.shape[2:] == y.shape[2:]
        window_shape = (x.shape[1], *w.shape[2:], *y.shape[2:])
        self.plane_cost = _COST * math.prod(window_shape[1:]) + 1
        self.step = max(1, min(len(x), _BUDGET // max(math.prod(window_shape), 1)))
        kept = 0 if self.columns_are_x else self.step
        window_shape = (x.shape[1], 1, *w.shape[2:], 1, *y.shape[2:])
        self.columns = np.empty((kept, *window_shape), x.dtype)

    def as_matrices(self, columns: Array) -> Array:
        """Columns or, for a 1 x 1 convolution, images as matrices [n, g]."""
        return columns.reshape(len(columns), self.groups, self.depth, self.outputs)

    def unfold(self, x: Array) -> Array:
        """Columns of some images, as matrices [n, g]."""
        if self.columns_are_x:
            return self.as_matrices(x)
        columns = self.columns[: len(x)]
        parallel_for(
            x.shape[0] * x.shape[1],
            self.plane_cost,
            lambda start, stop: _unfold(start, stop, columns, x[:, :, None], *self.windows),
        )
        return self.as_matrices(columns)

    def fold(self, gx: Array, columns: Array) -> None:
        """Add the columns of some images up to the images."""
        parallel_for(
            gx.shape[0] * gx.shape[1],
            self.plane_cost,
            lambda start, stop: _fold(start, stop, gx[:, :, None], columns, *self.windows),
        )


_MOST = 1 << 30


def _check(
    image: Array, weight: Array, output: Array, bias: Array | None, name: str, windows: Windows, groups: int
) -> None:
    """Refuse arrays and options that do not fit together."""
    require(image.ndim == weight.ndim == output.ndim == 4, "convolution kernels take 4-d arrays")
    stride, pad, dilation = windows[:2], windows[2:4], windows[4:]
    channels, out_channels = image.shape[1], weight.shape[0]
    require(
        min(*stride, *dilation, groups) >= 1 and channels % groups == 0 and out_channels % groups == 0,
        "stride, dilation and groups must be positive, and groups divide both channel numbers",
    )
    reach = [n * s for n, s in zip(output.shape[2:], stride, strict=True)]
    reach += [n * d for n, d in zip(weight.shape[2:], dilation, strict=True)]
    require(
        all(0 <= n < _MOST for n in (*image.shape[2:], *reach, *pad)),
        "sizes, padding and dilation must be below 2^30",
    )
    require(
        output.shape[:2] == (len(image), out_channels) and weight.shape[1] == channels // groups,
        "shapes of image, weight and output do not fit together",
    )
    require(
        bias is None or bias.size == out_channels,
        f"{name} must have one element for each output channel",
    )


def _side_by_side(matrices: Array) -> Array:
    """The matrices [n, g] of images as one wide matrix [g], whose product sums over images."""
    n, groups, rows, columns = matrices.shape
    return matrices.transpose(1, 2, 0, 3).reshape(groups, rows, n * columns)


@kernel
def conv2d_forward(
    out: Array,
    x: Array,
    w: Array,
    bias: Array | None,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    activation: int,
) -> None:
    """out = act(x convolved with w, plus bias).

    x [N, C, H, W], w [K, C/groups, R, S], out [N, K, P, Q].
    """
    windows = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    _check(x, w, out, bias, "bias", windows, groups)
    out = write("out", out, floats(out), *out.shape)
    x, w = read("x", x, out.dtype, *x.shape), read("w", w, out.dtype, *w.shape)
    bias = None if bias is None else read("bias", bias, out.dtype, len(w))
    if out.size == 0:
        return
    plan = _Plan(x, w, out, windows, groups)
    weights = w.reshape(groups, w.shape[0] // groups, plan.depth)
    products = out.reshape(len(out), groups, w.shape[0] // groups, plan.outputs)
    for n in range(0, len(x), plan.step):
        part = slice(n, n + plan.step)
        multiply_matrices(products[part], weights, plan.unfold(x[part]))
    planes = out.reshape(*out.shape[:2], plan.outputs)
    bias3 = None if bias is None else np.broadcast_to(bias[:, None], planes.shape)
    finish(planes, planes, bias3, activation)


@kernel
def conv2d_input_grad(
    gx: Array,
    gy: Array,
    w: Array,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
) -> None:
    """All of gx from gy, the gradient before the activation."""
    windows = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    _check(gx, w, gy, None, "", windows, groups)
    gx = write("gx", gx, floats(gx), *gx.shape)
    gy, w = read("gy", gy, gx.dtype, *gy.shape), read("w", w, gx.dtype, *w.shape)
    _convolve_back(gx, gy, w, windows, groups)


def _convolve_back(gx: Array, gy: Array, w: Array, windows: Windows, groups: int) -> None:
    if gx.size == 0:
        return
    if gy.size == 0:
        fill(gx, 0.0)
        return
    plan = _Plan(gx, w, gy, windows, groups)
    weights = w.reshape(groups, w.shape[0] // groups, plan.depth).transpose(0, 2, 1)
    gradients = gy.reshape(len(gy), groups, w.shape[0] // groups, plan.outputs)
    for n in range(0, len(gx), plan.step):
        part = slice(n, n + plan.step)
        columns = gx[part] if plan.columns_are_x else plan.columns[: len(gx[part])]
        multiply_matrices(plan.as_matrices(columns), weights, gradients[part])
        if not plan.columns_are_x:
            plan.fold(gx[part], columns)


@kernel
def conv2d_transpose(
    out: Array,
    x: Array,
    w: Array,
    bias: Array | None,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    activation: int,
) -> None:
    """The input gradient as a layer: x in the place of gy, then bias and activation."""
    windows = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    _check(out, w, x, None, "", windows, groups)
    require(bias is None or bias.size == out.shape[1], "bias must have one element for each output channel")
    out = write("out", out, floats(out), *out.shape)
    x, w = read("x", x, out.dtype, *x.shape), read("w", w, out.dtype, *w.shape)
    bias = None if bias is None else read("bias", bias, out.dtype, out.shape[1])
    _convolve_back(out, x, w, windows, groups)
    planes = out.reshape(*out.shape[:2], -1) if out.size else np.empty((0, 0, 0), out.dtype)
    bias3 = None if bias is None or not out.size else np.broadcast_to(bias[:, None], planes.shape)
    finish(planes, planes, bias3, activation)


@kernel
def conv2d_weight_grad(
    gw: Array,
    gbias: Array | None,
    x: Array,
    gy: Array,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
) -> None:
    """gw, and gbias if it is given, from gy, the gradient before the activation."""
    windows = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    _check(x, gw, gy, gbias, "gbias", windows, groups)
    gw = write("gw", gw, floats(gw), *gw.shape)
    x, gy = read("x", x, gw.dtype, *x.shape), read("gy", gy, gw.dtype, *gy.shape)
    if gbias is not None:
        reduce_sum(write("gbias", gbias, gw.dtype, 1, len(gw), 1, 1), gy, 1.0)
    if gw.size == 0:
        return
    if gy.size == 0:
        fill(gw, 0.0)
        return
    plan = _Plan(x, gw, gy, windows, groups)
    gradients = gy.reshape(len(gy), groups, -1, plan.outputs)
    total = gw.reshape(groups, -1, plan.depth)
    for n in range(0, len(x), plan.step):
        part = slice(n, n + plan.step)
        columns = _side_by_side(plan.unfold(x[part])).transpose(0, 2, 1)
        product = total if n == 0 else np.empty_like(total)
        multiply_matrices(product, _side_by_side(gradients[part]), columns)
        if n > 0:
            add(total, total, product)


def _check_columns(columns: Array, x: Array, options: tuple[int, ...]) -> None:
    require(columns.ndim == 8 and x.ndim == 5, "unfolding takes 8-d columns and a 5-d image")
    require(columns.shape[:2] == x.shape[:2], "shapes of columns and image do not fit together")
    stride, pad, dilation = options[:3], options[3:6], options[6:]
    require(min(*stride, *dilation) >= 1, "stride and dilation must be positive")
    require(
        all(0 <= n < _MOST for n in (*x.shape[2:], *columns.shape[2:], *stride, *dilation, *pad)),
        "sizes, padding and dilation must be below 2^30",
    )
    require(
        columns.shape[7] <= 1 or columns.strides[7] == columns.itemsize,
        "argument 'columns' must have stride 1 along its rows",
    )


def _cost_of_plane(columns: Array) -> float:
    return _COST * math.prod(columns.shape[2:]) + 1


@kernel
def unfold(
    columns: Array,
    x: Array,
    stride_d: int,
    stride_h: int,
    stride_w: int,
    pad_d: int,
    pad_h: int,
    pad_w: int,
    dilation_d: int,
    dilation_h: int,
    dilation_w: int,
) -> None:
    """columns [N, C, kernel, out], three of each, from x [N, C, D, H, W]."""
    options = (stride_d, stride_h, stride_w, pad_d, pad_h, pad_w, dilation_d, dilation_h, dilation_w)
    _check_columns(columns, x, options)
    columns = strided_out("columns", columns, floats(columns))
    x = read("x", x, columns.dtype, *x.shape)
    parallel_for(
        x.shape[0] * x.shape[1],
        _cost_of_plane(columns),
        lambda start, stop: _unfold(start, stop, columns, x, *options),
    )


@kernel
def fold(
    x: Array,
    columns: Array,
    stride_d: int,
    stride_h: int,
    stride_w: int,
    pad_d: int,
    pad_h: int,
    pad_w: int,
    dilation_d: int,
    dilation_h: int,
    dilation_w: int,
) -> None:
    """All of x: each pixel the sum of the columns that :func:`unfold` copies it to."""
    options = (stride_d, stride_h, stride_w, pad_d, pad_h, pad_w, dilation_d, dilation_h, dilation_w)
    _check_columns(columns, x, options)
    x = write("x", x, floats(x), *x.shape)
    columns = strided("columns", columns, x.dtype)
    parallel_for(
        x.shape[0] * x.shape[1],
        _cost_of_plane(columns),
        lambda start, stop: _fold(start, stop, x, columns, *options),
    )
