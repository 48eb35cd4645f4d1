"""Schedules that rise and fall: cyclic rates, and one cycle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.optim._scheduler import LRScheduler, count, each_group, nonnegative
from einkorn.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


def _momentum_key(optimizer: Any, op: str) -> str:
    """What groups call their momentum: "momentum", or "betas", of which it is the first."""
    for group in getattr(optimizer, "param_groups", ()):
        for key in ("momentum", "betas"):
            if key in group:
                return key
    raise ArgumentError(f"{op}: cycle_momentum is True, but the optimizer has neither momentum nor betas")


def _set_momentum(group: dict[str, Any], key: str, value: float) -> None:
    group[key] = (value, *group["betas"][1:]) if key == "betas" else value


class CyclicLR(LRScheduler):
    """Up from ``base_lr`` to ``max_lr`` and down again, by step (Smith 2015).

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float, or list of float for the groups
    step_size_up : int, default 2000
        Steps of a rise.
    step_size_down : int, optional
        Steps of a fall; as many as of a rise when not given.
    mode : "triangular", "triangular2" or "exp_range", default "triangular"
        Every cycle alike; each half as high as the one before; lower by gamma every step.
    gamma : float, default 1
    scale_fn : callable, optional
        Of the cycle, counted from 1, or of the step: the share of the height, instead of ``mode``.
    scale_mode : "cycle" or "iterations", default "cycle"
        What ``scale_fn`` is a function of.
    cycle_momentum : bool, default True
        Whether momentum goes down where the rate goes up.
    base_momentum, max_momentum : float, or list of float, default 0.8 and 0.9
    last_epoch : int, default -1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        name = "CyclicLR"
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{name}: optimizer is {type(optimizer).__name__}, expected an Optimizer")
        lows = each_group(base_lr, optimizer, name, "base_lr")
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, lows, strict=True):
                group["lr"] = group["initial_lr"] = low
        self.max_lrs = each_group(max_lr, optimizer, name, "max_lr")
        up = count(step_size_up, name, "step_size_up")
        down = up if step_size_down is None else count(step_size_down, name, "step_size_down")
        self.total_size, self.step_ratio = float(up + down), up / (up + down)
        modes = ("triangular", "triangular2", "exp_range")
        if scale_fn is None and mode not in modes:
            raise ArgumentError(f"{name}: mode is {mode!r}, expected one of {', '.join(modes)}")
        if scale_mode not in ("cycle", "iterations"):
            raise ArgumentError(f"{name}: scale_mode is {scale_mode!r}, expected 'cycle' or 'iterations'")
        self.mode, self.gamma, self.scale_fn = mode, nonnegative(gamma, name, "gamma"), scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = bool(cycle_momentum)
        self._key = ""
        if self.cycle_momentum:
            self._key = _momentum_key(optimizer, name)
            self.base_momentums = each_group(base_momentum, optimizer, name, "base_momentum")
            self.max_momentums = each_group(max_momentum, optimizer, name, "max_momentum")
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def _height(self) -> float:
        """How far up the rate is, of the whole height."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        rise = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        argument = cycle if self.scale_mode == "cycle" else self.last_epoch
        if self.scale_fn is not None:
            return rise * self.scale_fn(argument)
        if self.mode == "triangular2":
            return rise / 2.0 ** (argument - 1)
        return rise * self.gamma**argument if self.mode == "exp_range" else rise

    def get_lr(self) -> list[float]:
        height = self._height()
        if self.cycle_momentum:
            groups = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in groups:
                _set_momentum(group, self._key, high - (high - low) * height)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in pairs]


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down to almost nothing, by step (Smith and Topin 2018).

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or list of float for the groups
    total_steps : int, optional
        Steps of the cycle; or else:
    epochs, steps_per_epoch : int, optional
        Whose product it is.
    pct_start : float, default 0.3
        The share of the rise.
    anneal_strategy : "cos" or "linear", default "cos"
    cycle_momentum : bool, default True
        Whether momentum goes down where the rate goes up.
    base_momentum, max_momentum : float, or list of float, default 0.85 and 0.95
    div_factor : float, default 25
        The first rate is max_lr / div_factor.
    final_div_factor : float, default 1e4
        The last rate is the first / final_div_factor.
    three_phase : bool, default False
        Whether the fall to the first rate is as long as the rise, and the rest a phase of its own.
    last_epoch : int, default -1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        name = "OneCycleLR"
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{name}: optimizer is {type(optimizer).__name__}, expected an Optimizer")
        if total_steps is not None:
            self.total_steps = count(total_steps, name, "total_steps")
        elif epochs is None or steps_per_epoch is None:
            raise ArgumentError(f"{name}: expected total_steps, or epochs and steps_per_epoch")
        else:
            self.total_steps = count(epochs, name, "epochs") * count(steps_per_epoch, name, "steps_per_epoch")
        nonnegative(pct_start, name, "pct_start", 1.0)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"{name}: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'")
        self.anneal_strategy = anneal_strategy
        last = float(self.total_steps - 1)
        rise = float(pct_start * self.total_steps) - 1
        # each phase: its last step, and which rate and momentum it goes from and to
        if three_phase:
            self._phases = [
                (rise, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (2 * rise, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (last, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            self._phases = [
                (rise, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (last, "max_lr", "min_lr", "base_momentum", "max_momentum"),
            ]
        self.cycle_momentum = bool(cycle_momentum)
        self._key = _momentum_key(optimizer, name) if cycle_momentum else ""
        if last_epoch == -1:
            highs = each_group(max_lr, optimizer, name, "max_lr")
            slow = each_group(base_momentum, optimizer, name, "base_momentum")
            fast = each_group(max_momentum, optimizer, name, "max_momentum")
            groups = zip(optimizer.param_groups, highs, slow, fast, strict=True)
            for group, high, low_momentum, high_momentum in groups:
                group["max_lr"] = high
                group["initial_lr"] = group["lr"] = high / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
                group["base_momentum"], group["max_momentum"] = low_momentum, high_momentum
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (1 + math.cos(math.pi * share))

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {step} was asked for, and the cycle has {self.total_steps} steps"
            )
        begin = 0.0
        phase = self._phases[-1]
        for phase in self._phases[:-1]:
            if step <= phase[0]:
                break
            begin = phase[0]
        else:
            phase = self._phases[-1]
        end, first, last, slow, fast = phase
        share = (step - begin) / (end - begin) if end != begin else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[first], group[last], share))
            if self.cycle_momentum:
                _set_momentum(group, self._key, self._between(group[slow], group[fast], share))
        return rates
