"""Learning a Unigram tokeniser: pieces of words and their probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from numbers import Real
from os import PathLike
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.text import _engine
from einkorn.text._arguments import whole_number
from einkorn.text.files import description_of, special_token
from einkorn.text.tokenizer import Tokenizer, _threads
from einkorn.text.training import _count, special_list

__all__ = ["train_unigram"]

_MARK = "\u2581"
_MARGIN = (
    1.1  # pruning goes this far beyond what is asked for, since pieces that are hardly used go by themselves
)
_LEAST_EXPECTED = 0.5


def train_unigram(
    source: str | PathLike[str] | Iterable[Any] | Mapping[str, int],
    vocab_size: int = 8000,
    *,
    special_tokens: Iterable[str] = (),
    shrinking_factor: float = 0.75,
    unk_token: str | None = None,
    max_piece_length: int = 16,
    n_sub_iterations: int = 2,
    seed_size: int = 1_000_000,
    split: str = "metaspace",
) -> Tokenizer:
    """Learn a Unigram model: each piece has a probability, and a text is cut so that the product is largest
    (Kudo 2018; SentencePiece).

    It begins with all substrings that are frequent. Expectation-maximisation gives them probabilities: how
    often a piece occurs is expected over all ways to cut each word. Then those are taken away without which
    the likelihood falls least, and so on until there are few enough. Ids go to special tokens, then to pieces
    by their scores.

    Parameters
    ----------
    source
        A path (str or Path), several paths (Path), texts, or words with their counts. Files are read in
        parts, a line being a text without its end.
    vocab_size
        How many tokens there shall be, special ones and all characters included; there are fewer where the
        text has no more pieces that are worth it.
    special_tokens
        Tokens that are never cut.
    shrinking_factor
        The share of pieces that each round keeps, above 0 and below 1.
    unk_token
        What stands for characters that did not occur; it is put before the special tokens where it is not
        one. Without it, texts with such characters are refused.
    max_piece_length
        How many characters a piece has at most.
    n_sub_iterations
        Steps of expectation-maximisation in each round.
    seed_size
        How many substrings there are in the beginning at most.
    split
        How texts are cut into words, within which pieces lie: "metaspace", where a word has the mark U+2581
        in place of the space before it; "words", "spaces" or "whole".

    Returns
    -------
    Tokenizer

    Raises
    ------
    ArgumentError
        The vocabulary is smaller than the characters with the special tokens, or an option does not fit.
    DataError
        A file is missing or no UTF-8.

    Notes
    -----
    Scores are natural logarithms. Results do not depend on the number of threads. Memory goes by the size of
    all different words.
    """
    special = special_list("train_unigram", special_tokens, unk_token)
    if split not in ("metaspace", "words", "spaces", "whole"):
        raise ArgumentError(
            f"train_unigram: split must be one of metaspace, words, spaces, whole, got {split!r}"
        )
    if not isinstance(shrinking_factor, Real) or not 0 < shrinking_factor < 1:
        raise ArgumentError(
            f"train_unigram: shrinking_factor must be above 0 and below 1, got {shrinking_factor!r}"
        )
    vocab_size = whole_number("train_unigram", "vocab_size", vocab_size, 1, 2**31 - 1)
    max_piece_length = whole_number("train_unigram", "max_piece_length", max_piece_length, 1, 1000)
    n_sub_iterations = whole_number("train_unigram", "n_sub_iterations", n_sub_iterations, 1, 10_000)
    seed_size = whole_number("train_unigram", "seed_size", seed_size, 0, 2**31 - 1)
    form = _engine.form
    threads = _threads()
    added = [(token.encode(), i, False, False, False, False) for i, token in enumerate(special)]
    marks = split == "metaspace"
    pipeline = form.Pipeline(
        _engine.characters(),
        None,
        {ord(" "): _MARK} if marks else None,
        split,
        added,
        _MARK.encode() if marks else b"",
        "each" if marks else "never",
        marks,
    )
    counts: Counter[bytes] = Counter()
    for word, count in _count("train_unigram", source, pipeline, threads).items():
        counts[word.rstrip(b"\r\n")] += count
    words = form.Counts()
    for word in sorted(counts):  # sums are the same whatever the order of the texts
        words.add(word, counts[word])
    learner = form.UnigramLearner(words, max_piece_length, seed_size)
    wanted = vocab_size - len(special)
    if learner.characters() > wanted:
        raise ArgumentError(
            f"train_unigram: vocab_size must be at least {learner.characters() + len(special)}, the special "
            f"tokens and the characters, got {vocab_size}"
        )
    nearly = int(_MARGIN * wanted)
    while True:
        for _ in range(n_sub_iterations):
            learner.expect(threads)
            learner.maximize(_LEAST_EXPECTED)
        if learner.size() <= nearly:
            break
        learner.prune(max(nearly, int(shrinking_factor * learner.size())), threads)
    learner.prune(wanted, threads)
    learner.expect(threads)
    learner.maximize(0.0)
    pieces = [(piece, score) for piece, score, _ in learner.pieces() if piece not in special]
    pieces.sort(key=lambda each: (-each[1], each[0]))
    metaspace = {"type": "Metaspace", "replacement": _MARK, "prepend_scheme": "always", "split": True}
    pre_tokenizer = {
        "metaspace": metaspace,
        "words": {"type": "Whitespace"},
        "spaces": {"type": "WhitespaceSplit"},
    }
    return Tokenizer(
        description_of(
            {
                "type": "Unigram",
                "unk_id": None if unk_token is None else special.index(unk_token),
                "vocab": [[token, 0.0] for token in special] + [[piece, score] for piece, score in pieces],
                "byte_fallback": False,
            },
            added_tokens=[special_token(token, i) for i, token in enumerate(special)],
            pre_tokenizer=pre_tokenizer.get(split),
            decoder=metaspace if marks else {"type": "Fuse"},
        )
    )
