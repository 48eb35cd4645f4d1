"""Cascades of Haar features: integral images, multi-scale scan, grouping, values for training.

Images are uint8 arrays; nothing here has a gradient. What the numbers mean is in
``csrc/kernels/haar/haar.h``.
Detections are those of OpenCV 4.

Sources: Viola and Jones, "Rapid object detection using a boosted cascade of simple features", 2001; Lienhart
and Maydt, "An extended set of Haar-like features for rapid object detection", 2002.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside, device_of, is_on_gpu, move, near
from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from einkorn.ops._sealed import sealed

__all__ = [
    "HaarCascade",
    "cascade_scan",
    "group_rectangles",
    "haar_features",
    "haar_patch_sums",
    "integral_image",
    "resize_exact",
]

MAX_WINDOW = 65536  # pixels: sums of squares of a window stay below 2^32
_MAX_SIDE = 1 << 24
_MAX_TREE = 1024
_SCANNED = 1 << 23  # pixels of resized images that one launch scans, about: some tenths of a second
_TOLERANCE = np.float32(1e-5)


def _bytes(op: str, name: str, x: Any, ndim: int) -> Any:
    """A contiguous uint8 array of a number of dimensions, where it is, or a refusal."""
    if not hasattr(x, "__array__"):
        raise DTypeError(f"{op}: {name} is a {type(x).__name__}, expected a uint8 array")
    refuse_masked(x, f"{op}: {name}")
    a = x if is_on_gpu(x) else np.asarray(x)
    if a.dtype != np.uint8:
        raise DTypeError(f"{op}: {name} has dtype {a.dtype}, expected uint8")
    if a.ndim != ndim:
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {ndim} dimensions")
    if max(a.shape, default=0) >= _MAX_SIDE and ndim == 2:
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected sides below {_MAX_SIDE}")
    return a if a.flags.c_contiguous else a.copy()


def _numbers(op: str, name: str, x: Any, dtype: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """A contiguous array of ``dtype`` from numbers of the same kind, of a shape in which None is any size."""
    refuse_masked(x, f"{op}: {name}")
    try:
        a = np.asarray(x)
    except ValueError:
        raise ShapeError(f"{op}: {name} is no regular array") from None
    wanted = np.dtype(dtype)
    kinds = "iu" if wanted.kind in "iu" else "iuf"
    if a.size and a.dtype.kind not in kinds:
        kind = "whole numbers" if wanted.kind in "iu" else "numbers"
        raise DTypeError(f"{op}: {name} has dtype {a.dtype}, expected {kind}")
    if a.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, a.shape, strict=True)):
        sizes = ", ".join("n" if n is None else str(n) for n in shape)
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected ({sizes})")
    if wanted.kind in "iu" and a.size:
        limits = np.iinfo(wanted)
        if a.min() < limits.min or a.max() > limits.max:
            raise ArgumentError(f"{op}: {name} has numbers outside of [{limits.min}, {limits.max}]")
    return np.ascontiguousarray(a, dtype=wanted)


def _side(op: str, name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an int") from None


def _check_window(op: str, height: int, width: int) -> None:
    if height < 3 or width < 3 or height * width > MAX_WINDOW:
        raise ShapeError(
            f"{op}: a window of height {height} and width {width}, expected at least 3 x 3 and at most"
            f" {MAX_WINDOW} pixels"
        )


def _check_rects(op: str, rects: np.ndarray, tilted: np.ndarray | None, height: int, width: int) -> None:
    """Refuse the first feature that leaves the window."""
    x, y, w, h = np.moveaxis(rects.astype(np.int64), -1, 0)
    turned = np.zeros(x.shape, bool) if tilted is None else np.broadcast_to(tilted[:, None] != 0, x.shape)
    right = np.where(turned, (x + w > width) | (x - h < 0), x + w > width)
    below = np.where(turned, y + w + h > height, y + h > height)
    bad = (x < 0) | (y < 0) | (w < 0) | (h < 0) | right | below
    if bad.any():
        i, j = np.argwhere(bad)[0]
        raise ArgumentError(
            f"{op}: rectangle {j} of feature {i} is {rects[i, j].tolist()}, outside of the window of"
            f" {width} x {height}"
        )


@dataclass(frozen=True)
class HaarCascade:
    """A cascade as arrays, checked: what :func:`cascade_scan` runs.

    Attributes
    ----------
    height, width : int
        The window.
    rects : int32 [features, 3, 4]
        Rectangles (x, y, width, height) within the window; those of weight 0 are absent.
    weights : float32 [features, 3]
    tilted : uint8 [features]
        1: the feature's rectangles are turned by 45 degrees.
    feature : int32 [nodes]
    threshold : float32 [nodes]
        Left when the feature's value, divided by the window's standard deviation and area, is below.
    left, right : int32 [nodes]
        Children, counted from the tree's first node and after their parent; 0: a leaf.
    left_value, right_value : float32 [nodes]
        Of the leaves.
    tree_nodes : int32 [trees + 1]
        Where each tree's nodes begin.
    stage_trees : int32 [stages + 1]
        Where each stage's trees begin.
    stage_threshold : float32 [stages]
        A window passes unless the sum of its leaves is below it by more than 1e-5, OpenCV's tolerance.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        For arrays that do not fit together, indices out of range and rectangles outside of the window.
    """

    height: int
    width: int
    rects: np.ndarray
    weights: np.ndarray
    tilted: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    left_value: np.ndarray
    right_value: np.ndarray
    tree_nodes: np.ndarray
    stage_trees: np.ndarray
    stage_threshold: np.ndarray

    def __post_init__(self) -> None:
        op = "HaarCascade"
        for side in ("height", "width"):
            object.__setattr__(self, side, _side(op, side, getattr(self, side)))
        _check_window(op, self.height, self.width)

        def fix(name: str, dtype: Any, shape: tuple[int | None, ...]) -> np.ndarray:
            a = _numbers(op, name, getattr(self, name), dtype, shape)
            if a.dtype.kind == "f" and not np.isfinite(a).all():
                raise ArgumentError(f"{op}: {name} has numbers that are not finite")
            a = sealed(a)
            object.__setattr__(self, name, a)
            return a

        rects = fix("rects", np.int32, (None, 3, 4))
        fix("weights", np.float32, (len(rects), 3))
        tilted = fix("tilted", np.uint8, (len(rects),))
        feature = fix("feature", np.int32, (None,))
        for name in ("threshold", "left_value", "right_value"):
            fix(name, np.float32, feature.shape)
        left, right = (fix(name, np.int32, feature.shape) for name in ("left", "right"))
        trees = fix("tree_nodes", np.int32, (None,))
        stages = fix("stage_trees", np.int32, (None,))
        fix("stage_threshold", np.float32, (max(len(stages) - 1, 0),))

        _check_rects(op, rects, tilted, self.height, self.width)
        if feature.size and not (feature.min() >= 0 and feature.max() < len(rects)):
            raise ArgumentError(f"{op}: feature has numbers outside of [0, {len(rects)})")
        for name, bounds, last in (
            ("tree_nodes", trees, len(feature)),
            ("stage_trees", stages, len(trees) - 1),
        ):
            if len(bounds) < 1 or bounds[0] != 0 or bounds[-1] != last or (np.diff(bounds) < 1).any():
                raise ArgumentError(f"{op}: {name} must grow from 0 to {last}")
        if (np.diff(trees) > _MAX_TREE).any():
            raise ArgumentError(f"{op}: a tree has more than {_MAX_TREE} nodes")
        place = np.arange(len(feature)) - np.repeat(trees[:-1], np.diff(trees))
        size = np.repeat(np.diff(trees), np.diff(trees))
        for name, child in (("left", left), ("right", right)):
            if ((child != 0) & ((child <= place) | (child >= size))).any():
                raise ArgumentError(f"{op}: {name} has children before their parent or outside of its tree")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def n_stages(self) -> int:
        """Number of stages."""
        return len(self.stage_threshold)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Arrays in the order of the kernel's arguments."""
        return (
            self.rects,
            self.weights,
            self.tilted,
            self.feature,
            self.threshold,
            self.left,
            self.right,
            self.left_value,
            self.right_value,
            self.tree_nodes,
            self.stage_trees,
            self.stage_threshold - _TOLERANCE,
        )


