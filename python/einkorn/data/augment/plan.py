"""What transforms are made into: few launches over the whole batch; and what becomes of boxes and masks.

A transform lowers itself: it tells the plan a matrix, a step of colour, a filter for each image. The plan
puts off what may be one launch with what follows: flips join the matrix before or after them, steps of
colour follow each other in one program, and scales end whatever was put off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops.augment import augment_color, augment_draws, augment_filter, augment_noise, augment_warp

__all__ = ["Plan", "Targets", "mixed"]

_WORD = (1 << 64) - 1


def mixed(*numbers: int) -> int:
    """64 bits from several numbers (SplitMix64 after each): seeds of streams that have nothing in common."""
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & _WORD
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _WORD
        state ^= state >> 31
    return state


class Targets(NamedTuple):
    """What goes along with the pictures: edges of boxes, masks, points; None what there is not."""

    boxes: Any = None
    masks: Any = None
    points: Any = None


class _Warp(NamedTuple):
    matrix: np.ndarray
    size: tuple[int, int]
    window: np.ndarray | None
    field: np.ndarray | None
    options: dict[str, Any]
    is_flip: bool


class Plan:
    """A batch on its way.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
    targets : Targets
    rows : int array [images]
        The numbers of the images: what is drawn follows from them and the key.
    key : int
    draws : int
        How many numbers will be drawn for each image.
    """

    def __init__(self, x: np.ndarray, targets: Targets, rows: np.ndarray, key: int, draws: int) -> None:
        self.x, self.targets, self.rows = x, targets, rows
        self.size: tuple[int, int] = x.shape[2:]
        self.images, self.channels = x.shape[:2]
        self.is_bytes = x.dtype == np.uint8
        self.active: np.ndarray | None = None  # the images that a transform is for; None: all
        self._key, self._streams = key, 0
        self._warp: _Warp | None = None
        self._kinds: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._scale: tuple[np.ndarray, np.ndarray] | None = None
        self._owned = False  # whether x is the plan's own, and may be written over
        self._drawn = 0
        self._numbers = augment_draws(rows, draws, key)

    @property
    def white(self) -> float:
        """255 for bytes and 1 for floats."""
        return 255.0 if self.is_bytes else 1.0

    def uniform(self, count: int) -> np.ndarray:
        """The next numbers of each image, [images, count], evenly from [0, 1)."""
        self._drawn += count
        return self._numbers[:, self._drawn - count : self._drawn]

    def stream(self) -> int:
        """The seed of a stream of its own, for noise."""
        self._streams += 1
        return mixed(self._key, self._streams)

    # --- what transforms tell ---

    def flip(self, across: np.ndarray, down: np.ndarray) -> None:
        """Mirror the images that the flags name, left and right, top and bottom."""
        matrix = np.zeros((self.images, 3, 3))
        height, width = self.size
        matrix[:, 0, 0], matrix[:, 0, 2] = 1 - 2.0 * across, across * (width - 1)
        matrix[:, 1, 1], matrix[:, 1, 2] = 1 - 2.0 * down, down * (height - 1)
        matrix[:, 2, 2] = 1
        self.warp(matrix, is_flip=True)

    def warp(
        self,
        matrix: np.ndarray,
        size: tuple[int, int] | None = None,
        *,
        window: np.ndarray | None = None,
        field: np.ndarray | None = None,
        is_flip: bool = False,
        **options: Any,
    ) -> None:
        """As ``ops.augment_warp``; options are mode, border, fill and antialias."""
        wanted = self.size if size is None else size
        if self.active is not None:
            if wanted != self.size:
                raise ShapeError("a transform of some images only must not change their size")
            off = ~self.active
            matrix = matrix.copy()
            matrix[off] = np.eye(3)
            if window is not None:
                window = window.copy()
                window[off] = (0, 0, self.size[1], self.size[0])
            if field is not None:
                field = field * self.active[:, None, None, None]
        new = _Warp(matrix, wanted, window, field, options, is_flip)
        old = self._warp
        if self._kinds or self._scale is not None:
            self._flush()
        elif old is not None and is_flip and old.field is None:
            new = _Warp(old.matrix @ matrix, wanted, old.window, None, old.options, old.is_flip)
        elif old is not None and old.is_flip and window is None:
            new = _Warp(old.matrix @ matrix, wanted, None, None, options, False)
            if field is not None:
                signs = old.matrix[:, [0, 1], [0, 1]][:, :, None, None]
                new = new._replace(field=field * signs)
        elif old is not None:
            self._flush()
        self._warp, self.size = new, wanted

    def color(self, kinds: Any, values: Any) -> None:
        """Steps of ``ops.augment_color``, [images, steps] or what gives it when repeated."""
        if not self.images:
            return
        if self._scale is not None:
            self._flush()
        kinds, values = np.atleast_1d(kinds), np.atleast_1d(values)
        shape = (self.images, max(kinds.shape[-1], values.shape[-1]))
        kinds = np.broadcast_to(kinds, shape)
        self._kinds.append(kinds if self.active is None else kinds * self.active[:, None])
        self._values.append(np.broadcast_to(values, shape))

    def scale(self, scale: Any, shift: Any) -> None:
        """Pixels times scale plus shift, numbers or one a channel, which makes floats of bytes."""
        if self.active is not None:
            raise ArgumentError("a transform of some images only must not change their type")
        a, b = (np.broadcast_to(np.asarray(v, np.float64), (self.channels,)) for v in (scale, shift))
        if self._scale is not None:
            a, b = self._scale[0] * a, self._scale[1] * a + b
        self._scale = a, b
        self.is_bytes = False

    def filter(self, rows: Any, columns: Any, **options: Any) -> None:
        """As ``ops.augment_filter``."""
        self._flush()
        keep, gain = (
            np.broadcast_to(options.pop(name, v), (self.images,))
            for name, v in (("keep", 0.0), ("gain", 1.0))
        )
        if self.active is not None:
            keep, gain = np.where(self.active, keep, 1.0), np.where(self.active, gain, 0.0)
        weights = [np.broadcast_to(w, (self.images, np.shape(w)[-1])) for w in (rows, columns)]

        def launch(x: np.ndarray, part: Any) -> np.ndarray:
            return augment_filter(
                x, weights[0][part], weights[1][part], keep=keep[part], gain=gain[part], **options
            )

        self._apply(launch, lambda: (keep != 1) | (gain != 0))

    def noise(self, amount: Any, **options: Any) -> None:
        """As ``ops.augment_noise``."""
        self._flush()
        if self.active is not None:
            amount = np.where(self.active, amount, 0.0)
        self.x = augment_noise(self.x, self.rows, amount, seed=self.stream(), **options)
        self._owned = True

    def erase(self, boxes: np.ndarray, value: Any) -> None:
        """Fill a box of each image, [images, 4] of left, top, right, bottom, with a value or one a channel.

        None as the value is noise.
        """
        self._flush()
        noise = None
        if value is None:
            noise = augment_noise(np.zeros(self.x.shape, np.float32), self.rows, 1.0, seed=self.stream())
        else:
            value = np.broadcast_to(np.asarray(value), (self.channels,)).reshape(-1, 1, 1)
        out = self.x if self._owned else self.x.copy()
        for n, (left, top, right, bottom) in enumerate(boxes.tolist()):
            if right > left and bottom > top and (self.active is None or self.active[n]):
                part = (n, slice(None), slice(top, bottom), slice(left, right))
                out[part] = value if noise is None else noise[part]
        self.x, self._owned = out, True

    def finished(self) -> np.ndarray:
        """The pictures when everything is done."""
        self._flush()
        return self.x

    # --- launches ---

    def _flush(self) -> None:
        warp, kinds, scale = self._warp, self._kinds, self._scale
        self._warp, self._kinds, self._scale = None, [], None
        scaling: dict[str, Any] = {} if scale is None else {"scale": scale[0], "shift": scale[1]}
        if warp is not None:
            self.targets = _moved(self.targets, warp, self.x.shape[2:])
            self._look(warp, {} if kinds else scaling)
        if kinds or (scale is not None and warp is None):
            steps = np.concatenate(kinds, 1) if kinds else np.empty((self.images, 0), np.int32)
            values = np.concatenate(self._values, 1) if kinds else np.empty((self.images, 0), np.float32)
            self._values = []

            def launch(x: np.ndarray, part: Any) -> np.ndarray:
                return augment_color(x, steps[part], values[part], **scaling)

            self._apply(launch, None if scaling else lambda: (steps != 0).any(1))

    def _look(self, warp: _Warp, scaling: dict[str, Any]) -> None:
        def launch(x: np.ndarray, part: Any) -> np.ndarray:
            window, field = (None if a is None else a[part] for a in (warp.window, warp.field))
            return augment_warp(
                x, warp.matrix[part], size=warp.size, window=window, field=field, **warp.options, **scaling
            )

        plain = warp.window is None and warp.field is None and warp.size == self.x.shape[2:] and not scaling
        self._apply(launch, (lambda: (warp.matrix != np.eye(3)).any((1, 2))) if plain else None)

    def _apply(self, launch: Any, changed: Callable[[], np.ndarray] | None) -> None:
        """One launch, over those images alone that it changes where the others may stay where they are."""
        if self._owned and changed is not None:
            rows = np.flatnonzero(changed())
            if len(rows) <= 0.75 * self.images:
                if len(rows):
                    self.x[rows] = launch(self.x[rows], rows)
                return
        self.x = launch(self.x, slice(None))
        self._owned = True


# --- what goes along ---------------------------------------------------------------------------------------


def _moved(targets: Targets, warp: _Warp, size: tuple[int, ...]) -> Targets:
    boxes, masks, points = targets
    if boxes is None and masks is None and points is None:
        return targets
    return Targets(
        None if boxes is None else _each(boxes, warp, _move_boxes),
        None if masks is None else _move_masks(masks, warp),
        None if points is None else _each(points, warp, _move_points),
    )


def _each(values: Any, warp: _Warp, move: Any) -> Any:
    """One array for all images, or an array for each."""
    ways = _Ways(warp)
    moved = [move(np.asarray(value, np.float64), ways, n) for n, value in enumerate(values)]
    if isinstance(values, (list, tuple)):
        return [m.astype(_kind(v)) for m, v in zip(moved, values, strict=True)]
    return np.stack(moved).astype(_kind(values)) if moved else values


def _kind(value: Any) -> np.dtype:
    dtype = np.asarray(value).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float32)


class _Ways:
    """Where places in the source go."""

    def __init__(self, warp: _Warp) -> None:
        self.warp = warp
        self.matrix = np.linalg.inv(warp.matrix)

    def __call__(self, points: np.ndarray, n: int) -> np.ndarray:
        """Points [points, 2] of image n, in pixels: (0, 0) is the first one's centre."""
        if self.warp.window is not None:
            points = points - self.warp.window[n, :2]
        found = self._through(points, n)
        if self.warp.field is not None:  # matrix p + field(p) is the place: by repetition
            height, width = self.warp.size
            for _ in range(20):
                at = np.clip(np.rint(np.nan_to_num(found)), 0, (width - 1, height - 1)).astype(int)
                shift = self.warp.field[n][:, at[:, 1], at[:, 0]].T
                found = self._through(points - shift, n)
        return found

    def _through(self, points: np.ndarray, n: int) -> np.ndarray:
        wide = np.concatenate([points, np.ones((len(points), 1))], 1) @ self.matrix[n].T
        with np.errstate(all="ignore"):
            return wide[:, :2] / wide[:, 2:]


