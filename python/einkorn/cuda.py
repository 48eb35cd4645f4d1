"""Whether there is a GPU, and which: what programs ask ``torch.cuda`` before they choose a device.

The arrays of a GPU are CuPy's, and its kernels are built where nvcc is found; see ``einkorn.show_config()``.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from einkorn.errors import EngineError
from einkorn.random import manual_seed

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]

#: One stream of random numbers serves all devices.
manual_seed_all = manual_seed


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError:
        raise EngineError("einkorn.cuda needs CuPy; run: pip install 'einkorn[cuda]'") from None


def device_count() -> int:
    """Number of GPUs that can be used; 0 without CuPy or the kernels."""
    if importlib.util.find_spec("einkorn._cuda") is None or importlib.util.find_spec("cupy") is None:
        return 0
    try:
        return int(_cupy().cuda.runtime.getDeviceCount())
    except Exception:  # of a driver that is not there, or too old
        return 0


def is_available() -> bool:
    """Whether tensors can be moved to a GPU and computed with there."""
    return device_count() > 0


def current_device() -> int:
    """Number of the GPU that ``"cuda"`` means."""
    return int(_cupy().cuda.runtime.getDevice())


def get_device_name(device: Any = None) -> str:
    """Name of a GPU, by default of the current one."""
    number = current_device() if device is None else int(str(device).rpartition(":")[2])
    return str(_cupy().cuda.runtime.getDeviceProperties(number)["name"].decode())


def synchronize(device: Any = None) -> None:
    """Wait for what was started on the GPU; nothing to wait for without one."""
    if is_available():
        _cupy().cuda.runtime.deviceSynchronize()


def empty_cache() -> None:
    """Give free memory of the GPU back; without one, nothing happens."""
    if is_available():
        _cupy().get_default_memory_pool().free_all_blocks()
