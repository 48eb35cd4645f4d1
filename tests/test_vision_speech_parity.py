"""ViT, CLIP, Whisper and Conformer against Hugging Face's transformers: scores, steps, files, features."""

from __future__ import annotations

import re

import numpy as np
import pytest

import einkorn as ek
from einkorn import models, seq
from einkorn.models._published import KINDS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

_RNG = np.random.default_rng(0)
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def _read(theirs, folder):
    theirs.save_pretrained(folder)
    ours = models.from_pretrained(folder)
    assert ours.weights_report.missing == ours.weights_report.unexpected == ()
    return ours


def _close(a, b):
    a, b = np.asarray(a.numpy()), b.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def _same_gradients(ours, theirs):
    gradients = {}
    for given, parameter in theirs.named_parameters():
        name = given
        for pattern, new in KINDS[theirs.config.model_type].renamed:
            name = re.sub(pattern, new, name)
        if parameter.grad is not None:
            gradients[name] = parameter.grad.numpy()
    largest = max(np.abs(g).max() for g in gradients.values())
    compared = 0
    for name, parameter in ours.named_parameters():
        if name in gradients:
            expected = gradients[name]
            atol = 1e-4 * np.abs(expected).max() + 1e-6 * largest
            np.testing.assert_allclose(np.asarray(parameter.grad), expected, rtol=1e-3, atol=atol)
            compared += 1
    return compared / len(gradients)


def test_vit(tmp_path):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=16, patch_size=4, num_labels=5, initializer_range=0.3, **_SIZES
    )
    theirs = transformers.ViTForImageClassification(config).eval()
    ours = _read(theirs, tmp_path)
    images = _RNG.normal(size=(2, 3, 16, 16)).astype(np.float32)
    scores = theirs(torch.tensor(images)).logits
    _close(ours(images), scores)
    torch.nn.functional.cross_entropy(scores, torch.tensor([1, 4])).backward()
    ek.ops.cross_entropy(ours(images), np.array([1, 4])).backward()
    assert _same_gradients(ours, theirs) == 1
    images = _RNG.normal(size=(2, 3, 24, 20)).astype(np.float32)
    with torch.no_grad():
        larger = theirs(torch.tensor(images), interpolate_pos_encoding=True).logits
    _close(ours(images, interpolate_pos_encoding=True), larger)


@pytest.mark.parametrize("end", [2, 47])  # older files say 2 and mean the highest token
def test_clip(tmp_path, end):
    torch.manual_seed(0)
    text = {"vocab_size": 50, "max_position_embeddings": 12, "eos_token_id": end, "bos_token_id": 0, **_SIZES}
    vision = {"image_size": 16, "patch_size": 4, **_SIZES}
    config = transformers.CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=24, initializer_factor=5.0
    )
    theirs = transformers.CLIPModel(config).eval()
    ours = _read(theirs, tmp_path)
    tokens = _RNG.integers(3, 46, (3, 9))
    mask = np.ones_like(tokens)
    for row, place in enumerate((5, 8, 3)):
        tokens[row, place], mask[row, place + 1 :] = 47, 0
    images = _RNG.normal(size=(3, 3, 16, 16)).astype(np.float32)
    expected = theirs(
        input_ids=torch.tensor(tokens),
        pixel_values=torch.tensor(images),
        attention_mask=torch.tensor(mask),
        return_loss=True,
    )
    of_image, of_text = ours(tokens, images, mask)
    _close(of_image, expected.logits_per_image)
    _close(of_text, expected.logits_per_text)
    expected.loss.backward()
    loss = ours.loss(tokens, images, mask)
    loss.backward()
    assert float(loss) == pytest.approx(expected.loss.item(), rel=1e-5)
    assert _same_gradients(ours, theirs) == 1


def test_whisper(tmp_path):
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=60,
        num_mel_bins=8,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=10,
        max_target_positions=40,
        pad_token_id=57,
        bos_token_id=57,
        eos_token_id=57,
        decoder_start_token_id=58,
        init_std=0.3,
        begin_suppress_tokens=None,
    )
    theirs = transformers.WhisperForConditionalGeneration(config).eval()
    ours = _read(theirs, tmp_path)
    features = _RNG.normal(size=(2, 8, 20)).astype(np.float32)
    begin, labels = _RNG.integers(0, 56, (2, 2, 5))
    expected = theirs(
        input_features=torch.tensor(features),
        decoder_input_ids=torch.tensor(begin),
        labels=torch.tensor(labels),
    )
    _close(ours(features, begin), expected.logits)
    expected.loss.backward()
    loss = ours.loss(features, labels, decoder_input_ids=begin)
    loss.backward()
    assert float(loss) == pytest.approx(expected.loss.item(), rel=1e-5)
    assert _same_gradients(ours, theirs) == 1
    plain = transformers.generation.GenerationMixin.generate
    for options in ({}, {"num_beams": 3}):
        tokens = plain(
            theirs,
            torch.tensor(features),
            decoder_input_ids=torch.tensor(begin),
            max_new_tokens=8,
            do_sample=False,
            **options,
        )
        got = ours.generate(features, 8, decoder_input_ids=begin, eos_token_id=57, **options)
        np.testing.assert_array_equal(got, tokens.numpy())


@pytest.mark.parametrize(("positions", "norm"), [("relative", "layer"), ("rotary", "group"), (None, "group")])
def test_wav2vec2_conformer(tmp_path, positions, norm):
    torch.manual_seed(0)
    config = transformers.Wav2Vec2ConformerConfig(
        vocab_size=12,
        conv_dim=(16, 16, 16),
        conv_kernel=(10, 3, 3),
        conv_stride=(5, 2, 2),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        position_embeddings_type=positions,
        feat_extract_norm=norm,
        conv_depthwise_kernel_size=5,
        apply_spec_augment=False,
        layerdrop=0.0,
        **_SIZES,
    )
    theirs = transformers.Wav2Vec2ConformerForCTC(config).eval()
    for name, array in [*theirs.named_parameters(), *theirs.named_buffers()]:
        if "pos_bias" in name or "running_mean" in name:
            torch.nn.init.normal_(array, 0, 0.3)
    ours = _read(theirs, tmp_path)
    sounds = _RNG.normal(size=(3, 300)).astype(np.float32)
    mask = np.ones(sounds.shape, int)
    mask[1, 220:] = 0
    labels = _RNG.integers(1, 12, (3, 4))
    expected = theirs(torch.tensor(sounds), attention_mask=torch.tensor(mask), labels=torch.tensor(labels))
    _close(ours(sounds, mask), expected.logits)
    expected.loss.backward()
    loss = ours.loss(sounds, labels, [4] * 3, input_lengths=mask.sum(1), reduction="sum")
    loss.backward()
    assert float(loss) == pytest.approx(expected.loss.item(), rel=1e-5)
    assert _same_gradients(ours, theirs) == 1


def test_rules_of_timestamps():
    special = seq.WhisperTokens.of(51865)
    own = transformers.GenerationConfig(eos_token_id=special.end)
    own.no_timestamps_token_id, own.max_initial_timestamp_index = special.no_timestamps, 50
    rules = transformers.generation.logits_process.WhisperTimeStampLogitsProcessor(own, begin_index=3)
    first, rng = special.first_time, np.random.default_rng(0)
    begin = [special.start, special.language("de"), special.transcribe]
    for text in (
        [],
        [first],
        [first, 9],
        [first + 2, 9, first + 7],
        [first, 9, first + 7, first + 7],
        [4, 9],
    ):
        tokens = np.array([begin + text] * 3)
        scores = rng.normal(size=(3, 51865)).astype(np.float32)
        scores[1, first:] += 3  # times together are likelier than any word
        expected = rules(torch.tensor(tokens), torch.tensor(scores)).numpy()
        np.testing.assert_array_equal(seq.timestamp_rules(scores, tokens, special, 3, 50), expected)


def test_log_mel_channels_of_a_sound():
    times = np.arange(20000) / 16000
    sound = (0.3 * np.sin(2 * np.pi * (200 + 900 * times) * times)).astype(np.float32)
    sound += 0.01 * _RNG.normal(size=sound.shape).astype(np.float32)
    for channels in (80, 128):
        extract = transformers.WhisperFeatureExtractor(feature_size=channels, chunk_length=2)
        expected = extract(sound, sampling_rate=16000, return_tensors="np").input_features[0]
        got = seq.log_mel_spectrogram(sound, channels, padding=32000 - len(sound))
        np.testing.assert_allclose(got, expected, atol=2e-4)
