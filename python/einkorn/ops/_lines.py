"""Lines along one axis: how scans and sorts see an array, and how their gradients find back."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from einkorn import _bfloat16, engines
from einkorn._tensor import Tensor
from einkorn.ops import _integers
from einkorn.ops._road import contiguous, result

__all__ = ["Extremes", "blocks", "placed", "rows", "taken", "wrapped"]


class Extremes(NamedTuple):
    """Values along an axis and where they were."""

    values: Any
    indices: Any


def blocks(a: Any, d: int) -> Any:
    """``a`` as [outer, n, inner] around axis d, in row-major order; a scalar is a line of one."""
    shape = a.shape or (1,)
    return contiguous(a).reshape(prod(shape[:d]), shape[d], prod(shape[d + 1 :]))


def rows(a: Any, d: int) -> tuple[Any, Any]:
    """``a`` as [rows, n] with the lines of axis d as rows, and how to bring results back.

    The function takes an array [rows, k] to one with k in the place of axis d.
    """
    shape = a.shape or (1,)
    others = shape[:d] + shape[d + 1 :]
    order = [*range(d), *range(d + 1, len(shape)), d]
    lines = contiguous(a.reshape(shape).transpose(order)).reshape(prod(others), shape[d])

    def back(result: Any) -> Any:
        k = result.shape[1]
        if not a.ndim and k == 1:
            return result.reshape(())
        return result.reshape(*others, k).transpose(np.argsort(order))

    return lines, back


def wrapped(index: Any, *inputs: Any) -> Any:
    """Places as the inputs came: an int64 array, a Tensor of them where a Tensor came."""
    return _integers.wrapped(index, *inputs)


def taken(x: Any, index: Any, d: int) -> Any:
    """``x[index]`` along axis d: as :func:`numpy.take_along_axis`, with gradients of every order."""
    if isinstance(x, Tensor) and not _bfloat16.is_floating(x._data.dtype):
        x = x._data
    if not isinstance(x, Tensor) and not _bfloat16.is_floating(x.dtype):
        return np.take_along_axis(x, index, d) if x.ndim else x.reshape(())
    a = x._data if isinstance(x, Tensor) else x
    n = a.shape[d] if a.ndim else 1
    out = np.take_along_axis(a, index, d) if a.ndim else a.reshape(())
    return result(out, (x,), lambda g: (placed(g, index, d, n),), ())


def placed(g: Any, index: Any, d: int, n: int, once: bool = False) -> Any:
    """Zeros of size n along axis d, with g added at the index; ``once``: no place comes twice in a line."""
    a = g._data if isinstance(g, Tensor) else g
    if not a.ndim:
        return g
    k = engines.of(a)
    out = k.empty((*a.shape[:d], n, *a.shape[d + 1 :]), a.dtype)
    k.fill(out, 0.0)
    if once or index.shape[d] == 1:
        np.put_along_axis(out, index, a, d)
        return result(out, (g,), lambda g: (taken(g, index, d),), ())
    at = list(np.ogrid[tuple(slice(m) for m in a.shape)])
    at[d] = index
    np.add.at(out, tuple(at), a)
    return result(out, (g,), lambda g: (taken(g, index, d),), ())
