"""Connectionist temporal classification: the sum over all paths of frames that spell a target.

With the target's labels between blanks, l = blank, target 1, blank, ..., blank, a path is at one of these
states in each frame and moves on by 0, 1 or, past a blank between different labels, 2. Logarithms of the sums
over the paths up to a frame, alpha, and from it on, beta, follow from those of the frame before and after
(Graves et al. 2006).
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, read, require, write
from ._compile import Array, In1, In3, Index1, Int, Loop, Out1, Out3, inline
from ._kernels import kernel
from ._threads import parallel_for

_COST = 40.0  # ns per state of a frame
_BEYOND = 32  # what the native rows have beyond their states


@inline
def _log_add(a: float, b: float, c: float) -> float:
    if a == -math.inf and b == -math.inf and c == -math.inf:
        return a
    m = max(a, b, c)  # any of them where one is NaN, which the sum of the exponentials is then
    return m + math.log(math.exp(a - m) + math.exp(b - m) + math.exp(c - m))


@inline
def _label(targets: Array, start: int, s: int, blank: int, classes: int) -> int:
    label = blank if s % 2 == 0 else targets[start + s // 2]
    return min(max(label, 0), classes - 1)


@inline
def _skips(targets: Array, start: int, s: int) -> bool:
    """Whether a path may come to state s past the blank before it."""
    return s % 2 == 1 and s >= 2 and targets[start + s // 2] != targets[start + s // 2 - 1]


@inline
def _loss(alpha: Array, frames: int, states: int) -> float:
    if frames == 0:
        return 0.0 if states == 1 else math.inf
    last = alpha[frames - 1]
    return -_log_add(last[states - 1], last[states - 2] if states > 1 else -math.inf, -math.inf)


@Loop
def _forward(
    first: Int,
    stop: Int,
    loss: Out1,
    log_alpha: Out3,
    log_probs: In3,
    targets: Index1,
    starts: Index1,
    input_lengths: Index1,
    target_lengths: Index1,
    blank: Int,
    zero_infinity: Int,
) -> None:
    steps, classes = log_probs.shape[0], log_probs.shape[2]
    for n in range(first, stop):
        frames = min(max(input_lengths[n], 0), steps)
        start = min(max(starts[n], 0), targets.shape[0])
        length = min(max(target_lengths[n], 0), targets.shape[0] - start)
        states = min(2 * length + 1, log_alpha.shape[2])
        alpha = log_alpha[n]
        for t in range(frames):
            for s in range(states):
                if t == 0:
                    before = 0.0 if s < 2 else -math.inf
                else:
                    before = _log_add(
                        alpha[t - 1, s],
                        alpha[t - 1, s - 1] if s >= 1 else -math.inf,
                        alpha[t - 1, s - 2] if _skips(targets, start, s) else -math.inf,
                    )
                alpha[t, s] = before + log_probs[t, n, _label(targets, start, s, blank, classes)]
        found = _loss(alpha, frames, states)
        loss[n] = 0.0 if zero_infinity and found == math.inf else found


@Loop
def _backward(
    first: Int,
    stop: Int,
    glog_probs: Out3,
    gloss: In1,
    log_alpha: In3,
    log_probs: In3,
    targets: Index1,
    starts: Index1,
    input_lengths: Index1,
    target_lengths: Index1,
    blank: Int,
    zero_infinity: Int,
) -> None:
    steps, classes = log_probs.shape[0], log_probs.shape[2]
    for n in range(first, stop):
        frames = min(max(input_lengths[n], 0), steps)
        start = min(max(starts[n], 0), targets.shape[0])
        length = min(max(target_lengths[n], 0), targets.shape[0] - start)
        states = min(2 * length + 1, log_alpha.shape[2])
        alpha = log_alpha[n]
        found = _loss(alpha, frames, states)
        for t in range(steps):
            for c in range(classes):
                if t >= frames or (found == math.inf and zero_infinity):
                    glog_probs[t, n, c] = 0
                elif found == math.inf:
                    glog_probs[t, n, c] = math.nan
                else:
                    glog_probs[t, n, c] = math.exp(log_probs[t, n, c]) * gloss[n]
        if found == math.inf:
            continue
        beta, after = np.full(states + 2, -math.inf), np.full(states + 2, -math.inf)
        for t in range(frames - 1, -1, -1):
            beta, after = after, beta
            for s in range(states):
                c = _label(targets, start, s, blank, classes)
                if t == frames - 1:
                    later = 0.0 if s >= states - 2 else -math.inf
                else:
                    skips = s + 2 < states and _skips(targets, start, s + 2)
                    later = _log_add(after[s], after[s + 1], after[s + 2] if skips else -math.inf)
                beta[s] = later + log_probs[t, n, c]
                both = alpha[t, s] + beta[s]
                if both != -math.inf:
                    glog_probs[t, n, c] -= math.exp(both - log_probs[t, n, c] + found) * gloss[n]


def _shapes(log_probs: Array, log_alpha: Array) -> tuple[int, int, int]:
    require(log_probs.ndim == 3, "log_probs must be [steps, batch, classes]")
    steps, batch, classes = log_probs.shape
    require(
        log_alpha.ndim == 3 and log_alpha.shape[:2] == (batch, steps),
        "log_alpha must be [batch, steps, width]",
    )
    require(log_alpha.shape[2] >= 16 + _BEYOND, "log_alpha is too narrow")
    require(classes >= 1, "log_probs must have classes")
    return steps, batch, classes


@kernel
def ctc_forward(
    loss: Array,
    log_alpha: Array,
    log_probs: Array,
    targets: Array,
    starts: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int,
    zero_infinity: bool,
) -> None:
    """Minus the log of each target's probability, and the sums up to each frame that led to it."""
    steps, batch, classes = _shapes(log_probs, log_alpha)
    dtype = floats(log_probs)
    loss = write("loss", loss, dtype, batch)
    log_alpha = write("log_alpha", log_alpha, dtype, *log_alpha.shape)
    log_probs = read("log_probs", log_probs, dtype, steps, batch, classes)
    targets = read("targets", targets, np.int64, targets.size)
    starts = read("starts", starts, np.int64, batch)
    input_lengths = read("input_lengths", input_lengths, np.int64, batch)
    target_lengths = read("target_lengths", target_lengths, np.int64, batch)
    parallel_for(
        batch,
        _COST * steps * log_alpha.shape[2] + 1,
        lambda first, stop: _forward(
            first, stop, loss, log_alpha, log_probs, targets, starts, input_lengths, target_lengths, blank,
            int(zero_infinity),
        ),
    )  # fmt: skip