def integral_image(image: Any, squared: bool = False, tilted: bool = False) -> Any:
    """Sums over all rectangles that begin in the upper left corner.

    Parameters
    ----------
    image : uint8 array [height, width]
        Fewer than 2^31 / 255 pixels, so that its sum fits.
    squared : bool, default False
        Also the sums of squares.
    tilted : bool, default False
        Also the sums over cones: row v < y, column u with ``|u - x + 1| < y - v``.

    Returns
    -------
    int32 array [height + 1, width + 1]
        Row and column 0 are zero. With ``squared`` or ``tilted`` a tuple: sums, squares (int64), tilted
        (int32).

    Raises
    ------
    DTypeError, ShapeError
        Unless the image is a uint8 matrix of that size.
    """
    op = "integral_image"
    a = _bytes(op, "image", image, 2)
    if a.size * 255 >= 1 << 31:
        raise ShapeError(f"{op}: image has shape {a.shape}: its sum may not fit into 31 bits")
    k = engines.of(a)
    shape = (a.shape[0] + 1, a.shape[1] + 1)
    sums = k.empty(shape, np.int32)
    squares = k.empty(shape, np.int64) if squared else None
    cones = k.empty(shape, np.int32) if tilted else None
    k.integral_image(sums, squares, cones, a)
    found = tuple(table for table in (sums, squares, cones) if table is not None)
    return found if len(found) > 1 else sums


