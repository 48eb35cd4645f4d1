"""Convolution, batch norm, addition and activation in as few passes as the kernels can do them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._context import Context
from einkorn._grad_mode import mode
from einkorn.nn.activation import ReLU
from einkorn.nn.conv import Conv2d
from einkorn.nn.norm import BatchNorm2d

__all__ = ["PaddedConv2d", "convolve", "folding", "same"]

_folds: ContextVar[dict[int, Any] | None] = ContextVar("einkorn_folds", default=None)


class folding(Context[None]):  # noqa: N801 - reads as a function
    """Within, networks that infer have batch norm as part of the convolution before it.

    ``bn(conv(x)) = conv(x; w s, (b - mean) s + shift)`` with ``s = weight / sqrt(var + eps)``: the weights
    are multiplied when a layer is first called inside, and kept until the end. It concerns the networks of
    ``einkorn.models`` in evaluation mode while nothing is recorded; ``predict`` enters it by itself. A
    change of the weights inside is not seen.

    Examples
    --------
    >>> import numpy as np, einkorn
    >>> from einkorn import models
    >>> model = models.resnet20(num_classes=10).eval()
    >>> with einkorn.no_grad(), einkorn.nn.utils.folding():
    ...     model(np.zeros((1, 3, 32, 32), np.float32)).shape
    (1, 10)
    """

    def _enter(self) -> tuple[None, Any]:
        return None, _folds.set({})

    def _leave(self, before: Any) -> None:
        _folds.reset(before)


def same(sizes: Any, kernel: Any, stride: Any) -> list[int]:
    """Keras' padding "same", as ``ops.pad`` takes it: ceil(n / stride) windows, an odd pixel goes behind."""
    pads: list[int] = []
    for n, k, s in reversed(list(zip(sizes, kernel, stride, strict=True))):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


class PaddedConv2d(Conv2d):
    """A convolution whose input is padded by other amounts before and after: with stride 2, Keras' "same".

    Parameters
    ----------
    *args, **kwargs
        As :class:`einkorn.nn.Conv2d`, without padding.
    margins : (before, after) or None, keyword-only
        Zeros around both axes; None: as many as Keras' "same" has for the size that comes.
    """

    def __init__(self, *args: Any, margins: tuple[int, int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def padded(self, x: Any) -> Any:
        """The input with its zeros."""
        if self.margins is not None:
            return ops.pad(x, self.margins * 2)
        pads = same(x.shape[-2:], self.kernel_size, self.stride)
        return ops.pad(x, pads) if any(pads) else x

    def forward(self, input: Any) -> Any:
        return super().forward(self.padded(input))


def convolve(x: Any, conv: Any, norm: Any = None, act: Any = None, residual: Any = None) -> Any:
    """``act(norm(conv(x)) + residual)``; each of the last three may be None.

    Layers that have hooks, and others than those below, are called one by one.
    """
    if not _is_known(conv, norm, act):
        x = conv(x)
        x = x if norm is None else norm(x)
        x = x if residual is None else x + residual
        return x if act is None else act(x)
    fused = "relu" if type(act) is ReLU else None
    if norm is None:
        x = _run(conv, x, conv.weight, conv.bias, None if residual is not None else fused)
        if residual is not None:
            return x + residual if act is None else act(x + residual)
        return x if act is None or fused else act(x)
    folds = None if norm.training or residual is not None or mode.enabled else _folds.get()
    if folds is None or norm.running_mean is None:  # a sum and an activation cost the norm's kernel no pass
        inner = _run(conv, x, conv.weight, conv.bias, None)
        x = norm.forward(inner, residual=residual, activation=fused)
    else:
        weight, bias = folds.get(id(conv)) or folds.setdefault(id(conv), _fold(conv, norm))
        x = _run(conv, x, weight, bias, fused)
    return x if act is None or fused else act(x)


def _is_known(conv: Any, norm: Any, act: Any) -> bool:
    return (
        type(conv) in (Conv2d, PaddedConv2d)
        and not conv._hooked
        and conv.activation is None
        and conv.padding_mode == "zeros"
        and (norm is None or (type(norm) is BatchNorm2d and not norm._hooked and norm.activation is None))
        and (act is None or not act._hooked)
    )


def _run(conv: Any, x: Any, weight: Any, bias: Any, activation: str | None) -> Any:
    if type(conv) is PaddedConv2d:
        x = conv.padded(x)
    if _is_product(conv, x, weight):
        return _product(x, weight, bias, activation)
    return ops.conv2d(
        x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups, activation=activation
    )


def _is_product(conv: Any, x: Any, weight: Any) -> bool:
    """Whether a 1x1 convolution of one image has so few pixels that its kernel, which sorts the weights anew
    each time, takes longer than the product of two matrices, which does not.

    One thread, channels in and out at so many pixels, product over convolution: 960, 160, 7x7 2.4; 512, 2048,
    7x7 1.3; 1024, 256, 14x14 1.1; 256, 1024, 14x14 .8; 256, 64, 56x56 1.0. What tells them apart is how many
    channels there are for each pixel; from four on none was slower.
    """
    return (
        not mode.enabled
        and conv.kernel_size == (1, 1)
        and conv.stride == (1, 1)
        and conv.padding == (0, 0)
        and conv.groups == 1
        and x.ndim == 4
        and x.shape[0] == 1
        and x.shape[1] == weight.shape[1] >= 4 * x.shape[2] * x.shape[3] > 0
        and x.dtype == weight.dtype
    )


def _product(x: Any, weight: Any, bias: Any, activation: str | None) -> Any:
    channels, pixels = weight.shape[0], x.shape[2] * x.shape[3]
    rows, flat = ops.reshape(x, (x.shape[1], pixels)), ops.reshape(weight, (channels, x.shape[1]))
    column = None if bias is None else ops.reshape(bias, (channels, 1))
    y = ops.matmul(flat, rows) if column is None else ops.addmm(column, flat, rows)
    y = ops.relu(y) if activation == "relu" else y
    return ops.reshape(y, (1, channels, *x.shape[2:]))


def _fold(conv: Any, norm: Any) -> tuple[Any, Any]:
    """The weight and bias of both as one convolution."""
    weight = conv.weight.numpy()
    mean, var = (np.asarray(a, np.float64) for a in (norm.running_mean, norm.running_var))
    scale = 1 / np.sqrt(var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.numpy()
    bias = (-mean if conv.bias is None else conv.bias.numpy() - mean) * scale
    if norm.bias is not None:
        bias = bias + norm.bias.numpy()
    factor = scale.astype(weight.dtype).reshape(-1, 1, 1, 1)
    return ops.multiply(weight, factor), bias.astype(weight.dtype)
