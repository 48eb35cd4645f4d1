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
    "applications": "",
    "backend": "",
    "callbacks": "",
    "config": "",
    "constraints": "",
    "datasets": "",
    "dtype_policies": "",
    "initializers": "",
    "layers": "",
    "losses": "",
    "metrics": "",
    "mixed_precision": "",
    "models": "",
    "ops": "",
    "optimizers": "",
    "preprocessing": "",
    "random": "",
    "regularizers": "",
    "saving": "",
    "tree": "",
    "utils": "",
    "wrappers": "",
    "DTypePolicy": "dtype_policies",
    "Initializer": "initializers",
    "Input": "layers",
    "InputSpec": "layers",
    "Layer": "layers",
    "KerasTensor": "_symbols",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "Variable": "_variables",
    "device": "_scopes",
    "name_scope": "_scopes",
    "remat": "_scopes",
    "version": "_scopes",
}

_OTHERS = "modules of other libraries do not run here"
# Keras' names that are not here, and what to do instead.
_INSTEAD = {
    "distillation": "a Model with a train_step of its own learns from another one's outputs",
    **dict.fromkeys(("distribution", "RematScope", "SymbolicScope"), "one process computes here, at once"),
    "export": "model.save writes safetensors, which torch and NumPy read",
    "FloatDTypePolicy": "DTypePolicy is the one of floats",
    **dict.fromkeys(("Function", "Operation"), "Model and Layer are called with symbolic tensors, too"),
    "legacy": "names of Keras 2 are not kept",
    **dict.fromkeys(("quantizers", "Quantizer"), "einkorn.quantization makes linear layers of eight bits"),
    "StatelessScope": "einkorn.func.functional_call calls a model with other weights",
    "visualization": "einkorn.vision has boxes, and einkorn.data.augment.plot_augmented shows images",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.keras import (
        activations,
        applications,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        dtype_policies,
        initializers,
        layers,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        tree,
        utils,
        wrappers,
    )
    from einkorn.keras._scopes import device, name_scope, remat, version
    from einkorn.keras._symbols import KerasTensor
    from einkorn.keras._variables import Variable
    from einkorn.keras.dtype_policies import DTypePolicy
    from einkorn.keras.initializers import Initializer
    from einkorn.keras.layers import Input, InputSpec, Layer
    from einkorn.keras.losses import Loss
    from einkorn.keras.metrics import Metric
    from einkorn.keras.models import Model, Sequential
    from einkorn.keras.optimizers import Optimizer
    from einkorn.keras.regularizers import Regularizer

__version__ = "3.15.0"  # of Keras whose names these are
__getattr__, __dir__ = later(__name__, _HOMES, _INSTEAD)
