"""What a model of a table's columns has to remember: their names, their categories, the target's classes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from einkorn._files import write_text
from einkorn.data import Table
from einkorn.data.tables import is_number
from einkorn.errors import DataError

__all__ = ["Feature", "Schema"]

_MOST_CATEGORIES = 254  # the most frequent ones; with those beyond a column has 255 bins
_MOST_STRAY = 0.1  # the share of words up to which a column is one of numbers, with a mistake or two
_MOST_CLASSES = 20  # different whole numbers in a target that are taken for classes


@dataclass
class Feature:
    """A column: numbers, or words whose code is their place in ``categories``."""

    name: str
    categories: list[str] | None = None


@dataclass
class Schema:
    """The columns of a table and what becomes of them.

    Attributes
    ----------
    target : str
    task : {"classification", "regression"}
    classes : list of str
        Of the target, in the order of their codes; empty for regression.
    features : list of Feature
    header : bool
    delimiter : str or None
        How the file is read.
    """

    target: str
    task: str
    classes: list[str]
    features: list[Feature]
    header: bool = True
    delimiter: str | None = None

    @classmethod
    def of(cls, table: Table, target: str, task: str = "auto", ignore: tuple[str, ...] = ()) -> Schema:
        """Look at the training table.

        Words are categories, the most frequent 254 of them if there are more. A target of words, or of at
        most 20 different whole numbers, has classes.

        Raises
        ------
        DataError
            There is no such column, no feature is left, the target has one value only, or a column holds
            numbers but for a few words.
        """
        goal = table.column(target)
        for name in ignore:
            table.column(name)
        if task == "auto":
            if goal.dtype.kind == "U":
                _refuse_stray_words(table, target)
            task = "classification" if _has_classes(goal) else "regression"
        classes: list[str] = []
        if task == "classification":
            classes = [word for word in _classes(table, target) if word]
            if len(classes) < 2:
                raise DataError(f"{table.path}: target {target!r} has the one value {classes}, expected more")
        used = [name for name in table.names if name != target and name not in ignore]
        if not used:
            raise DataError(f"{table.path}: no column is left beside the target {target!r}")
        return cls(target, task, classes, [_feature(table, name) for name in used])

    @property
    def categorical(self) -> list[int]:
        """Numbers of the features that hold categories."""
        return [i for i, feature in enumerate(self.features) if feature.categories is not None]

    @property
    def feature_names(self) -> list[str]:
        return [feature.name for feature in self.features]

    def matrix(self, table: Table) -> np.ndarray:
        """The features as float64 [rows, features]; missing values and unknown words are NaN.

        Raises
        ------
        DataError
            A column is absent, or holds a word or an infinity where numbers are expected; the line is named.
        """
        out = np.empty((len(table), len(self.features)))
        for i, feature in enumerate(self.features):
            if feature.categories is None:
                out[:, i] = _finite(table, feature.name)
            else:
                out[:, i] = _codes(table.words(feature.name), feature.categories)
        return out

    def goal(self, table: Table) -> np.ndarray:
        """The target: codes of classes (int64), or numbers (float64).

        Raises
        ------
        DataError
            A value is missing, unknown or no number; the line is named.
        """
        if self.task == "regression":
            values = _finite(table, self.target)
            _refuse(table, np.isnan(values), f"target {self.target!r} is missing")
            return values
        words = table.words(self.target)
        _refuse(table, words == "", f"target {self.target!r} is missing")
        codes = _codes(words, self.classes)
        unknown = np.isnan(codes)
        if unknown.any():
            word = str(words[int(np.argmax(unknown))])
            _refuse(table, unknown, f"target {self.target!r} is {word!r}, which the model does not know")
        return codes.astype(np.int64)

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Schema:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            The file is something else.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            features = [Feature(**each) for each in data.pop("features")]
            schema = cls(features=features, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} does not describe columns: {error}") from error
        words = [schema.classes, *(feature.categories or [] for feature in features)]
        names = [schema.target, *schema.feature_names]
        if not all(isinstance(each, str) for each in (*names, *(word for some in words for word in some))):
            raise DataError(f"{path} does not describe columns: a name is not a text")
        return schema


def _has_classes(column: np.ndarray) -> bool:
    if column.dtype.kind == "U":
        return True
    values = np.unique(column[~np.isnan(column)])
    return len(values) <= _MOST_CLASSES and bool((values == np.rint(values)).all())


def _classes(table: Table, name: str) -> list[str]:
    """Distinct values as words: numbers in their order, words in theirs."""
    column = table.column(name)
    if column.dtype.kind == "U":
        return [str(word) for word in np.unique(column)]
    words = table.words(name)
    order = np.unique(column, return_index=True)[1]
    return [str(words[i]) for i in order]


def _refuse_stray_words(table: Table, name: str) -> None:
    """Refuse a column of many different numbers with a few words: it was meant to be numbers.

    Numbers that are names of something (floors 1 to 9 and B) are few, or stand beside as many words.
    """
    words, counts = np.unique(table.words(name), return_counts=True)
    known = words != ""
    words, counts = words[known], counts[known]
    numeric = np.array([is_number(word) for word in words], bool)
    if numeric.sum() <= _MOST_CLASSES or counts[~numeric].sum() > _MOST_STRAY * counts.sum():
        return
    word = str(words[~numeric][0])
    line = table.lines[int(np.argmax(table.words(name) == word))]
    raise DataError(
        f"{table.path} line {line}, column {name!r}: {word!r} is not a number, as"
        f" {counts[numeric].sum()} of the {counts.sum()} values are; leave the field empty if it is missing,"
        " or leave the column out with --ignore"
    )


def _feature(table: Table, name: str) -> Feature:
    column = table.column(name)
    if column.dtype.kind == "f":
        return Feature(name)
    _refuse_stray_words(table, name)
    words, counts = np.unique(column[column != ""], return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES])
    return Feature(name, [str(word) for word in words[kept]])


def _codes(words: np.ndarray, known: list[str]) -> np.ndarray:
    """The place of each word among the known ones, NaN for others."""
    distinct, places = np.unique(words, return_inverse=True)
    code = {word: float(i) for i, word in enumerate(known)}
    return np.array([code.get(str(word), np.nan) for word in distinct])[places]


def _finite(table: Table, name: str) -> np.ndarray:
    values = table.numbers(name)
    _refuse(table, np.isinf(values), f"column {name!r} is infinite")
    return values


def _refuse(table: Table, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        raise DataError(f"{table.path} line {table.lines[int(np.argmax(wrong))]}: {what}")
