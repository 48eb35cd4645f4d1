"""What a kernel is given, checked as the bindings of the native engine check it.

Loops neither know nor ask how long their arrays are, so an array of another size is refused here, with
the exceptions that csrc/bind raises: TypeError for what is no array of the kernel's dtype, ValueError for
other sizes, gaps between elements, and outputs that are read-only. Everything that passes comes back in
the shape in which the loops want it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._compile import Array

__all__ = [
    "floats", "is_array", "optional_read", "optional_write", "read", "require", "same_shape", "strided",
    "strided_out", "write",
]  # fmt: skip

_DTYPES = frozenset("fdbilqBHI")
_MOST_DIMS = 8


def is_array(x: object) -> bool:
    """Whether `x` is an array that kernels take: aligned, of a known dtype in the machine's byte order."""
    return (
        isinstance(x, np.ndarray)
        and x.dtype.char in _DTYPES
        and x.dtype.isnative
        and x.ndim <= _MOST_DIMS
        and x.flags.aligned
        and all(stride % x.itemsize == 0 for stride in x.strides)
    )


def require(holds: bool, message: str) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError(message)


def floats(x: Array) -> np.dtype[Any]:
    """Return the dtype of the call: float32 or float64."""
    if x.dtype.char not in "fd":
        raise TypeError("kernels take float32 or float64 arrays")
    return x.dtype


def strided(name: str, x: Array, dtype: Any) -> Array:
    """An input of any strides."""
    if x.dtype != dtype:
        raise TypeError(f"argument '{name}' has another dtype than this call's kernel expects")
    return x


def strided_out(name: str, x: Array, dtype: Any) -> Array:
    """An output of any strides."""
    strided(name, x, dtype)
    require(x.flags.writeable, f"argument '{name}' is read-only")
    return x


def read(name: str, x: Array, dtype: Any, *shape: int) -> Array:
    """A C-contiguous input of as many elements as `shape` has, in that shape."""
    require(
        x.size == math.prod(shape),
        f"argument '{name}' has {x.size} elements, expected {math.prod(shape)}",
    )
    strided(name, x, dtype)
    require(x.flags.c_contiguous, f"argument '{name}' must be C-contiguous")
    return x.reshape(shape)


def write(name: str, x: Array, dtype: Any, *shape: int) -> Array:
    """The same for an output."""
    view = read(name, x, dtype, *shape)
    require(x.flags.writeable, f"argument '{name}' is read-only")
    return view


def optional_read(name: str, x: Array | None, dtype: Any, *shape: int) -> Array:
    """The same for an input that may be None; the loops see that as an array without elements."""
    return np.empty((0,) * len(shape), dtype) if x is None else read(name, x, dtype, *shape)


def optional_write(name: str, x: Array | None, dtype: Any, *shape: int) -> Array:
    """The same for an output."""
    return np.empty((0,) * len(shape), dtype) if x is None else write(name, x, dtype, *shape)


def same_shape(message: str, x: Array, *others: Array) -> None:
    """Raise ValueError unless all have the shape of `x`."""
    require(all(other.shape == x.shape for other in others), message)
