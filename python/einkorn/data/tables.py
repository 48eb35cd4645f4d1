"""Tables from text files: columns of numbers and of words, with missing values."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import itertools
import lzma
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike, fspath

import numpy as np

from einkorn.data.folders import open_unpacked
from einkorn.errors import ArgumentError, DataError, MissingFileError

__all__ = ["MISSING", "Table", "read_csv"]

#: What stands for a missing value, in any case of letters and with spaces around it.
MISSING = frozenset(("", "?", "na", "n/a", "nan", "null", "none"))
_DELIMITERS = ",\t;|"
_BLOCK = 16384  # rows that are turned into columns at a time


@dataclass
class Table:
    """Columns of equal length.

    Attributes
    ----------
    path : str
        The file, for messages.
    names : list of str
    columns : list of ndarray
        float64, missing values NaN, where every value is a number; else str, missing values "".
    lines : int64 [rows]
        The line of the file that each row ends on, counted from 1.
    """

    path: str
    names: list[str]
    columns: list[np.ndarray]
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> np.ndarray:
        """The column of that name.

        Raises
        ------
        DataError
            There is none; the message names the one that may have been meant.
        """
        if name not in self.names:
            meant = _meant(name, self.names)
            raise DataError(
                f"{self.path} has no column {name!r}, it has {_shortened(self.names)}"
                + (f"; did you mean {meant!r}?" if meant else "")
            )
        return self.columns[self.names.index(name)]

    def numbers(self, name: str) -> np.ndarray:
        """The column as float64, missing values NaN.

        Raises
        ------
        DataError
            There is no such column, or a value in it is not a number; the line is named.
        """
        column = self.column(name)
        if column.dtype.kind == "f":
            return column
        for line, word in zip(self.lines, column, strict=True):
            if word and not is_number(word):
                raise DataError(f"{self.path} line {line}, column {name!r}: {str(word)!r} is not a number")
        return np.where(column == "", "nan", column).astype(np.float64)

    def words(self, name: str) -> np.ndarray:
        """The column as str, missing values "". Whole numbers are written without a point.

        Raises
        ------
        DataError
            There is no such column.
        """
        column = self.column(name)
        if column.dtype.kind == "U":
            return column
        values, places = np.unique(column, return_inverse=True)
        words = ["" if np.isnan(v) else str(int(v)) if v == np.rint(v) else repr(float(v)) for v in values]
        return np.array(words, np.str_)[places]


def read_csv(path: str | PathLike[str], *, header: bool = True, delimiter: str | None = None) -> Table:
    """Read a table.

    Parameters
    ----------
    path : str or path
        A text file in UTF-8, packed (gzip, xz, bzip2) or not, whatever its name says. Fields may be quoted,
        spaces around values are dropped, empty lines are passed over. :data:`MISSING` lists what stands
        for a missing value.
    header : bool, default True
        The first line holds the columns' names. Without one they are called ``c1``, ``c2``, ...
    delimiter : str, optional
        One character. When not given, of comma, tab, semicolon and bar the one that the first line has
        most of.

    Returns
    -------
    Table

    Raises
    ------
    ArgumentError
        The delimiter is not one character.
    DataError
        The file cannot be opened (:class:`~einkorn.errors.MissingFileError` where there is none), is
        truncated, is not text, is empty, has two columns of one name, or a line with too many or too few
        fields; the line is named.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise ArgumentError(f"read_csv: delimiter is {delimiter!r}, expected one character")
    path = fspath(path)
    try:
        with _open(path) as file:
            return _read(file, path, header, delimiter)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: there is no such file") from error
    except EOFError as error:
        raise DataError(f"{path} is truncated: its packed data end too early") from error
    except csv.Error as error:
        unclosed = str(error) == "unexpected end of data"
        what = "a quotation mark that is never closed" if unclosed else error
        raise DataError(f"{path} is not a table: {what}") from error
    except (UnicodeDecodeError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} is not a table in UTF-8: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _open(path: str) -> io.TextIOBase:
    return io.TextIOWrapper(open_unpacked(path), "utf-8-sig", newline="")


