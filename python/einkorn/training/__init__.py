"""Training in the style of Keras: ``compile``, ``fit``, ``evaluate``, ``predict``, callbacks, history.

The verbs are methods of every ``einkorn.nn.Module``, by way of ``Trainable``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.training.NAME, and the module it lives in ("": it is that module).
_HOMES = {
    "plots": "",
    "WeightAveraging": "averaging",
    "BackupAndRestore": "backup",
    "CSVLogger": "callbacks",
    "Callback": "callbacks",
    "LambdaCallback": "callbacks",
    "LearningRateScheduler": "callbacks",
    "TerminateOnNaN": "callbacks",
    "GradientFlow": "flow",
    "gradient_flow": "flow",
    "History": "history",
    "accuracy": "metrics",
    "EarlyStopping": "monitors",
    "ModelCheckpoint": "monitors",
    "ReduceLROnPlateau": "plateau",
    "RangeTest": "range_test",
    "lr_range_test": "range_test",
    "load_training": "snapshot",
    "save_training": "snapshot",
    "TensorBoard": "tensorboard",
    "Trainable": "trainable",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.training import plots
    from einkorn.training.averaging import WeightAveraging
    from einkorn.training.backup import BackupAndRestore
    from einkorn.training.callbacks import (
        Callback,
        CSVLogger,
        LambdaCallback,
        LearningRateScheduler,
        TerminateOnNaN,
    )
    from einkorn.training.flow import GradientFlow, gradient_flow
    from einkorn.training.history import History
    from einkorn.training.metrics import accuracy
    from einkorn.training.monitors import EarlyStopping, ModelCheckpoint
    from einkorn.training.plateau import ReduceLROnPlateau
    from einkorn.training.range_test import RangeTest, lr_range_test
    from einkorn.training.snapshot import load_training, save_training
    from einkorn.training.tensorboard import TensorBoard
    from einkorn.training.trainable import Trainable

__getattr__, __dir__ = later(__name__, _HOMES)
