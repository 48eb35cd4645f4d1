"""Captions of pictures: a small convolutional network sees, an LSTM writes, with attention or without."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._inputs import plain
from einkorn.models.seq2seq import _Translator
from einkorn.nn import LSTM, AdditiveAttention, BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU, Sequential
from einkorn.seq.memory import Memory

__all__ = ["Captioner"]


class Captioner(_Translator):
    """Show, attend and tell (Xu et al. 2015); without attention show and tell (Vinyals et al. 2015).

    The picture, with the coordinates of its pixels, becomes a grid of vectors, an eighth as high and wide.
    With attention each word is written after a look at all of them, weighted by the state before; a gate says
    how much that look counts. Without, a layer makes one vector of the grid, which is seen with each word.

    Parameters
    ----------
    vocab_size : int
    image_size : int, default 48
        Height and width of pictures, a multiple of 8.
    embedding_size, hidden_size : int, default 64, 128
    width : int, default 64
        Channels of the grid; before it a quarter and a half of them.
    attention : bool, keyword-only, default True
    dropout : float, keyword-only, default 0.0
        Of words and of the grid's vectors.
    pad_token_id, decoder_start_token_id : int, keyword-only, default 0, 1

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.

    Notes
    -----
    ``loss(images, labels)`` and ``generate(images, eos_token_id=...)`` are those of the translators; images
    are float arrays [batch, 3, image_size, image_size].
    """

    _reads = "images"

    def __init__(
        self,
        vocab_size: int,
        image_size: int = 48,
        embedding_size: int = 64,
        hidden_size: int = 128,
        width: int = 64,
        *,
        attention: bool = True,
        dropout: float = 0.0,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 1,
    ) -> None:
        super().__init__(1, vocab_size, embedding_size, dropout, pad_token_id, decoder_start_token_id)
        del self.source
        if image_size < 8 or image_size % 8:
            raise ArgumentError(f"Captioner: image_size is {image_size!r}, expected a multiple of 8")
        if width < 4 or width % 4:
            raise ArgumentError(f"Captioner: width is {width!r}, expected a multiple of 4")
        self.image_size, side = int(image_size), image_size // 8
        layers: list[Any] = []
        for inner, outer in ((5, width // 4), (width // 4, width // 2), (width // 2, width)):
            layers += [
                Conv2d(inner, outer, 3, padding=1, bias=False),
                BatchNorm2d(outer),
                ReLU(),
                MaxPool2d(2),
            ]
        layers += [Conv2d(width, width, 3, padding=1, bias=False), BatchNorm2d(width), ReLU()]
        self.encoder = Sequential(*layers)
        self.begin = Linear(width, 2 * hidden_size, activation="tanh")
        self.attention: Any = None
        self.gate: Any = None
        self.whole: Any = None
        if attention:
            self.attention = AdditiveAttention(hidden_size, width, hidden_size)
            self.gate = Linear(hidden_size, width)
        else:
            self.whole = Linear(width * side * side, width, activation="relu")
        self.decoder = LSTM(embedding_size + width, hidden_size, batch_first=True)
        self.readout = Linear(hidden_size + embedding_size + width, embedding_size, activation="tanh")
        self.scores = Linear(embedding_size, vocab_size)
        self.config = {
            "vocab_size": self.vocab_size,
            "image_size": self.image_size,
            "embedding_size": int(embedding_size),
            "hidden_size": int(hidden_size),
            "width": int(width),
            "attention": bool(attention),
            "dropout": float(dropout),
            "pad_token_id": self.pad_token_id,
            "decoder_start_token_id": self.decoder_start_token_id,
        }

    def encode(self, images: Any, attention_mask: Any = None) -> Memory:
        """Look at pictures [batch, 3, image_size, image_size]; ``attention_mask`` is None."""
        images = images if hasattr(images, "shape") else np.asarray(images)
        shape, size = tuple(images.shape), self.image_size
        if len(shape) != 4 or shape[1:] != (3, size, size):
            raise ShapeError(f"Captioner: images have shape {shape}, expected [batch, 3, {size}, {size}]")
        if attention_mask is not None:
            raise ArgumentError("Captioner: attention_mask is given, expected None: pictures are whole")
        states, first = self._listen(images, None)
        memory = Memory(self.drop(states), None)
        memory.first = first
        return memory

    def head(self) -> Any:
        return self.scores.weight

    def head_bias(self) -> Any:
        return self.scores.bias

    def align(self, images: Any, tokens: Any, *, attention_mask: Any = None) -> Any:
        """Where it looked before each word that follows: weights [batch, tokens, rows, columns] of the grid.

        Parameters
        ----------
        images : array [batch, 3, image_size, image_size]
        tokens : integer array [batch, tokens]
            As ``generate`` gives them; the last word leads to nothing.

        Raises
        ------
        ArgumentError
            It has no attention.
        """
        if self.attention is None:
            raise ArgumentError("Captioner.align: attention is False, expected a model with attention")
        weights = super().align(images, plain(tokens), attention_mask=attention_mask)
        side = self.image_size // 8
        return weights.reshape(*weights.shape[:2], side, side)

    def _listen(self, x: Any, kept: Any) -> tuple[Any, tuple[Any, ...]]:
        batch, _, height, width = x.shape
        lines = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
        places = np.broadcast_to(np.stack(np.meshgrid(*lines, indexing="ij")), (batch, 2, height, width))
        grid = self.encoder(ops.cat([x, places], 1))
        states = ops.permute(ops.reshape(grid, (batch, grid.shape[1], -1)), (0, 2, 1))
        if self.whole is not None:
            states = ops.unsqueeze(self.whole(ops.reshape(states, (batch, -1))), 1)
        first = ops.reshape(self.begin(ops.mean(states, 1)), (1, batch, 2, -1))
        return states, (ops.getitem(first, np.s_[:, :, 0]), ops.getitem(first, np.s_[:, :, 1]))

    def _speak(
        self, x: Any, keys: Any, kept: Any, state: tuple[Any, ...], **known: Any
    ) -> tuple[Any, Any, tuple[Any, ...]]:
        if self.attention is None:
            given = ops.cat([x, ops.broadcast_to(keys, (*x.shape[:2], keys.shape[2]))], 2)
            out, state = self.decoder(given, state)
            return self.readout(ops.cat([out, given], 2)), None, state
        seen, looked = [], []
        for t in range(x.shape[1]):
            word, before = ops.getitem(x, (slice(None), t)), ops.getitem(state[0], 0)
            context, weights = self.attention(before, keys, **known)
            context = ops.multiply(context, ops.sigmoid(self.gate(before)))
            given = ops.unsqueeze(ops.cat([word, context], 1), 1)
            out, state = self.decoder(given, state)
            seen.append(ops.cat([ops.getitem(out, (slice(None), 0)), word, context], 1))
            looked.append(weights)
        return self.readout(ops.stack(seen, 1)), ops.stack(looked, 1), state
