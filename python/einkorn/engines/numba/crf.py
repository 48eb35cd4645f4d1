"""Linear-chain conditional random fields: sums over all sequences of tags, and the best of them.

``alpha[t, i]`` is the logarithm of the sum of exp(score) over all beginnings that end with tag i in step t,
beta the same of the ends; both go on by one step in logarithms.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, optional_read, read, require, write
from ._compile import Array, In1, In2, In3, Index1, Index2, IndexOut2, Int, Loop, Out1, Out3, inline
from ._kernels import kernel
from ._threads import parallel_for

_COST = 8.0  # ns per pair of tags


@inline
def _log_sum(a: Array, b: Array) -> float:
    """log of the sum of exp(a + b); NaN stays."""
    most = -math.inf
    for j in range(a.shape[0]):
        most = max(most, a[j] + b[j])
    if most == -math.inf:
        most = 0.0
    total = 0.0
    for j in range(a.shape[0]):
        total += math.exp(a[j] + b[j] - most)
    return most + math.log(total) if total != 0.0 else -math.inf


@inline
def _within(x: int, most: int) -> int:
    return min(max(x, 0), most)


@Loop
def _forward(
    first: Int,
    stop: Int,
    loss: Out1,
    log_alpha: Out3,
    emissions: In3,
    transitions: In2,
    start: In1,
    end: In1,
    lengths: Index1,
    tags: Index2,
) -> None:
    steps, count = emissions.shape[1], emissions.shape[2]
    for n in range(first, stop):
        length = _within(lengths[n], steps)
        if length == 0:
            loss[n] = 0
            continue
        alpha, e = log_alpha[n], emissions[n]
        for t in range(length):
            for i in range(count):
                before = start[i] if t == 0 else _log_sum(alpha[t - 1], transitions[:, i])
                alpha[t, i] = before + e[t, i]
        total = _log_sum(alpha[length - 1], end)
        if tags.size:
            last = _within(tags[n, 0], count - 1)
            score = start[last] + np.float64(e[0, last])
            for t in range(1, length):
                tag = _within(tags[n, t], count - 1)
                score += e[t, tag] + np.float64(transitions[last, tag])
                last = tag
            total -= score + end[last]
        loss[n] = total


@Loop
def _backward(
    first: Int,
    stop: Int,
    groups: Int,
    gemissions: Out3,
    sums: Out3,
    gloss: In1,
    log_alpha: In3,
    emissions: In3,
    transitions: In2,
    start: In1,
    end: In1,
    lengths: Index1,
    tags: Index2,
) -> None:
    batch, steps, count = emissions.shape
    beta, later = np.zeros(count), np.zeros(count)
    for group in range(first, stop):
        total_of = sums[group]
        total_of[:] = 0
        for n in range(group * batch // groups, (group + 1) * batch // groups):
            length, g = _within(lengths[n], steps), gloss[n]
            gemissions[n, length:] = 0
            if length == 0:
                continue
            alpha, e, out = log_alpha[n], emissions[n], gemissions[n]
            total = _log_sum(alpha[length - 1], end)
            beta[:] = end
            for t in range(length - 1, -1, -1):
                for i in range(count):
                    out[t, i] = g * math.exp(alpha[t, i] + beta[i] - total)
                if t == length - 1:
                    total_of[count + 1] += out[t]
                if t == 0:
                    total_of[count] += out[t]
                    continue
                for i in range(count):
                    later[i] = e[t, i] + beta[i]
                for j in range(count):
                    for i in range(count):
                        total_of[j, i] += g * math.exp(
                            alpha[t - 1, j] + transitions[j, i] + (later[i] - total)
                        )
                    beta[j] = _log_sum(transitions[j], later)
            if not tags.size:
                continue
            last = count
            for t in range(length):
                tag = _within(tags[n, t], count - 1)
                out[t, tag] -= g
                total_of[last, tag] -= g
                last = tag
            total_of[count + 1, last] -= g


@Loop
def _viterbi(
    first: Int,
    stop: Int,
    best: IndexOut2,
    score: Out1,
    emissions: In3,
    transitions: In2,
    start: In1,
    end: In1,
    lengths: Index1,
) -> None:
    steps, count = emissions.shape[1], emissions.shape[2]
    scores = np.empty((steps, count), emissions.dtype)
    for n in range(first, stop):
        length = _within(lengths[n], steps)
        best[n, length:] = -1
        score[n] = 0
        for t in range(length):
            for i in range(count):
                most = start[i]
                if t > 0:
                    most = scores.dtype.type(-math.inf)
                    for j in range(count):
                        x = scores[t - 1, j] + transitions[j, i]
                        if x > most:
                            most = x
                scores[t, i] = most + emissions[n, t, i]
        for t in range(length - 1, -1, -1):
            most = scores.dtype.type(-math.inf)
            best[n, t] = 0
            for j in range(count):
                x = scores[t, j] + (end[j] if t == length - 1 else transitions[j, best[n, t + 1]])
                if x > most:
                    most = x
                    best[n, t] = j
            if t == length - 1:
                score[n] = most


def _sizes(
    emissions: Array, transitions: Array, start: Array, end: Array, lengths: Array
) -> tuple[int, int, int]:
    require(emissions.ndim == 3, "emissions must be [batch, steps, tags]")
    batch, steps, tags = emissions.shape
    require(tags >= 1, "emissions must have tags")
    return batch, steps, tags


@kernel
def crf_forward(
    loss: Array,
    log_alpha: Array,
    emissions: Array,
    transitions: Array,
    start: Array,
    end: Array,
    lengths: Array,
    tags: Array | None,
) -> None:
    """The logarithm of the sum of exp(score) over all sequences of tags, less the score of the given ones."""
    batch, steps, count = _sizes(emissions, transitions, start, end, lengths)
    dtype = floats(emissions)
    loss = write("loss", loss, dtype, batch)
    log_alpha = write("log_alpha", log_alpha, dtype, batch, steps, count)
    emissions = read("emissions", emissions, dtype, batch, steps, count)
    transitions = read("transitions", transitions, dtype, count, count)
    start, end = read("start", start, dtype, count), read("end", end, dtype, count)
    lengths = read("lengths", lengths, np.int64, batch)
    chosen = optional_read("tags", tags, np.int64, batch, steps)
    parallel_for(
        batch,
        _COST * steps * count * count + 1,
        lambda first, stop: _forward(
            first, stop, loss, log_alpha, emissions, transitions, start, end, lengths, chosen
        ),
    )


@kernel
def crf_backward(
    gemissions: Array,
    gtransitions: Array,
    gstart: Array,
    gend: Array,
    gloss: Array,
    log_alpha: Array,
    emissions: Array,
    transitions: Array,
    start: Array,
    end: Array,
    lengths: Array,
    tags: Array | None,
) -> None:
    """Gradients of crf_forward's loss: probabilities of tags and of pairs, less those that were given."""
    batch, steps, count = _sizes(emissions, transitions, start, end, lengths)
    dtype = floats(emissions)
    gemissions = write("gemissions", gemissions, dtype, batch, steps, count)
    gtransitions = write("gtransitions", gtransitions, dtype, count, count)
    gstart, gend = write("gstart", gstart, dtype, count), write("gend", gend, dtype, count)
    gloss = read("gloss", gloss, dtype, batch)
    log_alpha = read("log_alpha", log_alpha, dtype, batch, steps, count)
    emissions = read("emissions", emissions, dtype, batch, steps, count)
    transitions = read("transitions", transitions, dtype, count, count)
    start, end = read("start", start, dtype, count), read("end", end, dtype, count)
    lengths = read("lengths", lengths, np.int64, batch)
    chosen = optional_read("tags", tags, np.int64, batch, steps)
    groups = min(batch, 16)
    sums = np.empty((groups, count + 2, count), dtype)
    parallel_for(
        groups,
        3 * _COST * steps * count * count * (batch // max(groups, 1)) + 1,
        lambda first, stop: _backward(
            first, stop, groups, gemissions, sums, gloss, log_alpha, emissions, transitions, start, end,
            lengths, chosen,
        ),
    )  # fmt: skip
    total = sums.sum(axis=0)
    gtransitions[:], gstart[:], gend[:] = total[:count], total[count], total[count + 1]


@kernel
def crf_viterbi(
    best: Array,
    score: Array,
    emissions: Array,
    transitions: Array,
    start: Array,
    end: Array,
    lengths: Array,
) -> None:
    """The tags of the highest score, and that score."""
    batch, steps, count = _sizes(emissions, transitions, start, end, lengths)
    dtype = floats(emissions)
    best = write("best", best, np.int64, batch, steps)
    score = write("score", score, dtype, batch)
    emissions = read("emissions", emissions, dtype, batch, steps, count)
    transitions = read("transitions", transitions, dtype, count, count)
    start, end = read("start", start, dtype, count), read("end", end, dtype, count)
    lengths = read("lengths", lengths, np.int64, batch)
    parallel_for(
        batch,
        _COST * steps * count * count + 1,
        lambda first, stop: _viterbi(first, stop, best, score, emissions, transitions, start, end, lengths),
    )
