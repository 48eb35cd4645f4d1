"""Generation by options of transformers: contrast, stop strings, configurations, eight bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, seq

PROMPTS = np.array([[1, 2, 3], [4, 5, 6]])


def _gpt(**options):
    ek.manual_seed(0)
    return models.GPT(50, 32, 16, 2, 2, dropout=0.0, **options).eval()


def _contrastive(model, row, count, alpha, k):
    """By the formula, in float64, without a cache."""
    row = list(row)
    for _ in range(count):
        with ek.no_grad():
            scores = np.asarray(model(np.array([row]), last=True))[0].astype(np.float64)
        likely = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        worth = {}
        for token in np.argsort(-likely)[:k]:
            with ek.no_grad():
                h = np.asarray(model.last_hidden(np.array([[*row, token]])))[0].astype(np.float64)
            h /= np.linalg.norm(h, axis=1, keepdims=True)
            worth[int(token)] = (1 - alpha) * likely[token] - alpha * (h[:-1] @ h[-1]).max()
        row.append(max(worth, key=worth.__getitem__))
    return row


@pytest.mark.parametrize(
    "make",
    [
        _gpt,
        lambda: models.Llama(50, 16, 32, 2, 4, num_key_value_heads=2).eval(),
        lambda: models.RecurrentLM(50, 12, 16).eval(),
    ],
)
def test_contrastive_search_is_the_formula(make):
    ek.manual_seed(0)
    model = make()
    out = model.generate(PROMPTS, 8, penalty_alpha=0.6, top_k=4)
    np.testing.assert_array_equal(out, [_contrastive(model, row, 8, 0.6, 4) for row in PROMPTS])
    np.testing.assert_array_equal(model.generate(PROMPTS, 8, penalty_alpha=0.0), model.generate(PROMPTS, 8))


def test_contrastive_search_of_filled_prompts_and_its_end():
    model = _gpt()
    mask = np.array([[0, 1, 1], [1, 1, 1]])
    options = {"penalty_alpha": 0.6, "top_k": 4}
    out = model.generate(PROMPTS, 8, attention_mask=mask, **options)
    np.testing.assert_array_equal(out[0, 1:], model.generate(PROMPTS[0, 1:], 8, **options))
    end = int(out[1, 5])
    seen = []
    short = model.generate(PROMPTS[1], 8, eos_token_id=end, streamer=seen.append, **options)
    np.testing.assert_array_equal(short, out[1, : int(np.flatnonzero(out[1, 3:] == end)[0]) + 4])
    np.testing.assert_array_equal(np.concatenate(seen), short[3:])


def test_an_interrupted_contrastive_search_keeps_what_it_has():
    seen = []

    def stop(new):
        seen.append(new)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(seq.GenerationInterrupted) as caught:
        _gpt().generate(PROMPTS, 8, penalty_alpha=0.6, top_k=4, streamer=stop)
    np.testing.assert_array_equal(caught.value.tokens[:, 3:], np.stack(seen, 1))


class _Letters:
    def decode(self, tokens):
        return "".join(chr(ord("A") + token) for token in tokens)


def test_texts_that_end_a_sequence():
    model = _gpt()
    whole = model.generate(PROMPTS, 12)
    written = _Letters().decode(whole[0, 3:])
    stop = written[3:5]
    out = model.generate(PROMPTS[0], 12, stop_strings=stop, tokenizer=_Letters())
    end = written.index(stop) + 2
    np.testing.assert_array_equal(out, whole[0, : 3 + end])
    both = model.generate(PROMPTS, 12, stop_strings=[stop, "never"], tokenizer=_Letters(), pad_token_id=49)
    np.testing.assert_array_equal(both[0, : 3 + end], out)
    assert (both[0, 3 + end :] == 49).all()


def test_a_length_of_all_tokens():
    model = _gpt()
    np.testing.assert_array_equal(model.generate(PROMPTS, max_length=9), model.generate(PROMPTS, 6))
    for options, message in (
        ({"max_length": 3}, "max_length is 3, expected an int from 4"),
        ({"max_length": 9, "max_new_tokens": 2}, "expected one of them"),
    ):
        with pytest.raises(ek.ArgumentError, match=message):
            model.generate(PROMPTS, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty_alpha": 2.0}, "penalty_alpha is 2.0"),
        ({"penalty_alpha": 0.5, "num_beams": 2}, "contrastive search neither draws nor has beams"),
        ({"penalty_alpha": 0.5, "do_sample": True}, "contrastive search neither draws nor has beams"),
        ({"stop_strings": "a"}, "expected texts that are not empty, a tokenizer"),
        ({"stop_strings": [""], "tokenizer": _Letters()}, "expected texts that are not empty"),
        ({"generation_config": 7}, "generation_config is a int"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ek.ArgumentError, match=message):
        _gpt().generate(PROMPTS, 4, **options)


def test_encoder_decoders_have_no_contrast():
    model = models.Transformer(20, 16, 1, 2, 16, dropout=0.0)
    with pytest.raises(ek.ArgumentError, match="is no decoder alone"):
        model.generate([2, 3], 3, penalty_alpha=0.5)


def test_options_under_one_name():
    model = _gpt()
    config = seq.GenerationConfig(max_new_tokens=5, num_beams=3, no_repeat_ngram_size=2)
    wanted = model.generate(PROMPTS, 5, num_beams=3, no_repeat_ngram_size=2)
    np.testing.assert_array_equal(model.generate(PROMPTS, generation_config=config), wanted)
    np.testing.assert_array_equal(model.generate(PROMPTS, generation_config=config.to_dict()), wanted)
    longer = model.generate(PROMPTS, max_length=10, generation_config=config)  # the call's goes before
    assert longer.shape == (2, 10)
    model.generation_config = config
    np.testing.assert_array_equal(model.generate(PROMPTS), wanted)
    assert repr(seq.GenerationConfig(top_k=3)) == "GenerationConfig(top_k=3)"
    with pytest.raises(ek.ArgumentError, match="'max_tokens' is no option of generate"):
        seq.GenerationConfig(max_tokens=3)


def _folder(path, model, kind, **config):
    names = {**model.state_dict()}
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    arrays = {n: np.ascontiguousarray(a.T) if n.endswith(turned) else np.asarray(a) for n, a in names.items()}
    ek.save(arrays, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"model_type": kind, **config}))


def test_a_published_model_brings_its_options(tmp_path):
    model = _gpt()
    sizes = {"vocab_size": 50, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    _folder(tmp_path, model, "gpt2", **sizes)
    end = int(model.generate(PROMPTS[0], 6)[5])
    found = {
        "eos_token_id": end,
        "max_length": 12,
        "transformers_version": "5",
        "bad_words_ids": [[7], [1, 2]],
    }
    (tmp_path / "generation_config.json").write_text(json.dumps(found))
    read = models.GPT.from_pretrained(tmp_path)
    assert read.generation_config.to_dict() == {
        "max_length": 12,
        "suppress_tokens": [7],
        "eos_token_id": end,
    }
    np.testing.assert_array_equal(
        read.generate(PROMPTS), model.generate(PROMPTS, 9, suppress_tokens=[7], eos_token_id=end)
    )
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 50256, "top_k": 5}))
    assert models.from_pretrained(tmp_path).generation_config.to_dict() == {"top_k": 5}
    (tmp_path / "generation_config.json").write_text("[")
    with pytest.raises(ek.CheckpointError, match="no readable JSON"):
        models.from_pretrained(tmp_path)


def test_classes_read_their_own_folders(tmp_path):
    _folder(tmp_path, _gpt(), "gpt2", vocab_size=50, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    assert type(models.GPT.from_pretrained(tmp_path)) is models.GPT
    with pytest.raises(ek.ArgumentError, match=r"T5.from_pretrained: .*model_type is 'gpt2', expected 't5'"):
        models.T5.from_pretrained(tmp_path)
    with pytest.raises(ek.ArgumentError, match=r"Bahdanau\.from_pretrained: there are no published files"):
        models.Bahdanau.from_pretrained(tmp_path)
    with pytest.raises(ek.CheckpointError, match="there is no such file"):
        models.Whisper.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.GPT(60, 32, 64, 2, 4, dropout=0.0),
        lambda: models.Llama(60, 64, 128, 2, 4, num_key_value_heads=2),
        lambda: models.Transformer(60, 64, 1, 4, 128, dropout=0.0),
        lambda: models.T5(60, 64, 16, 128, 1, num_heads=4, dropout_rate=0.0),
        lambda: models.Bahdanau(60, 60, 32, 32, 32),
    ],
)
def test_eight_bits_write_nearly_the_same(make):
    ek.manual_seed(0)
    model = make().eval()
    small = models.quantize(model)
    tokens = np.random.default_rng(0).integers(2, 60, (3, 7))
    given = (tokens,) if isinstance(model, models.CausalLM) else (tokens, tokens)
    with ek.no_grad():
        whole, rounded = np.asarray(model(*given)), np.asarray(small(*given))
    assert 0 < np.abs(whole - rounded).max() < 0.1 * np.abs(whole).max()
    assert small.small_head.weight.dtype == np.int8
    assert model.small_head is None
    out = small.generate(tokens, 5)
    np.testing.assert_array_equal(small.generate(tokens, 5, use_cache=False), out)


def test_only_models_that_write_have_small_heads():
    with pytest.raises(ek.ArgumentError, match="model is Linear, expected a CausalLM"):
        models.quantize(ek.nn.Linear(3, 3))
