"""Losses of boosting, row by row; quantiles of leaves by sorting. Formulas: csrc/kernels/boost_loss.h."""

from __future__ import annotations

import math

import numpy as np

from ._checks import optional_read, optional_write, read, require, write
from ._compile import (
    Array,
    Float32In1,
    Float32Out2,
    Float64In1,
    Float64In2,
    Float64Out1,
    Index1,
    Int,
    Int32In1,
    Loop,
    Scalar,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_BLOCK = 16384  # rows whose losses are one partial sum
_SQUARED, _ABSOLUTE, _HUBER, _QUANTILE, _LOGISTIC, _MULTINOMIAL, _POISSON = range(7)


@inline
def _sign(d: float, above: float, below: float) -> float:
    if d > 0:
        return above
    return -below if d < 0 else d


@inline
def _row(f: float, y: float, kind: int, parameter: float) -> tuple[float, float, float]:
    """Gradient, hessian and loss of a score."""
    if kind == _LOGISTIC:
        e = math.exp(-abs(f))
        large, small = 1.0 / (1.0 + e), e / (1.0 + e)
        p, q = (large, small) if f >= 0 else (small, large)
        if f != f:
            p = q = f
        loss = (1.0 - y) * max(f, 0.0) + y * max(-f, 0.0) + math.log1p(e)
        return (1.0 - y) * p - y * q, large * small, loss
    if kind > _MULTINOMIAL:
        e = math.exp(f)
        return e - y, e, e - y * f
    d = f - y
    if kind == _SQUARED:
        return d, 1.0, 0.5 * d * d
    if kind == _ABSOLUTE:
        return _sign(d, 1.0, 1.0), 1.0, abs(d)
    if kind == _QUANTILE:
        g = _sign(d, 1.0 - parameter, parameter)
        return g, 1.0, g * d
    g = d
    if d > parameter:
        g = parameter
    elif d < -parameter:
        g = -parameter
    return g, 1.0, g * (d - 0.5 * g)


@Loop
def _one_output(
    start: Int,
    stop: Int,
    gradient: Float32Out2,
    hessian: Float32Out2,
    partial: Float64Out1,
    raw: Float64In2,
    target: Float64In1,
    weight: Float32In1,
    kind: Int,
    parameter: Scalar,
) -> None:
    rows = raw.shape[1]
    for block in range(start, stop):
        total = 0.0
        for r in range(block * 16384, min(block * 16384 + 16384, rows)):
            g, h, loss = _row(raw[0, r], target[r], kind, parameter)
            w = weight[r] if weight.shape[0] > 0 else 1.0
            if gradient.shape[0] > 0:
                gradient[0, r] = g * w
            if hessian.shape[0] > 0:
                hessian[0, r] = h * w
            total += loss * w
        partial[block] = total


@Loop
def _multinomial(
    start: Int,
    stop: Int,
    gradient: Float32Out2,
    hessian: Float32Out2,
    partial: Float64Out1,
    raw: Float64In2,
    label: Int32In1,
    weight: Float32In1,
) -> None:
    outputs, rows = raw.shape
    curvature = outputs / (outputs - 1.0) if outputs > 1 else 1.0
    for block in range(start, stop):
        total = 0.0
        for r in range(block * 16384, min(block * 16384 + 16384, rows)):
            largest = -math.inf
            for c in range(outputs):
                if not raw[c, r] <= largest:
                    largest = raw[c, r]
            sum_exp, own = 0.0, 0.0
            for c in range(outputs):
                sum_exp += math.exp(raw[c, r] - largest)
                if label[r] == c:
                    own = raw[c, r] - largest
            w = weight[r] if weight.shape[0] > 0 else 1.0
            if gradient.shape[0] > 0:
                for c in range(outputs):
                    p = math.exp(raw[c, r] - largest) / sum_exp
                    gradient[c, r] = (p - (1.0 if label[r] == c else 0.0)) * w
                    if hessian.shape[0] > 0:
                        hessian[c, r] = p * (1.0 - p) * curvature * w
            total += (math.log(sum_exp) - own) * w
        partial[block] = total


@Loop
def _leaf_quantile(
    start: Int,
    stop: Int,
    out: Float64Out1,
    residual: Float64In1,
    order: Index1,
    first: Index1,
    weight: Float32In1,
    alpha: Scalar,
    delta: Scalar,
) -> None:
    weighted = weight.shape[0] > 0
    for k in range(start, stop):
        begin, end = first[k], first[k + 1]
        total = 0.0
        for i in range(begin, end):
            total += weight[order[i]] if weighted else 1.0
        out[k] = 0.0
        if begin == end:
            continue
        goal, reached = alpha * total, 0.0
        middle = residual[order[end - 1]]
        for i in range(begin, end):
            value = residual[order[i]]
            reached += weight[order[i]] if weighted else 1.0
            if i + 1 < end and residual[order[i + 1]] == value:
                continue
            if reached >= goal:
                middle = value
                if reached == goal and i + 1 < end:
                    middle = value + (residual[order[i + 1]] - value) * 0.5
                break
        step = 0.0
        if delta > 0:
            for i in range(begin, end):
                d = max(-delta, min(delta, residual[order[i]] - middle))
                step += d * weight[order[i]] if weighted else d
            step /= total
        out[k] = math.nan if residual[order[end - 1]] != residual[order[end - 1]] else middle + step


@kernel
def boost_loss(
    gradient: Array | None,
    hessian: Array | None,
    loss: Array | None,
    raw: Array,
    target: Array,
    weight: Array | None,
    kind: int,
    parameter: float,
    scale: float,
) -> None:
    """gradient, hessian [outputs, rows] and scale * sum of losses of scores raw [outputs, rows]."""
    require(0 <= kind <= _POISSON, "there is no such loss")
    multinomial = kind == _MULTINOMIAL
    require(raw.ndim == 2 and (multinomial or len(raw) == 1), "raw must be [outputs, rows]")
    outputs, rows = raw.shape
    if multinomial and hessian is not None:
        require(gradient is not None, "the hessian needs room for the gradient")
    g = optional_write("gradient", gradient, np.float32, outputs, rows)
    h = optional_write("hessian", hessian, np.float32, outputs, rows)
    loss = None if loss is None else write("loss", loss, np.float64, 1)
    raw = read("raw", raw, np.float64, outputs, rows)
    target = read("target", target, np.int32 if multinomial else np.float64, rows)
    w = optional_read("weight", weight, np.float32, rows)
    partial = np.empty(-(-rows // _BLOCK))
    if multinomial:
        parallel_for(
            partial.size,
            20.0 * outputs * _BLOCK,
            lambda start, stop: _multinomial(start, stop, g, h, partial, raw, target, w),
        )
    else:
        parallel_for(
            partial.size,
            15.0 * _BLOCK,
            lambda start, stop: _one_output(start, stop, g, h, partial, raw, target, w, kind, parameter),
        )
    if loss is not None:
        loss[...] = scale * math.fsum(partial) if np.isfinite(partial).all() else scale * partial.sum()


@kernel
def leaf_quantile(
    out: Array,
    target: Array,
    raw: Array | None,
    leaf: Array | None,
    weight: Array | None,
    alpha: float,
    delta: float,
    absolute: bool,
) -> None:
    """out [leaves] = the quantile alpha of target - raw in each leaf, and a Huber step if delta > 0."""
    rows = target.size
    out = write("out", out, np.float64, out.size)
    target = read("target", target, np.float64, rows)
    raw = None if raw is None else read("raw", raw, np.float64, rows)
    leaf = None if leaf is None else read("leaf", leaf, np.int32, rows)
    w = optional_read("weight", weight, np.float32, rows)
    weight = None if weight is None else w
    residual = target if raw is None else target - raw
    residual = np.abs(residual) if absolute else residual
    at = np.zeros(target.size, np.int32) if leaf is None else leaf
    taken = (at >= 0) & (at < out.size)
    if weight is not None:
        taken &= weight > 0
    order = np.lexsort((residual, at))
    order = order[taken[order]]
    first = np.searchsorted(at[order], np.arange(out.size + 1))
    parallel_for(
        out.size,
        10.0 * order.size / max(out.size, 1) + 1,
        lambda start, stop: _leaf_quantile(start, stop, out, residual, order, first, w, alpha, delta),
    )
