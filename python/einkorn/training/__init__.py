"""Training in the style of Keras: ``compile``, ``fit``, ``evaluate``, ``predict``, callbacks, history.

The verbs are methods of every ``einkorn.nn.Module``, by way of ``Trainable``.
"""

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
from einkorn.training.snapshot import load_training, save_training
from einkorn.training.trainable import Trainable

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "TerminateOnNaN",
    "Trainable",
    "accuracy",
    "load_training",
    "save_training",
]
