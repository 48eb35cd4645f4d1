"""Layers around another layer, or around several that prepare data."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn._objects import described, made
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer
from einkorn.keras._variables import Place, variables_of

__all__ = ["Pipeline", "SpectralNormalization", "Wrapper"]


class Wrapper(Layer):
    """Base class of layers that have another one, as ``layer``; ``call`` is yours.

    Parameters
    ----------
    layer : Layer
    """

    def __init__(self, layer: Any, **options: Any) -> None:
        if not isinstance(layer, Layer):
            raise ArgumentError(f"{type(self).__name__}: layer is {type(layer).__name__}, expected a Layer")
        super().__init__(**options)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer._end_of_build()
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The layer, and what all layers have."""
        return {**super().get_config(), "layer": described(self.layer)}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        """A layer from what ``get_config`` gave."""
        given = dict(config)
        layer = given.pop("layer")
        return cls(layer if isinstance(layer, Layer) else made(layer), **given)


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value at each step (Miyato et al. 2018).

    Parameters
    ----------
    layer : Layer
        With a ``kernel``, or a table of ``embeddings``.
    power_iterations : int, default 1
        How often the estimate of the singular value is bettered in a step.
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **options: Any) -> None:
        super().__init__(layer, **options)
        if not isinstance(power_iterations, int) or power_iterations < 1:
            raise ArgumentError(
                f"SpectralNormalization: power_iterations is {power_iterations!r}, expected an integer >= 1"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        self.vector_u = self.add_weight(
            (1, self._kernel().shape[-1]), "truncated_normal", trainable=False, name="vector_u"
        )

    def _kernel(self) -> Any:
        for variable in self.layer.weights:
            if getattr(variable, "name", "") in ("kernel", "embeddings"):
                return variable
        raise ArgumentError(f"SpectralNormalization: {self.layer.name} has neither kernel nor embeddings")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            self._normalize()
        return self.layer(inputs)

    def _normalize(self) -> None:
        kernel = self._kernel()
        values = np.asarray(kernel.numpy())
        table = values.reshape(-1, values.shape[-1])
        if not table.any():
            return
        u = self.vector_u._data
        for _ in range(self.power_iterations):
            v = _unit(u @ table.T)
            u = _unit(v @ table)
        kernel.assign(values / (v @ table @ u.T).item())
        self.vector_u.assign(u)

    def _keras_places(self) -> list[Place] | None:
        if not self.built:
            return []
        places = [variable._place for variable in variables_of(self.layer)]
        kernel = next(place for place in places if place.name in ("kernel", "embeddings"))
        others = [place for place in places if place is not kernel]
        return [kernel, Place("vector_u", self, "vector_u"), *others]


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.sqrt(max(float((vector**2).sum()), 1e-12))
    return unit


class Pipeline(Layer):
    """Layers that prepare data, one after the other.

    Parameters
    ----------
    layers : list of layers
    """

    training: bool = True  # by hand too: layers within say themselves what they do

    def __init__(self, layers: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self.parts = list(layers)

    @property
    def layers(self) -> list[Any]:
        """The layers."""
        return list(self.parts)

    def call(self, inputs: Any, training: bool = True) -> Any:
        for layer in self.parts:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Name and layers."""
        return {"name": self.name, "layers": [described(layer) for layer in self.parts]}

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """A layer from what ``get_config`` gave."""
        layers = [layer if isinstance(layer, Layer) else made(layer) for layer in config["layers"]]
        return cls(layers, name=config.get("name"))
