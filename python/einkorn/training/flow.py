"""How gradients and activations flow through a network, layer by layer: do they vanish, explode, die?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from einkorn._extras import axes_for
from einkorn._tensor import Tensor, as_numpy
from einkorn.training.batches import float_type
from einkorn.training.compiled import compiled_of, types_of
from einkorn.training.modes import training
from einkorn.training.on_batch import _rows
from einkorn.training.snapshot import random_state, set_random_state
from einkorn.training.step import Stepper

__all__ = ["GradientFlow", "LayerFlow", "gradient_flow"]


class LayerFlow(NamedTuple):
    """One layer."""

    name: str
    kind: str
    gradient_mean: float  # of the absolute gradients of its parameters; NaN without any
    gradient_max: float
    gradient_norm: float
    weight_norm: float
    activation_mean: float  # of its output; NaN if it was not called
    activation_std: float
    zero_share: float  # elements of the output that are exactly 0
    dead_units: int  # units, or channels, that are 0 for every row
    units: int


class GradientFlow:
    """Statistics of every layer for one batch.

    Attributes
    ----------
    layers : list of LayerFlow
        In the order of the model's parts.
    loss : float
    """

    def __init__(self, layers: list[LayerFlow], loss: float) -> None:
        self.layers = layers
        self.loss = loss

    def __iter__(self) -> Iterator[LayerFlow]:
        return iter(self.layers)

    def __getitem__(self, name: str) -> LayerFlow:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def dead_relus(self) -> int:
        """Units behind a ReLU that are 0 for every row: nothing reaches what is before them."""
        return sum(layer.dead_units for layer in self.layers if layer.kind == "ReLU")

    def plot(self, ax: Any = None) -> Any:
        """Draw mean and largest absolute gradient of each layer with parameters, on a logarithmic scale.

        A line that falls towards the first layers shows vanishing gradients, one that rises exploding ones.

        Parameters
        ----------
        ax : matplotlib axes, optional
            By default those of a new figure.

        Returns
        -------
        matplotlib axes

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        ax = axes_for(ax, "GradientFlow.plot")
        own = [layer for layer in self.layers if np.isfinite(layer.gradient_mean)]
        places = np.arange(len(own))
        for label, values in (
            ("largest", [layer.gradient_max for layer in own]),
            ("mean", [layer.gradient_mean for layer in own]),
        ):
            ax.plot(places, np.maximum(values, np.finfo(np.float32).tiny), marker=".", label=label)
        ax.set_yscale("log")
        ax.set_xticks(places, [layer.name for layer in own], rotation=90)
        ax.set_xlabel("layer, from the input on")
        ax.set_ylabel("absolute gradient")
        ax.legend()
        ax.grid(alpha=0.3)
        return ax

    def __str__(self) -> str:
        width = max([len("layer"), *(len(f"{layer.name} ({layer.kind})") for layer in self.layers)])
        head = f"{'layer':<{width}}  mean |grad|   max |grad|   out mean    out std  zeros   dead"
        lines = [head]
        for layer in self.layers:
            lines.append(
                f"{f'{layer.name} ({layer.kind})':<{width}}  {layer.gradient_mean:11.3g}  "
                f"{layer.gradient_max:11.3g}"
                f"  {layer.activation_mean:9.3g}  {layer.activation_std:9.3g}  {layer.zero_share:5.1%}"
                f"  {layer.dead_units}/{layer.units}"
            )
        return "\n".join(lines)


def gradient_flow(model: Any, x: Any, y: Any = None) -> GradientFlow:
    """Send one batch forward and back, and look at every layer.

    Nothing is updated: weights, moving statistics, gradients and random numbers are as they were.

    Parameters
    ----------
    model : Module
        Compiled.
    x, y : arrays
        The rows of the batch, as for ``train_on_batch``.
    """
    op = "gradient_flow"
    _, compiled, optimizer = compiled_of(model, op)
    batches = types_of(model, compiled).batches(x, y, _rows(x, op), op, model)
    weights = {name: array.copy() for name, array in model.state_dict().items()}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    leaves = [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]
    outputs: dict[int, np.ndarray] = {}

    def note(module: Any, args: Any, output: Any) -> None:
        first = output[0] if isinstance(output, (tuple, list)) else output
        if isinstance(first, Tensor) and first._data.dtype == float_type(model):
            outputs[id(module)] = np.array(as_numpy(first))

    handles = [module.register_forward_hook(note) for _, module in leaves]
    numbers = random_state()
    try:
        with training(model):
            stepper = Stepper(model, compiled, optimizer, op)
            for parameter, _ in gradients:
                parameter.grad = None
            for inputs, target, weight in batches:
                batch = stepper.forward(inputs, target, weight)
                batch.value.backward()
        layers = [_flow(name, module, outputs.get(id(module))) for name, module in leaves]
        return GradientFlow(layers, batch.number)
    finally:
        for handle in handles:
            handle.remove()
        model.load_state_dict(weights)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        set_random_state(numbers)


def _flow(name: str, module: Any, output: np.ndarray | None) -> LayerFlow:
    parameters = list(module.parameters(recurse=False))
    grads = [np.abs(as_numpy(p.grad, np.float64)).ravel() for p in parameters if p.grad is not None]
    joined = np.concatenate(grads) if grads else np.full(1, np.nan)
    squares = sum(float((as_numpy(p, np.float64) ** 2).sum()) for p in parameters)
    dead = units = 0
    mean = std = zeros = float("nan")
    if output is not None and output.size:
        mean, std = float(output.mean(dtype=np.float64)), float(output.std(dtype=np.float64))
        zeros = float((output == 0).mean())
        if output.ndim > 1:
            by_unit = (output != 0).swapaxes(0, 1).reshape(output.shape[1], -1).any(1)
            dead, units = int((~by_unit).sum()), len(by_unit)
    return LayerFlow(
        name, _kind(module), float(joined.mean()), float(joined.max()), float(np.sqrt((joined**2).sum())),
        float(np.sqrt(squares)), mean, std, zeros, dead, units,
    )  # fmt: skip


def _kind(module: Any) -> str:
    """The class; a layer with a fused ReLU counts as one."""
    return "ReLU" if getattr(module, "activation", None) == "relu" else type(module).__name__
