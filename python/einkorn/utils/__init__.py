"""Where torch has its data classes: ``einkorn.utils.data``."""

from einkorn.utils import data

__all__ = ["data"]
