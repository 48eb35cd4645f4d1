"""The transformer (Vaswani et al. 2017), with torch's names, options and ``state_dict`` layout."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError
from einkorn.nn import init
from einkorn.nn._check import integer
from einkorn.nn.attention import MultiheadAttention
from einkorn.nn.container import ModuleList
from einkorn.nn.dropout import Dropout
from einkorn.nn.linear import Linear
from einkorn.nn.module import Module
from einkorn.nn.norm import LayerNorm, RMSNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Any], Any]

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": ops.relu, "gelu": ops.gelu}


def _activation(activation: Activation, op: str) -> Callable[[Any], Any]:
    if callable(activation):
        return activation
    try:
        return _ACTIVATIONS[activation]
    except (KeyError, TypeError):
        raise ArgumentError(
            f"{op}: activation is {activation!r}, expected 'relu', 'gelu' or a function"
        ) from None


def _is_plain(module: Any, kind: type[Module]) -> bool:
    """Whether a call of the module is its operation and nothing else, so that it may be fused."""
    return type(module) is kind and not module._hooked


def _add_and_norm(x: Any, y: Any, norm: Any) -> tuple[Any, Any]:
    """``x + y`` and the norm of it; in one pass where the norm allows it."""
    if _is_plain(norm, LayerNorm) and tuple(x.shape) == tuple(y.shape):
        return ops.add_layer_norm(
            x, y, norm.normalized_shape, norm.weight, norm.bias, norm.eps, activation=norm.activation
        )
    if _is_plain(norm, RMSNorm) and tuple(x.shape) == tuple(y.shape):
        return ops.add_rms_norm(
            x, y, norm.normalized_shape, norm.weight, norm.eps, activation=norm.activation
        )
    total = ops.add(x, y)
    return total, norm(total)


def _causal(mask: Any, hint: bool | None) -> tuple[Any, bool]:
    """A mask, and whether it is the causal one, which kernels know without reading it number by number."""
    if mask is None:
        return None, bool(hint)
    a = mask._data if isinstance(mask, Tensor) else mask
    if isinstance(a, np.ndarray) and a.ndim == 2 and a.shape[0] == a.shape[1] and hint is not False:
        later = np.triu(np.ones(a.shape, bool), 1)
        expected = later if a.dtype == bool else np.where(later, -np.inf, 0)
        if np.array_equal(a, expected):
            return None, True
    return mask, False


class _Layer(Module):
    """What encoder and decoder layers share: the feed-forward block and the order of sums and norms."""

    activation: Callable[[Any], Any]
    linear1: Linear
    linear2: Linear
    dropout: Dropout
    norm_first: bool

    def _feed_forward(self, x: Any, last: Dropout) -> Any:
        if self.activation is ops.relu and _is_plain(self.linear1, Linear):
            hidden = ops.linear(x, self.linear1.weight, self.linear1.bias, activation="relu")
        else:
            hidden = self.activation(self.linear1(x))
        return last(self.linear2(self.dropout(hidden)))

    def _blocks(self, x: Any, blocks: list[tuple[Callable[[Any], Any], Any]]) -> Any:
        """Each block added to what came in, with its norm before it (``norm_first``) or after the sum."""
        if not self.norm_first:
            for block, norm in blocks:
                x = _add_and_norm(x, block(x), norm)[1]
            return x
        normed = blocks[0][1](x)
        for (block, _), (_, following) in itertools.pairwise(blocks):
            x, normed = _add_and_norm(x, block(normed), following)
        return ops.add(x, blocks[-1][0](normed))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each added to its input and normalised.

    Parameters
    ----------
    d_model : int
        Width of input and output.
    nhead : int
        Heads of the attention; a divisor of d_model.
    dim_feedforward : int, default 2048
    dropout : float, default 0.1
        On the attention weights, in the network, and on what either adds.
    activation : "relu", "gelu" or callable, default "relu"
    layer_norm_eps : float, default 1e-5
    batch_first : bool, default False
        Whether batches come first: (N, L, d_model), not (L, N, d_model).
    norm_first : bool, default False
        Whether norms stand before attention and network instead of after the sums.
    bias : bool, default True
        Whether linear layers and norms have biases.

    Attributes
    ----------
    self_attn : MultiheadAttention
    linear1, linear2 : Linear
    norm1, norm2 : LayerNorm
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation, "TransformerEncoderLayer")
        self._settle(device, dtype)

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Any:
        """Encode.

        Parameters
        ----------
        src : array or Tensor (L, N, d_model), with batch_first (N, L, d_model); or (L, d_model)
        src_mask : (L, L) or (N nhead, L, L), optional
            True where a position may not see another, or numbers that are added to the scores.
        src_key_padding_mask : (N, L), optional
            True for positions that none may see.
        is_causal : bool, default False
            Without a mask: each position sees those up to itself. With one, a hint that it says so.

        Returns
        -------
        array or Tensor of src's shape
        """
        mask, causal = _causal(src_mask, is_causal or None)

        def attend(x: Any) -> Any:
            out = self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=mask, is_causal=causal
            )
            return self.dropout1(out[0])

        return self._blocks(
            src, [(attend, self.norm1), (lambda x: self._feed_forward(x, self.dropout2), self.norm2)]
        )


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to an encoder's output, and a feed-forward network.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        As :class:`TransformerEncoderLayer`.

    Attributes
    ----------
    self_attn, multihead_attn : MultiheadAttention
    linear1, linear2 : Linear
    norm1, norm2, norm3 : LayerNorm
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation(activation, "TransformerDecoderLayer")
        self._settle(device, dtype)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Decode.

        Parameters
        ----------
        tgt : array or Tensor (T, N, d_model), with batch_first (N, T, d_model); or (T, d_model)
        memory : array or Tensor
            The encoder's output, of length S.
        tgt_mask : (T, T) or (N nhead, T, T), optional
        memory_mask : (T, S) or (N nhead, T, S), optional
        tgt_key_padding_mask : (N, T), optional
        memory_key_padding_mask : (N, S), optional
        tgt_is_causal, memory_is_causal : bool, default False
            Masks and hints as :meth:`TransformerEncoderLayer.forward` has them.

        Returns
        -------
        array or Tensor of tgt's shape
        """
        own, own_causal = _causal(tgt_mask, tgt_is_causal or None)
        other, other_causal = _causal(memory_mask, memory_is_causal or None)

        def attend(x: Any) -> Any:
            out = self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=own, is_causal=own_causal
            )
            return self.dropout1(out[0])

        def look(x: Any) -> Any:
            out = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=other,
                is_causal=other_causal,
            )
            return self.dropout2(out[0])

        return self._blocks(
            tgt,
            [
                (attend, self.norm1),
                (look, self.norm2),
                (lambda x: self._feed_forward(x, self.dropout3), self.norm3),
            ],
        )


