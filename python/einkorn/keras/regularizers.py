"""Keras' penalties of weights, which are those of ``einkorn.nn.regularizers``."""

from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer, get

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
    "serialize",
]

l1, l2, l1_l2 = L1, L2, L1L2
