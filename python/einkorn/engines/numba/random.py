"""Random numbers: Philox4x32-10, a function of (seed, counter), so each element stands on its own.

Ten rounds of multiply, xor and swap turn the counter c, as (lo c, hi c, 0, 0), into four 32-bit
lanes; the key is (lo seed, hi seed).

    float32   element i: counter offset + i // 4, lane i % 4           u = (lane >> 8) * 2^-24
    float64   element i: counter offset + i // 2, lanes 2 (i % 2) and the next as lo and hi
                                                                       u = (bits >> 11) * 2^-53

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

The parallel loops run over counters. Arithmetic stays in uint64: mixed with signed integers, Numba
would turn it into float64.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, read, require, write
from ._compile import (
    Array,
    Float32Out1,
    Float64Out1,
    In1,
    IndexOut1,
    Int,
    Loop,
    Out1,
    Scalar,
    Word,
    inline,
)
from ._kernels import kernel
from ._threads import parallel_for

_COST = 40.0  # ns per counter

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEP_0, _KEY_STEP_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # golden ratio, sqrt(3) - 1
_LOW, _32, _8, _11, _0 = (np.uint64(v) for v in (0xFFFFFFFF, 32, 8, 11, 0))
_STEP_24, _STEP_53 = 2.0**-24, 2.0**-53


@inline
def philox(c0: int, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[int, int, int, int]:
    """Four 32-bit words from a counter of four and a key of two, all as uint64."""
    for _ in range(10):
        p0, p1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _KEY_STEP_0) & _LOW, (k1 + _KEY_STEP_1) & _LOW
    return c0, c1, c2, c3


@inline
def philox_words(seed: int, counter: int) -> tuple[int, int, int, int]:
    """The words of a counter of the stream that `seed` starts."""
    return philox(counter & _LOW, counter >> _32, _0, _0, seed & _LOW, seed >> _32)


@inline
def _pair(seed: int, counter: int) -> tuple[int, int]:
    """The two draws of 53 bits."""
    a, b, c, d = philox_words(seed, counter)
    return (a | b << _32) >> _11, (c | d << _32) >> _11


@inline
def _box_muller(above_0: float, below_1: float) -> tuple[float, float]:
    """Two normal numbers from uniform ones in (0, 1] and [0, 1)."""
    r = math.sqrt(-2 * math.log(above_0))
    theta = 2 * math.pi * below_1
    return r * math.cos(theta), r * math.sin(theta)


@Loop
def _uniform32(
    start: Int, stop: Int, out: Float32Out1, seed: Word, offset: Word, low: Scalar, high: Scalar
) -> None:
    for i in range(start, stop):
        lanes = philox_words(seed, offset + np.uint64(i))
        for lane in range(min(4, out.shape[0] - 4 * i)):
            u = (lanes[lane] >> _8) * _STEP_24
            out[4 * i + lane] = low + u * (high - low)


@Loop
def _uniform64(
    start: Int, stop: Int, out: Float64Out1, seed: Word, offset: Word, low: Scalar, high: Scalar
) -> None:
    for i in range(start, stop):
        draws = _pair(seed, offset + np.uint64(i))
        for lane in range(min(2, out.shape[0] - 2 * i)):
            out[2 * i + lane] = low + draws[lane] * _STEP_53 * (high - low)


@Loop
def _normal32(
    start: Int, stop: Int, out: Float32Out1, seed: Word, offset: Word, mean: Scalar, std: Scalar
) -> None:
    for i in range(start, stop):
        a, b, c, d = philox_words(seed, offset + np.uint64(i))
        z0, z1 = _box_muller(((a >> _8) + 1.0) * _STEP_24, (b >> _8) * _STEP_24)
        z2, z3 = _box_muller(((c >> _8) + 1.0) * _STEP_24, (d >> _8) * _STEP_24)
        z = (z0, z1, z2, z3)
        for lane in range(min(4, out.shape[0] - 4 * i)):
            out[4 * i + lane] = mean + std * z[lane]


@Loop
def _normal64(
    start: Int, stop: Int, out: Float64Out1, seed: Word, offset: Word, mean: Scalar, std: Scalar
) -> None:
    for i in range(start, stop):
        a, b = _pair(seed, offset + np.uint64(i))
        z = _box_muller((a + 1.0) * _STEP_53, b * _STEP_53)
        for lane in range(min(2, out.shape[0] - 2 * i)):
            out[2 * i + lane] = mean + std * z[lane]


@Loop
def _dropout(start: Int, stop: Int, out: Out1, x: In1, seed: Word, offset: Word, p: Scalar) -> None:
    scale = 1 / (1 - p)
    for i in range(start, stop):
        lanes = philox_words(seed, offset + np.uint64(i))
        for lane in range(min(4, out.shape[0] - 4 * i)):
            if (lanes[lane] >> _8) * _STEP_24 >= p:
                out[4 * i + lane] = x[4 * i + lane] * scale
            else:
                out[4 * i + lane] = 0


@Loop
def _permutation(out: IndexOut1, seed: Word, offset: Word) -> None:
    n = out.shape[0]
    for i in range(n):
        out[i] = i
    for k in range(n - 1):
        if k % 4 == 0:
            lanes = philox_words(seed, offset + np.uint64(k // 4))
        i = n - 1 - k
        j = np.int64((lanes[k % 4] * np.uint64(i + 1)) >> _32)
        out[i], out[j] = out[j], out[i]


@kernel
def uniform(out: Array, seed: int, offset: int, low: float, high: float) -> None:
    """out = low + u * (high - low), u uniform in [0, 1)."""
    out = write("out", out, floats(out), out.size)
    loop, each = (_uniform32, 4) if out.itemsize == 4 else (_uniform64, 2)
    parallel_for(
        -(-out.size // each),
        _COST,
        lambda start, stop: loop(start, stop, out, seed, offset, low, high),
    )


@kernel
def normal(out: Array, seed: int, offset: int, mean: float, std: float) -> None:
    """out = mean + std * z, z normal: Box and Muller's pairs of neighbors."""
    out = write("out", out, floats(out), out.size)
    loop, each = (_normal32, 4) if out.itemsize == 4 else (_normal64, 2)
    parallel_for(
        -(-out.size // each),
        4 * _COST,
        lambda start, stop: loop(start, stop, out, seed, offset, mean, std),
    )


@kernel
def dropout(out: Array, x: Array, seed: int, offset: int, p: float) -> None:
    """out = x / (1 - p) where the float32 u of the element is at least p, else 0. out may be x."""
    require(x.size == out.size, "out and x must have one size")
    require(0 <= p <= 1, "p must be a probability")
    out = write("out", out, floats(out), out.size)
    x = read("x", x, out.dtype, out.size)
    parallel_for(
        -(-out.size // 4),
        _COST,
        lambda start, stop: _dropout(start, stop, out, x, seed, offset, p),
    )


@kernel
def permutation(out: Array, seed: int, offset: int) -> None:
    """out = a permutation of 0..n-1, by Fisher and Yates's swaps."""
    require(out.size <= 1 << 32, "a permutation has at most 2^32 elements")
    _permutation(write("out", out, np.int64, out.size), seed, offset)
