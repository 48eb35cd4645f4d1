"""Recurrent layers: against torch with every option, packed sequences, the course's network."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import nn, ops
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.nn.utils import rnn as packing

torch = pytest.importorskip("torch")

KINDS = ("RNN", "LSTM", "GRU")


def twins(kind: str, *sizes: int, **options: Any) -> tuple[nn.Module, Any]:
    """The same layer twice, ours and torch's, in float64, every weight another number."""
    theirs = getattr(torch.nn, kind)(*sizes, **options).double()
    ours = getattr(nn, kind)(*sizes, **options).double()
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    return ours, theirs


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def flat(results: Any) -> list[Any]:
    """Nested results as a list of tensors, packed sequences by their data."""
    if isinstance(results, (packing.PackedSequence, torch.nn.utils.rnn.PackedSequence)):
        return [results.data]
    if isinstance(results, tuple):
        return [x for part in results for x in flat(part)]
    return [results]


def assert_same_step(ours: nn.Module, theirs: Any, mine: Any, other: Any) -> None:
    """Equal results, and after a backward pass from all of them equal gradients of the weights."""
    results, expected = flat(mine), flat(other)
    assert len(results) == len(expected)
    total, their_total = None, None
    for got, wanted in zip(results, expected, strict=True):
        assert got.shape == tuple(wanted.shape)
        np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), rtol=0, atol=1e-12)
        weights = draw(*got.shape, seed=5)
        part, their_part = (got * einkorn.Tensor(weights)).sum(), (wanted * torch.tensor(weights)).sum()
        total = part if total is None else total + part
        their_total = their_part if their_total is None else their_total + their_part
    total.backward()
    their_total.backward()
    for (name, parameter), other_parameter in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        wanted = other_parameter.grad.numpy()
        np.testing.assert_allclose(
            parameter.grad.numpy(), wanted, rtol=0, atol=1e-11 * (1 + np.abs(wanted).max()), err_msg=name
        )


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *((kind, {}) for kind in KINDS),
    *((kind, {"num_layers": 3}) for kind in KINDS),
    *((kind, {"bias": False}) for kind in KINDS),
    *((kind, {"batch_first": True}) for kind in KINDS),
    *((kind, {"bidirectional": True, "num_layers": 2}) for kind in KINDS),
    *((kind, {"bidirectional": True, "batch_first": True, "bias": False}) for kind in KINDS),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("LSTM", {"proj_size": 3}),
    ("LSTM", {"proj_size": 3, "num_layers": 2, "bidirectional": True, "batch_first": True}),
]


def states_of(theirs: Any, batch: tuple[int, ...]) -> list[np.ndarray]:
    layers = theirs.num_layers * (2 if theirs.bidirectional else 1)
    width = theirs.proj_size or theirs.hidden_size
    states = [draw(layers, *batch, width, seed=1)]
    if theirs.mode == "LSTM":
        states.append(draw(layers, *batch, theirs.hidden_size, seed=2))
    return states


def both_states(theirs: Any, batch: tuple[int, ...]) -> tuple[Any, Any, list[Any], list[Any]]:
    """The initial state as either side takes it, and its leaves."""
    mine = [einkorn.Tensor(s, requires_grad=True) for s in states_of(theirs, batch)]
    other = [torch.tensor(s, requires_grad=True) for s in states_of(theirs, batch)]
    if theirs.mode == "LSTM":
        return tuple(mine), tuple(other), mine, other
    return mine[0], other[0], mine, other


@pytest.mark.parametrize("given", [False, True], ids=["from zeros", "state given"])
@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_layers_match_torch(kind: str, options: dict[str, Any], given: bool, backend: str) -> None:
    ours, theirs = twins(kind, 4, 5, **options)
    data = draw(3, 2, 4) if options.get("batch_first") else draw(6, 3, 4)
    batch = data.shape[0] if options.get("batch_first") else data.shape[1]
    x, tx = einkorn.Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    hx, thx, mine, other = both_states(theirs, (batch,)) if given else (None, None, [], [])
    assert_same_step(ours, theirs, ours(x, hx), theirs(tx, thx))
    for leaf, wanted in zip([x, *mine], [tx, *other], strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), wanted.grad.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("given", [False, True], ids=["from zeros", "state given"])
