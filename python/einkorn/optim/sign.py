"""Rprop and Lion: steps by the sign of a gradient."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn.errors import ArgumentError
from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["Lion", "Rprop"]


class Rprop(Optimizer):
    """Rprop (Riedmiller and Braun 1993), as torch defines it.

    Every element has a step size of its own, which grows while its gradient keeps its sign, shrinks where it
    changed (and no step is made there), and is taken against the gradient's sign. For gradients of the whole
    data.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-2
        The first step sizes.
    etas : pair of float, default (0.5, 1.2)
        What a step size is multiplied by when the sign changed, and when it did not.
    step_sizes : pair of float, default (1e-6, 50)
        The least and the largest step size.
    capturable, foreach : bool, optional
        Taken as torch takes them; all parameters are updated in one launch either way.
    maximize : bool, default False
        Climb instead.
    differentiable : bool, default False
        Must be False.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.

    Notes
    -----
    A parameter whose gradient is NaN becomes NaN; torch leaves it as it was.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("prev", "step_size")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        self._number(group, "lr")
        self._pair(group, "etas")
        self._pair(group, "step_sizes")
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ArgumentError(f"Rprop: etas is {group['etas']!r}, expected 0 < etas[0] < 1 < etas[1]")
        self._check_flags(group)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return float(group["lr"]) if name == "step_size" else 0.0

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        engine.rprop_step(
            params,
            grads,
            run.state["prev"],
            run.state["step_size"],
            *group["etas"],
            *group["step_sizes"],
            group["maximize"],
        )


class Lion(Optimizer):
    """Lion (Chen et al. 2023): p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p).

    Then m = beta2 * m + (1 - beta2) * g. Half the state of Adam; rates three to ten times smaller than Adam's
    and as much more weight decay are the paper's advice.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-4
    betas : pair of float, default (0.9, 0.99)
    weight_decay : float, default 0
        Decoupled from the gradient.
    maximize : bool, default False
        Climb instead.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        )

    def _check(self, group: dict[str, Any]) -> None:
        self._number(group, "lr")
        self._number(group, "weight_decay")
        self._pair(group, "betas", 1.0)
        self._check_flags(group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        rate = group["lr"]
        shrink = 1 - rate * group["weight_decay"]
        engine.lion_step(
            params, grads, run.state["exp_avg"], rate, *group["betas"], shrink, group["maximize"]
        )
