"""Activations, dropout and normalize of :mod:`einkorn.nn.functional`, with torch's signatures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._inplace import renew
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import flag, number
from einkorn.ops._road import lowered

__all__ = [
    "alpha_dropout",
    "celu",
    "celu_",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "feature_alpha_dropout",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "normalize",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def _done(op: str, input: Any, inplace: Any, function: Callable[[Any], Any]) -> Any:
    """``function(input)``, in input's own memory where that is wanted."""
    return renew(input, op, function) if flag(op, "inplace", inplace) else function(input)


def relu(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.relu`."""
    return _done("relu", input, inplace, ops.relu)


def relu6(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.relu6`."""
    return _done("relu6", input, inplace, ops.relu6)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.leaky_relu`."""
    return _done("leaky_relu", input, inplace, lambda x: ops.leaky_relu(x, negative_slope))


def prelu(input: Any, weight: Any) -> Any:
    """:func:`einkorn.ops.prelu`."""
    return ops.prelu(input, weight)


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """:func:`einkorn.ops.rrelu`."""
    return _done("rrelu", input, inplace, lambda x: ops.rrelu(x, lower, upper, training))


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.elu`."""
    return _done("elu", input, inplace, lambda x: ops.elu(x, alpha))


def selu(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.selu`."""
    return _done("selu", input, inplace, ops.selu)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.celu`."""
    return _done("celu", input, inplace, lambda x: ops.celu(x, alpha))


def gelu(input: Any, *, approximate: str = "none") -> Any:
    """:func:`einkorn.ops.gelu`."""
    return ops.gelu(input, approximate)


def silu(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.silu`."""
    return _done("silu", input, inplace, ops.silu)


def mish(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.mish`."""
    return _done("mish", input, inplace, ops.mish)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.hardswish`."""
    return _done("hardswish", input, inplace, ops.hardswish)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.hardsigmoid`."""
    return _done("hardsigmoid", input, inplace, ops.hardsigmoid)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.hardtanh`."""
    return _done("hardtanh", input, inplace, lambda x: ops.hardtanh(x, min_val, max_val))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """:func:`einkorn.ops.hardshrink`."""
    return ops.hardshrink(input, lambd)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """:func:`einkorn.ops.softshrink`."""
    return ops.softshrink(input, lambd)


def tanhshrink(input: Any) -> Any:
    """:func:`einkorn.ops.tanhshrink`."""
    return ops.tanhshrink(input)


def softplus(input: Any, beta: float = 1, threshold: float = 20) -> Any:
    """:func:`einkorn.ops.softplus`."""
    return ops.softplus(input, beta, threshold)


def softsign(input: Any) -> Any:
    """:func:`einkorn.ops.softsign`."""
    return ops.softsign(input)


def logsigmoid(input: Any) -> Any:
    """:func:`einkorn.ops.logsigmoid`."""
    return ops.logsigmoid(input)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.threshold`."""
    return _done("threshold", input, inplace, lambda x: ops.threshold(x, threshold, value))


def glu(input: Any, dim: int = -1) -> Any:
    """:func:`einkorn.ops.glu`."""
    return ops.glu(input, dim)


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


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """:func:`softmax` of ``-input``."""
    return ops.softmax(ops.negative(input), _dim(input, dim), dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """:func:`einkorn.ops.log_softmax`; ``dim`` as :func:`softmax`."""
    return ops.log_softmax(input, _dim(input, dim), dtype=dtype)


def normalize(input: Any, p: float = 2.0, dim: int | None = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Vectors along ``dim`` divided by their p-norm, or by ``eps`` where that is larger."""
    if out is not None:
        raise ArgumentError("normalize: out is given; results are new arrays here, expected None")
    length = ops.norm(input, p, dim, True)
    return ops.divide(input, ops.clip(length, min=number("normalize", "eps", eps)))


# --- in place -----------------------------------------------------------------------------------


def relu_(input: Any) -> Any:
    """:func:`relu` in place."""
    return relu(input, True)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """:func:`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


def rrelu_(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """:func:`rrelu` in place."""
    return rrelu(input, lower, upper, training, True)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """:func:`elu` in place."""
    return elu(input, alpha, True)


def selu_(input: Any) -> Any:
    """:func:`selu` in place."""
    return selu(input, True)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """:func:`celu` in place."""
    return celu(input, alpha, True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """:func:`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """:func:`threshold` in place."""
    return _done("threshold_", input, True, lambda x: ops.threshold(x, threshold, value))


# --- dropout ------------------------------------------------------------------------------------


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """:func:`einkorn.ops.dropout`."""
    return _done("dropout", input, inplace, lambda x: ops.dropout(x, p, training))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels: input has shape (N, C, L) or (C, L)."""
    return _of_channels("dropout1d", input, p, training, inplace, (2, 3), 3)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels: input has shape (N, C, H, W), or (N, C, ...) of another rank.

    With three dimensions it is (N, C, L), as in torch.
    """
    return _of_channels("dropout2d", input, p, training, inplace, None, 0)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels: input has shape (N, C, D, H, W) or (C, D, H, W)."""
    return _of_channels("dropout3d", input, p, training, inplace, (4, 5), 5)


def _of_channels(
    op: str, input: Any, p: Any, training: Any, inplace: Any, ranks: tuple[int, ...] | None, batched: int
) -> Any:
    p = _probability(op, p)
    shape = tuple(input.shape)
    if (ranks is None and len(shape) < 2) or (ranks is not None and len(shape) not in ranks):
        expected = "at least 2" if ranks is None else f"{ranks[0]} or {ranks[1]}"
        raise ShapeError(f"{op}: input has shape {shape}, expected {expected} dimensions")
    kept = 2 if ranks is None or len(shape) == batched else 1
    ones = _ones(shape[:kept] + (1,) * (len(shape) - kept), input)
    return _done(
        op,
        input,
        inplace,
        lambda x: lowered(ops.multiply(x, ops.dropout(ones, p)), (x,)) if _on(op, training, p) else x,
    )


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean 0 and variance 1, for :func:`selu` (Klambauer et al. 2017).

    Elements are set, with probability ``p``, to the value that selu tends to far below 0; then all are scaled
    and shifted.
    """
    return _alpha("alpha_dropout", input, p, training, inplace, tuple(input.shape))


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """:func:`alpha_dropout` of whole channels: input has shape (N, C, ...)."""
    shape = tuple(np.shape(input))
    if len(shape) < 2 and _on("feature_alpha_dropout", training, _probability("feature_alpha_dropout", p)):
        raise ShapeError(f"feature_alpha_dropout: input has shape {shape}, expected at least 2 dimensions")
    return _alpha("feature_alpha_dropout", input, p, training, inplace, shape[:2] + (1,) * (len(shape) - 2))


def _alpha(op: str, input: Any, p: Any, training: Any, inplace: Any, drawn: tuple[int, ...]) -> Any:
    p = _probability(op, p)
    ones = _ones(drawn, input)
    floor = -1.7580993408473766  # selu far below 0

    def function(x: Any) -> Any:
        if not _on(op, training, p):
            return x
        if p == 1:
            return ops.multiply(x, 0.0)
        scale = 1 / math.sqrt((1 - p) * (1 + p * floor * floor))
        kept = ops.greater(ops.dropout(ones, p), 0.0)
        return ops.add(ops.multiply(ops.where(kept, x, floor), scale), -floor * p * scale)

    return _done(op, input, inplace, function)


def _probability(op: str, p: Any) -> float:
    value = number(op, "p", p)
    if not 0 <= value <= 1:
        raise ArgumentError(f"{op}: p is {p}, expected a probability from 0 to 1")
    return value


def _on(op: str, training: Any, p: float) -> bool:
    return flag(op, "training", training) and p > 0


def _ones(shape: tuple[int, ...], like: Any) -> Any:
    from einkorn import engines
    from einkorn.ops._road import unwrap

    array = unwrap(like, "dropout", "input")
    k = engines.of(array)
    out = k.empty(shape, array.dtype)
    k.fill(out, 1.0)
    return out
