"""Folders of published models that say or hold something unusual: heads, switches, layers, damage."""

from __future__ import annotations

import inspect
import json
import re
import warnings

import numpy as np
import pytest

import einkorn as ek
from einkorn import checkpoint, models
from einkorn.models import _published as published

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_STACKS = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}
_MARIAN = {"max_position_embeddings": 24, "pad_token_id": 49, "decoder_start_token_id": 49, **_STACKS}
_SOUND = {
    "conv_dim": (16, 16),
    "conv_kernel": (10, 3),
    "conv_stride": (5, 2),
    "conv_depthwise_kernel_size": 5,
}
_WHISPER = {"num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 24, "pad_token_id": 47}
_TOWER = {"image_size": 16, "patch_size": 4, **_SIZES}

# The class, its configuration's, and options of a small model.
SMALL = {
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", _SIZES),
    "bert": ("BertForMaskedLM", "BertConfig", {"max_position_embeddings": 24, **_SIZES}),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4, "decoder_start_token_id": 0},
    ),
    "m2m_100": ("M2M100ForConditionalGeneration", "M2M100Config", {"max_position_embeddings": 24, **_STACKS}),
    "marian": ("MarianMTModel", "MarianConfig", _MARIAN),
    "vit": ("ViTForImageClassification", "ViTConfig", _TOWER),
    "clip": (
        "CLIPModel",
        "CLIPConfig",
        {"text_config": {"vocab_size": 50, "eos_token_id": 49, **_SIZES}, "vision_config": _TOWER},
    ),
    "whisper": (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {**_WHISPER, **_STACKS, "decoder_start_token_id": 48, "bos_token_id": 47, "eos_token_id": 47},
    ),
    "wav2vec2-conformer": (
        "Wav2Vec2ConformerForCTC",
        "Wav2Vec2ConformerConfig",
        {**_SIZES, **_SOUND, "num_conv_pos_embedding_groups": 2, "num_conv_pos_embeddings": 4},
    ),
}
TOKENS = np.random.default_rng(0).integers(4, 45, (3, 9))


