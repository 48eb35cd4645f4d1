"""Losses over large vocabularies: without the scores of all words, or without most of their memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._grad_mode import mode
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._options import flag, integer, number
from einkorn.ops._road import (
    as_index,
    broadcast_to,
    by_formula,
    contiguous,
    needs,
    result,
    same_dtype,
    unwrap,
)
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import concatenate, reshape
from einkorn.ops.elementwise import add, multiply, negative, softplus, subtract
from einkorn.ops.embedding import embedding
from einkorn.ops.loss import _reduced, _reduction_code
from einkorn.ops.loss_classes import _check_classes, _class_weights, _holds_floats, cross_entropy
from einkorn.ops.matmul import linear, matmul
from einkorn.ops.reduce import sum as sum_over

__all__ = [
    "hierarchical_softmax_loss",
    "linear_cross_entropy",
    "nce_loss",
    "negative_sampling_loss",
    "sampled_softmax_loss",
]

# Blocks of rows whose scores are in memory at a time: each reads and writes the weight's gradient. Slabs
# of words whose products follow one another, so that what they copy stays in the caches.
_LEAST_ROWS, _BLOCKS, _TILE, _SLAB = 112, 6, 14, 4096


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)`` without the scores of all rows.

    Scores are computed for some rows at a time, turned into losses and at once into gradients, and given up.
    2048 rows of 50,257 classes have 412 MB of scores, which are three times in memory otherwise; here it is a
    tenth of them once.

    Parameters
    ----------
    input : array or Tensor [N, width], or [width] for a single row
    linear_weight : array or Tensor [C, width]
        Or [C, d1, ..., dK, width] for as many losses of a row; then all scores are computed.
    target : array of integers [N] or []; or probabilities, for which all scores are computed
        With K dimensions more [N, d1, ..., dK], and probabilities [N, C, d1, ..., dK].
    linear_bias : array or Tensor [C] or [C, d1, ..., dK], keyword-only, optional
    weight, reduction, ignore_index, label_smoothing : keyword-only
        As :func:`cross_entropy`; ignore_index None is -100.

    Returns
    -------
    array or Tensor
        A scalar, or with "none" one loss for each row: then the backward pass computes the scores again.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        As :func:`linear` and :func:`cross_entropy`.

    Notes
    -----
    A gradient costs the three products of width that it costs otherwise; computing scores twice, which would
    save the gradients' memory between the passes, a fourth.
    """
    op = "linear_cross_entropy"
    code = _reduction_code(op, reduction)
    ignore_index = -100 if ignore_index is None else integer(op, "ignore_index", ignore_index)
    smoothing = number(op, "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ArgumentError(f"{op}: label_smoothing is {label_smoothing!r}, expected 0 to 1")
    options: dict[str, Any] = {"ignore_index": ignore_index, "label_smoothing": smoothing}
    a, w = unwrap(input, op, "input"), unwrap(linear_weight, op, "linear_weight")
    b = None if linear_bias is None else contiguous(unwrap(linear_bias, op, "linear_bias"))
    same_dtype(op, input=a, linear_weight=w, linear_bias=b)
    if w.ndim < 2 or a.ndim not in (1, 2) or a.shape[-1] != w.shape[-1]:
        raise ShapeError(
            f"{op}: linear_weight has shape {w.shape} and input {a.shape}, expected (C, width) and (N, width)"
        )
    classes, width = w.shape[0], w.shape[-1]
    if b is not None and b.shape != w.shape[:-1]:
        raise ShapeError(f"{op}: linear_bias has shape {b.shape}, expected {w.shape[:-1]}")
    if w.ndim > 2:
        flat = (
            reshape(linear_weight, (-1, width))
            if w.size
            else np.zeros((math.prod(w.shape[:-1]), width), w.dtype)
        )
        scores = linear(input, flat, None if b is None else reshape(linear_bias, (-1,)))
        scores = reshape(scores, a.shape[:-1] + w.shape[:-1])
        return cross_entropy(scores, target, weight, reduction=reduction, **options)
    if _holds_floats(target) or classes == 0 or width == 0:
        scores = linear(input, linear_weight, linear_bias)
        return cross_entropy(scores, target, weight, reduction=reduction, **options)
    t = as_index(target, op, "target")
    if t.shape != a.shape[:-1]:
        raise ShapeError(f"{op}: target has shape {t.shape}, expected {a.shape[:-1]} as input has rows")
    class_weight = _class_weights(op, a, weight, classes)
    single, t = a.ndim == 1, t.reshape(-1)
    t = _check_classes(op, t, classes, ignore_index, t.shape)
    blocks = _Blocks(t, class_weight, ignore_index, smoothing, code)
    wanted = (needs(input), needs(linear_weight), needs(linear_bias))
    at_once = any(wanted) and mode.enabled and code != 0
    out, gradients = blocks.run(a.reshape(-1, width), w, b, wanted if at_once else None)
    if not at_once:
        gradients = None
    if single and code == 0:
        out = out.reshape(())

    def formula(x: Any, w: Any, b: Any = None) -> Any:
        rows = target if single else t
        return cross_entropy(linear(x, w, b), rows, weight, reduction=reduction, **options)

    def rule(g: Any, x: Any, w: Any, b: Any, out: Any) -> Sequence[Any]:
        nonlocal gradients
        if isinstance(g, Tensor):
            return by_formula(formula, g, x, w, b) if b is not None else (*by_formula(formula, g, x, w), None)
        found, gradients = gradients, None  # handed on once: who gets them may add to them
        rows = x.reshape(-1, width)
        if found is None:
            found = blocks.run(rows, w, b, wanted, contiguous(g).reshape(-1) if code == 0 else None)[1]
        if code != 0 and g.item() != 1:
            k = engines.of(rows)
            for each in found:
                if each is not None:
                    k.multiply(each, each, broadcast_to(g, each.shape))
        gx, gw, gb = found
        return None if gx is None else gx.reshape(x.shape), gw, gb

    return result(out, (input, linear_weight, linear_bias), rule, (a, w, b, None))


class _Blocks:
    """Linear and cross-entropy, some rows at a time."""

    def __init__(self, t: Any, class_weight: Any, ignore_index: int, smoothing: float, code: int) -> None:
        self.t, self.class_weight, self.code = t, class_weight, code
        self.options = ignore_index, smoothing
        kept = t[t != ignore_index]
        total = float(kept.size if class_weight is None else class_weight[kept].sum(dtype=np.float64))
        self.scale = 1.0 if code != 1 else 1.0 / total if total else float("nan")

    def run(
        self, a: Any, w: Any, b: Any, wanted: tuple[bool, ...] | None, each: Any = None
    ) -> tuple[Any, Any]:
        """The losses, reduced, and the gradients of a, w and b that are wanted; ``each``: of each row."""
        k, dtype = engines.of(a), a.dtype
        count, classes = a.shape[0], w.shape[0]
        a, w = contiguous(a), contiguous(w)
        size = max(_LEAST_ROWS, -(-count // _BLOCKS) // _TILE * _TILE)
        losses = k.empty((count,), dtype)
        scores = k.empty((min(size, count), classes), dtype)
        row_weight, lse, total = k.empty((size,), dtype), k.empty((size,), dtype), k.empty((), dtype)
        share = k.empty((), dtype)
        k.fill(share, self.scale)
        gx = gw = gb = None
        if wanted is not None:
            gx = k.empty(a.shape, dtype) if wanted[0] else None
            gw = k.empty(w.shape, dtype) if wanted[1] else None
            gb = k.empty((1, classes), dtype) if wanted[2] else None
        if count == 0:
            for empty in (gw, gb):
                if empty is not None:
                    k.fill(empty, 0.0)
        for first in range(0, count, size):
            last = min(first + size, count)
            n, x, t = last - first, a[first:last], self.t[first:last]
            s, weights, sums = scores[:n], row_weight[:n], lse[:n]
            k.matmul(s, x, w.T, b, 1.0, 0.0, 0)
            k.cross_entropy_forward(
                None, losses[first:last], weights, total, sums, s, t, self.class_weight, *self.options, 0
            )
            if wanted is None:
                continue
            g, code = (share, 2) if each is None else (each[first:last], 0)
            k.cross_entropy_backward(s, g, s, t, sums, weights, total, self.class_weight, *self.options, code)
            kept = float(first > 0)
            for at in range(0, classes, _SLAB):
                words = slice(at, min(at + _SLAB, classes))
                if gx is not None:
                    k.matmul(gx[first:last], s[:, words], w[words], None, 1.0, float(at > 0), 0)
                if gw is not None:
                    k.matmul(gw[words], s[:, words].T, x, None, 1.0, kept, 0)
            if gb is not None:
                part = gb if first == 0 else k.empty(gb.shape, dtype)
                k.reduce_sum(part, s, 1.0)
                if first:
                    k.add(gb, gb, part)
        out = losses
        if self.code:
            out = k.empty((1,), dtype)
            k.reduce_sum(out, losses, self.scale)
            out = out.reshape(())
        return out, (gx, gw, None if gb is None else gb.reshape(-1))


# --- some words in place of all -------------------------------------------------------------------


def _rows_of(op: str, input: Any, weight: Any, target: Any) -> tuple[Any, Any]:
    """The target as int64 [N], and input's type."""
    a, w = unwrap(input, op, "input"), unwrap(weight, op, "weight")
    same_dtype(op, input=a, weight=w)
    if a.ndim != 2 or w.ndim != 2 or a.shape[1] != w.shape[1]:
        raise ShapeError(
            f"{op}: input has shape {a.shape} and weight {w.shape}, expected (N, width) and (C, width)"
        )
    t = as_index(target, op, "target")
    if t.shape != a.shape[:1]:
        raise ShapeError(f"{op}: target has shape {t.shape}, expected {a.shape[:1]}")
    return t, a.dtype


def _scores(input: Any, weight: Any, words: Any, bias: Any) -> Any:
    """Scores of each row's own words [N, K], or of words that all rows share [K]: [N, K]."""
    rows = embedding(words, weight)
    if words.ndim == 1:
        scores = linear(input, rows)
    else:
        n, width = input.shape
        scores = reshape(matmul(rows, reshape(input, (n, width, 1))), words.shape)
    if bias is not None:
        scores = add(scores, reshape(embedding(words, reshape(bias, (-1, 1))), words.shape))
    return scores


def _sampled(op: str, name: str, words: Any, count: int) -> Any:
    words = as_index(words, op, name)
    if words.ndim not in (1, 2) or (words.ndim == 2 and words.shape[0] != count):
        raise ShapeError(f"{op}: {name} has shape {words.shape}, expected (K,) or ({count}, K)")
    return words


@rounded_once
def negative_sampling_loss(
    input: Any, weight: Any, target: Any, sampled: Any, *, bias: Any = None, reduction: str = "mean"
) -> Any:
    """word2vec's loss: the target told from words drawn at random (Mikolov et al. 2013),
    ``-log s(x . w[target]) - sum over sampled of log s(-x . w[c])``, s the logistic function.

    Parameters
    ----------
    input : array or Tensor [N, width]
    weight : array or Tensor [C, width]
        Only the rows of the words in question are read, and get gradients.
    target : array of integers [N]
    sampled : array of integers [N, K], or [K] for all rows
    bias : array or Tensor [C], keyword-only, optional
    reduction : {"mean", "sum", "none"}, keyword-only
        Over the rows.
    """
    op = "negative_sampling_loss"
    _reduction_code(op, reduction)
    t, _ = _rows_of(op, input, weight, target)
    words = _sampled(op, "sampled", sampled, t.size)
    own = softplus(negative(_scores(input, weight, t.reshape(-1, 1), bias)))
    others = softplus(_scores(input, weight, words, bias))
    return _reduced(add(sum_over(own, axis=1), sum_over(others, axis=1)), reduction)


def _noise(op: str, log_noise: Any, words: Any, drawn: int, classes: int, dtype: Any) -> Any:
    """``log(drawn q)`` of words."""
    log_q = unwrap(log_noise, op, "log_noise")
    if log_q.shape != (classes,):
        raise ShapeError(
            f"{op}: log_noise has shape {log_q.shape}, expected ({classes},), one for each class"
        )
    return (log_q[words] + np.log(max(drawn, 1))).astype(dtype)


@rounded_once
def nce_loss(
    input: Any,
    weight: Any,
    target: Any,
    sampled: Any,
    log_noise: Any,
    *,
    bias: Any = None,
    reduction: str = "mean",
) -> Any:
    """Noise-contrastive estimation (Gutmann and Hyvarinen 2010): :func:`negative_sampling_loss` with scores
    less ``log(K q(c))``, which makes the scores estimates of log-probabilities.

    Parameters
    ----------
    input, weight, target, sampled, bias, reduction
        As :func:`negative_sampling_loss`.
    log_noise : array [C]
        Logarithms of the probabilities q that the words were drawn with.
    """
    op = "nce_loss"
    _reduction_code(op, reduction)
    t, dtype = _rows_of(op, input, weight, target)
    words, own = _sampled(op, "sampled", sampled, t.size), t.reshape(-1, 1)
    noise_of = (words.shape[-1], weight.shape[0], dtype)
    true = subtract(_scores(input, weight, own, bias), _noise(op, log_noise, own, *noise_of))
    noise = subtract(_scores(input, weight, words, bias), _noise(op, log_noise, words, *noise_of))
    losses = add(sum_over(softplus(negative(true)), axis=1), sum_over(softplus(noise), axis=1))
    return _reduced(losses, reduction)


@rounded_once
def sampled_softmax_loss(
    input: Any,
    weight: Any,
    target: Any,
    sampled: Any,
    log_noise: Any = None,
    *,
    bias: Any = None,
    remove_accidental_hits: bool = True,
    reduction: str = "mean",
) -> Any:
    """Cross-entropy among the target and words drawn at random (Jean et al. 2015).

    Parameters
    ----------
    input, weight, target, sampled, bias, reduction
        As :func:`negative_sampling_loss`.
    log_noise : array [C], optional
        Logarithms of how often each word is expected among those sampled; taken from the scores.
    remove_accidental_hits : bool, keyword-only, default True
        Leave out sampled words that are the row's target.
    """
    op = "sampled_softmax_loss"
    _reduction_code(op, reduction)
    t, dtype = _rows_of(op, input, weight, target)
    words, own = _sampled(op, "sampled", sampled, t.size), t.reshape(-1, 1)
    true, noise = _scores(input, weight, own, bias), _scores(input, weight, words, bias)
    if log_noise is not None:
        true = subtract(true, _noise(op, log_noise, own, 1, weight.shape[0], dtype))
        noise = subtract(noise, _noise(op, log_noise, words, 1, weight.shape[0], dtype))
    if flag(op, "remove_accidental_hits", remove_accidental_hits):
        hit = np.broadcast_to(words, (t.size, words.shape[-1])) == own
        noise = subtract(noise, np.where(hit, np.finfo(dtype).max / 4, 0).astype(dtype))
    first = np.zeros_like(t)
    return cross_entropy(concatenate((true, noise), 1), first, reduction=reduction)


@rounded_once
def hierarchical_softmax_loss(
    input: Any, weight: Any, nodes: Any, turns: Any, *, bias: Any = None, reduction: str = "mean"
) -> Any:
    """Minus the log-probability of a leaf of a binary tree whose inner nodes are logistic choices,
    ``sum over the path of log(1 + exp(-turn x . w[node]))`` (Morin and Bengio 2005; Mikolov et al. 2013).

    Parameters
    ----------
    input : array or Tensor [N, width]
    weight : array or Tensor [inner nodes, width]
    nodes : array of integers [N, depth]
        Inner nodes from the root to each row's leaf; what is beyond the path is any node.
    turns : array of integers [N, depth]
        1 or -1, the side that the path takes at each node, and 0 beyond its end.
    bias : array or Tensor [inner nodes], keyword-only, optional
    reduction : {"mean", "sum", "none"}, keyword-only

    See Also
    --------
    einkorn.nn.HierarchicalSoftmax : builds the tree from the words' counts.
    """
    op = "hierarchical_softmax_loss"
    _reduction_code(op, reduction)
    nodes, turns = as_index(nodes, op, "nodes"), as_index(turns, op, "turns")
    if nodes.ndim != 2 or turns.shape != nodes.shape:
        raise ShapeError(
            f"{op}: nodes has shape {nodes.shape} and turns {turns.shape}, expected (N, depth) both"
        )
    if turns.size and (abs(turns) > 1).any():
        raise ArgumentError(f"{op}: turns has the number {turns[abs(turns) > 1][0]}, expected 1, -1 or 0")
    _, dtype = _rows_of(op, input, weight, np.zeros(nodes.shape[0], np.int64))
    scores = multiply(_scores(input, weight, nodes, bias), turns.astype(dtype))
    terms = multiply(softplus(negative(scores)), (turns != 0).astype(dtype))
    return _reduced(sum_over(terms, axis=1), reduction)
