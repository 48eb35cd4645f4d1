"""softmax and log-softmax along the middle axis of [outer, n, inner], and their gradients.

    softmax       y = exp(x - m) / s        gx = y (g - sum(g y))
    log-softmax   y = x - m - log(s)        gx = g - exp(y) sum(g)

with m the maximum and s = sum exp(x - m), so that no exponential overflows. Each of the
outer * inner rows is one index of the parallel loop; sums are float64. A row with NaN or plus
infinity, or of nothing but minus infinity, gives NaN.
"""

from __future__ import annotations

import math

from ._checks import floats, read, require, write
from ._compile import Array, In3, Int, Loop, Out3
from ._kernels import kernel
from ._threads import parallel_for

_COST = 8.0  # ns per element


@Loop
def _softmax_forward(start: Int, stop: Int, out: Out3, x: In3) -> None:
    for row in range(start, stop):
        o, i = row // x.shape[2], row % x.shape[2]
        largest = -math.inf
        for j in range(x.shape[1]):
            largest = max(largest, x[o, j, i])
        total = 0.0
        for j in range(x.shape[1]):
            out[o, j, i] = math.exp(x[o, j, i] - largest)
            total += out[o, j, i]
        for j in range(x.shape[1]):
            out[o, j, i] /= total


@Loop
def _softmax_backward(start: Int, stop: Int, gx: Out3, g: In3, y: In3) -> None:
    for row in range(start, stop):
        o, i = row // y.shape[2], row % y.shape[2]
        total = 0.0
        for j in range(y.shape[1]):
            total += g[o, j, i] * y[o, j, i]
        for j in range(y.shape[1]):
            gx[o, j, i] = y[o, j, i] * (g[o, j, i] - total)


@Loop
def _log_softmax_forward(start: Int, stop: Int, out: Out3, x: In3) -> None:
    for row in range(start, stop):
        o, i = row // x.shape[2], row % x.shape[2]
        largest = -math.inf
        for j in range(x.shape[1]):
            largest = max(largest, x[o, j, i])
        total = 0.0
        for j in range(x.shape[1]):
            total += math.exp(x[o, j, i] - largest)
        log_total = math.log(total)
        for j in range(x.shape[1]):
            out[o, j, i] = x[o, j, i] - largest - log_total


@Loop
def _log_softmax_backward(start: Int, stop: Int, gx: Out3, g: In3, y: In3) -> None:
    for row in range(start, stop):
        o, i = row // y.shape[2], row % y.shape[2]
        total = 0.0
        for j in range(y.shape[1]):
            total += g[o, j, i]
        for j in range(y.shape[1]):
            gx[o, j, i] = g[o, j, i] - math.exp(y[o, j, i]) * total


def _each_row(loop: Loop, out_name: str, out: Array, **inputs: Array) -> None:
    floats(out)
    for name, x in inputs.items():
        require(
            out.ndim == 3 and x.shape == out.shape,
            f"argument '{name}' must be [outer, n, inner] as the output is",
        )
    outer, n, inner = out.shape
    out = write(out_name, out, out.dtype, *out.shape)
    arrays = [read(name, x, out.dtype, *out.shape) for name, x in inputs.items()]
    parallel_for(outer * inner, _COST * n + 1, lambda start, stop: loop(start, stop, out, *arrays))


@kernel
def softmax_forward(out: Array, x: Array) -> None:
    """out = softmax of x along axis 1. out may be x."""
    _each_row(_softmax_forward, "out", out, x=x)


@kernel
def softmax_backward(gx: Array, g: Array, y: Array) -> None:
    """gx from g and the output y. gx may be g."""
    _each_row(_softmax_backward, "gx", gx, g=g, y=y)


@kernel
def log_softmax_forward(out: Array, x: Array) -> None:
    """out = log of softmax of x along axis 1. out may be x."""
    _each_row(_log_softmax_forward, "out", out, x=x)


@kernel
def log_softmax_backward(gx: Array, g: Array, y: Array) -> None:
    """gx from g and the output y. gx may be g."""
    _each_row(_log_softmax_backward, "gx", gx, g=g, y=y)
