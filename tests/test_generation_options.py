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
        ({"generation_config": {"num_beam": 3}}, "generation_config: 'num_beam' is no option"),
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
    shorter = model.generate(PROMPTS, max_length=10, generation_config=config)  # as transformers has it
    assert shorter.shape == (2, 8)
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
        "bad_words_ids": [[7], [1, 2]],
        "eos_token_id": end,
    }
    np.testing.assert_array_equal(
        read.generate(PROMPTS), model.generate(PROMPTS, 9, bad_words_ids=[[7], [1, 2]], eos_token_id=end)
    )
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 50256, "top_k": 5}))
    assert models.from_pretrained(tmp_path).generation_config.to_dict() == {"top_k": 5}
    for name, value in (
        ("num_beams", "x"),
        ("eos_token_id", "</s>"),
        ("eos_token_id", [1, "a"]),
        ("do_sample", 1),
        ("temperature", [0.5]),
        ("bad_words_ids", [3]),
        ("max_length", True),
        ("decoder_start_token_id", 1.5),
    ):
        (tmp_path / "generation_config.json").write_text(json.dumps({name: value}))
        with pytest.raises(ek.CheckpointError, match=rf"generation_config\.json: {name} is"):
            models.from_pretrained(tmp_path)
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


class _Streamer:
    """As ``TextStreamer`` of transformers: ``put`` gets prompts and tokens, ``end`` comes once."""

    def __init__(self):
        self.told = []

    def put(self, tokens):
        self.told.append(np.asarray(tokens).tolist())

    def end(self):
        self.told.append("end")


@pytest.mark.parametrize("options", [{}, {"penalty_alpha": 0.6, "top_k": 4}])
def test_a_streamer_of_transformers(options):
    streamer = _Streamer()
    out = _gpt().generate(PROMPTS, 3, streamer=streamer, **options)
    assert streamer.told == [PROMPTS.tolist(), *out[:, 3:].T.tolist(), "end"]


def test_what_leaves_nothing_is_named():
    every = list(range(50))
    for options, named in (
        ({"suppress_tokens": every}, "suppress_tokens leave"),
        ({"bad_words_ids": [[t] for t in every]}, "bad_words_ids leave"),
        ({"forced_bos_token_id": 0, "suppress_tokens": [0]}, "forced_bos_token_id and suppress_tokens leave"),
        (
            {"prefix_allowed_tokens_fn": lambda i, t: [3], "min_new_tokens": 2, "suppress_tokens": {3}},
            "min_new_tokens, prefix_allowed_tokens_fn and suppress_tokens leave",
        ),
        ({"begin_suppress_tokens": every, "min_new_tokens": 0}, "begin_suppress_tokens leave"),
        ({"forced_eos_token_id": 4, "suppress_tokens": [4]}, "forced_eos_token_id and suppress_tokens leave"),
        ({"logits_processor": lambda t, s: s - np.inf}, "logits_processor leave"),
    ):
        for way in ({}, {"do_sample": True}, {"num_beams": 2}, {"penalty_alpha": 0.5, "top_k": 2}):
            with pytest.raises(
                ek.ArgumentError, match=f"generate: the rules of {named} no token to go on with"
            ):
                _gpt().generate(PROMPTS[:, :1], 3, **options, **way)


@pytest.mark.parametrize("way", [{}, {"num_beams": 2}, {"penalty_alpha": 0.5, "top_k": 2}])
def test_what_is_called_cannot_change_what_was_written(way):
    model = _gpt()

    def spoil(tokens):
        tokens[...] = 7

    def allowed(prompt, own):
        spoil(own)
        return range(50)

    def process(tokens, scores):
        spoil(tokens)
        return scores

    def stop(tokens, scores):
        spoil(tokens)
        return False

    options = {"logits_processor": [process, process], "prefix_allowed_tokens_fn": allowed}
    if "penalty_alpha" not in way:
        options["stopping_criteria"] = [stop, stop]
    if not way:
        options["streamer"] = spoil
    np.testing.assert_array_equal(
        model.generate(PROMPTS, 6, **way, **options), model.generate(PROMPTS, 6, **way)
    )


