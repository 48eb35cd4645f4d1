"""``einkorn bench``: its rows can be made and run, its arithmetic is right, its output is what it says."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from einkorn import bench
from einkorn.bench import alone, calm, machine, networks, rows, table, timing
from einkorn.bench.peers import Peers
from einkorn.cases import conv, elementwise, matmul
from einkorn.cases._case import normal
from einkorn.errors import ArgumentError

MACHINE = machine.Machine(
    flops=100e9,
    bandwidth={1 << 20: 200e9, 1 << 28: 50e9},
    threads=2,
    mode="native avx2",
    how="by hand",
    share=1.0,
)


def result(ours: float, peer: float | None, flops: float, traffic: float) -> table.Result:
    row = rows.Row("matmul", "matmul", "8x8 8x8", lambda peers: None)
    limit = MACHINE.least_seconds(flops, traffic)
    timings = (
        {} if peer is None else {"slow": timing.Timing((2 * peer,) * 5), "fast": timing.Timing((peer,) * 5)}
    )
    return table.Result(row, timing.Timing((ours,) * 5), timings, flops, traffic, limit)


def test_cost_of_products() -> None:
    forward = matmul.matmul(normal(3, 4), normal(4, 5))
    assert forward.cost((3, 5)) == (2 * 3 * 4 * 5, 4 * (12 + 20 + 15))
    flops, traffic = forward.grad().cost((3, 5))  # two more products; gradients read and written
    assert flops == 3 * 2 * 3 * 4 * 5
    assert traffic == 4 * (12 + 20 + 15) + 4 * (15 + 12 + 20 + 12 + 20)
    layer = conv.conv2d(normal(2, 3, 8, 8), normal(4, 3, 3, 3), normal(4))
    assert layer.cost((2, 4, 6, 6))[0] == 2 * (2 * 4 * 6 * 6) * 27
    assert elementwise.add(normal(7), normal(7)).cost((7,)) == (7, 4 * 21)


def test_roofline() -> None:
    """The longer of arithmetic and memory; memory by the size of the working set."""
    assert MACHINE.least_seconds(100e9, 1) == 1.0
    assert MACHINE.least_seconds(0, 200e3) == 1e-6
    assert MACHINE.least_seconds(0, 500e6) == 10e-3


def test_result() -> None:
    busy = result(2e-3, 3e-3, 100e6, 1e3)
    assert busy.rate == "50.0 GFLOP/s"
    assert busy.fraction == pytest.approx(0.5)
    assert busy.ratio == pytest.approx(1.5)
    assert busy.cells() == ("matmul", "8x8 8x8", "2", "0%", "50.0 GFLOP/s", "50%", "fast", "3", "1.50x")
    moving = result(1e-3, None, 1e3, 100e6)
    assert moving.rate == "100.0 GB/s"
    assert moving.ratio is None
    assert moving.fastest is None
    assert moving.cells()[-3:] == ("", "", "")


def test_a_disturbed_row_has_no_ratio() -> None:
    """Nor a figure of the side that was disturbed: it says why instead."""
    shown = result(2e-3, 3e-3, 100e6, 1e3)
    left_out = dataclasses.replace(shown, reason=calm.DISTURBED)
    assert left_out.ratio is None
    assert left_out.cells()[2:] == ("2", "0%", "50.0 GFLOP/s", "50%", "fast", "", calm.DISTURBED)
    ours = dataclasses.replace(left_out, ours=dataclasses.replace(shown.ours, disturbed=True))
    assert ours.cells()[2:] == ("", "", "", "", "fast", "", calm.DISTURBED)


def test_markdown_and_json() -> None:
    results = [
        result(2e-3, 3e-3, 100e6, 1e3),
        result(1e-3, None, 1e3, 100e6),
        dataclasses.replace(result(2e-3, 3e-3, 100e6, 1e3), reason=calm.DISTURBED),
    ]
    versions = {"fast": "2.0", "slow": "1.0"}
    lines = [*table.markdown_header().splitlines(), *map(table.markdown_row, results)]
    assert lines[0].startswith("| operation | shape | ms |")
    assert {line.count("|") for line in lines} == {10}
    data = json.loads(table.as_json(results, MACHINE, versions))
    assert data["threads"] == 2
    assert data["peers"] == versions
    assert [row["fastest_peer"] for row in data["rows"]] == ["fast", None, "fast"]
    assert data["rows"][0]["peers"]["slow"]["median_s"] == pytest.approx(6e-3)
    assert [row["ratio_to_peer"] for row in data["rows"]] == [pytest.approx(1.5), None, None]
    assert [row["reason"] for row in data["rows"]] == [None, None, calm.DISTURBED]
    assert data["rows"][0]["fraction_of_limit"] == pytest.approx(0.5)


def test_busy_machines_are_told() -> None:
    assert "other programs" not in table.format_machine(MACHINE)
    busy = machine.Machine(1e9, {1 << 20: 1e9}, 2, "numba", "by hand", share=0.5)
    assert "other programs are running: 2 busy threads got 50%" in table.format_machine(busy)


def test_turns_alternate() -> None:
    """Both calls are warmed and take as many turns, neither always first."""
    order: list[str] = []
    timings = timing.interleave([lambda: order.append("a"), lambda: order.append("b")], seconds=0.0)
    assert [len(t.turns) for t in timings] == [5, 5]
    turns = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert turns[:5] == ["a", "b", "a", "b", "a"]  # warm-up of each; first turn ab, second ba, ...
    assert all(t.median > 0 for t in timings)


@pytest.mark.parametrize("family", rows.FAMILIES)
def test_rows_run(family: str, engine: str) -> None:
    """Every row of the quick benchmark, on all sides that are installed."""
    peers = Peers(threads=1)
    for row in rows.rows_of([family], quick=True):
        prepared = row.prepare(peers)
        assert set(prepared.peers) == {name for name in row.peers if peers.get(name) is not None}
        for call in (prepared.ours, *prepared.peers.values()):
            call()
        assert prepared.flops > 0 or family == "embedding"  # which looks up and computes nothing
        assert prepared.traffic > 0


def test_rows_of_results_without_gradients_run() -> None:
    """Batch norm gives running statistics beside its output."""
    peers = Peers(threads=1)
    row = next(
        row for row in rows.rows_of(["norm"], quick=False) if "batch_norm fwd+bwd 8192x256" in row.title
    )
    prepared = row.prepare(peers)
    for call in (prepared.ours, *prepared.peers.values()):
        assert len(call()) == 3


def test_peers() -> None:
    """Absent, unwanted and unknown libraries."""
    peers = Peers(["torch"])
    assert peers.get("lightgbm") is None
    assert peers.versions() == {}
    with pytest.raises(ArgumentError, match=r"^bench: peer is 'jax', expected one of torch, "):
        Peers(["jax"])


def test_a_peer_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    peers = Peers()
    assert peers.get("xgboost") is None
    assert peers.versions() == {}


def test_names_of_rows_are_unique() -> None:
    names = [(row.name, row.shape) for row in rows.rows_of()]
    assert len(names) == len(set(names))


def test_training_sides_are_the_same_network(torch: Any) -> None:
    """As many parameters, in the same order, on both sides of each training row."""
    from einkorn.bench import training

    pairs = [
        (training._mlp, training._torch_mlp),
        (training._lenet, training._torch_lenet),
        (training._keras_cnn, training._torch_keras_cnn),
    ]
    for ours, theirs in pairs:
        shapes = [tuple(p.shape) for p in ours().parameters()]
        assert shapes == [tuple(p.shape) for p in theirs(torch).parameters()]


def test_networks_are_the_same_on_both_sides(torch: Any) -> None:
    """The same parameters give the same scores; parameters lie in the same order on both sides."""
    theirs = networks.torch_networks(torch)
    characters = np.random.default_rng(0).integers(0, 65, (2, 16))
    images = np.random.default_rng(1).standard_normal((4, 3, 32, 32)).astype(np.float32)
    made, judged = zip(networks.dcgan(), networks.torch_dcgan(torch), strict=True)
    noise = np.random.default_rng(2).standard_normal((2, 100, 1, 1)).astype(np.float32)
    pictures = np.random.default_rng(3).standard_normal((2, 3, 64, 64)).astype(np.float32)
    for (ours, peer), x in (
        ((networks.ResNet18(), theirs.ResNet18()), images),
        ((networks.CharRecurrent("LSTM"), theirs.CharRecurrent("LSTM")), characters),
        ((networks.CharRecurrent("GRU"), theirs.CharRecurrent("GRU")), characters),
        ((networks.Gpt(2, 64, 2, 16), theirs.Gpt(2, 64, 2, 16)), characters),
        (made, noise),
        (judged, pictures),
    ):
        pairs = list(zip(ours.parameters(), peer.parameters(), strict=True))
        assert [tuple(a.shape) for a, _ in pairs] == [tuple(b.shape) for _, b in pairs]
        with torch.no_grad():
            for a, b in pairs:
                b.copy_(torch.from_numpy(a.numpy()))
            expected = peer(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(ours(x).numpy(), expected, rtol=2e-3, atol=2e-4)


def test_epochs_by_keras_names_learn() -> None:
    from einkorn.bench import fits

    prepared = fits.fit_row("MLP", 160, 1.0).prepare(Peers([], threads=1))
    first = prepared.ours()
    assert 2 < first < 3
    assert prepared.ours() < first


def test_every_result_is_differentiated(torch: Any) -> None:
    """A layer with several results has rows too, on both sides."""
    (row,) = rows.rows_of(["rnn"], pattern=r"^rnn: gru fwd\+bwd 50x1x256")
    prepared = row.prepare(Peers(threads=1))
    ours, theirs = prepared.ours(), prepared.peers["torch"]()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-3)
    assert prepared.flops == 3 * 2 * 50 * (768 * 256 * 2)


def test_slow_calls_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that takes very long does not hold up the run; the other side has its turns."""
    monkeypatch.setattr(timing, "_ONCE", 0.05)
    made: list[str] = []

    def slow() -> None:
        made.append("slow")
        time.sleep(0.06)

    ours, theirs = timing.interleave([lambda: made.append("quick"), slow], seconds=0.0)
    assert made.count("slow") == 1
    assert len(ours.turns) == 5
    assert theirs.median >= 0.06
    assert theirs.spread == 0.0


