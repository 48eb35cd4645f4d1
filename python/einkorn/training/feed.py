"""Where a training stands in its data, so that it can go on from there."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from einkorn._device import near
from einkorn._pinned import ahead
from einkorn.data import DataLoader
from einkorn.training.batches import Gathered, length
from einkorn.training.snapshot import random_state, set_random_state

__all__ = ["Feed"]

_COUNTERS = {True: "epoch", False: "passes"}  # where a DataLoader, and others, count their passes

_ROWS, _LOOKED_AT = 128, 8192  # of an array, evenly over it: rows, and elements of these


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
    kept : bool, keyword-only, default True
        Whether the position will be asked for, within a pass.
    """

    def __init__(self, source: Any, steps: int | None, *, kept: bool = True) -> None:
        self.source = source
        self.steps = steps
        self.kept = kept
        self.device = "cpu"  # where the inputs of batches are wanted
        self.ran_out = False  # the source gives no more, in the middle of an epoch or before one
        self._rest: Iterator[Any] | None = None
        self._began: dict[str, Any] = {}
        self._taken = 0
        self._pass = self._passes  # the number of the pass that is going on
        self._mark: int | None = None

    def __len__(self) -> int:
        count = self.steps if self.steps is not None else length(self.source)
        if count is None:
            raise TypeError("the number of batches is not known")
        return count

    def _begin(self) -> Iterator[Any]:
        if self.kept:
            self._began = random_state(self.generators())
        self._pass = self._passes
        self._taken = 0
        rest = iter(self.source)
        self._rest = ahead(rest) if self.device != "cpu" and self._is_sent_ahead() else rest
        return self._rest

    def _is_sent_ahead(self) -> bool:
        """Whether a batch may be taken before its time: where that draws nothing, or was asked for."""
        loader = self._loader
        if not isinstance(loader, DataLoader):
            return False
        return loader.pin_memory or (isinstance(self.source, Gathered) and loader.transform is None)

    @property
    def _loader(self) -> Any:
        return getattr(self.source, "loader", self.source)

    @property
    def _passes(self) -> int:
        """How many passes the loader has begun, by which its transforms draw."""
        loader = self._loader
        return int(getattr(loader, _COUNTERS[isinstance(loader, DataLoader)], 0))

    @_passes.setter
    def _passes(self, count: int) -> None:
        loader = self._loader
        name = _COUNTERS[isinstance(loader, DataLoader)]
        if hasattr(loader, name):
            setattr(loader, name, count)

    def generators(self) -> list[Any]:
        """Generators of the loader's own."""
        loader = self._loader
        return loader.generators() if isinstance(loader, DataLoader) else []

    def measures(self) -> dict[str, int | None]:
        """What the data of a training that goes on must have in common with those it began with."""
        loader = self._loader
        rows: Any = getattr(loader, "dataset", None)
        size = getattr(loader, "batch_size", None)
        return {
            "batches an epoch": self.steps if self.steps is not None else length(self.source),
            "rows": len(rows) if hasattr(rows, "__len__") else None,
            "rows in a batch": size if isinstance(size, int) else None,
        }

    def mark(self) -> int | None:
        """A number that tells arrays from others, of some of their elements; None of other data."""
        arrays = getattr(getattr(self._loader, "dataset", None), "arrays", None)
        if self._mark is None and arrays and all(hasattr(array, "dtype") for array in arrays):
            self._mark = 0
            for array in arrays:
                flat = array[:: max(1, len(array) // _ROWS)].reshape(-1)
                some = near(flat[:: max(1, flat.size // _LOOKED_AT)])
                if some.dtype.kind != "O":
                    self._mark = zlib.crc32(some.tobytes(), self._mark)
        return self._mark

    def epoch(self, done: int = 0) -> Iterator[Any]:
        """The batches of an epoch of which so many are behind us."""
        if self.steps is not None:
            return self._so_many(done, self.steps)
        rest = self._rest if done and self._rest is not None else self._begin()
        return self._counted(rest) if self.kept else rest

    def _counted(self, rest: Iterator[Any]) -> Iterator[Any]:
        for batch in rest:
            self._taken += 1
            yield batch
        self._rest = None

    def _so_many(self, done: int, steps: int) -> Iterator[Any]:
        for _ in range(done, steps):
            batch = next(self._rest, None) if self._rest is not None else None
            if batch is None:
                batch = next(self._begin(), None)
                if batch is None:
                    self.ran_out = True
                    return
            self._taken += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position."""
        return {"began": self._began, "taken": self._taken, "pass": self._pass, "passes": self._passes}

    def load_state_dict(self, state: Mapping[str, Any], within: bool = True) -> None:
        """Go to a position, within a pass or between two of them.

        The random numbers are left as drawing the order left them.
        """
        if not within or not state["began"]:
            self._passes = int(state["passes"])
            return
        self._passes = int(state["pass"])
        set_random_state(state["began"], self.generators())
        rest = self._begin()
        for _ in range(int(state["taken"])):
            next(rest, None)
        self._taken = int(state["taken"])
