"""Where torch has its data classes and checkpoints: ``einkorn.utils.data``, ``einkorn.utils.checkpoint``."""

from einkorn.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
