"""Pictures copied: but for a part that is filled, and mirrored; what numbers mean is in augment.h of csrc."""

from __future__ import annotations

import numpy as np

from ._checks import read, require
from ._compile import Array, Float32In1, Int, Int32In2, Loop
from ._kernels import kernel
from ._threads import parallel_for
from .augment import _COST, _F, Bytes, BytesOut, Pixels, PixelsOut, _check


@Loop
def _erase_floats(
    start: Int, stop: Int, out: PixelsOut, boxes: Int32In2, values: Float32In1, filler: Pixels, filled: Int
) -> None:
    for n in range(start, stop):
        for c in range(out.shape[1]):
            for i in range(boxes[n, 1], boxes[n, 3]):
                for j in range(boxes[n, 0], boxes[n, 2]):
                    out[n, c, i, j] = filler[n, c, i, j] if filled else values[c]


@Loop
def _erase_bytes(
    start: Int, stop: Int, out: BytesOut, boxes: Int32In2, values: Float32In1, filler: Bytes, filled: Int
) -> None:
    for n in range(start, stop):
        for c in range(out.shape[1]):
            fill = np.uint8(np.rint(min(max(values[c], _F(0)), _F(255))))
            for i in range(boxes[n, 1], boxes[n, 3]):
                for j in range(boxes[n, 0], boxes[n, 2]):
                    out[n, c, i, j] = filler[n, c, i, j] if filled else fill


@kernel
def augment_erase(out: Array, x: Array, boxes: Array, filler: Array | None, values: Array) -> None:
    """out = x but for a box of each image."""
    _check(out, x, False)
    require(out.shape == x.shape, "out must have the shape of x")
    images, channels, height, width = x.shape
    require(boxes.size == 4 * images, "boxes must have four elements an image")
    require(values.size == channels, "values must have an element for each channel")
    boxes, values = read("boxes", boxes, np.int32, images, 4), read("values", values, np.float32, channels)
    require(
        bool(
            ((boxes[:, :2] >= 0) & (boxes[:, :2] <= boxes[:, 2:]) & (boxes[:, 2:] <= (width, height))).all()
        ),
        "a box leaves the image",
    )
    if filler is not None:
        require(filler.dtype == x.dtype and filler.flags.c_contiguous, "filler must be as x")
        require(filler.shape == x.shape and filler is not out, "filler must be as x, and not out")
    if out.size == 0:
        return
    if out is not x:
        out[...] = x
    body = _erase_bytes if out.dtype == np.uint8 else _erase_floats
    source, filled = (x, 0) if filler is None else (filler, 1)
    parallel_for(
        images,
        _COST * (out.size / images),
        lambda start, stop: body(start, stop, out, boxes, values, source, filled),
    )


@Loop
def _mirror_floats(start: Int, stop: Int, out: PixelsOut, x: Pixels, turned: Int32In2) -> None:
    height, width = x.shape[1], x.shape[2]
    for n in range(start, stop):
        for i in range(height):
            row = height - 1 - i if turned[n, 1] else i
            for j in range(width):
                column = width - 1 - j if turned[n, 0] else j
                for c in range(x.shape[3]):
                    out[n, i, j, c] = x[n, row, column, c]


@Loop
def _mirror_bytes(start: Int, stop: Int, out: BytesOut, x: Bytes, turned: Int32In2) -> None:
    height, width = x.shape[1], x.shape[2]
    for n in range(start, stop):
        for i in range(height):
            row = height - 1 - i if turned[n, 1] else i
            for j in range(width):
                column = width - 1 - j if turned[n, 0] else j
                for c in range(x.shape[3]):
                    out[n, i, j, c] = x[n, row, column, c]


@kernel
def augment_mirror(out: Array, x: Array, across: Array, down: Array, last: bool) -> None:
    """out = x, left and right and top and bottom of some images exchanged."""
    _check(out, x, False, last)
    require(out.shape == x.shape, "out must have the shape of x")
    require(out is not x, "out must not be x")
    images = len(x)
    require(across.size == down.size == images, "across and down must have an element an image")
    across, down = read("across", across, np.uint8, images), read("down", down, np.uint8, images)
    if out.size == 0:
        return
    turned = np.stack([across, down], 1).astype(np.int32)
    if not last:  # a plane is a picture of one channel
        turned = turned.repeat(x.shape[1], 0)
        out, x = (a.reshape(-1, *a.shape[2:], 1) for a in (out, x))
    body = _mirror_bytes if out.dtype == np.uint8 else _mirror_floats
    parallel_for(len(x), _COST * (out.size / len(x)), lambda start, stop: body(start, stop, out, x, turned))
