"""The transformer of 2017 (Vaswani et al.) and M2M100 (Fan et al. 2020): translation with two stacks."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._stacks import DecoderLayer, EncoderLayer, width_of_head
from einkorn.models.encoder_decoder import EncoderDecoder
from einkorn.nn import Dropout, Embedding, LayerNorm, Module, ModuleList, init
from einkorn.nn.parameter import Parameter, blank
from einkorn.seq.cache import Cache
from einkorn.seq.memory import Memory

__all__ = ["M2M100", "TRANSFORMER_SIZES", "Transformer"]

#: Layers, width, inner width, heads and dropout, as the paper's table 3 has them.
TRANSFORMER_SIZES = {
    "base": (6, 512, 2048, 8, 0.1),
    "big": (6, 1024, 4096, 16, 0.3),
}


class _Stack(Module):
    layers: Any
    layer_norm: Any


class _Body(Module):
    shared: Any
    encoder: Any
    decoder: Any


class _Translator(EncoderDecoder):
    """One embedding for both sides and the head, fixed positions, and two stacks."""

    final_logits_bias: Parameter | None

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        layers: tuple[int, int],
        heads: tuple[int, int],
        inner: tuple[int, int],
        *,
        dropout: float,
        attention_dropout: float,
        activation_dropout: float,
        activation: str,
        max_position_embeddings: int,
        scale_embedding: bool,
        pad_token_id: int,
        decoder_start_token_id: int,
        pre: bool,
    ) -> None:
        super().__init__()
        op = type(self).__name__
        for name, count in zip(("encoder_attention_heads", "decoder_attention_heads"), heads, strict=True):
            width_of_head(op, d_model, count, ("d_model", name))
        for name, token in (
            ("pad_token_id", pad_token_id),
            ("decoder_start_token_id", decoder_start_token_id),
        ):
            if not 0 <= token < vocab_size:
                raise ArgumentError(f"{op}: {name} is {token}, expected 0 to {vocab_size - 1}")
        rates = dropout, attention_dropout, activation_dropout
        body = self.model = _Body()
        body.shared = Embedding(vocab_size, d_model, padding_idx=pad_token_id)
        for i, (name, kind) in enumerate((("encoder", EncoderLayer), ("decoder", DecoderLayer))):
            stack = _Stack()
            stack.layers = ModuleList(
                kind(op, d_model, heads[i], inner[i], rates, activation, pre) for _ in range(layers[i])
            )
            if pre:
                stack.layer_norm = LayerNorm(d_model)
            setattr(body, name, stack)
        self._pre, self._scale = pre, math.sqrt(d_model) if scale_embedding else 1.0
        self.drop = Dropout(dropout)
        self.vocab_size, self.context_length = int(vocab_size), int(max_position_embeddings)
        self.pad_token_id, self.decoder_start_token_id = int(pad_token_id), int(decoder_start_token_id)
        self._waves = self._positions(int(max_position_embeddings), int(d_model))

    @abstractmethod
    def _positions(self, length: int, width: int) -> Any:
        """The table of positions [length, width]."""

    def _places(self, tokens: Any, positions: Any) -> Any:
        """Rows of the table of positions."""
        return positions

    def head(self) -> Any:
        return self.model.shared.weight

    def _embedded(self, tokens: Any, positions: Any) -> Any:
        x = self.model.shared(tokens)
        if self._scale != 1.0:
            x = x * self._scale
        return self.drop(x + self._waves[self._places(tokens, positions)])

    def _encode(self, given: Any, kept: Any) -> Any:
        if given.shape[1] > (self.context_length or 0):
            raise ArgumentError(
                f"{self._op()}: {given.shape[1]} tokens exceed max_position_embeddings {self.context_length}"
            )
        mask = None if kept is None else kept[:, None, None, :]
        x = self._embedded(given, np.arange(given.shape[1]))
        for layer in self.model.encoder.layers:
            x = layer(x, mask)
        return self.model.encoder.layer_norm(x) if self._pre else x

    def _hidden(self, tokens: Any, memory: Memory, cache: Cache | None, mask: Any, positions: Any) -> Any:
        x = self._embedded(tokens, positions)
        for i, layer in enumerate(self.model.decoder.layers):
            x = layer(x, mask, memory, cache, i)
        return self.model.decoder.layer_norm(x) if self._pre else x


class Transformer(_Translator):
    """The encoder-decoder of 2017: norms behind each part, one embedding for both sides and the head.

    Parameters
    ----------
    vocab_size : int, default 37000
        Of both languages together.
    d_model, num_layers, num_heads, d_ff : int, default 512, 6, 8, 2048
        The paper's "base"; :meth:`of_size` knows "big" too.
    dropout : float, keyword-only, default 0.1
        Of embeddings and of each part's output.
    activation : str, keyword-only, default "relu"
    max_position_embeddings : int, keyword-only, default 512
    scale_embedding : bool, keyword-only, default True
        Embeddings times sqrt(d_model).
    interleaved : bool, keyword-only, default True
        Sines and cosines of the positions by turns, as in the paper; else sines first, as Marian has them.
    output_bias : bool, keyword-only, default False
        Whether a number is added to each token's score.
    pad_token_id, decoder_start_token_id : int, keyword-only, default 0, 1

    Notes
    -----
    Names of the state are those of Hugging Face's ``MarianMTModel``, whose files
    :func:`einkorn.models.from_pretrained` reads.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 37000,
        d_model: int = 512,
        num_layers: int = 6,
        num_heads: int = 8,
        d_ff: int = 2048,
        *,
        dropout: float = 0.1,
        activation: str = "relu",
        max_position_embeddings: int = 512,
        scale_embedding: bool = True,
        interleaved: bool = True,
        output_bias: bool = False,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 1,
    ) -> None:
        self._interleaved = interleaved
        super().__init__(
            vocab_size,
            d_model,
            (num_layers, num_layers),
            (num_heads, num_heads),
            (d_ff, d_ff),
            dropout=dropout,
            attention_dropout=0.0,
            activation_dropout=0.0,
            activation=activation,
            max_position_embeddings=max_position_embeddings,
            scale_embedding=scale_embedding,
            pad_token_id=pad_token_id,
            decoder_start_token_id=decoder_start_token_id,
            pre=False,
        )
        self.final_logits_bias = blank(1, self.vocab_size) if output_bias else None
        self.config: dict[str, Any] = {
            "vocab_size": self.vocab_size,
            "d_model": int(d_model),
            "num_layers": int(num_layers),
            "num_heads": int(num_heads),
            "d_ff": int(d_ff),
            "dropout": float(dropout),
            "activation": activation,
            "max_position_embeddings": self.context_length,
            "scale_embedding": bool(scale_embedding),
            "interleaved": bool(interleaved),
            "output_bias": bool(output_bias),
            "pad_token_id": self.pad_token_id,
            "decoder_start_token_id": self.decoder_start_token_id,
        }
        self.reset_parameters()

    @classmethod
    def of_size(cls, size: str, **options: Any) -> Transformer:
        """A model of the paper's sizes.

        Parameters
        ----------
        size : "base" or "big"
        **options
            As of the class.
        """
        if size not in TRANSFORMER_SIZES:
            known = ", ".join(TRANSFORMER_SIZES)
            raise ArgumentError(f"Transformer.of_size: size is {size!r}, expected one of {known}")
        layers, width, inner, heads, dropout = TRANSFORMER_SIZES[size]
        sizes = {"d_model": width, "num_layers": layers, "num_heads": heads, "d_ff": inner}
        return cls(**{**sizes, "dropout": dropout, **options})

    def reset_parameters(self) -> None:
        """Draw new initial values: Glorot's for matrices, deviation 1/sqrt(d_model) for the embedding."""
        for name, parameter in self.named_parameters():
            if name.endswith(("shared.weight", "embed_tokens.weight")):
                init.normal_(parameter, 0.0, self.config["d_model"] ** -0.5)
            elif name.endswith("bias"):
                init.zeros_(parameter)
            elif parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def head_bias(self) -> Any:
        return None if self.final_logits_bias is None else ops.reshape(self.final_logits_bias, (-1,))

    def _positions(self, length: int, width: int) -> Any:
        waves = np.asarray(ops.sinusoidal_positions(length, width))
        return waves if self._interleaved else np.concatenate([waves[:, 0::2], waves[:, 1::2]], 1)


