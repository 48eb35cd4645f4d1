"""The base class of layers, where programs look for it."""

from einkorn.keras._base import Layer
from einkorn.keras._serialize import deserialize, serialize

__all__ = ["Layer", "deserialize", "serialize"]
