"""Shapley values of features under decision trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn import engines
from einkorn._device import beside, is_on_gpu
from einkorn.ops.tree_predict import _rows

if TYPE_CHECKING:
    from einkorn.boosting.trees import Trees

__all__ = ["tree_shap"]

_VISITS = 1 << 31  # of nodes, times their depth, that one launch may take: about a second
_FEWEST = 512  # rows of a launch


def tree_shap(trees: Trees, X: Any) -> np.ndarray:
    """How much each feature moved each row's raw score, by exact path-dependent TreeSHAP.

    A feature's Shapley value is the mean, over all orders in which features may become known, of how much
    the score changes when this one does. A split on an unknown feature counts both of its sides, by their
    shares of the training rows (``Trees.cover``).

    Parameters
    ----------
    trees : Trees
        Where a split's node has cover 0, both sides count half.
    X : array [rows, n_features]
        float32 or float64. Rows on a GPU are explained there.

    Returns
    -------
    float64 array [rows, n_features + 1, n_outputs]
        The last column is the expected score, the same for every row. A row's sum over the columns is
        its raw score, but for rounding.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        As :func:`predict_trees`.

    References
    ----------
    Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles", 2018.
    """
    a = _rows("tree_shap", trees, X)
    tables = trees.path_tables()
    arrays: tuple[Any, ...] = (
        tables.expected,
        trees.offsets,
        trees.outputs,
        trees.feature,
        trees.threshold,
        trees.left,
        trees.right,
        trees.missing_left,
        trees.category_offset,
        trees.category_words,
        trees.categories,
        trees.value,
        tables.share,
        tables.points,
        tables.largest,
        tables.deepest,
    )
    k = engines.of(a)
    if is_on_gpu(a):
        arrays = tuple(beside(a, v) if isinstance(v, np.ndarray) else v for v in arrays)
    out = k.empty((a.shape[0], trees.n_features + 1, trees.n_outputs), np.float64)
    # Some rows a launch: Ctrl-C is heard between launches.
    step = max(_FEWEST, _VISITS // max(trees.n_nodes * (tables.deepest + 1), 1) // _FEWEST * _FEWEST)
    for first in range(0, a.shape[0], step):
        rows = slice(first, first + step)
        k.tree_shap(out[rows], a[rows], *arrays)
    return out
