"""One step of a recurrent layer, with Keras' weights, gates and options."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.keras import activations
from einkorn.keras._base import Layer, initial
from einkorn.keras._rules import give_rule, turned
from einkorn.keras._variables import Place
from einkorn.keras.layers._weighted import rules_of
from einkorn.nn import functional
from einkorn.nn.parameter import Parameter

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]


class _Cell(Layer):
    """Kernels [gates * units, inputs] and [gates * units, units], in the kernels' order of gates.

    ``standard`` says that the kernels for whole sequences compute what the options ask for.
    """

    _gates: ClassVar[int]
    _order: ClassVar[tuple[int, ...]]  # where the gates here stand among Keras'
    _integers = False
    standard = False

    def __init__(
        self, units: int, use_bias: bool, rules: dict[str, Any], dropout: float, recurrent_dropout: float,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        owner = type(self).__name__
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ArgumentError(f"{owner}: units is {units!r}, expected an integer >= 1")
        self.units, self.use_bias = int(units), use_bias
        self.rules = rules_of(owner, **rules)
        self.dropout = min(1.0, max(0.0, float(dropout)))
        self.recurrent_dropout = min(1.0, max(0.0, float(recurrent_dropout)))
        self.input_noise: Any = None
        self.state_noise: Any = None

    @property
    def state_size(self) -> Any:
        """How long the states are."""
        return self.units

    @property
    def output_size(self) -> int:
        """How long the output is."""
        return self.units

    def build(self, input_shape: tuple[int, ...]) -> None:
        wide = self._gates * self.units
        for name, part, shape in (
            ("kernel", "kernel", (input_shape[-1], wide)),
            ("recurrent_kernel", "recurrent", (self.units, wide)),
        ):
            values = initial(self.rules[f"{part}_initializer"], shape)
            setattr(self, name, Parameter(np.ascontiguousarray(self._here(values).T)))
            self._rule(name, part)
        self.bias = None
        if self.use_bias:
            self.bias = Parameter(np.ascontiguousarray(self._here(self._first_bias(wide))))
            self._rule("bias", "bias")
        self.built = True

    def _first_bias(self, wide: int) -> np.ndarray:
        return initial(self.rules["bias_initializer"], (wide,))

    def _rule(self, name: str, part: str) -> None:
        for kind in ("regularizer", "constraint"):
            turn, back = (self._there, self._here) if part == "bias" else (self._turn, self._back)
            give_rule(self, kind, name, turned(self.rules[f"{part}_{kind}"], turn, back))

    def _here(self, array: np.ndarray) -> np.ndarray:
        """Keras' order of gates, along the last axis, as it is here."""
        blocks = np.split(array, self._gates, -1)
        return np.concatenate([blocks[i] for i in self._order], -1)

    def _there(self, array: np.ndarray) -> np.ndarray:
        blocks = np.split(array, self._gates, -1)
        return np.concatenate([blocks[self._order.index(i)] for i in range(self._gates)], -1)

    def _turn(self, array: np.ndarray) -> np.ndarray:
        return self._there(array.T)

    def _back(self, array: np.ndarray) -> np.ndarray:
        return self._here(array).T

    def _keras_places(self) -> list[Place] | None:
        if not self.built:
            return []
        return [
            Place("kernel", self, "kernel", self._turn, self._back),
            Place("recurrent_kernel", self, "recurrent_kernel", self._turn, self._back),
            Place("bias", self, "bias", self._there, self._here),
        ]

    def begin_sequence(self, x: Any, training: bool) -> None:
        """Draw what is left out in all steps of a sequence."""
        kind = x._data.dtype if hasattr(x, "backward") else x.dtype

        def draw(rate: float, size: int) -> Any:
            return (
                functional.dropout(np.ones((x.shape[0], size), kind), rate, True)
                if training and rate
                else None
            )

        self.input_noise = draw(self.dropout, x.shape[-1])
        self.state_noise = draw(self.recurrent_dropout, self.units)

    def _noisy(self, x: Any, h: Any) -> tuple[Any, Any]:
        if self.training:
            x = x if self.input_noise is None else ops.multiply(x, self.input_noise)
            h = h if self.state_noise is None else ops.multiply(h, self.state_noise)
        return x, h


_RULES = (
    "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
    "bias_constraint",
)  # fmt: skip


class LSTMCell(_Cell):
    """One step of :class:`LSTM`, of which it has the arguments; states are h and c."""

    _gates = 4
    _order = (0, 1, 2, 3)

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        given = (
            kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint,
        )  # fmt: skip
        super().__init__(
            units, use_bias, dict(zip(_RULES, given, strict=True)), dropout, recurrent_dropout, **options
        )
        self.activation = activations.get(activation, owner="LSTM")
        self.recurrent_activation = activations.get(recurrent_activation, owner="LSTM")
        self.unit_forget_bias = unit_forget_bias
        self.standard = (
            self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        )

    @property
    def state_size(self) -> Any:
        """How long h and c are."""
        return [self.units, self.units]

    def _first_bias(self, wide: int) -> np.ndarray:
        bias = super()._first_bias(wide)
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1  # the forget gate begins open
        return bias

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        x, h = self._noisy(x, h)
        gates = ops.add(ops.linear(x, self.kernel, self.bias), ops.linear(h, self.recurrent_kernel))
        i, f, g, o = (gates[:, k * self.units : (k + 1) * self.units] for k in range(4))
        inside, act = self.recurrent_activation, self.activation
        c = ops.add(ops.multiply(inside(f), c), ops.multiply(inside(i), act(g)))
        h = ops.multiply(inside(o), act(c))
        return h, [h, c]


