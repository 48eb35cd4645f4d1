"""Trees as arrays: what every estimator here grows, saves, plots and predicts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from einkorn.boosting._layout import Layout, PathTables, pack, path_tables
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.ops._sealed import sealed

__all__ = ["ARRAYS", "Trees"]

_MOST_NODES = 2**31 - 1

#: Element type and number of dimensions of each array.
ARRAYS: dict[str, tuple[Any, int]] = {
    "offsets": (np.int64, 1),
    "outputs": (np.int32, 1),
    "feature": (np.int32, 1),
    "threshold": (np.float64, 1),
    "left": (np.int32, 1),
    "right": (np.int32, 1),
    "missing_left": (np.uint8, 1),
    "category_offset": (np.int32, 1),
    "category_words": (np.int32, 1),
    "categories": (np.uint32, 1),
    "value": (np.float64, 2),
    "gain": (np.float64, 1),
    "cover": (np.float64, 1),
    "count": (np.int64, 1),
    "base": (np.float64, 1),
}
_PER_TREE = ("outputs",)
_PER_NODE = tuple(name for name in ARRAYS if name not in ("offsets", "outputs", "categories", "base"))


@dataclass(eq=False)
class Trees:
    """A sequence of decision trees, their nodes one after another.

    Node 0 of a tree is its root. ``left`` and ``right`` count from the tree's first node. A row goes left at
    a numeric split when ``x <= threshold``; at a categorical one when ``int(x)`` is in the node's set; a
    missing value (NaN) goes left when ``missing_left`` says so. A category never seen goes right.

    Attributes
    ----------
    offsets : int64 [trees + 1]
        Where each tree's nodes begin.
    outputs : int32 [trees]
        The column of the result that a tree adds to; -1 when its leaves hold all columns.
    feature : int32 [nodes]
        Feature of the split, -1 at a leaf.
    threshold : float64 [nodes]
        In the units of the data, NaN where there is none.
    left, right : int32 [nodes]
        Children, -1 at a leaf.
    missing_left : uint8 [nodes]
    category_offset, category_words : int32 [nodes]
        The node's set within ``categories``: first word (-1: numeric split) and number of words.
    categories : uint32 [words]
        Sets of categories, bit ``c % 32`` of word ``c // 32`` for category c.
    value : float64 [nodes, width]
        What a leaf adds (learning rate included); at inner nodes what it would add as a leaf. ``width`` is 1
        when ``outputs`` names columns, else the number of columns.
    gain : float64 [nodes]
        Improvement by the split; 0 at a leaf.
    cover : float64 [nodes]
        Sum of weights (forests, stumps) or of hessians (boosting) of the training rows there.
    count : int64 [nodes]
        Number of training rows there.
    n_features, n_outputs : int
    base : float64 [n_outputs]
        What the sum starts from.

    Notes
    -----
    Children come after their parent, so there are no cycles. The first use for prediction checks all of
    this (:meth:`check`) and makes the arrays read-only, for it keeps a packed copy of them: change trees with
    ``dataclasses.replace`` or by assigning new arrays.
    """

    offsets: np.ndarray
    outputs: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    category_offset: np.ndarray
    category_words: np.ndarray
    categories: np.ndarray
    value: np.ndarray
    gain: np.ndarray
    cover: np.ndarray
    count: np.ndarray
    n_features: int
    n_outputs: int
    base: np.ndarray

    def __post_init__(self) -> None:
        self._layouts: dict[Any, Layout] = {}
        self._tables: PathTables | None = None
        self._checked = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIELDS:  # what was derived from the old arrays goes
            object.__setattr__(self, "_layouts", {})
            object.__setattr__(self, "_tables", None)
            object.__setattr__(self, "_checked", False)
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in _FIELDS:
            setattr(self, name, state[name])

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.offsets) - 1

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all trees."""
        return len(self.feature)

    @property
    def width(self) -> int:
        """Numbers in a leaf."""
        return int(self.value.shape[1])

    def __len__(self) -> int:
        return self.n_trees

    @classmethod
    def from_nodes(
        cls,
        feature: Any,
        threshold: Any,
        left: Any,
        right: Any,
        value: Any,
        n_features: int,
        *,
        n_outputs: int = 1,
        output: int | None = None,
        missing_left: Any = None,
        category_offset: Any = None,
        category_words: Any = None,
        categories: Any = None,
        gain: Any = None,
        cover: Any = None,
        count: Any = None,
        base: Any = None,
    ) -> Trees:
        """One tree from its nodes.

        Parameters
        ----------
        feature, threshold, left, right : array [nodes]
        value : array [nodes] or [nodes, width]
        n_features : int
        n_outputs : int, default 1
        output : int, optional
            The column the tree adds to. By default 0 for leaves of one number, else -1: all columns.
        missing_left, category_offset, category_words, gain, cover, count : array [nodes], optional
            By default missing values go right, no split is categorical, and the rest is 0.
        categories : array [words], optional
        base : array [n_outputs], optional
            Default 0.

        Raises
        ------
        DTypeError, ShapeError, ArgumentError
            As :meth:`check`.
        """
        feature = np.array(feature, np.int32)
        nodes = feature.size
        values = np.array(value, np.float64)
        values = values.reshape(nodes, -1) if values.ndim == 1 else values

        def given(array: Any, dtype: Any, default: float = 0) -> np.ndarray:
            return np.full(nodes, default, dtype) if array is None else np.array(array, dtype)

        if output is None:
            output = 0 if values.shape[1] == 1 and n_outputs == 1 else -1
        trees = cls(
            offsets=np.array([0, nodes], np.int64),
            outputs=np.array([output], np.int32),
            feature=feature,
            threshold=given(threshold, np.float64),
            left=given(left, np.int32),
            right=given(right, np.int32),
            missing_left=given(missing_left, np.uint8),
            category_offset=given(category_offset, np.int32, -1),
            category_words=given(category_words, np.int32),
            categories=np.array([] if categories is None else categories, np.uint32),
            value=values,
            gain=given(gain, np.float64),
            cover=given(cover, np.float64),
            count=given(count, np.int64),
            n_features=int(n_features),
            n_outputs=int(n_outputs),
            base=np.zeros(n_outputs) if base is None else np.array(base, np.float64).reshape(-1),
        )
        trees.check()
        return trees

    @classmethod
    def empty(cls, n_features: int, n_outputs: int = 1, base: Any = None, width: int = 1) -> Trees:
        """No trees yet: what predicts ``base`` everywhere."""
        arrays = {name: np.empty((0,) * ndim, dtype) for name, (dtype, ndim) in ARRAYS.items()}
        arrays["offsets"] = np.zeros(1, np.int64)
        arrays["value"] = np.empty((0, width))
        arrays["base"] = np.zeros(n_outputs) if base is None else np.array(base, np.float64).reshape(-1)
        return cls(**arrays, n_features=n_features, n_outputs=n_outputs)

    @classmethod
    def concatenate(cls, parts: Sequence[Trees], base: Any = None) -> Trees:
        """All trees of several ensembles, in order.

        Parameters
        ----------
        parts : sequence of Trees
            Of the same numbers of features and outputs, and width of leaves.
        base : array [n_outputs], optional
            By default the first part's; the others' are not looked at.

        Raises
        ------
        ArgumentError
            If there are no parts.
        ShapeError
            If they do not fit together.
        """
        if not parts:
            raise ArgumentError("Trees.concatenate: parts is empty, expected at least one Trees")
        first = parts[0]
        for i, part in enumerate(parts):
            for name in ("n_features", "n_outputs", "width"):
                if getattr(part, name) != getattr(first, name):
                    raise ShapeError(
                        f"Trees.concatenate: part {i} has {name} {getattr(part, name)}, expected"
                        f" {getattr(first, name)} as part 0 has"
                    )
        if sum(part.n_nodes for part in parts) > _MOST_NODES:
            raise ShapeError(f"Trees.concatenate: more than {_MOST_NODES} nodes in all")
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in (*_PER_TREE, *_PER_NODE, "categories")
            if name != "category_offset"
        }
        nodes = np.cumsum([0, *(part.n_nodes for part in parts)])
        words = np.cumsum([0, *(part.categories.size for part in parts)])
        offsets = [part.offsets[:-1] + start for part, start in zip(parts, nodes, strict=False)]
        sets = [
            np.where(part.category_offset >= 0, part.category_offset + start, -1)
            for part, start in zip(parts, words, strict=False)
        ]
        return cls(
            **joined,
            offsets=np.concatenate([*offsets, nodes[-1:]]).astype(np.int64),
            category_offset=np.concatenate(sets).astype(np.int32),
            n_features=first.n_features,
            n_outputs=first.n_outputs,
            base=np.array(first.base if base is None else base, np.float64).reshape(-1),
        )

    def __getitem__(self, key: int | slice) -> Trees:
        """Some of the trees, with the same base: ``trees[:k]`` the first k, ``trees[i]`` one."""
        if isinstance(key, slice):
            start, stop, step = key.indices(self.n_trees)
            if step != 1:
                raise ArgumentError(f"Trees: a slice has step {step}, expected 1")
            stop = max(start, stop)
        else:
            start = range(self.n_trees)[key]  # negative numbers and IndexError as lists have them
            stop = start + 1
        self.check()  # so that the part shares its memory
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        arrays = {name: getattr(self, name)[first:last] for name in _PER_NODE}
        words = self.categories[:0]
        sets = arrays["category_offset"]
        used = sets >= 0
        if used.any():
            least = int(sets[used].min())
            words = self.categories[least : int((sets + arrays["category_words"])[used].max())]
            arrays["category_offset"] = np.where(used, sets - least, -1).astype(np.int32)
        return replace(
            self,
            **arrays,
            categories=words,
            outputs=self.outputs[start:stop],
            offsets=self.offsets[start : stop + 1] - first,
        )

    def check(self) -> None:
        """Refuse trees that are not what the class describes.

        Raises
        ------
        DTypeError
            If an array has another element type.
        ShapeError
            If sizes do not fit together.
        ArgumentError
            If an entry is out of range: the message names the array, the tree and the node.
        """
        if self._checked:
            return
        self._check_shapes()
        for name in ARRAYS:  # before they are looked at: what was checked shall stay as it is
            object.__setattr__(self, name, sealed(getattr(self, name)))
        self._check_nodes()
        self._checked = True

    def _check_shapes(self) -> None:
        for name, (dtype, ndim) in ARRAYS.items():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise DTypeError(f"Trees: {name} is {kind}, expected an array of {np.dtype(dtype)}")
            if array.ndim != ndim:
                raise ShapeError(f"Trees: {name} has {array.ndim} dimensions, expected {ndim}")
        for name in ("n_features", "n_outputs"):
            number = getattr(self, name)
            if not isinstance(number, (int, np.integer)) or not 1 <= number <= _MOST_NODES:
                raise ArgumentError(f"Trees: {name} is {number!r}, expected a positive int")
        if len(self.offsets) < 1:
            raise ShapeError("Trees: offsets is empty, expected one entry more than trees")
        sizes = {"outputs": self.n_trees, "base": self.n_outputs, **dict.fromkeys(_PER_NODE, self.n_nodes)}
        for name, size in sizes.items():
            if len(getattr(self, name)) != size:
                raise ShapeError(f"Trees: {name} has {len(getattr(self, name))} entries, expected {size}")
        if self.n_nodes > _MOST_NODES or self.categories.size > _MOST_NODES:
            raise ShapeError(f"Trees: more than {_MOST_NODES} nodes or words")
        offsets = self.offsets
        if offsets[0] != 0 or offsets[-1] != self.n_nodes or (offsets[1:] <= offsets[:-1]).any():
            raise ArgumentError(
                f"Trees: offsets must rise from 0 to the number of nodes, {self.n_nodes}, with a node or more"
                " for each tree"
            )
        if not np.isfinite(self.base).all():
            raise ArgumentError("Trees: base holds NaN or infinity")
        vector = bool(self.n_trees) and bool((self.outputs == -1).all())
        if not vector and ((self.outputs < 0) | (self.outputs >= self.n_outputs)).any():
            raise ArgumentError(
                f"Trees: outputs must name columns from 0 to {self.n_outputs - 1}, or be -1 for every tree"
            )
        width = self.n_outputs if vector else 1
        if self.n_trees and self.width != width:
            raise ShapeError(f"Trees: value has {self.width} columns, expected {width}")

    def _check_nodes(self) -> None:
        nodes = self.n_nodes
        sizes = np.diff(self.offsets)
        size = np.repeat(sizes, sizes)
        start = np.repeat(self.offsets[:-1], sizes)
        own = np.arange(nodes) - start
        inner = self.feature >= 0

        def refuse(bad: np.ndarray, what: str) -> None:
            if bad.any():
                node = int(np.argmax(bad))
                tree = int(np.searchsorted(self.offsets, node, "right")) - 1
                raise ArgumentError(f"Trees: {what} (tree {tree}, node {node - int(self.offsets[tree])})")

        refuse((self.feature < -1) | (self.feature >= self.n_features), "feature is out of range")
        for name in ("left", "right"):
            child = getattr(self, name)
            inside = np.where(inner, (child > own) & (child < size), child == -1)
            refuse(~inside, f"{name} is no node after its parent, or not -1 at a leaf")
        reached = np.bincount(
            np.concatenate([(start + self.left)[inner], (start + self.right)[inner]]), minlength=nodes
        )
        refuse(reached != (own > 0), "the node is not reached exactly once")
        refuse(self.missing_left > 1, "missing_left is not 0 or 1")
        sets, words = self.category_offset, self.category_words
        categorical = sets >= 0
        refuse((sets < -1) | (categorical & ~inner), "category_offset is negative, or not -1 at a leaf")
        ends = sets.astype(np.int64) + words
        fits = np.where(categorical, (words >= 1) & (ends <= self.categories.size), words == 0)
        refuse(~fits, "the set lies outside categories")
        refuse(inner & ~categorical & np.isnan(self.threshold), "threshold is NaN")
        refuse(~np.isfinite(self.value).all(axis=1), "value is NaN or infinite")
        refuse(~np.isfinite(self.gain), "gain is NaN or infinite")
        refuse(~((self.cover >= 0) & (self.cover < np.inf)), "cover is negative, NaN or infinite")
        refuse(self.count < 0, "count is negative")

    def depth(self) -> np.ndarray:
        """Splits from the root to the deepest leaf, int32 [trees]; 0 for a tree that is one leaf."""
        self.check()
        depth = np.zeros(self.n_trees, np.int32)
        nodes, trees, level = self.offsets[:-1], np.arange(self.n_trees), 0
        while nodes.size:
            depth[trees] = level
            inner = self.feature[nodes] >= 0
            nodes, trees, level = nodes[inner], trees[inner], level + 1
            first = self.offsets[trees]
            nodes = np.concatenate([first + self.left[nodes], first + self.right[nodes]])
            trees = np.concatenate([trees, trees])
        return depth

    def feature_importances(self, kind: str = "gain", normalize: bool = False) -> np.ndarray:
        """How much each feature was used, float64 [n_features].

        Parameters
        ----------
        kind : {"gain", "split"}
            Sum of the improvements of a feature's splits, or their number.
        normalize : bool, default False
            Whether to divide by the sum, where it is not 0.

        Raises
        ------
        ArgumentError
            For another kind.
        """
        if kind not in ("gain", "split"):
            raise ArgumentError(f"feature_importances: kind is {kind!r}, expected 'gain' or 'split'")
        self.check()
        inner = self.feature >= 0
        weights = self.gain[inner] if kind == "gain" else None
        sums = np.bincount(self.feature[inner], weights, minlength=self.n_features).astype(np.float64)
        total = sums.sum()
        return sums / total if normalize and total else sums

    def layout(self, dtype: Any) -> Layout:
        """The trees packed for prediction over rows of a float type; made once, see ``_layout.py``."""
        key = np.dtype(dtype)
        found = self._layouts.get(key)
        if found is None:
            self.check()
            found = self._layouts[key] = pack(self, key)
        return found

    def path_tables(self) -> PathTables:
        """What Shapley values need besides the trees; made once, see ``_layout.py``."""
        if self._tables is None:
            self.check()
            self._tables = path_tables(self)
        return self._tables


_FIELDS = frozenset(field.name for field in fields(Trees))
