"""Schedules made of others, and the one that watches a figure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim._scheduler import LRScheduler, count, each_group, need_entries, nonnegative
from einkorn.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "FunctionLR", "ReduceLROnPlateau", "SequentialLR"]


def _members(schedulers: Any, optimizer: Any, op: str) -> list[LRScheduler]:
    found = list(schedulers)
    if not found:
        raise ArgumentError(f"{op}: schedulers is empty, expected at least one")
    for number, one in enumerate(found):
        if not isinstance(one, LRScheduler) or isinstance(one, ReduceLROnPlateau):
            raise ArgumentError(
                f"{op}: scheduler {number} is {type(one).__name__}, expected a schedule that is stepped alone"
            )
        if one.optimizer is not optimizer:
            raise ArgumentError(f"{op}: scheduler {number} belongs to another optimizer")
    return found


class _Composed(LRScheduler):
    _schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """Where each of the schedules stands."""
        own = [one.state_dict() for one in self._schedulers]
        return {"last_epoch": self.last_epoch, "schedulers": own, "last_lrs": self.get_last_lr()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, and set the rates."""
        need_entries(type(self).__name__, state_dict, "schedulers", "last_epoch", "last_lrs")
        if len(state_dict["schedulers"]) != len(self._schedulers):
            raise ArgumentError(
                f"{type(self).__name__}: load_state_dict has {len(state_dict['schedulers'])} schedules, "
                f"expected {len(self._schedulers)}"
            )
        for one, own in zip(self._schedulers, state_dict["schedulers"], strict=True):
            one.load_state_dict(own)
        self.last_epoch = int(state_dict["last_epoch"])
        self._apply([float(rate) for rate in state_dict["last_lrs"]])


class SequentialLR(_Composed):
    """One schedule after the other, each from its own beginning.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
    milestones : list of int
        The epochs at which the second, third, ... begin.
    last_epoch : int, default -1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._schedulers = _members(schedulers, optimizer, "SequentialLR")
        self._milestones = [count(each, "SequentialLR", "milestones") for each in milestones]
        if len(self._milestones) != len(self._schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: milestones has {len(self._milestones)} entries, expected "
                f"{len(self._schedulers) - 1}, one fewer than schedulers"
            )
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        # each schedule has set its first rate: take that back, and begin with the first one
        self._apply(self.base_lrs)
        for one in self._schedulers:
            _take_back(one)
        self._schedulers[0]._begin()

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        current = self._schedulers[turn]
        if turn and self._milestones[turn - 1] == self.last_epoch:
            current._go_to(0)
        else:
            current.step()


def _take_back(scheduler: LRScheduler) -> None:
    for one in getattr(scheduler, "_schedulers", ()):
        _take_back(one)
    if not hasattr(scheduler, "_schedulers"):
        scheduler.last_epoch -= 1


class ChainedScheduler(_Composed):
    """All schedules at once, each going on from what the one before has set.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
    optimizer : Optimizer, optional
        By default that of the first schedule.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        first = next(iter(schedulers), None)
        self.optimizer = optimizer or getattr(first, "optimizer", None)  # type: ignore[assignment]
        self._schedulers = _members(schedulers, self.optimizer, "ChainedScheduler")
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.last_epoch = 0

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        for one in self._schedulers:
            one.step()

    def _begin(self) -> None:
        for one in self._schedulers:
            one._begin()

    def _go_to(self, epoch: int) -> None:
        for one in self._schedulers:
            one._go_to(epoch)


class FunctionLR(LRScheduler):
    """The rate that a function of the step gives, such as one of ``einkorn.optim.schedules``.

    Parameters
    ----------
    optimizer : Optimizer
    schedule : callable of int
        Gives the rate itself, of all groups.
    last_epoch : int, default -1
    """

    def __init__(self, optimizer: Optimizer, schedule: Callable[[int], float], last_epoch: int = -1) -> None:
        if not callable(schedule):
            raise ArgumentError(f"FunctionLR: schedule is {schedule!r}, expected a function of the step")
        self.schedule = schedule
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [float(self.schedule(self.last_epoch))] * len(self.optimizer.param_groups)


class ReduceLROnPlateau(LRScheduler):
    """Times ``factor`` when a figure no longer improves; ``step`` takes the figure.

    Parameters
    ----------
    optimizer : Optimizer
    mode : "min" or "max", default "min"
        Which way is better.
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        Epochs without improvement that are let pass.
    threshold : float, default 1e-4
        What counts as an improvement.
    threshold_mode : "rel" or "abs", default "rel"
        Whether that is a share of the best figure or a difference to it.
    cooldown : int, default 0
        Epochs after a reduction in which nothing is counted.
    min_lr : float, or list of float for the groups, default 0
    eps : float, default 1e-8
        Smaller changes of a rate are not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{name}: optimizer is {type(optimizer).__name__}, expected an Optimizer")
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < 1:
            raise ArgumentError(f"{name}: factor is {factor!r}, expected a number between 0 and 1")
        if mode not in ("min", "max"):
            raise ArgumentError(f"{name}: mode is {mode!r}, expected 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"{name}: threshold_mode is {threshold_mode!r}, expected 'rel' or 'abs'")
        self.optimizer = optimizer
        self.mode, self.factor, self.threshold_mode = mode, factor, threshold_mode
        self.patience = count(patience, name, "patience", 0)
        self.threshold = nonnegative(threshold, name, "threshold")
        self.cooldown = count(cooldown, name, "cooldown", 0)
        self.min_lrs = each_group(min_lr, optimizer, name, "min_lr")
        self.eps = nonnegative(eps, name, "eps")
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether the epochs after a reduction are not over."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any = None) -> None:
        """Enter the figure of an epoch."""
        if metrics is None:
            raise ArgumentError("ReduceLROnPlateau: step got no figure, expected step(metrics)")
        self._take_new_groups()
        self.min_lrs += [self.min_lrs[-1]] * (len(self.base_lrs) - len(self.min_lrs))
        figure = float(metrics)
        self.last_epoch += 1
        if self._better(figure):
            self.best, self.num_bad_epochs = figure, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                rate = max(group["lr"] * self.factor, low)
                if group["lr"] - rate > self.eps:
                    group["lr"] = rate
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _better(self, figure: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            return sign * figure > sign * self.best * (1.0 + sign * self.threshold)
        return sign * figure > sign * self.best + self.threshold
