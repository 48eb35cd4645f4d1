"""Sequences that grow, and the model's scores of what comes next."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError
from einkorn.models._inputs import plain
from einkorn.seq.cache import Cache

__all__ = ["Steps"]


class Steps:
    """Sequences that grow, and the model's scores of what comes next."""

    def __init__(
        self,
        model: Any,
        tokens: Any,
        mask: Any,
        copies: int,
        room: int,
        use_cache: bool,
        slide: bool,
        logits: list[Any] | None = None,
    ) -> None:
        self._model, self._logits = model, logits
        self.tokens = np.repeat(tokens, copies, 0)
        self._mask = np.repeat(mask, copies, 0)
        self._copies = copies  # of each prompt, which is read once
        self._ragged = not mask.all()
        context = model.context_length
        self._longest = context if slide and context is not None else None
        fits = self._longest is None or tokens.shape[1] + room <= self._longest
        self._cache = Cache(tokens.shape[1] + room) if use_cache and fits else None

    def scores(self) -> Any:
        """Of the next token, [batch, vocabulary], to be changed."""
        seen = 0 if self._cache is None else self._cache.length
        tokens, mask = self.tokens, self._mask
        if self._longest is not None:
            tokens, mask = tokens[:, -self._longest :], mask[:, -self._longest :]
        every, self._copies = self._copies, 1
        out = self._model(
            tokens[::every, seen:],
            cache=self._cache,
            attention_mask=mask[::every] if self._ragged else None,
            last=True,
        )
        if every > 1 and self._cache is not None:
            self._cache.reorder(np.arange(len(tokens)) // every)
        scores = np.array(plain(out), np.float32)
        scores = scores if every == 1 else np.repeat(scores, every, 0)
        if self._logits is not None:
            self._logits.append(scores.copy())
        return scores

    def uncovered(self) -> Any:
        """Sums [batch] of the logarithms of how much each word was looked at, at most once."""
        coverage = None if self._cache is None else self._cache.coverage
        if coverage is None:
            raise ArgumentError(
                "generate: coverage_penalty is given, and this model does not tell where it looks: expected a"
                " recurrent translator, and slide=False"
            )
        least = np.finfo(np.float32).tiny
        logs = np.log(np.clip(coverage, least, 1.0))
        kept = getattr(self._model, "read", None)
        if kept is not None:
            logs = np.where(np.repeat(kept, len(logs) // len(kept), 0), logs, 0)
        return logs.sum(1, dtype=np.float32)

    def add(self, new: Any) -> None:
        self.tokens = np.concatenate([self.tokens, new[:, None]], 1)
        self._mask = np.concatenate([self._mask, np.ones((len(new), 1), bool)], 1)

    def choose(self, rows: Any) -> None:
        """Go on from rows of the batch."""
        before, self.tokens, self._mask = self.tokens, self.tokens[rows], self._mask[rows]
        if self._cache is not None:
            # Beams that begin alike came from one beam: that part of the cache is the same in both.
            differ = (before != self.tokens).any(0)
            self._cache.reorder(rows, int(differ.argmax()) if differ.any() else before.shape[1])
