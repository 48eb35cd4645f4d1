"""word2vec with subwords."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from einkorn.text._arguments import items_of, real_number, whole_number
from einkorn.text._corpus import check_words
from einkorn.text.keyed_vectors import KeyedVectors
from einkorn.text.word2vec import _OPTIONS, Word2Vec

__all__ = ["FastText"]


class FastText(Word2Vec):
    """:class:`Word2Vec` whose words are means of their subwords (Bojanowski et al. 2017): words that were
    never seen have vectors too.

    Parameters
    ----------
    min_n, max_n
        How many characters the subwords have, ``<`` and ``>`` around the word included.
    bucket
        How many rows subwords share, by the hash of their bytes (FNV-1a, as published).
    **options
        Those of :class:`Word2Vec`.
    """

    def __init__(
        self,
        sentences: Iterable[Iterable[str]] | None = None,
        corpus_file: str | PathLike[str] | None = None,
        *,
        min_n: int = 3,
        max_n: int = 6,
        bucket: int = 2_000_000,
        **options: Any,
    ) -> None:
        self.min_n = whole_number("FastText", "min_n", min_n, 1)
        self.max_n = whole_number("FastText", "max_n", max_n, 0)
        self.bucket = whole_number("FastText", "bucket", bucket, 1, 2**30)
        super().__init__(sentences, corpus_file, **options)

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return (*_OPTIONS, "min_n", "max_n", "bucket")

    def _share(self) -> None:
        """Vectors are computed from the table."""

    def _about(self) -> dict[str, Any]:
        return super()._about() | {"min_n": self.min_n, "max_n": self.max_n, "bucket": self.bucket}

    def _rows(self) -> int:
        return len(self._words) + self.bucket

    def subwords(self, word: str) -> list[str]:
        """The subwords of a word."""
        padded = f"<{word}>"
        return [
            padded[i : i + n]
            for i in range(len(padded))
            for n in range(self.min_n, min(self.max_n, len(padded)) + 1)
            if i + n <= len(padded) and not (n == 1 and i in (0, len(padded) - 1))
        ]

    def _hashed(self, word: str) -> list[int]:
        return [len(self._words) + _fnv(part.encode()) % self.bucket for part in self.subwords(word)]

    def _set_words(self, words: list[str], counts: list[int]) -> None:
        super()._set_words(words, counts)
        rows = [[i, *self._hashed(word)] for i, word in enumerate(words)]
        starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        self._subwords = starts, np.array([row for each in rows for row in each], np.int32)

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        return self._subwords

    def _refresh(self) -> None:
        self.wv = SubwordVectors(self)
        self._after_training()

    def _after_training(self) -> None:
        starts, rows = self._subwords
        sums = np.add.reduceat(self._table[:, : self.vector_size][rows], starts[:-1], axis=0)
        self.wv.vectors = (sums / np.diff(starts)[:, None]).astype(np.float32)
        self.wv.fill_norms()

    def vector(self, word: str) -> np.ndarray:
        """The vector of any word: of one that was not seen, the mean of its subwords."""
        self._learned("vector")
        check_words("FastText.vector", [word])
        if word in self._numbers:
            return self.wv[word]
        rows = self._hashed(word)
        if not rows:
            return np.zeros(self.vector_size, np.float32)
        mean: np.ndarray = self._table[rows, : self.vector_size].mean(axis=0)
        return mean


class SubwordVectors(KeyedVectors):
    """The vectors of a :class:`FastText`: any word has one, of its subwords where it was not seen."""

    def __init__(self, model: FastText) -> None:
        shape = len(model._words), model.vector_size
        super().__init__(model._words, np.zeros(shape, np.float32), model._counts)
        self._model = model

    def get_vector(self, word: str, norm: bool = False) -> np.ndarray:
        if not isinstance(word, str) or word in self.key_to_index:
            return super().get_vector(word, norm)
        vector = self._model.vector(word)
        size = float(np.linalg.norm(vector.astype(np.float64))) if norm else 1.0
        scaled: np.ndarray = vector / np.float32(size or 1)
        return scaled

    def __getitem__(self, word: str | Sequence[str]) -> np.ndarray:
        if isinstance(word, str):
            return self.get_vector(word)
        rows = [self.get_vector(each) for each in items_of("KeyedVectors", "words", word)]
        return np.array(rows, np.float32).reshape(len(rows), self.vector_size)

    def _vector_of(self, op: str, item: Any, weight: float) -> tuple[np.ndarray, int | None]:
        if isinstance(item, tuple) and len(item) == 2:
            item, weight = item[0], weight * real_number(op, "a weight", item[1])
        if isinstance(item, str) and item not in self.key_to_index:
            return self.get_vector(item, norm=True) * np.float32(weight), None
        return super()._vector_of(op, item, weight)


def _fnv(octets: bytes) -> int:
    value = 2166136261
    for byte in octets:
        # The published program adds bytes as signed characters.
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return value
