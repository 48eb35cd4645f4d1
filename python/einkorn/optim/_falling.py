"""Schedules that are a formula of the epoch: by functions, in steps, along a line, a power or a cosine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim._scheduler import LRScheduler, count, each_group, nonnegative
from einkorn.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
    "TimeBasedLR",
]

Function = Callable[[int], float]


def _functions(value: Any, optimizer: Any, op: str) -> list[Function]:
    functions = each_group(value, optimizer, op, "lr_lambda")
    for function in functions or [value]:
        if not callable(function):
            raise ArgumentError(f"{op}: lr_lambda is {function!r}, expected a function")
    return functions


class LambdaLR(LRScheduler):
    """First rate times ``lr_lambda(epoch)``.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable of int, or list of them for the groups
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Function | list[Function], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = _functions(lr_lambda, optimizer, "LambdaLR")
        super().__init__(optimizer, last_epoch)

    def _take_new_groups(self) -> None:
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            self.lr_lambdas.append(self.lr_lambdas[-1])
            factor = self.lr_lambdas[-1](self.last_epoch)
            self.base_lrs.append(group["lr"] / factor if factor else group["lr"])
            group["initial_lr"] = self.base_lrs[-1]

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class MultiplicativeLR(LRScheduler):
    """The rate before times ``lr_lambda(epoch)``.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable of int, or list of them for the groups
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Function | list[Function], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = _functions(lr_lambda, optimizer, "MultiplicativeLR")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._initial:
            return self._times(1.0)
        groups = self.optimizer.param_groups
        self.lr_lambdas += [self.lr_lambdas[-1]] * (len(groups) - len(self.lr_lambdas))
        return [g["lr"] * f(self.last_epoch) for g, f in zip(groups, self.lr_lambdas, strict=True)]


class TimeBasedLR(LambdaLR):
    """First rate divided by 1 + decay * epoch.

    Parameters
    ----------
    optimizer : Optimizer
    decay : float
    last_epoch : int, default -1
    """

    def __init__(self, optimizer: Optimizer, decay: float, last_epoch: int = -1) -> None:
        self.decay = nonnegative(decay, "TimeBasedLR", "decay")
        super().__init__(optimizer, lambda epoch: 1.0 / (1.0 + self.decay * epoch), last_epoch)


class StepLR(LRScheduler):
    """Times gamma every ``step_size`` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
        Epochs between two drops.
    gamma : float, default 0.1
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = count(step_size, "StepLR", "step_size")
        self.gamma = nonnegative(gamma, "StepLR", "gamma")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch and self.last_epoch % self.step_size == 0 and not self._initial
        return self._times(self.gamma if due else 1.0)

    def closed(self, base: float, epoch: int) -> float:
        return base * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """Times gamma at each of the milestones.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        Epochs.
    gamma : float, default 0.1
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(count(each, "MultiStepLR", "milestones", 0) for each in milestones)
        self.gamma = nonnegative(gamma, "MultiStepLR", "gamma")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._times(self.gamma ** Counter(self.milestones)[self.last_epoch])

    def closed(self, base: float, epoch: int) -> float:
        return base * self.gamma ** sum(each <= epoch for each in self.milestones)


class ConstantLR(LRScheduler):
    """Times ``factor`` until ``total_iters`` epochs are over.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float, default 1/3
        From 0 to 1.
    total_iters : int, default 5
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = nonnegative(factor, "ConstantLR", "factor", 1.0)
        self.total_iters = count(total_iters, "ConstantLR", "total_iters", 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._times(self.factor)
        if self.last_epoch != self.total_iters:
            return self._times(1.0)
        return self._times(1.0 / self.factor) if self.factor else list(self.base_lrs)

    def closed(self, base: float, epoch: int) -> float:
        return base * (self.factor if epoch < self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """Times a factor that changes along a line from ``start_factor`` to ``end_factor``: a warm-up.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float, default 1/3
        Above 0, up to 1.
    end_factor : float, default 1
        From 0 to 1.
    total_iters : int, default 5
        Epochs from one to the other.
    last_epoch : int, default -1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = nonnegative(start_factor, "LinearLR", "start_factor", 1.0)
        if start_factor == 0:
            raise ArgumentError("LinearLR: start_factor is 0, expected a number above 0 and <= 1")
        self.end_factor = nonnegative(end_factor, "LinearLR", "end_factor", 1.0)
        self.total_iters = count(total_iters, "LinearLR", "total_iters")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        first, rise = self.start_factor, self.end_factor - self.start_factor
        if self.last_epoch == 0:
            return self._times(first)
        if self._initial or self.last_epoch > self.total_iters:
            return self._times(1.0)
        return self._times(1.0 + rise / (self.total_iters * first + (self.last_epoch - 1) * rise))

    def closed(self, base: float, epoch: int) -> float:
        rise = self.end_factor - self.start_factor
        return base * (self.start_factor + rise * min(self.total_iters, epoch) / self.total_iters)


class ExponentialLR(LRScheduler):
    """First rate times gamma ** epoch; gamma = exp(-k) gives eta0 exp(-k t).

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int, default -1
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = nonnegative(gamma, "ExponentialLR", "gamma")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._times(1.0 if self._initial else self.gamma)

    def closed(self, base: float, epoch: int) -> float:
        return base * self.gamma**epoch


class PolynomialLR(LRScheduler):
    """First rate times (1 - epoch / total_iters) ** power, then 0.

    Parameters
    ----------
    optimizer : Optimizer
    total_iters : int, default 5
    power : float, default 1
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = count(total_iters, "PolynomialLR", "total_iters")
        self.power = nonnegative(power, "PolynomialLR", "power")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._initial or self.last_epoch == 0 or self.last_epoch > self.total_iters:
            return self._times(1.0)
        left = self.total_iters - self.last_epoch
        return self._times((left / (left + 1)) ** self.power)

    def closed(self, base: float, epoch: int) -> float:
        return base * (1.0 - min(self.total_iters, epoch) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the first rate down to ``eta_min`` in ``T_max`` epochs, and up again.

    Loshchilov and Hutter 2016, without the restarts.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
    eta_min : float, default 0
    last_epoch : int, default -1
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = count(T_max, "CosineAnnealingLR", "T_max")
        self.eta_min = nonnegative(eta_min, "CosineAnnealingLR", "eta_min")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        epoch, period, low = self.last_epoch, self.T_max, self.eta_min
        if self._initial:
            return self._times(1.0)
        groups = self.optimizer.param_groups
        if (epoch - 1 - period) % (2 * period) == 0:  # out of the valley, where there is no ratio
            rise = (1 - math.cos(math.pi / period)) / 2
            return [g["lr"] + (b - low) * rise for b, g in zip(self.base_lrs, groups, strict=True)]
        now, before = (1 + math.cos(math.pi * e / period) for e in (epoch, epoch - 1))
        return [now / before * (group["lr"] - low) + low for group in groups]

    def closed(self, base: float, epoch: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the first rate down to ``eta_min``, again and again (Loshchilov and Hutter 2016).

    Parameters
    ----------
    optimizer : Optimizer
    T_0 : int
        Epochs of the first fall.
    T_mult : int, default 1
        By which each is longer than the one before.
    eta_min : float, default 0
    last_epoch : int, default -1
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        name = "CosineAnnealingWarmRestarts"
        self.T_0 = count(T_0, name, "T_0")
        self.T_mult = count(T_mult, name, "T_mult")
        self.eta_min = nonnegative(eta_min, name, "eta_min")
        self.T_i = T_0
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to any, which may be a fraction: ``step(epoch + batch / batches)``."""
        self._take_new_groups()
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if not epoch >= 0:
                raise ArgumentError(f"{type(self).__name__}: epoch is {epoch!r}, expected a number >= 0")
            self._seek(epoch)
        self.last_epoch = math.floor(epoch)
        self._apply(self.get_lr())

    def _seek(self, epoch: float) -> None:
        begin, self.T_i = 0, self.T_0
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
            return
        while epoch - begin >= self.T_i:
            begin += self.T_i
            self.T_i *= self.T_mult
        self.T_cur = epoch - begin
