"""Adam and AdamW."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

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
    foreach, capturable, fused : bool, optional
        Taken as torch takes them; all parameters are updated in one launch either way.
    maximize : bool, default False
        Climb instead.
    differentiable : bool, default False
        Must be False.
    decoupled_weight_decay : bool, default False
        ``weight_decay`` as AdamW has it.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            self._number(group, key)
        self._pair(group, "betas", 1.0)
        self._check_flags(group)

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return (*self._state_names, "max_exp_avg_sq") if group["amsgrad"] else self._state_names

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        state = run.state
        beta1, beta2 = group["betas"]
        engine.adam_step(
            params,
            grads,
            state["exp_avg"],
            state["exp_avg_sq"],
            self._of_late(run, "max_exp_avg_sq", params, group) if group["amsgrad"] else None,
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
            run.steps + 1,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p -= lr * weight_decay * p.

    Parameters as for ``Adam``, without ``decoupled_weight_decay``; ``weight_decay`` is 1e-2 by default.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