def _read(
    file: io.TextIOBase, path: str, header: bool, delimiter: str | None, text: frozenset[int] = frozenset()
) -> Table:
    """Read all rows; the columns numbered in ``text`` hold words."""
    first = file.readline()
    file.seek(0)
    if delimiter is None:
        delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows = ((reader.line_num, row) for row in reader if row)
    start = next(rows, None)
    if start is None:
        raise DataError(f"{path} is empty")
    if header:
        names = [name.strip() for name in start[1]]
    else:
        names = [f"c{i + 1}" for i in range(len(start[1]))]
        rows = itertools.chain([start], rows)  # type: ignore[assignment]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise DataError(f"{path} has two columns {name!r}")
    if not text:
        place = reader.line_num
        table = _all_numbers(file, path, names, delimiter, skip=place if header else 0)
        if table is not None:
            return table
        file.seek(0)
        list(itertools.islice(file, place))
    columns: list[list[np.ndarray]] = [[] for _ in names]
    lines: list[int] = []
    while block := list(itertools.islice(rows, _BLOCK)):
        for line, row in block:
            if len(row) != len(names):
                raise DataError(f"{path} line {line} has {len(row)} fields, expected {len(names)}")
            lines.append(line)
        for i, cells in enumerate(zip(*(row for _, row in block), strict=True)):
            columns[i].append(_words(cells) if i in text else _parse(cells))
    if not lines:
        raise DataError(f"{path} has no rows")
    mixed = frozenset(i for i, pieces in enumerate(columns) if len({p.dtype.kind for p in pieces}) > 1)
    if mixed:  # numbers at first and words further down: those numbers are wanted as they were written
        file.seek(0)
        return _read(file, path, header, delimiter, text | mixed)
    return Table(path, names, [np.concatenate(pieces) for pieces in columns], np.array(lines, np.int64))


def _all_numbers(file: io.TextIOBase, path: str, names: list[str], delimiter: str, skip: int) -> Table | None:
    """The table by NumPy's reader, eight times as fast, if every field holds a number; else None."""
    file.seek(0)
    lines: list[int] = []

    def rows() -> Iterator[str]:
        for number, line in enumerate(file, 1):
            if number > skip and line.strip():
                lines.append(number)
                yield line

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no rows is told elsewhere
            values = np.loadtxt(rows(), delimiter=delimiter, comments=None, quotechar='"', ndmin=2)
    except ValueError:
        return None
    if values.shape != (len(lines), len(names)):
        return None
    return Table(path, names, list(np.ascontiguousarray(values.T)), np.array(lines, np.int64))


def _parse(cells: Sequence[str]) -> np.ndarray:
    """A piece of a column: float64, or str where a cell is not a number."""
    text = "".join(cells)
    plain = "_" not in text and text.isascii()
    try:
        if plain:
            return np.fromiter(map(float, cells), np.float64, len(cells))  # reads "nan", too
    except ValueError:
        pass
    words = _words(cells)
    if not plain and not all(not word or is_number(word) for word in words):
        return words
    try:
        return np.array([float(word or "nan") for word in words], np.float64)
    except ValueError:
        return words


def _words(cells: Sequence[str]) -> np.ndarray:
    words = [cell.strip() for cell in cells]
    return np.array(["" if word.lower() in MISSING else word for word in words], np.str_)


def is_number(word: str) -> bool:
    """Whether a field holds a number: what ``float`` reads, without underscores or foreign digits."""
    if "_" in word or not word.strip().isascii():
        return False
    try:
        float(word)
    except ValueError:
        return False
    return True


def _meant(name: str, names: list[str]) -> str | None:
    """The name most like the one that is not there, if one is: in another case, or mistyped."""
    folded = {each.strip().casefold(): each for each in reversed(names)}
    near = difflib.get_close_matches(name.strip().casefold(), folded, n=1)
    return folded[near[0]] if near else None


def _shortened(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
