"""Connectionist temporal classification: sequences of labels from unaligned frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import device_of, move
from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.ops._options import flag, integer
from einkorn.ops._road import as_index, contiguous, result, same_dtype, unwrap
from einkorn.ops._rounding import rounded_once
from einkorn.ops.copy import reshape
from einkorn.ops.elementwise import multiply
from einkorn.ops.loss import _reduction_code
from einkorn.ops.reduce import argmax
from einkorn.ops.reduce import sum as sum_over

__all__ = ["ctc_beam_search_decode", "ctc_greedy_decode", "ctc_loss"]

_FRONT, _BEYOND = 2, 32  # room around the states in a row of the kernel's sums


@rounded_once
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Minus the log-probability that frames spell a target, over all alignments (Graves et al. 2006).

    A path gives each frame a class; repeats are merged, then blanks dropped.

    Parameters
    ----------
    log_probs : array or Tensor [frames, N, classes] or [frames, classes]
        Logarithms of probabilities, as ``log_softmax`` gives them.
    targets : array of integers [N, length] or [sum of target_lengths], or [length] for a single sequence
        Class numbers other than blank; what is beyond a target's length is not read.
    input_lengths, target_lengths : array or sequence of integers [N], or a number
        Frames and labels of each sequence.
    blank : int, default 0
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides each loss by its target's length, at least 1, and takes the mean over the sequences.
    zero_infinity : bool, default False
        Losses of targets that the frames are too few for are 0, and so are their gradients; else infinite
        and NaN.

    Returns
    -------
    array or Tensor
        A scalar, or with "none" one loss for each sequence.

    Raises
    ------
    ShapeError, IndexRangeError, ArgumentError, DTypeError
        For shapes, lengths, classes and options that do not fit.

    Notes
    -----
    As in torch, the gradient is that of the scores before ``log_softmax``: it adds ``exp(log_probs)``, which
    ``log_softmax`` takes away again. Of log-probabilities that are leaves it is not the slope.
    """
    op = "ctc_loss"
    code = _reduction_code(op, reduction)
    zero_infinity = flag(op, "zero_infinity", zero_infinity)
    a = unwrap(log_probs, op, "log_probs")
    if a.ndim not in (2, 3):
        raise ShapeError(
            f"{op}: log_probs has shape {a.shape}, expected (frames, N, classes) or (frames, classes)"
        )
    single = a.ndim == 2
    frames, batch, classes = (a.shape[0], 1, a.shape[1]) if single else a.shape
    if classes == 0:
        raise ShapeError(f"{op}: log_probs has shape {a.shape}, expected at least one class")
    blank = integer(op, "blank", blank, 0, classes - 1)
    inputs = _lengths(op, "input_lengths", input_lengths, batch, frames, "frames")
    labels = move(as_index(targets, op, "targets"), "cpu")
    padded = labels.ndim == 2
    if labels.ndim not in (1, 2) or (padded and labels.shape[0] != batch):
        raise ShapeError(
            f"{op}: targets has shape {labels.shape}, expected ({batch}, length) or (sum of lengths,)"
        )
    most = labels.shape[1] if padded else labels.size
    lengths = _lengths(op, "target_lengths", target_lengths, batch, most, "labels")
    if padded:
        starts = np.arange(batch, dtype=np.int64) * most
    else:
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))[:batch]
        if lengths.sum() > labels.size:
            raise ShapeError(
                f"{op}: targets has {labels.size} labels, expected {lengths.sum()}, the sum of target_lengths"
            )
    labels = labels.reshape(-1)
    _check_labels(op, labels, starts, lengths, classes, blank)
    k, dtype = engines.of(a), a.dtype
    x = contiguous(a).reshape(frames, batch, classes)
    longest = int(lengths.max(initial=0))
    width = (_FRONT + 2 * longest + 1 + 15) // 16 * 16 + _BEYOND
    losses, alpha = k.empty((batch,), dtype), k.empty((batch, frames, width), dtype)
    told = tuple(move(numbers, device_of(a)) for numbers in (labels, starts, inputs, lengths))
    k.ctc_forward(losses, alpha, x, *told, blank, zero_infinity)
    shape = a.shape

    def backward(g: Any) -> tuple[Any]:
        gx = k.empty((frames, batch, classes), dtype)
        k.ctc_backward(gx, contiguous(g), alpha, x, *told, blank, zero_infinity)
        return (gx.reshape(shape),)

    out = result(losses, (log_probs,), backward)
    if code == 1:
        shares = (1.0 / (np.maximum(lengths, 1) * max(batch, 1))).astype(dtype)
        out = multiply(out, move(shares, device_of(a)))
        return sum_over(out) if batch else multiply(sum_over(out), float("nan"))
    if code == 2:
        return sum_over(out)
    return reshape(out, ()) if single else out


