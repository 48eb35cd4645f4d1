"""The base class of layers, where programs look for it."""

from einkorn.keras._base import Layer
from einkorn.keras._serialize import deserialize, serialize
from einkorn.keras._specs import InputSpec

__all__ = ["InputSpec", "Layer", "deserialize", "serialize"]