def test_beams_take_the_room_that_they_need(monkeypatch):
    """Not what max_new_tokens would allow; and what they write is the same, however often the room grows."""
    ek.manual_seed(0)
    model = models.RecurrentLM(50, 12, 16).eval()
    end = int(model.generate(PROMPTS[0], 40, num_beams=3, suppress_tokens=[1])[-1])
    options = {"num_beams": 3, "suppress_tokens": [1], "length_penalty": 0.5}
    wanted = model.generate(PROMPTS, 40, **options)
    monkeypatch.setattr("einkorn.seq.beams._ROOM", 3)
    np.testing.assert_array_equal(model.generate(PROMPTS, 40, **options), wanted)
    calls = []

    def enough(tokens, scores):
        calls.append(tokens.shape[1])
        return tokens.shape[1] == 33

    out = model.generate(PROMPTS, 10**14, eos_token_id=end, stopping_criteria=enough, **options)
    assert out.shape[1] <= 33
    assert max(calls) <= 33


def test_lengths_are_those_of_transformers(tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = _gpt()
    model.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
    end = int(model.generate(PROMPTS[0], 1)[-1])
    long = np.tile(PROMPTS, 9)  # 27 of 32
    for prompts, found, options in (
        (PROMPTS, {}, {}),
        (long, {}, {}),
        (long, {"max_new_tokens": 3}, {}),
        (PROMPTS, {"max_new_tokens": 5}, {"max_length": 12}),
        (PROMPTS, {"max_new_tokens": 5, "max_length": 12}, {}),
        (PROMPTS, {"max_length": 12}, {"max_new_tokens": 4}),
        (PROMPTS, {"max_length": 12}, {}),
        (PROMPTS, {}, {"min_length": 8, "min_new_tokens": 2}),
        (PROMPTS, {"min_length": 8}, {"min_new_tokens": 0}),
        (PROMPTS, {"min_new_tokens": 3}, {"min_length": 9}),
        (PROMPTS, {}, {"min_length": 9}),
    ):
        file = {"eos_token_id": end, "pad_token_id": 0, **found}
        model.generation_config = seq.GenerationConfig(**file)
        theirs.generation_config = transformers.GenerationConfig(**file)
        wanted = theirs.generate(torch.tensor(prompts), do_sample=False, **options).numpy()
        np.testing.assert_array_equal(model.generate(prompts, **options), wanted)
    with pytest.raises(ek.ArgumentError, match="a prompt of 33 and max_new_tokens of 1 exceed"):
        model.generate(np.tile(PROMPTS, 11))
    assert model.generate(long, slide=True, eos_token_id=None).shape == (2, 47)


def test_options_that_are_none_are_the_defaults():
    model, names = _gpt(), ("temperature", "top_p", "repetition_penalty", "length_penalty")
    nothing = dict.fromkeys(names)
    np.testing.assert_array_equal(model.generate(PROMPTS, 4, **nothing), model.generate(PROMPTS, 4))
    some = model.generate(PROMPTS, 4, eos_token_id={7, 8}, do_sample=True, temperature=1e-300)
    np.testing.assert_array_equal(some, model.generate(PROMPTS, 4))
    out = model.generate(PROMPTS, 4, num_beams=2, length_penalty=1e10)
    assert out.shape == (2, 7)


def test_processors_go_one_after_the_other():
    order = []

    def one(tokens, scores):
        order.append(1)
        return np.where(np.arange(50) == 9, 5.0, scores)

    def other(tokens, scores):
        order.append(2)
        return np.where(np.arange(50) == 8, scores[:, 9:10] + 1, scores).tolist()

    for options in (
        {},
        {"num_beams": 2},
        {"do_sample": True, "top_k": 1},
        {"penalty_alpha": 0.1, "top_k": 2},
    ):
        order.clear()
        out = _gpt().generate(PROMPTS, 1, logits_processor=[one, other], **options)
        assert order == [1, 2]
        np.testing.assert_array_equal(out[:, 3], [8, 8])


WAYS = [
    {},
    {"do_sample": True},
    {"num_beams": 3},
    {"num_beams": 3, "do_sample": True, "top_p": 0.9},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"use_cache": False},
]


@pytest.mark.parametrize("way", WAYS)
def test_nan_and_rules_that_leave_nothing(way):
    model = _gpt()
    with pytest.raises(ek.ArgumentError, match="leave no token to go on with"):
        model.generate(PROMPTS, 3, suppress_tokens=range(50), **way)
    with pytest.raises(ek.ShapeError, match=r"logits_processor gave shape \(2, 3\)|shape \(6, 3\)"):
        model.generate(PROMPTS, 3, logits_processor=lambda tokens, scores: scores[:, :3], **way)
    with pytest.raises(ek.ShapeError, match="logits_processor gave shape"):
        model.generate(PROMPTS, 3, logits_processor=lambda tokens, scores: None, **way)
    for parameter in model.parameters():
        parameter.data[...] = np.nan
    with pytest.raises(ek.errors.NonFiniteError, match="hold NaN"):
        model.generate(PROMPTS, 3, **way)
    assert not model.training


