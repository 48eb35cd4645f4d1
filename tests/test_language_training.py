"""Recurrent language models, batches of text, adapters and speculation."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, optim, seq

TEXT = "one grain, one kernel contract, three engines. " * 30


def _recurrent(cell="lstm", **more):
    ek.manual_seed(0)
    return models.RecurrentLM(20, 12, 16, 2, cell=cell, **more)


def _train(model, loss_of, steps, rate):
    optimizer = optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    losses = []
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_recurrent_model_goes_on_as_if_it_read_all_at_once(cell, tmp_path):
    model = _recurrent(cell).eval()
    for parameter in model.parameters():
        parameter.data *= 3
    prompts = np.random.default_rng(0).integers(0, 20, (3, 6))
    mask = np.ones(prompts.shape, int)
    mask[1, :4] = 0
    for options in ({}, {"num_beams": 3}):
        results = [
            model.generate(prompts, 8, attention_mask=mask, use_cache=cached, **options)
            for cached in (True, False)
        ]
        np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0][1, 4:], model.generate(prompts[1, 4:], 8, num_beams=3))
    with ek.no_grad():  # filled up on the right, in a batch to learn from
        padded = model(prompts, attention_mask=mask[:, ::-1]).numpy()
        alone = model(prompts[1:2, :2]).numpy()
    np.testing.assert_allclose(padded[1, :2], alone[0], rtol=1e-5, atol=1e-6)
    ek.save(model, tmp_path / "own.safetensors")
    again = ek.load(tmp_path / "own.safetensors").eval()
    np.testing.assert_array_equal(again.generate(prompts, 5), model.generate(prompts, 5))


def test_a_text_is_learned_in_pieces_that_go_on():
    vocabulary = ek.text.Vocabulary([TEXT])
    tokens = np.array(vocabulary.encode(TEXT))
    ek.manual_seed(0)
    model = models.RecurrentLM(len(vocabulary), 24, 48, 1, cell="gru", tie_weights=False)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(4):
        state = None
        for inputs, labels in seq.stream_batches(tokens, 4, 24):
            loss, state = model.step(inputs, labels, state)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert model.bits_per_token(tokens, batch_size=2) < 0.5
    prompt = np.array(vocabulary.encode("one k"))
    assert "".join(vocabulary.decode(model.generate(prompt, 14))) == "one kernel contract"
    # The mean of what is read in pieces is that of one reading.
    with ek.no_grad():
        whole = float(model.eval().loss(tokens[None, :-1], tokens[None, 1:])) / np.log(2)
    assert model.bits_per_token(tokens, batch_size=1, length=100) == pytest.approx(whole, rel=1e-5)


def test_rows_of_a_stream_go_on():
    batches = list(seq.stream_batches(np.arange(23), 2, 4))
    inputs = np.concatenate([b[0] for b in batches], 1)
    np.testing.assert_array_equal(inputs, [np.arange(11), np.arange(11, 22)])
    np.testing.assert_array_equal(np.concatenate([b[1] for b in batches], 1), inputs + 1)


def test_packed_documents_have_no_holes():
    documents = [[1, 2, 3], [4], [5, 6]]
    np.testing.assert_array_equal(seq.pack_documents(documents, 3, 0), [[1, 2, 3], [0, 4, 0], [5, 6, 0]])
    assert seq.pack_documents(documents, 4, 0).shape == (2, 4)
    assert seq.pack_documents(documents, 4, 0, drop_last=False).shape == (3, 4)


def test_masked_tokens_are_those_that_are_told():
    ek.manual_seed(0)
    tokens = np.random.default_rng(0).integers(3, 50, (200, 50))
    tokens[:, 0] = 1
    inputs, labels = seq.mask_tokens(tokens, 2, 50, special_tokens=[1])
    chosen = labels != -100
    assert chosen.mean() == pytest.approx(0.15 * 49 / 50, abs=0.01)
    assert not chosen[:, 0].any()
    np.testing.assert_array_equal(labels[chosen], tokens[chosen])
    np.testing.assert_array_equal(inputs[~chosen], tokens[~chosen])
    assert (inputs[chosen] == 2).mean() == pytest.approx(0.8, abs=0.04)
    assert (inputs[chosen] == tokens[chosen]).mean() == pytest.approx(0.1, abs=0.03)


def test_spans_put_back_are_the_text():
    ek.manual_seed(0)
    for length in (2, 3, 40, 200):
        tokens = np.random.default_rng(length).integers(2, 60, length)
        inputs, labels = seq.corrupt_spans(tokens, 99, 1)
        assert inputs[-1] == labels[-1] == 1
        spans, told = {}, None
        for token in labels[:-1]:
            if token > 60:
                told = spans.setdefault(token, [])
            else:
                told.append(token)
        whole = [x for token in inputs[:-1] for x in (spans[token] if token > 60 else [token])]
        np.testing.assert_array_equal(whole, tokens)
        hidden = sum(map(len, spans.values()))
        assert hidden == min(max(round(length * 0.15), 1), length - 1)


def test_answers_alone_are_learned():
    inputs, labels, mask = seq.prefix_batch([[1, 2], [3]], [[4, 5], [6]], 0)
    np.testing.assert_array_equal(inputs, [[1, 2, 4], [3, 0, 0]])
    np.testing.assert_array_equal(labels, [[-100, 4, 5], [6, -100, -100]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])


def _gpt(seed, layers):
    ek.manual_seed(seed)
    model = models.GPT(23, 40, 16, layers, 4, dropout=0.0).eval()
    for parameter in model.parameters():
        parameter.data *= 8
    return model


def test_adapters_learn_alone_and_become_part_of_the_matrices(tmp_path):
    model = _gpt(0, 2)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    rows = np.random.default_rng(0).integers(0, 23, (4, 9))
    first = model(rows).numpy()
    names = models.add_lora(model, 4)
    assert names == ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]
    np.testing.assert_allclose(model(rows).numpy(), first, rtol=1e-5, atol=1e-4)
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(learned) == 4
    losses = _train(model, lambda: model.loss(rows[:, :-1], rows[:, 1:]), 30, 1e-2)
    assert losses[-1] < losses[0]
    state = models.lora_state(model)
    ek.save(state, tmp_path / "adapters.safetensors")
    adapted = model.eval()(rows).numpy()
    merged = models.merge_lora(model)
    np.testing.assert_allclose(merged(rows).numpy(), adapted, rtol=1e-3, atol=1e-3)
    after = merged.state_dict()
    assert set(after) == set(before)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {f"{name}.weight" for name in names}
    other = _gpt(0, 2)
    models.add_lora(other, 4)
    models.load_lora(other, ek.load(tmp_path / "adapters.safetensors"))
    np.testing.assert_allclose(other(rows).numpy(), adapted, rtol=1e-5, atol=1e-5)
    with pytest.raises(ek.ArgumentError, match="adapters already"):
        models.add_lora(other)
    with pytest.raises(ek.ArgumentError, match="fits no linear layer"):
        models.add_lora(_gpt(0, 1), targets="nothing")
    with pytest.raises(ek.CheckpointError, match="the state lacks"):
        models.load_lora(other, {})


def test_speculation_gives_what_the_large_model_gives():
    large, small = _gpt(0, 3), _gpt(1, 1)
    prompt = np.random.default_rng(0).integers(0, 23, 5)
    expected = large.generate(prompt, 20)
    for draft in (small, large):
        for ahead in (1, 4):
            np.testing.assert_array_equal(seq.speculate(large, draft, prompt, 20, ahead=ahead), expected)
    end = int(expected[12])
    np.testing.assert_array_equal(
        seq.speculate(large, small, prompt, 20, eos_token_id=end),
        large.generate(prompt, 20, eos_token_id=end),
    )


def test_drawn_speculation_has_the_large_models_distribution():
    large, small = _gpt(0, 1), _gpt(1, 1)
    prompt = np.array([3, 4])
    with ek.no_grad():
        scores = large(prompt[None], last=True).numpy()[0]
    temperature = float(np.abs(scores).max()) / 2
    expected = np.exp(scores / temperature)
    expected /= expected.sum()
    ek.manual_seed(0)
    drawn = [
        seq.speculate(large, small, prompt, 2, do_sample=True, temperature=temperature)[2]
        for _ in range(1500)
    ]
    np.testing.assert_allclose(np.bincount(drawn, minlength=23) / 1500, expected, atol=0.04)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.RecurrentLM(20, cell="qrnn"), "cell is 'qrnn', expected one of rnn, lstm, gru"),
        (lambda: models.RecurrentLM(20, 8, 16, tie_weights=True), "expected equal ones"),
        (lambda: _recurrent().step([[1, 2]], [[1]]), "labels have shape"),
        (lambda: _recurrent()([[1, 20]]), "20"),
        (lambda: _recurrent().bits_per_token(np.arange(5)), "5 tokens, expected more than batch_size 16"),
        (lambda: list(seq.stream_batches(np.ones((2, 3), int), 1, 2)), "expected integers of 1 dimensions"),
        (lambda: seq.mask_tokens([[1]], 5, 5), "mask_token is 5"),
        (lambda: seq.corrupt_spans([1], 9, 0), "1 tokens, expected at least 2"),
        (lambda: seq.corrupt_spans(np.arange(90), 2, 0), "first_sentinel is 2, but there are"),
        (lambda: seq.prefix_batch([[1]], [[]], 0), "is empty"),
        (lambda: seq.prefix_batch([[1]], [[1, 2]], 0, max_length=1), "a row of 2 tokens exceeds"),
        (lambda: seq.speculate(_gpt(0, 1), _gpt(0, 1), [[1], [2]]), "there are 2 prompts"),
        (lambda: seq.speculate(_gpt(0, 1), models.GPT(9, 40, 16, 1, 4), [1]), "vocabularies have 23 and 9"),
        (lambda: seq.speculate(_gpt(0, 1), _gpt(0, 1), [1], 40), "exceed a model's context of 40"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError, ek.errors.IndexRangeError), match=message):
        call()


def test_adapters_by_the_last_parts_of_names():
    """As PEFT's ``target_modules``: names or a regular expression."""
    model = models.GPT(20, 8, 16, 2, 2)
    blocks = [f"transformer.h.{i}" for i in range(2)]
    wanted = [f"{block}.{name}" for block in blocks for name in ("attn.c_attn", "mlp.c_fc")]
    assert models.add_lora(model, 2, targets=["c_attn", "mlp.c_fc"]) == wanted
    for options, message in (
        ({"targets": "("}, "no regular expression"),
        ({"targets": ["attn.c"]}, "fits no linear layer"),
        ({"alpha": np.nan}, "alpha is nan"),
    ):
        with pytest.raises(ek.ArgumentError, match=message):
            models.add_lora(models.GPT(20, 8, 16, 2, 2), 2, **options)


def test_refusals_of_what_hides_tokens_and_of_silence():
    with pytest.raises(ek.ArgumentError, match="tokens have 1 to 30, expected 0 to 9"):
        seq.mask_tokens([[1, 30]], 9, 10)
    with pytest.raises(ek.ArgumentError, match="padding is -1"):
        seq.log_mel_spectrogram(np.zeros(800, np.float32), padding=-1)
