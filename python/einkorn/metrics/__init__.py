"""Figures of how good predictions are, entered batch by batch and exact over all rows."""

from einkorn.metrics.base import Metric
from einkorn.metrics.registry import find, names

__all__ = ["Metric", "find", "names"]
