"""Augmentation of batches of pictures: seen from elsewhere, in other colours, filtered, with noise.

Pictures are uint8 or float32 [images, channels, height, width]; nothing here has a gradient. Each image has
parameters of its own. Pictures on a GPU are seen to there, with parameters of the CPU. Transforms with names
and random parameters are in :mod:`einkorn.data.augment`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from einkorn import engines
from einkorn._device import beside, is_on_gpu
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._augment import (
    _check_pixels,
    _choice,
    _limit,
    _numbers,
    _out_dtype,
    _pictures,
    _scaling,
)
from einkorn.ops._options import flag, integer, pair

__all__ = [
    "augment_color", "augment_erase", "augment_filter", "augment_mirror", "augment_noise", "augment_warp",
]  # fmt: skip

_MODES = ("bilinear", "nearest")
_BORDERS = ("constant", "nearest", "symmetric", "reflect", "wrap")
_KINDS = (
    "none", "brightness", "contrast", "saturation", "hue", "posterize", "solarize", "invert", "autocontrast",
    "equalize", "grayscale", "offset", "channel_contrast", "add", "bits",
)  # fmt: skip
_NOISES = ("normal", "uniform", "salt_and_pepper")
_MOST_TAPS = 8191
_ONES = np.ones(1024, np.float32)


class Launch(NamedTuple):
    """A call of a kernel whose arguments are checked, for a whole batch or for a stretch of its images."""

    kernel: str
    size: tuple[int, int]  # height and width of the result
    dtype: np.dtype
    each: tuple[np.ndarray | None, ...]  # arguments with a row for each image
    shared: tuple[Any, ...]
    in_place: bool = False  # whether it may write over what it reads
    last: bool = False  # whether channels are the last axis

    def into(self, out: np.ndarray, x: np.ndarray, part: slice | np.ndarray | None = None) -> None:
        """Launch it, for the images ``part`` of the batch where that is given: x and out are theirs."""
        each = self.each if part is None else [a if a is None else a[part] for a in self.each]
        given = (*each, *self.shared)
        if is_on_gpu(x):
            given = tuple(beside(x, a) if isinstance(a, np.ndarray) else a for a in given)
        getattr(engines.of(out), self.kernel)(out, x, *given)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Launch it for the whole batch."""
        shape = x.shape if self.last else (*x.shape[:2], *self.size)
        out = engines.of(x).empty(shape, np.dtype(self.dtype))
        self.into(out, x)
        return out


def augment_warp(
    x: Any,
    matrix: Any,
    *,
    size: Any = None,
    window: Any = None,
    field: Any = None,
    mode: str = "bilinear",
    border: str = "constant",
    fill: Any = 0.0,
    antialias: bool = False,
    scale: Any = None,
    shift: Any = None,
    dtype: Any = None,
) -> np.ndarray:
    """Each image seen through a matrix of its own: affine, perspective, crops, flips, displacements.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    matrix : array [images, 3, 3] or [3, 3]
        From an output pixel (column, row, 1) to its place in x, in pixels: (X, Y, W) stands for
        (X / W, Y / W), and (0, 0) is the centre of the first pixel.
    size : int or (int, int), optional
        Height and width of the result. Default: those of x.
    window : int array [images, 4] or [4], optional
        Left, top, right and bottom of what counts of an image: places are counted from its corner, and the
        border is around it.
    field : array [images, 2, height, width], optional
        Displacements of the places, along columns and rows, in pixels. Beside x on a GPU it stays there.
    mode : "bilinear" or "nearest", default "bilinear"
    border : str, default "constant"
        What lies around an image a b c d: "constant" k k k|a b c d|k k k, "nearest" a a a|a b c d|d d d,
        "symmetric" c b a|a b c d|d c b, "reflect" d c b|a b c d|c b a, "wrap" b c d|a b c d|a b c.
    fill : float or array [channels], default 0
    antialias : bool, default False
        For matrices that leave axes axes, with border "nearest": an axis that shrinks is smoothed by a
        triangle as wide as the scale.
    scale, shift : float or array [channels], optional
        The result times scale plus shift, in float32.
    dtype : uint8 or float32, optional
        Of the result. Default: that of x; float32 where it is scaled.

    Returns
    -------
    array [images, channels, *size]

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For other types, shapes and options; a window that leaves the image.
    """
    a = _pictures("augment_warp", x)
    return warp_launch(
        a.shape, a.dtype, matrix, size=size, window=window, field=field, mode=mode, border=border, fill=fill,
        antialias=antialias, scale=scale, shift=shift, dtype=dtype,
    ).run(a)  # fmt: skip


