"""Cases of the random numbers, against Philox4x32-10 written out in NumPy.

The stream is part of the contract: the same numbers on every engine and for every number of threads.
Every case seeds the generator first, so it starts at counter 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Op, normal

Array = np.ndarray

SEED = 0x9E3779B97F4A7C15  # both halves of the key differ from zero

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(seed: int, first: int, counters: int) -> Array:
    """Philox4x32-10 (Salmon et al. 2011): uint32 [counters, 4] for counters first, first + 1, ..."""
    c = np.arange(counters, dtype=np.uint64) + np.uint64(first)
    x0, x1, x2, x3 = c & _LOW, c >> _HALF, np.zeros_like(c), np.zeros_like(c)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = x0 * _M0, x2 * _M1
        x0, x1, x2, x3 = (
            (p1 >> _HALF) ^ x1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _HALF) ^ x3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3], axis=1).astype(np.uint32)


def _words32(n: int) -> Array:
    return philox(SEED, 0, -(-n // 4)).reshape(-1)


def _words64(n: int) -> Array:
    low, high = philox(SEED, 0, -(-n // 2)).astype(np.uint64).reshape(-1, 2).T
    return low | (high << _HALF)


def _uniform(shape: tuple[int, ...], low: float, high: float, dtype: str, compute: np.dtype[Any]) -> Array:
    n = math.prod(shape)
    if dtype == "float32":
        u = (_words32(n) >> 8).astype(compute) * compute.type(2.0**-24)
    else:
        u = (_words64(n) >> np.uint64(11)).astype(compute) * compute.type(2.0**-53)
    return (low + u[:n] * (high - low)).reshape(shape).astype(compute)


def _normal(shape: tuple[int, ...], mean: float, std: float, dtype: str, compute: np.dtype[Any]) -> Array:
    """Box and Muller's transform of pairs of uniform numbers."""
    n = math.prod(shape)
    even = n + n % 2
    if dtype == "float32":
        words, unit = _words32(n) >> 8, 2.0**-24
    else:
        words, unit = _words64(n) >> np.uint64(11), 2.0**-53
    a, b = words[:even].reshape(-1, 2).astype(np.float64).T
    u1, turn = ((a + 1) * unit).astype(compute), (b * unit).astype(compute)
    radius, angle = np.sqrt(-2 * np.log(u1)), turn * compute.type(2 * math.pi)
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
    return (mean + std * z[:n]).reshape(shape).astype(compute)


def _dropout(x: Array, p: float = 0.5, training: bool = True) -> Array:
    if not training:
        return x
    u = (_words32(x.size) >> 8) * 2.0**-24
    kept = (u[: x.size] >= p).reshape(x.shape)
    return np.where(kept, x / x.dtype.type(1 - p), x.dtype.type(0)) if p < 1 else np.zeros_like(x)


def _permutation(n: int) -> Array:
    """Fisher and Yates's shuffle."""
    words = _words32(n).astype(object)  # Python integers: the product needs more than 64 bits' care
    out = np.arange(n, dtype=np.int64)
    for k in range(n - 1):
        i = n - 1 - k
        j = (words[k] * (i + 1)) >> 32
        out[i], out[j] = out[j], out[i]
    return out


def _seeded(name: str) -> Any:
    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
        einkorn.manual_seed(SEED)
        return getattr(einkorn.ops, name)(*arrays, **options)

    return call


def _scale(**options: Any) -> float:
    """The size of the numbers that are added: low and high, or mean and deviation."""
    return 1.0 + sum(abs(v) for v in options.values() if isinstance(v, (int, float)))


uniform = Op(
    "uniform",
    _uniform,
    peer=lambda torch, shape, low, high, dtype: torch.empty(shape).uniform_(low, high),
    call=_seeded("uniform"),
    scale=_scale,
    sees_dtype=True,
)
normal_ = Op(
    "normal",
    _normal,
    peer=lambda torch, shape, mean, std, dtype: torch.empty(shape).normal_(mean, std),
    call=_seeded("normal"),
    scale=_scale,
    sees_dtype=True,
    flops=lambda shapes, out, options: 30 * math.prod(out),
)
dropout = Op(
    "dropout",
    _dropout,
    peer=lambda torch, x, p=0.5, training=True: torch.nn.functional.dropout(x, p, training),
    call=_seeded("dropout"),
)
permutation = Op(
    "permutation",
    _permutation,
    peer=lambda torch, n: torch.randperm(n),
    call=_seeded("permutation"),
)


def _cases() -> list[Case]:
    cases = []
    for dtype in ("float32", "float64"):
        for shape in ((), (0,), (1,), (2,), (3,), (4,), (5,), (17,), (33,), (3, 5, 7), (64, 65)):
            cases.append(uniform(shape=shape, low=0.0, high=1.0, dtype=dtype).exact())
            cases.append(normal_(shape=shape, mean=0.0, std=1.0, dtype=dtype))
        cases += [
            uniform(shape=(301,), low=-3.0, high=5.0, dtype=dtype),
            normal_(shape=(301,), mean=2.0, std=0.5, dtype=dtype),
            uniform(shape=(100_003,), low=0.0, high=1.0, dtype=dtype).exact(),
            normal_(shape=(100_003,), mean=0.0, std=1.0, dtype=dtype),
        ]
    cases += [dropout(normal(*shape), p=0.3).grad() for shape in ((1,), (17,), (3, 5), (4, 33))]
    cases += [dropout(normal(5, 33).laid_out(x), p=0.5).grad() for x in LAYOUTS if x != "C"]
    cases += [
        dropout(normal(5, 7)).grad(),
        dropout(normal(5, 7), p=0.0).grad(),
        dropout(normal(5, 7), p=1.0).grad(),
        dropout(normal(5, 7), p=0.5, training=False).grad(),
        dropout(normal(0, 7), p=0.5).grad(),
        dropout(normal(70_001), p=0.9).grad().called("two threads"),
    ]
    cases += [permutation(n=n).exact() for n in (0, 1, 2, 3, 17, 1000)]
    cases += [
        uniform(shape=(2048, 1024), low=0.0, high=1.0, dtype="float32").bench(quick=True),
        normal_(shape=(2048, 1024), mean=0.0, std=1.0, dtype="float32").bench(),
        dropout(normal(2048, 1024), p=0.5).bench(),
        dropout(normal(16384, 1024), p=0.5).bench(),
        permutation(n=60_000).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
