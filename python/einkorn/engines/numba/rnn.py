"""Recurrent layers: step after step a matrix product with the state, then one loop over its rows.

    forward     sums = h W'              cell: gates, state, h of the step
    backward    cell: gradients of the gates from that of h      gh of the step before += gates' gradients W

Sequences of different lengths: the longest come first, so that a step works on the first rows of the
state. What a cell computes, and what is kept for the backward walk, csrc/kernels/rnn/rnn.h says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ._checks import floats, read, require, write
from ._compile import Array, In1, In2, Int, Loop, Out2, inline, nothing
from ._kernels import kernel
from ._threads import parallel_for
from .matmul import multiply_matrices

_COST = 60.0  # ns per unit of a row


@inline
def _sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


class _Fits:
    """Checks arrays of a layer as it goes: each has its shape, this call's dtype and no gaps."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def reads(self, name: str, x: Array | None, *shape: int) -> None:
        if x is not None:
            require(x.shape == shape, f"argument '{name}' does not fit the others")
            read(name, x, self.dtype, *shape)

    def writes(self, name: str, x: Array | None, *shape: int) -> None:
        self.reads(name, x, *shape)
        if x is not None:
            write(name, x, self.dtype, *shape)


def _check_layer(
    kinds: int,
    h: Array,
    gates: Array,
    weight: Array,
    batch_sizes: Array | None,
    *,
    deciding: Array,
    projection: Array | None = None,
) -> tuple[_Fits, int, int, int, int]:
    """What checks the other arrays; sequences, units, width of the state and rows of all steps.

    They follow from h (h_n or gh0), the weight, and gates or ggates, where the rows of all steps are.
    """
    fits = _Fits(floats(deciding))
    require(h.ndim == 2 and weight.ndim == 2 and gates.ndim == 2, "argument 'gates' does not fit the others")
    (batch, width), rows, units = h.shape, len(gates), len(weight) // kinds
    fits.reads("weight", weight, kinds * units, width)
    require(gates.shape[1] == kinds * units, "argument 'gates' does not fit the others")
    require(projection is not None or width == units, "argument 'weight' does not fit the others")
    fits.reads("projection", projection, width, units)
    if batch_sizes is None:
        require(rows % batch == 0 if batch else rows == 0, "argument 'gates' does not fit the others")
    else:
        sizes = read("batch_sizes", batch_sizes, np.int64, batch_sizes.size)
        fit = sizes.sum() == rows and (np.diff(sizes, prepend=batch) <= 0).all() and (sizes >= 0).all()
        require(bool(fit), "argument 'batch_sizes' does not fit the others")
    return fits, batch, units, width, rows


def _walk(
    rows: int, batch: int, batch_sizes: Array | None, reverse: bool
) -> Iterator[tuple[slice, int, int, int]]:
    """Forward: the rows of each step, how many; and of the step before its first row, and rows in both."""
    if batch_sizes is None:
        sizes = [batch] * (rows // batch if batch else 0)
    else:
        sizes = batch_sizes.reshape(-1).tolist()
    first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).tolist()
    order = range(len(sizes))
    former, known = 0, 0
    for t in reversed(order) if reverse else order:
        yield slice(first[t], first[t] + sizes[t]), sizes[t], former, min(known, sizes[t])
        former, known = first[t], sizes[t]


def _make_input(
    fits: _Fits, gates: Array, given: Array | None, weight: Array | None, bias: Array | None
) -> None:
    """gates = given weight' + bias, where the gates' input is to be made."""
    require((given is None) == (weight is None), "argument 'input_weight' does not fit the others")
    if given is None or weight is None:
        return
    rows, width = gates.shape
    require(given.ndim == 2, "argument 'input' does not fit the others")
    fits.reads("input", given, rows, given.shape[1])
    fits.reads("input_weight", weight, width, given.shape[1])
    fits.reads("bias", bias, width)
    gates[...] = _times(given, weight.T)
    if bias is not None:
        np.add(gates, bias, out=gates)


def _start(state: Array, given: Array | None) -> None:
    state[...] = 0 if given is None else given


def _times(state: Array, weight: Array) -> Array:
    out = np.empty((len(state), weight.shape[1]), state.dtype)
    if state.shape[1]:
        multiply_matrices(out, state, weight)
    else:
        out[...] = 0
    return out


def _each_row(loop: Loop, rows: int, units: int, *arguments: object) -> None:
    if rows and units:
        parallel_for(rows, _COST * units, lambda start, stop: loop(start, stop, *arguments))


