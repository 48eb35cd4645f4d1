"""Compiling loops: argument types are read from annotations, and each dtype is compiled once.

A loop is a function that Numba compiles::

    @Loop
    def _scale(start: Int, stop: Int, out: Out2, x: In2, factor: Scalar) -> None:
        for i in range(start, stop):
            for j in range(x.shape[1]):
                out[i, j] = factor * x[i, j]

Left alone, Numba compiles anew for every combination of layout, writability and scalar type that it
meets. The annotations fix these: `In2` takes any C-contiguous matrix, read-only or not, and a
`Scalar` is always a float64. What remains is one compilation for float32 and one for float64, made
at the first call and kept on disk; loops over `AnyIn4` and `AnyOut4` have two each, for contiguous
operands and for arbitrary strides.

Loops run without the GIL, so that several can run at once (see _threads.py), and with IEEE division
instead of Python's ZeroDivisionError. Never with fastmath.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, get_args, get_type_hints

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

__all__ = ["Loop", "inline", "instance", "nothing"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Operand:
    """How an array argument looks. Element "T" is the call's float type, "U" another, "C" that of codes."""

    ndim: int
    writable: bool = False
    element: str = "T"
    strided: bool = False

    def numba_type(self, elements: dict[str, Any], dense: bool) -> Any:
        element = elements.get(self.element) or getattr(types, self.element)
        layout: Any = "A" if self.strided and not dense else "C"
        return types.Array(element, self.ndim, layout, readonly=not self.writable)


In1 = Annotated[Array, Operand(1)]
In2 = Annotated[Array, Operand(2)]
In3 = Annotated[Array, Operand(3)]
In4 = Annotated[Array, Operand(4)]
In5 = Annotated[Array, Operand(5)]
Out1 = Annotated[Array, Operand(1, writable=True)]
Out2 = Annotated[Array, Operand(2, writable=True)]
Out3 = Annotated[Array, Operand(3, writable=True)]
Out4 = Annotated[Array, Operand(4, writable=True)]
Out5 = Annotated[Array, Operand(5, writable=True)]
AnyIn8 = Annotated[Array, Operand(8, strided=True)]
AnyOut8 = Annotated[Array, Operand(8, writable=True, strided=True)]
AnyIn3 = Annotated[Array, Operand(3, strided=True)]
AnyIn4 = Annotated[Array, Operand(4, strided=True)]
AnyOut4 = Annotated[Array, Operand(4, writable=True, strided=True)]
AnyByteIn4 = Annotated[Array, Operand(4, strided=True, element="uint8")]
AnyByteOut4 = Annotated[Array, Operand(4, writable=True, strided=True, element="uint8")]
AnyHalfIn4 = Annotated[Array, Operand(4, strided=True, element="uint16")]
AnyHalfOut4 = Annotated[Array, Operand(4, writable=True, strided=True, element="uint16")]
AnyWordIn4 = Annotated[Array, Operand(4, strided=True, element="uint32")]
AnyWordOut4 = Annotated[Array, Operand(4, writable=True, strided=True, element="uint32")]
AnyFloat32In4 = Annotated[Array, Operand(4, strided=True, element="float32")]
AnyFloat64In4 = Annotated[Array, Operand(4, strided=True, element="float64")]
OtherAnyIn4 = Annotated[Array, Operand(4, strided=True, element="U")]
Index1 = Annotated[Array, Operand(1, element="int64")]
Index3 = Annotated[Array, Operand(3, element="int64")]
Index2 = Annotated[Array, Operand(2, element="int64")]
IndexOut1 = Annotated[Array, Operand(1, writable=True, element="int64")]
IndexOut2 = Annotated[Array, Operand(2, writable=True, element="int64")]
IndexOut3 = Annotated[Array, Operand(3, writable=True, element="int64")]
Places4 = Annotated[Array, Operand(4, element="int32")]
PlacesOut4 = Annotated[Array, Operand(4, writable=True, element="int32")]
Float32Out1 = Annotated[Array, Operand(1, writable=True, element="float32")]
Float64Out1 = Annotated[Array, Operand(1, writable=True, element="float64")]
Int32In1 = Annotated[Array, Operand(1, element="int32")]
Int32In2 = Annotated[Array, Operand(2, element="int32")]
Int32Out1 = Annotated[Array, Operand(1, writable=True, element="int32")]
Int32Out2 = Annotated[Array, Operand(2, writable=True, element="int32")]
ByteIn1 = Annotated[Array, Operand(1, element="uint8")]
ByteOut1 = Annotated[Array, Operand(1, writable=True, element="uint8")]
ByteOut2 = Annotated[Array, Operand(2, writable=True, element="uint8")]
CountsIn2 = Annotated[Array, Operand(2, element="uint16")]
CountsOut2 = Annotated[Array, Operand(2, writable=True, element="uint16")]
WordIn2 = Annotated[Array, Operand(2, element="uint32")]
WordOut2 = Annotated[Array, Operand(2, writable=True, element="uint32")]
SignedByteOut2 = Annotated[Array, Operand(2, writable=True, element="int8")]
Float32In2 = Annotated[Array, Operand(2, element="float32")]
Float32In1 = Annotated[Array, Operand(1, element="float32")]
Float32Out2 = Annotated[Array, Operand(2, writable=True, element="float32")]
Float32Out3 = Annotated[Array, Operand(3, writable=True, element="float32")]
Float64In1 = Annotated[Array, Operand(1, element="float64")]
WordIn1 = Annotated[Array, Operand(1, element="uint32")]
Float64In3 = Annotated[Array, Operand(3, element="float64")]
Float64In2 = Annotated[Array, Operand(2, element="float64")]
Float64Out2 = Annotated[Array, Operand(2, writable=True, element="float64")]
Float64Out3 = Annotated[Array, Operand(3, writable=True, element="float64")]
AnyIn2 = Annotated[Array, Operand(2, strided=True)]
CodesIn2 = Annotated[Array, Operand(2, element="C")]
CodesOut2 = Annotated[Array, Operand(2, writable=True, element="C")]
Int = Annotated[int, types.intp]
Word = Annotated[int, types.uint64]
Scalar = Annotated[float, types.float64]

