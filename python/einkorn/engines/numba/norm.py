"""Normalisation of rows, of channels and among channels; csrc/kernels/norm/norm.h has the formulas.

Sums are float64. Variances are squared distances from a mean that was computed before, in a walk of its own.
Rows are the index of the parallel loop for `row_norm_*`, channels for `batch_norm_*`, samples for
`local_response_norm_*`; weight gradients of rows take a second loop, over channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._activation import activate
from ._checks import floats, optional_read, optional_write, read, require, write
from ._compile import (
    Array,
    Float64In1,
    Float64Out1,
    In1,
    In2,
    In3,
    Int,
    Loop,
    Out1,
    Out2,
    Out3,
    Scalar,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 4.0  # ns per element
_RELU, _LEAKY, _SIGMOID, _TANH = 1, 2, 3, 4  # csrc/kernels/activation.h


@inline
def _before(g: float, y: float, activation: int) -> float:
    """The gradient before the activation whose result is y."""
    if activation == _RELU:
        return g if y > 0 else 0.0
    if activation == _LEAKY:
        return g if y > 0 else g * 0.01
    if activation == _SIGMOID:
        return g * (y * (1 - y))
    if activation == _TANH:
        return g * (1 - y * y)
    return g


def _check_activation(activation: int) -> None:
    require(0 <= activation <= _TANH, "norm: unknown activation")


def _result(y: Array | None, activation: int, dtype: np.dtype[Any], *shape: int) -> Array:
    """The forward pass's result, which gradients through an activation read."""
    require(y is not None or not activation, "norm: y is needed where there is an activation")
    return optional_read("y", y, dtype, *shape)


# --- rows -----------------------------------------------------------------------------------------