def _theirs(kind, architecture=None, **options):
    name, config, own = SMALL[kind]
    torch.manual_seed(0)
    words = {} if kind in ("vit", "clip") else {"vocab_size": 50}
    made = getattr(transformers, config)(**{**words, **own, **options})
    model = getattr(transformers, architecture or name)(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return model


def _changed(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def _quietly(read, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return read(*args, **options)


def _close(a, b):
    b = b.detach().numpy()
    np.testing.assert_allclose(np.asarray(a), b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


# --- heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_head_of_its_own(tmp_path, kind):
    theirs = _theirs(kind, tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = _quietly(models.from_pretrained, tmp_path / "theirs")
    assert ours.config["tie_word_embeddings"] is False
    with ek.no_grad(), torch.no_grad():
        scores = theirs(torch.tensor(TOKENS)).logits
        _close(ours(TOKENS), scores)
        ours.save_pretrained(tmp_path / "ours")
        _close(_quietly(type(ours).from_pretrained, tmp_path / "ours")(TOKENS), scores)
        again, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        np.testing.assert_allclose(again.eval()(torch.tensor(TOKENS)).logits, scores, rtol=1e-4, atol=1e-4)
    tokens = ours.generate(TOKENS, 5, do_sample=False)
    theirs.generation_config.pad_token_id = theirs.generation_config.eos_token_id = None
    wanted = theirs.generate(torch.tensor(TOKENS), max_new_tokens=5, do_sample=False)
    np.testing.assert_array_equal(tokens, wanted.numpy())
    ek.save(ours, tmp_path / "own.safetensors")
    np.testing.assert_array_equal(ek.load(tmp_path / "own.safetensors").eval().generate(TOKENS, 5), tokens)


def test_a_head_of_its_own_learns():
    model = models.GPT(50, 24, 32, 1, 4, dropout=0.0, tie_word_embeddings=False)
    model.loss(TOKENS[:, :-1], TOKENS[:, 1:]).backward()
    head, table = np.asarray(model.lm_head.weight.grad), np.asarray(model.transformer.wte.weight.grad)
    assert np.abs(head).max() > 0
    assert not table[np.setdiff1d(np.arange(50), TOKENS[:, :-1])].any()  # words not read


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("bert", None),
        ("bert", "BertForPreTraining"),
        ("m2m_100", None),
        ("marian", None),
        ("whisper", None),
    ],
)
def test_heads_of_their_own_are_refused(tmp_path, kind, architecture):
    model = _theirs(kind, architecture, tie_word_embeddings=False)
    model.save_pretrained(tmp_path)
    with pytest.raises(ek.ArgumentError, match="tie_word_embeddings is False"):
        models.from_pretrained(tmp_path)
    # And where the configuration does not say so, by the arrays.
    _changed(tmp_path, tie_word_embeddings=True)
    with pytest.raises(ek.CheckpointError, match="differs from the embedding"):
        models.from_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="arrays that the model does not use"):
        read = models.from_pretrained(tmp_path, strict=False)
    assert read.weights_report.unexpected


@pytest.mark.parametrize("kind", SMALL)
def test_every_array_that_is_left_over_is_told(tmp_path, kind):
    _theirs(kind).save_pretrained(tmp_path)
    read = _quietly(models.from_pretrained, tmp_path)
    assert read.weights_report.unexpected == read.weights_report.missing == ()
    arrays = checkpoint._read(tmp_path / "model.safetensors")[0]
    checkpoint.save({**arrays, "score.weight": np.ones((2, 32), np.float32)}, tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match=r"arrays that the model does not use: score\.weight"):
        read = models.from_pretrained(tmp_path)
    assert read.weights_report.unexpected == ("score.weight",)
    stacks = [name for name in arrays if re.search(r"(h|layers?|block)\.0\.", name)]
    more = {re.sub(r"(h|layers?|block)\.0\.", r"\1.7.", name, count=1): arrays[name] for name in stacks}
    checkpoint.save({**arrays, **more}, tmp_path / "model.safetensors")
    with pytest.raises(ek.CheckpointError, match="is a layer beyond the model's"):
        models.from_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="arrays that the model does not use"):
        assert len(models.from_pretrained(tmp_path, strict=False).weights_report.unexpected) == len(more)


def test_copies_of_the_embedding_are_no_loss(tmp_path):
    theirs = _theirs("gpt2")
    theirs.save_pretrained(tmp_path)
    arrays = checkpoint._read(tmp_path / "model.safetensors")[0]
    arrays["lm_head.weight"] = arrays["transformer.wte.weight"]
    checkpoint.save(arrays, tmp_path / "model.safetensors")
    read = _quietly(models.from_pretrained, tmp_path)
    assert read.config["tie_word_embeddings"]
    arrays["lm_head.weight"] = arrays["lm_head.weight"] * 2
    checkpoint.save(arrays, tmp_path / "model.safetensors")
    with ek.no_grad(), torch.no_grad():
        _close(_quietly(models.from_pretrained, tmp_path)(TOKENS), 2 * theirs(torch.tensor(TOKENS)).logits)


def test_biases_where_the_configuration_says_none(tmp_path):
    """GPT-2 has them there whatever the option, which is ours, says."""
    models.GPT(50, 24, 32, 2, 4, bias=False).save_pretrained(tmp_path)
    assert not _quietly(models.from_pretrained, tmp_path).config["bias"]
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.manual_seed(0)
        for name, parameter in theirs.named_parameters():
            if not name.endswith("ln_f.weight"):
                parameter.copy_(torch.randn_like(parameter) * 0.2)
        theirs.save_pretrained(tmp_path)
        scores = theirs(torch.tensor(TOKENS)).logits
    with ek.no_grad():
        _close(_quietly(models.from_pretrained, tmp_path)(TOKENS), scores)


# --- switches ------------------------------------------------------------------------------------

REFUSED = {
    "gpt2": {
        "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True, "add_cross_attention": True,
    },
    "llama": {"hidden_act": "gelu"},
    "bert": {"hidden_act": "relu", "is_decoder": True, "add_cross_attention": True},
    "t5": {},
    "m2m_100": {"tie_word_embeddings": False},
    "marian": {
        "tie_word_embeddings": False, "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 60,
    },
    "vit": {"qkv_bias": False},
    "clip": {},
    "whisper": {"scale_embedding": True, "tie_word_embeddings": False},
    "wav2vec2-conformer": {"add_adapter": True},
}  # fmt: skip
#: Read in another way than by the tables of names.
HONOURED = {
    "gpt2": "hidden_size max_position_embeddings num_attention_heads num_hidden_layers",
    "llama": "rope_parameters",
    "bert": "classifier_dropout num_labels",
    "t5": "hidden_size dense_act_fn is_gated_act",
    "m2m_100": "",
    "marian": "hidden_size",
    "vit": "num_labels",
    "clip": "text_config vision_config",
    "whisper": "hidden_size num_hidden_layers",
    "wav2vec2-conformer": "position_embeddings_type",
}
#: Of generation, initial values, losses, other architectures, or how the same numbers are computed.
_ELSEWHERE = """_attn_implementation use_cache initializer_range initializer_factor problem_type
    is_encoder_decoder decoder_start_token_id eos_token_id id2label"""
NO_SCORES = {
    "gpt2": """reorder_and_upcast_attn pad_token_id summary_first_dropout summary_last_dropout num_labels
        summary_proj_to_labels summary_use_proj classifier_dropout hidden_dropout attn_pdrop embd_pdrop""",
    "llama": "pad_token_id attention_dropout",
    "bert": "chunk_size_feed_forward pad_token_id",
    "t5": "classifier_dropout num_labels is_decoder",  # each stack has its own
    "m2m_100": "encoder_layerdrop decoder_layerdrop",
    "marian": "encoder_layerdrop decoder_layerdrop attention_dropout activation_dropout is_decoder",
    "vit": "encoder_stride pooler_act pooler_output_size",
    "clip": "num_labels",
    "whisper": """encoder_layerdrop decoder_layerdrop apply_spec_augment mask_feature_length mask_time_length
        mask_feature_min_masks mask_feature_prob mask_time_min_masks mask_time_prob num_labels n_positions
        classifier_proj_size use_weighted_layer_sum""",
    "wav2vec2-conformer": """adapter_kernel_size adapter_stride apply_spec_augment classifier_proj_size
        codevector_dim contrastive_logits_temperature ctc_loss_reduction ctc_zero_infinity layerdrop
        diversity_loss_weight feat_quantizer_dropout mask_feature_length mask_feature_min_masks
        mask_feature_prob mask_time_length mask_time_min_masks mask_time_prob max_source_positions
        num_adapter_layers num_codevector_groups num_codevectors_per_group num_conv_pos_embedding_groups
        num_conv_pos_embeddings num_feat_extract_layers num_labels num_negatives output_hidden_size
        proj_codevector_dim tdnn_dilation tdnn_dim tdnn_kernel use_weighted_layer_sum xvector_output_dim""",
}
_TABLES = {
    "gpt2": ("GPT2",),
    "m2m_100": ("M2M100",),
    "wav2vec2-conformer": ("CONFORMER",),
    "clip": ("CLIP", "CLIP_TEXT", "CLIP_VISION"),
    "marian": ("MARIAN",),
}
#: Equal to the encoder's, or refused.
_SIDES = "decoder_layers decoder_attention_heads decoder_ffn_dim"


@pytest.mark.parametrize("kind", SMALL)
def test_every_switch_of_the_modelling_file_is_accounted_for(kind):
    source = inspect.getsource(inspect.getmodule(getattr(transformers, SMALL[kind][0])))
    read = set(re.findall(r"\bconfig\.(\w+)", source)) - {"to_dict", "get_text_config"}
    names = {
        theirs
        for table in _TABLES.get(kind, (kind.upper(),))
        for theirs in getattr(published, table).values()
    }
    texts = (HONOURED[kind], NO_SCORES[kind], _ELSEWHERE, _SIDES if kind == "marian" else "")
    known = names | set(REFUSED[kind]) | {name for text in texts for name in text.split()}
    assert read - known == set()


@pytest.mark.parametrize(("kind", "switch"), [(kind, name) for kind, own in REFUSED.items() for name in own])
def test_switches_are_refused_by_name(tmp_path, kind, switch):
    _theirs(kind).save_pretrained(tmp_path)
    _changed(tmp_path, **{switch: REFUSED[kind][switch]})
    with pytest.raises(ek.ArgumentError, match=switch):
        models.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("kind", "switch", "value"),
    [
        ("gpt2", "attn_pdrop", 0.3),
        ("gpt2", "embd_pdrop", 0.0),
        ("llama", "attention_dropout", 0.1),
        ("bert", "pad_token_id", 3),
        ("marian", "attention_dropout", 0.1),
        ("marian", "activation_dropout", 0.1),
    ],
)
def test_switches_of_training_alone_are_told(tmp_path, kind, switch, value):
    _theirs(kind, **{switch: value}).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=rf"{switch} is {value}.*scores are the same"):
        models.from_pretrained(tmp_path)