def warp_launch(
    shape: tuple[int, ...],
    pixel: np.dtype,
    matrix: Any,
    *,
    size: Any = None,
    window: Any = None,
    field: Any = None,
    mode: str = "bilinear",
    border: str = "constant",
    fill: Any = 0.0,
    antialias: bool = False,
    scale: Any = None,
    shift: Any = None,
    dtype: Any = None,
) -> Launch:
    """:func:`augment_warp` of pictures of this shape and type, yet to be launched."""
    op = "augment_warp"
    images, channels, height, width = shape
    out_height, out_width = shape[2:]
    if size is not None and size != (height, width):
        out_height, out_width = pair(size, op, "size")
        _check_pixels(op, (images, channels, out_height, out_width))
    matrices = _numbers(op, "matrix", matrix, (images, 3, 3), np.float64)
    corner = matrices[:, 2, 2:3, None]
    if (corner != 1).any():
        with np.errstate(all="ignore"):
            matrices = np.where(corner == 0, matrices, matrices / np.where(corner == 0, 1.0, corner))
        matrices = np.ascontiguousarray(matrices)
    windows = None
    if window is not None:
        windows = _numbers(op, "window", window, (images, 4), np.int64)
        inside = (
            (windows[:, :2] >= 0) & (windows[:, :2] < windows[:, 2:]) & (windows[:, 2:] <= (width, height))
        )
        if not inside.all():
            raise ArgumentError(f"{op}: a window leaves its image of {height} x {width} pixels, or is empty")
        windows = windows.astype(np.int32)
    fields = None
    if field is not None:
        wide = (images, 2, out_height, out_width)
        plain = is_on_gpu(field) and field.shape == wide and field.dtype == np.float32
        fields = field if plain else _numbers(op, "field", field, wide)
    kind, edge = _choice(op, "mode", mode, _MODES), _choice(op, "border", border, _BORDERS)
    taps = 0
    if flag(op, "antialias", antialias):
        if edge != 1 or kind != 0 or fields is not None:
            raise ArgumentError(f"{op}: antialias is True, expected border 'nearest' and mode 'bilinear'")
        flat = matrices.reshape(images, 9)
        if flat[:, 1:4:2].any() or flat[:, 6:8].any() or (flat[:, 8] != 1).any():
            raise ArgumentError(f"{op}: antialias is True, expected matrices that leave axes axes")
        largest = float(np.abs(flat[:, :5:4]).max()) if images else 1.0
        if not largest < _MOST_TAPS / 2:
            raise ArgumentError(
                f"{op}: matrix shrinks an axis {largest:g} times, expected below {_MOST_TAPS // 2}"
            )
        taps = int(2 * largest) + 2 if largest > 1 else 0
    factors = _scaling(op, scale, shift, channels)
    out_dtype = _out_dtype(op, pixel, dtype, factors[0])
    if images * channels * out_height * out_width and not height * width:
        raise ShapeError(f"{op}: x has shape {shape}, expected at least one pixel")
    fills = _numbers(op, "fill", fill, (channels,))
    shared = (fills, *factors, kind, edge, taps)
    return Launch(op, (out_height, out_width), out_dtype, (matrices, windows, fields), shared)


