"""What is shown to whoever watches: bars on terminals and in notebooks, plain lines everywhere else.

A bar is redrawn by control characters. In a file or a pipe they are rubbish, so nothing is redrawn there:
what happened is told in whole lines. A bar may be cut to the terminal's width; a line that stays never is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import textwrap
import time
from typing import Any

__all__ = ["Bar", "in_notebook", "open_bar", "printable", "say", "watched"]

INTERVAL = 0.1  # seconds between two redrawings

# What is lost least when a stream has no such letters.
_PLAIN = str.maketrans({"─": "-", "≤": "<=", "…": "...", "±": "+-"})
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_ENDLESS = "{desc}: {n_fmt} {unit} [{elapsed}{postfix}]"


def printable(text: str, stream: Any = None) -> str:
    """``text`` in the letters that a stream (default: standard output) can take; others become escapes."""
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        pass
    return text


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and "IPKernelApp" in running.config


def watched() -> bool:
    """Whether somebody sees what is redrawn: standard error is a terminal, or this is a notebook."""
    if in_notebook():
        return True
    try:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # no such stream, or a closed one
        return False


def open_bar(total: int | None, what: str, unit: str, initial: int = 0) -> Any:
    """A tqdm bar where somebody watches, else None. Nothing is left of it when it is closed."""
    if not watched():
        return None
    options: dict[str, Any] = {"total": total, "initial": initial, "desc": what, "unit": unit}
    options |= {"mininterval": 0, "leave": False}
    if in_notebook():
        if importlib.util.find_spec("ipywidgets") is not None:
            from tqdm.notebook import tqdm as widget

            return widget(**options)
        options |= {"file": sys.stdout, "ncols": 80}  # standard error is an alarming red there
    from tqdm import tqdm

    return tqdm(**options, dynamic_ncols=True, bar_format=_BAR if total else _ENDLESS)


def say(line: str) -> None:
    """A line that stays: broken between words where a terminal is narrower, never cut."""
    stream = sys.stdout if in_notebook() else sys.stderr
    if stream is None:
        return
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    if columns > 20:
        line = textwrap.fill(
            line, columns - 1, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    if stream is not sys.stdout and sys.stdout is not None:
        sys.stdout.flush()  # in a file that holds both, what was printed before comes before
    with _bars_aside(stream):
        print(printable(line, stream), file=stream, flush=True)


def _bars_aside(stream: Any) -> Any:
    """While a line is written: bars that are open are wiped out, and drawn again below it."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None or not getattr(tqdm, "_instances", None):
        return contextlib.nullcontext()
    return tqdm.external_write_mode(file=stream)


class Bar:
    """Progress of a job of known length: a bar where somebody watches, else a line each tenth of the way.

    Parameters
    ----------
    shown : bool
        False: nothing is shown.
    total : int
    unit : str
        What is counted, in the singular.
    initial : int, default 0
    """

    def __init__(self, shown: bool, total: int, unit: str, initial: int = 0) -> None:
        self.total = total
        self.unit = unit
        self._bar = open_bar(total, f"{unit}s", unit, initial) if shown else None
        self._silent = not shown
        self._next = 0.0
        self._told = initial
        self._last: tuple[int, str] | None = None

    def show(self, done: int, figures: str) -> None:
        """So many steps are done."""
        if self._silent:
            return
        if self._bar is None:
            if done == self.total or done - self._told >= self.total / 10:
                self._tell(done, figures)
            return
        self._last = done, figures
        now = time.perf_counter()
        if now >= self._next or done == self.total:
            self._next = now + INTERVAL
            self.note(figures)
            self._bar.update(done - self._bar.n)

    def note(self, figures: str) -> None:
        """Other figures while a step lasts."""
        if self._bar is not None:
            self._bar.set_postfix_str(figures)

    def _tell(self, done: int, figures: str) -> None:
        self._told = done
        say(f"{self.unit} {done}/{self.total} - {figures}")

    def close(self) -> None:
        """Leave the terminal as it is found by whatever comes next, with the last figures as a line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            if self._last is not None:
                self._tell(*self._last)
