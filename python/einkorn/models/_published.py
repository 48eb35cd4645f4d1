"""Published kinds of models: how their configurations and arrays become those of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from einkorn.errors import ArgumentError

__all__ = ["KINDS", "Kind"]


class Kind(NamedTuple):
    """How one ``model_type`` becomes a model of ours."""

    names: Mapping[str, str]  # architectures and the registered names of their models; "": any other
    options: Callable[[Mapping[str, Any]], dict[str, Any]]  # ours, from those of config.json
    body: str  # the part that files of the bare body leave out of the names
    transposed: str = "$^"  # matrices [in, out]: a pattern
    left_out: str = "$^"  # what the file says twice, or what no model needs
    renamed: tuple[tuple[str, str], ...] = ()  # patterns and what they become


def _picked(config: Mapping[str, Any], *same: str, **others: str) -> dict[str, Any]:
    """Options of ours, by the names they have there."""
    names = {**dict.fromkeys(same), **others}
    pairs = ((ours, theirs or ours) for ours, theirs in names.items())
    return {ours: config[theirs] for ours, theirs in pairs if config.get(theirs) is not None}


def _gpt2(config: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if config.get(name):
            raise ArgumentError(f"from_pretrained: {name} is {config[name]!r}, which GPT does not have")
    return _picked(
        config,
        "vocab_size",
        "n_positions",
        "n_embd",
        "n_layer",
        "n_head",
        "n_inner",
        "layer_norm_epsilon",
        activation="activation_function",
        dropout="resid_pdrop",
    )


def _llama(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("hidden_act", "silu") != "silu":
        act = config["hidden_act"]
        raise ArgumentError(f"from_pretrained: hidden_act is {act!r}, which Llama does not have")
    own = _picked(
        config,
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
        "rope_theta",
        "rope_scaling",
        "rms_norm_eps",
        "tie_word_embeddings",
        "attention_bias",
        "mlp_bias",
    )
    rope = config.get("rope_parameters")  # what newer files have in the place of two
    if rope:
        own["rope_theta"] = rope.get("rope_theta", own.get("rope_theta", 10_000.0))
        if rope.get("rope_type", "default") != "default":
            own["rope_scaling"] = rope
    return own


def _bert(config: Mapping[str, Any]) -> dict[str, Any]:
    for name, expected in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(name, expected) != expected:
            raise ArgumentError(f"from_pretrained: {name} is {config[name]!r}, which Bert does not have")
    return _picked(
        config,
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "layer_norm_eps",
    )


def _refused(config: Mapping[str, Any], ours: str, **expected: Any) -> None:
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise ArgumentError(f"from_pretrained: {name} is {config[name]!r}, which {ours} does not have")


def _t5(config: Mapping[str, Any]) -> dict[str, Any]:
    return _picked(
        config,
        "vocab_size",
        "d_model",
        "d_kv",
        "d_ff",
        "num_layers",
        "num_heads",
        "num_decoder_layers",
        "relative_attention_num_buckets",
        "relative_attention_max_distance",
        "dropout_rate",
        "layer_norm_epsilon",
        "feed_forward_proj",
        "tie_word_embeddings",
        "scale_decoder_outputs",
        "pad_token_id",
        "decoder_start_token_id",
    )


def _m2m100(config: Mapping[str, Any]) -> dict[str, Any]:
    return _picked(
        config,
        "vocab_size",
        "d_model",
        "encoder_layers",
        "decoder_layers",
        "encoder_attention_heads",
        "decoder_attention_heads",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
        "dropout",
        "attention_dropout",
        "activation_dropout",
        "activation_function",
        "max_position_embeddings",
        "scale_embedding",
        "pad_token_id",
        "decoder_start_token_id",
    )


def _marian(config: Mapping[str, Any]) -> dict[str, Any]:
    for ours, theirs in (
        ("encoder_layers", "decoder_layers"),
        ("encoder_attention_heads", "decoder_attention_heads"),
        ("encoder_ffn_dim", "decoder_ffn_dim"),
    ):
        if config.get(ours) != config.get(theirs):
            raise ArgumentError(
                f"from_pretrained: {ours} is {config.get(ours)} and {theirs} {config.get(theirs)},"
                " Transformer has one number for both"
            )
    _refused(config, "Transformer", share_encoder_decoder_embeddings=True, normalize_embedding=False)
    own = _picked(
        config,
        "vocab_size",
        "d_model",
        "dropout",
        "max_position_embeddings",
        "scale_embedding",
        "pad_token_id",
        "decoder_start_token_id",
        num_layers="encoder_layers",
        num_heads="encoder_attention_heads",
        d_ff="encoder_ffn_dim",
        activation="activation_function",
    )
    return {**own, "interleaved": False, "output_bias": True}


# Said by the shared embedding, and positions, which are computed.
_TWICE = r"coder\.embed_tokens\.weight$|embed_positions\.weights?$|lm_head\.weight$"

KINDS = {
    "gpt2": Kind(
        {"": "gpt", "GPT2LMHeadModel": "gpt", "GPT2Model": "gpt"},
        _gpt2,
        "transformer",
        transposed=r"(c_attn|c_proj|c_fc)\.weight$",
        left_out=r"lm_head\.weight$|\.attn\.(bias|masked_bias)$",
    ),
    "llama": Kind(
        {"": "llama", "LlamaForCausalLM": "llama"}, _llama, "model", left_out=r"rotary_emb\.inv_freq$"
    ),
    "bert": Kind(
        {
            "": "bert",
            "BertModel": "bert",
            "BertForMaskedLM": "bert_masked_lm",
            "BertForPreTraining": "bert_pre_training",
            "BertForSequenceClassification": "bert_sequence_classification",
            "BertForTokenClassification": "bert_token_classification",
            "BertForQuestionAnswering": "bert_question_answering",
        },
        _bert,
        "bert",
        left_out=r"position_ids$|predictions\.decoder\.",
        renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
    ),
    "t5": Kind(
        {"": "t5", "T5ForConditionalGeneration": "t5", "T5Model": "t5"},
        _t5,
        "model",
        left_out=r"coder\.embed_tokens\.weight$",
    ),
    "m2m_100": Kind(
        {"": "m2m100", "M2M100ForConditionalGeneration": "m2m100"},
        _m2m100,
        "model",
        left_out=_TWICE,
    ),
    "marian": Kind({"": "transformer", "MarianMTModel": "transformer"}, _marian, "model", left_out=_TWICE),
}
