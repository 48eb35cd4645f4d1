"""Attention."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from einkorn import nn, ops
from einkorn.errors import ArgumentError
from einkorn.keras._base import Layer, initial, refuse
from einkorn.keras._rules import give_rule, turned
from einkorn.keras._variables import Place
from einkorn.keras.layers._weighted import rules_of
from einkorn.nn import functional

__all__ = ["AdditiveAttention", "Attention", "MultiHeadAttention"]


class OfQueries(Layer):
    """A layer that is built for the shapes of a query, a value and a key."""

    def _build(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        query, *rest = args
        value = rest[0] if rest else named["value"]
        key = rest[1] if len(rest) > 1 and rest[1] is not None else named.get("key")
        self.build(query.shape, value.shape, (value if key is None else key).shape)
        self._end_of_build()


class MultiHeadAttention(OfQueries):
    """Attention of several heads (Vaswani et al. 2017).

    Parameters
    ----------
    num_heads, key_dim : int
        How many heads there are, and how long queries and keys of one are.
    value_dim : int, default key_dim
    dropout : float, default 0
        Of the attention weights.
    use_bias : bool, default True
    output_shape : int, optional
        The last axis' length; by default that of the query.
    kernel_initializer, bias_initializer : default "glorot_uniform" and "zeros"
    """

    supports_masking = True
    _integers = False

    def __init__(
        self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0,
        use_bias: bool = True, output_shape: Any = None, attention_axes: Any = None,
        sliding_window: Any = None, flash_attention: Any = None, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        use_gate: bool = False, seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **options)
        refuse("MultiHeadAttention", sliding_window=sliding_window, use_gate=use_gate)
        if attention_axes not in (None, 1, (1,), [1]):
            raise ArgumentError(f"MultiHeadAttention: attention_axes is {attention_axes!r}, expected None")
        for name, size in (("num_heads", num_heads), ("key_dim", key_dim)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ArgumentError(f"MultiHeadAttention: {name} is {size!r}, expected an integer >= 1")
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim or key_dim
        self.dropout, self.use_bias, self.width = float(dropout), use_bias, output_shape
        self.rules = rules_of(
            "MultiHeadAttention", kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Make the four products for inputs of these shapes."""
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        width = query_shape[-1] if self.width is None else self.width
        width = width if isinstance(width, int) else int(width[-1])
        heads, key_dim, value_dim = self.num_heads, self.key_dim, self.value_dim
        self.query_dense = self._product(query_shape[-1], (heads, key_dim))
        self.key_dense = self._product(key_shape[-1], (heads, key_dim))
        self.value_dense = self._product(value_shape[-1], (heads, value_dim))
        self.output_dense = self._product((heads, value_dim), width)
        self.built = True

    def _product(self, inputs: Any, outputs: Any) -> Any:
        """One of them, with the values Keras' initializers give its kernel of three axes."""
        size_in, size_out = int(np.prod(inputs)), int(np.prod(outputs))
        layer = nn.Linear(size_in, size_out, self.use_bias)
        shape = (*np.atleast_1d(inputs).tolist(), *np.atleast_1d(outputs).tolist())
        layer.weight._data[...] = (
            initial(self.rules["kernel_initializer"], shape).reshape(size_in, size_out).T
        )
        if layer.bias is not None:
            layer.bias._data[...] = initial(self.rules["bias_initializer"], (size_out,))
        last = isinstance(inputs, tuple)
        turns = _Heads(*(inputs if last else outputs))
        for kind in ("regularizer", "constraint"):
            kernel = self.rules[f"kernel_{kind}"]
            if last:
                give_rule(layer, kind, "weight", turned(kernel, turns.of_output, turns.to_output))
            else:
                give_rule(layer, kind, "weight", turned(kernel, turns.of_kernel, turns.to_kernel))
            if layer.bias is not None:
                bias = self.rules[f"bias_{kind}"]
                give_rule(layer, kind, "bias", bias if last else turned(bias, turns.of_bias, turns.to_bias))
        return layer

    def _keras_places(self) -> list[Place] | None:
        if not self.built:
            return []
        found: list[Place] = []
        heads = self.num_heads
        for part, size in (("query", self.key_dim), ("key", self.key_dim), ("value", self.value_dim)):
            layer = getattr(self, f"{part}_dense")
            turns = _Heads(heads, size)
            found.append(Place(f"{part}/kernel", layer, "weight", turns.of_kernel, turns.to_kernel))
            found.append(Place(f"{part}/bias", layer, "bias", turns.of_bias, turns.to_bias))
        last = _Heads(heads, self.value_dim)
        layer = self.output_dense
        return [
            *found,
            Place("attention_output/kernel", layer, "weight", last.of_output, last.to_output),
            Place("attention_output/bias", layer, "bias"),
        ]

    def call(
        self, query: Any, value: Any, key: Any = None, query_mask: Any = None, value_mask: Any = None,
        key_mask: Any = None, attention_mask: Any = None, return_attention_scores: bool = False,
        training: bool = False, use_causal_mask: bool = False, mask: Any = None,
    ) -> Any:  # fmt: skip
        from einkorn.keras._masks import mask_of

        key = value if key is None else key
        query_mask = mask if query_mask is None else query_mask
        value_mask = mask_of(value) if value_mask is None else value_mask
        key_mask = (mask_of(key) if key is not value else None) if key_mask is None else key_mask
        heads, rows = self.num_heads, query.shape[0]
        q, k, v = (
            ops.permute(layer(x).reshape(rows, x.shape[1], heads, -1), (0, 2, 1, 3))
            for layer, x in ((self.query_dense, query), (self.key_dense, key), (self.value_dense, value))
        )
        allowed = self._allowed(query_mask, value_mask, key_mask, attention_mask)
        scores = None
        p = self.dropout if training else 0.0
        if return_attention_scores or allowed is not None:
            if use_causal_mask:
                causal = np.tri(query.shape[1], key.shape[1], dtype=bool)
                allowed = causal if allowed is None else allowed & causal
            products = ops.multiply(ops.matmul(q, ops.swapaxes(k, 2, 3)), 1 / math.sqrt(self.key_dim))
            if allowed is not None:
                far = np.where(allowed, 0.0, -1e9).astype(np.float32)
                products = ops.add(products, far)
            scores = functional.softmax(products, -1)
            out = ops.matmul(functional.dropout(scores, p, True) if p else scores, v)
        else:
            out = ops.scaled_dot_product_attention(q, k, v, None, p, use_causal_mask)
        joined = ops.permute(out, (0, 2, 1, 3)).reshape(rows, query.shape[1], heads * self.value_dim)
        result = self.output_dense(joined)
        return (result, scores) if return_attention_scores else result

    def _allowed(self, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any) -> Any:
        """Which keys a query may see, [rows, 1, queries, keys]."""
        found = None
        for mask, place in (
            (query_mask, (slice(None), None, slice(None), None)),
            (value_mask, (slice(None), None, None)),
            (key_mask, (slice(None), None, None)),
            (attention_mask, (slice(None), None)),
        ):
            if mask is not None:
                array = np.asarray(getattr(mask, "data", mask) if hasattr(mask, "backward") else mask, bool)
                one = array if mask is attention_mask and array.ndim == 4 else array[place]
                if mask is attention_mask and array.ndim == 2:
                    one = array[None, None]
                found = one if found is None else found & one
        return found


