"""Multi-head attention (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import engines, ops
from einkorn._bfloat16 import is_floating
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.linear import Linear
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter, blank
from einkorn.ops._options import number
from einkorn.ops._road import kept_as, unwrap

__all__ = ["MultiheadAttention"]

_OP = "MultiheadAttention"


def _array(mask: Any, name: str) -> Any:
    a = mask._data if isinstance(mask, Tensor) else mask
    if type(a).__module__.partition(".")[0] == "torch":
        a = a.detach().numpy()
    if not hasattr(a, "dtype"):
        raise DTypeError(f"{_OP}: {name} is a {type(mask).__name__}, expected an array or a Tensor")
    return a


def _additive(mask: Any, dtype: Any, name: str) -> Any:
    """A mask as numbers to add to scores: -inf where a boolean one says True."""
    a = _array(mask, name)
    if a.dtype == np.bool_:
        return np.where(a, dtype.type(-math.inf), dtype.type(0))
    if not is_floating(a.dtype):
        raise DTypeError(f"{_OP}: {name} has dtype {a.dtype}, expected bool or {dtype}")
    mask = mask if isinstance(mask, Tensor) else a
    return mask if a.dtype == dtype else ops.cast(mask, dtype)


class _Heads:
    """What attention of several heads computes, on the weights of whatever has them."""

    embed_dim: int
    num_heads: int
    head_dim: int
    kdim: int
    vdim: int
    dropout: float
    training: bool
    batch_first: bool
    add_zero_attn: bool
    in_proj_weight: Any
    in_proj_bias: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    bias_k: Any
    bias_v: Any
    out_proj: Any
    _one_width: bool

    def _attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any,
        need_weights: bool,
        attn_mask: Any,
        average_attn_weights: bool,
        is_causal: bool,
    ) -> tuple[Any, Any]:
        same = query is key and key is value
        arrays = [unwrap(x, _OP, n) for x, n in ((query, "query"), (key, "key"), (value, "value"))]
        rank = arrays[0].ndim
        for a, name, width in zip(
            arrays, ("query", "key", "value"), (self.embed_dim, self.kdim, self.vdim), strict=True
        ):
            if rank not in (2, 3) or a.ndim != rank or a.shape[-1] != width:
                raise ShapeError(
                    f"{_OP}: {name} has shape {a.shape}, expected 2 or 3 dimensions, as many as query's,"
                    f" the last of {width}"
                )
        if rank == 2:
            query, key, value = (
                ops.reshape(x, (1, *a.shape)) for x, a in zip((query, key, value), arrays, strict=True)
            )
        elif not self.batch_first:
            query, key, value = (ops.permute(x, (1, 0, 2)) for x in (query, key, value))
        q_shape, k_shape, v_shape = query.shape, key.shape, value.shape
        if k_shape[:2] != v_shape[:2] or q_shape[0] != k_shape[0]:
            raise ShapeError(
                f"{_OP}: query {arrays[0].shape}, key {arrays[1].shape} and value {arrays[2].shape}"
                " do not fit in batch or length"
            )
        mask, causal = self._mask(q_shape, k_shape, key_padding_mask, attn_mask, is_causal, arrays[0].dtype)
        p = self.dropout if self.training else 0.0
        packed = same and self._one_width and self.bias_k is None and not self.add_zero_attn
        weights = None
        if packed and not need_weights:
            n, length, _ = q_shape
            qkv = ops.linear(query, self.in_proj_weight, self.in_proj_bias)
            qkv = ops.reshape(qkv, (n, length, 3, self.num_heads, self.head_dim))
            heads = ops.packed_self_attention(qkv, mask, p, causal)
            out = ops.reshape(heads, (n, length, self.embed_dim))
        else:
            q, k, v = self._project(query, key, value)
            k, v, mask = self._extend(k, v, mask, q_shape, k_shape)
            if need_weights:
                out, weights = self._explicit(q, k, v, mask, causal, p)
            else:
                out = ops.scaled_dot_product_attention(q, k, v, mask, p, causal)
            out = ops.reshape(ops.permute(out, (0, 2, 1, 3)), (*q_shape[:2], self.embed_dim))
        out = self.out_proj(out)
        if weights is not None and average_attn_weights:
            weights = ops.mean(weights, 1)
        if rank == 2:
            out = ops.reshape(out, out.shape[1:])
            weights = None if weights is None else ops.reshape(weights, weights.shape[1:])
        elif not self.batch_first:
            out = ops.permute(out, (1, 0, 2))
        return out, weights

    def _mask(
        self, q_shape: Any, k_shape: Any, padding: Any, attn_mask: Any, is_causal: bool, dtype: Any
    ) -> tuple[Any, bool]:
        """Both masks as one, broadcasting to (N, heads, L, S); whether the causal one is to be added."""
        n, length, keys = q_shape[0], q_shape[1], k_shape[1]
        total = None
        if attn_mask is not None:
            shape = _array(attn_mask, "attn_mask").shape
            if shape not in ((length, keys), (n * self.num_heads, length, keys)):
                raise ShapeError(
                    f"{_OP}: attn_mask has shape {shape}, expected {(length, keys)} or"
                    f" {(n * self.num_heads, length, keys)}"
                )
            total = _additive(attn_mask, dtype, "attn_mask")
            if len(shape) == 3:
                total = ops.reshape(total, (n, self.num_heads, length, keys))
        if padding is not None:
            shape = _array(padding, "key_padding_mask").shape
            if shape != (n, keys) and not (n == 1 and shape == (keys,)):
                raise ShapeError(f"{_OP}: key_padding_mask has shape {shape}, expected {(n, keys)}")
            ignored = ops.reshape(_additive(padding, dtype, "key_padding_mask"), (n, 1, 1, keys))
            total = ignored if total is None else ops.add(total, ignored)
        return total, is_causal and attn_mask is None

    def _project(self, query: Any, key: Any, value: Any) -> list[Any]:
        """Queries, keys and values, (N, heads, length, head_dim) each."""
        width = self.embed_dim
        parts = []
        for i, x in enumerate((query, key, value)):
            rows = slice(i * width, (i + 1) * width)
            own = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[i]
            weight = ops.getitem(self.in_proj_weight, rows) if own is None else own
            bias = None if self.in_proj_bias is None else ops.getitem(self.in_proj_bias, rows)
            y = ops.linear(x, weight, bias)
            y = ops.reshape(y, (*y.shape[:2], self.num_heads, self.head_dim))
            parts.append(ops.permute(y, (0, 2, 1, 3)))
        return parts

    def _extend(self, k: Any, v: Any, mask: Any, q_shape: Any, k_shape: Any) -> tuple[Any, Any, Any]:
        """The learned key and value, and those of zeros, at the end; no mask hides them."""
        n, heads, d = q_shape[0], self.num_heads, self.head_dim
        added = 0
        if self.bias_k is not None and self.bias_v is not None:
            extra = (
                ops.broadcast_to(ops.reshape(b, (1, heads, 1, d)), (n, heads, 1, d))
                for b in (self.bias_k, self.bias_v)
            )
            k, v = (ops.concatenate([x, e], 2) for x, e in zip((k, v), extra, strict=True))
            added += 1
        if self.add_zero_attn:
            a = unwrap(k, _OP, "key")
            zeros = engines.of(a).empty((n, heads, 1, d), a.dtype)
            engines.of(a).fill(zeros, 0.0)
            zeros = kept_as(k, zeros)
            k, v = (ops.concatenate([x, zeros], 2) for x in (k, v))
            added += 1
        if mask is not None and added:
            mask = ops.pad(mask, (0, added))
        return k, v, mask

    def _explicit(self, q: Any, k: Any, v: Any, mask: Any, causal: bool, p: float) -> tuple[Any, Any]:
        """The same with the weights stored, because they are wanted."""
        scores = ops.matmul(ops.multiply(q, 1 / math.sqrt(self.head_dim)), ops.permute(k, (0, 1, 3, 2)))
        if mask is not None:
            scores = ops.add(scores, mask)
        if causal:
            length, keys = scores.shape[-2:]
            later = np.triu(np.ones((length, keys), bool), 1)
            scores = ops.add(scores, _additive(later, scores.dtype, "attn_mask"))
        weights = ops.softmax(scores, -1)
        if weights.dtype != v.dtype:  # bfloat16 and a mask of float32
            weights = ops.cast(weights, v.dtype)
        weights = ops.dropout(weights, p)
        return ops.matmul(weights, v), weights


class Given(_Heads):
    """Attention with weights that are given, for :mod:`einkorn.nn.functional`."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def out_proj(self, x: Any) -> Any:
        return ops.linear(x, self.out_weight, self.out_bias)

    out_weight: Any
    out_bias: Any


