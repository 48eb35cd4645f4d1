"""Models from the folders that Hugging Face's libraries save: ``config.json`` and safetensors files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from einkorn import checkpoint
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.models.registry import build
from einkorn.models.weights import WeightsReport, compared
from einkorn.nn import Module

__all__ = ["from_pretrained", "read_config"]


class _Kind(NamedTuple):
    """How one ``model_type`` becomes a model of ours."""

    names: Mapping[str, str]  # architectures and the registered names of their models; "": any other
    options: Callable[[Mapping[str, Any]], dict[str, Any]]  # ours, from those of config.json
    body: str  # the part that files of the bare body leave out of the names
    transposed: str = "$^"  # matrices [in, out]: a pattern
    left_out: str = "$^"  # what the file says twice, or what no model needs
    renamed: tuple[tuple[str, str], ...] = ()  # patterns and what they become


def from_pretrained(
    path: str | PathLike[str], *, architecture: str | None = None, strict: bool = True, **options: Any
) -> Any:
    """Build the model that a folder describes, and read its weights.

    Parameters
    ----------
    path : str or path
        A folder with ``config.json`` and ``model.safetensors``, or the parts of it that
        ``model.safetensors.index.json`` lists. GPT-2, Llama and BERT, with the heads of their own libraries.
    architecture : str, keyword-only, optional
        Such as "BertForSequenceClassification", in the place of the one that the folder names.
    strict : bool, keyword-only, default True
        Whether each array of the model must be in the files. False: the others keep their initial values, as
        a new head does.
    **options
        Of the model's class, in the place of the folder's.

    Returns
    -------
    Module
        In evaluation. ``model.weights_report`` says what was read.

    Raises
    ------
    CheckpointError
        A file is missing, damaged or does not fit.
    ArgumentError
        The kind of model is not among ours, or an option is unknown.
    """
    folder = Path(path)
    config = read_config(folder)
    kind = _KINDS.get(config.get("model_type", ""))
    if kind is None:
        raise ArgumentError(
            f"from_pretrained: {folder}: model_type is {config.get('model_type')!r},"
            f" expected one of {', '.join(_KINDS)}"
        )
    wanted = architecture or (config.get("architectures") or [""])[0]
    name = kind.names.get(wanted, None if architecture else kind.names[""])
    if name is None:
        known = ", ".join(n for n in kind.names if n)
        raise ArgumentError(f"from_pretrained: architecture is {architecture!r}, expected one of {known}")
    own = kind.options(config)
    if "classification" in name and "num_labels" not in options:
        own["num_labels"] = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    model = build(name, **{**own, **options})
    report = _fill(model, _renamed(kind, model, _arrays(folder)), strict, str(folder))
    model.weights_report = report
    return model.eval()


def read_config(path: str | PathLike[str]) -> dict[str, Any]:
    """What a folder's ``config.json`` says.

    Raises
    ------
    CheckpointError
        There is none, or it is no JSON object.
    """
    file = Path(path) / "config.json"
    try:
        with open(file, encoding="utf-8") as opened:
            config = json.load(opened)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: is no readable JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: holds a {type(config).__name__}, expected an object")
    return config


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if not index.is_file():
        return dict(checkpoint._read(whole)[0])
    try:
        with open(index, encoding="utf-8") as opened:
            parts = sorted(set(json.load(opened)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: is no readable index: {error}") from error
    arrays: dict[str, np.ndarray] = {}
    for part in parts:
        if Path(part).name != part:
            raise CheckpointError(f"{index}: names {part!r}, expected files of the same folder")
        arrays.update(checkpoint._read(folder / part)[0])
    return arrays


def _renamed(kind: _Kind, model: Module, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by our names and in our layouts."""
    own = model.state_dict()
    found = {}
    for given, array in arrays.items():
        name = given
        for pattern, new in kind.renamed:
            name = re.sub(pattern, new, name)
        if re.search(kind.left_out, name):
            continue
        for candidate in (name, f"{kind.body}.{name}", name.removeprefix(f"{kind.body}.")):
            if candidate in own:
                name = candidate
                break
        found[name] = array.T if re.search(kind.transposed, name) else array
    return found


def _fill(model: Module, found: Mapping[str, np.ndarray], strict: bool, what: str) -> WeightsReport:
    report = compared(model, found)
    if report.mismatched or not report.matched or (strict and report.missing):
        raise CheckpointError(f"{what}: does not fit {type(model).__name__}: {report}")
    model.load_state_dict({name: found[name] for name in report.matched}, strict=False)
    return report


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


_KINDS = {
    "gpt2": _Kind(
        {"": "gpt", "GPT2LMHeadModel": "gpt", "GPT2Model": "gpt"},
        _gpt2,
        "transformer",
        transposed=r"(c_attn|c_proj|c_fc)\.weight$",
        left_out=r"lm_head\.weight$|\.attn\.(bias|masked_bias)$",
    ),
    "llama": _Kind(
        {"": "llama", "LlamaForCausalLM": "llama"}, _llama, "model", left_out=r"rotary_emb\.inv_freq$"
    ),
    "bert": _Kind(
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
}