def resize_exact(image: Any, height: int, width: int) -> Any:
    """Resize by bilinear interpolation in whole numbers: OpenCV's ``INTER_LINEAR_EXACT``.

    Parameters
    ----------
    image : uint8 array [in_height, in_width]
    height, width : int

    Returns
    -------
    uint8 array [height, width]

    Raises
    ------
    DTypeError, ShapeError
        Unless the image is a uint8 matrix, and not empty.
    ArgumentError
        For negative or huge sizes.
    """
    op = "resize_exact"
    a = _bytes(op, "image", image, 2)
    sizes = []
    for name, value in (("height", height), ("width", width)):
        size = _side(op, name, value)
        if not 0 <= size < _MAX_SIDE:
            raise ArgumentError(f"{op}: {name} is {size}, expected 0 to {_MAX_SIDE - 1}")
        sizes.append(size)
    if a.size == 0 and sizes[0] * sizes[1] > 0:
        raise ShapeError(f"{op}: image has shape {a.shape}, expected at least one pixel")
    k = engines.of(a)
    out = k.empty(tuple(sizes), np.uint8)
    k.resize_exact(out, a)
    return out


def cascade_scan(image: Any, cascade: HaarCascade, levels: Any, scales: Any) -> Any:
    """Windows that pass all stages, on an image resized to several sizes.

    Parameters
    ----------
    image : uint8 array [height, width]
        Of an image on a GPU, windows are tried there and the boxes given on the CPU.
    cascade : HaarCascade
    levels : whole numbers [n, 4]
        (height, width, step, rows) of each size: at most the image's; windows are ``step`` (1 or 2) apart and
        begin before row ``rows``.
    scales : numbers [n]
        What a level's windows are multiplied by, to be boxes on the image.

    Returns
    -------
    int32 array [boxes, 4]
        (x, y, width, height), by level, row and column.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For what is not as above.
    """
    op = "cascade_scan"
    a = _bytes(op, "image", image, 2)
    if not isinstance(cascade, HaarCascade):
        raise ArgumentError(f"{op}: cascade is a {type(cascade).__name__}, expected a HaarCascade")
    levels = _numbers(op, "levels", levels, np.int32, (None, 4))
    scales = _numbers(op, "scales", scales, np.float32, (len(levels),))
    if not np.isfinite(scales).all() or (np.abs(scales) * max(*a.shape, 1) >= 1 << 30).any():
        raise ArgumentError(f"{op}: scales must be finite and keep boxes below 2^30")
    if len(levels) and ((levels[:, :2] < 1) | (levels[:, :2] > a.shape)).any():
        raise ArgumentError(f"{op}: levels must have at least one pixel and at most the image's {a.shape}")
    if len(levels) and not np.isin(levels[:, 2], (1, 2)).all():
        raise ArgumentError(f"{op}: steps of levels must be 1 or 2")
    k = engines.of(a)
    stages = [beside(a, array) for array in cascade.arrays()]
    capacity = 4096
    found = [np.empty((0, 4), np.int32)]
    # Some levels a launch: Ctrl-C is heard between launches.
    launch = np.cumsum(levels[:, 0].astype(np.int64) * levels[:, 1]) // _SCANNED
    for part in np.split(np.arange(len(levels)), np.flatnonzero(np.diff(launch)) + 1):
        while True:
            boxes, found_there = k.empty((capacity, 4), np.int32), beside(a, np.zeros(1, np.int64))
            some = (beside(a, levels[part]), beside(a, scales[part]))
            k.cascade_scan(boxes, found_there, a, *some, *stages, cascade.height, cascade.width)
            count = int(near(found_there)[0])
            if count <= capacity:
                break
            capacity = count
        found.append(near(boxes[:count].copy()))
    return np.concatenate(found)


