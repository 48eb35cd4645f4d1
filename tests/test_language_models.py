"""Decoders and encoders of text: generation, beams, published files, sizes, refusals."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

import einkorn as ek
from einkorn import models
from einkorn.seq import Cache, GenerationInterrupted, generate, keep_top_k, keep_top_p, sample

PROMPTS = np.random.default_rng(5).integers(0, 23, (3, 7))
RAGGED = np.ones(PROMPTS.shape, int)
RAGGED[1, :4] = 0


def _gpt(seed=0, **options):
    ek.manual_seed(seed)
    model = models.GPT(23, 24, 16, 2, 4, **options).eval()
    for parameter in model.parameters():  # sharper than initial values, so that the best token is clear
        parameter.data *= 8
    return model


def _llama():
    ek.manual_seed(1)
    model = models.Llama(23, 16, 24, 2, 4, num_key_value_heads=2, max_position_embeddings=24).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= 8
    return model


DECODERS = pytest.mark.parametrize("make", [_gpt, _llama])


@DECODERS
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": 5}])
def test_the_cache_changes_nothing(make, options):
    model = make()
    results = []
    for cached in (True, False):
        ek.manual_seed(3)
        results.append(model.generate(PROMPTS, 9, attention_mask=RAGGED, use_cache=cached, **options))
    np.testing.assert_array_equal(*results)
    assert results[0].shape == (3, 16)


@DECODERS
def test_a_prompt_filled_up_is_continued_as_it_is_alone(make):
    model = make()
    together = model.generate(PROMPTS, 9, attention_mask=RAGGED)
    alone = model.generate(PROMPTS[1, 4:], 9)
    np.testing.assert_array_equal(together[1, 4:], alone)


@DECODERS
def test_the_most_likely_token_is_that_of_the_scores(make):
    model = make()
    out = model.generate(PROMPTS, 5)
    with ek.no_grad():
        scores = model(out).numpy()
    np.testing.assert_array_equal(scores[:, 6:-1].argmax(-1), out[:, 7:])


def test_beams_find_what_enumeration_finds():
    """As many beams as there are beginnings: nothing is left out."""
    model, room, vocabulary = _gpt(), 3, 23
    prompt = PROMPTS[:1, :2]
    endings = np.array(list(itertools.product(range(vocabulary), repeat=room)))
    with ek.no_grad():
        first = ek.ops.log_softmax(model(prompt), -1).numpy()[0, -1]
        second = ek.ops.log_softmax(
            model(np.concatenate([np.repeat(prompt, vocabulary, 0), np.arange(vocabulary)[:, None]], 1)), -1
        ).numpy()[:, -1]
        pairs = np.array(list(itertools.product(range(vocabulary), repeat=2)))
        third = ek.ops.log_softmax(
            model(np.concatenate([np.repeat(prompt, len(pairs), 0), pairs], 1)), -1
        ).numpy()[:, -1]
    totals = (
        first[endings[:, 0]]
        + second[endings[:, 0], endings[:, 1]]
        + third[endings[:, 0] * vocabulary + endings[:, 1], endings[:, 2]]
    )
    best = endings[np.argsort(-totals)[:4]]
    found = model.generate(prompt, room, num_beams=vocabulary**2, num_return_sequences=4)
    np.testing.assert_array_equal(found[:, 2:], best)


def test_an_end_stops_a_sequence_and_is_filled_up():
    model = _gpt()
    free = model.generate(PROMPTS, 9)
    end = int(free[0, 9])
    out = model.generate(PROMPTS, 9, eos_token_id=end, pad_token_id=22)
    for row, own in zip(out, free, strict=True):
        stops = np.flatnonzero(own[7:] == end)
        length = 7 + stops[0] + 1 if len(stops) else len(own)
        np.testing.assert_array_equal(row[:length], own[:length])
        assert (row[length:] == 22).all()


def test_no_ngram_is_repeated_and_tokens_become_less_likely():
    model = _gpt()
    plain = model.generate(PROMPTS, 15)
    grams = [tuple(g) for g in np.lib.stride_tricks.sliding_window_view(plain[0], 2)]
    assert len(set(grams)) < len(grams)
    for beams in (1, 3):
        for row in model.generate(PROMPTS, 15, no_repeat_ngram_size=2, num_beams=beams):
            grams = [tuple(g) for g in np.lib.stride_tricks.sliding_window_view(row, 2)][6:]
            assert len(set(grams)) == len(grams)
    distinct = [len(set(model.generate(PROMPTS[0], 15, repetition_penalty=p))) for p in (1.0, 5.0)]
    assert distinct[1] > distinct[0]


def test_draws_are_those_of_the_seed_and_of_the_generator():
    model = _gpt()
    ek.manual_seed(4)
    before = ek.random.get_state()
    first = model.generate(PROMPTS, 9, do_sample=True, generator=ek.Generator(7), num_return_sequences=2)
    assert first.shape == (6, 16)
    assert ek.random.get_state() == before
    np.testing.assert_array_equal(
        first,
        model.generate(PROMPTS, 9, do_sample=True, generator=ek.Generator(7), num_return_sequences=2),
    )


def test_what_may_be_drawn():
    scores = np.log(np.array([[0.1, 0.4, 0.3, 0.2]], np.float32))
    assert np.isfinite(keep_top_k(scores.copy(), 2)).tolist() == [[False, True, True, False]]
    assert np.isfinite(keep_top_p(scores.copy(), 0.6)).tolist() == [[False, True, True, False]]
    assert np.isfinite(keep_top_p(scores.copy(), 0.01)).tolist() == [[False, True, False, False]]
    ek.manual_seed(0)
    drawn = np.bincount(sample(np.repeat(scores, 20000, 0)), minlength=4) / 20000
    np.testing.assert_allclose(drawn, [0.1, 0.4, 0.3, 0.2], atol=0.015)
    with pytest.raises(ek.ArgumentError, match="NaN, or no token"):
        sample(np.full((1, 3), np.nan, np.float32))


def test_a_full_context_slides_where_asked():
    model = _gpt()
    with pytest.raises(ek.ArgumentError, match=r"a prompt of 7 and max_new_tokens of 30 exceed .* 24"):
        model.generate(PROMPTS, 30)
    out = model.generate(PROMPTS, 30, slide=True)
    with ek.no_grad():
        last = model(out[:, -25:-1]).numpy()[:, -1].argmax(-1)
    np.testing.assert_array_equal(out[:, -1], last)


def test_ctrl_c_keeps_what_was_generated():
    seen = []

    def stop(tokens):
        seen.append(tokens)
        if len(seen) == 4:
            raise KeyboardInterrupt

    model = _gpt().train()
    with pytest.raises(GenerationInterrupted) as caught:
        generate(model, PROMPTS, 9, streamer=stop)
    np.testing.assert_array_equal(caught.value.tokens[:, 7:], np.stack(seen, 1))
    assert model.training


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        (np.zeros((0, 3), int), {}, "none of them 0"),
        (np.zeros((2, 0), int), {}, "none of them 0"),
        (np.ones((2, 3)), {}, "expected integers"),
        ([[1, 23]], {}, "input_ids have 23, expected 0 to 22"),
        ([[-1, 2]], {}, "input_ids have -1"),
        (PROMPTS, {"max_new_tokens": 0}, "max_new_tokens is 0"),
        (PROMPTS, {"temperature": 0.0}, "temperature is 0.0"),
        (PROMPTS, {"top_p": 1.5}, "top_p is 1.5"),
        (PROMPTS, {"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences is 3"),
        (PROMPTS, {"num_beams": 2, "do_sample": True, "temperature": 1e-9}, "at least 1e-5 with beams"),
        (PROMPTS, {"attention_mask": RAGGED[:, ::-1]}, "fill prompts up on the left"),
        (PROMPTS, {"attention_mask": RAGGED[:2]}, "attention_mask has shape"),
        (PROMPTS, {"early_stopping": "soon"}, "early_stopping is 'soon'"),
    ],
)
def test_refusals(tokens, options, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError), match=message):
        _gpt().generate(tokens, **options)


def test_a_cache_of_a_fixed_size():
    cache = Cache(4)
    a = np.ones((1, 2, 3, 5), np.float32)
    assert cache.append(0, a, a)[0].shape == (1, 2, 3, 5)
    with pytest.raises(ek.ShapeError, match=r"expected \(1, 2, tokens, 5\)"):
        cache.append(0, a[:, :, :1, :4], a[:, :, :1])
    with pytest.raises(ek.ArgumentError, match="5 tokens, but it was made for 4"):
        cache.append(0, a[:, :, :2], a[:, :, :2])
    cache.crop(1)
    assert cache.append(0, a, a)[1].shape == (1, 2, 4, 5)


def test_the_loss_is_the_cross_entropy_of_the_scores():
    model = _gpt()
    labels = np.roll(PROMPTS, -1, 1)
    labels[:, -1] = -100
    loss = model.loss(PROMPTS, labels)
    scores = model(PROMPTS)
    expected = ek.ops.cross_entropy(ek.ops.reshape(scores, (-1, 23)), labels.ravel(), ignore_index=-100)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def _count(model):
    return sum(p.numel() for p in model.parameters())


def test_published_sizes():
    """Without the arrays of the larger ones: what a block has, times the blocks."""
    assert _count(models.GPT()) == 124_439_808
    assert models.GPT.of_size("125M", vocab_size=8).config["head_size"] == 64
    for layers, width, heads, head in models.GPT_SIZES.values():
        small = models.GPT(8, 8, width // 64, 1, heads, head_size=2)
        inner, n = heads * 2, width // 64
        block = n * 3 * inner + 3 * inner + inner * n + n + 8 * n * n + 5 * n + 4 * n
        assert _count(small) == 16 * n + block + 2 * n
        assert layers * heads * head > 0
    assert _count(models.Bert()) == 109_482_240


# --- files ---------------------------------------------------------------------------------------


def _published(folder, shards=1):
    """A GPT-2 as its files have it: matrices [in, out], the head's matrix once more, masks."""
    model = _gpt()
    state = {}
    for name, array in model.state_dict().items():
        turned = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        state[name.removeprefix("transformer.")] = np.ascontiguousarray(array.T if turned else array)
    state["h.0.attn.bias"] = np.tril(np.ones((1, 1, 24, 24), np.float32))
    config = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": 23,
        "n_positions": 24,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
    }
    (folder / "config.json").write_text(json.dumps(config))
    names = sorted(state)
    if shards == 1:
        ek.save(state, folder / "model.safetensors")
        return model
    parts = {name: f"part{i % shards}.safetensors" for i, name in enumerate(names)}
    for part in set(parts.values()):
        ek.save({n: state[n] for n in names if parts[n] == part}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    return model


@pytest.mark.parametrize("shards", [1, 3])
def test_a_published_folder(tmp_path, shards):
    model = _published(tmp_path, shards)
    read = models.from_pretrained(tmp_path)
    assert type(read) is models.GPT
    assert not read.training
    assert read.weights_report.missing == read.weights_report.mismatched == ()
    with ek.no_grad():
        np.testing.assert_array_equal(read(PROMPTS).numpy(), model(PROMPTS).numpy())
    ek.save(read, tmp_path / "own.safetensors")
    again = ek.load(tmp_path / "own.safetensors").eval()
    np.testing.assert_array_equal(again.generate(PROMPTS, 4), model.generate(PROMPTS, 4))


def test_folders_that_do_not_fit(tmp_path):
    with pytest.raises(ek.CheckpointError, match="there is no such file"):
        models.from_pretrained(tmp_path)
    _published(tmp_path, 2)
    config = json.loads((tmp_path / "config.json").read_text())

    def given(**changes):
        (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
        return models.from_pretrained(tmp_path)

    with pytest.raises(ek.ArgumentError, match="model_type is 'mamba'"):
        given(model_type="mamba")
    with pytest.raises(ek.CheckpointError, match=r"mismatched: transformer\.wte\.weight"):
        given(vocab_size=24)
    with pytest.raises(ek.CheckpointError, match=r"missing: transformer\.h\.2"):
        given(n_layer=3)
    with pytest.raises(ek.ArgumentError, match="activation is 'swish'"):
        given(activation_function="swish")
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(ek.CheckpointError, match="no readable JSON"):
        models.from_pretrained(tmp_path)
    given()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret"}}))
    with pytest.raises(ek.CheckpointError, match="expected files of the same folder"):
        models.from_pretrained(tmp_path)


def test_bert_heads():
    config = {
        "vocab_size": 23,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 16,
    }
    tokens = PROMPTS[:, ::-1]
    shapes = {
        "bert_masked_lm": [(3, 7, 23)],
        "bert_pre_training": [(3, 7, 23), (3, 2)],
        "bert_sequence_classification": [(3, 2)],
        "bert_token_classification": [(3, 7, 2)],
        "bert_question_answering": [(3, 7), (3, 7)],
    }
    for name, expected in shapes.items():
        out = models.build(name, **config).eval()(tokens, RAGGED[:, ::-1])
        assert [o.shape for o in (out if isinstance(out, tuple) else (out,))] == expected
    model = models.build("bert_pre_training", **config).eval()
    labels = np.where(tokens > 11, tokens, -100)
    scores, follows = model(tokens)
    expected = ek.ops.cross_entropy(ek.ops.reshape(scores, (-1, 23)), labels.ravel(), ignore_index=-100)
    expected = expected + ek.ops.cross_entropy(follows, np.array([0, 1, 1]))
    loss = model.loss(tokens, labels, next_sentence_label=np.array([0, 1, 1]))
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    with pytest.raises(ek.ArgumentError, match="17 tokens exceed"):
        model(np.zeros((1, 17), int))
