"""Fully connected layers: of one input, and of two."""

from __future__ import annotations

import math
from typing import Any

from einkorn.engines import activation_code
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn._keras_options import take_options
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.ops.einsum import bilinear
from einkorn.ops.matmul import linear

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """Returns its input; arguments are accepted and ignored, as in torch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = activation(x W^T + b).

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True
        Whether b is learned; without it b is 0.
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel: it costs no further pass over memory.
    kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint : str or object, optional
        Keyword-only. Of ``einkorn.nn.regularizers`` and ``constraints``, by name or made, for ``fit``.
    kernel_initializer, bias_initializer : str or object, keyword-only, optional
        Of ``einkorn.nn.initializers``.

    Attributes
    ----------
    weight : Parameter [out_features, in_features]
    bias : Parameter [out_features] or None
        Both start uniform on +-1/sqrt(in_features), as torch's do.

    Notes
    -----
    Input [..., in_features], output [..., out_features].
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        activation_code(activation, "Linear")
        self.in_features = integer(in_features, "Linear", "in_features", 0)
        self.out_features = integer(out_features, "Linear", "out_features", 0)
        self.activation = activation
        self.weight = blank(self.out_features, self.in_features)
        self.bias = blank(self.out_features) if bias else None
        self.reset_parameters()
        if options:
            take_options(self, options, {"kernel": "weight", "bias": "bias"})
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(max(1, self.in_features))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        return linear(input, self.weight, self.bias, activation=self.activation)

    def extra_repr(self) -> str:
        text = f"in_features={self.in_features}, out_features={self.out_features}"
        text += f", bias={self.bias is not None}"
        return text if self.activation is None else f"{text}, activation={self.activation!r}"


class Bilinear(Module):
    """y = x1^T W x2 + b.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
    bias : bool, default True
        Whether b is learned; without it b is 0.

    Attributes
    ----------
    weight : Parameter [out_features, in1_features, in2_features]
    bias : Parameter [out_features] or None
        Both start uniform on +-1/sqrt(in1_features), as torch's do.

    Notes
    -----
    Inputs [..., in1_features] and [..., in2_features], output [..., out_features].
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = integer(in1_features, "Bilinear", "in1_features", 1)
        self.in2_features = integer(in2_features, "Bilinear", "in2_features", 0)
        self.out_features = integer(out_features, "Bilinear", "out_features", 0)
        self.weight = blank(self.out_features, self.in1_features, self.in2_features)
        self.bias = blank(self.out_features) if bias else None
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features},"
            f" out_features={self.out_features}, bias={self.bias is not None}"
        )
