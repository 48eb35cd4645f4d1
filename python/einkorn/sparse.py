"""Gradients that have a few rows of a table: what an embedding leaves behind when ``sparse=True``.

A table of 50,000 rows, of which a batch looks up 2,000, has a gradient that is 0 in all others. Kept as
rows and their values, it costs what the batch costs; optimizers that say so update these rows alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import engines

__all__ = ["SparseRows"]


class SparseRows:
    """The rows of a gradient that are not 0.

    Attributes
    ----------
    rows : int64 array [n]
        Distinct, ascending.
    values : array [n, width]
    shape : (int, int)
        The table's.

    Notes
    -----
    :meth:`numpy` gives the whole gradient. Not a Tensor: operations do not take it.
    """

    __slots__ = ("rows", "shape", "values")

    is_sparse = True

    def __init__(self, rows: Any, values: Any, shape: tuple[int, int]) -> None:
        self.rows = rows
        self.values = values
        self.shape = shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of the values."""
        return self.values.dtype

    @property
    def _data(self) -> SparseRows:  # what optimizers ask a gradient for
        return self

    @property
    def data(self) -> SparseRows:
        """The gradient itself, which is no Tensor around an array."""
        return self

    def to_dense(self) -> Any:
        """The whole gradient, an array of ``shape``."""
        k = engines.of(self.values)
        out = k.empty(self.shape, self.dtype)
        k.embedding_backward(
            out, None, None, self.values, self.rows, None, None, None, self.shape[0], -1, False
        )
        return out

    def numpy(self) -> Any:
        """:meth:`to_dense`, by the name that gradients have it under."""
        return self.to_dense()

    def zero_(self) -> None:
        """Have no rows."""
        self.rows, self.values = self.rows[:0], self.values[:0]

    def plus(self, other: SparseRows) -> SparseRows:
        """The sum: rows of either."""
        rows = np.concatenate((self.rows, other.rows))
        return gathered(rows, np.concatenate((self.values, other.values)), self.shape)

    def __repr__(self) -> str:
        return f"SparseRows({len(self.rows)} of {self.shape[0]} rows, width {self.shape[1]}, {self.dtype})"


def gathered(
    index: Any,
    g: Any,
    shape: tuple[int, int],
    padding: int = -1,
    by_frequency: bool = False,
    bag: Any = None,
    factor: Any = None,
) -> SparseRows:
    """The sums of the rows of ``g`` that ``index`` sends to each row of a table, as its kernel takes them."""
    k = engines.of(g)
    rows, width = shape
    most = min(index.size, rows)
    found, number = k.empty((most,), np.int64), k.empty((1,), np.int64)
    values = k.empty((most, width), g.dtype)
    k.embedding_backward(values, found, number, g, index, bag, factor, None, rows, padding, by_frequency)
    n = int(number[0])
    return SparseRows(found[:n], values[:n], shape)


def total(a: Any, b: Any) -> Any:
    """Sum of two gradients of one table, of which one at least is sparse."""
    if isinstance(a, SparseRows) and isinstance(b, SparseRows):
        return a.plus(b)
    a, b = (x.to_dense() if isinstance(x, SparseRows) else x for x in (a, b))
    k = engines.of(a)
    out = k.empty(a.shape, a.dtype)
    k.add(out, a, b)
    return out
