"""Models of ours as published kinds: `_published.py` the other way round."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from einkorn.errors import CheckpointError
from einkorn.models import _published as published

__all__ = ["WRITERS", "Writer", "architecture_of"]


class Writer(NamedTuple):
    """How a model becomes one ``model_type``."""

    config: Callable[[Any], dict[str, Any]]  # what config.json says of a model
    renamed: tuple[tuple[str, str], ...] = ()  # patterns of our arrays' names and what they become
    more: Callable[[Any], dict[str, Any]] = lambda model: {}  # arrays that theirs have and ours lack
    defaults: Mapping[str, Any] = {}  # what config.json says unless the model was read from one that differs


def architecture_of(name: str, model: Any) -> tuple[str, str] | None:
    """``model_type`` and architecture of a registered name, None for models that are ours alone."""
    for kind, described in published.KINDS.items():
        for architecture, own in described.names.items():
            if architecture and own == name:
                if name == "vit" and model.classifier is None:
                    return kind, "ViTModel"
                return kind, architecture
    return None


def _given(own: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: own[ours] for ours, theirs in names.items()}


def _gpt2(model: Any) -> dict[str, Any]:
    own, p = model.config, model.config["dropout"]
    if own["head_size"] not in (None, own["n_embd"] // own["n_head"]) or own["n_embd"] % own["n_head"]:
        raise CheckpointError(
            f"GPT.save_pretrained: head_size is {own['head_size']}, and in GPT-2's files n_embd / n_head,"
            f" here {own['n_embd']} / {own['n_head']}; einkorn.save keeps it"
        )
    return {**_given(own, published.GPT2), "embd_pdrop": p, "attn_pdrop": p, "bias": own["bias"]}


def _zero_biases(model: Any) -> dict[str, Any]:
    """GPT-2's layers and norms have biases."""
    if model.config["bias"]:
        return {}
    state = model.state_dict()
    rows = {n: len(a) for n, a in state.items() if not re.search(r"\.(wte|wpe)\.weight$|^lm_head\.", n)}
    return {n.removesuffix("weight") + "bias": np.zeros(count, np.float32) for n, count in rows.items()}


def _llama(model: Any) -> dict[str, Any]:
    own = _given(model.config, published.LLAMA)
    scaling = dict(own.pop("rope_scaling") or {})
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    rope = {**scaling, "rope_type": kind, "rope_theta": own["rope_theta"]}
    return {**own, "rope_parameters": rope}


def _bert(model: Any) -> dict[str, Any]:
    own = model.config
    more = {name: own[name] for name in ("classifier_dropout",) if name in own}
    if type(model).__name__ == "Bert":
        more["add_pooling_layer"] = own["add_pooling_layer"]
    return {**_given(own, published.BERT), **more, **_labels(model, own.get("num_labels"))}


def _labels(model: Any, count: int | None) -> dict[str, Any]:
    """Names of the classes: those that the model was read with, or numbers."""
    before = getattr(model, "published_config", None) or {}
    if count is None or len(before.get("id2label") or ()) == count:
        return {}
    names = {str(i): f"LABEL_{i}" for i in range(count)}
    return {"id2label": names, "label2id": {name: int(i) for i, name in names.items()}}