def _former(former: Array, known: int, initial: Array | None, count: int) -> Array:
    """The state before a step: of the rows that the step before had, and of those that start."""
    out = np.zeros((count, former.shape[1]), former.dtype)
    out[:known] = former[:known]
    if initial is not None:
        out[known:] = initial[known:count]
    return out


@Loop
def _rnn_cell(start: Int, stop: Int, out: Out2, gates: In2, sums: In2, relu: Int) -> None:
    for b in range(start, stop):
        for j in range(out.shape[1]):
            a = gates[b, j] + sums[b, j]
            if relu:
                out[b, j] = 0.0 if a < 0 else a
            else:
                out[b, j] = math.tanh(a)


@kernel
def rnn_forward(
    out: Array,
    h_n: Array,
    gates: Array,
    input: Array | None,
    input_weight: Array | None,
    bias: Array | None,
    h0: Array | None,
    weight: Array,
    batch_sizes: Array | None,
    reverse: bool,
    relu: bool,
) -> None:
    """h of every step from the gates' input products. out may be gates."""
    fits, batch, units, _, rows = _check_layer(1, h_n, gates, weight, batch_sizes, deciding=out)
    fits.writes("out", out, rows, units)
    fits.writes("h_n", h_n, batch, units)
    fits.writes("gates", gates, rows, units)
    fits.reads("h0", h0, batch, units)
    _make_input(fits, gates, input, input_weight, bias)
    _start(h_n, h0)
    for part, count, _, _ in _walk(len(out), len(h_n), batch_sizes, reverse):
        sums = _times(h_n[:count], weight.T)
        _each_row(_rnn_cell, count, out.shape[1], out[part], gates[part], sums, relu)
        h_n[:count] = out[part]


@Loop
def _rnn_cell_backward(start: Int, stop: Int, ggates: Out2, gh: In2, h: In2, relu: Int) -> None:
    for b in range(start, stop):
        for j in range(h.shape[1]):
            if relu:
                ggates[b, j] = gh[b, j] if h[b, j] > 0 else 0.0
            else:
                ggates[b, j] = gh[b, j] * (1 - h[b, j] * h[b, j])


@kernel
def rnn_backward(
    ggates: Array,
    gh0: Array,
    g: Array | None,
    gh_n: Array | None,
    out: Array,
    weight: Array,
    batch_sizes: Array | None,
    reverse: bool,
    relu: bool,
) -> None:
    """Gradients of the gates' inputs and of h0."""
    fits, batch, units, _, rows = _check_layer(1, gh0, ggates, weight, batch_sizes, deciding=ggates)
    fits.writes("ggates", ggates, rows, units)
    fits.writes("gh0", gh0, batch, units)
    fits.reads("g", g, rows, units)
    fits.reads("gh_n", gh_n, batch, units)
    fits.reads("out", out, rows, units)
    _start(gh0, gh_n)
    for part, count, _, _ in reversed(list(_walk(len(out), len(gh0), batch_sizes, reverse))):
        _add(gh0[:count], g, part)
        _each_row(_rnn_cell_backward, count, out.shape[1], ggates[part], gh0[:count], out[part], relu)
        gh0[:count] = _times(ggates[part], weight)


def _add(gh: Array, g: Array | None, part: slice) -> None:
    if g is not None:
        np.add(gh, g[part], out=gh)


@Loop
def _lstm_cell(
    start: Int, stop: Int, hidden: Out2, c: Out2, gates: Out2, cells: Out2, sums: In2, saves: Int
) -> None:
    units = c.shape[1]
    for b in range(start, stop):
        for j in range(units):
            i = _sigmoid(gates[b, j] + sums[b, j])
            f = _sigmoid(gates[b, units + j] + sums[b, units + j])
            g = math.tanh(gates[b, 2 * units + j] + sums[b, 2 * units + j])
            o = _sigmoid(gates[b, 3 * units + j] + sums[b, 3 * units + j])
            c[b, j] = f * c[b, j] + i * g
            hidden[b, j] = o * math.tanh(c[b, j])
            if saves:
                gates[b, j] = i
                gates[b, units + j] = f
                gates[b, 2 * units + j] = g
                gates[b, 3 * units + j] = o
                cells[b, j] = c[b, j]


