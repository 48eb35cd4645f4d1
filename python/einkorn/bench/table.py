"""Results of the benchmark and how they are shown: a table, Markdown, JSON."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from typing import Any

import einkorn
from einkorn.bench.machine import Machine
from einkorn.bench.rows import Row
from einkorn.bench.timing import Timing

__all__ = [
    "HEADER",
    "Result",
    "as_json",
    "format_machine",
    "format_row",
    "format_versions",
    "markdown_header",
    "markdown_row",
]

HEADER = ("operation", "shape", "ms", "spread", "rate", "of limit", "peer", "peer ms", "ratio")
_WIDTHS = (22, 58, 10, 7, 15, 8, 8, 10, 7)


@dataclass(frozen=True)
class Result:
    """A measured row.

    Attributes
    ----------
    row : Row
    ours : Timing
    peers : dict of str to Timing
        By the peer's name.
    flops, traffic : float
        See :class:`einkorn.bench.rows.Prepared`.
    limit : float
        Seconds that the machine needs at least, see :class:`einkorn.bench.machine.Machine`.
    reason : str
        Why there is no ratio although there are peers; empty where there is one.
    """

    row: Row
    ours: Timing
    peers: dict[str, Timing]
    flops: float
    traffic: float
    limit: float
    reason: str = ""

    @property
    def rate(self) -> str:
        """GFLOP/s where arithmetic is the limit, else GB/s."""
        if self.is_bound_by_memory:
            return f"{self.traffic / self.ours.median / 1e9:.1f} GB/s"
        return f"{self.flops / self.ours.median / 1e9:.1f} GFLOP/s"

    @property
    def is_bound_by_memory(self) -> bool:
        return self.flops < 8 * self.traffic  # where roofs of usual machines meet, about

    @property
    def fraction(self) -> float:
        """How much of the machine's limit is reached."""
        return self.limit / self.ours.median

    @property
    def fastest(self) -> str | None:
        """The peer to compare with: of several the fastest."""
        return min(self.peers, key=lambda name: self.peers[name].median, default=None)

    @property
    def ratio(self) -> float | None:
        """How many times faster than the fastest peer; None where that cannot be told."""
        if self.fastest is None or self.reason:
            return None
        return self.peers[self.fastest].median / self.ours.median

    def cells(self) -> tuple[str, ...]:
        """The row's columns in words. What was disturbed is left out, and the last column says so."""
        ours = ("", "", "", "")
        if not self.ours.disturbed:
            ours = (
                _milliseconds(self.ours),
                f"{self.ours.spread:.0%}",
                self.rate,
                f"{self.fraction:.0%}",
            )
        ratio = self.reason if self.ratio is None else f"{self.ratio:.2f}x"
        peer = "" if self.fastest is None or self.reason else _milliseconds(self.peers[self.fastest])
        return (self.row.name, self.row.shape, *ours, self.fastest or "", peer, ratio)


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:.4g}"


def format_row(cells: tuple[str, ...]) -> str:
    """One line of the printed table."""
    parts = [
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    ]
    return " ".join(parts).rstrip()


def format_machine(machine: Machine) -> str:
    """The limits in two lines."""
    sizes = ", ".join(
        f"{rate / 1e9:.0f} at {size >> 20} MB" if size >= 1 << 20 else f"{rate / 1e9:.0f} at {size >> 10} KB"
        for size, rate in machine.bandwidth.items()
    )
    text = (
        f"engine {machine.mode}, {machine.threads} threads; limits by {machine.how}:\n"
        f"{machine.flops / 1e9:.0f} GFLOP/s; read plus write in GB/s: {sizes}"
    )
    if machine.share < 0.9:
        text += (
            f"\nother programs are running: {machine.threads} busy threads got {machine.share:.0%} of"
            " their time; the limits may be too low, and rows are measured when it is calm or left out"
        )
    return text


def format_versions(versions: dict[str, str]) -> str:
    """The peers that took part, in one line."""
    if not versions:
        return "no peers: none is installed or asked for"
    return "peers: " + ", ".join(f"{name} {version}" for name, version in versions.items())


def markdown_header() -> str:
    """The two lines above the rows of a Markdown table."""
    return "| " + " | ".join(HEADER) + " |\n|---|---|" + "--:|" * 4 + "---|" + "--:|" * 2


def markdown_row(result: Result) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(result.cells()) + " |"


def as_json(results: list[Result], machine: Machine, versions: dict[str, str]) -> str:
    """Everything measured, for other programs."""
    head = {
        "einkorn": einkorn.__version__,
        "peers": versions,
        "processor": platform.processor() or platform.machine(),
        "engine": machine.mode,
        "threads": machine.threads,
        "share_of_processors": machine.share,
        "gflops_limit": machine.flops / 1e9,
        "bandwidth_gb_s": {str(size): rate / 1e9 for size, rate in machine.bandwidth.items()},
    }
    return json.dumps({**head, "rows": [_record(result) for result in results]}, indent=1)


def _record(result: Result) -> dict[str, Any]:
    return {
        "family": result.row.family,
        "name": result.row.name,
        "shape": result.row.shape,
        "flops": result.flops,
        "bytes": result.traffic,
        **_figures(result.ours),
        "limit_s": result.limit,
        "fraction_of_limit": result.fraction,
        "peers": {name: _figures(timing) for name, timing in result.peers.items()},
        "fastest_peer": result.fastest,
        "ratio_to_peer": result.ratio,
        "reason": result.reason or None,
    }


def _figures(timing: Timing) -> dict[str, Any]:
    return {
        "median_s": timing.median,
        "spread": timing.spread,
        "disturbed": timing.disturbed,
        "turns": len(timing.turns),
    }
