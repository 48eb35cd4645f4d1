"""Linear-chain conditional random fields: the likelihood of a sequence of tags, and the likeliest one."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import device_of, move
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops._road import as_index, contiguous, result, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.ctc import _lengths
from einkorn.ops.elementwise import multiply
from einkorn.ops.loss import _reduction_code
from einkorn.ops.reduce import sum as sum_over

__all__ = ["crf_decode", "crf_log_partition", "crf_loss"]


@rounded_once
def crf_loss(
    emissions: Any,
    tags: Any,
    transitions: Any,
    start: Any = None,
    end: Any = None,
    lengths: Any = None,
    *,
    reduction: str = "mean",
) -> Any:
    """Minus the log-probability of sequences of tags, of which each depends on the one before.

    The score of tags ``y`` is ``start[y_0] + sum emissions[t, y_t] + sum transitions[y_(t-1), y_t] +
    end[y_last]``, the probability of ``y`` its exponential over the sum of those of all sequences of that
    length (Lafferty, McCallum and Pereira 2001).

    Parameters
    ----------
    emissions : array or Tensor [batch, steps, tags]
        A score for each tag in each step.
    tags : array of integers [batch, steps]
        What is beyond a sequence's length is not read.
    transitions : array or Tensor [tags, tags]
        ``transitions[i, j]`` is the score of j after i; -inf forbids it.
    start, end : array or Tensor [tags], optional
        Scores of the first and of the last tag; default: none.
    lengths : sequence of int [batch], optional
        Steps of each sequence; default: all. A sequence of length 0 has the loss 0.
    reduction : {"mean", "sum", "none"}, keyword-only, default "mean"
        "mean" is that over the sequences.

    Returns
    -------
    array or Tensor
        A scalar, or with "none" one loss for each sequence. Infinite where the tags are forbidden.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        For shapes, types, lengths and tags that do not fit.
    """
    op = "crf_loss"
    code = _reduction_code(op, reduction)
    out = _losses(op, emissions, tags, transitions, start, end, lengths)
    if code == 0:
        return out
    total = sum_over(out)
    return multiply(total, 1.0 / out.shape[0] if out.shape[0] else float("nan")) if code == 1 else total


@rounded_once
def crf_log_partition(
    emissions: Any, transitions: Any, start: Any = None, end: Any = None, lengths: Any = None
) -> Any:
    """The logarithm of the sum of exp(score) over all sequences of tags; its gradients are probabilities.

    That with respect to ``emissions[n, t, i]`` is the probability of tag i in step t.

    Parameters
    ----------
    emissions, transitions, start, end, lengths
        As in :func:`crf_loss`.

    Returns
    -------
    array or Tensor [batch]

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        As :func:`crf_loss`.
    """
    return _losses("crf_log_partition", emissions, None, transitions, start, end, lengths)


@rounded_once
def crf_decode(
    emissions: Any, transitions: Any, start: Any = None, end: Any = None, lengths: Any = None
) -> tuple[Any, Any]:
    """Sequences of tags with the highest score, by dynamic programming (Viterbi 1967).

    Parameters
    ----------
    emissions, transitions, start, end, lengths
        As in :func:`crf_loss`.

    Returns
    -------
    tags : int64 array [batch, steps]
        -1 beyond a sequence's length. Among equals the lowest tag, from the last step on.
    score : array [batch]
        Their scores; no gradient passes.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        As :func:`crf_loss`.
    """
    op = "crf_decode"
    e, table, first, last, counts = _arguments(op, emissions, transitions, start, end, lengths)
    k = engines.of(e)
    best, score = k.empty(e.shape[:2], np.dtype(np.int64)), k.empty(e.shape[:1], e.dtype)
    k.crf_viterbi(best, score, e, table, first, last, move(counts, device_of(e)))
    return best, result(score, (), lambda g: ())


def _arguments(
    op: str, emissions: Any, transitions: Any, start: Any, end: Any, lengths: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """All arrays of a call, contiguous and checked; zeros for those that are absent."""
    e = unwrap(emissions, op, "emissions")
    if e.ndim != 3 or not e.shape[2]:
        raise ShapeError(f"{op}: emissions has shape {e.shape}, expected (batch, steps, tags) with tags")
    batch, steps, count = e.shape
    named = {"transitions": unwrap(transitions, op, "transitions")}
    expected = {"transitions": (count, count), "start": (count,), "end": (count,)}
    for name, x in (("start", start), ("end", end)):
        if x is not None:
            named[name] = unwrap(x, op, name)
    same_dtype(op, emissions=e, **named)
    for name, x in named.items():
        if x.shape != expected[name]:
            raise ShapeError(
                f"{op}: {name} has shape {x.shape}, expected {expected[name]}, for {count} tags of emissions"
            )
    if lengths is None:
        counts = np.full(batch, steps, np.int64)
    else:
        counts = _lengths(op, "lengths", lengths, batch, steps, "steps")
    k = engines.of(e)
    rows = []
    for name in ("start", "end"):
        row = named.get(name)
        if row is None:
            row = k.empty((count,), e.dtype)
            k.fill(row, 0.0)
        rows.append(contiguous(row))
    return contiguous(e), contiguous(named["transitions"]), rows[0], rows[1], counts


def _losses(op: str, emissions: Any, tags: Any, transitions: Any, start: Any, end: Any, lengths: Any) -> Any:
    """One loss for each sequence; without tags the logarithm of the sum alone."""
    e, table, first, last, counts = _arguments(op, emissions, transitions, start, end, lengths)
    batch, steps, count = e.shape
    chosen = None
    if tags is not None:
        chosen = move(as_index(tags, op, "tags"), "cpu")
        if chosen.shape != (batch, steps):
            raise ShapeError(f"{op}: tags has shape {chosen.shape}, expected {(batch, steps)}")
        _check_tags(op, chosen, counts, count)
        chosen = move(chosen, device_of(e))
    elif op == "crf_loss":
        raise ArgumentError(f"{op}: tags is None, expected an integer array; see crf_log_partition")
    counts = move(counts, device_of(e))
    k, dtype = engines.of(e), e.dtype
    losses, alpha = k.empty((batch,), dtype), k.empty(e.shape, dtype)
    k.crf_forward(losses, alpha, e, table, first, last, counts, chosen)

    def backward(g: Any) -> tuple[Any, ...]:
        out = tuple(k.empty(x.shape, dtype) for x in (e, table, first, last))
        k.crf_backward(*out, contiguous(g), alpha, e, table, first, last, counts, chosen)
        return out

    return result(losses, (emissions, transitions, start, end), backward)


def _check_tags(op: str, tags: Any, lengths: Any, count: int) -> None:
    bad = ((tags < 0) | (tags >= count)) & (np.arange(tags.shape[1]) < lengths[:, None])
    if bad.any():
        n, t = (int(i[0]) for i in np.nonzero(bad))
        raise IndexRangeError(
            f"{op}: tags has {int(tags[n, t])} in step {t} of sequence {n}, expected 0 to {count - 1}"
        )
