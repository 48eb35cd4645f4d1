"""Words and counts of terms in plain Python: the classes ``Words`` and ``Documents`` of the compiled form."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from einkorn.text import _unicode

__all__ = ["Documents", "Numbers", "Words", "members"]


_Rules = tuple[tuple[str, str], ...]


@cache
def _compiled(rules: _Rules) -> list[tuple[re.Pattern[str], str]]:
    word, space = members(_unicode.WORD), members(_unicode.SPACE)
    return [
        (re.compile(pattern.replace("<w>", word).replace("<s>", space)), becomes)
        for pattern, becomes in rules
    ]


def members(kind: int) -> str:
    """The characters of a class, as the inside of a regular expression's brackets."""
    has = bytes(1 if classes & kind else 0 for classes in _unicode.classes())
    parts = []
    start = has.find(1)
    while start >= 0:
        end = has.find(0, start)
        parts.append(f"\\U{start:08x}-\\U{end - 1:08x}")
        start = has.find(1, end)
    return "".join(parts)


_ALONE = r" \g<0> "
_APART = r" \1 \2 "
# In order: each rule sees the spaces that those before it put. <w> and <s> stand for word characters and
# white space by Unicode, the rules of contractions have Python's.
_BEFORE_BRACKETS: _Rules = (
    # quotes that open
    (r"[\u00ab\u201c\u2018\u201e]|`+", _ALONE),
    (r'^"', "``"),
    (r"``", _ALONE),
    (r"""([ \(\[{<])(?:"|'')""", r"\1 `` "),
    (r"(?i)(?<![<w>])'(?!(?:re|ve|ll|m|t|s|d|n)(?![<w>]))(?=[<w>])", r"\g<0> "),
    # marks; the final period, with white space among the closing marks and without
    (r"""([^.])\.(?=([\])}>"'\u00bb\u201d\u2019 ]*))\2[<s>]*$""", r"\1 . \2 "),
    (r"([:,])(\D)", r" \1 \2"),
    (r"[:,]$", _ALONE),
    (r"\.{2,}", _ALONE),
    (r"[;@#$%&]", _ALONE),
    (r"[\u2012-\u2015]", _ALONE),
    (r"""([^.])\.([\])}>"']*)[<s>]*$""", r"\1 .\2 "),
    (r"[?!]", _ALONE),
    (r"([^'])' ", r"\1 ' "),
    (r"\*", _ALONE),
    (r"[\[\](){}<>]", _ALONE),
)
_BRACKET_NAMES = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
_AFTER_BRACKETS: _Rules = (
    # quotes that close, and what hangs on a word
    (r"[\u00bb\u201d\u2019]", _ALONE),
    (r"''", _ALONE),
    (r'"', " '' "),
    (r"[<s>]+", " "),
    (r"([^' ])('[sSmMdD]?) ", r"\1 \2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    # two words written as one
    (r"(?i)\b(can)(not)\b", _APART),
    (r"(?i)\b(d)('ye)\b", _APART),
    (r"(?i)\b(gim)(me)\b", _APART),
    (r"(?i)\b(gon)(na)\b", _APART),
    (r"(?i)\b(got)(ta)\b", _APART),
    (r"(?i)\b(lem)(me)\b", _APART),
    (r"(?i)\b(more)('n)\b", _APART),
    (r"(?i)\b(wan)(na)(?=\s)", _APART),
    (r"(?i) ('t)(is)\b", _APART),
    (r"(?i) ('t)(was)\b", _APART),
)


class Words:
    def __init__(self, characters: Any) -> None:
        pass

    def split(self, text: str, convert_parentheses: bool) -> list[str]:
        text.encode()  # refuses unpaired surrogates as the compiled form does
        for pattern, becomes in _compiled(_BEFORE_BRACKETS):
            text = pattern.sub(becomes, text)
        if convert_parentheses:
            for bracket, name in _BRACKET_NAMES.items():
                text = text.replace(bracket, name)
        text = " " + text.replace("--", " -- ") + " "
        for pattern, becomes in _compiled(_AFTER_BRACKETS):
            text = pattern.sub(becomes, text)
        return text.split()


_WORD = re.compile(r"\w+")
_BLANKS = re.compile(r"\s\s+")


def _murmur(octets: bytes) -> int:
    """MurmurHash3's 32 bits (Austin Appleby), from seed 0, as a signed number."""

    def times(x: int, y: int) -> int:
        return x * y & 0xFFFFFFFF

    def rotated(x: int, by: int) -> int:
        return (x << by | x >> (32 - by)) & 0xFFFFFFFF

    value = 0
    for i in range(0, len(octets), 4):
        part = octets[i : i + 4]
        value ^= times(rotated(times(int.from_bytes(part, "little"), 0xCC9E2D51), 15), 0x1B873593)
        if len(part) == 4:
            value = (times(rotated(value, 13), 5) + 0xE6546B64) & 0xFFFFFFFF
    value ^= len(octets)
    value = times(value ^ value >> 16, 0x85EBCA6B)
    value = times(value ^ value >> 13, 0xC2B2AE35)
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value


class Documents:
    def __init__(
        self,
        characters: Any,
        analyzer: str,
        least: int,
        most: int,
        shortest: int,
        lower: bool,
        stop: Iterable[str] | None,
        terms: Mapping[str, int] | None,
        places: int,
        alternate_sign: bool,
    ) -> None:
        self.analyzer, self.least, self.most, self.shortest = analyzer, least, most, shortest
        self.lower, self.stop, self.terms = lower, frozenset(stop or ()), terms
        self.places, self.alternate_sign = places, alternate_sign

    def _terms_of(self, text: str) -> Iterator[str]:
        if self.lower:
            text = text.lower()
        if self.analyzer == "word":
            words = [w for w in _WORD.findall(text) if len(w) >= self.shortest and w not in self.stop]
            for n in range(self.least, self.most + 1):
                for i in range(len(words) - n + 1):
                    yield " ".join(words[i : i + n])
            return
        text = _BLANKS.sub(" ", text)
        if self.analyzer == "char":
            for n in range(self.least, self.most + 1):
                for i in range(len(text) - n + 1):
                    yield text[i : i + n]
            return
        for word in text.split():
            padded = f" {word} "
            for n in range(self.least, self.most + 1):
                if n >= len(padded):  # a short word counts once, as it is
                    yield padded
                    break
                for i in range(len(padded) - n + 1):
                    yield padded[i : i + n]

    def count(self, texts: list[str], threads: int) -> tuple[list[str], bytearray, bytearray, bytearray]:
        rows: list[dict[Any, int]] = []
        for text in texts:
            text.encode()
            if self.places:
                row: dict[Any, int] = {}
                for term in self._terms_of(text):
                    value = _murmur(term.encode())
                    place = abs(value) % self.places
                    row[place] = row.get(place, 0) + (-1 if value < 0 and self.alternate_sign else 1)
            else:
                row = Counter(self._terms_of(text))
            rows.append(row)
        names: list[str] = []
        if not self.places:
            known = self.terms
            if known is None:
                names = sorted({term for row in rows for term in row})
                known = {term: i for i, term in enumerate(names)}
            rows = [{known[term]: n for term, n in row.items() if term in known} for row in rows]
        ends, places, counts = array("q"), array("i"), array("q")
        for row in rows:
            for place in sorted(row):
                places.append(place)
                counts.append(row[place])
            ends.append(len(places))
        return names, bytearray(ends), bytearray(places), bytearray(counts)


class Numbers:
    def __init__(self, characters: Any, words: list[str]) -> None:
        self.numbers = {word.encode(): i for i, word in enumerate(words)}
        space = members(_unicode.SPACE)
        self.words = re.compile(f"[^{space}]+").findall

    def lines(self, chunk: bytes, threads: int) -> tuple[bytes, bytes]:
        tokens, ends = array("i"), array("q")
        for line in chunk.decode().split("\n"):
            for word in self.words(line):
                if (number := self.numbers.get(word.encode())) is not None:
                    tokens.append(number)
            ends.append(len(tokens))
        return tokens.tobytes(), ends.tobytes()
