"""Recurrent layers: one layer and one direction, all steps in one launch.

What x gives to the gates, ``x @ w_ih.T``, the walk makes for a few steps at a time (on a GPU and of bfloat16
it is a product of all steps before it). The other products are plain ones of all steps: after the walk back
through time the gradients of x and of the weights, from the gradients of all gates. In bfloat16 all are
products of bfloat16, for which the gradients of the gates are rounded, and so are the walk's own where the
instruction set multiplies bfloat16; the state and the gates are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from einkorn import _autocast, _bfloat16, engines
from einkorn._device import device_of, move
from einkorn._grad_mode import mode
from einkorn._masked import refuse_masked
from einkorn._versions import Arriving
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._road import (
    as_kept,
    bits,
    contiguous,
    needs,
    number_type,
    result,
    same_dtype,
    same_kept,
    unwrap,
)
from einkorn.ops.matmul import _are_low, _low_array, _multiply, _product

__all__ = ["gru", "lstm", "rnn"]


class _Layer:
    """The checked operands of one call, as the kernels take them."""

    def __init__(
        self, op: str, kinds: int, x: Any, weights: dict[str, Any], states: dict[str, Any], sizes: Any
    ) -> None:
        given = {"x": x, **weights, **states}
        if _autocast.active:
            given = dict(zip(given, _autocast.lower(*given.values()), strict=True))
        low = _are_low(*given.values())

        def taken(name: str, value: Any) -> Any:
            if low and name in ("w_hh", "w_hr"):
                return bits(contiguous(as_kept(value, op, name, f"{op}_forward")))
            return contiguous(unwrap(value, op, name))

        arrays: dict[str, Any] = {
            name: None if value is None else taken(name, value)
            for name, value in given.items()
            if name not in ("x", "w_ih")
        }
        take = _low_array if low else unwrap
        multiplied = {name: contiguous(take(given[name], op, name)) for name in ("x", "w_ih")}
        if take is unwrap:
            same_dtype(op, **multiplied, **arrays)
        arrays = {**multiplied, **arrays}
        if _bfloat16.met:
            same_kept(op, **given)
        a, w_ih, w_hh = arrays["x"], arrays["w_ih"], arrays["w_hh"]
        self.op, self.kinds, self.arrays = op, kinds, arrays
        self.inputs = tuple(given.values())
        self.shape = a.shape
        if a.ndim != (3 if sizes is None else 2):
            expected = "(steps, batch, features)" if sizes is None else "(rows, features) with batch_sizes"
            raise ShapeError(f"{op}: x has shape {a.shape}, expected {expected}")
        if w_hh.ndim != 2 or w_hh.shape[0] % kinds:
            raise ShapeError(f"{op}: w_hh has shape {w_hh.shape}, expected ({kinds} * hidden, hidden)")
        self.units, self.width = w_hh.shape[0] // kinds, w_hh.shape[1]
        self.features = a.shape[-1]
        if sizes is None:
            self.batch_sizes, self.batch = None, a.shape[1]
        else:
            known = _batch_sizes(op, sizes, a.shape[0])
            self.batch_sizes, self.batch = known, int(known[:1].sum())
        self.rows = a.reshape(math.prod(a.shape[:-1]), self.features)
        gates = kinds * self.units
        expected_shapes = {
            "w_ih": (gates, self.features),
            "w_hh": (gates, self.width if "w_hr" in weights and arrays["w_hr"] is not None else self.units),
            "b_ih": (gates,),
            "b_hh": (gates,),
            "w_hr": (self.width, self.units),
            "h0": (self.batch, self.width),
            "c0": (self.batch, self.units),
        }
        for name, value in arrays.items():
            if name != "x" and value is not None and value.shape != expected_shapes[name]:
                raise ShapeError(
                    f"{op}: {name} has shape {value.shape}, expected {expected_shapes[name]} because x has"
                    f" shape {a.shape} and w_hh {w_hh.shape}"
                )
        self.engine = engines.of(a)
        # The sizes again, where the kernel is.
        self.told = None if self.batch_sizes is None else move(self.batch_sizes, device_of(a))
        self.records = mode.enabled and any(needs(value) for value in self.inputs)
        self.w_ih = w_ih

    def empty(self, *shape: int) -> Any:
        return self.engine.empty(shape, number_type(self.rows))

    def rows_of(self, width: int) -> Any:
        return self.empty(self.rows.shape[0], width)

    def gates(self, bias: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        """The gates' array, and what the walk makes their input of: x, its weight and the bias.

        Where it makes none, on a GPU and of bfloat16, the input of all steps is in the array.
        """
        if self.rows.dtype.kind == "f" and engines.makes_gate_inputs(self.engine):
            return self.rows_of(self.kinds * self.units), (self.rows, self.w_ih, bias)
        return _product(self.rows, self.w_ih.T, bias, dtype=number_type(self.rows)), (None, None, None)

    def to_multiply(self, rows: Any) -> Any:
        """An array in the type of x, which it is multiplied with or like."""
        return rows if rows is None or self.rows.dtype.kind == "f" else _bfloat16.narrow(rows)

    def former(self, h: Any, reverse: bool) -> Any:
        """The states before each step's, from the results; to be multiplied."""
        h, h0 = self.to_multiply(h), self.to_multiply(self.arrays["h0"])
        return _former(self.batch_sizes, len(h), self.batch, reverse, h, h0)

    def shaped(self, rows: Any) -> Any:
        """Rows of all steps in the shape of the result."""
        return rows.reshape(*self.shape[:-1], rows.shape[1])

    def sum_of_biases(self) -> Any:
        b_ih, b_hh = self.arrays["b_ih"], self.arrays["b_hh"]
        if b_ih is None or b_hh is None:
            return b_hh if b_ih is None else b_ih
        out = self.empty(len(b_ih))
        self.engine.add(out, b_ih, b_hh)
        return out


