"""Where data files are looked for."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from einkorn.errors import DataError

__all__ = ["find_folder", "read_bytes"]

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


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
        hint = "" if root else f"; set EINKORN_DATA to the folder that holds {name}/, or pass the folder"
    for place in places:
        if all(any(place.glob(pattern)) for pattern in patterns):
            return place
    looked = ", ".join(str(place) for place in places) or "no folder"
    raise DataError(f"{name}: found no {wanted}; looked in {looked}{hint}")


def read_bytes(path: str | PathLike[str]) -> bytes:
    """The content of a file, unpacked if its name ends in .gz or .xz.

    Raises
    ------
    DataError
        The file is missing or its compression is corrupt.
    """
    path = Path(path)
    opener = _OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
