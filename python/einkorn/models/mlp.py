"""The multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from einkorn.engines import ACTIVATIONS
from einkorn.errors import ArgumentError
from einkorn.nn import Linear, Module, Sequential
from einkorn.nn.activation import by_name
from einkorn.ops.copy import flatten

__all__ = ["MLP"]


class MLP(Module):
    """Fully connected layers with an activation between them; the output is raw.

    The axes of the input behind the first are merged, so images need no reshaping.

    Parameters
    ----------
    sizes : sequence of int
        Features of the input, of each hidden layer, and of the output.
    activation : str or None, default "relu"
        Behind each layer but the last: relu, leaky_relu, sigmoid and tanh are fused into the
        linear kernel; prelu, elu, gelu, silu and softplus are layers of their own.
    """

    def __init__(self, sizes: Sequence[int], activation: str | None = "relu") -> None:
        super().__init__()
        if isinstance(sizes, (str, bytes)) or not isinstance(sizes, Sequence) or len(sizes) < 2:
            raise ArgumentError(f"MLP: sizes is {sizes!r}, expected at least two integers")
        fused = activation in ACTIVATIONS
        self.layers = Sequential()
        for index, (before, after) in enumerate(pairwise(sizes)):
            hidden = index < len(sizes) - 2
            self.layers.append(Linear(before, after, activation=activation if hidden and fused else None))
            if hidden and not fused:
                self.layers.append(by_name(str(activation), "MLP"))
        self.input_shape = (int(sizes[0]),)
        self.config = {"sizes": [int(size) for size in sizes], "activation": activation}

    def forward(self, x: Any) -> Any:
        return self.layers(x if x.ndim == 2 else flatten(x, 1))
