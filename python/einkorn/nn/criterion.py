"""The rarer losses as modules, with torch's arguments in order; the functions are in ``einkorn.ops``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.nn.linear import Linear
from einkorn.nn.loss import _Loss

__all__ = [
    "CTCLoss",
    "CosineEmbeddingLoss",
    "DiceLoss",
    "FocalLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "InfoNCELoss",
    "LinearCrossEntropyLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class PoissonNLLLoss(_Loss):
    """:func:`einkorn.ops.poisson_nll_loss`."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Any, target: Any) -> Any:
        return ops.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """:func:`einkorn.ops.gaussian_nll_loss`."""

    def __init__(
        self,
        *,
        full: bool = False,
        eps: float = 1e-6,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return ops.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class HingeEmbeddingLoss(_Loss):
    """:func:`einkorn.ops.hinge_embedding_loss`."""

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        return ops.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """:func:`einkorn.ops.soft_margin_loss`."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """:func:`einkorn.ops.multilabel_margin_loss`."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multilabel_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """:func:`einkorn.ops.margin_ranking_loss`."""

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return ops.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """:func:`einkorn.ops.cosine_embedding_loss`."""

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return ops.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """:func:`einkorn.ops.triplet_margin_loss`."""

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return ops.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """:func:`einkorn.ops.triplet_margin_with_distance_loss`."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, None, reduction)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return ops.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class MultiMarginLoss(_Loss):
    """:func:`einkorn.ops.multi_margin_loss`; ``weight`` is a buffer."""

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight: Any
        self._keep("weight", weight)
        self.p = p
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        return ops.multi_margin_loss(
            input, target, weight=self.weight, p=self.p, margin=self.margin, reduction=self.reduction
        )


class MultiLabelSoftMarginLoss(_Loss):
    """:func:`einkorn.ops.multilabel_soft_margin_loss`; ``weight`` is a buffer."""

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
        return ops.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class CTCLoss(_Loss):
    """:func:`einkorn.ops.ctc_loss`: sequences of labels from unaligned frames.

    Parameters
    ----------
    blank : int, default 0
        The class that stands for no label.
    reduction : "mean", "sum" or "none", default "mean"
        "mean" divides each loss by its target's length first.
    zero_infinity : bool, default False
        Losses of targets that the frames are too few for are 0, with gradient 0.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(None, None, reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        return ops.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )


class FocalLoss(_Loss):
    """:func:`einkorn.ops.focal_loss`: cross-entropy that counts hard rows more.

    Parameters
    ----------
    weight : array [C], optional
        Of each class.
    gamma : number, keyword-only, default 2.0
    ignore_index : int, keyword-only, default -100
    reduction : {"mean", "sum", "none"}, keyword-only
    """

    weight: Any

    def __init__(
        self, weight: Any = None, *, gamma: float = 2.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(None, None, reduction)
        self.register_buffer("weight", None if weight is None else np.asarray(weight))
        self.gamma = gamma
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return ops.focal_loss(
            input,
            target,
            self.weight,
            gamma=self.gamma,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class DiceLoss(_Loss):
    """:func:`einkorn.ops.dice_loss`: one minus the overlap of probabilities and targets.

    Parameters
    ----------
    smooth : number, keyword-only, default 1.0
    square_sums : bool, keyword-only, default False
    reduction : {"mean", "sum", "none"}, keyword-only
    """

    def __init__(self, *, smooth: float = 1.0, square_sums: bool = False, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        self.smooth = smooth
        self.square_sums = square_sums

    def forward(self, input: Any, target: Any) -> Any:
        return ops.dice_loss(
            input, target, smooth=self.smooth, square_sums=self.square_sums, reduction=self.reduction
        )


class InfoNCELoss(_Loss):
    """:func:`einkorn.ops.info_nce`: cross-entropy of finding each query's key among all keys.

    Parameters
    ----------
    temperature : number, keyword-only, default 0.07
    symmetric : bool, keyword-only, default False
        Also each key's query among all queries, as CLIP.
    normalize : bool, keyword-only, default True
        Similarities are cosines; False: products.
    reduction : {"mean", "sum", "none"}, keyword-only
    """

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        symmetric: bool = False,
        normalize: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(None, None, reduction)
        self.temperature = temperature
        self.symmetric = symmetric
        self.normalize = normalize

    def forward(self, query: Any, key: Any) -> Any:
        return ops.info_nce(
            query,
            key,
            temperature=self.temperature,
            symmetric=self.symmetric,
            normalize=self.normalize,
            reduction=self.reduction,
        )


class LinearCrossEntropyLoss(_Loss):
    """:func:`einkorn.ops.linear_cross_entropy` with the weights of its own layer ``linear``.

    Parameters
    ----------
    in_features, num_classes : int
        Width of the input, number of classes.
    out_features : tuple of int, keyword-only, default ()
        d1, ..., dK, where each row has as many losses.
    bias : bool, keyword-only, default False
    reduction : {"mean", "sum", "none"}, keyword-only
    weight : array [C], keyword-only, optional
        Of each class.
    ignore_index : int, keyword-only, optional
        None is -100.
    label_smoothing : number, keyword-only, default 0.0
    options : keyword-only, optional
        torch's, for how it computes; it changes nothing here.
    """

    weight: Any

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__(None, None, reduction)
        self.register_buffer("weight", None if weight is None else np.asarray(weight))
        self._classes = (num_classes, *out_features)
        self.linear = Linear(in_features, math.prod(self._classes), bias)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self._settle(device, dtype)

    def forward(self, input: Any, target: Any) -> Any:
        table, bias = self.linear.weight, self.linear.bias
        if len(self._classes) > 1:
            table = ops.reshape(table, (*self._classes, table.shape[1]))
            bias = None if bias is None else ops.reshape(bias, self._classes)
        return ops.linear_cross_entropy(
            input,
            table,
            target,
            linear_bias=bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )
