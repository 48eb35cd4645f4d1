"""Tokenising in plain Python: the classes of the compiled form (``csrc/text``), with its results, a few
hundred times slower.

Patterns are the published regular expressions; models follow the definitions as directly as they can.
"""

from __future__ import annotations

import heapq
import math
import re
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from einkorn.errors import ArgumentError
from einkorn.text import _unicode
from einkorn.text._plain_tagger import Tagger
from einkorn.text._plain_unigram import UnigramLearner
from einkorn.text._plain_words import Documents, Numbers, Words, members

__all__ = [
    "Characters",
    "Counts",
    "Documents",
    "Merges",
    "Numbers",
    "Pipeline",
    "Tagger",
    "Unigram",
    "UnigramLearner",
    "Vocabulary",
    "WordPiece",
    "Words",
    "train",
]

Tokens = list[tuple[int, int]]  # id, and bytes of the piece that it stands for

_CONTRACTION = "'s|'t|'re|'ve|'m|'ll|'d"
_ANY_CASE = r"'(?:[sdmtSDMT\u017f]|[lL][lL]|[vV][eE]|[rR][eE])"  # the long s folds to s
# {L}, {N}, {S}, {P} and {W} stand for the characters of a class.
_PATTERNS = {
    "whole": ".+",
    "gpt2": rf"{_CONTRACTION}| ?[{{L}}]+| ?[{{N}}]+| ?[^{{S}}{{L}}{{N}}]+|[{{S}}]+(?![^{{S}}])|[{{S}}]+",
    "cl100k": _ANY_CASE + r"|[^\r\n{L}{N}]?[{L}]+|[{N}]{{1,3}}| ?[^{S}{L}{N}]+[\r\n]*"
    r"|[{S}]+\Z|[{S}]*[\r\n]|[{S}]+(?![^{S}])|[{S}]",
    "llama3": _ANY_CASE + r"|[^\r\n{L}{N}]?[{L}]+|[{N}]{{1,3}}| ?[^{S}{L}{N}]+[\r\n]*"
    r"|[{S}]*[\r\n]+|[{S}]+(?![^{S}])|[{S}]+",
    "clip": rf"{_CONTRACTION}|[{{L}}]+|[{{N}}]|[^{{S}}{{L}}{{N}}]+",
    "bert": "[{P}]|[^{S}{P}]+",
    "words": "[{W}]+|[^{W}{S}]+",
    "spaces": "[^{S}]+",
    "metaspace": "\u2581?[^\u2581]+|\u2581",
}


class Characters:
    def __init__(self, classes: bytes) -> None:
        if len(classes) != 0x110000:
            raise ArgumentError("the classes of characters must be 0x110000 bytes")
        self.classes = classes

    def has(self, character: str, kind: int) -> bool:
        return bool(self.classes[ord(character)] & kind)


@cache
def _pattern(split: str) -> Callable[[str], Iterator[re.Match[str]]]:
    if split not in _PATTERNS:
        raise ArgumentError(f"no way to split is named '{split}'")
    if split == "whole":
        return re.compile(".+", re.DOTALL).finditer
    kinds = {
        "L": _unicode.LETTER,
        "N": _unicode.NUMBER,
        "S": _unicode.SPACE,
        "P": _unicode.PUNCTUATION,
        "W": _unicode.WORD,
    }
    sets = {name: members(kind) for name, kind in kinds.items()}
    return re.compile(_PATTERNS[split].format(**sets)).finditer


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


class Vocabulary:
    def __init__(self, tokens: list[bytes], ids: list[int]) -> None:
        self.ids: dict[bytes, int] = {}
        for token, number in zip(tokens, ids, strict=True):
            if not 0 <= number < 0x7FFFFFFF:
                raise ArgumentError(f"ids must be 0 to 2147483646, got {number}")
            self.ids.setdefault(token, number)
        self.most = max(ids, default=-1)


class Model(ABC):
    @abstractmethod
    def encode(self, piece: bytes) -> Tokens:
        """The tokens of a piece."""


_UNKNOWN = -3


