"""Where the boxes of a tree go and what they say; :func:`einkorn.boosting.plot_tree` draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from einkorn.boosting.trees import Trees

__all__ = ["Box", "lay_out", "shades"]

_CATEGORIES_SHOWN = 5
_BLUE, _RED = np.array([0.20, 0.45, 0.75]), np.array([0.80, 0.30, 0.20])


@dataclass
class Box:
    """A node as it is drawn: in column ``depth``, at height ``y`` (a leaf is 1 high, the first one at 0).

    ``node`` indexes the arrays of the Trees. ``is_cut`` marks an inner node whose children are not shown.
    """

    node: int
    depth: int
    y: float = 0.0
    is_cut: bool = False
    children: list[Box] = field(default_factory=list)

    def walk(self) -> Iterator[Box]:
        """This box and all below, parents first."""
        pending = [self]  # a tree as deep as its training rows would end a recursion
        while pending:
            box = pending.pop()
            yield box
            pending += reversed(box.children)


def lay_out(trees: Trees, index: int, max_depth: int | None) -> Box:
    """Place the nodes of one tree: leaves one below the other, parents in the middle of their children."""
    start = int(trees.offsets[index])
    root = Box(start, 0)
    rows = 0
    pending = [(root, False)]  # a stack, for the same reason as in Box.walk
    while pending:
        box, is_placed = pending.pop()
        if is_placed:
            box.y = sum(child.y for child in box.children) / 2
        elif trees.feature[box.node] < 0 or box.depth == max_depth:
            box.is_cut = bool(trees.feature[box.node] >= 0)
            box.y = rows
            rows += 1
        else:
            ends = (trees.left[box.node], trees.right[box.node])
            box.children = [Box(start + int(end), box.depth + 1) for end in ends]
            pending += [(box, True), (box.children[1], False), (box.children[0], False)]
    return root


def split_words(trees: Trees, node: int, names: Sequence[str]) -> str:
    """The question that a node asks."""
    name = names[trees.feature[node]]
    first = int(trees.category_offset[node])
    if first < 0:
        return f"{name} ≤ {number(trees.threshold[node])}"
    words = trees.categories[first : first + int(trees.category_words[node])]
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    codes = [str(code) for code in np.flatnonzero(bits)]
    more = ", …" if len(codes) > _CATEGORIES_SHOWN else ""
    return f"{name} in {{{', '.join(codes[:_CATEGORIES_SHOWN])}{more}}}"


def box_words(trees: Trees, box: Box, names: Sequence[str], classes: Sequence[Any] | None) -> str:
    """The lines in a box."""
    node = box.node
    size = f"n {trees.count[node]:,}"
    if trees.cover[node] != trees.count[node]:  # weights or hessians, not just rows
        size += f", cover {number(trees.cover[node])}"
    value = value_words(trees.value[node], classes)
    if trees.feature[node] < 0:
        return f"{value}\n{size}"
    more = " …" if box.is_cut else ""
    return f"{split_words(trees, node, names)}\ngain {number(trees.gain[node])}, {size}\n{value}{more}"


def value_words(value: np.ndarray, classes: Sequence[Any] | None) -> str:
    """A leaf's number, or its most likely class where it holds one number a class."""
    if value.size == 1:
        return f"value {number(value[0])}"
    best = int(np.argmax(value))
    name = best if classes is None else classes[best]
    return f"{name}: {number(value[best])}"


def number(value: float) -> str:
    """Three digits, or all before the point where those are more."""
    value = float(value)
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.3g}"


def shades(trees: Trees, boxes: list[Box], palette: np.ndarray) -> list[Any]:
    """The colour of each box: by sign and size of the value, or by the most likely class and its lead."""
    values = trees.value[[box.node for box in boxes]]
    if values.shape[1] == 1:
        middle = 0.0 if (values < 0).any() and (values > 0).any() else float(np.median(values))
        offsets = values[:, 0] - middle
        strength = np.abs(offsets) / max(float(np.abs(offsets).max(initial=0.0)), 1e-300)
        hues = np.where((offsets > 0)[:, None], _BLUE, _RED)
    else:
        total = np.abs(values).sum(1)
        shares = values / np.where(total > 0, total, 1)[:, None]
        even = 1 / values.shape[1]
        strength = np.clip((shares.max(1) - even) / (1 - even), 0, 1)
        hues = palette[values.argmax(1) % len(palette)]
    tint = 0.08 + 0.5 * strength[:, None]  # light enough for black letters
    return [tuple(colour) for colour in 1 - tint * (1 - hues)]
