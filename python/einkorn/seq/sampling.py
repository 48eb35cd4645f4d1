"""From scores of the next token to a token: what may be drawn, and the draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError

__all__ = ["keep_top_k", "keep_top_p", "penalise_repetition", "sample"]


def penalise_repetition(scores: Any, tokens: Any, penalty: float) -> Any:
    """Make tokens that were there less likely (Keskar et al. 2019, "CTRL", equation 2).

    Parameters
    ----------
    scores : array [batch, vocabulary]
        Changed where it is: a score of a token in ``tokens`` is divided by the penalty where it is positive,
        else multiplied.
    tokens : integer array [batch, length]
    penalty : float
        1 changes nothing.
    """
    seen = np.take_along_axis(scores, tokens, 1)
    np.put_along_axis(scores, tokens, np.where(seen < 0, seen * penalty, seen / penalty), 1)
    return scores


def forbid_repeated_ngrams(scores: Any, tokens: Any, size: int) -> Any:
    """Rule out every token that would end an n-gram of ``size`` tokens that is there already; in place."""
    for row, own in zip(scores, tokens, strict=True):
        if len(own) + 1 < size:
            continue
        grams = np.lib.stride_tricks.sliding_window_view(own, size) if len(own) >= size else own[:0, None]
        begins = (grams[:, : size - 1] == own[len(own) - size + 1 :]).all(1)
        row[grams[begins, -1]] = -math.inf
    return scores


def keep_top_k(scores: Any, k: int) -> Any:
    """Leave the k highest scores of each row; the others become -infinity, in place.

    Parameters
    ----------
    scores : array [batch, vocabulary]
    k : int
        Of equal scores at the border all stay.
    """
    if k < scores.shape[1]:
        border = np.partition(scores, -k, axis=1)[:, -k, None]
        scores[scores < border] = -math.inf
    return scores


def keep_top_p(scores: Any, p: float) -> Any:
    """Leave the most likely tokens of each row that have probability p together (Holtzman et al. 2020).

    Parameters
    ----------
    scores : array [batch, vocabulary]
        Changed in place; the most likely token always stays.
    p : float
        From 0 to 1.
    """
    for row in scores:
        live = np.flatnonzero(row > -math.inf)  # a few, where keep_top_k came first
        order = live[np.argsort(-row[live], kind="stable")]
        weights = np.exp(row[order] - row[order[0]])
        before = np.cumsum(weights) - weights
        row[order[before > p * weights.sum()]] = -math.inf
    return scores


def sample(scores: Any) -> Any:
    """One token of each row, drawn with its softmax as probabilities.

    Parameters
    ----------
    scores : array [batch, vocabulary]

    Returns
    -------
    array of int64 [batch]

    Raises
    ------
    ArgumentError
        A row holds NaN, or rules out every token.
    """
    top = scores.max(1, keepdims=True)
    if not np.isfinite(top).all():
        raise ArgumentError("sample: a row of scores has NaN, or no token that is possible")
    sums = np.cumsum(np.exp((scores - top).astype(np.float64)), axis=1)
    drawn = np.asarray(ops.uniform((len(scores), 1), dtype=np.float64)) * sums[:, -1:]
    return np.minimum((sums <= drawn).sum(1), scores.shape[1] - 1)
