"""Products of whole numbers of eight bits: rows are rounded to such, multiplied exactly, and scaled back.

The product itself is NumPy's in float64, which holds every sum of these.
"""

from __future__ import annotations

import math

import numpy as np

from ._activation import activate
from ._checks import read, require, write
from ._compile import (
    Array,
    ByteOut2,
    Float32In1,
    Float32In2,
    Float32Out1,
    Float32Out2,
    Float64In2,
    Int,
    Int32In1,
    Int32Out1,
    Loop,
    SignedByteOut2,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 1.0  # ns per element
_MOST_DEPTH = 65536
_LEAST_SCALE = np.float32(1.2e-38)


@Loop
def _quantize_u8(
    start: Int, stop: Int, q: ByteOut2, scales: Float32Out1, zeros: Int32Out1, x: Float32In2
) -> None:
    for i in range(start, stop):
        low = high = np.float32(0)
        finite = True
        for k in range(x.shape[1]):
            low, high = min(low, x[i, k]), max(high, x[i, k])
            finite = finite and math.isfinite(x[i, k])
        scale = np.float32(high / np.float32(255)) - np.float32(low / np.float32(255))
        blank = not finite or scale < _LEAST_SCALE
        per_unit = np.float32(0) if blank else np.float32(np.float32(1) / scale)
        zero = int(np.rint(np.float32(-low * per_unit))) if finite else 0
        zeros[i] = zero
        scales[i] = scale if not blank else np.float32(1 if finite else np.nan)
        for k in range(x.shape[1]):
            value = int(np.rint(np.float32(x[i, k] * per_unit))) + zero if not blank else 0
            q[i, k] = min(max(value, 0), 255)


@Loop
def _quantize_s8(start: Int, stop: Int, q: SignedByteOut2, scales: Float32Out1, x: Float32In2) -> None:
    for i in range(start, stop):
        high = np.float32(0)
        finite = True
        for k in range(x.shape[1]):
            high = max(high, abs(x[i, k]))
            finite = finite and math.isfinite(x[i, k])
        scale = np.float32(high / np.float32(127))
        blank = not finite or scale < _LEAST_SCALE
        per_unit = np.float32(0) if blank else np.float32(np.float32(1) / scale)
        scales[i] = scale if not blank else np.float32(1 if finite else np.nan)
        for k in range(x.shape[1]):
            value = int(np.rint(np.float32(x[i, k] * per_unit))) if not blank else 0
            q[i, k] = min(max(value, -127), 127)


@Loop
def _scale(
    start: Int,
    stop: Int,
    out: Float32Out2,
    product: Float64In2,
    a_scale: Float32In1,
    a_zero: Int32In1,
    b_scale: Float32In1,
    b_sums: Int32In1,
    bias: Float32In1,
    activation: Int,
) -> None:
    for i in range(start, stop):
        for j in range(out.shape[1]):
            whole = product[i, j] - np.float64(a_zero[i]) * np.float64(b_sums[j])
            value = np.float32(np.float32(whole) * np.float32(b_scale[j] * a_scale[i]))
            if bias.size:
                value = np.float32(value + bias[j])
            out[i, j] = activate(activation, value)


def _sizes(op: str, q: Array, scale: Array, x: Array) -> tuple[int, ...]:
    require(x.ndim == 2 and q.shape == x.shape and scale.size == len(x), f"{op}: shapes do not fit")
    return x.shape


@kernel
def quantize_rows_u8(q: Array, scale: Array, zero: Array, x: Array) -> None:
    """Rows of x as bytes: x is near scale * (q - zero)."""
    shape = _sizes("quantize_rows_u8", q, scale, x)
    x, scale = read("x", x, np.float32, *shape), write("scale", scale, np.float32, shape[0])
    require(zero.size == shape[0], "quantize_rows_u8: shapes do not fit")
    q, zero = write("q", q, np.uint8, *shape), write("zero", zero, np.int32, shape[0])
    parallel_for(len(x), _COST * shape[1], lambda start, stop: _quantize_u8(start, stop, q, scale, zero, x))


@kernel
def quantize_rows_s8(q: Array, scale: Array, x: Array) -> None:
    """Rows of x as bytes with a sign: x is near scale * q."""
    shape = _sizes("quantize_rows_s8", q, scale, x)
    x, scale = read("x", x, np.float32, *shape), write("scale", scale, np.float32, shape[0])
    q = write("q", q, np.int8, *shape)
    parallel_for(len(x), _COST * shape[1], lambda start, stop: _quantize_s8(start, stop, q, scale, x))


@kernel
def matmul_int8(
    out: Array,
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_sums: Array,
    bias: Array | None,
    activation: int,
) -> None:
    """out = act(a_scale * b_scale * (a @ b.T - a_zero * b_sums) + bias)."""
    fit = "matmul_int8: shapes do not fit"
    require(out.ndim == a.ndim == b.ndim == 2, "matmul_int8: out, a and b must be matrices")
    (m, n), k = out.shape, a.shape[1]
    require(len(a) == m and b.shape == (n, k) and a_scale.size == a_zero.size == m, fit)
    require(b_scale.size == b_sums.size == n and (bias is None or bias.size == n), fit)
    require(k <= _MOST_DEPTH, "matmul_int8: sums of more than 65536 products may overflow")
    out = write("out", out, np.float32, m, n)
    a, b = read("a", a, np.uint8, m, k), read("b", b, np.int8, n, k)
    a_scale, a_zero = read("a_scale", a_scale, np.float32, m), read("a_zero", a_zero, np.int32, m)
    b_scale, b_sums = read("b_scale", b_scale, np.float32, n), read("b_sums", b_sums, np.int32, n)
    given = np.empty(0, np.float32) if bias is None else read("bias", bias, np.float32, n)
    if out.size == 0:
        return
    product = np.dot(a.astype(np.float64), b.T.astype(np.float64))
    scales = a_scale, a_zero, b_scale, b_sums, given
    parallel_for(m, _COST * n, lambda start, stop: _scale(start, stop, out, product, *scales, activation))
