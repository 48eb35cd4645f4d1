"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """Gradient descent with an average of its iterates (Polyak and Juditsky 1992), as torch defines it.

    With ``eta`` from ``lr / (1 + lambd * lr * step) ** alpha``, p -= eta * (g + lambd * p); the average,
    which ``state_dict`` has as ``ax``, is p until step ``t0`` and the mean of all later p after it.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-2
    lambd : float, default 1e-4
        Decay of parameters.
    alpha : float, default 0.75
        Power by which the rate falls.
    t0 : float, default 1e6
        The step at which averaging begins.
    weight_decay : float, default 0
        L2 penalty, added to the gradient.
    foreach, capturable : bool, optional
        Taken as torch takes them; all parameters are updated in one launch either way.
    maximize : bool, default False
        Climb instead.
    differentiable : bool, default False
        Must be False.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("ax",)
    _scalars: ClassVar[dict[str, float]] = {"eta": 0.0, "mu": 1.0}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "lambd", "alpha", "t0", "weight_decay"):
            self._number(group, key)
        self._check_flags(group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        lr, lambd, step = float(group["lr"]), float(group["lambd"]), run.steps + 1
        eta = run.scalars["eta"] if run.steps else lr
        decay = lambd + group["weight_decay"]
        engine.sgd_step(params, grads, None, eta, 0.0, 0.0, decay, False, group["maximize"], step == 1)
        if run.scalars["mu"] == 1:
            for average, param in zip(run.state["ax"], params, strict=True):
                engine.copy(average, param)
        else:
            engine.lerp_step(run.state["ax"], params, run.scalars["mu"])
        run.scalars["eta"] = lr / (1 + lambd * lr * step) ** group["alpha"]
        run.scalars["mu"] = 1 / max(1.0, step - group["t0"])
