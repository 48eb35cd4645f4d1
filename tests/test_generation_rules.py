"""Rules of generation and beams that are drawn, beside Hugging Face's transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, seq

PROMPTS = np.array([[1, 2, 3], [4, 5, 6]])
MASK = np.array([[0, 1, 1], [1, 1, 1]])


def _spread(model, deviation=0.4):
    """Weights so large that scores differ clearly, so that rounding decides nothing."""
    rng = np.random.default_rng(3)
    for parameter in model.parameters():
        parameter.data[...] = rng.normal(0, deviation, parameter.shape)
    return model.eval()


def _gpt():
    return _spread(models.GPT(50, 40, 16, 2, 2, dropout=0.0))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Ours, theirs, and what both read."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.set_num_threads(1)
    found = {}
    for kind, ours, name in (
        ("decoder", _gpt(), "GPT2LMHeadModel"),
        ("translator", _spread(models.T5(50, 16, 8, 32, 2, 2), 0.5), "T5ForConditionalGeneration"),
    ):
        folder = tmp_path_factory.mktemp(kind)
        ours.save_pretrained(folder)
        found[kind] = ours, getattr(transformers, name).from_pretrained(folder).eval()
    return found


def _both(pairs, kind, given, mask=None, **options):
    torch = pytest.importorskip("torch")
    ours, theirs = pairs[kind]
    more = {} if mask is None else {"attention_mask": mask}
    own = ours.generate(given, 9, **more, **{"pad_token_id": 49, **options})
    more = {name: torch.tensor(value) for name, value in more.items()}
    other = theirs.generate(
        torch.tensor(given), max_new_tokens=9, **more, **{"do_sample": False, "pad_token_id": 49, **options}
    )
    return own, other.numpy()


def _allowed(prompt, tokens):
    last = int(tokens[-1])
    return list(range(50)) if last % 3 else [(7 * last + prompt) % 50, (last + 11) % 50, 49]


RULES = {
    "bad words": {"bad_words_ids": [[33], [29, 29], [27, 27], [17], [20]]},
    "bias": {"sequence_bias": {(17,): -4.0, (5, 6): 3.0, (22,): 2.5, (1, 2, 3): 1.0, (48,): float("-inf")}},
    "bias in lists": {"sequence_bias": [[[17], -4.0], [[22], 2.5], [[22, 22], -9.0]]},
    "forced end": {"forced_eos_token_id": 8},
    "several forced ends": {"forced_eos_token_id": [8, 9]},
    # The former counts behind one token, which the translator's prompts are; the latter comes behind it.
    "forced beginning": {
        "forced_bos_token_id": 9,
        "begin_suppress_tokens": [29, 33, 17, 27, 20, 15, 0],
    },
    "no beginnings": {"begin_suppress_tokens": [29, 33, 17, 27, 20, 15, 0], "suppress_tokens": [30, 31]},
    "decay": {"exponential_decay_length_penalty": (2, 1.9), "eos_token_id": [20, 21]},
    "normal": {"renormalize_logits": True, "repetition_penalty": 1.4},
    "allowed": {"prefix_allowed_tokens_fn": _allowed},
    "allowed and bad": {"prefix_allowed_tokens_fn": lambda i, t: [5, 6], "bad_words_ids": [[5], [6]]},
    "read again": {"encoder_repetition_penalty": 1.8},
    "read": {"encoder_no_repeat_ngram_size": 1},
    "read pairs": {"encoder_no_repeat_ngram_size": 2, "no_repeat_ngram_size": 3},
    "many": {
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 2,
        "bad_words_ids": [[4], [20]],
        "min_length": 8,
        "eos_token_id": [20, 33],
        "suppress_tokens": [1, 2],
        "remove_invalid_values": True,
    },
}


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["decoder", "translator"])
def test_rules_give_the_tokens_of_transformers(pairs, kind, rule, beams):
    given = {"eos_token_id": 48, **RULES[rule], "num_beams": beams, "num_return_sequences": beams}
    if beams > 1:
        given["length_penalty"] = 0.6
    if beams > 1 and rule == "allowed and bad":
        given["prefix_allowed_tokens_fn"] = lambda i, t: [5]  # of beams that are equal any may be the first
        given["num_return_sequences"] = 1
    mask = MASK if kind == "decoder" else MASK[:, ::-1].copy()
    # What they like to write.
    read = np.array([[29, 33, 17], [27, 5, 29]] if kind == "decoder" else [[29, 20, 17], [20, 15, 29]])
    own, other = _both(pairs, kind, read, mask, **given)
    np.testing.assert_array_equal(own, other)
    plain = _both(pairs, kind, read, mask, **{**given, **dict.fromkeys(RULES[rule])})[0]
    if rule not in ("normal", "several forced ends", "forced end"):
        assert plain.shape != own.shape or (plain != own).any()  # the rule is of consequence


@pytest.mark.parametrize("early", [True, False, "never"])
@pytest.mark.parametrize(
    "options",
    [
        {"eos_token_id": list(range(0, 50, 4)), "length_penalty": 2.0},
        {"eos_token_id": list(range(0, 50, 7)), "num_return_sequences": 3, "length_penalty": -1.0},
    ],
)
def test_beams_that_end_soon(pairs, early, options):
    for kind in ("decoder", "translator"):
        own, other = _both(pairs, kind, PROMPTS, num_beams=3, early_stopping=early, **options)
        np.testing.assert_array_equal(own, other)


WARPS = {
    "min_p": {"min_p": 0.08},
    "typical": {"typical_p": 0.4},
    "typical, little": {"typical_p": 0.05},
    "epsilon": {"epsilon_cutoff": 0.03},
    "epsilon, high": {"epsilon_cutoff": 0.9},
    "eta": {"eta_cutoff": 0.1},
    "top_h": {"top_h": 0.5},
    "top_p": {"top_p": 0.7},
    "top_p, little": {"top_p": 0.01},
    "top_k": {"top_k": 1},
    "hot": {"temperature": 2.5, "min_p": 0.02},
    "all": {
        "temperature": 1.4, "top_k": 30, "top_p": 0.95, "min_p": 0.01, "typical_p": 0.9,
        "epsilon_cutoff": 1e-3, "eta_cutoff": 2e-3, "renormalize_logits": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("warp", WARPS)
def test_what_is_drawn_from_is_that_of_transformers(pairs, warp, beams):
    """The first step's scores, of which neither has drawn yet."""
    torch = pytest.importorskip("torch")
    ours, theirs = pairs["decoder"]
    for ends in (None, [20, 33]):
        options = {
            "do_sample": True, "num_beams": beams, "max_new_tokens": 1, "return_dict_in_generate": True,
            "output_scores": True, "output_logits": True, "top_k": 0, "eos_token_id": ends, **WARPS[warp],
        }  # fmt: skip
        own = ours.generate(PROMPTS, **options)
        other = theirs.generate(torch.tensor(PROMPTS), pad_token_id=0, **options)
        assert len(own.scores) == len(other.scores) == len(own.logits) == 1
        np.testing.assert_allclose(own.logits[0], other.logits[0].numpy(), rtol=1e-4, atol=1e-4)
        a, b = own.scores[0], other.scores[0].numpy()
        np.testing.assert_array_equal(np.isneginf(a), np.isneginf(b))
        if beams == 1:  # without beams ours are less by the greatest, which no draw sees
            a, b = a - a.max(1, keepdims=True), b - b.max(1, keepdims=True)
        live = np.isfinite(a)
        np.testing.assert_allclose(a[live], b[live], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["gpt", "t5", "bahdanau"])
