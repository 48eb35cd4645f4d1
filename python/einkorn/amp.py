"""torch's home of mixed precision: :class:`einkorn.autocast` and :class:`einkorn.GradScaler`."""

from einkorn._autocast import autocast
from einkorn.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_available"]


def is_autocast_available(device_type: str) -> bool:
    """Whether :class:`autocast` takes a device: the CPU."""
    return device_type == "cpu"
