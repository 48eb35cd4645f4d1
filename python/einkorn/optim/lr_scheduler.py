"""Schedules of the learning rate, in torch's form: make one around an optimizer, ``step()`` it
after each epoch. ``einkorn.training.LearningRateScheduler`` does that in ``fit``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim.optimizer import Optimizer

__all__ = ["ExponentialLR", "LRScheduler", "LambdaLR", "StepLR", "TimeBasedLR"]


class LRScheduler:
    """Base class: the rate of each group is its first rate times ``factor(epoch)``.

    A group that is added to the optimizer later starts with the rate it was given and follows from there.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' rates at this moment are the first rates.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"{type(self).__name__}: optimizer is {type(optimizer).__name__}, expected an Optimizer"
            )
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._apply()

    def factor(self, epoch: int) -> float:
        """What the first rate is multiplied by in the given epoch."""
        raise TypeError(f"{type(self).__name__} defines no factor()")

    def step(self) -> None:
        """Go on to the next epoch."""
        self._take_new_groups()
        self.last_epoch += 1
        self._apply()

    def _take_new_groups(self) -> None:
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            factor = self.factor(self.last_epoch)
            self.base_lrs.append(group["lr"] / factor if factor else group["lr"])

    def _apply(self) -> None:
        factor = self.factor(self.last_epoch)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor

    def get_last_lr(self) -> list[float]:
        """The rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the first rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self._take_new_groups()
        base_lrs = list(state_dict["base_lrs"])
        if len(base_lrs) != len(self.base_lrs):
            raise ArgumentError(
                f"{type(self).__name__}: load_state_dict has {len(base_lrs)} rates, "
                f"expected {len(self.base_lrs)}"
            )
        self.base_lrs = base_lrs
        self.last_epoch = int(state_dict["last_epoch"])
        self._apply()


class LambdaLR(LRScheduler):
    """First rate times ``lr_lambda(epoch)``.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable of int
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        if not callable(lr_lambda):
            raise ArgumentError(f"LambdaLR: lr_lambda is {lr_lambda!r}, expected a function")
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.lr_lambda(epoch)


class StepLR(LRScheduler):
    """First rate times gamma ** (epoch // step_size).

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
        Epochs between two drops.
    gamma : float, default 0.1
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if isinstance(step_size, bool) or not isinstance(step_size, int) or step_size < 1:
            raise ArgumentError(f"StepLR: step_size is {step_size!r}, expected an integer >= 1")
        self.step_size = step_size
        self.gamma = _nonnegative(gamma, "StepLR", "gamma")
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class ExponentialLR(LRScheduler):
    """First rate times gamma ** epoch; gamma = exp(-k) gives eta0 exp(-k t).

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = _nonnegative(gamma, "ExponentialLR", "gamma")
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.gamma**epoch


class TimeBasedLR(LRScheduler):
    """First rate divided by 1 + decay * epoch.

    Parameters
    ----------
    optimizer : Optimizer
    decay : float
    """

    def __init__(self, optimizer: Optimizer, decay: float) -> None:
        self.decay = _nonnegative(decay, "TimeBasedLR", "decay")
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return 1.0 / (1.0 + self.decay * epoch)


def _nonnegative(value: float, op: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number >= 0")
    return value
