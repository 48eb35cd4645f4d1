"""Activations as layers. ``Linear`` and ``Conv2d`` fuse the cheap ones through ``activation=``."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank

__all__ = [
    "ELU",
    "GELU",
    "LeakyReLU",
    "LogSoftmax",
    "PReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Step",
    "Tanh",
    "by_name",
]


class ReLU(Module):
    """max(x, 0). NaN stays NaN."""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class LeakyReLU(Module):
    """x where positive, else negative_slope * x.

    Parameters
    ----------
    negative_slope : float, default 0.01
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """Leaky ReLU whose slope is learned (He et al. 2015).

    Parameters
    ----------
    num_parameters : int, default 1
        1, or the number of channels, axis 1 of the input.
    init : float, default 0.25
        First value of the slope.
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = integer(num_parameters, "PReLU", "num_parameters")
        self.init = init
        self.weight = blank(self.num_parameters)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slope back to its first value."""
        init.constant_(self.weight, self.init)

    def forward(self, x: Any) -> Any:
        return ops.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """x where positive, else alpha (exp(x) - 1).

    Parameters
    ----------
    alpha : float, default 1.0
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return ops.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)). Its slope is at most 1/4."""

    def forward(self, x: Any) -> Any:
        return ops.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class GELU(Module):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    approximate : "none" or "tanh", default "none"
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate is {approximate!r}, expected 'none' or 'tanh'")
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return ops.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x sigmoid(x), also called swish."""

    def forward(self, x: Any) -> Any:
        return ops.silu(x)


class Softplus(Module):
    """log(1 + exp(x))."""

    def forward(self, x: Any) -> Any:
        return ops.softplus(x)


class Step(Module):
    """1 where x >= 0, else 0: the classic perceptron's activation. Its gradient is 0."""

    def forward(self, x: Any) -> Any:
        return ops.step(x)


class Softmax(Module):
    """exp(x) divided by its sum along an axis.

    Parameters
    ----------
    dim : int, default -1
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of softmax along an axis.

    Parameters
    ----------
    dim : int, default -1
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return ops.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


_BY_NAME: dict[str, type[Module]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "elu": ELU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
    "step": Step,
}


def by_name(name: str, op: str) -> Module:
    """A new activation layer from its name, for models whose configuration is text."""
    if name not in _BY_NAME:
        raise ArgumentError(f"{op}: activation is {name!r}, expected one of {', '.join(_BY_NAME)} or None")
    return _BY_NAME[name]()
