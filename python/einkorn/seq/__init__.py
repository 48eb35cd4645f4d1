"""What models of sequences share: generation with a cache, sampling and beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.seq.NAME, and the module it lives in.
_HOMES = {
    "Cache": "cache",
    "GenerationInterrupted": "generation",
    "Memory": "memory",
    "generate": "generation",
    "keep_top_k": "sampling",
    "keep_top_p": "sampling",
    "penalise_repetition": "sampling",
    "sample": "sampling",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.seq.cache import Cache
    from einkorn.seq.generation import GenerationInterrupted, generate
    from einkorn.seq.memory import Memory
    from einkorn.seq.sampling import keep_top_k, keep_top_p, penalise_repetition, sample

__getattr__, __dir__ = later(__name__, _HOMES)
