"""From scores of the next token to a token: what may be drawn, and the draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError

__all__ = [
    "keep_epsilon",
    "keep_eta",
    "keep_min_p",
    "keep_top_h",
    "keep_top_k",
    "keep_top_p",
    "keep_typical",
    "penalise_repetition",
    "sample",
]


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


def forbid_repeated_ngrams(scores: Any, tokens: Any, size: int, said: Any = None) -> Any:
    """Rule out every token that would end an n-gram of ``size`` tokens that is there already; in place.

    Parameters
    ----------
    scores : array [batch, vocabulary]
    tokens : integer array [batch, length]
    size : int
    said : integer array [prompts, length], optional
        Where the n-grams are that may not come again; default ``tokens``. Rows of a prompt lie together.
    """
    if tokens.shape[1] + 1 < size:
        return scores
    for row, (banned, own) in enumerate(zip(scores, tokens, strict=True)):
        text = own if said is None else said[row * len(said) // len(tokens)]
        if len(text) < size:
            continue
        grams = np.lib.stride_tricks.sliding_window_view(text, size)
        begins = (grams[:, : size - 1] == own[len(own) - size + 1 :]).all(1)
        banned[grams[begins, -1]] = -math.inf
    return scores


def keep_top_k(scores: Any, k: int, *, least: int = 1) -> Any:
    """Leave the k highest scores of each row; the others become -infinity, in place.

    Parameters
    ----------
    scores : array [batch, vocabulary]
    k : int
        Of equal scores at the border all stay.
    least : int, keyword-only, default 1
        So many stay in any case, as in the functions beside this one.
    """
    k = max(k, least)
    if k < scores.shape[1]:
        border = np.partition(scores, -k, axis=1)[:, -k, None]
        scores[scores < border] = -math.inf
    return scores


def keep_top_p(scores: Any, p: float, *, least: int = 1) -> Any:
    """Leave the most likely tokens of each row that have probability p together (Holtzman et al. 2020).

    Parameters
    ----------
    scores : array [batch, vocabulary]
        Changed in place; the most likely token always stays.
    p : float
        From 0 to 1.
    least : int, keyword-only, default 1
    """
    for row in scores:
        live = np.flatnonzero(row > -math.inf)  # a few, where keep_top_k came first
        if not len(live):
            continue
        order = live[np.argsort(-row[live], kind="stable")]
        weights = np.exp(row[order] - row[order[0]])
        before = np.cumsum(weights) - weights
        before[:least] = 0
        row[order[before > p * weights.sum()]] = -math.inf
    return scores


def keep_min_p(scores: Any, p: float, *, least: int = 1) -> Any:
    """Leave tokens that are at least p times as likely as the likeliest of their row; in place.

    (Nguyen et al. 2024, "Turning up the heat: min-p sampling".)

    Parameters
    ----------
    scores : array [batch, vocabulary]
    p : float
        From 0 to 1.
    least : int, keyword-only, default 1
    """
    border = np.float32(math.log(p)) if p > 0 else -math.inf
    return _without(scores, scores < scores.max(1, keepdims=True) + border, least)


def keep_epsilon(scores: Any, epsilon: float, *, least: int = 1) -> Any:
    """Leave tokens of at least this probability (Hewitt et al. 2022); in place.

    Parameters
    ----------
    scores : array [batch, vocabulary]
    epsilon : float
        Between 0 and 1.
    least : int, keyword-only, default 1
    """
    return _without(scores, _log_probabilities(scores) < math.log(epsilon), least)


def keep_eta(scores: Any, epsilon: float, *, least: int = 1) -> Any:
    """Leave tokens that are as likely as the smaller one of ``epsilon`` and ``sqrt(epsilon) exp(-H)``.

    H is the row's entropy: where many tokens are likely, rarer ones stay (Hewitt et al. 2022); in place.

    Parameters
    ----------
    scores : array [batch, vocabulary]
    epsilon : float
        Between 0 and 1.
    least : int, keyword-only, default 1
    """
    logs = _log_probabilities(scores)
    border = np.minimum(math.log(epsilon), 0.5 * math.log(epsilon) - _terms(logs).sum(1, keepdims=True))
    return _without(scores, logs < border, least)


def keep_typical(scores: Any, p: float, *, least: int = 1) -> Any:
    """Leave the tokens that say about as much as is expected, which have probability p together; in place.

    In order of the distance of ``-log`` of their probability from the row's entropy (Meister et al. 2022).

    Parameters
    ----------
    scores : array [batch, vocabulary]
    p : float
        From 0 to 1.
    least : int, keyword-only, default 1
    """
    logs = _log_probabilities(scores)
    odd = np.abs(logs + _terms(logs).sum(1, keepdims=True))
    order = np.argsort(odd, axis=1, kind="stable")
    sums = np.cumsum(np.exp(np.take_along_axis(logs, order, 1)), axis=1)
    last = np.minimum((sums < p).sum(1), scores.shape[1] - 1)
    border = np.take_along_axis(odd, np.take_along_axis(order, last[:, None], 1), 1)
    out = odd > border
    np.put_along_axis(out, order[:, :least], False, 1)
    scores[out] = -math.inf
    return scores


def keep_top_h(scores: Any, h: float) -> Any:
    """Leave the likeliest tokens that make up at most the share h of the entropy, of a hundred; in place.

    (Potraghloo et al. 2025, "Top-H decoding".)

    Parameters
    ----------
    scores : array [batch, vocabulary]
        The likeliest token always stays.
    h : float
        Above 0, at most 1.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :100]
    terms = _terms(_log_probabilities(np.take_along_axis(scores, best, 1)))
    stays = np.cumsum(terms, axis=1) <= h * terms.sum(1, keepdims=True)
    stays[:, 0] = True
    out = np.ones(scores.shape, bool)
    np.put_along_axis(out, best, ~stays, 1)
    scores[out] = -math.inf
    return scores


def _without(scores: Any, out: Any, least: int) -> Any:
    """Rule tokens out, but not the likeliest ``least`` of a row."""
    least = min(least, scores.shape[1])
    scores[out & (scores < np.partition(scores, -least, axis=1)[:, -least, None])] = -math.inf
    return scores


def _log_probabilities(scores: Any) -> Any:
    """In float64; NaN in a row that has no token, of which none is ruled out then."""
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        wide -= wide.max(1, keepdims=True)
        return wide - np.log(np.exp(wide).sum(1, keepdims=True))


def _terms(logs: Any) -> Any:
    """What each token adds to the entropy."""
    with np.errstate(invalid="ignore"):
        weights = np.exp(logs)
    return -np.where(weights > 0, weights * np.maximum(logs, np.finfo(np.float64).min), 0)


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
