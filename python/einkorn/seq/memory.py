"""What an encoder said, with each decoder layer's keys and values of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from einkorn import ops

__all__ = ["Memory"]


class Memory:
    """The encoder's output, which all steps and all beams of a decoder look at.

    A layer's keys and values are computed when it asks first, and kept. They are stored once for a sequence
    however many beams it has: queries of its beams are put side by side as queries of one sequence.

    Parameters
    ----------
    states : array or Tensor [batch, length, width]
    mask : boolean array [batch, length], optional
        False where a sequence is filled up.
    tokens : integer array [batch, length], optional
        What was read, if these are tokens.

    Attributes
    ----------
    first : tuple of array
        Of recurrent decoders: the states that they begin with, [layers, batch, width].
    """

    first: tuple[Any, ...] = ()

    def __init__(self, states: Any, mask: Any = None, tokens: Any = None) -> None:
        self.states, self.tokens = states, tokens
        self.mask = None if mask is None or mask.all() else np.asarray(mask)[:, None, None, :]
        self._kept: dict[int, tuple[Any, Any]] = {}
        self._projected: Any = None

    def __len__(self) -> int:
        return int(self.states.shape[0])

    def projected(self, layer: Callable[[Any], Any]) -> Any:
        """What a layer makes of the states, computed when it is asked for first."""
        if self._projected is None:
            self._projected = layer(self.states)
        return self._projected

    def attend(
        self, layer: int, query: Any, make: Callable[[Any], tuple[Any, Any]], p: float, scale: float | None
    ) -> Any:
        """Attention of a layer's queries over all that was said.

        Parameters
        ----------
        layer : int
        query : array or Tensor [batch * beams, heads, length, width]
        make : callable
            Keys and values [batch, heads, length, width] of ``states``.
        p : float
            Dropout of the weights.
        scale : float or None
            Of the scores; None: ``1 / sqrt(width)``.

        Returns
        -------
        array or Tensor of query's shape
        """
        if layer not in self._kept:
            self._kept[layer] = make(self.states)
        keys, values = self._kept[layer]
        rows, heads, length, width = query.shape
        batch = len(self)
        beams = rows // max(batch, 1)
        if beams <= 1:
            return ops.scaled_dot_product_attention(query, keys, values, self.mask, p, scale=scale)
        side = ops.permute(ops.reshape(query, (batch, beams, heads, length, width)), (0, 2, 1, 3, 4))
        side = ops.reshape(side, (batch, heads, beams * length, width))
        out = ops.scaled_dot_product_attention(side, keys, values, self.mask, p, scale=scale)
        out = ops.permute(ops.reshape(out, (batch, heads, beams, length, width)), (0, 2, 1, 3, 4))
        return ops.reshape(out, (rows, heads, length, width))
