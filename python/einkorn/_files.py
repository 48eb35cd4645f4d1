"""Files other than checkpoints, written as these are: whole or not at all. Their path is in every error."""

from __future__ import annotations

import io
import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

from einkorn.checkpoint import check_path, write_whole
from einkorn.errors import ArgumentError, CheckpointError

__all__ = ["check_folder", "read_object", "save_figure", "write_text"]


def check_folder(op: str, path: Any) -> None:
    """Refuse what names no folder, the empty text too, which would mean the present one."""
    check_path(op, path, "save_directory")
    if not os.fspath(path):
        raise ArgumentError(f"{op}: save_directory is {path!r}, expected the path of a folder")


def read_object(path: str | PathLike[str]) -> dict[str, Any]:
    """The object of a JSON file.

    Raises
    ------
    CheckpointError
        There is no such file, or it is no JSON object.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is no readable JSON: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: holds a {type(found).__name__}, expected an object")
    return found


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write a text in UTF-8.

    Raises
    ------
    CheckpointError
        The file cannot be written; what was there before is there still.
    """
    write_whole(path, [text.encode("utf-8")])


def save_figure(figure: Any, path: str | PathLike[str], **options: Any) -> None:
    """Write a figure of matplotlib, in the format that the name ends with (png without one).

    Raises
    ------
    CheckpointError
        As :func:`write_text`.
    """
    target = Path(path)
    kind = target.suffix[1:]
    if not kind:
        kind, target = "png", target.with_name(f"{target.name}.png")
    picture = io.BytesIO()
    figure.savefig(picture, format=kind, **options)
    write_whole(target, [picture.getvalue()])
