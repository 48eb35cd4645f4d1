"""Recurrent layers (Elman 1990; Hochreiter and Schmidhuber 1997; Cho et al. 2014)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.nn.utils.rnn import PackedSequence, permuted
from einkorn.ops._road import unwrap

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def _checked_nonlinearity(op: str, nonlinearity: Any) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"{op}: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
    return str(nonlinearity)


def _uniform(parameters: Any, hidden_size: int) -> None:
    bound = 1 / math.sqrt(hidden_size) if hidden_size > 0 else 0
    for parameter in parameters:
        init.uniform_(parameter, -bound, bound)


class RNNBase(Module):
    """What the recurrent layers share: weights by layer and direction, and the walk over both.

    Parameters
    ----------
    mode : {"RNN_TANH", "RNN_RELU", "LSTM", "GRU"}
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size
        As :class:`LSTM`.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in _GATES:
            raise ArgumentError(f"{name}: mode is {mode!r}, expected one of {', '.join(_GATES)}")
        for key, flag in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            if not isinstance(flag, bool):
                raise ArgumentError(f"{name}: {key} is {flag!r}, expected True or False")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ArgumentError(f"{name}: dropout is {dropout!r}, expected a probability from 0 to 1")
        self.mode = mode
        self.input_size = integer(input_size, name, "input_size", 0)
        self.hidden_size = integer(hidden_size, name, "hidden_size", 1)
        self.num_layers = integer(num_layers, name, "num_layers", 1)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = integer(proj_size, name, "proj_size", 0)
        if self.proj_size and mode != "LSTM":
            raise ArgumentError(f"{name}: proj_size is {proj_size}, expected 0: only LSTM has projections")
        if self.proj_size >= self.hidden_size:
            raise ArgumentError(
                f"{name}: proj_size is {proj_size}, expected less than the {hidden_size} of hidden_size"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout is {dropout}, but acts between layers only, and num_layers is 1",
                stacklevel=3,
            )
        gates = _GATES[mode] * self.hidden_size
        for layer in range(self.num_layers):
            features = self.input_size if layer == 0 else self._width * self._directions
            for suffix in self._suffixes(layer):
                setattr(self, f"weight_ih{suffix}", blank(gates, features))
                setattr(self, f"weight_hh{suffix}", blank(gates, self._width))
                if bias:
                    setattr(self, f"bias_ih{suffix}", blank(gates))
                    setattr(self, f"bias_hh{suffix}", blank(gates))
                if self.proj_size:
                    setattr(self, f"weight_hr{suffix}", blank(self.proj_size, self.hidden_size))
        self.reset_parameters()
        self._settle(device, dtype)

    @property
    def _width(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def _weights(self, suffix: str) -> list[Parameter]:
        names = ["weight_ih", "weight_hh"]
        names += ["bias_ih", "bias_hh"] if self.bias else []
        names += ["weight_hr"] if self.proj_size else []
        return [getattr(self, name + suffix) for name in names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction."""
        return [self._weights(s) for layer in range(self.num_layers) for s in self._suffixes(layer)]

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform on +-1/sqrt(hidden_size)."""
        _uniform(self.parameters(), self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing: weights are packed in each call. It is here for code that calls it."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        name = type(self).__name__
        states = self._given_states(hx)
        if isinstance(input, PackedSequence):
            data, sizes, order, back = input
            self._check_features(unwrap(data, name, "input.data"), 2)
            batch = int(sizes[0])
            states = self._checked_states(states, (batch,))
            states = [permuted(s, order, 1) for s in states]
            out, after = self._walk(data, states, sizes)
            finished = [permuted(s, back, 1) for s in after]
            return PackedSequence(out, sizes, order, back), self._state(finished)

        a = unwrap(input, name, "input")
        if a.ndim not in (2, 3):
            raise ShapeError(f"{name}: input has shape {a.shape}, expected 2 or 3 dimensions")
        self._check_features(a, a.ndim)
        x = input
        if a.ndim == 2:
            states = self._checked_states(states, ())
            x = ops.reshape(x, (a.shape[0], 1, a.shape[1]))
            states = [ops.reshape(s, (s.shape[0], 1, s.shape[1])) for s in states]
        else:
            x = ops.transpose(x, 0, 1) if self.batch_first else x
            states = self._checked_states(states, (a.shape[0 if self.batch_first else 1],))
        out, after = self._walk(x, states, None)
        if a.ndim == 2:
            out = ops.reshape(out, (a.shape[0], out.shape[2]))
            after = [ops.reshape(s, (s.shape[0], s.shape[2])) for s in after]
        elif self.batch_first:
            out = ops.transpose(out, 0, 1)
        return out, self._state(after)

    def _given_states(self, hx: Any) -> list[Any]:
        if hx is None:
            return []
        if self.mode != "LSTM":
            return [hx]
        if not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise ArgumentError(
                f"{type(self).__name__}: hx is a {type(hx).__name__}, expected a pair (h_0, c_0)"
            )
        return list(hx)

    def _state(self, states: list[Any]) -> Any:
        return tuple(states) if self.mode == "LSTM" else states[0]

    def _check_features(self, a: Any, ndim: int) -> None:
        name = type(self).__name__
        if a.ndim != ndim:
            raise ShapeError(f"{name}: input has shape {a.shape}, expected {ndim} dimensions")
        if a.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has shape {a.shape}, expected {self.input_size} features at the end"
            )

    def _checked_states(self, states: list[Any], batch: tuple[int, ...]) -> list[Any]:
        name, layers = type(self).__name__, self.num_layers * self._directions
        for label, state, width in zip(("h_0", "c_0"), states, (self._width, self.hidden_size), strict=False):
            shape, expected = unwrap(state, name, label).shape, (layers, *batch, width)
            if shape != expected:
                raise ShapeError(f"{name}: {label} has shape {shape}, expected {expected}")
        return states

    def _walk(self, x: Any, states: list[Any], sizes: Any) -> tuple[Any, list[Any]]:
        """Through all layers; the states after them, stacked."""
        after: list[Sequence[Any]] = []
        for layer in range(self.num_layers):
            outs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                index = layer * self._directions + direction
                start = [ops.getitem(s, index) for s in states]
                out, *end = self._layer(x, suffix, start, {"reverse": direction == 1, "batch_sizes": sizes})
                outs.append(out)
                after.append(end)
            x = outs[0] if len(outs) == 1 else ops.concatenate(outs, -1)
            if self.dropout and layer + 1 < self.num_layers:
                x = ops.dropout(x, self.dropout, self.training)
        return x, [ops.stack(list(parts)) for parts in zip(*after, strict=True)]

    def _layer(self, x: Any, suffix: str, start: list[Any], options: dict[str, Any]) -> Any:
        weights = [getattr(self, name + suffix) for name in ("weight_ih", "weight_hh")]
        weights += [getattr(self, name + suffix) if self.bias else None for name in ("bias_ih", "bias_hh")]
        if self.mode == "LSTM":
            projection = getattr(self, f"weight_hr{suffix}") if self.proj_size else None
            return ops.lstm(x, *weights, *start, w_hr=projection, **options)
        if self.mode == "GRU":
            return ops.gru(x, *weights, *start, **options)
        return ops.rnn(x, *weights, *start, nonlinearity=self.mode[4:].lower(), **options)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for key, usual in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, key) != usual:
                text += f", {key}={getattr(self, key)}"
        return text


class RNN(RNNBase):
    """Layers of a plain recurrent network: ``h = act(W_ih x + b_ih + W_hh h + b_hh)``.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
        Each further layer reads the output of the one before.
    nonlinearity : {"tanh", "relu"}
    bias : bool, default True
    batch_first : bool, default False
    dropout : float, default 0.0
        Probability with which an element between two layers is zeroed while training.
    bidirectional : bool, default False
        A second walk from the end to the beginning; its output stands beside the first's.

    Attributes
    ----------
    weight_ih_l0 : Parameter [hidden_size, input_size]
    weight_hh_l0 : Parameter [hidden_size, hidden_size]
    bias_ih_l0, bias_hh_l0 : Parameter [hidden_size]
        And so on for each layer, with ``_reverse`` for the second direction. All start uniform on
        +-1/sqrt(hidden_size).

    Notes
    -----
    ``layer(input, h_0=0)`` gives ``(output, h_n)``. Input [steps, batch, input_size], with ``batch_first``
    [batch, steps, input_size], without a batch [steps, input_size], or a ``PackedSequence``. Output: h of
    every step of the last layer, shaped alike. h_0 and h_n: [num_layers * directions, batch, hidden_size].
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        mode = f"RNN_{_checked_nonlinearity('RNN', nonlinearity).upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self.nonlinearity = nonlinearity
        self._settle(device, dtype)


class LSTM(RNNBase):
    """Layers of long short-term memory.

    ``i, f, g, o = W_ih x + b_ih + W_hh h + b_hh``, ``c = sigmoid(f) c + sigmoid(i) tanh(g)``,
    ``h = sigmoid(o) tanh(c)``.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
        Each further layer reads the output of the one before.
    bias : bool, default True
    batch_first : bool, default False
    dropout : float, default 0.0
        Probability with which an element between two layers is zeroed while training.
    bidirectional : bool, default False
        A second walk from the end to the beginning; its output stands beside the first's.
    proj_size : int, default 0
        Project h to this width, less than hidden_size; 0: no projection.

    Attributes
    ----------
    weight_ih_l0 : Parameter [4 * hidden_size, input_size]
        Rows of the gates i, f, g, o.
    weight_hh_l0 : Parameter [4 * hidden_size, hidden_size or proj_size]
    bias_ih_l0, bias_hh_l0 : Parameter [4 * hidden_size]
    weight_hr_l0 : Parameter [proj_size, hidden_size]
        With a projection. And so on for each layer, with ``_reverse`` for the second direction. All start
        uniform on +-1/sqrt(hidden_size).

    Notes
    -----
    ``layer(input, (h_0, c_0)=0)`` gives ``(output, (h_n, c_n))``. Input [steps, batch, input_size], with
    ``batch_first`` [batch, steps, input_size], without a batch [steps, input_size], or a ``PackedSequence``.
    Output: h of every step of the last layer, shaped alike. States: [num_layers * directions, batch, width],
    width proj_size or hidden_size for h and hidden_size for c.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
        )
        self._settle(device, dtype)


