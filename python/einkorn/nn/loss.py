"""Losses as modules; the functions are in ``einkorn.ops``."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.nn.module import Module

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "L1Loss", "MSELoss"]

_REDUCTIONS = ("none", "mean", "sum")


class _Loss(Module):
    """What all losses share: the reduction "mean" (default), "sum" or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            raise ArgumentError(
                f"{type(self).__name__}: reduction is {reduction!r}, expected one of {', '.join(_REDUCTIONS)}"
            )
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """Minus the log of the softmax probability of the target class.

    Parameters
    ----------
    weight : array [classes], optional
        A weight per class.
    ignore_index : int, default -100
        Rows with this target count nothing.
    reduction : "mean", "sum" or "none", default "mean"
        "mean" divides by the sum of the rows' weights.
    label_smoothing : float, default 0.0
        Share of the target spread evenly over all classes.
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.weight: Any
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"CrossEntropyLoss: label_smoothing is {label_smoothing!r}, expected 0 to 1")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return ops.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(_Loss):
    """Mean of squared differences."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Mean of absolute differences."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.l1_loss(input, target, self.reduction)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities; logarithms are clamped at -100, as torch does."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy(input, target, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of raw scores: sigmoid and loss in one stable formula."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy_with_logits(input, target, self.reduction)
