"""Keras' names over einkorn's modules: programs of the usual kind run with their imports changed.

``from einkorn import keras``, then ``keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(32, 3),
...])``. Images have their channels last. What is not here is refused by name.
"""

from einkorn import metrics
from einkorn.keras import callbacks, datasets, layers, losses, models, optimizers, utils
from einkorn.keras.layers import Input
from einkorn.keras.models import Model, Sequential
from einkorn.nn import constraints, initializers, regularizers

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "utils",
]
