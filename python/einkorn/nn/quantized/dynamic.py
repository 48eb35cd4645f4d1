"""Layers that round their input when they are called (dynamic quantisation), for inference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from einkorn import _versions, engines
from einkorn._grad_mode import mode
from einkorn.errors import ArgumentError, DTypeError, GradientError, NonFiniteError, ShapeError
from einkorn.nn import linear
from einkorn.nn._check import integer
from einkorn.nn.module import Module
from einkorn.ops._road import contiguous, needs, result, unwrap

__all__ = ["Linear"]

_MOST_FEATURES = 65536
_NAME = "quantized.dynamic.Linear"


class Linear(Module):
    """y = activation(x W^T + b) with weights of eight bits, for inference alone.

    Each row of W is stored as whole numbers from -127 to 127 and one scale. Each row of x is rounded to 256
    equal steps between its least and its largest value (and 0, which stays exact) when the layer is called;
    products and sums of the two are exact, and are scaled back to float32. torch rounds the whole input with
    one scale, and as a rule the whole weight: a scale for each row loses less.

    Parameters
    ----------
    in_features : int
        At most 65536, so that no sum overflows 32 bits.
    out_features : int
    bias : bool, default True
    activation : "relu", "leaky_relu", "sigmoid", "tanh" or None, keyword-only, default None
        Fused into the kernel.

    Attributes
    ----------
    weight : array [out_features, in_features], int8
    weight_scale : array [out_features], float32
        W is ``weight_scale[:, None] * weight``.
    bias : array [out_features], float32, or None
        All three are buffers: they are in the ``state_dict``, and no optimizer finds them.

    Notes
    -----
    Input [..., in_features], float32; output [..., out_features]. A row of x that holds NaN or infinity gives
    a row of NaN. Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, section 2.

    Raises
    ------
    GradientError
        When called with an input that requires a gradient, outside ``einkorn.no_grad()``.
    """

    weight: NDArray[np.int8]
    _keeps_types = True
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.float32] | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, activation: str | None = None
    ) -> None:
        super().__init__()
        self._code = engines.activation_code(activation, _NAME)
        self.in_features = integer(in_features, _NAME, "in_features", 0)
        self.out_features = integer(out_features, _NAME, "out_features", 0)
        if self.in_features > _MOST_FEATURES:
            raise ArgumentError(
                f"{_NAME}: in_features is {self.in_features}, expected at most {_MOST_FEATURES},"
                " beyond which sums of 32 bits overflow"
            )
        self.activation = activation
        shape = self.out_features, self.in_features
        self.register_buffer("weight", np.zeros(shape, np.int8))
        self.register_buffer("weight_scale", np.ones(self.out_features, np.float32))
        self.register_buffer("bias", np.zeros(self.out_features, np.float32) if bias else None)
        self._sums: Any = None
        self._summed = -2  # the number of the write after which _sums were made

    @classmethod
    def from_float(cls, mod: linear.Linear) -> Linear:
        """Round the weights of an :class:`einkorn.nn.Linear`, which is left as it is.

        Raises
        ------
        ArgumentError
            If ``mod`` is no Linear.
        DTypeError
            If its weights are not float32.
        NonFiniteError
            If they are not all finite.
        """
        if type(mod) is not linear.Linear:
            raise ArgumentError(f"{_NAME}.from_float: mod is {type(mod).__name__}, expected nn.Linear")
        made = cls(mod.in_features, mod.out_features, mod.bias is not None, activation=mod.activation)
        weight = contiguous(mod.weight._data)
        if weight.dtype != np.float32:
            raise DTypeError(f"{_NAME}.from_float: weight has dtype {weight.dtype}, expected float32")
        engines.of(weight).quantize_rows_s8(made.weight, made.weight_scale, weight)
        if np.isnan(made.weight_scale).any():
            raise NonFiniteError(f"{_NAME}.from_float: weight holds NaN or infinity")
        if mod.bias is not None:
            assert made.bias is not None
            made.bias[...] = mod.bias._data
        made.train(mod.training)
        return made

    def _sums_of(self, k: Any) -> Any:
        """The sum of each row of weights, made anew after writes: load_state_dict is one."""
        if self._summed != _versions.latest or self._sums.size != self.out_features:
            sums = k.empty((1, self.out_features), np.float32)  # of at most 2 ** 23: exact
            unit, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
            units, zeros = np.ones(self.out_features, np.float32), np.zeros(self.out_features, np.int32)
            row = np.ones((1, self.in_features), np.uint8)
            k.matmul_int8(sums, row, unit, zero, self.weight, units, zeros, None, 0)
            self._sums, self._summed = sums.reshape(-1).astype(np.int32), _versions.latest
        return self._sums

    def forward(self, x: Any) -> Any:
        a = unwrap(x, _NAME, "x")
        if needs(x) and mode.enabled:
            raise GradientError(
                f"{_NAME}: x requires a gradient, and whole numbers have none: call this layer under"
                " no_grad(), and train the layer it was made from"
            )
        if a.dtype != np.float32:
            raise DTypeError(f"{_NAME}: x has dtype {a.dtype}, expected float32")
        if a.ndim < 1 or a.shape[-1] != self.in_features:
            raise ShapeError(f"{_NAME}: x has shape {a.shape}, expected (*, {self.in_features})")
        k = engines.of(a)
        lead = a.shape[:-1]
        m = math.prod(lead)
        rows = contiguous(a).reshape(m, self.in_features)
        q, scale, zero = k.empty(rows.shape, np.uint8), k.empty((m,), np.float32), k.empty((m,), np.int32)
        k.quantize_rows_u8(q, scale, zero, rows)
        out = k.empty((m, self.out_features), np.float32)
        sums = self._sums_of(k)
        k.matmul_int8(out, q, scale, zero, self.weight, self.weight_scale, sums, self.bias, self._code)
        return result(out.reshape(*lead, self.out_features), (x,), _no_gradient)

    def extra_repr(self) -> str:
        text = f"in_features={self.in_features}, out_features={self.out_features}, dtype=int8"
        text += f", bias={self.bias is not None}"
        return text if self.activation is None else f"{text}, activation={self.activation!r}"


def _no_gradient(g: Any) -> tuple[None]:
    return (None,)
