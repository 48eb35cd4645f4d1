"""Convolutions of lines, images and volumes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from einkorn import nn
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer
from einkorn.keras._variables import Place
from einkorn.keras.layers._sides import channels_first, channels_last, is_first, padding_of, same, sides
from einkorn.keras.layers._weighted import Weighted

__all__ = [
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose",
    "Convolution1D", "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose", "Convolution3D",
    "Convolution3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "SeparableConvolution1D", "SeparableConvolution2D",
]  # fmt: skip


class _Conv(Weighted):
    _rank: ClassVar[int]
    _kind: ClassVar[Any]

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: Any = 1, groups: int = 1, activation: Any = None,
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        rules = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        super().__init__(activation, use_bias, rules, activity_regularizer=activity_regularizer, **options)
        owner, rank = type(self).__name__, self._rank
        if isinstance(filters, bool) or not isinstance(filters, (int, np.integer)) or filters < 1:
            raise ArgumentError(f"{owner}: filters is {filters!r}, expected an integer >= 1")
        self.filters, self.groups = int(filters), groups
        self.kernel_size = sides(kernel_size, rank, owner, "kernel_size")
        self.strides = sides(strides, rank, owner, "strides")
        self.dilation_rate = sides(dilation_rate, rank, owner, "dilation_rate")
        self.padding = padding_of(padding, owner, *(("causal",) if rank == 1 else ()))
        self.first = is_first(data_format, owner)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = input_shape[1 if self.first else -1]
        self.inner = self._fill(
            self._kind(
                channels, self.filters, self.kernel_size, self.strides, 0, self.dilation_rate, self.groups,
                self.use_bias, activation=self.fused,
            )
        )  # fmt: skip
        self.built = True

    def call(self, x: Any) -> Any:
        x = channels_first(x, self._rank, type(self).__name__, self.first)
        if self.padding == "same":
            x = same(x, self.kernel_size, self.strides, self.dilation_rate, 0.0)
        elif self.padding == "causal":
            x = nn.functional.pad(x, [(self.kernel_size[0] - 1) * self.dilation_rate[0], 0])
        return self._end(channels_last(self.inner(x), self._rank, self.first))


class Conv2D(_Conv):
    """Convolution of images with channels last.

    Parameters
    ----------
    filters : int
    kernel_size : int or two
    strides : int or two, default 1
    padding : "valid" or "same", default "valid"
    data_format : "channels_last" or "channels_first", optional
    dilation_rate : int or two, default 1
    groups : int, default 1
    activation, use_bias, kernel_initializer, ... : as :class:`Dense`
    """

    _rank = 2
    _kind = nn.Conv2d


class Conv1D(_Conv):
    """Convolution of [rows, steps, channels]; arguments as :class:`Conv2D`.

    ``padding="causal"`` pads in front only, so that no output sees a later step.
    """

    _rank = 1
    _kind = nn.Conv1d


class Conv3D(_Conv):
    """Convolution of [rows, depth, height, width, channels]; arguments as :class:`Conv2D`."""

    _rank = 3
    _kind = nn.Conv3d


def transposed_convolution(
    x: Any, weight: Any, strides: Any, padding: str, output_padding: Any, dilation: Any
) -> Any:
    """Transposed convolution of channels first, of the size that Keras gives it."""
    rank = len(x.shape) - 2
    cut, extra = [slice(None), slice(None)], []
    for i, (side, size, stride, reach) in enumerate(
        zip(x.shape[2:], weight.shape[2:], strides, dilation, strict=True)
    ):
        reached = (size - 1) * reach + 1
        total = max(reached - stride, 0)
        whole = side * stride + total  # all that any input reaches, or the stride leaves
        if output_padding is not None:
            before = reached // 2 if padding == "same" else 0
            length = (side - 1) * stride + reached - 2 * before + output_padding[i]
        else:
            before = total // 2 if padding == "same" else 0
            length = side * stride if padding == "same" else whole
        extra.append(max(0, before + length - ((side - 1) * stride + reached)))
        cut.append(slice(before, before + length))
    function = nn.functional.__dict__[f"conv_transpose{rank}d"]
    out = function(x, weight, None, strides, 0, 0, 1, dilation)
    if any(extra):
        out = nn.functional.pad(out, [size for more in extra[::-1] for size in (0, more)])
    return out[tuple(cut)]


class _Transposed(_Conv):
    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        output_padding: Any = None, data_format: str | None = None, dilation_rate: Any = 1,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **options,
        )  # fmt: skip
        owner = type(self).__name__
        self.output_padding = (
            None if output_padding is None else sides(output_padding, self._rank, owner, "output_padding", 0)
        )
        if self.padding == "causal":
            raise ArgumentError(f"{owner}: padding is 'causal', expected 'valid' or 'same'")

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = input_shape[1 if self.first else -1]
        self.inner = self._fill(
            self._kind(
                channels, self.filters, self.kernel_size, self.strides, 0, 0, 1, self.use_bias,
                self.dilation_rate,
            )
        )  # fmt: skip
        self.fused = None
        self.built = True

    def call(self, x: Any) -> Any:
        x = channels_first(x, self._rank, type(self).__name__, self.first)
        out = transposed_convolution(
            x, self.inner.weight, self.strides, self.padding, self.output_padding, self.dilation_rate
        )
        out = channels_last(out, self._rank, self.first)
        if self.inner.bias is not None:
            bias = self.inner.bias.reshape(-1, *[1] * self._rank) if self.first else self.inner.bias
            out = out + bias
        return self._end(out)


class Conv2DTranspose(_Transposed):
    """Transposed convolution of images: what the gradient of :class:`Conv2D` for its input is.

    Parameters
    ----------
    filters, kernel_size, strides, padding : as :class:`Conv2D`
        With "same" the output has stride times the input's size.
    output_padding : int or two, optional
    data_format, dilation_rate, activation, use_bias, ... : as :class:`Conv2D`
    """

    _rank = 2
    _kind = nn.ConvTranspose2d


class Conv1DTranspose(_Transposed):
    """Transposed convolution of [rows, steps, channels]; arguments as :class:`Conv2DTranspose`."""

    _rank = 1
    _kind = nn.ConvTranspose1d


class Conv3DTranspose(_Transposed):
    """Transposed convolution of volumes; arguments as :class:`Conv2DTranspose`.

    As in Keras ``data_format`` stands before ``output_padding`` here.
    """

    _rank = 3
    _kind = nn.ConvTranspose3d

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        data_format: str | None = None, output_padding: Any = None, dilation_rate: Any = 1,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation,
            use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint, **options,
        )  # fmt: skip


class _Depthwise(_Conv):
    def __init__(
        self, kernel_size: Any, strides: Any = 1, padding: str = "valid", depth_multiplier: int = 1,
        data_format: str | None = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        depthwise_constraint: Any = None, bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            1, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias,
            depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer,
            activity_regularizer, depthwise_constraint, bias_constraint, **options,
        )  # fmt: skip
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = input_shape[1 if self.first else -1]
        rank, times = self._rank, self.depth_multiplier
        self.__dict__["_turn"] = lambda a: np.moveaxis(
            a.reshape(channels, times, *a.shape[2:]), (0, 1), (-2, -1)
        )
        self.__dict__["_back"] = lambda a: np.moveaxis(a, (-2, -1), (0, 1)).reshape(
            channels * times, 1, *a.shape[:rank]
        )
        self.inner = self._fill(
            self._kind(
                channels, channels * times, self.kernel_size, self.strides, 0, self.dilation_rate, channels,
                self.use_bias, activation=self.fused,
            )
        )  # fmt: skip
        self.built = True


class DepthwiseConv2D(_Depthwise):
    """A convolution of each channel by itself.

    Parameters
    ----------
    kernel_size, strides, padding : as :class:`Conv2D`
    depth_multiplier : int, default 1
        Channels that are made of each.
    data_format, dilation_rate, activation, use_bias : as :class:`Conv2D`
    depthwise_initializer, bias_initializer, ... : as :class:`Dense` for kernel and bias
    """

    _rank = 2
    _kind = nn.Conv2d


class DepthwiseConv1D(_Depthwise):
    """A convolution of each channel of [rows, steps, channels]; arguments as :class:`DepthwiseConv2D`."""

    _rank = 1
    _kind = nn.Conv1d


class _Separable(Layer):
    _depthwise: ClassVar[Any]
    _plain: ClassVar[Any]
    _integers = False

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: Any = 1, depth_multiplier: int = 1,
        activation: Any = None, use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, depthwise_constraint: Any = None, pointwise_constraint: Any = None,
        bias_constraint: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.depthwise = self._depthwise(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, None, False,
            depthwise_initializer, "zeros", depthwise_regularizer, depthwise_constraint=depthwise_constraint,
            name="depthwise",
        )  # fmt: skip
        self.pointwise = self._plain(
            filters, 1, 1, "valid", data_format, 1, 1, activation, use_bias, pointwise_initializer,
            bias_initializer, pointwise_regularizer, bias_regularizer, None, pointwise_constraint,
            bias_constraint, name="pointwise",
        )  # fmt: skip

        inner = self.depthwise
        self.kernel_size, self.strides = inner.kernel_size, inner.strides
        self.dilation_rate = inner.dilation_rate

    def call(self, x: Any) -> Any:
        return self.pointwise(self.depthwise(x))

    def _keras_places(self) -> list[Place] | None:
        if not self.pointwise.built:
            return []
        depthwise = self.depthwise._keras_places()[0]._replace(name="depthwise_kernel")
        pointwise, bias = self.pointwise._keras_places()
        return [depthwise, pointwise._replace(name="pointwise_kernel"), bias]


class SeparableConv2D(_Separable):
    """A depthwise convolution, and one of 1x1 that mixes the channels.

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format, dilation_rate : as :class:`Conv2D`
    depth_multiplier : int, default 1
    activation, use_bias : as :class:`Conv2D`
    depthwise_initializer, pointwise_initializer, bias_initializer, ... : as :class:`Dense`
    """

    _depthwise = DepthwiseConv2D
    _plain = Conv2D


class SeparableConv1D(_Separable):
    """The same of [rows, steps, channels]; arguments as :class:`SeparableConv2D`."""

    _depthwise = DepthwiseConv1D
    _plain = Conv1D


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
