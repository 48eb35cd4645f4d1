"""Layers that surround their input: with zeros, another constant, or the input itself."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.module import Module
from einkorn.ops._options import integer, number
from einkorn.ops.copy import pad

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last axes.

    Parameters
    ----------
    padding : int or tuple of int
        The same on all sides, or pairs (before, after), the last axis first.
    """

    _axes = 0
    _mode = "constant"
    _batched = True  # the input has channels, and may have a batch, in front

    def __init__(self, padding: Any) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(padding, (tuple, list)):
            if len(padding) != 2 * self._axes:
                raise ArgumentError(f"{name}: padding is {padding!r}, expected {2 * self._axes} numbers")
            self.padding = tuple([integer(name, "padding", n) for n in padding])
        else:
            self.padding = (integer(name, "padding", padding),) * (2 * self._axes)

    def forward(self, input: Any) -> Any:
        if self._batched and len(input.shape) not in (self._axes + 1, self._axes + 2):
            raise ShapeError(
                f"{type(self).__name__}: input has shape {tuple(input.shape)}, expected {self._axes + 1} or"
                f" {self._axes + 2} dimensions"
            )
        return pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Pads the last axes with a number.

    Parameters
    ----------
    padding : int or tuple of int
        The same on all sides, or pairs (before, after), the last axis first; negative numbers crop.
    value : float
    """

    _batched = False

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = number(type(self).__name__, "value", value)

    def forward(self, input: Any) -> Any:
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _axes = 1


class ConstantPad2d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _axes = 2


class ConstantPad3d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _axes = 3


class _ZeroPad(_Pad):
    """Pads the last axes with zeros; arguments as :class:`ConstantPad2d`."""

    _batched = False


class ZeroPad1d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _axes = 1


class ZeroPad2d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _axes = 2


class ZeroPad3d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _axes = 3


class _ReflectionPad(_Pad):
    """Pads the last axes with the input mirrored at its edges, which are not repeated.

    Parameters
    ----------
    padding : int or tuple of int
        The same on all sides, or pairs (before, after), the last axis first; less than the axis.
    """

    _mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    _axes = 1


class ReflectionPad2d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    _axes = 2


class ReflectionPad3d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    _axes = 3


class _ReplicationPad(_Pad):
    """Pads the last axes with the elements at their edges; arguments as :class:`ReflectionPad2d`."""

    _mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    _axes = 1


class ReplicationPad2d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    _axes = 2


class ReplicationPad3d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    _axes = 3


class _CircularPad(_Pad):
    """Pads the last axes with the input's other end; arguments as :class:`ReflectionPad2d`."""

    _mode = "circular"


class CircularPad1d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    _axes = 1


class CircularPad2d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    _axes = 2


class CircularPad3d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    _axes = 3
