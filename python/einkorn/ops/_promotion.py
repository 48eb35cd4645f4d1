"""Several types in one operation: which one they become, by torch's rules.

There are three categories: booleans, integers, floats. Among arrays with dimensions the widest type wins (of
bfloat16 and float32, float32). Scalars, arrays without dimensions, count only where theirs is a higher
category than that of all arrays, and plain numbers only where theirs is higher still: ``float32 + 2.5`` and
``float32 + float64 scalar`` are float32, ``int64 + 2.5`` is float32.

Arrays of NumPy alone are brought together by their operations, which refuse float32 beside float64: the
wider type would cost an embedding program its speed without a word.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16, ops
from einkorn._tensor import Tensor

__all__ = ["alike", "category", "common_type", "pair", "promote_types"]

_NUMBERS: tuple[tuple[Any, np.dtype[Any]], ...] = (
    ((bool, np.bool_), np.dtype(np.bool_)),
    ((int, np.integer), np.dtype(np.int64)),
    ((float, np.floating), np.dtype(np.float32)),
)


def category(kind: np.dtype[Any]) -> int:
    """0 of booleans, 1 of integers, 2 of floats."""
    return {"b": 0, "u": 1, "i": 1}.get(kind.kind, 2)


def promote_types(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The smallest type that both convert to: a float beside integers stays what it is."""
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    if _bfloat16.is_bfloat16(a) or _bfloat16.is_bfloat16(b):
        return b if _bfloat16.is_bfloat16(a) else a
    return np.promote_types(a, b)


def common_type(*values: Any) -> np.dtype[Any]:
    """The type that arrays, Tensors and numbers have together."""
    found: list[np.dtype[Any] | None] = [None, None, None]  # of dimensions, of none, of numbers
    for x in values:
        at = 2
        if hasattr(x, "dtype") and not isinstance(x, np.generic):
            kind, at = x.dtype, 0 if x.ndim else 1
        else:
            kind = next((kind for types, kind in _NUMBERS if isinstance(x, types)), _NUMBERS[2][1])
        known = found[at]
        found[at] = kind if known is None else promote_types(known, kind)
    out: np.dtype[Any] | None = None
    for kind_of in found:
        if kind_of is not None and (out is None or category(kind_of) > category(out)):
            out = kind_of
    assert out is not None
    return out


def alike(*values: Any) -> tuple[Any, ...]:
    """The same with all Tensors, and arrays beside them, of the type that they have together.

    Nothing is changed where no Tensor is among them; numbers and None stay as they are.
    """
    if not any(isinstance(x, Tensor) for x in values):
        return values
    wanted = common_type(*[x for x in values if x is not None])
    return tuple([_cast(x, wanted) for x in values])


def pair(a: Any, b: Any) -> tuple[Any, Any] | None:
    """Both in the type that they have together; None where that changes nothing."""
    if not (isinstance(a, Tensor) or isinstance(b, Tensor)):
        return None
    arrays = [x for x in (a, b) if isinstance(x, (Tensor, np.ndarray))]
    wanted = common_type(a, b) if len(arrays) == 2 or _is_number(a) or _is_number(b) else None
    if wanted is None or all(x.dtype == wanted for x in arrays):
        return None
    return _cast(a, wanted), _cast(b, wanted)


def _is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float, np.generic))


def _cast(x: Any, wanted: np.dtype[Any]) -> Any:
    if isinstance(x, Tensor):
        return x if x._data.dtype == wanted else ops.cast(x, wanted)
    if isinstance(x, np.ndarray) and x.dtype != wanted and x.dtype.kind in "fiubV":
        return ops.cast(x, wanted)
    return x