class Merges(Model):
    def __init__(
        self,
        vocabulary: Vocabulary,
        bytes: bool,
        whole_first: bool,
        fuse_unknown: bool,
        unknown: int,
        suffix: bytes,
    ) -> None:
        self.vocabulary = vocabulary
        self.bytes = bytes
        self.whole_first = whole_first
        self.fuse = fuse_unknown
        self.unknown = unknown
        self.suffix = suffix
        self.pairs: dict[tuple[int, int], tuple[int, int]] = {}
        self.fallback: list[int] | None = None

    def add(self, merges: list[tuple[int, int, int, int]]) -> None:
        for left, right, rank, merged in merges:
            if not all(0 <= number <= self.vocabulary.most for number in (left, right, merged)):
                raise ArgumentError("a merge of tokens that are not in the vocabulary")
            if not 0 <= rank < 0x7FFFFFFF:
                raise ArgumentError(f"ranks must be 0 to 2147483646, got {rank}")
            self.pairs[left, right] = rank, merged

    def add_all_ways(self, tokens: list[bytes], ids: list[int], ranks: list[int]) -> None:
        find = self.vocabulary.ids.get
        for token, number, rank in zip(tokens, ids, ranks, strict=True):
            for cut in range(1, len(token)):
                left, right = find(token[:cut]), find(token[cut:])
                if left is not None and right is not None:
                    self.add([(left, right, rank, number)])

    def set_fallback(self, ids: list[int]) -> None:
        self.fallback = ids

    def _units(self, piece: bytes) -> list[list[int]]:
        units: list[list[int]] = []
        for unit, size in _units(piece, self.bytes, self.suffix):
            number = self.vocabulary.ids.get(unit, _UNKNOWN)
            if number != _UNKNOWN:
                units.append([number, size])
            elif self.fallback and not self.bytes and all(self.fallback[byte] >= 0 for byte in unit):
                units += [[self.fallback[byte], int(i < size)] for i, byte in enumerate(unit)]
            elif self.fuse and units and units[-1][0] == _UNKNOWN:
                units[-1][1] += size
            else:
                units.append([_UNKNOWN, size])
        return units

    def encode(self, piece: bytes) -> Tokens:
        if self.whole_first and (number := self.vocabulary.ids.get(piece)) is not None:
            return [(number, len(piece))]
        symbols = self._units(piece)
        before = list(range(-1, len(symbols) - 1))
        behind = [*range(1, len(symbols)), -1]

        def pair_at(i: int) -> tuple[int, int] | None:
            return self.pairs.get((symbols[i][0], symbols[behind[i]][0])) if behind[i] >= 0 else None

        heap = [(pair[0], i) for i in range(len(symbols)) if (pair := pair_at(i))]
        heapq.heapify(heap)
        while heap:
            rank, i = heapq.heappop(heap)
            pair = pair_at(i) if symbols[i] else None
            if pair is None or pair[0] != rank:
                continue
            right = behind[i]
            symbols[i] = [pair[1], symbols[i][1] + symbols[right][1]]
            symbols[right] = []
            behind[i] = behind[right]
            if behind[i] >= 0:
                before[behind[i]] = i
            for place in (i, before[i]):
                if place >= 0 and (pair := pair_at(place)):
                    heapq.heappush(heap, (pair[0], place))
        return [(self.unknown if s[0] == _UNKNOWN else s[0], s[1]) for s in symbols if s]


def _units(piece: bytes, as_bytes: bool, suffix: bytes) -> Iterator[tuple[bytes, int]]:
    """The units of a piece, the last with the suffix, and how many bytes of the piece they are."""
    units = (
        [piece[i : i + 1] for i in range(len(piece))] if as_bytes else [c.encode() for c in piece.decode()]
    )
    for i, unit in enumerate(units):
        yield (unit + suffix if i + 1 == len(units) else unit), len(unit)


