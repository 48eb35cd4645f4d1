"""Paths that lead to no file: refused by the library's own errors, saying what is there."""

from pathlib import Path

import pytest

from einkorn import checkpoint, nn
from einkorn.errors import ArgumentError, CheckpointError


def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(CheckpointError, match="is a folder, expected a file"):
        checkpoint.load_weights(model, tmp_path)
    with pytest.raises(CheckpointError, match="is a device or a pipe, expected a file"):
        checkpoint.load("/dev/null")
    with pytest.raises(CheckpointError, match="there is no such file"):
        checkpoint.read_metadata(tmp_path / "no")
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        checkpoint.load_weights(model, "a" * 300)


def test_null_characters() -> None:
    model = nn.Linear(2, 1)
    for call in (
        lambda: checkpoint.save_weights(model, "a\0b"),
        lambda: checkpoint.load_weights(model, "a\0b"),
        lambda: checkpoint.save({}, "a\0b"),
        lambda: checkpoint.load("a\0b"),
        lambda: checkpoint.read_metadata("a\0b"),
    ):
        with pytest.raises(ArgumentError, match=r"path is .a.x00b., and no path holds a null character"):
            call()