@Loop
def _row_forward(
    start: Int,
    stop: Int,
    out: Out2,
    total: Out2,
    mean: Float64Out1,
    rstd: Float64Out1,
    x: In2,
    residual: In2,
    weight: In1,
    bias: In1,
    groups: Int,
    run: Int,
    eps: Scalar,
    activation: Int,
) -> None:
    n = x.shape[1]
    channels = n // run
    adds, centred = residual.size > 0, mean.size > 0
    for r in range(start, stop):
        first = r % groups * channels
        centre = 0.0
        if adds:
            for i in range(n):
                total[r, i] = x[r, i] + residual[r, i]
        if centred:
            for i in range(n):
                centre += total[r, i] if adds else x[r, i]
            centre /= n
            rest = 0.0  # what rounding left out of the mean
            for i in range(n):
                rest += (total[r, i] if adds else x[r, i]) - centre
            centre += rest / n
            mean[r] = centre
        squares = 0.0
        for i in range(n):
            off = (total[r, i] if adds else x[r, i]) - centre
            squares += off * off
        root = 1 / math.sqrt(squares / n + eps)
        rstd[r] = root
        for i in range(n):
            v = ((total[r, i] if adds else x[r, i]) - centre) * root
            if weight.size > 0:
                v *= weight[first + i // run]
            if bias.size > 0:
                v += bias[first + i // run]
            out[r, i] = activate(activation, v)


@Loop
def _row_backward(
    start: Int,
    stop: Int,
    gx: Out2,
    g: In2,
    y: In2,
    x: In2,
    mean: Float64In1,
    rstd: Float64In1,
    weight: In1,
    addend: In2,
    groups: Int,
    run: Int,
    activation: Int,
) -> None:
    n = x.shape[1]
    channels = n // run
    centred = mean.size > 0
    for r in range(start, stop):
        first = r % groups * channels
        centre = mean[r] if centred else 0.0
        along = 0.0
        across = 0.0
        for i in range(n):
            h = _before(g[r, i], y[r, i] if activation else 0.0, activation)
            if weight.size > 0:
                h *= weight[first + i // run]
            along += h
            across += h * ((x[r, i] - centre) * rstd[r])
        along = along / n if centred else 0.0
        across /= n
        for i in range(n):
            h = _before(g[r, i], y[r, i] if activation else 0.0, activation)
            if weight.size > 0:
                h *= weight[first + i // run]
            v = rstd[r] * (h - along - (x[r, i] - centre) * rstd[r] * across)
            gx[r, i] = v + addend[r, i] if addend.size > 0 else v


@Loop
def _row_weights(
    start: Int,
    stop: Int,
    gweight: Out1,
    gbias: Out1,
    g: In2,
    y: In2,
    x: In2,
    mean: Float64In1,
    rstd: Float64In1,
    groups: Int,
    run: Int,
    activation: Int,
) -> None:
    channels = x.shape[1] // run
    for c in range(start, stop):
        group, begin = c // channels, c % channels * run
        w = 0.0
        b = 0.0
        for r in range(group, x.shape[0], groups):
            centre = mean[r] if mean.size > 0 else 0.0
            for i in range(begin, begin + run):
                h = _before(g[r, i], y[r, i] if activation else 0.0, activation)
                w += h * ((x[r, i] - centre) * rstd[r])
                b += h
        if gweight.size > 0:
            gweight[c] = w
        if gbias.size > 0:
            gbias[c] = b


def _check_rows(x: Array, groups: int, run: int) -> int:
    """How many channels the weights of rows have."""
    require(x.ndim == 2, "norm: x must be [rows, n]")
    require(groups >= 1 and x.shape[0] % groups == 0, "norm: rows must be a multiple of groups")
    require(run >= 1 and x.shape[1] % run == 0, "norm: n must be a multiple of run")
    return groups * (x.shape[1] // run)


@kernel
def row_norm_forward(
    out: Array,
    total: Array | None,
    mean: Array | None,
    rstd: Array,
    x: Array,
    residual: Array | None,
    weight: Array | None,
    bias: Array | None,
    groups: int,
    run: int,
    eps: float,
    activation: int,
) -> None:
    """Layer and group norm; without `mean` RMS norm; with `residual` of x + residual, kept in total."""
    dtype, channels = floats(x), _check_rows(x, groups, run)
    require((total is None) == (residual is None), "norm: total and residual come together")
    _check_activation(activation)
    arrays = (
        write("out", out, dtype, *x.shape),
        optional_write("total", total, dtype, *x.shape),
        optional_write("mean", mean, np.float64, x.shape[0]),
        write("rstd", rstd, np.float64, x.shape[0]),
        read("x", x, dtype, *x.shape),
        optional_read("residual", residual, dtype, *x.shape),
        optional_read("weight", weight, dtype, channels),
        optional_read("bias", bias, dtype, channels),
    )
    parallel_for(
        x.shape[0],
        _COST * x.shape[1] + 1,
        lambda start, stop: _row_forward(start, stop, *arrays, groups, run, eps, activation),
    )


@kernel
def row_norm_backward(
    gx: Array | None,
    gweight: Array | None,
    gbias: Array | None,
    g: Array,
    y: Array | None,
    x: Array,
    mean: Array | None,
    rstd: Array,
    weight: Array | None,
    addend: Array | None,
    groups: int,
    run: int,
    activation: int,
) -> None:
    """Those gradients that are not None; y is the result, needed where there is an activation."""
    dtype, channels = floats(x), _check_rows(x, groups, run)
    _check_activation(activation)
    into_rows = optional_write("gx", gx, dtype, *x.shape)
    into_weights = (
        optional_write("gweight", gweight, dtype, channels),
        optional_write("gbias", gbias, dtype, channels),
    )
    known = (
        read("g", g, dtype, *x.shape),
        _result(y, activation, dtype, *x.shape),
        read("x", x, dtype, *x.shape),
        optional_read("mean", mean, np.float64, x.shape[0]),
        read("rstd", rstd, np.float64, x.shape[0]),
    )
    factors = optional_read("weight", weight, dtype, channels)
    added = optional_read("addend", addend, dtype, *x.shape)
    if gx is not None:
        parallel_for(
            x.shape[0],
            2 * _COST * x.shape[1] + 1,
            lambda start, stop: _row_backward(
                start, stop, into_rows, *known, factors, added, groups, run, activation
            ),
        )
    if gweight is not None or gbias is not None:
        parallel_for(
            channels,
            _COST * (x.shape[0] // groups) * run + 1,
            lambda start, stop: _row_weights(start, stop, *into_weights, *known, groups, run, activation),
        )


# --- channels -------------------------------------------------------------------------------------


@Loop
def _batch_forward(
    start: Int,
    stop: Int,
    out: Out3,
    mean: Float64Out1,
    rstd: Float64Out1,
    running_mean: Out1,
    running_var: Out1,
    x: In3,
    residual: In3,
    weight: In1,
    bias: In1,
    momentum: Scalar,
    eps: Scalar,
    training: Int,
    activation: Int,
) -> None:
    batch, _, length = x.shape
    count = batch * length
    for c in range(start, stop):
        centre = 0.0
        var = 0.0
        if training:
            for n in range(batch):
                for i in range(length):
                    centre += x[n, c, i]
            centre /= count
            rest = 0.0  # what rounding left out of the mean
            for n in range(batch):
                for i in range(length):
                    rest += x[n, c, i] - centre
            centre += rest / count
            for n in range(batch):
                for i in range(length):
                    off = x[n, c, i] - centre
                    var += off * off
            unbiased = var / (count - 1)
            var /= count
            if running_mean.size > 0 and count > 0:
                running_mean[c] = (1 - momentum) * running_mean[c] + momentum * centre
            if running_var.size > 0 and count > 0:
                running_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased
        else:
            centre = running_mean[c]
            var = running_var[c]
        root = 1 / math.sqrt(var + eps)
        mean[c] = centre
        rstd[c] = root
        factor = root * weight[c] if weight.size > 0 else root
        summand = bias[c] if bias.size > 0 else 0.0
        for n in range(batch):
            for i in range(length):
                v = (x[n, c, i] - centre) * factor + summand
                if residual.size > 0:
                    v += residual[n, c, i]
                out[n, c, i] = activate(activation, v)


@Loop
def _batch_backward(
    start: Int,
    stop: Int,
    gx: Out3,
    gresidual: Out3,
    gweight: Out1,
    gbias: Out1,
    g: In3,
    y: In3,
    x: In3,
    mean: Float64In1,
    rstd: Float64In1,
    weight: In1,
    training: Int,
    activation: Int,
) -> None:
    batch, _, length = x.shape
    count = batch * length
    for c in range(start, stop):
        along = 0.0
        across = 0.0
        for n in range(batch):
            for i in range(length):
                h = _before(g[n, c, i], y[n, c, i] if activation else 0.0, activation)
                along += h
                across += h * ((x[n, c, i] - mean[c]) * rstd[c])
        if gweight.size > 0:
            gweight[c] = across
        if gbias.size > 0:
            gbias[c] = along
        factor = rstd[c] * weight[c] if weight.size > 0 else rstd[c]
        along = along / count if training else 0.0
        across = across / count if training else 0.0
        for n in range(batch):
            for i in range(length):
                h = _before(g[n, c, i], y[n, c, i] if activation else 0.0, activation)
                if gresidual.size > 0:
                    gresidual[n, c, i] = h
                if gx.size > 0:
                    gx[n, c, i] = factor * (h - along - (x[n, c, i] - mean[c]) * rstd[c] * across)


def _check_channels(x: Array) -> None:
    require(x.ndim == 3, "norm: x must be [N, C, L]")


def _statistics(name: str, x: Array | None, dtype: np.dtype[Any], channels: int, training: bool) -> Array:
    """Running statistics: an output of training, else read; the loop takes it for an output all the same."""
    if training:
        return optional_write(name, x, dtype, channels)
    return optional_read(name, x, dtype, channels).copy()


@kernel
def batch_norm_forward(
    out: Array,
    mean: Array,
    rstd: Array,
    running_mean: Array | None,
    running_var: Array | None,
    x: Array,
    residual: Array | None,
    weight: Array | None,
    bias: Array | None,
    momentum: float,
    eps: float,
    training: bool,
    activation: int,
) -> None:
    """Batch norm of [N, C, L]; running statistics are updated in training, else they normalise."""
    _check_channels(x)
    dtype, channels = floats(x), x.shape[1]
    require(
        training or (running_mean is not None and running_var is not None),
        "norm: without training running statistics are needed",
    )
    _check_activation(activation)
    arrays = (
        write("out", out, dtype, *x.shape),
        write("mean", mean, np.float64, channels),
        write("rstd", rstd, np.float64, channels),
        _statistics("running_mean", running_mean, dtype, channels, training),
        _statistics("running_var", running_var, dtype, channels, training),
        read("x", x, dtype, *x.shape),
        optional_read("residual", residual, dtype, *x.shape),
        optional_read("weight", weight, dtype, channels),
        optional_read("bias", bias, dtype, channels),
    )
    parallel_for(
        channels,
        _COST * x.shape[0] * x.shape[2] + 1,
        lambda start, stop: _batch_forward(start, stop, *arrays, momentum, eps, training, activation),
    )


@kernel
def batch_norm_backward(
    gx: Array | None,
    gresidual: Array | None,
    gweight: Array | None,
    gbias: Array | None,
    g: Array,
    y: Array | None,
    x: Array,
    mean: Array,
    rstd: Array,
    weight: Array | None,
    training: bool,
    activation: int,
) -> None:
    """Those gradients that are not None; y is the result, needed where there is an activation."""
    _check_channels(x)
    dtype, channels = floats(x), x.shape[1]
    _check_activation(activation)
    arrays = (
        optional_write("gx", gx, dtype, *x.shape),
        optional_write("gresidual", gresidual, dtype, *x.shape),
        optional_write("gweight", gweight, dtype, channels),
        optional_write("gbias", gbias, dtype, channels),
        read("g", g, dtype, *x.shape),
        _result(y, activation, dtype, *x.shape),
        read("x", x, dtype, *x.shape),
        read("mean", mean, np.float64, channels),
        read("rstd", rstd, np.float64, channels),
        optional_read("weight", weight, dtype, channels),
    )
    parallel_for(
        channels,
        2 * _COST * x.shape[0] * x.shape[2] + 1,
        lambda start, stop: _batch_backward(start, stop, *arrays, training, activation),
    )


# --- neighbours -----------------------------------------------------------------------------------


@Loop
def _response_forward(
    start: Int, stop: Int, out: Out3, scale: Out3, x: In3, size: Int, alpha: Scalar, beta: Scalar, k: Scalar
) -> None:
    channels, length = x.shape[1], x.shape[2]
    for n in range(start, stop):
        for c in range(channels):
            first, last = max(c - size // 2, 0), min(c + (size - 1) // 2 + 1, channels)
            for i in range(length):
                total = 0.0
                for j in range(first, last):
                    total += x[n, j, i] * x[n, j, i]
                d = k + alpha / size * total
                if scale.size > 0:
                    scale[n, c, i] = d
                out[n, c, i] = x[n, c, i] * d**-beta


@Loop
def _response_backward(
    start: Int, stop: Int, gx: Out3, g: In3, x: In3, scale: In3, size: Int, alpha: Scalar, beta: Scalar
) -> None:
    channels, length = x.shape[1], x.shape[2]
    for n in range(start, stop):
        for c in range(channels):
            first, last = max(c - (size - 1) // 2, 0), min(c + size // 2 + 1, channels)
            for i in range(length):
                total = 0.0
                for j in range(first, last):
                    total += g[n, j, i] * x[n, j, i] * scale[n, j, i] ** (-beta - 1)
                own = g[n, c, i] * scale[n, c, i] ** -beta
                gx[n, c, i] = own - 2 * alpha * beta / size * x[n, c, i] * total


def _check_window(x: Array, size: int) -> None:
    _check_channels(x)
    require(size >= 1, "norm: size must be positive")


@kernel
def local_response_norm_forward(
    out: Array, scale: Array | None, x: Array, size: int, alpha: float, beta: float, k: float
) -> None:
    """out = x d**-beta; d = k + alpha / size times the window's sum of squares, kept in scale if given."""
    _check_window(x, size)
    dtype = floats(x)
    arrays = (
        write("out", out, dtype, *x.shape),
        optional_write("scale", scale, dtype, *x.shape),
        read("x", x, dtype, *x.shape),
    )
    parallel_for(
        x.shape[0],
        10 * _COST * x.shape[1] * x.shape[2] + 1,
        lambda start, stop: _response_forward(start, stop, *arrays, size, alpha, beta, k),
    )


@kernel
def local_response_norm_backward(
    gx: Array, g: Array, x: Array, scale: Array, size: int, alpha: float, beta: float
) -> None:
    """gx from g, x and the forward pass's scale."""
    _check_window(x, size)
    dtype = floats(x)
    arrays = (
        write("gx", gx, dtype, *x.shape),
        read("g", g, dtype, *x.shape),
        read("x", x, dtype, *x.shape),
        read("scale", scale, dtype, *x.shape),
    )
    parallel_for(
        x.shape[0],
        20 * _COST * x.shape[1] * x.shape[2] + 1,
        lambda start, stop: _response_backward(start, stop, *arrays, size, alpha, beta),
    )
