"""Element types under torch's names, and their limits.

Arrays and Tensors have NumPy's types; what takes a ``dtype`` takes the type, its name or torch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16
from einkorn.errors import DTypeError

__all__ = [
    "bfloat16",
    "bool",
    "double",
    "dtype",
    "finfo",
    "float",
    "float32",
    "float64",
    "get_default_dtype",
    "iinfo",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "long",
    "set_default_dtype",
    "short",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

#: The upper half of a float32: its range, with 8 binary digits. NumPy's view of ``ml_dtypes.bfloat16``.
bfloat16: np.dtype[Any] = _bfloat16.bfloat16()
float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
int8, int16, int32, int64 = (np.dtype(kind) for kind in (np.int8, np.int16, np.int32, np.int64))
uint8, uint16 = np.dtype(np.uint8), np.dtype(np.uint16)
uint32, uint64 = np.dtype(np.uint32), np.dtype(np.uint64)
double, long, short = float64, int64, int16
#: torch's names, which Python's types have, too.
float, int, bool = float32, int32, np.dtype(np.bool_)
#: What all of these are.
dtype = np.dtype


def finfo(dtype: Any) -> Any:
    """Limits of a type of floats, as ``numpy.finfo`` and ``torch.finfo`` have them.

    Parameters
    ----------
    dtype : dtype or its name
        float16, float32, float64 or bfloat16.

    Raises
    ------
    DTypeError
        For another type.
    """
    kind = _bfloat16.dtype_of(dtype)
    if _bfloat16.is_bfloat16(kind):
        import ml_dtypes

        return ml_dtypes.finfo(kind)
    if dtype is None or kind.kind != "f":
        raise DTypeError(f"finfo: dtype is {dtype!r}, expected a type of floats")
    return np.finfo(kind)


def iinfo(dtype: Any) -> Any:
    """Limits of a type of integers, as ``numpy.iinfo`` and ``torch.iinfo`` have them.

    Raises
    ------
    DTypeError
        For another type.
    """
    kind = _bfloat16.dtype_of(dtype)
    if dtype is None or kind.kind not in "iu":
        raise DTypeError(f"iinfo: dtype is {dtype!r}, expected a type of integers")
    return np.iinfo(kind)


def get_default_dtype() -> np.dtype[Any]:
    """float32: what numbers with a fraction become."""
    return float32


def set_default_dtype(d: Any) -> None:
    """float32 is the one default type: layers and tensors of another are made with ``dtype=``.

    Raises
    ------
    DTypeError
        For another type than float32.
    """
    if _bfloat16.dtype_of(d) != float32:
        raise DTypeError(
            f"set_default_dtype: d is {d!r}, expected float32: give dtype= to what makes tensors and layers,"
            " or call double() on the module"
        )
