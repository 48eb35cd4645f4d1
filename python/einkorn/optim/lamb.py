"""LAMB, for large batches."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer

__all__ = ["LAMB"]


class LAMB(Optimizer):
    """LAMB (You et al. 2020, algorithm 2): Adam's update, at the length of its parameter.

    With u Adam's m / (sqrt(v) + eps), both means corrected for their start, plus weight_decay * p, a tensor
    changes by p -= lr * norm(p) / norm(u) * u; the ratio is 1 where one of the norms is 0.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-3
    betas : pair of float, default (0.9, 0.999)
    eps : float, default 1e-6
    weight_decay : float, default 0
    maximize : bool, default False
        Climb instead.

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
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize},
        )

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps", "weight_decay"):
            self._number(group, key)
        self._pair(group, "betas", 1.0)
        self._check_flags(group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        (beta1, beta2), step = group["betas"], run.steps + 1
        updates = [engine.empty(param.shape, param.dtype) for param in params]
        param_norms, update_norms = (engine.empty((len(params),), np.dtype(np.float64)) for _ in range(2))
        engine.lamb_step(
            params,
            grads,
            run.state["exp_avg"],
            run.state["exp_avg_sq"],
            updates,
            1 / (1 - beta1**step),
            1 / math.sqrt(1 - beta2**step),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )
        engine.tensor_norms(param_norms, params, 2.0)
        engine.tensor_norms(update_norms, updates, 2.0)
        engine.trust_step(params, updates, param_norms, update_norms, group["lr"])
