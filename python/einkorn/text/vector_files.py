"""Files of word vectors, read: word2vec's text and binary form, GloVe's and fastText's texts, safetensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike

import numpy as np

from einkorn.errors import ArgumentError, DataError, MissingFileError
from einkorn.text._arguments import path_of, whole_number

__all__ = ["lines_of", "read_counts", "read_tensors", "read_word2vec", "unmapped"]

Encoding = tuple[str, str]  # its name, and what becomes of bytes that are none

_MOST = 1 << 31  # words, and numbers of a vector, that a file may announce


def lines_of(path: str | PathLike[str], encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a text that are not blank."""
    try:
        with path_of("read", path).open(encoding=encoding) as file:
            for line in file:
                if line.strip():
                    yield line.rstrip("\n")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: no {encoding.upper()}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (LookupError, TypeError):
        raise ArgumentError(f"there is no encoding {encoding!r}") from None


def read_word2vec(
    fname: str | PathLike[str], binary: bool, limit: int | None, no_header: bool, encoding: Encoding
) -> tuple[list[str], np.ndarray]:
    """The words and vectors of a file, as :meth:`KeyedVectors.load_word2vec_format` takes and refuses it."""
    path = path_of("load_word2vec_format", fname)
    if limit is not None:
        limit = whole_number("load_word2vec_format", "limit", limit, 0)
    try:
        "".encode(encoding[0])
    except (LookupError, TypeError):
        raise ArgumentError(f"load_word2vec_format: there is no encoding {encoding[0]!r}") from None
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    try:
        return (_binary if binary else _text)(content, limit, no_header, encoding)
    except _DamagedError as error:
        raise DataError(f"{path}: {error}") from None


class _DamagedError(Exception):
    """What is wrong with a file; its name is put before it."""


def _header(line: bytes) -> tuple[int, int]:
    parts = line.split()
    try:
        count, width = (int(part) for part in parts)
    except ValueError:
        raise _DamagedError(f"the first line must have two numbers, got {line[:40]!r}") from None
    if not (0 <= count < _MOST and 0 < width < _MOST):
        raise _DamagedError(f"the first line announces {count} words of {width} numbers")
    return count, width


def _decoded(word: bytes, encoding: Encoding, number: int) -> str:
    try:
        return word.decode(*encoding)
    except UnicodeDecodeError:
        raise _DamagedError(f"word {number} is no {encoding[0]}: {word[:40]!r}") from None


def read_counts(path: str | PathLike[str], encoding: str, words: list[str]) -> list[int]:
    """How often these words occur, of a file with a word and a number on each line."""
    counts: dict[str, int] = {}
    for line in lines_of(path, encoding):
        word, _, count = line.rstrip().rpartition(" ")
        try:
            counts[word] = int(count)
        except ValueError:
            raise DataError(f"{path}: expected lines of a word and a number, got {line[:60]!r}") from None
        if not 0 <= counts[word] < 2**63:
            raise DataError(f"{path}: {word!r} cannot occur {count} times")
    if missing := next((word for word in words if word not in counts), None):
        raise DataError(f"{path}: the word {missing!r} is not there")
    return [counts[word] for word in words]


def _distinct(words: list[str]) -> list[int]:
    """The places of words that did not occur before: of several with one name the first counts."""
    seen: Mapping[str, int] = dict(zip(reversed(words), range(len(words) - 1, -1, -1), strict=True))
    return sorted(seen.values())


def _text(
    content: bytes, limit: int | None, no_header: bool, encoding: Encoding
) -> tuple[list[str], np.ndarray]:
    lines = content.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    count: int | None = None
    width: int | None = None
    if not no_header:
        if not lines:
            raise _DamagedError("the file is empty")
        count, width = _header(lines[0])
        lines = lines[1:]
        if len(lines) < count:
            raise _DamagedError(f"{count} words are announced, {len(lines)} are there")
        lines = lines[:count]
    lines = lines[:limit]
    words: list[str] = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines):
        parts = line.rstrip(b" \r").split(b" ")
        if width is None:
            width = len(parts) - 1
        # A word may have spaces of its own in GloVe's files: the numbers are the last ones.
        if width < 1 or len(parts) <= width:
            raise _DamagedError(f"word {number} has {len(parts) - 1} numbers, expected {width}")
        try:
            rows.append([float(part) for part in parts[-width:]])
        except ValueError:
            raise _DamagedError(f"word {number}: no numbers: {line[:60]!r}") from None
        words.append(_decoded(b" ".join(parts[:-width]), encoding, number))
    kept = _distinct(words)
    table = np.array(rows, np.float32).reshape(len(rows), width or 0)
    return [words[i] for i in kept], table[kept]


def _binary(
    content: bytes, limit: int | None, no_header: bool, encoding: Encoding
) -> tuple[list[str], np.ndarray]:
    if no_header:
        raise ArgumentError("load_word2vec_format: a binary file has a header")
    end = content.find(b"\n", 0, 100)
    if end < 0:
        raise _DamagedError("the first line must have two numbers")
    count, width = _header(content[:end])
    if limit is not None:
        count = min(count, limit)
    at = end + 1
    if (len(content) - at) < count * (4 * width + 1):
        raise _DamagedError(f"{count} words of {width} numbers are announced, the file ends before")
    table = np.empty((count, width), np.float32)
    words = []
    for number in range(count):
        while at < len(content) and content[at] == 10:
            at += 1
        space = content.find(b" ", at, at + 100_000)
        if space < 0 or len(content) - space - 1 < 4 * width:
            raise _DamagedError(f"the file ends in word {number}")
        words.append(_decoded(content[at:space], encoding, number))
        table[number] = np.frombuffer(content, "<f4", width, space + 1)
        at = space + 1 + 4 * width
    kept = _distinct(words)
    return [words[i] for i in kept], table[kept]


def unmapped(name: str, mmap: object) -> None:
    """Refuse to map a file into memory: what is read is checked as a whole."""
    if mmap is not None:
        raise ArgumentError(f"{name}.load: mmap must be None, got {mmap!r}: files are read into memory")


def read_tensors(path: str | PathLike[str], kind: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file, and what it says beside them, if it is of this kind."""
    from safetensors import SafetensorError, safe_open

    if not path_of("load", path).is_file():
        raise MissingFileError(f"{path}: there is no such file")
    try:
        with safe_open(str(path), "np") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}") from None
    if about.get("format") != kind:
        raise DataError(f"{path}: no file of {kind}")
    return tensors, about
