"""Keys and values of the tokens that a decoder has seen, so that each is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from einkorn import engines
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._road import unwrap

__all__ = ["Cache"]


class Cache:
    """Keys and values of every layer, in arrays with room for what is to come.

    Attention reads them where they lie. Without a capacity the arrays double when they are full.

    Parameters
    ----------
    capacity : int, optional
        Tokens to make room for at once; more are refused. Default: as many as come.

    Attributes
    ----------
    length : int
        Tokens that all layers have seen.
    coverage : array [batch, read], or None
        How much a recurrent translator has looked at each word that it read, so far.
    """

    coverage: Any = None
    _carried: tuple[Any, ...] = ()

    def __init__(self, capacity: int | None = None) -> None:
        if capacity is not None and (not isinstance(capacity, (int, np.integer)) or capacity < 1):
            raise ArgumentError(f"Cache: capacity is {capacity!r}, expected a positive int or None")
        self.capacity = capacity
        self.length = 0
        self._layers: dict[int, list[Any]] = {}
        self._ends: dict[int, int] = {}

    def append(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Add tokens to a layer; what it holds from now on.

        Parameters
        ----------
        layer : int
        keys, values : array or Tensor [batch, heads, tokens, width]

        Returns
        -------
        keys, values : array [batch, heads, all tokens, width]
            Views of the cache: of use until the next tokens are added.

        Raises
        ------
        ShapeError
            The shape is not that of the tokens before.
        ArgumentError
            There is no room.
        """
        new = [unwrap(a, "Cache", name) for a, name in ((keys, "keys"), (values, "values"))]
        begin = self._ends.get(layer, 0)
        end = begin + new[0].shape[2]
        if self.capacity is not None and end > self.capacity:
            raise ArgumentError(f"Cache: {end} tokens, but it was made for {self.capacity}")
        rooms = self._layers.setdefault(layer, [None, None])
        for i, a in enumerate(new):
            room = rooms[i]
            if room is not None and (room.shape[:2], room.shape[3]) != (a.shape[:2], a.shape[3]):
                batch, heads, _, width = room.shape
                raise ShapeError(
                    f"Cache: layer {layer} gets shape {a.shape}, expected ({batch}, {heads}, tokens, {width})"
                )
            if room is None or room.shape[2] < end:
                size = self.capacity or max(2 * begin, end, 64)
                rooms[i] = engines.of(a).empty((*a.shape[:2], size, a.shape[3]), a.dtype)
                if begin:
                    rooms[i][:, :, :begin] = room[:, :, :begin]
            rooms[i][:, :, begin:end] = a
        self._ends[layer] = end
        self.length = min(self._ends.values())
        return rooms[0][:, :, :end], rooms[1][:, :, :end]

    @property
    def state(self) -> Any:
        """What recurrent layers carry: None at first, one array, or a pair."""
        if not self._carried:
            return None
        return self._carried[0] if len(self._carried) == 1 else self._carried

    @contextmanager
    def adding(self) -> Iterator[None]:
        """All layers get the same tokens within it; where one fails or lacks them, none has got any."""
        length, ends = self.length, dict(self._ends)
        try:
            yield
            if len(set(self._ends.values())) > 1:
                raise ArgumentError("Cache: it is of a model with another number of layers")
        except BaseException:
            if not self._carried:
                self.length, self._ends = length, ends
                self._layers = {layer: self._layers[layer] for layer in ends}
            raise

    def carry(self, state: Any, tokens: int) -> None:
        """Keep what recurrent layers carry on after so many tokens more: arrays [layers, batch, width]."""
        end = self.length + tokens
        if self.capacity is not None and end > self.capacity:
            raise ArgumentError(f"Cache: {end} tokens, but it was made for {self.capacity}")
        self._carried, self.length = tuple(state), end

    def look(self, weights: Any) -> None:
        """Add an attention's weights [batch, tokens, read] to the coverage."""
        new = weights.sum(1)
        self.coverage = new if self.coverage is None else self.coverage + new

    def reorder(self, rows: Any, begin: int = 0) -> None:
        """Let row i of the batch be what ``rows[i]`` was; there may be more rows or fewer.

        Parameters
        ----------
        rows : integer array [batch]
        begin : int, default 0
            Keys and values of tokens before it are the same in row i and in ``rows[i]``, where the number of
            rows stays.
        """
        rows = np.asarray(rows)
        moved = np.flatnonzero(rows != np.arange(len(rows)))
        if self.coverage is not None:
            self.coverage = self.coverage[rows]
        self._carried = tuple(np.ascontiguousarray(state[:, rows]) for state in self._carried)
        for layer, rooms in self._layers.items():
            end = self._ends[layer]
            for i, room in enumerate(rooms):
                if len(rows) == len(room):
                    room[moved, :, begin:end] = room[rows[moved], :, begin:end]
                else:
                    rooms[i] = engines.of(room).empty((len(rows), *room.shape[1:]), room.dtype)
                    rooms[i][:, :, :end] = room[rows, :, :end]

    def crop(self, length: int) -> None:
        """Forget the tokens from position ``length`` on."""
        if not 0 <= length <= self.length:
            raise ArgumentError(f"Cache: crop to {length!r} of {self.length} tokens")
        if self._carried:
            raise ArgumentError("Cache: crop: what recurrent layers carry has no earlier state")
        self._ends = dict.fromkeys(self._ends, int(length))
        self.length = int(length)
