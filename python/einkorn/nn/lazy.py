"""Layers that learn their number of input channels from the first batch they see.

After that they are the plain layer: ``type(layer)`` is it. Parameters exist from the start, without elements,
and get their memory at the first call, so that an optimizer made before it goes on.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np

from einkorn.errors import ShapeError
from einkorn.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from einkorn.nn.linear import Linear
from einkorn.nn.module import Module
from einkorn.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from einkorn.nn.parameter import Parameter

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


class _Lazy(Module):
    _real: ClassVar[Any]
    _axis: ClassVar[int]  # of the channels
    _count: ClassVar[str]  # the attribute that holds their number

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        # Refuses bad options now. Any number of channels that the groups divide will do for that.
        given = inspect.signature(self._real).bind(1, *args, **kwargs).arguments
        first = given.get("groups", 1)
        model = self._real(first if isinstance(first, int) and first > 0 else 1, *args, **kwargs)
        object.__setattr__(self, "_options", (args, kwargs))
        for name, value in vars(model).items():
            if isinstance(value, Parameter):
                value = Parameter(np.empty(0, value.dtype))
            object.__setattr__(self, name, value)
        object.__setattr__(self, self._count, 0)

    def initialize_parameters(self, x: Any) -> None:
        """Draw the parameters' initial values, for as many channels as x has."""
        shape = tuple(x.shape)
        if len(shape) < abs(self._axis) or (self._axis > 0 and len(shape) <= self._axis):
            raise ShapeError(f"{type(self).__name__}: x has shape {shape}, expected one with channels")
        args, kwargs = vars(self)["_options"]
        model = self._real(shape[self._axis], *args, **kwargs)
        for name, value in vars(model).items():
            own = vars(self).get(name)
            if isinstance(own, Parameter) and isinstance(value, Parameter):
                own._data = value._data.astype(own.dtype)
            elif name != "training":
                object.__setattr__(self, name, value)

    def forward(self, input: Any, *rest: Any, **options: Any) -> Any:
        self.initialize_parameters(input)
        object.__delattr__(self, "_options")
        object.__setattr__(self, "__class__", self._real)
        return self.forward(input, *rest, **options)


_TEXT = """:class:`{name}` whose {count} are those of the first batch; the other arguments are the same."""


class LazyLinear(_Lazy):
    __doc__ = _TEXT.format(name="Linear", count="input features")
    _real, _axis, _count = Linear, -1, "in_features"


class LazyConv1d(_Lazy):
    __doc__ = _TEXT.format(name="Conv1d", count="input channels")
    _real, _axis, _count = Conv1d, -2, "in_channels"


class LazyConv2d(_Lazy):
    __doc__ = _TEXT.format(name="Conv2d", count="input channels")
    _real, _axis, _count = Conv2d, -3, "in_channels"


class LazyConv3d(_Lazy):
    __doc__ = _TEXT.format(name="Conv3d", count="input channels")
    _real, _axis, _count = Conv3d, -4, "in_channels"


class LazyConvTranspose1d(_Lazy):
    __doc__ = _TEXT.format(name="ConvTranspose1d", count="input channels")
    _real, _axis, _count = ConvTranspose1d, -2, "in_channels"


class LazyConvTranspose2d(_Lazy):
    __doc__ = _TEXT.format(name="ConvTranspose2d", count="input channels")
    _real, _axis, _count = ConvTranspose2d, -3, "in_channels"


class LazyConvTranspose3d(_Lazy):
    __doc__ = _TEXT.format(name="ConvTranspose3d", count="input channels")
    _real, _axis, _count = ConvTranspose3d, -4, "in_channels"


class LazyBatchNorm1d(_Lazy):
    __doc__ = _TEXT.format(name="BatchNorm1d", count="features")
    _real, _axis, _count = BatchNorm1d, 1, "num_features"


class LazyBatchNorm2d(_Lazy):
    __doc__ = _TEXT.format(name="BatchNorm2d", count="features")
    _real, _axis, _count = BatchNorm2d, 1, "num_features"


class LazyBatchNorm3d(_Lazy):
    __doc__ = _TEXT.format(name="BatchNorm3d", count="features")
    _real, _axis, _count = BatchNorm3d, 1, "num_features"


class LazyInstanceNorm1d(_Lazy):
    __doc__ = _TEXT.format(name="InstanceNorm1d", count="features")
    _real, _axis, _count = InstanceNorm1d, -2, "num_features"


class LazyInstanceNorm2d(_Lazy):
    __doc__ = _TEXT.format(name="InstanceNorm2d", count="features")
    _real, _axis, _count = InstanceNorm2d, -3, "num_features"


class LazyInstanceNorm3d(_Lazy):
    __doc__ = _TEXT.format(name="InstanceNorm3d", count="features")
    _real, _axis, _count = InstanceNorm3d, -4, "num_features"
