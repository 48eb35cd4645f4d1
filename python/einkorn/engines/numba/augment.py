"""Augmentation: pictures seen from elsewhere, in other colours, blurred, with noise.

Bytes are made floats of before a loop and bytes after it, so that every loop is compiled once. A place's
taps are found for each pixel anew; what the numbers mean is in csrc/kernels/augment/augment.h.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from . import random
from ._checks import optional_read, read, require
from ._compile import Array, Float32In1, Float32In2, Int, Int32In2, Loop, Operand, Scalar, inline
from ._kernels import kernel
from ._threads import parallel_for

Pixels = Annotated[Array, Operand(4, element="float32")]
PixelsOut = Annotated[Array, Operand(4, writable=True, element="float32")]
Bytes = Annotated[Array, Operand(4, element="uint8")]
BytesOut = Annotated[Array, Operand(4, writable=True, element="uint8")]
Matrices = Annotated[Array, Operand(2, element="float64")]

_FAR = 2097152.0
_COST = 20.0  # ns a pixel
_MOST_PIXELS = 1 << 30
_F = np.float32


# --- pictures in and out -------------------------------------------------------------------------


@Loop
def _widen(start: Int, stop: Int, out: PixelsOut, x: Bytes) -> None:
    for n in range(start, stop):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    out[n, c, i, j] = _F(x[n, c, i, j])


@Loop
def _narrow(start: Int, stop: Int, out: BytesOut, x: Pixels) -> None:
    for n in range(start, stop):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    v = x[n, c, i, j]
                    out[n, c, i, j] = (
                        np.uint8(np.rint(min(max(v, _F(0)), _F(255)))) if v == v else np.uint8(0)
                    )


@Loop
def _scale(start: Int, stop: Int, out: PixelsOut, scale: Float32In1, shift: Float32In1) -> None:
    for n in range(start, stop):
        for c in range(out.shape[1]):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    out[n, c, i, j] = out[n, c, i, j] * scale[c] + shift[c]


def _is_picture(x: Array) -> bool:
    return x.dtype in (np.uint8, np.float32)


def _check(out: Array, x: Array, may_widen: bool, last: bool = False) -> None:
    require(out.ndim == 4 and x.ndim == 4, "pictures must be [images, channels, height, width]")
    channel = 3 if last else 1
    require(
        len(out) == len(x) and out.shape[channel] == x.shape[channel],
        "out and x must have as many images and channels",
    )
    widens = x.dtype == np.uint8 and out.dtype == np.float32
    if not (_is_picture(x) and _is_picture(out) and (x.dtype == out.dtype or (widens and may_widen))):
        raise TypeError("pictures must be uint8 or float32")
    for name, a in (("out", out), ("x", x)):
        require(a.flags.c_contiguous, f"argument '{name}' must be C-contiguous")
        require(a.size == 0 or math.prod(a.shape[1:]) < _MOST_PIXELS, "an image has too many pixels")
    require(out.flags.writeable, "argument 'out' is read-only")


def _floats(x: Array) -> Array:
    if x.dtype == np.float32:
        return x
    out = np.empty(x.shape, np.float32)
    parallel_for(len(x), _COST, lambda start, stop: _widen(start, stop, out, x))
    return out


def _finish(out: Array, floats: Array, scale: Array | None = None, shift: Array | None = None) -> None:
    """Scale what a loop computed, and bring it to ``out`` where that is another array."""
    if scale is not None:
        parallel_for(len(out), _COST, lambda start, stop: _scale(start, stop, floats, scale, shift))
    if out.dtype == np.uint8:
        parallel_for(len(out), _COST, lambda start, stop: _narrow(start, stop, out, floats))
    elif out is not floats:
        out[...] = floats


def _check_scale(
    scale: Array | None, shift: Array | None, channels: int
) -> tuple[Array | None, Array | None]:
    require((scale is None) == (shift is None), "scale and shift come together")
    require(scale is None or scale.size == channels, "scale must have an element for each channel")
    require(shift is None or shift.size == channels, "shift must have an element for each channel")
    if scale is None or shift is None:
        return None, None
    return read("scale", scale, np.float32, channels), read("shift", shift, np.float32, channels)


# --- warp ----------------------------------------------------------------------------------------


@inline
def _place(at: int, n: int, border: int) -> int:
    if 0 <= at < n:
        return at
    if border == 0:
        return -1
    if border == 1:
        return 0 if at < 0 else n - 1
    period = 2 * n if border == 2 else (2 * n - 2 if border == 3 else n)
    if period == 0:
        return 0
    r = at % period
    if r < n:
        return r
    return period - 1 - r if border == 2 else period - r


@inline
def _taps(
    at: float, scale: float, n: int, mode: int, border: int, taps: int, places: Array, weights: Array
) -> int:
    """Places (-1 outside) and weights along an axis; how many there are."""
    at = min(max(at, -_FAR), _FAR) if at == at else _FAR
    if taps > 0:
        reach = max(abs(scale), 1.0)
        first = max(math.floor(at - reach) + 1, 0)
        last = min(math.ceil(at + reach) - 1, n - 1, first + taps - 1)
        total = 0.0
        for t in range(first, last + 1):
            total += 1 - abs(t - at) / reach
        if not total > 0:
            places[0] = 0 if at < 0 else n - 1
            weights[0] = 1
            return 1
        for t in range(first, last + 1):
            places[t - first] = t
            weights[t - first] = (1 - abs(t - at) / reach) / total
        return last + 1 - first
    if mode == 1:
        places[0] = _place(int(np.rint(at)), n, border)
        weights[0] = 1
        return 1
    low = math.floor(at)
    places[0], places[1] = _place(low, n, border), _place(low + 1, n, border)
    weights[0], weights[1] = 1 - (at - low), at - low
    return 2


@Loop
def _warp(
    start: Int, stop: Int, out: PixelsOut, x: Pixels, matrix: Matrices, window: Int32In2, field: Pixels,
    fill: Float32In1, mode: Int, border: Int, taps: Int,
) -> None:  # fmt: skip
    most = max(taps, 2)
    columns, rows = np.empty(most, np.int64), np.empty(most, np.int64)
    across, down = np.empty(most, np.float64), np.empty(most, np.float64)
    for n in range(start, stop):
        m = matrix[n]
        left, top, right, bottom = 0, 0, x.shape[3], x.shape[2]
        if window.shape[0] > 0:
            left, top, right, bottom = window[n, 0], window[n, 1], window[n, 2], window[n, 3]
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                a = m[0] * j + m[1] * i + m[2]
                b = m[3] * j + m[4] * i + m[5]
                d = m[6] * j + m[7] * i + m[8]
                a, b = a / d, b / d
                if field.shape[0] > 0:
                    a += field[n, 0, i, j]
                    b += field[n, 1, i, j]
                width = _taps(a, m[0], right - left, mode, border, taps, columns, across)
                height = _taps(b, m[4], bottom - top, mode, border, taps, rows, down)
                for c in range(out.shape[1]):
                    total = 0.0
                    for s in range(height):
                        for t in range(width):
                            weight = down[s] * across[t]
                            if weight != 0:
                                if rows[s] < 0 or columns[t] < 0:
                                    total += weight * fill[c]
                                else:
                                    total += weight * x[n, c, top + rows[s], left + columns[t]]
                    out[n, c, i, j] = total


@kernel
def augment_warp(
    out: Array, x: Array, matrix: Array, window: Array | None, field: Array | None, fill: Array,
    scale: Array | None, shift: Array | None, mode: int, border: int, taps: int,
) -> None:  # fmt: skip
    """out [N, C, OH, OW] = x [N, C, H, W] at matrix (j, i, 1) + field."""
    _check(out, x, True)
    images, channels, height, width = x.shape
    require(out is not x, "out must not be x")
    require(matrix.size == images * 9, "matrix must have nine elements an image")
    require(window is None or window.size == images * 4, "window must have four elements an image")
    require(
        field is None or field.size == images * 2 * out.shape[2] * out.shape[3],
        "field must be [images, 2, height, width] as out",
    )
    require(fill.size == channels, "fill must have an element for each channel")
    scale, shift = _check_scale(scale, shift, channels)
    require(0 <= mode <= 1 and 0 <= border <= 4, "unknown mode or border")
    require(
        taps == 0 or (0 < taps <= 8192 and border == 1 and mode == 0 and field is None),
        "taps are for linear images whose edges go on",
    )
    require(out.size == 0 or (height > 0 and width > 0), "there is no image to read")
    matrix = read("matrix", matrix, np.float64, images, 9)
    window = np.empty((0, 4), np.int32) if window is None else read("window", window, np.int32, images, 4)
    field = optional_read("field", field, np.float32, images, 2, *out.shape[2:])
    fill = read("fill", fill, np.float32, channels)
    w = window.astype(np.int64)
    require(
        bool(((w[:, :2] >= 0) & (w[:, :2] < w[:, 2:]) & (w[:, 2:] <= (width, height))).all()),
        "a window leaves the image",
    )
    if out.size == 0:
        return
    source = _floats(x)
    made = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    parallel_for(
        images,
        _COST * (made.size / images),
        lambda start, stop: _warp(start, stop, made, source, matrix, window, field, fill, mode, border, taps),
    )
    _finish(out, made, scale, shift)


# --- color ---------------------------------------------------------------------------------------


@inline
def _kept(v: float, limit: float, whole: int) -> float:
    v = _F(0) if v < 0 else v
    v = limit if v > limit else v
    return _F(np.trunc(v)) if whole else v


@inline
def _grey(pixels: Array, p: int, whole: int) -> float:
    channels = pixels.shape[0]
    if channels == 3:
        g = pixels[0, p] * _F(0.2989) + pixels[1, p] * _F(0.587) + pixels[2, p] * _F(0.114)
    else:
        g = pixels[0, p]
        for c in range(1, channels):
            g += pixels[c, p]
        g /= _F(channels)
    return _F(np.trunc(g)) if whole else g


@inline
def _bin(v: float, limit: float, whole: int) -> int:
    v = min(max(v, _F(0)), limit) if v == v else _F(0)
    return int(v if whole else v * (_F(255.999) / limit))


@inline
def _turn_hue(pixels: Array, turn: float, limit: float, whole: int) -> None:
    unit = _F(1) / limit
    for p in range(pixels.shape[1]):
        r, g, b = pixels[0, p] * unit, pixels[1, p] * unit, pixels[2, p] * unit
        most, least = max(r, g, b), min(r, g, b)
        span = most - least
        per = _F(1) / (span if span != 0 else _F(1))
        if most == r:
            h = (g - b) * per
        elif most == g:
            h = (b - r) * per + _F(2)
        else:
            h = (r - g) * per + _F(4)
        h += _F(turn) * _F(6)
        h = h + _F(6) if h < 0 else h
        h = h - _F(6) if h >= 6 else h
        for c in range(3):
            at = h + _F(5 - 2 * c)
            at = at - _F(6) if at >= 6 else at
            share = max(min(at, _F(4) - at, _F(1)), _F(0))
            v = most - span * share
            if whole:
                pixels[c, p] = _kept(v * _F(255.999), limit, whole)
            else:
                pixels[c, p] = _kept(v, _F(1), 0) * limit


@inline
def _equalise(pixels: Array, c: int, limit: float, whole: int) -> None:
    counts = np.zeros(256, np.int64)
    for p in range(pixels.shape[1]):
        counts[_bin(pixels[c, p], limit, whole)] += 1
    last = 255
    while last > 0 and counts[last] == 0:
        last -= 1
    step = (pixels.shape[1] - counts[last]) // 255
    unit = _F(1) if whole else limit / _F(255)
    lut = np.empty(256, np.float32)
    before = step // 2
    for b in range(256):
        value = b if step == 0 else before // step
        lut[b] = _F(min(value, 255)) * unit
        before += counts[b]
    for p in range(pixels.shape[1]):
        pixels[c, p] = lut[_bin(pixels[c, p], limit, whole)]


@inline
def _step(pixels: Array, kind: int, v: float, limit: float, whole: int) -> None:
    channels, count = pixels.shape
    if kind == 2:
        total = 0.0
        for p in range(count):
            total += _grey(pixels, p, whole)
        mean = _F(total / count)
        for c in range(channels):
            for p in range(count):
                pixels[c, p] = _kept(pixels[c, p] * v + mean * (_F(1) - v), limit, whole)
    elif kind == 3 or kind == 10:
        if channels == 1:
            return
        for p in range(count):
            g = _grey(pixels, p, whole)
            for c in range(channels):
                if kind == 3:
                    pixels[c, p] = _kept(pixels[c, p] * v + g * (_F(1) - v), limit, whole)
                else:
                    pixels[c, p] = g
    elif kind == 4:
        if channels == 3:
            _turn_hue(pixels, v, limit, whole)
    elif kind == 11:
        low, high = pixels.min(), pixels.max()
        for c in range(channels):
            for p in range(count):
                pixels[c, p] = min(max(pixels[c, p] + v, low), high)
    else:
        for c in range(channels):
            low, unit = _F(0), _F(1)
            if kind == 8:
                low, high = pixels[c].min(), pixels[c].max()
                unit = (high - low) / limit if high > low else _F(1)
                low = low if high > low else _F(0)
            elif kind == 9:
                _equalise(pixels, c, limit, whole)
                continue
            elif kind == 12:
                total = 0.0
                for p in range(count):
                    total += pixels[c, p]
                low = _F(total / count)
            levels = _F(1 << int(v)) if kind == 5 else _F(1)
            if kind == 14:
                unit = _F(1 << (8 - int(v)))
            width = (_F(256) if whole else limit) / levels
            for p in range(count):
                x = pixels[c, p]
                if kind == 1:
                    pixels[c, p] = _kept(x * v, limit, whole)
                elif kind == 5:
                    if x == x:
                        level = _F(np.trunc(_kept(x, limit, 0) / width))
                        pixels[c, p] = min(level, levels - _F(1)) * width
                elif kind == 6:
                    pixels[c, p] = limit - x if x >= v else x
                elif kind == 7:
                    pixels[c, p] = limit - x
                elif kind == 8:
                    pixels[c, p] = _kept((x - low) / unit, limit, whole)
                elif kind == 12:
                    pixels[c, p] = _kept(x * v + low * (_F(1) - v), limit, whole)
                elif kind == 13:
                    pixels[c, p] = _kept(x + v, limit, whole)
                elif kind == 14:
                    pixels[c, p] = _F(np.trunc(_kept(x, limit, 0) / unit)) * unit if x == x else x


@Loop
def _color(
    start: Int, stop: Int, out: PixelsOut, x: Pixels, kinds: Int32In2, values: Float32In2, limit: Scalar,
    whole: Int,
) -> None:  # fmt: skip
    for n in range(start, stop):
        pixels = np.empty((x.shape[1], x.shape[2] * x.shape[3]), np.float32)
        for c in range(x.shape[1]):
            pixels[c] = x[n, c].reshape(-1)
        for s in range(kinds.shape[1]):
            if kinds[n, s] != 0:
                _step(pixels, kinds[n, s], values[n, s], _F(limit), whole)
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    out[n, c, i, j] = pixels[c, i * x.shape[3] + j]


@kernel
def augment_color(
    out: Array, x: Array, kinds: Array, values: Array, scale: Array | None, shift: Array | None, limit: float,
    last: bool,
) -> None:  # fmt: skip
    """out = x after each image's steps."""
    if last:
        _check(out, x, True, last)
        turned_out = np.empty((len(out), out.shape[3], *out.shape[1:3]), out.dtype)
        turned = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        augment_color(turned_out, turned, kinds, values, scale, shift, limit, False)
        out[...] = turned_out.transpose(0, 2, 3, 1)
        return
    _check(out, x, True)
    require(out.shape == x.shape, "out must have the shape of x")
    images, channels = x.shape[:2]
    require(
        kinds.ndim == 2 and values.ndim == 2 and kinds.shape == values.shape and len(kinds) == images
        and kinds.shape[1] <= 1024,
        "kinds and values must be [images, steps]",
    )  # fmt: skip
    scale, shift = _check_scale(scale, shift, channels)
    whole = x.dtype == np.uint8
    require(0 < limit <= 65536 and (not whole or limit == 255), "limit out of range")
    kinds = read("kinds", kinds, np.int32, *kinds.shape)
    values = read("values", values, np.float32, *values.shape)
    require(bool(((kinds >= 0) & (kinds <= 14)).all()), "unknown kind of step")
    turned, bits = values[kinds == 4], values[(kinds == 5) | (kinds == 14)]
    require(bool((abs(turned) <= 0.5).all()), "a hue turns by half a circle at most")
    require(bool(((bits >= 0) & (bits <= 8)).all()), "bits out of range")
    if out.size == 0:
        return
    source = _floats(x)
    made = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    parallel_for(
        images,
        _COST * (made.size / images),
        lambda start, stop: _color(start, stop, made, source, kinds, values, limit, int(whole)),
    )
    _finish(out, made, scale, shift)


