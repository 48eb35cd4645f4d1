"""Losses with Keras' names and arguments, for ``compile``."""

from __future__ import annotations

from typing import Any

from einkorn import nn
from einkorn.errors import ArgumentError

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
]


class Loss:
    """What ``compile`` is to take: a loss of the library, and whether outputs are raw scores."""

    def __init__(self, loss: Any, from_logits: bool | None = None) -> None:
        self.loss = loss
        self.from_logits = from_logits


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of class numbers.

    Parameters
    ----------
    from_logits : bool, default False
        Whether outputs are raw scores, or probabilities.
    """

    def __init__(self, from_logits: bool = False) -> None:
        super().__init__("sparse_categorical_crossentropy", from_logits)


class CategoricalCrossentropy(Loss):
    """Cross-entropy of one-hot rows.

    Parameters
    ----------
    from_logits : bool, default False
    label_smoothing : float, default 0
        Of raw scores only.
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        if label_smoothing and not from_logits:
            raise ArgumentError(
                "CategoricalCrossentropy: label_smoothing is given, expected from_logits=True with it"
            )
        smoothed = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        super().__init__(smoothed if label_smoothing else "categorical_crossentropy", from_logits)


class BinaryCrossentropy(Loss):
    """Cross-entropy of two classes.

    Parameters
    ----------
    from_logits : bool, default False
    """

    def __init__(self, from_logits: bool = False) -> None:
        super().__init__("bce_with_logits" if from_logits else "binary_crossentropy")


class MeanSquaredError(Loss):
    """The mean of squared differences."""

    def __init__(self) -> None:
        super().__init__("mse")


class MeanAbsoluteError(Loss):
    """The mean of absolute differences."""

    def __init__(self) -> None:
        super().__init__("mae")


class Huber(Loss):
    """Squared for small differences and linear for large ones.

    Parameters
    ----------
    delta : float, default 1
        Where one becomes the other.
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__(nn.HuberLoss(delta=delta))
