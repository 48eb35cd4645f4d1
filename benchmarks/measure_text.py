"""Tokenisers, counts and vectors of words beside the libraries that do the same, on published texts.

``EINKORN_DATA=folder python benchmarks/measure_text.py [ROWS ...]`` prints a table; each side runs by turns
in one process, on as many threads as ``--threads`` says, and the quickest of its turns counts. A library that
is not installed is named in its row.
"""

from __future__ import annotations

import argparse
import importlib
import lzma
import os
import re
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import einkorn
import einkorn.text as et

Sides = dict[str, Callable[[], Any]]


def data(*names: str) -> Path:
    return Path(os.environ["EINKORN_DATA"], *names)


@cache
def articles() -> str:
    """4.1 million characters of an encyclopedia."""
    with lzma.open(data("wikipedia_extract", "enwiki_extract.txt.xz"), "rt", encoding="utf-8") as file:
        return file.read()


@cache
def written() -> str:
    """The articles as a file."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt", delete=False) as file:
        file.write(articles())
    return file.name


@cache
def sentences() -> tuple[str, int]:
    """A file with the articles' words, a line each, and how many words it has."""
    lines = [re.findall(r"\w+", line.lower()) for line in articles().split("\n")]
    lines = [line for line in lines if len(line) > 3]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt", delete=False) as file:
        file.write("\n".join(" ".join(line) for line in lines))
    return file.name, sum(map(len, lines))


@cache
def posts() -> list[str]:
    """The training part of 20 Newsgroups."""
    with tarfile.open(data("20newsgroups", "20news-bydate.tar.xz")) as archive:
        return [
            archive.extractfile(member).read().decode("latin-1")  # type: ignore[union-attr]
            for member in archive
            if member.isfile() and "train" in member.name
        ]


@cache
def reviews() -> list[str]:
    with zipfile.ZipFile(data("nltk", "movie_reviews.zip")) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        return [archive.read(name).decode("latin-1") for name in names[::10]]


def short() -> list[str]:
    return [line for line in articles().split("\n") if line]


def train_bpe(_: int) -> tuple[Sides, float, str]:
    def theirs() -> Any:
        from tokenizers import ByteLevelBPETokenizer

        made = ByteLevelBPETokenizer(add_prefix_space=False)
        made.train([written()], vocab_size=8192 + 256, min_frequency=0, show_progress=False)

    ours = lambda: et.train_bpe(Path(written()), 8192 + 256)  # noqa: E731
    return {"einkorn": ours, "tokenizers": theirs}, len(articles()) / 1e6, "M characters/s"


def train_unigram(_: int) -> tuple[Sides, float, str]:
    def theirs() -> Any:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=8192, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
        )
        made.train_from_iterator(short(), trainer)

    ours = lambda: et.train_unigram(short(), 8192, unk_token="<unk>")  # noqa: E731
    return {"einkorn": ours, "tokenizers": theirs}, len(articles()) / 1e6, "M characters/s"


def _encoding(texts: list[str], batch: bool) -> Sides:
    """GPT-2, text by text or all at once."""
    gpt2 = et.read_gpt2(data("tokenizers", "gpt2_encoder.json"), data("tokenizers", "gpt2_vocab.bpe"))

    @cache
    def reference() -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(gpt2.to_str())

    @cache
    def tik() -> Any:
        import tiktoken
        from tiktoken.load import data_gym_to_mergeable_bpe_ranks

        ranks = data_gym_to_mergeable_bpe_ranks(
            vocab_bpe_file=str(data("tokenizers", "gpt2_vocab.bpe")),
            encoder_json_file=str(data("tokenizers", "gpt2_encoder.json")),
        )
        pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
        return tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    if not batch:
        return {
            "einkorn": lambda: [gpt2.ids(text) for text in texts],
            "tokenizers": lambda: [reference().encode(text).ids for text in texts],
            "tiktoken": lambda: [tik().encode_ordinary(text) for text in texts],
        }
    threads = einkorn.get_num_threads()
    return {
        "einkorn": lambda: gpt2.encode_batch(texts),
        "tokenizers": lambda: reference().encode_batch(texts),
        "tiktoken": lambda: tik().encode_ordinary_batch(texts, num_threads=threads),
    }


def gpt2_long(_: int) -> tuple[Sides, float, str]:
    return _encoding([articles()], False), len(articles()) / 1e6, "M characters/s"


def gpt2_short(_: int) -> tuple[Sides, float, str]:
    return _encoding(short(), True), len(articles()) / 1e6, "M characters/s"


def wordpiece(_: int) -> tuple[Sides, float, str]:
    file = data("tokenizers", "bert_base_uncased_vocab.txt")
    bert = et.read_bert_vocabulary(file)

    @cache
    def reference() -> Any:
        from tokenizers import BertWordPieceTokenizer

        return BertWordPieceTokenizer(str(file))

    texts = short()
    theirs = lambda: reference().encode_batch(texts)  # noqa: E731
    ours = lambda: bert.encode_batch(texts)  # noqa: E731
    return {"einkorn": ours, "tokenizers": theirs}, len(articles()) / 1e6, "M characters/s"


def words(_: int) -> tuple[Sides, float, str]:
    texts = reviews()
    cut = et.NLTKWordTokenizer()

    @cache
    def reference() -> Any:
        return importlib.import_module("nltk.tokenize").NLTKWordTokenizer()

    theirs = lambda: [reference().tokenize(text) for text in texts]  # noqa: E731
    ours = lambda: [cut.tokenize(text) for text in texts]  # noqa: E731
    return {"einkorn": ours, "nltk": theirs}, sum(map(len, texts)) / 1e6, "M characters/s"


