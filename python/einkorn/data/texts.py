"""Texts as they are published: lines, and pairs of lines for translation."""

from __future__ import annotations

import io
import zipfile
import zlib
from os import PathLike

from einkorn.data.folders import read_bytes
from einkorn.errors import ArgumentError, DataError

__all__ = ["read_lines", "read_pairs"]


def read_lines(path: str | PathLike[str]) -> list[str]:
    """The lines of a text in UTF-8, without their ends.

    Parameters
    ----------
    path : str or path
        Packed (gzip, xz, bzip2, or zip with one text in it) or not, whatever its name says.

    Raises
    ------
    DataError
        The file is missing, truncated, or no text in UTF-8; the line is named.
    """
    content = _unzipped(path, read_bytes(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line} is no text in UTF-8: {error.reason}") from error
    # only these end a line: a sentence may hold other separators that Unicode knows
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _unzipped(path: str | PathLike[str], content: bytes) -> bytes:
    """The one text of a zip archive; other files as they are."""
    if not content.startswith(b"PK\x03\x04"):
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            texts = [name for name in names if not name.rpartition("/")[2].startswith(("_", "."))]
            if len(texts) != 1:
                raise DataError(f"{path}: holds {', '.join(texts) or 'no file'}, expected one text")
            return archive.read(texts[0])
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from error


def read_pairs(
    path: str | PathLike[str], other: str | PathLike[str] | None = None, *, delimiter: str = "\t"
) -> list[tuple[str, str]]:
    """Pairs of sentences.

    Parameters
    ----------
    path : str or path
        Of lines with two sentences and a delimiter between them, as Tatoeba's pairs are published (what a
        second delimiter begins is left out); or, with ``other``, of the sentences of one language.
    other : str or path, optional
        Of those of the other language, line for line, as parallel texts are published.
    delimiter : str, keyword-only, default a tab

    Raises
    ------
    DataError
        A file is missing, truncated or no text; a line, which is named, has no delimiter; two files have
        different numbers of lines.
    """
    if not delimiter:
        raise ArgumentError("read_pairs: delimiter is empty, expected at least one character")
    first = read_lines(path)
    if other is not None:
        second = read_lines(other)
        if len(first) != len(second):
            raise DataError(f"{path} has {len(first)} lines and {other} {len(second)}, expected equally many")
        return list(zip(first, second, strict=True))
    pairs = []
    for number, line in enumerate(first, 1):
        if not line.strip():
            continue
        parts = line.split(delimiter)
        if len(parts) < 2:
            raise DataError(f"{path}: line {number} holds no {delimiter!r}, expected two sentences")
        pairs.append((parts[0], parts[1]))
    return pairs
