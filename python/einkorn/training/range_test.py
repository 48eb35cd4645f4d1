"""The learning-rate range test: the loss of a training whose rate grows with every batch (Smith 2015)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn._extras import axes_for
from einkorn.errors import ArgumentError
from einkorn.training.batches import integer, no_rows
from einkorn.training.compiled import compiled_of, types_of
from einkorn.training.modes import training
from einkorn.training.snapshot import random_state, set_random_state
from einkorn.training.step import Stepper

__all__ = ["RangeTest", "lr_range_test"]


class RangeTest:
    """What a range test found.

    Attributes
    ----------
    rates, losses : array
        Of each batch; the losses before its update.
    smoothed : array
        The losses as a moving average, weighted to the last, without its lag at the beginning.
    """

    def __init__(self, rates: np.ndarray, losses: np.ndarray, smoothing: float) -> None:
        self.rates = rates
        self.losses = losses
        averages, average = [], 0.0
        for step, loss in enumerate(losses, 1):
            average = smoothing * average + (1 - smoothing) * loss
            averages.append(average / (1 - smoothing**step))
        self.smoothed = np.array(averages)

    @property
    def suggestion(self) -> float:
        """A rate to begin with: where the smoothed loss falls most steeply over the logarithm of the rate.

        Only what lies before its lowest point is looked at. NaN if it never falls.
        """
        end = int(self.smoothed.argmin()) + 1
        if end < 3:
            return math.nan
        slopes = np.gradient(self.smoothed[:end], np.log(self.rates[:end]))
        steepest = int(slopes.argmin())
        return float(self.rates[steepest]) if slopes[steepest] < 0 else math.nan

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the rates, with the suggestion marked.

        Parameters
        ----------
        ax : matplotlib axes, optional
            By default those of a new figure.

        Returns
        -------
        matplotlib axes

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        ax = axes_for(ax, "RangeTest.plot")
        ax.plot(self.rates, self.losses, alpha=0.3, label="each batch")
        ax.plot(self.rates, self.smoothed, label="smoothed")
        if math.isfinite(self.suggestion):
            ax.axvline(self.suggestion, color="gray", linestyle="--", label=f"{self.suggestion:.2g}")
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        low, high = self.smoothed.min(), self.smoothed[0]
        margin = max(1e-12, high - low)
        ax.set_ylim(low - 0.2 * margin, high + margin)
        ax.legend()
        return ax

    def __repr__(self) -> str:
        return f"RangeTest({len(self.rates)} batches, suggestion={self.suggestion:.2g})"


def lr_range_test(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: int = 32,
    min_lr: float = 1e-6,
    max_lr: float = 1.0,
    steps: int = 100,
    *,
    smoothing: float = 0.9,
    stop_factor: float = 4.0,
) -> RangeTest:
    """Train with a rate that grows from batch to batch, and look at the loss.

    Afterwards the model, its optimizer and the random numbers are as they were.

    Parameters
    ----------
    model : Module
        Compiled.
    x, y : as for ``fit``
    batch_size : int, default 32
    min_lr, max_lr : float, default 1e-6 and 1
        The rate grows by the same factor with each batch.
    steps : int, default 100
        Batches; the data begin anew as often as needed.
    smoothing : float, keyword-only, default 0.9
        The share of the past in the moving average.
    stop_factor : float, keyword-only, default 4
        The test ends when the smoothed loss is so many times its lowest, or not finite.

    Returns
    -------
    RangeTest
        With ``plot()`` and ``suggestion``.

    Raises
    ------
    EinkornError
        The model is not compiled, or the data do not fit.
    """
    op = "lr_range_test"
    _, compiled, optimizer = compiled_of(model, op)
    steps = integer(steps, op, "steps", 3)
    for name, value in (("min_lr", min_lr), ("max_lr", max_lr)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ArgumentError(f"{op}: {name} is {value!r}, expected a number above 0")
    if not min_lr < max_lr:
        raise ArgumentError(f"{op}: min_lr is {min_lr} and max_lr {max_lr}, expected a smaller and a larger")
    if not 0 <= smoothing < 1:
        raise ArgumentError(f"{op}: smoothing is {smoothing!r}, expected a number from 0 to below 1")
    size = integer(batch_size, op, "batch_size", 1)
    batches = types_of(model, compiled).batches(x, y, size, op, model, shuffle=True)
    weights = {name: array.copy() for name, array in model.state_dict().items()}
    state, numbers, rates = optimizer.state_dict(), random_state(), [g["lr"] for g in optimizer.param_groups]
    try:
        with training(model):
            stepper = Stepper(model, compiled, optimizer, op)
            return _run(stepper, batches, min_lr, max_lr, steps, smoothing, stop_factor)
    finally:
        optimizer.zero_grad()
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        set_random_state(numbers)


def _run(
    stepper: Stepper, batches: Any, low: float, high: float, steps: int, smoothing: float, stop: float
) -> RangeTest:
    first = [group["lr"] for group in stepper.optimizer.param_groups]
    base = max(first) or 1.0
    rates: list[float] = []
    losses: list[float] = []
    average, lowest = 0.0, math.inf
    while len(losses) < steps:
        before = len(losses)
        for inputs, target, weight in batches:
            rate = low * (high / low) ** (len(losses) / (steps - 1))
            for group, own in zip(stepper.optimizer.param_groups, first, strict=True):
                group["lr"] = rate * (own / base if own else 1.0)
            batch = stepper.forward(inputs, target, weight)
            if not math.isfinite(batch.number):
                return RangeTest(np.array(rates), np.array(losses), smoothing)
            rates.append(rate)
            losses.append(batch.number)
            stepper.learn(batch)
            average = smoothing * average + (1 - smoothing) * batch.number
            smoothed = average / (1 - smoothing ** len(losses))
            lowest = min(lowest, smoothed)
            if len(losses) == steps or (smoothed > stop * abs(lowest) and lowest > 0):
                return RangeTest(np.array(rates), np.array(losses), smoothing)
        if len(losses) == before:
            raise no_rows("lr_range_test", batches)
    return RangeTest(np.array(rates), np.array(losses), smoothing)
