"""Encoder-decoders: memory and cache, published sizes, learning, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, optim
from einkorn.nn.parameter import deferred

_RNG = np.random.default_rng(3)
READ = _RNG.integers(2, 23, (3, 7))
RAGGED = np.ones(READ.shape, int)
RAGGED[1, 4:] = 0


def _transformer(**more):
    return models.Transformer(23, 16, 2, 4, 24, dropout=0.0, **{"max_position_embeddings": 20, **more})


MAKERS = {
    "transformer": _transformer,
    "m2m100": lambda: models.M2M100(
        23,
        16,
        2,
        2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=20,
    ),
    "t5": lambda: models.T5(23, 16, 4, 24, 2, 4),
}


def _sharp(name):
    ek.manual_seed(1)
    model = MAKERS[name]().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= 2 if name == "t5" else 5
    return model


@pytest.mark.parametrize("name", MAKERS)
def test_cache_beams_and_pads_change_nothing(name, tmp_path):
    model = _sharp(name)
    for options in ({}, {"num_beams": 3, "num_return_sequences": 2}):
        results = [
            model.generate(READ, 9, attention_mask=RAGGED, use_cache=cached, **options)
            for cached in (True, False)
        ]
        np.testing.assert_array_equal(*results)
    alone = model.generate(READ[1, :4], 9)
    np.testing.assert_array_equal(model.generate(READ, 9, attention_mask=RAGGED)[1], alone)
    ek.save(model, tmp_path / "own.safetensors")
    again = ek.load(tmp_path / "own.safetensors").eval()
    np.testing.assert_array_equal(again.generate(READ, 9), model.generate(READ, 9))


def test_a_memory_serves_several_beams():
    model = _sharp("transformer")
    tokens = _RNG.integers(2, 23, (6, 5))
    with ek.no_grad():
        memory = model.encode(READ, RAGGED)
        together = model.decode(tokens, memory).numpy()
        apart = model(np.repeat(READ, 2, 0), tokens, attention_mask=np.repeat(RAGGED, 2, 0)).numpy()
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-6)


def test_a_transformer_learns_to_turn_a_sequence_round():
    ek.manual_seed(0)
    model = models.Transformer(14, 32, 1, 4, 64, dropout=0.0, max_position_embeddings=12)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    rng = np.random.default_rng(0)
    for _ in range(250):
        rows = rng.integers(2, 14, (32, 5))
        loss = model.loss(rows, rows[:, ::-1], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows = rng.integers(2, 14, (50, 5))
    assert (model.generate(rows, 5)[:, 1:] == rows[:, ::-1]).mean() > 0.9


def test_published_sizes():
    """Memory is asked for and never touched."""

    def count(make):
        with deferred(10_000, 10**10):
            return sum(p.numel() for p in make().parameters())

    assert count(models.M2M100) == 483_905_536
    assert count(lambda: models.T5.of_size("small")) == 60_506_624
    assert count(lambda: models.T5.of_size("base")) == 222_903_552
    assert count(lambda: models.T5.of_size("large")) == 737_668_096
    # Of each of 6 + 6 layers: 4 or 8 square matrices, two linear layers, 2 or 3 norms.
    for size, (layers, width, inner, _, _) in models.TRANSFORMER_SIZES.items():
        dense = 2 * width * inner + width + inner
        square = width * width + width
        expected = 37000 * width + layers * (12 * square + 2 * dense + 5 * 2 * width)
        assert count(lambda size=size: models.Transformer.of_size(size)) == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.Transformer(23, 18, 1, 4), "d_model is 18, expected a multiple"),
        (lambda: _transformer(activation="soft"), "activation is 'soft', expected one of relu"),
        (lambda: _transformer(pad_token_id=23), "pad_token_id is 23, expected 0 to 22"),
        (lambda: models.Transformer.of_size("huge"), "size is 'huge', expected one of base, big"),
        (lambda: models.T5.of_size("2b"), "size is '2b'"),
        (lambda: models.T5(23, feed_forward_proj="gated"), "feed_forward_proj is 'gated'"),
        (lambda: models.T5(23, relative_attention_num_buckets=2), "relative_attention_num_buckets is 2"),
        (lambda: _transformer().encode(np.ones((2, 21), int)), "21 tokens exceed max_position_embeddings 20"),
        (lambda: _transformer().encode(np.ones((2, 0), int)), "none of them 0"),
        (lambda: _transformer().encode([[1, 23]]), "23"),
        (lambda: _transformer().encode(READ, RAGGED[:2]), "attention_mask has shape"),
        (
            lambda: _transformer()(READ, READ[:2]),
            "there are 3 rows to read and 2 to write",
        ),
        (lambda: _transformer()(READ, np.ones((3, 21), int)), "21 tokens exceed the context of 20"),
        (lambda: _transformer().loss(READ, READ, decoder_input_ids=READ[:, :2]), "labels have shape"),
        (lambda: _transformer().generate(READ, 20), "max_new_tokens of 20 exceed"),
        (lambda: _transformer().generate(READ, 4, forced_bos_token_id=23), "forced_bos_token_id is 23"),
        (lambda: _transformer().generate(READ, 4, suppress_tokens=[-1]), "suppress_tokens is"),
        (lambda: _transformer().generate(READ, 4, min_new_tokens=-1), "min_new_tokens is -1"),
        (lambda: _transformer().generate(READ, 4, decoder_input_ids=READ[:2]), "have 2 rows, expected 3"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError, ek.errors.IndexRangeError), match=message):
        call()


@pytest.mark.filterwarnings("error")
def test_the_loss_of_no_labels_is_nan_as_in_torch():
    labels = np.full((2, 3), -100)
    assert np.isnan(float(_transformer().loss(np.array([[3, 4], [5, 6]]), labels)))
    assert np.isnan(float(models.GPT(8, 6, 8, 1, 2).loss(np.ones((2, 3), int), labels)))
