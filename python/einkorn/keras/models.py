"""``Sequential`` and ``Model`` in Keras' form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from einkorn import nn
from einkorn.errors import ArgumentError
from einkorn.keras._lazy import Layer, LazyCompile, built
from einkorn.keras.layers import Input
from einkorn.training.modes import evaluating

__all__ = ["Model", "Sequential"]


class Sequential(LazyCompile, nn.Sequential):
    """Layers one after the other, given as a list or with ``add``.

    With an ``Input`` first, or ``input_shape`` of the first layer, the weights are made at once; else by the
    first rows.

    Parameters
    ----------
    layers : list of layers, optional
    """

    def __init__(self, layers: Iterable[Any] | None = None, name: str | None = None) -> None:
        super().__init__()
        self.name = name or "sequential"
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end."""
        self.append(layer)
        first = self[0]
        shape = first.input_spec if isinstance(first, Layer) else None
        if shape is not None and not built(self):
            if isinstance(first, Input) and len(self) == 1:
                return
            self._build(shape)

    def pop(self, rebuild: bool = True) -> Any:
        """Take the last layer away, and give it back."""
        name, layer = list(self.named_children())[-1]
        delattr(self, name)
        return layer

    @property
    def layers(self) -> list[Any]:
        """The layers, without an ``Input``."""
        return [layer for layer in self if not isinstance(layer, Input)]

    def _build(self, shape: tuple[int | None, ...]) -> None:
        sizes = tuple(1 if size is None else size for size in shape)
        table = any(type(layer).__name__ == "Embedding" for layer in self)
        with evaluating(self):
            self(np.zeros((1, *sizes), np.int64 if table else np.float32))


class Model(LazyCompile):
    """Base class of models with a ``call``: layers are assigned in ``__init__``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        if args or "inputs" in options:
            raise ArgumentError(
                "Model: inputs and outputs are given, expected a subclass with a call(), or Sequential"
            )
        self.name = options.get("name") or type(self).__name__.lower()

    def call(self, *inputs: Any) -> Any:
        """The computation."""
        raise TypeError(f"{type(self).__name__} defines no call()")

    def forward(self, *inputs: Any, training: bool | None = None) -> Any:
        return self.call(*inputs)
