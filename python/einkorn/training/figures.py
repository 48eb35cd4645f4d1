"""Figures of an epoch as values and as text: numbers, and arrays with a number for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn._tensor import as_numpy

__all__ = ["cell", "plain", "read", "shown", "single"]


def plain(value: Any) -> Any:
    """A figure as a float, or as an array of its own where there are several numbers."""
    array = as_numpy(value)
    return float(array.reshape(())) if array.size == 1 else np.array(array, np.float64)


def single(logs: Mapping[str, Any]) -> dict[str, float]:
    """Figures one by one, those of an array by their places: NAME_0, NAME_1, ..."""
    found: dict[str, float] = {}
    for name, value in logs.items():
        array = as_numpy(value)
        if array.ndim:
            found.update({f"{name}_{i}": float(one) for i, one in enumerate(array.reshape(-1))})
        else:
            found[name] = float(array)
    return found


def shown(logs: Mapping[str, Any]) -> str:
    """Figures for a line on the terminal."""
    return " ".join(f"{name}={_short(value)}" for name, value in logs.items())


def _short(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{value:.4g}"
    return f"[{', '.join(_short(one) for one in value)}]"


def cell(value: Any) -> Any:
    """A figure for a cell of a table: an array as [a, b], as Keras writes it."""
    return value if np.ndim(value) == 0 else str(np.asarray(value).tolist())


def read(text: str) -> Any:
    """What ``cell`` wrote."""
    if not text.startswith("["):
        return float(text)
    return np.array([float(one) for one in text.replace("[", "").replace("]", "").split(",")])
