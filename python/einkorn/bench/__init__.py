"""``einkorn bench``: kernels against this machine's limits, and against other libraries where installed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from einkorn import runtime
from einkorn._files import write_text
from einkorn.bench.alone import TOLERANCE, time_alone
from einkorn.bench.calm import DISTURBED, Patience, busy_process, is_calm
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
    markdown_header,
    markdown_row,
)
from einkorn.bench.timing import COUNTS_WAITS, Call, Timing, interleave
from einkorn.errors import ArgumentError

__all__ = ["FAMILIES", "PEERS", "Patience", "Peers", "main", "measure_row"]


def measure_row(
    row: Row,
    machine: Machine,
    peers: Peers,
    quick: bool = False,
    patience: Patience | None = None,
    alone: bool = False,
) -> Result:
    """Measure one row, by turns with its peers where there are any.

    A row that other programs disturbed is measured again when they are done. Where that takes longer than
    the patience lasts, the result has no ratio and says why.

    Parameters
    ----------
    row : Row
    machine : Machine
    peers : Peers
    quick : bool
        0.3 seconds instead of 1.5.
    patience : Patience, optional
        Shared by the rows of a run; one of its own when not given.
    alone : bool
        Also time the peers each alone in a process of its own, and leave the ratio out where one is more
        than 15% quicker there.

    Returns
    -------
    Result
    """
    prepared = row.prepare(peers)
    calls = [prepared.ours, *prepared.peers.values()]
    patience = Patience() if patience is None else patience
    seconds = 0.3 if quick else 1.5
    reason = ""
    if row.beside_busy:
        with busy_process():
            ours, *others = interleave(calls, seconds, beside_others=True)
    else:
        ours, *others = _undisturbed(calls, seconds, patience)
        if ours.disturbed or any(timing.disturbed for timing in others):
            reason = DISTURBED
    flops, traffic = prepared.flops, prepared.traffic
    timings = dict(zip(prepared.peers, others, strict=True))
    if alone and not reason and not row.beside_busy:
        reason = _slower_beside_us(row, timings, peers.threads)
    return Result(row, ours, timings, flops, traffic, machine.least_seconds(flops, traffic), reason)


def _undisturbed(calls: Sequence[Call], seconds: float, patience: Patience) -> list[Timing]:
    """Time calls, again and again until no other program disturbed them or the patience is at its end."""
    while True:
        timings = interleave(calls, seconds)
        if not COUNTS_WAITS and not is_calm():
            timings = [dataclasses.replace(timing, disturbed=True) for timing in timings]
        if not any(timing.disturbed for timing in timings) or not patience.wait():
            return timings


def _slower_beside_us(row: Row, timings: dict[str, Timing], threads: int) -> str:
    """Say which peer takes longer by turns with us than alone; empty where none does."""
    for name, timing in timings.items():
        alone = time_alone(row, name, threads)
        if alone is not None and timing.median > TOLERANCE * alone:
            return f"left out: {name} alone takes {alone * 1e3:.4g} ms, here {timing.median * 1e3:.4g}"
    return ""


def main(
    families: Sequence[str] | None = None,
    threads: int | None = 2,
    quick: bool = False,
    peers: Sequence[str] | None = None,
    *,
    rows: str | None = None,
    json: str | None = None,
    as_markdown: bool = False,
    alone: bool = False,
    patience: float = 120.0,
) -> list[Result]:
    """Measure and print the table, a line as each row is done.

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
    rows : str, optional
        A regular expression: only rows in whose family, name and shape it is found.
    json : str, optional
        A file for the figures.
    as_markdown : bool
        Print the rows as those of a Markdown table.
    alone : bool
        Also time every peer alone in a process of its own, and leave out ratios to peers that are more than
        15% quicker there.
    patience : float
        Seconds to wait in all for other programs to end. Rows that they disturb even then have no ratio.

    Returns
    -------
    list of Result

    Raises
    ------
    ArgumentError
        For an unknown family or peer, or where no row is left.
    """
    before = runtime.get_num_threads()
    if threads is not None:
        runtime.set_num_threads(threads)
    try:
        wanted = list(rows_of(families, quick, rows))  # refuses unknown families before anything is measured
        if not wanted:
            raise ArgumentError(f"bench: no row has {rows!r} in its family, name and shape")
        return _main(wanted, quick, peers, json, as_markdown, alone, Patience(patience))
    finally:
        runtime.set_num_threads(before)


def _main(
    rows: list[Row],
    quick: bool,
    names: Sequence[str] | None,
    json: str | None,
    as_markdown: bool,
    alone: bool,
    patience: Patience,
) -> list[Result]:
    peers = Peers(names, runtime.get_num_threads())
    machine = measure_machine(quick)
    print(format_machine(machine))
    print("ratio: time of the fastest peer that is installed / time of einkorn")
    print("\n" + markdown_header() if as_markdown else format_row(HEADER), flush=True)
    results = []
    for row in rows:
        results.append(measure_row(row, machine, peers, quick, patience, alone))
        line = markdown_row(results[-1]) if as_markdown else format_row(results[-1].cells())
        print(line, flush=True)
    versions = peers.versions()
    print(("\n" if as_markdown else "") + format_versions(versions))
    if json is not None:
        write_text(json, as_json(results, machine, versions) + "\n")
        print(f"written: {json}", file=sys.stderr)
    return results