def test_options_by_their_other_names(tmp_path):
    theirs = _theirs("gpt2")
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["num_attention_heads"] = config.pop("n_head")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with ek.no_grad(), torch.no_grad():
        _close(models.from_pretrained(tmp_path)(TOKENS), theirs(torch.tensor(TOKENS)).logits)


# --- what is not used, kept or new ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "architecture", "part"),
    [
        ("vit", "ViTModel", "pooler."),
        ("wav2vec2-conformer", None, "pos_conv_embed."),
        ("wav2vec2-conformer", None, "masked_spec_embed"),
    ],
)
def test_what_no_score_needs_is_written_again(tmp_path, kind, architecture, part):
    theirs = _theirs(kind, architecture)
    theirs.save_pretrained(tmp_path / "theirs")
    read = _quietly(models.from_pretrained, tmp_path / "theirs")
    assert any(part in name for name in read.weights_report.kept)
    assert "kept: " in str(read.weights_report)
    read.save_pretrained(tmp_path / "ours")
    again, report = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for (name, a), b in zip(theirs.state_dict().items(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0, msg=name)


@pytest.mark.parametrize(
    "architecture", ["BertForNextSentencePrediction", "BertForMultipleChoice", "BertLMHeadModel"]
)
def test_architectures_without_a_class_are_refused(tmp_path, architecture):
    theirs = _theirs("bert", architecture)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(ek.ArgumentError, match=f"the architecture is '{architecture}', expected one of"):
        models.from_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="arrays that the model does not use: c"):
        read = models.Bert.from_pretrained(tmp_path)
    assert read.weights_report.unexpected
    with ek.no_grad(), torch.no_grad():
        _close(read(TOKENS)[0], theirs.bert(torch.tensor(TOKENS)).last_hidden_state)


