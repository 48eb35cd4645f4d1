"""Optimizers of ``einkorn.optim`` whose formulas are Keras' where the two differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from einkorn import ops, optim
from einkorn._grad_mode import no_grad
from einkorn._tensor import Tensor
from einkorn.optim._runs import Run, copies
from einkorn.optim.muon import orthogonal

__all__ = ["Adafactor", "Adagrad", "Adam", "Adamax", "Muon", "RMSprop"]


class Adam(optim.Adam):
    """Adam whose eps is added to the root of the second mean before that is corrected for its start."""

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        eps = group["eps"] / math.sqrt(1 - group["betas"][1] ** (run.steps + 1))
        super()._launch(engine, params, grads, run, {**group, "eps": eps})


class Adagrad(optim.Adagrad):
    """AdaGrad whose eps is within the root."""

    _eps_within: ClassVar[bool] = True


class RMSprop(optim.RMSprop):
    """RMSprop whose eps is within the root."""

    _eps_within: ClassVar[bool] = True


class Adamax(optim.Adamax):
    """Adamax whose eps is added to the largest gradient when it divides."""

    _eps_within: ClassVar[bool] = True


class Adafactor(optim.Adafactor):
    """Adafactor with eps added to the squares, over the axes that come last in Keras' layout.

    ``place_of`` tells where a parameter is kept and how it is turned, or None.
    """

    def __init__(self, params: Any, *arguments: Any, place_of: Callable[[Tensor], Any]) -> None:
        self._place_of = place_of
        super().__init__(params, *arguments)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check({**group, "d": max(1.0, group["d"])})
        self._number(group, "d")

    def _shape(self, param: Tensor) -> tuple[int, ...]:
        place = self._place_of(param)
        return tuple(param._data.shape if place is None else place.turn(param._data).shape)

    def _direction(
        self, engine: Any, param: Tensor, grad: Any, state: dict[str, Any], weight: float, least: float
    ) -> Any:
        place = self._place_of(param)
        if place is not None:
            grad = ops.contiguous(place.turn(grad))
        squares = ops.add(ops.square(grad), least)
        if "variance" in state:
            engine.lerp_step([state["variance"]], [squares], weight)
            estimate = state["variance"]
        else:
            rows, columns = state["row_var"], state["col_var"]
            means = [ops.mean(squares, axis, keepdims=True) for axis in (-1, -2)]
            engine.lerp_step([rows, columns], means, weight)
            estimate = ops.multiply(ops.divide(rows, ops.mean(rows, -2, keepdims=True)), columns)
        update = ops.divide(grad, ops.sqrt(estimate))
        return update if place is None else ops.contiguous(place.back(update))


class Muon(optim.Optimizer):
    """Muon for the groups whose option "orthogonal" is True, and Adam for the others."""

    def _check(self, group: dict[str, Any]) -> None:
        for key in ("lr", "momentum", "eps"):
            self._number(group, key)
        self._pair(group, "betas", 1.0)

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum",) if group["orthogonal"] else ("momentum", "velocity")

    def _launch(
        self, engine: Any, params: list[Any], grads: list[Any], run: Run, group: dict[str, Any]
    ) -> None:
        if not group["orthogonal"]:
            (beta1, beta2), step = group["betas"], run.steps + 1
            rate = group["lr"] * group["adam_lr_ratio"] * math.sqrt(1 - beta2**step) / (1 - beta1**step)
            engine.moments_step(
                params, grads, run.state["momentum"], run.state["velocity"],
                0.0, rate, 1.0, beta1, beta2, group["eps"], 0.0, 1.0, True, False,
            )  # fmt: skip
            return
        seen = [engine.empty(grad.shape, grad.dtype) for grad in grads]
        for array in seen:
            engine.fill(array, 0.0)
        momenta = copies(engine, run.state["momentum"])
        # Gradient descent from zero at the rate -1 leaves what it would have descended along.
        engine.sgd_step(
            seen, grads, momenta, -1.0, group["momentum"], 0.0, 0.0, group["nesterov"], False,
            False,
        )  # fmt: skip
        for param, array in zip(params, seen, strict=True):
            if not param.size:
                continue
            with no_grad():
                x = Tensor(array)
                update = orthogonal(x / (x.norm() + 1e-7), group["ns_coefficients"], group["ns_steps"])
            rate = group["lr"]
            if group["rms_rate"] is not None:
                rate *= math.sqrt(max(param.shape)) * group["rms_rate"]
            step = ops.contiguous(update)._data
            engine.sgd_step([param], [step], None, rate, 0.0, 0.0, 0.0, False, False, False)
        for array, new in zip(run.state["momentum"], momenta, strict=True):
            engine.copy(array, new)
