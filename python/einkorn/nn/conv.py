"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from einkorn.engines import activation_code
from einkorn.errors import ArgumentError
from einkorn.nn import init
from einkorn.nn._check import integer, pair
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.ops.conv import conv2d

__all__ = ["Conv2d"]

Pair = int | tuple[int, int]


class Conv2d(Module):
    """Two-dimensional cross-correlation plus bias, then the activation.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair of int
        For height and width; stride and dilation are 1 by default.
    padding : int, pair of int, "same" or "valid", default 0
        Zeros on either side of height and width. "same" keeps the size and needs stride 1.
    groups : int, default 1
        Both channel numbers are divided into this many independent groups.
    bias : bool, default True
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight : Parameter [out_channels, in_channels / groups, height, width]
    bias : Parameter [out_channels] or None
        Both start uniform on +-1/sqrt(fan_in), as torch's do.

    Notes
    -----
    Input [N, in_channels, H, W], output [N, out_channels, H', W'] with
    H' = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        activation_code(activation, "Conv2d")
        self.in_channels = integer(in_channels, "Conv2d", "in_channels")
        self.out_channels = integer(out_channels, "Conv2d", "out_channels")
        self.kernel_size = pair(kernel_size, "Conv2d", "kernel_size")
        self.stride = pair(stride, "Conv2d", "stride")
        self.padding: str | tuple[int, int]
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(f"Conv2d: padding is {padding!r}, expected integers, 'same' or 'valid'")
            if padding == "same" and self.stride != (1, 1):
                raise ArgumentError(f"Conv2d: padding 'same' needs stride 1, got stride {self.stride}")
            self.padding = padding
        else:
            self.padding = pair(padding, "Conv2d", "padding", 0)
        self.dilation = pair(dilation, "Conv2d", "dilation")
        self.groups = integer(groups, "Conv2d", "groups")
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ArgumentError(
                    f"Conv2d: {name} is {getattr(self, name)}, expected a multiple of groups, {self.groups}"
                )
        self.activation = activation
        self.weight = blank(self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.bias = blank(self.out_channels) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight.shape, "Conv2d")[0])
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any) -> Any:
        return conv2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            activation=self.activation,
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if self.padding not in ((0, 0), "valid"):
            text += f", padding={self.padding!r}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.activation is None else f"{text}, activation={self.activation!r}"