@rounded_once
def ctc_greedy_decode(
    log_probs: Any, input_lengths: Any = None, *, blank: int = 0, merge_repeated: bool = True
) -> Any:
    """What frames spell along the likeliest path: the best class of each, repeats merged, blanks dropped.

    Parameters
    ----------
    log_probs : array or Tensor [frames, batch, classes] or [frames, classes]
        Scores, logarithms or not: only their order counts.
    input_lengths : sequence of int [batch], optional
        Frames of each sequence; default: all.
    blank : int, keyword-only, default 0
        The class that separates labels. Negative numbers count from the last class.
    merge_repeated : bool, keyword-only, default True
        Whether a label that stands in neighbouring frames is one.

    Returns
    -------
    list of int64 arrays of the CPU, one a sequence; one array without a batch axis

    Raises
    ------
    ShapeError
        For another number of axes, lengths that are no row of ``batch``, or no classes.
    ArgumentError
        For a blank beyond the classes, or a length beyond the frames.
    """
    op = "ctc_greedy_decode"
    a = unwrap(log_probs, op, "log_probs")
    if a.ndim not in (2, 3) or not a.shape[-1]:
        raise ShapeError(
            f"{op}: log_probs has shape {a.shape}, expected (frames, batch, classes) or (frames, classes)"
        )
    single = a.ndim == 2
    frames, classes = a.shape[0], a.shape[-1]
    batch = 1 if single else a.shape[1]
    best = a.reshape(frames, batch, classes)
    off = integer(op, "blank", blank, -classes, classes - 1) % classes
    merged = flag(op, "merge_repeated", merge_repeated)
    steps = [frames] * batch
    if input_lengths is not None:
        steps = [int(n) for n in _lengths(op, "input_lengths", input_lengths, batch, frames, "frames")]
    path = as_numpy(argmax(best, 2)) if best.size else np.zeros((frames, batch), np.int64)
    found = []
    for n, count in enumerate(steps):
        labels = path[:count, n]
        kept = labels != off
        if merged:
            kept[1:] &= labels[1:] != labels[:-1]
        found.append(labels[kept].astype(np.int64))
    return found[0] if single else found


