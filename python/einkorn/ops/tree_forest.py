"""Growing the trees of forests from integer codes, many trees in one call."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn import engines, runtime
from einkorn._device import beside, is_on_gpu, move, near
from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

if TYPE_CHECKING:
    from einkorn.boosting.trees import Trees

__all__ = ["bootstrap_counts", "grow_forest"]

_CRITERIA = {
    "gini": 0,
    "entropy": 1,
    "log_loss": 1,
    "squared_error": 2,
    "friedman_mse": 2,  # another formula for the same splits
    "poisson": 3,
}
_MOST = 1 << 31
_OUT_OF_RANGE, _TOO_HEAVY, _NO_ROOM = -1, -2, -3
_MOST_EXPONENT = 400  # of numbers that are squared and multiplied as they are
_ROOM = 1 << 28  # bytes of nodes that one launch may fill, but for one tree a thread


def _whole(op: str, name: str, value: Any, least: int, most: int = _MOST) -> int:
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a whole number from {least} to {most}")
    return number


def _real(op: str, name: str, value: Any) -> float:
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ArgumentError(f"{op}: {name} is {value!r}, expected a finite number of at least 0")
    return number


def _seeds(op: str, seeds: Any) -> np.ndarray:
    given = np.asarray(seeds)
    if given.ndim != 1:
        raise ShapeError(f"{op}: seeds has shape {given.shape}, expected [trees]")
    if given.dtype.kind not in "iu" and given.size:
        raise DTypeError(f"{op}: seeds has dtype {given.dtype}, expected an integer type")
    return np.ascontiguousarray(given, np.int64)


def bootstrap_counts(n_rows: int, seeds: Any, draws: int | None = None, device: str = "cpu") -> Any:
    """How often each row is in each tree's bootstrap sample.

    Parameters
    ----------
    n_rows : int
        1 to 2**31 - 1.
    seeds : int array [trees]
        A tree's draws depend on its seed alone.
    draws : int, optional
        Rows drawn with replacement for each tree; n_rows by default.
    device : str, default "cpu"
        Where to draw; the same draws on each.

    Returns
    -------
    uint16 array [trees, n_rows]
        At most 65,535.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        For arguments that do not fit.
    """
    op = "bootstrap_counts"
    rows = _whole(op, "n_rows", n_rows, 1, _MOST - 1)
    number = rows if draws is None else _whole(op, "draws", draws, 0, _MOST - 1)
    given = move(_seeds(op, seeds), device)
    k = engines.of(given)
    counts = k.empty((given.size, rows), np.dtype(np.uint16))
    k.bootstrap_counts(counts, given, number)
    return counts


def grow_forest(
    codes: Any,
    target: Any,
    seeds: Any,
    low: Sequence[Any],
    high: Sequence[Any],
    *,
    n_classes: int = 0,
    criterion: str | None = None,
    sample_weight: Any = None,
    counts: Any = None,
    class_weight: Any = None,
    random_thresholds: bool = False,
    max_features: int | None = None,
    max_depth: int | None = None,
    max_leaf_nodes: int | None = None,
    min_samples_split: int = 2,
    min_samples_leaf: int = 1,
    min_weight_leaf: float = 0.0,
    min_impurity_decrease: float = 0.0,
    expected_nodes: int | None = None,
) -> Trees:
    """Grow decision trees (Breiman et al. 1984; Breiman 2001; Geurts et al. 2006), many at once.

    Parameters
    ----------
    codes : uint8 or uint16 array [features, rows]
        Numbers of bins, as ``Binner.transform`` gives them; 255 (65535) means missing. Of codes on a GPU
        trees are grown there; the other arrays are on the CPU, but for counts, which may be on either.
    target : array [rows]
        With ``n_classes`` the classes 0 to n_classes - 1, else finite numbers, for "poisson" of at least 0.
    seeds : int array [trees]
        One tree for each. A tree is a function of its seed, whatever trees are grown with it.
    low, high : sequences of float arrays, one for each feature
        The least and largest value of each bin. A threshold is the middle between the last bin on the left
        and the first one on the right that the node's rows have.
    n_classes : int, default 0
        0: regression.
    criterion : str, optional
        "gini" (default), "entropy", "log_loss"; for regression "squared_error" (default), "friedman_mse" (the
        same splits) and "poisson".
    sample_weight : array [rows], optional
        At least 0. Rows of weight 0 are left out.
    counts : uint16 array [trees, rows], optional
        How often each row is in each tree's sample (:func:`bootstrap_counts`); once by default.
    class_weight : float array [trees, n_classes], optional
        What the weights of a class's rows are multiplied by, in each tree.
    random_thresholds : bool, default False
        Try one threshold a feature, uniform between the node's extremes, instead of all.
    max_features : int, optional
        Features tried at each node, drawn without replacement; more when those are constant. Default all.
    max_depth, max_leaf_nodes : int, optional
        Bounds of a tree; the second grows nodes by their gain, the largest first.
    min_samples_split, min_samples_leaf : int, default 2 and 1
        Rows that a node must have to be split, and that each side must have.
    min_weight_leaf : float, default 0
        Weight that each side must have.
    min_impurity_decrease : float, default 0
        Gain, divided by the weight of all rows, that a split must have.
    expected_nodes : int, optional
        Room to begin with. Trees do not depend on it; a good guess saves memory.

    Returns
    -------
    Trees
        ``value`` holds the distribution of classes [nodes, n_classes] or the mean target [nodes, 1], ``gain``
        the decrease of weight times impurity, ``base`` zeros, ``outputs`` -1. Where targets exceed 2^400, or
        all are below 2^-400, gains are those of targets over a power of two: their squares could not be told.

    Notes
    -----
    Of equally good splits the first one wins: the first feature looked at, the lowest threshold, missing
    values on the right. Gains that differ by less than 1e-9 of them, or scores by less than 1e-13, count as
    equal. So neither the scale of the targets or the weights nor an offset of the targets changes a tree;
    weights and targets times a power of two give the same bits.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        For arguments that do not fit.
    IndexRangeError
        For a code that is neither a bin nor missing, or a class out of range.
    """
    op = "grow_forest"
    for name, value in (("codes", codes), ("target", target), ("sample_weight", sample_weight)):
        refuse_masked(value, f"{op}: {name}")
    codes = codes if is_on_gpu(codes) else np.asarray(codes)
    if codes.dtype not in (np.uint8, np.uint16):
        raise DTypeError(f"{op}: codes has dtype {codes.dtype}, expected uint8 or uint16")
    if codes.ndim != 2 or 0 in codes.shape:
        raise ShapeError(f"{op}: codes has shape {codes.shape}, expected [features, rows], neither of them 0")
    codes = codes if codes.flags.c_contiguous else codes.copy()
    features, rows = codes.shape
    classes = _whole(op, "n_classes", n_classes, 0, 65535)
    known = ("gini", "entropy", "log_loss") if classes else ("squared_error", "friedman_mse", "poisson")
    if criterion is None:
        criterion = known[0]
    elif criterion not in known:
        raise ArgumentError(
            f"{op}: criterion is {criterion!r}, expected one of {', '.join(map(repr, known))}"
        )
    y = _target(op, target, rows, classes, criterion)
    weight = None if sample_weight is None else _weight(op, sample_weight, rows)
    y_exponent = weight_exponent = 0
    if not classes:
        y, y_exponent = _near_one(y)
    if weight is not None:
        weight, weight_exponent = _near_one(weight)
    given = _seeds(op, seeds)
    trees = given.size
    if counts is not None:
        counts = counts if is_on_gpu(counts) else np.asarray(counts)
        if counts.dtype != np.uint16:
            raise DTypeError(f"{op}: counts has dtype {counts.dtype}, expected uint16")
        if counts.shape != (trees, rows):
            raise ShapeError(f"{op}: counts has shape {counts.shape}, expected {(trees, rows)}")
        counts = beside(codes, counts if counts.flags.c_contiguous else counts.copy())
    if class_weight is not None:
        class_weight = _class_weight(op, class_weight, trees, classes)
    offsets, lows, highs = _bins(op, low, high, features, 255 if codes.dtype == np.uint8 else 65535)
    leaf = _whole(op, "min_samples_leaf", min_samples_leaf, 1)
    depth = -1 if max_depth is None else _whole(op, "max_depth", max_depth, 0)
    leaves = -1 if max_leaf_nodes is None else _whole(op, "max_leaf_nodes", max_leaf_nodes, 1)
    options = (
        classes,
        _CRITERIA[criterion],
        bool(random_thresholds),
        features if max_features is None else _whole(op, "max_features", max_features, 1, features),
        depth,
        leaves,
        _whole(op, "min_samples_split", min_samples_split, 0),
        leaf,
        _scaled(_real(op, "min_weight_leaf", min_weight_leaf), -weight_exponent),
        _scaled(
            _real(op, "min_impurity_decrease", min_impurity_decrease),
            -y_exponent * (1 if criterion == "poisson" else 2),
        ),
    )
    most_leaves = max(rows // leaf, 1)
    if 0 <= depth < 31:
        most_leaves = min(most_leaves, 1 << depth)
    if leaves > 0:
        most_leaves = min(most_leaves, leaves)
    enough = 2 * most_leaves - 1
    room = enough if expected_nodes is None else min(enough, _whole(op, "expected_nodes", expected_nodes, 1))

    k = engines.of(codes)
    told: list[Any] = [y, weight, class_weight, offsets, lows, highs, given]
    if is_on_gpu(codes):
        told = [None if a is None else beside(codes, a) for a in told]
    y, weight, class_weight, *bins, given = told
    width = max(classes, 1)
    pieces: list[tuple[np.ndarray, ...]] = []
    sizes = np.empty(trees, np.int64)
    first = 0
    while first < trees:
        step = max(runtime.get_num_threads(), _ROOM // (room * (8 * width + 49)))
        last = min(first + step, trees)
        node_count, arrays = _empty_nodes(k, last - first, room, width)
        part = None if counts is None else counts[first:last]
        of_class = None if class_weight is None else class_weight[first:last]
        k.grow_forest(
            node_count, *arrays, codes, y, weight, part, of_class, *bins, given[first:last], *options
        )
        if is_on_gpu(codes):
            node_count, arrays = near(node_count), tuple(near(a) for a in arrays)
        if (node_count == _OUT_OF_RANGE).any():
            raise IndexRangeError(f"{op}: codes has a code that is neither missing nor a bin of its feature")
        if (node_count == _TOO_HEAVY).any():
            raise ArgumentError(f"{op}: counts of a tree sum to 2**31 or more")
        if (node_count == _NO_ROOM).any():
            assert room < enough
            room = enough
            continue
        if (node_count == 0).any():
            raise ArgumentError(
                f"{op}: tree {first + int(np.argmin(node_count))} has no rows of weight above 0"
            )
        for t, size in enumerate(node_count):
            pieces.append(tuple(a[t, :size] for a in arrays))
        if last < trees:  # the memory is used again
            pieces[-len(node_count) :] = [tuple(a.copy() for a in p) for p in pieces[-len(node_count) :]]
        sizes[first:last] = node_count
        first = last
    grown = _joined(pieces, sizes, features, width)
    if y_exponent:
        grown.value = _scaled(grown.value, y_exponent)
    if weight_exponent:
        most = np.finfo(np.float64).max
        grown.cover = np.minimum(_scaled(grown.cover, weight_exponent), most)
        grown.gain = np.minimum(_scaled(grown.gain, weight_exponent), most)
    return grown


def _near_one(numbers: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers whose squares could overflow or vanish, over a power of two; its exponent, 0 for all others."""
    exponent = int(np.frexp(np.abs(numbers).max())[1])
    if abs(exponent) <= _MOST_EXPONENT:
        return numbers, 0
    return np.ascontiguousarray(_scaled(numbers, -exponent)), exponent