def test_cold_beams_are_the_best_ones(model):
    made = {
        "gpt": _gpt,
        "t5": lambda: _spread(models.T5(50, 16, 8, 32, 1, 2)),
        "bahdanau": lambda: _spread(models.Bahdanau(50, 50, 16, 16, 16)),
    }[model]()
    for options in ({}, {"num_return_sequences": 4, "eos_token_id": [20, 33], "length_penalty": 0.5}):
        best = made.generate(PROMPTS, 8, num_beams=4, **options)
        cold = made.generate(PROMPTS, 8, num_beams=4, do_sample=True, temperature=1e-4, top_k=0, **options)
        np.testing.assert_array_equal(cold, best)


def _log_probability(model, row, begin, warp=lambda scores: scores):
    """Of the tokens behind the prompt, each by the scores of one call without a cache."""
    total = 0.0
    for place in range(begin, len(row)):
        with ek.no_grad():
            scores = np.asarray(model(row[None, :place], last=True))
        logs = np.asarray(ek.ops.log_softmax(scores, -1)).astype(np.float64)
        total += warp(logs)[0, row[place]]
    return total


def test_scores_of_drawn_beams_are_those_of_their_tokens():
    model, ends = _gpt(), [20, 33]
    ek.manual_seed(1)
    out = model.generate(
        PROMPTS, 6, num_beams=4, num_return_sequences=4, do_sample=True, temperature=1.7, top_k=20,
        eos_token_id=ends, length_penalty=0.7, return_dict_in_generate=True, pad_token_id=0,
    )  # fmt: skip
    assert out.sequences.shape[0] == len(out.sequences_scores) == 8
    for row, score in zip(out.sequences, out.sequences_scores, strict=True):
        stops = np.flatnonzero(np.isin(row[3:], ends))
        row = row[: 4 + stops[0]] if len(stops) else row
        total = _log_probability(model, row, 3, lambda logs: seq.keep_top_k(logs / 1.7, 20))
        assert score == pytest.approx(total / (len(row) - 3) ** 0.7, rel=1e-4)
    for prompt in (out.sequences_scores[:4], out.sequences_scores[4:]):
        assert (np.diff(prompt) <= 0).all()
    assert len({tuple(row) for row in out.sequences[:4]}) == 4  # drawn without replacement
    again = {}
    for seed in (1, 1, 2):
        generator = ek.Generator().manual_seed(seed)
        drawn = model.generate(PROMPTS, 6, num_beams=4, do_sample=True, generator=generator)
        if seed in again:
            np.testing.assert_array_equal(again[seed], drawn)
        again[seed] = drawn
    assert (again[1].shape != again[2].shape) or (again[1] != again[2]).any()


