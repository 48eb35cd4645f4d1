"""Say what is on a picture: a convolutional network and an LSTM, with attention and without.

python examples/caption_scenes.py [--quick]

Learns from scenes made by a program, and counts the captions of new ones that are right in every word. Where
Matplotlib is installed it draws where the model looked for each word, into ``captions.png``.
"""

import importlib.util
import sys
import time

import numpy as np

import einkorn as ek
from einkorn import models, nn, optim
from einkorn.seq import CAPTION_WORDS, captioned_scenes

END = CAPTION_WORDS.index("<end>")


def seen(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 255 - 0.5


def words_of(row: np.ndarray) -> str:
    return " ".join(CAPTION_WORDS[i] for i in row if i > END)


def learn(attention: bool, steps: int, scenes: tuple) -> models.Captioner:
    images, tokens, _ = scenes
    labels = np.where(tokens == 0, -100, tokens)
    ek.manual_seed(0)
    rng = np.random.default_rng(0)
    model = models.Captioner(len(CAPTION_WORDS), attention=attention)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    started = time.perf_counter()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * min((step + 1) / 50, 1 - step / steps)
        rows = rng.integers(0, len(images), 64)
        loss = model.loss(seen(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 300 == 0:
            print(
                f"step {step + 1}: loss {loss.item():.4f}, {time.perf_counter() - started:.0f} s", flush=True
            )
    return model


def draw(model: models.Captioner, image: np.ndarray, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tokens = model.generate(seen(image[None]), 10, eos_token_id=END)
    looks = model.align(seen(image[None]), tokens[:, :-1])[0]
    figure, axes = pyplot.subplots(1, len(looks) + 1, figsize=(2 * len(looks) + 2, 2.3))
    axes[0].imshow(image)
    for axis, look, word in zip(axes[1:], looks, tokens[0, 1:], strict=True):
        axis.imshow(image)
        axis.imshow(np.kron(look, np.ones((8, 8))), cmap="gray", alpha=0.6)
        axis.set_title(CAPTION_WORDS[word])
    for axis in axes:
        axis.axis("off")
    figure.savefig(path, bbox_inches="tight")


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    scenes, new = (
        captioned_scenes(200 if quick else 20000, seed=1),
        captioned_scenes(50 if quick else 1000, seed=2),
    )
    for attention in (False, True):
        model = learn(attention, 10 if quick else 1500, scenes)
        written = model.generate(seen(new.images), 10, eos_token_id=END)
        right = np.mean([words_of(row) == text for row, text in zip(written, new.captions, strict=True)])
        print(f"attention {attention}: {right:.1%} of {len(new.captions)} captions are exact", flush=True)
    print("for example:", words_of(written[0]))
    if importlib.util.find_spec("matplotlib") and not quick:
        draw(model, new.images[0], "captions.png")


if __name__ == "__main__":
    main()
