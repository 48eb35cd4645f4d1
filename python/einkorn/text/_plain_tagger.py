"""The averaged perceptron for parts of speech in plain Python: the class ``Tagger`` of the compiled form."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

__all__ = ["Tagger"]

_ONES = (1 << 64) - 1


def _mixed(a: int, b: int) -> int:
    product = (a ^ 0x9E3779B97F4A7C15) * (b ^ 0xD6E8FEB86659FD93)
    return (product ^ product >> 64) & _ONES


def _hashed(octets: bytes) -> int:
    value = len(octets)
    whole = len(octets) // 8 * 8
    for i in range(0, whole, 8):
        value = _mixed(value, int.from_bytes(octets[i : i + 8], "little"))
    return _mixed(value, int.from_bytes(octets[whole:], "little"))


def _keyed(feature: int, a: int, b: int = 0) -> int:
    return _mixed(_mixed(feature, a), b) | 1


def _starts(byte: int) -> bool:
    return byte & 0xC0 != 0x80


# The hashes of a word: whole, its last 3, 2 and 1 characters, its first 1 and 3; and its shape.
_Word = tuple[int, int, int, int, int, int, int]
_OUTSIDE: _Word = (1, 1, 1, 1, 1, 1, 1)


def _word_of(word: str, first: bool) -> _Word:
    octets = word.encode()
    lower = octets.lower()
    digits = [48 <= byte <= 57 for byte in lower]
    whole = lower
    if len(lower) == 4 and all(digits):
        whole = b"!year"
    elif lower and digits[0]:
        whole = b"!digits"

    def ending(n: int) -> int:
        start = max(len(lower) - n, 0)
        while start > 0 and not _starts(lower[start]):
            start -= 1
        return _hashed(lower[start:])

    def beginning(n: int) -> int:
        end = min(len(lower), n)
        while end < len(lower) and not _starts(lower[end]):
            end += 1
        return _hashed(lower[:end])

    upper = any(65 <= byte <= 90 for byte in octets)
    small = any(97 <= byte <= 122 for byte in octets)
    shape = (
        (len(octets) > 0 and 65 <= octets[0] <= 90)
        | any(digits) << 1
        | (b"-" in octets) << 2
        | (upper and not small) << 3
        | first << 4
    )
    return _hashed(whole), ending(3), ending(2), ending(1), beginning(1), beginning(3), shape


def _look(words: list[_Word], at: int, before: int, before2: int) -> list[int]:
    def word(place: int) -> _Word:
        return words[place] if 0 <= place < len(words) else _OUTSIDE

    w, left, left2, right, right2 = (word(at + by) for by in (0, -1, -2, 1, 2))
    t, t2 = before + 2, before2 + 2
    found = [
        (0, 0), (1, w[1]), (2, w[2]), (3, w[3]), (4, w[4]), (5, w[5]), (6, t), (7, t2), (8, t, t2), (9, w[0]),
        (10, t, w[0]), (11, left[0]), (12, left[1]), (13, left2[0]), (14, right[0]), (15, right[1]),
        (16, right2[0]), (17, w[6], w[1]), (18, left[0], w[0]), (19, w[0], right[0]),
    ]  # fmt: skip
    return [_keyed(*each) for each in found]


class Tagger:
    def __init__(self, tags: int) -> None:
        self.tags = tags
        self.fixed: dict[str, int] = {}
        self.rows: dict[int, list[float]] = {}
        self.totals: dict[tuple[int, int], float] = {}
        self.stamps: dict[tuple[int, int], int] = {}
        self.step = 0

    def fix(self, word: str, tag: int) -> None:
        if not 0 <= tag < self.tags:
            raise ValueError("there is no such tag")
        self.fixed.setdefault(word, tag)

    def _best(self, keys: list[int]) -> int:
        scores = [0.0] * self.tags
        for key in keys:
            if (row := self.rows.get(key)) is not None:
                scores = [score + weight for score, weight in zip(scores, row, strict=True)]
        return scores.index(max(scores))

    def _change(self, key: int, tag: int, by: float) -> None:
        row = self.rows.setdefault(key, [0.0] * self.tags)
        place = key, tag
        self.totals[place] = self.totals.get(place, 0.0) + (self.step - self.stamps.get(place, 0)) * row[tag]
        self.stamps[place] = self.step
        row[tag] += by

    def learn(self, sentences: list[Sequence[str]], tags: list[int], order: list[int]) -> int:
        begins = [0]
        for sentence in sentences:
            begins.append(begins[-1] + len(sentence))
        if len(tags) != begins[-1]:
            raise ValueError("as many tags as words")
        wrong = 0
        for which in order:
            sentence = sentences[which]
            words = [_word_of(word, i == 0) for i, word in enumerate(sentence)]
            before, before2 = -1, -2
            for i, word in enumerate(sentence):
                guess = self.fixed.get(word, -1)
                if guess < 0:
                    keys = _look(words, i, before, before2)
                    guess = self._best(keys)
                    self.step += 1
                    truth = tags[begins[which] + i]
                    if guess != truth:
                        wrong += 1
                        for key in keys:
                            self._change(key, truth, 1)
                            self._change(key, guess, -1)
                before, before2 = guess, before
        return wrong

    def average(self) -> None:
        steps = max(1, self.step)
        for (key, tag), total in self.totals.items():
            row = self.rows[key]
            row[tag] = (total + (self.step - self.stamps[key, tag]) * row[tag]) / steps
        self.totals, self.stamps = {}, {}

    def tag(self, sentences: list[Sequence[str]], threads: int) -> list[int]:
        found = []
        for sentence in sentences:
            words = [_word_of(word, i == 0) for i, word in enumerate(sentence)]
            before, before2 = -1, -2
            for i, word in enumerate(sentence):
                tag = self.fixed.get(word, -1)
                if tag < 0:
                    tag = self._best(_look(words, i, before, before2))
                found.append(tag)
                before, before2 = tag, before
        return found

    def weights(self) -> tuple[bytes, bytes]:
        features, weights = array("Q", self.rows), array("f")
        for row in self.rows.values():
            weights.extend(row)
        return features.tobytes(), weights.tobytes()

    def put(self, features: bytes, weights: bytes) -> None:
        keys, values = array("Q", features), array("f", weights)
        if len(values) != len(keys) * self.tags:
            raise ValueError("there must be a weight for each feature and tag")
        for i, key in enumerate(keys):
            self.rows[key] = values[i * self.tags : (i + 1) * self.tags].tolist()
