"""T5: every task as text to text, positions as what is added to attention's scores (Raffel et al. 2020)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._heads import apart, together
from einkorn.models._inputs import check_sizes
from einkorn.models._stacks import ACTIVATIONS
from einkorn.models.encoder_decoder import EncoderDecoder
from einkorn.nn import Dropout, Embedding, Linear, Module, ModuleList, RMSNorm, init
from einkorn.seq.cache import Cache
from einkorn.seq.memory import Memory

__all__ = ["T5", "T5_SIZES"]

#: Width, width of a head, inner width, layers of each stack and heads.
T5_SIZES = {
    "small": (512, 64, 2048, 6, 8),
    "base": (768, 64, 3072, 12, 12),
    "large": (1024, 64, 4096, 24, 16),
    "3b": (1024, 128, 16384, 24, 32),
    "11b": (1024, 128, 65536, 24, 128),
}


class _Attention(Module):
    def __init__(self, config: dict[str, Any], places: bool) -> None:
        super().__init__()
        width, self.heads = config["d_model"], config["num_heads"]
        inner = config["d_kv"] * self.heads
        self.dropout = config["dropout_rate"]
        self.q, self.k, self.v = (Linear(width, inner, bias=False) for _ in range(3))
        self.o = Linear(inner, width, bias=False)
        if places:
            self.relative_attention_bias = Embedding(config["relative_attention_num_buckets"], self.heads)

    def forward(self, x: Any, bias: Any, cache: Cache | None, layer: int) -> Any:
        q, (k, v) = apart(self.q(x), self.heads), self._keys(x)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        return self.o(together(ops.scaled_dot_product_attention(q, k, v, bias, self._p, scale=1.0)))

    def across(self, x: Any, memory: Memory, layer: int) -> Any:
        return self.o(together(memory.attend(layer, apart(self.q(x), self.heads), self._keys, self._p, 1.0)))

    @property
    def _p(self) -> float:
        return self.dropout if self.training else 0.0

    def _keys(self, x: Any) -> tuple[Any, Any]:
        return apart(self.k(x), self.heads), apart(self.v(x), self.heads)


class _SelfAttention(Module):
    def __init__(self, config: dict[str, Any], places: bool) -> None:
        super().__init__()
        self.SelfAttention = _Attention(config, places)
        self.layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])

    def forward(self, x: Any, bias: Any, cache: Cache | None, layer: int) -> Any:
        return self.SelfAttention(self.layer_norm(x), bias, cache, layer)


class _CrossAttention(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.EncDecAttention = _Attention(config, False)
        self.layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])

    def forward(self, x: Any, memory: Memory, layer: int) -> Any:
        return self.EncDecAttention.across(self.layer_norm(x), memory, layer)


class _Dense(Module):
    wi: Any
    wi_0: Any
    wi_1: Any

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        kind = config["feed_forward_proj"]
        self._gated = kind.startswith("gated-")
        name = kind.removeprefix("gated-")
        name = "gelu_new" if kind == "gated-gelu" else name
        if name not in ACTIVATIONS:
            raise ArgumentError(
                f"T5: feed_forward_proj is {kind!r}, expected one of {', '.join(ACTIVATIONS)},"
                " or one of them after 'gated-'"
            )
        self._activate = ACTIVATIONS[name]
        width, inner = config["d_model"], config["d_ff"]
        for part in ("wi_0", "wi_1") if self._gated else ("wi",):
            setattr(self, part, Linear(width, inner, bias=False))
        self.wo = Linear(inner, width, bias=False)
        self.dropout = Dropout(config["dropout_rate"])

    def forward(self, x: Any) -> Any:
        h = self._activate(self.wi_0(x)) * self.wi_1(x) if self._gated else self._activate(self.wi(x))
        return self.wo(self.dropout(h))


class _FeedForward(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.DenseReluDense = _Dense(config)
        self.layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])

    def forward(self, x: Any) -> Any:
        return self.DenseReluDense(self.layer_norm(x))


class _Block(Module):
    def __init__(self, config: dict[str, Any], decoder: bool, places: bool) -> None:
        super().__init__()
        parts: list[Module] = [_SelfAttention(config, places)]
        if decoder:
            parts.append(_CrossAttention(config))
        self.layer = ModuleList([*parts, _FeedForward(config)])
        self.dropout = Dropout(config["dropout_rate"])

    def forward(self, x: Any, bias: Any, memory: Memory | None, cache: Cache | None, layer: int) -> Any:
        x = x + self.dropout(self.layer[0](x, bias, cache, layer))
        if memory is not None:
            x = x + self.dropout(self.layer[1](x, memory, layer))
        return x + self.dropout(self.layer[-1](x))


class _Stack(Module):
    def __init__(self, config: dict[str, Any], layers: int, decoder: bool) -> None:
        super().__init__()
        self._decoder, self._far = decoder, config["relative_attention_max_distance"]
        self.block = ModuleList(_Block(config, decoder, i == 0) for i in range(layers))
        self.final_layer_norm = RMSNorm(config["d_model"], config["layer_norm_epsilon"])
        self.dropout = Dropout(config["dropout_rate"])

    def forward(self, x: Any, mask: Any, memory: Memory | None, cache: Cache | None) -> Any:
        before = 0 if cache is None else cache.length
        bias = self._bias(x.shape[1], before, mask)
        x = self.dropout(x)
        for layer, block in enumerate(self.block):
            x = block(x, bias, memory, cache, layer)
        return self.dropout(self.final_layer_norm(x))

    def _bias(self, length: int, before: int, mask: Any) -> Any:
        """Added to scores [batch or 1, heads, length, all tokens]: the distance's number, and the mask."""
        total = before + length
        own, others = np.arange(before, total)[:, None], np.arange(total)[None]
        first: Any = self.block[0]
        table = first.layer[0].SelfAttention.relative_attention_bias
        places = _buckets(others - own, not self._decoder, table.num_embeddings, self._far)
        bias = ops.unsqueeze(ops.permute(table(places), (2, 0, 1)), 0)
        seen = (others <= own)[None, None] if self._decoder and length > 1 else None
        if mask is not None:
            seen = mask if seen is None else seen & mask
        if seen is None:
            return bias
        return bias + np.where(seen, 0, -math.inf).astype(np.float32)


