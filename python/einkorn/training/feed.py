"""Where a training stands in its data, so that it can go on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from einkorn.data import DataLoader
from einkorn.training.batches import length
from einkorn.training.snapshot import random_state, set_random_state

__all__ = ["Feed"]


class Feed:
    """The batches of one epoch after the other.

    An epoch is one pass over the source or, with ``steps``, so many batches: the next epoch goes on where it
    ended, and the source begins anew when it ends.

    The order of the rows is drawn when a pass begins. So a position is the state of the random numbers at
    that moment and the number of batches since: going there draws the same order and leaves out these
    batches.

    Parameters
    ----------
    source : iterable of batches
    steps : int or None
        Batches of an epoch.
    """

    def __init__(self, source: Any, steps: int | None) -> None:
        self.source = source
        self.steps = steps
        self._rest: Iterator[Any] | None = None
        self._began: dict[str, Any] = {}
        self._taken = 0

    def __len__(self) -> int:
        count = self.steps if self.steps is not None else length(self.source)
        if count is None:
            raise TypeError("the number of batches is not known")
        return count

    def _begin(self) -> Iterator[Any]:
        self._began = random_state(self.generators())
        self._taken = 0
        self._rest = iter(self.source)
        return self._rest

    def generators(self) -> list[Any]:
        """Generators of the loader's own."""
        loader = getattr(self.source, "loader", self.source)
        return loader.generators() if isinstance(loader, DataLoader) else []

    def epoch(self, done: int = 0) -> Iterator[Any]:
        """The batches of an epoch of which so many are behind us."""
        if self.steps is None:
            rest = self._rest if done and self._rest is not None else self._begin()
            for batch in rest:
                self._taken += 1
                yield batch
            self._rest = None
            return
        for _ in range(done, self.steps):
            batch = next(self._rest, None) if self._rest is not None else None
            if batch is None:
                batch = next(self._begin(), None)
                if batch is None:
                    return
            self._taken += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position."""
        return {"began": self._began, "taken": self._taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position. The random numbers are left as drawing the order left them."""
        if not state["began"]:
            return
        set_random_state(state["began"], self.generators())
        rest = self._begin()
        for _ in range(int(state["taken"])):
            next(rest, None)
        self._taken = int(state["taken"])
