"""Published kinds of models: how their configurations and arrays become those of ours."""

from __future__ import annotations

import warnings
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
    left_out: str = "$^"  # buffers, which are computed
    twice: tuple[tuple[str, str], ...] = ()  # patterns of copies, and the array that they are equal to
    kept: str = "$^"  # what no output of ours needs and the published model has: `save_pretrained` writes it
    aliases: tuple[tuple[str, str], ...] = ()  # other names of options
    renamed: tuple[tuple[str, str], ...] = ()  # patterns and what they become


def _names(*same: str, **others: str) -> dict[str, str]:
    """Options of ours, and what they are called there."""
    return {**{name: name for name in same}, **others}


def _picked(config: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Options of ours, by the names they have there."""
    return {ours: config[theirs] for ours, theirs in names.items() if config.get(theirs) is not None}


GPT2 = _names(
    "vocab_size",
    "n_positions",
    "n_embd",
    "n_layer",
    "n_head",
    "n_inner",
    "layer_norm_epsilon",
    "tie_word_embeddings",
    activation="activation_function",
    dropout="resid_pdrop",
)
LLAMA = _names(
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
BERT = _names(
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
T5 = _names(
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
M2M100 = _names(
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
MARIAN = _names(
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
VIT = _names(
    "image_size",
    "patch_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "num_channels",
    "hidden_act",
    "layer_norm_eps",
    dropout="hidden_dropout_prob",
    attention_dropout="attention_probs_dropout_prob",
)
_TOWER = _names(
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "attention_dropout",
    "layer_norm_eps",
)
CLIP_TEXT = {**_names("vocab_size", "max_position_embeddings", "eos_token_id"), **_TOWER}
CLIP_VISION = {**_names("image_size", "patch_size", "num_channels"), **_TOWER}
CLIP = _names("projection_dim", "logit_scale_init_value")
WHISPER = _names(
    "vocab_size",
    "num_mel_bins",
    "d_model",
    "encoder_layers",
    "decoder_layers",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "activation_function",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "max_source_positions",
    "max_target_positions",
    "pad_token_id",
    "decoder_start_token_id",
)
CONFORMER = _names(
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout",
    "activation_dropout",
    "attention_dropout",
    "feat_proj_dropout",
    "final_dropout",
    "conformer_conv_dropout",
    "layer_norm_eps",
    "feat_extract_norm",
    "feat_extract_activation",
    "conv_dim",
    "conv_stride",
    "conv_kernel",
    "conv_bias",
    "rotary_embedding_base",
    "conv_depthwise_kernel_size",
    "pad_token_id",
)


def _gpt2(config: Mapping[str, Any]) -> dict[str, Any]:
    _refused(
        config,
        "GPT",
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        add_cross_attention=False,
    )
    p = config.get("resid_pdrop", 0.1)
    _trained_otherwise(config, "GPT", embd_pdrop=p, attn_pdrop=p)
    return _picked(config, {**GPT2, "bias": "bias"})


def _llama(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("hidden_act", "silu") != "silu":
        act = config["hidden_act"]
        raise ArgumentError(f"from_pretrained: hidden_act is {act!r}, which Llama does not have")
    _trained_otherwise(config, "Llama", attention_dropout=0.0)
    own = _picked(config, LLAMA)
    rope = config.get("rope_parameters")  # what newer files have in the place of two
    if rope:
        own["rope_theta"] = rope.get("rope_theta", own.get("rope_theta", 10_000.0))
        if rope.get("rope_type", "default") != "default":
            own["rope_scaling"] = rope
    return own


def _bert(config: Mapping[str, Any]) -> dict[str, Any]:
    _refused(
        config,
        "Bert",
        hidden_act="gelu",
        position_embedding_type="absolute",
        is_decoder=False,
        add_cross_attention=False,
    )
    _trained_otherwise(config, "Bert", pad_token_id=0)
    return _picked(config, BERT)


def _refused(config: Mapping[str, Any], ours: str, **expected: Any) -> None:
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise ArgumentError(f"from_pretrained: {name} is {config[name]!r}, which {ours} does not have")


def _trained_otherwise(config: Mapping[str, Any], ours: str, **expected: Any) -> None:
    for name, value in expected.items():
        if config.get(name, value) != value:
            warnings.warn(
                f"from_pretrained: {name} is {config[name]!r}, {ours} has {value!r}:"
                " scores are the same, training differs",
                UserWarning,
                stacklevel=5,
            )


def _t5(config: Mapping[str, Any]) -> dict[str, Any]:
    return _picked(config, T5)


def _m2m100(config: Mapping[str, Any]) -> dict[str, Any]:
    _refused(config, "M2M100", tie_word_embeddings=True)
    return _picked(config, M2M100)


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
    _refused(
        config,
        "Transformer",
        share_encoder_decoder_embeddings=True,
        normalize_embedding=False,
        tie_word_embeddings=True,
    )
    if config.get("decoder_vocab_size") not in (None, config.get("vocab_size")):
        raise ArgumentError(
            f"from_pretrained: decoder_vocab_size is {config['decoder_vocab_size']!r} and vocab_size"
            f" {config.get('vocab_size')!r}, Transformer has one vocabulary"
        )
    _trained_otherwise(config, "Transformer", attention_dropout=0.0, activation_dropout=0.0)
    own = _picked(config, MARIAN)
    # The paper's positions and no bias are options of ours, which `save_pretrained` writes beside.
    defaults = {"interleaved": False, "output_bias": True}
    return {**own, **{name: config.get(name, value) for name, value in defaults.items()}}


def _side(config: Mapping[str, Any]) -> None:
    for name in ("image_size", "patch_size"):
        if not isinstance(config.get(name, 0), int):
            raise ArgumentError(f"from_pretrained: {name} is {config[name]!r}, expected one number")


def _vit(config: Mapping[str, Any]) -> dict[str, Any]:
    _side(config)
    _refused(config, "ViT", qkv_bias=True)
    return _picked(config, VIT)


def _clip(config: Mapping[str, Any]) -> dict[str, Any]:
    # Older files say it twice, and the other name wins there.
    text, vision = (
        (config.get(f"{name}_dict") or config.get(name) or {}) for name in ("text_config", "vision_config")
    )
    _side(vision)
    return {
        "text_config": _picked(text, CLIP_TEXT),
        "vision_config": _picked(vision, CLIP_VISION),
        **_picked(config, CLIP),
    }


def _whisper(config: Mapping[str, Any]) -> dict[str, Any]:
    _refused(config, "Whisper", scale_embedding=False, tie_word_embeddings=True)
    own = _picked(config, WHISPER)
    if own.get("decoder_start_token_id", 0) >= own.get("vocab_size", 51865):
        del own["decoder_start_token_id"]  # the published one, of a smaller vocabulary
    return own


def _wav2vec2_conformer(config: Mapping[str, Any]) -> dict[str, Any]:
    _refused(config, "Wav2Vec2Conformer", add_adapter=False)
    return {
        **_picked(config, CONFORMER),
        # None is a kind here: no positions
        "position_embeddings_type": config.get("position_embeddings_type", "relative"),
    }


_TABLES = r"coder\.embed_tokens\.weight$|^lm_head\.weight$"
_SHARED = ((_TABLES, "model.shared.weight"),)
_POSITIONS = r"embed_positions\.weights?$"
_TWO_STACKS = (
    ("hidden_size", "d_model"),
    ("num_attention_heads", "encoder_attention_heads"),
    ("num_hidden_layers", "encoder_layers"),
)

KINDS = {
    "gpt2": Kind(
        {"": "gpt", "GPT2LMHeadModel": "gpt", "GPT2Model": "gpt"},
        _gpt2,
        "transformer",
        transposed=r"(c_attn|c_proj|c_fc)\.weight$",
        left_out=r"\.attn\.(bias|masked_bias)$",
        twice=((r"^lm_head\.weight$", "transformer.wte.weight"),),
        aliases=(
            ("hidden_size", "n_embd"),
            ("max_position_embeddings", "n_positions"),
            ("num_attention_heads", "n_head"),
            ("num_hidden_layers", "n_layer"),
        ),
    ),
    "llama": Kind(
        {"": "llama", "LlamaForCausalLM": "llama", "LlamaModel": "llama"},
        _llama,
        "model",
        left_out=r"rotary_emb\.inv_freq$",
        twice=((r"^lm_head\.weight$", "model.embed_tokens.weight"),),
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
        left_out=r"position_ids$",
        twice=(
            (r"predictions\.decoder\.weight$", "bert.embeddings.word_embeddings.weight"),
            (r"predictions\.decoder\.bias$", "cls.predictions.bias"),
        ),
        renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
    ),
    "t5": Kind(
        {"": "t5", "T5ForConditionalGeneration": "t5", "T5Model": "t5"},
        _t5,
        "model",
        twice=((_TABLES, "shared.weight"),),
        aliases=(
            ("hidden_size", "d_model"),
            ("num_attention_heads", "num_heads"),
            ("num_hidden_layers", "num_layers"),
            ("head_dim", "d_kv"),
        ),
    ),
    "m2m_100": Kind(
        {"": "m2m100", "M2M100ForConditionalGeneration": "m2m100", "M2M100Model": "m2m100"},
        _m2m100,
        "model",
        left_out=_POSITIONS,
        twice=_SHARED,
        aliases=_TWO_STACKS,
    ),
    "marian": Kind(
        {"": "transformer", "MarianMTModel": "transformer", "MarianModel": "transformer"},
        _marian,
        "model",
        left_out=_POSITIONS,
        twice=_SHARED,
        aliases=_TWO_STACKS,
    ),
    "vit": Kind(
        {"": "vit", "ViTForImageClassification": "vit", "ViTModel": "vit"},
        _vit,
        "vit",
        kept=r"pooler\.|mask_token$",
        renamed=(
            (r"^vit\.", ""),
            (r"^(encoder\.)?layers?\.", "encoder.layers."),
            (r"attention\.attention\.(query|key|value)", r"attention.\1"),
            (r"attention\.output\.dense", "self_attn.out_proj"),
            (r"attention\.q(uery|_proj)\.", "self_attn.q_proj."),
            (r"attention\.k(ey|_proj)\.", "self_attn.k_proj."),
            (r"attention\.v(alue|_proj)\.", "self_attn.v_proj."),
            (r"attention\.o_proj\.", "self_attn.out_proj."),
            (r"intermediate\.dense", "mlp.fc1"),
            (r"(layers\.\d+)\.output\.dense", r"\1.mlp.fc2"),
            (r"layernorm_before", "layer_norm1"),
            (r"layernorm_after", "layer_norm2"),
            (r"patch_embeddings\.projection", "patch_embeddings"),
        ),
    ),
    "clip": Kind({"": "clip", "CLIPModel": "clip"}, _clip, "clip", left_out=r"position_ids$"),
    "whisper": Kind(
        {"": "whisper", "WhisperForConditionalGeneration": "whisper", "WhisperModel": "whisper"},
        _whisper,
        "model",
        twice=((r"^proj_out\.weight$", "model.decoder.embed_tokens.weight"),),
        aliases=_TWO_STACKS,
    ),
    "wav2vec2-conformer": Kind(
        {"": "wav2vec2_conformer", "Wav2Vec2ConformerForCTC": "wav2vec2_conformer"},
        _wav2vec2_conformer,
        "wav2vec2_conformer",
        left_out=r"embed_positions\.",
        kept=r"pos_conv_embed\.|masked_spec_embed$",
    ),
}