def test_an_encoder_alone_is_refused(tmp_path):
    _theirs("t5", "T5EncoderModel").save_pretrained(tmp_path)
    with pytest.raises(ek.ArgumentError, match="the architecture is 'T5EncoderModel'"):
        models.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "architecture", ["BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering"]
)
def test_a_body_from_the_folder_of_a_head(tmp_path, architecture):
    theirs = _theirs("bert", architecture)
    theirs.save_pretrained(tmp_path)
    new = r"newly initialised: pooler\.dense\.weight, pooler\.dense\.bias"
    with pytest.warns(UserWarning, match=new):
        read = models.Bert.from_pretrained(tmp_path)
    assert read.weights_report.missing == ("pooler.dense.weight", "pooler.dense.bias")
    assert np.abs(np.asarray(read.pooler.dense.weight)).max() > 0
    with ek.no_grad(), torch.no_grad():
        _close(read(TOKENS)[0], theirs.bert(torch.tensor(TOKENS)).last_hidden_state)
    # A folder that says it has a pooler and does not is damaged.
    _changed(tmp_path, architectures=["BertModel"])
    with pytest.raises(ek.CheckpointError, match=r"missing: pooler\.dense"):
        models.Bert.from_pretrained(tmp_path)


@pytest.mark.parametrize("how", ["entry", "option"])
def test_fewer_layers_than_the_file(tmp_path, how):
    _theirs("gpt2").save_pretrained(tmp_path)
    options = {"n_layer": 1} if how == "option" else {}
    if how == "entry":
        _changed(tmp_path, n_layer=1)
    with pytest.raises(ek.CheckpointError, match=r"transformer\.h\.1\..* is a layer beyond the model's"):
        models.from_pretrained(tmp_path, **options)
    with pytest.warns(UserWarning, match=r"does not use: transformer\.h\.1\."):
        models.from_pretrained(tmp_path, strict=False, **options)


