"""Cases of the reductions: sum, mean, max, min, var, argmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import LAYOUTS, Case, Op, given, integers, normal, sprinkled, uniform

Array = np.ndarray
Axis = int | tuple[int, ...] | None


def _to_last(x: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """The reduced axes merged into one last axis, and the shape of the result with keepdims."""
    axes = range(x.ndim) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    reduced = {a % x.ndim for a in axes} if x.ndim else set()
    kept = [a for a in range(x.ndim) if a not in reduced]
    count = math.prod(x.shape[a] for a in reduced)
    moved = x.transpose(kept + sorted(reduced)).reshape([x.shape[a] for a in kept] + [count])
    return moved, tuple(1 if a in reduced else x.shape[a] for a in range(x.ndim))


def _shaped(out: Array, keep_shape: tuple[int, ...], keepdims: bool) -> Array:
    return out.reshape(keep_shape) if keepdims else out


def _sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """One element after the other: the naive order, whose error grows with the length."""
    rows, keep_shape = _to_last(x, axis)
    if rows.shape[-1] == 0:
        return _shaped(np.zeros(rows.shape[:-1], x.dtype), keep_shape, keepdims)
    return _shaped(np.cumsum(rows, axis=-1, dtype=x.dtype)[..., -1], keep_shape, keepdims)


def _count(x: Array, axis: Axis) -> int:
    return _to_last(x, axis)[0].shape[-1]


def _mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.divide(_sum(x, axis, keepdims), x.dtype.type(_count(x, axis)))


def _var(x: Array, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Array:
    deviation = x - _mean(x, axis, keepdims=True)
    count = max(_count(x, axis) - correction, 0)
    return np.divide(_sum(deviation * deviation, axis, keepdims), x.dtype.type(count))


def _max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    rows, keep_shape = _to_last(x, axis)
    return _shaped(rows.max(axis=-1), keep_shape, keepdims)


def _min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    rows, keep_shape = _to_last(x, axis)
    return _shaped(rows.min(axis=-1), keep_shape, keepdims)


def _argmax(x: Array, axis: int | None = None) -> Array:
    return np.asarray(np.argmax(x, axis=axis), dtype=np.int64)  # the first maximum; NaN wins


def _var_scale(x: Array, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Array:
    # An error of the mean moves every deviation, so the mean's size counts as well.
    return _var(x, axis, keepdims, correction) + np.square(_mean(np.abs(x), axis, keepdims)) * 1e-3


def _torch(name: str) -> Any:
    """torch's reduction; amax and amin share the gradient between ties, as ours do."""

    def call(torch: Any, x: Any, axis: Axis = None, keepdims: bool = False, **rest: Any) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return getattr(torch, name)(x, axes, keepdim=keepdims, **rest)

    return call


def _one_flop(shapes: list[tuple[int, ...]], out: tuple[int, ...], options: Any) -> float:
    return math.prod(shapes[0])


def _three_flops(shapes: list[tuple[int, ...]], out: tuple[int, ...], options: Any) -> float:
    return 3 * math.prod(shapes[0])


def _abs_sum(x: Array, **options: Any) -> Array:
    return _sum(np.abs(x), **options)


def _abs_mean(x: Array, **options: Any) -> Array:
    return _mean(np.abs(x), **options)


sum_ = Op("sum", _sum, _torch("sum"), flops=_one_flop, scale=_abs_sum)
mean = Op("mean", _mean, _torch("mean"), flops=_one_flop, scale=_abs_mean)
max_ = Op("max", _max, _torch("amax"), flops=_one_flop)
min_ = Op("min", _min, _torch("amin"), flops=_one_flop)
var = Op("var", _var, _torch("var"), flops=_three_flops, scale=_var_scale)
argmax = Op("argmax", _argmax, lambda torch, x, axis=None: torch.argmax(x, axis), flops=_one_flop)


