"""What transforms are made into: few launches over the whole batch; and what becomes of boxes and masks.

A transform lowers itself: it tells the plan a matrix, a step of colour, a filter for each image. The plan
puts off what may be one launch with what follows: flips join the matrix before or after them, steps of
colour follow each other in one program, and scales end whatever was put off. Nothing is launched before all
is told: large batches then go through all launches a few images at a time, which stay in the caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import engines
from einkorn._device import beside, is_on_gpu, near
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_rows
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops.augment import (
    Launch,
    augment_draws,
    augment_noise,
    augment_warp,
    color_launch,
    filter_launch,
    mirror_launch,
    noise_launch,
    warp_launch,
)

__all__ = ["Plan", "Targets", "mixed"]

_WORD = (1 << 64) - 1
_CACHED = 1 << 20  # bytes of pictures that a core keeps near it: what goes through all launches at a time
_FEW = 0.25  # the share of images up to which these are copied out and back rather than the others along


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
    flips: tuple[np.ndarray | None, np.ndarray | None] | None = None  # it is nothing else than these


_ONE = np.eye(3)


def _either(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """Mirrored twice is not mirrored."""
    return other if one is None else one if other is None else one ^ other


def _flipping(
    flips: tuple[np.ndarray | None, np.ndarray | None], images: int, size: tuple[int, int]
) -> np.ndarray:
    """Their matrices."""
    matrix = np.zeros((images, 3, 3))
    matrix.reshape(images, 9)[:, ::4] = 1
    for axis, chosen in enumerate(flips):
        if chosen is not None:
            matrix[:, axis, axis] -= 2.0 * chosen
            matrix[:, axis, 2] = chosen * (size[1 - axis] - 1)
    return matrix


class _Step(NamedTuple):
    """One launch."""

    launch: Any  # ops.augment.Launch, or what has its size, dtype, in_place and into()
    changed: Callable[[], np.ndarray] | None  # the images that it changes; None: all


class Plan:
    """A batch on its way.

    Parameters
    ----------
    x : uint8 or float32 array [images, channels, height, width]
        Of a GPU too: launches go there then, while all that is drawn and counted is the CPU's.
    targets : Targets
    rows : int array [images]
        The numbers of the images: what is drawn follows from them and the key.
    key : int
    draws : int
        How many numbers will be drawn for each image.
    """

    def __init__(self, x: np.ndarray, targets: Targets, rows: np.ndarray, key: int, draws: int) -> None:
        self._x, self.targets, self.rows = x, targets, rows
        self._engine = engines.of(x)
        self.images, self.channels = x.shape[:2]
        self.size: tuple[int, int] = x.shape[2:]
        self.is_bytes = x.dtype == np.uint8
        self.active: np.ndarray | None = None  # the images that a transform is for; None: all
        self._key, self._streams = key, 0
        self._steps: list[_Step] = []
        # What is put off, and of what size and type the pictures are before it.
        self._size, self._pixel = self.size, x.dtype
        self._warp: _Warp | None = None
        self._kinds: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._scale: tuple[np.ndarray, np.ndarray] | None = None
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

    def zeros(self, *shape: int) -> Any:
        """float32 zeros where the pictures are."""
        out = self._engine.empty(shape, np.dtype(np.float32))
        self._engine.fill(out, 0.0)
        return out

    def stream(self) -> int:
        """The seed of a stream of its own, for noise."""
        self._streams += 1
        return mixed(self._key, self._streams)

    # --- what transforms tell ---

    def flip(self, across: np.ndarray | None = None, down: np.ndarray | None = None) -> None:
        """Mirror the images that the flags name, left and right, top and bottom."""
        if self.active is not None:
            across, down = (None if chosen is None else chosen & self.active for chosen in (across, down))
        old, later = self._warp, bool(self._kinds) or self._scale is not None
        if old is None or old.field is not None or later:
            if old is not None or later:
                self._flush()
            self._warp = _Warp(_ONE, self.size, None, None, {}, (across, down))
        elif old.flips is not None:
            self._warp = old._replace(flips=(_either(old.flips[0], across), _either(old.flips[1], down)))
        else:
            matrix = old.matrix.copy()  # times that of the flip, from the right
            for axis, chosen in ((0, across), (1, down)):
                if chosen is not None and chosen.any():
                    column = matrix[chosen, :, axis]
                    matrix[chosen, :, 2] += column * (self.size[1 - axis] - 1)
                    matrix[chosen, :, axis] = -column
            self._warp = old._replace(matrix=matrix)

    def warp(
        self,
        matrix: np.ndarray,
        size: tuple[int, int] | None = None,
        *,
        window: np.ndarray | None = None,
        field: np.ndarray | None = None,
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
                field = field * beside(field, self.active[:, None, None, None])
        new = _Warp(matrix, wanted, window, field, options)
        old = self._warp
        if self._kinds or self._scale is not None:
            self._flush()
        elif old is not None and old.flips is not None and window is None:
            before = _flipping(old.flips, self.images, old.size)
            new = _Warp(before @ matrix, wanted, None, None, options)
            if field is not None:
                signs = before[:, [0, 1], [0, 1]][:, :, None, None]
                new = new._replace(field=field * beside(field, signs.astype(np.float32)))
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
        kinds = kinds if kinds.shape == shape else np.broadcast_to(kinds, shape)
        self._kinds.append(kinds if self.active is None else kinds * self.active[:, None])
        self._values.append(values if values.shape == shape else np.broadcast_to(values, shape))

    def scale(self, scale: Any, shift: Any) -> None:
        """Pixels times scale plus shift, numbers or one a channel, which makes floats of bytes."""
        if self.active is not None:
            raise ArgumentError("a transform of some images only must not change their type")
        a, b = np.empty(self.channels), np.empty(self.channels)
        a[...], b[...] = scale, shift
        if self._scale is not None:
            a, b = self._scale[0] * a, self._scale[1] * a + b
        self._scale = a, b
        self.is_bytes = False

    def filter(self, rows: Any, columns: Any, **options: Any) -> None:
        """As ``ops.augment_filter``."""
        self._flush()
        keep, gain = options.pop("keep", 0.0), options.pop("gain", 1.0)
        if self.active is not None:
            keep, gain = np.where(self.active, keep, 1.0), np.where(self.active, gain, 0.0)
        launch = filter_launch(self._shape, self._pixel, rows, columns, keep=keep, gain=gain, **options)
        kept, gained = launch.each[2:]
        self._add(launch, lambda: np.logical_or(kept != 1, gained != 0))

    def noise(self, amount: Any, **options: Any) -> None:
        """As ``ops.augment_noise``."""
        self._flush()
        if self.active is not None:
            amount = np.where(self.active, amount, 0.0)
        self._add(noise_launch(self._shape, self._pixel, self.rows, amount, seed=self.stream(), **options))

    def erase(self, boxes: np.ndarray, value: Any) -> None:
        """Fill a box of each image, int32 [images, 4] of edges within it, with a value or one a channel.

        None as the value is noise.
        """
        self._flush()
        noise = None
        if value is None:
            noise = augment_noise(self.zeros(*self._shape), self.rows, 1.0, seed=self.stream())
            noise = noise.astype(np.int64).astype(np.uint8) if self._pixel == np.uint8 else noise
        values = np.empty(self.channels, np.float32)
        values[...] = 0.0 if value is None else value
        boxes = boxes if self.active is None else boxes * self.active[:, None].astype(np.int32)
        self._add(Launch("augment_erase", self._size, self._pixel, (boxes, noise), (values,), True))

    def finished(self) -> np.ndarray:
        """The pictures when everything is done."""
        self._flush()
        if not self._steps:
            return self._x
        last = self._steps[-1].launch
        out = self._engine.empty((self.images, self.channels, *last.size), last.dtype)
        if len(self._steps) == 1:
            last.into(out, self._x)
            return out
        count = max(1, self.images)  # on a GPU, which has no cache near each processor
        if isinstance(self._x, np.ndarray):
            each = max(self._x[:1].nbytes, out[:1].nbytes, 1)
            count = engines.cpu().get_num_threads() * max(1, _CACHED // each)
        changed = [None if step.changed is None else step.changed() for step in self._steps]
        for first in range(0, self.images, count):
            part = slice(first, min(first + count, self.images))
            self._run(out[part], self._x[part], part, changed)
        return out

    # --- launches ---

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.images, self.channels, *self._size)

    def _add(self, launch: Any, changed: Callable[[], np.ndarray] | None = None) -> None:
        self._steps.append(_Step(launch, changed))
        self._size, self._pixel = launch.size, launch.dtype

    def _run(self, out: np.ndarray, x: np.ndarray, part: slice, changed: list[np.ndarray | None]) -> None:
        """All launches for the images that ``part`` says, but those that change none of them."""
        todo: list[tuple[Any, np.ndarray | None]] = []
        for step, images in zip(self._steps, changed, strict=True):
            few = None  # the only ones that it changes
            if images is not None:
                rows = np.flatnonzero(images[part])
                if not len(rows):
                    continue
                far = not isinstance(x, np.ndarray)  # there copies of some images are launches more
                if todo and not step.launch.in_place and len(rows) <= _FEW * len(x) and not far:
                    few = rows
            todo.append((step.launch, few))
        if not todo:
            out[...] = x
        # The last launch that cannot write over what it reads brings the pictures where they are to be.
        home = max(
            (i for i, (launch, few) in enumerate(todo) if few is None and not launch.in_place), default=0
        )
        now = x
        for i, (launch, few) in enumerate(todo):
            if few is not None:
                found = engines.cpu().empty((len(few), *now.shape[1:]), launch.dtype)
                launch.into(found, now[few], few + part.start)
                now[few] = found
                continue
            if i == home:
                to = out
            elif i > home or (launch.in_place and now is not x):
                to = now
            else:
                to = self._engine.empty((*x.shape[:2], *launch.size), launch.dtype)
            launch.into(to, now, part)
            now = to

    def _flush(self) -> None:
        warp, kinds, scale = self._warp, self._kinds, self._scale
        self._warp, self._kinds, self._scale = None, [], None
        scaling: dict[str, Any] = {} if scale is None else {"scale": scale[0], "shift": scale[1]}
        if warp is not None:
            needs = any(one is not None for one in self.targets) or (scaling and not kinds)
            if warp.flips is not None and needs:
                warp = warp._replace(matrix=_flipping(warp.flips, self.images, warp.size))
            self.targets = _moved(self.targets, warp, self._size)
            self._look(warp, {} if kinds else scaling)
        if kinds or (scale is not None and warp is None):
            steps, values = _joined(kinds, self.images), _joined(self._values, self.images)
            self._values = []
            launch = color_launch(self._shape, self._pixel, steps, values, **scaling)
            self._add(launch, None if scaling else lambda: (steps != 0).any(1))

    def _look(self, warp: _Warp, scaling: dict[str, Any]) -> None:
        if warp.flips is not None and not scaling:
            launch = mirror_launch(self._shape, self._pixel, *(False if f is None else f for f in warp.flips))
            flags: Any = launch.each
            self._add(launch, lambda: np.logical_or(*flags))
            return
        launch = warp_launch(
            self._shape, self._pixel, warp.matrix, size=warp.size, window=warp.window, field=warp.field,
            **warp.options, **scaling,
        )  # fmt: skip
        plain = warp.window is None and warp.field is None and warp.size == self._size and not scaling
        self._add(launch, (lambda: (warp.matrix != np.eye(3)).any((1, 2))) if plain else None)


def _joined(parts: list[np.ndarray], images: int) -> np.ndarray:
    """Programs one after the other."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, 1) if parts else np.empty((images, 0), np.int32)


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
    moved = [move(np.asarray(near(value), np.float64), ways, n) for n, value in enumerate(near(values))]
    if isinstance(values, (list, tuple)):
        return [_back(m.astype(_kind(v)), v) for m, v in zip(moved, values, strict=True)]
    return _back(np.stack(moved).astype(_kind(values)), values) if moved else values


