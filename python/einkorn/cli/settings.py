"""Options that commands share."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import einkorn

__all__ = ["add_outputs", "add_settings", "apply_settings", "go_on_command"]


def add_settings(command: Any) -> None:
    """Where and how it is computed."""
    command.add_argument("--engine", choices=("native", "numba"), help="default: native if built")
    command.add_argument("--threads", type=int, metavar="N", help="default: all cores")


def add_outputs(command: Any, resume: str) -> None:
    """What becomes of earlier runs; ``resume`` is the help of ``--resume``."""
    command.add_argument(
        "--overwrite", action="store_true", help="replace the files of an earlier run (default: never)"
    )
    command.add_argument("--resume", metavar="DIR", help=resume)


def apply_settings(arguments: Any) -> None:
    """Choose engine and threads; refuse a device that is not there before anything is made."""
    if arguments.engine is not None:
        einkorn.set_engine(arguments.engine)
    if arguments.threads is not None:
        einkorn.set_num_threads(arguments.threads)
    if getattr(arguments, "device", None) is not None:
        from einkorn.training.devices import require

        require(arguments.device)


def go_on_command(arguments: argparse.Namespace, folder: Path) -> str:
    """The command that was given, going on in ``folder`` instead of beginning."""
    kept = []
    words = iter(arguments.words)
    for word in words:
        if word in ("--out", "--resume"):
            next(words, None)
        elif word != "--overwrite" and not word.startswith(("--out=", "--resume=")):
            kept.append(word)
    return shlex.join(["einkorn", *kept, "--resume", str(folder)])
