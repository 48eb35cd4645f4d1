"""Recurrent layers: whole sequences in one kernel where the options allow it, else step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._objects import described
from einkorn._tensor import Tensor, as_numpy
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras._base import Layer
from einkorn.keras.layers.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional", "SimpleRNN", "TimeDistributed"]


class RNN(Layer):
    """Runs a cell over the steps of [rows, steps, features].

    Parameters
    ----------
    cell : layer with ``state_size`` and ``call(x, states)``, or a list of them
    return_sequences : bool, default False
        Whether the output of every step is given, or of the last.
    return_state : bool, default False
        Whether the states after the last step are given too.
    go_backwards : bool, default False
        Whether steps are taken from the last to the first; so they come out.
    stateful : bool, default False
        Whether a batch begins with the states that the one before ended with.
    unroll : bool, default False
        Makes no difference here.
    zero_output_for_mask : bool, default False
        Whether outputs of steps that are left out are zeros, or those of the step before.
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, cell: Any, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
        zero_output_for_mask: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.cell: Any = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        if not hasattr(self.cell, "state_size"):
            raise ArgumentError(
                f"{type(self).__name__}: cell is {type(cell).__name__}, which has no state_size"
            )
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful = go_backwards, stateful
        self.zero_output_for_mask = zero_output_for_mask
        self.__dict__["_kept"] = None

    def __call__(self, sequence: Any, initial_state: Any = None, **named: Any) -> Any:
        if initial_state is not None:
            named["initial_state"] = initial_state
        return super().__call__(sequence, **named)

    def build(self, input_shape: tuple[int, ...]) -> None:
        if isinstance(input_shape, list):
            input_shape = input_shape[0]
        self._check_axes(tuple(input_shape))
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
            self.cell._end_of_build()

    def _axes(self) -> int:
        return 3

    def _check_axes(self, shape: tuple[int, ...]) -> None:
        if len(shape) != self._axes():
            wanted = "[rows, steps, features]" if self._axes() == 3 else f"{self._axes()} axes"
            raise ShapeError(f"{type(self).__name__}: x has shape {shape}, expected {wanted}")

    # --- states ---------------------------------------------------------------------------------

    def _sizes(self) -> list[int]:
        size = self.cell.state_size
        return [int(n) for n in size] if isinstance(size, (list, tuple)) else [int(size)]

    def _begin(self, x: Any, initial_state: Any) -> list[Any]:
        if initial_state is not None:
            given = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
            return [self._taken(np.asarray(s) if isinstance(s, list) else s) for s in given]
        if self.stateful and self._kept is not None and len(self._kept[0]) == x.shape[0]:
            return list(self._kept)
        return self._zeros(x)

    def _zeros(self, x: Any) -> list[Any]:
        kind = x._data.dtype if isinstance(x, Tensor) else x.dtype
        return [np.zeros((x.shape[0], size), kind) for size in self._sizes()]

    def reset_state(self) -> None:
        """Forget the states of a ``stateful`` layer."""
        self.__dict__["_kept"] = None

    reset_states = reset_state

    # --- the walk -------------------------------------------------------------------------------

    def call(self, sequence: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        self._check_axes(tuple(sequence.shape))
        if isinstance(mask, list):
            mask = mask[0]
        states = self._begin(sequence, initial_state)
        x = ops.flip(sequence, (1,)) if self.go_backwards else sequence
        if mask is not None:
            mask = mask[:, ::-1] if self.go_backwards else mask
            mask = None if mask.all() else mask
        out, last, states = self._walk(x, states, mask, training)
        if self.stateful:
            self.__dict__["_kept"] = [np.array(as_numpy(s)) for s in states]
        result = out if self.return_sequences else last
        return [result, *states] if self.return_state else result

    def _walk(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, Any, list[Any]]:
        """The outputs of all steps, the last of them, and the states behind it."""
        return self._steps(x, states, mask, training)

    def _steps(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, Any, list[Any]]:
        cell = self.cell
        named = {"training": training} if _takes_training(cell) else {}
        if hasattr(cell, "begin_sequence"):
            cell.begin_sequence(x, training)
        outputs: list[Any] = []
        last: Any = None
        for step in range(x.shape[1]):
            out, after = cell(x[:, step], states, **named)
            after = list(after) if isinstance(after, (list, tuple)) else [after]
            if mask is not None:
                keep = mask[:, step].reshape(-1, *[1] * (len(out.shape) - 1))
                before = ops.multiply(out, 0.0) if last is None or self.zero_output_for_mask else last
                shown = ops.where(keep, out, before)
                last = shown if last is None or not self.zero_output_for_mask else ops.where(keep, out, last)
                after = [ops.where(keep, new, old) for new, old in zip(after, states, strict=True)]
            else:
                shown = last = out
            outputs.append(shown)
            states = after
        if not outputs:
            raise ShapeError(f"{type(self).__name__}: x has no steps, expected one or more")
        return (ops.stack(outputs, 1) if self.return_sequences else None), last, states

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the input, where all steps come out."""
        if isinstance(previous_mask, list):
            previous_mask = previous_mask[0]
        if not self.return_sequences or previous_mask is None:
            return None
        return [previous_mask] if self.return_state else previous_mask


def _takes_training(cell: Any) -> bool:
    code = type(cell).call.__code__
    return "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


class _Cells(RNN):
    """A layer of one of Keras' three cells."""

    def __init__(
        self, cell: Any, return_sequences: bool, return_state: bool, go_backwards: bool, stateful: bool,
        unroll: bool, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(cell, return_sequences, return_state, go_backwards, stateful, unroll, **options)
        self.units = cell.units

    def _walk(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, Any, list[Any]]:
        cell = self.cell
        if mask is not None or not cell.standard or (training and cell.recurrent_dropout):
            return self._steps(x, states, mask, training)
        if training and cell.dropout:
            cell.begin_sequence(x, training)
            x = ops.multiply(x, cell.input_noise[:, None])
        out, states = self._whole(ops.permute(x, (1, 0, 2)), states)
        return (ops.permute(out, (1, 0, 2)) if self.return_sequences else None), states[0], states

    def _whole(self, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        raise TypeError(f"{type(self).__name__} defines no _whole()")


class LSTM(_Cells):
    """Long short-term memory (Hochreiter and Schmidhuber 1997).

    Parameters
    ----------
    units : int
    activation : str or callable, default "tanh"
    recurrent_activation : str or callable, default "sigmoid"
        Of the gates.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer : default "glorot_uniform" and "orthogonal"
    bias_initializer : default "zeros"
    unit_forget_bias : bool, default True
        Whether the forget gate's bias begins at 1.
    kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer : optional
    kernel_constraint, recurrent_constraint, bias_constraint : optional
    dropout, recurrent_dropout : float, default 0
        Of the input, and of the state on its way to the gates: the same elements in all steps.
    return_sequences, return_state, go_backwards, stateful, unroll : as :class:`RNN`
    """

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None,
        return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
        stateful: bool = False, unroll: bool = False, use_cudnn: Any = "auto", **options: Any,
    ) -> None:  # fmt: skip
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout,
            name="lstm_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip

    def _whole(self, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        cell = self.cell
        out, h, c = ops.lstm(x, cell.kernel, cell.recurrent_kernel, cell.bias, None, states[0], states[1])
        return out, [h, c]


class GRU(_Cells):
    """Gated recurrent units (Cho et al. 2014).

    Parameters
    ----------
    units, activation, recurrent_activation, use_bias, ... : as :class:`LSTM`
    reset_after : bool, default True
        Whether the reset gate acts behind the product with the recurrent kernel, or before it.
    """

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, seed: int | None = None, return_sequences: bool = False,
        return_state: bool = False, go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
        reset_after: bool = True, use_cudnn: Any = "auto", **options: Any,
    ) -> None:  # fmt: skip
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, reset_after,
            name="gru_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip

    def _whole(self, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        cell = self.cell
        first, second = (None, None) if cell.bias is None else (cell.bias[0], cell.bias[1])
        out, h = ops.gru(x, cell.kernel, cell.recurrent_kernel, first, second, states[0])
        return out, [h]


class SimpleRNN(_Cells):
    """h = activation(x W + h U + b).

    Parameters
    ----------
    units, activation, use_bias, ... : as :class:`LSTM`, which has gates besides
    """

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, unroll: bool = False, seed: int | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, name="simple_rnn_cell",
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip

    def _whole(self, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        cell = self.cell
        out, h = ops.rnn(
            x, cell.kernel, cell.recurrent_kernel, cell.bias, None, states[0], nonlinearity=cell.nonlinearity
        )
        return out, [h]


class Bidirectional(Layer):
    """A recurrent layer forwards, another of its kind backwards, and both outputs together.

    Parameters
    ----------
    layer : RNN, LSTM, GRU or SimpleRNN
    merge_mode : "concat", "sum", "mul", "ave" or None, default "concat"
    backward_layer : layer, optional
        By default one like ``layer``, with weights of its own.
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        if not isinstance(layer, RNN):
            raise ArgumentError(f"Bidirectional: layer is {type(layer).__name__}, expected a recurrent layer")
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ArgumentError(
                f"Bidirectional: merge_mode is {merge_mode!r}, expected concat, sum, mul, ave or None"
            )
        self.merge_mode = merge_mode
        self.forward_layer = layer
        if backward_layer is None:
            backward_layer = layer.like_this(
                go_backwards=not layer.go_backwards, name=f"backward_{layer.name}"
            )
        if backward_layer.go_backwards == layer.go_backwards:
            raise ArgumentError("Bidirectional: both layers go the same way, expected go_backwards to differ")
        self.backward_layer = backward_layer
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        for one in (layer, backward_layer):
            one.zero_output_for_mask = one.return_sequences

    def get_config(self) -> dict[str, Any]:
        """The arguments, both layers among them."""
        return {**super().get_config(), "backward_layer": described(self.backward_layer)}

    def call(self, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        first = second = None
        if initial_state is not None:
            half = len(initial_state) // 2
            first, second = list(initial_state[:half]), list(initial_state[half:])
        there = self.forward_layer(x, first, mask=mask)
        back = self.backward_layer(x, second, mask=mask)
        states: list[Any] = []
        if self.return_state:
            states = [*there[1:], *back[1:]]
            there, back = there[0], back[0]
        if self.return_sequences:
            back = ops.flip(back, (1,))
        out = self._merged(there, back)
        if not self.return_state:
            return out
        return [*out, *states] if isinstance(out, (list, tuple)) else [out, *states]

    def _merged(self, there: Any, back: Any) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate((there, back), -1)
        if self.merge_mode is None:
            return [there, back]
        if self.merge_mode == "mul":
            return ops.multiply(there, back)
        both = ops.add(there, back)
        return both if self.merge_mode == "sum" else ops.multiply(both, 0.5)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """As of the layer itself."""
        return self.forward_layer.compute_mask(inputs, previous_mask)


class TimeDistributed(Layer):
    """A layer for each step of [rows, steps, ...] by itself, with the same weights.

    Parameters
    ----------
    layer : Layer
    """

    supports_masking = True

    def __init__(self, layer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.layer = layer

    def call(self, x: Any) -> Any:
        rows, steps = x.shape[:2]
        out = self.layer(x.reshape(rows * steps, *x.shape[2:]))
        return out.reshape(rows, steps, *out.shape[1:])
