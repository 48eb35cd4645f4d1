"""``ReduceLROnPlateau``: a smaller learning rate when a figure no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn._console import say
from einkorn.errors import ArgumentError
from einkorn.training.callbacks import Logs
from einkorn.training.monitors import Monitor
from einkorn.training.state import state_of

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Monitor):
    """Times ``factor`` when a figure has not improved for ``patience`` epochs.

    The history gets the rate of each epoch as "learning_rate".

    Parameters
    ----------
    monitor : str, default "val_loss"
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
    verbose : int, default 0
        Whether to print the new rate.
    mode : "auto", "min" or "max", default "auto"
        As for ``EarlyStopping``.
    min_delta : float, default 1e-4
        A smaller change is no improvement.
    cooldown : int, default 0
        Epochs after a reduction in which nothing is counted.
    min_lr : float, default 0
    """

    adds = ("learning_rate",)

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor is {factor!r}, expected a number between 0 and 1")
        for name, value in (("patience", patience), ("cooldown", cooldown)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ArgumentError(f"ReduceLROnPlateau: {name} is {value!r}, expected an integer >= 0")
        if isinstance(min_lr, bool) or not isinstance(min_lr, (int, float)) or not min_lr >= 0:
            raise ArgumentError(f"ReduceLROnPlateau: min_lr is {min_lr!r}, expected a number >= 0")
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr
        self.verbose = verbose
        self._forget()

    def _forget(self) -> None:
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown": self.cooldown_counter}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait = state["best"], int(state["wait"])
        self.cooldown_counter = int(state["cooldown"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = state_of(self.model).optimizer
        assert optimizer is not None  # compile made it
        logs["learning_rate"] = optimizer.param_groups[0]["lr"]
        value = self._value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(optimizer, epoch)

    def _reduce(self, optimizer: Any, epoch: int) -> None:
        if all(group["lr"] <= self.min_lr for group in optimizer.param_groups):
            return
        for group in optimizer.param_groups:
            group["lr"] = max(group["lr"] * self.factor, min(self.min_lr, group["lr"]))
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            rate = optimizer.param_groups[0]["lr"]
            say(f"Epoch {epoch + 1}: {self.monitor} stands still: the learning rate is {rate:.5g} now")
