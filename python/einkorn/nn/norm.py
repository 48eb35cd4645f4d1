"""Normalisation layers, with torch's names, arguments and ``state_dict`` layouts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.engines import activation_code
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


def _sizes(value: Any, op: str) -> tuple[int, ...]:
    """``normalized_shape`` as a tuple of at least one size."""
    if hasattr(value, "__index__"):
        value = (value,)
    try:
        sizes = tuple(operator.index(n) for n in value)
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 0:
        raise ArgumentError(f"{op}: normalized_shape is {value!r}, expected an int or a sequence of ints")
    return sizes


def _ending(text: str, activation: str | None) -> str:
    return text if activation is None else f"{text}, activation={activation!r}"


class LayerNorm(Module):
    """Layer normalisation over the last axes (Ba et al. 2016), see :func:`einkorn.ops.layer_norm`.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of the last axes of the input.
    eps : float, default 1e-5
    elementwise_affine : bool, default True
        Whether weight and bias are learned.
    bias : bool, default True
        Whether bias is; ignored without elementwise_affine.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight, bias : Parameter of normalized_shape or None
        They start as 1 and 0.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        activation_code(activation, "LayerNorm")
        self.normalized_shape = _sizes(normalized_shape, "LayerNorm")
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.activation = activation
        self.weight = blank(*self.normalized_shape) if elementwise_affine else None
        self.bias = blank(*self.normalized_shape) if elementwise_affine and bias else None
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        return ops.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps, activation=self.activation
        )

    def extra_repr(self) -> str:
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return _ending(f"{text}, bias={self.bias is not None}", self.activation)


class RMSNorm(Module):
    """Normalisation by the root of the mean square, see :func:`einkorn.ops.rms_norm`.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The sizes of the last axes of the input.
    eps : float, optional
        Default: the spacing of the type's numbers at 1.
    elementwise_affine : bool, default True
        Whether weight is learned.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight : Parameter of normalized_shape or None
        It starts as 1.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        activation_code(activation, "RMSNorm")
        self.normalized_shape = _sizes(normalized_shape, "RMSNorm")
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.activation = activation
        self.weight = blank(*self.normalized_shape) if elementwise_affine else None
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Any) -> Any:
        return ops.rms_norm(x, self.normalized_shape, self.weight, self.eps, activation=self.activation)

    def extra_repr(self) -> str:
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return _ending(text, self.activation)


class GroupNorm(Module):
    """Normalisation of groups of channels (Wu and He 2018), see :func:`einkorn.ops.group_norm`.

    Parameters
    ----------
    num_groups, num_channels : int
        The first divides the second.
    eps : float, default 1e-5
    affine : bool, default True
        Whether weight and bias are learned.
    bias : bool, keyword-only, default True
        Whether bias is; ignored without affine.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight, bias : Parameter [num_channels] or None
        They start as 1 and 0.

    Notes
    -----
    Input and output [N, num_channels, ...].
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        activation_code(activation, "GroupNorm")
        self.num_groups = integer(num_groups, "GroupNorm", "num_groups")
        self.num_channels = integer(num_channels, "GroupNorm", "num_channels")
        if self.num_channels % self.num_groups:
            raise ArgumentError(
                f"GroupNorm: num_channels is {num_channels}, expected a multiple of num_groups, {num_groups}"
            )
        self.eps = eps
        self.affine = affine
        self.activation = activation
        self.weight = blank(self.num_channels) if affine else None
        self.bias = blank(self.num_channels) if affine and bias else None
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        return ops.group_norm(
            input, self.num_groups, self.weight, self.bias, self.eps, activation=self.activation
        )

    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return _ending(f"{text}, bias={self.bias is not None}", self.activation)


class LocalResponseNorm(Module):
    """Normalisation by neighbouring channels (Krizhevsky et al. 2012), see
    :func:`einkorn.ops.local_response_norm`.

    Parameters
    ----------
    size : int
        Channels in a window.
    alpha, beta, k : float, default 1e-4, 0.75, 1.0
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = integer(size, "LocalResponseNorm", "size")
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, input: Any) -> Any:
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _Running(Module):
    """What batch and instance norm share: affine parameters and running statistics of each channel."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        activation: str | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        activation_code(activation, name)
        self.num_features = integer(num_features, name, "num_features", 0)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.activation = activation
        self.weight = blank(self.num_features) if affine else None
        self.bias = blank(self.num_features) if affine and bias else None
        kept = track_running_stats
        self.register_buffer(
            "running_mean", Tensor(np.zeros(self.num_features, np.float32)) if kept else None
        )
        self.register_buffer("running_var", Tensor(np.ones(self.num_features, np.float32)) if kept else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if kept else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            self.num_batches_tracked[...] = 0

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, x: Any, ranks: tuple[int, int]) -> None:
        shape = getattr(x, "shape", None)
        if shape is not None and len(shape) not in ranks:
            raise ShapeError(
                f"{type(self).__name__}: input has shape {tuple(shape)}, expected"
                f" {' or '.join(map(str, sorted(set(ranks))))} dimensions"
            )

    def _check_channels(self, channels: int, shape: Any) -> None:
        if channels != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: input has shape {tuple(shape)}, expected"
                f" {self.num_features} channels (num_features)"
            )

    def extra_repr(self) -> str:
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        text += f", bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        return _ending(text, self.activation)


