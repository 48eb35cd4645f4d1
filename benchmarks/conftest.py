"""The rows of ``einkorn bench`` under pytest-benchmark: once for einkorn, once for each peer, in groups."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import pytest

from einkorn import runtime
from einkorn.bench.machine import Machine, measure_machine
from einkorn.bench.peers import Peers
from einkorn.bench.rows import Prepared, Row, rows_of
from einkorn.bench.timing import calls_per_turn, settle, warm

OURS = "einkorn"
_SECONDS = 1.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=2, help="threads of einkorn and of its peer alike")
    parser.addoption("--quick", action="store_true", help="only the rows of einkorn bench --quick")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        families = metafunc.module.FAMILIES
        rows = list(rows_of(families, metafunc.config.getoption("--quick")))
        pairs = [(row, side) for row in rows for side in (OURS, *row.peers)]
        ids = [f"{row.name} {row.shape} {side}" for row, side in pairs]
        metafunc.parametrize(("row", "side"), pairs, ids=ids)


@pytest.fixture(scope="session")
def threads(request: pytest.FixtureRequest) -> Any:
    before = runtime.get_num_threads()
    runtime.set_num_threads(request.config.getoption("--threads"))
    yield runtime.get_num_threads()
    runtime.set_num_threads(before)


@pytest.fixture(scope="session")
def machine(threads: int) -> Machine:
    return measure_machine()


@pytest.fixture(scope="session")
def peers(threads: int) -> Peers:
    return Peers(threads=threads)


@functools.lru_cache(maxsize=1)  # the sides of a row follow each other and share their data
def _prepared(row: Row, peers: Peers) -> tuple[Prepared, int]:
    """The data of a row, and how many calls make one turn: the same for all sides, so that they compare."""
    prepared = row.prepare(peers)
    return prepared, calls_per_turn(prepared.ours)


@pytest.fixture
def measure(benchmark: Any, machine: Machine, peers: Peers) -> Any:
    """Time one side of a row; before each turn the other sides run, so that all meet the same caches."""

    def run(row: Row, side: str) -> None:
        prepared, count = _prepared(row, peers)
        sides = {OURS: prepared.ours, **prepared.peers}
        if side not in sides:
            pytest.skip(f"{side} is not installed")
        call = sides[side]
        others = [sides[name] for name in sides if name != side]

        def before() -> None:
            for other in others:
                other()
            settle()
            warm(call)

        def turn() -> None:
            for _ in range(count):
                call()

        benchmark.group = f"{row.family}: {row.name} {row.shape}"
        benchmark.name = f"{side} x{count}" if count > 1 else side
        benchmark.pedantic(turn, setup=before, rounds=_rounds(turn), iterations=1, warmup_rounds=1)
        median = benchmark.stats.stats.median / count
        limit = machine.least_seconds(prepared.flops, prepared.traffic)
        benchmark.extra_info.update(
            side=side,
            engine=machine.mode,
            threads=machine.threads,
            calls=count,
            gflops=prepared.flops / median / 1e9,
            gbytes=prepared.traffic / median / 1e9,
            fraction_of_limit=limit / median,
        )

    return run


def _rounds(turn: Any) -> int:
    start = time.perf_counter()
    turn()
    return min(max(int(_SECONDS / (time.perf_counter() - start)), 5), 100)


def pytest_benchmark_update_json(config: Any, benchmarks: Sequence[Any], output_json: dict[str, Any]) -> None:
    """Put the ratio to the fastest peer beside each of einkorn's figures."""
    medians: dict[str, dict[str, float]] = {}
    for entry in output_json["benchmarks"]:
        medians.setdefault(entry["group"], {})[entry["extra_info"]["side"]] = entry["stats"]["median"]
    for entry in output_json["benchmarks"]:
        sides = medians[entry["group"]]
        peers = [name for name in sides if name != OURS]
        if peers and entry["extra_info"]["side"] == OURS:
            fastest = min(peers, key=sides.__getitem__)
            ratio = sides[fastest] / entry["stats"]["median"]
            entry["extra_info"].update(fastest_peer=fastest, ratio_to_peer=ratio)
