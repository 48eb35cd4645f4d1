"""Metrics by name, as ``compile`` takes them."""

from __future__ import annotations

from typing import Any

__all__ = ["find", "names"]

_NAMES: dict[str, Any] = {}


def names() -> list[str]:
    """The names that ``compile`` knows."""
    return list(_NAMES)


def find(name: str, *, threshold: float = 0.5) -> Any:
    """The metric of that name, or None.

    Parameters
    ----------
    name : str
        Keras' name, "mean_absolute_percentage_error", or that of the class, "MeanAbsolutePercentageError".
    threshold : float, keyword-only, default 0.5
        From which score on the second of two classes is meant.
    """
    return None
