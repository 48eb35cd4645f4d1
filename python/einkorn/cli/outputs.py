"""Where commands write: found to be possible before the work, and never over what is there unasked."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from einkorn._interrupts import again, importing
from einkorn.errors import ArgumentError, DataError

__all__ = ["RunFolder", "new_file", "picture_file", "stoppable", "stopped", "uninterrupted"]


class RunFolder:
    """The folder of one run; use it as a context.

    Parameters
    ----------
    given : str or None
        ``--out``. None: ``default``, or the first of ``default-2``, ``default-3``, ... that is not there.
    default : str
    files : sequence of str
        Glob patterns of all files that a run may write.
    overwrite : bool
        Whether an earlier run's files may be replaced.
    resume : str or None
        ``--resume``: the folder of the run that goes on.

    Raises
    ------
    ArgumentError
        The folder holds an earlier run's files, and they may not be replaced.
    DataError
        Nothing can be written there.
    """

    def __init__(
        self,
        given: str | None,
        default: str,
        files: Sequence[str],
        overwrite: bool,
        resume: str | None = None,
    ) -> None:
        self.files = files
        self.overwrite = overwrite
        self._made: list[Path] = []
        if resume is not None:
            self.path = Path(resume)
            if given is not None and Path(given).resolve() != self.path.resolve():
                raise ArgumentError(
                    f"--out is {given} and --resume {resume}: a run goes on in its own folder"
                )
            if not self.path.is_dir():
                raise DataError(f"--resume: {resume} is no folder")
        elif given is None and not overwrite:
            self.path = self._fresh(default)
        else:
            self.path = Path(default if given is None else given)
            self._make(self.path)
            there = [] if overwrite else self._old()
            if there:
                raise ArgumentError(
                    f"--out: {self.path} holds {there[0].name} of an earlier run: give another folder, or "
                    "--overwrite to replace it"
                )
        try:
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            self._unmake()
            raise DataError(
                f"{self.path}: nothing can be written there: {error.strerror or error}"
            ) from error

    def _fresh(self, default: str) -> Path:
        for number in count(1):
            path = Path(default if number == 1 else f"{default}-{number}")
            if not path.exists():
                try:
                    self._make(path, fresh=True)
                    return path
                except FileExistsError:  # another run was faster
                    self._unmake()
        raise AssertionError

    def _make(self, path: Path, fresh: bool = False) -> None:
        """Make a folder and those above it, and remember which."""
        missing = [each for each in (path, *path.parents) if not each.exists()]
        try:
            for each in reversed(missing):
                each.mkdir(exist_ok=not (fresh and each == path))
                self._made.append(each)
            if not path.is_dir():
                raise NotADirectoryError(20, "it is no folder")
        except FileExistsError:
            raise
        except OSError as error:
            self._unmake()
            raise DataError(f"{path}: no such folder can be made: {error.strerror or error}") from error

    def _unmake(self) -> None:
        """Remove the folders made for this run that are still empty."""
        while self._made:
            try:
                self._made.pop().rmdir()
            except OSError:
                return

    def _old(self) -> list[Path]:
        return sorted(path for pattern in self.files for path in self.path.glob(pattern))

    def finish(self, written: Iterable[str]) -> None:
        """All is written: with ``--overwrite``, what an earlier run left under other names goes."""
        if self.overwrite:
            for path in self._old():
                if path.name not in written:
                    path.unlink(missing_ok=True)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._unmake()


def new_file(path: str, option: str, overwrite: bool) -> Path:
    """A file that a command will write at its end.

    Raises
    ------
    ArgumentError
        It is there already, and may not be replaced.
    DataError
        It could not be written.
    """
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{option}: {path} is a folder, expected a file")
    if file.exists() and not file.is_file():  # a device or a pipe
        return file
    if not file.parent.is_dir():
        raise DataError(f"{option}: {path}: there is no folder {file.parent} (No such file or directory)")
    if file.exists() and not overwrite:
        raise ArgumentError(
            f"{option}: {path} is there already: give another name, or --overwrite to replace it"
        )
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
        if file.exists() and not os.access(file, os.W_OK):
            raise PermissionError(13, "it is read-only")
    except OSError as error:
        raise DataError(f"{option}: {path} cannot be written: {error.strerror or error}") from error
    return file


def picture_file(path: str, overwrite: bool, formats: Iterable[str]) -> Path:
    """:func:`new_file` for ``--out`` whose ending is one of the formats, such as "png".

    Raises
    ------
    ArgumentError
        It has another ending, or is there already and may not be replaced.
    DataError
        It could not be written.
    """
    ending = Path(path).suffix[1:].lower()
    if ending not in formats:
        known = ", ".join(sorted(formats))
        raise ArgumentError(f"--out: {path} has the ending {ending!r}, expected one of {known}")
    return new_file(path, "--out", overwrite)


#: What ends a process politely: Ctrl-C, a scheduler or shutdown, a terminal or connection that closed.
_ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A signal that is to end the process has come: work stops as with Ctrl-C, and keeps what that keeps."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.status = 128 + number


#: The exit status of a process that a signal ended, once one has come.
stopped: list[int] = []


def _stop(number: int, frame: FrameType | None) -> None:
    if importing(frame):
        again(number)
        return
    stopped.append(128 + number)
    if number == getattr(signal, "SIGHUP", None):  # nobody is there to read, and writing would fail
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                if os.isatty(stream.fileno()):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise Stopped(number)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise :class:`Stopped` within, unless whoever started the process ignores them."""
    with _handled(_stop, [n for n in _ENDINGS[1:] if signal.getsignal(n) == signal.SIG_DFL]):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No such signal does anything within: what one interruption keeps, a second one shall not spoil."""
    with _handled(signal.SIG_IGN, _ENDINGS):
        yield


@contextmanager
def _handled(handler: Any, numbers: list[int]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)
