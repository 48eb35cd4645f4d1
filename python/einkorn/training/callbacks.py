"""Callbacks: what ``fit`` calls at the borders of the training, of epochs and of batches."""

from __future__ import annotations

import csv
import math
import operator
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from einkorn.errors import ArgumentError, EinkornError
from einkorn.optim.lr_scheduler import LRScheduler

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
]

Logs = dict[str, float]


class Callback:
    """Base class: override what is needed.

    Attributes
    ----------
    model : Module
        The model in training; set ``model.stop_training = True`` to end after this epoch.
    params : dict
        "epochs", "steps" (batches of an epoch) and "verbose".
    """

    model: Any = None
    params: Mapping[str, Any] = MappingProxyType({})

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, also when the user interrupted the training."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation; what is put into ``logs`` goes into the history."""

    def on_batch_begin(self, batch: int) -> None:
        """Before a batch, counted from 0 within the epoch."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch's update; ``logs`` holds the averages of the epoch so far."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_train_begin, on_train_end, on_epoch_begin, on_epoch_end, on_batch_begin, on_batch_end :
        callable, optional, keyword-only
        With the arguments of ``Callback``'s methods.
    """

    def __init__(self, **functions: Callable[..., None]) -> None:
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                valid = [key for key in vars(Callback) if key.startswith("on_")]
                raise ArgumentError(f"LambdaCallback: got {name}, expected some of {', '.join(valid)}")
            if not callable(function):
                raise ArgumentError(f"LambdaCallback: {name} is {function!r}, expected a function")
            setattr(self, name, function)


class _Monitor(Callback):
    """A callback that watches one figure of the logs and knows which way is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        name = type(self).__name__
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f"{name}: mode is {mode!r}, expected one of auto, min, max")
        if mode == "auto":
            mode = "max" if monitor.endswith(("accuracy", "acc")) else "min"
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self._better = operator.gt if mode == "max" else operator.lt
        self.best = self._worst()

    def _worst(self) -> float:
        return -math.inf if self.mode == "max" else math.inf

    def _value(self, logs: Logs) -> float:
        if self.monitor not in logs:
            raise ArgumentError(
                f"{type(self).__name__}: monitor is {self.monitor!r}, expected one of "
                f"{', '.join(logs)}"
                + ("" if any(k.startswith("val_") for k in logs) else " (fit got no validation data)")
            )
        return logs[self.monitor]

    def _improved(self, value: float) -> bool:
        """Better than the best by more than min_delta. NaN never is."""
        margin = self.min_delta if self.mode == "max" else -self.min_delta
        return self._better(value - margin, self.best)


class EarlyStopping(_Monitor):
    """Stop when a figure no longer improves.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        A smaller change is no improvement.
    patience : int, default 0
        Epochs without improvement after which the training stops.
    restore_best_weights : bool, default False
        Whether the model ends with the state of its best epoch instead of its last.
    mode : "auto", "min" or "max", default "auto"
        Which way is better; "auto" takes "max" for accuracies.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        restore_best_weights: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 0:
            raise ArgumentError(f"EarlyStopping: patience is {patience!r}, expected an integer >= 0")
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self.on_train_begin()

    def on_train_begin(self) -> None:
        self.best = self._worst()
        self.best_epoch = 0
        self.stopped_epoch: int | None = None
        self.wait = 0
        self._best_state: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self._value(logs)
        if self._improved(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self._best_state = {k: v.copy() for k, v in self.model.state_dict().items()}
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self) -> None:
        if self._best_state is not None:
            self.model.load_state_dict(self._best_state)
            self._best_state = None


class ModelCheckpoint(_Monitor):
    """Save the model after each epoch, or after each that improved.

    Parameters
    ----------
    filepath : str or path
        May hold fields such as "model-{epoch:02d}-{val_loss:.3f}.safetensors"; epoch counts
        from 1.
    monitor : str, default "val_loss"
        Watched only with ``save_best_only``.
    save_best_only : bool, default False
    save_weights_only : bool, default False
        Write only the arrays, as any Module can; else the model must be a registered one, so
        that ``einkorn.load`` rebuilds it.
    mode : "auto", "min" or "max", default "auto"
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = Path(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only

    def on_train_begin(self) -> None:
        self.best = self._worst()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            value = self._value(logs)
            if not self._improved(value):
                return
            self.best = value
        try:
            path = str(self.filepath).format(epoch=epoch + 1, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise ArgumentError(
                f"ModelCheckpoint: filepath {str(self.filepath)!r} cannot be filled in; there is "
                f"epoch, {', '.join(logs)}"
            ) from error
        from einkorn import checkpoint

        (checkpoint.save_weights if self.save_weights_only else checkpoint.save)(self.model, path)


class CSVLogger(Callback):
    """Write the figures of each epoch as a line of a CSV file, as soon as they are known.

    Parameters
    ----------
    filename : str or path
    separator : str, default ","
    append : bool, default False
        Whether to go on with an existing file instead of replacing it.
    """

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._keys: list[str] | None = None

    def on_train_begin(self) -> None:
        self._keys = None
        if not self.append:
            self.filename.write_text("", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self._keys is None:
                self._keys = list(logs)
                if file.tell() == 0:
                    writer.writerow(["epoch", *self._keys])
            writer.writerow([epoch, *(logs.get(key, "") for key in self._keys)])


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch; the history gets it as "lr".

    Parameters
    ----------
    schedule : callable or LRScheduler
        ``schedule(epoch, lr)`` gives the new rate of all groups before each epoch, or a schedule
        of ``einkorn.optim.lr_scheduler`` is stepped after each.
    """

    def __init__(self, schedule: Callable[[int, float], float] | LRScheduler) -> None:
        if not callable(schedule) and not isinstance(schedule, LRScheduler):
            raise ArgumentError(
                f"LearningRateScheduler: schedule is {type(schedule).__name__}, expected a "
                "function of epoch and rate or a schedule of einkorn.optim.lr_scheduler"
            )
        self.schedule = schedule

    def on_train_begin(self) -> None:
        if isinstance(self.schedule, LRScheduler) and (self.schedule.optimizer is not self.model.optimizer):
            raise EinkornError(
                "LearningRateScheduler: the schedule was made for another optimizer than model.optimizer"
            )

    def on_epoch_begin(self, epoch: int) -> None:
        if isinstance(self.schedule, LRScheduler):
            return
        groups = self.model.optimizer.param_groups
        rate = self.schedule(epoch, groups[0]["lr"])
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate >= 0:
            raise ArgumentError(f"LearningRateScheduler: the schedule gave {rate!r}, expected a number >= 0")
        for group in groups:
            group["lr"] = float(rate)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        logs["lr"] = self.model.optimizer.param_groups[0]["lr"]
        if isinstance(self.schedule, LRScheduler):
            self.schedule.step()
