"""What older programs of torch call: constructors by type, settings without effect."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16, dtypes
from einkorn._device import device_name
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, DTypeError
from einkorn.random import default_generator

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "channels_last",
    "contiguous_format",
    "default_generator",
    "get_default_device",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "preserve_format",
    "set_anomaly_enabled",
    "set_default_device",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "strided",
]

contiguous_format, preserve_format, channels_last = "contiguous_format", "preserve_format", "channels_last"
strided = "strided"


class _OfType(type):
    """The class of the constructors: their instances are the Tensors of a type."""

    dtype: Any

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype == cls.dtype

    def __call__(cls, *data: Any) -> Tensor:
        if len(data) > 1 or (len(data) == 1 and isinstance(data[0], (int, np.integer))):
            shape: Any = data
            return Tensor(np.empty(shape, cls.dtype))
        values = data[0] if data else ()
        if isinstance(values, Tensor) and values.dtype != cls.dtype:
            raise DTypeError(
                f"{cls.__name__}: data is a Tensor of {values.dtype}, expected {cls.dtype}: use its to()"
            )
        if isinstance(values, (list, tuple)) and any(isinstance(x, Tensor) for x in values):
            values = [x.tolist() if isinstance(x, Tensor) else x for x in values]
        array = as_numpy(values)
        return Tensor(_bfloat16.astype(array, cls.dtype))


def _constructor(name: str, kind: Any) -> Any:
    said = f"Makes a Tensor of {np.dtype(kind)}: of the given values, or of a shape, without values."
    return _OfType(name, (), {"dtype": np.dtype(kind), "__doc__": said, "__module__": "einkorn"})


FloatTensor = _constructor("FloatTensor", dtypes.float32)
DoubleTensor = _constructor("DoubleTensor", dtypes.float64)
BFloat16Tensor = _constructor("BFloat16Tensor", dtypes.bfloat16)
LongTensor = _constructor("LongTensor", dtypes.int64)
IntTensor = _constructor("IntTensor", dtypes.int32)
ShortTensor = _constructor("ShortTensor", dtypes.int16)
CharTensor = _constructor("CharTensor", dtypes.int8)
ByteTensor = _constructor("ByteTensor", dtypes.uint8)
BoolTensor = _constructor("BoolTensor", np.dtype(np.bool_))


def set_default_tensor_type(t: Any) -> None:
    """float32 on the CPU is the one default; another is refused."""
    if getattr(t, "__name__", str(t)).removeprefix("torch.") != "FloatTensor":
        raise DTypeError(f"set_default_tensor_type: t is {t!r}, expected FloatTensor: give dtype= instead")


def set_default_device(device: Any) -> None:
    """The CPU is the one default; another is refused."""
    if device is not None and device_name("set_default_device", device) != "cpu":
        raise ArgumentError(f"set_default_device: device is {device!r}, expected 'cpu': give device= instead")


def get_default_device() -> Any:
    """The CPU."""
    from einkorn._device import device

    return device("cpu")


_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Remember one of "highest", "high" and "medium"; products of float32 are of the highest in any case."""
    global _precision
    if precision not in _PRECISIONS:
        raise ArgumentError(
            f"set_float32_matmul_precision: precision is {precision!r}, expected {_PRECISIONS}"
        )
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` was given."""
    return _precision


def set_num_interop_threads(n: int) -> None:
    """Without effect: operations run one after the other."""


def get_num_interop_threads() -> int:
    """1: operations run one after the other."""
    return 1


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Without effect: errors of the backward pass name their operation anyway."""
