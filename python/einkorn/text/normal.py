"""Words made alike: Unicode forms, case, accents, stems, lemmas; n-grams, edit distance, stop words."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import numpy as np

from einkorn import _extras
from einkorn.errors import ArgumentError
from einkorn.text._arguments import items_of, real_number, whole_number
from einkorn.text._lists import STOP_WORDS

__all__ = [
    "STOP_WORDS",
    "bigrams",
    "edit_distance",
    "lemmatize",
    "ngrams",
    "normalize",
    "porter_stem",
    "remove_stop_words",
    "trigrams",
]


def normalize(text: str, form: str | None = "NFC", *, case: str | None = None, accents: bool = True) -> str:
    """A text in one spelling of several that look alike.

    Parameters
    ----------
    text
        A text.
    form
        Unicode's form: "NFC", "NFD", "NFKC", "NFKD"; None: as it is.
    case
        "lower"; "fold": as for comparing, so that "ß" is "ss"; None: as it is.
    accents
        Whether accents stay. Else marks of letters go, and what is left is composed again by the form.

    Raises
    ------
    ArgumentError
        An option is not known, or the text is no str.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"normalize: text must be str, got {type(text).__name__}")
    if form not in (None, "NFC", "NFD", "NFKC", "NFKD"):
        raise ArgumentError(f"normalize: form must be NFC, NFD, NFKC, NFKD or None, got {form!r}")
    if case not in (None, "lower", "fold"):
        raise ArgumentError(f"normalize: case must be 'lower', 'fold' or None, got {case!r}")
    if case is not None:
        text = text.lower() if case == "lower" else text.casefold()
    if text.isascii():
        return text
    if not accents:
        apart = unicodedata.normalize("NFKD" if form in ("NFKC", "NFKD") else "NFD", text)
        text = "".join(c for c in apart if not unicodedata.combining(c))
        form = form or "NFC"
    return text if form is None else unicodedata.normalize(form, text)  # type: ignore[arg-type]


@cache
def _stemmer(algorithm: str) -> Callable[[str], str]:
    package = _extras.need("snowballstemmer", "porter_stem")
    stem = package.stemmer(algorithm).stemWord
    one_at_a_time = threading.Lock()  # a stemmer keeps the word that it works on

    @lru_cache(1 << 17)
    def stemmed(word: str) -> str:
        with one_at_a_time:
            found: str = stem(word)
        return found

    return stemmed


def porter_stem(word: str, *, mode: str = "original") -> str:
    """The stem of an English word (Porter 1980), which need not be a word: ``flies`` gives ``fli``.

    The word is taken in lower case. Needs snowballstemmer, of the extra ``text``.

    Parameters
    ----------
    word
        A word.
    mode
        "original": as published. "extended": words of four letters in -ies and -ied keep their e, so that
        ``dies`` and ``died`` give ``die`` and not ``di``, as other libraries have it.

    Raises
    ------
    ArgumentError
        The word is no str, or the mode is not known.
    """
    if not isinstance(word, str):
        raise ArgumentError(f"porter_stem: word must be str, got {type(word).__name__}")
    if mode not in ("original", "extended"):
        raise ArgumentError(f"porter_stem: mode must be 'original' or 'extended', got {mode!r}")
    word = word.lower()
    if mode == "extended" and len(word) == 4 and word.endswith(("ies", "ied")):
        return word[:3]
    return _stemmer("porter")(word)


def lemmatize(word: str, language: str = "en") -> str:
    """The form of a word that a dictionary has: ``feet`` gives ``foot``.

    Needs simplemma, of the extra ``text``.

    Parameters
    ----------
    word
        A word.
    language
        As simplemma names it: "en", "de", "fr" and so on.

    Raises
    ------
    ArgumentError
        The word is no str, or the language is not known.
    """
    if not isinstance(word, str):
        raise ArgumentError(f"lemmatize: word must be str, got {type(word).__name__}")
    package = _extras.need("simplemma", "lemmatize")
    if not word:
        return word
    try:
        lemma: str = package.lemmatize(word, lang=language)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"lemmatize: language {language!r}: {error}") from None
    return lemma


def remove_stop_words(words: Iterable[str], stop_words: Iterable[str] = STOP_WORDS) -> list[str]:
    """The words that are no stop words in any case."""
    known = stop_words
    if not isinstance(stop_words, frozenset):
        known = frozenset(items_of("remove_stop_words", "stop_words", stop_words))
    listed = items_of("remove_stop_words", "words", words)
    if bad := next((word for word in listed if not isinstance(word, str)), None):
        raise ArgumentError(f"remove_stop_words: words must be str, got {bad!r:.60}")
    return [word for word in listed if word.lower() not in known]


