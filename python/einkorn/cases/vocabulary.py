"""Cases of the losses over large vocabularies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Op, indices, normal, positive, uniform

Array = np.ndarray


def _reduce(losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / losses.dtype.type(losses.size)


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(np.zeros_like(x), x))


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Array:
    scores = input @ linear_weight.T + (0 if linear_bias is None else linear_bias)
    kept = target != ignore_index
    row = np.where(kept, target, 0)
    w = np.where(kept, 1 if weight is None else weight[row], 0).astype(input.dtype)
    losses = -w * _log_softmax(scores)[np.arange(len(row)), row]
    return losses.sum() / w.sum() if reduction == "mean" else _reduce(losses, reduction)


def _call_linear(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    input, weight, target, bias, class_weight = (*arrays, None, None)[:5]
    return einkorn.ops.linear_cross_entropy(
        input, weight, target, linear_bias=bias, weight=class_weight, **options
    )


def _torch_linear(
    torch: Any,
    input: Any,
    weight: Any,
    target: Any,
    bias: Any = None,
    class_weight: Any = None,
    **options: Any,
) -> Any:
    scores = torch.nn.functional.linear(input, weight, bias)
    return torch.nn.functional.cross_entropy(scores, target, class_weight, **options)


def _negative_sampling(
    input: Array, weight: Array, target: Array, sampled: Array, reduction: str = "mean"
) -> Array:
    own = (input * weight[target]).sum(1)
    others = np.einsum(
        "nd,nkd->nk", input, np.broadcast_to(weight[sampled], (len(input), *weight[sampled].shape[-2:]))
    )
    return _reduce(_softplus(-own) + _softplus(others).sum(1), reduction)


def _shared(input: Array, weight: Array, words: Array) -> Array:
    return np.asarray(input @ weight[words].T)


def _nce(
    input: Array, weight: Array, target: Array, sampled: Array, log_noise: Array, reduction: str = "mean"
) -> Array:
    shift = log_noise + np.log(len(sampled)).astype(input.dtype)
    own = (input * weight[target]).sum(1) - shift[target]
    others = _shared(input, weight, sampled) - shift[sampled]
    return _reduce(_softplus(-own) + _softplus(others).sum(1), reduction)


def _sampled_softmax(
    input: Array, weight: Array, target: Array, sampled: Array, log_noise: Array, reduction: str = "mean"
) -> Array:
    own = (input * weight[target]).sum(1) - log_noise[target]
    others = _shared(input, weight, sampled) - log_noise[sampled]
    others = np.where(sampled == target[:, None], -np.inf, others).astype(input.dtype)
    return _reduce(-_log_softmax(np.concatenate((own[:, None], others), 1))[:, 0], reduction)


def _hierarchical(input: Array, weight: Array, nodes: Array, turns: Array, reduction: str = "mean") -> Array:
    scores = np.einsum("nd,nkd->nk", input, weight[nodes]) * turns
    return _reduce(np.where(turns != 0, _softplus(-scores), 0).sum(1).astype(input.dtype), reduction)


def _flops(shapes: Any, out: Any, options: Any) -> float:
    return 2.0 * math.prod(shapes[0]) * shapes[1][0]


linear_cross_entropy = Op(
    "linear_cross_entropy", _linear_cross_entropy, _torch_linear, call=_call_linear, flops=_flops, unit=1
)
negative_sampling_loss = Op("negative_sampling_loss", _negative_sampling, unit=1)
nce_loss = Op("nce_loss", _nce, unit=1)
sampled_softmax_loss = Op("sampled_softmax_loss", _sampled_softmax, unit=1)
hierarchical_softmax_loss = Op("hierarchical_softmax_loss", _hierarchical, unit=1)


def _cases() -> list[Case]:
    x, w, t = normal(6, 5), normal(9, 5), indices(6, below=9)
    cases = []
    for reduction in ("mean", "none"):
        cases += [
            linear_cross_entropy(x, w, t, normal(9), positive(9), reduction=reduction).grad(0, 1, 3),
            negative_sampling_loss(x, w, t, indices(6, 3, below=9), reduction=reduction).grad(0, 1),
        ]
    return [
        *cases,
        linear_cross_entropy(x, w, indices(6, below=9, low=-1), ignore_index=-1).grad(0, 1),
        # more rows than fit one block
        linear_cross_entropy(normal(300, 7), normal(33, 7), indices(300, below=33), normal(33)).grad(0, 1, 3),
        negative_sampling_loss(x, w, t, indices(4, below=9)).grad(0, 1),
        nce_loss(x, w, t, indices(4, below=9), normal(9)).grad(0, 1),
        sampled_softmax_loss(x, w, t, indices(4, below=9), normal(9)).grad(0, 1),
        hierarchical_softmax_loss(x, w, indices(6, 3, below=9), indices(6, 3, low=-1, below=2)).grad(0, 1),
        # weights as large as a language model begins with
        linear_cross_entropy(
            normal(2048, 768), uniform(50_257, 768, low=-0.035, high=0.035), indices(2048, below=50_257)
        )
        .grad(0, 1)
        .bench(),
    ]


CASES: list[Case] = _cases()