class GRU(RNNBase):
    """Layers of gated recurrent units.

    ``r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh)``, ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``,
    ``h = (1 - z) n + z h``.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
        Each further layer reads the output of the one before.
    bias : bool, default True
    batch_first : bool, default False
    dropout : float, default 0.0
        Probability with which an element between two layers is zeroed while training.
    bidirectional : bool, default False
        A second walk from the end to the beginning; its output stands beside the first's.

    Attributes
    ----------
    weight_ih_l0 : Parameter [3 * hidden_size, input_size]
        Rows of the gates r, z, n.
    weight_hh_l0 : Parameter [3 * hidden_size, hidden_size]
    bias_ih_l0, bias_hh_l0 : Parameter [3 * hidden_size]
        And so on for each layer, with ``_reverse`` for the second direction. All start uniform on
        +-1/sqrt(hidden_size).

    Notes
    -----
    ``layer(input, h_0=0)`` gives ``(output, h_n)``, shaped as those of :class:`RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
        self._settle(device, dtype)


class _Cell(Module):
    """One step of one layer, on [batch, input_size] or [input_size]."""

    _gates = 1
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(bias, bool):
            raise ArgumentError(f"{name}: bias is {bias!r}, expected True or False")
        self.input_size = integer(input_size, name, "input_size", 0)
        self.hidden_size = integer(hidden_size, name, "hidden_size", 1)
        self.bias = bias
        gates = self._gates * self.hidden_size
        self.weight_ih = blank(gates, self.input_size)
        self.weight_hh = blank(gates, self.hidden_size)
        self.bias_ih = blank(gates) if bias else None
        self.bias_hh = blank(gates) if bias else None
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform on +-1/sqrt(hidden_size)."""
        _uniform(self.parameters(), self.hidden_size)

    def _step(self, op: Any, input: Any, states: list[Any], **options: Any) -> list[Any]:
        """The states after one step."""
        name = type(self).__name__
        a = unwrap(input, name, "input")
        if a.ndim not in (1, 2) or a.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has shape {a.shape}, expected (batch, {self.input_size})"
                f" or ({self.input_size},)"
            )
        lead = a.shape[:-1]
        batch = a.shape[0] if lead else 1
        for label, state in zip(("h", "c"), states, strict=False):
            shape, expected = unwrap(state, name, label).shape, (*lead, self.hidden_size)
            if shape != expected:
                raise ShapeError(f"{name}: {label} has shape {shape}, expected {expected}")
        x = ops.reshape(input, (1, batch, self.input_size))
        states = [ops.reshape(s, (batch, self.hidden_size)) for s in states]
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        _, *after = op(x, *weights, *states, **options)
        return [ops.reshape(s, (*lead, self.hidden_size)) for s in after]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias=False"