class WordPiece(Model):
    def __init__(self, vocabulary: Vocabulary, unknown: int, prefix: bytes, most_characters: int) -> None:
        self.ids = vocabulary.ids
        self.unknown = unknown
        self.prefix = prefix
        self.most = most_characters

    def encode(self, piece: bytes) -> Tokens:
        text = piece.decode()
        found: Tokens = []
        start = 0
        while start < len(text) <= self.most:
            prefix = self.prefix if start else b""
            for end in range(len(text), start, -1):
                part = text[start:end].encode()
                number = self.ids.get(prefix + part)
                if number is not None:
                    found.append((number, len(part)))
                    start = end
                    break
            else:
                break
        return found if start == len(text) else [(self.unknown, len(piece))]


class Unigram(Model):
    def __init__(self, tokens: list[bytes], scores: list[float], unknown: int, fuse_unknown: bool) -> None:
        for i, score in enumerate(scores):
            if not math.isfinite(score):
                raise ArgumentError(f"the score of token {i} is not finite")
        self.tokens = {token.decode(errors="surrogateescape"): i for i, token in enumerate(tokens) if token}
        self.scores = scores
        self.unknown = unknown
        self.fuse = fuse_unknown
        self.unknown_score = min(scores, default=0.0) - 10
        self.longest = max(map(len, self.tokens), default=0)
        self.fallback: list[int] | None = None

    def set_fallback(self, ids: list[int]) -> None:
        self.fallback = ids

    def _tokens_at(self, text: str, at: int) -> Iterator[tuple[int, int, float]]:
        single = False
        for end in range(at + 1, min(len(text), at + self.longest) + 1):
            number = self.tokens.get(text[at:end])
            if number is not None:
                single = single or end == at + 1
                yield number, end, self.scores[number]
        if not single:
            yield -1, at + 1, self.unknown_score

    def _emit(self, text: str, path: list[tuple[int, int, int]]) -> Tokens:
        out: Tokens = []
        after_unknown = False
        for number, start, end in path:
            part = text[start:end].encode()
            covered = number < 0 and bool(self.fallback) and all(self.fallback[byte] >= 0 for byte in part)  # type: ignore[index]
            if number >= 0:
                out.append((number, len(part)))
            elif covered:
                out += [(self.fallback[byte], 1) for byte in part]  # type: ignore[index]
            elif self.unknown < 0:
                raise ArgumentError("a character that no token covers, and no unknown token")
            elif self.fuse and after_unknown:
                out[-1] = self.unknown, out[-1][1] + len(part)
            else:
                out.append((self.unknown, len(part)))
            after_unknown = number < 0 and not covered
        return out

    def encode(self, piece: bytes) -> Tokens:
        text = piece.decode()
        best: list[tuple[float, int, int] | None] = [(0.0, -1, -1)] + [None] * len(text)
        for at in range(len(text)):
            so_far = best[at][0]  # type: ignore[index]
            for number, end, score in self._tokens_at(text, at):
                there = best[end]
                if there is None or so_far + score > there[0]:
                    best[end] = so_far + score, at, number
        path = []
        end = len(text)
        while end > 0:
            _, start, number = best[end]  # type: ignore[misc]
            path.append((number, start, end))
            end = start
        return self._emit(text, path[::-1])

    def sample(self, piece: bytes, alpha: float, uniform: list[float]) -> list[int]:
        text = piece.decode()
        total = [0.0] + [-math.inf] * len(text)
        arrivals: list[list[tuple[int, int, float]]] = [[] for _ in total]
        for at in range(len(text)):
            for number, end, score in self._tokens_at(text, at):
                weight = total[at] + alpha * score
                arrivals[end].append((at, number, weight))
                most = max(total[end], weight)
                total[end] = most + math.log1p(math.exp(min(total[end], weight) - most))
        path = []
        end = len(text)
        numbers = iter(uniform)
        while end > 0:
            left = next(numbers)
            for start, number, weight in arrivals[end]:  # noqa: B007
                left -= math.exp(weight - total[end])
                if left < 0:
                    break
            path.append((number, start, end))
            end = start
        return [number for number, _ in self._emit(text, path[::-1])]


