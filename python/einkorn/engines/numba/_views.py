"""Elementwise calls on arrays of any rank and strides, brought to one loop of rank 4.

Axes that all operands step through as through one are merged. Hardly anything needs more than four
after that::

    out [8, 3, 32, 32], x, and a bias [3] as strides (0, 1, 0, 0)  ->  [8, 3, 1024] of all three
    everything contiguous                                          ->  [n]

What does need more is copied to contiguous arrays first: views and copies are NumPy's part here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._checks import floats, same_shape, strided, strided_out
from ._compile import Array, Loop
from ._threads import parallel_for

__all__ = ["RANK", "apply", "elementwise", "merge", "merged_view"]

RANK = 4
_GRAIN = 1024
_NAMES = {0: (), 1: ("x",), 2: ("a", "b"), 3: ("condition", "a", "b")}


def merge(axes: Sequence[int], operands: Sequence[Array]) -> list[list[int]]:
    """Group neighboring `axes`, outermost first, that all operands step through as through one.

    Axes of size 1 are dropped.
    """
    groups: list[list[int]] = []
    for axis in axes:
        size = operands[0].shape[axis]
        if size == 1:
            continue
        if groups and all(a.strides[groups[-1][-1]] == a.strides[axis] * size for a in operands):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups


def merged_view(x: Array, groups: Sequence[Sequence[int]]) -> Array:
    """View `x` with one axis for each group of axes; copy it where a group cannot be merged."""
    order = [axis for group in groups for axis in group]
    shape = [int(np.prod([x.shape[axis] for axis in group])) for group in groups]
    rest = [axis for axis in range(x.ndim) if axis not in order]  # of size 1
    return x.transpose(rest + order).reshape(shape)


def elementwise(loop: Loop, cost: float, out: Array, inputs: Sequence[Array], *scalars: Any) -> None:
    """Check that all arrays are as `out` is, in shape and dtype, and :func:`apply` the loop."""
    same_shape("all arrays of an elementwise kernel must have one shape", out, *inputs)
    strided_out("out", out, floats(out))
    for name, x in zip(_NAMES[len(inputs)], inputs, strict=True):
        strided(name, x, out.dtype)
    apply(loop, cost, out, inputs, *scalars)


def apply(loop: Loop, cost: float, out: Array, inputs: Sequence[Array], *scalars: Any) -> None:
    """Call `loop(out, *inputs, *scalars)` with views of rank 4 of arrays of one shape, any strides.

    `cost` is in nanoseconds for each element.
    """
    operands = (out, *inputs)
    if out.size == 0:
        return
    if all(x.flags.c_contiguous for x in operands):
        views = [x.reshape(1, 1, 1, out.size) for x in operands]
    else:
        outermost_first = sorted(range(out.ndim), key=lambda axis: -abs(out.strides[axis]))
        groups = merge(outermost_first, operands)
        if len(groups) > RANK:
            dense = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
            apply(loop, cost, dense, [np.ascontiguousarray(x) for x in inputs], *scalars)
            if dense is not out:
                np.copyto(out, dense)
            return
        groups = [[]] * (RANK - len(groups)) + groups
        views = [merged_view(x, groups) for x in operands]

    shape = views[0].shape
    axis = shape.index(max(shape))
    before = (slice(None),) * axis

    def body(start: int, stop: int) -> None:
        part = (*before, slice(start, stop))
        loop(*[x[part] for x in views], *scalars)

    grain = _GRAIN if axis == RANK - 1 else 1
    parallel_for(shape[axis], cost * (out.size // shape[axis]), body, grain)
