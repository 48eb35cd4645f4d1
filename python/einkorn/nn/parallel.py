"""``DataParallel``, which on one machine without several GPUs calls its module."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError
from einkorn.nn.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Call ``module``, as torch does where there are not several GPUs; names begin with ``module.``.

    Parameters
    ----------
    module : Module
    device_ids, output_device, dim
        As in torch, without effect.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        if not isinstance(module, Module):
            raise ArgumentError(f"DataParallel: module is {type(module).__name__}, expected a Module")
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
