"""GloVe: one pass over counts of words that occur together.

What is computed is in ``csrc/kernels/glove.h``. :class:`einkorn.text.GloVe` is the model around it.

Source: Pennington, Socher and Manning, "GloVe: Global vectors for word representation", 2014.
"""

from __future__ import annotations

import numpy as np

from einkorn import engines
from einkorn.errors import ArgumentError
from einkorn.ops.word2vec import _apart, _array, _below, _trained

__all__ = ["glove_train"]


def glove_train(
    table: np.ndarray,
    squares: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    count: np.ndarray,
    order: np.ndarray,
    *,
    count_max: float = 100.0,
    alpha: float = 0.75,
    rate: float = 0.05,
    stretches: int = 1,
) -> float:
    """Train ``table`` in place by AdaGrad on one pass over the counts.

    On the CPU or, where all arrays are CuPy's, on a GPU.

    Parameters
    ----------
    table : float32 array (2, words, width + 1)
        Vectors of words, then of contexts; their biases are the last column.
    squares : float32 array, as table
        Sums of squared gradients; 1 at the beginning.
    row, column : int32 array (n,)
        Words and contexts.
    count : float32 array (n,)
        How often they occur together, greater than 0.
    order : int64 array (n,)
        In which order the entries are taken.
    count_max, alpha : float
        Weights are ``min(1, (count / count_max) ** alpha)``.
    rate : float
        Learning rate.
    stretches : int
        How many pieces are trained at once. Above 1 they share the arrays without locks, and bits vary. A GPU
        has room for thousands, and trains one piece slower than a CPU.

    Returns
    -------
    float
        The loss, a weighted sum of squares, halved.

    Raises
    ------
    DTypeError, ShapeError, ArgumentError, IndexRangeError
        An array or a number does not fit.
    """
    op = "glove_train"
    both = _trained(op, "table", table, (2, None, None))
    if both.shape[2] < 1:
        raise ArgumentError(f"{op}: table must have a column for the biases, got shape {both.shape}")
    sums = _trained(op, "squares", squares, both.shape)
    if not _apart(both, sums):
        raise ArgumentError(f"{op}: table and squares must be different arrays")
    i = _below(op, "row", _array(op, "row", row, np.int32, (None,)), both.shape[1])
    j = _below(op, "column", _array(op, "column", column, np.int32, i.shape), both.shape[1])
    c = _array(op, "count", count, np.float32, i.shape)
    if c.size and not float(c.min()) > 0:
        raise ArgumentError(f"{op}: count must be greater than 0")
    places = _below(op, "order", _array(op, "order", order, np.int64, i.shape), i.size)
    if not 1 <= stretches <= 1024:
        raise ArgumentError(f"{op}: stretches must be 1 to 1024, got {stretches}")
    if not count_max > 0:
        raise ArgumentError(f"{op}: count_max must be greater than 0, got {count_max}")
    k = engines.of(both)
    stats = k.empty((stretches,), np.dtype(np.float64))
    k.glove_train(both, sums, stats, i, j, c, places, float(count_max), float(alpha), float(rate))
    return float(stats.sum())
