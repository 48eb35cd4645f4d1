"""The options of poolings: windows, strides and padding, checked, and the sizes that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import LARGEST, sizes
from einkorn.ops._pool import Shape
from einkorn.ops._road import unwrap
from einkorn.ops.copy import getitem, reshape

_Sides = int | Sequence[int]  # one for all sides, or one each

_SIDES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_LAYOUTS = {
    1: "[N, C, L] or [C, L]",
    2: "[N, C, H, W] or [C, H, W]",
    3: "[N, C, D, H, W] or [C, D, H, W]",
}


def _planes(op: str, x: Any, spatial: int, name: str = "x") -> Shape:
    """The shape of x; refused unless it has planes that are not empty."""
    shape: Shape = unwrap(x, op, name).shape
    if len(shape) not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{op}: {name} has shape {shape}, expected {_LAYOUTS[spatial]}")
    if 0 in shape[-spatial:]:
        sides = " and ".join(_SIDES[spatial])
        raise ShapeError(f"{op}: {name} has shape {shape}, expected a {sides} of at least 1")
    return shape


def _windows(
    op: str, spatial: int, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Shape, Shape, Shape]:
    kernel = sizes(kernel_size, op, "kernel_size", spatial, 1, LARGEST)
    default = stride is None or (isinstance(stride, (tuple, list)) and not stride)  # torch's () too
    strides = kernel if default else sizes(stride, op, "stride", spatial, 1, LARGEST)
    if type(padding) is int and padding == 0:
        return kernel, strides, (0,) * spatial
    pads = sizes(padding, op, "padding", spatial, 0, LARGEST)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        shown = kernel if spatial > 1 else kernel[0]
        raise ArgumentError(f"{op}: padding is {padding!r}, expected at most half of kernel_size, {shown}")
    return kernel, strides, pads


def _out_size(
    op: str, side: str, size: int, kernel: int, stride: int, pad: int, dilation: int, ceil: bool
) -> int:
    extent = dilation * (kernel - 1) + 1
    room = size + 2 * pad - extent
    if room < 0 and not (ceil and -room < stride):  # rounded up, one window may hang over both edges
        raise ShapeError(
            f"{op}: the window has {side} {extent}, expected at most {size + 2 * pad}, the {side} of x with"
            " its padding"
        )
    if not ceil:
        return room // stride + 1
    windows = -(-room // stride) + 1
    # The last window must begin inside the image or its padding on the near side.
    return windows - 1 if (windows - 1) * stride >= size + pad else windows


def _grid(
    op: str, extent: Shape, kernel: Shape, strides: Shape, pads: Shape, dilations: Shape, ceil: bool
) -> Shape:
    sides = _SIDES[len(extent)]
    if len(extent) == 2:  # the same as below, in a third of the time
        first, second = sides
        return (
            _out_size(op, first, extent[0], kernel[0], strides[0], pads[0], dilations[0], ceil),
            _out_size(op, second, extent[1], kernel[1], strides[1], pads[1], dilations[1], ceil),
        )
    every = zip(sides, extent, kernel, strides, pads, dilations, strict=True)
    return tuple([_out_size(op, side, n, k, s, p, d, ceil) for side, n, k, s, p, d in every])


def _seen(x: Any, shape: Shape) -> Any:
    return x if x.shape == shape else reshape(x, shape)


def _flattened(shape: Shape, spatial: int) -> tuple[int, int]:
    """N and C."""
    return (shape[0] if len(shape) == spatial + 2 else 1), shape[-1 - spatial]


def _plane_options(*options: Shape) -> Shape:
    """Height's and width's share of options that may be for a line only."""
    if len(options[0]) == 2:
        return sum(options, ())
    neutral = (1, 1, 0, 1)  # kernel, stride, padding, dilation
    flat: list[int] = []
    for option, one in zip(options, neutral, strict=False):
        flat += (one, *option) if len(option) == 1 else option[-2:]
    return tuple(flat)


def _output_size(op: str, output_size: Any, extent: Shape) -> Shape:
    """The sizes asked for; None keeps the input's."""
    spatial = len(extent)
    if isinstance(output_size, (tuple, list)) and None in output_size and len(output_size) == spatial:
        output_size = tuple(n if side is None else side for side, n in zip(output_size, extent, strict=True))
    elif output_size is None:
        output_size = extent
    return sizes(output_size, op, "output_size", spatial, 0, LARGEST)


def _nothing(x: Any, shape: Shape) -> Any:
    """An empty result of x, whose gradient is zeros."""
    return reshape(getitem(x, (..., slice(0, 0))), shape)
