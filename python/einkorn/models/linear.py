"""Models with a single linear layer, told apart by what follows it."""

from __future__ import annotations

from typing import Any

from einkorn.nn import Linear, Module
from einkorn.ops.copy import flatten

__all__ = ["LinearRegression", "LogisticRegression", "SoftmaxRegression"]


class _OneLayer(Module):
    """y = activation(x W^T + b); the axes of x behind the first are merged."""

    def __init__(self, in_features: int, out_features: int, activation: str | None) -> None:
        super().__init__()
        self.linear = Linear(in_features, out_features, activation=activation)
        self.input_shape = (self.linear.in_features,)

    def forward(self, x: Any) -> Any:
        return self.linear(x if x.ndim == 2 else flatten(x, 1))


class LinearRegression(_OneLayer):
    """Numbers from a linear function. Train with the loss "mse"; targets [n, out_features].

    Parameters
    ----------
    in_features : int
    out_features : int, default 1
    """

    def __init__(self, in_features: int, out_features: int = 1) -> None:
        super().__init__(in_features, out_features, None)
        self.config = {
            "in_features": self.linear.in_features,
            "out_features": self.linear.out_features,
        }


class LogisticRegression(_OneLayer):
    """The probability of the second of two classes: sigmoid of a linear function.

    Train with the loss "binary_crossentropy", or with ``logits=True`` and "bce_with_logits", which
    stays exact where the sigmoid rounds to 0 or 1. Output and targets are [n, 1].

    Parameters
    ----------
    in_features : int
    logits : bool, keyword-only, default False
        Whether the output is the raw score instead.
    """

    def __init__(self, in_features: int, *, logits: bool = False) -> None:
        super().__init__(in_features, 1, None if logits else "sigmoid")
        self.config = {"in_features": self.linear.in_features, "logits": bool(logits)}


class SoftmaxRegression(_OneLayer):
    """Raw scores (logits) of several classes. Train with "cross_entropy", which has the softmax.

    Parameters
    ----------
    in_features : int
    num_classes : int
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes, None)
        self.config = {
            "in_features": self.linear.in_features,
            "num_classes": self.linear.out_features,
        }
