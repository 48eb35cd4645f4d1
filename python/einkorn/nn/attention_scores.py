"""Attention of sequence-to-sequence models: scores of queries against the states of an encoder.

All give ``(context, weights)``: ``weights = softmax(scores)`` over the keys that are not masked, and
``context = weights @ values``. They differ in the score of a query q against a key k.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import DTypeError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.linear import Linear
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank

__all__ = ["AdditiveAttention", "ConcatAttention", "DotAttention", "GeneralAttention", "LocationAttention"]


class _Scores(Module, ABC):
    """What all of them share: shapes, the mask and the weighted sum."""

    def forward(
        self, query: Any, keys: Any, values: Any = None, mask: Any = None, **state: Any
    ) -> tuple[Any, Any]:
        name = type(self).__name__
        values = keys if values is None else values
        single = len(query.shape) == 2
        q = ops.reshape(query, (query.shape[0], 1, query.shape[1])) if single else query
        shapes = tuple(q.shape), tuple(keys.shape), tuple(values.shape)
        if any(len(shape) != 3 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
            raise ShapeError(
                f"{name}: query, keys and values have shapes {shapes}, expected (N, width) or (N, queries,"
                " width), (N, length, width) and (N, length, width)"
            )
        if shapes[1][1] != shapes[2][1]:
            raise ShapeError(f"{name}: values has {shapes[2][1]} rows, expected {shapes[1][1]} as keys has")
        scores = self._scores(q, keys, **state)
        if mask is not None:
            scores = ops.add(scores, _shut_out(name, mask, scores))
        weights = ops.softmax(scores, -1)
        context = ops.matmul(weights, values)
        if single:
            context = ops.reshape(context, (shapes[0][0], shapes[2][2]))
            weights = ops.reshape(weights, (shapes[0][0], shapes[1][1]))
        return context, weights

    @abstractmethod
    def _scores(self, query: Any, keys: Any, **state: Any) -> Any:
        """Scores [N, queries, length]."""


def _shut_out(name: str, mask: Any, scores: Any) -> Any:
    """The least number where a key is masked, 0 elsewhere, of a shape that broadcasts to the scores'."""
    array = np.asarray(mask.numpy() if hasattr(mask, "numpy") else mask)
    if array.dtype != bool:
        raise DTypeError(f"{name}: mask has dtype {array.dtype}, expected bool: True where a key counts")
    n, queries, length = scores.shape
    if array.shape == (n, length):
        array = array[:, None]
    elif array.shape not in ((n, queries, length), (n, 1, length)):
        raise ShapeError(
            f"{name}: mask has shape {array.shape}, expected {(n, length)} or {(n, queries, length)}"
        )
    return np.where(array, 0, np.finfo(scores.dtype).min / 2).astype(scores.dtype)


