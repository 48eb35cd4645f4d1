"""The table that ``Module.summary`` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._console import printable
from einkorn._device import beside, device_of
from einkorn._tensor import Tensor, as_numpy
from einkorn.training.modes import evaluating

__all__ = ["describe", "show"]


def _shape(output: Any) -> str:
    if isinstance(output, (tuple, list)):
        return ", ".join(_shape(part) for part in output)
    sizes = ("None", *map(str, output.shape[1:])) if output.ndim else ()
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def show(model: Any, example: Any, print_fn: Any) -> None:
    """Print the table; on a stream of few letters in those it has."""
    text = describe(model, example)
    print_fn(printable(text) if print_fn is print else text)


def describe(model: Any, example: Any) -> str:
    """Layers in the order of their first call, their output shapes and parameter counts.

    Without an example nothing is called and the shapes are left open. A layer that is called
    twice stands once and its parameters count once.
    """
    layers = [(name, m) for name, m in model.named_modules() if not any(True for _ in m.children())]
    # a parameter that belongs to no leaf (a class token, say) is shown with its owner
    leaves = {id(m) for _, m in layers}
    for name, module in model.named_modules():
        if id(module) not in leaves and any(True for _ in module.parameters(recurse=False)):
            layers.append((name, module))
    names = {id(module): name for name, module in layers}
    rows: dict[int, tuple[str, str, int]] = {}

    def note(module: Any, args: Any, output: Any) -> None:
        if id(module) not in rows:
            rows[id(module)] = _row(names, module, _shape(output))

    if example is not None:
        handles = [module.register_forward_hook(note) for _, module in layers]
        try:
            with evaluating(model):
                model(_there(model, example))
        finally:
            for handle in handles:
                handle.remove()
    for _, module in layers:
        if id(module) not in rows:
            rows[id(module)] = _row(names, module, "?" if example is None else "not called")
    return _table(type(model).__name__, list(rows.values()), model)


def _there(model: Any, example: Any) -> Any:
    """An example on the device of the model."""
    if isinstance(example, (tuple, list)):
        return type(example)(_there(model, part) for part in example)
    first = next(iter(model.parameters()), None)
    if first is None or device_of(first._data) == "cpu":
        return example
    return example.to(first.device) if isinstance(example, Tensor) else beside(first, as_numpy(example))


def _row(names: dict[int, str], module: Any, shape: str) -> tuple[str, str, int]:
    name = names[id(module)]
    kind = type(module).__name__
    count = sum(p._data.size for p in module.parameters(recurse=False))
    return (f"{name} ({kind})" if name else kind), shape, count


def _table(title: str, rows: list[tuple[str, str, int]], model: Any) -> str:
    head = ("Layer (type)", "Output shape", "Param #")
    cells = [head, *((name, shape, f"{count:,}") for name, shape, count in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    line = "─" * (sum(widths) + 6)

    def text(row: tuple[str, str, str]) -> str:
        return f" {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}"

    total = trainable = size = 0
    for parameter in model.parameters():
        total += parameter._data.size
        size += parameter._data.nbytes
        trainable += parameter._data.size * bool(parameter.requires_grad)
    buffers = sum(np.size(getattr(b, "data", b)) for b in model.buffers())
    lines = [f'Model: "{title}"', line, text(head), line]
    lines += [text((name, shape, f"{count:,}")) for name, shape, count in rows]
    lines += [line, f" Total params: {total:,} ({_bytes(size)})"]
    lines += [f" Trainable params: {trainable:,}", f" Non-trainable params: {total - trainable:,}"]
    if buffers:
        lines.append(f" Numbers in buffers: {buffers:,}")
    return "\n".join(lines)


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}" if unit != "B" else f"{size} B"
        size /= 1024
    return f"{size:.2f} GB"
