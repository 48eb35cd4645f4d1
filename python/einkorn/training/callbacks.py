"""Callbacks: what ``fit``, ``evaluate`` and ``predict`` call at the borders of epochs and batches.

Methods, arguments and their order are Keras'. The two that watch a figure are in ``monitors``.
"""

from __future__ import annotations

import csv
import inspect
import io
import warnings
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from einkorn._console import say
from einkorn._files import write_text
from einkorn.checkpoint import check_path
from einkorn.errors import ArgumentError, DataError, EinkornError
from einkorn.optim.lr_scheduler import LRScheduler
from einkorn.optim.lr_scheduler import ReduceLROnPlateau as PlateauLR
from einkorn.training.figures import cell
from einkorn.training.state import state_of

__all__ = [
    "EVENTS",
    "CSVLogger",
    "Callback",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "TerminateOnNaN",
    "takes",
]

Logs = dict[str, float]


class Callback:
    """Base class: override what is needed.

    A method may leave the last argument, ``logs``, out. One whose name begins with ``on_`` and is none of
    these is refused by ``fit``, for it would never be called.

    Attributes
    ----------
    model : Module
        The model in training; set ``model.stop_training = True`` to end after this batch and epoch.
    params : dict
        "epochs", "steps" (batches of an epoch) and "verbose".
    """

    model: Any = None
    params: Mapping[str, Any] = MappingProxyType({})

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called first, with what becomes ``self.params``."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called second, with what becomes ``self.model``."""
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        """What the callback has to remember when a training is kept to be gone on with: nothing.

        Arrays, numbers, texts, None, and dicts and lists of them.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; called after ``on_train_begin``."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its figures; also when the training was interrupted or broke down."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch and its validation; what is put into ``logs`` goes into the history."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of ``fit``, counted from 0 within the epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch's update; ``logs`` holds the averages of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Another name for ``on_train_batch_end``."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before ``evaluate``, and before the validation within ``fit``."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After it, with its figures."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of ``evaluate`` or of a validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After it, with the averages so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before ``predict``."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After ``predict``."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of ``predict``."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After it; ``logs["outputs"]`` is what the model gave."""


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, on_train_batch_end :
        callable, optional
        With the arguments of ``Callback``'s methods.
    **functions : callable
        For the other methods.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., None] | None = None,
        on_epoch_end: Callable[..., None] | None = None,
        on_train_begin: Callable[..., None] | None = None,
        on_train_end: Callable[..., None] | None = None,
        on_train_batch_begin: Callable[..., None] | None = None,
        on_train_batch_end: Callable[..., None] | None = None,
        **functions: Callable[..., None] | None,
    ) -> None:
        functions |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in functions.items():
            if name not in EVENTS:
                raise ArgumentError(f"LambdaCallback: got {name}, expected some of {', '.join(EVENTS)}")
            if function is not None and not callable(function):
                raise ArgumentError(f"LambdaCallback: {name} is {function!r}, expected a function")
            if function is not None:
                setattr(self, name, function)


class TerminateOnNaN(Callback):
    """End the training quietly when a batch's loss is NaN or infinite, instead of raising.

    Parameters
    ----------
    raise_error : bool, default False
        Whether it raises after all, as ``fit`` does without this callback.
    """

    # ``fit`` looks for a callback of this kind where it meets such a loss.
    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = bool(raise_error)


