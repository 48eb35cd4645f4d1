"""Layers that compare two inputs: distances, angles, and a product with learned weights."""

from __future__ import annotations

from typing import Any

from einkorn.nn.module import Module
from einkorn.ops._options import flag, integer, number
from einkorn.ops.distance import cosine_similarity, pairwise_distance

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """The cosine of the angle between two inputs along an axis; see :func:`einkorn.ops.cosine_similarity`.

    Parameters
    ----------
    dim : int, default 1
    eps : float, default 1e-8
        Shorter vectors count as this long.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = integer("CosineSimilarity", "dim", dim)
        self.eps = number("CosineSimilarity", "eps", eps)

    def forward(self, x1: Any, x2: Any) -> Any:
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The distance of two inputs along the last axis; see :func:`einkorn.ops.pairwise_distance`.

    Parameters
    ----------
    p : float, default 2
        Of the norm.
    eps : float, default 1e-6
        Added to each difference.
    keepdim : bool, default False
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = number("PairwiseDistance", "p", p)
        self.eps = number("PairwiseDistance", "eps", eps)
        self.keepdim = flag("PairwiseDistance", "keepdim", keepdim)

    def forward(self, x1: Any, x2: Any) -> Any:
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
