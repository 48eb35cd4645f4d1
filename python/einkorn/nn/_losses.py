"""The losses of :mod:`einkorn.nn.functional`, with torch's arguments, names and order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn import ops
from einkorn.ops._options import flag, integer

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _reduction(op: str, size_average: Any, reduce: Any, reduction: Any) -> Any:
    """What the two old options, where one is given, say in the place of ``reduction``."""
    if size_average is None and reduce is None:
        return reduction
    averages = size_average is None or flag(op, "size_average", size_average)
    if reduce is not None and not flag(op, "reduce", reduce):
        return "none"
    return "mean" if averages else "sum"


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """:func:`einkorn.ops.cross_entropy`."""
    return ops.cross_entropy(
        input,
        target,
        weight,
        ignore_index=integer("cross_entropy", "ignore_index", ignore_index),
        reduction=_reduction("cross_entropy", size_average, reduce, reduction),
        label_smoothing=label_smoothing,
    )


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """:func:`einkorn.ops.mse_loss`. Shapes must be equal; torch broadcasts them with a warning."""
    reduction = _reduction("mse_loss", size_average, reduce, reduction)
    return ops.mse_loss(input, target, reduction=reduction, weight=weight)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """:func:`einkorn.ops.l1_loss`. Shapes must be equal; torch broadcasts them with a warning."""
    reduction = _reduction("l1_loss", size_average, reduce, reduction)
    return ops.l1_loss(input, target, reduction=reduction, weight=weight)


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.binary_cross_entropy`."""
    reduction = _reduction("binary_cross_entropy", size_average, reduce, reduction)
    return ops.binary_cross_entropy(input, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """:func:`einkorn.ops.binary_cross_entropy_with_logits`."""
    reduction = _reduction("binary_cross_entropy_with_logits", size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """:func:`einkorn.ops.kl_div`."""
    reduction = _reduction("kl_div", size_average, reduce, reduction)
    return ops.kl_div(input, target, reduction=reduction, log_target=log_target)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.nll_loss`."""
    reduction = _reduction("nll_loss", size_average, reduce, reduction)
    return ops.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """:func:`einkorn.ops.smooth_l1_loss`."""
    reduction = _reduction("smooth_l1_loss", size_average, reduce, reduction)
    return ops.smooth_l1_loss(input, target, reduction=reduction, beta=beta)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """:func:`einkorn.ops.huber_loss`."""
    return ops.huber_loss(input, target, reduction=reduction, delta=delta, weight=weight)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.poisson_nll_loss`."""
    reduction = _reduction("poisson_nll_loss", size_average, reduce, reduction)
    return ops.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.gaussian_nll_loss`."""
    return ops.gaussian_nll_loss(input, target, var, full, eps=eps, reduction=reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.hinge_embedding_loss`."""
    reduction = _reduction("hinge_embedding_loss", size_average, reduce, reduction)
    return ops.hinge_embedding_loss(input, target, margin, reduction=reduction)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.soft_margin_loss`."""
    reduction = _reduction("soft_margin_loss", size_average, reduce, reduction)
    return ops.soft_margin_loss(input, target, reduction=reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.multi_margin_loss`."""
    reduction = _reduction("multi_margin_loss", size_average, reduce, reduction)
    return ops.multi_margin_loss(input, target, p, margin, weight, reduction=reduction)


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.multilabel_margin_loss`."""
    reduction = _reduction("multilabel_margin_loss", size_average, reduce, reduction)
    return ops.multilabel_margin_loss(input, target, reduction=reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.multilabel_soft_margin_loss`."""
    reduction = _reduction("multilabel_soft_margin_loss", size_average, reduce, reduction)
    return ops.multilabel_soft_margin_loss(input, target, weight, reduction=reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.margin_ranking_loss`."""
    reduction = _reduction("margin_ranking_loss", size_average, reduce, reduction)
    return ops.margin_ranking_loss(input1, input2, target, margin, reduction=reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.cosine_embedding_loss`."""
    reduction = _reduction("cosine_embedding_loss", size_average, reduce, reduction)
    return ops.cosine_embedding_loss(input1, input2, target, margin, reduction=reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.triplet_margin_loss`."""
    reduction = _reduction("triplet_margin_loss", size_average, reduce, reduction)
    return ops.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """:func:`einkorn.ops.triplet_margin_with_distance_loss`."""
    return ops.triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance_function,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """:func:`einkorn.ops.ctc_loss`."""
    return ops.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """:func:`einkorn.ops.linear_cross_entropy`; torch's ``options`` change nothing here."""
    return ops.linear_cross_entropy(
        input,
        linear_weight,
        target,
        linear_bias=linear_bias,
        weight=weight,
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
    )
