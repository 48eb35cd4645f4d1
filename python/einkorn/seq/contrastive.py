"""Contrastive search: of the likeliest tokens the one that says least again what was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError
from einkorn.seq._checks import plain
from einkorn.seq.cache import Cache
from einkorn.seq.generation import GenerationInterrupted
from einkorn.seq.rules import NothingLeftError

__all__ = ["search"]


def search(
    model: Any,
    tokens: Any,
    mask: Any,
    count: int,
    adjust: Callable[[Any, Any], Any],
    ended: Callable[[Any], Any],
    pad: int,
    streamer: Callable[[Any], object] | None,
    *,
    alpha: float,
    k: int,
) -> Any:
    """Continue prompts by contrastive search (Su et al. 2022, equation 5).

    Each step takes, of the ``k`` likeliest tokens v, that with the largest
    ``(1 - alpha) p(v) - alpha max_j cos(h(v), h(j))``, h being the decoder's last output, and j all tokens
    before. All candidates of all prompts are read in one call.

    Parameters
    ----------
    model : CausalLM
    tokens : array of int64 [batch, length]
    mask : boolean array [batch, length]
        False where a prompt is filled up.
    count : int
        Tokens to add.
    adjust : callable
        The rules of :func:`einkorn.seq.generate`, of scores and tokens.
    ended : callable
        Which rows [batch] end with their last token.
    pad, streamer
        As there.
    alpha : float
    k : int

    Returns
    -------
    array of int64 [batch, length + new tokens]
    """
    if not hasattr(model, "last_hidden"):
        raise ArgumentError(
            f"generate: penalty_alpha is given, and {type(model).__name__} is no decoder alone: expected a"
            " GPT, Llama or another CausalLM"
        )
    batch, k = len(tokens), min(k, model.vocab_size)
    cache = Cache(tokens.shape[1] + count)
    done = np.zeros(batch, bool)
    every = np.repeat(np.arange(batch), k)
    try:
        with no_grad():
            hidden = plain(model.last_hidden(tokens, cache, mask))
        said = _directions(hidden)
        last = hidden[:, -1]
        for _ in range(count):
            scores = adjust(plain(model.scores_of(last)).astype(np.float32), tokens)
            scores[done] = 0
            if np.isneginf(scores.max(1)).any():
                raise NothingLeftError
            weights = np.asarray(ops.softmax(scores, -1))
            best = np.argsort(-weights, axis=1, kind="stable")[:, :k]
            likely = np.take_along_axis(weights, best, 1)
            cache.reorder(every)
            grown = np.concatenate([mask, np.ones((batch, 1), bool)], 1)
            with no_grad():
                out = plain(model.last_hidden(best.reshape(-1, 1), cache, grown[every]))
            out = out.reshape(batch, k, -1)
            alike = np.einsum("bkw,blw->bkl", _directions(out), said)
            alike = np.where(mask[:, None], alike, -np.inf).max(2)
            worth = np.where(likely > 0, (1 - alpha) * likely - alpha * alike, -np.inf)
            chosen = worth.argmax(1)
            rows = np.arange(batch)
            cache.reorder(rows * k + chosen)
            last = out[rows, chosen]
            said = np.concatenate([said, _directions(last[:, None])], 1)
            new = np.where(done, pad, best[rows, chosen])
            tokens, mask = np.concatenate([tokens, new[:, None]], 1), grown
            if streamer is not None:
                streamer(new)
            done |= ended(tokens)
            if done.all():
                break
    except KeyboardInterrupt:
        raise GenerationInterrupted(tokens) from None
    return tokens


def _directions(x: Any) -> Any:
    """Vectors of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
