"""Masked arrays: what their mask hides must not be computed with."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError

__all__ = ["refuse_masked"]


def refuse_masked(value: Any, what: str) -> None:
    """Refuse an array with masked elements; ``what``, the operation and the argument, begins the message."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ArgumentError(f"{what} is an array with masked elements, expected one without: fill them")
