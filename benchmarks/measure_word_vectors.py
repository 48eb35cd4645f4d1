"""What word vectors know: word2vec by scores on pairs of words and analogies, beside gensim, settings equal.

``EINKORN_DATA=folder python benchmarks/measure_word_vectors.py [--seeds 3] [--gensim]`` trains on the
Wikipedia extract and the Brown corpus and prints mean and spread over seeds. Vectors of both sides are judged
by the same code. One worker each; skip-gram takes 10 s a seed, gensim's some minutes.
"""

import argparse
import lzma
import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import einkorn.text as et

SETTINGS = {"vector_size": 100, "window": 5, "negative": 5, "min_count": 5}


def corpus(folder: Path) -> str:
    """A file of both corpora's words in lower case, a line a sentence."""
    with lzma.open(folder / "wikipedia_extract" / "enwiki_extract.txt.xz", "rt", encoding="utf-8") as file:
        lines = [re.findall(r"\w+", line.lower()) for line in file]
    with zipfile.ZipFile(folder / "nltk" / "brown.zip") as archive:
        for name in sorted(n for n in archive.namelist() if re.fullmatch(r"brown/c[a-r]\d\d", n)):
            for line in archive.read(name).decode("utf-8").split("\n"):
                tagged = (token.rpartition("/")[0].lower() for token in line.split())
                lines.append([word for word in tagged if re.fullmatch(r"\w+", word)])
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt", delete=False) as out:
        out.write("\n".join(" ".join(line) for line in lines if len(line) > 3))
    return out.name


def scores(vectors: Any, folder: Path) -> list[float]:
    """WordSim and SimLex by Spearman's correlation, analogies by percent."""
    tests = folder / "word_eval"
    pairs = (tests / "wordsim353_combined.tab", tests / "simlex999.txt")
    found = [vectors.evaluate_word_pairs(name)[1][0] for name in pairs]
    return [*found, 100 * vectors.evaluate_word_analogies(tests / "questions-words.txt")[0]]


def ours(path: str, sg: int, seed: int) -> Any:
    return et.Word2Vec(corpus_file=path, sg=sg, seed=seed, epochs=10, **SETTINGS).wv


def theirs(path: str, sg: int, seed: int) -> Any:
    from gensim.models import Word2Vec
    from gensim.models.word2vec import LineSentence

    # Sentences one by one: its reader of files needs several workers, which do not repeat a seed.
    wv = Word2Vec(LineSentence(path), sg=sg, seed=seed, epochs=10, workers=1, **SETTINGS).wv
    vectors = et.KeyedVectors(wv.vector_size)
    vectors.add_vectors(wv.index_to_key, wv.vectors)
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gensim", action="store_true", help="train gensim's too")
    options = parser.parse_args()
    folder = Path(os.environ["EINKORN_DATA"])
    path = corpus(folder)
    rows = [("skip-gram", ours, 1), ("CBOW", ours, 0)]
    if options.gensim:
        rows += [("gensim's skip-gram", theirs, 1), ("gensim's CBOW", theirs, 0)]
    print(f"{'':20s} {'WordSim':>15s} {'SimLex':>15s} {'analogies, %':>13s}")
    for title, train, sg in rows:
        of_seeds = np.array([scores(train(path, sg, seed), folder) for seed in range(1, options.seeds + 1)])
        mean, spread = of_seeds.mean(0), of_seeds.std(0)
        cells = [f"{m:.{d}f} ± {s:.{d}f}" for m, s, d in zip(mean, spread, (3, 3, 1), strict=True)]
        print(f"{title:20s} {cells[0]:>15s} {cells[1]:>15s} {cells[2]:>13s}", flush=True)
    os.unlink(path)


if __name__ == "__main__":
    main()