@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_packed_sequences_match_torch(kind: str, options: dict[str, Any], given: bool, backend: str) -> None:
    ours, theirs = twins(kind, 4, 5, **options)
    first = options.get("batch_first", False)
    data = draw(4, 7, 4) if first else draw(7, 4, 4)
    lengths = [3, 7, 1, 7]
    x, tx = einkorn.Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    hx, thx, mine, other = both_states(theirs, (4,)) if given else (None, None, [], [])
    packed = packing.pack_padded_sequence(x, lengths, first, enforce_sorted=False)
    their_packed = torch.nn.utils.rnn.pack_padded_sequence(tx, torch.tensor(lengths), first, False)
    np.testing.assert_array_equal(packed.batch_sizes, their_packed.batch_sizes)
    out, state = ours(packed, hx)
    their_out, their_state = theirs(their_packed, thx)
    padded, found = packing.pad_packed_sequence(out, first, -2.0)
    their_padded, _ = torch.nn.utils.rnn.pad_packed_sequence(their_out, first, -2.0)
    assert found.tolist() == lengths
    assert_same_step(ours, theirs, (padded, state), (their_padded, their_state))
    for leaf, wanted in zip([x, *mine], [tx, *other], strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), wanted.grad.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_unbatched_input(kind: str) -> None:
    ours, theirs = twins(kind, 4, 5, num_layers=2, bidirectional=True)
    hx, thx, *_ = both_states(theirs, ())
    data = draw(6, 4)
    assert_same_step(ours, theirs, ours(einkorn.Tensor(data), hx), theirs(torch.tensor(data), thx))


@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "three"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})],
    ids=str,
)
def test_cells_match_torch(kind: str, options: dict[str, Any], bias: bool, batch: tuple[int, ...]) -> None:
    ours, theirs = twins(kind, 4, 5, bias=bias, **options)
    steps = draw(3, *batch, 4)
    state = their_state = None
    for step in steps:  # the state of one step is that of the next: gradients go back through all
        state, their_state = ours(einkorn.Tensor(step), state), theirs(torch.tensor(step), their_state)
    assert_same_step(ours, theirs, state, their_state)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_walk_as_layers_do(kind: str) -> None:
    layer, cell = getattr(nn, kind)(4, 5), getattr(nn, f"{kind}Cell")(4, 5)
    cell.load_state_dict({name.removesuffix("_l0"): v for name, v in layer.state_dict().items()})
    x = draw(6, 2, 4).astype(np.float32)
    state = None
    for step in x:
        state = cell(step, state)
    _, last = layer(x)
    for got, wanted in zip(flat(state), flat(last), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy()[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0, 1])
def test_a_gradient_of_one_result_alone(kind: str, part: int) -> None:
    """Only the output, or only the last state, is used; the other has no gradient."""
    ours, theirs = twins(kind, 4, 5)
    data = draw(6, 3, 4)
    mine, other = ours(einkorn.Tensor(data))[part], theirs(torch.tensor(data))[part]
    assert_same_step(ours, theirs, flat(mine)[-1], flat(other)[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_that_is_kept_gives_its_gradients_again(kind: str) -> None:
    layer = getattr(nn, kind)(4, 5)
    out, state = layer(draw(6, 3, 4).astype(np.float32))
    loss = out.sum() + flat(state)[0].sum()
    loss.backward(retain_graph=True)
    once = [p.grad.numpy().copy() for p in layer.parameters()]
    layer.zero_grad()
    loss.backward()
    for first, second in zip(once, layer.parameters(), strict=True):
        assert first.tobytes() == second.grad.numpy().tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_were_overwritten_are_noticed(kind: str) -> None:
    layer = getattr(nn, kind)(4, 5)
    out, _ = layer(draw(6, 3, 4).astype(np.float32))
    nn.init.zeros_(layer.weight_hh_l0)
    with pytest.raises(einkorn.GradientError, match="overwritten"):
        out.sum().backward()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(9, 48, 40), (7, 3, 300), (12, 1, 256), (5, 40, 200)], ids=str)
