"""What ``fit`` returns: the figures of every epoch."""

from __future__ import annotations

import csv
import io
from os import PathLike
from typing import Any

from einkorn._extras import figure_for
from einkorn._files import save_figure, write_text
from einkorn.errors import ArgumentError, DataError
from einkorn.training.figures import cell, plain, read, shown

__all__ = ["History"]


class History:
    """Losses and metrics by epoch.

    Attributes
    ----------
    history : dict of str to list of float
        "loss", the metrics, and the same with the prefix ``val_`` when there was validation data. As in Keras
        a figure has an entry for each epoch in which it was there: with ``validation_freq=2``, every second.
        Metrics of a model of ``einkorn.keras`` may be arrays, ``F1Score`` with a number for each class.
    epoch : list of int
        The epochs, from 0 as in Keras. What is shown counts from 1: the bar, the picture, and the file of
        ``to_csv``.
    stop_reason : str or None
        What a callback gave as its reason to end the training early.
    params : dict
        What callbacks are told: "epochs", "steps" of each, if that is known, and "verbose".
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.stop_reason: str | None = None
        self.params: dict[str, Any] = {}
        self._rows: dict[str, list[int]] = {}  # of each figure's entries: positions in ``epoch``

    def append(self, epoch: int, logs: dict[str, float]) -> None:
        """Add the figures of one epoch."""
        row = len(self.epoch)
        for key, value in logs.items():
            self._rows.setdefault(key, []).append(row)
            self.history.setdefault(key, []).append(plain(value))
        self.epoch.append(epoch)

    def align(self) -> None:
        """Drop what an interrupted ``append`` left."""
        for key in list(self._rows):
            rows = [row for row in self._rows[key] if row < len(self.epoch)]
            self._rows[key] = rows
            self.history[key] = self.history.get(key, [])[: len(rows)]

    def rows(self) -> list[dict[str, float]]:
        """The figures of each epoch."""
        found: list[dict[str, float]] = [{} for _ in self.epoch]
        for key, column in self.history.items():
            for row, value in zip(self._rows[key], column, strict=True):
                found[row][key] = value
        return found

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a header line and one line per epoch, counted from 1; figures it did not have are empty.

        Raises
        ------
        CheckpointError
            The file cannot be written; what was there before is there still.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["epoch", *self.history])
        writer.writerows(
            [epoch + 1, *(cell(figures.get(name, "")) for name in self.history)]
            for epoch, figures in zip(self.epoch, self.rows(), strict=True)
        )
        write_text(path, file.getvalue())

    @classmethod
    def from_csv(cls, path: str | PathLike[str]) -> History:
        """Read what ``to_csv`` wrote.

        Raises
        ------
        DataError
            The file is missing or something else.
        """
        found = cls()
        try:
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file, strict=True):
                    epoch = int(row.pop("epoch"))
                    found.append(epoch - 1, {key: read(value) for key, value in row.items() if value != ""})
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise DataError(f"{path}: is no history: {error}") from error
        return found

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw the learning curves: training and validation, one panel per figure.

        Parameters
        ----------
        path : str or path, optional
            Where to write the picture. Without it the matplotlib figure is only returned.

        Raises
        ------
        ArgumentError
            There is no epoch to draw.
        MissingPackageError
            matplotlib is not installed.
        CheckpointError
            The picture cannot be written.
        """
        if not self.epoch:
            raise ArgumentError("History.plot: there are no epochs to draw")
        names = [name for name in self.history if not name.startswith("val_")]
        figure = figure_for("History.plot", figsize=(5 * len(names), 4), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self.history:
                    epochs = [self.epoch[row] + 1 for row in self._rows[key]]
                    axes.plot(epochs, self.history[key], marker=".", label=label)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name, parse_math=False)  # a metric's name is no formula, dollar signs and all
            axes.legend()
            axes.grid(alpha=0.3)
        if path is not None:
            save_figure(figure, path, dpi=120)
        return figure

    def __repr__(self) -> str:
        last = ", ".join(shown({key: values[-1]}) for key, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' + last if last else ''})"
