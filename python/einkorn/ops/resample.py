"""Resampling: interpolation, pixels moved between channels and space, sampling at points, regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside, move
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops import _pool
from einkorn.ops._interpolation import Axis, Table, scaled_size, table
from einkorn.ops._options import LARGEST, flag, integer, number, sizes
from einkorn.ops._road import contiguous, needs, result, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import concatenate, getitem, permute, reshape
from einkorn.ops.elementwise import where
from einkorn.ops.matmul import bmm
from einkorn.ops.pool_average import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = [
    "affine_grid",
    "grid_sample",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "roi_align",
    "roi_pool",
]

_MODES = {
    1: ("nearest", "nearest-exact", "linear", "area"),
    2: ("nearest", "nearest-exact", "bilinear", "bicubic", "area"),
    3: ("nearest", "nearest-exact", "trilinear", "area"),
}
_KERNELS = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def _through(x: Any, tables: Sequence[Table | None], backwards: bool = False) -> Any:
    """x with its last dimensions resampled by one table each; None leaves one as it is."""
    a = contiguous(unwrap(x, "interpolate", "x"))
    k = engines.of(a)
    spatial = len(tables)
    used = [None if t is None else (t.turned if backwards else t) for t in tables]
    out = a
    lead = math.prod(a.shape[:-spatial])
    shape = list(a.shape[-spatial:])
    # Volumes: depth first, with height and width as one row.
    if spatial == 3:
        out = _apply(k, out, (lead, shape[0], shape[1] * shape[2]), used[0], None)
        shape[0] = out.shape[1]
        lead *= shape[0]
    rows, columns = (None, used[0]) if spatial == 1 else (used[-2], used[-1])
    planes = (lead, 1 if spatial == 1 else shape[-2], shape[-1])
    out = _apply(k, out, planes, rows, columns)
    sides = (*shape[:1],) if spatial == 3 else ()
    final = (*a.shape[:-spatial], *sides, *(out.shape[1:] if spatial > 1 else out.shape[2:]))
    out = out.reshape(final)

    def rule(g: Any, _x: Any, _out: Any) -> tuple[Any]:
        return (_through(g, tables, not backwards),)

    return result(out, (x,), rule, (None, None))


def _apply(k: Any, a: Any, shape: tuple[int, ...], rows: Table | None, columns: Table | None) -> Any:
    planes, height, width = shape
    out_height = height if rows is None else rows.places.shape[1]
    out_width = width if columns is None else columns.places.shape[1]
    out = k.empty((planes, out_height, out_width), a.dtype)
    arrays: list[Any] = []
    for found in (rows, columns):
        parts = [None, None] if found is None else [found.places, found.weights.astype(a.dtype)]
        arrays += [part if part is None else beside(a, part) for part in parts]
    k.resample(out, a.reshape(shape), *arrays)
    return out


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images, lines or volumes in another size, as ``torch.nn.functional.interpolate``.

    Parameters
    ----------
    x : array or Tensor [N, C, L], [N, C, H, W] or [N, C, D, H, W]
    size : int or one int a side, optional
        The output's sides.
    scale_factor : float or one a side, optional
        The output's sides as multiples of the input's, rounded down. One of the two is needed.
    mode : str, default "nearest"
        "nearest", "nearest-exact" and "area" for all; "linear" for lines, "bilinear" and "bicubic" for
        images, "trilinear" for volumes.
    align_corners : bool, optional
        For the linear and cubic modes: whether the centres of the outermost pixels stay in their places, or
        the edges of the image (False and None).
    recompute_scale_factor : bool, optional
        Whether coordinates follow from the sizes, or, without it, from ``scale_factor`` itself.
    antialias : bool, default False
        For "bilinear" and "bicubic": whether an image that shrinks is smoothed.

    Returns
    -------
    array or Tensor [N, C, ...]

    Raises
    ------
    ShapeError
        For other numbers of dimensions, or empty images.
    ArgumentError
        For options out of range or that do not go together.
    DTypeError
        Unless x is float32 or float64.

    Notes
    -----
    Cubic convolution: R. Keys, 1981, with -0.75, antialiased -0.5. "nearest" takes floor(i * scale), which is
    off by half a pixel; "nearest-exact" is not.
    """
    op = "interpolate"
    a = unwrap(x, op, "x")
    spatial = a.ndim - 2
    if spatial not in _MODES:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [N, C] and one to three sides")
    if mode not in _MODES[spatial]:
        known = ", ".join(repr(m) for m in _MODES[spatial])
        raise ArgumentError(f"{op}: mode is {mode!r}, expected one of {known} for x of shape {a.shape}")
    smooth = mode in _KERNELS
    if align_corners is not None:
        align_corners = flag(op, "align_corners", align_corners)
        if not smooth:
            raise ArgumentError(f"{op}: align_corners is {align_corners}, expected None for mode {mode!r}")
    antialias = flag(op, "antialias", antialias)
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(f"{op}: antialias is True, expected False for mode {mode!r}")
    recompute = False
    if recompute_scale_factor is not None:
        recompute = flag(op, "recompute_scale_factor", recompute_scale_factor)
    extent = a.shape[2:]
    out, factors = _sides(op, extent, size, scale_factor, recompute)
    if min(extent) < 1:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected sides of at least 1")
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[spatial - 1]
        return pool(x, out)
    if mode == "nearest" and spatial == 2 and out == extent:  # torch's, too, copies images then
        factors = (None,) * spatial
    align = bool(align_corners)
    tables = []
    for n, m, factor in zip(extent, out, factors, strict=True):
        axis = Axis(_KERNELS.get(mode, mode), n, m, factor, align, antialias)
        if mode.startswith("nearest"):
            single = a.dtype.itemsize == 4
            axis = axis._replace(single=single or spatial == 2, fused=single and spatial != 2)
        # A side that stays is left alone by linear interpolation, whatever the factor; others follow it.
        stays = n == m and (_KERNELS.get(mode) == "linear" or antialias or factor in (None, 1.0))
        tables.append(None if stays else table(axis))
    return _through(x, tables)


