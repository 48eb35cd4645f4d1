"""Pooling of lines, images and volumes."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn import ops
from einkorn.keras._base import Layer
from einkorn.keras.layers._sides import channels_first, channels_last, is_first, padding_of, same, sides

__all__ = [
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "AveragePooling1D",
    "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D", "GlobalAvgPool2D",
    "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D", "MaxPooling1D",
    "MaxPooling2D", "MaxPooling3D",
]  # fmt: skip


class _Pool(Layer):
    _rank: ClassVar[int]
    _integers = False

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None,
        name: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, **options)
        owner = type(self).__name__
        self.pool_size = sides(pool_size, self._rank, owner, "pool_size")
        self.strides = self.pool_size if strides is None else sides(strides, self._rank, owner, "strides")
        self.padding = padding_of(padding, owner)
        self.first = is_first(data_format, owner)

    def call(self, x: Any) -> Any:
        x = channels_first(x, self._rank, type(self).__name__, self.first)
        return channels_last(self._pooled(x), self._rank, self.first)

    def _pooled(self, x: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _pooled()")


class _Max(_Pool):
    _op: ClassVar[Any]

    def _pooled(self, x: Any) -> Any:
        if self.padding == "same":
            x = same(x, self.pool_size, self.strides, (1,) * self._rank, float("-inf"))
        return type(self)._op(x, self.pool_size, self.strides)


class _Average(_Pool):
    _op: ClassVar[Any]

    def _pooled(self, x: Any) -> Any:
        op = type(self)._op
        if self.padding == "valid":
            return op(x, self.pool_size, self.strides)
        ones = (1,) * self._rank
        plain = x._data if hasattr(x, "backward") else x
        inside = ops.add(ops.multiply(plain[:1, :1], 0.0), 1.0)
        inside = op(same(inside, self.pool_size, self.strides, ones, 0.0), self.pool_size, self.strides)
        sums = op(same(x, self.pool_size, self.strides, ones, 0.0), self.pool_size, self.strides)
        return ops.divide(sums, inside)


class MaxPooling2D(_Max):
    """The largest of each window.

    Parameters
    ----------
    pool_size : int or two, default 2
    strides : int or two, default pool_size
    padding : "valid" or "same", default "valid"
    data_format : "channels_last" or "channels_first", optional
    """

    _rank = 2
    _op = staticmethod(ops.max_pool2d)


class MaxPooling1D(_Max):
    """The largest of each window of [rows, steps, channels]; arguments as :class:`MaxPooling2D`."""

    _rank = 1
    _op = staticmethod(ops.max_pool1d)


class MaxPooling3D(_Max):
    """The largest of each window of volumes; arguments as :class:`MaxPooling2D`."""

    _rank = 3
    _op = staticmethod(ops.max_pool3d)


class AveragePooling2D(_Average):
    """The mean of each window, of what lies within the image; arguments as :class:`MaxPooling2D`."""

    _rank = 2
    _op = staticmethod(ops.avg_pool2d)


class AveragePooling1D(_Average):
    """The mean of each window of [rows, steps, channels]; arguments as :class:`MaxPooling2D`."""

    _rank = 1
    _op = staticmethod(ops.avg_pool1d)


class AveragePooling3D(_Average):
    """The mean of each window of volumes; arguments as :class:`MaxPooling2D`."""

    _rank = 3
    _op = staticmethod(ops.avg_pool3d)


class _Global(Layer):
    _rank: ClassVar[int]
    _integers = False

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.first = is_first(data_format, type(self).__name__)
        self.keepdims = keepdims

    def _axes(self, x: Any) -> tuple[int, ...]:
        channels_first(x, self._rank, type(self).__name__, True)
        return tuple(range(2, self._rank + 2)) if self.first else tuple(range(1, self._rank + 1))


class _GlobalMax(_Global):
    def call(self, x: Any) -> Any:
        return ops.max(x, axis=self._axes(x), keepdims=self.keepdims)


class _GlobalAverage(_Global):
    def call(self, x: Any) -> Any:
        return ops.mean(x, axis=self._axes(x), keepdims=self.keepdims)


class GlobalAveragePooling1D(_Global):
    """The mean over the steps, of those that count where there is a mask.

    Parameters
    ----------
    data_format : "channels_last" or "channels_first", optional
    keepdims : bool, default False
    """

    _rank = 1
    supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        axis = self._axes(x)
        if mask is None:
            return ops.mean(x, axis=axis, keepdims=self.keepdims)
        kept = mask.astype(x._data.dtype if hasattr(x, "backward") else x.dtype)
        kept = kept[:, None] if self.first else kept[..., None]
        total = ops.sum(ops.multiply(x, kept), axis=axis, keepdims=self.keepdims)
        return ops.divide(total, kept.sum(axis, keepdims=self.keepdims))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: there are no steps any more."""
        return None


