"""word2vec and GloVe: the kernels beside the definitions in float64, on both engines."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from einkorn import ops
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

WORDS, WIDTH = 9, 19
STEP = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


pytestmark = pytest.mark.usefixtures("backend")


def mixed(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def draws(seed: int, place: int) -> Iterator[int]:
    state = (mixed(seed) + place * 0xD1342543DE82EF95) & MASK
    while True:
        state = (state + STEP) & MASK
        yield mixed(state)


def below(draw: int, n: int) -> int:
    return (draw >> 32) * n >> 32


def unit(draw: int) -> float:
    return (draw & 0xFFFFFF) / 2**24


def defined(
    vectors: np.ndarray, outputs: np.ndarray, tokens: np.ndarray, starts: np.ndarray, options: dict[str, Any]
) -> tuple[float, int]:
    """The definition, in place, in the type of the arrays."""
    window, negatives = options.get("window", 5), options.get("negatives", 5)
    cbow, mean, seed, first = (
        options.get(k, d) for k, d in (("cbow", False), ("mean", True), ("seed", 0), ("first", 0))
    )
    keep, sampler, paths, parts = (options.get(k) for k in ("keep", "sampler", "paths", "parts"))
    low, high = options.get("rate", (0.025, 0.025))
    loss, trained = 0.0, 0

    def rows_of(word: int) -> list[int]:
        return [word] if parts is None else parts[1][parts[0][word] : parts[0][word + 1]].tolist()

    for begin, end in pairwise(starts):
        rate = low + (high - low) * begin / len(tokens)
        places = [
            i
            for i in range(begin, end)
            if keep is None or unit(next(draws(seed, first + i))) < keep[tokens[i]]
        ]
        for c, place in enumerate(places):
            random = draws(seed, first + place)
            next(random)
            reach = window - below(next(random), window)
            word = int(tokens[place])
            around = [int(tokens[p]) for p in places[max(0, c - reach) : c] + places[c + 1 : c + reach + 1]]
            if not around:
                continue
            groups = [rows_of(w) for w in around]
            if cbow:
                groups = [[row for group in groups for row in group]]
            average = mean or not cbow
            x = np.array([vectors[g].mean(0) if average else vectors[g].sum(0) for g in groups])
            targets, labels = [], []
            if sampler is not None:
                targets, labels = [word], [1.0]
                for _ in range(negatives):
                    draw = next(random)
                    drawn = below(draw, WORDS)
                    drawn = drawn if unit(draw) < sampler[0][drawn] else int(sampler[1][drawn])
                    if drawn not in targets:
                        targets.append(drawn)
                        labels.append(0.0)
            if paths is not None:
                part = slice(paths[0][word], paths[0][word + 1])
                targets += paths[1][part].tolist()
                labels += (1.0 - paths[2][part]).tolist()
            dx = np.zeros_like(x)
            if sampler is None and paths is None:
                for i in range(len(x)):
                    z = outputs[:WORDS] @ x[i]
                    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
                    loss -= math.log(p[word])
                    g = rate * ((np.arange(WORDS) == word) - p)
                    dx[i] = g @ outputs[:WORDS]
                    outputs[:WORDS] += np.outer(g, x[i])
            else:
                y, t = outputs[targets], np.array(labels)
                z = x @ y.T
                loss += float(np.sum(np.logaddexp(0, z) - t * z))
                g = rate * (t - 1 / (1 + np.exp(-z)))
                dx = g @ y
                outputs[targets] += g.T @ x
            trained += len(x)
            for group, d in zip(groups, dx, strict=True):
                for row in group:
                    vectors[row] += d if average else d / len(group)
    return loss, trained


def corpus(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    tokens = rng.integers(0, WORDS, 61).astype(np.int32)
    return tokens, np.array([0, 1, 1, 20, 47, 61], np.int64)


def made(name: str) -> tuple[dict[str, Any], int, int]:
    """Options, rows of vectors, rows of outputs."""
    counts = np.arange(1, WORDS + 1)
    sampler = ops.alias_table(counts**0.75)
    starts, nodes, codes = ops.huffman_paths(counts)
    parts = (np.arange(0, 3 * WORDS + 1, 3), (np.arange(3 * WORDS) * 7 % 12).astype(np.int32))
    return {
        "skip-gram": ({"sampler": sampler}, WORDS, WORDS),
        "CBOW": ({"sampler": sampler, "cbow": True, "window": 3, "negatives": 2}, WORDS, WORDS),
        "sums": ({"sampler": sampler, "cbow": True, "mean": False}, WORDS, WORDS),
        "hierarchical": ({"paths": (starts, nodes, codes)}, WORDS, WORDS - 1),
        "both": (
            {"paths": (starts, nodes + np.int32(WORDS), codes), "sampler": sampler},
            WORDS,
            2 * WORDS - 1,
        ),
        "softmax": ({}, WORDS, WORDS),
        "softmax of CBOW": ({"cbow": True}, WORDS, WORDS),
        "subwords": ({"sampler": sampler, "parts": parts}, 12, WORDS),
        "subwords of CBOW": ({"sampler": sampler, "parts": parts, "cbow": True}, 12, WORDS),
        "left out": (
            {"sampler": sampler, "keep": np.linspace(0.2, 1, WORDS, dtype=np.float32)},
            WORDS,
            WORDS,
        ),
        "rates": ({"sampler": sampler, "rate": (0.3, 0.1), "seed": 5, "first": 1 << 40}, WORDS, WORDS),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        *("skip-gram", "CBOW", "sums", "hierarchical", "both", "softmax", "softmax of CBOW", "subwords"),
        *("subwords of CBOW", "left out", "rates"),
    ],
)
def test_word2vec_train_is_its_definition(name: str) -> None:
    rng = np.random.default_rng(3)
    tokens, starts = corpus(rng)
    options, rows, targets = made(name)
    options = {"rate": (0.1, 0.1)} | options
    vectors = rng.normal(size=(rows, WIDTH)).astype(np.float32)
    outputs = rng.normal(size=(targets, WIDTH)).astype(np.float32)
    expected = vectors.astype(np.float64), outputs.astype(np.float64)
    loss, trained = defined(*expected, tokens, starts, options)
    found = ops.word2vec_train(vectors, outputs, tokens, starts, words=WORDS, **options)
    assert found[1] == trained
    assert found[0] == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(vectors, expected[0], atol=2e-5)
    np.testing.assert_allclose(outputs, expected[1], atol=2e-5)


@pytest.mark.parametrize("width", [1, 16, 33])
def test_widths_and_the_same_bits_again(width: int) -> None:
    rng = np.random.default_rng(4)
    tokens, starts = corpus(rng)
    results = []
    for _ in range(2):
        again = np.random.default_rng(5)
        vectors, outputs = (again.normal(size=(WORDS, width)).astype(np.float32) for _ in range(2))
        before = vectors.astype(np.float64), outputs.astype(np.float64)
        options: dict[str, Any] = {"sampler": ops.alias_table(np.ones(WORDS))}
        ops.word2vec_train(vectors, outputs, tokens, starts, words=WORDS, **options)
        results.append((vectors, outputs))
    defined(*before, tokens, starts, options)
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][0], before[0], atol=1e-5)


def test_long_sentences_nothing_and_several_stretches() -> None:
    rng = np.random.default_rng(6)
    vectors, outputs = (rng.normal(size=(WORDS, 8)).astype(np.float32) for _ in range(2))
    sampler = ops.alias_table(np.ones(WORDS))
    none = np.empty(0, np.int32)
    before = vectors.copy()
    assert ops.word2vec_train(
        vectors, outputs, none, np.zeros(1, np.int64), words=WORDS, sampler=sampler
    ) == (0, 0)
    np.testing.assert_array_equal(vectors, before)
    tokens = rng.integers(0, WORDS, 25_000).astype(np.int32)
    starts = np.array([0, 24_990, 25_000], np.int64)
    losses = [
        ops.word2vec_train(vectors, outputs, tokens, starts, words=WORDS, sampler=sampler, stretches=s)[0]
        for s in (1, 2)
    ]
    assert np.isfinite(vectors).all()
    assert losses[1] < losses[0]


def test_the_alias_table_has_the_weights() -> None:
    weights = np.array([5.0, 0, 1, 3, 1])
    chance, alias = ops.alias_table(weights)
    found = chance.astype(np.float64)
    for i, other in enumerate(alias):
        found[other] += 1 - chance[i]
    np.testing.assert_allclose(found / 5, weights / 10, atol=1e-6)
    with pytest.raises(ArgumentError, match="weights must be finite"):
        ops.alias_table([0, 0])


def test_huffman_paths_are_the_shortest() -> None:
    starts, nodes, codes = ops.huffman_paths([40, 30, 20, 10])
    assert np.diff(starts).tolist() == [1, 2, 3, 3]
    paths = {tuple(codes[a:b].tolist()) for a, b in pairwise(starts)}
    assert len(paths) == 4
    assert set(nodes.tolist()) == {0, 1, 2}
    assert nodes[starts[:-1]].tolist() == [2] * 4  # the root is the first node of each
    assert ops.huffman_paths([7])[0].tolist() == [0, 0]


def glove_data() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(7)
    n = 40
    table = rng.normal(size=(2, WORDS, WIDTH + 1)).astype(np.float32) / 4
    row, column = rng.integers(0, WORDS, (2, n)).astype(np.int32)
    count = rng.uniform(0.5, 200, n).astype(np.float32)
    return table, np.ones_like(table), row, column, count, rng.permutation(n)


def test_glove_train_is_its_definition() -> None:
    table, squares, row, column, count, order = glove_data()
    t, s = table.astype(np.float64), squares.astype(np.float64)
    loss = 0.0
    for e in order:
        i, j = row[e], column[e]
        d = t[0, i, :-1] @ t[1, j, :-1] + t[0, i, -1] + t[1, j, -1] - math.log(count[e])
        f = min(1.0, (count[e] / 100) ** 0.75)
        loss += f * d * d / 2
        gi, gj = f * d * np.append(t[1, j, :-1], 1), f * d * np.append(t[0, i, :-1], 1)
        t[0, i] -= 0.05 * gi / np.sqrt(s[0, i])
        t[1, j] -= 0.05 * gj / np.sqrt(s[1, j])
        s[0, i] += gi**2
        s[1, j] += gj**2
    found = ops.glove_train(table, squares, row, column, count, order)
    assert found == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(table, t, atol=1e-5)
    np.testing.assert_allclose(squares, s, rtol=1e-4)


def test_glove_train_learns_with_several_stretches() -> None:
    table, squares, row, column, count, order = glove_data()
    losses = [ops.glove_train(table, squares, row, column, count, order, stretches=2) for _ in range(30)]
    assert losses[-1] < 0.2 * losses[0]


def test_what_is_refused() -> None:
    tokens, starts = corpus(np.random.default_rng(0))
    sampler = ops.alias_table(np.ones(WORDS))

    def call(**changed: Any) -> None:
        table = np.zeros((WORDS, 4), np.float32)
        given = {
            "vectors": table,
            "outputs": table.copy(),
            "tokens": tokens,
            "starts": starts,
            "words": WORDS,
        }
        ops.word2vec_train(**({"sampler": sampler} | given | changed))

    for changed, error, message in (
        ({"vectors": np.zeros((WORDS, 4))}, DTypeError, "vectors is float64"),
        ({"vectors": np.zeros((3, 4), np.float32)}, ShapeError, "vectors has 3 rows, expected at least 9"),
        ({"outputs": np.zeros((WORDS, 5), np.float32)}, ShapeError, "outputs has shape"),
        ({"tokens": tokens + np.int32(5)}, IndexRangeError, "expected 0 to 8"),
        ({"starts": starts[:-1]}, ArgumentError, "starts must rise from 0 to 61"),
        ({"window": 0}, ArgumentError, "window must be 1 to 1000, got 0"),
        ({"stretches": 0}, ArgumentError, "stretches must be 1"),
        ({"sampler": (sampler[0], sampler[1] + np.int32(9))}, IndexRangeError, r"sampler\[1\]"),
        ({"paths": ops.huffman_paths(np.ones(WORDS + 5))}, IndexRangeError, r"paths\[1\]"),
        (
            {"parts": (np.zeros(WORDS + 1, np.int64), np.array([99], np.int32))},
            IndexRangeError,
            r"parts\[1\]",
        ),
    ):
        with pytest.raises(error, match=message):
            call(**changed)
    table, squares, row, column, count, order = glove_data()
    with pytest.raises(ArgumentError, match="count must be greater than 0"):
        ops.glove_train(table, squares, row, column, count * 0, order)
    with pytest.raises(IndexRangeError, match="row"):
        ops.glove_train(table, squares, row + np.int32(9), column, count, order)
    with pytest.raises(ArgumentError, match="different arrays"):
        ops.glove_train(table, table, row, column, count, order)
