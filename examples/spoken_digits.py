"""Spoken digits by connectionist temporal classification: a Conformer that no one tells where a digit is.

python examples/spoken_digits.py

Takes ``speech/fsdd_idx00-19.tar.xz`` in ``EINKORN_DATA``, the free spoken digits, whose recordings 0 to 4 are
held out, or tones in their place. It learns from one to three digits in a row, and is asked for single ones
and for rows.
"""

import io
import os
import tarfile
import time
import wave
from pathlib import Path

import numpy as np

import einkorn as ek
from einkorn import models, nn, optim, seq

MELS, RATE = 40, 8000


def heard(samples: np.ndarray) -> np.ndarray:
    """Log-mel channels [40, frames], a frame each 10 ms."""
    return np.asarray(seq.log_mel_spectrogram(samples, MELS, sample_rate=RATE, n_fft=256, hop_length=80))


def recordings(path: Path) -> tuple[list, list]:
    """Learned from, and held out: pairs of channels and digit."""
    learned, held_out = [], []
    if not path.is_file():
        rng = np.random.default_rng(0)
        for i in range(60):
            tone = 0.3 * np.sin(2 * np.pi * (300 + 300 * (i % 10)) * np.arange(3000) / RATE)
            sound = (tone + 0.01 * rng.standard_normal(3000)).astype(np.float32)
            (held_out if i < 20 else learned).append((heard(sound), i % 10))
        return learned, held_out
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None or not member.name.endswith(".wav"):
                continue
            with wave.open(io.BytesIO(file.read())) as sound:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / np.float32(32768)
            digit, _, index = Path(member.name).stem.split("_")
            (held_out if int(index) < 5 else learned).append((heard(samples), int(digit)))
    return learned, held_out


def padded(rows: list) -> tuple[np.ndarray, list[int]]:
    frames = [row.shape[1] for row in rows]
    return np.stack([np.pad(row, [(0, 0), (0, max(frames) - row.shape[1])]) for row in rows]), frames


def rows_of(sounds: list, rng: np.random.Generator, count: int, most: int, change: bool) -> tuple:
    """`count` rows of one to `most` digits; `change` hides a band of channels and a stretch of time."""
    features, labels = [], []
    for _ in range(count):
        chosen = [sounds[i] for i in rng.integers(0, len(sounds), rng.integers(1, most + 1))]
        row = np.concatenate([sound for sound, _ in chosen], axis=1)
        if change:
            row = row + rng.normal(0, 0.1)
            at, width = rng.integers(0, MELS - 6), rng.integers(0, 7)
            row[at : at + width] = row.mean()
            at, width = rng.integers(0, max(1, row.shape[1] - 8)), rng.integers(0, 9)
            row[:, at : at + width] = row.mean()
        features.append(row)
        labels.append([digit + 1 for _, digit in chosen])  # 0 is the blank
    return features, labels


def right(model: models.ConformerCTC, features: list, labels: list, beams: int) -> float:
    """The share of rows that are read without a fault."""
    good = 0
    for i in range(0, len(features), 50):
        x, frames = padded(features[i : i + 50])
        read = model.read(x, input_lengths=frames, num_beams=beams)
        good += sum(r.tolist() == y for r, y in zip(read, labels[i : i + 50], strict=True))
    return good / len(features)


def main() -> None:
    path = Path(os.environ.get("EINKORN_DATA", "")) / "speech" / "fsdd_idx00-19.tar.xz"
    learned, held_out = recordings(path)
    steps = 900 if path.is_file() else 40
    ek.manual_seed(0)
    rng = np.random.default_rng(0)
    model = models.ConformerCTC(11, MELS, 64, 3, 4, 160, conv_depthwise_kernel_size=9, subsampling=2)
    optimizer = optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    started = time.perf_counter()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * min((step + 1) / 50, 1 - step / steps)
        features, labels = rows_of(learned, rng, 24, 3, True)
        x, frames = padded(features)
        targets = np.zeros((len(labels), 3), np.int64)
        for row, digits in zip(targets, labels, strict=True):
            row[: len(digits)] = digits
        loss = model.loss(x, targets, [len(y) for y in labels], input_lengths=frames, zero_infinity=True)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 150 == 0:
            print(
                f"step {step + 1}: loss {loss.item():.3f}, {time.perf_counter() - started:.0f} s", flush=True
            )
    single = [sound for sound, _ in held_out], [[digit + 1] for _, digit in held_out]
    rows = rows_of(held_out, rng, 200, 3, False)
    for beams in (1, 10):
        found, of_rows = right(model, *single, beams), right(model, *rows, beams)
        print(f"{beams} beams: {found:.1%} of {len(held_out)} held-out digits, {of_rows:.1%} of rows of them")


if __name__ == "__main__":
    main()
