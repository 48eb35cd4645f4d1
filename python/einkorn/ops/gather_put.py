"""Writing values to the places of several index arrays at once, into a copy: ``torch.index_put``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from einkorn import _bfloat16
from einkorn._device import device_of, is_on_gpu, move
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops._moves import movable, mover
from einkorn.ops._options import flag
from einkorn.ops._places import check_range
from einkorn.ops._road import as_index, moved, needs, sum_to
from einkorn.ops.copy import getitem

__all__ = ["index_put"]


def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of ``x`` in which ``copy[indices] = values``, as ``torch.index_put``.

    Parameters
    ----------
    x : array or Tensor
    indices : tuple of arrays or Tensors of integers or booleans
        One for each of the first axes; booleans stand for as many as they have, None for all of one axis.
    values : array or Tensor
        Of the type of x; broadcasts to the shape of ``x[indices]``.
    accumulate : bool, default False
        Add to what is there, as often as a place is named. Otherwise one of several values stays.

    Raises
    ------
    DTypeError
        For values of another type.
    IndexRangeError
        For indices outside of their axis.
    """
    a, b = movable(x, "index_put"), movable(values, "index_put", "values")
    if a.dtype != b.dtype:
        raise DTypeError(f"index_put: values has dtype {b.dtype}, expected {a.dtype} as x has")
    if not isinstance(indices, (tuple, list)):
        raise ArgumentError(f"index_put: indices is a {type(indices).__name__}, expected a tuple of tensors")
    add = flag("index_put", "accumulate", accumulate)
    key = tuple([slice(None) if i is None else _index(i) for i in indices])
    if is_on_gpu(a):
        key, b = _checked(a, key), b if b.ndim else move(b, device_of(a))
    out = _written(a, key, b, add)
    keeps, gives, shape = needs(x), needs(values), b.shape

    def backward(g: Any) -> tuple[Any, Any]:
        rest = None
        if keeps:
            rest = g if add else index_put(g, indices, np.zeros((), g.dtype))
        return rest, sum_to(getitem(g, key), shape) if gives else None

    return moved(out, (x, values), backward)


def _index(index: Any) -> Any:
    array = index._data if isinstance(index, Tensor) else index if is_on_gpu(index) else np.asarray(index)
    if array.dtype.kind not in "iub":
        raise DTypeError(f"index_put: indices hold {array.dtype}, expected integers or booleans")
    return array.reshape(1) if array.ndim == 0 and array.dtype.kind != "b" else array


def _checked(a: Any, key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key on a's GPU, where indices beyond an axis would come back at its other end."""
    parts, axis = [], 0
    for part in key:
        if isinstance(part, slice):
            parts.append(part)
        else:
            if part.dtype.kind != "b" and axis < a.ndim:
                part = check_range(
                    "index_put", "indices", as_index(part, "index_put", "indices"), a.shape[axis], axis
                )
            parts.append(move(part, device_of(a)))
        axis += part.ndim if getattr(part, "dtype", None) == np.bool_ else 1
    return tuple(parts)


def _written(a: Any, key: tuple[Any, ...], b: Any, add: bool) -> Any:
    if add and _bfloat16.is_bfloat16(a.dtype):
        return _bfloat16.narrow(_written(_bfloat16.widen(a), key, _bfloat16.widen(b), add))
    k = mover(a)
    out = k.empty(a.shape, a.dtype)
    k.copy(out, a)
    try:
        if add:
            xp = np if isinstance(out, np.ndarray) else sys.modules["cupy"]
            xp.add.at(out, key, b)
        else:
            out[key] = b
    except IndexError as error:
        raise IndexRangeError(f"index_put: {error} (x has shape {a.shape})") from None
    except ValueError as error:
        raise ShapeError(f"index_put: {error}") from None
    return out