def _scaled(numbers: Any, exponent: int) -> Any:
    """Numbers times a power of two, which float64 need not have itself."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(numbers, exponent)


def _empty_nodes(k: Any, trees: int, room: int, width: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    types = (np.int32, np.float64, np.int32, np.int32, np.uint8, np.float64, np.float64, np.float64, np.int64)
    arrays = [
        k.empty((trees, room, width) if i == 5 else (trees, room), np.dtype(t)) for i, t in enumerate(types)
    ]
    return k.empty((trees,), np.dtype(np.int64)), tuple(arrays)


def _joined(pieces: list[tuple[np.ndarray, ...]], sizes: np.ndarray, features: int, width: int) -> Trees:
    from einkorn.boosting.trees import Trees

    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    nodes = int(offsets[-1])
    if pieces:
        feature, threshold, left, right, missing_left, value, gain, cover, count = (
            np.concatenate(arrays) for arrays in zip(*pieces, strict=True)
        )
    else:
        feature = left = right = np.empty(0, np.int32)
        threshold = gain = cover = np.empty(0)
        missing_left, value, count = np.empty(0, np.uint8), np.empty((0, width)), np.empty(0, np.int64)
    return Trees(
        offsets=offsets,
        outputs=np.full(sizes.size, -1, np.int32),
        feature=feature,
        threshold=threshold,
        left=left,
        right=right,
        missing_left=missing_left,
        category_offset=np.full(nodes, -1, np.int32),
        category_words=np.zeros(nodes, np.int32),
        categories=np.empty(0, np.uint32),
        value=value,
        gain=gain,
        cover=cover,
        count=count,
        n_features=features,
        n_outputs=width,
        base=np.zeros(width),
    )


def _target(op: str, target: Any, rows: int, classes: int, criterion: str) -> np.ndarray:
    y = np.asarray(target)
    if y.shape != (rows,):
        raise ShapeError(f"{op}: target has shape {y.shape}, expected {(rows,)}")
    if y.dtype.kind not in ("iub" if classes else "iubf"):
        expected = "an integer type" if classes else "numbers"
        raise DTypeError(f"{op}: target has dtype {y.dtype}, expected {expected}")
    least, most = y.min(), y.max()
    if classes and not (least >= 0 and most < classes):
        raise IndexRangeError(f"{op}: target has classes from {least} to {most}, expected 0 to {classes - 1}")
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ArgumentError(f"{op}: target has a NaN or an infinity")
    if criterion == "poisson" and least < 0:
        raise ArgumentError(f"{op}: target has {least}, expected at least 0 for criterion 'poisson'")
    return np.ascontiguousarray(y, np.float64)


def _weight(op: str, sample_weight: Any, rows: int) -> np.ndarray:
    weight = np.ascontiguousarray(sample_weight, np.float64)
    if weight.shape != (rows,):
        raise ShapeError(f"{op}: sample_weight has shape {weight.shape}, expected {(rows,)}")
    least, most = weight.min(), weight.max()
    if not (least >= 0 and 0 < most < float("inf")):
        raise ArgumentError(
            f"{op}: sample_weight has values from {least} to {most}, expected finite"
            " ones, none below 0 and some above"
        )
    return weight


def _class_weight(op: str, class_weight: Any, trees: int, classes: int) -> np.ndarray:
    given = np.ascontiguousarray(class_weight, np.float64)
    if given.shape != (trees, classes) or classes == 0:
        raise ShapeError(f"{op}: class_weight has shape {given.shape}, expected {(trees, classes)}")
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise ArgumentError(f"{op}: class_weight has a negative or non-finite weight")
    return given


def _bins(
    op: str, low: Sequence[Any], high: Sequence[Any], features: int, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each feature's bins begin, and the bounds of all of them."""
    for name, given in (("low", low), ("high", high)):
        if len(given) != features:
            raise ShapeError(f"{op}: {name} has {len(given)} arrays, expected {features} as codes has rows")
    sizes = [np.size(a) for a in low]
    for f, (size, upper) in enumerate(zip(sizes, high, strict=True)):
        if np.size(upper) != size or size > most:
            raise ShapeError(
                f"{op}: low and high of feature {f} have {size} and {np.size(upper)} bins, expected"
                f" as many in both, at most {most}"
            )
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    lows, highs = (
        np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays]) for arrays in (low, high)
    )
    return offsets, lows, highs
