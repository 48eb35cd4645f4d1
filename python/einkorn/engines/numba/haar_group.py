"""Boxes that say the same become one: groups of like boxes, their means, and those within others left out."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from ._checks import read, require, write
from ._compile import Array, IndexOut1, Int32Out1, Loop, Operand, Scalar, inline
from ._kernels import kernel

Boxes = Annotated[Array, Operand(2, element="int32")]
BoxesOut = Annotated[Array, Operand(2, writable=True, element="int32")]
Order = Annotated[Array, Operand(1, element="int64")]


@inline
def _root(parent: Array, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@inline
def _alike(a: Array, b: Array, eps: float) -> bool:
    delta = eps * (min(a[2], b[2]) + min(a[3], b[3])) * 0.5
    return (
        abs(a[0] - b[0]) <= delta
        and abs(a[1] - b[1]) <= delta
        and abs(a[0] + a[2] - b[0] - b[2]) <= delta
        and abs(a[1] + a[3] - b[1] - b[3]) <= delta
    )


@Loop
def _join(parent: IndexOut1, boxes: Boxes, order: Order, eps: Scalar) -> None:
    """parent = the first box of each box's group."""
    n = order.shape[0]
    for i in range(n):
        parent[i] = i
    for i in range(n):
        box = boxes[order[i]]
        for j in range(i + 1, n):
            other = boxes[order[j]]
            if other[0] - box[0] > eps * (np.float64(box[2]) + np.float64(box[3])) * 0.5:
                break
            if _alike(box, other, eps):
                a, b = _root(parent, order[i]), _root(parent, order[j])
                parent[max(a, b)] = min(a, b)
    for i in range(n):
        parent[i] = _root(parent, i)


@inline
def _swallowed(groups: Array, sizes: Array, i: int, j: int, eps: float) -> bool:
    """Whether group i lies within group j, widened, and j has more to say."""
    a, b = groups[i], groups[j]
    dx, dy = int(np.rint(b[2] * eps)), int(np.rint(b[3] * eps))
    return (
        a[0] >= b[0] - dx
        and a[1] >= b[1] - dy
        and a[0] + a[2] <= b[0] + b[2] + dx
        and a[1] + a[3] <= b[1] + b[3] + dy
        and (sizes[j] > max(3, sizes[i]) or sizes[i] < 3)
    )


@Loop
def _keep(
    out: BoxesOut, neighbors: Int32Out1, count: IndexOut1, groups: Boxes, sizes: Order, eps: Scalar
) -> None:
    for i in range(groups.shape[0]):
        kept = True
        for j in range(groups.shape[0]):
            if j != i and _swallowed(groups, sizes, i, j, eps):
                kept = False
                break
        if kept:
            out[count[0]] = groups[i]
            neighbors[count[0]] = sizes[i]
            count[0] += 1


@kernel
def group_rectangles(
    out: Array, neighbors: Array, count: Array, boxes: Array, order: Array, min_neighbors: int, eps: float
) -> None:
    """out = means of groups of boxes that are alike, neighbors = their sizes, count = how many groups."""
    n = order.size
    require(
        boxes.shape == (n, 4) and out.shape == (n, 4) and neighbors.shape == (n,) and count.size == 1,
        "boxes and out must be [n, 4], neighbors and order [n], count one number",
    )
    order = read("order", order, np.int64, n)
    require(bool(((order >= 0) & (order < n)).all()), "order out of range")
    out = write("out", out, np.int32, n, 4)
    neighbors = write("neighbors", neighbors, np.int32, n)
    count = write("count", count, np.int64, 1)
    boxes = read("boxes", boxes, np.int32, n, 4)
    parent = np.empty(len(boxes), np.int64)
    _join(parent, boxes, order, eps)
    _, labels, sizes = np.unique(parent, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), 4), np.int64)
    np.add.at(sums, labels, boxes)
    share = np.float32(1) / sizes.astype(np.float32)
    means = np.rint(sums.astype(np.float32) * share[:, None]).astype(np.int32)
    strong = sizes > min_neighbors
    count[0] = 0
    _keep(out, neighbors, count, means[strong], sizes[strong].astype(np.int64), eps)
