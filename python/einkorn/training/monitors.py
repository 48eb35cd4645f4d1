"""Callbacks that watch one figure of the logs and know which way is better."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from einkorn._console import say
from einkorn.checkpoint import check_path
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.training.callbacks import Callback, Logs
from einkorn.training.state import state_of

__all__ = ["EarlyStopping", "ModelCheckpoint", "Monitor"]

# What Keras knows to get better by growing, or by shrinking. Names may go before, as in "top_accuracy".
_GROWS = (
    "accuracy",
    "acc",
    "auc",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
    "f1",
    "f1_score",
    "fbeta_score",
    "r2_score",
    "iou",
    "cosine_similarity",
)
_SHRINKS = ("loss", "error", "crossentropy", "cross_entropy", "mse", "mae", "mape", "msle", "rmse", "hinge")


def _direction(monitor: str) -> str | None:
    """ "max" or "min", from the name of a figure; None if it does not tell."""
    name = monitor.removeprefix("val_").lower()

    def ends(words: tuple[str, ...]) -> bool:
        return any(name == word or name.endswith("_" + word) for word in words)

    if ends(_SHRINKS):
        return "min"
    return "max" if ends(_GROWS) else None


def _flag(owner: str, name: str, value: Any) -> bool:
    if value not in (0, 1):
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected True or False")
    return bool(value)


def _frequency(owner: str, value: Any) -> Any:
    """ "epoch", or a number of batches."""
    if isinstance(value, str) and value == "epoch":
        return value
    try:
        batches = operator.index(value)
    except TypeError:
        batches = 0
    if isinstance(value, (bool, np.bool_)) or batches < 1:
        raise ArgumentError(f"{owner}: save_freq is {value!r}, expected 'epoch' or an integer >= 1")
    return batches


def _figure(owner: str, name: str, value: Any) -> float | None:
    """A figure to begin with, or None."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected a number or None")
    return float(value)


class Monitor(Callback):
    """A callback that watches one figure."""

    adds: tuple[str, ...] = ()  # figures that it puts into the logs itself

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        name = type(self).__name__
        if not isinstance(monitor, str):
            raise ArgumentError(f"{name}: monitor is {monitor!r}, expected the name of a figure")
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f"{name}: mode is {mode!r}, expected one of auto, min, max")
        if (
            isinstance(min_delta, bool)
            or not isinstance(min_delta, (int, float))
            or not math.isfinite(min_delta)
        ):
            raise ArgumentError(f"{name}: min_delta is {min_delta!r}, expected a number")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None
        self._expected = False  # the figure was promised, so it may be missing from some epochs

    def prepare(self, figures: list[str], open_ended: bool) -> None:
        """Before the first epoch: can the work be done?

        Parameters
        ----------
        figures : list of str
            What the logs of an epoch will hold.
        open_ended : bool
            Whether other callbacks may add to them.
        """
        self._expected = self.monitor in figures
        if not self._expected and not open_ended:
            raise self._missing(figures)
        self._way()

    def _missing(self, figures: Any) -> ArgumentError:
        return ArgumentError(
            f"{type(self).__name__}: monitor is {self.monitor!r}, expected one of {', '.join(figures)}"
            + ("" if any(k.startswith("val_") for k in figures) else " (fit got no validation data)")
        )

    def _way(self) -> str:
        """ "min" or "max"."""
        way = _direction(self.monitor) if self.mode == "auto" else self.mode
        if way is None:
            raise ArgumentError(
                f"{type(self).__name__}: monitor is {self.monitor!r}, whose name does not tell which way is "
                "better: give mode='min' or mode='max'"
            )
        return way

    def _value(self, logs: Logs) -> float | None:
        """The figure, or None in an epoch without validation."""
        if self.monitor in logs:
            value = logs[self.monitor]
            if np.ndim(value):
                raise ArgumentError(
                    f"{type(self).__name__}: monitor is {self.monitor!r}, which is an array of "
                    f"{np.size(value)} numbers, expected a figure of one"
                )
            return value
        if self._expected:
            return None
        raise self._missing(logs)

    def _improves(self, value: float, reference: float | None) -> bool:
        """Better than the reference by more than min_delta. NaN never is."""
        if reference is None or math.isnan(reference):
            return not math.isnan(value)
        if self._way() == "max":
            return operator.gt(value - self.min_delta, reference)
        return operator.lt(value + self.min_delta, reference)


