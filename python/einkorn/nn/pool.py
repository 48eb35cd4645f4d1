"""Pooling layers: windows of lines, images or volumes shrunk to one number each. None has parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.nn._check import integer, sizes
from einkorn.nn.module import Module
from einkorn.ops._options import number

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "GlobalAvgPool2d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Windows(Module):
    """Options that all window poolings share."""

    _spatial: ClassVar[int]
    _run: ClassVar[Callable[..., Any]]

    def _take(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        name, spatial = type(self).__name__, self._spatial
        self.kernel_size = sizes(kernel_size, name, "kernel_size", spatial)
        self.stride = self.kernel_size if stride is None else sizes(stride, name, "stride", spatial)
        self.padding = sizes(padding, name, "padding", spatial, 0)
        # A window that lay wholly in the padding would have no maximum and no mean.
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(
                f"{name}: padding is {self.padding}, expected at most half of kernel_size, {self.kernel_size}"
            )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Windows):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self._take(kernel_size, stride, padding)
        self.dilation = sizes(dilation, type(self).__name__, "dilation", self._spatial)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        return type(self)._run(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


_MAX = """The maximum of each window of {what}.

    Parameters
    ----------
    kernel_size : {options}
    stride : {options}, optional
        The kernel size when not given.
    padding : {options}, default 0
        Implicit minus infinity on either side, at most half the kernel.
    dilation : {options}, default 1
    return_indices : bool, default False
        Whether to return also the positions of the maxima, {place}.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge.
    """

_AVG = """The mean of each window of {what}.

    Parameters
    ----------
    kernel_size : {options}
    stride : {options}, optional
        The kernel size when not given.
    padding : {options}, default 0
        Implicit zeros on either side, at most half the kernel.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge.
    count_include_pad : bool, default True
        Whether the divisor counts the padding zeros.{divisor}
    """

_DIVISOR = """
    divisor_override : int, optional
        Divide every window's sum by this instead."""

_LP = """The Lp norm of each window of {what}: (sum of x**p)**(1/p), as torch has it; p = 1 is sum pooling.

    Parameters
    ----------
    norm_type : float
        p, a number above 0.
    kernel_size : {options}
    stride : {options}, optional
        The kernel size when not given.
    ceil_mode : bool, default False
        Whether a last window may hang over the edge.
    """

_ADAPTIVE = """{kind} over a grid of ``output_size`` cells that cover {what} evenly.

    Parameters
    ----------
    output_size : {options}
        A side of None keeps the input's size.{more}
    """

_RETURNS = """
    return_indices : bool, default False
        Whether to return also the positions of the maxima, {place}."""

_UNPOOL = """Maxima of {what} back at their places, zeros elsewhere; see :func:`einkorn.ops.max_unpool2d`.

    Parameters
    ----------
    kernel_size, stride, padding : {options}
        Those of the pooling; stride is kernel_size and padding 0 when not given.

    Notes
    -----
    A call takes the maxima, their indices, and optionally ``output_size``.
    """

_FRACTIONAL = """Maxima of {what} in windows at drawn steps; see :func:`einkorn.ops.fractional_max_pool2d`.

    Parameters
    ----------
    kernel_size : {options}
    output_size : {options}, optional
    output_ratio : float or one a side, optional
        Of the input's size. One of the two is needed.
    return_indices : bool, default False
    _random_samples : array, optional
        Numbers from [0, 1) instead of drawn ones.
    """

_WORDS: dict[int, dict[str, str]] = {
    1: {"what": "lines [N, C, L]", "options": "int", "place": "along the line"},
    2: {"what": "images [N, C, H, W]", "options": "int or pair of int", "place": "h * W + w"},
    3: {
        "what": "volumes [N, C, D, H, W]",
        "options": "int or three of int",
        "place": "(d * H + h) * W + w",
    },
}


class MaxPool1d(_MaxPool):
    __doc__ = _MAX.format(**_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.max_pool1d)


class MaxPool2d(_MaxPool):
    __doc__ = _MAX.format(**_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.max_pool2d)


class MaxPool3d(_MaxPool):
    __doc__ = _MAX.format(**_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.max_pool3d)


