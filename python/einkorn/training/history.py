"""What ``fit`` returns: the figures of every epoch."""

from __future__ import annotations

import csv
from os import PathLike
from typing import Any

from einkorn._extras import need
from einkorn.errors import ArgumentError, DataError

__all__ = ["History"]


class History:
    """Losses and metrics by epoch.

    Attributes
    ----------
    history : dict of str to list of float
        "loss", the metrics, and the same with the prefix ``val_`` when there was validation data.
    epoch : list of int
        The epochs, from 0 as in Keras. What is shown counts from 1: the bar, the picture, and the file of
        ``to_csv``.
    stop_reason : str or None
        What a callback gave as its reason to end the training early.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.stop_reason: str | None = None

    def append(self, epoch: int, logs: dict[str, float]) -> None:
        """Add the figures of one epoch."""
        before = len(self.epoch)
        for key, value in logs.items():
            # a figure that begins late is aligned with its epoch
            self.history.setdefault(key, [float("nan")] * before).append(float(value))
        for column in self.history.values():
            if len(column) == before:
                column.append(float("nan"))
        self.epoch.append(epoch)

    def align(self) -> None:
        """Drop what an interrupted ``append`` left."""
        for column in self.history.values():
            del column[len(self.epoch) :]

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a header line and one line per epoch, counted from 1."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            writer.writerows(
                [epoch + 1, *(column[row] for column in self.history.values())]
                for row, epoch in enumerate(self.epoch)
            )

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
                    found.append(epoch - 1, {key: float(value) for key, value in row.items()})
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
        """
        if not self.epoch:
            raise ArgumentError("History.plot: there are no epochs to draw")
        figures = need("matplotlib.figure", "History.plot")
        names = [name for name in self.history if not name.startswith("val_")]
        figure = figures.Figure(figsize=(5 * len(names), 4), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            epochs = [epoch + 1 for epoch in self.epoch]
            axes.plot(epochs, self.history[name], marker=".", label="training")
            if f"val_{name}" in self.history:
                axes.plot(epochs, self.history[f"val_{name}"], marker=".", label="validation")
            axes.set_xlabel("epoch")
            axes.set_ylabel(name, parse_math=False)  # a metric's name is no formula, dollar signs and all
            axes.legend()
            axes.grid(alpha=0.3)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure

    def __repr__(self) -> str:
        last = ", ".join(f"{key}={values[-1]:.4g}" for key, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' + last if last else ''})"