def augment_color(
    x: Any,
    kinds: Any,
    values: Any,
    *,
    limit: float | None = None,
    scale: Any = None,
    shift: Any = None,
    dtype: Any = None,
    channels_last: bool = False,
) -> np.ndarray:
    """Steps on colours, a list of them for each image, one after the other.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    kinds : list of str, or int array [images, steps]
        Numbers are places in this list: "none"; "brightness" v x; "contrast" v x + (1 - v) mean of grey;
        "saturation" v x + (1 - v) grey; "hue", turned by v of a circle, from -0.5 to 0.5; "posterize" to v
        bits; "solarize", inverted where x >= v; "invert"; "autocontrast"; "equalize"; "grayscale"; "offset"
        x + v, within the range that the image has; "channel_contrast" v x + (1 - v) mean of the channel;
        "add" x + v; "bits", the v highest of eight bits of the value's whole number.
    values : array [images, steps], or what gives it when repeated
        v of each step.
    limit : float, optional
        White. Default: 255 for uint8, 1 for float32.
    scale, shift, dtype : as :func:`augment_warp`
    channels_last : bool, default False
        Whether x is [images, height, width, channels], and so the result.

    Returns
    -------
    array
        As x. Of bytes, each step rounds down.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For other types, shapes and options.

    Notes
    -----
    Steps are those of torchvision's functions of the same names. Saturation, hue and grayscale leave pictures
    of one channel as they are, hue all but those of three.
    """
    a = _pictures("augment_color", x)
    return color_launch(
        a.shape, a.dtype, kinds, values, limit=limit, scale=scale, shift=shift, dtype=dtype,
        channels_last=channels_last,
    ).run(a)  # fmt: skip


def color_launch(
    shape: tuple[int, ...],
    pixel: np.dtype,
    kinds: Any,
    values: Any,
    *,
    limit: float | None = None,
    scale: Any = None,
    shift: Any = None,
    dtype: Any = None,
    channels_last: bool = False,
) -> Launch:
    """:func:`augment_color` of pictures of this shape and type, yet to be launched."""
    op = "augment_color"
    if isinstance(kinds, (list, tuple)) and all(isinstance(kind, str) for kind in kinds):
        kinds = [_choice(op, "kinds", kind, _KINDS) for kind in kinds]
    kinds = np.asarray(kinds if len(kinds) else np.empty((0,), np.int32))
    steps = kinds.shape[-1] if kinds.ndim else 1
    codes = _numbers(op, "kinds", kinds, (shape[0], steps), np.int32)
    shares = _numbers(op, "values", values, (shape[0], steps))
    if codes.size and not 0 <= codes.min() <= codes.max() < len(_KINDS):
        raise ArgumentError(
            f"{op}: kinds has numbers {codes.min()} to {codes.max()}, expected 0 to {len(_KINDS) - 1}"
        )
    if steps > 1024:
        raise ArgumentError(f"{op}: kinds has {steps} steps, expected at most 1024")
    if not (np.abs(shares[codes == 4]) <= 0.5).all():
        raise ArgumentError(f"{op}: values turns a hue by more than half a circle, expected -0.5 to 0.5")
    bits = shares[(codes == 5) | (codes == 14)]
    if not ((bits >= 0) & (bits <= 8)).all():
        raise ArgumentError(f"{op}: values has a number of bits outside of 0 to 8")
    last = flag(op, "channels_last", channels_last)
    factors = _scaling(op, scale, shift, shape[3 if last else 1])
    out_dtype = _out_dtype(op, pixel, dtype, factors[0])
    shared = (*factors, _limit(op, pixel, limit), last)
    size = shape[1:3] if last else shape[2:]
    return Launch(op, size, out_dtype, (codes, shares), shared, out_dtype == pixel, last)  # type: ignore[arg-type]


def augment_mirror(x: Any, across: Any, down: Any = False, *, channels_last: bool = False) -> np.ndarray:
    """Left and right, top and bottom of some images change places.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    across, down : bool array [images], or one for all
        Whether left and right, top and bottom do.
    channels_last : bool, default False
        Whether x is [images, height, width, channels], and so the result.

    Returns
    -------
    array
        As x.

    Raises
    ------
    DTypeError, ShapeError
        For other types and shapes.
    """
    a = _pictures("augment_mirror", x)
    return mirror_launch(a.shape, a.dtype, across, down, channels_last=channels_last).run(a)


