"""gather and scatter: elements taken from, and put to, places that an index names along one axis.

Arrays are brought to [outer, n, inner], the indexed axis in the middle; what does not lie so is copied
first. The outer and inner indices are the lanes, each of which one slice of the parallel loop has to
itself, so that scatter meets repeated places in the order of the index.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._checks import floats, require, strided, strided_out
from ._compile import Array, In3, Index3, Int, Loop, Out3
from ._kernels import kernel
from ._threads import parallel_for

_COST = 3.0  # ns per element
_SET, _ADD, _MULTIPLY, _LARGER = range(4)


@Loop
def _gather(start: Int, stop: Int, out: Out3, x: In3, index: Index3) -> None:
    size = x.shape[1]
    for lane in range(start, stop):
        o, i = lane // out.shape[2], lane % out.shape[2]
        for j in range(out.shape[1]):
            at = index[o, j, i]
            if at < 0:
                at += size
            out[o, j, i] = x[o, at, i] if 0 <= at < size else math.nan


@Loop
def _scatter(start: Int, stop: Int, out: Out3, src: In3, index: Index3, mode: Int) -> None:
    size = out.shape[1]
    for lane in range(start, stop):
        o, i = lane // out.shape[2], lane % out.shape[2]
        for j in range(src.shape[1]):
            at = index[o, j, i]
            if at < 0:
                at += size
            if at < 0 or at >= size:
                continue
            new, old = src[o, j, i], out[o, at, i]
            if mode == _ADD:
                new = old + new
            elif mode == _MULTIPLY:
                new = old * new
            elif mode == _LARGER:
                new = old if old >= new or old != old else new
            elif mode != _SET:
                new = old if old <= new or old != old else new
            out[o, at, i] = new


def _checked(op: str, first: Array, second: Array, index: Array, axis: int, name: str, long: Array) -> None:
    require(0 <= axis < index.ndim, f"{op}: axis is out of range")
    require(first.ndim == index.ndim == second.ndim, f"{op}: all arrays must have one rank")
    beside = [a.shape[:axis] + a.shape[axis + 1 :] for a in (first, second, index)]
    require(beside[0] == beside[1] == beside[2], "all arrays of an elementwise kernel must have one shape")
    require(
        long.shape[axis] == index.shape[axis], f"{op}: index and {name} must be of one length along the axis"
    )


def _dense(a: Array, axis: int) -> Any:
    """The array as [outer, n, inner], copied where it does not lie so."""
    shape = a.shape
    return np.ascontiguousarray(a).reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


@kernel
def gather(out: Array, x: Array, index: Array, axis: int) -> None:
    """out[.., j, ..] = x[.., index[.., j, ..], ..] along the axis."""
    _checked("gather", out, x, index, axis, "out", out)
    dtype = floats(out)
    strided_out("out", out, dtype)
    strided("x", x, dtype)
    strided("index", index, np.int64)
    if out.size == 0:
        return
    dense = out if out.flags.c_contiguous else np.empty(out.shape, dtype)
    to, of, at = _dense(dense, axis), _dense(x, axis), _dense(index, axis)
    parallel_for(
        to.shape[0] * to.shape[2], _COST * to.shape[1], lambda start, stop: _gather(start, stop, to, of, at)
    )
    if dense is not out:
        np.copyto(out, dense)


@kernel
def scatter(out: Array, src: Array, index: Array, axis: int, mode: int) -> None:
    """out[.., index[.., j, ..], ..] = src[.., j, ..]; mode 0, or 1 to 4: added, times, larger, smaller."""
    _checked("scatter", out, src, index, axis, "src", src)
    require(0 <= mode <= 4, "scatter: mode must be 0 to 4")
    dtype = floats(out)
    strided_out("out", out, dtype)
    strided("src", src, dtype)
    strided("index", index, np.int64)
    if src.size == 0 or out.size == 0:
        return
    dense = out if out.flags.c_contiguous else np.array(out, order="C")
    to, of, at = _dense(dense, axis), _dense(src, axis), _dense(index, axis)
    parallel_for(
        to.shape[0] * to.shape[2],
        _COST * of.shape[1],
        lambda start, stop: _scatter(start, stop, to, of, at, mode),
    )
    if dense is not out:
        np.copyto(out, dense)