@kernel
def lstm_forward(
    out: Array,
    h_n: Array,
    c_n: Array,
    gates: Array,
    cells: Array | None,
    hidden: Array | None,
    input: Array | None,
    input_weight: Array | None,
    bias: Array | None,
    h0: Array | None,
    c0: Array | None,
    weight: Array,
    projection: Array | None,
    batch_sizes: Array | None,
    reverse: bool,
) -> None:
    """h of every step, and the last state; the gates' values and c of every step where cells is given."""
    fits, batch, units, width, rows = _check_layer(
        4, h_n, gates, weight, batch_sizes, deciding=out, projection=projection
    )
    fits.writes("out", out, rows, width)
    fits.writes("h_n", h_n, batch, width)
    fits.writes("c_n", c_n, batch, units)
    fits.writes("gates", gates, rows, 4 * units)
    fits.writes("cells", cells, rows, units)
    fits.writes("hidden", hidden, rows, units)
    fits.reads("h0", h0, batch, width)
    fits.reads("c0", c0, batch, units)
    _make_input(fits, gates, input, input_weight, bias)
    _start(h_n, h0)
    _start(c_n, c0)
    saves = cells is not None
    for part, count, _, _ in _walk(len(out), len(h_n), batch_sizes, reverse):
        sums = _times(h_n[:count], weight.T)
        h = out[part] if projection is None else np.empty((count, c_n.shape[1]), out.dtype)
        kept = cells[part] if cells is not None else nothing(out, 2)
        _each_row(_lstm_cell, count, c_n.shape[1], h, c_n[:count], gates[part], kept, sums, saves)
        if projection is not None:
            out[part] = _times(h, projection.T)
            if hidden is not None:
                hidden[part] = h
        h_n[:count] = out[part]


@Loop
def _lstm_cell_backward(
    start: Int, stop: Int, ggates: Out2, gc: Out2, gh: In2, gates: In2, c: In2, former: In2
) -> None:
    units = c.shape[1]
    for b in range(start, stop):
        for j in range(units):
            i, f = gates[b, j], gates[b, units + j]
            g, o = gates[b, 2 * units + j], gates[b, 3 * units + j]
            squashed = math.tanh(c[b, j])
            gcell = gc[b, j] + gh[b, j] * o * (1 - squashed * squashed)
            ggates[b, j] = gcell * g * i * (1 - i)
            ggates[b, units + j] = gcell * former[b, j] * f * (1 - f)
            ggates[b, 2 * units + j] = gcell * i * (1 - g * g)
            ggates[b, 3 * units + j] = gh[b, j] * squashed * o * (1 - o)
            gc[b, j] = gcell * f


@kernel
def lstm_backward(
    ggates: Array,
    gout: Array | None,
    gh0: Array,
    gc0: Array,
    g: Array | None,
    gh_n: Array | None,
    gc_n: Array | None,
    gates: Array,
    cells: Array,
    c0: Array | None,
    weight: Array,
    projection: Array | None,
    batch_sizes: Array | None,
    reverse: bool,
) -> None:
    """Gradients of the gates' inputs, of the initial state and, with a projection, of h of every step."""
    fits, batch, units, width, rows = _check_layer(
        4, gh0, ggates, weight, batch_sizes, deciding=ggates, projection=projection
    )
    require((gout is None) == (projection is None), "argument 'gout' does not fit the others")
    fits.writes("ggates", ggates, rows, 4 * units)
    fits.writes("gout", gout, rows, width)
    fits.writes("gh0", gh0, batch, width)
    fits.writes("gc0", gc0, batch, units)
    fits.reads("g", g, rows, width)
    fits.reads("gh_n", gh_n, batch, width)
    fits.reads("gc_n", gc_n, batch, units)
    fits.reads("gates", gates, rows, 4 * units)
    fits.reads("cells", cells, rows, units)
    fits.reads("c0", c0, batch, units)
    _start(gh0, gh_n)
    _start(gc0, gc_n)
    for part, count, before, known in reversed(list(_walk(len(cells), len(gh0), batch_sizes, reverse))):
        _add(gh0[:count], g, part)
        gh = gh0[:count]
        if projection is not None and gout is not None:
            gout[part] = gh
            gh = _times(gh, projection)
        former = _former(cells[before : before + known], known, c0, count)
        _each_row(
            _lstm_cell_backward, count, units, ggates[part], gc0[:count], gh, gates[part], cells[part], former
        )
        gh0[:count] = _times(ggates[part], weight)


