"""Cases of the losses: cross-entropy, squared, absolute, and binary cross-entropy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import (
    LAYOUTS,
    Case,
    Input,
    Op,
    given,
    indices,
    integers,
    normal,
    positive,
    probabilities,
    sprinkled,
    uniform,
)

Array = np.ndarray

# --- references ---------------------------------------------------------------------------------


def _log_softmax(x: Array) -> Array:
    """Over axis 1."""
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    if input.ndim == 1:  # one row without a batch
        options = (weight, ignore_index, reduction, label_smoothing)
        return _cross_entropy(input[None], target[None], *options).reshape(())
    classes = input.shape[1]
    log_p = np.moveaxis(_log_softmax(input), 1, -1)
    w = np.ones(classes, input.dtype) if weight is None else weight
    if target.dtype.kind == "f":
        q = np.moveaxis(target, 1, -1) * (1 - label_smoothing) + label_smoothing / classes
        losses = -(w * q * log_p).sum(axis=-1)
        total = losses.dtype.type(losses.size)
    else:
        kept = target != ignore_index
        row = np.where(kept, target, 0)
        row_weight = np.where(kept, w[row], 0)
        picked = np.take_along_axis(log_p, row[..., None], -1)[..., 0]
        losses = -(1 - label_smoothing) * row_weight * picked
        if label_smoothing:
            smooth = -(w * log_p).sum(axis=-1) * np.where(kept, label_smoothing / classes, 0)
            losses = losses + smooth.astype(input.dtype)
        losses = np.where(kept, losses, 0).astype(input.dtype)
        total = row_weight.sum()
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else np.divide(losses.sum(), total)


def _reduce(losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else np.divide(total, losses.dtype.type(losses.size))


def _weighted(losses: Array, reduction: str, weight: Array | None) -> Array:
    if weight is None or reduction != "mean":
        return _reduce(losses if weight is None else losses * weight, reduction)
    return np.divide((losses * weight).sum(), weight.sum())


def _mse_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Array:
    return _weighted((input - target) ** 2, reduction, weight)


def _l1_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Array:
    return _weighted(np.abs(input - target), reduction, weight)


def _binary_cross_entropy(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    log_p, log_q = np.maximum(np.log(input), -100), np.maximum(np.log1p(-input), -100)
    losses = -(target * log_p + (1 - target) * log_q)
    return _reduce(losses if weight is None else losses * weight, reduction)


def _bce_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    # -t log s(x) - (1-t) log(1-s(x)) = max(x, 0) - x t + log(1 + exp(-|x|))
    losses = np.maximum(input, 0) - input * target + np.log1p(np.exp(-np.abs(input)))
    if pos_weight is not None:
        losses = losses + (pos_weight - 1) * target * np.logaddexp(-input, np.zeros_like(input))
    return _reduce(losses if weight is None else losses * weight, reduction)


def _call_bce(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    input, target, weight, pos_weight = (*arrays, None, None)[:4]
    return einkorn.ops.binary_cross_entropy_with_logits(
        input, target, weight, pos_weight=pos_weight, **options
    )


def _torch_bce(
    torch: Any, input: Any, target: Any, weight: Any = None, pos_weight: Any = None, **options: Any
) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        input, target, weight, pos_weight=pos_weight, **options
    )


def _weighted_arguments(reference: Any) -> Any:
    """The weight is the third array, but no third argument."""
    return lambda input, target, weight=None, **options: reference(input, target, weight=weight, **options)


def _call_weighted(name: str) -> Any:
    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
        input, target, weight = (*arrays, None)[:3]
        return getattr(einkorn.ops, name)(input, target, weight=weight, **options)

    return call


def _torch_weighted(name: str) -> Any:
    def call(torch: Any, input: Any, target: Any, weight: Any = None, **options: Any) -> Any:
        return getattr(torch.nn.functional, name)(input, target, weight=weight, **options)

    return call


def _smooth_l1(input: Array, target: Array, reduction: str = "mean", beta: float = 1.0) -> Array:
    d = np.abs(input - target)
    return _reduce(np.where(d < beta, d * d / (2 * beta), d - beta / 2).astype(input.dtype), reduction)


def _huber(input: Array, target: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    return _smooth_l1(input, target, reduction, delta) * input.dtype.type(delta)


def _kl_div(input: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    p, log_p = (np.exp(target), target) if log_target else (target, np.log(np.where(target > 0, target, 1)))
    losses = p * (log_p - input)
    if reduction == "batchmean":
        return losses.sum() / losses.dtype.type(len(losses))
    return _reduce(losses, reduction)


def _nll(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    if input.ndim == 1:
        return _nll(input[None], target[None], weight, ignore_index, reduction).reshape(())
    kept = target != ignore_index
    row = np.where(kept, target, 0)
    w = np.ones(input.shape[1], input.dtype) if weight is None else weight
    row_weight = np.where(kept, w[row], 0).astype(input.dtype)
    losses = -row_weight * np.take_along_axis(np.moveaxis(input, 1, -1), row[..., None], -1)[..., 0]
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else np.divide(losses.sum(), row_weight.sum())


# --- operations ---------------------------------------------------------------------------------

_F = "nn.functional."


def _flops(per_element: float) -> Any:
    return lambda shapes, out, options: per_element * math.prod(shapes[0])


cross_entropy = Op("cross_entropy", _cross_entropy, _F + "cross_entropy", flops=_flops(15), unit=1)
mse_loss = Op(
    "mse_loss",
    _weighted_arguments(_mse_loss),
    _torch_weighted("mse_loss"),
    call=_call_weighted("mse_loss"),
    flops=_flops(3),
)
l1_loss = Op(
    "l1_loss",
    _weighted_arguments(_l1_loss),
    _torch_weighted("l1_loss"),
    call=_call_weighted("l1_loss"),
    flops=_flops(3),
)
binary_cross_entropy = Op(
    "binary_cross_entropy", _binary_cross_entropy, _F + "binary_cross_entropy", flops=_flops(25)
)
bce_with_logits = Op(
    "binary_cross_entropy_with_logits",
    _bce_with_logits,
    _torch_bce,
    call=_call_bce,
    flops=_flops(25),
    unit=1,
)

smooth_l1_loss = Op("smooth_l1_loss", _smooth_l1, _F + "smooth_l1_loss", flops=_flops(5))
huber_loss = Op("huber_loss", _huber, _F + "huber_loss", flops=_flops(5))
kl_div = Op("kl_div", _kl_div, _F + "kl_div", flops=_flops(20), unit=1)
nll_loss = Op(
    "nll_loss", _nll, _F + "nll_loss", flops=lambda shapes, out, options: 2.0 * shapes[1][0], unit=1
)

# --- cases --------------------------------------------------------------------------------------


def _cross_entropy_cases() -> list[Case]:
    x, t, w = normal(6, 5), indices(6, below=5), positive(5)
    ignored = indices(6, below=5, low=-1)
    q = Input((6, 5), "distribution")
    cases = []
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.2):
            options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
            cases += [
                cross_entropy(x, t, **options).grad(0),
                cross_entropy(x, t, w, **options).grad(0),
                cross_entropy(x, ignored, w, ignore_index=-1, **options).grad(0),
                cross_entropy(x, q, **options).grad(0),
                cross_entropy(x, q, w, **options).grad(0),
                cross_entropy(normal(2, 5, 3), indices(2, 3, below=5), w, **options).grad(0),
            ]
    cases += [
        cross_entropy(x, ignored, ignore_index=-1, reduction="none").grad(0),
        cross_entropy(x, t, ignore_index=2).grad(0),
        cross_entropy(normal(2, 5, 3, 4), indices(2, 3, 4, below=5)).grad(0),
        cross_entropy(normal(2, 5, 3, 4), indices(2, 3, 4, below=5, low=-1), ignore_index=-1).grad(0),
        cross_entropy(normal(2, 5, 3), Input((2, 5, 3), "distribution")).grad(0),
        cross_entropy(normal(1, 1), indices(1, below=1)).grad(0),
        # one row without a batch
        cross_entropy(normal(5), indices(below=5)).grad(0),
        cross_entropy(normal(5), indices(below=5), w, reduction="none", label_smoothing=0.1).grad(0),
        cross_entropy(normal(5), given(0.1, 0.2, 0.3, 0.4, 0.0)).grad(0),
        cross_entropy(normal(1, 7), indices(1, below=7)).grad(0),
        # nothing counts: the mean of nothing is NaN, the sum is 0
        cross_entropy(normal(3, 4), indices(3, below=0, low=-1), ignore_index=-1),
        cross_entropy(normal(3, 4), indices(3, below=0, low=-1), ignore_index=-1, reduction="sum"),
        cross_entropy(normal(0, 4), indices(0, below=4)),
        cross_entropy(normal(0, 4), indices(0, below=4), reduction="sum"),
        cross_entropy(normal(0, 4), indices(0, below=4), reduction="none"),
        cross_entropy(uniform(5, 33, low=-90, high=90), indices(5, below=33)),
        cross_entropy(uniform(5, 33, low=1e4, high=1e4 + 9), indices(5, below=33)),
        cross_entropy(sprinkled(9, 17), indices(9, below=17), reduction="none"),
        cross_entropy(given(0.0, -math.inf, 1.0, -math.inf, shape=(1, 4)), indices(1, below=1)),
        cross_entropy(normal(400, 300), indices(400, below=300)).grad(0).called("two threads"),
        cross_entropy(normal(9, 5003), indices(9, below=5003)).grad(0).called("two threads"),
        cross_entropy(normal(9, 20, 301), indices(9, 301, below=20)).grad(0).called("two threads"),
    ]
    for size in (2, 15, 16, 17, 31, 32, 33, 65):
        cases.append(cross_entropy(normal(4, size), indices(4, below=size)))
    for layout in LAYOUTS:
        if layout != "C":
            case = cross_entropy(normal(7, 33).laid_out(layout), indices(7, below=33), positive(33))
            cases.append(case.grad(0))
    cases.append(cross_entropy(normal(7, 33), indices(7, below=33).laid_out("reversed")))
    return cases


def _pointwise_cases() -> list[Case]:
    cases = []
    operands = {
        mse_loss: (normal, normal),
        l1_loss: (normal, normal),
        binary_cross_entropy: (probabilities, probabilities),
        bce_with_logits: (normal, probabilities),
    }
    for op, (x, t) in operands.items():
        for reduction in ("mean", "sum", "none"):
            for shape in ((), (7,), (4, 5), (2, 3, 17)):
                cases.append(op(x(*shape), t(*shape), reduction=reduction).grad(0))
            cases.append(op(x(0, 3), t(0, 3), reduction=reduction))
        for layout in ("F", "reversed", "gaps", "misaligned"):
            cases.append(op(x(6, 33).laid_out(layout), t(6, 33)).grad(0))
        cases.append(op(x(6, 33), t(6, 33).laid_out("F")))
        cases.append(op(x(301, 307), t(301, 307)).grad(0).called("two threads"))
        if op in (mse_loss, l1_loss):
            cases.append(op(sprinkled(5, 17), t(5, 17), reduction="none"))
    scores, p, q = normal(4, 5), probabilities(4, 5), probabilities(4, 5)
    ends = given(0.0, 1.0, 0.0, 1.0, 0.5, 1e-30)
    steep = given(-200.0, -90.0, -1.0, 0.0, 1.0, 90.0, 200.0, -0.0)
    labels = given(1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0)
    cases += [
        binary_cross_entropy(ends, given(0.0, 1.0, 1.0, 0.0, 1.0, 1.0), reduction="none"),
        bce_with_logits(steep, labels, reduction="none").grad(0),
        bce_with_logits(given(math.nan, 1.0), given(1.0, math.nan), reduction="none"),
        binary_cross_entropy(given(0.5, 0.5), given(math.nan, 1.0)).unlike_torch("refuses NaN"),
        *(
            case
            for reduction in ("mean", "sum", "none")
            for case in (
                mse_loss(normal(4, 5), normal(4, 5), positive(4, 5), reduction=reduction).grad(),
                l1_loss(normal(4, 5), normal(4, 5), positive(4, 5), reduction=reduction).grad(),
                binary_cross_entropy(p, q, positive(5), reduction=reduction).grad(0, 1),
                bce_with_logits(scores, q, positive(4, 1), reduction=reduction).grad(0, 1),
                bce_with_logits(scores, q, None, positive(5), reduction=reduction).grad(0, 1),
                bce_with_logits(scores, q, positive(4, 1), positive(5), reduction=reduction).grad(0, 1),
            )
        ),
        mse_loss(integers(4, 16), integers(4, 16)).exact(),
        mse_loss(integers(5, 17), integers(5, 17), reduction="sum").exact(),
        l1_loss(integers(5, 17), integers(5, 17), reduction="sum").exact(),
        l1_loss(integers(5, 17), integers(5, 17), reduction="none").exact(),
    ]
    return cases


def _newer_cases() -> list[Case]:
    x, t, p = normal(4, 5), normal(4, 5), probabilities(4, 5)
    cases = []
    for reduction in ("mean", "sum", "none"):
        cases += [
            smooth_l1_loss(x, t, reduction=reduction).grad(0, 1),
            huber_loss(x, t, reduction=reduction, delta=0.7).grad(0, 1),
            kl_div(x, p, reduction=reduction).grad(0, 1),
            kl_div(x, t, reduction=reduction, log_target=True).grad(0, 1),
            nll_loss(x, indices(4, below=5), positive(5), reduction=reduction).grad(0),
            nll_loss(normal(2, 5, 3), indices(2, 3, below=5), reduction=reduction).grad(0),
        ]
    for op in (smooth_l1_loss, kl_div):
        cases += [
            op(normal(2, 3, 17), probabilities(2, 3, 17)).grad(0),
            op(normal(0, 3), probabilities(0, 3)),
        ]
        cases.append(op(normal(301, 307), probabilities(301, 307)).grad(0).called("two threads"))
    return [
        *cases,
        smooth_l1_loss(sprinkled(5, 17), normal(5, 17), reduction="none", beta=0.5),
        smooth_l1_loss(integers(5, 17), integers(5, 17), reduction="none", beta=2).exact(),
        kl_div(x, given(*[0.0, 0.5] * 10, shape=(4, 5)), reduction="batchmean").grad(0),
        nll_loss(normal(5), indices(below=5)).grad(0),
        nll_loss(normal(6, 5), indices(6, below=5, low=-1), ignore_index=-1).grad(0),
        nll_loss(normal(3, 4), indices(3, below=0, low=-1), ignore_index=-1),
        nll_loss(normal(0, 4), indices(0, below=4)),
        nll_loss(normal(33, 7, 50), indices(33, 50, below=7)).grad(0).called("two threads"),
    ]


def _bench_cases() -> list[Case]:
    large = normal(1024, 2048)
    return [
        cross_entropy(normal(2048, 50_257), indices(2048, below=50_257)).grad(0).bench(),
        cross_entropy(normal(2048, 1000), indices(2048, below=1000)).grad(0).bench(quick=True),
        cross_entropy(normal(32, 10), indices(32, below=10)).grad(0).bench(),
        mse_loss(large, large).grad(0).bench(),
        bce_with_logits(large, probabilities(1024, 2048)).grad(0).bench(),
        smooth_l1_loss(large, large).grad(0).bench(),
        kl_div(large, probabilities(1024, 2048)).grad(0).bench(),
        nll_loss(normal(2048, 1000), indices(2048, below=1000)).grad(0).bench(),
    ]


CASES: list[Case] = [*_cross_entropy_cases(), *_pointwise_cases(), *_newer_cases(), *_bench_cases()]
