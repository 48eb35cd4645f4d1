"""Pooling layers: windows of [N, C, H, W] shrunk to one number each. None has parameters."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.nn._check import integer, pair
from einkorn.nn.module import Module

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "GlobalAvgPool2d", "LPPool2d", "MaxPool2d"]

Pair = int | tuple[int, int]


def _halved(op: str, padding: tuple[int, int], kernel: tuple[int, int]) -> None:
    """A window that lay wholly in the padding would have no maximum and no mean."""
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise ArgumentError(f"{op}: padding is {padding}, expected at most half of kernel_size, {kernel}")


class MaxPool2d(Module):
    """The maximum of each window.

    Parameters
    ----------
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        The kernel size when not given.
    padding : int or pair of int, default 0
        Implicit minus infinity on either side, at most half the kernel.
    dilation : int or pair of int, default 1
    return_indices : bool, default False
        Whether to return also the positions h * W + w of the maxima.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "MaxPool2d", "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "MaxPool2d", "stride")
        self.padding = pair(padding, "MaxPool2d", "padding", 0)
        self.dilation = pair(dilation, "MaxPool2d", "dilation")
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        _halved("MaxPool2d", self.padding, self.kernel_size)

    def forward(self, x: Any) -> Any:
        return ops.max_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window.

    Parameters
    ----------
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        The kernel size when not given.
    padding : int or pair of int, default 0
        Implicit zeros on either side, at most half the kernel.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge.
    count_include_pad : bool, default True
        Whether the divisor counts the padding zeros.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "AvgPool2d", "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "AvgPool2d", "stride")
        self.padding = pair(padding, "AvgPool2d", "padding", 0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        _halved("AvgPool2d", self.padding, self.kernel_size)

    def forward(self, x: Any) -> Any:
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """Means over a grid of ``output_size`` cells that cover the plane.

    Parameters
    ----------
    output_size : int or pair of int
        A side of None keeps the input's size.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        super().__init__()
        op, name = "AdaptiveAvgPool2d", "output_size"
        if isinstance(output_size, (tuple, list)) and None in output_size:
            if len(output_size) != 2:
                raise ArgumentError(f"{op}: {name} is {output_size!r}, expected a pair")
            for side in output_size:
                if side is not None:
                    integer(side, op, name)
            self.output_size: tuple[int | None, int | None] = (output_size[0], output_size[1])
        else:
            self.output_size = pair(output_size, op, name)

    def forward(self, x: Any) -> Any:
        height, width = self.output_size
        if height is None or width is None:
            height = x.shape[-2] if height is None else height
            width = x.shape[-1] if width is None else width
        return ops.adaptive_avg_pool2d(x, (height, width))

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class GlobalAvgPool2d(Module):
    """The mean of each channel: [N, C, H, W] to [N, C, 1, 1]."""

    def forward(self, x: Any) -> Any:
        return ops.global_avg_pool2d(x)


class LPPool2d(Module):
    """The Lp norm of each window: (sum of x**p)**(1/p), as torch has it; p = 1 is sum pooling.

    Parameters
    ----------
    norm_type : float
        p, a number above 0.
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        The kernel size when not given.
    """

    def __init__(self, norm_type: float, kernel_size: Pair, stride: Pair | None = None) -> None:
        super().__init__()
        if not norm_type > 0:
            raise ArgumentError(f"LPPool2d: norm_type is {norm_type!r}, expected a number above 0")
        self.norm_type = norm_type
        self.kernel_size = pair(kernel_size, "LPPool2d", "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "LPPool2d", "stride")

    def forward(self, x: Any) -> Any:
        return ops.lp_pool2d(x, self.norm_type, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}"
