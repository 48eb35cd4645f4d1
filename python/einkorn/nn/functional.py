"""The functions of ``torch.nn.functional`` that exist here, with torch's arguments, names and order.

A program that changes only the import gets torch's results, or a refusal that names the argument. What
:mod:`einkorn.ops` adds (fused activations, other spellings) is not here. Arrays give arrays, Tensors give
differentiable Tensors, as everywhere.

Not done in place: ``inplace=True`` is refused. Reductions by the old ``size_average`` and ``reduce`` are
understood.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.ops._options import flag, integer, number, pair

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "lp_pool2d",
    "max_pool2d",
    "mse_loss",
    "pad",
    "prelu",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


def _not_in_place(op: str, inplace: Any) -> None:
    if flag(op, "inplace", inplace):
        raise ArgumentError(f"{op}: inplace is True; results are new arrays here, expected False")


# --- activations --------------------------------------------------------------------------------


def relu(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.relu`."""
    _not_in_place("relu", inplace)
    return ops.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.leaky_relu`."""
    _not_in_place("leaky_relu", inplace)
    return ops.leaky_relu(input, negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """:func:`einkorn.ops.prelu`."""
    return ops.prelu(input, weight)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.elu`."""
    _not_in_place("elu", inplace)
    return ops.elu(input, alpha)


def gelu(input: Any, *, approximate: str = "none") -> Any:
    """:func:`einkorn.ops.gelu`."""
    return ops.gelu(input, approximate)


def silu(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.silu`."""
    _not_in_place("silu", inplace)
    return ops.silu(input)


def softplus(input: Any, beta: float = 1, threshold: float = 20) -> Any:
    """``log(1 + exp(beta * input)) / beta``, and input itself where ``beta * input > threshold``."""
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    if beta == 0:
        raise ArgumentError("softplus: beta is 0, expected another number")
    scaled = input if beta == 1 else ops.multiply(input, beta)
    smooth = ops.softplus(scaled)
    if beta != 1:
        smooth = ops.divide(smooth, beta)
    values = scaled.detach().numpy() if hasattr(scaled, "detach") else scaled
    return ops.where(values > threshold, input, smooth)


def sigmoid(input: Any) -> Any:
    """:func:`einkorn.ops.sigmoid`."""
    return ops.sigmoid(input)


def tanh(input: Any) -> Any:
    """:func:`einkorn.ops.tanh`."""
    return ops.tanh(input)


def _dim(input: Any, dim: int | None) -> int:
    """torch's choice for softmax where none is given: the first axis of ranks 0, 1 and 3, else the second."""
    return (0 if len(input.shape) in (0, 1, 3) else 1) if dim is None else dim


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """:func:`einkorn.ops.softmax` along ``dim``; without one, along torch's choice, which is not the last."""
    return ops.softmax(input, _dim(input, dim), dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """:func:`einkorn.ops.log_softmax`; ``dim`` as :func:`softmax`."""
    return ops.log_softmax(input, _dim(input, dim), dtype=dtype)


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


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.dropout`."""
    _not_in_place("dropout", inplace)
    return ops.dropout(input, p, training)


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