@rounded_once
def ctc_beam_search_decode(
    log_probs: Any,
    input_lengths: Any = None,
    *,
    beam_width: int = 16,
    top_paths: int = 1,
    blank: int = 0,
    language: Any = None,
) -> tuple[Any, Any]:
    """What frames spell over all of their paths: a search over prefixes (Graves 2012; Hannun et al. 2014).

    Many paths may spell the same labels. The search adds them up, where :func:`ctc_greedy_decode` looks at
    the likeliest path alone.

    Parameters
    ----------
    log_probs : array or Tensor [frames, batch, classes] or [frames, classes]
        Logarithms of probabilities, as ``log_softmax`` gives them.
    input_lengths : sequence of int [batch], optional
        Frames of each sequence; default: all.
    beam_width : int, keyword-only, default 16
        Prefixes that are kept from frame to frame.
    top_paths : int, keyword-only, default 1
        How many of them come back, at most ``beam_width``.
    blank : int, keyword-only, default 0
        The class that separates labels. Negative numbers count from the last class.
    language : array [classes, classes], keyword-only, optional
        ``language[a, b]`` is added to the logarithm where label b follows a, row ``blank`` where b is the
        first: a weight times the logarithms of a model of pairs, and what speaks for longer results.

    Returns
    -------
    labels : list of lists of int64 arrays
        For each sequence its likeliest results, the best first; without a batch axis the one list.
    scores : array [batch, top_paths] or [top_paths]
        The logarithms of what was found of their probabilities; -inf where there are not so many results. No
        gradient passes.

    Raises
    ------
    ShapeError, DTypeError
        For another number of axes, lengths that are no row of ``batch``, no classes, another ``language``.
    ArgumentError
        For a blank beyond the classes, a length beyond the frames, or widths out of range.
    """
    op = "ctc_beam_search_decode"
    a = unwrap(log_probs, op, "log_probs")
    if a.ndim not in (2, 3) or not a.shape[-1]:
        raise ShapeError(
            f"{op}: log_probs has shape {a.shape}, expected (frames, batch, classes) or (frames, classes)"
        )
    single = a.ndim == 2
    frames, classes = a.shape[0], a.shape[-1]
    batch = 1 if single else a.shape[1]
    width = integer(op, "beam_width", beam_width, 1, 1 << 16)
    paths = integer(op, "top_paths", top_paths, 1, width)
    off = integer(op, "blank", blank, -classes, classes - 1) % classes
    table = None
    if language is not None:
        table = unwrap(language, op, "language")
        same_dtype(op, log_probs=a, language=table)
        if table.shape != (classes, classes):
            raise ShapeError(f"{op}: language has shape {table.shape}, expected {(classes, classes)}")
        table = contiguous(table)
    if input_lengths is None:
        counts = np.full(batch, frames, np.int64)
    else:
        counts = _lengths(op, "input_lengths", input_lengths, batch, frames, "frames")
    k, whole = engines.of(a), np.dtype(np.int64)
    labels, found = k.empty((batch, paths, frames), whole), k.empty((batch, paths), whole)
    scores = k.empty((batch, paths), a.dtype)
    x = contiguous(a).reshape(frames, batch, classes)
    k.ctc_beam(labels, found, scores, x, table, move(counts, device_of(a)), width, off)
    counted = move(found, "cpu")
    spelt = [[labels[n, i, : int(counted[n, i])].copy() for i in range(paths)] for n in range(batch)]
    return (spelt[0], scores[0]) if single else (spelt, scores)


def _lengths(op: str, name: str, lengths: Any, batch: int, most: int, what: str) -> Any:
    """Checked, on the CPU."""
    values = np.asarray(lengths) if isinstance(lengths, (tuple, list, int, np.integer)) else lengths
    if isinstance(lengths, (tuple, list)) and not len(lengths):
        values = np.zeros(0, np.int64)
    out = move(as_index(values, op, name), "cpu").reshape(-1)
    if out.size != batch:
        raise ShapeError(f"{op}: {name} has {out.size} entries, expected {batch}, one for each sequence")
    if batch and (out.min() < 0 or out.max() > most):
        bad = out[(out < 0) | (out > most)][0]
        raise ArgumentError(f"{op}: {name} has {bad}, expected 0 to {most}, the number of {what}")
    return out


def _check_labels(op: str, labels: Any, starts: Any, lengths: Any, classes: int, blank: int) -> None:
    read = np.zeros(labels.size + 1, np.int64)
    np.add.at(read, starts[lengths > 0], 1)
    np.add.at(read, (starts + lengths)[lengths > 0], -1)
    bad = np.flatnonzero(
        (np.cumsum(read)[:-1] > 0) & ((labels < 0) | (labels >= classes) | (labels == blank))
    )
    if bad.size == 0:
        return
    label, n = int(labels[bad[0]]), int(np.searchsorted(starts, bad[0], "right")) - 1
    where = f"label {bad[0] - starts[n]} of sequence {n}"
    if label == blank:
        raise ArgumentError(f"{op}: targets has the blank, {blank}, as {where}, expected other classes")
    raise IndexRangeError(f"{op}: targets has class {label} as {where}, expected 0 to {classes - 1}")