# --- filter --------------------------------------------------------------------------------------


@inline
def _mirrored(at: int, n: int) -> int:
    if n == 1:
        return 0
    r = at % (2 * n - 2)
    return r if r < n else 2 * n - 2 - r


@Loop
def _filter(
    start: Int, stop: Int, out: PixelsOut, x: Pixels, rows: Float32In2, columns: Float32In2,
    keep: Float32In1, gain: Float32In1, edges: Int, limit: Scalar,
) -> None:  # fmt: skip
    height, width = x.shape[2], x.shape[3]
    above, left = rows.shape[1] // 2, columns.shape[1] // 2
    row = np.empty(width, np.float32)
    for n in range(start, stop):
        for c in range(x.shape[1]):
            for i in range(height):
                for j in range(width):
                    row[j] = 0
                for t in range(rows.shape[1]):
                    at = _mirrored(i + t - above, height)
                    for j in range(width):
                        row[j] += rows[n, t] * x[n, c, at, j]
                for j in range(width):
                    beyond = i < above or i >= height - above or j < left or j >= width - left
                    if (edges and beyond) or (gain[n] == 0 and keep[n] == 1):
                        out[n, c, i, j] = x[n, c, i, j]
                        continue
                    total = _F(0)
                    for t in range(columns.shape[1]):
                        total += columns[n, t] * row[_mirrored(j + t - left, width)]
                    total *= gain[n]
                    if keep[n] != 0:
                        total += x[n, c, i, j] * keep[n]
                    if limit > 0:
                        total = min(max(total, _F(0)), _F(limit)) if total == total else total
                    out[n, c, i, j] = total


