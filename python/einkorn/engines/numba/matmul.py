"""Matrix product: NumPy's, that is its BLAS library's, then one loop for everything after it.

    product = a @ b                                   straight into out unless beta * out is needed
    out = act(alpha * product + beta * out + bias)    skipped where there is nothing to do

The loop serves convolution too, whose bias runs along another axis: it sees [i, j, k], and the bias
as a view of zero strides.
"""

from __future__ import annotations

import numpy as np

from ._activation import activate
from ._checks import floats, read, require, strided, write
from ._compile import AnyIn3, Array, In3, Int, Loop, Out3, Scalar
from ._kernels import kernel
from ._threads import parallel_for

_COST = 2.0  # ns per element of the second loop
_DEPTH = 8192  # terms of a sum that BLAS adds up on its own: how it does that, and how well, is its affair


@Loop
def _finish(
    start: Int,
    stop: Int,
    out: Out3,
    product: In3,
    bias: AnyIn3,
    has_bias: Int,
    alpha: Scalar,
    beta: Scalar,
    activation: Int,
) -> None:
    for index in range(start, stop):
        i, j = index // out.shape[1], index % out.shape[1]
        for k in range(out.shape[2]):
            value = alpha * product[i, j, k]
            if beta != 0:  # otherwise what out holds may be anything
                value += beta * out[i, j, k]
            if has_bias:
                value += bias[i, j, k]
            out[i, j, k] = activate(activation, value)


def finish(
    out: Array,
    product: Array,
    bias: Array | None,
    activation: int,
    alpha: float = 1.0,
    beta: float = 0.0,
) -> None:
    """out = act(alpha * product + beta * out + bias), all of rank 3, the bias of any strides.

    out may be product.
    """
    nothing_to_do = product is out and bias is None and activation == 0 and alpha == 1
    if out.size == 0 or nothing_to_do:
        return
    rows = out.shape[0] * out.shape[1]
    given = product if bias is None else bias
    parallel_for(
        rows,
        _COST * out.shape[2],
        lambda start, stop: _finish(
            start, stop, out, product, given, bias is not None, alpha, beta, activation
        ),
    )


def _for_blas(a: Array) -> Array:
    """Return `a`, or a copy of it if its matrices are not in row-major or column-major order."""
    row, column = a.strides[-2:]
    if (column == a.itemsize and row >= column * a.shape[-1]) or (
        row == a.itemsize and column >= row * a.shape[-2]
    ):
        return a
    return np.ascontiguousarray(a)


def multiply_matrices(out: Array, a: Array, b: Array) -> None:
    """out = a @ b, C-contiguous out; long sums in blocks, from block to block in float64."""
    a, b = _for_blas(a), _for_blas(b)
    depth = a.shape[-1]
    with np.errstate(all="ignore"):  # infinities and NaN are the caller's affair
        if depth <= _DEPTH:
            np.matmul(a, b, out=out)
            return
        total = np.zeros(out.shape, np.float64)
        for start in range(0, depth, _DEPTH):
            block = slice(start, start + _DEPTH)
            np.matmul(_for_blas(a[..., block]), _for_blas(b[..., block, :]), out=out)
            total += out
        out[...] = total


@kernel
def matmul(
    out: Array,
    a: Array,
    b: Array,
    bias: Array | None,
    alpha: float,
    beta: float,
    activation: int,
) -> None:
    """out = act(alpha * a @ b + beta * out + bias), over leading batch axes.

    With beta 0, out is not read. With no columns of a, the product is 0.
    """
    fit = "matmul: shapes do not fit"
    require(
        out.ndim >= 2 and a.ndim == b.ndim == out.ndim,
        "matmul: out, a and b must have one rank, at least 2",
    )
    out = write("out", out, floats(out), *out.shape)
    strided("a", a, out.dtype), strided("b", b, out.dtype)
    m, n, k = *out.shape[-2:], a.shape[-1]
    require(a.shape[-2] == m and b.shape[-2:] == (k, n) and (bias is None or bias.size == n), fit)
    bias = None if bias is None else read("bias", bias, out.dtype, n)
    if out.size == 0:
        return
    step = out.itemsize
    along_a = m == 1 or k <= 1 or step in a.strides[-2:]
    along_b = k <= 1 or n == 1 or step in b.strides[-2:]
    require(along_a, "matmul: a must have stride 1 along rows or columns")
    require(along_b, "matmul: b must have stride 1 along rows or columns")
    require(a.shape[:-2] == b.shape[:-2] == out.shape[:-2], "matmul: batch shapes differ")
    product = out if beta == 0 else np.empty(out.shape, out.dtype)
    multiply_matrices(product, a, b)
    shape = (1, -1, out.shape[-1])
    out3 = out.reshape(shape)
    product3 = out3 if product is out else product.reshape(shape)
    bias3 = None if bias is None else np.broadcast_to(bias, out3.shape)
    finish(out3, product3, bias3, activation, alpha, beta)
