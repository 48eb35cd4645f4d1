"""FTRL-Proximal, for sparse models by way of an L1 penalty."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from einkorn.errors import ArgumentError
from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["Ftrl"]


class Ftrl(Optimizer):
    """Follow the regularised leader (FTRL-Proximal; McMahan et al. 2013), as Keras defines it.

    With the sum n of g**2 and n_0 what it was before, z += g + 2 * l2_shrinkage * p
    - (n**-lr_power - n_0**-lr_power) / lr * p, and p becomes 0 where abs(z) <= l1, and otherwise
    (sign(z) * l1 - z) / (n**-lr_power / lr + 2 * l2 + beta / lr). The weights are those that fit all
    gradients so far; what they were before the first step does not matter.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-3
        More than 0.
    lr_power : float, default -0.5
        How the rate falls with n, at most 0; 0 does not let it fall.
    initial_accumulator_value : float, default 0.1
        What n starts from.
    l1, l2 : float, default 0
        Penalties.
    l2_shrinkage : float, default 0
        An L2 penalty that is added to the gradient.
    beta : float, default 0
        Of the paper: added to the root of n.
    maximize : bool, keyword-only, default False
        Climb instead.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("accumulator", "linear")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        lr_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1: float = 0.0,
        l2: float = 0.0,
        l2_shrinkage: float = 0.0,
        beta: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_power": lr_power,
                "initial_accumulator_value": initial_accumulator_value,
                "l1": l1,
                "l2": l2,
                "l2_shrinkage": l2_shrinkage,
                "beta": beta,
                "maximize": maximize,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "initial_accumulator_value", "l1", "l2", "l2_shrinkage", "beta"):
            self._number(group, key)
        if not group["lr"] > 0:
            raise ArgumentError(f"Ftrl: lr is {group['lr']!r}, expected a number > 0")
        power = group["lr_power"]
        if isinstance(power, bool) or not isinstance(power, (int, float, np.floating)) or not power <= 0:
            raise ArgumentError(f"Ftrl: lr_power is {power!r}, expected a number <= 0")
        self._check_flags(group)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return float(group["initial_accumulator_value"]) if name == "accumulator" else 0.0

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        engine.ftrl_step(
            params,
            grads,
            run.state["accumulator"],
            run.state["linear"],
            group["lr"],
            -group["lr_power"],
            group["l1"],
            2 * group["l2"] + group["beta"] / group["lr"],
            2 * group["l2_shrinkage"],
            group["maximize"],
        )
