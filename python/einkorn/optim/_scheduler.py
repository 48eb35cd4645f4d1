"""What all schedules of the learning rate share, in torch's form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim.optimizer import Optimizer

__all__ = ["LRScheduler", "count", "each_group", "nonnegative"]


class LRScheduler:
    """Base class: ``get_lr`` gives the rates of ``last_epoch``, from the first rates or from those before.

    A schedule that goes on from the rates as they are can be chained with others, and carries groups along
    that are added to the optimizer later.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' rates at this moment are the first rates; they are kept as ``group["initial_lr"]``.
    last_epoch : int, default -1
        The epoch to go on from; -1 begins anew.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{name}: optimizer is {type(optimizer).__name__}, expected an Optimizer")
        if isinstance(last_epoch, bool) or not isinstance(last_epoch, int) or last_epoch < -1:
            raise ArgumentError(f"{name}: last_epoch is {last_epoch!r}, expected an integer >= -1")
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{name}: last_epoch is {last_epoch}, but group {number} has no initial_lr to go on from"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def _begin(self) -> None:
        """The step to the first epoch."""
        self._initial = True
        try:
            self.step()
        finally:
            self._initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group in ``last_epoch``; for subclasses, called by ``step``."""
        raise TypeError(f"{type(self).__name__} defines no get_lr()")

    def closed(self, base: float, epoch: int) -> float | None:
        """The rate of an epoch from the first rate alone, where there is a formula for it."""
        return None

    def step(self) -> None:
        """Go on to the next epoch."""
        self._take_new_groups()
        self.last_epoch += 1
        self._apply(self.get_lr())

    def _go_to(self, epoch: int) -> None:
        """Go to an epoch as if it were reached from the first."""
        self.last_epoch = epoch
        rates = [self.closed(base, epoch) for base in self.base_lrs]
        self._apply([rate for rate in rates if rate is not None] or self.get_lr())

    def _take_new_groups(self) -> None:
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            group.setdefault("initial_lr", group["lr"])
            self.base_lrs.append(group["initial_lr"])

    def _apply(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def _times(self, factor: float) -> list[float]:
        """The rates as they are, times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands: all of its numbers, and the rates of the groups."""
        own = {key: _plain(value) for key, value in vars(self).items() if _is_plain(value)}
        return {**own, "last_lrs": self.get_last_lr()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, and set the rates."""
        need_entries(type(self).__name__, state_dict, "base_lrs", "last_epoch")
        self._take_new_groups()
        groups = len(self.optimizer.param_groups)
        rates = list(state_dict.get("last_lrs", ()))
        if len(state_dict["base_lrs"]) != groups:
            raise ArgumentError(
                f"{type(self).__name__}: load_state_dict has {len(state_dict['base_lrs'])} rates, "
                f"expected {groups}"
            )
        for key, value in state_dict.items():
            if key != "last_lrs" and key in vars(self):
                setattr(self, key, _plain(value))
        self.base_lrs = list(state_dict["base_lrs"])
        self.last_epoch = int(state_dict["last_epoch"])
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["initial_lr"] = base
        if len(rates) == groups:
            self._apply([float(rate) for rate in rates])


def need_entries(op: str, state_dict: Mapping[str, Any], *names: str) -> None:
    """Refuse a state that lacks what every schedule of this kind has."""
    missing = [name for name in names if name not in state_dict]
    if missing:
        raise ArgumentError(
            f"{op}: load_state_dict got no {', '.join(missing)}, expected what state_dict() of a {op} gave"
        )


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (bool, int, float, str))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def nonnegative(value: Any, op: str, name: str, at_most: float = math.inf) -> Any:
    """A number from 0 to ``at_most``."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not 0 <= value < math.inf or value > at_most:
        limit = "" if at_most == math.inf else f" and <= {at_most:g}"
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number >= 0{limit}")
    return value


def count(value: Any, op: str, name: str, low: int = 1) -> int:
    """An integer of at least ``low``; a float that is whole is one, as in torch."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer >= {low}")
    return value


def each_group(value: Any, optimizer: Any, op: str, name: str) -> list[Any]:
    """A value for each group of the optimizer."""
    groups = len(getattr(optimizer, "param_groups", ()))
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ArgumentError(f"{op}: {name} has {len(value)} entries, expected {groups}, one for each group")
    return list(value)