def _sides(
    op: str, extent: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The output's sides, and the factors from which coordinates follow."""
    spatial = len(extent)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"{op}: size is {size!r} and scale_factor is {scale_factor!r}, expected one of them"
        )
    if size is not None:
        if recompute:
            raise ArgumentError(f"{op}: recompute_scale_factor is True, expected a scale_factor with it")
        if isinstance(size, (tuple, list)) and len(size) != spatial:
            raise ArgumentError(f"{op}: size is {size!r}, expected an int or {spatial} ints")
        return sizes(size, op, "size", spatial, 1, LARGEST), (None,) * spatial
    given = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * spatial
    if len(given) != spatial:
        raise ArgumentError(f"{op}: scale_factor is {scale_factor!r}, expected a number or {spatial}")
    factors = tuple(float(number(op, "scale_factor", f)) for f in given)
    if not all(0 < f < LARGEST for f in factors):
        raise ArgumentError(f"{op}: scale_factor is {scale_factor!r}, expected numbers above 0")
    out = tuple(scaled_size(n, f) for n, f in zip(extent, factors, strict=True))
    if min(out) < 1 or max(out) > LARGEST:
        raise ArgumentError(
            f"{op}: scale_factor is {scale_factor!r}, which gives sides of {out}, expected at least 1"
        )
    return out, (None,) * spatial if recompute else factors


# --- between channels and space -------------------------------------------------------------------


