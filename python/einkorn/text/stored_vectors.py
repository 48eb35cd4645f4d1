"""The files of vectors of words: those of the word2vec program, and einkorn's own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text.vector_files import read_counts, read_tensors, read_word2vec, unmapped

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["StoredVectors"]


class StoredVectors(ABC):
    """The part of :class:`einkorn.text.KeyedVectors` that reads and writes files."""

    index_to_key: list[str]
    vectors: np.ndarray
    counts: list[int] | None

    @abstractmethod
    def __init__(self, words: Iterable[str] | int, vectors: Any = None, counts: Any = None) -> None: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def vector_size(self) -> int:
        """How many numbers a vector has."""

    def save_word2vec_format(
        self,
        fname: str | PathLike[str],
        fvocab: str | PathLike[str] | None = None,
        binary: bool = False,
        *,
        write_header: bool = True,
    ) -> None:
        """Write the file of the word2vec program, text or binary, whole or not at all.

        The text is fastText's .vec too.

        Parameters
        ----------
        fname
            Path.
        fvocab
            Path of a second file, for the words and how often they occur.
        binary
            Whether numbers are float32 bytes.
        write_header
            Whether the first line says how many words and numbers there are; GloVe's files have none.

        Raises
        ------
        ArgumentError
            A word has white space, which these files cannot hold; or counts are to be written that are not
            known.
        """
        from einkorn.checkpoint import write_whole

        _flag("save_word2vec_format", "binary", binary)
        if fvocab is not None and self.counts is None:
            raise ArgumentError(
                "save_word2vec_format: fvocab is given, and how often words occur is not known"
            )
        for word in self.index_to_key:
            if not word or any(c.isspace() for c in word):
                raise ArgumentError(f"save_word2vec_format: the word {word!r} is empty or has white space")
        parts = [f"{len(self)} {self.vector_size}\n".encode()] if write_header else []
        if binary:
            rows = self.vectors.astype("<f4")
            for word, row in zip(self.index_to_key, rows, strict=True):
                parts += [word.encode(), b" ", row.tobytes(), b"\n"]
        else:
            for word, row in zip(self.index_to_key, self.vectors, strict=True):
                numbers = " ".join(np.format_float_positional(x, unique=True, trim="-") for x in row)
                parts.append(f"{word} {numbers}\n".encode())
        write_whole(fname, parts)
        if fvocab is not None and self.counts is not None:
            lines = zip(self.index_to_key, self.counts, strict=True)
            write_whole(fvocab, ["".join(f"{word} {count}\n" for word, count in lines).encode()])

    @classmethod
    def load_word2vec_format(
        cls,
        fname: str | PathLike[str],
        fvocab: str | PathLike[str] | None = None,
        binary: bool = False,
        encoding: str = "utf8",
        unicode_errors: str = "strict",
        limit: int | None = None,
        *,
        no_header: bool = False,
    ) -> Self:
        """Read a file of the word2vec program, or fastText's .vec; with ``no_header`` one of GloVe's.

        Parameters
        ----------
        fname
            Path.
        fvocab
            Path of a second file: lines with a word and how often it occurs.
        binary
            Whether numbers are float32 bytes.
        encoding, unicode_errors
            Of the words, and what becomes of those that are not in it: "strict", "ignore" or "replace".
        limit
            How many words are read, at most.
        no_header
            Whether the first line is a word already.

        Raises
        ------
        MissingFileError
            There is no such file.
        DataError
            The file is damaged; the place is named.
        """
        _flag("load_word2vec_format", "binary", binary)
        if unicode_errors not in ("strict", "ignore", "replace"):
            raise ArgumentError(
                "load_word2vec_format: unicode_errors must be strict, ignore or replace, "
                f"got {unicode_errors!r}"
            )
        words, vectors = read_word2vec(fname, binary, limit, no_header, (encoding, unicode_errors))
        return cls(words, vectors, None if fvocab is None else read_counts(fvocab, encoding, words))

    def save(self, path: str | PathLike[str]) -> None:
        """Write vectors and words into a safetensors file, whole or not at all."""
        from safetensors.numpy import save

        from einkorn.checkpoint import write_whole

        about = {"format": "einkorn.KeyedVectors", "words": json.dumps(self.index_to_key, ensure_ascii=True)}
        if self.counts is not None:
            about["counts"] = json.dumps(self.counts)
        vectors = np.ascontiguousarray(self.vectors, np.float32)  # safetensors writes memory as it lies
        write_whole(path, [save({"vectors": vectors}, about)])

    @classmethod
    def load(cls, path: str | PathLike[str], mmap: None = None) -> Self:
        """Read what :meth:`save` wrote; ``mmap`` must be None.

        Raises
        ------
        MissingFileError
            There is no such file.
        DataError
            It is no such file, or damaged.
        """
        unmapped("KeyedVectors", mmap)
        tensors, about = read_tensors(path, "einkorn.KeyedVectors")
        try:
            words = json.loads(about["words"])
            counts = json.loads(about["counts"]) if "counts" in about else None
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError("words must be a list of str")
            return cls(words, tensors["vectors"], counts)
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: damaged: {error}") from None


def _flag(op: str, name: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise ArgumentError(f"{op}: {name} must be True or False, got {value!r}")
