"""Week 9, text: what a word tells (TF-IDF), and a network of word vectors that tells moods apart."""

import math
import os
import zipfile
from pathlib import Path

import numpy as np

from einkorn import keras
from einkorn.keras import layers

GOOD = [
    "a fine and moving film",
    "what a joy to watch",
    "clever, warm and very funny",
    "the best of the year",
]
BAD = [
    "a dull and empty film",
    "what a pain to watch",
    "clumsy, cold and never funny",
    "the worst of the year",
]


def sentences() -> tuple[list[str], np.ndarray]:
    """Film reviews of ``nltk/sentence_polarity.zip`` in ``EINKORN_DATA``, or eight sentences many times."""
    path = Path(os.environ.get("EINKORN_DATA", "")) / "nltk" / "sentence_polarity.zip"
    if not path.is_file():
        return (GOOD + BAD) * 30, np.array(([1] * 4 + [0] * 4) * 30)
    texts: list[str] = []
    labels: list[int] = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith((".pos", ".neg")):
                lines = archive.read(name).decode("latin-1").splitlines()
                texts += lines
                labels += [int(name.endswith(".pos"))] * len(lines)
    return texts, np.array(labels)


def main() -> None:
    print(f"30 of 2,000 words, in 6,000 of 10,000 texts: {30 / 2000 * math.log10(10_000 / 6_000):.4f}")
    keras.utils.set_random_seed(0)
    texts, labels = sentences()
    order = np.random.default_rng(0).permutation(len(texts))
    vectorize = layers.TextVectorization(max_tokens=5000, output_sequence_length=24)
    vectorize.adapt(texts)
    x, y = vectorize(np.array(texts, object)[order]), labels[order]
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int64"),
            layers.Embedding(vectorize.vocabulary_size(), 32, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(0.4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"])
    held = len(x) // 5
    model.fit(x[held:], y[held:], batch_size=64, epochs=4, verbose=2)
    print(f"{model.evaluate(x[:held], y[:held])[1]:.1%} of sentences that were not seen")


if __name__ == "__main__":
    main()
