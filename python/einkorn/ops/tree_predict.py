"""Prediction with decision trees: raw scores, whole or stage by stage, and the leaves that rows reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn import engines
from einkorn._device import device_of, is_on_gpu, is_whole, move
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._road import contiguous, unwrap

if TYPE_CHECKING:
    from einkorn.boosting.trees import Trees

__all__ = ["apply_trees", "predict_trees", "staged_predict_trees"]


_CACHED = 1 << 20  # bytes of trees that stay near a core
_FEW_ROWS = 256  # that go through all trees at once
_VISITS = 1 << 24  # of trees by rows that one launch may take: half a second, or a second
_FEWEST = 4096  # rows of a launch


def _rows(op: str, trees: Trees, X: Any) -> Any:
    if not hasattr(trees, "layout"):
        raise DTypeError(f"{op}: trees is a {type(trees).__name__}, expected Trees")
    trees.check()
    a = unwrap(X, op, "X")
    if a.ndim != 2:
        raise ShapeError(f"{op}: X has shape {a.shape}, expected (rows, {trees.n_features})")
    if a.shape[1] != trees.n_features:
        raise ShapeError(
            f"{op}: X has {a.shape[1]} columns, expected {trees.n_features} as the trees were grown on"
        )
    return contiguous(a)


def _range(op: str, trees: Trees, first: Any, last: Any) -> tuple[int, int]:
    last = trees.n_trees if last is None else last
    for name, value in (("first", first), ("last", last)):
        if not isinstance(value, (int, np.integer)) or not 0 <= value <= trees.n_trees:
            most = trees.n_trees
            raise ArgumentError(f"{op}: {name} is {value!r}, expected 0 to {most}, the number of trees")
    if first > last:
        raise ArgumentError(f"{op}: first is {first} and last {last}, expected first <= last")
    return int(first), int(last)


def _scores(op: str, trees: Trees, rows: int, out: Any) -> Any:
    shape = (rows, trees.n_outputs)
    is_array = isinstance(out, np.ndarray) or is_on_gpu(out)
    if not is_array or out.dtype != np.float64:
        kind = out.dtype if is_array else type(out).__name__
        raise DTypeError(f"{op}: out is {kind}, expected an array of float64")
    if out.shape != shape:
        raise ShapeError(f"{op}: out has shape {out.shape}, expected {shape}")
    if not (is_whole(out) and getattr(out.flags, "aligned", True)):  # CuPy's always are
        raise ArgumentError(f"{op}: out must be C-contiguous, aligned and writeable")
    return out


def predict_trees(
    trees: Trees,
    X: Any,
    out: Any = None,
    *,
    first: int = 0,
    last: int | None = None,
    accumulate: bool = False,
) -> Any:
    """Raw scores: the base plus what the trees' leaves add, summed in float64 in the trees' order.

    Parameters
    ----------
    trees : Trees
    X : array [rows, n_features]
        float32 or float64. NaN is a missing value; a categorical feature holds category numbers. Rows on a
        GPU are scored there.
    out : float64 array [rows, n_outputs], optional
        Where to put the scores.
    first, last : int, optional
        The range of trees to sum. Default all.
    accumulate : bool, default False
        Whether to add to what ``out`` holds, and not to the base. Scores of the first k trees continued
        with the others are bit for bit those of all trees.

    Returns
    -------
    float64 array [rows, n_outputs]
        The same bits for any number of threads, engine and instruction set.

    Raises
    ------
    ShapeError
        If X has not the trees' number of columns, or out not the result's shape.
    DTypeError
        If X is not float32 or float64, or out not float64.
    ArgumentError
        If the range is none, the trees are malformed (:meth:`einkorn.boosting.Trees.check`),
        or accumulate is given without out.
    """
    op = "predict_trees"
    a = _rows(op, trees, X)
    first, last = _range(op, trees, first, last)
    if out is None:
        if accumulate:
            raise ArgumentError(f"{op}: accumulate needs out, the scores to add to")
        out = engines.of(a).empty((a.shape[0], trees.n_outputs), np.float64)
    else:
        out = _scores(op, trees, a.shape[0], out)
    base, *packed = _arrays(trees, a)
    k = engines.of(a)
    step = _trees_at_once(trees) if a.shape[0] > _FEW_ROWS else trees.n_trees
    accumulate = bool(accumulate)
    while True:
        end = min(first + step, last)
        for rows in _launches(a.shape[0], end - first):
            k.tree_predict(out[rows], None, a[rows], base, *packed, first, end, accumulate)
        if end == last:
            return out
        first, accumulate = end, True


def _arrays(trees: Trees, a: Any) -> list[Any]:
    """The base and the packed trees for rows of a's type, where a is."""
    return [move(array, device_of(a)) for array in (trees.base, *trees.layout(a.dtype).arrays())]


def _launches(rows: int, trees: int) -> Iterator[slice]:
    """Some rows a launch: Ctrl-C is heard between launches. One launch at least."""
    step = max(_FEWEST, _VISITS // max(trees, 1) // _FEWEST * _FEWEST)
    for first in range(0, max(rows, 1), step):
        yield slice(first, first + step)


def _trees_at_once(trees: Trees) -> int:
    """How many trees the caches hold.

    The kernel takes 64 rows through all trees that it is given, so trees beyond the caches would be fetched
    again for every 64 rows: three times as slow for 40 trees of 25,000 nodes.
    """
    node_bytes = 16 + 4 * trees.width  # packed nodes, and the leaves, which are half of them
    return max(1, _CACHED * trees.n_trees // max(1, trees.n_nodes * node_bytes))


def staged_predict_trees(trees: Trees, X: Any, step: int = 1) -> Iterator[np.ndarray]:
    """Raw scores after the first ``step`` trees, after twice as many, and so on to all.

    Parameters
    ----------
    trees, X :
        As :func:`predict_trees`.
    step : int, default 1
        Trees of a stage: the number of classes where each has a tree a round.

    Yields
    ------
    float64 array [rows, n_outputs]
        A new array for each stage.

    Raises
    ------
    ArgumentError
        If step is below 1.
    ShapeError, DTypeError
        As :func:`predict_trees`.
    """
    op = "staged_predict_trees"
    if not isinstance(step, (int, np.integer)) or step < 1:
        raise ArgumentError(f"{op}: step is {step!r}, expected an int of at least 1")
    return _stages(trees, _rows(op, trees, X), int(step))


def _stages(trees: Trees, a: Any, step: int) -> Iterator[np.ndarray]:
    out = None
    for first in range(0, trees.n_trees, step):
        last = min(first + step, trees.n_trees)
        out = predict_trees(
            trees, a, None if out is None else out.copy(), first=first, last=last, accumulate=out is not None
        )
        yield out


def apply_trees(trees: Trees, X: Any, *, first: int = 0, last: int | None = None) -> Any:
    """The leaf that each row reaches in each tree.

    Parameters
    ----------
    trees, X, first, last :
        As :func:`predict_trees`.

    Returns
    -------
    int32 array [rows, last - first]
        The leaf's node number, counted from its tree's first node.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        As :func:`predict_trees`.
    """
    op = "apply_trees"
    a = _rows(op, trees, X)
    first, last = _range(op, trees, first, last)
    k = engines.of(a)
    leaves = k.empty((a.shape[0], last - first), np.int32)
    base, *packed = _arrays(trees, a)
    for rows in _launches(a.shape[0], last - first):
        k.tree_predict(None, leaves[rows], a[rows], base, *packed, first, last, False)
    return leaves