def _back(moved: np.ndarray, value: Any) -> Any:
    """Numbers that were moved on the CPU, where they came from."""
    return beside(value, moved) if is_on_gpu(value) else moved


def _kind(value: Any) -> np.dtype:
    dtype = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float32)


class _Ways:
    """Where places in the source go."""

    def __init__(self, warp: _Warp) -> None:
        self.warp = warp
        self.matrix = np.linalg.inv(warp.matrix)
        self.field = near(warp.field)

    def __call__(self, points: np.ndarray, n: int) -> np.ndarray:
        """Points [points, 2] of image n, in pixels: (0, 0) is the first one's centre."""
        if self.warp.window is not None:
            points = points - self.warp.window[n, :2]
        found = self._through(points, n)
        if self.field is not None:  # matrix p + field(p) is the place: by repetition
            height, width = self.warp.size
            for _ in range(20):
                at = np.clip(np.rint(np.nan_to_num(found)), 0, (width - 1, height - 1)).astype(int)
                shift = self.field[n][:, at[:, 1], at[:, 0]].T
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
        field=None if warp.field is None else beside(masks, warp.field),
        mode="nearest",
        border=border,
    )
    return out.reshape(*masks.shape[:-2], *warp.size).astype(masks.dtype)


def checked(targets: dict[str, Any], images: int, size: Sequence[int], owner: str) -> Targets:
    """Boxes [images, boxes, 4], masks [images, ..., height, width] and points [images, points, 2]."""
    boxes, masks, points = (
        value._data if isinstance(value, Tensor) else value
        for value in (targets.get(name) for name in ("boxes", "masks", "points"))
    )
    for name, value, last in (("boxes", boxes, 4), ("points", points, 2)):
        if value is None:
            continue
        if len(value) != images or any(np.shape(one)[-1:] != (last,) for one in value):
            raise ShapeError(
                f"{owner}: {name} has not {last} numbers for each of an image's, of {images} images"
            )
    if masks is not None:
        masks = as_rows(masks, f"{owner}: masks")
        if masks.ndim < 3 or len(masks) != images or masks.shape[-2:] != tuple(size):
            raise ShapeError(
                f"{owner}: masks has shape {masks.shape}, expected [{images}, ..., {size[0]}, {size[1]}]"
            )
    return Targets(boxes, masks, points)
