"""Learning the pieces of a Unigram model in plain Python: ``UnigramLearner`` of the compiled form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["UnigramLearner"]

_STRETCH = 1 << 16  # bytes
_LEAST_EXPECTED = 0.5  # what digamma is taken of


def _log_sum(a: float, b: float) -> float:
    most, least = max(a, b), min(a, b)
    return most if least == -math.inf else most + math.log1p(math.exp(least - most))


def _digamma(x: float) -> float:
    below = 0.0
    while x < 10:
        below += 1 / x
        x += 1
    y = 1 / (x * x)
    return math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240)))) - below


def _stretches(word: str) -> Iterator[str]:
    """A word in parts of at most 64 KiB."""
    octets = word.encode()
    at = 0
    while at < len(octets):
        end = min(at + _STRETCH, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        yield octets[at:end].decode()
        at = end


class UnigramLearner:
    def __init__(self, words: Any, longest: int, most: int) -> None:
        self.stretches = [
            (part, count) for word, count in words.items() if count > 0 for part in _stretches(word.decode())
        ]
        characters: dict[str, int] = {}
        counts: dict[str, int] = {}
        for text, count in self.stretches:
            for start in range(len(text)):
                characters[text[start]] = characters.get(text[start], 0) + count
                for end in range(start + 2, min(len(text), start + longest + 1) + 1):
                    part = text[start:end]
                    counts[part] = counts.get(part, 0) + count
        # A substring that always goes on in the same way is no inner node of the suffix tree.
        inside = {part[:-1] for part, count in counts.items() if counts.get(part[:-1]) == count}
        found = [
            (count * len(part), part)
            for part, count in counts.items()
            if count >= 2 and len(part) <= longest and part not in inside
        ]
        found.sort(key=lambda each: (-each[0], each[1]))
        start_with = [(float(count), c) for c, count in sorted(characters.items())]
        start_with += [(float(worth), part) for worth, part in found[:most]]
        total = sum(worth for worth, _ in start_with)
        self.names = [part for _, part in start_with]
        self.scores = [math.log(worth) - math.log(total) for worth, _ in start_with]
        self.expected = [0.0] * len(self.names)
        self.single = len(characters)

    def _trie(self) -> None:
        self.ids = {name: i for i, name in enumerate(self.names)}
        self.longest = max(map(len, self.names), default=0)

    def _pieces_at(self, text: str, at: int) -> Iterator[tuple[int, int]]:
        for end in range(at + 1, min(len(text), at + self.longest) + 1):
            number = self.ids.get(text[at:end])
            if number is not None:
                yield number, end

    def expect(self, threads: int) -> float:
        self._trie()
        scores = self.scores
        expected = [0.0] * len(scores)
        likelihood = 0.0
        for text, count in self.stretches:
            before = [0.0] + [-math.inf] * len(text)
            behind = [-math.inf] * len(text) + [0.0]
            for at in range(len(text)):
                for number, end in self._pieces_at(text, at):
                    before[end] = _log_sum(before[end], before[at] + scores[number])
            for at in range(len(text) - 1, -1, -1):
                for number, end in self._pieces_at(text, at):
                    rest = scores[number] + behind[end]
                    behind[at] = _log_sum(behind[at], rest)
                    expected[number] += count * math.exp(before[at] + rest - before[-1])
            likelihood += count * before[-1]
        self.expected = expected
        return likelihood

    def _keep(self, kept: list[int]) -> None:
        self.names = [self.names[i] for i in kept]
        self.scores = [self.scores[i] for i in kept]
        self.expected = [self.expected[i] for i in kept]

    def maximize(self, least: float) -> None:
        self._keep([i for i, n in enumerate(self.expected) if i < self.single or n >= least])
        total = _digamma(sum(max(n, _LEAST_EXPECTED) for n in self.expected)) if self.names else 0.0
        self.scores = [_digamma(max(n, _LEAST_EXPECTED)) - total for n in self.expected]

    def _best(self, text: str, without: int) -> list[int]:
        best = [(0.0, 0, -1)] + [(-math.inf, 0, -1)] * len(text)
        for at in range(len(text)):
            for number, end in self._pieces_at(text, at):
                score = best[at][0] + self.scores[number]
                if number != without and score > best[end][0]:
                    best[end] = score, at, number
        path = []
        end = len(text)
        while end > 0:
            _, start, number = best[end]
            path.append(number)
            end = start
        return path

    def prune(self, kept: int, threads: int) -> None:
        if kept >= len(self.names):
            return
        self._trie()
        used = [0.0] * len(self.names)
        for text, count in self.stretches:
            for number in self._best(text, -1):
                used[number] += count
        total = sum(used)
        loss = [-math.inf] * len(used)
        for i in range(self.single, len(used)):
            if used[i] == 0:
                continue
            path = self._best(self.names[i], i)
            others = math.log(total + used[i] * (len(path) - 1))
            instead = 0.0
            for number in path:
                instead += math.log(used[number] + used[i]) - others
            loss[i] = used[i] * (math.log(used[i]) - math.log(total) - instead)
        order = sorted(range(self.single, len(used)), key=lambda i: -loss[i])
        self._keep([*range(self.single), *sorted(order[: max(kept - self.single, 0)])])

    def size(self) -> int:
        return len(self.names)

    def characters(self) -> int:
        return self.single

    def pieces(self) -> list[tuple[str, float, float]]:
        return list(zip(self.names, self.scores, self.expected, strict=True))
