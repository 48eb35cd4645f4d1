"""``plot_model``: a model as a picture of its layers, drawn by matplotlib."""

from __future__ import annotations

import itertools
from typing import Any

from einkorn._extras import need
from einkorn.errors import ArgumentError
from einkorn.keras._symbols import flat
from einkorn.nn.module import Module

__all__ = ["plot_model"]


class _Box:
    def __init__(self, key: int, lines: list[str], depth: int) -> None:
        self.key, self.lines, self.depth = key, lines, depth
        self.x = 0.0


def plot_model(
    model: Any, to_file: Any = "model.png", show_shapes: bool = False, show_dtype: bool = False,
    show_layer_names: bool = False, rankdir: str = "TB", expand_nested: bool = False, dpi: int = 200,
    show_layer_activations: bool = False, show_trainable: bool = False, **options: Any,
) -> Any:  # fmt: skip
    """Draw a model's layers, and how they are connected, into a file.

    Parameters
    ----------
    model : Model or Sequential
    to_file : str or path, default "model.png"
        None draws only.
    show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable : bool, default False
        What is written beside the kind of each layer.
    rankdir : "TB" or "LR", default "TB"
        Whether the model goes down or to the right.
    expand_nested : not supported
    dpi : int, default 200

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        The model has no layers with inputs and outputs yet.
    """
    if expand_nested or any(options.values()):
        raise ArgumentError("plot_model: expand_nested is not supported, expected False")
    if rankdir not in ("TB", "LR"):
        raise ArgumentError(f"plot_model: rankdir is {rankdir!r}, expected 'TB' or 'LR'")
    shown = {
        "shapes": show_shapes, "dtype": show_dtype, "names": show_layer_names,
        "activations": show_layer_activations, "trainable": show_trainable,
    }  # fmt: skip
    if not isinstance(model, Module):
        raise ArgumentError(f"plot_model: model is {type(model).__name__}, expected a Model")
    boxes, arrows = _boxes_of(model, shown)
    _order(boxes, arrows)
    return _drawn(boxes, arrows, rankdir == "LR", to_file, dpi)


def _boxes_of(model: Any, shown: dict[str, bool]) -> tuple[dict[int, _Box], list[tuple[int, int]]]:
    if model.__dict__.get("_graph") is None:
        if "_inputs" in model.__dict__:  # rows of layers with an input
            targets = [model.__dict__["_inputs"].node.target, *model]
        else:
            targets = list(model.layers)
        if not targets:
            raise ArgumentError("plot_model: the model has no layers, expected some")
        keys = [id(target) for target in targets]
        boxes = {
            key: _Box(key, _words(target, None, shown), depth)
            for depth, (key, target) in enumerate(zip(keys, targets, strict=True))
        }
        return boxes, list(itertools.pairwise(keys))
    starts = [symbol.node for symbol in model.inputs if symbol.node is not None and not symbol.node.inputs]
    boxes, arrows = {}, []
    for node in [*starts, *model._graph]:
        before = [symbol.node for symbol in node.inputs]
        depth = max((boxes[id(one)].depth + 1 for one in before if id(one) in boxes), default=0)
        boxes[id(node)] = _Box(id(node), _words(node.target, node, shown), depth)
        arrows += [(id(one), id(node)) for one in dict.fromkeys(before) if id(one) in boxes]
    return boxes, arrows


def _words(target: Any, node: Any, shown: dict[str, bool]) -> list[str]:
    kind = type(target).__name__ if hasattr(target, "modules") else getattr(target, "__name__", "function")
    name = node.name if node is not None else getattr(target, "name", "")
    lines = [f"{name} ({kind})" if shown["names"] and name else kind]
    if shown["activations"]:
        activation = getattr(target, "activation", None)
        if activation is not None:
            lines.append(f"activation: {getattr(activation, '__name__', type(activation).__name__)}")
    outputs = node.outputs if node is not None else None
    if outputs is None and target.__dict__.get("_inbound"):
        outputs = target.__dict__["_inbound"][0].outputs
    if outputs is not None:
        leaves = flat(outputs)
        if shown["shapes"]:
            lines.append("output: " + ", ".join(str(tuple(leaf.shape)) for leaf in leaves))
        if shown["dtype"]:
            lines.append("dtype: " + ", ".join(str(leaf.dtype) for leaf in leaves))
    if shown["trainable"] and hasattr(target, "trainable"):
        lines.append("trainable" if target.trainable else "frozen")
    return lines


def _order(boxes: dict[int, _Box], arrows: list[tuple[int, int]]) -> None:
    """Places along each row: near what a box is made of, and next to each other."""
    rows: dict[int, list[_Box]] = {}
    for box in boxes.values():
        rows.setdefault(box.depth, []).append(box)
    before: dict[int, list[int]] = {}
    for start, end in arrows:
        before.setdefault(end, []).append(start)
    for depth in sorted(rows):
        row = rows[depth]
        wanted = {
            box.key: sum(boxes[k].x for k in before[box.key]) / len(before[box.key])
            if box.key in before
            else 0.0
            for box in row
        }
        row.sort(key=lambda box: wanted[box.key])
        middle = sum(wanted.values()) / len(row)
        for i, box in enumerate(row):
            box.x = middle + i - (len(row) - 1) / 2


def _drawn(
    boxes: dict[int, _Box], arrows: list[tuple[int, int]], across: bool, to_file: Any, dpi: int
) -> Any:
    make = need("matplotlib.figure", "plot_model").Figure
    longest = max(len(line) for box in boxes.values() for line in box.lines)
    tallest = max(len(box.lines) for box in boxes.values())
    wide, high = 0.085 * longest + 0.5, 0.22 * tallest + 0.5  # inches that a box takes with its margin
    places = {
        box.key: (box.depth * wide * 1.15, -box.x * high)
        if across
        else (box.x * wide, -box.depth * high * 1.3)
        for box in boxes.values()
    }
    xs, ys = zip(*places.values(), strict=True)
    figure = make(figsize=(max(xs) - min(xs) + wide, max(ys) - min(ys) + high), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(min(xs) - wide / 2, max(xs) + wide / 2)
    axes.set_ylim(min(ys) - high / 2, max(ys) + high / 2)
    axes.axis("off")
    half_wide, half_high = wide / 2 - 0.12, high / 2 - 0.12
    for start, end in arrows:
        (x0, y0), (x1, y1) = places[start], places[end]
        tail, head = (
            ((x0 + half_wide, y0), (x1 - half_wide, y1))
            if across
            else ((x0, y0 - half_high), (x1, y1 + half_high))
        )
        axes.annotate(
            "", head, tail, arrowprops={"arrowstyle": "-|>", "color": "0.3", "shrinkA": 0, "shrinkB": 0}
        )
    for box in boxes.values():
        x, y = places[box.key]
        axes.text(
            x, y, "\n".join(box.lines), ha="center", va="center", fontsize=8,
            bbox={"boxstyle": "round", "facecolor": "0.95", "edgecolor": "0.3"},
        )  # fmt: skip
    if to_file is not None:
        figure.savefig(to_file, dpi=dpi)
    return axes
