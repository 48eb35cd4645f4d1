"""Adamax, NAdam and RAdam: relatives of Adam."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["Adamax", "NAdam", "RAdam"]


class Adamax(Optimizer):
    """Adamax (Kingma and Ba 2015), as torch defines it: Adam by the largest gradient.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 2e-3
    betas : pair of float, default (0.9, 0.999)
        Decay of the running mean and of the running largest gradient.
    eps : float, default 1e-8
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

    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_inf")
    _eps_within: ClassVar[bool] = False  # added to the largest gradient when it divides, not before

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            self._number(group, key)
        self._pair(group, "betas", 1.0)
        self._check_flags(group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        engine.adamax_step(
            params,
            grads,
            run.state["exp_avg"],
            run.state["exp_inf"],
            group["lr"] / (1 - beta1 ** (run.steps + 1)),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
            self._eps_within,
        )


class _ByMoments(Optimizer):
    """By running means of gradient and square, with coefficients that follow from the step's number."""

    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            self._number(group, key)
        self._pair(group, "betas", 1.0)
        self._check_flags(group)

    def _moments_step(
        self,
        engine: Any,
        params: list[Any],
        grads: list[Any],
        run: Run,
        group: dict[str, Any],
        of_grad: float,
        of_mean: float,
        root: float,
        adaptive: bool = True,
    ) -> None:
        decoupled, decay = group["decoupled_weight_decay"], group["weight_decay"]
        engine.moments_step(
            params,
            grads,
            run.state["exp_avg"],
            run.state["exp_avg_sq"],
            of_grad,
            of_mean,
            root,
            *group["betas"],
            group["eps"],
            0.0 if decoupled else decay,
            1 - group["lr"] * decay if decoupled else 1.0,
            adaptive,
            group["maximize"],
        )


class NAdam(_ByMoments):
    """NAdam (Dozat 2016), as torch defines it: Adam with Nesterov's momentum, which grows from step to step.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 2e-3
    betas : pair of float, default (0.9, 0.999)
    eps : float, default 1e-8
    weight_decay : float, default 0
        L2 penalty, added to the gradient; if ``decoupled_weight_decay`` as AdamW has it.
    momentum_decay : float, default 4e-3
        The momentum of step t is beta1 * (1 - 0.96**(t * momentum_decay) / 2).
    decoupled_weight_decay : bool, default False
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

    _scalars: ClassVar[dict[str, float]] = {"mu_product": 1.0}

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        self._number(group, "momentum_decay")

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        (beta1, beta2), decay, step = group["betas"], group["momentum_decay"], run.steps + 1
        momentum, following = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = run.scalars["mu_product"] * momentum
        of_grad = group["lr"] * (1 - momentum) / (1 - product)
        of_mean = group["lr"] * following / (1 - product * following)
        root = 1 / math.sqrt(1 - beta2**step)
        self._moments_step(engine, params, grads, run, group, of_grad, of_mean, root)
        run.scalars["mu_product"] = product


class RAdam(_ByMoments):
    """RAdam (Liu et al. 2020), as torch defines it: Adam, rectified while its variance is uncertain.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-3
    betas : pair of float, default (0.9, 0.999)
    eps : float, default 1e-8
    weight_decay : float, default 0
        L2 penalty, added to the gradient; if ``decoupled_weight_decay`` as AdamW has it.
    decoupled_weight_decay : bool, default False
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

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        (beta1, beta2), step = group["betas"], run.steps + 1
        correction2 = 1 - beta2**step
        rate = group["lr"] / (1 - beta1**step)
        longest = 2 / (1 - beta2) - 1  # of the simple moving average with the variance of the decaying one
        length = longest - 2 * step * beta2**step / correction2
        adaptive = length > 5
        if adaptive:
            share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            rate *= math.sqrt(share * correction2)
        self._moments_step(engine, params, grads, run, group, 0.0, rate, 1.0, adaptive)
