"""How vectors of words agree with what people said: files of analogies and of similarities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from os import PathLike
from typing import Any

import numpy as np

from einkorn import _extras
from einkorn.errors import ArgumentError, DataError
from einkorn.text._arguments import whole_number
from einkorn.text.similarity import products
from einkorn.text.vector_files import lines_of

__all__ = ["Evaluations"]


class Evaluations(ABC):
    """The part of :class:`einkorn.text.KeyedVectors` that reads such files."""

    index_to_key: list[str]

    @abstractmethod
    def _units(self) -> np.ndarray: ...

    def evaluate_word_analogies(
        self, analogies: str | PathLike[str], restrict_vocab: int = 300000, case_insensitive: bool = True
    ) -> tuple[float, list[dict[str, Any]]]:
        """How many analogies of a file are answered.

        Parameters
        ----------
        analogies
            A file with lines "a b c d", and ": name" before each section.
        restrict_vocab
            The words that are looked at, from the first on. Analogies with others are left out.
        case_insensitive
            Whether words are compared in upper case; of several the first counts.

        Returns
        -------
        score, sections
            The share of all that are right; of each section its name and the analogies that are "correct" and
            "incorrect", the last being all.
        """
        upper = str.upper if case_insensitive else str
        numbers: dict[str, int] = {}
        for i, word in enumerate(self.index_to_key[:restrict_vocab]):
            numbers.setdefault(upper(word), i)
        places = np.array(sorted(numbers.values()), np.int64)
        rank = {int(place): i for i, place in enumerate(places)}
        units = self._units()[places] if len(places) else self._units()[:0]
        sections: list[dict[str, Any]] = []
        for line in lines_of(analogies):
            if line.startswith(": "):
                sections.append({"section": line[2:].strip(), "correct": [], "incorrect": [], "asked": []})
                continue
            words = upper(line).split()
            if len(words) != 4 or not sections:
                raise DataError(f"{analogies}: expected ': section' and lines of four words, got {line!r}")
            if all(word in numbers for word in words):
                sections[-1]["asked"].append(tuple(words))
        for section in sections:
            asked = section.pop("asked")
            if not asked:
                continue
            ids = np.array([[rank[numbers[word]] for word in words] for words in asked])
            for start in range(0, len(ids), 256):
                part = ids[start : start + 256]
                queries = units[part[:, 1]] - units[part[:, 0]] + units[part[:, 2]]
                scores = products(units, queries).copy()
                np.put_along_axis(scores, part[:, :3], -np.inf, axis=1)
                right = scores.argmax(axis=1) == part[:, 3]
                for words, is_right in zip(asked[start : start + 256], right, strict=True):
                    section["correct" if is_right else "incorrect"].append(words)
        total = {
            "section": "Total accuracy",
            "correct": [words for section in sections for words in section["correct"]],
            "incorrect": [words for section in sections for words in section["incorrect"]],
        }
        count = len(total["correct"]) + len(total["incorrect"])
        return (len(total["correct"]) / count if count else 0.0), [*sections, total]

    def evaluate_word_pairs(
        self,
        pairs: str | PathLike[str],
        delimiter: str = "\t",
        encoding: str = "utf8",
        restrict_vocab: int = 300000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
        *,
        column: int = 2,
    ) -> tuple[tuple[float, float], tuple[float, float], float]:
        """How similarities agree with those that people gave to pairs of words.

        Parameters
        ----------
        pairs
            A file with lines "word, word, number"; lines without a number and those that begin with # are
            left out.
        delimiter
            Between them.
        encoding
            Of the file.
        restrict_vocab
            The words that are looked at, from the first on.
        case_insensitive
            Whether words are compared in upper case; of several the first counts.
        dummy4unknown
            Whether a pair with a word that is not there has the similarity 0; else it is left out.
        column
            Where the number is.

        Returns
        -------
        pearson, spearman, unknown
            Correlations of numbers and of ranks, each with its two-tailed p-value (those of SciPy), and the
            percentage of pairs with a word that is not there.

        Raises
        ------
        DataError
            Fewer than two pairs are known.
        """
        stats = _extras.need("scipy.stats", "evaluate_word_pairs", "text")
        upper = str.upper if case_insensitive else str
        numbers: dict[str, int] = {}
        for i, word in enumerate(self.index_to_key[:restrict_vocab]):
            numbers.setdefault(upper(word), i)
        given, found, unknown = [], [], 0
        units = self._units()
        if delimiter == "" or not isinstance(delimiter, str | None):
            raise ArgumentError(f"evaluate_word_pairs: delimiter must be a str, got {delimiter!r}")
        column = whole_number("evaluate_word_pairs", "column", column, -(2**31))
        for line in lines_of(pairs, encoding):
            parts = line.split(delimiter)
            try:
                a, b, value = parts[0], parts[1], float(parts[column])
            except (IndexError, ValueError):
                continue
            if line.startswith("#") or not np.isfinite(value):
                continue
            first, second = numbers.get(upper(a)), numbers.get(upper(b))
            if first is None or second is None:
                unknown += 1
                if not dummy4unknown:
                    continue
            given.append(value)
            known = first is not None and second is not None
            found.append(float(np.dot(units[first], units[second])) if known else 0.0)
        if len(given) < 2:
            raise DataError(f"{pairs}: fewer than two pairs are known")
        pearson, spearman = stats.pearsonr(given, found), stats.spearmanr(given, found)
        return (
            (float(pearson[0]), float(pearson[1])),
            (float(spearman[0]), float(spearman[1])),
            100.0 * unknown / (len(given) + (0 if dummy4unknown else unknown)),
        )