def test_drawn_beams_have_the_distribution_of_their_scores():
    """Two beams over one step and three tokens: candidates are four of which the two best stay.

    With one step all candidates are whole, so the returned beam is the best of two that are drawn without
    replacement: token i with probability p_i + sum over better j of what brings i without j first.
    """
    scores = np.log(np.array([[0.5, 0.3, 0.15, 0.05]], np.float32))
    ended = lambda tokens, _: np.ones(len(tokens), bool)  # noqa: E731
    weights = np.exp(scores[0])
    first, second = np.zeros(4), np.zeros(4)
    for i in range(4):  # the pair that is drawn, in whatever order
        for j in range(4):
            if i != j:
                both = weights[i] * weights[j] / (1 - weights[i])
                first[min(i, j)] += both
                second[max(i, j)] += both
    ek.manual_seed(int(np.random.randint(1000)))
    count, drawn = 4000, np.zeros((2, 4))
    from einkorn.seq.beams import Beams

    prompts = np.zeros((count, 1), np.int64)
    beams = Beams(prompts, 2, 1, ended, 1, 0, 1.0, False, True)
    beams.advance(np.repeat(scores, 2 * count, 0))
    best = beams.best(2).reshape(count, 2, 2)[..., 1]
    for place in range(2):
        drawn[place] = np.bincount(best[:, place], minlength=4) / count
    # five deviations of a share of 4000 draws
    np.testing.assert_allclose(drawn, [first, second], atol=5 * 0.5 / np.sqrt(count))


@pytest.mark.parametrize("beams", [1, 3])
def test_several_sequences_of_each_prompt(beams):
    model = _gpt()
    out = model.generate(PROMPTS, 5, do_sample=True, num_beams=beams, num_return_sequences=3)
    assert out.shape == (6, 8)
    np.testing.assert_array_equal(out[:, :3], PROMPTS.repeat(3, 0))
    one = model.generate(PROMPTS[0], 5, do_sample=True, num_beams=beams, num_return_sequences=3)
    assert one.shape == (3, 8)


class _Letters:
    def decode(self, tokens):
        return "".join(chr(ord("A") + token) for token in tokens)