def group_rectangles(boxes: Any, min_neighbors: int = 3, eps: float = 0.2) -> tuple[Any, Any]:
    """Merge boxes that are alike into their mean, as OpenCV's ``groupRectangles`` does.

    Two boxes are alike when each side of one is within ``eps`` times the mean of the smaller width and the
    smaller height of the same side of the other. Connected boxes are a group.

    Parameters
    ----------
    boxes : whole numbers [n, 4]
        (x, y, width, height).
    min_neighbors : int, default 3
        Groups of more boxes than that are kept, except those within a stronger group. 0: all boxes are
        returned.
    eps : float, default 0.2

    Returns
    -------
    boxes : int32 array [groups, 4]
    neighbors : int32 array [groups]
        How many boxes each group had.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For what is no array of boxes, a negative ``min_neighbors`` and a negative or infinite ``eps``.
    """
    op = "group_rectangles"
    a = _numbers(
        op, "boxes", np.zeros((0, 4), np.int32) if np.size(boxes) == 0 else boxes, np.int32, (None, 4)
    )
    try:
        least = operator.index(min_neighbors)
    except TypeError:
        raise ArgumentError(f"{op}: min_neighbors is {min_neighbors!r}, expected an int") from None
    if least < 0:
        raise ArgumentError(f"{op}: min_neighbors is {least}, expected at least 0")
    if not (isinstance(eps, (int, float, np.number)) and 0 <= eps < math.inf):
        raise ArgumentError(f"{op}: eps is {eps!r}, expected a finite number of at least 0")
    if least == 0 or len(a) == 0:
        return a.copy(), np.ones(len(a), np.int32)
    k = engines.of(a)
    out = k.empty(a.shape, np.int32)
    neighbors = k.empty((len(a),), np.int32)
    count = np.zeros(1, np.int64)
    order = np.argsort(a[:, 0], kind="stable").astype(np.int64)
    k.group_rectangles(out, neighbors, count, a, order, min(least, 1 << 31), float(eps))
    return out[: count[0]].copy(), neighbors[: count[0]].copy()


def haar_patch_sums(patches: Any) -> tuple[Any, Any]:
    """Integral images of patches, side by side, and their normalization: what :func:`haar_features` reads.

    Parameters
    ----------
    patches : uint8 array [n, height, width]
        At least 3 x 3 and at most 65536 pixels each.

    Returns
    -------
    sums : int32 array [(height + 1) * (width + 1), n]
    scale : float32 array [n]
        1 / (area * standard deviation) over the patch without its outermost pixels; 0 for a flat one, with a
        deviation of at most 10, which a cascade rejects unseen.

    Raises
    ------
    DTypeError, ShapeError
        For what is no array of patches.
    """
    op = "haar_patch_sums"
    a = _bytes(op, "patches", patches, 3)
    n, height, width = a.shape
    _check_window(op, height, width)
    k = engines.of(a)
    sums = k.empty(((height + 1) * (width + 1), n), np.int32)
    scale = k.empty((n,), np.float32)
    k.haar_patch_sums(sums, scale, a)
    return sums, scale


def _check_sums(op: str, sums: Any, scale: Any, places: int) -> None:
    """Refuse what is not as :func:`haar_patch_sums` gives it on a GPU."""
    for name, a, dtype, ndim in (("sums", sums, np.int32, 2), ("scale", scale, np.float32, 1)):
        if getattr(a, "dtype", None) != dtype:
            raise DTypeError(
                f"{op}: {name} has dtype {getattr(a, 'dtype', None)}, expected {np.dtype(dtype)}"
            )
        if a.ndim != ndim or not a.flags.c_contiguous:
            raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {ndim} dimensions, contiguous")
        if device_of(a) != device_of(sums):
            raise DeviceError(f"{op}: {name} is on {device_of(a)}, expected {device_of(sums)} as sums is")
    if sums.shape != (places, len(scale)):
        raise ShapeError(f"{op}: sums has shape {sums.shape}, expected {(places, len(scale))}")


def haar_features(sums: Any, scale: Any, rects: Any, weights: Any, height: int, width: int) -> Any:
    """Values of upright features over patches, normalized.

    Parameters
    ----------
    sums, scale : arrays
        Of :func:`haar_patch_sums`. Of sums on a GPU the values are computed there.
    rects : whole numbers [features, 3, 4]
        Rectangles (x, y, width, height); two-, three- and four-rectangle features are an outer rectangle of
        weight -1 and one or two inner ones.
    weights : numbers [features, 3]
        0: no such rectangle.
    height, width : int
        Of the patches.

    Returns
    -------
    float32 array [features, n]

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For arrays that do not fit together, and rectangles outside of the patch.
    """
    op = "haar_features"
    height, width = _side(op, "height", height), _side(op, "width", width)
    _check_window(op, height, width)
    place = device_of(sums) if is_on_gpu(sums) else "cpu"
    if place == "cpu":
        scale = _numbers(op, "scale", scale, np.float32, (None,))
        sums = _numbers(op, "sums", sums, np.int32, ((height + 1) * (width + 1), len(scale)))
    else:
        _check_sums(op, sums, scale, (height + 1) * (width + 1))
    rects = _numbers(op, "rects", rects, np.int32, (None, 3, 4))
    weights = _numbers(op, "weights", weights, np.float32, (len(rects), 3))
    _check_rects(op, rects, None, height, width)
    k = engines.of(sums)
    out = k.empty((len(rects), len(scale)), np.float32)
    k.haar_features(out, sums, scale, move(rects, place), move(weights, place), height, width)
    return out