@kernel
def augment_filter(
    out: Array, x: Array, rows: Array, columns: Array, keep: Array, gain: Array, edges: bool, limit: float
) -> None:
    """out = keep x + gain (rows down, columns across)."""
    _check(out, x, False)
    require(out.shape == x.shape, "out must have the shape of x")
    require(out is not x, "out must not be x")
    images = len(x)
    require(
        rows.ndim == 2 and columns.ndim == 2 and len(rows) == len(columns) == images
        and rows.shape[1] % 2 == 1 and columns.shape[1] % 2 == 1
        and max(rows.shape[1], columns.shape[1]) <= 8191,
        "rows and columns must be [images, odd number of taps]",
    )  # fmt: skip
    require(keep.size == gain.size == images, "keep and gain must have an element an image")
    require(0 <= limit <= 65536, "limit out of range")
    rows = read("rows", rows, np.float32, *rows.shape)
    columns = read("columns", columns, np.float32, *columns.shape)
    keep, gain = read("keep", keep, np.float32, images), read("gain", gain, np.float32, images)
    if out.size == 0:
        return
    source = _floats(x)
    made = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    parallel_for(
        images,
        _COST * (made.size / images),
        lambda start, stop: _filter(start, stop, made, source, rows, columns, keep, gain, int(edges), limit),
    )
    _finish(out, made)


