"""Batch normalisation folded into the layer before it, for inference."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_linear_bn_eval"]


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what ``conv`` and then ``bn`` do in evaluation mode.

    ``bn(y) = (y - mean) * scale + shift`` with ``scale = weight / sqrt(var + eps)``, so the scale goes into
    the convolution's weights and the rest into its bias.

    Parameters
    ----------
    conv : Conv1d, Conv2d, Conv3d, or a transposed one
    bn : batch norm with running statistics
    transpose : bool, default False
        Whether ``conv`` is a transposed convolution, whose output channels are its weight's second axis.

    Returns
    -------
    A copy of ``conv`` with other parameters; it has a bias. An activation of ``bn`` becomes its own.

    Raises
    ------
    ArgumentError
        In training mode, without running statistics, or where ``conv`` applies an activation before.
    ShapeError
        If the channels differ.
    """
    channels = 1 if transpose else 0
    return _fused("fuse_conv_bn_eval", conv, bn, channels)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A linear layer that does what ``linear`` and then ``bn`` do in evaluation mode."""
    return _fused("fuse_linear_bn_eval", linear, bn, 0)


def _fused(op: str, layer: Any, bn: Any, axis: int) -> Any:
    if layer.training or bn.training:
        raise ArgumentError(f"{op}: a layer is in training mode, expected both in evaluation mode")
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError(f"{op}: bn keeps no running statistics, expected track_running_stats=True")
    if getattr(layer, "activation", None) is not None:
        raise ArgumentError(f"{op}: the layer's activation is {layer.activation!r}, expected None before bn")
    weight = layer.weight.numpy()
    groups = getattr(layer, "groups", 1) if axis == 1 else 1
    mean, var = (np.asarray(a, np.float64) for a in (bn.running_mean, bn.running_var))
    if weight.shape[axis] * groups != len(mean):
        raise ShapeError(
            f"{op}: bn has {len(mean)} channels, expected the layer's {weight.shape[axis] * groups}"
        )
    scale = 1 / np.sqrt(var + bn.eps)
    if bn.weight is not None:
        scale = scale * bn.weight.numpy()
    bias = -mean if layer.bias is None else layer.bias.numpy() - mean
    bias = bias * scale + (0 if bn.bias is None else bn.bias.numpy())
    if axis == 0:
        factor = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    else:  # [in, out / groups, ...]: each group of input channels has output channels of its own
        each = scale.reshape(groups, 1, -1)
        spread = np.broadcast_to(each, (groups, weight.shape[0] // groups, weight.shape[1]))
        factor = spread.reshape(*weight.shape[:2], *(1,) * (weight.ndim - 2))
    fused = copy.deepcopy(layer)
    fused.weight = Parameter((weight * factor).astype(weight.dtype), layer.weight.requires_grad)
    fused.bias = Parameter(bias.astype(weight.dtype), layer.weight.requires_grad)
    if getattr(bn, "activation", None) is not None:
        fused.activation = bn.activation
    return fused
