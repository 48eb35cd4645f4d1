"""Tables from text files: types of columns, missing values, and errors that name the place."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from einkorn.data import Table, read_csv, tables
from einkorn.errors import ArgumentError, DataError


def read(folder: Path, text: str | bytes, **options: Any) -> Table:
    file = folder / "t.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(file, **options)


def test_numbers(tmp_path: Path) -> None:
    table = read(tmp_path, "a,b\n1,2.5\n\n-3e2,nan\n")
    assert table.names == ["a", "b"]
    np.testing.assert_array_equal(table.column("a"), [1, -300])
    np.testing.assert_array_equal(table.numbers("b"), [2.5, np.nan])
    np.testing.assert_array_equal(table.lines, [2, 4])  # the empty line is counted, not kept
    assert len(table) == 2


def test_words_and_missing_values(tmp_path: Path) -> None:
    table = read(tmp_path, "age, job \n17, clerk\n?, NA\n , smith\n5,null\n")
    assert table.names == ["age", "job"]
    np.testing.assert_array_equal(table.column("age"), [17, np.nan, np.nan, 5])
    assert table.column("job").tolist() == ["clerk", "", "smith", ""]
    assert table.words("age").tolist() == ["17", "", "", "5"]


def test_quotes_delimiters_and_byte_order_marks(tmp_path: Path) -> None:
    table = read(tmp_path, '\ufeffname;"size;cm"\n"Ann; Bo";3\n"two\nlines";4\n')
    assert table.names == ["name", "size;cm"]
    assert table.column("name").tolist() == ["Ann; Bo", "two\nlines"]
    assert table.lines.tolist() == [2, 4]
    assert read(tmp_path, "a\tb\n1\t2\n").names == ["a", "b"]
    assert read(tmp_path, "a,b c\n1 2\n", delimiter=" ").names == ["a,b", "c"]


def test_without_a_header(tmp_path: Path) -> None:
    table = read(tmp_path, "1,x\n2,y\n", header=False)
    assert table.names == ["c1", "c2"]
    assert table.column("c2").tolist() == ["x", "y"]
    assert read(tmp_path, "1,2\n3,4\n", header=False).column("c1").tolist() == [1, 3]


def test_compressed(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    file.write_bytes(gzip.compress(b"a\n1\n2\n"))
    assert read_csv(file).column("a").tolist() == [1, 2]


def test_words_below_many_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers above them stay as they were written."""
    monkeypatch.setattr(tables, "_BLOCK", 2)
    table = read(tmp_path, "a,b\n1.50,0\n2.0,1\n?,2\nx,3\n")
    assert table.column("a").tolist() == ["1.50", "2.0", "", "x"]
    assert table.column("b").tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"t\.csv line 5, column 'a': 'x' is not a number$"):
        table.numbers("a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "has no rows"),
        ("a,b,a\n1,2,3\n", "has two columns 'a'"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields, expected 2"),
        ("a,b\n1,2\nx,4,5\n", "line 3 has 3 fields, expected 2"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2 has 3 fields, expected 2"),
        (b"a\n\xff\xfe\n", "is not a table in UTF-8"),
        ('a\n"open\n', "a quotation mark that is never closed"),
    ],
)
def test_files_that_are_no_tables(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("name", ["t.gz", "t.csv"])
def test_truncated_gzip(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(b"a\n" + b"1\n" * 999)[:-9])
    with pytest.raises(DataError, match=rf"{re.escape(name)} is truncated"):
        read_csv(file)


@pytest.mark.parametrize(("name", "packed"), [("t.gz", False), ("t.csv", True)])
def test_content_says_what_is_packed_and_not_the_name(name: str, packed: bool, tmp_path: Path) -> None:
    content = b"a\n1\n2\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    assert read_csv(tmp_path / name).column("a").tolist() == [1, 2]


def test_unknown_columns(tmp_path: Path) -> None:
    table = read(tmp_path, ",".join(f"f{i}" for i in range(20)) + "\n" + ",".join("1" * 20) + "\n")
    with pytest.raises(DataError, match=r"t\.csv has no column 'g', it has f0, f1, .*f11, \.\.\.$"):
        table.column("g")


def test_delimiters_are_single(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"^read_csv: delimiter is ', ', expected one character"):
        read(tmp_path, "a, b", delimiter=", ")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "none.csv")


def test_numbers_are_written_as_numbers_are(tmp_path: Path) -> None:
    """Python's float reads underscores and the digits of other scripts, too."""
    table = read(tmp_path, "a,b,c\n1_000,\u0663,1\n2,4,nan\n")
    assert [column.dtype.kind for column in table.columns] == ["U", "U", "f"]
    assert table.column("a").tolist() == ["1_000", "2"]


@pytest.mark.parametrize("word", ["", " ", "?", "NA", "n/a", "NaN", "NULL", "None"])
def test_missing_values(word: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"a,b\n{word},{word}\n1,x\n")
    assert np.isnan(table.column("a")[0])
    assert table.column("b").tolist() == ["", "x"]
