"""widen_bf16 and narrow_bf16: between bfloat16, given as its bits, and floats (see csrc/kernels/cast.h).

The loops see numbers as the integers that their bits are.
"""

from __future__ import annotations

import numpy as np

from ._checks import floats, same_shape, strided, strided_out
from ._compile import (
    AnyFloat32In4,
    AnyFloat64In4,
    AnyHalfIn4,
    AnyHalfOut4,
    AnyWordIn4,
    AnyWordOut4,
    Array,
    Loop,
)
from ._kernels import kernel
from ._views import apply

_COST = 0.5  # ns per element
_SHAPES = "all arrays of an elementwise kernel must have one shape"


@Loop
def _widen(bits: AnyWordOut4, x: AnyHalfIn4) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                for n in range(x.shape[3]):
                    bits[i, j, k, n] = np.uint32(x[i, j, k, n]) << np.uint32(16)


@Loop
def _narrow(out: AnyHalfOut4, bits: AnyWordIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    b = np.int64(bits[i, j, k, n])
                    near = (b + 0x7FFF + (b >> 16 & 1)) >> 16
                    nan = b & 0x7FFFFFFF > 0x7F800000  # made quiet
                    out[i, j, k, n] = np.uint16(b >> 16 | 0x40 if nan else near)


@Loop
def _cut_odd(bits: AnyWordOut4, near: AnyFloat32In4, x: AnyFloat64In4) -> None:
    """Make floats odd where digits of x were lost, so that the next rounding is of x itself."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                for n in range(x.shape[3]):
                    value = x[i, j, k, n]
                    back = np.float64(near[i, j, k, n])
                    b = np.int64(bits[i, j, k, n])
                    if back != value and value == value and b & 1 == 0:
                        bits[i, j, k, n] = np.uint32(b + 1 if abs(value) > abs(back) else b - 1)


@kernel
def widen_bf16(out: Array, x: Array) -> None:
    """out = x, exactly."""
    same_shape(_SHAPES, out, x)
    strided_out("out", out, floats(out))
    strided("x", x, np.uint16)
    near = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    apply(_widen, _COST, near.view(np.uint32), (x,))
    if near is not out:
        with np.errstate(invalid="ignore"):  # NaN stays NaN
            np.copyto(out, near)


@kernel
def narrow_bf16(out: Array, x: Array) -> None:
    """out = x, rounded once, to the nearest and in a tie to the even neighbour."""
    same_shape(_SHAPES, out, x)
    floats(x)
    strided_out("out", out, np.uint16)
    near = x
    if x.dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            near = np.array(x, np.float32, order="C")
        apply(_cut_odd, _COST, near.view(np.uint32), (near, x))
    apply(_narrow, _COST, out, (near.view(np.uint32),))