def _buckets(distance: Any, both: bool, count: int, far: int) -> Any:
    """Which number a distance has: near ones one each, farther ones by their logarithm (section 2.1)."""
    first = 0
    if both:
        count //= 2
        first = (distance > 0) * count
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    near = count // 2
    # In float32: at a border the logarithm decides, and published weights were learned with it.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(near))
    steps = near + (ratio / np.float32(math.log(far / near)) * np.float32(count - near)).astype(np.int64)
    return first + np.where(distance < near, distance, np.minimum(steps, count - 1))


class T5(EncoderDecoder):
    """An encoder and a decoder of RMS norms before attention and linear layers without biases.

    Parameters
    ----------
    vocab_size : int, default 32128
    d_model, d_kv, d_ff, num_layers, num_heads : int, default 512, 64, 2048, 6, 8
        T5-Small's; :meth:`of_size` knows the others.
    num_decoder_layers : int, keyword-only, optional
        Default as many as ``num_layers``.
    relative_attention_num_buckets, relative_attention_max_distance : int, keyword-only, default 32, 128
        How many numbers there are for distances, and from which distance on they share the last one.
    dropout_rate : float, keyword-only, default 0.1
    layer_norm_epsilon : float, keyword-only, default 1e-6
    feed_forward_proj : str, keyword-only, default "relu"
        The activation; "gated-gelu" in version 1.1 (Shazeer 2020).
    tie_word_embeddings : bool, keyword-only, default True
        Whether the embedding is the head's matrix as well, as in version 1.0.
    scale_decoder_outputs : bool, keyword-only, optional
        Whether the decoder's output is divided by sqrt(d_model); default ``tie_word_embeddings``.
    pad_token_id, decoder_start_token_id : int, keyword-only, default 0, 0

    Notes
    -----
    Names of the state are those of Hugging Face's ``T5ForConditionalGeneration``. Sequences may be of any
    length.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 32128,
        d_model: int = 512,
        d_kv: int = 64,
        d_ff: int = 2048,
        num_layers: int = 6,
        num_heads: int = 8,
        *,
        num_decoder_layers: int | None = None,
        relative_attention_num_buckets: int = 32,
        relative_attention_max_distance: int = 128,
        dropout_rate: float = 0.1,
        layer_norm_epsilon: float = 1e-6,
        feed_forward_proj: str = "relu",
        tie_word_embeddings: bool = True,
        scale_decoder_outputs: bool | None = None,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 0,
    ) -> None:
        super().__init__()
        check_sizes("T5", vocab_size=vocab_size, d_model=d_model, d_kv=d_kv, d_ff=d_ff, num_heads=num_heads)
        check_sizes("T5", 0, num_layers=num_layers)
        if num_decoder_layers is not None:
            check_sizes("T5", 0, num_decoder_layers=num_decoder_layers)
        for name, token in (
            ("pad_token_id", pad_token_id),
            ("decoder_start_token_id", decoder_start_token_id),
        ):
            if not 0 <= token < vocab_size:
                raise ArgumentError(f"T5: {name} is {token}, expected 0 to {vocab_size - 1}")
        buckets, far = relative_attention_num_buckets, relative_attention_max_distance
        if buckets < 4 or far <= buckets // 2:
            raise ArgumentError(
                f"T5: relative_attention_num_buckets is {buckets} and relative_attention_max_distance {far},"
                " expected at least 4, and a distance beyond half of them"
            )
        scaled = tie_word_embeddings if scale_decoder_outputs is None else scale_decoder_outputs
        self.config: dict[str, Any] = {
            "vocab_size": int(vocab_size),
            "d_model": int(d_model),
            "d_kv": int(d_kv),
            "d_ff": int(d_ff),
            "num_layers": int(num_layers),
            "num_heads": int(num_heads),
            "num_decoder_layers": int(num_layers if num_decoder_layers is None else num_decoder_layers),
            "relative_attention_num_buckets": int(buckets),
            "relative_attention_max_distance": int(far),
            "dropout_rate": float(dropout_rate),
            "layer_norm_epsilon": float(layer_norm_epsilon),
            "feed_forward_proj": feed_forward_proj,
            "tie_word_embeddings": bool(tie_word_embeddings),
            "scale_decoder_outputs": bool(scaled),
            "pad_token_id": int(pad_token_id),
            "decoder_start_token_id": int(decoder_start_token_id),
        }
        self.vocab_size, self.context_length = int(vocab_size), None
        self.pad_token_id, self.decoder_start_token_id = int(pad_token_id), int(decoder_start_token_id)
        self.shared = Embedding(vocab_size, d_model)
        self.encoder = _Stack(self.config, self.config["num_layers"], False)
        self.decoder = _Stack(self.config, self.config["num_decoder_layers"], True)
        if not tie_word_embeddings:
            self.lm_head = Linear(d_model, vocab_size, bias=False)
        self.reset_parameters()

    @classmethod
    def of_size(cls, size: str, **options: Any) -> T5:
        """A model of the paper's sizes, of version 1.0.

        Parameters
        ----------
        size : str
            One of ``T5_SIZES``: "small" to "11b".
        **options
            As of the class.
        """
        if size not in T5_SIZES:
            raise ArgumentError(f"T5.of_size: size is {size!r}, expected one of {', '.join(T5_SIZES)}")
        names = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads")
        return cls(**{**dict(zip(names, T5_SIZES[size], strict=True)), **options})

    def reset_parameters(self) -> None:
        """Draw new initial values: the deviations that scores without a scale need (Mesh TensorFlow's)."""
        width, key, inner = (self.config[name] for name in ("d_model", "d_kv", "d_ff"))
        deviations = {
            "q": (width * key) ** -0.5,
            "o": (self.config["num_heads"] * key) ** -0.5,
            "wo": inner**-0.5,
            "shared": 1.0,
            "lm_head": 1.0,
        }
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                init.normal_(parameter, 0.0, deviations.get(name.split(".")[-2], width**-0.5))

    def head(self) -> Any:
        return self.shared.weight if self.config["tie_word_embeddings"] else self.lm_head.weight

    def _encode(self, given: Any, kept: Any) -> Any:
        mask = None if kept is None else kept[:, None, None, :]
        return self.encoder(self.shared(given), mask, None, None)

    def _hidden(self, tokens: Any, memory: Memory, cache: Cache | None, mask: Any, positions: Any) -> Any:
        h = self.decoder(self.shared(tokens), mask, memory, cache)
        return h * self.config["d_model"] ** -0.5 if self.config["scale_decoder_outputs"] else h
