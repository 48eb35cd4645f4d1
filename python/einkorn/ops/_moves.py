"""What is moved and not computed with: floats by the engines' kernels, integers and bfloat16 by NumPy.

An operation that only moves numbers takes both. ``movable`` gives the array behind its argument and
``mover`` who moves it, under the names of the engines' kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16, engines
from einkorn._device import is_on_gpu
from einkorn._tensor import Tensor
from einkorn.ops import _integers, _road
from einkorn.ops._options import check_rank
from einkorn.ops._road import unwrap

__all__ = ["movable", "mover"]


def movable(x: Any, op: str, name: str = "x") -> Any:
    """The array of floats, integers or booleans behind an argument; refused by name where it is none.

    bfloat16 stays what it is.
    """
    if isinstance(x, Tensor):
        return x._data
    if not (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
        whole = _integers.integral(x)
        if whole is None:
            whole = _road.bfloat16_array(x, op, name)
        if whole is not None:
            check_rank(op, name, whole.ndim)
            return whole
    return unwrap(x, op, name)


class _Whole:
    """The kernels that move, for integers and booleans."""

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: Any) -> Any:
        return np.empty(shape, dtype)

    @staticmethod
    def copy(out: Any, x: Any) -> None:
        np.copyto(out, x)

    @staticmethod
    def fill(out: Any, value: float) -> None:
        out[...] = value


class _WholeOfGpu(_Whole):
    """CuPy answers to NumPy's functions; new arrays are its own."""

    def __init__(self, empty: Any) -> None:
        self.empty = empty  # type: ignore[method-assign]


def mover(a: Any) -> Any:
    """The engine that moves the elements of an array."""
    if a.dtype.kind == "f":
        return engines.of(a)
    if _bfloat16.is_bfloat16(a.dtype):
        return _bfloat16.of(a)
    return _WholeOfGpu(engines.of(a).empty) if is_on_gpu(a) else _Whole
