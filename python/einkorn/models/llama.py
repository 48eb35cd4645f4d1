"""Llama: a decoder with rotary positions, RMS norms and gated linear layers (Touvron et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._heads import apart, together
from einkorn.models._inputs import check_sizes
from einkorn.models.causal import CausalLM
from einkorn.nn import Embedding, Linear, Module, ModuleList, RMSNorm, init
from einkorn.seq.cache import Cache

__all__ = ["Llama"]


class _Attention(Module):
    def __init__(self, width: int, heads: int, groups: int, head_width: int, bias: bool) -> None:
        super().__init__()
        self.heads, self.groups = heads, groups
        self.q_proj = Linear(width, heads * head_width, bias)
        self.k_proj = Linear(width, groups * head_width, bias)
        self.v_proj = Linear(width, groups * head_width, bias)
        self.o_proj = Linear(heads * head_width, width, bias)

    def forward(self, x: Any, layer: int, cache: Cache | None, mask: Any, turn: Any) -> Any:
        q = turn(apart(self.q_proj(x), self.heads))
        k = turn(apart(self.k_proj(x), self.groups))
        v = apart(self.v_proj(x), self.groups)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        causal, grouped = q.shape[2] > 1, self.groups != self.heads
        out = ops.scaled_dot_product_attention(
            q, k, v, mask, 0.0, causal, None, grouped, alignment="lower right"
        )
        return self.o_proj(together(out))


class _FeedForward(Module):
    def __init__(self, width: int, inner: int, bias: bool) -> None:
        super().__init__()
        self.gate_proj = Linear(width, inner, bias)
        self.up_proj = Linear(width, inner, bias)
        self.down_proj = Linear(inner, width, bias)

    def forward(self, x: Any) -> Any:
        return self.down_proj(ops.silu(self.gate_proj(x)) * self.up_proj(x))


class _Block(Module):
    def __init__(self, attention: _Attention, width: int, inner: int, mlp_bias: bool, eps: float) -> None:
        super().__init__()
        self.self_attn = attention
        self.mlp = _FeedForward(width, inner, mlp_bias)
        self.input_layernorm = RMSNorm(width, eps)
        self.post_attention_layernorm = RMSNorm(width, eps)

    def forward(self, x: Any, layer: int, cache: Cache | None, mask: Any, turn: Any) -> Any:
        h = self.self_attn(self.input_layernorm(x), layer, cache, mask, turn)
        norm = self.post_attention_layernorm
        x, h = ops.add_rms_norm(x, h, norm.normalized_shape, norm.weight, norm.eps)
        return x + self.mlp(h)


class _Body(Module):
    embed_tokens: Any
    layers: Any
    norm: Any


class Llama(CausalLM):
    """Blocks of causal attention with grouped queries and of a gated layer (SwiGLU), RMS norms before them.

    Parameters
    ----------
    vocab_size : int, default 32000
    hidden_size, intermediate_size : int, default 4096, 11008
        Width, and width between the linear layers.
    num_hidden_layers, num_attention_heads : int, default 32, 32
    num_key_value_heads : int, keyword-only, optional
        Heads of keys and values, a divisor of the others; default as many.
    head_dim : int, keyword-only, optional
        Default ``hidden_size / num_attention_heads``.
    max_position_embeddings : int, keyword-only, default 4096
    rope_theta : float, keyword-only, default 10000.0
        Base of the rotary positions (Su et al. 2021).
    rope_scaling : mapping, keyword-only, optional
        Slower turns for longer texts, as Llama 3.1 has them: ``{"rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}``; or
        ``{"rope_type": "linear", "factor": 2.0}``.
    rms_norm_eps : float, keyword-only, default 1e-6
    tie_word_embeddings : bool, keyword-only, default False
        Whether the embedding is the head's matrix as well.
    attention_bias, mlp_bias : bool, keyword-only, default False

    Notes
    -----
    Names and layouts of the state are those of Hugging Face's ``LlamaForCausalLM``.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 32000,
        hidden_size: int = 4096,
        intermediate_size: int = 11008,
        num_hidden_layers: int = 32,
        num_attention_heads: int = 32,
        *,
        num_key_value_heads: int | None = None,
        head_dim: int | None = None,
        max_position_embeddings: int = 4096,
        rope_theta: float = 10_000.0,
        rope_scaling: Mapping[str, Any] | None = None,
        rms_norm_eps: float = 1e-6,
        tie_word_embeddings: bool = False,
        attention_bias: bool = False,
        mlp_bias: bool = False,
    ) -> None:
        super().__init__()
        heads = num_attention_heads
        groups = heads if num_key_value_heads is None else num_key_value_heads
        check_sizes(
            "Llama",
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            intermediate_size=intermediate_size,
            num_attention_heads=heads,
            num_key_value_heads=groups,
            max_position_embeddings=max_position_embeddings,
        )
        check_sizes("Llama", 0, num_hidden_layers=num_hidden_layers)
        if head_dim is not None and (isinstance(head_dim, bool) or head_dim < 2 or head_dim % 2):
            raise ArgumentError(f"Llama: head_dim is {head_dim!r}, expected an even number")
        if not (isinstance(rope_theta, (int, float)) and 0 < rope_theta < math.inf):
            raise ArgumentError(f"Llama: rope_theta is {rope_theta!r}, expected a positive number")
        if rope_scaling is not None and not isinstance(rope_scaling, Mapping):
            raise ArgumentError(f"Llama: rope_scaling is {rope_scaling!r}, expected a dict or None")
        if head_dim is None and hidden_size % heads:
            raise ArgumentError(
                f"Llama: hidden_size is {hidden_size}, expected a multiple of num_attention_heads {heads}"
            )
        if heads % groups:
            raise ArgumentError(
                f"Llama: num_key_value_heads is {groups}, expected a divisor of num_attention_heads {heads}"
            )
        width = hidden_size // heads if head_dim is None else head_dim
        self._frequencies = _frequencies(width, rope_theta, rope_scaling)
        body = self.model = _Body()
        body.embed_tokens = Embedding(vocab_size, hidden_size)
        body.layers = ModuleList(
            _Block(
                _Attention(hidden_size, heads, groups, width, attention_bias),
                hidden_size,
                intermediate_size,
                mlp_bias,
                rms_norm_eps,
            )
            for _ in range(num_hidden_layers)
        )
        body.norm = RMSNorm(hidden_size, rms_norm_eps)
        if not tie_word_embeddings:
            self.lm_head = Linear(hidden_size, vocab_size, bias=False)
        self.vocab_size, self.context_length = body.embed_tokens.num_embeddings, int(max_position_embeddings)
        self.config = {
            "vocab_size": self.vocab_size,
            "hidden_size": int(hidden_size),
            "intermediate_size": int(intermediate_size),
            "num_hidden_layers": int(num_hidden_layers),
            "num_attention_heads": int(heads),
            "num_key_value_heads": int(groups),
            "head_dim": int(width),
            "max_position_embeddings": self.context_length,
            "rope_theta": float(rope_theta),
            "rope_scaling": None if rope_scaling is None else dict(rope_scaling),
            "rms_norm_eps": float(rms_norm_eps),
            "tie_word_embeddings": bool(tie_word_embeddings),
            "attention_bias": bool(attention_bias),
            "mlp_bias": bool(mlp_bias),
        }
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: normal of deviation .02."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif parameter.ndim > 1:
                init.normal_(parameter, 0.0, 0.02)

    def hidden(self, tokens: Any, cache: Cache | None, mask: Any, positions: Any) -> Any:
        body = self.model
        x = body.embed_tokens(tokens)
        # [batch or 1, 1, length]: the same turn for all heads
        positions = positions if positions.ndim == 1 else positions[:, None]

        def turn(heads: Any) -> Any:
            return ops.rotary_embedding(heads, positions, frequencies=self._frequencies, interleaved=False)

        for layer, block in enumerate(body.layers):
            x = block(x, layer, cache, mask, turn)
        return body.norm(x)

    def head(self) -> Any:
        return self.model.embed_tokens.weight if self.config["tie_word_embeddings"] else self.lm_head.weight


def _frequencies(width: int, base: float, scaling: Mapping[str, Any] | None) -> Any:
    """Angles by which the pairs of a head turn from one position to the next."""
    frequencies = base ** -(np.arange(0, width, 2) / width)
    if scaling is None:
        return frequencies
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return frequencies
    if kind == "linear":
        return frequencies / scaling["factor"]
    if kind != "llama3":
        raise ArgumentError(f"Llama: rope_scaling is of type {kind!r}, expected 'linear' or 'llama3'")
    # Short waves stay, long ones become longer, those between in proportion.
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return frequencies * (kept + (1 - kept) / scaling["factor"])
