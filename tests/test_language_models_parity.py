"""The language models against Hugging Face's transformers: scores, gradients, generation, files."""

from __future__ import annotations

import numpy as np
import pytest

import einkorn as ek
from einkorn import models

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(4, 50, (3, 12))
MASK = np.ones_like(TOKENS)
MASK[1, :5] = 0
LABELS = np.random.default_rng(1).integers(4, 50, TOKENS.shape)

_SHARED = {"vocab_size": 50, "initializer_range": 0.3, "bos_token_id": None, "eos_token_id": 3}
_LONG = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def _gpt2(**more):
    config = transformers.GPT2Config(n_positions=64, n_embd=32, n_layer=2, n_head=4, **_SHARED, **more)
    return transformers.GPT2LMHeadModel(config)


def _llama(**more):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(
        num_key_value_heads=2, max_position_embeddings=64, **sizes, **_SHARED, **more
    )
    return transformers.LlamaForCausalLM(config)


DECODERS = {
    "gpt2": lambda: _gpt2(),
    "gpt2, relu": lambda: _gpt2(activation_function="relu", n_inner=20),
    "llama": lambda: _llama(),
    "llama, one matrix": lambda: _llama(tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
    "llama, long texts": lambda: _llama(rope_parameters=_LONG),
}


@pytest.fixture(scope="module", params=DECODERS)
def decoders(request, tmp_path_factory):
    torch.manual_seed(0)
    theirs = DECODERS[request.param]().eval()
    folder = tmp_path_factory.mktemp("published")
    theirs.save_pretrained(folder, max_shard_size="20KB")
    ours = models.from_pretrained(folder)
    assert ours.weights_report.missing == ours.weights_report.unexpected == ()
    return ours, theirs


def _close(a, b):
    a, b = np.asarray(a.numpy()), b.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_scores(decoders):
    ours, theirs = decoders
    with ek.no_grad(), torch.no_grad():
        _close(ours(TOKENS), theirs(torch.tensor(TOKENS)).logits)
        own = ours(TOKENS, attention_mask=MASK).numpy()
        places = torch.tensor(np.maximum(np.cumsum(MASK, 1) - 1, 0))
        mask = torch.tensor(MASK)
        other = theirs(torch.tensor(TOKENS), attention_mask=mask, position_ids=places).logits.numpy()
    np.testing.assert_allclose(own[MASK == 1], other[MASK == 1], rtol=1e-4, atol=1e-4 * np.abs(other).max())


def test_a_training_step(decoders):
    ours, theirs = decoders
    theirs.zero_grad()
    scores = theirs(torch.tensor(TOKENS)).logits
    loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), torch.tensor(LABELS).flatten())
    loss.backward()
    own = ours.loss(TOKENS, LABELS)
    for parameter in ours.parameters():
        parameter.grad = None
    own.backward()
    assert float(own) == pytest.approx(loss.item(), rel=1e-5)
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        turned = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        expected, got = gradients[name].T if turned else gradients[name], np.asarray(parameter.grad)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3},
        {"num_beams": 4, "length_penalty": 2.0, "num_return_sequences": 3},
        {"num_beams": 3, "early_stopping": True},
        {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.5},
        {"repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 2, "num_beams": 3},
    ],
)
def test_generation_token_for_token(decoders, options):
    ours, theirs = decoders
    expected = theirs.generate(
        torch.tensor(TOKENS),
        attention_mask=torch.tensor(MASK),
        max_new_tokens=14,
        do_sample=False,
        pad_token_id=3,
        **options,
    ).numpy()
    got = ours.generate(TOKENS, 14, attention_mask=MASK, eos_token_id=3, pad_token_id=3, **options)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "head",
    [
        "Model",
        "ForMaskedLM",
        "ForPreTraining",
        "ForSequenceClassification",
        "ForTokenClassification",
        "ForQuestionAnswering",
    ],
)
def test_bert(head, tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.3,
        num_labels=2 if head == "ForQuestionAnswering" else 5,
    )
    theirs = getattr(transformers, f"Bert{head}")(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = models.from_pretrained(tmp_path)
    types = np.zeros_like(TOKENS)
    types[:, 6:] = 1
    mask = MASK[:, ::-1].copy()
    with ek.no_grad(), torch.no_grad():
        got = ours(TOKENS, mask, types)
        expected = theirs(
            torch.tensor(TOKENS), attention_mask=torch.tensor(mask), token_type_ids=torch.tensor(types)
        ).to_tuple()
    for a, b in zip(got if isinstance(got, tuple) else (got,), expected, strict=True):
        _close(a, b)
