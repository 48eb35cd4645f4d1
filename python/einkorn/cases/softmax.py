"""Cases of softmax and log_softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Op, given, normal, sprinkled, uniform

Array = np.ndarray

INF = math.inf


def _softmax(x: Array, axis: int = -1) -> Array:
    if x.ndim == 0:
        return np.exp(x - x)
    shifted = np.exp(x - x.max(axis=axis, keepdims=True)) if x.size else x
    return shifted / shifted.sum(axis=axis, keepdims=True)


def _log_softmax(x: Array, axis: int = -1) -> Array:
    if x.ndim == 0:
        return x - x
    shifted = x - x.max(axis=axis, keepdims=True) if x.size else x
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def _torch(name: str) -> Any:
    return lambda torch, x, axis=-1: getattr(torch, name)(x, axis)


def _flops(shapes: Any, out: tuple[int, ...], options: Any) -> float:
    return 15 * math.prod(out)


softmax = Op("softmax", _softmax, _torch("softmax"), flops=_flops, unit=1e-6)
log_softmax = Op("log_softmax", _log_softmax, _torch("log_softmax"), flops=_flops, unit=1)


def _cases() -> list[Case]:
    cases = []
    for op in (softmax, log_softmax):
        for shape, axis in (
            ((), 0),
            ((), -1),
            ((1,), 0),
            ((7,), -1),
            ((3, 5), -1),
            ((3, 5), 0),
            ((2, 3, 4), 1),
            ((2, 3, 4), -3),
            ((1, 1), 1),
            ((4, 1, 3), 1),
            ((0, 5), 1),
            ((3, 0), 0),
        ):
            cases.append(op(normal(*shape), axis=axis).grad())
        for size in (2, 15, 16, 17, 31, 32, 33, 64, 65, 127, 1025):
            cases.append(op(normal(3, size)))
            cases.append(op(normal(size, 3), axis=0))
        for layout in LAYOUTS:
            if layout != "C":
                cases.append(op(normal(5, 33).laid_out(layout), axis=1).grad())
                cases.append(op(normal(5, 33).laid_out(layout), axis=0))
        cases += [
            op(uniform(5, 33, low=-90, high=90)),
            op(uniform(5, 33, low=1e4, high=1e4 + 10)),
            op(given(0.0, -INF, 1.0, -INF)),
            op(given(-INF, -INF, -INF)),
            op(given(INF, 0.0, 1.0)),
            op(sprinkled(9, 17)),
            op(sprinkled(9, 17), axis=0),
            op(normal(2, 17, 33), axis=1),
            op(normal(400, 300)).grad().called("two threads"),
            op(normal(3, 50_257)).grad().called("two threads"),
            op(normal(300, 400), axis=0).grad().called("two threads"),
            op(normal(9, 40, 301), axis=1).grad().called("two threads"),
            op(normal(4096, 512)).bench(quick=op is softmax),
            op(normal(4096, 512)).grad().bench(),
            op(normal(512, 10)).bench(),
            op(normal(16384, 1024)).bench(),
            op(normal(16, 21, 64, 64), axis=1).bench(),
        ]
    return cases


CASES: list[Case] = _cases()