def _batch_sizes(op: str, sizes: Any, rows: int) -> Any:
    refuse_masked(sizes, f"{op}: batch_sizes")
    array = np.asarray(sizes)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DTypeError(f"{op}: batch_sizes is {sizes!r}, expected one whole number a step")
    array = np.ascontiguousarray(array, np.int64)
    if (array < 0).any() or (np.diff(array) > 0).any() or array.sum() != rows:
        raise ShapeError(
            f"{op}: batch_sizes is {array.tolist()}, expected sizes that do not grow and add up to the"
            f" {rows} rows of x"
        )
    return array


def _outputs(
    layer: _Layer, results: Sequence[Any], backward: Callable[[list[Any]], Sequence[Any]]
) -> tuple[Any, ...]:
    """Wrap several results of one operation; ``backward`` gets a gradient or None for each.

    Each result is a node of its own that puts its gradient down; the operation's node, which is older, then
    finds them all. What goes along the edges between them is an array without elements.
    """
    if not layer.records:
        return tuple(result(out, layer.inputs, lambda g: ()) for out in results)
    gradients = Arriving()
    count = len(results)

    def collected(_: Any) -> Sequence[Any]:
        return backward([gradients.pop(index, None) for index in range(count)])

    edge = layer.empty(0)
    joint = result(edge, layer.inputs, collected)

    def put_down(index: int) -> Callable[[Any], tuple[Any]]:
        def keep(g: Any) -> tuple[Any]:
            gradients[index] = contiguous(g)
            return (edge,)

        return keep

    return tuple(result(out, (joint,), put_down(index)) for index, out in enumerate(results))


def _walk(sizes: Any, reverse: bool) -> list[tuple[int, int, int]]:
    """(first row, first row of the former step, rows in both) of all steps but the first walked."""
    first = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    steps = range(1, len(sizes))
    if reverse:
        return [(first[t - 1], first[t], int(sizes[t])) for t in steps]
    return [(first[t], first[t - 1], int(sizes[t])) for t in steps]


def _former(layer_sizes: Any, rows: int, batch: int, reverse: bool, h: Any, h0: Any) -> Any:
    """Pairs (rows, h before them): slices of all rows and the array of the state that they started from."""
    pairs: list[tuple[slice, Any]] = []
    if layer_sizes is None:
        inner = rows - batch
        if inner > 0:
            pairs.append((slice(0, inner), h[batch:]) if reverse else (slice(batch, rows), h[:inner]))
        if h0 is not None and rows:
            pairs.append((slice(inner, rows) if reverse else slice(0, batch), h0))
        return pairs
    k = _bfloat16.of(h)
    before = k.empty(h.shape, h.dtype)
    known = np.zeros(rows, bool)
    for row, source, count in _walk(layer_sizes, reverse):
        k.copy(before[row : row + count], h[source : source + count])
        known[row : row + count] = True
    row = 0
    for count in layer_sizes.tolist():
        missing = count - int(known[row : row + count].sum())  # the last ones: those that start here
        if missing:
            start = before[row + count - missing : row + count]
            if h0 is None:
                k.fill(start, 0.0)
            else:
                k.copy(start, h0[count - missing : count])
        row += count
    return [(slice(0, rows), before)]


