"""Derivatives of the activations of activation.py as formulas of operations.

A first backward pass takes the gradient kernel of an activation. What differentiates that pass gets the
same slope from here, written with operations and thus differentiable again. Piecewise slopes choose by
masks, which are plain arrays: between the kinks they do not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn import ops

__all__ = ["slope"]


def slope(kernel: str, s: Any, *numbers: float) -> Any:
    """The factor that the gradient kernel of this name puts on g, from what was saved, a Tensor."""
    return _SLOPES[kernel](s, *numbers)


def _mask(condition: Any, like: Any) -> Any:
    return condition.astype(like.dtype)


def _mish(s: Any) -> Any:
    t = ops.tanh(ops.softplus(s))
    return t + s * ops.sigmoid(s) * (1.0 - t * t)


def _bent(s: Any, low: Any, high: Any) -> Any:
    """``low`` where s <= 0, else ``high``."""
    return ops.where(s._data <= 0, low, high)


def _selu(s: Any, alpha: float, beta: float) -> Any:
    return _bent(s, ops.exp(ops.clip(s, max=0.0)) * alpha, beta)


def _celu(s: Any, alpha: float, _: float) -> Any:
    below = s._data / alpha <= 0
    return _bent(s, ops.exp(ops.where(below, s, 0.0) / alpha), 1.0)


def _hardswish(s: Any, *_: float) -> Any:
    inside = (s._data > -3) & (s._data < 3)
    return ops.where(inside, s / 3.0 + 0.5, _mask(s._data >= 3, s._data))


def _softsign(s: Any, *_: float) -> Any:
    return ops.reciprocal(ops.square(ops.absolute(s) + 1.0))


def _hardtanh(s: Any, low: float, high: float) -> Any:
    x = s._data
    return _mask(~((x <= low) | (x >= high)), x)


def _hardshrink(s: Any, bound: float, _: float) -> Any:
    x = s._data
    return _mask(~((x >= -bound) & (x <= bound)), x)


_SLOPES: dict[str, Callable[..., Any]] = {
    "selu_grad": _selu,
    "celu_grad": _celu,
    "mish_grad": lambda s, *_: _mish(s),
    "hardswish_grad": _hardswish,
    "hardsigmoid_grad": lambda s, *_: _mask((s._data > -3) & (s._data < 3), s._data) / 6,
    "hardtanh_grad": _hardtanh,
    "hardshrink_grad": _hardshrink,
    "tanhshrink_grad": lambda s, *_: ops.square(ops.tanh(s)),
    "log_sigmoid_grad": lambda s, *_: ops.sigmoid(-s),
    "softsign_grad": _softsign,
    "threshold_grad": lambda s, threshold, _: _mask(~(s._data <= threshold), s._data),
}
