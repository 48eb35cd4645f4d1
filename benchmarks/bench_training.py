"""Whole training steps: ``pytest benchmarks/bench_training.py --benchmark-only``."""

from __future__ import annotations

from typing import Any

from einkorn.bench.rows import Row

FAMILIES = ("training",)


def test_training_step(row: Row, side: str, measure: Any) -> None:
    measure(row, side)
