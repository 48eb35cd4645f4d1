"""Cases of resampling: interpolation, shuffles, sampling at points, regions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._case import Case, Op, given, integers, normal, sprinkled, uniform

Array = np.ndarray


def _weight(distance: float, a: float) -> float:
    t = abs(distance)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def _matrix(size: int, out: int, mode: str, align: bool, antialias: bool, factor: float | None) -> Array:
    """Row i holds what output i takes of every pixel."""
    m = np.zeros((out, size))
    step = 1 / factor if factor else size / out
    if align:
        step = (size - 1) / (out - 1) if out > 1 else 0.0
    for i in range(out):
        if mode == "area":
            window = slice(i * size // out, -(-(i + 1) * size // out))
            m[i, window] = 1 / (window.stop - window.start)
        elif mode.startswith("nearest"):
            half = 0.5 if mode == "nearest-exact" else 0.0
            m[i, min(int((i + half) * step), size - 1)] = 1
        elif antialias:
            wide = max(step, 1.0)
            center = step * (i + 0.5)
            reach = (2.0 if mode == "bicubic" else 1.0) * wide
            for j in range(max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), size)):
                t = (j + 0.5 - center) / wide
                m[i, j] = _weight(t, -0.5) if mode == "bicubic" else max(1 - abs(t), 0)
            m[i] /= m[i].sum()
        else:
            at = i * step if align else (i + 0.5) * step - 0.5
            cubic = mode == "bicubic"
            at = at if cubic else max(at, 0.0)
            for k in range(-1, 3) if cubic else range(2):
                j = math.floor(at) + k
                share = _weight(at - j, -0.75) if cubic else max(1 - abs(at - j), 0)
                m[i, min(max(j, 0), size - 1)] += share
    return m


def _interpolate(
    x: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    for d, n in enumerate(x.shape[2:]):
        factor = scale_factor[d] if isinstance(scale_factor, tuple) else scale_factor
        out = size[d] if isinstance(size, tuple) else size
        out = math.floor(n * factor) if out is None else out
        used = None if recompute_scale_factor else factor
        m = _matrix(n, out, mode, bool(align_corners), antialias, used)
        x = np.moveaxis(np.tensordot(x, m.astype(x.dtype), (d + 2, 1)), -1, d + 2)
    return x


def _shuffle(x: Array, upscale_factor: int) -> Array:
    r = upscale_factor
    y = np.empty((*x.shape[:-3], x.shape[-3] // (r * r), x.shape[-2] * r, x.shape[-1] * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return y


def _unshuffle(x: Array, downscale_factor: int) -> Array:
    r = downscale_factor
    y = np.empty((*x.shape[:-3], x.shape[-3] * r * r, x.shape[-2] // r, x.shape[-1] // r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
    return y


def _padded(at: float, size: int, padding: str, align: bool) -> float:
    if padding == "reflection":
        low, span = (0.0, size - 1.0) if align else (-0.5, float(size))
        at = abs(at - low) % (2 * span) if span else 0.0
        at = min(at, 2 * span - at) + low
    return at if padding == "zeros" else min(max(at, 0.0), size - 1.0)


def _share(at: float, size: int, mode: str, padding: str, align: bool) -> Array:
    """What a point takes of every pixel along one direction."""
    m = np.zeros(size)

    def add(pixel: float, weight: float) -> None:
        if 0 <= pixel < size:
            m[int(pixel)] += weight

    if mode == "bicubic":
        for k in range(-1, 3):
            j = math.floor(at) + k
            add(_padded(j, size, padding, align), _weight(at - j, -0.75))
        return m
    at = _padded(at, size, padding, align)
    if mode == "nearest":
        add(round(at), 1)
    else:
        first = math.floor(at)
        add(first, first + 1 - at)
        add(first + 1, at - first)
    return m


def _grid_sample(
    x: Array,
    grid: Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Array:
    extent = x.shape[2:]
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    for place in np.ndindex(*grid.shape[:-1]):
        seen = x[place[0]]
        for n, u in zip(extent, grid[place][::-1], strict=True):
            where = (float(u) + 1) / 2 * (n - 1) if align_corners else ((float(u) + 1) * n - 1) / 2
            share = _share(where, n, mode, padding_mode, bool(align_corners)).astype(x.dtype)
            seen = np.tensordot(seen, share, (1, 0))
        at: Any = (place[0], slice(None), *place[1:])
        y[at] = seen
    return y


def _affine_grid(theta: Array, size: tuple[int, ...], align_corners: bool | None = None) -> Array:
    lines = [(np.arange(n) * 2 + 1) / n - 1 for n in size[2:]]
    if align_corners:
        lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in size[2:]]
    mesh = np.meshgrid(*lines, indexing="ij")
    points = np.stack([*reversed(mesh), np.ones_like(mesh[0])], -1).astype(theta.dtype)
    return np.einsum("...j,nij->n...i", points, theta)


def _roi_align(
    x: Array,
    boxes: Array,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Array:
    _, c, h, w = x.shape
    out_h, out_w = output_size
    y = np.zeros((len(boxes), c, out_h, out_w), x.dtype)

    def bilinear(image: Array, at_y: float, at_x: float) -> Array:
        if not (-1 <= at_y <= h and -1 <= at_x <= w):
            return np.zeros(c, x.dtype)
        at_y, at_x = min(max(at_y, 0), h - 1), min(max(at_x, 0), w - 1)
        rows, columns = (
            _share(at, n, "bilinear", "zeros", True).astype(x.dtype) for at, n in ((at_y, h), (at_x, w))
        )
        return np.einsum("chw,h,w->c", image, rows, columns)

    for k, (image, *corners) in enumerate(boxes.astype(np.float64)):
        x1, y1, x2, y2 = (v * spatial_scale - 0.5 * aligned for v in corners)
        high, wide = y2 - y1, x2 - x1
        if not aligned:
            high, wide = max(high, 1.0), max(wide, 1.0)
        ny, nx = (
            sampling_ratio if sampling_ratio > 0 else math.ceil(length / count)
            for length, count in ((high, out_h), (wide, out_w))
        )
        for i, j, a, b in np.ndindex(out_h, out_w, ny, nx):
            at_y = y1 + (i + (a + 0.5) / ny) * high / out_h
            at_x = x1 + (j + (b + 0.5) / nx) * wide / out_w
            y[k, :, i, j] += bilinear(x[int(image)], at_y, at_x) / x.dtype.type(ny * nx)
    return y


def _roi_pool(x: Array, boxes: Array, output_size: tuple[int, int], spatial_scale: float = 1.0) -> Array:
    y = np.zeros((len(boxes), x.shape[1], *output_size), x.dtype)
    for k, (image, *corners) in enumerate(boxes.astype(np.float64)):
        x1, y1, x2, y2 = (round(v * spatial_scale + math.copysign(1e-9, v)) for v in corners)
        cells = []
        for low, high, count, n in (
            (y1, y2, output_size[0], x.shape[2]),
            (x1, x2, output_size[1], x.shape[3]),
        ):
            each = max(high - low + 1, 1) / count
            cells.append(
                [
                    (max(math.floor(i * each) + low, 0), min(math.ceil((i + 1) * each) + low, n))
                    for i in range(count)
                ]
            )
        for i, (top, bottom) in enumerate(cells[0]):
            for j, (left, right) in enumerate(cells[1]):
                if top < bottom and left < right:
                    y[k, :, i, j] = x[int(image), :, top:bottom, left:right].max((1, 2))
    return y


def _largest(reference: Callable[..., Array]) -> Callable[..., Array]:
    """Errors relative to the largest pixel: weights come from coordinates that are rounded themselves."""

    def scale(x: Array, *a: Any, **options: Any) -> Array:
        largest = np.abs(x).max(initial=0, where=np.isfinite(x))
        return np.full(reference(x, *a, **options).shape, largest)

    return scale


_F = "nn.functional."
interpolate = Op("interpolate", _interpolate, _F + "interpolate", scale=_largest(_interpolate))
pixel_shuffle = Op("pixel_shuffle", _shuffle, _F + "pixel_shuffle")
pixel_unshuffle = Op("pixel_unshuffle", _unshuffle, _F + "pixel_unshuffle")
grid_sample = Op(
    "grid_sample",
    _grid_sample,
    _F + "grid_sample",
    scale=lambda x, grid, **o: 50 * np.full(_grid_sample(x, grid, **o).shape, np.abs(x).max(initial=0)),
)
affine_grid = Op("affine_grid", _affine_grid, _F + "affine_grid", unit=4.0)
roi_align = Op("roi_align", _roi_align, None, scale=_largest(_roi_align))
roi_pool = Op("roi_pool", _roi_pool, None)

_LINES, _IMAGES, _VOLUMES = (2, 3, 7), (2, 3, 6, 5), (1, 2, 3, 4, 5)


def _interpolated() -> list[Case]:
    cases = [
        interpolate(integers(*_LINES), size=11).grad().exact(),
        interpolate(integers(*_IMAGES), scale_factor=2).grad().exact(),
        interpolate(normal(*_VOLUMES), size=(2, 7, 4), mode="nearest-exact").grad(),
        interpolate(normal(*_LINES), size=12, mode="linear").grad(),
        interpolate(normal(*_IMAGES), size=(4, 9), mode="area").grad(),
        interpolate(normal(*_VOLUMES), size=(5, 3, 8), mode="trilinear").grad(),
        interpolate(normal(*_VOLUMES), scale_factor=1.5, mode="trilinear", align_corners=True).grad(),
        interpolate(normal(*_IMAGES), scale_factor=(1.7, 0.6), mode="bilinear").grad(),
        interpolate(normal(*_IMAGES), scale_factor=1.7, mode="bilinear", recompute_scale_factor=True).grad(),
        interpolate(normal(*_IMAGES), size=(1, 9), mode="bilinear", align_corners=True).grad(),
        interpolate(normal(*_IMAGES), size=(9, 4), mode="bicubic").grad(),
        interpolate(normal(*_IMAGES), size=(4, 8), mode="bicubic", align_corners=True).grad(),
        interpolate(normal(*_IMAGES), size=(2, 8), mode="bilinear", antialias=True).grad(),
        interpolate(normal(*_IMAGES), size=(7, 2), mode="bicubic", antialias=True).grad(),
        interpolate(integers(2, 3, 9, 40), scale_factor=2, mode="bilinear").exact(),
        interpolate(normal(1, 2, 20, 90), size=(50, 33), mode="bilinear"),
        interpolate(normal(0, 3, 6, 5), size=4, mode="bilinear").grad().unlike_torch("refuses it"),
    ]
    return cases


def _points() -> list[Case]:
    x, grid = normal(2, 2, 5, 4), uniform(2, 3, 4, 2, low=-1.3, high=1.3)
    cases = [
        grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=align).grad()
        for mode, padding, align in (
            ("bilinear", "zeros", False),
            ("bilinear", "border", True),
            ("bilinear", "reflection", False),
            ("bicubic", "zeros", True),
            ("bicubic", "reflection", False),
        )
    ]
    cases += [
        grid_sample(x, grid, mode="nearest", padding_mode="border").grad(0),
        grid_sample(
            normal(1, 2, 3, 4, 3), uniform(1, 2, 2, 3, 3, low=-1.2, high=1.2), padding_mode="reflection"
        ).grad(),
        grid_sample(normal(1, 2, 3, 4, 3), uniform(1, 2, 2, 3, 3, low=-1.2, high=1.2), mode="nearest").grad(
            0
        ),
        grid_sample(normal(2, 9, 8, 8), uniform(2, 6, 7, 2, low=-1.0, high=1.0)),
        affine_grid(normal(2, 2, 3), size=(2, 1, 3, 4)).grad(),
        affine_grid(normal(1, 3, 4), size=(1, 2, 2, 1, 3), align_corners=True).grad(),
    ]
    return cases


def _regions() -> list[Case]:
    boxes = given(0, 0.7, 1.2, 4.4, 5.1, 1, -1.5, 2.3, 7.7, 4.9, 1, 3.1, 3.2, 3.3, 3.9, shape=(3, 5))
    return [
        roi_align(normal(2, 3, 7, 6), boxes, output_size=(2, 3)).grad(0),
        roi_align(normal(2, 3, 7, 6), boxes, output_size=(3, 2), sampling_ratio=2, aligned=True).grad(0),
        roi_align(normal(2, 3, 7, 6), boxes, output_size=(2, 2), spatial_scale=0.5).grad(0),
        roi_pool(normal(2, 3, 7, 6), boxes, output_size=(2, 3)).grad(0),
        roi_pool(integers(2, 3, 7, 6), boxes, output_size=(4, 4), spatial_scale=0.5).exact(),
    ]


CASES: list[Case] = [
    *_interpolated(),
    *_points(),
    *_regions(),
    pixel_shuffle(normal(2, 12, 3, 2), upscale_factor=2).grad().exact(),
    pixel_shuffle(sprinkled(9, 3, 2), upscale_factor=3).exact(),
    pixel_unshuffle(normal(2, 3, 4, 6), downscale_factor=2).grad().exact(),
    interpolate(normal(8, 64, 56, 56), scale_factor=2).bench(),
    interpolate(normal(8, 64, 56, 56), scale_factor=2, mode="bilinear").bench(),
    interpolate(normal(8, 64, 56, 56), scale_factor=2, mode="bilinear").grad().bench(),
    interpolate(normal(8, 3, 224, 224), size=(160, 160), mode="bicubic", antialias=True).bench(),
    grid_sample(normal(8, 64, 56, 56), uniform(8, 56, 56, 2, low=-1.0, high=1.0)).grad().bench(),
    pixel_shuffle(normal(8, 256, 56, 56), upscale_factor=2).bench(),
]