class M2M100(_Translator):
    """Translation between a hundred languages: norms before each part (Fan et al. 2020).

    Which language is written says the first token: ``generate(..., forced_bos_token_id=...)``.

    Parameters
    ----------
    vocab_size : int, default 128112
    d_model : int, default 1024
    encoder_layers, decoder_layers : int, default 12
    encoder_attention_heads, decoder_attention_heads : int, keyword-only, default 16
    encoder_ffn_dim, decoder_ffn_dim : int, keyword-only, default 4096
    dropout, attention_dropout, activation_dropout : float, keyword-only, default 0.1, 0.1, 0.0
    activation_function : str, keyword-only, default "relu"
    max_position_embeddings : int, keyword-only, default 1024
    scale_embedding : bool, keyword-only, default True
    pad_token_id, decoder_start_token_id : int, keyword-only, default 1, 2

    Notes
    -----
    Names of the state are those of Hugging Face's ``M2M100ForConditionalGeneration``. Tokens equal to
    ``pad_token_id`` have no position, as there.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 128112,
        d_model: int = 1024,
        encoder_layers: int = 12,
        decoder_layers: int = 12,
        *,
        encoder_attention_heads: int = 16,
        decoder_attention_heads: int = 16,
        encoder_ffn_dim: int = 4096,
        decoder_ffn_dim: int = 4096,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.0,
        activation_function: str = "relu",
        max_position_embeddings: int = 1024,
        scale_embedding: bool = True,
        pad_token_id: int = 1,
        decoder_start_token_id: int = 2,
    ) -> None:
        super().__init__(
            vocab_size,
            d_model,
            (encoder_layers, decoder_layers),
            (encoder_attention_heads, decoder_attention_heads),
            (encoder_ffn_dim, decoder_ffn_dim),
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation_dropout=activation_dropout,
            activation=activation_function,
            max_position_embeddings=max_position_embeddings,
            scale_embedding=scale_embedding,
            pad_token_id=pad_token_id,
            decoder_start_token_id=decoder_start_token_id,
            pre=True,
        )
        self.config: dict[str, Any] = {
            "vocab_size": self.vocab_size,
            "d_model": int(d_model),
            "encoder_layers": int(encoder_layers),
            "decoder_layers": int(decoder_layers),
            "encoder_attention_heads": int(encoder_attention_heads),
            "decoder_attention_heads": int(decoder_attention_heads),
            "encoder_ffn_dim": int(encoder_ffn_dim),
            "decoder_ffn_dim": int(decoder_ffn_dim),
            "dropout": float(dropout),
            "attention_dropout": float(attention_dropout),
            "activation_dropout": float(activation_dropout),
            "activation_function": activation_function,
            "max_position_embeddings": self.context_length,
            "scale_embedding": bool(scale_embedding),
            "pad_token_id": self.pad_token_id,
            "decoder_start_token_id": self.decoder_start_token_id,
        }
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values: normal of deviation .02; the pad's embedding is 0."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif parameter.ndim > 1:
                init.normal_(parameter, 0.0, 0.02)

    def _positions(self, length: int, width: int) -> Any:
        # Position 0 is the row after the pad's; rates fall to 1/10000 at the last pair, not beyond it.
        half = width // 2
        rates = 10_000.0 ** -(np.arange(half) / max(half - 1, 1))
        first = self.pad_token_id
        angles = np.arange(first, first + length + 1)[:, None] * rates
        waves = np.zeros((length + 1, width), np.float32)
        waves[:, :half], waves[:, half : 2 * half] = np.sin(angles), np.cos(angles)
        waves[0] = 0
        return waves

    def _places(self, tokens: Any, positions: Any) -> Any:
        words = tokens != self.pad_token_id
        if words.all():
            return positions + 1
        counted = np.cumsum(words, 1) * words
        # The pads of a prompt come before its first word, so what was cached before holds none.
        return np.where(words, counted + np.broadcast_to(positions, tokens.shape)[:, :1], 0)
