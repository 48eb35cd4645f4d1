"""``einkorn bench``: kernels against this machine's limits, and against other libraries where installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from einkorn import runtime
from einkorn.bench.machine import Machine, measure_machine
from einkorn.bench.peers import PEERS, Peers
from einkorn.bench.rows import FAMILIES, Row, rows_of
from einkorn.bench.table import (
    HEADER,
    Result,
    as_json,
    format_machine,
    format_row,
    format_versions,
    markdown,
)
from einkorn.bench.timing import interleave

__all__ = ["FAMILIES", "PEERS", "Peers", "main", "measure_row"]


def measure_row(row: Row, machine: Machine, peers: Peers, quick: bool = False) -> Result:
    """Measure one row, by turns with its peers where there are any."""
    prepared = row.prepare(peers)
    ours, *others = interleave([prepared.ours, *prepared.peers.values()], seconds=0.3 if quick else 1.5)
    flops, traffic = prepared.flops, prepared.traffic
    timings = dict(zip(prepared.peers, others, strict=True))
    return Result(row, ours, timings, flops, traffic, machine.least_seconds(flops, traffic))


def main(
    families: Sequence[str] | None = None,
    threads: int | None = 2,
    quick: bool = False,
    peers: Sequence[str] | None = None,
    *,
    json: str | None = None,
    as_markdown: bool = False,
) -> list[Result]:
    """Measure and print the table.

    Parameters
    ----------
    families : sequence of str, optional
        Of :data:`FAMILIES`; all when empty.
    threads : int, optional
        For einkorn and its peers alike; None keeps einkorn's setting.
    quick : bool
        Few rows, 0.3 seconds each instead of 1.5.
    peers : sequence of str, optional
        Of :data:`PEERS`, what to compare with; all when not given. Those not installed are left out.
    json : str, optional
        A file for the figures.
    as_markdown : bool
        Print a Markdown table at the end instead of lines as they come.

    Returns
    -------
    list of Result

    Raises
    ------
    ArgumentError
        For an unknown family or peer.
    """
    before = runtime.get_num_threads()
    if threads is not None:
        runtime.set_num_threads(threads)
    try:
        return _main(list(families or ()), quick, peers, json, as_markdown)
    finally:
        runtime.set_num_threads(before)


def _main(
    families: list[str], quick: bool, names: Sequence[str] | None, json: str | None, as_markdown: bool
) -> list[Result]:
    rows = rows_of(families, quick)
    first = next(rows, None)  # refuses unknown families before anything is measured
    peers = Peers(names, runtime.get_num_threads())
    machine = measure_machine(quick)
    if not as_markdown:
        print(format_machine(machine))
        print("ratio: time of the fastest peer that is installed / time of einkorn")
        print(format_row(HEADER), flush=True)
    results = []
    row = first
    while row is not None:
        results.append(measure_row(row, machine, peers, quick))
        if not as_markdown:
            print(format_row(results[-1].cells()), flush=True)
        row = next(rows, None)
    versions = peers.versions()
    if as_markdown:
        print(markdown(results, machine, versions))
    else:
        print(format_versions(versions))
    if json is not None:
        Path(json).write_text(as_json(results, machine, versions) + "\n")
        print(f"written: {json}", file=sys.stderr)
    return results