class CSVLogger(Callback):
    """Write the figures of each epoch as a line of a CSV file, as soon as they are known.

    Epochs are counted from 0, as in Keras. In an epoch without validation the columns of its figures stay
    empty.

    Parameters
    ----------
    filename : str or path
    separator : str, default ","
        One character.
    append : bool, default False
        Whether to go on with an existing file instead of replacing it. The figures go below their names in
        its first line, whatever their order there.

    Raises
    ------
    ArgumentError
        From ``fit``, before the first epoch: the file cannot be written, or has no columns for the figures.
    """

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        check_path("CSVLogger", filename, "filename")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise ArgumentError(f"CSVLogger: separator is {separator!r}, expected one character")
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._keys: list[str] | None = None
        self._promised: list[str] = []
        self._told = False  # of figures without a column

    def prepare(self, figures: list[str]) -> None:
        """Before the first epoch: what its lines will hold, as far as that is known."""
        self._promised = list(figures)
        if self.append and (columns := self._columns()) is not None:
            missing = [name for name in figures if name not in columns]
            if missing:
                raise ArgumentError(
                    f"CSVLogger: filename {self.filename} has columns for {', '.join(columns)} and none for "
                    f"{', '.join(missing)}: give another file, or append=False to replace it"
                )

    def _columns(self) -> list[str] | None:
        """The figures of an existing file; None if there are no lines yet."""
        try:
            with open(self.filename, newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.separator), None)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ArgumentError(f"CSVLogger: filename {self.filename} cannot be read: {error}") from error
        if header is not None and header[:1] != ["epoch"]:
            raise ArgumentError(
                f"CSVLogger: filename {self.filename} begins with {self.separator.join(header)[:40]!r}, "
                f"expected 'epoch' and the names of figures with {self.separator!r} between them"
            )
        return None if header is None else header[1:]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._keys, self._told = None, False
        run = state_of(self.model).run
        goes_on = run is not None and run.pending is not None and self.filename.is_file()
        try:
            if goes_on and run is not None and run.pending is not None:
                self._cut(int(run.pending["epoch"]))
                return
            with open(self.filename, "a+b" if self.append else "wb") as file:
                if file.tell():
                    file.seek(-1, io.SEEK_END)
                    if file.read(1) not in (b"\n", b"\r"):  # as an editor may have left it
                        file.write(b"\n")
            self._keys = self._columns()
        except OSError as error:
            raise ArgumentError(f"CSVLogger: filename {self.filename} cannot be written: {error}") from error

    def _cut(self, epochs: int) -> None:
        """Drop the lines of epochs that are done again, and those that were never finished."""
        with open(self.filename, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file, delimiter=self.separator) if row]
        if not rows:
            return
        self._keys = rows[0][1:]
        kept = [
            row for row in rows[1:] if row[0].isdigit() and int(row[0]) < epochs and len(row) == len(rows[0])
        ]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.separator).writerows([rows[0], *kept])
        write_text(self.filename, text.getvalue())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        try:
            with open(self.filename, "a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter=self.separator)
                if self._keys is None:
                    later = [name for name in self._promised if name.startswith("val_") and name not in logs]
                    self._keys = [*logs, *later]
                    writer.writerow(["epoch", *self._keys])
                self._tell_of([name for name in logs if name not in self._keys])
                writer.writerow([epoch, *(cell(logs.get(key, "")) for key in self._keys)])
        except OSError as error:
            raise DataError(f"CSVLogger: {self.filename} cannot be written: {error}") from error

    def _tell_of(self, left_out: list[str]) -> None:
        """Say once that figures came which have no column."""
        if left_out and not self._told:
            self._told = True
            warnings.warn(
                f"CSVLogger: {self.filename} has no columns for {', '.join(left_out)}: they are left out",
                stacklevel=2,
            )


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch; the history gets it as "learning_rate".

    Parameters
    ----------
    schedule : callable or LRScheduler
        ``schedule(epoch, lr)``, or ``schedule(epoch)``, gives the new rate of all groups before each epoch,
        counted from 0; or a schedule of ``einkorn.optim.lr_scheduler`` is stepped after each.
    verbose : int, default 0
        Whether to print the rate of each epoch.
    by : "epoch" or "batch", keyword-only, default "epoch"
        When the schedule is stepped, or the function called: it then gets the number of the batch, counted
        from 0 over all epochs.
    """

    def __init__(
        self, schedule: Callable[..., float] | LRScheduler, verbose: int = 0, *, by: str = "epoch"
    ) -> None:
        if by not in ("epoch", "batch"):
            raise ArgumentError(f"LearningRateScheduler: by is {by!r}, expected 'epoch' or 'batch'")
        self.by = by
        self._batches = 0
        if by == "epoch":  # then nobody has to be called for every batch
            for name in ("on_train_batch_begin", "on_train_batch_end"):
                setattr(self, name, getattr(super(), name))
        if not callable(schedule) and not isinstance(schedule, LRScheduler):
            raise ArgumentError(
                f"LearningRateScheduler: schedule is {type(schedule).__name__}, expected a "
                "function of epoch and rate or a schedule of einkorn.optim.lr_scheduler"
            )
        self.schedule = schedule
        self.verbose = verbose

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if isinstance(self.schedule, LRScheduler) and (
            self.schedule.optimizer is not state_of(self.model).optimizer
        ):
            raise EinkornError(
                "LearningRateScheduler: the schedule was made for another optimizer than model.optimizer"
            )
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.by == "epoch" and not isinstance(self.schedule, LRScheduler):
            self._set(epoch)
            if self.verbose:
                say(f"Epoch {epoch + 1}: the learning rate is {self._groups()[0]['lr']:.5g}")

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self.by == "batch" and not isinstance(self.schedule, LRScheduler):
            self._set(self._batches)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self.by == "batch" and isinstance(self.schedule, LRScheduler):
            self._step(logs)

    def _set(self, time: int) -> None:
        groups = self._groups()
        arguments = (time, groups[0]["lr"])
        function: Any = self.schedule
        rate = function(*(arguments if takes(function, *arguments) else arguments[:1]))
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.floating)) or not rate >= 0:
            raise ArgumentError(f"LearningRateScheduler: the schedule gave {rate!r}, expected a number >= 0")
        for group in groups:
            group["lr"] = float(rate)

    def _step(self, logs: Any) -> None:
        if isinstance(self.schedule, PlateauLR):
            self.schedule.step(logs.get("val_loss", logs["loss"]))
        elif isinstance(self.schedule, LRScheduler):
            self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        own: dict[str, Any] = {"batches": self._batches}
        if isinstance(self.schedule, LRScheduler):
            own["schedule"] = self.schedule.state_dict()
        return own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches = int(state["batches"])
        if isinstance(self.schedule, LRScheduler) and "schedule" in state:
            self.schedule.load_state_dict(state["schedule"])

    def _groups(self) -> list[dict[str, Any]]:
        optimizer = state_of(self.model).optimizer
        assert optimizer is not None  # compile made it
        return optimizer.param_groups

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["learning_rate"] = self._groups()[0]["lr"]
        if self.by == "epoch":
            self._step(logs)


def takes(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a function can be called so; yes for those that do not tell."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
