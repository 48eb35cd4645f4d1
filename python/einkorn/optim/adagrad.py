"""AdaGrad, Adadelta and RMSprop: rates that follow from squares of gradients."""

from __future__ import annotations

from typing import Any, ClassVar

from einkorn.errors import ArgumentError
from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """AdaGrad (Duchi et al. 2011), as torch defines it: p -= lr_t * g / (sqrt(sum of g**2) + eps).

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-2
    lr_decay : float, default 0
        lr_t is lr / (1 + (step - 1) * lr_decay).
    weight_decay : float, default 0
        L2 penalty, added to the gradient.
    initial_accumulator_value : float, default 0
        What the sums of squares start from.
    eps : float, default 1e-10
    foreach, fused : bool, optional
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

    _state_names: ClassVar[tuple[str, ...]] = ("sum",)
    _state_at_once: ClassVar[bool] = True
    _eps_within: ClassVar[bool] = False  # sqrt(sum + eps) in the place of sqrt(sum) + eps

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            self._number(group, key)
        self._check_flags(group)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return float(group["initial_accumulator_value"])

    def _check_rows(self, param: Any, group: dict[str, Any]) -> None:
        if group["weight_decay"]:
            super()._check_rows(param, group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        rate = group["lr"] / (1 + run.steps * group["lr_decay"])
        engine.adagrad_step(
            params,
            grads,
            run.state["sum"],
            rate,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
            self._eps_within,
        )


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012), as torch defines it.

    With running means v of g**2 and a of d**2, d = g * sqrt(a + eps) / sqrt(v + eps) and p -= lr * d.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1.0
    rho : float, default 0.9
        Decay of both means.
    eps : float, default 1e-6
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

    _state_names: ClassVar[tuple[str, ...]] = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            self._number(group, key)
        self._number(group, "rho")
        if group["rho"] > 1:
            raise ArgumentError(f"Adadelta: rho is {group['rho']!r}, expected a number from 0 to 1")
        self._check_flags(group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        engine.adadelta_step(
            params,
            grads,
            run.state["square_avg"],
            run.state["acc_delta"],
            group["lr"],
            group["rho"],
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012; centred, Graves 2013), as torch defines it.

    With v the running mean of g**2, less the square of that of g if ``centered``, d = g / (sqrt(v) + eps),
    and p -= lr * d or, with momentum, p -= lr * b for b = momentum * b + d.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-2
    alpha : float, default 0.99
        Decay of the means.
    eps : float, default 1e-8
    weight_decay : float, default 0
        L2 penalty, added to the gradient.
    momentum : float, default 0
    centered : bool, default False
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
    """

    _state_names: ClassVar[tuple[str, ...]] = ("square_avg",)
    _eps_within: ClassVar[bool] = False  # sqrt(v + eps) in the place of sqrt(v) + eps

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            self._number(group, key)
        self._check_flags(group)

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        momentum = ("momentum_buffer",) if group["momentum"] else ()
        return (*self._state_names, *momentum, *(("grad_avg",) if group["centered"] else ()))

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        engine.rmsprop_step(
            params,
            grads,
            run.state["square_avg"],
            self._of_late(run, "grad_avg", params, group) if group["centered"] else None,
            self._of_late(run, "momentum_buffer", params, group) if group["momentum"] else None,
            group["lr"],
            group["alpha"],
            group["eps"],
            group["momentum"],
            group["weight_decay"],
            group["maximize"],
            self._eps_within,
        )
