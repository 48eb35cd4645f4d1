"""Keras' penalties of weights: those of ``einkorn.nn.regularizers``, of weights in Keras' layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einkorn._near import finding
from einkorn._objects import made
from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn import regularizers as _own
from einkorn.nn.regularizers import L1, L1L2, L2, Regularizer

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


class OrthogonalRegularizer(_own.OrthogonalRegularizer):
    """Pushes the rows, or columns, of a matrix as Keras has it to be orthogonal to each other.

    Parameters
    ----------
    factor : float, default 0.01
    mode : "rows" or "columns", default "rows"
    """


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def get(identifier: Any) -> Any:
    """A regularizer from its name or description, or a function of a weight itself; None is none."""
    if isinstance(identifier, Mapping):
        identifier = made(identifier)
    if identifier in ("orthogonal_regularizer", "OrthogonalRegularizer"):
        return OrthogonalRegularizer()
    return _own.get(identifier)


__getattr__ = finding(__name__, lambda: __all__, {})