_FLOATS = {"f": types.float32, "d": types.float64}
_CODES = {"B": types.uint8, "H": types.uint16}
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def inline(function: Callable[..., Any]) -> Any:
    """Let compiled loops call `function`, from whatever file."""
    return njit(**_OPTIONS)(function)


def _elsewhere(function: Any, names: dict[str, Any]) -> str:
    """A mark of the text of other files that `function` is compiled with; "" where there are none.

    Numba renews its copy of a loop on disk when the loop's own file changes. With the mark in its name a
    loop is compiled anew, too, when a file changes that the `inline` functions it calls are from.
    """
    files, known = set(), set()
    waiting = [(function, {**function.__globals__, **names})]
    while waiting:
        caller, known_names = waiting.pop()
        for name in caller.__code__.co_names:
            called = getattr(known_names.get(name), "py_func", None)
            if called is not None and called not in known:
                known.add(called)
                files.add(called.__code__.co_filename)
                waiting.append((called, called.__globals__))
    files.discard(function.__code__.co_filename)
    mark = 0
    for file in sorted(files):
        with open(file, "rb") as text:
            mark = zlib.crc32(text.read(), mark)
    return f"{mark:08x}" if files else ""


class Loop:
    """A function whose arguments are annotated with the types above, compiled when it is called.

    Parameters
    ----------
    function : function
        Its body is restricted to what Numba compiles.
    name : str, optional
        With `names`, makes one of several loops from a template: `function` under another name.
    **names
        Values, or functions marked `inline`, for global names that the template uses.
    """

    def __init__(self, function: Callable[..., None], name: str = "", **names: Any) -> None:
        hints = get_type_hints(function, include_extras=True)
        hints.pop("return", None)
        self._arguments = [get_args(hint)[1] for hint in hints.values()]
        operands = [(i, a) for i, a in enumerate(self._arguments) if isinstance(a, Operand)]
        # Where the arguments are that decide what T, U and C are, and those that may be strided.
        self._deciding = {a.element: i for i, a in reversed(operands) if a.element in ("T", "U", "C")}
        self._strided = [i for i, a in operands if a.strided]
        name += _elsewhere(function, names)
        self._function = instance(function, name, **names) if name else function
        self._compiled: dict[tuple[str, bool], Callable[..., None]] = {}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> None:
        chars = "".join([arguments[i].dtype.char for i in self._deciding.values()])
        dense = all(arguments[i].flags.c_contiguous for i in self._strided)
        run = self._compiled.get((chars, dense))
        if run is None:
            with self._lock:
                run = self._compiled.get((chars, dense)) or self._compile(chars, dense)
        run(*arguments)

    def _compile(self, chars: str, dense: bool) -> Callable[..., None]:
        elements = {}
        for name, c in zip(self._deciding, chars, strict=True):
            known = _CODES if name == "C" else _FLOATS
            if c not in known:
                expected = "uint8 or uint16 codes" if name == "C" else "float32 or float64 arrays"
                raise TypeError(f"kernels take {expected}")
            elements[name] = known[c]
        signature = types.void(
            *[a.numba_type(elements, dense) if isinstance(a, Operand) else a for a in self._arguments]
        )
        try:
            run = njit(signature, cache=True, **_OPTIONS)(self._function)
        except (RuntimeError, OSError):
            # Nowhere to keep it: neither beside this file nor in the user's cache directory.
            run = njit(signature, **_OPTIONS)(self._function)
        self._compiled[chars, dense] = run
        return run


def instance(template: Callable[..., Any], name: str, **names: Any) -> FunctionType:
    """Copy a function under another name, for itself and its file on disk, and other globals."""
    assert isinstance(template, FunctionType)
    full_name = f"{name}{template.__name__}"
    instance = FunctionType(template.__code__, {**template.__globals__, **names}, full_name)
    instance.__qualname__ = full_name
    instance.__module__ = template.__module__
    return instance


def nothing(like: Array, ndim: int = 1, dtype: Any = None) -> Array:
    """Return an array without elements, which tells a loop that an optional one is absent."""
    return np.empty((0,) * ndim, like.dtype if dtype is None else dtype)