def test_lora_of_every_kind(tmp_path):
    for kind in SMALL:
        _theirs(kind).save_pretrained(tmp_path / kind)
        assert models.add_lora(models.from_pretrained(tmp_path / kind), 2), kind


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        {"layer_norm_epsilon": "a"},
        {"layer_norm_epsilon": -1},
        {"layer_norm_epsilon": True},
        {"attn_pdrop": 2},
        {"resid_pdrop": -0.1},
        {"resid_pdrop": "0.1"},
        {"n_layer": 2.5},
        {"n_layer": -1},
        {"vocab_size": "50"},
        {"n_head": True},
    ],
    ids=str,
)
def test_damaged_entries(tmp_path, entry):
    _theirs("gpt2").save_pretrained(tmp_path)
    _changed(tmp_path, **entry)
    (name,) = entry
    with pytest.raises(ek.CheckpointError, match=rf"config\.json: {name} is .*, expected"):
        models.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["n_layer", "vocab_size", "n_positions", "n_inner"])
def test_larger_models_than_the_file_are_not_built(tmp_path, name):
    _theirs("gpt2").save_pretrained(tmp_path)
    _changed(tmp_path, **{name: 10**9})
    for strict in (True, False):
        with pytest.raises(ek.CheckpointError, match=r"config\.json: .*larger model than the file holds"):
            models.from_pretrained(tmp_path, strict=strict)


@pytest.mark.parametrize("kind", ["m2m_100", "marian"])
def test_positions_that_cannot_be_computed(tmp_path, kind):
    _theirs(kind).save_pretrained(tmp_path)
    _changed(tmp_path, max_position_embeddings=10**9)
    with pytest.raises(ek.CheckpointError, match=r"config\.json: max_position_embeddings is 1000000000"):
        models.from_pretrained(tmp_path)


def test_a_damaged_index(tmp_path):
    _theirs("gpt2").save_pretrained(tmp_path, max_shard_size="20KB")
    path = tmp_path / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    for odd in (5, None, ["a"], {}):
        index["weight_map"]["transformer.wte.weight"] = odd
        path.write_text(json.dumps(index))
        with pytest.raises(ek.CheckpointError, match=r"index\.json"):
            models.from_pretrained(tmp_path)


@pytest.mark.parametrize("odd", ["GPT2LMHeadModel", [5], {}, 7])
def test_damaged_architectures(tmp_path, odd):
    _theirs("gpt2").save_pretrained(tmp_path)
    _changed(tmp_path, architectures=odd)
    if odd == {}:
        models.from_pretrained(tmp_path)
        return
    with pytest.raises(ek.CheckpointError, match=r"config\.json: architectures is"):
        models.from_pretrained(tmp_path)
