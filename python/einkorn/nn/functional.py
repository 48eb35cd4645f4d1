"""The functions of ``torch.nn.functional`` that exist here, with torch's arguments, names and order.

A program that changes only the import gets torch's results, or a refusal that names the argument. What
:mod:`einkorn.ops` adds (fused activations, other spellings) is not here. Arrays give arrays, Tensors give
differentiable Tensors, as everywhere.

Reductions by the old ``size_average`` and ``reduce`` are understood. Activations and dropout stand in
``_activations.py``, losses in ``_losses.py``, normalisation and attention in ``_norms.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.nn import _activations, _losses, _norms
from einkorn.nn._activations import *  # noqa: F403
from einkorn.nn._losses import *  # noqa: F403
from einkorn.nn._norms import *  # noqa: F403

__all__ = [
    *_activations.__all__,
    "pairwise_distance",
    "pdist",
    "gumbel_softmax",
    "one_hot",
    "cosine_similarity",
    "channel_shuffle",
    "bilinear",
    *_losses.__all__,
    *_norms.__all__,
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "embedding",
    "embedding_bag",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "grid_sample",
    "interpolate",
    "linear",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


# --- layers -------------------------------------------------------------------------------------


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """:func:`einkorn.ops.linear`."""
    return ops.linear(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """:func:`einkorn.ops.bilinear`."""
    return ops.bilinear(input1, input2, weight, bias)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """:func:`einkorn.ops.cosine_similarity`."""
    return ops.cosine_similarity(x1, x2, dim, eps)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """:func:`einkorn.ops.pairwise_distance`."""
    return ops.pairwise_distance(x1, x2, p, eps, keepdim)


def pdist(input: Any, p: float = 2) -> Any:
    """:func:`einkorn.ops.pdist`."""
    return ops.pdist(input, p)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """:func:`einkorn.ops.gumbel_softmax`."""
    return ops.gumbel_softmax(logits, tau, hard, eps, dim)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """:func:`einkorn.ops.one_hot`."""
    return ops.one_hot(tensor, num_classes)


def channel_shuffle(input: Any, groups: int) -> Any:
    """:func:`einkorn.ops.channel_shuffle`."""
    return ops.channel_shuffle(input, groups)


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


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """:func:`einkorn.ops.conv3d`."""
    return ops.conv3d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """:func:`einkorn.ops.conv_transpose1d`."""
    return ops.conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """:func:`einkorn.ops.conv_transpose2d`."""
    return ops.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """:func:`einkorn.ops.conv_transpose3d`."""
    return ops.conv_transpose3d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """:func:`einkorn.ops.unfold`."""
    return ops.unfold(input, kernel_size, dilation, padding, stride)


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """:func:`einkorn.ops.fold`."""
    return ops.fold(input, output_size, kernel_size, dilation, padding, stride)


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`einkorn.ops.max_pool1d`."""
    return ops.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


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


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`einkorn.ops.max_pool3d`."""
    return ops.max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """:func:`einkorn.ops.max_unpool1d`."""
    return ops.max_unpool1d(input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """:func:`einkorn.ops.max_unpool2d`."""
    return ops.max_unpool2d(input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """:func:`einkorn.ops.max_unpool3d`."""
    return ops.max_unpool3d(input, indices, kernel_size, stride, padding, output_size)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """:func:`einkorn.ops.avg_pool1d`."""
    return ops.avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


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


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """:func:`einkorn.ops.avg_pool3d`."""
    return ops.avg_pool3d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool1d(
    input: Any,
    output_size: Any,
) -> Any:
    """:func:`einkorn.ops.adaptive_avg_pool1d`."""
    return ops.adaptive_avg_pool1d(input, output_size)


def adaptive_avg_pool2d(
    input: Any,
    output_size: Any,
) -> Any:
    """:func:`einkorn.ops.adaptive_avg_pool2d`."""
    return ops.adaptive_avg_pool2d(input, output_size)


def adaptive_avg_pool3d(
    input: Any,
    output_size: Any,
) -> Any:
    """:func:`einkorn.ops.adaptive_avg_pool3d`."""
    return ops.adaptive_avg_pool3d(input, output_size)


def adaptive_max_pool1d(
    input: Any,
    output_size: Any,
    return_indices: bool = False,
) -> Any:
    """:func:`einkorn.ops.adaptive_max_pool1d`."""
    return ops.adaptive_max_pool1d(input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Any,
    output_size: Any,
    return_indices: bool = False,
) -> Any:
    """:func:`einkorn.ops.adaptive_max_pool2d`."""
    return ops.adaptive_max_pool2d(input, output_size, return_indices)


def adaptive_max_pool3d(
    input: Any,
    output_size: Any,
    return_indices: bool = False,
) -> Any:
    """:func:`einkorn.ops.adaptive_max_pool3d`."""
    return ops.adaptive_max_pool3d(input, output_size, return_indices)


def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """:func:`einkorn.ops.fractional_max_pool2d`."""
    return ops.fractional_max_pool2d(
        input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """:func:`einkorn.ops.fractional_max_pool3d`."""
    return ops.fractional_max_pool3d(
        input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """:func:`einkorn.ops.lp_pool1d`."""
    return ops.lp_pool1d(input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """:func:`einkorn.ops.lp_pool2d`."""
    return ops.lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """:func:`einkorn.ops.lp_pool3d`."""
    return ops.lp_pool3d(input, norm_type, kernel_size, stride, ceil_mode)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """:func:`einkorn.ops.interpolate`."""
    options = mode, align_corners, recompute_scale_factor, antialias
    return ops.interpolate(input, size, scale_factor, *options)


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """:func:`interpolate` under its older name."""
    return ops.interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """:func:`interpolate` to the nearest element."""
    return ops.interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """:func:`interpolate` bilinearly with aligned corners."""
    return ops.interpolate(input, size, scale_factor, "bilinear", True)


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """:func:`einkorn.ops.pixel_shuffle`."""
    return ops.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """:func:`einkorn.ops.pixel_unshuffle`."""
    return ops.pixel_unshuffle(input, downscale_factor)


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """:func:`einkorn.ops.grid_sample`."""
    return ops.grid_sample(input, grid, mode, padding_mode, align_corners)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """:func:`einkorn.ops.affine_grid`."""
    return ops.affine_grid(theta, size, align_corners)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """:func:`einkorn.ops.pad`: pairs of amounts, the last dimension first."""
    return ops.pad(input, pad, mode, value)


# --- tables -------------------------------------------------------------------------------------


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """:func:`einkorn.ops.embedding`."""
    return ops.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """:func:`einkorn.ops.embedding_bag`."""
    return ops.embedding_bag(
        input,
        weight,
        offsets,
        max_norm,
        norm_type,
        scale_grad_by_freq,
        mode,
        sparse,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )


def __getattr__(name: str) -> Any:
    from einkorn._near import MissingNameError

    raise MissingNameError("module 'einkorn.nn.functional'", name, lambda: __all__)
