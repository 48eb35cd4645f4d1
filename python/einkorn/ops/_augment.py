"""What the operations of augment.py are given: pictures, and numbers for each of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn._device import is_on_gpu
from einkorn._masked import refuse_masked
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._options import number

_BYTE, _FLOAT = np.dtype(np.uint8), np.dtype(np.float32)
_MOST_PIXELS = 1 << 30


def _pictures(op: str, x: Any) -> Any:
    """The uint8 or float32 array behind a batch of pictures, contiguous, where it is."""
    if type(x) is np.ndarray and x.ndim == 4 and (x.dtype is _BYTE or x.dtype is _FLOAT):
        _check_pixels(op, x.shape)
        return x if x.flags.carray else np.require(x, x.dtype, ["C", "A"])
    if isinstance(x, Tensor):
        x = x._data
    elif hasattr(x, "detach"):  # torch's
        x = x.detach().numpy()
    if is_on_gpu(x):
        return _on_gpu(op, x)
    if not hasattr(x, "__array__"):
        raise DTypeError(f"{op}: x is a {type(x).__name__}, expected a uint8 or float32 array")
    refuse_masked(x, f"{op}: x")
    a = np.asarray(x)
    if a.dtype.newbyteorder("=") not in (_BYTE, _FLOAT):
        raise DTypeError(f"{op}: x has dtype {a.dtype}, expected uint8 or float32")
    if a.ndim != 4:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [images, channels, height, width]")
    _check_pixels(op, a.shape)
    return np.require(a, a.dtype.newbyteorder("="), ["C", "A"])


def _on_gpu(op: str, x: Any) -> Any:
    if x.dtype not in (_BYTE, _FLOAT):
        raise DTypeError(f"{op}: x has dtype {x.dtype}, expected uint8 or float32")
    if x.ndim != 4:
        raise ShapeError(f"{op}: x has shape {x.shape}, expected [images, channels, height, width]")
    _check_pixels(op, x.shape)
    return x if x.flags.c_contiguous else x.copy()


def _check_pixels(op: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) and math.prod(shape[1:]) >= _MOST_PIXELS:
        raise ShapeError(f"{op}: an image of shape {shape[1:]} has 2**30 pixels or more")


def _choice(op: str, name: str, value: Any, known: tuple[str, ...]) -> int:
    if not isinstance(value, str) or value not in known:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected one of {', '.join(map(repr, known))}")
    return known.index(value)


def _numbers(op: str, name: str, value: Any, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Numbers of this shape; fewer are repeated as NumPy repeats them."""
    kinds = "iu" if dtype is np.int32 or dtype is np.int64 else "iuf"
    if type(value) is np.ndarray and value.shape == shape and value.dtype.kind in kinds:
        return np.ascontiguousarray(value, dtype=dtype)
    if type(value) is float and kinds == "iuf":
        return np.full(shape, value, dtype)
    refuse_masked(value, f"{op}: {name}")
    a = as_numpy(value)
    if a.dtype.kind not in kinds:
        raise DTypeError(f"{op}: {name} has dtype {a.dtype}, expected numbers")
    if a.shape == shape:
        return np.ascontiguousarray(a, dtype=dtype)
    out = np.empty(shape, dtype)  # half of the time that numpy.broadcast_to takes
    try:
        if a.ndim > len(shape):
            raise ValueError
        out[...] = a
    except ValueError:
        raise ShapeError(f"{op}: {name} has shape {a.shape}, expected {shape}") from None
    return out


def _out_dtype(op: str, pixel: np.dtype, dtype: Any, scale: Any) -> np.dtype:
    if dtype is None:
        return pixel if scale is None else _FLOAT
    wanted = np.dtype(dtype)
    if wanted not in (pixel, _FLOAT):
        raise DTypeError(f"{op}: dtype is {wanted}, expected {pixel} or float32")
    return wanted


def _scaling(op: str, scale: Any, shift: Any, channels: int) -> tuple[Any, Any]:
    if scale is None and shift is None:
        return None, None
    return (
        _numbers(op, "scale", 1.0 if scale is None else scale, (channels,)),
        _numbers(op, "shift", 0.0 if shift is None else shift, (channels,)),
    )


def _limit(op: str, pixel: np.dtype, limit: Any) -> float:
    if limit is None:
        return 255.0 if pixel == _BYTE else 1.0
    value = float(number(op, "limit", limit))
    if not 0 < value <= 65536 or (pixel == _BYTE and value != 255):
        raise ArgumentError(f"{op}: limit is {limit!r}, expected 255 for uint8, or above 0 up to 65536")
    return value