class GRUCell(_Cell):
    """One step of :class:`GRU`, of which it has the arguments."""

    _gates = 3
    _order = (1, 0, 2)  # r, z, n of Keras' z, r, h

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        reset_after: bool = True, seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        given = (
            kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint,
        )  # fmt: skip
        super().__init__(
            units, use_bias, dict(zip(_RULES, given, strict=True)), dropout, recurrent_dropout, **options
        )
        self.activation = activations.get(activation, owner="GRU")
        self.recurrent_activation = activations.get(recurrent_activation, owner="GRU")
        self.reset_after = reset_after
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        self.standard = usual and reset_after

    def _first_bias(self, wide: int) -> np.ndarray:
        return initial(self.rules["bias_initializer"], (2, wide) if self.reset_after else (wide,))

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        before = states[0] if isinstance(states, (list, tuple)) else states
        x, h = self._noisy(x, before)
        n, inside = self.units, self.recurrent_activation
        bias: tuple[Any, Any] = (None, None)
        if self.bias is not None:
            bias = (self.bias[0], self.bias[1]) if self.reset_after else (self.bias, None)
        from_x = ops.linear(x, self.kernel, bias[0])
        if self.reset_after:
            from_h = ops.linear(h, self.recurrent_kernel, bias[1])
            r = inside(ops.add(from_x[:, :n], from_h[:, :n]))
            z = inside(ops.add(from_x[:, n : 2 * n], from_h[:, n : 2 * n]))
            new = ops.add(from_x[:, 2 * n :], ops.multiply(r, from_h[:, 2 * n :]))
        else:
            from_h = ops.linear(h, self.recurrent_kernel[: 2 * n])
            r = inside(ops.add(from_x[:, :n], from_h[:, :n]))
            z = inside(ops.add(from_x[:, n : 2 * n], from_h[:, n:]))
            new = ops.add(from_x[:, 2 * n :], ops.linear(ops.multiply(r, h), self.recurrent_kernel[2 * n :]))
        new = self.activation(new)
        h = ops.add(ops.multiply(z, before), ops.multiply(ops.subtract(1.0, z), new))
        return h, [h]


class SimpleRNNCell(_Cell):
    """One step of :class:`SimpleRNN`, of which it has the arguments."""

    _gates = 1
    _order = (0,)

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        given = (
            kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint,
        )  # fmt: skip
        super().__init__(
            units, use_bias, dict(zip(_RULES, given, strict=True)), dropout, recurrent_dropout, **options
        )
        self.activation = activations.get(activation, owner="SimpleRNN")
        known = {activations.tanh: "tanh", activations.relu: "relu"}
        self.nonlinearity = known.get(self.activation)
        self.standard = self.nonlinearity is not None

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        before = states[0] if isinstance(states, (list, tuple)) else states
        x, h = self._noisy(x, before)
        out = self.activation(
            ops.add(ops.linear(x, self.kernel, self.bias), ops.linear(h, self.recurrent_kernel))
        )
        return out, [out]


class StackedRNNCells(Layer):
    """Cells one above the other, as one cell.

    Parameters
    ----------
    cells : list of cells
    """

    def __init__(self, cells: Any, **options: Any) -> None:
        super().__init__(**options)
        self.cells = list(cells)

    @property
    def state_size(self) -> Any:
        """How long the states of all cells are."""
        sizes: list[int] = []
        for cell in self.cells:
            own = cell.state_size
            sizes += list(own) if isinstance(own, (list, tuple)) else [own]
        return sizes

    def build(self, input_shape: tuple[int, ...]) -> None:
        for cell in self.cells:
            if not cell.built:
                cell.build(input_shape)
                cell._end_of_build()
            own = cell.state_size
            input_shape = (input_shape[0], own[0] if isinstance(own, (list, tuple)) else own)

    def begin_sequence(self, x: Any, training: bool) -> None:
        """Draw what is left out of the first cell's input in all steps, and of all states."""
        for cell in self.cells:
            if hasattr(cell, "begin_sequence"):
                cell.begin_sequence(x, training)
                x = np.zeros((x.shape[0], cell.units), np.float32)

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        rest, after = list(states), []
        for cell in self.cells:
            own = cell.state_size
            count = len(own) if isinstance(own, (list, tuple)) else 1
            x, new = cell(x, rest[:count])
            rest = rest[count:]
            after += list(new) if isinstance(new, (list, tuple)) else [new]
        return x, after
