"""Recurrent translators: attention, beams, learning, alignments, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, optim, seq

MAKERS = {
    "bahdanau": lambda: models.Bahdanau(14, 14, 12, 16, 8),
    "luong, general": lambda: models.Luong(14, 14, 16, 2),
    "luong, dot, no feeding": lambda: models.Luong(14, 14, 16, 1, score="dot", input_feeding=False),
    "luong, concat": lambda: models.Luong(14, 14, 16, 1, score="concat"),
    "luong, location": lambda: models.Luong(14, 14, 16, 1, score="location", max_source_length=8),
    "gnmt": lambda: models.GNMT(14, 14, 16, 4, dropout=0.0),
}
READ = np.random.default_rng(0).integers(2, 14, (3, 6))
MASK = np.ones(READ.shape, int)
MASK[1, 4:] = 0


@pytest.mark.parametrize("name", MAKERS)
def test_steps_beams_and_pads_change_nothing(name, tmp_path):
    ek.manual_seed(0)
    model = MAKERS[name]().eval()
    for parameter in model.parameters():
        parameter.data *= 2
    for options in ({}, {"num_beams": 3}):
        results = [
            model.generate(READ, 6, attention_mask=MASK, use_cache=cached, **options)
            for cached in (True, False)
        ]
        np.testing.assert_array_equal(*results)
        alone = model.generate(READ[1, :4], 6, **options)
        np.testing.assert_array_equal(results[0][1], alone)
    weights = model.align(READ, results[0], attention_mask=MASK)
    assert weights.shape == (3, results[0].shape[1], 6)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights[1, :, 4:], 0, atol=1e-6)
    ek.save(model, tmp_path / "own.safetensors")
    again = ek.load(tmp_path / "own.safetensors").eval()
    np.testing.assert_array_equal(again.generate(READ, 4), model.generate(READ, 4))


@pytest.mark.parametrize("name", ["bahdanau", "luong, general", "gnmt"])
@pytest.mark.parametrize("price", [0.0, 0.5, 20.0])
def test_beams_pay_for_what_they_did_not_look_at(name, price):
    ek.manual_seed(0)
    model = MAKERS[name]().eval()
    for parameter in model.parameters():
        parameter.data *= 2
    options = {"num_beams": 4, "num_return_sequences": 4, "eos_token_id": 3, "pad_token_id": 0}
    out = model.generate(READ, 6, attention_mask=MASK, coverage_penalty=price, **options)
    worth = []
    for i, row in enumerate(out):
        read, mask = READ[i // 4, None], MASK[i // 4, None]
        written = row[1 : np.append(np.flatnonzero(row[1:] == 3), 5)[0] + 2]  # with its end
        given = np.append(row[:1], written[:-1])[None]
        with ek.no_grad():
            logs = np.asarray(ek.ops.log_softmax(model(read, given, attention_mask=mask), -1))[0]
        looked = model.align(read, given, attention_mask=mask)[0].sum(0)[mask[0] == 1]
        mean = logs[np.arange(len(written)), written].mean()
        worth.append(mean + price * np.log(np.minimum(looked, 1)).sum())
    assert (np.diff(np.reshape(worth, (3, 4)), axis=1) <= 1e-5).all()


def test_only_what_tells_where_it_looks_can_pay():
    model = models.Transformer(20, 16, 1, 2, 16, dropout=0.0)
    with pytest.raises(ek.ArgumentError, match="does not tell where it looks"):
        model.generate([2, 3], 3, num_beams=2, coverage_penalty=0.2)
    for options in ({}, {"num_beams": 2, "use_cache": False}, {"num_beams": 2, "coverage_penalty": -1.0}):
        with pytest.raises(ek.ArgumentError, match="coverage_penalty is"):
            MAKERS["gnmt"]().generate(READ, 3, **{"coverage_penalty": 0.2, **options})


@pytest.mark.parametrize("name", ["bahdanau", "luong, general", "gnmt"])
def test_what_is_learned_looks_at_the_word_it_copies(name):
    ek.manual_seed(0)
    wide = {
        "bahdanau": lambda: models.Bahdanau(14, 14, 24, 32, 24),
        "luong, general": lambda: models.Luong(14, 14, 32, 1),
        "gnmt": lambda: models.GNMT(14, 14, 32, 2, dropout=0.0),
    }
    model = wide[name]()
    optimizer = optim.Adam(model.parameters(), lr=7e-3)
    rng = np.random.default_rng(0)
    for step in range(200):
        rows = rng.integers(2, 14, (32, 4))
        loss = model.loss(rows, rows, scheduled_sampling=0.1 if step > 100 else 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows = rng.integers(2, 14, (40, 4))
    assert (model.generate(rows, 4, num_beams=2)[:, 1:] == rows).mean() > 0.9


def test_scheduled_sampling_of_0_is_teacher_forcing():
    ek.manual_seed(0)
    model = MAKERS["luong, dot, no feeding"]().eval()
    plain = float(model.loss(READ, READ))
    assert float(model.loss(READ, READ, scheduled_sampling=0.0)) == plain
    with ek.no_grad():  # with 1 the decoder sees what it wrote alone
        own = model(READ, model.shifted(READ)).numpy().argmax(-1)
    given = np.concatenate([np.ones((3, 1), int), own[:, :-1]], 1)
    expected = float(model.loss(READ, READ, decoder_input_ids=given))
    assert float(model.loss(READ, READ, scheduled_sampling=1.0)) == pytest.approx(expected, rel=1e-6)


def test_batches_of_like_lengths_have_every_pair_once():
    ek.manual_seed(0)
    rng = np.random.default_rng(0)
    sources = [np.full(rng.integers(1, 30), i + 1) for i in range(101)]
    targets = [np.full(rng.integers(1, 30), i + 1) for i in range(101)]
    seen, filled = [], 0
    for read, written, mask in seq.bucketed_batches(sources, targets, 8):
        np.testing.assert_array_equal(read > 0, mask)
        np.testing.assert_array_equal(read[:, 0], written[:, 0])
        for row, own in zip(written, read[:, 0], strict=True):
            np.testing.assert_array_equal(row[row != -100], targets[own - 1])
        seen += read[:, 0].tolist()
        filled += (~mask).sum()
    assert sorted(seen) == list(range(1, 102))
    assert filled < 0.1 * sum(map(len, sources))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.Luong(9, 9, score="cosine"), "score is 'cosine', expected one of dot, general"),
        (lambda: models.GNMT(9, 9, 8, 1), "num_layers is 1, expected at least 2"),
        (lambda: models.Bahdanau(9, 9, pad_token_id=9), "pad_token_id is 9, expected 0 to 8"),
        (lambda: MAKERS["luong, location"]().generate(np.ones((1, 9), int)), "9 words exceed"),
        (lambda: MAKERS["gnmt"]().loss(READ, READ, scheduled_sampling=2.0), "scheduled_sampling is 2.0"),
        (lambda: MAKERS["gnmt"]()(READ, READ, decoder_attention_mask=MASK), "expected 1 alone"),
        (lambda: MAKERS["gnmt"]().encode([[14]]), "14"),
        (lambda: MAKERS["gnmt"]().loss(READ[:1], READ), "1 rows to read and 3 to write"),
        (lambda: models.Transformer(14, 8, 1, 2, 8)(READ[:1], READ[:2]), "1 rows to read and 2 to write"),
        (lambda: MAKERS["gnmt"]().generate([[1], [2, 3]], 2), "rows of unequal lengths"),
        (
            lambda: MAKERS["luong, location"]().generate(READ, 2, attention_mask=MASK[:, ::-1]),
            "'location' counts places: fill up on the right",
        ),
        (lambda: list(seq.bucketed_batches([[1]], [[]], 2)), "pair 0 has an empty sequence"),
        (lambda: list(seq.bucketed_batches([[1]], [], 2)), "1 sources and 0 targets"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError, ek.errors.IndexRangeError), match=message):
        call()
