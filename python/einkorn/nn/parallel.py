"""``DataParallel``, which on one machine without several GPUs calls its module."""

from __future__ import annotations

from typing import Any

from einkorn._device import gpu_name
from einkorn.cuda import device_count
from einkorn.errors import ArgumentError, DeviceError
from einkorn.nn.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Call ``module``, as torch does where there are not several GPUs; names begin with ``module.``.

    Parameters
    ----------
    module : Module
    device_ids : list of GPUs, optional
        One at most where there are several GPUs.
    output_device, dim
        As in torch, without effect.

    Raises
    ------
    DeviceError
        Batches are not parted among GPUs here.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        if not isinstance(module, Module):
            raise ArgumentError(f"DataParallel: module is {type(module).__name__}, expected a Module")
        names = [gpu_name("DataParallel", given) for given in device_ids or ()]
        if len(names) > 1 and device_count() > 1:
            raise DeviceError(
                f"DataParallel: device_ids is {device_ids!r}, expected one: batches are not parted among GPUs"
            )
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
