"""Words that occur together: counted, weighted, and made vectors of by their singular values."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from einkorn import _extras
from einkorn.errors import ArgumentError
from einkorn.text._arguments import items_of, real_number, whole_number
from einkorn.text._corpus import Corpus, ordered

__all__ = ["cooccurrence", "one_hot", "pearson_weights", "svd_vectors"]


def one_hot(words: Iterable[str], vocabulary: Sequence[str]) -> np.ndarray:
    """Rows with a 1 where the word is in the vocabulary, float32; of words that are not there, zeros."""
    known = items_of("one_hot", "vocabulary", vocabulary)
    numbers = {word: i for i, word in enumerate(known)}
    if len(numbers) < len(known):
        raise ArgumentError("one_hot: a word of the vocabulary occurs twice")
    listed = words if isinstance(words, str) else items_of("one_hot", "words", words)
    out = np.zeros((len(listed), len(numbers)), np.float32)
    for row, word in zip(out, listed, strict=True):
        if isinstance(word, Hashable) and (number := numbers.get(word)) is not None:
            row[number] = 1
    return out


def cooccurrence(
    sentences: Iterable[Iterable[str]] | str | PathLike[str],
    window: int = 5,
    *,
    weighting: str = "flat",
    symmetric: bool = True,
    vocabulary: Sequence[str] | None = None,
    min_count: int = 1,
    max_size: int | None = None,
    ignore: Iterable[str] = (),
    cap: float | None = None,
) -> tuple[Any, list[str]]:
    """How often words occur near one another.

    Parameters
    ----------
    sentences
        Lists of words, or the path of a file with a sentence on each line.
    window
        How far apart two words may be.
    weighting
        What a pair counts at distance ``d``: "flat" 1; "ramp" ``window + 1 - d`` (4, 3, 2, 1 for 4);
        "harmonic" ``1 / d``, as in GloVe.
    symmetric
        Whether both orders count, else only words that follow.
    vocabulary
        The words of rows and columns; by default all that occur ``min_count`` times, the most frequent
        first, at most ``max_size``.
    ignore
        Words that are left out, such as function words; what is left are neighbours.
    cap
        Counts above are this.

    Returns
    -------
    counts, words
        A sparse matrix float64 (words, words), and the words.

    Raises
    ------
    ArgumentError
        An option does not fit.
    """
    window = whole_number("cooccurrence", "window", window, 1)
    min_count = whole_number("cooccurrence", "min_count", min_count, 0)
    if max_size is not None:
        max_size = whole_number("cooccurrence", "max_size", max_size, 0)
    if cap is not None:
        cap = real_number("cooccurrence", "cap", cap, 0)
    if weighting not in ("flat", "ramp", "harmonic"):
        raise ArgumentError(f"cooccurrence: weighting must be flat, ramp or harmonic, got {weighting!r}")
    sparse = _extras.need("scipy.sparse", "cooccurrence", "text")
    corpus = Corpus("cooccurrence", sentences)
    left_out = frozenset(items_of("cooccurrence", "ignore", ignore))
    if vocabulary is None:
        counts = corpus.count()
        words = [word for word in ordered(counts, min_count, None) if word not in left_out][:max_size]
    else:
        words = [word for word in items_of("cooccurrence", "vocabulary", vocabulary) if word not in left_out]
        if len(set(words)) < len(words):
            raise ArgumentError("cooccurrence: a word of the vocabulary occurs twice")
    n = len(words)
    total = sparse.csr_matrix((n, n))
    for tokens, starts in corpus.blocks(words):
        sentence = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        keys, values = [], []
        for d in range(1, window + 1):
            same = sentence[d:] == sentence[:-d]
            if not same.any():
                break  # no sentence is longer
            a, b = tokens[:-d][same].astype(np.int64), tokens[d:][same].astype(np.int64)
            weight = {"flat": 1.0, "ramp": float(window + 1 - d), "harmonic": 1.0 / d}[weighting]
            pairs = a * n + b
            for both in (pairs, b * n + a) if symmetric else (pairs,):
                found, times = np.unique(both, return_counts=True)
                keys.append(found)
                values.append(times * weight)
        if keys:
            rows, columns = np.divmod(np.concatenate(keys), max(n, 1))
            total = total + sparse.csr_matrix((np.concatenate(values), (rows, columns)), shape=(n, n))
    total.sum_duplicates()
    if cap is not None:
        total.data = np.minimum(total.data, cap)
    return total, words


def _numbers(op: str, counts: Any) -> np.ndarray:
    try:
        return np.ascontiguousarray(counts, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{op}: counts must be an array of numbers: {error}") from None


def pearson_weights(counts: Any) -> np.ndarray:
    """Correlations in the place of counts, negative ones 0 (Rohde et al. 2006).

    Parameters
    ----------
    counts
        Array or sparse matrix (n, m).

    Returns
    -------
    float64 array (n, m): of two words the correlation of "this one is a" and "the other is b" over all pairs.
    """
    x = _numbers("pearson_weights", counts.toarray() if hasattr(counts, "toarray") else counts)
    if x.ndim != 2:
        raise ArgumentError(f"pearson_weights: counts must have 2 dimensions, got {x.ndim}")
    if not (np.isfinite(x).all() and (x >= 0).all()):
        raise ArgumentError("pearson_weights: counts must be finite and not negative")
    total = x.sum()
    rows, columns = x.sum(axis=1, keepdims=True), x.sum(axis=0, keepdims=True)
    spread = np.sqrt(rows * (total - rows) * columns * (total - columns))
    with np.errstate(invalid="ignore", divide="ignore"):
        out = (total * x - rows * columns) / spread
    return np.where(spread > 0, np.maximum(out, 0), 0.0)


def svd_vectors(
    counts: Any,
    size: int = 100,
    *,
    power: float = 1.0,
    iterations: int = 4,
    oversamples: int = 10,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of words from the largest singular values of a matrix (Halko et al. 2011).

    Parameters
    ----------
    counts
        Array or sparse matrix (n, m).
    size
        How many numbers a vector has, at most the smaller of n and m.
    power
        Columns are scaled by singular values to this power.
    iterations
        Power iterations: more make small gaps between singular values tell.
    oversamples
        Directions beyond ``size`` that are looked at.
    seed
        Of the random directions.

    Returns
    -------
    vectors, values
        Arrays (n, size) and (size,), the largest singular value first; of a column the entry with
        the largest absolute value is positive.

    Raises
    ------
    ArgumentError
        ``size`` does not fit.
    """
    from einkorn.ops import matmul

    is_sparse = hasattr(counts, "tocsr")
    a = counts.tocsr().astype(np.float64) if is_sparse else _numbers("svd_vectors", counts)
    if len(a.shape) != 2:
        raise ArgumentError(f"svd_vectors: counts must have 2 dimensions, got {len(a.shape)}")
    if not np.isfinite(a.data if is_sparse else a).all():
        raise ArgumentError("svd_vectors: counts must be finite")
    size = whole_number("svd_vectors", "size", size, 1, min(a.shape))
    iterations = whole_number("svd_vectors", "iterations", iterations, 0)
    oversamples = whole_number("svd_vectors", "oversamples", oversamples, 0)
    seed = whole_number("svd_vectors", "seed", seed, 0, 2**64 - 1)
    power = real_number("svd_vectors", "power", power)

    def times(matrix: Any, x: np.ndarray) -> np.ndarray:
        if hasattr(matrix, "tocsr"):
            return np.asarray(matrix @ x)
        return np.asarray(matmul(np.ascontiguousarray(matrix), np.ascontiguousarray(x)))

    width = min(size + oversamples, *a.shape)
    basis = times(a, np.random.default_rng(seed).normal(size=(a.shape[1], width)))
    basis, _ = np.linalg.qr(basis)
    for _ in range(iterations):
        other, _ = np.linalg.qr(times(a.T, basis))
        basis, _ = np.linalg.qr(times(a, other))
    small = times(a.T, basis).T
    left, values, _ = np.linalg.svd(small, full_matrices=False)
    vectors = times(basis, left)[:, :size]
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(size)] + 0.0)
    return vectors * values[:size] ** power, values[:size]
