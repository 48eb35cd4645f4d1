"""Cases of recurrent layers. Every gate has weights of its own, so that no two can be exchanged unnoticed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._case import Case, Input, Op, normal, uniform

Array = np.ndarray


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _steps(x: Array, options: dict[str, Any]) -> list[slice]:
    """The rows of every step, in the order of the walk."""
    sizes = options.get("batch_sizes") or [x.shape[1]] * x.shape[0]
    ends = np.cumsum(sizes)
    steps = [slice(int(end) - n, int(end)) for end, n in zip(ends, sizes, strict=True)]
    return steps[::-1] if options.get("reverse") else steps


def _layer(x: Array, w_ih: Array, b_ih: Array | None, state: list[Array], cell: Any, options: Any) -> Any:
    """Walk: ``cell(a, state)`` gives the state after a step, h first."""
    a = x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) @ w_ih.T
    if b_ih is not None:
        a = a + b_ih
    out = np.empty((len(a), state[0].shape[1]), x.dtype)
    for rows in _steps(x, options):
        count = rows.stop - rows.start
        after = cell(a[rows], [s[:count] for s in state])
        for s, value in zip(state, after, strict=True):
            s[:count] = value
        out[rows] = after[0]
    return (out.reshape(*x.shape[:-1], out.shape[1]), *state)


def _initial(x: Array, given: Array | None, width: int, options: dict[str, Any]) -> Array:
    if given is not None:
        return given.copy()
    batch = options["batch_sizes"][0] if "batch_sizes" in options else x.shape[1]
    return np.zeros((batch, width), x.dtype)


def _hidden_product(h: Array, w_hh: Array, b_hh: Array | None) -> Array:
    return h @ w_hh.T if b_hh is None else h @ w_hh.T + b_hh


def _rnn(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    **options: Any,
) -> Any:
    def cell(a: Array, state: list[Array]) -> list[Array]:
        a = a + _hidden_product(state[0], w_hh, b_hh)
        return [np.maximum(a, 0) if options.get("nonlinearity") == "relu" else np.tanh(a)]

    return _layer(x, w_ih, b_ih, [_initial(x, h0, w_hh.shape[1], options)], cell, options)


def _lstm(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    c0: Array | None = None,
    w_hr: Array | None = None,
    **options: Any,
) -> Any:
    def cell(a: Array, state: list[Array]) -> list[Array]:
        i, f, g, o = np.split(a + _hidden_product(state[0], w_hh, b_hh), 4, axis=1)
        c = _sigmoid(f) * state[1] + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        return [h if w_hr is None else h @ w_hr.T, c]

    state = [
        _initial(x, h0, w_hh.shape[1], options),
        _initial(x, c0, w_hh.shape[0] // 4, options),
    ]
    return _layer(x, w_ih, b_ih, state, cell, options)


def _gru(
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None = None,
    b_hh: Array | None = None,
    h0: Array | None = None,
    **options: Any,
) -> Any:
    def cell(a: Array, state: list[Array]) -> list[Array]:
        x_r, x_z, x_n = np.split(a, 3, axis=1)
        h_r, h_z, h_n = np.split(_hidden_product(state[0], w_hh, b_hh), 3, axis=1)
        r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
        return [(1 - z) * np.tanh(x_n + r * h_n) + z * state[0]]

    return _layer(x, w_ih, b_ih, [_initial(x, h0, w_hh.shape[1], options)], cell, options)


def _call_lstm(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    return einkorn.ops.lstm(*arrays[:7], w_hr=arrays[7] if len(arrays) > 7 else None, **options)


def _torch(kind: str) -> Any:
    def run(torch: Any, x: Any, *given: Any, **options: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh, h0, c0, w_hr = (*given, *[None] * 7)[:7]
        name = f"rnn_{options.get('nonlinearity', 'tanh')}" if kind == "rnn" else kind
        units = w_hh.shape[0] // {"rnn": 1, "gru": 3, "lstm": 4}[kind]
        h0 = x.new_zeros(x.shape[1], w_hh.shape[1]) if h0 is None else h0
        c0 = x.new_zeros(x.shape[1], units) if c0 is None else c0
        state = (h0[None], c0[None]) if kind == "lstm" else h0[None]
        params = [w for w in (w_ih, w_hh, b_ih, b_hh, w_hr) if w is not None]
        x = x.flip(0) if options.get("reverse") else x
        results = getattr(torch._VF, name)(x, state, params, b_ih is not None, 1, 0.0, False, False, False)
        out = results[0].flip(0) if options.get("reverse") else results[0]
        return (out, *(s[0] for s in results[1:]))

    return run


def _flops(shapes: Any, out: tuple[int, ...], options: Any) -> float:
    x, w_ih, w_hh = shapes[:3]
    rows = x[0] * x[1] if len(x) == 3 else x[0]
    return 2.0 * rows * (w_ih[0] * w_ih[1] + w_hh[0] * w_hh[1])


rnn = Op("rnn", _rnn, _torch("rnn"), flops=_flops, backward=2.0, unit=1.0)
lstm = Op("lstm", _lstm, _torch("lstm"), call=_call_lstm, flops=_flops, backward=2.0, unit=1.0)
gru = Op("gru", _gru, _torch("gru"), flops=_flops, backward=2.0, unit=1.0)


def _weights(gates: int, features: int, units: int, projected: int = 0) -> list[Input]:
    """w_ih, w_hh and both biases."""
    bound = 1 / max(units, 1) ** 0.5
    rows = gates * units
    shapes = ((rows, features), (rows, projected or units), (rows,), (rows,))
    return [uniform(*shape, low=-bound, high=bound) for shape in shapes]


def _inputs(
    op: Op, steps: int, batch: int, features: int, units: int, projected: int = 0, sizes: Any = None
) -> list[Input]:
    """All inputs of a layer, with an initial state."""
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[op.name]
    x = normal(steps, batch, features) if sizes is None else normal(sum(sizes), features)
    states = [normal(batch, projected or units)] + ([normal(batch, units)] if op is lstm else [])
    last = [uniform(projected, units, low=-0.5, high=0.5)] if projected else []
    return [x, *_weights(gates, features, units, projected), *states, *last]


def _cases() -> list[Case]:
    cases = []
    ragged = {"batch_sizes": (5, 5, 3, 1, 1)}
    for op in (rnn, lstm, gru):
        cases += [
            op(*_inputs(op, 4, 3, 5, 6)).grad(),
            op(*_inputs(op, 4, 3, 5, 6), reverse=True).grad(),
            op(*_inputs(op, 5, 5, 3, 6, sizes=ragged["batch_sizes"]), **ragged)
            .grad()
            .unlike_torch("torch takes a PackedSequence"),
            op(*_inputs(op, 5, 5, 3, 6, sizes=ragged["batch_sizes"]), reverse=True, **ragged)
            .grad()
            .unlike_torch("torch takes a PackedSequence"),
            op(*_inputs(op, 4, 3, 5, 6)[:5]).grad().called("from zeros"),
            op(*_inputs(op, 4, 3, 5, 6)[:3]).grad().called("no bias"),
            op(*_inputs(op, 1, 1, 1, 1)).grad(),
            op(*_inputs(op, 0, 3, 5, 6)).unlike_torch("torch refuses a sequence without steps"),
            op(*_inputs(op, 4, 0, 5, 6)).unlike_torch("torch divides by zero in places"),
            op(*_inputs(op, 4, 3, 0, 6)).unlike_torch("torch refuses input without features"),
            op(*_inputs(op, 4, 3, 5, 0)).unlike_torch("torch refuses layers without units"),
        ]
        # Units and rows around vectors, tiles and the two ways to share the work.
        for units in (2, 15, 17, 32, 33):
            cases.append(op(*_inputs(op, 3, 2, 3, units)).grad())
        for batch in (1, 7, 8, 10, 15, 33):
            cases.append(op(*_inputs(op, 3, batch, 2, 20)).grad())
        for steps, batch, units in ((6, 48, 96), (4, 20, 260), (8, 1, 256), (5, 2, 400)):
            cases.append(op(*_inputs(op, steps, batch, 8, units)).grad().called("two threads"))
        for layout in ("reversed", "misaligned", "read-only"):
            cases.append(op(*(x.laid_out(layout) for x in _inputs(op, 3, 4, 5, 6))).grad())
    cases += [
        rnn(*_inputs(rnn, 4, 3, 5, 6), nonlinearity="relu").grad(),
        rnn(*_inputs(rnn, 4, 15, 5, 33), nonlinearity="relu", reverse=True).grad(),
    ]
    for projected in (1, 2, 16, 33):
        cases += [
            lstm(*_inputs(lstm, 3, 5, 4, 40, projected)).grad(),
            lstm(*_inputs(lstm, 5, 5, 4, 40, projected, ragged["batch_sizes"]), reverse=True, **ragged)
            .grad()
            .unlike_torch("torch takes a PackedSequence"),
        ]
    cases.append(lstm(*_inputs(lstm, 5, 33, 4, 300, 100)).grad().called("two threads"))
    for op in (lstm, gru, rnn):
        for steps, batch, features, units in (
            (64, 32, 65, 128),
            (100, 32, 256, 256),
            (128, 64, 512, 512),
            (50, 1, 256, 256),
        ):
            if op is rnn and units != 128:
                continue
            inputs = _inputs(op, steps, batch, features, units)[:5]
            cases += [op(*inputs).bench(), op(*inputs).grad().bench(quick=op is not rnn and units == 128)]
    return cases


CASES: list[Case] = _cases()
