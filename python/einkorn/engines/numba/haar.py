"""Cascades of Haar features: integral images, resizing, scan, training values.

One window after the other, stage after stage. Sums are int64 here, so that nothing wraps; values of features
are float32 and stages add in float64, as csrc/kernels/haar/haar.h has it, so that every engine finds the same
windows. The parallel loops run over rows, patches or features.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from ._checks import optional_write, read, require, write
from ._compile import (
    Array,
    Float32Out1,
    Int,
    Int32In1,
    Int32In2,
    Loop,
    Operand,
    Scalar,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

Image = Annotated[Array, Operand(2, element="uint8")]
ImageOut = Annotated[Array, Operand(2, writable=True, element="uint8")]
Images = Annotated[Array, Operand(3, element="uint8")]
Flags = Annotated[Array, Operand(1, element="uint8")]
Table = Annotated[Array, Operand(2, element="int64")]
TableOut = Annotated[Array, Operand(2, writable=True, element="int64")]
Rects = Annotated[Array, Operand(3, element="int32")]
BoxesOut = Annotated[Array, Operand(2, writable=True, element="int32")]
Weights = Annotated[Array, Operand(2, element="float32")]
Floats = Annotated[Array, Operand(1, element="float32")]
FloatsOut2 = Annotated[Array, Operand(2, writable=True, element="float32")]

_PIXEL = 2.0  # ns
_WINDOW = 100.0  # ns
_FLAT = 0.1


@Loop
def _sum_image(table: TableOut, image: Image, squared: Int) -> None:
    height, width = image.shape
    table[0] = 0
    for y in range(height):
        row = np.int64(0)
        table[y + 1, 0] = 0
        for x in range(width):
            p = np.int64(image[y, x])
            row += p * p if squared else p
            table[y + 1, x + 1] = table[y, x + 1] + row


@Loop
def _sum_cones(table: TableOut, image: Image) -> None:
    """A cone is the two beside its tip, less what they share, and the two pixels at the tip."""
    height, width = image.shape
    table[0] = 0
    if height == 0 or width == 0:
        table[:] = 0
        return
    for y in range(1, height + 1):
        table[y, 0] = table[y - 1, 1] if y > 1 else 0
        for x in range(1, width + 1):
            tip = np.int64(image[y - 1, x - 1])
            if y > 1:
                tip += np.int64(image[y - 2, x - 1]) + table[y - 1, x - 1]
                if x < width:
                    tip += table[y - 1, x + 1] - table[y - 2, x]
            table[y, x] = tip


def _tables(image: Array, squared: bool, tilted: bool) -> list[Array | None]:
    shape = (image.shape[0] + 1, image.shape[1] + 1)
    sums = np.empty(shape, np.int64)
    _sum_image(sums, image, 0)
    squares = cones = None
    if squared:
        squares = np.empty(shape, np.int64)
        _sum_image(squares, image, 1)
    if tilted:
        cones = np.empty(shape, np.int64)
        _sum_cones(cones, image)
    return [sums, squares, cones]


_MOST_SIDE = 1 << 24
_MOST_WINDOW = 65536


def _check_image(image: Array) -> None:
    require(image.ndim == 2 and max(image.shape) < _MOST_SIDE, "an image must be [height, width]")


def _check_window(height: int, width: int) -> None:
    require(height >= 3 and width >= 3 and height * width <= _MOST_WINDOW, "window out of range")


def _check_rectangles(rects: Array, tilted: Array, height: int, width: int) -> None:
    """Rectangles [features, 3, 4], of which those of `tilted` features stand on a corner."""
    x, y, w, h = np.moveaxis(rects.astype(np.int64), 2, 0)
    turned = tilted[:, None] != 0
    inside = (rects >= 0).all(axis=2) & (x + w <= width)
    inside &= np.where(turned, (x - h >= 0) & (y + w + h <= height), y + h <= height)
    require(bool(inside.all()), "a rectangle leaves the window")


def _check_bounds(bounds: Array, last: int) -> None:
    require(bounds[0] == 0 and bounds[-1] == last, "bounds must cover everything")
    require(bool((np.diff(bounds) > 0).all()), "bounds must grow")


@kernel
def integral_image(sums: Array, squares: Array | None, tilted: Array | None, image: Array) -> None:
    """sums, squares and tilted = tables of sums over image; None: not wanted."""
    _check_image(image)
    shape = (image.shape[0] + 1, image.shape[1] + 1)
    for out in (sums, squares, tilted):
        require(out is None or out.shape == shape, "tables must be [height + 1, width + 1]")
    image = read("image", image, np.uint8, *image.shape)
    write("sums", sums, np.int32, *shape)
    optional_write("squares", squares, np.int64, *shape)
    optional_write("tilted", tilted, np.int32, *shape)
    tables = _tables(image, squares is not None, tilted is not None)
    for out, table in zip((sums, squares, tilted), tables, strict=True):
        if out is not None:
            out[...] = table


@inline
def _tap(i: int, ratio: float, size: int) -> tuple[int, int]:
    """Source pixel and weight, in 256ths, of the one after it."""
    f = ratio * (i + 0.5) - 0.5
    a = math.floor(f)
    if a < 0:
        return 0, 0
    if a >= size - 1:
        return size - 1, 0
    return a, int(np.rint((f - a) * 256.0))


@Loop
def _resize_rows(start: Int, stop: Int, out: ImageOut, image: Image, down: Scalar, along: Scalar) -> None:
    height, width = image.shape
    for y in range(start, stop):
        v, weight_v = _tap(y, down, height)
        v1 = min(v + 1, height - 1)
        for x in range(out.shape[1]):
            u, weight_u = _tap(x, along, width)
            u1 = min(u + 1, width - 1)
            above = (256 - weight_u) * np.int64(image[v, u]) + weight_u * np.int64(image[v, u1])
            below = (256 - weight_u) * np.int64(image[v1, u]) + weight_u * np.int64(image[v1, u1])
            out[y, x] = ((256 - weight_v) * above + weight_v * below + 0x8000) >> 16


@kernel
def resize_exact(out: Array, image: Array) -> None:
    """out = image, resized bilinearly in whole numbers."""
    _check_image(image)
    _check_image(out)
    if out.size == 0:
        return
    require(image.size > 0, "an empty image cannot be resized")
    out = write("out", out, np.uint8, *out.shape)
    image = read("image", image, np.uint8, *image.shape)
    down, along = (1.0 / (n / m) for n, m in zip(out.shape, image.shape, strict=True))
    rows = out.shape[0]
    cost = 5 * _PIXEL * out.shape[1]
    parallel_for(rows, cost, lambda start, stop: _resize_rows(start, stop, out, image, down, along))


@Loop
def _gray_rows(start: Int, stop: Int, out: ImageOut, image: Images) -> None:
    for y in range(start, stop):
        for x in range(out.shape[1]):
            r, g, b = (np.int64(image[y, x, 0]), np.int64(image[y, x, 1]), np.int64(image[y, x, 2]))
            out[y, x] = (9798 * r + 19235 * g + 3735 * b + 0x4000) >> 15


@kernel
def rgb_to_gray(out: Array, image: Array) -> None:
    """out = brightness of red, green and blue."""
    require(
        out.ndim == 2 and image.shape == (*out.shape, 3),
        "image must be [height, width, 3] and out [height, width]",
    )
    out = write("out", out, np.uint8, *out.shape)
    image = read("image", image, np.uint8, *image.shape)
    cost = _PIXEL * out.shape[1] + 1
    parallel_for(out.shape[0], cost, lambda start, stop: _gray_rows(start, stop, out, image))


@inline
def _rectangle(sums: Array, cones: Array, y: int, x: int, rect: Array, tilted: int) -> int:
    u, v, w, h = x + rect[0], y + rect[1], rect[2], rect[3]
    if tilted:
        return cones[v, u] - cones[v + h, u - h] - cones[v + w, u + w] + cones[v + w + h, u + w - h]
    return sums[v, u] - sums[v, u + w] - sums[v + h, u] + sums[v + h, u + w]


@inline
def _normalization(area: float, total: float, squares: float) -> float:
    """Of sums over a window; 0: it is flat."""
    variance = area * squares - total * total
    if not variance > 0:
        return np.float32(0)
    scale = np.float32(1.0 / math.sqrt(variance))
    return scale if area * scale < _FLAT else np.float32(0)


@Loop
def _scan_rows(
    start: Int,
    stop: Int,
    hits: ImageOut,
    sums: Table,
    squares: Table,
    cones: Table,
    step: Int,
    rects: Rects,
    weights: Weights,
    tilted: Flags,
    feature: Int32In1,
    threshold: Floats,
    left: Int32In1,
    right: Int32In1,
    left_value: Floats,
    right_value: Floats,
    tree_nodes: Int32In1,
    stage_trees: Int32In1,
    stage_threshold: Floats,
    height: Int,
    width: Int,
) -> None:
    area = float((height - 2) * (width - 2))
    stages = stage_threshold.shape[0]
    for row in range(start, stop):
        y = row * step
        passed_over = False
        for column in range(hits.shape[1]):
            hits[row, column] = 0
            if passed_over:
                passed_over = False
                continue
            x = column * step
            y1, x1 = y + height - 1, x + width - 1
            total = sums[y + 1, x + 1] - sums[y + 1, x1] - sums[y1, x + 1] + sums[y1, x1]
            power = squares[y + 1, x + 1] - squares[y + 1, x1] - squares[y1, x + 1] + squares[y1, x1]
            scale = _normalization(area, float(total), float(power))
            if scale == 0:
                continue
            passed = 0
            for stage in range(stages):
                found = 0.0
                for tree in range(stage_trees[stage], stage_trees[stage + 1]):
                    at = 0
                    while True:
                        node = tree_nodes[tree] + at
                        f = feature[node]
                        value = np.float32(0)
                        for r in range(3):
                            if weights[f, r] != 0:
                                area_sum = _rectangle(sums, cones, y, x, rects[f, r], tilted[f])
                                value = np.float32(value + np.float32(weights[f, r] * np.float32(area_sum)))
                        if np.float32(value * scale) < threshold[node]:
                            leaf, at = left_value[node], left[node]
                        else:
                            leaf, at = right_value[node], right[node]
                        if at == 0:
                            break
                    found += leaf
                if found < stage_threshold[stage]:
                    break
                passed += 1
            hits[row, column] = passed == stages
            passed_over = passed == 0


def _check_cascade(
    rects: Array,
    weights: Array,
    tilted: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    right: Array,
    left_value: Array,
    right_value: Array,
    tree_nodes: Array,
    stage_trees: Array,
    stage_threshold: Array,
    height: int,
    width: int,
) -> tuple[Array, ...]:
    """The arrays of a cascade, in their order."""
    _check_window(height, width)
    features, nodes = rects.shape[0] if rects.ndim else 0, feature.size
    require(
        rects.shape == (features, 3, 4) and weights.shape == (features, 3) and tilted.shape == (features,),
        "rects [features, 3, 4], weights [features, 3] and tilted [features] do not fit",
    )
    for x in (feature, threshold, left, right, left_value, right_value):
        require(x.shape == (nodes,), "arrays of nodes must have one length")
    require(
        tree_nodes.ndim == stage_trees.ndim == 1 and tree_nodes.size >= 1 and stage_trees.size >= 1,
        "tree_nodes and stage_trees must have a bound more than parts",
    )
    trees, stages = tree_nodes.size - 1, stage_trees.size - 1
    require(stage_threshold.shape == (stages,), "stage_threshold must have one element for each stage")
    rects = read("rects", rects, np.int32, features, 3, 4)
    weights = read("weights", weights, np.float32, features, 3)
    tilted = read("tilted", tilted, np.uint8, features)
    feature = read("feature", feature, np.int32, nodes)
    threshold = read("threshold", threshold, np.float32, nodes)
    left, right = read("left", left, np.int32, nodes), read("right", right, np.int32, nodes)
    left_value = read("left_value", left_value, np.float32, nodes)
    right_value = read("right_value", right_value, np.float32, nodes)
    tree_nodes = read("tree_nodes", tree_nodes, np.int32, trees + 1)
    stage_trees = read("stage_trees", stage_trees, np.int32, stages + 1)
    stage_threshold = read("stage_threshold", stage_threshold, np.float32, stages)
    _check_rectangles(rects, tilted, height, width)
    _check_bounds(stage_trees, trees)
    _check_bounds(tree_nodes, nodes)
    sizes = np.diff(tree_nodes)
    require(bool((sizes <= 1024).all()), "a tree has too many nodes")
    require(bool(((feature >= 0) & (feature < features)).all()), "feature out of range")
    place, size = np.arange(nodes) - np.repeat(tree_nodes[:-1], sizes), np.repeat(sizes, sizes)
    for child in (left, right):
        later = (child == 0) | ((child > place) & (child < size))
        require(bool(later.all()), "children must come after their parent, in its tree")
    return (
        rects, weights, tilted, feature, threshold, left, right, left_value, right_value, tree_nodes,
        stage_trees, stage_threshold,
    )  # fmt: skip


@kernel
def cascade_scan(
    boxes: Array,
    count: Array,
    image: Array,
    levels: Array,
    scales: Array,
    rects: Array,
    weights: Array,
    tilted: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    right: Array,
    left_value: Array,
    right_value: Array,
    tree_nodes: Array,
    stage_trees: Array,
    stage_threshold: Array,
    window_height: int,
    window_width: int,
) -> None:
    """boxes = windows that pass all stages, the first len(boxes) of them; count = how many there are."""
    _check_image(image)
    n = scales.size
    require(scales.ndim == 1 and levels.shape == (n, 4), "levels must be [n, 4] and scales [n]")
    require(
        boxes.ndim == 2 and boxes.shape[1] == 4 and count.size == 1,
        "boxes must be [n, 4] and count one number",
    )
    cascade = _check_cascade(
        rects, weights, tilted, feature, threshold, left, right, left_value, right_value, tree_nodes,
        stage_trees, stage_threshold, window_height, window_width,
    )  # fmt: skip
    levels = read("levels", levels, np.int32, n, 4)
    steps = levels[:, 2]
    require(
        n == 0
        or (
            image.size > 0
            and bool((levels[:, :2] > 0).all() and (levels[:, :2] <= image.shape).all())
            and bool(((steps == 1) | (steps == 2)).all())
        ),
        "levels must not be larger than the image, at a step of 1 or 2",
    )
    boxes = write("boxes", boxes, np.int32, *boxes.shape)
    count = write("count", count, np.int64, 1)
    image = read("image", image, np.uint8, *image.shape)
    scales = read("scales", scales, np.float32, n)
    found = 0
    for (height, width, step, limit), scale in zip(levels.tolist(), scales, strict=True):
        rows = -(-min(height - window_height + 1, limit) // step)
        across = (width - window_width) // step + 1
        if rows <= 0 or width < window_width or len(stage_threshold) == 0:
            continue
        resized = np.empty((height, width), np.uint8)
        resize_exact(resized, image)
        sums, squares, cones = _tables(resized, True, bool(tilted.any()))
        if cones is None:
            cones = np.empty((0, 0), np.int64)
        hits = np.empty((rows, across), np.uint8)
        constants = (hits, sums, squares, cones, step, *cascade, window_height, window_width)
        parallel_for(
            rows,
            _WINDOW * across,
            lambda start, stop, constants=constants: _scan_rows(start, stop, *constants),  # type: ignore[misc]
        )
        places = np.argwhere(hits)[:, ::-1] * step
        sizes = np.broadcast_to((window_width, window_height), places.shape)
        here = np.rint(np.concatenate([places, sizes], 1).astype(np.float32) * scale).astype(np.int32)
        room = boxes[found : found + len(here)]
        room[...] = here[: len(room)]
        found += len(here)
    count[0] = found


@Loop
def _sum_patches(
    start: Int,
    stop: Int,
    sums: BoxesOut,
    scale: Float32Out1,
    image: Images,
) -> None:
    height, width = image.shape[1:]
    for n in range(start, stop):
        total = np.int64(0)
        power = np.int64(0)
        for x in range(width + 1):
            sums[x, n] = 0
        for y in range(height):
            row = np.int64(0)
            below = (y + 1) * (width + 1)
            sums[below, n] = 0
            for x in range(width):
                p = np.int64(image[n, y, x])
                row += p
                sums[below + x + 1, n] = sums[below - width + x, n] + row
                if 0 < y < height - 1 and 0 < x < width - 1:
                    total += p
                    power += p * p
        scale[n] = _normalization(float((height - 2) * (width - 2)), float(total), float(power))


@kernel
def haar_patch_sums(sums: Array, scale: Array, image: Array) -> None:
    """sums[:, n] = integral image of patch n, scale[n] = its normalization."""
    require(image.ndim == 3, "patches must be [n, height, width]")
    patches, height, width = image.shape
    _check_window(height, width)
    cells = (height + 1) * (width + 1)
    require(
        sums.shape == (cells, patches) and scale.shape == (patches,), "sums must be [cells, n] and scale [n]"
    )
    sums = write("sums", sums, np.int32, cells, patches)
    scale = write("scale", scale, np.float32, patches)
    image = read("image", image, np.uint8, patches, height, width)
    cost = 3 * _PIXEL * image.shape[1] * image.shape[2]
    parallel_for(len(image), cost, lambda start, stop: _sum_patches(start, stop, sums, scale, image))


@Loop
def _values(
    start: Int,
    stop: Int,
    out: FloatsOut2,
    sums: Int32In2,
    scale: Floats,
    rects: Rects,
    weights: Weights,
    width: Int,
) -> None:
    for f in range(start, stop):
        for n in range(scale.shape[0]):
            value = np.float32(0)
            for r in range(3):
                if weights[f, r] != 0:
                    x, y, w, h = rects[f, r, 0], rects[f, r, 1], rects[f, r, 2], rects[f, r, 3]
                    a = y * (width + 1) + x
                    c = a + h * (width + 1)
                    total = sums[a, n] - sums[a + w, n] - sums[c, n] + sums[c + w, n]
                    value = np.float32(value + np.float32(weights[f, r] * np.float32(total)))
            out[f, n] = np.float32(value * scale[n])


@kernel
def haar_features(
    out: Array, sums: Array, scale: Array, rects: Array, weights: Array, height: int, width: int
) -> None:
    """out[f, n] = value of feature f on patch n, normalized."""
    _check_window(height, width)
    features, patches, cells = rects.shape[0] if rects.ndim else 0, scale.size, (height + 1) * (width + 1)
    require(
        rects.shape == (features, 3, 4) and weights.shape == (features, 3),
        "rects must be [features, 3, 4] and weights [features, 3]",
    )
    require(
        sums.shape == (cells, patches) and out.shape == (features, patches),
        "sums must be [cells, n] and out [features, n]",
    )
    rects = read("rects", rects, np.int32, features, 3, 4)
    _check_rectangles(rects, np.zeros(features, np.uint8), height, width)
    out = write("out", out, np.float32, features, patches)
    sums = read("sums", sums, np.int32, cells, patches)
    scale = read("scale", scale, np.float32, patches)
    weights = read("weights", weights, np.float32, features, 3)
    cost = 5 * _PIXEL * len(scale) + 1
    parallel_for(
        len(rects), cost, lambda start, stop: _values(start, stop, out, sums, scale, rects, weights, width)
    )
