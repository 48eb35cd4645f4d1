"""Keras' limits of weights, which are those of ``einkorn.nn.constraints``."""

from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, get

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "serialize",
]
