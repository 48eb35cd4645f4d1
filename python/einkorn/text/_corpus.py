"""A corpus as numbers: words counted, then sentences of word numbers in blocks.

From lists, or from a file of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text import _engine
from einkorn.text._arguments import path_of
from einkorn.text.tokenizer import _threads

__all__ = ["Block", "Corpus", "check_words", "ordered"]

_BLOCK = 1 << 20  # words of lists that are numbers at a time
_KEPT = 1 << 26  # words of a corpus whose numbers are kept for the next pass

Block = tuple[np.ndarray, np.ndarray]


class Corpus:
    """Sentences: a file with one on each line, its words between white space; or lists of words.

    An iterator is kept as it comes, since it can be gone through once; sentences that are iterators, too.
    """

    def __init__(self, op: str, source: Any) -> None:
        self.op = op
        self.path = path_of(op, source) if isinstance(source, (str, PathLike)) else None
        self.seen = 0  # sentences that were counted
        self._blocks: list[Block] | None = None
        self._words: list[str] | None = None
        if self.path is None:
            if not isinstance(source, Iterable):
                raise ArgumentError(
                    f"{op}: sentences must be lists of words or a path, got {type(source).__name__}"
                )
            self.sentences = source
            if iter(source) is source or isinstance(source, (list, tuple)):  # passes go through them again
                self.sentences = [list(each) if isinstance(each, Iterator) else each for each in source]

    def _chunks(self) -> Iterator[bytes]:
        from einkorn.text.training import _chunks

        assert self.path is not None
        before = 0
        for chunk in _chunks(self.path):
            try:
                chunk.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{self.path}: no UTF-8 at byte {before + error.start}") from None
            before += len(chunk)
            yield chunk

    def _lists(self) -> Iterator[Iterable[str]]:
        for sentence in self.sentences:
            if isinstance(sentence, (str, bytes)) or not isinstance(sentence, Iterable):
                raise ArgumentError(
                    f"{self.op}: a sentence must be a list of words, got {type(sentence).__name__}"
                )
            yield sentence

    def count(self) -> Counter[str]:
        """How often each word occurs."""
        counts: Counter[str] = Counter()
        self.seen = 0
        if self.path is None:
            try:
                for sentence in self._lists():
                    self.seen += 1
                    counts.update(iter(sentence))
            except TypeError as error:
                raise ArgumentError(f"{self.op}: sentences must be lists of words: {error}") from None
            return counts
        form = _engine.form
        found = form.Counts()
        pipeline = form.Pipeline(_engine.characters(), None, {}, "spaces", [], b"", "never", False)
        for chunk in self._chunks():
            pipeline.count_lines(chunk, _threads(), found)
            self.seen += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        for word, count in found.items():
            counts[word.decode()] = count
        return counts

    def blocks(self, words: list[str]) -> Iterator[Block]:
        """Words by number, int32, and where sentences begin, int64; words without a number are left out."""
        if self._blocks is not None and self._words == words:
            yield from self._blocks
            return
        kept: list[Block] | None = []
        size = 0
        for block in self._from_lists(words) if self.path is None else self._from_file(words):
            size += len(block[0])
            if kept is not None:
                kept = [*kept, block] if size <= _KEPT else None
            yield block
        self._blocks, self._words = kept, words

    def _from_file(self, words: list[str]) -> Iterator[Block]:
        numbers = _engine.form.Numbers(_engine.characters(), words)
        for chunk in self._chunks():
            tokens, ends = numbers.lines(chunk, _threads())
            starts = np.unique(np.append(0, np.frombuffer(ends, np.int64)))  # without empty lines
            if starts[-1]:
                yield np.frombuffer(tokens, np.int32), starts

    def _from_lists(self, words: list[str]) -> Iterator[Block]:
        get = {word: i for i, word in enumerate(words)}.get
        tokens: list[int] = []
        starts = [0]
        for sentence in self._lists():
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
    try:
        words.sort(key=lambda word: (-counts[word], word))
    except TypeError as error:
        raise ArgumentError(f"words must be str, or at least have an order: {error}") from None
    return words[:most]


def check_words(op: str, words: list[str]) -> None:
    """Refuse words that files could not keep."""
    for word in words:
        if not isinstance(word, str):
            raise ArgumentError(f"{op}: words must be str, got {word!r:.60}")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise ArgumentError(f"{op}: the word {word!r:.60} has an unpaired surrogate") from None
