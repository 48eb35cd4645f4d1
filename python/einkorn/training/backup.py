"""``BackupAndRestore``: a training that is killed goes on, bit for bit, where it was kept last."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import Any

from einkorn._console import say
from einkorn.checkpoint import check_path
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.training.callbacks import Callback, Logs
from einkorn.training.monitors import _flag, _frequency
from einkorn.training.snapshot import read_snapshot, write_snapshot
from einkorn.training.state import state_of

__all__ = ["BackupAndRestore"]

_NAME = "training.safetensors"
_EARLIER = "training-before.safetensors"


class BackupAndRestore(Callback):
    """Keep the training, and go on from what was kept when ``fit`` is called again with the same arguments.

    Kept are the model, the optimizer, what other callbacks remember (schedules, best figures, waiting
    epochs), the history, the place in the data, the figures of the epoch so far, and the state of einkorn's,
    NumPy's and Python's random numbers. So the weights, the figures and the history are those of the
    training that was never interrupted. The file is replaced as a whole: a process that is killed while it
    writes leaves the one before.

    Parameters
    ----------
    backup_dir : str or path
        A folder for this training alone; made if it is not there.
    save_freq : "epoch" or int, default "epoch"
        After each epoch, or after so many batches, counted over all epochs.
    double_checkpoint : bool, default False
        Whether the file before the last one stays too: it is gone back to where the last one turns out to be
        damaged.
    delete_checkpoint : bool, default True
        Whether the file is removed when the training has come to its end.

    Raises
    ------
    CheckpointError
        From ``fit``: the folder cannot be written, or what was kept does not fit the model.
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        check_path("BackupAndRestore", backup_dir, "backup_dir")
        if not os.fspath(backup_dir):
            raise ArgumentError("BackupAndRestore: backup_dir is empty, expected a folder")
        self.backup_dir = Path(backup_dir)
        self.save_freq = _frequency("BackupAndRestore", save_freq)
        if not isinstance(double_checkpoint, bool):  # 1 here is a frequency that came third
            raise ArgumentError(
                f"BackupAndRestore: double_checkpoint is {double_checkpoint!r}, expected True or False"
            )
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = _flag("BackupAndRestore", "delete_checkpoint", delete_checkpoint)
        self._batches = 0
        self._ended = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.backup_dir / _NAME

    @property
    def earlier(self) -> Path:
        """The file before it, with ``double_checkpoint``."""
        return self.backup_dir / _EARLIER

    def look(self) -> None:
        """Hand what was kept to the training that begins."""
        self._ended = False
        self._batches = 0
        try:
            self.backup_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"BackupAndRestore: {self.backup_dir}: {error.strerror}") from error
        run = state_of(self.model).run
        if run is None:
            return
        there = [path for path in (self.path, self.earlier) if path.is_file()]
        if not there:
            return
        try:
            run.pending = read_snapshot(there[0])
        except CheckpointError as error:
            if not self.double_checkpoint or len(there) < 2:
                raise
            say(f"{error}: going back to {there[1]}")
            run.pending = read_snapshot(there[1])
        if self.params.get("verbose"):
            epoch, done = run.pending["epoch"], run.pending["done"]
            say(f"going on in epoch {epoch + 1}" + (f", after batch {done}" if done else ""))

    def after_batch(self) -> None:
        """Keep the training within an epoch, once every other callback has seen the batch."""
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._keep()

    def after_epoch(self, epoch: int) -> None:
        """Keep the training between two epochs, unless batches are counted."""
        self._ended = state_of(self.model).stop_training or epoch + 1 == self.params.get("epochs")
        if self.save_freq == "epoch":
            self._keep()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._ended and self.delete_checkpoint:
            self.path.unlink(missing_ok=True)
            self.earlier.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self._batches}

    def load_state_dict(self, state: Any) -> None:
        self._batches = int(state["batches"])

    def _keep(self) -> None:
        run = state_of(self.model).run
        if run is None:
            return
        if self.double_checkpoint and self.path.is_file():
            os.replace(self.path, self.earlier)
        write_snapshot(self.path, run.state_dict())