def _two_sided(names: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
    return lambda model: _given(model.config, names)


def _marian(model: Any) -> dict[str, Any]:
    own = model.config
    sides = {
        "decoder_layers": own["num_layers"],
        "decoder_attention_heads": own["num_heads"],
        "decoder_ffn_dim": own["d_ff"],
        "decoder_vocab_size": own["vocab_size"],
    }
    ours = {name: own[name] for name in ("interleaved", "output_bias")}
    return {**_given(own, published.MARIAN), **sides, **ours}


def _marian_arrays(model: Any) -> dict[str, Any]:
    """A bias of the scores, and where they differ from Marian's, positions."""
    more: dict[str, Any] = {}
    if not model.config["output_bias"]:
        more["final_logits_bias"] = np.zeros((1, model.vocab_size), np.float32)
    if model.config["interleaved"]:
        for side in ("encoder", "decoder"):
            more[f"model.{side}.embed_positions.weight"] = model._waves
    return more


def _vit(model: Any) -> dict[str, Any]:
    return {**_given(model.config, published.VIT), **_labels(model, model.config["num_labels"])}


def _clip(model: Any) -> dict[str, Any]:
    own, common = model.config, {"projection_dim": model.config["projection_dim"]}
    text = {**_given(own["text_config"], published.CLIP_TEXT), "model_type": "clip_text_model", **common}
    vision = {**_given(own["vision_config"], published.CLIP_VISION), "model_type": "clip_vision_model"}
    before = getattr(model, "published_config", None) or {}
    return {
        **_given(own, published.CLIP),
        "text_config": {"bos_token_id": 0, **(before.get("text_config") or {}), **text},
        "vision_config": {**(before.get("vision_config") or {}), **vision, **common},
    }


def _whisper(model: Any) -> dict[str, Any]:
    return _given(model.config, published.WHISPER)


def _conformer(model: Any) -> dict[str, Any]:
    own = model.config
    kind = {"position_embeddings_type": own["position_embeddings_type"]}
    return {**_given(own, published.CONFORMER), **kind}


def _turns(model: Any) -> dict[str, Any]:
    """Angles of rotary positions, which theirs keeps with the weights."""
    own = model.config
    if own["position_embeddings_type"] != "rotary":
        return {}
    width = own["hidden_size"] // own["num_attention_heads"]
    turns = own["rotary_embedding_base"] ** -(np.arange(0, width, 2) / width)
    return {"wav2vec2_conformer.encoder.embed_positions.inv_freq": turns.astype(np.float32)}


_NO_TOKENS = {"bos_token_id": None, "eos_token_id": None}
_TWO_STACKS = {
    **_NO_TOKENS,
    "is_encoder_decoder": True,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "forced_eos_token_id": None,
}

WRITERS = {
    "gpt2": Writer(_gpt2, more=_zero_biases, defaults=_NO_TOKENS),
    "llama": Writer(
        _llama,
        defaults={**_NO_TOKENS, "pad_token_id": None, "hidden_act": "silu", "attention_dropout": 0.0},
    ),
    "bert": Writer(_bert, defaults={"hidden_act": "gelu"}),
    "t5": Writer(_two_sided(published.T5), defaults={"eos_token_id": None, "is_encoder_decoder": True}),
    "m2m_100": Writer(_two_sided(published.M2M100), defaults=_TWO_STACKS),
    "marian": Writer(
        _marian,
        more=_marian_arrays,
        defaults={**_TWO_STACKS, "attention_dropout": 0.0, "activation_dropout": 0.0},
    ),
    "vit": Writer(
        _vit,
        renamed=(
            (r"^encoder\.layers\.", "encoder.layer."),
            (r"self_attn\.q_proj\.", "attention.attention.query."),
            (r"self_attn\.k_proj\.", "attention.attention.key."),
            (r"self_attn\.v_proj\.", "attention.attention.value."),
            (r"self_attn\.out_proj\.", "attention.output.dense."),
            (r"mlp\.fc1\.", "intermediate.dense."),
            (r"mlp\.fc2\.", "output.dense."),
            (r"layer_norm1\.", "layernorm_before."),
            (r"layer_norm2\.", "layernorm_after."),
            (r"patch_embeddings\.", "patch_embeddings.projection."),
        ),
    ),
    "clip": Writer(_clip),
    "whisper": Writer(
        _whisper,
        defaults={**_TWO_STACKS, "suppress_tokens": None, "begin_suppress_tokens": None},
    ),
    "wav2vec2-conformer": Writer(
        _conformer,
        more=_turns,
        # What ours does not have: masks over the sound, and layers that are left out, in training.
        defaults={"apply_spec_augment": False, "mask_time_prob": 0.0, "layerdrop": 0.0},
    ),
}
