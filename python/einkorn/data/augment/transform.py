"""The base of all transforms, and those that are made of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from einkorn import random
from einkorn._device import is_on_gpu
from einkorn._tensor import Tensor
from einkorn.data.arrays import as_array, as_rows
from einkorn.data.augment.plan import Plan, Targets, checked, mixed
from einkorn.data.rows import contiguous, on_card
from einkorn.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["Compose", "RandomApply", "RandomChoice", "Transform"]


_TYPES = frozenset((np.dtype(np.uint8), np.dtype(np.float32)))
_NONE = Targets()  # along with the pictures


def _numbered(rows: Any, images: int, owner: str) -> np.ndarray:
    """The numbers of the images."""
    numbers = as_array(rows, f"{owner}: rows")
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise DTypeError(f"{owner}: rows has dtype {numbers.dtype}, expected integers")
    numbers = numbers.astype(np.int64, copy=False).reshape(-1)
    if len(numbers) != images:
        raise ShapeError(f"{owner}: rows has {len(numbers)} numbers, expected {images}")
    if images and not 0 <= numbers.min() <= numbers.max() < 2**32:
        raise ArgumentError(
            f"{owner}: rows has numbers {numbers.min()} to {numbers.max()}, expected 0 to 2**32 - 1"
        )
    return numbers


class Transform:
    """Base class: a transform of whole batches, whose random parameters are drawn for each image.

    Parameters
    ----------
    seed : int, keyword-only, optional
        What is drawn follows from the seed, the epoch and the number of each image alone: neither the other
        images of a batch nor threads matter. Without it, a key is taken from einkorn's generator, which
        ``einkorn.manual_seed`` sets, at every call.
    channels_last : bool, keyword-only, default False
        Whether pictures are [images, height, width, channels].
    """

    _draws = 0  # numbers that are drawn for each image

    def __init__(self, *, seed: int | None = None, channels_last: bool = False) -> None:
        if seed is not None and (
            isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0
        ):
            raise ArgumentError(f"{type(self).__name__}: seed is {seed!r}, expected an integer >= 0")
        if not isinstance(channels_last, (bool, np.bool_)):
            raise ArgumentError(f"{type(self).__name__}: channels_last is {channels_last!r}, expected a bool")
        self.seed, self.channels_last = seed, bool(channels_last)

    def _lower(self, plan: Plan) -> None:
        """Tell the plan what to do."""
        raise TypeError(f"{type(self).__name__} defines no _lower()")

    def __call__(
        self,
        x: Any,
        *,
        boxes: Any = None,
        masks: Any = None,
        points: Any = None,
        rows: Any = None,
        epoch: int = 0,
    ) -> Any:
        """The transformed pictures, and what goes along with them.

        Parameters
        ----------
        x : uint8 or float32 array or Tensor [images, channels, height, width]
            Or one picture [channels, height, width]; floats from 0 to 1. Pictures on a GPU are seen to there,
            and draw the same numbers.
        boxes : array [images, boxes, 4], or an array for each image, optional
            Left, top, right and bottom edges. A box becomes the upright one around it, cut off at the edges.
        masks : array [images, ..., height, width], optional
            Moved along with the pictures, each pixel from the nearest.
        points : array [images, points, 2], or an array for each image, optional
            Columns and rows in pixels: (0, 0) is the centre of the first pixel.
        rows : int array [images], optional
            The numbers of the images, from 0 to 2**32 - 1. Default: 0, 1, 2 ...
        epoch : int, default 0

        Returns
        -------
        array, or tuple of the pictures and those of boxes, masks and points that were given

        Raises
        ------
        DTypeError, ShapeError, ArgumentError
            For other types and shapes.
        """
        name = type(self).__name__
        pictures, single = self._pictures(x)
        numbers = np.arange(len(pictures)) if rows is None else _numbered(rows, len(pictures), name)
        if boxes is masks is points is None:
            out, _ = self._transformed(pictures, _NONE, numbers, self._key(epoch))
            return self._returned(out[0] if single else out, x)
        given = {"boxes": boxes, "masks": masks, "points": points}
        if single:
            given = {
                key: None if v is None else as_rows(v, f"{name}: {key}")[None] for key, v in given.items()
            }
        targets = checked(given, len(pictures), pictures.shape[2:], name)
        out, targets = self._transformed(pictures, targets, numbers, self._key(epoch))
        found = [self._returned(out[0] if single else out, x)]
        for value, moved in zip((boxes, masks, points), targets, strict=True):
            if value is not None:
                found.append(moved[0] if single else moved)
        return found[0] if len(found) == 1 else tuple(found)

    def _key(self, epoch: int) -> int:
        return mixed(*random.take(1)) if self.seed is None else mixed(int(self.seed), int(epoch))

    def _transformed(
        self, x: np.ndarray, targets: Targets, rows: np.ndarray, key: int
    ) -> tuple[np.ndarray, Targets]:
        """Pictures with their channels first."""
        with nullcontext() if isinstance(x, np.ndarray) else on_card(x):
            plan = Plan(x, targets, rows, key, self._draws)
            self._lower(plan)
            return plan.finished(), plan.targets

    def _pictures(self, x: Any) -> tuple[np.ndarray, bool]:
        """Pictures with their channels first, and whether it was a single one."""
        if type(x) is np.ndarray and x.ndim == 4 and not self.channels_last and x.dtype in _TYPES:
            return np.ascontiguousarray(x), False
        name = type(self).__name__
        if not hasattr(x, "__array__") and not is_on_gpu(x):
            raise DTypeError(f"{name}: x is a {type(x).__name__}, expected a uint8 or float32 array")
        array = as_rows(x, f"{name}: x")
        if array.dtype not in (np.uint8, np.float32):
            raise DTypeError(f"{name}: x has dtype {array.dtype}, expected uint8 or float32")
        if array.ndim not in (3, 4):
            raise ShapeError(f"{name}: x has shape {array.shape}, expected [images, channels, height, width]")
        single = array.ndim == 3
        pictures = array[None] if single else array
        if self.channels_last:
            pictures = pictures.transpose(0, 3, 1, 2)
        return contiguous(pictures), single

    def _returned(self, out: Any, x: Any) -> Any:
        """As it came: channels, and the kind of array."""
        if self.channels_last:
            out = contiguous(np.moveaxis(out, -3, -1))
        if isinstance(x, Tensor):
            return Tensor(out)
        if hasattr(x, "detach"):
            return type(x)(out) if type(x).__module__ != "torch" else _torch(out)
        return out

    def __repr__(self) -> str:
        shown = (f"{key}={value!r}" for key, value in vars(self).items() if key[0] != "_")
        return f"{type(self).__name__}({', '.join(shown)})"


def _torch(out: Any) -> Any:
    import torch

    return torch.from_numpy(out) if isinstance(out, np.ndarray) else torch.from_dlpack(out)


def _members(transforms: Any, owner: str) -> list[Transform]:
    members = list(transforms) if isinstance(transforms, (list, tuple)) else [transforms]
    for one in members:
        if not isinstance(one, Transform):
            raise ArgumentError(
                f"{owner}: transforms has {one!r}, expected transforms of einkorn.data.augment"
            )
    return members


class Compose(Transform):
    """Transforms one after the other, in as few launches as they need.

    Parameters
    ----------
    transforms : sequence of Transform
        Their own seeds and orders of channels mean nothing here.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, transforms: Sequence[Transform], **options: Any) -> None:
        super().__init__(**options)
        self.transforms = _members(transforms, "Compose")
        self._draws = sum(one._draws for one in self.transforms)

    def _lower(self, plan: Plan) -> None:
        for one in self.transforms:
            one._lower(plan)


