"""Normalisation of rows, of channels and among channels; csrc/kernels/norm/norm.h has the formulas.

Sums are float64. Variances are squared distances from a mean that was computed before, in a walk of its own.
Rows are the index of the parallel loop for `row_norm_*`, channels for `batch_norm_*`, samples for
`local_response_norm_*`; weight gradients of rows take a second loop, over channels.
"""

from __future__ import annotations

import math

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
    nothing,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 4.0  # ns per element
_RELU, _LEAKY, _SIGMOID, _TANH = 1, 2, 3, 4  # csrc/kernels/activation.h


@inline
def _activate(v: float, activation: int) -> float:
    if activation == _RELU:
        return 0.0 if v < 0 else v
    if activation == _LEAKY:
        return v * 0.01 if v < 0 else v
    if activation == _SIGMOID:
        return 1 / (1 + math.exp(-v))
    if activation == _TANH:
        return math.tanh(v)
    return v


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
            out[r, i] = _activate(v, activation)


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
    if x.shape[0] % groups or x.shape[1] % run:
        raise ValueError("norm: groups and run must divide x")
    total = nothing(x, 2) if total is None else total
    mean = nothing(rstd) if mean is None else mean
    residual = nothing(x, 2) if residual is None else residual
    weight = nothing(x) if weight is None else weight
    bias = nothing(x) if bias is None else bias
    parallel_for(
        x.shape[0],
        _COST * x.shape[1] + 1,
        lambda start, stop: _row_forward(
            start, stop, out, total, mean, rstd, x, residual, weight, bias, groups, run, eps, activation
        ),
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
    y = nothing(x, 2) if y is None else y
    mean = nothing(rstd) if mean is None else mean
    if gx is not None:
        weights = nothing(x) if weight is None else weight
        added = nothing(x, 2) if addend is None else addend
        parallel_for(
            x.shape[0],
            2 * _COST * x.shape[1] + 1,
            lambda start, stop: _row_backward(
                start, stop, gx, g, y, x, mean, rstd, weights, added, groups, run, activation
            ),
        )
    if gweight is not None or gbias is not None:
        gw = nothing(x) if gweight is None else gweight
        gb = nothing(x) if gbias is None else gbias
        parallel_for(
            groups * (x.shape[1] // run),
            _COST * (x.shape[0] // groups) * run + 1,
            lambda start, stop: _row_weights(
                start, stop, gw, gb, g, y, x, mean, rstd, groups, run, activation
            ),
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
                out[n, c, i] = _activate(v, activation)


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
    if not training and (running_mean is None or running_var is None):
        raise ValueError("norm: without training running statistics are needed")
    running = [nothing(x) if a is None else a for a in (running_mean, running_var)]
    residual = nothing(x, 3) if residual is None else residual
    weight = nothing(x) if weight is None else weight
    bias = nothing(x) if bias is None else bias
    parallel_for(
        x.shape[1],
        _COST * x.shape[0] * x.shape[2] + 1,
        lambda start, stop: _batch_forward(
            start, stop, out, mean, rstd, *running, x, residual, weight, bias,
            momentum, eps, training, activation,
        ),
    )  # fmt: skip


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
    planes = [nothing(x, 3) if a is None else a for a in (gx, gresidual)]
    sums = [nothing(x) if a is None else a for a in (gweight, gbias)]
    y = nothing(x, 3) if y is None else y
    weight = nothing(x) if weight is None else weight
    parallel_for(
        x.shape[1],
        2 * _COST * x.shape[0] * x.shape[2] + 1,
        lambda start, stop: _batch_backward(
            start, stop, *planes, *sums, g, y, x, mean, rstd, weight, training, activation
        ),
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


@kernel
def local_response_norm_forward(
    out: Array, scale: Array | None, x: Array, size: int, alpha: float, beta: float, k: float
) -> None:
    """out = x d**-beta; d = k + alpha / size times the window's sum of squares, kept in scale if given."""
    kept = nothing(x, 3) if scale is None else scale
    parallel_for(
        x.shape[0],
        10 * _COST * x.shape[1] * x.shape[2] + 1,
        lambda start, stop: _response_forward(start, stop, out, kept, x, size, alpha, beta, k),
    )


@kernel
def local_response_norm_backward(
    gx: Array, g: Array, x: Array, scale: Array, size: int, alpha: float, beta: float
) -> None:
    """gx from g, x and the forward pass's scale."""
    parallel_for(
        x.shape[0],
        20 * _COST * x.shape[1] * x.shape[2] + 1,
        lambda start, stop: _response_backward(start, stop, gx, g, x, scale, size, alpha, beta),
    )