def test_same_bits_for_any_number_of_threads(kind: str, sizes: tuple[int, int, int]) -> None:
    steps, batch, units = sizes
    layer = getattr(nn, kind)(24, units)
    x = draw(steps, batch, 24).astype(np.float32)

    def bits(threads: int) -> list[bytes]:
        layer.zero_grad()
        with einkorn.num_threads(threads):
            out, _ = layer(x)
            (out * out).sum().backward()
        return [out.numpy().tobytes(), *(p.grad.numpy().tobytes() for p in layer.parameters())]

    one = bits(1)
    assert bits(2) == one
    assert bits(4) == one


def test_arrays_and_tensors_without_gradient_give_the_recorded_values() -> None:
    """What is not saved for a backward pass changes nothing."""
    for op, gates in ((ops.rnn, 1), (ops.lstm, 4), (ops.gru, 3)):
        arrays = [draw(5, 3, 4), draw(gates * 6, 4), draw(gates * 6, 6), draw(gates * 6), draw(gates * 6)]
        plain = op(*arrays)
        recorded = op(*(einkorn.Tensor(a, requires_grad=True) for a in arrays))
        for a, b in zip(plain, recorded, strict=True):
            assert isinstance(a, np.ndarray)
            assert a.tobytes() == b.numpy().tobytes()


def test_dropout_between_layers() -> None:
    """While training only, and never after the last layer."""
    layer = nn.GRU(4, 5, num_layers=2, dropout=1.0)
    x = draw(6, 3, 4).astype(np.float32)
    second = nn.GRU(5, 5)
    second.load_state_dict(
        {k.replace("_l1", "_l0"): v for k, v in layer.state_dict().items() if k.endswith("_l1")}
    )
    dropped, _ = layer(x)
    nothing, _ = second(np.zeros((6, 3, 5), np.float32))
    assert dropped.numpy().tobytes() == nothing.numpy().tobytes()
    layer.eval()
    assert layer(x)[0].numpy().tobytes() != nothing.numpy().tobytes()
    with pytest.warns(UserWarning, match="num_layers is 1"):
        nn.LSTM(4, 5, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(4, 5, num_layers=2, dropout=0.5)


def test_initial_values() -> None:
    layer = nn.LSTM(3, 400)
    for parameter in layer.parameters():
        values = parameter.numpy()
        assert np.abs(values).max() <= 0.05
        assert values.std() == pytest.approx(0.05 / 3**0.5, rel=0.05)


def test_hello() -> None:
    """The course's network on "hello": states, probabilities and the loss, figure by figure."""
    w_xh = [[0.3, 1, 0.1, 0.5], [-0.1, 0.3, -0.3, 0.1], [-0.1, 0.1, -0.5, -0.5]]
    w_hh = [[0.1, 0.4, 0.8], [-0.1, 0.5, -0.2], [0.9, 0.2, 0.6]]
    w_hy = [[0.3, 0.9, 0.1], [0.2, -0.6, 0.5], [-0.1, 0.1, 0.5], [0.1, 1, 0.2]]
    layer = nn.RNN(4, 3, bias=False)
    layer.load_state_dict({"weight_ih_l0": np.array(w_xh), "weight_hh_l0": np.array(w_hh)})
    letters = np.eye(4, dtype=np.float32)
    out, last = layer(letters[[0, 1, 2, 2]])  # h e l l
    states = [
        [0.2913, -0.0997, -0.0997],
        [0.7209, 0.2364, 0.2752],
        [0.4517, -0.2995, 0.3463],
        [0.2935, -0.5110, 0.0543],
    ]
    np.testing.assert_allclose(out.numpy(), states, rtol=0, atol=6e-5)
    np.testing.assert_allclose(last.numpy()[0], states[-1], rtol=0, atol=6e-5)
    scores = ops.matmul(out, np.array(w_hy, np.float32).T)
    targets = np.array([1, 2, 2, 3])  # e l l o
    found = ops.softmax(scores).numpy()[np.arange(4), targets]
    np.testing.assert_allclose(found, [0.2754, 0.2078, 0.2508, 0.1667], rtol=0, atol=6e-5)
    assert ops.cross_entropy(scores, targets).item() == pytest.approx(1.5087, abs=6e-5)


# --- packing --------------------------------------------------------------------------------------


def test_packing_and_back() -> None:
    x = draw(5, 3, 2)
    packed = packing.pack_padded_sequence(x, [2, 5, 4], enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 3, 2, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 2, 0]
    assert packed.unsorted_indices.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(packed.data[:3], x[0, [1, 2, 0]])
    padded, lengths = packing.pad_packed_sequence(packed, batch_first=True, padding_value=7, total_length=6)
    assert lengths.tolist() == [2, 5, 4]
    wanted = np.full((3, 6, 2), 7.0)
    for b, n in enumerate(lengths):
        wanted[b, :n] = x[:n, b]
    np.testing.assert_array_equal(padded, wanted)


def test_sorted_sequences_are_not_moved() -> None:
    packed = packing.pack_padded_sequence(draw(4, 3, 2), np.array([4, 4, 1]))
    assert packed.sorted_indices is None
    assert packed.unsorted_indices is None
    assert packing.invert_permutation(None) is None


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("first", [True, False])
def test_pad_sequence(first: bool, side: str) -> None:
    arrays = [draw(n, 2) for n in (3, 5, 1)]
    mine = [einkorn.Tensor(a, requires_grad=True) for a in arrays]
    padded = packing.pad_sequence(mine, first, 0.5, side)
    wanted = torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], first, 0.5, side)
    np.testing.assert_array_equal(padded.numpy(), wanted.numpy())
    weights = draw(*padded.shape)
    (padded * einkorn.Tensor(weights)).sum().backward()
    by_sequence = weights if first else weights.swapaxes(0, 1)
    for leaf, g in zip(mine, by_sequence, strict=True):
        part = g[: len(leaf)] if side == "right" else g[-len(leaf) :]
        np.testing.assert_array_equal(leaf.grad.numpy(), part)


