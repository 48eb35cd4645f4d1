"""Computer vision on compiled kernels: cascade detection (Viola and Jones 2001)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.vision.NAME, and the module it lives in.
_HOMES = {
    "CascadeDetector": "cascade",
    "plot_detections": "plot",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.vision.cascade import CascadeDetector
    from einkorn.vision.plot import plot_detections

__getattr__, __dir__ = later(__name__, _HOMES)
