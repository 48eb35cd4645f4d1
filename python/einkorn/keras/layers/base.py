"""The base class of layers, where programs look for it."""

from einkorn.keras._base import Layer

__all__ = ["Layer"]