def test_lists_of_sequences() -> None:
    arrays = [draw(n, 2) for n in (3, 5, 1)]
    packed = packing.pack_sequence(arrays, enforce_sorted=False)
    for got, wanted in zip(packing.unpack_sequence(packed), arrays, strict=True):
        np.testing.assert_array_equal(got, wanted)
    padded = packing.pad_sequence(arrays, batch_first=True)
    for got, wanted in zip(packing.unpad_sequence(padded, [3, 5, 1], batch_first=True), arrays, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_packing_refuses_by_name() -> None:
    x = draw(4, 3, 2)
    pack = packing.pack_padded_sequence
    with pytest.raises(ArgumentError, match=r"lengths is \[1, 4, 2\], expected the longest sequence first"):
        pack(x, [1, 4, 2])
    with pytest.raises(ArgumentError, match=r"lengths\[2\] is 0, expected 1 to 4"):
        pack(x, [4, 4, 0])
    with pytest.raises(ArgumentError, match=r"lengths\[0\] is 5, expected 1 to 4"):
        pack(x, [5, 4, 1])
    with pytest.raises(ShapeError, match="lengths has 2 entries, expected 3"):
        pack(x, [4, 4])
    with pytest.raises(DTypeError, match="lengths"):
        pack(x, [4.0, 3.0, 2.0])
    with pytest.raises(ShapeError, match=r"input has shape \(4,\)"):
        pack(draw(4), [4])
    with pytest.raises(ArgumentError, match="total_length is 3, expected at least 4"):
        packing.pad_packed_sequence(pack(x, [4, 3, 1]), total_length=3)
    with pytest.raises(DTypeError, match="sequence is a ndarray"):
        packing.pad_packed_sequence(x)
    with pytest.raises(ShapeError, match="sequences is empty"):
        packing.pad_sequence([])
    with pytest.raises(ShapeError, match=r"sequences\[1\] has shape \(3, 1\)"):
        packing.pad_sequence([draw(3, 2), draw(3, 1)])
    with pytest.raises(ArgumentError, match="padding_side is 'up'"):
        packing.pad_sequence([draw(3, 2)], padding_side="up")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_layers_refuse_by_name(kind: str) -> None:
    make = getattr(nn, kind)
    layer = make(4, 5, num_layers=2)
    x = draw(6, 3, 4).astype(np.float32)
    with pytest.raises(ShapeError, match=rf"{kind}: input has shape \(6, 3, 3\), expected 4 features"):
        layer(x[..., :3])
    with pytest.raises(ShapeError, match=rf"{kind}: input has shape \(4,\), expected 2 or 3"):
        layer(x[0, 0])
    state = np.zeros((1, 3, 5), np.float32)
    with pytest.raises(ShapeError, match=rf"{kind}: h_0 has shape \(1, 3, 5\), expected \(2, 3, 5\)"):
        layer(x, (state, state) if kind == "LSTM" else state)
    with pytest.raises(DTypeError, match="float64"):
        layer(x.astype(np.float64))
    for key, value in (("hidden_size", 0), ("num_layers", 0), ("input_size", -1)):
        with pytest.raises(ArgumentError, match=rf"{kind}: {key} is {value}"):
            make(**{"input_size": 4, "hidden_size": 5, key: value})
    with pytest.raises(ArgumentError, match=f"{kind}: dropout is 2"):
        make(4, 5, dropout=2)
    with pytest.raises(ArgumentError, match=f"{kind}: bias is 'no'"):
        make(4, 5, bias="no")


def test_options_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="proj_size is 5, expected less than the 5"):
        nn.LSTM(4, 5, proj_size=5)
    with pytest.raises(ArgumentError, match="nonlinearity is 'sigmoid'"):
        nn.RNN(4, 5, nonlinearity="sigmoid")
    with pytest.raises(ArgumentError, match="hx is a ndarray, expected a pair"):
        nn.LSTM(4, 5)(draw(6, 3, 4), draw(1, 3, 5))
    with pytest.raises(ArgumentError, match="hx is a ndarray, expected a pair"):
        nn.LSTMCell(4, 5)(draw(3, 4), draw(3, 5))
    with pytest.raises(ShapeError, match=r"GRUCell: h has shape \(2, 5\), expected \(3, 5\)"):
        nn.GRUCell(4, 5)(draw(3, 4), draw(2, 5))


