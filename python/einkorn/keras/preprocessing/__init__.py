"""Keras' name for what makes pictures ready."""

from einkorn.keras.preprocessing import image

__all__ = ["image"]
