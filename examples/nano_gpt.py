"""Small GPTs of characters, by the recipes of nanoGPT (Shakespeare, on a CPU) and makemore (first names).

python examples/nano_gpt.py [--names]

Takes ``tinyshakespeare/input.txt`` or ``names/names.txt`` in ``EINKORN_DATA``, or a few lines written here.
"""

import math
import os
import sys
import time
from pathlib import Path

import numpy as np

import einkorn as ek
from einkorn import models, nn, optim

BLOCK, BATCH = 64, 12
VERSE = "Now is the winter of our discontent\nMade glorious summer by this sun of York;\n" * 20
NAMES = ["emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia", "harper", "evelyn"]


def groups(model: nn.Module, decay: float) -> list[dict]:
    """Matrices decay, vectors do not."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def shakespeare(path: Path) -> None:
    """4 layers of 128, 2,000 steps of 12 pieces of 64 characters; the last tenth of the text is held out."""
    text = path.read_text() if path.is_file() else VERSE
    steps = 2000 if path.is_file() else 60
    letters = sorted(set(text))
    codes = np.array([letters.index(c) for c in text])
    learned, held_out = codes[: len(codes) * 9 // 10], codes[len(codes) * 9 // 10 :]
    model = models.GPT(len(letters), BLOCK, 128, 4, 4, dropout=0.0, bias=False, activation="gelu")
    optimizer = optim.AdamW(groups(model, 0.1), lr=1e-3, betas=(0.9, 0.99))

    def piece(of: np.ndarray) -> np.ndarray:
        starts = rng.integers(0, len(of) - BLOCK, BATCH)
        return of[starts[:, None] + np.arange(BLOCK + 1)]

    def loss_of(rows: np.ndarray) -> ek.Tensor:
        scores = model(rows[:, :-1])
        return ek.ops.cross_entropy(ek.ops.reshape(scores, (-1, len(letters))), rows[:, 1:].reshape(-1))

    rng = np.random.default_rng(2)
    started = time.perf_counter()
    for step in range(steps):
        fall = 0.5 * (1 + math.cos(math.pi * max(0, step - 100) / (steps - 100)))
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (step + 1) / 101 if step < 100 else 1e-4 + 9e-4 * fall
        loss = loss_of(piece(learned))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 500 == 0:
            print(f"step {step + 1}: {loss.item():.3f}, {time.perf_counter() - started:.0f} s", flush=True)
    model.eval()
    with ek.no_grad():
        found = np.mean([loss_of(piece(held_out)).item() for _ in range(200 if path.is_file() else 2)])
    print(
        f"{steps} steps, {time.perf_counter() - started:.0f} s: {found:.3f} nats a character of held-out text"
    )
    start = np.array([letters.index("\n")])
    written = model.generate(start, BLOCK - 1, do_sample=True, top_k=40, generator=ek.random.Generator(0))
    print("".join(letters[i] for i in np.asarray(written)))


def names(path: Path) -> None:
    """4 layers of 64, batches of 32 names; 1,000 names are held out."""
    words = path.read_text().split() if path.is_file() else NAMES * 200
    steps = 16000 if path.is_file() else 60
    letters = [".", *sorted(set("".join(words)))]  # the point begins and ends a name
    length = max(map(len, words)) + 1
    rng = np.random.default_rng(3407)
    rows = np.full((len(words), length + 1), -100)
    for row, word in zip(rows, words, strict=True):
        row[: len(word) + 2] = [0, *(letters.index(c) for c in word), 0]
    rows = rows[rng.permutation(len(rows))]
    learned, held_out = rows[1000:], rows[:1000]
    model = models.GPT(len(letters), length, 64, 4, 4, dropout=0.0)
    optimizer = optim.AdamW(groups(model, 0.01), lr=2e-3, betas=(0.9, 0.99))

    def loss_of(some: np.ndarray) -> ek.Tensor:
        longest = int((some >= 0).sum(axis=1).max())
        scores = model(np.maximum(some[:, : longest - 1], 0))
        return ek.ops.cross_entropy(
            ek.ops.reshape(scores, (-1, len(letters))), some[:, 1:longest].reshape(-1), ignore_index=-100
        )

    started = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 100, 1 - step / steps)
        loss = loss_of(learned[rng.integers(0, len(learned), 32)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with ek.no_grad():
        found = loss_of(held_out).item()
    print(
        f"{steps} steps, {time.perf_counter() - started:.0f} s: {found:.3f} nats a letter of held-out names"
    )
    written = model.generate(
        np.zeros((8, 1), np.int64),
        length - 1,
        do_sample=True,
        eos_token_id=0,
        pad_token_id=0,
        generator=ek.random.Generator(0),
    )
    print(", ".join("".join(letters[i] for i in row if i) for row in np.asarray(written)))


def main() -> None:
    data = Path(os.environ.get("EINKORN_DATA", ""))
    ek.manual_seed(2)
    if "--names" in sys.argv[1:]:
        names(data / "names" / "names.txt")
    else:
        shakespeare(data / "tinyshakespeare" / "input.txt")


if __name__ == "__main__":
    main()
