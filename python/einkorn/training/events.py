"""Calling callbacks. Who listens to what is found out once: a batch nobody listens to costs nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.training.backup import BackupAndRestore
from einkorn.training.callbacks import (
    EVENTS,
    Callback,
    CSVLogger,
    LearningRateScheduler,
    TerminateOnNaN,
    takes,
)
from einkorn.training.monitors import Monitor
from einkorn.training.part_times import PartTimes

__all__ = ["Events"]

_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    name: (0, {}) if "epoch" in name or "batch" in name else ({},) for name in EVENTS
}


class Events:
    """The callbacks of one ``fit``, ``evaluate`` or ``predict``.

    Attributes
    ----------
    train_batch_begin, train_batch_end, ... : list of callable
        What is to be called then; ``call`` does.
    keeps : list of callable
        What keeps the training after a batch.
    times : PartTimes or None
        Who asks how long the parts of a ``fit`` take.
    """

    def __init__(self, callbacks: Any, model: Any, params: dict[str, Any], op: str) -> None:
        self._callbacks = _checked(callbacks, op)
        self.keepers = [callback for callback in self._callbacks if isinstance(callback, BackupAndRestore)]
        self._calls: dict[str, list[Callable[..., Any]]] = {
            name: [call for w in self._callbacks if (call := _listener(w, name, op))] for name in EVENTS
        }
        for pair in ("begin", "end"):
            self._calls[f"on_train_batch_{pair}"] = [
                call
                for w in self._callbacks
                if (
                    call := _listener(w, f"on_train_batch_{pair}", op) or _listener(w, f"on_batch_{pair}", op)
                )
            ]
        self.keeps = [keeper.after_batch for keeper in self.keepers]
        asking = [one for one in self._callbacks if isinstance(one, PartTimes) and op == "fit"]
        self.times = asking[0] if asking else None
        if self.times is not None:
            self._time(self.times)
        for callback in self._callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def _time(self, times: PartTimes) -> None:
        """Count what callbacks take, beside the one that counts and the validation as a whole."""
        for name, calls in self._calls.items():
            if "_test_" not in name:
                own = getattr(times, name)
                self._calls[name] = [call if call == own else times.listener(call) for call in calls]
        self.keeps = [times.listener(call) for call in self.keeps]

    def __getitem__(self, name: str) -> list[Callable[..., Any]]:
        return self._calls[name]

    def call(self, name: str, *arguments: Any) -> None:
        """Tell everybody who listens."""
        for listener in self._calls[name]:
            listener(*arguments)

    def look_for_backup(self) -> None:
        """Let callbacks that keep the training say where it is to go on."""
        for keeper in self.keepers:
            keeper.look()

    def after_epoch(self, epoch: int) -> None:
        """An epoch is over, its figures are in the history: what is kept now goes on with the next."""
        for keeper in self.keepers:
            keep = keeper.after_epoch
            (keep if self.times is None else self.times.listener(keep))(epoch)

    def state_dict(self) -> list[Any]:
        """What the callbacks have to remember, each with its class' name."""
        return [[type(callback).__name__, callback.state_dict()] for callback in self._callbacks]

    def load_state_dict(self, state: Any) -> None:
        """Give the callbacks back what they remembered, each to the next of its class."""
        waiting = [(name, own) for name, own in state]
        for callback in self._callbacks:
            for i, (name, own) in enumerate(waiting):
                if name == type(callback).__name__:
                    callback.load_state_dict(own)
                    del waiting[i]
                    break

    def prepare(self, figures: list[str], open_ended: bool = False) -> None:
        """Let callbacks check, before the first epoch, that they can do their work."""
        known = list(figures)
        for callback in self._callbacks:
            if isinstance(callback, Monitor):
                callback.prepare(known, open_ended)
                known += callback.adds
            elif isinstance(callback, LearningRateScheduler):
                known.append("learning_rate")
            elif isinstance(callback, CSVLogger):
                callback.prepare(known)
            elif type(callback).__module__.partition(".")[0] != "einkorn" or "on_epoch_end" in vars(callback):
                open_ended = True  # it may put figures of its own into the logs

    @property
    def ends_at_nan(self) -> bool:
        """Whether a callback asks for a quiet end at a loss that is not finite."""
        return any(
            isinstance(callback, TerminateOnNaN) and not callback.raise_error for callback in self._callbacks
        )


def _checked(callbacks: Any, op: str) -> list[Callback]:
    if callbacks is None:
        return []
    if isinstance(callbacks, Callback):
        return [callbacks]
    if isinstance(callbacks, (str, type)) or not isinstance(callbacks, Iterable):
        raise ArgumentError(f"{op}: callbacks is {callbacks!r}, expected a list of einkorn Callbacks or None")
    found = list(callbacks)
    for callback in found:
        if isinstance(callback, type):
            raise ArgumentError(
                f"{op}: a callback is the class {callback.__name__}, expected an instance, "
                f"{callback.__name__}()"
            )
        if not isinstance(callback, Callback):
            raise ArgumentError(f"{op}: a callback is {callback!r}, expected an einkorn Callback")
        for name in dir(callback):
            if name.startswith("on_") and name not in EVENTS and callable(getattr(callback, name)):
                raise ArgumentError(
                    f"{op}: {type(callback).__name__} has {name}, which is never called; there are "
                    f"{', '.join(EVENTS)}"
                )
    return found


def _first(function: Callable[..., Any]) -> str | None:
    """What a function calls its first argument."""
    try:
        return next(iter(inspect.signature(function).parameters), None)
    except (TypeError, ValueError):
        return None


def _listener(callback: Callback, name: str, op: str) -> Callable[..., Any] | None:
    """A callback's method where it does something, called with or without logs as it is written."""
    method = getattr(callback, name)
    if getattr(method, "__func__", None) is getattr(Callback, name):
        return None
    arguments = _ARGUMENTS[name]
    if takes(method, *arguments):
        return method
    if takes(method, *arguments[:-1]) and not (len(arguments) > 1 and _first(method) == "logs"):
        return lambda *given: method(*given[:-1])
    names = ("epoch, logs=None", "batch, logs=None")["batch" in name] if len(arguments) > 1 else "logs=None"
    raise ArgumentError(f"{op}: {type(callback).__name__}.{name} cannot be called as {name}({names})")
