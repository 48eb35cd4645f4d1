"""Resampling by tables of taps, and sampling at points.

A table is [taps, outputs]: the pixels that an output sees, -1 for none, and their weights. Rows are
summed first, then columns. A point's taps are the products of those along each direction; they are
found anew for each channel block, which is simpler than keeping them.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, optional_write, read, require, write
from ._compile import Array, In2, In3, In5, Int, Int32In2, Loop, Out3, Out5, inline
from ._kernels import kernel
from ._threads import parallel_for

_COST = 1.0  # ns per tap


@Loop
def _resample(
    start: Int,
    stop: Int,
    out: Out3,
    x: In3,
    rows: Int32In2,
    row_weights: In2,
    columns: Int32In2,
    column_weights: In2,
) -> None:
    width, out_height, out_width = x.shape[2], out.shape[1], out.shape[2]
    row = np.empty(width, x.dtype)
    for r in range(start, stop):
        p, i = r // out_height, r % out_height
        if rows.shape[1] > 0:
            row[:] = 0
            for s in range(rows.shape[0]):
                at = rows[s, i]
                if at >= 0:
                    weight = row_weights[s, i]
                    for j in range(width):
                        row[j] += weight * x[p, at, j]
        else:
            row[:] = x[p, i]
        if columns.shape[1] > 0:
            for j in range(out_width):
                total = row_weights.dtype.type(0)
                for t in range(columns.shape[0]):
                    at = columns[t, j]
                    if at >= 0:
                        total += column_weights[t, j] * row[at]
                out[p, i, j] = total
        else:
            out[p, i] = row


def _table(
    index: Array | None, weights: Array | None, name: str, size: int, out_size: int, dtype: np.dtype
) -> tuple[Array, Array]:
    require((index is None) == (weights is None), "a table needs indices and weights")
    if index is None or weights is None:
        require(size == out_size, "without a table the size stays")
        return np.empty((0, 0), np.int32), np.empty((0, 0), dtype)
    require(
        index.ndim == weights.ndim == 2
        and len(index) == len(weights)
        and index.shape[1] == weights.shape[1] == out_size,
        "tables must be [taps, outputs]",
    )
    index = read("table", index, np.int32, *index.shape)
    require(index.size == 0 or (index.min() >= -1 and index.max() < size), "a tap lies outside the image")
    return index, read(name, weights, dtype, *weights.shape)


@kernel
def resample(
    out: Array,
    x: Array,
    rows: Array | None,
    row_weights: Array | None,
    columns: Array | None,
    column_weights: Array | None,
) -> None:
    """out [planes, OH, OW] from x [planes, H, W], by the taps of each output row and column."""
    require(out.ndim == x.ndim == 3 and len(out) == len(x), "resampling takes arrays [planes, height, width]")
    dtype = floats(out)
    down = _table(rows, row_weights, "row_weights", x.shape[1], out.shape[1], dtype)
    across = _table(columns, column_weights, "column_weights", x.shape[2], out.shape[2], dtype)
    out = write("out", out, dtype, *out.shape)
    x = read("x", x, dtype, *x.shape)
    if out.size == 0:
        return
    cost = _COST * (x.shape[2] * max(len(down[0]), 1) + out.shape[2] * max(len(across[0]), 1))
    parallel_for(
        out.shape[0] * out.shape[1],
        cost,
        lambda start, stop: _resample(start, stop, out, x, *down, *across),
    )


# --- at points ----------------------------------------------------------------------------------


@inline
def _clipped(at: float, slope: float, size: int) -> tuple[float, float]:
    if not at > 0:
        return 0.0, 0.0
    if at >= size - 1:
        return size - 1.0, 0.0
    return at, slope


@inline
def _padded(at: float, slope: float, size: int, padding: int, align: int) -> tuple[float, float]:
    """A position in pixels after clipping or mirroring, and its slope."""
    if padding == 0:
        return at, slope
    if padding == 2:
        low = 0.0 if align else -0.5
        span = size - 1.0 if align else size + 0.0
        if not span > 0:
            return 0.0, 0.0
        distance = at - low
        if distance < 0:
            distance, slope = -distance, -slope
        extra = distance % span
        if math.floor(distance / span) % 2.0 != 0:
            at, slope = span - extra + low, -slope
        else:
            at = extra + low
    return _clipped(at, slope, size)


@inline
def _pixel(at: float, size: int) -> int:
    return int(at) if 0 <= at < size else -1


@inline
def _line(
    coordinate: float, size: int, mode: int, padding: int, align: int, places: Array, weights: Array
) -> int:
    """Taps along one direction: places (-1 outside), weights and their slopes; how many there are."""
    if align:
        slope = (size - 1) / 2
        at = (coordinate + 1) * slope
    else:
        slope = size / 2
        at = ((coordinate + 1) * size - 1) / 2
    if not abs(at) < 1e9:
        if math.isnan(at) or padding == 0:
            return 0
        at = -1e9 if at < 0 else 1e9
    if mode == 2:
        first = math.floor(at)
        t = at - first
        a = -0.75
        for i in range(4):
            d = t + 1 - i if i < 2 else i - 1 - t
            sign = slope if i < 2 else -slope
            if 0 < i < 3:
                weights[0, i] = ((a + 2) * d - (a + 3)) * d * d + 1
                weights[1, i] = sign * (3 * (a + 2) * d - 2 * (a + 3)) * d
            else:
                weights[0, i] = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
                weights[1, i] = sign * ((3 * a * d - 10 * a) * d + 8 * a)
            places[i] = _pixel(_padded(first - 1.0 + i, 1.0, size, padding, align)[0], size)
        return 4
    at, slope = _padded(at, slope, size, padding, align)
    if mode == 1:
        nearest = math.floor(at)
        rest = at - nearest
        if rest > 0.5 or (rest == 0.5 and nearest % 2.0 != 0):
            nearest += 1
        places[0], weights[0, 0], weights[1, 0] = _pixel(nearest, size), 1.0, 0.0
        return 1
    first = math.floor(at)
    places[0], places[1] = _pixel(first, size), _pixel(first + 1, size)
    weights[0, 0], weights[0, 1] = first + 1 - at, at - first
    weights[1, 0], weights[1, 1] = -slope, slope
    return 2


@inline
def _taps(
    point: Array,
    depth: int,
    height: int,
    width: int,
    mode: int,
    padding: int,
    align: int,
    places: Array,
    weights: Array,
    lines: Array,
    line_weights: Array,
) -> int:
    """A point's taps that lie inside: places, weights, and slopes along width, height and depth."""
    nx = _line(point[0], width, mode, padding, align, lines[0], line_weights[0])
    ny = _line(point[1], height, mode, padding, align, lines[1], line_weights[1])
    if point.shape[0] == 3:
        nz = _line(point[2], depth, mode, padding, align, lines[2], line_weights[2])
    else:
        nz = 1
        lines[2, 0], line_weights[2, 0, 0], line_weights[2, 1, 0] = 0, 1.0, 0.0
    count = 0
    for i in range(nz):
        for j in range(ny):
            for c in range(nx):
                z, y, x = lines[2, i], lines[1, j], lines[0, c]
                if z < 0 or y < 0 or x < 0:
                    continue
                places[count] = (z * height + y) * width + x
                wz, wy, wx = line_weights[2, 0, i], line_weights[1, 0, j], line_weights[0, 0, c]
                weights[0, count] = wz * wy * wx
                weights[1, count] = wz * wy * line_weights[0, 1, c]
                weights[2, count] = wz * line_weights[1, 1, j] * wx
                weights[3, count] = line_weights[2, 1, i] * wy * wx
                count += 1
    return count


