"""Activations that several families use."""

from __future__ import annotations

import math

from ._compile import inline

_LEAKY_SLOPE = 0.01


@inline
def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), from the exponential that cannot overflow."""
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


@inline
def activate(activation: int, x: float) -> float:
    """The end of a product or a normalisation. Codes: 0 none, 1 relu, 2 leaky_relu, 3 sigmoid, 4 tanh."""
    if activation == 1:
        return 0.0 if x < 0 else x
    if activation == 2:
        return _LEAKY_SLOPE * x if x < 0 else x
    if activation == 3:
        return logistic(x)
    if activation == 4:
        return math.tanh(x)
    return x
