"""word2vec, a pair after the other in float32: what the native kernel computes, with other orders of sums.

Stretches follow one another, so the bits are the same each time.
"""

from __future__ import annotations

import math

import numpy as np

from ._checks import optional_read, read, require, write
from ._compile import (
    Array,
    ByteIn1,
    Float32In1,
    Float32Out2,
    Float64Out2,
    Index1,
    Int,
    Int32In1,
    Loop,
    Scalar,
    Word,
    inline,
)
from ._kernels import kernel

_SEGMENT = 10000


@inline
def _mixed(z: int) -> int:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inline
def _begin(seed: int, place: int) -> int:
    return _mixed(np.uint64(seed)) + np.uint64(place) * np.uint64(0xD1342543DE82EF95)


@inline
def _below(draw: int, n: int) -> int:
    return np.int64(((draw >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@inline
def _unit(draw: int) -> float:
    return np.float64(draw & np.uint64(0xFFFFFF)) / 16777216.0


@inline
def _soft_loss(z: float, label: float) -> float:
    return math.log1p(math.exp(-abs(z))) + ((1.0 - label) * z if z >= 0 else -label * z)


@Loop
def _train(
    vectors: Float32Out2,
    outputs: Float32Out2,
    stats: Float64Out2,
    tokens: Int32In1,
    starts: Index1,
    keep: Float32In1,
    chance: Float32In1,
    alias: Int32In1,
    paths: Index1,
    nodes: Int32In1,
    codes: ByteIn1,
    part_starts: Index1,
    parts: Int32In1,
    words: Int,
    window: Int,
    negatives: Int,
    longest: Int,
    first: Int,
    rate_first: Scalar,
    rate_last: Scalar,
    seed: Word,
    cbow: Int,
    mean: Int,
    full: Int,
) -> None:
    step = np.uint64(0x9E3779B97F4A7C15)
    width = vectors.shape[1]
    count = tokens.shape[0]
    sentences = starts.shape[0] - 1
    kept = np.empty(_SEGMENT, np.int64)
    places = np.empty(_SEGMENT, np.int64)
    most = words if full else 1 + negatives + longest
    target = np.empty(most, np.int64)
    label = np.empty(most, np.float64)
    score = np.empty(most, np.float64)
    room = 1 if cbow else 2 * window
    x = np.empty((room, width), np.float32)
    dx = np.empty((room, width), np.float32)
    y = np.empty(width, np.float32)
    whole = part_starts.shape[0] == 0
    for stretch in range(stats.shape[0]):
        stats[stretch, 0] = 0
        stats[stretch, 1] = 0
        low = sentences * stretch // stats.shape[0]
        high = sentences * (stretch + 1) // stats.shape[0]
        for sentence in range(low, high):
            at = starts[sentence]
            while at < starts[sentence + 1]:
                end = min(at + _SEGMENT, starts[sentence + 1])
                rate = np.float32(rate_first + (rate_last - rate_first) * (at / count))
                n = 0
                while at < end:
                    word = tokens[at]
                    fits = 0 <= word < words
                    if fits and keep.shape[0] > 0:
                        state = _begin(seed, first + at) + step
                        fits = _unit(_mixed(state)) < keep[word]
                    if fits:
                        kept[n] = word
                        places[n] = at
                        n += 1
                    at += 1
                for c in range(n):
                    state = _begin(seed, first + places[c]) + step + step
                    reach = window - _below(_mixed(state), window)
                    begin = max(0, c - reach)
                    stop = min(n, c + reach + 1)
                    if stop - begin < 2:
                        continue
                    word = kept[c]
                    x[:] = 0
                    dx[:] = 0
                    inputs = 0
                    summed = 0
                    for w in range(begin, stop):
                        if w == c:
                            continue
                        i = 0 if cbow else inputs
                        from_part = kept[w] if whole else part_starts[kept[w]]
                        to_part = from_part + 1 if whole else part_starts[kept[w] + 1]
                        for p in range(from_part, to_part):
                            x[i] += vectors[p if whole else parts[p]]
                        summed += to_part - from_part
                        if not cbow and to_part - from_part > 1:
                            x[i] *= np.float32(1.0 / (to_part - from_part))
                        inputs += 1
                    if cbow:
                        if mean and summed > 1:
                            x[0] *= np.float32(1.0 / summed)
                        inputs = 1
                    loss = 0.0
                    size = 0
                    if full:
                        size = words
                        for j in range(words):
                            target[j] = j
                    if chance.shape[0] > 0:
                        target[0] = word
                        label[0] = 1
                        size = 1
                        for _ in range(negatives):
                            state += step
                            draw = _mixed(state)
                            drawn = _below(draw, words)
                            if _unit(draw) >= chance[drawn]:
                                drawn = alias[drawn]
                            known = False
                            for j in range(size):
                                known = known or target[j] == drawn
                            if not known:
                                target[size] = drawn
                                label[size] = 0
                                size += 1
                    if paths.shape[0] > 0:
                        for p in range(paths[word], paths[word + 1]):
                            target[size] = nodes[p]
                            label[size] = 1 - codes[p]
                            size += 1
                    if full:
                        for i in range(inputs):
                            largest = -math.inf
                            for j in range(size):
                                score[j] = 0
                                for d in range(width):
                                    score[j] += x[i, d] * outputs[j, d]
                                largest = max(largest, score[j])
                            scored = score[word]
                            total = 0.0
                            for j in range(size):
                                score[j] = math.exp(score[j] - largest)
                                total += score[j]
                            loss += math.log(total) - (scored - largest)
                            for j in range(size):
                                g = np.float32(rate * ((1.0 if j == word else 0.0) - score[j] / total))
                                for d in range(width):
                                    row = outputs[j, d]
                                    dx[i, d] += g * row
                                    outputs[j, d] = row + g * x[i, d]
                    else:
                        for j in range(size):
                            y[:] = 0
                            for i in range(inputs):
                                z = 0.0
                                for d in range(width):
                                    z += x[i, d] * outputs[target[j], d]
                                loss += _soft_loss(z, label[j])
                                g = np.float32(rate * (label[j] - 1.0 / (1.0 + math.exp(-z))))
                                for d in range(width):
                                    dx[i, d] += g * outputs[target[j], d]
                                    y[d] += g * x[i, d]
                            outputs[target[j]] += y
                    stats[stretch, 0] += loss
                    stats[stretch, 1] += inputs
                    i = 0
                    by = np.float32(1.0 / summed if cbow and not mean else 1.0)
                    for w in range(begin, stop):
                        if w == c:
                            continue
                        from_part = kept[w] if whole else part_starts[kept[w]]
                        to_part = from_part + 1 if whole else part_starts[kept[w] + 1]
                        for p in range(from_part, to_part):
                            vectors[p if whole else parts[p]] += dx[i] * by
                        if not cbow:
                            i += 1


def _rises(a: Array, last: int) -> bool:
    return bool(a.size > 0 and a[0] == 0 and a[-1] == last and np.all(a[1:] >= a[:-1]))


def _within(a: Array, limit: int) -> bool:
    return bool(np.all((a >= 0) & (a < limit)))


@kernel
def word2vec_train(
    vectors: Array,
    outputs: Array,
    stats: Array,
    tokens: Array,
    starts: Array,
    keep: Array | None,
    chance: Array | None,
    alias: Array | None,
    paths: Array | None,
    nodes: Array | None,
    codes: Array | None,
    part_starts: Array | None,
    parts: Array | None,
    words: int,
    window: int,
    negatives: int,
    first: int,
    rate_first: float,
    rate_last: float,
    seed: int,
    cbow: bool,
    mean: bool,
    full: bool,
) -> None:
    """One pass of word2vec over tokens [count]; vectors and outputs are trained in place."""
    require(vectors.ndim == 2, "vectors must be float32 [rows, width]")
    rows, width = vectors.shape
    require(outputs.ndim == 2 and outputs.shape[1] == width, "outputs must be float32 [targets, width]")
    require(
        stats.ndim == 2 and stats.shape[1] == 2 and stats.shape[0] >= 1,
        "stats must be float64 [stretches, 2]",
    )
    require(0 <= words < 2**31, "words must be 0 to 2147483647")
    require(1 <= window <= 1000, "window must be 1 to 1000")
    require(0 <= negatives <= 1000, "negatives must be 0 to 1000")
    require(starts.size >= 1, "starts must be int64 [sentences + 1]")
    tokens = read("tokens", tokens, np.int32, tokens.size)
    starts = read("starts", starts, np.int64, starts.size)
    require(_rises(starts, tokens.size), "starts must rise from 0 to the number of tokens")
    require(keep is None or keep.size == words, "keep must be float32 [words]")
    require((chance is None) == (alias is None), "chance and alias come together")
    require(
        chance is None or (chance.size == words and alias is not None and alias.size == words),
        "chance and alias must have an element for each word",
    )
    require((paths is None) == (nodes is None) == (codes is None), "paths, nodes and codes come together")
    require(
        (chance is None and paths is None) if full else (chance is not None or paths is not None),
        "one of negative sampling, hierarchical and full softmax is needed",
    )
    require(
        not (full or chance is not None) or outputs.shape[0] >= words, "outputs must have a row for each word"
    )
    none = np.empty(0, np.int64)
    longest = 0
    if alias is not None:
        require(_within(alias, words), "alias must hold words")
    if paths is not None and nodes is not None and codes is not None:
        require(paths.size == words + 1 and codes.size == nodes.size, "paths must be int64 [words + 1]")
        paths = read("paths", paths, np.int64, words + 1)
        require(_rises(paths, nodes.size), "paths must rise from 0 to the number of nodes")
        longest = int(np.max(np.diff(paths), initial=0))
        require(_within(nodes, outputs.shape[0]), "nodes must hold rows of outputs")
    require((part_starts is None) == (parts is None), "part_starts and parts come together")
    require(part_starts is not None or rows >= words, "vectors must have a row for each word")
    if part_starts is not None and parts is not None:
        require(part_starts.size == words + 1, "part_starts must be int64 [words + 1]")
        part_starts = read("part_starts", part_starts, np.int64, words + 1)
        require(_rises(part_starts, parts.size), "part_starts must rise from 0 to the number of parts")
        require(_within(parts, rows), "parts must hold rows of vectors")
    _train(
        write("vectors", vectors, np.float32, rows, width),
        write("outputs", outputs, np.float32, *outputs.shape),
        write("stats", stats, np.float64, *stats.shape),
        tokens,
        starts,
        optional_read("keep", keep, np.float32, words),
        optional_read("chance", chance, np.float32, words),
        optional_read("alias", alias, np.int32, words),
        none if paths is None else paths,
        optional_read("nodes", nodes, np.int32, 0 if nodes is None else nodes.size),
        optional_read("codes", codes, np.uint8, 0 if codes is None else codes.size),
        none if part_starts is None else part_starts,
        optional_read("parts", parts, np.int32, 0 if parts is None else parts.size),
        words,
        window,
        negatives,
        longest,
        first,
        rate_first,
        rate_last,
        seed,
        int(cbow),
        int(mean),
        int(full),
    )
