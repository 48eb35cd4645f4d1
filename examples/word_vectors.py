"""Learn vectors of words by word2vec and by GloVe, look at neighbours, save them.

python examples/word_vectors.py [FILE with a sentence on each line]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import einkorn.text as et


def sentences() -> list[list[str]]:
    """A toy corpus in which cities, animals and colours stand in like places."""
    rng = np.random.default_rng(0)
    groups = {
        "{} is a city in the north": ["oslo", "bergen", "turku", "malmo"],
        "a {} eats what the farmer gives": ["cow", "goat", "horse", "sheep"],
        "she painted the wall in {} today": ["red", "blue", "green", "white"],
    }
    patterns = list(groups)
    texts = []
    for _ in range(1500):
        pattern = patterns[rng.integers(3)]
        texts.append(pattern.format(rng.choice(groups[pattern])).split())
    return texts


def show(seen: dict[str, float]) -> None:
    print(f"{seen['words_per_second']:,.0f} words a second, loss {seen['loss']:.3f}")


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else None
    options = {"vector_size": 32, "window": 4, "min_count": 5, "seed": 1}
    model = et.Word2Vec(
        sentences() if source is None else None,
        corpus_file=source,
        sg=1,
        progress=lambda seen: print(
            f"{seen['words_per_second']:,.0f} words a second, loss {seen['loss']:.3f}"
        ),
        **options,
    )
    glove = et.GloVe(source or sentences(), epochs=20, **options)
    for word in ("oslo", "cow", "red") if source is None else model.wv.index_to_key[:3]:
        for name, kv in (("word2vec", model.wv), ("GloVe", glove.wv)):
            near = ", ".join(f"{other} {cosine:.2f}" for other, cosine in kv.most_similar(word, topn=3))
            print(f"{word:>8} {name:>9}: {near}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.txt"
        model.wv.save_word2vec_format(path)
        print("read again:", len(et.KeyedVectors.load_word2vec_format(path)), "words")


if __name__ == "__main__":
    main()