@pytest.mark.parametrize("way", WAYS[:2])
def test_rules_do_not_matter_to_what_is_over(way):
    """The first row ends at once; later the rules leave it nothing, and the second row goes on."""

    def rule(tokens, scores):
        first = tokens.shape[1] == 3
        allowed = np.where(first, [[7], [9]], [[-1], [tokens.shape[1]]])
        return np.where(np.arange(50) == allowed, scores, -np.inf)

    out = _gpt().generate(PROMPTS, 4, logits_processor=rule, eos_token_id=7, pad_token_id=0, **way)
    np.testing.assert_array_equal(out[:, 3:], [[7, 0, 0, 0], [9, 4, 5, 6]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_ids": [[1, 2], [3]]}, "input_ids are rows of unequal lengths"),
        ({"temperature": "1"}, "temperature is '1', expected a finite number"),
        ({"top_p": "a"}, "top_p is 'a'"),
        ({"repetition_penalty": np.inf}, "repetition_penalty is inf"),
        ({"penalty_alpha": "a"}, "penalty_alpha is 'a'"),
        ({"length_penalty": np.nan, "num_beams": 2}, "length_penalty is nan"),
        ({"eos_token_id": 5.5}, "eos_token_id is 5.5, expected an int or a list"),
        ({"eos_token_id": "a"}, "eos_token_id is 'a'"),
        ({"suppress_tokens": [1.5]}, r"suppress_tokens is \[1.5\]"),
        ({"forced_bos_token_id": [2, 5]}, r"forced_bos_token_id is \[2, 5\], expected one token"),
        ({"pad_token_id": 1.5}, "pad_token_id is 1.5"),
        ({"stop_strings": 5}, r"stop_strings are \[5\]"),
        ({"stop_strings": "a", "tokenizer": 5}, r"stop_strings are \['a'\]"),
        ({"streamer": 3}, "streamer is 3"),
        ({"streamer": print, "num_beams": 2}, "and no beams"),
        ({"logits_processor": [3]}, r"logits_processor is \[3\]"),
    ],
)
def test_refusals_of_options(options, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError), match=message):
        _gpt().generate(**{"input_ids": PROMPTS, "max_new_tokens": 3, **options})


def test_speculation_refuses_what_is_no_decoder_and_nan():
    model, translator = _gpt(), models.Transformer(50, 16, 1, 2, 32)
    with pytest.raises(ek.ArgumentError, match="draft is a Transformer, expected a CausalLM"):
        seq.speculate(model, translator, [1, 2])
    for parameter in model.parameters():
        parameter.data[...] = np.nan
    with pytest.raises(ek.errors.NonFiniteError, match="speculate"):
        seq.speculate(model, model, [1, 2])


def test_a_cache_is_as_it_was_after_a_call_that_failed():
    model, deep = _gpt(), models.GPT(50, 32, 16, 3, 2).eval()
    cache = seq.Cache()
    model(PROMPTS, cache=cache)
    with pytest.raises(ek.ArgumentError, match="another number of layers"):
        deep(PROMPTS[:, :1], cache=cache)
    blocks, last = model.transformer.h, model.transformer.h[1].forward

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    blocks[1].forward = interrupted
    with pytest.raises(KeyboardInterrupt):
        model(PROMPTS[:, :1], cache=cache)
    fresh = seq.Cache()
    with pytest.raises(KeyboardInterrupt):
        model(PROMPTS[:1], cache=fresh)
    blocks[1].forward = last
    assert (cache.length, fresh.length) == (3, 0)
    after = np.asarray(model(PROMPTS[:, :1], cache=cache, last=True))
    whole = np.concatenate([PROMPTS, PROMPTS[:, :1]], 1)
    np.testing.assert_allclose(after, np.asarray(model(whole, last=True)), atol=1e-5)
    np.testing.assert_allclose(np.asarray(model(PROMPTS, cache=fresh)), np.asarray(model(PROMPTS)), atol=1e-5)
    with pytest.raises(ek.ArgumentError, match="cache is tuple"):
        model(PROMPTS, cache=())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.GPT(20, 8, 16, 1, 0), "GPT: n_head is 0"),
        (lambda: models.GPT(20, 8, 16, -1, 2), "GPT: n_layer is -1"),
        (lambda: models.GPT(20, 8, "16", 1, 2), "GPT: n_embd is '16'"),
        (lambda: models.Bert(20, 16, -1, 2, 32), "Bert: num_hidden_layers is -1"),
        (lambda: models.Bert(20, 16, 1, 0, 32), "Bert: num_attention_heads is 0"),
        (lambda: models.Llama(20, 16, 32, 1, 0), "Llama: num_attention_heads is 0"),
        (lambda: models.Llama(20, 16, 32, 1, 2, head_dim=7), "Llama: head_dim is 7"),
        (lambda: models.Llama(20, 16, 32, 1, 2, rope_theta=-1.0), "Llama: rope_theta is -1.0"),
        (lambda: models.Llama(20, 16, 32, 1, 2, rope_scaling=5), "Llama: rope_scaling is 5"),
        (lambda: models.T5(20, 16, 8, 32, 1, 0), "T5: num_heads is 0"),
        (lambda: models.Transformer(20, 16, 1, 0, 32), "encoder_attention_heads is 0"),
        (lambda: models.ViT(8, 4, 3, 16, 1, 0, 32), "num_attention_heads is 0"),
        (lambda: models.BertForSequenceClassification(0, num_hidden_layers=1), "num_labels is 0"),
        (lambda: seq.captioned_scenes(2.5), "count is 2.5"),
        (lambda: seq.captioned_scenes(1, seed=-1), "seed is -1"),
        (lambda: models.RecurrentLM(0, 8, 8), "RecurrentLM: vocab_size is 0"),
    ],
)
def test_refusals_of_sizes(make, message):
    with pytest.raises(ek.ArgumentError, match=message):
        make()


