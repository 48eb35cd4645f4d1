"""Normalisation and attention of :mod:`einkorn.nn.functional`, with torch's arguments, names and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "multi_head_attention_forward",
    "rms_norm",
    "scaled_dot_product_attention",
]


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """:func:`einkorn.ops.batch_norm`. The running statistics are updated in place while training."""
    return ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """:func:`einkorn.ops.instance_norm`."""
    return ops.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """:func:`einkorn.ops.layer_norm`."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """:func:`einkorn.ops.rms_norm`."""
    return ops.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """:func:`einkorn.ops.group_norm`."""
    return ops.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """:func:`einkorn.ops.local_response_norm`."""
    return ops.local_response_norm(input, size, alpha, beta, k)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """:func:`einkorn.ops.scaled_dot_product_attention`."""
    return ops.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """What :class:`einkorn.nn.MultiheadAttention` computes, on weights that are given; batches come second.

    Keys and values that are projected already (``static_k``, ``static_v``) are refused.
    """
    from einkorn.nn.attention import Given

    op = "multi_head_attention_forward"
    if static_k is not None or static_v is not None:
        raise ArgumentError(f"{op}: static_k and static_v are not taken, expected None")
    if embed_dim_to_check % num_heads:
        raise ArgumentError(
            f"{op}: embed_dim_to_check is {embed_dim_to_check}, expected a multiple of num_heads {num_heads}"
        )
    separate = use_separate_proj_weight
    for name, given in (("q", q_proj_weight), ("k", k_proj_weight), ("v", v_proj_weight)):
        if separate and len(getattr(given, "shape", ())) != 2:
            raise ArgumentError(
                f"{op}: {name}_proj_weight is {getattr(given, 'shape', given)!r}, expected a matrix because"
                " use_separate_proj_weight is True"
            )
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight) if separate else (None, None, None)
    return Given(
        embed_dim=embed_dim_to_check,
        num_heads=num_heads,
        head_dim=embed_dim_to_check // num_heads,
        kdim=weights[1].shape[1] if separate else embed_dim_to_check,
        vdim=weights[2].shape[1] if separate else embed_dim_to_check,
        dropout=dropout_p,
        training=training,
        batch_first=False,
        add_zero_attn=add_zero_attn,
        in_proj_weight=None if separate else in_proj_weight,
        in_proj_bias=in_proj_bias,
        q_proj_weight=weights[0],
        k_proj_weight=weights[1],
        v_proj_weight=weights[2],
        bias_k=bias_k,
        bias_v=bias_v,
        out_weight=out_proj_weight,
        out_bias=out_proj_bias,
        _one_width=not separate,
    )._attend(query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal)
