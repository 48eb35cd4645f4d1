"""Adafactor: Adam's second moments in as little memory as a row and a column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.dtypes import finfo
from einkorn.errors import ArgumentError
from einkorn.optim._runs import Run, copies
from einkorn.optim.optimizer import Optimizer

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern 2018), as torch defines it.

    The mean squares of a matrix's gradient are kept as those of its rows and of its columns, whose product
    stands for them; of a parameter of one dimension they are kept whole.

    Parameters
    ----------
    params : iterable of Parameter or of group dicts
    lr : float, default 1e-2
        The largest relative rate: that of step t is min(lr, 1 / sqrt(t)), times the root mean square of the
        parameter (or ``eps[1]`` if that is larger).
    beta2_decay : float, default -0.8
        Step t gives the new square the weight t**beta2_decay.
    eps : pair of (float or None) and float, default (None, 1e-3)
        The least second moment, None for the spacing of the parameter's type at 1, and the least root mean
        square that a parameter counts with.
    d : float, default 1.0
        The largest root mean square of an update.
    weight_decay : float, default 0
        Decoupled from the gradient.
    foreach : bool, optional
        Taken as torch takes it; means nothing.
    maximize : bool, default False
        Climb instead.

    Raises
    ------
    ArgumentError
        Naming the option that is out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        self._number(group, "lr")
        self._number(group, "weight_decay")
        self._number(group, "d")
        if group["d"] < 1:
            raise ArgumentError(f"Adafactor: d is {group['d']!r}, expected a number >= 1")
        decay = group["beta2_decay"]
        if isinstance(decay, bool) or not isinstance(decay, (int, float, np.floating)) or not decay <= 0:
            raise ArgumentError(f"Adafactor: beta2_decay is {decay!r}, expected a number <= 0")
        eps = group["eps"]
        if not isinstance(eps, (tuple, list)) or len(eps) != 2:
            raise ArgumentError(f"Adafactor: eps is {eps!r}, expected a pair")
        self._pair({"eps": (0.0 if eps[0] is None else eps[0], eps[1])}, "eps")
        self._check_flags(group)

    def _kind(self, param: Tensor) -> Any:
        return len(self._shape(param)) > 1

    def _names_of(self, group: dict[str, Any], param: Tensor) -> tuple[str, ...]:
        return ("row_var", "col_var") if self._kind(param) else ("variance",)

    def _shape(self, param: Tensor) -> tuple[int, ...]:
        """The shape whose last two axes are those of rows and of columns."""
        return param._data.shape

    def _state_shape(self, name: str, param: Tensor) -> tuple[int, ...]:
        shape = self._shape(param)
        if name == "row_var":
            return (*shape[:-1], 1)
        return (*shape[:-2], 1, shape[-1]) if name == "col_var" else shape

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        step = run.steps + 1
        weight, relative = step ** group["beta2_decay"], min(group["lr"], 1 / math.sqrt(step))
        least = finfo(run.dtype).eps if group["eps"][0] is None else group["eps"][0]
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if param.size == 0:
                continue
            kept = [arrays[i] for arrays in run.state.values()]
            state = dict(zip(run.state, copies(engine, kept), strict=True))
            update = self._direction(engine, run.params[i], grad, state, weight, least)
            root = math.sqrt(param.size)
            size, length = self._lengths(engine, param, update)
            rate = max(group["eps"][1], size / root) * relative / max(1.0, length / (root * group["d"]))
            # p - lr weight_decay p - rate update, in the form of a step with an L2 penalty
            penalty = group["lr"] * group["weight_decay"] / rate if rate else 0.0
            if group["maximize"]:
                rate, penalty = -rate, -penalty
            engine.sgd_step([param], [update], None, rate, 0.0, 0.0, penalty, False, False, True)
            for array, new in zip(kept, state.values(), strict=True):
                engine.copy(array, new)

    def _direction(
        self, engine: Any, param: Tensor, grad: Any, state: dict[str, Any], weight: float, least: float
    ) -> Any:
        """The gradient over the root of its running mean square."""
        squares = ops.square(grad)
        if "variance" in state:
            engine.lerp_step([state["variance"]], [squares], weight)
            estimate = state["variance"]
        else:
            rows, columns = state["row_var"], state["col_var"]
            means = [ops.mean(squares, axis, keepdims=True) for axis in (-1, -2)]
            engine.lerp_step([rows, columns], means, weight)
            total = ops.clip(ops.mean(rows, -2, keepdims=True), least)
            estimate = ops.divide(ops.multiply(rows, columns), total)
        return ops.multiply(grad, ops.reciprocal(ops.sqrt(ops.clip(estimate, least * least))))

    @staticmethod
    def _lengths(engine: Any, *arrays: Any) -> list[float]:
        norms = []
        for array in arrays:
            norm = engine.empty((1,), np.dtype(np.float64))
            engine.tensor_norms(norm, [array], 2.0)
            norms.append(float(norm[0]))
        return norms