def ngrams(
    sequence: Iterable[Any],
    n: int,
    pad_left: bool = False,
    pad_right: bool = False,
    left_pad_symbol: Any = None,
    right_pad_symbol: Any = None,
) -> Iterator[tuple[Any, ...]]:
    """Every ``n`` neighbours of a sequence, as tuples; names are those of NLTK.

    Parameters
    ----------
    sequence
        Words, characters or anything.
    n
        How many, at least 1.
    pad_left, pad_right
        Whether ``n - 1`` symbols are put before and behind it.
    left_pad_symbol, right_pad_symbol
        Which.
    """
    n = whole_number("ngrams", "n", n, 1)
    if not isinstance(sequence, Iterable):
        raise ArgumentError(f"ngrams: sequence must be a list or the like, got {sequence!r:.60}")
    items = list(
        chain(
            (left_pad_symbol,) * (n - 1) if pad_left else (),
            sequence,
            (right_pad_symbol,) * (n - 1) if pad_right else (),
        )
    )
    if n > len(items):
        return iter(())
    return zip(*(items[i:] for i in range(n)), strict=False)


def bigrams(sequence: Iterable[Any], **kwargs: Any) -> Iterator[tuple[Any, ...]]:
    """:func:`ngrams` of two; ``kwargs`` are its options."""
    return ngrams(sequence, 2, **kwargs)


def trigrams(sequence: Iterable[Any], **kwargs: Any) -> Iterator[tuple[Any, ...]]:
    """:func:`ngrams` of three; ``kwargs`` are its options."""
    return ngrams(sequence, 3, **kwargs)


def edit_distance(
    s1: Sequence[Any], s2: Sequence[Any], substitution_cost: float = 1, transpositions: bool = False
) -> float:
    """How many insertions, deletions and substitutions make one sequence the other (Levenshtein 1966).

    Parameters
    ----------
    s1, s2
        Strings, or lists of words.
    substitution_cost
        What a substitution counts.
    transpositions
        Whether a change of places counts one (Damerau 1964), other edits between the two allowed.

    Returns
    -------
    int, or float where the cost is one

    Raises
    ------
    ArgumentError
        The cost is no finite number, or ``s1`` or ``s2`` no sequence of things that have a hash.

    Notes
    -----
    Takes time in proportion to the product of the lengths.
    """
    numbers: dict[Any, int] = {}
    real_number("edit_distance", "substitution_cost", substitution_cost)
    try:
        a, b = (np.array([numbers.setdefault(item, len(numbers)) for item in s], np.int64) for s in (s1, s2))
    except TypeError as error:
        raise ArgumentError(f"edit_distance: s1 and s2 must be strings or lists of words: {error}") from None
    if transpositions:
        return _damerau(a.tolist(), b.tolist(), substitution_cost)
    steps = np.arange(len(b) + 1)
    row = steps.astype(np.result_type(steps, type(substitution_cost)))
    for i, item in enumerate(a, 1):
        below = np.empty_like(row)
        below[0] = i
        np.minimum(row[1:] + 1, row[:-1] + np.where(b == item, 0, substitution_cost), out=below[1:])
        row = np.minimum.accumulate(below - steps) + steps  # insertions, one after the other
    found: float = row[-1].item()
    return found


def _damerau(a: list[int], b: list[int], substitution_cost: float) -> float:
    far = len(a) + len(b) + 1
    table: list[list[float]] = [
        [far] * (len(b) + 2) for _ in range(len(a) + 2)
    ]  # one row and column beyond the beginning
    for i in range(len(a) + 1):
        table[i + 1][1] = i
    for j in range(len(b) + 1):
        table[1][j + 1] = j
    last_row: dict[int, int] = {}
    for i, x in enumerate(a, 1):
        last_column = 0
        for j, y in enumerate(b, 1):
            row, column = last_row.get(y, 0), last_column
            if x == y:
                last_column = j
            table[i + 1][j + 1] = min(
                table[i][j] + (0 if x == y else substitution_cost),
                table[i + 1][j] + 1,
                table[i][j + 1] + 1,
                table[row][column] + (i - row - 1) + 1 + (j - column - 1),
            )
        last_row[x] = i
    return table[len(a) + 1][len(b) + 1]
