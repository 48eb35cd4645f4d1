"""Fits, predictions and kernels: ``pytest benchmarks/bench_boosting.py --benchmark-only``."""

from __future__ import annotations

from typing import Any

from einkorn.bench.rows import Row

FAMILIES = ("boosting", "vision")


def test_boosting(row: Row, side: str, measure: Any) -> None:
    measure(row, side)