@pytest.mark.parametrize("draw", [{}, {"do_sample": True, "temperature": 1e-4}])
def test_beams_end_by_texts_and_criteria(pairs, draw):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    ours, theirs = pairs["decoder"]
    whole = ours.generate(PROMPTS, 10, num_beams=3)
    last = int(whole[0, 6])
    options = {"num_beams": 3, "pad_token_id": 49}
    own = ours.generate(PROMPTS, 10, stopping_criteria=lambda t, s: t[:, -1] == last, **options, **draw)

    class Own(transformers.StoppingCriteria):
        def __call__(self, tokens, scores, **more):
            return tokens[:, -1] == last

    other = theirs.generate(
        torch.tensor(PROMPTS), max_new_tokens=10, do_sample=False, **options, eos_token_id=48,
        stopping_criteria=transformers.StoppingCriteriaList([Own()]),
    )  # fmt: skip
    np.testing.assert_array_equal(own, other.numpy())
    written = chr(ord("A") + last)
    texts = ours.generate(PROMPTS, 10, stop_strings=written, tokenizer=_Letters(), **options, **draw)
    np.testing.assert_array_equal(texts, own)


@pytest.mark.parametrize("way", [{}, {"num_beams": 3}, {"penalty_alpha": 0.6, "top_k": 4}])
def test_a_time_that_is_over_and_one_that_never_ends(way):
    model = _gpt()
    assert model.generate(PROMPTS, 8, max_time=1e-9, **way).shape == (2, 4)
    np.testing.assert_array_equal(
        model.generate(PROMPTS, 8, max_time=1e9, **way), model.generate(PROMPTS, 8, **way)
    )


def test_values_that_are_none():
    model = _gpt()

    def invalid(tokens, scores):
        return np.where(np.arange(50) == 7, np.nan, scores)

    with pytest.raises(ek.errors.NonFiniteError):
        model.generate(PROMPTS, 3, logits_processor=invalid)
    for parameter in model.parameters():
        parameter.data[...] = np.nan
    with pytest.raises(ek.errors.NonFiniteError):
        model.generate(PROMPTS, 3)
    np.testing.assert_array_equal(model.generate(PROMPTS, 3, remove_invalid_values=True)[:, 3:], 0)


def test_filled_prompts_with_rules():
    """A prompt that is filled up is answered as without what fills it, by contrast and with beams too."""
    model = _gpt()
    for way in ({}, {"num_beams": 3}, {"penalty_alpha": 0.6, "top_k": 4}):
        for rule in ({"repetition_penalty": 3.0}, {"bad_words_ids": [[2, 3, 9]], "suppress_tokens": [4]}):
            out = model.generate(PROMPTS, 6, attention_mask=MASK, **rule, **way)
            alone = model.generate(PROMPTS[0, 1:], 6, **rule, **way)
            np.testing.assert_array_equal(out[0, 1 : 1 + len(alone)], alone)