def _move_points(points: np.ndarray, ways: _Ways, n: int) -> np.ndarray:
    return ways(points.reshape(-1, 2), n).reshape(points.shape)


def _move_boxes(boxes: np.ndarray, ways: _Ways, n: int) -> np.ndarray:
    """The upright box around each box's corners, cut off at the image's edges."""
    height, width = ways.warp.size
    corners = boxes.reshape(-1, 4)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2) - 0.5
    found = ways(corners, n).reshape(-1, 4, 2) + 0.5
    out = np.concatenate([found.min(1), found.max(1)], 1).clip(0, (width, height) * 2)
    return out.reshape(boxes.shape)


def _move_masks(masks: np.ndarray, warp: _Warp) -> np.ndarray:
    planes = masks.reshape(len(masks), -1, *masks.shape[-2:])
    pixels = planes if planes.dtype == np.uint8 else planes.astype(np.float32)
    border = warp.options.get("border", "constant")
    out = augment_warp(
        pixels,
        warp.matrix,
        size=warp.size,
        window=warp.window,
        field=warp.field,
        mode="nearest",
        border=border,
    )
    return out.reshape(*masks.shape[:-2], *warp.size).astype(masks.dtype)


def checked(targets: dict[str, Any], images: int, size: Sequence[int], owner: str) -> Targets:
    """Boxes [images, boxes, 4], masks [images, ..., height, width] and points [images, points, 2]."""
    boxes, masks, points = (targets.get(name) for name in ("boxes", "masks", "points"))
    for name, value, last in (("boxes", boxes, 4), ("points", points, 2)):
        if value is None:
            continue
        if len(value) != images or any(np.shape(one)[-1:] != (last,) for one in value):
            raise ShapeError(
                f"{owner}: {name} has not {last} numbers for each of an image's, of {images} images"
            )
    if masks is not None:
        masks = np.asarray(masks)
        if masks.ndim < 3 or len(masks) != images or masks.shape[-2:] != tuple(size):
            raise ShapeError(
                f"{owner}: masks has shape {masks.shape}, expected [{images}, ..., {size[0]}, {size[1]}]"
            )
    return Targets(boxes, masks, points)
