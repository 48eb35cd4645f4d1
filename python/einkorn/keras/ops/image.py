"""``keras.ops.image``: sizes, colours, edges, likeness and places of images, [rows, height, width, channels].

A single image may come without the rows' axis.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras.layers._sides import is_first, sides
from einkorn.keras.ops import _layers
from einkorn.keras.ops._numpy import _data
from einkorn.keras.ops._recorded import recorded

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d",
    "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "resize",
    "rgb_to_grayscale", "rgb_to_hsv", "sobel_edges", "ssim",
]  # fmt: skip

_ORDERS = {"nearest": 0, "bilinear": 1}


def _opened(name: str, images: Any, data_format: str | None) -> tuple[Any, Callable[[Any], Any]]:
    """Images as [rows, height, width, channels], and the way back to how they came."""
    first, single = is_first(data_format, name), len(images.shape) == 3
    if len(images.shape) not in (3, 4):
        raise ShapeError(
            f"{name}: images has shape {tuple(images.shape)}, expected [rows, height, width, channels], or "
            "that of a single image"
        )
    x = ops.expand_dims(images, 0) if single else images

    def back(out: Any) -> Any:
        out = ops.permute(out, (0, 3, 1, 2, *range(4, len(out.shape)))) if first else out
        return out[0] if single else out

    return ops.permute(x, (0, 2, 3, 1)) if first else x, back


def _colours(name: str, images: Any, data_format: str | None) -> tuple[Any, Callable[[Any], Any]]:
    x, back = _opened(name, images, data_format)
    if x.shape[-1] != 3:
        raise ShapeError(f"{name}: images has {x.shape[-1]} channels, expected 3")
    return x, back


# --- sizes --------------------------------------------------------------------------------------------------


@recorded
def resize(
    images: Any, size: Any, interpolation: str = "bilinear", antialias: bool = False,
    crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False, fill_mode: str = "constant",
    fill_value: float = 0.0, data_format: str | None = None,
) -> Any:  # fmt: skip
    """Images in another size; arguments as those of ``layers.Resizing``."""
    from einkorn.keras.layers import Resizing

    height, width = sides(size, 2, "resize", "size")
    layer = Resizing(
        height, width, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_mode, fill_value,
        antialias, data_format, name="resize",
    )  # fmt: skip
    return layer(images)


def _ends(name: str, what: str, size: int, before: Any, after: Any, target: Any) -> tuple[int, int]:
    """What is added or cut before and behind a side, of which two of three are given."""
    if sum(value is None for value in (before, after, target)) != 1:
        raise ArgumentError(
            f"{name}: of both ends' {what} and the target size two are to be given for a side"
        )
    if target is not None:
        rest = target - size if what == "padding" else size - target
        before = rest - after if before is None else before
        after = rest - before if after is None else after
    if before < 0 or after < 0:
        raise ArgumentError(
            f"{name}: {what} of a side of {size} is {before} and {after}, expected numbers >= 0"
        )
    return int(before), int(after)


@recorded
def pad_images(
    images: Any, top_padding: Any = None, left_padding: Any = None, bottom_padding: Any = None,
    right_padding: Any = None, target_height: Any = None, target_width: Any = None,
    data_format: str | None = None,
) -> Any:  # fmt: skip
    """Images with zeros around them; two of top, bottom and target_height, and of the width, are given."""
    x, back = _opened("pad_images", images, data_format)
    top, bottom = _ends("pad_images", "padding", x.shape[1], top_padding, bottom_padding, target_height)
    left, right = _ends("pad_images", "padding", x.shape[2], left_padding, right_padding, target_width)
    return back(ops.pad(x, [0, 0, left, right, top, bottom]))


@recorded
def crop_images(
    images: Any, top_cropping: Any = None, left_cropping: Any = None, bottom_cropping: Any = None,
    right_cropping: Any = None, target_height: Any = None, target_width: Any = None,
    data_format: str | None = None,
) -> Any:  # fmt: skip
    """A part of images; two of top, bottom and target_height, and of the width, are given."""
    x, back = _opened("crop_images", images, data_format)
    _, tall, wide, _ = x.shape
    top, bottom = _ends("crop_images", "cropping", tall, top_cropping, bottom_cropping, target_height)
    left, right = _ends("crop_images", "cropping", wide, left_cropping, right_cropping, target_width)
    if top + bottom >= tall or left + right >= wide:
        raise ArgumentError(f"crop_images: nothing is left of {tall}x{wide}")
    return back(x[:, top : tall - bottom, left : wide - right])


# --- colours ------------------------------------------------------------------------------------------------


@recorded
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Any:
    """Brightness, as eyes see it, as one channel."""
    x, back = _colours("rgb_to_grayscale", images, data_format)
    weights = np.array([0.2989, 0.587, 0.114], _data(x).dtype)
    return back(ops.sum(ops.multiply(x, weights), axis=-1, keepdims=True))


@recorded
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Any:
    """Red, green and blue from 0 to 1 as hue, saturation and value."""
    x, back = _colours("rgb_to_hsv", images, data_format)
    red, green, blue = (x[..., i] for i in range(3))
    value = ops.max(x, axis=-1)
    spread = ops.subtract(value, ops.min(x, axis=-1))
    plain = _data(spread) == 0
    dark = _data(value) == 0
    saturation = ops.where(dark, np.float32(0), ops.divide(spread, ops.where(dark, np.float32(1), value)))
    size = ops.where(plain, np.float32(1), spread)
    top = _data(value)
    turns = ops.where(
        top == _data(red),
        ops.divide(ops.subtract(green, blue), size),
        ops.where(
            top == _data(green),
            ops.add(ops.divide(ops.subtract(blue, red), size), 2.0),
            ops.add(ops.divide(ops.subtract(red, green), size), 4.0),
        ),
    )
    sixth = ops.divide(turns, 6.0)
    hue = ops.where(plain, np.float32(0), ops.where(_data(sixth) < 0, ops.add(sixth, 1.0), sixth))
    return back(ops.stack([hue, saturation, value], -1))


@recorded
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Any:
    """The way back from ``rgb_to_hsv``."""
    x, back = _colours("hsv_to_rgb", images, data_format)
    hue, saturation, value = (x[..., i] for i in range(3))
    turns = ops.multiply(hue, 6.0)
    gray = ops.subtract(1.0, saturation)

    def shade(shift: float) -> Any:
        bright = ops.clip(ops.subtract(ops.absolute(ops.subtract(turns, shift)), 1.0), 0.0, 1.0)
        return bright if shift == 3.0 else ops.subtract(1.0, bright)

    parts = [
        ops.multiply(value, ops.add(gray, ops.multiply(saturation, shade(shift))))
        for shift in (3.0, 2.0, 4.0)
    ]
    return back(ops.stack(parts, -1))


# --- filters ------------------------------------------------------------------------------------------------


def filtered(images: Any, kernel: np.ndarray, pads: tuple[int, int]) -> Any:
    """Each channel with one kernel."""
    channels = images.shape[-1]
    x = ops.permute(images, (0, 3, 1, 2))
    weight = np.ascontiguousarray(np.broadcast_to(kernel, (channels, 1, *kernel.shape)))
    out = ops.conv2d(x, weight.astype(_data(images).dtype), None, 1, pads, 1, channels)
    return ops.permute(out, (0, 2, 3, 1))


def _bell(size: int, sigma: float) -> np.ndarray:
    line = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma) ** 2)
    return line / line.sum()


@recorded
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Any:
    """Images blurred by a normal curve, zeros around them.

    Parameters
    ----------
    images : array or Tensor
    kernel_size : (int, int), default (3, 3)
    sigma : (float, float), default (1, 1)
    data_format : "channels_last" or "channels_first", optional
    """
    x, back = _opened("gaussian_blur", images, data_format)
    across, down = (_bell(int(n), float(s)) for n, s in zip(_two(kernel_size), _two(sigma), strict=True))
    kernel = np.outer(down, across).reshape(int(_two(kernel_size)[0]), int(_two(kernel_size)[1]))
    return back(filtered(x, kernel, (kernel.shape[0] // 2, kernel.shape[0] // 2)))


def _two(value: Any) -> tuple[Any, Any]:
    return (value, value) if np.ndim(value) == 0 else tuple(np.asarray(value).tolist())


@recorded
def sobel_edges(images: Any, data_format: str | None = None) -> Any:
    """How fast brightness changes downwards and to the right, as a last axis."""
    x, back = _opened("sobel_edges", images, data_format)
    across = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    return back(ops.stack([filtered(x, kernel, (1, 1)) for kernel in (across.T, across)], -1))


@functools.lru_cache(maxsize=8)
def _disc(size: int, sigma: float) -> np.ndarray:
    return np.outer(_bell(size, sigma), _bell(size, sigma))


@recorded
def ssim(
    image1: Any, image2: Any, max_val: float = 1.0, filter_size: int = 11, filter_sigma: float = 1.5,
    k1: float = 0.01, k2: float = 0.03, data_format: str | None = None,
) -> Any:  # fmt: skip
    """How alike images are in brightness, contrast and structure (Wang et al. 2004), 1 for equal ones.

    Parameters
    ----------
    image1, image2 : array or Tensor
    max_val : float, default 1
        The difference of black and white.
    filter_size, filter_sigma : default 11 and 1.5
        The window that is looked at.
    k1, k2 : float, default 0.01 and 0.03
    data_format : "channels_last" or "channels_first", optional
    """
    first = is_first(data_format, "ssim")
    if tuple(image1.shape) != tuple(image2.shape) or len(image1.shape) not in (3, 4):
        raise ShapeError(
            f"ssim: images have shapes {tuple(image1.shape)} and {tuple(image2.shape)}, expected one of "
            "three or four axes"
        )
    single = len(image1.shape) == 3
    a, b = (ops.expand_dims(x, 0) if single else x for x in (image1, image2))
    a, b = (ops.permute(x, (0, 2, 3, 1)) if first else x for x in (a, b))

    def seen(x: Any) -> Any:
        return filtered(x, _disc(filter_size, filter_sigma), (0, 0))

    mean_a, mean_b = seen(a), seen(b)
    both = ops.multiply(mean_a, mean_b)
    squares = ops.add(ops.square(mean_a), ops.square(mean_b))
    spread = ops.subtract(seen(ops.add(ops.square(a), ops.square(b))), squares)
    common = ops.subtract(seen(ops.multiply(a, b)), both)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    above = ops.multiply(ops.add(ops.multiply(both, 2.0), c1), ops.add(ops.multiply(common, 2.0), c2))
    below = ops.multiply(ops.add(squares, c1), ops.add(spread, c2))
    found = ops.mean(ops.divide(above, below), axis=(1, 2, 3))
    return found[0] if single else found


# --- patches ------------------------------------------------------------------------------------------------


@recorded
def extract_patches(
    images: Any, size: Any, strides: Any = None, dilation_rate: Any = 1, padding: str = "valid",
    data_format: str | None = None,
) -> Any:  # fmt: skip
    """Windows of images, each as one vector of its elements in order, channels last of all.

    Parameters
    ----------
    images : array or Tensor
    size : int or (int, int)
        A size of three is that of windows of volumes, as in ``extract_patches_3d``.
    strides : int or (int, int), optional
        By default the size.
    dilation_rate : int, default 1
    padding : "valid" or "same", default "valid"
    data_format : "channels_last" or "channels_first", optional
    """
    if not isinstance(size, int) and len(size) == 3:
        return extract_patches_3d(images, size, strides, dilation_rate, padding, data_format)
    return _patches("extract_patches", 2, images, size, strides, dilation_rate, padding, data_format)


@recorded
def extract_patches_3d(
    volumes: Any, size: Any, strides: Any = None, dilation_rate: Any = 1, padding: str = "valid",
    data_format: str | None = None,
) -> Any:  # fmt: skip
    """Windows of volumes [rows, depth, height, width, channels]; arguments as ``extract_patches``."""
    return _patches("extract_patches_3d", 3, volumes, size, strides, dilation_rate, padding, data_format)


def _patches(
    name: str, rank: int, x: Any, size: Any, strides: Any, dilation: Any, padding: str, data_format: Any
) -> Any:
    windows = sides(size, rank, name, "size")
    steps = windows if strides is None else sides(strides, rank, name, "strides")
    single = len(x.shape) == rank + 1
    whole = ops.expand_dims(x, 0) if single else x
    channels = whole.shape[1 if is_first(data_format, name) else -1]
    length = channels * int(np.prod(windows))
    kernel = np.eye(length, dtype=_data(whole).dtype).reshape(*windows, channels, length)
    out = _layers.conv(whole, kernel, steps, padding, data_format, dilation)
    return out[0] if single else out


# --- places -------------------------------------------------------------------------------------------------


def _fixed(index: np.ndarray, size: int, mode: str) -> np.ndarray:
    """Places beyond the ends, brought within."""
    if mode in ("constant", "nearest"):
        return np.clip(index, 0, size - 1)
    if mode == "wrap":
        return index % size
    if mode == "mirror":
        index = np.abs(index) % max(1, 2 * (size - 1))
        return np.where(index < size, index, 2 * (size - 1) - index)
    if mode == "reflect":
        index = index % (2 * size)
        return np.where(index < size, index, 2 * size - 1 - index)
    raise ArgumentError(f"fill_mode is {mode!r}, expected constant, nearest, wrap, mirror or reflect")


@recorded
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Any:
    """Values between the elements of an array, at places.

    Parameters
    ----------
    inputs : array or Tensor
    coordinates : array [axes of inputs, ...]
        A gradient passes to inputs and to them.
    order : 0 or 1
        The nearest element, or the mean of those around, the nearer the heavier.
    fill_mode : "constant", "nearest", "wrap", "mirror" or "reflect", default "constant"
    fill_value : float, default 0
        What lies beyond the ends for "constant".
    """
    places = (
        list(coordinates)
        if not hasattr(coordinates, "shape")
        else [coordinates[i] for i in range(coordinates.shape[0])]
    )
    if len(places) != len(inputs.shape):
        raise ShapeError(
            f"map_coordinates: got coordinates of {len(places)} axes for inputs of {tuple(inputs.shape)}"
        )
    if order not in (0, 1):
        raise ArgumentError(f"map_coordinates: order is {order!r}, expected 0 or 1")
    values = _data(inputs)
    lines = inputs if values.dtype.kind == "f" else values.astype(np.float32)
    sides_of = [_neighbours(place, order) for place in places]
    total: Any = None
    for chosen in itertools.product(*sides_of):
        key, outside, weight = [], np.zeros((), bool), None
        for (index, share), size in zip(chosen, inputs.shape, strict=True):
            key.append(_fixed(index, size, fill_mode))
            outside = outside | (index < 0) | (index >= size)
            if share is not None:
                weight = share if weight is None else ops.multiply(weight, share)
        part = lines[tuple(key)]
        if fill_mode == "constant" and outside.any():
            part = ops.where(outside, np.asarray(fill_value, _data(part).dtype), part)
        part = part if weight is None else ops.multiply(part, weight)
        total = part if total is None else ops.add(total, part)
    if values.dtype.kind != "f":
        return np.rint(_data(total)).astype(values.dtype)
    return total


def _neighbours(place: Any, order: int) -> list[tuple[np.ndarray, Any]]:
    """Indices along one axis, and how heavy each is."""
    plain = _data(place)
    if order == 0:
        return [(np.rint(plain).astype(np.int64), None)]
    low = np.floor(plain)
    kind = plain.dtype if plain.dtype.kind == "f" else np.dtype(np.float32)
    upper = ops.subtract(place if plain.dtype.kind == "f" else plain.astype(kind), low.astype(kind))
    index = low.astype(np.int64)
    return [(index, ops.subtract(1.0, upper)), (index + 1, upper)]


def _seen(images: Any, down: np.ndarray, across: np.ndarray, order: int, mode: str, fill: float) -> Any:
    """Images [rows, height, width, channels] at places [rows, height, width]."""
    rows, tall, wide, _ = images.shape
    kind = _data(images).dtype if _data(images).dtype.kind == "f" else np.dtype(np.float32)
    lines = images if _data(images).dtype.kind == "f" else _data(images).astype(kind)
    number = np.arange(rows)[:, None, None]
    total: Any = None
    for (y, a), (x, b) in itertools.product(
        _neighbours(down.astype(kind), order), _neighbours(across.astype(kind), order)
    ):
        part = lines[number, _fixed(y, tall, mode), _fixed(x, wide, mode)]
        outside = (y < 0) | (y >= tall) | (x < 0) | (x >= wide)
        if mode == "constant" and outside.any():
            part = ops.where(outside[..., None], np.asarray(fill, kind), part)
        if a is not None:
            part = ops.multiply(part, _data(ops.multiply(a, b))[..., None])
        total = part if total is None else ops.add(total, part)
    if _data(images).dtype.kind != "f":
        return np.rint(_data(total)).astype(_data(images).dtype)
    return total


def _order(name: str, interpolation: str) -> int:
    if interpolation not in _ORDERS:
        raise ArgumentError(f"{name}: interpolation is {interpolation!r}, expected bilinear or nearest")
    return _ORDERS[interpolation]


def _grid(images: Any) -> tuple[np.ndarray, np.ndarray]:
    down, across = np.mgrid[: images.shape[1], : images.shape[2]]
    return down.astype(np.float64)[None], across.astype(np.float64)[None]


@recorded
def affine_transform(
    images: Any, transform: Any, interpolation: str = "bilinear", fill_mode: str = "constant",
    fill_value: float = 0, data_format: str | None = None,
) -> Any:  # fmt: skip
    """Images seen through affine transforms.

    Parameters
    ----------
    images : array or Tensor
    transform : array [8] or [rows, 8]
        ``[a0, a1, a2, b0, b1, b2, 0, 0]``: the element at (x, y) is that of the image at
        ``(a0 x + a1 y + a2, b0 x + b1 y + b2)``.
    interpolation : "bilinear" or "nearest", default "bilinear"
    fill_mode, fill_value : as ``map_coordinates``
    data_format : "channels_last" or "channels_first", optional
    """
    matrix = np.atleast_2d(_data(transform).astype(np.float64))
    if matrix.shape[-1] != 8:
        raise ShapeError(f"affine_transform: transform has shape {matrix.shape}, expected [rows, 8]")
    pictures, back = _opened("affine_transform", images, data_format)
    a0, a1, a2, b0, b1, b2 = (matrix[:, i, None, None] for i in range(6))
    y, x = _grid(pictures)
    shape = (pictures.shape[0], *y.shape[1:])
    down, across = (np.broadcast_to(part, shape) for part in (b0 * x + b1 * y + b2, a0 * x + a1 * y + a2))
    order = _order("affine_transform", interpolation)
    return back(_seen(pictures, down, across, order, fill_mode, fill_value))


@recorded
def perspective_transform(
    images: Any, start_points: Any, end_points: Any, interpolation: str = "bilinear", fill_value: float = 0,
    data_format: str | None = None,
) -> Any:  # fmt: skip
    """Images seen at an angle: four points of them come to four others.

    Parameters
    ----------
    images : array or Tensor
    start_points, end_points : array [4, 2] or [rows, 4, 2]
        (x, y) before and after.
    interpolation, fill_value, data_format : as ``affine_transform``
    """
    start, end = (_data(points).astype(np.float64) for points in (start_points, end_points))
    if start.shape != end.shape or start.shape[-2:] != (4, 2) or start.ndim not in (2, 3):
        raise ShapeError(
            f"perspective_transform: points have shapes {start.shape} and {end.shape}, expected [rows, 4, 2]"
        )
    start, end = start.reshape(-1, 4, 2), end.reshape(-1, 4, 2)
    # u = (h0 x + h1 y + h2) / (h6 x + h7 y + 1) of the points after gives those before.
    (a, b), (u, v) = (np.moveaxis(points, -1, 0) for points in (end, start))
    one, none = np.ones_like(a), np.zeros_like(a)
    above = np.stack([a, b, one, none, none, none, -u * a, -u * b], -1)
    below = np.stack([none, none, none, a, b, one, -v * a, -v * b], -1)
    system = np.concatenate([above, below], 1)
    h = np.linalg.solve(system, np.concatenate([u, v], 1)[..., None])[..., 0]
    h0, h1, h2, h3, h4, h5, h6, h7 = (h[:, i, None, None] for i in range(8))
    pictures, back = _opened("perspective_transform", images, data_format)
    down, across = _grid(pictures)
    depth = h6 * across + h7 * down + 1
    shape = (pictures.shape[0], *down.shape[1:])
    y = np.broadcast_to((h3 * across + h4 * down + h5) / depth, shape)
    x = np.broadcast_to((h0 * across + h1 * down + h2) / depth, shape)
    order = _order("perspective_transform", interpolation)
    return back(_seen(pictures, y, x, order, "constant", fill_value))


@recorded
def elastic_transform(
    images: Any, alpha: float = 20.0, sigma: float = 5.0, interpolation: str = "bilinear",
    fill_mode: str = "reflect", fill_value: float = 0.0, seed: Any = None, data_format: str | None = None,
) -> Any:  # fmt: skip
    """Images whose elements are moved by chance, neighbours alike.

    Parameters
    ----------
    images : array or Tensor
    alpha : float, default 20
        How far.
    sigma : float, default 5
        Over how many elements the moves are alike.
    interpolation, fill_mode, fill_value : as ``affine_transform``
    seed : int or SeedGenerator, optional
    data_format : "channels_last" or "channels_first", optional
    """
    from einkorn.keras import random

    pictures, back = _opened("elastic_transform", images, data_format)
    rows, tall, wide, _ = pictures.shape
    size = int(6 * sigma) | 1
    moves = _data(random.normal((rows, tall, wide, 2), seed=seed))
    smooth = _data(filtered(moves, _disc(size, float(sigma)), (size // 2, size // 2))) * float(alpha)
    down, across = _grid(pictures)
    order = _order("elastic_transform", interpolation)
    moved = _seen(pictures, down + smooth[..., 0], across + smooth[..., 1], order, fill_mode, fill_value)
    return back(moved)
