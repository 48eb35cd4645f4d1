"""torch's home of mixed precision: ``einkorn.autocast`` and ``einkorn.GradScaler``."""

from einkorn._autocast import autocast
from einkorn.cuda import is_available
from einkorn.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_available"]


def is_autocast_available(device_type: str) -> bool:
    """Whether ``autocast`` takes a device: the CPU, and GPUs where there are some."""
    return device_type == "cpu" or (device_type == "cuda" and is_available())