class Counts:
    def __init__(self) -> None:
        self.own: dict[bytes, int] = {}

    def add(self, word: str | bytes, count: int) -> None:
        self.own[_octets(word)] = self.own.get(_octets(word), 0) + count

    def items(self) -> list[tuple[bytes, int]]:
        return list(self.own.items())

    def units(self, bytes: bool, suffix: bytes) -> dict[bytes, int]:
        units: dict[Any, int] = {}
        for word, count in self.own.items():
            for unit, _ in _units(word, bytes, suffix):
                units[unit] = units.get(unit, 0) + count
        return units


Added = tuple[bytes, int, bool, bool, bool, bool]


class _Finder:
    """Looks for added tokens: the leftmost, of those the longest."""

    def __init__(self, added: list[Added], characters: Characters) -> None:
        self.characters = characters
        self.tokens = {token[0].decode(): token for token in added}
        longest_first = sorted(self.tokens, key=lambda content: -len(content.encode()))
        self.search = re.compile("|".join(map(re.escape, longest_first))).search if added else None

    def each(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Begin, end and id of each."""
        if self.search is None:
            return
        place = from_here = 0
        while match := self.search(text, place):
            start, end = match.span()
            _, number, strip_left, strip_right, whole_word, _ = self.tokens[match.group()]
            place = start + 1
            has = self.characters.has
            if whole_word and (
                (start > 0 and has(text[start - 1], _unicode.WORD))
                or (end < len(text) and has(text[end], _unicode.WORD))
            ):
                continue
            while strip_left and start > from_here and has(text[start - 1], _unicode.SPACE):
                start -= 1
            while strip_right and end < len(text) and has(text[end], _unicode.SPACE):
                end += 1
            yield start, end, number
            place = from_here = end


class Pipeline:
    def __init__(
        self,
        characters: Characters,
        model: Model | None,
        map: dict[int, str] | None,
        split: str,
        added: list[Added],
        prefix: bytes,
        prepend: str,
        unless_there: bool,
    ) -> None:
        if any(not token[0] for token in added):
            raise ArgumentError("an added token is empty")
        self.model = model
        self.map = map
        self.split = _pattern(split)
        self.spaced = split in ("clip", "bert", "words", "spaces")
        self.plain = _Finder([token for token in added if not token[5]], characters)
        self.mapped = _Finder([token for token in added if token[5]], characters)
        self.prefix = prefix.decode()
        self.prepend = prepend
        self.unless_there = unless_there

    def _map(self, text: str, origin: int, first: bool) -> tuple[str, list[tuple[int, int]]]:
        """The mapped text, and the places that its characters come from."""
        table = self.map or {}
        parts = [table.get(ord(c), c) for c in text]
        origins = [(origin + i, origin + i + 1) for i, part in enumerate(parts) for _ in part]
        mapped = "".join(parts)
        wanted = self.prepend == "each" or (self.prepend == "first" and first)
        if wanted and mapped and not (self.unless_there and mapped.startswith(self.prefix)):
            mapped = self.prefix + mapped
            origins = [(origin, origin + 1)] * len(self.prefix) + origins
        return mapped, origins

    def _walk(self, text: str) -> Iterator[tuple[str | int, list[tuple[int, int]]]]:
        """Pieces, and ids of added tokens, with the places of their characters."""

        def stretch(start: int, end: int) -> Iterator[tuple[str | int, list[tuple[int, int]]]]:
            mapped, origins = self._map(text[start:end], start, start == 0)
            at = 0
            for begin, behind, number in self.mapped.each(mapped):
                yield from (
                    (m.group(), origins[at + m.start() : at + m.end()]) for m in self.split(mapped[at:begin])
                )
                yield number, origins[begin:behind]
                at = behind
            yield from ((m.group(), origins[at + m.start() : at + m.end()]) for m in self.split(mapped[at:]))

        at = 0
        for begin, end, number in self.plain.each(text):
            yield from stretch(at, begin)
            yield number, [(begin, end)]
            at = end
        yield from stretch(at, len(text))

    def encode(
        self, texts: Iterable[str | bytes], threads: int, spans: bool
    ) -> tuple[bytes, bytes, bytes, bytes]:
        ids, counts, places, words = array("i"), array("q"), array("q"), array("i")
        for text in texts:
            text = _octets(text).decode()
            before = len(ids)
            for word, (piece, origins) in enumerate(self._walk(text)):
                if isinstance(piece, int):
                    ids.append(piece)
                    words.append(word)
                    places.extend((origins[0][0], origins[-1][1]))
                    continue
                # The places of bytes: each byte has those of its character.
                of_bytes = [origin for c, origin in zip(piece, origins, strict=True) for _ in c.encode()]
                at = 0
                for number, size in self.model.encode(piece.encode()):  # type: ignore[union-attr]
                    if number >= 0:
                        ids.append(number)
                        begin = of_bytes[at] if at < len(of_bytes) else (origins[-1][1], origins[-1][1])
                        end = of_bytes[at + size - 1] if size else (begin[0], begin[0])
                        places.extend((begin[0], end[1]))
                        words.append(word)
                    at += size
            counts.append(len(ids) - before)
        asked = (places.tobytes(), words.tobytes()) if spans else (b"", b"")
        return ids.tobytes(), counts.tobytes(), *asked

    def ids(self, text: str | bytes) -> list[int]:
        return array("i", self.encode([text], 1, False)[0]).tolist()

    def count(self, texts: Iterable[str | bytes], threads: int, counts: Counts) -> None:
        for text in texts:
            for piece, _ in self._walk(_octets(text).decode()):
                if isinstance(piece, str):
                    counts.add(piece, 1)

    def count_lines(self, chunk: bytes, threads: int, counts: Counts) -> None:
        self.count(
            [line + b"\n" for line in chunk.split(b"\n")[:-1]] + chunk.split(b"\n")[-1:], threads, counts
        )

    def pieces(self, text: str | bytes) -> list[bytes]:
        return [piece.encode() for piece, _ in self._walk(_octets(text).decode()) if isinstance(piece, str)]


def train(
    words: Counts, vocabulary: int, least: int, bytes: bool, suffix: bytes, tokens: list[Any]
) -> tuple[list[tuple[int, int, int]], list[Any]]:
    """Merges as (left, right, merged), and all tokens."""
    tokens = list(tokens)
    ids: dict[Any, int] = {}
    for i, token in enumerate(tokens):
        ids.setdefault(token, i)
    spelled = [
        ([ids[u] for u, _ in _units(word, bytes, suffix) if u in ids], count) for word, count in words.items()
    ]
    counts: dict[tuple[int, int], int] = {}
    where: dict[tuple[int, int], set[int]] = {}

    def more(pair: tuple[int, int], count: int, word: int) -> None:
        counts[pair] = counts.get(pair, 0) + count
        if count > 0:
            where.setdefault(pair, set()).add(word)

    for number, (symbols, count) in enumerate(spelled):
        for pair in pairwise(symbols):
            more(pair, count, number)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges = []
    while len(ids) < vocabulary and heap:
        negative, (left, right) = heapq.heappop(heap)
        now = counts[left, right]
        if now != -negative:
            if now > 0:
                heapq.heappush(heap, (-now, (left, right)))
            continue
        if now < 1 or now < least:
            break
        together = tokens[left] + tokens[right]
        merged = ids.setdefault(together, len(tokens))
        if merged == len(tokens):
            tokens.append(together)
        merges.append((left, right, merged))
        touched = set()
        for number in where.pop((left, right), ()):
            old, count = spelled[number]
            new: list[int] = []
            i = 0
            while i < len(old):
                if old[i : i + 2] != [left, right]:
                    new.append(old[i])
                    i += 1
                    continue
                if new:
                    more((new[-1], left), -count, number)
                    more((new[-1], merged), count, number)
                    touched.add((new[-1], merged))
                i += 2
                if i < len(old):
                    more((right, old[i]), -count, number)
                    more((merged, old[i]), count, number)
                    touched.add((merged, old[i]))
                new.append(merged)
            spelled[number] = new, count
        counts[left, right] = 0
        for pair in touched:
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
    return merges, tokens
