"""Convolution layers: plain, transposed and separable, in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from einkorn import ops
from einkorn.engines import activation_code
from einkorn.errors import ArgumentError
from einkorn.nn import init
from einkorn.nn._check import integer, sizes
from einkorn.nn._keras_options import take_options
from einkorn.nn._padding import pad_with_pixels
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Fold",
    "SeparableConv2d",
    "Unfold",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What plain and transposed layers share: options, parameters and how they begin."""

    weight: Parameter
    bias: Parameter | None
    _spatial: ClassVar[int]
    _transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        output_padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        activation: str | None,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        name, spatial = type(self).__name__, self._spatial
        activation_code(activation, name)
        self.in_channels = integer(in_channels, name, "in_channels")
        self.out_channels = integer(out_channels, name, "out_channels")
        self.kernel_size = sizes(kernel_size, name, "kernel_size", spatial)
        self.stride = sizes(stride, name, "stride", spatial)
        self.dilation = sizes(dilation, name, "dilation", spatial)
        self.padding: str | tuple[int, ...]
        if isinstance(padding, str) and not self._transposed:
            if padding not in ("same", "valid"):
                raise ArgumentError(f"{name}: padding is {padding!r}, expected integers, 'same' or 'valid'")
            if padding == "same" and max(self.stride) != 1:
                raise ArgumentError(f"{name}: padding 'same' needs stride 1, got stride {self.stride}")
            self.padding = padding
        else:
            self.padding = sizes(padding, name, "padding", spatial, 0)
        self.output_padding = sizes(output_padding, name, "output_padding", spatial, 0)
        modes = ("zeros",) if self._transposed else _PADDING_MODES
        if padding_mode not in modes:
            raise ArgumentError(
                f"{name}: padding_mode is {padding_mode!r}, expected one of {', '.join(map(repr, modes))}"
            )
        self.padding_mode = padding_mode
        self.groups = integer(groups, name, "groups")
        for side in ("in_channels", "out_channels"):
            if getattr(self, side) % self.groups:
                raise ArgumentError(
                    f"{name}: {side} is {getattr(self, side)}, expected a multiple of groups, {self.groups}"
                )
        self.activation = activation
        first, second = self.out_channels, self.in_channels
        if self._transposed:
            first, second = second, first
        self.weight = blank(first, second // self.groups, *self.kernel_size)
        self.bias = blank(self.out_channels) if bias else None
        self.reset_parameters()
        if options:
            take_options(self, options, {"kernel": "weight", "bias": "bias"})

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight.shape, type(self).__name__)[0])
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if self.padding != "valid" and (isinstance(self.padding, str) or any(self.padding)):
            text += f", padding={self.padding}"
        if max(self.dilation) != 1:
            text += f", dilation={self.dilation}"
        if any(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text if self.activation is None else f"{text}, activation={self.activation!r}"


class _Plain(_Convolution):
    _run: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            activation,
            options,
        )
        self._settle(device, dtype)

    def _margins(self) -> list[tuple[int, int]]:
        """Amounts before and after, for each dimension of space."""
        if not isinstance(self.padding, str):
            return [(p, p) for p in self.padding]
        totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return [(t // 2, t - t // 2) if self.padding == "same" else (0, 0) for t in totals]

    def forward(self, input: Any) -> Any:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = pad_with_pixels(type(self).__name__, input, self._margins(), self.padding_mode)
            padding = 0
        return type(self)._run(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            activation=self.activation,
        )


_PLAIN = """{dimension}-dimensional cross-correlation plus bias, then the activation.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : {options}
        {along} stride and dilation are 1 by default.
    padding : {options}, "same" or "valid", default 0
        What is added on either side. "same" keeps the size and needs stride 1.
    groups : int, default 1
        Both channel numbers are divided into this many independent groups.
    bias : bool, default True
    padding_mode : "zeros", "reflect", "replicate" or "circular", default "zeros"
        What the padding holds: zeros, the pixels mirrored at the edge, the edge's pixel again, or those
        of the other side.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight : Parameter [out_channels, in_channels / groups, {kernel}]
    bias : Parameter [out_channels] or None
        Both start uniform on +-1/sqrt(fan_in), as torch's do.

    Notes
    -----
    Input [N, in_channels, {sides}] or without N, output likewise with sizes
    (n + 2 padding - dilation (kernel - 1) - 1) // stride + 1.
    """

_BACK = """{dimension}-dimensional transposed convolution plus bias, then the activation.

    It is the input gradient of :class:`Conv{count}d` as a layer: every pixel adds its product with the kernel
    to the output, ``stride`` apart.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride : {options}
        {along} stride is 1 by default.
    padding : {options}, default 0
        What is cut off the output on either side.
    output_padding : {options}, default 0
        What is added after the last; less than the stride or the dilation.
    groups : int, default 1
    bias : bool, default True
    dilation : {options}, default 1
    padding_mode : "zeros"
        There is no other, as in torch.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None

    Attributes
    ----------
    weight : Parameter [in_channels, out_channels / groups, {kernel}]
    bias : Parameter [out_channels] or None
        Both start as torch's do.

    Notes
    -----
    Input [N, in_channels, {sides}] or without N, output likewise with sizes
    (n - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1. A call may ask for another size
    with ``output_size``, which chooses the output padding.
    """

_WORDS: dict[int, dict[str, str]] = {
    1: {"dimension": "One", "options": "int", "along": "Along the line;", "kernel": "size", "sides": "L"},
    2: {
        "dimension": "Two",
        "options": "int or pair of int",
        "along": "For height and width;",
        "kernel": "height, width",
        "sides": "H, W",
    },
    3: {
        "dimension": "Three",
        "options": "int or three of int",
        "along": "For depth, height and width;",
        "kernel": "depth, height, width",
        "sides": "D, H, W",
    },
}


class Conv1d(_Plain):
    __doc__ = _PLAIN.format(**_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.conv1d)


class Conv2d(_Plain):
    __doc__ = _PLAIN.format(**_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.conv2d)


class Conv3d(_Plain):
    __doc__ = _PLAIN.format(**_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.conv3d)


class _Transposed(_Convolution):
    _run: ClassVar[Callable[..., Any]]
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
            activation,
            options,
        )
        self._settle(device, dtype)

    def _extra(self, x: Any, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives this size."""
        name, spatial = type(self).__name__, self._spatial
        given = tuple(output_size)
        wanted = given[2:] if len(given) == spatial + 2 else given
        if len(wanted) != spatial:
            raise ArgumentError(
                f"{name}: output_size is {given}, expected {spatial} or {spatial + 2} numbers"
            )
        assert not isinstance(self.padding, str)
        least = tuple(
            (n - 1) * step - 2 * pad + apart * (taps - 1) + 1
            for n, step, pad, apart, taps in zip(
                x.shape[-spatial:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        most = tuple(n + step - 1 for n, step in zip(least, self.stride, strict=True))
        if not all(low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
            raise ArgumentError(
                f"{name}: output_size is {given}, expected sizes from {least} to {most} for an input of shape"
                f" {tuple(x.shape)}"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return type(self)._run(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
            activation=self.activation,
        )


class ConvTranspose1d(_Transposed):
    __doc__ = _BACK.format(count=1, **_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.conv_transpose1d)


class ConvTranspose2d(_Transposed):
    __doc__ = _BACK.format(count=2, **_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.conv_transpose2d)


class ConvTranspose3d(_Transposed):
    __doc__ = _BACK.format(count=3, **_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.conv_transpose3d)


class SeparableConv2d(Module):
    """A depthwise convolution, then a pointwise one (Chollet 2017, "Xception"): Keras' layer of this name.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair of int
        Of the depthwise convolution; stride and dilation are 1 by default.
    padding : int, pair of int, "same" or "valid", default 0
    depth_multiplier : int, default 1
        Channels that the depthwise convolution makes of each.
    bias : bool, default True
        Of the pointwise convolution; the depthwise one has none.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        After the pointwise convolution, fused into the kernel.

    Attributes
    ----------
    depthwise, pointwise : Conv2d

    Notes
    -----
    Input [N, in_channels, H, W], output [N, out_channels, H', W'] with sizes as :class:`Conv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        channels = integer(in_channels, "SeparableConv2d", "in_channels")
        between = channels * integer(depth_multiplier, "SeparableConv2d", "depth_multiplier")
        self.depthwise = Conv2d(channels, between, kernel_size, stride, padding, dilation, channels, False)
        self.pointwise = Conv2d(between, out_channels, 1, bias=bias, activation=activation)

    def forward(self, input: Any) -> Any:
        return self.pointwise(self.depthwise(input))


class Unfold(Module):
    """The windows of images as columns; options and shapes as :func:`einkorn.ops.unfold`."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return ops.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding},"
            f" stride={self.stride}"
        )


class Fold(Module):
    """Images from their windows, overlapping pixels added; options and shapes as :func:`einkorn.ops.fold`."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return ops.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation},"
            f" padding={self.padding}, stride={self.stride}"
        )
