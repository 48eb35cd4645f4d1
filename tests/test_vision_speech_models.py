"""ViT, CLIP, Whisper and Conformer: sizes, learning, long sound, features of sound, refusals."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from scipy.fft import dct

import einkorn as ek
from einkorn import models, optim, seq
from einkorn.nn.parameter import deferred
from einkorn.seq.generation import GenerationInterrupted

_RNG = np.random.default_rng(0)
_SMALL = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}


def _clip():
    return models.CLIP(
        {"vocab_size": 12, "max_position_embeddings": 6, "eos_token_id": 11, **_SMALL},
        {"image_size": 8, "patch_size": 4, **_SMALL},
        16,
    )


def _train(model, loss_of, steps, rate=3e-3):
    optimizer = optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_published_sizes():
    """Memory is asked for and never touched."""

    def count(make):
        with deferred(10_000, 10**10):
            return sum(p.numel() for p in make().parameters())

    # With the head of ImageNet's 1000 classes; the paper counts 86M, 307M and 632M without it.
    assert count(models.ViT) == 86_567_656
    assert count(lambda: models.ViT.of_size("large")) == 304_326_632
    assert count(lambda: models.ViT.of_size("huge", patch_size=14)) == 632_045_800
    assert count(models.CLIP) == 151_277_313
    assert count(lambda: models.CLIP.of_size("ViT-B/16")) == 149_620_737
    assert count(lambda: models.CLIP.of_size("ViT-L/14")) == 427_616_513
    published = {
        "tiny": 37_760_640,
        "base": 72_593_920,
        "small": 241_734_912,
        "medium": 763_857_920,
        "large": 1_543_304_960,
        "large-v3": 1_543_490_560,
        "turbo": 808_878_080,
    }
    assert {size: count(lambda size=size: models.Whisper.of_size(size)) for size in published} == published


def test_vit_learns_where_a_square_is(tmp_path):
    ek.manual_seed(0)
    model = models.ViT(8, 4, 4, num_channels=1, **_SMALL)
    rng = np.random.default_rng(0)

    def batch():
        images, places = rng.normal(0, 0.3, (16, 1, 8, 8)).astype(np.float32), rng.integers(0, 4, 16)
        for image, place in zip(images, places, strict=True):
            image[0, 4 * (place // 2) :, 4 * (place % 2) :][:4, :4] += 1
        return images, places

    _train(model, lambda: (lambda b: ek.ops.cross_entropy(model(b[0]), b[1]))(batch()), 80)
    images, places = batch()
    model.eval()
    assert (model(images).numpy().argmax(1) == places).mean() > 0.9
    ek.save(model, tmp_path / "vit.safetensors")
    again = ek.load(tmp_path / "vit.safetensors").eval()
    np.testing.assert_array_equal(again(images).numpy(), model(images).numpy())


def test_clip_learns_pairs_and_classifies_what_texts_describe(tmp_path):
    ek.manual_seed(0)
    model = _clip()
    rng = np.random.default_rng(0)

    def images(colours):
        noise = rng.normal(0, 0.2, (len(colours), 3, 8, 8)).astype(np.float32)
        noise[np.arange(len(colours)), colours] += 1
        return noise

    texts = np.array([[1, 5 + c, 11, 0] for c in range(3)])
    _train(model, lambda: model.loss(texts, images(np.arange(3))), 60)
    classify = model.zero_shot([texts[c] for c in range(3)])
    shown = rng.integers(0, 3, 30)
    probabilities = classify(images(shown))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (probabilities.argmax(1) == shown).mean() > 0.9
    ek.save(model, tmp_path / "clip.safetensors")
    again = ek.load(tmp_path / "clip.safetensors").eval()
    np.testing.assert_array_equal(
        again.text_features(texts).numpy(), model.eval().text_features(texts).numpy()
    )


def _whisper():
    ek.manual_seed(0)
    return models.Whisper(
        num_mel_bins=8,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=50,
        max_target_positions=32,
    ).eval()


class _Scripted:
    """Writes what it is told, window after window."""

    def __init__(self, model, texts):
        self._model, self._texts, self.begins = model, list(texts), []
        self.vocab_size, self.context_length = model.vocab_size, model.context_length
        self.frames, self.config, self.training = model.frames, model.config, False
        self.encode, self.decode, self.eval, self.train = model.encode, model.decode, model.eval, model.train

    def write(self, memory, begin, most, **options):
        self.begins.append(begin[0].tolist())
        text = self._texts.pop(0)
        if text is None:
            raise GenerationInterrupted(begin)
        return np.concatenate([begin, np.array([text])], 1)


def test_long_sound_goes_through_windows():
    special = seq.WhisperTokens.of(51865)
    first, end = special.first_time, special.end
    texts = [
        # Windows of 1 s: a whole segment until 0.60, another one begins; then one that ends with the window.
        [first, 11, 12, first + 30, first + 30, 13, end],
        [first, 14, first + 40, end],
        [first, 15, 16, end],
    ]
    model = _Scripted(_whisper(), texts)
    sound = _RNG.normal(0, 0.1, 36000).astype(np.float32)  # 2.25 s
    out = seq.transcribe(model, sound, language="de", no_speech_threshold=1.0, temperature=0.0)
    assert [(round(s["start"], 2), round(s["end"], 2)) for s in out["segments"]] == [
        (0.0, 0.6),
        (0.6, 1.4),
        (1.6, 2.25),
    ]
    assert [s["tokens"][1:-1] for s in out["segments"][:2]] == [[11, 12], [14]]
    assert out["language"] == "de"
    prompt = [special.start, special.language("de"), special.transcribe]
    assert model.begins[0] == prompt
    assert model.begins[1] == [special.previous, first, 11, 12, first + 30, *prompt]
    model = _Scripted(_whisper(), [texts[0], None])
    with pytest.raises(GenerationInterrupted) as caught:
        seq.transcribe(model, sound, language="de", no_speech_threshold=1.0, temperature=0.0)
    assert len(caught.value.segments) == 1


def test_transcription_follows_the_rules():
    special = seq.WhisperTokens.of(51865)
    model = _whisper()
    sound = _RNG.normal(0, 0.1, 24000).astype(np.float32)

    class Names:
        def decode(self, tokens):
            return " ".join(map(str, tokens))

    still = {"no_speech_threshold": 1.0, "temperature": 0.0}
    out = model.transcribe(sound, Names(), max_new_tokens=6, **still)
    assert out["language"] in seq.LANGUAGES
    assert out["segments"]
    for segment in out["segments"]:
        assert segment["tokens"][0] >= special.first_time
        assert 0 <= segment["start"] <= segment["end"]
        assert not any(special.start <= token <= special.no_timestamps for token in segment["tokens"])
    plain = model.transcribe(sound, timestamps=False, max_new_tokens=4, num_beams=2, **still)
    assert all(token < special.end for s in plain["segments"] for token in s["tokens"])


def test_what_is_not_believed_is_written_anew():
    special = seq.WhisperTokens.of(51865)
    first, end = special.first_time, special.end
    sound = _RNG.normal(0, 0.1, 16000).astype(np.float32)
    again, other = [first, *[7] * 20, first + 40, end], [first, 8, 9, first + 40, end]

    class Names:
        def decode(self, tokens):
            return " ".join(f"word{token}" for token in tokens)

    names = Names()

    def run(texts, tokenizer=names, **options):
        model = _Scripted(_whisper(), texts)
        options = {"no_speech_threshold": None, "logprob_threshold": None, **options}
        return seq.transcribe(model, sound, tokenizer, language="de", **options), model

    out, _ = run([again, again, other])  # a text that repeats itself
    (segment,) = out["segments"]
    assert segment["temperature"] == 0.4
    assert segment["tokens"] == other[:-1]
    assert segment["compression_ratio"] < 2.4
    out, _ = run([again], compression_ratio_threshold=None)
    assert out["segments"][0]["temperature"] == 0.0
    out, _ = run([again], None)  # no text, so nothing to look at
    assert out["segments"][0]["temperature"] == 0.0
    out, model = run([other, again], logprob_threshold=0.0, temperature=(0.0, 0.6))  # an unlikely text
    assert out["segments"][0]["temperature"] == 0.6
    assert len(model.begins) == 2
    out, model = run([other], logprob_threshold=0.0, no_speech_threshold=-1.0)  # silence is not tried again
    assert (out["segments"], len(model.begins)) == ([], 1)
    with pytest.raises(ek.ArgumentError, match="temperature is -1"):
        run([other], temperature=-1)


def test_conformer_learns_to_spell_tones():
    ek.manual_seed(0)
    model = models.ConformerCTC(4, 8, 24, 1, 2, 48, conv_depthwise_kernel_size=5, dropout=0.0, subsampling=2)
    rng = np.random.default_rng(0)

    def batch():
        labels = rng.integers(1, 4, (8, 3))
        features = rng.normal(0, 0.2, (8, 8, 30)).astype(np.float32)
        for row, own in zip(features, labels, strict=True):
            for i, label in enumerate(own):
                row[2 * label, 10 * i + 2 : 10 * i + 8] += 2
        return features, labels

    def loss():
        features, labels = batch()
        return model.loss(features, labels, [3] * 8)

    _train(model, loss, 120)
    features, labels = batch()
    read = model.read(features)
    assert sum(np.array_equal(a, b) for a, b in zip(read, labels, strict=True)) >= 7
    searched = model.read(features, num_beams=8)
    assert sum(np.array_equal(a, b) for a, b in zip(searched, labels, strict=True)) >= 7
    with ek.no_grad():  # what is filled up changes nothing
        model.eval()
        short = model(features[:1, :, :20]).numpy()
        padded = model(np.pad(features[:1, :, :20], [(0, 0), (0, 0), (0, 10)]), [20]).numpy()
    np.testing.assert_allclose(padded[:, :10], short, rtol=1e-4, atol=1e-4)


def test_cepstrum_is_the_cosine_transform_of_the_channels():
    sound = _RNG.normal(0, 0.1, 4000).astype(np.float32)
    mel = seq.mel_filters(16000, 400, 40) @ seq.power_spectrogram(sound)
    expected = dct(10 * np.log10(np.maximum(mel, 1e-10)), type=2, norm="ortho", axis=0)[:13]
    np.testing.assert_allclose(seq.mfcc(sound), expected, rtol=1e-4, atol=1e-3)
    assert seq.mfcc(np.stack([sound, sound])).shape == (2, 13, 26)


@pytest.mark.parametrize(("width", "kind"), [(1, "u1"), (2, "<i2"), (4, "<i4")])
def test_wav_files(tmp_path, width, kind):
    values = np.array([0, 100, -100, 50], np.int64) * 256 ** (width - 1)
    stored = (values + 128 if width == 1 else values).astype(kind)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(stored.tobytes())
    samples, rate = seq.read_wav(tmp_path / "a.wav")
    assert rate == 8000
    np.testing.assert_allclose(samples, [50 / 128, -25 / 128], atol=1e-6)
    (tmp_path / "b.wav").write_bytes(b"RIFFxxxx")
    with pytest.raises(ek.errors.DataError, match="no readable WAV"):
        seq.read_wav(tmp_path / "b.wav")
    with pytest.raises(FileNotFoundError, match="no such file"):
        seq.read_wav(tmp_path / "c.wav")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.ViT(10, 4), "image_size is 10, expected a multiple of patch_size 4"),
        (lambda: models.ViT.of_size("tiny"), "size is 'tiny'"),
        (lambda: models.ViT(8, 4, 2, **_SMALL)(np.ones((1, 1, 8, 8), np.float32)), r"expected \[batch, 3"),
        (lambda: models.ViT(8, 4, 2, **_SMALL)(np.ones((1, 3, 8, 12), np.float32)), "images are 8 x 12"),
        (lambda: models.CLIP({"heads": 3}), "text_config has 'heads'"),
        (lambda: models.CLIP.of_size("ViT-B"), "size is 'ViT-B'"),
        (lambda: _clip().text_features(np.ones((1, 7), int)), "7 tokens exceed"),
        (lambda: _clip().text_features([[1, 12]]), "12"),
        (lambda: _clip().loss([[1, 11]], np.ones((2, 3, 8, 8), np.float32)), "1 texts and 2 images"),
        (lambda: _clip().zero_shot([]), "no classes"),
        (lambda: models.Whisper.of_size("giant"), "size is 'giant'"),
        (lambda: _whisper().encode(np.ones((1, 8, 99), np.float32)), r"expected \[batch, 8, 100\]"),
        (lambda: _whisper().transcribe(np.ones(900, np.float32), language="xx"), "language is 'xx'"),
        (lambda: _whisper().transcribe(np.ones(900, np.float32), task="sing"), "task is 'sing'"),
        (lambda: seq.WhisperTokens.of(50), "vocab_size is 50"),
        (lambda: models.ConformerCTC(4, conv_depthwise_kernel_size=4), "is 4, expected an odd number"),
        (lambda: models.ConformerCTC(4, subsampling=3), "subsampling is 3"),
        (lambda: models.ConformerCTC(4, position_embeddings_type="none"), "position_embeddings_type"),
        (lambda: models.Wav2Vec2Conformer(conv_dim=(4,)), "conv_dim, conv_stride and conv_kernel have 1, 7"),
        (lambda: seq.log_mel_spectrogram(np.ones(100, np.float32)), "expected more than 200"),
        (lambda: seq.log_mel_spectrogram(np.ones(1000, int)), "expected floats"),
        (lambda: seq.mel_filters(f_max=9000.0), "f_max"),
        (lambda: seq.mfcc(np.ones(1000, np.float32), 41), "n_mfcc is 41, expected at most n_mels 40"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ek.ArgumentError, ek.ShapeError, ek.errors.IndexRangeError), match=message):
        call()
