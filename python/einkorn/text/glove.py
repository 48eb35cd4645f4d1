"""GloVe: vectors of words from how often they occur together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text.keyed_vectors import KeyedVectors
from einkorn.text.neighbours import cooccurrence
from einkorn.text.vector_files import read_tensors

__all__ = ["GloVe"]

_OPTIONS = (
    "vector_size", "window", "min_count", "max_size", "x_max", "alpha", "learning_rate", "epochs", "seed",
    "workers",
)  # fmt: skip


class GloVe:
    """Vectors whose products are logarithms of counts (Pennington, Socher and Manning 2014).

    With ``workers=1`` the same corpus and seed give the same bits each time; several share the arrays
    without locks.

    Parameters
    ----------
    sentences
        Lists of words, or the path of a file with a sentence on each line; with it the model is trained
        at once.
    vector_size
        How many numbers a vector has.
    window
        How far apart two words may be; a pair counts one over its distance.
    min_count, max_size
        Words that occur less often are left out; how many there may be.
    x_max, alpha
        A count ``x`` weighs ``min(1, (x / x_max) ** alpha)``.
    learning_rate
        Of AdaGrad.
    epochs
        How often the counts are gone through.
    seed
        Of the first values and the orders.
    workers
        Threads.
    progress
        Called after each epoch with a dict: epoch, loss (the mean of an entry), entries_per_second.

    Attributes
    ----------
    wv : KeyedVectors
        The sums of the vectors of words and of contexts.
    epochs_done : int

    Raises
    ------
    ArgumentError
        An option does not fit, or no two words occur together.
    """

    def __init__(
        self,
        sentences: Iterable[Iterable[str]] | str | PathLike[str] | None = None,
        vector_size: int = 100,
        window: int = 10,
        min_count: int = 5,
        max_size: int | None = None,
        x_max: float = 100.0,
        alpha: float = 0.75,
        learning_rate: float = 0.05,
        epochs: int = 15,
        seed: int = 1,
        workers: int = 1,
        *,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        for option, value, least in (
            ("vector_size", vector_size, 1), ("window", window, 1), ("min_count", min_count, 1),
            ("epochs", epochs, 0), ("seed", seed, 0), ("workers", workers, 1),
        ):  # fmt: skip
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ArgumentError(f"GloVe: {option} must be a whole number from {least} on, got {value!r}")
        if not (x_max > 0 and learning_rate > 0):
            raise ArgumentError("GloVe: x_max and learning_rate must be positive")
        self.vector_size, self.window, self.min_count, self.max_size = (
            vector_size,
            window,
            min_count,
            max_size,
        )
        self.x_max, self.alpha, self.learning_rate, self.epochs = x_max, alpha, learning_rate, epochs
        self.seed, self.workers, self.progress = seed, workers, progress
        self.epochs_done = 0
        if sentences is not None:
            counts, words = cooccurrence(
                sentences, window, weighting="harmonic", min_count=min_count, max_size=max_size
            )
            self.train(counts, words)

    def train(self, counts: Any, words: list[str], epochs: int | None = None) -> GloVe:
        """Go through counts until ``epochs`` passes are done; goes on where training stopped.

        Parameters
        ----------
        counts
            Sparse matrix (words, words), of :func:`cooccurrence`.
        words
            Their names.
        epochs
            How many passes in all; by default the model's.
        """
        import time

        from einkorn import runtime
        from einkorn.ops import glove_train

        entries = counts.tocoo()
        row, column = entries.row.astype(np.int32), entries.col.astype(np.int32)
        count = entries.data.astype(np.float32)
        if entries.shape != (len(words), len(words)):
            raise ArgumentError(f"GloVe: counts has shape {entries.shape}, and there are {len(words)} words")
        if not len(count):
            raise ArgumentError(
                "GloVe: no two words occur together; min_count says how often each must occur to count"
            )
        if not self.epochs_done:
            rng = np.random.default_rng(self.seed)
            shape = (2, len(words), self.vector_size + 1)
            self._table = ((rng.random(shape) - 0.5) / (self.vector_size + 1)).astype(np.float32)
            self._squares = np.ones(shape, np.float32)
            self._words = list(words)
        elif list(words) != self._words:
            raise ArgumentError("GloVe: training goes on with other words than it began with")
        # As in the published program, the entries are shuffled once: then they are read one after the other.
        shuffled = np.random.default_rng((self.seed, 0)).permutation(len(count))
        row, column, count = row[shuffled], column[shuffled], count[shuffled]
        order = np.arange(len(count))
        try:
            for epoch in range(self.epochs_done, self.epochs if epochs is None else epochs):
                began = time.perf_counter()
                with runtime.num_threads(self.workers):
                    loss = glove_train(
                        self._table,
                        self._squares,
                        row,
                        column,
                        count,
                        order,
                        count_max=self.x_max,
                        alpha=self.alpha,
                        rate=self.learning_rate,
                        stretches=self.workers,
                    )
                self.epochs_done = epoch + 1
                if self.progress is not None:
                    seconds = max(time.perf_counter() - began, 1e-9)
                    self.progress(
                        {
                            "epoch": epoch,
                            "loss": loss / len(count),
                            "entries_per_second": len(count) / seconds,
                        }
                    )
        finally:
            self._refresh()  # an interrupted pass is begun again; what it did stays
        return self

    def _refresh(self) -> None:
        self.wv = KeyedVectors(self._words, self._table[0, :, :-1] + self._table[1, :, :-1])

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model, whole or not at all: it can be trained on. ``wv.save`` writes vectors alone."""
        from safetensors.numpy import save

        from einkorn.checkpoint import write_whole

        about = {
            "format": "einkorn.GloVe",
            "options": json.dumps({option: getattr(self, option) for option in _OPTIONS}),
            "words": json.dumps(self._words),
            "done": json.dumps(self.epochs_done),
        }
        write_whole(path, [save({"table": self._table, "squares": self._squares}, about)])

    @classmethod
    def load(cls, path: str | PathLike[str]) -> GloVe:
        """Read what :meth:`save` wrote.

        Raises
        ------
        MissingFileError
            There is no such file.
        DataError
            It is another file, or damaged.
        """
        tensors, about = read_tensors(path, "einkorn.GloVe")
        try:
            model = cls(**json.loads(about["options"]))
            words = json.loads(about["words"])
            model._words = [str(word) for word in words]
            shape = (2, len(words), model.vector_size + 1)
            for name in ("table", "squares"):
                if tensors[name].shape != shape:
                    raise ValueError(f"{name} has shape {tensors[name].shape}, expected {shape}")
                setattr(model, f"_{name}", np.ascontiguousarray(tensors[name], np.float32))
            model.epochs_done = int(json.loads(about["done"]))
            model._refresh()
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{path}: damaged: {error}") from None
        return model
