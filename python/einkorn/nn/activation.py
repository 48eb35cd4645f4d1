"""Activations as layers. ``Linear`` and ``Conv2d`` fuse the cheap ones through ``activation=``.

Each has torch's arguments. With ``inplace=True`` a layer writes its result into its input's memory.
"""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import _activations as functional
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Step",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "by_name",
]


class _InPlace(Module):
    """A layer whose only option is to write into its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


def _with_inplace(text: str, inplace: bool) -> str:
    return text + ", inplace=True" if inplace else text


class ReLU(_InPlace):
    """max(x, 0). NaN stays NaN."""

    def forward(self, input: Any) -> Any:
        return functional.relu(input, self.inplace)


class ReLU6(_InPlace):
    """min(max(x, 0), 6)."""

    def forward(self, input: Any) -> Any:
        return functional.relu6(input, self.inplace)


class LeakyReLU(Module):
    """x where positive, else negative_slope * x.

    Parameters
    ----------
    negative_slope : float, default 0.01
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"negative_slope={self.negative_slope}", self.inplace)


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

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = integer(num_parameters, "PReLU", "num_parameters")
        self.init = init
        self.weight = blank(self.num_parameters)
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Set the slope back to its first value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Leaky ReLU whose slopes are drawn while training (Xu et al. 2015); see :func:`einkorn.ops.rrelu`.

    Parameters
    ----------
    lower : float, default 1.0 / 8
        The least slope.
    upper : float, default 1.0 / 3
        The largest.
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"lower={self.lower}, upper={self.upper}", self.inplace)


class ELU(Module):
    """x where positive, else alpha (exp(x) - 1).

    Parameters
    ----------
    alpha : float, default 1.0
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"alpha={self.alpha}", self.inplace)


class CELU(Module):
    """x where positive, else alpha (exp(x / alpha) - 1).

    Parameters
    ----------
    alpha : float, default 1.0
        Not 0.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"alpha={self.alpha}", self.inplace)


class SELU(_InPlace):
    """ELU scaled so that mean 0 and variance 1 stay (Klambauer et al. 2017)."""

    def forward(self, input: Any) -> Any:
        return functional.selu(input, self.inplace)


class Sigmoid(Module):
    """1 / (1 + exp(-x)). Its slope is at most 1/4."""

    def forward(self, input: Any) -> Any:
        return ops.sigmoid(input)


class LogSigmoid(Module):
    """The logarithm of sigmoid, without overflow."""

    def forward(self, input: Any) -> Any:
        return ops.logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Any) -> Any:
        return ops.tanh(input)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, input: Any) -> Any:
        return ops.tanhshrink(input)


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

    def forward(self, input: Any) -> Any:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_InPlace):
    """x sigmoid(x), also called swish."""

    def forward(self, input: Any) -> Any:
        return functional.silu(input, self.inplace)


class Mish(_InPlace):
    """x tanh(log(1 + exp(x))) (Misra 2019)."""

    def forward(self, input: Any) -> Any:
        return functional.mish(input, self.inplace)


class Hardswish(_InPlace):
    """x min(max(x + 3, 0), 6) / 6."""

    def forward(self, input: Any) -> Any:
        return functional.hardswish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """min(max(x + 3, 0), 6) / 6."""

    def forward(self, input: Any) -> Any:
        return functional.hardsigmoid(input, self.inplace)


class Hardtanh(Module):
    """x within limits; the gradient is 0 at and beyond them.

    Parameters
    ----------
    min_val, max_val : float, default -1.0 and 1.0
    inplace : bool, default False
    min_value, max_value : float, optional
        Older names of the limits.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if not self.min_val < self.max_val:
            raise ArgumentError(
                f"Hardtanh: min_val is {self.min_val} and max_val {self.max_val}, expected min_val < max_val"
            )

    def forward(self, input: Any) -> Any:
        return functional.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"min_val={self.min_val}, max_val={self.max_val}", self.inplace)


class Hardshrink(Module):
    """0 where abs(x) <= lambd, else x.

    Parameters
    ----------
    lambd : float, default 0.5
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return ops.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """0 where abs(x) <= lambd, else x moved towards 0 by lambd.

    Parameters
    ----------
    lambd : float, default 0.5
        At least 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return ops.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softsign(Module):
    """x / (1 + abs(x))."""

    def forward(self, input: Any) -> Any:
        return ops.softsign(input)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.

    Parameters
    ----------
    beta : float, default 1.0
        Not 0.
    threshold : float, default 20.0
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Threshold(Module):
    """x where x > threshold, else value.

    Parameters
    ----------
    threshold : float
    value : float
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"threshold={self.threshold}, value={self.value}", self.inplace)


class GLU(Module):
    """The first half along an axis times the sigmoid of the second (Dauphin et al. 2017).

    Parameters
    ----------
    dim : int, default -1
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Step(Module):
    """1 where x >= 0, else 0: the classic perceptron's activation. Its gradient is 0."""

    def forward(self, input: Any) -> Any:
        return ops.step(input)


class Softmax(Module):
    """exp(x) divided by its sum along an axis.

    Parameters
    ----------
    dim : int | None, default None
        None: the first axis of inputs with 1 or 3 dimensions, else the second.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """Softmax of -x.

    Parameters
    ----------
    dim : int | None, default None
        None: the first axis of inputs with 1 or 3 dimensions, else the second.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of softmax along an axis.

    Parameters
    ----------
    dim : int | None, default None
        None: the first axis of inputs with 1 or 3 dimensions, else the second.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels at each place of an input (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Any) -> Any:
        if len(input.shape) not in (3, 4):
            raise ShapeError(f"Softmax2d: input has shape {tuple(input.shape)}, expected 3 or 4 dimensions")
        return ops.softmax(input, -3)


_BY_NAME: dict[str, type[Module]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "leaky_relu": LeakyReLU,
    "prelu": PReLU,
    "elu": ELU,
    "celu": CELU,
    "selu": SELU,
    "sigmoid": Sigmoid,
    "logsigmoid": LogSigmoid,
    "tanh": Tanh,
    "gelu": GELU,
    "silu": SiLU,
    "mish": Mish,
    "hardswish": Hardswish,
    "hardsigmoid": Hardsigmoid,
    "hardtanh": Hardtanh,
    "softplus": Softplus,
    "softsign": Softsign,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
    "step": Step,
}


def by_name(name: str, op: str) -> Module:
    """A new activation layer from its name, for models whose configuration is text."""
    if name not in _BY_NAME:
        raise ArgumentError(f"{op}: activation is {name!r}, expected one of {', '.join(_BY_NAME)} or None")
    return _BY_NAME[name]()
