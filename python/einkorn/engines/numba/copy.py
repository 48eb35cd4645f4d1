"""copy and fill: moving numbers without changing them, by elementwise loops (see elementwise.py).

copy converts between float32 and float64 where the dtypes differ.
"""

from __future__ import annotations

from ._checks import floats, same_shape, strided_out
from ._compile import AnyOut4, Array, Loop, OtherAnyIn4, Scalar
from ._kernels import kernel
from ._views import apply, elementwise

_COST = 0.3  # ns per element


@Loop
def _copy(out: AnyOut4, x: OtherAnyIn4) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = x[i, j, k, n]


@Loop
def _fill(out: AnyOut4, value: Scalar) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for n in range(out.shape[3]):
                    out[i, j, k, n] = value


@kernel
def copy(out: Array, x: Array) -> None:
    """out = x."""
    same_shape("all arrays of an elementwise kernel must have one shape", out, x)
    strided_out("out", out, floats(out))
    floats(x)
    apply(_copy, _COST, out, (x,))


@kernel
def fill(out: Array, value: float) -> None:
    """out[...] = value."""
    elementwise(_fill, _COST, out, (), value)