@Loop
def _gru_cell(
    start: Int,
    stop: Int,
    out: Out2,
    gates: Out2,
    cells: Out2,
    sums: In2,
    h: In2,
    bias_n: In1,
    saves: Int,
) -> None:
    units = out.shape[1]
    for b in range(start, stop):
        for j in range(units):
            r = _sigmoid(gates[b, j] + sums[b, j])
            z = _sigmoid(gates[b, units + j] + sums[b, units + j])
            q = sums[b, 2 * units + j]
            if bias_n.size > 0:
                q += bias_n[j]
            n = math.tanh(gates[b, 2 * units + j] + r * q)
            out[b, j] = (1 - z) * n + z * h[b, j]
            if saves:
                gates[b, j] = r
                gates[b, units + j] = z
                gates[b, 2 * units + j] = n
                cells[b, j] = q


@kernel
def gru_forward(
    out: Array,
    h_n: Array,
    gates: Array,
    cells: Array | None,
    input: Array | None,
    input_weight: Array | None,
    bias: Array | None,
    h0: Array | None,
    weight: Array,
    bias_n: Array | None,
    batch_sizes: Array | None,
    reverse: bool,
) -> None:
    """h of every step; the gates' values and h W_n' + bias_n of every step where cells is given."""
    fits, batch, units, _, rows = _check_layer(3, h_n, gates, weight, batch_sizes, deciding=out)
    fits.writes("out", out, rows, units)
    fits.writes("h_n", h_n, batch, units)
    fits.writes("gates", gates, rows, 3 * units)
    fits.writes("cells", cells, rows, units)
    fits.reads("h0", h0, batch, units)
    fits.reads("bias_n", bias_n, units)
    _make_input(fits, gates, input, input_weight, bias)
    _start(h_n, h0)
    saves = cells is not None
    n_bias = nothing(out) if bias_n is None else bias_n
    for part, count, _, _ in _walk(len(out), len(h_n), batch_sizes, reverse):
        sums = _times(h_n[:count], weight.T)
        kept = cells[part] if cells is not None else nothing(out, 2)
        _each_row(
            _gru_cell, count, out.shape[1], out[part], gates[part], kept, sums, h_n[:count], n_bias, saves
        )
        h_n[:count] = out[part]


@Loop
def _gru_cell_backward(
    start: Int,
    stop: Int,
    ggates: Out2,
    gcells: Out2,
    flow: Out2,
    gh: Out2,
    gates: In2,
    cells: In2,
    former: In2,
) -> None:
    units = cells.shape[1]
    for b in range(start, stop):
        for j in range(units):
            r, z, n = gates[b, j], gates[b, units + j], gates[b, 2 * units + j]
            gn = gh[b, j] * (1 - z) * (1 - n * n)
            gr = gn * cells[b, j] * r * (1 - r)
            gz = gh[b, j] * (former[b, j] - n) * z * (1 - z)
            ggates[b, j] = flow[b, j] = gr
            ggates[b, units + j] = flow[b, units + j] = gz
            ggates[b, 2 * units + j] = gn
            gcells[b, j] = flow[b, 2 * units + j] = gn * r
            gh[b, j] *= z


@kernel
def gru_backward(
    ggates: Array,
    gcells: Array,
    gh0: Array,
    g: Array | None,
    gh_n: Array | None,
    out: Array,
    gates: Array,
    cells: Array,
    h0: Array | None,
    weight: Array,
    batch_sizes: Array | None,
    reverse: bool,
) -> None:
    """Gradients of the gates' inputs, of h W_n' + bias_n and of h0."""
    fits, batch, units, _, rows = _check_layer(3, gh0, ggates, weight, batch_sizes, deciding=ggates)
    fits.writes("ggates", ggates, rows, 3 * units)
    fits.writes("gcells", gcells, rows, units)
    fits.writes("gh0", gh0, batch, units)
    fits.reads("g", g, rows, units)
    fits.reads("gh_n", gh_n, batch, units)
    fits.reads("out", out, rows, units)
    fits.reads("gates", gates, rows, 3 * units)
    fits.reads("cells", cells, rows, units)
    fits.reads("h0", h0, batch, units)
    _start(gh0, gh_n)
    for part, count, before, known in reversed(list(_walk(len(out), len(gh0), batch_sizes, reverse))):
        gh = gh0[:count]
        _add(gh, g, part)
        former = _former(out[before : before + known], known, h0, count)
        flow = np.empty((count, 3 * units), out.dtype)
        _each_row(
            _gru_cell_backward,
            count,
            units,
            ggates[part],
            gcells[part],
            flow,
            gh,
            gates[part],
            cells[part],
            former,
        )
        np.add(gh, _times(flow, weight), out=gh)