class RNNCell(_Cell):
    """One step of :class:`RNN`: ``cell(input, h=0)`` gives the new h.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool, default True
    nonlinearity : {"tanh", "relu"}

    Attributes
    ----------
    weight_ih : Parameter [hidden_size, input_size]
    weight_hh : Parameter [hidden_size, hidden_size]
    bias_ih, bias_hh : Parameter [hidden_size] or None

    Notes
    -----
    Input [batch, input_size] or [input_size], h [batch, hidden_size] or [hidden_size].
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = _checked_nonlinearity("RNNCell", nonlinearity)
        self._settle(device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        states = [] if hx is None else [hx]
        return self._step(ops.rnn, input, states, nonlinearity=self.nonlinearity)[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(_Cell):
    """One step of :class:`LSTM`: ``cell(input, (h, c)=0)`` gives the new ``(h, c)``.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool, default True

    Attributes
    ----------
    weight_ih : Parameter [4 * hidden_size, input_size]
    weight_hh : Parameter [4 * hidden_size, hidden_size]
    bias_ih, bias_hh : Parameter [4 * hidden_size] or None
    """

    _gates = 4

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise ArgumentError(f"LSTMCell: hx is a {type(hx).__name__}, expected a pair (h, c)")
        h, c = self._step(ops.lstm, input, [] if hx is None else list(hx))
        return h, c


class GRUCell(_Cell):
    """One step of :class:`GRU`: ``cell(input, h=0)`` gives the new h.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool, default True

    Attributes
    ----------
    weight_ih : Parameter [3 * hidden_size, input_size]
    weight_hh : Parameter [3 * hidden_size, hidden_size]
    bias_ih, bias_hh : Parameter [3 * hidden_size] or None
    """

    _gates = 3

    def forward(self, input: Any, hx: Any = None) -> Any:
        return self._step(ops.gru, input, [] if hx is None else [hx])[0]