class AdditiveAttention(_Scores):
    """``v . tanh(W q + U k)`` (Bahdanau et al. 2015).

    Parameters
    ----------
    query_size, key_size, hidden_size : int
    bias : bool, default True
        A bias within the tanh.

    Attributes
    ----------
    query : Linear
        W, without bias.
    key : Linear
        U, with it.
    v : Parameter [hidden_size]

    Notes
    -----
    ``forward(query, keys, values=None, mask=None)``: query [N, query_size] or [N, queries, query_size], keys
    [N, length, key_size], values [N, length, width], by default the keys; mask booleans [N, length] or
    [N, queries, length], True where a key counts. Where none counts, the weights are those without a mask.
    Returns the context, [N, width] or [N, queries, width], and the weights.
    """

    v: Parameter

    def __init__(self, query_size: int, key_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        hidden_size = integer(hidden_size, type(self).__name__, "hidden_size")
        self.query = Linear(query_size, hidden_size, bias=False)
        self.key = Linear(key_size, hidden_size, bias=bias)
        self.v = blank(hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform on +-1/sqrt(size)."""
        self.query.reset_parameters()
        self.key.reset_parameters()
        bound = 1 / math.sqrt(self.v.shape[0])
        init.uniform_(self.v, -bound, bound)

    def _scores(self, query: Any, keys: Any, **state: Any) -> Any:
        known = state.get("projected")
        known = self.of_keys(keys) if known is None else known
        return self._score_sums(ops.add(_each_query(self.query(query)), _each_key(known)))

    def of_keys(self, keys: Any) -> Any:
        """``U k``: given as ``projected=`` it is not computed again for the same keys."""
        return self.key(keys)

    def _score_sums(self, sums: Any) -> Any:
        return ops.matmul(ops.tanh(sums), self.v)


def _each_query(x: Any) -> Any:
    """[N, queries, 1, width]."""
    n, queries, width = x.shape
    return ops.reshape(x, (n, queries, 1, width))


def _each_key(x: Any) -> Any:
    """[N, 1, length, width]."""
    n, length, width = x.shape
    return ops.reshape(x, (n, 1, length, width))


class ConcatAttention(AdditiveAttention):
    """``v . tanh(W [q; k])``, Luong's name for :class:`AdditiveAttention` without a bias (Luong et al. 2015).

    Parameters
    ----------
    query_size, key_size, hidden_size : int
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__(query_size, key_size, hidden_size, bias=False)


class DotAttention(_Scores):
    """``q . k``, of one width (Luong et al. 2015).

    Parameters
    ----------
    scaled : bool, default False
        Divide by the root of the width (Vaswani et al. 2017).

    Notes
    -----
    Called as :class:`AdditiveAttention`.
    """

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.scaled = scaled

    def _scores(self, query: Any, keys: Any, **state: Any) -> Any:
        if query.shape[2] != keys.shape[2]:
            raise ShapeError(
                f"DotAttention: query has width {query.shape[2]} and keys {keys.shape[2]}, expected one width"
            )
        scores = ops.matmul(query, ops.transpose(keys, 1, 2))
        return ops.divide(scores, math.sqrt(query.shape[2])) if self.scaled else scores


class GeneralAttention(_Scores):
    """``q . W k`` (Luong et al. 2015).

    Parameters
    ----------
    query_size, key_size : int

    Attributes
    ----------
    weight : Linear
        W, from keys to the query's width.

    Notes
    -----
    Called as :class:`AdditiveAttention`.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.weight = Linear(key_size, query_size, bias=False)

    def _scores(self, query: Any, keys: Any, **state: Any) -> Any:
        known = state.get("projected")
        return ops.matmul(query, ops.transpose(self.of_keys(keys) if known is None else known, 1, 2))

    def of_keys(self, keys: Any) -> Any:
        """``W k``: given as ``projected=`` it is not computed again for the same keys."""
        return self.weight(keys)


class LocationAttention(AdditiveAttention):
    """``v . tanh(W q + U k + F f)``, f a convolution of the last step's weights (Chorowski et al. 2015).

    Parameters
    ----------
    query_size, key_size, hidden_size : int
    channels : int, default 32
        Filters of the convolution.
    kernel_size : int, odd, default 31
        Their length.
    bias : bool, default True

    Notes
    -----
    ``forward(query, keys, values=None, mask=None, previous=None)`` as :class:`AdditiveAttention`, for one
    query a sequence, [N, query_size]. ``previous`` are the weights [N, length] of the step before, or their
    sum so far; None at the first: the same for all keys.
    """

    filters: Parameter

    def __init__(
        self,
        query_size: int,
        key_size: int,
        hidden_size: int,
        channels: int = 32,
        kernel_size: int = 31,
        bias: bool = True,
    ) -> None:
        super().__init__(query_size, key_size, hidden_size, bias)
        name = "LocationAttention"
        if integer(kernel_size, name, "kernel_size") % 2 == 0:
            raise ShapeError(f"{name}: kernel_size is {kernel_size}, expected an odd number")
        self.filters = blank(integer(channels, name, "channels"), 1, kernel_size)
        init.kaiming_uniform_(self.filters, a=math.sqrt(5))
        self.location = Linear(channels, hidden_size, bias=False)

    def _scores(self, query: Any, keys: Any, previous: Any = None, **state: Any) -> Any:
        n, queries, _ = query.shape
        length = keys.shape[1]
        if queries != 1:
            raise ShapeError(f"LocationAttention: query has {queries} rows a sequence, expected one")
        if previous is None:
            previous = np.full((n, length), 1 / max(length, 1), keys.dtype)
        if tuple(previous.shape) != (n, length):
            raise ShapeError(
                f"LocationAttention: previous has shape {tuple(previous.shape)}, expected {(n, length)}"
            )
        padding = self.filters.shape[2] // 2
        found = ops.conv1d(ops.reshape(previous, (n, 1, length)), self.filters, padding=padding)
        where = _each_key(self.location(ops.transpose(found, 1, 2)))
        sums = ops.add(_each_query(self.query(query)), _each_key(self.key(keys)))
        return self._score_sums(ops.add(sums, where))
