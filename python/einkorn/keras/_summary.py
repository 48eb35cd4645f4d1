"""The table that ``Model.summary`` prints, in Keras' form."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.keras._base import Layer
from einkorn.keras._symbols import KerasTensor, flat
from einkorn.keras._variables import variables_of

__all__ = ["describe"]


def describe(model: Any, width: int | None, nested: bool, trainable: bool) -> str:
    """The name, a row for each layer, and the numbers of weights."""
    linear = _is_line(model)
    head = ["Layer (type)", "Output Shape", "Param #"]
    head += [] if linear else ["Connected to"]
    head += ["Trainable"] if trainable else []
    rows = [row for layer in model.layers for row in _rows(layer, model, linear, nested, trainable, 0)]
    lines = [f'Model: "{model.name}"', *_table(head, rows, width)]
    own = variables_of(model)
    trained = [variable for variable in own if variable.trainable]
    lines += [
        f" Total params: {_count(own)}",
        f" Trainable params: {_count(trained)}",
        f" Non-trainable params: {_count([variable for variable in own if not variable.trainable])}",
    ]
    return "\n".join(lines)


def _is_line(model: Any) -> bool:
    graph = model.__dict__.get("_graph")
    if graph is None:
        return True
    used: set[int] = set()
    for node in graph:
        if len(node.inputs) > 1 or id(node.inputs[0]) in used or len(flat(node.outputs)) > 1:
            return False
        used.add(id(node.inputs[0]))
    return len({id(node.target) for node in graph}) == len(graph) and len(model.inputs) == 1


def _rows(layer: Any, model: Any, linear: bool, nested: bool, trainable: bool, level: int) -> list[list[str]]:
    name = getattr(layer, "name", type(layer).__name__.lower())
    lead = "   " * level + "└ " if level else ""
    own = variables_of(layer)
    numbers = sum(int(np.prod(variable.shape)) for variable in own)
    count = f"{numbers:,}"
    if isinstance(layer, Layer) and not layer.built:
        count = "0 (unbuilt)"
    row = [f"{lead}{name} ({type(layer).__name__})", _shape(layer, model), count]
    if not linear:
        row.append("-" if level else _sources(layer, model))
    if trainable:
        row.append("-" if not own else "Y" if any(variable.trainable for variable in own) else "N")
    found = [row]
    if nested and hasattr(layer, "layers"):
        for inner in layer.layers:
            found += _rows(inner, model, linear, nested, trainable, level + 1)
    return found


def _shape(layer: Any, model: Any) -> str:
    nodes = layer.__dict__.get("_inbound", [])
    within = model.__dict__.get("_graph") or ()
    node = next((each for each in nodes if each in within), nodes[0] if nodes else None)
    if node is None:
        return "?"
    shapes = [str(symbol.shape) for symbol in flat(node.outputs)]
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


def _sources(layer: Any, model: Any) -> str:
    within = model.__dict__.get("_graph") or ()
    found = []
    for node in within:
        if node.target is layer:
            for symbol in node.inputs:
                found.append(_place(symbol))
    return ", ".join(found) or "-"


def _place(symbol: KerasTensor) -> str:
    node = symbol.node
    calls = node.target.__dict__.get("_inbound", [node]) if hasattr(node.target, "__dict__") else [node]
    outputs = flat(node.outputs)
    at = next(i for i, output in enumerate(outputs) if output is symbol)
    return f"{node.name}[{calls.index(node) if node in calls else 0}][{at}]"


def _table(head: list[str], rows: list[list[str]], width: int | None) -> list[str]:
    widths = [max([len(row[i]) for row in rows] + [len(head[i])]) for i in range(len(head))]
    if width is not None:
        room = width - 3 * len(head) - 1
        widths = [
            max(4, min(size, room * size // max(1, sum(widths)))) if sum(widths) > room else size
            for size in widths
        ]

    def bar(left: str, middle: str, right: str, stroke: str) -> str:
        return left + middle.join(stroke * (size + 2) for size in widths) + right

    def cells(row: list[str], edge: str) -> list[str]:
        parts = [
            [text[k : k + size] for k in range(0, max(1, len(text)), size)]
            for text, size in zip(row, widths, strict=True)
        ]
        lines = []
        for k in range(max(len(part) for part in parts)):
            texts = [part[k] if k < len(part) else "" for part in parts]
            shown = [
                f" {text:>{size}} " if i == 2 else f" {text:<{size}} "
                for i, (text, size) in enumerate(zip(texts, widths, strict=True))
            ]
            lines.append(edge + edge.join(shown) + edge)
        return lines

    lines = [bar("┏", "┳", "┓", "━"), *cells(head, "┃"), bar("┡", "╇", "┩", "━")]
    for i, row in enumerate(rows):
        lines += cells(row, "│")
        lines.append(bar("├", "┼", "┤", "─") if i + 1 < len(rows) else bar("└", "┴", "┘", "─"))
    if not rows:
        lines.append(bar("└", "┴", "┘", "─"))
    return lines


def _count(variables: list[Any]) -> str:
    size = sum(int(np.prod(variable.shape)) * np.dtype(np.float32).itemsize for variable in variables)
    numbers = sum(int(np.prod(variable.shape)) for variable in variables)
    amount = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024 or unit == "GB":
            return f"{numbers:,} ({amount:.2f} {unit})"
        amount /= 1024
    return f"{numbers:,}"
