"""Growing boosted trees over codes: the heart of histogram gradient boosting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from einkorn import engines
from einkorn._device import device_of, is_on_gpu, is_writeable, move
from einkorn._masked import refuse_masked
from einkorn.errors import ArgumentError, DataError, DeviceError, DTypeError, IndexRangeError, ShapeError
from einkorn.ops._road import as_index, same_dtype
from einkorn.ops._sealed import Sealed, own, sealed
from einkorn.ops._tree_options import (
    _ascending,
    _features,
    _groups,
    _number,
    _per_row,
    _share,
    _signs,
    _whole,
)
from einkorn.ops.histogram import check_codes

__all__ = ["CodeTable", "GrownTree", "apply_codes", "grow_tree", "update_scores"]

_ROW_LIMIT = (1 << 31) - 1
_NEEDS_WIDE = -3  # hessians differ too much for sums of one part


class CodeTable(Sealed):
    """Codes of the rows that trees are grown from, checked once, and laid out by column and by row.

    Histograms read a row's codes side by side, while a split reads one column: both layouts are kept. Make
    one table and grow all trees of a model from it.

    Parameters
    ----------
    codes : uint8 or uint16 array [features, rows]
        As ``Binner.transform`` gives them. Copied, unless it is read-only.
    n_bins : array of int [features]
        Bins of each feature, ``Binner.n_bins_``. The last bin of a categorical feature is that of other
        categories: its rows go right at every split of it.
    categorical : array of bool [features], optional

    Attributes
    ----------
    codes, n_bins, is_categorical : arrays, read-only
    by_row : array [rows, features rounded up]
        The codes by row, missing values as ``n_bins[f]``.
    missing_code : int
        255 for uint8, 65535 for uint16.
    n_rows, n_features : int

    Raises
    ------
    DTypeError, ShapeError, ArgumentError
        For arguments that do not fit.
    IndexRangeError
        For a code that is neither below ``n_bins`` nor the missing code.
    """

    codes: np.ndarray
    n_bins: np.ndarray
    is_categorical: np.ndarray
    by_row: np.ndarray
    missing_code: int
    n_features: int
    n_rows: int
    _words: int

    def __init__(self, codes: Any, n_bins: Any, *, categorical: Any = None) -> None:
        op = "CodeTable"
        codes = sealed(check_codes(op, codes))
        n_features, n_rows = codes.shape
        missing_code = 255 if codes.dtype == np.uint8 else 65535
        for name, value in (("n_bins", n_bins), ("categorical", categorical)):
            refuse_masked(value, f"{op}: {name}")
        bins = as_index(np.asarray(n_bins), op, "n_bins")
        if bins.shape != (n_features,):
            raise ShapeError(f"{op}: n_bins has shape {bins.shape}, expected {(n_features,)}")
        if ((bins < 1) | (bins > missing_code)).any():
            raise ArgumentError(
                f"{op}: n_bins has values from {bins.min()} to {bins.max()}, expected 1 to"
                f" {missing_code} because codes are {codes.dtype}"
            )
        if n_rows > _ROW_LIMIT:
            raise ShapeError(f"{op}: codes has {n_rows} rows, at most {_ROW_LIMIT} are supported")
        marks = np.zeros(n_features, bool) if categorical is None else np.asarray(categorical)
        if marks.shape != (n_features,):
            raise ShapeError(f"{op}: categorical has shape {marks.shape}, expected {(n_features,)}")
        n_bins = bins.astype(np.int32)
        marks = (marks != 0).astype(np.uint8)
        k = engines.of(codes)
        by_row = k.empty((n_rows, -(-n_features // 8) * 8), codes.dtype)
        bad = k.code_rows(by_row, codes, n_bins)
        if bad >= 0:
            f, r = divmod(bad, n_rows)
            raise IndexRangeError(
                f"{op}: codes has {int(codes[f, r])} for feature {f} in row {r}, expected 0 to"
                f" {int(bins[f]) - 1}, or {missing_code} for a missing value"
            )
        own(n_bins, marks, by_row)
        self._seal(
            codes=codes,
            n_features=n_features,
            n_rows=n_rows,
            missing_code=missing_code,
            n_bins=n_bins,
            is_categorical=marks,
            by_row=by_row,
            _words=int(-(-n_bins[marks != 0].max(initial=0) // 32)),
        )

    def to(self, device: str) -> CodeTable:
        """The table on a device (``"cpu"``, ``"cuda"`` or ``"cuda:1"``): itself where it is there already.

        From a table on a GPU trees are grown there, by gradients that are there too; their nodes are brought
        to the CPU, the leaves of rows stay.
        """
        moved = object.__new__(CodeTable)
        names = ("codes", "n_bins", "is_categorical", "by_row")
        arrays = {name: move(getattr(self, name), device) for name in names}
        if arrays["codes"] is self.codes:
            return self
        kept = ("n_features", "n_rows", "missing_code", "_words")
        moved._seal(**arrays, **{name: getattr(self, name) for name in kept})
        return moved

    def __reduce__(self) -> tuple[Any, ...]:
        return _table_of, tuple(move(a, "cpu") for a in (self.codes, self.n_bins, self.is_categorical))


def _table_of(codes: np.ndarray, n_bins: np.ndarray, categorical: np.ndarray) -> CodeTable:
    return CodeTable(codes, n_bins, categorical=categorical)


@dataclass
class GrownTree:
    """A tree over codes, its nodes as arrays; node 0 is the root.

    Attributes
    ----------
    feature : int32 [nodes]
        Feature of the split, -1 at a leaf.
    code : int32 [nodes]
        A row goes left when its code is at most this; -1 at leaves and categorical splits. It may be the last
        bin: then all values go left and missing ones right.
    left, right : int32 [nodes]
        Children, -1 at a leaf. Every child comes after its parent.
    missing_left : uint8 [nodes]
        Whether missing values go left.
    categories : uint32 [nodes, words]
        At a categorical split, the codes that go left: bit ``c % 32`` of word ``c // 32``. No words without
        categorical features.
    value : float64 [nodes]
        What a leaf adds, learning rate included; at inner nodes what it would add as a leaf.
    gain : float64 [nodes]
        Improvement by the split; 0 at a leaf.
    cover : float64 [nodes]
        Sum of hessians of the rows there.
    count : int64 [nodes]
        Number of rows there.
    leaf : int32 [rows]
        The leaf that each row of the table is in, also those the tree was not grown from; on the table's
        device.

    Notes
    -----
    The first use checks all of this (:meth:`check`) and makes the arrays read-only: change a tree with
    ``dataclasses.replace`` or by assigning new arrays.
    """

    feature: np.ndarray
    code: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    categories: np.ndarray
    value: np.ndarray
    gain: np.ndarray
    cover: np.ndarray
    count: np.ndarray
    leaf: np.ndarray

    def __post_init__(self) -> None:
        self._checked = False

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name in _TREE:
            object.__setattr__(self, "_checked", False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _TREE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in _TREE:
            setattr(self, name, state[name])

    def check(self) -> None:
        """Refuse a tree that is not what the class describes.

        Raises
        ------
        DTypeError
            If an array has another element type.
        ShapeError
            If sizes do not fit together.
        IndexRangeError
            If a child or a leaf is none of the nodes.
        """
        if self._checked:
            return
        nodes = np.size(self.feature)
        for name, (dtype, ndim) in _TREE.items():
            a = getattr(self, name)
            if name == "leaf" and is_on_gpu(a) and a.dtype == dtype and a.ndim == ndim:
                continue
            if not isinstance(a, np.ndarray) or a.dtype != dtype:
                kind = a.dtype if isinstance(a, np.ndarray) else f"a {type(a).__name__}"
                raise DTypeError(f"GrownTree: {name} is {kind}, expected an array of {np.dtype(dtype)}")
            if a.ndim != ndim or (name != "leaf" and len(a) != nodes):
                expected = "[rows]" if name == "leaf" else f"({nodes}{', words' if ndim > 1 else ''})"
                raise ShapeError(f"GrownTree: {name} has shape {a.shape}, expected {expected}")
            object.__setattr__(self, name, sealed(a))
        if not nodes:
            raise ShapeError("GrownTree: feature is empty, expected at least one node")
        place, is_inner = np.arange(nodes), self.feature >= 0
        for name in ("left", "right"):
            child = getattr(self, name)
            bad = np.flatnonzero(is_inner & ((child <= place) | (child >= nodes)))
            if bad.size:
                raise IndexRangeError(
                    f"GrownTree: {name} is {child[bad[0]]} at node {bad[0]}, expected a later one of {nodes}"
                )
        if self.leaf.size and not 0 <= int(self.leaf.min()) <= int(self.leaf.max()) < nodes:
            raise IndexRangeError(
                f"GrownTree: leaf has values from {self.leaf.min()} to {self.leaf.max()}, expected nodes of"
                f" a tree of {nodes}"
            )
        object.__setattr__(self, "_checked", True)

    def _trust(self) -> GrownTree:
        """What the kernel made needs no check, only that it stays as it is."""
        own(*(getattr(self, name) for name in _TREE))
        object.__setattr__(self, "_checked", True)
        return self


#: Element type and number of dimensions of a tree's arrays.
_TREE: dict[str, tuple[Any, int]] = {
    "feature": (np.int32, 1),
    "code": (np.int32, 1),
    "left": (np.int32, 1),
    "right": (np.int32, 1),
    "missing_left": (np.uint8, 1),
    "categories": (np.uint32, 2),
    "value": (np.float64, 1),
    "gain": (np.float64, 1),
    "cover": (np.float64, 1),
    "count": (np.int64, 1),
    "leaf": (np.int32, 1),
}


def grow_tree(
    table: CodeTable,
    gradients: Any,
    hessians: Any = None,
    *,
    growth: str = "leaf",
    max_leaves: int | None = 31,
    max_depth: int | None = None,
    min_samples_leaf: int = 20,
    min_child_weight: float = 1e-3,
    reg_alpha: float = 0.0,
    reg_lambda: float = 0.0,
    min_split_gain: float = 0.0,
    max_delta_step: float = 0.0,
    learning_rate: float = 0.1,
    rows: Any = None,
    features: Any = None,
    colsample_bylevel: float = 1.0,
    colsample_bynode: float = 1.0,
    seed: int = 0,
    tree: int = 0,
    monotone: Any = None,
    interactions: Sequence[Sequence[int]] | None = None,
    cat_smooth: float = 10.0,
    cat_l2: float = 10.0,
    max_cat_threshold: int = 32,
    max_cat_to_onehot: int = 4,
) -> GrownTree:
    """Grow one tree that fits the gradients and hessians of a loss.

    A leaf with gradient sum G and hessian sum H gets the value ``-learning_rate * S(G) / (H + reg_lambda)``,
    S(G) being G moved towards 0 by ``reg_alpha``; a split gains ``S(GL)**2 / (HL + reg_lambda) + S(GR)**2 /
    (HR + reg_lambda) - S(G)**2 / (H + reg_lambda)`` [1]_. Gradients are summed as whole multiples of 2**-30
    of (a power of two above) the largest, exactly: the tree is the same, bit by bit, for any number of
    threads. Where hessians differ by more than 2**20, multiples are of 2**-60: rows of weight 1 beside rows
    of weight 1e10 are learned, in about 1.13 times the time.

    Of equal splits the first feature's wins, then missing values on the right, then the smaller code. Gains
    that differ by at most 1e-6 of themselves, which is what gradients in float32 leave of equal ones, are
    equal: neither the scale of the gradients nor of the hessians decides.

    Parameters
    ----------
    table : CodeTable
    gradients : float32 or float64 array [rows of the table]
    hessians : array [rows of the table], optional
        None: all 1 (squared loss without weights), which is quicker. Must not be negative.
    growth : {"leaf", "depth"}
        Split the leaf with the largest gain first, or level by level.
    max_leaves, max_depth : int, optional
        None: no limit. A tree of depth 0 is a single leaf.
    min_samples_leaf : int, default 20
    min_child_weight : float, default 1e-3
        Least sum of hessians in a leaf.
    reg_alpha, reg_lambda : float, default 0
        L1 and L2 penalties of leaf values.
    min_split_gain : float, default 0
        A split must gain more than this.
    max_delta_step : float, default 0
        Bound on the size of leaf values before the learning rate; 0: none.
    learning_rate : float, default 0.1
    rows : array of int, optional
        Grow from these rows, ascending, each once; None: from all.
    features : array of bool or of int, optional
        Use these features; None: all.
    colsample_bylevel, colsample_bynode : float, default 1
        Share of the features drawn at random for each level, and of those for each node.
    seed, tree : int
        Of the random numbers for these: a stream of its own for every tree number.
    monotone : array of int [features], optional
        +1: the prediction must not fall as the feature grows; -1: not rise; 0: free. Numeric features only.
    interactions : list of lists of int, optional
        Features may meet on a path only within one of these groups. A feature in none of them is not used.
    cat_smooth, cat_l2, max_cat_threshold, max_cat_to_onehot
        A categorical feature with at most ``max_cat_to_onehot`` categories in a node is split one against the
        rest. With more, categories are sorted by ``G / (H + cat_smooth)`` and the first or the last, at most
        ``max_cat_threshold``, are parted from the others; these splits count ``reg_lambda + cat_l2`` [2]_.
        Missing values stay with the others. The side with more rows is the right child, and categories that
        no row of the node has go there; if it has rows of the last bin, the rare categories', with these.

    Returns
    -------
    GrownTree

    Raises
    ------
    DataError
        If a gradient or hessian is not finite, or a hessian negative.
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        For arguments that do not fit.

    References
    ----------
    .. [1] Chen, Guestrin, "XGBoost: a scalable tree boosting system", 2016, equations 5 to 7.
    .. [2] Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", 2017; Fisher, "On
       grouping for maximum homogeneity", 1958.
    """
    op = "grow_tree"
    if not isinstance(table, CodeTable):
        raise DTypeError(f"{op}: table is a {type(table).__name__}, expected a CodeTable")
    n_rows, n = table.n_rows, table.n_features
    g = _per_row(op, "gradients", gradients, n_rows)
    h = None if hessians is None else _per_row(op, "hessians", hessians, n_rows)
    same_dtype(op, gradients=g, hessians=h)
    place = device_of(table.codes)
    if device_of(g) != place:
        raise DeviceError(f"{op}: gradients is on {device_of(g)}, expected {place} as the table is")
    if growth not in ("leaf", "depth"):
        raise ArgumentError(f"{op}: growth is {growth!r}, expected 'leaf' or 'depth'")
    at = None if rows is None else _ascending(op, "rows", rows, n_rows)
    use = _features(op, features, n)
    grown = n_rows if at is None else at.size
    if grown == 0:
        raise DataError(f"{op}: there are no rows to grow a tree from")
    least = _whole(op, "min_samples_leaf", min_samples_leaf, 1)
    leaves = max(1, grown // least)
    if max_leaves is not None:
        leaves = min(leaves, _whole(op, "max_leaves", max_leaves, 1))
    depth = n_rows if max_depth is None else _whole(op, "max_depth", max_depth, 0)
    if depth < 31:
        leaves = min(leaves, 1 << depth)
    alpha = _number(op, "reg_alpha", reg_alpha)
    l2 = _number(op, "reg_lambda", reg_lambda)
    weight = _number(op, "min_child_weight", min_child_weight)
    least_gain = _number(op, "min_split_gain", min_split_gain)
    step = _number(op, "max_delta_step", max_delta_step)
    rate = _number(op, "learning_rate", learning_rate)
    smooth, more_l2 = _number(op, "cat_smooth", cat_smooth), _number(op, "cat_l2", cat_l2)
    by_level = _share(op, "colsample_bylevel", colsample_bylevel)
    by_node = _share(op, "colsample_bynode", colsample_bynode)
    threshold = _whole(op, "max_cat_threshold", max_cat_threshold, 1)
    onehot = _whole(op, "max_cat_to_onehot", max_cat_to_onehot, 0)
    signs = _signs(op, monotone, table)
    groups = _groups(op, interactions, n)
    stream = _whole(op, "tree", tree, 0)
    if stream >= 1 << 23:
        raise ArgumentError(f"{op}: tree is {tree!r}, expected less than {1 << 23}")
    seed = _whole(op, "seed", seed, 0)

    k = engines.of(g)
    size = 2 * leaves - 1
    ints = k.empty((4, size), np.int32)
    floats = k.empty((3, size), np.float64)
    missing_left = k.empty((size,), np.uint8)
    categories = k.empty((size, table._words), np.uint32)
    count = k.empty((size,), np.int64)
    leaf = k.empty((n_rows,), np.int32)
    feature, code, left, right = ints
    value, gain, cover = floats
    there = [None if a is None else move(a, place) for a in (at, use, signs, groups)]
    arguments = (
        feature,
        code,
        left,
        right,
        missing_left,
        categories,
        value,
        gain,
        cover,
        count,
        leaf,
        table.codes,
        table.by_row,
        table.n_bins,
        table.is_categorical,
        g,
        h,
        *there,
        growth == "depth",
        depth,
        least,
        weight,
        alpha,
        l2,
        least_gain,
        step,
        rate,
        by_level,
        by_node,
        seed & 0xFFFFFFFFFFFFFFFF,
        stream,
        smooth,
        more_l2,
        threshold,
        onehot,
    )
    nodes = k.tree_grow(*arguments, False)
    if nodes == _NEEDS_WIDE:
        nodes = k.tree_grow(*arguments, True)
    if nodes < 0:
        raise DataError(
            f"{op}: gradients has a value that is not finite"
            if nodes == -1
            else f"{op}: hessians has a value that is negative or not finite"
        )
    feature, code, left, right = move(ints, "cpu")
    value, gain, cover = move(floats, "cpu")
    grown_tree = GrownTree(
        feature=feature[:nodes],
        code=code[:nodes],
        left=left[:nodes],
        right=right[:nodes],
        missing_left=move(missing_left, "cpu")[:nodes],
        categories=move(categories, "cpu")[:nodes],
        value=value[:nodes],
        gain=gain[:nodes],
        cover=cover[:nodes],
        count=move(count, "cpu")[:nodes],
        leaf=leaf,
    )
    if at is not None and at.size < n_rows:
        k.tree_apply_codes(leaf, *_apply_arguments(grown_tree, table))
    return grown_tree._trust()


def apply_codes(tree: GrownTree, table: CodeTable) -> Any:
    """The leaf of each row of a table (of the same bins as that which the tree was grown from).

    Returns
    -------
    int32 array [rows]
        Node numbers, on the table's device.

    Raises
    ------
    DTypeError, ShapeError
        For another table than one with the tree's features.
    """
    op = "apply_codes"
    if not isinstance(tree, GrownTree) or not isinstance(table, CodeTable):
        raise DTypeError(f"{op}: expected a GrownTree and a CodeTable")
    tree.check()
    if tree.feature.max() >= table.n_features:
        raise ShapeError(
            f"{op}: table has {table.n_features} features, the tree uses feature {tree.feature.max()}"
        )
    k = engines.of(table.codes)
    leaf = k.empty((table.n_rows,), np.int32)
    k.tree_apply_codes(leaf, *_apply_arguments(tree, table))
    return leaf


def update_scores(scores: Any, tree: GrownTree, leaf: Any = None) -> None:
    """Add the tree's leaf values to scores in place: ``scores[r] += tree.value[leaf[r]]``.

    Parameters
    ----------
    scores : float32 or float64 array [rows]
        Written; a strided view will do.
    tree : GrownTree
    leaf : int32 array [rows], optional
        The leaf of each row; ``tree.leaf`` by default.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, IndexRangeError
        For arguments that do not fit.
    """
    op = "update_scores"
    if not isinstance(tree, GrownTree):
        raise DTypeError(f"{op}: tree is a {type(tree).__name__}, expected a GrownTree")
    tree.check()
    at = tree.leaf if leaf is None else leaf if is_on_gpu(leaf) else np.asarray(leaf)
    if not (isinstance(scores, np.ndarray) or is_on_gpu(scores)) or scores.dtype not in (
        np.float32,
        np.float64,
    ):
        raise DTypeError(f"{op}: scores must be a float32 or float64 array")
    if at.dtype != np.int32 or at.ndim != 1:
        raise DTypeError(f"{op}: leaf must be an int32 array of one dimension")
    if scores.shape != at.shape:
        raise ShapeError(f"{op}: scores has shape {scores.shape}, expected {at.shape} as leaf has")
    if device_of(scores) != device_of(at):
        raise DeviceError(f"{op}: scores is on {device_of(scores)}, expected {device_of(at)} as leaf is")
    if not is_writeable(scores) or scores.strides[0] % scores.itemsize:
        raise ArgumentError(f"{op}: scores is read-only or misaligned")
    if leaf is not None and at.size and not 0 <= int(at.min()) <= int(at.max()) < tree.value.size:
        raise IndexRangeError(
            f"{op}: leaf has values from {at.min()} to {at.max()}, the tree has {tree.value.size} nodes"
        )
    value = move(np.ascontiguousarray(tree.value), device_of(scores))
    engines.of(scores).tree_update(scores, at if at.flags.c_contiguous else at.copy(), value)


def _apply_arguments(tree: GrownTree, table: CodeTable) -> tuple[Any, ...]:
    place = device_of(table.codes)
    names = ("feature", "code", "left", "right", "missing_left", "categories")
    return (table.codes, *(move(getattr(tree, name), place) for name in names), table.is_categorical)
