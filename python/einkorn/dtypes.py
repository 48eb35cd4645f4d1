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
    "double",
    "finfo",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "long",
    "uint8",
]

#: The upper half of a float32: its range, with 8 binary digits. NumPy's view of ``ml_dtypes.bfloat16``.
bfloat16: np.dtype[Any] = _bfloat16.bfloat16()
float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
int8, int16, int32, int64 = (np.dtype(kind) for kind in (np.int8, np.int16, np.int32, np.int64))
uint8 = np.dtype(np.uint8)
double, long = float64, int64


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
