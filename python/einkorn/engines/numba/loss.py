"""Losses: cross-entropy of class indices, and sums over elements.

Cross-entropy of a row x with class t, weights w (1 if there are none) and label smoothing e, after
torch, with lse = log sum_c exp(x_c)::

    loss           = (1 - e) w_t (lse - x_t) + e/n sum_c w_c (lse - x_c)
    d loss / d x_c = softmax_c W - (1 - e) w_t [c = t] - e/n w_c,    W = (1 - e) w_t + e/n sum_c w_c

The mean divides by the sum of w_t over the rows, where ignored rows count as 0.

The others are loss = scale * sum of f(x, t) over the elements: the terms are written out, then
summed as reduce.py sums. A loss with dimensions gets the terms themselves, times scale.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._checks import floats, optional_read, read, require, write
from ._compile import Array, In1, In2, In3, Index1, Int, Loop, Out1, Out2, Out3, Scalar, inline
from ._kernels import kernel
from ._threads import parallel_for
from .reduce import reduce_sum

_COST = 4.0  # ns per element
_NONE, _MEAN = 0, 1  # reductions; 2 is the sum


@Loop
def _cross_entropy_forward(
    start: Int,
    stop: Int,
    losses: Out1,
    row_weight: Out1,
    lse: Out1,
    logits: In2,
    target: Index1,
    class_weight: In1,
    ignore_index: Int,
    label_smoothing: Scalar,
) -> None:
    n = logits.shape[1]
    weighted = class_weight.shape[0] > 0
    for r in range(start, stop):
        largest = -math.inf
        for c in range(n):
            largest = max(largest, logits[r, c])
        total = 0.0
        for c in range(n):
            total += math.exp(logits[r, c] - largest)
        row_lse = largest + math.log(total)
        lse[r] = row_lse
        t = target[r]
        if t == ignore_index:
            row_weight[r] = 0
            losses[r] = 0
            continue
        if t < 0 or t >= n:  # the op has checked; at least read nothing out of bounds
            row_weight[r] = math.nan
            losses[r] = math.nan
            continue
        weight = class_weight[t] if weighted else 1.0
        row_weight[r] = weight
        loss = (1 - label_smoothing) * weight * (row_lse - logits[r, t])
        if label_smoothing > 0:
            smooth = 0.0
            for c in range(n):
                smooth += (class_weight[c] if weighted else 1.0) * (row_lse - logits[r, c])
            loss += label_smoothing / n * smooth
        losses[r] = loss


@Loop
def _cross_entropy_backward(
    start: Int,
    stop: Int,
    glogits: Out2,
    gloss: In1,
    logits: In2,
    target: Index1,
    lse: In1,
    total_weight: In1,
    class_weight: In1,
    ignore_index: Int,
    label_smoothing: Scalar,
    reduction: Int,
) -> None:
    n = logits.shape[1]
    weighted = class_weight.shape[0] > 0
    class_weight_sum = 0.0 if weighted else float(n)
    for c in range(class_weight.shape[0]):
        class_weight_sum += class_weight[c]
    share = label_smoothing / n
    for r in range(start, stop):
        t = target[r]
        if t == ignore_index:
            glogits[r] = 0
            continue
        if t < 0 or t >= n:
            glogits[r] = math.nan
            continue
        g = gloss[r] if reduction == 0 else gloss[0]
        if reduction == 1:
            g = g / total_weight[0]
        at_target = (1 - label_smoothing) * (class_weight[t] if weighted else 1.0)
        row_sum = at_target + share * class_weight_sum
        for c in range(n):
            gradient = row_sum * math.exp(logits[r, c] - lse[r])
            if c == t:
                gradient -= at_target
            if share > 0:
                gradient -= share * (class_weight[c] if weighted else 1.0)
            glogits[r, c] = g * gradient


@Loop
def _divide(quotient: Out1, a: In1, b: In1) -> None:
    quotient[0] = a[0] / b[0]


def _check_logits(logits: Array, reduction: int) -> tuple[int, int]:
    require(logits.ndim == 2, "logits must be [rows, n]")
    require(0 <= reduction <= 2, "reduction is 0 (none), 1 (mean) or 2 (sum)")
    rows, n = logits.shape
    return rows, n


@kernel
def cross_entropy_forward(
    loss: Array | None,
    losses: Array,
    row_weight: Array,
    total_weight: Array,
    lse: Array,
    logits: Array,
    target: Array,
    class_weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: int,
) -> None:
    """losses, row_weight and lse of each row; total_weight; and the loss unless reduction is none.

    The mean over no rows, or over ignored rows only, is NaN.
    """
    rows, n = _check_logits(logits, reduction)
    dtype = floats(logits)
    if loss is None and reduction != _NONE:
        raise TypeError("argument 'loss' must be an array")
    loss = None if loss is None else write("loss", loss, dtype, 1)
    losses = write("losses", losses, dtype, rows)
    row_weight = write("row_weight", row_weight, dtype, rows)
    total = write("total_weight", total_weight, dtype, 1)
    lse = write("lse", lse, dtype, rows)
    logits = read("logits", logits, dtype, rows, n)
    target = read("target", target, np.int64, rows)
    class_weight = optional_read("class_weight", class_weight, dtype, n)
    parallel_for(
        logits.shape[0],
        2 * _COST * logits.shape[1] + 1,
        lambda start, stop: _cross_entropy_forward(
            start, stop, losses, row_weight, lse, logits, target, class_weight, ignore_index,
            label_smoothing,
        ),
    )  # fmt: skip
    reduce_sum(total, row_weight, 1.0)
    if loss is not None and reduction != _NONE:
        reduce_sum(loss, losses, 1.0)
        if reduction == _MEAN:
            _divide(loss, loss, total)


@kernel
def cross_entropy_backward(
    glogits: Array,
    gloss: Array,
    logits: Array,
    target: Array,
    lse: Array,
    row_weight: Array,
    total_weight: Array,
    class_weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: int,
) -> None:
    """glogits from gloss: one number, or with reduction none one for each row.

    glogits may be logits.
    """
    rows, n = _check_logits(logits, reduction)
    dtype = floats(glogits)
    glogits = write("glogits", glogits, dtype, rows, n)
    gloss = read("gloss", gloss, dtype, rows if reduction == _NONE else 1)
    logits = read("logits", logits, dtype, rows, n)
    target = read("target", target, np.int64, rows)
    lse = read("lse", lse, dtype, rows)
    row_weight = read("row_weight", row_weight, dtype, rows)
    total = read("total_weight", total_weight, dtype, 1)
    class_weight = optional_read("class_weight", class_weight, dtype, n)
    parallel_for(
        logits.shape[0],
        _COST * logits.shape[1] + 1,
        lambda start, stop: _cross_entropy_backward(
            start, stop, glogits, gloss, logits, target, lse, total, class_weight, ignore_index,
            label_smoothing, reduction,
        ),
    )  # fmt: skip


f: Any = None  # what the templates call


def _terms(terms: Out1, x: In1, target: In1, scale: Scalar, beta: Scalar) -> None:
    for i in range(terms.shape[0]):
        terms[i] = scale * f(x[i], target[i], beta)


def _slopes(gx: Out1, gloss: In1, x: In1, target: In1, scale: Scalar, beta: Scalar) -> None:
    for i in range(gx.shape[0]):
        gx[i] = gloss[i % gloss.shape[0]] * scale * f(x[i], target[i], beta)


@inline
def _squared(x: float, t: float, beta: float) -> float:
    return (x - t) * (x - t)


@inline
def _squared_slope(x: float, t: float, beta: float) -> float:
    return 2 * (x - t)


@inline
def _difference(x: float, t: float, beta: float) -> float:
    return abs(x - t)


@inline
def _difference_slope(x: float, t: float, beta: float) -> float:
    return 1.0 if x > t else -1.0 if x < t else 0.0 if x == t else x - t  # x - t: NaN


@inline
def _clamped(log: float) -> float:
    return -100.0 if log < -100 else log


@inline
def _bce(x: float, t: float, beta: float) -> float:
    return (t - 1) * _clamped(math.log1p(-x)) - t * _clamped(math.log(x))


@inline
def _bce_slope(x: float, t: float, beta: float) -> float:
    variance = x * (1 - x)
    return (x - t) / max(variance, 1e-12)


@inline
def _bce_with_logits(x: float, t: float, beta: float) -> float:
    """t log(1 + exp(-x)) + (1 - t) log(1 + exp(x)), without overflow."""
    return (0.0 if x < 0 else x) - x * t + math.log1p(math.exp(-abs(x)))


@inline
def _bce_with_logits_slope(x: float, t: float, beta: float) -> float:
    e = math.exp(-abs(x))
    return (1 / (1 + e) if x >= 0 else e / (1 + e)) - t


@inline
def _smooth(x: float, t: float, beta: float) -> float:
    d = abs(x - t)
    return 0.5 * d * d / beta if d < beta else d - 0.5 * beta


@inline
def _smooth_slope(x: float, t: float, beta: float) -> float:
    d = x - t
    if abs(d) < beta:
        return d / beta
    return 1.0 if d > 0 else -1.0 if d < 0 else d


@inline
def _divergence(x: float, t: float, beta: float) -> float:
    return (0.0 if t == 0 else t * math.log(t)) - t * x


@inline
def _divergence_slope(x: float, t: float, beta: float) -> float:
    return -t


@inline
def _log_divergence(x: float, t: float, beta: float) -> float:
    return math.exp(t) * (t - x)


@inline
def _log_divergence_slope(x: float, t: float, beta: float) -> float:
    return -math.exp(t)


class _ElementLoss:
    """Loss and gradient from f(x, t) and its derivative in x."""

    def __init__(self, name: str, function: Any, slope: Any) -> None:
        self.terms = Loop(_terms, name, f=function)
        self.slopes = Loop(_slopes, name, f=slope)

    def forward(self, loss: Array, x: Array, target: Array, scale: float, beta: float = 0.0) -> None:
        each, size, dtype = loss.ndim > 0, x.size, floats(loss)
        target = read("target", target, dtype, size)
        loss = write("loss", loss, dtype, size if each else 1)
        x = read("x", x, dtype, size)
        terms = loss if each else np.empty_like(x)
        factor = scale if each else 1.0
        parallel_for(
            x.size,
            _COST,
            lambda start, stop: self.terms(
                terms[start:stop], x[start:stop], target[start:stop], factor, beta
            ),
            grain=1024,
        )
        if not each:
            reduce_sum(loss, terms, scale)

    def backward(
        self, gx: Array, gloss: Array, x: Array, target: Array, scale: float, beta: float = 0.0
    ) -> None:
        each, size, dtype = gloss.ndim > 0, gx.size, floats(gx)
        gloss = read("gloss", gloss, dtype, size if each else 1)
        x, target = read("x", x, dtype, size), read("target", target, dtype, size)
        gx = write("gx", gx, dtype, size)
        parallel_for(
            x.size,
            _COST,
            lambda start, stop: self.slopes(
                gx[start:stop],
                gloss[start:stop] if each else gloss,
                x[start:stop],
                target[start:stop],
                scale,
                beta,
            ),
            grain=1024,
        )


_mse = _ElementLoss("mse", _squared, _squared_slope)
_l1 = _ElementLoss("l1", _difference, _difference_slope)
_binary = _ElementLoss("bce", _bce, _bce_slope)
_logits = _ElementLoss("bce_with_logits", _bce_with_logits, _bce_with_logits_slope)
_smooth_l1 = _ElementLoss("smooth_l1", _smooth, _smooth_slope)
_kl_div = _ElementLoss("kl_div", _divergence, _divergence_slope)
_kl_div_log = _ElementLoss("kl_div_log", _log_divergence, _log_divergence_slope)


@kernel
def mse_forward(loss: Array, x: Array, target: Array, scale: float) -> None:
    """loss = scale * sum of (x - target)^2."""
    _mse.forward(loss, x, target, scale)


@kernel
def mse_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float) -> None:
    """gx = gloss * scale * 2 (x - target)."""
    _mse.backward(gx, gloss, x, target, scale)


@kernel
def l1_forward(loss: Array, x: Array, target: Array, scale: float) -> None:
    """loss = scale * sum of |x - target|."""
    _l1.forward(loss, x, target, scale)


@kernel
def l1_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float) -> None:
    """gx = gloss * scale * sign(x - target)."""
    _l1.backward(gx, gloss, x, target, scale)


@kernel
def bce_forward(loss: Array, x: Array, target: Array, scale: float) -> None:
    """loss = -scale * sum of target log x + (1 - target) log(1 - x), logarithms not below -100."""
    _binary.forward(loss, x, target, scale)


@kernel
def bce_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float) -> None:
    """gx = gloss * scale * (x - target) / max(x (1 - x), 1e-12)."""
    _binary.backward(gx, gloss, x, target, scale)


@kernel
def bce_with_logits_forward(loss: Array, x: Array, target: Array, scale: float) -> None:
    """The loss of bce_forward for probabilities sigmoid(x)."""
    _logits.forward(loss, x, target, scale)


@kernel
def bce_with_logits_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float) -> None:
    """gx = gloss * scale * (sigmoid(x) - target)."""
    _logits.backward(gx, gloss, x, target, scale)


@kernel
def smooth_l1_forward(loss: Array, x: Array, target: Array, scale: float, beta: float) -> None:
    """loss = scale * sum of d^2 / (2 beta) below beta, else d - beta / 2, of d = |x - target|."""
    _smooth_l1.forward(loss, x, target, scale, beta)


@kernel
def smooth_l1_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float, beta: float) -> None:
    """gx = gloss * scale * (x - target) / beta within [-1, 1]."""
    _smooth_l1.backward(gx, gloss, x, target, scale, beta)


@kernel
def kl_div_forward(loss: Array, x: Array, target: Array, scale: float) -> None:
    """loss = scale * sum of target (log target - x)."""
    _kl_div.forward(loss, x, target, scale)


@kernel
def kl_div_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float) -> None:
    """gx = -gloss * scale * target."""
    _kl_div.backward(gx, gloss, x, target, scale)


@kernel
def kl_div_log_forward(loss: Array, x: Array, target: Array, scale: float) -> None:
    """loss = scale * sum of exp(target) (target - x)."""
    _kl_div_log.forward(loss, x, target, scale)


@kernel
def kl_div_log_backward(gx: Array, gloss: Array, x: Array, target: Array, scale: float) -> None:
    """gx = -gloss * scale * exp(target)."""
    _kl_div_log.backward(gx, gloss, x, target, scale)


@Loop
def _nll_forward(
    losses: Out1,
    row_weight: Out1,
    x: In3,
    target: Index1,
    class_weight: In1,
    ignore_index: Int,
) -> None:
    n, inner = x.shape[1], x.shape[2]
    for r in range(losses.shape[0]):
        t = target[r]
        if t == ignore_index:
            row_weight[r] = 0
            losses[r] = 0
        elif t < 0 or t >= n:  # the op has checked
            row_weight[r] = math.nan
            losses[r] = math.nan
        else:
            row_weight[r] = class_weight[t] if class_weight.shape[0] > 0 else 1.0
            losses[r] = -row_weight[r] * x[r // inner, t, r % inner]


@Loop
def _nll_backward(
    gx: Out3, gloss: In1, target: Index1, row_weight: In1, total_weight: In1, reduction: Int
) -> None:
    inner = gx.shape[2]
    for r in range(target.shape[0]):
        t = target[r]
        if t < 0 or t >= gx.shape[1] or row_weight[r] == 0:
            continue
        g = gloss[r] if reduction == 0 else gloss[0]
        if reduction == 1:
            g = g / total_weight[0]
        gx[r // inner, t, r % inner] = -g * row_weight[r]


@kernel
def nll_forward(
    loss: Array | None,
    losses: Array,
    row_weight: Array,
    total_weight: Array,
    x: Array,
    target: Array,
    class_weight: Array | None,
    ignore_index: int,
    reduction: int,
) -> None:
    """losses and row_weight of each row; total_weight; and the loss unless reduction is none."""
    require(x.ndim == 3, "x must be [outer, n, inner]")
    require(0 <= reduction <= 2, "reduction is 0 (none), 1 (mean) or 2 (sum)")
    outer, n, inner = x.shape
    rows, dtype = outer * inner, floats(x)
    if loss is None and reduction != _NONE:
        raise TypeError("argument 'loss' must be an array")
    loss = None if loss is None else write("loss", loss, dtype, 1)
    losses = write("losses", losses, dtype, rows)
    row_weight = write("row_weight", row_weight, dtype, rows)
    total = write("total_weight", total_weight, dtype, 1)
    x = read("x", x, dtype, outer, n, inner)
    target = read("target", target, np.int64, rows)
    class_weight = optional_read("class_weight", class_weight, dtype, n)
    _nll_forward(losses, row_weight, x, target, class_weight, ignore_index)
    reduce_sum(total, row_weight, 1.0)
    if loss is not None and reduction != _NONE:
        reduce_sum(loss, losses, 1.0)
        if reduction == _MEAN:
            _divide(loss, loss, total)


@kernel
def nll_backward(
    gx: Array, gloss: Array, target: Array, row_weight: Array, total_weight: Array, reduction: int
) -> None:
    """All of gx: minus gloss times the row's weight at the target, 0 elsewhere."""
    require(gx.ndim == 3, "gx must be [outer, n, inner]")
    require(0 <= reduction <= 2, "reduction is 0 (none), 1 (mean) or 2 (sum)")
    outer, n, inner = gx.shape
    rows, dtype = outer * inner, floats(gx)
    gx = write("gx", gx, dtype, outer, n, inner)
    gloss = read("gloss", gloss, dtype, rows if reduction == _NONE else 1)
    target = read("target", target, np.int64, rows)
    row_weight = read("row_weight", row_weight, dtype, rows)
    total = read("total_weight", total_weight, dtype, 1)
    gx[...] = 0
    _nll_backward(gx, gloss, target, row_weight, total, reduction)
