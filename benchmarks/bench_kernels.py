"""Every kernel row of ``einkorn bench``: ``pytest benchmarks/bench_kernels.py --benchmark-only``."""

from __future__ import annotations

from typing import Any

from einkorn.bench.rows import Row
from einkorn.cases import FAMILIES as FAMILIES


def test_kernel(row: Row, side: str, measure: Any) -> None:
    measure(row, side)
