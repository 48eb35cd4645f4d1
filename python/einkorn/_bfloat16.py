"""bfloat16: a type to keep numbers in, the upper half of a float32. Kernels compute in float32.

The NumPy type is ``ml_dtypes.bfloat16``, which CuPy has too from version 14 on; the package is imported when
the type is first asked for. Kernels that take bfloat16 are handed its bits, as uint16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import as_array, check_bfloat16, is_on_gpu

__all__ = [
    "Stored",
    "astype",
    "bfloat16",
    "comparable",
    "copy",
    "dtype_of",
    "is_bfloat16",
    "is_floating",
    "narrow",
    "of",
    "widen",
]

#: Whether a bfloat16 array has come this way: what deals in float32 alone need not look at types until then.
met = False

_FLOAT32 = np.dtype(np.float32)


def is_bfloat16(dtype: Any) -> bool:
    """Whether a NumPy type is bfloat16, without importing the package that defines it."""
    return dtype.kind == "V" and dtype.type.__name__ == "bfloat16"


def is_floating(dtype: Any) -> bool:
    """Whether a NumPy type is one that gradients are made of: a float or bfloat16."""
    return dtype.kind == "f" or is_bfloat16(dtype)


def bfloat16() -> np.dtype[Any]:
    """The NumPy type."""
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def dtype_of(given: Any) -> np.dtype[Any]:
    """The NumPy type that a user names, also as torch's; void where it is none."""
    name = str(given).removeprefix("torch.") if type(given).__module__ == "torch" else given
    if isinstance(name, str) and name.removeprefix("torch.") == "bfloat16":
        return bfloat16()  # NumPy knows the name only once the type's package is imported
    try:
        return np.dtype(name.removeprefix("torch.") if isinstance(name, str) else name)
    except TypeError:
        return np.dtype(np.void)


def widen(array: Any, dtype: Any = _FLOAT32) -> Any:
    """The numbers of a bfloat16 array, in any layout, as float32 or float64."""
    k = engines.of(array)
    out = k.empty(array.shape, dtype)
    k.widen_bf16(out, array.view(np.uint16))
    return out


def narrow(array: Any) -> Any:
    """The numbers of a float32 or float64 array, in any layout, rounded to bfloat16."""
    global met
    met = True
    k = engines.of(array)
    if is_on_gpu(array):
        check_bfloat16("bfloat16: an array of it on a GPU")
    out = k.empty(array.shape, bfloat16())
    k.narrow_bf16(out.view(np.uint16), array)
    return out


def astype(array: Any, dtype: Any) -> Any:
    """``array.astype(dtype, copy=False)``, rounded once."""
    if array.dtype == dtype:
        return array
    if is_bfloat16(dtype):
        return narrow(array if array.dtype.kind == "f" else array.astype(np.float64))
    if is_bfloat16(array.dtype):
        return widen(array, dtype) if dtype.kind == "f" else widen(array).astype(dtype)
    return array.astype(dtype)


def copy(out: Any, x: Any) -> None:
    """``out[...] = x`` where one of the two is bfloat16, rounded once."""
    k = engines.of(out)
    if x.dtype == out.dtype:
        np.copyto(out.view(np.uint16), x.view(np.uint16))
    elif out.dtype.kind == "f":
        k.widen_bf16(out, x.view(np.uint16))
    else:
        k.narrow_bf16(out.view(np.uint16), x if x.dtype.kind == "f" else x.astype(np.float64))


def comparable(array: Any, other: Any) -> tuple[Any, Any]:
    """A bfloat16 array and what it is compared with, as numbers that NumPy compares exactly.

    A plain number is rounded first, as it is where one is computed with.
    """
    if isinstance(other, float):
        return widen(array), widen(narrow(np.array(other, np.float64))).item()
    if not isinstance(other, int) and is_bfloat16(other.dtype):
        other = widen(as_array(other))
    return widen(array), other


def dlpack(array: Any, **options: Any) -> Any:
    """A DLPack capsule of bfloat16, which NumPy does not make: that of its bits under the other type code."""
    import ctypes

    capsule = array.view(np.uint16).__dlpack__(**options)
    versioned = "versioned" in repr(capsule)
    name = b"dltensor_versioned" if versioned else b"dltensor"
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # After data (8 bytes), device (8) and ndim (4); before these a versioned struct has 32 bytes more.
    code = ctypes.c_uint8.from_address(pointer(capsule, name) + (32 if versioned else 0) + 20)
    code.value = 4  # kDLBfloat
    return capsule


class Stored:
    """The kernels that arrays of bfloat16 meet outside of operations, under the names of an engine's."""

    def __init__(self, engine: Any) -> None:
        if engine is not engines.cpu():
            check_bfloat16("bfloat16: an array of it on a GPU")
        self._engine = engine
        self.empty = engine.empty

    copy = staticmethod(copy)

    @staticmethod
    def fill(out: Any, value: float) -> None:
        out.view(np.uint16)[...] = int(narrow(np.array(value, np.float64)).view(np.uint16))

    def add(self, out: Any, a: Any, b: Any) -> None:
        total = widen(a)
        self._engine.add(total, total, widen(b))
        copy(out, total)


def of(array: Any) -> Any:
    """The engine of an array that may be bfloat16."""
    engine = engines.of(array)
    return engine if array.dtype.kind == "f" or not is_bfloat16(array.dtype) else Stored(engine)
