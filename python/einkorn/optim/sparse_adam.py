"""Adam for gradients of few rows."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from einkorn.errors import ArgumentError
from einkorn.ops._options import flag
from einkorn.optim._runs import Run
from einkorn.optim.optimizer import Optimizer
from einkorn.sparse import SparseRows

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam that updates only the rows that have a gradient, and only their moments, as torch defines it.

    For tables of :class:`einkorn.nn.Embedding` with ``sparse=True``. Rows without a gradient keep their
    moments, where Adam would let them decay.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-3
    betas : pair of float, default (0.9, 0.999)
        Decay of the running means of gradient and squared gradient.
    eps : float, default 1e-8
        Added to the root in the denominator, before its bias is corrected.
    maximize : bool, default False
        Go up instead of down.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range; for gradients of whole tables.
    """

    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "eps"):
            self._number(group, key)
        flag("SparseAdam", "maximize", group["maximize"])
        betas = group["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError(f"SparseAdam: betas is {betas!r}, expected two numbers from 0 to below 1")

    def _check_rows(self, param: Any, group: dict[str, Any]) -> None:
        """All of them may be updated by rows."""

    def _update(self, run: Run, group: dict[str, Any]) -> None:
        for param in run.params:
            if type(param._grad) is not SparseRows:
                raise ArgumentError(
                    f"{self._where(param, group)} has a gradient of the whole table, expected a sparse one:"
                    " use Adam, or sparse=True in the embedding"
                )
        super()._update(run, group)

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        step = run.steps + 1
        eps = group["eps"] / math.sqrt(1 - beta2**step)  # Adam corrects the root's bias before it adds eps
        moments = run.state["exp_avg"], run.state["exp_avg_sq"]
        engine.adam_step(
            params, grads, *moments, None, group["lr"], beta1, beta2, eps, 0.0, False, group["maximize"], step
        )
