"""Sentences of files, a line each, as often as they are wanted."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Iterator
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import IO, Any

from einkorn.errors import ArgumentError, DataError, MissingFileError
from einkorn.text._arguments import path_of, whole_number

__all__ = ["LineSentence", "PathLineSentences"]

_LONGEST = 10_000  # words of a sentence


class LineSentence:
    """The lines of a file as lists of words, cut at white space, as gensim's class gives them.

    It can be gone through again. ``Word2Vec(corpus_file=path)`` reads a file faster, on several threads.

    Parameters
    ----------
    source
        Path, of a text in UTF-8, by its name packed (``.gz``, ``.bz2``); or an open file that has ``seek``.
    max_sentence_length
        Lines with more words are several sentences.
    limit
        How many lines are read; None: all.

    Raises
    ------
    MissingFileError
        There is no such file.
    DataError
        A line is no UTF-8; it is named.
    """

    def __init__(
        self,
        source: str | PathLike[str] | IO[Any],
        max_sentence_length: int = _LONGEST,
        limit: int | None = None,
    ) -> None:
        name = type(self).__name__
        self.source = source if hasattr(source, "seek") else path_of(name, source)
        self.max_sentence_length = whole_number(name, "max_sentence_length", max_sentence_length, 1)
        self.limit = None if limit is None else whole_number(name, "limit", limit, 0)

    def __iter__(self) -> Iterator[list[str]]:
        if isinstance(self.source, Path):
            yield from self._of_file(self.source)
        else:
            self.source.seek(0)
            yield from self._of_lines(self.source, "the file")

    def _of_file(self, path: Path) -> Iterator[list[str]]:
        openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
        try:
            with openers.get(path.suffix, open)(path, "rb") as lines:
                yield from self._of_lines(lines, str(path))
        except FileNotFoundError:
            raise MissingFileError(f"{type(self).__name__}: there is no file {str(path)!r}") from None
        except (EOFError, OSError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from None

    def _of_lines(self, lines: Any, name: str) -> Iterator[list[str]]:
        for number, line in enumerate(islice(lines, self.limit), 1):
            try:
                words = (line.decode() if isinstance(line, bytes) else line).split()
            except UnicodeDecodeError as error:
                raise DataError(f"{name}: line {number} is no UTF-8: {error.reason}") from None
            for first in range(0, len(words), self.max_sentence_length):
                yield words[first : first + self.max_sentence_length]


class PathLineSentences(LineSentence):
    """:class:`LineSentence` of all files of a folder, by their names' order.

    Parameters
    ----------
    source
        Path of the folder, or of a single file.
    max_sentence_length, limit
        As there, the second for each file.

    Attributes
    ----------
    input_files : list of Path

    Raises
    ------
    MissingFileError
        There is neither.
    """

    def __init__(
        self, source: str | PathLike[str], max_sentence_length: int = _LONGEST, limit: int | None = None
    ) -> None:
        if hasattr(source, "seek"):
            raise ArgumentError("PathLineSentences: source must be a path; LineSentence takes a file")
        super().__init__(source, max_sentence_length, limit)
        assert isinstance(self.source, Path)
        if not self.source.exists():
            raise MissingFileError(f"PathLineSentences: there is no folder or file {str(source)!r}")
        single = not self.source.is_dir()
        self.input_files = [self.source] if single else sorted(self.source.iterdir(), key=str)

    def __iter__(self) -> Iterator[list[str]]:
        for path in self.input_files:
            yield from self._of_file(path)
