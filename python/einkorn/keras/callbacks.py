"""Keras' callbacks, which are those of ``einkorn.training``."""

from typing import Any

from einkorn import training
from einkorn.keras.models import check_name
from einkorn.training import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]


class ModelCheckpoint(training.ModelCheckpoint):
    """Writes weights while ``fit`` goes on; arguments as :class:`einkorn.training.ModelCheckpoint`.

    The file's name must not end in .keras or .h5, which are formats that are not written here.
    """

    def __init__(self, filepath: Any, *more: Any, **options: Any) -> None:
        check_name(filepath, "ModelCheckpoint")
        super().__init__(filepath, *more, **options)
