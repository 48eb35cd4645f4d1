"""Layers and losses over large vocabularies."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.container import ModuleList, Sequential
from einkorn.nn.linear import Linear
from einkorn.nn.loss import _Loss
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.ops._road import as_index

__all__ = ["AdaptiveLogSoftmaxWithLoss", "HierarchicalSoftmax"]


class _Result(NamedTuple):
    """What :class:`AdaptiveLogSoftmaxWithLoss` gives: the targets' log-probabilities, and the loss."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over classes sorted by frequency, the rare ones in narrower clusters (Grave et al. 2017).

    Parameters
    ----------
    in_features, n_classes : int
    cutoffs : sequence of int
        Ascending class numbers at which clusters begin; what is below the first is the head's own.
    div_value : float, default 4.0
        Cluster i has width ``in_features / div_value**(i + 1)``.
    head_bias : bool, default False

    Notes
    -----
    ``forward(input, target)`` gives ``output`` [N], the log-probabilities of the targets, and ``loss``, minus
    their mean. Parameters have torch's names: ``head``, and ``tail`` with two layers a cluster.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = "AdaptiveLogSoftmaxWithLoss"
        ends = list(cutoffs)
        rising = all(a < b for a, b in itertools.pairwise(ends))
        if (
            not ends
            or not rising
            or ends[0] <= 0
            or ends[-1] > n_classes - 1
            or any(int(c) != c for c in ends)
        ):
            raise ArgumentError(
                f"{name}: cutoffs is {cutoffs!r}, expected rising ints from 1 to {n_classes - 1}"
            )
        self.in_features = integer(in_features, name, "in_features")
        self.n_classes = integer(n_classes, name, "n_classes")
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(Linear(in_features, width, bias=False), Linear(width, size, bias=False))
            )
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for module in self.tail.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> _Result:
        t = as_index(target_, "AdaptiveLogSoftmaxWithLoss", "target")
        single = len(input_.shape) == 1
        x = ops.reshape(input_, (1, input_.shape[0])) if single else input_
        t = t.reshape(1) if single and t.ndim == 0 else t
        if len(x.shape) != 2 or t.shape != tuple(x.shape[:1]):
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: target has shape {t.shape} and input {tuple(input_.shape)},"
                " expected (N,) and (N, in_features)"
            )
        if t.size and (t.min() < 0 or t.max() >= self.n_classes):
            raise IndexRangeError(
                f"AdaptiveLogSoftmaxWithLoss: target has classes from {t.min()} to {t.max()}, expected 0 to"
                f" {self.n_classes - 1}"
            )
        cluster = np.searchsorted(self.cutoffs[:-1], t, side="right")  # 0: the shortlist
        in_head = np.where(cluster == 0, t, self.shortlist_size + cluster - 1)
        output = ops.negative(ops.cross_entropy(self.head(x), in_head, reduction="none"))
        parts, places = [], []
        for i in range(self.n_clusters):
            rows = np.flatnonzero(cluster == i + 1)
            if rows.size:
                scores = self.tail[i](ops.embedding(rows, x))
                parts.append(ops.cross_entropy(scores, t[rows] - self.cutoffs[i], reduction="none"))
                places.append(rows)
        if parts:
            # Each row's place among the parts; those of the shortlist take the 0 at the end.
            order = np.full(t.size, sum(len(p) for p in places))
            order[np.concatenate(places)] = np.arange(order[0] if order.size else 0)
            last = np.zeros(1, output.dtype)
            inner = ops.reshape(ops.concatenate((*parts, last), 0), (-1, 1))
            output = ops.subtract(output, ops.reshape(ops.embedding(order, inner), t.shape))
        loss = ops.negative(ops.mean(output))
        return _Result(ops.reshape(output, ()) if single else output, loss)

    def log_prob(self, input: Any) -> Any:
        """Log-probabilities of all classes: [N, n_classes]."""
        head = ops.log_softmax(self.head(input), 1)
        parts = [ops.getitem(head, (slice(None), slice(0, self.shortlist_size)))]
        for i in range(self.n_clusters):
            at = self.shortlist_size + i
            inner = ops.log_softmax(self.tail[i](input), 1)
            parts.append(ops.add(inner, ops.getitem(head, (slice(None), slice(at, at + 1)))))
        return ops.concatenate(tuple(parts), 1)

    def predict(self, input: Any) -> Any:  # type: ignore[override]
        """The most probable class of each row, as an integer array [N]."""
        return ops.argmax(self.log_prob(input), axis=1)


