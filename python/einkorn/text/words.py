"""Texts into sentences and words, by rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.text import _engine
from einkorn.text._arguments import items_of
from einkorn.text._lists import ABBREVIATIONS, STARTERS, TITLES

__all__ = ["NLTKWordTokenizer", "sent_tokenize", "word_tokenize"]

_words: dict[Any, Any] = {}


def _split(op: str, text: Any, convert_parentheses: bool = False) -> list[str]:
    if not isinstance(text, str):
        raise ArgumentError(f"{op}: text must be str, got {type(text).__name__}")
    form = _engine.form
    if form not in _words:
        _words[form] = form.Words(_engine.word_characters())
    try:
        words: list[str] = _words[form].split(str(text), convert_parentheses)
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"{op}: the text has an unpaired surrogate, U+{ord(text[error.start]):04X}, "
            f"at character {error.start}"
        ) from None
    return words


class NLTKWordTokenizer:
    """Words by the rules of the Penn Treebank: marks stand alone, ``don't`` is ``do`` and ``n't``, quotes
    become ````` `` ````` and ``''``.

    Names and results are those of NLTK's class, which its ``word_tokenize`` uses for each sentence: only
    the last period of a text is cut off.
    """

    def tokenize(self, text: str, convert_parentheses: bool = False, return_str: bool = False) -> list[str]:
        """The words of a text.

        Parameters
        ----------
        text
            A sentence.
        convert_parentheses
            Whether brackets become ``-LRB-``, ``-RRB-``, ``-LSB-`` and so on.
        return_str
            Must be False: there is no form as one string.

        Raises
        ------
        ArgumentError
            The text is no str, or has an unpaired surrogate.
        """
        if return_str:
            raise ArgumentError("tokenize: return_str must be False; use ' '.join(tokenize(text))")
        return _split("tokenize", text, bool(convert_parentheses))

    def span_tokenize(self, text: str) -> Iterator[tuple[int, int]]:
        """Where each word begins and ends in the text, in characters."""
        yield from _spans(text, self.tokenize(text))

    def tokenize_sents(self, strings: Iterable[str]) -> list[list[str]]:
        """:meth:`tokenize` for each."""
        return [self.tokenize(text) for text in items_of("tokenize_sents", "strings", strings)]

    def span_tokenize_sents(self, strings: Iterable[str]) -> Iterator[list[tuple[int, int]]]:
        """:meth:`span_tokenize` for each."""
        for text in strings:
            yield list(self.span_tokenize(text))


def _spans(text: str, words: list[str]) -> Iterator[tuple[int, int]]:
    quotes = iter(re.findall(r"``|''|\"", text)) if '"' in text or "''" in text else None
    at = 0
    for word in words:
        if quotes is not None and word in ("``", "''", '"'):
            word = next(quotes, word)  # as it was written
        start = text.find(word, at)
        if start < 0:
            raise ArgumentError(f"span_tokenize: {word!r} does not occur in the text as it is")
        at = start + len(word)
        yield start, at


_WIDE = r"[\u3002\uff01\uff1f]"  # marks that no space follows
# A run of marks is looked at from its first one only: else a long one takes time by its square.
_MARKS = rf"(?:(?<![.?!\u2026])[.?!\u2026]+|{_WIDE}+)"
_END = re.compile(rf"{_MARKS}[\"'\u2019\u201d\u00bb)\]}}]*(?=\s|\Z|(?<={_WIDE}))")
_NEXT = re.compile(r"\s*[\"'\u2018\u201c\u00ab(\[{`]*(\w*)")
_BEFORE = re.compile(r"(\w[\w.'-]*)\s+\w\Z")
_INITIAL = re.compile(r"\s*[A-Z]\.")
_LAST = re.compile(r"[\w.&'-]*\Z")


def sent_tokenize(text: str, language: str = "english") -> list[str]:
    """The sentences of a text, by rules: marks at their ends, abbreviations, initials, what follows.

    The signature is that of NLTK's function. That one has a model (Punkt) learned from texts; this one has
    lists, so results differ where an abbreviation is in one of them only.

    Parameters
    ----------
    text
        A text.
    language
        "english": abbreviations are English.

    Returns
    -------
    list of str
        Sentences without the white space around them.

    Raises
    ------
    ArgumentError
        The text is no str, or the language is another one.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"sent_tokenize: text must be str, got {type(text).__name__}")
    if language != "english":
        raise ArgumentError(f"sent_tokenize: language must be 'english', got {language!r}")
    sentences = []
    begin = 0
    for match in _END.finditer(text):
        if match.end() < len(text) and not _ends(text, begin, match):
            continue
        if sentence := text[begin : match.end()].strip():
            sentences.append(sentence)
        begin = match.end()
    if rest := text[begin:].strip():
        sentences.append(rest)
    return sentences


def _ends(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether the sentence ends at this mark, behind which the text goes on."""
    following = _NEXT.match(text, match.end())
    word = following[1] if following else ""
    if not match[0].startswith("."):
        return not word[:1].islower()
    if word[:1].islower():
        return False
    if match[0].startswith(".."):
        return True
    if len(match[0]) > 1:
        return True
    last_match = _LAST.search(text, max(begin, match.start() - 32), match.start())
    last = last_match[0].strip("'-").rpartition("-")[2] if last_match else ""
    known = last.lower()
    if known in TITLES:
        return False
    if len(last) == 1 and last.isalpha() and (last != "I" or _is_initial(text, begin, match)):
        return False  # an initial
    if known in ABBREVIATIONS or "." in last:
        return word.lower() in STARTERS and word[:1].isupper()
    return True


def _is_initial(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether the I before this mark is a name's: behind another name, or before an initial."""
    before = _BEFORE.search(text, max(begin, match.start() - 32), match.start())
    return bool((before and before[1][0].isupper()) or _INITIAL.match(text, match.end()))


def word_tokenize(text: str, language: str = "english", preserve_line: bool = False) -> list[str]:
    """The words of a text: :func:`sent_tokenize`, then :class:`NLTKWordTokenizer` for each sentence.

    Parameters
    ----------
    text
        A text.
    language
        "english".
    preserve_line
        Whether the text is one sentence already: then the words are exactly those of NLTK.

    Raises
    ------
    ArgumentError
        The text is no str or has an unpaired surrogate, or the language is another one.
    """
    sentences = [text] if preserve_line else sent_tokenize(text, language)
    return [word for sentence in sentences for word in _split("word_tokenize", sentence)]