class AvgPool1d(_Windows):
    __doc__ = _AVG.format(divisor="", **_WORDS[1])
    _spatial = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self._take(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        windows = self.kernel_size, self.stride, self.padding
        return ops.avg_pool1d(input, *windows, self.ceil_mode, self.count_include_pad)


class _AvgPool(_Windows):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self._take(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        return type(self)._run(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool2d(_AvgPool):
    __doc__ = _AVG.format(divisor=_DIVISOR, **_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.avg_pool2d)


class AvgPool3d(_AvgPool):
    __doc__ = _AVG.format(divisor=_DIVISOR, **_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.avg_pool3d)


class _LPPool(_Windows):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        if not number(type(self).__name__, "norm_type", norm_type) > 0:
            raise ArgumentError(
                f"{type(self).__name__}: norm_type is {norm_type!r}, expected a number above 0"
            )
        self.norm_type = norm_type
        self._take(kernel_size, stride, 0)
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        return type(self)._run(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride},"
            f" ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    __doc__ = _LP.format(**_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.lp_pool1d)


class LPPool2d(_LPPool):
    __doc__ = _LP.format(**_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.lp_pool2d)


class LPPool3d(_LPPool):
    __doc__ = _LP.format(**_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.lp_pool3d)


class _Adaptive(Module):
    _spatial: ClassVar[int]
    _run: ClassVar[Callable[..., Any]]

    def _take(self, output_size: Any) -> None:
        name, spatial = type(self).__name__, self._spatial
        self.output_size: tuple[int | None, ...]
        if isinstance(output_size, (tuple, list)) and None in output_size:
            if len(output_size) != spatial:
                several = {1: "an integer", 2: "a pair", 3: "three numbers"}[spatial]
                raise ArgumentError(f"{name}: output_size is {output_size!r}, expected {several}")
            self.output_size = tuple(
                None if side is None else integer(side, name, "output_size", 0) for side in output_size
            )
        elif output_size is None:
            self.output_size = (None,) * spatial
        else:
            self.output_size = sizes(output_size, name, "output_size", spatial, 0)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_Adaptive):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self._take(output_size)

    def forward(self, input: Any) -> Any:
        return type(self)._run(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    __doc__ = _ADAPTIVE.format(kind="Means", more="", **_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    __doc__ = _ADAPTIVE.format(kind="Means", more="", **_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    __doc__ = _ADAPTIVE.format(kind="Means", more="", **_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self._take(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        return type(self)._run(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    __doc__ = _ADAPTIVE.format(kind="Maxima", more=_RETURNS.format(**_WORDS[1]), **_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    __doc__ = _ADAPTIVE.format(kind="Maxima", more=_RETURNS.format(**_WORDS[2]), **_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    __doc__ = _ADAPTIVE.format(kind="Maxima", more=_RETURNS.format(**_WORDS[3]), **_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.adaptive_max_pool3d)


class _FractionalMaxPool(Module):
    _spatial: ClassVar[int]
    _run: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = sizes(kernel_size, name, "kernel_size", self._spatial)
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{name}: output_size is {output_size!r} and output_ratio is {output_ratio!r}, expected one"
                " of them"
            )
        self.output_size = output_size
        self.output_ratio = output_ratio
        self.return_indices = return_indices
        self.samples = _random_samples

    def forward(self, input: Any) -> Any:
        options = self.output_size, self.output_ratio, self.return_indices, self.samples
        return type(self)._run(input, self.kernel_size, *options)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, output_size={self.output_size},"
            f" output_ratio={self.output_ratio}"
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    __doc__ = _FRACTIONAL.format(**_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    __doc__ = _FRACTIONAL.format(**_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.fractional_max_pool3d)


class _MaxUnpool(_Windows):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self._take(kernel_size, stride, padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        options = self.kernel_size, self.stride, self.padding, output_size
        return type(self)._run(input, indices, *options)


class MaxUnpool1d(_MaxUnpool):
    __doc__ = _UNPOOL.format(**_WORDS[1])
    _spatial = 1
    _run = staticmethod(ops.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    __doc__ = _UNPOOL.format(**_WORDS[2])
    _spatial = 2
    _run = staticmethod(ops.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    __doc__ = _UNPOOL.format(**_WORDS[3])
    _spatial = 3
    _run = staticmethod(ops.max_unpool3d)


class GlobalAvgPool2d(Module):
    """The mean of each channel: [N, C, H, W] to [N, C, 1, 1]."""

    def forward(self, input: Any) -> Any:
        return ops.global_avg_pool2d(input)
