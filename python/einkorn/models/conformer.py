"""Conformer: attention for what is far, convolution for what is near (Gulati et al. 2020)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._heads import apart, together
from einkorn.models._inputs import kept_of, plain
from einkorn.models._pretrained import Pretrained
from einkorn.models._stacks import activation_of, width_of_head
from einkorn.nn import BatchNorm1d, Conv1d, Dropout, GroupNorm, LayerNorm, Linear, Module, ModuleList, init
from einkorn.nn.parameter import Parameter, blank

__all__ = ["ConformerCTC", "Wav2Vec2Conformer"]


class _FeedForward(Module):
    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        self._activate = activation_of(op, config["hidden_act"])
        self.intermediate_dropout = Dropout(config["activation_dropout"])
        self.intermediate_dense = Linear(config["hidden_size"], config["intermediate_size"])
        self.output_dense = Linear(config["intermediate_size"], config["hidden_size"])
        self.output_dropout = Dropout(config["hidden_dropout"])

    def forward(self, x: Any) -> Any:
        h = self.intermediate_dropout(self._activate(self.intermediate_dense(x)))
        return self.output_dropout(self.output_dense(h))


class _Convolution(Module):
    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        width, kernel = config["hidden_size"], config["conv_depthwise_kernel_size"]
        if kernel % 2 == 0:
            raise ArgumentError(f"{op}: conv_depthwise_kernel_size is {kernel}, expected an odd number")
        self._activate = activation_of(op, config["hidden_act"])
        self.layer_norm = LayerNorm(width)
        self.pointwise_conv1 = Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.batch_norm = BatchNorm1d(width)
        self.pointwise_conv2 = Conv1d(width, width, 1, bias=False)
        self.dropout = Dropout(config["conformer_conv_dropout"])

    def forward(self, x: Any, silent: Any) -> Any:
        h = ops.glu(self.pointwise_conv1(ops.permute(self.layer_norm(x), (0, 2, 1))), 1)
        if silent is not None:
            h = h * silent
        h = self._activate(self.batch_norm(self.depthwise_conv(h)))
        return ops.permute(self.dropout(self.pointwise_conv2(h)), (0, 2, 1))


class _Attention(Module):
    pos_bias_u: Parameter
    pos_bias_v: Parameter

    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        width, self.heads = config["hidden_size"], config["num_attention_heads"]
        head = width_of_head(op, width, self.heads, ("hidden_size", "num_attention_heads"))
        self._kind, self._p = config["position_embeddings_type"], config["attention_dropout"]
        self._base = config["rotary_embedding_base"]
        self.linear_q, self.linear_k, self.linear_v = (Linear(width, width) for _ in range(3))
        self.linear_out = Linear(width, width)
        if self._kind == "relative":
            self.linear_pos = Linear(width, width, bias=False)
            self.pos_bias_u, self.pos_bias_v = blank(self.heads, head), blank(self.heads, head)

    def forward(self, x: Any, mask: Any, waves: Any) -> Any:
        turned = x
        if self._kind == "rotary":  # turned before the projections, as the published weights have it
            turned = together(ops.rotary_embedding(apart(x, self.heads), base=self._base, interleaved=False))
        q = apart(self.linear_q(turned), self.heads)
        k, v = apart(self.linear_k(turned), self.heads), apart(self.linear_v(x), self.heads)
        if self._kind == "relative":
            mask = self._distances(q, waves, mask)
            q = q + ops.unsqueeze(self.pos_bias_u, 1)
        p = self._p if self.training else 0.0
        return self.linear_out(together(ops.scaled_dot_product_attention(q, k, v, mask, p)))

    def _distances(self, q: Any, waves: Any, mask: Any) -> Any:
        """What a distance adds to the scores (Dai et al. 2019, "Transformer-XL", section 3.3)."""
        batch, heads, length, width = q.shape
        rows = ops.reshape(self.linear_pos(waves), (2 * length - 1, heads, width))
        scores = ops.matmul(q + ops.unsqueeze(self.pos_bias_v, 1), ops.permute(rows, (1, 2, 0)))
        # Column j of row i is distance i - j: row i begins length - 1 - i further on, which a column of zeros
        # and another cut of the same numbers do.
        scores = ops.reshape(ops.pad(scores, (1, 0)), (batch, heads, 2 * length, length))
        scores = ops.reshape(
            ops.getitem(scores, (..., slice(1, None), slice(None))), (batch, heads, length, -1)
        )
        scores = ops.getitem(scores, (..., slice(0, length))) * width**-0.5
        return scores if mask is None else scores + np.where(mask, 0, -np.inf).astype(np.float32)


class _Block(Module):
    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.ffn1_layer_norm, self.ffn1 = LayerNorm(width), _FeedForward(op, config)
        self.self_attn_layer_norm, self.self_attn = LayerNorm(width), _Attention(op, config)
        self.self_attn_dropout = Dropout(config["attention_dropout"])
        self.conv_module = _Convolution(op, config)
        self.ffn2_layer_norm, self.ffn2 = LayerNorm(width), _FeedForward(op, config)
        self.final_layer_norm = LayerNorm(width)

    def forward(self, x: Any, mask: Any, waves: Any, silent: Any) -> Any:
        x = x + self.ffn1(self.ffn1_layer_norm(x)) * 0.5
        x = x + self.self_attn_dropout(self.self_attn(self.self_attn_layer_norm(x), mask, waves))
        x = x + self.conv_module(x, silent)
        x = x + self.ffn2(self.ffn2_layer_norm(x)) * 0.5
        return self.final_layer_norm(x)


class _Encoder(Module):
    def __init__(self, op: str, config: dict[str, Any]) -> None:
        super().__init__()
        kind = config["position_embeddings_type"]
        if kind not in ("relative", "rotary", None):
            raise ArgumentError(
                f"{op}: position_embeddings_type is {kind!r}, expected 'relative', 'rotary' or None"
            )
        self._kind = kind
        # Whether convolutions hear silence beyond a sound, as published weights do not.
        self._own = config.get("silent_ends", False)
        self.layer_norm = LayerNorm(config["hidden_size"], config["layer_norm_eps"])
        self.dropout = Dropout(config["hidden_dropout"])
        self.layers = ModuleList(_Block(op, config) for _ in range(config["num_hidden_layers"]))

    def forward(self, x: Any, kept: Any) -> Any:
        mask = silent = None
        if kept is not None and self._own:
            silent = kept[:, None].astype(np.float32)
        if kept is not None:
            x, mask = x * kept[..., None].astype(np.float32), kept[:, None, None, :]
        length, width = x.shape[1:]
        waves = None
        if self._kind == "relative":  # from the farthest behind to the farthest ahead
            near = np.asarray(ops.sinusoidal_positions(length, width))
            ahead = near[1:] * np.where(np.arange(width) % 2, 1, -1).astype(np.float32)
            waves = np.concatenate([near[::-1], ahead])
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask, waves, silent)
        return self.layer_norm(x)


class _CTC(Module, ABC):
    """What both kinds have: a loss against transcripts, and reading."""

    config: dict[str, Any]
    _blank: int

    @abstractmethod
    def _scores(self, given: Any, lengths: Any) -> tuple[Any, Any]:
        """Scores [batch, frames, vocabulary], and how many frames each sound has."""

    def loss(
        self,
        inputs: Any,
        labels: Any,
        label_lengths: Any,
        *,
        input_lengths: Any = None,
        reduction: str = "mean",
        zero_infinity: bool = False,
    ) -> Any:
        """Connectionist temporal classification (Graves et al. 2006) of transcripts.

        Parameters
        ----------
        inputs : array
            As :meth:`forward`.
        labels : integer array [batch, longest]
        label_lengths : sequence of int [batch]
        input_lengths : sequence of int [batch], keyword-only, optional
        reduction, zero_infinity : keyword-only
            As :func:`einkorn.ops.ctc_loss`.
        """
        scores, frames = self._scores(inputs, input_lengths)
        logs = ops.permute(ops.log_softmax(scores, -1), (1, 0, 2))
        return ops.ctc_loss(logs, labels, frames, label_lengths, self._blank, reduction, zero_infinity)

    def read(self, inputs: Any, *, input_lengths: Any = None, num_beams: int = 1) -> list[Any]:
        """What the sounds spell: a list of int64 arrays, one a sound.

        Parameters
        ----------
        inputs : array
            As :meth:`forward`.
        input_lengths : sequence of int [batch], keyword-only, optional
        num_beams : int, keyword-only, default 1
            With 1 what is likeliest frame by frame, with more what
            :func:`einkorn.ops.ctc_beam_search_decode` finds with so many prefixes.
        """
        from einkorn import no_grad

        training = self.training
        self.eval()
        try:
            with no_grad():
                scores, frames = self._scores(inputs, input_lengths)
        finally:
            self.train(training)
        if num_beams == 1:
            out: list[Any] = ops.ctc_greedy_decode(ops.permute(scores, (1, 0, 2)), frames, blank=self._blank)
            return out
        logs = ops.permute(ops.log_softmax(scores, -1), (1, 0, 2))
        found, _ = ops.ctc_beam_search_decode(logs, frames, beam_width=num_beams, blank=self._blank)
        return [best[0] for best in found]

    def _count(self, op: str, lengths: Any, batch: int, most: int) -> Any:
        if lengths is None:
            return np.full(batch, most, np.int64)
        counts = np.asarray(plain(lengths), np.int64)
        if counts.shape != (batch,) or (batch and not (counts.min() >= 1 and counts.max() <= most)):
            raise ShapeError(
                f"{op}: input_lengths are {lengths!r}, expected {batch} numbers from 1 to {most}"
            )
        return counts


class ConformerCTC(_CTC):
    """Log-mel frames to characters: two strided convolutions, conformer blocks, a linear layer.

    Parameters
    ----------
    vocab_size : int
        The blank included.
    num_mel_bins : int, default 80
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int, default 144, 16, 4, 576
        Those of the paper's small model.
    conv_depthwise_kernel_size : int, keyword-only, default 31
    dropout : float, keyword-only, default 0.1
    position_embeddings_type : "relative", "rotary" or None, keyword-only, default "relative"
    subsampling : int, keyword-only, default 4
        Frames that become one: 1, 2 or 4.
    blank : int, keyword-only, default 0

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int,
        num_mel_bins: int = 80,
        hidden_size: int = 144,
        num_hidden_layers: int = 16,
        num_attention_heads: int = 4,
        intermediate_size: int = 576,
        *,
        conv_depthwise_kernel_size: int = 31,
        dropout: float = 0.1,
        position_embeddings_type: str | None = "relative",
        subsampling: int = 4,
        blank: int = 0,
    ) -> None:
        super().__init__()
        if subsampling not in (1, 2, 4):
            raise ArgumentError(f"ConformerCTC: subsampling is {subsampling!r}, expected 1, 2 or 4")
        if not 0 <= blank < vocab_size:
            raise ArgumentError(f"ConformerCTC: blank is {blank!r}, expected 0 to {vocab_size - 1}")
        self.config = {
            "vocab_size": int(vocab_size),
            "num_mel_bins": int(num_mel_bins),
            "hidden_size": int(hidden_size),
            "num_hidden_layers": int(num_hidden_layers),
            "num_attention_heads": int(num_attention_heads),
            "intermediate_size": int(intermediate_size),
            "conv_depthwise_kernel_size": int(conv_depthwise_kernel_size),
            "dropout": float(dropout),
            "position_embeddings_type": position_embeddings_type,
            "subsampling": int(subsampling),
            "blank": int(blank),
        }
        rates = ("hidden_dropout", "activation_dropout", "attention_dropout", "conformer_conv_dropout")
        inner = {
            **self.config,
            **dict.fromkeys(rates, dropout),
            "hidden_act": "silu",
            "layer_norm_eps": 1e-5,
            "rotary_embedding_base": 10_000,
            "silent_ends": True,
        }
        self._blank = int(blank)
        self._strides = {1: (1, 1), 2: (2, 1), 4: (2, 2)}[subsampling]
        self.subsample = ModuleList(
            Conv1d(num_mel_bins if i == 0 else hidden_size, hidden_size, 3, stride, 1)
            for i, stride in enumerate(self._strides)
        )
        self.encoder = _Encoder("ConformerCTC", inner)
        self.lm_head = Linear(hidden_size, vocab_size)
        for name, parameter in self.named_parameters():
            if name.endswith(("pos_bias_u", "pos_bias_v")):
                init.xavier_uniform_(parameter)

    def forward(self, features: Any, input_lengths: Any = None) -> Any:
        """Scores [batch, frames / subsampling, vocabulary].

        Parameters
        ----------
        features : array or Tensor [batch, num_mel_bins, frames]
            Of :func:`einkorn.seq.log_mel_spectrogram`.
        input_lengths : sequence of int [batch], optional
            Frames that count.
        """
        return self._scores(features, input_lengths)[0]

    def _scores(self, given: Any, lengths: Any) -> tuple[Any, Any]:
        shape = tuple(getattr(given, "shape", np.shape(given)))
        mels = self.config["num_mel_bins"]
        if len(shape) != 3 or shape[1] != mels or 0 in shape:
            raise ShapeError(
                f"ConformerCTC: features have shape {shape}, expected [batch, {mels}, frames], none of them 0"
            )
        frames = self._count("ConformerCTC", lengths, shape[0], shape[2])
        x = given
        if (frames < shape[2]).any():
            x = x * (np.arange(shape[2]) < frames[:, None])[:, None].astype(np.float32)
        for conv, stride in zip(self.subsample, self._strides, strict=True):
            x = ops.relu(conv(x))
            frames = -(-frames // stride)
            if (frames < x.shape[2]).any():
                x = x * (np.arange(x.shape[2]) < frames[:, None])[:, None].astype(np.float32)
        x = ops.permute(x, (0, 2, 1))
        kept = None if (frames == x.shape[1]).all() else np.arange(x.shape[1]) < frames[:, None]
        return self.lm_head(self.encoder(x, kept)), frames


class _FeatureLayer(Module):
    def __init__(self, before: int, after: int, kernel: int, stride: int, bias: bool, norm: str) -> None:
        super().__init__()
        self.conv = Conv1d(before, after, kernel, stride, bias=bias)
        self.layer_norm: Any = None
        if norm == "group":
            self.layer_norm = GroupNorm(after, after)
        elif norm == "layer":
            self.layer_norm = LayerNorm(after)
        self._norm = norm

    def forward(self, x: Any, activate: Any) -> Any:
        x = self.conv(x)
        if self._norm == "layer":
            x = ops.permute(self.layer_norm(ops.permute(x, (0, 2, 1))), (0, 2, 1))
        elif self._norm == "group":
            x = self.layer_norm(x)
        return activate(x)


class _FeatureEncoder(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self._activate = activation_of("Wav2Vec2Conformer", config["feat_extract_activation"])
        sizes = [1, *config["conv_dim"]]
        kind = config["feat_extract_norm"]
        self.conv_layers = ModuleList(
            _FeatureLayer(
                sizes[i],
                sizes[i + 1],
                kernel,
                stride,
                config["conv_bias"],
                kind if kind == "layer" or i == 0 else "none",
            )
            for i, (kernel, stride) in enumerate(
                zip(config["conv_kernel"], config["conv_stride"], strict=True)
            )
        )

    def forward(self, x: Any) -> Any:
        for layer in self.conv_layers:
            x = layer(x, self._activate)
        return x


class _Projection(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.layer_norm = LayerNorm(config["conv_dim"][-1], config["layer_norm_eps"])
        self.projection = Linear(config["conv_dim"][-1], config["hidden_size"])
        self.dropout = Dropout(config["feat_proj_dropout"])

    def forward(self, x: Any) -> Any:
        return self.dropout(self.projection(self.layer_norm(x)))


class _Body(Module):
    feature_extractor: Any
    feature_projection: Any
    encoder: Any


class Wav2Vec2Conformer(Pretrained, _CTC):
    """Sound to characters: convolutions over samples, conformer blocks, a linear layer (Wang et al. 2020).

    Parameters
    ----------
    vocab_size : int, default 32
        The blank included.
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int, default 768, 12, 12, 3072
    hidden_act : str, keyword-only, default "gelu"
    hidden_dropout, activation_dropout, attention_dropout : float, keyword-only, default 0.1
    feat_proj_dropout, final_dropout, conformer_conv_dropout : float, keyword-only, default 0.0, 0.1, 0.1
    layer_norm_eps : float, keyword-only, default 1e-5
    feat_extract_norm : "group" or "layer", keyword-only, default "group"
        Of the first convolution's channels, or of all convolutions'.
    feat_extract_activation : str, keyword-only, default "gelu"
    conv_dim, conv_stride, conv_kernel : sequence of int, keyword-only
        Of the convolutions over the samples.
    conv_bias : bool, keyword-only, default False
    position_embeddings_type : "relative", "rotary" or None, keyword-only, default "relative"
    rotary_embedding_base : int, keyword-only, default 10000
    conv_depthwise_kernel_size : int, keyword-only, default 31
    pad_token_id : int, keyword-only, default 0
        The blank.

    Notes
    -----
    Names of the state are those of Hugging Face's ``Wav2Vec2ConformerForCTC``, without what it does not use.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 32,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        *,
        hidden_act: str = "gelu",
        hidden_dropout: float = 0.1,
        activation_dropout: float = 0.1,
        attention_dropout: float = 0.1,
        feat_proj_dropout: float = 0.0,
        final_dropout: float = 0.1,
        conformer_conv_dropout: float = 0.1,
        layer_norm_eps: float = 1e-5,
        feat_extract_norm: str = "group",
        feat_extract_activation: str = "gelu",
        conv_dim: Sequence[int] = (512,) * 7,
        conv_stride: Sequence[int] = (5, 2, 2, 2, 2, 2, 2),
        conv_kernel: Sequence[int] = (10, 3, 3, 3, 3, 2, 2),
        conv_bias: bool = False,
        position_embeddings_type: str | None = "relative",
        rotary_embedding_base: int = 10_000,
        conv_depthwise_kernel_size: int = 31,
        pad_token_id: int = 0,
    ) -> None:
        super().__init__()
        op = "Wav2Vec2Conformer"
        if feat_extract_norm not in ("group", "layer"):
            raise ArgumentError(
                f"{op}: feat_extract_norm is {feat_extract_norm!r}, expected 'group' or 'layer'"
            )
        if not len(conv_dim) == len(conv_stride) == len(conv_kernel) > 0:
            raise ArgumentError(
                f"{op}: conv_dim, conv_stride and conv_kernel have {len(conv_dim)}, {len(conv_stride)} and"
                f" {len(conv_kernel)} numbers, expected as many, at least one"
            )
        if not 0 <= pad_token_id < vocab_size:
            raise ArgumentError(f"{op}: pad_token_id is {pad_token_id!r}, expected 0 to {vocab_size - 1}")
        self.config = {
            "vocab_size": int(vocab_size),
            "hidden_size": int(hidden_size),
            "num_hidden_layers": int(num_hidden_layers),
            "num_attention_heads": int(num_attention_heads),
            "intermediate_size": int(intermediate_size),
            "hidden_act": hidden_act,
            "hidden_dropout": float(hidden_dropout),
            "activation_dropout": float(activation_dropout),
            "attention_dropout": float(attention_dropout),
            "feat_proj_dropout": float(feat_proj_dropout),
            "final_dropout": float(final_dropout),
            "conformer_conv_dropout": float(conformer_conv_dropout),
            "layer_norm_eps": float(layer_norm_eps),
            "feat_extract_norm": feat_extract_norm,
            "feat_extract_activation": feat_extract_activation,
            "conv_dim": [int(n) for n in conv_dim],
            "conv_stride": [int(n) for n in conv_stride],
            "conv_kernel": [int(n) for n in conv_kernel],
            "conv_bias": bool(conv_bias),
            "position_embeddings_type": position_embeddings_type,
            "rotary_embedding_base": int(rotary_embedding_base),
            "conv_depthwise_kernel_size": int(conv_depthwise_kernel_size),
            "pad_token_id": int(pad_token_id),
        }
        self._blank = int(pad_token_id)
        body = self.wav2vec2_conformer = _Body()
        body.feature_extractor = _FeatureEncoder(self.config)
        body.feature_projection = _Projection(self.config)
        body.encoder = _Encoder(op, self.config)
        self.dropout = Dropout(final_dropout)
        self.lm_head = Linear(hidden_size, vocab_size)
        for name, parameter in self.named_parameters():
            if name.endswith(("pos_bias_u", "pos_bias_v")):
                init.xavier_uniform_(parameter)

    def forward(self, input_values: Any, attention_mask: Any = None) -> Any:
        """Scores [batch, frames, vocabulary].

        Parameters
        ----------
        input_values : array or Tensor [batch, samples]
            Of mean 0 and deviation 1.
        attention_mask : array [batch, samples], optional
            0 where a sound is filled up, at its end.
        """
        shape = tuple(getattr(input_values, "shape", np.shape(input_values)))
        if len(shape) != 2:
            raise ShapeError(f"Wav2Vec2Conformer: input_values have shape {shape}, expected [batch, samples]")
        kept = kept_of("Wav2Vec2Conformer", "attention_mask", attention_mask, shape)
        return self._scores(input_values, None if kept is None else kept.sum(1))[0]

    def _scores(self, given: Any, lengths: Any) -> tuple[Any, Any]:
        shape = tuple(getattr(given, "shape", np.shape(given)))
        if len(shape) != 2 or 0 in shape:
            raise ShapeError(
                f"Wav2Vec2Conformer: input_values have shape {shape}, expected [batch, samples], none 0"
            )
        frames = self._count("Wav2Vec2Conformer", lengths, *shape)
        for kernel, stride in zip(self.config["conv_kernel"], self.config["conv_stride"], strict=True):
            frames = (frames - kernel) // stride + 1
        if frames.min() < 1:
            raise ShapeError(
                f"Wav2Vec2Conformer: a sound of {shape[1]} samples at most is too short for the convolutions"
            )
        body = self.wav2vec2_conformer
        x = ops.permute(body.feature_extractor(ops.unsqueeze(given, 1)), (0, 2, 1))
        kept = None if (frames == x.shape[1]).all() else np.arange(x.shape[1]) < frames[:, None]
        return self.lm_head(self.dropout(body.encoder(body.feature_projection(x), kept))), frames
