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

__all__ = ["HEADER", "Result", "as_json", "format_machine", "format_row", "markdown"]

HEADER = ("operation", "shape", "ms", "spread", "rate", "of limit", "peer ms", "ratio")
_WIDTHS = (22, 58, 10, 7, 15, 8, 10, 7)


@dataclass(frozen=True)
class Result:
    """A measured row.

    Attributes
    ----------
    row : Row
    ours : Timing
    peer : Timing or None
        None when there is no peer.
    flops, traffic : float
        See :class:`einkorn.bench.rows.Prepared`.
    limit : float
        Seconds that the machine needs at least, see :class:`einkorn.bench.machine.Machine`.
    """

    row: Row
    ours: Timing
    peer: Timing | None
    flops: float
    traffic: float
    limit: float

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
    def ratio(self) -> float | None:
        """How many times faster than the peer."""
        return None if self.peer is None else self.peer.median / self.ours.median

    def cells(self) -> tuple[str, ...]:
        """The row's columns in words."""
        peer = "" if self.peer is None else _milliseconds(self.peer)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return (
            self.row.name,
            self.row.shape,
            _milliseconds(self.ours),
            f"{self.ours.spread:.0%}",
            self.rate,
            f"{self.fraction:.0%}",
            peer,
            ratio,
        )


def _milliseconds(timing: Timing) -> str:
    """The median; with a question mark where other programs took the cores."""
    return f"{timing.median * 1e3:.4g}{'?' if timing.disturbed else ''}"


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
            " their time; figures with a question mark are disturbed, the limits may be too low"
        )
    return text


def markdown(results: list[Result], machine: Machine, peer: str) -> str:
    """The table for a README."""
    lines = [format_machine(machine).replace("\n", " "), ""]
    lines.append("| " + " | ".join((*HEADER[:6], f"{peer or 'peer'} ms", HEADER[7])) + " |")
    lines.append("|---|---|" + "--:|" * 6)
    lines += ["| " + " | ".join(result.cells()) + " |" for result in results]
    return "\n".join(lines)


def as_json(results: list[Result], machine: Machine, peer: str) -> str:
    """Everything measured, for other programs."""
    rows: list[dict[str, Any]] = [
        {
            "family": r.row.family,
            "name": r.row.name,
            "shape": r.row.shape,
            "flops": r.flops,
            "bytes": r.traffic,
            "median_s": r.ours.median,
            "spread": r.ours.spread,
            "disturbed": r.ours.disturbed or (r.peer is not None and r.peer.disturbed),
            "turns": len(r.ours.turns),
            "limit_s": r.limit,
            "fraction_of_limit": r.fraction,
            "peer_median_s": None if r.peer is None else r.peer.median,
            "peer_spread": None if r.peer is None else r.peer.spread,
            "ratio_to_peer": r.ratio,
        }
        for r in results
    ]
    head = {
        "einkorn": einkorn.__version__,
        "peer": peer,
        "processor": platform.processor() or platform.machine(),
        "engine": machine.mode,
        "threads": machine.threads,
        "share_of_processors": machine.share,
        "gflops_limit": machine.flops / 1e9,
        "bandwidth_gb_s": {str(size): rate / 1e9 for size, rate in machine.bandwidth.items()},
    }
    return json.dumps({**head, "rows": rows}, indent=1)
