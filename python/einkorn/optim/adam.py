"""Adam and AdamW."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn.errors import ArgumentError
from einkorn.optim.optimizer import Optimizer, Run

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), as torch defines it.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-3
    betas : pair of float, default (0.9, 0.999)
        Decay of the running means of gradient and squared gradient.
    eps : float, default 1e-8
        Added to the root in the denominator.
    weight_decay : float, default 0
        L2 penalty, added to the gradient.
    amsgrad : bool, default False
        Divide by the largest second moment so far (Reddi et al. 2018). Switched on in a group later, the
        largest since then.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            self._number(group, key)
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ArgumentError(f"{type(self).__name__}: betas is {betas!r}, expected a pair of numbers")
        for number, beta in enumerate(betas):
            self._number({f"betas[{number}]": beta}, f"betas[{number}]", 1.0)

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return (*self._state_names, "max_exp_avg_sq") if group["amsgrad"] else self._state_names

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        state = run.state
        if group["amsgrad"] and "max_exp_avg_sq" not in state:  # switched on after some steps
            state["max_exp_avg_sq"] = self._zeros(params)
        beta1, beta2 = group["betas"]
        engine.adam_step(
            params,
            grads,
            state["exp_avg"],
            state["exp_avg_sq"],
            state["max_exp_avg_sq"] if group["amsgrad"] else None,
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            self._decoupled,
            run.steps + 1,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p -= lr * weight_decay * p.

    Parameters as for ``Adam``; ``weight_decay`` is 1e-2 by default.
    """

    _decoupled: ClassVar[bool] = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
