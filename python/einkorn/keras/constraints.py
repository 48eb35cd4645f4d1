"""Keras' limits of weights, which are those of ``einkorn.nn.constraints``."""

from einkorn.nn.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, get

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get"]