def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """Channels as pixels: [*, C r r, H, W] to [*, C, H r, W r] (Shi et al. 2016).

    Parameters
    ----------
    x : array or Tensor of at least 3 dimensions
    upscale_factor : int
        r.

    Raises
    ------
    ShapeError
        If the channels are no multiple of r r.
    ArgumentError, DTypeError
        For an r below 1, and for elements other than float32 and float64.
    """
    op = "pixel_shuffle"
    shape = unwrap(x, op, "x").shape
    r = integer(op, "upscale_factor", upscale_factor, 1)
    if len(shape) < 3 or shape[-3] % (r * r):
        raise ShapeError(f"{op}: x has shape {shape}, expected [*, C, H, W] with C a multiple of {r * r}")
    *lead, c, h, w = shape
    n, k = math.prod(lead), c // (r * r)
    moved = permute(reshape(x, (n, k, r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(moved, (*lead, k, h * r, w * r))


def pixel_unshuffle(x: Any, downscale_factor: int) -> Any:
    """Pixels as channels: [*, C, H r, W r] to [*, C r r, H, W]; undoes :func:`pixel_shuffle`.

    Parameters
    ----------
    x : array or Tensor of at least 3 dimensions
    downscale_factor : int
        r.

    Raises
    ------
    ShapeError
        If a side is no multiple of r.
    ArgumentError, DTypeError
        As :func:`pixel_shuffle`.
    """
    op = "pixel_unshuffle"
    shape = unwrap(x, op, "x").shape
    r = integer(op, "downscale_factor", downscale_factor, 1)
    if len(shape) < 3 or shape[-1] % r or shape[-2] % r:
        raise ShapeError(f"{op}: x has shape {shape}, expected [*, C, H, W] with sides in multiples of {r}")
    *lead, c, h, w = shape
    n = math.prod(lead)
    moved = permute(reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    return reshape(moved, (*lead, c * r * r, h // r, w // r))


# --- at points ------------------------------------------------------------------------------------

_SAMPLE_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
_PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}


@rounded_once
def grid_sample(
    x: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """The values of images at points (Jaderberg et al. 2015), as ``torch.nn.functional.grid_sample``.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W] or [N, C, D, H, W]
    grid : array or Tensor [N, OH, OW, 2] or [N, OD, OH, OW, 3]
        Points, width first, from -1 to 1 across the image. One with NaN gives NaN; infinity is outside.
    mode : "bilinear", "nearest" or "bicubic", default "bilinear"
        How pixels are interpolated; volumes have no "bicubic". "nearest" has no gradient for the points.
    padding_mode : "zeros", "border" or "reflection", default "zeros"
        What is outside: zeros, the outermost pixel, or the image mirrored at its edges.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the outermost pixels, or the edges of the image (False and None).

    Returns
    -------
    array or Tensor [N, C, OH, OW] or [N, C, OD, OH, OW]

    Raises
    ------
    ShapeError
        If image and grid do not fit together, or an image is empty.
    ArgumentError
        For unknown modes.
    DTypeError
        Unless both are float32, or both float64.
    """
    op = "grid_sample"
    a, points = contiguous(unwrap(x, op, "x")), contiguous(unwrap(grid, op, "grid"))
    same_dtype(op, x=a, grid=points)
    spatial = a.ndim - 2
    if spatial not in (2, 3):
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [N, C, H, W] or [N, C, D, H, W]")
    if points.ndim != a.ndim or points.shape[-1] != spatial or points.shape[0] != a.shape[0]:
        sides = ", ".join(("OD", "OH", "OW")[-spatial:])
        raise ShapeError(
            f"{op}: grid has shape {points.shape}, expected ({a.shape[0]}, {sides}, {spatial}) because x has"
            f" shape {a.shape}"
        )
    if min(a.shape[2:]) < 1:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected sides of at least 1")
    modes = [m for m in _SAMPLE_MODES if spatial == 2 or m != "bicubic"]
    if mode not in modes:
        raise ArgumentError(f"{op}: mode is {mode!r}, expected one of {', '.join(map(repr, modes))}")
    if padding_mode not in _PADDINGS:
        raise ArgumentError(
            f"{op}: padding_mode is {padding_mode!r}, expected one of {', '.join(map(repr, _PADDINGS))}"
        )
    align = False if align_corners is None else flag(op, "align_corners", align_corners)
    options = (_SAMPLE_MODES[mode], _PADDINGS[padding_mode], align)
    k = engines.of(a)
    out = k.empty((*a.shape[:2], *points.shape[1:-1]), a.dtype)

    def deep(array: Any, at: int) -> Any:
        """With a depth of 1, for images."""
        return array if spatial == 3 else array.reshape((*array.shape[:at], 1, *array.shape[at:]))

    k.grid_sample_forward(deep(out, 2), deep(a, 2), deep(points, 1), *options)
    lost = _nowhere(points)
    if lost is not None:
        out[lost] = np.nan
    need_x, need_grid = needs(x), needs(grid)
    out_shape = out.shape

    def backward(g: Any) -> tuple[Any, Any]:
        gx = k.empty(a.shape, a.dtype) if need_x else None
        ggrid = k.empty(points.shape, a.dtype) if need_grid else None
        k.grid_sample_backward(
            None if gx is None else deep(gx, 2),
            None if ggrid is None else deep(ggrid, 1),
            deep(contiguous(g).reshape(out_shape), 2),
            deep(a, 2),
            deep(points, 1),
            *options,
        )
        if lost is not None and ggrid is not None:
            ggrid[np.isnan(points).any(-1)] = np.nan
        return gx, ggrid

    return result(out, (x, grid), backward)


def _nowhere(points: Any) -> Any:
    """Which samples have a coordinate that is NaN, as a key of the result [N, C, ...]; None without any."""
    if not isinstance(points, np.ndarray):
        return None
    with np.errstate(invalid="ignore"):
        if not np.isnan(np.sum(points)):  # as infinities make it, too
            return None
    places = np.nonzero(np.isnan(points).any(-1))
    return (places[0], slice(None), *places[1:]) if places[0].size else None


@rounded_once
def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Points for :func:`grid_sample`: those of a regular grid, each moved by an affine map.

    Parameters
    ----------
    theta : array or Tensor [N, 2, 3] or [N, 3, 4]
        One map an image.
    size : sequence of int
        The shape that sampling will have, (N, C, H, W) or (N, C, D, H, W).
    align_corners : bool, optional
        As :func:`grid_sample`.

    Returns
    -------
    array or Tensor [N, H, W, 2] or [N, D, H, W, 3]

    Raises
    ------
    ShapeError
        If theta does not fit size.
    ArgumentError
        For sizes below 1.
    DTypeError
        Unless theta is float32 or float64.
    """
    op = "affine_grid"
    maps = unwrap(theta, op, "theta")
    given = tuple(integer(op, "size", n, 1, LARGEST) for n in size)
    spatial = len(given) - 2
    if spatial not in (2, 3):
        raise ArgumentError(f"{op}: size is {given}, expected (N, C, H, W) or (N, C, D, H, W)")
    if maps.shape != (given[0], spatial, spatial + 1):
        raise ShapeError(
            f"{op}: theta has shape {maps.shape}, expected {(given[0], spatial, spatial + 1)} because size is"
            f" {given}"
        )
    align = False if align_corners is None else flag(op, "align_corners", align_corners)
    sides = []
    for n in given[2:]:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        sides.append(line if align else line * (n - 1) / n)
    mesh = np.meshgrid(*sides, indexing="ij")
    base = np.stack([*reversed(mesh), np.ones_like(mesh[0])], -1).reshape(1, -1, spatial + 1)
    k = engines.of(maps)
    points = k.empty((given[0], base.shape[1], spatial + 1), maps.dtype)
    points[...] = beside(maps, base.astype(maps.dtype))
    moved = bmm(points, permute(theta, (0, 2, 1)))
    return reshape(moved, (given[0], *given[2:], spatial))


# --- regions --------------------------------------------------------------------------------------


def _regions(op: str, x: Any, boxes: Any) -> tuple[Any, Any, Any]:
    """The image array, which image each box is of, and the boxes' corners."""
    a = unwrap(x, op, "x")
    if a.ndim != 4 or min(a.shape[2:]) < 1:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [N, C, H, W] with sides of at least 1")
    if isinstance(boxes, (list, tuple)):
        parts = [move(unwrap(b, op, "boxes"), "cpu") for b in boxes]
        if len(parts) != a.shape[0] or any(p.ndim != 2 or p.shape[1] != 4 for p in parts):
            raise ShapeError(
                f"{op}: boxes has shapes {[p.shape for p in parts]}, expected [L, 4] for each of"
                f" {a.shape[0]} images"
            )
        images = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
        corners = np.concatenate(parts) if parts else np.zeros((0, 4), a.dtype)
        return a, images, corners
    rows = move(unwrap(boxes, op, "boxes"), "cpu")
    if rows.ndim != 2 or rows.shape[1] != 5:
        raise ShapeError(f"{op}: boxes has shape {rows.shape}, expected [K, 5] or a list of [L, 4]")
    images = rows[:, 0]
    bad = ~((images >= 0) & (images < a.shape[0]) & (images == np.floor(images)))
    if bad.any():
        row = int(np.argmax(bad))
        raise IndexRangeError(
            f"{op}: boxes names image {images[row]} in row {row}, expected 0 to {a.shape[0] - 1}"
        )
    return a, images.astype(np.int64), rows[:, 1:]


def _no_regions(x: Any, a: Any, out: tuple[int, ...]) -> Any:
    """What there is of no regions; its gradient is 0."""
    empty = engines.of(a).empty((0, a.shape[1], *out), a.dtype)
    return result(empty, (x,), lambda g, a: (beside(a, np.zeros(a.shape, a.dtype)),), (a,))


@rounded_once
def roi_align(
    x: Any,
    boxes: Any,
    output_size: Any,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Any:
    """Regions of images, interpolated to one size (He et al. 2017), as ``torchvision.ops.roi_align``.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W]
    boxes : array [K, 5], or a list of N arrays [L, 4]
        Corners x1, y1, x2, y2; in one array, the number of the image before them. They get no gradient.
    output_size : int or pair of int
        OH and OW.
    spatial_scale : float, default 1.0
        What the corners are multiplied by.
    sampling_ratio : int, default -1
        Points a side of a cell, whose mean it gets; below 1, as many as the cell has pixels.
    aligned : bool, default False
        Whether corners are shifted by half a pixel, as pixels are counted from their centres.

    Returns
    -------
    array or Tensor [K, C, OH, OW]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        For arrays and options that do not fit.
    IndexRangeError
        For the number of an image that is not there.
    """
    op = "roi_align"
    a, images, corners = _regions(op, x, boxes)
    out = sizes(output_size, op, "output_size", 2, 1, LARGEST)
    scale = float(number(op, "spatial_scale", spatial_scale))
    ratio, aligned = integer(op, "sampling_ratio", sampling_ratio), flag(op, "aligned", aligned)
    if not len(images):
        return _no_regions(x, a, out)
    results = []
    for image, (x1, y1, x2, y2) in zip(images, corners.astype(np.float64) * scale, strict=True):
        tables = [
            _cells(low, high, count, size, ratio, aligned)
            for low, high, count, size in zip((y1, x1), (y2, x2), out, a.shape[2:], strict=True)
        ]
        results.append(_through(getitem(x, slice(int(image), int(image) + 1)), tables))
    return concatenate(results, axis=0)


def _cells(low: float, high: float, count: int, size: int, ratio: int, aligned: bool) -> Table:
    """One direction of a region: each cell the mean of points that are interpolated linearly."""
    if aligned:
        low, high = low - 0.5, high - 0.5
    length = high - low if aligned else max(high - low, 1.0)
    each = length / count
    points = ratio if ratio > 0 else math.ceil(each)
    if points < 1 or not math.isfinite(low) or not math.isfinite(length):
        return Table(np.full((1, count), -1, np.int32), np.zeros((1, count)), size)
    at = low + (np.arange(count)[None] + (np.arange(points)[:, None] + 0.5) / points) * each
    inside = (at >= -1) & (at <= size)
    at = np.maximum(at, 0.0)
    first = np.minimum(np.floor(np.minimum(at, size)), size - 1).astype(np.int32)
    rest = np.where(first >= size - 1, 0.0, at - first)
    places = np.concatenate([first, np.minimum(first + 1, size - 1)])
    weights = np.concatenate([1 - rest, rest]) / points
    places = np.where(np.concatenate([inside, inside]), places, -1)
    return Table(np.ascontiguousarray(places, np.int32), np.ascontiguousarray(weights), size)


def roi_pool(x: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Any:
    """The maxima of a grid of cells over regions (Girshick 2015), as ``torchvision.ops.roi_pool``.

    Parameters
    ----------
    x : array or Tensor [N, C, H, W]
    boxes, output_size, spatial_scale
        As :func:`roi_align`; corners are rounded to whole pixels. Empty cells are 0.

    Returns
    -------
    array or Tensor [K, C, OH, OW]

    Raises
    ------
    ShapeError, ArgumentError, DTypeError, IndexRangeError
        As :func:`roi_align`.
    """
    op = "roi_pool"
    a, images, corners = _regions(op, x, boxes)
    out = sizes(output_size, op, "output_size", 2, 1, LARGEST)
    scale = float(number(op, "spatial_scale", spatial_scale))
    if not len(images):
        return _no_regions(x, a, out)
    results = []
    for image, box in zip(images, corners, strict=True):
        box = np.clip(np.nan_to_num(box.astype(np.float64) * scale), -LARGEST, LARGEST)
        x1, y1, x2, y2 = (int(v) for v in np.sign(box) * np.floor(np.abs(box) + 0.5))
        begin, end, empty = [np.zeros(1)], [np.ones(1)], []
        for low, high, count, size in ((y1, y2, out[0], a.shape[2]), (x1, x2, out[1], a.shape[3])):
            each, i = max(high - low + 1, 1) / count, np.arange(count)
            begin.append(np.clip(np.floor(i * each) + low, 0, size))
            end.append(np.clip(np.ceil((i + 1) * each) + low, 0, size))
            empty.append(begin[-1] >= end[-1])
        first, last = (np.concatenate(side).astype(np.int32)[None] for side in (begin, end))
        one = reshape(getitem(x, slice(int(image), int(image) + 1)), (1, a.shape[1], 1, *a.shape[2:]))
        y, _ = _pool.maximum_of_ranges(one, first, last, (1, a.shape[1], 1, *out), False)
        y = reshape(y, (1, a.shape[1], *out))
        cells = empty[0][:, None] | empty[1][None, :]
        results.append(where(~cells, y, 0.0) if cells.any() else y)
    return concatenate(results, axis=0)
