"""The progress of ``fit`` on the terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

__all__ = ["Progress"]

_INTERVAL = 0.1  # seconds between two redrawings


def _figures(logs: dict[str, float]) -> str:
    return " ".join(f"{key}={value:.4g}" for key, value in logs.items())


class Progress:
    """One bar per epoch (verbose 1), one line per epoch (2), or nothing (0)."""

    def __init__(self, verbose: int, epochs: int) -> None:
        self.verbose = verbose
        self.epochs = epochs
        self._bar: Any = None
        self._next = 0.0
        self._begin = 0.0
        self._head = ""

    def begin(self, epoch: int, steps: int | None) -> None:
        """An epoch begins; ``steps`` is its number of batches where known."""
        self._head = f"Epoch {epoch + 1}/{self.epochs}"
        self._begin = time.perf_counter()
        if self.verbose == 1:
            from tqdm import tqdm

            self._bar = tqdm(total=steps, desc=self._head, unit="batch", mininterval=0)
            self._next = self._begin + _INTERVAL

    def due(self) -> bool:
        """Whether it is time to draw again: asked once a batch, so it must cost nothing."""
        return self._bar is not None and time.perf_counter() >= self._next

    def draw(self, done: int, logs: dict[str, float]) -> None:
        """Show that ``done`` batches are behind us."""
        self._bar.set_postfix_str(_figures(logs), refresh=False)
        self._bar.update(done - self._bar.n)
        self._next = time.perf_counter() + _INTERVAL

    def end(self, done: int, logs: dict[str, float]) -> None:
        """The epoch and its validation are over."""
        if self._bar is not None:
            self.draw(done, logs)
            self.close()
        elif self.verbose == 2:
            seconds = time.perf_counter() - self._begin
            print(f"{self._head} - {seconds:.1f} s - {_figures(logs)}", file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal as it is found by whatever comes next."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
