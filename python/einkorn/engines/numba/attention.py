"""Scaled dot-product attention, a row of scores at a time, and its gradients.

    s = scale q k' + mask       p = softmax(s)       out = drop(p) v
    ds = p (drop(g v') - g . out)    gq = scale ds k    gk = scale ds' q    gv = drop(p)' g

Forward and the gradient of q are parallel over queries, the gradients of k and v over keys; each works
out the scores that it needs anew, so that nothing as large as the scores is kept. What a mask is, and which
random word decides on a weight, csrc/kernels/attention/attention.h says. Sums are float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._checks import floats, read, strided, strided_out, write
from ._compile import AnyByteIn4, AnyIn4, AnyOut4, Array, In1, Int, Loop, Out1, Scalar, Word, inline, nothing
from ._kernels import kernel
from ._threads import parallel_for
from .random import philox_words

_8 = np.uint64(8)


@inline
def _kept(place: int, queries: int, i: int, dropout: float, seed: int, offset: int) -> float:
    """The factor of a weight: 0, or 1 / (1 - dropout). ``place`` counts the keys of all heads."""
    if dropout == 0.0:
        return 1.0
    counter = offset + np.uint64(place * ((queries + 3) // 4) + i // 4)
    draw = philox_words(seed, counter)[i % 4] >> _8
    return 1.0 / (1.0 - dropout) if dropout < 1.0 and draw >= math.ceil(dropout * 2.0**24) else 0.0


@inline
def _score(
    q: Array,
    k: Array,
    bias: Array,
    keep: Array,
    slopes: Array,
    scale: float,
    low: int,
    high: int,
    b: int,
    h: int,
    i: int,
    j: int,
) -> float:
    """The score of query i and key j, -inf where the query may not see the key."""
    if j - i < low or j - i > high or (keep.size > 0 and keep[b, h, i, j] == 0):
        return -math.inf
    kv = h // (q.shape[1] // k.shape[1])
    s = 0.0
    for d in range(q.shape[3]):
        s += q[b, h, i, d] * k[b, kv, j, d]
    s *= scale
    if bias.size > 0:
        s += bias[b, h, i, j]
    if slopes.size > 0:
        s -= slopes[h] * abs(j - i - (k.shape[2] - q.shape[2]))
    return s


@Loop
def _forward(
    start: Int,
    stop: Int,
    out: AnyOut4,
    lse: Out1,
    q: AnyIn4,
    k: AnyIn4,
    v: AnyIn4,
    bias: AnyIn4,
    keep: AnyByteIn4,
    slopes: In1,
    scale: Scalar,
    low: Int,
    high: Int,
    dropout: Scalar,
    seed: Word,
    offset: Word,
) -> None:
    heads, queries, keys = q.shape[1], q.shape[2], k.shape[2]
    group = heads // k.shape[1] if k.shape[1] > 0 else 1
    for row in range(start, stop):
        b, h, i = row // queries // heads, row // queries % heads, row % queries
        weights = np.empty(keys)
        top = -math.inf
        for j in range(keys):
            weights[j] = _score(q, k, bias, keep, slopes, scale, low, high, b, h, i, j)
            top = max(top, weights[j])
        shift = 0.0 if top == -math.inf else top
        total = 0.0
        for j in range(keys):
            weights[j] = math.exp(weights[j] - shift)
            total += weights[j]
        if lse.size > 0:
            lse[row] = math.inf if total == 0.0 else top + math.log(total)
        sums = np.zeros(v.shape[3])
        for j in range(keys):
            if weights[j] != 0.0:
                w = weights[j] * _kept((b * heads + h) * keys + j, queries, i, dropout, seed, offset)
                for d in range(v.shape[3]):
                    sums[d] += w * v[b, h // group, j, d]
        for d in range(v.shape[3]):
            out[b, h, i, d] = 0.0 if total == 0.0 else sums[d] / total


@inline
def _slope(
    weight: float, factor: float, g: Array, out: Array, v: Array, b: int, h: int, kv: int, i: int, j: int
) -> float:
    """The gradient of a score: weight (factor (g . v) - g . out)."""
    towards, level = 0.0, 0.0
    for d in range(v.shape[3]):
        towards += g[b, h, i, d] * v[b, kv, j, d]
        level += g[b, h, i, d] * out[b, h, i, d]
    return weight * (factor * towards - level)


@Loop
def _query_gradients(
    start: Int,
    stop: Int,
    gq: AnyOut4,
    gbias: AnyOut4,
    g: AnyIn4,
    out: AnyIn4,
    lse: In1,
    q: AnyIn4,
    k: AnyIn4,
    v: AnyIn4,
    bias: AnyIn4,
    keep: AnyByteIn4,
    slopes: In1,
    scale: Scalar,
    low: Int,
    high: Int,
    dropout: Scalar,
    seed: Word,
    offset: Word,
) -> None:
    heads, queries, keys = q.shape[1], q.shape[2], k.shape[2]
    group = heads // k.shape[1] if k.shape[1] > 0 else 1
    for row in range(start, stop):
        b, h, i = row // queries // heads, row // queries % heads, row % queries
        sums = np.zeros(q.shape[3])
        for j in range(keys):
            s = _score(q, k, bias, keep, slopes, scale, low, high, b, h, i, j)
            slope = 0.0
            if s != -math.inf:
                factor = _kept((b * heads + h) * keys + j, queries, i, dropout, seed, offset)
                slope = _slope(math.exp(s - lse[row]), factor, g, out, v, b, h, h // group, i, j)
                for d in range(q.shape[3]):
                    sums[d] += slope * k[b, h // group, j, d]
            if gbias.size > 0:
                gbias[b, h, i, j] = slope
        for d in range(q.shape[3]):
            gq[b, h, i, d] = sums[d] * scale


@Loop
def _key_gradients(
    start: Int,
    stop: Int,
    gk: AnyOut4,
    gv: AnyOut4,
    g: AnyIn4,
    out: AnyIn4,
    lse: In1,
    q: AnyIn4,
    k: AnyIn4,
    v: AnyIn4,
    bias: AnyIn4,
    keep: AnyByteIn4,
    slopes: In1,
    scale: Scalar,
    low: Int,
    high: Int,
    dropout: Scalar,
    seed: Word,
    offset: Word,
) -> None:
    heads, queries, keys = q.shape[1], q.shape[2], k.shape[2]
    group = heads // k.shape[1]
    for row in range(start, stop):
        b, kv, j = row // keys // k.shape[1], row // keys % k.shape[1], row % keys
        k_sums, v_sums = np.zeros(k.shape[3]), np.zeros(v.shape[3])
        for h in range(kv * group, (kv + 1) * group):
            for i in range(queries):
                s = _score(q, k, bias, keep, slopes, scale, low, high, b, h, i, j)
                if s == -math.inf:
                    continue
                weight = math.exp(s - lse[(b * heads + h) * queries + i])
                factor = _kept((b * heads + h) * keys + j, queries, i, dropout, seed, offset)
                slope = _slope(weight, factor, g, out, v, b, h, kv, i, j)
                for d in range(k.shape[3]):
                    k_sums[d] += slope * q[b, h, i, d]
                for d in range(v.shape[3]):
                    v_sums[d] += weight * factor * g[b, h, i, d]
        for d in range(k.shape[3]):
            gk[b, kv, j, d] = k_sums[d] * scale
        for d in range(v.shape[3]):
            gv[b, kv, j, d] = v_sums[d]


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"attention: {what}")


def _check_rows(name: str, x: Array, shape: tuple[int, ...], dtype: Any, *, writes: bool = False) -> None:
    """Refuse what is not [batch, heads, length, width] with stride 1 along the width."""
    _check(x.shape == shape, f"{name} has a shape that does not fit")
    gapless = x.shape[3] <= 1 or x.size == 0 or x.strides[3] == x.itemsize
    _check(gapless, f"{name} must have stride 1 along its width")
    strided_out(name, x, dtype) if writes else strided(name, x, dtype)


def _check_operands(q: Array, k: Array, v: Array, bias: Any, keep: Any, slopes: Any, dropout: float) -> None:
    _check(q.ndim == k.ndim == v.ndim == 4, "q, k and v must have 4 dimensions")
    batch, heads, queries, width = q.shape
    kv_heads, keys = k.shape[1:3]
    _check(k.shape == (batch, kv_heads, keys, width), "k has a shape that does not fit")
    _check(v.shape[:3] == (batch, kv_heads, keys), "v has a shape that does not fit")
    _check(
        heads == 0 or (kv_heads > 0 and heads % kv_heads == 0), "heads must be a multiple of the key heads"
    )
    scores = (batch, heads, queries, keys)
    _check(bias is None or bias.shape == scores, "bias must have the shape of the scores")
    _check(keep is None or keep.shape == scores, "keep must have the shape of the scores")
    _check(slopes is None or slopes.shape == (heads,), "slopes must have one number a head")
    _check(0 <= dropout <= 1, "dropout must be a probability")


def _masks(q: Array, bias: Any, keep: Any, slopes: Any) -> tuple[Array, Array, Array]:
    """The masks, with arrays without elements for those that are absent."""
    return (
        nothing(q, 4) if bias is None else strided("bias", bias, q.dtype),
        nothing(q, 4, np.uint8) if keep is None else strided("keep", keep, np.uint8),
        nothing(q) if slopes is None else read("slopes", slopes, q.dtype, q.shape[1]),
    )


@kernel
def attention_forward(
    out: Array,
    lse: Array | None,
    q: Array,
    k: Array,
    v: Array,
    bias: Array | None,
    keep: Array | None,
    slopes: Array | None,
    scale: float,
    low: int,
    high: int,
    dropout: float,
    seed: int,
    offset: int,
) -> None:
    """out, and the logarithm of each row's sum of exponentials."""
    _check_operands(q, k, v, bias, keep, slopes, dropout)
    batch, heads, queries, width = q.shape
    dtype, rows = floats(out), batch * heads * queries
    _check_rows("out", out, (batch, heads, queries, v.shape[3]), dtype, writes=True)
    for name, x in (("q", q), ("k", k), ("v", v)):
        _check_rows(name, x, x.shape, dtype)
    sums = nothing(q) if lse is None else write("lse", lse, dtype, rows)
    masks = _masks(q, bias, keep, slopes)
    cost = 2.0 * k.shape[2] * (width + v.shape[3]) + 1
    parallel_for(
        batch * heads * queries,
        cost,
        lambda start, stop: _forward(
            start, stop, out, sums, q, k, v, *masks, scale, low, high, dropout, seed, offset
        ),
    )


