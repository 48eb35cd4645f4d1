"""Losses as modules, with torch's arguments in torch's order; the functions are in ``einkorn.ops``."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.nn.module import Module
from einkorn.ops._options import number

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "NLLLoss2d",
    "SmoothL1Loss",
]

_REDUCTIONS = ("none", "mean", "sum")


class _Loss(Module):
    """What all losses share: the reduction "mean" (default), "sum" or "none".

    ``size_average`` and ``reduce`` are torch's old names for it and stand where torch has them.
    """

    _reductions: tuple[str, ...] = _REDUCTIONS

    def __init__(self, size_average: bool | None, reduce: bool | None, reduction: str) -> None:
        super().__init__()
        name = type(self).__name__
        for key, value in (("size_average", size_average), ("reduce", reduce)):
            if value is not None and not isinstance(value, (bool, np.bool_)):
                raise ArgumentError(
                    f"{name}: {key} is {value!r}, expected True, False or None; use reduction=, by name"
                )
        if size_average is not None or reduce is not None:
            mean = size_average is None or size_average
            reduction = "none" if reduce is not None and not reduce else "mean" if mean else "sum"
        if reduction not in self._reductions:
            raise ArgumentError(
                f"{name}: reduction is {reduction!r}, expected one of {', '.join(self._reductions)}"
            )
        self.reduction = reduction

    def _keep(self, name: str, value: Any) -> None:
        """A buffer that may be given as a list."""
        self.register_buffer(
            name, np.asarray(value, np.float32) if isinstance(value, (list, tuple)) else value
        )

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """Minus the log of the softmax probability of the target class.

    Parameters
    ----------
    weight : array [classes], optional
        A weight per class, of the model's type.
    size_average, reduce : bool, optional
        Old names for ``reduction``.
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
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Any
        if not 0 <= number("CrossEntropyLoss", "label_smoothing", label_smoothing) <= 1:
            raise ArgumentError(f"CrossEntropyLoss: label_smoothing is {label_smoothing!r}, expected 0 to 1")
        self._keep("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return ops.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(_Loss):
    """Mean of squared differences.

    Parameters
    ----------
    size_average, reduce : bool, optional
        Old names for ``reduction``.
    reduction : "mean", "sum" or "none", default "mean"
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean of absolute differences; parameters as ``MSELoss``."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """:func:`einkorn.ops.smooth_l1_loss`: squares below ``beta``, distances above."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return ops.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """:func:`einkorn.ops.huber_loss`: squares below ``delta``, distances times it above."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return ops.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class KLDivLoss(_Loss):
    """:func:`einkorn.ops.kl_div`: divergence of log-probabilities from a target.

    ``reduction`` may also be "batchmean", which divides by the size of the batch.
    """

    _reductions = (*_REDUCTIONS, "batchmean")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return ops.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class NLLLoss(_Loss):
    """:func:`einkorn.ops.nll_loss`: minus the log-probability of the target class.

    Parameters
    ----------
    weight : array [classes], optional
        A weight per class.
    size_average, reduce : bool, optional
        Old names for ``reduction``.
    ignore_index : int, default -100
        Rows with this target count nothing.
    reduction : "mean", "sum" or "none", default "mean"
        "mean" divides by the sum of the rows' weights.
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Any
        self._keep("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return ops.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class NLLLoss2d(NLLLoss):
    """:class:`NLLLoss` by its old name for images."""


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities; logarithms are clamped at -100, as torch does.

    Parameters
    ----------
    weight : array, optional
        Factors of the losses, broadcast to the batch's shape; "mean" divides by the number of elements.
    size_average, reduce : bool, optional
        Old names for ``reduction``.
    reduction : "mean", "sum" or "none", default "mean"
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Any
        self._keep("weight", weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy(input, target, reduction=self.reduction, **_given(weight=self.weight))


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of raw scores: sigmoid and loss in one stable formula.

    Parameters
    ----------
    weight, size_average, reduce, reduction : as for ``BCELoss``
    pos_weight : array, optional
        Factor of the positive examples' losses, one per class.
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Any
        self.pos_weight: Any
        self._keep("weight", weight)
        self._keep("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy_with_logits(
            input,
            target,
            reduction=self.reduction,
            **_given(weight=self.weight, pos_weight=self.pos_weight),
        )


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