def test_scores_and_least_lengths_are_those_of_transformers():
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model = _gpt()
    config = transformers.GPT2Config(vocab_size=50, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    other = transformers.GPT2LMHeadModel(config).eval()
    own = {k: np.asarray(v) for k, v in model.state_dict().items()}
    turned = [k for k in own if k.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))]
    own.update({k: own[k].T for k in turned})
    other.load_state_dict({k: torch.tensor(np.ascontiguousarray(v)) for k, v in own.items()}, strict=False)
    end = int(model.generate(PROMPTS[:1], 4)[0, 5])
    for options in (
        {"min_length": 8},
        {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 0.7, "min_length": 9},
        {"num_beams": 3, "repetition_penalty": 1.3},
    ):
        options = {**options, "eos_token_id": end, "pad_token_id": 49, "max_new_tokens": 8}
        options.update(return_dict_in_generate=True, output_scores=True)
        ours = model.generate(PROMPTS, **options)
        theirs = other.generate(torch.tensor(PROMPTS), do_sample=False, **options)
        np.testing.assert_array_equal(ours["sequences"], theirs.sequences.numpy())
        if "num_beams" in options:
            np.testing.assert_allclose(ours.sequences_scores, theirs.sequences_scores.numpy(), rtol=1e-4)
        else:
            assert ours.sequences_scores is None
            assert not (ours.sequences[:, :7] == end).any()
        assert len(ours.scores) == len(theirs.scores)
        for a, b in zip(ours.scores, theirs.scores, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-4, atol=1e-5)
    assert model.generate(PROMPTS, 3, return_dict_in_generate=True).scores is None
    with pytest.raises(KeyError):
        model.generate(PROMPTS, 3, return_dict_in_generate=True)["hidden_states"]


def test_criteria_stop_all_sequences_or_some():
    model, whole = _gpt(), _gpt().generate(PROMPTS, 8)
    seen = []

    def long(tokens, scores):
        seen.append(scores.shape)
        return tokens.shape[1] >= 6

    np.testing.assert_array_equal(model.generate(PROMPTS, 8, stopping_criteria=long), whole[:, :6])
    assert seen == [(2, 50)] * 3
    options = {"pad_token_id": 49, "stopping_criteria": [lambda t, s: t[:, -1] == whole[0, 4]]}
    first = np.flatnonzero(whole[0, 3:] == whole[0, 4])[0] + 4
    out = model.generate(PROMPTS, 8, **options)
    np.testing.assert_array_equal(out[0, :first], whole[0, :first])
    assert (out[0, first:] == 49).all()
    for wrong in (lambda t, s: 1, lambda t, s: np.zeros(3, bool)):
        with pytest.raises(ek.ShapeError, match="stopping_criteria gave"):
            model.generate(PROMPTS, 8, stopping_criteria=wrong)
    with pytest.raises(ek.ArgumentError, match="stopping_criteria is 3"):
        model.generate(PROMPTS, 8, stopping_criteria=3)
    with pytest.raises(ek.ArgumentError, match="expected no penalty_alpha"):
        model.generate(PROMPTS, 8, penalty_alpha=0.5, stopping_criteria=long)
