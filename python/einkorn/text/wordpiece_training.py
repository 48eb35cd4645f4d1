"""Learning the vocabulary of a WordPiece tokeniser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.text import _engine
from einkorn.text._arguments import whole_number
from einkorn.text._unicode import bert_map
from einkorn.text.files import bert
from einkorn.text.tokenizer import Tokenizer, _threads
from einkorn.text.training import _count, special_list

__all__ = ["train_wordpiece"]

# Characters that go on in a word are these in training: private ones, which BERT's normaliser removes.
_GOES_ON = 0xF0000
_MOST = 0xFFFD

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(
    source: str | PathLike[str] | Iterable[Any] | Mapping[str, int],
    vocab_size: int,
    *,
    min_frequency: int = 0,
    special_tokens: Iterable[str] = _SPECIAL,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    limit_alphabet: int = 1000,
) -> Tokenizer:
    """Learn a vocabulary for BERT's tokeniser: pairs are merged as by :func:`train_bpe`; pieces that go on in
    a word begin with ``##``.

    Ids go to special tokens, to characters that begin words and then to those that go on, by code points,
    to merges; ties are those of :func:`train_bpe`.

    Parameters
    ----------
    source
        A path (str or Path), several paths (Path), texts, or words with their counts.
    vocab_size
        How many tokens there shall be, special ones and characters included.
    min_frequency
        A pair that occurs less often is not merged.
    special_tokens
        Tokens that are never cut: "[UNK]", "[CLS]" and "[SEP]" must be there.
    lowercase, strip_accents
        As :func:`read_bert_vocabulary` has them.
    limit_alphabet
        How many characters there may be, the most frequent ones. Words with others are left out.

    Returns
    -------
    Tokenizer

    Raises
    ------
    ArgumentError
        The vocabulary is smaller than the alphabet with the special tokens, or an option does not fit.
    DataError
        A file is missing or no UTF-8, or a special token.
    """
    special = special_list("train_wordpiece", special_tokens)
    vocab_size = whole_number("train_wordpiece", "vocab_size", vocab_size, 0)
    min_frequency = whole_number("train_wordpiece", "min_frequency", min_frequency, 0)
    limit_alphabet = whole_number("train_wordpiece", "limit_alphabet", limit_alphabet, 1, _MOST)
    form = _engine.form
    accents = lowercase if strip_accents is None else strip_accents
    table = bert_map(True, True, accents, lowercase)
    added = [(token.encode(), i, False, False, False, False) for i, token in enumerate(special)]
    pipeline = form.Pipeline(_engine.characters(), None, table, "bert", added, b"", "never", False)
    words = {
        word.decode(): n
        for word, n in _count("train_wordpiece", source, pipeline, _threads()).items()
        if word
    }
    frequency: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            frequency[character] += count
    alphabet = sorted(sorted(frequency), key=frequency.__getitem__, reverse=True)[:limit_alphabet]
    goes_on = {character: chr(_GOES_ON + i) for i, character in enumerate(sorted(alphabet))}
    back = {private: character for character, private in goes_on.items()}
    counts = form.Counts()
    units: set[str] = set()
    for word, count in words.items():
        if all(character in goes_on for character in word):
            marked = word[0] + "".join(goes_on[character] for character in word[1:])
            units.update(marked)
            counts.add(marked, count)
    start = [token.encode() for token in special] + [unit.encode() for unit in sorted(units)]
    if vocab_size < len(start):
        raise ArgumentError(
            f"train_wordpiece: vocab_size must be at least {len(start)}, the special tokens and the "
            f"alphabet, got {vocab_size}"
        )
    _, tokens = form.train(counts, vocab_size, min_frequency, False, b"", start)
    names = list(special)
    for token in tokens[len(special) :]:
        text = token.decode()
        whole = "".join(back.get(character, character) for character in text)
        names.append(f"##{whole}" if text[0] in back else whole)
    return bert("train_wordpiece", {name: i for i, name in enumerate(names)}, lowercase, strip_accents)
