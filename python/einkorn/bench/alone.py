"""A peer alone in a process of its own: what it must look like beside us, too.

``python -m einkorn.bench.alone FAMILY NAME SHAPE PEER THREADS`` prints the median and whether the turns were
disturbed. :func:`time_alone` runs that and compares nothing itself.
"""

from __future__ import annotations

import json
import subprocess
import sys

from einkorn import runtime
from einkorn.bench.peers import Peers
from einkorn.bench.rows import Row, rows_of
from einkorn.bench.timing import steady

__all__ = ["TOLERANCE", "time_alone"]

#: A peer that takes this many times as long beside us as alone is not shown as it is.
TOLERANCE = 1.15

_SECONDS = 1.0


def time_alone(row: Row, peer: str, threads: int) -> float | None:
    """Seconds of one call of a peer alone in its process; None where other programs disturbed it."""
    words = [row.family, row.name, row.shape, peer, str(threads)]
    done = subprocess.run(
        [sys.executable, "-m", "einkorn.bench.alone", *words], check=True, capture_output=True, text=True
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    return None if figures["disturbed"] else float(figures["median_s"])


def _main(family: str, name: str, shape: str, peer: str, threads: str) -> None:
    runtime.set_num_threads(int(threads))
    (row,) = (row for row in rows_of([family]) if (row.name, row.shape) == (name, shape))
    timing = steady(row.prepare(Peers([peer], int(threads))).peers[peer], _SECONDS)
    print(json.dumps({"median_s": timing.median, "disturbed": timing.disturbed}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
