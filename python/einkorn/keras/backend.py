"""What programs ask ``keras.backend`` for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError
from einkorn.keras._names import reset_names
from einkorn.keras._symbols import KerasTensor
from einkorn.keras.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    type_name,
)

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format", "is_float_dtype",
    "is_int_dtype", "is_keras_tensor", "result_type", "set_epsilon", "set_floatx", "set_image_data_format",
    "standardize_dtype",
]  # fmt: skip

_KINDS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
_FLOATS = ("bfloat16", "float16", "float32", "float64")
_uids: Counter[str] = Counter()


def clear_session(free_memory: bool = True) -> None:
    """Begin to count the names of layers anew. Models are freed when nobody has them any more."""
    reset_names()
    _uids.clear()


def get_uid(prefix: str = "") -> int:
    """How often this was asked for with this prefix, from 1."""
    _uids[prefix] += 1
    return _uids[prefix]


def standardize_dtype(dtype: Any) -> str:
    """The name of a type: of None that of weights, of "int" int32.

    Raises
    ------
    ArgumentError
        There is no such type.
    """
    name = type_name(dtype.__name__ if dtype in (int, float, bool, str) else dtype)
    if name not in (*_KINDS, *_FLOATS, "str"):
        raise ArgumentError(
            f"standardize_dtype: dtype is {dtype!r}, expected one of {', '.join((*_KINDS, *_FLOATS))}"
        )
    return "string" if name == "str" else name


def is_float_dtype(dtype: Any) -> bool:
    """Whether a type is one of floats."""
    return standardize_dtype(dtype) in _FLOATS


def is_int_dtype(dtype: Any) -> bool:
    """Whether a type is one of integers."""
    return standardize_dtype(dtype) in _KINDS[1:]


def is_keras_tensor(x: Any) -> bool:
    """Whether x is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def result_type(*dtypes: Any) -> str:
    """The type of what is computed of these: floats win over integers, and no integer makes a float wider."""
    names = [standardize_dtype(dtype) for dtype in dtypes]
    floats = [name for name in names if name in _FLOATS]
    plain_float = any(dtype is float for dtype in dtypes)
    if floats:
        firm = [standardize_dtype(dtype) for dtype in dtypes if dtype is not float]
        firm = [name for name in firm if name in _FLOATS]
        if plain_float and not firm:
            return floatx()
        kinds = set(firm)
        if kinds == {"bfloat16", "float16"}:
            return "float32"
        return max(kinds, key=_FLOATS.index)
    if not names:
        return floatx()
    return str(np.result_type(*names))
