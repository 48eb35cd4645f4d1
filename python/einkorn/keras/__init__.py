"""Keras' names over einkorn's modules: programs of the usual kind run with their imports changed.

``from einkorn import keras``, then ``keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(32, 3),
...])``, or ``keras.Model(inputs, outputs)``. Images have their channels last. What is not here is refused by
name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.keras.NAME, and the module it lives in ("": it is that module).
_HOMES = {
    "activations": "",
    "backend": "",
    "callbacks": "",
    "constraints": "",
    "datasets": "",
    "initializers": "",
    "layers": "",
    "losses": "",
    "metrics": "",
    "models": "",
    "ops": "",
    "optimizers": "",
    "preprocessing": "",
    "random": "",
    "regularizers": "",
    "saving": "",
    "utils": "",
    "Input": "layers",
    "Layer": "layers",
    "KerasTensor": "_symbols",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Optimizer": "optimizers",
    "Sequential": "models",
    "Variable": "_variables",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.keras import (
        activations,
        backend,
        callbacks,
        constraints,
        datasets,
        initializers,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        utils,
    )
    from einkorn.keras._symbols import KerasTensor
    from einkorn.keras._variables import Variable
    from einkorn.keras.layers import Input, Layer
    from einkorn.keras.losses import Loss
    from einkorn.keras.metrics import Metric
    from einkorn.keras.models import Model, Sequential
    from einkorn.keras.optimizers import Optimizer

__getattr__, __dir__ = later(__name__, _HOMES)