class EarlyStopping(Monitor):
    """Stop when a figure no longer improves, and say so.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        A smaller change is no improvement.
    patience : int, default 0
        Epochs without improvement after which the training stops.
    verbose : int, default 0
        Whether to print why it stopped. It is printed in any case where ``fit`` prints, and is in the
        history as ``stop_reason``.
    mode : "auto", "min" or "max", default "auto"
        Which way is better. "auto" knows losses, errors and the usual metrics by their names; another
        monitor needs the mode.
    baseline : float, optional
        What must be surpassed before an epoch counts as an improvement.
    restore_best_weights : bool, default False
        Whether the model ends with the state of its best epoch instead of its last.
    start_from_epoch : int, default 0
        Epochs that are not looked at.

    Attributes
    ----------
    best, best_epoch : float or None, int
        The best figure and its epoch, counted from 0.
    stopped_epoch : int
        The epoch that was the last, counted from 0; 0 if it did not stop.
    wait : int
        Epochs since the last improvement.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        for name, value in (("patience", patience), ("start_from_epoch", start_from_epoch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ArgumentError(f"EarlyStopping: {name} is {value!r}, expected an integer >= 0")
        self.patience = patience
        self.verbose = _flag("EarlyStopping", "verbose", verbose)
        self.baseline = _figure("EarlyStopping", "baseline", baseline)
        self.restore_best_weights = _flag("EarlyStopping", "restore_best_weights", restore_best_weights)
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self.best = None
        self.best_epoch = 0
        self.stopped_epoch = 0
        self.wait = 0
        self._best_state: dict[str, Any] | None = None
        self._reason: str | None = None

    def state_dict(self) -> dict[str, Any]:
        names = ("best", "best_epoch", "stopped_epoch", "wait")
        return {
            **{name: getattr(self, name) for name in names},
            "state": self._best_state,
            "why": self._reason,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]
        self.best_epoch, self.stopped_epoch = int(state["best_epoch"]), int(state["stopped_epoch"])
        self.wait, self._best_state, self._reason = int(state["wait"]), state["state"], state["why"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._value(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._best_state = {k: v.copy() for k, v in self.model.state_dict().items()}
            if self.baseline is None or self._improves(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            state_of(self.model).stop_training = True
            self._reason = (
                f"Epoch {epoch + 1}: stopped early: {self.monitor} has not improved for {self.wait} epochs"
            )
            if self.best is not None:
                self._reason += f"; the best was {self.best:.5g} in epoch {self.best_epoch + 1}"
            history = state_of(self.model).history
            if history is not None:
                history.stop_reason = self._reason

    def on_train_end(self, logs: Logs | None = None) -> None:
        restored = self._best_state is not None
        if self._best_state is not None:
            self.model.load_state_dict(self._best_state)
            self._best_state = None
        if self._reason is not None and (self.verbose or self.params.get("verbose")):
            say(self._reason + (", whose weights are restored" if restored else ""))


class ModelCheckpoint(Monitor):
    """Save the model after each epoch, or after each that improved.

    The best figure is remembered from one ``fit`` to the next, and the count of batches, as in Keras. What
    can be checked is checked before the first epoch: the folder, the fields of the name, and the monitor.

    Parameters
    ----------
    filepath : str or path
        May hold fields such as "model-{epoch:02d}-{val_loss:.3f}.safetensors"; epoch counts from 1.
    monitor : str, default "val_loss"
        Watched only with ``save_best_only``.
    verbose : int, default 0
        Whether to print what is saved.
    save_best_only : bool, default False
    save_weights_only : bool, default False
        Write only the arrays, for ``load_weights``. So is always written a model that a file cannot describe
        (see ``einkorn.save``).
    mode : "auto", "min" or "max", default "auto"
        As for ``EarlyStopping``.
    save_freq : "epoch" or int, default "epoch"
        Or after so many batches; names then may hold {batch}, and the figures are those so far.
    initial_value_threshold : float, optional
        What must be surpassed before anything is saved, with ``save_best_only``.
    keep : int, keyword-only, optional
        How many files stay: when a name with fields gives more, the oldest is removed.
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        keep: int | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 1):
            raise ArgumentError(f"ModelCheckpoint: keep is {keep!r}, expected an integer >= 1 or None")
        self.keep = keep
        self._kept: list[str] = []
        check_path("ModelCheckpoint", filepath, "filepath")
        self.filepath = Path(filepath)
        self.verbose = _flag("ModelCheckpoint", "verbose", verbose)
        self.save_best_only = _flag("ModelCheckpoint", "save_best_only", save_best_only)
        self.save_weights_only = _flag("ModelCheckpoint", "save_weights_only", save_weights_only)
        self.save_freq = _frequency("ModelCheckpoint", save_freq)
        self.best = _figure("ModelCheckpoint", "initial_value_threshold", initial_value_threshold)
        self._batches = 0
        self._epoch = 0

    def prepare(self, figures: list[str], open_ended: bool) -> None:
        if self.save_freq != "epoch":
            figures = [name for name in figures if not name.startswith("val_")]
        if self.save_best_only:
            super().prepare(figures, open_ended)
        fields = dict.fromkeys(figures, 0.0)
        if self.save_freq != "epoch":
            fields["batch"] = 1
        try:
            sample = Path(self._named(1, fields))
        except KeyError:
            if not open_ended:
                raise self._unfillable(fields) from None
            return
        except (IndexError, ValueError, AttributeError) as error:
            raise self._unfillable(fields) from error
        folder = sample.parent
        if "{" in str(self.filepath.parent):  # a folder for each epoch is made when it is needed
            return
        if not folder.is_dir():
            raise CheckpointError(f"ModelCheckpoint: {self.filepath}: there is no folder {folder}")
        try:
            taken = sample.is_dir()
        except OSError as error:  # a name that is too long
            raise CheckpointError(f"ModelCheckpoint: {self.filepath}: {error.strerror}") from error
        if taken or not os.access(folder, os.W_OK):
            raise CheckpointError(f"ModelCheckpoint: {self.filepath}: cannot be written")

    def _named(self, epoch: int, logs: Any) -> str:
        name = str(self.filepath)
        for _, field, *_ in Formatter().parse(name):
            if field and not field.isidentifier():  # what a figure has inside names no file
                raise AttributeError(field)
        return name.format(epoch=epoch, **logs)

    def _unfillable(self, logs: Any) -> ArgumentError:
        return ArgumentError(
            f"ModelCheckpoint: filepath {str(self.filepath)!r} cannot be filled in; there is "
            f"{', '.join(['epoch', *logs])}"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "batches": self._batches, "epoch": self._epoch, "kept": list(self._kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self._kept = state["best"], [str(path) for path in state["kept"]]
        self._batches, self._epoch = int(state["batches"]), int(state["epoch"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._save(self._epoch, {**(logs or {}), "batch": batch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Any) -> None:
        value = None
        if self.save_best_only:
            value = self._value(logs)
            if value is None or not self._improves(value, self.best):
                return
        try:
            path = Path(self._named(epoch + 1, logs))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self._unfillable(logs) from error
        from einkorn import checkpoint

        if "{" in str(self.filepath.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        whole = not self.save_weights_only and checkpoint.can_describe(self.model)
        (checkpoint.save if whole else checkpoint.save_weights)(self.model, path)
        if value is not None:
            self.best = value
        self._remove_old(str(path))
        if self.verbose:
            why = "" if value is None else f": {self.monitor} improved to {value:.5g}"
            say(f"Epoch {epoch + 1}{why}: saved {path}")

    def _remove_old(self, newest: str) -> None:
        self._kept = [path for path in self._kept if path != newest] + [newest]
        while self.keep is not None and len(self._kept) > self.keep:
            Path(self._kept.pop(0)).unlink(missing_ok=True)
