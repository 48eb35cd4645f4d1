"""A corpus as numbers: words counted, then sentences of word numbers in blocks.

From lists, or from a file of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError, MissingFileError

__all__ = ["Corpus"]

_BLOCK = 1 << 20  # words that are numbers at a time
_CHUNK = 1 << 22  # bytes read at a time


class Corpus:
    """Sentences: a file with one on each line, its words between spaces; or lists of words.

    An iterator is kept as it comes: it can be gone through once.
    """

    def __init__(self, op: str, source: Any) -> None:
        self.op = op
        self.path = Path(source) if isinstance(source, (str, PathLike)) else None
        if self.path is None:
            if not isinstance(source, Iterable):
                raise ArgumentError(
                    f"{op}: sentences must be lists of words or a path, got {type(source).__name__}"
                )
            self.sentences = list(source) if iter(source) is source else source

    def _lines(self) -> Iterator[list[str]]:
        assert self.path is not None
        try:
            with self.path.open(encoding="utf-8") as file:
                while lines := file.readlines(_CHUNK):
                    for line in lines:
                        yield line.split()
        except FileNotFoundError:
            raise MissingFileError(f"{self.path}: there is no such file") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}: no UTF-8: {error}") from None
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}") from None

    def __iter__(self) -> Iterator[list[str]]:
        if self.path is not None:
            yield from self._lines()
            return
        for sentence in self.sentences:
            if isinstance(sentence, (str, bytes)):
                raise ArgumentError(
                    f"{self.op}: a sentence must be a list of words, got {type(sentence).__name__}"
                )
            yield sentence

    def count(self) -> Counter[str]:
        """How often each word occurs."""
        counts: Counter[str] = Counter()
        for sentence in self:
            counts.update(sentence)
        return counts

    def blocks(self, numbers: dict[str, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Words by number, int32, and where sentences begin, int64; words without a number are left out."""
        tokens: list[int] = []
        starts = [0]
        get = numbers.get
        for sentence in self:
            tokens += [n for word in sentence if (n := get(word)) is not None]
            if len(tokens) > starts[-1]:
                starts.append(len(tokens))
            if len(tokens) >= _BLOCK:
                yield np.array(tokens, np.int32), np.array(starts, np.int64)
                tokens, starts = [], [0]
        if tokens:
            yield np.array(tokens, np.int32), np.array(starts, np.int64)


def ordered(counts: Counter[str], min_count: int, most: int | None) -> list[str]:
    """Words that occur often enough, the most frequent first, equally frequent ones by their characters."""
    words = [word for word, count in counts.items() if count >= min_count]
    words.sort(key=lambda word: (-counts[word], word))
    return words[:most]
