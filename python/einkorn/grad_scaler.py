"""Scaling of losses, so that small gradients survive a type of small range: torch's interface.

bfloat16 has the range of float32 and needs none of it; code that was written for float16 runs unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions, engines, ops
from einkorn._device import device_name
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, EinkornError
from einkorn.sparse import SparseRows

__all__ = ["GradScaler"]


class GradScaler:
    """Multiplies losses by a factor, divides gradients by it, and leaves out steps with infinite ones.

    Parameters
    ----------
    device : str, default "cpu"
        Taken, and of no effect: losses are scaled where they are.
    init_scale : float, default 65536.0
        The first factor.
    growth_factor : float, default 2.0
        What the factor is multiplied by after ``growth_interval`` steps in a row without overflow.
    backoff_factor : float, default 0.5
        What it is multiplied by after an overflow.
    growth_interval : int, default 2000
    enabled : bool, default True
        False: nothing is scaled, and ``step`` is the optimizer's.

    Examples
    --------
    >>> scaler = einkorn.GradScaler()
    >>> with einkorn.autocast():
    ...     loss = einkorn.ops.cross_entropy(model(x), y)
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if not growth_factor > 1.0:
            raise ArgumentError(f"GradScaler: growth_factor is {growth_factor}, expected more than 1")
        if not 0.0 < backoff_factor < 1.0:
            raise ArgumentError(f"GradScaler: backoff_factor is {backoff_factor}, expected one from 0 to 1")
        if not 0.0 < init_scale < math.inf:
            raise ArgumentError(f"GradScaler: init_scale is {init_scale}, expected a number above 0")
        if not isinstance(enabled, bool):
            raise ArgumentError(f"GradScaler: enabled is {enabled!r}, expected True or False")
        self._device = device_name("GradScaler", device)
        self._enabled = enabled
        self._scale = float(init_scale)
        self._growth = float(growth_factor)
        self._backoff = float(backoff_factor)
        self._interval = int(growth_interval)
        self._good = 0  # steps in a row without overflow
        self._found: dict[int, bool] = {}  # by optimizer: whether its gradients overflowed

    def scale(self, outputs: Any) -> Any:
        """Multiply a loss, or a list or tuple of them, by the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return ops.multiply(outputs, self._scale)
        if isinstance(outputs, Iterable):
            scaled = [self.scale(each) for each in outputs]
            return tuple(scaled) if isinstance(outputs, tuple) else scaled
        raise ArgumentError(f"GradScaler: outputs is a {type(outputs).__name__}, expected Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the factor, as before they are clipped.

        Raises
        ------
        EinkornError
            If it was done already since the last :meth:`update`.
        """
        if not self._enabled:
            return
        if id(optimizer) in self._found:
            raise EinkornError("GradScaler: unscale_ was called already since the last update()")
        params = [param for group in optimizer.param_groups for param in group["params"]]
        grads = [param.grad for param in params if param.grad is not None]
        arrays = [g.values if type(g) is SparseRows else g._data for g in grads]
        self._found[id(optimizer)] = not all(np.isfinite(array).all() for array in arrays)
        for array in arrays:
            wide = _bfloat16.widen(array) if _bfloat16.is_bfloat16(array.dtype) else array
            factor = np.full((), 1.0 / self._scale, wide.dtype)
            engines.of(wide).multiply(wide, wide, np.broadcast_to(factor, wide.shape))
            if wide is not array:
                _bfloat16.copy(array, wide)
        _versions.wrote(*arrays)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step, unless a gradient is not finite; what it returns.

        Divides the gradients first if :meth:`unscale_` was not called.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | None = None) -> None:
        """Adjust the factor after the steps of an iteration, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise EinkornError("GradScaler: update() follows step(), which was not called")
        elif any(self._found.values()):
            self._scale *= self._backoff
            self._good = 0
        else:
            self._good += 1
            if self._good == self._interval:
                self._scale *= self._growth
                self._good = 0
        self._found.clear()

    def get_scale(self) -> float:
        """The factor; 1 where nothing is scaled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor and how it changes; empty where nothing is scaled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        if not self._enabled:
            return
        try:
            self._scale = float(state_dict["scale"])
            self._growth = float(state_dict["growth_factor"])
            self._backoff = float(state_dict["backoff_factor"])
            self._interval = int(state_dict["growth_interval"])
            self._good = int(state_dict["_growth_tracker"])
        except (KeyError, TypeError) as error:
            raise ArgumentError(
                f"GradScaler: load_state_dict expects what state_dict gives: {error}"
            ) from None
