"""Keras' callbacks, which are those of ``einkorn.training``."""

from typing import Any

from einkorn import training
from einkorn._near import finding
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


_INSTEAD = {
    "CallbackList": "fit takes a list of callbacks and keeps it",
    "OrbaxCheckpoint": "ModelCheckpoint and BackupAndRestore write the library's own files",
    "ProgbarLogger": "fit shows its progress itself: verbose=0, 1 or 2",
    "RemoteMonitor": "a LambdaCallback may send logs anywhere",
    "SwapEMAWeights": "einkorn.training.WeightAveraging averages weights",
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