def test_options_of_a_file(tmp_path):
    found = {
        "bad_words_ids": [[7], [1, 2], [99]], "forced_eos_token_id": 60, "begin_suppress_tokens": [3],
        "num_beam_groups": 2, "typical_p": 0.5, "sequence_bias": [[[4, 5], -2.0]],
    }  # fmt: skip
    (tmp_path / "generation_config.json").write_text(json.dumps(found))
    config = seq.GenerationConfig.from_pretrained(tmp_path, vocab_size=50)
    assert config.to_dict() == {
        "bad_words_ids": [[7], [1, 2]], "begin_suppress_tokens": [3], "typical_p": 0.5,
        "sequence_bias": [[[4, 5], -2.0]],
    }  # fmt: skip
    _gpt().generate(PROMPTS, 3, generation_config=config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bad_words_ids": [7]}, r"bad_words_ids is \[7\], expected a list of lists"),
        ({"bad_words_ids": [[]]}, r"bad_words_ids is \[\[\]\]"),
        ({"bad_words_ids": [[50]]}, r"bad_words_ids is \[50\], expected 0 to 49"),
        ({"sequence_bias": 5}, "sequence_bias is 5, expected tuples of tokens"),
        ({"sequence_bias": {(5,): "a"}}, "sequence_bias has 'a', expected a number"),
        ({"sequence_bias": {(5, 77): 1.0}}, r"sequence_bias is \[5, 77\], expected 0 to 49"),
        ({"sequence_bias": {5: 1.0}}, "sequence_bias is"),
        ({"min_p": 1.5}, "min_p is 1.5, expected a probability"),
        ({"typical_p": 0.0}, "typical_p is 0.0, expected a probability above 0"),
        ({"epsilon_cutoff": "a"}, "epsilon_cutoff is 'a', expected a finite number"),
        ({"eta_cutoff": -0.1}, "eta_cutoff is -0.1"),
        ({"top_h": 2.0}, "top_h is 2.0"),
        ({"max_time": 0}, "max_time is 0, expected a positive number"),
        ({"forced_eos_token_id": 77}, "forced_eos_token_id is 77"),
        ({"begin_suppress_tokens": [77]}, r"begin_suppress_tokens is \[77\]"),
        ({"encoder_repetition_penalty": 0.0}, "encoder_repetition_penalty is 0.0"),
        ({"encoder_no_repeat_ngram_size": -1}, "encoder_no_repeat_ngram_size is -1"),
        ({"exponential_decay_length_penalty": (3, 1.5)}, "and eos_token_id"),
        ({"exponential_decay_length_penalty": 3, "eos_token_id": 5}, "expected where it begins and a factor"),
        ({"prefix_allowed_tokens_fn": 3}, "prefix_allowed_tokens_fn is 3, expected a callable"),
        (
            {"prefix_allowed_tokens_fn": lambda i, t: []},
            "allows nothing to prompt 0",
        ),
        ({"prefix_allowed_tokens_fn": lambda i, t: [50]}, r"prefix_allowed_tokens_fn's is \[50\]"),
        ({"do_sample": True, "num_beams": 2, "temperature": 1e-9}, "expected at least 1e-5 with beams"),
        ({"do_sample": True, "num_beams": 2, "num_return_sequences": 3}, "num_return_sequences is 3"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ek.ArgumentError, match=message):
        _gpt().generate(PROMPTS, 3, **options)


def test_sounds_and_other_vocabularies_have_no_words_to_compare():
    listener = models.Whisper(50, 8, 16, 1, 1, encoder_attention_heads=2, decoder_attention_heads=2,
                              encoder_ffn_dim=16, decoder_ffn_dim=16, max_source_positions=4)  # fmt: skip
    with pytest.raises(ek.ArgumentError, match="what was read are no tokens"):
        listener.generate(np.zeros((8, 8), np.float32), 3, encoder_no_repeat_ngram_size=2)
    translator = models.Bahdanau(90, 50, 8, 8, 8)
    with pytest.raises(ek.ArgumentError, match="what was read has token 77, expected the vocabulary"):
        translator.generate([[3, 77]], 3, encoder_repetition_penalty=2.0)


def test_another_start_token(pairs):
    torch = pytest.importorskip("torch")
    ours, theirs = pairs["translator"]
    own = ours.generate(PROMPTS, 6, decoder_start_token_id=9)
    options = {"max_new_tokens": 6, "decoder_start_token_id": 9}
    other = theirs.generate(torch.tensor(PROMPTS), do_sample=False, **options)
    np.testing.assert_array_equal(own, other.numpy())
    np.testing.assert_array_equal(own, ours.generate(PROMPTS, 6, decoder_input_ids=[[9], [9]]))
    with pytest.raises(ek.ArgumentError, match="have 77, expected 0 to 49"):
        ours.generate(PROMPTS, 6, decoder_start_token_id=77)


@pytest.mark.filterwarnings("error")
def test_rows_without_a_token_stay_so():
    for keep in (seq.keep_min_p, seq.keep_typical, seq.keep_epsilon, seq.keep_eta, seq.keep_top_p):
        scores = np.array([[-np.inf] * 3, [0.0, 1.0, 2.0]], np.float32)
        assert np.isneginf(keep(scores, 0.5)[0]).all()
    words = np.array([[33], [29]])
    np.testing.assert_array_equal(
        _gpt().generate(PROMPTS, 4, bad_words_ids=words),
        _gpt().generate(PROMPTS, 4, bad_words_ids=words.tolist()),
    )
