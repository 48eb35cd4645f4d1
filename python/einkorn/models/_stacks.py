"""Blocks of encoders and decoders that several models share: attention and two linear layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._heads import apart, together
from einkorn.models._inputs import check_sizes
from einkorn.nn import Dropout, LayerNorm, Linear, Module
from einkorn.seq.cache import Cache
from einkorn.seq.memory import Memory

__all__ = ["ACTIVATIONS", "Attention", "DecoderLayer", "EncoderLayer", "activation_of", "width_of_head"]

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: ops.relu(x),
    "gelu": lambda x: ops.gelu(x),
    "gelu_new": lambda x: ops.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * ops.sigmoid(1.702 * x),
    "silu": lambda x: ops.silu(x),
    "swish": lambda x: ops.silu(x),
}


def activation_of(op: str, name: str) -> Callable[[Any], Any]:
    if name not in ACTIVATIONS:
        raise ArgumentError(f"{op}: activation is {name!r}, expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def width_of_head(op: str, width: int, heads: int, names: tuple[str, str]) -> int:
    check_sizes(op, **dict(zip(names, (width, heads), strict=True)))
    if width % heads:
        raise ArgumentError(f"{op}: {names[0]} is {width}, expected a multiple of {names[1]} {heads}")
    return width // heads


class Attention(Module):
    """Queries, keys and values of several heads, of the own sequence or of what an encoder said."""

    def __init__(self, width: int, heads: int, dropout: float, key_bias: bool = True) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.k_proj = Linear(width, width, key_bias)
        self.v_proj = Linear(width, width)
        self.q_proj = Linear(width, width)
        self.out_proj = Linear(width, width)

    def forward(
        self, x: Any, mask: Any = None, causal: bool = False, cache: Cache | None = None, layer: int = 0
    ) -> Any:
        q, (k, v) = apart(self.q_proj(x), self.heads), self._keys(x)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        causal = causal and q.shape[2] > 1
        out = ops.scaled_dot_product_attention(q, k, v, mask, self._p, causal, alignment="lower right")
        return self.out_proj(together(out))

    def across(self, x: Any, memory: Memory, layer: int) -> Any:
        q = apart(self.q_proj(x), self.heads)
        return self.out_proj(together(memory.attend(layer, q, self._keys, self._p, None)))

    @property
    def _p(self) -> float:
        return self.dropout if self.training else 0.0

    def _keys(self, x: Any) -> tuple[Any, Any]:
        return apart(self.k_proj(x), self.heads), apart(self.v_proj(x), self.heads)


class _Layer(Module):
    """The part with two linear layers, and sums with what goes around."""

    def __init__(
        self, op: str, width: int, inner: int, dropout: tuple[float, float, float], activation: str, pre: bool
    ) -> None:
        super().__init__()
        self._pre, self._activate = pre, activation_of(op, activation)
        self.dropout, self.activation_dropout = Dropout(dropout[0]), Dropout(dropout[2])
        self.fc1, self.fc2 = Linear(width, inner), Linear(inner, width)
        self.final_layer_norm = LayerNorm(width)

    def _around(self, x: Any, norm: Any, part: Callable[[Any], Any]) -> Any:
        """``x + part(norm(x))``, or ``norm(x + part(x))`` where norms come behind."""
        if self._pre:
            return x + self.dropout(part(norm(x)))
        h = self.dropout(part(x))
        return ops.add_layer_norm(x, h, norm.normalized_shape, norm.weight, norm.bias, norm.eps)[1]

    def _linear(self, x: Any) -> Any:
        return self.fc2(self.activation_dropout(self._activate(self.fc1(x))))


class EncoderLayer(_Layer):
    def __init__(
        self,
        op: str,
        width: int,
        heads: int,
        inner: int,
        dropout: tuple[float, float, float],
        activation: str,
        pre: bool,
        key_bias: bool = True,
    ) -> None:
        super().__init__(op, width, inner, dropout, activation, pre)
        self.self_attn = Attention(width, heads, dropout[1], key_bias)
        self.self_attn_layer_norm = LayerNorm(width)

    def forward(self, x: Any, mask: Any) -> Any:
        x = self._around(x, self.self_attn_layer_norm, lambda h: self.self_attn(h, mask))
        return self._around(x, self.final_layer_norm, self._linear)


class DecoderLayer(EncoderLayer):
    def __init__(
        self,
        op: str,
        width: int,
        heads: int,
        inner: int,
        dropout: tuple[float, float, float],
        activation: str,
        pre: bool,
        key_bias: bool = True,
    ) -> None:
        super().__init__(op, width, heads, inner, dropout, activation, pre, key_bias)
        self.encoder_attn = Attention(width, heads, dropout[1], key_bias)
        self.encoder_attn_layer_norm = LayerNorm(width)

    def forward(  # type: ignore[override]
        self, x: Any, mask: Any, memory: Memory, cache: Cache | None, layer: int
    ) -> Any:
        x = self._around(x, self.self_attn_layer_norm, lambda h: self.self_attn(h, mask, True, cache, layer))
        x = self._around(
            x, self.encoder_attn_layer_norm, lambda h: self.encoder_attn.across(h, memory, layer)
        )
        return self._around(x, self.final_layer_norm, self._linear)
