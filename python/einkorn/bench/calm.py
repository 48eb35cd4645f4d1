"""Waiting for other programs to end, and being one: what surrounds a measurement."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from einkorn.bench.machine import share_of_processors

__all__ = ["DISTURBED", "Patience", "busy_process", "is_calm"]

#: Why a figure is not shown.
DISTURBED = "left out: other programs took the cores"

_CALM = 0.95  # share of the processors; a machine that does nothing else gives 0.98 and more
_PAUSE = 0.5  # seconds between two looks


def is_calm() -> bool:
    """Whether this process gets the cores that it asks for."""
    return share_of_processors(0.05) > _CALM


class Patience:
    """Seconds that a run of the benchmark may spend waiting for a calm machine.

    Parameters
    ----------
    total : float
        For the whole run.
    at_once : float
        For one row of it.
    """

    def __init__(self, total: float = 120.0, at_once: float = 20.0) -> None:
        self.left = total
        self.at_once = at_once

    def wait(self) -> bool:
        """Wait until the machine is calm; False where it was not within the time."""
        start = time.perf_counter()
        end = start + min(self.left, self.at_once)
        while time.perf_counter() < end:
            if is_calm():
                break
            time.sleep(_PAUSE)
        else:
            self.left = max(0.0, self.left - (time.perf_counter() - start))
            return False
        self.left -= time.perf_counter() - start
        return True


@contextlib.contextmanager
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside this one that wants a whole core."""
    script = "print(flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it is running
        yield process
    finally:
        process.kill()
        process.communicate()
