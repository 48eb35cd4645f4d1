"""Words made alike: Unicode forms, case, accents, stems, lemmas; n-grams, edit distance, stop words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from einkorn import _extras
from einkorn.errors import ArgumentError
from einkorn.text._lists import STOP_WORDS

__all__ = [
    "STOP_WORDS",
    "edit_distance",
    "lemmatize",
    "ngrams",
    "normalize",
    "porter_stem",
    "remove_stop_words",
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
    return cache(package.stemmer(algorithm).stemWord)


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
    try:
        lemma: str = package.lemmatize(word, lang=language)
    except ValueError as error:
        raise ArgumentError(f"lemmatize: language {language!r}: {error}") from None
    return lemma


def remove_stop_words(words: Iterable[str], stop_words: Iterable[str] = STOP_WORDS) -> list[str]:
    """The words that are no stop words in any case."""
    known = stop_words if isinstance(stop_words, frozenset) else frozenset(stop_words)
    return [word for word in words if word.lower() not in known]


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
    if n < 1:
        raise ArgumentError(f"ngrams: n must be at least 1, got {n}")
    items = list(
        chain(
            (left_pad_symbol,) * (n - 1) if pad_left else (),
            sequence,
            (right_pad_symbol,) * (n - 1) if pad_right else (),
        )
    )
    return zip(*(items[i:] for i in range(n)), strict=False)


def edit_distance(
    s1: Sequence[Any], s2: Sequence[Any], substitution_cost: int = 1, transpositions: bool = False
) -> int:
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
    int

    Notes
    -----
    Takes time in proportion to the product of the lengths.
    """
    numbers: dict[Any, int] = {}
    a, b = (np.array([numbers.setdefault(item, len(numbers)) for item in s], np.int64) for s in (s1, s2))
    if transpositions:
        return _damerau(a.tolist(), b.tolist(), substitution_cost)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for i, item in enumerate(a, 1):
        below = np.empty_like(row)
        below[0] = i
        np.minimum(row[1:] + 1, row[:-1] + np.where(b == item, 0, substitution_cost), out=below[1:])
        row = np.minimum.accumulate(below - steps) + steps  # insertions, one after the other
    return int(row[-1])


def _damerau(a: list[int], b: list[int], substitution_cost: int) -> int:
    far = len(a) + len(b) + 1
    table = [[far] * (len(b) + 2) for _ in range(len(a) + 2)]  # one row and column beyond the beginning
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
