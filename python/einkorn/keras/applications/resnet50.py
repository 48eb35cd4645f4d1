"""Keras' older name for where ResNet-50 is."""

from einkorn.keras.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