class _BatchNorm(_Running):
    _ranks: tuple[int, int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        activation: str | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, activation)
        self._settle(device, dtype)

    def forward(self, input: Any, *, residual: Any = None, activation: str | None = None) -> Any:
        self._check(input, self._ranks)
        if hasattr(input, "shape"):
            self._check_channels(input.shape[1], input.shape)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            if self.momentum is None:
                factor = 1.0 / float(self.num_batches_tracked)
        uses = not self.training or self.track_running_stats
        return ops.batch_norm(
            input,
            self.running_mean if uses else None,
            self.running_var if uses else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            factor,
            self.eps,
            residual=residual,
            activation=self.activation if activation is None else activation,
        )


class _InstanceNorm(_Running):
    _ranks: tuple[int, int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        activation: str | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, activation)
        self._settle(device, dtype)

    def forward(self, input: Any) -> Any:
        self._check(input, self._ranks)
        single = hasattr(input, "shape") and len(input.shape) == self._ranks[0]
        if hasattr(input, "shape") and (self.affine or self.track_running_stats):
            self._check_channels(input.shape[0 if single else 1], input.shape)
        y = ops.instance_norm(
            ops.reshape(input, (1, *input.shape)) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
            activation=self.activation,
        )
        return ops.reshape(y, tuple(input.shape)) if single else y


_BATCH = """Batch normalisation of {input} (Ioffe and Szegedy 2015), see :func:`einkorn.ops.batch_norm`.

    Parameters
    ----------
    num_features : int
        Channels, C.
    eps : float, default 1e-5
    momentum : float or None, default 0.1
        The share of the newest batch in the running statistics. None: all batches count alike.
    affine : bool, default True
        Whether weight and bias are learned.
    track_running_stats : bool, default True
        Whether running statistics are kept, which normalise in evaluation mode. Without, the batch's own do.
    bias : bool, keyword-only, default True
        Whether bias is learned; ignored without affine.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel. ``forward(x, residual=r)`` adds r before it.

    Attributes
    ----------
    weight, bias : Parameter [C] or None
        They start as 1 and 0.
    running_mean, running_var : Tensor [C] or None
    num_batches_tracked : int64 array or None

    Raises
    ------
    ShapeError
        When called: if the input has other dimensions, or when training a single value in each channel.
    """

_INSTANCE = """Instance normalisation of {input} (Ulyanov et al. 2016), see :func:`einkorn.ops.instance_norm`.

    Parameters
    ----------
    num_features : int
        Channels, C.
    eps : float, default 1e-5
    momentum : float or None, default 0.1
        The share of the newest batch in the running statistics; None: 0.
    affine : bool, default False
        Whether weight and bias are learned.
    track_running_stats : bool, default False
        Whether running statistics are kept, which normalise in evaluation mode.
    bias : bool, keyword-only, default True
        Whether bias is learned; ignored without affine.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight, bias : Parameter [C] or None
        They start as 1 and 0.
    running_mean, running_var : Tensor [C] or None
    num_batches_tracked : int64 array or None
        Stays 0, as in torch.

    Raises
    ------
    ShapeError
        When called: if the input has other dimensions, or a single value in each channel of a sample.
    """


class BatchNorm1d(_BatchNorm):
    __doc__ = _BATCH.format(input="[N, C] or [N, C, L]")
    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = _BATCH.format(input="[N, C, H, W]")
    _ranks = (4, 4)


class BatchNorm3d(_BatchNorm):
    __doc__ = _BATCH.format(input="[N, C, D, H, W]")
    _ranks = (5, 5)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _INSTANCE.format(input="[N, C, L] or [C, L]")
    _ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _INSTANCE.format(input="[N, C, H, W] or [C, H, W]")
    _ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _INSTANCE.format(input="[N, C, D, H, W] or [C, D, H, W]")
    _ranks = (4, 5)
