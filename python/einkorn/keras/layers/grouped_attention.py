"""Attention whose queries share keys and values in groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.keras._masks import mask_of
from einkorn.keras.layers.attention import OfQueries
from einkorn.keras.layers.core import EinsumDense
from einkorn.nn import functional

__all__ = ["GroupQueryAttention"]


class GroupQueryAttention(OfQueries):
    """Attention of several heads, of which groups have one key and value (Ainslie et al. 2023).

    Parameters
    ----------
    head_dim : int
        How long queries, keys and values of one head are.
    num_query_heads, num_key_value_heads : int
        How many there are; the second divides the first.
    dropout : float, default 0
        Of the attention weights.
    use_bias : bool, default True
    sliding_window : int, optional
        A step sees those less than so many steps before and behind it.
    flash_attention : ignored
    kernel_initializer, bias_initializer, ... : as :class:`EinsumDense`
    use_gate : bool, default False
        Whether outputs are multiplied by a sigmoid of the query's input.
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, head_dim: int, num_query_heads: int, num_key_value_heads: int, dropout: float = 0.0,
        use_bias: bool = True, sliding_window: int | None = None, flash_attention: Any = None,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, use_gate: bool = False,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **options)
        sizes = {
            "head_dim": head_dim,
            "num_query_heads": num_query_heads,
            "num_key_value_heads": num_key_value_heads,
        }
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ArgumentError(f"GroupQueryAttention: {name} is {size!r}, expected an integer >= 1")
        if num_query_heads % num_key_value_heads:
            raise ArgumentError(
                f"GroupQueryAttention: num_key_value_heads is {num_key_value_heads}, expected a divisor of "
                f"{num_query_heads}"
            )
        self.head_dim, self.num_query_heads = head_dim, num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.dropout, self.use_bias, self.use_gate = float(dropout), use_bias, use_gate
        self.sliding_window = sliding_window
        self.__dict__["_rules"] = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip

    def _product(
        self, equation: str, shape: tuple[Any, ...], axes: str, name: str, inputs: Any, **more: Any
    ) -> Any:
        layer = EinsumDense(
            equation, shape, bias_axes=axes if self.use_bias else None, name=name, dtype=self.dtype,
            **self._rules, **more,
        )  # fmt: skip
        layer.build(tuple(inputs))
        layer._end_of_build()
        return layer

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Make the products for inputs of these shapes."""
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        queries, keys = (
            (None, self.num_query_heads, self.head_dim),
            (None, self.num_key_value_heads, self.head_dim),
        )
        self.query_dense = self._product("bqm,muh->bquh", queries, "uh", "query", query_shape)
        self.key_dense = self._product("bkm,mvh->bkvh", keys, "vh", "key", key_shape)
        if self.use_gate:
            self.gate_dense = self._product(
                "bqm,muh->bquh", queries, "uh", "gate", query_shape, activation="sigmoid"
            )
        self.value_dense = self._product("bkm,mvh->bkvh", keys, "vh", "value", value_shape)
        self.output_dense = self._product(
            "bquh,uhm->bqm", (None, query_shape[-1]), "m", "attention_output",
            (None, None, self.num_query_heads, self.head_dim),
        )  # fmt: skip
        self.built = True

    def call(
        self, query: Any, value: Any, key: Any = None, query_mask: Any = None, value_mask: Any = None,
        key_mask: Any = None, attention_mask: Any = None, return_attention_scores: bool = False,
        training: bool = False, use_causal_mask: bool = False, mask: Any = None,
    ) -> Any:  # fmt: skip
        own_key = key is not None and key is not value
        key = value if key is None else key
        masks = (
            mask if query_mask is None else query_mask,
            mask_of(value) if value_mask is None else value_mask,
            (mask_of(key) if own_key else None) if key_mask is None else key_mask,
        )
        allowed = self._allowed(query.shape[1], key.shape[1], masks, attention_mask, use_causal_mask)
        gate = self.gate_dense(query) if self.use_gate else None
        q, k, v = (
            ops.permute(layer(x), (0, 2, 1, 3))
            for layer, x in ((self.query_dense, query), (self.key_dense, key), (self.value_dense, value))
        )
        p = self.dropout if training else 0.0
        scores = None
        if return_attention_scores:
            times = self.num_query_heads // self.num_key_value_heads
            k, v = (ops.repeat_interleave(x, times, 1) for x in (k, v))
            products = ops.multiply(ops.matmul(q, ops.swapaxes(k, 2, 3)), 1 / math.sqrt(self.head_dim))
            if allowed is not None:
                products = ops.add(products, np.where(allowed, 0.0, -1e9).astype(np.float32))
            scores = functional.softmax(products, -1)
            out = ops.matmul(functional.dropout(scores, p, True) if p else scores, v)
        else:
            out = ops.scaled_dot_product_attention(q, k, v, allowed, p, False, None, True)
        joined = ops.permute(out, (0, 2, 1, 3))
        result = self.output_dense(joined if gate is None else ops.multiply(joined, gate))
        return (result, scores) if return_attention_scores else result

    def _allowed(self, queries: int, keys: int, masks: Any, attention_mask: Any, causal: bool) -> Any:
        """Which keys a query may see, [rows, heads, queries, keys]; None for all."""
        found: list[np.ndarray] = []
        for one, place in zip(masks, ((..., None), (None, slice(None)), (None, slice(None))), strict=True):
            if one is not None:
                array = np.asarray(getattr(one, "_data", one), bool)
                found.append(array[:, None, :, None] if place[0] is Ellipsis else array[:, None, None, :])
        if attention_mask is not None:
            array = np.asarray(getattr(attention_mask, "_data", attention_mask), bool)
            found.append(
                array if array.ndim == 4 else array[:, None] if array.ndim == 3 else array[None, None]
            )
        if causal:
            found.append(np.tri(queries, keys, dtype=bool)[None, None])
        if self.sliding_window is not None:
            far = np.abs(np.arange(queries)[:, None] - np.arange(keys))
            found.append((far < self.sliding_window)[None, None])
        whole: Any = None
        for one in found:
            whole = one if whole is None else whole & one
        return whole