class HierarchicalSoftmax(_Loss):
    """Softmax as a walk down Huffman's tree: a logistic choice at each of about log2(classes) nodes.

    Morin and Bengio 2005; with Huffman's tree, where frequent words are near the root, Mikolov et al. 2013.

    Parameters
    ----------
    in_features : int
    counts : sequence of numbers
        How often each class occurs.
    bias : bool, default False
        A bias for each inner node.
    reduction : "mean", "sum" or "none", keyword-only, default "mean"

    Attributes
    ----------
    weight : Parameter [classes - 1, in_features]
        Of the inner nodes; starts at 0, as word2vec's does.
    nodes, turns : int64 arrays [classes, depth]
        The path to each class, and which way it goes.

    Notes
    -----
    ``forward(input, target)``: input [N, in_features], target [N].
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, counts: Sequence[float], bias: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(None, None, reduction)
        self.in_features = integer(in_features, "HierarchicalSoftmax", "in_features")
        sizes = np.asarray(counts, np.float64)
        if sizes.ndim != 1 or len(sizes) < 2 or not (sizes >= 0).all():
            raise ArgumentError("HierarchicalSoftmax: counts must be two or more numbers of at least 0")
        self.n_classes = len(sizes)
        self.nodes, self.turns = _huffman(sizes)
        self.weight = blank(self.n_classes - 1, self.in_features)
        self.bias = blank(self.n_classes - 1) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All choices even."""
        init.zeros_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _paths(self, target: Any) -> tuple[Any, Any]:
        t = as_index(target, "HierarchicalSoftmax", "target")
        if t.size and (t.min() < 0 or t.max() >= self.n_classes):
            raise IndexRangeError(
                f"HierarchicalSoftmax: target has classes from {t.min()} to {t.max()}, expected 0 to"
                f" {self.n_classes - 1}"
            )
        return self.nodes[t], self.turns[t]

    def forward(self, input: Any, target: Any) -> Any:
        nodes, turns = self._paths(target)
        return ops.hierarchical_softmax_loss(
            input, self.weight, nodes, turns, bias=self.bias, reduction=self.reduction
        )

    def log_prob(self, input: Any) -> Any:
        """Log-probabilities of all classes: [N, n_classes]."""
        columns = [
            ops.reshape(
                ops.negative(
                    ops.hierarchical_softmax_loss(
                        input,
                        self.weight,
                        *self._paths(np.full(input.shape[0], c)),
                        bias=self.bias,
                        reduction="none",
                    )
                ),
                (-1, 1),
            )
            for c in range(self.n_classes)
        ]
        return ops.concatenate(tuple(columns), 1)


def _huffman(counts: Any) -> tuple[Any, Any]:
    """Paths from the root to each class, and the turns on them, 0 beyond their ends."""
    n = len(counts)
    heap = [(float(count), i) for i, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, side = np.zeros(2 * n - 1, np.int64), np.zeros(2 * n - 1, np.int64)
    for node in range(n, 2 * n - 1):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[[left, right]], side[left], side[right] = node, 1, -1
        heapq.heappush(heap, (a + b, node))
    paths = []
    for leaf in range(n):
        path, at = [], leaf
        while at != 2 * n - 2:
            path.append((parent[at] - n, side[at]))
            at = parent[at]
        paths.append(path[::-1])
    depth = max(map(len, paths))
    nodes, turns = np.zeros((n, depth), np.int64), np.zeros((n, depth), np.int64)
    for leaf, path in enumerate(paths):
        nodes[leaf, : len(path)] = [p[0] for p in path]
        turns[leaf, : len(path)] = [p[1] for p in path]
    return nodes, turns
