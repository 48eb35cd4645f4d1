"""Connectionist temporal classification: the sum over all paths of frames that spell a target.

With the target's labels between blanks, l = blank, target 1, blank, ..., blank, a path is at one of these
states in each frame and moves on by 0, 1 or, past a blank between different labels, 2. Logarithms of the sums
over the paths up to a frame, alpha, and from it on, beta, follow from those of the frame before and after
(Graves et al. 2006).
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import floats, optional_read, read, require, write
from ._compile import (
    Array,
    In1,
    In2,
    In3,
    Index1,
    IndexOut2,
    IndexOut3,
    Int,
    Loop,
    Out1,
    Out2,
    Out3,
    inline,
)
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


@inline
def _spoken(language: Array, last: int, c: int, blank: int) -> float:
    return language[blank if last < 0 else last, c] if language.size else 0.0


@inline
def _see(score: float, prefix: int, c: int, count: int, scores: Array, froms: Array, labels: Array) -> int:
    """Take in what is among the most probable, in order; return how many there are."""
    most = scores.shape[0]
    if not score > (scores[most - 1] if count == most else -math.inf):
        return count
    at = min(count, most - 1)
    while at > 0 and score > scores[at - 1]:
        scores[at], froms[at], labels[at] = scores[at - 1], froms[at - 1], labels[at - 1]
        at -= 1
    scores[at], froms[at], labels[at] = score, prefix, c
    return min(count + 1, most)


@inline
def _longer(tree: Array, nodes: int, node: int, c: int) -> int:
    """The node of a prefix with a label behind it, an old one or number `nodes`."""
    at = tree[2, node]
    while at >= 0:
        if tree[1, at] == c:
            return at
        at = tree[3, at]
    tree[0, nodes], tree[1, nodes], tree[2, nodes], tree[3, nodes] = node, c, -1, tree[2, node]
    tree[2, node] = nodes
    return nodes


@Loop
def _beam(
    first: Int,
    stop: Int,
    labels: IndexOut3,
    label_counts: IndexOut2,
    scores: Out2,
    log_probs: In3,
    language: In2,
    input_lengths: Index1,
    beams: Int,
    blank: Int,
) -> None:
    steps, classes = log_probs.shape[0], log_probs.shape[2]
    tree = np.empty((4, 1 + beams * steps), np.int64)  # parent, label, first child, next sibling
    node, moved = np.zeros(beams, np.int64), np.zeros(beams, np.int64)
    froms, added = np.zeros(beams, np.int64), np.zeros(beams, np.int64)
    sums = np.empty((2, beams))  # over a prefix's paths that end with the blank, and that do not
    total, best = np.empty(beams), np.empty(beams)
    stays, later = np.empty((2, beams)), np.empty((2, beams))
    for n in range(first, stop):
        tree[:, 0] = -1
        nodes, live = 1, 1
        node[0], sums[0, 0], sums[1, 0], total[0] = 0, 0.0, -math.inf, 0.0
        for t in range(min(max(input_lengths[n], 0), steps)):
            row = log_probs[t, n]
            count = 0
            for b in range(live):
                last, before = tree[1, node[b]], tree[0, node[b]]
                stays[0, b] = total[b] + row[blank]
                stays[1, b] = -math.inf if last < 0 else sums[1, b] + row[last]
                for a in range(live):
                    if last >= 0 and node[a] == before:
                        ends = tree[1, before]
                        passed = (sums[0, a] if ends == last else total[a]) + row[last]
                        passed += _spoken(language, ends, last, blank)
                        stays[1, b] = _log_add(stays[1, b], passed, -math.inf)
                both = _log_add(stays[0, b], stays[1, b], -math.inf)
                count = _see(both, b, -1, count, best, froms, added)
            for b in range(live):
                last = tree[1, node[b]]
                for c in range(classes):
                    passed = (sums[0, b] if c == last else total[b]) + row[c]
                    passed += _spoken(language, last, c, blank)
                    if c == blank or not passed > (best[beams - 1] if count == beams else -math.inf):
                        continue
                    is_live = False
                    for a in range(live):
                        is_live |= tree[0, node[a]] == node[b] and tree[1, node[a]] == c
                    if not is_live:
                        count = _see(passed, b, c, count, best, froms, added)
            for i in range(count):
                b = froms[i]
                moved[i] = node[b]
                later[0, i], later[1, i] = stays[0, b], stays[1, b]
                if added[i] >= 0:
                    moved[i] = _longer(tree, nodes, node[b], added[i])
                    nodes = max(nodes, moved[i] + 1)
                    later[0, i], later[1, i] = -math.inf, best[i]
            live = count
            node[:live] = moved[:live]
            sums[:, :live] = later[:, :live]
            total[:live] = best[:live]
        for path in range(scores.shape[1]):
            labels[n, path] = -1
            count, at = 0, node[path] if path < live else 0
            while at > 0:
                count, at = count + 1, tree[0, at]
            label_counts[n, path], at = count, node[path] if path < live else 0
            scores[n, path] = total[path] if path < live else -math.inf
            while at > 0:
                count -= 1
                labels[n, path, count], at = tree[1, at], tree[0, at]


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


@kernel
def ctc_beam(
    labels: Array,
    label_counts: Array,
    scores: Array,
    log_probs: Array,
    language: Array | None,
    input_lengths: Array,
    beams: int,
    blank: int,
) -> None:
    """The most probable targets that a search over prefixes finds."""
    require(log_probs.ndim == 3, "log_probs must be [steps, batch, classes]")
    steps, batch, classes = log_probs.shape
    require(classes >= 1, "log_probs must have classes")
    require(scores.ndim == 2, "scores must be [batch, paths]")
    paths = scores.shape[1]
    require(1 <= beams <= 1 << 16, "beams must be 1 to 65536")
    require(1 <= paths <= beams, "scores must be [batch, paths], 1 path to one a beam")
    require(0 <= blank < classes, "blank must be a class")
    dtype = floats(log_probs)
    scores = write("scores", scores, dtype, batch, paths)
    labels = write("labels", labels, np.int64, batch, paths, steps)
    label_counts = write("label_counts", label_counts, np.int64, batch, paths)
    log_probs = read("log_probs", log_probs, dtype, steps, batch, classes)
    spoken = optional_read("language", language, dtype, classes, classes)
    input_lengths = read("input_lengths", input_lengths, np.int64, batch)
    parallel_for(
        batch,
        2.0 * steps * beams * (beams + classes) + 1,
        lambda first, stop: _beam(
            first, stop, labels, label_counts, scores, log_probs, spoken, input_lengths, beams, blank
        ),
    )