def _copies(layer: Module, count: int, op: str) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(integer(count, op, "num_layers", 0))])


class TransformerEncoder(Module):
    """A stack of copies of an encoder layer.

    Parameters
    ----------
    encoder_layer : TransformerEncoderLayer
        Copied with its values, ``num_layers`` times.
    num_layers : int
    norm : Module, optional
        Applied to the result.
    enable_nested_tensor, mask_check : bool, default True
        For torch's code to run; neither changes anything here.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers, "TransformerEncoder")
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:
        """Encode; arguments as :meth:`TransformerEncoderLayer.forward`. A causal mask is recognised."""
        mask, causal = _causal(mask, is_causal)
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """A stack of copies of a decoder layer.

    Parameters
    ----------
    decoder_layer : TransformerDecoderLayer
        Copied with its values, ``num_layers`` times.
    num_layers : int
    norm : Module, optional
        Applied to the result.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers, "TransformerDecoder")
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Decode; arguments as :meth:`TransformerDecoderLayer.forward`. A causal mask is recognised."""
        tgt_mask, causal = _causal(tgt_mask, tgt_is_causal)
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder, each with a norm at its end.

    Parameters
    ----------
    d_model : int, default 512
    nhead : int, default 8
    num_encoder_layers, num_decoder_layers : int, default 6
    dim_feedforward, dropout, activation
        As :class:`TransformerEncoderLayer`.
    custom_encoder, custom_decoder : Module, optional
        In the place of the stacks.
    layer_norm_eps, batch_first, norm_first, bias
        As :class:`TransformerEncoderLayer`.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        layer = (d_model, nhead, dim_feedforward, dropout, activation)
        rest = (layer_norm_eps, batch_first, norm_first, bias)
        if custom_encoder is None:
            custom_encoder = TransformerEncoder(
                TransformerEncoderLayer(*layer, *rest),
                num_encoder_layers,
                LayerNorm(d_model, layer_norm_eps, bias=bias),
            )
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(
                TransformerDecoderLayer(*layer, *rest),
                num_decoder_layers,
                LayerNorm(d_model, layer_norm_eps, bias=bias),
            )
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self.reset_parameters()
        self._settle(device, dtype)

    def reset_parameters(self) -> None:
        """Draw all matrices from Glorot's uniform distribution, so that the copies differ."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Encode src, decode tgt with it; masks as the layers have them.

        Returns
        -------
        array or Tensor of tgt's shape
        """
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask, a Tensor (sz, sz) of float32 or ``dtype``: -inf above the diagonal, else 0."""
        mask = Tensor(np.triu(np.full((sz, sz), -np.inf, np.float32 if dtype is None else dtype), 1))
        return mask if device is None else mask.to(device=device)
