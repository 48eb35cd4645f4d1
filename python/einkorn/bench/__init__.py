"""``einkorn bench``: kernels against this machine's limits, and against PyTorch where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from einkorn import runtime
from einkorn.bench.machine import Machine, measure_machine
from einkorn.bench.rows import FAMILIES, Row, rows_of
from einkorn.bench.table import (
    HEADER,
    Result,
    as_json,
    format_machine,
    format_row,
    markdown,
)
from einkorn.bench.timing import interleave
from einkorn.errors import ArgumentError

__all__ = ["FAMILIES", "load_peer", "main", "measure_row"]


def load_peer(name: str | None, threads: int) -> Any:
    """Import the library to compare with and give it the same threads; None when it is absent."""
    if name is None:
        return None
    if name != "torch":
        raise ArgumentError(f"bench: peer is {name!r}, expected 'torch' or None")
    if importlib.util.find_spec(name) is None:
        return None
    torch = importlib.import_module(name)
    torch.set_num_threads(threads)
    return torch


def measure_row(row: Row, machine: Machine, torch: Any, quick: bool = False) -> Result:
    """Measure one row, by turns with its peer when there is one."""
    prepared = row.prepare(torch)
    calls = [prepared.ours] if prepared.peer is None else [prepared.ours, prepared.peer]
    timings = interleave(calls, seconds=0.3 if quick else 1.5)
    flops, traffic = prepared.flops, prepared.traffic
    limit = machine.least_seconds(flops, traffic)
    return Result(row, timings[0], timings[1] if len(timings) > 1 else None, flops, traffic, limit)


def main(
    families: Sequence[str] | None = None,
    threads: int | None = 2,
    quick: bool = False,
    peer: str | None = "torch",
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
        For einkorn and its peer alike; None keeps einkorn's setting.
    quick : bool
        Few rows, 0.3 seconds each instead of 1.5.
    peer : {"torch", None}
        What to compare with; left out where it is not installed.
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
        return _main(list(families or ()), quick, peer, json, as_markdown)
    finally:
        runtime.set_num_threads(before)


def _main(
    families: list[str], quick: bool, peer: str | None, json: str | None, as_markdown: bool
) -> list[Result]:
    rows = rows_of(families, quick)
    first = next(rows, None)  # refuses unknown families before anything is measured
    torch = load_peer(peer, runtime.get_num_threads())
    name = f"torch {torch.__version__}" if torch is not None else ""
    machine = measure_machine(quick)
    if not as_markdown:
        print(format_machine(machine))
        print(f"ratio: time of {name} / time of einkorn" if name else "no peer: torch is not installed")
        print(format_row(HEADER), flush=True)
    results = []
    row = first
    while row is not None:
        results.append(measure_row(row, machine, torch, quick))
        if not as_markdown:
            print(format_row(results[-1].cells()), flush=True)
        row = next(rows, None)
    if as_markdown:
        print(markdown(results, machine, name))
    if json is not None:
        Path(json).write_text(as_json(results, machine, name) + "\n")
        print(f"written: {json}", file=sys.stderr)
    return results
