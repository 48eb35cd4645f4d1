"""The functions of ``torch.nn.functional`` that exist here, with torch's arguments, names and order.

A program that changes only the import gets torch's results, or a refusal that names the argument. What
:mod:`einkorn.ops` adds (fused activations, other spellings) is not here. Arrays give arrays, Tensors give
differentiable Tensors, as everywhere.

Reductions by the old ``size_average`` and ``reduce`` are understood. Activations and dropout stand in
``_activations.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.nn import _activations
from einkorn.nn._activations import *  # noqa: F403
from einkorn.ops._options import flag, integer, number, pair

__all__ = [
    *_activations.__all__,
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "l1_loss",
    "linear",
    "lp_pool2d",
    "max_pool2d",
    "mse_loss",
    "pad",
]


# --- layers -------------------------------------------------------------------------------------


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """:func:`einkorn.ops.linear`."""
    return ops.linear(input, weight, bias)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """:func:`einkorn.ops.conv1d`."""
    return ops.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """:func:`einkorn.ops.conv2d`."""
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`einkorn.ops.max_pool2d`."""
    return ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """:func:`einkorn.ops.avg_pool2d`."""
    return ops.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """:func:`einkorn.ops.adaptive_avg_pool2d`."""
    return ops.adaptive_avg_pool2d(input, output_size)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """:func:`einkorn.ops.lp_pool2d`; with ``norm_type`` infinity, the largest magnitude of each window."""
    op = "lp_pool2d"
    p, ceil_mode = number(op, "norm_type", norm_type), flag(op, "ceil_mode", ceil_mode)
    if math.isinf(p):
        sign = math.copysign(1.0, p)
        largest = ops.max_pool2d(
            ops.multiply(ops.absolute(input), sign), kernel_size, stride, ceil_mode=ceil_mode
        )
        return ops.multiply(largest, sign)
    if not ceil_mode:
        return ops.lp_pool2d(input, norm_type, kernel_size, stride)
    height, width = pair(kernel_size, op, "kernel_size", 1)
    means = ops.avg_pool2d(ops.power(input, p), kernel_size, stride, 0, ceil_mode)
    return ops.power(ops.multiply(means, float(height * width)), 1.0 / p)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """:func:`einkorn.ops.pad`: pairs of amounts, the last dimension first."""
    return ops.pad(input, pad, mode, value)


# --- losses -------------------------------------------------------------------------------------


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
