"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn.errors import ArgumentError
from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent with optional momentum, as torch defines it.

    With g the gradient plus weight_decay * p, the momentum buffer is v = momentum * v +
    (1 - dampening) * g (the first time v = g), and p -= lr * v; Nesterov's form uses g +
    momentum * v instead of v (Sutskever et al. 2013).

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-3
    momentum, dampening : float, default 0
    weight_decay : float, default 0
        L2 penalty.
    nesterov : bool, default False
        Needs momentum and no dampening.
    maximize : bool, default False
        Climb instead.
    foreach, fused : bool, optional
        Taken as torch takes them; all parameters are updated in one launch either way.
    differentiable : bool, default False
        Must be False.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "momentum", "dampening", "weight_decay"):
            self._number(group, key)
        self._check_flags(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum > 0 and dampening 0, got momentum "
                f"{group['momentum']!r} and dampening {group['dampening']!r}"
            )

    def _check_rows(self, param: Any, group: dict[str, Any]) -> None:
        if group["momentum"] or group["weight_decay"]:
            super()._check_rows(param, group)

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self._state_names if group["momentum"] else ()

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        momenta = None
        first = run.steps == 0
        if group["momentum"]:
            if "momentum_buffer" not in run.state:  # momentum was switched on after some steps
                run.state = self._new_state(run, params, group)
                first = True
            momenta = run.state["momentum_buffer"]
        engine.sgd_step(
            params,
            grads,
            momenta,
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            first,
        )
