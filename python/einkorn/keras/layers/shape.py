"""Layers that move, cut and repeat."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.layers._sides import channels_first, channels_last, is_first, sides
from einkorn.nn import functional

__all__ = [
    "Cropping1D", "Cropping2D", "Cropping3D", "Flatten", "Permute", "RepeatVector", "Reshape", "UpSampling1D",
    "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
]  # fmt: skip


class Flatten(Layer):
    """Each row as one axis.

    Parameters
    ----------
    data_format : "channels_last" or "channels_first", optional
        With the latter channels are brought to the end first.
    """

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.first = is_first(data_format, "Flatten")

    def call(self, x: Any) -> Any:
        if self.first and len(x.shape) > 2:
            x = ops.moveaxis(x, 1, -1)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Reshape(Layer):
    """Each row in another shape.

    Parameters
    ----------
    target_shape : tuple of int
        Of one row; -1 for one axis.
    """

    def __init__(self, target_shape: Any, **options: Any) -> None:
        super().__init__(**options)
        sizes = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        good = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= -1 for n in sizes)
        if not good or sum(n == -1 for n in sizes) > 1:
            raise ArgumentError(
                f"Reshape: target_shape is {target_shape!r}, expected sizes >= 0, and -1 for at most one"
            )
        self.target_shape = tuple(int(n) for n in sizes)

    def call(self, x: Any) -> Any:
        count, known = math.prod(x.shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        fits = count % known == 0 if -1 in self.target_shape and known else count == known
        if not fits:
            raise ShapeError(
                f"{self.name}: x has shape {tuple(x.shape)}, rows of {count} elements, expected as many as "
                f"target_shape {self.target_shape} has"
            )
        return x.reshape(x.shape[0], *self.target_shape)


class Permute(Layer):
    """The axes of each row in another order.

    Parameters
    ----------
    dims : tuple of int
        Counted from 1.
    """

    def __init__(self, dims: Any, **options: Any) -> None:
        super().__init__(**options)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(f"Permute: dims is {self.dims}, expected 1 to {len(self.dims)} in any order")

    def call(self, x: Any) -> Any:
        return ops.permute(x, (0, *self.dims))


class RepeatVector(Layer):
    """[rows, features] as [rows, n, features].

    Parameters
    ----------
    n : int
    """

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        self.n = sides(n, 1, "RepeatVector", "n")[0]

    def call(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ShapeError(f"RepeatVector: x has shape {tuple(x.shape)}, expected [rows, features]")
        return ops.stack([x] * self.n, 1)


def _edges(value: Any, rank: int, owner: str, name: str) -> tuple[tuple[int, int], ...]:
    """What is before and behind each side."""
    if rank == 1 and not isinstance(value, int) and all(isinstance(n, int) for n in value):
        value = (value,)
    each = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(each) != rank:
        raise ArgumentError(
            f"{owner}: {name} is {value!r}, expected an integer, or {rank} of them or of pairs"
        )
    found = [sides(one, 2, owner, name, 0) for one in each]
    return tuple((pair[0], pair[1]) for pair in found)


class _Edged(Layer):
    _rank: ClassVar[int]

    def __init__(self, edges: Any, name_of_it: str, data_format: str | None, **options: Any) -> None:
        super().__init__(**options)
        owner = type(self).__name__
        self.edges = _edges(edges, self._rank, owner, name_of_it)
        self.first = is_first(data_format, owner)

    def _check(self, x: Any) -> None:
        channels_first(x, self._rank, type(self).__name__, True)


class _Cropping(_Edged):
    def __init__(self, cropping: Any = 1, data_format: str | None = None, **options: Any) -> None:
        super().__init__(cropping, "cropping", data_format, **options)

    def call(self, x: Any) -> Any:
        self._check(x)
        start = 2 if self.first else 1
        lengths = x.shape[start : start + self._rank]
        for (before, behind), length in zip(self.edges, lengths, strict=True):
            if before + behind > length:
                raise ShapeError(
                    f"{type(self).__name__}: cropping is {self.edges}, more than x has, {tuple(x.shape)}"
                )
        cut = [slice(b, n - e) for (b, e), n in zip(self.edges, lengths, strict=True)]
        return x[tuple([slice(None)] * start + cut)]


class Cropping1D(_Cropping):
    """Takes steps off both ends.

    Parameters
    ----------
    cropping : int or two, default 1
    """

    _rank = 1

    def __init__(self, cropping: Any = (1, 1), **options: Any) -> None:
        super().__init__(cropping, **options)


class Cropping2D(_Cropping):
    """Takes edges off images.

    Parameters
    ----------
    cropping : int, two, or two pairs, default 0
        Of all sides; of height and width; or (top, bottom) and (left, right).
    data_format : "channels_last" or "channels_first", optional
    """

    _rank = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(cropping, data_format, **options)


class Cropping3D(_Cropping):
    """Takes edges off volumes; arguments as :class:`Cropping2D`, but by default 1 of all sides."""

    _rank = 3


class _ZeroPadding(_Edged):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **options: Any) -> None:
        super().__init__(padding, "padding", data_format, **options)

    def call(self, x: Any) -> Any:
        self._check(x)
        pads = [] if self.first else [0, 0]
        for before, behind in self.edges[::-1]:
            pads += [before, behind]
        return functional.pad(x, pads)


class ZeroPadding1D(_ZeroPadding):
    """Steps of zeros at both ends.

    Parameters
    ----------
    padding : int or two, default 1
    """

    _rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Edges of zeros around images.

    Parameters
    ----------
    padding : int, two, or two pairs, default 1
        Of all sides; of height and width; or (top, bottom) and (left, right).
    data_format : "channels_last" or "channels_first", optional
    """

    _rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Edges of zeros around volumes; arguments as :class:`ZeroPadding2D`."""

    _rank = 3


class _UpSampling(Layer):
    _rank: ClassVar[int]

    def __init__(
        self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **options: Any
    ) -> None:
        super().__init__(**options)
        owner = type(self).__name__
        self.size = sides(size, self._rank, owner, "size")
        self.first = is_first(data_format, owner)
        known = ("nearest", "bilinear", "bicubic") if self._rank == 2 else ("nearest",)
        if interpolation not in known:
            raise ArgumentError(f"{owner}: interpolation is {interpolation!r}, expected {' or '.join(known)}")
        self.interpolation = interpolation

    def call(self, x: Any) -> Any:
        x = channels_first(x, self._rank, type(self).__name__, self.first)
        size = tuple(n * times for n, times in zip(x.shape[2:], self.size, strict=True))
        return channels_last(ops.interpolate(x, size, mode=self.interpolation), self._rank, self.first)


class UpSampling1D(_UpSampling):
    """Repeats each step.

    Parameters
    ----------
    size : int, default 2
    """

    _rank = 1

    def __init__(self, size: Any = 2, **options: Any) -> None:
        super().__init__(size, None, **options)


class UpSampling2D(_UpSampling):
    """Images of several times the size.

    Parameters
    ----------
    size : int or two, default 2
    data_format : "channels_last" or "channels_first", optional
    interpolation : "nearest", "bilinear" or "bicubic", default "nearest"
    """

    _rank = 2


class UpSampling3D(_UpSampling):
    """Volumes of several times the size.

    Parameters
    ----------
    size : int or three, default 2
    data_format : "channels_last" or "channels_first", optional
    """

    _rank = 3

    def __init__(self, size: Any = 2, data_format: str | None = None, **options: Any) -> None:
        super().__init__(size, data_format, **options)
