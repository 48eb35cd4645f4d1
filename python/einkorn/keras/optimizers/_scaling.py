"""``LossScaleOptimizer``: a scale of the loss that follows what the gradients bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn import optim
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError
from einkorn.keras.optimizers._optimizer import Optimizer, divide_gradients
from einkorn.keras.optimizers._slots import Slot

__all__ = ["LossScaleOptimizer"]


class LossScaleOptimizer(Optimizer):
    """Another optimizer, with a scale of the loss so that gradients of narrow types do not vanish.

    Training goes back from so many times the loss, and the gradients are divided by the scale. Where one is
    not finite then, nothing is updated and the scale is halved; after ``dynamic_growth_steps`` updates in a
    row it is doubled.

    Parameters
    ----------
    inner_optimizer : Optimizer
    initial_scale : float, default 32768
    dynamic_growth_steps : int, default 2000
    name : str, optional

    Attributes
    ----------
    dynamic_scale : float
        The scale now.
    step_counter : int
        The updates since it changed.
    """

    def __init__(
        self, inner_optimizer: Optimizer, initial_scale: float = 2.0**15, dynamic_growth_steps: int = 2000,
        name: str | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise ArgumentError(
                f"LossScaleOptimizer: inner_optimizer is {type(inner_optimizer).__name__}, expected another "
                "optimizer of einkorn.keras.optimizers"
            )
        if not 0 < initial_scale < np.inf:
            raise ArgumentError(
                f"LossScaleOptimizer: initial_scale is {initial_scale!r}, expected a number above 0"
            )
        super().__init__(0.0, self._of, name=name)
        self.inner_optimizer = inner_optimizer
        inner_optimizer.loss_scale_factor = None  # scaled once, not twice
        self.initial_scale, self.dynamic_growth_steps = float(initial_scale), int(dynamic_growth_steps)
        self.dynamic_scale, self.step_counter = self.initial_scale, 0

    def _of(self, params: Any, _: float) -> optim.Optimizer:
        return self.inner_optimizer(params)

    def __call__(self, parameters: Any) -> optim.Optimizer:
        """An optimizer of ``einkorn.optim`` for these parameters."""
        params = list(parameters)
        bound = self.inner_optimizer(params)
        step, state_dict, load_state_dict = bound.step, bound.state_dict, bound.load_state_dict

        def stepped(closure: Any = None) -> Any:
            loss = None if closure is None else closure()
            if self._unscale():
                step()
                self._grow()
            return loss

        def state() -> dict[str, Any]:
            return {**state_dict(), "loss_scale": [self.dynamic_scale, self.step_counter]}

        def load_state(state: Mapping[str, Any]) -> None:
            load_state_dict({name: part for name, part in state.items() if name != "loss_scale"})
            if "loss_scale" in state:
                scale, count = state["loss_scale"]
                self.dynamic_scale, self.step_counter = float(scale), int(count)

        for name, function in (
            ("keras", self), ("step", stepped), ("apply", self.apply),
            ("apply_gradients", self.apply_gradients), ("state_dict", state),
            ("load_state_dict", load_state), ("scale_loss", self.scale_loss),
        ):  # fmt: skip
            object.__setattr__(bound, name, function)
        self._bound, self._params = bound, params
        return bound

    @property
    def scales(self) -> bool:
        """Whether it goes back from a multiple of the loss: always."""
        return True

    def know(self, variables: Any) -> None:
        """Remember the names and layouts of weights."""
        given = list(variables)
        super().know(given)
        self.inner_optimizer.know(given)

    def _unscale(self) -> bool:
        """Divide the gradients by the scale, if they are all finite; else the scale is halved."""
        grads = [param.grad for param in self._params if param.grad is not None]
        if not all(bool(np.isfinite(as_numpy(grad, np.float32)).all()) for grad in grads):
            self.dynamic_scale, self.step_counter = self.dynamic_scale / 2, 0
            return False
        divide_gradients(self._params, self.dynamic_scale)
        return True

    def _grow(self) -> None:
        """Count an update; after enough of them the scale is doubled."""
        self.step_counter += 1
        if self.step_counter == self.dynamic_growth_steps:
            self.dynamic_scale, self.step_counter = self.dynamic_scale * 2, 0

    @property
    def learning_rate(self) -> Any:
        """The other optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> int:
        """The other optimizer's."""
        return self.inner_optimizer.iterations

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self.inner_optimizer.iterations = value

    @property
    def variables(self) -> list[Slot]:
        """Those of this one, then the other optimizer's."""
        own = [
            Slot("iteration", self.name, lambda: np.int64(0), lambda value: None),
            Slot("learning_rate", self.name, lambda: np.float32(0), lambda value: None),
        ]
        if self._bound is not None:
            own += [
                Slot(
                    "step_counter", self.name, lambda: np.int64(self.step_counter),
                    lambda value: setattr(self, "step_counter", int(value)),
                ),
                Slot(
                    "dynamic_scale", self.name, lambda: np.float32(self.dynamic_scale),
                    lambda value: setattr(self, "dynamic_scale", float(value)),
                ),
            ]  # fmt: skip
        return [*own, *self.inner_optimizer.variables]

    def scale_loss(self, loss: Any) -> Any:
        """So many times the loss."""
        return loss * self.dynamic_scale

    def finalize_variable_values(self, var_list: Any) -> None:
        """The other optimizer's."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """Name, the other optimizer, and how the scale goes."""
        return {
            "name": self.name,
            "inner_optimizer": self._own_config()["inner_optimizer"],
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }
