"""Where data files are looked for."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from einkorn.errors import DataError, MissingFileError

__all__ = ["files_of", "find_folder", "open_unpacked", "read_bytes"]

# A file is what its first bytes say, whatever its name: browsers unpack files and keep the .gz, and
# programs pack them without one.
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\0": lzma.open,
    b"BZh": bz2.open,
}
_LONGEST = max(map(len, _OPENERS))


def find_folder(
    name: str, wanted: str, patterns: tuple[str, ...], folder: str | PathLike[str] | None
) -> Path:
    """The folder that holds files for each of the patterns.

    Parameters
    ----------
    name : str
        Of the data set: the folder is looked for as ``$EINKORN_DATA/name`` and ``$EINKORN_DATA``.
    wanted : str
        The files in words, for the message.
    patterns : tuple of str
        Glob patterns, each of which must match something.
    folder : str or path, optional
        Looked at instead.

    Raises
    ------
    DataError
        Saying where it looked and what it wanted.
    """
    if folder is not None:
        places = [Path(folder)]
        hint = ""
    else:
        root = os.environ.get("EINKORN_DATA")
        places = [Path(root) / name, Path(root)] if root else []
        hint = (
            ""
            if root
            else f"; set EINKORN_DATA to the folder that holds {name}/, or pass the folder (--data-dir)"
        )
    for place in places:
        if all(files_of(place, pattern) for pattern in patterns):
            return place
    looked = ", ".join(str(place) for place in places) or "no folder"
    raise DataError(f"{name}: found no {wanted}; looked in {looked}{hint}")


def files_of(place: Path, pattern: str) -> list[Path]:
    """The files of a folder that match, those with the shortest names, which are not packed, first."""
    found = (path for path in place.glob(pattern) if path.is_file())
    return sorted(found, key=lambda path: (len(path.name), path.name))


def open_unpacked(path: str | PathLike[str]) -> BinaryIO:
    """Open a file that may be packed with gzip, xz or bzip2, which its content tells and not its name.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as file:
        first = file.read(_LONGEST)
    for magic, opener in _OPENERS.items():
        if first.startswith(magic):
            return opener(path, "rb")
    return open(path, "rb")


def read_bytes(path: str | PathLike[str]) -> bytes:
    """The content of a file, unpacked if it is packed with gzip, xz or bzip2.

    Raises
    ------
    DataError
        The file is missing or its compression is corrupt.
    """
    try:
        with open_unpacked(path) as file:
            return file.read()
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: there is no such file") from error
    except EOFError as error:
        raise DataError(f"{path}: cannot be read: it is truncated, its packed data end too early") from error
    except (OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
