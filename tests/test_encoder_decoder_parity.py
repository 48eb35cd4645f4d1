"""The encoder-decoders against Hugging Face's transformers: scores, a training step, generation, files."""

from __future__ import annotations

import numpy as np
import pytest

from einkorn import models

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

_RNG = np.random.default_rng(0)
READ = _RNG.integers(4, 49, (3, 9))
MASK = np.ones_like(READ)
MASK[1, 6:] = 0
READ[1, 6:] = 1  # M2M100's pad
WRITTEN = _RNG.integers(4, 49, (3, 6))
LABELS = WRITTEN.copy()
LABELS[1, 4:] = -100

_TWO_STACKS = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 32,
    "init_std": 0.3,
    "forced_eos_token_id": None,
}


def _t5(**more):
    config = transformers.T5Config(
        vocab_size=50,
        d_model=32,
        d_kv=8,
        d_ff=40,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=6,
        eos_token_id=3,
        pad_token_id=0,
        decoder_start_token_id=0,
        dropout_rate=0.0,
        **more,
    )
    return transformers.T5ForConditionalGeneration(config)


def _m2m100():
    config = transformers.M2M100Config(
        vocab_size=50, eos_token_id=3, pad_token_id=1, decoder_start_token_id=2, **_TWO_STACKS
    )
    return transformers.M2M100ForConditionalGeneration(config)


def _marian():
    config = transformers.MarianConfig(
        vocab_size=50,
        eos_token_id=3,
        pad_token_id=49,
        decoder_start_token_id=49,
        scale_embedding=True,
        **_TWO_STACKS,
    )
    model = transformers.MarianMTModel(config)
    model.final_logits_bias.normal_()
    return model


KINDS = {
    "t5": _t5,
    "t5 1.1": lambda: _t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "m2m100": _m2m100,
    "transformer": _marian,
}


@pytest.fixture(scope="module", params=KINDS)
def translators(request, tmp_path_factory):
    torch.manual_seed(0)
    theirs = KINDS[request.param]().eval()
    folder = tmp_path_factory.mktemp("published")
    theirs.save_pretrained(folder)
    ours = models.from_pretrained(folder)
    assert ours.weights_report.missing == ours.weights_report.unexpected == ()
    return ours, theirs


def test_scores_and_a_training_step(translators):
    ours, theirs = translators
    theirs.zero_grad()
    expected = theirs(
        input_ids=torch.tensor(READ), attention_mask=torch.tensor(MASK), labels=torch.tensor(LABELS)
    )
    expected.loss.backward()
    scores = expected.logits.detach().numpy()
    own = ours(READ, ours.shifted(LABELS), attention_mask=MASK).numpy()
    np.testing.assert_allclose(own, scores, rtol=1e-4, atol=1e-5 * np.abs(scores).max())
    loss = ours.loss(READ, LABELS, attention_mask=MASK)
    loss.backward()
    assert float(loss) == pytest.approx(expected.loss.item(), rel=1e-5)
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters() if p.grad is not None}
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    compared = 0
    for name, parameter in ours.named_parameters():
        if name in gradients:  # a bias that is no parameter there has none
            gradient = gradients[name]
            atol = 1e-4 * np.abs(gradient).max() + 1e-6 * largest  # a key's bias changes nothing
            np.testing.assert_allclose(np.asarray(parameter.grad), gradient, rtol=1e-3, atol=atol)
            compared += 1
    assert compared == len(gradients)


@pytest.mark.parametrize(
    "options",
    [
        {"suppress_tokens": [5, 6, 9, 20], "repetition_penalty": 1.3},
        {"num_beams": 4, "length_penalty": 2.0, "num_return_sequences": 3},
        {"forced_bos_token_id": 7, "num_beams": 3, "min_new_tokens": 5, "no_repeat_ngram_size": 2},
    ],
)
def test_generation_token_for_token(translators, options):
    ours, theirs = translators
    mask = torch.tensor(MASK)
    expected = theirs.generate(
        torch.tensor(READ), attention_mask=mask, max_new_tokens=8, do_sample=False, **options
    ).numpy()
    for cached in (True, False):
        got = ours.generate(READ, 8, attention_mask=MASK, eos_token_id=3, use_cache=cached, **options)
        np.testing.assert_array_equal(got, expected)