class RandomApply(Transform):
    """Transforms one after the other, of some of the images: each with probability p.

    Parameters
    ----------
    transforms : sequence of Transform
    p : float, default 0.5
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, transforms: Sequence[Transform], p: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.transforms, self.p = _members(transforms, "RandomApply"), probability("RandomApply", p)
        self._draws = 1 + sum(one._draws for one in self.transforms)

    def _lower(self, plan: Plan) -> None:
        chosen = plan.uniform(1)[:, 0] < self.p
        with_active(plan, chosen, self.transforms)


class RandomChoice(Transform):
    """One of several transforms for each image.

    Parameters
    ----------
    transforms : sequence of Transform
    p : sequence of float, optional
        Weights of the choices. Default: equal.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(
        self, transforms: Sequence[Transform], p: Sequence[float] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.transforms = _members(transforms, "RandomChoice")
        weights = np.ones(len(self.transforms)) if p is None else np.asarray(p, np.float64)
        if weights.shape != (len(self.transforms),) or not (weights >= 0).all() or not weights.sum() > 0:
            raise ArgumentError(f"RandomChoice: p is {p!r}, expected a weight for each of the transforms")
        self.p = (weights / weights.sum()).tolist()
        self._draws = 1 + sum(one._draws for one in self.transforms)

    def _lower(self, plan: Plan) -> None:
        choice = np.searchsorted(np.cumsum(self.p)[:-1], plan.uniform(1)[:, 0], "right")
        for number, one in enumerate(self.transforms):
            with_active(plan, choice == number, [one])


def with_active(plan: Plan, chosen: np.ndarray, transforms: Sequence[Transform]) -> None:
    """Lower transforms for some of the images."""
    before = plan.active
    plan.active = chosen if before is None else before & chosen
    for one in transforms:
        one._lower(plan)
    plan.active = before


# --- arguments ---------------------------------------------------------------------------------------------


def probability(owner: str, p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ArgumentError(f"{owner}: p is {p!r}, expected a probability")
    return float(p)


def sized(owner: str, size: Any, name: str = "size") -> tuple[int, int]:
    """Height and width, from one number or two."""
    pair = (size, size) if isinstance(size, (int, np.integer)) else size
    try:
        height, width = (int(n) for n in (pair if len(pair) == 2 else (pair[0], pair[0])))
    except (TypeError, ValueError, IndexError):
        raise ArgumentError(f"{owner}: {name} is {size!r}, expected an int or a pair of ints") from None
    if isinstance(size, bool) or min(height, width) < 1:
        raise ArgumentError(f"{owner}: {name} is {size!r}, expected at least 1")
    return height, width


def span(
    owner: str, name: str, value: Any, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Two numbers in order, within bounds."""
    try:
        first, last = (float(v) for v in value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected two numbers") from None
    if not low <= first <= last <= high:
        raise ArgumentError(
            f"{owner}: {name} is {value!r}, expected two numbers in order from {low} to {high}"
        )
    return first, last


def around_zero(owner: str, name: str, value: Any) -> tuple[float, float]:
    """A number as the span from its negative; two numbers as they are."""
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        if not value >= 0:
            raise ArgumentError(f"{owner}: {name} is {value!r}, expected at least 0, or two numbers")
        return -float(value), float(value)
    return span(owner, name, value)


def mode_of(owner: str, interpolation: Any) -> str:
    """ "nearest" or "bilinear", from a string or torchvision's constant."""
    name = getattr(interpolation, "value", interpolation)
    if name == "nearest-exact":
        name = "nearest"
    if name not in ("nearest", "bilinear"):
        raise ArgumentError(f"{owner}: interpolation is {interpolation!r}, expected 'nearest' or 'bilinear'")
    return name


_BORDERS = {
    "constant": "constant", "edge": "nearest", "nearest": "nearest", "replicate": "nearest",
    "reflect": "reflect", "symmetric": "symmetric", "wrap": "wrap",
}  # fmt: skip


def border_of(owner: str, name: str, value: Any) -> str:
    if value not in _BORDERS:
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected one of {', '.join(_BORDERS)}")
    return _BORDERS[value]


def fill_of(owner: str, fill: Any) -> Any:
    found = np.asarray(0.0 if fill is None else fill, dtype=np.float64)
    if found.ndim > 1:
        raise ArgumentError(f"{owner}: fill is {fill!r}, expected a number or one for each channel")
    return float(found) if found.ndim == 0 else found.tolist()
