"""Models written for Hugging Face's transformers: what it reads, and what is read back here."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import einkorn as ek
from einkorn import checkpoint, models, seq

_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_BERT = {"vocab_size": 50, "max_position_embeddings": 24, **_SIZES}
_STACKS = {
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}
_LONG = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_SOUND = {
    "conv_dim": (16, 16),
    "conv_kernel": (10, 3),
    "conv_stride": (5, 2),
    "conv_depthwise_kernel_size": 5,
}

# The class of transformers, and the model.
MODELS = {
    "GPT": ("GPT2LMHeadModel", lambda: models.GPT(50, 24, 32, 2, 4)),
    "GPT, no bias": ("GPT2LMHeadModel", lambda: models.GPT(50, 24, 32, 2, 4, bias=False, n_inner=20)),
    "GPT, relu": ("GPT2LMHeadModel", lambda: models.GPT(50, 24, 32, 2, 4, activation="relu", head_size=8)),
    "Llama": ("LlamaForCausalLM", lambda: models.Llama(50, 32, 48, 2, 4, num_key_value_heads=2)),
    "Llama, all options": (
        "LlamaForCausalLM",
        lambda: models.Llama(
            50, 32, 48, 2, 4, head_dim=6, rope_theta=500.0, rope_scaling=_LONG, rms_norm_eps=1e-4,
            tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
        ),
    ),
    "Llama, linear": (
        "LlamaForCausalLM",
        lambda: models.Llama(50, 32, 48, 1, 4, rope_scaling={"type": "linear", "factor": 2.0}),
    ),
    "Bert": ("BertModel", lambda: models.Bert(**_BERT)),
    "Bert, no pooler": ("BertModel", lambda: models.Bert(**_BERT, add_pooling_layer=False)),
    "BertForMaskedLM": ("BertForMaskedLM", lambda: models.BertForMaskedLM(**_BERT)),
    "BertForPreTraining": ("BertForPreTraining", lambda: models.BertForPreTraining(**_BERT)),
    "BertForSequenceClassification": (
        "BertForSequenceClassification",
        lambda: models.BertForSequenceClassification(5, classifier_dropout=0.3, **_BERT),
    ),
    "BertForTokenClassification": (
        "BertForTokenClassification",
        lambda: models.BertForTokenClassification(3, **_BERT),
    ),
    "BertForQuestionAnswering": (
        "BertForQuestionAnswering",
        lambda: models.BertForQuestionAnswering(**_BERT),
    ),
    "T5": ("T5ForConditionalGeneration", lambda: models.T5(50, 32, 8, 48, 2, 4, num_decoder_layers=1)),
    "T5, 1.1": (
        "T5ForConditionalGeneration",
        lambda: models.T5(
            50, 32, 8, 48, 2, 4, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
            relative_attention_num_buckets=8, relative_attention_max_distance=6,
        ),
    ),
    "M2M100": (
        "M2M100ForConditionalGeneration",
        lambda: models.M2M100(50, 32, 2, 1, max_position_embeddings=24, **_STACKS),
    ),
    "Transformer": (
        "MarianMTModel",
        lambda: models.Transformer(50, 32, 2, 4, 48, max_position_embeddings=24),
    ),
    "Transformer, as Marian": (
        "MarianMTModel",
        lambda: models.Transformer(
            50, 32, 2, 4, 48, max_position_embeddings=24, interleaved=False, output_bias=True,
            activation="silu", pad_token_id=49, decoder_start_token_id=49, scale_embedding=False,
        ),
    ),
    "ViT": ("ViTForImageClassification", lambda: models.ViT(16, 4, 5, 32, 2, 4, 48, hidden_act="relu")),
    "ViT, no head": ("ViTModel", lambda: models.ViT(16, 4, None, 32, 2, 4, 48)),
    "CLIP": (
        "CLIPModel",
        lambda: models.CLIP(
            {"vocab_size": 50, "max_position_embeddings": 12, "eos_token_id": 49, **_SIZES},
            {"image_size": 16, "patch_size": 4, **_SIZES, "hidden_size": 24},
            20,
        ),
    ),
    "Whisper": (
        "WhisperForConditionalGeneration",
        lambda: models.Whisper(
            50, 8, 32, 2, 1, max_source_positions=10, max_target_positions=24, pad_token_id=47, **_STACKS
        ),
    ),
    "Wav2Vec2Conformer": (
        "Wav2Vec2ConformerForCTC",
        lambda: models.Wav2Vec2Conformer(12, **_SIZES, **_SOUND, feat_extract_norm="layer", conv_bias=True),
    ),
    "Wav2Vec2Conformer, rotary": (
        "Wav2Vec2ConformerForCTC",
        lambda: models.Wav2Vec2Conformer(12, **_SIZES, **_SOUND, position_embeddings_type="rotary"),
    ),
}  # fmt: skip


def _made(name):
    """A model whose every array has its own values."""
    model = MODELS[name][1]().eval()
    rng = np.random.default_rng(0)
    for own, parameter in model.named_parameters():
        if "encoder.embed_positions" not in own:
            parameter.data[...] = rng.normal(0, 0.2, parameter.shape)
    for own, array in model.state_dict().items():
        if own.endswith(("running_mean", "running_var")):
            array[...] = rng.uniform(0.5, 2, array.shape)
    return model


def _inputs(name):
    """What the model reads, by the names that transformers has."""
    rng = np.random.default_rng(1)
    tokens, other = rng.integers(4, 45, (2, 3, 9))
    sound = rng.normal(size=(2, 300)).astype(np.float32)
    images = rng.normal(size=(3, 3, 16, 16)).astype(np.float32)
    if name.startswith("CLIP"):
        tokens[:, -1] = 49
        return {"input_ids": tokens, "pixel_values": images}
    if name.startswith("ViT"):
        return {"pixel_values": images}
    if name.startswith("Wav2Vec2"):
        return {"input_values": sound}
    if name.startswith("Whisper"):
        features = rng.normal(size=(3, 8, 20)).astype(np.float32)
        return {"input_features": features, "decoder_input_ids": other}
    if name.startswith(("T5", "M2M100", "Transformer")):
        return {"input_ids": tokens, "decoder_input_ids": other}
    return {"input_ids": tokens}


def _scores(model, name):
    with ek.no_grad():
        out = model(*_inputs(name).values())
    several = out if isinstance(out, tuple) else (out,)
    return [np.asarray(a) for a in several if a is not None]


def _same(a, b):
    assert list(a.state_dict()) == list(b.state_dict())
    for (name, one), other in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("size", ["50GB", "9 kB"])
@pytest.mark.parametrize("name", MODELS)
def test_what_was_written_is_read_back(tmp_path, name, size):
    model = _made(name)
    model.save_pretrained(tmp_path / "new" / "folder", max_shard_size=size)
    folder = tmp_path / "new" / "folder"
    parts = sorted(path.name for path in folder.glob("*.safetensors"))
    if size == "50GB":
        assert parts == ["model.safetensors"]
    else:
        assert parts[0] == f"model-00001-of-{len(parts):05d}.safetensors"
        assert len(parts) > 1
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        assert sorted(set(index["weight_map"].values())) == parts
        for part in parts:
            found = checkpoint._read(folder / part)[0]
            assert len(found) == 1 or sum(a.nbytes for a in found.values()) <= 9000
            assert {key for key, home in index["weight_map"].items() if home == part} == set(found)
        assert index["metadata"]["total_size"] >= sum(a.nbytes for a in model.state_dict().values())
    read = type(model).from_pretrained(folder)
    assert {**read.config, "rope_scaling": 0, "head_size": 0} == {
        **model.config, "rope_scaling": 0, "head_size": 0
    }  # fmt: skip
    _same(model, read)
    for a, b in zip(_scores(model, name), _scores(read, name), strict=True):
        np.testing.assert_array_equal(a, b)
    for option in ("_p", "dropout", "drop"):
        if hasattr(getattr(model, option, None), "p"):
            assert getattr(model, option).p == getattr(read, option).p


@pytest.mark.parametrize("name", MODELS)
def test_transformers_reads_it(tmp_path, name):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model, kind = _made(name), getattr(transformers, MODELS[name][0])
    model.save_pretrained(tmp_path, max_shard_size=20_000)
    theirs, report = kind.from_pretrained(tmp_path, output_loading_info=True)
    left = ("pooler.", "pos_conv_embed.", "masked_spec_embed")  # what ours lacks, and no score needs
    assert all(any(part in key for part in left) for key in report["missing_keys"]), report
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    given = {key: torch.tensor(value) for key, value in _inputs(name).items()}
    with torch.no_grad():
        out = theirs.eval()(**given)
    if name == "ViT, no head":
        expected = [out.last_hidden_state[:, 0]]
    elif name == "Bert, no pooler":
        expected = [out.last_hidden_state]
    elif name == "CLIP":
        expected = [out.logits_per_image, out.logits_per_text]
    elif name == "BertForPreTraining":
        expected = [out.prediction_logits, out.seq_relationship_logits]
    elif name == "BertForQuestionAnswering":
        expected = [out.start_logits, out.end_logits]
    elif name == "Bert":
        expected = [out.last_hidden_state, out.pooler_output]
    else:
        expected = [out.logits]
    own = _scores(model, name)
    assert len(own) == len(expected)
    for a, b in zip(own, expected, strict=True):
        b = b.numpy()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())
    # and what it writes again is ours
    theirs.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again", strict="no pooler" not in name)
    for a, b in zip(own, _scores(again, name), strict=False):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())


def test_generation_is_the_same_there(tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = _made("GPT")
    end = int(model.generate([5, 6, 7], 4)[-1])
    config = seq.GenerationConfig(
        eos_token_id={end}, pad_token_id=np.int64(49), max_new_tokens=8, num_beams=3,
        bad_words_ids=[[3], [4, 5]], sequence_bias={(7,): -1.5},
    )  # fmt: skip
    model.generation_config = config
    model.save_pretrained(tmp_path)
    config.save_pretrained(tmp_path / "alone")
    files = [folder / "generation_config.json" for folder in (tmp_path, tmp_path / "alone")]
    assert files[0].read_bytes() == files[1].read_bytes()
    read = models.from_pretrained(tmp_path)
    wanted = model.generate([[5, 6, 7], [8, 9, 10]])
    np.testing.assert_array_equal(read.generate([[5, 6, 7], [8, 9, 10]]), wanted)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
    out = theirs.generate(torch.tensor([[5, 6, 7], [8, 9, 10]]))
    np.testing.assert_array_equal(out.numpy(), wanted)
    # A model without options leaves those that are there.
    before = files[0].read_bytes()
    model.generation_config = None
    model.save_pretrained(tmp_path)
    assert files[0].read_bytes() == before


def test_what_was_read_is_kept_for_the_next_save(tmp_path):
    model = models.BertForSequenceClassification(3, **_BERT)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    names = {"0": "good", "1": "bad", "2": "so so"}
    own = {"id2label": names, "torch_dtype": "float16", "hub": {"author": "me"}}
    (tmp_path / "config.json").write_text(json.dumps({**config, **own}))
    read = models.from_pretrained(tmp_path)
    read.save_pretrained(tmp_path / "two")
    again = json.loads((tmp_path / "two" / "config.json").read_text())
    assert (again["id2label"], again["hub"], again["dtype"]) == (names, {"author": "me"}, "float32")
    assert "torch_dtype" not in again
    other = models.from_pretrained(tmp_path, architecture="BertModel", strict=False)
    other.save_pretrained(tmp_path / "three")
    assert type(models.from_pretrained(tmp_path / "three")) is models.Bert


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", ["GPT, no bias", "T5", "Transformer"])
def test_other_types(tmp_path, name, dtype):
    model = _made(name).to(ek.bfloat16 if dtype == "bfloat16" else np.float64)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == dtype
    read = models.from_pretrained(tmp_path)
    for (own, one), other in zip(model.state_dict().items(), read.state_dict().values(), strict=True):
        assert other.dtype == (np.float64 if dtype == "float64" else np.float32)
        np.testing.assert_array_equal(np.asarray(one, other.dtype), other, err_msg=own)


def test_saves_over_saves(tmp_path):
    """Parts of an earlier save go, files of others stay, and each time what was written last is read."""
    (tmp_path / "vocab.txt").write_text("a")
    for seed, size in enumerate(("50GB", "9KB", "20KiB", 10**9, "9KB")):
        model = models.GPT(50, 24, 32, 2, 4)
        ek.manual_seed(seed)
        model.reset_parameters()
        model.save_pretrained(tmp_path, max_shard_size=size)
        _same(model, models.from_pretrained(tmp_path))
        names = {path.name for path in tmp_path.glob("*.safetensors")}
        index = tmp_path / "model.safetensors.index.json"
        assert ("model.safetensors" in names) == (not index.exists())
        if index.exists():
            assert names == set(json.loads(index.read_text())["weight_map"].values())
    assert (tmp_path / "vocab.txt").read_text() == "a"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("size", ["50GB", "9KB"])
@pytest.mark.parametrize("which", range(6))
def test_a_save_that_fails_leaves_what_was_there(tmp_path, monkeypatch, size, which):
    model = _made("GPT")
    model.generation_config = seq.GenerationConfig(max_new_tokens=3)
    model.save_pretrained(tmp_path, max_shard_size=size)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = models.GPT(50, 24, 32, 2, 4)
    other.generation_config = model.generation_config
    calls = []
    sync = os.fsync

    def full(number):
        calls.append(number)
        if len(calls) > which % len(before):
            raise OSError(28, "No space left on device")
        sync(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ek.CheckpointError, match="cannot be written: No space left"):
        other.save_pretrained(tmp_path, max_shard_size=size)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    _same(model, models.from_pretrained(tmp_path))


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("sizes", [("30KB", "30KB"), ("30KB", "50GB"), ("50GB", "30KB"), ("50GB", "50GB")])
def test_a_save_that_stops_anywhere_leaves_one_model_whole(tmp_path, monkeypatch, sizes, kill):
    """At every rename and removal; killed: nothing is tidied up behind it either."""
    monkeypatch.setattr(os, "fsync", lambda number: None)  # hundreds of saves need not reach the disk
    old, new = models.GPT(50, 24, 32, 2, 4), _made("GPT")
    every = [name for name, _ in new.named_parameters()]
    stopped = seen = 0
    while True:
        folder = tmp_path / str(stopped)
        old.save_pretrained(folder, max_shard_size=sizes[0])
        calls = []

        def step(real, *args, calls=calls, last=stopped, **options):
            calls.append(args)
            if len(calls) == last + 1 or (kill and len(calls) > last):
                raise _StoppedError
            return real(*args, **options)

        with monkeypatch.context() as patch:
            for owner, name in ((os, "replace"), (os, "unlink"), (Path, "unlink")):
                real = getattr(owner, name)
                patch.setattr(owner, name, lambda *a, real=real, **o: step(real, *a, **o))
            try:
                new.save_pretrained(folder, max_shard_size=sizes[1])
                whole = not calls[stopped:]
            except _StoppedError:
                whole = False
        read = models.from_pretrained(folder)
        got = dict(read.named_parameters())
        sides = [
            all(np.array_equal(np.asarray(got[n]), np.asarray(dict(m.named_parameters())[n])) for n in every)
            for m in (old, new)
        ]
        assert sorted(sides) == [False, True]
        seen += sides[0]
        # The next save tidies up.
        new.save_pretrained(folder, max_shard_size=sizes[1])
        _same(new, models.from_pretrained(folder))
        index = folder / "model.safetensors.index.json"
        names = {path.name for path in folder.glob("*.safetensors")}
        expected = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else None
        assert names == (expected or {"model.safetensors"})
        if whole:
            break
        stopped += 1
    assert stopped > 1
    assert seen


def test_transformers_reads_what_was_saved_over_parts(tmp_path):
    transformers = pytest.importorskip("transformers")
    for size in ("9KB", "9KB", "50GB", "9KB"):
        model = models.GPT(50, 24, 32, 2, 4)
        model.save_pretrained(tmp_path, max_shard_size=size)
        theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
        wanted = np.asarray(model.state_dict()["transformer.wte.weight"])
        np.testing.assert_array_equal(theirs.transformer.wte.weight.detach().numpy(), wanted)


def test_two_threads_save_into_one_folder(tmp_path):
    both = [_made("GPT"), models.GPT(50, 24, 32, 2, 4)]

    def save(model):
        for size in ("9KB", "50GB", "9KB"):
            model.save_pretrained(tmp_path, max_shard_size=size)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(save, both))
    read = models.from_pretrained(tmp_path).state_dict()
    fits = [all(np.array_equal(a, read[n]) for n, a in model.state_dict().items()) for model in both]
    assert sum(fits) == 1
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert {path.name for path in tmp_path.glob("*.safetensors")} == set(index["weight_map"].values())


def _generated(theirs, name, torch, **options):
    given = {key: torch.tensor(a) for key, a in _inputs(name).items() if not key.startswith("decoder")}
    if name == "Whisper":  # its own way asks for a tokenizer's tokens, and for windows of its size
        kind = type(theirs).__mro__[1]
        return super(kind, theirs).generate(**given, **options).numpy()
    return theirs.generate(**given, **options).numpy()


_WRITERS = ["GPT", "Llama", "T5", "M2M100", "Transformer", "Whisper"]


@pytest.mark.parametrize("name", _WRITERS)
def test_transformers_writes_the_same_with_what_was_saved(tmp_path, name):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model, kind = _made(name), getattr(transformers, MODELS[name][0])
    given = next(iter(_inputs(name).values()))
    model.save_pretrained(tmp_path / "none")
    theirs = kind.from_pretrained(tmp_path / "none")
    wanted = model.generate(given, 8)
    np.testing.assert_array_equal(_generated(theirs, name, torch, max_new_tokens=8, do_sample=False), wanted)
    # A file's entries go before config.json's, a call's before these; what is unknown is kept.
    end = int(wanted[0, -2])
    own = {"decoder_start_token_id": 5, "eos_token_id": end, "max_new_tokens": 7, "bos_token_id": 3}
    odd = {"lang_to_id": {"<|en|>": 9}, "task_to_id": {"transcribe": 8}, "no_timestamps_token_id": 30}
    odd |= {"is_multilingual": True, "transformers_version": "4.1", "forced_decoder_ids": None}
    (tmp_path / "none" / "generation_config.json").write_text(json.dumps({**own, **odd}))
    read = models.from_pretrained(tmp_path / "none")
    read.generation_config.options["top_k"] = 7
    read.save_pretrained(tmp_path / "own")
    kept = json.loads((tmp_path / "own" / "generation_config.json").read_text())
    assert {**kept, **own, **odd, "top_k": 7} == kept
    again = models.from_pretrained(tmp_path / "own")
    theirs = kind.from_pretrained(tmp_path / "own")
    assert theirs.generation_config.lang_to_id == odd["lang_to_id"]
    for model in (read, again):
        np.testing.assert_array_equal(_generated(theirs, name, torch, do_sample=False), model.generate(given))
    if name not in ("GPT", "Llama"):
        assert (again.generate(given)[:, 0] == 5).all()
        starts = [7, 8, 9]
        out = again.generate(given, decoder_start_token_id=starts)
        np.testing.assert_array_equal(out[:, 0], starts)
        options = {"decoder_start_token_id": torch.tensor(starts), "do_sample": False}
        np.testing.assert_array_equal(_generated(theirs, name, torch, **options), out)
        config = seq.GenerationConfig(decoder_start_token_id=6, max_new_tokens=2)
        assert (again.generate(given, generation_config=config)[:, 0] == 6).all()
        with pytest.raises(ek.ArgumentError, match="decoder_start_token_id is"):
            again.generate(given, decoder_start_token_id=[1, 2])


def test_whispers_start_token_is_that_of_its_folder(tmp_path):
    model = models.Whisper(50, 8, 32, 1, 1, max_source_positions=10, decoder_start_token_id=9, **_STACKS)
    model.save_pretrained(tmp_path)
    read = models.from_pretrained(tmp_path)
    assert read.decoder_start_token_id == read.config["decoder_start_token_id"] == 9
    (tmp_path / "generation_config.json").unlink()
    assert (
        models.from_pretrained(tmp_path).generate(_inputs("Whisper")["input_features"], 2)[:, 0] == 9
    ).all()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "decoder_start_token_id": 50258}))
    assert models.from_pretrained(tmp_path).decoder_start_token_id == 49  # what it has not cannot be said
    with pytest.raises(ek.ArgumentError, match="decoder_start_token_id is 50, expected 0 to 49"):
        models.Whisper(50, 8, 32, 1, 1, decoder_start_token_id=50, **_STACKS)


def test_refusals(tmp_path):
    gpt = models.GPT(50, 24, 32, 1, 4)
    for size in (0, -5, 2.5, True, "5", "GB", "0GB", None, "5 EB"):
        with pytest.raises(ek.ArgumentError, match=r"GPT\.save_pretrained: max_shard_size is"):
            gpt.save_pretrained(tmp_path, max_shard_size=size)
    with pytest.raises(ek.ArgumentError, match="save_directory is 5"):
        gpt.save_pretrained(5)
    for save in (gpt.save_pretrained, seq.GenerationConfig().save_pretrained):
        with pytest.raises(ek.ArgumentError, match="save_directory is '', expected the path of a folder"):
            save("")
    (tmp_path / "file").write_text("")
    with pytest.raises(ek.CheckpointError, match="file: is no folder"):
        gpt.save_pretrained(tmp_path / "file")
    with pytest.raises(ek.CheckpointError, match="in GPT-2's files n_embd / n_head, here 32 / 4"):
        models.GPT(50, 24, 32, 1, 4, head_size=12).save_pretrained(tmp_path)
    with pytest.raises(ek.CheckpointError, match=r"Bahdanau\.save_pretrained: there is no published kind"):
        models.Bahdanau(20, 20, 8, 8, 8).save_pretrained(tmp_path)
    with pytest.raises(ek.CheckpointError, match=r"RecurrentLM\.save_pretrained: there is no published kind"):
        models.RecurrentLM(20, 8, 8).save_pretrained(tmp_path)

    class Own(models.GPT):
        pass

    with pytest.raises(ek.CheckpointError, match=r"Own\.save_pretrained: there is no published kind"):
        Own(50, 24, 32, 1, 4).save_pretrained(tmp_path)
    with pytest.raises(ek.CheckpointError, match="merge_lora takes adapters away"):
        models.quantize(gpt).save_pretrained(tmp_path)
    models.add_lora(gpt, 2)
    with pytest.raises(ek.CheckpointError, match="merge_lora takes adapters away"):
        gpt.save_pretrained(tmp_path)
    models.merge_lora(gpt).save_pretrained(tmp_path / "merged")
    _same(gpt, models.from_pretrained(tmp_path / "merged"))
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["file", "merged"]