@kernel
def attention_backward(
    gq: Array,
    gk: Array,
    gv: Array,
    gbias: Array | None,
    g: Array,
    out: Array,
    lse: Array,
    q: Array,
    k: Array,
    v: Array,
    bias: Array | None,
    keep: Array | None,
    slopes: Array | None,
    scale: float,
    low: int,
    high: int,
    dropout: float,
    seed: int,
    offset: int,
) -> None:
    """The gradients of q, k, v and, where wanted, of the scores."""
    _check_operands(q, k, v, bias, keep, slopes, dropout)
    batch, heads, queries, width = q.shape
    dtype, rows = floats(g), batch * heads * queries
    for name, x, shape in (("gq", gq, q.shape), ("gk", gk, k.shape), ("gv", gv, v.shape)):
        _check_rows(name, x, shape, dtype, writes=True)
    out_shape = (batch, heads, queries, v.shape[3])
    for name, x, shape in (
        ("q", q, q.shape),
        ("k", k, k.shape),
        ("v", v, v.shape),
        ("g", g, out_shape),
        ("out", out, out_shape),
    ):
        _check_rows(name, x, shape, dtype)
    sums = read("lse", lse, dtype, rows)
    if gbias is not None:
        gbias = write("gbias", gbias, dtype, batch, heads, queries, k.shape[2])
    slopes_of_scores = nothing(q, 4) if gbias is None else gbias
    rest = (g, out, sums, q, k, v, *_masks(q, bias, keep, slopes), scale, low, high, dropout, seed, offset)
    cost = 4.0 * (width + v.shape[3]) + 1
    parallel_for(
        batch * heads * queries,
        cost * k.shape[2] + 1,
        lambda start, stop: _query_gradients(start, stop, gq, slopes_of_scores, *rest),
    )
    parallel_for(
        batch * k.shape[1] * k.shape[2],
        cost * queries * (heads // max(k.shape[1], 1)) + 1,
        lambda start, stop: _key_gradients(start, stop, gk, gv, *rest),
    )
