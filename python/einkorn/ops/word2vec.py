"""word2vec: one pass over a corpus of word numbers.

What is computed is in ``csrc/kernels/word2vec.h``. :class:`einkorn.text.Word2Vec` is the model around it.

Sources: Mikolov et al., "Efficient estimation of word representations in vector space" and "Distributed
representations of words and phrases and their compositionality", 2013; Bojanowski et al., "Enriching word
vectors with subword information", 2017.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import is_on_gpu, is_writeable
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

__all__ = ["alias_table", "huffman_paths", "word2vec_train"]


def _array(op: str, name: str, x: Any, dtype: Any, shape: tuple[int | None, ...]) -> Any:
    """An array that a kernel takes as it is, without a copy: it may be trained."""
    if not (isinstance(x, np.ndarray) or is_on_gpu(x)) or x.dtype != dtype:
        came = getattr(x, "dtype", type(x).__name__)
        raise DTypeError(f"{op}: {name} is {came}, expected a NumPy or CuPy array of {np.dtype(dtype)}")
    if x.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, x.shape, strict=True)):
        sizes = ", ".join("n" if n is None else str(n) for n in shape)
        raise ShapeError(f"{op}: {name} has shape {x.shape}, expected ({sizes})")
    if not x.flags.c_contiguous:
        raise ArgumentError(f"{op}: {name} must be C-contiguous")
    return x


def _trained(op: str, name: str, x: Any, shape: tuple[int | None, ...]) -> Any:
    a = _array(op, name, x, np.float32, shape)
    if not is_writeable(a):
        raise ArgumentError(f"{op}: {name} is read-only, and is trained in place")
    return a


def _below(op: str, name: str, a: Any, limit: int) -> Any:
    if a.size and not 0 <= int(a.min()) <= int(a.max()) < limit:
        wrong = int(((a < 0) | (a >= limit)).argmax())
        raise IndexRangeError(f"{op}: {name}[{wrong}] is {a[wrong]}, expected 0 to {limit - 1}")
    return a


def _starts(op: str, name: str, x: Any, size: int | None, last: int) -> Any:
    a = _array(op, name, x, np.int64, (size,))
    if not a.size or int(a[0]) != 0 or int(a[-1]) != last or bool((a[1:] < a[:-1]).any()):
        raise ArgumentError(f"{op}: {name} must rise from 0 to {last}")
    return a


def _apart(a: Any, b: Any) -> bool:
    """Whether no memory is in both of two whole arrays."""
    if is_on_gpu(a) and is_on_gpu(b):
        first, second = int(a.data.ptr), int(b.data.ptr)
        return bool(first + a.nbytes <= second or second + b.nbytes <= first)
    return is_on_gpu(a) or is_on_gpu(b) or not np.may_share_memory(a, b)


def word2vec_train(
    vectors: np.ndarray,
    outputs: np.ndarray,
    tokens: np.ndarray,
    starts: np.ndarray,
    *,
    words: int,
    window: int = 5,
    negatives: int = 5,
    keep: np.ndarray | None = None,
    sampler: tuple[np.ndarray, np.ndarray] | None = None,
    paths: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    parts: tuple[np.ndarray, np.ndarray] | None = None,
    rate: tuple[float, float] = (0.025, 0.025),
    seed: int = 0,
    first: int = 0,
    cbow: bool = False,
    mean: bool = True,
    stretches: int = 1,
) -> tuple[float, int]:
    """Train ``vectors`` and ``outputs`` in place on one pass over ``tokens``.

    On the CPU or, where all arrays are CuPy's, on a GPU: the same draws, sums in another order.

    Parameters
    ----------
    vectors : float32 array (rows, width)
        What is learned: of each word, or of each subword.
    outputs : float32 array (targets, width)
        The other side: of words for negative sampling and the full softmax, of nodes for the
        hierarchical one.
    tokens : int32 array (n,)
        Words by number.
    starts : int64 array (sentences + 1,)
        Where sentences begin; the last is n.
    words : int
        How many there are.
    window : int
        Words on either side, at most; how many is drawn for each word.
    negatives : int
        Words that are drawn for each.
    keep : float32 array (words,), optional
        The chance that an occurrence counts.
    sampler : (float32 array, int32 array), optional
        Of :func:`alias_table`: negative sampling.
    paths : (int64 array, int32 array, uint8 array), optional
        Of :func:`huffman_paths`: hierarchical softmax. With neither, the softmax over all words.
    parts : (int64 array (words + 1,), int32 array), optional
        The rows of ``vectors`` whose mean a word is.
    rate : (float, float)
        Learning rate at the beginning and at the end.
    seed, first : int
        Random numbers depend on them: ``first`` is the place of ``tokens[0]`` in all of training.
    cbow : bool
        Whether the words around are one input.
    mean : bool
        Of CBOW, whether it is their mean, else their sum.
    stretches : int
        How many pieces are trained at once. Above 1 they share the arrays without locks, and bits vary. A GPU
        has room for hundreds, and trains one piece slower than a CPU.

    Returns
    -------
    loss, inputs
        The sum of negative log likelihoods, and how many inputs were trained.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError, IndexRangeError
        An array or a number does not fit.
    """
    op = "word2vec_train"
    table = _trained(op, "vectors", vectors, (None, None))
    others = _trained(op, "outputs", outputs, (None, table.shape[1]))
    if not _apart(table, others):
        raise ArgumentError(f"{op}: vectors and outputs must be different arrays")
    for name, value, least, most in (
        ("words", words, 0, 2**31 - 1),
        ("window", window, 1, 1000),
        ("negatives", negatives, 0, 1000),
        ("stretches", stretches, 1, 1024),
    ):
        if not least <= value <= most:
            raise ArgumentError(f"{op}: {name} must be {least} to {most}, got {value}")
    ids = _below(op, "tokens", _array(op, "tokens", tokens, np.int32, (None,)), words)
    begins = _starts(op, "starts", starts, None, ids.size)
    kept = None if keep is None else _array(op, "keep", keep, np.float32, (words,))
    full = sampler is None and paths is None
    chance = alias = nodes = codes = node_starts = part_starts = part_rows = None
    if sampler is not None:
        chance = _array(op, "sampler[0]", sampler[0], np.float32, (words,))
        alias = _below(op, "sampler[1]", _array(op, "sampler[1]", sampler[1], np.int32, (words,)), words)
    if (full or sampler is not None) and len(others) < words:
        raise ShapeError(f"{op}: outputs has {len(others)} rows, expected at least {words}")
    if paths is not None:
        nodes = _below(op, "paths[1]", _array(op, "paths[1]", paths[1], np.int32, (None,)), len(others))
        codes = _array(op, "paths[2]", paths[2], np.uint8, nodes.shape)
        node_starts = _starts(op, "paths[0]", paths[0], words + 1, nodes.size)
    if parts is not None:
        part_rows = _below(op, "parts[1]", _array(op, "parts[1]", parts[1], np.int32, (None,)), len(table))
        part_starts = _starts(op, "parts[0]", parts[0], words + 1, part_rows.size)
    elif len(table) < words:
        raise ShapeError(f"{op}: vectors has {len(table)} rows, expected at least {words}")
    k = engines.of(table)
    stats = k.empty((stretches, 2), np.dtype(np.float64))
    k.word2vec_train(
        table, others, stats, ids, begins, kept, chance, alias, node_starts, nodes, codes, part_starts,
        part_rows, words, window, negatives, first, float(rate[0]), float(rate[1]), seed,
        bool(cbow), bool(mean), full,
    )  # fmt: skip
    loss, inputs = stats.sum(axis=0)
    return float(loss), int(inputs)


def alias_table(weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """What draws ``i`` with probability ``weights[i] / sum(weights)`` in constant time (Walker 1977).

    Parameters
    ----------
    weights : array (n,)
        At least 0, one of them greater.

    Returns
    -------
    chance, alias
        float32 and int32 arrays (n,): a uniform ``i`` stays with ``chance[i]``, else it is ``alias[i]``.
    """
    w = np.asarray(weights, np.float64)
    if w.ndim != 1 or not w.size or not np.all(np.isfinite(w)) or w.min() < 0 or w.sum() <= 0:
        raise ArgumentError("alias_table: weights must be finite, at least 0, and one of them greater")
    chance = w * (w.size / w.sum())
    alias = np.arange(w.size, dtype=np.int32)
    small = np.flatnonzero(chance < 1).tolist()
    large = np.flatnonzero(chance >= 1).tolist()
    rest = chance.tolist()
    while small and large:
        i, j = small.pop(), large[-1]
        alias[i] = j
        rest[j] -= 1 - rest[i]
        if rest[j] < 1:
            small.append(large.pop())
    out = np.array(rest, np.float32)
    out[[*small, *large]] = 1
    return out, alias


def huffman_paths(counts: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tree of a hierarchical softmax: frequent words have short paths (Huffman 1952).

    Parameters
    ----------
    counts : array (n,)
        How often each word occurs.

    Returns
    -------
    starts, nodes, codes
        int64 (n + 1,), int32 and uint8: of word ``i`` the inner nodes, 0 to n - 2, and the branches that lead
        to it are those from ``starts[i]`` to ``starts[i + 1]``, from the root on.
    """
    weights = [int(count) for count in counts]
    n = len(weights)
    heap = [(weight, i) for i, weight in enumerate(weights)]
    heapq.heapify(heap)
    parent = [0] * max(2 * n - 1, n)
    branch = [0] * len(parent)
    for node in range(n, 2 * n - 1):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left] = parent[right] = node
        branch[right] = 1
        heapq.heappush(heap, (a + b, node))
    nodes: list[int] = []
    codes: list[int] = []
    starts = [0]
    for word in range(n):
        path = []
        at = word
        while at < 2 * n - 2:
            path.append((parent[at] - n, branch[at]))
            at = parent[at]
        nodes += [node for node, _ in reversed(path)]
        codes += [code for _, code in reversed(path)]
        starts.append(len(nodes))
    return np.array(starts, np.int64), np.array(nodes, np.int32), np.array(codes, np.uint8)
