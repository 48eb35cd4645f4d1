"""Transforms of places: crops, flips, rotation, shear, zoom, perspective, elastic deformation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn.data.augment.plan import Plan
from einkorn.data.augment.transform import (
    Transform,
    around_zero,
    border_of,
    fill_of,
    mode_of,
    probability,
    sized,
    span,
)
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops.augment import augment_filter, augment_noise

__all__ = [
    "CenterCrop",
    "ElasticTransform",
    "Pad",
    "RandomAffine",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomPerspective",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "gaussian",
    "moves",
]


def moves(x: Any, y: Any, images: int) -> np.ndarray:
    """Matrices that look (x, y) pixels further."""
    matrix = np.zeros((images, 3, 3))
    matrix.reshape(images, 9)[:, ::4] = 1
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


def _from_size(
    size: tuple[int, int], new: tuple[int, int], height: Any, width: Any, images: int
) -> np.ndarray:
    """Matrices that fit windows of height x width into a new size."""
    matrix = np.zeros((images, 3, 3))
    matrix[:, 2, 2] = 1
    for axis, side, out in ((0, width, new[1]), (1, height, new[0])):
        scale = np.asarray(side, np.float64) / out
        matrix[:, axis, axis], matrix[:, axis, 2] = scale, scale / 2 - 0.5
    return matrix


def affine(
    size: tuple[int, int], angle: Any, translate: Any, scale: Any, shear: Any, center: Any = None
) -> np.ndarray:
    """Matrices from output to source: the inverse of turning, shearing, scaling and moving about the centre.

    Parameters
    ----------
    size : (int, int)
        Height and width.
    angle : array [images]
        In degrees, clockwise.
    translate, shear : array [images, 2]
        Columns, then rows; in pixels, in degrees.
    scale : array [images]
    center : (float, float) or array [images, 2], optional
        Column and row, of edges: (0, 0) is the upper left corner. Default: the middle.
    """
    turn, slant = np.radians(angle), np.radians(shear)
    a = np.cos(turn - slant[:, 1]) / np.cos(slant[:, 1]) * scale
    c = np.sin(turn - slant[:, 1]) / np.cos(slant[:, 1]) * scale
    skew = np.tan(slant[:, 0])
    b, d = -a * skew - np.sin(turn) * scale, -c * skew + np.cos(turn) * scale
    area = a * d - b * c
    matrix = np.zeros((len(a), 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = d / area, -b / area
    matrix[:, 1, 0], matrix[:, 1, 1] = -c / area, a / area
    matrix[:, 2, 2] = 1
    middle = np.array([size[1] / 2, size[0] / 2] if center is None else center) - 0.5
    back = middle + translate
    for axis in range(2):
        moved = matrix[:, axis, 0] * back[:, 0] + matrix[:, axis, 1] * back[:, 1]
        matrix[:, axis, 2] = middle[..., axis] - moved
    return matrix


class RandomHorizontalFlip(Transform):
    """Left and right change places, with probability p.

    Parameters
    ----------
    p : float, default 0.5
    seed, channels_last : as :class:`Transform`
    """

    _draws = 1

    def __init__(self, p: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.p = probability(type(self).__name__, p)

    def _lower(self, plan: Plan) -> None:
        flipped = plan.uniform(1)[:, 0] < self.p
        plan.flip(flipped)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top and bottom change places, with probability p; arguments as :class:`RandomHorizontalFlip`."""

    def _lower(self, plan: Plan) -> None:
        flipped = plan.uniform(1)[:, 0] < self.p
        plan.flip(None, flipped)


