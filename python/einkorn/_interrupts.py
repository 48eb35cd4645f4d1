"""Ctrl-C while a command runs: never lost, and never raised in the middle of an import.

Python raises KeyboardInterrupt wherever it happens to be. In the callbacks of its import system, in a
``__del__`` and in other places that nobody called, the exception is printed and forgotten, and the work goes
on. A command therefore holds a signal back until the import is over, and sends it again when it was
forgotten.
Only commands do this: einkorn as a library leaves signals alone.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

__all__ = ["again", "importing", "watch"]

_PAUSE = 0.01  # seconds until a signal that was held back comes again


def importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported where the signal met the program."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def again(number: int) -> None:
    """Let a signal come once more in a moment."""

    def later() -> None:
        time.sleep(_PAUSE)
        os.kill(os.getpid(), number)  # a real one: it ends a sleep, too

    _thread.start_new_thread(later, ())  # takes no lock that the interrupted code might hold


def watch() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt at the next place that hands it on.

    Nothing changes for a process that ignores the signal, as those do that a shell put into the background.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    signal.signal(signal.SIGINT, _interrupt)
    shown = sys.unraisablehook

    def forgotten(fault: Any) -> None:
        if isinstance(fault.exc_value, KeyboardInterrupt):
            again(getattr(fault.exc_value, "number", signal.SIGINT))
        else:
            shown(fault)

    sys.unraisablehook = forgotten


def _interrupt(number: int, frame: FrameType | None) -> None:
    if importing(frame):
        again(number)
    else:
        raise KeyboardInterrupt