@Loop
def _sample(start: Int, stop: Int, out: Out5, x: In5, grid: In5, mode: Int, padding: Int, align: Int) -> None:
    depth, height, width = x.shape[2:]
    places, lines = np.empty(16, np.int64), np.empty((3, 4), np.int64)
    weights, line_weights = np.empty((4, 16)), np.empty((3, 2, 4))
    rows, columns = out.shape[3], out.shape[4]
    for row in range(start, stop):
        n, o, p = row // (out.shape[2] * rows), row // rows % out.shape[2], row % rows
        for q in range(columns):
            count = _taps(
                grid[n, o, p, q],
                depth,
                height,
                width,
                mode,
                padding,
                align,
                places,
                weights,
                lines,
                line_weights,
            )
            for c in range(x.shape[1]):
                plane = x[n, c].reshape(-1)
                total = 0.0
                for t in range(count):
                    total += weights[0, t] * plane[places[t]]
                out[n, c, o, p, q] = total


@Loop
def _sample_grid_grad(
    start: Int,
    stop: Int,
    ggrid: Out5,
    gy: In5,
    x: In5,
    grid: In5,
    mode: Int,
    padding: Int,
    align: Int,
) -> None:
    depth, height, width = x.shape[2:]
    places, lines = np.empty(16, np.int64), np.empty((3, 4), np.int64)
    weights, line_weights = np.empty((4, 16)), np.empty((3, 2, 4))
    rows, columns = gy.shape[3], gy.shape[4]
    for row in range(start, stop):
        n, o, p = row // (gy.shape[2] * rows), row // rows % gy.shape[2], row % rows
        for q in range(columns):
            count = _taps(
                grid[n, o, p, q],
                depth,
                height,
                width,
                mode,
                padding,
                align,
                places,
                weights,
                lines,
                line_weights,
            )
            for d in range(grid.shape[4]):
                total = 0.0
                for c in range(x.shape[1]):
                    plane = x[n, c].reshape(-1)
                    for t in range(count):
                        total += gy[n, c, o, p, q] * weights[1 + d, t] * plane[places[t]]
                ggrid[n, o, p, q, d] = total