def mirror_launch(
    shape: tuple[int, ...], pixel: np.dtype, across: Any, down: Any = False, *, channels_last: bool = False
) -> Launch:
    """:func:`augment_mirror` of pictures of this shape and type, yet to be launched."""
    op = "augment_mirror"
    flags = []
    for name, given in (("across", across), ("down", down)):
        chosen = np.asarray(given)
        if chosen.dtype != np.bool_:
            raise DTypeError(f"{op}: {name} has dtype {chosen.dtype}, expected bool")
        if chosen.shape not in ((), (1,), shape[:1]):
            raise ShapeError(f"{op}: {name} has shape {chosen.shape}, expected {shape[:1]}")
        each = np.empty(shape[0], np.bool_)
        each[...] = chosen
        flags.append(each.view(np.uint8))
    last = flag(op, "channels_last", channels_last)
    size = shape[1:3] if last else shape[2:]
    return Launch(op, size, pixel, tuple(flags), (last,), False, last)  # type: ignore[arg-type]


def augment_erase(x: Any, boxes: Any, value: Any = 0.0, *, filler: Any = None) -> np.ndarray:
    """A box of each image filled, with a value or with what another picture has there.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    boxes : int array [images, 4] or [4]
        Left, top, right and bottom edges; boxes without an area leave their image as it is.
    value : float or array [channels], default 0
    filler : array as x, optional
        Where boxes take their pixels from, instead of the value.

    Returns
    -------
    array
        As x.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For other types and shapes; a box that leaves its image.
    """
    a = _pictures("augment_erase", x)
    other = None if filler is None else _pictures("augment_erase", filler)
    return erase_launch(a.shape, a.dtype, boxes, value, filler=other).run(a)


def erase_launch(
    shape: tuple[int, ...], pixel: np.dtype, boxes: Any, value: Any = 0.0, *, filler: np.ndarray | None = None
) -> Launch:
    """:func:`augment_erase` of pictures of this shape and type, yet to be launched."""
    op = "augment_erase"
    edges = _numbers(op, "boxes", boxes, (shape[0], 4), np.int32)
    low, high = edges[:, :2], edges[:, 2:]
    if edges.size and not (edges.min() >= 0 and (low <= high).all() and (high <= shape[:1:-1]).all()):
        raise ArgumentError(f"{op}: a box leaves its image of {shape[2]} x {shape[3]} pixels")
    if filler is not None and (filler.shape != shape or filler.dtype != pixel):
        raise ShapeError(
            f"{op}: filler has shape {filler.shape} and dtype {filler.dtype}, expected {shape} and {pixel}"
        )
    values = _numbers(op, "value", value, shape[1:2])
    return Launch(op, shape[2:], pixel, (edges, filler), (values,), True)  # type: ignore[arg-type]


def augment_filter(
    x: Any,
    rows: Any,
    columns: Any,
    *,
    keep: Any = 0.0,
    gain: Any = 1.0,
    edges: bool = False,
    limit: float | None = None,
) -> np.ndarray:
    """keep x + gain times a separable filter of x, whose outermost pixels are mirrors.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    rows, columns : array [images, taps] or [taps]
        Weights downwards and across, an odd number of each.
    keep, gain : float or array [images], default 0 and 1
    edges : bool, default False
        Whether pixels whose window sticks out of the image are left as they are.
    limit : float, optional
        Results are clamped to 0 .. limit. Default: not, and uint8 to 0 .. 255.

    Returns
    -------
    array
        As x.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For other types, shapes and options.
    """
    a = _pictures("augment_filter", x)
    return filter_launch(a.shape, a.dtype, rows, columns, keep=keep, gain=gain, edges=edges, limit=limit).run(
        a
    )


