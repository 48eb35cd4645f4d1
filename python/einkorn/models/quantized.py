"""Models that write with weights of eight bits."""

from __future__ import annotations

from typing import Any

from einkorn import nn
from einkorn.errors import ArgumentError
from einkorn.models._inputs import plain
from einkorn.models.causal import CausalLM
from einkorn.models.encoder_decoder import EncoderDecoder
from einkorn.nn.quantized import dynamic
from einkorn.quantization import quantize_dynamic

__all__ = ["quantize"]


def quantize(model: Any) -> Any:
    """A copy for generation, whose linear layers and head keep weights of eight bits.

    :func:`einkorn.quantization.quantize_dynamic` does not see the head of a model that makes scores with the
    matrix of its embedding: a third of GPT-2's weights. It gets a matrix of its own here, and embeddings stay
    as they are.

    Parameters
    ----------
    model : CausalLM or EncoderDecoder
        It stays as it is.

    Returns
    -------
    Module
        A model of the same class, in evaluation. It has no gradients.

    Raises
    ------
    ArgumentError
        The model is none of these.
    DTypeError
        It is not float32.
    NonFiniteError
        Its weights are not all finite.
    """
    if not isinstance(model, (CausalLM, EncoderDecoder)):
        raise ArgumentError(
            f"quantize: model is {type(model).__name__}, expected a CausalLM or an EncoderDecoder;"
            " einkorn.quantization.quantize_dynamic takes others"
        )
    small: Any = quantize_dynamic(model)
    matrix, bias = model.head(), model.head_bias()
    out_features, in_features = matrix.shape
    layer = nn.Linear(in_features, out_features, bias is not None)
    layer.weight.data[...] = plain(matrix)
    if layer.bias is not None:
        layer.bias.data[...] = plain(bias).reshape(-1)
    small.small_head = dynamic.Linear.from_float(layer)
    return small.eval()