def _cases() -> list[Case]:
    axes: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"axis": 0}),
        ((), {"axis": -1, "keepdims": True}),
        ((1,), {}),
        ((33,), {}),
        ((5, 7), {}),
        ((5, 7), {"axis": 0}),
        ((5, 7), {"axis": -1, "keepdims": True}),
        ((3, 4, 5), {"axis": 1}),
        ((3, 4, 5), {"axis": (0, 2)}),
        ((3, 4, 5), {"axis": (1, 2), "keepdims": True}),
        ((2, 3, 4, 5), {"axis": (0, 2, 3)}),
        ((1, 6), {"axis": 0}),
        ((0, 3), {"axis": 1}),
        ((3, 0, 2), {"axis": 0}),
    ]
    cases = []
    for op in (sum_, mean, max_, min_, var):
        for shape, options in axes:
            single = op is var and shape in ((), (1,), (1, 6))  # nothing left to divide by
            case = op(normal(*shape), **options)
            cases.append(case if single else case.grad())
    for op in (sum_, max_, min_):
        for size in (2, 15, 16, 17, 31, 32, 63, 65, 257, 1025):
            cases.append(op(integers(size)).exact())
            cases.append(op(integers(3, size), axis=1).exact())
            cases.append(op(integers(size, 3), axis=0).exact())
        for layout in LAYOUTS:
            if layout != "C":
                cases.append(op(integers(6, 33).laid_out(layout), axis=0).exact())
                cases.append(op(integers(6, 33).laid_out(layout), axis=1).exact())
        cases.append(op(sprinkled(9, 17), axis=1))
        cases.append(op(sprinkled(9, 17), axis=0))
        cases.append(op(given(-0.0, math.inf, -math.inf)))
        cases.append(op(given(-math.inf, -math.inf)))
    cases += [
        sum_(normal(0)),
        sum_(normal(0, 3), axis=0),
        sum_(normal(70_001)).grad().called("two threads"),
        sum_(uniform(100_003, low=1, high=2)).grad().called("two threads"),
        sum_(normal(300, 501), axis=0).grad().called("two threads"),
        sum_(normal(300, 501), axis=1).grad().called("two threads"),
        sum_(normal(7, 90, 301), axis=1).grad().called("two threads"),
        sum_(normal(40, 50, 60), axis=(0, 2)).grad().called("two threads"),
        sum_(normal(2, 2, 3, 1, 2, 3, 2, 2), axis=(0, 2, 4, 6)).grad(),
        mean(normal(70_001)).grad().called("two threads"),
        mean(normal(0)),
        mean(normal(0, 3), axis=0),
        max_(normal(70_001)).grad().called("two threads"),
        min_(normal(300, 501), axis=0).grad().called("two threads"),
        var(normal(5, 7), axis=1, correction=0).grad(),
        var(normal(5, 7), correction=0).grad(),
        var(uniform(4, 999, low=1000, high=1001), axis=1),
        var(normal(300, 501), axis=0).grad().called("two threads"),
        argmax(normal(1)),
        argmax(normal(5, 7)),
        argmax(normal()),
        argmax(normal(), axis=-1),
        argmax(sprinkled(5, 40)),
        argmax(integers(5, 40), axis=-1),
        argmax(integers(3, 70_001), axis=-1),  # parts of a row
        argmax(sprinkled(140_003)),
        argmax(integers(40, 5), axis=0),
        argmax(integers(3, 17, 5), axis=1),
        argmax(sprinkled(9, 33), axis=1),
        argmax(sprinkled(33, 9), axis=0),
        argmax(normal(0, 3), axis=1),
        argmax(integers(6, 33).laid_out("reversed")),
        argmax(integers(6, 33).laid_out("F")),
        argmax(normal(301, 257)).called("two threads"),
        # 8 MB, along and across
        sum_(normal(2048, 1024)).bench(quick=True),
        sum_(normal(2048, 1024), axis=0).bench(),
        sum_(normal(2048, 1024), axis=1).bench(),
        max_(normal(2048, 1024), axis=1).bench(),
        var(normal(2048, 1024), axis=1).bench(),
        argmax(normal(2048, 1024)).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