def filter_launch(
    shape: tuple[int, ...],
    pixel: np.dtype,
    rows: Any,
    columns: Any,
    *,
    keep: Any = 0.0,
    gain: Any = 1.0,
    edges: bool = False,
    limit: float | None = None,
) -> Launch:
    """:func:`augment_filter` of pictures of this shape and type, yet to be launched."""
    op, images = "augment_filter", shape[0]
    weights = []
    for name, given in (("rows", rows), ("columns", columns)):
        taps = np.shape(given)[-1] if np.ndim(given) else 1
        if taps % 2 == 0 or taps > _MOST_TAPS:
            raise ShapeError(f"{op}: {name} has {taps} taps, expected an odd number up to {_MOST_TAPS}")
        weights.append(_numbers(op, name, given, (images, taps)))
    kept, gained = (_numbers(op, name, v, (images,)) for name, v in (("keep", keep), ("gain", gain)))
    most = 0.0 if limit is None else _limit(op, pixel, limit)
    shared = (flag(op, "edges", edges), most)
    return Launch(op, shape[2:], pixel, (*weights, kept, gained), shared)  # type: ignore[arg-type]


def augment_draws(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Numbers of each image, evenly from [0, 1), by the seed and the image's number alone.

    Parameters
    ----------
    rows : int64 array [images]
        From 0 to 2**32 - 1.
    count : int
    seed : int
        From 0 to 2**64 - 1.

    Returns
    -------
    float64 array [images, count]
    """
    drawn = np.zeros((len(rows), 1, 1, count), np.float32)
    if drawn.size:
        ones = _ONES[: len(rows)] if len(rows) <= len(_ONES) else np.ones(len(rows), np.float32)
        engines.cpu().augment_noise(drawn, drawn, rows, ones, ones, seed, 1, 0.0)
    out = np.add(drawn.reshape(len(rows), count), 1.0, dtype=np.float64)
    out *= 0.5
    return out


def _check_rows(op: str, rows: np.ndarray) -> None:
    if rows.size and rows.view(np.uint64).max() >= 2**32:
        raise ArgumentError(f"{op}: rows has numbers {rows.min()} to {rows.max()}, expected 0 to 2**32 - 1")


def augment_noise(
    x: Any,
    rows: Any,
    amount: Any,
    *,
    kind: str = "normal",
    salt: Any = 0.5,
    seed: int = 0,
    limit: float | None = None,
) -> np.ndarray:
    """Noise that depends on the seed and the number of each image, and on nothing else.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    rows : int array [images]
        The numbers of the images, from 0 to 2**32 - 1: the same number has the same noise in any batch.
    amount : float or array [images]
        The standard deviation, the half width of uniform noise, or the share of elements that change.
    kind : "normal", "uniform" or "salt_and_pepper", default "normal"
    salt : float or array [images], default 0.5
        Of elements that change, the share that becomes white.
    seed : int, default 0
        From 0 to 2**64 - 1.
    limit : float, optional
        Results are clamped to 0 .. limit. Default: not, and uint8 to 0 .. 255. For salt it is white, by
        default 255 for uint8 and 1 for float32.

    Returns
    -------
    array
        As x.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For other types, shapes and options.
    """
    a = _pictures("augment_noise", x)
    return noise_launch(a.shape, a.dtype, rows, amount, kind=kind, salt=salt, seed=seed, limit=limit).run(a)


def noise_launch(
    shape: tuple[int, ...],
    pixel: np.dtype,
    rows: Any,
    amount: Any,
    *,
    kind: str = "normal",
    salt: Any = 0.5,
    seed: int = 0,
    limit: float | None = None,
) -> Launch:
    """:func:`augment_noise` of pictures of this shape and type, yet to be launched."""
    op, images = "augment_noise", shape[0]
    numbers = _numbers(op, "rows", rows, (images,), np.int64)
    _check_rows(op, numbers)
    amounts, salts = (_numbers(op, name, v, (images,)) for name, v in (("amount", amount), ("salt", salt)))
    code = _choice(op, "kind", kind, _NOISES)
    most = 0.0 if limit is None and code < 2 else _limit(op, pixel, limit)
    shared = (integer(op, "seed", seed, 0, 2**64 - 1), code, most)
    return Launch(op, shape[2:], pixel, (numbers, amounts, salts), shared, True)  # type: ignore[arg-type]
