"""``Progbar``: how far a loop of one's own has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from einkorn._tensor import as_numpy
from einkorn.errors import ArgumentError

__all__ = ["Progbar"]


class Progbar:
    """A bar for a loop of one's own, with means of figures.

    Parameters
    ----------
    target : int or None
        How many steps there are; None where nobody knows.
    width : int, default 20
    verbose : 0, 1 or 2, default 1
        Nothing, a bar, or one line at the end.
    interval : float, default 0.05
        Seconds between two drawings.
    stateful_metrics : list of str, optional
        Figures that are shown as they come, instead of their means.
    unit_name : str, default "step"
    """

    def __init__(
        self, target: int | None, width: int = 20, verbose: int = 1, interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None, unit_name: str = "step",
    ) -> None:  # fmt: skip
        if verbose not in (0, 1, 2):
            raise ArgumentError(f"Progbar: verbose is {verbose!r}, expected 0, 1 or 2")
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics, self.unit_name = set(stateful_metrics or ()), unit_name
        self._sums: dict[str, list[float]] = {}
        self._seen, self._begun, self._drawn, self._length = 0, time.perf_counter(), 0.0, 0

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """Say how many steps are done.

        Parameters
        ----------
        current : int
        values : list of (str, number), optional
        finalize : bool, optional
            Whether this was the last; by default whether the target is reached.
        """
        steps = max(0, current - self._seen)
        for name, value in values or ():
            number = float(as_numpy(value))
            if name in self.stateful_metrics:
                self._sums[name] = [number, 1.0]
            else:
                entry = self._sums.setdefault(name, [0.0, 0.0])
                entry[0] += number * steps
                entry[1] += steps
        self._seen = current
        last = self.target is not None and current >= self.target if finalize is None else finalize
        now = time.perf_counter()
        if self.verbose == 0 or (self.verbose == 2 and not last):
            return
        if self.verbose == 1 and not last and now - self._drawn < self.interval:
            return
        self._drawn = now
        line = self._line(current, now - self._begun)
        if self.verbose == 1 and sys.stdout.isatty():
            sys.stdout.write("\r" + line.ljust(self._length) + ("\n" if last else ""))
            self._length = len(line)
        elif last:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def add(self, n: int, values: Any = None) -> None:
        """Say that so many more steps are done."""
        self.update(self._seen + n, values)

    def _line(self, current: int, seconds: float) -> str:
        text = str(current) if self.target is None else f"{current:{len(str(self.target))}d}/{self.target}"
        if self.verbose == 1 and self.target:
            full = min(self.width, self.width * current // self.target)
            text += f" [{'=' * full}{'.' * (self.width - full)}]"
        text += f" {seconds:.1f}s"
        if current:
            text += f" {1000 * seconds / current:.3g}ms/{self.unit_name}"
        for name, (total, count) in self._sums.items():
            mean = total / max(count, 1.0)
            text += f" - {name}: {mean:.4f}" if abs(mean) > 1e-3 else f" - {name}: {mean:.4e}"
        return text