class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel; arguments as :class:`GlobalAveragePooling1D`."""

    _rank = 2


class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel of volumes; arguments as :class:`GlobalAveragePooling1D`."""

    _rank = 3


class GlobalMaxPooling1D(_GlobalMax):
    """The largest over the steps; arguments as :class:`GlobalAveragePooling1D`."""

    _rank = 1


class GlobalMaxPooling2D(_GlobalMax):
    """The largest of each channel; arguments as :class:`GlobalAveragePooling1D`."""

    _rank = 2


class GlobalMaxPooling3D(_GlobalMax):
    """The largest of each channel of volumes; arguments as :class:`GlobalAveragePooling1D`."""

    _rank = 3


class _Adaptive(Layer):
    _rank: ClassVar[int]
    _op: ClassVar[Any]
    _integers = False

    def __init__(self, output_size: Any, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        owner = type(self).__name__
        self.output_size = sides(output_size, self._rank, owner, "output_size")
        self.first = is_first(data_format, owner)

    def call(self, x: Any) -> Any:
        x = channels_first(x, self._rank, type(self).__name__, self.first)
        return channels_last(type(self)._op(x, self.output_size), self._rank, self.first)


class AdaptiveAveragePooling2D(_Adaptive):
    """The means of so many windows, whatever the size of the images.

    Parameters
    ----------
    output_size : int or two
    data_format : "channels_last" or "channels_first", optional
    """

    _rank = 2
    _op = staticmethod(ops.adaptive_avg_pool2d)


class AdaptiveAveragePooling1D(_Adaptive):
    """The means of so many windows of [rows, steps, channels]; as :class:`AdaptiveAveragePooling2D`."""

    _rank = 1
    _op = staticmethod(ops.adaptive_avg_pool1d)


class AdaptiveAveragePooling3D(_Adaptive):
    """The means of so many windows of volumes; arguments as :class:`AdaptiveAveragePooling2D`."""

    _rank = 3
    _op = staticmethod(ops.adaptive_avg_pool3d)


class AdaptiveMaxPooling2D(_Adaptive):
    """The largest of so many windows; arguments as :class:`AdaptiveAveragePooling2D`."""

    _rank = 2
    _op = staticmethod(ops.adaptive_max_pool2d)


class AdaptiveMaxPooling1D(_Adaptive):
    """The largest of so many windows of [rows, steps, channels]; as :class:`AdaptiveAveragePooling2D`."""

    _rank = 1
    _op = staticmethod(ops.adaptive_max_pool1d)


class AdaptiveMaxPooling3D(_Adaptive):
    """The largest of so many windows of volumes; arguments as :class:`AdaptiveAveragePooling2D`."""

    _rank = 3
    _op = staticmethod(ops.adaptive_max_pool3d)


AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D, GlobalMaxPool1D = GlobalAveragePooling3D, GlobalMaxPooling1D
GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling2D, GlobalMaxPooling3D
