"""Trees as arrays: what every estimator here grows, saves, plots and predicts with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Trees"]


@dataclass
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