def _sum_of_products(k: Any, out: Any, pairs: list[tuple[Any, Any]]) -> None:
    """out = sum of a' b."""
    if not pairs:
        k.fill(out, 0.0)
    for index, (a, b) in enumerate(pairs):
        _multiply(k, out, a.T, b, None, 1.0, float(index > 0))


def _sum_of_rows(k: Any, a: Any) -> Any:
    out = k.empty((1, a.shape[1]), a.dtype)
    k.reduce_sum(out, a, 1.0)
    return out.reshape(-1)


def rnn(
    x: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    h0: Any = None,
    *,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    batch_sizes: Any = None,
) -> Any:
    """One layer of a plain recurrent network: ``h = act(x w_ih' + b_ih + h w_hh' + b_hh)``, step after step.

    Parameters
    ----------
    x : array or Tensor, shape (steps, batch, features)
        With ``batch_sizes``: (rows, features), the sequences of all steps one step after the other.
    w_ih : array or Tensor, shape (hidden, features)
    w_hh : array or Tensor, shape (hidden, hidden)
    b_ih, b_hh : array or Tensor, shape (hidden,), optional
    h0 : array or Tensor, shape (batch, hidden), optional
        The state before the first step; default zeros.
    nonlinearity : {"tanh", "relu"}
    reverse : bool, default False
        Walk from the last step of each sequence to its first.
    batch_sizes : sequence of int, optional
        Rows of each step where sequences differ in length, the longest first; they do not grow.

    Returns
    -------
    out : array or Tensor, shape (steps, batch, hidden) or (rows, hidden)
        h of every step.
    h_n : array or Tensor, shape (batch, hidden)
        h after the last step walked.

    Raises
    ------
    ShapeError
        If the sizes do not fit together.
    DTypeError
        If the element types differ or are not float32 or float64.
    ArgumentError
        For an unknown nonlinearity.
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"rnn: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
    relu = nonlinearity == "relu"
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    layer = _Layer("rnn", 1, x, weights, {"h0": h0}, batch_sizes)
    k, sizes, batch, shape = layer.engine, layer.told, layer.batch, layer.shape
    start, w_x, w_h, rows = layer.arrays["h0"], layer.w_ih, layer.arrays["w_hh"], layer.rows
    out, given = layer.gates(layer.sum_of_biases())
    h_n = layer.empty(batch, layer.width)
    k.rnn_forward(out, h_n, out, *given, start, w_h, sizes, reverse, relu)
    wanted = [needs(value) for value in layer.inputs]

    def backward(gradients: list[Any]) -> Sequence[Any]:
        g, gh_n = gradients
        ga, gh0 = k.empty(out.shape, out.dtype), k.empty((batch, out.shape[1]), out.dtype)
        g = None if g is None else g.reshape(out.shape)
        k.rnn_backward(ga, gh0, g, gh_n, out, w_h, sizes, reverse, relu)
        factors = layer.to_multiply(ga)
        gw_hh = None
        if wanted[2]:
            gw_hh = k.empty(w_h.shape, out.dtype)
            former = layer.former(out, reverse)
            _sum_of_products(k, gw_hh, [(factors[part], h) for part, h in former])
        gb = _sum_of_rows(k, ga) if wanted[3] or wanted[4] else None
        return (
            _product(factors, w_x).reshape(shape) if wanted[0] else None,
            _product(factors.T, rows) if wanted[1] else None,
            gw_hh,
            *_shared(k, gb, wanted[3:5]),
            gh0 if wanted[5] else None,
        )

    return _outputs(layer, (layer.shaped(out), h_n), backward)


def _shared(k: Any, gradient: Any, wanted: list[bool]) -> list[Any]:
    """The gradient of both biases: an array for each, as leaves keep theirs."""
    first = gradient if wanted[0] else None
    if not wanted[1]:
        return [first, None]
    if first is None:
        return [None, gradient]
    second = k.empty(gradient.shape, gradient.dtype)
    k.copy(second, gradient)
    return [first, second]


def lstm(
    x: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    h0: Any = None,
    c0: Any = None,
    *,
    w_hr: Any = None,
    reverse: bool = False,
    batch_sizes: Any = None,
) -> Any:
    """One layer of long short-term memory.

    ``i, f, g, o = x w_ih' + b_ih + h w_hh' + b_hh``, then ``c = sigmoid(f) c + sigmoid(i) tanh(g)`` and
    ``h = sigmoid(o) tanh(c)``, step after step.

    Parameters
    ----------
    x : array or Tensor, shape (steps, batch, features)
        With ``batch_sizes``: (rows, features), the sequences of all steps one step after the other.
    w_ih : array or Tensor, shape (4 * hidden, features)
        Rows of the gates i, f, g, o.
    w_hh : array or Tensor, shape (4 * hidden, hidden)
    b_ih, b_hh : array or Tensor, shape (4 * hidden,), optional
    h0, c0 : array or Tensor, shape (batch, hidden), optional
        The state before the first step; default zeros.
    w_hr : array or Tensor, shape (projected, hidden), optional
        Projects h of each step; then w_hh, h0 and the results have ``projected`` in the place of
        ``hidden``, all but c.
    reverse : bool, default False
        Walk from the last step of each sequence to its first.
    batch_sizes : sequence of int, optional
        Rows of each step where sequences differ in length, the longest first; they do not grow.

    Returns
    -------
    out : array or Tensor, shape (steps, batch, hidden) or (rows, hidden)
        h of every step.
    h_n, c_n : array or Tensor, shape (batch, hidden)
        The state after the last step walked.

    Raises
    ------
    ShapeError
        If the sizes do not fit together.
    DTypeError
        If the element types differ or are not float32 or float64.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers et al., "Learning to forget", 2000;
    Sak et al., "Long short-term memory recurrent neural network architectures", 2014 (projection).
    """
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh, "w_hr": w_hr}
    layer = _Layer("lstm", 4, x, weights, {"h0": h0, "c0": c0}, batch_sizes)
    k, sizes, batch, shape = layer.engine, layer.told, layer.batch, layer.shape
    arrays, w_x, rows, units, width = layer.arrays, layer.w_ih, layer.rows, layer.units, layer.width
    w_h, w_r, start, start_c = arrays["w_hh"], arrays["w_hr"], arrays["h0"], arrays["c0"]
    gates, given = layer.gates(layer.sum_of_biases())
    out, h_n, c_n = layer.rows_of(width), layer.empty(batch, width), layer.empty(batch, units)
    cells = layer.rows_of(units) if layer.records else None
    hidden = layer.rows_of(units) if layer.records and w_r is not None else None
    k.lstm_forward(out, h_n, c_n, gates, cells, hidden, *given, start, start_c, w_h, w_r, sizes, reverse)
    wanted = [needs(value) for value in layer.inputs]

    def backward(gradients: list[Any]) -> Sequence[Any]:
        g, gh_n, gc_n = gradients
        dtype = out.dtype
        ggates = k.empty(gates.shape, dtype)
        gout: Any = None if w_r is None else k.empty(out.shape, dtype)
        gh0, gc0 = k.empty((batch, width), dtype), k.empty((batch, units), dtype)
        g = None if g is None else g.reshape(out.shape)
        k.lstm_backward(
            ggates, gout, gh0, gc0, g, gh_n, gc_n, gates, cells, start_c, w_h, w_r, sizes, reverse
        )
        factors = layer.to_multiply(ggates)
        gw_hh = None
        if wanted[2]:
            gw_hh = k.empty(w_h.shape, dtype)
            former = layer.former(out, reverse)
            _sum_of_products(k, gw_hh, [(factors[part], h) for part, h in former])
        gb = _sum_of_rows(k, ggates) if wanted[3] or wanted[4] else None
        return (
            _product(factors, w_x).reshape(shape) if wanted[0] else None,
            _product(factors.T, rows) if wanted[1] else None,
            gw_hh,
            *_shared(k, gb, wanted[3:5]),
            _product(gout.T, hidden) if wanted[5] else None,
            gh0 if wanted[6] else None,
            gc0 if wanted[7] else None,
        )

    return _outputs(layer, (layer.shaped(out), h_n, c_n), backward)


def gru(
    x: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any = None,
    b_hh: Any = None,
    h0: Any = None,
    *,
    reverse: bool = False,
    batch_sizes: Any = None,
) -> Any:
    """One layer of gated recurrent units.

    ``r, z = sigmoid(x w_ih' + b_ih + h w_hh' + b_hh)``, ``n = tanh(x w_in' + b_in + r (h w_hn' + b_hn))`` and
    ``h = (1 - z) n + z h``, step after step.

    Parameters
    ----------
    x : array or Tensor, shape (steps, batch, features)
        With ``batch_sizes``: (rows, features), the sequences of all steps one step after the other.
    w_ih : array or Tensor, shape (3 * hidden, features)
        Rows of the gates r, z, n.
    w_hh : array or Tensor, shape (3 * hidden, hidden)
    b_ih, b_hh : array or Tensor, shape (3 * hidden,), optional
    h0 : array or Tensor, shape (batch, hidden), optional
        The state before the first step; default zeros.
    reverse : bool, default False
        Walk from the last step of each sequence to its first.
    batch_sizes : sequence of int, optional
        Rows of each step where sequences differ in length, the longest first; they do not grow.

    Returns
    -------
    out : array or Tensor, shape (steps, batch, hidden) or (rows, hidden)
        h of every step.
    h_n : array or Tensor, shape (batch, hidden)
        h after the last step walked.

    Raises
    ------
    ShapeError
        If the sizes do not fit together.
    DTypeError
        If the element types differ or are not float32 or float64.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014, with r inside the
    candidate's product as in PyTorch and cuDNN.
    """
    weights = {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}
    layer = _Layer("gru", 3, x, weights, {"h0": h0}, batch_sizes)
    k, sizes, batch, shape = layer.engine, layer.told, layer.batch, layer.shape
    arrays, w_x, rows, units = layer.arrays, layer.w_ih, layer.rows, layer.units
    w_h, start = arrays["w_hh"], arrays["h0"]
    split = 2 * units
    bias, bias_n = arrays["b_ih"], None
    if arrays["b_hh"] is not None:
        bias_n = arrays["b_hh"][split:]
        bias = layer.sum_of_biases() if bias is not None else layer.empty(3 * units)
        if arrays["b_ih"] is None:
            k.copy(bias[:split], arrays["b_hh"][:split])
            k.fill(bias[split:], 0.0)
        else:
            k.copy(bias[split:], arrays["b_ih"][split:])
    gates, given = layer.gates(bias)
    out, h_n = layer.rows_of(units), layer.empty(batch, units)
    cells = layer.rows_of(units) if layer.records else None
    k.gru_forward(out, h_n, gates, cells, *given, start, w_h, bias_n, sizes, reverse)
    wanted = [needs(value) for value in layer.inputs]

    def backward(gradients: list[Any]) -> Sequence[Any]:
        g, gh_n = gradients
        dtype = out.dtype
        ggates, gcells = k.empty(gates.shape, dtype), k.empty(out.shape, dtype)
        gh0 = k.empty((batch, units), dtype)
        g = None if g is None else g.reshape(out.shape)
        k.gru_backward(ggates, gcells, gh0, g, gh_n, out, gates, cells, start, w_h, sizes, reverse)
        factors = layer.to_multiply(ggates)
        gw_hh = gb_hh = None
        gb_ih: Any = None
        if wanted[2]:
            gw_hh = k.empty(w_h.shape, dtype)
            former = layer.former(out, reverse)
            cell_factors = layer.to_multiply(gcells)
            _sum_of_products(k, gw_hh[:split], [(factors[part, :split], h) for part, h in former])
            _sum_of_products(k, gw_hh[split:], [(cell_factors[part], h) for part, h in former])
        if wanted[3] or wanted[4]:
            gb_ih = _sum_of_rows(k, ggates)
        if wanted[4]:
            gb_hh = k.empty(gb_ih.shape, dtype)
            k.copy(gb_hh[:split], gb_ih[:split])
            k.copy(gb_hh[split:], _sum_of_rows(k, gcells))
        return (
            _product(factors, w_x).reshape(shape) if wanted[0] else None,
            _product(factors.T, rows) if wanted[1] else None,
            gw_hh,
            gb_ih if wanted[3] else None,
            gb_hh,
            gh0 if wanted[5] else None,
        )

    return _outputs(layer, (layer.shaped(out), h_n), backward)