def test_ops_refuse_by_name() -> None:
    x, w_ih, w_hh = draw(6, 3, 4), draw(20, 4), draw(20, 5)
    with pytest.raises(ShapeError, match=r"lstm: w_ih has shape \(20, 3\), expected \(20, 4\)"):
        ops.lstm(x, w_ih[:, :3], w_hh)
    with pytest.raises(ShapeError, match=r"lstm: w_hh has shape \(18, 5\), expected \(4 \* hidden, hidden\)"):
        ops.lstm(x, w_ih, w_hh[:18])
    with pytest.raises(ShapeError, match=r"lstm: w_hh has shape \(20, 4\)"):
        ops.lstm(x, w_ih, w_hh[:, :4])
    with pytest.raises(ShapeError, match=r"gru: b_hh has shape \(14,\), expected \(15,\)"):
        ops.gru(x, draw(15, 4), draw(15, 5), draw(15), draw(14))
    with pytest.raises(ShapeError, match="batch_sizes"):
        ops.rnn(draw(6, 4), draw(5, 4), draw(5, 5), batch_sizes=[2, 4])
    with pytest.raises(DTypeError, match="batch_sizes"):
        ops.rnn(draw(6, 4), draw(5, 4), draw(5, 5), batch_sizes=[3.0, 3.0])
    with pytest.raises(DTypeError, match="h0 has dtype float32, expected float64"):
        ops.rnn(x, draw(5, 4), draw(5, 5), None, None, draw(3, 5).astype(np.float32))
    with pytest.raises(ArgumentError, match="nonlinearity is 'elu'"):
        ops.rnn(x, draw(5, 4), draw(5, 5), nonlinearity="elu")
