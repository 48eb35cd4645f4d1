"""Matrix product of bfloat16: widened to float32, multiplied so (see matmul.py), rounded at the end.

bfloat16 comes as its bits, uint16: the upper half of a float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._checks import read, require, strided, write
from ._compile import Array, CountsIn2, CountsOut2, Int, Loop, WordIn2, WordOut2
from ._kernels import kernel
from ._threads import parallel_for
from .matmul import finish, multiply_matrices

_COST = 0.5  # ns per element


@Loop
def _widen(start: Int, stop: Int, out: WordOut2, x: CountsIn2) -> None:
    for i in range(start, stop):
        for j in range(out.shape[1]):
            out[i, j] = np.uint32(x[i, j]) << np.uint32(16)


@Loop
def _narrow(start: Int, stop: Int, out: CountsOut2, x: WordIn2) -> None:
    """Round to the nearest, ties to even; NaN is made quiet, because rounding could carry it away."""
    for i in range(start, stop):
        for j in range(out.shape[1]):
            bits = np.uint32(x[i, j])
            if (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
                out[i, j] = (bits >> np.uint32(16)) | np.uint32(0x40)
            else:
                even = (bits >> np.uint32(16)) & np.uint32(1)
                out[i, j] = (bits + np.uint32(0x7FFF) + even) >> np.uint32(16)


def _by_rows(loop: Loop, out: Array, x: Array) -> None:
    if out.size:
        rows = out.reshape(-1, out.shape[-1]), x.reshape(-1, x.shape[-1])
        parallel_for(len(rows[0]), _COST * out.shape[-1], lambda start, stop: loop(start, stop, *rows))


def _widened(x: Array) -> Array:
    dense = np.ascontiguousarray(x)
    out = np.empty(dense.shape, np.float32)
    _by_rows(_widen, out.view(np.uint32), dense)
    return out


def _either(x: Array) -> Any:
    """The dtype that an array of bfloat16 or float32 may keep."""
    return np.uint16 if x.dtype == np.uint16 else np.float32


@kernel
def matmul_bf16(
    out: Array,
    a: Array,
    b: Array,
    bias: Array | None,
    alpha: float,
    beta: float,
    activation: int,
) -> None:
    """out = act(alpha * a @ b + beta * out + bias), over leading batch axes; out and bias of either type."""
    require(
        out.ndim >= 2 and a.ndim == b.ndim == out.ndim,
        "matmul_bf16: out, a and b must have one rank, at least 2",
    )
    out = write("out", out, _either(out), *out.shape)
    strided("a", a, np.uint16), strided("b", b, np.uint16)
    m, n, k = *out.shape[-2:], a.shape[-1]
    fits = a.shape[-2] == m and b.shape[-2:] == (k, n) and (bias is None or bias.size == n)
    require(fits, "matmul_bf16: shapes do not fit")
    bias = None if bias is None else read("bias", bias, _either(bias), n)
    if out.size == 0:
        return
    along_a = m == 1 or k <= 1 or a.itemsize in a.strides[-2:]
    along_b = k <= 1 or n == 1 or b.itemsize in b.strides[-2:]
    require(along_a, "matmul_bf16: a must have stride 1 along rows or columns")
    require(along_b, "matmul_bf16: b must have stride 1 along rows or columns")
    require(a.shape[:-2] == b.shape[:-2] == out.shape[:-2], "matmul_bf16: batch shapes differ")
    product = np.empty(out.shape, np.float32)
    multiply_matrices(product, _widened(a), _widened(b))
    is_half = out.dtype == np.uint16
    shape = (1, -1, n)
    whole = (_widened(out) if is_half and beta != 0 else product if is_half else out).reshape(shape)
    if bias is not None:
        bias = np.broadcast_to(_widened(bias) if bias.dtype == np.uint16 else bias, whole.shape)
    if not is_half and beta == 0:
        out[...] = product
        finish(whole, whole, bias, activation, alpha)
    else:
        finish(whole, product.reshape(shape), bias, activation, alpha, beta)
    if is_half:
        _by_rows(_narrow, out, whole.view(np.uint32).reshape(out.shape))