class MultiheadAttention(_Heads, Module):
    """Attention of several heads, each on a projection of its own of queries, keys and values.

    ``softmax(q k' / sqrt(d)) v`` for each head; the heads side by side go through ``out_proj``.

    Parameters
    ----------
    embed_dim : int
        Width of queries and of the result; each head has ``embed_dim / num_heads`` of it.
    num_heads : int
    dropout : float, default 0.0
        Probability with which an attention weight is zeroed while training.
    bias : bool, default True
    add_bias_kv : bool, default False
        A learned key and value are added at the end of every sequence.
    add_zero_attn : bool, default False
        A key and value of zeros are added at the end of every sequence.
    kdim, vdim : int, optional
        Widths of keys and values; default ``embed_dim``.
    batch_first : bool, default False
        Whether batches come first: (batch, length, width), not (length, batch, width).

    Attributes
    ----------
    in_proj_weight : Parameter [3 embed_dim, embed_dim]
        Where keys and values are as wide; else ``q_proj_weight``, ``k_proj_weight``, ``v_proj_weight``.
    in_proj_bias : Parameter [3 embed_dim] or None
    out_proj : Linear
    bias_k, bias_v : Parameter [1, 1, embed_dim] or None

    Raises
    ------
    ArgumentError
        Unless num_heads divides embed_dim and dropout is a probability.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.embed_dim = integer(embed_dim, _OP, "embed_dim")
        self.num_heads = integer(num_heads, _OP, "num_heads")
        if self.embed_dim % self.num_heads:
            raise ArgumentError(
                f"{_OP}: embed_dim is {embed_dim}, expected a multiple of num_heads {num_heads}"
            )
        if not 0 <= number(_OP, "dropout", dropout) <= 1:
            raise ArgumentError(f"{_OP}: dropout is {dropout!r}, expected a probability from 0 to 1")
        self.dropout = dropout
        self.batch_first = batch_first
        self.kdim = self.embed_dim if kdim is None else integer(kdim, _OP, "kdim")
        self.vdim = self.embed_dim if vdim is None else integer(vdim, _OP, "vdim")
        self.head_dim = self.embed_dim // self.num_heads
        self.add_zero_attn = add_zero_attn
        self._one_width = self.kdim == self.vdim == self.embed_dim
        width = self.embed_dim
        if self._one_width:
            self.in_proj_weight = blank(3 * width, width)
            self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        else:
            self.q_proj_weight = blank(width, width)
            self.k_proj_weight = blank(width, self.kdim)
            self.v_proj_weight = blank(width, self.vdim)
            self.in_proj_weight = None
        self.in_proj_bias = blank(3 * width) if bias else None
        self.out_proj = Linear(width, width, bias=bias)
        self.bias_k = blank(1, 1, width) if add_bias_kv else None
        self.bias_v = blank(1, 1, width) if add_bias_kv else None
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values, as torch does."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Attend.

        Parameters
        ----------
        query : array or Tensor, shape (L, N, embed_dim)
            With batch_first (N, L, embed_dim); without batches (L, embed_dim).
        key : of width kdim, length S
        value : of width vdim, length S
        key_padding_mask : shape (N, S) or (S,), optional
            Booleans: True where a key is to be ignored. Numbers are added to the scores.
        need_weights : bool, default True
            Return the weights too, which then have to be stored. False is faster.
        attn_mask : shape (L, S) or (N num_heads, L, S), optional
            Booleans: True where a query may *not* see a key. Numbers are added to the scores.
        average_attn_weights : bool, default True
            The mean of the heads' weights instead of each.
        is_causal : bool, default False
            Query i sees keys 0 to i. With ``attn_mask`` it is only a hint that the mask says so.

        Returns
        -------
        out : as query
        weights : (N, L, S), or (N, num_heads, L, S) unaveraged, or None; without N where query has none.

        Raises
        ------
        ShapeError, DTypeError
            If operands or masks do not fit.
        """
        return self._attend(
            query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
        )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"
