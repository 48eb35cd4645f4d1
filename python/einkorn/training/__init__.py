"""Training in the style of Keras: ``compile``, ``fit``, ``evaluate``, ``predict``, callbacks, history.

The verbs are methods of every ``einkorn.nn.Module``, by way of ``Trainable``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from einkorn.training.backup import BackupAndRestore
from einkorn.training.callbacks import (
    Callback,
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    TerminateOnNaN,
)
from einkorn.training.history import History
from einkorn.training.metrics import accuracy
from einkorn.training.monitors import EarlyStopping, ModelCheckpoint
from einkorn.training.plateau import ReduceLROnPlateau
from einkorn.training.snapshot import load_training, save_training
from einkorn.training.tensorboard import TensorBoard
from einkorn.training.trainable import Trainable

# What builds on modules, which know of training: imported when it is asked for.
_LATER = {
    "GradientFlow": "flow",
    "gradient_flow": "flow",
    "RangeTest": "range_test",
    "lr_range_test": "range_test",
    "plots": "",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'einkorn.training' has no attribute {name!r}")
    home = importlib.import_module(f"einkorn.training.{_LATER[name] or name}")
    return home if not _LATER[name] else getattr(home, name)


if TYPE_CHECKING:
    from einkorn.training import plots
    from einkorn.training.flow import GradientFlow, gradient_flow
    from einkorn.training.range_test import RangeTest, lr_range_test

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "GradientFlow",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "RangeTest",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "Trainable",
    "accuracy",
    "gradient_flow",
    "load_training",
    "lr_range_test",
    "plots",
    "save_training",
]
