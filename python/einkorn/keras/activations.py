"""Keras' activations, as functions of arrays and Tensors, and ``get``, which knows their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._near import finding
from einkorn._objects import made
from einkorn.errors import ArgumentError
from einkorn.keras._serialize import deserialize, serialize
from einkorn.nn import functional

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]  # fmt: skip


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """x above the threshold, ``negative_slope * (x - threshold)`` below it, at most ``max_value``."""
    if negative_slope == 0 and threshold == 0:
        out = functional.relu(x)
    else:
        out = ops.where(x >= threshold, x, ops.multiply(ops.subtract(x, threshold), negative_slope))
    return out if max_value is None else ops.minimum(out, _alike(out, max_value))


def _alike(x: Any, value: float) -> Any:
    return ops.add(ops.multiply(x._data if hasattr(x, "backward") else x, 0.0), value)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return functional.sigmoid(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return functional.tanh(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Shares that sum to 1 along an axis."""
    return functional.softmax(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of softmax."""
    return functional.log_softmax(x, axis)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, or alpha (exp(x) - 1) below 0."""
    return functional.elu(x, alpha)


def selu(x: Any) -> Any:
    """The self-normalizing linear unit."""
    return functional.selu(x)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x, or alpha (exp(x / alpha) - 1) below 0."""
    return functional.celu(x, alpha)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function, or its approximation by tanh."""
    return functional.gelu(x, approximate="tanh" if approximate else "none")


def silu(x: Any) -> Any:
    """x sigmoid(x)."""
    return functional.silu(x)


swish = silu


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x, or ``negative_slope * x`` below 0."""
    return functional.leaky_relu(x, negative_slope)


def relu6(x: Any) -> Any:
    """x between 0 and 6."""
    return functional.relu6(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return functional.softplus(x)


def softsign(x: Any) -> Any:
    """x / (1 + abs(x))."""
    return functional.softsign(x)


def mish(x: Any) -> Any:
    """x tanh(softplus(x))."""
    return functional.mish(x)


def hard_sigmoid(x: Any) -> Any:
    """x / 6 + 0.5 between 0 and 1."""
    return functional.hardsigmoid(x)


def hard_silu(x: Any) -> Any:
    """x hard_sigmoid(x)."""
    return functional.hardswish(x)


hard_swish = hard_silu


def hard_tanh(x: Any) -> Any:
    """x between -1 and 1."""
    return functional.hardtanh(x)


def log_sigmoid(x: Any) -> Any:
    """The logarithm of sigmoid."""
    return functional.logsigmoid(x)


def exponential(x: Any) -> Any:
    """exp(x)."""
    return ops.exp(x)


def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times sigmoid of the second."""
    return functional.glu(x, axis)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x, or 0 where it is no further from 0 than the threshold."""
    return functional.hardshrink(x, threshold)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x nearer to 0 by the threshold, or 0."""
    return functional.softshrink(x, threshold)


def tanh_shrink(x: Any) -> Any:
    """x - tanh(x)."""
    return functional.tanhshrink(x)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """x above the threshold, and elsewhere ``default_value``."""
    return functional.threshold(x, threshold, default_value)


def squareplus(x: Any, b: float = 4) -> Any:
    """(x + sqrt(x^2 + b)) / 2."""
    return ops.multiply(ops.add(x, ops.sqrt(ops.add(ops.square(x), b))), 0.5)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x."""
    inner = ops.clip(ops.add(x, 1.0), 0.0, 2.0)
    return ops.add(ops.multiply(ops.square(inner), 0.25), ops.relu(ops.subtract(x, 1.0)))


def sparse_sigmoid(x: Any) -> Any:
    """0 up to -1, (x + 1) / 2 up to 1, then 1."""
    return ops.clip(ops.multiply(ops.add(x, 1.0), 0.5), 0.0, 1.0)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """The nearest point to x among the shares that sum to 1 (Martins and Astudillo 2016).

    Keras 3's own value is less wherever several shares are above 0, and its shares do not sum to 1.
    """
    scores = np.moveaxis(x._data if hasattr(x, "backward") else np.asarray(x), axis, -1)
    ordered = np.sort(scores, -1)[..., ::-1]
    place = np.arange(1, scores.shape[-1] + 1)
    count = (1 + place * ordered > np.cumsum(ordered, -1)).sum(-1, keepdims=True)
    least = np.take_along_axis(ordered, count - 1, -1)
    kept = np.moveaxis((scores >= least).astype(scores.dtype), -1, axis)
    # The threshold is that at which the kept ones sum to 1: written with operations, it has its gradient.
    number = kept.sum(axis, keepdims=True)
    excess = ops.subtract(ops.sum(ops.multiply(x, kept), axis=axis, keepdims=True), 1.0)
    return ops.relu(ops.subtract(x, ops.multiply(excess, 1.0 / number)))


def linear(x: Any) -> Any:
    """x itself."""
    return x


_NAMES: dict[str, Any] = {
    name: globals()[name] for name in __all__ if name not in ("get", "serialize", "deserialize")
}


def get(identifier: Any, *, owner: str = "activation") -> Any:
    """A function from its name, or itself; None is ``linear``.

    Raises
    ------
    ArgumentError
        There is none of this name, or it is no function.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Mapping):  # what get_config gives
        identifier = made(identifier)
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ArgumentError(
                f"{owner}: activation is {identifier!r}, expected one of {', '.join(sorted(_NAMES))}"
            )
        return _NAMES[identifier]
    if not callable(identifier):
        raise ArgumentError(f"{owner}: activation is {identifier!r}, expected a function or a name")
    return identifier


__getattr__ = finding(__name__, lambda: __all__, {})
