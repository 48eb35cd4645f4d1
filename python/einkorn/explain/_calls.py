"""What the methods share: a class's score, the gradient of it, and a look at a layer while the model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._grad_mode import no_grad
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import Conv2d, Module

__all__ = [
    "chosen_sum",
    "frozen",
    "input_of",
    "layer_of",
    "layers_of",
    "looked",
    "scales_of",
    "scores_of",
    "targets_of",
    "watched",
]


@contextmanager
def frozen(model: Module) -> Iterator[None]:
    """Evaluation mode, and no gradients for parameters: both as they were afterwards."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        for parameter in learning:
            parameter.requires_grad = False
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad = True
        for module, mode in before:
            module.__dict__["training"] = mode


def input_of(model: Module, x: Any, op: str) -> np.ndarray:
    """Images as an array of the model's type, [n, channels, height, width]."""
    if not isinstance(model, Module):
        raise ArgumentError(f"{op}: model is {type(model).__name__}, expected a module of einkorn")
    a = np.asarray(x.numpy() if isinstance(x, Tensor) else x)
    kind = next((p.data.dtype for p in model.parameters()), np.dtype(np.float32))
    if a.ndim != 4:
        raise ShapeError(f"{op}: x has shape {a.shape}, expected [n, channels, height, width]")
    return np.ascontiguousarray(a, kind)


def scores_of(model: Module, x: Any, op: str) -> Any:
    """The model's raw scores [n, classes]."""
    out = model(x)
    if not isinstance(out, Tensor) or out.ndim != 2:
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ShapeError(f"{op}: the model gave {found}, expected scores [n, classes]")
    return out


def targets_of(target: Any, scores: Any, op: str) -> np.ndarray:
    """The class of each image: the given one, or that of the highest score."""
    n, classes = scores.shape
    if target is None:
        return scores.numpy().argmax(1)
    chosen = np.broadcast_to(np.asarray(target), (n,)) if np.ndim(target) == 0 else np.asarray(target)
    if chosen.shape != (n,) or chosen.dtype.kind not in "iu":
        raise ArgumentError(f"{op}: target is {target!r}, expected an integer or {n} of them")
    if n and not (chosen.min() >= 0 and chosen.max() < classes):
        raise ArgumentError(f"{op}: target is {target!r}, expected classes from 0 to {classes - 1}")
    return chosen.astype(np.int64)


def chosen_sum(scores: Any, chosen: np.ndarray) -> Any:
    """The sum of the chosen class's score over the images; each image's gradient is that of its own score."""
    pick = np.zeros(scores.shape, scores.numpy().dtype)
    pick[np.arange(len(chosen)), chosen] = 1
    return ops.sum(ops.multiply(scores, pick))


def layer_of(model: Module, layer: Any, op: str) -> Module:
    """A layer by its path, or as it is; None: the stage that holds the last convolution."""
    if isinstance(layer, Module):
        return layer
    modules = dict(model.named_modules())
    if layer is not None:
        if layer not in modules:
            raise ArgumentError(f"{op}: layer is {layer!r}, expected the path of a layer of the model")
        return modules[layer]
    convolutions = [name for name, module in modules.items() if isinstance(module, Conv2d)]
    if not convolutions:
        raise ArgumentError(f"{op}: layer is None, and the model has no convolution: name a layer")
    first, _, rest = convolutions[-1].partition(".")
    # of a block with a shortcut, what the whole block gives; of a row of layers, the convolution's own output
    inside = modules[first]
    if not rest or first == "features":
        return modules[convolutions[-1]]
    return inside


@contextmanager
def watched(layer: Module) -> Iterator[list[Any]]:
    """What the layer gives, as a list that fills while the model runs."""
    seen: list[Any] = []
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out))
    try:
        yield seen
    finally:
        handle.remove()


class _EnoughError(Exception):
    """The layers that were asked for have been seen: the rest of the network need not run."""


def looked(model: Module, x: Any, layers: Sequence[Module]) -> list[Any]:
    """What several layers give for x, in the layers' order; the network runs no further than needed."""
    seen: dict[int, Any] = {}

    def note(at: int, out: Any) -> None:
        seen.setdefault(at, out)
        if len(seen) == len(layers):
            raise _EnoughError

    with ExitStack() as held:
        for at, layer in enumerate(layers):
            hook = layer.register_forward_hook(lambda module, args, out, at=at: note(at, out))
            held.callback(hook.remove)
        with suppress(_EnoughError):
            model(x)
    if len(seen) < len(layers):
        raise ArgumentError("a layer was not called: it is not a part of what the network runs")
    return [seen[at] for at in range(len(layers))]


def layers_of(model: Module, layers: Any, op: str) -> list[Module]:
    """Layers by their paths, or as they are."""
    several = [layers] if isinstance(layers, (str, Module)) else layers
    if not isinstance(several, (list, tuple)) or not several or any(each is None for each in several):
        raise ArgumentError(f"{op}: layers is {layers!r}, expected a layer, its path or several")
    return [layer_of(model, layer, op) for layer in several]


def scales_of(model: Module, x: np.ndarray, op: str) -> list[Module]:
    """The first convolution at each resolution, as the papers on style take them, at most five."""
    convolutions = [module for module in model.modules() if isinstance(module, Conv2d)]
    if not convolutions:
        raise ArgumentError(f"{op}: the model has no convolution: name layers")
    sizes: dict[tuple[int, ...], Module] = {}
    with ExitStack() as held, no_grad():
        for layer in convolutions:

            def note(module: Module, args: Any, out: Any) -> None:
                if min(out.shape[2:]) > 1:
                    sizes.setdefault(tuple(out.shape[2:]), module)

            held.callback(layer.register_forward_hook(note).remove)
        model(Tensor(x))
    return list(sizes.values())[:5]
