"""The case lists: what tests, gradient checks, parity and benchmarks run, one module per family."""

from __future__ import annotations

import importlib

from ._case import LAYOUTS, STRIDED, Case, Input, Op, as_tuple

__all__ = ["FAMILIES", "LAYOUTS", "STRIDED", "Case", "Input", "Op", "as_tuple", "cases_of"]

#: Families that have cases, named as they are in every layer.
FAMILIES = (
    "arrange",
    "attention",
    "boxes",
    "copy",
    "gather",
    "distance",
    "einsum",
    "elementwise",
    "activation",
    "math",
    "reduce",
    "scan",
    "sort",
    "statistics",
    "matmul",
    "conv",
    "pool",
    "resample",
    "rnn",
    "softmax",
    "norm",
    "positions",
    "embedding",
    "loss",
    "criterion",
    "similarity",
    "crf",
    "ctc",
    "vocabulary",
    "random",
    "optimizer",
)


def cases_of(family: str) -> list[Case]:
    """Return the cases of one family."""
    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}, expected one of {', '.join(FAMILIES)}")
    cases: list[Case] = importlib.import_module(f"{__name__}.{family}").CASES
    return cases
