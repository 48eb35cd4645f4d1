"""Optimizers with Keras' names and arguments: made without parameters, which ``compile`` adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn import optim
from einkorn.errors import ArgumentError
from einkorn.optim import schedules
from einkorn.optim.lr_scheduler import FunctionLR

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop", "schedules"]


class _Recipe:
    """What an optimizer will be, once ``compile`` calls it with the parameters."""

    def __init__(self, learning_rate: Any, make: Callable[[Any, float], optim.Optimizer]) -> None:
        rate = learning_rate(0) if callable(learning_rate) else learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate >= 0:
            raise ArgumentError(
                f"{type(self).__name__}: learning_rate is {learning_rate!r}, expected a number >= 0 "
                "or a schedule"
            )
        self.learning_rate = learning_rate
        self._make = make

    def __call__(self, parameters: Any) -> optim.Optimizer:
        schedule = self.learning_rate if callable(self.learning_rate) else None
        optimizer = self._make(parameters, schedule(0) if schedule else self.learning_rate)
        if schedule is not None:
            _follow(optimizer, schedule)
        return optimizer


def _follow(optimizer: optim.Optimizer, schedule: Any) -> None:
    """Step the schedule with every update."""
    rates, step = FunctionLR(optimizer, schedule), optimizer.step

    def stepped(closure: Any = None) -> Any:
        loss = step(closure)
        rates.step()
        return loss

    object.__setattr__(optimizer, "step", stepped)


class SGD(_Recipe):
    """Gradient descent.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.01
    momentum : float, default 0
    nesterov : bool, default False
    weight_decay : float, optional
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.SGD(p, lr, momentum, weight_decay=weight_decay or 0.0, nesterov=nesterov),
        )


class Adam(_Recipe):
    """Adam (Kingma and Ba 2014).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    amsgrad : bool, default False
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        amsgrad: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.Adam(p, lr, (beta_1, beta_2), epsilon, amsgrad=amsgrad)
        )


class AdamW(_Recipe):
    """Adam with weight decay apart from the gradient.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    weight_decay : float, default 0.004
    beta_1, beta_2, epsilon : as ``Adam``
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.AdamW(p, lr, (beta_1, beta_2), epsilon, weight_decay)
        )


class RMSprop(_Recipe):
    """RMSprop.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    rho : float, default 0.9
    momentum : float, default 0
    epsilon : float, default 1e-7
    centered : bool, default False
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
        centered: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.RMSprop(p, lr, rho, epsilon, momentum=momentum, centered=centered),
        )


class Adagrad(_Recipe):
    """Adagrad.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    initial_accumulator_value : float, default 0.1
    epsilon : float, default 1e-7
    """

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7
    ) -> None:
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Adagrad(
                p, lr, initial_accumulator_value=initial_accumulator_value, eps=epsilon
            ),
        )