class _Heads(NamedTuple):
    """Kernels of products as Keras has them, with an axis of heads."""

    heads: int
    size: int

    def of_kernel(self, array: np.ndarray) -> np.ndarray:
        return array.T.reshape(-1, self.heads, self.size)

    def to_kernel(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(len(array), -1).T

    def of_bias(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self.heads, self.size)

    def to_bias(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1)

    def of_output(self, array: np.ndarray) -> np.ndarray:
        return array.T.reshape(self.heads, self.size, -1)

    def to_output(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self.heads * self.size, -1).T


class _Scored(Layer):
    """Attention of a list [query, value] or [query, value, key]."""

    supports_masking = True
    _integers = False

    def _scores(self, query: Any, key: Any) -> Any:
        raise TypeError(f"{type(self).__name__} defines no _scores()")

    def call(
        self, inputs: Any, mask: Any = None, training: bool = False, return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            raise ArgumentError(f"{type(self).__name__}: expected a list of query, value and perhaps key")
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) == 3 else value
        products = self._scores(query, key)
        masks = list(mask) if isinstance(mask, (list, tuple)) else [mask]
        allowed = None
        if len(masks) > 1 and masks[1] is not None:
            allowed = np.asarray(masks[1], bool)[:, None]
        if use_causal_mask:
            causal = np.tri(query.shape[1], key.shape[1], dtype=bool)[None]
            allowed = causal if allowed is None else allowed & causal
        if allowed is not None:
            products = ops.subtract(products, np.where(allowed, 0.0, 1e9).astype(np.float32))
        weights = functional.softmax(products, -1)
        if training and self.dropout:
            weights = functional.dropout(weights, self.dropout, True)
        out = ops.matmul(weights, value)
        if masks[0] is not None:
            out = ops.multiply(out, np.asarray(masks[0], np.float32)[..., None])
        return (out, weights) if return_attention_scores else out

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the query."""
        return previous_mask[0] if isinstance(previous_mask, list) else None


class Attention(_Scored):
    """Attention whose scores are products of query and key (Luong et al. 2015).

    Parameters
    ----------
    use_scale : bool, default False
        Whether scores have a factor that is learned.
    score_mode : "dot" or "concat", default "dot"
        "concat" is v tanh(scale (query + key)).
    dropout : float, default 0
    """

    def __init__(
        self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, seed: int | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        if score_mode not in ("dot", "concat"):
            raise ArgumentError(f"Attention: score_mode is {score_mode!r}, expected 'dot' or 'concat'")
        self.use_scale, self.score_mode, self.dropout = use_scale, score_mode, float(dropout)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, 1, 2))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        sums = ops.add(ops.expand_dims(query, 2), ops.expand_dims(key, 1))
        scaled = sums if self.scale is None else ops.multiply(sums, self.scale)
        return ops.multiply(ops.sum(ops.tanh(scaled), axis=-1), self.concat_score_weight)


class AdditiveAttention(_Scored):
    """Attention whose scores are sums of tanh(query + key) (Bahdanau et al. 2014).

    Parameters
    ----------
    use_scale : bool, default True
        Whether each element of the sum has a factor that is learned.
    dropout : float, default 0
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.use_scale, self.dropout = use_scale, float(dropout)

    def build(self, input_shape: Any) -> None:
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _scores(self, query: Any, key: Any) -> Any:
        sums = ops.tanh(ops.add(ops.expand_dims(query, 2), ops.expand_dims(key, 1)))
        return ops.sum(sums if self.scale is None else ops.multiply(sums, self.scale), axis=-1)
