"""A recurrent recommender that is taught by an adversary (RecGAN, Bharadhwaj et al. 2018)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError
from einkorn.models._inputs import plain, rows_of
from einkorn.nn import Embedding, Linear, Module, functional, init
from einkorn.nn.parameter import blank

__all__ = ["RecGAN", "RecGANCell"]

_CONTENTS = {"relu": ops.relu, "sigmoid": ops.sigmoid}


class RecGANCell(Module):
    """A gated unit whose new content goes through ReLU or a sigmoid in the place of tanh.

    With sigmoid gates r and z, ``n = act(W x + b + r * (U h))`` and ``h' = (1 - z) * n + z * h``.

    Parameters
    ----------
    input_size, hidden_size : int
    activation : "relu" or "sigmoid", default "relu"
        Of the new content: the generator's is "relu", the discriminator's "sigmoid".

    Attributes
    ----------
    weight_ih, weight_hh : Parameter [3 * hidden_size, input_size or hidden_size]
        For r, z and n, in the order of :class:`einkorn.nn.GRUCell`.
    bias : Parameter [3 * hidden_size]

    Raises
    ------
    ArgumentError
        The activation is another one.
    """

    def __init__(self, input_size: int, hidden_size: int, activation: str = "relu") -> None:
        super().__init__()
        if activation not in _CONTENTS:
            raise ArgumentError(f"RecGANCell: activation is {activation!r}, expected 'relu' or 'sigmoid'")
        self.hidden_size, self.activation = int(hidden_size), activation
        self.weight_ih = blank(3 * hidden_size, input_size)
        self.weight_hh = blank(3 * hidden_size, hidden_size)
        self.bias = blank(3 * hidden_size)
        bound = 1 / math.sqrt(max(1, hidden_size))
        for parameter in (self.weight_ih, self.weight_hh, self.bias):
            init.uniform_(parameter, -bound, bound)

    def forward(self, x: Any, h: Any = None) -> Any:
        """The state [batch, hidden_size] after ``x`` [batch, input_size]; before the first, zeros."""
        return self.step(ops.linear(x, self.weight_ih, self.bias), h)

    def step(self, given: Any, h: Any) -> Any:
        """The state after one step, of what the input gives [batch, 3 * hidden_size]."""
        if h is None:
            h = np.zeros((given.shape[0], self.hidden_size), np.float32)
        own = ops.linear(h, self.weight_hh)
        size = self.hidden_size
        both, rest = (..., slice(2 * size)), (..., slice(2 * size, 3 * size))
        gates = ops.sigmoid(ops.getitem(given, both) + ops.getitem(own, both))
        r, z = ops.getitem(gates, (..., slice(size))), ops.getitem(gates, (..., slice(size, 2 * size)))
        new = _CONTENTS[self.activation](ops.getitem(given, rest) + r * ops.getitem(own, rest))
        return new + z * (h - new)


class _Walk(Module):
    """Vectors of items, a cell that goes along them, and numbers of each state."""

    def __init__(self, items: int, width: int, hidden: int, activation: str, out: int) -> None:
        super().__init__()
        self.items = Embedding(items, width)
        self.cell = RecGANCell(width, hidden, activation)
        self.head = Linear(hidden, out)

    def forward(self, x: Any) -> Any:
        """Of items [batch, length], or of weights of all items [batch, length, items]."""
        vectors = self.items(x) if x.ndim == 2 else ops.matmul(x, self.items.weight)
        given = ops.linear(vectors, self.cell.weight_ih, self.cell.bias)
        h, states = None, []
        for t in range(given.shape[1]):
            h = self.cell.step(ops.getitem(given, (slice(None), t)), h)
            states.append(h)
        return self.head(ops.stack(states, 1))


class RecGAN(Module):
    """What a user takes next, from what was taken: a generator, and a discriminator that doubts it.

    The generator scores the next item after each of a user's sequence. The discriminator tells what users
    took from what the generator draws, and the generator learns from both: from the items (cross-entropy)
    and from the doubts. Draws are one item each; their gradient is that of softmax with Gumbel's noise.

    Parameters
    ----------
    num_items : int
    embedding_size, hidden_size : int, default 32, 64
    temperature : float, keyword-only, default 1.0
        Of the draws.

    Notes
    -----
    Sequences are integers [batch, length]; -1 fills up the end of shorter ones. Users with whom nothing is
    known yet need an item that stands for the beginning.

    Raises
    ------
    ArgumentError
        A size is out of its range.
    """

    def __init__(
        self, num_items: int, embedding_size: int = 32, hidden_size: int = 64, *, temperature: float = 1.0
    ) -> None:
        super().__init__()
        if num_items < 2:
            raise ArgumentError(f"RecGAN: num_items is {num_items!r}, expected at least 2")
        if not temperature > 0:
            raise ArgumentError(f"RecGAN: temperature is {temperature!r}, expected a positive number")
        self.num_items, self.temperature = int(num_items), float(temperature)
        self.generator = _Walk(num_items, embedding_size, hidden_size, "relu", num_items)
        self.discriminator = _Walk(num_items, embedding_size, hidden_size, "sigmoid", 1)
        self.config = {
            "num_items": self.num_items,
            "embedding_size": int(embedding_size),
            "hidden_size": int(hidden_size),
            "temperature": self.temperature,
        }

    def forward(self, items: Any) -> Any:
        """Scores [batch, length, num_items] of the item after each."""
        return self.generator(self._items("items", items, 1)[0])

    def generator_loss(self, items: Any, *, adversarial: float = 0.1) -> Any:
        """Cross-entropy of each next item, and ``adversarial`` times the discriminator's doubts.

        Raises
        ------
        ShapeError, IndexRangeError
            The items are not such an array, or out of range.
        """
        known, kept = self._items("generator_loss", items, 2)
        scores = self.generator(known[:, :-1])
        wanted = np.where(kept[:, 1:], known[:, 1:], -100)
        flat = ops.reshape(scores, (-1, self.num_items))
        loss = ops.cross_entropy(flat, wanted.reshape(-1), ignore_index=-100)
        if not adversarial:
            return loss
        drawn = functional.gumbel_softmax(scores, self.temperature, hard=True)
        return loss + self._told(drawn, kept[:, 1:], 1.0) * float(adversarial)

    def discriminator_loss(self, items: Any) -> Any:
        """How badly the discriminator tells what was taken from what the generator draws."""
        known, kept = self._items("discriminator_loss", items, 2)
        with no_grad():
            scores = self.generator(known[:, :-1])
            drawn = plain(functional.gumbel_softmax(scores, self.temperature, hard=True)).argmax(-1)
        return (self._told(known[:, 1:], kept[:, 1:], 1.0) + self._told(drawn, kept[:, 1:], 0.0)) * 0.5

    def recommend(self, items: Any, k: int = 10, *, seen: bool = True) -> Any:
        """The likeliest next items of each user.

        Parameters
        ----------
        items : integer array [batch, length]
        k : int, default 10
        seen : bool, keyword-only, default True
            Whether items that a user took may be recommended.

        Returns
        -------
        array of int64 [batch, k]
            The likeliest first.
        """
        known, kept = self._items("recommend", items, 1)
        if not 1 <= k <= self.num_items:
            raise ArgumentError(f"RecGAN.recommend: k is {k!r}, expected 1 to {self.num_items}")
        with no_grad():
            scores = plain(self.generator(known))
        rows = np.arange(len(known))
        scores = scores[rows, kept.sum(1) - 1].copy()
        if not seen:
            for row, own, mine in zip(scores, known, kept, strict=True):
                row[own[mine]] = -np.inf
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]

    def _told(self, items: Any, kept: Any, wanted: float) -> Any:
        logits = ops.getitem(self.discriminator(items), (..., 0))
        target = np.full(kept.shape, wanted, np.float32)
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return (each * kept.astype(np.float32)).sum() / float(max(1, kept.sum()))

    def _items(self, what: str, items: Any, least: int) -> tuple[Any, Any]:
        given = rows_of("RecGAN", "items", items)
        if given.ndim != 2 or given.dtype.kind not in "iu" or not len(given) or given.shape[1] < least:
            raise ShapeError(
                f"RecGAN: {what}: items have shape {given.shape} and dtype {given.dtype}, expected integers"
                f" [batch, length] with a length of at least {least}"
            )
        if given.min() < -1 or given.max() >= self.num_items:
            wrong = given.min() if given.min() < -1 else given.max()
            raise IndexRangeError(f"RecGAN: items have {wrong}, expected 0 to {self.num_items - 1}, or -1")
        kept = given >= 0
        if (kept[:, 1:] & ~kept[:, :-1]).any() or not kept[:, 0].all():
            raise ArgumentError("RecGAN: items have -1 before an item, expected it at the end alone")
        return np.where(kept, given, 0).astype(np.int64), kept