@Loop
def _sample_input_grad(
    start: Int, stop: Int, gx: Out5, gy: In5, grid: In5, mode: Int, padding: Int, align: Int
) -> None:
    depth, height, width = gx.shape[2:]
    places, lines = np.empty(16, np.int64), np.empty((3, 4), np.int64)
    weights, line_weights = np.empty((4, 16)), np.empty((3, 2, 4))
    for n in range(start, stop):
        gx[n] = 0
        for o in range(gy.shape[2]):
            for p in range(gy.shape[3]):
                for q in range(gy.shape[4]):
                    point = grid[n, o, p, q]
                    count = _taps(
                        point,
                        depth,
                        height,
                        width,
                        mode,
                        padding,
                        align,
                        places,
                        weights,
                        lines,
                        line_weights,
                    )
                    for c in range(gx.shape[1]):
                        plane = gx[n, c].reshape(-1)
                        for t in range(count):
                            plane[places[t]] += weights[0, t] * gy[n, c, o, p, q]


def _check_grid(x: Array, out: Array, grid: Array, mode: int, padding: int) -> None:
    require(x.ndim == out.ndim == grid.ndim == 5, "grid sampling takes 5-d arrays")
    dims = grid.shape[4]
    require(dims == 3 or (dims == 2 and x.shape[2] == out.shape[2] == 1), "points have 2 or 3 coordinates")
    require(
        len(x) == len(out) == len(grid) and x.shape[1] == out.shape[1] and grid.shape[1:4] == out.shape[2:],
        "shapes of image, grid and output do not fit together",
    )
    require(0 <= mode <= 4 - dims and 0 <= padding <= 2, "unknown mode or padding")


@kernel
def grid_sample_forward(out: Array, x: Array, grid: Array, mode: int, padding: int, align: bool) -> None:
    """out [N, C, OD, OH, OW] from x [N, C, D, H, W] at the points of grid [N, OD, OH, OW, 2 or 3]."""
    _check_grid(x, out, grid, mode, padding)
    out = write("out", out, floats(out), *out.shape)
    x, grid = read("x", x, out.dtype, *x.shape), read("grid", grid, out.dtype, *grid.shape)
    parallel_for(
        len(out) * out.shape[2] * out.shape[3],
        20.0 * out.shape[4] * (x.shape[1] + 4),
        lambda start, stop: _sample(start, stop, out, x, grid, mode, padding, int(align)),
    )


@kernel
def grid_sample_backward(
    gx: Array | None,
    ggrid: Array | None,
    gy: Array,
    x: Array,
    grid: Array,
    mode: int,
    padding: int,
    align: bool,
) -> None:
    """Gradients of the image and of the points, those that are wanted."""
    _check_grid(x, gy, grid, mode, padding)
    require(gx is None or gx.size == x.size, "gx must have the shape of x")
    require(ggrid is None or ggrid.size == grid.size, "ggrid must have the shape of grid")
    dtype = floats(gy)
    into, onto = optional_write("gx", gx, dtype, *x.shape), optional_write("ggrid", ggrid, dtype, *grid.shape)
    gy, x, grid = (read(n, a, dtype, *a.shape) for n, a in (("gy", gy), ("x", x), ("grid", grid)))
    options = (mode, padding, int(align))
    cost = 20.0 * gy.shape[4] * (x.shape[1] + 4)
    if ggrid is not None and onto.size:
        parallel_for(
            len(gy) * gy.shape[2] * gy.shape[3],
            cost,
            lambda start, stop: _sample_grid_grad(start, stop, onto, gy, x, grid, *options),
        )
    if gx is not None and into.size:
        parallel_for(
            len(gy),
            cost * gy.shape[2] * gy.shape[3],
            lambda start, stop: _sample_input_grad(start, stop, into, gy, grid, *options),
        )
