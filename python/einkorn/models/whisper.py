"""Whisper: speech in, text out, with tokens that say language, task and time (Radford et al. 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._stacks import DecoderLayer, EncoderLayer, activation_of, width_of_head
from einkorn.models.encoder_decoder import EncoderDecoder
from einkorn.nn import Conv1d, Dropout, Embedding, LayerNorm, Module, ModuleList, init
from einkorn.seq.cache import Cache
from einkorn.seq.memory import Memory

__all__ = ["WHISPER_SIZES", "Whisper"]

#: Width, encoder layers, decoder layers, heads, mel channels and vocabulary.
WHISPER_SIZES = {
    "tiny": (384, 4, 4, 6, 80, 51865),
    "tiny.en": (384, 4, 4, 6, 80, 51864),
    "base": (512, 6, 6, 8, 80, 51865),
    "base.en": (512, 6, 6, 8, 80, 51864),
    "small": (768, 12, 12, 12, 80, 51865),
    "small.en": (768, 12, 12, 12, 80, 51864),
    "medium": (1024, 24, 24, 16, 80, 51865),
    "medium.en": (1024, 24, 24, 16, 80, 51864),
    "large": (1280, 32, 32, 20, 80, 51865),
    "large-v2": (1280, 32, 32, 20, 80, 51865),
    "large-v3": (1280, 32, 32, 20, 128, 51866),
    "turbo": (1280, 32, 4, 20, 128, 51866),
}


class _Encoder(Module):
    def __init__(self, config: dict[str, Any], rates: tuple[float, float, float]) -> None:
        super().__init__()
        width = config["d_model"]
        self.conv1 = Conv1d(config["num_mel_bins"], width, 3, padding=1)
        self.conv2 = Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = Embedding(config["max_source_positions"], width)
        self.embed_positions.weight.requires_grad = False  # waves
        self.layers = ModuleList(
            EncoderLayer(
                "Whisper",
                width,
                config["encoder_attention_heads"],
                config["encoder_ffn_dim"],
                rates,
                config["activation_function"],
                True,
                False,
            )
            for _ in range(config["encoder_layers"])
        )
        self.layer_norm = LayerNorm(width)
        self.drop = Dropout(rates[0])

    def forward(self, features: Any) -> Any:
        x = ops.gelu(self.conv2(ops.gelu(self.conv1(features))))
        x = self.drop(ops.permute(x, (0, 2, 1)) + self.embed_positions.weight)
        for layer in self.layers:
            x = layer(x, None)
        return self.layer_norm(x)


class _Decoder(Module):
    def __init__(self, config: dict[str, Any], rates: tuple[float, float, float]) -> None:
        super().__init__()
        width = config["d_model"]
        self.embed_tokens = Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.embed_positions = Embedding(config["max_target_positions"], width)
        self.layers = ModuleList(
            DecoderLayer(
                "Whisper",
                width,
                config["decoder_attention_heads"],
                config["decoder_ffn_dim"],
                rates,
                config["activation_function"],
                True,
                False,
            )
            for _ in range(config["decoder_layers"])
        )
        self.layer_norm = LayerNorm(width)
        self.drop = Dropout(rates[0])

    def forward(self, tokens: Any, positions: Any, memory: Memory, cache: Cache | None, mask: Any) -> Any:
        x = self.drop(self.embed_tokens(tokens) + self.embed_positions(positions))
        for i, layer in enumerate(self.layers):
            x = layer(x, mask, memory, cache, i)
        return self.layer_norm(x)


class _Body(Module):
    encoder: Any
    decoder: Any


class Whisper(EncoderDecoder):
    """Two convolutions and an encoder over a log-mel spectrogram, and a decoder of tokens.

    Parameters
    ----------
    vocab_size : int, default 51865
        51864: English alone; 51866: the third large model, which knows Cantonese.
    num_mel_bins : int, default 80
    d_model, encoder_layers, decoder_layers : int, default 384, 4, 4
        Whisper-tiny's; :meth:`of_size` knows the others.
    encoder_attention_heads, decoder_attention_heads : int, keyword-only, default 6
    encoder_ffn_dim, decoder_ffn_dim : int, keyword-only, default 1536
    activation_function : str, keyword-only, default "gelu"
    dropout, attention_dropout, activation_dropout : float, keyword-only, default 0.0
    max_source_positions : int, keyword-only, default 1500
        Half as many as a window has frames of 10 ms.
    max_target_positions : int, keyword-only, default 448
    pad_token_id : int, keyword-only, optional
        Default the token that ends a text.
    decoder_start_token_id : int, keyword-only, optional
        Default the token behind the one that ends a text.

    Notes
    -----
    Names of the state are those of Hugging Face's ``WhisperForConditionalGeneration``. :meth:`encode`,
    ``loss`` and ``generate`` take spectrograms in the place of ``input_ids``, of
    :func:`einkorn.seq.log_mel_spectrogram`; :meth:`transcribe` takes sound of any length.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    _reads = "input_features"

    def __init__(
        self,
        vocab_size: int = 51865,
        num_mel_bins: int = 80,
        d_model: int = 384,
        encoder_layers: int = 4,
        decoder_layers: int = 4,
        *,
        encoder_attention_heads: int = 6,
        decoder_attention_heads: int = 6,
        encoder_ffn_dim: int = 1536,
        decoder_ffn_dim: int = 1536,
        activation_function: str = "gelu",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        max_source_positions: int = 1500,
        max_target_positions: int = 448,
        pad_token_id: int | None = None,
        decoder_start_token_id: int | None = None,
    ) -> None:
        super().__init__()
        for name, heads in (
            ("encoder_attention_heads", encoder_attention_heads),
            ("decoder_attention_heads", decoder_attention_heads),
        ):
            width_of_head("Whisper", d_model, heads, ("d_model", name))
        activation_of("Whisper", activation_function)
        end = 50257 if vocab_size >= 51865 else 50256
        pad = min(end, vocab_size - 1) if pad_token_id is None else pad_token_id
        if not 0 <= pad < vocab_size:
            raise ArgumentError(f"Whisper: pad_token_id is {pad}, expected 0 to {vocab_size - 1}")
        start = min(end + 1, vocab_size - 1) if decoder_start_token_id is None else decoder_start_token_id
        if not 0 <= start < vocab_size:
            raise ArgumentError(f"Whisper: decoder_start_token_id is {start}, expected 0 to {vocab_size - 1}")
        self.config: dict[str, Any] = {
            "vocab_size": int(vocab_size),
            "num_mel_bins": int(num_mel_bins),
            "d_model": int(d_model),
            "encoder_layers": int(encoder_layers),
            "decoder_layers": int(decoder_layers),
            "encoder_attention_heads": int(encoder_attention_heads),
            "decoder_attention_heads": int(decoder_attention_heads),
            "encoder_ffn_dim": int(encoder_ffn_dim),
            "decoder_ffn_dim": int(decoder_ffn_dim),
            "activation_function": activation_function,
            "dropout": float(dropout),
            "attention_dropout": float(attention_dropout),
            "activation_dropout": float(activation_dropout),
            "max_source_positions": int(max_source_positions),
            "max_target_positions": int(max_target_positions),
            "pad_token_id": int(pad),
            "decoder_start_token_id": int(start),
        }
        rates = (float(dropout), float(attention_dropout), float(activation_dropout))
        body = self.model = _Body()
        body.encoder, body.decoder = _Encoder(self.config, rates), _Decoder(self.config, rates)
        self.vocab_size, self.context_length = int(vocab_size), int(max_target_positions)
        self.pad_token_id = int(pad)
        self.decoder_start_token_id = int(start)
        self.reset_parameters()

    @classmethod
    def of_size(cls, size: str, **options: Any) -> Whisper:
        """A model of the published sizes.

        Parameters
        ----------
        size : str
            One of ``WHISPER_SIZES``: "tiny" to "turbo"; "tiny.en" and its like know English alone.
        **options
            As of the class.
        """
        if size not in WHISPER_SIZES:
            known = ", ".join(WHISPER_SIZES)
            raise ArgumentError(f"Whisper.of_size: size is {size!r}, expected one of {known}")
        width, encoder, decoder, heads, mels, vocabulary = WHISPER_SIZES[size]
        sizes = {
            "vocab_size": vocabulary,
            "num_mel_bins": mels,
            "d_model": width,
            "encoder_layers": encoder,
            "decoder_layers": decoder,
            "encoder_attention_heads": heads,
            "decoder_attention_heads": heads,
            "encoder_ffn_dim": 4 * width,
            "decoder_ffn_dim": 4 * width,
        }
        return cls(**{**sizes, **options})

    def reset_parameters(self) -> None:
        """Draw new initial values: normal of deviation .02; the encoder's positions are waves."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif name == "model.encoder.embed_positions.weight":
                length, width = parameter.shape
                rates = 10_000.0 ** -(np.arange(width // 2) / max(width // 2 - 1, 1))
                angles = np.arange(length)[:, None] * rates
                waves = np.zeros((length, width), np.float32)
                waves[:, : width // 2] = np.sin(angles)
                waves[:, width // 2 : 2 * (width // 2)] = np.cos(angles)
                parameter.data[...] = waves
            elif parameter.ndim > 1:
                init.normal_(parameter, 0.0, 0.02)

    @property
    def frames(self) -> int:
        """Frames of a window: 3000 of 10 ms."""
        return 2 * int(self.config["max_source_positions"])

    def encode(self, input_features: Any, attention_mask: Any = None) -> Memory:
        """Listen.

        Parameters
        ----------
        input_features : array or Tensor [batch, num_mel_bins, frames]
            As many frames as a window has; shorter sound is filled up with silence before it is transformed.
        attention_mask : None
            Whisper has none: silence is heard.

        Returns
        -------
        einkorn.seq.Memory

        Raises
        ------
        ShapeError
            The features are of another shape.
        """
        if attention_mask is not None:
            raise ArgumentError("Whisper: attention_mask is given, expected None: silence is heard")
        given = tuple(getattr(input_features, "shape", np.shape(input_features)))
        wanted = (self.config["num_mel_bins"], self.frames)
        if len(given) != 3 or given[1:] != wanted or not given[0]:
            raise ShapeError(
                f"Whisper: input_features have shape {given}, expected [batch, {wanted[0]}, {wanted[1]}]"
            )
        return Memory(self._encode(input_features, None))

    def head(self) -> Any:
        return self.model.decoder.embed_tokens.weight

    def transcribe(self, audio: Any, tokenizer: Any = None, **options: Any) -> dict[str, Any]:
        """The text of a sound of any length: :func:`einkorn.seq.transcribe` with its options."""
        from einkorn.seq.transcription import transcribe

        return transcribe(self, audio, tokenizer, **options)

    def _encode(self, given: Any, kept: Any) -> Any:
        return self.model.encoder(given)

    def _hidden(self, tokens: Any, memory: Memory, cache: Cache | None, mask: Any, positions: Any) -> Any:
        return self.model.decoder(tokens, positions, memory, cache, mask)
