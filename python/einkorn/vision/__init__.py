"""Computer vision on compiled kernels: cascade detection (Viola and Jones 2001)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# What is reached as einkorn.vision.NAME, and the module it lives in.
_HOMES = {
    "CascadeDetector": "cascade",
    "plot_detections": "plot",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.vision.cascade import CascadeDetector
    from einkorn.vision.plot import plot_detections


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'einkorn.vision' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"einkorn.vision.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