def _padding(owner: str, padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom, from one number, two (across, down) or four."""
    given = [padding] if isinstance(padding, (int, np.integer)) else list(padding)
    if len(given) not in (1, 2, 4) or any(isinstance(n, bool) or n != int(n) or n < 0 for n in given):
        raise ArgumentError(f"{owner}: padding is {padding!r}, expected one, two or four integers >= 0")
    left, top, right, bottom = {1: given * 4, 2: given * 2, 4: given}[len(given)]
    return int(left), int(top), int(right), int(bottom)


class Pad(Transform):
    """More room around the pictures.

    Parameters
    ----------
    padding : int, or two (across, down), or four (left, top, right, bottom)
    fill : float or sequence, default 0
        For "constant", in the unit of the pixels.
    padding_mode : "constant", "edge", "reflect", "symmetric" or "wrap", default "constant"
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant", **options: Any) -> None:
        super().__init__(**options)
        self.padding = _padding("Pad", padding)
        self.fill, self.padding_mode = fill_of("Pad", fill), border_of("Pad", "padding_mode", padding_mode)

    def _lower(self, plan: Plan) -> None:
        left, top, right, bottom = self.padding
        size = plan.size[0] + top + bottom, plan.size[1] + left + right
        plan.warp(moves(-left, -top, plan.images), size, border=self.padding_mode, fill=self.fill)


class RandomCrop(Transform):
    """A part of the picture, or of the padded one, at a random place.

    Parameters
    ----------
    size : int or (int, int)
        Height and width.
    padding : as :class:`Pad`, optional
    pad_if_needed : bool, default False
        Whether smaller pictures are padded on both sides; otherwise they are refused.
    fill, padding_mode : as :class:`Pad`
    seed, channels_last : as :class:`Transform`
    """

    _draws = 2

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = type(self).__name__
        self.size = sized(name, size)
        self.padding = (0, 0, 0, 0) if padding is None else _padding(name, padding)
        self.pad_if_needed = pad_if_needed
        self.fill, self.padding_mode = fill_of(name, fill), border_of(name, "padding_mode", padding_mode)

    def _room(self, plan: Plan) -> tuple[int, int, int, int]:
        """The first row and column, and how many there are."""
        left, top, right, bottom = self.padding
        height, width = plan.size[0] + top + bottom, plan.size[1] + left + right
        if self.pad_if_needed:
            more = max(0, self.size[0] - height), max(0, self.size[1] - width)
            top, left, height, width = (
                top + more[0],
                left + more[1],
                height + 2 * more[0],
                width + 2 * more[1],
            )
        if height < self.size[0] or width < self.size[1]:
            raise ShapeError(
                f"{type(self).__name__}: size is {self.size}, expected at most {(height, width)}, "
                "the padded picture"
            )
        return -top, -left, height - self.size[0] + 1, width - self.size[1] + 1

    def _lower(self, plan: Plan) -> None:
        top, left, rows, columns = self._room(plan)
        u = plan.uniform(2)
        x, y = np.floor(u[:, 1] * columns) + left, np.floor(u[:, 0] * rows) + top
        plan.warp(moves(x, y, plan.images), self.size, border=self.padding_mode, fill=self.fill)


class CenterCrop(Transform):
    """The middle of the picture; where it is smaller, zeros lie around it.

    Parameters
    ----------
    size : int or (int, int)
        Height and width.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(self, size: Any, **options: Any) -> None:
        super().__init__(**options)
        self.size = sized("CenterCrop", size)

    def _lower(self, plan: Plan) -> None:
        y, x = (round((have - want) / 2) for have, want in zip(plan.size, self.size, strict=True))
        plan.warp(moves(x, y, plan.images), self.size)


class Resize(Transform):
    """The whole picture in another size.

    Parameters
    ----------
    size : int or (int, int)
        Height and width; one number is the shorter side, whose ratio to the longer one stays.
    interpolation : "bilinear" or "nearest", default "bilinear"
    max_size : int, optional
        Of the longer side, where ``size`` is one number.
    antialias : bool, default True
        Whether pictures that shrink are smoothed.
    seed, channels_last : as :class:`Transform`
    """

    def __init__(
        self,
        size: Any,
        interpolation: Any = "bilinear",
        max_size: int | None = None,
        antialias: bool | None = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.keeps_ratio = isinstance(size, (int, np.integer)) or len(size) == 1
        self.size, self.max_size = sized("Resize", size), max_size
        self.interpolation, self.antialias = mode_of("Resize", interpolation), bool(antialias)

    def _lower(self, plan: Plan) -> None:
        size = self.size
        if self.keeps_ratio:
            short, long = min(plan.size), max(plan.size)
            other = int(self.size[0] * long / max(short, 1))
            wanted = self.size[0], other
            if self.max_size is not None and other > self.max_size:
                wanted = int(self.max_size * self.size[0] / other), self.max_size
            size = wanted if plan.size[0] <= plan.size[1] else wanted[::-1]
        resized(plan, size, None, *plan.size, self.interpolation, self.antialias)


def resized(
    plan: Plan, size: tuple[int, int], window: Any, height: Any, width: Any, mode: str, antialias: bool
) -> None:
    """Fit windows, or whole pictures, into a size."""
    matrix = _from_size(plan.size, size, height, width, plan.images)
    if mode == "nearest":  # as torch has it: the first pixel of an output's stretch
        matrix[:, [0, 1], 2] = -0.5 + 1e-6
        plan.warp(matrix, size, window=window, mode="nearest", border="nearest")
    else:
        plan.warp(matrix, size, window=window, border="nearest", antialias=antialias)


class RandomResizedCrop(Transform):
    """A part of random area and ratio, in a given size (Szegedy et al. 2015).

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the result.
    scale : (float, float), default (0.08, 1)
        Shares of the area.
    ratio : (float, float), default (3 / 4, 4 / 3)
        Width over height; its logarithm is drawn evenly.
    interpolation : "bilinear" or "nearest", default "bilinear"
    antialias : bool, default True
        Whether parts that shrink are smoothed.
    seed, channels_last : as :class:`Transform`
    """

    _tries = 10
    _draws = 4 * _tries

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = "RandomResizedCrop"
        self.size, self.scale = sized(name, size), span(name, "scale", scale, 0)
        self.ratio = span(name, "ratio", ratio, 1e-6)
        self.interpolation, self.antialias = mode_of(name, interpolation), bool(antialias)

    def _windows(self, plan: Plan) -> np.ndarray:
        """The first of ten tries that fits into the picture; else the largest part in the middle."""
        height, width = plan.size
        tries = plan.uniform(self._draws).reshape(plan.images, self._tries, 4)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        found = np.empty((plan.images, 4), np.int64)
        rows = np.arange(plan.images)  # of images without a part yet
        for number in range(self._tries):
            u = tries[rows, number].T
            area = height * width * (self.scale[0] + u[0] * (self.scale[1] - self.scale[0]))
            ratio = np.exp(low + u[1] * (high - low))
            w, h = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
            x, y = np.floor(u[3] * (width - w + 1)), np.floor(u[2] * (height - h + 1))
            found[rows] = np.array((x, y, x + w, y + h)).T
            rows = rows[(w <= 0) | (w > width) | (h <= 0) | (h > height)]
            if not len(rows):
                return found
        whole = width / height
        wide = round(height * self.ratio[1]) if whole > self.ratio[1] else width
        high = round(width / self.ratio[0]) if whole < self.ratio[0] else height
        left, top = (width - wide) // 2, (height - high) // 2
        found[rows] = (left, top, left + wide, top + high)
        return found

    def _lower(self, plan: Plan) -> None:
        if 0 in plan.size:
            raise ShapeError(
                f"RandomResizedCrop: pictures are {plan.size[0]}x{plan.size[1]}, which is nothing"
            )
        window = self._windows(plan)
        sides = window[:, 2:] - window[:, :2]
        resized(plan, self.size, window, sides[:, 1], sides[:, 0], self.interpolation, self.antialias)


class RandomRotation(Transform):
    """A turn about the centre by a random angle.

    Parameters
    ----------
    degrees : float or (float, float)
        Counterclockwise; one number is the span from its negative.
    interpolation : "nearest" or "bilinear", default "nearest"
    expand : False
        Pictures keep their size.
    center : (float, float), optional
        Column and row. Default: the middle.
    fill : float or sequence, default 0
        What lies around, in the unit of the pixels.
    border : str, keyword-only, default "constant"
        What lies around: "constant", "nearest", "reflect", "symmetric" or "wrap".
    seed, channels_last : as :class:`Transform`
    """

    _draws = 1

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = "nearest",
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
        *,
        border: str = "constant",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = "RandomRotation"
        if expand:
            raise ArgumentError(f"{name}: expand is {expand!r}, which is not supported, expected False")
        self.degrees, self.interpolation = around_zero(name, "degrees", degrees), mode_of(name, interpolation)
        self.center, self.fill, self.border = center, fill_of(name, fill), border_of(name, "border", border)

    def _lower(self, plan: Plan) -> None:
        angle = self.degrees[0] + plan.uniform(1)[:, 0] * (self.degrees[1] - self.degrees[0])
        zero = np.zeros((plan.images, 2))
        matrix = affine(plan.size, -angle, zero, np.ones(plan.images), zero, self.center)
        plan.warp(matrix, mode=self.interpolation, border=self.border, fill=self.fill)


class RandomAffine(Transform):
    """A turn, shift, zoom and shear about the centre.

    Parameters
    ----------
    degrees : float or (float, float)
        Clockwise; one number is the span from its negative.
    translate : (float, float), optional
        The most, as shares of width and height; whole pixels are drawn.
    scale : (float, float), optional
    shear : float, (float, float) or four, optional
        Degrees along the rows, and with four numbers along the columns.
    interpolation : "nearest" or "bilinear", default "nearest"
    fill, center, border : as :class:`RandomRotation`
    seed, channels_last : as :class:`Transform`
    """

    _draws = 6

    def __init__(
        self,
        degrees: Any,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Any = None,
        interpolation: Any = "nearest",
        fill: Any = 0,
        center: Sequence[float] | None = None,
        *,
        border: str = "constant",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = "RandomAffine"
        self.degrees, self.interpolation = around_zero(name, "degrees", degrees), mode_of(name, interpolation)
        self.translate = (0.0, 0.0) if translate is None else tuple(float(t) for t in translate)
        if len(self.translate) != 2 or not all(0 <= t <= 1 for t in self.translate):
            raise ArgumentError(f"{name}: translate is {translate!r}, expected two shares from 0 to 1")
        self.scale = (1.0, 1.0) if scale is None else span(name, "scale", scale, 1e-9)
        four = np.ndim(shear) == 1 and len(shear) == 4
        self.shear = (
            (0.0, 0.0) if shear is None else around_zero(name, "shear", shear[:2] if four else shear),
            span(name, "shear", shear[2:]) if four else (0.0, 0.0),
        )
        self.center, self.fill, self.border = center, fill_of(name, fill), border_of(name, "border", border)

    def _lower(self, plan: Plan) -> None:
        u = plan.uniform(6)
        most = np.array([self.translate[0] * plan.size[1], self.translate[1] * plan.size[0]])
        low = np.array([self.degrees[0], self.scale[0], self.shear[0][0], self.shear[1][0]])
        high = np.array([self.degrees[1], self.scale[1], self.shear[0][1], self.shear[1][1]])
        drawn = low + u[:, [0, 3, 4, 5]] * (high - low)
        shift = np.rint((2 * u[:, 1:3] - 1) * most)
        matrix = affine(plan.size, drawn[:, 0], shift, drawn[:, 1], drawn[:, 2:], self.center)
        plan.warp(matrix, mode=self.interpolation, border=self.border, fill=self.fill)


class RandomPerspective(Transform):
    """The picture seen at an angle: its corners move inwards, with probability p.

    Parameters
    ----------
    distortion_scale : float, default 0.5
        The share of half a side that a corner moves at most.
    p : float, default 0.5
    interpolation : "bilinear" or "nearest", default "bilinear"
    fill, border : as :class:`RandomRotation`
    seed, channels_last : as :class:`Transform`
    """

    _draws = 9

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = "bilinear",
        fill: Any = 0,
        *,
        border: str = "constant",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = "RandomPerspective"
        self.distortion_scale = span(name, "distortion_scale", (distortion_scale, distortion_scale), 0, 1)[0]
        self.p, self.interpolation = probability(name, p), mode_of(name, interpolation)
        self.fill, self.border = fill_of(name, fill), border_of(name, "border", border)

    def _lower(self, plan: Plan) -> None:
        u = plan.uniform(9)
        height, width = plan.size
        reach = np.array([int(self.distortion_scale * (side // 2)) + 1 for side in (width, height)])
        inwards = np.floor(u[:, 1:].reshape(-1, 4, 2) * reach)
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
        signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        ends = corners + signs * inwards * (u[:, :1, None] < self.p)
        matrix = perspective(corners, ends)
        half = moves(0.5, 0.5, 1)[0]
        plan.warp(
            np.linalg.inv(half) @ matrix @ half, mode=self.interpolation, border=self.border, fill=self.fill
        )


def perspective(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Matrices that take four points of each image, ends [images, 4, 2], to starts [4, 2]."""
    images = len(ends)
    system, right = np.zeros((images, 8, 8)), np.zeros((images, 8, 1))
    for i in range(4):
        for axis in range(2):
            row = 2 * i + axis
            system[:, row, 3 * axis : 3 * axis + 2], system[:, row, 3 * axis + 2] = ends[:, i], 1
            system[:, row, 6:] = -starts[i, axis] * ends[:, i]
            right[:, row] = starts[i, axis]
    try:
        found = np.linalg.solve(system, right)[:, :, 0]
    except np.linalg.LinAlgError:  # corners that fell onto one line: the nearest matrix that there is
        found = (np.linalg.pinv(system) @ right)[:, :, 0]
    return np.concatenate([found, np.ones((images, 1))], 1).reshape(images, 3, 3)


def gaussian(size: int, sigma: Any) -> np.ndarray:
    """Weights of a bell curve, one row for each sigma, that sum to 1."""
    at = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (at / np.asarray(sigma, np.float64).reshape(-1, 1)) ** 2)
    return weights / weights.sum(1, keepdims=True)


