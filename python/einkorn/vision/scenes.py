"""Scenes made by programs, with boxes and masks: what detectors and segmenters learn from in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn._check import integer

__all__ = ["SHAPES", "Scenes", "placed_digits", "shape_scenes"]

#: The classes of :func:`shape_scenes`.
SHAPES = ("disc", "square", "triangle")


class Scenes(NamedTuple):
    """Pictures and what is on them.

    Attributes
    ----------
    images : uint8 array [n, height, width, 3]
    targets : list of dict
        "boxes" float32 [m, 4] (left, top, right, bottom) and "labels" int64 [m] of each picture.
    masks : uint8 array [n, height, width]
        The class of each pixel plus one, 0 for the ground.
    """

    images: np.ndarray
    targets: list[dict[str, np.ndarray]]
    masks: np.ndarray


def _stencil(kind: str, side: int) -> np.ndarray:
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    if kind == "disc":
        return (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25
    if kind == "square":
        return np.ones((side, side), bool)
    return np.abs(x - 0.5) <= y / 2


def _free(rng: np.random.Generator, size: int, side: int, taken: list[tuple[int, int, int]]) -> Any:
    """A corner where a square of this side hides nothing, or None."""
    for _ in range(20):
        top, left = rng.integers(0, size - side + 1, 2)
        if all(top + side <= t or t + s <= top or left + side <= w or w + s <= left for t, w, s in taken):
            return int(top), int(left)
    return None


def shape_scenes(count: int, size: int = 96, *, most: int = 3, seed: int = 0) -> Scenes:
    """Discs, squares and triangles of all colors, one to ``most``, on a noisy ground.

    Parameters
    ----------
    count : int
        Pictures.
    size : int, default 96
        Their height and width; at least 16.
    most : int, keyword-only, default 3
        Objects on a picture.
    seed : int, keyword-only, default 0

    Returns
    -------
    Scenes
        Classes are those of ``SHAPES``.
    """
    count, size = (
        integer(v, "shape_scenes", k, low) for v, k, low in ((count, "count", 0), (size, "size", 16))
    )
    most = integer(most, "shape_scenes", "most")
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 120, (count, 1, 1, 3)) + rng.normal(0, 18, (count, size, size, 3))
    images = np.clip(ground, 0, 255).astype(np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    targets: list[dict[str, np.ndarray]] = []
    for image, mask in zip(images, masks, strict=True):
        taken: list[tuple[int, int, int]] = []
        labels = []
        for _ in range(rng.integers(1, most + 1)):
            side = int(rng.integers(max(size // 6, 8), int(size / 2.4)))
            corner = _free(rng, size, side, taken)
            if corner is None:
                continue
            top, left = corner
            label = int(rng.integers(len(SHAPES)))
            inside = _stencil(SHAPES[label], side)
            colour = rng.integers(60, 256, 3)
            colour[rng.integers(3)] = 255
            part = np.s_[top : top + side, left : left + side]
            shade = colour + rng.normal(0, 10, (side, side, 3))
            image[part][inside] = np.clip(shade, 0, 255).astype(np.uint8)[inside]
            mask[part][inside] = label + 1
            taken.append((top, left, side))
            labels.append(label)
        boxes = [[left, top, left + side, top + side] for top, left, side in taken]
        targets.append(
            {"boxes": np.array(boxes, np.float32).reshape(-1, 4), "labels": np.array(labels, np.int64)}
        )
    return Scenes(images, targets, masks)


def placed_digits(
    digits: Any,
    labels: Any,
    photographs: Sequence[Any],
    count: int,
    size: int = 96,
    *,
    most: int = 3,
    seed: int = 0,
) -> Scenes:
    """Digits such as MNIST's, of several sizes and colors, on cuttings of photographs.

    Parameters
    ----------
    digits : array [n, 28, 28] or [n, 1, 28, 28]
        Light on dark, from 0 to 1 or 0 to 255.
    labels : int array [n]
    photographs : sequence of uint8 arrays [height, width, 3]
        Each at least ``size`` high and wide.
    count, size, most, seed
        As :func:`shape_scenes`; ``size`` is at least 32.

    Returns
    -------
    Scenes
        Boxes lie close around what is light. A scene without a place for a digit has fewer.
    """
    op = "placed_digits"
    a, y = np.asarray(digits), np.asarray(labels)
    a = a[:, 0] if a.ndim == 4 else a
    if a.ndim != 3 or y.shape != a.shape[:1] or not len(a):
        raise ShapeError(f"{op}: digits has shape {a.shape} and labels {y.shape}, expected [n, h, w] and [n]")
    if size < 32 or not len(photographs) or min(min(p.shape[:2]) for p in photographs) < size:
        raise ArgumentError(f"{op}: size is {size!r}, expected 32 or more, and photographs at least as large")
    light = a / (255.0 if a.dtype.kind in "iu" else 1.0)
    rng = np.random.default_rng(seed)
    images = np.empty((count, size, size, 3), np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    targets: list[dict[str, np.ndarray]] = []
    for image, mask in zip(images, masks, strict=True):
        photo = photographs[int(rng.integers(len(photographs)))]
        top, left = (int(rng.integers(0, side - size + 1)) for side in photo.shape[:2])
        scene = photo[top : top + size, left : left + size].astype(np.float64) * 0.6
        taken: list[tuple[int, int, int]] = []
        boxes, found = [], []
        for _ in range(rng.integers(1, most + 1)):
            at = int(rng.integers(len(light)))
            side = int(rng.integers(size // 4, size // 2))
            corner = _free(rng, size, side, taken)
            if corner is None:
                continue
            top, left = corner
            ink = _stretched(light[at], side)
            colour = rng.integers(150, 256, 3)
            part = np.s_[top : top + side, left : left + side]
            scene[part] += ink[..., None] * (colour - scene[part])
            strong = ink > 0.4
            rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
            if not len(rows):
                continue
            mask[part][strong] = y[at] + 1
            taken.append((top, left, side))
            boxes.append([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1])
            found.append(int(y[at]))
        image[...] = np.clip(scene, 0, 255).astype(np.uint8)
        targets.append(
            {"boxes": np.array(boxes, np.float32).reshape(-1, 4), "labels": np.array(found, np.int64)}
        )
    return Scenes(images, targets, masks)


def _stretched(image: np.ndarray, side: int) -> np.ndarray:
    """A picture brought to a square, bilinearly."""
    from einkorn import ops

    wide = ops.interpolate(
        np.ascontiguousarray(image, np.float32)[None, None],
        (side, side),
        mode="bilinear",
        align_corners=False,
    )
    return np.asarray(wide)[0, 0]