def _row(name: str = "noop", **options: Any) -> rows.Row:
    def prepare(peers: Peers) -> rows.Prepared:
        return rows.Prepared(lambda: None, {"torch": lambda: None}, 1e6, 1e3)

    return rows.Row("matmul", name, "1x1", prepare, **options)


class _Clock:
    """Stands for interleave: gives disturbed timings so many times, and counts its calls."""

    def __init__(self, disturbed: int) -> None:
        self.disturbed = disturbed
        self.calls: list[bool] = []

    def __call__(self, calls: Any, seconds: float, beside_others: bool = False) -> list[timing.Timing]:
        self.calls.append(beside_others)
        is_disturbed = len(self.calls) <= self.disturbed
        return [timing.Timing((1e-3,) * 5, is_disturbed), timing.Timing((2e-3,) * 5)]


@pytest.mark.parametrize(("disturbed", "measured"), [(0, 1), (2, 3)])
def test_a_disturbed_row_is_measured_again(
    disturbed: int, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(disturbed)
    monkeypatch.setattr(bench, "interleave", clock)
    monkeypatch.setattr(calm, "is_calm", lambda: True)
    found = bench.measure_row(_row(), MACHINE, Peers())
    assert len(clock.calls) == measured
    assert found.ratio == pytest.approx(2.0)


def test_a_machine_that_is_never_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded, for a row and for the run; then the ratio is left out."""
    clock = _Clock(disturbed=100)
    monkeypatch.setattr(bench, "interleave", clock)
    monkeypatch.setattr(calm, "is_calm", lambda: False)
    monkeypatch.setattr(calm, "_PAUSE", 0.01)
    patience = calm.Patience(total=0.05, at_once=0.03)
    for tried in (1, 2, 3):
        found = bench.measure_row(_row(), MACHINE, Peers(), patience=patience)
        assert found.ratio is None
        assert found.reason == calm.DISTURBED
        assert len(clock.calls) == tried
    assert patience.left == 0.0


def test_a_row_beside_one_busy_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process runs while the row is timed, and its disturbance is what is measured."""
    events: list[str] = []

    @contextlib.contextmanager
    def busy() -> Iterator[None]:
        events.append("starts")
        yield
        events.append("ends")

    clock = _Clock(disturbed=100)
    monkeypatch.setattr(bench, "busy_process", busy)
    monkeypatch.setattr(bench, "interleave", lambda *a, **k: [events.append("timed"), clock(*a, **k)][1])
    found = bench.measure_row(_row(beside_busy=True), MACHINE, Peers())
    assert events == ["starts", "timed", "ends"]
    assert clock.calls == [True]
    assert found.ratio == pytest.approx(2.0)
    beside = list(rows.rows_of(["busy"]))
    assert all(row.beside_busy and row.name.endswith(" beside one busy process") for row in beside)
    assert {row.name.split()[0] for row in beside} == {"relu", "matmul", "LeNet-5"}


def test_the_busy_process_ends() -> None:
    with calm.busy_process() as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_peers_are_compared_with_themselves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is more than 15% quicker in a process of its own is not what is shown."""
    monkeypatch.setattr(bench, "interleave", _Clock(0))
    for seconds, ratio in ((1.8e-3, 2.0), (1.7e-3, None), (None, 2.0)):
        monkeypatch.setattr(bench, "time_alone", lambda row, name, threads, s=seconds: s)
        found = bench.measure_row(_row(), MACHINE, Peers(), alone=True)
        assert found.ratio == (None if ratio is None else pytest.approx(ratio))
        assert found.reason == ("" if ratio else "left out: torch alone takes 1.7 ms, here 2")


def test_a_peer_alone(torch: Any) -> None:
    (row,) = rows.rows_of(["softmax"], pattern=r"^softmax: softmax 512x10$")
    seconds = alone.time_alone(row, "torch", threads=1)
    assert seconds is None or 0 < seconds < 1


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark that runs each call a few times and does not measure the machine."""
    monkeypatch.setattr(bench, "measure_machine", lambda quick: MACHINE)
    monkeypatch.setattr(
        bench, "interleave", lambda calls, seconds: timing.interleave(calls, 0.0, beside_others=True)
    )


def test_main(instant: None, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    results = bench.main(["softmax"], quick=True, peers=(), json=str(file))
    out = capsys.readouterr().out
    assert out.splitlines()[-len(results) - 1 : -1] == [table.format_row(r.cells()) for r in results]
    assert len(json.loads(file.read_text())["rows"]) == len(results) > 0


@pytest.mark.parametrize("as_markdown", [False, True])
def test_each_row_is_printed_when_it_is_done(
    as_markdown: bool, instant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And flushed: whoever reads a pipe sees it."""
    written: list[str] = []

    class Pipe(io.StringIO):
        def flush(self) -> None:
            written.append(self.getvalue().splitlines()[-1])

    monkeypatch.setattr("sys.stdout", Pipe())
    results = bench.main(["softmax"], peers=(), rows="512x10|4096", as_markdown=as_markdown)
    line = table.markdown_row if as_markdown else lambda r: table.format_row(r.cells())
    assert len(results) > 1
    assert written[1:] == [line(r) for r in results]


def test_rows_by_pattern() -> None:
    """Found in family, name or shape, capitals or not."""
    chosen = [row.title for row in rows.rows_of(pattern="MATMUL: matmul 256x256")]
    assert chosen == ["matmul: matmul 256x256 256x256"]
    assert {row.family for row in rows.rows_of(pattern="^softmax:")} == {"softmax"}


def test_main_refusals() -> None:
    with pytest.raises(
        ArgumentError, match=r"^bench: family is 'convolution', expected one of .*attention, "
    ):
        bench.main(["matmul", "convolution"])
    with pytest.raises(ArgumentError, match=r"^bench: peer is 'jax'"):
        bench.main(["matmul"], peers=["jax"])
    with pytest.raises(ArgumentError, match=r"^bench: no row has 'matmull' in its family, name and shape"):
        bench.main(rows="matmull")
    with pytest.raises(ArgumentError, match=r"^bench: rows is '\(', which is no regular expression"):
        bench.main(rows="(")


def test_inputs_follow_from_the_name() -> None:
    """The same case makes the same numbers, in float32 as in float64."""
    case = matmul.matmul(normal(3, 4), normal(4, 5))
    again = matmul.matmul(normal(3, 4), normal(4, 5))
    for a, b, wide in zip(case.make(np.float32), again.make(np.float32), case.make(np.float64), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, wide.astype(np.float32))