class ElasticTransform(Transform):
    """Smooth random displacements of all pixels (Simard et al. 2003).

    Parameters
    ----------
    alpha : float or (float, float), default 50
        How strong they are, across and down.
    sigma : float or (float, float), default 5
        How smooth, in pixels.
    interpolation : "bilinear" or "nearest", default "bilinear"
    fill, border : as :class:`RandomRotation`
    seed, channels_last : as :class:`Transform`
    """

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = "bilinear",
        fill: Any = 0,
        *,
        border: str = "constant",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        name = "ElasticTransform"
        self.alpha, self.sigma = (
            tuple(float(v) for v in np.broadcast_to(np.asarray(value, np.float64), (2,)))
            for value in (alpha, sigma)
        )
        if not all(math.isfinite(v) and 0 <= v <= 1000 for v in (*self.alpha, *self.sigma)):
            raise ArgumentError(
                f"{name}: alpha is {alpha!r} and sigma {sigma!r}, expected numbers from 0 to 1000"
            )
        self.interpolation = mode_of(name, interpolation)
        self.fill, self.border = fill_of(name, fill), border_of(name, "border", border)

    def _lower(self, plan: Plan) -> None:
        height, width = plan.size
        field = plan.zeros(plan.images, 2, height, width)
        field = augment_noise(field, plan.rows, 1.0, kind="uniform", seed=plan.stream())
        weights = [
            gaussian(int(8 * s + 1) | 1, s)[0] if s > 0 else np.ones(1)
            for s in (self.sigma[1], self.sigma[0])
        ]
        field = augment_filter(field, *weights)
        # In units of half the picture's sides, as alpha is meant.
        field[:, 0] *= self.alpha[0] / max(1, height) * width / 2
        field[:, 1] *= self.alpha[1] / max(1, width) * height / 2
        plan.warp(
            moves(0, 0, plan.images), field=field, mode=self.interpolation, border=self.border, fill=self.fill
        )
