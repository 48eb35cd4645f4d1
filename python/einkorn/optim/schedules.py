"""Schedules with Keras' names: functions of the step that give the rate itself.

``lr_scheduler.FunctionLR(optimizer, schedule)`` steps an optimizer along one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from einkorn._objects import Plain
from einkorn.errors import ArgumentError

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


class LearningRateSchedule(Plain):
    """Base class: called with a step, counted from 0, it gives the rate."""

    def __call__(self, step: int) -> float:
        raise TypeError(f"{type(self).__name__} defines no __call__()")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def _positive(value: Any, op: str, name: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a number above 0")
    return value


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool, default False
        Whether the exponent is rounded down.
    name : str, ignored
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, type(self).__name__, "decay_steps")
        self.decay_rate = decay_rate
        self.staircase = staircase

    def _time(self, step: int) -> float:
        time = step / self.decay_steps
        return math.floor(time) if self.staircase else time

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** self._time(step)


class InverseTimeDecay(ExponentialDecay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps); arguments as ``ExponentialDecay``."""

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._time(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to each boundary, the boundary's step itself among them, and one after the last.

    Parameters
    ----------
    boundaries : sequence of int
    values : sequence of float
        One more than boundaries.
    name : str, ignored
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay: there are {len(boundaries)} boundaries and {len(values)} values, "
                "expected one more of these"
            )
        self.boundaries = list(boundaries)
        self.values = list(values)

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


class PolynomialDecay(LearningRateSchedule):
    """From the first rate to the last along (1 - step / decay_steps) ** power.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    end_learning_rate : float, default 0.0001
    power : float, default 1
    cycle : bool, default False
        Whether, past decay_steps, it goes on with two, three, ... times as many.
    name : str, ignored
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "PolynomialDecay", "decay_steps")
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle

    def __call__(self, step: int) -> float:
        steps = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        share = min(step, steps) / steps
        height = self.initial_learning_rate - self.end_learning_rate
        return height * (1 - share) ** self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the first rate to ``alpha`` times it, after a warm-up if asked for.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    alpha : float, default 0
    name : str, ignored
    warmup_target : float, optional
        The rate to rise to first, along a line, and to fall from.
    warmup_steps : int, default 0
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "CosineDecay", "decay_steps")
        self.alpha = alpha
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        first, top = self.initial_learning_rate, self.initial_learning_rate
        if self.warmup_target is not None:
            top = self.warmup_target
            if step < self.warmup_steps:
                return first + (top - first) * step / self.warmup_steps
            step -= self.warmup_steps
        share = 0.5 * (1 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return top * ((1 - self.alpha) * share + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine, again and again (Loshchilov and Hutter 2016).

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : int
    t_mul : float, default 2
        By which each fall is longer than the one before.
    m_mul : float, default 1
        By which each begins higher.
    alpha : float, default 0
        The last rate, as a share of the first.
    name : str, ignored
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(first_decay_steps, "CosineDecayRestarts", "first_decay_steps")
        self.t_mul = _positive(t_mul, "CosineDecayRestarts", "t_mul")
        self.m_mul = m_mul
        self.alpha = alpha

    def __call__(self, step: int) -> float:
        time = step / self.first_decay_steps
        if self.t_mul == 1.0:
            restart = math.floor(time)
            time -= restart
        else:
            restart = math.floor(math.log(1.0 - time * (1.0 - self.t_mul)) / math.log(self.t_mul))
            begin = (1.0 - self.t_mul**restart) / (1.0 - self.t_mul)
            time = (time - begin) / self.t_mul**restart
        share = 0.5 * self.m_mul**restart * (1 + math.cos(math.pi * time))
        return self.initial_learning_rate * ((1 - self.alpha) * share + self.alpha)