# --- noise ---------------------------------------------------------------------------------------


@Loop
def _noise(
    start: Int, stop: Int, out: PixelsOut, x: Pixels, drawn: Pixels, amount: Float32In1, salt: Float32In1,
    kind: Int, limit: Scalar,
) -> None:  # fmt: skip
    for n in range(start, stop):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    v, z = x[n, c, i, j], drawn[n, c, i, j]
                    if kind == 2:
                        if z < amount[n]:
                            v = _F(limit) if z < amount[n] * salt[n] else _F(0)
                    else:
                        v += z * amount[n]
                    if limit > 0:
                        v = min(max(v, _F(0)), _F(limit)) if v == v else v
                    out[n, c, i, j] = v


@kernel
def augment_noise(
    out: Array, x: Array, rows: Array, amount: Array, salt: Array, seed: int, kind: int, limit: float
) -> None:
    """out = x with noise from the stretch of the stream of each image's number."""
    _check(out, x, False)
    require(out.shape == x.shape, "out must have the shape of x")
    images = len(x)
    require(
        rows.size == amount.size == salt.size == images, "rows, amount and salt must have an element an image"
    )
    require(0 <= kind <= 2, "unknown kind of noise")
    require(0 <= limit <= 65536 and (kind < 2 or limit > 0), "limit out of range")
    rows = read("rows", rows, np.int64, images)
    amount, salt = read("amount", amount, np.float32, images), read("salt", salt, np.float32, images)
    if out.size == 0:
        return
    source = _floats(x)
    drawn = np.empty(x.shape, np.float32)
    for n in range(images):
        offset = (int(rows[n]) << 32) % 2**64
        if kind == 0:
            random.normal(drawn[n], seed, offset, 0.0, 1.0)
        else:
            random.uniform(drawn[n], seed, offset, -1.0 if kind == 1 else 0.0, 1.0)
    made = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    parallel_for(
        images,
        _COST * (made.size / images),
        lambda start, stop: _noise(start, stop, made, source, drawn, amount, salt, kind, limit),
    )
    _finish(out, made)