def _counts(name: str, **options: Any) -> tuple[Sides, float, str]:
    texts = posts()

    def theirs() -> Any:
        module = importlib.import_module("sklearn.feature_extraction.text")
        return getattr(module, name)(**options).fit_transform(texts)

    ours = lambda: getattr(et, name)(**options).fit_transform(texts)  # noqa: E731
    return {"einkorn": ours, "sklearn": theirs}, sum(map(len, texts)) / 1e6, "M characters/s"


def tfidf(_: int) -> tuple[Sides, float, str]:
    return _counts("TfidfVectorizer")


def bigrams(_: int) -> tuple[Sides, float, str]:
    return _counts("CountVectorizer", ngram_range=(1, 2))


def _vectors(sg: int, threads: int) -> tuple[Sides, float, str]:
    file, count = sentences()
    settings: dict[str, Any] = {
        "corpus_file": file, "sg": sg, "vector_size": 100, "window": 5, "negative": 5, "epochs": 2,
        "workers": threads,
    }  # fmt: skip

    def theirs() -> Any:
        return importlib.import_module("gensim.models").Word2Vec(**settings)

    ours = lambda: et.Word2Vec(**settings)  # noqa: E731
    return {"einkorn": ours, "gensim": theirs}, 2 * count / 1e6, "M words/s"


def skip_gram(threads: int) -> tuple[Sides, float, str]:
    return _vectors(1, threads)


def cbow(threads: int) -> tuple[Sides, float, str]:
    return _vectors(0, threads)


def glove(threads: int) -> tuple[Sides, float, str]:
    """Beside gensim's skip-gram, in words of the corpus a second."""
    file, count = sentences()
    with open(file, encoding="utf-8") as lines:
        table, names = et.cooccurrence([line.split() for line in lines], 5, weighting="harmonic", min_count=5)

    def ours() -> Any:
        return et.GloVe(vector_size=100, epochs=2, workers=threads).train(table, names)

    theirs = _vectors(1, threads)[0]["gensim"]
    return {"einkorn": ours, "gensim": theirs}, 2 * count / 1e6, "M words/s"


def similarity(_: int) -> tuple[Sides, float, str]:
    """The nearest of 100,000 vectors of 300 numbers, by turns with the matrix read by NumPy."""
    rows = np.random.default_rng(0).normal(size=(100_000, 300)).astype(np.float32)
    names = [str(i) for i in range(len(rows))]
    ours = et.KeyedVectors(names, rows)

    @cache
    def reference() -> Any:
        made = importlib.import_module("gensim.models").KeyedVectors(300)
        made.add_vectors(names, rows)
        return made

    def read() -> Any:
        return rows @ rows[0]

    return (
        {
            "einkorn": lambda: ours.most_similar("7"),
            "gensim": lambda: reference().most_similar("7"),
            "numpy's product": read,
        },
        rows.nbytes / 1e9,
        "GB/s",
    )


ROWS: dict[str, tuple[str, Callable[[int], tuple[Sides, float, str]]]] = {
    "bpe-training": ("byte pairs learned, 8,192 merges, 4.1 MB", train_bpe),
    "unigram-training": ("Unigram learned, 8,192 tokens, 4.1 MB", train_unigram),
    "gpt2-long": ("GPT-2, one text of 4.1 MB", gpt2_long),
    "gpt2-short": ("GPT-2, a batch of its lines", gpt2_short),
    "wordpiece": ("BERT, a batch of the same lines", wordpiece),
    "words": ("words of 200 film reviews", words),
    "tfidf": ("TF-IDF of 20 Newsgroups", tfidf),
    "bigrams": ("words and pairs of 20 Newsgroups counted", bigrams),
    "skip-gram": ("skip-gram, 100 numbers, window 5, 5 negatives", skip_gram),
    "cbow": ("CBOW, the same", cbow),
    "glove": ("GloVe's passes, window 5, beside gensim's skip-gram", glove),
    "similarity": ("the nearest of 100,000 vectors of 300", similarity),
}


def quickest(sides: Sides, seconds: float) -> dict[str, float | str]:
    """The time of each side's quickest turn; or why there is none."""
    found: dict[str, float | str] = {}
    alive = dict(sides)
    began = time.perf_counter()
    turns = 0
    while alive and (turns < 2 or (time.perf_counter() - began < seconds and turns < 50)):
        for name, call in list(alive.items()):
            start = time.perf_counter()
            try:
                call()
            except ImportError as error:
                found[name] = f"{error.name} is not installed"
                del alive[name]
                continue
            took = time.perf_counter() - start
            if turns:  # the first turn imports and starts what is to be started
                before = found.get(name)
                found[name] = took if not isinstance(before, float) else min(before, took)
        turns += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row, at least two turns")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if "EINKORN_DATA" not in os.environ:
        parser.error("EINKORN_DATA must name the folder with the published texts")
    # tokenizers' threads are told before it is imported.
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    einkorn.set_num_threads(options.threads)
    print("| work | einkorn | rate | beside it | ratio |\n|---|--:|--:|--:|--:|")
    for name in options.rows or ROWS:
        title, prepare = ROWS[name]
        sides, amount, unit = prepare(options.threads)
        times = quickest(sides, options.seconds)
        mine = times.pop("einkorn")
        assert isinstance(mine, float)
        for peer, took in times.items():
            beside, ratio = (
                (took, "") if isinstance(took, str) else (f"{peer} {took:.3f} s", f"{took / mine:.2f}")
            )
            print(f"| {title} | {mine:.4f} s | {amount / mine:.2f} {unit} | {beside} | {ratio} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
