"""GloVe: vectors of words from how often they occur together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, DataError
from einkorn.text._arguments import items_of, known_options, real_number, whole_number
from einkorn.text._corpus import check_words
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
        vector_size = whole_number("GloVe", "vector_size", vector_size, 1, 2**31 - 1)
        window = whole_number("GloVe", "window", window, 1)
        min_count = whole_number("GloVe", "min_count", min_count, 1)
        if max_size is not None:
            max_size = whole_number("GloVe", "max_size", max_size, 1)
        epochs = whole_number("GloVe", "epochs", epochs, 0)
        seed = whole_number("GloVe", "seed", seed, 0, 2**64 - 1)
        workers = whole_number("GloVe", "workers", workers, 1, 1024)
        x_max = real_number("GloVe", "x_max", x_max, 0, above=True)
        alpha = real_number("GloVe", "alpha", alpha)
        learning_rate = real_number("GloVe", "learning_rate", learning_rate, 0, above=True)
        if progress is not None and not callable(progress):
            raise ArgumentError(f"GloVe: progress must be a function or None, got {progress!r:.60}")
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

        if not hasattr(counts, "tocoo"):
            raise ArgumentError(f"GloVe: counts must be a sparse matrix, got {type(counts).__name__}")
        words = items_of("GloVe", "words", words)
        check_words("GloVe", words)
        last = self.epochs if epochs is None else whole_number("GloVe", "epochs", epochs, 0)
        entries = counts.tocoo()
        row, column = entries.row.astype(np.int32), entries.col.astype(np.int32)
        count = entries.data.astype(np.float32)
        if entries.shape != (len(words), len(words)):
            raise ArgumentError(f"GloVe: counts has shape {entries.shape}, and there are {len(words)} words")
        if not len(count):
            raise ArgumentError(
                "GloVe: no two words occur together; min_count says how often each must occur to count"
            )
        if not np.isfinite(count).all():
            raise ArgumentError("GloVe: counts must be finite in float32")
        if not self.epochs_done:
            rng = np.random.default_rng(self.seed)
            shape = (2, len(words), self.vector_size + 1)
            self._table = ((rng.random(shape) - 0.5) / (self.vector_size + 1)).astype(np.float32)
            self._squares = np.ones(shape, np.float32)
            self._words = words
        elif words != self._words:
            raise ArgumentError("GloVe: training goes on with other words than it began with")
        # As in the published program, the entries are shuffled once: then they are read one after the other.
        shuffled = np.random.default_rng((self.seed, 0)).permutation(len(count))
        row, column, count = row[shuffled], column[shuffled], count[shuffled]
        order = np.arange(len(count))
        try:
            for epoch in range(self.epochs_done, last):
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

        if not hasattr(self, "_words"):
            raise ArgumentError("GloVe.save: nothing was learned; train first")
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
            model = cls(**known_options(about["options"], _OPTIONS))
            words = json.loads(about["words"])
            if not isinstance(words, list):
                raise ValueError("words must be a list")
            check_words("GloVe", words)
            model._words = words
            shape = (2, len(words), model.vector_size + 1)
            for name in ("table", "squares"):
                if tensors[name].shape != shape:
                    raise ValueError(f"{name} has shape {tensors[name].shape}, expected {shape}")
                setattr(model, f"_{name}", np.ascontiguousarray(tensors[name], np.float32))
            model.epochs_done = whole_number("load", "what is done", json.loads(about["done"]), 0)
            model._refresh()
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(f"{path}: damaged: {error}") from None
        return model
