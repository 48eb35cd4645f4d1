"""Keras' callbacks, which are those of ``einkorn.training``."""

from typing import Any

from einkorn import training
from einkorn._near import finding
from einkorn.errors import ArgumentError
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
    "SwapEMAWeights",
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


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the averages of an optimizer with ``use_ema``.

    Parameters
    ----------
    swap_on_epoch : bool, default False
        Whether the averages are the weights also from each epoch's end to the next one's beginning, when
        other callbacks write them down.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch, self._in_place = bool(swap_on_epoch), False

    def _swap(self, in_place: bool) -> None:
        if self._in_place != in_place:
            swap = getattr(self.model.optimizer, "swap_averages", None)
            if swap is None:
                raise ArgumentError("SwapEMAWeights: the optimizer has no averages, expected use_ema=True")
            swap()
            self._in_place = in_place

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Go on with the weights."""
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Show the averages."""
        if self.swap_on_epoch and not self._in_place:
            self._swap(True)
            if (
                epoch == self.params["epochs"] - 1
            ):  # the training's end makes weights of what is kept as averages
                self.model.optimizer.keep_averages()

    def on_test_begin(self, logs: Any = None) -> None:
        """Take the averages."""
        self._swap(True)

    def on_test_end(self, logs: Any = None) -> None:
        """Go back to the weights."""
        self._swap(False)

    def on_predict_begin(self, logs: Any = None) -> None:
        """Take the averages."""
        self._swap(True)

    def on_predict_end(self, logs: Any = None) -> None:
        """Go back to the weights."""
        self._swap(False)


_INSTEAD = {
    "CallbackList": "fit takes a list of callbacks and keeps it",
    "OrbaxCheckpoint": "ModelCheckpoint and BackupAndRestore write the library's own files",
    "ProgbarLogger": "fit shows its progress itself: verbose=0, 1 or 2",
    "RemoteMonitor": "a LambdaCallback may send logs anywhere",
}
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