@kernel
def ctc_backward(
    glog_probs: Array,
    gloss: Array,
    log_alpha: Array,
    log_probs: Array,
    targets: Array,
    starts: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int,
    zero_infinity: bool,
) -> None:
    """glog_probs = gloss (exp(log_probs) - share of the paths at each label)."""
    steps, batch, classes = _shapes(log_probs, log_alpha)
    dtype = floats(log_probs)
    glog_probs = write("glog_probs", glog_probs, dtype, steps, batch, classes)
    gloss = read("gloss", gloss, dtype, batch)
    log_alpha = read("log_alpha", log_alpha, dtype, *log_alpha.shape)
    log_probs = read("log_probs", log_probs, dtype, steps, batch, classes)
    targets = read("targets", targets, np.int64, targets.size)
    starts = read("starts", starts, np.int64, batch)
    input_lengths = read("input_lengths", input_lengths, np.int64, batch)
    target_lengths = read("target_lengths", target_lengths, np.int64, batch)
    parallel_for(
        batch,
        2 * _COST * steps * log_alpha.shape[2] + 1,
        lambda first, stop: _backward(
            first, stop, glog_probs, gloss, log_alpha, log_probs, targets, starts, input_lengths,
            target_lengths, blank, int(zero_infinity),
        ),
    )  # fmt: skip
