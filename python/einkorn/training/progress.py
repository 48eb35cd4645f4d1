"""The progress of ``fit``."""

from __future__ import annotations

import time
from typing import Any

from einkorn._console import INTERVAL, open_bar, say
from einkorn.training.figures import shown

__all__ = ["Progress"]


class Progress:
    """One line per epoch, with a bar while it lasts (verbose 1) or without (2), or nothing (0).

    Nobody watches a file or a pipe: there is no bar there.
    """

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
            self._bar = open_bar(steps, self._head, "batch")
            self._next = self._begin + INTERVAL

    @property
    def is_drawn(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def due(self) -> bool:
        """Whether it is time to draw again: asked once a batch, so it must cost nothing."""
        return self._bar is not None and time.perf_counter() >= self._next

    def draw(self, done: int, logs: dict[str, float]) -> None:
        """Show that ``done`` batches are behind us."""
        self._bar.set_postfix_str(shown(logs), refresh=False)
        self._bar.update(done - self._bar.n)
        self._next = time.perf_counter() + INTERVAL

    def end(self, done: int, logs: dict[str, float]) -> None:
        """The epoch and its validation are over."""
        self.close()
        if self.verbose:
            seconds = time.perf_counter() - self._begin
            say(f"{self._head} - {seconds:.1f} s - {shown(logs)}")

    def close(self) -> None:
        """Leave the terminal as it is found by whatever comes next."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
