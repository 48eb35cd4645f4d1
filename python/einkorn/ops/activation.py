"""Activations beyond those of :mod:`einkorn.ops.elementwise`, with torch's names and arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import beside
from einkorn._spelling import either_spelling
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._elementwise import _grad, _unary
from einkorn.ops._options import axis_of, flag, number
from einkorn.ops._road import unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops._slopes import slope
from einkorn.ops.copy import getitem
from einkorn.ops.elementwise import leaky_relu, multiply, negative, sigmoid, where
from einkorn.ops.random import uniform
from einkorn.ops.softmax import softmax

__all__ = [
    "celu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "logsigmoid",
    "mish",
    "relu6",
    "rrelu",
    "selu",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]

#: Fixed point of mean 0 and variance 1 (Klambauer et al. 2017, equation 14).
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _activation(
    name: str, kernel: str, x: Any, alpha: float = 0.0, beta: float = 0.0, gradient: str = ""
) -> Any:
    backward = gradient or kernel + "_grad"

    def gradient_of(g: Any, a: Any) -> Any:
        if isinstance(g, Tensor):
            return multiply(g, slope(backward, a, alpha, beta))
        return _grad(backward, g, a, alpha, beta)

    return _unary(kernel, x, gradient_of, alpha, beta, saves="x", op=name)


def selu(x: Any) -> Any:
    """``scale * x`` where x > 0, else ``scale * alpha * (exp(x) - 1)`` (Klambauer et al. 2017).

    Parameters
    ----------
    x : array or Tensor
    """
    return _activation("selu", "selu", x, _SELU_ALPHA * _SELU_SCALE, _SELU_SCALE)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` where x > 0, else ``alpha * (exp(x / alpha) - 1)`` (Barron 2017).

    Parameters
    ----------
    x : array or Tensor
    alpha : float, default 1.0
        Not 0.
    """
    alpha = number("celu", "alpha", alpha)
    if alpha == 0:
        raise ArgumentError("celu: alpha is 0, expected another number")
    return _activation("celu", "celu", x, alpha)


def mish(x: Any) -> Any:
    """``x * tanh(log(1 + exp(x)))`` (Misra 2019)."""
    return _activation("mish", "mish", x)


def hardswish(x: Any) -> Any:
    """``x * min(max(x + 3, 0), 6) / 6`` (Howard et al. 2019)."""
    return _activation("hardswish", "hardswish", x)


def hardsigmoid(x: Any) -> Any:
    """``min(max(x + 3, 0), 6) / 6``."""
    return _activation("hardsigmoid", "hardsigmoid", x)


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Limit x to ``[min_val, max_val]``; the gradient is 0 at and beyond the limits.

    Parameters
    ----------
    x : array or Tensor
    min_val, max_val : float, default -1.0 and 1.0
        ``min_val`` is not above ``max_val``.
    """
    low, high = number("hardtanh", "min_val", min_val), number("hardtanh", "max_val", max_val)
    if not low <= high:
        raise ArgumentError(
            f"hardtanh: min_val is {min_val} and max_val {max_val}, expected min_val <= max_val"
        )
    return _activation("hardtanh", "hardtanh", x, low, high)


def relu6(x: Any) -> Any:
    """``min(max(x, 0), 6)``."""
    return _activation("relu6", "hardtanh", x, 0.0, 6.0)


def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """0 where ``|x| <= lambd``, else x.

    Parameters
    ----------
    x : array or Tensor
    lambd : float, default 0.5
    """
    return _activation("hardshrink", "hardshrink", x, number("hardshrink", "lambd", lambd))


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """0 where ``|x| <= lambd``, else x moved towards 0 by ``lambd``.

    Parameters
    ----------
    x : array or Tensor
    lambd : float, default 0.5
        At least 0.
    """
    bound = number("softshrink", "lambd", lambd)
    if not bound >= 0:
        raise ArgumentError(f"softshrink: lambd is {lambd}, expected at least 0")
    return _activation("softshrink", "softshrink", x, bound, 0.0, "hardshrink_grad")


def tanhshrink(x: Any) -> Any:
    """``x - tanh(x)``, exact near 0 too."""
    return _activation("tanhshrink", "tanhshrink", x)


def logsigmoid(x: Any) -> Any:
    """``log(1 / (1 + exp(-x)))``, without overflow."""
    return _activation("logsigmoid", "log_sigmoid", x)


def softsign(x: Any) -> Any:
    """``x / (1 + |x|)``."""
    return _activation("softsign", "softsign", x)


def threshold(x: Any, threshold: float, value: float) -> Any:
    """``x`` where x > threshold, else ``value``.

    Parameters
    ----------
    x : array or Tensor
    threshold, value : float
    """
    bound = number("threshold", "threshold", threshold)
    return _activation("threshold", "threshold", x, bound, number("threshold", "value", value))


@either_spelling
@rounded_once
def glu(x: Any, dim: int = -1) -> Any:
    """The first half of x along ``dim`` times the sigmoid of the second (Dauphin et al. 2017).

    Parameters
    ----------
    x : array or Tensor
        With an even size along ``dim``, which the result has half of.
    dim : int, default -1

    Raises
    ------
    ShapeError
        If the size is odd, or x is a scalar.
    """
    a = unwrap(x, "glu", "x")
    if a.ndim == 0:
        raise ShapeError("glu: x is a scalar, expected at least 1 dimension")
    at = axis_of("glu", dim, a.ndim, "dim")
    size = a.shape[at]
    if size % 2:
        raise ShapeError(f"glu: x has shape {a.shape}, expected an even size along dim {dim}")
    before = (slice(None),) * at
    left, right = (getitem(x, (*before, part)) for part in (slice(0, size // 2), slice(size // 2, size)))
    return multiply(left, sigmoid(right))


@either_spelling
@rounded_once
def softmin(x: Any, dim: int = -1) -> Any:
    """``softmax(-x)`` along ``dim``."""
    return softmax(negative(x), dim)


def rrelu(x: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """Leaky ReLU whose slope is drawn for each element below 0 (Xu et al. 2015).

    Parameters
    ----------
    x : array or Tensor
    lower, upper : float, default 1/8 and 1/3
        Slopes are drawn evenly from here; when not training the slope is the mean of both.
    training : bool, default False
    """
    low, high = number("rrelu", "lower", lower), number("rrelu", "upper", upper)
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ArgumentError(f"rrelu: lower is {lower} and upper {upper}, expected finite lower <= upper")
    if not flag("rrelu", "training", training):
        return leaky_relu(x, (low + high) / 2)
    a = unwrap(x, "rrelu", "x")
    k = engines.of(a)
    drawn = beside(a, uniform(a.shape, low=low, high=high, dtype=a.dtype))
    above = k.empty(a.shape, a.dtype)
    k.step(above, a)
    return multiply(x, where(above, 1.0, drawn))
