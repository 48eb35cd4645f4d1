"""Functions of ``keras.ops`` that layers are made of: convolutions, pools, norms, attention, CTC."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras.layers._sides import channels_first, channels_last, is_first, padding_of, same, sides
from einkorn.keras.ops._numpy import _axes, _data, _like
from einkorn.nn import functional

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization", "conv",
    "conv_transpose", "ctc_decode", "ctc_loss", "depth_to_space", "depthwise_conv", "dot_product_attention",
    "fold", "layer_normalization", "max_pool", "multi_hot", "psnr", "rms_normalization", "separable_conv",
    "space_to_depth", "unfold",
]  # fmt: skip


def _rank(name: str, x: Any) -> int:
    rank = len(x.shape) - 2
    if rank not in (1, 2, 3):
        raise ShapeError(
            f"{name}: inputs has shape {tuple(x.shape)}, expected rows, one to three sides, and channels"
        )
    return rank


def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """Convolution in one to three dimensions.

    Parameters
    ----------
    inputs : array or Tensor [rows, sides, channels]
    kernel : array or Tensor [sides, channels or a divisor of them, outputs]
    strides, dilation_rate : int or one for each side, default 1
    padding : "valid" or "same", default "valid"
    data_format : "channels_last" or "channels_first", optional
    """
    rank = _rank("conv", inputs)
    weight = ops.permute(kernel, (rank + 1, rank, *range(rank)))
    return _convolved("conv", inputs, weight, strides, padding, data_format, dilation_rate)


def _convolved(
    name: str, inputs: Any, weight: Any, strides: Any, padding: str, data_format: Any, dilation: Any
) -> Any:
    rank, first = _rank(name, inputs), is_first(data_format, name)
    steps, reach = sides(strides, rank, name, "strides"), sides(dilation, rank, name, "dilation_rate")
    x = channels_first(inputs, rank, name, first)
    if padding_of(padding, name) == "same":
        x = same(x, tuple(weight.shape[2:]), steps, reach, 0.0)
    groups = x.shape[1] // max(1, weight.shape[1])
    if groups * weight.shape[1] != x.shape[1]:
        raise ShapeError(
            f"{name}: kernel is of {weight.shape[1]} channels, expected {x.shape[1]} or a divisor of them"
        )
    convolve = (ops.conv1d, ops.conv2d, ops.conv3d)[rank - 1]
    return channels_last(convolve(x, weight, None, steps, 0, reach, groups), rank, first)


def depthwise_conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """Each channel convolved by itself; kernel [sides, channels, outputs of each], the rest as ``conv``."""
    rank = _rank("depthwise_conv", inputs)
    turned = ops.permute(kernel, (rank, rank + 1, *range(rank)))
    weight = turned.reshape(turned.shape[0] * turned.shape[1], 1, *turned.shape[2:])
    return _convolved("depthwise_conv", inputs, weight, strides, padding, data_format, dilation_rate)


def separable_conv(
    inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """``depthwise_conv``, and ``conv`` of a kernel of one element that mixes the channels."""
    each = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(each, pointwise_kernel, 1, "valid", data_format)


def conv_transpose(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """Transposed convolution; kernel [sides, outputs, channels], the rest as ``conv``."""
    from einkorn.keras.layers.conv import transposed_convolution

    name, rank = "conv_transpose", _rank("conv_transpose", inputs)
    first = is_first(data_format, name)
    more = None if output_padding is None else sides(output_padding, rank, name, "output_padding", 0)
    x = channels_first(inputs, rank, name, first)
    out = transposed_convolution(
        x, ops.permute(kernel, (rank + 1, rank, *range(rank))), sides(strides, rank, name, "strides"),
        padding_of(padding, name), more, sides(dilation_rate, rank, name, "dilation_rate"),
    )  # fmt: skip
    return channels_last(out, rank, first)


# --- pools --------------------------------------------------------------------------------------------------


def _pooled(name: str, kind: str, inputs: Any, *options: Any) -> Any:
    from einkorn.keras import layers

    layer = getattr(layers, f"{kind}{_rank(name, inputs)}D")
    return layer(*options, name=name)(inputs)  # with a name of its own: none is counted


def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The largest of each window; arguments as those of ``layers.MaxPooling2D``."""
    return _pooled("max_pool", "MaxPooling", inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The mean of each window; arguments as those of ``layers.AveragePooling2D``."""
    return _pooled("average_pool", "AveragePooling", inputs, pool_size, strides, padding, data_format)


def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """The largest of so many windows."""
    return _pooled("adaptive_max_pool", "AdaptiveMaxPooling", inputs, output_size, data_format)


def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """The means of so many windows."""
    return _pooled("adaptive_average_pool", "AdaptiveAveragePooling", inputs, output_size, data_format)


# --- norms --------------------------------------------------------------------------------------------------


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Any:
    """x less the mean, over the root of the variance, of each index of an axis."""
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    centre, spread = mean.reshape(*shape), variance.reshape(*shape)
    factor = ops.rsqrt(ops.add(spread, epsilon))
    if scale is not None:
        factor = ops.multiply(factor, scale.reshape(*shape))
    out = ops.multiply(ops.subtract(x, centre), factor)
    return out if offset is None else ops.add(out, offset.reshape(*shape))


def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Any:
    """x less its mean, over the root of its variance, along axes; times gamma, plus beta."""
    least = 1e-7 if epsilon is None else epsilon
    axes = sorted(i % len(x.shape) for i in ([axis] if isinstance(axis, int) else axis))
    if axes == list(range(len(x.shape) - len(axes), len(x.shape))):
        shape = tuple(x.shape[i] for i in axes)
        return ops.layer_norm(x, shape, gamma, beta, least)
    centred = ops.subtract(x, ops.mean(x, axis=tuple(axes), keepdims=True))
    spread = ops.mean(ops.square(centred), axis=tuple(axes), keepdims=True)
    out = ops.multiply(centred, ops.rsqrt(ops.add(spread, least)))
    wide = [x.shape[i] if i in axes else 1 for i in range(len(x.shape))]
    if gamma is not None:
        out = ops.multiply(out, gamma.reshape(*wide))
    return out if beta is None else ops.add(out, beta.reshape(*wide))


def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> Any:
    """x over the root of the mean of its squares along axes, times a scale."""
    squares = ops.mean(ops.square(x), axis=_axes(axis), keepdims=True)
    out = ops.multiply(x, ops.rsqrt(ops.add(squares, 1e-7 if epsilon is None else epsilon)))
    return out if scale is None else ops.multiply(out, scale)


# --- attention ----------------------------------------------------------------------------------------------


def dot_product_attention(
    query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, scale: float | None = None,
    is_causal: bool = False, flash_attention: Any = None, attn_logits_soft_cap: float | None = None,
) -> Any:  # fmt: skip
    """Attention of several heads, without storing the scores.

    Parameters
    ----------
    query : array or Tensor [rows, steps, heads, size]
    key, value : array or Tensor [rows, others, heads or a divisor of them, size]
    bias : array or Tensor, optional
        Added to the scores [rows, heads, steps, others]; not together with a mask.
    mask : array of bool, optional
        True where a step sees another.
    scale : float, optional
        What scores are multiplied by; by default ``1 / sqrt(size)``.
    is_causal : bool, default False
        Whether later steps are not seen.
    flash_attention : ignored
    attn_logits_soft_cap : not supported
    """
    if attn_logits_soft_cap is not None:
        raise ArgumentError(
            f"dot_product_attention: attn_logits_soft_cap is {attn_logits_soft_cap!r}, which is not "
            "supported, expected None"
        )
    if bias is not None and mask is not None:
        raise ArgumentError("dot_product_attention: got bias and mask, expected one of them at most")
    for name, x in (("query", query), ("key", key), ("value", value)):
        if len(x.shape) != 4:
            raise ShapeError(
                f"dot_product_attention: {name} has shape {tuple(x.shape)}, expected [rows, steps, heads, "
                "size]"
            )
    seen = bias
    if mask is not None:
        seen = _data(mask).astype(bool)
        if is_causal:
            seen, is_causal = seen & np.tri(query.shape[1], key.shape[1], dtype=bool), False
    elif bias is not None and is_causal:
        later = ~np.tri(query.shape[1], key.shape[1], dtype=bool)
        seen, is_causal = ops.where(later, np.float32(-np.inf), bias), False
    q, k, v = (ops.permute(x, (0, 2, 1, 3)) for x in (query, key, value))
    out = ops.scaled_dot_product_attention(q, k, v, seen, 0.0, is_causal, scale, True)
    return ops.permute(out, (0, 2, 1, 3))


# --- pictures, classes, texts -------------------------------------------------------------------------------


def depth_to_space(x: Any, block_size: int, data_format: str | None = "channels_last") -> Any:
    """Blocks of channels as squares of elements."""
    first = is_first(data_format, "depth_to_space")
    images = channels_first(x, 2, "depth_to_space", first)
    n, c, h, w = images.shape
    if c % block_size**2:
        raise ShapeError(f"depth_to_space: {c} channels are no multiple of {block_size**2}")
    k, deep = block_size, c // block_size**2
    if first:  # of channels first, one of the images' has its squares one after the other
        out = ops.permute(images.reshape(n, deep, k, k, h, w), (0, 1, 4, 2, 5, 3))
    else:
        out = ops.permute(images.reshape(n, k, k, deep, h, w), (0, 3, 4, 1, 5, 2))
    return channels_last(out.reshape(n, deep, h * k, w * k), 2, first)


def space_to_depth(x: Any, block_size: int, data_format: str | None = "channels_last") -> Any:
    """Squares of elements as blocks of channels."""
    first = is_first(data_format, "space_to_depth")
    images = channels_first(x, 2, "space_to_depth", first)
    n, c, h, w = images.shape
    if h % block_size or w % block_size:
        raise ShapeError(f"space_to_depth: images are {h}x{w}, expected multiples of {block_size}")
    k = block_size
    order = (0, 1, 3, 5, 2, 4) if first else (0, 3, 5, 1, 2, 4)
    out = ops.permute(images.reshape(n, c, h // k, k, w // k, k), order)
    return channels_last(out.reshape(n, k * k * c, h // k, w // k), 2, first)


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images [rows, channels, height, width] as columns."""
    return ops.unfold(x, kernel_size, dilation, padding, stride)


def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Columns as images again, in which windows that overlap are added."""
    return ops.fold(x, output_size, kernel_size, dilation, padding, stride)


def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """The ratio of the largest value to the difference of two images, in decibels."""
    if tuple(x1.shape) != tuple(x2.shape):
        raise ShapeError(f"psnr: x1 has shape {tuple(x1.shape)}, x2 {tuple(x2.shape)}, expected one shape")
    error = ops.mean(ops.square(ops.subtract(x1, x2)))
    return ops.subtract(20 * math.log10(max_val), ops.multiply(ops.log10(error), 10.0))


def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Any:
    """Ones for the classes that occur in each row; numbers below 0 are none."""
    if sparse:
        raise ArgumentError("multi_hot: sparse is True, which is not supported, expected False")
    if num_classes is None:
        raise ArgumentError("multi_hot: num_classes is None, expected the number of classes")
    numbers = _data(inputs).astype(np.int64)
    along = 1 if numbers.ndim > 1 else 0
    each = one_hot_rows(numbers, num_classes, str(dtype or "float32"))
    return _like(inputs, np.moveaxis(each.max(along), -1, axis))


def one_hot_rows(numbers: np.ndarray, num_classes: int, dtype: str) -> np.ndarray:
    """Rows with a one where the number says; of zeros for numbers that are no class."""
    rows = np.zeros((*numbers.shape, num_classes), dtype)
    inside = (numbers >= 0) & (numbers < num_classes)
    places = (*np.nonzero(inside), numbers[inside])
    rows[places] = 1
    return rows


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """Connectionist temporal classification (Graves et al. 2006), a loss for each row.

    Parameters
    ----------
    target : array of int [rows, labels]
    output : array or Tensor [rows, steps, classes]
        Logits.
    target_length, output_length : array of int [rows]
        How many labels and steps count.
    mask_index : int, default 0
        The class that is no label.
    """
    logs = functional.log_softmax(ops.permute(output, (1, 0, 2)), -1)
    lengths = (_data(output_length).astype(np.int64), _data(target_length).astype(np.int64))
    return functional.ctc_loss(
        logs, _data(target).astype(np.int64), *lengths, blank=mask_index, reduction="none"
    )


def ctc_decode(
    inputs: Any, sequence_lengths: Any, strategy: str = "greedy", beam_width: int = 100, top_paths: int = 1,
    merge_repeated: bool = True, mask_index: int = 0,
) -> tuple[Any, Any]:  # fmt: skip
    """What steps spell, by the likeliest path or by a search over prefixes.

    Parameters
    ----------
    inputs : array or Tensor [rows, steps, classes]
        Logits.
    sequence_lengths : array of int [rows]
    strategy : "greedy" or "beam_search", default "greedy"
    beam_width, top_paths : int, default 100 and 1
        Of the search.
    merge_repeated : bool, default True
        Whether a label that stands in neighbouring steps is one, of "greedy"; the search always merges.
    mask_index : int, default 0
        The class that is no label.

    Returns
    -------
    labels : Tensor of int32 [paths, rows, steps]
        -1 behind their ends.
    scores : Tensor [rows, paths]
        Of "greedy" the sum of the best logits, below 0; of the search logarithms of probabilities.
    """
    if strategy not in ("greedy", "beam_search"):
        raise ArgumentError(f"ctc_decode: strategy is {strategy!r}, expected greedy or beam_search")
    values = _data(inputs).astype(np.float32, copy=False)
    if values.ndim != 3:
        raise ShapeError(f"ctc_decode: inputs has shape {values.shape}, expected [rows, steps, classes]")
    lengths = _data(sequence_lengths).astype(np.int64)
    rows, steps = values.shape[:2]
    turned = np.ascontiguousarray(values.transpose(1, 0, 2))
    if strategy == "greedy":
        spelt = ops.ctc_greedy_decode(turned, lengths, blank=mask_index, merge_repeated=merge_repeated)
        labels = np.full((1, rows, steps), -1, np.int32)
        for i, row in enumerate(spelt):
            labels[0, i, : len(row)] = row
        counted = np.arange(steps) < lengths[:, None]
        scores = -np.where(counted, values.max(-1), 0).sum(1, keepdims=True)
        return Tensor(labels), Tensor(scores.astype(np.float32))
    logs = np.asarray(functional.log_softmax(turned, -1))
    found, logarithms = ops.ctc_beam_search_decode(
        logs, lengths, beam_width=beam_width, top_paths=top_paths, blank=mask_index
    )
    labels = np.full((top_paths, rows, steps), -1, np.int32)
    for i, paths in enumerate(found):
        for k, row in enumerate(paths):
            labels[k, i, : len(row)] = row
    return Tensor(labels), Tensor(np.asarray(logarithms))
