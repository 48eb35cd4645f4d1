"""Long short-term memory whose products are convolutions, for series of lines, images and volumes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.keras import activations
from einkorn.keras._base import Layer, initial
from einkorn.keras.layers._sides import is_first, padding_of, sides
from einkorn.keras.layers._weighted import rules_of
from einkorn.keras.layers.rnn import RNN
from einkorn.keras.ops._layers import conv
from einkorn.nn import functional

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]


class _ConvLSTMCell(Layer):
    """One step: gates of a convolution of the input and one of the state, in Keras' order i, f, c, o."""

    _integers = False

    def __init__(
        self, rank: int, filters: int, kernel_size: Any, strides: Any, padding: str, data_format: Any,
        dilation_rate: Any, activation: Any, recurrent_activation: Any, use_bias: bool, rules: dict[str, Any],
        unit_forget_bias: bool, dropout: float, recurrent_dropout: float, owner: str, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(name="conv_lstm_cell", **options)
        if isinstance(filters, bool) or not isinstance(filters, (int, np.integer)) or filters < 1:
            raise ArgumentError(f"{owner}: filters is {filters!r}, expected an integer >= 1")
        self.filters, self.use_bias, self.unit_forget_bias = int(filters), use_bias, unit_forget_bias
        self.kernel_size = sides(kernel_size, rank, owner, "kernel_size")
        self.strides = sides(strides, rank, owner, "strides")
        self.dilation_rate = sides(dilation_rate, rank, owner, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{owner}: strides and dilation_rate are above 1, expected one of them to be 1"
            )
        self.padding = padding_of(padding, owner)
        self.first = is_first(data_format, owner)
        self.activation = activations.get(activation, owner=owner)
        self.recurrent_activation = activations.get(recurrent_activation, owner=owner)
        self.rules = rules_of(owner, **rules)
        self.dropout = min(1.0, max(0.0, float(dropout)))
        self.recurrent_dropout = min(1.0, max(0.0, float(recurrent_dropout)))
        self.noises: Any = (None, None)

    @property
    def state_size(self) -> list[int]:
        """How many channels h and c have."""
        return [self.filters, self.filters]

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = input_shape[1 if self.first else -1]
        for name, part, depth in (
            ("kernel", "kernel", channels), ("recurrent_kernel", "recurrent", self.filters)
        ):  # fmt: skip
            weight = self.add_weight(
                (*self.kernel_size, depth, 4 * self.filters), self.rules[f"{part}_initializer"],
                regularizer=self.rules[f"{part}_regularizer"], constraint=self.rules[f"{part}_constraint"],
                name=name,
            )  # fmt: skip
            setattr(self, name, weight)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (4 * self.filters,), self._first_bias, regularizer=self.rules["bias_regularizer"],
                constraint=self.rules["bias_constraint"], name="bias",
            )  # fmt: skip

    def _first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        bias = initial(self.rules["bias_initializer"], shape)
        if self.unit_forget_bias:
            bias[self.filters : 2 * self.filters] = 1  # the forget gate begins open
        return bias

    def _order(self) -> str:
        return "channels_first" if self.first else "channels_last"

    def _from_input(self, x: Any) -> Any:
        return conv(x, self.kernel, self.strides, self.padding, self._order(), self.dilation_rate)

    def begin(self, x: Any, training: bool) -> list[Any]:
        """States of zeros for a step, and what is left out in all steps."""
        out = self._from_input(x._data[:1] if isinstance(x, Tensor) else x[:1])
        shape = list(out.shape)
        shape[0], shape[1 if self.first else -1] = x.shape[0], self.filters
        kind = self.kernel._data.dtype

        def draw(rate: float, of: Any) -> Any:
            return functional.dropout(np.ones(of, kind), rate, True) if training and rate else None

        self.noises = draw(self.dropout, tuple(x.shape)), draw(self.recurrent_dropout, tuple(shape))
        return [np.zeros(shape, kind), np.zeros(shape, kind)]

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        for_x, for_h = self.noises if training else (None, None)
        x = x if for_x is None else ops.multiply(x, for_x)
        seen = h if for_h is None else ops.multiply(h, for_h)
        gates = ops.add(self._from_input(x), conv(seen, self.recurrent_kernel, 1, "same", self._order()))
        axis = 1 if self.first else len(gates.shape) - 1
        if self.bias is not None:
            gates = ops.add(
                gates, self.bias.reshape(-1, *[1] * (len(gates.shape) - 2)) if self.first else self.bias
            )
        n, before = self.filters, (slice(None),) * axis
        parts = [(*before, slice(k * n, (k + 1) * n)) for k in range(4)]
        i, f, g, o = (gates[part] for part in parts)
        inside, act = self.recurrent_activation, self.activation
        c = ops.add(ops.multiply(inside(f), c), ops.multiply(inside(i), act(g)))
        h = ops.multiply(inside(o), act(c))
        return h, [h, c]


class _ConvLSTM(RNN):
    _rank: ClassVar[int]

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: Any = 1, activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None,
        return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
        stateful: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        rules = {
            "kernel_initializer": kernel_initializer, "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer, "kernel_regularizer": kernel_regularizer,
            "recurrent_regularizer": recurrent_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "recurrent_constraint": recurrent_constraint,
            "bias_constraint": bias_constraint,
        }  # fmt: skip
        cell = _ConvLSTMCell(
            self._rank, filters, kernel_size, strides, padding, data_format, dilation_rate, activation,
            recurrent_activation, use_bias, rules, unit_forget_bias, dropout, recurrent_dropout,
            type(self).__name__, dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.filters = cell.filters
        self.kernel_size, self.strides, self.dilation_rate = (
            cell.kernel_size,
            cell.strides,
            cell.dilation_rate,
        )

    def _axes(self) -> int:
        return self._rank + 3

    def _zeros(self, x: Any) -> list[Any]:
        states: list[Any] = self.cell.begin(x[:, 0], self.training)
        return states


class ConvLSTM2D(_ConvLSTM):
    """Long short-term memory over images (Shi et al. 2015): [rows, steps, height, width, channels].

    Parameters
    ----------
    filters : int
    kernel_size : int or two
    strides : int or two, default 1
        Of the convolution of the input; that of the state has 1.
    padding : "valid" or "same", default "valid"
        Likewise; that of the state has "same".
    data_format : "channels_last" or "channels_first", optional
    dilation_rate : int or two, default 1
    activation, recurrent_activation, ... : as :class:`LSTM`
    """

    _rank = 2


class ConvLSTM1D(_ConvLSTM):
    """The same over lines, [rows, steps, length, channels]; arguments as :class:`ConvLSTM2D`."""

    _rank = 1


class ConvLSTM3D(_ConvLSTM):
    """Long short-term memory over volumes; arguments as :class:`ConvLSTM2D`."""

    _rank = 3
